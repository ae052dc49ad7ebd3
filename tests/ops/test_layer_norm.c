/* layer_norm, group_norm and instance_norm against naive loops in double, their gradients, and what they refuse.
 * PyTorch's numbers for them are in tests/golden/opinfo.txt. */
#include "support/run.h"
#include "support/threads.h"

#include <pleat/op.h>
#include <pleat/pleat.h>

#include <math.h>
#include <string.h>

/* Element i of x, of rows of `length` elements, normalised. */
static double naive(const double *x, int64_t i, int64_t length, double eps)
{
    const double *row = x + i / length * length;
    double mean = 0, var = 0;
    for (int64_t k = 0; k < length; k++)
        mean += row[k] / (double)length;
    for (int64_t k = 0; k < length; k++)
        var += (row[k] - mean) * (row[k] - mean) / (double)length;
    return (x[i] - mean) / sqrt(var + eps);
}

START_TEST(layer)
{
    pleat_seed(1);
    pleat_tensor *x = pleat_randn(PLEAT_SHAPE(3, 4, 5), PLEAT_F64), *w = pleat_randn(PLEAT_SHAPE(4, 5), PLEAT_F64);
    pleat_tensor *b = pleat_randn(PLEAT_SHAPE(4, 5), PLEAT_F64), *y = pleat_layer_norm(x, PLEAT_SHAPE(4, 5), w, b, 0);
    for (int64_t i = 0; i < 60; i++)
        ck_assert_double_eq_tol(
            pleat_data_f64(y)[i],
            naive(pleat_data_f64(x), i, 20, 1e-5) * pleat_data_f64(w)[i % 20] + pleat_data_f64(b)[i % 20], 1e-13);
    y = pleat_layer_norm(x, PLEAT_SHAPE(5), NULL, NULL, 0.3);
    for (int64_t i = 0; i < 60; i++)
        ck_assert_double_eq_tol(pleat_data_f64(y)[i], naive(pleat_data_f64(x), i, 5, 0.3), 1e-13);
    ck_assert_double_eq(
        pleat_item(pleat_layer_norm(pleat_full(PLEAT_SHAPE(1), 7, PLEAT_F64), PLEAT_SHAPE(1), NULL, NULL, 0)), 0);
    ck_assert_int_eq(
        pleat_numel(pleat_layer_norm(pleat_zeros(PLEAT_SHAPE(0, 4), PLEAT_F32), PLEAT_SHAPE(4), NULL, NULL, 0)), 0);
}
END_TEST

START_TEST(groups)
{
    pleat_seed(2);
    pleat_tensor *x = pleat_randn(PLEAT_SHAPE(2, 6, 3, 5), PLEAT_F64), *w = pleat_randn(PLEAT_SHAPE(6), PLEAT_F64);
    pleat_tensor *b = pleat_randn(PLEAT_SHAPE(6), PLEAT_F64);
    for (int64_t g = 1; g <= 6; g++) {
        if (6 % g != 0)
            continue;
        pleat_tensor *y = pleat_group_norm(x, g, w, b, 0.1);
        for (int64_t i = 0; i < 180; i++) {
            const int64_t c = i / 15 % 6;
            ck_assert_double_eq_tol(
                pleat_data_f64(y)[i],
                naive(pleat_data_f64(x), i, 90 / g, 0.1) * pleat_data_f64(w)[c] + pleat_data_f64(b)[c], 1e-13);
        }
    }
    /* strided: the same numbers as of a copy */
    pleat_tensor *turned = pleat_permute(x, PLEAT_DIMS(0, 3, 2, 1));
    ck_assert(pleat_equal(pleat_group_norm(turned, 5, NULL, NULL, 0),
                          pleat_group_norm(pleat_contiguous(turned), 5, NULL, NULL, 0)));
}
END_TEST

