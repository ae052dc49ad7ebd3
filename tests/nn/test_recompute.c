/* Modules that are run again for their gradient: nobody can tell, but by the memory. */
#include "support/run.h"

#include <pleat/pleat.h>

#include <string.h>

#define HW(h, w) ((pleat_hw){ h, w })

static pleat_module *block(int64_t channels)
{
    pleat_module *conv = pleat_nn_conv2d(channels, channels, HW(3, 3), &(pleat_conv2d_opts){ .padding = { 1, 1 } });
    return pleat_nn_residual(pleat_sequential(conv, pleat_nn_batch_norm2d(channels), pleat_nn_dropout(0.3)), NULL);
}

/* Blocks 1 to `blocks`, of which the last is within another that is run again. */
static pleat_module *network(int blocks, bool recompute)
{
    pleat_module *m[16] = { pleat_nn_conv2d(2, 3, HW(3, 3), NULL) };
    for (int i = 1; i <= blocks; i++) {
        m[i] = block(3);
        pleat_module_recompute(m[i], recompute);
    }
    m[blocks] = pleat_sequential(m[blocks], pleat_nn_relu());
    pleat_module_recompute(m[blocks], recompute);
    return pleat_sequential_of(m, blocks + 1);
}

static pleat_status copy_over(const pleat_named_tensor *item, void *user)
{
    pleat_tensor *to =
        item->is_parameter ? pleat_module_parameter(user, item->name) : pleat_module_buffer(user, item->name);
    memcpy(pleat_data_mut(to), pleat_data(item->tensor),
           (size_t)pleat_numel(to) * pleat_dtype_size(pleat_dtype_of(to)));
    return PLEAT_OK;
}

/* To the bit, or to rounding: second derivatives add up in another order. */
static void same(const pleat_tensor *a, const pleat_tensor *b, const char *name, bool bits)
{
    ck_assert_ptr_nonnull(a);
    ck_assert_ptr_nonnull(b);
    ck_assert_msg(bits ? pleat_equal(a, b) : pleat_allclose(a, b, 1e-4, 1e-5), "%s", name);
}

typedef struct {
    pleat_module *other;
    bool bits;
} comparison;

static pleat_status same_tensor(const pleat_named_tensor *item, void *user)
{
    const comparison *c = user;
    if (item->is_parameter)
        same(pleat_grad(item->tensor), pleat_grad(pleat_module_parameter(c->other, item->name)), item->name, c->bits);
    else
        same(item->tensor, pleat_module_buffer(c->other, item->name), item->name, true);
    return PLEAT_OK;
}

/* A penalty on the gradient makes it one of second order. */
static double step(pleat_module *m, pleat_tensor *x, bool penalty)
{
    const pleat_scope scope = pleat_scope_begin();
    pleat_seed(5);
    pleat_module_zero_grad(m);
    pleat_tensor *loss = pleat_mean(pleat_square(pleat_forward(m, x))), *g;
    if (penalty) {
        ck_assert_ok(pleat_gradients(&loss, 1, &x, 1, &(pleat_gradients_opts){ .record = true }, &g));
        loss = pleat_add(loss, pleat_sum(pleat_square(g)));
    }
    ck_assert_ok(pleat_backward(loss));
    const double value = pleat_item(loss);
    pleat_scope_end(scope);
    return value;
}

START_TEST(the_same_gradients)
{
    const pleat_scope scope = pleat_scope_begin();
    pleat_module *plain = network(3, false), *again = network(3, true);
    ck_assert_ok(pleat_module_visit(plain, copy_over, again));
    for (int i = 0; i < 4; i++) {
        pleat_tensor *x = pleat_randn(PLEAT_SHAPE(4, 2, 7, 8), PLEAT_F32), *g[2] = { NULL, NULL };
        if (i > 0) /* from images alone in the first round */
            x = pleat_set_requires_grad(x, true);
        double loss[2];
        pleat_rng_state state[2];
        for (int k = 0; k < 2; k++) {
            loss[k] = step(k ? again : plain, x, i > 1);
            state[k] = pleat_rng_get();
            if (i > 0)
                g[k] = pleat_retain(pleat_grad(x));
            ck_assert_ok(pleat_set_grad(x, NULL));
        }
        ck_assert(loss[0] == loss[1]);
        ck_assert(!memcmp(&state[0], &state[1], sizeof state[0]));
        ck_assert_ok(pleat_module_visit(plain, same_tensor, &(comparison){ again, i < 2 }));
        if (i > 0)
            same(g[0], g[1], "x", i < 2);
        pleat_release(g[0]);
        pleat_release(g[1]);
    }
    pleat_module_free(plain);
    pleat_module_free(again);
    pleat_scope_end(scope);
}
END_TEST

START_TEST(differences_agree)
{
    const pleat_scope scope = pleat_scope_begin();
    pleat_module *m =
        pleat_sequential(pleat_nn_conv2d(1, 2, HW(2, 2), NULL), pleat_nn_batch_norm2d(2), pleat_nn_relu());
    pleat_module_recompute(m, true);
    ck_assert_ok(pleat_module_to(m, PLEAT_F64));
    ck_assert_ok(pleat_gradcheck_module(m, pleat_randn(PLEAT_SHAPE(3, 1, 3, 4), PLEAT_F64), NULL));
    pleat_module_free(m);
    pleat_scope_end(scope);
}
END_TEST

