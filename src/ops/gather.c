/* Elements picked and put by indices: gather and scatter_add, each the other's gradient; index_select and index_add,
 * the same with one index for all lines; scatter, which replaces; scatter_multiply, a scatter and a product.
 *
 * Lines run along the indexed dimension. A line is one worker's, and its places are gone through in order: where an
 * index occurs twice, sums have the same bits for any number of threads, and the last element that replaces wins. */
#include "kernels/move.h"
#include "ops/enter.h"
#include "ops/ops.h"
#include "tensor/memory.h"
#include "tensor/shape.h"
#include "tensor/tensor.h"

#include <pleat/ops.h>

#include <inttypes.h>
#include <string.h>

enum {
    GRAIN = 1 << 15,
    LEAST_LINES = 16, /* fewer lines side by side would share cache lines among workers */
    LONG_ROW = 64,
    FEW = 16 /* rows, which no worker waits for */
};

#define INDEX PLEAT_DTYPES(PLEAT_I64)

/* ---- Checking indices ---- */

typedef struct {
    const int64_t *index;
    int64_t size, *bad; /* bad: the first one that each worker found */
} search;

static void search_chunk(int64_t begin, int64_t end, void *ctx)
{
    const search *s = ctx;
    const int64_t at = begin + pleat_kernels_get()->move->outside(s->index + begin, end - begin, s->size);
    int64_t *bad = &s->bad[pleat_worker()];
    if (at < end && at < *bad)
        *bad = at;
}

/* Whether all of index, which is contiguous, are places of the dimension of x; an error that names the first that is
 * not. */
static pleat_status check_index(const pleat_tensor *index, pleat_shape x, int dim)
{
    const int workers = pleat_threads();
    search s = { .index = (const int64_t *)(const void *)pleat_tensor_address(index),
                 .size = x.ndim > 0 ? x.dim[dim] : 1,
                 .bad = pleat_alloc((size_t)workers * sizeof *s.bad) };
    if (!s.bad)
        return PLEAT_ENOMEM;
    for (int i = 0; i < workers; i++)
        s.bad[i] = index->numel;
    pleat_parallel_for(index->numel, GRAIN, search_chunk, &s);
    int64_t first = index->numel;
    for (int i = 0; i < workers; i++)
        first = s.bad[i] < first ? s.bad[i] : first;
    pleat_free(s.bad);
    if (first == index->numel)
        return PLEAT_OK;
    pleat_shape place = index->shape;
    int64_t rest = first;
    for (int d = place.ndim - 1; d >= 0; d--) {
        place.dim[d] = rest % index->shape.dim[d];
        rest /= index->shape.dim[d];
    }
    return pleat_fail(PLEAT_EINVAL,
                      "index %" PRId64 " at %s is not in [0, %" PRId64 "), the places in dimension %d of %s",
                      s.index[first], pleat_shape_text(place).text, s.size, dim, pleat_shape_text(x).text);
}

/* ---- Running the kernels ---- */

typedef struct {
    pleat_index_work work;
    void (*kernel)(const pleat_index_work *work, int64_t begin, int64_t end);
} job;

static void lines(int64_t begin, int64_t end, void *ctx)
{
    const job *j = ctx;
    j->kernel(&j->work, begin, end);
}

/* Goes through index: of `shape`'s dimensions where flat is not set, else along dim alone. `here` has a place for each,
 * `there` is what the index points into. Where each index picks a long row the places of dim are lines like others, of
 * length 1: `here` is then written from front to back. */
