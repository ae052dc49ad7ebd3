/* pleat_gradients: any outputs by any inputs, recorded or not, and no work that nobody wants. */
#include "support/run.h"

#include <pleat/op.h>
#include <pleat/pleat.h>

#include <string.h>

static pleat_tensor *leaf(double first, int64_t n)
{
    return pleat_set_requires_grad(pleat_arange(first, first + (double)n, 1, PLEAT_F64), true);
}

START_TEST(by_leaves_and_by_results)
{
    pleat_tensor *x = leaf(1, 3), *w = leaf(4, 3), *h = pleat_mul(x, w), *y = pleat_sum(pleat_mul(h, h));
    pleat_tensor *g[3];
    ck_assert_ok(pleat_gradients(&y, 1, (pleat_tensor *[]){ x, h, y }, 3, NULL, g));
    for (int i = 0; i < 3; i++) {
        const double a = i + 1, b = i + 4;
        ck_assert_double_eq(pleat_data_f64(g[0])[i], 2 * a * b * b);
        ck_assert_double_eq(pleat_data_f64(g[1])[i], 2 * a * b);
    }
    ck_assert_double_eq(pleat_item(g[2]), 1);
    ck_assert(!pleat_requires_grad(g[0]));
    ck_assert_ptr_null(pleat_grad(x)); /* no leaf is touched */
    ck_assert_int_eq(pleat_gradients(&y, 1, &x, 1, NULL, g), PLEAT_EGRAD);
    ck_assert_failed(PLEAT_EGRAD, "spent");
    ck_assert_ptr_null(g[0]);
}
END_TEST

START_TEST(several_outputs_with_their_gradients)
{
    pleat_tensor *x = leaf(1, 3), *y[2] = { pleat_mul(x, x), pleat_affine(x, 3, 1) }, *g;
    pleat_tensor *v[2] = { pleat_arange(1, 4, 1, PLEAT_F64), pleat_full(PLEAT_SHAPE(3), 10, PLEAT_F64) };
    ck_assert_ok(pleat_gradients(y, 2, &x, 1, &(pleat_gradients_opts){ .grad_outputs = v }, &g));
    for (int i = 0; i < 3; i++)
        ck_assert_double_eq(pleat_data_f64(g)[i], 2.0 * (i + 1) * (i + 1) + 30);
    ck_assert_int_eq(pleat_gradients(y, 2, &x, 1, NULL, &g), PLEAT_ESHAPE);
    ck_assert_failed(PLEAT_ESHAPE, "output gradient");
    v[1] = pleat_ones(PLEAT_SHAPE(2), PLEAT_F64);
    ck_assert_int_eq(pleat_gradients(y, 2, &x, 1, &(pleat_gradients_opts){ .grad_outputs = v }, &g), PLEAT_ESHAPE);
    ck_assert_failed(PLEAT_ESHAPE, "(2,)");
    v[1] = pleat_ones(PLEAT_SHAPE(3), PLEAT_F32);
    ck_assert_int_eq(pleat_gradients(y, 2, &x, 1, &(pleat_gradients_opts){ .grad_outputs = v }, &g), PLEAT_EDTYPE);
    pleat_error_clear();
}
END_TEST

START_TEST(inputs_that_do_not_matter)
{
    pleat_tensor *x = leaf(1, 3), *z = leaf(1, 3), *y = pleat_sum(pleat_mul(x, x)), *g[2];
    pleat_tensor *both[2] = { x, z };
    ck_assert_int_eq(pleat_gradients(&y, 1, both, 2, &(pleat_gradients_opts){ .keep = true }, g), PLEAT_EGRAD);
    ck_assert_failed(PLEAT_EGRAD, "input 1");
    ck_assert(!g[0] && !g[1]);
    ck_assert_ok(pleat_gradients(&y, 1, both, 2, &(pleat_gradients_opts){ .allow_unused = true }, g));
    ck_assert(g[0] && !g[1]);
    pleat_tensor *c = pleat_ones(PLEAT_SHAPE(3), PLEAT_F64);
    ck_assert_int_eq(pleat_gradients(&y, 1, &c, 1, NULL, g), PLEAT_EGRAD);
    ck_assert_failed(PLEAT_EGRAD, "does not require");
}
END_TEST

