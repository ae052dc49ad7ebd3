/* The op group_norm: x (N, C, ...) normalised over rows, which are its groups of C / G channels. Layer norm is one
 * group of as many channels as elements, instance norm a group for each channel.
 *
 *   d = x - mean    r = (var + eps)^-1/2    y = d r weight + bias         mean and var per row, M elements each
 *
 *   h = weight dy    dbias = sum dy    dweight = sum(dy d r)
 *   dx = r (h - sum(h) / M - d r^2 sum(h d) / M)                          sums of h over the row
 *
 * The kernels take a row after the other through all of that while it is in cache. Where a channel has several
 * elements, a plane of them, weight and bias are in the numbers of the line that the plane is put through, and the
 * planes' sums give all gradients. Where each is an element of its own, a column, they are arrays along the row; the
 * gradients by them are added up over a slot of rows each, then over the slots.
 *
 * `backward` states it in ops, with the statistics computed from x anew, so that the second derivative goes through
 * them. */
#include "ops/group_norm.h"
#include "kernels/kernels.h"
#include "kernels/norm.h"
#include "ops/ops.h"
#include "ops/reals.h"
#include "ops/reduce.h"
#include "tensor/error.h"
#include "tensor/memory.h"

#include <pleat/ops.h>

#include <math.h>
#include <string.h>

enum {
    X,
    WEIGHT,
    BIAS,
    SEVERAL = 2048, /* elements of rows that are taken together */
    SEGMENT = 4096  /* columns of rows that are taken apart */
};

static pleat_status infer(const pleat_call *call, pleat_spec *out)
{
    const pleat_group_norm_params *params = call->params;
    const pleat_shape *x = &call->in_spec[X].shape;
    if (!isfinite(params->eps))
        return pleat_fail(PLEAT_EINVAL, "eps must be finite, not %g", params->eps);
    out[0] = (pleat_spec){ .dtype = call->in_spec[X].dtype, .shape = *x };
    out[1] = out[2] = (pleat_spec){ .dtype = PLEAT_F64, .shape = PLEAT_SHAPE(x->dim[0] * params->groups) };
    return PLEAT_OK;
}

typedef void (*kernel_fn)(const pleat_norm_work *work, int64_t begin, int64_t end);

/* What both directions do: a kernel that sums up rows or planes, numbers of each row, a kernel over its planes. */
typedef struct job job;
struct job {
    pleat_norm_work row;   /* of n = 1: channels are rows; */
    pleat_norm_work plane; /* they are planes, as many of each row as there are numbers of weight, or rows again */
    bool columns;          /* weight and bias are along the rows */
    int64_t planes;        /* of a row */
    int64_t slot;          /* rows that follow each other, and add to the same slot of dweight and dbias */
    const pleat_norm_work *summed; /* row or plane */
    kernel_fn first, last;
    void (*between)(const job *job, int64_t begin, int64_t end);
    const void *weight, *bias;                   /* NULL: none */
    double eps, *new_mean, *new_var;             /* forward: where the statistics go; */
    const double *mean, *var;                    /* and are */
    void *center, *scale, *slope, *shift, *gate; /* of the planes */
    double *plane_mean;
    char *dweight, *dbias; /* slots; NULL: none */
    void *room;
};

static int64_t blocks_of(const pleat_norm_work *work)
{
    return work->c * pleat_norm_blocks(1, work->s);
}

