/* This library's counterpart of each op in opinfo.txt. */
#ifndef PLEAT_TEST_OPINFO_OPS_H
#define PLEAT_TEST_OPINFO_OPS_H

#include "golden/opinfo.h"
#include "golden/opinfo_norm.h"

#include <math.h>
#include <string.h>

#define IN(i) ((i) < s->tensors ? s->in[i] : NULL)
#define SAMPLE const opinfo_sample *s

static pleat_tensor *op_matmul(SAMPLE)
{
    return pleat_matmul(IN(0), IN(1));
}

static pleat_tensor *op_addmm(SAMPLE)
{
    return pleat_add(pleat_mul_scalar(IN(0), opinfo_number(s, "beta", 0, 1)),
                     pleat_mul_scalar(pleat_matmul(IN(1), IN(2)), opinfo_number(s, "alpha", 0, 1)));
}

static pleat_tensor *op_linear(SAMPLE)
{
    return pleat_linear(IN(0), IN(1), IN(2));
}

static pleat_tensor *op_expand(SAMPLE)
{
    return pleat_expand(IN(0), opinfo_shape(s, "size"));
}

static pleat_tensor *op_permute(SAMPLE)
{
    return pleat_permute(IN(0), opinfo_dims(s, "dims"));
}

static pleat_tensor *op_sum(SAMPLE)
{
    return pleat_sum_dims(IN(0), opinfo_dims(s, "dim"), opinfo_number(s, "keepdim", 0, 0) != 0);
}

static pleat_tensor *op_mean(SAMPLE)
{
    return pleat_mean_dims(IN(0), opinfo_dims(s, "dim"), opinfo_number(s, "keepdim", 0, 0) != 0);
}

static pleat_tensor *op_unfold(SAMPLE)
{
    const pleat_window window = { .kernel = opinfo_pair(s, "kernel", 0),
                                  .dilation = opinfo_pair(s, "dilation", 1),
                                  .padding = opinfo_pair(s, "padding", 0),
                                  .stride = opinfo_pair(s, "stride", 1) };
    return pleat_unfold(IN(0), &window);
}

static pleat_tensor *op_conv_transpose2d(SAMPLE)
{
    const pleat_conv_transpose2d_opts opts = { .stride = opinfo_pair(s, "stride", 1),
                                               .padding = opinfo_pair(s, "padding", 0),
                                               .output_padding = opinfo_pair(s, "output_padding", 0),
                                               .dilation = opinfo_pair(s, "dilation", 1),
                                               .groups = (int64_t)opinfo_number(s, "groups", 0, 1) };
    return pleat_conv_transpose2d(IN(0), IN(1), IN(2), &opts);
}

static pleat_tensor *op_batch_norm(SAMPLE)
{
    const double momentum = opinfo_number(s, "momentum", 0, 0.1);
    pleat_tensor *stats[2] = { IN(1), IN(2) };
    for (int i = 0; i < 2; i++) /* moved in place, so not the sample's own, and without a gradient */
        stats[i] = stats[i] ? pleat_clone(pleat_detach(stats[i])) : NULL;
    return pleat_batch_norm(IN(0), IN(3), IN(4), stats[0], stats[1], opinfo_number(s, "training", 0, 0) != 0,
                            &(pleat_batch_norm_opts){ .eps = opinfo_number(s, "eps", 0, 1e-5), .momentum = momentum });
}

static pleat_tensor *op_log_softmax(SAMPLE)
{
    return pleat_log_softmax(IN(0), (int)opinfo_number(s, "dim", 0, 0));
}

static pleat_tensor *op_cat(SAMPLE)
{
    return pleat_cat(s->in, s->tensors, (int)opinfo_number(s, "dim", 0, 0));
}

static pleat_tensor *op_stack(SAMPLE)
{
    return pleat_stack(s->in, s->tensors, (int)opinfo_number(s, "dim", 0, 0));
}

static int op_split(SAMPLE, pleat_tensor **out)
{
    const int dim = (int)opinfo_number(s, "dim", 0, 0);
    const int64_t every = (int64_t)opinfo_number(s, "size", 0, 1), n = pleat_size(IN(0), dim);
    return pleat_chunk(IN(0), (int)((n + every - 1) / every), dim, out);
}

