/* Optimizers. One holds the parameters of a module (retained) and its own state, in the parameters' dtype; a step is
 * one fused pass over each parameter and its gradient, off the tape. Parameters without a gradient are left alone. */
#ifndef PLEAT_OPTIM_H
#define PLEAT_OPTIM_H

#include <pleat/nn.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pleat_optimizer pleat_optimizer;

typedef struct {
    double momentum, dampening, weight_decay; /* 0: none */
    bool nesterov;                            /* needs a momentum and no dampening */
} pleat_sgd_opts;

/* torch.optim.SGD: g += decay p; v = momentum v + (1 - dampening) g (at first v = g); p -= lr v, with Nesterov
 * p -= lr (g + momentum v). */
PLEAT_API pleat_optimizer *pleat_sgd(pleat_module *m, double lr, const pleat_sgd_opts *opts);

typedef struct {
    double betas[2];     /* {0, 0}: {0.9, 0.999} */
    double eps;          /* 0: 1e-8 */
    double weight_decay; /* Adam: 0, none; AdamW: 0 is 0.01 unless no_decay */
    bool no_decay;
} pleat_adam_opts;

/* torch.optim.Adam (decay joins the gradient) and AdamW (p -= lr decay p first). Kingma, Ba, ICLR 2015; Loshchilov,
 * Hutter, ICLR 2019. */
PLEAT_API pleat_optimizer *pleat_adam(pleat_module *m, double lr, const pleat_adam_opts *opts);
PLEAT_API pleat_optimizer *pleat_adamw(pleat_module *m, double lr, const pleat_adam_opts *opts);

/* One step with the gradients there are. A failed step changes no parameter. */
PLEAT_API pleat_status pleat_optimizer_step(pleat_optimizer *o);
PLEAT_API void pleat_optimizer_zero_grad(pleat_optimizer *o); /* drops the gradients */
PLEAT_API double pleat_optimizer_lr(const pleat_optimizer *o);
PLEAT_API pleat_status pleat_optimizer_set_lr(pleat_optimizer *o, double lr);
PLEAT_API void pleat_optimizer_free(pleat_optimizer *o); /* NULL is allowed; before or after the module */

#ifdef __cplusplus
}
#endif
#endif
