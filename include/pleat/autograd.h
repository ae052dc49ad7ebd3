/* Gradients. Each thread has a tape: the ordered record of the differentiable calls made while the gradient mode was on
 * and an input required a gradient. It belongs to the scopes: a scope that ends takes the calls it recorded with it. */
#ifndef PLEAT_AUTOGRAD_H
#define PLEAT_AUTOGRAD_H

#include <pleat/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Makes a floating-point leaf want a gradient, or no more. Returns t. An error where t has a history (detach it). */
PLEAT_API pleat_tensor *pleat_set_requires_grad(pleat_tensor *t, bool on);
PLEAT_API bool pleat_requires_grad(const pleat_tensor *t); /* a leaf that wants one, or a result of such */
PLEAT_API bool pleat_is_leaf(const pleat_tensor *t);       /* not the result of a recorded call */

/* The same elements without the history; shares the storage. */
PLEAT_API pleat_tensor *pleat_detach(pleat_tensor *t);

/* Whether calls of this thread are recorded; true at first. Returns the mode before. A scope's end restores it. */
PLEAT_API bool pleat_grad_mode(bool on);
PLEAT_API bool pleat_grad_enabled(void);

/* A leaf's gradient, borrowed from the leaf; NULL, without an error, where it has none yet. */
PLEAT_API pleat_tensor *pleat_grad(const pleat_tensor *leaf);
PLEAT_API pleat_status pleat_set_grad(pleat_tensor *leaf, pleat_tensor *grad); /* NULL drops it; retained, not copied */

/* d loss / d leaf, added to the gradient of every leaf that wants one. loss has one element. The history is spent
 * afterwards, unless kept. Leaf gradients are staged and committed last: a failed backward changes none of them, and
 * its history is spent (unless kept). PLEAT_EGRAD: no history, ended, spent, or a kept tensor was changed in place. */
PLEAT_API pleat_status pleat_backward(pleat_tensor *loss);
PLEAT_API pleat_status pleat_backward_keep(pleat_tensor *loss);

typedef struct {
    /* One per output, of its shape and dtype; NULL, or a NULL among them, means ones (an output of one element) */
    pleat_tensor *const *grad_outputs;
    bool record;       /* record the derivative itself, so that it can be differentiated again; implies keep */
    bool keep;         /* do not spend the history */
    bool allow_unused; /* an input that no output depends on gets NULL; otherwise that is an error */
} pleat_gradients_opts;

/* grads[i] = sum over k of grad_outputs[k] . d outputs[k] / d inputs[i]. Inputs may be leaves or results. Touches no
 * leaf's gradient. The results are borrowed from the innermost scope. On failure every grads[i] is NULL. */
PLEAT_API pleat_status pleat_gradients(pleat_tensor *const *outputs, int outputs_count, pleat_tensor *const *inputs,
                                       int inputs_count, const pleat_gradients_opts *opts, pleat_tensor **grads);

/* Calls on this thread's tape now. */
PLEAT_API int64_t pleat_tape_length(void);

#ifdef __cplusplus
}
#endif
#endif
