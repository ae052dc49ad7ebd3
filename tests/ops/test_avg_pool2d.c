/* Average, adaptive and power-average pooling, max_pool2d with ceil_mode and indices, max_unpool2d and
 * local_response_norm: against naive loops that follow PyTorch's definitions, adjoints, gradients, and what is refused.
 */
#include "support/run.h"
#include "support/threads.h"

#include <pleat/op.h>
#include <pleat/pleat.h>

#include <math.h>
#include <string.h>

static double at(const pleat_tensor *x, int64_t c, int64_t i, int64_t j)
{
    return pleat_at(x, (int64_t[]){ c, i, j });
}

/* PyTorch's number of windows. */
static int64_t windows(int64_t in, int64_t k, int64_t s, int64_t p, int64_t d, bool ceil_mode)
{
    int64_t out = (in + 2 * p - d * (k - 1) - 1 + (ceil_mode ? s - 1 : 0)) / s + 1;
    if (ceil_mode && (out - 1) * s >= in + p)
        out--;
    return out;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* avg_pool2d at (c, oy, ox), by PyTorch's own order of clipping. */
static double naive_avg(const pleat_tensor *x, int64_t c, int64_t oy, int64_t ox, const pleat_window *w,
                        const pleat_pool_opts *o)
{
    const int64_t h = pleat_size(x, 1), width = pleat_size(x, 2);
    int64_t y0 = oy * w->stride.h - w->padding.h, x0 = ox * w->stride.w - w->padding.w;
    int64_t y1 = smaller(y0 + w->kernel.h, h + w->padding.h), x1 = smaller(x0 + w->kernel.w, width + w->padding.w);
    double count = (double)((y1 - y0) * (x1 - x0)), sum = 0;
    y0 = larger(y0, 0);
    x0 = larger(x0, 0);
    y1 = smaller(y1, h);
    x1 = smaller(x1, width);
    if (o->exclude_padding)
        count = (double)((y1 - y0) * (x1 - x0));
    if (o->divisor)
        count = (double)o->divisor;
    for (int64_t i = y0; i < y1; i++)
        for (int64_t j = x0; j < x1; j++)
            sum += at(x, c, i, j);
    return sum / count;
}

static const pleat_window some_windows[] = {
    { .kernel = { 2, 2 }, .stride = { 2, 2 } },
    { .kernel = { 3, 2 }, .stride = { 1, 1 }, .padding = { 1, 1 } },
    { .kernel = { 3, 3 }, .stride = { 2, 2 }, .padding = { 1, 0 } },
    { .kernel = { 1, 4 }, .stride = { 3, 2 }, .padding = { 0, 2 } },
    { .kernel = { 4, 40 }, .stride = { 4, 3 } },
    { .kernel = { 3, 5 }, .stride = { 1, 2 }, .padding = { 1, 2 } },
    { .kernel = { 2, 5 }, .stride = { 3, 4 }, .padding = { 1, 2 } },
    { .kernel = { 2, 4 }, .stride = { 2, 4 } },
};
enum { WINDOWS = sizeof some_windows / sizeof *some_windows };

static pleat_pool_opts options(int number)
{
    return (pleat_pool_opts){ .ceil_mode = number % 2,
                              .exclude_padding = number / 2 % 2,
                              .divisor = number / 4 % 2 ? 5 : 0 };
}

/* Widths below and beyond what the kernels take at once. The gradient is the adjoint: <y, g> = <x, grad>. */
START_TEST(averages)
{
    enum { OPTIONS = 8, DTYPES = 2, ALL = WINDOWS * OPTIONS * DTYPES };
    pleat_seed(1);
    for (int n = 0; n < 2 * ALL; n++) {
        const int64_t width = n < ALL ? 44 : 2100;
        const pleat_window *w = &some_windows[n % WINDOWS];
        const pleat_pool_opts o = options(n / WINDOWS % OPTIONS);
        const pleat_dtype dtype = n / (WINDOWS * OPTIONS) % DTYPES ? PLEAT_F64 : PLEAT_F32;
        const double tolerance = dtype == PLEAT_F32 ? 5e-6 : 1e-14;
        pleat_scope scope = pleat_scope_begin();
        pleat_tensor *leaf = pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(2, width, 7), dtype), true), *grad;
        pleat_tensor *x = pleat_transpose(leaf, 1, 2), *y = pleat_avg_pool2d(x, w, &o);
        ck_assert_msg(y != NULL, "%s", pleat_error());
        ck_assert_int_eq(pleat_size(y, 1), windows(7, w->kernel.h, w->stride.h, w->padding.h, 1, o.ceil_mode));
        ck_assert_int_eq(pleat_size(y, 2), windows(width, w->kernel.w, w->stride.w, w->padding.w, 1, o.ceil_mode));
        for (int64_t c = 0; c < 2; c++)
            for (int64_t oy = 0; oy < pleat_size(y, 1); oy++)
                for (int64_t ox = 0; ox < pleat_size(y, 2); ox++)
                    ck_assert_double_eq_tol(at(y, c, oy, ox), naive_avg(x, c, oy, ox, w, &o), tolerance);
        pleat_tensor *g = pleat_randn(pleat_shape_of(y), dtype);
        ck_assert_ok(pleat_gradients(&y, 1, &leaf, 1, &(pleat_gradients_opts){ .grad_outputs = &g }, &grad));
        ck_assert_double_eq_tol(pleat_item(pleat_sum(pleat_mul(y, g))), pleat_item(pleat_sum(pleat_mul(leaf, grad))),
                                1000 * tolerance);
        pleat_scope_end(scope);
    }
}
END_TEST

