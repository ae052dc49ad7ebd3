/* matmul and linear: against loops in double over shapes, views and dtypes; gradients against the formulas; refusals.
 */
#include "support/run.h"
#include "support/views.h"

#include <math.h>
#include <string.h>

/* C[batch, i, j] = sum over p of A[batch, i, p] B[batch, p, j], from the definition. */
static void compare(const pleat_tensor *got, const pleat_tensor *a, const pleat_tensor *b)
{
    const pleat_shape as = pleat_shape_of(a), bs = pleat_shape_of(b);
    ck_assert_msg(got != NULL, "%s by %s: %s", pleat_shape_text(as).text, pleat_shape_text(bs).text, pleat_error());
    const int64_t k = as.dim[as.ndim - 1], m = as.ndim > 1 ? as.dim[as.ndim - 2] : 1,
                  n = bs.ndim > 1 ? bs.dim[bs.ndim - 1] : 1;
    /* the result with both dimensions there, to count through */
    pleat_shape full = pleat_shape_of(got);
    if (as.ndim == 1) {
        full.dim[full.ndim] = full.ndim && bs.ndim > 1 ? full.dim[full.ndim - 1] : 1;
        if (full.ndim && bs.ndim > 1)
            full.dim[full.ndim - 1] = 1;
        full.ndim++;
    }
    if (bs.ndim == 1)
        full.dim[full.ndim++] = 1;
    ck_assert_int_eq(full.dim[full.ndim - 2], m);
    ck_assert_int_eq(full.dim[full.ndim - 1], n);
    pleat_shape batch_a = full, batch_b = full; /* the operands, broadcast over the batch */
    batch_a.dim[full.ndim - 1] = k;
    batch_b.dim[full.ndim - 2] = k;
    for (int64_t e = 0; e < pleat_numel(got); e++) {
        const int64_t j = e % n, i = e / n % m, batch = e / (m * n);
        double sum = 0, size = 0;
        for (int64_t p = 0; p < k; p++) {
            const double x = element(a, batch_a, (batch * m + i) * k + p);
            const double y = bs.ndim == 1 ? element(b, bs, p) : element(b, batch_b, (batch * k + p) * n + j);
            sum += x * y;
            size += fabs(x * y);
        }
        const double value = element(got, pleat_shape_of(got), e);
        ck_assert_msg(fabs(value - sum) <= (pleat_dtype_of(got) == PLEAT_F32 ? 1e-5 : 1e-13) * (size + 1),
                      "%s by %s: element %d is %.17g, not %.17g", pleat_shape_text(as).text, pleat_shape_text(bs).text,
                      (int)e, value, sum);
    }
}

