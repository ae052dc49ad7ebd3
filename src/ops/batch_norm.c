/* batch_norm: two ops, for training and for evaluation, and the function that chooses and moves the running statistics.
 *
 *   d = x - mean    r = (var + eps)^-1/2    y = d r weight + bias         per channel, M elements each
 *
 *   dbias = sum dy        dweight = sum(dy d) r
 *   training, where mean and var are of x itself:
 *     dx = weight r (dy - sum(dy) / M - d r^2 sum(dy d) / M)
 *   evaluation, where they are inputs:
 *     dx = weight r dy        dmean = -weight r sum dy        dvar = -1/2 weight r^3 sum(dy d)
 *
 * With a relu behind it, dy counts only where y > 0; the kernels see that from x, the ops in `backward` from the
 * result, which in training is not kept: it is made again from x and its statistics, for them and for whoever wants it.
 *
 * The kernels need sum dy and sum(dy d) alone, in double. `backward` states the same in ops; in training it computes
 * the statistics from x anew, so that the second derivative goes through them. */
#include "kernels/kernels.h"
#include "kernels/norm.h"
#include "ops/elementwise.h"
#include "ops/ops.h"
#include "ops/reals.h"
#include "ops/running.h"
#include "tensor/error.h"
#include "tensor/memory.h"

#include <pleat/autograd.h>
#include <pleat/ops.h>

#include <math.h>

typedef struct {
    double eps;
    bool relu; /* of the result: of the ops batch_norm_relu and batch_norm_eval_relu */
} batch_norm_params;

enum { X, WEIGHT, BIAS, MEAN, VAR }; /* inputs; the last two in evaluation */

/* ---- What both ops share ---- */

static pleat_status check(const pleat_call *call, pleat_spec *out)
{
    static const char *const names[] = { "input", "weight", "bias", "running_mean", "running_var" };
    const batch_norm_params *params = call->params;
    const pleat_shape *x = &call->in_spec[X].shape;
    if (x->ndim < 2)
        return pleat_fail(PLEAT_ESHAPE, "input %s must be (N, C, ...)", pleat_shape_text(*x).text);
    for (int i = WEIGHT; i < call->inputs; i++) {
        const pleat_spec *s = &call->in_spec[i];
        if (s->dtype && !(s->shape.ndim == 1 && s->shape.dim[0] == x->dim[1]))
            return pleat_fail(PLEAT_ESHAPE, "%s %s must be %s, one for each channel of input %s", names[i],
                              pleat_shape_text(s->shape).text, pleat_shape_text(PLEAT_SHAPE(x->dim[1])).text,
                              pleat_shape_text(*x).text);
    }
    if (!isfinite(params->eps))
        return pleat_fail(PLEAT_EINVAL, "eps must be finite, not %g", params->eps);
    out[0] = (pleat_spec){ .dtype = call->in_spec[X].dtype, .shape = *x };
    return PLEAT_OK;
}

static int64_t per_channel(const pleat_shape *x)
{
    int64_t count = x->dim[0];
    for (int d = 2; d < x->ndim; d++)
        count *= x->dim[d];
    return count;
}

static pleat_norm_work work_of(const pleat_call *call)
{
    const pleat_shape *x = &call->in_spec[X].shape;
    const batch_norm_params *params = call->params;
    pleat_norm_work work = {
        .dtype = call->in_spec[X].dtype, .n = x->dim[0], .c = x->dim[1], .s = 1, .relu = params->relu
    };
    for (int d = 2; d < x->ndim; d++)
        work.s *= x->dim[d];
    return work;
}

/* Element i of a floating tensor; `otherwise` where there is none. */
static double element(const pleat_tensor *t, int64_t i, double otherwise)
{
    return t ? real_at(pleat_data(t), pleat_dtype_of(t), i) : otherwise;
}

