/* pleat_apply: from an op and its inputs to outputs and, where a gradient is wanted, a record on the tape. */
#include "tensor/error.h"
#include "tensor/memory.h"
#include "tensor/shape.h"
#include "tensor/thread.h"

#include <string.h>

static unsigned dtypes_of(const pleat_op *op, int i)
{
    const unsigned set = op->dtypes[op->inputs == PLEAT_VARIADIC ? 0 : i];
    return set ? set : PLEAT_FLOATS;
}

static pleat_status check_inputs(const pleat_op *op, pleat_tensor *const *in, int count)
{
    if (op->inputs == PLEAT_VARIADIC ? count < 1 : count != op->inputs)
        return pleat_fail(PLEAT_EINVAL, "takes %d inputs, not %d", op->inputs == PLEAT_VARIADIC ? 1 : op->inputs,
                          count);
    for (int i = 0; i < count; i++) {
        const unsigned set = dtypes_of(op, i);
        if (!in[i]) {
            if (op->inputs != PLEAT_VARIADIC && op->optional & PLEAT_IN(i))
                continue;
            return pleat_fail(PLEAT_EINVAL, "input %d is NULL", i);
        }
        if (!(set & 1u << in[i]->dtype))
            return pleat_fail(PLEAT_EDTYPE, "input %d is %s, which it does not take", i,
                              pleat_dtype_name(in[i]->dtype));
        for (int k = 0; k < i; k++) {
            if (!in[k] || dtypes_of(op, k) != set)
                continue;
            if (in[k]->dtype != in[i]->dtype)
                return pleat_fail(PLEAT_EDTYPE,
                                  "input %d is %s and input %d is %s: they must be the same (pleat_cast converts)", k,
                                  pleat_dtype_name(in[k]->dtype), i, pleat_dtype_name(in[i]->dtype));
            break; /* those before k were held against k */
        }
    }
    return PLEAT_OK;
}

/* Room for one call's arrays: on the stack for as many inputs as a fixed op has, from the allocator beyond. */
typedef struct {
    pleat_tensor *in[PLEAT_MAX_INPUTS];
    pleat_spec spec[PLEAT_MAX_INPUTS];
} small_inputs;

static pleat_status run(pleat_thread *thread, const pleat_op *op, pleat_tensor *const *given, pleat_tensor **in,
                        pleat_spec *in_spec, int count, const void *params, pleat_tensor **out)
{
    pleat_spec out_spec[PLEAT_MAX_OUTPUTS];
    for (int k = 0; k < op->outputs; k++)
        out_spec[k] = (pleat_spec){ 0 };
    pleat_call call = { .op = op,
                        .params = op->params_size ? params : NULL,
                        .inputs = count,
                        .outputs = op->outputs,
                        .in_spec = in_spec,
                        .out_spec = out_spec,
                        .in = in,
                        .out = out };
    bool wanted = false;
    for (int i = 0; i < count; i++) {
        in[i] = given[i];
        if (given[i]) {
            pleat_tensor_describe(given[i], &in_spec[i]);
            wanted |= given[i]->requires_grad;
        } else
            in_spec[i] = (pleat_spec){ 0 };
    }
    const uint64_t failures = pleat_failures();
    if (pleat_take(op->infer(&call, out_spec), failures) != PLEAT_OK)
        return pleat_pending();

    /* temporaries that stand in for strided inputs, and whatever forward makes, go when it is done */
    const int64_t temporaries = thread->temporaries;
    const bool all_strided = op->strided & PLEAT_ALL_IN || out_spec[0].view;
    for (int i = 0; i < count && !all_strided; i++)
        if (in[i] && !in[i]->contiguous && !(op->inputs != PLEAT_VARIADIC && op->strided & PLEAT_IN(i))) {
            in[i] = pleat_borrow(pleat_tensor_copy(in[i]));
            if (!in[i])
                break;
        }
    for (int k = 0; k < op->outputs && pleat_pending() == PLEAT_OK; k++)
        out[k] = out_spec[k].view ? pleat_tensor_view(given[0], &out_spec[k])
                                  : pleat_tensor_make(&out_spec[k].shape, out_spec[k].dtype);

    if (pleat_pending() == PLEAT_OK && op->forward) {
        const bool mode = thread->grad_mode;
        const int32_t floor = thread->floor;
        thread->grad_mode = false;
        thread->floor = (int32_t)thread->depth;
        pleat_watch *watch = thread->watch;
        const int64_t begun = watch ? pleat_watch_begin(watch, &call, false) : -1;
        pleat_take(op->forward(&call), failures);
        if (watch) {
            char path[PLEAT_PATH];
            pleat_frame_path(thread->frame, path, sizeof path);
            pleat_watch_end(watch, &call, false, begun, path);
        }
        thread->depth = thread->floor; /* scopes it left open go too */
        thread->floor = floor;
        thread->grad_mode = mode;
    }
    pleat_temporaries_drop(thread, temporaries);
    if (pleat_pending() == PLEAT_OK && wanted && thread->grad_mode) {
        call.in = given;
        char path[PLEAT_PATH];
        if (thread->watch)
            pleat_frame_path(thread->frame, path, sizeof path);
        pleat_tape_record(&thread->tape, &call, thread->watch ? path : NULL);
    }
    if (pleat_pending() == PLEAT_OK)
        pleat_temporaries_reserve(thread, op->outputs);
    return pleat_pending();
}

/* Everything but telling. */
static pleat_status apply(const pleat_op *op, pleat_tensor *const *inputs, int count, const void *params,
                          pleat_tensor **out)
{
    for (int k = 0; k < op->outputs; k++)
        out[k] = NULL;
    pleat_thread *thread = pleat_pending() == PLEAT_OK ? pleat_thread_get() : NULL;
    if (!thread)
        return pleat_pending();
    const char *context = pleat_context(op->name);
    if (check_inputs(op, inputs, count) == PLEAT_OK) {
        const pleat_tape_mark calls = pleat_tape_now(&thread->tape);
        small_inputs few;
        pleat_tensor **in = few.in;
        pleat_spec *spec = few.spec;
        void *many = NULL;
        if (count > PLEAT_MAX_INPUTS) {
            many = pleat_alloc((size_t)count * (sizeof *spec + sizeof *in));
            spec = many;
            in = many ? (pleat_tensor **)(void *)(spec + count) : NULL;
        }
        if (in && run(thread, op, inputs, in, spec, count, params, out) == PLEAT_OK)
            for (int k = 0; k < op->outputs; k++)
                pleat_temporaries_push(thread, out[k]);
        else {
            pleat_tape_drop(&thread->tape, calls);
            for (int k = 0; k < op->outputs; k++) {
                pleat_release(out[k]);
                out[k] = NULL;
            }
        }
        pleat_free(many);
    }
    pleat_context(context);
    return pleat_pending();
}

pleat_tensor *pleat_apply(const pleat_op *op, pleat_tensor *const *inputs, int count, const void *params)
{
    pleat_tensor *out[PLEAT_MAX_OUTPUTS];
    apply(op, inputs, count, params, out);
    return out[0];
}

pleat_status pleat_apply_all(const pleat_op *op, pleat_tensor *const *inputs, int count, const void *params,
                             pleat_tensor **outputs)
{
    return pleat_tell(apply(op, inputs, count, params, outputs));
}
