/* prod: the product over dimensions. Its gradient by an element is the product of the others:
 *
 *   y = prod(x)    dx = dy y / x    where no y is 0, nor too small or too large for a quotient to tell the others
 *
 * Where one is, what is in its line may be 0, so nothing is divided. The rows, with all that is kept side by side in
 * each, are multiplied in pairs, and the pairs in pairs, and then each row gets what its pair has, times its fellow:
 *
 *   dx_a = d(ab) b    dx_b = d(ab) a
 *
 * Both are made of ops, so there are derivatives of any order. */
#include "ops/ops.h"
#include "ops/reduce.h"
#include "tensor/shape.h"
#include "tensor/tensor.h"

#include <pleat/ops.h>

#include <math.h>

static pleat_status forward(pleat_call *call)
{
    return pleat_reduce_forward(call, &pleat_kernels_get()->reduce->prod, false);
}

static bool all_normal(const pleat_tensor *y)
{
    const void *data = pleat_tensor_address(y);
    bool normal = true;
    for (int64_t i = 0; i < y->numel; i++)
        normal &= y->dtype == PLEAT_F32 ? isnormal(((const float *)data)[i]) : isnormal(((const double *)data)[i]);
    return normal;
}

/* g times the product of all of x's n rows but one, for each of them. */
static pleat_tensor *by_pairs(pleat_tensor *x, int64_t n, pleat_tensor *g)
{
    if (n == 1)
        return g;
    const int64_t half = n / 2, odd = n % 2;
    pleat_tensor *a = pleat_narrow(x, 0, 0, half), *b = pleat_narrow(x, 0, half, half);
    pleat_tensor *pairs[] = { pleat_mul(a, b), pleat_narrow(x, 0, 2 * half, odd) };
    pleat_tensor *all = by_pairs(pleat_cat(pairs, 2, 0), half + odd, g), *of_pairs = pleat_narrow(all, 0, 0, half);
    pleat_tensor *each[] = { pleat_mul(of_pairs, b), pleat_mul(of_pairs, a), pleat_narrow(all, 0, half, odd) };
    return pleat_cat(each, 3, 0);
}

static pleat_status backward(pleat_call *call)
{
    const pleat_reduce_params *p = call->params;
    const pleat_shape x = call->in_spec[0].shape, y = call->out_spec[0].shape;
    unsigned mask;
    pleat_dims_mask(p->dims, x.ndim, &mask);
    if (all_normal(call->out[0])) {
        const pleat_shape kept = pleat_reduced_shape(x, mask, true);
        pleat_tensor *g = pleat_reshape(pleat_mul(call->grad_out[0], call->out[0]), kept);
        call->grad_in[0] = pleat_div(g, call->in[0]);
        return PLEAT_OK;
    }
    const pleat_dims order = pleat_reduced_first(x.ndim, mask);
    pleat_dims back = order;
    pleat_shape shape = { .ndim = x.ndim };
    for (int d = 0; d < x.ndim; d++) {
        shape.dim[d] = x.dim[order.dim[d]];
        back.dim[order.dim[d]] = d;
    }
    const int64_t outputs = pleat_shape_numel(y), n = pleat_shape_numel(x) / outputs;
    pleat_tensor *rows = pleat_reshape(pleat_permute(call->in[0], order), PLEAT_SHAPE(n, outputs));
    pleat_tensor *g = by_pairs(rows, n, pleat_reshape(call->grad_out[0], PLEAT_SHAPE(1, outputs)));
    call->grad_in[0] = pleat_permute(pleat_reshape(g, shape), back);
    return PLEAT_OK;
}

const pleat_op pleat_op_prod = {
    .name = "prod",
    .inputs = 1,
    .outputs = 1,
    .strided = PLEAT_IN(0),
    .dtypes = { PLEAT_DTYPES(PLEAT_F32, PLEAT_F64, PLEAT_I64) },
    .params_size = sizeof(pleat_reduce_params),
    .keeps = { PLEAT_KEEP_IN(0) | PLEAT_KEEP_OUT(0) },
    .infer = pleat_reduce_infer,
    .forward = forward,
    .backward = backward,
};

pleat_tensor *pleat_prod(pleat_tensor *x, pleat_dims dims, bool keepdim)
{
    return pleat_apply(&pleat_op_prod, &x, 1, &(pleat_reduce_params){ dims, keepdim });
}
