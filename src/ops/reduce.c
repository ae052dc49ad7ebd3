/* Sums, means and sums of powers over dimensions, and sum_to, the adjoint of broadcasting.
 *
 * The outputs are cut into ranges and the reduced elements into blocks of a fixed size; a cell of that grid is a unit
 * of work. Where there are several blocks, each cell writes its results to a place of its own, and they are folded in
 * order afterwards: the bits do not depend on the threads. */
#include "ops/reduce.h"

#include "ops/ops.h"
#include "tensor/error.h"
#include "tensor/memory.h"
#include "tensor/shape.h"
#include "tensor/tensor.h"

#include <pleat/ops.h>

enum { RANGE = 1024, GRAIN = 1 << 15 }; /* most outputs of a cell; elements that are worth a thread's while */

typedef struct {
    pleat_reduce_work work;
    const pleat_reduction *reduction;
    int type;                  /* where the dtype stands in the kernels' tables */
    int64_t outputs, elements; /* elements: reduced, of each output */
    int64_t block, blocks;     /* how many elements, at most, and how many of those */
    int64_t range;
    double divisor;
    char *results; /* blocks x outputs; NULL where one block is all */
    char *y;
    int64_t width, result_width;
} job;

static void cells(int64_t begin, int64_t end, void *ctx)
{
    const job *j = ctx;
    const int64_t ranges = (j->outputs + j->range - 1) / j->range;
    for (int64_t c = begin; c < end; c++) {
        const int64_t o = c % ranges * j->range, n = j->outputs - o < j->range ? j->outputs - o : j->range;
        const int64_t first = c / ranges * j->block, left = j->elements - first;
        union {
            double real[RANGE];
            int64_t integer[RANGE];
        } here;
        void *result = j->results ? j->results + (c / ranges * j->outputs + o) * j->result_width : (char *)&here;
        j->reduction->partial[j->type](&j->work, o, o + n, first, first + (left < j->block ? left : j->block), result);
        if (!j->results)
            j->reduction->finish[j->type](result, 1, 0, n, j->divisor, j->y + o * j->width);
    }
}

static void finish(int64_t begin, int64_t end, void *ctx)
{
    const job *j = ctx;
    j->reduction->finish[j->type](j->results ? j->results + begin * j->result_width : NULL, j->blocks, j->outputs,
                                  end - begin, j->divisor, j->y + begin * j->width);
}

void pleat_reduce_split(const pleat_tensor *x, unsigned mask, bool ordered, pleat_reduce_work *w)
{
    int64_t kept_stride[1][PLEAT_MAX_DIMS], stride[1][PLEAT_MAX_DIMS];
    for (int d = 0; d < x->shape.ndim; d++) {
        if (!(mask & 1u << d)) {
            w->kept_dim[w->kept] = x->shape.dim[d];
            kept_stride[0][w->kept++] = x->stride[d];
            continue;
        }
        int k = w->reduced++;
        for (; !ordered && k > 0 && stride[0][k - 1] < x->stride[d]; k--) {
            stride[0][k] = stride[0][k - 1];
            w->reduced_dim[k] = w->reduced_dim[k - 1];
        }
        stride[0][k] = x->stride[d];
        w->reduced_dim[k] = x->shape.dim[d];
    }
    pleat_merge_dims(&w->kept, w->kept_dim, kept_stride, 1);
    pleat_merge_dims(&w->reduced, w->reduced_dim, stride, 1);
    for (int d = 0; d < w->kept; d++)
        w->kept_stride[d] = kept_stride[0][d];
    for (int d = 0; d < w->reduced; d++)
        w->reduced_stride[d] = stride[0][d];
    w->x = pleat_tensor_address(x);
}

int pleat_reduce_type(pleat_dtype dtype)
{
    return dtype == PLEAT_F32 ? 0 : dtype == PLEAT_F64 ? 1 : 2;
}

