/* Random numbers in bulk: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw, SC 2011), sixteen blocks at a time.
 *
 * A stream is (seed, draw); its block b is four 32-bit words. Sixteen blocks make a group, and the elements of a group
 * lie word by word, not block by block, so that a vector register holds one word of sixteen blocks and nothing is
 * shuffled:
 *
 *     element e of group g reads    32-bit elements (64 a group)    word e / 16 of block 16 g + e % 16
 *                                   64-bit elements (32 a group)    words 2 (e / 16) and 2 (e / 16) + 1 of that block
 *
 * Which words an element reads depends on nothing else, so any split of the range gives the same numbers. */
#ifndef PLEAT_KERNELS_RANDOM_H
#define PLEAT_KERNELS_RANDOM_H

#include "kernels/kernels.h"

/* Block `counter` of the stream: the key is the seed, the counter's upper half the draw. */
static inline void pleat_philox_block(uint64_t seed, uint64_t draw, uint64_t counter, uint32_t out[4])
{
    uint32_t c0 = (uint32_t)counter, c1 = (uint32_t)(counter >> 32), c2 = (uint32_t)draw, c3 = (uint32_t)(draw >> 32);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
#pragma GCC unroll 10
    for (int round = 0; round < 10; round++) {
        const uint64_t a = (uint64_t)UINT32_C(0xD2511F53) * c0, b = (uint64_t)UINT32_C(0xCD9E8D57) * c2;
        const uint32_t n0 = (uint32_t)(b >> 32) ^ c1 ^ k0, n2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)b;
        c3 = (uint32_t)a;
        c0 = n0;
        c2 = n2;
        k0 += UINT32_C(0x9E3779B9);
        k1 += UINT32_C(0xBB67AE85);
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* The upper 64 bits of a * b. */
static inline uint64_t pleat_high_product(uint64_t a, uint64_t b)
{
    const uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    const uint64_t middle = ah * bl + ((al * bl) >> 32), other = al * bh + (uint32_t)middle;
    return ah * bh + (middle >> 32) + (other >> 32);
}

/* Element i of out is out[i], whatever the range; dtype is PLEAT_F32 or PLEAT_F64. */
typedef struct {
    void *out;
    pleat_dtype dtype;
    uint64_t seed, draw;
    double a, b; /* uniform: low, high; normal: mean, standard deviation */
} pleat_random_work;

typedef struct {
    int64_t *out;
    uint64_t seed, draw;
    int64_t low;
    uint64_t count; /* how many values there are, from low up; 0 means 2^64 */
} pleat_randint_work;

typedef struct {
    const void *x;
    void *y;
    pleat_dtype dtype;
    uint64_t seed, draw;
    uint64_t threshold; /* p 2^32: an element is dropped where its word is below */
    double scale;
} pleat_dropout_work;

struct pleat_random_kernels {
    /* Uniform in [a, b), from 24 bits (float32) or 53; a where a = b. */
    void (*uniform)(const pleat_random_work *work, int64_t begin, int64_t end);
    /* Box and Muller's: |z| is at most 6.7 in float32 and 8.6 in float64. */
    void (*normal)(const pleat_random_work *work, int64_t begin, int64_t end);
    /* The upper half of a 64-bit word times count: off from uniform by less than count / 2^64. */
    void (*randint)(const pleat_randint_work *work, int64_t begin, int64_t end);
    /* y = x * scale where kept, else 0. The mask is the same for both dtypes. */
    void (*dropout)(const pleat_dropout_work *work, int64_t begin, int64_t end);
};

#ifdef PLEAT_ISA
extern const struct pleat_random_kernels PLEAT_K(random_kernels);
#endif

#endif
