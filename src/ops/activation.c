/* Activations. Each states its gradient in ops, for derivatives of derivatives, and as one fused row. relu and
 * leaky_relu have gates for gradients (elementwise.h). */
#include "ops/elementwise.h"
#include "ops/ops.h"
#include "tensor/error.h"

#include <pleat/ops.h>

#include <math.h>

/* ---- relu, leaky_relu, prelu ---- */

PLEAT_FORWARD(relu)
PLEAT_FORWARD(leaky_relu)
PLEAT_FORWARD(prelu)
PLEAT_GATE(relu_grad, .infer = pleat_infer_all_same)
PLEAT_GATE(leaky_relu_grad, .params_size = sizeof(pleat_map_params), .infer = pleat_infer_all_same)

static pleat_status relu_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_gate(&pleat_op_relu_grad, call, call->out[0]);
    return PLEAT_OK;
}

static pleat_status leaky_relu_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_gate(&pleat_op_leaky_relu_grad, call, call->in[0]);
    return PLEAT_OK;
}

static pleat_status prelu_infer(const pleat_call *call, pleat_spec *out)
{
    const pleat_shape x = call->in_spec[0].shape;
    if (pleat_broadcast(x, call->in_spec[1].shape, &out[0].shape) != PLEAT_OK)
        return pleat_pending();
    out[0].dtype = call->in_spec[0].dtype;
    return pleat_shape_equal(x, out[0].shape)
               ? PLEAT_OK
               : pleat_fail(PLEAT_ESHAPE, "weight %s does not broadcast to %s",
                            pleat_shape_text(call->in_spec[1].shape).text, pleat_shape_text(x).text);
}

/* y = x where x > 0, w x elsewhere */
static pleat_status prelu_backward(pleat_call *call)
{
    pleat_tensor *g = call->grad_out[0], *x = call->in[0];
    if (pleat_wants(call, 0))
        call->grad_in[0] = pleat_where(pleat_gt(x, pleat_scalar(0, pleat_dtype_of(x))), g, pleat_mul(g, call->in[1]));
    if (pleat_wants(call, 1))
        call->grad_in[1] = pleat_mul(g, pleat_minimum(x, pleat_scalar(0, pleat_dtype_of(x))));
    return PLEAT_OK;
}

const pleat_op pleat_op_relu = { PLEAT_UNARY(relu), .keeps = { PLEAT_KEEP_OUT(0) } };
const pleat_op pleat_op_leaky_relu = { PLEAT_UNARY(leaky_relu), .params_size = sizeof(pleat_map_params),
                                       .keeps = { PLEAT_KEEP_IN(0) } };
const pleat_op pleat_op_prelu = {
    .name = "prelu",
    .inputs = 2,
    .outputs = 1,
    .strided = PLEAT_ALL_IN,
    .broadcasts = true,
    .keeps = { PLEAT_KEEP_IN(0) | PLEAT_KEEP_IN(1), PLEAT_KEEP_IN(0) },
    .infer = prelu_infer,
    .forward = prelu_forward,
    .backward = prelu_backward,
};

PLEAT_PUBLIC(relu)

pleat_tensor *pleat_leaky_relu(pleat_tensor *x, double slope)
{
    return pleat_apply(&pleat_op_leaky_relu, &x, 1, &(pleat_map_params){ slope, 0 });
}

pleat_tensor *pleat_prelu(pleat_tensor *x, pleat_tensor *weight)
{
    const pleat_shape s = pleat_shape_of(x), w = pleat_shape_of(weight);
    if (pleat_pending() == PLEAT_OK && x && weight && pleat_numel(weight) != 1) {
        if (w.ndim != 1 || s.ndim < 2 || w.dim[0] != s.dim[1]) {
            pleat_fail(PLEAT_ESHAPE, "prelu: weight %s must have one element, or one for each channel of %s",
                       pleat_shape_text(w).text, pleat_shape_text(s).text);
            return NULL;
        }
        pleat_shape column = { .ndim = s.ndim - 1, .dim = { w.dim[0] } };
        for (int d = 1; d < column.ndim; d++)
            column.dim[d] = 1;
        weight = pleat_reshape(weight, column);
    } else if (pleat_pending() == PLEAT_OK && x && weight && w.ndim > s.ndim)
        weight = pleat_reshape(weight, PLEAT_SHAPE());
    return pleat_apply(&pleat_op_prelu, (pleat_tensor *[]){ x, weight }, 2, NULL);
}

/* ---- The smooth ones ---- */

#define SMOOTH(op, kept)                                                                                               \
    PLEAT_FORWARD(op)                                                                                                  \
    PLEAT_GRADIENT(op, kept)
