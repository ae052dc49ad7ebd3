/* Views: which element each place shows, against index arithmetic; which copy; the gradients; the errors. */
#include "support/run.h"

#include <pleat/gradcheck.h>
#include <pleat/pleat.h>

#include <string.h>

/* 0, 1, 2, ... in this shape: an element's value is its place. */
static pleat_tensor *places(pleat_shape shape)
{
    return pleat_reshape(pleat_arange(0, (double)pleat_shape_numel(shape), 1, PLEAT_F64), shape);
}

static void check_elements(pleat_tensor *t, pleat_shape shape, const double *want)
{
    ck_assert_msg(t != NULL, "%s", pleat_error());
    ck_assert_str_eq(pleat_shape_text(pleat_shape_of(t)).text, pleat_shape_text(shape).text);
    int64_t index[PLEAT_MAX_DIMS] = { 0 };
    for (int64_t i = 0; i < pleat_numel(t); i++) {
        ck_assert_double_eq(pleat_at(t, index), want[i]);
        for (int d = shape.ndim - 1; d >= 0 && ++index[d] == shape.dim[d]; d--)
            index[d] = 0;
    }
}

#define WANT(...) ((const double[]){ __VA_ARGS__ })

START_TEST(what_is_seen)
{
    pleat_tensor *x = places(PLEAT_SHAPE(2, 3)), *y = places(PLEAT_SHAPE(2, 3, 2));
    check_elements(pleat_transpose(x, 0, -1), PLEAT_SHAPE(3, 2), WANT(0, 3, 1, 4, 2, 5));
    check_elements(pleat_permute(y, PLEAT_DIMS(2, 0, 1)), PLEAT_SHAPE(2, 2, 3),
                   WANT(0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11));
    check_elements(pleat_narrow(x, 1, 1, 2), PLEAT_SHAPE(2, 2), WANT(1, 2, 4, 5));
    check_elements(pleat_narrow(x, 1, -2, 1), PLEAT_SHAPE(2, 1), WANT(1, 4));
    check_elements(pleat_narrow(x, 0, 2, 0), PLEAT_SHAPE(0, 3), NULL);
    check_elements(pleat_slice(x, 1, 0, 100, 2), PLEAT_SHAPE(2, 2), WANT(0, 2, 3, 5));
    check_elements(pleat_slice(x, 1, -2, -1, 1), PLEAT_SHAPE(2, 1), WANT(1, 4));
    check_elements(pleat_slice(x, 1, 2, 1, 1), PLEAT_SHAPE(2, 0), NULL);
    check_elements(pleat_slice(x, 1, 1, 3, INT64_MAX), PLEAT_SHAPE(2, 1), WANT(1, 4));
    check_elements(pleat_select(x, 0, -1), PLEAT_SHAPE(3), WANT(3, 4, 5));
    check_elements(pleat_unsqueeze(x, 1), PLEAT_SHAPE(2, 1, 3), WANT(0, 1, 2, 3, 4, 5));
    check_elements(pleat_unsqueeze(x, -1), PLEAT_SHAPE(2, 3, 1), WANT(0, 1, 2, 3, 4, 5));
    check_elements(pleat_squeeze(pleat_unsqueeze(x, 1), 1), PLEAT_SHAPE(2, 3), WANT(0, 1, 2, 3, 4, 5));
    check_elements(pleat_squeeze(x, 1), PLEAT_SHAPE(2, 3), WANT(0, 1, 2, 3, 4, 5));
    check_elements(pleat_squeeze_all(pleat_reshape(x, PLEAT_SHAPE(1, 2, 1, 3, 1))), PLEAT_SHAPE(2, 3),
                   WANT(0, 1, 2, 3, 4, 5));
    check_elements(pleat_flatten(y, 1, -1), PLEAT_SHAPE(2, 6), WANT(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
    check_elements(pleat_flatten(pleat_scalar(4, PLEAT_F64), 0, -1), PLEAT_SHAPE(1), WANT(4));
    check_elements(pleat_expand(pleat_narrow(x, 0, 0, 1), PLEAT_SHAPE(2, 2, -1)), PLEAT_SHAPE(2, 2, 3),
                   WANT(0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2));
    check_elements(pleat_expand(pleat_scalar(4, PLEAT_F64), PLEAT_SHAPE(2)), PLEAT_SHAPE(2), WANT(4, 4));
    check_elements(pleat_reshape(pleat_scalar(4, PLEAT_F64), PLEAT_SHAPE(1, 1)), PLEAT_SHAPE(1, 1), WANT(4));
    check_elements(pleat_reshape(x, PLEAT_SHAPE(3, -1)), PLEAT_SHAPE(3, 2), WANT(0, 1, 2, 3, 4, 5));
    check_elements(pleat_reshape(pleat_zeros(PLEAT_SHAPE(0, 4), PLEAT_F64), PLEAT_SHAPE(2, 0)), PLEAT_SHAPE(2, 0),
                   NULL);
}
END_TEST

/* Every shape of 24 elements that can be made of every permuted and sliced view of others, against a copy. */
START_TEST(reshape_of_any_view)
{
    const pleat_shape shapes[] = { PLEAT_SHAPE(24),         PLEAT_SHAPE(2, 12),      PLEAT_SHAPE(4, 6),
                                   PLEAT_SHAPE(2, 3, 4),    PLEAT_SHAPE(4, 1, 3, 2), PLEAT_SHAPE(1, 24),
                                   PLEAT_SHAPE(2, 2, 2, 3), PLEAT_SHAPE(8, 3, 1) };
    const int n = sizeof shapes / sizeof *shapes;
    for (int a = 0; a < n; a++)
        for (int b = 0; b < n; b++)
            for (int shift = 0; shift < shapes[a].ndim; shift++)
                for (int cut = 0; cut < 2; cut++) {
                    pleat_shape larger = shapes[a];
                    larger.dim[0] *= 1 + cut;
                    pleat_tensor *x = places(larger);
                    pleat_dims order = { .count = larger.ndim };
                    for (int d = 0; d < larger.ndim; d++)
                        order.dim[d] = (d + shift) % larger.ndim;
                    x = pleat_permute(cut ? pleat_slice(x, 0, 0, larger.dim[0], 2) : x, order);
                    pleat_tensor *y = pleat_reshape(x, shapes[b]), *z = pleat_reshape(pleat_clone(x), shapes[b]);
                    ck_assert(pleat_equal(y, z));
                    if (pleat_is_contiguous(x))
                        ck_assert(pleat_shares_storage(x, y));
                }
    pleat_tensor *x = places(PLEAT_SHAPE(4, 6));
    ck_assert(pleat_shares_storage(x, pleat_reshape(pleat_narrow(x, 1, 0, 4), PLEAT_SHAPE(4, 2, 2))));
    ck_assert(!pleat_shares_storage(x, pleat_reshape(pleat_narrow(x, 1, 0, 4), PLEAT_SHAPE(16))));
}
END_TEST

static pleat_tensor *chain(pleat_tensor *const *in, void *user)
{
    (void)user;
    pleat_tensor *x = pleat_transpose(in[0], 0, 2);                   /* (4, 3, 2) */
    x = pleat_mul(pleat_slice(x, 0, 0, 4, 3), pleat_select(x, 0, 1)); /* (2, 3, 2) */
    x = pleat_mul(pleat_reshape(x, PLEAT_SHAPE(3, 4)), pleat_reshape(x, PLEAT_SHAPE(3, 4)));
    x = pleat_expand(pleat_unsqueeze(pleat_narrow(x, 1, 1, 2), 0), PLEAT_SHAPE(2, 3, 2));
    return pleat_mul(x, pleat_flatten(pleat_squeeze_all(x), 0, 0));
}

START_TEST(gradients_of_a_chain)
{
    pleat_seed(2);
    pleat_tensor *x = pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(2, 3, 4), PLEAT_F64), true);
    ck_assert_ok(pleat_gradcheck(chain, NULL, &x, 1, NULL));
    ck_assert_ok(pleat_gradgradcheck(chain, NULL, &x, 1, NULL));
}
END_TEST

