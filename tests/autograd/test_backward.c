/* The tape and backward: values by hand, what is kept and freed, each clear error, nothing changed on failure. */
#include "support/run.h"

#include <pleat/op.h>
#include <pleat/pleat.h>

#include <pthread.h>
#include <string.h>

static pleat_tensor *leaf(double first, int64_t n)
{
    return pleat_set_requires_grad(pleat_arange(first, first + (double)n, 1, PLEAT_F64), true);
}

static double grad_at(const pleat_tensor *t, int64_t i)
{
    ck_assert_msg(pleat_grad(t) != NULL, "no gradient");
    return pleat_data_f64(pleat_grad(t))[i];
}

START_TEST(products_and_sums)
{
    pleat_tensor *a = leaf(1, 3), *b = leaf(4, 3);
    ck_assert_ptr_null(pleat_grad(a));
    ck_assert_ok(pleat_backward(pleat_sum(pleat_mul(a, pleat_add(a, b))))); /* a^2 + ab */
    for (int i = 0; i < 3; i++) {
        ck_assert_double_eq(grad_at(a, i), 2 * (i + 1) + (i + 4));
        ck_assert_double_eq(grad_at(b, i), i + 1);
    }
    ck_assert_ok(pleat_backward(pleat_sum(b))); /* they add up */
    ck_assert_double_eq(grad_at(b, 2), 4);
    ck_assert(!pleat_requires_grad(pleat_grad(b)));
}
END_TEST

START_TEST(a_leaf_is_its_own_loss)
{
    pleat_tensor *x = leaf(5, 1);
    ck_assert_ok(pleat_backward(x));
    ck_assert_double_eq(grad_at(x, 0), 1);
    ck_assert_ok(pleat_backward(x)); /* no history, so none is spent */
    ck_assert_double_eq(grad_at(x, 0), 2);
}
END_TEST

/* y = x + x + ... uses one tensor many times over, as itself and through views that share the gradient's storage. */
START_TEST(shared_gradients_do_not_run_into_each_other)
{
    pleat_tensor *x = leaf(1, 4), *y = leaf(1, 4);
    pleat_tensor *s = pleat_add(x, y);
    s = pleat_add(s, s);
    s = pleat_add(pleat_reshape(s, PLEAT_SHAPE(2, 2)), pleat_reshape(pleat_add(x, x), PLEAT_SHAPE(2, 2)));
    ck_assert_ok(pleat_backward(pleat_sum(pleat_add(s, pleat_transpose(s, 0, 1)))));
    for (int i = 0; i < 4; i++) {
        ck_assert_double_eq(grad_at(x, i), 8);
        ck_assert_double_eq(grad_at(y, i), 4);
    }
    ck_assert(!pleat_shares_storage(pleat_grad(x), pleat_grad(y)));
}
END_TEST

START_TEST(broadcasting_sums_back)
{
    pleat_tensor *row = leaf(1, 3), *all = pleat_set_requires_grad(pleat_ones(PLEAT_SHAPE(2, 3), PLEAT_F64), true);
    pleat_tensor *one = pleat_set_requires_grad(pleat_scalar(3, PLEAT_F64), true);
    ck_assert_ok(pleat_backward(pleat_sum(pleat_mul(pleat_mul(all, row), one))));
    ck_assert_double_eq(grad_at(row, 1), 6);
    ck_assert_double_eq(grad_at(all, 5), 9);
    ck_assert_double_eq(pleat_item(pleat_grad(one)), 12);
    ck_assert_int_eq(pleat_ndim(pleat_grad(one)), 0);
}
END_TEST

START_TEST(nothing_is_recorded_without_need)
{
    pleat_tensor *x = leaf(1, 3), *c = pleat_ones(PLEAT_SHAPE(3), PLEAT_F64);
    pleat_add(c, c);
    pleat_add(pleat_detach(x), c);
    pleat_grad_mode(false);
    pleat_tensor *y = pleat_mul(x, x);
    pleat_grad_mode(true);
    ck_assert_int_eq(pleat_tape_length(), 0);
    ck_assert(!pleat_requires_grad(y) && pleat_is_leaf(y));
    ck_assert_int_eq(pleat_backward(pleat_sum(y)), PLEAT_EGRAD);
    ck_assert_failed(PLEAT_EGRAD, "does not depend");
    const pleat_scope s = pleat_scope_begin();
    y = pleat_mul(x, x);
    ck_assert(pleat_requires_grad(y) && !pleat_is_leaf(y));
    ck_assert_int_eq(pleat_tape_length(), 1);
    pleat_scope_end(s);
    ck_assert_int_eq(pleat_tape_length(), 0);
}
END_TEST

