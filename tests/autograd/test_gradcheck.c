/* gradcheck and gradgradcheck: right gradients pass, every way to be wrong is found and named, and nothing of the
 * caller's is touched. The wrong ones come from a user's op with a fault to choose. */
#include "support/run.h"

#include <pleat/op.h>
#include <pleat/pleat.h>

#include <math.h>
#include <string.h>

/* ---- y = x^3, and what can be wrong with its gradient 3 x^2 ---- */

typedef enum {
    RIGHT,
    FACTOR,      /* 2 x^2 */
    ONE_ELEMENT, /* wrong at element 4 only */
    SECOND,      /* its value is right, but it forgets that it depends on x */
    UNSTEADY,    /* each run gives something else */
    NOT_LINEAR,  /* an output gradient of zero gives 1 */
    FAILS,
} fault;

static int runs;

static pleat_status cube_infer(const pleat_call *call, pleat_spec *out)
{
    out[0] = call->in_spec[0];
    return PLEAT_OK;
}

static pleat_status cube_forward(pleat_call *call)
{
    const double *x = pleat_data(call->in[0]);
    double *y = pleat_data_mut(call->out[0]);
    for (int64_t i = 0; i < pleat_numel(call->in[0]); i++)
        y[i] = x[i] * x[i] * x[i];
    return PLEAT_OK;
}

static pleat_status cube_backward(pleat_call *call)
{
    const fault f = *(const fault *)call->params;
    pleat_tensor *x = call->in[0];
    if (f == FAILS)
        return pleat_fail(PLEAT_EIO, "lost the way");
    pleat_tensor *slope = pleat_mul_scalar(pleat_mul(x, f == SECOND ? pleat_detach(x) : x), f == FACTOR ? 2 : 3);
    if (f == ONE_ELEMENT) {
        pleat_tensor *off = pleat_zeros(pleat_shape_of(x), PLEAT_F64);
        ((double *)pleat_data_mut(off))[4] = 0.125;
        slope = pleat_add(slope, off);
    }
    if (f == UNSTEADY)
        slope = pleat_add_scalar(slope, 1e-9 * runs++);
    call->grad_in[0] = pleat_mul(call->grad_out[0], slope);
    if (f == NOT_LINEAR)
        call->grad_in[0] = pleat_add_scalar(pleat_mul_scalar(call->grad_in[0], 1), 1e-7);
    return PLEAT_OK;
}

static const pleat_op cube_op = {
    .name = "cube",
    .inputs = 1,
    .outputs = 1,
    .dtypes = { PLEAT_DTYPES(PLEAT_F64) },
    .params_size = sizeof(fault),
    .keeps = { [0] = PLEAT_KEEP_IN(0) },
    .infer = cube_infer,
    .forward = cube_forward,
    .backward = cube_backward,
};

static pleat_tensor *cube(pleat_tensor *const *in, void *user)
{
    return pleat_apply(&cube_op, in, 1, user);
}

/* A leaf 0.5, 0.6, ... that wants a gradient. */
static pleat_tensor *ramp(pleat_shape shape)
{
    const int64_t n = pleat_shape_numel(shape);
    pleat_tensor *t = pleat_reshape(pleat_affine(pleat_arange(0, (double)n, 1, PLEAT_F64), 0.1, 0.5), shape);
    return pleat_set_requires_grad(pleat_detach(t), true);
}

static pleat_status check_cube(fault f, const pleat_gradcheck_opts *opts)
{
    pleat_tensor *x = ramp(PLEAT_SHAPE(2, 3));
    return pleat_gradcheck(cube, &f, &x, 1, opts);
}