START_TEST(averages_of_any_width)
{
    pleat_seed(3);
    for (int n = 0; n < 90 * WINDOWS; n++) {
        const int64_t width = n / WINDOWS + 1;
        const pleat_window *w = &some_windows[n % WINDOWS];
        const pleat_pool_opts o = options(n);
        if (w->kernel.w > width + 2 * w->padding.w)
            continue;
        pleat_scope scope = pleat_scope_begin();
        pleat_tensor *x = pleat_randn(PLEAT_SHAPE(2, 6, width), PLEAT_F32), *y = pleat_avg_pool2d(x, w, &o);
        ck_assert_msg(y != NULL, "%s", pleat_error());
        for (int64_t i = 0; i < pleat_numel(y); i++) {
            const int64_t ow = pleat_size(y, 2), oh = pleat_size(y, 1), c = i / ow / oh, oy = i / ow % oh, ox = i % ow;
            ck_assert_double_eq_tol(at(y, c, oy, ox), naive_avg(x, c, oy, ox, w, &o), 5e-6);
        }
        pleat_scope_end(scope);
    }
}
END_TEST

START_TEST(adaptive)
{
    static const pleat_hw sizes[] = { { 1, 1 }, { 2, 3 }, { 7, 5 }, { 4, 9 }, { -1, 2 }, { 14, 18 }, { 20, 13 } };
    pleat_seed(2);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        pleat_tensor *x = pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(2, 7, 6), PLEAT_F64), true), *index, *grad;
        pleat_tensor *y = pleat_adaptive_avg_pool2d(x, sizes[k]), *m = pleat_adaptive_max_pool2d(x, sizes[k], &index);
        ck_assert_msg(y && m && index, "%s", pleat_error());
        pleat_tensor *g = pleat_randn(pleat_shape_of(y), PLEAT_F64);
        double back[2 * 7 * 6] = { 0 };
        ck_assert_ok(pleat_gradients(&y, 1, &x, 1, &(pleat_gradients_opts){ .grad_outputs = &g }, &grad));
        const int64_t oh = sizes[k].h < 0 ? 7 : sizes[k].h, ow = sizes[k].w;
        ck_assert(pleat_shape_equal(pleat_shape_of(y), PLEAT_SHAPE(2, oh, ow)));
        ck_assert(pleat_shape_equal(pleat_shape_of(index), PLEAT_SHAPE(2, oh, ow)));
        for (int64_t c = 0; c < 2; c++)
            for (int64_t oy = 0; oy < oh; oy++)
                for (int64_t ox = 0; ox < ow; ox++) {
                    const int64_t y0 = oy * 7 / oh, y1 = (int64_t)ceil((double)((oy + 1) * 7) / (double)oh);
                    const int64_t x0 = ox * 6 / ow, x1 = (int64_t)ceil((double)((ox + 1) * 6) / (double)ow);
                    double sum = 0, best = -INFINITY;
                    int64_t from = -1;
                    for (int64_t i = y0; i < y1; i++)
                        for (int64_t j = x0; j < x1; j++) {
                            sum += at(x, c, i, j);
                            back[(c * 7 + i) * 6 + j] += at(g, c, oy, ox) / (double)((y1 - y0) * (x1 - x0));
                            if (at(x, c, i, j) > best) {
                                best = at(x, c, i, j);
                                from = i * 6 + j;
                            }
                        }
                    ck_assert_double_eq_tol(at(y, c, oy, ox), sum / (double)((y1 - y0) * (x1 - x0)), 1e-14);
                    ck_assert_double_eq(at(m, c, oy, ox), best);
                    ck_assert_int_eq((int64_t)at(index, c, oy, ox), from);
                }
        for (int64_t i = 0; i < 2 * 7 * 6; i++)
            ck_assert_double_eq_tol(at(grad, i / 42, i / 6 % 7, i % 6), back[i], 1e-13);
    }
}
END_TEST

