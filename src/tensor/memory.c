/* The caching allocator.
 *
 *   block:  [ head, 64 bytes | what the caller gets ... ]      both 64-byte aligned
 *
 * Small sizes are rounded up to classes, eight to an octave; a freed block joins its class's list and the next request
 * of the class takes it. Large ones are cut from segments (segments.h), which ask for huge pages: a processor knows the
 * addresses of more memory at once. Either way a block comes back warm and already mapped. One lock guards it all: it
 * is held for a few instructions, so whoever finds it taken asks again. Under a sanitizer or valgrind nothing is
 * cached, so that they see every use. */
#if defined __linux__ && !defined _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* madvise */
#endif
#include "tensor/memory.h"

#include "tensor/error.h"
#include "tensor/segments.h"

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

enum {
    ALIGN = 64,
    STEPS = 8,
    LARGE = 64 << 10, /* bytes; from here on they come from segments */
    CLASSES = 11 * STEPS,
    PAGE = 4096, /* large sizes are multiples: then the same elements of all tensors lie at the same place of a page,
                    and no loop reads what looks like an address it has just written */
    PARTS = 256, /* nor are they more exact than this part of their octave: heads and all, two halves fit where a whole
                   was, and as many in a segment as one would think */
    HUGE_PAGE = 2 << 20,
    SEGMENT = 128 << 20 /* bytes at least, or half of what is held already: memory is used up where it is touched */
};

static atomic_flag locked = ATOMIC_FLAG_INIT;
static pleat_block *cache[CLASSES];
static pleat_memory stats;
static int64_t cap, cache_limit = INT64_MAX, fail_after;
static int64_t held; /* bytes of all segments */
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

/* Class k holds blocks of (8 + k % 8) << (k / 8 + 3) bytes: 64, 72, ... 120, 128, 144, ... */
static int class_of(size_t size, size_t *rounded)
{
    if (size < ALIGN)
        size = ALIGN;
    int octave = 0;
    while ((size >> octave) >= 2 * ALIGN)
        octave++;
    const size_t step = (size_t)STEPS << octave;
    size_t steps = (size + step - 1) / step; /* 8 to 16 */
    if (steps == 2 * STEPS) {
        octave++;
        steps = STEPS;
    }
    *rounded = steps * ((size_t)STEPS << octave);
    return octave * STEPS + (int)steps - STEPS;
}

static size_t large(size_t size)
{
    const size_t octave = (size_t)1 << (63 - __builtin_clzll(size));
    const size_t step = octave > (size_t)PAGE * PARTS ? octave / PARTS : PAGE;
    return (size + step - 1) / step * step;
}

static void free_all(pleat_block *list)
{
    while (list) {
        pleat_block *next = list->next;
        free(list);
        list = next;
    }
}

/* With the lock held: empties the cache, but for segments of which something is in use, and returns it as a list for
 * free_all outside. */
static pleat_block *drop_cache(void)
{
    pleat_block *all = pleat_segments_drop_all();
    for (const pleat_block *b = all; b; b = b->next) {
        stats.cached_bytes -= (int64_t)b->size;
        held -= (int64_t)b->size;
    }
    for (int c = 0; c < CLASSES; c++)
        while (cache[c]) {
            pleat_block *b = cache[c];
            cache[c] = b->next;
            b->next = all;
            all = b;
            stats.cached_bytes -= (int64_t)b->size;
        }
    return all;
}

/* Memory from the C library; what is cached may be what is missing. */
static void *obtain(size_t align, size_t size)
{
    void *memory = NULL;
    if (posix_memalign(&memory, align, size) == 0)
        return memory;
    pleat_memory_trim();
    return posix_memalign(&memory, align, size) == 0 ? memory : NULL;
}

static void count(size_t bytes)
{
    stats.live_bytes += (int64_t)bytes;
    if (stats.live_bytes > stats.peak_bytes)
        stats.peak_bytes = stats.live_bytes;
}

