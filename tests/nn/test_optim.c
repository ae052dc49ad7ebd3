/* Optimizers against PyTorch's, step by step; and what a failed step leaves alone. */
#include "support/run.h"

#include <pleat/pleat.h>

#include <math.h>
#include <string.h>

typedef struct {
    const char *name;
    enum { SGD, ADAM, ADAMW } kind;
    double lr;
    pleat_sgd_opts sgd;
    pleat_adam_opts adam;
    double after[6][7];
} golden_case;

#include "golden/optim.h"

static pleat_tensor *same(pleat_module *self, pleat_tensor *x)
{
    (void)self;
    return x;
}

static const pleat_module_class holder_class = { .name = "holder", .forward = same };

/* A module that holds the parameter "p", of the golden start's values where it has as many elements. */
static pleat_module *holder(pleat_shape shape, pleat_dtype dtype)
{
    const pleat_scope s = pleat_scope_begin();
    pleat_module *m = pleat_module_new(&holder_class);
    pleat_tensor *p = pleat_zeros(shape, dtype);
    if (pleat_numel(p) == SIZE)
        pleat_copy_(p, pleat_from_data(start, PLEAT_SHAPE(SIZE), PLEAT_F64));
    ck_assert_ptr_eq(pleat_module_add_parameter(m, "p", p), p);
    pleat_scope_end(s);
    return m;
}

static pleat_optimizer *make(const golden_case *c, pleat_module *m)
{
    return c->kind == SGD    ? pleat_sgd(m, c->lr, &c->sgd)
           : c->kind == ADAM ? pleat_adam(m, c->lr, &c->adam)
                             : pleat_adamw(m, c->lr, &c->adam);
}

static void run_case(const golden_case *c, pleat_dtype dtype, double tolerance)
{
    const pleat_scope s = pleat_scope_begin();
    pleat_module *m = holder(PLEAT_SHAPE(SIZE), dtype);
    pleat_tensor *p = pleat_module_parameter(m, "p");
    pleat_optimizer *o = make(c, m);
    ck_assert_msg(o != NULL, "%s: %s", c->name, pleat_error());
    ck_assert(pleat_optimizer_lr(o) == c->lr);
    for (int step = 0; step < STEPS; step++) {
        pleat_tensor *g = pleat_cast(pleat_from_data(grads[step], PLEAT_SHAPE(SIZE), PLEAT_F64), dtype);
        ck_assert_ok(pleat_set_grad(p, g));
        if (step == 4)
            ck_assert_ok(pleat_optimizer_set_lr(o, c->lr / 2));
        ck_assert_ok(pleat_optimizer_step(o));
        for (int64_t i = 0; i < SIZE; i++) {
            const double got = pleat_at(p, &i), want = c->after[step][i];
            ck_assert_msg(fabs(got - want) <= tolerance * (1 + fabs(want)), "%s, step %d: p[%d] is %.17g, not %.17g",
                          c->name, step, (int)i, got, want);
        }
    }
    pleat_optimizer_zero_grad(o);
    ck_assert_ptr_null(pleat_grad(p));
    pleat_optimizer_free(o);
    pleat_module_free(m);
    ck_assert_ok(pleat_scope_end(s));
    ck_assert_int_eq(pleat_live_tensors(), 0);
}

START_TEST(steps_are_pytorchs)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run_case(&cases[i], PLEAT_F64, 1e-14);
        run_case(&cases[i], PLEAT_F32, 2e-6);
    }
}
END_TEST

START_TEST(a_parameter_without_gradient_is_left_alone)
{
    pleat_module *m = holder(PLEAT_SHAPE(SIZE), PLEAT_F64);
    pleat_optimizer *o = pleat_adam(m, 0.1, &(pleat_adam_opts){ .weight_decay = 0.5 });
    ck_assert_ok(pleat_optimizer_step(o));
    const double *p = pleat_data_f64(pleat_module_parameter(m, "p"));
    for (int i = 0; i < SIZE; i++)
        ck_assert(p[i] == start[i]);
    pleat_module_free(m);
    ck_assert_ok(pleat_optimizer_step(o)); /* it holds the parameters itself */
    pleat_optimizer_free(o);
    ck_assert_int_eq(pleat_live_tensors(), 0);
}
END_TEST