START_TEST(ceil_mode_of_max)
{
    pleat_seed(3);
    for (int64_t size = 2; size < 9; size++)
        for (int64_t stride = 1; stride < 4; stride++)
            for (int64_t padding = 0; padding < 2; padding++)
                for (int64_t kw = 2; kw < 4; kw++) {
                    const pleat_window w = { .kernel = { 2, kw },
                                             .stride = { stride, stride },
                                             .padding = { padding, padding },
                                             .dilation = { 1, 1 } };
                    pleat_tensor *x = pleat_randn(PLEAT_SHAPE(2, size, size + 1), PLEAT_F64), *index;
                    pleat_tensor *y = pleat_max_pool2d_with(x, &w, &(pleat_pool_opts){ .ceil_mode = true }, &index);
                    ck_assert_int_eq(pleat_size(y, 1), windows(size, 2, stride, padding, 1, true));
                    ck_assert_int_eq(pleat_size(y, 2), windows(size + 1, kw, stride, padding, 1, true));
                    for (int64_t c = 0; c < 2; c++)
                        for (int64_t oy = 0; oy < pleat_size(y, 1); oy++)
                            for (int64_t ox = 0; ox < pleat_size(y, 2); ox++) {
                                double best = -INFINITY;
                                const int64_t y0 = oy * stride - padding, x0 = ox * stride - padding;
                                for (int64_t i = larger(y0, 0); i < smaller(y0 + 2, size); i++)
                                    for (int64_t j = larger(x0, 0); j < smaller(x0 + kw, size + 1); j++)
                                        best = fmax(best, at(x, c, i, j));
                                ck_assert_double_eq(at(y, c, oy, ox), best);
                                const int64_t from = (int64_t)at(index, c, oy, ox);
                                ck_assert_double_eq(at(x, c, from / (size + 1), from % (size + 1)), best);
                            }
                }
}
END_TEST

START_TEST(unpool)
{
    const float data[] = { 1, 5, 2, 0, 3, 4, 8, 7 };
    pleat_tensor *x = pleat_from_data(data, PLEAT_SHAPE(1, 2, 4), PLEAT_F32), *index;
    pleat_tensor *y = pleat_max_pool2d_with(x, &(pleat_window){ .kernel = { 2, 2 } }, NULL, &index);
    const float want[] = { 0, 5, 0, 0, 0, 0, 8, 0 };
    ck_assert_mem_eq(pleat_data_f32(pleat_max_unpool2d(y, index, (pleat_hw){ 2, 4 })), want, sizeof want);
    /* one place twice: the last is put there */
    const int64_t twice[] = { 3, 0, 3, -1 };
    const double four[] = { 1, 2, 4, 8 }, put[] = { 2, 0, 0, 4 }, ones[] = { 0, 1, 1, 0 };
    pleat_tensor *g, *v = pleat_set_requires_grad(pleat_from_data(four, PLEAT_SHAPE(1, 2, 2), PLEAT_F64), true);
    y = pleat_max_unpool2d(v, pleat_from_data(twice, PLEAT_SHAPE(1, 2, 2), PLEAT_I64), (pleat_hw){ 2, 2 });
    ck_assert_mem_eq(pleat_data_f64(y), put, sizeof put);
    y = pleat_sum(y);
    ck_assert_ok(pleat_gradients(&y, 1, &v, 1, NULL, &g));
    ck_assert_mem_eq(pleat_data_f64(g), ones, sizeof ones);
}
END_TEST