/* Each parameter wanted alone; a module without any; nothing wanted at all. */
START_TEST(some_of_the_gradients)
{
    const pleat_scope scope = pleat_scope_begin();
    pleat_module *m = pleat_nn_linear(2, 2), *relu = pleat_nn_relu();
    pleat_module_recompute(m, true);
    pleat_module_recompute(relu, true);
    pleat_tensor *w = pleat_module_parameter(m, "weight"), *b = pleat_module_parameter(m, "bias");
    pleat_tensor *x = pleat_randn(PLEAT_SHAPE(3, 2), PLEAT_F32), *g[2], *y = pleat_forward(m, x);
    ck_assert_ok(pleat_gradients(&y, 1, &b, 1, &(pleat_gradients_opts){ .grad_outputs = &x }, g));
    ck_assert(pleat_equal(g[0], pleat_sum_dims(x, PLEAT_DIMS(0), false)));
    pleat_set_requires_grad(w, false);
    pleat_set_requires_grad(b, false);
    ck_assert(!pleat_requires_grad(pleat_forward(m, x)));
    pleat_set_requires_grad(x, true);
    y = pleat_forward(relu, x);
    ck_assert_ok(pleat_gradients(&y, 1, &x, 1, &(pleat_gradients_opts){ .grad_outputs = &x }, g));
    ck_assert(pleat_equal(g[0], pleat_relu(x)));
    const bool mode = pleat_grad_mode(false);
    ck_assert(!pleat_requires_grad(pleat_forward(relu, x)));
    pleat_grad_mode(mode);
    pleat_module_free(m);
    pleat_module_free(relu);
    pleat_scope_end(scope);
}
END_TEST

/* One weight under two names gets its gradient once. */
START_TEST(shared_weights)
{
    const pleat_scope scope = pleat_scope_begin();
    pleat_module *first = pleat_nn_linear_no_bias(3, 3), *second = pleat_nn_flatten();
    pleat_tensor *w = pleat_module_parameter(first, "weight");
    ck_assert_ptr_nonnull(pleat_module_add_parameter(second, "same", w));
    pleat_module *m = pleat_sequential(first, second);
    pleat_tensor *x = pleat_randn(PLEAT_SHAPE(2, 3), PLEAT_F32), *g[2];
    for (int k = 0; k < 2; k++) {
        pleat_module_recompute(m, k);
        pleat_tensor *y = pleat_forward(m, x);
        ck_assert_ok(pleat_gradients(&y, 1, &w, 1, &(pleat_gradients_opts){ .grad_outputs = &x }, &g[k]));
    }
    ck_assert(pleat_equal(g[0], g[1]));
    pleat_module_free(m);
    pleat_scope_end(scope);
}
END_TEST

START_TEST(less_memory)
{
    double held[2], peak[2];
    for (int k = 0; k < 2; k++) {
        const pleat_scope scope = pleat_scope_begin();
        pleat_module *m = network(14, k);
        pleat_tensor *x = pleat_randn(PLEAT_SHAPE(16, 2, 60, 60), PLEAT_F32);
        const int64_t before = pleat_memory_stats().live_bytes;
        pleat_memory_reset_peak();
        pleat_tensor *y = pleat_forward(m, x);
        held[k] = (double)(pleat_memory_stats().live_bytes - before);
        ck_assert_ok(pleat_backward(pleat_mean(pleat_square(y))));
        peak[k] = (double)(pleat_memory_stats().peak_bytes - before);
        pleat_module_free(m);
        pleat_scope_end(scope);
    }
    ck_assert_msg(held[1] < 0.6 * held[0], "%.0f of %.0f bytes", held[1], held[0]);
    ck_assert_msg(peak[1] < 0.8 * peak[0], "%.0f of %.0f bytes", peak[1], peak[0]);
}
END_TEST

START_TEST(no_memory)
{
    pleat_module *m = network(2, true);
    const pleat_scope scope = pleat_scope_begin();
    pleat_tensor *x = pleat_randn(PLEAT_SHAPE(2, 2, 5, 5), PLEAT_F32);
    step(m, x, false);
    pleat_module_zero_grad(m);
    const int64_t live = pleat_memory_stats().live_bytes;
    bool failed = true;
    for (int n = 1; failed; n++) {
        const pleat_scope inner = pleat_scope_begin();
        pleat_memory_fail_after(n);
        pleat_tensor *y = pleat_forward(m, x);
        failed = pleat_backward(pleat_mean(pleat_square(y))) != PLEAT_OK;
        pleat_memory_fail_after(0);
        pleat_error_clear();
        pleat_scope_end(inner);
        if (failed)
            ck_assert_int_eq(pleat_memory_stats().live_bytes, live);
        ck_assert(pleat_grad_enabled());
    }
    pleat_scope_end(scope);
    pleat_module_free(m);
}
END_TEST

RUN_TESTS("recompute", the_same_gradients, differences_agree, some_of_the_gradients, shared_weights, less_memory,
          no_memory)
