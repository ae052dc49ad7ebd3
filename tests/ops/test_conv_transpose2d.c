/* conv_transpose2d: against loops; its sizes, with every output_padding; the way back from conv2d; refusals. */
#include "conv_oracle.h"

#include "support/run.h"

#define OPTS(...) (&(pleat_conv_transpose2d_opts){ __VA_ARGS__ })

/* It is conv2d's adjoint: the oracle's images are the result, its outputs the input. */
START_TEST(forward_is_the_formula)
{
    uint64_t state = 3;
    int beyond_the_stride = 0;
    for (int i = 0; i < 250; i++) {
        const pleat_scope scope = pleat_scope_begin();
        oracle_opts f = { .groups = i % 3 == 0 ? oracle_draw(&state, 2, 3) : 1 };
        f.stride = (pleat_hw){ oracle_draw(&state, 1, 3), oracle_draw(&state, 1, 3) };
        f.padding = (pleat_hw){ oracle_draw(&state, 0, 2), oracle_draw(&state, 0, 2) };
        f.dilation = (pleat_hw){ oracle_draw(&state, 1, 3), oracle_draw(&state, 1, 3) };
        const pleat_hw most = { f.stride.h > f.dilation.h ? f.stride.h : f.dilation.h,
                                f.stride.w > f.dilation.w ? f.stride.w : f.dilation.w };
        const pleat_hw extra = { oracle_draw(&state, 0, most.h - 1), oracle_draw(&state, 0, most.w - 1) };
        beyond_the_stride += extra.h >= f.stride.h || extra.w >= f.stride.w;
        oracle_sizes z = { .n = oracle_draw(&state, 1, 3),
                           .c = f.groups * oracle_draw(&state, 1, 4),
                           .o = f.groups * oracle_draw(&state, 1, 4),
                           .kh = oracle_draw(&state, 1, 4),
                           .kw = oracle_draw(&state, 1, 4),
                           .oh = oracle_draw(&state, 2, 6),
                           .ow = oracle_draw(&state, 2, 6) };
        z.h = (z.oh - 1) * f.stride.h - 2 * f.padding.h + f.dilation.h * (z.kh - 1) + extra.h + 1;
        z.w = (z.ow - 1) * f.stride.w - 2 * f.padding.w + f.dilation.w * (z.kw - 1) + extra.w + 1;
        const pleat_conv_transpose2d_opts opts = { .stride = f.stride,
                                                   .padding = f.padding,
                                                   .output_padding = extra,
                                                   .dilation = f.dilation,
                                                   .groups = f.groups };
        const pleat_dtype dtype = i % 2 ? PLEAT_F32 : PLEAT_F64;
        pleat_tensor *in[] = { random_view(PLEAT_SHAPE(z.n, z.o, z.oh, z.ow), dtype, i % VIEW_KINDS), NULL, NULL };
        in[1] = random_view(PLEAT_SHAPE(z.o, z.c / f.groups, z.kh, z.kw), dtype, i / 5 % VIEW_KINDS);
        in[2] = random_view(PLEAT_SHAPE(z.c), dtype, i / 3 % VIEW_KINDS);
        for (int k = 0; k < 3; k++)
            in[k] = pleat_set_requires_grad(pleat_detach(in[k]), true);
        pleat_tensor *y = pleat_conv_transpose2d(in[0], in[1], in[2], &opts), *grad[3];
        if (z.h < 1 || z.w < 1) {
            ck_assert_ptr_null(y);
            ck_assert_failed(PLEAT_ESHAPE, "gives size");
            pleat_scope_end(scope);
            continue;
        }
        oracle_compare("conv_transpose2d", y, &z, &f, NULL, in[1], in[0], in[2]);
        const pleat_hw size =
            pleat_conv_transpose2d_output_size((pleat_hw){ z.oh, z.ow }, (pleat_hw){ z.kh, z.kw }, &opts);
        ck_assert(size.h == z.h && size.w == z.w && pleat_size(y, -2) == z.h && pleat_size(y, -1) == z.w);
        pleat_tensor *g = random_view(pleat_shape_of(y), dtype, i / 2 % VIEW_KINDS);
        ck_assert_ok(pleat_gradients(&y, 1, in, 3, &(pleat_gradients_opts){ .grad_outputs = &g }, grad));
        oracle_compare("gradient by x", grad[0], &z, &f, g, in[1], NULL, NULL);
        oracle_compare("gradient by weight", grad[1], &z, &f, g, NULL, in[0], NULL);
        ck_assert(pleat_allclose(grad[2], pleat_sum_dims(g, PLEAT_DIMS(0, 2, 3), false), 1e-4, 1e-4));
        if (z.n == 1) {
            pleat_tensor *one = pleat_conv_transpose2d(pleat_select(in[0], 0, 0), in[1], in[2], &opts);
            ck_assert(pleat_ndim(one) == 3 && pleat_allclose(one, pleat_select(y, 0, 0), 0, 0));
        }
        pleat_scope_end(scope);
    }
    ck_assert_int_gt(beyond_the_stride, 20);
}
END_TEST

