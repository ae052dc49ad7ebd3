/* Moves by maps and indices, one set of loops per dtype: move_body.h. */
#include "kernels/move.h"

#include "kernels/vector.h"

#include <string.h>

typedef char bytes __attribute__((vector_size(PLEAT_VECTOR_BYTES), aligned(1), may_alias));

/* Rows of images are short: a few large pieces, the last of which overlaps the one before, beat a loop's beginning and
 * end. */
static inline void copy_bytes(char *to, const char *from, int64_t n)
{
    enum { LARGE = PLEAT_VECTOR_BYTES, SMALL = 16 };
    if (n >= LARGE) {
        for (int64_t i = 0; i < n - LARGE; i += LARGE)
            *(bytes *)(to + i) = *(const bytes *)(from + i);
        *(bytes *)(to + n - LARGE) = *(const bytes *)(from + n - LARGE);
    } else if (n >= SMALL) {
        for (int64_t i = 0; i < n - SMALL; i += SMALL)
            memcpy(to + i, from + i, SMALL);
        memcpy(to + n - SMALL, from + n - SMALL, SMALL);
    } else
        for (int64_t i = 0; i < n; i++)
            to[i] = from[i];
}

/* The places of a row along all dimensions but the last. */
static void start(const int64_t *dim, int last, int64_t row, int64_t *place)
{
    for (int d = last - 1; d >= 0; d--) {
        place[d] = row % dim[d];
        row /= dim[d];
    }
}

static void step(const int64_t *dim, int last, int64_t *place)
{
    for (int d = last - 1; d >= 0 && ++place[d] == dim[d]; d--)
        place[d] = 0;
}

#define T float
#define FN(name) name##_f32
#include "kernels/move_body.h"
#undef T
#undef FN
#define T double
#define FN(name) name##_f64
#include "kernels/move_body.h"
#undef T
#undef FN
#define T int64_t
#define FN(name) name##_i64
#include "kernels/move_body.h"
#undef T
#undef FN
#define T uint8_t
#define FN(name) name##_u8
#include "kernels/move_body.h"
#undef T
#undef FN

#define BY_DTYPE(name, Work)                                                                                           \
    static void name(const Work *work, int64_t begin, int64_t end)                                                     \
    {                                                                                                                  \
        switch (work->dtype) {                                                                                         \
        case PLEAT_F32:                                                                                                \
            name##_f32(work, begin, end);                                                                              \
            break;                                                                                                     \
        case PLEAT_F64:                                                                                                \
            name##_f64(work, begin, end);                                                                              \
            break;                                                                                                     \
        case PLEAT_I64:                                                                                                \
            name##_i64(work, begin, end);                                                                              \
            break;                                                                                                     \
        case PLEAT_U8:                                                                                                 \
            name##_u8(work, begin, end);                                                                               \
            break;                                                                                                     \
        }                                                                                                              \
    }
BY_DTYPE(map, pleat_map_places)
BY_DTYPE(map_sum, pleat_map_places)
BY_DTYPE(gather, pleat_index_work)
BY_DTYPE(scatter, pleat_index_work)
BY_DTYPE(scatter_add, pleat_index_work)
BY_DTYPE(add_rows, pleat_row_work)

static int64_t outside(const int64_t *index, int64_t n, int64_t size)
{
    enum { BLOCK = 512 };
    for (int64_t i = 0; i < n; i += BLOCK) {
        const int64_t stop = n - i < BLOCK ? n : i + BLOCK;
        bool bad = false;
        for (int64_t k = i; k < stop; k++)
            bad |= (uint64_t)index[k] >= (uint64_t)size;
        if (!bad)
            continue;
        while ((uint64_t)index[i] < (uint64_t)size)
            i++;
        return i;
    }
    return n;
}

const struct pleat_move_kernels PLEAT_K(move_kernels) = {
    .map = map,
    .map_sum = map_sum,
    .gather = gather,
    .scatter = scatter,
    .scatter_add = scatter_add,
    .add_rows = add_rows,
    .outside = outside,
};
