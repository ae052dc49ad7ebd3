/* Modules by name: walking them in state_dict's order, and finding by dotted path. */
#include "nn/module.h"

#include "tensor/error.h"
#include "tensor/memory.h"

#include <stdio.h>
#include <string.h>

/* ---- Walking ---- */

static size_t longest_name(const pleat_member *list)
{
    size_t longest = 0;
    for (; list; list = list->next) {
        size_t n = strlen(list->name) + 1;
        if (list->child) {
            const size_t tensor = longest_name(list->child->parameters), buffer = longest_name(list->child->buffers),
                         child = longest_name(list->child->children);
            n += tensor > buffer ? (tensor > child ? tensor : child) : (buffer > child ? buffer : child);
        }
        if (n > longest)
            longest = n;
    }
    return longest;
}

typedef struct {
    pleat_visit_fn fn;
    void *user;
    char *path; /* room for the longest name */
} visit_work;

static pleat_status visit_list(pleat_member *list, size_t length, bool is_parameter, const visit_work *w)
{
    for (; list; list = list->next) {
        strcpy(w->path + length, list->name);
        const pleat_named_tensor item = { w->path, list->tensor, is_parameter };
        const pleat_status status = w->fn(&item, w->user);
        if (status != PLEAT_OK)
            return status;
    }
    return PLEAT_OK;
}

static pleat_status visit(pleat_module *m, size_t length, const visit_work *w)
{
    pleat_status status = visit_list(m->parameters, length, true, w);
    if (status == PLEAT_OK)
        status = visit_list(m->buffers, length, false, w);
    for (pleat_member *c = m->children; c && status == PLEAT_OK; c = c->next) {
        const size_t n = strlen(c->name);
        memcpy(w->path + length, c->name, n);
        w->path[length + n] = '.';
        status = visit(c->child, length + n + 1, w);
    }
    return status;
}

pleat_status pleat_module_visit(pleat_module *m, pleat_visit_fn fn, void *user)
{
    if (pleat_pending() != PLEAT_OK)
        return pleat_check();
    if (!m || !fn)
        return pleat_tell(pleat_fail(PLEAT_EINVAL, "module_visit: the %s is NULL", m ? "function" : "module"));
    size_t longest = longest_name(m->parameters);
    if (longest_name(m->buffers) > longest)
        longest = longest_name(m->buffers);
    if (longest_name(m->children) > longest)
        longest = longest_name(m->children);
    visit_work w = { fn, user, pleat_alloc(longest + 1) };
    if (!w.path)
        return pleat_check();
    const uint64_t failures = pleat_failures();
    const pleat_status status = pleat_take(visit(m, 0, &w), failures);
    pleat_free(w.path);
    return pleat_tell(status);
}

/* The first name under which m or a module below it has the parameter. */
static const pleat_member *first_name(const pleat_module *m, const pleat_tensor *parameter)
{
    const pleat_member *found = m->parameters;
    while (found && found->tensor != parameter)
        found = found->next;
    for (const pleat_member *c = m->children; c && !found; c = c->next)
        found = first_name(c->child, parameter);
    return found;
}

static int64_t count_elements(const pleat_module *m, const pleat_module *root)
{
    int64_t elements = 0;
    for (const pleat_member *p = m->parameters; p; p = p->next)
        if (first_name(root, p->tensor) == p)
            elements += pleat_numel(p->tensor);
    for (const pleat_member *c = m->children; c; c = c->next)
        elements += count_elements(c->child, root);
    return elements;
}

int64_t pleat_module_parameter_count(pleat_module *m)
{
    return m ? count_elements(m, m) : 0;
}

/* ---- Finding ---- */

static pleat_member *find(pleat_member *list, const char *name, size_t length)
{
    for (; list; list = list->next)
        if (strncmp(list->name, name, length) == 0 && list->name[length] == '\0')
            return list;
    return NULL;
}

/* What there is instead: "it has weight, bias". */
static void fail_lookup(const pleat_module *m, const pleat_member *list, const char *what, const char *path,
                        size_t above, size_t length)
{
    char names[320];
    size_t n = 0;
    names[0] = '\0';
    for (const pleat_member *i = list; i; i = i->next) {
        const int wrote = snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "", i->name);
        if (wrote < 0 || n + (size_t)wrote > sizeof names - 8) {
            strcpy(names + n, n ? ", ..." : "...");
            break;
        }
        n += (size_t)wrote;
    }
    pleat_fail(PLEAT_ELOOKUP, "'%s': %s%.*s%s has no %s '%.*s'%s%s", path, above ? "'" : "the ",
               above ? (int)above : (int)strlen(m->cls->name), above ? path : m->cls->name, above ? "'" : "", what,
               (int)length, path + (above ? above + 1 : 0), list ? "; it has " : ", nor any other", names);
}

/* The member at the path, of the kind that `what` names. */
static pleat_member *look_up(pleat_module *m, const char *path, const char *what)
{
    if (!m || !path) {
        pleat_fail(PLEAT_EINVAL, "module_%s: the %s is NULL", what, m ? "name" : "module");
        return NULL;
    }
    size_t above = 0; /* characters of path that name m */
    const char *rest = path;
    for (;;) {
        const char *dot = strchr(rest, '.');
        const size_t length = dot ? (size_t)(dot - rest) : strlen(rest);
        pleat_member *list = dot || *what == 'c' ? m->children : *what == 'p' ? m->parameters : m->buffers;
        pleat_member *member = find(list, rest, length);
        if (!member) {
            fail_lookup(m, list, dot ? "child" : what, path, above, length);
            return NULL;
        }
        if (!dot)
            return member;
        m = member->child;
        above = (size_t)(dot - path);
        rest = dot + 1;
    }
}

pleat_tensor *pleat_module_parameter(pleat_module *m, const char *name)
{
    const pleat_member *member = look_up(m, name, "parameter");
    return member ? member->tensor : NULL;
}

pleat_tensor *pleat_module_buffer(pleat_module *m, const char *name)
{
    const pleat_member *member = look_up(m, name, "buffer");
    return member ? member->tensor : NULL;
}

pleat_module *pleat_module_child(pleat_module *m, const char *name)
{
    const pleat_member *member = look_up(m, name, "child");
    return member ? member->child : NULL;
}
