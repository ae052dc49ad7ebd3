/* Running statistics of batch_norm and instance_norm. */
#include "ops/running.h"

#include "ops/reals.h"
#include "tensor/error.h"

#include <pleat/autograd.h>

#include <math.h>

/* Whether the running statistic can be moved once the forward is done: that must not fail any more. */
static pleat_status check_running(const pleat_tensor *t, const char *name, const pleat_tensor *x)
{
    if (!t || !x || pleat_ndim(x) < 2)
        return PLEAT_OK;
    if (pleat_ndim(t) != 1 || pleat_size(t, 0) != pleat_size(x, 1))
        return pleat_fail(PLEAT_ESHAPE, "%s %s must be %s, one for each channel of input %s", name,
                          pleat_shape_text(pleat_shape_of(t)).text,
                          pleat_shape_text(PLEAT_SHAPE(pleat_size(x, 1))).text,
                          pleat_shape_text(pleat_shape_of(x)).text);
    if (pleat_dtype_of(t) != pleat_dtype_of(x))
        return pleat_fail(PLEAT_EDTYPE, "%s is %s, the input %s", name, pleat_dtype_name(pleat_dtype_of(t)),
                          pleat_dtype_name(pleat_dtype_of(x)));
    if (!pleat_is_contiguous(t))
        return pleat_fail(PLEAT_EINVAL, "%s must be contiguous to be moved", name);
    if (pleat_requires_grad(t))
        return pleat_fail(PLEAT_EGRAD, "%s requires a gradient, and is moved off the tape", name);
    return PLEAT_OK;
}

void pleat_move_running(pleat_tensor *running, const pleat_tensor *batch, double momentum, double factor)
{
    if (!running)
        return;
    void *data = pleat_data_mut(running);
    const pleat_dtype dtype = pleat_dtype_of(running);
    const double *statistic = pleat_data_f64(batch);
    const int64_t channels = pleat_numel(running), images = channels ? pleat_numel(batch) / channels : 0;
    for (int64_t c = 0; data && c < channels; c++) {
        double sum = 0;
        for (int64_t n = 0; n < images; n++)
            sum += statistic[n * channels + c];
        const double to = (1 - momentum) * real_at(data, dtype, c) + momentum * factor * sum / (double)images;
        set_real(data, dtype, c, to);
    }
}

/* What running statistics are moved by. */
double pleat_momentum(const pleat_batch_norm_opts *o)
{
    return o->cumulative ? 1 / (double)o->batches : o->momentum == 0 ? 0.1 : o->momentum;
}

pleat_status pleat_check_statistics(const pleat_tensor *x, const pleat_tensor *mean, const pleat_tensor *var,
                                    const pleat_batch_norm_opts *o)
{
    if (o->cumulative && o->batches < 1)
        return pleat_fail(PLEAT_EINVAL, "batches must count this one, so be at least 1, not %lld",
                          (long long)o->batches);
    if (!isfinite(o->momentum))
        return pleat_fail(PLEAT_EINVAL, "momentum must be finite, not %g", o->momentum);
    const pleat_status status = check_running(mean, "running_mean", x);
    return status == PLEAT_OK ? check_running(var, "running_var", x) : status;
}
