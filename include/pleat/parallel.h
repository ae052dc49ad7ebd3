/* Parallel loops. The only place where the library runs on more than one thread.
 *
 * A result never depends on the number of threads: chunks follow from n and grain alone, and a function writes what its
 * range alone decides. Partial sums go into an array with one place per block of a fixed size, and are added up in
 * order afterwards. Inside a caller's OpenMP region, after a fork, for one chunk, or without OpenMP, it is serial. */
#ifndef PLEAT_PARALLEL_H
#define PLEAT_PARALLEL_H

#include <pleat/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Works on [begin, end). Must not fail, nor set an error: what can fail is done before. */
typedef void (*pleat_range_fn)(int64_t begin, int64_t end, void *ctx);

/* Calls fn on ranges of at most grain elements (grain below 1 counts as 1) that cover [0, n) once each. */
PLEAT_API void pleat_parallel_for(int64_t n, int64_t grain, pleat_range_fn fn, void *ctx);

/* The most threads a loop of the calling thread uses. The default is OpenMP's (OMP_NUM_THREADS, or every core). */
PLEAT_API int pleat_threads(void);
PLEAT_API pleat_status pleat_set_threads(int threads); /* 0: the default again */

/* Inside a range: which of the workers runs it, from 0 to pleat_threads() - 1; 0 outside. For scratch memory. */
PLEAT_API int pleat_worker(void);

/* For tests. A limit above 0 cuts every grain down to it (0 lifts it), so that small inputs run on several threads;
 * the largest number of workers that one loop was seen to run on since the last call. Process-wide. */
PLEAT_API void pleat_parallel_limit_grain(int64_t limit);
PLEAT_API int pleat_parallel_workers_seen(void);

#ifdef __cplusplus
}
#endif
#endif
