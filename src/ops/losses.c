/* Losses that compare element by element, then reduce: mse, l1, smooth_l1, huber, binary cross entropy, kl_div and
 * poisson_nll. But for huber and binary_cross_entropy they are made of ops, from which their gradients follow, by the
 * target too.
 *
 *   huber       c (d - c / 2), c = d clamped to [-delta, delta]: d^2 / 2 inside, delta (|d| - delta / 2) outside;
 *               its gradient is c; both times 1 / beta for smooth_l1
 *   with logits (1 - t) x - (1 + (w - 1) t) logsigmoid(x), which no x makes overflow
 *
 * binary_cross_entropy is an op, for its logarithms are cut off at -100 but its gradient goes on: (x - t) / (x (1 -
 * x)). */
#include "ops/elementwise.h"
#include "ops/ops.h"
#include "ops/reals.h"
#include "ops/reduce.h"
#include "tensor/error.h"

#include <pleat/ops.h>
#include <pleat/scope.h>

#include <math.h>
#include <stdatomic.h>

static const pleat_loss_opts no_opts;

/* Begins a loss: its name for messages, its scope, and whether input and target can be compared at all. */
typedef struct {
    const char *context;
    pleat_scope scope;
    pleat_loss_opts opts;
} loss_call;

static loss_call begin(const char *name, const pleat_tensor *x, const pleat_tensor *target, const pleat_loss_opts *opts)
{
    const loss_call call = { pleat_begin_context(name), pleat_scope_begin(), opts ? *opts : no_opts };
    if (!x || !target)
        pleat_fail(PLEAT_EINVAL, "%s is NULL", x ? "the target" : "the input");
    else if (!pleat_shape_equal(pleat_shape_of(x), pleat_shape_of(target)))
        pleat_fail(PLEAT_ESHAPE, "target %s must have the input's shape %s",
                   pleat_shape_text(pleat_shape_of(target)).text, pleat_shape_text(pleat_shape_of(x)).text);
    else if (pleat_dtype_of(x) != pleat_dtype_of(target))
        pleat_fail(PLEAT_EDTYPE, "the input is %s and the target %s: they must be the same",
                   pleat_dtype_name(pleat_dtype_of(x)), pleat_dtype_name(pleat_dtype_of(target)));
    if (call.opts.reduction < PLEAT_REDUCE_MEAN || call.opts.reduction > PLEAT_REDUCE_NONE)
        pleat_fail(PLEAT_EINVAL, "reduction %d is none", (int)call.opts.reduction);
    return call;
}

/* Ends it. */
static pleat_tensor *leave(const loss_call *call, pleat_tensor *y)
{
    y = pleat_scope_return(call->scope, y);
    pleat_end_context(call->context);
    return y;
}

/* Ends it with the elements' losses, weighted and reduced. */
static pleat_tensor *finish(const loss_call *call, pleat_tensor *losses)
{
    if (losses && call->opts.weight)
        losses = pleat_mul(losses, call->opts.weight);
    if (losses && call->opts.reduction != PLEAT_REDUCE_NONE)
        losses = call->opts.reduction == PLEAT_REDUCE_SUM ? pleat_sum(losses) : pleat_mean(losses);
    return leave(call, losses);
}

/* |x - target|^p, p 1 or 2; reduced in one pass where there are no weights. */
static pleat_tensor *power_loss(const char *name, int p, pleat_tensor *x, pleat_tensor *target,
                                const pleat_loss_opts *opts)
{
    const loss_call call = begin(name, x, target, opts);
    pleat_tensor *d = pleat_sub(x, target);
    if (call.opts.weight || call.opts.reduction == PLEAT_REDUCE_NONE)
        return finish(&call, p == 1 ? pleat_abs(d) : pleat_square(d));
    return leave(&call, pleat_sum_powers(d, p, PLEAT_DIMS(), false, call.opts.reduction == PLEAT_REDUCE_MEAN));
}

pleat_tensor *pleat_mse_loss(pleat_tensor *x, pleat_tensor *target, const pleat_loss_opts *opts)
{
    return power_loss("mse_loss", 2, x, target, opts);
}

pleat_tensor *pleat_l1_loss(pleat_tensor *x, pleat_tensor *target, const pleat_loss_opts *opts)
{
    return power_loss("l1_loss", 1, x, target, opts);
}

/* ---- huber, smooth_l1 ---- */

enum { X, TARGET };

PLEAT_FORWARD(huber)

