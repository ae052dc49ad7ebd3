/* Activations and their like: forward in both types, on views of every kind, against C's functions in double; values,
 * gradients and second derivatives against PyTorch's (tests/golden/activations.py). */
#include <math.h>

#include "golden/activations.h"
#include "support/run.h"
#include "support/views.h"

#include <math.h>
#include <string.h>

typedef struct {
    const char *name; /* as in the golden numbers */
    pleat_tensor *(*op)(pleat_tensor *x);
    double (*want)(double x);
} function;

#define FUNCTION(name, call, expression)                                                                               \
    static pleat_tensor *name##_op(pleat_tensor *x)                                                                    \
    {                                                                                                                  \
        return call;                                                                                                   \
    }                                                                                                                  \
    static double name##_want(double x)                                                                                \
    {                                                                                                                  \
        return expression;                                                                                             \
    }
static double six(double x)
{
    return fmin(fmax(x + 3, 0), 6) / 6;
}
FUNCTION(relu, pleat_relu(x), x > 0 ? x : 0)
FUNCTION(leaky_relu, pleat_leaky_relu(x, 0.125), x > 0 ? x : 0.125 * x)
FUNCTION(elu, pleat_elu(x, 0.75), x > 0 ? x : 0.75 * expm1(x))
FUNCTION(selu, pleat_selu(x), 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * expm1(x)))
FUNCTION(sigmoid, pleat_sigmoid(x), 1 / (1 + exp(-x)))
FUNCTION(tanh, pleat_tanh(x), tanh(x))
FUNCTION(silu, pleat_silu(x), x / (1 + exp(-x)))
FUNCTION(gelu, pleat_gelu(x), x * 0.5 * (1 + erf(x / sqrt(2))))
FUNCTION(gelu_tanh, pleat_gelu_tanh(x), 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x))))
FUNCTION(mish, pleat_mish(x), x *tanh(log1p(exp(x))))
FUNCTION(softplus, pleat_softplus(x, NULL), x > 20 ? x : log1p(exp(x)))
FUNCTION(softplus_sharp, pleat_softplus(x, &(pleat_softplus_opts){ .beta = 2, .threshold = 4.5 }),
         2 * x > 4.5 ? x : log1p(exp(2 * x)) / 2)
FUNCTION(logsigmoid, pleat_logsigmoid(x), -log1p(exp(-x)))
FUNCTION(softsign, pleat_softsign(x), x / (1 + fabs(x)))
FUNCTION(hardtanh, pleat_hardtanh(x, -1.5, 2), fmin(fmax(x, -1.5), 2))
FUNCTION(hardsigmoid, pleat_hardsigmoid(x), six(x))
FUNCTION(hardswish, pleat_hardswish(x), x *six(x))
FUNCTION(erf, pleat_erf(x), erf(x))
FUNCTION(sin, pleat_sin(x), sin(x))
FUNCTION(cos, pleat_cos(x), cos(x))
FUNCTION(abs, pleat_abs(x), fabs(x))
FUNCTION(sign, pleat_sign(x), (x > 0) - (x < 0))
FUNCTION(floor, pleat_floor(x), floor(x))
FUNCTION(round, pleat_round(x), nearbyint(x))
FUNCTION(square, pleat_square(x), x *x)
FUNCTION(exp, pleat_exp(x), exp(x))
FUNCTION(pow_2_5, pleat_pow(x, 2.5), pow(x, 2.5))
FUNCTION(pow_3, pleat_pow(x, 3), x *x *x)
FUNCTION(log, pleat_log(x), log(x))
FUNCTION(sqrt, pleat_sqrt(x), sqrt(x))
FUNCTION(rsqrt, pleat_rsqrt(x), 1 / sqrt(x))
FUNCTION(reciprocal, pleat_reciprocal(x), 1 / x)

#define ENTRY(name)                                                                                                    \
    {                                                                                                                  \
#name, name##_op, name##_want                                                                                  \
    }
