/* Samples of ops, taken from calls of the public functions.
 *
 * SAMPLE(pleat_conv2d(values(2, 3, 5, 5), values(4, 3, 3, 3), NULL, NULL)) runs the expression and its gradient,
 * recorded, and reads from the tape which ops ran with which parameters on which inputs: so a sample is written as
 * users write calls, and ops that only gradients use get samples too. An input that the tape holds (a leaf, or kept) is
 * copied; for any other, numbers in [0.5, 1.5) of its shape do. Inputs that wanted a gradient there want one in the
 * sample. */
#ifndef PLEAT_TEST_COLLECT_H
#define PLEAT_TEST_COLLECT_H

#include "tensor/thread.h"

#include <pleat/pleat.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define COLLECT_OPS 128
#define COLLECT_ENOUGH 3 /* samples an op from calls that gradients made: there are many of a kind */

typedef struct {
    const pleat_op *op;
    int count, from_gradients;
    bool empty, scalar; /* whether there is one of these among those from gradients */
    pleat_op_sample sample[256];
} collected;

static collected collection[COLLECT_OPS];

/* The samples of the op, none at first. */
static collected *collected_of(const pleat_op *op)
{
    int i = 0;
    while (i < COLLECT_OPS && collection[i].op && collection[i].op != op)
        i++;
    ck_assert_int_lt(i, COLLECT_OPS);
    collection[i].op = op;
    return &collection[i];
}

static pleat_tensor *random_of(pleat_shape shape, double low, double high)
{
    static uint64_t draws;
    pleat_tensor *t = pleat_empty(shape, PLEAT_F64);
    double *to = pleat_data_mut(t);
    draws++;
    for (int64_t i = 0; to && i < pleat_numel(t); i++) {
        uint32_t word[4];
        pleat_philox(11, draws, (uint64_t)i, word);
        to[i] = low + (high - low) * word[0] / 4294967296.0;
    }
    return t;
}

/* Leaves that want a gradient, with numbers in [-1, 1), or in [0.5, 1.5); other ones in each call. */
#define values(...) pleat_set_requires_grad(random_of(PLEAT_SHAPE(__VA_ARGS__), -1, 1), true)
#define positive(...) pleat_set_requires_grad(random_of(PLEAT_SHAPE(__VA_ARGS__), 0.5, 1.5), true)

static pleat_tensor *copy_detached(const pleat_tensor *t)
{
    return pleat_copy_(pleat_empty(pleat_shape_of(t), pleat_dtype_of(t)), t);
}

/* Turns what a record says of a call into a sample, which lives as long as the test. */
static void collect_record(const pleat_record *r, const char *name, bool zero)
{
    collected *to = collected_of(r->op);
    ck_assert_int_lt(to->count, (int)(sizeof to->sample / sizeof *to->sample));
    pleat_tensor **in = calloc((size_t)r->inputs, sizeof *in);
    void *params = malloc(r->op->params_size + 1);
    if (r->op->params_size)
        memcpy(params, r->params, r->op->params_size);
    for (int i = 0; i < r->inputs; i++) {
        const pleat_source *source = &r->source[i];
        const bool wanted = source->leaf || source->serial;
        if (r->spec[i].dtype == 0)
            continue; /* missing */
        if (source->leaf || r->kept[i].tensor)
            in[i] = copy_detached(source->leaf ? source->leaf : r->kept[i].tensor);
        else if (r->spec[i].dtype == PLEAT_F64 || r->spec[i].dtype == PLEAT_F32)
            in[i] = random_of(r->spec[i].shape, 0.5, 1.5);
        ck_assert_msg(in[i] != NULL, "%s: %s: input %d is not to be had: %s", name, r->op->name, i, pleat_error());
        pleat_retain(wanted ? pleat_set_requires_grad(in[i], true) : in[i]);
    }
    for (int i = 0; i < r->inputs + r->outputs; i++) /* of nothing all is zero */
        zero |= r->spec[i].dtype && pleat_shape_numel(r->spec[i].shape) == 0;
    to->sample[to->count++] =
        (pleat_op_sample){ .name = name, .in = in, .count = r->inputs, .params = params, .zero = zero };
}

/* A sample of an op that has no gradient, and so is never on the tape. */
static void collect_call(const pleat_op *op, const char *name, pleat_tensor *const *inputs, int count,
                         const void *params)
{
    collected *to = collected_of(op);
    pleat_tensor **in = calloc((size_t)count, sizeof *in);
    void *copy = malloc(op->params_size + 1);
    ck_assert(in != NULL && copy != NULL && to->count < (int)(sizeof to->sample / sizeof *to->sample));
    if (params)
        memcpy(copy, params, op->params_size);
    for (int i = 0; i < count; i++)
        in[i] = pleat_retain(copy_detached(inputs[i]));
    to->sample[to->count++] = (pleat_op_sample){ .name = name, .in = in, .count = count, .params = copy };
}

static void collect(const char *text, int64_t from, pleat_tensor *y, bool zero)
{
    ck_assert_msg(y != NULL && pleat_check() == PLEAT_OK, "%s: %s", text, pleat_error());
    const pleat_tape *tape = &pleat_thread_get()->tape;
    const int64_t forward = tape->length;
    for (int64_t i = from; i < forward; i++)
        collect_record(tape->call[i], text, zero);

    /* the gradients by every leaf, recorded, in order to see their ops */
    pleat_tensor *leaf[64], *grad[64];
    int leaves = 0;
    for (int64_t i = from; i < forward; i++)
        for (int k = 0; k < tape->call[i]->inputs; k++) {
            pleat_tensor *t = tape->call[i]->source[k].leaf;
            for (int n = 0; t && n < leaves; n++)
                t = leaf[n] == t ? NULL : t;
            if (t && leaves < 64)
                leaf[leaves++] = t;
        }
    if (leaves == 0)
        return;
    pleat_tensor *ones = pleat_ones(pleat_shape_of(y), pleat_dtype_of(y));
    const pleat_gradients_opts opts = { .grad_outputs = &ones, .record = true, .allow_unused = true };
    pleat_set_requires_grad(ones, true);
    ck_assert_msg(pleat_gradients(&y, 1, leaf, leaves, &opts, grad) == PLEAT_OK, "%s: %s", text, pleat_error());
    for (int64_t i = forward; i < tape->length; i++) {
        collected *of = collected_of(tape->call[i]->op);
        const pleat_shape shape = tape->call[i]->spec[0].shape;
        const bool empty = pleat_shape_numel(shape) == 0 && !of->empty, scalar = shape.ndim == 0 && !of->scalar;
        if (of->from_gradients++ < COLLECT_ENOUGH || empty || scalar)
            collect_record(tape->call[i], text, zero);
        of->empty |= empty;
        of->scalar |= scalar;
    }
}

#define SAMPLE(expression) SAMPLE_AS(#expression, expression, false)
#define SAMPLE_ZERO(expression)                                                                                        \
    SAMPLE_AS(#expression, expression, true) /* one that has a gradient of zero somewhere on the way */
#define SAMPLE_AS(text, expression, zero)                                                                              \
    do {                                                                                                               \
        const pleat_scope scope_ = pleat_scope_begin();                                                                \
        const int64_t from_ = pleat_tape_length();                                                                     \
        pleat_tensor *result_ = (expression);                                                                          \
        collect(text, from_, result_, zero);                                                                           \
        pleat_scope_end(scope_);                                                                                       \
    } while (0)

#endif
