/* Stochastic gradient descent, as torch.optim.SGD: momentum, dampening, Nesterov, weight decay. */
#include "nn/optimizer.h"

#include "kernels/optim.h"
#include "tensor/error.h"
#include "tensor/tensor.h"

#include <pleat/parallel.h>

#define GRAIN 16384

static void sgd_f32(int64_t begin, int64_t end, void *work)
{
    pleat_kernels_get()->optim->sgd_f32(work, begin, end);
}

static void sgd_f64(int64_t begin, int64_t end, void *work)
{
    pleat_kernels_get()->optim->sgd_f64(work, begin, end);
}

static void update(const pleat_optimizer *o, const pleat_optimized *p, const void *gradient)
{
    const pleat_tensor *t = p->parameter;
    pleat_sgd_work work = {
        .p = pleat_tensor_address(t),
        .v = p->slot[0] ? pleat_tensor_address(p->slot[0]) : NULL,
        .g = gradient,
        .lr = o->lr,
        .momentum = o->sgd.momentum,
        .dampening = p->steps == 1 ? 0 : o->sgd.dampening, /* v begins as the gradient itself */
        .decay = o->sgd.weight_decay,
        .nesterov = o->sgd.nesterov,
    };
    pleat_parallel_for(t->numel, GRAIN, t->dtype == PLEAT_F32 ? sgd_f32 : sgd_f64, &work);
}

pleat_optimizer *pleat_sgd(pleat_module *m, double lr, const pleat_sgd_opts *opts)
{
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    const pleat_sgd_opts s = opts ? *opts : (pleat_sgd_opts){ 0 };
    if (!pleat_check_rate("sgd", "the momentum", s.momentum) ||
        !pleat_check_rate("sgd", "the weight decay", s.weight_decay))
        return NULL;
    if (!(s.dampening >= 0 && s.dampening <= 1)) {
        pleat_fail(PLEAT_EINVAL, "sgd: the dampening must be within 0 and 1, not %g", s.dampening);
        return NULL;
    }
    if (s.nesterov && (s.momentum == 0 || s.dampening != 0)) {
        pleat_fail(PLEAT_EINVAL, "sgd: Nesterov needs a momentum and no dampening, not %g and %g", s.momentum,
                   s.dampening);
        return NULL;
    }
    const pleat_optimizer_class cls = { "sgd", s.momentum != 0, update };
    pleat_optimizer *o = pleat_optimizer_new(&cls, m, lr);
    if (o)
        o->sgd = s;
    return o;
}
