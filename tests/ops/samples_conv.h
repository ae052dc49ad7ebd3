/* Products, windows and convolutions: the sample inputs of PyTorch's OpInfo, and what they leave out. */
#ifndef PLEAT_TEST_SAMPLES_CONV_H
#define PLEAT_TEST_SAMPLES_CONV_H

#include "collect.h"

#include "ops/conv_op.h"

static void samples_products(void)
{
    SAMPLE(pleat_matmul(values(7), values(7)));
    SAMPLE(pleat_matmul(values(3, 4), values(4)));
    SAMPLE(pleat_matmul(values(4), values(4, 3)));
    SAMPLE(pleat_matmul(values(3, 4), values(4, 2)));
    SAMPLE(pleat_matmul(values(3, 0), values(0, 4)));
    SAMPLE(pleat_matmul(values(2, 3, 4), values(4)));
    SAMPLE(pleat_matmul(values(2, 3, 4), values(4, 2)));
    SAMPLE(pleat_matmul(values(2, 3, 0), values(0, 4)));
    SAMPLE(pleat_matmul(values(4), values(3, 4, 2)));
    SAMPLE(pleat_matmul(values(2, 4), values(3, 4, 2)));
    SAMPLE(pleat_matmul(values(0, 0), values(3, 0, 0)));
    SAMPLE(pleat_matmul(values(2, 3, 3, 2), values(2, 3, 2, 2)));
    SAMPLE(pleat_matmul(values(2, 3, 3, 2), values(2)));
    SAMPLE(pleat_matmul(values(2), values(2, 3, 2, 2)));
    SAMPLE(pleat_matmul(values(2, 3, 2), values(1, 2, 3)));
    SAMPLE(pleat_matmul(values(2, 1, 2, 3), values(3, 3, 2)));
    SAMPLE(pleat_linear(values(3), values(4, 3), values(4)));
    SAMPLE(pleat_linear(values(0, 3), values(4, 3), values(4)));
    SAMPLE(pleat_linear(values(5, 3), values(4, 3), values(4)));
    SAMPLE(pleat_linear(values(2, 2, 3), values(4, 3), values(4)));
    SAMPLE(pleat_linear(values(3), values(4, 3), NULL));
    SAMPLE(pleat_linear(values(0, 3), values(4, 3), NULL));
    SAMPLE(pleat_linear(values(5, 3), values(4, 3), NULL));
    SAMPLE(pleat_linear(values(2, 2, 3), values(4, 3), NULL));
    SAMPLE(pleat_linear_relu(values(3), values(4, 3), values(4)));
    SAMPLE(pleat_linear_relu(values(0, 3), values(4, 3), values(4)));
    SAMPLE(pleat_linear_relu(values(5, 3), values(4, 3), values(4)));
    SAMPLE(pleat_linear_relu(values(2, 2, 3), values(4, 3), NULL));
}

static void samples_windows(void)
{
    const pleat_window plain = { .kernel = { 2, 2 } };
    SAMPLE(pleat_unfold(values(0, 1, 5, 5), &plain));
    SAMPLE(pleat_unfold(values(1, 1, 5, 5), &((pleat_window){ .kernel = { 3, 3 } })));
    SAMPLE(pleat_fold(values(2, 16, 4), (pleat_hw){ 3, 3 }, &plain));
    SAMPLE(pleat_fold(values(16, 4), (pleat_hw){ 3, 3 }, &plain));
    SAMPLE(pleat_fold(values(0, 4, 4), (pleat_hw){ 3, 3 }, &plain));
    /* OpInfo's grid of kernels, dilations, paddings and strides, which are a pair each here */
    static const pleat_hw kernels[] = { { 2, 2 }, { 2, 3 }, { 3, 3 } }, dilations[] = { { 1, 1 }, { 2, 2 }, { 1, 2 } },
                          paddings[] = { { 0, 0 }, { 1, 1 }, { 1, 2 } }, strides[] = { { 1, 1 }, { 2, 2 }, { 1, 2 } };
    for (int i = 0; i < 81; i++) {
        const pleat_window w = { .kernel = kernels[i % 3],
                                 .dilation = dilations[i / 3 % 3],
                                 .padding = paddings[i / 9 % 3],
                                 .stride = strides[i / 27] };
        const pleat_hw size = { 5, 5 }, places = pleat_window_output_size(size, &w);
        const int64_t taps = w.kernel.h * w.kernel.w;
        if (i % 2)
            SAMPLE(pleat_unfold(values(1, 2, 5, 5), &w));
        else
            SAMPLE(pleat_unfold(values(2, 5, 5), &w));
        SAMPLE(pleat_fold(values(1, taps, places.h * places.w), size, &w));
    }
}

