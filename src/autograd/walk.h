/* A walk over the tape, from outputs towards the front: what backward and gradients have in common.
 *
 * The gradients of a recorded call's outputs wait in a slot that hangs on the record; the walk goes down the tape, runs
 * the calls whose slots hold something, and delivers what they give to the slots further down, to leaves (staged) or to
 * the targets asked for. It stops when no slot is pending. A backward may walk itself (a checkpoint, a penalty): slots
 * of the inner walk hang in front of the outer one's on the same record, and are gone when it ends. */
#ifndef PLEAT_AUTOGRAD_WALK_H
#define PLEAT_AUTOGRAD_WALK_H

#include "autograd/staging.h"
#include "tensor/thread.h"

typedef struct pleat_slot pleat_slot;

typedef struct {
    pleat_thread *thread;
    bool record, keep;
    /* The tensors whose gradients are asked for, and those; NULL: every leaf's, staged. */
    pleat_tensor *const *target;
    pleat_tensor **result; /* owned by the walk's caller */
    int targets;
    pleat_staging staging;
    pleat_slot *slots;          /* all of this walk's, the newest first */
    struct pleat_slots *blocks; /* where they lie */
    int64_t pending, top;
} pleat_walk;

/* The sum over k of grad[k] . d output[k]; grad[k] NULL: ones, for an output of one element. Fills staging or result;
 * on failure they hold what there was so far. pleat_walk_end is due in any case. */
pleat_status pleat_walk_run(pleat_walk *walk, pleat_tensor *const *output, pleat_tensor *const *grad, int count);
void pleat_walk_end(pleat_walk *walk);

/* Whether target i was reached: some output depends on it, be it with gradient zero. */
bool pleat_walk_reached(const pleat_walk *walk, int i, pleat_tensor *const *output, int count);

#endif
