/* A result must have the same bits for any number of threads: the grain is cut to one, so that small inputs are
 * divided. */
#ifndef PLEAT_TEST_THREADS_H
#define PLEAT_TEST_THREADS_H

#include <pleat/pleat.h>

#include <check.h>

typedef pleat_tensor *(*threads_fn)(void *user);

static inline void same_for_any_threads(threads_fn fn, void *user)
{
    pleat_tensor *one = NULL;
    static const int counts[] = { 1, 2, 3, 5, 16 };
    for (int i = 0; i < 5; i++) {
        const int threads = counts[i];
        pleat_set_threads(threads);
        pleat_parallel_limit_grain(threads == 1 ? 0 : 1);
        pleat_parallel_workers_seen();
        pleat_tensor *got = fn(user);
        ck_assert_msg(got != NULL, "%s", pleat_error());
#ifdef _OPENMP
        ck_assert_int_ge(pleat_parallel_workers_seen(), threads < 3 ? threads : 3); /* there may be no more chunks */
#endif
        if (one)
            ck_assert(pleat_equal(one, got));
        one = got;
    }
    pleat_parallel_limit_grain(0);
    pleat_set_threads(0);
}

#endif