/* ConvTranspose2d(3, 4, 3, stride 3) of 6 x 6 can be 18 to 20 large, and nothing else. */
START_TEST(output_padding_chooses_the_size)
{
    pleat_tensor *x = pleat_randn(PLEAT_SHAPE(2, 3, 6, 6), PLEAT_F32),
                 *w = pleat_randn(PLEAT_SHAPE(3, 4, 3, 3), PLEAT_F32);
    for (int64_t h = 0; h < 5; h++)
        for (int64_t v = 0; v < 5; v++) {
            pleat_tensor *y = pleat_conv_transpose2d(x, w, NULL, OPTS(.stride = { 3, 3 }, .output_padding = { h, v }));
            if (h < 3 && v < 3)
                ck_assert(pleat_shape_equal(pleat_shape_of(y), PLEAT_SHAPE(2, 4, 18 + h, 18 + v)));
            else {
                ck_assert_ptr_null(y);
                ck_assert_failed(PLEAT_EINVAL, "conv_transpose2d: output_padding (");
            }
        }
}
END_TEST

/* The same by the size itself: what is refused says which there are. */
START_TEST(output_size_is_what_it_says)
{
    pleat_tensor *x = pleat_randn(PLEAT_SHAPE(2, 3, 6, 6), PLEAT_F32),
                 *w = pleat_randn(PLEAT_SHAPE(3, 4, 3, 3), PLEAT_F32);
    for (int64_t h = 15; h <= 21; h++)
        for (int64_t v = 15; v <= 21; v++) {
            const pleat_conv_transpose2d_opts o = { .stride = { 3, 3 }, .output_size = { h, v } };
            pleat_tensor *y = pleat_conv_transpose2d(x, w, NULL, &o);
            if (h < 18 || h > 20 || v < 18 || v > 20) {
                ck_assert_ptr_null(y);
                ck_assert_failed(PLEAT_EINVAL, "must be from (18, 18) to (20, 20): input (6, 6)");
                continue;
            }
            ck_assert(same_bits(
                y, pleat_conv_transpose2d(x, w, NULL, OPTS(.stride = { 3, 3 }, .output_padding = { h - 18, v - 18 }))));
            const pleat_hw size = pleat_conv_transpose2d_output_size((pleat_hw){ 6, 6 }, (pleat_hw){ 3, 3 }, &o);
            ck_assert(size.h == h && size.w == v);
        }
}
END_TEST

