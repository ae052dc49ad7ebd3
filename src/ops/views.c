/* Views: reshape, permute, slice and expand, and the functions that are made of them.
 *
 * Each gradient is among them or their adjoints: permute's is the inverse permute, reshape's a reshape, expand's a sum,
 * slice's is slice_adjoint, which sets what arrives into zeros, and whose gradient is slice. */
#include "ops/ops.h"

#include "kernels/copy.h"
#include "tensor/error.h"
#include "tensor/shape.h"
#include "tensor/thread.h"

#include <pleat/ops.h>

#include <inttypes.h>
#include <string.h>

/* ---- permute ---- */

typedef struct {
    int order[PLEAT_MAX_DIMS];
} permute_params;

static pleat_status permute_infer(const pleat_call *call, pleat_spec *out)
{
    const permute_params *p = call->params;
    const pleat_spec *x = &call->in_spec[0];
    out[0] = *x;
    out[0].view = true;
    for (int d = 0; d < x->shape.ndim; d++) {
        out[0].shape.dim[d] = x->shape.dim[p->order[d]];
        out[0].stride[d] = x->stride[p->order[d]];
    }
    return PLEAT_OK;
}

static pleat_status permute_backward(pleat_call *call)
{
    const permute_params *p = call->params;
    permute_params inverse = { { 0 } };
    for (int d = 0; d < call->in_spec[0].shape.ndim; d++)
        inverse.order[p->order[d]] = d;
    call->grad_in[0] = pleat_apply(&pleat_op_permute, call->grad_out, 1, &inverse);
    return PLEAT_OK;
}

const pleat_op pleat_op_permute = {
    .name = "permute",
    .inputs = 1,
    .outputs = 1,
    .strided = PLEAT_IN(0),
    .dtypes = { PLEAT_ANY_DTYPE },
    .params_size = sizeof(permute_params),
    .infer = permute_infer,
    .backward = permute_backward,
};

/* ---- reshape ---- */

/* The strides with which `shape` walks x's elements in row-major order; false where there are none without a copy. Each
 * run of x's dimensions that are walked as one is dealt out to dimensions of the new shape, from the last. */
static bool reshape_strides(const pleat_spec *x, pleat_shape shape, int64_t *stride)
{
    int ndim = x->shape.ndim;
    int64_t dim[PLEAT_MAX_DIMS], run[1][PLEAT_MAX_DIMS];
    memcpy(dim, x->shape.dim, sizeof dim);
    memcpy(run[0], x->stride, sizeof run[0]);
    if (pleat_shape_numel(shape) == 0) {
        pleat_shape_strides(&shape, stride);
        return true;
    }
    pleat_merge_dims(&ndim, dim, run, 1);
    int k = ndim - 1;
    int64_t left = dim[k], step = run[0][k];
    for (int d = shape.ndim - 1; d >= 0; d--) {
        if (left == 1 && shape.dim[d] > 1 && k > 0) {
            k--;
            left = dim[k];
            step = run[0][k];
        }
        if (left % shape.dim[d] != 0)
            return false;
        stride[d] = step;
        step *= shape.dim[d];
        left /= shape.dim[d];
    }
    return k == 0 && left == 1;
}

static pleat_status reshape_infer(const pleat_call *call, pleat_spec *out)
{
    const pleat_shape *shape = call->params;
    out[0] = call->in_spec[0];
    out[0].shape = *shape;
    out[0].view = true;
    if (!reshape_strides(&call->in_spec[0], *shape, out[0].stride)) /* pleat_reshape copies such a one first */
        return pleat_fail(PLEAT_ESHAPE, "the strides of %s allow no view of shape %s",
                          pleat_shape_text(call->in_spec[0].shape).text, pleat_shape_text(*shape).text);
    return PLEAT_OK;
}

static pleat_status reshape_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_reshape(call->grad_out[0], call->in_spec[0].shape);
    return PLEAT_OK;
}

const pleat_op pleat_op_reshape = {
    .name = "reshape",
    .inputs = 1,
    .outputs = 1,
    .strided = PLEAT_IN(0),
    .dtypes = { PLEAT_ANY_DTYPE },
    .params_size = sizeof(pleat_shape),
    .infer = reshape_infer,
    .backward = reshape_backward,
};

/* ---- slice and its adjoint ---- */

typedef struct {
    int dim;
    int64_t start, step, length, size; /* size: of the dimension that is sliced */
} slice_params;

static pleat_status slice_infer(const pleat_call *call, pleat_spec *out)
{
    const slice_params *p = call->params;
    out[0] = call->in_spec[0];
    out[0].view = true;
    out[0].shape.dim[p->dim] = p->length;
    out[0].offset += p->length > 0 ? p->start * out[0].stride[p->dim] : 0;
    out[0].stride[p->dim] *= p->step;
    return PLEAT_OK;
}

