/* Data sets and loaders: every element once an epoch, orders, last batches, memory. */
#include "support/run.h"

#include <pleat/pleat.h>

#include <string.h>

/* Inputs (n, 2): {i, -i}; targets (n): i. */
static pleat_dataset *counting(int64_t n)
{
    const pleat_scope s = pleat_scope_begin();
    pleat_tensor *x = pleat_zeros(PLEAT_SHAPE(n, 2), PLEAT_F32), *t = pleat_zeros(PLEAT_SHAPE(n), PLEAT_I64);
    float *px = pleat_data_mut(x);
    int64_t *pt = pleat_data_mut(t);
    for (int64_t i = 0; i < n; i++) {
        px[2 * i] = (float)i;
        px[2 * i + 1] = -(float)i;
        pt[i] = i;
    }
    pleat_dataset *d = pleat_dataset_of(x, t);
    pleat_scope_end(s);
    return d;
}

/* One epoch: checks that input and target belong together and writes the order. Returns how many elements. */
static int64_t epoch(pleat_loader *l, int64_t *order)
{
    int64_t n = 0, batches = 0;
    pleat_batch b;
    while (pleat_loader_next(l, &b)) {
        ck_assert_int_eq(b.index, batches++);
        const float *x = pleat_data_f32(b.input);
        const int64_t *t = pleat_data_i64(b.target);
        ck_assert_int_eq(pleat_size(b.input, 0), pleat_size(b.target, 0));
        for (int64_t i = 0; i < pleat_size(b.target, 0); i++) {
            ck_assert(x[2 * i] == (float)t[i] && x[2 * i + 1] == -(float)t[i]);
            order[n++] = t[i];
        }
    }
    ck_assert_int_eq(batches, pleat_loader_batches(l));
    ck_assert_ptr_null(b.input);
    ck_assert_int_eq(pleat_check(), PLEAT_OK);
    return n;
}

START_TEST(in_order)
{
    pleat_dataset *d = counting(10);
    pleat_loader *l = pleat_loader_new(d, &(pleat_loader_opts){ .batch_size = 4 });
    int64_t order[10];
    for (int e = 0; e < 3; e++) {
        ck_assert_int_eq(epoch(l, order), 10);
        for (int64_t i = 0; i < 10; i++)
            ck_assert_int_eq(order[i], i);
    }
    ck_assert_int_eq(pleat_loader_batches(l), 3);
    pleat_loader_free(l);
    l = pleat_loader_new(d, &(pleat_loader_opts){ .batch_size = 4, .drop_last = true });
    ck_assert_int_eq(epoch(l, order), 8);
    pleat_loader_free(l);
    l = pleat_loader_new(d, NULL);
    ck_assert_int_eq(pleat_loader_batches(l), 10);
    pleat_loader_free(l);
    l = pleat_loader_new(d, &(pleat_loader_opts){ .batch_size = 1000 });
    ck_assert_int_eq(pleat_loader_batches(l), 1);
    ck_assert_int_eq(epoch(l, order), 10);
    pleat_loader_free(l);
    l = pleat_loader_new(d, &(pleat_loader_opts){ .batch_size = 1000, .drop_last = true });
    ck_assert_int_eq(epoch(l, order), 0);
    pleat_loader_free(l);
    pleat_dataset_free(d);
    ck_assert_int_eq(pleat_live_tensors(), 0);
}
END_TEST

static pleat_loader *shuffled(pleat_dataset *d, uint64_t seed)
{
    return pleat_loader_new(d, &(pleat_loader_opts){ .batch_size = 7, .shuffle = true, .seed = seed });
}