START_TEST(right_gradients_pass)
{
    pleat_gradcheck_report r;
    ck_assert_ok(check_cube(RIGHT, &(pleat_gradcheck_opts){ .report = &r }));
    ck_assert(r.passed);
    ck_assert_int_eq(r.compared, 36);
    ck_assert_int_eq(r.kinks, 0);
    ck_assert_double_eq_tol(r.max_gradient, 3.0, 1e-12); /* at x = 1 */
    ck_assert(r.worst_error < 1e-3);
    ck_assert_ok(check_cube(RIGHT, &(pleat_gradcheck_opts){ .report = &r, .fast = true, .seed = 3 }));
    ck_assert(r.passed);
    ck_assert_int_eq(r.compared, 1);
    ck_assert_int_eq(r.worst_input_index, -1);
    pleat_tensor *x = ramp(PLEAT_SHAPE(2, 3));
    fault f = RIGHT;
    ck_assert_ok(pleat_gradgradcheck(cube, &f, &x, 1, &(pleat_gradcheck_opts){ .report = &r }));
    ck_assert_int_eq(r.compared, 6 * 12); /* the gradient's elements by the input's and the output gradient's */
    ck_assert_ok(pleat_gradgradcheck(cube, &f, &x, 1, &(pleat_gradcheck_opts){ .report = &r, .fast = true }));
    ck_assert_int_eq(r.compared, 2);
    ck_assert_str_eq(pleat_error(), "");
}
END_TEST

START_TEST(wrong_gradients_are_named)
{
    for (int fast = 0; fast < 2; fast++) {
        pleat_gradcheck_report r = { .passed = true };
        const pleat_gradcheck_opts opts = { .report = &r, .fast = fast };
        ck_assert(check_cube(FACTOR, &opts) == PLEAT_EGRAD);
        ck_assert(!r.passed);
        ck_assert_int_eq(r.worst_input, 0);
        ck_assert_int_eq(r.worst_input_index, 5); /* 2 against 3, the largest difference */
        ck_assert_int_eq(r.worst_output_index, 5);
        ck_assert_double_eq_tol(r.analytic, 2, 1e-9);
        ck_assert_double_eq_tol(r.numeric, 3, 1e-6);
        ck_assert(r.worst_error > 100);
        ck_assert_ptr_nonnull(strstr(pleat_error(), "gradcheck: input 0, element 5, output element 5"));
        ck_assert_failed(PLEAT_EGRAD, "backward gives 2, the central difference is 3");

        ck_assert(check_cube(ONE_ELEMENT, &opts) == PLEAT_EGRAD);
        ck_assert_int_eq(r.worst_input_index, 4);
        ck_assert_double_eq_tol(r.analytic - r.numeric, 0.125, 1e-6);
        pleat_error_clear();
    }
}
END_TEST

START_TEST(second_derivatives)
{
    pleat_tensor *x = ramp(PLEAT_SHAPE(5));
    fault f = SECOND;
    pleat_gradcheck_report r;
    ck_assert_ok(pleat_gradcheck(cube, &f, &x, 1, NULL));
    for (int fast = 0; fast < 2; fast++) {
        ck_assert(pleat_gradgradcheck(cube, &f, &x, 1, &(pleat_gradcheck_opts){ .report = &r, .fast = fast }) ==
                  PLEAT_EGRAD);
        ck_assert_int_eq(r.worst_input, 0);
        ck_assert_failed(PLEAT_EGRAD, "gradgradcheck: input 0, element ");
    }
}
END_TEST

START_TEST(backward_must_be_steady_and_linear)
{
    ck_assert(check_cube(UNSTEADY, NULL) == PLEAT_EGRAD);
    ck_assert_failed(PLEAT_EGRAD, "two runs of backward differ");
    ck_assert_ok(check_cube(UNSTEADY, &(pleat_gradcheck_opts){ .nondet_tol = 1e-6 }));
    ck_assert(check_cube(NOT_LINEAR, NULL) == PLEAT_EGRAD);
    ck_assert_failed(PLEAT_EGRAD, "zero gives a gradient of 1e-07");
    ck_assert(check_cube(NOT_LINEAR, &(pleat_gradcheck_opts){ .fast = true }) == PLEAT_EGRAD);
    ck_assert_failed(PLEAT_EGRAD, "zero gives a gradient");
}
END_TEST

/* ---- What the function may be ---- */

static pleat_tensor *first_only(pleat_tensor *const *in, void *user)
{
    (void)user;
    return pleat_mul(in[0], in[0]);
}

