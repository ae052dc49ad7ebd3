/* The layers: what they hold, what they start from, what they compute, what they refuse. */
#include "support/run.h"

#include <pleat/pleat.h>

#include <math.h>
#include <string.h>

#include "golden/net.h"

#define HW(a, b) ((pleat_hw){ a, b })

/* The names and shapes of all that a module holds, "weight(4, 2, 3, 3)! ...", where ! marks a parameter. */
static pleat_status describe(const pleat_named_tensor *item, void *user)
{
    strcat(user, item->name);
    strcat(user, pleat_shape_text(pleat_shape_of(item->tensor)).text);
    strcat(user, item->is_parameter ? "! " : " ");
    return PLEAT_OK;
}

static void holds(pleat_module *m, const char *want)
{
    char text[512] = "";
    ck_assert_msg(m != NULL, "%s", pleat_error());
    ck_assert_ok(pleat_module_visit(m, describe, text));
    ck_assert_str_eq(text, want);
    pleat_module_free(m);
    ck_assert_int_eq(pleat_live_tensors(), 0); /* making it left nothing in the caller's scope */
}

START_TEST(members_are_pytorchs)
{
    holds(pleat_nn_conv2d(4, 6, HW(3, 2), &(pleat_conv2d_opts){ .groups = 2 }), "weight(6, 2, 3, 2)! bias(6,)! ");
    holds(pleat_nn_conv2d(4, 6, HW(3, 2), &(pleat_conv2d_opts){ .no_bias = true }), "weight(6, 4, 3, 2)! ");
    holds(pleat_nn_conv_transpose2d(4, 6, HW(3, 2), &(pleat_conv_transpose2d_opts){ .groups = 2 }),
          "weight(4, 3, 3, 2)! bias(6,)! ");
    holds(pleat_nn_linear(5, 2), "weight(2, 5)! bias(2,)! ");
    holds(pleat_nn_linear_no_bias(5, 2), "weight(2, 5)! ");
    holds(pleat_nn_batch_norm2d(3), "weight(3,)! bias(3,)! running_mean(3,) running_var(3,) num_batches_tracked() ");
    holds(pleat_nn_relu(), "");
    holds(pleat_sequential(pleat_nn_flatten(), pleat_sequential(pleat_nn_relu(), pleat_nn_linear_no_bias(1, 2))),
          "1.1.weight(2, 1)! ");
    holds(pleat_sequential_of(NULL, 0), "");
    holds(pleat_nn_residual(pleat_nn_relu(), NULL), "");
    holds(pleat_nn_residual(pleat_nn_linear_no_bias(2, 2), pleat_nn_linear_no_bias(2, 2)),
          "body.weight(2, 2)! shortcut.weight(2, 2)! ");
}
END_TEST

/* Uniform within the bound: all inside, close to it, mean and variance as they should be. */
static void is_uniform(pleat_tensor *t, double bound)
{
    const float *p = pleat_data_f32(t);
    const double n = (double)pleat_numel(t);
    double sum = 0, squares = 0, most = 0;
    for (int64_t i = 0; i < pleat_numel(t); i++) {
        sum += (double)p[i];
        squares += (double)p[i] * (double)p[i];
        most = fmax(most, fabs((double)p[i]));
    }
    ck_assert_msg(most <= bound && most > 0.98 * bound, "%g is the largest, %g the bound", most, bound);
    ck_assert(fabs(sum / n) < 4 * bound / sqrt(3 * n));
    ck_assert_double_eq_tol(squares / n, bound * bound / 3, 0.1 * bound * bound / 3);
}

