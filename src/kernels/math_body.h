/* Vectors of one floating type and the functions of one variable over them. A template: a .c file defines PLEAT_FLOAT
 * as 32 or 64 and includes this (once for each of the two it needs); every name comes out as FN(name), that is name_f32
 * or name_f64. Serves every kernel family; nothing here is visible outside its file.
 *
 * Each function reduces its argument to a small interval and evaluates a polynomial there (Chebyshev interpolation
 * or the minimax, computed with 40 digits or more, then rounded). No branch: lanes select. Whole range, denormals,
 * infinities and NaN included. Largest errors found, in units in the last place, with every instruction set and GCC and
 * Clang (test_math.c sweeps):
 *
 *             exp   expm1   log    log1p   tanh   sigmoid   erf
 *   float32   1.02   1.57   0.96    1.51   3.26      2.31   2.09
 *   float64   0.98   1.93   0.80    1.34   3.35      2.29   1.82
 */
#include "kernels/simd.h"

#include <string.h>

#undef INT
#undef IVEC
#undef BIT
#undef PICK
#undef ZERO_WHERE

#if PLEAT_FLOAT == 32
#define INT int32_t
#define BIT(a32, a64) a32
#else
#define INT int64_t
#define BIT(a32, a64) a64
#endif
#define IVEC FN(ivec)
#define PICK(mask, a, b) ((V)(((mask) & (IVEC)(a)) | (~(mask) & (IVEC)(b)))) /* a where mask, else b */
#define ZERO_WHERE(mask, a) ((V)(~(mask) & (IVEC)(a)))

typedef INT IVEC __attribute__((vector_size(PLEAT_VECTOR_BYTES)));

PLEAT_INLINE V FN(abs)(V x)
{
    return (V)((IVEC)x & BIT(INT32_MAX, INT64_MAX));
}

/* The magnitude of the first with the sign of the second. */
PLEAT_INLINE V FN(copysign)(V x, V sign)
{
    return (V)(((IVEC)x & BIT(INT32_MAX, INT64_MAX)) | ((IVEC)sign & BIT(INT32_MIN, INT64_MIN)));
}

PLEAT_INLINE V FN(sqrt)(V x)
{
    T lane[VL];
    memcpy(lane, &x, sizeof x);
    for (int64_t i = 0; i < VL; i++)
        lane[i] = BIT(__builtin_sqrtf, __builtin_sqrt)(lane[i]);
    return FN(load)(lane);
}

/* c[0] + c[1] x + ... + c[degree] x^degree */
PLEAT_INLINE V FN(poly)(V x, const T *c, int degree)
{
    V y = FN(splat)(c[degree]);
#pragma GCC unroll 25
    for (int i = degree - 1; i >= 0; i--)
        y = y * x + c[i];
    return y;
}

/* The same, for degrees to 18, a little less exact but with a shorter chain of operations, which is what a loop waits
 * for: behind c[0] first pairs are formed, then pairs of pairs (Estrin). */
PLEAT_INLINE V FN(poly_pairs)(V x, const T *c, int degree)
{
    const V first = x;
    V y[9];
#pragma GCC unroll 9
    for (int i = 0; i <= (degree - 1) / 2; i++)
        y[i] = 2 * i + 2 <= degree ? c[2 * i + 1] + c[2 * i + 2] * x : FN(splat)(c[2 * i + 1]);
#pragma GCC unroll 4
    for (int n = (degree - 1) / 2; n > 0; n /= 2) {
        x *= x;
#pragma GCC unroll 5
        for (int i = 0; i <= n / 2; i++)
            y[i] = 2 * i < n ? y[2 * i] + y[2 * i + 1] * x : y[2 * i];
    }
    return c[0] + first * y[0];
}

#define MANTISSA BIT(23, 52)
#define BIAS BIT(127, 1023)
#define ROUNDER                                                                                                        \
    BIT(0x1.8p23f, 0x1.8p52) /* added and taken off it rounds to an integer, which the low bits hold between */
#define LOG2E BIT(0x1.715476p0f, 0x1.71547652b82fep0)
#define LN2_HIGH                                                                                                       \
    BIT(0x1.62e3p-1f, 0x1.62e42feep-1) /* trailing zeros, so that its product with an exponent is exact                \
                                        */
#define LN2_LOW BIT(0x1.2fefa2p-17f, 0x1.a39ef35793c76p-33)

#if PLEAT_FLOAT == 32
static const float FN(exp_c)[] = { 0.5f, 0.166665339574f, 0.0416672380567f, 0.00836748912049f, 0.00138637745986f };
static const float
    FN(log_c)[] = { -0.5f,           0.333333317038f,  -0.25000821051f, 0.200012271246f,  -0.166233569251f,
                    0.142017527944f, -0.131601818491f, 0.127616119648f, -0.0763453982636f };
static const float FN(erf_c)[] = { 0.128379172f,   0.636619382f,     0.102777831f,    -0.019153067f,   -0.000160388706f,
                                   0.00166701858f, -0.000632831265f, 0.000117639525f, -9.25605200e-06f };