static pleat_status slice_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_apply(&pleat_op_slice_adjoint, call->grad_out, 1, call->params);
    return PLEAT_OK;
}

const pleat_op pleat_op_slice = {
    .name = "slice",
    .inputs = 1,
    .outputs = 1,
    .strided = PLEAT_IN(0),
    .dtypes = { PLEAT_ANY_DTYPE },
    .params_size = sizeof(slice_params),
    .infer = slice_infer,
    .backward = slice_backward,
};

static pleat_status slice_adjoint_infer(const pleat_call *call, pleat_spec *out)
{
    const slice_params *p = call->params;
    if (call->in_spec[0].shape.dim[p->dim] != p->length)
        return pleat_fail(PLEAT_ESHAPE, "input %s has %" PRId64 " places in dimension %d, the slice %" PRId64,
                          pleat_shape_text(call->in_spec[0].shape).text, call->in_spec[0].shape.dim[p->dim], p->dim,
                          p->length);
    out[0] = (pleat_spec){ .dtype = call->in_spec[0].dtype, .shape = call->in_spec[0].shape };
    out[0].shape.dim[p->dim] = p->size;
    return PLEAT_OK;
}

static pleat_status slice_adjoint_forward(pleat_call *call)
{
    const slice_params *p = call->params;
    pleat_tensor *zero = pleat_borrow(pleat_tensor_new((pleat_shape){ 0 }, call->out[0]->dtype));
    pleat_spec inside = pleat_tensor_spec(call->out[0]);
    inside.shape.dim[p->dim] = p->length;
    inside.offset += p->length > 0 ? p->start * inside.stride[p->dim] : 0;
    inside.stride[p->dim] *= p->step;
    pleat_tensor *view = pleat_borrow(pleat_tensor_view(call->out[0], &inside));
    if (!zero || !view)
        return pleat_pending();
    memset(pleat_tensor_address(zero), 0, pleat_dtype_size(zero->dtype));
    pleat_tensor_assign(call->out[0], zero);
    pleat_tensor_assign(view, call->in[0]);
    return PLEAT_OK;
}

static pleat_status slice_adjoint_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_apply(&pleat_op_slice, call->grad_out, 1, call->params);
    return PLEAT_OK;
}

const pleat_op pleat_op_slice_adjoint = {
    .name = "slice_adjoint",
    .inputs = 1,
    .outputs = 1,
    .strided = PLEAT_IN(0),
    .dtypes = { PLEAT_ANY_DTYPE },
    .params_size = sizeof(slice_params),
    .infer = slice_adjoint_infer,
    .forward = slice_adjoint_forward,
    .backward = slice_adjoint_backward,
};

/* ---- expand ---- */

static pleat_status expand_infer(const pleat_call *call, pleat_spec *out)
{
    const pleat_shape *to = call->params;
    const pleat_spec *x = &call->in_spec[0];
    out[0] = (pleat_spec){ .dtype = x->dtype, .view = true, .shape = *to, .offset = x->offset };
    for (int d = 0; d < to->ndim; d++) {
        const int from = d - (to->ndim - x->shape.ndim);
        out[0].stride[d] = from < 0 || x->shape.dim[from] != to->dim[d] ? 0 : x->stride[from];
    }
    return PLEAT_OK;
}

static pleat_status expand_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_sum_to(call->grad_out[0], call->in_spec[0].shape);
    return PLEAT_OK;
}

const pleat_op pleat_op_expand = {
    .name = "expand",
    .inputs = 1,
    .outputs = 1,
    .strided = PLEAT_IN(0),
    .dtypes = { PLEAT_ANY_DTYPE },
    .params_size = sizeof(pleat_shape),
    .infer = expand_infer,
    .backward = expand_backward,
};

/* ---- The functions. They resolve what the caller left open, under the name that the caller used. ---- */

/* Nothing pending and x there: then the name begins the messages until leave(). */
static bool enter(const char *name, const pleat_tensor *x, const char **context)
{
    *context = pleat_begin_context(name);
    if (pleat_pending() == PLEAT_OK && !x)
        pleat_fail(PLEAT_EINVAL, "the tensor is NULL");
    return pleat_pending() == PLEAT_OK;
}

static pleat_tensor *leave(const char *context, pleat_tensor *result)
{
    pleat_end_context(context);
    return pleat_pending() == PLEAT_OK ? result : NULL;
}

