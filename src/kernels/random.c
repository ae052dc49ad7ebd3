/* Bulk random numbers. Every loop over LANES has a constant count and no branch, which is all the compiler needs to
 * make vectors of it; the first and the last group of a range are computed whole and stored in part. */
#include "kernels/random.h"

#include <math.h>
#include <string.h>

enum { LANES = 16, GROUP32 = 4 * LANES, GROUP64 = 2 * LANES };

typedef uint32_t words[4][LANES];

static void group_of_words(uint64_t seed, uint64_t draw, int64_t group, words w)
{
    const uint64_t first = (uint64_t)group * LANES;
    for (int l = 0; l < LANES; l++) {
        uint32_t block[4];
        pleat_philox_block(seed, draw, first + (uint64_t)l, block);
        w[0][l] = block[0];
        w[1][l] = block[1];
        w[2][l] = block[2];
        w[3][l] = block[3];
    }
}

/* Calls fill(work, group, buffer) for each group of `size` elements of type T that the range meets, and stores the part
 * that lies in it. */
#define FOR_GROUPS(T, size, out, fill)                                                                                 \
    for (int64_t group = begin / (size), at = begin; at < end; group++) {                                              \
        T buffer[size];                                                                                                \
        const int64_t start = group * (size), stop = start + (size) < end ? start + (size) : end;                      \
        fill(work, group, buffer);                                                                                     \
        memcpy((T *)(out) + at, buffer + (at - start), (size_t)(stop - at) * sizeof(T));                               \
        at = stop;                                                                                                     \
    }

/* 53 bits as two halves that fit an int32_t, whose conversion every instruction set has. */
static inline double fraction53(uint32_t high, uint32_t low)
{
    return (double)(int32_t)(high >> 5) * 0x1p-27 + (double)(int32_t)(low >> 6) * 0x1p-53;
}

static void uniform32(const pleat_random_work *work, int64_t group, float *out)
{
    words w;
    group_of_words(work->seed, work->draw, group, w);
    const float low = (float)work->a, high = (float)work->b, width = (float)(work->b - work->a);
    for (int k = 0; k < 4; k++)
        for (int l = 0; l < LANES; l++) {
            const float v = low + (float)(int32_t)(w[k][l] >> 8) * 0x1p-24f * width;
            out[k * LANES + l] = v < high ? v : low; /* rounding may reach the open end */
        }
}

static void uniform64(const pleat_random_work *work, int64_t group, double *out)
{
    words w;
    group_of_words(work->seed, work->draw, group, w);
    const double low = work->a, high = work->b, width = work->b - work->a;
    for (int k = 0; k < 2; k++)
        for (int l = 0; l < LANES; l++) {
            const double v = low + fraction53(w[2 * k][l], w[2 * k + 1][l]) * width;
            out[k * LANES + l] = v < high ? v : low;
        }
}

static void uniform(const pleat_random_work *work, int64_t begin, int64_t end)
{
    if (work->dtype == PLEAT_F32)
        FOR_GROUPS(float, GROUP32, work->out, uniform32)
    else
        FOR_GROUPS(double, GROUP64, work->out, uniform64)
}

/* log of a normal u in (0, 1], by u = 2^e m with m in [sqrt(1/2), sqrt(2)) and log m = 2 atanh((m - 1) / (m + 1)), the
 * series of atanh cut where its next term is below half a unit in the last place. */
static inline float log32(float u)
{
    uint32_t bits;
    memcpy(&bits, &u, sizeof bits);
    const int32_t e = (int32_t)(bits - 0x3f3504f3) >> 23;
    bits -= (uint32_t)e << 23;
    float m;
    memcpy(&m, &bits, sizeof m);
    const float s = (m - 1) / (m + 1), z = s * s;
    const float tail = z * (0.333333333f + z * (0.2f + z * (0.142857143f + z * 0.111111111f)));
    return (float)e * 0.693147181f + 2 * (s + s * tail);
}

static inline double log64(double u)
{
    uint64_t bits;
    memcpy(&bits, &u, sizeof bits);
    const int32_t e = (int32_t)((uint32_t)(bits >> 32) - 0x3fe6a09f) >> 20;
    bits -= (uint64_t)(uint32_t)e << 52;
    double m;
    memcpy(&m, &bits, sizeof m);
    const double s = (m - 1) / (m + 1), z = s * s;
    double tail = 1.0 / 23;
    tail = tail * z + 1.0 / 21;
    tail = tail * z + 1.0 / 19;
    tail = tail * z + 1.0 / 17;
    tail = tail * z + 1.0 / 15;
    tail = tail * z + 1.0 / 13;
    tail = tail * z + 1.0 / 11;
    tail = tail * z + 1.0 / 9;
    tail = tail * z + 1.0 / 7;
    tail = tail * z + 1.0 / 5;
    tail = tail * z + 1.0 / 3;
    return e * 0.69314718055994530942 + 2 * (s + s * z * tail);
}

/* The angle is a word, in turns of 2^32: its nearest quarter turn, exact in integers, picks which of sine and cosine of
 * the rest, in [-pi/4, pi/4), and the signs; both by their Taylor series. */
static inline void sincos32(uint32_t angle, float *sine, float *cosine)
{
    const uint32_t quarter = (angle + (UINT32_C(1) << 29)) >> 30;
    const float t = (float)(int32_t)(angle - (quarter << 30)) * (0x1p-30f * 1.57079633f), z = t * t;
    const float s = t + t * z * (-1.66666667e-1f + z * (8.33333333e-3f + z * (-1.98412698e-4f + z * 2.75573192e-6f)));
    const float c = 1 + z * (-0.5f + z * (4.16666667e-2f + z * (-1.38888889e-3f + z * 2.48015873e-5f)));
    const float a = quarter & 1 ? c : s, b = quarter & 1 ? s : c;
    *sine = quarter & 2 ? -a : a;
    *cosine = (quarter + 1) & 2 ? -b : b;
}

