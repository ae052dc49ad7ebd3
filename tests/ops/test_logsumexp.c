/* logsumexp over every set of dimensions of views against a naive loop; infinities and their gradients, which are
 * PyTorch's; nothing; the same bits whatever the threads. Gradients are checked with the table's samples. */
#include "support/run.h"
#include "support/threads.h"
#include "support/views.h"

#include <math.h>
#include <string.h>

static const pleat_shape shapes[] = {
    { 0, { 0 } },       { 1, { 1 } },          { 1, { 70 } },        { 2, { 3, 5 } },
    { 2, { 20, 130 } }, { 4, { 2, 3, 4, 5 } }, { 3, { 17, 2, 33 } }, { 5, { 2, 1, 3, 2, 2 } },
};

START_TEST(values)
{
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const pleat_shape shape = shapes[s];
        for (unsigned mask = shape.ndim > 0; mask < 1u << shape.ndim || mask == 0; mask++)
            for (int kind = 0; kind < VIEW_KINDS; kind++)
                for (pleat_dtype dtype = PLEAT_F32; dtype <= PLEAT_F64; dtype++) {
                    const pleat_scope scope = pleat_scope_begin();
                    pleat_tensor *x = pleat_mul_scalar(random_view(shape, dtype, kind), 30);
                    x = kind % 2 ? pleat_transpose(pleat_contiguous(pleat_transpose(x, 0, -1)), 0, -1) : x;
                    const reduction r = reduction_of(shape, mask);
                    const pleat_dims dims = r.dims;
                    const pleat_shape dropped = r.dropped, kept = r.kept;
                    pleat_tensor *y = pleat_logsumexp(x, dims, true), *flat = pleat_logsumexp(x, dims, false);
                    ck_assert_msg(y && flat, "%s", pleat_error());
                    ck_assert(pleat_shape_equal(pleat_shape_of(y), kept) && pleat_dtype_of(y) == dtype);
                    ck_assert(pleat_equal(flat, pleat_reshape(y, dropped)));
                    static long double sums[3000];
                    memset(sums, 0, sizeof sums);
                    for (int64_t i = 0; i < pleat_numel(x); i++) {
                        sums[result_of(shape, mask, i)] += expl((long double)element(x, shape, i));
                    }
                    for (int64_t o = 0; o < pleat_numel(y); o++)
                        ck_assert_double_eq_tol(element(flat, dropped, o), (double)logl(sums[o]),
                                                dtype == PLEAT_F32 ? 3e-5 : 1e-13);
                    ck_assert_ok(pleat_scope_end(scope));
                }
    }
}
END_TEST

START_TEST(infinities)
{
    const double inf = (double)INFINITY, nan = (double)NAN;
    const double x[][2] = { { -inf, -inf }, { inf, 0 }, { inf, -inf }, { nan, inf }, { -inf, 3 } };
    const double y[] = { -inf, inf, inf, nan, 3 },
                 dx[][2] = { { nan, nan }, { nan, 0 }, { nan, 0 }, { nan, nan }, { 0, 1 } };
    for (int i = 0; i < 5; i++)
        for (pleat_dtype dtype = PLEAT_F32; dtype <= PLEAT_F64; dtype++)
            for (int record = 0; record < 2; record++) { /* by the fused gradient, and by the one in ops */
                pleat_tensor *t = pleat_cast(pleat_from_data(x[i], PLEAT_SHAPE(2), PLEAT_F64), dtype), *g;
                pleat_tensor *l = pleat_logsumexp(pleat_set_requires_grad(t, true), PLEAT_DIMS(0), false);
                const double got = pleat_item(l);
                ck_assert(got == y[i] || (isnan(got) && isnan(y[i])));
                ck_assert_ok(pleat_gradients(&l, 1, &t, 1, &(pleat_gradients_opts){ .record = record }, &g));
                for (int64_t k = 0; k < 2; k++) {
                    const double slope = pleat_at(g, &k);
                    ck_assert_msg(slope == dx[i][k] || (isnan(slope) && isnan(dx[i][k])), "%d: %g", i, slope);
                }
            }
}
END_TEST

START_TEST(nothing)
{
    pleat_tensor *x = pleat_set_requires_grad(pleat_zeros(PLEAT_SHAPE(2, 0, 3), PLEAT_F32), true), *g;
    pleat_tensor *y = pleat_logsumexp(x, PLEAT_DIMS(1), false), *none = pleat_logsumexp(x, PLEAT_DIMS(0, 2), true);
    ck_assert(pleat_equal(y, pleat_full(PLEAT_SHAPE(2, 3), -(double)INFINITY, PLEAT_F32)));
    ck_assert(pleat_shape_equal(pleat_shape_of(none), PLEAT_SHAPE(1, 0, 1)));
    y = pleat_add(pleat_sum(y), pleat_sum(none));
    ck_assert_ok(pleat_gradients(&y, 1, &x, 1, NULL, &g));
    ck_assert(pleat_shape_equal(pleat_shape_of(g), PLEAT_SHAPE(2, 0, 3)));
    ck_assert_ptr_null(pleat_logsumexp(x, PLEAT_DIMS(3), false));
    ck_assert_failed(PLEAT_EINVAL, "logsumexp: dimension 3 is not in -3 to 2");
    ck_assert_ptr_null(pleat_logsumexp(NULL, PLEAT_DIMS(), false));
    ck_assert_failed(PLEAT_EINVAL, "logsumexp: the tensor is NULL");
}
END_TEST

static pleat_tensor *value(void *user)
{
    return pleat_logsumexp(user, PLEAT_DIMS(1), false);
}

static pleat_tensor *gradient(void *user)
{
    pleat_tensor *x = user, *y = pleat_sum(value(x)), *g;
    return pleat_gradients(&y, 1, &x, 1, NULL, &g) == PLEAT_OK ? g : NULL;
}

START_TEST(any_threads)
{
    pleat_tensor *x = pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(30, 31, 7), PLEAT_F32), true);
    same_for_any_threads(value, x);
    same_for_any_threads(gradient, x);
    x = pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(50, 31), PLEAT_F32), true);
    same_for_any_threads(value, x);
    same_for_any_threads(gradient, x);
}
END_TEST

RUN_TESTS("logsumexp", values, infinities, nothing, any_threads)
