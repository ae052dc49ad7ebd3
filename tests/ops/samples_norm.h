/* Pooling, normalisation, softmax, losses and dropout: the sample inputs of PyTorch's OpInfo, and what they leave out.
 */
#ifndef PLEAT_TEST_SAMPLES_NORM_H
#define PLEAT_TEST_SAMPLES_NORM_H

#include "collect.h"

#include "ops/ops.h"

#define WINDOW(...) (&((pleat_window){ __VA_ARGS__ }))

static void samples_pooling(void)
{
    static const pleat_hw kernels[] = { { 3, 3 }, { 3, 2 } }, strides[] = { { 2, 2 }, { 2, 1 }, { 0, 0 } },
                          paddings[] = { { 0, 0 }, { 1, 1 }, { 0, 1 } }, dilations[] = { { 1, 1 }, { 1, 2 } };
    for (int i = 0; i < 36; i++) {
        const pleat_window w = { .kernel = kernels[i % 2],
                                 .stride = strides[i / 2 % 3],
                                 .padding = paddings[i / 6 % 3],
                                 .dilation = dilations[i / 18] };
        if (i % 2)
            SAMPLE(pleat_max_pool2d(values(1, 2, 3, 6), &w));
        else
            SAMPLE(pleat_max_pool2d(values(2, 4, 7), &w));
    }
    SAMPLE(pleat_max_pool2d(values(0, 2, 4, 4), WINDOW(.kernel = { 2, 2 })));
    SAMPLE(pleat_max_pool2d(values(2, 3, 7, 9), WINDOW(.kernel = { 2, 2 })));
    SAMPLE(pleat_max_pool2d(values(2, 3, 5), WINDOW(.kernel = { 3, 5 }, .stride = { 3, 1 }, .padding = { 1, 2 })));
    pleat_tensor *index = pleat_randint(-1, 20, PLEAT_SHAPE(2, 3, 3)); /* -1: nothing under the window */
    const pleat_hw size = { 4, 5 };
    SAMPLE(pleat_apply(&pleat_op_max_pool2d_gather, (pleat_tensor *[]){ values(2, 4, 5), index }, 2, NULL));
    SAMPLE(pleat_apply(&pleat_op_max_pool2d_scatter, (pleat_tensor *[]){ values(2, 3, 3), index }, 2, &size));
}

#define POOL(...) (&((pleat_pool_opts){ __VA_ARGS__ }))

static void samples_other_pooling(void)
{
    const pleat_hw sizes[] = { { 2, 3 }, { -1, 3 }, { 3, -1 }, { 1, 1 }, { 5, 6 } };
    for (int i = 0; i < 5; i++) {
        SAMPLE(pleat_adaptive_avg_pool2d(values(2, 2, 4, 4), sizes[i]));
        SAMPLE(pleat_adaptive_avg_pool2d(values(2, 4, 3), sizes[i]));
        SAMPLE(pleat_adaptive_max_pool2d(values(2, 2, 4, 4), sizes[i], NULL));
        SAMPLE(pleat_adaptive_max_pool2d(values(2, 4, 3), sizes[i], NULL));
    }
    SAMPLE(pleat_adaptive_avg_pool2d(values(0, 2, 4, 4), sizes[0]));
    SAMPLE(pleat_adaptive_max_pool2d(values(0, 2, 4, 4), sizes[0], NULL));
    for (int i = 0; i < 8; i++) {
        const pleat_pool_opts o = { .ceil_mode = i % 2, .exclude_padding = i / 2 % 2, .divisor = i / 4 ? 2 : 0 };
        SAMPLE(pleat_avg_pool2d(values(1, 3, 9, 9), WINDOW(.kernel = { 3, 3 }, .stride = { 1, 1 }, .padding = { 1, 1 }),
                                &o));
        SAMPLE(pleat_avg_pool2d(values(1, 3, 9, 9), WINDOW(.kernel = { 4, 4 }, .stride = { 2, 3 }, .padding = { 2, 1 }),
                                &o));
        SAMPLE(pleat_avg_pool2d(values(2, 6, 6), WINDOW(.kernel = { 3, 3 }, .stride = { 2, 2 }), &o));
        SAMPLE(pleat_avg_pool2d(values(2, 2, 4, 4), WINDOW(.kernel = { 2, 2 }), &o));
    }
    SAMPLE(pleat_avg_pool2d(values(0, 2, 4, 4), WINDOW(.kernel = { 2, 2 }), NULL));
    SAMPLE(pleat_max_pool2d_with(values(2, 5, 6), WINDOW(.kernel = { 2, 2 }), POOL(.ceil_mode = true), NULL));
    SAMPLE(pleat_max_pool2d_with(values(2, 5, 6), WINDOW(.kernel = { 3, 2 }, .padding = { 1, 1 }),
                                 POOL(.ceil_mode = true), NULL));
    SAMPLE(pleat_lp_pool2d(positive(2, 5, 6), 3, WINDOW(.kernel = { 2, 2 }), POOL(.ceil_mode = true)));
    SAMPLE(pleat_local_response_norm(values(2, 5, 3), 3, NULL));
    SAMPLE(pleat_local_response_norm(values(2, 5, 3, 2), 2, NULL));
}

