/* Sums, means, norms and products through the public calls: every set of dimensions of views of every kind against a
 * naive loop in double; exactness; nothing; errors; the same bits whatever the threads; sum_to as the adjoint of
 * expand. */
#include "support/run.h"
#include "support/views.h"

#include <float.h>
#include <math.h>
#include <string.h>

static const pleat_shape shapes[] = {
    { 0, { 0 } },        { 1, { 1 } },          { 1, { 5000 } },          { 2, { 3, 5 } },    { 2, { 130, 70 } },
    { 3, { 2, 7, 40 } }, { 4, { 2, 3, 4, 5 } }, { 4, { 40, 2, 13, 11 } }, { 3, { 2, 0, 3 } }, { 5, { 2, 1, 3, 2, 2 } },
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

typedef struct {
    long double sum, sizes, squares, product; /* sizes: of the absolute values */
} naive_result;

/* Reduces x over the mask. Returns how many results there are. */
static int64_t naive(const pleat_tensor *x, unsigned mask, naive_result *result)
{
    const pleat_shape shape = pleat_shape_of(x);
    int64_t outputs = 1;
    for (int d = 0; d < shape.ndim; d++)
        if (!(mask & 1u << d))
            outputs *= shape.dim[d];
    for (int64_t o = 0; o < outputs; o++)
        result[o] = (naive_result){ .product = 1 };
    for (int64_t i = 0; i < pleat_numel(x); i++) {
        const int64_t o = result_of(shape, mask, i);
        const double v = element(x, shape, i);
        result[o].sum += v;
        result[o].squares += (long double)v * v;
        result[o].product *= v;
        result[o].sizes += fabsl(v);
    }
    return outputs;
}

START_TEST(forward)
{
    static naive_result results[12000];
    const pleat_shape shape = shapes[_i];
    const int64_t all = pleat_shape_numel(shape);
    for (unsigned mask = shape.ndim > 0; mask < 1u << shape.ndim || mask == 0; mask++)
        for (int kind = 0; kind < VIEW_KINDS; kind++)
            for (pleat_dtype dtype = PLEAT_F32; dtype <= PLEAT_F64; dtype++) {
                const pleat_scope scope = pleat_scope_begin();
                pleat_tensor *x = random_view(shape, dtype, kind);
                const reduction r = reduction_of(shape, mask);
                const pleat_dims dims = r.dims;
                const pleat_shape dropped = r.dropped, kept = r.kept;
                pleat_tensor *sum = pleat_sum_dims(x, dims, false), *mean = pleat_mean_dims(x, dims, true);
                pleat_tensor *prod = pleat_prod(x, dims, false), *norm = pleat_norm(x, 2, dims, false),
                             *sizes = pleat_norm(x, 1, dims, false);
                ck_assert_msg(sum && mean && prod && norm && sizes, "%s", pleat_error());
                ck_assert(pleat_shape_equal(pleat_shape_of(sum), dropped) && pleat_dtype_of(sum) == dtype);
                ck_assert(pleat_shape_equal(pleat_shape_of(prod), dropped) && pleat_dtype_of(prod) == dtype);
                ck_assert(pleat_shape_equal(pleat_shape_of(mean), kept) && pleat_is_contiguous(mean));
                pleat_tensor *back = pleat_sum_to(x, kept);
                ck_assert(pleat_shape_equal(pleat_shape_of(back), kept));
                const int64_t n = naive(x, mask, results);
                for (int64_t o = 0; o < n; o++) {
                    const double relative = dtype == PLEAT_F32 ? 1e-7 : 1e-14;
                    const double got = element(sum, dropped, o), want = (double)results[o].sum;
                    const double size = (double)results[o].sizes, tolerance = size * relative;
                    ck_assert_msg(fabs(got - want) <= tolerance, "%s, mask %u, kind %d: %.17g, not %.17g",
                                  pleat_shape_text(shape).text, mask, kind, got, want);
                    const double count = (double)all / (double)n, average = element(mean, kept, o);
                    ck_assert(all == 0 ? isnan(average) : fabs(average - want / count) <= tolerance / count);
                    ck_assert(fabs(element(back, kept, o) - want) <= tolerance);
                    const double length = (double)sqrtl(results[o].squares);
                    ck_assert(fabs(element(norm, dropped, o) - length) <= length * relative);
                    ck_assert(fabs(element(sizes, dropped, o) - size) <= tolerance);
                    const double product = (double)results[o].product, least = dtype == PLEAT_F32 ? FLT_MIN : DBL_MIN;
                    const double made = element(prod, dropped, o), most = dtype == PLEAT_F32 ? FLT_MAX : DBL_MAX;
                    ck_assert_msg(fabs(product) > most ? isinf(made)
                                                       : fabs(made - product) <= fabs(product) * 100 * relative + least,
                                  "%s, mask %u, kind %d: product %.17g, not %.17g", pleat_shape_text(shape).text, mask,
                                  kind, made, product);
                }
                ck_assert_ok(pleat_scope_end(scope));
            }
}
END_TEST

START_TEST(exactness)
{
    /* 10^8 ones in float32, one after the other they would stop at 2^24; no memory for them is needed */
    pleat_tensor *one = pleat_ones(PLEAT_SHAPE(1), PLEAT_F32);
    ck_assert(pleat_item(pleat_sum(pleat_expand(one, PLEAT_SHAPE(100000000)))) == 1e8);
    ck_assert(pleat_item(pleat_mean(pleat_expand(one, PLEAT_SHAPE(10000, 10000)))) == 1);
    ck_assert(pleat_item(pleat_sum(pleat_ones(PLEAT_SHAPE(20000003), PLEAT_F32))) == 20000003.0f);
    const float *columns =
        pleat_data_f32(pleat_sum_dims(pleat_full(PLEAT_SHAPE(200000, 33), 0.1, PLEAT_F32), PLEAT_DIMS(0), 0));
    for (int i = 0; i < 33; i++)
        ck_assert(columns[i] == (float)(200000 * (double)0.1f));
    /* float64: far below what adding up in order would lose */
    ck_assert(fabs(pleat_item(pleat_sum(pleat_full(PLEAT_SHAPE(1000000), 0.1, PLEAT_F64))) - 1e5) < 1e-9);
}
END_TEST

START_TEST(nothing)
{
    pleat_tensor *x = pleat_zeros(PLEAT_SHAPE(0, 3), PLEAT_F32);
    ck_assert(pleat_item(pleat_sum(x)) == 0 && isnan(pleat_item(pleat_mean(x))));
    const float *rows = pleat_data_f32(pleat_sum_dims(x, PLEAT_DIMS(0), false));
    ck_assert(rows[0] == 0 && rows[2] == 0);
    ck_assert_int_eq(pleat_numel(pleat_sum_dims(x, PLEAT_DIMS(1), false)), 0);
    ck_assert(isnan(pleat_data_f32(pleat_mean_dims(x, PLEAT_DIMS(0), false))[1]));
}
END_TEST

/* What is made of no element, or of counts, has a gradient all the same: none, or zeros. */
START_TEST(constants_have_a_history)
{
    pleat_tensor *none = pleat_set_requires_grad(pleat_zeros(PLEAT_SHAPE(2, 0), PLEAT_F64), true);
    const double left[3] = { 1, -(double)INFINITY, 0 };
    for (int i = 0; i < 3; i++) {
        pleat_tensor *y = i == 0   ? pleat_prod(none, PLEAT_DIMS(1), false)
                          : i == 1 ? pleat_logsumexp(none, PLEAT_DIMS(1), false)
                                   : pleat_norm(none, 0, PLEAT_DIMS(1), false);
        ck_assert(pleat_equal(y, pleat_full(PLEAT_SHAPE(2), left[i], PLEAT_F64)));
        ck_assert_ok(pleat_backward(pleat_sum(y)));
        ck_assert(pleat_shape_equal(pleat_shape_of(pleat_grad(none)), PLEAT_SHAPE(2, 0)));
    }
    pleat_tensor *x = pleat_from_data((double[]){ 1, 0, -3, (double)NAN }, PLEAT_SHAPE(4), PLEAT_F64);
    pleat_tensor *count = pleat_norm(pleat_set_requires_grad(x, true), 0, PLEAT_DIMS(), false);
    ck_assert_double_eq(pleat_item(count), 3);
    ck_assert_ok(pleat_backward(count));
    ck_assert(pleat_equal(pleat_grad(x), pleat_zeros(PLEAT_SHAPE(4), PLEAT_F64)));
}
END_TEST

START_TEST(integers)
{
    const int64_t v[] = { INT64_C(1) << 60, 3, -5, 7, 1, 2 };
    pleat_tensor *x = pleat_from_data(v, PLEAT_SHAPE(2, 3), PLEAT_I64);
    ck_assert(pleat_data_i64(pleat_sum(x))[0] == (INT64_C(1) << 60) + 8);
    ck_assert(pleat_data_i64(pleat_sum_dims(x, PLEAT_DIMS(0), false))[1] == 4);
    ck_assert(pleat_data_i64(pleat_sum_dims(x, PLEAT_DIMS(1), false))[1] == 10);
    ck_assert(pleat_data_i64(pleat_prod(x, PLEAT_DIMS(1), false))[1] == 14);
    ck_assert(pleat_data_i64(pleat_prod(x, PLEAT_DIMS(0), false))[2] == -10);
    ck_assert_ptr_null(pleat_mean(x));
    ck_assert_failed(PLEAT_EDTYPE, "mean: input 0 is int64");
}
END_TEST

START_TEST(errors)
{
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(2, 3), PLEAT_F32);
    ck_assert_ptr_null(pleat_sum_dims(x, PLEAT_DIMS(2), false));
    ck_assert_failed(PLEAT_EINVAL, "sum: dimension 2 is not in -2 to 1");
    ck_assert_ptr_null(pleat_mean_dims(x, PLEAT_DIMS(1, -1), false));
    ck_assert_failed(PLEAT_EINVAL, "mean: dimension -1 is named twice");
    ck_assert_ptr_null(pleat_sum_to(x, PLEAT_SHAPE(2, 2)));
    ck_assert_failed(PLEAT_ESHAPE, "sum_to: shapes (2, 3) and (2, 2)");
    ck_assert_ptr_null(pleat_sum_to(x, PLEAT_SHAPE(4, 2, 3)));
    ck_assert_failed(PLEAT_ESHAPE, "sum_to: shape (4, 2, 3) does not broadcast to (2, 3)");
    ck_assert_ptr_null(pleat_sum_to(x, PLEAT_SHAPE(-1)));
    ck_assert_failed(PLEAT_ESHAPE, "sum_to");
    ck_assert_ptr_null(pleat_sum(NULL));
    ck_assert_failed(PLEAT_EINVAL, "sum: input 0 is NULL");
    ck_assert_ptr_eq(pleat_sum_to(x, PLEAT_SHAPE(2, 3)), x);
}
END_TEST

