/* cross_entropy and nll_loss with class indices, and cross_entropy with class probabilities, which is made of ops.
 *
 * A line is one image, or one pixel of it: x[n, :, d] with its target t. With e = label_smoothing and W the sum of the
 * class weights w,
 *
 *   loss = (1 - e) w[t] (lse - x[t]) + e / C sum over c of w[c] (lse - x[c])          lse = log(sum(exp(x)))
 *   dx   = soft exp(x - lse) - hit [c = t] - even w[c]
 *   hit  = s (1 - e) w[t]      even = s e / C      soft = hit + even W                s: what the reduction makes of dy
 *
 * The forward keeps lse, in double, so that the gradient is one pass over x. A line whose target is ignored has zeros.
 */
#include "kernels/kernels.h"
#include "kernels/softmax.h"
#include "ops/ops.h"
#include "ops/reals.h"
#include "tensor/error.h"
#include "tensor/memory.h"
#include "tensor/tensor.h"

#include <pleat/ops.h>
#include <pleat/scope.h>

#include <math.h>

typedef struct {
    pleat_loss_reduction reduction;
    bool ignore;
    int64_t ignore_index;
    double smoothing;
} loss_params;

enum { X, TARGET, WEIGHT };

/* ---- Shapes ---- */

static int class_dim(int ndim)
{
    return ndim == 1 ? 0 : 1;
}

/* x's shape with the classes gone, or (keep) one in their place. */
static pleat_shape without_classes(pleat_shape x, bool keep)
{
    const int c = class_dim(x.ndim);
    pleat_shape s = { .ndim = 0 };
    for (int d = 0; d < x.ndim; d++)
        if (d != c)
            s.dim[s.ndim++] = x.dim[d];
        else if (keep)
            s.dim[s.ndim++] = 1;
    return s;
}

static pleat_status check_weight(const pleat_spec *weight, pleat_shape x)
{
    const int64_t classes = x.dim[class_dim(x.ndim)];
    if (weight->dtype && !(weight->shape.ndim == 1 && weight->shape.dim[0] == classes))
        return pleat_fail(PLEAT_ESHAPE, "weight %s must be %s, one for each class of input %s",
                          pleat_shape_text(weight->shape).text, pleat_shape_text(PLEAT_SHAPE(classes)).text,
                          pleat_shape_text(x).text);
    return PLEAT_OK;
}

static pleat_status infer(const pleat_call *call, pleat_spec *out)
{
    const loss_params *params = call->params;
    const pleat_shape x = call->in_spec[X].shape, target = call->in_spec[TARGET].shape;
    if (x.ndim < 1)
        return pleat_fail(PLEAT_ESHAPE, "input () must be (C), (N, C) or (N, C, d1, ...)");
    const pleat_shape lines = without_classes(x, false);
    if (!pleat_shape_equal(target, lines))
        return pleat_fail(PLEAT_ESHAPE, "target %s must be %s, the input %s without its %lld classes",
                          pleat_shape_text(target).text, pleat_shape_text(lines).text, pleat_shape_text(x).text,
                          (long long)x.dim[class_dim(x.ndim)]);
    if (!(params->smoothing >= 0 && params->smoothing <= 1))
        return pleat_fail(PLEAT_EINVAL, "label_smoothing must be from 0 to 1, not %g", params->smoothing);
    if (params->reduction < PLEAT_REDUCE_MEAN || params->reduction > PLEAT_REDUCE_NONE)
        return pleat_fail(PLEAT_EINVAL, "reduction %d is none", (int)params->reduction);
    out[0] = (pleat_spec){ .dtype = call->in_spec[X].dtype };
    if (params->reduction == PLEAT_REDUCE_NONE)
        out[0].shape = lines;
    if (call->outputs > 1)
        out[1] = (pleat_spec){ .dtype = PLEAT_F64, .shape = lines };
    return check_weight(&call->in_spec[WEIGHT], x);
}

/* ---- One call's lines ---- */

