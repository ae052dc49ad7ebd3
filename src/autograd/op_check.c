/* The suite that every op has to pass, the library's and the users'.
 *
 * A sample is applied in different ways (dtype, strides, threads, which inputs want a gradient, by which of the two
 * statements of it), and what comes out, results and gradients, is compared between two of them. Only gradcheck has an
 * opinion of its own about what is right; the rest makes sure that one right way makes all of them right. */
#include <pleat/pleat.h>

#include "tensor/error.h"
#include "tensor/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define ALL (-1)   /* every input that is to be checked wants a gradient */
#define THREADS 4  /* against one */
#define CLOSE 1e-9 /* between two ways in float64, by the largest element or 1 */
#define CLOSE_F32 1e-4

typedef struct {
    const pleat_op *op;
    const pleat_op_sample *sample;
    int64_t checks;
    pleat_rng_state rng; /* an op that draws numbers draws the same ones each time */
    bool *checked;       /* per input: whether its gradient is looked at */
    const char *check;   /* the one that runs now */
    int output;          /* the one that gradcheck's function returns */
} suite;

typedef struct {
    pleat_dtype dtype; /* of the floating inputs */
    bool strided; /* inputs and output gradients are views with gaps, their dimensions in reverse order in memory */
    bool by_ops;  /* the gradient is recorded, so that `backward` gives it, and not `backward_kernel` */
    int only;     /* the one input that wants a gradient, or ALL */
} way;

typedef struct {
    pleat_tensor *out[PLEAT_MAX_OUTPUTS];
    pleat_tensor **grad; /* one per input; NULL: zero, or not wanted */
} outcome;

static bool is_float(const pleat_tensor *t)
{
    return pleat_dtype_of(t) == PLEAT_F32 || pleat_dtype_of(t) == PLEAT_F64;
}

/* Where there was no memory to begin the scope there is nothing to end, and that error is the one to keep. */
static void end(pleat_scope scope)
{
    if (scope.depth >= 0)
        pleat_scope_end(scope);
}

/* ---- Applying a sample ---- */

/* A copy in a storage of its own. A strided one has NaN between its elements: whoever reads those will notice. */
static pleat_tensor *copy_of(const pleat_tensor *t, pleat_dtype dtype, bool strided)
{
    const pleat_shape shape = pleat_shape_of(t);
    if (!strided || shape.ndim == PLEAT_MAX_DIMS)
        return pleat_copy_(pleat_empty(shape, dtype), t);
    pleat_shape room = { .ndim = shape.ndim + 1 };
    pleat_dims reversed = { .count = shape.ndim };
    for (int d = 0; d < shape.ndim; d++) {
        room.dim[d] = shape.dim[shape.ndim - 1 - d];
        reversed.dim[d] = shape.ndim - 1 - d;
    }
    room.dim[shape.ndim] = 2;
    pleat_tensor *view = pleat_select(pleat_full(room, NAN, dtype), -1, 0);
    if (shape.ndim > 0)
        view = pleat_permute(view, reversed);
    return pleat_copy_(view, t);
}

/* An output gradient: the same numbers, in [-1, 1), for every output of a shape. */
static pleat_tensor *output_gradient(const pleat_tensor *y, const way *w)
{
    pleat_tensor *g = pleat_empty(pleat_shape_of(y), PLEAT_F64);
    double *to = pleat_data_mut(g);
    for (int64_t i = 0; to && i < pleat_numel(g); i++) {
        uint32_t word[4];
        pleat_philox(1, UINT64_MAX / 3, (uint64_t)i, word);
        to[i] = word[0] / 2147483648.0 - 1;
    }
    return copy_of(g, pleat_dtype_of(y), w->strided);
}

static pleat_tensor **pointers(int count)
{
    return pleat_alloc_zeroed((size_t)count * sizeof(pleat_tensor *));
}

static pleat_status apply_with(suite *s, const way *w, pleat_tensor **in, pleat_tensor **wanted, pleat_tensor **got,
                               outcome *result)
{
    int wanted_count = 0;
    for (int i = 0; i < s->sample->count; i++) {
        const pleat_tensor *t = s->sample->in[i];
        if (!t)
            continue;
        in[i] = copy_of(t, is_float(t) ? w->dtype : pleat_dtype_of(t), w->strided);
        if (s->checked[i] && (w->only == ALL || w->only == i))
            wanted[wanted_count++] = pleat_set_requires_grad(in[i], true);
    }
    if (pleat_pending() != PLEAT_OK)
        return pleat_check();
    pleat_rng_set(s->rng);
    pleat_status status = pleat_apply_all(s->op, in, s->sample->count, s->sample->params, result->out);
    pleat_tensor *y[PLEAT_MAX_OUTPUTS], *g[PLEAT_MAX_OUTPUTS];
    int outputs = 0;
    for (int k = 0; k < s->op->outputs && status == PLEAT_OK; k++)
        if (pleat_requires_grad(result->out[k])) {
            y[outputs] = result->out[k];
            g[outputs] = output_gradient(y[outputs], w);
            outputs++;
            status = pleat_check();
        }
    if (status != PLEAT_OK || outputs == 0)
        return status;
    const pleat_gradients_opts opts = { .grad_outputs = g, .record = w->by_ops, .allow_unused = true };
    status = pleat_gradients(y, outputs, wanted, wanted_count, &opts, got);
    for (int i = 0, next = 0; i < s->sample->count && status == PLEAT_OK; i++)
        if (in[i] && s->checked[i] && (w->only == ALL || w->only == i))
            result->grad[i] = got[next++];
    return status;
}

