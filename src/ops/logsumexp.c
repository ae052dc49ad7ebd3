/* logsumexp over dimensions: log(sum(exp(x))) = m + log(sum(exp(x - m))), m the largest, so that nothing overflows.
 * The op is along the middle dimension of (outer, size, inner), with softmax's kernels; its gradient reads x and y:
 *
 *   dx = dy exp(x - y) */
#include "kernels/kernels.h"
#include "kernels/softmax.h"
#include "ops/enter.h"
#include "ops/ops.h"
#include "ops/reals.h"
#include "ops/reduce.h"
#include "tensor/memory.h"
#include "tensor/shape.h"
#include "tensor/tensor.h"

#include <pleat/ops.h>
#include <pleat/scope.h>

#include <math.h>

static pleat_status infer(const pleat_call *call, pleat_spec *out)
{
    const pleat_shape x = call->in_spec[0].shape;
    out[0] = (pleat_spec){ .dtype = call->in_spec[0].dtype, .shape = PLEAT_SHAPE(x.dim[0], x.dim[2]) };
    return PLEAT_OK;
}

typedef struct {
    pleat_softmax_work work;
    void *y;
} job;

/* The largest of a line, or NaN: lse where the kernel says NaN, as x - m is of infinities. */
static double largest(const pleat_softmax_work *w, int64_t line)
{
    const int64_t first = line / w->inner * w->size * w->inner + line % w->inner;
    double most = -(double)INFINITY;
    for (int64_t c = 0; c < w->size && !isnan(most); c++) {
        const double v = real_at(w->x, w->dtype, first + c * w->inner);
        most = v <= most ? most : v;
    }
    return most;
}

static void lines(int64_t begin, int64_t end, void *ctx)
{
    const job *j = ctx;
    const pleat_softmax_work *w = &j->work;
    pleat_kernels_get()->softmax->lse(w, begin, end);
    for (int64_t i = begin; i < end; i++) {
        const double lse = w->lse_out[i];
        set_real(j->y, w->dtype, i, isnan(lse) ? largest(w, i) : lse);
    }
}

static pleat_softmax_work work_of(const pleat_call *call)
{
    const pleat_spec *x = &call->in_spec[0];
    return (pleat_softmax_work){ .dtype = x->dtype,
                                 .lines = pleat_shape_numel(call->out_spec[0].shape),
                                 .size = x->shape.dim[1],
                                 .inner = x->shape.dim[2],
                                 .x = pleat_data(call->in[0]) };
}

static pleat_status forward(pleat_call *call)
{
    job j = { .work = work_of(call), .y = pleat_data_mut(call->out[0]) };
    j.work.lse_out = pleat_alloc((size_t)j.work.lines * sizeof *j.work.lse_out);
    if (!j.work.lse_out)
        return PLEAT_ENOMEM;
    pleat_parallel_for(j.work.lines, pleat_softmax_grain(j.work.size), lines, &j);
    pleat_free(j.work.lse_out);
    return PLEAT_OK;
}

static pleat_status backward(pleat_call *call)
{
    pleat_tensor *y = pleat_unsqueeze(call->out[0], 1), *g = pleat_unsqueeze(call->grad_out[0], 1);
    call->grad_in[0] = pleat_mul(pleat_exp(pleat_sub(call->in[0], y)), g);
    return PLEAT_OK;
}

static void gradient_lines(int64_t begin, int64_t end, void *ctx)
{
    pleat_kernels_get()->softmax->cross_entropy_gradient(ctx, begin, end);
}

static pleat_status backward_kernel(pleat_call *call)
{
    pleat_softmax_work work = work_of(call);
    const int64_t n = work.lines;
    call->grad_in[0] = pleat_empty(call->in_spec[0].shape, work.dtype);
    double *lse = call->grad_in[0] ? pleat_alloc((size_t)n * 2 * sizeof *lse) : NULL;
    if (!lse)
        return PLEAT_ENOMEM;
    double *soft = lse + n;
    const void *y = pleat_data(call->out[0]), *g = pleat_data(call->grad_out[0]);
    for (int64_t i = 0; i < n; i++) {
        lse[i] = real_at(y, work.dtype, i);
        soft[i] = real_at(g, work.dtype, i);
    }
    work.y = pleat_data_mut(call->grad_in[0]);
    work.lse = lse;
    work.soft = soft;
    pleat_parallel_for(n, pleat_softmax_grain(work.size), gradient_lines, &work);
    pleat_free(lse);
    return PLEAT_OK;
}

const pleat_op pleat_op_logsumexp = {
    .name = "logsumexp",
    .inputs = 1,
    .outputs = 1,
    .keeps = { PLEAT_KEEP_IN(0) | PLEAT_KEEP_OUT(0) },
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .backward_kernel = backward_kernel,
};

pleat_tensor *pleat_logsumexp(pleat_tensor *x, pleat_dims dims, bool keepdim)
{
    const char *context;
    unsigned mask;
    if (!pleat_enter("logsumexp", x, &context) || pleat_dims_mask(dims, x->shape.ndim, &mask) != PLEAT_OK)
        return pleat_leave(context, NULL);
    const pleat_scope scope = pleat_scope_begin();
    const pleat_shape shape = pleat_reduced_shape(x->shape, mask, keepdim);
    /* the reduced dimensions in the middle: as it is where they lie together, else they are taken to the front */
    pleat_shape three = PLEAT_SHAPE(1, 1, 1);
    bool together = true;
    for (int d = 0, part = 0; d < x->shape.ndim; d++) {
        const bool reduced = mask >> d & 1;
        together &= !(reduced && part == 2);
        part = reduced ? 1 : part == 1 ? 2 : part;
        three.dim[part] *= x->shape.dim[d];
    }
    if (!together) {
        x = pleat_permute(x, pleat_reduced_first(x->shape.ndim, mask));
        three = PLEAT_SHAPE(1, three.dim[1], three.dim[0] * three.dim[2]);
    }
    pleat_tensor *lines = pleat_reshape(x, three);
    pleat_tensor *y = pleat_reshape(pleat_apply(&pleat_op_logsumexp, &lines, 1, NULL), shape);
    return pleat_leave(context, pleat_scope_return(scope, y));
}
