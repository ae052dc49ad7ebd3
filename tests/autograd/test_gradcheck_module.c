/* gradcheck_module: a net by its input and parameters; what is wrong is named; parameters, gradients and buffers are
 * afterwards what they were. */
#include "support/run.h"

#include <pleat/pleat.h>

#include <string.h>

static pleat_module *small_net(void)
{
    pleat_module *net = pleat_sequential(
        pleat_nn_conv2d(2, 3, (pleat_hw){ 3, 3 }, &(pleat_conv2d_opts){ .padding = { 1, 1 } }),
        pleat_nn_batch_norm2d(3), pleat_nn_relu(), pleat_nn_dropout(0.3),
        pleat_nn_max_pool2d(&(pleat_window){ .kernel = { 2, 2 } }), pleat_nn_flatten(), pleat_nn_linear(3 * 2 * 2, 2));
    ck_assert_ok(pleat_module_to(net, PLEAT_F64));
    return net;
}

typedef struct {
    pleat_tensor *copy[32];
    int count;
    bool compare;
} snapshot;

static pleat_status visit(const pleat_named_tensor *item, void *user)
{
    snapshot *s = user;
    pleat_tensor *now =
        pleat_copy_(pleat_empty(pleat_shape_of(item->tensor), pleat_dtype_of(item->tensor)), item->tensor);
    if (s->compare)
        ck_assert_msg(pleat_equal(s->copy[s->count], now), "%s has changed", item->name);
    else
        s->copy[s->count] = now;
    s->count++;
    ck_assert_msg(!item->is_parameter || pleat_requires_grad(item->tensor), "%s", item->name);
    return PLEAT_OK;
}

static void same_as(pleat_module *m, snapshot *s)
{
    s->compare = true;
    s->count = 0;
    ck_assert_ok(pleat_module_visit(m, visit, s));
}

START_TEST(a_net_passes)
{
    pleat_seed(4);
    pleat_module *net = small_net();
    pleat_tensor *x = pleat_randn(PLEAT_SHAPE(3, 2, 4, 4), PLEAT_F64), *x_before = pleat_clone(x);
    ck_assert_ok(pleat_backward(pleat_sum(pleat_forward(net, x)))); /* gradients and running statistics are there */
    pleat_tensor *weight = pleat_module_parameter(net, "0.weight"), *grad = pleat_grad(weight);
    pleat_tensor *grad_before = pleat_clone(grad);
    const pleat_rng_state rng = pleat_rng_get();
    const int64_t tape = pleat_tape_length();
    pleat_gradcheck_report r;
    for (int training = 0; training < 2; training++)
        for (int fast = 0; fast < 2; fast++) {
            snapshot s = { .count = 0 };
            pleat_module_train(net, training);
            ck_assert_ok(pleat_module_visit(net, visit, &s));
            ck_assert_ok(pleat_gradcheck_module(net, x, &(pleat_gradcheck_opts){ .report = &r, .fast = fast }));
            ck_assert(r.passed && r.max_gradient > 0);
            ck_assert(!fast ? r.compared == (96 + 57 + 6 + 26) * 6 : r.compared > 0);
            same_as(net, &s);
        }
    ck_assert(pleat_equal(x, x_before) && !pleat_requires_grad(x));
    ck_assert_ptr_eq(pleat_grad(weight), grad);
    ck_assert(pleat_equal(grad, grad_before));
    ck_assert(pleat_rng_get().draws == rng.draws && pleat_tape_length() == tape);
    pleat_module_free(net);
}
END_TEST

/* A module that forgets one of its parameters. */
static pleat_tensor *forgets_forward(pleat_module *self, pleat_tensor *x)
{
    pleat_tensor *const *p = pleat_module_state(self);
    return pleat_add(pleat_mul(x, p[0]), pleat_detach(p[1]));
}

static const pleat_module_class forgets = { .name = "forgets",
                                            .state_size = 2 * sizeof(pleat_tensor *),
                                            .forward = forgets_forward };

