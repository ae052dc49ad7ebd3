/* The sample inputs of PyTorch's own suite, its answers, first and second gradients: opinfo.txt, made by
 * make_opinfo.py, says what its lines mean. Results are compared by their shapes and by weighted sums, each to 1e-10 of
 * what its terms amount to. */
#include "golden/opinfo_ops.h"
#include "support/run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- The formula ---- */

static double hashed(uint64_t seed, uint64_t i)
{
    uint64_t z = ((seed << 32) + i) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

/* Element i's rank among the `below` hashed numbers along dimension d, as a stable argsort read at each place. */
static void fill_ranks(pleat_tensor *t, uint64_t seed, int d, int64_t below)
{
    const pleat_shape s = pleat_shape_of(t);
    int64_t *x = pleat_data_mut(t), inner = 1, outer = 1;
    for (int k = 0; k < s.ndim; k++)
        *(k < d ? &outer : k > d ? &inner : &(int64_t){ 0 }) *= s.dim[k];
    const int64_t n = s.ndim ? s.dim[d] : 1;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++)
            for (int64_t a = 0; a < below; a++) {
                const double v = hashed(seed, (uint64_t)((o * below + a) * inner + i));
                int64_t rank = 0;
                for (int64_t b = 0; b < below; b++) {
                    const double w = hashed(seed, (uint64_t)((o * below + b) * inner + i));
                    rank += w < v || (w == v && b < a);
                }
                if (rank < n)
                    x[(o * n + rank) * inner + i] = a;
            }
}

static pleat_tensor *filled(const char *kind, pleat_dtype dtype, uint64_t seed, pleat_shape shape)
{
    pleat_tensor *t = pleat_empty(shape, dtype);
    if (kind[0] == 'r') {
        int d = 0;
        long long below = 0;
        ck_assert_int_eq(sscanf(kind, "r%d/%lld", &d, &below), 2);
        if (shape.ndim)
            fill_ranks(t, seed, d, below);
        else
            pleat_fill_(t, 0);
        return t;
    }
    void *data = pleat_data_mut(t);
    for (int64_t i = 0; i < pleat_numel(t); i++) {
        const double u = hashed(seed, (uint64_t)i);
        if (kind[0] == 'b')
            ((uint8_t *)data)[i] = u < 0.5;
        else if (kind[0] == 'i')
            ((int64_t *)data)[i] = (int64_t)(u * atof(kind + 1));
        else
            ((double *)data)[i] = kind[0] == 'u' ? 2 * u - 1 : kind[0] == 'p' ? 0.1 + 1.8 * u : 0.1 + 0.8 * u;
    }
    return t;
}

static pleat_tensor *weights(uint64_t seed, pleat_shape shape)
{
    return filled("u", PLEAT_F64, seed, shape);
}

/* ---- Arguments ---- */

const opinfo_arg *opinfo_find(const opinfo_sample *s, const char *name)
{
    for (int i = 0; i < s->args; i++)
        if (strcmp(s->arg[i].name, name) == 0)
            return &s->arg[i];
    return NULL;
}

double opinfo_number(const opinfo_sample *s, const char *name, int i, double otherwise)
{
    const opinfo_arg *a = opinfo_find(s, name);
    return !a || a->numbers == 0 ? otherwise : a->number[i < a->numbers ? i : a->numbers - 1];
}

bool opinfo_is(const opinfo_sample *s, const char *name, const char *text)
{
    const opinfo_arg *a = opinfo_find(s, name);
    return a && strcmp(a->text, text) == 0;
}

pleat_hw opinfo_pair(const opinfo_sample *s, const char *name, int64_t otherwise)
{
    return (pleat_hw){ (int64_t)opinfo_number(s, name, 0, (double)otherwise),
                       (int64_t)opinfo_number(s, name, 1, (double)otherwise) };
}

pleat_shape opinfo_shape(const opinfo_sample *s, const char *name)
{
    pleat_shape shape = { 0 };
    const opinfo_arg *a = opinfo_find(s, name);
    for (int i = 0; a && i < a->numbers; i++)
        shape.dim[shape.ndim++] = (int64_t)a->number[i];
    return shape;
}

