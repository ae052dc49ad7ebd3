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

/* Whether the running statistics (NULL: none) and the options are such that moving them cannot fail. */
pleat_status pleat_check_statistics(const pleat_tensor *x, const pleat_tensor *mean, const pleat_tensor *var,
                                    const pleat_batch_norm_opts *opts);
double pleat_momentum(const pleat_batch_norm_opts *opts);

/* running = (1 - momentum) running + momentum factor batch, off the tape. running (NULL: none) has been checked; batch
 * is float64 of one or several images, which are averaged. */
void pleat_move_running(pleat_tensor *running, const pleat_tensor *batch, double momentum, double factor);

#endif
