/* conv2d and conv2d_weight: against loops, and against each other; groups; views; empty tensors; which work is left
 * undone; every input that is refused. */
#include "conv_oracle.h"

#include "support/run.h"
#include "tensor/thread.h"

static oracle_sizes draw_sizes(uint64_t *state, oracle_opts *f, int64_t largest)
{
    const bool grouped = oracle_draw(state, 0, 2) == 0;
    f->groups = grouped ? oracle_draw(state, 2, 3) : 1;
    f->stride = (pleat_hw){ oracle_draw(state, 1, 3), oracle_draw(state, 1, 3) };
    f->padding = (pleat_hw){ oracle_draw(state, 0, 2), oracle_draw(state, 0, 2) };
    f->dilation = (pleat_hw){ 1 + oracle_draw(state, 0, 3) / 2, 1 + oracle_draw(state, 0, 3) / 2 };
    oracle_sizes z = { .n = oracle_draw(state, 1, 3),
                       .c = f->groups * oracle_draw(state, 1, 4),
                       .o = f->groups * oracle_draw(state, 1, 4),
                       .kh = oracle_draw(state, 1, 4),
                       .kw = oracle_draw(state, 1, 4) };
    z.h = oracle_draw(state, 0, largest) + f->dilation.h * (z.kh - 1) + 1;
    z.w = oracle_draw(state, 0, largest) + f->dilation.w * (z.kw - 1) + 1;
    z.oh = (z.h + 2 * f->padding.h - f->dilation.h * (z.kh - 1) - 1) / f->stride.h + 1;
    z.ow = (z.w + 2 * f->padding.w - f->dilation.w * (z.kw - 1) - 1) / f->stride.w + 1;
    return z;
}

static pleat_conv2d_opts as_opts(const oracle_opts *f)
{
    return (
        pleat_conv2d_opts){ .stride = f->stride, .padding = f->padding, .dilation = f->dilation, .groups = f->groups };
}

START_TEST(forward_is_the_formula)
{
    uint64_t state = 1;
    for (int i = 0; i < 200; i++) {
        const pleat_scope scope = pleat_scope_begin();
        oracle_opts f;
        const oracle_sizes z = draw_sizes(&state, &f, i % 10 == 0 ? 30 : 7);
        const pleat_dtype dtype = i % 2 ? PLEAT_F32 : PLEAT_F64;
        pleat_tensor *x = random_view(PLEAT_SHAPE(z.n, z.c, z.h, z.w), dtype, i % VIEW_KINDS);
        pleat_tensor *w = random_view(PLEAT_SHAPE(z.o, z.c / f.groups, z.kh, z.kw), dtype, i / 5 % VIEW_KINDS);
        pleat_tensor *b = i % 3 ? random_view(PLEAT_SHAPE(z.o), dtype, i % VIEW_KINDS) : NULL;
        const pleat_conv2d_opts opts = as_opts(&f);
        pleat_tensor *y = pleat_conv2d(x, w, b, &opts);
        oracle_compare("conv2d", y, &z, &f, x, w, NULL, b);
        const pleat_hw size = pleat_conv2d_output_size((pleat_hw){ z.h, z.w }, (pleat_hw){ z.kh, z.kw }, &opts);
        ck_assert(size.h == z.oh && size.w == z.ow && pleat_size(y, 2) == z.oh && pleat_size(y, 3) == z.ow);
        pleat_tensor *g = random_view(pleat_shape_of(y), dtype, i / 2 % VIEW_KINDS);
        oracle_compare("conv2d_weight", pleat_conv2d_weight(x, g, (pleat_hw){ z.kh, z.kw }, &opts), &z, &f, x, NULL, g,
                       NULL);
        if (z.n == 1) { /* the same without a batch */
            pleat_tensor *one = pleat_conv2d(pleat_select(x, 0, 0), w, b, &opts);
            ck_assert(pleat_ndim(one) == 3 && pleat_allclose(one, pleat_select(y, 0, 0), 0, 0));
        }
        pleat_scope_end(scope);
    }
}
END_TEST

