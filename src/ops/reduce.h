/* What every reduction over dimensions shares. */
#ifndef PLEAT_OPS_REDUCE_H
#define PLEAT_OPS_REDUCE_H

#include "kernels/reduce.h"

#include <pleat/op.h>

typedef struct {
    pleat_dims dims;
    bool keepdim;
} pleat_reduce_params;

/* infer of an op with these parameters. */
pleat_status pleat_reduce_infer(const pleat_call *call, pleat_spec *out);
pleat_shape pleat_reduced_shape(pleat_shape x, unsigned mask, bool keepdim);
/* What a gradient is reshaped to so that it broadcasts over x; dims are known to be valid. */
pleat_shape pleat_kept_shape(pleat_shape x, pleat_dims dims);
/* An order for pleat_permute: the dimensions of the mask, then the others. */
pleat_dims pleat_reduced_first(int ndim, unsigned mask);

/* Where a dtype stands in the kernels' tables. */
int pleat_reduce_type(pleat_dtype dtype);

/* Splits x's dimensions: those of the mask are reduced, the others are the output's. Unless ordered, the reduced ones
 * are sorted by stride, which lets more of them merge. */
void pleat_reduce_split(const pleat_tensor *x, unsigned mask, bool ordered, pleat_reduce_work *work);

/* y = reduction of x over the dimensions of the mask, divided by their number of elements where mean is set. */
pleat_status pleat_reduce(const pleat_reduction *reduction, const pleat_tensor *x, unsigned mask, bool mean,
                          pleat_tensor *y);
/* The same as an op's forward. */
pleat_status pleat_reduce_forward(pleat_call *call, const pleat_reduction *reduction, bool mean);

/* The sum of |x|^p, p 1 or 2, or its mean, in one pass: what norms, variances and errors are made of. */
pleat_tensor *pleat_sum_powers(pleat_tensor *x, int p, pleat_dims dims, bool keepdim, bool mean);

#endif
