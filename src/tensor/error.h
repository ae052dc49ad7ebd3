/* Errors, from the inside. */
#ifndef PLEAT_TENSOR_ERROR_H
#define PLEAT_TENSOR_ERROR_H

#include <pleat/error.h>
#include <pleat/op.h>

extern _Thread_local pleat_status pleat_pending_status;

/* The pending error's code, not told thereby: what computes returns at once where this is not PLEAT_OK. */
static inline pleat_status pleat_pending(void)
{
    return pleat_pending_status;
}

/* For a status that is about to reach the user: it is told, so it is pending no longer. Returns it. */
pleat_status pleat_tell(pleat_status status);

/* For a status that came out of a callback: makes the error pending that it speaks of, whether it was told or not, and
 * gives a text to one that has none. `failures` is pleat_failures() from before the callback. Returns the status that
 * is then pending. */
pleat_status pleat_take(pleat_status status, uint64_t failures);
uint64_t pleat_failures(void);

/* Appends to the text of the pending error. */
void pleat_error_append(const char *format, ...) PLEAT_PRINTF(1, 2);

/* The name that messages of this thread begin with from now on; NULL: none. Returns the one before. */
const char *pleat_context(const char *name);

/* The same for a function that is made of others: until the end its name begins their messages too, for it is the one
 * that was called. What begins within does nothing. */
const char *pleat_begin_context(const char *name);
void pleat_end_context(const char *before);

#endif
