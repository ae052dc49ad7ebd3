/* cat, stack, split and chunk: what they share and copy, every dtype, and what they refuse. PyTorch's numbers for them
 * are in golden/move.txt. */
#include "support/run.h"
#include "support/threads.h"
#include "support/views.h"

#include <pleat/op.h>
#include <string.h>

#define LIST(...) ((pleat_tensor *[]){ __VA_ARGS__ })

START_TEST(joins_views_of_every_dtype)
{
    for (pleat_dtype dtype = PLEAT_F32; dtype <= PLEAT_U8; dtype++) {
        pleat_tensor *a = pleat_reshape(pleat_arange(0, 6, 1, dtype), PLEAT_SHAPE(2, 3));
        pleat_tensor *b = pleat_transpose(pleat_reshape(pleat_arange(6, 12, 1, dtype), PLEAT_SHAPE(3, 2)), 0, 1);
        pleat_tensor *y = pleat_cat(LIST(a, b), 2, 1);
        const double want[] = { 0, 1, 2, 6, 8, 10, 3, 4, 5, 7, 9, 11 };
        ck_assert_int_eq((int)pleat_dtype_of(y), (int)dtype);
        ck_assert(pleat_shape_equal(pleat_shape_of(y), PLEAT_SHAPE(2, 6)));
        for (int64_t i = 0; i < 12; i++)
            ck_assert_double_eq(element(y, PLEAT_SHAPE(2, 6), i), want[i]);
    }
}
END_TEST

/* Rows short and long, of parts dense or not, some of them empty, one element each or more. */
START_TEST(joins_rows)
{
    pleat_seed(3);
    for (pleat_dtype dtype = PLEAT_F32; dtype <= PLEAT_U8; dtype++)
        for (int count = 1; count <= 20; count += count < 5 ? 1 : 15)
            for (int64_t rows = 1; rows <= 600; rows = rows * 2 + 1)
                for (int width = 0; width < 3; width++) {
                    pleat_tensor *part[20];
                    int64_t all = 0;
                    for (int i = 0; i < count; i++) {
                        const int64_t n = width == 0 ? 1 : width == 1 ? (i * 7 + 3) % 11 : 30 * (i % 3) + 17;
                        part[i] = random_view(PLEAT_SHAPE(rows, n), dtype, count == 3 ? i : 0);
                        all += n;
                    }
                    pleat_tensor *y = pleat_cat(part, count, 1);
                    const pleat_shape shape = PLEAT_SHAPE(rows, all);
                    ck_assert(pleat_shape_equal(pleat_shape_of(y), shape));
                    int64_t at = 0;
                    for (int i = 0; i < count; at += pleat_size(part[i++], 1))
                        ck_assert(same_bits(pleat_contiguous(pleat_narrow(y, 1, at, pleat_size(part[i], 1))),
                                            pleat_contiguous(part[i])));
                }
}
END_TEST

START_TEST(joins_many)
{
    enum { MANY = 100 };
    pleat_tensor *row[MANY], *g[MANY];
    for (int i = 0; i < MANY; i++)
        row[i] = pleat_set_requires_grad(pleat_full(PLEAT_SHAPE(2), i, PLEAT_F64), true);
    pleat_tensor *y = pleat_stack(row, MANY, 0);
    ck_assert_int_eq(pleat_size(y, 0), MANY);
    pleat_tensor *s = pleat_sum(pleat_mul(y, y));
    ck_assert_ok(pleat_gradients(&s, 1, row, MANY, NULL, g));
    for (int i = 0; i < MANY; i++)
        ck_assert_double_eq(pleat_data_f64(pleat_contiguous(g[i]))[1], 2 * i);
}
END_TEST

START_TEST(parts_are_views)
{
    pleat_tensor *x = pleat_reshape(pleat_arange(0, 10, 1, PLEAT_F64), PLEAT_SHAPE(2, 5)), *part[6];
    ck_assert_ok(pleat_split(x, (int64_t[]){ 1, 0, 4 }, 3, -1, part));
    ck_assert(pleat_shape_equal(pleat_shape_of(part[0]), PLEAT_SHAPE(2, 1)));
    ck_assert(pleat_shape_equal(pleat_shape_of(part[1]), PLEAT_SHAPE(2, 0)));
    ck_assert(pleat_shape_equal(pleat_shape_of(part[2]), PLEAT_SHAPE(2, 4)));
    ck_assert(pleat_shares_storage(part[2], x));
    ck_assert(pleat_equal(pleat_cat(part, 3, 1), x));
    ck_assert_int_eq(pleat_chunk(x, 3, 1, part), 3);
    ck_assert(pleat_size(part[0], 1) == 2 && pleat_size(part[1], 1) == 2 && pleat_size(part[2], 1) == 1);
    ck_assert(pleat_equal(pleat_cat(part, 3, 1), x));
    ck_assert_int_eq(pleat_chunk(x, 4, 1, part), 3); /* 2 places each are enough */
    ck_assert_int_eq(pleat_chunk(pleat_zeros(PLEAT_SHAPE(0), PLEAT_F32), 2, 0, part), 2);
    ck_assert_int_eq(pleat_numel(part[1]), 0);
}
END_TEST

