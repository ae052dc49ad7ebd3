/* Elementwise functions: the walk over the outer dimensions, and the table. The rows are in elementwise_body.h. */
#include "kernels/elementwise.h"

#include <math.h>

#define REAL_BITS 32
#include "kernels/elementwise_body.h"
#undef REAL_BITS
#define REAL_BITS 64
#include "kernels/elementwise_body.h"

static void map(const pleat_map_work *w, int64_t begin, int64_t end)
{
    const int last = w->ndim - 1;
    int64_t index[PLEAT_MAX_DIMS] = { 0 }, stride[PLEAT_MAP_ARRAYS] = { 0 }, rest = begin;
    char *at[PLEAT_MAP_ARRAYS];
    void *row[PLEAT_MAP_ARRAYS];
    for (int k = 0; k < w->arrays; k++) {
        at[k] = w->data[k];
        stride[k] = last < 0 ? 1 : w->stride[k][last];
    }
    for (int d = last; d >= 0 && begin < end; d--) {
        index[d] = rest % w->dim[d];
        rest /= w->dim[d];
        for (int k = 0; k < w->arrays; k++)
            at[k] += index[d] * w->stride[k][d] * w->width[k];
    }
    while (begin < end) {
        int64_t n = end - begin;
        if (last >= 0 && w->dim[last] - index[last] < n)
            n = w->dim[last] - index[last];
        for (int k = 0; k < w->arrays; k++)
            row[k] = at[k];
        w->row(row, stride, n, w->param);
        begin += n;
        if (begin == end)
            return;
        for (int k = 0; k < w->arrays; k++)
            at[k] -= index[last] * stride[k] * w->width[k];
        index[last] = 0;
        for (int d = last - 1; d >= 0; d--) {
            for (int k = 0; k < w->arrays; k++)
                at[k] += w->stride[k][d] * w->width[k];
            if (++index[d] < w->dim[d])
                break;
            for (int k = 0; k < w->arrays; k++)
                at[k] -= index[d] * w->stride[k][d] * w->width[k];
            index[d] = 0;
        }
    }
}

const struct pleat_elementwise_kernels PLEAT_K(elementwise_kernels) = { .map = map,
#define ENTRY(name) .name = { name##_row_f32, name##_row_f64 },
                                                                        PLEAT_ROWS(ENTRY) };
