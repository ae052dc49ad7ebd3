/* cross_entropy against a naive loop in double with every option, and its gradients. */
#include "support/run.h"
#include "support/threads.h"

#include <pleat/op.h>
#include <pleat/pleat.h>

#include <math.h>
#include <string.h>

typedef struct {
    pleat_tensor *target;
    pleat_cross_entropy_opts opts;
} loss_case;

/* The definition, line by line: x (N, C, D). losses has N D entries; returns what the mean divides by. */
static double naive(const pleat_tensor *x, const loss_case *l, double *losses)
{
    const int64_t n = pleat_size(x, 0), c = pleat_size(x, 1), d = pleat_size(x, 2);
    const pleat_tensor *w = l->opts.weight;
    const double e = l->opts.label_smoothing;
    double total = 0;
    for (int64_t line = 0; line < n * d; line++) {
        const int64_t t = pleat_data_i64(l->target)[line];
        losses[line] = 0;
        if (l->opts.ignore && t == l->opts.ignore_index)
            continue;
        double sum = 0;
        for (int64_t k = 0; k < c; k++)
            sum += exp(pleat_at(x, (int64_t[]){ line / d, k, line % d }));
        for (int64_t k = 0; k < c; k++) {
            const double weight = w ? pleat_at(w, &k) : 1, share = (k == t ? 1 - e : 0) + e / (double)c;
            losses[line] -= weight * share * (pleat_at(x, (int64_t[]){ line / d, k, line % d }) - log(sum));
        }
        total += w ? pleat_at(w, &t) : 1;
    }
    return total;
}

static pleat_tensor *call(pleat_tensor *const *in, void *user)
{
    const loss_case *l = user;
    return pleat_cross_entropy_with(in[0], l->target, &l->opts);
}

/* Every combination of options, by number. */
static loss_case case_of(int number, pleat_shape x, pleat_dtype dtype)
{
    const int64_t c = x.dim[1];
    loss_case l = { .target = pleat_randint(0, c, PLEAT_SHAPE(x.dim[0], x.dim[2])) };
    l.opts.reduction = (pleat_loss_reduction)(number % 3);
    if (number / 3 % 2)
        l.opts.weight = pleat_rand(PLEAT_SHAPE(c), dtype);
    if (number / 6 % 2) {
        l.opts.ignore = true;
        l.opts.ignore_index = number / 12 % 2 ? -100 : 1;
        ((int64_t *)pleat_data_mut(l.target))[2] = l.opts.ignore_index;
    }
    if (number / 12 % 2)
        l.opts.label_smoothing = 0.3;
    return l;
}
enum { CASES = 24 };

START_TEST(against_naive)
{
    const pleat_shape shapes[] = { PLEAT_SHAPE(5, 3, 1), PLEAT_SHAPE(3, 18, 1), PLEAT_SHAPE(2, 4, 21),
                                   PLEAT_SHAPE(9, 40, 3) };
    pleat_seed(1);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int number = 0; number < CASES; number++)
            for (int dtype = PLEAT_F32; dtype <= PLEAT_F64; dtype++) {
                const double tolerance = dtype == PLEAT_F32 ? 2e-6 : 1e-14;
                const loss_case l = case_of(number, shapes[i], (pleat_dtype)dtype);
                pleat_tensor *x = pleat_mul_scalar(pleat_randn(shapes[i], (pleat_dtype)dtype), 3);
                const int64_t lines = shapes[i].dim[0] * shapes[i].dim[2];
                double want[64], sum = 0;
                const double total = naive(x, &l, want);
                pleat_tensor *y = pleat_cross_entropy_with(x, l.target, &l.opts);
                ck_assert_msg(y != NULL, "%s", pleat_error());
                y = pleat_cast(y, PLEAT_F64);
                for (int64_t k = 0; k < lines; k++)
                    sum += want[k];
                if (l.opts.reduction == PLEAT_REDUCE_NONE)
                    for (int64_t k = 0; k < lines; k++)
                        ck_assert_double_eq_tol(pleat_data_f64(y)[k], want[k], tolerance * (1 + fabs(want[k])));
                else if (l.opts.reduction == PLEAT_REDUCE_SUM)
                    ck_assert_double_eq_tol(pleat_item(y), sum, tolerance * (1 + fabs(sum)));
                else
                    ck_assert_double_eq_tol(pleat_item(y), sum / total, tolerance * (1 + fabs(sum / total)));
            }
}
END_TEST

