/* Softmax and what is made of it, along the middle dimension of contiguous arrays (outer, size, inner). A line is one
 * run along that dimension; line l is (l / inner, :, l % inner).
 *
 * A walk over lines goes by vectors. Where inner is more than 1: across up to a vector of neighbouring lines. Where it
 * is 1 and lines are long, or few: along the line. Where it is 1 and they are not: across a vector of lines, which are
 * turned into a block of memory, tile by tile in registers, and the results turned back. In all, step k of the walk
 * loads a vector; they differ in the distance of steps, in how many lanes count, and in whether lanes are reduced at
 * the end.
 */
#ifndef PLEAT_KERNELS_SOFTMAX_H
#define PLEAT_KERNELS_SOFTMAX_H

#include "kernels/kernels.h"

typedef struct {
    pleat_dtype dtype;          /* PLEAT_F32 or PLEAT_F64, of x, g, y and weight */
    int64_t lines, size, inner; /* lines: all that there are, whatever a call takes of them */
    const void *x, *g;
    void *y;
    double *lse_out;                 /* one a line */
    const double *lse;               /* likewise */
    const void *weight;              /* size of them, or NULL: ones */
    double *distance;                /* one a line, or NULL */
    const int64_t *target;           /* one a line, out of range: no hit; or NULL: neither hit nor even */
    const double *soft, *hit, *even; /* one a line each */
} pleat_softmax_work;

/* Each works on lines begin to end - 1. */
struct pleat_softmax_kernels {
    void (*log_softmax)(const pleat_softmax_work *work, int64_t begin, int64_t end); /* y = log_softmax(x) */
    void (*softmax)(const pleat_softmax_work *work, int64_t begin, int64_t end);     /* y = softmax(x) */
    /* x being the result: y = g - exp(x) sum(g), and y = x (g - sum(g x)). */
    void (*log_softmax_gradient)(const pleat_softmax_work *work, int64_t begin, int64_t end);
    void (*softmax_gradient)(const pleat_softmax_work *work, int64_t begin, int64_t end);
    /* lse_out = log(sum(exp(x))); distance = sum over c of weight[c] (lse - x[c]), where it is asked for. */
    void (*lse)(const pleat_softmax_work *work, int64_t begin, int64_t end);
    /* y[c] = soft exp(x[c] - lse) - hit [c = target] - even weight[c], 0 where soft is 0. */
    void (*cross_entropy_gradient)(const pleat_softmax_work *work, int64_t begin, int64_t end);
};

/* How many lines are worth a thread's while: whole vectors of them, however long a vector is. */
static inline int64_t pleat_softmax_grain(int64_t size)
{
    return (8192 / (size + 1) + 15) / 16 * 16;
}

#ifdef PLEAT_ISA
extern const struct pleat_softmax_kernels PLEAT_K(softmax_kernels);
#endif

#endif
