/* softmax and log_softmax against a naive loop in double along every dimension, far and infinite numbers, gradients. */
#include "support/run.h"
#include "support/threads.h"

#include <pleat/op.h>
#include <pleat/pleat.h>

#include <math.h>
#include <string.h>

/* log_softmax of element i (row-major) along dim, one element at a time. */
static double naive(const pleat_tensor *x, int dim, int64_t i)
{
    const pleat_shape s = pleat_shape_of(x);
    int64_t index[PLEAT_MAX_DIMS];
    for (int d = s.ndim - 1; d >= 0; i /= s.dim[d--])
        index[d] = i % s.dim[d];
    const double own = pleat_at(x, index);
    double largest = -INFINITY, sum = 0;
    for (index[dim] = 0; index[dim] < s.dim[dim]; index[dim]++)
        largest = fmax(largest, pleat_at(x, index));
    for (index[dim] = 0; index[dim] < s.dim[dim]; index[dim]++)
        sum += exp(pleat_at(x, index) - largest);
    return own - largest - log(sum);
}

static void compare(pleat_tensor *x, int dim, double tolerance)
{
    pleat_tensor *y = pleat_log_softmax(x, dim), *p = pleat_softmax(x, dim);
    ck_assert_msg(y && p, "%s", pleat_error());
    y = pleat_cast(y, PLEAT_F64);
    p = pleat_cast(p, PLEAT_F64);
    for (int64_t i = 0; i < pleat_numel(x); i++) {
        const double want = naive(x, dim < 0 ? dim + pleat_ndim(x) : dim, i);
        ck_assert_double_eq_tol(pleat_data_f64(y)[i], want, tolerance * (1 + fabs(want)));
        ck_assert_double_eq_tol(pleat_data_f64(p)[i], exp(want), tolerance);
    }
}

START_TEST(against_naive)
{
    pleat_seed(1);
    for (int dtype = PLEAT_F32; dtype <= PLEAT_F64; dtype++) {
        const double tolerance = dtype == PLEAT_F32 ? 1e-6 : 1e-14;
        for (int64_t n = 1; n < 40; n += 3)
            compare(pleat_mul_scalar(pleat_randn(PLEAT_SHAPE(3, n), (pleat_dtype)dtype), 5), 1, tolerance);
        pleat_tensor *x = pleat_mul_scalar(pleat_randn(PLEAT_SHAPE(3, 5, 4, 7), (pleat_dtype)dtype), 5);
        for (int dim = -4; dim < 4; dim++)
            compare(x, dim, tolerance);
        compare(pleat_permute(x, PLEAT_DIMS(3, 1, 0, 2)), 1, tolerance);
        compare(pleat_expand(pleat_narrow(x, 1, 0, 1), PLEAT_SHAPE(3, 6, 4, 7)), 1, tolerance);
        compare(pleat_randn(PLEAT_SHAPE(2, 3, 33), (pleat_dtype)dtype), 1, tolerance);
        compare(pleat_randn(PLEAT_SHAPE(2, 1500), (pleat_dtype)dtype), 1, tolerance * 4);
        compare(pleat_randn(PLEAT_SHAPE(1500, 2), (pleat_dtype)dtype), 0, tolerance * 4);
    }
}
END_TEST

START_TEST(far_and_infinite)
{
    const float data[] = { 1e4f, 1e4f + 1, 1e4f - 1, -1e30f, -INFINITY, 0, 0, -INFINITY, 3, 3, INFINITY, 1, NAN, 1, 1 };
    pleat_tensor *x = pleat_from_data(data, PLEAT_SHAPE(5, 3), PLEAT_F32), *y = pleat_log_softmax(x, 1);
    compare(pleat_narrow(x, 0, 0, 1), 1, 1e-6);
    const float *p = pleat_data_f32(y);
    ck_assert(p[3] < -9e29f && isinf(p[4]) && p[5] == 0);
    ck_assert(isinf(p[7]) && p[7] < 0);
    ck_assert_float_eq_tol(p[6], -logf(1 + expf(3)), 1e-6f);
    for (int i = 9; i < 15; i++)
        ck_assert(isnan(p[i]) || (i != 9 && i < 12)); /* infinity minus infinity; NaN spreads over its line */
    for (int i = 12; i < 15; i++)
        ck_assert(isnan(p[i]));
}
END_TEST

static pleat_tensor *log_softmax(pleat_tensor *const *in, void *user)
{
    return pleat_log_softmax(in[0], *(int *)user);
}

static pleat_tensor *softmax(pleat_tensor *const *in, void *user)
{
    return pleat_softmax(in[0], *(int *)user);
}

