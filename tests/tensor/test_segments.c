/* Large blocks: what is cut off and joined again; nothing is handed out twice; a loop that repeats itself asks for no
 * more; what was kept goes back. */
#include "support/run.h"
#include "tensor/memory.h"
#include "tensor/segments.h"

#include <pleat/pleat.h>

#include <stdlib.h>
#include <string.h>

enum { UNIT = 64 << 10 };

START_TEST(what_is_cut_joins_again)
{
    char *memory = aligned_alloc(4096, 20 * UNIT);
    ck_assert_ptr_nonnull(memory);
    ck_assert_ptr_null(pleat_segments_take(UNIT));
    pleat_segments_add(memory, 20 * UNIT);
    pleat_block *b[5];
    for (int i = 0; i < 5; i++) {
        b[i] = pleat_segments_take(4 * UNIT);
        ck_assert_ptr_eq((char *)b[i], memory + 4 * i * UNIT);
        ck_assert_uint_eq(b[i]->size, 4 * UNIT);
        ck_assert(b[i]->last == (i == 4));
    }
    ck_assert_ptr_null(pleat_segments_take(UNIT));
    ck_assert_ptr_eq(pleat_segments_give(b[1]), b[1]);
    ck_assert_ptr_eq(pleat_segments_give(b[3]), b[3]);
    ck_assert_ptr_null(pleat_segments_take(5 * UNIT));
    ck_assert_ptr_eq(pleat_segments_give(b[2]), b[1]); /* between two free ones */
    ck_assert_uint_eq(b[1]->size, 12 * UNIT);
    b[1] = pleat_segments_take(12 * UNIT - UNIT / 2); /* too little would be left: it is all of it */
    ck_assert_uint_eq(b[1]->size, 12 * UNIT);
    ck_assert_ptr_eq(pleat_segments_give(b[0]), b[0]);
    ck_assert_ptr_eq(pleat_segments_give(b[4]), b[4]);
    ck_assert_ptr_null(pleat_segments_drop_all()); /* something is in use */
    ck_assert_ptr_eq(pleat_segments_give(b[1]), b[0]);
    ck_assert(pleat_segment_is_whole(b[0]));
    ck_assert_uint_eq(b[0]->size, 20 * UNIT);
    ck_assert_ptr_eq(pleat_segments_drop_all(), b[0]);
    ck_assert_ptr_null(b[0]->next);
    ck_assert_ptr_null(pleat_segments_take(UNIT));
    free(memory);
}
END_TEST

START_TEST(the_smallest_that_will_do)
{
    char *memory = aligned_alloc(4096, 40 * UNIT);
    ck_assert_ptr_nonnull(memory);
    pleat_segments_add(memory, 40 * UNIT);
    static const int sizes[] = { 9, 1, 4, 1, 10, 1, 14 };
    pleat_block *b[7];
    for (int i = 0; i < 7; i++)
        b[i] = pleat_segments_take((size_t)sizes[i] * UNIT);
    for (int i = 0; i < 7; i += 2)
        pleat_segments_give(b[i]);
    ck_assert_ptr_eq(pleat_segments_take(4 * UNIT), b[2]);
    ck_assert_ptr_eq(pleat_segments_take(8 * UNIT + 1), b[0]); /* of 9 and 10, which a bin holds together */
    ck_assert_ptr_eq(pleat_segments_take(10 * UNIT), b[4]);
    ck_assert_ptr_eq(pleat_segments_take(10 * UNIT), b[6]);
    for (int i = 0; i < 7; i++)
        pleat_segments_give(b[i]);
    pleat_block *rest = pleat_segments_drop_all();
    ck_assert(rest && rest->size == 40 * UNIT);
    free(memory);
}
END_TEST

/* Random sizes come and go; each block holds its own number all over. */
static void come_and_go(uint64_t *state, int64_t *most)
{
    enum { BLOCKS = 40 };
    uint32_t *block[BLOCKS] = { 0 };
    size_t words[BLOCKS];
    for (uint32_t step = 1; step < 600; step++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        const size_t i = (size_t)(*state >> 33) % BLOCKS;
        if (block[i]) {
            for (size_t k = 0; k < words[i]; k += 997)
                ck_assert_uint_eq(block[i][k], block[i][0]);
            ck_assert_uint_eq(block[i][words[i] - 1], block[i][0]);
            pleat_free(block[i]);
            block[i] = NULL;
            continue;
        }
        words[i] = 1 + (size_t)(*state >> 40) % (step % 3 ? 1 << 18 : 1 << 15);
        block[i] = pleat_alloc(words[i] * sizeof(uint32_t));
        ck_assert_ptr_nonnull(block[i]);
        ck_assert_uint_eq((uintptr_t)block[i] % 64, 0);
        for (size_t k = 0; k < words[i]; k += 997)
            block[i][k] = step;
        block[i][words[i] - 1] = step;
    }
    for (int i = 0; i < BLOCKS; i++)
        pleat_free(block[i]);
    const pleat_memory now = pleat_memory_stats();
    *most = now.cached_bytes;
}