static int op_split_sizes(SAMPLE, pleat_tensor **out)
{
    const pleat_shape sizes = opinfo_shape(s, "sizes");
    return pleat_split(IN(0), sizes.dim, sizes.ndim, (int)opinfo_number(s, "dim", 0, 0), out) == PLEAT_OK ? sizes.ndim
                                                                                                          : 0;
}

static pleat_tensor *op_pad(SAMPLE)
{
    const char *const names[] = { "constant", "reflect", "replicate", "circular" };
    pleat_pad_opts opts = { .value = opinfo_number(s, "value", 0, 0) };
    for (int i = 0; i < 4; i++)
        if (opinfo_is(s, "mode", names[i]))
            opts.mode = (pleat_pad_mode)i;
    const opinfo_arg *pad = opinfo_find(s, "pad");
    int64_t pads[OPINFO_NUMBERS];
    for (int i = 0; i < pad->numbers; i++)
        pads[i] = (int64_t)pad->number[i];
    return pleat_pad(IN(0), pads, pad->numbers, &opts);
}

static pleat_tensor *op_flip(SAMPLE) /* no dimension is all of them here, and none there */
{
    const pleat_dims dims = opinfo_dims(s, "dims");
    return dims.count ? pleat_flip(IN(0), dims) : pleat_clone(IN(0));
}

static pleat_tensor *op_roll(SAMPLE)
{
    return pleat_roll(IN(0), opinfo_shape(s, "shifts"), opinfo_dims(s, "dims"));
}

static pleat_tensor *op_cumsum(SAMPLE)
{
    return pleat_cumsum(IN(0), (int)opinfo_number(s, "dim", 0, 0));
}

static pleat_tensor *op_gather(SAMPLE)
{
    return pleat_gather(IN(0), (int)opinfo_number(s, "dim", 0, 0), pleat_cast(IN(1), PLEAT_I64));
}

static pleat_tensor *op_index_select(SAMPLE)
{
    return pleat_index_select(IN(0), (int)opinfo_number(s, "dim", 0, 0), IN(1));
}

static pleat_tensor *op_scatter(SAMPLE)
{
    const int dim = (int)opinfo_number(s, "dim", 0, 0);
    pleat_tensor *src = s->tensors > 2
                            ? IN(2)
                            : pleat_full(pleat_shape_of(IN(1)), opinfo_number(s, "value", 0, 0), pleat_dtype_of(IN(0)));
    return opinfo_is(s, "reduce", "add")        ? pleat_scatter_add(IN(0), dim, IN(1), src)
           : opinfo_is(s, "reduce", "multiply") ? pleat_scatter_multiply(IN(0), dim, IN(1), src)
                                                : pleat_scatter(IN(0), dim, IN(1), src);
}

static pleat_tensor *op_interpolate(SAMPLE)
{
    const bool image = pleat_ndim(IN(0)) == 4;
    const pleat_hw size = opinfo_pair(s, "size", 0); /* a single number is both, or the width of a line */
    const double scale[] = { opinfo_number(s, "scale", 0, 0), opinfo_number(s, "scale", 1, 0) };
    return pleat_interpolate(
        IN(0), &(pleat_interpolate_opts){ .mode = opinfo_is(s, "mode", "nearest")   ? PLEAT_NEAREST
                                                  : opinfo_is(s, "mode", "bicubic") ? PLEAT_BICUBIC
                                                  : opinfo_is(s, "mode", "area")    ? PLEAT_AREA
                                                                                    : PLEAT_BILINEAR,
                                          .size = { image ? size.h : 0, size.w },
                                          .scale = { image ? scale[0] : 0, scale[1] },
                                          .align_corners = opinfo_number(s, "align_corners", 0, 0) != 0 });
}

static pleat_tensor *op_embedding(SAMPLE)
{
    return pleat_embedding(IN(1), IN(0),
                           &(pleat_embedding_opts){ .padding = opinfo_find(s, "padding_idx") != NULL,
                                                    .padding_index = (int64_t)opinfo_number(s, "padding_idx", 0, 0) });
}

static pleat_tensor *op_einsum(SAMPLE)
{
    const opinfo_arg *equation = opinfo_find(s, "equation");
    return pleat_einsum(equation->text, s->in, s->tensors);
}

static pleat_tensor *op_pixel_shuffle(SAMPLE)
{
    return pleat_pixel_shuffle(IN(0), (int64_t)opinfo_number(s, "upscale_factor", 0, 0));
}

