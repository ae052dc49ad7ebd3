/* topk and sort: values in order with the places they came from; the gradient goes back to those places. */
#include "kernels/line.h"
#include "ops/enter.h"
#include "ops/ops.h"
#include "tensor/memory.h"
#include "tensor/tensor.h"

#include <pleat/ops.h>

#include <inttypes.h>

enum { GRAIN = 1 << 14 };

typedef struct {
    int64_t k;
    int dim;
    bool largest;
} topk_params;

static pleat_status infer(const pleat_call *call, pleat_spec *out)
{
    const topk_params *p = call->params;
    const pleat_spec *x = &call->in_spec[0];
    int dim;
    if (pleat_resolve_dim(p->dim, x->shape.ndim, &dim) != PLEAT_OK)
        return PLEAT_EINVAL;
    const int64_t n = x->shape.ndim > 0 ? x->shape.dim[dim] : 1;
    if (p->k < 0 || p->k > n)
        return pleat_fail(PLEAT_EINVAL,
                          "k must be from 0 to %" PRId64 ", the places in dimension %d of %s, not %" PRId64, n, dim,
                          pleat_shape_text(x->shape).text, p->k);
    out[0] = (pleat_spec){ .dtype = x->dtype, .shape = x->shape };
    if (x->shape.ndim > 0)
        out[0].shape.dim[dim] = p->k;
    else if (p->k == 0)
        out[0].shape = PLEAT_SHAPE(0);
    out[1] = (pleat_spec){ .dtype = PLEAT_I64, .shape = out[0].shape };
    return PLEAT_OK;
}

typedef struct {
    pleat_topk_work work;
    char *scratch;
    int64_t bytes; /* of each thread */
} job;

static void lines(int64_t begin, int64_t end, void *ctx)
{
    const job *j = ctx;
    pleat_kernels_get()->line->topk(&j->work, j->scratch + pleat_worker() * j->bytes, begin, end);
}

static pleat_status forward(pleat_call *call)
{
    const topk_params *p = call->params;
    const pleat_tensor *x = call->in[0];
    int dim;
    if (call->out[0]->numel == 0 || pleat_resolve_dim(p->dim, x->shape.ndim, &dim) != PLEAT_OK)
        return pleat_pending();
    job j = { .work = { .dtype = x->dtype,
                        .length = x->shape.ndim > 0 ? x->shape.dim[dim] : 1,
                        .inner = 1,
                        .k = p->k,
                        .largest = p->largest,
                        .x = pleat_tensor_address(x),
                        .value = pleat_tensor_address(call->out[0]),
                        .index = (int64_t *)(void *)pleat_tensor_address(call->out[1]) } };
    for (int d = dim + 1; d < x->shape.ndim; d++)
        j.work.inner *= x->shape.dim[d];
    j.bytes = pleat_topk_scratch(x->dtype, j.work.length, p->k);
    j.scratch = pleat_alloc((size_t)(pleat_threads() * j.bytes));
    if (!j.scratch)
        return PLEAT_ENOMEM;
    pleat_parallel_for(x->numel / j.work.length, GRAIN / j.work.length, lines, &j);
    pleat_free(j.scratch);
    return PLEAT_OK;
}

static pleat_status backward(pleat_call *call)
{
    const topk_params *p = call->params;
    if (pleat_numel(call->grad_out[0]) > 0)
        call->grad_in[0] = pleat_scatter_add(pleat_zeros(call->in_spec[0].shape, call->in_spec[0].dtype), p->dim,
                                             call->out[1], call->grad_out[0]);
    return PLEAT_OK;
}

const pleat_op pleat_op_topk = {
    .name = "topk",
    .inputs = 1,
    .outputs = 2,
    .dtypes = { PLEAT_ANY_DTYPE },
    .params_size = sizeof(topk_params),
    .keeps = { PLEAT_KEEP_OUT(1) },
    .infer = infer,
    .forward = forward,
    .backward = backward,
};

static pleat_status two(pleat_tensor *x, const topk_params *p, pleat_tensor **values, pleat_tensor **indices)
{
    pleat_tensor *out[2];
    const pleat_status status = pleat_apply_all(&pleat_op_topk, &x, 1, p, out);
    if (values)
        *values = out[0];
    if (indices)
        *indices = out[1];
    return status;
}

pleat_status pleat_topk(pleat_tensor *x, int64_t k, int dim, bool largest, pleat_tensor **values,
                        pleat_tensor **indices)
{
    return two(x, &(topk_params){ k, dim, largest }, values, indices);
}

pleat_status pleat_sort(pleat_tensor *x, int dim, bool descending, pleat_tensor **values, pleat_tensor **indices)
{
    int d;
    topk_params p = { 1, dim, descending };
    const char *context;
    if (pleat_enter("sort", x, &context) && pleat_resolve_dim(dim, x->shape.ndim, &d) == PLEAT_OK && x->shape.ndim > 0)
        p.k = x->shape.dim[d];
    pleat_end_context(context);
    return two(x, &p, values, indices);
}
