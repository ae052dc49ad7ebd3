/* pad, repeat, roll and flip against naive loops on views of any kind and dtype; the adjoint identity; errors.
 * PyTorch's numbers for them are in golden/move.txt. */
#include "support/run.h"
#include "support/threads.h"
#include "support/views.h"

#include <pleat/op.h>

#include <math.h>
#include <string.h>

/* Where place i of a padded dimension with n places reads; -1: nowhere. */
static int64_t source(pleat_pad_mode mode, int64_t i, int64_t n)
{
    if (i >= 0 && i < n)
        return i;
    if (mode == PLEAT_PAD_REFLECT)
        return i < 0 ? -i : 2 * n - 2 - i;
    if (mode == PLEAT_PAD_REPLICATE)
        return i < 0 ? 0 : n - 1;
    return mode == PLEAT_PAD_CIRCULAR ? (i + n) % n : -1;
}

static void compare(pleat_tensor *x, pleat_pad_mode mode, const int64_t pads[6])
{
    pleat_tensor *y = pleat_pad(x, pads, 6, &(pleat_pad_opts){ mode, 7 });
    ck_assert_msg(y != NULL, "%s", pleat_error());
    const pleat_shape shape = pleat_shape_of(y);
    for (int d = 0; d < 3; d++)
        ck_assert_int_eq(shape.dim[d], pleat_size(x, d) + pads[4 - 2 * d] + pads[5 - 2 * d]);
    for (int64_t i = 0; i < shape.dim[0]; i++)
        for (int64_t j = 0; j < shape.dim[1]; j++)
            for (int64_t k = 0; k < shape.dim[2]; k++) {
                const int64_t at[] = { source(mode, i - pads[4], pleat_size(x, 0)),
                                       source(mode, j - pads[2], pleat_size(x, 1)),
                                       source(mode, k - pads[0], pleat_size(x, 2)) };
                const double want = at[0] < 0 || at[1] < 0 || at[2] < 0 ? 7 : pleat_at(x, at);
                ck_assert_double_eq(pleat_at(y, (int64_t[]){ i, j, k }), want);
            }
}

START_TEST(against_naive)
{
    static const int64_t pads[][6] = { { 1, 2, 0, 0, 0, 0 }, { 0, 0, 2, 1, 0, 0 }, { 0, 0, 0, 0, 1, 1 },
                                       { 3, 4, 1, 2, 2, 0 }, { 0, 0, 0, 0, 0, 0 }, { 0, 3, 0, 0, 2, 1 } };
    pleat_seed(1);
    for (int mode = PLEAT_PAD_CONSTANT; mode <= PLEAT_PAD_CIRCULAR; mode++)
        for (size_t p = 0; p < sizeof pads / sizeof *pads; p++)
            for (int kind = 0; kind < VIEW_KINDS; kind++)
                for (int dtype = PLEAT_F32; dtype <= PLEAT_F64; dtype++)
                    compare(random_view(PLEAT_SHAPE(3, 4, 5), (pleat_dtype)dtype, kind), (pleat_pad_mode)mode, pads[p]);
    for (int mode = PLEAT_PAD_CONSTANT; mode <= PLEAT_PAD_CIRCULAR; mode++)
        for (int dtype = PLEAT_I64; dtype <= PLEAT_U8; dtype++)
            compare(pleat_reshape(pleat_arange(0, 60, 1, (pleat_dtype)dtype), PLEAT_SHAPE(3, 4, 5)),
                    (pleat_pad_mode)mode, pads[3]);
}
END_TEST

static double dot(pleat_tensor *a, pleat_tensor *b)
{
    return pleat_item(pleat_sum(pleat_mul(a, b)));
}