static pleat_tensor *forgets(pleat_tensor *const *in, void *user)
{
    (void)user;
    return pleat_mul(in[0], pleat_detach(in[1]));
}

static pleat_tensor *constant(pleat_tensor *const *in, void *user)
{
    (void)in, (void)user;
    return pleat_ones(PLEAT_SHAPE(2), PLEAT_F64);
}

static pleat_tensor *transposed(pleat_tensor *const *in, void *user)
{
    (void)user;
    return pleat_transpose(pleat_mul(in[0], in[0]), 0, 1);
}

static pleat_tensor *itself(pleat_tensor *const *in, void *user)
{
    (void)user;
    return in[0];
}

START_TEST(independent_inputs)
{
    pleat_tensor *in[] = { ramp(PLEAT_SHAPE(3)), ramp(PLEAT_SHAPE(3)) };
    pleat_gradcheck_report r;
    ck_assert_ok(pleat_gradcheck(first_only, NULL, in, 2, NULL)); /* by in[1] both ways are zero */
    ck_assert_ok(pleat_gradgradcheck(first_only, NULL, in, 2, NULL));
    ck_assert(pleat_gradcheck(forgets, NULL, in, 2, &(pleat_gradcheck_opts){ .report = &r }) == PLEAT_EGRAD);
    ck_assert_int_eq(r.worst_input, 1);
    ck_assert(r.analytic == 0);
    ck_assert_failed(PLEAT_EGRAD, "input 1");
    ck_assert_ok(pleat_gradcheck(transposed, NULL, (pleat_tensor *[]){ ramp(PLEAT_SHAPE(2, 3)) }, 1, NULL));
    ck_assert_ok(pleat_gradcheck(itself, NULL, in, 1, NULL));
}
END_TEST

START_TEST(all_zero_is_no_success)
{
    pleat_tensor *x = ramp(PLEAT_SHAPE(3));
    pleat_gradcheck_report r;
    ck_assert(pleat_gradcheck(constant, NULL, &x, 1, &(pleat_gradcheck_opts){ .report = &r }) == PLEAT_EGRAD);
    ck_assert(!r.passed && r.max_gradient == 0 && r.worst_input == -1);
    ck_assert_failed(PLEAT_EGRAD, "every gradient is zero");
    ck_assert_ok(pleat_gradcheck(constant, NULL, &x, 1, &(pleat_gradcheck_opts){ .allow_zero = true }));
    pleat_tensor *nothing = pleat_set_requires_grad(pleat_zeros(PLEAT_SHAPE(0, 2), PLEAT_F64), true);
    for (int fast = 0; fast < 2; fast++) /* there is nothing that could be wrong */
        ck_assert_ok(pleat_gradcheck(first_only, NULL, &nothing, 1, &(pleat_gradcheck_opts){ .fast = fast }));
}
END_TEST

/* A gradient penalty. */
static pleat_tensor *penalty(pleat_tensor *const *in, void *user)
{
    (void)user;
    pleat_tensor *energy = pleat_sum(pleat_mul(pleat_mul(in[0], in[0]), in[1])), *g = NULL;
    const pleat_gradients_opts opts = { .record = true };
    if (pleat_gradients(&energy, 1, in, 1, &opts, &g) != PLEAT_OK)
        return NULL;
    return pleat_sum(pleat_mul(g, g));
}

START_TEST(functions_may_differentiate)
{
    pleat_tensor *in[] = { ramp(PLEAT_SHAPE(2, 3)), ramp(PLEAT_SHAPE(3)) };
    ck_assert_ok(pleat_gradcheck(penalty, NULL, in, 2, NULL));
    ck_assert_ok(pleat_gradgradcheck(penalty, NULL, in, 2, NULL));
    ck_assert_ok(pleat_gradcheck(penalty, NULL, in, 2, &(pleat_gradcheck_opts){ .fast = true }));
}
END_TEST