static void run(void (*kernel)(const pleat_index_work *, int64_t, int64_t), int dim, pleat_shape shape,
                const pleat_tensor *index, bool flat, const pleat_tensor *here, const pleat_tensor *there)
{
    job j = { .kernel = kernel,
              .work = { .dtype = here->dtype,
                        .length = 1,
                        .index = (const int64_t *)(const void *)pleat_tensor_address(index),
                        .here = pleat_tensor_address(here),
                        .there = pleat_tensor_address(there) } };
    pleat_index_work *w = &j.work;
    int64_t stride[3][PLEAT_MAX_DIMS], count = 1, row = 1;
    for (int d = dim + 1; d < shape.ndim; d++)
        row *= shape.dim[d];
    const bool rows = flat && row >= LONG_ROW && kernel == pleat_kernels_get()->move->gather;
    const int64_t index_step = index->shape.ndim > 0 ? index->stride[flat ? 0 : dim] : 0;
    w->there_step = there->shape.ndim > 0 ? there->stride[dim] : 0;
    for (int d = 0; d < shape.ndim; d++) {
        if (d == dim && !rows) {
            w->length = shape.dim[d];
            w->index_step = index_step;
            w->here_step = here->shape.ndim > 0 ? here->stride[d] : 0;
            continue;
        }
        count *= shape.dim[d];
        w->dim[w->ndim] = shape.dim[d];
        stride[0][w->ndim] = d == dim ? index_step : flat ? 0 : index->stride[d];
        stride[1][w->ndim] = here->stride[d];
        stride[2][w->ndim++] = d == dim ? 0 : there->stride[d];
    }
    pleat_merge_dims(&w->ndim, w->dim, stride, 3);
    memcpy(w->index_stride, stride[0], sizeof stride[0]);
    memcpy(w->here_stride, stride[1], sizeof stride[1]);
    memcpy(w->there_stride, stride[2], sizeof stride[2]);
    if (flat && !rows) /* merging gives a single line the stride 1 */
        memset(w->index_stride, 0, sizeof w->index_stride);
    if (count == 0 || w->length == 0)
        return;
    const int64_t grain = GRAIN / w->length;
    pleat_parallel_for(count, grain < LEAST_LINES ? LEAST_LINES : grain, lines, &j);
}

/* ---- Shapes ---- */

/* A tensor without a dimension is taken for one of a single place. */
static pleat_shape at_least_1d(pleat_shape s)
{
    return s.ndim > 0 ? s : PLEAT_SHAPE(1);
}

static pleat_status check_within(pleat_shape index, const char *name, pleat_shape x, int but)
{
    const pleat_shape room = at_least_1d(x);
    if (at_least_1d(index).ndim != room.ndim)
        return pleat_fail(PLEAT_ESHAPE, "index %s and %s %s must have as many dimensions", pleat_shape_text(index).text,
                          name, pleat_shape_text(x).text);
    for (int d = 0; d < index.ndim; d++)
        if (d != but && index.dim[d] > room.dim[d])
            return pleat_fail(PLEAT_ESHAPE, "index %s reaches beyond %s %s in dimension %d",
                              pleat_shape_text(index).text, name, pleat_shape_text(x).text, d);
    return PLEAT_OK;
}

/* The dimension of the params, which infer has found to be there, from 0 up. */
static int dim_of(const pleat_call *call)
{
    int dim = *(const int *)call->params;
    pleat_resolve_dim(dim, call->in_spec[0].shape.ndim, &dim);
    return dim;
}

/* ---- gather ---- */

static pleat_status gather_infer(const pleat_call *call, pleat_spec *out)
{
    const pleat_shape x = call->in_spec[0].shape, index = call->in_spec[1].shape;
    int dim;
    out[0] = (pleat_spec){ .dtype = call->in_spec[0].dtype, .shape = index };
    if (pleat_resolve_dim(*(const int *)call->params, x.ndim, &dim) != PLEAT_OK)
        return PLEAT_EINVAL;
    return pleat_shape_numel(index) == 0 ? PLEAT_OK : check_within(index, "input", x, dim);
}

static pleat_status gather_forward(pleat_call *call)
{
    const int dim = dim_of(call);
    const pleat_tensor *x = call->in[0], *index = call->in[1];
    if (check_index(index, x->shape, dim) != PLEAT_OK)
        return pleat_pending();
    if (index->numel > 0)
        run(pleat_kernels_get()->move->gather, dim, at_least_1d(index->shape), index, false, call->out[0], x);
    return PLEAT_OK;
}

/* Zeros to add to: one, as it is copied anyway. */
static pleat_tensor *zeros(const pleat_spec *x)
{
    return pleat_expand(pleat_zeros(PLEAT_SHAPE(), x->dtype), x->shape);
}

