/* Rows and walks of the elementwise kernels: each row against C in double, for every combination of strides, and any
 * cut of a run giving the same bits. The accuracy of exp and its like is test_math.c's. */
#include "kernels/elementwise.h"

#include "support/run.h"

#include <math.h>
#include <string.h>

enum { N = 143, MOST_STRIDE = 3, SIZE = N * MOST_STRIDE };

#define WANT(name, expression)                                                                                         \
    static double name(const double *x, const double *p)                                                               \
    {                                                                                                                  \
        (void)p;                                                                                                       \
        return expression;                                                                                             \
    }
WANT(add, x[0] + x[1])
WANT(sub, x[0] - x[1])
WANT(mul, x[0] * x[1])
WANT(divide, x[0] / x[1])
WANT(add_scaled, x[0] + p[0] * x[1])
WANT(scale, p[0] * x[0])
WANT(affine, p[0] * x[0] + p[1])
WANT(negate, -x[0])
WANT(exponential, exp(x[0]))
WANT(logarithm, log(x[0]))
WANT(root, sqrt(x[0]))
WANT(power_0, pow(x[0], 0))
WANT(power_1, pow(x[0], 1))
WANT(power_2, pow(x[0], 2))
WANT(power_3, pow(x[0], 3))
WANT(power_m1, pow(x[0], -1))
WANT(power_m3, pow(x[0], -3))
WANT(power_half, pow(x[0], 0.5))
WANT(power_mhalf, pow(x[0], -0.5))
WANT(power, pow(x[0], p[0]))
WANT(clamp, isnan(x[0]) ? x[0] : fmin(fmax(x[0], p[0]), p[1]))
WANT(clamp_grad, x[1] > p[0] && x[1] < p[1] ? x[0] : 0)
WANT(relu, x[0] < 0 ? 0 : x[0])
WANT(relu_grad, x[1] <= 0 ? 0 : x[0])

typedef struct {
    const char *name;
    size_t offset; /* of the row in the table */
    int inputs;
    double (*want)(const double *x, const double *p);
    double p, q;
} function;

#define ROW(name) #name, offsetof(struct pleat_elementwise_kernels, name)
static const function functions[] = {
    { ROW(add), 2, add, 0, 0 },
    { ROW(sub), 2, sub, 0, 0 },
    { ROW(mul), 2, mul, 0, 0 },
    { ROW(div), 2, divide, 0, 0 },
    { ROW(add_scaled), 2, add_scaled, -0.75, 0 },
    { ROW(scale), 1, scale, -1.25, 0 },
    { ROW(affine), 1, affine, 1.5, -0.5 },
    { ROW(neg), 1, negate, 0, 0 },
    { ROW(exp), 1, exponential, 0, 0 },
    { ROW(log), 1, logarithm, 0, 0 },
    { ROW(sqrt), 1, root, 0, 0 },
    { ROW(one), 1, power_0, 0, 0 },
    { ROW(identity), 1, power_1, 0, 0 },
    { ROW(square), 1, power_2, 0, 0 },
    { ROW(cube), 1, power_3, 0, 0 },
    { ROW(reciprocal), 1, power_m1, 0, 0 },
    { ROW(power_m3), 1, power_m3, 0, 0 },
    { ROW(power_half), 1, power_half, 0, 0 },
    { ROW(power_mhalf), 1, power_mhalf, 0, 0 },
    { ROW(power), 1, power, 2.5, 0 },
    { ROW(power), 1, power, -3, 0 },
    { ROW(power), 1, power, 5, 0 },
    { ROW(clamp), 1, clamp, -0.5, 0.75 },
    { ROW(clamp), 1, clamp, -INFINITY, 0.25 },
    { ROW(clamp_grad), 2, clamp_grad, -0.5, 0.5 },
    { ROW(relu), 1, relu, 0, 0 },
    { ROW(relu_grad), 2, relu_grad, 0, 0 },
};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

static pleat_row_fn row_of(const function *f, int which)
{
    pleat_row_fn row[2];
    memcpy(row, (const char *)pleat_kernels_get()->elementwise + f->offset, sizeof row);
    return row[which];
}

/* Values of both signs that are not special, then the special ones, paired in several ways. */
static double value(int array, int i)
{
    static const double specials[] = { 0.0, -0.0, INFINITY, -INFINITY, NAN, 0.5, -0.5, 1, -1, 0.75 };
    if (i % 3 == 0)
        return specials[(i / 3 + array * (i / 30)) % 10];
    return sin(12.9898 * (i + 1) + 78.233 * array) * 4;
}

