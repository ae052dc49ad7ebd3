/* The tape: recording, and giving back. */
#include "tensor/tape.h"

#include "tensor/error.h"
#include "tensor/memory.h"

#include <string.h>

/* ---- The arena: a stack of blocks, each allocation rounded up to 16 bytes ---- */

struct pleat_arena_block {
    pleat_arena_block *below;
    size_t size; /* bytes that follow the struct, which is padded to 16 */
};

enum { BLOCK_HEAD = 32, BLOCK_SIZE = 1 << 16 };
_Static_assert(sizeof(pleat_arena_block) <= BLOCK_HEAD, "the head is smaller than what it holds");

static void *arena_alloc(pleat_arena *a, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    if (!a->block || a->block->size - a->used < size) {
        pleat_arena_block *b = a->spare;
        if (b && b->size >= size)
            a->spare = NULL;
        else {
            const size_t room = size > BLOCK_SIZE - BLOCK_HEAD ? size : BLOCK_SIZE - BLOCK_HEAD;
            b = pleat_alloc(BLOCK_HEAD + room);
            if (!b)
                return NULL;
            b->size = room;
        }
        b->below = a->block;
        a->block = b;
        a->used = 0;
    }
    void *p = (char *)a->block + BLOCK_HEAD + a->used;
    a->used += size;
    return p;
}

static void arena_drop(pleat_arena *a, pleat_arena_block *block, size_t used)
{
    while (a->block != block) {
        pleat_arena_block *b = a->block;
        a->block = b->below;
        pleat_free(a->spare);
        a->spare = b;
    }
    a->used = used;
}

/* ---- Records ---- */

static void give_back(pleat_record *r)
{
    for (int i = 0; i < r->inputs + r->outputs; i++) {
        pleat_kept *k = &r->kept[i];
        pleat_record *maker = k->maker;
        pleat_release(k->tensor);
        k->tensor = NULL;
        k->maker = NULL;
        if (maker && --maker->lent == 0 && maker->spent)
            give_back(maker); /* which has no maker itself */
    }
}

void pleat_record_spend(pleat_record *r)
{
    r->spent = true;
    if (r->lent == 0)
        give_back(r);
}

static void release(pleat_record *r)
{
    pleat_record_spend(r);
    for (int i = 0; i < r->inputs; i++)
        pleat_release(r->source[i].leaf);
}

pleat_tape_mark pleat_tape_now(const pleat_tape *tape)
{
    return (pleat_tape_mark){ tape->length, tape->arena.block, tape->arena.used };
}

void pleat_tape_drop(pleat_tape *tape, pleat_tape_mark mark)
{
    while (tape->length > mark.length)
        release(tape->call[--tape->length]);
    arena_drop(&tape->arena, mark.block, mark.used);
}

void pleat_tape_free(pleat_tape *tape)
{
    pleat_tape_drop(tape, (pleat_tape_mark){ 0 });
    pleat_free(tape->arena.spare);
    pleat_free(tape->call);
}

/* Which inputs and outputs the wanted gradients read, as op.h's sets; all_in where it is every input. */
static unsigned wanted_keeps(const pleat_call *call, bool *all_in)
{
    unsigned keeps = 0;
    for (int i = 0; i < call->inputs; i++)
        if (call->in[i] && call->in[i]->requires_grad)
            keeps |= call->op->keeps[call->op->inputs == PLEAT_VARIADIC ? 0 : i];
    *all_in = keeps & PLEAT_ALL_IN;
    return keeps;
}

/* Whether a record holds what its op makes output 0 again from; and nothing that is itself made again, or one remaking
 * would lead to the next. */
static bool can_remake(const pleat_record *r, bool view)
{
    const pleat_op *op = r->op;
    if (!op->remake || op->inputs == PLEAT_VARIADIC || view || r->kept[r->inputs].tensor)
        return false;
    for (int i = 0; i < r->inputs; i++)
        if (r->kept[i].maker || (op->remakes & PLEAT_IN(i) && r->spec[i].dtype && !r->kept[i].tensor))
            return false;
    for (int k = 1; k < r->outputs; k++)
        if (op->remakes & PLEAT_OUT(k) && !r->kept[r->inputs + k].tensor)
            return false;
    return true;
}