/* <conv2d(x, w), g> = <x, conv_transpose2d(g, w)> = <w, conv2d_weight(x, g)>, and these are the gradients. */
START_TEST(gradients_are_the_adjoints)
{
    uint64_t state = 2;
    for (int i = 0; i < 60; i++) {
        const pleat_scope scope = pleat_scope_begin();
        oracle_opts f;
        const oracle_sizes z = draw_sizes(&state, &f, 8);
        const pleat_conv2d_opts opts = as_opts(&f);
        pleat_tensor *in[] = { pleat_randn(PLEAT_SHAPE(z.n, z.c, z.h, z.w), PLEAT_F64), NULL, NULL }, *grad[3];
        in[1] = pleat_randn(PLEAT_SHAPE(z.o, z.c / f.groups, z.kh, z.kw), PLEAT_F64);
        in[2] = pleat_randn(PLEAT_SHAPE(z.o), PLEAT_F64);
        for (int k = 0; k < 3; k++)
            pleat_set_requires_grad(in[k], true);
        pleat_tensor *y = pleat_conv2d(in[0], in[1], in[2], &opts);
        pleat_tensor *g = pleat_randn(pleat_shape_of(y), PLEAT_F64);
        ck_assert_ok(pleat_gradients(&y, 1, in, 3, &(pleat_gradients_opts){ .grad_outputs = &g }, grad));
        oracle_compare("gradient by x", grad[0], &z, &f, NULL, in[1], g, NULL);
        oracle_compare("gradient by weight", grad[1], &z, &f, in[0], NULL, g, NULL);
        ck_assert(pleat_allclose(grad[2], pleat_sum_dims(g, PLEAT_DIMS(0, 2, 3), false), 1e-12, 1e-12));
        pleat_tensor *plain = pleat_conv2d(in[0], in[1], NULL, &opts);
        const double left = pleat_item(pleat_sum(pleat_mul(plain, g)));
        ck_assert_double_eq_tol(left, pleat_item(pleat_sum(pleat_mul(in[0], grad[0]))), 1e-9);
        ck_assert_double_eq_tol(left, pleat_item(pleat_sum(pleat_mul(in[1], grad[1]))), 1e-9);
        pleat_scope_end(scope);
    }
}
END_TEST

/* One window that is the image; windows side by side, many pixels apart, or of one pixel, few of them and of many
 * images, too: with a bias and a relu, and the transpose with them too. */
