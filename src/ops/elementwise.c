/* Sums, differences, products, quotients, maxima and minima of two tensors, broadcast; and what every elementwise op
 * runs on. Gradients come in the output's shape: the tape sums them to the inputs'. */
#include "ops/elementwise.h"

#include "ops/ops.h"
#include "tensor/error.h"
#include "tensor/shape.h"
#include "tensor/tensor.h"

#include <pleat/ops.h>

/* Elements. SHORT: of a column, too few to go down. */
enum { GRAIN = 1 << 14, COLUMNS_GRAIN = 1 << 16, SHORT = 64 };

static void chunk(int64_t begin, int64_t end, void *ctx)
{
    pleat_kernels_get()->elementwise->map(ctx, begin, end);
}

/* Dimensions and strides of operands that are not all dense and of one shape. */
static void spread(pleat_map_work *w, const pleat_tensor *out, pleat_tensor *const *in)
{
    w->ndim = out->shape.ndim;
    for (int k = 0; k < w->arrays; k++) {
        const pleat_tensor *t = k == 0 ? out : in[k - 1];
        const int missing = w->ndim - t->shape.ndim;
        for (int d = 0; d < w->ndim; d++)
            w->stride[k][d] = d < missing || t->shape.dim[d - missing] == 1 ? 0 : t->stride[d - missing];
    }
    for (int d = 0; d < w->ndim; d++)
        w->dim[d] = out->shape.dim[d];
    pleat_merge_dims(&w->ndim, w->dim, w->stride, w->arrays);
}

/* Whether all inputs lie as columns do, and it is two at least, which are more to turn than the result is. */
static bool are_columns(const pleat_map_work *w)
{
    const int last = w->ndim - 1;
    int columns = 0;
    if (last == 0 || w->dim[last - 1] < SHORT)
        return false;
    for (int k = 1; k < w->arrays; k++) {
        const int64_t down = w->stride[k][last - 1], along = w->stride[k][last];
        if (down == 1 ? along <= 1 : down != 0 || along != 0)
            return false;
        columns += down == 1;
    }
    return columns > 1;
}

static bool same_shape(const pleat_tensor *a, const pleat_tensor *b)
{
    bool same = a->shape.ndim == b->shape.ndim;
    for (int d = 0; d < a->shape.ndim && same; d++)
        same = a->shape.dim[d] == b->shape.dim[d];
    return same;
}

void pleat_map(pleat_row_fn row, pleat_tensor *out, pleat_tensor *const *in, int count, double p, double q)
{
    pleat_map_work w; /* large: only what is used is filled in */
    w.row = row;
    w.arrays = count + 1;
    w.param[0] = p;
    w.param[1] = q;
    bool dense = out->contiguous;
    for (int k = 0; k <= count; k++) {
        const pleat_tensor *t = k == 0 ? out : in[k - 1];
        w.data[k] = pleat_tensor_address(t);
        w.width[k] = pleat_tensor_width(t);
        w.stride[k][0] = 1;
        dense = dense && t->contiguous && same_shape(t, out);
    }
    w.ndim = 1;
    w.dim[0] = out->numel;
    if (!dense)
        spread(&w, out, in);
    w.columns = !dense && are_columns(&w);
    pleat_parallel_for(out->numel, w.columns ? COLUMNS_GRAIN : GRAIN, chunk, &w);
}

pleat_status pleat_map_forward(pleat_call *call, const pleat_row_fn row[2])
{
    const pleat_map_params none = { 0, 0 }, *s = call->params ? call->params : &none;
    pleat_map(row[call->out[0]->dtype == PLEAT_F64], call->out[0], call->in, call->inputs, s->p, s->q);
    return PLEAT_OK;
}

