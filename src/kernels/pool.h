/* Pooling. Largest elements with the places they came from, the two linear maps between an image and its windows that
 * the places define, and weighted sums over boxes.
 *
 *   max      y[plane, p] = the largest element under window p, index[plane, p] = where it lies in the plane (row * W +
 * column) gather   y[plane, p] = x[plane, index[plane, p]] scatter  y[plane, q] = the sum of g[plane, p] over the p
 * with index[plane, p] = q
 *
 * Scatter is gather's adjoint. All arrays are contiguous; an index of -1 is a window with nothing under it but padding.
 */
#ifndef PLEAT_KERNELS_POOL_H
#define PLEAT_KERNELS_POOL_H

#include "kernels/kernels.h"

typedef struct {
    pleat_dtype dtype; /* PLEAT_F32 or PLEAT_F64 */
    pleat_hw image, kernel, stride, padding, dilation;
    pleat_hw windows; /* OH, OW */
    const void *x;
    void *y;
    int64_t *index; /* may be NULL */
} pleat_max_pool_work;

/* A plane has `pixels` elements and `windows` windows. */
typedef struct {
    pleat_dtype dtype;
    int64_t pixels, windows;
    const void *x;
    const int64_t *index;
    void *y;
} pleat_pool_index_work;

/* Weighted sums over boxes, separable: with R(r) = rows[2 r] .. rows[2 r + 1] - 1 and C(c) likewise,
 *
 *   y[r, c] = to_row[r] to_column[c] sum over i in R(r), j in C(c) of from_row[i] from_column[j] x[i, j]
 *
 * Every average pooling is this with factors on its results, and its adjoint is this with factors on what it is given.
 */
typedef struct {
    pleat_dtype dtype;
    pleat_hw from, to; /* sizes of the planes of x and y */
    const int64_t *rows, *columns;
    /* boxes, of columns, where step is not 0: C(q period + r), before what lies outside is cut off, is
     * q step + first[r] .. q step + last[r] - 1. One of period and step is 1, the other 1, 2 or 4; r counts up. */
    int period, step;
    int64_t first[4], last[4];
    bool squares; /* boxes: all are 2 x 2, side by side from the corner, with one factor; or the adjoint of that */
    const void *from_row, *from_column, *to_row, *to_column; /* of dtype; columns': 64 bytes more, finite */
    const void *x;
    int64_t elements; /* boxes: of x */
    void *y;
    int64_t *index; /* largest */
} pleat_box_work;

struct pleat_pool_kernels {
    /* Rows begin to end - 1 of planes * OH rows of OW windows. The first of equals wins, NaN over all; the last NaN.
     * Where index is NULL, any of equals (zeros of either sign) and any NaN. An image plane must have fewer than 2^31
     * elements. */
    void (*max)(const pleat_max_pool_work *work, int64_t begin, int64_t end);
    /* Planes begin to end - 1. Return the place in index of the first that is none of -1 .. pixels - 1; -1: all fit. */
    int64_t (*gather)(const pleat_pool_index_work *work, int64_t begin, int64_t end);
    int64_t (*scatter)(const pleat_pool_index_work *work, int64_t begin, int64_t end);
    /* Rows begin to end - 1 of planes of y. */
    void (*boxes)(const pleat_box_work *work, int64_t begin, int64_t end);
    /* The largest element of each box, and its place, by max's rules; the factors count for nothing. */
    void (*largest)(const pleat_box_work *work, int64_t begin, int64_t end);
};

#ifdef PLEAT_ISA
extern const struct pleat_pool_kernels PLEAT_K(pool_kernels);
#endif

#endif
