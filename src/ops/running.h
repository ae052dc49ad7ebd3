/* The running statistics of normalisations, which evaluation uses: checked before the batch's are made, moved after. */
#ifndef PLEAT_OPS_RUNNING_H
#define PLEAT_OPS_RUNNING_H

#include <pleat/op.h>
#include <pleat/ops.h>

/* Whether the running statistics (NULL: none) and the options are such that moving them cannot fail. */
pleat_status pleat_check_statistics(const pleat_tensor *x, const pleat_tensor *mean, const pleat_tensor *var,
                                    const pleat_batch_norm_opts *opts);
double pleat_momentum(const pleat_batch_norm_opts *opts);

/* running = (1 - momentum) running + momentum factor batch, off the tape. running (NULL: none) has been checked; batch
 * is float64 of one or several images, which are averaged. */
void pleat_move_running(pleat_tensor *running, const pleat_tensor *batch, double momentum, double factor);

#endif
