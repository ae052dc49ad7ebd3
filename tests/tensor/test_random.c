/* Random tensors: the thread's sequence, its seed and state; what each function draws; what each refuses. The numbers
 * themselves are checked in tests/kernels/test_random.c. */
#include "support/run.h"
#include "support/threads.h"

#include <pleat/op.h>
#include <pleat/pleat.h>

#include <math.h>
#include <pthread.h>
#include <string.h>

START_TEST(philox_known_answer)
{
    const uint32_t want[] = { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 };
    uint32_t got[4];
    pleat_philox(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88, got);
    ck_assert_mem_eq(got, want, sizeof want);
}
END_TEST

START_TEST(sequence)
{
    ck_assert_uint_eq(pleat_rng_get().seed, 0); /* where a thread starts */
    ck_assert_uint_eq(pleat_rng_get().draws, 0);
    pleat_seed(3);
    pleat_tensor *a = pleat_rand(PLEAT_SHAPE(5, 20), PLEAT_F32), *b = pleat_rand(PLEAT_SHAPE(5, 20), PLEAT_F32);
    ck_assert(!pleat_equal(a, b));
    ck_assert_uint_eq(pleat_rng_get().draws, 2);
    const pleat_rng_state after = pleat_rng_get();
    pleat_tensor *c = pleat_randn(PLEAT_SHAPE(7), PLEAT_F64);
    pleat_rng_set(after);
    ck_assert(pleat_equal(c, pleat_randn(PLEAT_SHAPE(7), PLEAT_F64)));
    pleat_seed(3);
    ck_assert(pleat_equal(a, pleat_rand(PLEAT_SHAPE(5, 20), PLEAT_F32)));
    pleat_seed(4);
    ck_assert(!pleat_equal(a, pleat_rand(PLEAT_SHAPE(5, 20), PLEAT_F32)));
    /* what fails draws nothing */
    const pleat_rng_state before = pleat_rng_get();
    ck_assert_ptr_null(pleat_rand(PLEAT_SHAPE(-1), PLEAT_F32));
    ck_assert_failed(PLEAT_ESHAPE, "rand: ");
    ck_assert_uint_eq(pleat_rng_get().draws, before.draws);
}
END_TEST

static void *other_thread(void *state)
{
    *(pleat_rng_state *)state = pleat_rng_get();
    pleat_seed(99);
    return NULL;
}

START_TEST(threads_have_their_own)
{
    pleat_seed(5);
    pleat_rng_state theirs = { 1, 1 };
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, other_thread, &theirs), 0);
    pthread_join(thread, NULL);
    ck_assert(theirs.seed == 0 && theirs.draws == 0);
    ck_assert_uint_eq(pleat_rng_get().seed, 5);
}
END_TEST

START_TEST(distributions)
{
    pleat_seed(6);
    const int64_t n = 100000;
    double sum = 0, squares = 0;
    pleat_tensor *u = pleat_uniform_(pleat_empty(PLEAT_SHAPE(n), PLEAT_F64), -2, 6);
    for (int64_t i = 0; i < n; i++) {
        const double v = pleat_data_f64(u)[i];
        ck_assert(v >= -2 && v < 6);
        sum += v;
    }
    ck_assert_double_eq_tol(sum / (double)n, 2, 0.03);
    pleat_tensor *z = pleat_normal_(pleat_empty(PLEAT_SHAPE(n), PLEAT_F32), 3, 2);
    sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const double v = (double)pleat_data_f32(z)[i];
        sum += v;
        squares += (v - 3) * (v - 3);
    }
    ck_assert_double_eq_tol(sum / (double)n, 3, 0.03);
    ck_assert_double_eq_tol(squares / (double)n, 4, 0.08);
    pleat_tensor *r = pleat_randint(-4, -1, PLEAT_SHAPE(2, 500));
    ck_assert_int_eq(pleat_dtype_of(r), PLEAT_I64);
    int seen[3] = { 0 };
    for (int64_t i = 0; i < 1000; i++) {
        const int64_t v = pleat_data_i64(r)[i];
        ck_assert(v >= -4 && v < -1);
        seen[v + 4]++;
    }
    for (int i = 0; i < 3; i++)
        ck_assert_int_gt(seen[i], 250);
}
END_TEST

START_TEST(permutations)
{
    pleat_seed(7);
    int first[5] = { 0 }, last[5] = { 0 };
    for (int k = 0; k < 2000; k++) {
        pleat_scope scope = pleat_scope_begin();
        const int64_t *p = pleat_data_i64(pleat_randperm(5));
        int seen = 0;
        for (int i = 0; i < 5; i++)
            seen |= 1 << p[i];
        ck_assert_int_eq(seen, 31);
        first[p[0]]++;
        last[p[4]]++;
        pleat_scope_end(scope);
    }
    for (int i = 0; i < 5; i++) {
        ck_assert_int_gt(first[i], 320);
        ck_assert_int_lt(first[i], 480);
        ck_assert_int_gt(last[i], 320);
        ck_assert_int_lt(last[i], 480);
    }
    pleat_tensor *p = pleat_randperm(1000);
    char seen[1000] = { 0 };
    for (int i = 0; i < 1000; i++)
        seen[pleat_data_i64(p)[i]]++;
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(seen[i], 1);
    ck_assert_int_eq(pleat_numel(pleat_randperm(0)), 0);
    ck_assert_int_eq(pleat_data_i64(pleat_randperm(1))[0], 0);
}
END_TEST