pleat_status pleat_reduce(const pleat_reduction *reduction, const pleat_tensor *x, unsigned mask, bool mean,
                          pleat_tensor *y)
{
    job j = { .reduction = reduction,
              .type = pleat_reduce_type(x->dtype),
              .outputs = y->numel,
              .elements = 1,
              .y = pleat_tensor_address(y),
              .width = (int64_t)pleat_dtype_size(y->dtype) };
    j.result_width = reduction->width[j.type];
    pleat_reduce_split(x, mask, false, &j.work);
    for (int d = 0; d < j.work.reduced; d++)
        j.elements *= j.work.reduced_dim[d];
    if (j.outputs == 0)
        return PLEAT_OK;
    j.divisor = mean ? (double)j.elements : 1;
    const bool across = pleat_reduce_across(&j.work);
    j.block = x->dtype == PLEAT_F32 && !across ? PLEAT_REDUCE_LONG_BLOCK : PLEAT_REDUCE_BLOCK;
    j.blocks = (j.elements + j.block - 1) / j.block;
    if (j.blocks == 0) {
        pleat_parallel_for(j.outputs, GRAIN, finish, &j);
        return PLEAT_OK;
    }
    if (j.blocks > 1) {
        j.results = pleat_alloc((size_t)(j.blocks * j.outputs * j.result_width));
        if (!j.results)
            return PLEAT_ENOMEM;
    }
    const int64_t block = j.blocks > 1 ? j.block : j.elements;
    j.range = across || GRAIN / block > RANGE ? RANGE : GRAIN / block;
    const int64_t cost = block * (j.range < j.outputs ? j.range : j.outputs);
    pleat_parallel_for((j.outputs + j.range - 1) / j.range * j.blocks, cost < GRAIN ? GRAIN / cost : 1, cells, &j);
    if (j.blocks > 1)
        pleat_parallel_for(j.outputs, GRAIN / j.blocks + 1, finish, &j);
    pleat_free(j.results);
    return PLEAT_OK;
}

/* ---- sum, mean ---- */

pleat_shape pleat_reduced_shape(pleat_shape x, unsigned mask, bool keepdim)
{
    pleat_shape y = { 0 };
    for (int d = 0; d < x.ndim; d++)
        if (!(mask & 1u << d))
            y.dim[y.ndim++] = x.dim[d];
        else if (keepdim)
            y.dim[y.ndim++] = 1;
    return y;
}

pleat_shape pleat_kept_shape(pleat_shape x, pleat_dims dims)
{
    unsigned mask;
    pleat_dims_mask(dims, x.ndim, &mask);
    return pleat_reduced_shape(x, mask, true);
}

pleat_dims pleat_reduced_first(int ndim, unsigned mask)
{
    pleat_dims order = { 0 };
    for (unsigned kept = 0; kept < 2; kept++)
        for (int d = 0; d < ndim; d++)
            if ((mask >> d & 1) != kept)
                order.dim[order.count++] = d;
    return order;
}

pleat_status pleat_reduce_infer(const pleat_call *call, pleat_spec *out)
{
    const pleat_reduce_params *p = call->params;
    const pleat_spec *x = &call->in_spec[0];
    unsigned mask;
    const pleat_status status = pleat_dims_mask(p->dims, x->shape.ndim, &mask);
    if (status != PLEAT_OK)
        return status;
    out[0].dtype = x->dtype;
    out[0].shape = pleat_reduced_shape(x->shape, mask, p->keepdim);
    return PLEAT_OK;
}

pleat_status pleat_reduce_forward(pleat_call *call, const pleat_reduction *reduction, bool mean)
{
    const pleat_reduce_params *p = call->params;
    unsigned mask;
    pleat_dims_mask(p->dims, call->in_spec[0].shape.ndim, &mask);
    return pleat_reduce(reduction, call->in[0], mask, mean, call->out[0]);
}

static pleat_status sum_forward(pleat_call *call)
{
    return pleat_reduce_forward(call, &pleat_kernels_get()->reduce->sum, false);
}

static pleat_status mean_forward(pleat_call *call)
{
    return pleat_reduce_forward(call, &pleat_kernels_get()->reduce->sum, true);
}

static pleat_status sum_backward(pleat_call *call)
{
    const pleat_reduce_params *p = call->params;
    const pleat_shape x = call->in_spec[0].shape;
    pleat_tensor *g = call->grad_out[0];
    if (!p->keepdim)
        g = pleat_reshape(g, pleat_kept_shape(x, p->dims));
    call->grad_in[0] = pleat_expand(g, x);
    return PLEAT_OK;
}

static pleat_status mean_backward(pleat_call *call)
{
    const int64_t n = pleat_shape_numel(call->in_spec[0].shape), outputs = pleat_shape_numel(call->out_spec[0].shape);
    if (n == 0)
        return PLEAT_OK;
    pleat_call scaled = *call;
    pleat_tensor *g = pleat_mul_scalar(call->grad_out[0], (double)outputs / (double)n);
    scaled.grad_out = &g;
    return sum_backward(&scaled);
}

#define REDUCE(op)                                                                                                     \
    .name = #op, .inputs = 1, .outputs = 1, .strided = PLEAT_IN(0), .params_size = sizeof(pleat_reduce_params),        \
    .infer = pleat_reduce_infer, .forward = op##_forward, .backward = op##_backward

const pleat_op pleat_op_sum = { REDUCE(sum), .dtypes = { PLEAT_DTYPES(PLEAT_F32, PLEAT_F64, PLEAT_I64) } };
const pleat_op pleat_op_mean = { REDUCE(mean) };

