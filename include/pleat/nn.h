/* Modules: parameters, buffers, children, a forward; train or eval. A module owns its children and has one parent;
 * names are PyTorch's ("0.weight", "layer1.0.conv1.weight", "1.running_mean"), so weights cross over unchanged. */
#ifndef PLEAT_NN_H
#define PLEAT_NN_H

#include <pleat/ops.h>
#include <pleat/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pleat_module pleat_module;

/* ---- A module of your own ---- */

typedef struct {
    const char *name;
    size_t state_size; /* bytes of your state, zeroed at first, freed with the module */
    pleat_tensor *(*forward)(pleat_module *self, pleat_tensor *x);
    void (*free)(pleat_module *self); /* what the state owns besides; may be NULL */
    /* relu(forward(x)), where one pass does both; a sequence calls it where a relu follows. May be NULL. */
    pleat_tensor *(*forward_relu)(pleat_module *self, pleat_tensor *x);
} pleat_module_class;

/* A new module, owned by the caller until it is added to another. cls must outlive it. */
PLEAT_API pleat_module *pleat_module_new(const pleat_module_class *cls);
PLEAT_API void *pleat_module_state(pleat_module *m);
PLEAT_API const pleat_module_class *pleat_module_class_of(const pleat_module *m);

/* These return their last argument, for the state to point at; NULL is an error, and then the child (which is owned in
 * any case) is freed. Names are not empty, hold no '.', and are unique in a module. A parameter is made to want a
 * gradient. The module retains parameters and buffers. A NULL child with an error pending leaves it pending. */
PLEAT_API pleat_module *pleat_module_add_child(pleat_module *m, const char *name, pleat_module *child);
PLEAT_API pleat_tensor *pleat_module_add_parameter(pleat_module *m, const char *name, pleat_tensor *parameter);
PLEAT_API pleat_tensor *pleat_module_add_buffer(pleat_module *m, const char *name, pleat_tensor *buffer);

/* ---- Any module ---- */

PLEAT_API pleat_tensor *pleat_forward(pleat_module *m, pleat_tensor *x);
/* Frees it with its children, parameters and buffers. NULL is allowed; one that has a parent is freed by it alone. */
PLEAT_API void pleat_module_free(pleat_module *m);
PLEAT_API void pleat_module_train(pleat_module *m, bool training); /* it and all below it; modules are born training */
PLEAT_API bool pleat_module_is_training(const pleat_module *m);
/* Memory for time: from now on a forward of m keeps nothing for the gradient but its input, its result and the
 * parameters; the gradient runs it again, with the same random numbers, and leaves the buffers as they are. Gradients
 * flow to x and to m's parameters, all of one dtype; first ones are the same to the bit. m must live until they are
 * taken. A deep network whose blocks are run again holds their results, and the insides of one of them at a time. */
PLEAT_API void pleat_module_recompute(pleat_module *m, bool on);
/* Casts parameters and buffers of floating type, all below included; gradients are dropped. All or nothing. */
PLEAT_API pleat_status pleat_module_to(pleat_module *m, pleat_dtype dtype);
PLEAT_API void pleat_module_zero_grad(pleat_module *m); /* drops the parameters' gradients */

/* By name, as in a state_dict; borrowed. NULL with PLEAT_ELOOKUP where there is none. */
PLEAT_API pleat_tensor *pleat_module_parameter(pleat_module *m, const char *name);
PLEAT_API pleat_tensor *pleat_module_buffer(pleat_module *m, const char *name);
PLEAT_API pleat_module *pleat_module_child(pleat_module *m, const char *name);

/* Walks what the module and all below it hold, in state_dict's order: its parameters, its buffers, then each child. */
typedef struct {
    const char *name; /* full; valid during the call */
    pleat_tensor *tensor;
    bool is_parameter;
} pleat_named_tensor;
typedef pleat_status (*pleat_visit_fn)(const pleat_named_tensor *item, void *user);
/* Stops at, and returns, the first status that is not PLEAT_OK. */
PLEAT_API pleat_status pleat_module_visit(pleat_module *m, pleat_visit_fn fn, void *user);
PLEAT_API int64_t pleat_module_parameter_count(pleat_module *m); /* elements of all parameters */

