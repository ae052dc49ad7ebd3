/* The rows of elementwise.h for one floating type: a template, see math_body.h. A row is an expression in vectors
 * x[0], x[1], ... (the inputs) and p[0], p[1] (the parameters); `run` does the loading and storing. */
#include "kernels/math_body.h"

typedef V (*FN(lanes_fn))(const V *x, const V *p);

#define BLOCK 256
/* Fetched this many bytes ahead: by itself the processor stops at a page's end, and lets writing wait. */
#define AHEAD(p) ((const void *)((uintptr_t)(p) + 2048))

/* What is not dense, and what is left of a run: gathered into dense blocks, padded to whole vectors with zeros. */
__attribute__((noinline)) static void FN(strided)(void *const *array, const int64_t *stride, int64_t n,
                                                  const double *param, int inputs, pleat_row_fn row)
{
    static const int64_t dense[PLEAT_MAP_ARRAYS] = { 1, 1, 1, 1 };
    _Alignas(PLEAT_VECTOR_BYTES) T block[PLEAT_MAP_ARRAYS][BLOCK];
    void *const at[PLEAT_MAP_ARRAYS] = { block[0], block[1], block[2], block[3] };
    for (int64_t i = 0; i < n; i += BLOCK) {
        const int64_t m = n - i < BLOCK ? n - i : BLOCK, padded = (m + VL - 1) / VL * VL;
        for (int k = 1; k <= inputs; k++) {
            const T *x = (const T *)array[k] + i * stride[k];
            for (int64_t j = 0; j < m; j++)
                block[k][j] = x[j * stride[k]];
            for (int64_t j = m; j < padded; j++)
                block[k][j] = 0;
        }
        row(at, dense, padded, param);
        T *y = (T *)array[0] + i * stride[0];
        for (int64_t j = 0; j < m; j++)
            y[j * stride[0]] = block[0][j];
    }
}

/* Whole vectors of dense arrays; repeated, a bit an input and a constant, tells which are one element instead. Returns
 * how many elements it did. */
PLEAT_INLINE int64_t FN(dense)(void *const *array, int64_t n, const V *p, int inputs, unsigned repeated, FN(lanes_fn) f)
{
    V x[PLEAT_MAP_ARRAYS - 1];
    const T *from[PLEAT_MAP_ARRAYS - 1];
    T *to = array[0];
    for (int k = 0; k < inputs; k++) {
        from[k] = array[k + 1];
        if (repeated >> k & 1)
            x[k] = FN(splat)(*from[k]);
    }
    int64_t i = 0;
    PLEAT_UNROLL(4) /* for the compiler to interleave long functions */
    for (; i + VL <= n; i += VL) {
        __builtin_prefetch(AHEAD(to + i), 1);
        for (int k = 0; k < inputs; k++)
            if (!(repeated >> k & 1)) {
                __builtin_prefetch(AHEAD(from[k] + i));
                x[k] = FN(load)(from[k] + i);
            }
        FN(store)(to + i, f(x, p));
    }
    return i;
}

PLEAT_INLINE void FN(run)(void *const *array, const int64_t *stride, int64_t n, const double *param, int inputs,
                          bool broadcast, FN(lanes_fn) f, pleat_row_fn self)
{
    const V p[2] = { FN(splat)((T)param[0]), FN(splat)((T)param[1]) };
    bool all = stride[0] == 1;
    for (int k = 1; k <= inputs; k++)
        all &= stride[k] == 1;
    int64_t done = 0;
    if (all)
        done = FN(dense)(array, n, p, inputs, 0, f);
    else if (broadcast && stride[0] == 1 && stride[1] == 1 && stride[2] == 0)
        done = FN(dense)(array, n, p, inputs, 2, f);
    else if (broadcast && stride[0] == 1 && stride[1] == 0 && stride[2] == 1)
        done = FN(dense)(array, n, p, inputs, 1, f);
    if (done == n)
        return;
    void *left[PLEAT_MAP_ARRAYS];
    for (int k = 0; k <= inputs; k++)
        left[k] = (T *)array[k] + done * stride[k];
    FN(strided)(left, stride, n - done, param, inputs, self);
}

