/* Watching a thread's ops: anomaly mode and the profile. A thread that is not watched pays one test of a pointer a
 * call. */
#ifndef PLEAT_TENSOR_WATCH_H
#define PLEAT_TENSOR_WATCH_H

#include <pleat/op.h>

struct pleat_thread;

/* The module whose forward is running, and the ones around it; kept on the C stack by pleat_forward. */
typedef struct pleat_frame {
    const char *name; /* NULL: the outermost has none */
    const struct pleat_frame *outer;
} pleat_frame;

enum { PLEAT_PATH = 256 }; /* longer paths are cut */

/* "layer1.0.conv1"; "" where no module is running. Returns the length. */
size_t pleat_frame_path(const pleat_frame *frame, char *path, size_t size);
/* Makes frame the innermost; returns the one before, to be put back. */
const pleat_frame *pleat_frame_enter(const pleat_frame *frame);

typedef struct {
    const pleat_op *op;
    bool backward;
    double start, seconds, inside; /* from the profile's begin; inside: of other calls within this one */
    double flops, bytes;
} pleat_event;

typedef struct pleat_watch {
    bool anomaly, profile;
    double zero; /* the clock at the profile's begin */
    pleat_event *event;
    int64_t events, capacity;
    int64_t open; /* the event that is running; -1: none */
    bool lost;    /* no memory for an event: the profile is not whole */
} pleat_watch;

/* The thread's watch, made at its first use; NULL with PLEAT_ENOMEM pending. */
pleat_watch *pleat_watch_get(struct pleat_thread *thread);

/* Around a call's forward or backward. begin returns what end wants back. */
int64_t pleat_watch_begin(pleat_watch *w, const pleat_call *call, bool backward);
/* Looks at what was computed (outputs, or gradients for wanted inputs) unless the call failed. path: the module's,
 * where known. */
void pleat_watch_end(pleat_watch *w, const pleat_call *call, bool backward, int64_t begun, const char *path);

#endif
