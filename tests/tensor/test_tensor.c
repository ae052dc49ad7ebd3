/* Tensors: making, asking, changing in place, comparing, printing. */
#include "support/run.h"

#include <pleat/pleat.h>

#include <math.h>
#include <string.h>

static const pleat_dtype dtypes[] = { PLEAT_F32, PLEAT_F64, PLEAT_I64, PLEAT_U8 };

START_TEST(creation_fills_what_it_says)
{
    for (int k = 0; k < 4; k++) {
        pleat_tensor *z = pleat_zeros(PLEAT_SHAPE(2, 3), dtypes[k]), *o = pleat_ones(PLEAT_SHAPE(2, 3), dtypes[k]);
        pleat_tensor *f = pleat_full(PLEAT_SHAPE(), 7, dtypes[k]), *r = pleat_arange(1, 11, 2, dtypes[k]);
        ck_assert_int_eq(pleat_ndim(z), 2);
        ck_assert_int_eq(pleat_size(z, -1), 3);
        ck_assert_int_eq(pleat_size(z, 2), -1);
        ck_assert_int_eq(pleat_stride(z, 0), 3);
        ck_assert_int_eq((int)pleat_dtype_of(z), (int)dtypes[k]);
        ck_assert_int_eq(pleat_numel(f), 1);
        ck_assert(pleat_item(f) == 7);
        ck_assert_int_eq(pleat_numel(r), 5);
        for (int64_t i = 0; i < 5; i++) {
            ck_assert(pleat_at(r, &i) == 1 + 2 * (double)i);
            const int64_t at[] = { i / 3, i % 3 };
            ck_assert(pleat_at(z, at) == 0 && pleat_at(o, at) == 1);
        }
    }
    ck_assert_int_eq(pleat_numel(pleat_arange(0, 1, 0.1, PLEAT_F64)), 10);
    ck_assert_int_eq(pleat_numel(pleat_arange(5, 0, -2, PLEAT_F64)), 3);
    ck_assert_int_eq(pleat_numel(pleat_arange(5, 0, 1, PLEAT_F64)), 0);
    ck_assert_ptr_null(pleat_arange(0, 1, 0, PLEAT_F64));
    ck_assert_failed(PLEAT_EINVAL, "arange");

    const double *l = pleat_data(pleat_linspace(-1, 0.3, 14, PLEAT_F64));
    ck_assert(l[0] == -1 && l[13] == 0.3 && fabs(l[1] + 0.9) < 1e-15);
    ck_assert(pleat_item(pleat_linspace(4, 9, 1, PLEAT_F64)) == 4);
    ck_assert_int_eq(pleat_numel(pleat_linspace(4, 9, 0, PLEAT_F64)), 0);

    const float *e = pleat_data_f32(pleat_eye(2, 3, PLEAT_F32));
    const float eye[] = { 1, 0, 0, 0, 1, 0 };
    ck_assert_mem_eq(e, eye, sizeof eye);
    ck_assert_mem_eq(pleat_data(pleat_from_data(eye, PLEAT_SHAPE(3, 2), PLEAT_F32)), eye, sizeof eye);
    ck_assert_ptr_null(pleat_from_data(NULL, PLEAT_SHAPE(3), PLEAT_F32));
    ck_assert_failed(PLEAT_EINVAL, "from_data");
    ck_assert_ptr_nonnull(pleat_data(pleat_from_data(NULL, PLEAT_SHAPE(0, 3), PLEAT_F32)));
}
END_TEST

START_TEST(reading_keeps_its_rules)
{
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(2, 3), PLEAT_F32), *t = pleat_transpose(x, 0, 1);
    ck_assert_ptr_null(pleat_data(t));
    ck_assert_failed(PLEAT_EINVAL, "not contiguous");
    ck_assert_ptr_null(pleat_data_mut(t));
    ck_assert_failed(PLEAT_EINVAL, "not contiguous");
    ck_assert_ptr_null(pleat_data_f64(x));
    ck_assert_failed(PLEAT_EDTYPE, "float32, not float64");
    ck_assert_ptr_null(pleat_data(NULL));
    ck_assert_failed(PLEAT_EINVAL, "NULL");
    ck_assert(isnan(pleat_item(x)));
    ck_assert_failed(PLEAT_ESHAPE, "(2, 3)");
    ck_assert(isnan(pleat_at(x, (int64_t[]){ 0, 3 })));
    ck_assert_failed(PLEAT_EINVAL, "(2, 3)");
    ck_assert_ptr_nonnull(pleat_data_strided(t));
    ck_assert(!pleat_is_contiguous(t) && pleat_is_contiguous(x) && pleat_shares_storage(x, t));
    ck_assert_int_eq(pleat_shape_of(NULL).ndim, -1);
    ck_assert_int_eq(pleat_numel(NULL), 0);
}
END_TEST