/* The per-channel numbers of the kernels: five arrays of the dtype in one block. */
typedef struct {
    void *center, *scale, *slope, *shift, *gate;
} coefficients;

static pleat_status coefficients_make(pleat_norm_work *work, coefficients *k)
{
    const size_t bytes = (size_t)work->c * pleat_dtype_size(work->dtype);
    char *block = pleat_alloc(5 * bytes);
    if (!block)
        return PLEAT_ENOMEM;
    *k = (coefficients){ block, block + bytes, block + 2 * bytes, block + 3 * bytes, block + 4 * bytes };
    work->center = k->center;
    work->scale = k->scale;
    work->slope = k->slope;
    work->shift = k->shift;
    work->gate = k->gate;
    return PLEAT_OK;
}

/* The kernel's a (x - center) + ... for a (x - mean) + ...: returns the rest of a (center - mean). */
static double split(const coefficients *k, pleat_dtype dtype, int64_t c, double mean, double a)
{
    set_real(k->center, dtype, c, mean);
    return dtype == PLEAT_F32 ? a * ((double)(float)mean - mean) : 0;
}

typedef void (*kernel_fn)(const pleat_norm_work *work, int64_t begin, int64_t end);

/* What both directions do: a kernel over the blocks of a channel, numbers of the channel from its results, a kernel
 * over its planes. Either kernel may be missing. */
typedef struct norm_job norm_job;
struct norm_job {
    pleat_norm_work *work;
    kernel_fn first, last;
    void (*between)(const norm_job *job, int64_t channel);
    const pleat_call *call;
    const coefficients *k;
    const pleat_tensor *mean, *var;
    double *batch_mean, *batch_var; /* forward in training: where the statistics go, which mean and var then show */
    double *sums;                   /* backward: of g, and of g (x - mean), of each channel */
    void *dweight, *dbias, *dmean, *dvar; /* backward: NULL where not wanted */
    bool batch;                           /* backward: mean and variance are of x itself */
};

static void over_blocks(int64_t begin, int64_t end, void *ctx)
{
    const norm_job *job = ctx;
    job->first(job->work, begin, end);
}

static void over_channels(int64_t begin, int64_t end, void *ctx)
{
    const norm_job *job = ctx;
    for (int64_t c = begin; c < end; c++)
        job->between(job, c);
}

static void over_planes(int64_t begin, int64_t end, void *ctx)
{
    const norm_job *job = ctx;
    job->last(job->work, begin, end);
}

static void channel_by_channel(int64_t begin, int64_t end, void *ctx)
{
    const norm_job *job = ctx;
    const pleat_norm_work *work = job->work;
    const int64_t blocks = pleat_norm_blocks(work->n, work->s);
    for (int64_t c = begin; c < end; c++) {
        job->first(work, c * blocks, (c + 1) * blocks);
        job->between(job, c);
        for (int64_t n = 0; n < work->n; n++)
            job->last(work, n * work->c + c, n * work->c + c + 1);
    }
}

/* Stage after stage for all channels, or all stages for one channel after the other: where there are enough of them, of
 * planes that are worth a call, and each stays in a core's cache meanwhile, which spares memory a reading. */
static pleat_status run(norm_job *job)
{
    enum { GRAIN = 16384, ENOUGH = 8, PLANE = 128, CACHE = 1 << 20 };
    pleat_norm_work *work = job->work;
    const int64_t blocks = job->first ? work->c * pleat_norm_blocks(work->n, work->s) : 0, size = work->n * work->s;
    const int64_t arrays = work->g ? 3 : 2;
    if (blocks > 0) {
        work->partial = pleat_alloc((size_t)(2 * blocks) * sizeof *work->partial);
        if (!work->partial)
            return PLEAT_ENOMEM;
    }
    if (blocks > 0 && job->last && work->c >= ENOUGH && work->s >= PLANE &&
        size <= CACHE / arrays / (int64_t)pleat_dtype_size(work->dtype)) {
        pleat_parallel_for(work->c, GRAIN / size, channel_by_channel, job);
    } else {
        pleat_parallel_for(blocks, GRAIN / PLEAT_NORM_BLOCK, over_blocks, job);
        if (job->between)
            pleat_parallel_for(work->c, 1024, over_channels, job);
        if (job->last)
            pleat_parallel_for(work->n * work->c, GRAIN / (work->s + 1), over_planes, job);
    }
    pleat_free(work->partial);
    work->partial = NULL;
    return PLEAT_OK;
}

