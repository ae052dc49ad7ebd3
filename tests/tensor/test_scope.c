/* Scopes: what they free, what they keep, and the errors. */
#include "support/run.h"

#include <pleat/op.h>
#include <pleat/pleat.h>

#include <pthread.h>
#include <string.h>

START_TEST(a_scope_frees_its_temporaries)
{
    pleat_tensor *kept, *outside = pleat_ones(PLEAT_SHAPE(2), PLEAT_F32);
    const int64_t live = pleat_live_tensors();
    const pleat_scope s = pleat_scope_begin();
    pleat_reshape(pleat_ones(PLEAT_SHAPE(4), PLEAT_F32), PLEAT_SHAPE(2, 2));
    kept = pleat_retain(pleat_zeros(PLEAT_SHAPE(3), PLEAT_F32));
    ck_assert_int_eq(pleat_live_tensors(), live + 3);
    ck_assert_ok(pleat_scope_end(s));
    ck_assert_int_eq(pleat_live_tensors(), live + 1);
    ck_assert(pleat_data_f32(kept)[2] == 0 && pleat_data_f32(outside)[1] == 1);
    pleat_release(kept);
    ck_assert_int_eq(pleat_live_tensors(), live);
}
END_TEST

START_TEST(an_outer_end_ends_the_inner_ones)
{
    const int64_t live = pleat_live_tensors();
    const pleat_scope a = pleat_scope_begin(), b = pleat_scope_begin();
    pleat_ones(PLEAT_SHAPE(2), PLEAT_F32);
    const pleat_scope c = pleat_scope_begin();
    pleat_ones(PLEAT_SHAPE(2), PLEAT_F32);
    ck_assert_ok(pleat_scope_end(a));
    ck_assert_int_eq(pleat_live_tensors(), live);
    ck_assert_int_eq(pleat_scope_end(b), PLEAT_ESCOPE);
    ck_assert_failed(PLEAT_ESCOPE, "scope_end");
    const pleat_scope d = pleat_scope_begin(); /* in a's place, but not a */
    ck_assert_int_eq(pleat_scope_end(a), PLEAT_ESCOPE);
    ck_assert_int_eq(pleat_scope_end(c), PLEAT_ESCOPE);
    pleat_error_clear();
    ck_assert_ok(pleat_scope_end(d));
    ck_assert_int_eq(pleat_scope_end((pleat_scope){ 0, 0 }), PLEAT_ESCOPE);
    ck_assert_int_eq(pleat_check(), PLEAT_OK); /* the status has told it */
}
END_TEST

START_TEST(return_hands_one_tensor_on)
{
    const int64_t live = pleat_live_tensors();
    const pleat_scope a = pleat_scope_begin();
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(2, 3), PLEAT_F32);
    const pleat_scope b = pleat_scope_begin();
    pleat_zeros(PLEAT_SHAPE(9), PLEAT_F32);
    pleat_tensor *y = pleat_scope_return(b, pleat_reshape(x, PLEAT_SHAPE(3, 2)));
    ck_assert_ptr_nonnull(y);
    ck_assert_int_eq(pleat_live_tensors(), live + 2);
    ck_assert(pleat_data_f32(y)[5] == 1);
    ck_assert_ptr_eq(pleat_scope_return(pleat_scope_begin(), x), x); /* what was the outer scope's anyway */
    ck_assert_ptr_null(pleat_scope_return(pleat_scope_begin(), NULL));
    ck_assert_int_eq(pleat_check(), PLEAT_OK);
    ck_assert_ok(pleat_scope_end(a));
    ck_assert_int_eq(pleat_live_tensors(), live);
    ck_assert_ptr_null(pleat_scope_return(b, NULL));
    ck_assert_failed(PLEAT_ESCOPE, "scope_return");
}
END_TEST

START_TEST(the_gradient_mode_is_put_back)
{
    ck_assert(pleat_grad_enabled());
    const pleat_scope s = pleat_scope_begin();
    ck_assert(pleat_grad_mode(false));
    const pleat_scope inner = pleat_scope_begin();
    ck_assert(!pleat_grad_mode(true));
    pleat_scope_end(inner);
    ck_assert(!pleat_grad_enabled());
    pleat_scope_return(s, NULL);
    ck_assert(pleat_grad_enabled());
}
END_TEST

static pleat_scope foreign;

static void *end_foreign(void *ok)
{
    pleat_ones(PLEAT_SHAPE(5), PLEAT_F32); /* the root scope frees it when the thread ends */
    *(bool *)ok = pleat_scope_end(foreign) == PLEAT_ESCOPE;
    return NULL;
}

START_TEST(scopes_belong_to_their_thread)
{
    const int64_t live = pleat_live_tensors();
    foreign = pleat_scope_begin();
    bool ok = false;
    pthread_t other;
    ck_assert_int_eq(pthread_create(&other, NULL, end_foreign, &ok), 0);
    pthread_join(other, NULL);
    ck_assert(ok);
    ck_assert_ok(pleat_scope_end(foreign));
    ck_assert_int_eq(pleat_live_tensors(), live);
}
END_TEST

/* An op that tries to pull the rug from under its caller. */
static pleat_scope outer;
static pleat_status rude_infer(const pleat_call *call, pleat_spec *out)
{
    out[0] = call->in_spec[0];
    return PLEAT_OK;
}
static pleat_status rude_forward(pleat_call *call)
{
    pleat_ones(PLEAT_SHAPE(7), PLEAT_F32);
    pleat_scope_begin(); /* left open */
    pleat_copy_(call->out[0], call->in[0]);
    return pleat_scope_end(outer);
}
static const pleat_op rude = {
    .name = "rude", .inputs = 1, .outputs = 1, .infer = rude_infer, .forward = rude_forward
};

START_TEST(an_op_cannot_end_its_callers_scopes)
{
    const int64_t live = pleat_live_tensors();
    outer = pleat_scope_begin();
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(2), PLEAT_F32);
    ck_assert_ptr_null(pleat_apply(&rude, &x, 1, NULL));
    ck_assert_failed(PLEAT_ESCOPE, "scope_end");
    ck_assert_int_eq(pleat_live_tensors(), live + 1);
    ck_assert_ok(pleat_scope_end(outer));
    ck_assert_int_eq(pleat_live_tensors(), live);
}
END_TEST

RUN_TESTS("scope", a_scope_frees_its_temporaries, an_outer_end_ends_the_inner_ones, return_hands_one_tensor_on,
          the_gradient_mode_is_put_back, scopes_belong_to_their_thread, an_op_cannot_end_its_callers_scopes)