START_TEST(what_is_wrong_is_named)
{
    pleat_module *m = pleat_module_new(&forgets);
    pleat_tensor **p = pleat_module_state(m);
    p[0] = pleat_module_add_parameter(m, "scale", pleat_full(PLEAT_SHAPE(3), 2, PLEAT_F64));
    p[1] = pleat_module_add_parameter(m, "shift", pleat_full(PLEAT_SHAPE(3), 1, PLEAT_F64));
    pleat_module *net = pleat_sequential(pleat_nn_relu(), m);
    snapshot s = { .count = 0 };
    ck_assert_ok(pleat_module_visit(net, visit, &s));
    pleat_gradcheck_report r;
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(2, 3), PLEAT_F64);
    ck_assert(pleat_gradcheck_module(net, x, &(pleat_gradcheck_opts){ .report = &r }) == PLEAT_EGRAD);
    ck_assert_int_eq(r.worst_input, 2);
    ck_assert_failed(PLEAT_EGRAD, "gradcheck_module: parameter 1.shift, element 0");
    same_as(net, &s);
    /* what wants no gradient is not looked at */
    pleat_set_requires_grad(p[1], false);
    ck_assert_ok(pleat_gradcheck_module(net, x, NULL));
    pleat_module_free(net);
}
END_TEST

START_TEST(refusals)
{
    pleat_module *net = pleat_nn_linear(3, 2);
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(2, 3), PLEAT_F64);
    ck_assert(pleat_gradcheck_module(net, x, NULL) == PLEAT_EDTYPE);
    ck_assert_failed(PLEAT_EDTYPE, "parameter weight is float32");
    ck_assert_ok(pleat_module_to(net, PLEAT_F64));
    ck_assert(pleat_gradcheck_module(net, pleat_ones(PLEAT_SHAPE(2, 3), PLEAT_F32), NULL) == PLEAT_EDTYPE);
    ck_assert_failed(PLEAT_EDTYPE, "input 0 is float32");
    ck_assert(pleat_gradcheck_module(net, pleat_ones(PLEAT_SHAPE(2, 4), PLEAT_F64), NULL) == PLEAT_ESHAPE);
    ck_assert_failed(PLEAT_ESHAPE, "linear: ");
    ck_assert(pleat_gradcheck_module(NULL, x, NULL) == PLEAT_EINVAL);
    ck_assert(pleat_gradcheck_module(net, NULL, NULL) == PLEAT_EINVAL);
    ck_assert(pleat_gradcheck_module(net, x, &(pleat_gradcheck_opts){ .eps = -1 }) == PLEAT_EINVAL);
    ck_assert_ok(pleat_gradcheck_module(net, x, NULL));
    pleat_module_free(net);
}
END_TEST

START_TEST(memory_may_end_anywhere)
{
    pleat_module *net = pleat_sequential(pleat_nn_conv2d(1, 1, (pleat_hw){ 1, 1 }, NULL), pleat_nn_batch_norm2d(1));
    ck_assert_ok(pleat_module_to(net, PLEAT_F64));
    pleat_tensor *x = pleat_reshape(pleat_arange(0, 3, 1, PLEAT_F64), PLEAT_SHAPE(1, 1, 1, 3));
    snapshot s = { .count = 0 };
    ck_assert_ok(pleat_module_visit(net, visit, &s));
    pleat_memory_set_cache_limit(0);
    for (int64_t n = 1;; n++) {
        pleat_memory_fail_after(n);
        const pleat_status status = pleat_gradcheck_module(net, x, NULL);
        if (pleat_memory_fail_after(0) > 0) { /* it never came to that */
            ck_assert_ok(status);
            break;
        }
        ck_assert_msg(status == PLEAT_ENOMEM, "allocation %d: %s", (int)n, pleat_error());
        same_as(net, &s);
    }
    pleat_module_free(net);
}
END_TEST

RUN_TESTS("gradcheck_module", a_net_passes, what_is_wrong_is_named, refusals, memory_may_end_anywhere)
