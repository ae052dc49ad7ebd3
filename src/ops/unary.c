/* Functions of one tensor, elementwise. Each keeps for its gradient whichever of input and output says it shortest.
 * relu and clamp have masks for derivatives; relu_grad and clamp_grad put them to use, and are their own gradients. */
#include "ops/elementwise.h"
#include "ops/ops.h"

#include <pleat/ops.h>

#define ROW(name) pleat_kernels_get()->elementwise->name

#define UNARY(op)                                                                                                      \
    .name = #op, .inputs = 1, .outputs = 1, .strided = PLEAT_ALL_IN, .infer = pleat_infer_same,                        \
    .forward = op##_forward, .backward = op##_backward

/* ---- affine ---- */

typedef struct {
    double scale, shift;
} affine_params;

static pleat_status affine_forward(pleat_call *call)
{
    const affine_params *p = call->params;
    /* without the shift -0 stays -0 */
    pleat_map(p->shift == 0 ? ROW(scale) : ROW(affine), call->out[0], call->in, 1, p->scale, p->shift);
    return PLEAT_OK;
}

static pleat_status affine_backward(pleat_call *call)
{
    const affine_params *p = call->params;
    call->grad_in[0] = p->scale == 1 ? call->grad_out[0] : pleat_mul_scalar(call->grad_out[0], p->scale);
    return PLEAT_OK;
}

const pleat_op pleat_op_affine = { UNARY(affine), .params_size = sizeof(affine_params) };

pleat_tensor *pleat_affine(pleat_tensor *x, double scale, double shift)
{
    return pleat_apply(&pleat_op_affine, &x, 1, &(affine_params){ scale, shift });
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

/* ---- exp, log, sqrt ---- */

static pleat_status exp_forward(pleat_call *call)
{
    pleat_map(ROW(exp), call->out[0], call->in, 1, 0, 0);
    return PLEAT_OK;
}

static pleat_status exp_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_mul(call->grad_out[0], call->out[0]);
    return PLEAT_OK;
}

static pleat_status log_forward(pleat_call *call)
{
    pleat_map(ROW(log), call->out[0], call->in, 1, 0, 0);
    return PLEAT_OK;
}

static pleat_status log_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_div(call->grad_out[0], call->in[0]);
    return PLEAT_OK;
}

static pleat_status sqrt_forward(pleat_call *call)
{
    pleat_map(ROW(sqrt), call->out[0], call->in, 1, 0, 0);
    return PLEAT_OK;
}

static pleat_status sqrt_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_div(call->grad_out[0], pleat_mul_scalar(call->out[0], 2));
    return PLEAT_OK;
}

const pleat_op pleat_op_exp = { UNARY(exp), .keeps = { PLEAT_KEEP_OUT(0) } };
const pleat_op pleat_op_log = { UNARY(log), .keeps = { PLEAT_KEEP_IN(0) } };
const pleat_op pleat_op_sqrt = { UNARY(sqrt), .keeps = { PLEAT_KEEP_OUT(0) } };

pleat_tensor *pleat_exp(pleat_tensor *x)
{
    return pleat_apply(&pleat_op_exp, &x, 1, NULL);
}

pleat_tensor *pleat_log(pleat_tensor *x)
{
    return pleat_apply(&pleat_op_log, &x, 1, NULL);
}

pleat_tensor *pleat_sqrt(pleat_tensor *x)
{
    return pleat_apply(&pleat_op_sqrt, &x, 1, NULL);
}

/* ---- pow ---- */

static pleat_status pow_forward(pleat_call *call)
{
    const struct pleat_elementwise_kernels *k = pleat_kernels_get()->elementwise;
    const double e = *(const double *)call->params;
    const pleat_row_fn *row = e == 0      ? k->one
                              : e == 1    ? k->identity
                              : e == 2    ? k->square
                              : e == 3    ? k->cube
                              : e == -1   ? k->reciprocal
                              : e == 0.5  ? k->power_half
                              : e == -0.5 ? k->power_mhalf
                                          : k->power;
    pleat_map(row, call->out[0], call->in, 1, e, 0);
    return PLEAT_OK;
}

static pleat_status pow_backward(pleat_call *call)
{
    const double e = *(const double *)call->params;
    if (e != 0) /* so that 0 times the infinite x^-1 of x = 0 is no NaN */
        call->grad_in[0] = pleat_mul(call->grad_out[0], pleat_mul_scalar(pleat_pow(call->in[0], e - 1), e));
    return PLEAT_OK;
}

