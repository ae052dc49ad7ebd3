/* What errors.txt calls besides what opinfo.txt does. */
#ifndef PLEAT_TEST_ERROR_OPS_H
#define PLEAT_TEST_ERROR_OPS_H

#include "golden/opinfo.h"

#include <string.h>

#define IN(i) ((i) < s->tensors ? s->in[i] : NULL)
#define SAMPLE const opinfo_sample *s
#define NUMBER(name) ((int64_t)opinfo_number(s, name, 0, 0))
#define DIM(name) ((int)opinfo_number(s, name, 0, 0))

static pleat_tensor *op_fold(SAMPLE)
{
    return pleat_fold(IN(0), opinfo_pair(s, "size", 0),
                      &(pleat_window){ .kernel = opinfo_pair(s, "kernel", 0),
                                       .stride = opinfo_pair(s, "stride", 0),
                                       .padding = opinfo_pair(s, "padding", 0),
                                       .dilation = opinfo_pair(s, "dilation", 0) });
}

static pleat_tensor *op_lp_pool2d(SAMPLE)
{
    return pleat_lp_pool2d(
        IN(0), 2, &(pleat_window){ .kernel = opinfo_pair(s, "kernel", 0), .stride = opinfo_pair(s, "stride", 0) },
        NULL);
}

static pleat_tensor *op_conv_transpose2d_sized(SAMPLE)
{
    return pleat_conv_transpose2d(IN(0), IN(1), IN(2),
                                  &(pleat_conv_transpose2d_opts){ .stride = opinfo_pair(s, "stride", 0),
                                                                  .output_size = opinfo_pair(s, "output_size", 0) });
}

static pleat_tensor *op_conv_transpose1d_sized(SAMPLE)
{
    return pleat_conv_transpose1d(
        IN(0), IN(1), IN(2),
        &(pleat_conv_transpose1d_opts){ .stride = NUMBER("stride"), .output_size = NUMBER("output_size") });
}

#define BINARY(name)                                                                                                   \
    static pleat_tensor *op_##name(SAMPLE)                                                                             \
    {                                                                                                                  \
        return pleat_##name(IN(0), IN(1));                                                                             \
    }
BINARY(add)
BINARY(sub)
BINARY(mul)
BINARY(div)
BINARY(maximum)
BINARY(minimum)
BINARY(eq)
BINARY(ne)
BINARY(lt)
BINARY(le)
BINARY(gt)
BINARY(ge)

#define REDUCTION(name)                                                                                                \
    static pleat_tensor *op_##name(SAMPLE)                                                                             \
    {                                                                                                                  \
        return pleat_##name(IN(0), opinfo_dims(s, "dim"), false);                                                      \
    }
REDUCTION(amax)
REDUCTION(amin)
REDUCTION(prod)

static pleat_tensor *op_norm(SAMPLE)
{
    return pleat_norm(IN(0), 2, opinfo_dims(s, "dim"), false);
}

static pleat_tensor *op_argmax(SAMPLE)
{
    return pleat_argmax(IN(0), DIM("dim"), false);
}

static pleat_tensor *op_argmin(SAMPLE)
{
    return pleat_argmin(IN(0), DIM("dim"), false);
}

/* Those that return a status: its error is told already. */
static int op_max(SAMPLE, pleat_tensor **out)
{
    return pleat_max(IN(0), DIM("dim"), false, &out[0], &out[1]) == PLEAT_OK ? 2 : 0;
}

static int op_min(SAMPLE, pleat_tensor **out)
{
    return pleat_min(IN(0), DIM("dim"), false, &out[0], &out[1]) == PLEAT_OK ? 2 : 0;
}

static int op_topk(SAMPLE, pleat_tensor **out)
{
    return pleat_topk(IN(0), NUMBER("k"), DIM("dim"), true, &out[0], &out[1]) == PLEAT_OK ? 2 : 0;
}

static int op_sort(SAMPLE, pleat_tensor **out)
{
    return pleat_sort(IN(0), DIM("dim"), false, &out[0], &out[1]) == PLEAT_OK ? 2 : 0;
}

static int op_chunk(SAMPLE, pleat_tensor **out)
{
    return pleat_chunk(IN(0), DIM("chunks"), DIM("dim"), out);
}

static pleat_tensor *op_where_as_given(SAMPLE)
{
    return pleat_where(IN(0), IN(1), IN(2));
}

static pleat_tensor *op_reshape(SAMPLE)
{
    return pleat_reshape(IN(0), opinfo_shape(s, "shape"));
}

static pleat_tensor *op_transpose(SAMPLE)
{
    return pleat_transpose(IN(0), DIM("dim0"), DIM("dim1"));
}