START_TEST(tiles_and_wide_steps)
{
    static const struct {
        oracle_sizes size;
        pleat_hw stride, padding;
        int64_t groups;
    } cases[] = {
        { { 5, 3, 4, 4, 7, 4, 4, 1, 1 }, { 1, 1 }, { 0, 0 }, 1 },
        { { 3, 4, 2, 3, 6, 2, 3, 1, 1 }, { 1, 1 }, { 0, 0 }, 2 },
        { { 37, 20, 1, 1, 19, 1, 1, 1, 1 }, { 3, 1 }, { 0, 0 }, 1 },
        { { 2, 3, 15, 20, 6, 5, 5, 3, 4 }, { 5, 5 }, { 0, 0 }, 1 },
        { { 2, 2, 5, 34, 3, 5, 17, 1, 2 }, { 1, 17 }, { 0, 0 }, 1 },
        { { 2, 2, 40, 35, 5, 20, 18, 2, 1 }, { 20, 18 }, { 0, 0 }, 1 },
        { { 2, 2, 40, 57, 5, 19, 18, 2, 3 }, { 20, 19 }, { 0, 0 }, 1 },
        { { 2, 4, 20, 36, 6, 20, 18, 1, 2 }, { 20, 18 }, { 0, 0 }, 2 },
        { { 2, 50, 9, 11, 34, 1, 1, 5, 6 }, { 2, 2 }, { 0, 0 }, 1 },
        { { 2, 50, 7, 6, 34, 1, 1, 7, 6 }, { 1, 1 }, { 0, 0 }, 1 },
        { { 1, 2, 20, 200, 3, 10, 10, 2, 20 }, { 10, 10 }, { 0, 0 }, 1 },
        { { 2, 33, 8, 9, 34, 1, 1, 4, 5 }, { 2, 2 }, { 0, 0 }, 1 },
        { { 3, 48, 7, 13, 64, 1, 1, 3, 3 }, { 3, 5 }, { 0, 0 }, 2 },
        { { 1, 17, 20, 20, 150, 1, 1, 20, 10 }, { 1, 2 }, { 0, 0 }, 1 },
        { { 5, 20, 5, 5, 131, 1, 1, 5, 5 }, { 1, 1 }, { 0, 0 }, 1 },
        { { 3, 130, 3, 7, 129, 1, 1, 3, 7 }, { 1, 1 }, { 0, 0 }, 1 },
        { { 2, 16, 5, 6, 130, 1, 1, 7, 10 }, { 1, 1 }, { 1, 2 }, 1 },
        { { 2, 16, 5, 6, 130, 1, 1, 4, 5 }, { 2, 2 }, { 1, 2 }, 1 },
    };
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        const pleat_scope scope = pleat_scope_begin();
        const oracle_sizes z = cases[i / 2].size;
        const pleat_hw stride = cases[i / 2].stride;
        const int64_t groups = cases[i / 2].groups;
        const pleat_hw padding = cases[i / 2].padding;
        const oracle_opts f = { stride, padding, { 1, 1 }, groups };
        pleat_conv2d_opts opts = { .stride = stride, .padding = padding, .groups = groups };
        pleat_conv_transpose2d_opts back = { .stride = stride, .padding = padding, .groups = groups };
        const pleat_dtype dtype = i % 2 ? PLEAT_F32 : PLEAT_F64;
        pleat_tensor *in[] = { pleat_randn(PLEAT_SHAPE(z.n, z.c, z.h, z.w), dtype),
                               pleat_randn(PLEAT_SHAPE(z.o, z.c / groups, z.kh, z.kw), dtype),
                               pleat_randn(PLEAT_SHAPE(z.o), dtype) };
        pleat_tensor *g = pleat_randn(PLEAT_SHAPE(z.n, z.o, z.oh, z.ow), dtype), *grad[3];
        pleat_tensor *offset = pleat_randn(PLEAT_SHAPE(z.c), dtype);
        for (int k = 0; k < 3; k++)
            pleat_set_requires_grad(in[k], true);
        pleat_tensor *y = pleat_conv2d(in[0], in[1], in[2], &opts);
        oracle_compare("conv2d", y, &z, &f, in[0], in[1], NULL, in[2]);
        ck_assert_ok(pleat_gradients(&y, 1, in, 3, &(pleat_gradients_opts){ .grad_outputs = &g }, grad));
        oracle_compare("gradient by x", grad[0], &z, &f, NULL, in[1], g, NULL);
        oracle_compare("gradient by weight", grad[1], &z, &f, in[0], NULL, g, NULL);
        ck_assert(pleat_allclose(grad[2], pleat_sum_dims(g, PLEAT_DIMS(0, 2, 3), false), 1e-4, 1e-4));
        opts.relu = true;
        ck_assert(pleat_equal(pleat_conv2d(in[0], in[1], in[2], &opts), pleat_relu(y)));
        const oracle_sizes t = { z.n,
                                 z.c,
                                 (z.oh - 1) * stride.h + z.kh - 2 * padding.h,
                                 (z.ow - 1) * stride.w + z.kw - 2 * padding.w,
                                 z.o,
                                 z.kh,
                                 z.kw,
                                 z.oh,
                                 z.ow };
        y = pleat_conv_transpose2d(g, in[1], offset, &back);
        oracle_compare("conv_transpose2d", y, &t, &f, NULL, in[1], g, offset);
        back.relu = true;
        ck_assert(pleat_equal(pleat_conv_transpose2d(g, in[1], offset, &back), pleat_relu(y)));
        pleat_scope_end(scope);
    }
}
END_TEST

/* A convolution is unfold, one matrix product, and a reshape. */
START_TEST(unfold_and_matmul_agree)
{
    const pleat_conv2d_opts opts = { .padding = { 1, 1 } };
    const pleat_window window = { .kernel = { 3, 3 }, .padding = { 1, 1 } };
    pleat_tensor *x = pleat_randn(PLEAT_SHAPE(16, 3, 32, 32), PLEAT_F32);
    pleat_tensor *w = pleat_randn(PLEAT_SHAPE(64, 3, 3, 3), PLEAT_F32);
    pleat_tensor *y = pleat_conv2d(x, w, NULL, &opts);
    ck_assert(pleat_shape_equal(pleat_shape_of(y), PLEAT_SHAPE(16, 64, 32, 32)));
    pleat_tensor *product = pleat_matmul(pleat_reshape(w, PLEAT_SHAPE(64, 27)), pleat_unfold(x, &window));
    ck_assert(pleat_allclose(pleat_reshape(product, pleat_shape_of(y)), y, 1e-4, 1e-4));
}
END_TEST

