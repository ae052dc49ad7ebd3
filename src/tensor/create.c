/* New tensors with something in them. */
#include "kernels/copy.h"
#include "tensor/error.h"
#include "tensor/tensor.h"
#include "tensor/thread.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* An owned new tensor for the function of that name; NULL while an error is pending. */
static pleat_tensor *make(const char *name, pleat_shape shape, pleat_dtype dtype)
{
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    const char *context = pleat_context(name);
    pleat_tensor *t = pleat_tensor_new(shape, dtype);
    pleat_context(context);
    return t;
}

typedef struct {
    pleat_tensor *t;
    double value,
        step; /* element i is value + i * step, or, with half set, counted back from last in the second half */
    double last;
    int64_t half;
} ramp;

static void fill_chunk(int64_t begin, int64_t end, void *ctx)
{
    const ramp *r = ctx;
    char *to = pleat_tensor_address(r->t) + begin * (int64_t)pleat_dtype_size(r->t->dtype);
    pleat_kernels_get()->copy->fill(to, r->t->dtype, r->value, end - begin);
}

static void ramp_chunk(int64_t begin, int64_t end, void *ctx)
{
    const ramp *r = ctx;
    for (int64_t i = begin; i < end; i++) {
        const double v =
            i < r->half ? r->value + (double)i * r->step : r->last - (double)(r->t->numel - 1 - i) * r->step;
        char *to = pleat_tensor_address(r->t) + i * (int64_t)pleat_dtype_size(r->t->dtype);
        pleat_kernels_get()->copy->fill(to, r->t->dtype, v, 1);
    }
}

static pleat_tensor *filled(pleat_tensor *t, double value)
{
    if (t)
        pleat_parallel_for(t->numel, 1 << 16, fill_chunk, &(ramp){ .t = t, .value = value });
    return pleat_borrow(t);
}

pleat_tensor *pleat_empty(pleat_shape shape, pleat_dtype dtype)
{
    return pleat_borrow(make("empty", shape, dtype));
}

pleat_tensor *pleat_zeros(pleat_shape shape, pleat_dtype dtype)
{
    return filled(make("zeros", shape, dtype), 0);
}

pleat_tensor *pleat_ones(pleat_shape shape, pleat_dtype dtype)
{
    return filled(make("ones", shape, dtype), 1);
}

pleat_tensor *pleat_full(pleat_shape shape, double value, pleat_dtype dtype)
{
    return filled(make("full", shape, dtype), value);
}

pleat_tensor *pleat_scalar(double value, pleat_dtype dtype)
{
    return filled(make("scalar", (pleat_shape){ 0 }, dtype), value);
}

pleat_tensor *pleat_arange(double start, double end, double step, pleat_dtype dtype)
{
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    const double count = ceil((end - start) / step);
    if (!(count < 9007199254740992.0)) { /* also a step of 0 and a NaN */
        pleat_fail(PLEAT_EINVAL, "arange: from %g to %g in steps of %g is no finite count", start, end, step);
        return NULL;
    }
    pleat_tensor *t = make("arange", PLEAT_SHAPE(count > 0 ? (int64_t)count : 0), dtype);
    if (t)
        pleat_parallel_for(t->numel, 1 << 14, ramp_chunk,
                           &(ramp){ .t = t, .value = start, .step = step, .half = INT64_MAX });
    return pleat_borrow(t);
}

pleat_tensor *pleat_linspace(double start, double end, int64_t steps, pleat_dtype dtype)
{
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    if (steps < 0) {
        pleat_fail(PLEAT_EINVAL, "linspace: the number of steps must be 0 or more, not %" PRId64, steps);
        return NULL;
    }
    pleat_tensor *t = make("linspace", PLEAT_SHAPE(steps), dtype);
    const double step = steps > 1 ? (end - start) / (double)(steps - 1) : 0;
    if (t) /* the second half counts from the end, so both ends are exact */
        pleat_parallel_for(
            steps, 1 << 14, ramp_chunk,
            &(ramp){ .t = t, .value = start, .step = step, .last = end, .half = steps == 1 ? 1 : steps / 2 });
    return pleat_borrow(t);
}

pleat_tensor *pleat_eye(int64_t rows, int64_t columns, pleat_dtype dtype)
{
    pleat_tensor *t = filled(make("eye", PLEAT_SHAPE(rows, columns), dtype), 0);
    for (int64_t i = 0; t && i < rows && i < columns; i++)
        pleat_kernels_get()->copy->fill(pleat_tensor_address(t) + i * (columns + 1) * (int64_t)pleat_dtype_size(dtype),
                                        dtype, 1, 1);
    return t;
}

pleat_tensor *pleat_from_data(const void *data, pleat_shape shape, pleat_dtype dtype)
{
    pleat_tensor *t = make("from_data", shape, dtype);
    if (t && t->numel > 0 && !data) {
        pleat_fail(PLEAT_EINVAL, "from_data: the data is NULL");
        pleat_release(t);
        return NULL;
    }
    if (t && t->numel > 0)
        memcpy(pleat_tensor_address(t), data, (size_t)t->numel * pleat_dtype_size(dtype));
    return pleat_borrow(t);
}
