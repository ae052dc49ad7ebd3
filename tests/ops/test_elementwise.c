/* Elementwise ops through the public calls: forward against C's own functions in double, on views of every kind and
 * shapes of every kind; special values; errors; the same bits whatever the threads. */
#include "support/run.h"
#include "support/views.h"

#include <math.h>
#include <string.h>

typedef struct {
    const char *name;
    pleat_tensor *(*op)(pleat_tensor *x);
    double (*want)(double x);
    double absolute; /* inputs are made positive where it is 1 */
} unary;

#define UNARY(name, call, expression)                                                                                  \
    static pleat_tensor *name##_op(pleat_tensor *x)                                                                    \
    {                                                                                                                  \
        return call;                                                                                                   \
    }                                                                                                                  \
    static double name##_want(double x)                                                                                \
    {                                                                                                                  \
        return expression;                                                                                             \
    }
UNARY(affine, pleat_affine(x, 1.5, -0.25), 1.5 * x - 0.25)
UNARY(add_scalar, pleat_add_scalar(x, 3), x + 3)
UNARY(mul_scalar, pleat_mul_scalar(x, -0.125), x * -0.125)
UNARY(neg, pleat_neg(x), -x)
UNARY(exp, pleat_exp(x), exp(x))
UNARY(log, pleat_log(x), log(x))
UNARY(sqrt, pleat_sqrt(x), sqrt(x))
UNARY(pow_0, pleat_pow(x, 0), pow(x, 0))
UNARY(pow_1, pleat_pow(x, 1), x)
UNARY(pow_2, pleat_pow(x, 2), x *x)
UNARY(pow_3, pleat_pow(x, 3), x *x *x)
UNARY(pow_m1, pleat_pow(x, -1), 1 / x)
UNARY(pow_half, pleat_pow(x, 0.5), pow(x, 0.5))
UNARY(pow_mhalf, pleat_pow(x, -0.5), pow(x, -0.5))
UNARY(pow_4, pleat_pow(x, 4), pow(x, 4))
UNARY(pow_1_7, pleat_pow(x, 1.7), pow(x, 1.7))
UNARY(pow_m2, pleat_pow(x, -2), pow(x, -2))
UNARY(clamp, pleat_clamp(x, -0.5, 0.75), x<-0.5 ? -0.5 : x> 0.75 ? 0.75 : x)
UNARY(clamp_below, pleat_clamp(x, 0.25, (double)INFINITY), x < 0.25 ? 0.25 : x)
UNARY(clamp_above, pleat_clamp(x, -(double)INFINITY, 0.25), x > 0.25 ? 0.25 : x)
UNARY(relu, pleat_relu(x), x < 0 ? 0 : x)
UNARY(clone, pleat_clone(x), x)
UNARY(contiguous, pleat_contiguous(x), x)

#define ENTRY(name)                                                                                                    \
    {                                                                                                                  \
#name, name##_op, name##_want, 0                                                                               \
    }
static const unary unaries[] = {
    ENTRY(affine),      ENTRY(add_scalar),  ENTRY(mul_scalar), ENTRY(neg),      ENTRY(exp),        ENTRY(log),
    ENTRY(sqrt),        ENTRY(pow_0),       ENTRY(pow_1),      ENTRY(pow_2),    ENTRY(pow_3),      ENTRY(pow_m1),
    ENTRY(pow_4),       ENTRY(pow_1_7),     ENTRY(pow_m2),     ENTRY(pow_half), ENTRY(pow_mhalf),  ENTRY(clamp),
    ENTRY(clamp_below), ENTRY(clamp_above), ENTRY(relu),       ENTRY(clone),    ENTRY(contiguous),
};
enum { UNARIES = sizeof unaries / sizeof *unaries };

typedef struct {
    const char *name;
    pleat_tensor *(*op)(pleat_tensor *a, pleat_tensor *b);
    double (*want)(double a, double b);
} binary;

#define BINARY(name, expression)                                                                                       \
    static double name##_want(double a, double b)                                                                      \
    {                                                                                                                  \
        return expression;                                                                                             \
    }
BINARY(add, a + b)
BINARY(add_relu, a + b < 0 ? 0 : a + b)
BINARY(sub, a - b)
BINARY(mul, a *b)
BINARY(div, a / b)

