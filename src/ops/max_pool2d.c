/* max_pool2d and adaptive_max_pool2d: the largest element under each window, and the place it came from as a constant
 * second output; max_unpool2d puts elements back there. The derivative is the map "take these places", which is linear
 * in the image: gather; gather's is its adjoint, scatter, and scatter's is gather. So the three can be differentiated
 * as often as wanted. */
#include "kernels/kernels.h"
#include "ops/ops.h"
#include "ops/pool.h"
#include "tensor/error.h"
#include "tensor/memory.h"

#include <pleat/autograd.h>
#include <pleat/scope.h>

#include <stdatomic.h>
#include <string.h>

static int64_t pixels_of(const pleat_shape *s)
{
    return s->dim[s->ndim - 2] * s->dim[s->ndim - 1];
}

/* ---- max_pool2d ---- */

static pleat_status values_and_indices(const pleat_spec *x, pleat_hw size, pleat_spec *out)
{
    out[0] = (pleat_spec){ .dtype = x->dtype, .shape = pleat_pool_shape(&x->shape, size) };
    out[1] = (pleat_spec){ .dtype = PLEAT_I64, .shape = out[0].shape };
    return PLEAT_OK;
}

static pleat_status max_infer(const pleat_call *call, pleat_spec *out)
{
    pleat_hw image, windows;
    pleat_window w;
    pleat_status status = pleat_pool_image(&call->in_spec[0], &image);
    if (status == PLEAT_OK)
        status = pleat_pool_resolve(call->params, image, &w, &windows);
    if (status == PLEAT_OK)
        status = values_and_indices(&call->in_spec[0], windows, out);
    if (((const pleat_pool_params *)call->params)->values_only)
        out[1].shape = PLEAT_SHAPE(0);
    return status;
}

static void max_rows(int64_t begin, int64_t end, void *ctx)
{
    pleat_kernels_get()->pool->max(ctx, begin, end);
}

static pleat_status max_forward(pleat_call *call)
{
    pleat_hw image, windows;
    pleat_window w;
    pleat_status status = pleat_pool_image(&call->in_spec[0], &image);
    if (status == PLEAT_OK)
        status = pleat_pool_resolve(call->params, image, &w, &windows);
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
                                 .index = ((const pleat_pool_params *)call->params)->values_only
                                              ? NULL
                                              : pleat_data_mut(call->out[1]) };
    pleat_parallel_for(pleat_pool_planes(&call->in_spec[0].shape) * windows.h, 8192 / windows.w, max_rows, &work);
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
    .params_size = sizeof(pleat_pool_params),
    .keeps = { PLEAT_KEEP_OUT(1) },
    .infer = max_infer,
    .forward = max_forward,
    .backward = max_backward,
};

pleat_tensor *pleat_max_pool2d(pleat_tensor *x, const pleat_window *window)
{
    return pleat_max_pool2d_with(x, window, NULL, NULL);
}

pleat_tensor *pleat_max_pool2d_with(pleat_tensor *x, const pleat_window *window, const pleat_pool_opts *opts,
                                    pleat_tensor **indices)
{
    /* finding places and writing them, twice the values' bytes, takes most of the time */
    const bool places = indices || (x && pleat_grad_enabled() && pleat_requires_grad(x));
    pleat_pool_params params = { .ceil_mode = opts && opts->ceil_mode, .values_only = !places };
    if (window)
        params.window = *window;
    return pleat_pool_apply(&pleat_op_max_pool2d, x, &params, indices);
}

/* ---- adaptive_max_pool2d ---- */

static pleat_status adaptive_infer(const pleat_call *call, pleat_spec *out)
{
    pleat_hw image, size;
    pleat_status status = pleat_pool_image(&call->in_spec[0], &image);
    if (status == PLEAT_OK)
        status = pleat_adaptive_size(call->params, image, &size);
    return status == PLEAT_OK ? values_and_indices(&call->in_spec[0], size, out) : status;
}

static void largest_rows(int64_t begin, int64_t end, void *ctx)
{
    pleat_kernels_get()->pool->largest(ctx, begin, end);
}

