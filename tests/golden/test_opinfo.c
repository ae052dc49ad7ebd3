/* The sample inputs of PyTorch's own suite, its answers, first and second gradients: opinfo.txt, made by
 * make_opinfo.py, says what its lines mean. Results are compared by their shapes and by weighted sums, each to 1e-10 of
 * what its terms amount to. Then results and first gradients in float32 are held against those, element by element. */
#include "golden/opinfo_ops.h"
#include "golden/opinfo_read.h"
#include "support/run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static pleat_tensor *weights(uint64_t seed, pleat_shape shape)
{
    return filled("u", PLEAT_F64, seed, shape);
}

/* ---- Comparison ---- */

/* Whether t has the line's shape and sums; "g 0 2 3 : 1 2 3" names what it is by its first words. */
static bool agrees(pleat_tensor *t, const char *numbers, char *why, size_t size)
{
    const char *colon = strchr(numbers, ':');
    double want[3];
    char head[200];
    snprintf(head, sizeof head, "%.*s", (int)(colon - numbers), numbers);
    const pleat_shape shape = read_shape(head);
    ck_assert_int_eq(read_numbers(colon + 1, want, 3), 3);
    if (!t) { /* a gradient that was not even reached is zero */
        snprintf(why, size, "there is none");
        return want[0] == 0 && want[1] == 0 && want[2] == 0;
    }
    if (!pleat_shape_equal(pleat_shape_of(t), shape)) {
        snprintf(why, size, "shape %s, not %s", pleat_shape_text(pleat_shape_of(t)).text, pleat_shape_text(shape).text);
        return false;
    }
    const pleat_tensor *x = pleat_contiguous(pleat_detach(t));
    const pleat_dtype dtype = pleat_dtype_of(x);
    for (int k = 0; k < 3; k++) {
        double sum = 0, terms = 0;
        for (int64_t i = 0; i < pleat_numel(x); i++) {
            const double w = 2 * hashed((uint64_t)(900000 + k), (uint64_t)i) - 1;
            const double v = dtype == PLEAT_F64   ? pleat_data_f64(x)[i]
                             : dtype == PLEAT_I64 ? (double)pleat_data_i64(x)[i]
                                                  : (double)pleat_data_u8(x)[i];
            sum += w * v;
            terms += fabs(w * v);
        }
        const bool same = isnan(want[k])   ? isnan(sum)
                          : isinf(want[k]) ? sum == want[k]
                                           : fabs(sum - want[k]) <= 1e-10 * terms + 1e-13;
        if (!same) {
            snprintf(why, size, "sum %d is %.17g, not %.17g", k, sum, want[k]);
            return false;
        }
    }
    return true;
}

/* ---- One sample after the other ---- */

typedef struct {
    opinfo_sample sample;
    char line[4096];
    bool tried, has;
    pleat_tensor *out[OPINFO_OUTPUTS], *grad_out[OPINFO_OUTPUTS], *first[OPINFO_TENSORS], *second[OPINFO_TENSORS],
        *second_out[OPINFO_OUTPUTS];
    int outs, seen_outs, floats;
    int ran, refused, absent, compared, wrong;
    char absent_names[2000];
    int singles; /* results compared in float32 */
} run;

static void report(run *r, const char *what, const char *why)
{
    r->wrong++;
    if (r->wrong > 40)
        return;
    fprintf(stderr, "%s: %s: %s\n", r->sample.op, what, why);
    for (int i = 0; i < r->sample.tensors; i++)
        fprintf(stderr, "    %s", r->sample.in[i] ? pleat_shape_text(pleat_shape_of(r->sample.in[i])).text : "none");
    for (int i = 0; i < r->sample.args; i++) {
        fprintf(stderr, "  %s=%s", r->sample.arg[i].name, r->sample.arg[i].text);
        for (int k = 0; k < r->sample.arg[i].numbers; k++)
            fprintf(stderr, "%s%g", k ? "," : "", r->sample.arg[i].number[k]);
    }
    fputc('\n', stderr);
}

