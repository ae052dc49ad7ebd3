/* matmul: NumPy's and PyTorch's product. A 1-D operand is a row on the left and a column on the right, and that
 * dimension goes afterwards; dimensions before the last two are a batch and broadcast. Operands come with their
 * strides, so a transposed or broadcast one is read where it lies. The gradients are products again:
 *
 *   C = A B        dA = dC B^T        dB = A^T dC */
#include "ops/gemm.h"
#include "ops/ops.h"

#include <pleat/ops.h>

/* The last two sizes of each, a 1-D operand filled up. */
typedef struct {
    int64_t m, k, inner_b, n;
    int a_batch, b_batch; /* dimensions of the batch */
} sizes;

static sizes sizes_of(const pleat_shape *a, const pleat_shape *b)
{
    return (sizes){
        .m = a->ndim == 1 ? 1 : a->dim[a->ndim - 2],
        .k = a->dim[a->ndim - 1],
        .inner_b = b->ndim == 1 ? b->dim[0] : b->dim[b->ndim - 2],
        .n = b->ndim == 1 ? 1 : b->dim[b->ndim - 1],
        .a_batch = a->ndim < 2 ? 0 : a->ndim - 2,
        .b_batch = b->ndim < 2 ? 0 : b->ndim - 2,
    };
}

static pleat_status infer(const pleat_call *call, pleat_spec *out)
{
    const pleat_shape *a = &call->in_spec[0].shape, *b = &call->in_spec[1].shape;
    if (a->ndim == 0 || b->ndim == 0)
        return pleat_fail(PLEAT_ESHAPE, "%s and %s: both need at least one dimension", pleat_shape_text(*a).text,
                          pleat_shape_text(*b).text);
    const sizes s = sizes_of(a, b);
    if (s.k != s.inner_b)
        return pleat_fail(PLEAT_ESHAPE, "%s and %s do not fit: %lld columns meet %lld rows", pleat_shape_text(*a).text,
                          pleat_shape_text(*b).text, (long long)s.k, (long long)s.inner_b);
    const int batch = s.a_batch > s.b_batch ? s.a_batch : s.b_batch;
    pleat_shape shape = { .ndim = batch };
    for (int d = 0; d < batch; d++) { /* counted from the batch's end */
        const int64_t da = d < s.a_batch ? a->dim[s.a_batch - 1 - d] : 1,
                      db = d < s.b_batch ? b->dim[s.b_batch - 1 - d] : 1;
        if (da != db && da != 1 && db != 1)
            return pleat_fail(PLEAT_ESHAPE, "%s and %s do not fit: batch sizes %lld and %lld do not broadcast",
                              pleat_shape_text(*a).text, pleat_shape_text(*b).text, (long long)da, (long long)db);
        shape.dim[batch - 1 - d] = da == 1 ? db : da;
    }
    if (a->ndim > 1)
        shape.dim[shape.ndim++] = s.m;
    if (b->ndim > 1)
        shape.dim[shape.ndim++] = s.n;
    out[0] = (pleat_spec){ .dtype = call->in_spec[0].dtype, .shape = shape };
    return PLEAT_OK;
}

/* The stride of a batch dimension, counted from the batch's end: 0 where the operand broadcasts. */
static int64_t batch_stride(const pleat_tensor *t, int dims, int from_end)
{
    const int d = dims - 1 - from_end;
    return d < 0 || pleat_size(t, d) == 1 ? 0 : pleat_stride(t, d);
}

