/* Convolutions with a relu: the bits of the two ops apart, by every algorithm, and their gradients. */
#include "support/run.h"

#include <pleat/pleat.h>

#include <math.h>

typedef struct {
    int64_t n, c, o, groups;
    pleat_hw size, kernel, stride;
} problem;

static const problem problems[] = {
    { 2, 3, 5, 1, { 9, 20 }, { 3, 3 }, { 1, 1 } },    /* over pixels */
    { 2, 16, 40, 1, { 12, 12 }, { 5, 3 }, { 1, 1 } }, /* over channels */
    { 2, 32, 32, 1, { 10, 11 }, { 3, 3 }, { 1, 1 } }, /* by tiles */
    { 1, 4, 4, 4, { 9, 33 }, { 3, 3 }, { 1, 1 } },    /* each channel by itself */
    { 1, 6, 6, 3, { 3, 2 }, { 2, 2 }, { 1, 1 } },     /* lines shorter than vectors */
    { 2, 17, 19, 1, { 9, 10 }, { 1, 1 }, { 1, 1 } },  /* a product of matrices */
    { 1, 600, 16, 1, { 8, 9 }, { 1, 1 }, { 1, 1 } },  /* whose sums come in parts */
    { 3, 5, 7, 1, { 13, 12 }, { 3, 2 }, { 2, 3 } },   /* with a stride */
    { 1, 2, 3, 1, { 40, 7 }, { 2, 2 }, { 17, 5 } },   /* a wide one */
    { 1, 90, 20, 1, { 4, 3 }, { 3, 3 }, { 1, 1 } },   /* few pixels */
    { 2, 0, 3, 1, { 4, 4 }, { 3, 3 }, { 1, 1 } },     /* no channel: the bias is all there is */
    { 2, 6, 1, 1, { 20, 21 }, { 5, 5 }, { 1, 1 } },   /* one channel, whose lines share what they read */
    { 2, 4, 3, 1, { 9, 20 }, { 3, 3 }, { 1, 1 } },    /* three */
};

static pleat_tensor *leaf(pleat_shape shape, pleat_dtype dtype)
{
    return pleat_set_requires_grad(pleat_randn(shape, dtype), true);
}

/* conv, or its transpose, of `in`. */
static pleat_tensor *convolve(const problem *s, bool transpose, bool relu, pleat_tensor **in)
{
    const pleat_hw padding = { (s->kernel.h - 1) / 2, (s->kernel.w - 1) / 2 };
    if (transpose)
        return pleat_conv_transpose2d(in[0], in[1], in[2],
                                      &(pleat_conv_transpose2d_opts){
                                          .stride = s->stride, .padding = padding, .groups = s->groups, .relu = relu });
    return pleat_conv2d(
        in[0], in[1], in[2],
        &(pleat_conv2d_opts){ .stride = s->stride, .padding = padding, .groups = s->groups, .relu = relu });
}

static void is_the_same(const problem *s, bool transpose, pleat_dtype dtype, bool biased)
{
    const int64_t from = transpose ? s->o : s->c, to = transpose ? s->c : s->o;
    pleat_tensor *in[] = { leaf(PLEAT_SHAPE(s->n, from, s->size.h, s->size.w), dtype),
                           leaf(PLEAT_SHAPE(s->o, s->c / s->groups, s->kernel.h, s->kernel.w), dtype),
                           biased ? leaf(PLEAT_SHAPE(to), dtype) : NULL };
    pleat_tensor *y[] = { convolve(s, transpose, true, in), pleat_relu(convolve(s, transpose, false, in)) };
    ck_assert_ok(pleat_check());
    ck_assert_msg(pleat_equal(y[0], y[1]), "%s convolution %d", transpose ? "transposed" : "plain",
                  (int)(s - problems));
    pleat_tensor *v = pleat_randn(pleat_shape_of(y[0]), dtype), *g[2][3];
    for (int i = 0; i < 2; i++)
        ck_assert_ok(
            pleat_gradients(&y[i], 1, in, biased ? 3 : 2, &(pleat_gradients_opts){ .grad_outputs = &v }, g[i]));
    for (int i = 0; i < (biased ? 3 : 2); i++)
        ck_assert(pleat_equal(g[0][i], g[1][i]));
}