/* groups is to split the channels, to convolve, and to put the results together: values and gradients. */
START_TEST(groups_are_separate_convolutions)
{
    static const struct {
        int64_t c, o, groups;
    } cases[] = { { 4, 4, 2 }, { 4, 16, 2 }, { 3, 6, 3 }, { 5, 5, 5 } };
    for (int i = 0; i < 4; i++) {
        const int64_t c = cases[i].c, o = cases[i].o, groups = cases[i].groups;
        pleat_tensor *x = pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(2, c, 6, 6), PLEAT_F64), true);
        pleat_tensor *w = pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(o, c / groups, 3, 3), PLEAT_F64), true);
        pleat_tensor *y = pleat_conv2d(x, w, NULL, &(pleat_conv2d_opts){ .groups = groups });
        pleat_tensor *r = pleat_randn(pleat_shape_of(y), PLEAT_F64), *grad[2], *part_grad[2];
        ck_assert_ok(
            pleat_gradients(&y, 1, (pleat_tensor *[]){ x, w }, 2, &(pleat_gradients_opts){ .grad_outputs = &r }, grad));
        for (int64_t g = 0; g < groups; g++) {
            pleat_tensor *xg = pleat_narrow(x, 1, g * (c / groups), c / groups);
            pleat_tensor *wg = pleat_narrow(w, 0, g * (o / groups), o / groups);
            pleat_tensor *yg = pleat_conv2d(xg, wg, NULL, NULL), *rg = pleat_narrow(r, 1, g * (o / groups), o / groups);
            ck_assert(pleat_allclose(yg, pleat_narrow(y, 1, g * (o / groups), o / groups), 1e-12, 1e-12));
            ck_assert_ok(pleat_gradients(&yg, 1, (pleat_tensor *[]){ xg, wg }, 2,
                                         &(pleat_gradients_opts){ .grad_outputs = &rg }, part_grad));
            ck_assert(
                pleat_allclose(part_grad[0], pleat_narrow(grad[0], 1, g * (c / groups), c / groups), 1e-12, 1e-12));
            ck_assert(
                pleat_allclose(part_grad[1], pleat_narrow(grad[1], 0, g * (o / groups), o / groups), 1e-12, 1e-12));
        }
    }
}
END_TEST

START_TEST(views)
{
    /* a weight that is every other element of something: PyTorch's own test, exact */
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(64, 16, 16, 16), PLEAT_F64);
    pleat_tensor *all = pleat_reshape(pleat_arange(0, 1, 1.0 / 1024, PLEAT_F64), PLEAT_SHAPE(32, 16, 1, 2));
    pleat_tensor *w = pleat_slice(all, 3, 0, 2, 2);
    ck_assert(!pleat_is_contiguous(w));
    ck_assert(pleat_item(pleat_sum(pleat_conv2d(x, w, NULL, NULL))) == 4186112.0);
    /* one that is repeated, and an image whose channels come last in memory */
    pleat_tensor *tap = pleat_expand(pleat_randn(PLEAT_SHAPE(5, 1, 3, 3), PLEAT_F64), PLEAT_SHAPE(5, 4, 3, 3));
    pleat_tensor *nhwc = pleat_randn(PLEAT_SHAPE(2, 7, 6, 4), PLEAT_F64);
    pleat_tensor *image = pleat_permute(nhwc, PLEAT_DIMS(0, 3, 1, 2));
    ck_assert(pleat_equal(pleat_conv2d(image, tap, NULL, NULL),
                          pleat_conv2d(pleat_clone(image), pleat_clone(tap), NULL, NULL)));
}
END_TEST

START_TEST(empty)
{
    pleat_tensor *w = pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(3, 2, 3, 3), PLEAT_F64), true);
    pleat_tensor *b = pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(3), PLEAT_F64), true);
    pleat_tensor *x = pleat_set_requires_grad(pleat_zeros(PLEAT_SHAPE(0, 2, 5, 5), PLEAT_F64), true);
    pleat_tensor *y = pleat_conv2d(x, w, b, NULL);
    ck_assert(pleat_shape_equal(pleat_shape_of(y), PLEAT_SHAPE(0, 3, 3, 3)));
    ck_assert_ok(pleat_backward(pleat_sum(y)));
    ck_assert(pleat_equal(pleat_grad(w), pleat_zeros(pleat_shape_of(w), PLEAT_F64)));
    ck_assert(pleat_equal(pleat_grad(b), pleat_zeros(PLEAT_SHAPE(3), PLEAT_F64)));
    /* no channels: the bias is all there is */
    y = pleat_conv2d(pleat_zeros(PLEAT_SHAPE(2, 0, 5, 5), PLEAT_F64), pleat_zeros(PLEAT_SHAPE(3, 0, 3, 3), PLEAT_F64),
                     b, NULL);
    ck_assert(
        pleat_equal(y, pleat_clone(pleat_expand(pleat_reshape(b, PLEAT_SHAPE(1, 3, 1, 1)), PLEAT_SHAPE(2, 3, 3, 3)))));
    /* no rows but the padding's */
    y = pleat_conv2d(pleat_zeros(PLEAT_SHAPE(2, 2, 0, 5), PLEAT_F64), w, NULL,
                     &(pleat_conv2d_opts){ .padding = { 2, 0 } });
    ck_assert(pleat_equal(y, pleat_zeros(PLEAT_SHAPE(2, 3, 2, 3), PLEAT_F64)));
}
END_TEST

