/* Worked examples of the systems that this library learned from, reproduced to the last digit: A to C are a notebook's,
 * D to F from figures and texts on the web, G to J shapes. Small integers: any order of summation gives the same. */
#include "conv_oracle.h"

#include "support/run.h"

static pleat_tensor *count_up(int64_t first, pleat_shape shape, pleat_dtype dtype)
{
    pleat_tensor *t = pleat_arange((double)first, (double)(first + pleat_shape_numel(shape)), 1, dtype);
    return pleat_set_requires_grad(pleat_detach(pleat_reshape(t, shape)), true);
}

static void expect(pleat_tensor *got, pleat_shape shape, const double *want)
{
    ck_assert_msg(got != NULL, "%s", pleat_error());
    ck_assert_msg(pleat_shape_equal(pleat_shape_of(got), shape), "shape %s",
                  pleat_shape_text(pleat_shape_of(got)).text);
    for (int64_t i = 0; i < pleat_numel(got); i++)
        ck_assert_msg(element(got, shape, i) == want[i], "element %d is %g, not %g", (int)i, element(got, shape, i),
                      want[i]);
}
#define EXPECT(got, shape, ...) expect(got, shape, (const double[]){ __VA_ARGS__ })

static const pleat_dtype dtypes[] = { PLEAT_F32, PLEAT_F64 };

/* The example as a convolution, and as unfold, one product and a reshape; then all three gradients. */
static void conv_both_ways(pleat_tensor *x, pleat_tensor *w, const pleat_conv2d_opts *opts, pleat_shape shape,
                           const double *y, pleat_tensor *grad[3])
{
    pleat_tensor *b = pleat_set_requires_grad(pleat_zeros(PLEAT_SHAPE(pleat_size(w, 0)), pleat_dtype_of(w)), true);
    pleat_tensor *in[] = { x, w, b }, *out = pleat_conv2d(x, w, b, opts);
    expect(out, shape, y);
    const pleat_window window = { .kernel = { pleat_size(w, 2), pleat_size(w, 3) }, .stride = opts->stride };
    pleat_tensor *rows = pleat_reshape(w, PLEAT_SHAPE(pleat_size(w, 0), pleat_numel(w) / pleat_size(w, 0)));
    pleat_tensor *product = pleat_reshape(pleat_matmul(rows, pleat_unfold(x, &window)), shape);
    expect(product, shape, y);
    pleat_tensor *ones = pleat_ones(shape, pleat_dtype_of(x)), *again[2];
    const pleat_gradients_opts seeds = { .grad_outputs = &ones };
    ck_assert_ok(pleat_gradients(&out, 1, in, 3, &seeds, grad));
    ck_assert_ok(pleat_gradients(&product, 1, in, 2, &seeds, again));
    ck_assert(pleat_equal(pleat_contiguous(again[0]), grad[0]) && pleat_equal(pleat_contiguous(again[1]), grad[1]));
}

START_TEST(a_one_channel)
{
    for (int d = 0; d < 2; d++) {
        pleat_tensor *x = count_up(1, PLEAT_SHAPE(1, 1, 4, 4), dtypes[d]),
                     *w = count_up(1, PLEAT_SHAPE(1, 1, 2, 2), dtypes[d]);
        const pleat_window window = { .kernel = { 2, 2 } };
        EXPECT(pleat_unfold(x, &window), PLEAT_SHAPE(1, 4, 9), 1, 2, 3, 5, 6, 7, 9, 10, 11, 2, 3, 4, 6, 7, 8, 10, 11,
               12, 5, 6, 7, 9, 10, 11, 13, 14, 15, 6, 7, 8, 10, 11, 12, 14, 15, 16);
        EXPECT(pleat_transpose(pleat_unfold(w, &window), 1, 2), PLEAT_SHAPE(1, 1, 4), 1, 2, 3, 4);
        pleat_tensor *grad[3];
        const double y[] = { 44, 54, 64, 84, 94, 104, 124, 134, 144 };
        conv_both_ways(x, w, &(pleat_conv2d_opts){ .groups = 1 }, PLEAT_SHAPE(1, 1, 3, 3), y, grad);
        EXPECT(grad[0], PLEAT_SHAPE(1, 1, 4, 4), 1, 3, 3, 2, 4, 10, 10, 6, 4, 10, 10, 6, 3, 7, 7, 4);
        EXPECT(grad[1], PLEAT_SHAPE(1, 1, 2, 2), 54, 63, 90, 99);
        EXPECT(grad[2], PLEAT_SHAPE(1), 9);
    }
}
END_TEST

