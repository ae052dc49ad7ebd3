/* The losses that compare element by element: their formulas one element at a time, what is special at their edges,
 * gradients by input and target, and what they refuse. PyTorch's numbers for them are in tests/golden/opinfo.txt. */
#include "support/run.h"
#include "support/threads.h"

#include <pleat/op.h>
#include <pleat/pleat.h>

#include <math.h>
#include <string.h>

enum { MSE, L1, HUBER, SMOOTH, BCE, LOGITS, KL, KL_LOG, POISSON, RATES, KINDS };

static pleat_tensor *apply(int kind, pleat_tensor *x, pleat_tensor *t, const pleat_loss_opts *o)
{
    switch (kind) {
    case MSE:
        return pleat_mse_loss(x, t, o);
    case L1:
        return pleat_l1_loss(x, t, o);
    case HUBER:
        return pleat_huber_loss(x, t, 0.3, o);
    case SMOOTH:
        return pleat_smooth_l1_loss(x, t, 0.3, o);
    case BCE:
        return pleat_binary_cross_entropy(x, t, o);
    case LOGITS:
        return pleat_binary_cross_entropy_with_logits(x, t, NULL, o);
    case KL:
    case KL_LOG:
        return pleat_kl_div(x, t, kind == KL_LOG, o);
    default:
        return pleat_poisson_nll_loss(
            x, t, &(pleat_poisson_nll_opts){ .rates = kind == RATES, .full = true, .eps = 0.01 }, o);
    }
}

static double formula(int kind, double x, double t)
{
    const double d = fabs(x - t), stirling = t > 1 ? t * log(t) - t + 0.5 * log(2 * acos(-1) * t) : 0;
    const double huber = d <= 0.3 ? d * d / 2 : 0.3 * (d - 0.15), p = 1 / (1 + exp(-x));
    const double all[KINDS] = { d * d,
                                d,
                                huber,
                                huber / 0.3,
                                -t * log(x) - (1 - t) * log(1 - x),
                                -t * log(p) - (1 - t) * log(1 - p),
                                t * (log(t) - x),
                                exp(t) * (t - x),
                                exp(x) - t * x + stirling,
                                x - t * log(x + 0.01) + stirling };
    return all[kind];
}

/* Numbers that every loss takes: in (0.05, 0.95), targets of poisson beyond 1. */
static pleat_tensor *numbers(pleat_shape shape, pleat_dtype dtype, double scale)
{
    return pleat_mul_scalar(pleat_affine(pleat_rand(shape, dtype), 0.9, 0.05), scale);
}

START_TEST(formulas)
{
    pleat_seed(1);
    for (int kind = 0; kind < KINDS; kind++)
        for (int dtype = PLEAT_F32; dtype <= PLEAT_F64; dtype++) {
            const double tolerance = dtype == PLEAT_F32 ? 3e-6 : 1e-13;
            pleat_tensor *x = pleat_transpose(numbers(PLEAT_SHAPE(7, 5), (pleat_dtype)dtype, 1), 0, 1);
            pleat_tensor *t = numbers(PLEAT_SHAPE(5, 7), (pleat_dtype)dtype, kind >= POISSON ? 3 : 1);
            pleat_tensor *w = pleat_rand(PLEAT_SHAPE(7), (pleat_dtype)dtype);
            double sum = 0, weighted = 0;
            for (int64_t i = 0; i < 35; i++) {
                const int64_t at[] = { i / 7, i % 7 };
                const double want = formula(kind, pleat_at(x, at), pleat_at(t, at));
                pleat_tensor *y = apply(kind, x, t, &(pleat_loss_opts){ .reduction = PLEAT_REDUCE_NONE });
                ck_assert_double_eq_tol(pleat_at(y, at), want, tolerance);
                sum += want;
                weighted += want * pleat_at(w, &at[1]);
            }
            ck_assert_double_eq_tol(pleat_item(apply(kind, x, t, NULL)), sum / 35, tolerance);
            ck_assert_double_eq_tol(pleat_item(apply(kind, x, t, &(pleat_loss_opts){ .reduction = PLEAT_REDUCE_SUM })),
                                    sum, tolerance * 35);
            ck_assert_double_eq_tol(pleat_item(apply(kind, x, t, &(pleat_loss_opts){ .weight = w })), weighted / 35,
                                    tolerance);
        }
}
END_TEST

static pleat_tensor *call(pleat_tensor *const *in, void *user)
{
    return apply(*(int *)user, in[0], in[1], &(pleat_loss_opts){ .weight = in[2] });
}

START_TEST(gradients)
{
    pleat_seed(2);
    for (int kind = 0; kind < KINDS; kind++) {
        pleat_tensor *in[3] = { numbers(PLEAT_SHAPE(3, 4), PLEAT_F64, 1) };
        in[1] = numbers(PLEAT_SHAPE(3, 4), PLEAT_F64, kind >= POISSON ? 3 : 1);
        in[2] = numbers(PLEAT_SHAPE(4), PLEAT_F64, 1);
        for (int i = 0; i < 3; i++)
            pleat_set_requires_grad(in[i], true);
        ck_assert_ok(pleat_gradcheck(call, &kind, in, 3, NULL));
        ck_assert_ok(pleat_gradgradcheck(call, &kind, in, 3, NULL));
    }
}
END_TEST

