/* topk, sort and cumsum against naive loops; ties, NaN, dtypes, errors. */
#include "support/run.h"
#include "support/threads.h"
#include "support/views.h"

#include <pleat/op.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Place n of the order is element `index` if exactly n elements of the line come before it. */
static int64_t before(pleat_tensor *x, int64_t row, int64_t at, bool largest)
{
    const int64_t here[] = { row, at };
    const double v = pleat_at(x, here);
    int64_t count = 0;
    for (int64_t i = 0; i < pleat_size(x, 1); i++) {
        const double w = pleat_at(x, (int64_t[]){ row, i });
        const bool more = w > v || (isnan(w) && !isnan(v)), less = w < v || (isnan(v) && !isnan(w));
        count += more || less ? more == largest : i < at;
    }
    return count;
}

START_TEST(in_order)
{
    pleat_seed(1);
    for (pleat_dtype dtype = PLEAT_F32; dtype <= PLEAT_U8; dtype++)
        for (int n = 1; n <= 60; n += 7)
            for (int largest = 0; largest < 2; largest++) {
                pleat_tensor *x = pleat_cast(pleat_affine(pleat_randn(PLEAT_SHAPE(3, n), PLEAT_F64), 4, 20), dtype);
                if (dtype <= PLEAT_F64) {
                    x = pleat_cast(pleat_cast(x, PLEAT_U8), dtype); /* ties */
                    pleat_fill_(pleat_narrow(pleat_select(x, 0, 1), 0, n / 2, 1), (double)NAN);
                }
                for (int64_t k = 0; k <= n; k += 1 + n / 5) {
                    pleat_tensor *v, *i;
                    ck_assert_ok(pleat_topk(x, k, 1, largest, &v, &i));
                    ck_assert(pleat_shape_equal(pleat_shape_of(v), PLEAT_SHAPE(3, k)));
                    for (int64_t row = 0; row < 3; row++)
                        for (int64_t p = 0; p < k; p++) {
                            const int64_t at = pleat_data_i64(i)[row * k + p];
                            ck_assert_int_eq(before(x, row, at, largest), p);
                            const double want = pleat_at(x, (int64_t[]){ row, at });
                            const double got = pleat_at(v, (int64_t[]){ row, p });
                            ck_assert(got == want || (isnan(got) && isnan(want)));
                        }
                }
            }
}
END_TEST

START_TEST(sort_is_all_of_it)
{
    pleat_tensor *x = pleat_from_data((double[]){ 3, 1, 2, 1 }, PLEAT_SHAPE(4), PLEAT_F64), *v, *i;
    const int64_t up[] = { 1, 3, 2, 0 }, down[] = { 0, 2, 1, 3 };
    ck_assert_ok(pleat_sort(x, 0, false, &v, &i));
    ck_assert_mem_eq(pleat_data_i64(i), up, sizeof up);
    ck_assert(pleat_equal(v, pleat_gather(x, 0, i)));
    ck_assert_ok(pleat_sort(x, -1, true, NULL, &i));
    ck_assert_mem_eq(pleat_data_i64(i), down, sizeof down);
    ck_assert_ok(pleat_sort(pleat_zeros(PLEAT_SHAPE(2, 0), PLEAT_F32), 1, true, &v, NULL));
    ck_assert_ok(pleat_sort(pleat_zeros(PLEAT_SHAPE(), PLEAT_F32), 0, true, &v, NULL));
    ck_assert_int_eq(pleat_ndim(v), 0);
}
END_TEST

typedef struct {
    double v;
    int64_t place;
} placed;

static int up(const void *a, const void *b)
{
    const placed *p = a, *q = b;
    if (p->v < q->v || (isnan(q->v) && !isnan(p->v)))
        return -1;
    if (p->v > q->v || (isnan(p->v) && !isnan(q->v)))
        return 1;
    return p->place < q->place ? -1 : 1;
}

static int down(const void *a, const void *b)
{
    const placed *p = a, *q = b;
    const bool equal = p->v == q->v || (isnan(p->v) && isnan(q->v));
    return equal ? up(a, b) : up(b, a);
}

