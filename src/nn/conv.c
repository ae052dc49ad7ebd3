/* The convolution layers: conv2d and conv_transpose2d with a weight, and a bias unless told otherwise. */
#include "nn/module.h"

#include "tensor/error.h"

/* ---- conv2d ---- */

typedef struct {
    pleat_tensor *weight, *bias;
    pleat_conv2d_opts opts;
} conv2d;

static pleat_tensor *conv2d_forward(pleat_module *self, pleat_tensor *x)
{
    const conv2d *c = pleat_module_state(self);
    return pleat_conv2d(x, c->weight, c->bias, &c->opts);
}

static const pleat_module_class conv2d_class = { .name = "conv2d",
                                                 .state_size = sizeof(conv2d),
                                                 .forward = conv2d_forward };

/* The groups that 0 stands for, or 0 with an error where they do not divide the channels. */
static int64_t groups_of(const char *layer, int64_t in, int64_t out, int64_t groups)
{
    if (in < 1 || out < 1) {
        pleat_fail(PLEAT_EINVAL, "%s: channels must be at least 1, not %lld in and %lld out", layer, (long long)in,
                   (long long)out);
        return 0;
    }
    if (groups < 0 || (groups && (in % groups || out % groups))) {
        pleat_fail(PLEAT_EINVAL, "%s: %lld groups must divide %lld channels in and %lld out", layer, (long long)groups,
                   (long long)in, (long long)out);
        return 0;
    }
    return groups ? groups : 1;
}

pleat_module *pleat_nn_conv2d(int64_t in_channels, int64_t out_channels, pleat_hw kernel, const pleat_conv2d_opts *opts)
{
    const char *name = "nn_conv2d";
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    const pleat_conv2d_opts o = opts ? *opts : (pleat_conv2d_opts){ 0 };
    const int64_t groups = groups_of(name, in_channels, out_channels, o.groups);
    const pleat_window window = { kernel, o.stride, o.padding, o.dilation };
    if (!groups || pleat_check_window(name, &window) != PLEAT_OK)
        return NULL;
    pleat_module *m = pleat_module_new(&conv2d_class);
    if (!m)
        return NULL;
    conv2d *c = pleat_module_state(m);
    c->opts = o;
    return pleat_add_weights(m, PLEAT_SHAPE(out_channels, in_channels / groups, kernel.h, kernel.w), out_channels,
                             o.no_bias, &c->weight, &c->bias);
}

/* ---- conv_transpose2d ---- */

typedef struct {
    pleat_tensor *weight, *bias;
    pleat_conv_transpose2d_opts opts;
} conv_transpose2d;

static pleat_tensor *conv_transpose2d_forward(pleat_module *self, pleat_tensor *x)
{
    const conv_transpose2d *c = pleat_module_state(self);
    return pleat_conv_transpose2d(x, c->weight, c->bias, &c->opts);
}

static const pleat_module_class conv_transpose2d_class = { .name = "conv_transpose2d",
                                                           .state_size = sizeof(conv_transpose2d),
                                                           .forward = conv_transpose2d_forward };

static bool fits(int64_t output_padding, int64_t stride, int64_t dilation)
{
    return output_padding >= 0 && (output_padding == 0 || output_padding < stride || output_padding < dilation);
}

pleat_module *pleat_nn_conv_transpose2d(int64_t in_channels, int64_t out_channels, pleat_hw kernel,
                                        const pleat_conv_transpose2d_opts *opts)
{
    const char *name = "nn_conv_transpose2d";
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    const pleat_conv_transpose2d_opts o = opts ? *opts : (pleat_conv_transpose2d_opts){ 0 };
    const int64_t groups = groups_of(name, in_channels, out_channels, o.groups);
    const pleat_window window = { kernel, o.stride, o.padding, o.dilation };
    if (!groups || pleat_check_window(name, &window) != PLEAT_OK)
        return NULL;
    if (!fits(o.output_padding.h, o.stride.h, o.dilation.h) || !fits(o.output_padding.w, o.stride.w, o.dilation.w)) {
        pleat_fail(PLEAT_EINVAL, "%s: the output padding (%lld, %lld) must be below the stride or the dilation", name,
                   (long long)o.output_padding.h, (long long)o.output_padding.w);
        return NULL;
    }
    pleat_module *m = pleat_module_new(&conv_transpose2d_class);
    if (!m)
        return NULL;
    conv_transpose2d *c = pleat_module_state(m);
    c->opts = o;
    return pleat_add_weights(m, PLEAT_SHAPE(in_channels, out_channels / groups, kernel.h, kernel.w), out_channels,
                             o.no_bias, &c->weight, &c->bias);
}
