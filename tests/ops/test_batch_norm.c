/* batch_norm against a naive two-pass loop in double, in training and evaluation; its running statistics; numbers far
 * from zero; gradients by every input, once and twice, and the fused ones against those stated in ops. */
#include "support/run.h"
#include "support/threads.h"

#include <pleat/op.h>
#include <pleat/pleat.h>

#include <math.h>
#include <string.h>

static double at(const pleat_tensor *t, int64_t i)
{
    return pleat_dtype_of(t) == PLEAT_F32 ? (double)pleat_data_f32(t)[i] : pleat_data_f64(t)[i];
}

/* Mean and biased variance of channel c of a contiguous x. */
static void naive_moments(const pleat_tensor *x, int64_t c, double *mean, double *var)
{
    const int64_t n = pleat_size(x, 0), channels = pleat_size(x, 1), s = pleat_numel(x) / (n * channels);
    long double sum = 0, squares = 0;
    for (int64_t i = 0; i < n * s; i++)
        sum += (long double)at(x, (i / s * channels + c) * s + i % s);
    const long double m = sum / (long double)(n * s);
    for (int64_t i = 0; i < n * s; i++) {
        const long double d = (long double)at(x, (i / s * channels + c) * s + i % s) - m;
        squares += d * d;
    }
    *mean = (double)m;
    *var = (double)(squares / (long double)(n * s));
}

static void compare(pleat_tensor *given, bool affine, double tolerance)
{
    pleat_tensor *x = pleat_contiguous(given);
    const pleat_dtype dtype = pleat_dtype_of(x);
    const int64_t c = pleat_size(x, 1), s = pleat_numel(x) / (pleat_size(x, 0) * c);
    const double count = (double)(pleat_numel(x) / c);
    pleat_tensor *w = affine ? pleat_randn(PLEAT_SHAPE(c), dtype) : NULL, *b = NULL;
    if (affine)
        b = pleat_randn(PLEAT_SHAPE(c), dtype);
    pleat_tensor *mean = pleat_full(PLEAT_SHAPE(c), 3, dtype), *var = pleat_full(PLEAT_SHAPE(c), 2, dtype);
    pleat_tensor *y = pleat_batch_norm(given, w, b, mean, var, true, NULL);
    pleat_tensor *z = pleat_batch_norm(given, w, b, mean, var, false, &(pleat_batch_norm_opts){ .eps = 0.5 });
    ck_assert_msg(y && z, "%s", pleat_error());
    for (int64_t k = 0; k < c; k++) {
        double m, v;
        naive_moments(x, k, &m, &v);
        ck_assert_double_eq_tol(at(mean, k), 0.9 * 3 + 0.1 * m, tolerance * (1 + fabs(m)));
        ck_assert_double_eq_tol(at(var, k), 0.9 * 2 + 0.1 * v * count / (count - 1), tolerance * (1 + v));
        const double a = w ? at(w, k) : 1, shift = b ? at(b, k) : 0;
        for (int64_t i = 0; i < pleat_size(x, 0) * s; i++) {
            const int64_t place = (i / s * c + k) * s + i % s;
            const double want = (at(x, place) - m) / sqrt(v + 1e-5) * a + shift;
            ck_assert_double_eq_tol(at(y, place), want, tolerance * (1 + fabs(want)));
            const double eval = (at(x, place) - at(mean, k)) / sqrt(at(var, k) + 0.5) * a + shift;
            ck_assert_double_eq_tol(at(z, place), eval, tolerance * (1 + fabs(eval)) * 4);
        }
    }
}