#define BATCH_NORM(...) (&((pleat_batch_norm_opts){ __VA_ARGS__ }))

static void samples_norm(void)
{
    for (int training = 0; training < 2; training++) {
        pleat_tensor *mean = training ? NULL : random_of(PLEAT_SHAPE(2), -1, 1);
        pleat_tensor *var = training ? NULL : random_of(PLEAT_SHAPE(2), 0.5, 1.5);
        SAMPLE(pleat_batch_norm(values(3, 2, 4), values(2), values(2), mean, var, training, BATCH_NORM(.eps = 0.6)));
        SAMPLE(pleat_batch_norm(values(3, 2, 3, 4), values(2), values(2), mean, var, training, BATCH_NORM(.eps = 0.5)));
        SAMPLE(pleat_batch_norm(values(3, 2), values(2), NULL, mean, var, training, BATCH_NORM(.eps = 0.1)));
        SAMPLE(pleat_batch_norm(values(1, 2, 3), NULL, NULL, mean, var, training, BATCH_NORM(.eps = 0.1)));
        SAMPLE(pleat_batch_norm(values(4, 2, 1, 1), NULL, values(2), mean, var, training, BATCH_NORM(.eps = 0.1)));
        SAMPLE(pleat_batch_norm(values(0, 2, 3), values(2), values(2), mean, var, training, NULL));
        SAMPLE(pleat_batch_norm(values(3, 2, 4), values(2), positive(2), mean, var, training,
                                BATCH_NORM(.eps = 0.6, .relu = true)));
        SAMPLE(pleat_batch_norm(values(3, 2, 5, 9), values(2), NULL, mean, var, training,
                                BATCH_NORM(.eps = 0.5, .relu = true)));
        SAMPLE(pleat_batch_norm(values(9, 2), NULL, positive(2), mean, var, training,
                                BATCH_NORM(.eps = 0.4, .relu = true)));
        SAMPLE(pleat_batch_norm(values(0, 2, 3), values(2), values(2), mean, var, training, BATCH_NORM(.relu = true)));
    }
    SAMPLE(pleat_batch_norm(values(3, 2, 4), values(2), values(2), values(2), positive(2), false, NULL));
    SAMPLE(pleat_layer_norm(values(2, 2, 3), PLEAT_SHAPE(2, 3), values(2, 3), values(2, 3), 0.5));
    SAMPLE(pleat_layer_norm(values(0, 1), PLEAT_SHAPE(1), values(1), values(1), 0));
    SAMPLE(pleat_layer_norm(values(4, 7), PLEAT_SHAPE(7), values(7), NULL, 0.4));
    SAMPLE(pleat_layer_norm(values(9, 3), PLEAT_SHAPE(3), NULL, values(3), 0.4));
    SAMPLE(pleat_layer_norm(values(3, 5), PLEAT_SHAPE(5), NULL, NULL, 0.4));
    SAMPLE(pleat_group_norm(values(2, 6, 3), 2, values(6), values(6), 0.5));
    SAMPLE(pleat_group_norm(values(3, 6), 2, values(6), values(6), 0.5));
    SAMPLE(pleat_group_norm(values(2, 4, 2, 2), 2, NULL, values(4), 0.5));
    SAMPLE(pleat_group_norm(values(2, 4, 5), 1, values(4), NULL, 0.5));
    SAMPLE(pleat_instance_norm(values(2, 3, 4), values(3), values(3), NULL, NULL, true, BATCH_NORM(.eps = 0.5)));
}

static void samples_softmax(void)
{
    SAMPLE(pleat_log_softmax(values(5), 0));
    SAMPLE(pleat_log_softmax(values(5, 5), 0));
    SAMPLE(pleat_log_softmax(values(5, 5), 1));
    SAMPLE(pleat_log_softmax(values(5, 5), -1));
    SAMPLE(pleat_log_softmax(values(3, 7, 4), 2));
    SAMPLE(pleat_log_softmax(values(2, 3, 4), 1));
    SAMPLE(pleat_log_softmax(values(2, 0, 4), 1));
    SAMPLE_ZERO(pleat_log_softmax(values(), 0));
    SAMPLE(pleat_softmax(values(5), 0));
    SAMPLE(pleat_softmax(values(5, 5), 0));
    SAMPLE(pleat_softmax(values(5, 5), 1));
    SAMPLE(pleat_softmax(values(5, 5), -1));
    SAMPLE(pleat_softmax(values(3, 7, 4), 2));
    SAMPLE(pleat_softmax(values(2, 3, 4), 1));
    SAMPLE(pleat_softmax(values(2, 0, 4), 1));
    SAMPLE_ZERO(pleat_softmax(values(), 0));
}

