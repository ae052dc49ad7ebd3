/* What elementwise ops are made of: rows of kernels/elementwise.h over whole tensors. */
#ifndef PLEAT_OPS_ELEMENTWISE_H
#define PLEAT_OPS_ELEMENTWISE_H

#include "kernels/elementwise.h"

#include <pleat/op.h>

/* The parameters of an elementwise op that has any: its row's. */
typedef struct {
    double p, q;
} pleat_map_params;

/* out = row(in[0], in[1], ...), the inputs (up to PLEAT_MAP_ARRAYS - 1, any strides) broadcast to out's shape. In
 * parallel; cannot fail. */
void pleat_map(pleat_row_fn row, pleat_tensor *out, pleat_tensor *const *in, int count, double p, double q);

/* A forward: the row for the output's floating type, over all inputs, with the op's parameters. */
pleat_status pleat_map_forward(pleat_call *call, const pleat_row_fn row[2]);

/* A backward_kernel of a function of one tensor: grad_in[0] = row(grad_out[0], kept). */
pleat_status pleat_map_gradient(pleat_call *call, const pleat_row_fn row[2], pleat_tensor *kept);

/* For infer: the output is what input 0 is, contiguous. */
pleat_status pleat_infer_same(const pleat_call *call, pleat_spec *out);

/* The same, and every input has input 0's shape. */
pleat_status pleat_infer_all_same(const pleat_call *call, pleat_spec *out);

/* ---- Shorthands for the files that define functions of one tensor ---- */

#define PLEAT_ROW(name) pleat_kernels_get()->elementwise->name

/* op_forward: the row of that name. */
#define PLEAT_FORWARD(op)                                                                                              \
    static pleat_status op##_forward(pleat_call *call)                                                                 \
    {                                                                                                                  \
        return pleat_map_forward(call, PLEAT_ROW(op));                                                                 \
    }

/* op_kernel: the row op_grad over the output's gradient and what was kept, in[0] or out[0]. */
#define PLEAT_GRADIENT(op, kept)                                                                                       \
    static pleat_status op##_kernel(pleat_call *call)                                                                  \
    {                                                                                                                  \
        return pleat_map_gradient(call, PLEAT_ROW(op##_grad), call->kept);                                             \
    }

#define PLEAT_UNARY(op)                                                                                                \
    .name = #op, .inputs = 1, .outputs = 1, .strided = PLEAT_ALL_IN, .infer = pleat_infer_same,                        \
    .forward = op##_forward, .backward = op##_backward

#define PLEAT_PUBLIC(op)                                                                                               \
    pleat_tensor *pleat_##op(pleat_tensor *x)                                                                          \
    {                                                                                                                  \
        return pleat_apply(&pleat_op_##op, &x, 1, NULL);                                                               \
    }

/* A gate: an op of the gradient g and of x (or y) that lets g through as far as x says. Linear in g, constant in x, so
 * that it is its own gradient. `more` are further fields of the op. */
#define PLEAT_GATE(gate, ...)                                                                                          \
    PLEAT_FORWARD(gate)                                                                                                \
    static pleat_status gate##_backward(pleat_call *call)                                                              \
    {                                                                                                                  \
        if (pleat_wants(call, 0))                                                                                      \
            call->grad_in[0] = pleat_gate(&pleat_op_##gate, call, call->in[1]);                                        \
        return PLEAT_OK;                                                                                               \
    }                                                                                                                  \
    const pleat_op pleat_op_##gate = { .name = #gate,                                                                  \
                                       .inputs = 2,                                                                    \
                                       .outputs = 1,                                                                   \
                                       .strided = PLEAT_ALL_IN,                                                        \
                                       .keeps = { PLEAT_KEEP_IN(1) },                                                  \
                                       .forward = gate##_forward,                                                      \
                                       .backward = gate##_backward,                                                    \
                                       __VA_ARGS__ };

/* The gate over the call's output gradient and x, with the call's parameters. */
static inline pleat_tensor *pleat_gate(const pleat_op *gate, const pleat_call *call, pleat_tensor *x)
{
    return pleat_apply(gate, (pleat_tensor *[]){ call->grad_out[0], x }, 2, call->params);
}

#endif