START_TEST(against_naive)
{
    const pleat_shape shapes[] = { PLEAT_SHAPE(7, 3),       PLEAT_SHAPE(5, 2, 4),       PLEAT_SHAPE(2, 3, 5, 7),
                                   PLEAT_SHAPE(3000, 2),    PLEAT_SHAPE(40, 3, 9, 9),   PLEAT_SHAPE(2, 2, 50, 61),
                                   PLEAT_SHAPE(1, 2, 1, 2), PLEAT_SHAPE(2, 2, 3, 2, 3), PLEAT_SHAPE(3, 1, 2048) };
    pleat_seed(1);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int affine = 0; affine < 2; affine++) {
            compare(pleat_randn(shapes[i], PLEAT_F64), affine, 1e-12);
            compare(pleat_randn(shapes[i], PLEAT_F32), affine, 2e-6);
        }
    pleat_tensor *x = pleat_randn(PLEAT_SHAPE(6, 5, 4, 3), PLEAT_F32);
    compare(pleat_permute(x, PLEAT_DIMS(3, 1, 0, 2)), true, 2e-6);
    compare(pleat_slice(x, 2, 0, 4, 2), true, 2e-6);
}
END_TEST

/* A mean a hundred thousand deviations large: what float32 numbers still say of the deviation must not be lost. */
START_TEST(far_from_zero)
{
    pleat_seed(2);
    for (int shape = 0; shape < 2; shape++) {
        const pleat_shape s = shape ? PLEAT_SHAPE(3, 2, 70, 70) : PLEAT_SHAPE(200, 2, 3, 3);
        pleat_tensor *x = pleat_add_scalar(pleat_randn(s, PLEAT_F32), 1e5), *w = pleat_ones(PLEAT_SHAPE(2), PLEAT_F32);
        pleat_fill_(pleat_select(pleat_select(x, 0, 0), 0, 1), 0); /* and an image that is all zero beside it */
        compare(pleat_narrow(x, 1, 0, 1), false, 1e-6);
        double mean, var;
        naive_moments(x, 1, &mean, &var);
        pleat_tensor *running = pleat_zeros(PLEAT_SHAPE(2), PLEAT_F32);
        ck_assert(pleat_batch_norm(x, w, NULL, NULL, running, true, &(pleat_batch_norm_opts){ .momentum = 1 }) != NULL);
        const double count = (double)(pleat_numel(x) / 2);
        ck_assert_double_eq_tol(at(running, 1) / (var * count / (count - 1)), 1, 1e-6);
    }
}
END_TEST

START_TEST(running_statistics)
{
    const float data[] = { 1, 2, 3, 4, 5, 9 };
    pleat_tensor *x = pleat_from_data(data, PLEAT_SHAPE(3, 2), PLEAT_F32); /* channels 1 3 5 and 2 4 9 */
    pleat_tensor *mean = pleat_zeros(PLEAT_SHAPE(2), PLEAT_F32), *var = pleat_ones(PLEAT_SHAPE(2), PLEAT_F32);
    for (int64_t batch = 1; batch <= 4; batch++)
        pleat_batch_norm(pleat_mul_scalar(x, (double)batch), NULL, NULL, mean, var, true,
                         &(pleat_batch_norm_opts){ .cumulative = true, .batches = batch });
    ck_assert_float_eq_tol(pleat_data_f32(mean)[0], 3 * 2.5f, 1e-5f); /* of 1, 2, 3 and 4 times */
    ck_assert_float_eq_tol(pleat_data_f32(mean)[1], 5 * 2.5f, 1e-5f);
    ck_assert_float_eq_tol(pleat_data_f32(var)[0], 4 * 7.5f, 1e-4f);
    ck_assert_float_eq_tol(pleat_data_f32(var)[1], 13 * 7.5f, 1e-4f);

    pleat_batch_norm(x, NULL, NULL, mean, NULL, true,
                     &(pleat_batch_norm_opts){ .momentum = 1 }); /* one of them alone */
    ck_assert_float_eq(pleat_data_f32(mean)[0], 3);
    ck_assert_float_eq_tol(pleat_data_f32(var)[0], 30, 1e-4f);

    /* a call that fails moves nothing */
    pleat_tensor *bad = pleat_ones(PLEAT_SHAPE(3), PLEAT_F32);
    ck_assert_ptr_null(pleat_batch_norm(x, bad, NULL, mean, var, true, NULL));
    ck_assert_failed(PLEAT_ESHAPE, "batch_norm: weight (3,) must be (2,)");
    ck_assert_float_eq(pleat_data_f32(mean)[0], 3);
}
END_TEST

