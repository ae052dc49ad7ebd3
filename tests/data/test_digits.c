/* The digits that the library draws: the same from everywhere, all ten, and not all alike. */
#include "support/run.h"

#include <pleat/pleat.h>

#include <math.h>
#include <string.h>

START_TEST(an_element_depends_on_seed_and_index_alone)
{
    ck_assert_ok(pleat_set_threads(3));
    pleat_dataset *many = pleat_digits(200, 7);
    ck_assert_ok(pleat_set_threads(1));
    pleat_parallel_limit_grain(1);
    pleat_dataset *few = pleat_digits(50, 7), *other = pleat_digits(50, 8);
    ck_assert_int_eq(pleat_dataset_size(many), 200);
    ck_assert(pleat_shape_equal(pleat_shape_of(pleat_dataset_inputs(many)), PLEAT_SHAPE(200, 1, 28, 28)));
    const float *a = pleat_data_f32(pleat_dataset_inputs(many)), *b = pleat_data_f32(pleat_dataset_inputs(few)),
                *c = pleat_data_f32(pleat_dataset_inputs(other));
    const size_t bytes = 50 * 784 * sizeof(float);
    ck_assert(memcmp(a, b, bytes) == 0);
    ck_assert(memcmp(a, c, bytes) != 0);
    ck_assert(memcmp(pleat_data_i64(pleat_dataset_targets(many)), pleat_data_i64(pleat_dataset_targets(few)),
                     50 * sizeof(int64_t)) == 0);
    pleat_dataset_free(many);
    pleat_dataset_free(few);
    pleat_dataset_free(other);
    ck_assert_int_eq(pleat_live_tensors(), 0);
}
END_TEST

START_TEST(pixels_and_labels_are_what_they_should_be)
{
    enum { N = 2000 };
    pleat_dataset *d = pleat_digits(N, 1);
    const float *pixel = pleat_data_f32(pleat_dataset_inputs(d));
    const int64_t *label = pleat_data_i64(pleat_dataset_targets(d));
    int64_t count[10] = { 0 };
    for (int64_t i = 0; i < N; i++) {
        ck_assert(label[i] >= 0 && label[i] < 10);
        count[label[i]]++;
        double ink = 0;
        float most = 0;
        for (int64_t k = 0; k < 784; k++) {
            const float v = pixel[i * 784 + k];
            ck_assert(v >= 0 && v <= 1);
            ink += v;
            most = fmaxf(most, v);
        }
        ck_assert_msg(ink > 12 && ink < 350 && most > 0.6f, "digit %d has %g of ink, %g at most", (int)i, ink,
                      (double)most);
    }
    for (int k = 0; k < 10; k++)
        ck_assert_msg(count[k] > N / 10 - 60 && count[k] < N / 10 + 60, "%d of digit %d", (int)count[k], k);
    pleat_dataset_free(d);
}
END_TEST

START_TEST(odd_numbers)
{
    pleat_dataset *none = pleat_digits(0, 1);
    ck_assert_ptr_nonnull(none);
    ck_assert_int_eq(pleat_dataset_size(none), 0);
    pleat_dataset_free(none);
    ck_assert_ptr_null(pleat_digits(-1, 1));
    ck_assert_failed(PLEAT_EINVAL, "digits");
    ck_assert_ptr_null(pleat_digits(INT64_MAX / 2, 1));
    ck_assert_int_eq(pleat_check(), PLEAT_ENOMEM);
    for (int64_t n = 1;; n++) {
        pleat_memory_fail_after(n);
        pleat_dataset *d = pleat_digits(3, 1);
        const bool done = pleat_memory_fail_after(0) > 0;
        ck_assert_int_eq(pleat_check(), done ? PLEAT_OK : PLEAT_ENOMEM);
        ck_assert((d != NULL) == done);
        pleat_dataset_free(d);
        ck_assert_int_eq(pleat_live_tensors(), 0);
        if (done)
            return;
    }
}
END_TEST

RUN_TESTS("digits", an_element_depends_on_seed_and_index_alone, pixels_and_labels_are_what_they_should_be, odd_numbers)