static int calls_of(const char *name, int64_t from)
{
    const pleat_tape *tape = &pleat_thread_get()->tape;
    int n = 0;
    for (int64_t i = from; i < tape->length; i++)
        n += strcmp(tape->call[i]->op->name, name) == 0;
    return n;
}

/* Recorded, a gradient's own calls are on the tape to be counted. */
START_TEST(nothing_that_nobody_wants)
{
    pleat_tensor *x = pleat_randn(PLEAT_SHAPE(1, 2, 5, 5), PLEAT_F64), *grad;
    pleat_tensor *w = pleat_randn(PLEAT_SHAPE(3, 2, 3, 3), PLEAT_F64);
    for (int by_x = 0; by_x < 2; by_x++) {
        pleat_tensor *leaf = pleat_set_requires_grad(pleat_clone(by_x ? x : w), true);
        pleat_tensor *y = by_x ? pleat_conv2d(leaf, w, NULL, NULL) : pleat_conv2d(x, leaf, NULL, NULL);
        pleat_tensor *g = pleat_set_requires_grad(pleat_ones(pleat_shape_of(y), PLEAT_F64), true);
        const pleat_gradients_opts opts = { .grad_outputs = &g, .record = true };
        const int64_t from = pleat_tape_length();
        ck_assert_ok(pleat_gradients(&y, 1, &leaf, 1, &opts, &grad));
        ck_assert_int_eq(calls_of("conv_transpose2d", from), by_x);
        ck_assert_int_eq(calls_of("conv2d_weight", from), !by_x);
        ck_assert_int_eq(calls_of("sum", from), 0);
    }
}
END_TEST

/* Double backward over PyTorch's list: kernel, input, dilation, stride, padding, batch, groups. */
START_TEST(second_derivatives)
{
    static const int64_t cases[][8] = {
        /* k, in, dilation, stride, padding, from, to, groups */
        { 3, 5, 1, 1, 2, 2, 3, 1 }, { 3, 5, 2, 1, 2, 2, 3, 1 }, { 4, 9, 1, 1, 2, 2, 3, 1 }, { 3, 5, 1, 2, 1, 2, 4, 1 },
        { 3, 5, 1, 1, 2, 2, 4, 2 }, { 3, 5, 1, 2, 0, 2, 3, 1 }, { 3, 7, 2, 2, 1, 2, 3, 1 }
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int64_t *c = cases[i];
        const pleat_conv2d_opts opts = {
            .stride = { c[3], c[3] }, .padding = { c[4], c[4] }, .dilation = { c[2], c[2] }, .groups = c[7]
        };
        pleat_tensor *in[] = { pleat_randn(PLEAT_SHAPE(2, c[5], c[1], c[1]), PLEAT_F64), NULL };
        in[1] = pleat_randn(PLEAT_SHAPE(c[6], c[5] / c[7], c[0], c[0]), PLEAT_F64);
        pleat_set_requires_grad(in[0], true);
        pleat_set_requires_grad(in[1], true);
        /* E = sum of y^3: its gradient's penalty, by both, against the closed formulas of the triad */
        pleat_tensor *y = pleat_conv2d(in[0], in[1], NULL, &opts), *e = pleat_sum(pleat_mul(y, pleat_mul(y, y))), *g;
        ck_assert_ok(pleat_gradients(&e, 1, in, 1, &(pleat_gradients_opts){ .record = true }, &g));
        pleat_tensor *p = pleat_mul_scalar(pleat_sum(pleat_mul(g, g)), 0.5), *pg[2];
        ck_assert_ok(pleat_gradients(&p, 1, in, 2, NULL, pg));
        /* with c = 3 y^2 (dE/dy): g = T(c, w); dP/dc = conv(g, w) =: v; dP/dx = T(6 y v, w),
         * dP/dw = W(x, 6 y v) + W(g, c) */
        const bool mode = pleat_grad_mode(false);
        pleat_tensor *v = pleat_conv2d(g, in[1], NULL, &opts), *yv = pleat_mul_scalar(pleat_mul(y, v), 6);
        pleat_tensor *slope = pleat_mul_scalar(pleat_mul(y, y), 3);
        const pleat_hw k = { c[0], c[0] };
        pleat_tensor *dw = pleat_add(pleat_conv2d_weight(in[0], yv, k, &opts), pleat_conv2d_weight(g, slope, k, &opts));
        pleat_grad_mode(mode);
        ck_assert(pleat_allclose(pg[1], dw, 1e-9, 1e-8));
        oracle_sizes z = { 2, c[5], c[1], c[1], c[6], c[0], c[0], pleat_size(y, 2), pleat_size(y, 3) };
        oracle_compare("second derivative by x", pg[0], &z,
                       &(oracle_opts){ opts.stride, opts.padding, opts.dilation, c[7] }, NULL, in[1], yv, NULL);
    }
}
END_TEST

