/* pleat_op_check: a right op passes; ops that are wrong in one way each are found by the check that is there for it. */
#include "support/run.h"

#include <pleat/op.h>
#include <pleat/pleat.h>

#include <string.h>

/* y = a b, both of one shape, and the ways it can be wrong */
typedef enum {
    RIGHT,
    WRONG_GRADIENT, /* of input 1 */
    WRONG_KERNEL,   /* backward_kernel and backward disagree: gradcheck sees one of them only */
    WRONG_BACKWARD,
    FORGOTTEN,       /* its gradient by input 0 is there only if that by input 1 is wanted too */
    IGNORES_STRIDES, /* says it takes strided inputs, and does not */
    IGNORES_STRIDES_OF_GRADIENT,
    COUNTS_THREADS, /* the result depends on how many there are */
    DEPENDS_ON_CHUNKS,
    WRONG_F32,
    NO_SECOND,
} fault;

static pleat_status product_infer(const pleat_call *call, pleat_spec *out)
{
    if (!pleat_shape_equal(call->in_spec[0].shape, call->in_spec[1].shape))
        return pleat_fail(PLEAT_ESHAPE, "shapes must be equal");
    out[0] = (pleat_spec){ .dtype = call->in_spec[0].dtype, .shape = call->in_spec[0].shape };
    return PLEAT_OK;
}

typedef struct {
    const pleat_tensor *a, *b;
    const void *pa, *pb;
    void *y;
    fault f;
} product_work;

static double read_element(const product_work *w, const pleat_tensor *t, const void *data, int64_t i)
{
    int64_t at = i;
    if (w->f != IGNORES_STRIDES) {
        at = 0;
        for (int d = pleat_ndim(t) - 1; d >= 0; d--) {
            at += i % pleat_size(t, d) * pleat_stride(t, d);
            i /= pleat_size(t, d);
        }
    }
    return pleat_dtype_of(t) == PLEAT_F64 ? ((const double *)data)[at] : (double)((const float *)data)[at];
}

static void product_range(int64_t begin, int64_t end, void *ctx)
{
    const product_work *w = ctx;
    for (int64_t i = begin; i < end; i++) {
        double v = read_element(w, w->a, w->pa, i) * read_element(w, w->b, w->pb, i);
        if (w->f == DEPENDS_ON_CHUNKS && i == begin)
            v *= 1 + 1e-15;
        if (pleat_dtype_of(w->a) == PLEAT_F64)
            ((double *)w->y)[i] = v;
        else
            ((float *)w->y)[i] = (float)(w->f == WRONG_F32 ? v * 1.01 : v);
    }
}

static pleat_status product_forward(pleat_call *call)
{
    product_work w = { call->in[0],
                       call->in[1],
                       pleat_data_strided(call->in[0]),
                       pleat_data_strided(call->in[1]),
                       pleat_data_mut(call->out[0]),
                       *(const fault *)call->params };
    pleat_parallel_for(pleat_numel(call->out[0]), 1000, product_range, &w);
    if (w.f == COUNTS_THREADS && pleat_threads() > 1 && pleat_numel(call->out[0]) > 0 &&
        pleat_dtype_of(w.a) == PLEAT_F64)
        ((double *)w.y)[0] *= 1 + 1e-15;
    return PLEAT_OK;
}

static pleat_status product_backward(pleat_call *call)
{
    const fault f = *(const fault *)call->params;
    pleat_tensor *g = call->grad_out[0];
    if (f == IGNORES_STRIDES_OF_GRADIENT && !pleat_is_contiguous(g)) {
        pleat_tensor *other = pleat_empty(pleat_shape_of(g), pleat_dtype_of(g)); /* reads it as it lies in memory */
        memcpy(pleat_data_mut(other), pleat_data_strided(g),
               (size_t)pleat_numel(g) * pleat_dtype_size(pleat_dtype_of(g)));
        g = other;
    }
    if (pleat_wants(call, 0) && (f != FORGOTTEN || pleat_wants(call, 1)))
        call->grad_in[0] = pleat_mul(g, call->in[1]);
    if (pleat_wants(call, 1))
        call->grad_in[1] =
            pleat_mul_scalar(pleat_mul(g, call->in[0]), f == WRONG_GRADIENT || f == WRONG_BACKWARD ? 1.5 : 1);
    return PLEAT_OK;
}

