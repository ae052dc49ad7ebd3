/* prod's gradients of first and second order where lines hold none, one or two zeros, or leave the range of the type:
 * PyTorch's numbers, and finite differences; products of nothing; the same bits whatever the threads. */
#include "support/run.h"
#include "support/threads.h"

#include <string.h>

/* What torch.prod, torch.autograd.grad and that again of each gradient's element gave. */
static const struct {
    int n;
    double x[4], y, dx[4], ddx[4][4];
} lines[] = {
    { 1, { 5 }, 5, { 1 }, { { 0 } } },
    { 1, { 0 }, 0, { 1 }, { { 0 } } },
    { 3, { 1, 2, 3 }, 6, { 6, 3, 2 }, { { 0, 3, 2 }, { 3, 0, 1 }, { 2, 1, 0 } } },
    { 3, { 2, 3, 0 }, 0, { 0, 0, 6 }, { { 0, 0, 3 }, { 0, 0, 2 }, { 3, 2, 0 } } },
    { 3, { 2, 0, 0 }, 0, { 0, 0, 0 }, { { 0, 0, 0 }, { 0, 0, 2 }, { 0, 2, 0 } } },
    { 4,
      { 2, 0, 3, -0.5 },
      0,
      { 0, -3, 0, 0 },
      { { 0, -1.5, 0, 0 }, { -1.5, 0, -1, 6 }, { 0, -1, 0, 0 }, { 0, 6, 0, 0 } } },
};

START_TEST(zeros)
{
    for (size_t l = 0; l < sizeof lines / sizeof *lines; l++)
        for (pleat_dtype dtype = PLEAT_F32; dtype <= PLEAT_F64; dtype++) {
            const int64_t n = lines[l].n;
            pleat_tensor *x = pleat_cast(pleat_from_data(lines[l].x, PLEAT_SHAPE(n), PLEAT_F64), dtype), *dx, *ddx;
            pleat_set_requires_grad(x, true);
            pleat_tensor *y = pleat_prod(x, PLEAT_DIMS(), false);
            ck_assert_double_eq(pleat_item(y), lines[l].y);
            ck_assert_ok(pleat_gradients(&y, 1, &x, 1, &(pleat_gradients_opts){ .record = true }, &dx));
            for (int64_t i = 0; i < n; i++) {
                ck_assert_double_eq(pleat_at(dx, &i), lines[l].dx[i]);
                pleat_tensor *one = n > 1 ? pleat_select(dx, 0, i) : NULL;
                if (!one) /* the gradient is a constant */
                    continue;
                ck_assert_ok(pleat_gradients(&one, 1, &x, 1, &(pleat_gradients_opts){ .keep = true }, &ddx));
                for (int64_t k = 0; k < n; k++)
                    ck_assert_double_eq(pleat_at(ddx, &k), lines[l].ddx[i][k]);
            }
        }
}
END_TEST

static pleat_tensor *over_01(pleat_tensor *const *in, void *user)
{
    (void)user;
    return pleat_prod(in[0], PLEAT_DIMS(0, 1), false);
}

static pleat_tensor *over_20(pleat_tensor *const *in, void *user)
{
    (void)user;
    return pleat_prod(pleat_transpose(in[0], 0, 1), PLEAT_DIMS(2, 0), true);
}

START_TEST(differences)
{
    pleat_seed(3);
    for (int count = 0; count < 4; count++) {
        pleat_tensor *x = pleat_randn(PLEAT_SHAPE(3, 5, 2), PLEAT_F64);
        double *v = pleat_data_mut(x);
        for (int i = 0; i < count; i++)
            v[7 * i] = 0;
        pleat_set_requires_grad(x, true);
        ck_assert_ok(pleat_gradcheck(over_01, NULL, &x, 1, NULL));
        ck_assert_ok(pleat_gradgradcheck(over_01, NULL, &x, 1, NULL));
        ck_assert_ok(pleat_gradcheck(over_20, NULL, &x, 1, NULL));
        ck_assert_ok(pleat_gradgradcheck(over_20, NULL, &x, 1, NULL));
    }
}
END_TEST

/* A product that is too small or too large for the type has a gradient that need not be. */
START_TEST(range)
{
    static const double x[][3] = { { 1e-30, 1e-30, 3 }, { 1e30, 1e30, 3 }, { 1e-20, 1e-20, 1e-5 } };
    for (int i = 0; i < 3; i++) {
        pleat_tensor *t = pleat_cast(pleat_from_data(x[i], PLEAT_SHAPE(3), PLEAT_F64), PLEAT_F32), *dx;
        pleat_tensor *y = pleat_prod(pleat_set_requires_grad(t, true), PLEAT_DIMS(0), false);
        ck_assert_ok(pleat_gradients(&y, 1, &t, 1, NULL, &dx));
        for (int k = 0; k < 2; k++)
            ck_assert_double_eq_tol(pleat_data_f32(dx)[k] / (x[i][1 - k] * x[i][2]), 1, 1e-6);
    }
}
END_TEST

START_TEST(nothing)
{
    pleat_tensor *x = pleat_set_requires_grad(pleat_zeros(PLEAT_SHAPE(0, 3), PLEAT_F32), true), *dx;
    pleat_tensor *y = pleat_prod(x, PLEAT_DIMS(0), false), *none = pleat_prod(x, PLEAT_DIMS(1), false);
    ck_assert(pleat_equal(y, pleat_ones(PLEAT_SHAPE(3), PLEAT_F32)) && pleat_numel(none) == 0);
    y = pleat_add(pleat_sum(y), pleat_sum(none));
    ck_assert_ok(pleat_gradients(&y, 1, &x, 1, NULL, &dx));
    ck_assert(pleat_shape_equal(pleat_shape_of(dx), PLEAT_SHAPE(0, 3)));
    ck_assert_ptr_null(pleat_prod(x, PLEAT_DIMS(2), false));
    ck_assert_failed(PLEAT_EINVAL, "prod: dimension 2 is not in -2 to 1");
    ck_assert_ptr_null(pleat_prod(pleat_zeros(PLEAT_SHAPE(2), PLEAT_U8), PLEAT_DIMS(), false));
    ck_assert_failed(PLEAT_EDTYPE, "prod: input 0 is uint8");
}
END_TEST

static pleat_tensor *gradient(void *user)
{
    pleat_tensor *x = user, *y = pleat_sum(pleat_prod(x, PLEAT_DIMS(1), false)), *dx;
    return pleat_gradients(&y, 1, &x, 1, NULL, &dx) == PLEAT_OK ? dx : NULL;
}

START_TEST(any_threads)
{
    pleat_tensor *x = pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(30, 31, 7), PLEAT_F32), true);
    same_for_any_threads(gradient, x);
    ((float *)pleat_data_mut(x))[100] = 0;
    same_for_any_threads(gradient, x);
}
END_TEST

RUN_TESTS("prod", zeros, differences, range, nothing, any_threads)