const pleat_op pleat_op_pow = { UNARY(pow), .params_size = sizeof(double), .keeps = { PLEAT_KEEP_IN(0) } };

pleat_tensor *pleat_pow(pleat_tensor *x, double exponent)
{
    return pleat_apply(&pleat_op_pow, &x, 1, &exponent);
}

/* ---- clamp ---- */

typedef struct {
    double low, high;
} clamp_params;

static pleat_status clamp_infer(const pleat_call *call, pleat_spec *out)
{
    const clamp_params *p = call->params;
    if (!(p->low <= p->high))
        return pleat_fail(PLEAT_EINVAL, "low must be at most high: %g and %g", p->low, p->high);
    return pleat_infer_all_same(call, out);
}

static pleat_status clamp_forward(pleat_call *call)
{
    const clamp_params *p = call->params;
    pleat_map(ROW(clamp), call->out[0], call->in, 1, p->low, p->high);
    return PLEAT_OK;
}

static pleat_status clamp_backward(pleat_call *call)
{
    call->grad_in[0] =
        pleat_apply(&pleat_op_clamp_grad, (pleat_tensor *[]){ call->grad_out[0], call->in[0] }, 2, call->params);
    return PLEAT_OK;
}

static pleat_status clamp_grad_forward(pleat_call *call)
{
    const clamp_params *p = call->params;
    pleat_map(ROW(clamp_grad), call->out[0], call->in, 2, p->low, p->high);
    return PLEAT_OK;
}

static pleat_status clamp_grad_backward(pleat_call *call)
{
    if (pleat_wants(call, 0))
        call->grad_in[0] =
            pleat_apply(&pleat_op_clamp_grad, (pleat_tensor *[]){ call->grad_out[0], call->in[1] }, 2, call->params);
    return PLEAT_OK;
}

const pleat_op pleat_op_clamp = {
    .name = "clamp",
    .inputs = 1,
    .outputs = 1,
    .strided = PLEAT_ALL_IN,
    .params_size = sizeof(clamp_params),
    .keeps = { PLEAT_KEEP_IN(0) },
    .infer = clamp_infer,
    .forward = clamp_forward,
    .backward = clamp_backward,
};

/* The gradient g that passes a clamp of x: inputs g, x. */
const pleat_op pleat_op_clamp_grad = {
    .name = "clamp_grad",
    .inputs = 2,
    .outputs = 1,
    .strided = PLEAT_ALL_IN,
    .params_size = sizeof(clamp_params),
    .keeps = { PLEAT_KEEP_IN(1) },
    .infer = clamp_infer,
    .forward = clamp_grad_forward,
    .backward = clamp_grad_backward,
};

pleat_tensor *pleat_clamp(pleat_tensor *x, double low, double high)
{
    return pleat_apply(&pleat_op_clamp, &x, 1, &(clamp_params){ low, high });
}

/* ---- relu ---- */

static pleat_status relu_forward(pleat_call *call)
{
    pleat_map(ROW(relu), call->out[0], call->in, 1, 0, 0);
    return PLEAT_OK;
}

static pleat_status relu_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_apply(&pleat_op_relu_grad, (pleat_tensor *[]){ call->grad_out[0], call->out[0] }, 2, NULL);
    return PLEAT_OK;
}

static pleat_status relu_grad_forward(pleat_call *call)
{
    pleat_map(ROW(relu_grad), call->out[0], call->in, 2, 0, 0);
    return PLEAT_OK;
}

static pleat_status relu_grad_backward(pleat_call *call)
{
    if (pleat_wants(call, 0))
        call->grad_in[0] =
            pleat_apply(&pleat_op_relu_grad, (pleat_tensor *[]){ call->grad_out[0], call->in[1] }, 2, NULL);
    return PLEAT_OK;
}

const pleat_op pleat_op_relu = { UNARY(relu), .keeps = { PLEAT_KEEP_OUT(0) } };

/* The gradient g that passes a relu with the output y: inputs g, y. */
const pleat_op pleat_op_relu_grad = {
    .name = "relu_grad",
    .inputs = 2,
    .outputs = 1,
    .strided = PLEAT_ALL_IN,
    .keeps = { PLEAT_KEEP_IN(1) },
    .infer = pleat_infer_all_same,
    .forward = relu_grad_forward,
    .backward = relu_grad_backward,
};

pleat_tensor *pleat_relu(pleat_tensor *x)
{
    return pleat_apply(&pleat_op_relu, &x, 1, NULL);
}
