/* Comparisons, where, maximum and minimum: against C's operators, in every dtype, broadcast, on views of every kind. */
#include "support/run.h"
#include "support/views.h"

#include <math.h>
#include <string.h>

typedef pleat_tensor *(*binary)(pleat_tensor *, pleat_tensor *);
static const binary comparisons[] = { pleat_eq, pleat_ne, pleat_lt, pleat_le, pleat_gt, pleat_ge };

static bool want(int i, double a, double b)
{
    const bool answers[] = { a == b, a != b, a<b, a <= b, a> b, a >= b };
    return answers[i];
}

static const pleat_shape pairs[][2] = {
    { { 0, { 0 } }, { 0, { 0 } } },       { { 1, { 100 } }, { 1, { 100 } } },      { { 2, { 3, 70 } }, { 1, { 1 } } },
    { { 2, { 3, 5 } }, { 2, { 3, 1 } } }, { { 3, { 4, 1, 6 } }, { 2, { 3, 1 } } }, { { 2, { 0, 5 } }, { 1, { 5 } } },
    { { 0, { 0 } }, { 2, { 3, 70 } } },
};

START_TEST(compare)
{
    for (pleat_dtype dtype = PLEAT_F32; dtype <= PLEAT_U8; dtype++)
        for (int p = 0; p < (int)(sizeof pairs / sizeof *pairs); p++)
            for (int kind = 0; kind < VIEW_KINDS; kind++)
                for (int i = 0; i < 6; i++) {
                    const pleat_scope scope = pleat_scope_begin();
                    pleat_tensor *a = random_view(pairs[p][0], dtype, kind),
                                 *b = random_view(pairs[p][1], dtype, p % VIEW_KINDS);
                    if (kind == 0 && dtype <= PLEAT_F64) { /* whole numbers, so that many are equal */
                        a = pleat_round(a);
                        b = pleat_round(b);
                    }
                    pleat_shape shape;
                    ck_assert_ok(pleat_broadcast(pairs[p][0], pairs[p][1], &shape));
                    pleat_tensor *y = comparisons[i](a, b);
                    ck_assert_msg(y != NULL, "%s", pleat_error());
                    ck_assert(pleat_dtype_of(y) == PLEAT_U8 && pleat_shape_equal(pleat_shape_of(y), shape));
                    for (int64_t e = 0; e < pleat_numel(y); e++)
                        ck_assert(element(y, shape, e) == want(i, element(a, shape, e), element(b, shape, e)));
                    ck_assert_ok(pleat_scope_end(scope));
                }
}
END_TEST

START_TEST(compare_nan)
{
    pleat_tensor *nan = pleat_scalar(NAN, PLEAT_F32);
    for (int i = 0; i < 6; i++)
        ck_assert(pleat_data_u8(comparisons[i](nan, nan))[0] == (i == 1));
    ck_assert_ptr_null(pleat_eq(nan, pleat_scalar(1, PLEAT_F64)));
    ck_assert_failed(PLEAT_EDTYPE, "eq: input 0 is float32 and input 1 is float64");
    ck_assert(!pleat_requires_grad(pleat_gt(pleat_set_requires_grad(nan, true), nan)));
}
END_TEST

START_TEST(where)
{
    static const pleat_shape triples[][3] = {
        { { 1, { 90 } }, { 1, { 90 } }, { 1, { 90 } } }, { { 2, { 3, 1 } }, { 1, { 4 } }, { 0, { 0 } } },
        { { 0, { 0 } }, { 2, { 3, 5 } }, { 1, { 5 } } }, { { 3, { 2, 1, 70 } }, { 2, { 3, 70 } }, { 2, { 3, 1 } } },
        { { 1, { 0 } }, { 1, { 1 } }, { 1, { 1 } } },    { { 1, { 90 } }, { 0, { 0 } }, { 1, { 90 } } },
    };
    for (pleat_dtype dtype = PLEAT_F32; dtype <= PLEAT_U8; dtype++)
        for (int t = 0; t < 6; t++)
            for (int kind = 0; kind < VIEW_KINDS; kind++) {
                const pleat_scope scope = pleat_scope_begin();
                pleat_tensor *c = random_view(triples[t][0], PLEAT_U8, kind),
                             *a = random_view(triples[t][1], dtype, kind);
                pleat_tensor *b = random_view(triples[t][2], dtype, (kind + 1) % VIEW_KINDS);
                pleat_tensor *y = pleat_where(c, a, b);
                pleat_shape shape;
                ck_assert_ok(pleat_broadcast(triples[t][0], triples[t][1], &shape));
                ck_assert_ok(pleat_broadcast(shape, triples[t][2], &shape));
                ck_assert_msg(y && pleat_shape_equal(pleat_shape_of(y), shape), "%s", pleat_error());
                for (int64_t e = 0; e < pleat_numel(y); e++)
                    ck_assert(element(y, shape, e) == element(element(c, shape, e) != 0 ? a : b, shape, e));
                ck_assert_ok(pleat_scope_end(scope));
            }
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(2), PLEAT_F32);
    ck_assert_ptr_null(pleat_where(x, x, x));
    ck_assert_failed(PLEAT_EDTYPE, "where: input 0 is float32");
    ck_assert_ptr_null(pleat_where(pleat_ones(PLEAT_SHAPE(3), PLEAT_U8), x, x));
    ck_assert_failed(PLEAT_ESHAPE, "where: shapes (3,) and (2,)");
}
END_TEST

/* What PyTorch 2.15 gives: ties share, NaN wins and passes the gradient to both. */
START_TEST(extremes)
{
    pleat_tensor *a = pleat_from_data((float[]){ 1, NAN, 2, 2 }, PLEAT_SHAPE(4), PLEAT_F32);
    pleat_tensor *b = pleat_from_data((float[]){ NAN, 1, 2, 3 }, PLEAT_SHAPE(4), PLEAT_F32);
    pleat_set_requires_grad(a, true);
    pleat_set_requires_grad(b, true);
    pleat_tensor *y = pleat_maximum(a, b);
    const float *p = pleat_data_f32(y);
    ck_assert(isnan(p[0]) && isnan(p[1]) && p[2] == 2 && p[3] == 3);
    ck_assert_ok(pleat_backward(pleat_sum(y)));
    const float ga[] = { 1, 1, 0.5f, 0 }, gb[] = { 1, 1, 0.5f, 1 };
    ck_assert_mem_eq(pleat_data_f32(pleat_grad(a)), ga, sizeof ga);
    ck_assert_mem_eq(pleat_data_f32(pleat_grad(b)), gb, sizeof gb);
    y = pleat_minimum(a, b);
    p = pleat_data_f32(y);
    ck_assert(isnan(p[0]) && isnan(p[1]) && p[2] == 2 && p[3] == 2);
    const pleat_shape shape = PLEAT_SHAPE(3, 4, 5);
    for (int kind = 0; kind < VIEW_KINDS; kind++) {
        pleat_tensor *x = random_view(shape, PLEAT_F64, kind), *z = random_view(PLEAT_SHAPE(4, 1), PLEAT_F64, kind);
        pleat_tensor *high = pleat_maximum(x, z), *low = pleat_minimum(x, z);
        for (int64_t e = 0; e < 60; e++) {
            ck_assert(element(high, shape, e) == fmax(element(x, shape, e), element(z, shape, e)));
            ck_assert(element(low, shape, e) == fmin(element(x, shape, e), element(z, shape, e)));
        }
    }
}
END_TEST

RUN_TESTS("comparisons", compare, compare_nan, where, extremes)