START_TEST(the_bits_are_those_of_two_ops)
{
    pleat_seed(3);
    const pleat_scope scope = pleat_scope_begin();
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++)
        for (int kind = 0; kind < 8; kind++)
            is_the_same(&problems[i], kind & 1, kind & 2 ? PLEAT_F64 : PLEAT_F32, kind & 4);
    pleat_scope_end(scope);
}
END_TEST

START_TEST(nan_stays)
{
    const pleat_scope scope = pleat_scope_begin();
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
        const problem *s = &problems[i];
        pleat_tensor *in[] = { pleat_full(PLEAT_SHAPE(s->n, s->c, s->size.h, s->size.w), -1, PLEAT_F32),
                               pleat_ones(PLEAT_SHAPE(s->o, s->c / s->groups, s->kernel.h, s->kernel.w), PLEAT_F32),
                               pleat_full(PLEAT_SHAPE(s->o), (double)NAN, PLEAT_F32) };
        const pleat_tensor *y = convolve(s, false, true, in);
        ck_assert_msg(y != NULL, "%s", pleat_error());
        for (int64_t k = 0; k < pleat_numel(y); k++)
            ck_assert(isnan(pleat_data_f32(y)[k]));
        in[2] = NULL;
        y = convolve(s, false, true, in);
        for (int64_t k = 0; k < pleat_numel(y); k++)
            ck_assert(pleat_data_f32(y)[k] == 0);
    }
    pleat_scope_end(scope);
}
END_TEST

/* conv1d and the convolutions of other weights at each place take the option, too. */
START_TEST(all_convolutions_have_it)
{
    const pleat_scope scope = pleat_scope_begin();
    pleat_tensor *x = pleat_randn(PLEAT_SHAPE(2, 3, 7), PLEAT_F64), *w = pleat_randn(PLEAT_SHAPE(4, 3, 2), PLEAT_F64);
    ck_assert(pleat_equal(pleat_conv1d(x, w, NULL, &(pleat_conv1d_opts){ .relu = true }),
                          pleat_relu(pleat_conv1d(x, w, NULL, NULL))));
    w = pleat_randn(PLEAT_SHAPE(3, 4, 2), PLEAT_F64);
    ck_assert(pleat_equal(pleat_conv_transpose1d(x, w, NULL, &(pleat_conv_transpose1d_opts){ .relu = true }),
                          pleat_relu(pleat_conv_transpose1d(x, w, NULL, NULL))));
    x = pleat_randn(PLEAT_SHAPE(2, 3, 3, 4), PLEAT_F64);
    w = pleat_randn(PLEAT_SHAPE(2, 3, 4, 3, 2, 2), PLEAT_F64);
    ck_assert(pleat_equal(pleat_local_conv2d(x, w, NULL, &(pleat_conv2d_opts){ .relu = true }),
                          pleat_relu(pleat_local_conv2d(x, w, NULL, NULL))));
    w = pleat_randn(PLEAT_SHAPE(3, 4, 3, 4, 2, 2), PLEAT_F64);
    ck_assert(pleat_equal(pleat_local_conv_transpose2d(x, w, NULL, &(pleat_conv_transpose2d_opts){ .relu = true }),
                          pleat_relu(pleat_local_conv_transpose2d(x, w, NULL, NULL))));
    ck_assert_ok(pleat_check());
    pleat_scope_end(scope);
}
END_TEST

RUN_TESTS("conv_relu", the_bits_are_those_of_two_ops, nan_stays, all_convolutions_have_it)