/* <pad(x), y> = <x, adjoint(y)>, by the gradient. */
START_TEST(adjoint_identity)
{
    static const int64_t pads[][6] = { { 3, 4, 1, 2, 2, 1 }, { -1, 2, 1, -2, 2, 0 }, { 0, 0, 2, 3, 0, 0 } };
    pleat_seed(2);
    for (int mode = PLEAT_PAD_CONSTANT; mode <= PLEAT_PAD_CIRCULAR; mode++)
        for (size_t p = 0; p < sizeof pads / sizeof *pads; p++) {
            pleat_tensor *x = pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(3, 4, 5), PLEAT_F64), true), *g;
            pleat_tensor *y = pleat_pad(x, pads[p], 6, &(pleat_pad_opts){ (pleat_pad_mode)mode, 0 });
            pleat_tensor *r = pleat_randn(pleat_shape_of(y), PLEAT_F64);
            const pleat_gradients_opts opts = { .grad_outputs = &r };
            ck_assert_ok(pleat_gradients(&y, 1, &x, 1, &opts, &g));
            ck_assert(fabs(dot(y, r) - dot(x, g)) < 1e-12);
        }
}
END_TEST

START_TEST(repeats_and_rolls)
{
    pleat_tensor *x = pleat_transpose(pleat_reshape(pleat_arange(0, 6, 1, PLEAT_I64), PLEAT_SHAPE(3, 2)), 0, 1);
    pleat_tensor *y = pleat_repeat(x, PLEAT_SHAPE(2, 1, 2));
    const int64_t want[] = { 0, 2, 4, 0, 2, 4, 1, 3, 5, 1, 3, 5, 0, 2, 4, 0, 2, 4, 1, 3, 5, 1, 3, 5 };
    ck_assert(pleat_shape_equal(pleat_shape_of(y), PLEAT_SHAPE(2, 2, 6)));
    ck_assert_mem_eq(pleat_data_i64(y), want, sizeof want);
    const int64_t rolled[] = { 5, 1, 3, 4, 0, 2 }, flipped[] = { 5, 3, 1, 4, 2, 0 }, flat[] = { 3, 5, 0, 2, 4, 1 };
    ck_assert_mem_eq(pleat_data_i64(pleat_roll(x, PLEAT_SHAPE(-1, 4), PLEAT_DIMS(0, 1))), rolled, sizeof rolled);
    ck_assert_mem_eq(pleat_data_i64(pleat_roll(x, PLEAT_SHAPE(-4), PLEAT_DIMS())), flat, sizeof flat);
    ck_assert_mem_eq(pleat_data_i64(pleat_flip(x, PLEAT_DIMS())), flipped, sizeof flipped);
    ck_assert(pleat_equal(pleat_roll(x, PLEAT_SHAPE(INT64_MIN), PLEAT_DIMS(1)),
                          pleat_roll(x, PLEAT_SHAPE(INT64_MIN % 3), PLEAT_DIMS(1))));
}
END_TEST

/* Vectors of padding may reach into what comes behind, where there is something. */
START_TEST(padding_of_any_width)
{
    pleat_seed(6);
    for (int64_t n = 1; n <= 40; n++)
        for (int64_t before = 0; before <= 70; before = 2 * before + 1)
            for (int dtype = PLEAT_F32; dtype <= PLEAT_U8; dtype++) {
                const int64_t pads[] = { before, n % 10, 1, n % 2, 0, 0 };
                compare(random_view(PLEAT_SHAPE(2, 3, n), (pleat_dtype)dtype, 0), PLEAT_PAD_CONSTANT, pads);
            }
}
END_TEST

