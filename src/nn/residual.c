/* The residual block: relu(body(x) + shortcut(x)). He et al., CVPR 2016. */
#include "nn/module.h"

#include "tensor/error.h"

#include <pleat/scope.h>

typedef struct {
    pleat_module *body, *shortcut; /* the second may be NULL: x itself */
} residual;

static pleat_tensor *residual_forward(pleat_module *self, pleat_tensor *x)
{
    const residual *r = pleat_module_state(self);
    const pleat_scope scope = pleat_scope_begin();
    pleat_tensor *y = pleat_forward(r->body, x);
    return pleat_scope_return(scope, pleat_add_relu(y, r->shortcut ? pleat_forward(r->shortcut, x) : x));
}

static const pleat_module_class residual_class = { .name = "residual",
                                                   .state_size = sizeof(residual),
                                                   .forward = residual_forward };

pleat_module *pleat_nn_residual(pleat_module *body, pleat_module *shortcut)
{
    pleat_module *m = pleat_module_new(&residual_class);
    if (!m) {
        pleat_module_free(body);
        pleat_module_free(shortcut);
        return NULL;
    }
    residual *r = pleat_module_state(m);
    r->body = pleat_module_add_child(m, "body", body);
    if (shortcut)
        r->shortcut = pleat_module_add_child(m, "shortcut", shortcut);
    if (pleat_pending() != PLEAT_OK) {
        pleat_module_free(m);
        return NULL;
    }
    return m;
}
