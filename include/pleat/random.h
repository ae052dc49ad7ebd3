/* Random numbers: Philox 4x32-10, counter based (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2,
 * 3; SC 2011). Element i of a draw depends on the seed, the draw's place in the thread's sequence and i alone, so a
 * seed gives the same numbers for any thread count. Draw once per statement: C does not order a call's arguments. */
#ifndef PLEAT_RANDOM_H
#define PLEAT_RANDOM_H

#include <pleat/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Starts the calling thread's sequence anew. A thread that never called it starts from seed 0. */
PLEAT_API void pleat_seed(uint64_t seed);

/* Where the sequence stands, to save and to restore. */
typedef struct {
    uint64_t seed, draws;
} pleat_rng_state;
PLEAT_API pleat_rng_state pleat_rng_get(void);
PLEAT_API void pleat_rng_set(pleat_rng_state state);

/* Four 32-bit words: block number `counter` of the stream (seed, draw). Pure; all that is random is made of it. */
PLEAT_API void pleat_philox(uint64_t seed, uint64_t draw, uint64_t counter, uint32_t out[4]);

/* Borrowed from the innermost scope. float32 or float64. */
PLEAT_API pleat_tensor *pleat_rand(pleat_shape shape, pleat_dtype dtype);            /* uniform in [0, 1) */
PLEAT_API pleat_tensor *pleat_randn(pleat_shape shape, pleat_dtype dtype);           /* normal, mean 0, variance 1 */
PLEAT_API pleat_tensor *pleat_randint(int64_t low, int64_t high, pleat_shape shape); /* int64, uniform in [low, high) */
PLEAT_API pleat_tensor *pleat_randperm(int64_t n); /* int64, a permutation of 0 .. n-1 */

/* In place, outside the tape: t = uniform in [low, high); t = normal. Return t. */
PLEAT_API pleat_tensor *pleat_uniform_(pleat_tensor *t, double low, double high);
PLEAT_API pleat_tensor *pleat_normal_(pleat_tensor *t, double mean, double std);

#ifdef __cplusplus
}
#endif
#endif
