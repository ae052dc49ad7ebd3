/* The kernels' own exp, log and so on against the C library in long double, in units in the last place: over all bit
 * patterns, and densely where the functions do something. The bounds are just above what
 * kernels/math_body.h states. */
#include "kernels/elementwise.h"

#include "support/run.h"

#include <math.h>
#include <string.h>

enum { N = 200000 };

static uint64_t seed;

static uint64_t next(void)
{
    seed += 0x9e3779b97f4a7c15;
    uint64_t z = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static double uniform(double low, double high)
{
    return low + (high - low) * (double)(next() >> 11) * 0x1p-53;
}

static long double sigmoidl(long double x)
{
    return x < 0 ? expl(x) / (1 + expl(x)) : 1 / (1 + expl(-x));
}

typedef struct {
    const char *name;
    size_t offset; /* of the row in the table */
    long double (*want)(long double);
    double low, high;        /* where to look densely */
    bool above;              /* defined for x > -1 alone */
    bool to_one;             /* its results end at 1 and -1 */
    double bound32, bound64; /* ulps */
} function;

#define ROW(name) #name, offsetof(struct pleat_elementwise_kernels, name)
static const function functions[] = {
    { ROW(exp), expl, -110, 90, false, false, 1.1, 1.0 }, { ROW(expm1), expm1l, -3, 3, false, false, 1.6, 2.0 },
    { ROW(log), logl, 0, 3, false, false, 1.0, 0.9 },     { ROW(log1p), log1pl, -1, 3, true, false, 1.6, 1.5 },
    { ROW(tanh), tanhl, -12, 12, false, true, 3.4, 3.5 }, { ROW(sigmoid), sigmoidl, -100, 100, false, true, 2.4, 2.4 },
    { ROW(erf), erfl, -4, 4, false, true, 2.2, 1.9 },     { ROW(sin), sinl, -30, 30, false, true, 1.5, 1.5 },
    { ROW(cos), cosl, -30, 30, false, true, 1.5, 1.5 },
};

static pleat_row_fn row_of(const function *f, int which)
{
    pleat_row_fn row[2];
    memcpy(row, (const char *)pleat_kernels_get()->elementwise + f->offset, sizeof row);
    return row[which];
}

/* The distance in ulps of the wanted value's binade; 0 where both are the same infinity or NaN. */
static double ulps(double got, long double want, int digits, int lowest, double largest)
{
    if (isnan(want))
        return isnan(got) ? 0 : INFINITY;
    if (fabsl(want) > largest * (1 + ldexpl(1, -digits - 1)))
        want = copysignl(INFINITY, want);
    if (isinf(want))
        return got == (double)want ? 0 : INFINITY;
    int e = 0;
    frexpl(want, &e);
    const int unit = want == 0 || e - digits < lowest ? lowest : e - digits;
    return (double)(fabsl((long double)got - want) / ldexpl(1, unit));
}

static const double specials[] = { 0.0,
                                   -0.0,
                                   1,
                                   -1,
                                   INFINITY,
                                   -INFINITY,
                                   NAN,
                                   0.55,
                                   0.54999,
                                   1.0000001,
                                   88.72283,
                                   88.72284,
                                   -87.33655,
                                   -103.97,
                                   -103.98,
                                   -104.5,
                                   709.78271289338397,
                                   709.7827128933841,
                                   710.5,
                                   -708.39,
                                   -745.13,
                                   -745.14,
                                   1e-300,
                                   1e-320,
                                   5e-324,
                                   1.4e-45,
                                   1e-40,
                                   1e300,
                                   3.4e38,
                                   0.70710678,
                                   1.41421356,
                                   20,
                                   -20,
                                   40,
                                   -40,
                                   4,
                                   6,
                                   5.9,
                                   3.92 };
enum { SPECIALS = sizeof specials / sizeof *specials };

START_TEST(float32)
{
    static float x[2 * N + SPECIALS], y[2 * N + SPECIALS];
    const function *f = &functions[_i];
    for (int i = 0; i < N; i++) {
        const uint32_t bits = (uint32_t)next();
        memcpy(&x[i], &bits, 4);
        x[N + i] = (float)uniform(f->low, f->high);
    }
    for (int i = 0; i < SPECIALS; i++)
        x[2 * N + i] = (float)specials[i];
    row_of(f, 0)((void *[]){ y, x }, (int64_t[]){ 1, 1 }, 2 * N + SPECIALS, (double[]){ 0, 0 });
    double worst = 0, at = 0;
    for (int i = 0; i < 2 * N + SPECIALS; i++) {
        if (f->above && !(x[i] > -1))
            continue;
        ck_assert(!f->to_one || !(fabs((double)y[i]) > 1));
        const double e = ulps((double)y[i], f->want((long double)x[i]), 24, -149, 3.4028234663852886e38);
        if (e > worst || isnan(e)) {
            worst = e;
            at = (double)x[i];
        }
    }
    ck_assert_msg(worst <= f->bound32, "%s of %a: %g ulps", f->name, at, worst);
}
END_TEST

START_TEST(float64)
{
    static double x[2 * N + SPECIALS], y[2 * N + SPECIALS];
    const function *f = &functions[_i];
    for (int i = 0; i < N; i++) {
        const uint64_t bits = next();
        memcpy(&x[i], &bits, 8);
        x[N + i] = uniform(f->low, f->high);
    }
    memcpy(x + 2 * N, specials, sizeof specials);
    row_of(f, 1)((void *[]){ y, x }, (int64_t[]){ 1, 1 }, 2 * N + SPECIALS, (double[]){ 0, 0 });
    double worst = 0, at = 0;
    for (int i = 0; i < 2 * N + SPECIALS; i++) {
        if (f->above && !(x[i] > -1))
            continue;
        ck_assert(!f->to_one || !(fabs((double)y[i]) > 1));
        const double e = ulps(y[i], f->want((long double)x[i]), 53, -1074, 1.7976931348623157e308);
        if (e > worst || isnan(e)) {
            worst = e;
            at = x[i];
        }
    }
    ck_assert_msg(worst <= f->bound64, "%s of %a: %g ulps", f->name, at, worst);
}
END_TEST

/* Of floats, whose powers are the kernels' own: all kinds of numbers to whole, broken, large and special exponents. */
START_TEST(power)
{
    static const float exponents[] = { 1.5F, -2.5F, 4, 5, -3, 0.3F, 41, -100, 0, -1e30F, INFINITY, NAN };
    static float x[2 * N + SPECIALS], y[2 * N + SPECIALS];
    const double exponent = (double)exponents[_i];
    for (int i = 0; i < N; i++) {
        const uint32_t bits = (uint32_t)next();
        memcpy(&x[i], &bits, 4);
        x[i] += 0; /* a NaN that signals is none to the power 0 */
        x[N + i] = (float)uniform(-3, 3);
    }
    for (int i = 0; i < SPECIALS; i++)
        x[2 * N + i] = (float)specials[i];
    pleat_kernels_get()->elementwise->power[0]((void *[]){ y, x }, (int64_t[]){ 1, 1 }, 2 * N + SPECIALS,
                                               (double[]){ exponent, 0 });
    for (int i = 0; i < 2 * N + SPECIALS; i++) {
        const long double want = powl((long double)x[i], (long double)exponent);
        ck_assert_msg(ulps((double)y[i], want, 24, -149, 3.4028234663852886e38) <= 0.51 &&
                          (isnan(want) || !signbit(y[i]) == !signbit(want)),
                      "%a to %g: %a", (double)x[i], exponent, (double)y[i]);
    }
}
END_TEST

/* log, sin and cos have a faster way where no argument is special or far: with the same bits. */
START_TEST(both_ways)
{
    static const char *const names[] = { "log", "sin", "cos" };
    enum { MANY = 3000 };
    static float x[MANY], y[2][MANY];
    static double a[MANY], b[2][MANY];
    const function *f = functions;
    while (strcmp(f->name, names[_i]) != 0)
        f++;
    for (int way = 0; way < 2; way++) {
        seed = 1;
        for (int i = 0; i < MANY; i++)
            x[i] = (float)(a[i] = uniform(0.01, 30));
        if (way == 1)
            for (int i = 5; i < MANY; i += 500)
                x[i] = (float)(a[i] = _i == 0 ? 0 : 1e9);
        row_of(f, 0)((void *[]){ y[way], x }, (int64_t[]){ 1, 1 }, MANY, (double[]){ 0, 0 });
        row_of(f, 1)((void *[]){ b[way], a }, (int64_t[]){ 1, 1 }, MANY, (double[]){ 0, 0 });
    }
    for (int i = 0; i < MANY; i++)
        if (i % 500 == 5)
            ck_assert(y[0][i] != y[1][i] && b[0][i] != b[1][i]);
        else
            ck_assert(memcmp(&y[0][i], &y[1][i], sizeof(float)) == 0 &&
                      memcmp(&b[0][i], &b[1][i], sizeof(double)) == 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("math");
    TCase *c = tcase_create("math");
    tcase_set_timeout(c, 60);
    const int n = (int)(sizeof functions / sizeof *functions);
    tcase_add_loop_test(c, float32, 0, n);
    tcase_add_loop_test(c, float64, 0, n);
    tcase_add_loop_test(c, power, 0, 12);
    tcase_add_loop_test(c, both_ways, 0, 3);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
