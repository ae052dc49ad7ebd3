/* Comparisons, and the choice by them. */
#include "kernels/compare.h"
#include "ops/elementwise.h"
#include "ops/ops.h"
#include "tensor/error.h"

#include <pleat/ops.h>

static pleat_status compare_infer(const pleat_call *call, pleat_spec *out)
{
    out[0].dtype = PLEAT_U8;
    return pleat_broadcast(call->in_spec[0].shape, call->in_spec[1].shape, &out[0].shape);
}

#define COMPARE(op)                                                                                                    \
    static pleat_status op##_forward(pleat_call *call)                                                                 \
    {                                                                                                                  \
        pleat_map(pleat_kernels_get()->compare->op[call->in_spec[0].dtype], call->out[0], call->in, 2, 0, 0);          \
        return PLEAT_OK;                                                                                               \
    }                                                                                                                  \
    const pleat_op pleat_op_##op = {                                                                                   \
        .name = #op,                                                                                                   \
        .inputs = 2,                                                                                                   \
        .outputs = 1,                                                                                                  \
        .strided = PLEAT_ALL_IN,                                                                                       \
        .constant = PLEAT_OUT(0),                                                                                      \
        .dtypes = { PLEAT_ANY_DTYPE, PLEAT_ANY_DTYPE },                                                                \
        .infer = compare_infer,                                                                                        \
        .forward = op##_forward,                                                                                       \
    };                                                                                                                 \
    pleat_tensor *pleat_##op(pleat_tensor *a, pleat_tensor *b)                                                         \
    {                                                                                                                  \
        return pleat_apply(&pleat_op_##op, (pleat_tensor *[]){ a, b }, 2, NULL);                                       \
    }
COMPARE(eq)
COMPARE(ne)
COMPARE(lt)
COMPARE(le)

pleat_tensor *pleat_gt(pleat_tensor *a, pleat_tensor *b)
{
    return pleat_lt(b, a);
}

pleat_tensor *pleat_ge(pleat_tensor *a, pleat_tensor *b)
{
    return pleat_le(b, a);
}

static pleat_status where_infer(const pleat_call *call, pleat_spec *out)
{
    out[0].dtype = call->in_spec[1].dtype;
    if (pleat_broadcast(call->in_spec[1].shape, call->in_spec[2].shape, &out[0].shape) != PLEAT_OK)
        return pleat_pending();
    return pleat_broadcast(call->in_spec[0].shape, out[0].shape, &out[0].shape);
}

static pleat_status where_forward(pleat_call *call)
{
    pleat_map(pleat_kernels_get()->compare->where[call->out_spec[0].dtype], call->out[0], call->in, 3, 0, 0);
    return PLEAT_OK;
}

static pleat_status where_backward(pleat_call *call)
{
    pleat_tensor *g = call->grad_out[0], *zero = pleat_scalar(0, pleat_dtype_of(g));
    if (pleat_wants(call, 1))
        call->grad_in[1] = pleat_where(call->in[0], g, zero);
    if (pleat_wants(call, 2))
        call->grad_in[2] = pleat_where(call->in[0], zero, g);
    return PLEAT_OK;
}

const pleat_op pleat_op_where = {
    .name = "where",
    .inputs = 3,
    .outputs = 1,
    .strided = PLEAT_ALL_IN,
    .broadcasts = true,
    .dtypes = { PLEAT_DTYPES(PLEAT_U8), PLEAT_ANY_DTYPE, PLEAT_ANY_DTYPE },
    .keeps = { 0, PLEAT_KEEP_IN(0), PLEAT_KEEP_IN(0) },
    .infer = where_infer,
    .forward = where_forward,
    .backward = where_backward,
};

pleat_tensor *pleat_where(pleat_tensor *condition, pleat_tensor *a, pleat_tensor *b)
{
    return pleat_apply(&pleat_op_where, (pleat_tensor *[]){ condition, a, b }, 3, NULL);
}