static pleat_status huber_backward(pleat_call *call)
{
    const pleat_map_params *s = call->params;
    pleat_tensor *clamped = pleat_clamp(pleat_sub(call->in[X], call->in[TARGET]), -s->p, s->p);
    pleat_tensor *g = pleat_mul(call->grad_out[0], pleat_mul_scalar(clamped, s->q));
    if (pleat_wants(call, X))
        call->grad_in[X] = g;
    if (pleat_wants(call, TARGET))
        call->grad_in[TARGET] = pleat_neg(g);
    return PLEAT_OK;
}

static pleat_status huber_kernel(pleat_call *call)
{
    const pleat_spec *x = &call->in_spec[X];
    const pleat_map_params *s = call->params;
    for (int i = X; i <= TARGET; i++) {
        if (!pleat_wants(call, i))
            continue;
        call->grad_in[i] = pleat_empty(x->shape, x->dtype);
        if (!call->grad_in[i])
            return pleat_pending();
        pleat_map(PLEAT_ROW(huber_grad)[x->dtype == PLEAT_F64], call->grad_in[i],
                  (pleat_tensor *[]){ call->grad_out[0], call->in[i], call->in[TARGET - i] }, 3, s->p, s->q);
    }
    return PLEAT_OK;
}

#define BOTH (PLEAT_KEEP_IN(X) | PLEAT_KEEP_IN(TARGET))
const pleat_op pleat_op_huber = {
    .name = "huber",
    .inputs = 2,
    .outputs = 1,
    .strided = PLEAT_ALL_IN,
    .params_size = sizeof(pleat_map_params),
    .keeps = { BOTH, BOTH },
    .infer = pleat_infer_all_same,
    .forward = huber_forward,
    .backward = huber_backward,
    .backward_kernel = huber_kernel,
};

static pleat_tensor *huber(pleat_tensor *x, pleat_tensor *target, double delta, double scale)
{
    return pleat_apply(&pleat_op_huber, (pleat_tensor *[]){ x, target }, 2, &(pleat_map_params){ delta, scale });
}

pleat_tensor *pleat_huber_loss(pleat_tensor *x, pleat_tensor *target, double delta, const pleat_loss_opts *opts)
{
    const loss_call call = begin("huber_loss", x, target, opts);
    if (!(delta > 0))
        pleat_fail(PLEAT_EINVAL, "delta must be above 0, not %g", delta);
    return finish(&call, pleat_pending() == PLEAT_OK ? huber(x, target, delta, 1) : NULL);
}

pleat_tensor *pleat_smooth_l1_loss(pleat_tensor *x, pleat_tensor *target, double beta, const pleat_loss_opts *opts)
{
    const loss_call call = begin("smooth_l1_loss", x, target, opts);
    if (!(beta >= 0))
        pleat_fail(PLEAT_EINVAL, "beta must be 0 or more, not %g", beta);
    if (pleat_pending() != PLEAT_OK)
        return finish(&call, NULL);
    return finish(&call, beta == 0 ? pleat_abs(pleat_sub(x, target)) : huber(x, target, beta, 1 / beta));
}

pleat_tensor *pleat_binary_cross_entropy_with_logits(pleat_tensor *x, pleat_tensor *target, pleat_tensor *pos_weight,
                                                     const pleat_loss_opts *opts)
{
    const loss_call call = begin("binary_cross_entropy_with_logits", x, target, opts);
    if (pleat_pending() != PLEAT_OK)
        return finish(&call, NULL);
    pleat_tensor *likely = pleat_logsigmoid(x);
    if (pos_weight)
        likely = pleat_mul(likely, pleat_add_scalar(pleat_mul(pleat_add_scalar(pos_weight, -1), target), 1));
    return finish(&call, pleat_sub(pleat_mul(pleat_affine(target, -1, 1), x), likely));
}

/* target log(target), 0 where target is 0, whatever the logarithm. */
static pleat_tensor *entropy(pleat_tensor *target)
{
    pleat_tensor *zero = pleat_scalar(0, pleat_dtype_of(target)), *one = pleat_scalar(1, pleat_dtype_of(target));
    pleat_tensor *none = pleat_eq(target, zero);
    return pleat_mul(target, pleat_log(pleat_where(none, one, target)));
}

pleat_tensor *pleat_kl_div(pleat_tensor *x, pleat_tensor *target, bool log_target, const pleat_loss_opts *opts)
{
    const loss_call call = begin("kl_div", x, target, opts);
    if (pleat_pending() != PLEAT_OK)
        return finish(&call, NULL);
    return finish(&call, log_target ? pleat_mul(pleat_exp(target), pleat_sub(target, x))
                                    : pleat_sub(entropy(target), pleat_mul(target, x)));
}

/* ---- binary_cross_entropy ---- */

