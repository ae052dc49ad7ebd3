/* linear: x W^T + b, a product with the weight read transposed and the bias added as the sums are stored; and the same
 * with a relu, likewise. */
#include "ops/elementwise.h"
#include "ops/gemm.h"
#include "ops/ops.h"

#include <pleat/ops.h>

static pleat_status infer(const pleat_call *call, pleat_spec *out)
{
    const pleat_spec *bias = &call->in_spec[2];
    const pleat_shape *x = &call->in_spec[0].shape, *weight = &call->in_spec[1].shape;
    if (x->ndim < 1)
        return pleat_fail(PLEAT_ESHAPE, "input %s must have at least one dimension", pleat_shape_text(*x).text);
    if (weight->ndim != 2)
        return pleat_fail(PLEAT_ESHAPE, "weight %s must be (out, in)", pleat_shape_text(*weight).text);
    if (x->dim[x->ndim - 1] != weight->dim[1])
        return pleat_fail(PLEAT_ESHAPE, "input %s has %lld features, weight %s expects %lld", pleat_shape_text(*x).text,
                          (long long)x->dim[x->ndim - 1], pleat_shape_text(*weight).text, (long long)weight->dim[1]);
    if (bias->dtype && (bias->shape.ndim != 1 || bias->shape.dim[0] != weight->dim[0]))
        return pleat_fail(PLEAT_ESHAPE, "bias %s must be (%lld,), one per output feature",
                          pleat_shape_text(bias->shape).text, (long long)weight->dim[0]);
    out[0] = (pleat_spec){ .dtype = call->in_spec[0].dtype, .shape = *x };
    out[0].shape.dim[x->ndim - 1] = weight->dim[0];
    return PLEAT_OK;
}

/* The rows of x: all dimensions but the last, as one. */
static int64_t rows_of(const pleat_shape *x)
{
    int64_t rows = 1;
    for (int d = 0; d < x->ndim - 1; d++)
        rows *= x->dim[d];
    return rows;
}

static pleat_status multiply(pleat_call *call, bool relu)
{
    const pleat_tensor *x = call->in[0], *weight = call->in[1];
    const int64_t out = pleat_size(weight, 0);
    pleat_gemm_work work = {
        .dtype = pleat_dtype_of(x),
        .m = 1,
        .n = out,
        .k = pleat_size(weight, 1),
        .a = pleat_data_strided(x),
        .b = pleat_data_strided(weight),
        .c = pleat_data_mut(call->out[0]),
        .a_col = pleat_stride(x, -1),
        .b_row = pleat_stride(weight, 1),
        .b_col = pleat_stride(weight, 0),
        .c_row = out,
        .c_col = 1,
        .col_bias = call->in[2] ? pleat_data(call->in[2]) : NULL,
        .relu = relu,
    };
    /* dimensions that lie one after the other are one long one of rows; what is left, in a view, is a batch of them */
    int64_t rows = 1;
    for (int d = pleat_ndim(x) - 2; d >= 0; d--) {
        const int64_t size = pleat_size(x, d), stride = pleat_stride(x, d);
        if (size == 1)
            continue;
        if (work.batch_dims == 0 && (rows == 1 || stride == rows * work.a_row)) {
            work.a_row = rows == 1 ? stride : work.a_row;
            work.m *= size;
        } else {
            work.batch[work.batch_dims] = size;
            work.a_batch[work.batch_dims] = stride;
            work.c_batch[work.batch_dims++] = rows * out;
        }
        rows *= size;
    }
    return pleat_gemm(&work);
}

static pleat_status forward(pleat_call *call)
{
    return multiply(call, false);
}

static pleat_status forward_relu(pleat_call *call)
{
    return multiply(call, true);
}

/* The gradients, from that of the sums. */
static pleat_status gradients(pleat_call *call, pleat_tensor *grad)
{
    const pleat_shape *x = &call->in_spec[0].shape, *weight = &call->in_spec[1].shape;
    const int64_t rows = rows_of(x);
    if (pleat_wants(call, 0))
        call->grad_in[0] = pleat_matmul(grad, call->in[1]);
    if (!pleat_wants(call, 1) && !pleat_wants(call, 2))
        return PLEAT_OK;
    grad = pleat_reshape(grad, PLEAT_SHAPE(rows, weight->dim[0]));
    if (pleat_wants(call, 1))
        call->grad_in[1] =
            pleat_matmul(pleat_transpose(grad, 0, 1), pleat_reshape(call->in[0], PLEAT_SHAPE(rows, weight->dim[1])));
    if (pleat_wants(call, 2))
        call->grad_in[2] = pleat_sum_dims(grad, PLEAT_DIMS(0), false);
    return PLEAT_OK;
}

static pleat_status backward(pleat_call *call)
{
    return gradients(call, call->grad_out[0]);
}

/* The result tells where the sums were above 0. */
static pleat_status backward_relu(pleat_call *call)
{
    return gradients(call, pleat_gate(&pleat_op_relu_grad, call, call->out[0]));
}

static double flops(const pleat_call *call)
{
    const pleat_shape *a = &call->in_spec[0].shape;
    return 2.0 * (double)pleat_shape_numel(call->out_spec[0].shape) * (double)a->dim[a->ndim - 1];
}

#define LINEAR(op, more)                                                                                               \
    .name = #op, .inputs = 3, .outputs = 1, .optional = PLEAT_IN(2), .strided = PLEAT_IN(0) | PLEAT_IN(1),             \
    .keeps = { PLEAT_KEEP_IN(1) | (more), PLEAT_KEEP_IN(0) | (more), (more) }, .infer = infer, .flops = flops

const pleat_op pleat_op_linear = { LINEAR(linear, 0), .forward = forward, .backward = backward };
const pleat_op pleat_op_linear_relu = { LINEAR(linear_relu, PLEAT_KEEP_OUT(0)), .forward = forward_relu,
                                        .backward = backward_relu };

pleat_tensor *pleat_linear(pleat_tensor *x, pleat_tensor *weight, pleat_tensor *bias)
{
    return pleat_apply(&pleat_op_linear, (pleat_tensor *[]){ x, weight, bias }, 3, NULL);
}

pleat_tensor *pleat_linear_relu(pleat_tensor *x, pleat_tensor *weight, pleat_tensor *bias)
{
    return pleat_apply(&pleat_op_linear_relu, (pleat_tensor *[]){ x, weight, bias }, 3, NULL);
}