START_TEST(they_start_as_pytorchs_do)
{
    pleat_seed(1);
    pleat_module *m = pleat_nn_conv2d(8, 300, HW(3, 5), &(pleat_conv2d_opts){ .groups = 2 });
    is_uniform(pleat_module_parameter(m, "weight"), 1 / sqrt(4 * 15));
    is_uniform(pleat_module_parameter(m, "bias"), 1 / sqrt(4 * 15));
    pleat_module_free(m);
    m = pleat_nn_conv_transpose2d(40, 300, HW(2, 3), NULL);
    is_uniform(pleat_module_parameter(m, "weight"), 1 / sqrt(300 * 6)); /* PyTorch takes size(1) for the fan here too */
    is_uniform(pleat_module_parameter(m, "bias"), 1 / sqrt(300 * 6));
    pleat_module_free(m);
    m = pleat_nn_linear(50, 400);
    is_uniform(pleat_module_parameter(m, "weight"), 1 / sqrt(50));
    is_uniform(pleat_module_parameter(m, "bias"), 1 / sqrt(50));
    pleat_module_free(m);
    m = pleat_nn_batch_norm2d(2);
    ck_assert(pleat_data_f32(pleat_module_parameter(m, "weight"))[1] == 1 &&
              pleat_data_f32(pleat_module_parameter(m, "bias"))[1] == 0);
    ck_assert(pleat_data_f32(pleat_module_buffer(m, "running_var"))[1] == 1 &&
              pleat_data_f32(pleat_module_buffer(m, "running_mean"))[1] == 0);
    pleat_module_free(m);

    pleat_seed(5); /* a seed gives the same layer again */
    pleat_module *a = pleat_nn_linear(3, 4);
    pleat_module *c = pleat_nn_linear(3, 4);
    pleat_seed(5);
    pleat_module *b = pleat_nn_linear(3, 4);
    ck_assert(pleat_equal(pleat_module_parameter(a, "bias"), pleat_module_parameter(b, "bias")));
    ck_assert(pleat_equal(pleat_module_parameter(a, "weight"), pleat_module_parameter(b, "weight")));
    ck_assert(!pleat_equal(pleat_module_parameter(a, "weight"), pleat_module_parameter(c, "weight")));
    pleat_module_free(a);
    pleat_module_free(b);
    pleat_module_free(c);
}
END_TEST

static void is_near(pleat_tensor *t, const double *want, size_t bytes)
{
    ck_assert_msg(t != NULL, "%s", pleat_error());
    ck_assert_int_eq(pleat_numel(t) * 8, (int64_t)bytes);
    const double *got = pleat_data_f64(pleat_contiguous(t));
    for (int64_t i = 0; i < pleat_numel(t); i++)
        ck_assert_msg(fabs(got[i] - want[i]) <= 1e-11 * fabs(want[i]), "[%d] is %.17g, not %.17g", (int)i, got[i],
                      want[i]);
}

START_TEST(a_network_computes_what_pytorchs_does)
{
    const pleat_scope s = pleat_scope_begin();
    pleat_module *net =
        pleat_sequential(pleat_nn_conv2d(2, 3, HW(3, 2), NULL), pleat_nn_batch_norm2d(3), pleat_nn_relu(),
                         pleat_sequential(pleat_nn_conv2d(3, 3, HW(1, 1), &(pleat_conv2d_opts){ .no_bias = true }),
                                          pleat_nn_conv_transpose2d(3, 2, HW(2, 2), NULL)),
                         pleat_nn_flatten(), pleat_nn_linear(24, 4));
    if (pleat_load(net, PLEAT_TEST_DIR "/golden/net.safetensors") != PLEAT_OK) {
        ck_assert_failed(PLEAT_EIO, "built with cJSON");
        return;
    }
    ck_assert_ok(pleat_module_to(net, PLEAT_F64));
    pleat_tensor *x = pleat_from_data(net_input, PLEAT_SHAPE(3, 2, 4, 4), PLEAT_F64);
    pleat_module_train(net, false);
    is_near(pleat_forward(net, x), net_eval, sizeof net_eval);
    ck_assert(pleat_item(pleat_module_buffer(net, "1.num_batches_tracked")) == 13 * 6 % 17);
    pleat_module_train(net, true);
    is_near(pleat_forward(net, x), net_training, sizeof net_training);
    ck_assert(pleat_item(pleat_module_buffer(net, "1.num_batches_tracked")) == 13 * 6 % 17 + 1);
    is_near(pleat_module_buffer(net, "1.running_mean"), net_running_mean, sizeof net_running_mean);
    is_near(pleat_module_buffer(net, "1.running_var"), net_running_var, sizeof net_running_var);
    pleat_module_free(net);
    pleat_scope_end(s);
    ck_assert_int_eq(pleat_live_tensors(), 0);
}
END_TEST

