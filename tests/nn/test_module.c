/* The module core: members and their names, order, ownership, modes, dtype. */
#include "support/run.h"

#include <pleat/op.h>
#include <pleat/pleat.h>

#include <stdio.h>
#include <string.h>

static int freed;

typedef struct {
    pleat_tensor *scale;
    double extra[3];
} state;

static pleat_tensor *scale_forward(pleat_module *self, pleat_tensor *x)
{
    const state *s = pleat_module_state(self);
    return s->scale ? pleat_mul(x, s->scale) : x;
}

static void scale_free(pleat_module *self)
{
    ck_assert_ptr_nonnull(pleat_module_state(self));
    freed++;
}

static const pleat_module_class scale_class = {
    .name = "scale", .state_size = sizeof(state), .forward = scale_forward, .free = scale_free
};

static pleat_tensor *null_forward(pleat_module *self, pleat_tensor *x)
{
    (void)self, (void)x;
    return NULL;
}

static const pleat_module_class null_class = { .name = "nothing", .forward = null_forward };

/* A module with a parameter "w", a buffer "b" and an integer buffer "n". */
static pleat_module *scale(double value)
{
    const pleat_scope scope = pleat_scope_begin();
    pleat_module *m = pleat_module_new(&scale_class);
    state *s = pleat_module_state(m);
    s->scale = pleat_module_add_parameter(m, "w", pleat_full(PLEAT_SHAPE(2), value, PLEAT_F32));
    pleat_module_add_buffer(m, "b", pleat_full(PLEAT_SHAPE(3), value, PLEAT_F32));
    pleat_module_add_buffer(m, "n", pleat_full(PLEAT_SHAPE(), value, PLEAT_I64));
    pleat_scope_end(scope);
    ck_assert_msg(pleat_check() == PLEAT_OK, "%s", pleat_error());
    return m;
}

static pleat_status append(const pleat_named_tensor *item, void *user)
{
    strcat(user, item->name);
    strcat(user, item->is_parameter ? "! " : " ");
    return strstr(item->name, "stop") ? PLEAT_ELOOKUP : PLEAT_OK;
}

START_TEST(names_are_a_state_dicts)
{
    pleat_module *m = scale(1), *block = scale(2);
    ck_assert_ptr_eq(pleat_module_add_child(block, "inner", scale(3)), pleat_module_child(block, "inner"));
    ck_assert_ptr_eq(pleat_module_add_child(m, "longer_name", block), block);
    pleat_module_add_child(m, "0", scale(4));
    const pleat_scope scope = pleat_scope_begin();
    pleat_module_add_parameter(m, "late", pleat_ones(PLEAT_SHAPE(1), PLEAT_F64));
    pleat_scope_end(scope);

    char names[512] = "";
    ck_assert_ok(pleat_module_visit(m, append, names));
    ck_assert_str_eq(names, "w! late! b n longer_name.w! longer_name.b longer_name.n longer_name.inner.w! "
                            "longer_name.inner.b longer_name.inner.n 0.w! 0.b 0.n ");
    ck_assert_int_eq(pleat_module_parameter_count(m), 4 * 2 + 1);
    ck_assert(pleat_data_f32(pleat_module_parameter(m, "longer_name.inner.w"))[1] == 3);
    ck_assert(pleat_item(pleat_module_buffer(m, "0.n")) == 4);
    ck_assert_ptr_eq(pleat_module_class_of(pleat_module_child(m, "longer_name.inner")), &scale_class);

    freed = 0;
    pleat_module_free(block); /* it has a parent: nothing happens */
    ck_assert_int_eq(freed, 0);
    pleat_module_free(m);
    ck_assert_int_eq(freed, 4);
    ck_assert_int_eq(pleat_live_tensors(), 0);
}
END_TEST

