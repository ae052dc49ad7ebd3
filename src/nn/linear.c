/* The linear layer: x W^T + b. */
#include "nn/module.h"

#include "tensor/error.h"

typedef struct {
    pleat_tensor *weight, *bias;
} linear;

static pleat_tensor *linear_forward(pleat_module *self, pleat_tensor *x)
{
    const linear *l = pleat_module_state(self);
    return pleat_linear(x, l->weight, l->bias);
}

static pleat_tensor *linear_forward_relu(pleat_module *self, pleat_tensor *x)
{
    const linear *l = pleat_module_state(self);
    return pleat_linear_relu(x, l->weight, l->bias);
}

static const pleat_module_class linear_class = {
    .name = "linear", .state_size = sizeof(linear), .forward = linear_forward, .forward_relu = linear_forward_relu
};

static pleat_module *linear_new(int64_t in_features, int64_t out_features, bool no_bias)
{
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    if (in_features < 1 || out_features < 1) {
        pleat_fail(PLEAT_EINVAL, "nn_linear: features must be at least 1, not %lld in and %lld out",
                   (long long)in_features, (long long)out_features);
        return NULL;
    }
    pleat_module *m = pleat_module_new(&linear_class);
    if (!m)
        return NULL;
    linear *l = pleat_module_state(m);
    return pleat_add_weights(m, PLEAT_SHAPE(out_features, in_features), out_features, no_bias, &l->weight, &l->bias);
}

pleat_module *pleat_nn_linear(int64_t in_features, int64_t out_features)
{
    return linear_new(in_features, out_features, false);
}

pleat_module *pleat_nn_linear_no_bias(int64_t in_features, int64_t out_features)
{
    return linear_new(in_features, out_features, true);
}