START_TEST(a_step_is_off_the_tape_and_counts_as_a_change)
{
    const pleat_scope s = pleat_scope_begin();
    pleat_module *m = holder(PLEAT_SHAPE(SIZE), PLEAT_F64);
    pleat_optimizer *o = pleat_sgd(m, 0.1, NULL);
    pleat_tensor *p = pleat_module_parameter(m, "p"), *loss = pleat_sum(pleat_mul(p, p));
    ck_assert_ok(pleat_backward_keep(loss));
    const int64_t recorded = pleat_tape_length();
    ck_assert_ok(pleat_optimizer_step(o));
    ck_assert_int_eq(pleat_tape_length(), recorded);
    ck_assert_int_eq(pleat_backward(loss), PLEAT_EGRAD);
    ck_assert_failed(PLEAT_EGRAD, "changed");
    ck_assert(pleat_is_leaf(p) && pleat_requires_grad(p));
    pleat_optimizer_free(o);
    pleat_module_free(m);
    pleat_scope_end(s);
}
END_TEST

/* Two parameters: whichever allocation fails, neither is touched, and the next step is the first. */
START_TEST(a_failed_step_changes_nothing)
{
    const golden_case *c = &cases[6];
    for (int64_t n = 1;; n++) {
        const pleat_scope s = pleat_scope_begin();
        pleat_module *m = holder(PLEAT_SHAPE(SIZE), PLEAT_F64);
        pleat_module *child = pleat_module_add_child(m, "c", holder(PLEAT_SHAPE(SIZE), PLEAT_F64));
        pleat_tensor *p[2] = { pleat_module_parameter(m, "p"), pleat_module_parameter(child, "p") };
        pleat_tensor *g = pleat_from_data(grads[0], PLEAT_SHAPE(SIZE), PLEAT_F64);
        pleat_optimizer *o = make(c, m);
        for (int i = 0; i < 2; i++)
            ck_assert_ok(pleat_set_grad(p[i], g));
        pleat_memory_fail_after(n);
        const pleat_status status = pleat_optimizer_step(o);
        const bool done = pleat_memory_fail_after(0) > 0;
        if (!done) {
            ck_assert_int_eq(status, PLEAT_ENOMEM);
            ck_assert_int_eq(pleat_check(), PLEAT_OK);
            for (int i = 0; i < 2; i++)
                ck_assert(memcmp(pleat_data_f64(p[i]), start, sizeof start) == 0);
            ck_assert_ok(pleat_optimizer_step(o));
        }
        for (int i = 0; i < 2; i++)
            for (int64_t k = 0; k < SIZE; k++)
                ck_assert_double_eq_tol(pleat_at(p[i], &k), c->after[0][k], 1e-14);
        pleat_optimizer_free(o);
        pleat_module_free(m);
        pleat_scope_end(s);
        ck_assert_int_eq(pleat_live_tensors(), 0);
        if (done) {
            ck_assert_int_gt(n, 4);
            return;
        }
    }
}
END_TEST

START_TEST(any_number_of_threads_gives_the_same_bits)
{
    enum { N = 100003 };
    for (int kind = 0; kind < 2; kind++) {
        pleat_tensor *result[2];
        const pleat_scope s = pleat_scope_begin();
        for (int run = 0; run < 2; run++) {
            ck_assert_ok(pleat_set_threads(run ? 3 : 1));
            pleat_seed(7);
            pleat_module *m = holder(PLEAT_SHAPE(N), PLEAT_F32);
            pleat_tensor *p = pleat_module_parameter(m, "p");
            pleat_optimizer *o =
                kind ? pleat_adam(m, 0.01, NULL) : pleat_sgd(m, 0.1, &(pleat_sgd_opts){ .momentum = 0.9 });
            for (int step = 0; step < 3; step++) {
                ck_assert_ok(pleat_set_grad(p, pleat_randn(PLEAT_SHAPE(N), PLEAT_F32)));
                ck_assert_ok(pleat_optimizer_step(o));
            }
            result[run] = pleat_clone(pleat_detach(p));
            pleat_optimizer_free(o);
            pleat_module_free(m);
        }
        ck_assert(pleat_equal(result[0], result[1]));
        pleat_scope_end(s);
    }
}
END_TEST

