/* argmax and argmin against a naive loop: every dimension of views of every kind; of equals the first, and
 * the first NaN before all. */
#include "support/run.h"
#include "support/threads.h"
#include "support/views.h"

#include <math.h>

static void check(pleat_tensor *x, int dim)
{
    const pleat_shape shape = pleat_shape_of(x);
    pleat_tensor *largest = pleat_argmax(x, dim, true), *smallest = pleat_argmin(x, dim, true);
    ck_assert_msg(largest && smallest, "%s", pleat_error());
    for (int64_t i = 0; i < pleat_numel(largest); i++) {
        int64_t index[PLEAT_MAX_DIMS] = { 0 }, rest = i;
        for (int d = shape.ndim - 1; d >= 0; d--) {
            const int64_t size = d == dim ? 1 : shape.dim[d];
            index[d] = rest % size;
            rest /= size;
        }
        int64_t high = 0, low = 0;
        double most = pleat_at(x, index), least = most;
        for (int64_t k = 1; k < shape.dim[dim]; k++) {
            index[dim] = k;
            const double v = pleat_at(x, index);
            if (!isnan(most) && (v > most || isnan(v)))
                most = v, high = k;
            if (!isnan(least) && (v < least || isnan(v)))
                least = v, low = k;
        }
        ck_assert_int_eq(pleat_data_i64(largest)[i], high);
        ck_assert_int_eq(pleat_data_i64(smallest)[i], low);
    }
}

START_TEST(against_naive)
{
    const pleat_shape shape = PLEAT_SHAPE(5, 7, 6);
    pleat_seed(1);
    for (int kind = 0; kind < VIEW_KINDS; kind++)
        for (int dim = 0; dim < 3; dim++) {
            check(random_view(shape, PLEAT_F32, kind), dim);
            check(random_view(shape, PLEAT_F64, kind), dim);
            check(pleat_randint(-9, 9, shape), dim);
            check(pleat_cast(pleat_randint(0, 3, shape), PLEAT_F32), dim); /* many equals */
        }
}
END_TEST

START_TEST(nan_and_all)
{
    pleat_tensor *x = pleat_randn(PLEAT_SHAPE(4, 5), PLEAT_F32);
    float *p = pleat_data_mut(x);
    p[7] = 50;
    p[12] = -50;
    ck_assert(pleat_item(pleat_argmax_all(x)) == 7 && pleat_item(pleat_argmin_all(x)) == 12);
    p = pleat_data_mut(x);
    p[8] = p[14] = NAN;
    ck_assert(pleat_item(pleat_argmax_all(x)) == 8 && pleat_item(pleat_argmin_all(x)) == 8);
    check(x, 0);
    check(x, 1);
}
END_TEST

/* Widths around vectors and around four of them, along and across; odd numbers, equals among them. */
START_TEST(every_width)
{
    pleat_seed(2);
    for (int64_t n = 1; n <= 140; n += n < 36 ? 1 : 13)
        for (pleat_dtype dtype = PLEAT_F32; dtype <= PLEAT_I64; dtype++) {
            const pleat_scope scope = pleat_scope_begin();
            pleat_tensor *x = pleat_cast(pleat_randint(-4, 4, PLEAT_SHAPE(5, n, 5)), dtype);
            if (dtype != PLEAT_I64) {
                pleat_fill_(pleat_narrow(pleat_select(x, 0, 1), 0, n / 2, 1), (double)NAN);
                pleat_fill_(pleat_select(x, 0, 2), (double)NAN);
                pleat_fill_(pleat_select(x, 0, 3), (double)INFINITY);
                pleat_fill_(pleat_select(x, 0, 4), -(double)INFINITY);
            }
            pleat_tensor *rows = pleat_contiguous(pleat_transpose(x, 1, 2));
            check(x, 1);
            check(rows, 2);
            check(rows, 1);
            check(pleat_transpose(rows, 0, 2), 0);
            check(pleat_narrow(rows, 2, n / 3, n - n / 3), 2);
            check(pleat_narrow(rows, 2, n / 3, n - n / 3), 0);
            pleat_scope_end(scope);
        }
}
END_TEST

/* More than a block: 65536 elements along, 4096 across. The first of equals is in the block that comes first. */
START_TEST(long_ones)
{
    enum { N = 3 * 65536 + 5 };
    pleat_tensor *x = pleat_zeros(PLEAT_SHAPE(N), PLEAT_F32);
    const int64_t at[] = { N - 1, 2 * 65536, 2 * 65536 - 1, 65536, 65535, 40, 0 };
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        pleat_fill_(pleat_narrow(x, 0, at[i], 1), 1);
        ck_assert_double_eq(pleat_item(pleat_argmax_all(x)), (double)at[i]);
        ck_assert_double_eq(pleat_item(pleat_argmin_all(pleat_neg(x))), (double)at[i]);
        ck_assert_double_eq(pleat_item(pleat_argmax_all(pleat_expand(x, PLEAT_SHAPE(2, N)))), (double)at[i]);
    }
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        pleat_fill_(pleat_narrow(x, 0, at[i], 1), (double)NAN);
        ck_assert_double_eq(pleat_item(pleat_argmax_all(x)), (double)at[i]);
        ck_assert_double_eq(pleat_item(pleat_argmin_all(x)), (double)at[i]);
    }
    pleat_tensor *square = pleat_zeros(PLEAT_SHAPE(300, 300), PLEAT_F64), *turned = pleat_transpose(square, 0, 1);
    for (int64_t i = 299; i >= 0; i -= 23) {
        pleat_fill_(pleat_narrow(pleat_select(turned, 0, i), 0, i / 2, 1), 1);
        ck_assert_double_eq(pleat_item(pleat_argmax_all(turned)), (double)(i * 300 + i / 2));
    }
    const int64_t rows[] = { 4095, 4096, 4097, 9001 };
    for (int i = 0; i < 4; i++)
        for (int64_t columns = 1; columns < 40; columns += 19) {
            const pleat_scope scope = pleat_scope_begin();
            check(pleat_randn(PLEAT_SHAPE(rows[i], columns), PLEAT_F32), 0);
            check(pleat_randint(-3000, 3000, PLEAT_SHAPE(rows[i], columns)), 0);
            pleat_scope_end(scope);
        }
}
END_TEST

static pleat_tensor *places(void *user)
{
    pleat_tensor *x = user;
    return pleat_add(pleat_cast(pleat_argmax(x, 0, true), PLEAT_F32), pleat_cast(pleat_argmin_all(x), PLEAT_F32));
}

START_TEST(any_threads)
{
    same_for_any_threads(places, pleat_cast(pleat_randint(-9, 9, PLEAT_SHAPE(5000, 60)), PLEAT_F32));
}
END_TEST

RUN_TESTS("argmax", against_naive, nan_and_all, every_width, long_ones, any_threads)