START_TEST(shuffled_orders)
{
    enum { N = 1000 };
    pleat_dataset *d = counting(N);
    pleat_loader *a = shuffled(d, 5), *b = shuffled(d, 5), *c = shuffled(d, 6);
    int64_t first[N], second[N], same[N], other[N];
    bool seen[N] = { false };
    ck_assert_int_eq(epoch(a, first), N);
    ck_assert_int_eq(epoch(a, second), N);
    ck_assert_ok(pleat_set_threads(3));
    pleat_parallel_limit_grain(1);
    ck_assert_int_eq(epoch(b, same), N);
    ck_assert_int_eq(epoch(c, other), N);
    ck_assert(memcmp(first, same, sizeof first) == 0);
    ck_assert(memcmp(first, second, sizeof first) != 0);
    ck_assert(memcmp(first, other, sizeof first) != 0);
    int64_t fixed = 0;
    for (int i = 0; i < N; i++) {
        ck_assert(!seen[first[i]]);
        seen[first[i]] = true;
        fixed += first[i] == i;
    }
    ck_assert_int_lt(fixed, 10); /* one is expected */
    pleat_loader_free(a);
    pleat_loader_free(b);
    pleat_loader_free(c);

    /* without a seed of its own it takes one from the thread's sequence, and only where it needs one */
    pleat_seed(1);
    a = shuffled(d, 0);
    b = shuffled(d, 0);
    pleat_seed(1);
    pleat_loader_free(pleat_loader_new(d, NULL));
    c = shuffled(d, 0);
    epoch(a, first);
    epoch(b, second);
    epoch(c, same);
    ck_assert(memcmp(first, same, sizeof first) == 0);
    ck_assert(memcmp(first, second, sizeof first) != 0);
    pleat_loader_free(a);
    pleat_loader_free(b);
    pleat_loader_free(c);
    pleat_dataset_free(d);
}
END_TEST

/* Each of the 24 orders of four elements about equally often. */
START_TEST(orders_are_uniform)
{
    pleat_dataset *d = counting(4);
    pleat_loader *l = pleat_loader_new(d, &(pleat_loader_opts){ .batch_size = 4, .shuffle = true, .seed = 3 });
    int count[256] = { 0 };
    for (int e = 0; e < 4800; e++) {
        int64_t o[4];
        epoch(l, o);
        count[o[0] * 64 + o[1] * 16 + o[2] * 4 + o[3]]++;
    }
    int orders = 0;
    for (int i = 0; i < 256; i++) {
        orders += count[i] > 0;
        ck_assert_msg(count[i] == 0 || (count[i] > 120 && count[i] < 280), "%d of order %d", count[i], i);
    }
    ck_assert_int_eq(orders, 24);
    pleat_loader_free(l);
    pleat_dataset_free(d);
}
END_TEST

START_TEST(images_become_floats)
{
    const pleat_scope s = pleat_scope_begin();
    const uint8_t bytes[] = { 0, 51, 255, 102, 1, 2 };
    pleat_tensor *x = pleat_from_data(bytes, PLEAT_SHAPE(3, 1, 1, 2), PLEAT_U8),
                 *t = pleat_zeros(PLEAT_SHAPE(3, 2), PLEAT_F64);
    pleat_dataset *d = pleat_dataset_of(x, t);
    ck_assert_int_eq(pleat_dtype_of(pleat_dataset_inputs(d)), PLEAT_U8);
    pleat_loader *l = pleat_loader_new(d, &(pleat_loader_opts){ .batch_size = 3 });
    pleat_batch b;
    ck_assert(pleat_loader_next(l, &b));
    ck_assert(pleat_shape_equal(pleat_shape_of(b.input), PLEAT_SHAPE(3, 1, 1, 2)));
    ck_assert_int_eq(pleat_dtype_of(b.target), PLEAT_F64);
    for (int i = 0; i < 6; i++)
        ck_assert(pleat_data_f32(b.input)[i] == (float)bytes[i] / 255.0f);
    pleat_loader_free(l);
    pleat_dataset_free(d);
    pleat_scope_end(s);
}
END_TEST

