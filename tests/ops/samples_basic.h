/* Elementwise ops, views and reductions: every pattern of broadcasting, empty tensors and ones without dimensions. */
#ifndef PLEAT_TEST_SAMPLES_BASIC_H
#define PLEAT_TEST_SAMPLES_BASIC_H

#include "collect.h"

#include "ops/ops.h"
#include "ops/reduce.h"

#include <math.h>

static void samples_elementwise(void)
{
    typedef pleat_tensor *(*binary)(pleat_tensor *, pleat_tensor *);
    static const binary operators[] = { pleat_add, pleat_sub, pleat_mul, pleat_div };
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        const binary f = operators[i];
        SAMPLE(f(positive(2, 3), positive(2, 3)));
        SAMPLE(f(positive(2, 3), positive(3)));
        SAMPLE(f(positive(2, 1), positive(3, 1, 4)));
        SAMPLE(f(positive(), positive(2, 2)));
        SAMPLE(f(positive(), positive()));
        SAMPLE(f(positive(0, 3), positive(1)));
        SAMPLE(f(positive(3, 0), positive(2, 1, 1)));
    }
    typedef pleat_tensor *(*unary)(pleat_tensor *);
    static const unary functions[] = { pleat_neg, pleat_exp, pleat_log, pleat_sqrt, pleat_relu, pleat_clone };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        const unary f = functions[i];
        SAMPLE(f(positive(2, 3)));
        SAMPLE(f(positive()));
        SAMPLE(f(positive(0, 2)));
    }
    SAMPLE(pleat_relu(values(3, 7)));
    SAMPLE(pleat_affine(values(2, 3), 3, -1));
    SAMPLE(pleat_affine(values(0), 3, -1));
    SAMPLE(pleat_add_scalar(values(4), 2));
    SAMPLE(pleat_mul_scalar(values(4), -2));
    SAMPLE(pleat_pow(positive(2, 3), 2.5));
    SAMPLE(pleat_pow(values(2, 3), 2));
    SAMPLE_ZERO(pleat_pow(values(2, 3), 1));
    SAMPLE_ZERO(pleat_pow(values(2, 3), 0));
    SAMPLE(pleat_pow(positive(4), -1));
    SAMPLE(pleat_pow(positive(), 3));
    SAMPLE(pleat_clamp(values(4, 5), -0.5, 0.25));
    SAMPLE(pleat_clamp(values(5), -INFINITY, 0.1));
    SAMPLE(pleat_clamp(values(5), 0.1, INFINITY));
    SAMPLE(pleat_cast(pleat_cast(values(2, 3), PLEAT_F32), PLEAT_F64));
}

static void samples_views(void)
{
    SAMPLE(pleat_reshape(values(2, 6), PLEAT_SHAPE(3, -1)));
    SAMPLE(pleat_reshape(pleat_transpose(values(2, 6), 0, 1), PLEAT_SHAPE(3, 4)));
    SAMPLE(pleat_reshape(values(0, 3), PLEAT_SHAPE(3, 0, 2)));
    SAMPLE(pleat_reshape(values(1), PLEAT_SHAPE()));
    SAMPLE(pleat_permute(values(2, 3, 4), PLEAT_DIMS(2, 0, 1)));
    SAMPLE(pleat_permute(values(2, 0, 4), PLEAT_DIMS(1, 2, 0)));
    SAMPLE(pleat_transpose(values(2, 3), 0, 1));
    SAMPLE(pleat_narrow(values(4, 3), 0, 1, 2));
    SAMPLE(pleat_narrow(values(4, 3), 1, 1, 0));
    SAMPLE(pleat_slice(values(7, 2), 0, 1, 7, 3));
    SAMPLE(pleat_slice(values(2, 7), -1, -6, -1, 2));
    SAMPLE(pleat_select(values(3, 4), 1, -1));
    SAMPLE(pleat_squeeze(values(2, 1, 3), 1));
    SAMPLE(pleat_squeeze_all(values(1, 2, 1)));
    SAMPLE(pleat_unsqueeze(values(2, 3), 1));
    SAMPLE(pleat_flatten(values(2, 3, 2), 1, 2));
    SAMPLE(pleat_expand(values(3, 1), PLEAT_SHAPE(2, 3, 4)));
    SAMPLE(pleat_expand(values(1, 1), PLEAT_SHAPE(-1, 5)));
    SAMPLE(pleat_expand(values(), PLEAT_SHAPE(2, 2)));
    SAMPLE(pleat_expand(values(1), PLEAT_SHAPE(0)));
}