/* y = scale (x - center) + shift of a channel. */
static void line(const norm_job *job, void *shift, int64_t c)
{
    const pleat_call *call = job->call;
    const batch_norm_params *params = call->params;
    const pleat_dtype dtype = job->work->dtype;
    const double scale = element(call->in[WEIGHT], c, 1) * (1 / sqrt(element(job->var, c, 0) + params->eps));
    const double rest = split(job->k, dtype, c, element(job->mean, c, 0), scale);
    set_real(job->k->scale, dtype, c, scale);
    set_real(shift, dtype, c, element(call->in[BIAS], c, 0) + rest);
}

static void line_of_result(const norm_job *job, int64_t c)
{
    line(job, job->k->shift, c);
}

/* Gives input i a gradient of one number a channel, to be filled; NULL where it is not wanted, or fails. */
static void *per_channel_gradient(pleat_call *call, int i)
{
    if (i >= call->inputs || !call->in_spec[i].dtype || !pleat_wants(call, i))
        return NULL;
    call->grad_in[i] = pleat_empty(call->in_spec[i].shape, call->in_spec[i].dtype);
    return call->grad_in[i] ? pleat_data_mut(call->grad_in[i]) : NULL;
}

/* Every dimension but the channel's. */
static pleat_dims others(int ndim)
{
    pleat_dims dims = { .count = ndim - 1 };
    for (int k = 1; k < dims.count; k++)
        dims.dim[k] = k + 1;
    return dims;
}

/* A channel's gradients but for x's, of which the coefficients. */
static void finish(const norm_job *job, int64_t c)
{
    const pleat_norm_work *work = job->work;
    const batch_norm_params *params = job->call->params;
    const int64_t blocks = job->first ? pleat_norm_blocks(work->n, work->s) : 0; /* of no pixel there are none */
    const double *partial = job->first ? work->partial + 2 * c * blocks : NULL;
    double sum = job->sums[2 * c], product = job->sums[2 * c + 1];
    for (int64_t b = 0; partial && b < blocks; b++) {
        sum += partial[2 * b];
        product += partial[2 * b + 1];
    }
    const pleat_dtype dtype = work->dtype;
    const double r = 1 / sqrt(element(job->var, c, 0) + params->eps), count = (double)(work->n * work->s);
    const double scale = element(job->call->in[WEIGHT], c, 1) * r;
    if (job->dweight)
        set_real(job->dweight, dtype, c, product * r);
    if (job->dbias)
        set_real(job->dbias, dtype, c, sum);
    if (job->dmean)
        set_real(job->dmean, dtype, c, -scale * sum);
    if (job->dvar)
        set_real(job->dvar, dtype, c, -0.5 * scale * r * r * product);
    if (!work->y)
        return;
    const double slope = job->batch ? -scale * r * r * product / count : 0;
    const double rest = split(job->k, dtype, c, job->batch ? element(job->mean, c, 0) : 0, slope);
    set_real(job->k->scale, dtype, c, scale);
    set_real(job->k->slope, dtype, c, slope);
    set_real(job->k->shift, dtype, c, job->batch ? rest - scale * sum / count : 0);
}

/* Both backward kernels; batch: mean and variance are of x itself. What is kept is what the wanted gradients read: x
 * and its statistics are there where sum(dy d) is needed. */
