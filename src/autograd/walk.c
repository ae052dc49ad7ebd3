#include "autograd/walk.h"

#include "kernels/copy.h"
#include "tensor/error.h"
#include "tensor/memory.h"

#include <pleat/autograd.h>
#include <pleat/ops.h>
#include <pleat/scope.h>

#include <string.h>

struct pleat_slot {
    pleat_slot *outer; /* on the same record, of a walk that waits for this one */
    pleat_slot *next;  /* of the same walk */
    const pleat_walk *walk;
    pleat_record *record;
    bool pending; /* holds a gradient */
    bool needed;  /* leads to a target */
    pleat_tensor *grad[PLEAT_MAX_OUTPUTS];
};

static pleat_slot *slot_of(const pleat_walk *w, const pleat_record *r)
{
    return r->slot && r->slot->walk == w ? r->slot : NULL;
}

/* Slots are made many at a time, and freed when the walk ends. */
enum { SLOTS = 32 };
struct pleat_slots {
    struct pleat_slots *next;
    int used;
    pleat_slot slot[SLOTS];
};

static pleat_slot *slot_make(pleat_walk *w, pleat_record *r)
{
    pleat_slot *s = slot_of(w, r);
    if (s)
        return s;
    if (!w->blocks || w->blocks->used == SLOTS) {
        struct pleat_slots *block = pleat_alloc(sizeof *block);
        if (!block)
            return NULL;
        block->next = w->blocks;
        block->used = 0;
        w->blocks = block;
    }
    s = &w->blocks->slot[w->blocks->used++];
    *s = (pleat_slot){ .outer = r->slot, .next = w->slots, .walk = w, .record = r };
    r->slot = w->slots = s;
    return s;
}

static pleat_source source_of(pleat_tensor *t)
{
    return t->serial ? (pleat_source){ .serial = t->serial, .call = t->call } : (pleat_source){ .leaf = t };
}

static bool is_source(const pleat_tensor *t, const pleat_source *s)
{
    return s->leaf ? t == s->leaf : s->serial && t->serial == s->serial;
}

static pleat_record *record_of(const pleat_walk *w, const pleat_source *s)
{
    return pleat_tape_find(&w->thread->tape, s->serial, s->call);
}

static pleat_status history_ended(void)
{
    return pleat_fail(PLEAT_EGRAD, "the history of what the result depends on has ended: its scope is over, or it is "
                                   "another thread's (pleat_scope_return keeps it, pleat_detach does without)");
}

static bool is_target(const pleat_walk *w, const pleat_source *s)
{
    for (int i = 0; i < w->targets; i++)
        if (is_source(w->target[i], s))
            return true;
    return false;
}

/* Whether a gradient that arrives at the source goes anywhere. */
static bool wanted(const pleat_walk *w, const pleat_source *s)
{
    if (!s->leaf && !s->serial)
        return false;
    if (!w->target || is_target(w, s))
        return true;
    const pleat_record *r = s->serial ? record_of(w, s) : NULL;
    const pleat_slot *slot = r ? slot_of(w, r) : NULL;
    return slot && slot->needed;
}

/* ---- Which calls lead to a target ---- */

/* Gives every record that the outputs depend on a slot, then marks those that depend on a target. */
static pleat_status find_needed(pleat_walk *w, pleat_tensor *const *output, int count)
{
    int64_t ahead = 0, low = w->top + 1;
    for (int k = 0; k < count; k++) {
        const pleat_source s = source_of(output[k]);
        pleat_record *r = s.serial ? record_of(w, &s) : NULL;
        if (!r || slot_of(w, r))
            continue;
        if (!slot_make(w, r))
            return PLEAT_ENOMEM;
        ahead++;
    }
    for (int64_t i = w->top; i >= 0 && ahead > 0; i--) {
        const pleat_record *r = w->thread->tape.call[i];
        if (!slot_of(w, r))
            continue;
        ahead--;
        low = i;
        for (int k = 0; k < r->inputs; k++) {
            const pleat_source *s = &r->source[k];
            pleat_record *from = s->serial ? record_of(w, s) : NULL;
            if (s->serial && !from && !is_target(w, s))
                return history_ended();
            if (!from || slot_of(w, from))
                continue;
            if (!slot_make(w, from))
                return PLEAT_ENOMEM;
            ahead++;
        }
    }
    for (int64_t i = low; i <= w->top; i++) {
        const pleat_record *r = w->thread->tape.call[i];
        pleat_slot *slot = slot_of(w, r);
        for (int k = 0; slot && k < r->inputs && !slot->needed; k++)
            slot->needed = wanted(w, &r->source[k]);
    }
    return PLEAT_OK;
}