static pleat_status forward(pleat_call *call)
{
    const pleat_tensor *a = call->in[0], *b = call->in[1];
    const pleat_shape c = call->out_spec[0].shape;
    const sizes s = sizes_of(&call->in_spec[0].shape, &call->in_spec[1].shape);
    pleat_gemm_work work = {
        .dtype = pleat_dtype_of(a),
        .m = s.m,
        .n = s.n,
        .k = s.k,
        .a = pleat_data_strided(a),
        .b = pleat_data_strided(b),
        .c = pleat_data_mut(call->out[0]),
        .a_row = pleat_ndim(a) > 1 ? pleat_stride(a, -2) : 0,
        .a_col = pleat_stride(a, -1),
        .b_row = pleat_stride(b, pleat_ndim(b) > 1 ? -2 : 0),
        .b_col = pleat_ndim(b) > 1 ? pleat_stride(b, -1) : 0,
        .c_row = s.n,
        .c_col = 1,
        .batch_dims = s.a_batch > s.b_batch ? s.a_batch : s.b_batch,
    };
    int64_t step = s.m * s.n; /* the result is contiguous */
    for (int d = work.batch_dims - 1, from_end = 0; d >= 0; d--, from_end++) {
        work.batch[d] = c.dim[d];
        work.a_batch[d] = batch_stride(a, s.a_batch, from_end);
        work.b_batch[d] = batch_stride(b, s.b_batch, from_end);
        work.c_batch[d] = step;
        step *= c.dim[d];
    }
    /* one matrix B for a whole batch of rows that follow each other: one product instead of many small ones */
    while (work.batch_dims > 0) {
        const int last = work.batch_dims - 1;
        if (work.b_batch[last] != 0 || work.a_batch[last] != work.m * work.a_row)
            break;
        work.m *= work.batch[last];
        work.batch_dims--;
    }
    return pleat_gemm(&work);
}

static pleat_status backward(pleat_call *call)
{
    const pleat_shape *a_shape = &call->in_spec[0].shape, *b_shape = &call->in_spec[1].shape;
    const bool row = a_shape->ndim == 1, column = b_shape->ndim == 1;
    pleat_tensor *grad = call->grad_out[0];
    if (row)
        grad = pleat_unsqueeze(grad, pleat_ndim(grad) - (column ? 0 : 1));
    if (column && grad)
        grad = pleat_unsqueeze(grad, pleat_ndim(grad));
    if (pleat_wants(call, 0)) {
        pleat_tensor *b = column ? pleat_unsqueeze(call->in[1], 1) : call->in[1];
        pleat_tensor *da = pleat_matmul(grad, pleat_transpose(b, -2, -1));
        call->grad_in[0] = row ? pleat_squeeze(da, -2) : da;
    }
    if (pleat_wants(call, 1)) {
        pleat_tensor *a = row ? pleat_unsqueeze(call->in[0], 0) : call->in[0];
        if (b_shape->ndim <= 2 && a_shape->ndim > 2) { /* the sum over the batch is part of the product */
            int64_t rows = 1;
            for (int d = 0; d < a_shape->ndim - 1; d++)
                rows *= a_shape->dim[d];
            a = pleat_reshape(a, PLEAT_SHAPE(rows, b_shape->dim[0]));
            grad = pleat_reshape(grad, PLEAT_SHAPE(rows, column ? 1 : b_shape->dim[1]));
        }
        pleat_tensor *db = pleat_matmul(pleat_transpose(a, -2, -1), grad);
        call->grad_in[1] = column ? pleat_squeeze(db, -1) : db;
    }
    return PLEAT_OK;
}

static double flops(const pleat_call *call)
{
    const pleat_shape *a = &call->in_spec[0].shape;
    return 2.0 * (double)pleat_shape_numel(call->out_spec[0].shape) * (double)a->dim[a->ndim - 1];
}

const pleat_op pleat_op_matmul = {
    .name = "matmul",
    .inputs = 2,
    .outputs = 1,
    .strided = PLEAT_ALL_IN,
    .broadcasts = true,
    .keeps = { [0] = PLEAT_KEEP_IN(1), [1] = PLEAT_KEEP_IN(0) },
    .infer = infer,
    .forward = forward,
    .backward = backward,
    .flops = flops,
};

pleat_tensor *pleat_matmul(pleat_tensor *a, pleat_tensor *b)
{
    return pleat_apply(&pleat_op_matmul, (pleat_tensor *[]){ a, b }, 2, NULL);
}
