#include "support/views.h"

#include <string.h>

static pleat_tensor *numbers(pleat_shape shape, pleat_dtype dtype)
{
    if (dtype == PLEAT_F32 || dtype == PLEAT_F64)
        return pleat_randn(shape, dtype);
    return pleat_cast(pleat_randint(dtype == PLEAT_U8 ? 0 : -2, 3, shape), dtype);
}

pleat_tensor *random_view(pleat_shape shape, pleat_dtype dtype, int kind)
{
    pleat_shape base = shape;
    pleat_dims reverse = { .count = shape.ndim };
    for (int d = 0; d < shape.ndim; d++)
        reverse.dim[d] = shape.ndim - 1 - d;
    switch (kind) {
    case 1:
        for (int d = 0; d < shape.ndim; d++)
            base.dim[d] = shape.dim[shape.ndim - 1 - d];
        return shape.ndim ? pleat_permute(numbers(base, dtype), reverse) : numbers(base, dtype);
    case 2:
    case 3:
        for (int d = 0; d < shape.ndim; d++)
            base.dim[d] = 2 * shape.dim[d] + 1;
        pleat_tensor *t = numbers(base, dtype);
        for (int d = 0; d < shape.ndim; d++)
            t = kind == 2 ? pleat_narrow(t, d, 1, shape.dim[d]) : pleat_slice(t, d, 1, 2 * shape.dim[d] + 1, 2);
        return t;
    case 4:
        for (int d = 0; d < shape.ndim; d += 2)
            base.dim[d] = shape.dim[d] > 0 ? 1 : 0;
        return pleat_expand(numbers(base, dtype), shape);
    default:
        return numbers(base, dtype);
    }
}

double element(const pleat_tensor *t, pleat_shape shape, int64_t i)
{
    int64_t index[PLEAT_MAX_DIMS] = { 0 };
    const int missing = shape.ndim - pleat_ndim(t);
    for (int d = shape.ndim - 1; d >= 0; d--) {
        if (d >= missing && pleat_size(t, d - missing) != 1)
            index[d - missing] = i % shape.dim[d];
        i /= shape.dim[d];
    }
    return pleat_at(t, index);
}

reduction reduction_of(pleat_shape shape, unsigned mask)
{
    reduction r = { .kept = { .ndim = shape.ndim } };
    for (int d = 0; d < shape.ndim; d++) {
        r.kept.dim[d] = mask & 1u << d ? 1 : shape.dim[d];
        if (mask & 1u << d)
            r.dims.dim[r.dims.count++] = d % 2 ? d : d - shape.ndim;
        else
            r.dropped.dim[r.dropped.ndim++] = shape.dim[d];
    }
    return r;
}

int64_t result_of(pleat_shape shape, unsigned mask, int64_t i)
{
    int64_t o = 0, step = 1;
    for (int d = shape.ndim - 1; d >= 0; d--) {
        if (!(mask & 1u << d)) {
            o += i % shape.dim[d] * step;
            step *= shape.dim[d];
        }
        i /= shape.dim[d];
    }
    return o;
}

bool same_bits(const pleat_tensor *a, const pleat_tensor *b)
{
    return pleat_shape_equal(pleat_shape_of(a), pleat_shape_of(b)) && pleat_dtype_of(a) == pleat_dtype_of(b) &&
           memcmp(pleat_data(a), pleat_data(b), (size_t)pleat_numel(a) * pleat_dtype_size(pleat_dtype_of(a))) == 0;
}
