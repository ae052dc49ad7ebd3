/* Locally connected layers against naive loops; with the same weights everywhere they are convolutions; conv1d against
 * loops of its own. */
#include "support/run.h"

#include <pleat/pleat.h>

#include <math.h>
#include <string.h>

static pleat_tensor *randn(pleat_shape shape)
{
    return pleat_set_requires_grad(pleat_randn(shape, PLEAT_F64), true);
}

static double at6(const pleat_tensor *t, int64_t a, int64_t b, int64_t c, int64_t d, int64_t e, int64_t f)
{
    const int64_t i[] = { a, b, c, d, e, f };
    return pleat_at(t, i);
}

static double at4(const pleat_tensor *t, int64_t a, int64_t b, int64_t c, int64_t d)
{
    return at6(t, a, b, c, d, 0, 0);
}

enum { N = 2, C = 4, H = 6, W = 5, O = 6, KH = 3, KW = 2 };
static const pleat_conv2d_opts odd = { .stride = { 2, 1 }, .padding = { 1, 1 }, .dilation = { 1, 2 }, .groups = 2 };

START_TEST(each_place_has_its_weights)
{
    pleat_seed(3);
    const pleat_hw out = pleat_conv2d_output_size((pleat_hw){ H, W }, (pleat_hw){ KH, KW }, &odd);
    pleat_tensor *x = randn(PLEAT_SHAPE(N, C, H, W));
    pleat_tensor *w = randn(PLEAT_SHAPE(out.h, out.w, O, C / 2, KH, KW));
    pleat_tensor *b = randn(PLEAT_SHAPE(O, out.h, out.w));
    pleat_tensor *y = pleat_local_conv2d(x, w, b, &odd);
    ck_assert_msg(y != NULL, "%s", pleat_error());
    for (int64_t n = 0; n < N; n++)
        for (int64_t o = 0; o < O; o++)
            for (int64_t p = 0; p < out.h; p++)
                for (int64_t q = 0; q < out.w; q++) {
                    double want = at4(b, o, p, q, 0);
                    for (int64_t c = 0; c < C / 2; c++)
                        for (int64_t i = 0; i < KH; i++)
                            for (int64_t j = 0; j < KW; j++) {
                                const int64_t r = 2 * p + i - 1, s = q + 2 * j - 1;
                                if (r >= 0 && r < H && s >= 0 && s < W)
                                    want += at6(w, p, q, o, c, i, j) * at4(x, n, o / (O / 2) * (C / 2) + c, r, s);
                            }
                    ck_assert_double_eq_tol(at4(y, n, o, p, q), want, 1e-12);
                }
}
END_TEST

/* Weights of a place, repeated at every place. */
static pleat_tensor *everywhere(pleat_tensor *w, pleat_hw places)
{
    const pleat_shape s = pleat_shape_of(w);
    return pleat_expand(w, PLEAT_SHAPE(places.h, places.w, s.dim[0], s.dim[1], s.dim[2], s.dim[3]));
}

START_TEST(the_same_weights_everywhere_are_a_convolution)
{
    pleat_seed(4);
    pleat_tensor *x = randn(PLEAT_SHAPE(N, C, H, W)), *w = randn(PLEAT_SHAPE(O, C / 2, KH, KW)),
                 *b = randn(PLEAT_SHAPE(O));
    const pleat_hw out = pleat_conv2d_output_size((pleat_hw){ H, W }, (pleat_hw){ KH, KW }, &odd);
    ck_assert(
        pleat_allclose(pleat_local_conv2d(x, everywhere(w, out), b, &odd), pleat_conv2d(x, w, b, &odd), 1e-12, 1e-12));

    const pleat_conv_transpose2d_opts up = {
        .stride = { 2, 3 }, .padding = { 1, 0 }, .output_padding = { 1, 2 }, .dilation = { 3, 1 }, .groups = 2
    };
    w = randn(PLEAT_SHAPE(C, 3, KH, KW));
    pleat_tensor *y = pleat_local_conv_transpose2d(x, everywhere(w, (pleat_hw){ H, W }), b, &up);
    ck_assert_msg(y != NULL, "%s", pleat_error());
    ck_assert(pleat_allclose(y, pleat_conv_transpose2d(x, w, b, &up), 1e-12, 1e-12));
    x = pleat_select(x, 0, 0);
    ck_assert(pleat_allclose(pleat_local_conv_transpose2d(x, everywhere(w, (pleat_hw){ H, W }), NULL, &up),
                             pleat_conv_transpose2d(x, w, NULL, &up), 1e-12, 1e-12));
}
END_TEST

static pleat_tensor *local(pleat_tensor *const *in, void *user)
{
    (void)user;
    return pleat_local_conv2d(in[0], in[1], in[2], &(pleat_conv2d_opts){ .stride = { 2, 1 }, .padding = { 1, 0 } });
}

static pleat_tensor *local_transpose(pleat_tensor *const *in, void *user)
{
    (void)user;
    return pleat_local_conv_transpose2d(in[0], in[1], in[2],
                                        &(pleat_conv_transpose2d_opts){ .stride = { 2, 1 }, .padding = { 1, 0 } });
}