/* A view gets what a contiguous tensor of its shape would, and what is beside it stays. */
START_TEST(in_place_on_views)
{
    pleat_tensor *whole = pleat_zeros(PLEAT_SHAPE(6, 8), PLEAT_F32),
                 *view = pleat_transpose(pleat_slice(whole, 1, 0, 8, 2), 0, 1);
    pleat_seed(8);
    ck_assert_ptr_eq(pleat_uniform_(view, 1, 2), view);
    pleat_seed(8);
    pleat_tensor *plain = pleat_uniform_(pleat_empty(PLEAT_SHAPE(4, 6), PLEAT_F32), 1, 2);
    ck_assert(pleat_equal(view, plain));
    ck_assert(pleat_equal(pleat_slice(whole, 1, 1, 8, 2), pleat_zeros(PLEAT_SHAPE(6, 4), PLEAT_F32)));
    ck_assert_ptr_null(pleat_normal_(pleat_expand(pleat_ones(PLEAT_SHAPE(1), PLEAT_F32), PLEAT_SHAPE(3)), 0, 1));
    ck_assert_failed(PLEAT_EINVAL, "overlap");
    pleat_tensor *leaf = pleat_set_requires_grad(pleat_ones(PLEAT_SHAPE(3), PLEAT_F32), true);
    ck_assert_ptr_null(pleat_normal_(leaf, 0, 1));
    ck_assert_failed(PLEAT_EGRAD, "normal_: ");
    pleat_grad_mode(false);
    ck_assert_ptr_eq(pleat_normal_(leaf, 0, 1), leaf);
}
END_TEST

static pleat_tensor *everything(void *user)
{
    (void)user;
    pleat_seed(10);
    pleat_tensor *a = pleat_rand(PLEAT_SHAPE(999), PLEAT_F64), *b = pleat_randn(PLEAT_SHAPE(999), PLEAT_F64);
    return pleat_add(pleat_add(a, b), pleat_cast(pleat_randint(0, 100, PLEAT_SHAPE(999)), PLEAT_F64));
}

START_TEST(any_threads)
{
    same_for_any_threads(everything, NULL);
}
END_TEST

START_TEST(empty)
{
    ck_assert_int_eq(pleat_numel(pleat_rand(PLEAT_SHAPE(0, 3), PLEAT_F32)), 0);
    ck_assert_int_eq(pleat_ndim(pleat_randn(PLEAT_SHAPE(), PLEAT_F32)), 0);
    ck_assert_int_eq(pleat_numel(pleat_randint(0, 1, PLEAT_SHAPE(0))), 0);
}
END_TEST

START_TEST(refused)
{
    pleat_tensor *t = pleat_zeros(PLEAT_SHAPE(3), PLEAT_F32);
    ck_assert_ptr_null(pleat_randn(PLEAT_SHAPE(3), PLEAT_I64));
    ck_assert_failed(PLEAT_EDTYPE, "randn: dtype must be float32 or float64, not int64");
    ck_assert_ptr_null(pleat_randint(3, 3, PLEAT_SHAPE(3)));
    ck_assert_failed(PLEAT_EINVAL, "randint: low must be below high, not 3 and 3");
    ck_assert_ptr_null(pleat_randperm(-1));
    ck_assert_failed(PLEAT_EINVAL, "randperm: n must not be negative, not -1");
    ck_assert_ptr_null(pleat_uniform_(t, 2, 1));
    ck_assert_failed(PLEAT_EINVAL, "uniform_: low must be at most high");
    ck_assert_ptr_null(pleat_uniform_(t, 0, INFINITY));
    ck_assert_failed(PLEAT_EINVAL, "uniform_");
    ck_assert_ptr_null(pleat_normal_(t, 0, -1));
    ck_assert_failed(PLEAT_EINVAL, "normal_: mean must be finite and std 0 or more, not 0 and -1");
    ck_assert_ptr_null(pleat_normal_(NULL, 0, 1));
    ck_assert_failed(PLEAT_EINVAL, "normal_: the tensor is NULL");
    ck_assert_ptr_null(pleat_uniform_(pleat_zeros(PLEAT_SHAPE(3), PLEAT_U8), 0, 1));
    ck_assert_failed(PLEAT_EDTYPE, "uint8");
    ck_assert(pleat_equal(t, pleat_zeros(PLEAT_SHAPE(3), PLEAT_F32)));
    /* while an error is pending nothing is drawn */
    const pleat_rng_state before = pleat_rng_get();
    ck_assert_ptr_null(pleat_rand(PLEAT_SHAPE(-1), PLEAT_F32));
    ck_assert_ptr_null(pleat_uniform_(t, 0, 1));
    ck_assert_ptr_null(pleat_randperm(3));
    ck_assert_uint_eq(pleat_rng_get().draws, before.draws);
    ck_assert_failed(PLEAT_ESHAPE, "rand");
}
END_TEST

RUN_TESTS("random", philox_known_answer, sequence, threads_have_their_own, distributions, permutations,
          in_place_on_views, any_threads, empty, refused)