typedef struct {
    const loss_params *params;
    pleat_dtype dtype;
    int64_t classes, inner, lines;
    const int64_t *target;
    const void *weight; /* or NULL */
    double all_weights; /* W */
    double total;       /* what the mean divides by: the sum of w[t], that is the number of lines without weights */
} loss;

static bool ignored(const loss *l, int64_t line)
{
    return l->params->ignore && l->target[line] == l->params->ignore_index;
}

static double weight_of(const loss *l, int64_t c)
{
    return l->weight ? real_at(l->weight, l->dtype, c) : 1;
}

/* Where element c of a line is in x. */
static int64_t place(const loss *l, int64_t line, int64_t c)
{
    return (line / l->inner * l->classes + c) * l->inner + line % l->inner;
}

/* In backward the call's inputs come with any strides; target and weight are the call's, contiguous. */
static loss loss_with(const pleat_call *call, const pleat_tensor *target, const pleat_tensor *weight)
{
    const pleat_shape *x = &call->in_spec[X].shape;
    const int dim = class_dim(x->ndim);
    loss l = { .params = call->params,
               .dtype = call->in_spec[X].dtype,
               .classes = x->dim[dim],
               .inner = 1,
               .lines = pleat_numel(target),
               .target = pleat_data_i64(target),
               .weight = weight ? pleat_data(weight) : NULL };
    for (int d = dim + 1; d < x->ndim; d++)
        l.inner *= x->dim[d];
    for (int64_t c = 0; c < l.classes; c++)
        l.all_weights += weight_of(&l, c);
    for (int64_t i = 0; i < l.lines; i++)
        if (!ignored(&l, i) && l.target[i] >= 0 && l.target[i] < l.classes)
            l.total += weight_of(&l, l.target[i]);
    return l;
}

static loss loss_of(const pleat_call *call)
{
    return loss_with(call, call->in[TARGET], call->in[WEIGHT]);
}

static pleat_status check_targets(const loss *l)
{
    for (int64_t i = 0; i < l->lines; i++)
        if (!ignored(l, i) && (l->target[i] < 0 || l->target[i] >= l->classes))
            return pleat_fail(PLEAT_EINVAL, "target %lld at %lld is out of range for %lld classes",
                              (long long)l->target[i], (long long)i, (long long)l->classes);
    return PLEAT_OK;
}

/* Brings the lines' losses together in out, in order. */
static void reduce(const loss *l, const double *losses, pleat_tensor *out)
{
    void *to = pleat_data_mut(out);
    double sum = 0;
    for (int64_t i = 0; i < l->lines; i++) {
        if (l->params->reduction == PLEAT_REDUCE_NONE)
            set_real(to, l->dtype, i, losses[i]);
        sum += losses[i];
    }
    if (l->params->reduction != PLEAT_REDUCE_NONE)
        set_real(to, l->dtype, 0, l->params->reduction == PLEAT_REDUCE_MEAN ? sum / l->total : sum);
}

/* The line's hit and even for a gradient of one. */
static void factors(const loss *l, int64_t line, double *hit, double *even)
{
    const double s = ignored(l, line) ? 0 : l->params->reduction == PLEAT_REDUCE_MEAN ? 1 / l->total : 1;
    *hit = s == 0 ? 0 : s * (1 - l->params->smoothing) * weight_of(l, l->target[line]);
    *even = s * l->params->smoothing / (double)l->classes;
}

/* ---- cross_entropy ---- */

static void lse_range(int64_t begin, int64_t end, void *ctx)
{
    pleat_kernels_get()->softmax->lse(ctx, begin, end);
}