START_TEST(b_three_channels_to_two)
{
    for (int d = 0; d < 2; d++) {
        pleat_tensor *x = count_up(1, PLEAT_SHAPE(1, 3, 4, 4), dtypes[d]),
                     *w = count_up(1, PLEAT_SHAPE(2, 3, 2, 2), dtypes[d]);
        pleat_tensor *u = pleat_unfold(x, &(pleat_window){ .kernel = { 2, 2 } });
        ck_assert(pleat_shape_equal(pleat_shape_of(u), PLEAT_SHAPE(1, 12, 9)));
        EXPECT(pleat_select(pleat_select(u, 0, 0), 0, 0), PLEAT_SHAPE(9), 1, 2, 3, 5, 6, 7, 9, 10, 11);
        EXPECT(pleat_select(pleat_select(u, 0, 0), 0, 11), PLEAT_SHAPE(9), 38, 39, 40, 42, 43, 44, 46, 47, 48);
        pleat_tensor *grad[3];
        const double y[] = { 2060, 2138, 2216, 2372, 2450, 2528, 2684, 2762, 2840,
                             4868, 5090, 5312, 5756, 5978, 6200, 6644, 6866, 7088 };
        conv_both_ways(x, w, &(pleat_conv2d_opts){ .groups = 1 }, PLEAT_SHAPE(1, 2, 3, 3), y, grad);
        EXPECT(grad[0], PLEAT_SHAPE(1, 3, 4, 4), 14, 30, 30, 16, 32, 68, 68, 36, 32, 68, 68, 36, 18, 38, 38, 20, 22, 46,
               46, 24, 48, 100, 100, 52, 48, 100, 100, 52, 26, 54, 54, 28, 30, 62, 62, 32, 64, 132, 132, 68, 64, 132,
               132, 68, 34, 70, 70, 36);
        EXPECT(grad[1], PLEAT_SHAPE(2, 3, 2, 2), 54, 63, 90, 99, 198, 207, 234, 243, 342, 351, 378, 387, 54, 63, 90, 99,
               198, 207, 234, 243, 342, 351, 378, 387);
        EXPECT(grad[2], PLEAT_SHAPE(2), 9, 9);
    }
}
END_TEST

START_TEST(c_one_dimension)
{
    for (int d = 0; d < 2; d++) {
        pleat_tensor *x = count_up(1, PLEAT_SHAPE(1, 3, 1, 12), dtypes[d]),
                     *w = count_up(1, PLEAT_SHAPE(2, 3, 1, 4), dtypes[d]);
        pleat_tensor *u = pleat_unfold(x, &(pleat_window){ .kernel = { 1, 4 }, .stride = { 1, 2 } });
        ck_assert(pleat_shape_equal(pleat_shape_of(u), PLEAT_SHAPE(1, 12, 5)));
        EXPECT(pleat_narrow(pleat_select(u, 0, 0), 0, 0, 4), PLEAT_SHAPE(4, 5), 1, 3, 5, 7, 9, 2, 4, 6, 8, 10, 3, 5, 7,
               9, 11, 4, 6, 8, 10, 12);
        pleat_tensor *grad[3];
        const double y[] = { 1530, 1686, 1842, 1998, 2154, 3618, 4062, 4506, 4950, 5394 };
        conv_both_ways(x, w, &(pleat_conv2d_opts){ .stride = { 1, 2 } }, PLEAT_SHAPE(1, 2, 1, 5), y, grad);
    }
}
END_TEST

START_TEST(d_e_figures)
{
    pleat_tensor *x = count_up(0, PLEAT_SHAPE(1, 1, 3, 3), PLEAT_F32),
                 *k = count_up(0, PLEAT_SHAPE(1, 1, 2, 2), PLEAT_F32);
    EXPECT(pleat_conv2d(x, k, NULL, NULL), PLEAT_SHAPE(1, 1, 2, 2), 19, 25, 37, 43);
    EXPECT(pleat_conv_transpose2d(k, k, NULL, NULL), PLEAT_SHAPE(1, 1, 3, 3), 0, 0, 1, 0, 4, 6, 4, 12, 9);
}
END_TEST

START_TEST(f_windows_of_two_by_five)
{
    pleat_tensor *x = count_up(1, PLEAT_SHAPE(1, 2, 5), PLEAT_F32);
    pleat_tensor *u = pleat_unfold(x, &(pleat_window){ .kernel = { 2, 2 } });
    EXPECT(u, PLEAT_SHAPE(4, 4), 1, 2, 3, 4, 2, 3, 4, 5, 6, 7, 8, 9, 7, 8, 9, 10);
    EXPECT(pleat_transpose(u, 0, 1), PLEAT_SHAPE(4, 4), 1, 2, 6, 7, 2, 3, 7, 8, 3, 4, 8, 9, 4, 5, 9,
           10); /* a window a row */
}
END_TEST

/* Batch 8, 32 to 64 channels, 16 x 16, kernel (3, 2), stride (2, 3), padding (1, 0), dilation (3, 1): forward and
 * gradients of sum(y - target), against loops. */
