/* The optimizers' updates, for float and for double; the compiler vectorises them.
 *
 * Moments that have faded below the smallest normal number become zero. Those of a parameter that has no gradient any
 * more (a dead relu's) would else end as subnormal numbers, which stay there, move no parameter, and make most
 * processors take a hundred times longer for each. */
#include "kernels/optim.h"

#include <float.h>
#include <math.h>

#define OPTIM(T, suffix, SQRT, FABS, MIN)                                                                              \
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
            const T m = momentum * v[i] + take * d;                                                                    \
            v[i] = FABS(m) < MIN ? 0 : m;                                                                              \
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
            const T m1 = m[i] + take * (d - m[i]), m2 = beta2 * v[i] + take2 * d * d;                                  \
            m[i] = FABS(m1) < MIN ? 0 : m1;                                                                            \
            v[i] = m2 < MIN ? 0 : m2;                                                                                  \
            p[i] = q - step * m[i] / (SQRT(v[i]) / root + eps);                                                        \
        }                                                                                                              \
    }

OPTIM(float, f32, sqrtf, fabsf, FLT_MIN)
OPTIM(double, f64, sqrt, fabs, DBL_MIN)

const struct pleat_optim_kernels PLEAT_K(optim_kernels) = {
    .sgd_f32 = sgd_f32,
    .sgd_f64 = sgd_f64,
    .adam_f32 = adam_f32,
    .adam_f64 = adam_f64,
};
