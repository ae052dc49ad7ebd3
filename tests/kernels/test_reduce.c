/* The reduction kernels: sums of strided arrays against a naive loop, for blocks and ranges of any size, and how exact
 * they are; sums and extremes of short rows. */
#include "kernels/reduce.h"
#include "support/run.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { SIZE = 40000 };
static double f64[SIZE];
static float f32[SIZE];
static int64_t i64[SIZE];

static void fill(void)
{
    for (int i = 0; i < SIZE; i++) {
        i64[i] = (i * 7919) % 1000 - 300;
        f64[i] = (double)i64[i] / 8; /* sums are exact */
        f32[i] = (float)f64[i];
    }
}

static int64_t product(int n, const int64_t *dim)
{
    int64_t all = 1;
    for (int d = 0; d < n; d++)
        all *= dim[d];
    return all;
}

static int64_t offset(int n, const int64_t *dim, const int64_t *stride, int64_t i)
{
    int64_t at = 0;
    for (int d = n - 1; d >= 0; d--) {
        at += i % dim[d] * stride[d];
        i /= dim[d];
    }
    return at;
}

static const pleat_reduce_work works[] = {
    { 1, 1, { 1 }, { 0 }, { 1 }, { 1 }, NULL },
    { 1, 1, { 1 }, { 0 }, { 9000 }, { 1 }, NULL },           /* everything */
    { 1, 1, { 1 }, { 0 }, { 39971 }, { 1 }, NULL },          /* several long blocks, the last one not full */
    { 1, 2, { 2 }, { 784 }, { 9, 784 }, { 1568, 1 }, NULL }, /* in runs that are not whole steps */
    { 1, 1, { 7 }, { 4999 }, { 4999 }, { 1 }, NULL },        /* long rows, read as two streams */
    { 1, 1, { 1 }, { 0 }, { 9000 }, { 4 }, NULL },           /* strided */
    { 1, 1, { 1 }, { 0 }, { 9000 }, { 0 }, NULL },           /* repeated */
    { 1, 1, { 30 }, { 200 }, { 200 }, { 1 }, NULL },         /* rows */
    { 1, 1, { 500 }, { 7 }, { 7 }, { 1 }, NULL },            /* short rows */
    { 1, 1, { 77 }, { 1 }, { 200 }, { 77 }, NULL },          /* columns */
    { 1, 1, { 3 }, { 1 }, { 5000 }, { 3 }, NULL },           /* few columns, many rows */
    { 1, 1, { 64 }, { 2 }, { 100 }, { 200 }, NULL },         /* every other column */
    { 1, 2, { 6 }, { 100 }, { 9, 100 }, { 600, 1 }, NULL },  /* channels of NCHW */
    { 2, 1, { 9, 100 }, { 600, 1 }, { 6 }, { 100 }, NULL },  /* over the channels */
    { 2, 2, { 5, 7 }, { 1400, 4 }, { 10, 4 }, { 28, 1 }, NULL },
    { 2, 2, { 5, 28 }, { 1400, 1 }, { 10, 3 }, { 28, 280 }, NULL },
    { 1, 1, { 5 }, { 1 }, { 0 }, { 5 }, NULL }, /* nothing */
};
enum { WORKS = sizeof works / sizeof *works };

static void check(const pleat_reduce_work *work, int type, int64_t range, int64_t block)
{
    const pleat_reduction *sum = &pleat_kernels_get()->reduce->sum;
    pleat_reduce_work w = *work;
    w.x = type == 0 ? (const void *)f32 : type == 1 ? (const void *)f64 : (const void *)i64;
    const int64_t outputs = product(w.kept, w.kept_dim), elements = product(w.reduced, w.reduced_dim);
    const int64_t blocks = (elements + block - 1) / block;
    double *result = calloc((size_t)(blocks * outputs + 1), sizeof *result), y[1000] = { 0 };
    for (int64_t b = 0; b < blocks; b++)
        for (int64_t o = 0; o < outputs; o += range)
            sum->partial[type](&w, o, o + range < outputs ? o + range : outputs, b * block,
                               (b + 1) * block < elements ? (b + 1) * block : elements, result + b * outputs + o);
    sum->finish[type](result, blocks, outputs, outputs, type == 2 ? 1 : 4, y);
    for (int64_t o = 0; o < outputs; o++) {
        double want = 0;
        for (int64_t e = 0; e < elements; e++) {
            const int64_t at =
                offset(w.kept, w.kept_dim, w.kept_stride, o) + offset(w.reduced, w.reduced_dim, w.reduced_stride, e);
            want += type == 2 ? (double)i64[at] : f64[at];
        }
        int64_t integer;
        float single;
        memcpy(&integer, (char *)y + 8 * o, 8);
        memcpy(&single, (char *)y + 4 * o, 4);
        const double got = type == 0 ? (double)single : type == 1 ? y[o] : (double)integer;
        ck_assert_msg(got == (type == 2 ? want : (double)(type ? want / 4 : (double)(float)(want / 4))),
                      "work %d, type %d, range %d, block %d, output %d: %.17g, not %.17g", (int)(work - works), type,
                      (int)range, (int)block, (int)o, got, want);
    }
    free(result);
}

START_TEST(sums)
{
    static const int64_t ranges[] = { 1, 7, 64, 1000 },
                         blocks[] = { 1, 5, 33, 100, PLEAT_REDUCE_BLOCK, PLEAT_REDUCE_LONG_BLOCK };
    fill();
    for (int i = 0; i < WORKS; i++)
        for (int type = 0; type < 3; type++)
            for (int r = 0; r < 4; r++)
                for (int b = product(works[i].reduced, works[i].reduced_dim) > 1000; b < 6; b++)
                    check(&works[i], type, ranges[r], blocks[b]);
}
END_TEST