SMOOTH(sigmoid, out[0])
SMOOTH(tanh, out[0])
SMOOTH(elu, in[0])
SMOOTH(silu, in[0])
SMOOTH(gelu, in[0])
SMOOTH(gelu_tanh, in[0])
SMOOTH(mish, in[0])
SMOOTH(softplus, in[0])
SMOOTH(logsigmoid, in[0])
SMOOTH(softsign, in[0])
SMOOTH(hardswish, in[0])
PLEAT_FORWARD(hardsigmoid)

static pleat_tensor *one_minus(pleat_tensor *x)
{
    return pleat_affine(x, -1, 1);
}

/* y (1 - y) */
static pleat_status sigmoid_backward(pleat_call *call)
{
    pleat_tensor *y = call->out[0];
    call->grad_in[0] = pleat_mul(call->grad_out[0], pleat_mul(y, one_minus(y)));
    return PLEAT_OK;
}

/* 1 - y^2 */
static pleat_status tanh_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_mul(call->grad_out[0], one_minus(pleat_square(call->out[0])));
    return PLEAT_OK;
}

/* scale where x > 0, scale alpha exp(x) elsewhere; hardtanh keeps exp from infinity where it is not chosen */
static pleat_status elu_backward(pleat_call *call)
{
    const pleat_map_params *s = call->params;
    pleat_tensor *g = call->grad_out[0], *x = call->in[0];
    pleat_tensor *below = pleat_mul_scalar(pleat_exp(pleat_hardtanh(x, -(double)INFINITY, 0)), s->p * s->q);
    call->grad_in[0] =
        pleat_where(pleat_gt(x, pleat_scalar(0, pleat_dtype_of(x))), pleat_mul_scalar(g, s->q), pleat_mul(g, below));
    return PLEAT_OK;
}

/* s (1 + x (1 - s)), s = sigmoid(x) */
static pleat_status silu_backward(pleat_call *call)
{
    pleat_tensor *x = call->in[0], *s = pleat_sigmoid(x);
    pleat_tensor *slope = pleat_mul(s, pleat_add_scalar(pleat_mul(x, one_minus(s)), 1));
    call->grad_in[0] = pleat_mul(call->grad_out[0], slope);
    return PLEAT_OK;
}

/* P(x) + x p(x): the normal distribution's cumulative and density */
static pleat_status gelu_backward(pleat_call *call)
{
    pleat_tensor *x = call->in[0];
    pleat_tensor *below = pleat_affine(pleat_erf(pleat_mul_scalar(x, 0.70710678118654752440)), 0.5, 0.5);
    pleat_tensor *at = pleat_mul_scalar(pleat_exp(pleat_mul_scalar(pleat_square(x), -0.5)), 0.39894228040143267794);
    call->grad_in[0] = pleat_mul(call->grad_out[0], pleat_add(below, pleat_mul(x, at)));
    return PLEAT_OK;
}

/* (1 + t) / 2 + x / 2 (1 - t^2) u', t = tanh(u), u = sqrt(2 / pi) (x + 0.044715 x^3) */
static pleat_status gelu_tanh_backward(pleat_call *call)
{
    const double c = 0.79788456080286535588, cubic = 0.044715;
    pleat_tensor *x = call->in[0], *square = pleat_square(x);
    pleat_tensor *t = pleat_tanh(pleat_mul(x, pleat_affine(square, c * cubic, c)));
    pleat_tensor *inner = pleat_mul(x, pleat_affine(square, 1.5 * c * cubic, 0.5 * c));
    pleat_tensor *slope = pleat_add(pleat_affine(t, 0.5, 0.5), pleat_mul(one_minus(pleat_square(t)), inner));
    call->grad_in[0] = pleat_mul(call->grad_out[0], slope);
    return PLEAT_OK;
}

/* t + x sigmoid(x) (1 - t^2), t = tanh(softplus(x)) */
static pleat_status mish_backward(pleat_call *call)
{
    pleat_tensor *x = call->in[0], *t = pleat_tanh(pleat_softplus(x, NULL));
    pleat_tensor *slope = pleat_add(t, pleat_mul(pleat_mul(x, pleat_sigmoid(x)), one_minus(pleat_square(t))));
    call->grad_in[0] = pleat_mul(call->grad_out[0], slope);
    return PLEAT_OK;
}

/* sigmoid(beta x), and 1 above the threshold */
static pleat_status softplus_backward(pleat_call *call)
{
    const pleat_map_params *s = call->params;
    pleat_tensor *g = call->grad_out[0], *z = pleat_mul_scalar(call->in[0], s->p);
    call->grad_in[0] =
        pleat_where(pleat_gt(z, pleat_scalar(s->q, pleat_dtype_of(z))), g, pleat_mul(g, pleat_sigmoid(z)));
    return PLEAT_OK;
}

static pleat_status logsigmoid_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_mul(call->grad_out[0], pleat_sigmoid(pleat_neg(call->in[0])));
    return PLEAT_OK;
}