static pleat_status fused(pleat_call *call, const pleat_tensor *mean, const pleat_tensor *var, bool batch)
{
    pleat_norm_work work = work_of(call);
    double *sums = pleat_alloc_zeroed((size_t)work.c * 3 * sizeof *sums), *means = sums + 2 * work.c;
    coefficients k;
    if (!sums || coefficients_make(&work, &k) != PLEAT_OK) {
        pleat_free(sums);
        return PLEAT_ENOMEM;
    }
    norm_job job = { .work = &work,
                     .between = finish,
                     .call = call,
                     .k = &k,
                     .mean = mean,
                     .var = var,
                     .sums = sums,
                     .dweight = per_channel_gradient(call, WEIGHT),
                     .dbias = per_channel_gradient(call, BIAS),
                     .dmean = per_channel_gradient(call, MEAN),
                     .dvar = per_channel_gradient(call, VAR),
                     .batch = batch };
    work.g = pleat_data(call->grad_out[0]);
    if (work.relu)
        for (int64_t c = 0; c < work.c; c++)
            line(&job, k.gate, c);
    if (work.relu || (batch ? pleat_wants(call, X) : pleat_wants(call, VAR)) || pleat_wants(call, WEIGHT)) {
        for (int64_t c = 0; c < work.c; c++)
            means[c] = element(mean, c, 0);
        work.x = pleat_data(call->in[X]);
        work.mean = means;
        if (pleat_numel(call->in[X]) > 0)
            job.first = pleat_kernels_get()->norm->products;
    } else if (pleat_wants(call, BIAS) || pleat_wants(call, MEAN)) {
        const pleat_tensor *sum = pleat_sum_dims(call->grad_out[0], others(call->in_spec[X].shape.ndim), false);
        for (int64_t c = 0; sum && c < work.c; c++)
            sums[2 * c] = element(sum, c, 0);
    }
    if (pleat_wants(call, X))
        call->grad_in[X] = pleat_empty(call->in_spec[X].shape, work.dtype);
    pleat_status status = pleat_pending();
    if (status == PLEAT_OK && pleat_wants(call, X)) {
        work.y = pleat_data_mut(call->grad_in[X]);
        job.last = batch ? pleat_kernels_get()->norm->gradient : NULL;
    }
    if (status == PLEAT_OK)
        status = run(&job);
    if (status == PLEAT_OK && work.y && !batch) {
        work.x = work.g;
        status = run(&(norm_job){ .work = &work, .last = pleat_kernels_get()->norm->apply });
    }
    pleat_free(k.center);
    pleat_free(sums);
    return status;
}

/* A tensor of one number a channel, to broadcast over x. */
static pleat_tensor *across(pleat_tensor *t, int ndim)
{
    pleat_shape shape = { .ndim = ndim, .dim = { 1, pleat_numel(t) } };
    for (int d = 2; d < ndim; d++)
        shape.dim[d] = 1;
    return pleat_reshape(t, shape);
}

/* weight (var + eps)^-1/2, where var broadcasts over x. */
static pleat_tensor *scale_of(pleat_tensor *weight, pleat_tensor *r, int ndim)
{
    return weight ? pleat_mul(across(weight, ndim), r) : r;
}

/* ---- Training ---- */

static pleat_status infer(const pleat_call *call, pleat_spec *out)
{
    const pleat_status status = check(call, out);
    if (status != PLEAT_OK)
        return status;
    const pleat_shape *x = &call->in_spec[X].shape;
    if (per_channel(x) == 1 && x->dim[1] > 0)
        return pleat_fail(PLEAT_ESHAPE, "training needs more than one value per channel, input %s has 1",
                          pleat_shape_text(*x).text);
    out[1] = out[2] = (pleat_spec){ .dtype = PLEAT_F64, .shape = PLEAT_SHAPE(x->dim[1]) };
    return PLEAT_OK;
}