#define CONV(...) (&((pleat_conv2d_opts){ __VA_ARGS__ }))
#define CONV_TRANSPOSE(...) (&((pleat_conv_transpose2d_opts){ __VA_ARGS__ }))

static void samples_conv2d(void)
{
    SAMPLE(
        pleat_conv2d(values(1, 3, 4, 4), values(3, 3, 3, 3), values(3), CONV(.stride = { 2, 2 }, .padding = { 2, 2 })));
    SAMPLE(pleat_conv2d(values(3, 4, 4), values(3, 3, 3, 3), values(3), CONV(.stride = { 2, 2 }, .padding = { 2, 2 })));
    SAMPLE(pleat_conv2d(values(2, 4, 8, 8), values(2, 2, 3, 3), values(2),
                        CONV(.stride = { 3, 2 }, .padding = { 2, 1 }, .groups = 2, .dilation = { 4, 4 })));
    SAMPLE(pleat_conv2d(values(1, 4, 5, 5), values(1, 4, 2, 3), values(1),
                        CONV(.stride = { 2, 2 }, .padding = { 1, 1 }, .dilation = { 2, 3 })));
    SAMPLE(pleat_conv2d(values(1, 2, 4, 3), values(4, 2, 3, 4), NULL, CONV(.stride = { 2, 2 }, .padding = { 1, 1 })));
    SAMPLE(pleat_conv2d(values(1, 4, 5, 5), values(1, 4, 2, 3), values(1), CONV(.stride = { 2, 2 })));
    SAMPLE(pleat_conv2d(values(2, 4, 6, 6), values(4, 1, 3, 3), values(4), CONV(.groups = 4)));
    SAMPLE(pleat_conv2d(values(2, 4, 6, 6), values(8, 1, 3, 3), values(8), CONV(.groups = 4)));
    SAMPLE(pleat_conv2d(values(2, 4, 6, 6), values(8, 1, 3, 3), NULL, CONV(.groups = 4)));
    SAMPLE(pleat_conv2d(values(4, 6, 6), values(4, 1, 3, 3), values(4), CONV(.groups = 4, .stride = { 3, 2 })));
    SAMPLE(pleat_conv2d(values(2, 4, 6, 6), values(4, 1, 3, 3), values(4), CONV(.groups = 4, .padding = { 1, 1 })));
    SAMPLE(pleat_conv2d(values(2, 4, 5, 5), values(4, 1, 2, 2), values(4), CONV(.groups = 4, .dilation = { 2, 2 })));
    SAMPLE(pleat_conv2d(values(2, 4, 6, 5), values(6, 2, 3, 2), values(6), CONV(.groups = 2)));
    SAMPLE(pleat_conv2d(values(1, 4, 5, 5), values(3, 4, 3, 3), NULL, NULL));
    SAMPLE(pleat_conv2d(values(4, 5, 5), values(3, 4, 3, 3), NULL, NULL));
    SAMPLE(pleat_conv2d(values(2, 3, 4, 4), values(4, 3, 1, 1), values(4), NULL)); /* a product of matrices */
    SAMPLE(pleat_conv2d(values(2, 2, 6, 7), values(3, 2, 3, 3), values(3), CONV(.padding = { 1, 1 })));
    SAMPLE(pleat_conv2d(values(1, 1, 1, 9), values(2, 1, 1, 4), NULL, CONV(.stride = { 1, 2 })));
    SAMPLE(pleat_conv2d(values(0, 2, 4, 4), values(3, 2, 3, 3), values(3), NULL)); /* no image */
    SAMPLE(pleat_conv2d(values(2, 0, 4, 4), values(3, 0, 3, 3), values(3), NULL)); /* no channel */
    SAMPLE(pleat_conv2d(values(2, 2, 5, 4), values(3, 2, 3, 3), values(3), CONV(.relu = true)));
    SAMPLE(
        pleat_conv2d(values(2, 5, 6), values(4, 1, 2, 2), NULL, CONV(.groups = 2, .stride = { 2, 1 }, .relu = true)));
    SAMPLE(pleat_conv2d(values(0, 2, 4, 4), values(3, 2, 3, 3), values(3), CONV(.relu = true)));
}

