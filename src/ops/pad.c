/* pad and its adjoint; and what is a padding too: repeat and roll, which wrap around.
 *
 * Padding is separable: along each dimension every place of the result reads one place of x, or none. Such a map is a
 * few runs (before, inside, behind), written down once per call; the kernels then walk rows. The adjoint sums each
 * place of x over the places that read it, listed beforehand, so that a worker owns what it writes to. That of padding
 * with a constant, or of rolling, is padding by less than nothing. */
#include "kernels/move.h"
#include "ops/enter.h"
#include "ops/ops.h"
#include "tensor/memory.h"
#include "tensor/tensor.h"

#include <pleat/ops.h>

#include <inttypes.h>
#include <string.h>

enum { GRAIN = 1 << 15 };

typedef struct {
    pleat_pad_mode mode;
    int64_t before[PLEAT_MAX_DIMS], after[PLEAT_MAX_DIMS]; /* of each of x's dimensions */
    double value;
    pleat_shape x; /* for the adjoint: the shape to go back to */
} pad_params;

/* ---- Maps ---- */

/* One dimension: size places of x, before and behind which there is padding up to `places`. */
typedef struct {
    pleat_pad_mode mode;
    int64_t size, before, places;
} axis;

/* The longest run of the map from place `to` on. */
static pleat_run run_at(const axis *a, int64_t to)
{
    const int64_t n = a->size, i = to - a->before, rest = a->places - to; /* i: counted in x */
    pleat_run r = { .to = to, .from = i, .step = 1, .n = n - i };
    if (a->mode == PLEAT_PAD_CIRCULAR && n > 1) {
        r.from = i % n + (i % n < 0 ? n : 0);
        r.n = n - r.from;
    } else if (i < 0 || i >= n) {
        r.n = i < 0 ? -i : rest;
        r.step = a->mode == PLEAT_PAD_REFLECT ? -1 : 0;
        r.from = a->mode == PLEAT_PAD_CONSTANT  ? -1
                 : a->mode == PLEAT_PAD_REFLECT ? (i < 0 ? -i : 2 * (n - 1) - i)
                                                : (i < 0 ? 0 : n - 1);
    }
    r.n = r.n < rest ? r.n : rest;
    return r;
}

static int64_t runs_at_most(const axis *a)
{
    return a->mode == PLEAT_PAD_CIRCULAR && a->size > 1 ? a->places / a->size + 2 : 3;
}

static int64_t runs_of(const axis *a, pleat_run *run)
{
    int64_t n = 0;
    for (int64_t to = 0; to < a->places; to += run[n++].n)
        run[n] = run_at(a, to);
    return n;
}

static void map_of(const axis *a, int64_t *map)
{
    for (int64_t to = 0; to < a->places;) {
        const pleat_run r = run_at(a, to);
        for (int64_t k = 0; k < r.n; k++)
            map[to++] = r.from < 0 ? -1 : r.from + k * r.step;
    }
}

/* The places that read place p: list[first[p]] to list[first[p + 1] - 1], in order. */
static void inverse_of(const axis *a, int64_t *first, int64_t *list)
{
    for (int64_t p = 0; p <= a->size; p++)
        first[p] = 0;
    for (int64_t to = 0; to < a->places;) {
        const pleat_run r = run_at(a, to);
        for (int64_t k = 0; k < r.n && r.from >= 0; k++)
            first[r.from + k * r.step + 1]++;
        to += r.n;
    }
    for (int64_t p = 0; p < a->size; p++)
        first[p + 1] += first[p];
    for (int64_t to = 0; to < a->places;) { /* this moves each first to the next one's */
        const pleat_run r = run_at(a, to);
        for (int64_t k = 0; k < r.n && r.from >= 0; k++)
            list[first[r.from + k * r.step]++] = to + k;
        to += r.n;
    }
    for (int64_t p = a->size; p > 0; p--)
        first[p] = first[p - 1];
    first[0] = 0;
}

/* ---- Running the kernels ---- */

static void map_rows(int64_t begin, int64_t end, void *ctx)
{
    pleat_kernels_get()->move->map(ctx, begin, end);
}

static void map_sum_rows(int64_t begin, int64_t end, void *ctx)
{
    pleat_kernels_get()->move->map_sum(ctx, begin, end);
}

/* The dimensions of x. Those that stay as they are and lie right inside each other are merged, and with the one before
 * them as far as all its places are padding or none: only up to a row that is long enough, as rows are what is shared
 * out. */
