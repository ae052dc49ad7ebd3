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
extern const pleat_op pleat_op_maximum;
extern const pleat_op pleat_op_minimum;
extern const pleat_op pleat_op_larger_grad;
extern const pleat_op pleat_op_rsqrt;
extern const pleat_op pleat_op_abs;
extern const pleat_op pleat_op_sign;
extern const pleat_op pleat_op_floor;
extern const pleat_op pleat_op_round;
extern const pleat_op pleat_op_sin;
extern const pleat_op pleat_op_cos;
extern const pleat_op pleat_op_erf;
extern const pleat_op pleat_op_hardtanh;
extern const pleat_op pleat_op_hardtanh_grad;
extern const pleat_op pleat_op_leaky_relu;
extern const pleat_op pleat_op_leaky_relu_grad;
extern const pleat_op pleat_op_prelu;
extern const pleat_op pleat_op_sigmoid;
extern const pleat_op pleat_op_tanh;
extern const pleat_op pleat_op_elu;
extern const pleat_op pleat_op_silu;
extern const pleat_op pleat_op_gelu;
extern const pleat_op pleat_op_gelu_tanh;
extern const pleat_op pleat_op_mish;
extern const pleat_op pleat_op_softplus;
extern const pleat_op pleat_op_logsigmoid;
extern const pleat_op pleat_op_softsign;
extern const pleat_op pleat_op_hardsigmoid;
extern const pleat_op pleat_op_hardswish;
extern const pleat_op pleat_op_eq;
extern const pleat_op pleat_op_ne;
extern const pleat_op pleat_op_lt;
extern const pleat_op pleat_op_le;
extern const pleat_op pleat_op_where;
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
