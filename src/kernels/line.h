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

enum { PLEAT_TOPK_SPARE = 128 };

/* Elements that topk collects before it sorts them. */
static inline int64_t pleat_topk_room(int64_t length, int64_t k)
{
    const int64_t room = k < 32 ? 64 : 2 * k;
    return room < length ? room : length;
}

/* Bytes of a key and of a place. */
static inline int64_t pleat_topk_key(pleat_dtype dtype, int64_t length)
{
    return (dtype == PLEAT_F32 || dtype == PLEAT_U8) && length <= INT32_MAX ? 4 : 8;
}

/* Bytes of two lists of keys and places; a multiple of 64, so that no two threads share a cache line. */
static inline int64_t pleat_topk_scratch(pleat_dtype dtype, int64_t length, int64_t k)
{
    return ((pleat_topk_room(length, k) + PLEAT_TOPK_SPARE) * 4 * pleat_topk_key(dtype, length) + 63) / 64 * 64;
}

struct pleat_line_kernels {
    /* Lines begin to end - 1. scratch has pleat_topk_scratch bytes. */
    void (*topk)(const pleat_topk_work *work, void *scratch, int64_t begin, int64_t end);
    void (*cumsum)(const pleat_cumsum_work *work, int64_t begin, int64_t end);
};

#ifdef PLEAT_ISA
extern const struct pleat_line_kernels PLEAT_K(line_kernels);
#endif

#endif
