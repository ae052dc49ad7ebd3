/* Convolution by FFT, which is pinned for this program: against naive loops in double, within what rounding explains;
 * gradients of both orders; the same bits for any number of threads; no memory. */
#include "ops/conv_algo.h"
#include "ops/conv_core.h"
#include "ops/conv_fft.h"
#include "support/run.h"
#include "support/threads.h"
#include "tensor/memory.h"

#include <pleat/pleat.h>

#include <math.h>
#include <stdlib.h>

__attribute__((constructor)) static void pin(void)
{
    setenv("PLEAT_CONV_ALGO", "fft", 1);
}

static uint64_t state = 1;

static double uniform(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 11) / (double)(UINT64_C(1) << 53) - 0.5;
}

typedef struct {
    pleat_dtype dtype;
    int64_t n;
    void *data;
} array;

static double get(const array *a, int64_t i)
{
    return a->dtype == PLEAT_F64 ? ((double *)a->data)[i] : (double)((float *)a->data)[i];
}

static array draw(pleat_dtype dtype, int64_t n)
{
    array a = { dtype, n, malloc((size_t)n * pleat_dtype_size(dtype) + 1) };
    for (int64_t i = 0; i < n; i++)
        if (dtype == PLEAT_F64)
            ((double *)a.data)[i] = uniform();
        else
            ((float *)a.data)[i] = (float)uniform();
    return a;
}

/* The error of an element is that of sums of `terms` products below 1/4, which a transform spreads evenly. */
static void near(const array *got, const double *want, int64_t terms, const char *what, int shape)
{
    const double unit = got->dtype == PLEAT_F64 ? 0x1p-53 : 0x1p-24, bound = 30 * unit * (1 + sqrt((double)terms));
    for (int64_t i = 0; i < got->n; i++)
        ck_assert_msg(fabs(get(got, i) - want[i]) <= bound, "%s of shape %d: element %d is %.9g, not %.9g", what, shape,
                      (int)i, get(got, i), want[i]);
}

typedef struct {
    int64_t n, c, o, groups;
    pleat_hw image, kernel, padding;
} shape;

