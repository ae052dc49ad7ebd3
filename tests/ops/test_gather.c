/* gather, scatter, scatter_add, index_select, index_add and one_hot: strides and dtypes, indices that occur twice,
 * errors that name the place. PyTorch's numbers for them are in golden/move.txt. */
#include "support/run.h"
#include "support/threads.h"
#include "support/views.h"

#include <pleat/op.h>

#include <string.h>

static pleat_tensor *index_of(pleat_shape shape, int64_t below)
{
    pleat_tensor *t = pleat_empty(shape, PLEAT_I64);
    int64_t *to = pleat_data_mut(t);
    for (int64_t i = 0; i < pleat_numel(t); i++)
        to[i] = (i * 5 + i / 7) % below;
    return t;
}

/* y[i][j][k] = x[..., index, ...] one at a time. */
START_TEST(gathers_from_any_view)
{
    pleat_seed(1);
    for (int dim = 0; dim < 3; dim++)
        for (int kind = 0; kind < VIEW_KINDS; kind++) {
            pleat_shape shape = PLEAT_SHAPE(4, 5, 6), many = PLEAT_SHAPE(3, 5, 2);
            many.dim[dim] = 11;
            pleat_tensor *x = random_view(shape, PLEAT_F32, kind), *index = index_of(many, shape.dim[dim]);
            pleat_tensor *y = pleat_gather(x, dim, index);
            for (int64_t n = 0; n < pleat_numel(y); n++) {
                int64_t at[] = { n / (many.dim[1] * many.dim[2]), n / many.dim[2] % many.dim[1], n % many.dim[2] };
                at[dim] = pleat_data_i64(index)[n];
                ck_assert(element(y, many, n) == pleat_at(x, at));
            }
        }
}
END_TEST

/* One index a row, of short rows and of long ones. */
START_TEST(selects_from_any_view)
{
    pleat_seed(2);
    for (int dim = 0; dim < 3; dim++)
        for (int kind = 0; kind < VIEW_KINDS; kind++)
            for (int64_t width = 6; width <= 90; width += 84)
                for (int64_t picks = 1; picks <= 11; picks += 10) {
                    pleat_shape shape = PLEAT_SHAPE(4, 5, width), many = shape;
                    many.dim[dim] = picks;
                    pleat_tensor *x = random_view(shape, PLEAT_F32, kind);
                    pleat_tensor *index = index_of(PLEAT_SHAPE(picks), shape.dim[dim]);
                    pleat_tensor *y = pleat_index_select(x, dim, index);
                    for (int64_t n = 0; n < pleat_numel(y); n++) {
                        int64_t at[] = { n / (many.dim[1] * many.dim[2]), n / many.dim[2] % many.dim[1],
                                         n % many.dim[2] };
                        at[dim] = pleat_data_i64(index)[at[dim]];
                        ck_assert(element(y, many, n) == pleat_at(x, at));
                    }
                }
}
END_TEST

/* The sum in the order of the index, of short rows and of long ones; of some places none, of some most. */
START_TEST(adds_rows_to_any_view)
{
    pleat_seed(3);
    for (int dim = 0; dim < 3; dim++)
        for (int kind = 0; kind <= VIEW_KINDS; kind++)
            for (int64_t width = 6; width <= 90; width += 84)
                for (int64_t picks = 1; picks <= 41; picks += 10) {
                    pleat_shape shape = PLEAT_SHAPE(4, 5, width), many = shape;
                    many.dim[dim] = picks;
                    pleat_tensor *x = kind < VIEW_KINDS
                                          ? random_view(shape, PLEAT_F32, kind)
                                          : pleat_expand(pleat_full(PLEAT_SHAPE(), -0.5, PLEAT_F32), shape);
                    pleat_tensor *src = random_view(many, PLEAT_F32, picks == 1 ? 0 : (kind + 1) % VIEW_KINDS);
                    pleat_tensor *index = index_of(PLEAT_SHAPE(picks), picks == 41 ? 1 : shape.dim[dim]);
                    pleat_tensor *y = pleat_index_add(x, dim, index, src);
                    for (int64_t n = 0; n < pleat_numel(y); n++) {
                        int64_t at[] = { n / (shape.dim[1] * width), n / width % shape.dim[1], n % width };
                        const int64_t place = at[dim];
                        float sum = (float)pleat_at(x, at);
                        for (at[dim] = 0; at[dim] < picks; at[dim]++)
                            if (pleat_data_i64(index)[at[dim]] == place)
                                sum += (float)pleat_at(src, at);
                        ck_assert(element(y, shape, n) == sum);
                    }
                }
}
END_TEST