static void merge(const norm_job *job, int64_t c)
{
    pleat_kernels_get()->norm->merge(job->work, c, c + 1, job->batch_mean, job->batch_var);
    line_of_result(job, c);
}

/* The statistics, where first says how, and y. */
static pleat_status normalise(norm_job *job, pleat_call *call)
{
    coefficients k;
    if (coefficients_make(job->work, &k) != PLEAT_OK)
        return PLEAT_ENOMEM;
    job->call = call;
    job->k = &k;
    job->last = pleat_kernels_get()->norm->apply;
    job->work->x = pleat_data(call->in[X]);
    job->work->y = pleat_data_mut(call->out[0]);
    const pleat_status status = run(job);
    pleat_free(k.center);
    return status;
}

static pleat_status forward(pleat_call *call)
{
    pleat_norm_work work = work_of(call);
    norm_job job = { .work = &work,
                     .first = pleat_kernels_get()->norm->moments,
                     .between = merge,
                     .mean = call->out[1],
                     .var = call->out[2],
                     .batch_mean = pleat_data_mut(call->out[1]),
                     .batch_var = pleat_data_mut(call->out[2]) };
    if (pleat_numel(call->in[X]) > 0)
        return normalise(&job, call);
    for (int64_t c = 0; c < work.c; c++)
        job.batch_mean[c] = job.batch_var[c] = 0;
    return PLEAT_OK;
}

/* y, from x and the statistics that are there. */
static pleat_status remake(pleat_call *call)
{
    pleat_norm_work work = work_of(call);
    norm_job job = { .work = &work, .between = line_of_result, .mean = call->out[1], .var = call->out[2] };
    return pleat_numel(call->in[X]) > 0 ? normalise(&job, call) : PLEAT_OK;
}

/* The gradient of what was normalised, before a relu. */
static pleat_tensor *before_relu(const pleat_call *call)
{
    pleat_call again = *call;
    const bool mode = pleat_grad_mode(false);
    pleat_tensor *in[3] = { NULL },
                 *out[] = { pleat_empty(call->out_spec[0].shape, call->out_spec[0].dtype), call->out[1], call->out[2] };
    for (int i = 0; i < 3; i++)
        in[i] = call->in[i] ? pleat_contiguous(call->in[i]) : NULL;
    again.in = in;
    again.out = out;
    const bool made = pleat_pending() == PLEAT_OK && remake(&again) == PLEAT_OK;
    pleat_grad_mode(mode);
    return made ? pleat_gate(&pleat_op_relu_grad, call, out[0]) : NULL;
}

static pleat_status backward(pleat_call *call)
{
    const batch_norm_params *params = call->params;
    const int ndim = call->in_spec[X].shape.ndim;
    const pleat_dims dims = others(ndim);
    pleat_tensor *x = call->in[X], *g = params->relu ? before_relu(call) : call->grad_out[0];
    if (pleat_numel(g) == 0)
        return PLEAT_OK; /* zero, where the means of nothing would give NaN */
    if (pleat_wants(call, BIAS))
        call->grad_in[BIAS] = pleat_sum_dims(g, dims, false);
    if (!pleat_wants(call, X) && !pleat_wants(call, WEIGHT))
        return PLEAT_OK;
    pleat_tensor *d = pleat_sub(x, pleat_mean_dims(x, dims, true)), *gd = pleat_mul(g, d);
    pleat_tensor *var = pleat_mean_dims(pleat_mul(d, d), dims, true);
    pleat_tensor *r = pleat_pow(pleat_add_scalar(var, params->eps), -0.5);
    if (pleat_wants(call, WEIGHT))
        call->grad_in[WEIGHT] = pleat_sum_dims(pleat_mul(gd, r), dims, false);
    if (!pleat_wants(call, X))
        return PLEAT_OK;
    pleat_tensor *slope = pleat_mul(pleat_mul(r, r), pleat_mean_dims(gd, dims, true));
    pleat_tensor *rest = pleat_sub(pleat_sub(g, pleat_mean_dims(g, dims, true)), pleat_mul(d, slope));
    call->grad_in[X] = pleat_mul(scale_of(call->in[WEIGHT], r, ndim), rest);
    return PLEAT_OK;
}