pleat_status pleat_map_gradient(pleat_call *call, const pleat_row_fn row[2], pleat_tensor *kept)
{
    const pleat_map_params none = { 0, 0 }, *s = call->params ? call->params : &none;
    pleat_tensor *g = pleat_empty(call->in_spec[0].shape, call->in_spec[0].dtype);
    if (!g)
        return pleat_pending();
    pleat_map(row[g->dtype == PLEAT_F64], g, (pleat_tensor *[]){ call->grad_out[0], kept }, 2, s->p, s->q);
    call->grad_in[0] = g;
    return PLEAT_OK;
}

pleat_status pleat_infer_same(const pleat_call *call, pleat_spec *out)
{
    out[0].dtype = call->in_spec[0].dtype;
    out[0].shape = call->in_spec[0].shape;
    return PLEAT_OK;
}

pleat_status pleat_infer_all_same(const pleat_call *call, pleat_spec *out)
{
    for (int i = 1; i < call->inputs; i++)
        if (!pleat_shape_equal(call->in_spec[i].shape, call->in_spec[0].shape))
            return pleat_fail(PLEAT_ESHAPE, "shapes %s and %s differ", pleat_shape_text(call->in_spec[0].shape).text,
                              pleat_shape_text(call->in_spec[i].shape).text);
    return pleat_infer_same(call, out);
}

static pleat_status binary_infer(const pleat_call *call, pleat_spec *out)
{
    out[0].dtype = call->in_spec[0].dtype;
    return pleat_broadcast(call->in_spec[0].shape, call->in_spec[1].shape, &out[0].shape);
}

static pleat_status add_backward(pleat_call *call)
{
    call->grad_in[0] = call->grad_in[1] = call->grad_out[0];
    return PLEAT_OK;
}

/* The result tells where the sum was above 0. */
static pleat_status add_relu_backward(pleat_call *call)
{
    call->grad_in[0] = call->grad_in[1] = pleat_gate(&pleat_op_relu_grad, call, call->out[0]);
    return PLEAT_OK;
}

static pleat_status sub_backward(pleat_call *call)
{
    call->grad_in[0] = call->grad_out[0];
    if (pleat_wants(call, 1))
        call->grad_in[1] = pleat_neg(call->grad_out[0]);
    return PLEAT_OK;
}

static pleat_status mul_backward(pleat_call *call)
{
    for (int i = 0; i < 2; i++)
        if (pleat_wants(call, i))
            call->grad_in[i] = pleat_mul(call->grad_out[0], call->in[1 - i]);
    return PLEAT_OK;
}

/* y = a / b: dy/da = 1 / b, dy/db = -y / b */
static pleat_status div_backward(pleat_call *call)
{
    pleat_tensor *g = pleat_div(call->grad_out[0], call->in[1]);
    call->grad_in[0] = g;
    if (pleat_wants(call, 1))
        call->grad_in[1] = pleat_neg(pleat_mul(g, call->out[0]));
    return PLEAT_OK;
}

/* Where a and b are equal, each gets half. */
static pleat_status maximum_backward(pleat_call *call)
{
    pleat_tensor *g = call->grad_out[0], *a = call->in[0], *b = call->in[1];
    if (pleat_wants(call, 0))
        call->grad_in[0] = pleat_apply(&pleat_op_larger_grad, (pleat_tensor *[]){ g, a, b }, 3, NULL);
    if (pleat_wants(call, 1))
        call->grad_in[1] = pleat_apply(&pleat_op_larger_grad, (pleat_tensor *[]){ g, b, a }, 3, NULL);
    return PLEAT_OK;
}

static pleat_status minimum_backward(pleat_call *call)
{
    pleat_tensor *g = call->grad_out[0], *a = call->in[0], *b = call->in[1];
    if (pleat_wants(call, 0))
        call->grad_in[0] = pleat_apply(&pleat_op_larger_grad, (pleat_tensor *[]){ g, b, a }, 3, NULL);
    if (pleat_wants(call, 1))
        call->grad_in[1] = pleat_apply(&pleat_op_larger_grad, (pleat_tensor *[]){ g, a, b }, 3, NULL);
    return PLEAT_OK;
}