static const binary binaries[] = {
    { "add", pleat_add, add_want }, { "add_relu", pleat_add_relu, add_relu_want },
    { "sub", pleat_sub, sub_want }, { "mul", pleat_mul, mul_want },
    { "div", pleat_div, div_want },
};
enum { BINARIES = sizeof binaries / sizeof *binaries };

static const pleat_shape shapes[] = {
    { 0, { 0 } },
    { 1, { 1 } },
    { 1, { 37 } },
    { 2, { 3, 5 } },
    { 2, { 70, 66 } },
    { 3, { 2, 7, 4 } },
    { 4, { 2, 3, 4, 5 } },
    { 4, { 1, 3, 1, 2 } },
    { 1, { 0 } },
    { 3, { 2, 0, 3 } },
    { 5, { 2, 1, 3, 2, 2 } },
    { 8, { 2, 1, 2, 1, 2, 1, 2, 3 } },
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static bool close(double got, double want, pleat_dtype dtype)
{
    if (isnan(want) || isinf(want))
        return isnan(want) ? isnan(got) : got == want;
    return fabs(got - want) <= (dtype == PLEAT_F32 ? 1e-6 : 1e-14) * (1 + fabs(want));
}

START_TEST(forward_unary)
{
    const unary *u = &unaries[_i];
    for (int s = 0; s < SHAPES; s++)
        for (int kind = 0; kind < VIEW_KINDS; kind++)
            for (pleat_dtype dtype = PLEAT_F32; dtype <= PLEAT_F64; dtype++) {
                const pleat_scope scope = pleat_scope_begin();
                pleat_tensor *x = random_view(shapes[s], dtype, kind), *y = u->op(x);
                ck_assert_msg(y != NULL, "%s: %s", u->name, pleat_error());
                ck_assert(pleat_is_contiguous(y) && pleat_dtype_of(y) == dtype);
                ck_assert(pleat_shape_equal(pleat_shape_of(y), shapes[s]));
                for (int64_t i = 0; i < pleat_numel(y); i++) {
                    const double got = element(y, shapes[s], i), want = u->want(element(x, shapes[s], i));
                    ck_assert_msg(close(got, want, dtype), "%s of %g is %g, not %g", u->name, element(x, shapes[s], i),
                                  got, want);
                }
                ck_assert_ok(pleat_scope_end(scope));
            }
}
END_TEST

/* Every pair of these that broadcasts is a case; the others are errors. */
static const pleat_shape sides[] = {
    { 0, { 0 } },       { 1, { 1 } },          { 1, { 5 } },       { 2, { 1, 5 } },    { 2, { 3, 1 } },
    { 2, { 3, 5 } },    { 2, { 1, 1 } },       { 3, { 4, 1, 5 } }, { 3, { 4, 3, 1 } }, { 3, { 4, 3, 5 } },
    { 3, { 1, 3, 1 } }, { 4, { 2, 1, 3, 1 } }, { 1, { 0 } },       { 3, { 0, 3, 5 } }, { 2, { 80, 5 } },
    { 2, { 1, 80 } },   { 2, { 5, 80 } },      { 1, { 80 } },
};
enum { SIDES = sizeof sides / sizeof *sides };

START_TEST(forward_binary)
{
    const binary *f = &binaries[_i];
    int fitting = 0;
    for (int p = 0; p < SIDES * SIDES; p++)
        for (pleat_dtype dtype = PLEAT_F32; dtype <= PLEAT_F64; dtype++) {
            const pleat_scope scope = pleat_scope_begin();
            pleat_tensor *a = random_view(sides[p % SIDES], dtype, p % VIEW_KINDS);
            pleat_tensor *b = random_view(sides[p / SIDES], dtype, p / 7 % VIEW_KINDS);
            pleat_shape shape = { 0 };
            if (pleat_broadcast(sides[p % SIDES], sides[p / SIDES], &shape) != PLEAT_OK) {
                pleat_error_clear();
                ck_assert_ptr_null(f->op(a, b));
                ck_assert_failed(PLEAT_ESHAPE, pleat_shape_text(sides[p % SIDES]).text);
                ck_assert_ptr_nonnull(strstr(pleat_error(), pleat_shape_text(sides[p / SIDES]).text));
                ck_assert_ptr_nonnull(strstr(pleat_error(), f->name));
                ck_assert_ok(pleat_scope_end(scope));
                continue;
            }
            fitting++;
            pleat_tensor *y = f->op(a, b);
            ck_assert_msg(y != NULL, "%s: %s", f->name, pleat_error());
            ck_assert(pleat_shape_equal(pleat_shape_of(y), shape) && pleat_is_contiguous(y));
            for (int64_t i = 0; i < pleat_numel(y); i++) {
                const double want = f->want(element(a, shape, i), element(b, shape, i));
                ck_assert_msg(close(element(y, shape, i), want, dtype), "%s %s %s at %d: %g, not %g", f->name,
                              pleat_shape_text(sides[p % SIDES]).text, pleat_shape_text(sides[p / SIDES]).text, (int)i,
                              element(y, shape, i), want);
            }
            ck_assert_ok(pleat_scope_end(scope));
        }
    ck_assert_int_gt(fitting, SIDES * SIDES / 2);
}
END_TEST

/* NaN goes through, and C's pow is followed at the edges. */
START_TEST(special_values)
{
    const double values[] = { 0.0, -0.0, 1, -1, 2, -2, 0.5, -0.5, 1e300, -1e300, INFINITY, -INFINITY, NAN };
    const double exponents[] = { 0, 1, 2, 3, -1, 0.5, -0.5, 4, -3, 1.5, -1.5, 1e10, -INFINITY, INFINITY, NAN };
    const int64_t n = sizeof values / sizeof *values;
    pleat_tensor *x = pleat_from_data(values, PLEAT_SHAPE(n), PLEAT_F64);
    for (size_t e = 0; e < sizeof exponents / sizeof *exponents; e++) {
        const double *got = pleat_data_f64(pleat_pow(x, exponents[e]));
        for (int64_t i = 0; i < n; i++) {
            const double want = pow(values[i], exponents[e]);
            ck_assert_msg(close(got[i], want, PLEAT_F64) && (isnan(want) || !signbit(want) == !signbit(got[i])),
                          "%g to the power %g is %g, not %g", values[i], exponents[e], got[i], want);
        }
    }
    ck_assert(isnan(pleat_data_f64(pleat_relu(x))[n - 1]) && isnan(pleat_data_f64(pleat_clamp(x, -1, 1))[n - 1]));
    ck_assert(isnan(pleat_item(pleat_clamp(pleat_scalar(NAN, PLEAT_F32), 2, 2))));
    pleat_tensor *at = pleat_from_data((double[]){ -1, 0, 0.5, 1, 2 }, PLEAT_SHAPE(5), PLEAT_F64);
    pleat_backward(pleat_sum(pleat_clamp(pleat_set_requires_grad(at, true), 0, 1)));
    ck_assert(pleat_equal(pleat_grad(at), pleat_from_data((double[]){ 0, 0, 1, 0, 0 }, PLEAT_SHAPE(5), PLEAT_F64)));
    ck_assert(pleat_item(pleat_clamp(pleat_scalar(INFINITY, PLEAT_F32), -INFINITY, INFINITY)) == INFINITY);
    ck_assert(signbit(pleat_item(pleat_mul_scalar(pleat_scalar(-0.0, PLEAT_F64), 1))));
    ck_assert(signbit(pleat_item(pleat_neg(pleat_scalar(0, PLEAT_F64)))));
}
END_TEST

START_TEST(errors)
{
    pleat_tensor *a = pleat_ones(PLEAT_SHAPE(2, 3), PLEAT_F32), *b = pleat_ones(PLEAT_SHAPE(2, 3), PLEAT_F64);
    pleat_tensor *i = pleat_ones(PLEAT_SHAPE(2, 3), PLEAT_I64);
    ck_assert_ptr_null(pleat_add(a, b));
    ck_assert_failed(PLEAT_EDTYPE, "add: input 0 is float32 and input 1 is float64");
    ck_assert_ptr_null(pleat_mul(i, i));
    ck_assert_failed(PLEAT_EDTYPE, "mul: input 0 is int64");
    ck_assert_ptr_null(pleat_relu(i));
    ck_assert_failed(PLEAT_EDTYPE, "relu: input 0 is int64");
    ck_assert_ptr_null(pleat_exp(NULL));
    ck_assert_failed(PLEAT_EINVAL, "exp: input 0 is NULL");
    ck_assert_ptr_null(pleat_clamp(a, 2, 1));
    ck_assert_failed(PLEAT_EINVAL, "clamp: low must be at most high: 2 and 1");
    ck_assert_ptr_null(pleat_clamp(a, NAN, 1));
    ck_assert_failed(PLEAT_EINVAL, "clamp");
    ck_assert_ptr_null(pleat_cast(a, (pleat_dtype)9));
    ck_assert_failed(PLEAT_EDTYPE, "cast");
    ck_assert_ptr_null(pleat_clone(NULL));
    ck_assert_failed(PLEAT_EINVAL, "clone: input 0 is NULL");
    ck_assert_ptr_null(pleat_contiguous(NULL));
    ck_assert_failed(PLEAT_EINVAL, "NULL");
    /* nothing computes while an error is pending, not even what would return its input */
    ck_assert_ptr_null(pleat_add(a, b));
    ck_assert_ptr_null(pleat_contiguous(a));
    ck_assert_ptr_null(pleat_cast(a, PLEAT_F32));
    ck_assert_failed(PLEAT_EDTYPE, "add");
}
END_TEST

START_TEST(conversions)
{
    const double values[] = { -1.75, 0, 2.5, 300, NAN, 1e30 };
    pleat_tensor *x = pleat_from_data(values, PLEAT_SHAPE(6), PLEAT_F64);
    ck_assert_ptr_eq(pleat_cast(x, PLEAT_F64), x);
    ck_assert_ptr_eq(pleat_contiguous(x), x);
    ck_assert(!pleat_shares_storage(pleat_clone(x), x));
    const float *f = pleat_data_f32(pleat_cast(x, PLEAT_F32));
    ck_assert(f[0] == -1.75f && f[2] == 2.5f && f[3] == 300 && isnan(f[4]) && f[5] == 1e30f);
    const int64_t *i = pleat_data_i64(pleat_cast(x, PLEAT_I64));
    ck_assert(i[0] == -1 && i[2] == 2 && i[3] == 300 && i[4] == 0 && i[5] == INT64_MAX);
    const uint8_t *u = pleat_data_u8(pleat_cast(x, PLEAT_U8));
    ck_assert(u[0] == 0 && u[2] == 2 && u[3] == 255 && u[4] == 0 && u[5] == 255);
    /* the gradient comes back in the input's dtype */
    pleat_tensor *w = pleat_set_requires_grad(pleat_ones(PLEAT_SHAPE(3), PLEAT_F32), true);
    ck_assert_ok(pleat_backward(pleat_sum(pleat_mul(pleat_cast(w, PLEAT_F64), pleat_arange(0, 3, 1, PLEAT_F64)))));
    ck_assert(pleat_data_f32(pleat_grad(w))[2] == 2);
}
END_TEST

START_TEST(threads)
{
    pleat_tensor *a = pleat_randn(PLEAT_SHAPE(4, 5, 70), PLEAT_F32), *b = pleat_randn(PLEAT_SHAPE(5, 1), PLEAT_F32);
    pleat_tensor *c = pleat_transpose(pleat_randn(PLEAT_SHAPE(4, 70, 5), PLEAT_F32), 1, 2);
    pleat_tensor *d = pleat_transpose(a, 1, 2), *first[5] = { 0 };
    for (int n = 1; n <= 16; n += n < 3 ? 1 : n == 3 ? 2 : 11) {
        ck_assert_ok(pleat_set_threads(n));
        pleat_parallel_limit_grain(n == 1 ? 0 : 1);
        pleat_tensor *y[5] = { pleat_div(a, b), pleat_exp(c), pleat_pow(a, 2.5), pleat_add(c, a), pleat_mul(d, d) };
        pleat_parallel_limit_grain(0);
        for (int k = 0; k < 5; k++) {
            if (n == 1)
                first[k] = y[k];
            ck_assert(same_bits(first[k], y[k]));
        }
    }
    ck_assert(same_bits(first[4], pleat_contiguous(pleat_transpose(pleat_mul(a, a), 1, 2))));
#ifdef _OPENMP
    ck_assert_int_gt(pleat_parallel_workers_seen(), 1);
#endif
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("elementwise ops");
    TCase *all = tcase_create("elementwise");
    tcase_set_timeout(all, 120);
    tcase_add_loop_test(all, forward_unary, 0, UNARIES);
    tcase_add_loop_test(all, forward_binary, 0, BINARIES);
    tcase_add_test(all, special_values);
    tcase_add_test(all, errors);
    tcase_add_test(all, conversions);
    tcase_add_test(all, threads);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