START_TEST(threads)
{
    pleat_tensor *x = pleat_randn(PLEAT_SHAPE(30, 40, 50), PLEAT_F32), *d = pleat_cast(x, PLEAT_F64),
                 *first[11] = { 0 };
    pleat_tensor *positive = pleat_affine(pleat_rand(PLEAT_SHAPE(60000), PLEAT_F64), 0.02, 0.99);
    for (int n = 1; n <= 16; n += n < 3 ? 1 : n == 3 ? 2 : 11) {
        ck_assert_ok(pleat_set_threads(n));
        pleat_parallel_limit_grain(n == 1 ? 0 : 1);
        pleat_tensor *y[11] = { pleat_sum(x),
                                pleat_sum_dims(x, PLEAT_DIMS(0), false),
                                pleat_sum_dims(x, PLEAT_DIMS(0, 2), false),
                                pleat_mean_dims(d, PLEAT_DIMS(1), false),
                                pleat_mean(d),
                                pleat_sum_to(d, PLEAT_SHAPE(40, 1)),
                                pleat_sum_dims(pleat_transpose(d, 0, 2), PLEAT_DIMS(0, 1), false),
                                pleat_prod(positive, PLEAT_DIMS(), false),
                                pleat_prod(x, PLEAT_DIMS(0), false),
                                pleat_norm(x, 2, PLEAT_DIMS(), false),
                                pleat_norm(d, 1, PLEAT_DIMS(1, 2), false) };
        pleat_parallel_limit_grain(0);
        for (int k = 0; k < 11; k++) {
            if (n == 1)
                first[k] = y[k];
            ck_assert(same_bits(first[k], y[k]));
        }
    }
#ifdef _OPENMP
    ck_assert_int_gt(pleat_parallel_workers_seen(), 1);
#endif
}
END_TEST