static pleat_status forward(pleat_call *call)
{
    const loss l = loss_of(call);
    const double e = l.params->smoothing;
    pleat_status status = check_targets(&l);
    if (status != PLEAT_OK)
        return status;
    double *losses = pleat_alloc((size_t)l.lines * 2 * sizeof *losses), *distance = losses + l.lines;
    if (!losses)
        return PLEAT_ENOMEM;
    const void *x = pleat_data(call->in[X]);
    pleat_softmax_work work = { .dtype = l.dtype,
                                .lines = l.lines,
                                .size = l.classes,
                                .inner = l.inner,
                                .x = x,
                                .lse_out = pleat_data_mut(call->out[1]),
                                .weight = l.weight,
                                .distance = e > 0 ? distance : NULL };
    pleat_parallel_for(l.lines, pleat_softmax_grain(l.classes), lse_range, &work);
    for (int64_t i = 0; i < l.lines; i++) {
        losses[i] = 0;
        if (ignored(&l, i))
            continue;
        const double off = work.lse_out[i] - real_at(x, l.dtype, place(&l, i, l.target[i]));
        losses[i] = (1 - e) * weight_of(&l, l.target[i]) * off + (e > 0 ? e / (double)l.classes * distance[i] : 0);
    }
    reduce(&l, losses, call->out[0]);
    pleat_free(losses);
    return PLEAT_OK;
}

static pleat_status no_weight_gradient(const pleat_call *call)
{
    return pleat_wants(call, WEIGHT)
               ? pleat_fail(PLEAT_EGRAD, "has no gradient by the class weights (pleat_detach them)")
               : PLEAT_OK;
}

/* A line's numbers as a tensor that broadcasts over x. */
static pleat_tensor *over_lines(const pleat_call *call)
{
    return pleat_empty(without_classes(call->in_spec[X].shape, true), call->in_spec[X].dtype);
}

/* g, of the loss's shape, so that it broadcasts over x. */
static pleat_tensor *over_x(const pleat_call *call)
{
    const loss_params *params = call->params;
    pleat_tensor *g = call->grad_out[0];
    return params->reduction == PLEAT_REDUCE_NONE ? pleat_reshape(g, without_classes(call->in_spec[X].shape, true)) : g;
}

/* hit [c = t] + even w[c] as a constant of x's shape. */
static pleat_tensor *hits(const pleat_call *call, const loss *l)
{
    pleat_tensor *t = pleat_zeros(call->in_spec[X].shape, l->dtype);
    void *to = t ? pleat_data_mut(t) : NULL;
    for (int64_t i = 0; to && i < l->lines; i++) {
        double hit, even;
        factors(l, i, &hit, &even);
        if (ignored(l, i))
            continue;
        for (int64_t c = 0; even != 0 && c < l->classes; c++)
            set_real(to, l->dtype, place(l, i, c), even * weight_of(l, c));
        const int64_t at = place(l, i, l->target[i]);
        set_real(to, l->dtype, at, real_at(to, l->dtype, at) + hit);
    }
    return t;
}

static pleat_status backward(pleat_call *call)
{
    if (no_weight_gradient(call) != PLEAT_OK)
        return PLEAT_EGRAD;
    const pleat_tensor *target = pleat_contiguous(call->in[TARGET]);
    const pleat_tensor *weight = call->in[WEIGHT] ? pleat_contiguous(call->in[WEIGHT]) : NULL;
    pleat_tensor *soft = over_lines(call);
    if (!soft)
        return pleat_pending();
    const loss l = loss_with(call, target, weight);
    void *to = pleat_data_mut(soft);
    for (int64_t i = 0; i < l.lines; i++) {
        double hit, even;
        factors(&l, i, &hit, &even);
        set_real(to, l.dtype, i, hit + even * l.all_weights);
    }
    pleat_tensor *p = pleat_exp(pleat_log_softmax(call->in[X], class_dim(call->in_spec[X].shape.ndim)));
    call->grad_in[X] = pleat_mul(over_x(call), pleat_sub(pleat_mul(soft, p), hits(call, &l)));
    return PLEAT_OK;
}

static void gradient_range(int64_t begin, int64_t end, void *ctx)
{
    pleat_kernels_get()->softmax->cross_entropy_gradient(ctx, begin, end);
}