START_TEST(instances)
{
    pleat_seed(3);
    pleat_tensor *x = pleat_randn(PLEAT_SHAPE(2, 3, 4), PLEAT_F64), *mean = pleat_full(PLEAT_SHAPE(3), 5, PLEAT_F64);
    pleat_tensor *var = pleat_full(PLEAT_SHAPE(3), 2, PLEAT_F64);
    pleat_tensor *y = pleat_instance_norm(x, NULL, NULL, mean, var, true, &(pleat_batch_norm_opts){ .momentum = 0.25 });
    for (int64_t i = 0; i < 24; i++)
        ck_assert_double_eq_tol(pleat_data_f64(y)[i], naive(pleat_data_f64(x), i, 4, 1e-5), 1e-13);
    for (int64_t c = 0; c < 3; c++) { /* the average of the two images' statistics, the variance unbiased */
        double m = 0, v = 0;
        for (int64_t n = 0; n < 2; n++) {
            const double *row = pleat_data_f64(x) + (n * 3 + c) * 4, own = (row[0] + row[1] + row[2] + row[3]) / 4;
            m += own / 2;
            for (int k = 0; k < 4; k++)
                v += (row[k] - own) * (row[k] - own) / 3 / 2;
        }
        ck_assert_double_eq_tol(pleat_data_f64(mean)[c], 0.75 * 5 + 0.25 * m, 1e-13);
        ck_assert_double_eq_tol(pleat_data_f64(var)[c], 0.75 * 2 + 0.25 * v, 1e-13);
    }
    ck_assert(pleat_equal(pleat_instance_norm(x, NULL, NULL, mean, var, false, NULL),
                          pleat_batch_norm(x, NULL, NULL, mean, var, false, NULL)));
}
END_TEST

static pleat_tensor *call(pleat_tensor *const *in, void *user)
{
    switch (*(int *)user) {
    case 0:
        return pleat_layer_norm(in[0], PLEAT_SHAPE(2, 3), pleat_reshape(in[1], PLEAT_SHAPE(2, 3)),
                                pleat_reshape(in[2], PLEAT_SHAPE(2, 3)), 0.1);
    case 1:
        return pleat_group_norm(in[0], 3, in[1], in[2], 0.1);
    default:
        return pleat_instance_norm(in[0], in[1], in[2], NULL, NULL, true, &(pleat_batch_norm_opts){ .eps = 0.1 });
    }
}

START_TEST(gradients)
{
    pleat_seed(4);
    pleat_tensor *in[3] = { pleat_randn(PLEAT_SHAPE(2, 6, 2, 3), PLEAT_F64) };
    in[1] = pleat_randn(PLEAT_SHAPE(6), PLEAT_F64);
    in[2] = pleat_randn(PLEAT_SHAPE(6), PLEAT_F64);
    for (int i = 0; i < 3; i++)
        pleat_set_requires_grad(in[i], true);
    for (int kind = 0; kind < 3; kind++) {
        ck_assert_ok(pleat_gradcheck(call, &kind, in, 3, NULL));
        ck_assert_ok(pleat_gradgradcheck(call, &kind, in, 3, NULL));
    }
}
END_TEST

/* Numbers whose deviation's third power is out of a float's range: recorded, gradients are the same as not. */
START_TEST(far_from_one)
{
    pleat_seed(5);
    for (int large = 0; large < 2; large++) {
        const double scale = large ? 1e14 : 1e-14;
        pleat_tensor *x = pleat_mul_scalar(pleat_randn(PLEAT_SHAPE(2, 6, 5), PLEAT_F32), scale);
        pleat_tensor *g = pleat_randn(PLEAT_SHAPE(2, 6, 5), PLEAT_F32), *grad[2];
        pleat_set_requires_grad(x, true);
        for (int record = 0; record < 2; record++) {
            pleat_tensor *y = pleat_group_norm(x, 3, NULL, NULL, 0);
            ck_assert_ok(pleat_gradients(&y, 1, &x, 1, &(pleat_gradients_opts){ .grad_outputs = &g, .record = record },
                                         &grad[record]));
        }
        ck_assert(pleat_allclose(pleat_mul_scalar(grad[1], scale), pleat_mul_scalar(grad[0], scale), 1e-5, 1e-5));
    }
}
END_TEST