/* Each dimension in turn, in rows of any width, and what comes back of a gradient: the other way round. */
START_TEST(rows_of_any_width)
{
    pleat_seed(4);
    for (int64_t n = 1; n <= 40; n++)
        for (int dim = 0; dim < 3; dim++)
            for (int dtype = PLEAT_F32; dtype <= PLEAT_U8; dtype++) {
                const pleat_shape shape = PLEAT_SHAPE(3, 5, n);
                pleat_tensor *x = random_view(shape, (pleat_dtype)dtype, dim == 2 ? 0 : (int)(n % VIEW_KINDS)),
                             *grad[2] = { NULL };
                const bool real = dtype == PLEAT_F32 || dtype == PLEAT_F64;
                x = real ? pleat_set_requires_grad(pleat_detach(x), true) : x;
                pleat_tensor *r = pleat_roll(x, PLEAT_SHAPE(7), PLEAT_DIMS(dim)), *f = pleat_flip(x, PLEAT_DIMS(dim));
                pleat_tensor *g = pleat_randn(shape, PLEAT_F32);
                g = pleat_cast(g, (pleat_dtype)dtype);
                const pleat_gradients_opts opts = { .grad_outputs = &g };
                if (real)
                    ck_assert(pleat_gradients(&r, 1, &x, 1, &opts, &grad[0]) == PLEAT_OK &&
                              pleat_gradients(&f, 1, &x, 1, &opts, &grad[1]) == PLEAT_OK);
                for (int64_t i = 0; i < pleat_numel(x); i++) {
                    const int64_t at[] = { i / n / 5, i / n % 5, i % n }, size = pleat_size(x, dim);
                    int64_t to[] = { at[0], at[1], at[2] };
                    to[dim] = (at[dim] + 7) % size;
                    ck_assert(pleat_at(r, to) == pleat_at(x, at) &&
                              (!real || pleat_at(grad[0], at) == pleat_at(g, to)));
                    to[dim] = size - 1 - at[dim];
                    ck_assert(pleat_at(f, to) == pleat_at(x, at) &&
                              (!real || pleat_at(grad[1], at) == pleat_at(g, to)));
                }
            }
}
END_TEST

/* Long enough that rows are not merged any further, and short of it. */
START_TEST(rolls_of_blocks)
{
    for (int64_t n = 1; n <= 64; n *= 8)
        for (int dim = 0; dim < 3; dim++) {
            const pleat_shape shape = PLEAT_SHAPE(10, 30, 2, n);
            pleat_tensor *x = pleat_reshape(pleat_arange(0, 600 * (double)n, 1, PLEAT_I64), shape);
            pleat_tensor *y = pleat_roll(x, PLEAT_SHAPE(-3), PLEAT_DIMS(dim));
            const int64_t inner = (dim == 0 ? 60 : dim == 1 ? 2 : 1) * n, size = pleat_size(x, dim);
            for (int64_t i = 0; i < pleat_numel(x); i++) {
                const int64_t at = i / inner % size, from = ((at + 3) % size - at) * inner;
                ck_assert_int_eq(pleat_data_i64(y)[i], i + from);
            }
        }
}
END_TEST

static pleat_tensor *value_and_gradient(void *user)
{
    const pleat_pad_opts opts = { *(pleat_pad_mode *)user, 0 };
    pleat_seed(3);
    pleat_tensor *x = pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(3, 7, 9), PLEAT_F32), true);
    pleat_tensor *y = pleat_pad(x, (int64_t[]){ 3, 5, 6, 2 }, 4, &opts);
    ck_assert_ok(pleat_backward(pleat_sum(pleat_mul(y, pleat_randn(pleat_shape_of(y), PLEAT_F32)))));
    return pleat_cat((pleat_tensor *[]){ pleat_flatten(pleat_detach(y), 0, -1), pleat_flatten(pleat_grad(x), 0, -1) },
                     2, 0);
}

START_TEST(any_threads)
{
    for (pleat_pad_mode mode = PLEAT_PAD_CONSTANT; mode <= PLEAT_PAD_CIRCULAR; mode++)
        same_for_any_threads(value_and_gradient, &mode);
}
END_TEST

static void refused(pleat_tensor *x, pleat_pad_mode mode, int64_t before, int64_t after, const char *words)
{
    ck_assert_ptr_null(pleat_pad(x, (int64_t[]){ before, after }, 2, &(pleat_pad_opts){ mode, 0 }));
    ck_assert_failed(PLEAT_EINVAL, words);
}