static const shape shapes[] = {
    { 1, 1, 1, 1, { 16, 16 }, { 3, 3 }, { 0, 0 } },     { 2, 3, 5, 1, { 20, 33 }, { 11, 11 }, { 5, 5 } },
    { 1, 2, 3, 1, { 70, 41 }, { 7, 12 }, { 3, 0 } },    { 3, 4, 4, 4, { 30, 25 }, { 9, 9 }, { 4, 4 } },
    { 1, 6, 4, 2, { 12, 50 }, { 1, 15 }, { 0, 7 } },    { 1, 1, 2, 1, { 9, 9 }, { 31, 31 }, { 15, 15 } },
    { 1, 1, 1, 1, { 90, 100 }, { 40, 33 }, { 0, 16 } }, { 5, 2, 9, 1, { 5, 6 }, { 4, 5 }, { 10, 9 } },
    { 1, 2, 2, 1, { 140, 9 }, { 64, 2 }, { 1, 0 } },    { 17, 1, 1, 1, { 24, 24 }, { 11, 11 }, { 0, 0 } },
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static pleat_conv_shape conv_of(const shape *s, pleat_dtype dtype)
{
    return (pleat_conv_shape){ .dtype = dtype,
                               .n = s->n,
                               .c = s->c,
                               .o = s->o,
                               .groups = s->groups,
                               .image = s->image,
                               .out = { s->image.h + 2 * s->padding.h - s->kernel.h + 1,
                                        s->image.w + 2 * s->padding.w - s->kernel.w + 1 },
                               .kernel = s->kernel,
                               .stride = { 1, 1 },
                               .padding = s->padding,
                               .dilation = { 1, 1 } };
}

static void check(int i, pleat_dtype dtype)
{
    const pleat_conv_shape s = conv_of(&shapes[i], dtype);
    const int64_t c_each = s.c / s.groups, o_each = s.o / s.groups, taps = s.kernel.h * s.kernel.w;
    array x = draw(dtype, s.n * s.c * s.image.h * s.image.w), w = draw(dtype, s.o * c_each * taps);
    array dy = draw(dtype, s.n * s.o * s.out.h * s.out.w), bias = draw(dtype, s.o), bias_x = draw(dtype, s.c);
    array y = draw(dtype, dy.n), dx = draw(dtype, x.n), dw = draw(dtype, w.n);
    double *want_y = calloc((size_t)y.n, 8), *want_x = calloc((size_t)x.n, 8), *want_w = calloc((size_t)w.n, 8);
    for (int64_t n = 0; n < s.n; n++)
        for (int64_t o = 0; o < s.o; o++)
            for (int64_t p = 0; p < s.out.h; p++)
                for (int64_t q = 0; q < s.out.w; q++) {
                    const int64_t yi = ((n * s.o + o) * s.out.h + p) * s.out.w + q;
                    for (int64_t c = 0; c < c_each; c++)
                        for (int64_t k = 0; k < taps; k++) {
                            const int64_t row = p + k / s.kernel.w - s.padding.h,
                                          column = q + k % s.kernel.w - s.padding.w;
                            if (row < 0 || row >= s.image.h || column < 0 || column >= s.image.w)
                                continue;
                            const int64_t xi =
                                ((n * s.c + o / o_each * c_each + c) * s.image.h + row) * s.image.w + column;
                            const int64_t wi = (o * c_each + c) * taps + k;
                            want_y[yi] += get(&x, xi) * get(&w, wi);
                            want_x[xi] += get(&dy, yi) * get(&w, wi);
                            want_w[wi] += get(&dy, yi) * get(&x, xi);
                        }
                    want_y[yi] += get(&bias, o);
                }
    for (int64_t k = 0; k < x.n; k++)
        want_x[k] += get(&bias_x, k / (s.image.h * s.image.w) % s.c);
    ck_assert_int_eq(pleat_conv_forward(&s, x.data, w.data, bias.data, y.data), PLEAT_OK);
    near(&y, want_y, c_each * taps, "forward", i);
    ck_assert_int_eq(pleat_conv_by_data(&s, dy.data, w.data, bias_x.data, dx.data), PLEAT_OK);
    near(&dx, want_x, o_each * taps, "by data", i);
    ck_assert_int_eq(pleat_conv_by_weight(&s, x.data, dy.data, dw.data, &(void *){ NULL }), PLEAT_OK);
    near(&dw, want_w, s.n * s.out.h * s.out.w, "by weight", i);
    free(x.data), free(w.data), free(dy.data), free(bias.data), free(bias_x.data), free(y.data), free(dx.data),
        free(dw.data), free(want_y), free(want_x), free(want_w);
}

START_TEST(the_formula)
{
    for (int i = 0; i < SHAPES; i++) {
        check(i, PLEAT_F64);
        check(i, PLEAT_F32);
    }
}
END_TEST

static pleat_tensor *convolve(pleat_tensor *const *in, void *user)
{
    const pleat_hw padding = { 1, 2 };
    return user ? pleat_conv_transpose2d(in[0], in[1], in[2], &(pleat_conv_transpose2d_opts){ .padding = padding })
                : pleat_conv2d(in[0], in[1], in[2], &(pleat_conv2d_opts){ .padding = padding });
}

START_TEST(gradients_of_both_orders)
{
    const pleat_scope scope = pleat_scope_begin();
    int transpose = 1;
    for (int i = 0; i < 2; i++) {
        pleat_tensor *in[] = { pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(2, 2, 6, 5), PLEAT_F64), true),
                               pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(2, 2, 4, 5), PLEAT_F64), true),
                               pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(2), PLEAT_F64), true) };
        ck_assert_ok(pleat_gradcheck(convolve, i ? &transpose : NULL, in, 3, NULL));
        ck_assert_ok(pleat_gradgradcheck(convolve, i ? &transpose : NULL, in, 3, NULL));
    }
    pleat_scope_end(scope);
}
END_TEST

static pleat_tensor *all(void *user)
{
    pleat_tensor *const *in = user;
    const pleat_conv2d_opts opts = { .padding = { 5, 5 }, .relu = true };
    pleat_tensor *y = pleat_conv2d(in[0], in[1], NULL, &opts), *g[2];
    ck_assert_ok(pleat_gradients(&y, 1, in, 2, &(pleat_gradients_opts){ .grad_outputs = (pleat_tensor *[]){ y } }, g));
    return pleat_cat((pleat_tensor *[]){ pleat_flatten(pleat_detach(y), 0, -1), pleat_flatten(g[0], 0, -1),
                                         pleat_flatten(g[1], 0, -1) },
                     3, 0);
}

START_TEST(any_threads)
{
    const pleat_scope scope = pleat_scope_begin();
    pleat_tensor *in[] = { pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(3, 4, 40, 40), PLEAT_F32), true),
                           pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(5, 4, 11, 11), PLEAT_F32), true) };
    same_for_any_threads(all, in);
    pleat_scope_end(scope);
}
END_TEST

START_TEST(no_memory)
{
    const pleat_conv_shape s = conv_of(&shapes[1], PLEAT_F32);
    float *x = calloc(100000, 4), *w = calloc(100000, 4), *y = calloc(100000, 4);
    pleat_memory_fail_after(1);
    ck_assert_int_eq(pleat_conv_forward(&s, x, w, NULL, y), PLEAT_ENOMEM);
    pleat_error_clear();
    pleat_memory_fail_after(1);
    ck_assert_int_eq(pleat_conv_by_weight(&s, x, y, w, &(void *){ NULL }), PLEAT_ENOMEM);
    pleat_error_clear();
    ck_assert_int_eq(pleat_memory_fail_after(0), 0);
    free(x), free(w), free(y);
}
END_TEST

RUN_TESTS("conv_fft", the_formula, gradients_of_both_orders, any_threads, no_memory)