/* OpInfo's shapes with S 5, M 10, L 20, and more of broadcasting. */
static const struct {
    pleat_shape a, b;
} shapes[] = {
    { { 1, { 20 } }, { 1, { 20 } } },
    { { 2, { 5, 10 } }, { 1, { 10 } } },
    { { 1, { 10 } }, { 2, { 10, 5 } } },
    { { 2, { 5, 10 } }, { 2, { 10, 5 } } },
    { { 2, { 5, 0 } }, { 2, { 0, 10 } } },
    { { 3, { 5, 5, 10 } }, { 1, { 10 } } },
    { { 3, { 5, 5, 10 } }, { 2, { 10, 5 } } },
    { { 3, { 5, 5, 0 } }, { 2, { 0, 5 } } },
    { { 1, { 10 } }, { 3, { 5, 10, 5 } } },
    { { 2, { 5, 10 } }, { 3, { 5, 10, 5 } } },
    { { 2, { 0, 0 } }, { 3, { 5, 0, 0 } } },
    { { 4, { 5, 5, 10, 10 } }, { 4, { 5, 5, 10, 5 } } },
    { { 4, { 5, 5, 10, 10 } }, { 1, { 10 } } },
    { { 1, { 10 } }, { 4, { 5, 5, 10, 5 } } },
    { { 3, { 5, 5, 5 } }, { 3, { 1, 5, 5 } } },
    { { 4, { 2, 1, 3, 4 } }, { 3, { 5, 4, 2 } } },
    { { 4, { 3, 2, 1, 7 } }, { 4, { 1, 2, 7, 1 } } },
    { { 2, { 70, 90 } }, { 2, { 90, 130 } } },
    { { 3, { 3, 40, 33 } }, { 2, { 33, 65 } } },
    { { 3, { 2, 0, 3 } }, { 2, { 3, 4 } } },
    { { 1, { 0 } }, { 1, { 0 } } },
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

START_TEST(forward_is_the_definition)
{
    for (int s = 0; s < SHAPES; s++)
        for (int kinds = 0; kinds < 2 * VIEW_KINDS; kinds++) {
            const pleat_scope scope = pleat_scope_begin();
            const pleat_dtype dtype = kinds % 2 ? PLEAT_F32 : PLEAT_F64;
            pleat_tensor *a = random_view(shapes[s].a, dtype, kinds % VIEW_KINDS);
            pleat_tensor *b = random_view(shapes[s].b, dtype, (kinds + s) % VIEW_KINDS);
            compare(pleat_matmul(a, b), a, b);
            pleat_scope_end(scope);
        }
}
END_TEST

/* Transposed operands are read where they lie, and give what their copies give. */
START_TEST(transposed)
{
    pleat_tensor *a = pleat_randn(PLEAT_SHAPE(30, 20), PLEAT_F64), *b = pleat_randn(PLEAT_SHAPE(40, 30), PLEAT_F64);
    pleat_tensor *at = pleat_transpose(a, 0, 1), *bt = pleat_transpose(b, 0, 1);
    const pleat_memory before = pleat_memory_stats();
    pleat_tensor *c = pleat_matmul(at, bt);
    const pleat_memory after = pleat_memory_stats();
    compare(c, at, bt);
    ck_assert_int_lt(after.live_bytes - before.live_bytes, 20 * 40 * 8 + 1024); /* the result, and no copy */
    compare(pleat_matmul(pleat_slice(a, 0, 0, 30, 3), pleat_narrow(bt, 0, 5, 20)), pleat_slice(a, 0, 0, 30, 3),
            pleat_narrow(bt, 0, 5, 20));
}
END_TEST

/* By hand: what each of the shapes' gradients is, summed over what was broadcast. */
START_TEST(gradients)
{
    for (int s = 0; s < SHAPES; s++) {
        const pleat_scope scope = pleat_scope_begin();
        pleat_tensor *in[] = { pleat_randn(shapes[s].a, PLEAT_F64), NULL }, *grad[2];
        in[1] = pleat_randn(shapes[s].b, PLEAT_F64);
        pleat_set_requires_grad(in[0], true);
        pleat_set_requires_grad(in[1], true);
        pleat_tensor *y = pleat_matmul(in[0], in[1]), *g = pleat_randn(pleat_shape_of(y), PLEAT_F64);
        ck_assert_ok(pleat_gradients(&y, 1, in, 2, &(pleat_gradients_opts){ .grad_outputs = &g }, grad));
        /* bilinear: <g, A B> is <dA, A> and <dB, B>, and linear in each element */
        const double left = pleat_item(pleat_sum(pleat_mul(g, y)));
        ck_assert_double_eq_tol(left, pleat_item(pleat_sum(pleat_mul(grad[0], in[0]))), 1e-9);
        ck_assert_double_eq_tol(left, pleat_item(pleat_sum(pleat_mul(grad[1], in[1]))), 1e-9);
        for (int k = 0; k < 2; k++) {
            pleat_tensor *other = pleat_randn(k ? shapes[s].b : shapes[s].a, PLEAT_F64);
            pleat_tensor *moved = k ? pleat_matmul(in[0], other) : pleat_matmul(other, in[1]);
            ck_assert_double_eq_tol(pleat_item(pleat_sum(pleat_mul(g, moved))),
                                    pleat_item(pleat_sum(pleat_mul(grad[k], other))), 1e-9);
        }
        pleat_scope_end(scope);
    }
}
END_TEST

START_TEST(linear)
{
    static const pleat_shape inputs[] = { { 1, { 3 } },       { 2, { 0, 3 } },       { 2, { 8, 3 } },
                                          { 3, { 2, 3, 3 } }, { 4, { 2, 1, 4, 3 } }, { 3, { 2, 0, 3 } },
                                          { 2, { 100, 3 } } };
    for (size_t s = 0; s < sizeof inputs / sizeof *inputs; s++)
        for (int kinds = 0; kinds < 2 * VIEW_KINDS; kinds++) {
            const pleat_scope scope = pleat_scope_begin();
            const pleat_dtype dtype = kinds % 2 ? PLEAT_F32 : PLEAT_F64;
            pleat_tensor *x = random_view(inputs[s], dtype, kinds % VIEW_KINDS);
            pleat_tensor *w = random_view(PLEAT_SHAPE(4, 3), dtype, (kinds + (int)s) % VIEW_KINDS);
            pleat_tensor *b = random_view(PLEAT_SHAPE(4), dtype, kinds / 2 % VIEW_KINDS),
                         *none = pleat_linear(x, w, NULL);
            compare(none, x, pleat_transpose(w, 0, 1));
            pleat_tensor *y = pleat_linear(x, w, b);
            ck_assert(pleat_allclose(y, pleat_add(none, b), 1e-5, 1e-5));
            pleat_scope_end(scope);
        }
    pleat_tensor *in[] = { pleat_randn(PLEAT_SHAPE(2, 3, 5), PLEAT_F64), pleat_randn(PLEAT_SHAPE(4, 5), PLEAT_F64),
                           NULL };
    in[2] = pleat_randn(PLEAT_SHAPE(4), PLEAT_F64);
    for (int k = 0; k < 3; k++)
        pleat_set_requires_grad(in[k], true);
    pleat_tensor *y = pleat_linear(in[0], in[1], in[2]), *g = pleat_randn(pleat_shape_of(y), PLEAT_F64), *grad[3];
    ck_assert_ok(pleat_gradients(&y, 1, in, 3, &(pleat_gradients_opts){ .grad_outputs = &g }, grad));
    compare(grad[0], g, in[1]);
    pleat_tensor *rows = pleat_reshape(g, PLEAT_SHAPE(6, 4));
    compare(grad[1], pleat_transpose(rows, 0, 1), pleat_reshape(in[0], PLEAT_SHAPE(6, 5)));
    ck_assert(pleat_allclose(grad[2], pleat_sum_dims(g, PLEAT_DIMS(0, 1), false), 1e-12, 1e-12));
}
END_TEST

START_TEST(refusals)
{
    static const struct {
        pleat_shape a, b;
        const char *words;
    } cases[] = {
        { { 2, { 2, 3 } }, { 2, { 2, 3 } }, "matmul: (2, 3) and (2, 3) do not fit: 3 columns meet 2 rows" },
        { { 1, { 3 } }, { 1, { 4 } }, "(3,) and (4,)" },
        { { 1, { 3 } }, { 2, { 4, 3 } }, "3 columns meet 4 rows" },
        { { 3, { 2, 3, 4 } }, { 3, { 3, 4, 5 } }, "batch sizes 2 and 3 do not broadcast" },
        { { 0, { 0 } }, { 1, { 3 } }, "() and (3,): both need at least one dimension" },
        { { 1, { 3 } }, { 0, { 0 } }, "both need at least one dimension" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_ptr_null(pleat_matmul(pleat_ones(cases[i].a, PLEAT_F32), pleat_ones(cases[i].b, PLEAT_F32)));
        ck_assert_failed(PLEAT_ESHAPE, cases[i].words);
    }
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(2, 3), PLEAT_F32), *w = pleat_ones(PLEAT_SHAPE(4, 3), PLEAT_F32);
    ck_assert_ptr_null(pleat_matmul(x, pleat_ones(PLEAT_SHAPE(3, 2), PLEAT_F64)));
    ck_assert_failed(PLEAT_EDTYPE, "float64");
    ck_assert_ptr_null(
        pleat_matmul(pleat_ones(PLEAT_SHAPE(2, 2), PLEAT_I64), pleat_ones(PLEAT_SHAPE(2, 2), PLEAT_I64)));
    ck_assert_failed(PLEAT_EDTYPE, "int64");
    ck_assert_ptr_null(pleat_matmul(x, NULL));
    ck_assert_failed(PLEAT_EINVAL, "NULL");
    ck_assert_ptr_null(pleat_linear(pleat_ones(PLEAT_SHAPE(2, 4), PLEAT_F32), w, NULL));
    ck_assert_failed(PLEAT_ESHAPE, "linear: input (2, 4) has 4 features, weight (4, 3) expects 3");
    ck_assert_ptr_null(pleat_linear(x, pleat_ones(PLEAT_SHAPE(3), PLEAT_F32), NULL));
    ck_assert_failed(PLEAT_ESHAPE, "weight (3,) must be (out, in)");
    ck_assert_ptr_null(pleat_linear(x, w, pleat_ones(PLEAT_SHAPE(3), PLEAT_F32)));
    ck_assert_failed(PLEAT_ESHAPE, "bias (3,) must be (4,)");
    ck_assert_ptr_null(pleat_linear(pleat_ones(PLEAT_SHAPE(), PLEAT_F32), w, NULL));
    ck_assert_failed(PLEAT_ESHAPE, "at least one dimension");
}
END_TEST

RUN_TESTS("matmul", forward_is_the_definition, transposed, gradients, linear, refusals)
