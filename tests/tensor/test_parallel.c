/* parallel_for: every element once, chunks that follow from sizes alone, workers, nesting, fork, rounding. */
#include "support/run.h"

#include <pleat/pleat.h>

#include <fenv.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef _OPENMP
#include <omp.h>
#endif

enum { N = 10007 };

typedef struct {
    atomic_int visits[N];
    int64_t grain;
    int threads;
    atomic_bool wrong_cut, wrong_worker;
} seen;

static void visit(int64_t begin, int64_t end, void *ctx)
{
    seen *s = ctx;
    if (begin % s->grain != 0 || (end - begin != s->grain && end != N))
        atomic_store(&s->wrong_cut, true);
    if (pleat_worker() < 0 || pleat_worker() >= s->threads)
        atomic_store(&s->wrong_worker, true);
    for (int64_t i = begin; i < end; i++)
        atomic_fetch_add(&s->visits[i], 1);
}

static void check_once(int threads, int64_t grain, int64_t cut)
{
    static seen s;
    memset(&s, 0, sizeof s);
    s.grain = cut;
    s.threads = threads;
    ck_assert_ok(pleat_set_threads(threads));
    pleat_parallel_for(N, grain, visit, &s);
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(atomic_load(&s.visits[i]), 1);
    ck_assert(!s.wrong_cut && !s.wrong_worker);
}

START_TEST(every_element_once)
{
    for (int threads = 1; threads <= 5; threads++) {
        check_once(threads, 1, 1);
        check_once(threads, 100, 100);
        check_once(threads, N, N);
        check_once(threads, 0, 1);
    }
    pleat_parallel_limit_grain(7);
    check_once(3, 100, 7);
    pleat_parallel_limit_grain(0);
    pleat_parallel_for(0, 1, visit, NULL);
    pleat_parallel_for(-5, 1, visit, NULL);
}
END_TEST

START_TEST(several_workers_are_seen)
{
    pleat_parallel_workers_seen();
    check_once(3, 10, 10);
#ifdef _OPENMP
    ck_assert_int_eq(pleat_parallel_workers_seen(), 3);
#else
    ck_assert_int_eq(pleat_parallel_workers_seen(), 1);
#endif
    ck_assert_int_eq(pleat_parallel_workers_seen(), 0);
    ck_assert_int_eq(pleat_set_threads(-1), PLEAT_EINVAL);
    ck_assert_failed(PLEAT_EINVAL, "set_threads");
}
END_TEST

static void outer(int64_t begin, int64_t end, void *ctx)
{
    (void)begin, (void)end;
    const int before = pleat_worker();
    seen *s = ctx;
    pleat_parallel_for(N, 50, visit, s);
    if (pleat_worker() != before)
        atomic_store(&s->wrong_worker, true);
}

START_TEST(inside_a_region_it_runs_serially)
{
    static seen s = { .grain = 50, .threads = 2 };
    pleat_set_threads(2);
    pleat_parallel_for(4, 1, outer, &s);
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(atomic_load(&s.visits[i]), 4);
    ck_assert(!s.wrong_worker && !s.wrong_cut);
#ifdef _OPENMP
    memset(&s, 0, sizeof s);
    s.grain = 50;
    s.threads = 1;
#pragma omp parallel num_threads(3)
    pleat_parallel_for(N, 50, visit, &s);
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(atomic_load(&s.visits[i]), 3);
#endif
}
END_TEST

START_TEST(a_forked_child_does_not_hang)
{
    check_once(2, 10, 10);
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        static seen s = { .grain = 10, .threads = 1 };
        pleat_parallel_for(N, 10, visit, &s);
        _exit(atomic_load(&s.visits[N - 1]) == 1 ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
END_TEST

typedef struct {
    int mode[64];
} modes;

static void note_rounding(int64_t begin, int64_t end, void *ctx)
{
    for (int64_t i = begin; i < end; i++)
        ((modes *)ctx)->mode[i] = fegetround();
}

START_TEST(workers_take_the_callers_rounding)
{
    modes m;
    pleat_set_threads(4);
    pleat_parallel_for(64, 1, note_rounding, &m); /* the workers are there, rounding to nearest */
    fesetround(FE_UPWARD);
    pleat_parallel_for(64, 1, note_rounding, &m);
    for (int i = 0; i < 64; i++)
        ck_assert_int_eq(m.mode[i], FE_UPWARD);
    fesetround(FE_TONEAREST);
    pleat_parallel_for(64, 1, note_rounding, &m);
    for (int i = 0; i < 64; i++)
        ck_assert_int_eq(m.mode[i], FE_TONEAREST);
}
END_TEST

RUN_TESTS("parallel", every_element_once, several_workers_are_seen, inside_a_region_it_runs_serially,
          a_forked_child_does_not_hang, workers_take_the_callers_rounding)
