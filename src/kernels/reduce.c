/* Reductions: the walk, and the table. The loops are in reduce_body.h. */
#include "kernels/reduce.h"

#include <math.h>
#include <string.h>

#define PLEAT_FLOAT 32
#include "kernels/simd.h"
#undef PLEAT_FLOAT
#define PLEAT_FLOAT 64
#include "kernels/simd.h"

#define LANES ((int64_t)(PLEAT_VECTOR_BYTES / sizeof(INTO))) /* of the vectors that results are folded in */

enum {
    ROWS = 8,    /* that a pass across the outputs takes at once: as many streams as the machine prefetches */
    FEW = 32,    /* elements that are folded one by one: vectors would cost more at their ends than they save */
    SHORT = 512, /* elements of rows that are taken several at a time */
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

/* Transposes a block of vectors of any type, of which only the bits are moved. */
#define TURN(r, bits)                                                                                                  \
    do {                                                                                                               \
        pleat_v##bits turned[LANES];                                                                                   \
        PLEAT_UNROLL(16)                                                                                               \
        for (int64_t i = 0; i < LANES; i++)                                                                            \
            turned[i] = (pleat_v##bits)(r)[i];                                                                         \
        transpose_f##bits(turned);                                                                                     \
        PLEAT_UNROLL(16)                                                                                               \
        for (int64_t i = 0; i < LANES; i++)                                                                            \
            (r)[i] = (__typeof__(*(r)))turned[i];                                                                      \
    } while (0)
#define TURN_64(r) TURN(r, 64)
#define TURN_32(r) TURN(r, 32)

/* Sums and products of float32 alone are folded in another type than their own. */
#define TURNED TURN_64
#define SUM
#define INDEX int64_t
#define FROM float
#define INTO double
#define F(name) name##_f32
#include "kernels/reduce_body.h"
#undef FROM
#undef INTO
#undef F
#define FROM int64_t
#define INTO int64_t
#define LEAST INT64_MIN
#define MOST INT64_MAX
#define F(name) name##_i64
#include "kernels/reduce_body.h"
#undef FROM
#undef INTO
#undef LEAST
#undef MOST
#undef F
#define FROM double
#define INTO double
#define LEAST (-(INTO)INFINITY)
#define MOST ((INTO)INFINITY)
#define F(name) name##_f64
#include "kernels/reduce_body.h"
#undef FROM
#undef INTO
#undef INDEX
#undef SUM
#undef TURNED
#undef F
#define TURNED TURN_32
#define INDEX int32_t
#define FROM float
#define INTO float
#define F(name) name##_single
#include "kernels/reduce_body.h"

#define TABLE(name, joined, single, bytes)                                                                             \
    {                                                                                                                  \
        .width = { bytes, 8, 8 }, .partial = { name##_partial_##single, name##_partial_f64, name##_partial_i64 },      \
        .finish = { joined##_finish_##single, joined##_finish_f64, joined##_finish_i64 },                              \
    }

const struct pleat_reduce_kernels PLEAT_K(reduce_kernels) = { .sum = TABLE(sum, sum, f32, 8),
                                                              .sum_abs = TABLE(sum_abs, sum, f32, 8),
                                                              .sum_squares = TABLE(sum_squares, sum, f32, 8),
                                                              .prod = TABLE(prod, prod, f32, 8),
                                                              .max = TABLE(max, max, single, 4),
                                                              .min = TABLE(min, min, single, 4),
                                                              .arg = { arg_single, arg_f64, arg_i64 },
                                                              .arg_finish = { arg_finish_single, arg_finish_f64,
                                                                              arg_finish_i64 } };
