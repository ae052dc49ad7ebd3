/* Memory for time: a module that keeps nothing for its gradient but its input. Its forward runs off the tape; one call
 * stands for it, whose gradient runs the forward again, on the tape, and walks back over that. Chen et al.: Training
 * Deep Nets with Sublinear Memory Cost, 2016.
 *
 * The call's inputs are the result (whose view its output is), x, and the parameters. The second run draws the first
 * one's random numbers, and what it does to buffers is undone. */
#include "nn/module.h"

#include "tensor/error.h"
#include "tensor/memory.h"
#include "tensor/tensor.h"

#include <pleat/autograd.h>
#include <pleat/op.h>
#include <pleat/random.h>
#include <pleat/scope.h>

#include <string.h>

enum { RESULT, X, PARAMETERS };

typedef struct {
    pleat_module *module;
    bool relu;
    pleat_rng_state random;
} again;

static pleat_status infer(const pleat_call *call, pleat_spec *out)
{
    out[0] = call->in_spec[RESULT];
    out[0].view = true;
    return PLEAT_OK;
}

/* ---- Buffers ---- */

typedef struct {
    int count;
    pleat_tensor **buffer, **copy; /* NULL: they are counted */
} buffers;

static pleat_status note(const pleat_named_tensor *item, void *user)
{
    buffers *b = user;
    if (item->is_parameter)
        return PLEAT_OK;
    if (b->buffer) {
        b->buffer[b->count] = item->tensor;
        b->copy[b->count] = pleat_clone(item->tensor);
    }
    b->count++;
    return pleat_pending();
}

static void put_back(const buffers *b)
{
    for (int i = 0; i < b->count; i++)
        if (b->copy[i])
            memcpy(pleat_tensor_address(b->buffer[i]), pleat_tensor_address(b->copy[i]),
                   (size_t)b->copy[i]->numel * pleat_dtype_size(b->copy[i]->dtype));
}

/* The forward once more, as it was; its gradients by the targets. */
static pleat_status run_again(const pleat_call *call, pleat_tensor *x, buffers *b, pleat_tensor *const *target,
                              int count, bool record, pleat_tensor **grad)
{
    const again *p = call->params;
    b->count = 0;
    if (pleat_module_visit(p->module, note, b) != PLEAT_OK)
        return pleat_pending();
    const pleat_rng_state random = pleat_rng_get();
    pleat_rng_set(p->random);
    pleat_grad_mode(true);
    pleat_tensor *y = pleat_module_run(p->module, x, p->relu);
    pleat_grad_mode(record);
    pleat_rng_set(random);
    put_back(b);
    if (!y || !pleat_requires_grad(y))
        return pleat_pending();
    return pleat_gradients(
        &y, 1, target, count,
        &(pleat_gradients_opts){ .grad_outputs = call->grad_out, .record = record, .allow_unused = true }, grad);
}

static pleat_status backward(pleat_call *call)
{
    const bool record = pleat_grad_enabled();
    pleat_tensor *x = call->in[X];
    if (!pleat_wants(call, X))
        x = pleat_detach(x);
    else if (!record) /* the walk ends here; that to be recorded goes on to where x came from */
        x = pleat_set_requires_grad(pleat_detach(x), true);
    buffers b = { 0 };
    if (pleat_module_visit(((const again *)call->params)->module, note, &b) != PLEAT_OK)
        return pleat_pending();
    const int room = 2 * call->inputs + 2 * b.count;
    pleat_tensor **target = pleat_alloc_zeroed((size_t)room * sizeof *target);
    if (!target)
        return PLEAT_ENOMEM;
    pleat_tensor **grad = target + call->inputs;
    b.buffer = grad + call->inputs;
    b.copy = b.buffer + b.count;
    int count = 0;
    for (int i = X; i < call->inputs; i++)
        if (pleat_wants(call, i))
            target[count++] = i == X ? x : call->in[i];
    pleat_status status = pleat_pending();
    if (status == PLEAT_OK && count > 0)
        status = run_again(call, x, &b, target, count, record, grad);
    count = 0;
    for (int i = X; i < call->inputs; i++)
        if (pleat_wants(call, i))
            call->grad_in[i] = grad[count++];
    pleat_free(target);
    return status;
}

static const pleat_op recompute = {
    .name = "recompute",
    .inputs = PLEAT_VARIADIC,
    .outputs = 1,
    .strided = PLEAT_ALL_IN,
    .params_size = sizeof(again),
    .keeps = { PLEAT_ALL_IN },
    .infer = infer,
    .backward = backward,
};

/* ---- Forward ---- */

typedef struct {
    int count;
    pleat_tensor **in; /* NULL: they are counted */
} inputs;

static pleat_status take(const pleat_named_tensor *item, void *user)
{
    inputs *n = user;
    if (!item->is_parameter || !pleat_requires_grad(item->tensor))
        return PLEAT_OK;
    for (int i = X; n->in && i < n->count; i++)
        if (n->in[i] == item->tensor) /* shared by two modules */
            return PLEAT_OK;
    if (n->in)
        n->in[n->count] = item->tensor;
    n->count++;
    return PLEAT_OK;
}

pleat_tensor *pleat_module_recomputed(pleat_module *m, pleat_tensor *x, bool relu)
{
    inputs n = { .count = PARAMETERS };
    if (pleat_module_visit(m, take, &n) != PLEAT_OK)
        return NULL;
    if (!pleat_requires_grad(x) && n.count == PARAMETERS)
        return pleat_module_run(m, x, relu);
    n.in = pleat_alloc((size_t)n.count * sizeof *n.in);
    if (!n.in)
        return NULL;
    const again params = { m, relu, pleat_rng_get() };
    const pleat_scope scope = pleat_scope_begin();
    const bool mode = pleat_grad_mode(false);
    n.in[RESULT] = pleat_module_run(m, x, relu);
    pleat_grad_mode(mode);
    n.in[X] = x;
    n.count = PARAMETERS;
    const bool ready = n.in[RESULT] && pleat_module_visit(m, take, &n) == PLEAT_OK;
    pleat_tensor *y = pleat_scope_return(scope, ready ? pleat_apply(&recompute, n.in, n.count, &params) : NULL);
    pleat_free(n.in);
    return y;
}

void pleat_module_recompute(pleat_module *m, bool on)
{
    if (m)
        m->recompute = on;
}