bool pleat_walk_reached(const pleat_walk *w, int i, pleat_tensor *const *output, int count)
{
    for (int k = 0; k < count; k++)
        if (is_source(w->target[i], &(pleat_source){ output[k]->serial ? NULL : output[k], output[k]->serial, 0 }))
            return true;
    for (const pleat_slot *slot = w->slots; slot; slot = slot->next)
        for (int k = 0; k < slot->record->inputs; k++)
            if (is_source(w->target[i], &slot->record->source[k]))
                return true;
    return false;
}

/* ---- Gradients on their way ---- */

static pleat_status accumulate(const pleat_walk *w, pleat_tensor **place, pleat_tensor *g)
{
    if (!*place)
        *place = pleat_retain(g);
    else if (!w->record && pleat_tensor_exclusive(*place) && (*place)->contiguous) {
        pleat_tensor_add(*place, g, 1);
        pleat_tensor_changed(*place);
    } else {
        pleat_tensor *sum = pleat_retain(pleat_add(*place, g));
        if (!sum)
            return pleat_pending();
        pleat_release(*place);
        *place = sum;
    }
    return PLEAT_OK;
}

static pleat_status deliver(pleat_walk *w, const pleat_source *s, pleat_tensor *g)
{
    for (int i = 0; i < w->targets; i++)
        if (is_source(w->target[i], s) && accumulate(w, &w->result[i], g) != PLEAT_OK)
            return pleat_pending();
    if (s->leaf) {
        pleat_tensor **place = w->target ? NULL : pleat_staging_at(&w->staging, s->leaf);
        return place ? accumulate(w, place, g) : pleat_pending();
    }
    pleat_record *r = record_of(w, s);
    if (!r)
        return w->target ? PLEAT_OK : history_ended();
    if (w->target && !(slot_of(w, r) && slot_of(w, r)->needed))
        return PLEAT_OK;
    pleat_slot *slot = slot_make(w, r);
    if (!slot)
        return PLEAT_ENOMEM;
    if (!slot->pending) {
        slot->pending = true;
        w->pending++;
    }
    return accumulate(w, &slot->grad[s->serial - r->serial], g);
}

/* ---- One call's gradient ---- */

typedef struct {
    const pleat_walk *walk;
    const pleat_record *record;
} running;

bool pleat_wants(const pleat_call *call, int i)
{
    const running *now = call->internal;
    return now && i >= 0 && i < call->inputs && wanted(now->walk, &now->record->source[i]);
}

static pleat_status check_kept(const pleat_record *r)
{
    for (int i = 0; i < r->inputs + r->outputs; i++) {
        const pleat_tensor *t = r->kept[i].tensor;
        if (t && pleat_tensor_version(t) != r->kept[i].version)
            return pleat_fail(PLEAT_EGRAD, "%s %d, %s, was kept for the gradient and changed in place since",
                              i < r->inputs ? "input" : "output", i < r->inputs ? i : i - r->inputs,
                              pleat_shape_text(t->shape).text);
    }
    return PLEAT_OK;
}

static pleat_status check_history(const pleat_record *r)
{
    if (r->spent)
        return pleat_fail(PLEAT_EGRAD,
                          "its history is spent: a backward has been over it (pleat_backward_keep keeps it)");
    return check_kept(r);
}

static pleat_tensor *contiguous(pleat_tensor *t)
{
    return !t || t->contiguous ? t : pleat_borrow(pleat_tensor_copy(t));
}

/* An input as a kernel takes it. */
static pleat_tensor *for_kernel(const pleat_op *op, int i, pleat_tensor *t)
{
    const bool strided = op->strided & PLEAT_ALL_IN || (op->inputs != PLEAT_VARIADIC && op->strided & PLEAT_IN(i));
    return strided ? t : contiguous(t);
}

/* Whether input i is read for a gradient that is wanted. */
static bool reads(const pleat_walk *w, const pleat_record *r, int i)
{
    const pleat_op *op = r->op;
    for (int k = 0; k < r->inputs; k++) {
        const unsigned keeps = op->keeps[op->inputs == PLEAT_VARIADIC ? 0 : k];
        if ((keeps & PLEAT_ALL_IN || (i < PLEAT_MAX_INPUTS && keeps & PLEAT_IN(i))) && wanted(w, &r->source[k]))
            return true;
    }
    return false;
}