/* The shape with its -1 filled in, so that it has x's elements. */
static pleat_status complete(const pleat_tensor *x, pleat_shape *shape)
{
    int open = -1;
    pleat_shape known = *shape;
    for (int d = 0; d < shape->ndim && d < PLEAT_MAX_DIMS; d++)
        if (shape->dim[d] == -1) {
            if (open >= 0)
                return pleat_fail(PLEAT_ESHAPE, "only one size can be -1 in %s", pleat_shape_text(*shape).text);
            known.dim[open = d] = 1;
        }
    if (pleat_shape_check(known) != PLEAT_OK)
        return pleat_pending();
    const int64_t n = pleat_shape_numel(known);
    if (open >= 0 ? n == 0 || x->numel % n != 0 : n != x->numel)
        return pleat_fail(PLEAT_ESHAPE, "%s has %" PRId64 " elements, which do not fill %s",
                          pleat_shape_text(x->shape).text, x->numel, pleat_shape_text(*shape).text);
    if (open >= 0)
        known.dim[open] = x->numel / n;
    *shape = known;
    return PLEAT_OK;
}

static pleat_tensor *reshaped(pleat_tensor *x, pleat_shape shape)
{
    int64_t stride[PLEAT_MAX_DIMS];
    const pleat_spec spec = pleat_tensor_spec(x);
    if (!reshape_strides(&spec, shape, stride))
        x = pleat_clone(x);
    return pleat_apply(&pleat_op_reshape, &x, 1, &shape);
}

pleat_tensor *pleat_reshape(pleat_tensor *x, pleat_shape shape)
{
    const char *context;
    if (!enter("reshape", x, &context) || complete(x, &shape) != PLEAT_OK)
        return leave(context, NULL);
    return leave(context, reshaped(x, shape));
}

pleat_tensor *pleat_permute(pleat_tensor *x, pleat_dims order)
{
    const char *context;
    unsigned mask;
    if (!enter("permute", x, &context))
        return leave(context, NULL);
    permute_params p = { { 0 } };
    if (order.count != x->shape.ndim)
        pleat_fail(PLEAT_ESHAPE, "%s has %d dimensions, the order names %d", pleat_shape_text(x->shape).text,
                   x->shape.ndim, order.count);
    else if (pleat_dims_mask(order, x->shape.ndim, &mask) == PLEAT_OK) /* all different, so each once */
        for (int d = 0; d < order.count; d++)
            pleat_resolve_dim(order.dim[d], x->shape.ndim, &p.order[d]);
    return leave(context, pleat_apply(&pleat_op_permute, &x, 1, &p));
}

pleat_tensor *pleat_transpose(pleat_tensor *x, int a, int b)
{
    const char *context;
    permute_params p = { { 0 } };
    if (!enter("transpose", x, &context) || pleat_resolve_dim(a, x->shape.ndim, &a) != PLEAT_OK ||
        pleat_resolve_dim(b, x->shape.ndim, &b) != PLEAT_OK)
        return leave(context, NULL);
    for (int d = 0; d < x->shape.ndim; d++)
        p.order[d] = d == a ? b : d == b ? a : d;
    return leave(context, pleat_apply(&pleat_op_permute, &x, 1, &p));
}

/* Resolves dim, which must be one of x's own. */
static pleat_status own_dim(const pleat_tensor *x, int *dim)
{
    if (x->shape.ndim == 0)
        return pleat_fail(PLEAT_ESHAPE, "a tensor of no dimension has no dimension %d", *dim);
    return pleat_resolve_dim(*dim, x->shape.ndim, dim);
}

pleat_tensor *pleat_narrow(pleat_tensor *x, int dim, int64_t start, int64_t length)
{
    const char *context;
    if (!enter("narrow", x, &context) || own_dim(x, &dim) != PLEAT_OK)
        return leave(context, NULL);
    const int64_t n = x->shape.dim[dim];
    if (start < 0)
        start += n;
    if (start < 0 || length < 0 || length > n || start > n - length)
        pleat_fail(PLEAT_EINVAL, "%" PRId64 " places from %" PRId64 " are not in dimension %d of %s", length, start,
                   dim, pleat_shape_text(x->shape).text);
    return leave(context, pleat_apply(&pleat_op_slice, &x, 1, &(slice_params){ dim, start, 1, length, n }));
}

/* As Python clips an end of a slice. */
static int64_t clip(int64_t i, int64_t n)
{
    if (i < 0)
        i += n;
    return i < 0 ? 0 : i > n ? n : i;
}

pleat_tensor *pleat_slice(pleat_tensor *x, int dim, int64_t start, int64_t stop, int64_t step)
{
    const char *context;
    if (!enter("slice", x, &context) || own_dim(x, &dim) != PLEAT_OK)
        return leave(context, NULL);
    if (step < 1)
        pleat_fail(PLEAT_EINVAL, "the step must be 1 or more, not %" PRId64, step);
    const int64_t n = x->shape.dim[dim];
    start = clip(start, n);
    stop = clip(stop, n);
    const int64_t length = stop > start && step > 0 ? (stop - start - 1) / step + 1 : 0;
    /* a step beyond the dimension reaches one place only; as a stride it might overflow */
    return leave(context,
                 pleat_apply(&pleat_op_slice, &x, 1, &(slice_params){ dim, start, length > 1 ? step : 1, length, n }));
}