START_TEST(nothing_is_handed_out_twice)
{
    const int64_t live = pleat_memory_stats().live_bytes;
    int64_t kept[3];
    for (int i = 0; i < 3; i++) {
        uint64_t state = 7; /* the same each time */
        come_and_go(&state, &kept[i]);
        ck_assert_int_eq(pleat_memory_stats().live_bytes, live);
        if (i > 0)
            ck_assert_int_eq(kept[i], kept[0]);
    }
    for (uint64_t state = 1; state < 6; state++) {
        uint64_t seed = state;
        come_and_go(&seed, &kept[0]);
    }
    pleat_memory_trim();
    ck_assert_int_eq(pleat_memory_stats().cached_bytes, 0);
    ck_assert_int_eq(pleat_memory_stats().live_bytes, live);
}
END_TEST

/* A tensor is its head longer than a power of two. */
START_TEST(powers_of_two_fit)
{
    enum { HEAD = 400, WHOLE = 8 << 20, PIECE = 16 << 20, PIECES = 8 };
    char *a = pleat_alloc(WHOLE + HEAD), *behind = pleat_alloc(WHOLE), *half[2], *piece[PIECES];
    ck_assert(a && behind);
    pleat_free(a);
    const bool cached = pleat_memory_stats().cached_bytes > 0; /* not under a sanitizer or valgrind */
    for (int i = 0; i < 2; i++) {
        half[i] = pleat_alloc(WHOLE / 2 + HEAD);
        ck_assert(!cached || (half[i] >= a && half[i] < a + WHOLE)); /* where the whole was */
    }
    for (int i = 0; i < 2; i++)
        pleat_free(half[i]);
    pleat_free(behind);
    pleat_memory_trim();
    for (int i = 0; i < PIECES; i++)
        ck_assert_ptr_nonnull(piece[i] = pleat_alloc(PIECE + HEAD));
    ck_assert_int_lt(pleat_memory_stats().cached_bytes, PIECE / 4); /* that segment is full, and there is no other */
    for (int i = 0; i < PIECES; i++)
        pleat_free(piece[i]);
    pleat_memory_trim();
}
END_TEST

START_TEST(a_limit_keeps_no_more)
{
    const int64_t before = pleat_memory_set_cache_limit(1 << 20);
    for (int i = 0; i < 3; i++) {
        void *a = pleat_alloc(300000), *b = pleat_alloc(3000000), *c = pleat_alloc(500000);
        ck_assert(a && b && c);
        pleat_free(b);
        ck_assert_int_le(pleat_memory_stats().cached_bytes, 1 << 20);
        pleat_free(a);
        pleat_free(c);
        ck_assert_int_le(pleat_memory_stats().cached_bytes, 1 << 20);
    }
    pleat_memory_set_cache_limit(before);
    pleat_memory_trim();
    ck_assert_int_eq(pleat_memory_stats().cached_bytes, 0);
}
END_TEST

static void each(int64_t begin, int64_t end, void *ctx)
{
    const int64_t *seed = ctx;
    for (int64_t i = begin; i < end; i++)
        for (int k = 1; k < 200; k++) {
            const size_t size = (size_t)((*seed + i) * k % 37 + 1) * 30000;
            char *p = pleat_alloc(size);
            if (!p)
                return;
            p[0] = p[size - 1] = (char)i;
            if (p[0] != (char)i || p[size - 1] != (char)i)
                return;
            pleat_free(p);
        }
}

START_TEST(from_many_threads)
{
    ck_assert_ok(pleat_set_threads(4));
    const int64_t live = pleat_memory_stats().live_bytes;
    int64_t seed = 11;
    pleat_parallel_for(64, 1, each, &seed);
    ck_assert_int_eq(pleat_memory_stats().live_bytes, live);
    pleat_memory_trim();
    ck_assert_int_eq(pleat_memory_stats().cached_bytes, 0);
    pleat_set_threads(0);
}
END_TEST

RUN_TESTS("segments", what_is_cut_joins_again, the_smallest_that_will_do, nothing_is_handed_out_twice,
          powers_of_two_fit, a_limit_keeps_no_more, from_many_threads)