/* Images without a pixel: nothing comes out, and nothing is moved. */
START_TEST(no_pixel)
{
    pleat_tensor *x = pleat_set_requires_grad(pleat_zeros(PLEAT_SHAPE(2, 3, 0), PLEAT_F32), true),
                 *mean = pleat_ones(PLEAT_SHAPE(3), PLEAT_F32), *weight = pleat_ones(PLEAT_SHAPE(3), PLEAT_F32);
    pleat_tensor *y = pleat_instance_norm(x, weight, NULL, mean, NULL, true, NULL);
    ck_assert_msg(y && pleat_shape_equal(pleat_shape_of(y), PLEAT_SHAPE(2, 3, 0)), "%s", pleat_error());
    ck_assert(pleat_equal(mean, weight));
    ck_assert_ok(pleat_backward(pleat_sum(y)));
}
END_TEST

START_TEST(refused)
{
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(2, 6, 4), PLEAT_F32), *five = pleat_ones(PLEAT_SHAPE(5), PLEAT_F32);
    ck_assert_ptr_null(pleat_layer_norm(x, PLEAT_SHAPE(5), NULL, NULL, 0));
    ck_assert_failed(PLEAT_ESHAPE, "layer_norm: the last dimensions of input (2, 6, 4) must be (5,)");
    ck_assert_ptr_null(pleat_layer_norm(x, PLEAT_SHAPE(), NULL, NULL, 0));
    ck_assert_failed(PLEAT_ESHAPE, "must be ()");
    ck_assert_ptr_null(pleat_layer_norm(x, PLEAT_SHAPE(4), five, NULL, 0));
    ck_assert_failed(PLEAT_ESHAPE, "layer_norm: weight (5,) must be (4,)");
    ck_assert_ptr_null(pleat_layer_norm(NULL, PLEAT_SHAPE(4), NULL, NULL, 0));
    ck_assert_failed(PLEAT_EINVAL, "layer_norm: the input is NULL");
    ck_assert_ptr_null(pleat_group_norm(x, 4, NULL, NULL, 0));
    ck_assert_failed(PLEAT_ESHAPE, "group_norm: the 6 channels of input (2, 6, 4) do not divide into 4 groups");
    ck_assert_ptr_null(pleat_group_norm(x, 0, NULL, NULL, 0));
    ck_assert_failed(PLEAT_ESHAPE, "0 groups");
    ck_assert_ptr_null(pleat_group_norm(x, 2, NULL, five, 0));
    ck_assert_failed(PLEAT_ESHAPE, "group_norm: bias (5,) must be (6,)");
    ck_assert_ptr_null(pleat_group_norm(five, 1, NULL, NULL, 0));
    ck_assert_failed(PLEAT_ESHAPE, "group_norm: input (5,) must be (N, C, ...)");
    ck_assert_ptr_null(
        pleat_instance_norm(pleat_ones(PLEAT_SHAPE(2, 6, 1), PLEAT_F32), NULL, NULL, NULL, NULL, true, NULL));
    ck_assert_failed(PLEAT_ESHAPE, "instance_norm: input (2, 6, 1) needs more than one value per image and channel");
    ck_assert_ptr_null(pleat_instance_norm(x, NULL, NULL, five, NULL, true, NULL));
    ck_assert_failed(PLEAT_ESHAPE, "instance_norm: running_mean (5,) must be (6,)");
    ck_assert_ptr_null(pleat_layer_norm(pleat_zeros(PLEAT_SHAPE(4), PLEAT_I64), PLEAT_SHAPE(4), NULL, NULL, 0));
    ck_assert_failed(PLEAT_EDTYPE, "int64");
}
END_TEST