static bool close(double got, double want, bool single)
{
    if (isnan(want) || isinf(want) || want == 0)
        return isnan(want) ? isnan(got) : got == want && (want != 0 || !signbit(want) == !signbit(got) || !single);
    return fabs(got - want) <= (single ? 4e-7 : 1e-15) * (1 + fabs(want));
}

static double get(const void *data, int which, int64_t i)
{
    return which ? ((const double *)data)[i] : (double)((const float *)data)[i];
}

static void set(void *data, int which, int64_t i, double v)
{
    if (which)
        ((double *)data)[i] = v;
    else
        ((float *)data)[i] = (float)v;
}

START_TEST(rows)
{
    static double data[3][SIZE];
    static const int64_t steps[] = { 1, 0, 2, MOST_STRIDE };
    const function *f = &functions[_i];
    const double param[2] = { f->p, f->q };
    for (int which = 0; which < 2; which++)
        for (int combination = 0; combination < 64; combination++) {
            const int64_t stride[3] = { combination % 4 == 1 ? 1 : steps[combination % 4], steps[combination / 4 % 4],
                                        steps[combination / 16] };
            if (f->inputs == 1 && combination >= 16)
                break;
            for (int k = 0; k < 3; k++)
                for (int i = 0; i < SIZE; i++)
                    set(data[k], which, i, value(k, i));
            row_of(f, which)((void *[]){ data[0], data[1], data[2] }, stride, N, param);
            for (int i = 0; i < SIZE; i++) {
                const int64_t n = i / stride[0];
                const double got = get(data[0], which, i), was = which ? value(0, i) : (double)(float)value(0, i);
                if (i % stride[0] || n >= N) { /* nothing beside the run is touched */
                    ck_assert(got == was || isnan(was));
                    continue;
                }
                const double x[2] = { get(data[1], which, n * stride[1]), get(data[2], which, n * stride[2]) };
                ck_assert_msg(close(got, f->want(x, param), !which),
                              "%s f%d, strides %d %d %d: of %g, %g is %g, not %g", f->name, which ? 64 : 32,
                              (int)stride[0], (int)stride[1], (int)stride[2], x[0], x[1], got, f->want(x, param));
            }
        }
}
END_TEST

/* Wherever a run is cut, and whatever the strides: the same bits. In place as well. */
START_TEST(same_bits)
{
    static double data[3][SIZE], whole[SIZE], cut[SIZE], spread[SIZE];
    const function *f = &functions[_i];
    const double param[2] = { f->p, f->q };
    for (int which = 0; which < 2; which++) {
        const size_t width = which ? 8 : 4;
        for (int k = 0; k < 3; k++)
            for (int i = 0; i < SIZE; i++)
                set(data[k], which, i, value(k, i));
        const pleat_row_fn row = row_of(f, which);
        const int64_t dense[3] = { 1, 1, 1 };
        row((void *[]){ whole, data[1], data[2] }, dense, N, param);
        for (int64_t at = 0, n = 1; at < N; at += n, n = n % 7 + 1)
            row((void *[]){ (char *)cut + (size_t)at * width, (char *)data[1] + (size_t)at * width,
                            (char *)data[2] + (size_t)at * width },
                dense, at + n > N ? N - at : n, param);
        ck_assert_mem_eq(whole, cut, N * width);
        row((void *[]){ spread, data[1], data[2] }, (int64_t[]){ 2, 1, 1 }, N, param);
        for (size_t i = 0; i < N; i++)
            ck_assert_mem_eq((char *)whole + i * width, (char *)spread + 2 * i * width, width);
        row((void *[]){ data[1], data[1], data[2] }, dense, N, param);
        ck_assert_mem_eq(whole, data[1], N * width);
    }
}
END_TEST

static int64_t offset_of(const pleat_map_work *w, int k, int64_t element)
{
    int64_t at = 0;
    for (int d = w->ndim - 1; d >= 0; d--) {
        at += element % w->dim[d] * w->stride[k][d];
        element /= w->dim[d];
    }
    return at;
}