START_TEST(gradients)
{
    pleat_seed(5);
    pleat_tensor *in[3] = { randn(PLEAT_SHAPE(2, 2, 4, 3)), randn(PLEAT_SHAPE(2, 2, 2, 2, 3, 2)),
                            randn(PLEAT_SHAPE(2)) };
    ck_assert_ok(pleat_gradcheck(local, NULL, in, 3, NULL));
    ck_assert_ok(pleat_gradgradcheck(local, NULL, in, 3, &(pleat_gradcheck_opts){ .fast = true }));
    pleat_tensor *up[3] = { randn(PLEAT_SHAPE(2, 2, 2, 2)), randn(PLEAT_SHAPE(2, 2, 2, 3, 3, 2)),
                            randn(PLEAT_SHAPE(3, 3, 3)) };
    ck_assert_ok(pleat_gradcheck(local_transpose, NULL, up, 3, NULL));
    ck_assert_ok(pleat_gradgradcheck(local_transpose, NULL, up, 3, &(pleat_gradcheck_opts){ .fast = true }));
}
END_TEST

START_TEST(one_dimension)
{
    pleat_seed(6);
    pleat_tensor *x = randn(PLEAT_SHAPE(2, 4, 9)), *w = randn(PLEAT_SHAPE(6, 2, 3)), *b = randn(PLEAT_SHAPE(6));
    pleat_tensor *y =
        pleat_conv1d(x, w, b, &(pleat_conv1d_opts){ .stride = 2, .padding = 1, .dilation = 2, .groups = 2 });
    ck_assert_msg(y != NULL, "%s", pleat_error());
    ck_assert_int_eq(pleat_size(y, 2), (9 + 2 - 4 - 1) / 2 + 1);
    for (int64_t n = 0; n < 2; n++)
        for (int64_t o = 0; o < 6; o++)
            for (int64_t p = 0; p < pleat_size(y, 2); p++) {
                double want = at4(b, o, 0, 0, 0);
                for (int64_t c = 0; c < 2; c++)
                    for (int64_t i = 0; i < 3; i++) {
                        const int64_t r = 2 * p + 2 * i - 1;
                        want += r < 0 || r >= 9 ? 0 : at4(w, o, c, i, 0) * at4(x, n, o / 3 * 2 + c, r, 0);
                    }
                ck_assert_double_eq_tol(at4(y, n, o, p, 0), want, 1e-12);
            }
    /* <conv1d(x), y> = <x, conv_transpose1d(y)> */
    const pleat_conv_transpose1d_opts back = { .stride = 2, .padding = 1, .dilation = 2, .groups = 2 };
    y = pleat_conv1d(x, w, NULL, &(pleat_conv1d_opts){ .stride = 2, .padding = 1, .dilation = 2, .groups = 2 });
    pleat_tensor *v = pleat_randn(pleat_shape_of(y), PLEAT_F64);
    const double left = pleat_item(pleat_sum(pleat_mul(y, v)));
    pleat_tensor *up = pleat_conv_transpose1d(v, w, NULL, &back);
    ck_assert_double_eq_tol(left, pleat_item(pleat_sum(pleat_mul(x, up))), 1e-11);
    ck_assert_int_eq(pleat_ndim(pleat_conv1d(pleat_select(x, 0, 0), w, b, &(pleat_conv1d_opts){ .groups = 2 })), 2);
}
END_TEST

START_TEST(what_is_refused)
{
    pleat_tensor *x = pleat_zeros(PLEAT_SHAPE(2, 4, 6, 5), PLEAT_F64);
    ck_assert_ptr_null(pleat_local_conv2d(x, pleat_zeros(PLEAT_SHAPE(4, 3, 6, 4, 3, 2), PLEAT_F64), NULL, NULL));
    ck_assert_failed(PLEAT_ESHAPE, "local_conv2d: weight (4, 3, 6, 4, 3, 2) is for 4 x 3 places, there are 4 x 4");
    ck_assert_ptr_null(pleat_local_conv2d(x, pleat_zeros(PLEAT_SHAPE(4, 4, 6, 3, 3, 2), PLEAT_F64), NULL, NULL));
    ck_assert_failed(PLEAT_ESHAPE, "4 channels");
    ck_assert_ptr_null(pleat_local_conv2d(x, pleat_zeros(PLEAT_SHAPE(6, 4, 3, 2), PLEAT_F64), NULL, NULL));
    ck_assert_failed(PLEAT_ESHAPE, "6 dimensions");
    ck_assert_ptr_null(pleat_local_conv2d(x, pleat_zeros(PLEAT_SHAPE(4, 4, 6, 4, 3, 2), PLEAT_F64),
                                          pleat_zeros(PLEAT_SHAPE(5), PLEAT_F64), NULL));
    ck_assert_failed(PLEAT_ESHAPE, "bias (5,)");
    ck_assert_ptr_null(pleat_local_conv2d(NULL, NULL, NULL, NULL));
    ck_assert_failed(PLEAT_EINVAL, "NULL");
    ck_assert_ptr_null(pleat_conv1d(x, x, NULL, NULL));
    ck_assert_failed(PLEAT_ESHAPE, "conv1d: input (2, 4, 6, 5) must be (N, C, L)");
    pleat_tensor *line = pleat_zeros(PLEAT_SHAPE(2, 4, 6), PLEAT_F64);
    ck_assert_ptr_null(pleat_conv1d(line, pleat_zeros(PLEAT_SHAPE(3, 5, 2), PLEAT_F64), NULL, NULL));
    ck_assert_failed(PLEAT_ESHAPE, "channels");
    ck_assert_ptr_null(
        pleat_conv1d(line, pleat_zeros(PLEAT_SHAPE(3, 4, 2), PLEAT_F64), NULL, &(pleat_conv1d_opts){ .stride = -1 }));
    ck_assert_failed(PLEAT_EINVAL, "stride");
}
END_TEST

RUN_TESTS("local_conv2d", each_place_has_its_weights, the_same_weights_everywhere_are_a_convolution, gradients,
          one_dimension, what_is_refused)