/* relu's gradient reads its output, add's nothing: so of x + x, then relu, the sum may go at once. */
START_TEST(only_what_gradients_read_is_held)
{
    pleat_tensor *x = leaf(1, 3);
    const int64_t live = pleat_live_tensors();
    const pleat_scope s = pleat_scope_begin();
    pleat_tensor *y = pleat_scope_return(s, pleat_relu(pleat_add(x, x)));
    ck_assert_int_eq(pleat_live_tensors(), live + 1);
    ck_assert_int_eq(pleat_tape_length(), 2);
    ck_assert_ok(pleat_backward(pleat_sum(y)));
    ck_assert_double_eq(grad_at(x, 0), 2);
}
END_TEST

START_TEST(history_is_spent_once)
{
    pleat_tensor *x = leaf(1, 3), *y = pleat_sum(pleat_mul(x, x));
    ck_assert_ok(pleat_backward_keep(y));
    ck_assert_ok(pleat_backward(y));
    ck_assert_int_eq(pleat_backward(y), PLEAT_EGRAD);
    ck_assert_failed(PLEAT_EGRAD, "spent");
    ck_assert_double_eq(grad_at(x, 2), 12);
}
END_TEST

START_TEST(history_ends_with_its_scope)
{
    pleat_tensor *x = leaf(1, 3);
    const pleat_scope s = pleat_scope_begin();
    pleat_tensor *y = pleat_retain(pleat_mul(x, x));
    pleat_scope_end(s);
    ck_assert_int_eq(pleat_backward(pleat_sum(y)), PLEAT_EGRAD);
    ck_assert_failed(PLEAT_EGRAD, "has ended");
    ck_assert_ptr_null(pleat_grad(x));
    ck_assert_ok(pleat_backward(pleat_sum(pleat_mul(x, pleat_detach(y)))));
    ck_assert_double_eq(grad_at(x, 1), 4);
    pleat_release(y);
}
END_TEST

START_TEST(changes_in_place_are_noticed)
{
    pleat_tensor *x = leaf(1, 3), *c = pleat_ones(PLEAT_SHAPE(3), PLEAT_F64);
    pleat_tensor *y = pleat_sum(pleat_mul(x, c));
    pleat_fill_(pleat_narrow(c, 0, 1, 1), 5); /* through a view */
    ck_assert_int_eq(pleat_backward(y), PLEAT_EGRAD);
    ck_assert_failed(PLEAT_EGRAD, "mul: input 1");
    ck_assert_int_eq(pleat_backward(y), PLEAT_EGRAD);
    ck_assert_failed(PLEAT_EGRAD, "spent");
    y = pleat_sum(pleat_add(x, c)); /* add keeps nothing, so there is nothing to notice */
    pleat_fill_(c, 7);
    ck_assert_ok(pleat_backward(y));
    ck_assert_ptr_null(pleat_fill_(x, 1));
    ck_assert_failed(PLEAT_EGRAD, "recorded");
    ck_assert_ptr_null(pleat_zero_(pleat_add(x, x)));
    ck_assert_failed(PLEAT_EGRAD, "recorded");
}
END_TEST

/* An op whose gradient fails on demand, after others have delivered theirs. */
static bool fail_now;
static pleat_status same_infer(const pleat_call *call, pleat_spec *out)
{
    out[0] = call->in_spec[0];
    return PLEAT_OK;
}
static pleat_status same_forward(pleat_call *call)
{
    pleat_copy_(call->out[0], call->in[0]);
    return PLEAT_OK;
}
static pleat_status fails_backward(pleat_call *call)
{
    if (fail_now)
        return pleat_fail(PLEAT_EINVAL, "not today");
    call->grad_in[0] = call->grad_out[0];
    return PLEAT_OK;
}
static const pleat_op fails = {
    .name = "fails", .inputs = 1, .outputs = 1, .infer = same_infer, .forward = same_forward, .backward = fails_backward
};

