/* Matrix products against naive loops. */
#include "naive.h"

#include "kernels/kernels.h"
#include "ops/gemm.h"

#include <pleat/error.h>
#include <pleat/memory.h>
#include <pleat/parallel.h>

#include <math.h>

/* How an operand of rows x columns lies in memory. */
typedef enum { ROWS, COLUMNS, WIDE_ROWS, WIDE_COLUMNS, SCATTERED, LAYOUTS } layout;

static int64_t lay(layout how, int64_t rows, int64_t columns, int64_t *row, int64_t *column)
{
    const int64_t gap = how == WIDE_ROWS || how == WIDE_COLUMNS ? 3 : 0, step = how == SCATTERED ? 2 : 1;
    if (how == COLUMNS || how == WIDE_COLUMNS) {
        *row = 1;
        *column = rows + gap;
        return columns * (rows + gap);
    }
    *column = step;
    *row = columns * step + gap + (how == SCATTERED);
    return rows * *row;
}

typedef struct {
    pleat_dtype dtype;
    int64_t m, n, k, batch, inner; /* batch by inner matrices */
    layout a, b, c;
    bool accumulate, row_bias, col_bias, relu, share_a, share_b;
} sample;

static void check(sample s)
{
    pleat_gemm_work w = { .dtype = s.dtype, .m = s.m, .n = s.n, .k = s.k, .accumulate = s.accumulate, .relu = s.relu };
    const int64_t a_size = lay(s.a, s.m, s.k, &w.a_row, &w.a_col), b_size = lay(s.b, s.k, s.n, &w.b_row, &w.b_col),
                  c_size = lay(s.c, s.m, s.n, &w.c_row, &w.c_col);
    int64_t count = 1;
    if (s.batch) {
        count = s.batch * s.inner;
        w.batch_dims = 2;
        w.batch[0] = s.batch, w.batch[1] = s.inner;
        /* one operand may be shared along the inner, the other along the outer dimension */
        w.a_batch[0] = a_size * (s.share_a ? 1 : s.inner), w.a_batch[1] = s.share_a ? 0 : a_size;
        w.b_batch[0] = s.share_b ? 0 : b_size * s.inner, w.b_batch[1] = b_size;
        w.c_batch[0] = c_size * s.inner, w.c_batch[1] = c_size;
    }
    void *a = fresh(s.dtype, a_size * count), *b = fresh(s.dtype, b_size * count), *c = fresh(s.dtype, c_size * count);
    void *row_bias = fresh(s.dtype, s.m), *col_bias = fresh(s.dtype, s.n);
    w.a = a, w.b = b, w.row_bias = s.row_bias ? row_bias : NULL, w.col_bias = s.col_bias ? col_bias : NULL;

    const size_t bytes = (size_t)(c_size * count) * pleat_dtype_size(s.dtype);
    void *result = malloc(bytes + 1);
    memcpy(result, c, bytes);
    w.c = result;
    ck_assert_int_eq(pleat_gemm(&w), PLEAT_OK);

    /* what is no element of C must be as it was: the elements are struck out of a copy */
    char *touched = calloc((size_t)(c_size * count) + 1, 1);
    for (int64_t g = 0; g < count; g++) {
        const int64_t y = s.batch ? g / s.inner : 0, x = s.batch ? g % s.inner : 0;
        for (int64_t i = 0; i < s.m; i++)
            for (int64_t j = 0; j < s.n; j++) {
                const int64_t at = y * w.c_batch[0] + x * w.c_batch[1] + i * w.c_row + j * w.c_col;
                double sum = s.accumulate ? get(s.dtype, c, at) : 0;
                sum += s.row_bias ? get(s.dtype, row_bias, i) : 0;
                sum += s.col_bias ? get(s.dtype, col_bias, j) : 0;
                for (int64_t k = 0; k < s.k; k++)
                    sum += get(s.dtype, a, y * w.a_batch[0] + x * w.a_batch[1] + i * w.a_row + k * w.a_col) *
                           get(s.dtype, b, y * w.b_batch[0] + x * w.b_batch[1] + k * w.b_row + j * w.b_col);
                sum = s.relu && sum < 0 ? 0 : sum;
                if (get(s.dtype, result, at) != sum)
                    ck_abort_msg("%s m %d n %d k %d, matrix %d, layouts %d %d %d: C[%d, %d] is %g, not %g",
                                 pleat_dtype_name(s.dtype), (int)s.m, (int)s.n, (int)s.k, (int)g, s.a, s.b, s.c, (int)i,
                                 (int)j, get(s.dtype, result, at), sum);
                touched[at] = 1;
            }
    }
    for (int64_t i = 0; i < c_size * count; i++)
        if (!touched[i] && get(s.dtype, result, i) != get(s.dtype, c, i))
            ck_abort_msg("written beside C");
    free(touched), free(result), free(a), free(b), free(c), free(row_bias), free(col_bias);
}

