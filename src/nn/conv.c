/* The convolution layers: conv2d and conv_transpose2d, in two dimensions and in one, with a weight, and a bias unless
 * told otherwise. */
#include "nn/module.h"

#include "tensor/error.h"
#include "tensor/watch.h"

/* A layer's state, its class, and what that forwards by: with the options as given, and with a relu in any case. */
#define LAYER(op)                                                                                                      \
    typedef struct {                                                                                                   \
        pleat_tensor *weight, *bias;                                                                                   \
        pleat_##op##_opts opts;                                                                                        \
    } op;                                                                                                              \
    static pleat_tensor *op##_forward(pleat_module *self, pleat_tensor *x)                                             \
    {                                                                                                                  \
        const op *layer = pleat_module_state(self);                                                                    \
        return pleat_##op(x, layer->weight, layer->bias, &layer->opts);                                                \
    }                                                                                                                  \
    static pleat_tensor *op##_forward_relu(pleat_module *self, pleat_tensor *x)                                        \
    {                                                                                                                  \
        op layer = *(const op *)pleat_module_state(self);                                                              \
        layer.opts.relu = true;                                                                                        \
        return pleat_##op(x, layer.weight, layer.bias, &layer.opts);                                                   \
    }                                                                                                                  \
    static const pleat_module_class op##_class = {                                                                     \
        .name = #op, .state_size = sizeof(op), .forward = op##_forward, .forward_relu = op##_forward_relu              \
    };
LAYER(conv2d)
LAYER(conv1d)
LAYER(conv_transpose2d)
LAYER(conv_transpose1d)
#undef LAYER

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

/* ---- conv2d ---- */

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

/* ---- conv1d ---- */

/* A window of height 1, whose defaults stay what they are. */
static pleat_window flat(int64_t kernel, int64_t stride, int64_t padding, int64_t dilation)
{
    return (pleat_window){ { 1, kernel }, { stride != 0, stride }, { 0, padding }, { dilation != 0, dilation } };
}

pleat_module *pleat_nn_conv1d(int64_t in_channels, int64_t out_channels, int64_t kernel, const pleat_conv1d_opts *opts)
{
    const char *name = "nn_conv1d";
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    const pleat_conv1d_opts o = opts ? *opts : (pleat_conv1d_opts){ 0 };
    const int64_t groups = groups_of(name, in_channels, out_channels, o.groups);
    const pleat_window window = flat(kernel, o.stride, o.padding, o.dilation);
    if (!groups || pleat_check_window(name, &window) != PLEAT_OK)
        return NULL;
    pleat_module *m = pleat_module_new(&conv1d_class);
    if (!m)
        return NULL;
    conv1d *c = pleat_module_state(m);
    c->opts = o;
    return pleat_add_weights(m, PLEAT_SHAPE(out_channels, in_channels / groups, kernel), out_channels, o.no_bias,
                             &c->weight, &c->bias);
}

/* ---- conv_transpose2d ---- */

static bool fits(int64_t output_padding, int64_t stride, int64_t dilation)
{
    return output_padding >= 0 && (output_padding == 0 || output_padding < stride || output_padding < dilation);
}

static bool fit(const char *layer, pleat_hw output_padding, const pleat_window *w)
{
    if (fits(output_padding.h, w->stride.h, w->dilation.h) && fits(output_padding.w, w->stride.w, w->dilation.w))
        return true;
    pleat_fail(PLEAT_EINVAL, "%s: the output padding (%lld, %lld) must be below the stride or the dilation", layer,
               (long long)output_padding.h, (long long)output_padding.w);
    return false;
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
    if (!fit(name, o.output_padding, &window))
        return NULL;
    pleat_module *m = pleat_module_new(&conv_transpose2d_class);
    if (!m)
        return NULL;
    conv_transpose2d *c = pleat_module_state(m);
    c->opts = o;
    return pleat_add_weights(m, PLEAT_SHAPE(in_channels, out_channels / groups, kernel.h, kernel.w), out_channels,
                             o.no_bias, &c->weight, &c->bias);
}

/* ---- conv_transpose1d ---- */

pleat_module *pleat_nn_conv_transpose1d(int64_t in_channels, int64_t out_channels, int64_t kernel,
                                        const pleat_conv_transpose1d_opts *opts)
{
    const char *name = "nn_conv_transpose1d";
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    const pleat_conv_transpose1d_opts o = opts ? *opts : (pleat_conv_transpose1d_opts){ 0 };
    const int64_t groups = groups_of(name, in_channels, out_channels, o.groups);
    const pleat_window window = flat(kernel, o.stride, o.padding, o.dilation);
    if (!groups || pleat_check_window(name, &window) != PLEAT_OK ||
        !fit(name, (pleat_hw){ 0, o.output_padding }, &window))
        return NULL;
    pleat_module *m = pleat_module_new(&conv_transpose1d_class);
    if (!m)
        return NULL;
    conv_transpose1d *c = pleat_module_state(m);
    c->opts = o;
    return pleat_add_weights(m, PLEAT_SHAPE(in_channels, out_channels / groups, kernel), out_channels, o.no_bias,
                             &c->weight, &c->bias);
}

/* ---- To a size ---- */

/* The same forward with other options; what anomaly mode calls the place is what pleat_forward would. */
static pleat_tensor *forward_to(pleat_module *m, pleat_tensor *x, pleat_hw size)
{
    if (m->cls == &conv_transpose2d_class) {
        const conv_transpose2d *c = pleat_module_state(m);
        pleat_conv_transpose2d_opts o = c->opts;
        o.output_padding = (pleat_hw){ 0, 0 };
        o.output_size = size;
        return pleat_conv_transpose2d(x, c->weight, c->bias, &o);
    }
    const conv_transpose1d *c = pleat_module_state(m);
    pleat_conv_transpose1d_opts o = c->opts;
    o.output_padding = 0;
    o.output_size = size.w;
    return pleat_conv_transpose1d(x, c->weight, c->bias, &o);
}

pleat_tensor *pleat_forward_to_size(pleat_module *m, pleat_tensor *x, pleat_hw size)
{
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    if (!m || !x) {
        pleat_fail(PLEAT_EINVAL, "forward_to_size: the %s is NULL", m ? "input" : "module");
        return NULL;
    }
    if (m->cls != &conv_transpose2d_class && (m->cls != &conv_transpose1d_class || size.h != 0)) {
        pleat_fail(PLEAT_EINVAL, "forward_to_size: a %s cannot be asked for the size (%lld, %lld)", m->cls->name,
                   (long long)size.h, (long long)size.w);
        return NULL;
    }
    pleat_frame here = { m->name, NULL };
    here.outer = pleat_frame_enter(&here);
    pleat_tensor *y = forward_to(m, x, size);
    pleat_frame_enter(here.outer);
    return y;
}