/* The walk: every shape, every cut, against an index computed the long way. What is between is not written to. */
START_TEST(walk)
{
    enum { MOST = 30000 };
    const struct pleat_elementwise_kernels *k = pleat_kernels_get()->elementwise;
    static double data[3][MOST];
    const pleat_map_work works[] = {
        { .ndim = 1, .dim = { 1 }, .stride = { { 1 }, { 1 }, { 1 } } },
        { .ndim = 2, .dim = { 6, 70 }, .stride = { { 70, 1 }, { 1, 6 }, { 0, 1 } } },
        { .ndim = 1, .dim = { 37 }, .stride = { { 1 }, { 1 }, { 0 } } },
        { .ndim = 2, .dim = { 5, 7 }, .stride = { { 7, 1 }, { 1, 5 }, { 0, 1 } } },
        { .ndim = 3, .dim = { 3, 4, 5 }, .stride = { { 20, 5, 1 }, { 1, 3, 12 }, { 0, 1, 0 } } },
        { .ndim = 4, .dim = { 2, 3, 4, 9 }, .stride = { { 108, 36, 9, 1 }, { 400, 120, 20, 2 }, { 9, 0, 0, 1 } } },
        { .ndim = 2, .dim = { 0, 7 }, .stride = { { 7, 1 }, { 7, 1 }, { 7, 1 } } },
        { .ndim = 2, .dim = { 400, 28 }, .stride = { { 28, 1 }, { 28, 1 }, { 0, 1 } } }, /* one run for all */
        { .ndim = 2, .dim = { 400, 28 }, .stride = { { 28, 1 }, { 1, 0 }, { 28, 1 } } },
        { .ndim = 2, .dim = { 400, 28 }, .stride = { { 1, 400 }, { 28, 1 }, { 1, 400 } } },
        { .ndim = 3, .dim = { 3, 70, 130 }, .stride = { { 9100, 130, 1 }, { 9100, 1, 70 }, { 0, 0, 2 } } }, /* tiles */
        { .ndim = 3, .dim = { 2, 5, 64 }, .stride = { { 320, 64, 1 }, { 1, 128, 2 }, { 64, 0, 1 } } },
        { .ndim = 2, .dim = { 133, 67 }, .stride = { { 1, 133 }, { 1, 133 }, { 67, 1 } } },
        { .ndim = 2, .dim = { 133, 67 }, .stride = { { 67, 1 }, { 1, 140 }, { 1, 133 } }, .columns = true },
        { .ndim = 2, .dim = { 1200, 9 }, .stride = { { 9, 1 }, { 1, 1200 }, { 1, 1200 } }, .columns = true },
        { .ndim = 3, .dim = { 3, 70, 6 }, .stride = { { 420, 6, 1 }, { 420, 1, 70 }, { 6, 0, 0 } }, .columns = true },
    };
    for (size_t i = 0; i < 2 * sizeof works / sizeof *works; i++) {
        const int which = i % 2;
        pleat_map_work w = works[i / 2];
        w.row = k->add[which];
        w.arrays = 3;
        int64_t numel = 1;
        for (int d = 0; d < w.ndim; d++)
            numel *= w.dim[d];
        for (int j = 0; j < 3; j++) {
            w.data[j] = data[j];
            w.width[j] = which ? 8 : 4;
            for (int e = 0; e < MOST; e++)
                set(data[j], which, e, (j + 1) * e + j);
        }
        for (int64_t grain = 1; grain < 2 * numel + 8; grain = grain < 50 ? grain + 7 : grain * 5) {
            for (int e = 0; e < MOST; e++)
                set(data[0], which, e, -1);
            for (int64_t at = 0; at < numel; at += grain)
                k->map(&w, at, at + grain < numel ? at + grain : numel);
            for (int64_t e = 0; e < numel; e++) {
                const int64_t y = offset_of(&w, 0, e);
                ck_assert(get(data[0], which, (int)y) == get(data[1], which, (int)offset_of(&w, 1, e)) +
                                                             get(data[2], which, (int)offset_of(&w, 2, e)));
                set(data[0], which, (int)y, -1);
            }
            for (int e = 0; e < MOST; e++)
                ck_assert(get(data[0], which, e) == -1);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("elementwise kernels");
    TCase *c = tcase_create("elementwise");
    tcase_add_loop_test(c, rows, 0, FUNCTIONS);
    tcase_add_loop_test(c, same_bits, 0, FUNCTIONS);
    tcase_add_test(c, walk);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
