/* softmax and log_softmax along any dimension. Both gradients read the result alone:
 *
 *   y = log_softmax(x)    dx = dy - exp(y) sum(dy)
 *   y = softmax(x)        dx = y (dy - sum(dy y)) */
#include "kernels/kernels.h"
#include "kernels/softmax.h"
#include "ops/ops.h"

#include <pleat/ops.h>

typedef struct {
    int dim;
} softmax_params;

static pleat_status infer(const pleat_call *call, pleat_spec *out)
{
    const softmax_params *params = call->params;
    int dim;
    out[0] = (pleat_spec){ .dtype = call->in_spec[0].dtype, .shape = call->in_spec[0].shape };
    return pleat_resolve_dim(params->dim, out[0].shape.ndim, &dim);
}

typedef void (*lines_fn)(const pleat_softmax_work *work, int64_t begin, int64_t end);

typedef struct {
    pleat_softmax_work work;
    lines_fn kernel;
} softmax_job;

static void lines(int64_t begin, int64_t end, void *ctx)
{
    const softmax_job *job = ctx;
    job->kernel(&job->work, begin, end);
}

/* Runs the kernel over all lines of y along params' dimension. */
static pleat_status run(const softmax_params *params, lines_fn kernel, const pleat_tensor *x, const pleat_tensor *g,
                        pleat_tensor *y)
{
    const pleat_shape shape = pleat_shape_of(y);
    int dim;
    if (pleat_resolve_dim(params->dim, shape.ndim, &dim) != PLEAT_OK)
        return PLEAT_EINVAL;
    const int64_t size = shape.ndim ? shape.dim[dim] : 1;
    if (pleat_numel(y) == 0)
        return PLEAT_OK;
    softmax_job job = { .kernel = kernel,
                        .work = { .dtype = pleat_dtype_of(y),
                                  .lines = pleat_numel(y) / size,
                                  .size = size,
                                  .inner = 1,
                                  .x = pleat_data(x),
                                  .g = g ? pleat_data(g) : NULL,
                                  .y = pleat_data_mut(y) } };
    for (int d = dim + 1; d < shape.ndim; d++)
        job.work.inner *= shape.dim[d];
    pleat_parallel_for(job.work.lines, pleat_softmax_grain(size), lines, &job);
    return PLEAT_OK;
}

/* The sum along the dimension, kept; of a tensor without dimensions, itself. */
static pleat_tensor *sum_along(pleat_tensor *t, const softmax_params *params)
{
    return pleat_ndim(t) > 0 ? pleat_sum_dims(t, PLEAT_DIMS(params->dim), true) : t;
}

static pleat_tensor *empty_like(const pleat_tensor *t)
{
    return pleat_empty(pleat_shape_of(t), pleat_dtype_of(t));
}

static pleat_status log_softmax_forward(pleat_call *call)
{
    return run(call->params, pleat_kernels_get()->softmax->log_softmax, call->in[0], NULL, call->out[0]);
}

static pleat_status log_softmax_backward(pleat_call *call)
{
    pleat_tensor *g = call->grad_out[0], *sum = sum_along(g, call->params);
    call->grad_in[0] = pleat_sub(g, pleat_mul(pleat_exp(call->out[0]), sum));
    return PLEAT_OK;
}

static pleat_status log_softmax_backward_kernel(pleat_call *call)
{
    call->grad_in[0] = empty_like(call->out[0]);
    return call->grad_in[0] ? run(call->params, pleat_kernels_get()->softmax->log_softmax_gradient, call->out[0],
                                  call->grad_out[0], call->grad_in[0])
                            : PLEAT_ENOMEM;
}

const pleat_op pleat_op_log_softmax = {
    .name = "log_softmax",
    .inputs = 1,
    .outputs = 1,
    .params_size = sizeof(softmax_params),
    .keeps = { PLEAT_KEEP_OUT(0) },
    .infer = infer,
    .forward = log_softmax_forward,
    .backward = log_softmax_backward,
    .backward_kernel = log_softmax_backward_kernel,
};

pleat_tensor *pleat_log_softmax(pleat_tensor *x, int dim)
{
    return pleat_apply(&pleat_op_log_softmax, &x, 1, &(softmax_params){ dim });
}

static pleat_status softmax_forward(pleat_call *call)
{
    return run(call->params, pleat_kernels_get()->softmax->softmax, call->in[0], NULL, call->out[0]);
}

static pleat_status softmax_backward(pleat_call *call)
{
    pleat_tensor *g = call->grad_out[0], *y = call->out[0], *sum = sum_along(pleat_mul(g, y), call->params);
    call->grad_in[0] = pleat_mul(y, pleat_sub(g, sum));
    return PLEAT_OK;
}

static pleat_status softmax_backward_kernel(pleat_call *call)
{
    call->grad_in[0] = empty_like(call->out[0]);
    return call->grad_in[0] ? run(call->params, pleat_kernels_get()->softmax->softmax_gradient, call->out[0],
                                  call->grad_out[0], call->grad_in[0])
                            : PLEAT_ENOMEM;
}

const pleat_op pleat_op_softmax = {
    .name = "softmax",
    .inputs = 1,
    .outputs = 1,
    .params_size = sizeof(softmax_params),
    .keeps = { PLEAT_KEEP_OUT(0) },
    .infer = infer,
    .forward = softmax_forward,
    .backward = softmax_backward,
    .backward_kernel = softmax_backward_kernel,
};

pleat_tensor *pleat_softmax(pleat_tensor *x, int dim)
{
    return pleat_apply(&pleat_op_softmax, &x, 1, &(softmax_params){ dim });
}