/* From the input's shape. The arrays are one block of memory, which the caller frees. */
static pleat_status job_make(const pleat_call *call, job *j)
{
    const pleat_group_norm_params *params = call->params;
    const pleat_shape *x = &call->in_spec[X].shape;
    const bool affine = call->in_spec[WEIGHT].dtype || call->in_spec[BIAS].dtype;
    const int64_t rows = x->dim[0] * params->groups, channels = x->dim[1] / params->groups,
                  length = pleat_shape_numel(*x) / rows;
    const int64_t slot = length <= SEVERAL ? SEVERAL / length : 1;
    *j = (job){ .columns = affine && length == channels && channels > 1, .slot = slot > 8 ? slot / 8 * 8 : slot };
    j->planes = affine && !j->columns ? channels : 1;
    j->eps = params->eps;
    j->row = j->plane = (pleat_norm_work){ .dtype = call->in_spec[X].dtype, .n = 1, .c = rows, .s = length };
    j->plane.c *= j->planes;
    j->plane.s /= j->planes;
    j->row.groups = j->plane.groups = params->groups;
    if (j->columns) /* some slots for threads, of as many rows as may be */
        j->slot = rows / 16 < 8 ? 8 : rows / 16 > 32 ? 32 : rows / 16;

    const int64_t blocks = blocks_of(&j->plane) > blocks_of(&j->row) ? blocks_of(&j->plane) : blocks_of(&j->row);
    const size_t size = pleat_dtype_size(j->row.dtype), bytes = (size_t)j->plane.c * size;
    const size_t columns = j->columns ? (size_t)x->dim[1] : 0, sums = (size_t)(2 * blocks) * sizeof(double);
    char *room = j->room = pleat_alloc(sums + (size_t)j->plane.c * sizeof(double) + 5 * bytes + 2 * columns * size);
    if (!room)
        return PLEAT_ENOMEM;
    j->row.partial = j->plane.partial = (void *)room;
    j->plane_mean = (void *)(room += sums);
    j->plane.center = j->center = room += (size_t)j->plane.c * sizeof(double);
    j->plane.scale = j->scale = room += bytes;
    j->plane.slope = j->slope = room += bytes;
    j->plane.shift = j->shift = room += bytes;
    j->plane.gate = j->gate = room += bytes;
    j->weight = call->in[WEIGHT] ? pleat_data(call->in[WEIGHT]) : NULL;
    j->bias = call->in[BIAS] ? pleat_data(call->in[BIAS]) : NULL;
    if (j->columns) {
        char *ones = room + bytes, *zeros = ones + columns * size;
        for (int64_t k = 0; k < (int64_t)columns && !j->weight; k++)
            set_real(ones, j->row.dtype, k, 1);
        memset(zeros, 0, j->bias ? 0 : columns * size);
        j->plane.weight = j->weight ? j->weight : ones;
        j->plane.bias = j->bias ? j->bias : zeros;
    }
    return PLEAT_OK;
}

static int64_t segments_of(const job *j)
{
    return (j->row.s + SEGMENT - 1) / SEGMENT;
}

static void sum_up(const job *j, int64_t begin, int64_t end)
{
    const int64_t blocks = blocks_of(j->summed) / j->row.c;
    j->first(j->summed, begin * blocks, end * blocks);
}

static void finish(const job *j, int64_t begin, int64_t end, int64_t from, int64_t to)
{
    pleat_norm_work work = j->plane;
    work.from = from;
    work.to = to;
    const size_t bytes = (size_t)(work.groups * work.s) * pleat_dtype_size(work.dtype);
    for (int64_t i = begin, until; i < end; i = until) {
        const int64_t slot = i / j->slot;
        until = (slot + 1) * j->slot < end ? (slot + 1) * j->slot : end;
        work.dweight = j->dweight ? j->dweight + (size_t)slot * bytes : NULL;
        work.dbias = j->dweight ? j->dbias + (size_t)slot * bytes : NULL;
        j->last(&work, i * j->planes, until * j->planes);
    }
}

/* All stages for some rows after the other, few enough to stay in a core's cache meanwhile, which spares memory a
 * reading. */
static void slot_by_slot(int64_t begin, int64_t end, void *ctx)
{
    const job *j = ctx;
    const int64_t rows = end * j->slot < j->row.c ? end * j->slot : j->row.c;
    const int64_t several = SEVERAL / j->row.s < 1 ? 1 : SEVERAL / j->row.s < j->slot ? SEVERAL / j->row.s : j->slot;
    for (int64_t i = begin * j->slot; i < rows; i += several) {
        const int64_t to = i + several < rows ? i + several : rows;
        sum_up(j, i, to);
        j->between(j, i, to);
        finish(j, i, to, 0, j->row.s);
    }
}

static void over_blocks(int64_t begin, int64_t end, void *ctx)
{
    const job *j = ctx;
    j->first(j->summed, begin, end);
}

