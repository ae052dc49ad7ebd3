/* Resampling of images: every output row is a weighted sum of input rows, every element of it one of that row's.
 *
 *     y[plane, i, j] = sum over the taps (r, u) of row i and (c, v) of column j of u v x[plane, r, c]
 *
 * Which taps there are makes it an interpolation or an interpolation's adjoint: the transposed lists. */
#ifndef PLEAT_KERNELS_RESAMPLE_H
#define PLEAT_KERNELS_RESAMPLE_H

#include "kernels/kernels.h"

/* The taps of place i are first[i] to first[i + 1] - 1. */
typedef struct {
    const int64_t *first, *place;
    const void *weight; /* of the work's dtype */
} pleat_taps;

/* Both images are contiguous. */
typedef struct {
    pleat_dtype dtype; /* PLEAT_F32 or PLEAT_F64 */
    pleat_hw from, to;
    pleat_taps rows, columns;
    const void *x;
    void *y;
} pleat_resample_work;

struct pleat_resample_kernels {
    /* Output rows begin to end - 1 of all planes. scratch has 64 bytes for each element of an input row. */
    void (*resample)(const pleat_resample_work *work, void *scratch, int64_t begin, int64_t end);
};

#ifdef PLEAT_ISA
extern const struct pleat_resample_kernels PLEAT_K(resample_kernels);
#endif

#endif