pleat_dims opinfo_dims(const opinfo_sample *s, const char *name)
{
    pleat_dims dims = { 0 };
    const opinfo_arg *a = opinfo_find(s, name);
    for (int i = 0; a && i < a->numbers; i++)
        dims.dim[dims.count++] = (int)a->number[i];
    return dims;
}

pleat_tensor *opinfo_tensor(const opinfo_sample *s, const char *name)
{
    const opinfo_arg *a = opinfo_find(s, name);
    int i;
    return a && sscanf(a->text, "tensor%d", &i) == 1 ? s->in[i] : NULL;
}

/* ---- Lines ---- */

static int read_numbers(const char *text, double *number, int most)
{
    int n = 0, used;
    while (n < most && sscanf(text, "%lf%n", &number[n], &used) == 1) {
        text += used;
        n++;
    }
    return n;
}

static pleat_shape read_shape(const char *text)
{
    double size[PLEAT_MAX_DIMS];
    pleat_shape shape = { .ndim = read_numbers(text, size, PLEAT_MAX_DIMS) };
    for (int d = 0; d < shape.ndim; d++)
        shape.dim[d] = (int64_t)size[d];
    return shape;
}

static void read_tensor(opinfo_sample *s, const char *line)
{
    char kind[32], dtype[16];
    unsigned long long seed;
    int used;
    ck_assert_int_eq(sscanf(line, "t %31s %15s %llu%n", kind, dtype, &seed, &used), 3);
    const pleat_dtype type = strcmp(dtype, "int64") == 0   ? PLEAT_I64
                             : strcmp(dtype, "uint8") == 0 ? PLEAT_U8
                                                           : PLEAT_F64;
    pleat_tensor *t = filled(kind, type, seed, read_shape(line + used));
    const char *as = strstr(line, " as ");
    if (as)
        t = pleat_reshape(t, read_shape(as + 4));
    if (type == PLEAT_F64)
        pleat_set_requires_grad(t, true);
    ck_assert_int_lt(s->tensors, OPINFO_TENSORS);
    s->in[s->tensors++] = t;
}

static void read_arg(opinfo_sample *s, const char *line)
{
    ck_assert_int_lt(s->args, OPINFO_ARGS);
    opinfo_arg *a = &s->arg[s->args++];
    int used;
    memset(a, 0, sizeof *a);
    ck_assert_int_eq(sscanf(line + 1, " %31s%n", a->name, &used), 1);
    if (line[0] == 's')
        sscanf(line + 1 + used, " %63[^\n]", a->text);
    else
        a->numbers = read_numbers(line + 1 + used, a->number, OPINFO_NUMBERS);
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

static void compare(run *r)
{
    evaluate(r);
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
            memset(&r.sample, 0, sizeof r.sample);
            sscanf(r.line, "op %63s", r.sample.op);
            r.tried = r.has = false;
            r.seen_outs = 0;
            memset(r.out, 0, sizeof r.out);
            memset(r.first, 0, sizeof r.first);
            memset(r.second, 0, sizeof r.second);
            memset(r.second_out, 0, sizeof r.second_out);
        } else if (r.line[0] == '#' || (only && strcmp(only, r.sample.op) != 0))
            continue;
        else if (r.line[0] == 't')
            read_tensor(&r.sample, r.line);
        else if (r.line[0] == 'n')
            r.sample.tensors++;
        else if (r.line[0] == 'k' || r.line[0] == 's')
            read_arg(&r.sample, r.line);
        else
            compare(&r);
    }
    fclose(f);
    pleat_scope_end(scope);
    printf("samples: %d run, %d refused, %d without a counterpart%s%s; results compared: %d, wrong: %d\n", r.ran,
           r.refused, r.absent, r.absent ? ":" : "", r.absent_names, r.compared, r.wrong);
    ck_assert_int_eq(r.wrong, 0);
    ck_assert_int_gt(r.ran, only ? 0 : 2750);
}
END_TEST

RUN_TESTS("opinfo", every_sample_agrees_with_pytorch)