START_TEST(refusals)
{
    pleat_tensor *x = pleat_zeros(PLEAT_SHAPE(2, 3), PLEAT_F32), *u = pleat_zeros(PLEAT_SHAPE(3), PLEAT_U8);
    refused(x, PLEAT_PAD_REFLECT, 3, 0, "pad: reflect reaches less far than the size: padding 3 and 0 of dimension 1");
    refused(x, PLEAT_PAD_REFLECT, 0, 3, "(2, 3)");
    refused(x, PLEAT_PAD_CIRCULAR, 4, 0, "pad: circular wraps around once at most");
    refused(x, PLEAT_PAD_CIRCULAR, -2, 2, "of 1 places");
    refused(x, PLEAT_PAD_CONSTANT, -2, -2, "takes more from dimension 1 of (2, 3)");
    refused(x, PLEAT_PAD_CONSTANT, INT64_MAX, 1, "too large");
    refused(x, PLEAT_PAD_CONSTANT, INT64_MIN, 1, "too large");
    refused(x, (pleat_pad_mode)9, 1, 1, "no mode");
    refused(pleat_zeros(PLEAT_SHAPE(2, 0), PLEAT_F32), PLEAT_PAD_REPLICATE, 1, 0, "nothing to replicate");
    refused(pleat_zeros(PLEAT_SHAPE(2, 0), PLEAT_F32), PLEAT_PAD_CIRCULAR, 0, 1, "nothing to repeat");
    ck_assert_ptr_null(pleat_pad(x, (int64_t[]){ 1, 1, 1 }, 3, NULL));
    ck_assert_failed(PLEAT_EINVAL, "pad: 3 paddings: (2, 3) takes an even number, at most 4");
    ck_assert_ptr_null(pleat_pad(x, (int64_t[]){ 1, 1, 1, 1, 1, 1 }, 6, NULL));
    ck_assert_failed(PLEAT_EINVAL, "6 paddings");
    ck_assert_ptr_null(pleat_pad(u, (int64_t[]){ 1, 1 }, 2, &(pleat_pad_opts){ .value = 300 }));
    ck_assert_failed(PLEAT_EINVAL, "the value 300 is no uint8");
    ck_assert_ptr_null(pleat_pad(NULL, NULL, 0, NULL));
    ck_assert_failed(PLEAT_EINVAL, "pad: the tensor is NULL");
    ck_assert_ptr_null(pleat_repeat(x, PLEAT_SHAPE(2)));
    ck_assert_failed(PLEAT_ESHAPE, "repeat: 1 counts for (2, 3)");
    ck_assert_ptr_null(pleat_repeat(x, PLEAT_SHAPE(2, -1)));
    ck_assert_failed(PLEAT_EINVAL, "repeat: (2, 3) cannot be repeated (2, -1) times");
    ck_assert_ptr_null(pleat_repeat(x, PLEAT_SHAPE(1, INT64_MAX)));
    ck_assert_failed(PLEAT_EINVAL, "repeat");
    ck_assert_ptr_null(pleat_roll(x, PLEAT_SHAPE(), PLEAT_DIMS()));
    ck_assert_failed(PLEAT_EINVAL, "roll: 0 shifts for 0 dimensions");
    ck_assert_ptr_null(pleat_roll(x, PLEAT_SHAPE(2, 1), PLEAT_DIMS(0)));
    ck_assert_failed(PLEAT_EINVAL, "roll: 2 shifts for 1 dimensions");
    ck_assert_ptr_null(pleat_roll(x, PLEAT_SHAPE(0), PLEAT_DIMS(2)));
    ck_assert_failed(PLEAT_EINVAL, "roll: dimension 2 is not in -2 to 1");
    ck_assert_ptr_null(pleat_flip(x, PLEAT_DIMS(1, -1)));
    ck_assert_failed(PLEAT_EINVAL, "flip: dimension -1 is named twice");
}
END_TEST

RUN_TESTS("pad", against_naive, adjoint_identity, repeats_and_rolls, padding_of_any_width, rows_of_any_width,
          rolls_of_blocks, any_threads, refusals)
