/* backward and gradients; what a leaf knows of its gradient. */
#include "autograd/walk.h"

#include "kernels/copy.h"
#include "tensor/error.h"
#include "tensor/memory.h"

#include <pleat/autograd.h>
#include <pleat/ops.h>

/* A failed backward leaves no history behind that could be taken for a whole one: every record that the outputs depend
 * on is spent. Needs no memory, so it works after PLEAT_ENOMEM: the mark of having been seen is the flag itself. */
static void spend(pleat_thread *t, pleat_tensor *const *output, int count)
{
    int64_t ahead = 0, top = -1;
    for (int k = 0; k < count; k++) {
        pleat_record *r = output[k]->serial ? pleat_tape_find(&t->tape, output[k]->serial, output[k]->call) : NULL;
        if (r && !r->marked) {
            r->marked = true;
            ahead++;
            top = output[k]->call > top ? output[k]->call : top;
        }
    }
    for (int64_t i = top; i >= 0 && ahead > 0; i--) {
        pleat_record *r = t->tape.call[i];
        if (!r->marked)
            continue;
        ahead--;
        r->marked = false;
        pleat_record_spend(r);
        for (int k = 0; k < r->inputs; k++) {
            const pleat_source *s = &r->source[k];
            pleat_record *from = s->serial ? pleat_tape_find(&t->tape, s->serial, s->call) : NULL;
            if (from && !from->marked) {
                from->marked = true;
                ahead++;
            }
        }
    }
}

/* ---- Into the leaves ---- */

static pleat_status backward(pleat_tensor *loss, bool keep)
{
    if (!loss)
        return pleat_fail(PLEAT_EINVAL, "the loss is NULL");
    if (loss->numel != 1)
        return pleat_fail(PLEAT_ESHAPE,
                          "the loss has one element, not %s (pleat_gradients takes others, with their "
                          "output gradients)",
                          pleat_shape_text(loss->shape).text);
    if (!loss->requires_grad)
        return pleat_fail(PLEAT_EGRAD, "the loss does not depend on anything that requires a gradient, or was computed "
                                       "with the gradient mode off");
    pleat_walk walk = { .thread = pleat_thread_get(), .keep = keep };
    if (!walk.thread)
        return PLEAT_ENOMEM;
    if (pleat_walk_run(&walk, &loss, NULL, 1) == PLEAT_OK)
        pleat_staging_commit(&walk.staging);
    pleat_walk_end(&walk);
    if (pleat_pending() != PLEAT_OK && !keep)
        spend(walk.thread, &loss, 1);
    return pleat_pending();
}

static pleat_status named_backward(const char *name, pleat_tensor *loss, bool keep)
{
    if (pleat_pending() != PLEAT_OK)
        return pleat_check();
    const char *context = pleat_context(name);
    backward(loss, keep);
    pleat_context(context);
    return pleat_check();
}

pleat_status pleat_backward(pleat_tensor *loss)
{
    return named_backward("backward", loss, false);
}

pleat_status pleat_backward_keep(pleat_tensor *loss)
{
    return named_backward("backward_keep", loss, true);
}

/* ---- To whoever asks ---- */

static pleat_status check_ends(pleat_tensor *const *outputs, int outputs_count, pleat_tensor *const *inputs,
                               int inputs_count, pleat_tensor *const *grad_outputs)
{
    if (outputs_count < 1 || inputs_count < 1)
        return pleat_fail(PLEAT_EINVAL, "at least one output and one input are wanted, not %d and %d", outputs_count,
                          inputs_count);
    for (int k = 0; k < outputs_count; k++) {
        const pleat_tensor *y = outputs[k], *g = grad_outputs ? grad_outputs[k] : NULL;
        if (!y)
            return pleat_fail(PLEAT_EINVAL, "output %d is NULL", k);
        if (!y->requires_grad)
            return pleat_fail(PLEAT_EGRAD,
                              "output %d does not depend on anything that requires a gradient, or was "
                              "computed with the gradient mode off",
                              k);
        if (!g && y->numel != 1)
            return pleat_fail(PLEAT_ESHAPE, "output %d has shape %s, so it wants an output gradient", k,
                              pleat_shape_text(y->shape).text);
        if (g && !pleat_shape_equal(g->shape, y->shape))
            return pleat_fail(PLEAT_ESHAPE, "output %d has shape %s, its output gradient %s", k,
                              pleat_shape_text(y->shape).text, pleat_shape_text(g->shape).text);
        if (g && g->dtype != y->dtype)
            return pleat_fail(PLEAT_EDTYPE, "output %d is %s, its output gradient %s", k, pleat_dtype_name(y->dtype),
                              pleat_dtype_name(g->dtype));
    }
    for (int i = 0; i < inputs_count; i++)
        if (!inputs[i])
            return pleat_fail(PLEAT_EINVAL, "input %d is NULL", i);
        else if (!inputs[i]->requires_grad)
            return pleat_fail(PLEAT_EGRAD, "input %d does not require a gradient", i);
    return PLEAT_OK;
}

static pleat_tensor *zeros_like(const pleat_tensor *t)
{
    pleat_tensor *z = pleat_tensor_new(t->shape, t->dtype);
    if (z)
        pleat_kernels_get()->copy->fill(pleat_tensor_address(z), z->dtype, 0, z->numel);
    return z;
}

