/* interpolate: what every interpolation keeps, its adjoint, threads, errors; pixel_shuffle against its formula.
 * PyTorch's numbers for them are in golden/move.txt. */
#include "support/run.h"
#include "support/threads.h"
#include "support/views.h"

#include <pleat/op.h>

#include <math.h>
#include <string.h>

/* What is constant stays so at any size; by bilinear, what is linear between the outermost centres, too. */
START_TEST(keeps_what_is_smooth)
{
    for (int mode = PLEAT_NEAREST; mode <= PLEAT_BICUBIC; mode++)
        for (int64_t to = 1; to <= 13; to++) {
            const pleat_interpolate_opts o = { .mode = (pleat_interpolation)mode, .size = { to, 14 - to } };
            pleat_tensor *y = pleat_interpolate(pleat_full(PLEAT_SHAPE(1, 2, 5, 4), 3, PLEAT_F64), &o);
            ck_assert(pleat_allclose(y, pleat_full(PLEAT_SHAPE(1, 2, to, 14 - to), 3, PLEAT_F64), 1e-14, 0));
            pleat_tensor *ramp = pleat_reshape(pleat_arange(0, 9, 1, PLEAT_F64), PLEAT_SHAPE(1, 1, 1, 9));
            y = pleat_interpolate(ramp, &(pleat_interpolate_opts){ .mode = o.mode, .size = { 1, 27 } });
            for (int64_t i = 6; i < 21 && mode == PLEAT_BILINEAR; i++)
                ck_assert(fabs(pleat_data_f64(y)[i] - (((double)i + 0.5) / 3 - 0.5)) < 1e-13);
        }
    pleat_tensor *x = pleat_randn(PLEAT_SHAPE(2, 3, 4, 5), PLEAT_F32);
    for (int mode = PLEAT_NEAREST; mode <= PLEAT_BICUBIC; mode++)
        ck_assert(pleat_equal(
            x, pleat_interpolate(x, &(pleat_interpolate_opts){ .mode = (pleat_interpolation)mode, .size = { 4, 5 } })));
}
END_TEST

static double dot(pleat_tensor *a, pleat_tensor *b)
{
    return pleat_item(pleat_sum(pleat_mul(a, b)));
}

/* What bilinear reads at place i of a dimension that grows or shrinks to `to`: from there on, and so much of the next.
 */
static int64_t place_of(int64_t i, int64_t from, int64_t to, double *next)
{
    const double at = fmax(0, ((double)i + 0.5) * (double)from / (double)to - 0.5);
    const int64_t place = (int64_t)at < from - 1 ? (int64_t)at : from - 1;
    *next = place < from - 1 ? at - (double)place : 0;
    return place;
}

/* Widths around those of vectors, and more and fewer rows than a vector has elements; the adjoint by its identity. */
START_TEST(bilinear_of_any_width)
{
    static const int64_t widths[] = { 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33 };
    enum { COUNT = sizeof widths / sizeof *widths };
    pleat_seed(4);
    for (int k = 0; k < COUNT * COUNT * 2; k++) {
        const int64_t w = widths[k % COUNT], to_w = widths[k / COUNT % COUNT], h = 1 + k % 5, to_h = 1 + k % 7;
        const pleat_dtype dtype = k < COUNT * COUNT ? PLEAT_F32 : PLEAT_F64;
        pleat_tensor *x = pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(1, 3, h, w), dtype), true), *g;
        pleat_tensor *y =
            pleat_interpolate(x, &(pleat_interpolate_opts){ .mode = PLEAT_BILINEAR, .size = { to_h, to_w } });
        for (int64_t n = 0; n < pleat_numel(y); n++) {
            double v, u;
            const int64_t c = n / to_w / to_h, i = place_of(n / to_w % to_h, h, to_h, &v),
                          j = place_of(n % to_w, w, to_w, &u);
            double want = 0;
            for (int64_t q = 0; q < 4; q++) {
                const double weight = (q < 2 ? 1 - v : v) * (q % 2 ? u : 1 - u);
                if (weight != 0)
                    want += weight * pleat_at(x, (int64_t[]){ 0, c, i + q / 2, j + q % 2 });
            }
            ck_assert_double_eq_tol(element(y, pleat_shape_of(y), n), want, dtype == PLEAT_F32 ? 1e-5 : 1e-13);
        }
        pleat_tensor *r = pleat_randn(pleat_shape_of(y), dtype);
        ck_assert_ok(pleat_gradients(&y, 1, &x, 1, &(pleat_gradients_opts){ .grad_outputs = &r }, &g));
        ck_assert(fabs(dot(y, r) - dot(x, g)) < (dtype == PLEAT_F32 ? 1e-3 : 1e-11));
    }
}
END_TEST