/* A block of whole pages, of a segment that it takes from the C library: a large one, or, where there is none or
 * nothing may be kept, one of its size. */
static pleat_block *from_new_segment(size_t size)
{
    lock();
    const int64_t room = cache_limit - stats.cached_bytes, half = held / 2;
    unlock();
    const size_t wanted = half > SEGMENT ? (size_t)half : SEGMENT;
    size_t whole = size > wanted ? size : wanted;
    whole = (whole + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    whole += whole / PARTS;
    void *memory = (int64_t)(whole - size) <= room ? obtain(HUGE_PAGE, whole) : NULL;
    if (!memory) {
        whole = size;
        memory = obtain(PAGE, whole);
    }
    if (!memory)
        return NULL;
#ifdef MADV_HUGEPAGE
    if (whole >= HUGE_PAGE)
        madvise(memory, whole, MADV_HUGEPAGE); /* advice: nothing is lost where it is refused */
#endif
    lock();
    pleat_segments_add(memory, whole);
    held += (int64_t)whole;
    pleat_block *b = pleat_segments_take(size);
    stats.cached_bytes += (int64_t)(whole - b->size);
    count(b->size - size);
    unlock();
    return b;
}

static pleat_block *from_cache(int class, size_t size)
{
    pleat_block *b;
    if (class < 0)
        b = pleat_segments_take(size);
    else {
        b = cache[class];
        if (b)
            cache[class] = b->next;
    }
    if (b) {
        stats.cached_bytes -= (int64_t)b->size;
        stats.cache_hits++;
        count(b->size - size);
    }
    return b;
}

void *pleat_alloc(size_t size)
{
    pthread_once(&once, set_up);
    if (size > (size_t)INT64_MAX / 2) {
        pleat_fail(PLEAT_ENOMEM, "%zu bytes are more than a machine has", size);
        return NULL;
    }
    size_t bytes; /* with the head */
    int class = -1;
    if (size >= LARGE)
        bytes = large(size + PLEAT_BLOCK_HEAD);
    else {
        class = class_of(size, &bytes);
        bytes += PLEAT_BLOCK_HEAD;
    }
    pleat_block *b = NULL;

    lock();
    const bool injected = fail_after > 0 && --fail_after == 0;
    const int64_t live = stats.live_bytes, limit = cap;
    const bool fits = !injected && (int64_t)bytes <= limit - live;
    if (fits) {
        stats.allocations++;
        count(bytes);
        b = from_cache(class, bytes);
    }
    unlock();
    if (b)
        return (char *)b + PLEAT_BLOCK_HEAD;

    if (fits) {
        if (class < 0 && !pass_through)
            b = from_new_segment(bytes);
        else if ((b = obtain(ALIGN, pass_through ? size + PLEAT_BLOCK_HEAD : bytes)))
            *b = (pleat_block){ .size = bytes, .class = class };
        if (b)
            return (char *)b + PLEAT_BLOCK_HEAD;
        lock();
        stats.live_bytes -= (int64_t)bytes;
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
    pleat_block *b = (pleat_block *)(void *)((char *)block - PLEAT_BLOCK_HEAD), *gone = NULL;
    const int64_t bytes = (int64_t)b->size;
    lock();
    stats.live_bytes -= bytes;
    const int64_t room = cache_limit - stats.cached_bytes;
    if (pass_through || (b->class >= 0 && bytes > room))
        gone = b;
    else {
        stats.cached_bytes += bytes;
        if (b->class >= 0) {
            b->next = cache[b->class];
            cache[b->class] = b;
        } else if (b = pleat_segments_give(b), bytes > room && pleat_segment_is_whole(b)) {
            pleat_segments_drop(b);
            stats.cached_bytes -= (int64_t)b->size;
            held -= (int64_t)b->size;
            gone = b;
        }
    }
    unlock();
    free(gone);
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
    pleat_block *all = drop_cache();
    unlock();
    free_all(all);
}

int64_t pleat_memory_fail_after(int64_t n)
{
    return swap(&fail_after, n < 0 ? 0 : n);
}