/* Calls the op and takes both gradients, the first time a result of the sample is asked for. */
static void evaluate(run *r)
{
    if (r->tried)
        return;
    r->tried = true;
    opinfo_sample *s = &r->sample;
    r->outs = opinfo_call(s, r->out);
    if (r->outs < 0) {
        r->absent++;
        if (!strstr(r->absent_names, s->op) && strlen(r->absent_names) + strlen(s->op) + 3 < sizeof r->absent_names)
            strcat(strcat(r->absent_names, " "), s->op);
        return;
    }
    if (r->outs == 0 || pleat_check() != PLEAT_OK) {
        r->refused++;
        report(r, "refused", pleat_error());
        pleat_error_clear();
        r->outs = -1;
        return;
    }
    r->ran++;
    r->has = true;
    pleat_tensor *floats[OPINFO_OUTPUTS], *in[OPINFO_TENSORS + OPINFO_OUTPUTS], *got[OPINFO_TENSORS + OPINFO_OUTPUTS];
    int place[OPINFO_TENSORS], n = 0;
    r->floats = 0;
    for (int k = 0; k < r->outs; k++)
        if (pleat_dtype_of(r->out[k]) == PLEAT_F64 && pleat_requires_grad(r->out[k])) {
            const uint64_t seed = 800000 + (uint64_t)r->floats;
            floats[r->floats] = r->out[k];
            r->grad_out[r->floats++] = pleat_set_requires_grad(weights(seed, pleat_shape_of(r->out[k])), true);
        }
    for (int i = 0; i < s->tensors; i++)
        if (s->in[i] && pleat_requires_grad(s->in[i])) {
            place[n] = i;
            in[n++] = s->in[i];
        }
    if (r->floats == 0 || n == 0)
        return;
    const pleat_gradients_opts first = { .grad_outputs = r->grad_out, .record = true, .allow_unused = true };
    if (pleat_gradients(floats, r->floats, in, n, &first, got) != PLEAT_OK) {
        report(r, "first gradient", pleat_error());
        return;
    }
    pleat_tensor *total = NULL;
    for (int k = 0; k < n; k++) {
        r->first[place[k]] = got[k];
        if (!got[k])
            continue;
        pleat_tensor *v = weights(700000 + (uint64_t)place[k], pleat_shape_of(got[k]));
        pleat_tensor *term = pleat_sum(pleat_mul(got[k], v));
        total = total ? pleat_add(total, term) : term;
    }
    if (!total || !pleat_requires_grad(total))
        return;
    for (int k = 0; k < r->floats; k++)
        in[n + k] = r->grad_out[k];
    if (pleat_gradients(&total, 1, in, n + r->floats, &(pleat_gradients_opts){ .allow_unused = true }, got) !=
        PLEAT_OK) {
        report(r, "second gradient", pleat_error());
        return;
    }
    for (int k = 0; k < n; k++)
        r->second[place[k]] = got[k];
    for (int k = 0; k < r->floats; k++)
        r->second_out[k] = got[n + k];
}

/* ---- The same in float32 ---- */

/* How far a float32 result may be from the float64 one, in 2^-24 of its largest element, or of 1 where that is less:
 * the inputs are of order one, and rounding them is a part of it. docs/numerics.md says which these are. */
static const struct {
    const char *ops;
    double bound;
} families[] = {
    { " matmul bmm addmm einsum linear conv1d conv2d conv_transpose1d conv_transpose2d binary_cross_entropy ", 16 },
    { " batch_norm instance_norm group_norm local_response_norm log_softmax softmax cross_entropy nll_loss mse_loss "
      "l1_loss "
      "huber_loss smooth_l1_loss binary_cross_entropy_with_logits kl_div poisson_nll_loss ",
      8 },
    { " layer_norm ", 512 }, /* with eps = -0.5 next to nothing of the variance is left */
    { "", 4 },               /* all the others */
};

static double bound_of(const char *op)
{
    char name[80];
    op += strncmp(op, "nn.functional.", 14) == 0 ? 14 : 0;
    snprintf(name, sizeof name, " %.*s ", (int)strcspn(op, "."), op);
    size_t i = 0;
    while (families[i].ops[0] && !strstr(families[i].ops, name))
        i++;
    return families[i].bound;
}

/* The distance of y from x in the bound's unit; infinite where one has no number and the other has. */
static double distance(pleat_tensor *x, pleat_tensor *y)
{
    if (!pleat_shape_equal(pleat_shape_of(x), pleat_shape_of(y)))
        return INFINITY;
    x = pleat_cast(pleat_contiguous(pleat_detach(x)), PLEAT_F64);
    y = pleat_cast(pleat_contiguous(pleat_detach(y)), PLEAT_F64);
    double most = 1, off = 0;
    for (int64_t i = 0; i < pleat_numel(x); i++) {
        const double a = pleat_data_f64(x)[i], b = pleat_data_f64(y)[i];
        if (isfinite(a)) {
            most = fmax(most, fabs(a));
            off = isfinite(b) ? fmax(off, fabs(a - b)) : INFINITY;
        } else if (isnan(a) ? !isnan(b) : a != b)
            off = INFINITY;
    }
    return off / most * 0x1p24;
}

static void hold(run *r, const char *what, int index, pleat_tensor *x, pleat_tensor *y)
{
    const double off = !x && !y ? 0
                       : !x     ? distance(pleat_zeros(pleat_shape_of(y), PLEAT_F64), y)
                       : !y     ? distance(x, pleat_zeros(pleat_shape_of(x), PLEAT_F32))
                                : distance(x, y);
    r->singles++;
    if (off <= bound_of(r->sample.op))
        return;
    char why[100], name[32];
    snprintf(name, sizeof name, "float32: %s %d", what, index);
    snprintf(why, sizeof why, "%g units off", off);
    report(r, name, why);
}

