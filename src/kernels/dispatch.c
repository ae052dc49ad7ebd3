/* Chooses the kernel table, once. */
#include "kernels/kernels.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

extern const pleat_kernels pleat_kernels_generic;
#ifdef PLEAT_HAVE_avx2
extern const pleat_kernels pleat_kernels_avx2;
#endif
#ifdef PLEAT_HAVE_avx512
extern const pleat_kernels pleat_kernels_avx512;
#endif

static _Atomic(const pleat_kernels *) chosen;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Unused where the generic table is the only one. */
__attribute__((unused)) static bool wanted(const char *isa)
{
    const char *name = getenv("PLEAT_ISA");
    return !name || !*name || strcmp(name, isa) == 0;
}

/* The best that the machine has and PLEAT_ISA allows. A name that is none of these, or that the machine cannot run,
 * gives the generic table. */
static void choose(void)
{
    const pleat_kernels *best = &pleat_kernels_generic;
#ifdef PLEAT_HAVE_avx2
    if (wanted("avx2") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        best = &pleat_kernels_avx2;
#endif
#ifdef PLEAT_HAVE_avx512
    if (wanted("avx512") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        best = &pleat_kernels_avx512;
#endif
    atomic_store_explicit(&chosen, best, memory_order_release);
}

const pleat_kernels *pleat_kernels_get(void)
{
    const pleat_kernels *k = atomic_load_explicit(&chosen, memory_order_acquire);
    if (k)
        return k;
    pthread_once(&once, choose);
    return atomic_load_explicit(&chosen, memory_order_acquire);
}