START_TEST(parts_have_gradients)
{
    pleat_tensor *x = pleat_set_requires_grad(pleat_ones(PLEAT_SHAPE(5), PLEAT_F64), true), *part[2];
    ck_assert_ok(pleat_split(x, (int64_t[]){ 2, 3 }, 2, 0, part));
    ck_assert_ok(pleat_backward(pleat_add(pleat_sum(part[0]), pleat_mul_scalar(pleat_sum(part[1]), 3))));
    const double want[] = { 1, 1, 3, 3, 3 };
    ck_assert_mem_eq(pleat_data_f64(pleat_grad(x)), want, sizeof want);
}
END_TEST

static pleat_tensor *joined(void *user)
{
    pleat_tensor *x = user;
    return pleat_cat(LIST(pleat_transpose(x, 0, 1), x), 2, 0);
}

START_TEST(any_threads)
{
    same_for_any_threads(joined, pleat_randn(PLEAT_SHAPE(17, 17), PLEAT_F32));
}
END_TEST

START_TEST(refusals)
{
    pleat_tensor *a = pleat_zeros(PLEAT_SHAPE(5, 5, 20, 20), PLEAT_F32),
                 *b = pleat_zeros(PLEAT_SHAPE(5, 0, 19, 20), PLEAT_F32), *c = pleat_zeros(PLEAT_SHAPE(4, 0), PLEAT_F32),
                 *scalar = pleat_zeros(PLEAT_SHAPE(), PLEAT_F32), *d = pleat_zeros(PLEAT_SHAPE(4, 0), PLEAT_F64),
                 *part[2];
    ck_assert_ptr_null(pleat_cat(LIST(a, b), 2, 1));
    ck_assert_failed(PLEAT_ESHAPE, "cat: input 0 is (5, 5, 20, 20) and input 1 is (5, 0, 19, 20)");
    ck_assert_ptr_null(pleat_cat(LIST(b, a), 2, 1));
    ck_assert_failed(PLEAT_ESHAPE, "dimension 1 alone");
    ck_assert_ptr_null(pleat_cat(LIST(c, b), 2, 1));
    ck_assert_failed(PLEAT_ESHAPE, "(4, 0)");
    ck_assert_ptr_null(pleat_cat(LIST(b, c), 2, 1));
    ck_assert_failed(PLEAT_ESHAPE, "(4, 0)");
    ck_assert_ptr_null(pleat_cat(LIST(scalar, scalar), 2, 0));
    ck_assert_failed(PLEAT_ESHAPE, "cat: input 0 has no dimension");
    ck_assert_ptr_null(pleat_cat(LIST(a, NULL), 2, 0));
    ck_assert_failed(PLEAT_EINVAL, "cat: input 1 is NULL");
    ck_assert_ptr_null(pleat_cat(LIST(a), 0, 0));
    ck_assert_failed(PLEAT_EINVAL, "cat: at least one tensor");
    ck_assert_ptr_null(pleat_cat(LIST(c, d), 2, 0));
    ck_assert_failed(PLEAT_EDTYPE, "cat: input 0 is float32 and input 1 is float64");
    ck_assert_ptr_null(pleat_cat(LIST(a, a), 2, 4));
    ck_assert_failed(PLEAT_EINVAL, "cat: dimension 4 is not in -4 to 3");
    ck_assert_ptr_null(pleat_stack(LIST(a, b), 2, 0));
    ck_assert_failed(PLEAT_ESHAPE, "stack: input 1 has shape (5, 0, 19, 20)");
    ck_assert_ptr_null(pleat_stack(LIST(a), 1, 5));
    ck_assert_failed(PLEAT_EINVAL, "stack: dimension 5 is not in -5 to 4");
    pleat_tensor *deep = pleat_zeros(PLEAT_SHAPE(1, 1, 1, 1, 1, 1, 1, 1), PLEAT_F32);
    ck_assert_ptr_null(pleat_stack(LIST(deep), 1, 0));
    ck_assert_failed(PLEAT_ESHAPE, "not 9");
    part[0] = a;
    ck_assert_int_eq(pleat_split(a, (int64_t[]){ 2, 2 }, 2, 0, part), PLEAT_EINVAL);
    ck_assert_ptr_null(part[0]);
    ck_assert_failed(PLEAT_EINVAL, "split: the 2 sizes");
    ck_assert_int_eq(pleat_split(a, (int64_t[]){ 6, -1 }, 2, 0, part), PLEAT_EINVAL);
    ck_assert_failed(PLEAT_EINVAL, "add up to the 5 of dimension 0");
    ck_assert_int_eq(pleat_split(scalar, (int64_t[]){ 1 }, 1, 0, part), PLEAT_ESHAPE);
    ck_assert_failed(PLEAT_ESHAPE, "no dimension");
    ck_assert_int_eq(pleat_chunk(a, 0, 0, part), 0);
    ck_assert_failed(PLEAT_EINVAL, "chunk: room for at least one part");
    ck_assert_int_eq(pleat_chunk(a, 2, 7, part), 0);
    ck_assert_failed(PLEAT_EINVAL, "chunk: dimension 7");
}
END_TEST

RUN_TESTS("cat", joins_views_of_every_dtype, joins_rows, joins_many, parts_are_views, parts_have_gradients, any_threads,
          refusals)
