/* max_pool2d against a naive loop on views of any kind, its gradients any number of times, and what it refuses. The
 * kernel's own corner cases are in tests/kernels/test_pool.c. */
#include "support/run.h"
#include "support/threads.h"

#include <pleat/op.h>
#include <pleat/pleat.h>

#include <math.h>
#include <string.h>

/* The largest element under window (oy, ox) of x[n, c], read one at a time. */
static double naive(const pleat_tensor *x, int64_t n, int64_t c, int64_t oy, int64_t ox, const pleat_window *w)
{
    double best = -INFINITY;
    for (int64_t ky = 0; ky < w->kernel.h; ky++)
        for (int64_t kx = 0; kx < w->kernel.w; kx++) {
            const int64_t iy = oy * w->stride.h - w->padding.h + ky * w->dilation.h;
            const int64_t ix = ox * w->stride.w - w->padding.w + kx * w->dilation.w;
            if (iy >= 0 && iy < pleat_size(x, 2) && ix >= 0 && ix < pleat_size(x, 3))
                best = fmax(best, pleat_at(x, (int64_t[]){ n, c, iy, ix }));
        }
    return best;
}

static void compare(pleat_tensor *x, const pleat_window *w)
{
    pleat_tensor *indices, *y = pleat_max_pool2d(x, w), *same = pleat_max_pool2d_with(x, w, NULL, &indices);
    ck_assert_msg(y && same, "%s", pleat_error());
    ck_assert_int_eq(pleat_numel(indices), pleat_numel(y)); /* found only where they are asked for */
    ck_assert(pleat_equal(y, same));
    for (int64_t n = 0; n < pleat_size(y, 0); n++)
        for (int64_t c = 0; c < pleat_size(y, 1); c++)
            for (int64_t oy = 0; oy < pleat_size(y, 2); oy++)
                for (int64_t ox = 0; ox < pleat_size(y, 3); ox++)
                    ck_assert_double_eq(pleat_at(y, (int64_t[]){ n, c, oy, ox }), naive(x, n, c, oy, ox, w));
}

START_TEST(against_naive)
{
    static const pleat_window windows[] = {
        { .kernel = { 2, 2 }, .stride = { 2, 2 }, .dilation = { 1, 1 } },
        { .kernel = { 3, 3 }, .stride = { 2, 2 }, .padding = { 1, 1 }, .dilation = { 1, 1 } },
        { .kernel = { 3, 2 }, .stride = { 1, 3 }, .padding = { 1, 0 }, .dilation = { 2, 1 } },
        { .kernel = { 1, 4 }, .stride = { 2, 1 }, .padding = { 0, 2 }, .dilation = { 1, 2 } },
    };
    pleat_seed(1);
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++)
        for (int dtype = PLEAT_F32; dtype <= PLEAT_F64; dtype++) {
            pleat_tensor *x = pleat_randn(PLEAT_SHAPE(2, 3, 9, 18), (pleat_dtype)dtype);
            compare(x, &windows[i]);
            compare(pleat_transpose(x, 2, 3), &windows[i]);
            compare(pleat_slice(pleat_permute(x, PLEAT_DIMS(1, 0, 2, 3)), 3, 1, 18, 2), &windows[i]);
            compare(pleat_expand(pleat_narrow(x, 0, 0, 1), PLEAT_SHAPE(3, 3, 9, 18)), &windows[i]);
        }
}
END_TEST

START_TEST(defaults_and_unbatched)
{
    pleat_tensor *x = pleat_reshape(pleat_arange(0, 24, 1, PLEAT_F32), PLEAT_SHAPE(1, 4, 6));
    pleat_tensor *y = pleat_max_pool2d(x, &(pleat_window){ .kernel = { 2, 3 } }); /* the stride is the kernel's */
    ck_assert(pleat_shape_equal(pleat_shape_of(y), PLEAT_SHAPE(1, 2, 2)));
    const float want[] = { 8, 11, 20, 23 };
    ck_assert_mem_eq(pleat_data_f32(y), want, sizeof want);
}
END_TEST

START_TEST(ties_and_nan)
{
    const double data[] = { 1, 1, 1, 1, NAN, 3, 2, 4 };
    pleat_tensor *x = pleat_set_requires_grad(pleat_from_data(data, PLEAT_SHAPE(2, 2, 2), PLEAT_F64), true);
    pleat_tensor *y = pleat_max_pool2d(x, &(pleat_window){ .kernel = { 2, 2 } });
    ck_assert_double_eq(pleat_data_f64(y)[0], 1);
    ck_assert(isnan(pleat_data_f64(y)[1]));
    ck_assert_ok(pleat_backward(pleat_sum(y)));
    const double want[] = { 1, 0, 0, 0, 1, 0, 0, 0 };
    ck_assert_mem_eq(pleat_data_f64(pleat_grad(x)), want, sizeof want);
}
END_TEST

static pleat_tensor *pool(pleat_tensor *const *in, void *user)
{
    return pleat_max_pool2d(in[0], user);
}

/* Cubed, so that the second derivative by x is not zero. */
static pleat_tensor *pool_of_cube(pleat_tensor *const *in, void *user)
{
    return pleat_max_pool2d(pleat_mul(in[0], pleat_mul(in[0], in[0])), user);
}

