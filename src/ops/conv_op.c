/* The convolution triad's common checks. */
#include "ops/conv_op.h"

#include "ops/elementwise.h"
#include "ops/ops.h"
#include "tensor/error.h"

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
    const pleat_conv_params *params = call->params;
    pleat_window w = { 0 };
    pleat_images from = { 0 }, to = { 0 };
    int64_t groups = 1;
    /* infer has seen to it that none of these fails */
    pleat_conv_resolve(params, kernel, &w, &groups);
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
                               .dilation = w.dilation,
                               .relu = params->relu };
}

void pleat_conv_same(const pleat_conv2d_opts *o, const pleat_window *full, pleat_hw *before, pleat_hw *behind)
{
    if (full->stride.h != 1 || full->stride.w != 1 || before->h || before->w || o->more.h || o->more.w)
        pleat_fail(PLEAT_EINVAL, "same is for stride (1, 1) and no other padding, not stride %s, padding %s, more %s",
                   pleat_hw_text(full->stride).text, pleat_hw_text(*before).text, pleat_hw_text(o->more).text);
    else if (__builtin_mul_overflow(full->dilation.h, full->kernel.h - 1, &behind->h) ||
             __builtin_mul_overflow(full->dilation.w, full->kernel.w - 1, &behind->w))
        pleat_fail(PLEAT_EINVAL, "dilation %s is too large", pleat_hw_text(full->dilation).text);
    *before = (pleat_hw){ behind->h / 2, behind->w / 2 };
    *behind = (pleat_hw){ behind->h - before->h, behind->w - before->w };
}

pleat_tensor *pleat_conv_pad(pleat_tensor *x, pleat_hw kernel, const pleat_conv2d_opts *o, pleat_window *window)
{
    if (pleat_pending() != PLEAT_OK || (!o->same && o->more.h == 0 && o->more.w == 0 && o->mode == PLEAT_PAD_CONSTANT))
        return x;
    pleat_window full = *window;
    full.kernel = kernel;
    pleat_images images;
    const pleat_spec spec = { .shape = pleat_shape_of(x) };
    if (pleat_images_of("input", &spec, &images) != PLEAT_OK || pleat_window_resolve(&full, &full) != PLEAT_OK)
        return NULL;
    pleat_hw before = full.padding, behind = { 0, 0 };
    if (o->same)
        pleat_conv_same(o, &full, &before, &behind);
    else if (o->more.h < 0 || o->more.w < 0 || __builtin_add_overflow(before.h, o->more.h, &behind.h) ||
             __builtin_add_overflow(before.w, o->more.w, &behind.w))
        pleat_fail(PLEAT_EINVAL, "padding behind %s must not be negative, nor overflow", pleat_hw_text(o->more).text);
    window->padding = (pleat_hw){ 0, 0 };
    return pleat_pending() == PLEAT_OK ? pleat_pad(x, (const int64_t[]){ before.w, behind.w, before.h, behind.h }, 4,
                                                   &(pleat_pad_opts){ .mode = o->mode })
                                       : NULL;
}

double pleat_conv_flops(const pleat_spec *t, const pleat_spec *weight)
{
    const int64_t *w = weight->shape.dim;
    return 2.0 * (double)pleat_shape_numel(t->shape) * (double)(w[1] * w[2] * w[3]);
}

pleat_tensor *pleat_conv_grad(const pleat_call *call)
{
    const pleat_conv_params *params = call->params;
    return params->relu ? pleat_gate(&pleat_op_relu_grad, call, call->out[0]) : call->grad_out[0];
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