START_TEST(of_equal_places_the_last_wins)
{
    pleat_tensor *x = pleat_set_requires_grad(pleat_zeros(PLEAT_SHAPE(4), PLEAT_F64), true), *g[2];
    pleat_tensor *src = pleat_set_requires_grad(pleat_arange(1, 6, 1, PLEAT_F64), true);
    pleat_tensor *index = pleat_from_data((int64_t[]){ 2, 0, 2, 0, 3 }, PLEAT_SHAPE(5), PLEAT_I64);
    pleat_tensor *y = pleat_scatter(x, 0, index, src), *z = pleat_scatter_add(x, 0, index, src);
    const double last[] = { 4, 0, 3, 5 }, sums[] = { 6, 0, 4, 5 }, from_x[] = { 0, 1, 0, 0 },
                 from_src[] = { 0, 0, 1, 1, 1 };
    ck_assert_mem_eq(pleat_data_f64(y), last, sizeof last);
    ck_assert_mem_eq(pleat_data_f64(z), sums, sizeof sums);
    pleat_tensor *s = pleat_sum(y);
    ck_assert_ok(pleat_gradients(&s, 1, (pleat_tensor *[]){ x, src }, 2, NULL, g));
    ck_assert_mem_eq(pleat_data_f64(g[0]), from_x, sizeof from_x);
    ck_assert_mem_eq(pleat_data_f64(g[1]), from_src, sizeof from_src);
}
END_TEST

START_TEST(every_dtype)
{
    for (pleat_dtype dtype = PLEAT_F32; dtype <= PLEAT_U8; dtype++) {
        pleat_tensor *x = pleat_reshape(pleat_arange(0, 6, 1, dtype), PLEAT_SHAPE(3, 2));
        pleat_tensor *index = pleat_from_data((int64_t[]){ 2, 0, 2 }, PLEAT_SHAPE(3), PLEAT_I64);
        pleat_tensor *y = pleat_index_select(x, 0, index), *z = pleat_index_add(x, 0, index, y);
        const double rows[] = { 4, 5, 0, 1, 4, 5 }, sums[] = { 0, 2, 2, 3, 12, 15 };
        for (int64_t i = 0; i < 6; i++) {
            ck_assert_double_eq(element(y, PLEAT_SHAPE(3, 2), i), rows[i]);
            ck_assert_double_eq(element(z, PLEAT_SHAPE(3, 2), i), sums[i]);
        }
        pleat_tensor *wide = pleat_repeat(x, PLEAT_SHAPE(1, 50)), *rows_of = pleat_index_select(wide, 0, index);
        wide = pleat_index_add(wide, 0, index, rows_of);
        for (int64_t i = 0; i < 300; i++)
            ck_assert_double_eq(element(wide, PLEAT_SHAPE(3, 100), i), sums[i / 100 * 2 + i % 2]);
        pleat_tensor *hot = pleat_one_hot(index, 4, dtype);
        ck_assert(pleat_shape_equal(pleat_shape_of(hot), PLEAT_SHAPE(3, 4)) && pleat_dtype_of(hot) == dtype);
        for (int64_t i = 0; i < 12; i++)
            ck_assert_double_eq(element(hot, PLEAT_SHAPE(3, 4), i), i % 4 == (i / 4 == 1 ? 0 : 2));
    }
    ck_assert(
        pleat_shape_equal(pleat_shape_of(pleat_one_hot(index_of(PLEAT_SHAPE(), 3), 3, PLEAT_F32)), PLEAT_SHAPE(3)));
    ck_assert(pleat_shape_equal(pleat_shape_of(pleat_one_hot(pleat_zeros(PLEAT_SHAPE(0), PLEAT_I64), 0, PLEAT_F32)),
                                PLEAT_SHAPE(0, 0)));
}
END_TEST