static int axes_of(const pad_params *p, pleat_shape x, const int64_t *stride, axis *a, int64_t *a_stride)
{
    const bool blocks = p->mode == PLEAT_PAD_CONSTANT || p->mode == PLEAT_PAD_CIRCULAR;
    int first = PLEAT_MAX_DIMS; /* from the last dimension down */
    for (int d = x.ndim - 1; d >= 0; d--) {
        const bool stays = p->before[d] == 0 && p->after[d] == 0;
        const int64_t places = x.dim[d] + p->before[d] + p->after[d];
        if (stays && x.dim[d] == 1)
            continue;
        axis *inner = first < PLEAT_MAX_DIMS ? &a[first] : NULL;
        if (inner && inner->before == 0 && inner->places == inner->size && stride[d] == a_stride[first] * inner->size &&
            (stays || (blocks && places * inner->size <= GRAIN))) {
            *inner = (axis){ p->mode, x.dim[d] * inner->size, p->before[d] * inner->size, places * inner->size };
        } else {
            a[--first] = (axis){ p->mode, x.dim[d], p->before[d], places };
            a_stride[first] = stride[d];
        }
    }
    while (first > PLEAT_MAX_DIMS - 2) {
        a[--first] = (axis){ p->mode, 1, 0, 1 };
        a_stride[first] = 1;
    }
    const int n = PLEAT_MAX_DIMS - first;
    memmove(a, a + first, (size_t)n * sizeof *a);
    memmove(a_stride, a_stride + first, (size_t)n * sizeof *a_stride);
    return n;
}

/* write = pad(read), or with adjoint set the other way round; x is the shape of what is not padded. */
static pleat_status run(const pad_params *p, pleat_shape x, const pleat_tensor *read, pleat_tensor *write, bool adjoint)
{
    axis a[PLEAT_MAX_DIMS];
    pleat_map_places w = { .dtype = read->dtype,
                           .value = p->value,
                           .read = pleat_tensor_address(read),
                           .write = pleat_tensor_address(write) };
    if (write->numel == 0)
        return PLEAT_OK;
    w.ndim = axes_of(p, x, read->stride, a, w.stride);
    const int last = w.ndim - 1;
    int64_t numbers = 0;
    for (int d = 0; d < last; d++)
        numbers += a[d].places + (adjoint ? a[d].size + 1 : 0);
    const int64_t runs = runs_at_most(&a[last]);
    pleat_run *run = pleat_alloc((size_t)runs * sizeof *run + (size_t)numbers * sizeof(int64_t));
    if (!run)
        return PLEAT_ENOMEM;
    int64_t *next = (int64_t *)(void *)(run + runs);
    w.run = run;
    w.runs = runs_of(&a[last], run);
    for (int d = 0; d < w.ndim; d++) {
        w.to_dim[d] = a[d].places;
        w.from_dim[d] = a[d].size;
        if (d == last)
            continue;
        w.map[d] = w.list[d] = next;
        next += a[d].places;
        w.first[d] = next;
        if (adjoint) {
            inverse_of(&a[d], next, next - a[d].places);
            next += a[d].size + 1;
        } else
            map_of(&a[d], next - a[d].places);
    }
    const int64_t row = adjoint ? w.from_dim[last] : w.to_dim[last];
    pleat_parallel_for(write->numel / row, GRAIN / row, adjoint ? map_sum_rows : map_rows, &w);
    pleat_free(run);
    return PLEAT_OK;
}

/* ---- The ops ---- */

static const char *const mode_names[] = { "constant", "reflect", "replicate", "circular" };

static pleat_status padded(const pad_params *p, pleat_shape x, pleat_shape *out)
{
    *out = x;
    for (int d = 0; d < x.ndim; d++) {
        const int64_t n = x.dim[d], before = p->before[d], after = p->after[d];
        if (__builtin_add_overflow(n, before, &out->dim[d]) ||
            __builtin_add_overflow(out->dim[d], after, &out->dim[d]) ||
            __builtin_add_overflow(n, after, &(int64_t){ 0 }) || before == INT64_MIN)
            return pleat_fail(PLEAT_EINVAL, "padding %" PRId64 " and %" PRId64 " of dimension %d is too large", before,
                              after, d);
        if (out->dim[d] < 0)
            return pleat_fail(PLEAT_EINVAL,
                              "padding %" PRId64 " and %" PRId64 " takes more from dimension %d of %s than it has",
                              before, after, d, pleat_shape_text(x).text);
        if (p->mode == PLEAT_PAD_REFLECT && (before > 0 || after > 0) && (before >= n || after >= n))
            return pleat_fail(PLEAT_EINVAL,
                              "reflect reaches less far than the size: padding %" PRId64 " and %" PRId64
                              " of dimension %d of %s",
                              before, after, d, pleat_shape_text(x).text);
        if (p->mode != PLEAT_PAD_CONSTANT && n == 0 && out->dim[d] > 0)
            return pleat_fail(PLEAT_EINVAL, "there is nothing to %s in dimension %d of %s",
                              p->mode == PLEAT_PAD_CIRCULAR ? "repeat" : mode_names[p->mode], d,
                              pleat_shape_text(x).text);
    }
    return PLEAT_OK;
}

