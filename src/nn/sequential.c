/* The sequence: modules one after the other, named "0", "1", ... */
#include "nn/module.h"

#include "tensor/error.h"
#include "tensor/thread.h"

#include <pleat/scope.h>

#include <stdio.h>

static bool is(const pleat_member *c, const pleat_module_class *class)
{
    return c && c->child->cls == class;
}

/* Each module's temporaries go when it is done, its input among them: what no gradient reads is not held any longer.
 *
 * A relu in front of a max pool comes after it, where there is less of everything: the largest of what is above zero
 * stays the largest, and whichever of the zeros is chosen gets no gradient. A relu behind another layer is done by
 * that, where it can. */
static pleat_tensor *sequential_forward(pleat_module *self, pleat_tensor *x)
{
    pleat_retain(x);
    for (const pleat_member *c = self->children; c; c = c->next) {
        const pleat_scope scope = pleat_scope_begin();
        const pleat_member *next = c->next;
        pleat_tensor *y;
        if (is(c, &pleat_relu_class) && is(next, &pleat_max_pool2d_class)) {
            y = pleat_forward(c->child, pleat_forward(next->child, x));
            c = next;
        } else if (is(next, &pleat_relu_class) && !is(next->next, &pleat_max_pool2d_class) &&
                   c->child->cls->forward_relu) {
            y = pleat_forward_relu(c->child, x);
            c = next;
        } else
            y = pleat_forward(c->child, x);
        pleat_retain(y);
        pleat_scope_return(scope, NULL); /* the recorded calls stay */
        pleat_release(x);
        x = y;
    }
    return pleat_borrow(x);
}

static const pleat_module_class sequential_class = { .name = "sequential", .forward = sequential_forward };

pleat_module *pleat_sequential_of(pleat_module *const *modules, int count)
{
    if (count < 0 || (count && !modules)) {
        pleat_fail(PLEAT_EINVAL, "sequential: %d modules", count);
        return NULL;
    }
    pleat_module *m = pleat_module_new(&sequential_class);
    for (int i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        if (!m)
            pleat_module_free(modules[i]);
        else
            pleat_module_add_child(m, name, modules[i]);
    }
    if (m && pleat_pending() != PLEAT_OK) {
        pleat_module_free(m);
        return NULL;
    }
    return m;
}
