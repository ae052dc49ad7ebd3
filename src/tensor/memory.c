/* The caching allocator.
 *
 *   block:  [ header, 64 bytes | what the caller gets ... ]      both 64-byte aligned
 *
 * Sizes are rounded up to classes, eight to an octave, so at most an eighth is wasted; a freed block joins its class's
 * list and the next request of the class takes it, warm and already mapped. One lock guards lists and counters: it is
 * held for a few instructions, so whoever finds it taken asks again. Under a sanitizer or valgrind nothing is cached,
 * so that they see every use. Large blocks ask for huge pages, of which a processor knows the addresses of more memory
 * at once. */
#if defined __linux__ && !defined _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* madvise */
#endif
#include "tensor/memory.h"

#include "tensor/error.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum { ALIGN = 64, STEPS = 8, CLASSES = 58 * STEPS, HUGE_PAGE = 2 << 20, LARGE = 64 << 10, ROOM = 512 };

typedef struct header {
    struct header *next; /* in the class's list */
    size_t size;         /* of the caller's part */
    int class;
} header;

static atomic_flag locked = ATOMIC_FLAG_INIT;
static header *cache[CLASSES];
static pleat_memory stats;
static int64_t cap, cache_limit = INT64_MAX, fail_after;
static bool pass_through;

static void lock(void)
{
    while (atomic_flag_test_and_set_explicit(&locked, memory_order_acquire))
        sched_yield();
}

static void unlock(void)
{
    atomic_flag_clear_explicit(&locked, memory_order_release);
}