/* Sums of numbers of very different sizes: their order would show. */
static pleat_tensor *sums(void *user)
{
    (void)user;
    pleat_seed(4);
    pleat_tensor *x = pleat_set_requires_grad(pleat_zeros(PLEAT_SHAPE(5, 40), PLEAT_F32), true);
    pleat_tensor *index = index_of(PLEAT_SHAPE(50, 40), 5);
    pleat_tensor *src = pleat_exp(pleat_mul_scalar(pleat_randn(PLEAT_SHAPE(50, 40), PLEAT_F32), 8));
    pleat_tensor *y = pleat_scatter_add(x, 0, index, src);
    pleat_tensor *flat = pleat_select(index, 1, 0), *z = pleat_index_add(y, 0, flat, src);
    ck_assert_ok(pleat_backward(pleat_sum(pleat_mul(pleat_gather(x, 0, index), src))));
    pleat_tensor *wide = pleat_reshape(
        pleat_index_add(pleat_ones(PLEAT_SHAPE(5, 800), PLEAT_F32), 0, flat, pleat_repeat(src, PLEAT_SHAPE(1, 20))),
        PLEAT_SHAPE(100, 40));
    return pleat_cat(
        (pleat_tensor *[]){ pleat_detach(z), pleat_grad(x), pleat_detach(pleat_gather(z, 0, index)), wide }, 4, 0);
}

START_TEST(any_threads)
{
    same_for_any_threads(sums, NULL);
}
END_TEST

START_TEST(bad_indices_are_named)
{
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(2, 2), PLEAT_F32), *r, *big = index_of(PLEAT_SHAPE(3000), 2);
    pleat_tensor *index = pleat_from_data((int64_t[]){ 0, 1, 23, 0 }, PLEAT_SHAPE(2, 2), PLEAT_I64);
    ck_assert_ptr_null(pleat_gather(x, 1, index));
    ck_assert_failed(PLEAT_EINVAL, "gather: index 23 at (1, 0) is not in [0, 2), the places in dimension 1 of (2, 2)");
    ck_assert_ptr_null(pleat_scatter(x, 1, index, x));
    ck_assert_failed(PLEAT_EINVAL, "scatter: index 23 at (1, 0)");
    ck_assert_ptr_null(pleat_scatter_add(x, -1, pleat_transpose(index, 0, 1), x));
    ck_assert_failed(PLEAT_EINVAL, "scatter_add: index 23 at (0, 1)");
    index = pleat_from_data((int64_t[]){ 0, -1 }, PLEAT_SHAPE(2), PLEAT_I64);
    ck_assert_ptr_null(pleat_index_select(x, 0, index));
    ck_assert_failed(PLEAT_EINVAL, "index_select: index -1 at (1,) is not in [0, 2)");
    ck_assert_ptr_null(pleat_index_add(x, 0, index, x));
    ck_assert_failed(PLEAT_EINVAL, "index_add: index -1 at (1,)");
    ck_assert_ptr_null(pleat_one_hot(index, 3, PLEAT_F32));
    ck_assert_failed(PLEAT_EINVAL, "index -1");
    pleat_parallel_limit_grain(16); /* the first of several, whoever finds it */
    ((int64_t *)pleat_data_mut(big))[1000] = 5;
    ((int64_t *)pleat_data_mut(big))[2900] = 6;
    r = pleat_index_select(x, 0, big);
    pleat_parallel_limit_grain(0);
    ck_assert_ptr_null(r);
    ck_assert_failed(PLEAT_EINVAL, "index 5 at (1000,)");
    /* of nothing there is no index */
    ck_assert_ptr_null(
        pleat_index_select(pleat_zeros(PLEAT_SHAPE(0, 2), PLEAT_F32), 0, pleat_zeros(PLEAT_SHAPE(1), PLEAT_I64)));
    ck_assert_failed(PLEAT_EINVAL, "[0, 0)");
}
END_TEST

