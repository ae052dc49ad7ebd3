/* The built-in ops, one line an op, in the order of table.c. Users reach them through pleat/ops.h. */
#ifndef PLEAT_OPS_OPS_H
#define PLEAT_OPS_OPS_H

#include <pleat/op.h>

extern const pleat_op pleat_op_permute;
extern const pleat_op pleat_op_reshape;
extern const pleat_op pleat_op_slice;
extern const pleat_op pleat_op_slice_adjoint;
extern const pleat_op pleat_op_expand;

#endif
