/* Activations, and the functions of one or two tensors that came with them. */
#ifndef PLEAT_TEST_SAMPLES_ACTIVATION_H
#define PLEAT_TEST_SAMPLES_ACTIVATION_H

#include "collect.h"

/* Wider than values(), so that every piece of a function in pieces is seen. */
#define wide(...) pleat_set_requires_grad(random_of(PLEAT_SHAPE(__VA_ARGS__), -5, 5), true)

static void samples_activations(void)
{
    typedef pleat_tensor *(*unary)(pleat_tensor *);
    static const unary functions[] = { pleat_sin,         pleat_cos,       pleat_erf,        pleat_square,
                                       pleat_selu,        pleat_sigmoid,   pleat_tanh,       pleat_silu,
                                       pleat_gelu,        pleat_mish,      pleat_logsigmoid, pleat_softsign,
                                       pleat_hardsigmoid, pleat_hardswish, pleat_gelu_tanh };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        const unary f = functions[i];
        SAMPLE(f(wide(3, 7)));
        SAMPLE_ZERO(f(positive())); /* a gate that it does not pass has no gradient */
        SAMPLE(f(values(0, 2)));
    }
    SAMPLE(pleat_rsqrt(positive(2, 3)));
    SAMPLE(pleat_reciprocal(positive(2, 3)));
    SAMPLE_ZERO(pleat_abs(wide(3, 4))); /* zero: of sign */
    SAMPLE_ZERO(pleat_sign(wide(5)));
    SAMPLE_ZERO(pleat_floor(wide(5)));
    SAMPLE_ZERO(pleat_round(wide(5)));
    SAMPLE(pleat_leaky_relu(wide(4, 5), 0.1));
    SAMPLE(pleat_leaky_relu(wide(5), -2));
    SAMPLE(pleat_elu(wide(4, 5), 0.7));
    SAMPLE(pleat_softplus(wide(4, 5), NULL));
    SAMPLE(pleat_softplus(wide(4, 5), &(pleat_softplus_opts){ .beta = 2.5, .threshold = 5 }));
    SAMPLE(pleat_hardtanh(wide(4, 5), -1, 2));
    SAMPLE(pleat_prelu(wide(2, 3, 4), values(3)));
    SAMPLE(pleat_prelu(wide(2, 3), values(1)));
    SAMPLE_ZERO(pleat_prelu(wide(), values(1)));

    typedef pleat_tensor *(*binary)(pleat_tensor *, pleat_tensor *);
    static const binary operators[] = { pleat_maximum, pleat_minimum };
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        const binary f = operators[i];
        SAMPLE(f(wide(3, 4), wide(3, 4)));
        SAMPLE(f(wide(3, 1), wide(2, 1, 4)));
        SAMPLE(f(wide(), wide(5)));
    }
    SAMPLE(pleat_add_relu(wide(3, 4), wide(3, 4)));
    SAMPLE(pleat_add_relu(wide(3, 1), wide(2, 1, 4)));
    SAMPLE(pleat_add_relu(positive(), wide(5)));
    SAMPLE(pleat_where(pleat_gt(wide(3, 4), pleat_scalar(0, PLEAT_F64)), wide(3, 4), wide(4)));
    SAMPLE(pleat_where(pleat_gt(wide(2, 1), pleat_scalar(0, PLEAT_F64)), wide(), wide(4)));
}

#endif