#define LOSS(...) (&((pleat_cross_entropy_opts){ __VA_ARGS__ }))

/* Classes in [0, 3). */
#define classes(...) pleat_randint(0, 3, PLEAT_SHAPE(__VA_ARGS__))

#define probabilities(...) pleat_set_requires_grad(random_of(PLEAT_SHAPE(__VA_ARGS__), 0.2, 0.8), true)

static void samples_losses(void)
{
    pleat_tensor *weight = random_of(PLEAT_SHAPE(3), 0.5, 1.5);
    pleat_seed(12);
    SAMPLE(pleat_cross_entropy(values(3), classes()));
    SAMPLE(pleat_cross_entropy(values(2, 3), classes(2)));
    SAMPLE(pleat_cross_entropy(values(2, 3, 1), classes(2, 1)));
    SAMPLE(pleat_cross_entropy(values(2, 3, 1, 2), classes(2, 1, 2)));
    SAMPLE(pleat_cross_entropy(values(2, 3, 1, 2, 3), classes(2, 1, 2, 3)));
    for (int reduction = PLEAT_REDUCE_MEAN; reduction <= PLEAT_REDUCE_NONE; reduction++) {
        const pleat_loss_reduction r = (pleat_loss_reduction)reduction;
        SAMPLE(pleat_cross_entropy_with(values(2, 3), classes(2), LOSS(.reduction = r)));
        SAMPLE(pleat_cross_entropy_with(values(2, 3), classes(2), LOSS(.reduction = r, .weight = weight)));
        SAMPLE(pleat_cross_entropy_with(values(5, 3, 2), classes(5, 2), LOSS(.reduction = r, .label_smoothing = 0.2)));
        SAMPLE(pleat_cross_entropy_with(values(2, 3), classes(2),
                                        LOSS(.reduction = r, .weight = weight, .label_smoothing = 1)));
        SAMPLE(pleat_cross_entropy_with(values(9, 3), classes(9),
                                        LOSS(.reduction = r, .ignore = true, .ignore_index = 1)));
        SAMPLE(pleat_cross_entropy_with(
            values(9, 3), classes(9), LOSS(.reduction = r, .weight = weight, .ignore = true, .label_smoothing = 0.5)));
    }
    SAMPLE(pleat_cross_entropy_with(values(0, 3), classes(0), LOSS(.reduction = PLEAT_REDUCE_SUM)));
    for (int reduction = PLEAT_REDUCE_MEAN; reduction <= PLEAT_REDUCE_NONE; reduction++) {
        const pleat_loss_reduction r = (pleat_loss_reduction)reduction;
        SAMPLE(pleat_nll_loss(values(3), classes(), LOSS(.reduction = r)));
        SAMPLE(pleat_nll_loss(values(9, 3), classes(9), LOSS(.reduction = r, .ignore = true, .ignore_index = 1)));
        SAMPLE(pleat_nll_loss(values(2, 3, 2), classes(2, 2), LOSS(.reduction = r, .weight = weight)));
        SAMPLE(pleat_nll_loss(values(9, 3), classes(9), LOSS(.reduction = r, .weight = weight, .ignore = true)));
        SAMPLE(pleat_cross_entropy_with(values(2, 3), positive(2, 3), LOSS(.reduction = r, .weight = positive(3))));
        SAMPLE(
            pleat_cross_entropy_with(values(2, 3, 2), positive(2, 3, 2), LOSS(.reduction = r, .label_smoothing = 0.2)));
    }
    SAMPLE(pleat_nll_loss(values(0, 3), classes(0), LOSS(.reduction = PLEAT_REDUCE_SUM)));
    SAMPLE(pleat_huber_loss(values(4, 5), values(4, 5), 0.3, NULL));
    SAMPLE(pleat_binary_cross_entropy(probabilities(5, 5), probabilities(5, 5), NULL));
    SAMPLE(pleat_binary_cross_entropy(probabilities(), probabilities(), NULL));
    SAMPLE(pleat_binary_cross_entropy(probabilities(0, 2), probabilities(0, 2), NULL));
}

static void samples_dropout(void)
{
    pleat_seed(13);
    SAMPLE(pleat_dropout(values(5, 5), 0.5));
    SAMPLE(pleat_dropout(values(100), 0.3));
    SAMPLE_ZERO(pleat_dropout(values(5), 1.0));
    SAMPLE_ZERO(pleat_dropout(values(), 0.5));
    SAMPLE(pleat_dropout(values(0, 3), 0.5));
}

#endif
