/* fold: the adjoint of unfold. Columns go back to where they were read, and what meets there is summed; so it is no
 * inverse, and its gradient is unfold. */
#include "kernels/kernels.h"
#include "kernels/window.h"
#include "ops/geometry.h"
#include "ops/ops.h"
#include "ops/window_op.h"

static pleat_status infer(const pleat_call *call, pleat_spec *out)
{
    const pleat_window_params *params = call->params;
    const pleat_spec *columns = &call->in_spec[0];
    const int batched = columns->shape.ndim == 3;
    if (!batched && columns->shape.ndim != 2)
        return pleat_fail(PLEAT_ESHAPE, "columns %s must be (N, C KH KW, L) or (C KH KW, L)",
                          pleat_shape_text(columns->shape).text);
    if (params->size.h < 1 || params->size.w < 1)
        return pleat_fail(PLEAT_EINVAL, "size %s: both must be at least 1", pleat_hw_text(params->size).text);
    const int64_t *dim = columns->shape.dim + batched;
    pleat_window window;
    pleat_hw places;
    pleat_status status = pleat_window_resolve(&params->window, &window);
    if (status == PLEAT_OK)
        status = pleat_window_places(params->size, &window, &places);
    if (status != PLEAT_OK)
        return status;
    int64_t taps, count;
    if (__builtin_mul_overflow(window.kernel.h, window.kernel.w, &taps) || dim[0] % taps != 0)
        return pleat_fail(PLEAT_ESHAPE, "columns %s have %lld rows, which kernel %s does not divide",
                          pleat_shape_text(columns->shape).text, (long long)dim[0], pleat_hw_text(window.kernel).text);
    if (__builtin_mul_overflow(places.h, places.w, &count) || dim[1] != count)
        return pleat_fail(PLEAT_ESHAPE, "columns %s are %lld, where kernel %s fits on size %s at %s places",
                          pleat_shape_text(columns->shape).text, (long long)dim[1], pleat_hw_text(window.kernel).text,
                          pleat_hw_text(params->size).text, pleat_hw_text(places).text);
    const int64_t channels = dim[0] / taps;
    out[0] = (pleat_spec){ .dtype = columns->dtype };
    out[0].shape = batched ? PLEAT_SHAPE(columns->shape.dim[0], channels, params->size.h, params->size.w)
                           : PLEAT_SHAPE(channels, params->size.h, params->size.w);
    return PLEAT_OK;
}

static void fold_rows(int64_t begin, int64_t end, void *ctx)
{
    const pleat_window_job *job = ctx;
    pleat_kernels_get()->window->fold(&job->work, job->from, job->to, begin, end);
}

static pleat_status forward(pleat_call *call)
{
    const pleat_window_params *params = call->params;
    pleat_window_job job = pleat_window_job_of(params, call->out[0], params->size);
    job.from = pleat_data(call->in[0]);
    job.to = pleat_data_mut(call->out[0]);
    const pleat_window_work *w = &job.work;
    const int64_t taps = w->kernel.h * w->kernel.w;
    pleat_parallel_for(w->planes * w->image.h, pleat_window_grain(w->image.w * taps), fold_rows, &job);
    return PLEAT_OK;
}

static pleat_status backward(pleat_call *call)
{
    const pleat_window_params *params = call->params;
    call->grad_in[0] = pleat_unfold(call->grad_out[0], &params->window);
    return PLEAT_OK;
}

const pleat_op pleat_op_fold = {
    .name = "fold",
    .inputs = 1,
    .outputs = 1,
    .params_size = sizeof(pleat_window_params),
    .infer = infer,
    .forward = forward,
    .backward = backward,
};

pleat_tensor *pleat_fold(pleat_tensor *columns, pleat_hw size, const pleat_window *window)
{
    pleat_window_params params = { .size = size };
    if (window)
        params.window = *window;
    return pleat_apply(&pleat_op_fold, &columns, 1, &params);
}