#define REFUSED(code, words, ...)                                                                                      \
    do {                                                                                                               \
        ck_assert_ptr_null(pleat_conv2d(__VA_ARGS__));                                                                 \
        ck_assert(strncmp(pleat_error(), "conv2d: ", 8) == 0);                                                         \
        ck_assert_failed(code, words);                                                                                 \
    } while (0)
#define OPTS(...) (&(pleat_conv2d_opts){ __VA_ARGS__ })

START_TEST(refusals)
{
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(1, 4, 5, 5), PLEAT_F32),
                 *w = pleat_ones(PLEAT_SHAPE(8, 4, 3, 3), PLEAT_F32);
    const int64_t huge = INT64_C(1) << 62;
    REFUSED(PLEAT_EINVAL, "NULL", NULL, w, NULL, NULL);
    REFUSED(PLEAT_EINVAL, "NULL", x, NULL, NULL, NULL);
    REFUSED(PLEAT_EDTYPE, "float64", x, pleat_ones(PLEAT_SHAPE(8, 4, 3, 3), PLEAT_F64), NULL, NULL);
    REFUSED(PLEAT_EDTYPE, "float64", x, w, pleat_ones(PLEAT_SHAPE(8), PLEAT_F64), NULL);
    REFUSED(PLEAT_EDTYPE, "int64", pleat_ones(PLEAT_SHAPE(2, 4, 4), PLEAT_I64),
            pleat_ones(PLEAT_SHAPE(3, 2, 3, 3), PLEAT_I64), NULL, NULL);
    REFUSED(PLEAT_EINVAL, "stride (2, 0)", x, w, NULL, OPTS(.stride = { 2, 0 }));
    REFUSED(PLEAT_EINVAL, "stride (-1, 1)", x, w, NULL, OPTS(.stride = { -1, 1 }));
    REFUSED(PLEAT_EINVAL, "padding (-1, 0)", x, w, NULL, OPTS(.padding = { -1, 0 }));
    REFUSED(PLEAT_EINVAL, "dilation (0, 2)", x, w, NULL, OPTS(.dilation = { 0, 2 }));
    REFUSED(PLEAT_EINVAL, "dilation (-1, -1)", x, w, NULL, OPTS(.dilation = { -1, -1 }));
    REFUSED(PLEAT_EINVAL, "groups -1", x, w, NULL, OPTS(.groups = -1));
    REFUSED(PLEAT_ESHAPE, "8 output channels, which 3 groups do not divide", x, w, NULL, OPTS(.groups = 3));
    REFUSED(PLEAT_ESHAPE, "has 4 channels, weight (8, 2, 3, 3) expects 4 groups of 2", x,
            pleat_ones(PLEAT_SHAPE(8, 2, 3, 3), PLEAT_F32), NULL, OPTS(.groups = 4));
    REFUSED(PLEAT_ESHAPE, "input (1, 3, 8, 8) has 3 channels, weight (4, 2, 3, 3) expects 2",
            pleat_ones(PLEAT_SHAPE(1, 3, 8, 8), PLEAT_F32), pleat_ones(PLEAT_SHAPE(4, 2, 3, 3), PLEAT_F32), NULL, NULL);
    REFUSED(PLEAT_ESHAPE, "bias (3,) must be (8,)", x, w, pleat_ones(PLEAT_SHAPE(3), PLEAT_F32), NULL);
    REFUSED(PLEAT_ESHAPE, "bias (1, 8) must be (8,)", x, w, pleat_ones(PLEAT_SHAPE(1, 8), PLEAT_F32), NULL);
    REFUSED(PLEAT_ESHAPE, "input (4, 5) must be", pleat_ones(PLEAT_SHAPE(4, 5), PLEAT_F32), w, NULL, NULL);
    REFUSED(PLEAT_ESHAPE, "input (1, 1, 4, 5, 5) must be", pleat_ones(PLEAT_SHAPE(1, 1, 4, 5, 5), PLEAT_F32), w, NULL,
            NULL);
    REFUSED(PLEAT_ESHAPE, "weight (8, 4, 3) must have 4", x, pleat_ones(PLEAT_SHAPE(8, 4, 3), PLEAT_F32), NULL, NULL);
    REFUSED(PLEAT_ESHAPE, "covers (10, 10), the image (1, 1)", pleat_ones(PLEAT_SHAPE(1, 4, 1, 1), PLEAT_F32),
            pleat_ones(PLEAT_SHAPE(1, 4, 10, 10), PLEAT_F32), NULL, NULL);
    REFUSED(PLEAT_ESHAPE, "covers (7, 5)", x, w, NULL, OPTS(.dilation = { 3, 2 }));
    REFUSED(PLEAT_EINVAL, "kernel (0, 3)", x, pleat_ones(PLEAT_SHAPE(8, 4, 0, 3), PLEAT_F32), NULL, NULL);
    REFUSED(PLEAT_ESHAPE, "padding (4611686018427387904, 0) is too large", x, w, NULL, OPTS(.padding = { huge, 0 }));
    REFUSED(PLEAT_ESHAPE, "too large", x, w, NULL, OPTS(.padding = { 0, INT64_MAX }));
    REFUSED(PLEAT_ESHAPE, "too large", x, w, NULL, OPTS(.dilation = { huge, 1 }));
    REFUSED(PLEAT_ENOMEM, "conv2d", x, w, NULL, OPTS(.padding = { INT64_C(1) << 30, 0 }));
    /* a kernel as large as the padded image fits at one place */
    ck_assert_ptr_nonnull(pleat_conv2d(x, w, NULL, OPTS(.dilation = { 2, 2 })));
    ck_assert_ptr_nonnull(pleat_conv2d(x, w, NULL, OPTS(.dilation = { 3, 3 }, .padding = { 1, 1 })));

    const pleat_hw bad = pleat_conv2d_output_size((pleat_hw){ 2, 2 }, (pleat_hw){ 3, 3 }, NULL);
    ck_assert(bad.h == -1 && bad.w == -1 && pleat_check() == PLEAT_ESHAPE);
    ck_assert_failed(PLEAT_ESHAPE, "conv2d_output_size: ");
}
END_TEST

