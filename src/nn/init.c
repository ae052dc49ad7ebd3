/* Initialisation: fans, and the distributions that follow from them, with PyTorch's formulas.
 *
 *   fan_in = size(1) * receptive field        kaiming: std = sqrt(2 / (1 + a^2)) / sqrt(fan_in)
 *   fan_out = size(0) * receptive field       xavier:  std = gain * sqrt(2 / (fan_in + fan_out))
 *
 * and a uniform distribution of that deviation reaches to sqrt(3) std. */
#include "nn/module.h"

#include "tensor/error.h"

#include <pleat/autograd.h>
#include <pleat/random.h>
#include <pleat/scope.h>

#include <math.h>

static pleat_status fans(const pleat_tensor *weight, double *fan_in, double *fan_out)
{
    if (pleat_pending() != PLEAT_OK)
        return pleat_pending();
    if (!weight)
        return pleat_fail(PLEAT_EINVAL, "fans: the weight is NULL");
    if (pleat_ndim(weight) < 2)
        return pleat_fail(PLEAT_ESHAPE, "fans: a weight has two dimensions or more, not %s",
                          pleat_shape_text(pleat_shape_of(weight)).text);
    double field = 1;
    for (int d = 2; d < pleat_ndim(weight); d++)
        field *= (double)pleat_size(weight, d);
    *fan_in = (double)pleat_size(weight, 1) * field;
    *fan_out = (double)pleat_size(weight, 0) * field;
    return PLEAT_OK;
}

pleat_status pleat_fans(const pleat_tensor *weight, int64_t *fan_in, int64_t *fan_out)
{
    double in, out;
    const pleat_status status = fans(weight, &in, &out);
    if (status != PLEAT_OK)
        return pleat_tell(status);
    if (in >= 0x1p63 || out >= 0x1p63) /* only where another dimension is 0 */
        return pleat_tell(
            pleat_fail(PLEAT_ESHAPE, "fans: too large for %s", pleat_shape_text(pleat_shape_of(weight)).text));
    if (fan_in)
        *fan_in = (int64_t)in;
    if (fan_out)
        *fan_out = (int64_t)out;
    return PLEAT_OK;
}

/* Fills t off the tape. A deviation of nothing (an empty tensor has fan 0) fills nothing. */
static pleat_tensor *fill(pleat_tensor *t, double std, bool normal)
{
    if (pleat_numel(t) == 0)
        return t;
    if (!isfinite(std)) {
        pleat_fail(PLEAT_EINVAL, "init: the gain must be finite");
        return NULL;
    }
    const bool recording = pleat_grad_mode(false);
    pleat_tensor *filled = normal ? pleat_normal_(t, 0, std) : pleat_uniform_(t, -sqrt(3) * std, sqrt(3) * std);
    pleat_grad_mode(recording);
    return filled;
}

static pleat_tensor *kaiming(pleat_tensor *t, double a, bool normal)
{
    double in, out;
    return fans(t, &in, &out) == PLEAT_OK ? fill(t, sqrt(2 / (1 + a * a)) / sqrt(in), normal) : NULL;
}

static pleat_tensor *xavier(pleat_tensor *t, double gain, bool normal)
{
    double in, out;
    return fans(t, &in, &out) == PLEAT_OK ? fill(t, gain * sqrt(2 / (in + out)), normal) : NULL;
}

pleat_tensor *pleat_kaiming_uniform_(pleat_tensor *t, double a)
{
    return kaiming(t, a, false);
}

pleat_tensor *pleat_kaiming_normal_(pleat_tensor *t, double a)
{
    return kaiming(t, a, true);
}

pleat_tensor *pleat_xavier_uniform_(pleat_tensor *t, double gain)
{
    return xavier(t, gain, false);
}

pleat_tensor *pleat_xavier_normal_(pleat_tensor *t, double gain)
{
    return xavier(t, gain, true);
}

/* ---- What layers start from ---- */

pleat_module *pleat_add_weights(pleat_module *m, pleat_shape weight_shape, int64_t bias_size, bool no_bias,
                                pleat_tensor **weight, pleat_tensor **bias)
{
    if (!m)
        return NULL;
    const pleat_scope scope = pleat_scope_begin();
    double in = 1, out;
    pleat_tensor *w = pleat_kaiming_uniform_(pleat_empty(weight_shape, PLEAT_F32), sqrt(5));
    *weight = pleat_module_add_parameter(m, "weight", w);
    if (!no_bias && fans(w, &in, &out) == PLEAT_OK) {
        pleat_tensor *b = pleat_uniform_(pleat_empty(PLEAT_SHAPE(bias_size), PLEAT_F32), -1 / sqrt(in), 1 / sqrt(in));
        *bias = pleat_module_add_parameter(m, "bias", b);
    }
    const bool failed = pleat_pending() != PLEAT_OK;
    pleat_scope_end(scope);
    if (failed) {
        pleat_module_free(m);
        return NULL;
    }
    return m;
}

pleat_status pleat_check_window(const char *layer, const pleat_window *window)
{
    const pleat_hw k = window->kernel, s = window->stride, p = window->padding, d = window->dilation;
    if (k.h < 1 || k.w < 1)
        return pleat_fail(PLEAT_EINVAL, "%s: the kernel must be at least (1, 1), not (%lld, %lld)", layer,
                          (long long)k.h, (long long)k.w);
    if ((s.h || s.w) && (s.h < 1 || s.w < 1))
        return pleat_fail(PLEAT_EINVAL, "%s: the stride must be at least (1, 1), not (%lld, %lld)", layer,
                          (long long)s.h, (long long)s.w);
    if (p.h < 0 || p.w < 0)
        return pleat_fail(PLEAT_EINVAL, "%s: the padding must not be negative, as (%lld, %lld) is", layer,
                          (long long)p.h, (long long)p.w);
    if ((d.h || d.w) && (d.h < 1 || d.w < 1))
        return pleat_fail(PLEAT_EINVAL, "%s: the dilation must be at least (1, 1), not (%lld, %lld)", layer,
                          (long long)d.h, (long long)d.w);
    return PLEAT_OK;
}
