/* The pooling kernels against naive loops in double, over every small window there is, and what is special: NaN,
 * equals, infinities, windows with nothing under them, indices out of range. */
#include "kernels/pool.h"
#include "kernels/random.h"

#include "support/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void naive_max(const pleat_max_pool_work *w, int64_t planes, const double *x, double *y, int64_t *index)
{
    for (int64_t p = 0; p < planes; p++)
        for (int64_t oy = 0; oy < w->windows.h; oy++)
            for (int64_t ox = 0; ox < w->windows.w; ox++, y++, index++) {
                *y = -INFINITY;
                *index = -1;
                for (int64_t ky = 0; ky < w->kernel.h; ky++)
                    for (int64_t kx = 0; kx < w->kernel.w; kx++) {
                        const int64_t iy = oy * w->stride.h - w->padding.h + ky * w->dilation.h;
                        const int64_t ix = ox * w->stride.w - w->padding.w + kx * w->dilation.w;
                        if (iy < 0 || iy >= w->image.h || ix < 0 || ix >= w->image.w)
                            continue;
                        const double v = x[(p * w->image.h + iy) * w->image.w + ix];
                        if (*index < 0 || v > *y || isnan(v)) {
                            *y = v;
                            *index = iy * w->image.w + ix;
                        }
                    }
            }
}

static int64_t windows(int64_t size, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation)
{
    const int64_t room = size + 2 * padding - dilation * (kernel - 1) - 1;
    return room < 0 ? 0 : room / stride + 1;
}

/* Few different values, so that equals are common; here and there NaN or an infinity. */
static void fill(double *x, int64_t n, uint64_t draw, bool special)
{
    int64_t *r = malloc((size_t)n * sizeof *r);
    pleat_kernels_get()->random->randint(&(pleat_randint_work){ r, 1, draw, -6, special ? 16 : 13 }, 0, n);
    for (int64_t i = 0; i < n; i++)
        x[i] = r[i] == 7 ? NAN : r[i] == 8 ? INFINITY : r[i] == 9 ? -INFINITY : (double)r[i];
    free(r);
}

static void check_max(pleat_max_pool_work w, int64_t planes, uint64_t draw)
{
    w.windows.h = windows(w.image.h, w.kernel.h, w.stride.h, w.padding.h, w.dilation.h);
    w.windows.w = windows(w.image.w, w.kernel.w, w.stride.w, w.padding.w, w.dilation.w);
    const int64_t n = planes * w.image.h * w.image.w, m = planes * w.windows.h * w.windows.w;
    double *x = malloc((size_t)(n + 1) * sizeof *x), *y = malloc((size_t)(m + 1) * sizeof *y);
    double *want = malloc((size_t)(m + 1) * sizeof *y);
    float *xf = malloc((size_t)(n + 1) * sizeof *xf), *yf = malloc((size_t)(m + 1) * sizeof *yf);
    int64_t *index = malloc((size_t)(m + 1) * sizeof *index), *want_index = malloc((size_t)(m + 1) * sizeof *index);
    fill(x, n, draw, draw % 2);
    for (int64_t i = 0; i < n; i++)
        xf[i] = (float)x[i];
    naive_max(&w, planes, x, want, want_index);
    for (int dtype = PLEAT_F32; dtype <= PLEAT_F64; dtype++) {
        w.dtype = (pleat_dtype)dtype;
        w.x = dtype == PLEAT_F32 ? (void *)xf : x;
        w.y = dtype == PLEAT_F32 ? (void *)yf : y;
        const int64_t rows = planes * w.windows.h;
        for (int places = 0; places < 2; places++) {
            memset(w.y, 0, (size_t)m * (dtype == PLEAT_F32 ? sizeof *yf : sizeof *y));
            w.index = places ? index : NULL;
            pleat_kernels_get()->pool->max(&w, 0, rows / 2);
            pleat_kernels_get()->pool->max(&w, rows / 2, rows);
            for (int64_t i = 0; i < m; i++) {
                const double got = dtype == PLEAT_F32 ? (double)yf[i] : y[i];
                ck_assert_msg(got == want[i] || (isnan(got) && isnan(want[i])), "%g, not %g", got, want[i]);
                if (places)
                    ck_assert_int_eq(index[i], want_index[i]);
            }
        }
    }
    free(x);
    free(y);
    free(want);
    free(xf);
    free(yf);
    free(index);
    free(want_index);
}

START_TEST(max_of_small_windows)
{
    uint64_t draw = 0;
    for (int64_t kh = 1; kh <= 3; kh++)
        for (int64_t kw = 1; kw <= 4; kw++)
            for (int64_t stride = 1; stride <= 3; stride++)
                for (int64_t dilation = 1; dilation <= 2; dilation++)
                    for (int64_t padding = 0; padding <= 1; padding++)
                        for (int64_t size = 5; size <= 10; size += 5)
                            check_max((pleat_max_pool_work){ .image = { size, size + 3 },
                                                             .kernel = { kh, kw },
                                                             .stride = { stride, 4 - stride },
                                                             .padding = { padding * (kh > 1), padding * (kw > 1) },
                                                             .dilation = { dilation, 3 - dilation } },
                                      3, draw++);
}
END_TEST

