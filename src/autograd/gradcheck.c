/* gradcheck, and gradgradcheck: gradcheck of another function, from the inputs and an output gradient to the gradients.
 * How the two ways of the check work is in jacobian.c. */
#include "autograd/jacobian.h"
#include "tensor/error.h"

#include <stdio.h>

/* The last variable is the output gradient; the results are the gradients by the others. */
static pleat_status run_gradients(pleat_jacobian *j, pleat_tensor **results)
{
    pleat_tensor *y = NULL;
    const pleat_status status = pleat_jacobian_run_function(j, &y);
    if (status != PLEAT_OK || !pleat_requires_grad(y))
        return status;
    const pleat_gradients_opts opts = { .grad_outputs = &j->wanted[j->outputs], .record = true, .allow_unused = true };
    return pleat_gradients(&y, 1, j->wanted, j->outputs, &opts, results);
}

/* Drawn in [-1, 1); a variable like any. */
static pleat_status add_output_gradient(pleat_jacobian *j)
{
    const pleat_scope scope = pleat_scope_begin();
    pleat_tensor *y = NULL;
    pleat_status status = pleat_jacobian_run_function(j, &y);
    const pleat_shape shape = pleat_shape_of(y);
    if (status != PLEAT_OK)
        return status; /* the scope ends with the check's */
    pleat_scope_end(scope);
    pleat_tensor *g = pleat_empty(shape, PLEAT_F64);
    double *to = pleat_data_mut(g);
    if (!to)
        return pleat_check();
    for (int64_t i = 0; i < pleat_numel(g); i++) {
        uint32_t word[4];
        pleat_philox(j->opts.seed, UINT64_MAX / 2, (uint64_t)i, word);
        to[i] = word[0] / 2147483648.0 - 1;
    }
    pleat_jacobian_variable *v = pleat_jacobian_add(j, pleat_set_requires_grad(g, true));
    v->index = j->inputs;
    snprintf(v->label, sizeof v->label, "the output gradient");
    return PLEAT_OK;
}

static pleat_status check(const char *name, pleat_check_fn fn, void *user, pleat_tensor *const *inputs, int count,
                          const pleat_gradcheck_opts *opts, bool second)
{
    if (pleat_pending() != PLEAT_OK)
        return pleat_check();
    if (!fn || !inputs || count < 1)
        return pleat_tell(pleat_fail(PLEAT_EINVAL, "%s: a function and its inputs are needed", name));
    int wanted = 0;
    for (int i = 0; i < count; i++)
        wanted += inputs[i] && pleat_requires_grad(inputs[i]);
    pleat_jacobian j = { .name = name, .fn = fn, .user = user };
    j.run = second ? run_gradients : pleat_jacobian_run_function;
    pleat_status status = pleat_jacobian_begin(&j, count, wanted + second, second ? wanted : 1, opts);
    if (status == PLEAT_OK && wanted == 0)
        status = pleat_fail(PLEAT_EINVAL, "%s: none of the %d inputs requires a gradient", name, count);
    if (status == PLEAT_OK)
        status = pleat_jacobian_clone_inputs(&j, inputs, count);
    if (status == PLEAT_OK && second)
        status = add_output_gradient(&j);
    if (status == PLEAT_OK)
        status = pleat_jacobian_check(&j);
    return pleat_jacobian_end(&j, status);
}

pleat_status pleat_gradcheck(pleat_check_fn fn, void *user, pleat_tensor *const *inputs, int count,
                             const pleat_gradcheck_opts *opts)
{
    return check("gradcheck", fn, user, inputs, count, opts, false);
}

pleat_status pleat_gradgradcheck(pleat_check_fn fn, void *user, pleat_tensor *const *inputs, int count,
                                 const pleat_gradcheck_opts *opts)
{
    return check("gradgradcheck", fn, user, inputs, count, opts, true);
}