static pleat_status larger_grad_infer(const pleat_call *call, pleat_spec *out)
{
    out[0].dtype = call->in_spec[0].dtype;
    out[0].shape = call->in_spec[0].shape;
    pleat_shape shape = out[0].shape;
    for (int i = 1; i < 3; i++)
        if (pleat_broadcast(shape, call->in_spec[i].shape, &shape) != PLEAT_OK)
            return pleat_pending();
    return pleat_shape_equal(shape, out[0].shape)
               ? PLEAT_OK
               : pleat_fail(PLEAT_ESHAPE, "the gradient's shape is %s, not %s", pleat_shape_text(out[0].shape).text,
                            pleat_shape_text(shape).text);
}

static pleat_status larger_grad_backward(pleat_call *call)
{
    if (pleat_wants(call, 0))
        call->grad_in[0] = pleat_apply(&pleat_op_larger_grad,
                                       (pleat_tensor *[]){ call->grad_out[0], call->in[1], call->in[2] }, 3, NULL);
    return PLEAT_OK;
}

#define FORWARD(op)                                                                                                    \
    static pleat_status op##_forward(pleat_call *call)                                                                 \
    {                                                                                                                  \
        return pleat_map_forward(call, pleat_kernels_get()->elementwise->op);                                          \
    }
FORWARD(add)
FORWARD(add_relu)
FORWARD(sub)
FORWARD(mul)
FORWARD(div)
FORWARD(maximum)
FORWARD(minimum)
FORWARD(larger_grad)

#define BINARY(op)                                                                                                     \
    .name = #op, .inputs = 2, .outputs = 1, .strided = PLEAT_ALL_IN, .broadcasts = true, .infer = binary_infer,        \
    .forward = op##_forward, .backward = op##_backward

const pleat_op pleat_op_add = { BINARY(add) };
const pleat_op pleat_op_add_relu = { BINARY(add_relu), .keeps = { PLEAT_KEEP_OUT(0), PLEAT_KEEP_OUT(0) } };
const pleat_op pleat_op_sub = { BINARY(sub) };
const pleat_op pleat_op_mul = { BINARY(mul), .keeps = { PLEAT_KEEP_IN(1), PLEAT_KEEP_IN(0) } };
const pleat_op pleat_op_div = { BINARY(div), .keeps = { PLEAT_KEEP_IN(1), PLEAT_KEEP_IN(1) | PLEAT_KEEP_OUT(0) } };

#define KEEP_BOTH                                                                                                      \
    {                                                                                                                  \
        PLEAT_KEEP_IN(0) | PLEAT_KEEP_IN(1), PLEAT_KEEP_IN(0) | PLEAT_KEEP_IN(1)                                       \
    }
const pleat_op pleat_op_maximum = { BINARY(maximum), .keeps = KEEP_BOTH };
const pleat_op pleat_op_minimum = { BINARY(minimum), .keeps = KEEP_BOTH };

/* The gradient g, as far as it passes to a of maximum(a, b): inputs g, a, b. Constant in a and b. */
const pleat_op pleat_op_larger_grad = {
    .name = "larger_grad",
    .inputs = 3,
    .outputs = 1,
    .strided = PLEAT_ALL_IN,
    .keeps = { PLEAT_KEEP_IN(1) | PLEAT_KEEP_IN(2) },
    .infer = larger_grad_infer,
    .forward = larger_grad_forward,
    .backward = larger_grad_backward,
};

#define PUBLIC(op)                                                                                                     \
    pleat_tensor *pleat_##op(pleat_tensor *a, pleat_tensor *b)                                                         \
    {                                                                                                                  \
        return pleat_apply(&pleat_op_##op, (pleat_tensor *[]){ a, b }, 2, NULL);                                       \
    }
PUBLIC(add)
PUBLIC(add_relu)
PUBLIC(sub)
PUBLIC(mul)
PUBLIC(div)
PUBLIC(maximum)
PUBLIC(minimum)
