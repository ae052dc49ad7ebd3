/* argmax and argmin against a naive loop: every dimension of views of every kind; of equals the first, and
 * the first NaN before all. */
#include "support/run.h"
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

RUN_TESTS("argmax", against_naive, nan_and_all)
