/* cumsum: running sums along a dimension. Its gradient runs the other way. */
#include "kernels/line.h"
#include "ops/ops.h"
#include "tensor/error.h"
#include "tensor/tensor.h"

#include <pleat/ops.h>

enum { GRAIN = 1 << 15 };

typedef struct {
    int dim;
    bool reverse;
} cumsum_params;

static pleat_status infer(const pleat_call *call, pleat_spec *out)
{
    const cumsum_params *p = call->params;
    int dim;
    out[0] = (pleat_spec){ .dtype = call->in_spec[0].dtype, .shape = call->in_spec[0].shape };
    return pleat_resolve_dim(p->dim, out[0].shape.ndim, &dim);
}

static void lines(int64_t begin, int64_t end, void *ctx)
{
    pleat_kernels_get()->line->cumsum(ctx, begin, end);
}

static pleat_status forward(pleat_call *call)
{
    const cumsum_params *p = call->params;
    const pleat_tensor *x = call->in[0];
    int dim;
    if (x->numel == 0 || pleat_resolve_dim(p->dim, x->shape.ndim, &dim) != PLEAT_OK)
        return pleat_pending();
    pleat_cumsum_work w = { .dtype = x->dtype,
                            .length = x->shape.ndim > 0 ? x->shape.dim[dim] : 1,
                            .inner = 1,
                            .reverse = p->reverse,
                            .x = pleat_tensor_address(x),
                            .y = pleat_tensor_address(call->out[0]) };
    for (int d = dim + 1; d < x->shape.ndim; d++)
        w.inner *= x->shape.dim[d];
    const int64_t grain = GRAIN / w.length;
    pleat_parallel_for(x->numel / w.length, w.inner > 1 && grain < 16 ? 16 : grain, lines, &w);
    return PLEAT_OK;
}

static pleat_status backward(pleat_call *call)
{
    cumsum_params p = *(const cumsum_params *)call->params;
    p.reverse = !p.reverse;
    call->grad_in[0] = pleat_apply(&pleat_op_cumsum, call->grad_out, 1, &p);
    return PLEAT_OK;
}

const pleat_op pleat_op_cumsum = {
    .name = "cumsum",
    .inputs = 1,
    .outputs = 1,
    .dtypes = { PLEAT_DTYPES(PLEAT_F32, PLEAT_F64, PLEAT_I64) },
    .params_size = sizeof(cumsum_params),
    .infer = infer,
    .forward = forward,
    .backward = backward,
};

pleat_tensor *pleat_cumsum(pleat_tensor *x, int dim)
{
    return pleat_apply(&pleat_op_cumsum, &x, 1, &(cumsum_params){ dim, false });
}