START_TEST(options_reach_the_op)
{
    const pleat_scope s = pleat_scope_begin();
    pleat_tensor *x = pleat_randn(PLEAT_SHAPE(2, 4, 9, 8), PLEAT_F32);
    const pleat_conv2d_opts c = { .stride = { 2, 1 }, .padding = { 1, 2 }, .dilation = { 1, 2 }, .groups = 2 };
    pleat_module *m = pleat_nn_conv2d(4, 6, HW(3, 3), &c);
    ck_assert(pleat_equal(pleat_forward(m, x),
                          pleat_conv2d(x, pleat_module_parameter(m, "weight"), pleat_module_parameter(m, "bias"), &c)));
    pleat_module_free(m);
    const pleat_conv_transpose2d_opts t = {
        .stride = { 3, 2 }, .padding = { 1, 0 }, .output_padding = { 2, 1 }, .groups = 2
    };
    m = pleat_nn_conv_transpose2d(4, 6, HW(3, 3), &t);
    ck_assert(pleat_equal(pleat_forward(m, x), pleat_conv_transpose2d(x, pleat_module_parameter(m, "weight"),
                                                                      pleat_module_parameter(m, "bias"), &t)));
    pleat_module_free(m);
    const pleat_window w = { .kernel = { 3, 2 }, .stride = { 2, 2 }, .padding = { 1, 1 } };
    m = pleat_nn_max_pool2d(&w);
    ck_assert(pleat_equal(pleat_forward(m, x), pleat_max_pool2d(x, &w)));
    pleat_module_free(m);
    m = pleat_nn_flatten();
    ck_assert(pleat_shape_equal(pleat_shape_of(pleat_forward(m, x)), PLEAT_SHAPE(2, 288)));
    pleat_module_free(m);

    m = pleat_nn_dropout(0.75);
    pleat_tensor *ones = pleat_ones(PLEAT_SHAPE(10000), PLEAT_F32), *y = pleat_forward(m, ones);
    int64_t kept = 0;
    for (int64_t i = 0; i < 10000; i++) {
        ck_assert(pleat_data_f32(y)[i] == 0 || pleat_data_f32(y)[i] == 4);
        kept += pleat_data_f32(y)[i] != 0;
    }
    ck_assert(kept > 2300 && kept < 2700);
    pleat_module_train(m, false);
    ck_assert_ptr_eq(pleat_forward(m, ones), ones);
    pleat_module_free(m);
    pleat_scope_end(s);
}
END_TEST

/* A sequence lets a layer do the relu that follows; nobody can tell. */
START_TEST(a_relu_is_fused)
{
    const pleat_scope s = pleat_scope_begin();
    pleat_tensor *x = pleat_randn(PLEAT_SHAPE(3, 2, 4, 5), PLEAT_F64);
    pleat_module *norm = pleat_nn_batch_norm2d(2), *relu = pleat_nn_relu();
    pleat_module *m = pleat_sequential(norm, relu, pleat_nn_relu(), pleat_nn_flatten());
    ck_assert_ok(pleat_module_to(m, PLEAT_F64));
    for (int training = 0; training < 2; training++) {
        pleat_module_train(m, training);
        ck_assert_ok(pleat_gradcheck_module(m, x, NULL));
        pleat_tensor *y = pleat_flatten(pleat_relu(pleat_forward(norm, x)), 1, -1);
        ck_assert(pleat_equal(pleat_forward(m, x), y));
    }
    ck_assert(pleat_item(pleat_module_buffer(m, "0.num_batches_tracked")) >= 2);
    pleat_module_free(m);

    pleat_tensor *line = pleat_randn(PLEAT_SHAPE(3, 2, 6), PLEAT_F64);
    pleat_module *const layers[] = { pleat_nn_conv2d(2, 3, HW(2, 2), NULL),
                                     pleat_nn_conv_transpose2d(2, 3, HW(2, 2), NULL), pleat_nn_conv1d(2, 3, 2, NULL),
                                     pleat_nn_conv_transpose1d(2, 3, 2, NULL) };
    for (int i = 0; i < 4; i++) {
        m = pleat_sequential(layers[i], pleat_nn_relu());
        ck_assert_ok(pleat_module_to(m, PLEAT_F64));
        ck_assert_ok(pleat_gradcheck_module(m, i < 2 ? x : line, NULL));
        ck_assert(
            pleat_equal(pleat_forward(m, i < 2 ? x : line), pleat_relu(pleat_forward(layers[i], i < 2 ? x : line))));
        pleat_module_free(m);
    }
    pleat_scope_end(s);
}
END_TEST