START_TEST(a_failed_backward_changes_no_gradient)
{
    pleat_tensor *x = leaf(1, 3), *w = leaf(1, 3), *late = leaf(1, 3);
    ck_assert_ok(pleat_backward(pleat_sum(x)));
    const int64_t live = pleat_live_tensors();
    const pleat_scope s = pleat_scope_begin();
    pleat_tensor *deep = pleat_mul(x, w);
    pleat_tensor *y = pleat_sum(pleat_mul(pleat_apply(&fails, (pleat_tensor *[]){ deep }, 1, NULL), late));
    fail_now = true;
    ck_assert_int_eq(pleat_backward(y), PLEAT_EINVAL);
    ck_assert_failed(PLEAT_EINVAL, "fails: not today");
    ck_assert_ptr_null(pleat_grad(late));
    ck_assert_ptr_null(pleat_grad(w));
    ck_assert_double_eq(grad_at(x, 0), 1);
    fail_now = false;
    ck_assert_int_eq(pleat_backward(y), PLEAT_EGRAD); /* its history is spent, down to what was not reached */
    ck_assert_failed(PLEAT_EGRAD, "spent");
    ck_assert_int_eq(pleat_backward(pleat_sum(deep)), PLEAT_EGRAD);
    ck_assert_failed(PLEAT_EGRAD, "spent");

    y = pleat_sum(pleat_apply(&fails, (pleat_tensor *[]){ pleat_mul(x, w) }, 1, NULL));
    fail_now = true;
    ck_assert_int_eq(pleat_backward_keep(y), PLEAT_EINVAL);
    pleat_error_clear();
    fail_now = false;
    ck_assert_ok(pleat_backward(y)); /* kept, so it can be tried again */
    ck_assert_double_eq(grad_at(x, 0), 2);
    pleat_scope_end(s);
    ck_assert_int_eq(pleat_live_tensors(), live + 1); /* w's gradient */
}
END_TEST

static pleat_status wrong_backward(pleat_call *call)
{
    const int kind = *(const int *)call->params;
    call->grad_in[0] = kind == 0   ? pleat_ones(PLEAT_SHAPE(2), PLEAT_F64)
                       : kind == 1 ? pleat_ones(PLEAT_SHAPE(3), PLEAT_F32)
                                   : NULL;
    return kind == 3 ? PLEAT_EIO : PLEAT_OK;
}
static const pleat_op wrong = { .name = "wrong",
                                .inputs = 1,
                                .outputs = 1,
                                .params_size = sizeof(int),
                                .infer = same_infer,
                                .forward = same_forward,
                                .backward = wrong_backward };
static const pleat_op none = {
    .name = "none", .inputs = 1, .outputs = 1, .infer = same_infer, .forward = same_forward
};

START_TEST(a_wrong_gradient_is_refused)
{
    pleat_tensor *x = leaf(1, 3);
    ck_assert_int_eq(pleat_backward(pleat_sum(pleat_apply(&wrong, &x, 1, &(int){ 0 }))), PLEAT_ESHAPE);
    ck_assert_failed(PLEAT_ESHAPE, "wrong: the gradient of input 0 has shape (2,)");
    ck_assert_int_eq(pleat_backward(pleat_sum(pleat_apply(&wrong, &x, 1, &(int){ 1 }))), PLEAT_EDTYPE);
    ck_assert_failed(PLEAT_EDTYPE, "wrong: the gradient of input 0 is float32");
    ck_assert_ok(pleat_backward(pleat_sum(pleat_apply(&wrong, &x, 1, &(int){ 2 })))); /* NULL is zero */
    ck_assert_ptr_null(pleat_grad(x));
    ck_assert_int_eq(pleat_backward(pleat_sum(pleat_apply(&wrong, &x, 1, &(int){ 3 }))), PLEAT_EIO);
    ck_assert_failed(PLEAT_EIO, "without a message");
    ck_assert_int_eq(pleat_backward(pleat_sum(pleat_apply(&none, &x, 1, NULL))), PLEAT_EGRAD);
    ck_assert_failed(PLEAT_EGRAD, "none: states no gradient");
    ck_assert_ptr_null(pleat_apply(&none, (pleat_tensor *[]){ x, x }, 2, NULL));
    ck_assert_failed(PLEAT_EINVAL, "takes 1 inputs, not 2");
    ck_assert_ptr_null(pleat_apply(&none, (pleat_tensor *[]){ NULL }, 1, NULL));
    ck_assert_failed(PLEAT_EINVAL, "input 0 is NULL");
    ck_assert_ptr_null(pleat_add(x, pleat_arange(0, 3, 1, PLEAT_F32)));
    ck_assert_failed(PLEAT_EDTYPE, "add: input 0 is float64 and input 1 is float32");
}
END_TEST

