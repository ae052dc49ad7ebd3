/* Anomaly mode, the profile, the tape as a graph. */
#include "support/run.h"
#include "tensor/watch.h"

#include <pleat/op.h>
#include <pleat/pleat.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

static pleat_tensor *leaf(double first, int64_t n)
{
    return pleat_set_requires_grad(pleat_arange(first, first + (double)n, 1, PLEAT_F64), true);
}

START_TEST(the_first_nan_forward)
{
    pleat_tensor *x = pleat_reshape(pleat_arange(-1, 5, 1, PLEAT_F64), PLEAT_SHAPE(2, 3));
    ck_assert_ptr_nonnull(pleat_log(pleat_log(x))); /* nobody looks */
    ck_assert(!pleat_anomaly_mode(true));
    ck_assert_ptr_null(pleat_exp(pleat_log(x)));
    ck_assert_str_eq(pleat_error(), "log: output 0 (2, 3) is nan at (0, 0); input 0 (2, 3) in [-1, 4]");
    ck_assert_failed(PLEAT_ENUMERIC, "log");
    ck_assert_ptr_null(pleat_log(pleat_narrow(x, 1, 1, 1)));
    ck_assert_failed(PLEAT_ENUMERIC, "is -inf at (0, 0); input 0 (2, 1) in [0, 3]");

    const pleat_frame net = { NULL, NULL }, layer = { "layer1", &net }, conv = { "0", &layer };
    const pleat_frame *before = pleat_frame_enter(&conv);
    ck_assert_ptr_null(pleat_div(x, pleat_zeros(PLEAT_SHAPE(1), PLEAT_F64)));
    ck_assert_failed(PLEAT_ENUMERIC, "div: output 0 (2, 3) is -inf at (0, 0), in module layer1.0; input 0");
    pleat_frame_enter(before);
    ck_assert(pleat_anomaly_mode(false));
    ck_assert_ptr_nonnull(pleat_log(x));
}
END_TEST

START_TEST(the_first_nan_backward)
{
    pleat_tensor *x = leaf(0, 3);
    pleat_anomaly_mode(true);
    const pleat_frame net = { NULL, NULL }, layer = { "head", &net };
    const pleat_frame *before = pleat_frame_enter(&layer);
    pleat_tensor *y = pleat_sum(pleat_sqrt(x)), *z = pleat_sum(pleat_sqrt(x)), *g;
    pleat_frame_enter(before);
    ck_assert_int_eq(pleat_backward(y), PLEAT_ENUMERIC);
    ck_assert_failed(PLEAT_ENUMERIC, "sqrt: the gradient of input 0 (3,) is inf at (0,), in module head");
    ck_assert_ptr_null(pleat_grad(x));
    /* recorded, it is of ops, of which one is to blame */
    ck_assert_int_eq(pleat_gradients(&z, 1, &x, 1, &(pleat_gradients_opts){ .record = true }, &g), PLEAT_ENUMERIC);
    ck_assert_failed(PLEAT_ENUMERIC, "div: output 0 (3,) is inf at (0,); input 0 (3,) in");
    ck_assert(strstr(pleat_error(), "; in the gradient of sqrt, in module head"));
    pleat_anomaly_mode(false);
    ck_assert_ok(pleat_backward(pleat_sum(pleat_sqrt(x))));
}
END_TEST

START_TEST(the_profile_counts_calls)
{
    char text[4000];
    pleat_tensor *x = leaf(1, 1000);
    pleat_exp(x); /* not yet */
    ck_assert_ok(pleat_profile_begin());
    ck_assert_ok(pleat_backward(pleat_sum(pleat_mul(pleat_exp(x), x))));
    pleat_exp(x);
    pleat_profile_end();
    pleat_exp(x); /* no more */
    const int64_t n = pleat_profile_table(text, sizeof text);
    ck_assert_int_eq(n, (int64_t)strlen(text));
    int calls = 0;
    const char *line = strstr(text, "\nexp  "); /* not that of its gradient */
    ck_assert_msg(line && sscanf(line, " exp %d", &calls) == 1 && calls == 2, "%s", text);
    ck_assert_msg(strstr(text, "\nmul gradient") != NULL, "%s", text);
    ck_assert_int_eq(pleat_profile_table(text, 10), n);
    ck_assert_uint_eq(strlen(text), 9);

    char path[] = "pleat-trace-XXXXXX.json";
    ck_assert_ok(pleat_profile_save_trace(path));
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    char json[20000];
    const size_t size = fread(json, 1, sizeof json - 1, f);
    fclose(f);
    remove(path);
    json[size] = '\0';
    ck_assert(strstr(json, "\"traceEvents\": [") && strstr(json, "\"name\": \"exp\", \"ph\": \"X\"") &&
              strstr(json, "]}\n"));
    ck_assert_int_eq(pleat_profile_save_trace("no/such/folder/trace.json"), PLEAT_EIO);
    ck_assert_failed(PLEAT_EIO, "no/such/folder");
}
END_TEST