/* The results are borrowed from the caller's scope; result->grad is the caller's to free. */
static pleat_status apply(suite *s, const way *w, outcome *result)
{
    *result = (outcome){ .grad = pointers(s->sample->count) };
    const int count = s->sample->count;
    pleat_tensor **in = pointers(3 * count);
    pleat_status status = pleat_check();
    if (status == PLEAT_OK)
        status = apply_with(s, w, in, in + count, in + 2 * count, result);
    pleat_free(in);
    return status;
}

/* ---- Comparing ---- */

static pleat_status fail(const suite *s, const char *what, int index, int64_t element, double a, double b)
{
    return pleat_fail(PLEAT_EGRAD, "%s: %s %d, element %lld: %.10g against %.10g", s->check, what, index,
                      (long long)element, a, b);
}

/* tolerance 0 asks for the same bits. NULL is zero. */
static pleat_status compare(const suite *s, const char *what, int index, pleat_tensor *a, pleat_tensor *b,
                            double tolerance)
{
    if (!a && !b)
        return PLEAT_OK;
    const pleat_shape shape = pleat_shape_of(a ? a : b), other = pleat_shape_of(b ? b : a);
    if (!pleat_shape_equal(shape, other))
        return pleat_fail(PLEAT_ESHAPE, "%s: %s %d has shape %s against %s", s->check, what, index,
                          pleat_shape_text(shape).text, pleat_shape_text(other).text);
    const pleat_scope scope = pleat_scope_begin();
    pleat_tensor *pair[2] = { a, b };
    const double *data[2] = { NULL, NULL };
    for (int i = 0; i < 2; i++) {
        pleat_tensor *full = pleat_zeros(shape, PLEAT_F64);
        data[i] = pleat_data(pair[i] ? pleat_copy_(full, pair[i]) : full);
    }
    pleat_status status = pleat_check();
    const int64_t n = status == PLEAT_OK ? pleat_shape_numel(shape) : 0;
    double largest = 1;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(data[1][i]))
            largest = fmax(largest, fabs(data[1][i]));
    for (int64_t i = 0; i < n && status == PLEAT_OK; i++) {
        const double x = data[0][i], y = data[1][i];
        const bool same = memcmp(&x, &y, sizeof x) == 0 || (tolerance > 0 && fabs(x - y) <= tolerance * largest);
        if (!same && !(isnan(x) && isnan(y)) && !(x == y && tolerance > 0))
            status = fail(s, what, index, i, x, y);
    }
    end(scope);
    return status;
}

/* Applies the sample in two ways, and looks for a difference in the outputs and in the gradients that both give. */
static pleat_status same_in(suite *s, const char *check, const way *first, const way *second, double tolerance)
{
    s->check = check;
    s->checks++;
    outcome a = { .grad = NULL }, b = { .grad = NULL };
    const pleat_scope scope = pleat_scope_begin();
    pleat_status status = apply(s, first, &a);
    if (status == PLEAT_OK)
        status = apply(s, second, &b);
    for (int k = 0; k < s->op->outputs && status == PLEAT_OK; k++)
        status = compare(s, "output", k, a.out[k], b.out[k], tolerance);
    for (int i = 0; i < s->sample->count && status == PLEAT_OK; i++)
        if ((first->only == ALL || first->only == i) && (second->only == ALL || second->only == i))
            status = compare(s, "gradient of input", i, a.grad[i], b.grad[i], tolerance);
    end(scope);
    pleat_free(a.grad);
    pleat_free(b.grad);
    return status;
}

/* ---- The checks ---- */

static pleat_tensor *checked_function(pleat_tensor *const *inputs, void *user)
{
    const suite *s = user;
    pleat_tensor *out[PLEAT_MAX_OUTPUTS];
    const uint64_t failures = pleat_failures();
    if (pleat_take(pleat_apply_all(s->op, inputs, s->sample->count, s->sample->params, out), failures) != PLEAT_OK)
        return NULL;
    return out[s->output];
}