/* 1 / (1 + |x|)^2 */
static pleat_status softsign_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_mul(call->grad_out[0], pleat_pow(pleat_add_scalar(pleat_abs(call->in[0]), 1), -2));
    return PLEAT_OK;
}

static pleat_status hardsigmoid_backward(pleat_call *call)
{
    pleat_tensor *sixth = pleat_mul_scalar(call->grad_out[0], 1.0 / 6);
    call->grad_in[0] =
        pleat_apply(&pleat_op_hardtanh_grad, (pleat_tensor *[]){ sixth, call->in[0] }, 2, &(pleat_map_params){ -3, 3 });
    return PLEAT_OK;
}

/* hardsigmoid(x) + x hardsigmoid'(x) */
static pleat_status hardswish_backward(pleat_call *call)
{
    pleat_tensor *x = call->in[0], *sixth = pleat_mul_scalar(x, 1.0 / 6);
    pleat_tensor *inside =
        pleat_apply(&pleat_op_hardtanh_grad, (pleat_tensor *[]){ sixth, x }, 2, &(pleat_map_params){ -3, 3 });
    call->grad_in[0] = pleat_mul(call->grad_out[0], pleat_add(pleat_hardsigmoid(x), inside));
    return PLEAT_OK;
}

static pleat_status softplus_infer(const pleat_call *call, pleat_spec *out)
{
    const pleat_map_params *s = call->params;
    if (!(s->p > 0))
        return pleat_fail(PLEAT_EINVAL, "beta must be above 0, not %g", s->p);
    return pleat_infer_same(call, out);
}

const pleat_op pleat_op_sigmoid = { PLEAT_UNARY(sigmoid), .keeps = { PLEAT_KEEP_OUT(0) },
                                    .backward_kernel = sigmoid_kernel };
const pleat_op pleat_op_tanh = { PLEAT_UNARY(tanh), .keeps = { PLEAT_KEEP_OUT(0) }, .backward_kernel = tanh_kernel };

#define OF_INPUT(op) PLEAT_UNARY(op), .keeps = { PLEAT_KEEP_IN(0) }, .backward_kernel = op##_kernel
const pleat_op pleat_op_elu = { OF_INPUT(elu), .params_size = sizeof(pleat_map_params) };
const pleat_op pleat_op_silu = { OF_INPUT(silu) };
const pleat_op pleat_op_gelu = { OF_INPUT(gelu) };
const pleat_op pleat_op_gelu_tanh = { OF_INPUT(gelu_tanh) };
const pleat_op pleat_op_mish = { OF_INPUT(mish) };
const pleat_op pleat_op_softplus = {
    .name = "softplus",
    .inputs = 1,
    .outputs = 1,
    .strided = PLEAT_ALL_IN,
    .params_size = sizeof(pleat_map_params),
    .keeps = { PLEAT_KEEP_IN(0) },
    .infer = softplus_infer,
    .forward = softplus_forward,
    .backward = softplus_backward,
    .backward_kernel = softplus_kernel,
};
const pleat_op pleat_op_logsigmoid = { OF_INPUT(logsigmoid) };
const pleat_op pleat_op_softsign = { OF_INPUT(softsign) };
const pleat_op pleat_op_hardsigmoid = { PLEAT_UNARY(hardsigmoid), .keeps = { PLEAT_KEEP_IN(0) } };
const pleat_op pleat_op_hardswish = { OF_INPUT(hardswish) };

PLEAT_PUBLIC(sigmoid)
PLEAT_PUBLIC(tanh)
PLEAT_PUBLIC(silu)
PLEAT_PUBLIC(gelu)
PLEAT_PUBLIC(gelu_tanh)
PLEAT_PUBLIC(mish)
PLEAT_PUBLIC(logsigmoid)
PLEAT_PUBLIC(softsign)
PLEAT_PUBLIC(hardsigmoid)
PLEAT_PUBLIC(hardswish)

pleat_tensor *pleat_elu(pleat_tensor *x, double alpha)
{
    return pleat_apply(&pleat_op_elu, &x, 1, &(pleat_map_params){ alpha, 1 });
}

pleat_tensor *pleat_selu(pleat_tensor *x)
{
    return pleat_apply(&pleat_op_elu, &x, 1, &(pleat_map_params){ 1.6732632423543772848, 1.0507009873554804934 });
}

pleat_tensor *pleat_softplus(pleat_tensor *x, const pleat_softplus_opts *opts)
{
    const double beta = opts ? opts->beta : 0, threshold = opts ? opts->threshold : 0;
    return pleat_apply(&pleat_op_softplus, &x, 1,
                       &(pleat_map_params){ beta == 0 ? 1 : beta, threshold == 0 ? 20 : threshold });
}