static pleat_status gather_backward(pleat_call *call)
{
    if (pleat_wants(call, 0) && pleat_numel(call->grad_out[0]) > 0)
        call->grad_in[0] = pleat_scatter_add(zeros(&call->in_spec[0]), dim_of(call), call->in[1], call->grad_out[0]);
    return PLEAT_OK;
}

const pleat_op pleat_op_gather = {
    .name = "gather",
    .inputs = 2,
    .outputs = 1,
    .strided = PLEAT_IN(0),
    .dtypes = { PLEAT_ANY_DTYPE, INDEX },
    .params_size = sizeof(int),
    .keeps = { PLEAT_KEEP_IN(1) },
    .infer = gather_infer,
    .forward = gather_forward,
    .backward = gather_backward,
};

pleat_tensor *pleat_gather(pleat_tensor *x, int dim, pleat_tensor *index)
{
    return pleat_apply(&pleat_op_gather, (pleat_tensor *[]){ x, index }, 2, &dim);
}

/* ---- scatter, scatter_add ---- */

static pleat_status scatter_infer(const pleat_call *call, pleat_spec *out)
{
    const pleat_shape x = call->in_spec[0].shape, index = call->in_spec[1].shape, from = call->in_spec[2].shape;
    int dim;
    out[0] = (pleat_spec){ .dtype = call->in_spec[0].dtype, .shape = x };
    if (pleat_resolve_dim(*(const int *)call->params, x.ndim, &dim) != PLEAT_OK)
        return PLEAT_EINVAL;
    if (pleat_shape_numel(index) == 0)
        return PLEAT_OK;
    const pleat_status status = check_within(index, "input", x, dim);
    return status == PLEAT_OK ? check_within(index, "src", from, -1) : status;
}

static pleat_status scatter_forward_with(pleat_call *call, void (*kernel)(const pleat_index_work *, int64_t, int64_t))
{
    const int dim = dim_of(call);
    const pleat_tensor *index = call->in[1];
    pleat_tensor_assign(call->out[0], call->in[0]);
    if (index->numel == 0)
        return PLEAT_OK;
    if (check_index(index, call->in[0]->shape, dim) != PLEAT_OK)
        return pleat_pending();
    run(kernel, dim, at_least_1d(index->shape), index, false, call->in[2], call->out[0]);
    return PLEAT_OK;
}

static pleat_status scatter_forward(pleat_call *call)
{
    return scatter_forward_with(call, pleat_kernels_get()->move->scatter);
}

static pleat_status scatter_add_forward(pleat_call *call)
{
    return scatter_forward_with(call, pleat_kernels_get()->move->scatter_add);
}

/* src may be larger than index: what is not read has no gradient. */
static pleat_tensor *grow(pleat_tensor *g, pleat_shape src)
{
    const pleat_shape to = at_least_1d(src);
    int64_t pads[2 * PLEAT_MAX_DIMS] = { 0 };
    if (!g || pleat_shape_equal(g->shape, src))
        return g;
    g = pleat_reshape(g, at_least_1d(g->shape));
    for (int d = 0; g && d < to.ndim; d++)
        pads[2 * (to.ndim - 1 - d) + 1] = to.dim[d] - g->shape.dim[d];
    return pleat_reshape(pleat_pad(g, pads, 2 * to.ndim, NULL), src);
}

static pleat_status scatter_add_backward(pleat_call *call)
{
    call->grad_in[0] = call->grad_out[0];
    if (pleat_wants(call, 2) && pleat_numel(call->in[1]) > 0)
        call->grad_in[2] = grow(pleat_gather(call->grad_out[0], dim_of(call), call->in[1]), call->in_spec[2].shape);
    return PLEAT_OK;
}

/* 1 for each place of index whose element the result holds, 0 for those that a later one has replaced: scatter each
 * element's own place and look which one comes back. */
static pleat_tensor *winners(pleat_tensor *index, int dim, pleat_shape x, pleat_dtype dtype)
{
    const pleat_shape shape = at_least_1d(index->shape);
    pleat_shape ramp = { .ndim = shape.ndim };
    for (int d = 0; d < ramp.ndim; d++)
        ramp.dim[d] = d == dim ? shape.dim[d] : 1;
    pleat_tensor *place = pleat_reshape(pleat_arange(0, (double)shape.dim[dim], 1, PLEAT_I64), ramp);
    place = pleat_reshape(pleat_expand(place, shape), index->shape);
    pleat_tensor *last = pleat_gather(pleat_scatter(pleat_zeros(x, PLEAT_I64), dim, index, place), dim, index);
    pleat_tensor *behind = pleat_sub(pleat_cast(last, PLEAT_F64), pleat_cast(place, PLEAT_F64)); /* 0 or more */
    return pleat_cast(pleat_affine(pleat_clamp(behind, 0, 1), -1, 1), dtype);
}

