/* opinfo.txt's poolings, normalisations, softmaxes and losses. */
#ifndef PLEAT_TEST_OPINFO_NORM_H
#define PLEAT_TEST_OPINFO_NORM_H

#include "golden/opinfo.h"

#include <math.h>
#include <string.h>

#define IN(i) ((i) < s->tensors ? s->in[i] : NULL)
#define SAMPLE const opinfo_sample *s

static pleat_window op_window(SAMPLE, const char *kernel)
{
    return (pleat_window){ .kernel = opinfo_pair(s, kernel, 0),
                           .stride = opinfo_pair(s, "stride", 0),
                           .padding = opinfo_pair(s, "padding", 0),
                           .dilation = opinfo_pair(s, "dilation", 0) };
}

static int op_max_pool2d(SAMPLE, pleat_tensor **out)
{
    const pleat_window w = op_window(s, "kernel_size");
    out[0] = pleat_max_pool2d_with(
        IN(0), &w, &(pleat_pool_opts){ .ceil_mode = opinfo_number(s, "ceil_mode", 0, 0) != 0 }, &out[1]);
    return !out[0] ? 0 : opinfo_number(s, "return_indices", 0, 0) != 0 ? 2 : 1;
}

static pleat_tensor *op_avg_pool2d(SAMPLE)
{
    const pleat_window w = op_window(s, opinfo_find(s, "kernel") ? "kernel" : "kernel_size");
    return pleat_avg_pool2d(IN(0), &w,
                            &(pleat_pool_opts){ .ceil_mode = opinfo_number(s, "ceil_mode", 0, 0) != 0,
                                                .exclude_padding = opinfo_number(s, "count_include_pad", 0, 1) == 0,
                                                .divisor = (int64_t)opinfo_number(s, "divisor", 0, 0) });
}

/* NaN stands for a size that is the image's. */
static pleat_hw op_adaptive_size(SAMPLE)
{
    const double h = opinfo_number(s, "size", 0, 0), w = opinfo_number(s, "size", 1, 0);
    return (pleat_hw){ isnan(h) ? -1 : (int64_t)h, isnan(w) ? -1 : (int64_t)w };
}

static pleat_tensor *op_adaptive_avg_pool2d(SAMPLE)
{
    return pleat_adaptive_avg_pool2d(IN(0), op_adaptive_size(s));
}

static int op_adaptive_max_pool2d(SAMPLE, pleat_tensor **out)
{
    out[0] = pleat_adaptive_max_pool2d(IN(0), op_adaptive_size(s), &out[1]);
    return !out[0] ? 0 : opinfo_number(s, "indices", 0, 0) != 0 ? 2 : 1;
}

static pleat_tensor *op_max_unpool2d(SAMPLE)
{
    pleat_hw size;
    if (opinfo_find(s, "output_size")) {
        const pleat_shape shape = opinfo_shape(s, "output_size");
        size = (pleat_hw){ shape.dim[shape.ndim - 2], shape.dim[shape.ndim - 1] };
    } else { /* PyTorch's guess */
        const pleat_window w = op_window(s, "kernel_size");
        size = (pleat_hw){ (pleat_size(IN(0), -2) - 1) * w.stride.h - 2 * w.padding.h + w.kernel.h,
                           (pleat_size(IN(0), -1) - 1) * w.stride.w - 2 * w.padding.w + w.kernel.w };
    }
    return pleat_max_unpool2d(IN(0), IN(1), size);
}

static pleat_tensor *op_local_response_norm(SAMPLE)
{
    return pleat_local_response_norm(IN(0), (int64_t)opinfo_number(s, "size", 0, 0),
                                     &(pleat_local_response_norm_opts){ .alpha = opinfo_number(s, "alpha", 0, 0),
                                                                        .beta = opinfo_number(s, "beta", 0, 0),
                                                                        .k = opinfo_number(s, "k", 0, 0) });
}

static pleat_tensor *op_layer_norm(SAMPLE)
{
    return pleat_layer_norm(IN(0), opinfo_shape(s, "shape"), IN(1), IN(2), opinfo_number(s, "eps", 0, 0));
}

static pleat_tensor *op_group_norm(SAMPLE)
{
    return pleat_group_norm(IN(0), (int64_t)opinfo_number(s, "groups", 0, 0), opinfo_tensor(s, "weight"),
                            opinfo_tensor(s, "bias"), opinfo_number(s, "eps", 0, 0));
}

static pleat_tensor *op_instance_norm(SAMPLE)
{
    pleat_tensor *stats[2] = { opinfo_tensor(s, "running_mean"), opinfo_tensor(s, "running_var") };
    for (int i = 0; i < 2; i++)
        stats[i] = stats[i] ? pleat_clone(pleat_detach(stats[i])) : NULL;
    return pleat_instance_norm(IN(0), opinfo_tensor(s, "weight"), opinfo_tensor(s, "bias"), stats[0], stats[1],
                               opinfo_number(s, "use_input_stats", 0, 1) != 0,
                               &(pleat_batch_norm_opts){ .eps = opinfo_number(s, "eps", 0, 0) });
}

