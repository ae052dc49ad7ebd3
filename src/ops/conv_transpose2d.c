/* conv_transpose2d: the adjoint of conv2d in its input, the second of the bilinear triad. Read as such, its result is
 * an image that a conv2d with this weight would make its input's size from, so its gradients are the other two:
 *
 *   by x        conv2d of the output gradient and the weight
 *   by weight   conv2d_weight of the output gradient (as the image) and x (as the gradient)
 *   by bias     the output gradient, summed over everything but the channels
 *
 * An output_padding of a stride or more (it may be, below the dilation) makes that conv2d's result larger than x by
 * places that x has not: they are cut off. */
#include "ops/conv_op.h"
#include "ops/ops.h"
#include "tensor/error.h"

static pleat_status infer(const pleat_call *call, pleat_spec *out)
{
    const pleat_conv_params *params = call->params;
    const pleat_spec *x = &call->in_spec[0], *weight = &call->in_spec[1];
    pleat_images images;
    pleat_window window;
    pleat_hw size;
    int64_t groups, channels;
    pleat_status status = pleat_images_of("input", x, &images);
    if (status == PLEAT_OK)
        status = pleat_conv_check_weight(weight);
    if (status == PLEAT_OK)
        status = pleat_conv_resolve(params, pleat_conv_kernel(weight), &window, &groups);
    if (status != PLEAT_OK)
        return status;
    const int64_t *w = weight->shape.dim;
    if (images.c != w[0])
        return pleat_fail(PLEAT_ESHAPE, "input %s has %lld channels, weight %s expects %lld",
                          pleat_shape_text(x->shape).text, (long long)images.c, pleat_shape_text(weight->shape).text,
                          (long long)w[0]);
    if (w[0] % groups != 0)
        return pleat_fail(PLEAT_ESHAPE, "input %s has %lld channels, which %lld groups do not divide",
                          pleat_shape_text(x->shape).text, (long long)images.c, (long long)groups);
    if (__builtin_mul_overflow(w[1], groups, &channels))
        return pleat_fail(PLEAT_ESHAPE, "weight %s with %lld groups gives too many channels",
                          pleat_shape_text(weight->shape).text, (long long)groups);
    status = pleat_conv_check_bias(&call->in_spec[2], channels);
    if (status == PLEAT_OK)
        status = pleat_window_image(images.size, &window, params->output_padding, params->output_size, &size);
    if (status == PLEAT_OK)
        out[0] = (pleat_spec){ .dtype = x->dtype, .shape = pleat_images_shape(&images, channels, size) };
    return status;
}

static pleat_status forward(pleat_call *call)
{
    const pleat_conv_shape shape =
        pleat_conv_shape_of(call, &call->out_spec[0], &call->in_spec[0], pleat_conv_kernel(&call->in_spec[1]));
    return pleat_conv_by_data(&shape, pleat_data(call->in[0]), pleat_data(call->in[1]),
                              call->in[2] ? pleat_data(call->in[2]) : NULL, pleat_data_mut(call->out[0]));
}

static pleat_status backward(pleat_call *call)
{
    const pleat_conv2d_opts opts = pleat_conv_opts(call->params);
    const pleat_spec *x = &call->in_spec[0];
    pleat_tensor *grad = pleat_conv_grad(call);
    if (pleat_wants(call, 0))
        call->grad_in[0] =
            pleat_conv_crop(pleat_conv2d(grad, call->in[1], NULL, &opts),
                            (pleat_hw){ x->shape.dim[x->shape.ndim - 2], x->shape.dim[x->shape.ndim - 1] });
    if (pleat_wants(call, 1))
        call->grad_in[1] = pleat_conv2d_weight(grad, call->in[0], pleat_conv_kernel(&call->in_spec[1]), &opts);
    if (pleat_wants(call, 2))
        call->grad_in[2] = pleat_conv_bias_grad(grad);
    return PLEAT_OK;
}

static double flops(const pleat_call *call)
{
    return pleat_conv_flops(&call->in_spec[0], &call->in_spec[1]);
}

const pleat_op pleat_op_conv_transpose2d = { PLEAT_CONV_OP(conv_transpose2d, 0) };
const pleat_op pleat_op_conv_transpose2d_relu = { PLEAT_CONV_OP(conv_transpose2d_relu, PLEAT_KEEP_OUT(0)) };

pleat_tensor *pleat_conv_transpose2d(pleat_tensor *x, pleat_tensor *weight, pleat_tensor *bias,
                                     const pleat_conv_transpose2d_opts *opts)
{
    pleat_conv_params params = { .groups = 0 };
    if (opts) {
        params.window = (pleat_window){ .stride = opts->stride, .padding = opts->padding, .dilation = opts->dilation };
        params.output_padding = opts->output_padding;
        params.output_size = opts->output_size;
        params.groups = opts->groups;
        params.relu = opts->relu;
    }
    return pleat_apply(params.relu ? &pleat_op_conv_transpose2d_relu : &pleat_op_conv_transpose2d,
                       (pleat_tensor *[]){ x, weight, bias }, 3, &params);
}

pleat_hw pleat_conv_transpose2d_output_size(pleat_hw image, pleat_hw kernel, const pleat_conv_transpose2d_opts *opts)
{
    pleat_hw size = { -1, -1 }, extra = { 0, 0 }, asked = { 0, 0 };
    pleat_window window = { .kernel = kernel };
    if (opts) {
        window.stride = opts->stride;
        window.padding = opts->padding;
        window.dilation = opts->dilation;
        extra = opts->output_padding;
        asked = opts->output_size;
    }
    const char *before = pleat_context("conv_transpose2d_output_size");
    pleat_hw found;
    if (pleat_pending() == PLEAT_OK && pleat_window_resolve(&window, &window) == PLEAT_OK &&
        pleat_window_image(image, &window, extra, asked, &found) == PLEAT_OK)
        size = found;
    pleat_context(before);
    return size;
}