/* Down and up again: PyTorch's grid of sizes, by the formulas; and some of it in fact. */
START_TEST(round_trip)
{
    int64_t combinations = 0;
    pleat_tensor *w = pleat_randn(PLEAT_SHAPE(1, 1, 3, 2), PLEAT_F32);
    for (int64_t h = 13; h <= 23; h++)
        for (int64_t v = 13; v <= 16; v++)
            for (int64_t k = 2; k <= 4; k++)
                for (int64_t d = 1; d <= 4; d++)
                    for (int64_t s = 1; s <= 3; s++)
                        for (int64_t p = 0; p <= 2; p++) {
                            const pleat_conv2d_opts down = { .stride = { s, s },
                                                             .padding = { p, p },
                                                             .dilation = { d, d } };
                            const pleat_hw size =
                                pleat_conv2d_output_size((pleat_hw){ h, v }, (pleat_hw){ k, k }, &down);
                            const pleat_conv_transpose2d_opts up = {
                                .stride = { s, s },
                                .padding = { p, p },
                                .output_padding = { (h + 2 * p - d * (k - 1) - 1) % s,
                                                    (v + 2 * p - d * (k - 1) - 1) % s },
                                .dilation = { d, d }
                            };
                            const pleat_hw back = pleat_conv_transpose2d_output_size(size, (pleat_hw){ k, k }, &up);
                            ck_assert(back.h == h && back.w == v);
                            if (++combinations % 97 != 0)
                                continue;
                            const pleat_hw kernel = { 3, 2 };
                            pleat_tensor *x = pleat_zeros(PLEAT_SHAPE(1, 1, h, v), PLEAT_F32);
                            pleat_tensor *y = pleat_conv2d(x, w, NULL, &down), *grad;
                            ck_assert_int_eq(pleat_size(y, 2),
                                             pleat_conv2d_output_size((pleat_hw){ h, v }, kernel, &down).h);
                            pleat_set_requires_grad(x, true); /* its gradient chooses the size by itself */
                            y = pleat_conv2d(x, w, NULL, &down);
                            pleat_tensor *ones = pleat_ones(pleat_shape_of(y), PLEAT_F32);
                            ck_assert_ok(
                                pleat_gradients(&y, 1, &x, 1, &(pleat_gradients_opts){ .grad_outputs = &ones }, &grad));
                            ck_assert(pleat_shape_equal(pleat_shape_of(grad), pleat_shape_of(x)));
                        }
    ck_assert_int_eq(combinations, 11 * 4 * 3 * 4 * 3 * 3);
}
END_TEST

START_TEST(empty)
{
    pleat_tensor *w = pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(2, 3, 3, 3), PLEAT_F64), true);
    pleat_tensor *y = pleat_conv_transpose2d(pleat_zeros(PLEAT_SHAPE(0, 2, 4, 4), PLEAT_F64), w, NULL, NULL);
    ck_assert(pleat_shape_equal(pleat_shape_of(y), PLEAT_SHAPE(0, 3, 6, 6)));
    ck_assert_ok(pleat_backward(pleat_sum(y)));
    ck_assert(pleat_equal(pleat_grad(w), pleat_zeros(pleat_shape_of(w), PLEAT_F64)));
    y = pleat_conv_transpose2d(pleat_zeros(PLEAT_SHAPE(1, 0, 4, 4), PLEAT_F64),
                               pleat_zeros(PLEAT_SHAPE(0, 3, 3, 3), PLEAT_F64), pleat_ones(PLEAT_SHAPE(3), PLEAT_F64),
                               NULL);
    ck_assert(pleat_equal(y, pleat_ones(PLEAT_SHAPE(1, 3, 6, 6), PLEAT_F64)));
}
END_TEST

#define REFUSED(code, words, ...)                                                                                      \
    do {                                                                                                               \
        ck_assert_ptr_null(pleat_conv_transpose2d(__VA_ARGS__));                                                       \
        ck_assert(strncmp(pleat_error(), "conv_transpose2d: ", 18) == 0);                                              \
        ck_assert_failed(code, words);                                                                                 \
    } while (0)

