/* The largest and smallest over dimensions, and where they are. */
#include "ops/ops.h"
#include "ops/reduce.h"
#include "tensor/error.h"
#include "tensor/memory.h"
#include "tensor/shape.h"
#include "tensor/tensor.h"

#include <pleat/ops.h>

/* ---- amax, amin: over any dimensions; where several are equal they share the gradient, as in PyTorch ---- */

static pleat_status infer(const pleat_call *call, pleat_spec *out)
{
    const pleat_status status = pleat_reduce_infer(call, out);
    if (status == PLEAT_OK && pleat_shape_numel(call->in_spec[0].shape) == 0 && pleat_shape_numel(out[0].shape) > 0)
        return pleat_fail(PLEAT_ESHAPE, "of nothing there is none: input %s",
                          pleat_shape_text(call->in_spec[0].shape).text);
    return status;
}

static pleat_status amax_forward(pleat_call *call)
{
    return pleat_reduce_forward(call, &pleat_kernels_get()->reduce->max, false);
}

static pleat_status amin_forward(pleat_call *call)
{
    return pleat_reduce_forward(call, &pleat_kernels_get()->reduce->min, false);
}

static pleat_status backward(pleat_call *call)
{
    const pleat_reduce_params *p = call->params;
    const pleat_shape kept = pleat_kept_shape(call->in_spec[0].shape, p->dims);
    pleat_tensor *hit = pleat_cast(pleat_eq(call->in[0], pleat_reshape(call->out[0], kept)), call->in_spec[0].dtype);
    pleat_tensor *share = pleat_div(hit, pleat_sum_to(hit, kept));
    call->grad_in[0] = pleat_mul(share, pleat_reshape(call->grad_out[0], kept));
    return PLEAT_OK;
}

#define EXTREMUM(op)                                                                                                   \
    .name = #op, .inputs = 1, .outputs = 1, .strided = PLEAT_IN(0),                                                    \
    .dtypes = { PLEAT_DTYPES(PLEAT_F32, PLEAT_F64, PLEAT_I64) }, .params_size = sizeof(pleat_reduce_params),           \
    .keeps = { PLEAT_KEEP_IN(0) | PLEAT_KEEP_OUT(0) }, .infer = infer, .forward = op##_forward, .backward = backward

const pleat_op pleat_op_amax = { EXTREMUM(amax) };
const pleat_op pleat_op_amin = { EXTREMUM(amin) };

pleat_tensor *pleat_amax(pleat_tensor *x, pleat_dims dims, bool keepdim)
{
    return pleat_apply(&pleat_op_amax, &x, 1, &(pleat_reduce_params){ dims, keepdim });
}

pleat_tensor *pleat_amin(pleat_tensor *x, pleat_dims dims, bool keepdim)
{
    return pleat_apply(&pleat_op_amin, &x, 1, &(pleat_reduce_params){ dims, keepdim });
}

/* ---- argmax, argmin ---- */

enum { LONG_BLOCK = 1 << 16, GRAIN = 1 << 14 }; /* elements: of one output; what is worth a thread's while */

typedef struct {
    pleat_reduce_work work;
    bool largest;
    int type;
    int64_t outputs, elements, block, blocks; /* block: how many elements, at most */
    int64_t *at, *y;                          /* at: blocks x outputs; y where one block is all */
} job;

/* Units of work are the first block of every output, then the second. */
static void places(int64_t begin, int64_t end, void *ctx)
{
    const job *j = ctx;
    for (int64_t n; begin < end; begin += n) {
        const int64_t b = begin / j->outputs, o = begin % j->outputs, first = b * j->block, last = first + j->block;
        n = j->outputs - o < end - begin ? j->outputs - o : end - begin;
        pleat_kernels_get()->reduce->arg[j->type](&j->work, j->largest, o, o + n, first,
                                                  last < j->elements ? last : j->elements, j->at + begin);
    }
}

static void finish(int64_t begin, int64_t end, void *ctx)
{
    const job *j = ctx;
    pleat_kernels_get()->reduce->arg_finish[j->type](&j->work, j->largest, begin, end, j->blocks, j->outputs,
                                                     j->at + begin, j->y + begin);
}

static pleat_status arg_infer(const pleat_call *call, pleat_spec *out)
{
    const pleat_status status = infer(call, out);
    out[0].dtype = PLEAT_I64;
    return status;
}