#define REFUSED(call, code, words)                                                                                     \
    do {                                                                                                               \
        ck_assert_ptr_null(call);                                                                                      \
        ck_assert_failed(code, words);                                                                                 \
    } while (0)

START_TEST(what_is_refused)
{
    pleat_tensor *x = places(PLEAT_SHAPE(2, 3));
    REFUSED(pleat_reshape(x, PLEAT_SHAPE(4)), PLEAT_ESHAPE, "reshape: (2, 3) has 6 elements");
    REFUSED(pleat_reshape(x, PLEAT_SHAPE(-1, -1)), PLEAT_ESHAPE, "-1");
    REFUSED(pleat_reshape(x, PLEAT_SHAPE(-1, 4)), PLEAT_ESHAPE, "(-1, 4)");
    REFUSED(pleat_reshape(x, PLEAT_SHAPE(-2, -3)), PLEAT_ESHAPE, "below 0");
    REFUSED(pleat_reshape(x, PLEAT_SHAPE(1, 1, 1, 1, 1, 1, 1, 2, 3)), PLEAT_ESHAPE, "dimensions");
    REFUSED(pleat_reshape(NULL, PLEAT_SHAPE(4)), PLEAT_EINVAL, "reshape");
    REFUSED(pleat_permute(x, PLEAT_DIMS(0)), PLEAT_ESHAPE, "permute");
    REFUSED(pleat_permute(x, PLEAT_DIMS(0, -2)), PLEAT_EINVAL, "twice");
    REFUSED(pleat_permute(x, PLEAT_DIMS(0, 2)), PLEAT_EINVAL, "dimension 2");
    REFUSED(pleat_transpose(x, 0, 2), PLEAT_EINVAL, "transpose: dimension 2");
    REFUSED(pleat_narrow(x, 1, 2, 2), PLEAT_EINVAL, "narrow");
    REFUSED(pleat_narrow(x, 1, 0, -1), PLEAT_EINVAL, "narrow");
    REFUSED(pleat_narrow(x, 1, INT64_MAX, INT64_MAX), PLEAT_EINVAL, "narrow");
    REFUSED(pleat_slice(x, 1, 0, 2, 0), PLEAT_EINVAL, "step");
    REFUSED(pleat_select(x, 1, 3), PLEAT_EINVAL, "index 3");
    REFUSED(pleat_select(pleat_scalar(1, PLEAT_F32), 0, 0), PLEAT_ESHAPE, "no dimension");
    REFUSED(pleat_squeeze(x, 2), PLEAT_EINVAL, "squeeze");
    REFUSED(pleat_unsqueeze(x, 3), PLEAT_EINVAL, "unsqueeze");
    REFUSED(pleat_unsqueeze(pleat_zeros(PLEAT_SHAPE(1, 1, 1, 1, 1, 1, 1, 1), PLEAT_F32), 0), PLEAT_ESHAPE, "unsqueeze");
    REFUSED(pleat_flatten(x, 1, 0), PLEAT_EINVAL, "flatten");
    REFUSED(pleat_expand(x, PLEAT_SHAPE(3, 3)), PLEAT_ESHAPE, "(3, 3)");
    REFUSED(pleat_expand(x, PLEAT_SHAPE(3)), PLEAT_ESHAPE, "expand");
    REFUSED(pleat_expand(x, PLEAT_SHAPE(-1, 2, 3)), PLEAT_ESHAPE, "-1");
}
END_TEST

RUN_TESTS("views", what_is_seen, reshape_of_any_view, gradients_of_a_chain, what_is_refused)