static pleat_status scatter_backward(pleat_call *call)
{
    const int dim = dim_of(call);
    pleat_tensor *g = call->grad_out[0], *index = call->in[1];
    if (pleat_numel(index) == 0) {
        call->grad_in[0] = g;
        return PLEAT_OK;
    }
    if (pleat_wants(call, 0))
        call->grad_in[0] = pleat_scatter(g, dim, index, pleat_zeros(pleat_shape_of(index), pleat_dtype_of(g)));
    if (pleat_wants(call, 2)) {
        pleat_tensor *mask = winners(index, dim, call->in_spec[0].shape, pleat_dtype_of(g));
        call->grad_in[2] = grow(pleat_mul(pleat_gather(g, dim, index), mask), call->in_spec[2].shape);
    }
    return PLEAT_OK;
}

#define SCATTER(op)                                                                                                    \
    .name = #op, .inputs = 3, .outputs = 1, .strided = PLEAT_IN(0) | PLEAT_IN(2),                                      \
    .dtypes = { PLEAT_ANY_DTYPE, INDEX, PLEAT_ANY_DTYPE }, .params_size = sizeof(int), .infer = scatter_infer,         \
    .forward = op##_forward, .backward = op##_backward

const pleat_op pleat_op_scatter = { SCATTER(scatter), .keeps = { PLEAT_KEEP_IN(1), 0, PLEAT_KEEP_IN(1) } };
const pleat_op pleat_op_scatter_add = { SCATTER(scatter_add), .keeps = { 0, 0, PLEAT_KEEP_IN(1) } };

pleat_tensor *pleat_scatter(pleat_tensor *x, int dim, pleat_tensor *index, pleat_tensor *src)
{
    return pleat_apply(&pleat_op_scatter, (pleat_tensor *[]){ x, index, src }, 3, &dim);
}

pleat_tensor *pleat_scatter_add(pleat_tensor *x, int dim, pleat_tensor *index, pleat_tensor *src)
{
    return pleat_apply(&pleat_op_scatter_add, (pleat_tensor *[]){ x, index, src }, 3, &dim);
}

/* ---- scatter_multiply ---- */

/* A place of x and all the elements that go there, side by side, so that no place of theirs is used twice: that is a
 * scatter, whose last dimension's product is the result. Where each element of index goes, in rows of `most` + 1, of
 * which x has the first; and how many the most is. NULL with an error. */
static pleat_tensor *side_by_side(pleat_tensor *index, int dim, pleat_shape x, int64_t *most)
{
    const pleat_shape shape = at_least_1d(index->shape);
    const int64_t places = at_least_1d(x).dim[dim], length = shape.dim[dim];
    int64_t inner = 1;
    for (int d = dim + 1; d < shape.ndim; d++)
        inner *= shape.dim[d];
    pleat_tensor *slot = pleat_empty(index->shape, PLEAT_I64);
    int64_t *seen = slot ? pleat_alloc((size_t)places * sizeof *seen) : NULL;
    if (!seen)
        return NULL;
    const int64_t *from = pleat_data_i64(index);
    int64_t *to = pleat_data_mut(slot);
    *most = 0;
    for (int pass = 0; pass < 2; pass++) /* count, then place */
        for (int64_t line = 0; line < index->numel / length; line++) {
            const int64_t first = line / inner * length * inner + line % inner;
            memset(seen, 0, (size_t)places * sizeof *seen);
            for (int64_t k = 0; k < length; k++) {
                const int64_t at = first + k * inner, times = ++seen[from[at]];
                *most = times > *most ? times : *most;
                to[at] = from[at] * (*most + 1) + times;
            }
        }
    pleat_free(seen);
    return slot;
}

