/* max_pool2d: the largest element under each window, and the place it came from as a constant second output. Its
 * derivative is the map "take these places", which is linear in the image: gather; gather's is its adjoint, scatter,
 * and scatter's is gather. So the three can be differentiated as often as wanted. */
#include "kernels/kernels.h"
#include "kernels/pool.h"
#include "ops/geometry.h"
#include "ops/ops.h"

#include <stdatomic.h>

static int64_t planes_of(const pleat_shape *s)
{
    int64_t planes = 1;
    for (int d = 0; d < s->ndim - 2; d++)
        planes *= s->dim[d];
    return planes;
}

static int64_t pixels_of(const pleat_shape *s)
{
    return s->dim[s->ndim - 2] * s->dim[s->ndim - 1];
}

/* The window with its defaults: the stride's is the kernel. */
static pleat_status resolve(const pleat_window *given, pleat_hw image, pleat_window *w, pleat_hw *windows)
{
    pleat_window window = *given;
    if (window.stride.h == 0 && window.stride.w == 0)
        window.stride = window.kernel;
    const pleat_status status = pleat_window_resolve(&window, w);
    return status == PLEAT_OK ? pleat_window_places(image, w, windows) : status;
}

/* ---- max_pool2d ---- */

static pleat_status max_infer(const pleat_call *call, pleat_spec *out)
{
    const pleat_shape *x = &call->in_spec[0].shape;
    if (x->ndim != 3 && x->ndim != 4)
        return pleat_fail(PLEAT_ESHAPE, "input %s must be (N, C, H, W) or (C, H, W)", pleat_shape_text(*x).text);
    const pleat_hw image = { x->dim[x->ndim - 2], x->dim[x->ndim - 1] };
    if (image.h < 1 || image.w < 1)
        return pleat_fail(PLEAT_ESHAPE, "input %s has images without a pixel", pleat_shape_text(*x).text);
    pleat_window w;
    pleat_hw windows;
    const pleat_status status = resolve(call->params, image, &w, &windows);
    if (status != PLEAT_OK)
        return status;
    /* with the kernel's span in a number, which places has seen to, so is this */
    if (w.padding.h > (w.dilation.h * (w.kernel.h - 1) + 1) / 2 ||
        w.padding.w > (w.dilation.w * (w.kernel.w - 1) + 1) / 2)
        return pleat_fail(PLEAT_EINVAL, "padding %s must be at most half of what kernel %s with dilation %s covers",
                          pleat_hw_text(w.padding).text, pleat_hw_text(w.kernel).text, pleat_hw_text(w.dilation).text);
    if (image.h > INT32_MAX / image.w)
        return pleat_fail(PLEAT_ESHAPE, "image %s has more than 2^31 - 1 pixels", pleat_hw_text(image).text);
    out[0] = (pleat_spec){ .dtype = call->in_spec[0].dtype, .shape = *x };
    out[0].shape.dim[x->ndim - 2] = windows.h;
    out[0].shape.dim[x->ndim - 1] = windows.w;
    out[1] = (pleat_spec){ .dtype = PLEAT_I64, .shape = out[0].shape };
    return PLEAT_OK;
}

static void max_rows(int64_t begin, int64_t end, void *ctx)
{
    pleat_kernels_get()->pool->max(ctx, begin, end);
}

static pleat_status max_forward(pleat_call *call)
{
    const pleat_shape *x = &call->in_spec[0].shape;
    const pleat_hw image = { x->dim[x->ndim - 2], x->dim[x->ndim - 1] };
    pleat_window w;
    pleat_hw windows;
    const pleat_status status = resolve(call->params, image, &w, &windows);
    if (status != PLEAT_OK)
        return status;
    pleat_max_pool_work work = { .dtype = call->in_spec[0].dtype,
                                 .image = image,
                                 .kernel = w.kernel,
                                 .stride = w.stride,
                                 .padding = w.padding,
                                 .dilation = w.dilation,
                                 .windows = windows,
                                 .x = pleat_data(call->in[0]),
                                 .y = pleat_data_mut(call->out[0]),
                                 .index = pleat_data_mut(call->out[1]) };
    pleat_parallel_for(planes_of(x) * windows.h, 8192 / windows.w, max_rows, &work);
    return PLEAT_OK;
}

static pleat_tensor *scatter(pleat_tensor *g, pleat_tensor *index, const pleat_shape *image)
{
    const pleat_hw size = { image->dim[image->ndim - 2], image->dim[image->ndim - 1] };
    return pleat_apply(&pleat_op_max_pool2d_scatter, (pleat_tensor *[]){ g, index }, 2, &size);
}

static pleat_status max_backward(pleat_call *call)
{
    call->grad_in[0] = scatter(call->grad_out[0], call->out[1], &call->in_spec[0].shape);
    return PLEAT_OK;
}

const pleat_op pleat_op_max_pool2d = {
    .name = "max_pool2d",
    .inputs = 1,
    .outputs = 2,
    .constant = PLEAT_OUT(1),
    .params_size = sizeof(pleat_window),
    .keeps = { PLEAT_KEEP_OUT(1) },
    .infer = max_infer,
    .forward = max_forward,
    .backward = max_backward,
};

