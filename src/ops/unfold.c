/* unfold: the patches that a window sees, as columns. Every element of the image is copied to where it is read, so the
 * gradient sums them back: fold. */
#include "kernels/kernels.h"
#include "kernels/window.h"
#include "ops/geometry.h"
#include "ops/ops.h"
#include "ops/window_op.h"

static pleat_status infer(const pleat_call *call, pleat_spec *out)
{
    const pleat_window_params *params = call->params;
    const pleat_spec *x = &call->in_spec[0];
    const int batched = x->shape.ndim == 4;
    if (!batched && x->shape.ndim != 3)
        return pleat_fail(PLEAT_ESHAPE, "input %s must be (N, C, H, W) or (C, H, W)", pleat_shape_text(x->shape).text);
    const int64_t *dim = x->shape.dim + batched;
    pleat_window window;
    pleat_hw places;
    pleat_status status = pleat_window_resolve(&params->window, &window);
    if (status == PLEAT_OK)
        status = pleat_window_places((pleat_hw){ dim[1], dim[2] }, &window, &places);
    if (status != PLEAT_OK)
        return status;
    int64_t rows, columns;
    if (__builtin_mul_overflow(window.kernel.h, window.kernel.w, &rows) ||
        __builtin_mul_overflow(rows, dim[0], &rows) || __builtin_mul_overflow(places.h, places.w, &columns))
        return pleat_fail(PLEAT_ESHAPE, "input %s with kernel %s gives too many elements",
                          pleat_shape_text(x->shape).text, pleat_hw_text(window.kernel).text);
    out[0] = (pleat_spec){ .dtype = x->dtype };
    out[0].shape = batched ? PLEAT_SHAPE(x->shape.dim[0], rows, columns) : PLEAT_SHAPE(rows, columns);
    return PLEAT_OK;
}

static void unfold_rows(int64_t begin, int64_t end, void *ctx)
{
    const pleat_window_job *job = ctx;
    pleat_kernels_get()->window->unfold(&job->work, job->from, job->to, begin, end);
}

static pleat_status forward(pleat_call *call)
{
    const pleat_window_params *params = call->params;
    const pleat_tensor *x = call->in[0];
    pleat_window_job job = pleat_window_job_of(params, x, (pleat_hw){ pleat_size(x, -2), pleat_size(x, -1) });
    job.from = pleat_data(x);
    job.to = pleat_data_mut(call->out[0]);
    const pleat_window_work *w = &job.work;
    const int64_t rows = pleat_numel(call->out[0]) / w->windows.w;
    pleat_parallel_for(rows, pleat_window_grain(w->windows.w), unfold_rows, &job);
    return PLEAT_OK;
}

static pleat_status backward(pleat_call *call)
{
    const pleat_window_params *params = call->params;
    const pleat_shape *x = &call->in_spec[0].shape;
    const pleat_hw size = { x->dim[x->ndim - 2], x->dim[x->ndim - 1] };
    if (pleat_shape_numel(*x) > 0)
        call->grad_in[0] = pleat_fold(call->grad_out[0], size, &params->window);
    return PLEAT_OK;
}

const pleat_op pleat_op_unfold = {
    .name = "unfold",
    .inputs = 1,
    .outputs = 1,
    .params_size = sizeof(pleat_window_params),
    .infer = infer,
    .forward = forward,
    .backward = backward,
};

pleat_tensor *pleat_unfold(pleat_tensor *x, const pleat_window *window)
{
    pleat_window_params params = { .window = { .kernel = { 0, 0 } } };
    if (window)
        params.window = *window;
    return pleat_apply(&pleat_op_unfold, &x, 1, &params);
}