static pleat_tensor *op_pixel_unshuffle(SAMPLE)
{
    return pleat_pixel_unshuffle(IN(0), (int64_t)opinfo_number(s, "downscale_factor", 0, 0));
}

static pleat_tensor *op_conv2d(SAMPLE)
{
    const bool named = opinfo_find(s, "padding") && opinfo_find(s, "padding")->text[0]; /* "same", or "valid": none */
    const pleat_conv2d_opts opts = { .stride = opinfo_pair(s, "stride", 1),
                                     .padding = named ? (pleat_hw){ 0, 0 } : opinfo_pair(s, "padding", 0),
                                     .dilation = opinfo_pair(s, "dilation", 1),
                                     .groups = (int64_t)opinfo_number(s, "groups", 0, 1),
                                     .same = opinfo_is(s, "padding", "same") };
    return pleat_conv2d(IN(0), IN(1), IN(2), &opts);
}

static pleat_tensor *op_conv1d(SAMPLE)
{
    const bool named = opinfo_find(s, "padding") && opinfo_find(s, "padding")->text[0];
    const pleat_conv1d_opts opts = { .stride = (int64_t)opinfo_number(s, "stride", 0, 1),
                                     .padding = named ? 0 : (int64_t)opinfo_number(s, "padding", 0, 0),
                                     .dilation = (int64_t)opinfo_number(s, "dilation", 0, 1),
                                     .groups = (int64_t)opinfo_number(s, "groups", 0, 1),
                                     .same = opinfo_is(s, "padding", "same") };
    return pleat_conv1d(IN(0), IN(1), IN(2), &opts);
}

static pleat_tensor *op_conv_transpose1d(SAMPLE)
{
    const pleat_conv_transpose1d_opts opts = { .stride = (int64_t)opinfo_number(s, "stride", 0, 1),
                                               .padding = (int64_t)opinfo_number(s, "padding", 0, 0),
                                               .output_padding = (int64_t)opinfo_number(s, "output_padding", 0, 0),
                                               .dilation = (int64_t)opinfo_number(s, "dilation", 0, 1),
                                               .groups = (int64_t)opinfo_number(s, "groups", 0, 1) };
    return pleat_conv_transpose1d(IN(0), IN(1), IN(2), &opts);
}

static pleat_tensor *op_logsumexp(SAMPLE)
{
    return pleat_logsumexp(IN(0), opinfo_dims(s, "dim"), opinfo_number(s, "keepdim", 0, 0) != 0);
}

static double correction(SAMPLE)
{
    return opinfo_number(s, "correction", 0, opinfo_number(s, "unbiased", 0, 1));
}

static pleat_tensor *op_var(SAMPLE)
{
    return pleat_var(IN(0), opinfo_dims(s, "dim"), correction(s), opinfo_number(s, "keepdim", 0, 0) != 0);
}

static pleat_tensor *op_std(SAMPLE)
{
    return pleat_std(IN(0), opinfo_dims(s, "dim"), correction(s), opinfo_number(s, "keepdim", 0, 0) != 0);
}

static pleat_tensor *op_where(SAMPLE)
{
    return pleat_where(IN(1), IN(0), IN(2));
}

static pleat_tensor *op_gelu(SAMPLE)
{
    return opinfo_is(s, "approximate", "tanh") ? pleat_gelu_tanh(IN(0)) : pleat_gelu(IN(0));
}

static pleat_tensor *op_softplus(SAMPLE)
{
    return pleat_softplus(IN(0), &(pleat_softplus_opts){ .beta = opinfo_number(s, "beta", 0, 1),
                                                         .threshold = opinfo_number(s, "threshold", 0, 20) });
}

static pleat_tensor *op_prelu(SAMPLE)
{
    return pleat_prelu(IN(0), IN(1));
}

typedef struct {
    const char *name;
    pleat_tensor *(*one)(SAMPLE);
    int (*many)(SAMPLE, pleat_tensor **out); /* of several outputs */
} counterpart;