pleat_tensor *pleat_max_pool2d(pleat_tensor *x, const pleat_window *window)
{
    return pleat_apply(&pleat_op_max_pool2d, &x, 1, window ? window : &(pleat_window){ .kernel = { 0, 0 } });
}

/* ---- gather and scatter ---- */

/* Planes of data and of indices: all dimensions but the last two must agree. */
static pleat_status check_planes(const pleat_shape *data, const pleat_shape *index, int last)
{
    bool fit = data->ndim >= 2 && data->ndim == index->ndim;
    for (int d = 0; fit && d < data->ndim - 2 + last; d++)
        fit = data->dim[d] == index->dim[d];
    return fit ? PLEAT_OK
               : pleat_fail(PLEAT_ESHAPE, "input %s and indices %s must agree in %s", pleat_shape_text(*data).text,
                            pleat_shape_text(*index).text, last ? "shape" : "all dimensions but the last two");
}

static pleat_status gather_infer(const pleat_call *call, pleat_spec *out)
{
    out[0] = (pleat_spec){ .dtype = call->in_spec[0].dtype, .shape = call->in_spec[1].shape };
    return check_planes(&call->in_spec[0].shape, &call->in_spec[1].shape, 0);
}

static pleat_status scatter_infer(const pleat_call *call, pleat_spec *out)
{
    const pleat_hw *size = call->params;
    const pleat_shape *g = &call->in_spec[0].shape;
    const pleat_status status = check_planes(g, &call->in_spec[1].shape, 2);
    if (status != PLEAT_OK)
        return status;
    if (size->h < 0 || size->w < 0)
        return pleat_fail(PLEAT_EINVAL, "the size of the image, %s, must not be negative", pleat_hw_text(*size).text);
    out[0] = (pleat_spec){ .dtype = call->in_spec[0].dtype, .shape = *g };
    out[0].shape.dim[g->ndim - 2] = size->h;
    out[0].shape.dim[g->ndim - 1] = size->w;
    return PLEAT_OK;
}

typedef struct {
    pleat_pool_index_work work;
    int64_t (*kernel)(const pleat_pool_index_work *, int64_t, int64_t);
    _Atomic int64_t bad; /* the first index out of range; INT64_MAX: none */
} index_job;

static void index_planes(int64_t begin, int64_t end, void *ctx)
{
    index_job *job = ctx;
    const int64_t bad = job->kernel(&job->work, begin, end);
    int64_t first = atomic_load(&job->bad);
    while (bad >= 0 && bad < first && !atomic_compare_exchange_weak(&job->bad, &first, bad))
        ;
}

static pleat_status run(pleat_call *call, const pleat_shape *image, bool gathers)
{
    const struct pleat_pool_kernels *kernels = pleat_kernels_get()->pool;
    const pleat_shape *windows = &call->in_spec[1].shape;
    index_job job = { .work = { .dtype = call->in_spec[0].dtype,
                                .pixels = pixels_of(image),
                                .windows = pixels_of(windows),
                                .x = pleat_data(call->in[0]),
                                .index = pleat_data(call->in[1]),
                                .y = pleat_data_mut(call->out[0]) },
                      .kernel = gathers ? kernels->gather : kernels->scatter };
    atomic_init(&job.bad, INT64_MAX);
    pleat_parallel_for(planes_of(windows), 16384 / (job.work.pixels + job.work.windows + 1), index_planes, &job);
    const int64_t bad = atomic_load(&job.bad);
    if (bad == INT64_MAX)
        return PLEAT_OK;
    return pleat_fail(PLEAT_EINVAL, "index %lld at %lld is out of range for an image of %lld pixels",
                      (long long)job.work.index[bad], (long long)bad, (long long)job.work.pixels);
}

static pleat_status gather_forward(pleat_call *call)
{
    return run(call, &call->in_spec[0].shape, true);
}

static pleat_status gather_backward(pleat_call *call)
{
    call->grad_in[0] = scatter(call->grad_out[0], call->in[1], &call->in_spec[0].shape);
    return PLEAT_OK;
}

const pleat_op pleat_op_max_pool2d_gather = {
    .name = "max_pool2d_gather",
    .inputs = 2,
    .outputs = 1,
    .dtypes = { PLEAT_FLOATS, PLEAT_DTYPES(PLEAT_I64) },
    .keeps = { PLEAT_KEEP_IN(1) },
    .infer = gather_infer,
    .forward = gather_forward,
    .backward = gather_backward,
};

static pleat_status scatter_forward(pleat_call *call)
{
    return run(call, &call->out_spec[0].shape, false);
}

static pleat_status scatter_backward(pleat_call *call)
{
    call->grad_in[0] =
        pleat_apply(&pleat_op_max_pool2d_gather, (pleat_tensor *[]){ call->grad_out[0], call->in[1] }, 2, NULL);
    return PLEAT_OK;
}

const pleat_op pleat_op_max_pool2d_scatter = {
    .name = "max_pool2d_scatter",
    .inputs = 2,
    .outputs = 1,
    .dtypes = { PLEAT_FLOATS, PLEAT_DTYPES(PLEAT_I64) },
    .params_size = sizeof(pleat_hw),
    .keeps = { PLEAT_KEEP_IN(1) },
    .infer = scatter_infer,
    .forward = scatter_forward,
    .backward = scatter_backward,
};