static pleat_tensor *op_narrow(SAMPLE)
{
    return pleat_narrow(IN(0), DIM("dim"), NUMBER("start"), NUMBER("length"));
}

static pleat_tensor *op_select(SAMPLE)
{
    return pleat_select(IN(0), DIM("dim"), NUMBER("index"));
}

static pleat_tensor *op_slice(SAMPLE)
{
    return pleat_slice(IN(0), 0, 0, 4, NUMBER("step"));
}

static pleat_tensor *op_squeeze(SAMPLE)
{
    return pleat_squeeze(IN(0), DIM("dim"));
}

static pleat_tensor *op_unsqueeze(SAMPLE)
{
    return pleat_unsqueeze(IN(0), DIM("dim"));
}

static pleat_tensor *op_flatten(SAMPLE)
{
    return pleat_flatten(IN(0), DIM("start_dim"), DIM("end_dim"));
}

static pleat_tensor *op_repeat(SAMPLE)
{
    return pleat_repeat(IN(0), opinfo_shape(s, "times"));
}

static pleat_tensor *op_dropout(SAMPLE)
{
    return pleat_dropout(IN(0), opinfo_number(s, "p", 0, 0));
}

static pleat_tensor *op_scatter_add(SAMPLE)
{
    return pleat_scatter_add(IN(0), DIM("dim"), IN(1), IN(2));
}

static pleat_tensor *op_scatter_multiply(SAMPLE)
{
    return pleat_scatter_multiply(IN(0), DIM("dim"), IN(1), IN(2));
}

static pleat_tensor *op_index_add(SAMPLE)
{
    return pleat_index_add(IN(0), DIM("dim"), IN(1), IN(2));
}

static pleat_tensor *op_gather_as_given(SAMPLE)
{
    return pleat_gather(IN(0), DIM("dim"), IN(1));
}

static pleat_tensor *op_one_hot(SAMPLE)
{
    return pleat_one_hot(IN(0), NUMBER("classes"), PLEAT_F32);
}

static const struct {
    const char *name;
    pleat_tensor *(*one)(SAMPLE);
    int (*many)(SAMPLE, pleat_tensor **out);
} error_ops[] = {
    { "nn.functional.fold", op_fold, NULL },
    { "nn.functional.lp_pool2d", op_lp_pool2d, NULL },
    { "nn.functional.conv_transpose2d.sized", op_conv_transpose2d_sized, NULL },
    { "nn.functional.conv_transpose1d.sized", op_conv_transpose1d_sized, NULL },
    { "nn.functional.dropout", op_dropout, NULL },
    { "add", op_add, NULL },
    { "sub", op_sub, NULL },
    { "mul", op_mul, NULL },
    { "div", op_div, NULL },
    { "maximum", op_maximum, NULL },
    { "minimum", op_minimum, NULL },
    { "eq", op_eq, NULL },
    { "ne", op_ne, NULL },
    { "lt", op_lt, NULL },
    { "le", op_le, NULL },
    { "gt", op_gt, NULL },
    { "ge", op_ge, NULL },
    { "where", op_where_as_given, NULL },
    { "amax", op_amax, NULL },
    { "amin", op_amin, NULL },
    { "prod", op_prod, NULL },
    { "norm", op_norm, NULL },
    { "argmax", op_argmax, NULL },
    { "argmin", op_argmin, NULL },
    { "max", NULL, op_max },
    { "min", NULL, op_min },
    { "topk", NULL, op_topk },
    { "sort", NULL, op_sort },
    { "chunk", NULL, op_chunk },
    { "reshape", op_reshape, NULL },
    { "transpose", op_transpose, NULL },
    { "narrow", op_narrow, NULL },
    { "select", op_select, NULL },
    { "slice", op_slice, NULL },
    { "squeeze", op_squeeze, NULL },
    { "unsqueeze", op_unsqueeze, NULL },
    { "flatten", op_flatten, NULL },
    { "repeat", op_repeat, NULL },
    { "gather", op_gather_as_given, NULL },
    { "scatter_add", op_scatter_add, NULL },
    { "scatter_multiply", op_scatter_multiply, NULL },
    { "index_add", op_index_add, NULL },
    { "one_hot", op_one_hot, NULL },
};

/* As opinfo_call. */
static int error_call(SAMPLE, pleat_tensor *out[OPINFO_OUTPUTS])
{
    for (size_t i = 0; i < sizeof error_ops / sizeof *error_ops; i++)
        if (strcmp(error_ops[i].name, s->op) == 0) {
            if (error_ops[i].many)
                return error_ops[i].many(s, out);
            out[0] = error_ops[i].one(s);
            return out[0] != NULL;
        }
    return opinfo_call(s, out);
}

#undef IN
#undef SAMPLE
#undef NUMBER
#undef DIM
#undef BINARY
#undef REDUCTION

#endif