static void samples_conv_transpose2d(void)
{
    SAMPLE(pleat_conv_transpose2d(values(1, 3, 4, 4), values(3, 3, 3, 3), values(3),
                                  CONV_TRANSPOSE(.stride = { 2, 2 }, .padding = { 2, 2 }, .output_padding = { 1, 1 })));
    SAMPLE(pleat_conv_transpose2d(values(3, 4, 4), values(3, 3, 3, 3), values(3),
                                  CONV_TRANSPOSE(.stride = { 2, 2 }, .padding = { 2, 2 }, .output_padding = { 1, 1 })));
    SAMPLE(pleat_conv_transpose2d(values(2, 2, 4, 4), values(2, 2, 4, 5), values(4),
                                  CONV_TRANSPOSE(.stride = { 3, 2 }, .padding = { 1, 2 }, .output_padding = { 2, 3 },
                                                 .groups = 2, .dilation = { 4, 4 })));
    SAMPLE(pleat_conv_transpose2d(
        values(1, 1, 4, 5), values(1, 1, 4, 3), values(1),
        CONV_TRANSPOSE(.stride = { 2, 2 }, .padding = { 1, 1 }, .output_padding = { 1, 1 }, .dilation = { 2, 3 })));
    SAMPLE(pleat_conv_transpose2d(values(1, 1, 4, 3), values(1, 2, 3, 4), NULL,
                                  CONV_TRANSPOSE(.stride = { 2, 2 }, .padding = { 1, 1 }, .output_padding = { 1, 1 })));
    SAMPLE(pleat_conv_transpose2d(values(2, 8, 4, 4), values(8, 1, 3, 3), NULL, CONV_TRANSPOSE(.groups = 4)));
    SAMPLE(pleat_conv_transpose2d(values(1, 4, 5, 5), values(4, 8, 3, 3), NULL, NULL));
    SAMPLE(pleat_conv_transpose2d(values(4, 5, 5), values(4, 2, 3, 3), values(2), NULL));
    SAMPLE(pleat_conv_transpose2d(values(0, 2, 4, 4), values(2, 3, 3, 3), values(3), NULL));
    SAMPLE(pleat_conv_transpose2d(values(2, 0, 4, 4), values(0, 3, 3, 3), values(3), NULL));
    SAMPLE(pleat_conv_transpose2d(values(2, 2, 3, 4), values(2, 3, 3, 2), values(3),
                                  CONV_TRANSPOSE(.stride = { 2, 1 }, .relu = true)));
    SAMPLE(pleat_conv_transpose2d(values(2, 3, 3), values(2, 3, 2, 2), NULL, CONV_TRANSPOSE(.relu = true)));
    SAMPLE(pleat_conv_transpose2d(values(0, 2, 4, 4), values(2, 3, 3, 3), values(3), CONV_TRANSPOSE(.relu = true)));
}

static void samples_conv2d_weight(void)
{
    SAMPLE(pleat_conv2d_weight(values(2, 3, 5, 5), values(2, 2, 3, 3), (pleat_hw){ 3, 3 }, NULL));
    SAMPLE(pleat_conv2d_weight(values(3, 5, 5), values(2, 3, 3), (pleat_hw){ 3, 3 }, NULL));
    SAMPLE(pleat_conv2d_weight(values(2, 4, 6, 5), values(2, 2, 3, 2), (pleat_hw){ 3, 2 },
                               CONV(.stride = { 2, 3 }, .padding = { 1, 1 }, .groups = 2)));
    SAMPLE(pleat_conv2d_weight(values(2, 4, 6, 6), values(2, 4, 4, 4), (pleat_hw){ 3, 3 }, CONV(.groups = 4)));
    /* an output_padding above the stride: the gradient is smaller than conv2d's result */
    SAMPLE(pleat_conv2d_weight(values(1, 1, 8, 8), values(1, 1, 4, 4), (pleat_hw){ 2, 2 }, CONV(.dilation = { 3, 3 })));
    SAMPLE(pleat_conv2d_weight(values(0, 3, 5, 5), values(0, 2, 3, 3), (pleat_hw){ 3, 3 }, NULL));
    SAMPLE(pleat_conv2d_weight(values(2, 0, 5, 5), values(2, 2, 3, 3), (pleat_hw){ 3, 3 }, NULL));
    /* with the gradient by the bias: of direct convolutions, and of products */
    pleat_tensor *totals;
    SAMPLE(pleat_conv_weight_grad(values(2, 3, 6, 6), values(2, 2, 4, 4), (pleat_hw){ 3, 3 }, NULL, &totals));
    SAMPLE(pleat_conv_weight_grad(values(3, 5, 5), values(2, 3, 3), (pleat_hw){ 3, 3 }, NULL, &totals));
    SAMPLE(pleat_conv_weight_grad(values(2, 2, 4, 20), values(2, 1, 2, 18), (pleat_hw){ 3, 3 }, NULL, &totals));
    SAMPLE(pleat_conv_weight_grad(values(1, 1, 8, 8), values(1, 1, 4, 4), (pleat_hw){ 2, 2 },
                                  CONV(.dilation = { 3, 3 }), &totals));
    SAMPLE(pleat_conv_weight_grad(values(0, 3, 5, 5), values(0, 2, 3, 3), (pleat_hw){ 3, 3 }, NULL, &totals));
}

#endif
