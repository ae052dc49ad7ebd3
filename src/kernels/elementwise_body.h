/* The rows of elementwise.h for one floating type: a template, see math_body.h. A row is an expression in vectors
 * x[0], x[1], ... (the inputs) and p[0], p[1] (the parameters); `run` does the loading and storing. */
#include "kernels/math_body.h"

typedef VEC (*F(lanes_fn))(const VEC *x, const VEC *p);

#define BLOCK 256
/* Fetched this many bytes ahead: by itself the processor stops at a page's end, and lets writing wait. */
#define AHEAD(p) ((const void *)((uintptr_t)(p) + 2048))

/* What is not dense, and what is left of a run: gathered into dense blocks, padded to whole vectors with zeros. */
__attribute__((noinline)) static void F(strided)(void *const *array, const int64_t *stride, int64_t n,
                                                 const double *param, int inputs, pleat_row_fn row)
{
    static const int64_t dense[PLEAT_MAP_ARRAYS] = { 1, 1, 1, 1 };
    _Alignas(PLEAT_VECTOR_BYTES) REAL block[PLEAT_MAP_ARRAYS][BLOCK];
    void *const at[PLEAT_MAP_ARRAYS] = { block[0], block[1], block[2], block[3] };
    for (int64_t i = 0; i < n; i += BLOCK) {
        const int64_t m = n - i < BLOCK ? n - i : BLOCK, padded = (m + LANES - 1) / LANES * LANES;
        for (int k = 1; k <= inputs; k++) {
            const REAL *x = (const REAL *)array[k] + i * stride[k];
            for (int64_t j = 0; j < m; j++)
                block[k][j] = x[j * stride[k]];
            for (int64_t j = m; j < padded; j++)
                block[k][j] = 0;
        }
        row(at, dense, padded, param);
        REAL *y = (REAL *)array[0] + i * stride[0];
        for (int64_t j = 0; j < m; j++)
            y[j * stride[0]] = block[0][j];
    }
}

/* Whole vectors of dense arrays; repeated, a bit an input and a constant, tells which are one element instead. Returns
 * how many elements it did. */
INLINE int64_t F(dense)(void *const *array, int64_t n, const VEC *p, int inputs, unsigned repeated, F(lanes_fn) f)
{
    VEC x[PLEAT_MAP_ARRAYS - 1];
    const REAL *from[PLEAT_MAP_ARRAYS - 1];
    REAL *to = array[0];
    for (int k = 0; k < inputs; k++) {
        from[k] = array[k + 1];
        if (repeated >> k & 1)
            x[k] = F(splat)(*from[k]);
    }
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        __builtin_prefetch(AHEAD(to + i), 1);
        for (int k = 0; k < inputs; k++)
            if (!(repeated >> k & 1)) {
                __builtin_prefetch(AHEAD(from[k] + i));
                x[k] = F(load)(from[k] + i);
            }
        F(store)(to + i, f(x, p));
    }
    return i;
}

INLINE void F(run)(void *const *array, const int64_t *stride, int64_t n, const double *param, int inputs,
                   bool broadcast, F(lanes_fn) f, pleat_row_fn self)
{
    const VEC p[2] = { F(splat)((REAL)param[0]), F(splat)((REAL)param[1]) };
    bool all = stride[0] == 1;
    for (int k = 1; k <= inputs; k++)
        all &= stride[k] == 1;
    int64_t done = 0;
    if (all)
        done = F(dense)(array, n, p, inputs, 0, f);
    else if (broadcast && stride[0] == 1 && stride[1] == 1 && stride[2] == 0)
        done = F(dense)(array, n, p, inputs, 2, f);
    else if (broadcast && stride[0] == 1 && stride[1] == 0 && stride[2] == 1)
        done = F(dense)(array, n, p, inputs, 1, f);
    if (done == n)
        return;
    void *left[PLEAT_MAP_ARRAYS];
    for (int k = 0; k <= inputs; k++)
        left[k] = (REAL *)array[k] + done * stride[k];
    F(strided)(left, stride, n - done, param, inputs, self);
}