START_TEST(shapes_and_strides)
{
    pleat_seed(2);
    pleat_tensor *x = pleat_randn(PLEAT_SHAPE(2, 3, 4, 5), PLEAT_F64), *t = pleat_randint(0, 3, PLEAT_SHAPE(2, 4, 5));
    const double want = pleat_item(pleat_cross_entropy(x, t));
    /* strided x and target: the same numbers, classes last in memory */
    pleat_tensor *last =
        pleat_permute(pleat_contiguous(pleat_permute(x, PLEAT_DIMS(0, 2, 3, 1))), PLEAT_DIMS(0, 3, 1, 2));
    pleat_tensor *turned = pleat_transpose(pleat_contiguous(pleat_transpose(t, 1, 2)), 1, 2);
    ck_assert(!pleat_is_contiguous(last) && !pleat_is_contiguous(turned));
    ck_assert_double_eq(pleat_item(pleat_cross_entropy(last, turned)), want);
    pleat_tensor *flat = pleat_reshape(pleat_permute(x, PLEAT_DIMS(0, 2, 3, 1)), PLEAT_SHAPE(40, 3));
    ck_assert_double_eq_tol(pleat_item(pleat_cross_entropy(flat, pleat_reshape(t, PLEAT_SHAPE(40)))), want, 1e-15);
    /* one line, without a batch */
    const int64_t two = 2;
    pleat_tensor *line = pleat_arange(0, 4, 1, PLEAT_F64), *target = pleat_from_data(&two, PLEAT_SHAPE(), PLEAT_I64);
    ck_assert_double_eq_tol(pleat_item(pleat_cross_entropy(line, target)), log(exp(-2) + exp(-1) + 1 + exp(1)), 1e-15);
}
END_TEST

START_TEST(far_from_zero)
{
    const float data[] = { 1e4f, 1e4f + 2, -1e4f, 88, -INFINITY, 90 };
    const int64_t targets[] = { 0, 2 };
    pleat_tensor *x = pleat_set_requires_grad(pleat_from_data(data, PLEAT_SHAPE(2, 3), PLEAT_F32), true);
    pleat_tensor *t = pleat_from_data(targets, PLEAT_SHAPE(2), PLEAT_I64);
    pleat_tensor *loss = pleat_cross_entropy(x, t);
    ck_assert_double_eq_tol(pleat_item(loss), (2 + 2 * log1p(exp(-2))) / 2, 1e-6);
    ck_assert_ok(pleat_backward(loss));
    const double p = 1 / (1 + exp(-2.0)), want[] = { -p / 2, p / 2, 0, (1 - p) / 2, 0, (p - 1) / 2 };
    for (int i = 0; i < 6; i++)
        ck_assert_double_eq_tol((double)pleat_data_f32(pleat_grad(x))[i], want[i], 1e-7);
}
END_TEST

START_TEST(gradients)
{
    const pleat_shape shapes[] = { PLEAT_SHAPE(4, 3, 1), PLEAT_SHAPE(2, 3, 2) };
    pleat_seed(3);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int number = 0; number < CASES; number++) {
            loss_case l = case_of(number, shapes[i], PLEAT_F64);
            pleat_tensor *x = pleat_set_requires_grad(pleat_randn(shapes[i], PLEAT_F64), true);
            ck_assert_ok(pleat_gradcheck(call, &l, &x, 1, NULL));
            ck_assert_ok(pleat_gradgradcheck(call, &l, &x, 1, NULL));
        }
}
END_TEST