/* The n-th derivative of x^4, each taken of the one before. */
START_TEST(as_often_as_wanted)
{
    pleat_tensor *x = leaf(1, 3), *y = pleat_mul(pleat_mul(x, x), pleat_mul(x, x));
    const double want[4][3] = { { 4, 32, 108 }, { 12, 48, 108 }, { 24, 48, 72 }, { 24, 24, 24 } };
    for (int n = 0; n < 4; n++) {
        pleat_tensor *s = pleat_sum(y);
        ck_assert_ok(pleat_gradients(&s, 1, &x, 1, &(pleat_gradients_opts){ .record = true }, &y));
        for (int i = 0; i < 3; i++)
            ck_assert_double_eq(pleat_data_f64(y)[i], want[n][i]);
    }
}
END_TEST

/* Counts how often its gradient is asked for, and of which input. */
static int asked[2];
static pleat_status pair_infer(const pleat_call *call, pleat_spec *out)
{
    out[0] = call->in_spec[0];
    return PLEAT_OK;
}
static pleat_status pair_forward(pleat_call *call)
{
    pleat_copy_(call->out[0], call->in[0]);
    pleat_add_(call->out[0], call->in[1], 1);
    return PLEAT_OK;
}
static pleat_status pair_backward(pleat_call *call)
{
    for (int i = 0; i < 2; i++) {
        asked[i] += pleat_wants(call, i);
        call->grad_in[i] = call->grad_out[0]; /* what is not wanted is ignored */
    }
    return PLEAT_OK;
}
static const pleat_op pair = {
    .name = "pair", .inputs = 2, .outputs = 1, .infer = pair_infer, .forward = pair_forward, .backward = pair_backward
};

START_TEST(only_the_way_to_the_inputs_is_walked)
{
    pleat_tensor *a = leaf(1, 3), *b = leaf(1, 3), *c = pleat_ones(PLEAT_SHAPE(3), PLEAT_F64), *g;
    pleat_tensor *left = pleat_apply(&pair, (pleat_tensor *[]){ a, c }, 2, NULL);
    pleat_tensor *right = pleat_apply(&pair, (pleat_tensor *[]){ b, b }, 2, NULL);
    pleat_tensor *y = pleat_sum(pleat_apply(&pair, (pleat_tensor *[]){ left, right }, 2, NULL));
    ck_assert_ok(pleat_gradients(&y, 1, &a, 1, &(pleat_gradients_opts){ .keep = true }, &g));
    ck_assert(asked[0] == 2 && asked[1] == 0); /* the last pair and the left one, for a's sake alone */
    memset(asked, 0, sizeof asked);
    ck_assert_ok(pleat_gradients(&y, 1, &right, 1, &(pleat_gradients_opts){ .keep = true }, &g));
    ck_assert(asked[0] == 0 && asked[1] == 1);
    memset(asked, 0, sizeof asked);
    ck_assert_ok(pleat_backward(y));
    ck_assert(asked[0] == 3 && asked[1] == 2);
    ck_assert_double_eq(pleat_data_f64(pleat_grad(b))[0], 2);
    ck_assert_ptr_null(pleat_grad(c));
}
END_TEST