/* Two kinds of rows: of any inputs, and of two of which one may be a single element, repeated, at full speed. */
#define ROW(name, inputs, expression) ROW_(name, inputs, false, expression)
#define ROW_BROADCAST(name, expression) ROW_(name, 2, true, expression)
#define ROW_(name, inputs, broadcast, expression)                                                                      \
    INLINE VEC F(name##_lanes)(const VEC *x, const VEC *p)                                                             \
    {                                                                                                                  \
        (void)x;                                                                                                       \
        (void)p;                                                                                                       \
        return expression;                                                                                             \
    }                                                                                                                  \
    static void F(name##_row)(void *const *array, const int64_t *stride, int64_t n, const double *param)               \
    {                                                                                                                  \
        F(run)(array, stride, n, param, inputs, broadcast, F(name##_lanes), F(name##_row));                            \
    }

#define ZERO F(splat)(0)
#define ONE F(splat)(1)

/* Functions that go through the C library, a lane at a time. */
#define LANE_BY_LANE(name, call)                                                                                       \
    INLINE VEC F(name)(VEC x)                                                                                          \
    {                                                                                                                  \
        REAL lane[LANES];                                                                                              \
        F(store)(lane, x);                                                                                             \
        for (int64_t i = 0; i < LANES; i++)                                                                            \
            lane[i] = call(lane[i]);                                                                                   \
        return F(load)(lane);                                                                                          \
    }
LANE_BY_LANE(sin, BIT(sinf, sin))
LANE_BY_LANE(cos, BIT(cosf, cos))
LANE_BY_LANE(floor, BIT(floorf, floor))
LANE_BY_LANE(round, BIT(rintf, rint))
#undef LANE_BY_LANE

INLINE VEC F(power)(VEC x, VEC exponent)
{
    REAL base[LANES], e[LANES];
    F(store)(base, x);
    F(store)(e, exponent);
    for (int64_t i = 0; i < LANES; i++)
        base[i] = BIT(powf, pow)(base[i], e[i]);
    return F(load)(base);
}

INLINE VEC F(power_half)(VEC x)
{
    const VEC infinity = F(splat)(BIT(__builtin_inff, __builtin_inf)());
    return PICK(x == -infinity, infinity, F(sqrt)(x + 0)); /* -0 + 0 is 0 */
}

INLINE VEC F(clamp)(VEC x, VEC low, VEC high)
{
    return PICK(x < low, low, PICK(x > high, high, x));
}

INLINE VEC F(softplus)(VEC x)
{
    return PICK(x > 0, x, ZERO) + F(log1p)(F(exp_falling)(-F(abs)(x)));
}

/* tanh(softplus(x)) = n / (n + 2), n = e^x (e^x + 2); from 20 (40) on it is 1. */
INLINE VEC F(tanh_softplus)(VEC x)
{
    const VEC last = F(splat)(BIT(20, 40)), e = F(exp)(PICK(x > last, last, x)), n = e * (e + 2);
    return n / (n + 2);
}

#define SQRT_HALF ((REAL)0.70710678118654752440)
#define SQRT_2_PI ((REAL)0.79788456080286535588) /* of 2 / pi */
#define CUBIC ((REAL)0.044715)

/* The normal distribution's cumulative and density. */
INLINE VEC F(normal_below)(VEC x)
{
    return (REAL)0.5 * (1 + F(erf)(x * SQRT_HALF));
}

INLINE VEC F(normal_at)(VEC x)
{
    return (REAL)0.5 * SQRT_2_PI * F(exp_falling)((REAL)-0.5 * x * x);
}

INLINE VEC F(gelu_tanh_inner)(VEC x)
{
    return F(tanh)(SQRT_2_PI * (x + CUBIC * x * x * x));
}

/* The derivatives of the activations. */
INLINE VEC F(silu_slope)(VEC x)
{
    const VEC s = F(sigmoid)(x);
    return s * (1 + x * (1 - s));
}

INLINE VEC F(gelu_tanh_slope)(VEC x)
{
    const VEC t = F(gelu_tanh_inner)(x);
    return (REAL)0.5 * (1 + t + x * (1 - t * t) * SQRT_2_PI * (1 + 3 * CUBIC * x * x));
}

INLINE VEC F(mish_slope)(VEC x)
{
    const VEC t = F(tanh_softplus)(x);
    return t + x * F(sigmoid)(x) * (1 - t * t);
}

INLINE VEC F(softsign_slope)(VEC x)
{
    const VEC d = 1 + F(abs)(x);
    return 1 / (d * d);
}

INLINE VEC F(hardswish_slope)(VEC x)
{
    return PICK(x <= -3, ZERO, PICK(x >= 3, ONE, x / 3 + (REAL)0.5));
}

ROW_BROADCAST(add, x[0] + x[1])
ROW_BROADCAST(sub, x[0] - x[1])
ROW_BROADCAST(mul, x[0] * x[1])
ROW_BROADCAST(div, x[0] / x[1])
ROW_BROADCAST(add_scaled, x[0] + p[0] * x[1])
ROW(scale, 1, p[0] * x[0])
ROW(affine, 1, p[0] * x[0] + p[1])
ROW(neg, 1, -x[0])
ROW(exp, 1, F(exp)(x[0]))
ROW(log, 1, F(log)(x[0]))
ROW(sqrt, 1, F(sqrt)(x[0]))
ROW(one, 1, ONE)
ROW(identity, 1, x[0])
ROW(square, 1, x[0] * x[0])
ROW(cube, 1, x[0] * x[0] * x[0])
ROW(reciprocal, 1, 1 / x[0])
ROW(power_half, 1, F(power_half)(x[0]))
ROW(power_mhalf, 1, 1 / F(power_half)(x[0]))
ROW(power, 1, F(power)(x[0], p[0]))
ROW(power_grad, 2, x[0] * p[0] * F(power)(x[1], p[0] - 1))
ROW(clamp, 1, F(clamp)(x[0], p[0], p[1]))
ROW(clamp_grad, 2, PICK((x[1] > p[0]) & (x[1] < p[1]), x[0], ZERO))
ROW(hardtanh_grad, 2, PICK((x[1] <= p[0]) | (x[1] >= p[1]), ZERO, x[0]))
ROW(relu, 1, PICK(x[0] < 0, ZERO, x[0]))
ROW_BROADCAST(add_relu, PICK(x[0] + x[1] < 0, ZERO, x[0] + x[1]))
ROW(relu_grad, 2, PICK(x[1] <= 0, ZERO, x[0]))
ROW(leaky_relu, 1, PICK(x[0] > 0, x[0], p[0] * x[0]))
ROW(leaky_relu_grad, 2, PICK(x[1] > 0, x[0], p[0] * x[0]))
ROW_BROADCAST(prelu, PICK(x[0] > 0, x[0], x[1] * x[0]))
ROW_BROADCAST(maximum, PICK((x[0] > x[1]) | (x[0] != x[0]), x[0], x[1]))
ROW_BROADCAST(minimum, PICK((x[0] < x[1]) | (x[0] != x[0]), x[0], x[1]))
ROW(larger_grad, 3, PICK(x[1] < x[2], ZERO, PICK(x[1] == x[2], x[0] * (REAL)0.5, x[0])))
ROW(abs, 1, F(abs)(x[0]))
ROW(sign, 1, PICK(x[0] > 0, ONE, PICK(x[0] < 0, -ONE, ZERO)))
ROW(floor, 1, F(floor)(x[0]))
ROW(round, 1, F(round)(x[0]))
ROW(rsqrt, 1, 1 / F(sqrt)(x[0]))
ROW(sin, 1, F(sin)(x[0]))
ROW(cos, 1, F(cos)(x[0]))
ROW(tanh, 1, F(tanh)(x[0]))
ROW(tanh_grad, 2, x[0] * (1 - x[1] * x[1]))
ROW(sigmoid, 1, F(sigmoid)(x[0]))
ROW(sigmoid_grad, 2, x[0] * (x[1] * (1 - x[1])))
ROW(erf, 1, F(erf)(x[0]))
ROW(expm1, 1, F(expm1)(x[0]))
ROW(log1p, 1, F(log1p)(x[0]))
ROW(elu, 1, p[1] * PICK(x[0] > 0, x[0], p[0] * F(expm1)(x[0])))
ROW(elu_grad, 2, p[1] * x[0] * PICK(x[1] > 0, ONE, p[0] * F(exp)(x[1])))
ROW(silu, 1, x[0] * F(sigmoid)(x[0]))
ROW(silu_grad, 2, x[0] * F(silu_slope)(x[1]))
ROW(gelu, 1, x[0] * F(normal_below)(x[0]))
ROW(gelu_grad, 2, x[0] * (F(normal_below)(x[1]) + x[1] * F(normal_at)(x[1])))
ROW(gelu_tanh, 1, (REAL)0.5 * x[0] * (1 + F(gelu_tanh_inner)(x[0])))
ROW(gelu_tanh_grad, 2, x[0] * F(gelu_tanh_slope)(x[1]))
ROW(mish, 1, x[0] * F(tanh_softplus)(x[0]))
ROW(mish_grad, 2, x[0] * F(mish_slope)(x[1]))
ROW(softplus, 1, PICK(p[0] * x[0] > p[1], x[0], F(softplus)(p[0] * x[0]) / p[0]))
ROW(softplus_grad, 2, PICK(p[0] * x[1] > p[1], x[0], x[0] * F(sigmoid)(p[0] * x[1])))
ROW(logsigmoid, 1, -F(softplus)(-x[0]))
ROW(logsigmoid_grad, 2, x[0] * F(sigmoid)(-x[1]))
ROW(softsign, 1, x[0] / (1 + F(abs)(x[0])))
ROW(softsign_grad, 2, x[0] * F(softsign_slope)(x[1]))
ROW(hardsigmoid, 1, F(clamp)(x[0] + 3, ZERO, F(splat)(6)) / 6)
ROW(hardswish, 1, x[0] * (F(clamp)(x[0] + 3, ZERO, F(splat)(6)) / 6))
ROW(hardswish_grad, 2, x[0] * F(hardswish_slope)(x[1]))

#undef ROW
#undef ROW_
#undef ROW_BROADCAST
#undef ZERO
#undef ONE
