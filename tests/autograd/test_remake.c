/* Results that are not held for the gradients that read them, but made again: nobody can tell, but by the memory. */
#include "support/run.h"

#include <pleat/op.h>
#include <pleat/pleat.h>

#include <stdio.h>
#include <string.h>

/* ---- An op that counts how often it is asked to ---- */

static int remakes;

static pleat_status square_infer(const pleat_call *call, pleat_spec *out)
{
    out[0] = call->in_spec[0];
    return PLEAT_OK;
}

static pleat_status square_forward(pleat_call *call)
{
    const double *x = pleat_data_f64(call->in[0]);
    double *y = pleat_data_mut(call->out[0]);
    for (int64_t i = 0; x && y && i < pleat_numel(call->in[0]); i++)
        y[i] = x[i] * x[i];
    return PLEAT_OK;
}

static pleat_status square_backward(pleat_call *call)
{
    call->grad_in[0] = pleat_mul(call->grad_out[0], pleat_mul_scalar(call->in[0], 2));
    return PLEAT_OK;
}

static pleat_status square_remake(pleat_call *call)
{
    remakes++;
    ck_assert(!pleat_grad_enabled());
    ck_assert_ptr_nonnull(pleat_data_mut(call->out[0])); /* counts as a change, of which nobody is to take notice */
    return square_forward(call);
}

#define SQUARE                                                                                                         \
    .name = "again", .inputs = 1, .outputs = 1, .dtypes = { PLEAT_DTYPES(PLEAT_F64) }, .infer = square_infer,          \
    .forward = square_forward, .backward = square_backward
static const pleat_op square_op = { SQUARE, .keeps = { PLEAT_KEEP_IN(0) }, .remake = square_remake,
                                    .remakes = PLEAT_KEEP_IN(0) };
static const pleat_op holding_op = { SQUARE, .keeps = { PLEAT_KEEP_IN(0) | PLEAT_KEEP_OUT(0) }, .remake = square_remake,
                                     .remakes = PLEAT_KEEP_IN(0) };

static pleat_status wrong_remake(pleat_call *call)
{
    square_forward(call);
    double *y = pleat_data_mut(call->out[0]);
    y[pleat_numel(call->out[0]) - 1] *= 1 + 1e-15;
    return PLEAT_OK;
}

static const pleat_op wrong_op = { SQUARE, .keeps = { PLEAT_KEEP_IN(0) }, .remake = wrong_remake,
                                   .remakes = PLEAT_KEEP_IN(0) };

static pleat_tensor *square(pleat_tensor *x)
{
    return pleat_apply(&square_op, &x, 1, NULL);
}

static pleat_tensor *wanted(pleat_shape shape)
{
    return pleat_set_requires_grad(pleat_randn(shape, PLEAT_F64), true);
}

enum { LARGE = 200000 };

/* What is in use, in tensors of LARGE elements, beyond that many bytes. */
static double in_use(int64_t before)
{
    return (double)(pleat_memory_stats().live_bytes - before) / (8.0 * LARGE);
}

START_TEST(made_where_it_is_read)
{
    pleat_tensor *x = wanted(PLEAT_SHAPE(3)), *w = wanted(PLEAT_SHAPE(3)), *g[2];
    const pleat_gradients_opts keep = { .keep = true };
    for (int view = 0; view < 2; view++) { /* a view is held, whatever it is of */
        pleat_tensor *h = square(x);
        if (view)
            h = pleat_narrow(h, 0, 0, 3);
        pleat_tensor *y = pleat_sum(pleat_mul(h, w));
        remakes = 0;
        ck_assert_ok(pleat_gradients(&y, 1, &x, 1, &keep, g));
        ck_assert_int_eq(remakes, 0); /* the gradient by h reads w alone */
        ck_assert(pleat_equal(g[0], pleat_mul(pleat_mul_scalar(x, 2), w)));
        ck_assert_ok(pleat_gradients(&y, 1, &w, 1, &keep, g));
        ck_assert(pleat_equal(g[0], h));
        ck_assert_ok(pleat_gradients(&y, 1, (pleat_tensor *[]){ x, w }, 2, &keep, g));
        ck_assert(pleat_equal(g[1], h));
        ck_assert_int_eq(remakes, view ? 0 : 2);
        ck_assert_ok(pleat_backward(y));
        ck_assert_int_eq(remakes, view ? 0 : 3);
    }
    /* twice in one call: once */
    pleat_tensor *h = square(x), *y = pleat_sum(pleat_mul(h, h));
    remakes = 0;
    ck_assert_ok(pleat_gradients(&y, 1, &x, 1, NULL, g));
    ck_assert_int_eq(remakes, 1);
    ck_assert(pleat_allclose(g[0], pleat_mul_scalar(pleat_mul(pleat_mul(x, x), x), 4), 1e-14, 0));
    /* without a gradient by the weight, or the weight's alone, nothing is recorded that could be made again */
    y = pleat_sum(pleat_mul(square(x), pleat_detach(w)));
    ck_assert_ok(pleat_gradients(&y, 1, &x, 1, NULL, g));
    y = pleat_sum(pleat_mul(square(pleat_detach(x)), w));
    ck_assert_ok(pleat_gradients(&y, 1, &w, 1, NULL, g));
    /* nor is it where the op itself holds the result */
    y = pleat_sum(pleat_mul(pleat_apply(&holding_op, &x, 1, NULL), w));
    ck_assert_ok(pleat_gradients(&y, 1, &w, 1, NULL, g));
    ck_assert_int_eq(remakes, 1);
}
END_TEST