START_TEST(in_place_reaches_the_view_alone)
{
    pleat_tensor *x = pleat_reshape(pleat_arange(0, 12, 1, PLEAT_F32), PLEAT_SHAPE(3, 4));
    pleat_fill_(pleat_slice(x, 1, 0, 4, 2), -1);
    const float a[] = { -1, 1, -1, 3, -1, 5, -1, 7, -1, 9, -1, 11 };
    ck_assert_mem_eq(pleat_data(x), a, sizeof a);
    pleat_copy_(pleat_select(x, 0, 1), pleat_arange(1, 5, 1, PLEAT_I64)); /* another dtype, broadcast below */
    pleat_copy_(pleat_select(x, 0, 2), pleat_scalar(0.5, PLEAT_F64));
    const float b[] = { -1, 1, -1, 3, 1, 2, 3, 4, .5f, .5f, .5f, .5f };
    ck_assert_mem_eq(pleat_data(x), b, sizeof b);
    pleat_add_(pleat_select(x, 0, 0), pleat_select(x, 0, 1), 2);
    pleat_scale_(pleat_select(x, 0, 1), -0.5);
    const float c[] = { 1, 5, 5, 11, -.5f, -1, -1.5f, -2, .5f, .5f, .5f, .5f };
    ck_assert_mem_eq(pleat_data(x), c, sizeof c);
    ck_assert_ptr_null(pleat_fill_(pleat_expand(pleat_ones(PLEAT_SHAPE(1), PLEAT_F32), PLEAT_SHAPE(3)), 1));
    ck_assert_failed(PLEAT_EINVAL, "overlap");
    ck_assert_ptr_null(pleat_copy_(x, pleat_ones(PLEAT_SHAPE(2, 3, 4), PLEAT_F32)));
    ck_assert_failed(PLEAT_ESHAPE, "(2, 3, 4)");
    ck_assert_ptr_null(pleat_copy_(x, pleat_ones(PLEAT_SHAPE(5), PLEAT_F32)));
    ck_assert_failed(PLEAT_ESHAPE, "copy_");
    ck_assert_ptr_null(pleat_add_(x, pleat_ones(PLEAT_SHAPE(1), PLEAT_F64), 1));
    ck_assert_failed(PLEAT_EDTYPE, "add_");

    /* reading and writing one storage: the copy comes first */
    pleat_tensor *y = pleat_arange(0, 5, 1, PLEAT_F32);
    pleat_copy_(pleat_narrow(y, 0, 1, 4), pleat_narrow(y, 0, 0, 4));
    const float d[] = { 0, 0, 1, 2, 3 };
    ck_assert_mem_eq(pleat_data(y), d, sizeof d);
}
END_TEST

START_TEST(conversions_saturate)
{
    const double v[] = { 1.9, -1.9, 300, -5, (double)NAN, 1e30, -1e30, (double)INFINITY };
    pleat_tensor *x = pleat_from_data(v, PLEAT_SHAPE(8), PLEAT_F64);
    pleat_tensor *i = pleat_copy_(pleat_empty(PLEAT_SHAPE(8), PLEAT_I64), x);
    pleat_tensor *u = pleat_copy_(pleat_empty(PLEAT_SHAPE(8), PLEAT_U8), x);
    const int64_t want_i[] = { 1, -1, 300, -5, 0, INT64_MAX, INT64_MIN, INT64_MAX };
    const uint8_t want_u[] = { 1, 0, 255, 0, 0, 255, 0, 255 };
    ck_assert_mem_eq(pleat_data(i), want_i, sizeof want_i);
    ck_assert_mem_eq(pleat_data(u), want_u, sizeof want_u);
}
END_TEST

START_TEST(comparison)
{
    pleat_tensor *a = pleat_arange(1, 5, 1, PLEAT_F64), *b = pleat_copy_(pleat_empty(PLEAT_SHAPE(4), PLEAT_F64), a);
    ck_assert(pleat_equal(a, b) && pleat_allclose(a, b, 0, 0));
    ((double *)pleat_data_mut(b))[3] += 1e-6;
    ck_assert(!pleat_equal(a, b) && !pleat_allclose(a, b, 1e-8, 0) && pleat_allclose(a, b, 1e-6, 0) &&
              pleat_allclose(a, b, 0, 2e-6));
    ck_assert(!pleat_allclose(a, pleat_reshape(a, PLEAT_SHAPE(2, 2)), 1, 1));
    ck_assert(!pleat_allclose(a, pleat_arange(1, 5, 1, PLEAT_F32), 1, 1));
    ((double *)pleat_data_mut(b))[0] = (double)NAN;
    ck_assert(!pleat_allclose(a, b, 1, 1) && !pleat_allclose(b, b, 1, 1) && !pleat_equal(b, b));
    ((double *)pleat_data_mut(b))[0] = (double)INFINITY;
    ck_assert(!pleat_allclose(a, b, 1, 1) && pleat_allclose(b, b, 0, 0));
    const int64_t big[] = { (INT64_C(1) << 60) + 1 }, bigger[] = { (INT64_C(1) << 60) + 2 };
    ck_assert(!pleat_equal(pleat_from_data(big, PLEAT_SHAPE(1), PLEAT_I64),
                           pleat_from_data(bigger, PLEAT_SHAPE(1), PLEAT_I64)));
    ck_assert(pleat_equal(pleat_zeros(PLEAT_SHAPE(0, 2), PLEAT_F32), pleat_zeros(PLEAT_SHAPE(0, 2), PLEAT_F32)));
    ck_assert(!pleat_allclose(NULL, a, 0, 0));
    ck_assert_failed(PLEAT_EINVAL, "NULL");
}
END_TEST