/* <resize(x), r> = <x, adjoint(r)>, by the gradient, also of views. */
START_TEST(adjoint_identity)
{
    pleat_seed(1);
    for (int mode = PLEAT_NEAREST; mode <= PLEAT_BICUBIC; mode++)
        for (int kind = 0; kind < VIEW_KINDS; kind++)
            for (int align = 0; align <= (mode != PLEAT_NEAREST); align++) {
                const pleat_interpolate_opts o = { .mode = (pleat_interpolation)mode,
                                                   .size = { 7, 3 },
                                                   .align_corners = align };
                pleat_tensor *x = pleat_detach(random_view(PLEAT_SHAPE(2, 3, 4, 6), PLEAT_F64, kind)), *g;
                pleat_set_requires_grad(x, true);
                pleat_tensor *y = pleat_interpolate(x, &o), *r = random_view(pleat_shape_of(y), PLEAT_F64, kind);
                ck_assert_ok(pleat_gradients(&y, 1, &x, 1, &(pleat_gradients_opts){ .grad_outputs = &r }, &g));
                ck_assert(fabs(dot(y, r) - dot(x, g)) < 1e-12);
            }
}
END_TEST

static pleat_tensor *value_and_gradient(void *user)
{
    pleat_seed(2);
    pleat_tensor *x = pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(1, 3, 7, 9), PLEAT_F32), true);
    pleat_tensor *y = pleat_interpolate(x, user);
    ck_assert_ok(pleat_backward(pleat_sum(pleat_mul(y, y))));
    return pleat_cat((pleat_tensor *[]){ pleat_flatten(pleat_detach(y), 0, -1), pleat_flatten(pleat_grad(x), 0, -1) },
                     2, 0);
}

START_TEST(any_threads)
{
    for (int mode = PLEAT_NEAREST; mode <= PLEAT_BICUBIC; mode++)
        same_for_any_threads(value_and_gradient,
                             &(pleat_interpolate_opts){ .mode = (pleat_interpolation)mode, .size = { 16, 5 } });
}
END_TEST

START_TEST(shuffles)
{
    pleat_seed(3);
    for (int kind = 0; kind < VIEW_KINDS; kind++) {
        pleat_tensor *x = random_view(PLEAT_SHAPE(2, 12, 3, 4), PLEAT_F32, kind), *y = pleat_pixel_shuffle(x, 2);
        ck_assert(pleat_shape_equal(pleat_shape_of(y), PLEAT_SHAPE(2, 3, 6, 8)));
        for (int64_t n = 0; n < pleat_numel(y); n++) {
            const int64_t w = n % 8, h = n / 8 % 6, c = n / 48 % 3, i = n / 144;
            ck_assert(element(y, PLEAT_SHAPE(2, 3, 6, 8), n) ==
                      pleat_at(x, (int64_t[]){ i, c * 4 + h % 2 * 2 + w % 2, h / 2, w / 2 }));
        }
        ck_assert(pleat_equal(pleat_pixel_unshuffle(y, 2), pleat_clone(x)));
    }
}
END_TEST

static void refused(pleat_shape x, pleat_interpolate_opts o, pleat_status code, const char *words)
{
    ck_assert_ptr_null(pleat_interpolate(pleat_zeros(x, PLEAT_F32), &o));
    ck_assert_failed(code, words);
}