static pleat_status arg_forward(pleat_call *call, bool largest)
{
    const pleat_reduce_params *p = call->params;
    const pleat_tensor *x = call->in[0];
    unsigned mask;
    pleat_dims_mask(p->dims, x->shape.ndim, &mask);
    job j = { .largest = largest,
              .type = pleat_reduce_type(x->dtype),
              .outputs = call->out[0]->numel,
              .elements = 1,
              .y = pleat_data_mut(call->out[0]) };
    if (x->numel == 0)
        return PLEAT_OK;
    pleat_reduce_split(x, mask, true, &j.work);
    for (int d = 0; d < j.work.reduced; d++)
        j.elements *= j.work.reduced_dim[d];
    const bool across = pleat_reduce_across(&j.work);
    j.block = across ? PLEAT_REDUCE_BLOCK : LONG_BLOCK;
    j.blocks = (j.elements + j.block - 1) / j.block;
    j.at = j.blocks == 1 ? j.y : pleat_alloc((size_t)(j.blocks * j.outputs) * sizeof *j.at);
    if (!j.at)
        return PLEAT_ENOMEM;
    const int64_t grain = GRAIN / (j.blocks > 1 ? j.block : j.elements) + 1;
    pleat_parallel_for(j.blocks * j.outputs, across ? (grain + 63) / 64 * 64 : grain, places, &j); /* whole vectors */
    if (j.at != j.y) {
        pleat_parallel_for(j.outputs, GRAIN / j.blocks + 1, finish, &j);
        pleat_free(j.at);
    }
    return PLEAT_OK;
}

static pleat_status argmax_forward(pleat_call *call)
{
    return arg_forward(call, true);
}

static pleat_status argmin_forward(pleat_call *call)
{
    return arg_forward(call, false);
}

#define ARG(op)                                                                                                        \
    .name = #op, .inputs = 1, .outputs = 1, .strided = PLEAT_IN(0),                                                    \
    .dtypes = { PLEAT_DTYPES(PLEAT_F32, PLEAT_F64, PLEAT_I64) }, .params_size = sizeof(pleat_reduce_params),           \
    .constant = PLEAT_OUT(0), .infer = arg_infer, .forward = op##_forward

const pleat_op pleat_op_argmax = { ARG(argmax) };
const pleat_op pleat_op_argmin = { ARG(argmin) };

/* Over everything where all is set, else along dim. */
static pleat_tensor *arg(const pleat_op *op, pleat_tensor *x, int dim, bool all, bool keepdim)
{
    const pleat_dims dims = all ? PLEAT_DIMS() : PLEAT_DIMS(dim);
    return pleat_apply(op, &x, 1, &(pleat_reduce_params){ dims, keepdim });
}

pleat_tensor *pleat_argmax(pleat_tensor *x, int dim, bool keepdim)
{
    return arg(&pleat_op_argmax, x, dim, false, keepdim);
}

pleat_tensor *pleat_argmin(pleat_tensor *x, int dim, bool keepdim)
{
    return arg(&pleat_op_argmin, x, dim, false, keepdim);
}

pleat_tensor *pleat_argmax_all(pleat_tensor *x)
{
    return arg(&pleat_op_argmax, x, 0, true, false);
}

pleat_tensor *pleat_argmin_all(pleat_tensor *x)
{
    return arg(&pleat_op_argmin, x, 0, true, false);
}

/* ---- max, min: along one dimension with the places; the first of equals has the gradient ---- */

static pleat_status along(const char *name, const pleat_op *op, pleat_tensor *x, int dim, bool keepdim,
                          pleat_tensor **values, pleat_tensor **indices)
{
    const char *context = pleat_begin_context(name);
    pleat_tensor *at = arg(op, x, dim, false, true), *value = NULL;
    if (at)
        value = pleat_ndim(x) ? pleat_gather(x, dim, at) : x;
    if (value && !keepdim && pleat_ndim(x)) {
        value = pleat_squeeze(value, dim);
        at = pleat_squeeze(at, dim);
    }
    pleat_end_context(context);
    const bool whole = value && at;
    if (values)
        *values = whole ? value : NULL;
    if (indices)
        *indices = whole ? at : NULL;
    return pleat_check();
}

pleat_status pleat_max(pleat_tensor *x, int dim, bool keepdim, pleat_tensor **values, pleat_tensor **indices)
{
    return along("max", &pleat_op_argmax, x, dim, keepdim, values, indices);
}

pleat_status pleat_min(pleat_tensor *x, int dim, bool keepdim, pleat_tensor **values, pleat_tensor **indices)
{
    return along("min", &pleat_op_argmin, x, dim, keepdim, values, indices);
}
