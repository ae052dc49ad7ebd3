/* What PyTorch refuses is refused here too, by a message that begins with the op's name and holds one of the values
 * that are wrong: errors.txt, made by make_errors.py. */
#include "golden/error_ops.h"
#include "golden/opinfo_ops.h"
#include "golden/opinfo_read.h"
#include "support/run.h"

#include <ctype.h>

static bool in_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Whether the text has the value, as a word of its own where it begins or ends as one. */
static bool mentions(const char *text, const char *value, size_t n)
{
    for (const char *p = text; (p = strchr(p, value[0])) != NULL; p++)
        if (strncmp(p, value, n) == 0 && !(p > text && in_word(value[0]) && in_word(p[-1])) &&
            !(in_word(value[n - 1]) && in_word(p[n])))
            return true;
    return false;
}

/* expected: NAME|VALUE|VALUE... */
static bool says(const char *message, const char *expected)
{
    const size_t n = strcspn(expected, "|");
    if (n > 0 && (strncmp(message, expected, n) != 0 || strncmp(message + n, ": ", 2) != 0))
        return false;
    message += n > 0 ? n + 2 : 0;
    for (expected += n; *expected == '|';) {
        const size_t k = strcspn(++expected, "|");
        if (mentions(message, expected, k))
            return true;
        expected += k;
    }
    return false;
}

START_TEST(every_one_is_refused)
{
    FILE *f = fopen(PLEAT_TEST_DIR "/golden/errors.txt", "r");
    ck_assert_ptr_nonnull(f);
    static opinfo_sample sample;
    char line[4096], why[4096] = "";
    int refused = 0, wrong = 0;
    pleat_scope scope = pleat_scope_begin();
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '#') {
            strcpy(why, line);
            continue;
        }
        if (strncmp(line, "op ", 3) == 0) {
            pleat_scope_end(scope);
            scope = pleat_scope_begin();
        }
        if (read_line(&sample, line))
            continue;
        pleat_tensor *out[OPINFO_OUTPUTS] = { 0 };
        const int outs = error_call(&sample, out);
        const bool pending = pleat_error_code() != PLEAT_OK;
        const char *fault = outs < 0                         ? "there is no such op"
                            : outs > 0                       ? "it was taken"
                            : !pending                       ? "there is no error"
                            : !says(pleat_error(), line + 2) ? pleat_error()
                                                             : NULL;
        if (fault) {
            wrong++;
            fprintf(stderr, "%s (%s): %s\n    %s\n", sample.op, line + 2, fault, why);
            for (int i = 0; i < sample.tensors; i++)
                fprintf(stderr, "    %s", sample.in[i] ? pleat_shape_text(pleat_shape_of(sample.in[i])).text : "none");
            fputc('\n', stderr);
        }
        refused += !fault;
        pleat_error_clear();
    }
    fclose(f);
    pleat_scope_end(scope);
    printf("error inputs: %d refused, %d not or not as they should be\n", refused, wrong);
    ck_assert_int_eq(wrong, 0);
    ck_assert_int_gt(refused, 450);
}
END_TEST

RUN_TESTS("errors", every_one_is_refused)
