/* Reductions that are made of others: variance, standard deviation, norms. Their gradients, of any order, are those of
 * the parts; where a part's is infinite at 0 the parts are kept away from it. */
#include "ops/reduce.h"
#include "tensor/error.h"

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

static pleat_tensor *variance(pleat_tensor *x, pleat_dims dims, double correction, bool keepdim)
{
    if (!isfinite(correction)) {
        pleat_fail(PLEAT_EINVAL, "the correction must be finite, not %g", correction);
        return NULL;
    }
    pleat_tensor *s = pleat_sum_powers(pleat_sub(x, pleat_mean_dims(x, dims, true)), 2, dims, keepdim, false);
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
