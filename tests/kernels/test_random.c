/* The random kernels: Philox against Random123's published vectors, the bulk fills against one block at a time, against
 * themselves split anywhere, and their distributions. Whatever is checked is checked for every instruction set that the
 * machine runs (ctest sets PLEAT_ISA). */
#include "kernels/random.h"

#include "support/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 100000 };

START_TEST(known_answers)
{
    static const struct {
        uint64_t seed, draw, counter;
        uint32_t want[4];
    } vectors[] = {
        { 0, 0, 0, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { UINT64_MAX, UINT64_MAX, UINT64_MAX, { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { 0x299f31d0a4093822,
          0x0370734413198a2e,
          0x85a308d3243f6a88,
          { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        uint32_t got[4];
        pleat_philox_block(vectors[i].seed, vectors[i].draw, vectors[i].counter, got);
        for (int k = 0; k < 4; k++)
            ck_assert_uint_eq(got[k], vectors[i].want[k]);
    }
}
END_TEST

/* The word that the header says a 32-bit element reads. */
static uint32_t word32(uint64_t seed, uint64_t draw, int64_t i)
{
    uint32_t block[4];
    pleat_philox_block(seed, draw, (uint64_t)(i / 64 * 16 + i % 16), block);
    return block[i % 64 / 16];
}

static uint64_t word64(uint64_t seed, uint64_t draw, int64_t i)
{
    uint32_t block[4];
    pleat_philox_block(seed, draw, (uint64_t)(i / 32 * 16 + i % 16), block);
    const int64_t k = i % 32 / 16 * 2;
    return (uint64_t)block[k] << 32 | block[k + 1];
}

START_TEST(uniform_is_the_stream)
{
    float *f = malloc(N * sizeof *f);
    double *d = malloc(N * sizeof *d);
    const struct pleat_random_kernels *k = pleat_kernels_get()->random;
    k->uniform(&(pleat_random_work){ f, PLEAT_F32, 7, 3, 0, 1 }, 0, N);
    k->uniform(&(pleat_random_work){ d, PLEAT_F64, 7, 3, 0, 1 }, 0, N);
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < N; i++) {
        ck_assert(f[i] == (float)(word32(7, 3, i) >> 8) * 0x1p-24f);
        const uint64_t w = word64(7, 3, i);
        ck_assert(d[i] == (double)(w >> 37) * 0x1p-27 + (double)((uint32_t)w >> 6) * 0x1p-53);
        sum += d[i];
        squares += d[i] * d[i];
    }
    ck_assert_double_eq_tol(sum / N, 0.5, 0.005);
    ck_assert_double_eq_tol(squares / N, 1.0 / 3, 0.005);
    free(f);
    free(d);
}
END_TEST

START_TEST(bounds)
{
    float *f = malloc(N * sizeof *f);
    const struct pleat_random_kernels *k = pleat_kernels_get()->random;
    k->uniform(&(pleat_random_work){ f, PLEAT_F32, 1, 1, 16777215, 16777216 }, 0, N);
    for (int64_t i = 0; i < N; i++)
        ck_assert(f[i] == 16777215); /* what rounds to the upper bound goes to the lower */
    k->uniform(&(pleat_random_work){ f, PLEAT_F32, 1, 1, -3, -3 }, 0, 100);
    for (int64_t i = 0; i < 100; i++)
        ck_assert(f[i] == -3);
    free(f);
}
END_TEST

/* Moments, and the share below some points, of the standard normal, shifted and scaled. */
static void check_normal(const double *z)
{
    static const double point[] = { -3, -2, -1, -0.25, 0, 0.5, 1.5, 2.5 };
    double m1 = 0, m2 = 0, m3 = 0, m4 = 0, pairs = 0;
    for (int64_t i = 0; i < N; i++) {
        m1 += z[i];
        m2 += z[i] * z[i];
        m3 += pow(z[i], 3);
        m4 += pow(z[i], 4);
        pairs += z[i] * z[(i + 16) % N]; /* the sine and the cosine of one pair are 16 apart */
    }
    ck_assert_double_eq_tol(m1 / N, 0, 0.015);
    ck_assert_double_eq_tol(m2 / N, 1, 0.02);
    ck_assert_double_eq_tol(m3 / N, 0, 0.05);
    ck_assert_double_eq_tol(m4 / N, 3, 0.15);
    ck_assert_double_eq_tol(pairs / N, 0, 0.015);
    for (size_t p = 0; p < sizeof point / sizeof *point; p++) {
        int below = 0;
        for (int64_t i = 0; i < N; i++)
            below += z[i] < point[p];
        ck_assert_double_eq_tol((double)below / N, 0.5 * erfc(-point[p] / sqrt(2)), 0.007);
    }
}

/* Box and Muller's formula with the C library's functions, from the words the kernel reads. */
static double box_muller(uint64_t seed, uint64_t draw, int64_t i, bool is_float)
{
    const double tau = 6.283185307179586477;
    const int64_t e = i % (is_float ? 64 : 32);
    uint32_t w[4];
    pleat_philox_block(seed, draw, (uint64_t)(i / (is_float ? 64 : 32) * 16 + i % 16), w);
    if (is_float) {
        const int64_t k = e / 32 * 2;
        const float u = ((float)(int32_t)(w[k] >> 1) + 0.5f) * 0x1p-31f; /* rounds as the kernel does */
        const double r = sqrt(-2 * log((double)u)), turn = w[k + 1] * 0x1p-32;
        return r * (e % 32 < 16 ? cos(tau * turn) : sin(tau * turn));
    }
    const double u = (double)(w[0] >> 5) * 0x1p-27 + (double)(w[1] >> 6) * 0x1p-53 + 0x1p-54;
    const double r = sqrt(-2 * log(u)), turn = w[2] * 0x1p-32 + (w[3] >> 11) * 0x1p-53;
    return r * (e < 16 ? cos(tau * turn) : sin(tau * turn));
}

START_TEST(normal_is_box_muller)
{
    float *f = malloc(N * sizeof *f);
    double *d = malloc(N * sizeof *d), *z = malloc(N * sizeof *z);
    const struct pleat_random_kernels *k = pleat_kernels_get()->random;
    k->normal(&(pleat_random_work){ f, PLEAT_F32, 11, 5, 0, 1 }, 0, N);
    k->normal(&(pleat_random_work){ d, PLEAT_F64, 11, 5, 10, 2 }, 0, N);
    for (int64_t i = 0; i < N; i++) {
        const double want = box_muller(11, 5, i, true);
        ck_assert_double_eq_tol(f[i], want, 1e-6 + 4e-7 * fabs(want));
        ck_assert_double_eq_tol(d[i], 10 + 2 * box_muller(11, 5, i, false), 2e-14);
        z[i] = f[i];
    }
    check_normal(z);
    for (int64_t i = 0; i < N; i++)
        z[i] = (d[i] - 10) / 2;
    check_normal(z);
    free(f);
    free(d);
    free(z);
}
END_TEST

START_TEST(randint_is_uniform)
{
    int64_t *r = malloc(N * sizeof *r), count[7] = { 0 };
    const struct pleat_random_kernels *k = pleat_kernels_get()->random;
    k->randint(&(pleat_randint_work){ r, 2, 9, -3, 7 }, 0, N);
    for (int64_t i = 0; i < N; i++) {
        ck_assert_int_ge(r[i], -3);
        ck_assert_int_le(r[i], 3);
        count[r[i] + 3]++;
    }
    for (int i = 0; i < 7; i++)
        ck_assert_double_eq_tol((double)count[i] / N, 1.0 / 7, 0.006);
    k->randint(&(pleat_randint_work){ r, 2, 9, INT64_MIN, 0 }, 0, 1000); /* every int64 */
    for (int64_t i = 0; i < 1000; i++)
        ck_assert_uint_eq((uint64_t)r[i], (UINT64_C(1) << 63) + word64(2, 9, i));
    free(r);
}
END_TEST

START_TEST(any_split_gives_the_same)
{
    static float f[500], g[500];
    static double d[500], e[500];
    static int64_t r[500], s[500];
    const struct pleat_random_kernels *k = pleat_kernels_get()->random;
    const pleat_random_work fw = { f, PLEAT_F32, 1, 2, 0, 1 }, gw = { g, PLEAT_F32, 1, 2, 0, 1 };
    const pleat_random_work dw = { d, PLEAT_F64, 1, 2, 0, 1 }, ew = { e, PLEAT_F64, 1, 2, 0, 1 };
    const pleat_randint_work rw = { r, 1, 2, 0, 1000 }, sw = { s, 1, 2, 0, 1000 };
    for (int kind = 0; kind < 2; kind++) {
        void (*fill)(const pleat_random_work *, int64_t, int64_t) = kind ? k->normal : k->uniform;
        fill(&fw, 0, 500);
        fill(&dw, 0, 500);
        k->randint(&rw, 0, 500);
        for (int step = 1; step < 140; step += 9) {
            for (int at = 0; at < 500; at += step) {
                const int end = at + step < 500 ? at + step : 500;
                fill(&gw, at, end);
                fill(&ew, at, end);
                k->randint(&sw, at, end);
            }
            ck_assert(memcmp(f, g, sizeof f) == 0);
            ck_assert(memcmp(d, e, sizeof d) == 0);
            ck_assert(memcmp(r, s, sizeof r) == 0);
        }
    }
}
END_TEST

START_TEST(dropout)
{
    static float x[1000], y[1000];
    static double d[1000], e[1000];
    const struct pleat_random_kernels *k = pleat_kernels_get()->random;
    for (int i = 0; i < 1000; i++)
        d[i] = x[i] = (float)i + 1;
    const uint64_t threshold = UINT64_C(0x4ccccccc); /* 0.3 */
    const pleat_dropout_work w = { x, y, PLEAT_F32, 5, 6, threshold, 2 };
    for (int at = 0; at < 1000; at += 37)
        k->dropout(&w, at, at + 37 < 1000 ? at + 37 : 1000);
    k->dropout(&(pleat_dropout_work){ d, e, PLEAT_F64, 5, 6, threshold, 2 }, 0, 1000);
    int dropped = 0;
    for (int i = 0; i < 1000; i++) {
        const bool gone = word32(5, 6, i) < threshold;
        dropped += gone;
        ck_assert(y[i] == (gone ? 0 : 2 * x[i]));
        ck_assert(e[i] == (gone ? 0 : 2 * d[i]));
    }
    ck_assert_int_gt(dropped, 240);
    ck_assert_int_lt(dropped, 360);
    k->dropout(&(pleat_dropout_work){ x, y, PLEAT_F32, 5, 6, UINT64_C(1) << 32, INFINITY }, 3, 1000);
    ck_assert(y[2] == (word32(5, 6, 2) < threshold ? 0 : 6));
    for (int i = 3; i < 1000; i++)
        ck_assert(y[i] == 0);
}
END_TEST

RUN_TESTS("random kernels", known_answers, uniform_is_the_stream, bounds, normal_is_box_muller, randint_is_uniform,
          any_split_gives_the_same, dropout)