/* Integers, missing inputs and inputs that want no gradient go through as they are. */
static pleat_tensor *mixed(pleat_tensor *const *in, void *user)
{
    (void)user;
    ck_assert_ptr_null(in[1]);
    ck_assert(pleat_dtype_of(in[2]) == PLEAT_I64);
    ck_assert(!pleat_requires_grad(in[3]));
    return pleat_mul(in[0], in[3]);
}

START_TEST(other_inputs)
{
    pleat_tensor *in[] = { ramp(PLEAT_SHAPE(3)), NULL, pleat_arange(0, 3, 1, PLEAT_I64),
                           pleat_ones(PLEAT_SHAPE(3), PLEAT_F64) };
    ck_assert_ok(pleat_gradcheck(mixed, NULL, in, 4, NULL));
}
END_TEST

static pleat_tensor *noisy(pleat_tensor *const *in, void *user)
{
    (void)user;
    return pleat_mul(in[0], pleat_rand(pleat_shape_of(in[0]), PLEAT_F64));
}

START_TEST(random_numbers_are_the_same_each_time)
{
    pleat_seed(5);
    pleat_tensor *x = ramp(PLEAT_SHAPE(4));
    const pleat_rng_state before = pleat_rng_get();
    ck_assert_ok(pleat_gradcheck(noisy, NULL, &x, 1, NULL));
    const pleat_rng_state after = pleat_rng_get();
    ck_assert(before.seed == after.seed && before.draws == after.draws);
}
END_TEST

/* ---- Kinks ---- */

static pleat_tensor *rectified(pleat_tensor *const *in, void *user)
{
    (void)user;
    return pleat_relu(in[0]);
}

static pleat_tensor *steps(pleat_tensor *const *in, void *user)
{
    (void)user;
    pleat_tensor *y = pleat_zeros(pleat_shape_of(in[0]), PLEAT_F64);
    const double *x = pleat_data(in[0]);
    for (int64_t i = 0; i < pleat_numel(y); i++)
        ((double *)pleat_data_mut(y))[i] = x[i] >= 0;
    return pleat_add(y, pleat_mul(in[0], in[0]));
}

/* -1, -0.9, ...: the first `zeros` elements are 0. */
static pleat_tensor *with_zeros(int64_t n, int zeros)
{
    pleat_tensor *t = pleat_affine(pleat_arange(0, (double)n, 1, PLEAT_F64), 0.1, -1.05);
    double *x = pleat_data_mut(t);
    for (int i = 0; i < zeros; i++)
        x[i] = i % 2 ? 3e-7 : 0; /* within the step of a kink is on it */
    return pleat_set_requires_grad(t, true);
}

START_TEST(kinks)
{
    pleat_gradcheck_report r;
    const pleat_gradcheck_opts opts = { .report = &r }, fast = { .report = &r, .fast = true };
    pleat_tensor *few = with_zeros(20, 2), *many = with_zeros(20, 3);
    ck_assert_ok(pleat_gradcheck(rectified, NULL, &few, 1, &opts));
    ck_assert_int_eq(r.kinks, 2);
    ck_assert_ok(pleat_gradcheck(rectified, NULL, &few, 1, &fast)); /* by looking again */
    ck_assert_int_eq(r.kinks, 2);
    ck_assert(pleat_gradcheck(rectified, NULL, &many, 1, &opts) == PLEAT_EGRAD);
    ck_assert_int_eq(r.kinks, 3);
    ck_assert_failed(PLEAT_EGRAD, "3 of 20 input elements lie on kinks");
    pleat_tensor *jump = with_zeros(20, 1);
    ck_assert_ok(pleat_gradcheck(steps, NULL, &jump, 1, &opts));
    ck_assert_int_eq(r.kinks, 1);
}
END_TEST

/* A gradient that is no slope of either side is wrong on a kink too. */
static pleat_tensor *bent_too_far(pleat_tensor *const *in, void *user)
{
    (void)user;
    pleat_tensor *x = in[0], *r = pleat_relu(x), *wrong = pleat_mul_scalar(x, 1.5);
    return pleat_add(r, pleat_sub(wrong, pleat_detach(wrong))); /* adds 1.5 to the gradient alone */
}

