/* The optimizers' updates, for float and for double; the compiler vectorises them. */
#include "kernels/optim.h"

#include <math.h>

#define OPTIM(T, suffix, SQRT)                                                                                         \
    static void sgd_##suffix(const pleat_sgd_work *w, int64_t begin, int64_t end)                                      \
    {                                                                                                                  \
        T *restrict p = w->p, *restrict v = w->v;                                                                      \
        const T *restrict g = w->g;                                                                                    \
        const T lr = (T)w->lr, momentum = (T)w->momentum, take = (T)(1 - w->dampening), decay = (T)w->decay;           \
        const bool nesterov = w->nesterov;                                                                             \
        if (!v) {                                                                                                      \
            for (int64_t i = begin; i < end; i++)                                                                      \
                p[i] -= lr * (g[i] + decay * p[i]);                                                                    \
            return;                                                                                                    \
        }                                                                                                              \
        for (int64_t i = begin; i < end; i++) {                                                                        \
            const T d = g[i] + decay * p[i];                                                                           \
            v[i] = momentum * v[i] + take * d;                                                                         \
            p[i] -= lr * (nesterov ? d + momentum * v[i] : v[i]);                                                      \
        }                                                                                                              \
    }                                                                                                                  \
                                                                                                                       \
    static void adam_##suffix(const pleat_adam_work *w, int64_t begin, int64_t end)                                    \
    {                                                                                                                  \
        T *restrict p = w->p, *restrict m = w->m, *restrict v = w->v;                                                  \
        const T *restrict g = w->g;                                                                                    \
        const T shrink = (T)w->shrink, decay = (T)w->decay, eps = (T)w->eps, step = (T)w->step, root = (T)w->root;     \
        const T take = (T)(1 - w->beta1), beta2 = (T)w->beta2, take2 = (T)(1 - w->beta2);                              \
        for (int64_t i = begin; i < end; i++) {                                                                        \
            const T q = p[i] * shrink, d = g[i] + decay * q;                                                           \
            m[i] += take * (d - m[i]);                                                                                 \
            v[i] = beta2 * v[i] + take2 * d * d;                                                                       \
            p[i] = q - step * m[i] / (SQRT(v[i]) / root + eps);                                                        \
        }                                                                                                              \
    }

OPTIM(float, f32, sqrtf)
OPTIM(double, f64, sqrt)

const struct pleat_optim_kernels PLEAT_K(optim_kernels) = {
    .sgd_f32 = sgd_f32,
    .sgd_f64 = sgd_f64,
    .adam_f32 = adam_f32,
    .adam_f64 = adam_f64,
};
