/* The optimizers' updates: one fused pass over a parameter, its gradient and the optimizer's state. */
#ifndef PLEAT_KERNELS_OPTIM_H
#define PLEAT_KERNELS_OPTIM_H

#include "kernels/kernels.h"

/* g += decay p; v = momentum v + (1 - dampening) g; p -= lr (nesterov ? g + momentum v : v). Without a v, p -= lr g. */
typedef struct {
    void *p, *v;
    const void *g;
    double lr, momentum, dampening, decay;
    bool nesterov;
} pleat_sgd_work;

/* g += decay p; m += (1 - beta1) (g - m); v = beta2 v + (1 - beta2) g^2; p -= step m / (sqrt(v) / root + eps). */
typedef struct {
    void *p, *m, *v;
    const void *g;
    double shrink; /* p *= shrink first: AdamW's decay, 1 for none */
    double decay, beta1, beta2, eps;
    double step; /* lr / (1 - beta1^t) */
    double root; /* sqrt(1 - beta2^t) */
} pleat_adam_work;

/* On elements begin to end - 1, of float or of double. */
struct pleat_optim_kernels {
    void (*sgd_f32)(const pleat_sgd_work *work, int64_t begin, int64_t end);
    void (*sgd_f64)(const pleat_sgd_work *work, int64_t begin, int64_t end);
    void (*adam_f32)(const pleat_adam_work *work, int64_t begin, int64_t end);
    void (*adam_f64)(const pleat_adam_work *work, int64_t begin, int64_t end);
};

#ifdef PLEAT_ISA
extern const struct pleat_optim_kernels PLEAT_K(optim_kernels);
#endif

#endif