START_TEST(power_average)
{
    pleat_seed(4);
    for (int p = 1; p <= 3; p++) {
        pleat_tensor *x = pleat_rand(PLEAT_SHAPE(2, 5, 7), PLEAT_F64);
        pleat_tensor *y =
            pleat_lp_pool2d(x, p, &(pleat_window){ .kernel = { 2, 3 } }, &(pleat_pool_opts){ .ceil_mode = true });
        ck_assert(pleat_shape_equal(pleat_shape_of(y), PLEAT_SHAPE(2, 3, 3)));
        for (int64_t i = 0; i < 18; i++) {
            double sum = 0;
            for (int64_t k = 0; k < 6; k++) {
                const int64_t row = i / 3 % 3 * 2 + k / 3, column = i % 3 * 3 + k % 3;
                sum += row < 5 && column < 7 ? pow(at(x, i / 9, row, column), p) : 0;
            }
            ck_assert_double_eq_tol(pleat_data_f64(y)[i], pow(sum, 1.0 / p), 1e-13);
        }
    }
}
END_TEST

START_TEST(local_response)
{
    pleat_seed(5);
    for (int64_t size = 1; size <= 6; size++) {
        pleat_tensor *x = pleat_randn(PLEAT_SHAPE(2, 5, 6), PLEAT_F64);
        const pleat_local_response_norm_opts o = { .alpha = 0.3, .beta = 0.6, .k = 1.5 };
        pleat_tensor *y = pleat_local_response_norm(x, size, &o);
        for (int64_t n = 0; n < 2; n++)
            for (int64_t c = 0; c < 5; c++)
                for (int64_t s = 0; s < 6; s++) {
                    double sum = 0;
                    for (int64_t k = c - size / 2; k <= c + (size - 1) / 2; k++)
                        sum += k >= 0 && k < 5 ? pow(at(x, n, k, s), 2) : 0;
                    const double want = at(x, n, c, s) / pow(1.5 + 0.3 * sum / (double)size, 0.6);
                    ck_assert_double_eq_tol(at(y, n, c, s), want, 1e-13);
                }
    }
    ck_assert_int_eq(pleat_numel(pleat_local_response_norm(pleat_zeros(PLEAT_SHAPE(0, 3, 4), PLEAT_F32), 2, NULL)), 0);
}
END_TEST

typedef struct {
    int kind;
    pleat_window window;
    pleat_pool_opts opts;
    pleat_hw size;
} pooling;

static pleat_tensor *call(pleat_tensor *const *in, void *user)
{
    const pooling *p = user;
    pleat_tensor *x = in[0], *index = NULL, *y;
    switch (p->kind) {
    case 0:
        return pleat_avg_pool2d(pleat_mul(x, x), &p->window, &p->opts);
    case 1:
        return pleat_adaptive_avg_pool2d(pleat_mul(x, x), p->size);
    case 2:
        return pleat_adaptive_max_pool2d(pleat_mul(x, x), p->size, NULL);
    case 3:
        y = pleat_max_pool2d_with(x, &p->window, &p->opts, &index);
        return y ? pleat_max_unpool2d(pleat_mul(y, y), index, (pleat_hw){ 5, 6 }) : NULL;
    case 4:
        return pleat_lp_pool2d(x, 2, &(pleat_window){ .kernel = { 2, 2 } }, NULL);
    default:
        return pleat_local_response_norm(x, 2 + p->kind % 2, &(pleat_local_response_norm_opts){ .alpha = 0.5 });
    }
}

START_TEST(gradients)
{
    pleat_seed(6);
    for (int kind = 0; kind <= 6; kind++)
        for (int k = 0; k < 4; k++) {
            pooling p = { kind, some_windows[k], options(kind == 3 ? 1 : k), { k + 1, 5 - k } };
            pleat_tensor *x = pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(2, 5, 6), PLEAT_F64), true);
            ck_assert_ok(pleat_gradcheck(call, &p, &x, 1, NULL));
            ck_assert_ok(pleat_gradgradcheck(call, &p, &x, 1, NULL));
        }
}
END_TEST

static pleat_tensor *value_and_gradient(void *user)
{
    pleat_tensor *x = user, *g;
    pleat_tensor *y = pleat_add(
        pleat_avg_pool2d(x, &(pleat_window){ .kernel = { 3, 3 }, .stride = { 1, 1 }, .padding = { 1, 1 } }, NULL),
        pleat_adaptive_max_pool2d(pleat_adaptive_avg_pool2d(x, (pleat_hw){ 4, 5 }), (pleat_hw){ 7, 8 }, NULL));
    ck_assert_ok(pleat_gradients(&y, 1, &x, 1, &(pleat_gradients_opts){ .grad_outputs = &x }, &g));
    return pleat_add(pleat_detach(y), g);
}