static pleat_kept hold(pleat_tensor *t)
{
    return (pleat_kept){ .tensor = pleat_retain(t), .version = pleat_tensor_version(t) };
}

/* The same without the elements, where t is as its call made it and can be made again. */
static pleat_kept hold_or_remake(const pleat_tape *tape, pleat_tensor *t)
{
    pleat_record *r = t->serial ? pleat_tape_find(tape, t->serial, t->call) : NULL;
    if (!r || !r->remakes || r->spent || t->serial != r->serial ||
        pleat_tensor_version(t) != r->kept[r->inputs].version)
        return hold(t);
    r->lent++;
    return (pleat_kept){ .maker = r };
}

pleat_status pleat_tape_record(pleat_tape *tape, const pleat_call *call, const char *path)
{
    const int n = call->inputs, m = call->outputs;
    const size_t params = (call->op->params_size + 15) & ~(size_t)15, path_size = path ? strlen(path) + 1 : 0;
    const pleat_tape_mark before = pleat_tape_now(tape);
    if (pleat_grow(&tape->call, &tape->capacity, tape->length + 1, sizeof *tape->call) != PLEAT_OK)
        return PLEAT_ENOMEM;
    char *p = arena_alloc(&tape->arena, sizeof(pleat_record) + params + (size_t)n * sizeof(pleat_source) +
                                            (size_t)(n + m) * (sizeof(pleat_kept) + sizeof(pleat_spec)) + path_size);
    if (!p) {
        arena_drop(&tape->arena, before.block, before.used);
        return PLEAT_ENOMEM;
    }

    pleat_record *r = (pleat_record *)(void *)p;
    *r = (pleat_record){ .op = call->op, .serial = tape->next_serial, .inputs = n, .outputs = m };
    p += sizeof *r;
    if (call->op->params_size)
        memcpy(p, call->params, call->op->params_size);
    r->params = call->op->params_size ? p : NULL;
    p += params;
    r->source = (pleat_source *)(void *)p;
    p += (size_t)n * sizeof *r->source;
    r->kept = (pleat_kept *)(void *)p;
    p += (size_t)(n + m) * sizeof *r->kept;
    r->spec = (pleat_spec *)(void *)p;
    memcpy(r->spec, call->in_spec, (size_t)n * sizeof *r->spec);
    memcpy(r->spec + n, call->out_spec, (size_t)m * sizeof *r->spec);
    if (path)
        r->path = memcpy(r->spec + n + m, path, path_size);

    tape->next_serial += (uint64_t)m;
    for (int k = 0; k < m; k++) {
        pleat_tensor *t = call->out[k];
        if (pleat_dtype_is_float(t->dtype) && !(call->op->constant & PLEAT_OUT(k))) {
            t->requires_grad = true;
            t->serial = r->serial + (uint64_t)k;
            t->call = tape->length;
        }
    }
    bool all_in;
    const unsigned keeps = wanted_keeps(call, &all_in);
    for (int i = 0; i < n; i++) {
        pleat_tensor *t = call->in[i];
        r->source[i] = (pleat_source){ 0 };
        if (t && t->requires_grad) {
            if (t->serial)
                r->source[i] = (pleat_source){ .serial = t->serial, .call = t->call };
            else
                r->source[i].leaf = pleat_retain(t);
        }
        const bool keep = t && (all_in || (i < PLEAT_MAX_INPUTS && keeps & PLEAT_IN(i)));
        r->kept[i] = keep ? hold_or_remake(tape, t) : (pleat_kept){ 0 };
    }
    for (int k = 0; k < m; k++)
        r->kept[n + k] = keeps & PLEAT_OUT(k) ? hold(call->out[k]) : (pleat_kept){ 0 };
    r->remakes = can_remake(r, call->out_spec[0].view);
    if (r->remakes)
        r->kept[n].version = pleat_tensor_version(call->out[0]);
    tape->call[tape->length++] = r;
    return PLEAT_OK;
}