/* ---- Layers. Weights are float32, initialised as PyTorch does (kaiming_uniform with a = sqrt(5), bias uniform within
 * 1 / sqrt(fan_in)); pleat_module_to changes the dtype. ---- */

PLEAT_API pleat_module *pleat_nn_conv2d(int64_t in_channels, int64_t out_channels, pleat_hw kernel,
                                        const pleat_conv2d_opts *opts);
PLEAT_API pleat_module *pleat_nn_conv_transpose2d(int64_t in_channels, int64_t out_channels, pleat_hw kernel,
                                                  const pleat_conv_transpose2d_opts *opts);
PLEAT_API pleat_module *pleat_nn_conv1d(int64_t in_channels, int64_t out_channels, int64_t kernel,
                                        const pleat_conv1d_opts *opts);
PLEAT_API pleat_module *pleat_nn_conv_transpose1d(int64_t in_channels, int64_t out_channels, int64_t kernel,
                                                  const pleat_conv_transpose1d_opts *opts);
/* The forward of a conv_transpose2d, or with {0, length} of a conv_transpose1d, whose result is of this size (the
 * option output_size) for this call, whatever its options say: on the way up, what was on the way down. */
PLEAT_API pleat_tensor *pleat_forward_to_size(pleat_module *m, pleat_tensor *x, pleat_hw size);
PLEAT_API pleat_module *pleat_nn_linear(int64_t in_features, int64_t out_features);
PLEAT_API pleat_module *pleat_nn_linear_no_bias(int64_t in_features, int64_t out_features);
PLEAT_API pleat_module *pleat_nn_batch_norm2d(int64_t channels);
PLEAT_API pleat_module *pleat_nn_relu(void);
PLEAT_API pleat_module *pleat_nn_max_pool2d(const pleat_window *window);
PLEAT_API pleat_module *pleat_nn_dropout(double p);
PLEAT_API pleat_module *pleat_nn_flatten(void); /* (N, ...) -> (N, rest) */

/* One after the other, named "0", "1", ...; takes all it is given. Where one of them is NULL the others are freed and
 * the result is NULL. */
PLEAT_API pleat_module *pleat_sequential_of(pleat_module *const *modules, int count);

/* relu(body(x) + shortcut(x)), both of one shape; without a shortcut (NULL) x itself is added. Takes both, named "body"
 * and "shortcut"; a NULL that an earlier failure left fails here, too. He et al., CVPR 2016. */
PLEAT_API pleat_module *pleat_nn_residual(pleat_module *body, pleat_module *shortcut);

/* ---- Initialisation, in place and off the tape; return t ---- */

/* The numbers that PyTorch computes for a weight (out, in / groups, KH, KW) or (out, in). */
PLEAT_API pleat_status pleat_fans(const pleat_tensor *weight, int64_t *fan_in, int64_t *fan_out);
PLEAT_API pleat_tensor *pleat_kaiming_uniform_(pleat_tensor *t, double a); /* He et al., ICCV 2015; leaky_relu's gain */
PLEAT_API pleat_tensor *pleat_kaiming_normal_(pleat_tensor *t, double a);
PLEAT_API pleat_tensor *pleat_xavier_uniform_(pleat_tensor *t, double gain); /* Glorot, Bengio, AISTATS 2010 */
PLEAT_API pleat_tensor *pleat_xavier_normal_(pleat_tensor *t, double gain);

#ifdef __cplusplus
}
inline pleat_module *pleat_sequential_list(std::initializer_list<pleat_module *> m)
{
    return pleat_sequential_of(m.begin(), static_cast<int>(m.size()));
}
#define pleat_sequential(...) pleat_sequential_list({ __VA_ARGS__ })
#else
#define pleat_sequential(...)                                                                                          \
    pleat_sequential_of((pleat_module *[]){ __VA_ARGS__ },                                                             \
                        (int)(sizeof((pleat_module *[]){ __VA_ARGS__ }) / sizeof(pleat_module *)))
#endif

#endif