static void check_both(sample s)
{
    s.dtype = PLEAT_F32;
    check(s);
    s.dtype = PLEAT_F64;
    check(s);
}

/* Sizes on either side of every instruction set's tile, against each other, in changing layouts. */
START_TEST(tile_edges)
{
    static const int64_t sizes[] = { 1, 2, 3, 4, 5, 7, 8, 13, 14, 15, 16, 17, 31, 32, 33, 47 };
    const int n = sizeof sizes / sizeof *sizes;
    int turn = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            for (int big = 0; big < 2; big++) {
                const int t = turn++ * 7;
                check_both((sample){ .m = sizes[i],
                                     .n = sizes[j],
                                     .k = big ? 150 : sizes[t % n],
                                     .a = (layout)(t % LAYOUTS),
                                     .b = (layout)(t / 3 % LAYOUTS),
                                     .c = (layout)(t / 11 % LAYOUTS),
                                     .accumulate = t & 1,
                                     .row_bias = t & 2,
                                     .col_bias = t & 4,
                                     .relu = turn & 1 });
            }
}
END_TEST

START_TEST(every_layout)
{
    for (int a = 0; a < LAYOUTS; a++)
        for (int b = 0; b < LAYOUTS; b++)
            for (int c = 0; c < LAYOUTS; c++) {
                check_both((sample){
                    .m = 37, .n = 45, .k = 41, .a = (layout)a, .b = (layout)b, .c = (layout)c, .col_bias = true });
                check_both((sample){
                    .m = 5, .n = 9, .k = 19, .a = (layout)a, .b = (layout)b, .c = (layout)c, .row_bias = true });
                check_both((sample){
                    .m = 3, .n = 150, .k = 70, .a = (layout)a, .b = (layout)b, .c = (layout)c, .relu = true });
                check_both((sample){
                    .m = 150, .n = 2, .k = 90, .a = (layout)a, .b = (layout)b, .c = (layout)c, .accumulate = true });
            }
}
END_TEST

START_TEST(no_terms_and_no_elements)
{
    for (int c = 0; c < LAYOUTS; c++) {
        check_both((sample){ .m = 20, .n = 33, .k = 0, .c = (layout)c });
        check_both((sample){ .m = 20, .n = 33, .k = 0, .c = (layout)c, .accumulate = true });
        check_both((sample){ .m = 200, .n = 200, .k = 0, .c = (layout)c, .row_bias = true, .relu = true });
        check_both((sample){ .m = 0, .n = 33, .k = 5, .c = (layout)c });
        check_both((sample){ .m = 20, .n = 0, .k = 5, .c = (layout)c });
        check_both((sample){ .m = 3, .n = 2, .k = 5, .c = (layout)c, .batch = 2, .inner = 0 });
    }
}
END_TEST