/* Equal elements, or NaN on both sides. */
static void are_equal(pleat_tensor *a, pleat_tensor *b)
{
    ck_assert(pleat_shape_equal(pleat_shape_of(a), pleat_shape_of(b)));
    const float *x = pleat_data_f32(pleat_contiguous(a)), *y = pleat_data_f32(pleat_contiguous(b));
    for (int64_t i = 0; i < pleat_numel(a); i++)
        ck_assert(x[i] == y[i] || (isnan(x[i]) && isnan(y[i])));
}

/* A relu comes after the max pool that follows it; nobody can tell, wherever the largest are equal, zero or NaN. */
START_TEST(a_relu_and_a_max_pool_change_places)
{
    const pleat_scope s = pleat_scope_begin();
    const float some[] = { -1, -2, 3, 3, -3, -1, NAN, 1, 0, 0, -5, -5, -1, 0, -6, 2, 5, -1, -1, -1, NAN, -1, 0, 4 };
    const pleat_window window = { .kernel = { 2, 2 }, .stride = { 1, 2 } };
    for (int first = 0; first < 2; first++) { /* behind another layer, and in front of all */
        pleat_module *conv = pleat_nn_conv2d(1, 2, HW(2, 1), NULL);
        pleat_module *m = first ? pleat_sequential(pleat_nn_relu(), pleat_nn_max_pool2d(&window), conv)
                                : pleat_sequential(conv, pleat_nn_relu(), pleat_nn_max_pool2d(&window));
        for (int i = 0; i < 2; i++) {
            pleat_tensor *x = pleat_from_data(some, PLEAT_SHAPE(1, 1, 4, 6), PLEAT_F32), *y[2], *g[2];
            x = pleat_set_requires_grad(i ? pleat_randn(PLEAT_SHAPE(3, 1, 7, 9), PLEAT_F32) : x, true);
            y[0] = pleat_forward(m, x);
            y[1] = first ? pleat_forward(conv, pleat_max_pool2d(pleat_relu(x), &window))
                         : pleat_max_pool2d(pleat_relu(pleat_forward(conv, x)), &window);
            pleat_tensor *v = pleat_randn(pleat_shape_of(y[0]), PLEAT_F32);
            for (int k = 0; k < 2; k++)
                ck_assert_ok(pleat_gradients(&y[k], 1, &x, 1, &(pleat_gradients_opts){ .grad_outputs = &v }, &g[k]));
            are_equal(y[0], y[1]);
            are_equal(g[0], g[1]);
        }
        pleat_module_free(m);
    }
    pleat_scope_end(s);
}
END_TEST

/* The bits of a linear layer with its relu, of its gradients and of theirs: those of the two ops apart. */
START_TEST(a_relu_is_fused_with_a_linear_layer)
{
    static const int64_t sizes[][3] = { { 1, 3, 4 }, { 5, 7, 3 }, { 64, 128, 40 }, { 3, 900, 70 }, { 40, 2000, 30 } };
    for (size_t i = 0; i < 4 * sizeof sizes / sizeof *sizes; i++) {
        const pleat_scope s = pleat_scope_begin();
        const int64_t *size = sizes[i / 4];
        const pleat_dtype dtype = i % 2 ? PLEAT_F64 : PLEAT_F32;
        pleat_module *linear = i & 2 ? pleat_nn_linear(size[1], size[2]) : pleat_nn_linear_no_bias(size[1], size[2]);
        pleat_module *m = pleat_sequential(linear, pleat_nn_relu());
        ck_assert_ok(pleat_module_to(m, dtype));
        pleat_tensor *x = pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(size[0], size[1]), dtype), true);
        pleat_tensor *in[] = { x, pleat_module_parameter(m, "0.weight"), NULL };
        const int count = i & 2 ? 3 : 2;
        if (count == 3)
            in[2] = pleat_module_parameter(m, "0.bias");
        pleat_tensor *y[] = { pleat_forward(m, x), pleat_relu(pleat_forward(linear, x)) };
        ck_assert(pleat_equal(y[0], y[1]));
        pleat_tensor *v = pleat_set_requires_grad(pleat_randn(pleat_shape_of(y[0]), dtype), true), *g[2][3], *h[2][3];
        for (int k = 0; k < 2; k++) {
            ck_assert_ok(pleat_gradients(&y[k], 1, in, count,
                                         &(pleat_gradients_opts){ .grad_outputs = &v, .record = true }, g[k]));
            pleat_tensor *sum = pleat_add(pleat_sum(pleat_square(g[k][0])), pleat_sum(pleat_square(g[k][1])));
            pleat_tensor *to[] = { x, in[1], v };
            ck_assert_ok(pleat_gradients(&sum, 1, to, 3, NULL, h[k]));
        }
        for (int k = 0; k < count; k++)
            ck_assert(pleat_equal(g[0][k], g[1][k]));
        for (int k = 0; k < 3; k++)
            ck_assert(pleat_equal(h[0][k], h[1][k]));
        pleat_module_free(m);
        pleat_scope_end(s);
    }
    ck_assert_int_eq(pleat_live_tensors(), 0);
}
END_TEST