START_TEST(refusals)
{
    const pleat_shape image = PLEAT_SHAPE(1, 2, 3, 4);
    refused(image, (pleat_interpolate_opts){ .size = { 2, 0 } }, PLEAT_EINVAL, "interpolate: size (2, 0)");
    refused(image, (pleat_interpolate_opts){ .size = { -1, 2 } }, PLEAT_EINVAL, "size (-1, 2)");
    refused(image, (pleat_interpolate_opts){ .size = { 2, 2 }, .scale = { 2, 2 } }, PLEAT_EINVAL, "scale (2, 2)");
    refused(image, (pleat_interpolate_opts){ .scale = { 0.1, 2 } }, PLEAT_EINVAL, "at least one place");
    refused(image, (pleat_interpolate_opts){ .scale = { (double)NAN, 2 } }, PLEAT_EINVAL, "scale (nan, 2)");
    refused(image, (pleat_interpolate_opts){ .scale = { -2, 2 } }, PLEAT_EINVAL, "scale (-2, 2)");
    refused(image, (pleat_interpolate_opts){ .mode = PLEAT_NEAREST }, PLEAT_EINVAL, "size (0, 0) and scale (0, 0)");
    refused(image, (pleat_interpolate_opts){ .size = { 2, 2 }, .align_corners = true }, PLEAT_EINVAL, "align_corners");
    refused(image, (pleat_interpolate_opts){ .mode = PLEAT_AREA, .size = { 2, 2 }, .align_corners = true },
            PLEAT_EINVAL, "interpolate: align_corners is for bilinear and bicubic, not for mode 3");
    refused(image, (pleat_interpolate_opts){ .mode = PLEAT_AREA, .size = { 2, 0 } }, PLEAT_EINVAL, "interpolate: size");
    refused(PLEAT_SHAPE(1, 2, 0, 3), (pleat_interpolate_opts){ .mode = PLEAT_AREA, .size = { 2, 2 } }, PLEAT_ESHAPE,
            "interpolate: input (1, 2, 0, 3)");
    refused(PLEAT_SHAPE(1, 2, 3, 3, 3), (pleat_interpolate_opts){ .size = { 2, 2 } }, PLEAT_ESHAPE, "no volumes");
    refused(PLEAT_SHAPE(1, 2, 3, 3, 3), (pleat_interpolate_opts){ .mode = PLEAT_AREA, .size = { 2, 2 } }, PLEAT_ESHAPE,
            "no volumes");
    refused(image, (pleat_interpolate_opts){ .mode = (pleat_interpolation)7, .size = { 2, 2 } }, PLEAT_EINVAL, "mode");
    refused(image, (pleat_interpolate_opts){ .size = { INT64_MAX, INT64_MAX } }, PLEAT_ESHAPE, "not too large");
    refused(PLEAT_SHAPE(2, 3), (pleat_interpolate_opts){ .size = { 2, 2 } }, PLEAT_ESHAPE, "(N, C, H, W) or (N, C, W)");
    refused(PLEAT_SHAPE(1, 2, 0, 3), (pleat_interpolate_opts){ .size = { 2, 2 } }, PLEAT_ESHAPE, "at least 1");
    refused(PLEAT_SHAPE(1, 2, 3), (pleat_interpolate_opts){ .size = { 2, 2 } }, PLEAT_EINVAL, "input (1, 2, 3)");
    refused(PLEAT_SHAPE(1, 2, 3), (pleat_interpolate_opts){ .mode = PLEAT_BICUBIC, .size = { 0, 2 } }, PLEAT_ESHAPE,
            "bicubic is for images");
    ck_assert_ptr_null(pleat_interpolate(pleat_zeros(image, PLEAT_U8), &(pleat_interpolate_opts){ .size = { 2, 2 } }));
    ck_assert_failed(PLEAT_EDTYPE, "interpolate: input 0 is uint8");
    pleat_tensor *x = pleat_zeros(PLEAT_SHAPE(1, 8, 3, 4), PLEAT_F32);
    ck_assert_ptr_null(pleat_pixel_shuffle(x, 3));
    ck_assert_failed(PLEAT_ESHAPE, "pixel_shuffle: the 8 channels of (1, 8, 3, 4) cannot be dealt out to 3 x 3 pixels");
    ck_assert_ptr_null(pleat_pixel_shuffle(x, 0));
    ck_assert_failed(PLEAT_EINVAL, "at least 1, not 0");
    ck_assert_ptr_null(pleat_pixel_shuffle(pleat_zeros(PLEAT_SHAPE(3, 4), PLEAT_F32), 1));
    ck_assert_failed(PLEAT_ESHAPE, "(..., C, H, W)");
    ck_assert_ptr_null(pleat_pixel_unshuffle(x, 2));
    ck_assert_failed(PLEAT_ESHAPE, "pixel_unshuffle: the pixels of (1, 8, 3, 4) are no blocks of 2 x 2");
}
END_TEST

RUN_TESTS("interpolate", keeps_what_is_smooth, bilinear_of_any_width, adjoint_identity, any_threads, shuffles, refusals)