/* Of h1 = x^2, h2 = h1^2, h3 = h2^2 with readers of all three, h2 is held: making h3 again must not lead on to h1. */
START_TEST(chains_end)
{
    pleat_tensor *x = wanted(PLEAT_SHAPE(LARGE)), *w = wanted(PLEAT_SHAPE(LARGE)), *g[2];
    const int64_t before = pleat_memory_stats().live_bytes;
    const pleat_scope scope = pleat_scope_begin();
    pleat_tensor *h = x, *y = NULL;
    for (int i = 0; i < 3; i++) {
        h = square(h);
        y = y ? pleat_add(y, pleat_sum(pleat_mul(h, w))) : pleat_sum(pleat_mul(h, w));
    }
    y = pleat_scope_return(scope, y);
    ck_assert_double_eq_tol(in_use(before), 1, 0.2);
    remakes = 0;
    ck_assert_ok(pleat_gradients(&y, 1, (pleat_tensor *[]){ x, w }, 2, NULL, g));
    ck_assert_int_eq(remakes, 3); /* h3 for w; h1 for w, and for the gradient of h2 */
    ck_assert_double_eq_tol(in_use(before), 2, 0.2);
}
END_TEST

/* What is recorded of a result that was made again does not hold it either. */
START_TEST(of_the_second_order)
{
    pleat_tensor *x = wanted(PLEAT_SHAPE(LARGE)), *w = wanted(PLEAT_SHAPE(LARGE)), *g[2];
    double held[2];
    for (int view = 0; view < 2; view++) {
        const int64_t before = pleat_memory_stats().live_bytes;
        const pleat_scope scope = pleat_scope_begin();
        pleat_tensor *h = view ? pleat_narrow(square(x), 0, 0, LARGE) : square(x), *y = pleat_sum(pleat_mul(h, w));
        y = pleat_square(y);
        remakes = 0;
        ck_assert_ok(pleat_gradients(&y, 1, &w, 1, &(pleat_gradients_opts){ .record = true }, g)); /* 2 y h */
        y = pleat_scope_return(scope, pleat_sum(g[0]));
        held[view] = in_use(before);
        ck_assert_ok(pleat_gradients(&y, 1, (pleat_tensor *[]){ x, w }, 2, NULL, g));
        ck_assert_int_eq(remakes, view ? 0 : 3);
    }
    ck_assert_double_eq_tol(held[1] - held[0], 1, 0.2);
}
END_TEST

/* ---- Batch norm with a relu, in front of a convolution ---- */

typedef struct {
    pleat_tensor *in[5]; /* x, the norm's weight and bias, the convolution's weight and bias */
    pleat_tensor *h;
} net;

static net net_new(pleat_dtype dtype)
{
    net n = { { pleat_randn(PLEAT_SHAPE(4, 3, 9, 10), dtype), pleat_randn(PLEAT_SHAPE(3), dtype),
                pleat_randn(PLEAT_SHAPE(3), dtype), pleat_randn(PLEAT_SHAPE(5, 3, 3, 3), dtype),
                pleat_randn(PLEAT_SHAPE(5), dtype) },
              NULL };
    for (int i = 0; i < 5; i++)
        pleat_set_requires_grad(n.in[i], true);
    return n;
}

static pleat_tensor *normalised(pleat_tensor *const *in)
{
    return pleat_batch_norm(in[0], in[1], in[2], NULL, NULL, true, &(pleat_batch_norm_opts){ .relu = true });
}