static pleat_status product_kernel(pleat_call *call)
{
    const fault f = *(const fault *)call->params;
    if (pleat_wants(call, 0))
        call->grad_in[0] =
            pleat_mul_scalar(pleat_mul(call->grad_out[0], call->in[1]), f == WRONG_KERNEL ? 1 + 1e-6 : 1);
    if (pleat_wants(call, 1))
        call->grad_in[1] = pleat_mul(call->grad_out[0], call->in[0]);
    return PLEAT_OK;
}

#define PRODUCT                                                                                                        \
    .name = "product", .inputs = 2, .outputs = 1, .params_size = sizeof(fault), .strided = PLEAT_ALL_IN,               \
    .keeps = { PLEAT_KEEP_IN(1), PLEAT_KEEP_IN(0) }, .infer = product_infer, .forward = product_forward
static const pleat_op product_op = { PRODUCT, .backward = product_backward };
static const pleat_op fused_op = { PRODUCT, .backward = product_backward, .backward_kernel = product_kernel };
static const pleat_op kernel_only_op = { PRODUCT, .backward_kernel = product_kernel };

static pleat_status check(const pleat_op *op, fault f, pleat_op_check_count *counted)
{
    pleat_tensor *in[] = { pleat_affine(pleat_arange(0, 6, 1, PLEAT_F64), 0.3, 0.4), pleat_arange(1, 7, 1, PLEAT_F64) };
    for (int i = 0; i < 2; i++)
        in[i] = pleat_reshape(in[i], PLEAT_SHAPE(2, 3));
    const pleat_op_sample sample = { .name = "2 x 3", .in = in, .count = 2, .params = &f, .no_second = f == NO_SECOND };
    return pleat_op_check(op, &sample, 1, counted);
}

START_TEST(right_ops_pass)
{
    pleat_op_check_count counted;
    const int64_t live = pleat_live_tensors();
    const pleat_scope scope = pleat_scope_begin();
    const int threads = pleat_threads();
    const pleat_rng_state rng = pleat_rng_get();
    pleat_parallel_workers_seen();
    ck_assert_ok(check(&product_op, RIGHT, &counted));
    ck_assert_int_eq(counted.samples, 1);
    ck_assert_int_eq(counted.checks, 8);
#ifdef _OPENMP
    ck_assert_int_gt(pleat_parallel_workers_seen(), 1);
#endif
    ck_assert_ok(check(&fused_op, RIGHT, &counted));
    ck_assert_int_eq(counted.checks, 12);
    ck_assert_ok(check(&kernel_only_op, NO_SECOND, &counted));
    ck_assert_int_eq(counted.checks, 7);
    ck_assert_int_eq(pleat_threads(), threads);
    ck_assert(pleat_rng_get().draws == rng.draws && pleat_grad_enabled());
    pleat_scope_end(scope);
    ck_assert_int_eq(pleat_live_tensors(), live);
}
END_TEST