static pleat_status backward_kernel(pleat_call *call)
{
    if (no_weight_gradient(call) != PLEAT_OK)
        return PLEAT_EGRAD;
    const loss l = loss_of(call);
    call->grad_in[X] = pleat_empty(call->in_spec[X].shape, l.dtype);
    double *numbers = call->grad_in[X] ? pleat_alloc((size_t)l.lines * 3 * sizeof *numbers) : NULL;
    if (!numbers)
        return PLEAT_ENOMEM;
    double *soft = numbers, *hit = numbers + l.lines, *even = numbers + 2 * l.lines;
    const void *g = pleat_data(call->grad_out[0]);
    for (int64_t i = 0; i < l.lines; i++) {
        const double s = real_at(g, l.dtype, l.params->reduction == PLEAT_REDUCE_NONE ? i : 0);
        factors(&l, i, &hit[i], &even[i]);
        hit[i] *= s;
        even[i] *= s;
        soft[i] = hit[i] + even[i] * l.all_weights;
    }
    pleat_softmax_work work = { .dtype = l.dtype,
                                .lines = l.lines,
                                .size = l.classes,
                                .inner = l.inner,
                                .x = pleat_data(call->in[X]),
                                .y = pleat_data_mut(call->grad_in[X]),
                                .lse = pleat_data_f64(call->out[1]),
                                .weight = l.weight,
                                .target = l.target,
                                .soft = soft,
                                .hit = hit,
                                .even = even };
    pleat_parallel_for(l.lines, pleat_softmax_grain(l.classes), gradient_range, &work);
    pleat_free(numbers);
    return PLEAT_OK;
}

const pleat_op pleat_op_cross_entropy = {
    .name = "cross_entropy",
    .inputs = 3,
    .outputs = 2,
    .optional = PLEAT_IN(WEIGHT),
    .constant = PLEAT_OUT(1),
    .dtypes = { PLEAT_FLOATS, PLEAT_DTYPES(PLEAT_I64), PLEAT_FLOATS },
    .params_size = sizeof(loss_params),
    .keeps = { PLEAT_KEEP_IN(X) | PLEAT_KEEP_IN(TARGET) | PLEAT_KEEP_IN(WEIGHT) | PLEAT_KEEP_OUT(1) },
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .backward_kernel = backward_kernel,
};

/* ---- nll_loss: the same without the softmax, linear in x ---- */

static pleat_status nll_forward(pleat_call *call)
{
    const loss l = loss_of(call);
    const pleat_status status = check_targets(&l);
    double *losses = status == PLEAT_OK ? pleat_alloc((size_t)l.lines * sizeof *losses) : NULL;
    if (!losses)
        return pleat_pending();
    const void *x = pleat_data(call->in[X]);
    for (int64_t i = 0; i < l.lines; i++)
        losses[i] = ignored(&l, i) ? 0 : -weight_of(&l, l.target[i]) * real_at(x, l.dtype, place(&l, i, l.target[i]));
    reduce(&l, losses, call->out[0]);
    pleat_free(losses);
    return PLEAT_OK;
}

static pleat_status nll_backward(pleat_call *call)
{
    if (no_weight_gradient(call) != PLEAT_OK)
        return PLEAT_EGRAD;
    const pleat_tensor *target = pleat_contiguous(call->in[TARGET]);
    const pleat_tensor *weight = call->in[WEIGHT] ? pleat_contiguous(call->in[WEIGHT]) : NULL;
    if (pleat_pending() != PLEAT_OK)
        return pleat_pending();
    const loss l = loss_with(call, target, weight);
    call->grad_in[X] = pleat_neg(pleat_mul(over_x(call), hits(call, &l)));
    return PLEAT_OK;
}

const pleat_op pleat_op_nll_loss = {
    .name = "nll_loss",
    .inputs = 3,
    .outputs = 1,
    .optional = PLEAT_IN(WEIGHT),
    .dtypes = { PLEAT_FLOATS, PLEAT_DTYPES(PLEAT_I64), PLEAT_FLOATS },
    .params_size = sizeof(loss_params),
    .keeps = { PLEAT_KEEP_IN(TARGET) | PLEAT_KEEP_IN(WEIGHT) },
    .infer = infer,
    .forward = nll_forward,
    .backward = nll_backward,
};

