/* Adam and AdamW, as torch.optim has them. They differ in the decay alone: Adam's joins the gradient, AdamW's shrinks
 * the parameter. */
#include "nn/optimizer.h"

#include "kernels/optim.h"
#include "tensor/error.h"
#include "tensor/tensor.h"

#include <pleat/parallel.h>

#include <math.h>

#define GRAIN 8192

static void adam_f32(int64_t begin, int64_t end, void *work)
{
    pleat_kernels_get()->optim->adam_f32(work, begin, end);
}

static void adam_f64(int64_t begin, int64_t end, void *work)
{
    pleat_kernels_get()->optim->adam_f64(work, begin, end);
}

static void update(const pleat_optimizer *o, const pleat_optimized *p, const void *gradient)
{
    const pleat_tensor *t = p->parameter;
    const pleat_adam_opts *a = &o->adam.opts;
    const double steps = (double)p->steps;
    pleat_adam_work work = {
        .p = pleat_tensor_address(t),
        .m = pleat_tensor_address(p->slot[0]),
        .v = pleat_tensor_address(p->slot[1]),
        .g = gradient,
        .shrink = o->adam.decoupled ? 1 - o->lr * a->weight_decay : 1,
        .decay = o->adam.decoupled ? 0 : a->weight_decay,
        .beta1 = a->betas[0],
        .beta2 = a->betas[1],
        .eps = a->eps,
        .step = o->lr / (1 - pow(a->betas[0], steps)),
        .root = sqrt(1 - pow(a->betas[1], steps)),
    };
    pleat_parallel_for(t->numel, GRAIN, t->dtype == PLEAT_F32 ? adam_f32 : adam_f64, &work);
}

static pleat_optimizer *adam(const char *name, pleat_module *m, double lr, const pleat_adam_opts *opts, bool decoupled)
{
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    pleat_adam_opts a = opts ? *opts : (pleat_adam_opts){ 0 };
    if (a.betas[0] == 0 && a.betas[1] == 0) {
        a.betas[0] = 0.9;
        a.betas[1] = 0.999;
    }
    if (a.eps == 0)
        a.eps = 1e-8;
    if (a.no_decay && a.weight_decay != 0) {
        pleat_fail(PLEAT_EINVAL, "%s: no_decay and a weight decay of %g", name, a.weight_decay);
        return NULL;
    }
    if (decoupled && a.weight_decay == 0 && !a.no_decay)
        a.weight_decay = 0.01;
    for (int i = 0; i < 2; i++)
        if (!(a.betas[i] >= 0 && a.betas[i] < 1)) {
            pleat_fail(PLEAT_EINVAL, "%s: betas must be at least 0 and below 1, not {%g, %g}", name, a.betas[0],
                       a.betas[1]);
            return NULL;
        }
    if (!pleat_check_rate(name, "eps", a.eps) || !pleat_check_rate(name, "the weight decay", a.weight_decay))
        return NULL;
    const pleat_optimizer_class cls = { name, 2, update };
    pleat_optimizer *o = pleat_optimizer_new(&cls, m, lr);
    if (o) {
        o->adam.opts = a;
        o->adam.decoupled = decoupled;
    }
    return o;
}

pleat_optimizer *pleat_adam(pleat_module *m, double lr, const pleat_adam_opts *opts)
{
    return adam("adam", m, lr, opts, false);
}

pleat_optimizer *pleat_adamw(pleat_module *m, double lr, const pleat_adam_opts *opts)
{
    return adam("adamw", m, lr, opts, true);
}