START_TEST(lookups_say_what_there_is)
{
    pleat_module *m = scale(1);
    pleat_module_add_child(m, "a", scale(2));
    pleat_module_add_child(m, "b1", pleat_module_new(&null_class));
    ck_assert_ptr_null(pleat_module_parameter(m, "a.weight"));
    ck_assert_failed(PLEAT_ELOOKUP, "'a.weight': 'a' has no parameter 'weight'; it has w");
    ck_assert_ptr_null(pleat_module_buffer(m, "w"));
    ck_assert_failed(PLEAT_ELOOKUP, "'w': the scale has no buffer 'w'; it has b, n");
    ck_assert_ptr_null(pleat_module_parameter(m, "c.w"));
    ck_assert_failed(PLEAT_ELOOKUP, "'c.w': the scale has no child 'c'; it has a, b1");
    ck_assert_ptr_null(pleat_module_child(m, "a.x.y"));
    ck_assert_failed(PLEAT_ELOOKUP, "'a' has no child 'x', nor any other");
    ck_assert_ptr_null(pleat_module_child(m, "b"));
    ck_assert_failed(PLEAT_ELOOKUP, "no child 'b'");
    ck_assert_ptr_null(pleat_module_child(m, ""));
    ck_assert_failed(PLEAT_ELOOKUP, "no child ''");
    ck_assert_ptr_null(pleat_module_parameter(m, "a..w"));
    ck_assert_failed(PLEAT_ELOOKUP, "no child ''");
    ck_assert_ptr_null(pleat_module_parameter(NULL, "w"));
    ck_assert_failed(PLEAT_EINVAL, "module is NULL");
    ck_assert_ptr_null(pleat_module_parameter(m, NULL));
    ck_assert_failed(PLEAT_EINVAL, "name is NULL");
    for (int i = 0; i < 100; i++) { /* more than a message holds */
        char name[32];
        snprintf(name, sizeof name, "child%d", i);
        pleat_module_add_child(m, name, pleat_module_new(&null_class));
    }
    ck_assert_ptr_null(pleat_module_child(m, "child"));
    ck_assert_failed(PLEAT_ELOOKUP, ", ...");
    pleat_module_free(m);
}
END_TEST

START_TEST(a_visit_stops_where_it_is_told_to)
{
    pleat_module *m = scale(1);
    const pleat_scope scope = pleat_scope_begin();
    pleat_module_add_buffer(m, "stop", pleat_ones(PLEAT_SHAPE(), PLEAT_F32));
    pleat_module_add_buffer(m, "unseen", pleat_ones(PLEAT_SHAPE(), PLEAT_F32));
    pleat_scope_end(scope);
    char names[64] = "";
    ck_assert_int_eq(pleat_module_visit(m, append, names), PLEAT_ELOOKUP);
    ck_assert_str_eq(names, "w! b n stop ");
    ck_assert_int_eq(pleat_check(), PLEAT_OK);
    ck_assert_int_eq(pleat_module_visit(NULL, append, names), PLEAT_EINVAL);
    ck_assert_int_eq(pleat_module_visit(m, NULL, names), PLEAT_EINVAL);
    pleat_module_free(m);
}
END_TEST

START_TEST(bad_members)
{
    const pleat_scope scope = pleat_scope_begin();
    pleat_module *m = scale(1);
    pleat_tensor *t = pleat_ones(PLEAT_SHAPE(2, 2), PLEAT_F32);
    freed = 0;
    ck_assert_ptr_null(pleat_module_add_child(m, "a.b", scale(2)));
    ck_assert_failed(PLEAT_EINVAL, "'a.b'");
    ck_assert_int_eq(freed, 1); /* what was given is gone */
    ck_assert_ptr_null(pleat_module_add_child(m, "", scale(2)));
    ck_assert_failed(PLEAT_EINVAL, "''");
    ck_assert_ptr_null(pleat_module_add_child(m, "w", scale(2)));
    ck_assert_failed(PLEAT_EINVAL, "a scale has a 'w' already");
    ck_assert_ptr_null(pleat_module_add_child(NULL, "c", scale(2)));
    ck_assert_failed(PLEAT_EINVAL, "module is NULL");
    ck_assert_ptr_null(pleat_module_add_child(m, NULL, scale(2)));
    ck_assert_failed(PLEAT_EINVAL, "name is NULL");
    ck_assert_int_eq(freed, 5);
    ck_assert_ptr_null(pleat_module_add_child(m, "c", NULL));
    ck_assert_failed(PLEAT_EINVAL, "child 'c' is NULL");
    ck_assert_ptr_null(pleat_module_add_child(m, "c", m));
    ck_assert_failed(PLEAT_EINVAL, "hold itself");
    pleat_module *child = pleat_module_add_child(m, "c", scale(3));
    ck_assert_ptr_null(pleat_module_add_child(child, "m", m));
    ck_assert_failed(PLEAT_EINVAL, "hold itself");
    ck_assert_ptr_null(pleat_module_add_child(m, "d", child));
    ck_assert_failed(PLEAT_EINVAL, "a parent already, a scale");
    ck_assert_int_eq(freed, 5);

    ck_assert_ptr_null(pleat_module_add_parameter(m, "x", NULL));
    ck_assert_failed(PLEAT_EINVAL, "'x' is NULL");
    ck_assert_ptr_null(pleat_module_add_parameter(m, "b", t));
    ck_assert_failed(PLEAT_EINVAL, "'b' already");
    ck_assert_ptr_null(pleat_module_add_parameter(m, "x", pleat_transpose(t, 0, 1)));
    ck_assert_failed(PLEAT_EINVAL, "not contiguous");
    ck_assert_ptr_null(pleat_module_add_parameter(m, "x", pleat_zeros(PLEAT_SHAPE(2), PLEAT_I64)));
    ck_assert_int_ne(pleat_check(), PLEAT_OK);
    ck_assert_ptr_null(pleat_module_add_buffer(m, "x", pleat_module_parameter(m, "w")));
    ck_assert_failed(PLEAT_EINVAL, "requires a gradient");

    ck_assert_ptr_null(pleat_module_new(NULL));
    ck_assert_failed(PLEAT_EINVAL, "class");
    ck_assert_ptr_null(pleat_module_new(&(pleat_module_class){ .name = "no forward" }));
    ck_assert_failed(PLEAT_EINVAL, "forward");
    pleat_module_free(m);
    pleat_module_free(NULL);
    pleat_scope_end(scope);
    ck_assert_int_eq(pleat_live_tensors(), 0);
}
END_TEST

