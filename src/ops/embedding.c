/* embedding: rows of a table by their numbers. An index_select, whose adjoint adds up the rows that were named more
 * than once; a row that stands for padding is read without its gradient. */
#include "ops/enter.h"
#include "tensor/tensor.h"

#include <pleat/autograd.h>
#include <pleat/ops.h>

#include <inttypes.h>

/* The padding's row from 0 up; -1 where there is none, which no index is. */
static pleat_status padding_of(const pleat_embedding_opts *o, int64_t rows, int64_t *padding)
{
    *padding = -1;
    if (!o || !o->padding)
        return PLEAT_OK;
    *padding = o->padding_index < 0 ? o->padding_index + rows : o->padding_index;
    if (*padding < 0 || *padding >= rows)
        return pleat_fail(PLEAT_EINVAL, "padding_index %" PRId64 " is not in [-%" PRId64 ", %" PRId64 "), the rows",
                          o->padding_index, rows, rows);
    return PLEAT_OK;
}

static pleat_tensor *look_up(pleat_tensor *index, pleat_tensor *weight, int64_t padding)
{
    pleat_shape shape = index->shape;
    pleat_tensor *rows = pleat_index_select(weight, 0, pleat_reshape(index, PLEAT_SHAPE(index->numel)));
    if (rows && padding >= 0) {
        pleat_tensor *flat = pleat_reshape(index, PLEAT_SHAPE(index->numel, 1));
        pleat_tensor *number = pleat_full(PLEAT_SHAPE(), (double)padding, PLEAT_I64);
        rows = pleat_where(pleat_eq(flat, number), pleat_detach(rows), rows);
    }
    shape.dim[shape.ndim++] = weight->shape.dim[1];
    return pleat_reshape(rows, shape);
}

pleat_tensor *pleat_embedding(pleat_tensor *index, pleat_tensor *weight, const pleat_embedding_opts *opts)
{
    const char *context;
    int64_t padding = -1;
    if (pleat_enter("embedding", index, &context) && !weight)
        pleat_fail(PLEAT_EINVAL, "the weight is NULL");
    if (pleat_pending() != PLEAT_OK)
        return pleat_leave(context, NULL);
    if (weight->shape.ndim != 2)
        pleat_fail(PLEAT_ESHAPE, "weight %s must be (rows, features)", pleat_shape_text(weight->shape).text);
    else if (index->dtype != PLEAT_I64)
        pleat_fail(PLEAT_EDTYPE, "the index must be int64, not %s", pleat_dtype_name(index->dtype));
    else if (index->shape.ndim == PLEAT_MAX_DIMS)
        pleat_fail(PLEAT_ESHAPE, "index %s has %d dimensions: no room for another", pleat_shape_text(index->shape).text,
                   PLEAT_MAX_DIMS);
    else
        padding_of(opts, weight->shape.dim[0], &padding);
    if (pleat_pending() != PLEAT_OK)
        return pleat_leave(context, NULL);
    const pleat_scope scope = pleat_scope_begin();
    return pleat_leave(context, pleat_scope_return(scope, look_up(index, weight, padding)));
}