/* A block of float64 is off by some units at most, where adding up one after the other is off by a thousand; of float32
 * by the one rounding at the end. */
START_TEST(exactness)
{
    const pleat_reduction *sum = &pleat_kernels_get()->reduce->sum;
    static double x[PLEAT_REDUCE_BLOCK];
    static float s[PLEAT_REDUCE_BLOCK];
    long double want = 0, want_single = 0;
    for (int i = 0; i < PLEAT_REDUCE_BLOCK; i++) {
        x[i] = 1 + 1e-3 * sin(i);
        s[i] = (float)x[i];
        want += x[i];
        want_single += s[i];
    }
    double result, y;
    float ys;
    pleat_reduce_work w = { 1, 1, { 1 }, { 0 }, { PLEAT_REDUCE_BLOCK }, { 1 }, x };
    sum->partial[1](&w, 0, 1, 0, PLEAT_REDUCE_BLOCK, &result);
    sum->finish[1](&result, 1, 1, 1, 1, &y);
    ck_assert(fabsl(y - want) <= 4 * DBL_EPSILON * want);
    w.x = s;
    sum->partial[0](&w, 0, 1, 0, PLEAT_REDUCE_BLOCK, &result);
    sum->finish[0](&result, 1, 1, 1, 1, &ys);
    ck_assert(ys == (float)want_single);
}
END_TEST

/* The first of the largest (smallest) of n elements, the first NaN before all. */
static int64_t naive_arg(int type, const void *x, int64_t n, bool largest)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (type == 2) {
            const int64_t *v = x;
            best = largest ? v[i] > v[best] ? i : best : v[i] < v[best] ? i : best;
        } else {
            const double a = type ? ((const double *)x)[best] : (double)((const float *)x)[best],
                         b = type ? ((const double *)x)[i] : (double)((const float *)x)[i];
            if (!isnan(a) && (isnan(b) || (largest ? b > a : b < a)))
                best = i;
        }
    return best;
}

/* Rows of n elements, in memory that ends with the last. */
static void check_rows(int type, int64_t n, int64_t stride, int64_t range, bool odd)
{
    enum { ROWS = 39 };
    const struct pleat_reduce_kernels *k = pleat_kernels_get()->reduce;
    const int64_t width = type == 0 ? 4 : 8, span = (ROWS - 1) * stride + n;
    char *x = malloc((size_t)(span * width));
    memcpy(x,
           type == 0   ? (const void *)f32
           : type == 1 ? (const void *)f64
                       : (const void *)i64,
           (size_t)(span * width));
    const double specials[] = { NAN, INFINITY, -INFINITY };
    for (int64_t row = 0; odd && type < 2 && row < ROWS; row++)
        for (int64_t i = row % 5; i < n && row % 4; i += 7) {
            const int64_t at = row * stride + (i * 5 + row) % n;
            if (type == 0)
                ((float *)x)[at] = (float)specials[row % 4 - 1];
            else
                ((double *)x)[at] = specials[row % 4 - 1];
        }
    const pleat_reduce_work w = { 1, 1, { ROWS }, { stride }, { n }, { 1 }, x };
    const pleat_reduction *const all[] = { &k->sum, &k->max, &k->min };
    for (int kind = 0; kind < 5; kind++)
        for (int64_t o = 0; o < ROWS; o += range) {
            const int64_t end = o + range < ROWS ? o + range : ROWS;
            int64_t at[ROWS];
            double result[ROWS], y[ROWS];
            if (kind < 3) {
                all[kind]->partial[type](&w, o, end, 0, n, result);
                all[kind]->finish[type](result, 1, 0, end - o, 1, y);
            } else
                k->arg[type](&w, kind == 3, o, end, 0, n, at);
            for (int64_t r = o; r < end; r++) {
                const char *row = x + r * stride * width, *got = (const char *)y + (r - o) * width;
                if (kind == 0 && type == 2) {
                    int64_t want = 0;
                    for (int64_t i = 0; i < n; i++)
                        want += ((const int64_t *)(const void *)row)[i];
                    ck_assert(memcmp(got, &want, sizeof want) == 0);
                } else if (kind == 0) {
                    double want = 0;
                    for (int64_t i = 0; i < n; i++)
                        want += type ? ((const double *)(const void *)row)[i]
                                     : (double)((const float *)(const void *)row)[i];
                    const double v =
                        type ? *(const double *)(const void *)got : (double)*(const float *)(const void *)got;
                    ck_assert_msg(v == want || (isnan(v) && isnan(want)), "%d rows of %d: row %d is %g, not %g", ROWS,
                                  (int)n, (int)r, v, want);
                } else {
                    const int64_t want = naive_arg(type, row, n, kind == 1 || kind == 3);
                    ck_assert_msg(kind < 3 ? memcmp(got, row + want * width, (size_t)width) == 0 : at[r - o] == want,
                                  "rows of %d, kind %d, type %d: row %d, wanted element %d", (int)n, kind, type, (int)r,
                                  (int)want);
                }
            }
        }
    free(x);
}

START_TEST(short_rows)
{
    fill();
    for (int64_t n = 1; n < 600; n += n < 70 ? 1 : 63)
        for (int type = 0; type < 3; type++)
            for (int odd = 0; odd < 2; odd++) {
                check_rows(type, n, n, 1000, odd);
                check_rows(type, n, n + 3, 7, odd);
            }
}
END_TEST

RUN_TESTS("reduction kernels", sums, exactness, short_rows)