enum { TRAINING = 1, HAS_WEIGHT = 2, HAS_BIAS = 4 };

static pleat_tensor *norm(pleat_tensor *const *in, void *user)
{
    const int kind = *(int *)user;
    int next = 1;
    pleat_tensor *w = kind & HAS_WEIGHT ? in[next++] : NULL, *b = kind & HAS_BIAS ? in[next++] : NULL;
    pleat_tensor *mean = kind & TRAINING ? NULL : in[next], *var = kind & TRAINING ? NULL : in[next + 1];
    return pleat_batch_norm(in[0], w, b, mean, var, kind & TRAINING, &(pleat_batch_norm_opts){ .eps = 1e-3 });
}

static pleat_tensor *leaf(pleat_tensor *t)
{
    return pleat_set_requires_grad(t, true);
}

START_TEST(gradients)
{
    const pleat_shape shapes[] = { PLEAT_SHAPE(4, 3), PLEAT_SHAPE(3, 2, 5), PLEAT_SHAPE(2, 2, 3, 2) };
    pleat_seed(3);
    for (int kind = 0; kind < 8; kind++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            const int64_t c = shapes[i].dim[1];
            pleat_tensor *in[5] = { leaf(pleat_randn(shapes[i], PLEAT_F64)) };
            int count = 1;
            for (int bit = HAS_WEIGHT; bit <= HAS_BIAS; bit *= 2)
                if (kind & bit)
                    in[count++] = leaf(pleat_randn(PLEAT_SHAPE(c), PLEAT_F64));
            if (!(kind & TRAINING)) {
                in[count++] = leaf(pleat_randn(PLEAT_SHAPE(c), PLEAT_F64));
                in[count++] = leaf(pleat_add_scalar(pleat_rand(PLEAT_SHAPE(c), PLEAT_F64), 0.5));
            }
            ck_assert_ok(pleat_gradcheck(norm, &kind, in, count, NULL));
            ck_assert_ok(pleat_gradgradcheck(norm, &kind, in, count, NULL));
            /* each input alone: the others' gradients are neither computed nor needed */
            for (int only = 0; only < count; only++) {
                for (int k = 0; k < count; k++)
                    pleat_set_requires_grad(in[k], k == only);
                ck_assert_ok(pleat_gradcheck(norm, &kind, in, count, NULL));
            }
        }
}
END_TEST

/* The fused gradient of a large problem in float32, which finite differences cannot judge, against the one in ops. */
START_TEST(fused_against_ops)
{
    pleat_seed(4);
    for (int kind = 0; kind < 4; kind++)
        for (int dtype = PLEAT_F32; dtype <= PLEAT_F64; dtype++) {
            const pleat_dtype d = (pleat_dtype)dtype;
            const bool training = kind & 1;
            const pleat_batch_norm_opts opts = { .relu = kind & 2 };
            pleat_tensor *x = pleat_randn(PLEAT_SHAPE(5, 3, 41, 53), d), *w = pleat_randn(PLEAT_SHAPE(3), d);
            pleat_tensor *b = pleat_randn(PLEAT_SHAPE(3), d), *mean = pleat_randn(PLEAT_SHAPE(3), d);
            pleat_tensor *var = pleat_add_scalar(pleat_rand(PLEAT_SHAPE(3), d), 0.5),
                         *v = pleat_randn(pleat_shape_of(x), d);
            pleat_tensor *in[] = { leaf(x), leaf(w), leaf(b), leaf(mean), leaf(var) }, *fused[5], *ops[5];
            const int count = training ? 3 : 5;
            pleat_tensor *y = training ? pleat_batch_norm(x, w, b, NULL, NULL, true, &opts)
                                       : pleat_batch_norm(x, w, b, mean, var, false, &opts);
            if (opts.relu) {
                pleat_tensor *plain = training ? pleat_batch_norm(x, w, b, NULL, NULL, true, NULL)
                                               : pleat_batch_norm(x, w, b, mean, var, false, NULL);
                ck_assert(pleat_equal(y, pleat_relu(plain)));
            }
            ck_assert_ok(
                pleat_gradients(&y, 1, in, count, &(pleat_gradients_opts){ .grad_outputs = &v, .keep = true }, fused));
            ck_assert_ok(
                pleat_gradients(&y, 1, in, count, &(pleat_gradients_opts){ .grad_outputs = &v, .record = true }, ops));
            for (int i = 0; i < count; i++)
                ck_assert(pleat_allclose(fused[i], ops[i], dtype == PLEAT_F32 ? 1e-4 : 1e-11,
                                         dtype == PLEAT_F32 ? 1e-3 : 1e-11));
        }
}
END_TEST

