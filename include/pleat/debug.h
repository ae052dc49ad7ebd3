/* To find out what happens: where the first NaN comes from, where the time goes, what the tape holds. */
#ifndef PLEAT_DEBUG_H
#define PLEAT_DEBUG_H

#include <pleat/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Anomaly mode ----
 * While it is on, everything that an op of this thread computes, forward or backward, is looked through, and the first
 * NaN or infinity is an error (PLEAT_ENUMERIC) that names the op, the module's path, the index, and shape and range of
 * what the op read. A call recorded while it is on names its module in backward too. Slow: a pass over every result. */

/* Returns the mode before. */
PLEAT_API bool pleat_anomaly_mode(bool on);

/* ---- Profile ----
 * What this thread's ops cost, forward and backward, between begin and end: every call with its time, its
 * floating-point operations (of ops that state them) and the bytes of the tensors it read and wrote. */

/* Starts anew, dropping what was collected before. */
PLEAT_API pleat_status pleat_profile_begin(void);
PLEAT_API void pleat_profile_end(void);

/* A table, one line an op (its gradient a line of its own), the costliest first: calls, time spent in itself, share,
 * GFLOP/s, GB/s. Writes at most size bytes, '\0' included, and returns the length of the whole text, as snprintf does.
 */
PLEAT_API int64_t pleat_profile_table(char *buffer, size_t size);

/* Every call on a time line, as a JSON file that chrome://tracing and Perfetto open. */
PLEAT_API pleat_status pleat_profile_save_trace(const char *path);

/* ---- The tape ---- */

/* The recorded calls that t depends on, or (NULL) all of this thread's, as a Graphviz digraph: calls with shapes of
 * their outputs, leaves with their shapes. Length and buffer as above. */
PLEAT_API int64_t pleat_tape_dot(const pleat_tensor *t, char *buffer, size_t size);

#ifdef __cplusplus
}
#endif
#endif