/* Output 0 of r, which source names, made again: what is recorded of it goes on where it came from. Borrowed. */
static pleat_tensor *remade(const pleat_walk *w, const pleat_record *r, const pleat_source *source)
{
    pleat_thread *thread = w->thread;
    const pleat_op *op = r->op;
    const pleat_spec *spec = &r->spec[r->inputs];
    const char *context = pleat_context(op->name);
    const bool mode = thread->grad_mode;
    thread->grad_mode = false;
    pleat_tensor *in[PLEAT_MAX_INPUTS] = { NULL }, *out[PLEAT_MAX_OUTPUTS] = { NULL };
    if (check_kept(r) == PLEAT_OK)
        out[0] = pleat_borrow(pleat_tensor_make(&spec->shape, spec->dtype));
    for (int i = 0; i < r->inputs && pleat_pending() == PLEAT_OK; i++)
        if (op->remakes & PLEAT_IN(i))
            in[i] = for_kernel(op, i, r->kept[i].tensor);
    for (int k = 1; k < r->outputs && pleat_pending() == PLEAT_OK; k++)
        if (op->remakes & PLEAT_OUT(k))
            out[k] = contiguous(r->kept[r->inputs + k].tensor);
    if (pleat_pending() == PLEAT_OK) {
        pleat_call call = { .op = op,
                            .params = r->params,
                            .inputs = r->inputs,
                            .outputs = r->outputs,
                            .in_spec = r->spec,
                            .out_spec = spec,
                            .in = in,
                            .out = out };
        const uint64_t failures = pleat_failures();
        pleat_watch *watch = thread->watch;
        const int64_t begun = watch ? pleat_watch_begin(watch, &call, false) : -1;
        pleat_take(op->remake(&call), failures);
        if (watch)
            pleat_watch_end(watch, &call, false, begun, r->path);
        out[0]->requires_grad = true;
        out[0]->serial = source->serial;
        out[0]->call = source->call;
        atomic_store(&out[0]->storage->version, r->kept[r->inputs].version);
    }
    thread->grad_mode = mode;
    pleat_context(context);
    return pleat_pending() == PLEAT_OK ? out[0] : NULL;
}

/* The inputs that were kept, or are made again; one that came twice comes twice. */
static pleat_status kept_inputs(const pleat_walk *w, const pleat_record *r, pleat_tensor **in)
{
    for (int i = 0; i < r->inputs && pleat_pending() == PLEAT_OK; i++) {
        const pleat_record *maker = r->kept[i].maker;
        in[i] = r->kept[i].tensor;
        for (int k = 0; k < i && maker && !in[i]; k++)
            in[i] = r->kept[k].maker == maker ? in[k] : NULL;
        if (maker && !in[i] && reads(w, r, i))
            in[i] = remade(w, maker, &r->source[i]);
    }
    return pleat_pending();
}

/* What came back for input i, of the input's shape and dtype; NULL with an error pending where it cannot be. */
static pleat_tensor *fitting(const pleat_record *r, int i, pleat_tensor *g)
{
    const pleat_spec *want = &r->spec[i];
    if (g->dtype != want->dtype) {
        pleat_fail(PLEAT_EDTYPE, "the gradient of input %d is %s, the input %s", i, pleat_dtype_name(g->dtype),
                   pleat_dtype_name(want->dtype));
        return NULL;
    }
    if (pleat_shape_equal(g->shape, want->shape))
        return g;
    if (r->op->broadcasts)
        return pleat_sum_to(g, want->shape);
    pleat_fail(PLEAT_ESHAPE, "the gradient of input %d has shape %s, the input %s", i, pleat_shape_text(g->shape).text,
               pleat_shape_text(want->shape).text);
    return NULL;
}

static pleat_status call_backward(const pleat_walk *w, pleat_record *r, pleat_tensor **in, pleat_tensor **grad_out,
                                  pleat_tensor **grad_in)
{
    const pleat_op *op = r->op;
    const bool fused = op->backward_kernel && !w->record;
    pleat_status (*fn)(pleat_call *) = fused ? op->backward_kernel : op->backward;
    if (!fn)
        return op->backward_kernel
                   ? pleat_fail(PLEAT_EGRAD, "states its gradient as a kernel alone, so it has no second derivative")
                   : pleat_fail(PLEAT_EGRAD, "states no gradient");
    pleat_tensor *out[PLEAT_MAX_OUTPUTS] = { 0 };
    for (int k = 0; k < r->outputs; k++)
        out[k] = r->kept[r->inputs + k].tensor;
    if (fused) {
        for (int i = 0; i < r->inputs; i++)
            in[i] = for_kernel(op, i, in[i]);
        for (int k = 0; k < r->outputs; k++) {
            out[k] = contiguous(out[k]);
            grad_out[k] = contiguous(grad_out[k]);
        }
        if (pleat_pending() != PLEAT_OK)
            return pleat_pending();
    }
    const running now = { w, r };
    pleat_call call = { .op = op,
                        .params = r->params,
                        .inputs = r->inputs,
                        .outputs = r->outputs,
                        .in_spec = r->spec,
                        .out_spec = r->spec + r->inputs,
                        .in = in,
                        .out = out,
                        .grad_out = grad_out,
                        .grad_in = grad_in,
                        .internal = &now };
    const uint64_t failures = pleat_failures();
    pleat_watch *watch = w->thread->watch;
    const int64_t begun = watch ? pleat_watch_begin(watch, &call, true) : -1;
    pleat_take(fn(&call), failures);
    if (watch)
        pleat_watch_end(watch, &call, true, begun, r->path);
    return pleat_pending();
}