START_TEST(refusals)
{
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(1, 4, 5, 5), PLEAT_F32),
                 *w = pleat_ones(PLEAT_SHAPE(4, 2, 3, 3), PLEAT_F32);
    const int64_t huge = INT64_C(1) << 62;
    REFUSED(PLEAT_EINVAL, "output_padding (1, 1)", x, w, NULL, OPTS(.output_padding = { 1, 1 }));
    REFUSED(PLEAT_EINVAL, "output_padding (-1, 0)", x, w, NULL, OPTS(.output_padding = { -1, 0 }, .stride = { 2, 2 }));
    REFUSED(PLEAT_EINVAL, "output_padding (0, 2)", x, w, NULL, OPTS(.output_padding = { 0, 2 }, .stride = { 3, 2 }));
    ck_assert_ptr_nonnull(pleat_conv_transpose2d(x, w, NULL, OPTS(.output_padding = { 1, 1 }, .dilation = { 2, 2 })));
    REFUSED(PLEAT_EINVAL, "output_size (7, 8) and output_padding (0, 1): only one of them", x, w, NULL,
            OPTS(.output_padding = { 0, 1 }, .dilation = { 2, 2 }, .output_size = { 7, 8 }));
    REFUSED(PLEAT_EINVAL, "output_size (0, 7) must be from (7, 7) to (7, 7)", x, w, NULL,
            OPTS(.output_size = { 0, 7 }));
    REFUSED(PLEAT_EINVAL, "output_size (10, 9) must be from (9, 9)", x, w, NULL,
            OPTS(.output_size = { 10, 9 }, .dilation = { 2, 2 })); /* by the stride, whatever the dilation */
    REFUSED(PLEAT_EINVAL, "output_size", x, w, NULL, OPTS(.output_size = { INT64_MIN, INT64_MAX }));
    REFUSED(PLEAT_ESHAPE, "overflows", pleat_ones(PLEAT_SHAPE(1, 4, 2, 1), PLEAT_F32), w, NULL,
            OPTS(.stride = { INT64_MAX - 5, 1 }, .output_size = { 7, 7 }));
    REFUSED(PLEAT_EINVAL, "stride (0, 2)", x, w, NULL, OPTS(.stride = { 0, 2 }));
    REFUSED(PLEAT_EINVAL, "padding (0, -2)", x, w, NULL, OPTS(.padding = { 0, -2 }));
    REFUSED(PLEAT_EINVAL, "dilation (2, 0)", x, w, NULL, OPTS(.dilation = { 2, 0 }));
    REFUSED(PLEAT_EINVAL, "groups -2", x, w, NULL, OPTS(.groups = -2));
    REFUSED(PLEAT_ESHAPE, "4 channels, which 3 groups", x, w, NULL, OPTS(.groups = 3));
    REFUSED(PLEAT_ESHAPE, "input (1, 4, 5, 5) has 4 channels, weight (3, 2, 3, 3) expects 3", x,
            pleat_ones(PLEAT_SHAPE(3, 2, 3, 3), PLEAT_F32), NULL, NULL);
    REFUSED(PLEAT_ESHAPE, "bias (4,) must be (2,)", x, w, pleat_ones(PLEAT_SHAPE(4), PLEAT_F32), NULL);
    REFUSED(PLEAT_ESHAPE, "bias (2,) must be (4,)", x, w, pleat_ones(PLEAT_SHAPE(2), PLEAT_F32), OPTS(.groups = 2));
    REFUSED(PLEAT_ESHAPE, "gives size (-3, -3)", pleat_ones(PLEAT_SHAPE(1, 4, 1, 1), PLEAT_F32), w, NULL,
            OPTS(.padding = { 3, 3 }));
    REFUSED(PLEAT_ESHAPE, "gives size (0, 2)", x, pleat_ones(PLEAT_SHAPE(4, 2, 2, 2), PLEAT_F32), NULL,
            OPTS(.padding = { 3, 2 }));
    REFUSED(PLEAT_ESHAPE, "gives size", pleat_ones(PLEAT_SHAPE(1, 4, 0, 5), PLEAT_F32), w, NULL, NULL);
    REFUSED(PLEAT_ESHAPE, "must be (N, C, H, W)", pleat_ones(PLEAT_SHAPE(4, 5), PLEAT_F32), w, NULL, NULL);
    REFUSED(PLEAT_ESHAPE, "must have 4 dimensions", x, pleat_ones(PLEAT_SHAPE(4, 2, 3), PLEAT_F32), NULL, NULL);
    REFUSED(PLEAT_ESHAPE, "overflows", x, w, NULL, OPTS(.stride = { huge, 1 }));
    REFUSED(PLEAT_ESHAPE, "overflows", x, w, NULL, OPTS(.dilation = { 1, INT64_MAX }));
    REFUSED(PLEAT_ESHAPE, "overflows", x, w, NULL, OPTS(.padding = { huge, 0 }));
    REFUSED(PLEAT_ENOMEM, "conv_transpose2d", x, w, NULL, OPTS(.stride = { INT64_C(1) << 40, 1 }));
    REFUSED(PLEAT_EDTYPE, "float64", x, pleat_ones(PLEAT_SHAPE(4, 2, 3, 3), PLEAT_F64), NULL, NULL);
    const pleat_hw bad =
        pleat_conv_transpose2d_output_size((pleat_hw){ 1, 1 }, (pleat_hw){ 1, 1 }, OPTS(.padding = { 1, 1 }));
    ck_assert(bad.h == -1 && bad.w == -1 && pleat_check() == PLEAT_ESHAPE);
    ck_assert_failed(PLEAT_ESHAPE, "conv_transpose2d_output_size: ");
}
END_TEST

RUN_TESTS("conv_transpose2d", forward_is_the_formula, output_padding_chooses_the_size, output_size_is_what_it_says,
          round_trip, empty, refusals)