START_TEST(edges)
{
    const double ends[] = { 0, 1, 0, 1 }, targets[] = { 0, 1, 1, 0 }, far[] = { 1000, -1000, 1000, -1000 };
    pleat_tensor *x = pleat_set_requires_grad(pleat_from_data(ends, PLEAT_SHAPE(4), PLEAT_F64), true), *g;
    pleat_tensor *t = pleat_from_data(targets, PLEAT_SHAPE(4), PLEAT_F64);
    const pleat_loss_opts none = { .reduction = PLEAT_REDUCE_NONE };
    /* logarithms end at -100; the gradient is (x - t) / 1e-12 */
    pleat_tensor *y = pleat_binary_cross_entropy(x, t, &none);
    const double bce[] = { 0, 0, 100, 100 };
    for (int i = 0; i < 4; i++)
        ck_assert_double_eq(pleat_data_f64(y)[i], bce[i]);
    y = pleat_sum(y);
    ck_assert_ok(pleat_gradients(&y, 1, &x, 1, NULL, &g));
    for (int i = 0; i < 4; i++)
        ck_assert_double_eq_tol(pleat_data_f64(g)[i], (ends[i] - targets[i]) * 1e12, 1);
    /* logits that would overflow */
    y = pleat_binary_cross_entropy_with_logits(pleat_from_data(far, PLEAT_SHAPE(4), PLEAT_F64), t, NULL, &none);
    const double logits[] = { 1000, 1000, 0, 0 };
    for (int i = 0; i < 4; i++)
        ck_assert_double_eq(pleat_data_f64(y)[i], logits[i]);
    /* pos_weight multiplies the positive part alone */
    pleat_tensor *three = pleat_full(PLEAT_SHAPE(1), 3, PLEAT_F64), *zeros = pleat_zeros(PLEAT_SHAPE(4), PLEAT_F64);
    y = pleat_binary_cross_entropy_with_logits(zeros, t, three, &none);
    for (int i = 0; i < 4; i++)
        ck_assert_double_eq_tol(pleat_data_f64(y)[i], log(2) * (targets[i] == 1 ? 3 : 1), 1e-15);
    /* 0 log 0 is 0, and its gradient by x is 0 */
    y = pleat_sum(pleat_kl_div(x, zeros, false, &none));
    ck_assert_double_eq(pleat_item(y), 0);
    ck_assert_double_eq(pleat_item(pleat_smooth_l1_loss(zeros, t, 0, NULL)), 0.5); /* l1 */
    ck_assert(isnan(pleat_item(
        pleat_mse_loss(pleat_zeros(PLEAT_SHAPE(0), PLEAT_F32), pleat_zeros(PLEAT_SHAPE(0), PLEAT_F32), NULL))));
}
END_TEST

START_TEST(refused)
{
    pleat_tensor *x = pleat_full(PLEAT_SHAPE(2, 3), 0.5, PLEAT_F32), *other = pleat_ones(PLEAT_SHAPE(3), PLEAT_F32);
    pleat_tensor *wide = pleat_ones(PLEAT_SHAPE(2, 3), PLEAT_F64);
    for (int kind = 0; kind < KINDS; kind++) {
        ck_assert_ptr_null(apply(kind, x, other, NULL));
        ck_assert_failed(PLEAT_ESHAPE, "target (3,) must have the input's shape (2, 3)");
        ck_assert_ptr_null(apply(kind, x, wide, NULL));
        ck_assert_failed(PLEAT_EDTYPE, "the input is float32 and the target float64");
        ck_assert_ptr_null(apply(kind, x, NULL, NULL));
        ck_assert_failed(PLEAT_EINVAL, "the target is NULL");
        ck_assert_ptr_null(apply(kind, NULL, x, NULL));
        ck_assert_failed(PLEAT_EINVAL, "the input is NULL");
        ck_assert_ptr_null(apply(kind, x, x, &(pleat_loss_opts){ .reduction = (pleat_loss_reduction)7 }));
        ck_assert_failed(PLEAT_EINVAL, "reduction 7");
    }
    ck_assert_ptr_null(pleat_huber_loss(x, x, 0, NULL));
    ck_assert_failed(PLEAT_EINVAL, "huber_loss: delta must be above 0, not 0");
    ck_assert_ptr_null(pleat_smooth_l1_loss(x, x, -1, NULL));
    ck_assert_failed(PLEAT_EINVAL, "smooth_l1_loss: beta must be 0 or more, not -1");
    ck_assert_ptr_null(pleat_binary_cross_entropy(pleat_full(PLEAT_SHAPE(2, 3), 1.5, PLEAT_F32), x, NULL));
    ck_assert_failed(PLEAT_EINVAL, "binary_cross_entropy: input 1.5 at 0 is no probability");
    ck_assert(pleat_mse_loss(x, x, NULL) != NULL);
}
END_TEST

static pleat_tensor *value(void *user)
{
    return pleat_binary_cross_entropy(user, user, &(pleat_loss_opts){ .reduction = PLEAT_REDUCE_NONE });
}

START_TEST(any_threads)
{
    same_for_any_threads(value, pleat_rand(PLEAT_SHAPE(100), PLEAT_F32));
}
END_TEST

RUN_TESTS("losses", formulas, gradients, edges, refused, any_threads)