static void over_rows(int64_t begin, int64_t end, void *ctx)
{
    const job *j = ctx;
    j->between(j, begin, end);
}

/* The segments of columns of each slot. */
static void over_segments(int64_t begin, int64_t end, void *ctx)
{
    const job *j = ctx;
    const int64_t segments = segments_of(j);
    for (int64_t k = begin; k < end; k++) {
        const int64_t row = k / segments * j->slot, from = k % segments * SEGMENT;
        finish(j, row, row + j->slot < j->row.c ? row + j->slot : j->row.c, from,
               from + SEGMENT < j->row.s ? from + SEGMENT : j->row.s);
    }
}

static void over_planes(int64_t begin, int64_t end, void *ctx)
{
    const job *j = ctx;
    j->last(&j->plane, begin, end);
}

static void run(job *j)
{
    enum { GRAIN = 16384, ENOUGH = 8, CACHE = 1 << 20 };
    const int64_t length = j->row.s, slots = (j->row.c + j->slot - 1) / j->slot, arrays = j->plane.g ? 3 : 2;
    if (j->row.c >= ENOUGH && length <= CACHE / arrays / (int64_t)pleat_dtype_size(j->row.dtype)) {
        pleat_parallel_for(slots, GRAIN / (j->slot * length), slot_by_slot, j);
        return;
    }
    pleat_parallel_for(blocks_of(j->summed), GRAIN / PLEAT_NORM_BLOCK, over_blocks, j);
    pleat_parallel_for(j->row.c, 1024, over_rows, j);
    if (j->columns)
        pleat_parallel_for(slots * segments_of(j), 1, over_segments, j);
    else
        pleat_parallel_for(j->plane.c, GRAIN / (j->plane.s + 1), over_planes, j);
}

/* What the numbers of a plane have of a weight or bias. */
static double channel(const job *j, const void *data, int64_t plane, double otherwise)
{
    return data && !j->columns ? real_at(data, j->row.dtype, plane % (j->row.groups * j->planes)) : otherwise;
}

/* Sets the center, what the dtype holds of the mean; returns the center less the mean. */
static double split(const job *j, int64_t plane, double mean)
{
    set_real(j->center, j->row.dtype, plane, mean);
    return j->row.dtype == PLEAT_F32 ? (double)(float)mean - mean : 0;
}

static void lines(const job *j, int64_t begin, int64_t end)
{
    pleat_kernels_get()->norm->merge(&j->row, begin, end, j->new_mean, j->new_var);
    for (int64_t i = begin; i < end; i++) {
        const double r = 1 / sqrt(j->var[i] + j->eps);
        for (int64_t p = i * j->planes; p < (i + 1) * j->planes; p++) {
            const double scale = channel(j, j->weight, p, 1) * r;
            set_real(j->scale, j->row.dtype, p, scale);
            set_real(j->shift, j->row.dtype, p, channel(j, j->bias, p, 0) + scale * split(j, p, j->mean[i]));
        }
    }
}

static pleat_status forward(pleat_call *call)
{
    double *mean = pleat_data_mut(call->out[1]), *var = pleat_data_mut(call->out[2]);
    if (pleat_numel(call->in[X]) == 0) {
        for (int64_t i = 0; i < pleat_numel(call->out[1]); i++)
            mean[i] = var[i] = 0;
        return PLEAT_OK;
    }
    job j;
    if (job_make(call, &j) != PLEAT_OK)
        return PLEAT_ENOMEM;
    j.summed = &j.row;
    j.first = pleat_kernels_get()->norm->moments;
    j.between = lines;
    j.last = pleat_kernels_get()->norm->apply;
    j.mean = j.new_mean = mean;
    j.var = j.new_var = var;
    j.row.x = j.plane.x = pleat_data(call->in[X]);
    j.plane.y = pleat_data_mut(call->out[0]);
    run(&j);
    pleat_free(j.room);
    return PLEAT_OK;
}