START_TEST(h_both_convolutions)
{
    const oracle_opts f = { { 2, 3 }, { 1, 0 }, { 3, 1 }, 1 };
    const pleat_dtype dtype = PLEAT_F32;
    pleat_tensor *in[] = { pleat_randn(PLEAT_SHAPE(8, 32, 16, 16), dtype),
                           pleat_randn(PLEAT_SHAPE(64, 32, 3, 2), dtype), NULL };
    in[2] = pleat_randn(PLEAT_SHAPE(64), dtype);
    for (int i = 0; i < 3; i++)
        pleat_set_requires_grad(in[i], true);
    pleat_tensor *y = pleat_conv2d(
        in[0], in[1], in[2], &(pleat_conv2d_opts){ .stride = f.stride, .padding = f.padding, .dilation = f.dilation });
    ck_assert(pleat_shape_equal(pleat_shape_of(y), PLEAT_SHAPE(8, 64, 6, 5)));
    const oracle_sizes z = { 8, 32, 16, 16, 64, 3, 2, 6, 5 };
    oracle_compare("conv2d", y, &z, &f, in[0], in[1], NULL, in[2]);
    ck_assert_ok(pleat_backward(pleat_sum(pleat_sub(y, pleat_ones(pleat_shape_of(y), dtype)))));
    pleat_tensor *ones = pleat_ones(pleat_shape_of(y), dtype);
    oracle_compare("by x", pleat_grad(in[0]), &z, &f, NULL, in[1], ones, NULL);
    oracle_compare("by weight", pleat_grad(in[1]), &z, &f, in[0], NULL, ones, NULL);
    ck_assert(pleat_equal(pleat_grad(in[2]), pleat_full(PLEAT_SHAPE(64), 8 * 6 * 5, dtype)));

    pleat_tensor *wt = pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(32, 64, 3, 2), dtype), true);
    pleat_tensor *x =
        pleat_clone(pleat_narrow(pleat_detach(in[0]), 0, 0, 2)); /* two images take the loops long enough */
    pleat_set_requires_grad(x, true);
    y = pleat_conv_transpose2d(
        x, wt, in[2],
        &(pleat_conv_transpose2d_opts){
            .stride = f.stride, .padding = f.padding, .output_padding = { 1, 2 }, .dilation = f.dilation });
    ck_assert(pleat_shape_equal(pleat_shape_of(y), PLEAT_SHAPE(2, 64, 36, 49)));
    const oracle_sizes t = { 2, 64, 36, 49, 32, 3, 2, 16, 16 };
    oracle_compare("conv_transpose2d", y, &t, &f, NULL, wt, x, in[2]);
    ck_assert_ok(pleat_backward(pleat_sum(pleat_sub(y, pleat_ones(pleat_shape_of(y), dtype)))));
    ones = pleat_ones(pleat_shape_of(y), dtype);
    oracle_compare("by x", pleat_grad(x), &t, &f, ones, wt, NULL, NULL);
    oracle_compare("by weight", pleat_grad(wt), &t, &f, ones, NULL, x, NULL);
}
END_TEST

START_TEST(g_i_j_shapes)
{
    const pleat_conv2d_opts same = { .padding = { 1, 1 } };
    pleat_tensor *y = pleat_conv2d(pleat_ones(PLEAT_SHAPE(16, 3, 32, 32), PLEAT_F32),
                                   pleat_ones(PLEAT_SHAPE(64, 3, 3, 3), PLEAT_F32), NULL, &same);
    ck_assert(pleat_shape_equal(pleat_shape_of(y), PLEAT_SHAPE(16, 64, 32, 32)));
    ck_assert(pleat_item(pleat_sum(y)) == 16.0 * 64 * 3 * (32 * 3 - 2) * (32 * 3 - 2)); /* the taps that lie inside */
    y = pleat_conv2d(pleat_ones(PLEAT_SHAPE(8, 3, 16, 16), PLEAT_F32), pleat_ones(PLEAT_SHAPE(64, 3, 3, 3), PLEAT_F32),
                     NULL, NULL);
    ck_assert(pleat_shape_equal(pleat_shape_of(y), PLEAT_SHAPE(8, 64, 14, 14)));
    y = pleat_unfold(pleat_ones(PLEAT_SHAPE(3, 6, 6), PLEAT_F32), &(pleat_window){ .kernel = { 3, 3 } });
    ck_assert(pleat_shape_equal(pleat_shape_of(y), PLEAT_SHAPE(27, 16)));
}
END_TEST

RUN_TESTS("worked examples", a_one_channel, b_three_channels_to_two, c_one_dimension, d_e_figures,
          f_windows_of_two_by_five, h_both_convolutions, g_i_j_shapes)