static pleat_tensor *convolved(pleat_tensor *h, pleat_tensor *const *in)
{
    return pleat_conv2d(h, in[3], in[4], &(pleat_conv2d_opts){ .padding = { 1, 1 } });
}

/* held: by a view, of another shape and back. */
static pleat_tensor *run(net *n, bool held)
{
    n->h = normalised(n->in);
    return convolved(held ? pleat_squeeze(pleat_unsqueeze(n->h, 0), 0) : n->h, n->in);
}

START_TEST(the_same_bits)
{
    static const pleat_dtype dtypes[] = { PLEAT_F32, PLEAT_F64 };
    for (int i = 0; i < 8; i++) { /* both dtypes; a weight that is missing; x and a parameter that are strided; twice */
        net n = net_new(dtypes[i % 2]);
        if (i & 2) {
            n.in[1] = pleat_set_requires_grad(pleat_select(pleat_randn(PLEAT_SHAPE(3, 2), dtypes[i % 2]), 1, 1), true);
            n.in[0] = pleat_set_requires_grad(
                pleat_permute(pleat_randn(PLEAT_SHAPE(4, 10, 9, 3), dtypes[i % 2]), PLEAT_DIMS(0, 3, 2, 1)), true);
        }
        pleat_tensor *g[2][5], *all[5];
        int count = 0;
        for (int k = 0; k < 5; k++)
            if (i < 4 || k != 1)
                all[count++] = n.in[k];
        if (i >= 4)
            n.in[1] = NULL;
        for (int held = 0; held < 2; held++) {
            pleat_tensor *y = pleat_mean(pleat_square(run(&n, held)));
            const pleat_gradients_opts opts = { .record = i >= 6 };
            ck_assert_ok(pleat_gradients(&y, 1, all, count, &opts, g[held]));
            if (i < 6)
                continue;
            pleat_tensor *penalty = pleat_sum(pleat_square(g[held][0]));
            for (int k = 1; k < count; k++)
                penalty = pleat_add(penalty, pleat_sum(pleat_square(g[held][k])));
            ck_assert_ok(pleat_gradients(&penalty, 1, all, count, NULL, g[held]));
        }
        for (int k = 0; k < count; k++)
            ck_assert_msg(pleat_equal(g[0][k], g[1][k]), "case %d, gradient %d", i, k);
    }
}
END_TEST

static pleat_tensor *function(pleat_tensor *const *in, void *user)
{
    (void)user;
    return convolved(normalised(in), in);
}

START_TEST(differences_agree)
{
    net n = { { pleat_randn(PLEAT_SHAPE(2, 2, 2, 3), PLEAT_F64), pleat_rand(PLEAT_SHAPE(2), PLEAT_F64),
                pleat_randn(PLEAT_SHAPE(2), PLEAT_F64), pleat_randn(PLEAT_SHAPE(2, 2, 3, 3), PLEAT_F64), NULL },
              NULL };
    for (int i = 0; i < 4; i++)
        pleat_set_requires_grad(n.in[i], true);
    ck_assert_ok(pleat_gradcheck(function, NULL, n.in, 5, NULL));
    ck_assert_ok(pleat_gradgradcheck(function, NULL, n.in, 5, NULL));
}
END_TEST

