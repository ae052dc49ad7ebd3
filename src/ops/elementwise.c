/* Sums, differences, products and quotients of two tensors, broadcast; and pleat_map, by which every elementwise op
 * runs. Gradients come in the output's shape: the tape sums them to the inputs'. */
#include "ops/elementwise.h"

#include "ops/ops.h"
#include "tensor/shape.h"
#include "tensor/tensor.h"

#include <pleat/ops.h>

enum { GRAIN = 1 << 14 };

static void chunk(int64_t begin, int64_t end, void *ctx)
{
    pleat_kernels_get()->elementwise->map(ctx, begin, end);
}

void pleat_map(const pleat_row_fn row[2], pleat_tensor *out, pleat_tensor *const *in, int count, double p, double q)
{
    const int64_t width = (int64_t)pleat_dtype_size(out->dtype);
    pleat_map_work w = {
        .row = row[out->dtype == PLEAT_F64], .arrays = count + 1, .ndim = out->shape.ndim, .param = { p, q }
    };
    for (int k = 0; k <= count; k++) {
        const pleat_tensor *t = k == 0 ? out : in[k - 1];
        const int missing = out->shape.ndim - t->shape.ndim;
        w.data[k] = pleat_tensor_address(t);
        w.width[k] = width;
        for (int d = 0; d < w.ndim; d++)
            w.stride[k][d] = d < missing || t->shape.dim[d - missing] == 1 ? 0 : t->stride[d - missing];
    }
    for (int d = 0; d < w.ndim; d++)
        w.dim[d] = out->shape.dim[d];
    pleat_merge_dims(&w.ndim, w.dim, w.stride, w.arrays);
    pleat_parallel_for(out->numel, GRAIN, chunk, &w);
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

static pleat_status binary_forward(pleat_call *call, const pleat_row_fn row[2])
{
    pleat_map(row, call->out[0], call->in, 2, 0, 0);
    return PLEAT_OK;
}

static pleat_status add_forward(pleat_call *call)
{
    return binary_forward(call, pleat_kernels_get()->elementwise->add);
}

static pleat_status sub_forward(pleat_call *call)
{
    return binary_forward(call, pleat_kernels_get()->elementwise->sub);
}

static pleat_status mul_forward(pleat_call *call)
{
    return binary_forward(call, pleat_kernels_get()->elementwise->mul);
}

static pleat_status div_forward(pleat_call *call)
{
    return binary_forward(call, pleat_kernels_get()->elementwise->div);
}

static pleat_status add_backward(pleat_call *call)
{
    call->grad_in[0] = call->grad_in[1] = call->grad_out[0];
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

#define BINARY(op)                                                                                                     \
    .name = #op, .inputs = 2, .outputs = 1, .strided = PLEAT_ALL_IN, .broadcasts = true, .infer = binary_infer,        \
    .forward = op##_forward, .backward = op##_backward

const pleat_op pleat_op_add = { BINARY(add) };
const pleat_op pleat_op_sub = { BINARY(sub) };
const pleat_op pleat_op_mul = { BINARY(mul), .keeps = { PLEAT_KEEP_IN(1), PLEAT_KEEP_IN(0) } };
const pleat_op pleat_op_div = { BINARY(div), .keeps = { PLEAT_KEEP_IN(1), PLEAT_KEEP_IN(1) | PLEAT_KEEP_OUT(0) } };

pleat_tensor *pleat_add(pleat_tensor *a, pleat_tensor *b)
{
    return pleat_apply(&pleat_op_add, (pleat_tensor *[]){ a, b }, 2, NULL);
}

pleat_tensor *pleat_sub(pleat_tensor *a, pleat_tensor *b)
{
    return pleat_apply(&pleat_op_sub, (pleat_tensor *[]){ a, b }, 2, NULL);
}

pleat_tensor *pleat_mul(pleat_tensor *a, pleat_tensor *b)
{
    return pleat_apply(&pleat_op_mul, (pleat_tensor *[]){ a, b }, 2, NULL);
}

pleat_tensor *pleat_div(pleat_tensor *a, pleat_tensor *b)
{
    return pleat_apply(&pleat_op_div, (pleat_tensor *[]){ a, b }, 2, NULL);
}