/* What NumPy 2 prints for the same arrays. */
START_TEST(prints_as_numpy_does)
{
    char s[4000];
    pleat_tensor *x = pleat_reshape(pleat_arange(0, 6, 1, PLEAT_F32), PLEAT_SHAPE(2, 3));
    pleat_to_string(x, s, sizeof s);
    ck_assert_str_eq(s, "[[0. 1. 2.]\n [3. 4. 5.]]");
    pleat_to_string(pleat_transpose(x, 0, 1), s, sizeof s);
    ck_assert_str_eq(s, "[[0. 3.]\n [1. 4.]\n [2. 5.]]");
    const double v[] = { 1.5, -2.25, 100, 0.125 };
    pleat_to_string(pleat_from_data(v, PLEAT_SHAPE(4), PLEAT_F64), s, sizeof s);
    ck_assert_str_eq(s, "[  1.5    -2.25  100.      0.125]");
    const float w[] = { 0.1f, 1.0f / 3, (float)NAN, -INFINITY };
    pleat_to_string(pleat_from_data(w, PLEAT_SHAPE(4), PLEAT_F32), s, sizeof s);
    ck_assert_str_eq(s, "[0.1        0.33333334        nan       -inf]");
    const double e[] = { 1e-5, 123456 };
    pleat_to_string(pleat_from_data(e, PLEAT_SHAPE(2), PLEAT_F64), s, sizeof s);
    ck_assert_str_eq(s, "[1.00000e-05 1.23456e+05]");
    pleat_to_string(pleat_reshape(pleat_arange(8, 12, 1, PLEAT_I64), PLEAT_SHAPE(2, 1, 2)), s, sizeof s);
    ck_assert_str_eq(s, "[[[ 8  9]]\n\n [[10 11]]]");
    pleat_to_string(pleat_scalar(2.5, PLEAT_F32), s, sizeof s);
    ck_assert_str_eq(s, "2.5");
    pleat_to_string(pleat_zeros(PLEAT_SHAPE(0), PLEAT_F32), s, sizeof s);
    ck_assert_str_eq(s, "[]");
    pleat_to_string(pleat_arange(0, 2000, 1, PLEAT_I64), s, sizeof s);
    ck_assert_str_eq(s, "[   0    1    2 ... 1997 1998 1999]");
    pleat_to_string(pleat_arange(0, 30, 1, PLEAT_I64), s, sizeof s);
    ck_assert_str_eq(s,
                     "[ 0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19 20 21 22 23\n 24 25 26 27 28 29]");

    pleat_to_string(pleat_reshape(pleat_arange(0, 60, 1, PLEAT_I64), PLEAT_SHAPE(2, 30)), s, sizeof s);
    ck_assert_str_eq(s,
                     "[[ 0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19 20 21 22 23\n"
                     "  24 25 26 27 28 29]\n [30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53\n"
                     "  54 55 56 57 58 59]]");
    const double far[] = { 1e-300, 1e200, (double)NAN, -(double)INFINITY }, near[] = { 1e-5 },
                 mixed[] = { 1e-5, -123456 };
    pleat_to_string(pleat_from_data(far, PLEAT_SHAPE(4), PLEAT_F64), s, sizeof s);
    ck_assert_str_eq(s, "[1.e-300 1.e+200     nan    -inf]");
    pleat_to_string(pleat_from_data(near, PLEAT_SHAPE(1), PLEAT_F64), s, sizeof s);
    ck_assert_str_eq(s, "[1.e-05]");
    pleat_to_string(pleat_from_data(mixed, PLEAT_SHAPE(2), PLEAT_F64), s, sizeof s);
    ck_assert_str_eq(s, "[ 1.00000e-05 -1.23456e+05]");

    ck_assert_int_eq(pleat_to_string(x, s, 5), 24); /* snprintf's rule */
    ck_assert_str_eq(s, "[[0.");
    ck_assert_int_eq(pleat_to_string(x, NULL, 0), 24);
}
END_TEST

RUN_TESTS("tensor", creation_fills_what_it_says, reading_keeps_its_rules, in_place_reaches_the_view_alone,
          conversions_saturate, comparison, prints_as_numpy_does)