/* <sum_to(x), y> = <x, expand(y)> */
START_TEST(adjoint)
{
    static const pleat_shape to[] = {
        { 3, { 4, 3, 1 } }, { 2, { 1, 5 } }, { 0, { 0 } }, { 1, { 1 } }, { 3, { 1, 3, 5 } }
    };
    const pleat_shape shape = PLEAT_SHAPE(4, 3, 5);
    for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
        pleat_tensor *x = pleat_randn(shape, PLEAT_F64), *y = pleat_randn(to[i], PLEAT_F64);
        const double left = pleat_item(pleat_sum(pleat_mul(pleat_sum_to(x, to[i]), y)));
        const double right = pleat_item(pleat_sum(pleat_mul(x, pleat_expand(y, shape))));
        ck_assert_double_eq_tol(left, right, 1e-12);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reductions");
    TCase *all = tcase_create("reductions");
    tcase_set_timeout(all, 120);
    tcase_add_loop_test(all, forward, 0, SHAPES);
    tcase_add_test(all, exactness);
    tcase_add_test(all, nothing);
    tcase_add_test(all, constants_have_a_history);
    tcase_add_test(all, integers);
    tcase_add_test(all, errors);
    tcase_add_test(all, threads);
    tcase_add_test(all, adjoint);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
