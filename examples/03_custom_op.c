/* An op of your own, in one file: swish(x) = x * sigmoid(beta x), with its gradient, checked as the library's ops are.
 *
 *   ./03_custom_op
 *
 * An op is one constant. `infer` looks at the inputs' shapes and at the parameters and says what comes out; `forward`
 * fills it; `backward` states the gradient in differentiable ops, so that it can be differentiated again. Checking that
 * inputs are there and of the right dtype, allocating, recording and freeing are the library's business. */
#include <math.h>
#include <pleat/op.h>
#include <pleat/pleat.h>
#include <stdio.h>

typedef struct {
    double beta;
} swish_params;

static pleat_status swish_infer(const pleat_call *call, pleat_spec *out)
{
    const swish_params *p = call->params;
    if (!isfinite(p->beta))
        return pleat_fail(PLEAT_EINVAL, "beta must be finite, not %g",
                          p->beta); /* "swish: " comes before it by itself */
    out[0] = call->in_spec[0];      /* same shape, same dtype */
    return PLEAT_OK;
}

typedef struct {
    const void *x;
    void *y;
    double beta;
} swish_work;

/* Elements begin to end - 1. The library cuts the work and runs it on its threads. */
static void swish_f32(int64_t begin, int64_t end, void *context)
{
    const swish_work *w = context;
    const float *x = w->x;
    float *y = w->y;
    for (int64_t i = begin; i < end; i++)
        y[i] = x[i] / (1 + expf(-(float)w->beta * x[i]));
}

static void swish_f64(int64_t begin, int64_t end, void *context)
{
    const swish_work *w = context;
    const double *x = w->x;
    double *y = w->y;
    for (int64_t i = begin; i < end; i++)
        y[i] = x[i] / (1 + exp(-w->beta * x[i]));
}

static pleat_status swish_forward(pleat_call *call)
{
    const swish_params *p = call->params;
    swish_work work = { pleat_data(call->in[0]), pleat_data_mut(call->out[0]), p->beta };
    const bool single = pleat_dtype_of(call->in[0]) == PLEAT_F32;
    pleat_parallel_for(pleat_numel(call->in[0]), 4096, single ? swish_f32 : swish_f64, &work);
    return PLEAT_OK;
}

/* With s = sigmoid(beta x) = 1 / (1 + exp(-beta x)):   dy/dx = s + beta x s (1 - s) */
static pleat_status swish_backward(pleat_call *call)
{
    const swish_params *p = call->params;
    pleat_tensor *x = call->in[0];
    pleat_tensor *one = pleat_scalar(1, pleat_dtype_of(x));
    pleat_tensor *s = pleat_div(one, pleat_add_scalar(pleat_exp(pleat_mul_scalar(x, -p->beta)), 1));
    pleat_tensor *bend = pleat_mul(pleat_mul(pleat_mul_scalar(x, p->beta), s), pleat_sub(one, s));
    call->grad_in[0] = pleat_mul(call->grad_out[0], pleat_add(s, bend));
    return PLEAT_OK; /* had one of these failed, its error would be pending, and the tape would see it */
}

static const pleat_op swish_op = {
    .name = "swish",
    .inputs = 1,
    .outputs = 1,
    .params_size = sizeof(swish_params),
    .keeps = { [0] = PLEAT_KEEP_IN(0) }, /* the gradient of input 0 reads input 0: nothing else is held for it */
    .infer = swish_infer,
    .forward = swish_forward,
    .backward = swish_backward,
};

static pleat_tensor *swish(pleat_tensor *x, double beta)
{
    return pleat_apply(&swish_op, &x, 1, &(swish_params){ beta });
}

int main(void)
{
    bool ok = true;
    pleat_scope scope = pleat_scope_begin();
    pleat_seed(1);

    /* Used like any other op: it broadcasts no shapes, but it nests, records, and runs on every thread. */
    pleat_tensor *x = pleat_set_requires_grad(pleat_linspace(-2, 2, 5, PLEAT_F32), true);
    pleat_tensor *y = swish(x, 1);
    char text[256];
    pleat_to_string(y, text, sizeof text);
    printf("swish of -2 .. 2: %s\n", text);
    ok &= pleat_backward(pleat_sum(y)) == PLEAT_OK;
    pleat_to_string(pleat_grad(x), text, sizeof text);
    printf("its gradient:     %s\n\n", text);

    /* The checks that the library's own ops pass: finite differences of the gradient and of the gradient's gradient,
     * views with odd strides, one thread against many, float against double. */
    pleat_tensor *a = pleat_randn(PLEAT_SHAPE(3, 4), PLEAT_F64);
    pleat_tensor *b = pleat_randn(PLEAT_SHAPE(2, 1, 5), PLEAT_F64);
    const pleat_op_sample samples[] = {
        { .name = "a matrix", .in = &a, .count = 1, .params = &(swish_params){ 1 } },
        { .name = "another beta", .in = &b, .count = 1, .params = &(swish_params){ 1.7 } },
    };
    pleat_op_check_count counted = { 0 };
    if (pleat_op_check(&swish_op, samples, 2, &counted) == PLEAT_OK) {
        printf("%d checks on %d samples passed\n", (int)counted.checks, (int)counted.samples);
    } else {
        printf("a check failed: %s\n", pleat_error());
        ok = false;
    }

    /* Bad input is refused with the op's name in front. */
    ok &= swish(x, INFINITY) == NULL && pleat_check() == PLEAT_EINVAL;
    printf("refused: %s\n", pleat_error());

    pleat_scope_end(scope);
    return ok ? 0 : 1;
}