START_TEST(bad_arguments)
{
    pleat_module *m = holder(PLEAT_SHAPE(SIZE), PLEAT_F64);
    ck_assert_ptr_null(pleat_sgd(NULL, 0.1, NULL));
    ck_assert_failed(PLEAT_EINVAL, "sgd: the module");
    ck_assert_ptr_null(pleat_sgd(m, -1, NULL));
    ck_assert_failed(PLEAT_EINVAL, "-1");
    ck_assert_ptr_null(pleat_sgd(m, NAN, NULL));
    ck_assert_failed(PLEAT_EINVAL, "sgd: the learning rate");
    ck_assert_ptr_null(pleat_sgd(m, 1, &(pleat_sgd_opts){ .nesterov = true }));
    ck_assert_failed(PLEAT_EINVAL, "Nesterov");
    ck_assert_ptr_null(pleat_sgd(m, 1, &(pleat_sgd_opts){ .momentum = 0.9, .dampening = 0.1, .nesterov = true }));
    ck_assert_failed(PLEAT_EINVAL, "Nesterov");
    ck_assert_ptr_null(pleat_sgd(m, 1, &(pleat_sgd_opts){ .momentum = -0.9 }));
    ck_assert_failed(PLEAT_EINVAL, "momentum");
    ck_assert_ptr_null(pleat_adam(m, 1, &(pleat_adam_opts){ .betas = { 0.9, 1 } }));
    ck_assert_failed(PLEAT_EINVAL, "adam: betas");
    ck_assert_ptr_null(pleat_adamw(m, 1, &(pleat_adam_opts){ .eps = -1 }));
    ck_assert_failed(PLEAT_EINVAL, "adamw: eps");
    ck_assert_ptr_null(pleat_adamw(m, 1, &(pleat_adam_opts){ .weight_decay = 0.1, .no_decay = true }));
    ck_assert_failed(PLEAT_EINVAL, "no_decay");

    pleat_optimizer *o = pleat_sgd(m, 0.1, &(pleat_sgd_opts){ .momentum = 0.9 });
    ck_assert_int_eq(pleat_optimizer_set_lr(o, INFINITY), PLEAT_EINVAL);
    ck_assert_failed(PLEAT_EINVAL, "sgd: the learning rate");
    ck_assert(pleat_optimizer_lr(o) == 0.1);
    ck_assert_int_eq(pleat_optimizer_step(NULL), PLEAT_EINVAL);
    ck_assert_failed(PLEAT_EINVAL, "optimizer_step");

    /* state of another dtype than the parameter has now */
    const pleat_scope s = pleat_scope_begin();
    pleat_tensor *p = pleat_module_parameter(m, "p");
    ck_assert_ok(pleat_set_grad(p, pleat_ones(PLEAT_SHAPE(SIZE), PLEAT_F64)));
    ck_assert_ok(pleat_optimizer_step(o));
    ck_assert_ok(pleat_module_to(m, PLEAT_F32));
    ck_assert_ok(pleat_set_grad(p, pleat_ones(PLEAT_SHAPE(SIZE), PLEAT_F32)));
    ck_assert_int_eq(pleat_optimizer_step(o), PLEAT_EDTYPE);
    ck_assert_failed(PLEAT_EDTYPE, "new optimizer");

    /* while an error is pending nothing computes, and the status tells it */
    ck_assert_ptr_null(pleat_zeros(PLEAT_SHAPE(-1), PLEAT_F32));
    ck_assert_ptr_null(pleat_sgd(m, 0.1, NULL));
    pleat_optimizer_zero_grad(o);
    ck_assert_ptr_null(pleat_grad(p));
    ck_assert_int_ne(pleat_optimizer_step(o), PLEAT_OK);
    ck_assert_ok(pleat_optimizer_step(o));
    pleat_scope_end(s);
    pleat_optimizer_free(o);
    pleat_optimizer_free(NULL);
    pleat_module_free(m);
}
END_TEST

RUN_TESTS("optim", steps_are_pytorchs, a_parameter_without_gradient_is_left_alone,
          a_step_is_off_the_tape_and_counts_as_a_change, a_failed_step_changes_nothing,
          any_number_of_threads_gives_the_same_bits, bad_arguments)
