/* The layers that hold no tensor: relu, max_pool2d, dropout, flatten. */
#include "nn/module.h"

#include "tensor/error.h"

/* ---- relu ---- */

static pleat_tensor *relu_forward(pleat_module *self, pleat_tensor *x)
{
    (void)self;
    return pleat_relu(x);
}

const pleat_module_class pleat_relu_class = { .name = "relu", .forward = relu_forward };

pleat_module *pleat_nn_relu(void)
{
    return pleat_module_new(&pleat_relu_class);
}

/* ---- flatten ---- */

static pleat_tensor *flatten_forward(pleat_module *self, pleat_tensor *x)
{
    (void)self;
    return pleat_flatten(x, 1, -1);
}

static const pleat_module_class flatten_class = { .name = "flatten", .forward = flatten_forward };

pleat_module *pleat_nn_flatten(void)
{
    return pleat_module_new(&flatten_class);
}

/* ---- max_pool2d ---- */

static pleat_tensor *max_pool2d_forward(pleat_module *self, pleat_tensor *x)
{
    return pleat_max_pool2d(x, pleat_module_state(self));
}

const pleat_module_class pleat_max_pool2d_class = { .name = "max_pool2d",
                                                    .state_size = sizeof(pleat_window),
                                                    .forward = max_pool2d_forward };

pleat_module *pleat_nn_max_pool2d(const pleat_window *window)
{
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    if (!window) {
        pleat_fail(PLEAT_EINVAL, "nn_max_pool2d: the window is NULL");
        return NULL;
    }
    if (pleat_check_window("nn_max_pool2d", window) != PLEAT_OK)
        return NULL;
    if (window->padding.h > window->kernel.h / 2 || window->padding.w > window->kernel.w / 2) {
        pleat_fail(PLEAT_EINVAL, "nn_max_pool2d: the padding (%lld, %lld) must be at most half the kernel (%lld, %lld)",
                   (long long)window->padding.h, (long long)window->padding.w, (long long)window->kernel.h,
                   (long long)window->kernel.w);
        return NULL;
    }
    pleat_module *m = pleat_module_new(&pleat_max_pool2d_class);
    if (m)
        *(pleat_window *)pleat_module_state(m) = *window;
    return m;
}

/* ---- dropout ---- */

static pleat_tensor *dropout_forward(pleat_module *self, pleat_tensor *x)
{
    return pleat_module_is_training(self) ? pleat_dropout(x, *(const double *)pleat_module_state(self)) : x;
}

static const pleat_module_class dropout_class = { .name = "dropout",
                                                  .state_size = sizeof(double),
                                                  .forward = dropout_forward };

pleat_module *pleat_nn_dropout(double p)
{
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    if (!(p >= 0 && p <= 1)) {
        pleat_fail(PLEAT_EINVAL, "nn_dropout: the probability must be within 0 and 1, not %g", p);
        return NULL;
    }
    pleat_module *m = pleat_module_new(&dropout_class);
    if (m)
        *(double *)pleat_module_state(m) = p;
    return m;
}