static pleat_tensor *scatter_multiply(pleat_tensor *x, int dim, pleat_tensor *index, pleat_tensor *src)
{
    const pleat_shape shape = at_least_1d(x->shape);
    int64_t most;
    index = pleat_contiguous(index);
    if (!index || check_index(index, x->shape, dim) != PLEAT_OK)
        return NULL;
    pleat_tensor *slot = side_by_side(index, dim, x->shape, &most);
    if (!slot)
        return NULL;
    /* x with `most` ones behind each place, as one long dimension */
    pleat_shape wide = { .ndim = shape.ndim + 1 }, flat = shape;
    for (int d = 0; d < shape.ndim; d++)
        wide.dim[d <= dim ? d : d + 1] = shape.dim[d];
    wide.dim[dim + 1] = most;
    flat.dim[dim] *= most + 1;
    pleat_tensor *own = pleat_unsqueeze(pleat_reshape(x, shape), dim + 1), *ones = pleat_ones(wide, x->dtype);
    pleat_tensor *rows = pleat_reshape(pleat_cat((pleat_tensor *[]){ own, ones }, 2, dim + 1), flat);
    rows = pleat_scatter(rows, dim, pleat_reshape(slot, at_least_1d(slot->shape)),
                         pleat_reshape(src, at_least_1d(src->shape)));
    wide.dim[dim + 1] = most + 1;
    return pleat_reshape(pleat_prod(pleat_reshape(rows, wide), PLEAT_DIMS(dim + 1), false), x->shape);
}

pleat_tensor *pleat_scatter_multiply(pleat_tensor *x, int dim, pleat_tensor *index, pleat_tensor *src)
{
    const char *context;
    if (pleat_enter("scatter_multiply", x, &context) && (!index || !src))
        pleat_fail(PLEAT_EINVAL, "the %s is NULL", index ? "src" : "index");
    if (pleat_pending() != PLEAT_OK)
        return pleat_leave(context, NULL);
    if (!pleat_dtype_is_float(x->dtype) || x->dtype != src->dtype || index->dtype != PLEAT_I64)
        pleat_fail(PLEAT_EDTYPE, "input %s, index %s, src %s: must be float32 or float64, int64, and as the input",
                   pleat_dtype_name(x->dtype), pleat_dtype_name(index->dtype), pleat_dtype_name(src->dtype));
    else if (x->shape.ndim == PLEAT_MAX_DIMS)
        pleat_fail(PLEAT_ESHAPE, "input %s: up to %d dimensions", pleat_shape_text(x->shape).text, PLEAT_MAX_DIMS - 1);
    else if (pleat_resolve_dim(dim, x->shape.ndim, &dim) == PLEAT_OK && index->numel > 0 &&
             check_within(index->shape, "input", x->shape, dim) == PLEAT_OK)
        check_within(index->shape, "src", src->shape, -1);
    if (pleat_pending() != PLEAT_OK)
        return pleat_leave(context, NULL);
    const pleat_scope scope = pleat_scope_begin();
    pleat_tensor *y = index->numel == 0 ? pleat_clone(x) : scatter_multiply(x, dim, index, src);
    return pleat_leave(context, pleat_scope_return(scope, y));
}

/* ---- index_select, index_add ---- */

/* x's shape with as many places in dim as index has. A tensor of no dimension has one and stays one. */
static pleat_status selected(const pleat_call *call, pleat_shape *shape)
{
    const pleat_shape x = call->in_spec[0].shape, index = call->in_spec[1].shape;
    int dim;
    if (index.ndim > 1)
        return pleat_fail(PLEAT_ESHAPE, "index %s must have one dimension", pleat_shape_text(index).text);
    if (pleat_resolve_dim(*(const int *)call->params, x.ndim, &dim) != PLEAT_OK)
        return PLEAT_EINVAL;
    *shape = x;
    if (x.ndim > 0)
        shape->dim[dim] = pleat_shape_numel(index);
    else if (pleat_shape_numel(index) != 1)
        return pleat_fail(PLEAT_ESHAPE, "a tensor of no dimension takes one index, not %" PRId64,
                          pleat_shape_numel(index));
    return PLEAT_OK;
}

