/* Every op of the table with memory ending at each of its allocations, forward and backward, by both statements of its
 * gradient: an error, and nothing lost. */
#include "samples.h"

#include "support/run.h"

#define SAMPLES 3 /* an op: their allocations are all alike */

/* The result and the gradients by every input that wants one. */
static pleat_status run(const pleat_op *op, const pleat_op_sample *s, bool record)
{
    pleat_tensor *wanted[64], *grad[64], *out[PLEAT_MAX_OUTPUTS];
    int count = 0;
    for (int i = 0; i < s->count; i++)
        if (s->in[i] && pleat_requires_grad(s->in[i]))
            wanted[count++] = s->in[i];
    pleat_status status = pleat_apply_all(op, s->in, s->count, s->params, out);
    if (status != PLEAT_OK || !pleat_requires_grad(out[0]))
        return status;
    pleat_tensor *g = pleat_ones(pleat_shape_of(out[0]), pleat_dtype_of(out[0]));
    status = pleat_check();
    const pleat_gradients_opts opts = { .grad_outputs = &g, .record = record, .allow_unused = true };
    return status == PLEAT_OK ? pleat_gradients(out, 1, wanted, count, &opts, grad) : status;
}

START_TEST(every_op)
{
    samples_all();
    pleat_memory_set_cache_limit(0);
    ck_assert_ok(pleat_set_threads(1));
    for (int i = 0; pleat_builtin_op(i); i++) {
        const collected *c = collected_of(pleat_builtin_op(i));
        for (int k = 0; k < c->count && k < SAMPLES; k++)
            for (int record = 0; record < 2; record++)
                for (int64_t n = 1;; n++) {
                    const pleat_scope scope = pleat_scope_begin();
                    const int64_t live = pleat_live_tensors(), tape = pleat_tape_length();
                    pleat_memory_fail_after(n);
                    const pleat_status status = run(c->op, &c->sample[k], record);
                    const bool never = pleat_memory_fail_after(0) > 0;
                    ck_assert_msg(status == (never ? PLEAT_OK : PLEAT_ENOMEM), "%s, %s, allocation %d: %s", c->op->name,
                                  c->sample[k].name, (int)n, never ? pleat_error() : pleat_status_name(status));
                    ck_assert(pleat_check() == PLEAT_OK);
                    ck_assert_ok(pleat_scope_end(scope));
                    ck_assert_int_eq(pleat_live_tensors(), live);
                    ck_assert_int_eq(pleat_tape_length(), tape);
                    if (never)
                        break;
                }
    }
}
END_TEST

RUN_TESTS("out of memory", every_op)