static const float FN(tanh_p)[] = { 0.904999971f, 0.0269378982f, 0.000103247294f };
static const float FN(tanh_q)[] = { 1.80999994f, 0.204709038f, 0.00218232628f, 2.21844539e-06f };
#else
static const double FN(exp_c)[] = { 0.5,
                                    0.16666666666666671,
                                    0.041666666666666671,
                                    0.0083333333333261289,
                                    0.0013888888888883744,
                                    0.00019841269874840768,
                                    2.4801587325562125e-05,
                                    2.7557255374658744e-06,
                                    2.7557273624866478e-07,
                                    2.510522763655176e-08,
                                    2.0914694560351592e-09 };
static const double
    FN(log_c)[] = { 0.66666666666666663, 0.40000000000001013, 0.28571428570722829, 0.22222222409844039,
                    0.18181793722272505, 0.15386342974308154, 0.13266035037261051, 0.13114976096717038 };
static const double FN(erf_c)[] = { 0.12837916709551256,     0.6366197723675827,      0.10277260330184211,
                                    -0.019128447006296994,   -0.00020919468018965588, 0.0016962062804236377,
                                    -0.00059012505588194,    2.5876975151236152e-05,  6.449571429174622e-05,
                                    -2.9730795905473263e-05, 3.4161649928359267e-06,  2.8262427584567503e-06,
                                    -1.7348272848684355e-06, 3.326157385707899e-07,   1.3862114511312758e-07,
                                    -1.4204262462242857e-07, 6.567296907804241e-08,   -2.088865042532047e-08,
                                    4.965295544316759e-09,   -8.991541031937041e-10,  1.2307881271079668e-10,
                                    -1.2372538731174054e-11, 8.630012900227978e-13,   -3.7331574563701346e-14,
                                    7.542629810451577e-16 };
static const double FN(tanh_p)[] = { 0.93,
                                     0.03393402310006745,
                                     0.0002973576188001809,
                                     9.150376021720885e-07,
                                     1.0513327745148025e-09,
                                     3.7950981923882195e-13,
                                     1.9260147814058e-17 };
static const double FN(tanh_q)[] = { 1.86,
                                     0.22286804620013487,
                                     0.003667052420944978,
                                     1.8636439567658926e-05,
                                     3.523083142202863e-08,
                                     2.36447810426793e-11,
                                     3.893776384790641e-15 };
#endif
#define DEGREE(c) ((int)(sizeof FN(c) / sizeof *FN(c)) - 1)

/* x = n ln 2 + r, |r| <= ln 2 / 2, for x that n fits an exponent or nearly. Returns exp(r) - 1; the low bits of *n are
 * those of n + offset, ready to be shifted to an exponent's place. */
PLEAT_INLINE V FN(exp_reduced)(V x, T offset, IVEC *n)
{
    const V t = x * LOG2E + (ROUNDER + offset), k = t - (ROUNDER + offset);
    *n = (IVEC)t;
    const V r = (x - k * LN2_HIGH) - k * LN2_LOW;
    return r + r * r * FN(poly_pairs)(r, FN(exp_c), DEGREE(exp_c));
}

/* 2^(n - BIAS) */
PLEAT_INLINE V FN(exp2_biased)(IVEC n)
{
    return (V)(n << MANTISSA);
}

#define EXP_LOW BIT(-104, -746) /* below it exp is 0 */

/* Outside of its range the reduction's result is garbage, which is not taken; NaN passes through it. */
PLEAT_INLINE V FN(exp)(V x)
{
    const T high = BIT(89, 710); /* beyond, the result is infinity already */
    IVEC n;
    const V m = FN(exp_reduced)(x, 2 * BIAS, &n);
    const IVEC half = n >> 1; /* two steps: 2^n itself may be out of range where the result is denormal, or just not */
    const V some = FN(exp2_biased)(half), e = (some + some * m) * FN(exp2_biased)(n - half);
    return PICK(x > high, FN(splat)(BIT(__builtin_inff, __builtin_inf)()), ZERO_WHERE(x < EXP_LOW, e));
}

/* exp for x <= 0, or little more: 2^(n + 64), which always is in range, and then 2^-64 (2^512). */
PLEAT_INLINE V FN(exp_falling)(V x)
{
    IVEC n;
    const V m = FN(exp_reduced)(x, BIAS + BIT(64, 512), &n), scale = FN(exp2_biased)(n);
    return ZERO_WHERE(x < EXP_LOW, (scale + scale * m) * BIT(0x1p-64f, 0x1p-512));
}

#define EXPM1_HIGH BIT(87, 708)

/* For x <= EXPM1_HIGH. */
PLEAT_INLINE V FN(expm1_low)(V x)
{
    const T low = BIT(-20, -40); /* below it is -1 */
    IVEC n;
    const V m = FN(exp_reduced)(PICK(x < low, FN(splat)(low), x), BIAS, &n), scale = FN(exp2_biased)(n);
    return PICK(x == 0, x, scale * m + (scale - 1));
}