/* Few different values, the odd ones among them; many; in order; in order from behind. */
static pleat_tensor *line_of_kind(int kind, pleat_shape shape, pleat_dtype dtype)
{
    const int64_t n = shape.dim[1];
    if (kind < 2) {
        pleat_tensor *x = pleat_cast(pleat_affine(pleat_randn(shape, PLEAT_F64), kind ? 100 : 1, 0), PLEAT_I64);
        x = pleat_cast(x, dtype);
        const double reals[] = { (double)NAN, -(double)NAN, -0.0, 0.0, (double)INFINITY, -(double)INFINITY };
        const double integers[] = { (double)INT64_MIN, 9e18, 0, 255, 1, -1 };
        for (int64_t i = 0; dtype != PLEAT_U8 && i < n; i += 2)
            pleat_fill_(pleat_narrow(x, 1, i, 1), (dtype == PLEAT_I64 ? integers : reals)[i / 2 % 6]);
        return x;
    }
    pleat_tensor *x = pleat_reshape(pleat_arange(0, (double)n, 1, PLEAT_I64), PLEAT_SHAPE(1, n, 1));
    x = kind == 2 ? x : pleat_flip(x, PLEAT_DIMS(1));
    return pleat_contiguous(pleat_cast(pleat_expand(x, shape), dtype));
}

/* What is collected of a line is sorted by comparing up to 96, 192 or 384 elements, by the instruction set, and by
 * digits beyond; where k is not the whole line, it is collected 64 at a time until there are 64, or twice k. */
START_TEST(lines_of_every_length)
{
    const int64_t sizes[] = { 1, 2, 7, 8, 9, 31, 33, 63, 64, 65, 96, 97, 128, 192, 193, 257, 384, 385, 1000 };
    pleat_seed(4);
    for (size_t size = 0; size < sizeof sizes / sizeof *sizes; size++)
        for (pleat_dtype dtype = PLEAT_F32; dtype <= PLEAT_U8; dtype++)
            for (int variant = 0; variant < 16; variant++) {
                const pleat_scope scope = pleat_scope_begin();
                const int64_t n = sizes[size], inner = variant & 1 ? 3 : 1;
                const bool largest = variant & 2;
                const pleat_shape shape = PLEAT_SHAPE(2, n, inner);
                pleat_tensor *x = line_of_kind(variant / 4, shape, dtype);
                const size_t bytes = pleat_dtype_size(dtype);
                const char *data = pleat_data(x);
                const int64_t ks[] = { 1, 5, 31, 32, 33, 64, 65, n / 2, n - 1, n };
                placed order[6][1000];
                for (int64_t line = 0; line < 2 * inner; line++) {
                    for (int64_t i = 0; i < n; i++)
                        order[line][i] = (placed){ pleat_at(x, (int64_t[]){ line / inner, i, line % inner }), i };
                    qsort(order[line], (size_t)n, sizeof **order, largest ? down : up);
                }
                for (size_t c = 0; c < sizeof ks / sizeof *ks; c++) {
                    const int64_t k = ks[c];
                    if (k > n)
                        continue;
                    pleat_tensor *v, *places;
                    ck_assert_ok(pleat_topk(x, k, 1, largest, &v, &places));
                    for (int64_t i = 0; i < 2 * k * inner; i++) {
                        const int64_t line = i / (k * inner) * inner + i % inner,
                                      want = order[line][i / inner % k].place;
                        ck_assert_msg(pleat_data_i64(places)[i] == want, "%d of %d, variant %d of dtype %d", (int)k,
                                      (int)n, variant, (int)dtype);
                        const int64_t from = (line / inner * n + want) * inner + line % inner;
                        ck_assert_mem_eq((const char *)pleat_data(v) + (size_t)i * bytes, data + (size_t)from * bytes,
                                         bytes);
                    }
                }
                pleat_scope_end(scope);
            }
}
END_TEST

START_TEST(sums_that_run)
{
    pleat_seed(2);
    for (int kind = 0; kind < VIEW_KINDS; kind++)
        for (int dim = 0; dim < 3; dim++)
            for (int dtype = PLEAT_F32; dtype <= PLEAT_F64; dtype++) {
                const pleat_shape shape = PLEAT_SHAPE(3, 4, 37);
                pleat_tensor *x = random_view(shape, (pleat_dtype)dtype, kind), *y = pleat_cumsum(x, dim);
                for (int64_t n = 0; n < pleat_numel(y); n++) {
                    int64_t at[] = { n / (4 * 37), n / 37 % 4, n % 37 };
                    double want = 0;
                    for (int64_t last = at[dim], i = 0; i <= last; i++) {
                        at[dim] = i;
                        want += pleat_at(x, at);
                    }
                    ck_assert(fabs(element(y, shape, n) - want) <=
                              (dtype == PLEAT_F32 ? 1e-6 : 1e-14) * (1 + fabs(want)));
                }
            }
    const int64_t want[] = { 1, 3, 6 };
    ck_assert_mem_eq(pleat_data_i64(pleat_cumsum(pleat_arange(1, 4, 1, PLEAT_I64), 0)), want, sizeof want);
}
END_TEST

