/* What each thread has of its own: temporaries, scopes, tape, gradient mode. */
#ifndef PLEAT_TENSOR_THREAD_H
#define PLEAT_TENSOR_THREAD_H

#include "tensor/tape.h"
#include "tensor/watch.h"

typedef struct {
    uint64_t id;
    int64_t temporaries; /* how many there were when it began */
    pleat_tape_mark calls;
    bool grad_mode;
} pleat_scope_mark;

typedef struct pleat_thread {
    bool grad_mode;
    int32_t floor;    /* scopes up to this depth may not be ended now: somebody on the stack relies on them */
    uint64_t next_id; /* of a scope; the thread's number is in its upper bits, so no two threads share one */
    pleat_tensor **temporary;
    int64_t temporaries, temporaries_capacity;
    pleat_scope_mark *scope; /* those open inside the root scope */
    int64_t depth, depth_capacity;
    pleat_tape tape;
    const pleat_frame *frame; /* the module that runs */
    pleat_watch *watch;       /* NULL: nobody watches */
} pleat_thread;

/* The calling thread's; NULL with PLEAT_ENOMEM pending where there is no memory for its first use. */
pleat_thread *pleat_thread_get(void);

/* Gives an owned tensor to the innermost scope and returns it. NULL passes through; on failure t is released. */
pleat_tensor *pleat_borrow(pleat_tensor *t);

/* Room for n more temporaries, so that the pushes after it cannot fail. */
pleat_status pleat_temporaries_reserve(pleat_thread *thread, int64_t n);
static inline void pleat_temporaries_push(pleat_thread *thread, pleat_tensor *t)
{
    thread->temporary[thread->temporaries++] = t;
}
/* Releases the newest until count are left. */
void pleat_temporaries_drop(pleat_thread *thread, int64_t count);

#endif
