/* Scopes: who frees what.
 *
 * What an op returns is borrowed from the innermost open scope; pleat_retain makes it yours, pleat_release gives it
 * back. pleat_scope_end drops the scope's temporaries and the calls it recorded: a whole training step at once. Each
 * thread has a root scope that ends with the thread. A scope saves and restores the gradient mode, and ending an outer
 * scope ends the inner ones, so an early return can leave nothing behind. */
#ifndef PLEAT_SCOPE_H
#define PLEAT_SCOPE_H

#include <pleat/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A handle by value; good on the thread that began it until it ends. */
typedef struct {
    uint64_t id;
    int32_t depth;
} pleat_scope;

/* Opens a scope. Where there is no memory for it the error is pending and the handle is one that no function takes. */
PLEAT_API pleat_scope pleat_scope_begin(void);

/* Ends it, and the scopes inside it. PLEAT_ESCOPE where it has ended already or is another thread's. */
PLEAT_API pleat_status pleat_scope_end(pleat_scope scope);

/* Ends it but moves t and the calls it recorded to the scope around it, so that t keeps its history: a module frees its
 * temporaries on the way. Returns t, borrowed from the outer scope; NULL where t is NULL (the scope ends anyway). */
PLEAT_API pleat_tensor *pleat_scope_return(pleat_scope scope, pleat_tensor *t);

#ifdef __cplusplus
}
#endif
#endif
