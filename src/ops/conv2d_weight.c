/* conv2d_weight: the gradient of conv2d by its weight, the third of the bilinear triad. It is linear in the image x and
 * in the output gradient g, so with a gradient v of its own result, a weight:
 *
 *   by x   conv_transpose2d of g and v
 *   by g   conv2d of x and v
 *
 * Where asked for, the second result is the gradient by conv2d's bias: g's totals, added up while g is read. With a
 * gradient u of that, a bias, the gradient by g is conv2d of x, v and u.
 *
 * g has the size of conv2d's result, or is smaller where conv_transpose2d's output_padding, x being its result, comes
 * to a stride or more: the places that are missing count as zero. */
#include "ops/conv_op.h"
#include "ops/ops.h"
#include "ops/reduce.h"
#include "tensor/error.h"

static pleat_status infer(const pleat_call *call, pleat_spec *out)
{
    const pleat_conv_params *params = call->params;
    const pleat_spec *x = &call->in_spec[0], *grad = &call->in_spec[1];
    pleat_images images, outputs;
    pleat_window window;
    pleat_hw places;
    int64_t groups;
    pleat_status status = pleat_images_of("input", x, &images);
    if (status == PLEAT_OK)
        status = pleat_images_of("gradient", grad, &outputs);
    if (status == PLEAT_OK)
        status = pleat_conv_resolve(params, params->window.kernel, &window, &groups);
    if (status == PLEAT_OK)
        status = pleat_window_places(images.size, &window, &places);
    if (status != PLEAT_OK)
        return status;
    if (images.batched != outputs.batched || images.n != outputs.n)
        return pleat_fail(PLEAT_ESHAPE, "input %s and gradient %s must be of the same batch",
                          pleat_shape_text(x->shape).text, pleat_shape_text(grad->shape).text);
    if (images.c % groups != 0 || outputs.c % groups != 0)
        return pleat_fail(PLEAT_ESHAPE, "%lld groups do not divide the channels of input %s and gradient %s",
                          (long long)groups, pleat_shape_text(x->shape).text, pleat_shape_text(grad->shape).text);
    const pleat_hw given = outputs.size;
    bool fits = given.h >= 1 && given.w >= 1 && given.h <= places.h && given.w <= places.w;
    if (fits) {
        const pleat_hw rest = pleat_window_rest(images.size, &window, given);
        fits = (rest.h < window.stride.h || rest.h < window.dilation.h) &&
               (rest.w < window.stride.w || rest.w < window.dilation.w);
    }
    if (!fits)
        return pleat_fail(
            PLEAT_ESHAPE, "gradient %s must have size %s: kernel %s, stride %s, padding %s, dilation %s on %s",
            pleat_shape_text(grad->shape).text, pleat_hw_text(places).text, pleat_hw_text(window.kernel).text,
            pleat_hw_text(window.stride).text, pleat_hw_text(window.padding).text, pleat_hw_text(window.dilation).text,
            pleat_hw_text(images.size).text);
    out[0] = (pleat_spec){ .dtype = x->dtype,
                           .shape = PLEAT_SHAPE(outputs.c, images.c / groups, window.kernel.h, window.kernel.w) };
    out[1] = (pleat_spec){ .dtype = x->dtype, .shape = PLEAT_SHAPE(params->totals ? outputs.c : 0) };
    return PLEAT_OK;
}

static pleat_status forward(pleat_call *call)
{
    const pleat_conv_params *params = call->params;
    const pleat_conv_shape shape =
        pleat_conv_shape_of(call, &call->in_spec[0], &call->in_spec[1], params->window.kernel);
    void *totals = params->totals ? pleat_data_mut(call->out[1]) : NULL;
    const pleat_status status = pleat_conv_by_weight(&shape, pleat_data(call->in[0]), pleat_data(call->in[1]),
                                                     pleat_data_mut(call->out[0]), &totals);
    if (status != PLEAT_OK || !totals)
        return status;
    const unsigned all_but_channels = call->in_spec[1].shape.ndim == 4 ? 0xd : 0x6;
    return pleat_reduce(&pleat_kernels_get()->reduce->sum, call->in[1], all_but_channels, false, call->out[1]);
}

static pleat_status backward(pleat_call *call)
{
    const pleat_conv_params *params = call->params;
    const pleat_conv2d_opts opts = pleat_conv_opts(params);
    const pleat_conv_shape shape =
        pleat_conv_shape_of(call, &call->in_spec[0], &call->in_spec[1], params->window.kernel);
    pleat_tensor *grad = call->grad_out[0], *bias = params->totals ? call->grad_out[1] : NULL;
    if (pleat_wants(call, 0) && grad && shape.image.h > 0 && shape.image.w > 0) {
        const pleat_window window = { shape.kernel, shape.stride, shape.padding, shape.dilation };
        call->grad_in[0] = pleat_conv_transpose2d(
            call->in[1], grad, NULL,
            &(pleat_conv_transpose2d_opts){ .stride = opts.stride,
                                            .padding = opts.padding,
                                            .output_padding = pleat_window_rest(shape.image, &window, shape.out),
                                            .dilation = opts.dilation,
                                            .groups = opts.groups });
    }
    if (pleat_wants(call, 1) && grad)
        call->grad_in[1] = pleat_conv_crop(pleat_conv2d(call->in[0], grad, bias, &opts), shape.out);
    else if (pleat_wants(call, 1) && bias)
        call->grad_in[1] = pleat_expand(pleat_reshape(bias, PLEAT_SHAPE(shape.o, 1, 1)), call->in_spec[1].shape);
    return PLEAT_OK;
}

static double flops(const pleat_call *call)
{
    return pleat_conv_flops(&call->in_spec[1], &call->out_spec[0]);
}

const pleat_op pleat_op_conv2d_weight = {
    .name = "conv2d_weight",
    .inputs = 2,
    .outputs = 2,
    .params_size = sizeof(pleat_conv_params),
    .keeps = { [0] = PLEAT_KEEP_IN(1), [1] = PLEAT_KEEP_IN(0) },
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .flops = flops,
};

pleat_tensor *pleat_conv_weight_grad(pleat_tensor *x, pleat_tensor *grad, pleat_hw kernel,
                                     const pleat_conv2d_opts *opts, pleat_tensor **bias_grad)
{
    pleat_conv_params params = { .window = { .kernel = kernel }, .totals = bias_grad != NULL };
    if (opts) {
        params.window.stride = opts->stride;
        params.window.padding = opts->padding;
        params.window.dilation = opts->dilation;
        params.groups = opts->groups;
        if (x) {
            const char *context = pleat_begin_context("conv2d_weight");
            x = pleat_conv_pad(x, kernel, opts, &params.window);
            pleat_end_context(context);
        }
    }
    pleat_tensor *out[2] = { NULL };
    if (pleat_pending() == PLEAT_OK) {
        const uint64_t failures = pleat_failures();
        pleat_take(pleat_apply_all(&pleat_op_conv2d_weight, (pleat_tensor *[]){ x, grad }, 2, &params, out), failures);
    }
    if (bias_grad)
        *bias_grad = out[1];
    return out[0];
}

pleat_tensor *pleat_conv2d_weight(pleat_tensor *x, pleat_tensor *grad, pleat_hw kernel, const pleat_conv2d_opts *opts)
{
    return pleat_conv_weight_grad(x, grad, kernel, opts, NULL);
}