/* An op whose gradient takes gradients itself: it recomputes what it did, as a checkpoint does. */
static pleat_status cube_forward(pleat_call *call)
{
    pleat_copy_(call->out[0], pleat_mul(call->in[0], pleat_mul(call->in[0], call->in[0])));
    return PLEAT_OK;
}
static pleat_status cube_backward(pleat_call *call)
{
    const bool mode = pleat_grad_mode(true);
    pleat_tensor *x = pleat_set_requires_grad(pleat_detach(call->in[0]), true);
    pleat_tensor *y = pleat_mul(x, pleat_mul(x, x));
    pleat_grad_mode(mode);
    return pleat_gradients(&y, 1, &x, 1, &(pleat_gradients_opts){ .grad_outputs = call->grad_out }, call->grad_in);
}
static const pleat_op cube = { .name = "cube",
                               .inputs = 1,
                               .outputs = 1,
                               .keeps = { PLEAT_KEEP_IN(0) },
                               .infer = pair_infer,
                               .forward = cube_forward,
                               .backward = cube_backward };

START_TEST(a_walk_inside_a_walk)
{
    pleat_tensor *x = leaf(1, 3);
    pleat_tensor *y = pleat_apply(&cube, (pleat_tensor *[]){ pleat_apply(&cube, &x, 1, NULL) }, 1, NULL);
    const int64_t calls = pleat_tape_length();
    ck_assert_ok(pleat_backward(pleat_sum(pleat_add(y, x))));
    for (int i = 0; i < 3; i++) {
        const double v = i + 1;
        ck_assert_double_eq(pleat_data_f64(pleat_grad(x))[i], 9 * v * v * v * v * v * v * v * v + 1);
    }
    ck_assert_int_eq(pleat_tape_length(), calls + 2); /* what the gradients recorded is gone */
}
END_TEST

START_TEST(a_kernel_alone_has_no_second_derivative)
{
    static const pleat_op once = { .name = "once",
                                   .inputs = 1,
                                   .outputs = 1,
                                   .keeps = { PLEAT_KEEP_IN(0) },
                                   .infer = pair_infer,
                                   .forward = cube_forward,
                                   .backward_kernel = cube_backward };
    pleat_tensor *x = leaf(1, 3), *y = pleat_sum(pleat_apply(&once, &x, 1, NULL)), *g;
    ck_assert_int_eq(pleat_gradients(&y, 1, &x, 1, &(pleat_gradients_opts){ .record = true }, &g), PLEAT_EGRAD);
    ck_assert_failed(PLEAT_EGRAD, "once: states its gradient as a kernel alone");
    ck_assert_ok(pleat_backward(y));
    ck_assert_double_eq(pleat_data_f64(pleat_grad(x))[2], 27);
}
END_TEST

START_TEST(leaves_take_only_gradients_that_fit)
{
    pleat_tensor *x = leaf(1, 3);
    ck_assert_int_eq(pleat_set_grad(x, pleat_ones(PLEAT_SHAPE(2), PLEAT_F64)), PLEAT_ESHAPE);
    ck_assert_int_eq(pleat_set_grad(x, pleat_ones(PLEAT_SHAPE(3), PLEAT_F32)), PLEAT_EDTYPE);
    ck_assert_ok(pleat_set_grad(x, pleat_ones(PLEAT_SHAPE(3), PLEAT_F64)));
    ck_assert_ok(pleat_backward(pleat_sum(x)));
    ck_assert_double_eq(pleat_data_f64(pleat_grad(x))[0], 2);
    ck_assert_ok(pleat_set_grad(x, NULL));
    ck_assert_ptr_null(pleat_grad(x));
    ck_assert_ptr_null(pleat_set_requires_grad(pleat_arange(0, 3, 1, PLEAT_I64), true));
    ck_assert_failed(PLEAT_EDTYPE, "int64");
    ck_assert_ptr_null(pleat_set_requires_grad(pleat_add(x, x), true));
    ck_assert_failed(PLEAT_EGRAD, "detach");
}
END_TEST

RUN_TESTS("gradients", by_leaves_and_by_results, several_outputs_with_their_gradients, inputs_that_do_not_matter,
          as_often_as_wanted, only_the_way_to_the_inputs_is_walked, a_walk_inside_a_walk,
          a_kernel_alone_has_no_second_derivative, leaves_take_only_gradients_that_fit)
