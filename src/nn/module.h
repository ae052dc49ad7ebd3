/* Modules from the inside. */
#ifndef PLEAT_NN_MODULE_H
#define PLEAT_NN_MODULE_H

#include <pleat/nn.h>

/* A parameter, a buffer or a child under its name; they are kept in the order of adding. */
typedef struct pleat_member pleat_member;
struct pleat_member {
    pleat_member *next;
    pleat_tensor *tensor; /* retained; NULL for a child */
    pleat_module *child;  /* owned */
    char name[];
};

struct pleat_module {
    const pleat_module_class *cls;
    pleat_module *parent;
    const char *name; /* in the parent, whose member holds it; NULL without one */
    void *state;
    bool training;
    bool recompute; /* recompute.c */
    pleat_member *parameters, *buffers, *children;
};

extern const pleat_module_class pleat_relu_class, pleat_max_pool2d_class;

/* As pleat_forward, by the class's forward_relu, which it has. */
pleat_tensor *pleat_forward_relu(pleat_module *m, pleat_tensor *x);

/* The class's forward, or its forward_relu; and the same so that nothing of it is kept. */
pleat_tensor *pleat_module_run(pleat_module *m, pleat_tensor *x, bool relu);
pleat_tensor *pleat_module_recomputed(pleat_module *m, pleat_tensor *x, bool relu);

/* Calls fn for m and every module below it, each before its children. */
void pleat_module_walk(pleat_module *m, void (*fn)(pleat_module *m, void *user), void *user);

/* The training flags of m and all below it, in the order of the walk; owned by the caller, NULL on failure. */
bool *pleat_module_modes(pleat_module *m);
void pleat_module_set_modes(pleat_module *m, const bool *modes);

/* Drops a leaf's gradient; works while an error is pending too, which pleat_set_grad does not. */
void pleat_drop_grad(pleat_tensor *leaf);

/* ---- For the layers ---- */

/* Adds "weight" and, unless no_bias, "bias" (of that many elements), float32, initialised as PyTorch's layers are.
 * On failure m is freed and the result is NULL. */
pleat_module *pleat_add_weights(pleat_module *m, pleat_shape weight_shape, int64_t bias_size, bool no_bias,
                                pleat_tensor **weight, pleat_tensor **bias);

/* A kernel of at least 1, strides and dilations of at least 1 or {0, 0}, paddings of at least 0. */
pleat_status pleat_check_window(const char *layer, const pleat_window *window);

#endif