/* Its results and first gradients with inputs of float32, against those of float64, which the file has confirmed. */
static void evaluate_float32(run *r)
{
    opinfo_sample s = r->sample;
    pleat_tensor *out[OPINFO_OUTPUTS] = { 0 }, *floats[OPINFO_OUTPUTS], *grad_out[OPINFO_OUTPUTS], *in[OPINFO_TENSORS],
                 *got[OPINFO_TENSORS];
    int n = 0, count = 0, place[OPINFO_TENSORS];
    for (int i = 0; i < s.tensors; i++)
        if (s.in[i] && pleat_dtype_of(s.in[i]) == PLEAT_F64) {
            s.in[i] = pleat_set_requires_grad(pleat_cast(pleat_detach(s.in[i]), PLEAT_F32), true);
            place[n] = i;
            in[n++] = s.in[i];
        }
    const int outs = opinfo_call(&s, out);
    if (outs != r->outs || pleat_check() != PLEAT_OK) {
        report(r, "float32", pleat_error());
        pleat_error_clear();
        return;
    }
    for (int k = 0; k < outs; k++) {
        hold(r, "output", k, r->out[k], out[k]);
        if (pleat_dtype_of(out[k]) == PLEAT_F32 && pleat_requires_grad(out[k])) {
            grad_out[count] = pleat_cast(pleat_detach(r->grad_out[count]), PLEAT_F32);
            floats[count++] = out[k];
        }
    }
    if (count == 0 || n == 0)
        return;
    const pleat_gradients_opts opts = { .grad_outputs = grad_out, .allow_unused = true };
    if (pleat_gradients(floats, count, in, n, &opts, got) != PLEAT_OK) {
        report(r, "float32: first gradient", pleat_error());
        return;
    }
    for (int k = 0; k < n; k++)
        hold(r, "gradient", place[k], r->first[place[k]], got[k]);
}

static void compare(run *r)
{
    const bool tried = r->tried;
    evaluate(r);
    if (!tried && r->has)
        evaluate_float32(r);
    if (!r->has)
        return;
    char what[8], why[400];
    int index = -1, used = 0;
    pleat_tensor *t;
    if (r->line[0] == 'o') {
        t = r->seen_outs < r->outs ? r->out[r->seen_outs] : NULL;
        r->seen_outs++;
        used = 1;
        strcpy(what, "o");
    } else {
        ck_assert_int_eq(sscanf(r->line, "%7s %d%n", what, &index, &used), 2);
        t = strcmp(what, "g") == 0 ? r->first[index] : strcmp(what, "h") == 0 ? r->second[index] : r->second_out[index];
    }
    r->compared++;
    if (!agrees(t, r->line + used, why, sizeof why)) {
        char name[32];
        snprintf(name, sizeof name, "%s %d", what, index);
        report(r, name, why);
    }
}

START_TEST(every_sample_agrees_with_pytorch)
{
    FILE *f = fopen(PLEAT_TEST_DIR "/golden/opinfo.txt", "r");
    ck_assert_ptr_nonnull(f);
    static run r;
    const char *only = getenv("PLEAT_OPINFO"); /* one op's name, to look closer */
    pleat_scope scope = pleat_scope_begin();
    while (fgets(r.line, sizeof r.line, f)) {
        if (strncmp(r.line, "op ", 3) == 0) {
            pleat_scope_end(scope);
            scope = pleat_scope_begin();
            read_line(&r.sample, r.line);
            r.tried = r.has = false;
            r.seen_outs = 0;
            memset(r.out, 0, sizeof r.out);
            memset(r.first, 0, sizeof r.first);
            memset(r.second, 0, sizeof r.second);
            memset(r.second_out, 0, sizeof r.second_out);
        } else if (r.line[0] == '#' || (only && strcmp(only, r.sample.op) != 0))
            continue;
        else if (!read_line(&r.sample, r.line))
            compare(&r);
    }
    fclose(f);
    pleat_scope_end(scope);
    printf(
        "samples: %d run, %d refused, %d without a counterpart%s%s; results compared: %d, in float32: %d, wrong: %d\n",
        r.ran, r.refused, r.absent, r.absent ? ":" : "", r.absent_names, r.compared, r.singles, r.wrong);
    ck_assert_int_eq(r.wrong, 0);
    ck_assert_int_eq(r.absent, 0);
    ck_assert_int_gt(r.ran, only ? 0 : 2750);
}
END_TEST

RUN_TESTS("opinfo", every_sample_agrees_with_pytorch)