static bool holds(pleat_dtype dtype, double value)
{
    return pleat_dtype_is_float(dtype) ||
           (dtype == PLEAT_U8 ? value >= 0 && value < 256 : value >= -0x1p63 && value < 0x1p63);
}

static pleat_status pad_infer(const pleat_call *call, pleat_spec *out)
{
    const pad_params *p = call->params;
    const pleat_spec *x = &call->in_spec[0];
    if ((unsigned)p->mode > PLEAT_PAD_CIRCULAR)
        return pleat_fail(PLEAT_EINVAL, "%d is no mode", (int)p->mode);
    if (p->mode == PLEAT_PAD_CONSTANT && !holds(x->dtype, p->value))
        return pleat_fail(PLEAT_EINVAL, "the value %g is no %s", p->value, pleat_dtype_name(x->dtype));
    out[0] = (pleat_spec){ .dtype = x->dtype };
    return padded(p, x->shape, &out[0].shape);
}

static pleat_status pad_forward(pleat_call *call)
{
    return run(call->params, call->in_spec[0].shape, call->in[0], call->out[0], false);
}

static pleat_status pad_backward(pleat_call *call)
{
    pad_params p = *(const pad_params *)call->params;
    p.x = call->in_spec[0].shape;
    bool rolls = p.mode == PLEAT_PAD_CIRCULAR;
    for (int d = 0; d < p.x.ndim; d++)
        rolls &= p.before[d] + p.after[d] == 0;
    const bool back = rolls || p.mode == PLEAT_PAD_CONSTANT; /* what is put around is cut off, and so on */
    for (int d = 0; d < p.x.ndim && back; d++) {
        p.before[d] = -p.before[d];
        p.after[d] = -p.after[d];
    }
    p.value = 0;
    call->grad_in[0] = pleat_apply(back ? &pleat_op_pad : &pleat_op_pad_adjoint, call->grad_out, 1, &p);
    return PLEAT_OK;
}

const pleat_op pleat_op_pad = {
    .name = "pad",
    .inputs = 1,
    .outputs = 1,
    .strided = PLEAT_ALL_IN,
    .dtypes = { PLEAT_ANY_DTYPE },
    .params_size = sizeof(pad_params),
    .infer = pad_infer,
    .forward = pad_forward,
    .backward = pad_backward,
};

static pleat_status pad_adjoint_infer(const pleat_call *call, pleat_spec *out)
{
    const pad_params *p = call->params;
    pleat_shape shape;
    if (padded(p, p->x, &shape) != PLEAT_OK)
        return pleat_pending();
    if (!pleat_shape_equal(shape, call->in_spec[0].shape))
        return pleat_fail(PLEAT_ESHAPE, "input %s is not what padding makes of %s, %s",
                          pleat_shape_text(call->in_spec[0].shape).text, pleat_shape_text(p->x).text,
                          pleat_shape_text(shape).text);
    out[0] = (pleat_spec){ .dtype = call->in_spec[0].dtype, .shape = p->x };
    return PLEAT_OK;
}

static pleat_status pad_adjoint_forward(pleat_call *call)
{
    return run(call->params, call->out_spec[0].shape, call->in[0], call->out[0], true);
}

static pleat_status pad_adjoint_backward(pleat_call *call)
{
    pad_params p = *(const pad_params *)call->params;
    p.value = 0;
    call->grad_in[0] = pleat_apply(&pleat_op_pad, call->grad_out, 1, &p);
    return PLEAT_OK;
}

const pleat_op pleat_op_pad_adjoint = {
    .name = "pad_adjoint",
    .inputs = 1,
    .outputs = 1,
    .strided = PLEAT_ALL_IN,
    .params_size = sizeof(pad_params),
    .infer = pad_adjoint_infer,
    .forward = pad_adjoint_forward,
    .backward = pad_adjoint_backward,
};

/* ---- The functions ---- */

/* As PyTorch does it, what circular padding repeats is what is left when negative paddings have cut something off. */
static pleat_tensor *cut(pleat_tensor *x, pad_params *p)
{
    for (int d = 0; x && d < x->shape.ndim; d++) {
        const int64_t front = p->before[d] < 0 ? -p->before[d] : 0, back = p->after[d] < 0 ? -p->after[d] : 0;
        const int64_t n = x->shape.dim[d] - front - back;
        if (front + back > 0) {
            x = pleat_narrow(x, d, front, n);
            p->before[d] = p->before[d] < 0 ? 0 : p->before[d];
            p->after[d] = p->after[d] < 0 ? 0 : p->after[d];
        }
        if (p->before[d] > n || p->after[d] > n) {
            pleat_fail(PLEAT_EINVAL,
                       "circular wraps around once at most: padding %" PRId64 " and %" PRId64 " of %" PRId64
                       " places in dimension %d",
                       p->before[d], p->after[d], n, d);
            return NULL;
        }
    }
    return x;
}

