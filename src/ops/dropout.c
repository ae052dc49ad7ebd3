/* dropout. The parameters name a stream of random numbers and element i's fate is the stream's number i, so the mask is
 * never stored: the gradient is the same op with the same stream. It is linear and its own adjoint. */
#include "kernels/kernels.h"
#include "kernels/random.h"
#include "ops/ops.h"
#include "tensor/error.h"
#include "tensor/tensor.h"

#include <pleat/ops.h>
#include <pleat/random.h>

typedef struct {
    uint64_t seed, draw;
    double p;
} dropout_params;

static pleat_status infer(const pleat_call *call, pleat_spec *out)
{
    const dropout_params *params = call->params;
    if (!(params->p >= 0 && params->p <= 1))
        return pleat_fail(PLEAT_EINVAL, "p must be from 0 to 1, not %g", params->p);
    out[0] = (pleat_spec){ .dtype = call->in_spec[0].dtype, .shape = call->in_spec[0].shape };
    return PLEAT_OK;
}

static void elements(int64_t begin, int64_t end, void *ctx)
{
    pleat_kernels_get()->random->dropout(ctx, begin, end);
}

static pleat_status forward(pleat_call *call)
{
    const dropout_params *params = call->params;
    pleat_dropout_work work = { .x = pleat_data(call->in[0]),
                                .y = pleat_data_mut(call->out[0]),
                                .dtype = call->in_spec[0].dtype,
                                .seed = params->seed,
                                .draw = params->draw,
                                .threshold = (uint64_t)(params->p * 0x1p32 + 0.5),
                                .scale = 1 / (1 - params->p) };
    pleat_parallel_for(pleat_numel(call->in[0]), 16384, elements, &work);
    return PLEAT_OK;
}

static pleat_status backward(pleat_call *call)
{
    call->grad_in[0] = pleat_apply(&pleat_op_dropout, call->grad_out, 1, call->params);
    return PLEAT_OK;
}

const pleat_op pleat_op_dropout = {
    .name = "dropout",
    .inputs = 1,
    .outputs = 1,
    .params_size = sizeof(dropout_params),
    .infer = infer,
    .forward = forward,
    .backward = backward,
};

pleat_tensor *pleat_dropout(pleat_tensor *x, double p)
{
    if (p == 0 && x && pleat_dtype_is_float(pleat_dtype_of(x)) && pleat_pending() == PLEAT_OK)
        return x;
    pleat_rng_state state = pleat_rng_get();
    pleat_tensor *y = pleat_apply(&pleat_op_dropout, &x, 1, &(dropout_params){ state.seed, state.draws, p });
    if (y) {
        state.draws++;
        pleat_rng_set(state);
    }
    return y;
}