START_TEST(weight_refusals)
{
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(2, 4, 5, 5), PLEAT_F32),
                 *g = pleat_ones(PLEAT_SHAPE(2, 6, 3, 3), PLEAT_F32);
    const pleat_hw k = { 3, 3 };
    ck_assert_ptr_nonnull(pleat_conv2d_weight(x, g, k, NULL));
    ck_assert_ptr_null(pleat_conv2d_weight(x, pleat_ones(PLEAT_SHAPE(2, 6, 3, 4), PLEAT_F32), k, NULL));
    ck_assert_failed(PLEAT_ESHAPE, "conv2d_weight: gradient (2, 6, 3, 4) must have size (3, 3)");
    ck_assert_ptr_null(pleat_conv2d_weight(x, pleat_ones(PLEAT_SHAPE(2, 6, 2, 3), PLEAT_F32), k, NULL));
    ck_assert_failed(PLEAT_ESHAPE, "must have size (3, 3)");
    ck_assert_ptr_null(pleat_conv2d_weight(x, pleat_ones(PLEAT_SHAPE(1, 6, 3, 3), PLEAT_F32), k, NULL));
    ck_assert_failed(PLEAT_ESHAPE, "same batch");
    ck_assert_ptr_null(pleat_conv2d_weight(x, pleat_ones(PLEAT_SHAPE(6, 3, 3), PLEAT_F32), k, NULL));
    ck_assert_failed(PLEAT_ESHAPE, "same batch");
    ck_assert_ptr_null(pleat_conv2d_weight(x, g, k, OPTS(.groups = 4)));
    ck_assert_failed(PLEAT_ESHAPE, "4 groups do not divide");
    ck_assert_ptr_null(pleat_conv2d_weight(x, g, (pleat_hw){ 0, 0 }, NULL));
    ck_assert_failed(PLEAT_EINVAL, "kernel (0, 0)");
    ck_assert_ptr_null(pleat_conv2d_weight(x, g, (pleat_hw){ 6, 3 }, NULL));
    ck_assert_failed(PLEAT_ESHAPE, "covers (6, 3)");
    ck_assert_ptr_null(pleat_conv2d_weight(x, g, (pleat_hw){ INT64_C(1) << 32, INT64_C(1) << 32 }, NULL));
    ck_assert_failed(PLEAT_ESHAPE, "conv2d_weight");
    ck_assert_ptr_null(pleat_conv2d_weight(x, pleat_ones(PLEAT_SHAPE(2, 6, 0, 3), PLEAT_F32), k, NULL));
    ck_assert_failed(PLEAT_ESHAPE, "must have size");
}
END_TEST