START_TEST(wrong_on_a_kink)
{
    pleat_tensor *x = with_zeros(1, 1);
    pleat_gradcheck_report r;
    ck_assert(pleat_gradcheck(bent_too_far, NULL, &x, 1, &(pleat_gradcheck_opts){ .report = &r }) == PLEAT_EGRAD);
    ck_assert_int_eq(r.kinks, 0);
    ck_assert_int_eq(r.worst_input_index, 0);
    ck_assert_failed(PLEAT_EGRAD, "backward gives 1.5");
}
END_TEST

/* ---- Refusals ---- */

static pleat_tensor *fails(pleat_tensor *const *in, void *user)
{
    (void)user;
    return pleat_add(in[0], pleat_ones(PLEAT_SHAPE(77), PLEAT_F64));
}

static pleat_tensor *gives_nothing(pleat_tensor *const *in, void *user)
{
    (void)in, (void)user;
    return NULL;
}

static pleat_tensor *single(pleat_tensor *const *in, void *user)
{
    (void)user;
    return pleat_cast(in[0], PLEAT_F32);
}

static pleat_tensor *grows(pleat_tensor *const *in, void *user)
{
    int *calls = user;
    return pleat_expand(pleat_sum(in[0]), PLEAT_SHAPE(++*calls));
}

START_TEST(refusals)
{
    pleat_tensor *x = ramp(PLEAT_SHAPE(3)), *plain = pleat_ones(PLEAT_SHAPE(3), PLEAT_F64);
    fault f = RIGHT;
    pleat_gradcheck_report r = { .passed = true };
    const pleat_gradcheck_opts opts = { .report = &r };
    ck_assert(pleat_gradcheck(cube, &f, &plain, 1, &opts) == PLEAT_EINVAL);
    ck_assert_failed(PLEAT_EINVAL, "none of the 1 inputs requires a gradient");
    ck_assert(!r.passed && r.worst_input == -1);
    pleat_tensor *narrow = pleat_set_requires_grad(pleat_ones(PLEAT_SHAPE(3), PLEAT_F32), true);
    ck_assert(pleat_gradcheck(first_only, NULL, &narrow, 1, &opts) == PLEAT_EDTYPE);
    ck_assert_failed(PLEAT_EDTYPE, "input 0 is float32");
    pleat_tensor *wide = pleat_set_requires_grad(pleat_detach(pleat_expand(plain, PLEAT_SHAPE(2, 3))), true);
    ck_assert(pleat_gradcheck(first_only, NULL, &wide, 1, &opts) == PLEAT_EINVAL);
    ck_assert_failed(PLEAT_EINVAL, "share memory");
    ck_assert(pleat_gradcheck(NULL, NULL, &x, 1, NULL) == PLEAT_EINVAL);
    ck_assert(pleat_gradcheck(cube, &f, NULL, 1, NULL) == PLEAT_EINVAL);
    ck_assert(pleat_gradcheck(cube, &f, &x, 0, NULL) == PLEAT_EINVAL);
    ck_assert(pleat_gradcheck(cube, &f, &x, 1, &(pleat_gradcheck_opts){ .eps = -1 }) == PLEAT_EINVAL);
    ck_assert(pleat_gradcheck(cube, &f, &x, 1, &(pleat_gradcheck_opts){ .atol = NAN }) == PLEAT_EINVAL);
    ck_assert(pleat_gradgradcheck(cube, &f, &x, 1, &(pleat_gradcheck_opts){ .rtol = -1 }) == PLEAT_EINVAL);
    ck_assert(pleat_gradcheck(fails, NULL, &x, 1, NULL) == PLEAT_ESHAPE);
    ck_assert_failed(PLEAT_ESHAPE, "add: ");
    ck_assert(pleat_gradgradcheck(fails, NULL, &x, 1, NULL) == PLEAT_ESHAPE);
    ck_assert(pleat_gradcheck(gives_nothing, NULL, &x, 1, NULL) == PLEAT_EINVAL);
    ck_assert_failed(PLEAT_EINVAL, "NULL without an error");
    ck_assert(pleat_gradcheck(single, NULL, &x, 1, NULL) == PLEAT_EDTYPE);
    ck_assert_failed(PLEAT_EDTYPE, "float32");
    int calls = 0;
    ck_assert(pleat_gradcheck(grows, &calls, &x, 1, NULL) == PLEAT_ESHAPE);
    ck_assert_failed(PLEAT_ESHAPE, "elements");
    f = FAILS;
    ck_assert(pleat_gradcheck(cube, &f, &x, 1, NULL) == PLEAT_EIO);
    ck_assert_failed(PLEAT_EIO, "cube: lost the way");
    /* while an error is pending nothing is computed, and it is this one that is told */
    pleat_reshape(x, PLEAT_SHAPE(17));
    f = RIGHT;
    ck_assert(pleat_gradcheck(cube, &f, &x, 1, NULL) == PLEAT_ESHAPE);
    ck_assert_ok(pleat_gradcheck(cube, &f, &x, 1, NULL));
}
END_TEST

