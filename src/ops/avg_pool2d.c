/* Average pooling by windows or adaptive, and local_response_norm, which averages over channels. All of it is one
 * linear map: sums over boxes, which are products of two ranges, times a factor that is such a product too. The map and
 * its adjoint, in which pixel i has the range of windows that hold it, are each other's gradients. */
#include "kernels/kernels.h"
#include "ops/ops.h"
#include "ops/pool.h"
#include "ops/reals.h"
#include "tensor/error.h"
#include "tensor/memory.h"

#include <pleat/scope.h>

#include <math.h>
#include <string.h>

typedef struct {
    pleat_pool_params pool;
    bool adaptive;        /* to size; the window counts for nothing */
    bool exclude_padding; /* the average is over the pixels of the image alone */
    int64_t divisor;      /* 0: the number of what is averaged */
    pleat_hw size;        /* adaptive: of the result; otherwise, where not 0, how many windows, whatever would fit */
    pleat_hw image;       /* the adjoint's result */
} avg_params;

/* The number of windows on an image. */
static pleat_status windows_of(const avg_params *p, pleat_hw image, pleat_window *w, pleat_hw *windows)
{
    if (p->adaptive)
        return pleat_adaptive_size(&p->size, image, windows);
    const pleat_status status = pleat_pool_resolve(&p->pool, image, w, windows);
    if (p->size.h > 0)
        *windows = p->size;
    if (status == PLEAT_OK && (w->dilation.h != 1 || w->dilation.w != 1))
        return pleat_fail(PLEAT_EINVAL, "dilation %s: averages have none", pleat_hw_text(w->dilation).text);
    return status;
}

/* One dimension's windows: bounds of each, and what their sums are divided by. */
static void ranges(const avg_params *p, int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t padding,
                   int64_t *bounds, double *divisor)
{
    if (p->adaptive)
        pleat_adaptive_bounds(in, out, bounds);
    for (int64_t o = 0; o < out; o++) {
        int64_t *b = bounds + 2 * o;
        if (!p->adaptive) {
            b[0] = o * stride - padding;
            b[1] = b[0] + kernel < in + padding ? b[0] + kernel : in + padding;
        }
        const int64_t all = b[1] - b[0];
        b[0] = b[0] > 0 ? b[0] : 0;
        b[1] = b[1] < in ? b[1] : in;
        divisor[o] = p->divisor ? 1 : (double)(p->exclude_padding ? b[1] - b[0] : all);
    }
}

/* For each of `in` elements, which of the ranges hold it: from the first that ends after it to the last that begins
 * before. Neither ever falls. */
static void inverse(const int64_t *bounds, int64_t out, int64_t in, int64_t *inverted)
{
    int64_t first = 0, last = 0;
    for (int64_t i = 0; i < in; i++) {
        while (first < out && bounds[2 * first + 1] <= i)
            first++;
        while (last < out && bounds[2 * last] <= i)
            last++;
        inverted[2 * i] = first;
        inverted[2 * i + 1] = last > first ? last : first;
    }
}

/* The columns' ranges before what lies outside is cut off, where windows are 1, 2 or 4 apart. Pixel r is in the windows
 * whose place, a multiple of the stride, is from begin to end; division rounds towards 0, so up below it. */
static void set_even(const pleat_window *w, bool adjoint, pleat_box_work *work)
{
    const int64_t stride = w->stride.w;
    if (stride != 1 && stride != 2 && stride != 4)
        return;
    work->step = adjoint ? 1 : (int)stride;
    work->period = adjoint ? (int)stride : 1;
    for (int r = 0; r < work->period; r++) {
        const int64_t end = r + w->padding.w, begin = end - w->kernel.w + 1;
        work->first[r] = adjoint ? (begin > 0 ? begin + stride - 1 : begin) / stride : -end;
        work->last[r] = adjoint ? end / stride + 1 : w->kernel.w - end;
    }
}

/* Whether the ranges are pairs of elements, one after another from the first on, and alike. */
static bool are_pairs(const int64_t *bounds, const double *divisor, int64_t n)
{
    bool pairs = true;
    for (int64_t o = 0; o < n; o++)
        pairs &= bounds[2 * o] == 2 * o && bounds[2 * o + 1] == 2 * o + 2 && divisor[o] == *divisor;
    return pairs;
}

static void box_rows(int64_t begin, int64_t end, void *ctx)
{
    pleat_kernels_get()->pool->boxes(ctx, begin, end);
}

