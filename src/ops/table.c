/* The table of the built-in ops: what the tests, the profiler and the graph dump walk. An op that is missing here fails
 * a test. */
#include "ops/ops.h"

static const pleat_op *const table[] = {
    &pleat_op_add,
    &pleat_op_sub,
    &pleat_op_mul,
    &pleat_op_div,
    &pleat_op_affine,
    &pleat_op_exp,
    &pleat_op_log,
    &pleat_op_sqrt,
    &pleat_op_pow,
    &pleat_op_clamp,
    &pleat_op_clamp_grad,
    &pleat_op_relu,
    &pleat_op_relu_grad,
    &pleat_op_cast,
    &pleat_op_clone,
    &pleat_op_sum,
    &pleat_op_mean,
    &pleat_op_sum_to,
    &pleat_op_permute,
    &pleat_op_reshape,
    &pleat_op_slice,
    &pleat_op_slice_adjoint,
    &pleat_op_expand,
    &pleat_op_matmul,
    &pleat_op_linear,
    &pleat_op_unfold,
    &pleat_op_fold,
    &pleat_op_conv2d,
    &pleat_op_conv_transpose2d,
    &pleat_op_conv2d_weight,
    &pleat_op_max_pool2d,
    &pleat_op_max_pool2d_gather,
    &pleat_op_max_pool2d_scatter,
    &pleat_op_adaptive_max_pool2d,
    &pleat_op_avg_pool2d,
    &pleat_op_avg_pool2d_adjoint,
    &pleat_op_batch_norm,
    &pleat_op_batch_norm_eval,
    &pleat_op_softmax,
    &pleat_op_log_softmax,
    &pleat_op_cross_entropy,
    &pleat_op_nll_loss,
    &pleat_op_dropout,
    NULL, /* the end */
};

const pleat_op *pleat_builtin_op(int i)
{
    return i >= 0 && i < (int)(sizeof table / sizeof *table) ? table[i] : NULL;
}
