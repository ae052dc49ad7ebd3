/* What the other samples leave out: empty tensors and ones without dimensions, for every op that takes them; options of
 * convolutions. */
#ifndef PLEAT_TEST_SAMPLES_SHAPES_H
#define PLEAT_TEST_SAMPLES_SHAPES_H

#include "collect.h"
#include "samples_move.h"

#include "ops/ops.h"
#include "ops/reduce.h"

/* 0: empty, 1: without a dimension. */
static pleat_tensor *few(int k)
{
    return k == 0 ? positive(0, 2) : positive();
}

/* An expression of few(k) for both; its gradient may be zero. */
#define FEW(expression)                                                                                                \
    for (int k = 0; k < 2; k++)                                                                                        \
    SAMPLE_ZERO(expression)

static void samples_few(void)
{
    FEW(pleat_affine(few(k), 2, 1));
    FEW(pleat_pow(few(k), 3));
    FEW(pleat_clamp(few(k), -2, 2));
    FEW(pleat_hardtanh(few(k), -2, 2));
    FEW(pleat_rsqrt(few(k)));
    FEW(pleat_abs(few(k)));
    FEW(pleat_sign(few(k)));
    FEW(pleat_floor(few(k)));
    FEW(pleat_round(few(k)));
    FEW(pleat_leaky_relu(few(k), 0.1));
    FEW(pleat_elu(few(k), 0.7));
    FEW(pleat_huber_loss(few(k), few(k), 0.3, &(pleat_loss_opts){ .reduction = PLEAT_REDUCE_NONE }));
    FEW(pleat_softplus(few(k), NULL));
    FEW(pleat_prelu(few(k), values(1)));
    FEW(pleat_maximum(few(k), few(k)));
    FEW(pleat_minimum(few(k), few(k)));
    FEW(pleat_add_relu(few(k), few(k)));
    FEW(pleat_where(pleat_gt(few(k), pleat_scalar(1, PLEAT_F64)), few(k), few(k)));
    FEW(pleat_cast(pleat_cast(few(k), PLEAT_F32), PLEAT_F64));
    FEW(pleat_amax(pleat_unsqueeze(few(k), 0), PLEAT_DIMS(0), false));
    FEW(pleat_amin(pleat_unsqueeze(few(k), 0), PLEAT_DIMS(0), false));
    FEW(pleat_flip(few(k), PLEAT_DIMS()));
    SAMPLE(pleat_amax(values(), PLEAT_DIMS(), false));
    SAMPLE(pleat_amin(values(), PLEAT_DIMS(0), false));
    SAMPLE(pleat_apply(&pleat_op_sum_to, (pleat_tensor *[]){ values() }, 1, &(pleat_shape){ 0 }));
    SAMPLE(pleat_permute(values(), PLEAT_DIMS()));
    SAMPLE(pleat_expand(values(0, 1), PLEAT_SHAPE(2, 0, 3)));
    SAMPLE(pleat_slice(values(0, 5), 1, 0, 5, 2));
    SAMPLE(pleat_slice(values(5, 0), 0, 4, 4, 1));
    SAMPLE(pleat_scatter_add(values(2, 3), 1, indices(PLEAT_SHAPE(2, 0), 3), values(2, 0)));
    SAMPLE(pleat_index_add(values(2, 3), 0, indices(PLEAT_SHAPE(0), 2), values(0, 3)));
    SAMPLE(top(values(0, 3), 2, 1, true));
    for (int relu = 0; relu < 2; relu++) { /* images without a pixel */
        const pleat_batch_norm_opts o = { .relu = relu };
        SAMPLE(pleat_batch_norm(values(2, 3, 0), values(3), values(3), NULL, NULL, true, &o));
        SAMPLE(pleat_batch_norm(values(2, 3, 0), values(3), NULL, values(3), positive(3), false, &o));
    }
    SAMPLE(pleat_cross_entropy(values(0, 3, 2), indices(PLEAT_SHAPE(0, 2), 3)));
    const pleat_op *const comparisons[] = { &pleat_op_eq, &pleat_op_ne, &pleat_op_lt, &pleat_op_le };
    for (int i = 0; i < 8; i++)
        collect_call(comparisons[i / 2], "few", (pleat_tensor *[]){ few(i % 2), few(i % 2) }, 2, NULL);
    for (int i = 0; i < 2; i++) {
        const pleat_op *op = i ? &pleat_op_argmax : &pleat_op_argmin;
        collect_call(op, "no row", (pleat_tensor *[]){ values(0, 3) }, 1,
                     &(pleat_reduce_params){ PLEAT_DIMS(1), false });
        collect_call(op, "no dimension", (pleat_tensor *[]){ values() }, 1,
                     &(pleat_reduce_params){ PLEAT_DIMS(), false });
    }
    pleat_tensor *none = pleat_randint(-1, 20, PLEAT_SHAPE(0, 3, 3));
    const pleat_hw size = { 4, 5 };
    SAMPLE(pleat_apply(&pleat_op_max_pool2d_gather, (pleat_tensor *[]){ values(0, 4, 5), none }, 2, NULL));
    SAMPLE(pleat_apply(&pleat_op_max_pool2d_scatter, (pleat_tensor *[]){ values(0, 3, 3), none }, 2, &size));
}

static void samples_conv_options(void)
{
    for (int mode = PLEAT_PAD_CONSTANT; mode <= PLEAT_PAD_CIRCULAR; mode++) {
        const pleat_conv2d_opts same = { .same = true, .dilation = { 1, 2 }, .mode = (pleat_pad_mode)mode }, apart = {
            .padding = { 1, 0 }, .more = { 1, 2 }, .stride = { 2, 1 }, .mode = same.mode
        };
        SAMPLE(pleat_conv2d(values(1, 1, 3, 4), values(2, 1, 3, 2), values(2), &same));
        SAMPLE(pleat_conv2d(values(1, 3, 4), values(2, 1, 3, 2), NULL, &apart));
        SAMPLE(pleat_conv1d(values(2, 1, 5), values(2, 1, 3), values(2),
                            &((pleat_conv1d_opts){ .padding = 1, .more = 1, .mode = same.mode })));
    }
    SAMPLE(pleat_conv_transpose2d(values(1, 2, 3, 3), values(2, 3, 3, 2), values(3),
                                  &((pleat_conv_transpose2d_opts){ .stride = { 3, 2 }, .output_size = { 11, 7 } })));
    SAMPLE(pleat_conv_transpose1d(values(2, 3), values(2, 3, 2), NULL,
                                  &((pleat_conv_transpose1d_opts){ .stride = 2, .output_size = 7 })));
}

#undef FEW

#endif