/* The numbers of dx. Of the blocks' sums leaves those of the plane, and what it adds to dweight, in the first. */
static void slopes(const job *j, int64_t begin, int64_t end)
{
    const int64_t blocks = pleat_norm_blocks(1, j->plane.s);
    const pleat_dtype dtype = j->row.dtype;
    for (int64_t i = begin; i < end; i++) {
        const double r = 1 / sqrt(j->var[i] + j->eps), count = (double)j->row.s;
        double sum = 0, product = 0;
        for (int64_t p = i * j->planes; p < (i + 1) * j->planes; p++) {
            double *own = j->plane.partial + 2 * p * blocks;
            for (int64_t b = 1; b < blocks; b++) {
                own[0] += own[2 * b];
                own[1] += own[2 * b + 1];
            }
            sum += channel(j, j->weight, p, 1) * own[0];
            product += channel(j, j->weight, p, 1) * own[1];
            own[1] *= r;
        }
        const double slope = -r * r * r * product / count;
        for (int64_t p = i * j->planes; p < (i + 1) * j->planes; p++) {
            const double off = split(j, p, j->mean[i]);
            set_real(j->scale, dtype, p, channel(j, j->weight, p, 1) * r);
            set_real(j->slope, dtype, p, slope);
            set_real(j->shift, dtype, p, slope * off - r * sum / count);
            set_real(j->gate, dtype, p, r * off);
        }
    }
}

/* The gradients by weight (part 1) and bias (part 0), of the planes' sums. */
static void sum_planes(const job *j, pleat_tensor *grad, int64_t part)
{
    const int64_t channels = pleat_numel(grad), blocks = pleat_norm_blocks(1, j->plane.s);
    for (int64_t c = 0; c < channels; c++) {
        double sum = 0;
        for (int64_t p = c; p < j->plane.c; p += channels)
            sum += j->plane.partial[2 * p * blocks + part];
        set_real(pleat_data_mut(grad), j->row.dtype, c, sum);
    }
}

static pleat_status backward(pleat_call *call);

static pleat_status backward_kernel(pleat_call *call)
{
    if (pleat_numel(call->grad_out[0]) == 0 || !pleat_wants(call, X))
        return backward(call);
    const bool wanted[] = { [WEIGHT] = call->in_spec[WEIGHT].dtype && pleat_wants(call, WEIGHT),
                            [BIAS] = call->in_spec[BIAS].dtype && pleat_wants(call, BIAS) };
    job j;
    if (job_make(call, &j) != PLEAT_OK)
        return PLEAT_ENOMEM;
    pleat_tensor *dx = pleat_empty(call->in_spec[X].shape, j.row.dtype), *sums[3] = { NULL };
    for (int i = WEIGHT; i <= BIAS; i++)
        if (j.columns && (wanted[WEIGHT] || wanted[BIAS]))
            sums[i] =
                pleat_zeros(PLEAT_SHAPE((j.row.c + j.slot - 1) / j.slot, call->in_spec[X].shape.dim[1]), j.row.dtype);
        else if (!j.columns && wanted[i])
            sums[i] = pleat_empty(call->in_spec[i].shape, j.row.dtype);
    pleat_status status = pleat_pending();
    if (status == PLEAT_OK) {
        j.summed = &j.plane;
        j.first = pleat_kernels_get()->norm->products;
        j.between = slopes;
        j.last = pleat_kernels_get()->norm->gradient;
        j.mean = pleat_data(call->out[1]);
        j.var = pleat_data(call->out[2]);
        for (int64_t p = 0; p < j.plane.c; p++)
            j.plane_mean[p] = j.mean[p / j.planes];
        j.plane.mean = j.plane_mean;
        j.plane.x = pleat_data(call->in[X]);
        j.plane.g = pleat_data(call->grad_out[0]);
        j.plane.y = pleat_data_mut(dx);
        if (j.columns && sums[WEIGHT]) {
            j.dweight = pleat_data_mut(sums[WEIGHT]);
            j.dbias = pleat_data_mut(sums[BIAS]);
        }
        run(&j);
        call->grad_in[X] = dx;
        for (int i = WEIGHT; i <= BIAS; i++) {
            if (wanted[i] && !j.columns)
                sum_planes(&j, sums[i], i == WEIGHT);
            if (wanted[i] && j.columns)
                sums[i] = pleat_sum_dims(sums[i], PLEAT_DIMS(0), false);
            if (wanted[i])
                call->grad_in[i] = sums[i];
        }
        status = pleat_pending();
    }
    pleat_free(j.room);
    return status;
}

