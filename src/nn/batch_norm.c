/* The batch normalisation layer: weight and bias, and the running statistics as buffers. */
#include "nn/module.h"

#include "tensor/error.h"

#include <pleat/scope.h>

typedef struct {
    pleat_tensor *weight, *bias, *mean, *var, *batches;
} batch_norm;

static pleat_tensor *normalise(pleat_module *self, pleat_tensor *x, bool relu)
{
    const batch_norm *b = pleat_module_state(self);
    if (pleat_ndim(x) != 4) {
        pleat_fail(PLEAT_ESHAPE, "batch_norm2d: the input must be (N, C, H, W), not %s",
                   pleat_shape_text(pleat_shape_of(x)).text);
        return NULL;
    }
    const bool training = pleat_module_is_training(self);
    pleat_tensor *y =
        pleat_batch_norm(x, b->weight, b->bias, b->mean, b->var, training, &(pleat_batch_norm_opts){ .relu = relu });
    if (y && training)
        ++*(int64_t *)pleat_data_mut(b->batches);
    return y;
}

static pleat_tensor *batch_norm_forward(pleat_module *self, pleat_tensor *x)
{
    return normalise(self, x, false);
}

static pleat_tensor *batch_norm_forward_relu(pleat_module *self, pleat_tensor *x)
{
    return normalise(self, x, true);
}

static const pleat_module_class batch_norm_class = { .name = "batch_norm2d",
                                                     .state_size = sizeof(batch_norm),
                                                     .forward = batch_norm_forward,
                                                     .forward_relu = batch_norm_forward_relu };

pleat_module *pleat_nn_batch_norm2d(int64_t channels)
{
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    if (channels < 1) {
        pleat_fail(PLEAT_EINVAL, "nn_batch_norm2d: channels must be at least 1, not %lld", (long long)channels);
        return NULL;
    }
    pleat_module *m = pleat_module_new(&batch_norm_class);
    if (!m)
        return NULL;
    batch_norm *b = pleat_module_state(m);
    const pleat_shape shape = PLEAT_SHAPE(channels);
    const pleat_scope scope = pleat_scope_begin();
    b->weight = pleat_module_add_parameter(m, "weight", pleat_ones(shape, PLEAT_F32));
    b->bias = pleat_module_add_parameter(m, "bias", pleat_zeros(shape, PLEAT_F32));
    b->mean = pleat_module_add_buffer(m, "running_mean", pleat_zeros(shape, PLEAT_F32));
    b->var = pleat_module_add_buffer(m, "running_var", pleat_ones(shape, PLEAT_F32));
    b->batches = pleat_module_add_buffer(m, "num_batches_tracked", pleat_zeros(PLEAT_SHAPE(), PLEAT_I64));
    const bool failed = pleat_pending() != PLEAT_OK;
    pleat_scope_end(scope);
    if (failed) {
        pleat_module_free(m);
        return NULL;
    }
    return m;
}
