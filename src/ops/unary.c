/* Functions of one tensor, elementwise. Each keeps for its gradient whichever of input and output says it shortest. */
#include "ops/elementwise.h"
#include "ops/ops.h"

#include <pleat/ops.h>

/* ---- affine ---- */

static pleat_status affine_forward(pleat_call *call)
{
    const pleat_map_params *s = call->params;
    return pleat_map_forward(call,
                             s->q == 0 ? PLEAT_ROW(scale) : PLEAT_ROW(affine)); /* without the shift -0 stays -0 */
}

static pleat_status affine_backward(pleat_call *call)
{
    const pleat_map_params *s = call->params;
    call->grad_in[0] = s->p == 1 ? call->grad_out[0] : pleat_mul_scalar(call->grad_out[0], s->p);
    return PLEAT_OK;
}

const pleat_op pleat_op_affine = { PLEAT_UNARY(affine), .params_size = sizeof(pleat_map_params) };

pleat_tensor *pleat_affine(pleat_tensor *x, double scale, double shift)
{
    return pleat_apply(&pleat_op_affine, &x, 1, &(pleat_map_params){ scale, shift });
}

pleat_tensor *pleat_add_scalar(pleat_tensor *x, double value)
{
    return pleat_affine(x, 1, value);
}

pleat_tensor *pleat_mul_scalar(pleat_tensor *x, double value)
{
    return pleat_affine(x, value, 0);
}

pleat_tensor *pleat_neg(pleat_tensor *x)
{
    return pleat_affine(x, -1, 0);
}

/* ---- exp, log, sqrt, rsqrt ---- */

PLEAT_FORWARD(exp)
PLEAT_FORWARD(log)
PLEAT_FORWARD(sqrt)
PLEAT_FORWARD(rsqrt)
PLEAT_GRADIENT(sqrt, out[0])
PLEAT_GRADIENT(rsqrt, out[0])

static pleat_status exp_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_mul(call->grad_out[0], call->out[0]);
    return PLEAT_OK;
}

static pleat_status log_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_div(call->grad_out[0], call->in[0]);
    return PLEAT_OK;
}

static pleat_status sqrt_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_div(call->grad_out[0], pleat_mul_scalar(call->out[0], 2));
    return PLEAT_OK;
}

static pleat_status rsqrt_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_mul(call->grad_out[0], pleat_mul_scalar(pleat_pow(call->out[0], 3), -0.5));
    return PLEAT_OK;
}

const pleat_op pleat_op_exp = { PLEAT_UNARY(exp), .keeps = { PLEAT_KEEP_OUT(0) } };
const pleat_op pleat_op_log = { PLEAT_UNARY(log), .keeps = { PLEAT_KEEP_IN(0) } };
const pleat_op pleat_op_sqrt = { PLEAT_UNARY(sqrt), .keeps = { PLEAT_KEEP_OUT(0) }, .backward_kernel = sqrt_kernel };
const pleat_op pleat_op_rsqrt = { PLEAT_UNARY(rsqrt), .keeps = { PLEAT_KEEP_OUT(0) }, .backward_kernel = rsqrt_kernel };

PLEAT_PUBLIC(exp)
PLEAT_PUBLIC(log)
PLEAT_PUBLIC(sqrt)
PLEAT_PUBLIC(rsqrt)

/* ---- pow ---- */

static pleat_status pow_forward(pleat_call *call)
{
    const struct pleat_elementwise_kernels *k = pleat_kernels_get()->elementwise;
    const double e = ((const pleat_map_params *)call->params)->p;
    return pleat_map_forward(call, e == 0      ? k->one
                                   : e == 1    ? k->identity
                                   : e == 2    ? k->square
                                   : e == 3    ? k->cube
                                   : e == -1   ? k->reciprocal
                                   : e == -2   ? k->power_m2
                                   : e == -3   ? k->power_m3
                                   : e == 0.5  ? k->power_half
                                   : e == -0.5 ? k->power_mhalf
                                               : k->power);
}

static pleat_status pow_backward(pleat_call *call)
{
    const double e = ((const pleat_map_params *)call->params)->p;
    pleat_tensor *x = call->in[0];
    if (e != 0) /* so that 0 times the infinite x^-1 of x = 0 is no NaN */
        call->grad_in[0] = pleat_mul(call->grad_out[0], pleat_mul_scalar(e == 2 ? x : pleat_pow(x, e - 1), e));
    return PLEAT_OK;
}

const pleat_op pleat_op_pow = { PLEAT_UNARY(pow), .params_size = sizeof(pleat_map_params),
                                .keeps = { PLEAT_KEEP_IN(0) } };

pleat_tensor *pleat_pow(pleat_tensor *x, double exponent)
{
    return pleat_apply(&pleat_op_pow, &x, 1, &(pleat_map_params){ exponent, 0 });
}