START_TEST(changed_in_place)
{
    net n = net_new(PLEAT_F64);
    pleat_tensor *w = n.in[3], *g[2];
    pleat_tensor *y = pleat_sum(run(&n, true));
    const pleat_gradients_opts keep = { .keep = true };
    ck_assert_ok(pleat_gradients(&y, 1, &w, 1, NULL, &g[0]));

    /* the result afterwards: the gradient is of what it was */
    y = pleat_sum(run(&n, false));
    pleat_grad_mode(false);
    ck_assert_ptr_nonnull(pleat_fill_(n.h, 1e9));
    pleat_grad_mode(true);
    ck_assert_ok(pleat_gradients(&y, 1, &w, 1, &keep, &g[1]));
    ck_assert(pleat_equal(g[0], g[1]));

    /* before it is read: of what it is then */
    pleat_tensor *h = normalised(n.in);
    pleat_grad_mode(false);
    pleat_scale_(h, 2);
    pleat_grad_mode(true);
    pleat_tensor *z = pleat_sum(convolved(h, n.in));
    ck_assert_ok(pleat_gradients(&z, 1, &w, 1, &keep, &g[1]));
    ck_assert(pleat_allclose(g[1], pleat_mul_scalar(g[0], 2), 1e-12, 0));
    pleat_grad_mode(false);
    pleat_scale_(h, 2); /* it was held, so this shows */
    pleat_grad_mode(true);
    ck_assert_int_eq(pleat_gradients(&z, 1, &w, 1, &keep, &g[1]), PLEAT_EGRAD);
    ck_assert_failed(PLEAT_EGRAD, "conv2d: input 0");

    /* what it is made of */
    for (int i = 0; i < 3; i++) {
        pleat_tensor *again = pleat_sum(run(&n, false));
        pleat_grad_mode(false);
        pleat_scale_(n.in[i], 2);
        pleat_grad_mode(true);
        ck_assert_int_eq(pleat_gradients(&again, 1, &w, 1, &keep, &g[1]), PLEAT_EGRAD);
        ck_assert_failed(PLEAT_EGRAD, "batch_norm_relu: input");
        ck_assert_ok(pleat_gradients(&again, 1, &n.in[4], 1, &keep, &g[1])); /* which reads none of them */
    }
}
END_TEST

/* One result, two losses: after the first backward the norm's history is spent, and the second loss's can still be had
 * down to the convolution. */
START_TEST(spent_by_another)
{
    net n = net_new(PLEAT_F64);
    pleat_tensor *w = n.in[3], *held = pleat_sum(run(&n, true)), *g[2];
    ck_assert_ok(pleat_gradients(&held, 1, &w, 1, NULL, &g[0]));
    ck_assert_ok(pleat_backward(pleat_sum(normalised(n.in)))); /* the leaves have gradients from here on */
    for (int i = 0; i < 2; i++) {
        const int64_t before = pleat_memory_stats().live_bytes;
        const pleat_scope scope = pleat_scope_begin();
        pleat_tensor *h = normalised(n.in), *other = pleat_sum(pleat_exp(h)), *y = pleat_sum(convolved(h, n.in));
        ck_assert_ok(pleat_gradients(&other, 1, n.in, 3, NULL, (pleat_tensor *[3]){ NULL }));
        ck_assert_ok(pleat_gradients(&y, 1, &w, 1, &(pleat_gradients_opts){ .keep = true }, &g[1]));
        ck_assert(pleat_equal(g[0], g[1]));
        ck_assert_int_eq(pleat_gradients(&other, 1, n.in, 3, NULL, (pleat_tensor *[3]){ NULL }), PLEAT_EGRAD);
        ck_assert_failed(PLEAT_EGRAD, "spent");
        ck_assert_int_eq(pleat_backward(y), PLEAT_EGRAD);
        ck_assert_failed(PLEAT_EGRAD, "batch_norm_relu: its history is spent");
        h = normalised(n.in); /* and where it is spent already when the convolution comes */
        ck_assert_ok(pleat_backward(pleat_sum(h)));
        y = pleat_sum(convolved(h, n.in));
        ck_assert_ok(pleat_gradients(&y, 1, &w, 1, NULL, &g[1]));
        ck_assert(pleat_equal(g[0], g[1]));
        pleat_scope_end(scope);
        if (i == 1) /* the tape's own arrays have grown by then */
            ck_assert_int_eq(pleat_memory_stats().live_bytes, before);
    }
}
END_TEST

START_TEST(what_is_held)
{
    pleat_tensor *x = wanted(PLEAT_SHAPE(1, 1, 100, LARGE / 100)), *w = wanted(PLEAT_SHAPE(1, 1, 1, 1)), *g;
    pleat_tensor *one = pleat_ones(PLEAT_SHAPE(1), PLEAT_F64), *y[2];
    for (int held = 0; held < 2; held++) {
        const int64_t before = pleat_memory_stats().live_bytes;
        const pleat_scope scope = pleat_scope_begin();
        net n = { { x, one, one, w, NULL }, NULL };
        y[held] = pleat_scope_return(scope, pleat_sum(run(&n, held)));
        ck_assert_double_eq_tol(in_use(before), held, 0.1);
        ck_assert_ok(pleat_backward(y[held])); /* x's gradient stays */
        ck_assert_double_eq_tol(in_use(before), !held, 0.1);
    }
    /* for the user it lives on */
    const pleat_scope scope = pleat_scope_begin();
    net n = { { x, one, one, w, NULL }, NULL };
    pleat_tensor *z = pleat_sum(run(&n, false)), *h = pleat_retain(n.h), *copy = pleat_retain(pleat_clone(h));
    ck_assert_ok(pleat_gradients(&z, 1, &h, 1, NULL, &g));
    ck_assert(pleat_equal(g, pleat_expand(w, pleat_shape_of(h))));
    ck_assert_ok(pleat_scope_end(scope));
    ck_assert(pleat_equal(h, copy));
    pleat_release(h);
    pleat_release(copy);
}
END_TEST