static pleat_status bce_infer(const pleat_call *call, pleat_spec *out)
{
    out[0] = (pleat_spec){ .dtype = call->in_spec[0].dtype, .shape = call->in_spec[0].shape };
    if (!pleat_shape_equal(call->in_spec[0].shape, call->in_spec[1].shape))
        return pleat_fail(PLEAT_ESHAPE, "target %s must have the input's shape %s",
                          pleat_shape_text(call->in_spec[1].shape).text, pleat_shape_text(call->in_spec[0].shape).text);
    return PLEAT_OK;
}

typedef struct {
    pleat_dtype dtype;
    const void *x;
    atomic_bool outside; /* something is no probability */
} bce_range;

static void bce_check(int64_t begin, int64_t end, void *ctx)
{
    bce_range *range = ctx;
    bool inside = true;
    for (int64_t i = begin; i < end; i++) {
        const double x = real_at(range->x, range->dtype, i);
        inside &= (x >= 0) & (x <= 1);
    }
    if (!inside)
        atomic_store(&range->outside, true);
}

static pleat_status bce_forward(pleat_call *call)
{
    bce_range range = { call->in_spec[0].dtype, pleat_data(call->in[0]), false };
    const int64_t n = pleat_numel(call->in[0]);
    pleat_parallel_for(n, 1 << 15, bce_check, &range);
    for (int64_t i = 0; i < n && range.outside; i++) {
        const double x = real_at(range.x, range.dtype, i);
        if (!(x >= 0 && x <= 1))
            return pleat_fail(PLEAT_EINVAL, "input %g at %lld is no probability: it must be from 0 to 1", x,
                              (long long)i);
    }
    return pleat_map_forward(call, PLEAT_ROW(bce));
}

static pleat_status bce_backward(pleat_call *call)
{
    pleat_tensor *x = call->in[0], *t = call->in[1], *g = call->grad_out[0];
    if (pleat_wants(call, 0)) {
        pleat_tensor *spread = pleat_clamp(pleat_mul(pleat_affine(x, -1, 1), x), 1e-12, INFINITY);
        call->grad_in[0] = pleat_mul(g, pleat_div(pleat_sub(x, t), spread));
    }
    if (pleat_wants(call, 1)) {
        pleat_tensor *no = pleat_clamp(pleat_log(pleat_affine(x, -1, 1)), -100, INFINITY);
        call->grad_in[1] = pleat_mul(g, pleat_sub(no, pleat_clamp(pleat_log(x), -100, INFINITY)));
    }
    return PLEAT_OK;
}

const pleat_op pleat_op_binary_cross_entropy = {
    .name = "binary_cross_entropy",
    .inputs = 2,
    .outputs = 1,
    .keeps = { PLEAT_KEEP_IN(0) | PLEAT_KEEP_IN(1), PLEAT_KEEP_IN(0) },
    .infer = bce_infer,
    .forward = bce_forward,
    .backward = bce_backward,
};

pleat_tensor *pleat_binary_cross_entropy(pleat_tensor *x, pleat_tensor *target, const pleat_loss_opts *opts)
{
    const loss_call call = begin("binary_cross_entropy", x, target, opts);
    return finish(&call, pleat_apply(&pleat_op_binary_cross_entropy, (pleat_tensor *[]){ x, target }, 2, NULL));
}

/* ---- poisson_nll_loss ---- */

pleat_tensor *pleat_poisson_nll_loss(pleat_tensor *x, pleat_tensor *target, const pleat_poisson_nll_opts *poisson,
                                     const pleat_loss_opts *opts)
{
    const pleat_poisson_nll_opts o = poisson ? *poisson : (pleat_poisson_nll_opts){ 0 };
    const loss_call call = begin("poisson_nll_loss", x, target, opts);
    if (pleat_pending() != PLEAT_OK)
        return finish(&call, NULL);
    pleat_tensor *rate = o.rates ? pleat_log(pleat_add_scalar(x, o.eps == 0 ? 1e-8 : o.eps)) : x;
    pleat_tensor *losses = pleat_sub(o.rates ? x : pleat_exp(x), pleat_mul(target, rate));
    if (o.full) { /* Stirling's log(target!), for targets above 1 */
        pleat_tensor *one = pleat_scalar(1, pleat_dtype_of(target)), *zero = pleat_scalar(0, pleat_dtype_of(target));
        pleat_tensor *large = pleat_gt(target, one), *t = pleat_where(large, target, one);
        pleat_tensor *root = pleat_mul_scalar(pleat_log(pleat_mul_scalar(t, 6.283185307179586477)), 0.5);
        pleat_tensor *stirling = pleat_add(pleat_sub(pleat_mul(t, pleat_log(t)), t), root);
        losses = pleat_add(losses, pleat_where(large, stirling, zero));
    }
    return finish(&call, losses);
}
