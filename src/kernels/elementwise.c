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

/* On by n elements, at most to the end of the last dimension. */
static void step(const pleat_map_work *w, place *p, int64_t n)
{
    int d = w->ndim - 1;
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

enum { SHORT = 64, PACK = 512 };

/* Where the last dimension is short, a call a run would be mostly calling. So the arrays that do not lie in the shape's
 * own order are packed, many runs to a row. */
static void map_packed(const pleat_map_work *w, int64_t begin, int64_t end)
{
    static const int64_t ones[PLEAT_MAP_ARRAYS] = { 1, 1, 1, 1 };
    static const pleat_dtype of_width[] = { [1] = PLEAT_U8, [4] = PLEAT_F32, [8] = PLEAT_I64 };
    double pack[PLEAT_MAP_ARRAYS][PACK];
    bool dense[PLEAT_MAP_ARRAYS];
    pleat_copy_work copy[PLEAT_MAP_ARRAYS];
    for (int k = 0; k < w->arrays; k++) {
        pleat_copy_work *c = &copy[k];
        int64_t *packed = k == 0 ? c->from_stride : c->to_stride, *here = k == 0 ? c->to_stride : c->from_stride;
        c->ndim = w->ndim;
        c->to_dtype = c->from_dtype = of_width[w->width[k]];
        c->to = w->data[k];
        c->from = w->data[k];
        dense[k] = true;
        for (int64_t d = w->ndim - 1, n = 1; d >= 0; n *= w->dim[d--]) {
            c->dim[d] = w->dim[d];
            packed[d] = n;
            here[d] = w->stride[k][d];
            dense[k] &= here[d] == n;
        }
    }
    for (int64_t m; begin < end; begin += m) {
        void *row[PLEAT_MAP_ARRAYS];
        m = least(PACK, end - begin);
        for (int k = 0; k < w->arrays; k++) {
            const int64_t before = begin * w->width[k];
            row[k] = dense[k] ? (char *)w->data[k] + before : (char *)pack[k];
            if (dense[k])
                continue;
            void *first = (void *)((uintptr_t)pack[k] - (uintptr_t)before); /* where element 0 would be */
            if (k == 0)
                copy[k].from = first;
            else {
                copy[k].to = first;
                PLEAT_K(copy_kernels).copy(&copy[k], begin, begin + m);
            }
        }
        w->row(row, ones, m, w->param);
        if (!dense[0])
            PLEAT_K(copy_kernels).copy(&copy[0], begin, begin + m);
    }
}

static void map(const pleat_map_work *w, int64_t begin, int64_t end)
{
    const int last = w->ndim - 1;
    if (begin >= end)
        return;
    if (last == 0) {
        int64_t stride[PLEAT_MAP_ARRAYS];
        void *row[PLEAT_MAP_ARRAYS];
        for (int k = 0; k < w->arrays; k++) {
            stride[k] = w->stride[k][0];
            row[k] = (char *)w->data[k] + begin * stride[k] * w->width[k];
        }
        w->row(row, stride, end - begin, w->param);
        return;
    }
    if (w->dim[last] < SHORT) {
        map_packed(w, begin, end);
        return;
    }
    int64_t stride[PLEAT_MAP_ARRAYS];
    for (int k = 0; k < w->arrays; k++)
        stride[k] = w->stride[k][last];
    place p = place_of(w, begin);
    for (int64_t n; begin < end; begin += n, step(w, &p, n)) {
        void *row[PLEAT_MAP_ARRAYS];
        for (int k = 0; k < w->arrays; k++)
            row[k] = p.at[k];
        n = run_of(w, &p, end - begin);
        w->row(row, stride, n, w->param);
    }
}

const struct pleat_elementwise_kernels PLEAT_K(elementwise_kernels) = { .map = map,
#define ENTRY(name) .name = { name##_row_f32, name##_row_f64 },
                                                                        PLEAT_ROWS(ENTRY) };