/* The inputs, those that are to be checked wanting a gradient. Where there was no room for them an error is pending. */
static pleat_status wanted_copies(const suite *s, pleat_dtype dtype, pleat_tensor **in)
{
    for (int i = 0; i < s->sample->count && pleat_pending() == PLEAT_OK; i++) {
        const pleat_tensor *t = s->sample->in[i];
        if (!t)
            continue;
        in[i] = copy_of(t, is_float(t) ? dtype : pleat_dtype_of(t), false);
        if (s->checked[i])
            pleat_set_requires_grad(in[i], true);
    }
    return pleat_check();
}

/* gradcheck, and gradgradcheck, of every output that carries a gradient. */
static pleat_status differences(suite *s, bool second)
{
    s->check = second ? "gradgradcheck" : "gradcheck";
    const pleat_scope scope = pleat_scope_begin();
    pleat_tensor **in = pointers(s->sample->count), *out[PLEAT_MAX_OUTPUTS];
    pleat_status status = wanted_copies(s, PLEAT_F64, in);
    pleat_rng_set(s->rng);
    if (status == PLEAT_OK)
        status = pleat_apply_all(s->op, in, s->sample->count, s->sample->params, out);
    const pleat_gradcheck_opts opts = { .allow_zero = s->sample->zero };
    for (s->output = 0; s->output < s->op->outputs && status == PLEAT_OK; s->output++)
        if (pleat_requires_grad(out[s->output]) && pleat_dtype_of(out[s->output]) == PLEAT_F64) {
            s->checks++;
            pleat_rng_set(s->rng);
            status = (second ? pleat_gradgradcheck : pleat_gradcheck)(checked_function, s, in, s->sample->count, &opts);
        }
    end(scope);
    pleat_free(in);
    return status;
}

/* One thread against several with the grain cut to 1, so that even a sample as small as these is divided. */
static pleat_status threads(suite *s, const way *w, const char *check)
{
    s->check = check;
    s->checks++;
    outcome one = { .grad = NULL }, many = { .grad = NULL };
    const pleat_scope scope = pleat_scope_begin();
    pleat_status status = apply(s, w, &one);
    pleat_parallel_limit_grain(1);
    if (status == PLEAT_OK)
        status = pleat_set_threads(THREADS);
    if (status == PLEAT_OK)
        status = apply(s, w, &many);
    pleat_parallel_limit_grain(0);
    for (int k = 0; k < s->op->outputs && status == PLEAT_OK; k++)
        status = compare(s, "output", k, one.out[k], many.out[k], 0);
    for (int i = 0; i < s->sample->count && status == PLEAT_OK; i++)
        status = compare(s, "gradient of input", i, one.grad[i], many.grad[i], 0);
    end(scope);
    pleat_free(one.grad);
    pleat_free(many.grad);
    pleat_check();
    pleat_set_threads(1);
    return status;
}

/* The result against what a gradient reads that it is made again for: that of w in w y, which is y, to the bit. */
static pleat_status made_again(suite *s, pleat_dtype dtype)
{
    s->check = "made again";
    s->checks++;
    const pleat_scope scope = pleat_scope_begin();
    pleat_tensor **in = pointers(s->sample->count), *out[PLEAT_MAX_OUTPUTS], *again;
    pleat_status status = wanted_copies(s, dtype, in);
    pleat_rng_set(s->rng);
    if (status == PLEAT_OK)
        status = pleat_apply_all(s->op, in, s->sample->count, s->sample->params, out);
    if (status == PLEAT_OK) {
        pleat_tensor *one = pleat_ones(pleat_shape_of(out[0]), pleat_dtype_of(out[0]));
        pleat_tensor *w = pleat_set_requires_grad(pleat_clone(one), true), *product = pleat_mul(out[0], w);
        status = pleat_gradients(&product, 1, &w, 1, &(pleat_gradients_opts){ .grad_outputs = &one }, &again);
    }
    if (status == PLEAT_OK)
        status = compare(s, "output", 0, again, out[0], 0);
    end(scope);
    pleat_free(in);
    return status;
}

static bool takes_f32(const pleat_op *op, const pleat_op_sample *sample)
{
    for (int i = 0; i < sample->count; i++) {
        const unsigned dtypes = op->dtypes[op->inputs == PLEAT_VARIADIC ? 0 : i];
        if (sample->in[i] && is_float(sample->in[i]) && dtypes != 0 && !(dtypes & 1u << PLEAT_F32))
            return false;
    }
    return true;
}

