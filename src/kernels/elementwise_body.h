/* The rows of elementwise.h for one floating type: a template, see math_body.h. A row is an expression in vectors
 * x[0], x[1], ... (the inputs) and p[0], p[1] (the parameters); `run` does the loading and storing. */
#include "kernels/math_body.h"

typedef V (*FN(lanes_fn))(const V *x, const V *p);

#define BLOCK 256
#define ABREAST 4 /* vectors: the steps of a long function wait for each other, those of several vectors need not */
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
    /* with AVX2 several inputs are read faster without: the processor follows them by itself */
    const bool fetch = inputs == 1 || PLEAT_VECTOR_BYTES == 64;
    V x[ABREAST][PLEAT_MAP_ARRAYS - 1], y[ABREAST];
    const T *from[PLEAT_MAP_ARRAYS - 1];
    T *to = array[0];
    for (int k = 0; k < inputs; k++) {
        from[k] = array[k + 1];
        if (repeated >> k & 1)
            for (int j = 0; j < ABREAST; j++)
                x[j][k] = FN(splat)(*from[k]);
    }
    int64_t i = 0;
    for (; i + ABREAST * VL <= n; i += ABREAST * VL) {
        PLEAT_UNROLL(4)
        for (int j = 0; j < ABREAST; j++)
            for (int k = 0; k < inputs; k++)
                if (!(repeated >> k & 1)) {
                    if (fetch)
                        __builtin_prefetch(AHEAD(from[k] + i + j * VL));
                    x[j][k] = FN(load)(from[k] + i + j * VL);
                }
        PLEAT_UNROLL(4)
        for (int j = 0; j < ABREAST; j++)
            y[j] = f(x[j], p);
        PLEAT_UNROLL(4)
        for (int j = 0; j < ABREAST; j++) {
            __builtin_prefetch(AHEAD(to + i + j * VL), 1);
            FN(store)(to + i + j * VL, y[j]);
        }
    }
    for (; i + VL <= n; i += VL) {
        for (int k = 0; k < inputs; k++)
            if (!(repeated >> k & 1))
                x[0][k] = FN(load)(from[k] + i);
        FN(store)(to + i, f(x[0], p));
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

#if PLEAT_FLOAT == 64
/* x^exponent for x above 0 and finite, as good as a float needs it; beyond the range of floats any number there is. */
PLEAT_INLINE pleat_v64 raised_f64(pleat_v64 x, double exponent)
{
    static const double log2_c[] = { 1.4426950408687050,   -0.72134752086880380, 0.48089836139504800,
                                     -0.36067367481728382, 0.28853729348506570,  -0.24045316616545343,
                                     0.20617535985814832,  -0.18030058948568219, 0.15876978365304455,
                                     -0.14315655919904046, 0.14474864031757153,  -0.14283906903986061,
                                     0.077369811174026243 };
    static const double exp2_c[] = { 0.69314718070473521,   0.24022651067001512,   0.055504103654645882,
                                     0.0096180380598103583, 0.0013333935316176637, 0.00015466781498924749,
                                     1.5196140456547237e-05 };
    const V last = splat_f64(200);
    V k;
    const V f = split_f64(x, &k), y = exponent * (k + f * poly_pairs_f64(f, log2_c, 12));
    const V e = PICK(y < last, PICK(y > -last, y, -last), last);
    const V t = e + (ROUNDER + BIAS), r = e - (t - (ROUNDER + BIAS));
    return (1 + r * poly_pairs_f64(r, exp2_c, 6)) * exp2_biased_f64((IVEC)t);
}
#else
typedef double both_v64 __attribute__((vector_size(2 * PLEAT_VECTOR_BYTES))); /* as many as a vector has floats */

/* C's pow for an exponent, repeated, that is neither 0 nor NaN; past_even is |exponent| modulo 2. */
PLEAT_INLINE pleat_v32 power_f32(pleat_v32 x, pleat_v32 exponent, pleat_v32 past_even)
{
    const V infinity = splat_f32(__builtin_inff()), a = abs_f32(x);
    const both_v64 wide = __builtin_convertvector(a, both_v64);
    const double e = (double)exponent[0];
    const pleat_v64 front = raised_f64(PLEAT_FRONT(wide), e), back = raised_f64(PLEAT_BACK(wide), e);
    /* the powers of 0 and infinity are each other's where the exponent is below 0 */
    const IVEC turned = (IVEC)a ^ ((exponent < 0) & (IVEC)infinity), odd = past_even == 1;
    const V size = PICK((a == 0) | (a == infinity), turned, __builtin_convertvector(PLEAT_JOIN(front, back), V));
    /* numbers below 0 have no powers that are not whole, but -infinity, which is large, has */
    const IVEC none = (x != x) | ((x < 0) & (a < infinity) & (past_even != 0) & ~odd);
    return PICK(none, splat_f32(__builtin_nanf("")), (IVEC)size | ((IVEC)x & odd & INT32_MIN));
}
#endif

/* sin of x and so many quarter turns, |x| no more than FAR: x = k pi / 2 + r, |r| <= pi / 4, where k times the leading
 * parts of pi / 2 is exact, also where nothing is fused; then one of two polynomials with one of two signs. */
#if PLEAT_FLOAT == 32
#define FAR 0x1p13f
static const float FN(sin_c)[] = { -0.166666548734f, 0.0083321735407f, -0.000195166554885f };
static const float FN(cos_c)[] = { 1, -0.5, 0.0416666467479f, -0.00138873614574f, 2.44377308427e-5f };
#else
#define FAR 0x1p20
static const double FN(sin_c)[] = { -0.16666666666666632,  0.0083333333333224137,   -0.00019841269829807817,
                                    2.7557313691920794e-6, -2.5050758115642606e-08, 1.5896795672224763e-10 };
static const double FN(cos_c)[] = { 1,
                                    -0.5,
                                    0.041666666666666599,
                                    -0.0013888888888874124,
                                    2.4801587289487182e-05,
                                    -2.7557314352328288e-07,
                                    2.0875723272501896e-09,
                                    -1.1359647761725296e-11 };
#endif

PLEAT_INLINE V FN(sine)(V x, int quarters)
{
    const V t = x * BIT(0x1.45f306p-1f, 0x1.45f306dc9c883p-1) + ROUNDER, k = t - ROUNDER;
    const IVEC n = (IVEC)t + quarters;
    const V rough = (x - k * BIT(0x1.92p0f, 0x1.921fb544p0)) - k * BIT(0x1.fb4p-12f, 0x1.0b46p-34);
    const V third = k * BIT(0x1.444p-24f, 0x1.1a62633p-54), r = rough - third;
    const V low = ((rough - r) - third) - k * BIT(0x1.68c234p-39f, 0x1.45c06e0e68948p-86), z = r * r + (r + r) * low;
    const V sine = FN(copysign)(r + (r * z * FN(poly)(z, FN(sin_c), DEGREE(sin_c)) + low), r);
    const V cosine = FN(poly)(z, FN(cos_c), DEGREE(cos_c));
    return (V)((IVEC)PICK((n & 1) == 0, sine, cosine) ^ (n & 2) << (BIT(32, 64) - 2));
}

PLEAT_INLINE V FN(near_sin)(V x)
{
    return FN(sine)(x, 0);
}

PLEAT_INLINE V FN(near_cos)(V x)
{
    return FN(sine)(x, 1);
}

/* The C library knows pi to as many digits as it takes. */
PLEAT_INLINE V FN(any_sin)(V x)
{
    return PICK(FN(abs)(x) > FAR, FN(far_sin)(x), FN(near_sin)(x));
}

PLEAT_INLINE V FN(any_cos)(V x)
{
    return PICK(FN(abs)(x) > FAR, FN(far_cos)(x), FN(near_cos)(x));
}

/* A row that has a faster way for usual values of the last input: those whose bits, the sign's left out if it is
 * unsigned, are those of a number from low to high. Blocks with others take the slower way, by which usual ones come
 * out the same. */
PLEAT_INLINE void FN(two_ways)(void *const *array, const int64_t *stride, int64_t n, const double *param, int inputs,
                               bool is_unsigned, T low, T high, pleat_row_fn usual, pleat_row_fn any)
{
    const int64_t block = 4 * BLOCK, step = stride[inputs];
    const INT least_bits = ((IVEC)FN(splat)(low))[0], most_bits = ((IVEC)FN(splat)(high))[0];
    const INT kept = is_unsigned ? BIT(INT32_MAX, INT64_MAX) : -1;
    for (int64_t i = 0; i < n; i += block) {
        const int64_t m = least(n - i, block);
        void *at[PLEAT_MAP_ARRAYS];
        for (int k = 0; k <= inputs; k++)
            at[k] = (T *)array[k] + i * stride[k];
        INT outside = 0; /* below 0 where something is: as integers, bits are ordered as the numbers above 0 are */
        for (int64_t j = 0; j < m; j++) {
            INT bits;
            memcpy(&bits, (const T *)at[inputs] + j * step, sizeof bits);
            bits &= kept;
            outside |= (bits - least_bits) | (most_bits - bits);
        }
        (outside < 0 ? any : usual)(at, stride, m, param);
    }
}

/* A row of factor times a function of the last input. */
#define ROW_OF_TWO_WAYS(name, inputs, factor, usual, any, is_unsigned, low, high)                                      \
    ROW(usual_##name, inputs, factor usual(x[inputs - 1]))                                                             \
    ROW(any_##name, inputs, factor any(x[inputs - 1]))                                                                 \
    static void FN(name##_row)(void *const *array, const int64_t *stride, int64_t n, const double *param)              \
    {                                                                                                                  \
        FN(two_ways)                                                                                                   \
        (array, stride, n, param, inputs, is_unsigned, low, high, FN(usual_##name##_row), FN(any_##name##_row));       \
    }
#define ROW_OF_ANGLES(name, inputs, factor, function)                                                                  \
    ROW_OF_TWO_WAYS(name, inputs, factor, FN(near_##function), FN(any_##function), true, 0, FAR)

PLEAT_INLINE V FN(cube)(V x)
{
    return x * x * x;
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

PLEAT_INLINE V FN(huber)(V x, V delta)
{
    const V clamped = FN(clamp)(x, -delta, delta);
    return clamped * (x - clamped * (T)0.5);
}

/* Not inlined: of two products in a sum the compiler fuses one, and where there are several copies not always the same.
 */
static __attribute__((noinline)) V FN(bce)(V x, V target)
{
    const V least = FN(splat)(-100), yes = FN(log)(x);
    return (target - 1) * PICK(x < 1, FN(log1p)(-x), least) - target * PICK(yes > least, yes, least);
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
ROW_OF_TWO_WAYS(log, 1, , FN(log_of_normal), FN(log), false, BIT(__FLT_MIN__, __DBL_MIN__),
                BIT(__FLT_MAX__, __DBL_MAX__))
ROW(sqrt, 1, FN(sqrt)(x[0]))
ROW(one, 1, ONE)
ROW(identity, 1, x[0])
ROW(square, 1, x[0] * x[0])
ROW(cube, 1, FN(cube)(x[0]))
ROW(reciprocal, 1, 1 / x[0])
ROW(power_half, 1, FN(power_half)(x[0]))
ROW(power_mhalf, 1, 1 / FN(power_half)(x[0]))
ROW(power_m2, 1, 1 / (x[0] * x[0]))
ROW(power_m3, 1, FN(cube)(1 / x[0]))
ROW(any_power, 1, FN(any_power)(x[0], p[0][0]))
#if PLEAT_FLOAT == 64
#define power_row_f64 any_power_row_f64 /* to the last bit is more than a logarithm in a double has */
#else
ROW(usual_power, 1, power_f32(x[0], p[0], p[1]))
static void power_row_f32(void *const *array, const int64_t *stride, int64_t n, const double *param)
{
    const double large = 0x1p32; /* beyond, whole and even, only 1 and -1 have powers other than 0 and infinity */
    const double e = (double)(float)param[0], most = e > large ? large : e < -large ? -large : e;
    (e == 0 || isnan(e) ? any_power_row_f32 : usual_power_row_f32)(array, stride, n,
                                                                   (double[]){ most, fabs(fmod(most, 2)) });
}
#endif
ROW(clamp, 1, FN(clamp)(x[0], p[0], p[1]))
ROW(huber, 2, p[1] * FN(huber)(x[0] - x[1], p[0]))
ROW(huber_grad, 3, p[1] * x[0] * FN(clamp)(x[1] - x[2], -p[0], p[0]))
ROW(bce, 2, FN(bce)(x[0], x[1]))
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
ROW_OF_ANGLES(sin, 1, , sin)
ROW_OF_ANGLES(cos, 1, , cos)
ROW(tanh, 1, FN(tanh)(x[0]))
ROW(tanh_grad, 2, x[0] * (1 - x[1] * x[1]))
ROW(sigmoid, 1, FN(sigmoid)(x[0]))
ROW(sigmoid_grad, 2, x[0] * (x[1] * (1 - x[1])))
ROW(erf, 1, FN(erf)(x[0]))
ROW(erf_grad, 2, x[0] * (SQRT_4_PI * FN(exp_falling)(-x[1] * x[1])))
ROW_OF_ANGLES(sin_grad, 2, x[0] *, cos)
ROW_OF_ANGLES(cos_grad, 2, -x[0] *, sin)
ROW(expm1, 1, FN(expm1)(x[0]))
ROW(log1p, 1, FN(log1p)(x[0]))
ROW(elu, 1, p[1] * PICK(x[0] > 0, x[0], p[0] * FN(expm1_low)(x[0])))
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
#undef ROW_OF_ANGLES
#undef ROW_OF_TWO_WAYS
#undef ZERO
#undef ONE
#undef FAR