static void samples_reductions(void)
{
    typedef pleat_tensor *(*whole)(pleat_tensor *);
    typedef pleat_tensor *(*by_dims)(pleat_tensor *, pleat_dims, bool);
    static const whole wholes[] = { pleat_sum, pleat_mean };
    static const by_dims some[] = { pleat_sum_dims, pleat_mean_dims };
    for (int i = 0; i < 2; i++) {
        SAMPLE(wholes[i](values(3, 4)));
        SAMPLE(wholes[i](values()));
        SAMPLE(wholes[i](pleat_transpose(values(3, 4), 0, 1)));
        SAMPLE(some[i](values(2, 3, 4), PLEAT_DIMS(0), false));
        SAMPLE(some[i](values(2, 3, 4), PLEAT_DIMS(-1), true));
        SAMPLE(some[i](values(2, 3, 4), PLEAT_DIMS(0, 2), false));
        SAMPLE(some[i](values(2, 3, 2, 2), PLEAT_DIMS(0, 2, 3), true));
        SAMPLE(some[i](values(2, 3), PLEAT_DIMS(), true));
        SAMPLE(some[i](values(0, 3), PLEAT_DIMS(1), false));
    }
    static const by_dims others[] = { pleat_amax, pleat_amin, pleat_prod, pleat_logsumexp };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        SAMPLE(others[i](positive(3, 4), PLEAT_DIMS(), false));
        SAMPLE(others[i](positive(2, 3, 4), PLEAT_DIMS(1), true));
        SAMPLE(others[i](positive(2, 3, 4), PLEAT_DIMS(0, 2), false));
        SAMPLE(others[i](pleat_transpose(positive(3, 4), 0, 1), PLEAT_DIMS(0), false));
    }
    SAMPLE(pleat_var(values(3, 4), PLEAT_DIMS(1), 1, false));
    SAMPLE(pleat_var(values(2, 3, 4), PLEAT_DIMS(0, 2), 0, true));
    SAMPLE(pleat_var(values(2, 3, 4), PLEAT_DIMS(), 1, false));
    SAMPLE(pleat_var(pleat_transpose(values(3, 4), 0, 1), PLEAT_DIMS(1), 1, false));
    SAMPLE(pleat_var(values(0, 3), PLEAT_DIMS(1), 1, false));
    SAMPLE_ZERO(pleat_var(values(), PLEAT_DIMS(), 0, false));
    SAMPLE(pleat_std(values(3, 4), PLEAT_DIMS(0), 0, true));
    SAMPLE(pleat_norm(values(3, 4), 2, PLEAT_DIMS(1), false));
    SAMPLE_ZERO(pleat_norm(positive(3, 4), 3, PLEAT_DIMS(), false));
    SAMPLE(pleat_sum_powers(values(2, 3, 4), 2, PLEAT_DIMS(2, 0), true, true));
    SAMPLE(pleat_sum_powers(pleat_transpose(values(3, 4), 0, 1), 2, PLEAT_DIMS(), false, false));
    SAMPLE(pleat_sum_powers(values(), 2, PLEAT_DIMS(), false, true));
    SAMPLE(pleat_prod(values(), PLEAT_DIMS(), false));
    SAMPLE(pleat_prod(values(0, 3), PLEAT_DIMS(1), false));
    SAMPLE(pleat_logsumexp(values(0, 3), PLEAT_DIMS(1), false));
    SAMPLE(pleat_sum_powers(values(0, 3), 1, PLEAT_DIMS(1), false, true));
    SAMPLE_ZERO(pleat_sum_powers(values(2, 3, 4), 1, PLEAT_DIMS(0, 1), false, false));
    SAMPLE(pleat_sum(values(0, 3)));
    SAMPLE(pleat_sum_dims(values(0, 3), PLEAT_DIMS(0), false));
    SAMPLE(pleat_amax(values(5), PLEAT_DIMS(), true));
    SAMPLE(pleat_amin(values(0, 3), PLEAT_DIMS(1), false));
    SAMPLE(pleat_sum_to(values(2, 3, 4), PLEAT_SHAPE(3, 1)));
    SAMPLE(pleat_sum_to(values(2, 3), PLEAT_SHAPE()));
    SAMPLE(pleat_sum_to(values(0, 3), PLEAT_SHAPE(1, 3)));
}

/* What gives indices and truth values. */
static void samples_without_gradient(void)
{
    const pleat_op *const comparisons[] = { &pleat_op_eq, &pleat_op_ne, &pleat_op_lt, &pleat_op_le };
    for (size_t i = 0; i < sizeof comparisons / sizeof *comparisons; i++) {
        collect_call(comparisons[i], "(3, 4) and (3, 4)", (pleat_tensor *[]){ values(3, 4), values(3, 4) }, 2, NULL);
        collect_call(comparisons[i], "(3, 1) and (4)", (pleat_tensor *[]){ values(3, 1), values(4) }, 2, NULL);
    }
    const pleat_op *const places[] = { &pleat_op_argmax, &pleat_op_argmin };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const pleat_reduce_params whole = { PLEAT_DIMS(), false }, rows = { PLEAT_DIMS(1), true };
        collect_call(places[i], "over all", (pleat_tensor *[]){ values(3, 4) }, 1, &whole);
        collect_call(places[i], "over 1", (pleat_tensor *[]){ values(2, 3, 4) }, 1, &rows);
    }
}

#endif
