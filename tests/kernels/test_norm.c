/* The normalisation kernels against naive loops in double, over the ways that blocks are cut. */
#include "kernels/norm.h"
#include "kernels/random.h"

#include "support/run.h"

#include <math.h>

static void normal(void *out, pleat_dtype dtype, int64_t n, uint64_t draw, double mean, double deviation)
{
    pleat_kernels_get()->random->normal(&(pleat_random_work){ out, dtype, 1, draw, mean, deviation }, 0, n);
}

static double at(const void *data, pleat_dtype dtype, int64_t i)
{
    return dtype == PLEAT_F32 ? (double)((const float *)data)[i] : ((const double *)data)[i];
}

/* (n, c, s): planes longer and shorter than a block, elements alone, blocks that end in the middle of both; rows. */
static const int64_t sizes[][3] = { { 3, 2, 5000 }, { 1, 1, 2048 }, { 2, 3, 2049 }, { 700, 2, 9 }, { 5000, 3, 1 },
                                    { 1, 4, 1 },    { 9, 1, 1024 }, { 5, 2, 1025 }, { 3, 2, 683 }, { 1, 37, 28 },
                                    { 1, 9, 511 },  { 1, 9, 129 },  { 1, 5, 256 },  { 1, 5, 8 },   { 1, 7, 3 } };

typedef struct {
    pleat_norm_work work;
    double *mean, *var;
    int64_t numel;
} setup;

static void *room(int64_t n)
{
    return calloc((size_t)n + 1, sizeof(double));
}

static setup make(size_t i, pleat_dtype dtype, double mean, double deviation)
{
    const int64_t n = sizes[i][0], c = sizes[i][1], s = sizes[i][2], numel = n * c * s;
    void *x = room(numel), *g = room(numel);
    normal(x, dtype, numel, i, mean, deviation);
    normal(g, dtype, numel, i + 100, 0.5, 1);
    setup made = { .work = { .dtype = dtype, .n = n, .c = c, .s = s, .x = x, .g = g, .y = room(numel) },
                   .mean = room(c),
                   .var = room(c),
                   .numel = numel };
    made.work.partial = room(2 * c * pleat_norm_blocks(n, s));
    made.work.mean = made.mean;
    return made;
}

static void done(setup *s)
{
    void *blocks[] = {
        (void *)(uintptr_t)s->work.x, (void *)(uintptr_t)s->work.g, s->work.y, s->work.partial, s->mean, s->var
    };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        free(blocks[i]);
}

/* Element i of channel c's n * s. */
static int64_t place(const pleat_norm_work *w, int64_t c, int64_t i)
{
    return (i / w->s * w->c + c) * w->s + i % w->s;
}

static void moments(setup *m)
{
    const struct pleat_norm_kernels *k = pleat_kernels_get()->norm;
    const int64_t blocks = m->work.c * pleat_norm_blocks(m->work.n, m->work.s);
    k->moments(&m->work, 0, blocks / 2);
    k->moments(&m->work, blocks / 2, blocks);
    k->merge(&m->work, 0, m->work.c, m->mean, m->var);
}

static void check_moments(double mean, double deviation, double tolerance32)
{
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int dtype = PLEAT_F32; dtype <= PLEAT_F64; dtype++) {
            setup m = make(i, (pleat_dtype)dtype, mean, deviation);
            const int64_t count = m.work.n * m.work.s;
            const double tolerance = dtype == PLEAT_F32 ? tolerance32 : 1e-10;
            moments(&m);
            for (int64_t c = 0; c < m.work.c; c++) {
                long double sum = 0, squares = 0;
                for (int64_t e = 0; e < count; e++)
                    sum += (long double)at(m.work.x, m.work.dtype, place(&m.work, c, e));
                for (int64_t e = 0; e < count; e++) {
                    const long double d =
                        (long double)at(m.work.x, m.work.dtype, place(&m.work, c, e)) - sum / (long double)count;
                    squares += d * d;
                }
                const double var = (double)(squares / (long double)count);
                ck_assert_double_eq_tol(m.mean[c], (double)(sum / (long double)count), tolerance * deviation);
                ck_assert_double_eq_tol(m.var[c], var, tolerance * (var + 1e-300));
            }
            done(&m);
        }
}

START_TEST(moments_near_zero)
{
    check_moments(0.3, 1, 1e-6);
}
END_TEST

/* float32 keeps some four digits of these deviations: the result must say what the numbers say. */
START_TEST(moments_far_from_zero)
{
    check_moments(1000, 0.5, 1e-6);
    check_moments(-1e6, 30, 1e-6);
}
END_TEST

START_TEST(products)
{
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int dtype = PLEAT_F32; dtype <= PLEAT_F64; dtype++) {
            setup m = make(i, (pleat_dtype)dtype, 100, 1);
            const int64_t count = m.work.n * m.work.s, blocks = pleat_norm_blocks(m.work.n, m.work.s);
            const double tolerance = (dtype == PLEAT_F32 ? 1e-6 : 1e-13) * (double)count;
            moments(&m);
            pleat_kernels_get()->norm->products(&m.work, 0, m.work.c * blocks);
            for (int64_t c = 0; c < m.work.c; c++) {
                double sum = 0, product = 0, want_sum = 0, want = 0;
                for (int64_t b = c * blocks; b < (c + 1) * blocks; b++) {
                    sum += m.work.partial[2 * b];
                    product += m.work.partial[2 * b + 1];
                }
                for (int64_t e = 0; e < count; e++) {
                    const double g = at(m.work.g, m.work.dtype, place(&m.work, c, e));
                    want_sum += g;
                    want += g * (at(m.work.x, m.work.dtype, place(&m.work, c, e)) - m.mean[c]);
                }
                ck_assert_double_eq_tol(sum, want_sum, tolerance);
                ck_assert_double_eq_tol(product, want, tolerance);
            }
            done(&m);
        }
}
END_TEST

START_TEST(apply_and_gradient)
{
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int dtype = PLEAT_F32; dtype <= PLEAT_F64; dtype++) {
            setup m = make(i, (pleat_dtype)dtype, 3, 2);
            const pleat_norm_work *w = &m.work;
            void *k[4];
            for (uint64_t j = 0; j < 4; j++)
                normal(k[j] = room(w->c), w->dtype, w->c, 200 + j, 0, 1);
            m.work.center = k[0];
            m.work.scale = k[1];
            m.work.slope = k[2];
            m.work.shift = k[3];
            for (int gradient = 0; gradient < 2; gradient++) {
                void (*kernel)(const pleat_norm_work *, int64_t, int64_t) =
                    gradient ? pleat_kernels_get()->norm->gradient : pleat_kernels_get()->norm->apply;
                const int64_t planes = w->n * w->c;
                kernel(w, 0, planes / 3);
                kernel(w, planes / 3, planes);
                for (int64_t e = 0; e < m.numel; e++) {
                    const int64_t c = e / w->s % w->c;
                    const double d = at(w->x, w->dtype, e) - at(k[0], w->dtype, c), a = at(k[1], w->dtype, c);
                    const double want = (gradient ? a * at(w->g, w->dtype, e) + at(k[2], w->dtype, c) * d : a * d) +
                                        at(k[3], w->dtype, c);
                    ck_assert_double_eq_tol(at(w->y, w->dtype, e), want, dtype == PLEAT_F32 ? 1e-5 : 1e-13);
                }
            }
            for (int j = 0; j < 4; j++)
                free(k[j]);
            done(&m);
        }
}
END_TEST

RUN_TESTS("norm kernels", moments_near_zero, moments_far_from_zero, products, apply_and_gradient)