pleat_tensor *pleat_sum(pleat_tensor *x)
{
    return pleat_sum_dims(x, PLEAT_DIMS(), false);
}

pleat_tensor *pleat_mean(pleat_tensor *x)
{
    return pleat_mean_dims(x, PLEAT_DIMS(), false);
}

pleat_tensor *pleat_sum_dims(pleat_tensor *x, pleat_dims dims, bool keepdim)
{
    return pleat_apply(&pleat_op_sum, &x, 1, &(pleat_reduce_params){ dims, keepdim });
}

pleat_tensor *pleat_mean_dims(pleat_tensor *x, pleat_dims dims, bool keepdim)
{
    return pleat_apply(&pleat_op_mean, &x, 1, &(pleat_reduce_params){ dims, keepdim });
}

/* ---- sum_powers ---- */

typedef struct {
    pleat_reduce_params reduce;
    int p;
    bool mean;
} powers_params;

static pleat_status sum_powers_forward(pleat_call *call)
{
    const powers_params *p = call->params;
    const struct pleat_reduce_kernels *k = pleat_kernels_get()->reduce;
    return pleat_reduce_forward(call, p->p == 1 ? &k->sum_abs : &k->sum_squares, p->mean);
}

/* dx = dy sign(x), or 2 dy x */
static pleat_status sum_powers_backward(pleat_call *call)
{
    const powers_params *p = call->params;
    const pleat_shape x = call->in_spec[0].shape;
    const int64_t n = pleat_shape_numel(x), outputs = pleat_shape_numel(call->out_spec[0].shape);
    pleat_tensor *g = pleat_mul_scalar(call->grad_out[0], p->mean && n > 0 ? p->p * (double)outputs / (double)n : p->p);
    g = pleat_reshape(g, pleat_kept_shape(x, p->reduce.dims));
    call->grad_in[0] = pleat_mul(g, p->p == 1 ? pleat_sign(call->in[0]) : call->in[0]);
    return PLEAT_OK;
}

const pleat_op pleat_op_sum_powers = {
    .name = "sum_powers",
    .inputs = 1,
    .outputs = 1,
    .strided = PLEAT_IN(0),
    .params_size = sizeof(powers_params),
    .keeps = { PLEAT_KEEP_IN(0) },
    .infer = pleat_reduce_infer,
    .forward = sum_powers_forward,
    .backward = sum_powers_backward,
};

pleat_tensor *pleat_sum_powers(pleat_tensor *x, int p, pleat_dims dims, bool keepdim, bool mean)
{
    return pleat_apply(&pleat_op_sum_powers, &x, 1, &(powers_params){ { dims, keepdim }, p, mean });
}

/* ---- sum_to ---- */

static pleat_status sum_to_infer(const pleat_call *call, pleat_spec *out)
{
    const pleat_shape x = call->in_spec[0].shape, y = *(const pleat_shape *)call->params;
    pleat_shape both;
    out[0].dtype = call->in_spec[0].dtype;
    out[0].shape = y;
    if (pleat_shape_check(y) != PLEAT_OK || pleat_broadcast(x, y, &both) != PLEAT_OK)
        return pleat_pending();
    if (!pleat_shape_equal(both, x))
        return pleat_fail(PLEAT_ESHAPE, "shape %s does not broadcast to %s", pleat_shape_text(y).text,
                          pleat_shape_text(x).text);
    return PLEAT_OK;
}

static pleat_status sum_to_forward(pleat_call *call)
{
    const pleat_shape x = call->in_spec[0].shape, y = call->out_spec[0].shape;
    unsigned mask = 0;
    for (int d = 0; d < x.ndim; d++) {
        const int k = d - (x.ndim - y.ndim);
        if (k < 0 || (y.dim[k] == 1 && x.dim[d] != 1))
            mask |= 1u << d;
    }
    return pleat_reduce(&pleat_kernels_get()->reduce->sum, call->in[0], mask, false, call->out[0]);
}

static pleat_status sum_to_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_expand(call->grad_out[0], call->in_spec[0].shape);
    return PLEAT_OK;
}

const pleat_op pleat_op_sum_to = {
    .name = "sum_to",
    .inputs = 1,
    .outputs = 1,
    .strided = PLEAT_IN(0),
    .dtypes = { PLEAT_DTYPES(PLEAT_F32, PLEAT_F64, PLEAT_I64) },
    .params_size = sizeof(pleat_shape),
    .infer = sum_to_infer,
    .forward = sum_to_forward,
    .backward = sum_to_backward,
};

pleat_tensor *pleat_sum_to(pleat_tensor *x, pleat_shape shape)
{
    if (x && pleat_pending() == PLEAT_OK && pleat_shape_equal(x->shape, shape))
        return x;
    return pleat_apply(&pleat_op_sum_to, &x, 1, &shape);
}