START_TEST(fused_against_ops)
{
    const pleat_shape shapes[] = { PLEAT_SHAPE(30, 17, 1), PLEAT_SHAPE(3, 21, 45) };
    pleat_seed(4);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int number = 0; number < CASES; number++) {
            const loss_case l = case_of(number, shapes[i], PLEAT_F32);
            pleat_tensor *x = pleat_set_requires_grad(pleat_randn(shapes[i], PLEAT_F32), true), *fused, *ops;
            pleat_tensor *y = pleat_sum(pleat_cross_entropy_with(x, l.target, &l.opts));
            ck_assert_ok(pleat_gradients(&y, 1, &x, 1, &(pleat_gradients_opts){ .keep = true }, &fused));
            ck_assert_ok(pleat_gradients(&y, 1, &x, 1, &(pleat_gradients_opts){ .record = true }, &ops));
            ck_assert(pleat_allclose(fused, ops, 1e-6, 1e-6));
        }
}
END_TEST

static pleat_tensor *value_and_gradient(void *user)
{
    const loss_case *l = user;
    pleat_tensor *x = l->opts.weight, *g, *y = pleat_cross_entropy(x, l->target);
    ck_assert_ok(pleat_gradients(&y, 1, &x, 1, NULL, &g));
    return pleat_add(g, pleat_detach(y));
}

START_TEST(any_threads)
{
    pleat_tensor *x = pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(7, 11, 13), PLEAT_F32), true);
    same_for_any_threads(value_and_gradient, &(loss_case){ pleat_randint(0, 11, PLEAT_SHAPE(7, 13)), { .weight = x } });
}
END_TEST

/* What the two others make of the same numbers: nll_loss of log_softmax, and probabilities that are all in one class.
 */
START_TEST(three_ways)
{
    pleat_seed(6);
    for (int number = 0; number < CASES; number++) {
        loss_case l = case_of(number, PLEAT_SHAPE(4, 3, 5), PLEAT_F64);
        pleat_tensor *x = pleat_randn(PLEAT_SHAPE(4, 3, 5), PLEAT_F64);
        if (l.opts.label_smoothing == 0)
            ck_assert(pleat_allclose(pleat_nll_loss(pleat_log_softmax(x, 1), l.target, &l.opts),
                                     pleat_cross_entropy_with(x, l.target, &l.opts), 1e-13, 1e-13));
        if (l.opts.ignore || (l.opts.weight && l.opts.reduction == PLEAT_REDUCE_MEAN))
            continue; /* the mean is another with weights */
        pleat_tensor *one_hot = pleat_zeros(PLEAT_SHAPE(4, 3, 5), PLEAT_F64);
        double *p = pleat_data_mut(one_hot);
        for (int64_t i = 0; i < 20; i++)
            p[(i / 5 * 3 + pleat_data_i64(l.target)[i]) * 5 + i % 5] = 1;
        ck_assert(pleat_allclose(pleat_cross_entropy_with(x, one_hot, &l.opts),
                                 pleat_cross_entropy_with(x, l.target, &l.opts), 1e-13, 1e-13));
    }
}
END_TEST

START_TEST(nothing_counted)
{
    pleat_tensor *x = pleat_set_requires_grad(pleat_zeros(PLEAT_SHAPE(0, 3), PLEAT_F32), true);
    pleat_tensor *t = pleat_zeros(PLEAT_SHAPE(0), PLEAT_I64), *y = pleat_cross_entropy(x, t);
    ck_assert(isnan(pleat_item(y))); /* the mean of nothing, as in PyTorch */
    ck_assert_ok(pleat_backward(y));
    ck_assert_double_eq(
        pleat_item(pleat_cross_entropy_with(x, t, &(pleat_cross_entropy_opts){ .reduction = PLEAT_REDUCE_SUM })), 0);
}
END_TEST