/* Neither the stack nor the time may suffer: a hundred thousand calls, each on the one before. */
START_TEST(a_long_chain)
{
    pleat_tensor *x = leaf(0, 1), *y = x;
    for (int i = 0; i < 100000; i++)
        y = pleat_add(y, x);
    ck_assert_int_eq(pleat_tape_length(), 100000);
    ck_assert_ok(pleat_backward(y));
    ck_assert_double_eq(grad_at(x, 0), 100001);
}
END_TEST

static void *train_alone(void *shared)
{
    for (int i = 0; i < 200; i++) {
        const pleat_scope s = pleat_scope_begin();
        if (pleat_backward(pleat_sum(pleat_mul(shared, shared))) != PLEAT_OK)
            return shared;
        pleat_scope_end(s);
    }
    return NULL;
}

START_TEST(threads_share_leaves)
{
    pleat_tensor *x = leaf(1, 50);
    pthread_t thread[4];
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, train_alone, x), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(thread[i], &failed);
        ck_assert_ptr_null(failed);
    }
    for (int i = 0; i < 50; i++)
        ck_assert_double_eq(grad_at(x, i), 1600.0 * (i + 1));
}
END_TEST

static void *backward_elsewhere(void *loss)
{
    return pleat_backward(loss) == PLEAT_EGRAD && strstr(pleat_error(), "another thread") ? loss : NULL;
}

START_TEST(history_belongs_to_its_thread)
{
    pleat_tensor *x = leaf(1, 3), *y = pleat_sum(x);
    pthread_t other;
    void *refused;
    ck_assert_int_eq(pthread_create(&other, NULL, backward_elsewhere, y), 0);
    pthread_join(other, &refused);
    ck_assert_ptr_eq(refused, y);
    ck_assert_ok(pleat_backward(y));
}
END_TEST

/* Every allocation of a training step fails once: each time a clear error, no gradient changed, nothing left. */
START_TEST(no_memory_changes_no_gradient)
{
    pleat_tensor *x = leaf(1, 3), *w = leaf(2, 3);
    ck_assert_ok(pleat_backward(pleat_sum(pleat_mul(x, w))));
    int64_t live = pleat_live_tensors();
    for (int64_t n = 1;; n++) {
        ck_assert_int_lt(n, 2000);
        const pleat_scope s = pleat_scope_begin();
        pleat_memory_fail_after(n);
        pleat_tensor *y =
            pleat_sum(pleat_mul(pleat_relu(pleat_add(x, w)), pleat_exp(pleat_mul(w, pleat_narrow(x, 0, 1, 1)))));
        const pleat_status status = pleat_backward(y);
        const bool through = pleat_memory_fail_after(0) > 0;
        pleat_scope_end(s);
        ck_assert_int_eq(pleat_live_tensors(), live);
        if (through) {
            ck_assert_int_eq(status, PLEAT_OK);
            ck_assert_int_gt(n, 20);
            break;
        }
        ck_assert_int_eq(status, PLEAT_ENOMEM);
        ck_assert_double_eq(grad_at(x, 1), 3);
        ck_assert_double_eq(grad_at(w, 1), 2);
    }
    ck_assert_double_ne(grad_at(x, 1), 3);
}
END_TEST

RUN_TESTS("backward", products_and_sums, a_leaf_is_its_own_loss, shared_gradients_do_not_run_into_each_other,
          broadcasting_sums_back, nothing_is_recorded_without_need, only_what_gradients_read_is_held,
          history_is_spent_once, history_ends_with_its_scope, changes_in_place_are_noticed,
          a_failed_backward_changes_no_gradient, a_wrong_gradient_is_refused, a_long_chain, threads_share_leaves,
          history_belongs_to_its_thread, no_memory_changes_no_gradient)