static pleat_status index_select_infer(const pleat_call *call, pleat_spec *out)
{
    out[0] = (pleat_spec){ .dtype = call->in_spec[0].dtype };
    return selected(call, &out[0].shape);
}

static pleat_status index_select_forward(pleat_call *call)
{
    const int dim = dim_of(call);
    const pleat_tensor *x = call->in[0], *index = call->in[1];
    if (check_index(index, x->shape, dim) != PLEAT_OK)
        return pleat_pending();
    run(pleat_kernels_get()->move->gather, dim, at_least_1d(call->out[0]->shape), index, true, call->out[0], x);
    return PLEAT_OK;
}

static pleat_status index_select_backward(pleat_call *call)
{
    if (pleat_wants(call, 0))
        call->grad_in[0] = pleat_index_add(zeros(&call->in_spec[0]), dim_of(call), call->in[1], call->grad_out[0]);
    return PLEAT_OK;
}

const pleat_op pleat_op_index_select = {
    .name = "index_select",
    .inputs = 2,
    .outputs = 1,
    .strided = PLEAT_IN(0),
    .dtypes = { PLEAT_ANY_DTYPE, INDEX },
    .params_size = sizeof(int),
    .keeps = { PLEAT_KEEP_IN(1) },
    .infer = index_select_infer,
    .forward = index_select_forward,
    .backward = index_select_backward,
};

pleat_tensor *pleat_index_select(pleat_tensor *x, int dim, pleat_tensor *index)
{
    return pleat_apply(&pleat_op_index_select, (pleat_tensor *[]){ x, index }, 2, &dim);
}

static pleat_status index_add_infer(const pleat_call *call, pleat_spec *out)
{
    pleat_shape shape;
    out[0] = (pleat_spec){ .dtype = call->in_spec[0].dtype, .shape = call->in_spec[0].shape };
    const pleat_status status = selected(call, &shape);
    if (status == PLEAT_OK && !pleat_shape_equal(shape, call->in_spec[2].shape))
        return pleat_fail(PLEAT_ESHAPE, "src %s must be %s, for input %s and index %s",
                          pleat_shape_text(call->in_spec[2].shape).text, pleat_shape_text(shape).text,
                          pleat_shape_text(out[0].shape).text, pleat_shape_text(call->in_spec[1].shape).text);
    return status;
}

/* t's strides of the dimensions before dim, of dim and of those behind it, if either can be walked as one. */
static bool strides_about(const pleat_tensor *t, int dim, int64_t *about)
{
    int before = dim, behind = t->shape.ndim - dim - 1;
    int64_t size[PLEAT_MAX_DIMS], stride[2][PLEAT_MAX_DIMS];
    memcpy(size, t->shape.dim, sizeof size);
    memcpy(stride[0], t->stride, sizeof stride[0]);
    memcpy(stride[1], t->stride + dim + 1, (size_t)behind * sizeof *stride[1]);
    pleat_merge_dims(&behind, size + dim + 1, stride + 1, 1);
    pleat_merge_dims(&before, size, stride, 1);
    about[0] = stride[0][0];
    about[1] = t->stride[dim];
    about[2] = stride[1][0];
    return before == 1 && behind == 1;
}

static void row_chunk(int64_t begin, int64_t end, void *ctx)
{
    pleat_kernels_get()->move->add_rows(ctx, begin, end);
}

/* to = index_add(x, dim, index, from) by rows of the result, told which rows each of them takes: as few passes as there
 * can be. Not done where rows are short, or where one takes so many that it would keep the others waiting. */
