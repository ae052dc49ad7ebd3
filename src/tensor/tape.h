/* The tape: one per thread, the ordered record of differentiable calls.
 *
 *   call[]   0      1      2      3                 a scope is a mark on this stack (and on the one of temporaries)
 *   serial   7      8      9,10   11                one number per output, rising, never used twice
 *
 * A recorded call names its inputs by serial number, or by the leaf itself. It holds leaves and what the gradients
 * that are wanted read, nothing else. What can be made again from what another call holds (op.h: remake) is not held:
 * the call that made it is noted, and what that one holds stays there until both are done. Records lie in an arena that
 * grows and shrinks with the stack, so recording a call allocates nothing in a steady loop. A tensor remembers where
 * its call stands; the serial number there tells whether the place still holds it. */
#ifndef PLEAT_TENSOR_TAPE_H
#define PLEAT_TENSOR_TAPE_H

#include "tensor/tensor.h"

/* Where an input of a recorded call came from: a leaf that wants a gradient, a recorded output, or neither. */
typedef struct {
    pleat_tensor *leaf; /* retained */
    uint64_t serial;
    int64_t call;
} pleat_source;

typedef struct pleat_record pleat_record;

typedef struct {
    pleat_tensor *tensor; /* retained; NULL: not kept, or dropped since */
    uint64_t version;
    pleat_record *maker; /* of an input that is made again: whose output 0 it is. Older, so it lives longer */
} pleat_kept;

struct pleat_slot; /* the pending gradients of a call, while a walk is on its way (autograd/walk.h) */

struct pleat_record {
    const pleat_op *op;
    uint64_t serial; /* of output 0 */
    int inputs, outputs;
    int64_t lent; /* kept inputs of later calls whose maker this is */
    bool remakes; /* holds what output 0 is made again from, and its version then */
    bool spent;
    bool marked; /* found by a search down the tape that is under way, and not yet dealt with */
    const void *params;
    pleat_source *source; /* inputs of them */
    pleat_kept *kept;     /* inputs + outputs of them */
    pleat_spec *spec;     /* likewise */
    const char *path;     /* of the module that made the call, where the thread was watched; or NULL */
    struct pleat_slot *slot;
};

typedef struct pleat_arena_block pleat_arena_block;
typedef struct {
    pleat_arena_block *block; /* the newest; NULL: none yet */
    size_t used;              /* bytes of it */
    pleat_arena_block *spare; /* one kept for the next time */
} pleat_arena;

typedef struct {
    pleat_record **call;
    int64_t length, capacity;
    uint64_t next_serial;
    pleat_arena arena;
} pleat_tape;

typedef struct {
    int64_t length;
    pleat_arena_block *block;
    size_t used;
} pleat_tape_mark;

pleat_tape_mark pleat_tape_now(const pleat_tape *tape);
/* Drops the calls recorded since the mark. */
void pleat_tape_drop(pleat_tape *tape, pleat_tape_mark mark);
void pleat_tape_free(pleat_tape *tape);

/* Records a call that has run, in the module of that path (NULL: not noted), and makes its differentiable outputs know
 * it. On failure nothing is recorded. */
pleat_status pleat_tape_record(pleat_tape *tape, const pleat_call *call, const char *path);

/* Gives back what a record holds for its gradients, once nobody else's are made from it. */
void pleat_record_spend(pleat_record *record);

/* The record that made a source's or a tensor's (serial, call); NULL where it is no longer there, or another thread's.
 */
static inline pleat_record *pleat_tape_find(const pleat_tape *tape, uint64_t serial, int64_t call)
{
    if (call < 0 || call >= tape->length)
        return NULL;
    pleat_record *r = tape->call[call];
    return serial >= r->serial && serial - r->serial < (uint64_t)r->outputs ? r : NULL;
}

#endif
