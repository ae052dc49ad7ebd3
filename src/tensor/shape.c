/* Shapes: counting, comparing, printing, broadcasting, merging. */
#include "tensor/shape.h"

#include "tensor/error.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

pleat_shape pleat_shape_make(int ndim, const int64_t *dim)
{
    pleat_shape s = { .ndim = ndim };
    for (int d = 0; d < ndim && d < PLEAT_MAX_DIMS; d++)
        s.dim[d] = dim[d];
    return s;
}

pleat_dims pleat_dims_make(int count, const int *dim)
{
    pleat_dims s = { .count = count };
    for (int d = 0; d < count && d < PLEAT_MAX_DIMS; d++)
        s.dim[d] = dim[d];
    return s;
}

int64_t pleat_shape_count(const pleat_shape *s)
{
    if (s->ndim < 0 || s->ndim > PLEAT_MAX_DIMS)
        return -1;
    int64_t n = 1;
    bool empty = false;
    for (int d = 0; d < s->ndim; d++) {
        if (s->dim[d] < 0)
            return -1;
        if (s->dim[d] == 0)
            empty = true;
        else if (__builtin_mul_overflow(n, s->dim[d], &n))
            return -1; /* also where another size is 0: its strides would overflow */
    }
    return empty ? 0 : n;
}

int64_t pleat_shape_numel(pleat_shape s)
{
    return pleat_shape_count(&s);
}

bool pleat_shape_equal(pleat_shape a, pleat_shape b)
{
    if (a.ndim != b.ndim || a.ndim < 0 || a.ndim > PLEAT_MAX_DIMS)
        return false;
    for (int d = 0; d < a.ndim; d++)
        if (a.dim[d] != b.dim[d])
            return false;
    return true;
}

pleat_text pleat_shape_text(pleat_shape s)
{
    pleat_text t;
    if (s.ndim < 0) {
        snprintf(t.text, sizeof t.text, "(invalid)");
        return t;
    }
    int n = snprintf(t.text, sizeof t.text, "(");
    for (int d = 0; d < s.ndim && d < PLEAT_MAX_DIMS; d++)
        n += snprintf(t.text + n, sizeof t.text - (size_t)n, "%s%" PRId64, d ? ", " : "", s.dim[d]);
    snprintf(t.text + n, sizeof t.text - (size_t)n, s.ndim > PLEAT_MAX_DIMS ? ", ...)" : s.ndim == 1 ? ",)" : ")");
    return t;
}

pleat_status pleat_shape_check(pleat_shape s)
{
    if (s.ndim < 0 || s.ndim > PLEAT_MAX_DIMS)
        return pleat_fail(PLEAT_ESHAPE, "a shape has 0 to %d dimensions, not %d", PLEAT_MAX_DIMS, s.ndim);
    for (int d = 0; d < s.ndim; d++)
        if (s.dim[d] < 0)
            return pleat_fail(PLEAT_ESHAPE, "shape %s has a size below 0", pleat_shape_text(s).text);
    if (pleat_shape_numel(s) < 0)
        return pleat_fail(PLEAT_ENOMEM, "shape %s has more elements than can be counted", pleat_shape_text(s).text);
    return PLEAT_OK;
}

void pleat_shape_strides(const pleat_shape *s, int64_t *stride)
{
    int64_t n = 1;
    for (int d = s->ndim - 1; d >= 0; d--) {
        stride[d] = n;
        n *= s->dim[d] > 0 ? s->dim[d] : 1;
    }
}

bool pleat_strides_contiguous(pleat_shape s, const int64_t *stride)
{
    int64_t n = 1;
    bool contiguous = true;
    for (int d = s.ndim - 1; d >= 0; d--) {
        if (s.dim[d] == 0)
            return true;
        if (s.dim[d] != 1 && stride[d] != n)
            contiguous = false;
        n *= s.dim[d];
    }
    return contiguous;
}

pleat_status pleat_broadcast(pleat_shape a, pleat_shape b, pleat_shape *out)
{
    const int ndim = a.ndim > b.ndim ? a.ndim : b.ndim;
    for (int d = 1; d <= ndim; d++) {
        const int64_t x = d <= a.ndim ? a.dim[a.ndim - d] : 1, y = d <= b.ndim ? b.dim[b.ndim - d] : 1;
        if (x != y && x != 1 && y != 1)
            return pleat_fail(PLEAT_ESHAPE,
                              "shapes %s and %s do not broadcast: sizes %" PRId64 " and %" PRId64
                              " differ and neither is 1",
                              pleat_shape_text(a).text, pleat_shape_text(b).text, x, y);
        out->dim[ndim - d] = x == 1 ? y : x;
    }
    out->ndim = ndim;
    return PLEAT_OK;
}

pleat_status pleat_resolve_dim(int dim, int ndim, int *out)
{
    const int n = ndim > 0 ? ndim : 1;
    if (dim < -n || dim >= n)
        return pleat_fail(PLEAT_EINVAL, "dimension %d is not in %d to %d", dim, -n, n - 1);
    *out = dim < 0 ? dim + n : dim;
    return PLEAT_OK;
}

pleat_status pleat_dims_mask(pleat_dims dims, int ndim, unsigned *mask)
{
    if (dims.count < 0 || dims.count > PLEAT_MAX_DIMS)
        return pleat_fail(PLEAT_EINVAL, "a list of dimensions has 0 to %d, not %d", PLEAT_MAX_DIMS, dims.count);
    unsigned m = dims.count == 0 ? (1u << ndim) - 1 : 0;
    for (int i = 0; i < dims.count; i++) {
        int d = 0;
        if (pleat_resolve_dim(dims.dim[i], ndim, &d) != PLEAT_OK)
            return pleat_pending();
        if (m & 1u << d)
            return pleat_fail(PLEAT_EINVAL, "dimension %d is named twice", dims.dim[i]);
        m |= 1u << d;
    }
    *mask = m & ((1u << ndim) - 1); /* dimension 0 of none is no dimension */
    return PLEAT_OK;
}

void pleat_merge_dims(int *ndim, int64_t *dim, int64_t (*stride)[PLEAT_MAX_DIMS], int count)
{
    int n = 0; /* dimensions so far, the last of them still open to the next one */
    for (int d = 0; d < *ndim; d++) {
        if (dim[d] == 1)
            continue;
        bool joins = n > 0;
        for (int k = 0; k < count && joins; k++)
            joins = stride[k][n - 1] == stride[k][d] * dim[d];
        if (joins)
            dim[n - 1] *= dim[d];
        else
            dim[n++] = dim[d];
        for (int k = 0; k < count; k++)
            stride[k][n - 1] = stride[k][d];
    }
    if (n == 0) {
        dim[n++] = 1;
        for (int k = 0; k < count; k++)
            stride[k][0] = 1;
    }
    *ndim = n;
}
