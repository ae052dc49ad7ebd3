/* cat, and what belongs to it: stack (cat of unsqueezed tensors), split and chunk (cat undone, by views). Each input is
 * copied to its place, whatever its strides; its gradient is that place of the gradient, a view. */
#include "kernels/copy.h"
#include "ops/enter.h"
#include "ops/ops.h"
#include "tensor/memory.h"
#include "tensor/tensor.h"

#include <pleat/ops.h>

#include <inttypes.h>

enum { GRAIN = 1 << 15, SHORT_ROW = 1 << 10 /* elements */ };

/* ---- cat ---- */

/* PyTorch's exception to every rule below: an input of shape (0,) fits anywhere, and adds nothing. */
static bool nothing(const pleat_spec *x)
{
    return x->shape.ndim == 1 && x->shape.dim[0] == 0;
}

/* The dimension of the result, from 0 up. */
static int joined(const pleat_call *call)
{
    int dim = *(const int *)call->params;
    pleat_resolve_dim(dim, call->out_spec[0].shape.ndim, &dim);
    return dim;
}

static pleat_status cat_infer(const pleat_call *call, pleat_spec *out)
{
    int first = 0, dim;
    while (first < call->inputs - 1 && nothing(&call->in_spec[first]))
        first++;
    const pleat_shape like = call->in_spec[first].shape;
    out[0] = (pleat_spec){ .dtype = call->in_spec[0].dtype, .shape = like };
    if (pleat_resolve_dim(*(const int *)call->params, like.ndim, &dim) != PLEAT_OK)
        return PLEAT_EINVAL;
    out[0].shape.dim[dim] = 0;
    for (int i = 0; i < call->inputs; i++) {
        const pleat_shape x = call->in_spec[i].shape;
        if (x.ndim == 0)
            return pleat_fail(PLEAT_ESHAPE, "input %d has no dimension to join along (pleat_stack adds one)", i);
        if (nothing(&call->in_spec[i]))
            continue;
        bool fits = x.ndim == like.ndim;
        for (int d = 0; d < like.ndim && fits; d++)
            fits = d == dim || x.dim[d] == like.dim[d];
        if (!fits)
            return pleat_fail(PLEAT_ESHAPE, "input %d is %s and input %d is %s: they may differ in dimension %d alone",
                              first, pleat_shape_text(like).text, i, pleat_shape_text(x).text, dim);
        if (__builtin_add_overflow(out[0].shape.dim[dim], x.dim[dim], &out[0].shape.dim[dim]))
            return pleat_fail(PLEAT_ESHAPE, "the sizes along dimension %d are too large", dim);
    }
    return PLEAT_OK;
}

static void join_chunk(int64_t begin, int64_t end, void *ctx)
{
    pleat_kernels_get()->copy->join(ctx, begin, end);
}

/* Short rows of dense inputs, one after another: in one pass over the result. False where they are not. */
static bool join(const pleat_call *call, int dim, pleat_status *status)
{
    const pleat_tensor *y = call->out[0];
    pleat_join_work w = { .dtype = y->dtype, .to = pleat_tensor_address(y) };
    int64_t inner = 1;
    for (int d = dim + 1; d < y->shape.ndim; d++)
        inner *= y->shape.dim[d];
    w.row = y->shape.dim[dim] * inner;
    bool fits = y->numel > w.row && w.row <= SHORT_ROW && pleat_dtype_size(y->dtype) > 1;
    for (int i = 0; i < call->inputs && fits; i++)
        fits = call->in[i]->contiguous;
    if (!fits)
        return false;
    int64_t *n = pleat_alloc((size_t)call->inputs * (sizeof *n + sizeof *w.from));
    if (!n) {
        *status = PLEAT_ENOMEM;
        return true;
    }
    const void **from = (const void **)(void *)(n + call->inputs);
    for (int i = 0; i < call->inputs; i++)
        if (call->in[i]->numel > 0) {
            n[w.parts] = call->in_spec[i].shape.dim[dim] * inner;
            from[w.parts++] = pleat_tensor_address(call->in[i]);
        }
    w.n = n;
    w.from = from;
    pleat_parallel_for(y->numel / w.row, GRAIN / w.row, join_chunk, &w);
    pleat_free(n);
    return true;
}

static pleat_status cat_forward(pleat_call *call)
{
    const int dim = joined(call);
    pleat_status status = PLEAT_OK;
    if (join(call, dim, &status))
        return status;
    pleat_spec place = pleat_tensor_spec(call->out[0]);
    for (int i = 0; i < call->inputs; i++) {
        if (nothing(&call->in_spec[i]))
            continue;
        place.shape.dim[dim] = call->in_spec[i].shape.dim[dim];
        pleat_tensor *view = pleat_tensor_view(call->out[0], &place);
        if (!view)
            return pleat_pending();
        pleat_tensor_assign(view, call->in[i]);
        pleat_release(view);
        place.offset += place.shape.dim[dim] * place.stride[dim];
    }
    return PLEAT_OK;
}