pleat_tensor *pleat_pad(pleat_tensor *x, const int64_t *pads, int count, const pleat_pad_opts *opts)
{
    const char *context;
    if (!pleat_enter("pad", x, &context))
        return pleat_leave(context, NULL);
    pad_params p = { .mode = opts ? opts->mode : PLEAT_PAD_CONSTANT, .value = opts ? opts->value : 0 };
    const int ndim = x->shape.ndim;
    if (count < 0 || count % 2 != 0 || count > 2 * ndim || (count > 0 && !pads)) {
        pleat_fail(PLEAT_EINVAL, "%d paddings: %s takes an even number, at most %d", count,
                   pleat_shape_text(x->shape).text, 2 * ndim);
        return pleat_leave(context, NULL);
    }
    for (int i = 0; i < count / 2; i++) {
        p.before[ndim - 1 - i] = pads[2 * i];
        p.after[ndim - 1 - i] = pads[2 * i + 1];
    }
    pleat_shape shape;
    if (padded(&p, x->shape, &shape) == PLEAT_OK && p.mode == PLEAT_PAD_CIRCULAR)
        x = cut(x, &p);
    return pleat_leave(context, pleat_pending() == PLEAT_OK ? pleat_apply(&pleat_op_pad, &x, 1, &p) : NULL);
}

pleat_tensor *pleat_repeat(pleat_tensor *x, pleat_shape times)
{
    const char *context;
    if (!pleat_enter("repeat", x, &context))
        return pleat_leave(context, NULL);
    const int more = times.ndim - x->shape.ndim;
    pad_params p = { .mode = PLEAT_PAD_CIRCULAR };
    pleat_shape shape = { .ndim = times.ndim };
    if (times.ndim > PLEAT_MAX_DIMS || more < 0)
        pleat_fail(PLEAT_ESHAPE, "%d counts for %s: one for each dimension, and more before them, up to %d", times.ndim,
                   pleat_shape_text(x->shape).text, PLEAT_MAX_DIMS);
    for (int d = 0; d < times.ndim && pleat_pending() == PLEAT_OK; d++) {
        shape.dim[d] = d < more ? 1 : x->shape.dim[d - more];
        if (times.dim[d] < 0 || __builtin_mul_overflow(shape.dim[d], times.dim[d] - 1, &p.after[d]))
            pleat_fail(PLEAT_EINVAL, "%s cannot be repeated %s times", pleat_shape_text(x->shape).text,
                       pleat_shape_text(times).text);
    }
    if (pleat_pending() == PLEAT_OK && more > 0)
        x = pleat_reshape(x, shape);
    return pleat_leave(context, pleat_pending() == PLEAT_OK ? pleat_apply(&pleat_op_pad, &x, 1, &p) : NULL);
}

/* What goes over the end comes back at the front: padding by as much as is cut off behind. */
static pleat_tensor *rolled(pleat_tensor *x, pleat_shape shifts, pleat_dims dims)
{
    pad_params p = { .mode = PLEAT_PAD_CIRCULAR };
    for (int i = 0; i < dims.count; i++) {
        int d;
        if (pleat_resolve_dim(dims.dim[i], x->shape.ndim, &d) != PLEAT_OK)
            return NULL;
        const int64_t n = x->shape.dim[d] > 0 && x->shape.ndim > 0 ? x->shape.dim[d] : 1;
        p.before[d] = (p.before[d] + shifts.dim[i] % n + n) % n;
        p.after[d] = -p.before[d];
    }
    return pleat_apply(&pleat_op_pad, &x, 1, &p);
}

pleat_tensor *pleat_roll(pleat_tensor *x, pleat_shape shifts, pleat_dims dims)
{
    const char *context;
    if (!pleat_enter("roll", x, &context))
        return pleat_leave(context, NULL);
    pleat_tensor *y = NULL;
    const pleat_shape shape = x->shape;
    if (shifts.ndim < 1 || shifts.ndim > PLEAT_MAX_DIMS || shifts.ndim != (dims.count == 0 ? 1 : dims.count))
        pleat_fail(PLEAT_EINVAL, "%d shifts for %d dimensions: one for each, or one and no dimension", shifts.ndim,
                   dims.count);
    else if (dims.count > 0)
        y = rolled(x, shifts, dims);
    else if ((y = pleat_reshape(x, PLEAT_SHAPE(x->numel))) && (y = rolled(y, shifts, PLEAT_DIMS(0))))
        y = pleat_reshape(y, shape);
    return pleat_leave(context, y);
}
