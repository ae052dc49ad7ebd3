/* Reductions: the walk, and the table. The loops are in reduce_body.h. */
#include "kernels/reduce.h"

#include "kernels/vector.h"

#include <math.h>
#include <string.h>

#define LANES ((int64_t)(PLEAT_VECTOR_BYTES / 8)) /* of the vectors that results are folded in */

enum {
    ROWS = 8,    /* that a pass across the outputs takes at once: as many streams as the machine prefetches */
    FEW = 32,    /* elements that are folded one by one: vectors would cost more at their ends than they save */
    AHEAD = 4096 /* bytes that are fetched ahead: what the processor does by itself ends at a page */
};

/* Where an element lies: its index in a row-major count, and its offset. */
typedef struct {
    int ndim;
    const int64_t *dim, *stride;
    int64_t index[PLEAT_MAX_DIMS], offset;
} walk;

static walk walk_at(int ndim, const int64_t *dim, const int64_t *stride, int64_t element)
{
    walk w = { .ndim = ndim, .dim = dim, .stride = stride };
    for (int d = ndim - 1; d >= 0 && element > 0; d--) {
        w.index[d] = element % dim[d];
        w.offset += w.index[d] * stride[d];
        element /= dim[d];
    }
    return w;
}

/* How many elements, at most `left`, follow along the last dimension. */
static int64_t walk_run(const walk *w, int64_t left)
{
    const int64_t run = w->dim[w->ndim - 1] - w->index[w->ndim - 1];
    return run < left ? run : left;
}

/* On by n elements, at most a run. */
static void walk_step(walk *w, int64_t n)
{
    int d = w->ndim - 1;
    w->index[d] += n;
    w->offset += n * w->stride[d];
    while (d > 0 && w->index[d] == w->dim[d]) {
        w->offset -= w->index[d] * w->stride[d];
        w->index[d--] = 0;
        w->index[d]++;
        w->offset += w->stride[d];
    }
}

#define FROM float
#define INTO double
#define LEAST (-(double)INFINITY)
#define MOST ((double)INFINITY)
#define F(name) name##_f32
#include "kernels/reduce_body.h"
#undef FROM
#undef F
#define FROM double
#define F(name) name##_f64
#include "kernels/reduce_body.h"
#undef FROM
#undef INTO
#undef LEAST
#undef MOST
#undef F
#define FROM int64_t
#define INTO int64_t
#define LEAST INT64_MIN
#define MOST INT64_MAX
#define F(name) name##_i64
#include "kernels/reduce_body.h"

#define TABLE(name)                                                                                                    \
    {                                                                                                                  \
        .partial = { name##_partial_f32, name##_partial_f64, name##_partial_i64 },                                     \
        .finish = { name##_finish_f32, name##_finish_f64, name##_finish_i64 },                                         \
    }

const struct pleat_reduce_kernels PLEAT_K(reduce_kernels) = {
    .sum = TABLE(sum), .max = TABLE(max), .min = TABLE(min), .arg = { arg_f32, arg_f64, arg_i64 }
};