static pleat_tensor *all(void *user)
{
    pleat_tensor *const *in = user;
    pleat_tensor *y = pleat_batch_norm(in[0], in[1], in[2], NULL, NULL, true, NULL), *g[3];
    y = pleat_add(y, pleat_batch_norm(in[0], in[1], in[2], NULL, NULL, true, &(pleat_batch_norm_opts){ .relu = true }));
    ck_assert_ok(
        pleat_gradients(&y, 1, in, 3, &(pleat_gradients_opts){ .grad_outputs = (pleat_tensor *[]){ in[0] } }, g));
    pleat_tensor *k = pleat_reshape(pleat_add(g[1], g[2]), PLEAT_SHAPE(1, 4, 1, 1));
    return pleat_add(pleat_add(pleat_detach(y), g[0]), k);
}

START_TEST(any_threads)
{
    pleat_seed(5);
    for (int i = 0; i < 2; i++) {
        pleat_tensor *in[3] = { leaf(
            pleat_randn(i ? PLEAT_SHAPE(3, 4, 53, 51) : PLEAT_SHAPE(300, 4, 5, 3), PLEAT_F32)) };
        in[1] = leaf(pleat_randn(PLEAT_SHAPE(4), PLEAT_F32));
        in[2] = leaf(pleat_randn(PLEAT_SHAPE(4), PLEAT_F32));
        same_for_any_threads(all, in);
    }
}
END_TEST

START_TEST(empty)
{
    pleat_tensor *x = leaf(pleat_zeros(PLEAT_SHAPE(0, 3, 4), PLEAT_F32)),
                 *w = leaf(pleat_ones(PLEAT_SHAPE(3), PLEAT_F32));
    pleat_tensor *mean = pleat_zeros(PLEAT_SHAPE(3), PLEAT_F32), *var = pleat_ones(PLEAT_SHAPE(3), PLEAT_F32);
    for (int training = 0; training < 2; training++) {
        pleat_tensor *y = pleat_batch_norm(x, w, NULL, mean, var, training, NULL);
        ck_assert(pleat_shape_equal(pleat_shape_of(y), PLEAT_SHAPE(0, 3, 4)));
        ck_assert_ok(pleat_backward(pleat_sum(y)));
        ck_assert(pleat_equal(pleat_grad(w), pleat_zeros(PLEAT_SHAPE(3), PLEAT_F32)));
        ck_assert(pleat_equal(mean, pleat_zeros(PLEAT_SHAPE(3), PLEAT_F32))); /* nothing was seen */
        ck_assert(pleat_equal(var, pleat_ones(PLEAT_SHAPE(3), PLEAT_F32)));
    }
    pleat_tensor *none = pleat_zeros(PLEAT_SHAPE(2, 0, 4), PLEAT_F32);
    ck_assert_int_eq(pleat_numel(pleat_batch_norm(none, NULL, NULL, NULL, NULL, true, NULL)), 0);
}
END_TEST

