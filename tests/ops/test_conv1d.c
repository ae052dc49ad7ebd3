/* conv1d's paddings (same, more behind, and the four modes) against loops, their modules and gradients; the same ones
 * of local_conv2d and conv2d_weight; a conv_transpose1d of the size that is asked for. */
#include "support/run.h"
#include "support/views.h"

#include <string.h>

static pleat_tensor *randn(pleat_shape shape)
{
    return pleat_set_requires_grad(pleat_randn(shape, PLEAT_F64), true);
}

/* Element i of a line of n under the mode's padding. */
static double padded(const double *x, int64_t n, int64_t i, pleat_pad_mode mode)
{
    if (i >= 0 && i < n)
        return x[i];
    return mode == PLEAT_PAD_CONSTANT    ? 0
           : mode == PLEAT_PAD_REPLICATE ? x[i < 0 ? 0 : n - 1]
           : mode == PLEAT_PAD_REFLECT   ? x[i < 0 ? -i : 2 * (n - 1) - i]
                                         : x[(i + n) % n];
}

/* y[n, o, p] of conv1d with `before` in front and as many places as y has. */
static void compare(pleat_tensor *y, pleat_tensor *x, pleat_tensor *w, pleat_tensor *b, const pleat_conv1d_opts *o,
                    int64_t before)
{
    const int64_t stride = o->stride ? o->stride : 1, dilation = o->dilation ? o->dilation : 1,
                  groups = o->groups ? o->groups : 1;
    const int64_t channels = pleat_size(w, 1), out = pleat_size(w, 0), taps = pleat_size(w, 2), n = pleat_size(x, 2);
    for (int64_t image = 0; image < pleat_size(x, 0); image++)
        for (int64_t k = 0; k < out; k++)
            for (int64_t p = 0; p < pleat_size(y, 2); p++) {
                double want = pleat_data_f64(b)[k];
                for (int64_t c = 0; c < channels; c++)
                    for (int64_t i = 0; i < taps; i++)
                        want += pleat_data_f64(w)[(k * channels + c) * taps + i] *
                                padded(pleat_data_f64(x) +
                                           (image * channels * groups + k / (out / groups) * channels + c) * n,
                                       n, p * stride + i * dilation - before, o->mode);
                ck_assert_double_eq_tol(pleat_data_f64(y)[(image * out + k) * pleat_size(y, 2) + p], want, 1e-12);
            }
}

START_TEST(paddings)
{
    pleat_seed(1);
    pleat_tensor *x = randn(PLEAT_SHAPE(2, 4, 9)), *b = randn(PLEAT_SHAPE(6));
    for (int mode = PLEAT_PAD_CONSTANT; mode <= PLEAT_PAD_CIRCULAR; mode++)
        for (int64_t taps = 1; taps <= 4; taps++)
            for (int64_t dilation = 1; dilation <= 2; dilation++) {
                pleat_tensor *w = randn(PLEAT_SHAPE(6, 2, taps));
                const int64_t all = dilation * (taps - 1);
                const pleat_conv1d_opts same = { .same = true,
                                                 .dilation = dilation,
                                                 .groups = 2,
                                                 .mode = (pleat_pad_mode)mode },
                                        apart = { .stride = 2,
                                                  .padding = 2,
                                                  .dilation = dilation,
                                                  .groups = 2,
                                                  .more = 3,
                                                  .mode = (pleat_pad_mode)mode };
                pleat_tensor *y = pleat_conv1d(x, w, b, &same);
                ck_assert_msg(y && pleat_size(y, 2) == 9, "%s", pleat_error());
                compare(y, x, w, b, &same, all / 2); /* an odd one more behind */
                y = pleat_conv1d(x, w, b, &apart);
                ck_assert_msg(y && pleat_size(y, 2) == (9 + 7 - all - 1) / 2 + 1, "%s", pleat_error());
                compare(y, x, w, b, &apart, 2);
                pleat_tensor *one = pleat_conv1d(pleat_select(x, 0, 1), w, b, &apart);
                ck_assert(same_bits(one, pleat_select(y, 0, 1)));
            }
}
END_TEST

static pleat_tensor *reflected(pleat_tensor *const *in, void *user)
{
    (void)user;
    return pleat_conv1d(in[0], in[1], in[2],
                        &(pleat_conv1d_opts){ .padding = 1, .more = 2, .stride = 2, .mode = PLEAT_PAD_REFLECT });
}

static pleat_tensor *sized(pleat_tensor *const *in, void *user)
{
    (void)user;
    return pleat_conv_transpose1d(in[0], in[1], in[2],
                                  &(pleat_conv_transpose1d_opts){ .padding = 1, .stride = 3, .output_size = 14 });
}

