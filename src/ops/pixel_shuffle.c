/* pixel_shuffle and pixel_unshuffle: channels dealt out to blocks of r x r pixels, and back. A permutation between two
 * reshapes; the gradients are theirs. */
#include "ops/enter.h"
#include "ops/ops.h"
#include "tensor/tensor.h"

#include <pleat/ops.h>

#include <inttypes.h>

/* x is (..., C, H, W); in the result C, H and W are these. */
static pleat_tensor *shuffled(pleat_tensor *x, pleat_shape split, pleat_dims order, int64_t c, int64_t h, int64_t w)
{
    pleat_shape shape = x->shape;
    shape.dim[shape.ndim - 3] = c;
    shape.dim[shape.ndim - 2] = h;
    shape.dim[shape.ndim - 1] = w;
    const pleat_scope scope = pleat_scope_begin();
    return pleat_scope_return(scope, pleat_reshape(pleat_permute(pleat_reshape(x, split), order), shape));
}

static bool enter_shuffle(const char *name, const pleat_tensor *x, int64_t r, const char **context)
{
    if (!pleat_enter(name, x, context))
        return false;
    if (x->shape.ndim < 3)
        pleat_fail(PLEAT_ESHAPE, "input %s must be (..., C, H, W)", pleat_shape_text(x->shape).text);
    else if (r < 1 || r > INT32_MAX)
        pleat_fail(PLEAT_EINVAL, "the factor must be at least 1, not %" PRId64, r);
    return pleat_pending() == PLEAT_OK;
}

/* The product of the dimensions before the last three. */
static int64_t images(const pleat_tensor *x)
{
    int64_t n = 1;
    for (int d = 0; d < x->shape.ndim - 3; d++)
        n *= x->shape.dim[d];
    return n;
}

pleat_tensor *pleat_pixel_shuffle(pleat_tensor *x, int64_t factor)
{
    const char *context;
    if (!enter_shuffle("pixel_shuffle", x, factor, &context))
        return pleat_leave(context, NULL);
    const int64_t r = factor, *dim = x->shape.dim + x->shape.ndim - 3, c = dim[0] / (r * r), h = dim[1], w = dim[2];
    int64_t out_h, out_w;
    if (dim[0] % (r * r) != 0)
        pleat_fail(PLEAT_ESHAPE,
                   "the %" PRId64 " channels of %s cannot be dealt out to %" PRId64 " x %" PRId64 " pixels", dim[0],
                   pleat_shape_text(x->shape).text, r, r);
    else if (__builtin_mul_overflow(h, r, &out_h) || __builtin_mul_overflow(w, r, &out_w))
        pleat_fail(PLEAT_ESHAPE, "%s times %" PRId64 " is too large", pleat_shape_text(x->shape).text, r);
    else
        return pleat_leave(
            context, shuffled(x, PLEAT_SHAPE(images(x), c, r, r, h, w), PLEAT_DIMS(0, 1, 4, 2, 5, 3), c, out_h, out_w));
    return pleat_leave(context, NULL);
}

pleat_tensor *pleat_pixel_unshuffle(pleat_tensor *x, int64_t factor)
{
    const char *context;
    if (!enter_shuffle("pixel_unshuffle", x, factor, &context))
        return pleat_leave(context, NULL);
    const int64_t r = factor, *dim = x->shape.dim + x->shape.ndim - 3, c = dim[0], h = dim[1] / r, w = dim[2] / r;
    int64_t out_c;
    if (dim[1] % r != 0 || dim[2] % r != 0)
        pleat_fail(PLEAT_ESHAPE, "the pixels of %s are no blocks of %" PRId64 " x %" PRId64,
                   pleat_shape_text(x->shape).text, r, r);
    else if (__builtin_mul_overflow(c, r * r, &out_c))
        pleat_fail(PLEAT_ESHAPE, "%s with %" PRId64 " times the channels is too large", pleat_shape_text(x->shape).text,
                   r * r);
    else
        return pleat_leave(
            context, shuffled(x, PLEAT_SHAPE(images(x), c, h, r, w, r), PLEAT_DIMS(0, 1, 3, 5, 2, 4), out_c, h, w));
    return pleat_leave(context, NULL);
}
