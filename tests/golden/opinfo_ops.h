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

typedef struct {
    const char *name;
    pleat_tensor *(*one)(SAMPLE);
    int (*many)(SAMPLE, pleat_tensor **out); /* of several outputs */
} counterpart;

static const counterpart counterparts[] = {
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
    { "nn.functional.nll_loss", NULL, op_nll_loss },
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
