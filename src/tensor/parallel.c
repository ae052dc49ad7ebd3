/* The one file that knows OpenMP. */
#include <pleat/parallel.h>

#include "tensor/error.h"

#include <fenv.h>
#include <pthread.h>
#include <stdatomic.h>
#ifdef _OPENMP
#include <omp.h>
#endif

static _Thread_local int thread_limit; /* 0: the default */
static _Thread_local int worker;
static atomic_llong grain_limit;
static atomic_int workers_seen;

int pleat_worker(void)
{
    return worker;
}

int pleat_threads(void)
{
#ifdef _OPENMP
    return thread_limit > 0 ? thread_limit : omp_get_max_threads();
#else
    return 1;
#endif
}

pleat_status pleat_set_threads(int threads)
{
    if (threads < 0 || threads > 4096)
        return pleat_tell(pleat_fail(
            PLEAT_EINVAL, "set_threads: the number of threads must be 0 (the default) to 4096, not %d", threads));
    thread_limit = threads;
    return PLEAT_OK;
}

void pleat_parallel_limit_grain(int64_t limit)
{
    atomic_store(&grain_limit, limit);
}

int pleat_parallel_workers_seen(void)
{
    return atomic_exchange(&workers_seen, 0);
}

static void run(int64_t chunk, int64_t n, int64_t grain, pleat_range_fn fn, void *ctx)
{
    const int64_t begin = chunk * grain;
    fn(begin, grain < n - begin ? begin + grain : n, ctx);
}

static void saw(int workers)
{
    int most = atomic_load(&workers_seen);
    while (workers > most && !atomic_compare_exchange_weak(&workers_seen, &most, workers))
        ;
}

#ifdef _OPENMP
/* A child of fork has none of the parent's workers, and the runtime would wait for them for ever. */
static atomic_bool had_workers, lost_workers;

static void in_child(void)
{
    if (atomic_load(&had_workers))
        atomic_store(&lost_workers, true);
}

static void watch_fork(void)
{
    pthread_atfork(NULL, NULL, in_child);
}

/* Every thread has a run of chunks of its own, so that it meets what lies in its cache since the loop before. The first
 * of them it does itself; one that is done with all takes from the others'. */
typedef struct {
    _Alignas(64) atomic_llong next;
    int64_t first, end;
} share;
enum { SHARES = 64 }; /* threads beyond have none, and take */

static void run_parallel(int threads, int64_t chunks, int64_t n, int64_t grain, pleat_range_fn fn, void *ctx)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_fork);
    atomic_store(&had_workers, true);
    const int rounding = fegetround();
    atomic_int busy = 0;
    share shares[SHARES];
    const int count = threads < SHARES ? threads : SHARES;
    for (int i = 0; i < count; i++) {
        shares[i].first = i > 0 ? shares[i - 1].end : 0;
        shares[i].end = shares[i].first + chunks / count + (i < chunks % count);
        atomic_init(&shares[i].next, shares[i].first + 1);
    }
#pragma omp parallel num_threads(threads)
    {
        const int own = fegetround(), before = worker;
        worker = omp_get_thread_num();
        if (own != rounding)
            fesetround(rounding);
        bool worked = worker < count;
        for (int i = worker; i < count; i += omp_get_num_threads()) /* may be fewer than asked for */
            run(shares[i].first, n, grain, fn, ctx);
        for (int i = 0; i < count; i++) {
            share *s = &shares[(worker + i) % count];
            int64_t chunk;
            while ((chunk = atomic_fetch_add_explicit(&s->next, 1, memory_order_relaxed)) < s->end) {
                run(chunk, n, grain, fn, ctx);
                worked = true;
            }
        }
        if (own != rounding)
            fesetround(own);
        worker = before;
        if (worked)
            atomic_fetch_add(&busy, 1);
    }
    saw(atomic_load(&busy));
}
#endif

void pleat_parallel_for(int64_t n, int64_t grain, pleat_range_fn fn, void *ctx)
{
    if (n <= 0)
        return;
    const int64_t limit = atomic_load_explicit(&grain_limit, memory_order_relaxed);
    if (limit > 0 && grain > limit)
        grain = limit;
    if (grain < 1)
        grain = 1;
    const int64_t chunks = n <= grain ? 1 : n / grain + (n % grain != 0);
#ifdef _OPENMP
    const int threads = chunks > 1 ? pleat_threads() : 1;
    if (threads > 1 && !omp_in_parallel() && !atomic_load(&lost_workers)) {
        run_parallel(chunks < threads ? (int)chunks : threads, chunks, n, grain, fn, ctx);
        return;
    }
#endif
    const int before = worker; /* serially inside somebody's region, this thread is the only worker of its own loop */
    worker = 0;
    for (int64_t chunk = 0; chunk < chunks; chunk++)
        run(chunk, n, grain, fn, ctx);
    worker = before;
    saw(1);
}
