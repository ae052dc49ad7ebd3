/* Rows of kernels/elementwise.h over whole tensors. */
#ifndef PLEAT_OPS_ELEMENTWISE_H
#define PLEAT_OPS_ELEMENTWISE_H

#include "kernels/elementwise.h"

#include <pleat/op.h>

/* out = row(in[0], in[1], ...), the inputs (up to PLEAT_MAP_ARRAYS - 1, any strides) broadcast to out's shape. Tensors
 * are all of one floating type, by which the row is chosen. In parallel; cannot fail. */
void pleat_map(const pleat_row_fn row[2], pleat_tensor *out, pleat_tensor *const *in, int count, double p, double q);

/* For infer: the output is what input 0 is, contiguous. */
pleat_status pleat_infer_same(const pleat_call *call, pleat_spec *out);

/* The same, and every input has input 0's shape. */
pleat_status pleat_infer_all_same(const pleat_call *call, pleat_spec *out);

#endif
