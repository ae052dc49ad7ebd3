/* flip: the elements in reverse order along some dimensions, copied with strides below zero. Its own gradient. */
#include "ops/ops.h"
#include "tensor/error.h"
#include "tensor/shape.h"
#include "tensor/tensor.h"

#include <pleat/ops.h>

static pleat_status infer(const pleat_call *call, pleat_spec *out)
{
    unsigned mask;
    out[0] = (pleat_spec){ .dtype = call->in_spec[0].dtype, .shape = call->in_spec[0].shape };
    return pleat_dims_mask(*(const pleat_dims *)call->params, out[0].shape.ndim, &mask);
}

static pleat_status forward(pleat_call *call)
{
    pleat_spec back = pleat_tensor_spec(call->in[0]);
    unsigned mask;
    pleat_dims_mask(*(const pleat_dims *)call->params, back.shape.ndim, &mask);
    for (int d = 0; d < back.shape.ndim && call->out[0]->numel > 0; d++)
        if (mask & 1u << d) {
            back.offset += (back.shape.dim[d] - 1) * back.stride[d];
            back.stride[d] = -back.stride[d];
        }
    pleat_tensor *view = pleat_tensor_view(call->in[0], &back);
    if (!view)
        return pleat_pending();
    pleat_tensor_assign(call->out[0], view);
    pleat_release(view);
    return PLEAT_OK;
}

static pleat_status backward(pleat_call *call)
{
    call->grad_in[0] = pleat_apply(&pleat_op_flip, call->grad_out, 1, call->params);
    return PLEAT_OK;
}

const pleat_op pleat_op_flip = {
    .name = "flip",
    .inputs = 1,
    .outputs = 1,
    .strided = PLEAT_ALL_IN,
    .dtypes = { PLEAT_ANY_DTYPE },
    .params_size = sizeof(pleat_dims),
    .infer = infer,
    .forward = forward,
    .backward = backward,
};

pleat_tensor *pleat_flip(pleat_tensor *x, pleat_dims dims)
{
    return pleat_apply(&pleat_op_flip, &x, 1, &dims);
}
