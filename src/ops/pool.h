/* What poolings share: windows with pooling's defaults and rules, and how windows become boxes of an image. */
#ifndef PLEAT_OPS_POOL_H
#define PLEAT_OPS_POOL_H

#include "kernels/pool.h"
#include "ops/geometry.h"

#include <pleat/op.h>

typedef struct {
    pleat_window window; /* as given */
    bool ceil_mode;
    bool values_only; /* max_pool2d: the indices are empty, and there is no gradient */
} pleat_pool_params;

/* Planes of an image tensor: the product of all dimensions but the last two. */
int64_t pleat_pool_planes(const pleat_shape *shape);

/* The size of x's images; an error where x is not (N, C, H, W) or (C, H, W) or they have no pixel. */
pleat_status pleat_pool_image(const pleat_spec *x, pleat_hw *image);

/* x's shape with images of another size. */
pleat_shape pleat_pool_shape(const pleat_shape *x, pleat_hw size);

/* The window with its defaults filled in, the stride's being the kernel, and checked; how many there are. */
pleat_status pleat_pool_resolve(const pleat_pool_params *params, pleat_hw image, pleat_window *window,
                                pleat_hw *windows);

/* The size of an adaptive pooling's result, -1 being the image's. */
pleat_status pleat_adaptive_size(const pleat_hw *size, pleat_hw image, pleat_hw *resolved);

/* Where each of `out` boxes begins and ends that divide `in` elements as evenly as whole numbers allow, overlapping by
 * at most one: floor(o in / out) to ceil((o + 1) in / out). Two numbers each. */
void pleat_adaptive_bounds(int64_t in, int64_t out, int64_t *bounds);

/* Applies an op with values and indices as outputs; indices may be NULL. */
pleat_tensor *pleat_pool_apply(const pleat_op *op, pleat_tensor *x, const void *params, pleat_tensor **indices);

#endif
