/* Modules: what they hold and who frees it.
 *
 * A module is a class (a table of functions), the state that the class asked for, and three lists of named members:
 * parameters and buffers, which are retained, and children, which are owned. A tensor stays the same object for the
 * whole life of the module, so a state may point at it: pleat_module_to exchanges what it holds, not the tensor. */
#include "nn/module.h"

#include "tensor/error.h"
#include "tensor/memory.h"
#include "tensor/tensor.h"
#include "tensor/watch.h"

#include <pleat/autograd.h>

#include <string.h>

pleat_module *pleat_module_new(const pleat_module_class *cls)
{
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    if (!cls || !cls->name || !cls->forward) {
        pleat_fail(PLEAT_EINVAL, "module_new: the class needs a name and a forward");
        return NULL;
    }
    pleat_module *m = pleat_alloc_zeroed(sizeof *m);
    void *state = m ? pleat_alloc_zeroed(cls->state_size) : NULL;
    if (!state) {
        pleat_free(m);
        return NULL;
    }
    m->cls = cls;
    m->state = state;
    m->training = true;
    return m;
}

void *pleat_module_state(pleat_module *m)
{
    return m ? m->state : NULL;
}

const pleat_module_class *pleat_module_class_of(const pleat_module *m)
{
    return m ? m->cls : NULL;
}

static void free_members(pleat_member *list)
{
    while (list) {
        pleat_member *next = list->next;
        pleat_release(list->tensor);
        if (list->child) {
            list->child->parent = NULL;
            pleat_module_free(list->child);
        }
        pleat_free(list);
        list = next;
    }
}

void pleat_module_free(pleat_module *m)
{
    if (!m || m->parent)
        return;
    if (m->cls->free)
        m->cls->free(m);
    free_members(m->children);
    free_members(m->buffers);
    free_members(m->parameters);
    pleat_free(m->state);
    pleat_free(m);
}

/* ---- Members ---- */

static bool has(const pleat_member *list, const char *name)
{
    for (; list; list = list->next)
        if (strcmp(list->name, name) == 0)
            return true;
    return false;
}

/* A member for the end of the list, with nothing in it yet. NULL leaves an error. */
static pleat_member *add(pleat_module *m, const char *what, const char *name, pleat_member **list)
{
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    if (!m || !name) {
        pleat_fail(PLEAT_EINVAL, "module_add_%s: the %s is NULL", what, m ? "name" : "module");
        return NULL;
    }
    if (!*name || strchr(name, '.')) {
        pleat_fail(PLEAT_EINVAL, "module_add_%s: '%s' cannot be a name: it must not be empty nor hold a '.'", what,
                   name);
        return NULL;
    }
    if (has(m->parameters, name) || has(m->buffers, name) || has(m->children, name)) {
        pleat_fail(PLEAT_EINVAL, "module_add_%s: a %s has a '%s' already", what, m->cls->name, name);
        return NULL;
    }
    const size_t length = strlen(name) + 1;
    pleat_member *member = pleat_alloc(sizeof *member + length);
    if (!member)
        return NULL;
    *member = (pleat_member){ 0 };
    memcpy(member->name, name, length);
    while (*list)
        list = &(*list)->next;
    *list = member;
    return member;
}

pleat_module *pleat_module_add_child(pleat_module *m, const char *name, pleat_module *child)
{
    if (!child) {
        pleat_fail(PLEAT_EINVAL, "module_add_child: the child '%s' is NULL", name ? name : "");
        return NULL;
    }
    /* These two belong to somebody else, so they are not freed. */
    if (child->parent) {
        pleat_fail(PLEAT_EINVAL, "module_add_child: '%s' (%s) has a parent already, a %s", name ? name : "",
                   child->cls->name, child->parent->cls->name);
        return NULL;
    }
    for (const pleat_module *above = m; above; above = above->parent)
        if (above == child) {
            pleat_fail(PLEAT_EINVAL, "module_add_child: '%s' (%s) would hold itself", name ? name : "",
                       child->cls->name);
            return NULL;
        }
    pleat_member *member = add(m, "child", name, m ? &m->children : NULL);
    if (!member) {
        pleat_module_free(child);
        return NULL;
    }
    member->child = child;
    child->parent = m;
    child->name = member->name;
    return child;
}

static pleat_tensor *add_tensor(pleat_module *m, const char *what, const char *name, pleat_tensor *t, bool is_parameter)
{
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    if (!t) {
        pleat_fail(PLEAT_EINVAL, "module_add_%s: the tensor '%s' is NULL", what, name ? name : "");
        return NULL;
    }
    if (!pleat_is_contiguous(t)) {
        pleat_fail(PLEAT_EINVAL, "module_add_%s: '%s' is a view that is not contiguous (pleat_contiguous copies it)",
                   what, name ? name : "");
        return NULL;
    }
    if (!is_parameter && pleat_requires_grad(t)) {
        pleat_fail(PLEAT_EINVAL, "module_add_buffer: '%s' requires a gradient (pleat_detach gives it without)",
                   name ? name : "");
        return NULL;
    }
    if (is_parameter && !pleat_set_requires_grad(t, true))
        return NULL;
    pleat_member *member = add(m, what, name, !m ? NULL : is_parameter ? &m->parameters : &m->buffers);
    if (!member)
        return NULL;
    return member->tensor = pleat_retain(t);
}

pleat_tensor *pleat_module_add_parameter(pleat_module *m, const char *name, pleat_tensor *parameter)
{
    return add_tensor(m, "parameter", name, parameter, true);
}

