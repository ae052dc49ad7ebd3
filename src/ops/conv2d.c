/* conv2d: the first of the bilinear triad. It is linear in x and in the weight, so its gradients are the other two:
 *
 *   by x        conv_transpose2d of the output gradient and the weight; output_padding makes up for the rows and
 *               columns that no window reached because the stride does not divide
 *   by weight   conv2d_weight of x and the output gradient
 *   by bias     the output gradient, summed over everything but the channels: by conv2d_weight where it runs */
#include "ops/conv_op.h"
#include "ops/ops.h"
#include "tensor/error.h"

#include <pleat/ops.h>

static pleat_status infer(const pleat_call *call, pleat_spec *out)
{
    const pleat_spec *x = &call->in_spec[0], *weight = &call->in_spec[1];
    pleat_images images;
    pleat_window window;
    pleat_hw size;
    int64_t groups;
    pleat_status status = pleat_images_of("input", x, &images);
    if (status == PLEAT_OK)
        status = pleat_conv_check_weight(weight);
    if (status == PLEAT_OK)
        status = pleat_conv_resolve(call->params, pleat_conv_kernel(weight), &window, &groups);
    if (status != PLEAT_OK)
        return status;
    const int64_t *w = weight->shape.dim;
    if (w[0] % groups != 0)
        return pleat_fail(PLEAT_ESHAPE, "weight %s has %lld output channels, which %lld groups do not divide",
                          pleat_shape_text(weight->shape).text, (long long)w[0], (long long)groups);
    if (images.c % groups != 0 || images.c / groups != w[1]) {
        const pleat_text given = pleat_shape_text(x->shape), by = pleat_shape_text(weight->shape);
        if (groups == 1)
            return pleat_fail(PLEAT_ESHAPE, "input %s has %lld channels, weight %s expects %lld", given.text,
                              (long long)images.c, by.text, (long long)w[1]);
        return pleat_fail(PLEAT_ESHAPE, "input %s has %lld channels, weight %s expects %lld groups of %lld", given.text,
                          (long long)images.c, by.text, (long long)groups, (long long)w[1]);
    }
    status = pleat_conv_check_bias(&call->in_spec[2], w[0]);
    if (status == PLEAT_OK)
        status = pleat_window_places(images.size, &window, &size);
    if (status == PLEAT_OK)
        out[0] = (pleat_spec){ .dtype = x->dtype, .shape = pleat_images_shape(&images, w[0], size) };
    return status;
}

static pleat_status forward(pleat_call *call)
{
    const pleat_conv_shape shape =
        pleat_conv_shape_of(call, &call->in_spec[0], &call->out_spec[0], pleat_conv_kernel(&call->in_spec[1]));
    return pleat_conv_forward(&shape, pleat_data(call->in[0]), pleat_data(call->in[1]),
                              call->in[2] ? pleat_data(call->in[2]) : NULL, pleat_data_mut(call->out[0]));
}

static pleat_status backward(pleat_call *call)
{
    const pleat_conv_params *p = call->params;
    const pleat_conv2d_opts opts = pleat_conv_opts(p);
    const pleat_hw kernel = pleat_conv_kernel(&call->in_spec[1]);
    pleat_tensor *grad = pleat_conv_grad(call);
    const bool empty = pleat_shape_numel(call->in_spec[0].shape) == 0; /* its gradient is nothing */
    if (pleat_wants(call, 0) && !empty) {
        const pleat_conv_shape shape = pleat_conv_shape_of(call, &call->in_spec[0], &call->out_spec[0], kernel);
        const pleat_window window = { kernel, shape.stride, shape.padding, shape.dilation };
        call->grad_in[0] = pleat_conv_transpose2d(
            grad, call->in[1], NULL,
            &(pleat_conv_transpose2d_opts){ .stride = opts.stride,
                                            .padding = opts.padding,
                                            .output_padding = pleat_window_rest(shape.image, &window, shape.out),
                                            .dilation = opts.dilation,
                                            .groups = opts.groups });
    }
    if (pleat_wants(call, 1))
        call->grad_in[1] =
            pleat_conv_weight_grad(call->in[0], grad, kernel, &opts, pleat_wants(call, 2) ? &call->grad_in[2] : NULL);
    else if (pleat_wants(call, 2))
        call->grad_in[2] = pleat_conv_bias_grad(grad);
    return PLEAT_OK;
}

static double flops(const pleat_call *call)
{
    return pleat_conv_flops(&call->out_spec[0], &call->in_spec[1]);
}

const pleat_op pleat_op_conv2d = { PLEAT_CONV_OP(conv2d, 0) };
const pleat_op pleat_op_conv2d_relu = { PLEAT_CONV_OP(conv2d_relu, PLEAT_KEEP_OUT(0)) };

pleat_tensor *pleat_conv2d(pleat_tensor *x, pleat_tensor *weight, pleat_tensor *bias, const pleat_conv2d_opts *opts)
{
    pleat_conv_params params = { .groups = 0 };
    if (opts) {
        params.window = (pleat_window){ .stride = opts->stride, .padding = opts->padding, .dilation = opts->dilation };
        params.groups = opts->groups;
        params.relu = opts->relu;
        if (x && pleat_ndim(weight) == 4) { /* the op says what is wrong with any other weight */
            const char *context = pleat_begin_context("conv2d");
            x = pleat_conv_pad(x, (pleat_hw){ pleat_size(weight, 2), pleat_size(weight, 3) }, opts, &params.window);
            pleat_end_context(context);
        }
    }
    return pleat_apply(params.relu ? &pleat_op_conv2d_relu : &pleat_op_conv2d, (pleat_tensor *[]){ x, weight, bias }, 3,
                       &params);
}

pleat_hw pleat_conv2d_output_size(pleat_hw image, pleat_hw kernel, const pleat_conv2d_opts *opts)
{
    pleat_hw size = { -1, -1 };
    pleat_window window = { .kernel = kernel };
    if (opts) {
        window.stride = opts->stride;
        window.padding = opts->padding;
        window.dilation = opts->dilation;
    }
    const char *context = pleat_context("conv2d_output_size");
    const pleat_hw more = opts ? opts->more : (pleat_hw){ 0, 0 };
    if (more.h < 0 || more.w < 0)
        pleat_fail(PLEAT_EINVAL, "padding behind %s must not be negative", pleat_hw_text(more).text);
    if (pleat_pending() == PLEAT_OK && pleat_window_resolve(&window, &window) == PLEAT_OK) {
        if (opts && opts->same) {
            pleat_hw before = window.padding, behind = { 0, 0 };
            pleat_conv_same(opts, &window, &before, &behind);
            if (pleat_pending() == PLEAT_OK)
                size = image;
        } else
            pleat_window_places((pleat_hw){ image.h + more.h, image.w + more.w }, &window, &size);
    }
    pleat_context(context);
    return size;
}
