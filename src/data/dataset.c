/* Data sets: inputs and targets, held together. */
#include "data/dataset.h"

#include "tensor/error.h"
#include "tensor/memory.h"

#include <pleat/autograd.h>
#include <pleat/ops.h>
#include <pleat/scope.h>

pleat_dataset *pleat_dataset_of(pleat_tensor *inputs, pleat_tensor *targets)
{
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    if (!inputs || !targets) {
        pleat_fail(PLEAT_EINVAL, "dataset_of: the %s are NULL", inputs ? "targets" : "inputs");
        return NULL;
    }
    if (pleat_ndim(inputs) < 1 || pleat_ndim(targets) < 1 || pleat_size(inputs, 0) != pleat_size(targets, 0)) {
        pleat_fail(PLEAT_ESHAPE, "dataset_of: inputs %s and targets %s must agree in their first dimension",
                   pleat_shape_text(pleat_shape_of(inputs)).text, pleat_shape_text(pleat_shape_of(targets)).text);
        return NULL;
    }
    const pleat_scope scope = pleat_scope_begin();
    pleat_dataset *d = pleat_alloc_zeroed(sizeof *d);
    if (d) {
        d->size = pleat_size(inputs, 0);
        d->inputs = pleat_retain(pleat_contiguous(pleat_detach(inputs)));
        d->targets = pleat_retain(pleat_contiguous(pleat_detach(targets)));
        if (!d->inputs || !d->targets) {
            pleat_dataset_free(d);
            d = NULL;
        }
    }
    pleat_scope_end(scope);
    return d;
}

int64_t pleat_dataset_size(const pleat_dataset *d)
{
    return d ? d->size : 0;
}

pleat_tensor *pleat_dataset_inputs(const pleat_dataset *d)
{
    return d ? d->inputs : NULL;
}

pleat_tensor *pleat_dataset_targets(const pleat_dataset *d)
{
    return d ? d->targets : NULL;
}

void pleat_dataset_free(pleat_dataset *d)
{
    if (!d)
        return;
    pleat_release(d->inputs);
    pleat_release(d->targets);
    pleat_free(d);
}