static bool add_rows(const pleat_tensor *x, int dim, const pleat_tensor *index, const pleat_tensor *from,
                     pleat_tensor *to, pleat_status *status)
{
    pleat_row_work w = { .dtype = to->dtype, .places = x->shape.ndim > 0 ? x->shape.dim[dim] : 1, .columns = 1 };
    for (int d = dim + 1; d < x->shape.ndim; d++)
        w.columns *= x->shape.dim[d];
    if (w.columns < LONG_ROW || !strides_about(x, dim, w.x_stride) || !strides_about(from, dim, w.from_stride))
        return false;
    const int64_t *at = (const int64_t *)(const void *)pleat_tensor_address(index), n = index->numel;
    int64_t *first = pleat_alloc((size_t)(w.places + 1 + n) * sizeof *first), most = 0;
    if (!first) {
        *status = PLEAT_ENOMEM;
        return true;
    }
    memset(first, 0, (size_t)(w.places + 1) * sizeof *first);
    for (int64_t k = 0; k < n; k++) {
        const int64_t times = ++first[at[k] + 1];
        most = times > most ? times : most;
    }
    const bool even = most <= FEW + n / 4;
    if (even) {
        int64_t *list = first + w.places + 1;
        for (int64_t p = 0; p < w.places; p++) /* where the list of place p ends, */
            first[p + 1] += first[p];
        for (int64_t k = n - 1; k >= 0; k--) /* and, filled from behind, where it begins */
            list[--first[at[k] + 1]] = k;
        for (int64_t p = 0; p < w.places; p++)
            first[p] = first[p + 1];
        first[w.places] = n;
        w.first = first;
        w.list = list;
        w.x = pleat_tensor_address(x);
        w.from = pleat_tensor_address(from);
        w.to = pleat_tensor_address(to);
        pleat_parallel_for(to->numel, GRAIN, row_chunk, &w);
    }
    pleat_free(first);
    return even;
}

static pleat_status index_add_forward(pleat_call *call)
{
    pleat_status status = PLEAT_OK;
    const int dim = dim_of(call);
    const pleat_tensor *index = call->in[1], *from = call->in[2];
    if (check_index(index, call->in[0]->shape, dim) != PLEAT_OK)
        return pleat_pending();
    if (add_rows(call->in[0], dim, index, from, call->out[0], &status))
        return status;
    pleat_tensor_assign(call->out[0], call->in[0]);
    run(pleat_kernels_get()->move->scatter_add, dim, at_least_1d(from->shape), index, true, from, call->out[0]);
    return PLEAT_OK;
}

static pleat_status index_add_backward(pleat_call *call)
{
    call->grad_in[0] = call->grad_out[0];
    if (pleat_wants(call, 2))
        call->grad_in[2] = pleat_index_select(call->grad_out[0], dim_of(call), call->in[1]);
    return PLEAT_OK;
}

const pleat_op pleat_op_index_add = {
    .name = "index_add",
    .inputs = 3,
    .outputs = 1,
    .strided = PLEAT_IN(0) | PLEAT_IN(2),
    .dtypes = { PLEAT_ANY_DTYPE, INDEX, PLEAT_ANY_DTYPE },
    .params_size = sizeof(int),
    .keeps = { 0, 0, PLEAT_KEEP_IN(1) },
    .infer = index_add_infer,
    .forward = index_add_forward,
    .backward = index_add_backward,
};

pleat_tensor *pleat_index_add(pleat_tensor *x, int dim, pleat_tensor *index, pleat_tensor *src)
{
    return pleat_apply(&pleat_op_index_add, (pleat_tensor *[]){ x, index, src }, 3, &dim);
}

/* ---- one_hot ---- */

pleat_tensor *pleat_one_hot(pleat_tensor *index, int64_t classes, pleat_dtype dtype)
{
    const char *context;
    if (!pleat_enter("one_hot", index, &context))
        return pleat_leave(context, NULL);
    pleat_shape shape = index->shape;
    if (index->dtype != PLEAT_I64)
        pleat_fail(PLEAT_EDTYPE, "the classes must be int64, not %s", pleat_dtype_name(index->dtype));
    else if (classes < 0 || shape.ndim == PLEAT_MAX_DIMS)
        pleat_fail(PLEAT_EINVAL, "%" PRId64 " classes for %s", classes, pleat_shape_text(shape).text);
    if (pleat_pending() != PLEAT_OK)
        return pleat_leave(context, NULL);
    const pleat_scope scope = pleat_scope_begin();
    shape.dim[shape.ndim++] = classes;
    index = pleat_unsqueeze(index, -1);
    pleat_tensor *y = pleat_zeros(shape, dtype);
    pleat_tensor *one = pleat_expand(pleat_ones(PLEAT_SHAPE(), dtype), pleat_shape_of(index));
    return pleat_leave(context, pleat_scope_return(scope, pleat_scatter(y, -1, index, one)));
}