START_TEST(pending_errors)
{
    pleat_module *m = scale(1);
    freed = 0;
    pleat_module *orphan = scale(2);
    pleat_fail(PLEAT_EINVAL, "the first");
    ck_assert_ptr_null(pleat_module_new(&scale_class));
    ck_assert_ptr_null(pleat_module_add_child(m, "c", NULL)); /* as a constructor that failed gives it */
    ck_assert_ptr_null(pleat_module_add_child(m, "d", orphan));
    ck_assert_int_eq(freed, 1);
    ck_assert_ptr_null(pleat_forward(m, NULL));
    ck_assert_ptr_nonnull(pleat_module_parameter(m, "w")); /* getters work on */
    ck_assert_int_eq(pleat_module_parameter_count(m), 2);
    pleat_module_train(m, false);
    ck_assert(!pleat_module_is_training(m));
    pleat_module_zero_grad(m);
    pleat_module_free(m);
    ck_assert_int_eq(freed, 2);
    ck_assert_str_eq(pleat_error(), "the first");
    ck_assert_int_eq(pleat_check(), PLEAT_EINVAL);
    ck_assert_int_eq(pleat_live_tensors(), 0);
}
END_TEST

START_TEST(forward_runs_the_class)
{
    const pleat_scope scope = pleat_scope_begin();
    pleat_module *m = scale(3), *nothing = pleat_module_new(&null_class);
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(4, 2), PLEAT_F32), *y = pleat_forward(m, x);
    ck_assert(pleat_equal(y, pleat_full(PLEAT_SHAPE(4, 2), 3, PLEAT_F32)));
    ck_assert_ok(pleat_backward(pleat_sum(y)));
    ck_assert(pleat_data_f32(pleat_grad(pleat_module_parameter(m, "w")))[0] == 4);
    pleat_module_zero_grad(m);
    ck_assert_ptr_null(pleat_grad(pleat_module_parameter(m, "w")));
    ck_assert_ptr_null(pleat_forward(nothing, x));
    ck_assert_failed(PLEAT_EINVAL, "a nothing gave NULL");
    ck_assert_ptr_null(pleat_forward(NULL, x));
    ck_assert_failed(PLEAT_EINVAL, "module is NULL");
    ck_assert_ptr_null(pleat_forward(m, NULL));
    ck_assert_failed(PLEAT_EINVAL, "input is NULL");
    pleat_module_free(m);
    pleat_module_free(nothing);
    pleat_scope_end(scope);
}
END_TEST

START_TEST(train_reaches_all_below)
{
    pleat_module *m = scale(1), *a = pleat_module_add_child(m, "a", scale(1)),
                 *b = pleat_module_add_child(a, "c", scale(1));
    ck_assert(pleat_module_is_training(m) && pleat_module_is_training(b));
    pleat_module_train(a, false);
    ck_assert(pleat_module_is_training(m) && !pleat_module_is_training(a) && !pleat_module_is_training(b));
    pleat_module_train(m, true);
    ck_assert(pleat_module_is_training(b));
    pleat_module_train(NULL, true);
    ck_assert(!pleat_module_is_training(NULL));
    pleat_module_free(m);
}
END_TEST

