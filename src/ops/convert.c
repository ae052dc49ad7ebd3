/* Copies that have a history: clone, contiguous, and cast to another dtype. */
#include "ops/ops.h"
#include "tensor/error.h"
#include "tensor/tensor.h"

#include <pleat/ops.h>

static pleat_status copy_forward(pleat_call *call)
{
    pleat_tensor_assign(call->out[0], call->in[0]);
    return PLEAT_OK;
}

static pleat_status clone_infer(const pleat_call *call, pleat_spec *out)
{
    out[0].dtype = call->in_spec[0].dtype;
    out[0].shape = call->in_spec[0].shape;
    return PLEAT_OK;
}

static pleat_status clone_backward(pleat_call *call)
{
    call->grad_in[0] = call->grad_out[0];
    return PLEAT_OK;
}

const pleat_op pleat_op_clone = {
    .name = "clone",
    .inputs = 1,
    .outputs = 1,
    .strided = PLEAT_IN(0),
    .dtypes = { PLEAT_ANY_DTYPE },
    .infer = clone_infer,
    .forward = copy_forward,
    .backward = clone_backward,
};

static pleat_status cast_infer(const pleat_call *call, pleat_spec *out)
{
    out[0].dtype = *(const pleat_dtype *)call->params;
    out[0].shape = call->in_spec[0].shape;
    return pleat_dtype_size(out[0].dtype) > 0 ? PLEAT_OK
                                              : pleat_fail(PLEAT_EDTYPE, "%d is no dtype", (int)out[0].dtype);
}

static pleat_status cast_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_cast(call->grad_out[0], call->in_spec[0].dtype);
    return PLEAT_OK;
}

const pleat_op pleat_op_cast = {
    .name = "cast",
    .inputs = 1,
    .outputs = 1,
    .strided = PLEAT_IN(0),
    .dtypes = { PLEAT_ANY_DTYPE },
    .params_size = sizeof(pleat_dtype),
    .infer = cast_infer,
    .forward = copy_forward,
    .backward = cast_backward,
};

pleat_tensor *pleat_clone(pleat_tensor *x)
{
    return pleat_apply(&pleat_op_clone, &x, 1, NULL);
}

pleat_tensor *pleat_contiguous(pleat_tensor *x)
{
    return x && x->contiguous && pleat_pending() == PLEAT_OK ? x : pleat_clone(x);
}

pleat_tensor *pleat_cast(pleat_tensor *x, pleat_dtype dtype)
{
    return x && x->dtype == dtype && pleat_pending() == PLEAT_OK ? x : pleat_apply(&pleat_op_cast, &x, 1, &dtype);
}
