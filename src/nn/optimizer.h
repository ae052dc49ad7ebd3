/* Optimizers from the inside: what a kind of optimizer says about itself; optimizer.c does the rest. */
#ifndef PLEAT_NN_OPTIMIZER_H
#define PLEAT_NN_OPTIMIZER_H

#include <pleat/optim.h>

#define PLEAT_OPTIMIZER_SLOTS 2

/* One parameter with what the optimizer remembers of it. */
typedef struct {
    pleat_tensor *parameter;                   /* retained */
    pleat_tensor *slot[PLEAT_OPTIMIZER_SLOTS]; /* of its shape and dtype; zeros when it first has a gradient */
    int64_t steps;                             /* taken so far, the one under way included */
} pleat_optimized;

typedef struct {
    const char *name;
    int slots; /* how many each parameter needs */
    /* Updates a parameter by its gradient; may not fail. */
    void (*update)(const pleat_optimizer *o, const pleat_optimized *p, const void *gradient);
} pleat_optimizer_class;

struct pleat_optimizer {
    pleat_optimizer_class cls;
    double lr;
    union {
        pleat_sgd_opts sgd;
        struct {
            pleat_adam_opts opts;
            bool decoupled; /* AdamW */
        } adam;
    };
    pleat_optimized *optimized;
    int64_t count, capacity;
};

/* An optimizer of the module's parameters with the class and the rate; NULL leaves an error. */
pleat_optimizer *pleat_optimizer_new(const pleat_optimizer_class *cls, pleat_module *m, double lr);

/* Whether value is finite and at least 0; an error that names it where it is not. */
bool pleat_check_rate(const char *optimizer, const char *what, double value);

#endif
