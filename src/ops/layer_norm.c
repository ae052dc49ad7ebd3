/* layer_norm, group_norm and instance_norm: batch_norm of one image whose channels are the rows, the groups or the
 * channels of each image, then weight and bias where they belong. */
#include "ops/batch_norm.h"
#include "ops/ops.h"
#include "ops/running.h"
#include "tensor/error.h"

#include <pleat/scope.h>

/* Normalises each row of x (rows, everything else), and gives x's shape back. mean and var may be NULL. */
static pleat_tensor *normalise_rows(pleat_tensor *x, int64_t rows, double eps, pleat_tensor **mean, pleat_tensor **var)
{
    const pleat_shape shape = pleat_shape_of(x);
    const int64_t length = rows > 0 ? pleat_numel(x) / rows : 0;
    const pleat_batch_norm_params params = { .eps = eps == 0 ? 1e-5 : eps, .one = true };
    pleat_tensor *in[3] = { pleat_reshape(x, PLEAT_SHAPE(1, rows, length)) }, *out[3];
    if (!in[0])
        return NULL;
    const uint64_t failures = pleat_failures();
    const pleat_status status = pleat_apply_all(&pleat_op_batch_norm, in, 3, &params, out);
    if (pleat_take(status, failures) != PLEAT_OK)
        return NULL;
    if (mean)
        *mean = out[1];
    if (var)
        *var = out[2];
    return pleat_reshape(out[0], shape);
}

static pleat_tensor *affine(pleat_tensor *y, pleat_tensor *weight, pleat_tensor *bias)
{
    if (weight)
        y = pleat_mul(y, weight);
    return bias ? pleat_add(y, bias) : y;
}

/* A tensor (C) so that it broadcasts over (N, C, ...). */
static pleat_tensor *over_channels(pleat_tensor *t, int ndim)
{
    pleat_shape shape = { .ndim = ndim, .dim = { 1, pleat_numel(t) } };
    for (int d = 2; d < ndim; d++)
        shape.dim[d] = 1;
    return t ? pleat_reshape(t, shape) : NULL;
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
        return affine(normalise_rows(x, rows, eps, NULL, NULL), weight, bias);
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
        return affine(normalise_rows(x, pleat_size(x, 0) * groups, eps, NULL, NULL),
                      over_channels(weight, pleat_ndim(x)), over_channels(bias, pleat_ndim(x)));
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
        pleat_tensor *mean = NULL, *var = NULL, *y = normalise_rows(x, rows, o->eps, &mean, &var);
        y = affine(y, over_channels(weight, pleat_ndim(x)), over_channels(bias, pleat_ndim(x)));
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
