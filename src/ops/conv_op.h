/* What the three ops of the convolution triad share: their parameters, and how they call the engine. */
#ifndef PLEAT_OPS_CONV_OP_H
#define PLEAT_OPS_CONV_OP_H

#include "ops/conv_core.h"
#include "ops/geometry.h"

#include <pleat/op.h>

typedef struct {
    pleat_window window;     /* as given, and its kernel only for conv2d_weight: the others have a weight */
    pleat_hw output_padding; /* conv_transpose2d's */
    pleat_hw output_size;    /* likewise; {0, 0}: by output_padding */
    int64_t groups;          /* 0: 1 */
    bool relu;               /* of the result: of the ops conv2d_relu and conv_transpose2d_relu */
    bool totals;             /* conv2d_weight: the second output is the gradient by the bias, not empty */
} pleat_conv_params;

/* The images of a batch, or the one of (C, H, W). */
typedef struct {
    bool batched;
    int64_t n, c;
    pleat_hw size;
} pleat_images;

/* Reads a shape (N, C, H, W) or (C, H, W); an error, that calls it by name, for any other. */
pleat_status pleat_images_of(const char *name, const pleat_spec *spec, pleat_images *images);
pleat_shape pleat_images_shape(const pleat_images *images, int64_t channels, pleat_hw size);

/* The window, resolved, and groups, at least 1, of a call with such a kernel. */
pleat_status pleat_conv_resolve(const pleat_conv_params *params, pleat_hw kernel, pleat_window *window,
                                int64_t *groups);

/* The checks that a weight and a bias get; channels is what the bias has one of each for. */
pleat_status pleat_conv_check_weight(const pleat_spec *weight);
pleat_status pleat_conv_check_bias(const pleat_spec *bias, int64_t channels);
static inline pleat_hw pleat_conv_kernel(const pleat_spec *weight)
{
    return (pleat_hw){ weight->shape.dim[2], weight->shape.dim[3] };
}

/* The engine's description: x images and y outputs of it, whichever of the three is computed. */
pleat_conv_shape pleat_conv_shape_of(const pleat_call *call, const pleat_spec *x, const pleat_spec *y, pleat_hw kernel);

/* What `same` pads before and behind: dilation (kernel - 1) in all, an odd one more behind. full: the window resolved,
 * before: its padding. An error is left pending where the options forbid it. */
void pleat_conv_same(const pleat_conv2d_opts *opts, const pleat_window *full, pleat_hw *before, pleat_hw *behind);

/* x with the padding that the engine does not do by itself, two sides that differ and the modes, as an op in front;
 * none is left in *window then. Without such padding x itself. NULL with an error. */
pleat_tensor *pleat_conv_pad(pleat_tensor *x, pleat_hw kernel, const pleat_conv2d_opts *opts, pleat_window *window);

/* Floating-point operations: each element of t, of the size of what the windows make, meets all the weights of its
 * channel. Multiplications and additions both count, as everybody counts them. */
double pleat_conv_flops(const pleat_spec *t, const pleat_spec *weight);

/* conv2d, conv_transpose2d, and both with a relu, which keeps more for every gradient; made of the file's functions. */
#define PLEAT_CONV_OP(op, more)                                                                                        \
    .name = #op, .inputs = 3, .outputs = 1, .optional = PLEAT_IN(2), .params_size = sizeof(pleat_conv_params),         \
    .keeps = { PLEAT_KEEP_IN(1) | (more), PLEAT_KEEP_IN(0) | (more), (more) }, .infer = infer, .forward = forward,     \
    .backward = backward, .flops = flops

/* The gradient of what was convolved, before a relu. */
pleat_tensor *pleat_conv_grad(const pleat_call *call);

/* The gradient by the bias: the sum over all but the channels. */
pleat_tensor *pleat_conv_bias_grad(pleat_tensor *grad);

/* conv2d_weight, and the gradient by the bias with it unless that is NULL. */
pleat_tensor *pleat_conv_weight_grad(pleat_tensor *x, pleat_tensor *grad, pleat_hw kernel,
                                     const pleat_conv2d_opts *opts, pleat_tensor **bias_grad);

/* The first size places of an image, (.., H, W). */
pleat_tensor *pleat_conv_crop(pleat_tensor *t, pleat_hw size);

/* The parameters as the public functions take them: gradients are calls of these. */
static inline pleat_conv2d_opts pleat_conv_opts(const pleat_conv_params *p)
{
    return (pleat_conv2d_opts){
        .stride = p->window.stride, .padding = p->window.padding, .dilation = p->window.dilation, .groups = p->groups
    };
}

#endif
