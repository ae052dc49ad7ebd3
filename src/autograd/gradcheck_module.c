/* gradcheck_module: a module's parameters are variables where they stand, and moved back after each difference; its
 * buffers (running statistics) are put back before each run, and in the end. */
#include "autograd/jacobian.h"
#include "tensor/error.h"
#include "tensor/memory.h"

#include <stdio.h>

typedef struct {
    pleat_jacobian j;
    pleat_module *module;
    pleat_tensor **buffer, **saved; /* the buffers, and copies of them as they were */
    int parameters, buffers, collected;
} module_check;

static pleat_tensor *forward(pleat_tensor *const *inputs, void *user)
{
    return pleat_forward(((module_check *)user)->module, inputs[0]);
}

/* Allocates nothing, so that it works whatever else has failed. */
static pleat_status restore_buffers(pleat_jacobian *j)
{
    const module_check *m = j->user;
    for (int i = 0; i < m->buffers; i++)
        pleat_copy_(m->buffer[i], m->saved[i]);
    return pleat_check();
}

static pleat_status count(const pleat_named_tensor *item, void *user)
{
    module_check *m = user;
    m->parameters += item->is_parameter;
    m->buffers += !item->is_parameter;
    return PLEAT_OK;
}

static pleat_status collect(const pleat_named_tensor *item, void *user)
{
    module_check *m = user;
    if (!item->is_parameter) {
        m->buffer[m->collected] = item->tensor;
        m->saved[m->collected++] = pleat_jacobian_copy(item->tensor);
        return pleat_check();
    }
    if (!pleat_requires_grad(item->tensor))
        return PLEAT_OK;
    if (pleat_dtype_of(item->tensor) != PLEAT_F64)
        return pleat_fail(PLEAT_EDTYPE, "%s: parameter %s is %s; gradients are checked in float64 (pleat_module_to)",
                          m->j.name, item->name, pleat_dtype_name(pleat_dtype_of(item->tensor)));
    pleat_jacobian_variable *v = pleat_jacobian_add(&m->j, item->tensor);
    snprintf(v->label, sizeof v->label, "parameter %s", item->name);
    return PLEAT_OK;
}

/* The input is a variable whether it requires a gradient or not, unless it is of integers. */
static pleat_status add_input(module_check *m, pleat_tensor *input)
{
    pleat_tensor *own = pleat_detach(input);
    if (pleat_dtype_of(input) == PLEAT_F32 || pleat_dtype_of(input) == PLEAT_F64)
        pleat_set_requires_grad(own, true);
    const pleat_status status = pleat_check();
    return status == PLEAT_OK ? pleat_jacobian_clone_inputs(&m->j, &own, 1) : status;
}

pleat_status pleat_gradcheck_module(pleat_module *module, pleat_tensor *input, const pleat_gradcheck_opts *opts)
{
    if (pleat_pending() != PLEAT_OK)
        return pleat_check();
    module_check m = { .module = module };
    m.j = (pleat_jacobian){ .name = "gradcheck_module", .run = pleat_jacobian_run_function, .fn = forward, .user = &m };
    if (!module || !input)
        return pleat_tell(pleat_fail(PLEAT_EINVAL, "%s: a module and its input are needed", m.j.name));
    pleat_status status = pleat_module_visit(module, count, &m);
    if (status != PLEAT_OK)
        return status;
    status = pleat_jacobian_begin(&m.j, 1, m.parameters + 1, 1, opts);
    m.buffer = pleat_alloc_zeroed(2 * (size_t)m.buffers * sizeof *m.buffer);
    m.saved = m.buffer ? m.buffer + m.buffers : NULL;
    if (status == PLEAT_OK)
        status = pleat_check();
    if (status == PLEAT_OK)
        status = add_input(&m, input);
    if (status == PLEAT_OK)
        status = pleat_module_visit(module, collect, &m);
    if (status == PLEAT_OK) {
        m.j.before = restore_buffers;
        status = pleat_jacobian_check(&m.j);
    }
    status = pleat_jacobian_end(&m.j, status);
    pleat_free(m.buffer);
    return status;
}
