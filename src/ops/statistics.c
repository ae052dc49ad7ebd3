/* Reductions that are made of others: variance, standard deviation, norms. Their gradients, of any order, are those of
 * the parts; where a part's is infinite at 0 the parts are kept away from it. */
#include "kernels/kernels.h"
#include "ops/ops.h"
#include "ops/reduce.h"
#include "tensor/error.h"
#include "tensor/shape.h"

#include <pleat/op.h>
#include <pleat/ops.h>
#include <pleat/scope.h>

#include <math.h>

/* The name begins the messages, a scope takes what is made on the way; until leave(). */
typedef struct {
    const char *context;
    pleat_scope scope;
} entered;

static bool enter(const char *name, const pleat_tensor *x, entered *e)
{
    e->context = pleat_begin_context(name);
    e->scope = pleat_scope_begin();
    if (!x)
        pleat_fail(PLEAT_EINVAL, "the tensor is NULL");
    return pleat_pending() == PLEAT_OK;
}

static pleat_tensor *leave(entered e, pleat_tensor *y)
{
    y = pleat_scope_return(e.scope, pleat_pending() == PLEAT_OK ? y : NULL);
    pleat_end_context(e.context);
    return y;
}

/* ---- Roots that have gradient 0 at 0, as PyTorch's norms and deviations do ---- */

static pleat_tensor *root(pleat_tensor *s, double exponent)
{
    if (!s)
        return NULL;
    pleat_tensor *zero = pleat_zeros(PLEAT_SHAPE(), pleat_dtype_of(s)),
                 *one = pleat_ones(PLEAT_SHAPE(), pleat_dtype_of(s));
    pleat_tensor *at_zero = pleat_eq(s, zero);
    pleat_tensor *safe = pleat_where(at_zero, one, s);
    return pleat_where(at_zero, zero, exponent == 0.5 ? pleat_sqrt(safe) : pleat_pow(safe, exponent));
}

/* ---- sum_deviations: the sum of (x - mean)^2, an op of its own, as its gradient takes less than that of its parts:
 * what a deviation owes to the mean adds up to nothing ---- */

static pleat_tensor *deviations(pleat_tensor *x, pleat_dims dims)
{
    return pleat_sub(x, pleat_mean_dims(x, dims, true));
}

static pleat_status sum_deviations_forward(pleat_call *call)
{
    const pleat_reduce_params *p = call->params;
    const pleat_tensor *d = deviations(call->in[0], p->dims);
    unsigned mask;
    const pleat_status status = pleat_dims_mask(p->dims, call->in_spec[0].shape.ndim, &mask);
    return d && status == PLEAT_OK
               ? pleat_reduce(&pleat_kernels_get()->reduce->sum_squares, d, mask, false, call->out[0])
               : pleat_pending();
}

/* dx = 2 dy (x - mean) */
static pleat_status sum_deviations_backward(pleat_call *call)
{
    const pleat_reduce_params *p = call->params;
    const pleat_shape kept = pleat_kept_shape(call->in_spec[0].shape, p->dims);
    pleat_tensor *g = pleat_reshape(pleat_mul_scalar(call->grad_out[0], 2), kept);
    call->grad_in[0] = pleat_mul(deviations(call->in[0], p->dims), g);
    return PLEAT_OK;
}

const pleat_op pleat_op_sum_deviations = {
    .name = "sum_deviations",
    .inputs = 1,
    .outputs = 1,
    .strided = PLEAT_IN(0),
    .params_size = sizeof(pleat_reduce_params),
    .keeps = { PLEAT_KEEP_IN(0) },
    .infer = pleat_reduce_infer,
    .forward = sum_deviations_forward,
    .backward = sum_deviations_backward,
};

static pleat_tensor *variance(pleat_tensor *x, pleat_dims dims, double correction, bool keepdim)
{
    if (!isfinite(correction)) {
        pleat_fail(PLEAT_EINVAL, "the correction must be finite, not %g", correction);
        return NULL;
    }
    pleat_tensor *s = pleat_apply(&pleat_op_sum_deviations, &x, 1, &(pleat_reduce_params){ dims, keepdim });
    if (!s || pleat_numel(s) == 0)
        return s;
    const double divisor = (double)(pleat_numel(x) / pleat_numel(s)) - correction;
    return pleat_mul_scalar(s, 1 / (divisor > 0 ? divisor : 0)); /* by too few: 0 * infinity, so NaN, or infinity */
}

pleat_tensor *pleat_var(pleat_tensor *x, pleat_dims dims, double correction, bool keepdim)
{
    entered e;
    pleat_tensor *y = enter("var", x, &e) ? variance(x, dims, correction, keepdim) : NULL;
    return leave(e, y);
}

pleat_tensor *pleat_std(pleat_tensor *x, pleat_dims dims, double correction, bool keepdim)
{
    entered e;
    pleat_tensor *y = enter("std", x, &e) ? root(variance(x, dims, correction, keepdim), 0.5) : NULL;
    return leave(e, y);
}

static pleat_tensor *norm(pleat_tensor *x, double p, pleat_dims dims, bool keepdim)
{
    if (isnan(p)) {
        pleat_fail(PLEAT_EINVAL, "p is not a number");
        return NULL;
    }
    if (p == 2)
        return root(pleat_sum_powers(x, 2, dims, keepdim, false), 0.5);
    if (p == 0) { /* with x in it, so that there is a gradient, of 0 */
        pleat_tensor *zero = pleat_zeros(PLEAT_SHAPE(), pleat_dtype_of(x)),
                     *one = pleat_ones(PLEAT_SHAPE(), pleat_dtype_of(x));
        return pleat_sum_dims(pleat_where(pleat_ne(x, zero), one, pleat_mul_scalar(x, 0)), dims, keepdim);
    }
    if (p == 1)
        return pleat_sum_powers(x, 1, dims, keepdim, false);
    pleat_tensor *a = pleat_abs(x);
    if (isinf(p))
        return p > 0 ? pleat_amax(a, dims, keepdim) : pleat_amin(a, dims, keepdim);
    return root(pleat_sum_dims(pleat_pow(a, p), dims, keepdim), 1 / p);
}

pleat_tensor *pleat_norm(pleat_tensor *x, double p, pleat_dims dims, bool keepdim)
{
    entered e;
    pleat_tensor *y = enter("norm", x, &e) ? norm(x, p, dims, keepdim) : NULL;
    return leave(e, y);
}
