/* Memory: counters, the cap, the cache. All tensors' memory is 64-byte aligned and comes from one caching allocator, so
 * that a steady loop allocates nothing. Under AddressSanitizer and valgrind it passes through to the C library. */
#ifndef PLEAT_MEMORY_H
#define PLEAT_MEMORY_H

#include <pleat/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Tensors alive in the whole process: 0 at the end means that nothing leaked. */
PLEAT_API int64_t pleat_live_tensors(void);

typedef struct {
    int64_t live_bytes;   /* in use now */
    int64_t peak_bytes;   /* most in use at once since the start or pleat_memory_reset_peak */
    int64_t cached_bytes; /* held for reuse, or taken ahead of it: memory is used up where it is first touched */
    int64_t allocations;  /* blocks handed out */
    int64_t cache_hits;   /* of these, from the cache */
} pleat_memory;

PLEAT_API pleat_memory pleat_memory_stats(void);
PLEAT_API void pleat_memory_reset_peak(void);

/* The most bytes in use at once; a request over it is refused (PLEAT_ENOMEM) before it is tried. 0: the default, the
 * machine's physical memory. Returns the cap before. */
PLEAT_API int64_t pleat_memory_set_cap(int64_t bytes);

/* The most bytes kept for reuse; 0 keeps none. Returns the limit before; the default is unlimited. */
PLEAT_API int64_t pleat_memory_set_cache_limit(int64_t bytes);

/* Gives what is cached back to the C library. */
PLEAT_API void pleat_memory_trim(void);

/* For tests: the n-th allocation from now on fails, once (n counts from 1; 0 switches it off). Returns how many were
 * still to go. Counts every allocation the library makes in any thread. */
PLEAT_API int64_t pleat_memory_fail_after(int64_t n);

#ifdef __cplusplus
}
#endif
#endif
