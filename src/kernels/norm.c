/* Normalisation, for both floating types. The loops are in norm_body.h. */
#include "kernels/norm.h"

#include <string.h>

#define PLEAT_FLOAT 32
#include "kernels/norm_body.h"
#undef PLEAT_FLOAT
#define PLEAT_FLOAT 64
#include "kernels/norm_body.h"

static void moments(const pleat_norm_work *work, int64_t begin, int64_t end)
{
    (work->dtype == PLEAT_F32 ? moments_f32 : moments_f64)(work, begin, end);
}

static void products(const pleat_norm_work *work, int64_t begin, int64_t end)
{
    (work->dtype == PLEAT_F32 ? products_f32 : products_f64)(work, begin, end);
}

static void apply(const pleat_norm_work *work, int64_t begin, int64_t end)
{
    (work->dtype == PLEAT_F32 ? apply_f32 : apply_f64)(work, begin, end);
}

static void gradient(const pleat_norm_work *work, int64_t begin, int64_t end)
{
    (work->dtype == PLEAT_F32 ? gradient_f32 : gradient_f64)(work, begin, end);
}

/* The elements of block b, as FN(block) cuts them. */
static int64_t block_size(const pleat_norm_work *w, int64_t b)
{
    const int64_t together = pleat_norm_together(w->s);
    if (together <= 1) {
        const int64_t pieces = (w->s + PLEAT_NORM_BLOCK - 1) / PLEAT_NORM_BLOCK, at = b % pieces * PLEAT_NORM_BLOCK;
        return w->s - at < PLEAT_NORM_BLOCK ? w->s - at : PLEAT_NORM_BLOCK;
    }
    const int64_t left = w->n - b * together;
    return (left < together ? left : together) * w->s;
}

static void merge(const pleat_norm_work *work, int64_t begin, int64_t end, double *mean, double *variance)
{
    const int64_t blocks = pleat_norm_blocks(work->n, work->s);
    for (int64_t c = begin; c < end; c++) {
        const double *partial = work->partial + 2 * c * blocks;
        if (blocks == 1) {
            mean[c] = partial[0];
            variance[c] = partial[1] / (double)(work->n * work->s);
            continue;
        }
        double count = 0, middle = 0, squares = 0;
        for (int64_t b = 0; b < blocks; b++, partial += 2) {
            const double size = (double)block_size(work, b), off = partial[0] - middle;
            count += size;
            middle += off * (size / count);
            squares += partial[1] + off * off * (size * (count - size) / count);
        }
        mean[c] = middle;
        variance[c] = squares / count;
    }
}

const struct pleat_norm_kernels PLEAT_K(norm_kernels) = {
    .moments = moments,
    .merge = merge,
    .products = products,
    .apply = apply,
    .gradient = gradient,
};