/* Padding that differs on two sides, keeps the size, or shows the image: pad in front, in PyTorch's order. */
START_TEST(other_paddings)
{
    pleat_seed(8);
    pleat_tensor *x = pleat_randn(PLEAT_SHAPE(2, 2, 10, 11), PLEAT_F64),
                 *w = pleat_randn(PLEAT_SHAPE(3, 2, 4, 4), PLEAT_F64);
    /* even kernels: one more behind, so 5 all around without the first row and column */
    const pleat_conv2d_opts same = { .dilation = { 3, 3 }, .same = true },
                            around = { .dilation = { 3, 3 }, .padding = { 5, 5 } };
    pleat_tensor *y = pleat_conv2d(x, w, NULL, &same), *z = pleat_conv2d(x, w, NULL, &around);
    ck_assert(y && pleat_size(y, 2) == 10 && pleat_size(y, 3) == 11);
    ck_assert_int_eq(pleat_conv2d_output_size((pleat_hw){ 10, 11 }, (pleat_hw){ 4, 4 }, &same).w, 11);
    const pleat_conv2d_opts strided = { .same = true, .stride = { 2, 1 } };
    ck_assert_int_eq(pleat_conv2d_output_size((pleat_hw){ 10, 11 }, (pleat_hw){ 4, 4 }, &strided).w, -1);
    ck_assert_failed(PLEAT_EINVAL, "conv2d_output_size: same is for stride (1, 1)");
    ck_assert(pleat_allclose(y, pleat_narrow(pleat_narrow(z, 2, 1, 10), 3, 1, 11), 0, 1e-13));
    for (int mode = PLEAT_PAD_CONSTANT; mode <= PLEAT_PAD_CIRCULAR; mode++) {
        const pleat_conv2d_opts o = {
            .stride = { 2, 1 }, .padding = { 1, 2 }, .more = { 2, 1 }, .mode = (pleat_pad_mode)mode
        };
        const int64_t pads[] = { 2, 3, 1, 3 };
        pleat_tensor *p = pleat_pad(x, pads, 4, &(pleat_pad_opts){ .mode = (pleat_pad_mode)mode });
        ck_assert(pleat_allclose(pleat_conv2d(x, w, NULL, &o),
                                 pleat_conv2d(p, w, NULL, &(pleat_conv2d_opts){ .stride = { 2, 1 } }), 0, 1e-13));
        ck_assert_int_eq(pleat_size(pleat_conv2d(x, w, NULL, &o), 2),
                         pleat_conv2d_output_size((pleat_hw){ 10, 11 }, (pleat_hw){ 4, 4 }, &o).h);
    }
    ck_assert_ptr_null(pleat_conv2d(x, w, NULL, &(pleat_conv2d_opts){ .stride = { 2, 2 }, .same = true }));
    ck_assert_failed(PLEAT_EINVAL, "conv2d: same is for stride (1, 1)");
    ck_assert_ptr_null(pleat_conv2d(x, w, NULL, &(pleat_conv2d_opts){ .more = { -1, 0 } }));
    ck_assert_failed(PLEAT_EINVAL, "conv2d: padding behind");
}
END_TEST

RUN_TESTS("conv2d", forward_is_the_formula, gradients_are_the_adjoints, tiles_and_wide_steps, unfold_and_matmul_agree,
          groups_are_separate_convolutions, views, empty, nothing_that_nobody_wants, second_derivatives, refusals,
          weight_refusals, other_paddings)