pleat_tensor *pleat_module_add_buffer(pleat_module *m, const char *name, pleat_tensor *buffer)
{
    return add_tensor(m, "buffer", name, buffer, false);
}

/* ---- Use ---- */

pleat_tensor *pleat_module_run(pleat_module *m, pleat_tensor *x, bool relu)
{
    pleat_frame here = { m->name, NULL }; /* what anomaly mode calls the place */
    here.outer = pleat_frame_enter(&here);
    pleat_tensor *y = (relu ? m->cls->forward_relu : m->cls->forward)(m, x);
    pleat_frame_enter(here.outer);
    if (!y)
        pleat_fail(PLEAT_EINVAL, "forward: a %s gave NULL without an error",
                   m->cls->name); /* keeps one that is pending */
    return y;
}

static pleat_tensor *forward(pleat_module *m, pleat_tensor *x, bool relu)
{
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    if (!m || !x) {
        pleat_fail(PLEAT_EINVAL, "forward: the %s is NULL", m ? "input" : "module");
        return NULL;
    }
    return (m->recompute && pleat_grad_enabled() ? pleat_module_recomputed : pleat_module_run)(m, x, relu);
}

pleat_tensor *pleat_forward(pleat_module *m, pleat_tensor *x)
{
    return forward(m, x, false);
}

pleat_tensor *pleat_forward_relu(pleat_module *m, pleat_tensor *x)
{
    return forward(m, x, true);
}

void pleat_module_walk(pleat_module *m, void (*fn)(pleat_module *m, void *user), void *user)
{
    fn(m, user);
    for (pleat_member *c = m->children; c; c = c->next)
        pleat_module_walk(c->child, fn, user);
}

static void set_training(pleat_module *m, void *user)
{
    m->training = *(const bool *)user;
}

void pleat_module_train(pleat_module *m, bool training)
{
    if (m)
        pleat_module_walk(m, set_training, &training);
}

bool pleat_module_is_training(const pleat_module *m)
{
    return m && m->training;
}

static void count_one(pleat_module *m, void *user)
{
    (void)m;
    ++*(size_t *)user;
}

static void read_mode(pleat_module *m, void *user)
{
    bool **next = user;
    *(*next)++ = m->training;
}

static void write_mode(pleat_module *m, void *user)
{
    const bool **next = user;
    m->training = *(*next)++;
}

bool *pleat_module_modes(pleat_module *m)
{
    size_t count = 0;
    pleat_module_walk(m, count_one, &count);
    bool *modes = pleat_alloc(count * sizeof *modes), *next = modes;
    if (modes)
        pleat_module_walk(m, read_mode, &next);
    return modes;
}

void pleat_module_set_modes(pleat_module *m, const bool *modes)
{
    pleat_module_walk(m, write_mode, &modes);
}

void pleat_drop_grad(pleat_tensor *leaf)
{
    pleat_tensor_lock_grad(leaf);
    pleat_tensor *grad = leaf->grad;
    leaf->grad = NULL;
    pleat_tensor_unlock_grad(leaf);
    pleat_release(grad);
}

static void drop_grads(pleat_module *m, void *user)
{
    (void)user;
    for (pleat_member *p = m->parameters; p; p = p->next)
        pleat_drop_grad(p->tensor);
}

void pleat_module_zero_grad(pleat_module *m)
{
    if (m)
        pleat_module_walk(m, drop_grads, NULL);
}

/* ---- A change of dtype ---- */

typedef struct {
    pleat_tensor *tensor, *copy;
} cast_pair;

typedef struct {
    pleat_dtype dtype;
    cast_pair *pair;
    int64_t count, capacity;
} cast_work;

static void cast_list(pleat_member *list, cast_work *w)
{
    for (; list && pleat_pending() == PLEAT_OK; list = list->next) {
        pleat_tensor *t = list->tensor;
        if (!pleat_dtype_is_float(t->dtype) || t->dtype == w->dtype ||
            pleat_grow(&w->pair, &w->capacity, w->count + 1, sizeof *w->pair) != PLEAT_OK)
            continue;
        pleat_tensor *copy = pleat_tensor_new(t->shape, w->dtype);
        if (!copy)
            return;
        pleat_tensor_assign(copy, t);
        w->pair[w->count++] = (cast_pair){ t, copy };
    }
}

static void cast_module(pleat_module *m, void *user)
{
    cast_list(m->parameters, user);
    cast_list(m->buffers, user);
}

pleat_status pleat_module_to(pleat_module *m, pleat_dtype dtype)
{
    if (pleat_pending() != PLEAT_OK)
        return pleat_check();
    if (!m)
        return pleat_tell(pleat_fail(PLEAT_EINVAL, "module_to: the module is NULL"));
    if (!pleat_dtype_is_float(dtype))
        return pleat_tell(pleat_fail(PLEAT_EDTYPE, "module_to: float32 or float64, not %s", pleat_dtype_name(dtype)));
    cast_work w = { .dtype = dtype };
    pleat_module_walk(m, cast_module, &w);
    const pleat_status status = pleat_check();
    for (int64_t i = 0; i < w.count; i++) {
        if (status == PLEAT_OK && w.pair[i].tensor->dtype != dtype) /* one under two names comes twice */
            pleat_tensor_exchange(w.pair[i].tensor, w.pair[i].copy);
        pleat_release(w.pair[i].copy);
    }
    pleat_free(w.pair);
    if (status == PLEAT_OK)
        pleat_module_zero_grad(m);
    return status;
}