/* ---- Class probabilities ---- */

static pleat_tensor *with_probabilities(pleat_tensor *x, pleat_tensor *target, const pleat_cross_entropy_opts *o)
{
    const pleat_shape shape = pleat_shape_of(x);
    if (shape.ndim < 1 || !pleat_shape_equal(shape, pleat_shape_of(target)))
        pleat_fail(PLEAT_ESHAPE, "target %s must be probabilities of the input's shape %s, or int64",
                   pleat_shape_text(pleat_shape_of(target)).text, pleat_shape_text(shape).text);
    else if (!(o->label_smoothing >= 0 && o->label_smoothing <= 1))
        pleat_fail(PLEAT_EINVAL, "label_smoothing must be from 0 to 1, not %g", o->label_smoothing);
    else if (o->ignore)
        pleat_fail(PLEAT_EINVAL, "ignore_index goes with int64 targets, not with probabilities");
    else if (o->weight)
        check_weight(&(pleat_spec){ .dtype = pleat_dtype_of(o->weight), .shape = pleat_shape_of(o->weight) }, shape);
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    const int dim = class_dim(shape.ndim);
    const double classes = (double)shape.dim[dim];
    pleat_tensor *share = target;
    if (o->label_smoothing > 0)
        share = pleat_affine(target, 1 - o->label_smoothing, o->label_smoothing / classes);
    if (o->weight) {
        pleat_shape over = { .ndim = shape.ndim };
        for (int d = 0; d < shape.ndim; d++)
            over.dim[d] = d == dim ? shape.dim[d] : 1;
        share = pleat_mul(share, pleat_reshape(o->weight, over));
    }
    pleat_tensor *terms = pleat_mul(share, pleat_log_softmax(x, dim));
    if (o->reduction == PLEAT_REDUCE_NONE)
        return pleat_neg(pleat_sum_dims(terms, PLEAT_DIMS(dim), false));
    const double lines = (double)pleat_numel(x) / classes; /* of nothing: NaN */
    return pleat_mul_scalar(pleat_sum(terms), o->reduction == PLEAT_REDUCE_MEAN ? -1 / lines : -1);
}

/* ---- The public functions ---- */

pleat_tensor *pleat_cross_entropy(pleat_tensor *x, pleat_tensor *target)
{
    return pleat_cross_entropy_with(x, target, NULL);
}

static pleat_tensor *apply(const pleat_op *op, pleat_tensor *x, pleat_tensor *target, const pleat_cross_entropy_opts *o)
{
    const loss_params params = { o->reduction, o->ignore, o->ignore_index, o->label_smoothing };
    return pleat_apply(op, (pleat_tensor *[]){ x, target, o->weight }, 3, &params);
}

pleat_tensor *pleat_cross_entropy_with(pleat_tensor *x, pleat_tensor *target, const pleat_cross_entropy_opts *opts)
{
    const pleat_cross_entropy_opts o = opts ? *opts : (pleat_cross_entropy_opts){ 0 };
    if (!x || !target || !pleat_dtype_is_float(pleat_dtype_of(target)) || pleat_pending() != PLEAT_OK)
        return apply(&pleat_op_cross_entropy, x, target, &o);
    const char *context = pleat_begin_context("cross_entropy");
    pleat_scope scope = pleat_scope_begin();
    pleat_tensor *y = pleat_scope_return(scope, with_probabilities(x, target, &o));
    pleat_end_context(context);
    return y;
}

pleat_tensor *pleat_nll_loss(pleat_tensor *x, pleat_tensor *target, const pleat_cross_entropy_opts *opts)
{
    pleat_cross_entropy_opts o = opts ? *opts : (pleat_cross_entropy_opts){ 0 };
    o.label_smoothing = 0;
    return apply(&pleat_op_nll_loss, x, target, &o);
}
