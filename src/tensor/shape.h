/* Shapes and strides. */
#ifndef PLEAT_TENSOR_SHAPE_H
#define PLEAT_TENSOR_SHAPE_H

#include <pleat/base.h>
#include <pleat/op.h>

/* PLEAT_ESHAPE unless every size is 0 or more, there are at most PLEAT_MAX_DIMS, and the elements can be counted. */
pleat_status pleat_shape_check(pleat_shape shape);

/* pleat_shape_numel of a shape that need not be copied. */
int64_t pleat_shape_count(const pleat_shape *shape);

/* Row-major strides. */
void pleat_shape_strides(const pleat_shape *shape, int64_t *stride);

/* Whether elements in row-major order lie one after the other. Dimensions of size 1 do not matter. */
bool pleat_strides_contiguous(pleat_shape shape, const int64_t *stride);

/* A list of dimensions as a mask, bit d for dimension d of ndim; an empty list is all of them. An error where one is
 * out of range or named twice. */
pleat_status pleat_dims_mask(pleat_dims dims, int ndim, unsigned *mask);

/* Merges neighbouring dimensions that every one of `count` operands walks as one, and drops those of size 1: few long
 * loops instead of many short ones. dim[] and stride[k][] hold *ndim entries; on return fewer, but never none: a single
 * dimension of size 1 where all were dropped. */
void pleat_merge_dims(int *ndim, int64_t *dim, int64_t (*stride)[PLEAT_MAX_DIMS], int count);

#endif