static inline void sincos64(uint32_t high, uint32_t low, double *sine, double *cosine)
{
    const uint32_t quarter = (high + (UINT32_C(1) << 29)) >> 30;
    const double turn = (double)(int32_t)(high - (quarter << 30)) + (double)(int32_t)(low >> 11) * 0x1p-21;
    const double t = turn * (0x1p-30 * 1.57079632679489661923), z = t * t;
    double s = -1.0 / 1307674368000, c = 1.0 / 20922789888000;
    s = s * z + 1.0 / 6227020800;
    s = s * z - 1.0 / 39916800;
    s = s * z + 1.0 / 362880;
    s = s * z - 1.0 / 5040;
    s = s * z + 1.0 / 120;
    s = s * z - 1.0 / 6;
    s = t + t * z * s;
    c = c * z - 1.0 / 87178291200;
    c = c * z + 1.0 / 479001600;
    c = c * z - 1.0 / 3628800;
    c = c * z + 1.0 / 40320;
    c = c * z - 1.0 / 720;
    c = c * z + 1.0 / 24;
    c = c * z - 0.5;
    c = 1 + z * c;
    const double a = quarter & 1 ? c : s, b = quarter & 1 ? s : c;
    *sine = quarter & 2 ? -a : a;
    *cosine = (quarter + 1) & 2 ? -b : b;
}

/* Words 0 and 1 make elements e and e + 16, words 2 and 3 the next two; the radius reads the upper 31 bits of its word,
 * never 0. */
static void normal32(const pleat_random_work *work, int64_t group, float *out)
{
    words w;
    group_of_words(work->seed, work->draw, group, w);
    const float mean = (float)work->a, deviation = (float)work->b;
    for (int k = 0; k < 4; k += 2)
        for (int l = 0; l < LANES; l++) {
            const float u = ((float)(int32_t)(w[k][l] >> 1) + 0.5f) * 0x1p-31f;
            const float squared = -2 * log32(u), radius = sqrtf(squared > 0 ? squared : 0) * deviation;
            float s, c;
            sincos32(w[k + 1][l], &s, &c);
            out[k * LANES + l] = mean + radius * c;
            out[(k + 1) * LANES + l] = mean + radius * s;
        }
}

/* Words 0 and 1 are the radius, 2 and 3 the angle. */
static void normal64(const pleat_random_work *work, int64_t group, double *out)
{
    words w;
    group_of_words(work->seed, work->draw, group, w);
    for (int l = 0; l < LANES; l++) {
        const double squared = -2 * log64(fraction53(w[0][l], w[1][l]) + 0x1p-54);
        const double radius = sqrt(squared > 0 ? squared : 0) * work->b;
        double s, c;
        sincos64(w[2][l], w[3][l], &s, &c);
        out[l] = work->a + radius * c;
        out[LANES + l] = work->a + radius * s;
    }
}

static void normal(const pleat_random_work *work, int64_t begin, int64_t end)
{
    if (work->dtype == PLEAT_F32)
        FOR_GROUPS(float, GROUP32, work->out, normal32)
    else
        FOR_GROUPS(double, GROUP64, work->out, normal64)
}

static void randint64(const pleat_randint_work *work, int64_t group, int64_t *out)
{
    words w;
    group_of_words(work->seed, work->draw, group, w);
    for (int k = 0; k < 2; k++)
        for (int l = 0; l < LANES; l++) {
            const uint64_t bits = (uint64_t)w[2 * k][l] << 32 | w[2 * k + 1][l];
            const uint64_t v = work->count ? pleat_high_product(bits, work->count) : bits;
            out[k * LANES + l] = (int64_t)((uint64_t)work->low + v);
        }
}

static void randint(const pleat_randint_work *work, int64_t begin,
                    int64_t end){ FOR_GROUPS(int64_t, GROUP64, work->out, randint64) }

#define DROPOUT(name, T)                                                                                               \
    static void name(const pleat_dropout_work *work, int64_t begin, int64_t end)                                       \
    {                                                                                                                  \
        const T *x = work->x, scale = (T)work->scale;                                                                  \
        T *y = work->y;                                                                                                \
        const uint32_t threshold = (uint32_t)work->threshold;                                                          \
        for (int64_t at = begin; at < end;) {                                                                          \
            words w;                                                                                                   \
            const int64_t group = at / GROUP32, start = group * GROUP32;                                               \
            const int64_t stop = start + GROUP32 < end ? start + GROUP32 : end;                                        \
            const uint32_t *word = &w[0][0];                                                                           \
            group_of_words(work->seed, work->draw, group, w);                                                          \
            for (; at < stop; at++)                                                                                    \
                y[at] = word[at - start] < threshold ? 0 : x[at] * scale;                                              \
        }                                                                                                              \
    }
DROPOUT(dropout32, float) DROPOUT(dropout64, double)

    static void dropout(const pleat_dropout_work *work, int64_t begin, int64_t end)
{
    const size_t width = work->dtype == PLEAT_F32 ? sizeof(float) : sizeof(double);
    if (work->threshold >> 32) /* above every word */
        memset((char *)work->y + (size_t)begin * width, 0, (size_t)(end - begin) * width);
    else if (work->dtype == PLEAT_F32)
        dropout32(work, begin, end);
    else
        dropout64(work, begin, end);
}

const struct pleat_random_kernels PLEAT_K(random_kernels) = {
    .uniform = uniform,
    .normal = normal,
    .randint = randint,
    .dropout = dropout,
};