START_TEST(in_modules_that_are_run_again)
{
    pleat_module *m = pleat_sequential(pleat_nn_conv2d(2, 3, (pleat_hw){ 3, 3 }, NULL), pleat_nn_batch_norm2d(3),
                                       pleat_nn_relu(), pleat_nn_conv2d(3, 2, (pleat_hw){ 3, 3 }, NULL));
    pleat_tensor *x = wanted(PLEAT_SHAPE(3, 2, 8, 9)), *one = pleat_ones(PLEAT_SHAPE(2), PLEAT_F64), *g[3];
    ck_assert_ok(pleat_module_to(m, PLEAT_F64));
    for (int i = 0; i < 3; i++) { /* its input is made again, too */
        pleat_module_recompute(m, i);
        pleat_tensor *h = normalised((pleat_tensor *[]){ x, one, one });
        pleat_tensor *y = pleat_sum(pleat_square(pleat_forward(m, i == 2 ? pleat_narrow(h, 0, 0, 3) : h)));
        ck_assert_ok(pleat_gradients(&y, 1, &x, 1, NULL, &g[i]));
    }
    ck_assert(pleat_equal(g[0], g[1]));
    ck_assert(pleat_equal(g[0], g[2]));
    pleat_module_free(m);
}
END_TEST

START_TEST(no_memory)
{
    net n = net_new(PLEAT_F32);
    pleat_tensor *g[5];
    int64_t live = 0;
    bool failed = true, remaking = false;
    for (int i = 0; failed; i++) { /* 0: once without a failure, so that the tape is as large as it gets */
        const pleat_scope scope = pleat_scope_begin();
        pleat_tensor *y = pleat_sum(run(&n, false));
        pleat_memory_fail_after(i);
        failed = pleat_gradients(&y, 1, n.in, 5, NULL, g) != PLEAT_OK || i == 0;
        pleat_memory_fail_after(0);
        remaking |= failed && strstr(pleat_error(), "batch_norm_relu") && strstr(pleat_error(), "gradient of conv2d");
        pleat_error_clear();
        pleat_scope_end(scope);
        live = i == 0 ? pleat_memory_stats().live_bytes : live;
        ck_assert_int_eq(pleat_memory_stats().live_bytes, live);
    }
    ck_assert(remaking);
}
END_TEST

START_TEST(in_the_profile)
{
    char table[4096];
    pleat_tensor *x = wanted(PLEAT_SHAPE(3)), *w = wanted(PLEAT_SHAPE(3));
    ck_assert_ok(pleat_profile_begin());
    ck_assert_ok(pleat_backward(pleat_sum(pleat_mul(square(x), w))));
    pleat_profile_end();
    ck_assert_int_lt(pleat_profile_table(table, sizeof table), (int64_t)sizeof table);
    const char *line = strstr(table, "\nagain  ");
    int calls = 0;
    ck_assert_msg(line && sscanf(line, "\nagain %d", &calls) == 1 && calls == 2, "%s", table);
}
END_TEST

/* The suite holds what is made again against the result. */
START_TEST(checked)
{
    const pleat_op *ops[] = { &square_op, &holding_op, &wrong_op };
    pleat_tensor *x = pleat_rand(PLEAT_SHAPE(2, 3), PLEAT_F64);
    const pleat_op_sample sample = { .in = &x, .count = 1 };
    for (int i = 0; i < 2; i++) {
        remakes = 0;
        ck_assert_ok(pleat_op_check(ops[i], &sample, 1, NULL));
        ck_assert_int_eq(remakes > 0, i == 0);
    }
    ck_assert_int_eq(pleat_op_check(&wrong_op, &sample, 1, NULL), PLEAT_EGRAD);
    ck_assert_failed(PLEAT_EGRAD, "made again");
}
END_TEST

RUN_TESTS("remake", made_where_it_is_read, chains_end, of_the_second_order, the_same_bits, differences_agree,
          changed_in_place, spent_by_another, what_is_held, in_modules_that_are_run_again, no_memory, in_the_profile,
          checked)