/* ---- Nothing is touched ---- */

START_TEST(nothing_is_touched)
{
    pleat_tensor *x = ramp(PLEAT_SHAPE(2, 3)), *before = pleat_clone(pleat_detach(x));
    ck_assert_ok(pleat_backward(pleat_sum(pleat_mul(x, x))));
    pleat_tensor *grad = pleat_grad(x), *grad_before = pleat_clone(grad);
    const int64_t live = pleat_live_tensors(), tape = pleat_tape_length();
    const bool was = pleat_grad_mode(false); /* the checks need it on, and put it back */
    for (int f = RIGHT; f <= FAILS; f++)
        for (int fast = 0; fast < 2; fast++) {
            fault chosen = (fault)f;
            const pleat_gradcheck_opts opts = { .fast = fast };
            const pleat_status first = pleat_gradcheck(cube, &chosen, &x, 1, &opts);
            const pleat_status second = pleat_gradgradcheck(cube, &chosen, &x, 1, &opts);
            ck_assert((first == PLEAT_OK) == (f == RIGHT || f == SECOND));
            ck_assert(f != RIGHT || second == PLEAT_OK);
        }
    ck_assert(!pleat_grad_mode(was));
    ck_assert(pleat_check() == PLEAT_OK);
    ck_assert_int_eq(pleat_live_tensors(), live);
    ck_assert_int_eq(pleat_tape_length(), tape);
    ck_assert_ptr_eq(pleat_grad(x), grad);
    ck_assert(pleat_equal(grad, grad_before));
    ck_assert(pleat_equal(pleat_detach(x), before));
}
END_TEST

START_TEST(memory_may_end_anywhere)
{
    pleat_tensor *x = ramp(PLEAT_SHAPE(2));
    fault f = RIGHT;
    pleat_memory_set_cache_limit(0);
    const int64_t live = pleat_live_tensors();
    for (int second = 0; second < 2; second++)
        for (int64_t n = 1;; n++) {
            pleat_memory_fail_after(n);
            const pleat_status status = (second ? pleat_gradgradcheck : pleat_gradcheck)(cube, &f, &x, 1, NULL);
            const int64_t left = pleat_memory_fail_after(0);
            ck_assert_int_eq(pleat_live_tensors(), live);
            ck_assert(pleat_check() == PLEAT_OK);
            if (left > 0) { /* it never came to that */
                ck_assert_ok(status);
                break;
            }
            ck_assert_msg(status == PLEAT_ENOMEM, "allocation %d: %s, %s", (int)n, pleat_status_name(status),
                          pleat_error());
            ck_assert(pleat_error_code() == PLEAT_ENOMEM);
        }
}
END_TEST

RUN_TESTS("gradcheck", right_gradients_pass, wrong_gradients_are_named, second_derivatives,
          backward_must_be_steady_and_linear, independent_inputs, all_zero_is_no_success, functions_may_differentiate,
          other_inputs, random_numbers_are_the_same_each_time, kinks, wrong_on_a_kink, refusals, nothing_is_touched,
          memory_may_end_anywhere)