/* More than one block and slice of K, more than one chunk in every direction. */
START_TEST(blocks_and_slices)
{
    static const int64_t depths[] = { 288, 289, 320, 576, 577, 641, 3000 };
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++)
        for (int a = 0; a < LAYOUTS; a++)
            check_both((sample){ .m = 21,
                                 .n = 35,
                                 .k = depths[i],
                                 .a = (layout)a,
                                 .b = (layout)((a + (int)i) % LAYOUTS),
                                 .accumulate = a & 1,
                                 .row_bias = true,
                                 .col_bias = a & 2,
                                 .relu = i & 1 });
    for (int c = 0; c < LAYOUTS; c++) {
        check_both((sample){ .m = 50,
                             .n = 60,
                             .k = 3000,
                             .a = WIDE_COLUMNS,
                             .c = (layout)c,
                             .accumulate = true,
                             .row_bias = true,
                             .col_bias = true,
                             .relu = c & 1 });
        check_both((sample){ .m = 300, .n = 70, .k = 330, .b = COLUMNS, .c = (layout)c, .relu = true });
        check_both((sample){ .m = 33, .n = 1100, .k = 70, .c = (layout)c, .row_bias = true });
        /* B too large for a cache, panel by panel; A in place and packed */
        check_both((sample){ .m = 31, .n = 600, .k = 601, .c = (layout)c, .accumulate = c & 1, .row_bias = true });
        check_both((sample){ .m = 31, .n = 600, .k = 601, .a = COLUMNS, .c = (layout)c, .relu = true });
    }
    /* strides that meet in one place of a cache, so that operands are packed: ahead of many chunks */
    for (int a = 0; a < LAYOUTS; a++)
        check_both((sample){ .m = 70, .n = 512, .k = 512, .a = (layout)a, .b = (layout)(a % 2), .row_bias = true });
    /* A does not fit the cache, and B as float64: as much of it at a time as does */
    check_both((sample){ .m = 345,
                         .n = 630,
                         .k = 650,
                         .a = COLUMNS,
                         .b = COLUMNS,
                         .c = WIDE_ROWS,
                         .accumulate = true,
                         .row_bias = true,
                         .col_bias = true,
                         .relu = true });
    /* C does not fit the cache */
    check_both((sample){ .m = 600, .n = 1000, .k = 40 });
    check_both((sample){ .m = 1, .n = 1, .k = 100000 });
    check_both((sample){ .m = 1, .n = 3000, .k = 100, .b = COLUMNS, .col_bias = true });
    check_both((sample){ .m = 3000, .n = 1, .k = 100, .row_bias = true });
}
END_TEST

START_TEST(batches)
{
    for (int shared = 0; shared < 4; shared++)
        for (int b = 0; b < LAYOUTS; b++) {
            check_both((sample){ .m = 5,
                                 .n = 7,
                                 .k = 6,
                                 .batch = 3,
                                 .inner = 4,
                                 .b = (layout)b,
                                 .share_a = shared & 1,
                                 .share_b = shared & 2,
                                 .row_bias = true });
            check_both((sample){ .m = 40,
                                 .n = 50,
                                 .k = 30,
                                 .batch = 2,
                                 .inner = 3,
                                 .b = (layout)b,
                                 .share_a = shared & 1,
                                 .share_b = shared & 2,
                                 .col_bias = true });
            check_both((sample){ .m = 17,
                                 .n = 20,
                                 .k = 1500,
                                 .batch = 2,
                                 .inner = 1,
                                 .b = (layout)b,
                                 .share_a = shared & 1,
                                 .share_b = shared & 2,
                                 .accumulate = true });
        }
    /* a shared B: the batch is more rows */
    pleat_gemm_work w = { .dtype = PLEAT_F64,
                          .m = 3,
                          .n = 4,
                          .k = 5,
                          .a_row = 5,
                          .a_col = 1,
                          .b_row = 4,
                          .b_col = 1,
                          .c_row = 4,
                          .c_col = 1,
                          .batch_dims = 2,
                          .batch = { 2, 6 },
                          .a_batch = { 90, 15 },
                          .c_batch = { 72, 12 } };
    double *a = fresh(PLEAT_F64, 180), *b = fresh(PLEAT_F64, 20), c[144];
    w.a = a, w.b = b, w.c = c;
    ck_assert_int_eq(pleat_gemm(&w), PLEAT_OK);
    for (int i = 0; i < 36; i++)
        for (int j = 0; j < 4; j++) {
            double sum = 0;
            for (int k = 0; k < 5; k++)
                sum += a[i * 5 + k] * b[k * 4 + j];
            ck_assert(c[i * 4 + j] == sum);
        }
    free(a), free(b);
}
END_TEST

/* Backwards strides, and one element for a whole operand. */
START_TEST(odd_strides)
{
    double *a = fresh(PLEAT_F64, 60 * 40), *b = fresh(PLEAT_F64, 1), *c = fresh(PLEAT_F64, 60 * 50);
    const pleat_gemm_work w = { .dtype = PLEAT_F64,
                                .m = 60,
                                .n = 50,
                                .k = 40,
                                .a = a + 60 * 40 - 1,
                                .a_row = -40,
                                .a_col = -1,
                                .b = b,
                                .c = c + 50 * 59,
                                .c_row = -50,
                                .c_col = 1 };
    ck_assert_int_eq(pleat_gemm(&w), PLEAT_OK);
    for (int i = 0; i < 60; i++)
        for (int j = 0; j < 50; j++) {
            double sum = 0;
            for (int k = 0; k < 40; k++)
                sum += a[60 * 40 - 1 - i * 40 - k] * *b;
            ck_assert(c[(59 - i) * 50 + j] == sum);
        }
    free(a), free(b), free(c);
}
END_TEST