static pleat_status backward_kernel(pleat_call *call)
{
    return fused(call, call->out[1], call->out[2], true);
}

#define TRAINING(op)                                                                                                   \
    .name = #op, .inputs = 3, .outputs = 3, .optional = PLEAT_IN(WEIGHT) | PLEAT_IN(BIAS),                             \
    .constant = PLEAT_OUT(1) | PLEAT_OUT(2), .params_size = sizeof(batch_norm_params), .infer = infer,                 \
    .forward = forward, .backward = backward, .backward_kernel = backward_kernel
#define BATCH (PLEAT_KEEP_IN(X) | PLEAT_KEEP_OUT(1) | PLEAT_KEEP_OUT(2))
#define BATCH_AND_GATE (BATCH | PLEAT_KEEP_IN(WEIGHT) | PLEAT_KEEP_IN(BIAS))

const pleat_op pleat_op_batch_norm = { TRAINING(batch_norm),
                                       .keeps = { [X] = BATCH | PLEAT_KEEP_IN(WEIGHT), [WEIGHT] = BATCH } };
const pleat_op pleat_op_batch_norm_relu = {
    TRAINING(batch_norm_relu),
    .keeps = { [X] = BATCH_AND_GATE, [WEIGHT] = BATCH_AND_GATE, [BIAS] = BATCH_AND_GATE },
    .remake = remake,
    .remakes = BATCH_AND_GATE,
};

/* ---- Evaluation ---- */

static pleat_status eval_forward(pleat_call *call)
{
    pleat_norm_work work = work_of(call);
    norm_job job = { .work = &work, .between = line_of_result, .mean = call->in[MEAN], .var = call->in[VAR] };
    return pleat_numel(call->in[X]) > 0 ? normalise(&job, call) : PLEAT_OK;
}

static pleat_status eval_backward(pleat_call *call)
{
    const batch_norm_params *params = call->params;
    const int ndim = call->in_spec[X].shape.ndim;
    const pleat_dims dims = others(ndim);
    pleat_tensor *g = params->relu ? pleat_gate(&pleat_op_relu_grad, call, call->out[0]) : call->grad_out[0];
    pleat_tensor *gd = NULL, *r = NULL, *scale = NULL;
    if (call->in[VAR])
        r = pleat_pow(pleat_add_scalar(across(call->in[VAR], ndim), params->eps), -0.5);
    if (r)
        scale = scale_of(call->in[WEIGHT], r, ndim);
    if (call->in[X] && call->in[MEAN])
        gd = pleat_mul(g, pleat_sub(call->in[X], across(call->in[MEAN], ndim)));
    if (pleat_wants(call, X))
        call->grad_in[X] = pleat_mul(g, scale);
    if (pleat_wants(call, WEIGHT))
        call->grad_in[WEIGHT] = pleat_sum_dims(pleat_mul(gd, r), dims, false);
    if (pleat_wants(call, BIAS))
        call->grad_in[BIAS] = pleat_sum_dims(g, dims, false);
    if (pleat_wants(call, MEAN))
        call->grad_in[MEAN] = pleat_sum_dims(pleat_neg(pleat_mul(g, scale)), dims, false);
    if (pleat_wants(call, VAR)) {
        pleat_tensor *slope = pleat_mul_scalar(pleat_mul(scale, pleat_mul(r, r)), -0.5);
        call->grad_in[VAR] = pleat_sum_dims(pleat_mul(gd, slope), dims, false);
    }
    return PLEAT_OK;
}

static pleat_status eval_backward_kernel(pleat_call *call)
{
    return fused(call, call->in[MEAN], call->in[VAR], false);
}