/* 37 lines one behind the other: to the bit what is summed in double in order, and the gradient from behind. */
START_TEST(lines_of_any_length)
{
    enum { LINES = 37 };
    pleat_seed(3);
    for (int64_t n = 1; n <= 40; n++)
        for (int dtype = PLEAT_F32; dtype <= PLEAT_F64; dtype++) {
            const pleat_shape shape = PLEAT_SHAPE(LINES, n);
            pleat_tensor *x = pleat_set_requires_grad(pleat_randn(shape, (pleat_dtype)dtype), true), *grad;
            pleat_tensor *y = pleat_cumsum(x, 1), *g = pleat_randn(shape, (pleat_dtype)dtype);
            ck_assert_ok(pleat_gradients(&y, 1, &x, 1, &(pleat_gradients_opts){ .grad_outputs = &g }, &grad));
            for (int64_t line = 0; line < LINES; line++) {
                double sum = 0, back = 0;
                for (int64_t i = 0; i < n; i++) {
                    const int64_t at = line * n + i, end = line * n + n - 1 - i;
                    sum += element(x, shape, at);
                    back += element(g, shape, end);
                    ck_assert_msg(element(y, shape, at) == (dtype == PLEAT_F32 ? (float)sum : sum) &&
                                      element(grad, shape, end) == (dtype == PLEAT_F32 ? (float)back : back),
                                  "place %d of line %d of %d", (int)i, (int)line, (int)n);
                }
            }
        }
}
END_TEST

static pleat_tensor *both(void *user)
{
    pleat_tensor *x = user, *v;
    pleat_set_grad(x, NULL);
    ck_assert_ok(pleat_topk(x, 3, 1, true, &v, NULL));
    ck_assert_ok(pleat_backward(pleat_sum(pleat_mul(v, v))));
    return pleat_add(pleat_cumsum(pleat_detach(x), 0), pleat_grad(x));
}

START_TEST(any_threads)
{
    same_for_any_threads(both, pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(40, 40), PLEAT_F32), true));
}
END_TEST

START_TEST(refusals)
{
    pleat_tensor *x = pleat_zeros(PLEAT_SHAPE(2, 3), PLEAT_F32), *v = x;
    ck_assert_int_eq(pleat_topk(x, 4, 1, true, &v, NULL), PLEAT_EINVAL);
    ck_assert_ptr_null(v);
    ck_assert_failed(PLEAT_EINVAL, "topk: k must be from 0 to 3, the places in dimension 1 of (2, 3), not 4");
    ck_assert_int_eq(pleat_topk(x, -1, 1, true, &v, NULL), PLEAT_EINVAL);
    ck_assert_failed(PLEAT_EINVAL, "not -1");
    ck_assert_int_eq(pleat_topk(x, 1, 2, true, &v, NULL), PLEAT_EINVAL);
    ck_assert_failed(PLEAT_EINVAL, "topk: dimension 2");
    ck_assert_int_eq(pleat_sort(x, 2, true, &v, NULL), PLEAT_EINVAL);
    ck_assert_failed(PLEAT_EINVAL, "sort: dimension 2");
    ck_assert_int_eq(pleat_sort(NULL, 0, true, &v, NULL), PLEAT_EINVAL);
    ck_assert_failed(PLEAT_EINVAL, "sort: the tensor is NULL");
    ck_assert_ptr_null(pleat_cumsum(x, -3));
    ck_assert_failed(PLEAT_EINVAL, "cumsum: dimension -3");
    ck_assert_ptr_null(pleat_cumsum(pleat_zeros(PLEAT_SHAPE(2), PLEAT_U8), 0));
    ck_assert_failed(PLEAT_EDTYPE, "cumsum: input 0 is uint8");
}
END_TEST

RUN_TESTS("topk", in_order, sort_is_all_of_it, lines_of_every_length, sums_that_run, lines_of_any_length, any_threads,
          refusals)