pleat_tensor *pleat_select(pleat_tensor *x, int dim, int64_t index)
{
    const char *context;
    if (!enter("select", x, &context) || own_dim(x, &dim) != PLEAT_OK)
        return leave(context, NULL);
    const int64_t n = x->shape.dim[dim];
    if (index < -n || index >= n)
        pleat_fail(PLEAT_EINVAL, "index %" PRId64 " is not in dimension %d of %s", index, dim,
                   pleat_shape_text(x->shape).text);
    if (index < 0)
        index += n;
    pleat_tensor *y = pleat_apply(&pleat_op_slice, &x, 1, &(slice_params){ dim, index, 1, 1, n });
    return leave(context, y ? pleat_squeeze(y, dim) : NULL);
}

static pleat_tensor *without(pleat_tensor *x, unsigned dropped)
{
    pleat_shape s = { 0 };
    for (int d = 0; d < x->shape.ndim; d++)
        if (!(dropped & 1u << d))
            s.dim[s.ndim++] = x->shape.dim[d];
    return pleat_apply(&pleat_op_reshape, &x, 1, &s);
}

pleat_tensor *pleat_squeeze(pleat_tensor *x, int dim)
{
    const char *context;
    if (!enter("squeeze", x, &context) || pleat_resolve_dim(dim, x->shape.ndim, &dim) != PLEAT_OK)
        return leave(context, NULL);
    return leave(context, without(x, dim < x->shape.ndim && x->shape.dim[dim] == 1 ? 1u << dim : 0));
}

pleat_tensor *pleat_squeeze_all(pleat_tensor *x)
{
    const char *context;
    if (!enter("squeeze_all", x, &context))
        return leave(context, NULL);
    unsigned ones = 0;
    for (int d = 0; d < x->shape.ndim; d++)
        if (x->shape.dim[d] == 1)
            ones |= 1u << d;
    return leave(context, without(x, ones));
}

pleat_tensor *pleat_unsqueeze(pleat_tensor *x, int dim)
{
    const char *context;
    if (!enter("unsqueeze", x, &context) || pleat_resolve_dim(dim, x->shape.ndim + 1, &dim) != PLEAT_OK)
        return leave(context, NULL);
    pleat_shape s = { .ndim = x->shape.ndim + 1 };
    for (int d = 0; d < s.ndim && d < PLEAT_MAX_DIMS; d++)
        s.dim[d] = d == dim ? 1 : x->shape.dim[d - (d > dim)];
    pleat_shape_check(s);
    return leave(context, pleat_apply(&pleat_op_reshape, &x, 1, &s));
}

pleat_tensor *pleat_flatten(pleat_tensor *x, int first, int last)
{
    const char *context;
    if (!enter("flatten", x, &context) || pleat_resolve_dim(first, x->shape.ndim, &first) != PLEAT_OK ||
        pleat_resolve_dim(last, x->shape.ndim, &last) != PLEAT_OK)
        return leave(context, NULL);
    if (first > last)
        pleat_fail(PLEAT_EINVAL, "the first dimension, %d, lies behind the last, %d", first, last);
    pleat_shape s = { 0 };
    for (int d = 0; d < x->shape.ndim; d++)
        if (d > first && d <= last)
            s.dim[s.ndim - 1] *= x->shape.dim[d];
        else
            s.dim[s.ndim++] = x->shape.dim[d];
    if (x->shape.ndim == 0)
        s.dim[s.ndim++] = 1;
    return leave(context, pleat_pending() == PLEAT_OK ? reshaped(x, s) : NULL);
}

pleat_tensor *pleat_expand(pleat_tensor *x, pleat_shape shape)
{
    const char *context;
    if (!enter("expand", x, &context))
        return leave(context, NULL);
    const int more = shape.ndim - x->shape.ndim;
    if (shape.ndim > PLEAT_MAX_DIMS || more < 0)
        pleat_fail(PLEAT_ESHAPE, "%s cannot be expanded to %d dimensions", pleat_shape_text(x->shape).text, shape.ndim);
    for (int d = 0; d < shape.ndim && pleat_pending() == PLEAT_OK; d++) {
        const int64_t from = d < more ? 1 : x->shape.dim[d - more];
        if (shape.dim[d] == -1 && d >= more)
            shape.dim[d] = from;
        if (shape.dim[d] < 0 || (from != 1 && from != shape.dim[d]))
            pleat_fail(PLEAT_ESHAPE,
                       "%s cannot be expanded to %s: only sizes of 1 grow, and -1 keeps a size that is there",
                       pleat_shape_text(x->shape).text, pleat_shape_text(shape).text);
    }
    return leave(context, pleat_apply(&pleat_op_expand, &x, 1, &shape));
}