START_TEST(a_residual_block_adds)
{
    const pleat_scope s = pleat_scope_begin();
    pleat_tensor *x = pleat_randn(PLEAT_SHAPE(3, 2), PLEAT_F64);
    pleat_module *body = pleat_nn_linear(2, 2), *shortcut = pleat_nn_linear(2, 2);
    pleat_module *m = pleat_nn_residual(body, shortcut);
    ck_assert_ok(pleat_module_to(m, PLEAT_F64));
    pleat_tensor *want = pleat_relu(pleat_add(pleat_forward(body, x), pleat_forward(shortcut, x)));
    ck_assert(pleat_allclose(pleat_forward(m, x), want, 0, 0));
    ck_assert_ok(pleat_gradcheck_module(m, x, NULL));
    pleat_module_free(m);

    body = pleat_nn_linear(2, 2);
    m = pleat_nn_residual(body, NULL);
    ck_assert_ok(pleat_module_to(m, PLEAT_F64));
    ck_assert(pleat_allclose(pleat_forward(m, x), pleat_relu(pleat_add(pleat_forward(body, x), x)), 0, 0));
    pleat_module_free(m);
    pleat_scope_end(s);
    ck_assert_int_eq(pleat_live_tensors(), 0);
}
END_TEST

START_TEST(a_sequence_frees_what_is_in_between)
{
    const pleat_scope s = pleat_scope_begin();
    pleat_module *net = pleat_sequential(pleat_nn_relu(), pleat_nn_relu(), pleat_nn_flatten());
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(2, 3, 4), PLEAT_F32);
    const int64_t live = pleat_live_tensors();
    pleat_tensor *y = pleat_forward(net, x);
    ck_assert(pleat_shape_equal(pleat_shape_of(y), PLEAT_SHAPE(2, 12)));
    ck_assert_int_eq(pleat_live_tensors(), live + 1);
    pleat_module_free(net);

    /* and on the way, once the next module is done */
    net = pleat_sequential(pleat_nn_relu(), pleat_nn_relu(), pleat_nn_relu(), pleat_nn_relu());
    x = pleat_ones(PLEAT_SHAPE(1000, 1000), PLEAT_F32);
    const int64_t bytes = pleat_memory_stats().live_bytes;
    pleat_memory_reset_peak();
    ck_assert_ptr_nonnull(pleat_forward(net, x));
    ck_assert_double_eq_tol((double)(pleat_memory_stats().peak_bytes - bytes) / 4e6, 2, 0.1);
    pleat_module_free(net);

    net = pleat_sequential_of(NULL, 0);
    ck_assert_ptr_eq(pleat_forward(net, x), x);
    pleat_module_free(net);
    pleat_scope_end(s);
    ck_assert_int_eq(pleat_live_tensors(), 0);
}
END_TEST

static void refused(pleat_module *m, pleat_status code, const char *words)
{
    ck_assert_ptr_null(m);
    ck_assert_failed(code, words);
    ck_assert_int_eq(pleat_live_tensors(), 0);
}

