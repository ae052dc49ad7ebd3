/* The softmax kernels against naive loops in double, along lines and across them, in ranges that begin and end
 * anywhere. */
#include "kernels/random.h"
#include "kernels/softmax.h"

#include "support/run.h"

#include <math.h>
#include <string.h>

/* (outer, size, inner); behind these come lines of every length to SHORT, in whole vectors of them and a rest */
static const int64_t sizes[][3] = { { 4, 1, 1 },    { 3, 10, 1 },  { 5, 16, 1 },  { 2, 1000, 1 }, { 7, 33, 1 },
                                    { 2, 3, 40 },   { 3, 21, 7 },  { 1, 10, 16 }, { 2, 5, 33 },   { 1, 300, 5 },
                                    { 19, 120, 1 }, { 3, 121, 1 }, { 3, 1025, 1 } };
/* Columns whose steps are so far apart that softmax and its like copy them; the last ones are too long for that. */
static const int64_t apart[][3] = { { 2, 9, 1024 }, { 1, 120, 64 }, { 1, 121, 64 } };
enum { SIZES = sizeof sizes / sizeof *sizes, SHORT = 70, APART = sizeof apart / sizeof *apart };

typedef struct {
    pleat_softmax_work work;
    int64_t lines, numel;
    void *x, *g, *y;
} setup;

static setup make(size_t i, pleat_dtype dtype)
{
    const int64_t row[] = { 39, (int64_t)i - SIZES + 1, 1 };
    const int64_t *shape = i < SIZES ? sizes[i] : i < SIZES + SHORT ? row : apart[i - SIZES - SHORT];
    setup s = { .work = { .dtype = dtype, .size = shape[1], .inner = shape[2] }, .lines = shape[0] * shape[2] };
    s.work.lines = s.lines;
    s.numel = s.lines * shape[1];
    s.x = calloc((size_t)s.numel, pleat_dtype_size(dtype));
    s.g = calloc((size_t)s.numel, pleat_dtype_size(dtype));
    s.y = calloc((size_t)s.numel, pleat_dtype_size(dtype));
    pleat_kernels_get()->random->normal(&(pleat_random_work){ s.x, dtype, 1, i, 10, 4 }, 0, s.numel);
    pleat_kernels_get()->random->normal(&(pleat_random_work){ s.g, dtype, 2, i, 0, 1 }, 0, s.numel);
    s.work.x = s.x;
    s.work.g = s.g;
    s.work.y = s.y;
    return s;
}

static void done(setup *s)
{
    free(s->x);
    free(s->g);
    free(s->y);
}

static double at(const void *data, pleat_dtype dtype, int64_t i)
{
    return dtype == PLEAT_F32 ? (double)((const float *)data)[i] : ((const double *)data)[i];
}

static int64_t place(const setup *s, int64_t line, int64_t c)
{
    return (line / s->work.inner * s->work.size + c) * s->work.inner + line % s->work.inner;
}

static double naive_lse(const setup *s, int64_t line)
{
    double sum = 0;
    for (int64_t c = 0; c < s->work.size; c++)
        sum += exp(at(s->x, s->work.dtype, place(s, line, c)));
    return log(sum);
}

typedef void (*kernel_fn)(const pleat_softmax_work *, int64_t, int64_t);

/* In three ranges, so that none may write where another did. */
static void run(kernel_fn kernel, const setup *s)
{
    kernel(&s->work, s->lines / 3 + 1, s->lines);
    kernel(&s->work, 0, s->lines / 3);
    kernel(&s->work, s->lines / 3, s->lines / 3 + 1);
}

START_TEST(values_and_gradients)
{
    const struct pleat_softmax_kernels *k = pleat_kernels_get()->softmax;
    for (size_t i = 0; i < SIZES + SHORT + APART; i++)
        for (int dtype = PLEAT_F32; dtype <= PLEAT_F64; dtype++) {
            setup s = make(i, (pleat_dtype)dtype);
            const double tolerance = dtype == PLEAT_F32 ? 4e-6 : 1e-14;
            for (int kind = 0; kind < 4; kind++) {
                const kernel_fn kernels[] = { k->log_softmax, k->softmax, k->log_softmax_gradient,
                                              k->softmax_gradient };
                run(kernels[kind], &s); /* the gradients take x for a result: any numbers do */
                for (int64_t line = 0; line < s.lines; line++) {
                    const double lse = naive_lse(&s, line);
                    double sum = 0, dot = 0;
                    for (int64_t c = 0; c < s.work.size; c++) {
                        const double g = at(s.g, s.work.dtype, place(&s, line, c));
                        sum += g;
                        dot += g * at(s.x, s.work.dtype, place(&s, line, c));
                    }
                    for (int64_t c = 0; c < s.work.size; c++) {
                        const int64_t p = place(&s, line, c);
                        const double x = at(s.x, s.work.dtype, p), g = at(s.g, s.work.dtype, p);
                        const double want[] = { x - lse, exp(x - lse), g - exp(x) * sum, x * (g - dot) };
                        const double terms = 10 + (double)s.work.size,
                                     scale[] = { 10, 1, 1 + exp(x) * terms, (1 + fabs(x)) * terms * 4 };
                        ck_assert_double_eq_tol(at(s.y, s.work.dtype, p), want[kind], tolerance * scale[kind]);
                    }
                }
            }
            done(&s);
        }
}
END_TEST