static pleat_status cat_backward(pleat_call *call)
{
    const int dim = joined(call);
    int64_t at = 0;
    for (int i = 0; i < call->inputs; i++) {
        if (nothing(&call->in_spec[i]))
            continue;
        const int64_t n = call->in_spec[i].shape.dim[dim];
        if (pleat_wants(call, i))
            call->grad_in[i] = pleat_narrow(call->grad_out[0], dim, at, n);
        at += n;
    }
    return PLEAT_OK;
}

const pleat_op pleat_op_cat = {
    .name = "cat",
    .inputs = PLEAT_VARIADIC,
    .outputs = 1,
    .strided = PLEAT_ALL_IN,
    .dtypes = { PLEAT_ANY_DTYPE },
    .params_size = sizeof(int),
    .infer = cat_infer,
    .forward = cat_forward,
    .backward = cat_backward,
};

pleat_tensor *pleat_cat(pleat_tensor *const *x, int count, int dim)
{
    const char *context;
    if (!pleat_enter_list("cat", x, count, &context))
        return pleat_leave(context, NULL);
    return pleat_leave(context, pleat_apply(&pleat_op_cat, x, count, &dim));
}

/* ---- stack ---- */

pleat_tensor *pleat_stack(pleat_tensor *const *x, int count, int dim)
{
    const char *context;
    if (!pleat_enter_list("stack", x, count, &context) ||
        pleat_resolve_dim(dim, x[0]->shape.ndim + 1, &dim) != PLEAT_OK)
        return pleat_leave(context, NULL);
    for (int i = 1; i < count; i++)
        if (!pleat_shape_equal(x[i]->shape, x[0]->shape)) {
            pleat_fail(PLEAT_ESHAPE, "input %d has shape %s, input 0 %s", i, pleat_shape_text(x[i]->shape).text,
                       pleat_shape_text(x[0]->shape).text);
            return pleat_leave(context, NULL);
        }
    const pleat_scope scope = pleat_scope_begin();
    pleat_tensor **row = pleat_alloc((size_t)count * sizeof *row), *y = NULL;
    for (int i = 0; row && i < count; i++)
        row[i] = pleat_unsqueeze(x[i], dim);
    if (pleat_pending() == PLEAT_OK)
        y = pleat_apply(&pleat_op_cat, row, count, &dim);
    pleat_free(row);
    return pleat_leave(context, pleat_scope_return(scope, y));
}

/* ---- split, chunk ---- */

/* Views of sizes that add up to the dimension. */
static void cut(pleat_tensor *x, int dim, const int64_t *size, int64_t every, int count, pleat_tensor **parts)
{
    const int64_t n = x->shape.dim[dim];
    for (int64_t i = 0, at = 0; i < count && pleat_pending() == PLEAT_OK; i++) {
        const int64_t here = size ? size[i] : n - at < every ? n - at : every;
        parts[i] = pleat_narrow(x, dim, at, here);
        at += here;
    }
    for (int i = 0; i < count && pleat_pending() != PLEAT_OK; i++)
        parts[i] = NULL;
}

static bool enter_split(const char *name, const pleat_tensor *x, int *dim, int count, pleat_tensor **parts,
                        const char **context)
{
    for (int i = 0; parts && i < count; i++)
        parts[i] = NULL;
    if (!pleat_enter(name, x, context))
        return false;
    if (!parts || count < 1)
        pleat_fail(PLEAT_EINVAL, "room for at least one part is needed, not for %d", count);
    else if (x->shape.ndim == 0)
        pleat_fail(PLEAT_ESHAPE, "a tensor of no dimension cannot be split");
    else
        pleat_resolve_dim(*dim, x->shape.ndim, dim);
    return pleat_pending() == PLEAT_OK;
}

pleat_status pleat_split(pleat_tensor *x, const int64_t *sizes, int count, int dim, pleat_tensor **parts)
{
    const char *context;
    if (enter_split("split", x, &dim, count, parts, &context)) {
        int64_t sum = 0;
        bool fits = sizes != NULL;
        for (int i = 0; i < count && fits; i++)
            fits = sizes[i] >= 0 && !__builtin_add_overflow(sum, sizes[i], &sum);
        if (fits && sum == x->shape.dim[dim])
            cut(x, dim, sizes, 0, count, parts);
        else
            pleat_fail(PLEAT_EINVAL,
                       "the %d sizes %s must be 0 or more and add up to the %" PRId64 " of dimension %d of %s", count,
                       sizes && count <= PLEAT_MAX_DIMS ? pleat_shape_text(pleat_shape_make(count, sizes)).text : "",
                       x->shape.dim[dim], dim, pleat_shape_text(x->shape).text);
    }
    pleat_end_context(context);
    return pleat_tell(pleat_pending());
}

int pleat_chunk(pleat_tensor *x, int chunks, int dim, pleat_tensor **parts)
{
    const char *context;
    int64_t count = 0;
    if (enter_split("chunk", x, &dim, chunks, parts, &context)) {
        const int64_t n = x->shape.dim[dim], every = n == 0 ? 0 : (n - 1) / chunks + 1;
        count = n == 0 ? chunks : (n - 1) / every + 1;
        cut(x, dim, NULL, every, (int)count, parts);
    }
    pleat_end_context(context);
    return pleat_pending() == PLEAT_OK ? (int)count : 0;
}
