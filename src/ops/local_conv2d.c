/* Locally connected layers: a convolution whose weights differ from place to place, and its transpose. In each group
 *
 *   local_conv2d             y[n, o, l] = sum over k of w[l, o, k] u[n, k, l]            u = unfold(x)
 *   local_conv_transpose2d   u[n, k, l] = sum over c of w[l, c, k] x[n, c, l]            y = fold(u)
 *
 * l counts the places row by row, k a group's channels and the kernel's taps. So each is one matrix product a place,
 * batched over places and groups, before or behind a fold; the gradients are those of the parts. */
#include "ops/conv_op.h"
#include "tensor/error.h"

#include <pleat/op.h>
#include <pleat/ops.h>
#include <pleat/scope.h>

#include <inttypes.h>

/* What both forms have in common: the sizes that the weight must agree with. */
typedef struct {
    int64_t n, c, groups;
    pleat_hw image, places;
    pleat_window window;
} geometry;

/* A place's weights: (rows of places, columns of places, O or C, channels of a group, KH, KW). */
static pleat_status read_input(const pleat_tensor *x, const pleat_tensor *weight, pleat_window window, int64_t groups,
                               geometry *g)
{
    if (pleat_pending() != PLEAT_OK)
        return pleat_pending();
    if (!x || !weight)
        return pleat_fail(PLEAT_EINVAL, "the %s is NULL", x ? "weight" : "input");
    const pleat_shape xs = pleat_shape_of(x), ws = pleat_shape_of(weight);
    if (xs.ndim != 4 && xs.ndim != 3)
        return pleat_fail(PLEAT_ESHAPE, "input %s must be (N, C, H, W) or (C, H, W)", pleat_shape_text(xs).text);
    if (ws.ndim != 6)
        return pleat_fail(PLEAT_ESHAPE, "weight %s must have 6 dimensions: places (2), channels (2), kernel (2)",
                          pleat_shape_text(ws).text);
    *g = (geometry){ .n = xs.ndim == 4 ? xs.dim[0] : 1, .c = xs.dim[xs.ndim - 3], .groups = groups ? groups : 1 };
    g->image = (pleat_hw){ xs.dim[xs.ndim - 2], xs.dim[xs.ndim - 1] };
    if (g->groups < 1 || g->c % g->groups != 0)
        return pleat_fail(PLEAT_EINVAL, "%" PRId64 " groups do not divide the channels of input %s", g->groups,
                          pleat_shape_text(xs).text);
    window.kernel = (pleat_hw){ ws.dim[4], ws.dim[5] };
    return pleat_window_resolve(&window, &g->window);
}

static pleat_status check_places(const pleat_tensor *weight, pleat_hw places)
{
    const pleat_shape w = pleat_shape_of(weight);
    if (w.dim[0] == places.h && w.dim[1] == places.w)
        return PLEAT_OK;
    return pleat_fail(PLEAT_ESHAPE,
                      "weight %s is for %" PRId64 " x %" PRId64 " places, there are %" PRId64 " x %" PRId64,
                      pleat_shape_text(w).text, w.dim[0], w.dim[1], places.h, places.w);
}

/* bias: (O), or (O, H, W) with one of its own for each place of the result; NULL adds nothing. */
static pleat_tensor *add_bias(pleat_tensor *y, pleat_tensor *bias)
{
    if (!y || !bias)
        return y;
    const pleat_shape ys = pleat_shape_of(y), bs = pleat_shape_of(bias),
                      own = { 3, { ys.dim[1], ys.dim[2], ys.dim[3] } };
    if (bs.ndim == 1 && bs.dim[0] == ys.dim[1])
        return pleat_add(y, pleat_reshape(bias, PLEAT_SHAPE(bs.dim[0], 1, 1)));
    if (pleat_shape_equal(bs, own))
        return pleat_add(y, bias);
    pleat_fail(PLEAT_ESHAPE, "bias %s must be (%" PRId64 ",) or, one for each place, %s", pleat_shape_text(bs).text,
               ys.dim[1], pleat_shape_text(own).text);
    return NULL;
}

/* (N, groups k, l) -> (l, groups, k, N), in which a place and group is a matrix of its own; and back. */
static pleat_tensor *by_place(pleat_tensor *u, const geometry *g, int64_t k, int64_t l)
{
    return pleat_permute(pleat_reshape(u, PLEAT_SHAPE(g->n, g->groups, k, l)), PLEAT_DIMS(3, 1, 2, 0));
}

static pleat_tensor *by_image(pleat_tensor *u, const geometry *g, int64_t k, int64_t l)
{
    return pleat_reshape(pleat_permute(u, PLEAT_DIMS(3, 1, 2, 0)), PLEAT_SHAPE(g->n, g->groups * k, l));
}

