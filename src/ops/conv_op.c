/* The convolution triad's common checks. */
#include "ops/conv_op.h"

pleat_status pleat_images_of(const char *name, const pleat_spec *spec, pleat_images *images)
{
    const int64_t *dim = spec->shape.dim;
    const bool batched = spec->shape.ndim == 4;
    if (!batched && spec->shape.ndim != 3)
        return pleat_fail(PLEAT_ESHAPE, "%s %s must be (N, C, H, W) or (C, H, W)", name,
                          pleat_shape_text(spec->shape).text);
    *images = (pleat_images){ batched, batched ? dim[0] : 1, dim[batched], { dim[batched + 1], dim[batched + 2] } };
    return PLEAT_OK;
}

pleat_shape pleat_images_shape(const pleat_images *images, int64_t channels, pleat_hw size)
{
    return images->batched ? PLEAT_SHAPE(images->n, channels, size.h, size.w) : PLEAT_SHAPE(channels, size.h, size.w);
}

pleat_status pleat_conv_resolve(const pleat_conv_params *params, pleat_hw kernel, pleat_window *window, int64_t *groups)
{
    pleat_window given = params->window;
    given.kernel = kernel;
    *groups = params->groups == 0 ? 1 : params->groups;
    if (*groups < 1)
        return pleat_fail(PLEAT_EINVAL, "groups %lld: must be at least 1, or 0 for 1", (long long)*groups);
    return pleat_window_resolve(&given, window);
}

pleat_status pleat_conv_check_weight(const pleat_spec *weight)
{
    if (weight->shape.ndim == 4)
        return PLEAT_OK;
    return pleat_fail(PLEAT_ESHAPE, "weight %s must have 4 dimensions", pleat_shape_text(weight->shape).text);
}

pleat_status pleat_conv_check_bias(const pleat_spec *bias, int64_t channels)
{
    if (!bias->dtype || (bias->shape.ndim == 1 && bias->shape.dim[0] == channels))
        return PLEAT_OK;
    return pleat_fail(PLEAT_ESHAPE, "bias %s must be (%lld,), one per output channel",
                      pleat_shape_text(bias->shape).text, (long long)channels);
}

pleat_conv_shape pleat_conv_shape_of(const pleat_call *call, const pleat_spec *x, const pleat_spec *y, pleat_hw kernel)
{
    pleat_window w = { 0 };
    pleat_images from = { 0 }, to = { 0 };
    int64_t groups = 1;
    /* infer has seen to it that none of these fails */
    pleat_conv_resolve(call->params, kernel, &w, &groups);
    pleat_images_of("input", x, &from);
    pleat_images_of("output", y, &to);
    return (pleat_conv_shape){ .dtype = x->dtype,
                               .n = from.n,
                               .c = from.c,
                               .o = to.c,
                               .groups = groups,
                               .image = from.size,
                               .out = to.size,
                               .kernel = kernel,
                               .stride = w.stride,
                               .padding = w.padding,
                               .dilation = w.dilation };
}

pleat_tensor *pleat_conv_bias_grad(pleat_tensor *grad)
{
    return pleat_sum_dims(grad, pleat_ndim(grad) == 4 ? PLEAT_DIMS(0, 2, 3) : PLEAT_DIMS(1, 2), false);
}

pleat_tensor *pleat_conv_crop(pleat_tensor *t, pleat_hw size)
{
    if (t && pleat_size(t, -2) != size.h)
        t = pleat_narrow(t, -2, 0, size.h);
    if (t && pleat_size(t, -1) != size.w)
        t = pleat_narrow(t, -1, 0, size.w);
    return t;
}
