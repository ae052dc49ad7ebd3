/* Elementwise functions: the walk over the outer dimensions, and the table. The rows are in elementwise_body.h. */
#include "kernels/elementwise.h"

#include "kernels/copy.h"

#include <math.h>
#include <string.h>

/* powers of floats are computed in double */
#define PLEAT_FLOAT 64
#include "kernels/elementwise_body.h"
#undef PLEAT_FLOAT
#define PLEAT_FLOAT 32
#include "kernels/elementwise_body.h"

/* Where an element lies in every array. */
typedef struct {
    int64_t index[PLEAT_MAX_DIMS];
    char *at[PLEAT_MAP_ARRAYS];
} place;

static place place_of(const pleat_map_work *w, int64_t element)
{
    place p = { { 0 }, { 0 } };
    for (int k = 0; k < w->arrays; k++)
        p.at[k] = w->data[k];
    for (int d = w->ndim - 1; d >= 0; d--) {
        p.index[d] = element % w->dim[d];
        element /= w->dim[d];
        for (int k = 0; k < w->arrays; k++)
            p.at[k] += p.index[d] * w->stride[k][d] * w->width[k];
    }
    return p;
}

/* On by n along dimension d, at most to its end. */
static void step(const pleat_map_work *w, place *p, int d, int64_t n)
{
    p->index[d] += n;
    for (int k = 0; k < w->arrays; k++)
        p->at[k] += n * w->stride[k][d] * w->width[k];
    while (d > 0 && p->index[d] == w->dim[d]) {
        for (int k = 0; k < w->arrays; k++)
            p->at[k] += (w->stride[k][d - 1] - p->index[d] * w->stride[k][d]) * w->width[k];
        p->index[d--] = 0;
        p->index[d]++;
    }
}

static int64_t run_of(const pleat_map_work *w, const place *p, int64_t most)
{
    const int64_t run = w->dim[w->ndim - 1] - p->index[w->ndim - 1];
    return run < most ? run : most;
}

/* SHORT: elements of a line. RUN: bytes of packed runs, which stay in the first cache. BAND: bytes of ABREAST_COLUMNS
 * columns, long so that what is read is in few places at a time. TILE: bytes of a packed tile, of COLUMNS elements a
 * line; it is as many lines as make the pieces of what it reads longer than a cache line. */
enum { SHORT = 64, RUN = 1 << 13, BAND = 1 << 15, ABREAST_COLUMNS = 8, TILE = 1 << 14, COLUMNS = 64 };

static const pleat_dtype of_width[] = { [1] = PLEAT_U8, [4] = PLEAT_F32, [8] = PLEAT_I64 }; /* only moved */

/* Where the last dimension is short, a call a run would be mostly calling. So the arrays that do not lie in the shape's
 * own order are packed, many runs to a row; once for all if they repeat one run. A function of its own, as the next
 * one, for the sake of the others' stack. */
static __attribute__((noinline)) void map_packed(const pleat_map_work *w, int64_t begin, int64_t end)
{
    static const int64_t ones[PLEAT_MAP_ARRAYS] = { 1, 1, 1, 1 };
    const int64_t run = w->dim[w->ndim - 1];
    _Alignas(PLEAT_VECTOR_BYTES) char pack[PLEAT_MAP_ARRAYS][RUN];
    bool dense[PLEAT_MAP_ARRAYS], repeats[PLEAT_MAP_ARRAYS];
    pleat_copy_work copy[PLEAT_MAP_ARRAYS];
    int64_t widest = 1;
    for (int k = 0; k < w->arrays; k++) {
        widest = widest > w->width[k] ? widest : w->width[k];
        pleat_copy_work *c = &copy[k];
        int64_t *packed = k == 0 ? c->from_stride : c->to_stride, *here = k == 0 ? c->to_stride : c->from_stride;
        c->ndim = w->ndim;
        c->to_dtype = c->from_dtype = of_width[w->width[k]];
        c->to = w->data[k];
        c->from = w->data[k];
        dense[k] = repeats[k] = true;
        for (int64_t d = w->ndim - 1, n = 1; d >= 0; n *= w->dim[d--]) {
            c->dim[d] = w->dim[d];
            packed[d] = n;
            here[d] = w->stride[k][d];
            dense[k] &= here[d] == n;
            repeats[k] &= d == w->ndim - 1 || here[d] == 0;
        }
    }
    const int64_t first = begin, most = RUN / widest / run * run;
    for (int64_t m; begin < end; begin += m) {
        void *row[PLEAT_MAP_ARRAYS];
        m = least(most, end - begin);
        for (int k = 0; k < w->arrays; k++) {
            const int64_t before = begin * w->width[k];
            row[k] = dense[k] ? (char *)w->data[k] + before : pack[k];
            if (dense[k] || (repeats[k] && begin > first))
                continue;
            void *start = (void *)((uintptr_t)pack[k] - (uintptr_t)before); /* where element 0 would be */
            if (k == 0)
                copy[k].from = start;
            else {
                copy[k].to = start;
                PLEAT_K(copy_kernels).copy(&copy[k], begin, begin + m);
            }
        }
        w->row(row, ones, m, w->param);
        if (!dense[0])
            PLEAT_K(copy_kernels).copy(&copy[0], begin, begin + m);
    }
}