static const function functions[] = {
    ENTRY(relu),       ENTRY(leaky_relu), ENTRY(elu),       ENTRY(selu),        ENTRY(sigmoid),   ENTRY(tanh),
    ENTRY(silu),       ENTRY(gelu),       ENTRY(gelu_tanh), ENTRY(mish),        ENTRY(softplus),  ENTRY(softplus_sharp),
    ENTRY(logsigmoid), ENTRY(softsign),   ENTRY(hardtanh),  ENTRY(hardsigmoid), ENTRY(hardswish), ENTRY(erf),
    ENTRY(sin),        ENTRY(cos),        ENTRY(abs),       ENTRY(sign),        ENTRY(floor),     ENTRY(round),
    ENTRY(square),     ENTRY(exp),        ENTRY(pow_2_5),   ENTRY(pow_3),       ENTRY(log),       ENTRY(sqrt),
    ENTRY(rsqrt),      ENTRY(reciprocal),
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

static bool close(double got, double want, double tolerance)
{
    if (isnan(want) || isinf(want))
        return isnan(want) ? isnan(got) : got == want;
    return fabs(got - want) <= tolerance * (1 + fabs(want));
}

START_TEST(forward)
{
    static const pleat_shape shapes[] = { { 0, { 0 } }, { 2, { 7, 90 } }, { 3, { 4, 5, 3 } }, { 2, { 3, 0 } } };
    const function *f = &functions[_i];
    for (int s = 0; s < 4; s++)
        for (int kind = 0; kind < VIEW_KINDS; kind++)
            for (pleat_dtype dtype = PLEAT_F32; dtype <= PLEAT_F64; dtype++) {
                const pleat_scope scope = pleat_scope_begin();
                pleat_tensor *x = random_view(shapes[s], dtype, kind), *y = f->op(x);
                ck_assert_msg(y != NULL, "%s: %s", f->name, pleat_error());
                ck_assert(pleat_dtype_of(y) == dtype && pleat_shape_equal(pleat_shape_of(y), shapes[s]));
                for (int64_t i = 0; i < pleat_numel(y); i++) {
                    const double v = element(x, shapes[s], i), got = element(y, shapes[s], i), want = f->want(v);
                    ck_assert_msg(close(got, want, dtype == PLEAT_F32 ? 1e-6 : 1e-14), "%s of %g is %.17g, not %.17g",
                                  f->name, v, got, want);
                }
                ck_assert_ok(pleat_scope_end(scope));
            }
}
END_TEST

static void compare(const char *name, const char *what, const pleat_tensor *got, const double *want)
{
    const double *p = pleat_data_f64(got);
    ck_assert_msg(p != NULL, "%s: %s", name, pleat_error());
    for (int i = 0; i < GOLDEN_SIZE; i++)
        ck_assert_msg(close(p[i], want[i], 1e-13), "%s: the %s at %g is %.17g, not %.17g", name, what, golden_x[i],
                      p[i], want[i]);
}

START_TEST(golden_numbers)
{
    const function *f = &functions[_i];
    int g = 0;
    while (strcmp(golden[g].name, f->name) != 0)
        ck_assert_int_lt(++g, (int)(sizeof golden / sizeof *golden));
    pleat_tensor *x = pleat_set_requires_grad(pleat_from_data(golden_x, PLEAT_SHAPE(GOLDEN_SIZE), PLEAT_F64), true);
    pleat_tensor *y = f->op(x), *sum = pleat_sum(y), *first = NULL, *recorded = NULL, *second = NULL;
    compare(f->name, "value", y, golden[g].value);
    ck_assert_ok(
        pleat_gradients(&sum, 1, &x, 1, &(pleat_gradients_opts){ .keep = true, .allow_unused = true }, &first));
    ck_assert_ok(
        pleat_gradients(&sum, 1, &x, 1, &(pleat_gradients_opts){ .record = true, .allow_unused = true }, &recorded));
    first = first ? first : pleat_zeros(PLEAT_SHAPE(GOLDEN_SIZE), PLEAT_F64); /* sign and its like */
    recorded = recorded ? recorded : first;
    compare(f->name, "gradient", first, golden[g].first);
    compare(f->name, "recorded gradient", recorded, golden[g].first);
    if (pleat_requires_grad(recorded)) {
        sum = pleat_sum(recorded);
        ck_assert_ok(pleat_gradients(&sum, 1, &x, 1, &(pleat_gradients_opts){ .allow_unused = true }, &second));
    }
    compare(f->name, "second derivative", second ? second : pleat_zeros(PLEAT_SHAPE(GOLDEN_SIZE), PLEAT_F64),
            golden[g].second);
}
END_TEST

/* Far out, where intermediate results overflow. */
START_TEST(extremes)
{
    const float far[] = { -INFINITY, -3e38f, -1e4f, -200, 200, 1e4f, 3e38f, INFINITY, NAN };
    pleat_tensor *x = pleat_from_data(far, PLEAT_SHAPE(9), PLEAT_F32);
    static const struct {
        pleat_tensor *(*op)(pleat_tensor *);
        float low, high; /* at the finite ones; high is multiplied by x where it is 2 */
    } ends[] = { { sigmoid_op, 0, 1 }, { tanh_op, -1, 1 },    { erf_op, -1, 1 }, { elu_op, -0.75f, 2 },
                 { silu_op, 0, 2 },    { gelu_op, 0, 2 },     { mish_op, 0, 2 }, { softplus_op, 0, 2 },
                 { relu_op, 0, 2 },    { softsign_op, -1, 1 } };
    for (size_t e = 0; e < sizeof ends / sizeof *ends; e++) {
        const float *y = pleat_data_f32(ends[e].op(x));
        for (int i = 1; i < 8; i++) {
            const float want = i < 4                         ? ends[e].low
                               : i == 7 && ends[e].high == 2 ? INFINITY
                               : ends[e].high == 2           ? far[i]
                                                             : 1;
            ck_assert_msg((ends[e].op == softsign_op && (i == 3 || i == 4 || i == 7)) || fabsf(y[i] - want) <= 2e-4f ||
                              y[i] == want,
                          "function %d of %g is %g", (int)e, (double)far[i], (double)y[i]);
        }
        ck_assert(isnan(y[8]));
    }
    ck_assert(pleat_data_f32(pleat_logsigmoid(x))[1] == -3e38f && pleat_data_f32(pleat_logsigmoid(x))[6] == 0);
}
END_TEST

START_TEST(prelu)
{
    const float data[] = { -2, 1, -4, 3, -6, -1 };
    pleat_tensor *x = pleat_from_data(data, PLEAT_SHAPE(1, 3, 2), PLEAT_F32);
    pleat_tensor *w = pleat_from_data((float[]){ 0.5f, -1, 2 }, PLEAT_SHAPE(3), PLEAT_F32);
    const float *y = pleat_data_f32(pleat_prelu(x, w)), want[] = { -1, 1, 4, 3, -12, -2 };
    for (int i = 0; i < 6; i++)
        ck_assert(y[i] == want[i]);
    const float *one = pleat_data_f32(pleat_prelu(x, pleat_full(PLEAT_SHAPE(1), 0.25, PLEAT_F32)));
    ck_assert(one[0] == -0.5f && one[1] == 1 && one[4] == -1.5f);
    ck_assert(pleat_item(pleat_prelu(pleat_scalar(-2, PLEAT_F32), pleat_full(PLEAT_SHAPE(1), 0.25, PLEAT_F32))) ==
              -0.5);
    ck_assert_ptr_null(pleat_prelu(x, pleat_ones(PLEAT_SHAPE(2), PLEAT_F32)));
    ck_assert_failed(PLEAT_ESHAPE, "prelu: weight (2,) must have one element, or one for each channel of (1, 3, 2)");
    ck_assert_ptr_null(pleat_prelu(x, NULL));
    ck_assert_failed(PLEAT_EINVAL, "prelu: input 1 is NULL");
}
END_TEST

START_TEST(errors)
{
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(2), PLEAT_F32);
    ck_assert_ptr_null(pleat_hardtanh(x, 1, -1));
    ck_assert_failed(PLEAT_EINVAL, "hardtanh: low must be at most high: 1 and -1");
    ck_assert_ptr_null(pleat_softplus(x, &(pleat_softplus_opts){ .beta = -1 }));
    ck_assert_failed(PLEAT_EINVAL, "softplus: beta must be above 0, not -1");
    ck_assert_ptr_null(pleat_gelu(pleat_ones(PLEAT_SHAPE(2), PLEAT_I64)));
    ck_assert_failed(PLEAT_EDTYPE, "gelu: input 0 is int64");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("activations");
    TCase *all = tcase_create("activations");
    tcase_set_timeout(all, 120);
    tcase_add_loop_test(all, forward, 0, FUNCTIONS);
    tcase_add_loop_test(all, golden_numbers, 0, FUNCTIONS);
    tcase_add_test(all, extremes);
    tcase_add_test(all, prelu);
    tcase_add_test(all, errors);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
