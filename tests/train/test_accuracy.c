/* Counting what is right, and the module's modes before and after. */
#include "support/run.h"

#include <pleat/pleat.h>

#include <math.h>
#include <string.h>

static pleat_tensor *same(pleat_module *self, pleat_tensor *x)
{
    ck_assert(!pleat_module_is_training(self) && !pleat_grad_enabled());
    return x;
}

static const pleat_module_class same_class = { .name = "same", .forward = same };

static pleat_tensor *wrong_shape(pleat_module *self, pleat_tensor *x)
{
    (void)self;
    return pleat_sum(x);
}

static const pleat_module_class wrong_class = { .name = "wrong", .forward = wrong_shape };

START_TEST(rows_are_counted)
{
    const pleat_scope s = pleat_scope_begin();
    const float scores[] = {
        1, 2, 0, /**/ 5, 5, 1, /**/ 5, 5, 1, /**/ NAN, 3, 1, /**/ -3, -2, -1, /**/ INFINITY, 0, 0
    };
    const int64_t target[] = { 1, 0, 1, 1, 2, 0 };
    pleat_tensor *x = pleat_from_data(scores, PLEAT_SHAPE(6, 3), PLEAT_F32);
    pleat_tensor *t = pleat_from_data(target, PLEAT_SHAPE(6), PLEAT_I64);
    ck_assert_int_eq(pleat_count_correct(x, t), 4); /* the first of equals counts, a NaN makes a row wrong */
    ck_assert_int_eq(pleat_count_correct(pleat_cast(x, PLEAT_F64), t), 4);
    ck_assert_int_eq(pleat_count_correct(pleat_transpose(pleat_clone(pleat_transpose(x, 0, 1)), 0, 1), t), 4);
    ck_assert_int_eq(pleat_count_correct(pleat_narrow(x, 0, 0, 0), pleat_narrow(t, 0, 0, 0)), 0);

    ck_assert_int_eq(pleat_count_correct(NULL, t), -1);
    ck_assert_failed(PLEAT_EINVAL, "count_correct");
    ck_assert_int_eq(pleat_count_correct(x, pleat_narrow(t, 0, 0, 5)), -1);
    ck_assert_failed(PLEAT_ESHAPE, "(6, 3) and (5,)");
    ck_assert_int_eq(pleat_count_correct(x, pleat_ones(PLEAT_SHAPE(6), PLEAT_F32)), -1);
    ck_assert_failed(PLEAT_EDTYPE, "int64 target");
    ck_assert_int_eq(pleat_count_correct(x, pleat_full(PLEAT_SHAPE(6), 3, PLEAT_I64)), -1);
    ck_assert_failed(PLEAT_EINVAL, "target[0] is 3, and there are 3 classes");
    pleat_scope_end(s);
    ck_assert_int_eq(pleat_live_tensors(), 0);
}
END_TEST

START_TEST(accuracy_over_a_data_set)
{
    enum { N = 1000 };
    const pleat_scope s = pleat_scope_begin();
    pleat_tensor *x = pleat_zeros(PLEAT_SHAPE(N, 4), PLEAT_F32), *t = pleat_zeros(PLEAT_SHAPE(N), PLEAT_I64);
    for (int64_t i = 0; i < N; i++) {
        ((float *)pleat_data_mut(x))[4 * i + i % 4] = 1;
        ((int64_t *)pleat_data_mut(t))[i] = i < 700 ? i % 4 : (i + 1) % 4;
    }
    pleat_dataset *d = pleat_dataset_of(x, t), *none = pleat_digits(0, 1);
    pleat_module *m = pleat_module_new(&same_class),
                 *child = pleat_module_add_child(m, "c", pleat_module_new(&same_class));
    const pleat_rng_state before = pleat_rng_get();
    const int64_t live = pleat_live_tensors();
    pleat_module_train(child, false);
    ck_assert(pleat_accuracy(m, d) == 0.7);
    ck_assert(pleat_module_is_training(m) && !pleat_module_is_training(child) && pleat_grad_enabled());
    ck_assert_int_eq(pleat_live_tensors(), live);
    ck_assert_int_eq((int64_t)pleat_rng_get().draws, (int64_t)before.draws);

    ck_assert(isnan(pleat_accuracy(m, none)));
    ck_assert_failed(PLEAT_EINVAL, "data set is empty");
    ck_assert(isnan(pleat_accuracy(NULL, d)));
    ck_assert_failed(PLEAT_EINVAL, "module is NULL");
    pleat_module *wrong = pleat_module_new(&wrong_class);
    ck_assert(isnan(pleat_accuracy(wrong, d)));
    ck_assert_failed(PLEAT_ESHAPE, "count_correct");
    ck_assert(pleat_module_is_training(wrong));
    for (int64_t n = 1;; n++) {
        pleat_memory_fail_after(n);
        const double accuracy = pleat_accuracy(m, d);
        const bool done = pleat_memory_fail_after(0) > 0;
        ck_assert_int_eq(pleat_check(), done ? PLEAT_OK : PLEAT_ENOMEM);
        ck_assert(done ? accuracy == 0.7 : isnan(accuracy));
        ck_assert(pleat_module_is_training(m) && pleat_grad_enabled());
        if (done)
            break;
    }
    pleat_module_free(m);
    pleat_module_free(wrong);
    pleat_dataset_free(d);
    pleat_dataset_free(none);
    pleat_scope_end(s);
    ck_assert_int_eq(pleat_live_tensors(), 0);
}
END_TEST

RUN_TESTS("accuracy", rows_are_counted, accuracy_over_a_data_set)
