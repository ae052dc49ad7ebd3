/* The caching allocator: alignment, reuse, counters, the cap, failures on demand. */
#include "support/run.h"
#include "tensor/memory.h"

#include <pleat/pleat.h>

#include <string.h>

START_TEST(blocks_are_aligned_and_hold_what_was_asked_for)
{
    for (size_t size = 0; size < 5000; size += size < 300 ? 1 : 97) {
        char *p = pleat_alloc(size);
        ck_assert_ptr_nonnull(p);
        ck_assert_uint_eq((uintptr_t)p % 64, 0);
        memset(p, 0xAB, size);
        pleat_free(p);
    }
}
END_TEST

START_TEST(a_steady_loop_allocates_nothing)
{
    pleat_free(pleat_alloc(1000));
    if (pleat_memory_stats().cached_bytes == 0) /* a sanitizer or valgrind is watching: nothing is cached */
        return;
    for (int step = 0; step < 3; step++) {
        const pleat_memory before = pleat_memory_stats();
        const pleat_scope scope = pleat_scope_begin();
        for (int i = 0; i < 20; i++)
            ck_assert_ptr_nonnull(pleat_zeros(PLEAT_SHAPE(100, i + 1), PLEAT_F32));
        pleat_scope_end(scope);
        const pleat_memory after = pleat_memory_stats();
        if (step == 0) /* the thread's own stacks grow to their size */
            continue;
        ck_assert_int_eq(after.live_bytes, before.live_bytes);
        ck_assert_int_eq(after.allocations - before.allocations, after.cache_hits - before.cache_hits);
    }
    ck_assert_int_gt(pleat_memory_stats().cached_bytes, 0);
    pleat_memory_trim();
    ck_assert_int_eq(pleat_memory_stats().cached_bytes, 0);
    pleat_memory_set_cache_limit(0);
    pleat_free(pleat_alloc(100000));
    ck_assert_int_eq(pleat_memory_stats().cached_bytes, 0);
}
END_TEST

START_TEST(the_peak_is_seen)
{
    pleat_memory_reset_peak();
    const int64_t before = pleat_memory_stats().live_bytes;
    pleat_free(pleat_alloc(1 << 20));
    ck_assert_int_ge(pleat_memory_stats().peak_bytes, before + (1 << 20));
    ck_assert_int_eq(pleat_memory_stats().live_bytes, before);
    pleat_memory_reset_peak();
    ck_assert_int_eq(pleat_memory_stats().peak_bytes, before);
}
END_TEST

START_TEST(the_cap_refuses_before_it_tries)
{
    const int64_t before = pleat_memory_set_cap(pleat_memory_stats().live_bytes + 10000);
    ck_assert_int_gt(before, 1 << 20);
    ck_assert_ptr_null(pleat_zeros(PLEAT_SHAPE(10000), PLEAT_F32));
    ck_assert_failed(PLEAT_ENOMEM, "zeros");
    ck_assert_ptr_nonnull(pleat_zeros(PLEAT_SHAPE(100), PLEAT_F32));
    pleat_memory_set_cap(0);
    ck_assert_ptr_nonnull(pleat_zeros(PLEAT_SHAPE(10000), PLEAT_F32));
    ck_assert_int_eq(pleat_memory_set_cap(0), before);
}
END_TEST

START_TEST(sizes_that_overflow_are_errors)
{
    ck_assert_ptr_null(pleat_zeros(PLEAT_SHAPE(INT64_MAX, 2), PLEAT_F32));
    ck_assert_failed(PLEAT_ENOMEM, "counted");
    ck_assert_ptr_null(pleat_empty(PLEAT_SHAPE(INT64_MAX / 8 + 1), PLEAT_F64));
    ck_assert_failed(PLEAT_ENOMEM, "empty");
    ck_assert_ptr_null(pleat_empty(PLEAT_SHAPE(INT64_MAX, INT64_MAX, 0), PLEAT_F64));
    ck_assert_failed(PLEAT_ENOMEM, "counted");
    ck_assert_ptr_null(pleat_empty(PLEAT_SHAPE(1, 2, 3, 4, 5, 6, 7, 8, 9), PLEAT_F64));
    ck_assert_failed(PLEAT_ESHAPE, "dimensions");
    ck_assert_ptr_null(pleat_empty(PLEAT_SHAPE(2), (pleat_dtype)9));
    ck_assert_failed(PLEAT_EDTYPE, "dtype");
}
END_TEST

START_TEST(failures_on_demand_leave_nothing_behind)
{
    pleat_release(pleat_retain(pleat_ones(PLEAT_SHAPE(1), PLEAT_F32))); /* the thread's state is there */
    for (int64_t n = 1; n < 1000; n++) {
        const pleat_scope scope = pleat_scope_begin();
        const int64_t live = pleat_live_tensors(), bytes = pleat_memory_stats().live_bytes;
        pleat_memory_fail_after(n);
        pleat_tensor *x = pleat_set_requires_grad(pleat_ones(PLEAT_SHAPE(3, 4), PLEAT_F32), true);
        pleat_tensor *y = pleat_narrow(pleat_reshape(pleat_transpose(x, 0, 1), PLEAT_SHAPE(12)), 0, 2, 5);
        if (pleat_memory_fail_after(0) > 0) {
            ck_assert_ptr_nonnull(y);
            ck_assert_int_gt(n, 5);
            return;
        }
        ck_assert_ptr_null(y);
        ck_assert_int_eq(pleat_check(), PLEAT_ENOMEM);
        pleat_scope_end(scope);
        ck_assert_int_eq(pleat_live_tensors(), live);
        ck_assert_int_le(pleat_memory_stats().live_bytes, bytes + (1 << 17)); /* stacks that grew may stay */
    }
    ck_abort_msg("it never came through");
}
END_TEST

RUN_TESTS("memory", blocks_are_aligned_and_hold_what_was_asked_for, a_steady_loop_allocates_nothing, the_peak_is_seen,
          the_cap_refuses_before_it_tries, sizes_that_overflow_are_errors, failures_on_demand_leave_nothing_behind)