START_TEST(gradients)
{
    const pleat_shape shapes[] = { PLEAT_SHAPE(5), PLEAT_SHAPE(3, 4), PLEAT_SHAPE(2, 3, 3) };
    pleat_seed(2);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int dim = 0; dim < shapes[i].ndim; dim++) {
            pleat_tensor *x = pleat_set_requires_grad(pleat_randn(shapes[i], PLEAT_F64), true);
            ck_assert_ok(pleat_gradcheck(log_softmax, &dim, &x, 1, NULL));
            ck_assert_ok(pleat_gradgradcheck(log_softmax, &dim, &x, 1, NULL));
            ck_assert_ok(pleat_gradcheck(softmax, &dim, &x, 1, NULL));
            ck_assert_ok(pleat_gradgradcheck(softmax, &dim, &x, 1, NULL));
        }
}
END_TEST

/* The fused gradients against those in ops. */
START_TEST(fused_against_ops)
{
    pleat_seed(3);
    for (int dim = 0; dim < 3; dim++)
        for (int dtype = PLEAT_F32; dtype <= PLEAT_F64; dtype++)
            for (int log = 0; log < 2; log++) {
                pleat_tensor *x = pleat_randn(PLEAT_SHAPE(7, 19, 34), (pleat_dtype)dtype);
                pleat_tensor *v = pleat_randn(pleat_shape_of(x), (pleat_dtype)dtype), *fused, *ops;
                pleat_set_requires_grad(x, true);
                pleat_tensor *y = log ? pleat_log_softmax(x, dim) : pleat_softmax(x, dim);
                pleat_gradients_opts opts = { .grad_outputs = &v, .keep = true };
                ck_assert_ok(pleat_gradients(&y, 1, &x, 1, &opts, &fused));
                opts.record = true;
                ck_assert_ok(pleat_gradients(&y, 1, &x, 1, &opts, &ops));
                ck_assert(pleat_allclose(fused, ops, 0, dtype == PLEAT_F32 ? 3e-6 : 1e-14));
            }
}
END_TEST

START_TEST(empty_and_single)
{
    ck_assert_int_eq(pleat_numel(pleat_log_softmax(pleat_zeros(PLEAT_SHAPE(0, 3), PLEAT_F32), 1)), 0);
    ck_assert_int_eq(pleat_numel(pleat_softmax(pleat_zeros(PLEAT_SHAPE(3, 0), PLEAT_F32), 1)), 0);
    pleat_tensor *x = pleat_set_requires_grad(pleat_scalar(3, PLEAT_F64), true), *g;
    pleat_tensor *y = pleat_log_softmax(x, 0), *p = pleat_softmax(x, -1);
    ck_assert(pleat_item(y) == 0 && pleat_item(p) == 1);
    for (int record = 0; record < 2; record++) {
        ck_assert_ok(pleat_gradients(&y, 1, &x, 1, &(pleat_gradients_opts){ .record = record, .keep = true }, &g));
        ck_assert(pleat_item(g) == 0);
        ck_assert_ok(pleat_gradients(&p, 1, &x, 1, &(pleat_gradients_opts){ .record = record, .keep = true }, &g));
        ck_assert(pleat_item(g) == 0);
    }
}
END_TEST

static pleat_tensor *value_and_gradient(void *user)
{
    pleat_tensor *x = user, *g;
    pleat_tensor *y = pleat_add(pleat_log_softmax(x, 1), pleat_softmax(x, 2));
    ck_assert_ok(pleat_gradients(&y, 1, &x, 1, &(pleat_gradients_opts){ .grad_outputs = &x }, &g));
    return pleat_add(pleat_detach(y), g);
}

START_TEST(any_threads)
{
    pleat_seed(4);
    pleat_tensor *x = pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(3, 7, 37), PLEAT_F32), true);
    same_for_any_threads(value_and_gradient, x);
}
END_TEST

START_TEST(refused)
{
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(2, 3), PLEAT_F32);
    ck_assert_ptr_null(pleat_log_softmax(x, 2));
    ck_assert_failed(PLEAT_EINVAL, "log_softmax: ");
    ck_assert_ptr_null(pleat_softmax(x, -3));
    ck_assert_failed(PLEAT_EINVAL, "softmax: ");
    ck_assert_ptr_null(pleat_softmax(pleat_zeros(PLEAT_SHAPE(3), PLEAT_I64), 0));
    ck_assert_failed(PLEAT_EDTYPE, "int64");
    ck_assert_ptr_null(pleat_log_softmax(NULL, 0));
    ck_assert_failed(PLEAT_EINVAL, "NULL");
}
END_TEST

RUN_TESTS("log_softmax", against_naive, far_and_infinite, gradients, fused_against_ops, empty_and_single, any_threads,
          refused)