pleat_tensor *pleat_square(pleat_tensor *x)
{
    return pleat_pow(x, 2);
}

pleat_tensor *pleat_reciprocal(pleat_tensor *x)
{
    return pleat_pow(x, -1);
}

/* ---- abs, and what is flat almost everywhere ---- */

PLEAT_FORWARD(abs)
PLEAT_FORWARD(sign)
PLEAT_FORWARD(floor)
PLEAT_FORWARD(round)

static pleat_status abs_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_mul(call->grad_out[0], pleat_sign(call->in[0]));
    return PLEAT_OK;
}

static pleat_status flat_backward(pleat_call *call)
{
    (void)call; /* every gradient is zero */
    return PLEAT_OK;
}
#define sign_backward flat_backward
#define floor_backward flat_backward
#define round_backward flat_backward

const pleat_op pleat_op_abs = { PLEAT_UNARY(abs), .keeps = { PLEAT_KEEP_IN(0) } };
const pleat_op pleat_op_sign = { PLEAT_UNARY(sign) };
const pleat_op pleat_op_floor = { PLEAT_UNARY(floor) };
const pleat_op pleat_op_round = { PLEAT_UNARY(round) };

PLEAT_PUBLIC(abs)
PLEAT_PUBLIC(sign)
PLEAT_PUBLIC(floor)
PLEAT_PUBLIC(round)

/* ---- sin, cos, erf ---- */

PLEAT_FORWARD(sin)
PLEAT_FORWARD(cos)
PLEAT_FORWARD(erf)
PLEAT_GRADIENT(sin, in[0])
PLEAT_GRADIENT(cos, in[0])
PLEAT_GRADIENT(erf, in[0])

static pleat_status sin_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_mul(call->grad_out[0], pleat_cos(call->in[0]));
    return PLEAT_OK;
}

static pleat_status cos_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_neg(pleat_mul(call->grad_out[0], pleat_sin(call->in[0])));
    return PLEAT_OK;
}

/* 2 / sqrt(pi) exp(-x^2) */
static pleat_status erf_backward(pleat_call *call)
{
    pleat_tensor *bell = pleat_exp(pleat_neg(pleat_square(call->in[0])));
    call->grad_in[0] = pleat_mul(call->grad_out[0], pleat_mul_scalar(bell, 1.12837916709551257390));
    return PLEAT_OK;
}

const pleat_op pleat_op_sin = { PLEAT_UNARY(sin), .keeps = { PLEAT_KEEP_IN(0) }, .backward_kernel = sin_kernel };
const pleat_op pleat_op_cos = { PLEAT_UNARY(cos), .keeps = { PLEAT_KEEP_IN(0) }, .backward_kernel = cos_kernel };
const pleat_op pleat_op_erf = { PLEAT_UNARY(erf), .keeps = { PLEAT_KEEP_IN(0) }, .backward_kernel = erf_kernel };

PLEAT_PUBLIC(sin)
PLEAT_PUBLIC(cos)
PLEAT_PUBLIC(erf)

/* ---- clamp, hardtanh: they differ in the gradient at NaN ---- */

static pleat_status bounds_infer(const pleat_call *call, pleat_spec *out)
{
    const pleat_map_params *s = call->params;
    if (!(s->p <= s->q))
        return pleat_fail(PLEAT_EINVAL, "low must be at most high: %g and %g", s->p, s->q);
    return pleat_infer_all_same(call, out);
}

PLEAT_GATE(clamp_grad, .params_size = sizeof(pleat_map_params), .infer = bounds_infer)
PLEAT_GATE(hardtanh_grad, .params_size = sizeof(pleat_map_params), .infer = bounds_infer)
PLEAT_FORWARD(clamp)

static pleat_status clamp_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_gate(&pleat_op_clamp_grad, call, call->in[0]);
    return PLEAT_OK;
}

static pleat_status hardtanh_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_gate(&pleat_op_hardtanh_grad, call, call->in[0]);
    return PLEAT_OK;
}

#define BOUNDED(op)                                                                                                    \
    .name = #op, .inputs = 1, .outputs = 1, .strided = PLEAT_ALL_IN, .params_size = sizeof(pleat_map_params),          \
    .keeps = { PLEAT_KEEP_IN(0) }, .infer = bounds_infer, .forward = clamp_forward, .backward = op##_backward

const pleat_op pleat_op_clamp = { BOUNDED(clamp) };
const pleat_op pleat_op_hardtanh = { BOUNDED(hardtanh) };

pleat_tensor *pleat_clamp(pleat_tensor *x, double low, double high)
{
    return pleat_apply(&pleat_op_clamp, &x, 1, &(pleat_map_params){ low, high });
}

pleat_tensor *pleat_hardtanh(pleat_tensor *x, double low, double high)
{
    return pleat_apply(&pleat_op_hardtanh, &x, 1, &(pleat_map_params){ low, high });
}