static pleat_tensor *local(pleat_tensor *const *in, void *user)
{
    (void)user;
    return pleat_local_conv2d(
        in[0], in[1], NULL, &(pleat_conv2d_opts){ .padding = { 1, 0 }, .more = { 0, 1 }, .mode = PLEAT_PAD_CIRCULAR });
}

/* output_padding of a stride and more */
static pleat_tensor *local_transpose(pleat_tensor *const *in, void *user)
{
    (void)user;
    return pleat_local_conv_transpose2d(
        in[0], in[1], in[2], &(pleat_conv_transpose2d_opts){ .dilation = { 1, 3 }, .output_padding = { 0, 2 } });
}

static pleat_tensor *by_weight(pleat_tensor *const *in, void *user)
{
    (void)user;
    return pleat_conv2d_weight(in[0], in[1], (pleat_hw){ 3, 2 },
                               &(pleat_conv2d_opts){ .same = true, .mode = PLEAT_PAD_REPLICATE });
}

START_TEST(gradients)
{
    pleat_seed(2);
    struct {
        pleat_tensor *(*fn)(pleat_tensor *const *in, void *user);
        int count;
        pleat_tensor *in[3];
    } cases[] = {
        { reflected, 3, { randn(PLEAT_SHAPE(2, 2, 6)), randn(PLEAT_SHAPE(3, 2, 3)), randn(PLEAT_SHAPE(3)) } },
        { sized, 3, { randn(PLEAT_SHAPE(2, 2, 5)), randn(PLEAT_SHAPE(2, 3, 3)), randn(PLEAT_SHAPE(3)) } },
        { local, 2, { randn(PLEAT_SHAPE(1, 2, 3, 3)), randn(PLEAT_SHAPE(3, 3, 2, 2, 3, 2)) } },
        { local_transpose,
          3,
          { randn(PLEAT_SHAPE(2, 2, 2)), randn(PLEAT_SHAPE(2, 2, 2, 3, 2, 2)), randn(PLEAT_SHAPE(3)) } },
        { by_weight, 2, { randn(PLEAT_SHAPE(2, 2, 4, 3)), randn(PLEAT_SHAPE(2, 3, 4, 3)) } },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_ok(pleat_gradcheck(cases[i].fn, NULL, cases[i].in, cases[i].count, NULL));
        ck_assert_ok(pleat_gradgradcheck(cases[i].fn, NULL, cases[i].in, cases[i].count,
                                         &(pleat_gradcheck_opts){ .fast = true }));
    }
}
END_TEST

/* With one weight at every place they are convolutions. */
START_TEST(locally_connected)
{
    pleat_seed(3);
    pleat_tensor *x = randn(PLEAT_SHAPE(2, 2, 4, 3)), *w = randn(PLEAT_SHAPE(3, 2, 3, 2));
    const pleat_conv2d_opts o = { .same = true, .mode = PLEAT_PAD_REFLECT };
    pleat_tensor *places = pleat_expand(w, PLEAT_SHAPE(4, 3, 3, 2, 3, 2));
    ck_assert(pleat_allclose(pleat_local_conv2d(x, places, NULL, &o), pleat_conv2d(x, w, NULL, &o), 1e-12, 1e-12));

    pleat_tensor *up = randn(PLEAT_SHAPE(2, 3, 3, 2)), *each = pleat_expand(w, PLEAT_SHAPE(3, 2, 3, 2, 3, 2));
    pleat_tensor *b = randn(PLEAT_SHAPE(2));
    const pleat_conv_transpose2d_opts wide = { .dilation = { 3, 2 }, .output_padding = { 2, 1 } },
                                      asked = { .stride = { 2, 3 }, .output_size = { 8, 7 } };
    ck_assert(pleat_allclose(pleat_local_conv_transpose2d(up, each, b, &wide), pleat_conv_transpose2d(up, w, b, &wide),
                             1e-12, 1e-12));
    ck_assert(pleat_allclose(pleat_local_conv_transpose2d(up, each, b, &asked),
                             pleat_conv_transpose2d(up, w, b, &asked), 1e-12, 1e-12));
    pleat_tensor *y = pleat_conv_transpose2d(up, w, b, &asked);
    ck_assert(pleat_shape_equal(pleat_shape_of(y), PLEAT_SHAPE(2, 2, 8, 7)));
}
END_TEST

