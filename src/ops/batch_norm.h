/* The parameters of the op batch_norm, for what is made of it. */
#ifndef PLEAT_OPS_BATCH_NORM_H
#define PLEAT_OPS_BATCH_NORM_H

#include <pleat/op.h>
#include <pleat/ops.h>

typedef struct {
    double eps;
    bool one;  /* one value per channel will do: the result is the bias */
    bool relu; /* of the result: of the ops batch_norm_relu and batch_norm_eval_relu */
} pleat_batch_norm_params;

#endif