/* Two kinds of rows: of any inputs, and of two of which one may be a single element, repeated, at full speed. */
#define ROW(name, inputs, expression) ROW_(name, inputs, false, expression)
#define ROW_BROADCAST(name, expression) ROW_(name, 2, true, expression)
#define ROW_(name, inputs, broadcast, expression)                                                                      \
    PLEAT_INLINE V FN(name##_lanes)(const V *x, const V *p)                                                            \
    {                                                                                                                  \
        (void)x;                                                                                                       \
        (void)p;                                                                                                       \
        return expression;                                                                                             \
    }                                                                                                                  \
    static void FN(name##_row)(void *const *array, const int64_t *stride, int64_t n, const double *param)              \
    {                                                                                                                  \
        FN(run)(array, stride, n, param, inputs, broadcast, FN(name##_lanes), FN(name##_row));                         \
    }

#define ZERO FN(splat)(0)
#define ONE FN(splat)(1)

/* Functions that go through the C library, a lane at a time. */
#define LANE_BY_LANE(keywords, name, call)                                                                             \
    keywords V FN(name)(V x)                                                                                           \
    {                                                                                                                  \
        T lane[VL];                                                                                                    \
        FN(store)(lane, x);                                                                                            \
        for (int64_t i = 0; i < VL; i++)                                                                               \
            lane[i] = call(lane[i]);                                                                                   \
        return FN(load)(lane);                                                                                         \
    }
LANE_BY_LANE(PLEAT_INLINE, floor, BIT(floorf, floor))
LANE_BY_LANE(PLEAT_INLINE, round, BIT(rintf, rint))
LANE_BY_LANE(static __attribute__((noinline)), far_sin, BIT(sinf, sin))
LANE_BY_LANE(static __attribute__((noinline)), far_cos, BIT(cosf, cos))
#undef LANE_BY_LANE

static __attribute__((noinline)) V FN(any_power)(V x, T exponent)
{
    T lane[VL];
    FN(store)(lane, x);
    for (int64_t i = 0; i < VL; i++)
        lane[i] = BIT(powf, pow)(lane[i], exponent);
    return FN(load)(lane);
}

PLEAT_INLINE bool FN(any)(IVEC mask)
{
    int64_t part[sizeof mask / 8], all = 0;
    memcpy(part, &mask, sizeof mask);
    for (size_t i = 0; i < sizeof mask / 8; i++)
        all |= part[i];
    return all;
}

#if PLEAT_FLOAT == 64
/* sin of x and so many quarter turns, |x| no more than FAR: x = k pi / 2 + r, |r| <= pi / 4, where k times the leading
 * parts of pi / 2 is exact; then one of two polynomials with one of two signs. */
PLEAT_INLINE pleat_v64 sine_f64(pleat_v64 x, double quarters)
{
    static const double s[] = { -0.16666666666666632,  0.0083333333333224137,   -0.00019841269829807817,
                                2.7557313691920794e-6, -2.5050758115642606e-08, 1.5896795672224763e-10 };
    static const double c[] = { 0.041666666666666599,    -0.0013888888888874124, 2.4801587289487182e-05,
                                -2.7557314352328288e-07, 2.0875723272501896e-09, -1.1359647761725296e-11 };
    const V t = x * 0x1.45f306dc9c883p-1 + ROUNDER, k = t - ROUNDER;
    const IVEC n = (IVEC)t + (int64_t)quarters;
    const V r = ((x - k * 0x1.921fb544p0) - k * 0x1.0b4611a6p-34) - k * 0x1.3198a2e037073p-69, z = r * r;
    const V sine = copysign_f64(r + r * z * poly_f64(z, s, 5), r), cosine = (1 - 0.5 * z) + z * z * poly_f64(z, c, 5);
    return (V)((IVEC)PICK(-(n & 1), cosine, sine) ^ (n & 2) << 62);
}

/* x^exponent for x >= 0, with few correct digits less than a double has. */
PLEAT_INLINE pleat_v64 raised_f64(pleat_v64 x, double exponent)
{
    return exp_f64(exponent * log_f64(x));
}

#define FAR 0x1p20
#define SINE FN(sine)

/* pow to the last bit is more than its logarithm in a double has. */
PLEAT_INLINE V FN(power)(V x, V exponent)
{
    return FN(any_power)(x, exponent[0]);
}
#else
#undef SINE
/* A function of doubles, of which half as many make a vector, of floats. */
typedef float half_of_v32 __attribute__((vector_size(PLEAT_VECTOR_BYTES / 2)));

PLEAT_INLINE pleat_v32 in_double(pleat_v64 (*f)(pleat_v64 x, double param), pleat_v32 x, double param)
{
    half_of_v32 half[2];
    memcpy(half, &x, sizeof x);
    for (int i = 0; i < 2; i++)
        half[i] = __builtin_convertvector(f(__builtin_convertvector(half[i], pleat_v64), param), half_of_v32);
    memcpy(&x, half, sizeof x);
    return x;
}
#define SINE(x, quarters) in_double(sine_f64, x, quarters)

PLEAT_INLINE V FN(power)(V x, V exponent)
{
    const double e = (double)exponent[0];
    if (e == 0 || !isfinite(e))
        return FN(any_power)(x, exponent[0]);
    const V size = in_double(raised_f64, FN(abs)(x), e);
    if (fmod(e, 2) != 0 && floor(e) == e)
        return FN(copysign)(size, x);
    /* no power of a number below 0, but of -infinity, which is large */
    const V lowest = FN(splat)(-__FLT_MAX__);
    return floor(e) == e ? size : PICK((x < 0) & (x >= lowest), FN(splat)(__builtin_nanf("")), size);
}
#endif

/* The reduction is good for what is not far; the C library knows pi to as many digits as the rest needs. */
PLEAT_INLINE V FN(turned)(V x, int quarters, V (*far)(V x))
{
    const IVEC is_far = FN(abs)(x) > (T)FAR;
    const V y = SINE(x, quarters);
    return FN(any)(is_far) ? PICK(is_far, far(x), y) : y;
}

PLEAT_INLINE V FN(sin)(V x)
{
    return FN(turned)(x, 0, FN(far_sin));
}

PLEAT_INLINE V FN(cos)(V x)
{
    return FN(turned)(x, 1, FN(far_cos));
}

PLEAT_INLINE V FN(power_half)(V x)
{
    const V infinity = FN(splat)(BIT(__builtin_inff, __builtin_inf)());
    return PICK(x == -infinity, infinity, FN(sqrt)(x + 0)); /* -0 + 0 is 0 */
}

PLEAT_INLINE V FN(clamp)(V x, V low, V high)
{
    return PICK(x < low, low, PICK(x > high, high, x));
}

PLEAT_INLINE V FN(softplus)(V x)
{
    return PICK(x > 0, x, ZERO) + FN(log1p)(FN(exp_falling)(-FN(abs)(x)));
}

/* tanh(softplus(x)) = n / (n + 2), n = e^x (e^x + 2); from 20 (40) on it is 1. */
PLEAT_INLINE V FN(tanh_softplus)(V x)
{
    const V last = FN(splat)(BIT(20, 40)), e = FN(exp)(PICK(x > last, last, x)), n = e * (e + 2);
    return n / (n + 2);
}

#define SQRT_HALF ((T)0.70710678118654752440)
#define SQRT_2_PI ((T)0.79788456080286535588) /* of 2 / pi */
#define SQRT_4_PI ((T)1.12837916709551257390)
#define CUBIC ((T)0.044715)

/* The normal distribution's cumulative and density. */
PLEAT_INLINE V FN(normal_below)(V x)
{
    return (T)0.5 * (1 + FN(erf)(x * SQRT_HALF));
}

PLEAT_INLINE V FN(normal_at)(V x)
{
    return (T)0.5 * SQRT_2_PI * FN(exp_falling)((T)-0.5 * x * x);
}

PLEAT_INLINE V FN(gelu_tanh_inner)(V x)
{
    return FN(tanh)(SQRT_2_PI * (x + CUBIC * x * x * x));
}

/* The derivatives of the activations. */
PLEAT_INLINE V FN(silu_slope)(V x)
{
    const V s = FN(sigmoid)(x);
    return s * (1 + x * (1 - s));
}

PLEAT_INLINE V FN(gelu_tanh_slope)(V x)
{
    const V t = FN(gelu_tanh_inner)(x);
    return (T)0.5 * (1 + t + x * (1 - t * t) * SQRT_2_PI * (1 + 3 * CUBIC * x * x));
}

PLEAT_INLINE V FN(mish_slope)(V x)
{
    const V t = FN(tanh_softplus)(x);
    return t + x * FN(sigmoid)(x) * (1 - t * t);
}

PLEAT_INLINE V FN(softsign_slope)(V x)
{
    const V d = 1 + FN(abs)(x);
    return 1 / (d * d);
}

PLEAT_INLINE V FN(hardswish_slope)(V x)
{
    return PICK(x <= -3, ZERO, PICK(x >= 3, ONE, x / 3 + (T)0.5));
}

ROW_BROADCAST(add, x[0] + x[1])
ROW_BROADCAST(sub, x[0] - x[1])
ROW_BROADCAST(mul, x[0] * x[1])
ROW_BROADCAST(div, x[0] / x[1])
ROW_BROADCAST(add_scaled, x[0] + p[0] * x[1])
ROW(scale, 1, p[0] * x[0])
ROW(affine, 1, p[0] * x[0] + p[1])
ROW(neg, 1, -x[0])
ROW(exp, 1, FN(exp)(x[0]))
ROW(log, 1, FN(log)(x[0]))
ROW(sqrt, 1, FN(sqrt)(x[0]))
ROW(one, 1, ONE)
ROW(identity, 1, x[0])
ROW(square, 1, x[0] * x[0])
ROW(cube, 1, x[0] * x[0] * x[0])
ROW(reciprocal, 1, 1 / x[0])
ROW(power_half, 1, FN(power_half)(x[0]))
ROW(power_mhalf, 1, 1 / FN(power_half)(x[0]))
ROW(power_m2, 1, 1 / (x[0] * x[0]))
ROW(power, 1, FN(power)(x[0], p[0]))
ROW(clamp, 1, FN(clamp)(x[0], p[0], p[1]))
ROW(clamp_grad, 2, PICK((x[1] > p[0]) & (x[1] < p[1]), x[0], ZERO))
ROW(hardtanh_grad, 2, PICK((x[1] <= p[0]) | (x[1] >= p[1]), ZERO, x[0]))
ROW(relu, 1, FN(relu)(x[0]))
ROW_BROADCAST(add_relu, FN(relu)(x[0] + x[1]))
ROW(relu_grad, 2, PICK(x[1] <= 0, ZERO, x[0]))
ROW(leaky_relu, 1, PICK(x[0] > 0, x[0], p[0] * x[0]))
ROW(leaky_relu_grad, 2, PICK(x[1] > 0, x[0], p[0] * x[0]))
ROW_BROADCAST(prelu, PICK(x[0] > 0, x[0], x[1] * x[0]))
ROW_BROADCAST(maximum, PICK((x[0] > x[1]) | (x[0] != x[0]), x[0], x[1]))
ROW_BROADCAST(minimum, PICK((x[0] < x[1]) | (x[0] != x[0]), x[0], x[1]))
ROW(larger_grad, 3, PICK(x[1] < x[2], ZERO, PICK(x[1] == x[2], x[0] * (T)0.5, x[0])))
ROW(abs, 1, FN(abs)(x[0]))
ROW(sign, 1, PICK(x[0] > 0, ONE, PICK(x[0] < 0, -ONE, ZERO)))
ROW(floor, 1, FN(floor)(x[0]))
ROW(round, 1, FN(round)(x[0]))
ROW(rsqrt, 1, 1 / FN(sqrt)(x[0]))
ROW(sqrt_grad, 2, x[0] / (2 * x[1]))
ROW(rsqrt_grad, 2, x[0] * (x[1] * x[1] * x[1] * (T)-0.5))
ROW(sin, 1, FN(sin)(x[0]))
ROW(cos, 1, FN(cos)(x[0]))
ROW(tanh, 1, FN(tanh)(x[0]))
ROW(tanh_grad, 2, x[0] * (1 - x[1] * x[1]))
ROW(sigmoid, 1, FN(sigmoid)(x[0]))
ROW(sigmoid_grad, 2, x[0] * (x[1] * (1 - x[1])))
ROW(erf, 1, FN(erf)(x[0]))
ROW(erf_grad, 2, x[0] * (SQRT_4_PI * FN(exp_falling)(-x[1] * x[1])))
ROW(sin_grad, 2, x[0] * FN(cos)(x[1]))
ROW(cos_grad, 2, -(x[0] * FN(sin)(x[1])))
ROW(expm1, 1, FN(expm1)(x[0]))
ROW(log1p, 1, FN(log1p)(x[0]))
ROW(elu, 1, p[1] * PICK(x[0] > 0, x[0], p[0] * FN(expm1)(x[0])))
ROW(elu_grad, 2, p[1] * x[0] * PICK(x[1] > 0, ONE, p[0] * FN(exp)(x[1])))
ROW(silu, 1, x[0] * FN(sigmoid)(x[0]))
ROW(silu_grad, 2, x[0] * FN(silu_slope)(x[1]))
ROW(gelu, 1, x[0] * FN(normal_below)(x[0]))
ROW(gelu_grad, 2, x[0] * (FN(normal_below)(x[1]) + x[1] * FN(normal_at)(x[1])))
ROW(gelu_tanh, 1, (T)0.5 * x[0] * (1 + FN(gelu_tanh_inner)(x[0])))
ROW(gelu_tanh_grad, 2, x[0] * FN(gelu_tanh_slope)(x[1]))
ROW(mish, 1, x[0] * FN(tanh_softplus)(x[0]))
ROW(mish_grad, 2, x[0] * FN(mish_slope)(x[1]))
ROW(softplus, 1, PICK(p[0] * x[0] > p[1], x[0], FN(softplus)(p[0] * x[0]) / p[0]))
ROW(softplus_grad, 2, PICK(p[0] * x[1] > p[1], x[0], x[0] * FN(sigmoid)(p[0] * x[1])))
ROW(logsigmoid, 1, -FN(softplus)(-x[0]))
ROW(logsigmoid_grad, 2, x[0] * FN(sigmoid)(-x[1]))
ROW(softsign, 1, x[0] / (1 + FN(abs)(x[0])))
ROW(softsign_grad, 2, x[0] * FN(softsign_slope)(x[1]))
ROW(hardsigmoid, 1, FN(clamp)(x[0] + 3, ZERO, FN(splat)(6)) / 6)
ROW(hardswish, 1, x[0] * (FN(clamp)(x[0] + 3, ZERO, FN(splat)(6)) / 6))
ROW(hardswish_grad, 2, x[0] * FN(hardswish_slope)(x[1]))

#undef ROW
#undef ROW_
#undef ROW_BROADCAST
#undef ZERO
#undef ONE
