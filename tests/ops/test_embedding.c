/* embedding: rows by their numbers, the padding's without a gradient; scatter_multiply against a loop, with zeros among
 * its factors. PyTorch's numbers for both are in golden/opinfo.txt. */
#include "support/run.h"
#include "support/views.h"

#include <string.h>

static pleat_tensor *i64(pleat_shape shape, const int64_t *numbers)
{
    return pleat_from_data(numbers, shape, PLEAT_I64);
}

START_TEST(rows)
{
    pleat_seed(1);
    pleat_tensor *index = i64(PLEAT_SHAPE(2, 3), (int64_t[]){ 4, 0, 4, 1, 3, 4 });
    for (int kind = 0; kind < VIEW_KINDS; kind++) {
        pleat_tensor *w = pleat_set_requires_grad(pleat_detach(random_view(PLEAT_SHAPE(5, 2), PLEAT_F32, kind)), true);
        pleat_tensor *y = pleat_embedding(index, w, NULL);
        ck_assert(pleat_shape_equal(pleat_shape_of(y), PLEAT_SHAPE(2, 3, 2)));
        for (int64_t i = 0; i < 12; i++)
            ck_assert_double_eq(element(y, pleat_shape_of(y), i),
                                element(w, pleat_shape_of(w), pleat_data_i64(index)[i / 2] * 2 + i % 2));
        ck_assert_ok(pleat_backward(pleat_sum(y)));
        ck_assert(pleat_equal(pleat_sum_dims(pleat_grad(w), PLEAT_DIMS(1), false),
                              pleat_from_data((float[]){ 2, 2, 0, 2, 6 }, PLEAT_SHAPE(5), PLEAT_F32)));
        pleat_set_grad(w, NULL);
        const pleat_embedding_opts last = { .padding = true, .padding_index = -1 };
        ck_assert(same_bits(pleat_embedding(index, w, &last), y));
        ck_assert_ok(pleat_backward(pleat_sum(pleat_embedding(index, w, &last))));
        ck_assert(pleat_equal(pleat_sum_dims(pleat_grad(w), PLEAT_DIMS(1), false),
                              pleat_from_data((float[]){ 2, 2, 0, 2, 0 }, PLEAT_SHAPE(5), PLEAT_F32)));
        pleat_set_grad(w, NULL);
    }
    pleat_tensor *w = pleat_ones(PLEAT_SHAPE(5, 2), PLEAT_F64);
    ck_assert(pleat_shape_equal(pleat_shape_of(pleat_embedding(pleat_zeros(PLEAT_SHAPE(), PLEAT_I64), w, NULL)),
                                PLEAT_SHAPE(2)));
    ck_assert(pleat_shape_equal(pleat_shape_of(pleat_embedding(pleat_zeros(PLEAT_SHAPE(0, 3), PLEAT_I64), w, NULL)),
                                PLEAT_SHAPE(0, 3, 2)));
}
END_TEST

/* One element after the other. */
START_TEST(products)
{
    pleat_seed(2);
    for (int dim = 0; dim < 3; dim++)
        for (int kind = 0; kind < VIEW_KINDS; kind++) {
            pleat_shape shape = PLEAT_SHAPE(4, 3, 5), many = PLEAT_SHAPE(2, 3, 4), src = PLEAT_SHAPE(3, 3, 5);
            many.dim[dim] = src.dim[dim] = 6;
            pleat_tensor *x = random_view(shape, PLEAT_F64, kind), *s = random_view(src, PLEAT_F64, kind / 2);
            pleat_tensor *index = pleat_empty(many, PLEAT_I64), *want = pleat_clone(x);
            int64_t *to = pleat_data_mut(index);
            double *w = pleat_data_mut(want);
            for (int64_t i = 0; i < pleat_numel(index); i++) {
                const int64_t at[3] = { i / many.dim[2] / many.dim[1], i / many.dim[2] % many.dim[1], i % many.dim[2] };
                int64_t go[3] = { at[0], at[1], at[2] };
                go[dim] = to[i] = (i * 5 + i / 7) % shape.dim[dim];
                w[(go[0] * 3 + go[1]) * 5 + go[2]] *=
                    element(s, src, (at[0] * src.dim[1] + at[1]) * src.dim[2] + at[2]);
            }
            pleat_tensor *y = pleat_scatter_multiply(x, dim - 3, index, s);
            ck_assert_msg(y && pleat_allclose(y, want, 1e-14, 0), "dim %d: %s", dim, pleat_error());
        }
    pleat_tensor *x = pleat_full(PLEAT_SHAPE(), 3, PLEAT_F32), *two = pleat_full(PLEAT_SHAPE(3), 2, PLEAT_F32);
    ck_assert_double_eq(pleat_item(pleat_scatter_multiply(x, 0, pleat_zeros(PLEAT_SHAPE(3), PLEAT_I64), two)), 24);
    ck_assert(same_bits(pleat_scatter_multiply(two, 0, pleat_zeros(PLEAT_SHAPE(0), PLEAT_I64), two), two));
}
END_TEST