/* The sum over a channel's elements. */
static pleat_tensor *summed(pleat_tensor *x)
{
    return pleat_size(x, 3) == 1 ? x : pleat_sum_dims(x, PLEAT_DIMS(3), true);
}

/* With a channel's sums of dy and of dy d the rest is numbers of channels and rows:
 *
 *   dx = dy weight r - d r^3 mean(h d) - r mean(h) */
static pleat_status backward(pleat_call *call)
{
    const pleat_group_norm_params *params = call->params;
    const pleat_shape shape = call->in_spec[X].shape;
    pleat_tensor *g = call->grad_out[0];
    if (pleat_numel(g) == 0)
        return PLEAT_OK; /* zero, where the means of nothing would give NaN */
    const int64_t channels = shape.dim[1] / params->groups;
    const pleat_shape split = PLEAT_SHAPE(shape.dim[0], params->groups, channels, -1);
    const pleat_dims row = PLEAT_DIMS(2, 3), others = PLEAT_DIMS(0, 3), channel = PLEAT_DIMS(2);
    g = pleat_reshape(g, split);
    pleat_tensor *sum = summed(g);
    if (pleat_wants(call, BIAS))
        call->grad_in[BIAS] = pleat_reshape(pleat_sum_dims(sum, others, false), PLEAT_SHAPE(shape.dim[1]));
    if (!pleat_wants(call, X) && !pleat_wants(call, WEIGHT))
        return PLEAT_OK;
    pleat_tensor *x = pleat_reshape(call->in[X], split), *d = pleat_sub(x, pleat_mean_dims(x, row, true));
    pleat_tensor *r = pleat_pow(pleat_add_scalar(pleat_sum_powers(d, 2, row, true, true), params->eps), -0.5);
    pleat_tensor *product = summed(pleat_mul(g, d)), *scale = r;
    if (pleat_wants(call, WEIGHT))
        call->grad_in[WEIGHT] =
            pleat_reshape(pleat_sum_dims(pleat_mul(product, r), others, false), PLEAT_SHAPE(shape.dim[1]));
    if (!pleat_wants(call, X))
        return PLEAT_OK;
    if (call->in[WEIGHT]) {
        pleat_tensor *weight = pleat_reshape(call->in[WEIGHT], PLEAT_SHAPE(1, params->groups, channels, 1));
        sum = pleat_mul(sum, weight);
        product = pleat_mul(product, weight);
        scale = pleat_mul(weight, r);
    }
    const double each = (double)(shape.dim[0] * params->groups) / (double)pleat_numel(g);
    pleat_tensor *mean = pleat_mul_scalar(pleat_sum_dims(product, channel, true), each);
    pleat_tensor *slope = pleat_mul(pleat_mul(mean, r), pleat_square(r)); /* r^3 alone might be too small for a float */
    pleat_tensor *shift = pleat_mul(pleat_mul_scalar(pleat_sum_dims(sum, channel, true), each), r);
    pleat_tensor *dx = pleat_sub(pleat_sub(pleat_mul(g, scale), pleat_mul(d, slope)), shift);
    call->grad_in[X] = pleat_reshape(dx, shape);
    return PLEAT_OK;
}

#define STATISTICS (PLEAT_KEEP_OUT(1) | PLEAT_KEEP_OUT(2))

const pleat_op pleat_op_group_norm = {
    .name = "group_norm",
    .inputs = 3,
    .outputs = 3,
    .optional = PLEAT_IN(WEIGHT) | PLEAT_IN(BIAS),
    .constant = PLEAT_OUT(1) | PLEAT_OUT(2),
    .params_size = sizeof(pleat_group_norm_params),
    .keeps = { [X] = PLEAT_KEEP_IN(X) | PLEAT_KEEP_IN(WEIGHT) | STATISTICS, [WEIGHT] = PLEAT_KEEP_IN(X) },
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .backward_kernel = backward_kernel,
};