/* (N, C, S), groups: rows shorter than a vector and longer than a block, ends of vectors and of slots, elements that
 * are columns or of planes, groups and single ones. */
static const int64_t shapes[][4] = {
    { 3, 1, 1, 1 },      { 40, 3, 1, 1 },   { 21, 7, 1, 1 },   { 70, 8, 1, 1 },    { 33, 9, 1, 1 },   { 300, 28, 1, 1 },
    { 19, 511, 1, 1 },   { 19, 512, 1, 1 }, { 5, 1000, 1, 1 }, { 530, 64, 1, 1 },  { 2, 2049, 1, 1 }, { 9, 4100, 1, 1 },
    { 10, 12, 1, 3 },    { 10, 44, 1, 4 },  { 6, 4, 1, 4 },    { 9, 8200, 1, 2 },  { 3, 6, 3, 2 },    { 3, 6, 9, 6 },
    { 2, 4, 49, 2 },     { 5, 6, 784, 2 },  { 2, 3, 600, 1 },  { 2, 4, 2100, 4 },  { 1, 2, 9000, 2 }, { 3, 1, 5000, 1 },
    { 8, 1, 140000, 1 }, { 9, 2, 33, 2 },   { 2, 1, 9, 1 },    { 1, 30000, 1, 1 }, { 4, 10, 5, 5 },   { 1, 4, 9000, 2 },
};

typedef struct {
    pleat_tensor *x, *weight, *bias, *g; /* weight and bias: NULL for none */
    int64_t n, c, s, groups;
} problem;

static pleat_tensor *normalised(const problem *p)
{
    if (p->s == 1 && p->groups == 1)
        return pleat_layer_norm(p->x, PLEAT_SHAPE(p->c), p->weight, p->bias, 0.01);
    if (p->groups == p->c && p->s > 1)
        return pleat_instance_norm(p->x, p->weight, p->bias, NULL, NULL, true, &(pleat_batch_norm_opts){ .eps = 0.01 });
    return pleat_group_norm(p->x, p->groups, p->weight, p->bias, 0.01);
}

static void check_near(pleat_tensor *got, const double *want, double tolerance)
{
    const pleat_tensor *wide = pleat_cast(got, PLEAT_F64);
    const double *got_data = pleat_data_f64(wide);
    double most = 1;
    for (int64_t i = 0; i < pleat_numel(wide); i++)
        most = fmax(most, fabs(want[i]));
    for (int64_t i = 0; i < pleat_numel(wide); i++)
        if (!(fabs(got_data[i] - want[i]) <= tolerance * most)) /* an assertion for each would take seconds */
            ck_abort_msg("element %lld is %.17g, not %.17g", (long long)i, got_data[i], want[i]);
}