START_TEST(gradients)
{
    pleat_window windows[] = { { .kernel = { 2, 2 } },
                               { .kernel = { 3, 2 }, .stride = { 1, 2 }, .padding = { 1, 1 }, .dilation = { 1, 2 } } };
    pleat_seed(2);
    for (int i = 0; i < 2; i++) {
        pleat_tensor *x = pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(2, 2, 5, 6), PLEAT_F64), true);
        ck_assert_ok(pleat_gradcheck(pool, &windows[i], &x, 1, NULL));
        ck_assert_ok(pleat_gradgradcheck(pool, &windows[i], &x, 1, NULL));
        ck_assert_ok(pleat_gradgradcheck(pool_of_cube, &windows[i], &x, 1, NULL));
    }
}
END_TEST

START_TEST(third_derivative)
{
    /* f = max(x)^4 over one window: f''' = 24 x at the largest */
    const double data[] = { 1, 5, 2, 3 };
    pleat_tensor *x = pleat_set_requires_grad(pleat_from_data(data, PLEAT_SHAPE(1, 2, 2), PLEAT_F64), true);
    pleat_tensor *y = pleat_max_pool2d(x, &(pleat_window){ .kernel = { 2, 2 } }), *f = pleat_sum(pleat_pow(y, 4)), *g;
    for (int i = 0; i < 3; i++, f = pleat_sum(g))
        ck_assert_ok(pleat_gradients(&f, 1, &x, 1, &(pleat_gradients_opts){ .record = true }, &g));
    const double want[] = { 0, 120, 0, 0 };
    ck_assert_mem_eq(pleat_data_f64(g), want, sizeof want);
}
END_TEST

START_TEST(empty)
{
    pleat_tensor *x = pleat_set_requires_grad(pleat_zeros(PLEAT_SHAPE(0, 3, 4, 4), PLEAT_F32), true);
    pleat_tensor *y = pleat_max_pool2d(x, &(pleat_window){ .kernel = { 2, 2 } });
    ck_assert(pleat_shape_equal(pleat_shape_of(y), PLEAT_SHAPE(0, 3, 2, 2)));
    ck_assert_ok(pleat_backward(pleat_sum(y)));
    ck_assert(pleat_shape_equal(pleat_shape_of(pleat_grad(x)), PLEAT_SHAPE(0, 3, 4, 4)));
}
END_TEST

static pleat_tensor *value_and_gradient(void *user)
{
    pleat_tensor *x = user;
    pleat_set_grad(x, NULL);
    pleat_tensor *y =
        pleat_max_pool2d(x, &(pleat_window){ .kernel = { 3, 3 }, .stride = { 1, 1 }, .padding = { 1, 1 } });
    ck_assert_ok(pleat_backward(pleat_sum(pleat_mul(y, y))));
    return pleat_add(pleat_detach(y), pleat_clone(pleat_grad(x)));
}

START_TEST(any_threads)
{
    same_for_any_threads(value_and_gradient,
                         pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(3, 2, 7, 9), PLEAT_F32), true));
}
END_TEST

#define REFUSED(code, mentions, ...)                                                                                   \
    do {                                                                                                               \
        ck_assert_ptr_null(pleat_max_pool2d(x, &(pleat_window){ __VA_ARGS__ }));                                       \
        ck_assert_failed(code, mentions);                                                                              \
    } while (0)

START_TEST(refused)
{
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(2, 3, 5, 5), PLEAT_F32);
    REFUSED(PLEAT_EINVAL, "max_pool2d: kernel (0, 2)", .kernel = { 0, 2 });
    REFUSED(PLEAT_EINVAL, "stride (2, 0)", .kernel = { 2, 2 }, .stride = { 2, 0 });
    REFUSED(PLEAT_EINVAL, "padding (2, 0) must be at most half of what kernel (3, 3)", .kernel = { 3, 3 },
            .padding = { 2, 0 });
    REFUSED(PLEAT_EINVAL, "padding (-1, 0)", .kernel = { 3, 3 }, .padding = { -1, 0 });
    REFUSED(PLEAT_EINVAL, "dilation (0, 1)", .kernel = { 3, 3 }, .dilation = { 0, 1 });
    REFUSED(PLEAT_ESHAPE, "max_pool2d: kernel (6, 2)", .kernel = { 6, 2 });
    ck_assert_ptr_null(pleat_max_pool2d(x, NULL));
    ck_assert_failed(PLEAT_EINVAL, "kernel (0, 0)");
    x = pleat_ones(PLEAT_SHAPE(5, 5), PLEAT_F32);
    REFUSED(PLEAT_ESHAPE, "input (5, 5) must be (N, C, H, W) or (C, H, W)", .kernel = { 2, 2 });
    x = pleat_ones(PLEAT_SHAPE(1, 0, 5), PLEAT_F32);
    REFUSED(PLEAT_ESHAPE, "(1, 0, 5)", .kernel = { 2, 2 }, .padding = { 1, 1 });
    x = pleat_zeros(PLEAT_SHAPE(1, 5, 5), PLEAT_I64);
    REFUSED(PLEAT_EDTYPE, "int64", .kernel = { 2, 2 });
    x = NULL;
    REFUSED(PLEAT_EINVAL, "NULL", .kernel = { 2, 2 });
}
END_TEST

RUN_TESTS("max_pool2d", against_naive, defaults_and_unbatched, ties_and_nan, gradients, third_derivative, empty,
          any_threads, refused)