static pleat_status check_sample(suite *s)
{
    const pleat_op *op = s->op;
    const bool gradient = op->backward || op->backward_kernel, by_ops = op->backward && !s->sample->no_second;
    const way plain = { .dtype = PLEAT_F64, .only = ALL };
    const way ops = { .dtype = PLEAT_F64, .only = ALL, .by_ops = by_ops };
    pleat_status status = PLEAT_OK;
    if (gradient)
        status = differences(s, false);
    if (status == PLEAT_OK && by_ops)
        status = differences(s, true);
    if (status == PLEAT_OK && by_ops && op->backward_kernel)
        status = same_in(s, "backward_kernel against backward", &plain, &ops, CLOSE);
    for (int i = 0; i < s->sample->count && status == PLEAT_OK; i++) {
        if (!s->checked[i])
            continue;
        way alone = plain;
        alone.only = i;
        status = same_in(s, "one input alone wanted", &alone, &plain, CLOSE);
        if (status == PLEAT_OK && by_ops && op->backward_kernel) {
            alone.by_ops = true;
            status = same_in(s, "one input alone wanted, by backward", &alone, &ops, CLOSE);
        }
    }
    way other = plain;
    other.strided = true;
    if (status == PLEAT_OK) {
        status = same_in(s, "non-contiguous", &other, &plain, CLOSE);
        /* some views exist of contiguous inputs only; the op's own refusal has been told, a difference found here not
         */
        if (status == PLEAT_ESHAPE && !op->forward && pleat_pending() == PLEAT_OK)
            status = PLEAT_OK;
    }
    other.by_ops = by_ops;
    if (status == PLEAT_OK && by_ops && op->backward_kernel)
        status = same_in(s, "non-contiguous, by backward", &other, &ops, CLOSE);
    if (status == PLEAT_OK)
        status = threads(s, &plain, "one against several threads");
    if (status == PLEAT_OK && op->remake)
        status = made_again(s, PLEAT_F64);
    if (status != PLEAT_OK || !takes_f32(op, s->sample))
        return status;
    if (op->remake)
        status = made_again(s, PLEAT_F32);
    other = plain;
    other.dtype = PLEAT_F32;
    if (status == PLEAT_OK)
        status = threads(s, &other, "one against several threads, float32");
    return status == PLEAT_OK ? same_in(s, "float32 against float64", &other, &plain, CLOSE_F32) : status;
}

static pleat_status run_suite(suite *s)
{
    const pleat_op_sample *sample = s->sample;
    if (sample->count < 1 || !sample->in)
        return pleat_fail(PLEAT_EINVAL, "a sample needs inputs");
    s->checked = pleat_alloc_zeroed((size_t)sample->count * sizeof *s->checked);
    if (!s->checked)
        return pleat_check();
    bool any = false;
    for (int i = 0; i < sample->count; i++)
        any |= sample->in[i] && pleat_requires_grad(sample->in[i]);
    pleat_status status = PLEAT_OK;
    for (int i = 0; i < sample->count && status == PLEAT_OK; i++) {
        const pleat_tensor *t = sample->in[i];
        if (!t)
            continue;
        s->checked[i] = any ? pleat_requires_grad(t) : is_float(t);
        if (pleat_dtype_of(t) == PLEAT_F32)
            status = pleat_fail(PLEAT_EDTYPE, "input %d is float32; samples are float64", i);
    }
    if (status == PLEAT_OK)
        status = check_sample(s);
    pleat_free(s->checked);
    return status;
}

pleat_status pleat_op_check(const pleat_op *op, const pleat_op_sample *samples, int count,
                            pleat_op_check_count *counted)
{
    if (counted)
        *counted = (pleat_op_check_count){ 0 };
    if (pleat_pending() != PLEAT_OK)
        return pleat_check();
    if (!op || !samples || count < 1)
        return pleat_tell(pleat_fail(PLEAT_EINVAL, "op_check: an op and its samples are needed"));
    const pleat_rng_state rng = pleat_rng_get();
    const int before = pleat_threads();
    const pleat_scope scope = pleat_scope_begin();
    pleat_grad_mode(true);
    pleat_status status = pleat_check();
    if (status == PLEAT_OK)
        status = pleat_set_threads(1); /* thousands of small runs, which waiting for workers would slow down */
    for (int i = 0; i < count && status == PLEAT_OK; i++) {
        suite s = { .op = op, .sample = &samples[i], .rng = rng, .check = "sample" };
        status = run_suite(&s);
        pleat_check();
        if (status != PLEAT_OK) {
            char text[1024];
            snprintf(text, sizeof text, "%s", pleat_error());
            pleat_fail(status, "op_check: %s, sample %d%s%s: %s", op->name, i, samples[i].name ? " " : "",
                       samples[i].name ? samples[i].name : "", text);
        }
        if (counted) {
            counted->samples++;
            counted->checks += s.checks;
        }
    }
    pleat_check();
    end(scope);
    pleat_rng_set(rng);
    pleat_set_threads(before);
    return status;
}
