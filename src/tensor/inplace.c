/* Changes in place, off the tape, and comparisons. */
#include "tensor/error.h"
#include "tensor/shape.h"
#include "tensor/tensor.h"
#include "tensor/thread.h"

#include <pleat/autograd.h>

#include <math.h>

/* Told by the strides, sorted: each must reach beyond all that the smaller ones span. */
bool pleat_tensor_overlaps(const pleat_tensor *t)
{
    int64_t dim[PLEAT_MAX_DIMS], stride[PLEAT_MAX_DIMS];
    int n = 0;
    for (int d = 0; d < t->shape.ndim; d++) {
        if (t->shape.dim[d] <= 1)
            continue;
        const int64_t s = t->stride[d] < 0 ? -t->stride[d] : t->stride[d];
        int k = n++;
        for (; k > 0 && stride[k - 1] > s; k--) {
            stride[k] = stride[k - 1];
            dim[k] = dim[k - 1];
        }
        stride[k] = s;
        dim[k] = t->shape.dim[d];
    }
    int64_t span = 0; /* of the dimensions so far, the last element's distance */
    for (int k = 0; k < n; k++) {
        if (stride[k] <= span)
            return true;
        span += (dim[k] - 1) * stride[k];
    }
    return false;
}

static bool changeable(const char *name, const pleat_tensor *t)
{
    if (pleat_pending() != PLEAT_OK)
        return false;
    if (!t)
        pleat_fail(PLEAT_EINVAL, "%s: the tensor is NULL", name);
    else if (t->requires_grad && pleat_grad_enabled())
        pleat_fail(PLEAT_EGRAD,
                   "%s: a tensor that requires a gradient cannot be changed in place while calls are recorded "
                   "(pleat_grad_mode(false) allows it)",
                   name);
    else if (t->numel > 0 && pleat_tensor_overlaps(t))
        pleat_fail(PLEAT_EINVAL, "%s: elements of the view %s overlap in memory", name,
                   pleat_shape_text(t->shape).text);
    return pleat_pending() == PLEAT_OK;
}

/* Whether `from` broadcasts to t. */
static bool fits(const char *name, const pleat_tensor *t, const pleat_tensor *from)
{
    pleat_shape both;
    const char *context = pleat_context(name);
    if (!from)
        pleat_fail(PLEAT_EINVAL, "the other tensor is NULL");
    else if (pleat_broadcast(t->shape, from->shape, &both) == PLEAT_OK && !pleat_shape_equal(both, t->shape))
        pleat_fail(PLEAT_ESHAPE, "shape %s does not broadcast to %s", pleat_shape_text(from->shape).text,
                   pleat_shape_text(t->shape).text);
    pleat_context(context);
    return pleat_pending() == PLEAT_OK;
}

/* What is read while its storage is being written is copied first. NULL with PLEAT_ENOMEM pending. Owned. */
static pleat_tensor *apart(const pleat_tensor *t, const pleat_tensor *from)
{
    return pleat_shares_storage(t, from) ? pleat_tensor_copy(from) : pleat_retain((pleat_tensor *)(uintptr_t)from);
}

pleat_tensor *pleat_copy_(pleat_tensor *t, const pleat_tensor *from)
{
    if (!changeable("copy_", t) || !fits("copy_", t, from))
        return NULL;
    pleat_tensor *source = apart(t, from);
    if (!source)
        return NULL;
    pleat_tensor_assign(t, source);
    pleat_tensor_changed(t);
    pleat_release(source);
    return t;
}

pleat_tensor *pleat_add_(pleat_tensor *t, const pleat_tensor *other, double scale)
{
    if (!changeable("add_", t) || !fits("add_", t, other))
        return NULL;
    if (t->dtype != other->dtype) {
        pleat_fail(PLEAT_EDTYPE, "add_: %s and %s do not mix", pleat_dtype_name(t->dtype),
                   pleat_dtype_name(other->dtype));
        return NULL;
    }
    pleat_tensor *source = apart(t, other);
    if (!source)
        return NULL;
    pleat_tensor_add(t, source, scale);
    pleat_tensor_changed(t);
    pleat_release(source);
    return t;
}

/* A tensor of one element, on the side of the scopes. */
static pleat_tensor *one(double value)
{
    pleat_tensor *v = pleat_tensor_new((pleat_shape){ 0 }, PLEAT_F64);
    if (v)
        *(double *)(void *)pleat_tensor_address(v) = value;
    return v;
}

pleat_tensor *pleat_fill_(pleat_tensor *t, double value)
{
    pleat_tensor *v = changeable("fill_", t) ? one(value) : NULL;
    if (!v)
        return NULL;
    pleat_tensor_assign(t, v);
    pleat_tensor_changed(t);
    pleat_release(v);
    return t;
}

pleat_tensor *pleat_zero_(pleat_tensor *t)
{
    return pleat_fill_(t, 0);
}

pleat_tensor *pleat_scale_(pleat_tensor *t, double factor)
{
    if (!changeable("scale_", t))
        return NULL;
    /* t += (factor - 1) t would round twice: the copy is the other operand of a product that starts from zero */
    pleat_tensor *source = pleat_tensor_copy(t), *zero = source ? one(0) : NULL;
    if (zero) {
        pleat_tensor_assign(t, zero);
        pleat_tensor_add(t, source, factor);
        pleat_tensor_changed(t);
    }
    pleat_release(source);
    pleat_release(zero);
    return zero ? t : NULL;
}

/* ---- Compare ---- */

/* Walks two tensors of one shape side by side; false at the first pair that is not close. exact: ==, NaN never equal.
 */
static bool all_close(const pleat_tensor *a, const pleat_tensor *b, double rtol, double atol, bool exact)
{
    int64_t index[PLEAT_MAX_DIMS] = { 0 };
    for (int64_t i = 0; i < a->numel; i++) {
        if (exact && a->dtype == PLEAT_I64) { /* beyond 2^53 double would not tell them apart */
            int64_t oa = a->offset, ob = b->offset;
            for (int d = 0; d < a->shape.ndim; d++) {
                oa += index[d] * a->stride[d];
                ob += index[d] * b->stride[d];
            }
            if (((const int64_t *)a->storage->data)[oa] != ((const int64_t *)b->storage->data)[ob])
                return false;
        } else {
            const double x = pleat_at(a, index), y = pleat_at(b, index);
            if (exact ? !(x == y) : !(x == y || (fabs(x - y) <= atol + rtol * fabs(y) && fabs(y) < (double)INFINITY)))
                return false;
        }
        for (int d = a->shape.ndim - 1; d >= 0 && ++index[d] == a->shape.dim[d]; d--)
            index[d] = 0;
    }
    return true;
}

static bool compare(const char *name, const pleat_tensor *a, const pleat_tensor *b, double rtol, double atol,
                    bool exact)
{
    if (!a || !b) {
        pleat_fail(PLEAT_EINVAL, "%s: a tensor is NULL", name);
        return false;
    }
    return a->dtype == b->dtype && pleat_shape_equal(a->shape, b->shape) && all_close(a, b, rtol, atol, exact);
}

bool pleat_allclose(const pleat_tensor *a, const pleat_tensor *b, double rtol, double atol)
{
    return compare("allclose", a, b, rtol, atol, false);
}

bool pleat_equal(const pleat_tensor *a, const pleat_tensor *b)
{
    return compare("equal", a, b, 0, 0, true);
}
