/* What optimizers share: the list of parameters, and a step that either happens to all of them or to none.
 *
 * A step is in two parts. The first finds room for the state of parameters that have their first gradient: it may fail,
 * and has then changed nothing. The second runs the kernels: it cannot fail. */
#include "nn/optimizer.h"

#include "nn/module.h"
#include "tensor/error.h"
#include "tensor/memory.h"
#include "tensor/tensor.h"

#include <pleat/autograd.h>

#include <math.h>
#include <string.h>

bool pleat_check_rate(const char *optimizer, const char *what, double value)
{
    if (isfinite(value) && value >= 0)
        return true;
    pleat_fail(PLEAT_EINVAL, "%s: %s must be finite and at least 0, not %g", optimizer, what, value);
    return false;
}

/* A parameter that two modules share is one parameter. */
static void collect(pleat_module *m, void *user)
{
    pleat_optimizer *o = user;
    for (const pleat_member *p = m->parameters; p; p = p->next) {
        int64_t i = 0;
        while (i < o->count && o->optimized[i].parameter != p->tensor)
            i++;
        if (i < o->count)
            continue;
        if (pleat_grow(&o->optimized, &o->capacity, o->count + 1, sizeof *o->optimized) != PLEAT_OK)
            return;
        o->optimized[o->count++] = (pleat_optimized){ .parameter = pleat_retain(p->tensor) };
    }
}

pleat_optimizer *pleat_optimizer_new(const pleat_optimizer_class *cls, pleat_module *m, double lr)
{
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    if (!m) {
        pleat_fail(PLEAT_EINVAL, "%s: the module is NULL", cls->name);
        return NULL;
    }
    if (!pleat_check_rate(cls->name, "the learning rate", lr))
        return NULL;
    pleat_optimizer *o = pleat_alloc_zeroed(sizeof *o);
    if (!o)
        return NULL;
    o->cls = *cls;
    o->lr = lr;
    pleat_module_walk(m, collect, o);
    if (pleat_pending() != PLEAT_OK) {
        pleat_optimizer_free(o);
        return NULL;
    }
    return o;
}

/* Room for the state of a parameter that has its first gradient. */
static pleat_status prepare(const pleat_optimizer *o, pleat_optimized *p)
{
    const pleat_tensor *t = p->parameter;
    for (int i = 0; i < o->cls.slots && pleat_grad(t); i++) {
        if (p->slot[i] && p->slot[i]->dtype != t->dtype)
            return pleat_fail(PLEAT_EDTYPE,
                              "%s: a parameter %s is %s now and was %s; make a new optimizer after module_to",
                              o->cls.name, pleat_shape_text(t->shape).text, pleat_dtype_name(t->dtype),
                              pleat_dtype_name(p->slot[i]->dtype));
        if (p->slot[i])
            continue;
        p->slot[i] = pleat_tensor_new(t->shape, t->dtype);
        if (!p->slot[i])
            return pleat_pending();
        memset(pleat_tensor_address(p->slot[i]), 0, (size_t)t->numel * pleat_dtype_size(t->dtype));
    }
    return PLEAT_OK;
}

pleat_status pleat_optimizer_step(pleat_optimizer *o)
{
    if (pleat_pending() != PLEAT_OK)
        return pleat_check();
    if (!o)
        return pleat_tell(pleat_fail(PLEAT_EINVAL, "optimizer_step: the optimizer is NULL"));
    for (int64_t i = 0; i < o->count; i++)
        if (prepare(o, &o->optimized[i]) != PLEAT_OK)
            return pleat_check();
    for (int64_t i = 0; i < o->count; i++) {
        pleat_optimized *p = &o->optimized[i];
        const pleat_tensor *grad = pleat_grad(p->parameter);
        if (!grad)
            continue;
        pleat_tensor_changed(p->parameter);
        p->steps++;
        o->cls.update(o, p,
                      pleat_tensor_address(grad)); /* a leaf's gradient is contiguous and of its shape and dtype */
    }
    return PLEAT_OK;
}

void pleat_optimizer_zero_grad(pleat_optimizer *o)
{
    for (int64_t i = 0; o && i < o->count; i++)
        pleat_drop_grad(o->optimized[i].parameter);
}

double pleat_optimizer_lr(const pleat_optimizer *o)
{
    return o ? o->lr : NAN;
}

pleat_status pleat_optimizer_set_lr(pleat_optimizer *o, double lr)
{
    if (pleat_pending() != PLEAT_OK)
        return pleat_check();
    if (!o)
        return pleat_tell(pleat_fail(PLEAT_EINVAL, "optimizer_set_lr: the optimizer is NULL"));
    if (!pleat_check_rate(o->cls.name, "the learning rate", lr))
        return pleat_check();
    o->lr = lr;
    return PLEAT_OK;
}

void pleat_optimizer_free(pleat_optimizer *o)
{
    if (!o)
        return;
    for (int64_t i = 0; i < o->count; i++) {
        pleat_release(o->optimized[i].parameter);
        for (int s = 0; s < PLEAT_OPTIMIZER_SLOTS; s++)
            pleat_release(o->optimized[i].slot[s]);
    }
    pleat_free(o->optimized);
    pleat_free(o);
}