START_TEST(bad_arguments)
{
    const pleat_status inval = PLEAT_EINVAL;
    refused(pleat_nn_conv2d(0, 4, HW(3, 3), NULL), inval, "nn_conv2d: channels");
    refused(pleat_nn_conv2d(4, -1, HW(3, 3), NULL), inval, "-1 out");
    refused(pleat_nn_conv2d(4, 4, HW(3, 0), NULL), inval, "kernel must be at least (1, 1), not (3, 0)");
    refused(pleat_nn_conv2d(4, 6, HW(3, 3), &(pleat_conv2d_opts){ .groups = 4 }), inval,
            "4 groups must divide 4 channels in and 6 out");
    refused(pleat_nn_conv2d(6, 4, HW(3, 3), &(pleat_conv2d_opts){ .groups = 4 }), inval, "4 groups");
    refused(pleat_nn_conv2d(4, 4, HW(3, 3), &(pleat_conv2d_opts){ .groups = -1 }), inval, "-1 groups");
    refused(pleat_nn_conv2d(4, 4, HW(3, 3), &(pleat_conv2d_opts){ .stride = { 2, 0 } }), inval, "stride");
    refused(pleat_nn_conv2d(4, 4, HW(3, 3), &(pleat_conv2d_opts){ .padding = { 0, -1 } }), inval, "padding");
    refused(pleat_nn_conv2d(4, 4, HW(3, 3), &(pleat_conv2d_opts){ .dilation = { 0, 2 } }), inval, "dilation");
    refused(pleat_nn_conv2d(INT64_C(1) << 40, INT64_C(1) << 40, HW(3, 3), NULL), PLEAT_ENOMEM, "");
    refused(pleat_nn_conv_transpose2d(4, 6, HW(3, 3), &(pleat_conv_transpose2d_opts){ .groups = 4 }), inval,
            "nn_conv_transpose2d: 4 groups");
    refused(pleat_nn_conv_transpose2d(4, 4, HW(3, 3), &(pleat_conv_transpose2d_opts){ .output_padding = { 1, 0 } }),
            inval, "output padding (1, 0)");
    refused(pleat_nn_conv_transpose2d(4, 4, HW(3, 3), &(pleat_conv_transpose2d_opts){ .output_padding = { 0, -1 } }),
            inval, "output padding");
    refused(pleat_nn_linear(0, 4), inval, "nn_linear: features");
    refused(pleat_nn_linear_no_bias(4, 0), inval, "nn_linear: features");
    refused(pleat_nn_batch_norm2d(0), inval, "nn_batch_norm2d: channels");
    refused(pleat_nn_dropout(1.5), inval, "not 1.5");
    refused(pleat_nn_dropout(NAN), inval, "nn_dropout");
    refused(pleat_nn_max_pool2d(NULL), inval, "window is NULL");
    refused(pleat_nn_max_pool2d(&(pleat_window){ .kernel = { 2, 2 }, .padding = { 2, 0 } }), inval,
            "at most half the kernel");
    refused(pleat_sequential(pleat_nn_linear(2, 3), pleat_nn_linear(0, 3), pleat_nn_linear(2, 3)), inval,
            "nn_linear: features");
    refused(pleat_sequential(pleat_nn_linear(2, 3), NULL), inval, "child '1' is NULL");
    refused(pleat_sequential_of(NULL, 2), inval, "sequential");
    refused(pleat_nn_residual(NULL, NULL), inval, "child 'body' is NULL");
    refused(pleat_nn_residual(pleat_nn_relu(), pleat_nn_linear(0, 3)), inval, "features");

    const pleat_scope s = pleat_scope_begin();
    pleat_module *m = pleat_nn_batch_norm2d(2);
    ck_assert_ptr_null(pleat_forward(m, pleat_ones(PLEAT_SHAPE(3, 2), PLEAT_F32)));
    ck_assert_failed(PLEAT_ESHAPE, "batch_norm2d: the input must be (N, C, H, W), not (3, 2)");
    ck_assert_ptr_null(pleat_forward(m, pleat_ones(PLEAT_SHAPE(1, 2, 1, 1), PLEAT_F32)));
    ck_assert_int_ne(pleat_check(), PLEAT_OK);
    ck_assert(pleat_item(pleat_module_buffer(m, "num_batches_tracked")) == 0); /* a failed batch does not count */
    pleat_module_free(m);
    pleat_scope_end(s);
}
END_TEST

