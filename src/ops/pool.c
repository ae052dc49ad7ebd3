/* What poolings share. */
#include "ops/pool.h"

#include "tensor/error.h"

int64_t pleat_pool_planes(const pleat_shape *shape)
{
    int64_t planes = 1;
    for (int d = 0; d < shape->ndim - 2; d++)
        planes *= shape->dim[d];
    return planes;
}

pleat_status pleat_pool_image(const pleat_spec *x, pleat_hw *image)
{
    const pleat_shape *s = &x->shape;
    if (s->ndim != 3 && s->ndim != 4)
        return pleat_fail(PLEAT_ESHAPE, "input %s must be (N, C, H, W) or (C, H, W)", pleat_shape_text(*s).text);
    *image = (pleat_hw){ s->dim[s->ndim - 2], s->dim[s->ndim - 1] };
    if (image->h < 1 || image->w < 1)
        return pleat_fail(PLEAT_ESHAPE, "input %s has images without a pixel", pleat_shape_text(*s).text);
    if (image->h > INT32_MAX / image->w)
        return pleat_fail(PLEAT_ESHAPE, "image %s has more than 2^31 - 1 pixels", pleat_hw_text(*image).text);
    return PLEAT_OK;
}

pleat_shape pleat_pool_shape(const pleat_shape *x, pleat_hw size)
{
    pleat_shape s = *x;
    s.dim[s.ndim - 2] = size.h;
    s.dim[s.ndim - 1] = size.w;
    return s;
}

/* One window more where the stride does not divide evenly, if it begins before the padding at the far end. */
static int64_t ceiled(int64_t windows, int64_t image, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation)
{
    const int64_t left = image + 2 * padding - dilation * (kernel - 1) - 1 - (windows - 1) * stride;
    return left > 0 && windows * stride < image + padding ? windows + 1 : windows;
}

pleat_status pleat_pool_resolve(const pleat_pool_params *params, pleat_hw image, pleat_window *w, pleat_hw *windows)
{
    pleat_window window = params->window;
    if (window.stride.h == 0 && window.stride.w == 0)
        window.stride = window.kernel;
    pleat_status status = pleat_window_resolve(&window, w);
    if (status == PLEAT_OK)
        status = pleat_window_places(image, w, windows);
    if (status != PLEAT_OK)
        return status;
    /* places has seen to it that what the kernel covers is a number */
    if (w->padding.h > (w->dilation.h * (w->kernel.h - 1) + 1) / 2 ||
        w->padding.w > (w->dilation.w * (w->kernel.w - 1) + 1) / 2)
        return pleat_fail(PLEAT_EINVAL, "padding %s must be at most half of what kernel %s with dilation %s covers",
                          pleat_hw_text(w->padding).text, pleat_hw_text(w->kernel).text,
                          pleat_hw_text(w->dilation).text);
    if (params->ceil_mode) {
        windows->h = ceiled(windows->h, image.h, w->kernel.h, w->stride.h, w->padding.h, w->dilation.h);
        windows->w = ceiled(windows->w, image.w, w->kernel.w, w->stride.w, w->padding.w, w->dilation.w);
    }
    return PLEAT_OK;
}

pleat_status pleat_adaptive_size(const pleat_hw *size, pleat_hw image, pleat_hw *resolved)
{
    *resolved = (pleat_hw){ size->h == -1 ? image.h : size->h, size->w == -1 ? image.w : size->w };
    if (resolved->h < 1 || resolved->w < 1 || resolved->h > INT32_MAX || resolved->w > INT32_MAX)
        return pleat_fail(PLEAT_EINVAL, "size %s: both must be from 1 to 2^31 - 1, or -1 for the image's",
                          pleat_hw_text(*size).text);
    return PLEAT_OK;
}

void pleat_adaptive_bounds(int64_t in, int64_t out, int64_t *bounds)
{
    for (int64_t o = 0; o < out; o++) {
        bounds[2 * o] = o * in / out;
        bounds[2 * o + 1] = ((o + 1) * in + out - 1) / out;
    }
}

pleat_tensor *pleat_pool_apply(const pleat_op *op, pleat_tensor *x, const void *params, pleat_tensor **indices)
{
    pleat_tensor *out[2] = { NULL };
    if (pleat_pending() == PLEAT_OK) {
        const uint64_t failures = pleat_failures();
        pleat_take(pleat_apply_all(op, &x, 1, params, out), failures);
    }
    if (indices)
        *indices = out[1];
    return out[0];
}