/* The products and convolutions say how many operations they were; a gradient's are those of the calls it is made of.
 */
START_TEST(products_have_a_rate)
{
    char text[4000];
    const char *const ops[] = { "matmul", "linear", "conv2d", "conv_transpose2d", "conv2d_weight" };
    const double once = 2.0 * 2 * 8 * 6 * 6 * 4 * 3 * 3;
    pleat_tensor *x = leaf(0, 512), *w = leaf(0, 288), *image = pleat_reshape(x, PLEAT_SHAPE(2, 4, 8, 8));
    ck_assert_ok(pleat_profile_begin());
    pleat_tensor *y = pleat_conv2d(image, pleat_reshape(w, PLEAT_SHAPE(8, 4, 3, 3)), NULL, NULL);
    y = pleat_linear(pleat_reshape(y, PLEAT_SHAPE(2, 288)), pleat_reshape(w, PLEAT_SHAPE(1, 288)), NULL);
    ck_assert_ok(pleat_backward(pleat_sum(y)));
    pleat_profile_end();
    pleat_profile_table(text, sizeof text);
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        char name[48];
        double calls, ms, share, rate, bytes;
        snprintf(name, sizeof name, "\n%-28s ", ops[i]);
        const char *line = strstr(text, name);
        ck_assert_msg(line &&
                          sscanf(line + strlen(name), "%lf %lf %lf%% %lf %lf", &calls, &ms, &share, &rate, &bytes) == 5,
                      "%s:\n%s", ops[i], text);
        const double flops = i == 0 ? 2 * 2 * (2.0 * 288) : i == 1 ? 2.0 * 2 * 288 : once;
        /* printed are microseconds, and rates to a hundredth */
        ck_assert_msg(fabs(rate - 1e-6 * flops / ms) <= 0.02 * rate + 0.01 + 1e-6 * flops / ms * 0.001 / ms,
                      "%s: %g in %g", ops[i], rate, ms);
    }
}
END_TEST

START_TEST(the_tape_as_a_graph)
{
    char text[4000];
    pleat_tensor *x = leaf(1, 3), *w = leaf(1, 3), *y = pleat_sum(pleat_mul(x, x));
    pleat_exp(w); /* y does not depend on it */
    const int64_t n = pleat_tape_dot(y, text, sizeof text);
    ck_assert_int_eq(n, (int64_t)strlen(text));
    ck_assert(strncmp(text, "digraph tape {\n", 15) == 0 && text[n - 2] == '}');
    ck_assert(strstr(text, "label=\"mul\\nfloat64 (3,)\"") && strstr(text, "c0 -> c1;") && strstr(text, "leaf") &&
              !strstr(text, "exp"));
    ck_assert_int_gt(pleat_tape_dot(NULL, text, sizeof text), n);
    ck_assert(strstr(text, "exp"));
    ck_assert_ok(pleat_backward(y));
    pleat_tape_dot(y, text, sizeof text);
    ck_assert(strstr(text, "color=gray"));
    pleat_tape_dot(x, text, sizeof text);
    ck_assert_str_eq(text, "digraph tape {\n}\n");
}
END_TEST

/* What a network's user sees: the module that made the NaN, forward and backward. */
START_TEST(modules_are_named)
{
    pleat_module *net =
        pleat_sequential(pleat_nn_linear(3, 4), pleat_sequential(pleat_nn_relu(), pleat_nn_linear(4, 2)));
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(5, 3), PLEAT_F32);
    pleat_anomaly_mode(true);
    ck_assert_ptr_nonnull(pleat_forward(net, x));
    pleat_grad_mode(false);
    pleat_fill_(pleat_module_parameter(net, "1.1.weight"), INFINITY);
    pleat_grad_mode(true);
    ck_assert_ptr_null(pleat_forward(net, x));
    ck_assert_failed(PLEAT_ENUMERIC, "in module 1.1;");
    pleat_module_free(net);
}
END_TEST

RUN_TESTS("debug", the_first_nan_forward, the_first_nan_backward, the_profile_counts_calls, products_have_a_rate,
          the_tape_as_a_graph, modules_are_named)
