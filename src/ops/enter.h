/* Functions that are made of several ops: what they find wrong is told under their own name, the one that was called.
 */
#ifndef PLEAT_OPS_ENTER_H
#define PLEAT_OPS_ENTER_H

#include "tensor/error.h"

#include <pleat/op.h>
#include <pleat/scope.h>

/* From here to pleat_leave the name begins the messages. True where nothing is pending and x is there. */
static inline bool pleat_enter(const char *name, const pleat_tensor *x, const char **context)
{
    *context = pleat_begin_context(name);
    if (pleat_pending() == PLEAT_OK && !x)
        pleat_fail(PLEAT_EINVAL, "the tensor is NULL");
    return pleat_pending() == PLEAT_OK;
}

/* The result; NULL where an error is pending. */
static inline pleat_tensor *pleat_leave(const char *context, pleat_tensor *result)
{
    pleat_end_context(context);
    return pleat_pending() == PLEAT_OK ? result : NULL;
}

/* For a list of tensors: at least one, none of them NULL. */
static inline bool pleat_enter_list(const char *name, pleat_tensor *const *x, int count, const char **context)
{
    *context = pleat_begin_context(name);
    if (pleat_pending() == PLEAT_OK && (!x || count < 1))
        pleat_fail(PLEAT_EINVAL, "at least one tensor is needed");
    for (int i = 0; i < count && pleat_pending() == PLEAT_OK; i++)
        if (!x[i])
            pleat_fail(PLEAT_EINVAL, "input %d is NULL", i);
    return pleat_pending() == PLEAT_OK;
}

#endif