static pleat_status adaptive_forward(pleat_call *call)
{
    pleat_hw image, size;
    pleat_status status = pleat_pool_image(&call->in_spec[0], &image);
    if (status == PLEAT_OK)
        status = pleat_adaptive_size(call->params, image, &size);
    int64_t *bounds = status == PLEAT_OK ? pleat_alloc((size_t)(size.h + size.w) * 2 * sizeof *bounds) : NULL;
    if (!bounds)
        return pleat_pending();
    int64_t *columns = bounds + 2 * size.h;
    pleat_adaptive_bounds(image.h, size.h, bounds);
    pleat_adaptive_bounds(image.w, size.w, columns);
    pleat_box_work work = { .dtype = call->in_spec[0].dtype,
                            .from = image,
                            .to = size,
                            .rows = bounds,
                            .columns = columns,
                            .x = pleat_data(call->in[0]),
                            .y = pleat_data_mut(call->out[0]),
                            .index = pleat_data_mut(call->out[1]) };
    pleat_parallel_for(pleat_pool_planes(&call->in_spec[0].shape) * size.h, 8192 * size.h / (image.h * image.w) + 1,
                       largest_rows, &work);
    pleat_free(bounds);
    return PLEAT_OK;
}

const pleat_op pleat_op_adaptive_max_pool2d = {
    .name = "adaptive_max_pool2d",
    .inputs = 1,
    .outputs = 2,
    .constant = PLEAT_OUT(1),
    .params_size = sizeof(pleat_hw),
    .keeps = { PLEAT_KEEP_OUT(1) },
    .infer = adaptive_infer,
    .forward = adaptive_forward,
    .backward = max_backward,
};

pleat_tensor *pleat_adaptive_max_pool2d(pleat_tensor *x, pleat_hw size, pleat_tensor **indices)
{
    return pleat_pool_apply(&pleat_op_adaptive_max_pool2d, x, &size, indices);
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
    out[0] = (pleat_spec){ .dtype = call->in_spec[0].dtype, .shape = pleat_pool_shape(g, *size) };
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
    pleat_parallel_for(pleat_pool_planes(windows), 16384 / (job.work.pixels + job.work.windows + 1), index_planes,
                       &job);
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

/* ---- max_unpool2d ---- */

/* Where several windows have one place, the last one's element is put there: the others' indices become -1, in a copy.
 */
static pleat_tensor *last_of_each(pleat_tensor *indices, int64_t pixels)
{
    pleat_tensor *copy = pleat_clone(indices);
    int64_t *index = copy ? pleat_data_mut(copy) : NULL,
            *last = index ? pleat_alloc((size_t)pixels * sizeof *last) : NULL;
    if (!last)
        return NULL;
    const pleat_shape shape = pleat_shape_of(copy);
    const int64_t windows = pixels_of(&shape), planes = pleat_pool_planes(&shape);
    for (int64_t plane = 0; plane < planes; plane++, index += windows) {
        memset(last, -1, (size_t)pixels * sizeof *last);
        for (int64_t p = 0; p < windows; p++)
            if (index[p] >= 0 && index[p] < pixels) {
                if (last[index[p]] >= 0)
                    index[last[index[p]]] = -1;
                last[index[p]] = p;
            }
    }
    pleat_free(last);
    return copy;
}

pleat_tensor *pleat_max_unpool2d(pleat_tensor *x, pleat_tensor *indices, pleat_hw size)
{
    pleat_tensor *single = indices;
    int64_t pixels;
    const char *context = pleat_begin_context("max_unpool2d");
    const pleat_scope scope = pleat_scope_begin();
    if (x && pleat_ndim(x) != 3 && pleat_ndim(x) != 4)
        pleat_fail(PLEAT_ESHAPE, "input %s must be (N, C, H, W) or (C, H, W)",
                   pleat_shape_text(pleat_shape_of(x)).text);
    if (indices && pleat_dtype_of(indices) == PLEAT_I64 && pleat_ndim(indices) >= 2 && size.h >= 0 && size.w >= 0 &&
        !__builtin_mul_overflow(size.h, size.w, &pixels))
        single = last_of_each(indices, pixels);
    /* whatever else is wrong, the op says so */
    pleat_tensor *y = pleat_apply(&pleat_op_max_pool2d_scatter, (pleat_tensor *[]){ x, single }, 2, &size);
    y = pleat_scope_return(scope, y);
    pleat_end_context(context);
    return y;
}