START_TEST(to_another_dtype)
{
    const pleat_scope scope = pleat_scope_begin();
    pleat_module *m = scale(1.5);
    pleat_module *twin = pleat_module_add_child(m, "twin", scale(2));
    pleat_tensor *w = pleat_module_parameter(m, "w"), *x = pleat_ones(PLEAT_SHAPE(2), PLEAT_F32);
    ck_assert_ptr_eq(pleat_module_add_parameter(twin, "shared", w), w);
    ck_assert_int_eq(pleat_module_parameter_count(m), 4); /* it is one parameter */
    pleat_tensor *kept = pleat_sum(pleat_mul(pleat_forward(m, x), w));
    ck_assert_ok(pleat_backward_keep(kept));

    ck_assert_ok(pleat_module_to(m, PLEAT_F64));
    ck_assert_ptr_eq(pleat_module_parameter(m, "w"), w); /* what a state points at stays */
    ck_assert_int_eq(pleat_dtype_of(w), PLEAT_F64);
    ck_assert(pleat_data_f64(w)[1] == 1.5 && pleat_requires_grad(w) && pleat_is_leaf(w));
    ck_assert_ptr_null(pleat_grad(w));
    ck_assert_int_eq(pleat_dtype_of(pleat_module_buffer(m, "twin.b")), PLEAT_F64);
    ck_assert_int_eq(pleat_dtype_of(pleat_module_buffer(m, "twin.n")), PLEAT_I64);
    ck_assert_int_eq(pleat_backward(kept), PLEAT_EGRAD); /* the history is of what w held before */
    pleat_tensor *y = pleat_forward(m, pleat_ones(PLEAT_SHAPE(2), PLEAT_F64));
    ck_assert(pleat_data_f64(y)[0] == 1.5);

    ck_assert_int_eq(pleat_module_to(m, PLEAT_I64), PLEAT_EDTYPE);
    ck_assert_failed(PLEAT_EDTYPE, "int64");
    ck_assert_int_eq(pleat_module_to(NULL, PLEAT_F32), PLEAT_EINVAL);
    pleat_error_clear();

    for (int64_t n = 1;; n++) { /* all or nothing, wherever the memory ends */
        pleat_memory_fail_after(n);
        const pleat_status status = pleat_module_to(m, PLEAT_F32);
        const bool done = pleat_memory_fail_after(0) > 0;
        ck_assert_int_eq(status, done ? PLEAT_OK : PLEAT_ENOMEM);
        ck_assert_int_eq(pleat_dtype_of(w), done ? PLEAT_F32 : PLEAT_F64);
        ck_assert_int_eq(pleat_dtype_of(pleat_module_buffer(m, "twin.b")), done ? PLEAT_F32 : PLEAT_F64);
        if (done)
            break;
    }
    ck_assert(pleat_data_f32(w)[0] == 1.5f);
    pleat_module_free(m);
    pleat_scope_end(scope);
    ck_assert_int_eq(pleat_live_tensors(), 0);
}
END_TEST

static pleat_status ignore(const pleat_named_tensor *item, void *user)
{
    (void)item, (void)user;
    return PLEAT_OK;
}

START_TEST(no_memory)
{
    for (int64_t n = 1;; n++) {
        pleat_memory_fail_after(n);
        const pleat_scope scope = pleat_scope_begin();
        pleat_module *m = pleat_module_new(&scale_class);
        pleat_module *child = m ? pleat_module_add_child(m, "child", pleat_module_new(&scale_class)) : NULL;
        if (child)
            pleat_module_add_parameter(child, "p", pleat_ones(PLEAT_SHAPE(2), PLEAT_F32));
        if (pleat_check() == PLEAT_OK)
            pleat_module_visit(m, ignore, NULL);
        const bool done = pleat_memory_fail_after(0) > 0;
        ck_assert_int_eq(pleat_error_code(), done ? PLEAT_OK : PLEAT_ENOMEM);
        pleat_error_clear();
        pleat_module_free(m);
        pleat_scope_end(scope);
        pleat_error_clear();
        ck_assert_int_eq(pleat_live_tensors(), 0);
        if (done)
            return;
    }
}
END_TEST

RUN_TESTS("module", names_are_a_state_dicts, lookups_say_what_there_is, a_visit_stops_where_it_is_told_to, bad_members,
          pending_errors, forward_runs_the_class, train_reaches_all_below, to_another_dtype, no_memory)
