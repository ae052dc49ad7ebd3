/* Statistics per channel and what normalisation does with them. x and the rest are contiguous (N, C, S), S the product
 * of all dimensions after the channel's.
 *
 * A channel's N * S elements are cut into blocks of at most PLEAT_NORM_BLOCK: pieces of one plane where it is larger,
 * else as many whole planes as fit, brought together in a buffer first.
 *
 *     S >= BLOCK    | plane 0          | plane 1          |         S < BLOCK   | 0 | 1 | 2 | 3 | 4 | 5 | 6 |
 *                   | b 0 | b 1 | b 2  | b 3 | b 4 | b 5  |                     | block 0   | block 1   | b 2
 *
 * A block is read twice while it is in cache, for its mean and for the squares about it, and has a place of its own in
 * the array of partial results; those of a channel are then merged in order (Chan, Golub, LeVeque: Algorithms for
 * computing the sample variance, 1983). So nothing cancels, and nothing depends on the number of threads. */
#ifndef PLEAT_KERNELS_NORM_H
#define PLEAT_KERNELS_NORM_H

#include "kernels/kernels.h"

enum { PLEAT_NORM_BLOCK = 2048 };

typedef struct {
    pleat_dtype dtype; /* PLEAT_F32 or PLEAT_F64, of x, g, y */
    int64_t n, c, s;   /* s from 1 up */
    const void *x, *g;
    void *y;
    double *partial;    /* two for each of c * pleat_norm_blocks(n, s) blocks */
    const double *mean; /* c of them */
    /* c of them each, of dtype. The mean is split: center is what dtype holds of it, the rest is in shift, so that
     * nothing is lost where the mean is large against the deviation. */
    const void *center, *scale, *slope, *shift;
    /* relu of the result follows: apply does it, too; products and gradient let g through only where scale (x - center)
     * + gate, which is what apply computed, is above 0. */
    bool relu;
    const void *gate; /* c of dtype */
    /* Of layer norm, where n is 1 and the channels are rows: what each of groups * s columns is multiplied with and has
     * added, for rows that take the groups in turn. Weight then multiplies g, too, for products and gradient, which
     * adds to dweight and dbias, unless they are NULL, g (scale (x - center) + gate) and g. NULL: none. */
    const void *weight, *bias;
    void *dweight, *dbias;
    int64_t groups, from, to; /* apply and gradient take the columns from .. to - 1 of a row */
} pleat_norm_work;

/* Planes of a block. One that is long enough is not worth copying beside others. */
static inline int64_t pleat_norm_together(int64_t s)
{
    return s < PLEAT_NORM_BLOCK / 4 ? PLEAT_NORM_BLOCK / s : 1;
}

static inline int64_t pleat_norm_blocks(int64_t n, int64_t s)
{
    const int64_t together = pleat_norm_together(s);
    return together > 1 ? (n + together - 1) / together : n * ((s + PLEAT_NORM_BLOCK - 1) / PLEAT_NORM_BLOCK);
}

struct pleat_norm_kernels {
    /* Blocks begin to end - 1, channel by channel: mean of x and sum of squares about it. */
    void (*moments)(const pleat_norm_work *work, int64_t begin, int64_t end);
    /* Channels begin to end - 1: the blocks' moments merged. variance is the sum of squares over the count. */
    void (*merge)(const pleat_norm_work *work, int64_t begin, int64_t end, double *mean, double *variance);
    /* Blocks begin to end - 1: sum of g, and of g (x - mean). */
    void (*products)(const pleat_norm_work *work, int64_t begin, int64_t end);
    /* Planes begin to end - 1 of n * c: y = scale (x - center) + shift. */
    void (*apply)(const pleat_norm_work *work, int64_t begin, int64_t end);
    /* Planes begin to end - 1 of n * c: y = scale g + slope (x - center) + shift. */
    void (*gradient)(const pleat_norm_work *work, int64_t begin, int64_t end);
};

#ifdef PLEAT_ISA
extern const struct pleat_norm_kernels PLEAT_K(norm_kernels);
#endif

#endif