START_TEST(cross_entropy)
{
    const struct pleat_softmax_kernels *k = pleat_kernels_get()->softmax;
    for (size_t i = 0; i < SIZES + SHORT; i++)
        for (int dtype = PLEAT_F32; dtype <= PLEAT_F64; dtype++)
            for (int weighted = 0; weighted < 2; weighted++) {
                setup s = make(i, (pleat_dtype)dtype);
                const double tolerance = dtype == PLEAT_F32 ? 2e-6 : 1e-14;
                const size_t n = (size_t)s.lines;
                double *numbers = calloc(5 * n, sizeof *numbers), *lse = numbers, *distance = lse + n,
                       *soft = distance + n, *hit = soft + n, *even = hit + n;
                int64_t *target = calloc(n, sizeof *target);
                void *weight = weighted ? calloc((size_t)s.work.size, sizeof(double)) : NULL;
                if (weight)
                    pleat_kernels_get()->random->uniform(&(pleat_random_work){ weight, s.work.dtype, 3, i, 0, 1 }, 0,
                                                         s.work.size);
                for (int64_t line = 0; line < s.lines; line++) {
                    target[line] = line % 5 == 4 ? -100 : line * 7 % s.work.size;
                    soft[line] = line % 3 ? 0.5 + (double)line / 100 : 0;
                    hit[line] = line % 3 ? 0.25 : 0;
                    even[line] = line % 3 == 1 ? 0.01 : 0;
                }
                s.work.lse_out = lse;
                s.work.lse = lse;
                s.work.distance = distance;
                s.work.weight = weight;
                s.work.target = target;
                s.work.soft = soft;
                s.work.hit = hit;
                s.work.even = even;
                run(k->lse, &s);
                run(k->cross_entropy_gradient, &s);
                for (int64_t line = 0; line < s.lines; line++) {
                    const double want = naive_lse(&s, line);
                    double far = 0;
                    ck_assert_double_eq_tol(lse[line], want, tolerance * 10);
                    for (int64_t c = 0; c < s.work.size; c++) {
                        const int64_t p = place(&s, line, c);
                        const double w = weight ? at(weight, s.work.dtype, c) : 1, x = at(s.x, s.work.dtype, p);
                        far += w * (want - x);
                        const double gradient =
                            soft[line] * exp(x - want) - (c == target[line] ? hit[line] : 0) - even[line] * w;
                        ck_assert_double_eq_tol(at(s.y, s.work.dtype, p), gradient, tolerance);
                    }
                    ck_assert_double_eq_tol(distance[line], far, tolerance * 10 * (double)s.work.size);
                }
                free(numbers);
                free(target);
                free(weight);
                done(&s);
            }
}
END_TEST

/* Where soft is 0 nothing of x counts, not even NaN. */
START_TEST(ignored_lines)
{
    const float x[] = { NAN, INFINITY, 1 };
    float y[3] = { 7, 7, 7 };
    const double zero = 0;
    const int64_t target = -100;
    const pleat_softmax_work work = { .dtype = PLEAT_F32,
                                      .size = 3,
                                      .inner = 1,
                                      .x = x,
                                      .y = y,
                                      .lse = &(double){ NAN },
                                      .target = &target,
                                      .soft = &zero,
                                      .hit = &zero,
                                      .even = &zero };
    pleat_kernels_get()->softmax->cross_entropy_gradient(&work, 0, 1);
    for (int i = 0; i < 3; i++)
        ck_assert(y[i] == 0);
}
END_TEST

/* Lines that hold infinities or a NaN, or nothing but -infinity, between others that are none the worse for it. */
START_TEST(special_lines)
{
    const struct pleat_softmax_kernels *k = pleat_kernels_get()->softmax;
    for (size_t i = SIZES; i < SIZES + SHORT; i++) {
        setup s = make(i, PLEAT_F32);
        const int64_t size = s.work.size;
        float *x = s.x, *y = s.y;
        const float odd[] = { 0, INFINITY, NAN, -INFINITY };
        for (int64_t line = 0; line < s.lines; line++)
            for (int64_t c = 0; line % 4 && c < size; c++)
                if (c == line % size || (line % 8 == 3 && size > 1))
                    x[line * size + c] = odd[line % 4];
        for (int log = 0; log < 2; log++) {
            run(log ? k->log_softmax : k->softmax, &s);
            for (int64_t line = 0; line < s.lines; line++) {
                const bool none = line % 8 == 3 || (line % 4 == 3 && size == 1);
                const double lse = line % 4 == 3 && none ? NAN : naive_lse(&s, line);
                for (int64_t c = 0; c < size; c++) {
                    const double v = (double)y[line * size + c], l = (double)x[line * size + c] - lse;
                    if (line % 4 == 1) /* the others, and the infinity itself */
                        ck_assert(isnan(v) || (c != line % size && v == (log ? -(double)INFINITY : 0)));
                    else if (isnan(l))
                        ck_assert_double_nan(v);
                    else if (isinf(l))
                        ck_assert(v == (log ? l : 0));
                    else
                        ck_assert_double_eq_tol(v, log ? l : exp(l), 4e-5);
                }
            }
        }
        done(&s);
    }
}
END_TEST

RUN_TESTS("softmax kernels", values_and_gradients, cross_entropy, ignored_lines, special_lines)
