/* Reductions of a strided array over any set of its dimensions: sum, sums of sizes and of squares, product, largest,
 * smallest, and where those are.
 *
 *     x's dimensions = kept (the output's, row-major) + reduced (the caller orders them: smallest stride last)
 *
 * The reduced elements of one output are cut into blocks of a fixed size, whatever their number. `partial` folds
 * one block for a range of outputs, `finish` folds the blocks' results, in order. Inside a block the loop runs along
 * whichever dimension lies closest in memory: down a run of reduced elements in four vectors of partial results, or
 * across the outputs (column sums), some rows at a time. Short contiguous rows are taken as many at once as a vector
 * has elements. float32 is added up in double, so that sums of it are as good as exact; in float64 no chain of
 * additions is longer than a thousand. */
#ifndef PLEAT_KERNELS_REDUCE_H
#define PLEAT_KERNELS_REDUCE_H

#include "kernels/kernels.h"

#define PLEAT_REDUCE_BLOCK 4096       /* elements of a block; */
#define PLEAT_REDUCE_LONG_BLOCK 16384 /* of one of float32 that lies side by side, where a block's ends would show */

typedef struct {
    int kept, reduced; /* how many dimensions; at least one each (of size 1 where there is none) */
    int64_t kept_dim[PLEAT_MAX_DIMS], kept_stride[PLEAT_MAX_DIMS]; /* strides in elements */
    int64_t reduced_dim[PLEAT_MAX_DIMS], reduced_stride[PLEAT_MAX_DIMS];
    const void *x;
} pleat_reduce_work;

/* By dtype: [0] float32, [1] float64, [2] int64. */
typedef struct {
    int64_t width[3]; /* bytes of a block's result: of the type itself, but of double for float32's sums and products */
    /* result[o - begin] for the outputs begin to end - 1, each from its reduced elements first to last - 1. */
    void (*partial[3])(const pleat_reduce_work *work, int64_t begin, int64_t end, int64_t first, int64_t last,
                       void *result);
    /* y[o] = fold over b of result[b * pitch + o], divided by divisor, for o from 0 to n - 1. No block at
     * all gives what folding nothing does: 0 for a sum, 1 for a product. */
    void (*finish[3])(const void *result, int64_t blocks, int64_t pitch, int64_t n, double divisor, void *y);
} pleat_reduction;

struct pleat_reduce_kernels {
    pleat_reduction sum, sum_abs, sum_squares, prod, max, min; /* max and min: NaN where there is one */
    /* y[o - begin] = the place, counted row-major over the reduced dimensions, which the caller leaves in their order,
     * of the first of the largest (smallest) of the elements first to last - 1; of the first NaN where there is one. */
    void (*arg[3])(const pleat_reduce_work *work, bool largest, int64_t begin, int64_t end, int64_t first, int64_t last,
                   int64_t *y);
    /* Of the places that blocks have, at[b * pitch + o - begin], in order, those of the whole. */
    void (*arg_finish[3])(const pleat_reduce_work *work, bool largest, int64_t begin, int64_t end, int64_t blocks,
                          int64_t pitch, const int64_t *at, int64_t *y);
};

/* Whether `partial` runs across the outputs for this work: where they lie closer, or there is nothing to run down. */
static inline bool pleat_reduce_across(const pleat_reduce_work *w)
{
    return w->kept_dim[w->kept - 1] > 1 &&
           (w->reduced_dim[w->reduced - 1] == 1 || w->kept_stride[w->kept - 1] < w->reduced_stride[w->reduced - 1]);
}

#ifdef PLEAT_ISA
extern const struct pleat_reduce_kernels PLEAT_K(reduce_kernels);
#endif

#endif