static void set_up(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (cap == 0)
        cap = pages > 0 && page > 0 ? (int64_t)pages * page : INT64_MAX;
    const char *preload = getenv("LD_PRELOAD"); /* valgrind's only trace that needs no header of its own */
    pass_through = SANITIZED || (preload && strstr(preload, "vgpreload"));
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Class k holds blocks of (8 + k % 8) << (k / 8 + 3) bytes: 64, 72, ... 120, 128, 144, ... The large ones have room for
 * a tensor's head besides: its elements' bytes are a power of two often enough, and fill the class then. */
static int class_of(size_t size, size_t *rounded)
{
    const size_t room = size > LARGE ? ROOM : 0;
    if (size < ALIGN)
        size = ALIGN;
    if (room)
        size = size > LARGE + room ? size - room : LARGE + 1;
    int octave = 0;
    while ((size >> octave) >= 2 * ALIGN)
        octave++;
    const size_t step = (size_t)STEPS << octave;
    size_t steps = (size + step - 1) / step; /* 8 to 16 */
    if (steps == 2 * STEPS) {
        octave++;
        steps = STEPS;
    }
    *rounded = steps * ((size_t)STEPS << octave) + room;
    return octave * STEPS + (int)steps - STEPS;
}

static header *take(header *from)
{
    header *h = from;
    while (h) {
        header *next = h->next;
        free(h);
        h = next;
    }
    return NULL;
}

/* With the lock held: empties the lists, and returns them as one for take() to free outside. */
static header *drop_cache(void)
{
    header *all = NULL;
    for (int c = 0; c < CLASSES; c++)
        while (cache[c]) {
            header *h = cache[c];
            cache[c] = h->next;
            h->next = all;
            all = h;
        }
    stats.cached_bytes = 0;
    return all;
}

/* A block from the C library. No huge page reaches beyond what was asked for: its memory would be used up by nothing.
 */
static header *obtain(size_t size, size_t rounded)
{
    const size_t whole = ((pass_through ? size : rounded) + 2 * ALIGN - 1) / ALIGN * ALIGN;
#ifdef MADV_HUGEPAGE
    const size_t huge = (size + ALIGN) / HUGE_PAGE * HUGE_PAGE;
    if (huge > 0 && !pass_through) {
        void *block = NULL;
        if (posix_memalign(&block, HUGE_PAGE, whole) == 0)
            madvise(block, huge, MADV_HUGEPAGE); /* advice: nothing is lost where it is refused */
        return block;
    }
#endif
    return aligned_alloc(ALIGN, whole);
}

void *pleat_alloc(size_t size)
{
    pthread_once(&once, set_up);
    if (size > (size_t)INT64_MAX / 2) {
        pleat_fail(PLEAT_ENOMEM, "%zu bytes are more than a machine has", size);
        return NULL;
    }
    size_t rounded;
    const int class = class_of(size, &rounded);
    const int64_t bytes = (int64_t)rounded;
    header *h = NULL;

    lock();
    const bool injected = fail_after > 0 && --fail_after == 0;
    const int64_t live = stats.live_bytes, limit = cap;
    const bool fits = !injected && bytes <= limit - live;
    if (fits) {
        stats.allocations++;
        stats.live_bytes += bytes;
        if (stats.live_bytes > stats.peak_bytes)
            stats.peak_bytes = stats.live_bytes;
        h = cache[class];
        if (h) {
            cache[class] = h->next;
            stats.cached_bytes -= bytes;
            stats.cache_hits++;
        }
    }
    unlock();
    if (h)
        return (char *)h + ALIGN;

    if (fits) {
        h = obtain(size, rounded);
        if (!h) {
            pleat_memory_trim(); /* what is cached may be what is missing */
            h = obtain(size, rounded);
        }
        if (h) {
            h->class = class;
            h->size = rounded;
            return (char *)h + ALIGN;
        }
        lock();
        stats.live_bytes -= bytes;
        stats.allocations--;
        unlock();
    }
    if (!fits && !injected)
        pleat_fail(PLEAT_ENOMEM,
                   "%zu bytes with %" PRId64 " in use are over the cap of %" PRId64 " (pleat_memory_set_cap)", size,
                   live, limit);
    else
        pleat_fail(PLEAT_ENOMEM, "no memory for %zu bytes%s", size, injected ? " (a failure asked for by a test)" : "");
    return NULL;
}

void *pleat_alloc_zeroed(size_t size)
{
    void *block = pleat_alloc(size);
    return block ? memset(block, 0, size) : NULL;
}

void pleat_free(void *block)
{
    if (!block)
        return;
    header *h = (header *)((char *)block - ALIGN);
    const int64_t bytes = (int64_t)h->size;
    lock();
    stats.live_bytes -= bytes;
    const bool keep = !pass_through && bytes <= cache_limit - stats.cached_bytes;
    if (keep) {
        h->next = cache[h->class];
        cache[h->class] = h;
        stats.cached_bytes += bytes;
    }
    unlock();
    if (!keep)
        free(h);
}

char *pleat_string_copy(const char *text)
{
    const size_t size = strlen(text) + 1;
    char *copy = pleat_alloc(size);
    return copy ? memcpy(copy, text, size) : NULL;
}

pleat_status pleat_grow(void *array_pointer, int64_t *capacity, int64_t count, size_t size)
{
    if (count <= *capacity)
        return PLEAT_OK;
    const int64_t wanted = count < 16 ? 16 : count > 2 * *capacity ? count : 2 * *capacity;
    void *old, *grown = pleat_alloc((size_t)wanted * size);
    if (!grown)
        return PLEAT_ENOMEM;
    memcpy(&old, array_pointer, sizeof old);
    if (old)
        memcpy(grown, old, (size_t)*capacity * size);
    pleat_free(old);
    memcpy(array_pointer, &grown, sizeof grown);
    *capacity = wanted;
    return PLEAT_OK;
}

pleat_memory pleat_memory_stats(void)
{
    lock();
    const pleat_memory now = stats;
    unlock();
    return now;
}

void pleat_memory_reset_peak(void)
{
    lock();
    stats.peak_bytes = stats.live_bytes;
    unlock();
}

/* Swaps one of the settings, under the lock. */
static int64_t swap(int64_t *setting, int64_t value)
{
    lock();
    const int64_t before = *setting;
    *setting = value;
    unlock();
    return before;
}

int64_t pleat_memory_set_cap(int64_t bytes)
{
    pthread_once(&once, set_up);
    if (bytes > 0)
        return swap(&cap, bytes);
    const int64_t before = swap(&cap, 0);
    set_up();
    return before;
}

int64_t pleat_memory_set_cache_limit(int64_t bytes)
{
    const int64_t before = swap(&cache_limit, bytes < 0 ? 0 : bytes);
    if (bytes < before)
        pleat_memory_trim();
    return before;
}

void pleat_memory_trim(void)
{
    lock();
    header *all = drop_cache();
    unlock();
    take(all);
}

int64_t pleat_memory_fail_after(int64_t n)
{
    return swap(&fail_after, n < 0 ? 0 : n);
}