static pleat_tensor *local(pleat_tensor *x, pleat_tensor *weight, pleat_tensor *bias, const pleat_conv2d_opts *o)
{
    geometry g;
    const pleat_window given = { .stride = o->stride, .padding = o->padding, .dilation = o->dilation };
    if (read_input(x, weight, given, o->groups, &g) != PLEAT_OK ||
        !(x = pleat_conv_pad(x, g.window.kernel, o, &g.window)))
        return NULL;
    g.image = (pleat_hw){ pleat_size(x, -2), pleat_size(x, -1) };
    if (pleat_window_places(g.image, &g.window, &g.places) != PLEAT_OK || check_places(weight, g.places) != PLEAT_OK)
        return NULL;
    const pleat_shape w = pleat_shape_of(weight);
    if (w.dim[3] != g.c / g.groups || w.dim[2] % g.groups != 0) {
        pleat_fail(PLEAT_ESHAPE, "input %s has %" PRId64 " channels, weight %s does not fit them in %" PRId64 " groups",
                   pleat_shape_text(pleat_shape_of(x)).text, g.c, pleat_shape_text(w).text, g.groups);
        return NULL;
    }
    const int64_t l = g.places.h * g.places.w, out = w.dim[2] / g.groups, k = w.dim[3] * w.dim[4] * w.dim[5];
    pleat_tensor *u = by_place(pleat_unfold(x, &g.window), &g, k, l);
    pleat_tensor *y = pleat_matmul(pleat_reshape(weight, PLEAT_SHAPE(l, g.groups, out, k)), u);
    y = by_image(y, &g, out, l);
    return add_bias(pleat_reshape(y, PLEAT_SHAPE(g.n, w.dim[2], g.places.h, g.places.w)), bias);
}

static pleat_tensor *local_transpose(pleat_tensor *x, pleat_tensor *weight, pleat_tensor *bias,
                                     const pleat_conv_transpose2d_opts *o)
{
    geometry g;
    const pleat_window given = { .stride = o->stride, .padding = o->padding, .dilation = o->dilation };
    pleat_hw size;
    if (read_input(x, weight, given, o->groups, &g) != PLEAT_OK || check_places(weight, g.image) != PLEAT_OK ||
        pleat_window_image(g.image, &g.window, o->output_padding, o->output_size, &size) != PLEAT_OK)
        return NULL;
    const pleat_shape w = pleat_shape_of(weight);
    if (w.dim[2] != g.c) {
        pleat_fail(PLEAT_ESHAPE, "input %s has %" PRId64 " channels, weight %s expects %" PRId64,
                   pleat_shape_text(pleat_shape_of(x)).text, g.c, pleat_shape_text(w).text, w.dim[2]);
        return NULL;
    }
    const int64_t l = g.image.h * g.image.w, in = g.c / g.groups, k = w.dim[3] * w.dim[4] * w.dim[5];
    pleat_tensor *turned = pleat_transpose(pleat_reshape(weight, PLEAT_SHAPE(l, g.groups, in, k)), 2, 3);
    pleat_tensor *u = by_image(pleat_matmul(turned, by_place(x, &g, in, l)), &g, k, l);
    /* behind the last window, where fold would look for more of them, there are zeros */
    const pleat_hw rest = pleat_window_rest(size, &g.window, g.image), stride = g.window.stride;
    const pleat_hw more = { rest.h < stride.h ? 0 : rest.h - stride.h + 1,
                            rest.w < stride.w ? 0 : rest.w - stride.w + 1 };
    pleat_tensor *y = pleat_fold(u, (pleat_hw){ size.h - more.h, size.w - more.w }, &g.window);
    if (y && (more.h > 0 || more.w > 0))
        y = pleat_pad(y, (const int64_t[]){ 0, more.w, 0, more.h }, 4, NULL);
    return add_bias(y, bias);
}

static pleat_tensor *finish(pleat_scope scope, const char *context, pleat_tensor *y, bool unbatched)
{
    y = pleat_scope_return(scope, y && unbatched ? pleat_squeeze(y, 0) : y);
    pleat_end_context(context);
    return y;
}

pleat_tensor *pleat_local_conv2d(pleat_tensor *x, pleat_tensor *weight, pleat_tensor *bias,
                                 const pleat_conv2d_opts *opts)
{
    const char *context = pleat_begin_context("local_conv2d");
    const pleat_scope scope = pleat_scope_begin();
    pleat_tensor *y = local(x, weight, bias, opts ? opts : &(pleat_conv2d_opts){ 0 });
    return finish(scope, context, opts && opts->relu ? pleat_relu(y) : y, pleat_ndim(x) == 3);
}

pleat_tensor *pleat_local_conv_transpose2d(pleat_tensor *x, pleat_tensor *weight, pleat_tensor *bias,
                                           const pleat_conv_transpose2d_opts *opts)
{
    const char *context = pleat_begin_context("local_conv_transpose2d");
    const pleat_scope scope = pleat_scope_begin();
    pleat_tensor *y = local_transpose(x, weight, bias, opts ? opts : &(pleat_conv_transpose2d_opts){ 0 });
    return finish(scope, context, opts && opts->relu ? pleat_relu(y) : y, pleat_ndim(x) == 3);
}