static pleat_tensor *op_softmax(SAMPLE)
{
    return pleat_softmax(IN(0), (int)opinfo_number(s, "dim", 0, 0));
}

static pleat_loss_reduction op_reduction(SAMPLE)
{
    return opinfo_is(s, "reduction", "sum")    ? PLEAT_REDUCE_SUM
           : opinfo_is(s, "reduction", "none") ? PLEAT_REDUCE_NONE
           : opinfo_is(s, "reduction", "abc")  ? (pleat_loss_reduction)3
                                               : PLEAT_REDUCE_MEAN;
}

static pleat_cross_entropy_opts op_loss_opts(SAMPLE)
{
    pleat_tensor *weight = opinfo_tensor(s, "weight");
    return (pleat_cross_entropy_opts){ .weight = weight ? pleat_detach(weight) : NULL,
                                       .ignore = opinfo_find(s, "ignore_index") != NULL,
                                       .ignore_index = (int64_t)opinfo_number(s, "ignore_index", 0, 0),
                                       .label_smoothing = opinfo_number(s, "label_smoothing", 0, 0),
                                       .reduction = op_reduction(s) };
}

static pleat_tensor *op_cross_entropy(SAMPLE)
{
    const pleat_cross_entropy_opts o = op_loss_opts(s);
    return pleat_cross_entropy_with(IN(0), IN(1), &o);
}

static pleat_tensor *op_nll_loss(SAMPLE)
{
    const pleat_cross_entropy_opts o = op_loss_opts(s);
    return pleat_nll_loss(IN(0), IN(1), &o);
}

/* A weight of the losses, by which PyTorch has no gradient. */
static pleat_tensor *op_constant(SAMPLE, const char *name)
{
    pleat_tensor *t = opinfo_tensor(s, name);
    return t ? pleat_detach(t) : NULL;
}

static pleat_loss_opts op_pointwise_opts(SAMPLE)
{
    return (pleat_loss_opts){ .weight = op_constant(s, "weight"), .reduction = op_reduction(s) };
}

static pleat_tensor *op_mse_loss(SAMPLE)
{
    const pleat_loss_opts o = op_pointwise_opts(s);
    return pleat_mse_loss(IN(0), IN(1), &o);
}

static pleat_tensor *op_l1_loss(SAMPLE)
{
    const pleat_loss_opts o = op_pointwise_opts(s);
    return pleat_l1_loss(IN(0), IN(1), &o);
}

static pleat_tensor *op_huber_loss(SAMPLE)
{
    const pleat_loss_opts o = op_pointwise_opts(s);
    return pleat_huber_loss(IN(0), IN(1), opinfo_number(s, "delta", 0, 1), &o);
}

static pleat_tensor *op_smooth_l1_loss(SAMPLE)
{
    const pleat_loss_opts o = op_pointwise_opts(s);
    return pleat_smooth_l1_loss(IN(0), IN(1), opinfo_number(s, "beta", 0, 1), &o);
}

static pleat_tensor *op_binary_cross_entropy(SAMPLE)
{
    const pleat_loss_opts o = op_pointwise_opts(s);
    return pleat_binary_cross_entropy(IN(0), IN(1), &o);
}

static pleat_tensor *op_binary_cross_entropy_with_logits(SAMPLE)
{
    const pleat_loss_opts o = op_pointwise_opts(s);
    return pleat_binary_cross_entropy_with_logits(IN(0), IN(1), op_constant(s, "pos_weight"), &o);
}

/* batchmean is the sum over the size of dimension 0. */
static pleat_tensor *op_kl_div(SAMPLE)
{
    pleat_loss_opts o = op_pointwise_opts(s);
    const bool batchmean = opinfo_is(s, "reduction", "batchmean");
    if (batchmean)
        o.reduction = PLEAT_REDUCE_SUM;
    pleat_tensor *y = pleat_kl_div(IN(0), IN(1), opinfo_number(s, "log_target", 0, 0) != 0, &o);
    return batchmean ? pleat_mul_scalar(y, 1 / (double)pleat_size(IN(0), 0)) : y;
}

static pleat_tensor *op_poisson_nll_loss(SAMPLE)
{
    const pleat_loss_opts o = op_pointwise_opts(s);
    return pleat_poisson_nll_loss(IN(0), IN(1),
                                  &(pleat_poisson_nll_opts){ .rates = opinfo_number(s, "log_input", 0, 1) == 0,
                                                             .full = opinfo_number(s, "full", 0, 0) != 0,
                                                             .eps = opinfo_number(s, "eps", 0, 0) },
                                  &o);
}

#undef IN
#undef SAMPLE

#endif