static pleat_tensor *multiply(pleat_tensor *const *in, void *index)
{
    return pleat_scatter_multiply(in[0], 1, index, in[1]);
}

static pleat_tensor *embed(pleat_tensor *const *in, void *index)
{
    return pleat_embedding(index, in[0], NULL);
}

/* A product with one zero has a gradient by it; one with two has none. */
START_TEST(gradients)
{
    pleat_seed(3);
    pleat_tensor *index = i64(PLEAT_SHAPE(2, 5), (int64_t[]){ 0, 1, 0, 0, 2, 2, 2, 2, 1, 1 });
    pleat_tensor *in[2] = { pleat_randn(PLEAT_SHAPE(2, 3), PLEAT_F64), pleat_randn(PLEAT_SHAPE(3, 6), PLEAT_F64) };
    double *x = pleat_data_mut(in[0]), *src = pleat_data_mut(in[1]);
    src[2] = src[6] = src[7] = x[1] = 0;
    for (int i = 0; i < 2; i++)
        pleat_set_requires_grad(in[i], true);
    ck_assert_ok(pleat_gradcheck(multiply, index, in, 2, NULL));
    ck_assert_ok(pleat_gradgradcheck(multiply, index, in, 2, NULL));
    in[0] = pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(4, 3), PLEAT_F64), true);
    ck_assert_ok(pleat_gradcheck(embed, index, in, 1, NULL));
    ck_assert_ok(pleat_gradgradcheck(embed, index, in, 1, NULL));
}
END_TEST

#define REFUSED(call, code, words)                                                                                     \
    do {                                                                                                               \
        ck_assert_ptr_null(call);                                                                                      \
        ck_assert_failed(code, words);                                                                                 \
    } while (0)

START_TEST(refusals)
{
    pleat_tensor *w = pleat_ones(PLEAT_SHAPE(4, 3), PLEAT_F32), *i = i64(PLEAT_SHAPE(2), (int64_t[]){ 1, 4 });
    REFUSED(pleat_embedding(i, w, NULL), PLEAT_EINVAL, "embedding: index 4 at (1,) is not in [0, 4)");
    REFUSED(pleat_embedding(i, pleat_ones(PLEAT_SHAPE(4), PLEAT_F32), NULL), PLEAT_ESHAPE,
            "embedding: weight (4,) must be (rows, features)");
    REFUSED(pleat_embedding(w, w, NULL), PLEAT_EDTYPE, "embedding: the index must be int64, not float32");
    REFUSED(pleat_embedding(i, NULL, NULL), PLEAT_EINVAL, "embedding: the weight is NULL");
    REFUSED(pleat_embedding(NULL, w, NULL), PLEAT_EINVAL, "embedding: the tensor is NULL");
    REFUSED(pleat_embedding(i, w, &(pleat_embedding_opts){ .padding = true, .padding_index = 4 }), PLEAT_EINVAL,
            "embedding: padding_index 4 is not in [-4, 4)");
    REFUSED(pleat_embedding(i, w, &(pleat_embedding_opts){ .padding = true, .padding_index = -5 }), PLEAT_EINVAL, "-5");
    pleat_tensor *i2 = pleat_zeros(PLEAT_SHAPE(2, 2), PLEAT_I64);
    REFUSED(pleat_scatter_multiply(w, 2, i2, w), PLEAT_EINVAL, "scatter_multiply: dimension 2");
    REFUSED(pleat_scatter_multiply(w, 0, i, w), PLEAT_ESHAPE, "scatter_multiply: index (2,) and input (4, 3)");
    REFUSED(pleat_scatter_multiply(w, 0, i2, pleat_ones(PLEAT_SHAPE(1, 2), PLEAT_F32)), PLEAT_ESHAPE,
            "scatter_multiply: index (2, 2) reaches beyond src (1, 2)");
    REFUSED(pleat_scatter_multiply(w, 0, i2, pleat_ones(PLEAT_SHAPE(2, 2), PLEAT_F64)), PLEAT_EDTYPE, "src float64");
    REFUSED(pleat_scatter_multiply(w, 0, pleat_full(PLEAT_SHAPE(1, 1), 4, PLEAT_I64), w), PLEAT_EINVAL,
            "scatter_multiply: index 4 at (0, 0)");
    REFUSED(pleat_scatter_multiply(w, 0, NULL, w), PLEAT_EINVAL, "scatter_multiply: the index is NULL");
}
END_TEST

RUN_TESTS("embedding", rows, products, gradients, refusals)