/* Says where, if it is an op that the gradient called that failed. */
static void explain(const pleat_record *r)
{
    if (pleat_pending() != PLEAT_OK && strncmp(pleat_error(), r->op->name, strlen(r->op->name)) != 0)
        pleat_error_append("; in the gradient of %s%s%s", r->op->name, r->path && *r->path ? ", in module " : "",
                           r->path ? r->path : "");
}

static pleat_status run(pleat_walk *w, pleat_record *r, pleat_slot *slot)
{
    pleat_thread *thread = w->thread;
    pleat_tensor *few[2 * PLEAT_MAX_INPUTS] = { 0 }, **in = few;
    if (r->inputs > PLEAT_MAX_INPUTS && !(in = pleat_alloc_zeroed(2 * (size_t)r->inputs * sizeof *in)))
        return PLEAT_ENOMEM;
    pleat_tensor **grad_in = in + r->inputs, *grad_out[PLEAT_MAX_OUTPUTS];
    for (int k = 0; k < PLEAT_MAX_OUTPUTS; k++)
        grad_out[k] = slot->grad[k];

    const char *context = pleat_context(r->op->name);
    const int32_t floor = thread->floor;
    const pleat_scope scope = pleat_scope_begin();
    if (pleat_pending() == PLEAT_OK) {
        thread->floor = (int32_t)thread->depth;
        thread->grad_mode = w->record;
        if (check_history(r) == PLEAT_OK && kept_inputs(w, r, in) == PLEAT_OK)
            call_backward(w, r, in, grad_out, grad_in);
        explain(r);
        for (int i = 0; i < r->inputs && pleat_pending() == PLEAT_OK; i++) {
            if (!grad_in[i] || !wanted(w, &r->source[i]))
                continue;
            pleat_tensor *g = fitting(r, i, grad_in[i]);
            if (g)
                deliver(w, &r->source[i], g);
        }
        thread->floor = floor;
        if (w->record) /* what the gradient recorded lives on, in the caller's scope */
            pleat_scope_return(scope, NULL);
        else
            pleat_scope_end(scope);
    }
    if (in != few)
        pleat_free(in);
    for (int k = 0; k < r->outputs; k++) {
        pleat_release(slot->grad[k]);
        slot->grad[k] = NULL;
    }
    if (pleat_pending() == PLEAT_OK && !w->keep)
        pleat_record_spend(r);
    pleat_context(context);
    return pleat_pending();
}

/* ---- The walk ---- */

static pleat_status seed(pleat_walk *w, pleat_tensor *output, pleat_tensor *grad)
{
    const pleat_source s = source_of(output);
    if (grad)
        return deliver(w, &s, grad);
    pleat_tensor *ones = pleat_tensor_new(output->shape, output->dtype);
    if (!ones)
        return PLEAT_ENOMEM;
    pleat_kernels_get()->copy->fill(pleat_tensor_address(ones), ones->dtype, 1, ones->numel);
    deliver(w, &s, ones);
    pleat_release(ones);
    return pleat_pending();
}

pleat_status pleat_walk_run(pleat_walk *w, pleat_tensor *const *output, pleat_tensor *const *grad, int count)
{
    w->top = -1;
    for (int k = 0; k < count; k++) {
        const pleat_source s = source_of(output[k]);
        if (s.serial && !record_of(w, &s))
            return history_ended();
        if (s.serial && s.call > w->top)
            w->top = s.call;
    }
    if (w->target && find_needed(w, output, count) != PLEAT_OK)
        return pleat_pending();
    for (int k = 0; k < count; k++)
        if (seed(w, output[k], grad ? grad[k] : NULL) != PLEAT_OK)
            return pleat_pending();
    for (int64_t i = w->top; i >= 0 && w->pending > 0; i--) {
        pleat_record *r = w->thread->tape.call[i];
        pleat_slot *slot = slot_of(w, r);
        if (!slot || !slot->pending)
            continue;
        slot->pending = false;
        w->pending--;
        if (run(w, r, slot) != PLEAT_OK)
            return pleat_pending();
    }
    return PLEAT_OK;
}

void pleat_walk_end(pleat_walk *w)
{
    while (w->slots) {
        pleat_slot *s = w->slots;
        w->slots = s->next;
        s->record->slot = s->outer;
        for (int k = 0; k < PLEAT_MAX_OUTPUTS; k++)
            pleat_release(s->grad[k]);
    }
    while (w->blocks) {
        struct pleat_slots *block = w->blocks;
        w->blocks = block->next;
        pleat_free(block);
    }
    pleat_staging_free(&w->staging);
}
