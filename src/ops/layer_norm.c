/* layer_norm, group_norm and instance_norm: the op group_norm, with one group of as many channels as a row has
 * elements, with groups, with a group for each channel. */
#include "ops/group_norm.h"
#include "ops/ops.h"
#include "ops/running.h"
#include "tensor/error.h"

#include <pleat/scope.h>

/* The op. mean and var, of the rows, may be NULL. */
static pleat_tensor *normalise(pleat_tensor *x, int64_t groups, pleat_tensor *weight, pleat_tensor *bias, double eps,
                               pleat_tensor **mean, pleat_tensor **var)
{
    const pleat_group_norm_params params = { .eps = eps == 0 ? 1e-5 : eps, .groups = groups };
    pleat_tensor *out[3];
    const uint64_t failures = pleat_failures();
    const pleat_status status =
        pleat_apply_all(&pleat_op_group_norm, (pleat_tensor *[]){ x, weight, bias }, 3, &params, out);
    if (pleat_take(status, failures) != PLEAT_OK)
        return NULL;
    if (mean)
        *mean = out[1];
    if (var)
        *var = out[2];
    return out[0];
}

/* t, of as many dimensions as it has, as one of one. */
static pleat_tensor *flat(pleat_tensor *t)
{
    return t ? pleat_reshape(t, PLEAT_SHAPE(pleat_numel(t))) : NULL;
}

static pleat_status check_shape(const pleat_tensor *t, const char *name, pleat_shape want)
{
    if (t && !pleat_shape_equal(pleat_shape_of(t), want))
        return pleat_fail(PLEAT_ESHAPE, "%s %s must be %s", name, pleat_shape_text(pleat_shape_of(t)).text,
                          pleat_shape_text(want).text);
    return PLEAT_OK;
}

static bool has_channels(const pleat_tensor *x)
{
    if (!x)
        pleat_fail(PLEAT_EINVAL, "the input is NULL");
    else if (pleat_ndim(x) < 2)
        pleat_fail(PLEAT_ESHAPE, "input %s must be (N, C, ...)", pleat_shape_text(pleat_shape_of(x)).text);
    return pleat_pending() == PLEAT_OK;
}

static pleat_tensor *layer(pleat_tensor *x, pleat_shape normalized, pleat_tensor *weight, pleat_tensor *bias,
                           double eps)
{
    if (!x) {
        pleat_fail(PLEAT_EINVAL, "the input is NULL");
        return NULL;
    }
    const pleat_shape shape = pleat_shape_of(x);
    const int outer = shape.ndim - normalized.ndim;
    bool fits = normalized.ndim >= 1 && outer >= 0;
    int64_t rows = 1;
    for (int d = 0; fits && d < normalized.ndim; d++)
        fits = shape.dim[outer + d] == normalized.dim[d];
    for (int d = 0; d < outer; d++)
        rows *= shape.dim[d];
    if (!fits)
        pleat_fail(PLEAT_ESHAPE, "the last dimensions of input %s must be %s", pleat_shape_text(shape).text,
                   pleat_shape_text(normalized).text);
    else if (check_shape(weight, "weight", normalized) == PLEAT_OK && check_shape(bias, "bias", normalized) == PLEAT_OK)
        return pleat_reshape(normalise(pleat_reshape(x, PLEAT_SHAPE(rows, pleat_shape_numel(normalized))), 1,
                                       flat(weight), flat(bias), eps, NULL, NULL),
                             shape);
    return NULL;
}

static pleat_tensor *group(pleat_tensor *x, int64_t groups, pleat_tensor *weight, pleat_tensor *bias, double eps)
{
    if (!has_channels(x))
        return NULL;
    const int64_t channels = pleat_size(x, 1);
    if (groups < 1 || channels % groups != 0)
        pleat_fail(PLEAT_ESHAPE, "the %lld channels of input %s do not divide into %lld groups", (long long)channels,
                   pleat_shape_text(pleat_shape_of(x)).text, (long long)groups);
    else if (check_shape(weight, "weight", PLEAT_SHAPE(channels)) == PLEAT_OK &&
             check_shape(bias, "bias", PLEAT_SHAPE(channels)) == PLEAT_OK)
        return normalise(x, groups, weight, bias, eps, NULL, NULL);
    return NULL;
}

static pleat_tensor *instance(pleat_tensor *x, pleat_tensor *weight, pleat_tensor *bias, pleat_tensor *running_mean,
                              pleat_tensor *running_var, const pleat_batch_norm_opts *o)
{
    if (!has_channels(x))
        return NULL;
    const int64_t channels = pleat_size(x, 1), rows = pleat_size(x, 0) * channels;
    const double count = rows > 0 ? (double)(pleat_numel(x) / rows) : 0;
    if (count == 1)
        pleat_fail(PLEAT_ESHAPE, "input %s needs more than one value per image and channel",
                   pleat_shape_text(pleat_shape_of(x)).text);
    else if (pleat_check_statistics(x, running_mean, running_var, o) == PLEAT_OK &&
             check_shape(weight, "weight", PLEAT_SHAPE(channels)) == PLEAT_OK &&
             check_shape(bias, "bias", PLEAT_SHAPE(channels)) == PLEAT_OK) {
        pleat_tensor *mean = NULL, *var = NULL, *y = normalise(x, channels, weight, bias, o->eps, &mean, &var);
        if (y && count > 0) {
            pleat_move_running(running_mean, mean, pleat_momentum(o), 1);
            pleat_move_running(running_var, var, pleat_momentum(o), count / (count - 1));
        }
        return o->relu && y ? pleat_relu(y) : y;
    }
    return NULL;
}

pleat_tensor *pleat_layer_norm(pleat_tensor *x, pleat_shape normalized, pleat_tensor *weight, pleat_tensor *bias,
                               double eps)
{
    const char *context = pleat_begin_context("layer_norm");
    pleat_scope scope = pleat_scope_begin();
    pleat_tensor *y = pleat_scope_return(scope, layer(x, normalized, weight, bias, eps));
    pleat_end_context(context);
    return y;
}

pleat_tensor *pleat_group_norm(pleat_tensor *x, int64_t groups, pleat_tensor *weight, pleat_tensor *bias, double eps)
{
    const char *context = pleat_begin_context("group_norm");
    pleat_scope scope = pleat_scope_begin();
    pleat_tensor *y = pleat_scope_return(scope, group(x, groups, weight, bias, eps));
    pleat_end_context(context);
    return y;
}

pleat_tensor *pleat_instance_norm(pleat_tensor *x, pleat_tensor *weight, pleat_tensor *bias, pleat_tensor *running_mean,
                                  pleat_tensor *running_var, bool training, const pleat_batch_norm_opts *opts)
{
    if (!training)
        return pleat_batch_norm(x, weight, bias, running_mean, running_var, false, opts);
    const pleat_batch_norm_opts o = opts ? *opts : (pleat_batch_norm_opts){ 0 };
    const char *context = pleat_begin_context("instance_norm");
    pleat_scope scope = pleat_scope_begin();
    pleat_tensor *y = pleat_scope_return(scope, instance(x, weight, bias, running_mean, running_var, &o));
    pleat_end_context(context);
    return y;
}