static const counterpart counterparts[] = {
    { "nn.functional.conv2d", op_conv2d, NULL },
    { "nn.functional.conv1d", op_conv1d, NULL },
    { "nn.functional.conv_transpose1d", op_conv_transpose1d, NULL },
    { "logsumexp", op_logsumexp, NULL },
    { "var", op_var, NULL },
    { "std", op_std, NULL },
    { "where", op_where, NULL },
    { "nn.functional.gelu", op_gelu, NULL },
    { "nn.functional.softplus", op_softplus, NULL },
    { "nn.functional.prelu", op_prelu, NULL },
    { "matmul", op_matmul, NULL },
    { "bmm", op_matmul, NULL },
    { "addmm", op_addmm, NULL },
    { "nn.functional.linear", op_linear, NULL },
    { "expand", op_expand, NULL },
    { "permute", op_permute, NULL },
    { "sum", op_sum, NULL },
    { "mean", op_mean, NULL },
    { "nn.functional.unfold", op_unfold, NULL },
    { "nn.functional.conv_transpose2d", op_conv_transpose2d, NULL },
    { "nn.functional.batch_norm", op_batch_norm, NULL },
    { "log_softmax", op_log_softmax, NULL },
    { "nn.functional.max_pool2d", NULL, op_max_pool2d },
    { "nn.functional.avg_pool2d", op_avg_pool2d, NULL },
    { "nn.functional.adaptive_avg_pool2d", op_adaptive_avg_pool2d, NULL },
    { "nn.functional.adaptive_max_pool2d", NULL, op_adaptive_max_pool2d },
    { "nn.functional.max_unpool2d", op_max_unpool2d, NULL },
    { "nn.functional.max_unpool2d.grad", op_max_unpool2d, NULL },
    { "nn.functional.local_response_norm", op_local_response_norm, NULL },
    { "nn.functional.layer_norm", op_layer_norm, NULL },
    { "nn.functional.group_norm", op_group_norm, NULL },
    { "nn.functional.instance_norm", op_instance_norm, NULL },
    { "softmax", op_softmax, NULL },
    { "nn.functional.cross_entropy", op_cross_entropy, NULL },
    { "nn.functional.nll_loss", op_nll_loss, NULL },
    { "nn.functional.mse_loss", op_mse_loss, NULL },
    { "nn.functional.l1_loss", op_l1_loss, NULL },
    { "nn.functional.huber_loss", op_huber_loss, NULL },
    { "nn.functional.smooth_l1_loss", op_smooth_l1_loss, NULL },
    { "nn.functional.binary_cross_entropy", op_binary_cross_entropy, NULL },
    { "nn.functional.binary_cross_entropy_with_logits", op_binary_cross_entropy_with_logits, NULL },
    { "nn.functional.kl_div", op_kl_div, NULL },
    { "nn.functional.poisson_nll_loss", op_poisson_nll_loss, NULL },
    { "cat", op_cat, NULL },
    { "stack", op_stack, NULL },
    { "split", NULL, op_split },
    { "split.list_args", NULL, op_split_sizes },
    { "nn.functional.pad", op_pad, NULL },
    { "nn.functional.pad.constant", op_pad, NULL },
    { "nn.functional.pad.reflect", op_pad, NULL },
    { "nn.functional.pad.replicate", op_pad, NULL },
    { "nn.functional.pad.circular", op_pad, NULL },
    { "flip", op_flip, NULL },
    { "roll", op_roll, NULL },
    { "cumsum", op_cumsum, NULL },
    { "gather", op_gather, NULL },
    { "index_select", op_index_select, NULL },
    { "scatter", op_scatter, NULL },
    { "nn.functional.interpolate.nearest", op_interpolate, NULL },
    { "nn.functional.interpolate.area", op_interpolate, NULL },
    { "nn.functional.interpolate", op_interpolate, NULL },
    { "nn.functional.embedding", op_embedding, NULL },
    { "nn.functional.interpolate.linear", op_interpolate, NULL },
    { "nn.functional.interpolate.bilinear", op_interpolate, NULL },
    { "nn.functional.interpolate.bicubic", op_interpolate, NULL },
    { "einsum", op_einsum, NULL },
    { "nn.functional.pixel_shuffle", op_pixel_shuffle, NULL },
    { "nn.functional.pixel_unshuffle", op_pixel_unshuffle, NULL },
};

int opinfo_call(SAMPLE, pleat_tensor *out[OPINFO_OUTPUTS])
{
    for (size_t i = 0; i < sizeof counterparts / sizeof *counterparts; i++)
        if (strcmp(counterparts[i].name, s->op) == 0) {
            if (counterparts[i].many)
                return counterparts[i].many(s, out);
            out[0] = counterparts[i].one(s);
            return out[0] != NULL;
        }
    return -1;
}

#undef IN
#undef SAMPLE

#endif
