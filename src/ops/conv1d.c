/* conv1d and conv_transpose1d: convolutions of images of height 1, by the same core. */
#include "tensor/error.h"

#include <pleat/op.h>
#include <pleat/ops.h>
#include <pleat/scope.h>

/* (N, C, L) or (C, L), and a weight of three dimensions, under the caller's name. */
static bool check(const pleat_tensor *x, const pleat_tensor *weight)
{
    if (pleat_pending() != PLEAT_OK)
        return false;
    if (!x || !weight)
        pleat_fail(PLEAT_EINVAL, "%s is NULL", x ? "the weight" : "the input");
    else if (pleat_ndim(x) != 3 && pleat_ndim(x) != 2)
        pleat_fail(PLEAT_ESHAPE, "input %s must be (N, C, L) or (C, L)", pleat_shape_text(pleat_shape_of(x)).text);
    else if (pleat_ndim(weight) != 3)
        pleat_fail(PLEAT_ESHAPE, "weight %s must have 3 dimensions", pleat_shape_text(pleat_shape_of(weight)).text);
    return pleat_pending() == PLEAT_OK;
}

/* A pair whose second is the length's; 0 stays the default, in both. */
static pleat_hw along(int64_t value)
{
    return (pleat_hw){ value != 0, value };
}

static pleat_tensor *as_image(pleat_tensor *x)
{
    return pleat_unsqueeze(x, -2);
}

pleat_tensor *pleat_conv1d(pleat_tensor *x, pleat_tensor *weight, pleat_tensor *bias, const pleat_conv1d_opts *opts)
{
    const char *context = pleat_begin_context("conv1d");
    pleat_tensor *y = NULL;
    if (check(x, weight)) {
        const pleat_conv1d_opts o = opts ? *opts : (pleat_conv1d_opts){ 0 };
        const pleat_conv2d_opts flat = { .stride = along(o.stride),
                                         .padding = { 0, o.padding },
                                         .dilation = along(o.dilation),
                                         .groups = o.groups,
                                         .same = o.same,
                                         .more = { 0, o.more },
                                         .mode = o.mode,
                                         .relu = o.relu };
        const pleat_scope scope = pleat_scope_begin();
        y = pleat_conv2d(as_image(x), as_image(weight), bias, &flat);
        y = pleat_scope_return(scope, y ? pleat_squeeze(y, -2) : NULL);
    }
    pleat_end_context(context);
    return y;
}

pleat_tensor *pleat_conv_transpose1d(pleat_tensor *x, pleat_tensor *weight, pleat_tensor *bias,
                                     const pleat_conv_transpose1d_opts *opts)
{
    const char *context = pleat_begin_context("conv_transpose1d");
    pleat_tensor *y = NULL;
    if (check(x, weight)) {
        const pleat_conv_transpose1d_opts o = opts ? *opts : (pleat_conv_transpose1d_opts){ 0 };
        const pleat_conv_transpose2d_opts flat = { .stride = along(o.stride),
                                                   .padding = { 0, o.padding },
                                                   .output_padding = { 0, o.output_padding },
                                                   .dilation = along(o.dilation),
                                                   .groups = o.groups,
                                                   .output_size = along(o.output_size),
                                                   .relu = o.relu };
        const pleat_scope scope = pleat_scope_begin();
        y = pleat_conv_transpose2d(as_image(x), as_image(weight), bias, &flat);
        y = pleat_scope_return(scope, y ? pleat_squeeze(y, -2) : NULL);
    }
    pleat_end_context(context);
    return y;
}