#define EVALUATION(op)                                                                                                 \
    .name = #op, .inputs = 5, .outputs = 1, .optional = PLEAT_IN(WEIGHT) | PLEAT_IN(BIAS),                             \
    .params_size = sizeof(batch_norm_params), .infer = check, .forward = eval_forward, .backward = eval_backward
#define KEEPS(more)                                                                                                    \
    {                                                                                                                  \
        [X] = PLEAT_KEEP_IN(WEIGHT) | PLEAT_KEEP_IN(VAR) | (more),                                                     \
        [WEIGHT] = PLEAT_KEEP_IN(X) | PLEAT_KEEP_IN(MEAN) | PLEAT_KEEP_IN(VAR) | (more), [BIAS] = (more),              \
        [MEAN] = PLEAT_KEEP_IN(WEIGHT) | PLEAT_KEEP_IN(VAR) | (more),                                                  \
        [VAR] = PLEAT_KEEP_IN(X) | PLEAT_KEEP_IN(WEIGHT) | PLEAT_KEEP_IN(MEAN) | PLEAT_KEEP_IN(VAR) | (more),          \
    }

const pleat_op pleat_op_batch_norm_eval = { EVALUATION(batch_norm_eval), .keeps = KEEPS(0),
                                            .backward_kernel = eval_backward_kernel };
const pleat_op pleat_op_batch_norm_eval_relu = { EVALUATION(batch_norm_eval_relu), .keeps = KEEPS(PLEAT_KEEP_OUT(0)) };

/* ---- The public function ---- */

pleat_tensor *pleat_batch_norm(pleat_tensor *x, pleat_tensor *weight, pleat_tensor *bias, pleat_tensor *running_mean,
                               pleat_tensor *running_var, bool training, const pleat_batch_norm_opts *opts)
{
    const pleat_batch_norm_opts o = opts ? *opts : (pleat_batch_norm_opts){ 0 };
    const batch_norm_params params = { .eps = o.eps == 0 ? 1e-5 : o.eps, .relu = o.relu };
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    if (pleat_ndim(x) == 1 && pleat_numel(x) == 0) /* as in PyTorch: no channels, and nothing to ask about them */
        return pleat_squeeze(
            pleat_batch_norm(pleat_unsqueeze(x, 0), weight, bias, running_mean, running_var, training, opts), 0);
    const char *context = pleat_begin_context("batch_norm");
    if (!training && (!running_mean || !running_var))
        pleat_fail(PLEAT_EINVAL, "%s is NULL: without training both statistics are needed",
                   running_mean ? "running_var" : "running_mean");
    const pleat_status fit = training ? pleat_check_statistics(x, running_mean, running_var, &o) : pleat_pending();
    pleat_tensor *y = NULL;
    if (!training)
        y = pleat_apply(o.relu ? &pleat_op_batch_norm_eval_relu : &pleat_op_batch_norm_eval,
                        (pleat_tensor *[]){ x, weight, bias, running_mean, running_var }, 5, &params);
    pleat_end_context(context);
    if (!training || fit != PLEAT_OK)
        return y;

    pleat_tensor *out[3];
    const uint64_t failures = pleat_failures();
    const pleat_status status = pleat_apply_all(o.relu ? &pleat_op_batch_norm_relu : &pleat_op_batch_norm,
                                                (pleat_tensor *[]){ x, weight, bias }, 3, &params, out);
    if (pleat_take(status, failures) != PLEAT_OK)
        return NULL;
    const pleat_shape shape = pleat_shape_of(x);
    const double count = (double)per_channel(&shape);
    if (count > 0) {
        pleat_move_running(running_mean, out[1], pleat_momentum(&o), 1);
        pleat_move_running(running_var, out[2], pleat_momentum(&o), count / (count - 1)); /* unbiased */
    }
    return out[0];
}