/* The map (adjoint: its adjoint) from planes of x to planes of y. */
static pleat_status run(const avg_params *p, pleat_hw image, const pleat_tensor *x, pleat_tensor *y, bool adjoint)
{
    pleat_window w = { .kernel = { 0, 0 } };
    pleat_hw windows = { 0, 0 };
    const pleat_status status = windows_of(p, image, &w, &windows);
    if (status != PLEAT_OK)
        return status;
    const pleat_dtype dtype = pleat_dtype_of(y);
    const int64_t rows = windows.h > image.h ? windows.h : image.h, columns = windows.w > image.w ? windows.w : image.w;
    /* bounds and factors of windows, bounds and factors of pixels, for rows and for columns; behind those of columns
     * the kernels read a vector more */
    const size_t most = (size_t)(rows + columns) + 8;
    int64_t *bounds = pleat_alloc(most * (4 * sizeof(int64_t) + 3 * sizeof(double)));
    if (!bounds)
        return PLEAT_ENOMEM;
    int64_t *inverted = bounds + 2 * most;
    double *divisor = (double *)(void *)(inverted + 2 * most), *factor = divisor + most, *one = factor + most;
    ranges(p, image.h, windows.h, w.kernel.h, w.stride.h, w.padding.h, bounds, divisor);
    ranges(p, image.w, windows.w, w.kernel.w, w.stride.w, w.padding.w, bounds + 2 * rows, divisor + rows);
    inverse(bounds, windows.h, image.h, inverted);
    inverse(bounds + 2 * rows, windows.w, image.w, inverted + 2 * rows);
    for (size_t i = 0; i < most; i++) {
        set_real(one, dtype, (int64_t)i, 1);
        set_real(factor, dtype, (int64_t)i, 1);
    }
    for (int64_t o = 0; o < windows.h; o++)
        set_real(factor, dtype, o, 1 / (divisor[o] * (double)(p->divisor ? p->divisor : 1)));
    void *column_factor = (char *)(void *)factor + (size_t)rows * pleat_dtype_size(dtype);
    for (int64_t o = 0; o < windows.w; o++)
        set_real(column_factor, dtype, o, 1 / divisor[rows + o]);

    const int64_t *used = adjoint ? inverted : bounds;
    pleat_box_work work = { .dtype = dtype,
                            .from = adjoint ? windows : image,
                            .to = adjoint ? image : windows,
                            .rows = used,
                            .columns = used + 2 * rows,
                            .squares = are_pairs(bounds, divisor, windows.h) &&
                                       are_pairs(bounds + 2 * rows, divisor + rows, windows.w),
                            .from_row = adjoint ? factor : one,
                            .from_column = adjoint ? column_factor : one,
                            .to_row = adjoint ? one : factor,
                            .to_column = adjoint ? one : column_factor,
                            .x = pleat_data(x),
                            .elements = pleat_numel(x),
                            .y = pleat_data_mut(y) };
    if (p->adaptive && windows.w > 0 && image.w % windows.w == 0) /* they are alike, side by side */
        w.kernel.w = w.stride.w = image.w / windows.w;
    set_even(&w, adjoint, &work);
    const pleat_shape shape = pleat_shape_of(y);
    const int64_t cost = image.h * image.w / work.to.h + work.to.w;
    pleat_parallel_for(pleat_pool_planes(&shape) * work.to.h, 8192 / cost, box_rows, &work);
    pleat_free(bounds);
    return PLEAT_OK;
}

static pleat_hw image_of(const pleat_shape *s)
{
    return (pleat_hw){ s->dim[s->ndim - 2], s->dim[s->ndim - 1] };
}

static pleat_status infer(const pleat_call *call, pleat_spec *out)
{
    const avg_params *p = call->params;
    const pleat_spec *x = &call->in_spec[0];
    pleat_hw image, windows;
    pleat_window w;
    pleat_status status = pleat_pool_image(x, &image);
    if (status == PLEAT_OK)
        status = windows_of(p, image, &w, &windows);
    if (status == PLEAT_OK)
        out[0] = (pleat_spec){ .dtype = x->dtype, .shape = pleat_pool_shape(&x->shape, windows) };
    return status;
}

static pleat_status forward(pleat_call *call)
{
    return run(call->params, image_of(&call->in_spec[0].shape), call->in[0], call->out[0], false);
}

static pleat_status backward(pleat_call *call)
{
    avg_params p = *(const avg_params *)call->params;
    p.image = image_of(&call->in_spec[0].shape);
    call->grad_in[0] = pleat_apply(&pleat_op_avg_pool2d_adjoint, call->grad_out, 1, &p);
    return PLEAT_OK;
}

const pleat_op pleat_op_avg_pool2d = {
    .name = "avg_pool2d",
    .inputs = 1,
    .outputs = 1,
    .params_size = sizeof(avg_params),
    .infer = infer,
    .forward = forward,
    .backward = backward,
};

static pleat_status adjoint_infer(const pleat_call *call, pleat_spec *out)
{
    const avg_params *p = call->params;
    const pleat_spec *g = &call->in_spec[0];
    pleat_hw size, windows;
    pleat_window w;
    pleat_status status = pleat_pool_image(g, &size);
    if (status == PLEAT_OK)
        status = windows_of(p, p->image, &w, &windows);
    if (status == PLEAT_OK && (windows.h != size.h || windows.w != size.w))
        return pleat_fail(PLEAT_ESHAPE, "input %s must have images of %s", pleat_shape_text(g->shape).text,
                          pleat_hw_text(windows).text);
    if (status == PLEAT_OK)
        out[0] = (pleat_spec){ .dtype = g->dtype, .shape = pleat_pool_shape(&g->shape, p->image) };
    return status;
}