START_TEST(no_memory)
{
    for (int64_t n = 1;; n++) {
        pleat_memory_fail_after(n);
        pleat_module *m =
            pleat_sequential(pleat_nn_conv2d(2, 2, HW(1, 1), NULL), pleat_nn_batch_norm2d(2), pleat_nn_relu(),
                             pleat_nn_max_pool2d(&(pleat_window){ .kernel = { 2, 2 } }), pleat_nn_dropout(0.5),
                             pleat_nn_flatten(), pleat_nn_residual(pleat_nn_linear(2, 2), pleat_nn_linear(2, 2)));
        const bool done = pleat_memory_fail_after(0) > 0;
        ck_assert_int_eq(pleat_check(), done ? PLEAT_OK : PLEAT_ENOMEM);
        ck_assert((m != NULL) == done);
        pleat_module_free(m);
        ck_assert_int_eq(pleat_live_tensors(), 0);
        if (done)
            return;
    }
}
END_TEST

START_TEST(fans_and_distributions)
{
    const pleat_scope s = pleat_scope_begin();
    int64_t in, out;
    ck_assert_ok(pleat_fans(pleat_zeros(PLEAT_SHAPE(6, 4, 3, 2), PLEAT_F32), &in, &out));
    ck_assert(in == 24 && out == 36);
    ck_assert_ok(pleat_fans(pleat_zeros(PLEAT_SHAPE(6, 4), PLEAT_F32), &in, NULL));
    ck_assert(in == 4);
    ck_assert_int_eq(pleat_fans(pleat_zeros(PLEAT_SHAPE(6), PLEAT_F32), &in, &out), PLEAT_ESHAPE);
    ck_assert_failed(PLEAT_ESHAPE, "two dimensions or more, not (6,)");

    pleat_tensor *t = pleat_set_requires_grad(pleat_zeros(PLEAT_SHAPE(300, 100), PLEAT_F32), true);
    ck_assert_ptr_eq(pleat_kaiming_uniform_(t, 0), t); /* off the tape, also on a parameter */
    is_uniform(t, sqrt(6.0 / 100));
    ck_assert_ptr_eq(pleat_kaiming_uniform_(t, sqrt(5)), t);
    is_uniform(t, 1.0 / 10);
    ck_assert_ptr_eq(pleat_xavier_uniform_(t, 2), t);
    is_uniform(t, 2 * sqrt(6.0 / 400));
    ck_assert_ptr_eq(pleat_kaiming_normal_(t, 0), t);
    ck_assert_double_eq_tol(pleat_item(pleat_mean(pleat_mul(t, t))), 2.0 / 100, 0.03 * 2 / 100);
    ck_assert_ptr_eq(pleat_xavier_normal_(t, 1), t);
    ck_assert_double_eq_tol(pleat_item(pleat_mean(pleat_mul(t, t))), 2.0 / 400, 0.03 * 2 / 400);
    ck_assert(pleat_is_leaf(t) && pleat_grad_enabled());

    ck_assert_ptr_null(pleat_kaiming_uniform_(NULL, 0));
    ck_assert_failed(PLEAT_EINVAL, "NULL");
    ck_assert_ptr_null(pleat_xavier_uniform_(t, NAN));
    ck_assert_failed(PLEAT_EINVAL, "gain");
    pleat_tensor *none = pleat_zeros(PLEAT_SHAPE(0, 3), PLEAT_F32);
    ck_assert_ptr_eq(pleat_kaiming_normal_(none, 0), none);
    pleat_scope_end(s);
}
END_TEST

RUN_TESTS("layers", members_are_pytorchs, they_start_as_pytorchs_do, a_network_computes_what_pytorchs_does,
          options_reach_the_op, a_relu_is_fused, a_relu_is_fused_with_a_linear_layer,
          a_relu_and_a_max_pool_change_places, a_residual_block_adds, a_sequence_frees_what_is_in_between,
          bad_arguments, no_memory, fans_and_distributions)
