/* dropout: the share of what is dropped, the expectation, the same mask forwards and backwards, one draw a call. */
#include "support/run.h"
#include "support/threads.h"

#include <pleat/op.h>
#include <pleat/pleat.h>

#include <math.h>
#include <string.h>

START_TEST(drops_and_scales)
{
    pleat_seed(1);
    for (int tenth = 1; tenth < 10; tenth += 2) {
        const double p = tenth / 10.0;
        const int64_t n = 40000;
        pleat_tensor *y = pleat_dropout(pleat_ones(PLEAT_SHAPE(n), PLEAT_F32), p);
        int64_t dropped = 0;
        for (int64_t i = 0; i < n; i++) {
            const float v = pleat_data_f32(y)[i];
            ck_assert(v == 0 || v == (float)(1 / (1 - p)));
            dropped += v == 0;
        }
        ck_assert_double_eq_tol((double)dropped / (double)n, p, 4 * sqrt(p * (1 - p) / (double)n));
    }
}
END_TEST

START_TEST(all_or_nothing)
{
    const float data[] = { 1, NAN, INFINITY, -2 };
    pleat_tensor *x = pleat_set_requires_grad(pleat_from_data(data, PLEAT_SHAPE(4), PLEAT_F32), true);
    pleat_tensor *none = pleat_dropout(x, 1);
    ck_assert(pleat_equal(none, pleat_zeros(PLEAT_SHAPE(4), PLEAT_F32)));
    ck_assert_ok(pleat_backward(pleat_sum(none)));
    ck_assert(pleat_equal(pleat_grad(x), pleat_zeros(PLEAT_SHAPE(4), PLEAT_F32)));
    const pleat_rng_state before = pleat_rng_get();
    ck_assert_ptr_eq(pleat_dropout(x, 0), x);
    ck_assert_uint_eq(pleat_rng_get().draws, before.draws);
}
END_TEST

START_TEST(one_draw_a_call)
{
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(100), PLEAT_F32);
    pleat_seed(5);
    pleat_tensor *a = pleat_dropout(x, 0.5), *b = pleat_dropout(x, 0.5);
    ck_assert_uint_eq(pleat_rng_get().draws, 2);
    ck_assert(!pleat_equal(a, b));
    pleat_seed(5);
    ck_assert(pleat_equal(a, pleat_dropout(x, 0.5)));
    pleat_rng_set((pleat_rng_state){ .seed = 5, .draws = 1 });
    ck_assert(pleat_equal(b, pleat_dropout(x, 0.5)));
    /* the mask is by the element's place in the shape, whatever the strides and the dtype */
    pleat_seed(5);
    pleat_tensor *wide = pleat_expand(pleat_ones(PLEAT_SHAPE(1), PLEAT_F64), PLEAT_SHAPE(100));
    ck_assert(pleat_equal(pleat_cast(a, PLEAT_F64), pleat_dropout(wide, 0.5)));
}
END_TEST

static pleat_tensor *dropped(pleat_tensor *const *in, void *user)
{
    (void)user;
    pleat_seed(7);
    return pleat_dropout(pleat_mul(in[0], in[0]), 0.3);
}

START_TEST(gradients)
{
    pleat_tensor *x = pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(3, 30), PLEAT_F64), true);
    ck_assert_ok(pleat_gradcheck(dropped, NULL, &x, 1, NULL));
    ck_assert_ok(pleat_gradgradcheck(dropped, NULL, &x, 1, NULL));
    /* a gradient that comes in other strides meets the same mask */
    pleat_tensor *y = pleat_dropout(x, 0.5), *g;
    pleat_tensor *ones = pleat_expand(pleat_ones(PLEAT_SHAPE(1, 1), PLEAT_F64), PLEAT_SHAPE(3, 30));
    ck_assert_ok(pleat_gradients(&y, 1, &x, 1, &(pleat_gradients_opts){ .grad_outputs = &ones }, &g));
    ck_assert(pleat_allclose(pleat_mul(g, pleat_detach(x)), y, 1e-15, 0));
}
END_TEST

static pleat_tensor *seeded(void *user)
{
    pleat_seed(9);
    return pleat_dropout(user, 0.4);
}

START_TEST(any_threads)
{
    same_for_any_threads(seeded, pleat_randn(PLEAT_SHAPE(1000), PLEAT_F32));
}
END_TEST

START_TEST(empty)
{
    ck_assert_int_eq(pleat_numel(pleat_dropout(pleat_zeros(PLEAT_SHAPE(0, 2), PLEAT_F32), 0.5)), 0);
    ck_assert_int_eq(pleat_ndim(pleat_dropout(pleat_scalar(1, PLEAT_F32), 0.5)), 0);
}
END_TEST

START_TEST(refused)
{
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(3), PLEAT_F32);
    const double bad[] = { -0.1, 1.1, NAN };
    const pleat_rng_state before = pleat_rng_get();
    for (int i = 0; i < 3; i++) {
        ck_assert_ptr_null(pleat_dropout(x, bad[i]));
        ck_assert_failed(PLEAT_EINVAL, "dropout: p must be from 0 to 1, not");
    }
    for (int i = 0; i < 2; i++) {
        ck_assert_ptr_null(pleat_dropout(NULL, i));
        ck_assert_failed(PLEAT_EINVAL, "NULL");
        ck_assert_ptr_null(pleat_dropout(pleat_zeros(PLEAT_SHAPE(3), PLEAT_I64), i));
        ck_assert_failed(PLEAT_EDTYPE, "int64");
    }
    ck_assert_uint_eq(pleat_rng_get().draws, before.draws);
}
END_TEST

RUN_TESTS("dropout", drops_and_scales, all_or_nothing, one_draw_a_call, gradients, any_threads, empty, refused)