/* Rows of any number of vectors, whole or not. */
START_TEST(max_of_any_width)
{
    for (int64_t w = 1; w < 90; w++)
        for (int64_t stride = 1; stride <= 3; stride++)
            check_max((pleat_max_pool_work){ .image = { 6, w },
                                             .kernel = { 3, 3 },
                                             .stride = { stride, stride },
                                             .padding = { 1, 1 },
                                             .dilation = { 1, 1 } },
                      2, (uint64_t)w);
}
END_TEST

START_TEST(max_of_2x2)
{
    for (int64_t w = 2; w < 40; w += 1)
        check_max(
            (pleat_max_pool_work){ .image = { 7, w }, .kernel = { 2, 2 }, .stride = { 2, 2 }, .dilation = { 1, 1 } }, 2,
            (uint64_t)w);
    check_max(
        (pleat_max_pool_work){ .image = { 4, 1001 }, .kernel = { 2, 2 }, .stride = { 2, 2 }, .dilation = { 1, 1 } }, 2,
        5);
    for (int64_t stride = 1; stride <= 5; stride++)
        check_max((pleat_max_pool_work){ .image = { 4, 1001 },
                                         .kernel = { 3, 3 },
                                         .stride = { stride, stride },
                                         .padding = { 1, 1 },
                                         .dilation = { 1, 1 } },
                  2, 5);
}
END_TEST

START_TEST(nothing_but_padding)
{
    /* kernel 2, dilation 4, padding 1: taps at -1 and 3 of an image three wide */
    const double x[] = { 1, 2, 3 };
    double y[1];
    int64_t index[1];
    pleat_max_pool_work w = { .dtype = PLEAT_F64,
                              .image = { 1, 3 },
                              .kernel = { 1, 2 },
                              .stride = { 1, 1 },
                              .padding = { 0, 1 },
                              .dilation = { 1, 4 },
                              .windows = { 1, 1 },
                              .x = x,
                              .y = y,
                              .index = index };
    pleat_kernels_get()->pool->max(&w, 0, 1);
    ck_assert(y[0] == -INFINITY);
    ck_assert_int_eq(index[0], -1);
}
END_TEST

START_TEST(gather_and_scatter)
{
    enum { PLANES = 3, PIXELS = 20, WINDOWS = 30 };
    double x[PLANES * PIXELS], y[PLANES * WINDOWS], g[PLANES * WINDOWS], s[PLANES * PIXELS];
    float xf[PLANES * PIXELS], yf[PLANES * WINDOWS], gf[PLANES * WINDOWS], sf[PLANES * PIXELS];
    int64_t index[PLANES * WINDOWS];
    pleat_kernels_get()->random->randint(&(pleat_randint_work){ index, 3, 1, -1, PIXELS + 1 }, 0, PLANES * WINDOWS);
    fill(x, PLANES * PIXELS, 20, false);
    fill(g, PLANES * WINDOWS, 21, false);
    for (int i = 0; i < PLANES * PIXELS; i++)
        xf[i] = (float)x[i];
    for (int i = 0; i < PLANES * WINDOWS; i++)
        gf[i] = (float)g[i];
    const struct pleat_pool_kernels *k = pleat_kernels_get()->pool;
    pleat_pool_index_work w = { PLEAT_F64, PIXELS, WINDOWS, x, index, y },
                          v = { PLEAT_F64, PIXELS, WINDOWS, g, index, s };
    ck_assert_int_eq(k->gather(&w, 0, PLANES), -1);
    ck_assert_int_eq(k->scatter(&v, 0, 1), -1);
    ck_assert_int_eq(k->scatter(&v, 1, PLANES), -1);
    double dot = 0, adjoint = 0;
    for (int i = 0; i < PLANES * WINDOWS; i++) {
        ck_assert(y[i] == (index[i] < 0 ? 0 : x[i / WINDOWS * PIXELS + index[i]]));
        dot += y[i] * g[i];
    }
    for (int i = 0; i < PLANES * PIXELS; i++)
        adjoint += x[i] * s[i];
    ck_assert(dot == adjoint); /* small integers: exact */
    ck_assert(dot != 0);

    w = (pleat_pool_index_work){ PLEAT_F32, PIXELS, WINDOWS, xf, index, yf };
    v = (pleat_pool_index_work){ PLEAT_F32, PIXELS, WINDOWS, gf, index, sf };
    ck_assert_int_eq(k->gather(&w, 0, PLANES), -1);
    ck_assert_int_eq(k->scatter(&v, 0, PLANES), -1);
    for (int i = 0; i < PLANES * WINDOWS; i++)
        ck_assert((double)yf[i] == y[i]);
    for (int i = 0; i < PLANES * PIXELS; i++)
        ck_assert((double)sf[i] == s[i]);

    index[WINDOWS + 4] = PIXELS;
    index[WINDOWS + 9] = -2;
    ck_assert_int_eq(k->gather(&w, 0, PLANES), WINDOWS + 4);
    ck_assert_int_eq(k->scatter(&v, 0, PLANES), WINDOWS + 4);
    index[WINDOWS + 4] = 0;
    ck_assert_int_eq(k->gather(&w, 0, PLANES), WINDOWS + 9);
    ck_assert_int_eq(k->scatter(&v, 0, PLANES), WINDOWS + 9);
}
END_TEST

RUN_TESTS("pool kernels", max_of_small_windows, max_of_any_width, max_of_2x2, nothing_but_padding, gather_and_scatter)
