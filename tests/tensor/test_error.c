/* What is pending, what is told, and that the first error is the one kept. */
#include "support/run.h"

#include <pleat/op.h>
#include <pleat/pleat.h>

#include <pthread.h>
#include <string.h>

START_TEST(the_first_is_kept_until_told)
{
    ck_assert_str_eq(pleat_error(), "");
    ck_assert_int_eq(pleat_error_code(), PLEAT_OK);
    ck_assert_int_eq(pleat_fail(PLEAT_ESHAPE, "first %d", 1), PLEAT_ESHAPE);
    ck_assert_int_eq(pleat_fail(PLEAT_EINVAL, "second"), PLEAT_ESHAPE);
    ck_assert_str_eq(pleat_error(), "first 1");
    ck_assert_int_eq(pleat_check(), PLEAT_ESHAPE);
    ck_assert_int_eq(pleat_check(), PLEAT_OK);
    ck_assert_str_eq(pleat_error(), "first 1"); /* readable afterwards */
    ck_assert_int_eq(pleat_error_code(), PLEAT_ESHAPE);
    pleat_fail(PLEAT_EINVAL, "third");
    ck_assert_str_eq(pleat_error(), "third");
    pleat_error_clear();
    ck_assert_int_eq(pleat_error_code(), PLEAT_OK);
}
END_TEST

START_TEST(while_pending_nothing_computes_and_getters_work)
{
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(2), PLEAT_F32);
    const int64_t live = pleat_live_tensors();
    ck_assert_ptr_null(pleat_ones(PLEAT_SHAPE(-1), PLEAT_F32));
    ck_assert_ptr_null(pleat_zeros(PLEAT_SHAPE(2), PLEAT_F32));
    ck_assert_ptr_null(pleat_fill_(x, 3));
    ck_assert_ptr_null(pleat_reshape(x, PLEAT_SHAPE(1, 2)));
    ck_assert_int_eq(pleat_live_tensors(), live);
    ck_assert(pleat_data_f32(x)[0] == 1 && pleat_item(pleat_retain(x)) != 1);
    pleat_release(x);
    ck_assert_int_eq(pleat_numel(x), 2);
    const pleat_scope s = pleat_scope_begin();
    ck_assert_int_eq(pleat_scope_end(s), PLEAT_OK);
    ck_assert_int_eq(pleat_backward(x), PLEAT_ESHAPE); /* tells it */
    ck_assert_ptr_nonnull(pleat_zeros(PLEAT_SHAPE(2), PLEAT_F32));
}
END_TEST

static void *elsewhere(void *unused)
{
    (void)unused;
    pleat_fail(PLEAT_EIO, "in the other thread");
    return NULL;
}

START_TEST(each_thread_has_its_own)
{
    pthread_t other;
    ck_assert_int_eq(pthread_create(&other, NULL, elsewhere, NULL), 0);
    pthread_join(other, NULL);
    ck_assert_int_eq(pleat_check(), PLEAT_OK);
    ck_assert_str_eq(pleat_error(), "");
}
END_TEST

START_TEST(statuses_have_names)
{
    ck_assert_str_eq(pleat_status_name(PLEAT_OK), "PLEAT_OK");
    ck_assert_str_eq(pleat_status_name(PLEAT_ELOOKUP), "PLEAT_ELOOKUP");
    ck_assert_str_eq(pleat_status_name((pleat_status)99), "unknown status");
    ck_assert_str_eq(pleat_version(), "0.1.0");
}
END_TEST

START_TEST(a_long_text_is_cut)
{
    char word[3000];
    memset(word, 'x', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    pleat_fail(PLEAT_EINVAL, "%s", word);
    ck_assert_uint_eq(strlen(pleat_error()), 1023);
}
END_TEST

RUN_TESTS("error", the_first_is_kept_until_told, while_pending_nothing_computes_and_getters_work,
          each_thread_has_its_own, statuses_have_names, a_long_text_is_cut)