static pleat_status adjoint_forward(pleat_call *call)
{
    const avg_params *p = call->params;
    return run(p, p->image, call->in[0], call->out[0], true);
}

static pleat_status adjoint_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_apply(&pleat_op_avg_pool2d, call->grad_out, 1, call->params);
    return PLEAT_OK;
}

const pleat_op pleat_op_avg_pool2d_adjoint = {
    .name = "avg_pool2d_adjoint",
    .inputs = 1,
    .outputs = 1,
    .params_size = sizeof(avg_params),
    .infer = adjoint_infer,
    .forward = adjoint_forward,
    .backward = adjoint_backward,
};

pleat_tensor *pleat_avg_pool2d(pleat_tensor *x, const pleat_window *window, const pleat_pool_opts *opts)
{
    const pleat_pool_opts o = opts ? *opts : (pleat_pool_opts){ 0 };
    avg_params p = { .pool = { .ceil_mode = o.ceil_mode }, .exclude_padding = o.exclude_padding, .divisor = o.divisor };
    if (window)
        p.pool.window = *window;
    return pleat_apply(&pleat_op_avg_pool2d, &x, 1, &p);
}

pleat_tensor *pleat_adaptive_avg_pool2d(pleat_tensor *x, pleat_hw size)
{
    const char *context = pleat_begin_context("adaptive_avg_pool2d");
    pleat_tensor *y = pleat_apply(&pleat_op_avg_pool2d, &x, 1, &(avg_params){ .adaptive = true, .size = size });
    pleat_end_context(context);
    return y;
}

/* The average of x^p is a p-th of the sum. */
pleat_tensor *pleat_lp_pool2d(pleat_tensor *x, double p, const pleat_window *window, const pleat_pool_opts *opts)
{
    const pleat_pool_opts sum = { .ceil_mode = opts && opts->ceil_mode, .divisor = 1 };
    const char *context = pleat_begin_context("lp_pool2d");
    pleat_scope scope = pleat_scope_begin();
    if (window && (window->padding.h != 0 || window->padding.w != 0))
        pleat_fail(PLEAT_EINVAL, "padding %s must be 0", pleat_hw_text(window->padding).text);
    if (!(p != 0) || !isfinite(p))
        pleat_fail(PLEAT_EINVAL, "p must be finite and not 0, not %g", p);
    pleat_tensor *y = pleat_pow(pleat_avg_pool2d(pleat_pow(x, p), window, &sum), 1 / p);
    pleat_end_context(context);
    return pleat_scope_return(scope, y);
}

static pleat_tensor *local_response_norm(pleat_tensor *x, int64_t size, const pleat_local_response_norm_opts *opts)
{
    const pleat_local_response_norm_opts o = opts ? *opts : (pleat_local_response_norm_opts){ 0 };
    const double alpha = o.alpha == 0 ? 1e-4 : o.alpha, beta = o.beta == 0 ? 0.75 : o.beta, k = o.k == 0 ? 1 : o.k;
    const pleat_shape s = pleat_shape_of(x);
    if (x && s.ndim < 3)
        pleat_fail(PLEAT_ESHAPE, "input %s must be (N, C, ...) with three dimensions or more",
                   pleat_shape_text(s).text);
    if (size < 1)
        pleat_fail(PLEAT_EINVAL, "size must be at least 1, not %lld", (long long)size);
    if (x && pleat_numel(x) == 0 && pleat_pending() == PLEAT_OK)
        return pleat_clone(x);
    /* channels as rows, size / 2 before each and the rest after: one window a channel, which for an even size leaves
     * the last that fits out */
    pleat_tensor *squares = pleat_mul(x, x);
    if (squares)
        squares = pleat_reshape(squares, PLEAT_SHAPE(s.dim[0], 1, s.dim[1], -1));
    avg_params p = { .pool = { .window = { .kernel = { size, 1 }, .stride = { 1, 1 }, .padding = { size / 2, 0 } } },
                     .size = { s.dim[1], pleat_size(squares, 3) },
                     .divisor = size };
    pleat_tensor *average = pleat_reshape(pleat_apply(&pleat_op_avg_pool2d, &squares, 1, &p), s);
    pleat_tensor *y = pleat_div(x, pleat_pow(pleat_affine(average, alpha, k), beta));
    return y;
}

pleat_tensor *pleat_local_response_norm(pleat_tensor *x, int64_t size, const pleat_local_response_norm_opts *opts)
{
    const char *context = pleat_begin_context("local_response_norm");
    const pleat_scope scope = pleat_scope_begin();
    pleat_tensor *y = pleat_scope_return(scope, local_response_norm(x, size, opts));
    pleat_end_context(context);
    return y;
}