/* Whether an array's elements are neither side by side nor one, repeated, along the last dimension. */
static bool is_apart(const pleat_map_work *w, int k)
{
    const int64_t stride = w->stride[k][w->ndim - 1];
    return stride != 0 && stride != 1;
}

/* Between an array and a packed tile of lines of n elements. */
static void copy_tile(int64_t width, int64_t lines, int64_t n, void *to, int64_t to_line, int64_t to_step,
                      const void *from, int64_t from_line, int64_t from_step)
{
    const pleat_copy_work copy = { .ndim = 2,
                                   .dim = { lines, n },
                                   .to_stride = { to_line, to_step },
                                   .from_stride = { from_line, from_step },
                                   .to = to,
                                   .from = from,
                                   .to_dtype = of_width[width],
                                   .from_dtype = of_width[width] };
    PLEAT_K(copy_kernels).copy(&copy, 0, lines * n);
}

/* Some lines, from p on, by tiles: of the inputs that lie otherwise each is packed, as what shares a cache line there
 * belongs to different lines here. */
static __attribute__((noinline)) void map_tiles(const pleat_map_work *w, const place *p, int64_t lines)
{
    _Alignas(PLEAT_VECTOR_BYTES) char pack[PLEAT_MAP_ARRAYS - 1][TILE];
    const int last = w->ndim - 1;
    for (int64_t column = 0, n; column < w->dim[last]; column += n) {
        n = least(COLUMNS, w->dim[last] - column);
        int64_t stride[PLEAT_MAP_ARRAYS], line[PLEAT_MAP_ARRAYS];
        char *at[PLEAT_MAP_ARRAYS];
        for (int k = 0; k < w->arrays; k++) {
            stride[k] = w->stride[k][last];
            line[k] = w->stride[k][last - 1];
            at[k] = p->at[k] + column * stride[k] * w->width[k];
            if (k == 0 || !is_apart(w, k))
                continue;
            copy_tile(w->width[k], lines, n, pack[k - 1], n, 1, at[k], line[k], stride[k]);
            stride[k] = 1;
            line[k] = n;
            at[k] = pack[k - 1];
        }
        for (int64_t l = 0; l < lines; l++) {
            void *row[PLEAT_MAP_ARRAYS];
            for (int k = 0; k < w->arrays; k++)
                row[k] = at[k] + l * line[k] * w->width[k];
            w->row(row, stride, n, w->param);
        }
    }
}

/* The same where all inputs lie as columns: these are the rows then, and it is the result that is turned. */
static __attribute__((noinline)) void map_columns(const pleat_map_work *w, const place *p, int64_t lines)
{
    _Alignas(PLEAT_VECTOR_BYTES) char pack[BAND];
    const int last = w->ndim - 1;
    int64_t down[PLEAT_MAP_ARRAYS] = { 1 };
    for (int k = 1; k < w->arrays; k++)
        down[k] = w->stride[k][last - 1];
    for (int64_t column = 0, n; column < w->dim[last]; column += n) {
        n = least(ABREAST_COLUMNS, w->dim[last] - column);
        for (int64_t c = 0; c < n; c++) {
            void *row[PLEAT_MAP_ARRAYS] = { pack + c * lines * w->width[0] };
            for (int k = 1; k < w->arrays; k++)
                row[k] = p->at[k] + (column + c) * w->stride[k][last] * w->width[k];
            w->row(row, down, lines, w->param);
        }
        copy_tile(w->width[0], lines, n, p->at[0] + column * w->stride[0][last] * w->width[0], w->stride[0][last - 1],
                  w->stride[0][last], pack, 1, lines);
    }
}

static void map(const pleat_map_work *w, int64_t begin, int64_t end)
{
    const int last = w->ndim - 1;
    if (begin >= end)
        return;
    if (last > 0 && w->dim[last] < SHORT && !w->columns) {
        map_packed(w, begin, end);
        return;
    }
    int64_t most = w->columns ? BAND / ABREAST_COLUMNS / w->width[0] : 0; /* lines of a tile */
    int64_t stride[PLEAT_MAP_ARRAYS];
    void *row[PLEAT_MAP_ARRAYS];
    for (int k = 0; k < w->arrays; k++) {
        stride[k] = w->stride[k][last];
        row[k] = (char *)w->data[k] + begin * stride[k] * w->width[k];
        if (k > 0 && is_apart(w, k) && !w->columns)
            most = least(most ? most : TILE, TILE / COLUMNS / w->width[k]);
    }
    if (last == 0) {
        w->row(row, stride, end - begin, w->param);
        return;
    }
    place p = place_of(w, begin);
    while (begin < end) {
        const int64_t n = run_of(w, &p, end - begin);
        if (most && n == w->dim[last] && end - begin > n) {
            const int64_t lines = least(least(most, (end - begin) / n), w->dim[last - 1] - p.index[last - 1]);
            (w->columns ? map_columns : map_tiles)(w, &p, lines);
            step(w, &p, last - 1, lines);
            begin += lines * n;
            continue;
        }
        for (int k = 0; k < w->arrays; k++)
            row[k] = p.at[k];
        w->row(row, stride, n, w->param);
        step(w, &p, last, n);
        begin += n;
    }
}

const struct pleat_elementwise_kernels PLEAT_K(elementwise_kernels) = { .map = map,
#define ENTRY(name) .name = { name##_row_f32, name##_row_f64 },
                                                                        PLEAT_ROWS(ENTRY) };