/* y and the gradients of sum(y g), all in double. */
static void check_naive(const problem *p, double tolerance)
{
    const int64_t numel = p->n * p->c * p->s, length = p->c / p->groups * p->s;
    const double *x = pleat_data_f64(pleat_cast(p->x, PLEAT_F64)), *g = pleat_data_f64(pleat_cast(p->g, PLEAT_F64));
    const double *weight = p->weight ? pleat_data_f64(pleat_cast(p->weight, PLEAT_F64)) : NULL;
    const double *bias = p->bias ? pleat_data_f64(pleat_cast(p->bias, PLEAT_F64)) : NULL;
    double *y = calloc((size_t)(2 * numel + 2 * p->c), sizeof *y), *dx = y + numel, *dw = dx + numel, *db = dw + p->c;
    for (int64_t row = 0; row < numel; row += length) {
        double mean = 0, var = 0, sum = 0, product = 0;
        for (int64_t i = row; i < row + length; i++)
            mean += x[i] / (double)length;
        for (int64_t i = row; i < row + length; i++)
            var += (x[i] - mean) * (x[i] - mean) / (double)length;
        const double r = 1 / sqrt(var + 0.01);
        for (int64_t i = row; i < row + length; i++) {
            const int64_t c = i / p->s % p->c;
            const double w = weight ? weight[c] : 1, d = (x[i] - mean) * r;
            y[i] = d * w + (bias ? bias[c] : 0);
            dw[c] += g[i] * d;
            db[c] += g[i];
            sum += g[i] * w / (double)length;
            product += g[i] * w * d / (double)length;
        }
        for (int64_t i = row; i < row + length; i++)
            dx[i] = r * (g[i] * (weight ? weight[i / p->s % p->c] : 1) - sum - (x[i] - mean) * r * product);
    }
    pleat_tensor *out = normalised(p);
    check_near(out, y, tolerance);
    ck_assert_ok(pleat_backward(pleat_sum(pleat_mul(out, p->g))));
    check_near(pleat_grad(p->x), dx, tolerance);
    if (p->weight)
        check_near(pleat_grad(p->weight), dw, 4 * tolerance);
    if (p->bias)
        check_near(pleat_grad(p->bias), db, 4 * tolerance);
    free(y);
}

static problem make(size_t i, pleat_dtype dtype, int affine, double middle)
{
    const int64_t *k = shapes[i];
    const pleat_shape shape = k[2] == 1 ? PLEAT_SHAPE(k[0], k[1]) : PLEAT_SHAPE(k[0], k[1], k[2]);
    pleat_seed(100 + i);
    problem p = { .n = k[0], .c = k[1], .s = k[2], .groups = k[3] };
    p.x = pleat_set_requires_grad(pleat_detach(pleat_add_scalar(pleat_randn(shape, dtype), middle)), true);
    p.g = pleat_randn(shape, dtype);
    if (affine & 1)
        p.weight = pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(k[1]), dtype), true);
    if (affine & 2)
        p.bias = pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(k[1]), dtype), true);
    return p;
}

START_TEST(shapes_of_all_kinds)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int affine = 0; affine < 4; affine++)
            for (int dtype = PLEAT_F32; dtype <= PLEAT_F64; dtype++) {
                const pleat_scope scope = pleat_scope_begin();
                /* a middle at which float32 does not hold the mean */
                const problem p = make(i, (pleat_dtype)dtype, affine, 3000);
                check_naive(&p, dtype == PLEAT_F32 ? 2e-6 : 1e-9);
                pleat_scope_end(scope);
            }
}
END_TEST

static pleat_tensor *results(void *user)
{
    problem *p = user;
    pleat_tensor *out = normalised(p), *loss = pleat_sum(pleat_mul(out, p->g)), *grads[3];
    ck_assert_ok(pleat_gradients(&loss, 1, (pleat_tensor *[]){ p->x, p->weight, p->bias }, 3, NULL, grads));
    pleat_tensor *parts[4] = { pleat_flatten(out, 0, -1), pleat_flatten(grads[0], 0, -1), grads[1], grads[2] };
    return pleat_cat(parts, 4, 0);
}

START_TEST(any_threads_with_gradients)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        problem p = make(i, PLEAT_F32, 3, 1);
        if (pleat_numel(p.x) <= 20000)
            same_for_any_threads(results, &p);
    }
}
END_TEST

static pleat_tensor *all(void *user)
{
    return pleat_add(pleat_layer_norm(user, PLEAT_SHAPE(7), NULL, NULL, 0), pleat_group_norm(user, 2, NULL, NULL, 0));
}

START_TEST(any_threads)
{
    same_for_any_threads(all, pleat_randn(PLEAT_SHAPE(3, 4, 7), PLEAT_F32));
}
END_TEST

RUN_TESTS("layer_norm", layer, groups, instances, gradients, shapes_of_all_kinds, any_threads,
          any_threads_with_gradients, far_from_one, no_pixel, refused)