/* c = a b of matrices that lie row by row. */
static pleat_gemm_work rows_of(int64_t m, int64_t n, int64_t k, const float *a, const float *b, float *c)
{
    return (pleat_gemm_work){ .dtype = PLEAT_F32,
                              .m = m,
                              .n = n,
                              .k = k,
                              .a = a,
                              .a_row = k,
                              .a_col = 1,
                              .b = b,
                              .b_row = n,
                              .b_col = 1,
                              .c = c,
                              .c_row = n,
                              .c_col = 1 };
}

/* Not integers here: the order of the sums shows in the bits. */
START_TEST(same_bits_on_any_number_of_threads)
{
    static const int64_t shapes[][3] = {
        { 300, 200, 100 }, { 30, 40, 6000 }, { 2, 3000, 50 }, { 64, 1024, 27 }, { 340, 800, 1024 }
    };
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const int64_t m = shapes[s][0], n = shapes[s][1], k = shapes[s][2];
        float *a = fresh(PLEAT_F32, m * k), *b = fresh(PLEAT_F32, k * n), *c[5];
        for (int64_t i = 0; i < m * k; i++)
            a[i] = (float)random_below(1000) / 997;
        for (int t = 0; t < 5; t++) {
            static const int threads[] = { 1, 2, 3, 5, 16 };
            c[t] = malloc((size_t)(m * n) * sizeof(float));
            const pleat_gemm_work w = rows_of(m, n, k, a, b, c[t]);
            ck_assert_int_eq(pleat_set_threads(threads[t]), PLEAT_OK);
            pleat_parallel_limit_grain(1);
            ck_assert_int_eq(pleat_gemm(&w), PLEAT_OK);
            pleat_parallel_limit_grain(0);
            ck_assert(!memcmp(c[0], c[t], (size_t)(m * n) * sizeof(float)));
        }
        for (int t = 0; t < 5; t++)
            free(c[t]);
        free(a), free(b);
    }
    pleat_set_threads(0);
}
END_TEST

/* A relu lets NaN through, in whole tiles, cut ones and short sums. */
START_TEST(relu_of_nan)
{
    static const int64_t shapes[][3] = { { 64, 64, 64 }, { 65, 67, 64 }, { 5, 7, 3 }, { 20, 20, 4000 } };
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const int64_t m = shapes[s][0], n = shapes[s][1], k = shapes[s][2];
        float *a = fresh(PLEAT_F32, m * k), *b = fresh(PLEAT_F32, k * n), *c = fresh(PLEAT_F32, m * n);
        for (int64_t i = 0; i < m; i += 2)
            a[i * k] = NAN;
        pleat_gemm_work w = rows_of(m, n, k, a, b, c);
        w.relu = true;
        ck_assert_int_eq(pleat_gemm(&w), PLEAT_OK);
        for (int64_t i = 0; i < m * n; i++)
            ck_assert(i / n % 2 ? c[i] >= 0 : isnan(c[i]));
        free(a), free(b), free(c);
    }
}
END_TEST

START_TEST(no_memory)
{
    static const int64_t shapes[][3] = { { 50, 50, 5000 }, { 340, 900, 900 } };
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const int64_t m = shapes[s][0], n = shapes[s][1], k = shapes[s][2];
        float *a = fresh(PLEAT_F32, m * k), *b = fresh(PLEAT_F32, k * n), *c = fresh(PLEAT_F32, m * n);
        pleat_gemm_work w = rows_of(m, n, k, a, b, c);
        w.a_row = 1, w.a_col = m;
        for (int nth = 1; nth <= 2; nth++) {
            pleat_memory_fail_after(nth);
            ck_assert_int_eq(pleat_gemm(&w), PLEAT_ENOMEM);
            ck_assert_int_eq(pleat_memory_stats().live_bytes, 0);
            pleat_error_clear();
        }
        ck_assert_int_eq(pleat_memory_fail_after(0), 0);
        ck_assert_int_eq(pleat_gemm(&w), PLEAT_OK);
        free(a), free(b), free(c);
    }
}
END_TEST

RUN_TESTS("gemm", tile_edges, every_layout, no_terms_and_no_elements, blocks_and_slices, batches, odd_strides,
          same_bits_on_any_number_of_threads, relu_of_nan, no_memory)