static pleat_status gradients(pleat_walk *w, pleat_tensor *const *outputs, int outputs_count,
                              const pleat_gradients_opts *opts)
{
    if (pleat_walk_run(w, outputs, opts->grad_outputs, outputs_count) != PLEAT_OK)
        return pleat_pending();
    for (int i = 0; i < w->targets; i++) {
        if (w->result[i])
            continue;
        if (pleat_walk_reached(w, i, outputs, outputs_count)) {
            if (!(w->result[i] = zeros_like(w->target[i])))
                return PLEAT_ENOMEM;
        } else if (!opts->allow_unused)
            return pleat_fail(PLEAT_EGRAD, "no output depends on input %d (.allow_unused gives NULL for it)", i);
    }
    return pleat_temporaries_reserve(w->thread, w->targets);
}

pleat_status pleat_gradients(pleat_tensor *const *outputs, int outputs_count, pleat_tensor *const *inputs,
                             int inputs_count, const pleat_gradients_opts *opts, pleat_tensor **grads)
{
    for (int i = 0; i < inputs_count; i++)
        grads[i] = NULL;
    if (pleat_pending() != PLEAT_OK)
        return pleat_check();
    const char *context = pleat_context("gradients");
    const pleat_gradients_opts defaults = { 0 };
    if (!opts)
        opts = &defaults;
    if (check_ends(outputs, outputs_count, inputs, inputs_count, opts->grad_outputs) == PLEAT_OK) {
        pleat_walk walk = { .thread = pleat_thread_get(),
                            .record = opts->record,
                            .keep = opts->keep || opts->record,
                            .target = inputs,
                            .result = grads,
                            .targets = inputs_count };
        if (walk.thread) {
            gradients(&walk, outputs, outputs_count, opts);
            pleat_walk_end(&walk);
            for (int i = 0; i < inputs_count; i++)
                if (pleat_pending() != PLEAT_OK) {
                    pleat_release(grads[i]);
                    grads[i] = NULL;
                } else if (grads[i])
                    pleat_temporaries_push(walk.thread, grads[i]);
            if (pleat_pending() != PLEAT_OK && !walk.keep)
                spend(walk.thread, outputs, outputs_count);
        }
    }
    pleat_context(context);
    return pleat_check();
}

/* ---- Leaves ---- */

pleat_tensor *pleat_set_requires_grad(pleat_tensor *t, bool on)
{
    if (!t || pleat_pending() != PLEAT_OK) {
        pleat_fail(PLEAT_EINVAL, "set_requires_grad: the tensor is NULL");
        return NULL;
    }
    if (!pleat_dtype_is_float(t->dtype)) {
        pleat_fail(PLEAT_EDTYPE, "set_requires_grad: a gradient needs float32 or float64, not %s",
                   pleat_dtype_name(t->dtype));
        return NULL;
    }
    if (t->serial) {
        pleat_fail(PLEAT_EGRAD,
                   "set_requires_grad: the tensor is the result of recorded calls, not a leaf: detach it first");
        return NULL;
    }
    t->requires_grad = on;
    return t;
}

bool pleat_requires_grad(const pleat_tensor *t)
{
    return t && t->requires_grad;
}

bool pleat_is_leaf(const pleat_tensor *t)
{
    return t && !t->serial;
}

pleat_tensor *pleat_detach(pleat_tensor *t)
{
    if (!t || pleat_pending() != PLEAT_OK) {
        pleat_fail(PLEAT_EINVAL, "detach: the tensor is NULL");
        return NULL;
    }
    const pleat_spec spec = pleat_tensor_spec(t);
    return pleat_borrow(pleat_tensor_view(t, &spec));
}

pleat_tensor *pleat_grad(const pleat_tensor *leaf)
{
    return leaf ? leaf->grad : NULL;
}

pleat_status pleat_set_grad(pleat_tensor *leaf, pleat_tensor *grad)
{
    if (pleat_pending() != PLEAT_OK)
        return pleat_check();
    if (!leaf)
        return pleat_tell(pleat_fail(PLEAT_EINVAL, "set_grad: the leaf is NULL"));
    if (grad && grad->dtype != leaf->dtype)
        return pleat_tell(pleat_fail(PLEAT_EDTYPE, "set_grad: the leaf is %s, the gradient %s",
                                     pleat_dtype_name(leaf->dtype), pleat_dtype_name(grad->dtype)));
    if (grad && !pleat_shape_equal(grad->shape, leaf->shape))
        return pleat_tell(pleat_fail(PLEAT_ESHAPE, "set_grad: the leaf has shape %s, the gradient %s",
                                     pleat_shape_text(leaf->shape).text, pleat_shape_text(grad->shape).text));
    if (grad && (grad->requires_grad || !grad->contiguous || grad == leaf))
        return pleat_tell(
            pleat_fail(PLEAT_EINVAL, "set_grad: the gradient must be a contiguous tensor without a history"));
    pleat_retain(grad);
    pleat_tensor_lock_grad(leaf);
    pleat_tensor *old = leaf->grad;
    leaf->grad = grad;
    pleat_tensor_unlock_grad(leaf);
    pleat_release(old);
    return PLEAT_OK;
}