START_TEST(modules)
{
    pleat_seed(4);
    pleat_tensor *x = pleat_randn(PLEAT_SHAPE(2, 4, 11), PLEAT_F32);
    const pleat_conv1d_opts o = { .groups = 2, .same = true, .mode = PLEAT_PAD_CIRCULAR };
    pleat_module *down = pleat_nn_conv1d(4, 6, 3, &o),
                 *up = pleat_nn_conv_transpose1d(
                     6, 4, 3, &(pleat_conv_transpose1d_opts){ .stride = 2, .no_bias = true, .output_padding = 1 });
    ck_assert(pleat_shape_equal(pleat_shape_of(pleat_module_parameter(down, "weight")), PLEAT_SHAPE(6, 2, 3)));
    ck_assert(pleat_shape_equal(pleat_shape_of(pleat_module_parameter(up, "weight")), PLEAT_SHAPE(6, 4, 3)));
    ck_assert_int_eq(pleat_module_parameter_count(up), 72);
    pleat_tensor *y = pleat_forward(down, x);
    ck_assert(same_bits(
        y, pleat_conv1d(x, pleat_module_parameter(down, "weight"), pleat_module_parameter(down, "bias"), &o)));
    ck_assert_int_eq(pleat_size(pleat_forward(up, y), 2), 24);
    for (int64_t n = 21; n <= 26; n++) {
        pleat_tensor *z = pleat_forward_to_size(up, y, (pleat_hw){ 0, n });
        if (n == 23 || n == 24)
            ck_assert_int_eq(pleat_size(z, 2), n);
        else {
            ck_assert_ptr_null(z);
            ck_assert_failed(PLEAT_EINVAL, "conv_transpose1d: output_size (1, ");
        }
    }
    ck_assert_ptr_null(pleat_forward_to_size(down, x, (pleat_hw){ 0, 11 }));
    ck_assert_failed(PLEAT_EINVAL, "forward_to_size: a conv1d cannot be asked for the size (0, 11)");
    ck_assert_ptr_null(pleat_forward_to_size(up, NULL, (pleat_hw){ 0, 11 }));
    ck_assert_failed(PLEAT_EINVAL, "the input is NULL");
    pleat_module_free(down);
    pleat_module_free(up);

    pleat_module *square = pleat_nn_conv_transpose2d(
        4, 3, (pleat_hw){ 3, 3 }, &(pleat_conv_transpose2d_opts){ .stride = { 3, 3 }, .output_padding = { 2, 2 } });
    pleat_tensor *z = pleat_forward_to_size(square, pleat_ones(PLEAT_SHAPE(4, 6, 6), PLEAT_F32), (pleat_hw){ 18, 20 });
    ck_assert(pleat_shape_equal(pleat_shape_of(z), PLEAT_SHAPE(3, 18, 20)));
    pleat_module_free(square);

    ck_assert_ptr_null(pleat_nn_conv1d(4, 6, 0, NULL));
    ck_assert_failed(PLEAT_EINVAL, "nn_conv1d: the kernel must be at least (1, 1), not (1, 0)");
    ck_assert_ptr_null(pleat_nn_conv1d(4, 6, 3, &(pleat_conv1d_opts){ .groups = 4 }));
    ck_assert_failed(PLEAT_EINVAL, "nn_conv1d: 4 groups");
    ck_assert_ptr_null(pleat_nn_conv_transpose1d(4, 6, 3, &(pleat_conv_transpose1d_opts){ .output_padding = 1 }));
    ck_assert_failed(PLEAT_EINVAL, "nn_conv_transpose1d: the output padding (0, 1)");
}
END_TEST

#define REFUSED(words, ...)                                                                                            \
    do {                                                                                                               \
        ck_assert_ptr_null(pleat_conv1d(x, w, NULL, &(pleat_conv1d_opts){ __VA_ARGS__ }));                             \
        ck_assert(strncmp(pleat_error(), "conv1d: ", 8) == 0);                                                         \
        ck_assert_failed(PLEAT_EINVAL, words);                                                                         \
    } while (0)

START_TEST(refusals)
{
    pleat_tensor *x = randn(PLEAT_SHAPE(2, 3, 5)), *w = randn(PLEAT_SHAPE(2, 3, 3));
    REFUSED("stride (1, 2)", .stride = 2, .same = true);
    REFUSED("padding (0, 1)", .padding = 1, .same = true);
    REFUSED("more (0, 1)", .more = 1, .same = true);
    REFUSED("padding behind (0, -1)", .more = -1);
    REFUSED("padding behind (0, 9223372036854775807)", .more = INT64_MAX, .padding = 1);
    REFUSED("padding 5 and 5 of dimension 3", .padding = 5, .mode = PLEAT_PAD_REFLECT);
    REFUSED("padding 6 and 6 of 5 places", .padding = 6, .mode = PLEAT_PAD_CIRCULAR);
    REFUSED("7 is no mode", .padding = 1, .mode = (pleat_pad_mode)7);
    ck_assert_ptr_null(pleat_conv_transpose1d(x, w, NULL, &(pleat_conv_transpose1d_opts){ .output_size = 9 }));
    ck_assert_failed(PLEAT_ESHAPE, "conv_transpose1d: input (2, 3, 1, 5) has 3 channels");
}
END_TEST

RUN_TESTS("conv1d", paddings, gradients, locally_connected, modules, refusals)
