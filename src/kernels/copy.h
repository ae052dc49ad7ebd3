/* Strided copies, with a change of dtype where the two differ, and sums in place. */
#ifndef PLEAT_KERNELS_COPY_H
#define PLEAT_KERNELS_COPY_H

#include "kernels/kernels.h"

/* Two strided arrays of one shape. Strides in elements; adjacent dimensions that can be walked as one should be merged
 * by the caller (pleat_merge_dims in tensor/shape.h). */
typedef struct {
    int ndim;
    int64_t dim[PLEAT_MAX_DIMS];
    int64_t to_stride[PLEAT_MAX_DIMS], from_stride[PLEAT_MAX_DIMS];
    void *to;
    const void *from;
    pleat_dtype to_dtype, from_dtype;
} pleat_copy_work;

/* Dense arrays side by side: a row of the result has n[0] elements from the first, n[1] from the second, ... Elements
 * of 4 or 8 bytes, by dtype. */
typedef struct {
    pleat_dtype dtype;
    int parts;
    const int64_t *n; /* each at least 1 */
    int64_t row;      /* their sum */
    const void *const *from;
    void *to;
} pleat_join_work;

struct pleat_copy_kernels {
    /* Elements begin to end - 1, counted row-major over the shape. Float to integer truncates towards zero and
     * saturates; NaN becomes 0. */
    void (*copy)(const pleat_copy_work *work, int64_t begin, int64_t end);
    /* to += scale * from over the same range; both of the same dtype. Integers are computed in double. */
    void (*add_scaled)(const pleat_copy_work *work, double scale, int64_t begin, int64_t end);
    /* Rows begin to end - 1. */
    void (*join)(const pleat_join_work *work, int64_t begin, int64_t end);
    /* n contiguous elements of dtype set to value. */
    void (*fill)(void *to, pleat_dtype dtype, double value, int64_t n);
};

#ifdef PLEAT_ISA
extern const struct pleat_copy_kernels PLEAT_K(copy_kernels);
#endif

#endif