START_TEST(any_threads)
{
    same_for_any_threads(value_and_gradient,
                         pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(3, 2, 7, 8), PLEAT_F32), true));
}
END_TEST

START_TEST(refused)
{
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(3, 5, 5), PLEAT_F32);
    ck_assert_ptr_null(pleat_avg_pool2d(x, &(pleat_window){ .kernel = { 3, 3 }, .padding = { 2, 1 } }, NULL));
    ck_assert_failed(PLEAT_EINVAL, "avg_pool2d: padding (2, 1) must be at most half");
    ck_assert_ptr_null(pleat_avg_pool2d(x, &(pleat_window){ .kernel = { 2, 2 }, .dilation = { 2, 2 } }, NULL));
    ck_assert_failed(PLEAT_EINVAL, "dilation (2, 2): averages have none");
    ck_assert_ptr_null(pleat_avg_pool2d(x, NULL, NULL));
    ck_assert_failed(PLEAT_EINVAL, "kernel (0, 0)");
    ck_assert_ptr_null(pleat_avg_pool2d(pleat_ones(PLEAT_SHAPE(5, 5), PLEAT_F32), &some_windows[0], NULL));
    ck_assert_failed(PLEAT_ESHAPE, "input (5, 5) must be (N, C, H, W) or (C, H, W)");
    ck_assert_ptr_null(pleat_adaptive_avg_pool2d(x, (pleat_hw){ 0, 2 }));
    ck_assert_failed(PLEAT_EINVAL, "size (0, 2)");
    ck_assert_ptr_null(pleat_adaptive_max_pool2d(x, (pleat_hw){ 2, -2 }, NULL));
    ck_assert_failed(PLEAT_EINVAL, "adaptive_max_pool2d: size (2, -2)");
    ck_assert_ptr_null(pleat_lp_pool2d(x, 0, &some_windows[0], NULL));
    ck_assert_failed(PLEAT_EINVAL, "lp_pool2d: p must be finite and not 0");
    ck_assert_ptr_null(pleat_lp_pool2d(x, 2, &some_windows[1], NULL));
    ck_assert_failed(PLEAT_EINVAL, "lp_pool2d: padding (1, 1) must be 0");
    ck_assert_ptr_null(pleat_local_response_norm(x, 0, NULL));
    ck_assert_failed(PLEAT_EINVAL, "local_response_norm: size must be at least 1, not 0");
    ck_assert_ptr_null(pleat_local_response_norm(pleat_ones(PLEAT_SHAPE(3, 5), PLEAT_F32), 2, NULL));
    ck_assert_failed(PLEAT_ESHAPE, "local_response_norm: input (3, 5)");
    ck_assert_ptr_null(pleat_local_response_norm(NULL, 2, NULL));
    ck_assert_failed(PLEAT_EINVAL, "NULL");
    pleat_tensor *index = pleat_full(PLEAT_SHAPE(3, 5, 5), 25, PLEAT_I64);
    ck_assert_ptr_null(pleat_max_unpool2d(x, index, (pleat_hw){ 5, 5 }));
    ck_assert_failed(PLEAT_EINVAL, "index 25 at 0 is out of range for an image of 25 pixels");
    ck_assert_ptr_null(pleat_max_unpool2d(x, pleat_narrow(index, 0, 0, 2), (pleat_hw){ 5, 5 }));
    ck_assert_failed(PLEAT_ESHAPE, "input (3, 5, 5) and indices (2, 5, 5) must agree in shape");
    ck_assert_ptr_null(pleat_max_unpool2d(x, index, (pleat_hw){ -5, 5 }));
    ck_assert_failed(PLEAT_EINVAL, "(-5, 5)");
    ck_assert_ptr_null(pleat_max_unpool2d(x, NULL, (pleat_hw){ 5, 5 }));
    ck_assert_failed(PLEAT_EINVAL, "NULL");
}
END_TEST

RUN_TESTS("avg_pool2d", averages, averages_of_any_width, adaptive, ceil_mode_of_max, unpool, power_average,
          local_response, gradients, any_threads, refused)