START_TEST(refusals)
{
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(3, 5), PLEAT_F32), *i22 = index_of(PLEAT_SHAPE(2, 2), 2);
    ck_assert_ptr_null(pleat_gather(pleat_ones(PLEAT_SHAPE(1, 1), PLEAT_F32), 1, i22));
    ck_assert_failed(PLEAT_ESHAPE, "gather: index (2, 2) reaches beyond input (1, 1) in dimension 0");
    ck_assert_ptr_null(pleat_gather(x, 1, x));
    ck_assert_failed(PLEAT_EDTYPE, "gather: input 1 is float32");
    ck_assert_ptr_null(pleat_gather(x, 1, index_of(PLEAT_SHAPE(2), 2)));
    ck_assert_failed(PLEAT_ESHAPE, "must have as many dimensions");
    ck_assert_ptr_null(pleat_gather(pleat_ones(PLEAT_SHAPE(2), PLEAT_F32), 0, i22));
    ck_assert_failed(PLEAT_ESHAPE, "gather: index (2, 2) and input (2,)");
    ck_assert_ptr_null(pleat_gather(x, 2, i22));
    ck_assert_failed(PLEAT_EINVAL, "gather: dimension 2");
    ck_assert_ptr_null(pleat_scatter(x, 0, i22, pleat_ones(PLEAT_SHAPE(2, 5), PLEAT_F64)));
    ck_assert_failed(PLEAT_EDTYPE, "scatter: input 0 is float32 and input 2 is float64");
    ck_assert_ptr_null(pleat_scatter(pleat_ones(PLEAT_SHAPE(3, 5, 3), PLEAT_F32), 0, i22, x));
    ck_assert_failed(PLEAT_ESHAPE, "scatter: index (2, 2) and input (3, 5, 3)");
    ck_assert_ptr_null(pleat_scatter(x, 0, i22, pleat_ones(PLEAT_SHAPE(2, 5, 2), PLEAT_F32)));
    ck_assert_failed(PLEAT_ESHAPE, "scatter: index (2, 2) and src (2, 5, 2)");
    ck_assert_ptr_null(pleat_scatter(x, 0, i22, pleat_ones(PLEAT_SHAPE(1, 5), PLEAT_F32)));
    ck_assert_failed(PLEAT_ESHAPE, "beyond src (1, 5) in dimension 0");
    ck_assert_ptr_null(pleat_scatter(pleat_ones(PLEAT_SHAPE(3), PLEAT_F32), 0, index_of(PLEAT_SHAPE(2), 2),
                                     pleat_ones(PLEAT_SHAPE(), PLEAT_F32)));
    ck_assert_failed(PLEAT_ESHAPE, "beyond src () in dimension 0");
    ck_assert_ptr_null(pleat_index_select(x, 0, i22));
    ck_assert_failed(PLEAT_ESHAPE, "index_select: index (2, 2) must have one dimension");
    ck_assert_ptr_null(
        pleat_index_select(pleat_ones(PLEAT_SHAPE(), PLEAT_F32), 0, pleat_zeros(PLEAT_SHAPE(2), PLEAT_I64)));
    ck_assert_failed(PLEAT_ESHAPE, "takes one index, not 2");
    ck_assert_ptr_null(pleat_index_add(x, 0, index_of(PLEAT_SHAPE(2), 2), x));
    ck_assert_failed(PLEAT_ESHAPE, "index_add: src (3, 5) must be (2, 5)");
    ck_assert_ptr_null(pleat_one_hot(x, 3, PLEAT_F32));
    ck_assert_failed(PLEAT_EDTYPE, "one_hot: the classes must be int64");
    ck_assert_ptr_null(pleat_one_hot(i22, -1, PLEAT_F32));
    ck_assert_failed(PLEAT_EINVAL, "one_hot: -1 classes");
}
END_TEST

RUN_TESTS("gather", gathers_from_any_view, selects_from_any_view, adds_rows_to_any_view, of_equal_places_the_last_wins,
          every_dtype, any_threads, bad_indices_are_named, refusals)