START_TEST(a_steady_loop_makes_no_tensors)
{
    pleat_dataset *d = counting(10);
    pleat_loader *l = shuffled(d, 1);
    int64_t order[10];
    epoch(l, order);
    const int64_t before = pleat_memory_stats().allocations;
    for (int e = 0; e < 5; e++)
        epoch(l, order);
    ck_assert_int_eq(pleat_memory_stats().allocations, before);

    /* what a gradient kept of a batch that is there no more is noticed */
    const pleat_scope s = pleat_scope_begin();
    pleat_tensor *w = pleat_set_requires_grad(pleat_ones(PLEAT_SHAPE(2), PLEAT_F32), true);
    pleat_batch b;
    ck_assert(pleat_loader_next(l, &b));
    pleat_tensor *loss = pleat_sum(pleat_mul(b.input, w));
    ck_assert(pleat_loader_next(l, &b));
    ck_assert_int_eq(pleat_backward(loss), PLEAT_EGRAD);
    pleat_scope_end(s);
    pleat_loader_free(l);
    pleat_dataset_free(d);
}
END_TEST

START_TEST(bad_arguments_and_no_memory)
{
    const pleat_scope s = pleat_scope_begin();
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(3, 2), PLEAT_F32), *t = pleat_zeros(PLEAT_SHAPE(4), PLEAT_I64);
    ck_assert_ptr_null(pleat_dataset_of(x, t));
    ck_assert_failed(PLEAT_ESHAPE, "(3, 2) and targets (4,)");
    ck_assert_ptr_null(pleat_dataset_of(x, NULL));
    ck_assert_failed(PLEAT_EINVAL, "targets are NULL");
    ck_assert_ptr_null(pleat_dataset_of(pleat_ones(PLEAT_SHAPE(), PLEAT_F32), t));
    ck_assert_failed(PLEAT_ESHAPE, "dataset_of");
    ck_assert_ptr_null(pleat_loader_new(NULL, NULL));
    ck_assert_failed(PLEAT_EINVAL, "data set is NULL");
    pleat_dataset *d = counting(5), *none = counting(0);
    ck_assert_ptr_null(pleat_loader_new(d, &(pleat_loader_opts){ .batch_size = -1 }));
    ck_assert_failed(PLEAT_EINVAL, "-1");
    pleat_batch b;
    ck_assert(!pleat_loader_next(NULL, &b));
    ck_assert_failed(PLEAT_EINVAL, "loader is NULL");
    pleat_loader *l = pleat_loader_new(none, &(pleat_loader_opts){ .batch_size = 4, .shuffle = true });
    ck_assert(!pleat_loader_next(l, &b) && !pleat_loader_next(l, &b));
    ck_assert_int_eq(pleat_loader_batches(l), 0);
    pleat_loader_free(l);
    for (int64_t n = 1;; n++) {
        pleat_memory_fail_after(n);
        l = pleat_loader_new(d, &(pleat_loader_opts){ .batch_size = 2, .shuffle = true });
        const bool done = pleat_memory_fail_after(0) > 0;
        ck_assert_int_eq(pleat_check(), done ? PLEAT_OK : PLEAT_ENOMEM);
        ck_assert((l != NULL) == done);
        if (done)
            break;
    }
    pleat_add(x, t); /* fails */
    ck_assert(!pleat_loader_next(l, &b));
    ck_assert_int_ne(pleat_check(), PLEAT_OK);
    ck_assert(pleat_loader_next(l, &b));
    pleat_loader_free(l);
    pleat_loader_free(NULL);
    pleat_dataset_free(d);
    pleat_dataset_free(none);
    pleat_dataset_free(NULL);
    pleat_scope_end(s);
    ck_assert_int_eq(pleat_live_tensors(), 0);
}
END_TEST

RUN_TESTS("loader", in_order, shuffled_orders, orders_are_uniform, images_become_floats, a_steady_loop_makes_no_tensors,
          bad_arguments_and_no_memory)