START_TEST(refused)
{
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(2, 3, 4), PLEAT_F32), *three = pleat_ones(PLEAT_SHAPE(3), PLEAT_F32);
    pleat_tensor *four = pleat_ones(PLEAT_SHAPE(4), PLEAT_F32), *wide = pleat_ones(PLEAT_SHAPE(3), PLEAT_F64);
    ck_assert_ptr_null(pleat_batch_norm(pleat_ones(PLEAT_SHAPE(3), PLEAT_F32), NULL, NULL, NULL, NULL, true, NULL));
    ck_assert_failed(PLEAT_ESHAPE, "batch_norm: input (3,) must be (N, C, ...)");
    ck_assert_ptr_null(pleat_batch_norm(pleat_ones(PLEAT_SHAPE(1, 3), PLEAT_F32), NULL, NULL, NULL, NULL, true, NULL));
    ck_assert_failed(PLEAT_ESHAPE, "training needs more than one value per channel, input (1, 3) has 1");
    ck_assert_ptr_null(pleat_batch_norm(x, four, NULL, NULL, NULL, true, NULL));
    ck_assert_failed(PLEAT_ESHAPE, "weight (4,) must be (3,), one for each channel of input (2, 3, 4)");
    ck_assert_ptr_null(pleat_batch_norm(x, three, four, NULL, NULL, true, NULL));
    ck_assert_failed(PLEAT_ESHAPE, "bias (4,)");
    ck_assert_ptr_null(pleat_batch_norm(x, wide, NULL, NULL, NULL, true, NULL));
    ck_assert_failed(PLEAT_EDTYPE, "batch_norm");
    for (int training = 0; training < 2; training++) {
        ck_assert_ptr_null(pleat_batch_norm(x, NULL, NULL, four, three, training, NULL));
        ck_assert_failed(PLEAT_ESHAPE, "running_mean (4,) must be (3,)");
        ck_assert_ptr_null(pleat_batch_norm(x, NULL, NULL, three, four, training, NULL));
        ck_assert_failed(PLEAT_ESHAPE, "running_var (4,) must be (3,)");
        ck_assert_ptr_null(pleat_batch_norm(x, NULL, NULL, wide, wide, training, NULL));
        ck_assert_failed(PLEAT_EDTYPE, "float64");
        ck_assert_ptr_null(
            pleat_batch_norm(x, NULL, NULL, NULL, NULL, training, &(pleat_batch_norm_opts){ .eps = NAN }));
        pleat_error_clear();
    }
    ck_assert_ptr_null(pleat_batch_norm(x, NULL, NULL, NULL, three, false, NULL));
    ck_assert_failed(PLEAT_EINVAL, "NULL");
    ck_assert_ptr_null(pleat_batch_norm(NULL, NULL, NULL, three, three, true, NULL));
    ck_assert_failed(PLEAT_EINVAL, "NULL");
    pleat_tensor *strided = pleat_slice(pleat_zeros(PLEAT_SHAPE(6), PLEAT_F32), 0, 0, 6, 2);
    ck_assert_ptr_null(pleat_batch_norm(x, NULL, NULL, strided, NULL, true, NULL));
    ck_assert_failed(PLEAT_EINVAL, "running_mean must be contiguous");
    ck_assert_ptr_null(pleat_batch_norm(x, NULL, NULL, NULL, leaf(pleat_ones(PLEAT_SHAPE(3), PLEAT_F32)), true, NULL));
    ck_assert_failed(PLEAT_EGRAD, "running_var requires a gradient");
    ck_assert_ptr_null(
        pleat_batch_norm(x, NULL, NULL, three, three, true, &(pleat_batch_norm_opts){ .cumulative = true }));
    ck_assert_failed(PLEAT_EINVAL, "batches");
    ck_assert(pleat_equal(three, pleat_ones(PLEAT_SHAPE(3), PLEAT_F32)));
}
END_TEST

RUN_TESTS("batch_norm", against_naive, far_from_zero, running_statistics, gradients, fused_against_ops, any_threads,
          empty, refused)
