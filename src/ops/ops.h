/* The built-in ops, one line an op, in the order of table.c. Users reach them through pleat/ops.h. */
#ifndef PLEAT_OPS_OPS_H
#define PLEAT_OPS_OPS_H

#include <pleat/op.h>

extern const pleat_op pleat_op_add;
extern const pleat_op pleat_op_sub;
extern const pleat_op pleat_op_mul;
extern const pleat_op pleat_op_div;
extern const pleat_op pleat_op_affine;
extern const pleat_op pleat_op_exp;
extern const pleat_op pleat_op_log;
extern const pleat_op pleat_op_sqrt;
extern const pleat_op pleat_op_pow;
extern const pleat_op pleat_op_clamp;
extern const pleat_op pleat_op_clamp_grad;
extern const pleat_op pleat_op_relu;
extern const pleat_op pleat_op_relu_grad;
extern const pleat_op pleat_op_cast;
extern const pleat_op pleat_op_clone;
extern const pleat_op pleat_op_sum;
extern const pleat_op pleat_op_mean;
extern const pleat_op pleat_op_sum_to;
extern const pleat_op pleat_op_permute;
extern const pleat_op pleat_op_reshape;
extern const pleat_op pleat_op_slice;
extern const pleat_op pleat_op_slice_adjoint;
extern const pleat_op pleat_op_expand;
extern const pleat_op pleat_op_matmul;
extern const pleat_op pleat_op_linear;
extern const pleat_op pleat_op_unfold;
extern const pleat_op pleat_op_fold;
extern const pleat_op pleat_op_conv2d;
extern const pleat_op pleat_op_conv_transpose2d;
extern const pleat_op pleat_op_conv2d_weight;
extern const pleat_op pleat_op_max_pool2d;
extern const pleat_op pleat_op_max_pool2d_gather;
extern const pleat_op pleat_op_max_pool2d_scatter;
extern const pleat_op pleat_op_adaptive_max_pool2d;
extern const pleat_op pleat_op_avg_pool2d;
extern const pleat_op pleat_op_avg_pool2d_adjoint;
extern const pleat_op pleat_op_batch_norm;
extern const pleat_op pleat_op_batch_norm_eval;
extern const pleat_op pleat_op_softmax;
extern const pleat_op pleat_op_log_softmax;
extern const pleat_op pleat_op_cross_entropy;
extern const pleat_op pleat_op_nll_loss;
extern const pleat_op pleat_op_dropout;

#endif