PLEAT_INLINE V FN(expm1)(V x)
{
    return PICK(x > EXPM1_HIGH, FN(exp)(x), FN(expm1_low)(x));
}

/* x = 2^k (1 + f), 1 + f from sqrt(1/2) to sqrt(2), for x that is a normal number. Returns f. */
PLEAT_INLINE V FN(split)(V x, V *k)
{
    const IVEC root = (IVEC)FN(splat)(BIT(0x1.6a09e6p-1f, 0x1.6a09e667f3bcdp-1)), bits = (IVEC)x - root;
    *k = (V)((bits >> MANTISSA) + (IVEC)FN(splat)(ROUNDER)) - ROUNDER; /* an integer in its low bits becomes a number */
    return (V)((bits & (((INT)1 << MANTISSA) - 1)) + root) - 1;
}

/* log(2^k (1 + f)) */
PLEAT_INLINE V FN(log_of)(V k, V f)
{
    const V z = f * f;
#if PLEAT_FLOAT == 32
    return k * LN2_HIGH + (f + (z * FN(poly_pairs)(f, FN(log_c), DEGREE(log_c)) + k * LN2_LOW));
#else
    /* log(1 + f) = 2 s + s R(s^2) with s = f / (2 + f), put so that f itself is what the rest corrects */
    const V s = f / (2 + f), s2 = s * s, h = (T)0.5 * z, r = s2 * FN(poly)(s2, FN(log_c), DEGREE(log_c));
    return k * LN2_HIGH - ((h - (s * (h + r) + k * LN2_LOW)) - f);
#endif
}

PLEAT_INLINE V FN(log_of_normal)(V x)
{
    V k;
    const V f = FN(split)(x, &k);
    return FN(log_of)(k, f);
}

PLEAT_INLINE V FN(log)(V x)
{
    const T infinity = BIT(__builtin_inff, __builtin_inf)();
    const IVEC tiny = x < BIT(0x1p-126f, 0x1p-1022);
    V k;
    const V f = FN(split)(x * PICK(tiny, FN(splat)(BIT(0x1p25f, 0x1p54)), FN(splat)(1)), &k);
    const V y = FN(log_of)(k - ZERO_WHERE(~tiny, FN(splat)(BIT(25, 54))), f);
    const V nothing = PICK(x < 0, FN(splat)(BIT(__builtin_nanf, __builtin_nan)("")), x); /* infinity and NaN stay */
    const V special = PICK(x == 0, FN(splat)(-infinity), nothing);
    return PICK((x > 0) & (x < infinity), y, special);
}

/* For x > -1. */
PLEAT_INLINE V FN(log1p)(V x)
{
    const T infinity = BIT(__builtin_inff, __builtin_inf)();
    V k;
    const V u = 1 + x, f = FN(split)(u, &k), lost = (T)0.5 * (x - (u - 1));
    const V shrink =
        FN(exp2_biased)(BIAS + 1 - (IVEC)(k + ROUNDER)); /* 2^(1 - k), or 0 where that is no normal number */
    return PICK(x < infinity, FN(log_of)(k, f + lost * shrink), x);
}

/* 2 t / (1 + t^2) with t = tanh(x / 2) = x p(x^2) / q(x^2): the nearer t is to 1 the less its error matters, so that
 * short p and q do, and with one division. Both bear a factor (1.81, 1.86), by which they end where floating numbers
 * are densest for their size while x is small. */
PLEAT_INLINE V FN(tanh)(V x)
{
    const T last = BIT(8.3f, 18.35); /* from here on 1 is within two units of it, and the quotient may pass it */
    const V z = x * x, p = x * FN(poly)(z, FN(tanh_p), DEGREE(tanh_p)), q = FN(poly)(z, FN(tanh_q), DEGREE(tanh_q));
    return PICK(z > last * last, FN(copysign)(FN(splat)(1), x), (p + p) * q / (p * p + q * q));
}

PLEAT_INLINE V FN(sigmoid)(V x)
{
    const V e = FN(exp_falling)(-FN(abs)(x));
    return PICK(x < 0, e, FN(splat)(1)) / (1 + e);
}

/* 1 - erf(a) = exp(-a q(a)) for a >= 0, and its distance to 1 comes as in expm1. */
PLEAT_INLINE V FN(erf)(V x)
{
    const T last = BIT(3.93f, 5.93); /* from here on erf is 1 */
    const V a = FN(abs)(x), b = PICK(a > last, FN(splat)(last), a);
    IVEC n;
    const V m = FN(exp_reduced)(-b - b * BIT(poly_pairs_f32, poly_f64)(b, FN(erf_c), DEGREE(erf_c)), BIAS, &n),
            scale = FN(exp2_biased)(n);
    return FN(copysign)((1 - scale) - scale * m, x);
}