START_TEST(refused)
{
    pleat_tensor *x = pleat_zeros(PLEAT_SHAPE(2, 3), PLEAT_F32), *t = pleat_full(PLEAT_SHAPE(2), 1, PLEAT_I64);
    const int64_t high[] = { 2, 3 }, low[] = { -1, 0 };
    ck_assert_ptr_null(pleat_cross_entropy(x, pleat_from_data(high, PLEAT_SHAPE(2), PLEAT_I64)));
    ck_assert_failed(PLEAT_EINVAL, "cross_entropy: target 3 at 1 is out of range for 3 classes");
    ck_assert_ptr_null(pleat_cross_entropy(x, pleat_from_data(low, PLEAT_SHAPE(2), PLEAT_I64)));
    ck_assert_failed(PLEAT_EINVAL, "target -1 at 0");
    ck_assert_ptr_null(pleat_cross_entropy(x, pleat_zeros(PLEAT_SHAPE(3), PLEAT_I64)));
    ck_assert_failed(PLEAT_ESHAPE, "target (3,) must be (2,), the input (2, 3) without its 3 classes");
    ck_assert_ptr_null(pleat_cross_entropy(x, pleat_zeros(PLEAT_SHAPE(2, 1), PLEAT_I64)));
    ck_assert_failed(PLEAT_ESHAPE, "target (2, 1)");
    ck_assert_ptr_null(pleat_cross_entropy(pleat_scalar(1, PLEAT_F32), t));
    ck_assert_failed(PLEAT_ESHAPE, "input ()");
    ck_assert_ptr_null(pleat_cross_entropy(x, NULL));
    ck_assert_failed(PLEAT_EINVAL, "NULL");
    pleat_cross_entropy_opts o = { .weight = pleat_ones(PLEAT_SHAPE(2), PLEAT_F32) };
    ck_assert_ptr_null(pleat_cross_entropy_with(x, t, &o));
    ck_assert_failed(PLEAT_ESHAPE, "weight (2,) must be (3,), one for each class of input (2, 3)");
    o.weight = pleat_ones(PLEAT_SHAPE(3), PLEAT_F64);
    ck_assert_ptr_null(pleat_cross_entropy_with(x, t, &o));
    ck_assert_failed(PLEAT_EDTYPE, "float64");
    ck_assert_ptr_null(pleat_cross_entropy(x, pleat_ones(PLEAT_SHAPE(3, 2), PLEAT_F32)));
    ck_assert_failed(PLEAT_ESHAPE,
                     "cross_entropy: target (3, 2) must be probabilities of the input's shape (2, 3), or int64");
    o = (pleat_cross_entropy_opts){ .ignore = true };
    ck_assert_ptr_null(pleat_cross_entropy_with(x, pleat_ones(PLEAT_SHAPE(2, 3), PLEAT_F32), &o));
    ck_assert_failed(PLEAT_EINVAL, "ignore_index");
    ck_assert_ptr_null(pleat_cross_entropy(x, pleat_ones(PLEAT_SHAPE(2, 3), PLEAT_F64)));
    ck_assert_failed(PLEAT_EDTYPE, "float64");
    ck_assert_ptr_null(pleat_nll_loss(x, pleat_from_data(high, PLEAT_SHAPE(2), PLEAT_I64), NULL));
    ck_assert_failed(PLEAT_EINVAL, "nll_loss: target 3 at 1 is out of range for 3 classes");
    o = (pleat_cross_entropy_opts){ .label_smoothing = 1.5 };
    ck_assert_ptr_null(pleat_cross_entropy_with(x, t, &o));
    ck_assert_failed(PLEAT_EINVAL, "label_smoothing must be from 0 to 1, not 1.5");
    o = (pleat_cross_entropy_opts){ .weight = pleat_set_requires_grad(pleat_ones(PLEAT_SHAPE(3), PLEAT_F32), true) };
    ck_assert_int_eq(pleat_backward(pleat_cross_entropy_with(x, t, &o)), PLEAT_EGRAD);
    ck_assert_failed(PLEAT_EGRAD, "cross_entropy: has no gradient by the class weights");
}
END_TEST

RUN_TESTS("cross_entropy", against_naive, shapes_and_strides, far_from_zero, gradients, fused_against_ops, any_threads,
          three_ways, nothing_counted, refused)
