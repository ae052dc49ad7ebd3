/* Functions of lines, the elements along one dimension: the k largest in order, and cumulative sums.
 *
 * Arrays are contiguous and seen as (outer, length, inner); line l is (l / inner, :, l % inner). */
#ifndef PLEAT_KERNELS_LINE_H
#define PLEAT_KERNELS_LINE_H

#include "kernels/kernels.h"

/* Of each line its k first in order: from the largest down, or from the smallest up. NaN is larger than all; of equals
 * the one in front comes first. */
typedef struct {
    pleat_dtype dtype;
    int64_t length, inner, k;
    bool largest;
    const void *x;
    void *value;    /* (outer, k, inner) */
    int64_t *index; /* the same; places in the line */
} pleat_topk_work;

/* y[i] = the sum of x[0] to x[i], or of x[i] to the last. float32 is summed in double. */
typedef struct {
    pleat_dtype dtype; /* not PLEAT_U8 */
    int64_t length, inner;
    bool reverse;
    const void *x;
    void *y;
} pleat_cumsum_work;

struct pleat_line_kernels {
    /* Lines begin to end - 1. heap has room for k values and k indices of 8 bytes each. */
    void (*topk)(const pleat_topk_work *work, void *heap, int64_t begin, int64_t end);
    void (*cumsum)(const pleat_cumsum_work *work, int64_t begin, int64_t end);
};

#ifdef PLEAT_ISA
extern const struct pleat_line_kernels PLEAT_K(line_kernels);
#endif

#endif