START_TEST(every_fault_is_found)
{
    static const struct {
        const pleat_op *op;
        fault f;
        const char *words;
    } cases[] = {
        { &product_op, WRONG_GRADIENT, "op_check: product, sample 0 2 x 3: gradcheck: input 1" },
        { &fused_op, WRONG_KERNEL, "backward_kernel against backward: gradient of input 0" },
        { &fused_op, WRONG_BACKWARD, "2 x 3: " },
        { &product_op, FORGOTTEN, "one input alone wanted: gradient of input 0" },
        { &product_op, IGNORES_STRIDES, "non-contiguous: output 0" },
        { &product_op, IGNORES_STRIDES_OF_GRADIENT, "non-contiguous: gradient of input 0" },
#ifdef _OPENMP /* without it there is nothing to count */
        { &product_op, COUNTS_THREADS, "one against several threads: output 0, element 0" },
#endif
        { &product_op, DEPENDS_ON_CHUNKS, "one against several threads: output 0" },
        { &product_op, WRONG_F32, "float32 against float64: output 0" },
        { &kernel_only_op, RIGHT, "states its gradient as a kernel alone" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pleat_op_check_count counted = { 0 };
        const pleat_op *op = cases[i].op;
        const bool second = op == &kernel_only_op; /* asked for the second derivative that it has not */
        if (second) {
            pleat_tensor *x = pleat_set_requires_grad(pleat_ones(PLEAT_SHAPE(2), PLEAT_F64), true), *g;
            fault f = RIGHT;
            pleat_tensor *y = pleat_apply(op, (pleat_tensor *[]){ x, x }, 2, &f),
                         *ones = pleat_ones(PLEAT_SHAPE(2), PLEAT_F64);
            ck_assert(pleat_gradients(&y, 1, &x, 1, &(pleat_gradients_opts){ .grad_outputs = &ones, .record = true },
                                      &g) != PLEAT_OK);
        } else {
            ck_assert_msg(check(op, cases[i].f, &counted) == PLEAT_EGRAD, "fault %d: %s", cases[i].f, pleat_error());
            ck_assert_int_eq(counted.samples, 1);
        }
        ck_assert_failed(PLEAT_EGRAD, cases[i].words);
        ck_assert(pleat_check() == PLEAT_OK);
    }
}
END_TEST

START_TEST(refusals)
{
    fault f = RIGHT;
    pleat_tensor *narrow[] = { pleat_ones(PLEAT_SHAPE(2), PLEAT_F32), pleat_ones(PLEAT_SHAPE(2), PLEAT_F32) };
    const pleat_op_sample single = { .in = narrow, .count = 2, .params = &f }, none = { .count = 0 };
    ck_assert(pleat_op_check(NULL, &single, 1, NULL) == PLEAT_EINVAL);
    ck_assert(pleat_op_check(&product_op, NULL, 1, NULL) == PLEAT_EINVAL);
    ck_assert(pleat_op_check(&product_op, &single, 0, NULL) == PLEAT_EINVAL);
    ck_assert(pleat_op_check(&product_op, &none, 1, NULL) == PLEAT_EINVAL);
    ck_assert(pleat_op_check(&product_op, &single, 1, NULL) == PLEAT_EDTYPE);
    ck_assert_failed(PLEAT_EDTYPE, "samples are float64");
    /* the op's own refusal of a sample is passed on */
    pleat_tensor *odd[] = { pleat_ones(PLEAT_SHAPE(2), PLEAT_F64), pleat_ones(PLEAT_SHAPE(3), PLEAT_F64) };
    ck_assert(pleat_op_check(&product_op, &(pleat_op_sample){ .in = odd, .count = 2, .params = &f }, 1, NULL) ==
              PLEAT_ESHAPE);
    ck_assert_failed(PLEAT_ESHAPE, "op_check: product, sample 0: product: shapes must be equal");
}
END_TEST

START_TEST(memory_may_end_anywhere)
{
    pleat_memory_set_cache_limit(0);
    fault f = RIGHT;
    pleat_tensor *in[] = { pleat_ones(PLEAT_SHAPE(1), PLEAT_F64), pleat_ones(PLEAT_SHAPE(1), PLEAT_F64) };
    const pleat_op_sample sample = { .in = in, .count = 2, .params = &f };
    const int64_t live = pleat_live_tensors();
    for (int64_t n = 1;; n += 1 + n / 16) {
        pleat_memory_fail_after(n);
        const pleat_status status = pleat_op_check(&fused_op, &sample, 1, NULL);
        const int64_t left = pleat_memory_fail_after(0);
        ck_assert_int_eq(pleat_live_tensors(), live);
        if (left > 0) {
            ck_assert_ok(status);
            break;
        }
        ck_assert_msg(status == PLEAT_ENOMEM, "allocation %d: %s, %s", (int)n, pleat_status_name(status),
                      pleat_error());
    }
}
END_TEST

RUN_TESTS("op_check", right_ops_pass, every_fault_is_found, refusals, memory_may_end_anywhere)
