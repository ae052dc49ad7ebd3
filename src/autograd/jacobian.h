/* The engine of the gradient checks: a function's Jacobian by backward and by central differences, compared. */
#ifndef PLEAT_AUTOGRAD_JACOBIAN_H
#define PLEAT_AUTOGRAD_JACOBIAN_H

#include <pleat/pleat.h>

/* An input that requires a gradient. */
typedef struct {
    pleat_tensor *tensor;
    int index;            /* among the inputs, for the report */
    int64_t numel, first; /* its elements' places in x and u */
    char label[64];       /* for messages */
} pleat_jacobian_variable;

typedef struct {
    int64_t numel, first; /* its elements' places in center, high, low and v; numel -1: not known yet */
} pleat_jacobian_output;

typedef struct pleat_jacobian pleat_jacobian;
struct pleat_jacobian {
    /* what the caller sets */
    const char *name;                                               /* every message begins with it */
    pleat_status (*run)(pleat_jacobian *j, pleat_tensor **results); /* the function; a NULL result means zero */
    pleat_status (*before)(pleat_jacobian *j);                      /* called before each run; or NULL */
    pleat_check_fn fn;
    void *user;

    pleat_gradcheck_opts opts;
    pleat_gradcheck_report report;
    int inputs, variables, outputs;
    pleat_tensor **input; /* what fn is given */
    pleat_jacobian_variable *variable;
    pleat_jacobian_output *output;
    pleat_tensor **wanted, **grad; /* the variables' tensors, and their gradients in one backward */
    pleat_tensor **result;         /* one an output */
    pleat_scope scope;             /* of the whole check */
    pleat_rng_state rng;           /* every run draws the same numbers */
    const pleat_jacobian_variable *worst_variable;
    int worst_output;

    /* of one pass */
    bool fast;
    int64_t x_size, y_size;      /* elements of all variables, of all outputs */
    int64_t columns;             /* of the table */
    double *x, *u;               /* the variables' values; fast mode's directions */
    double *center, *high, *low; /* the outputs at x, above and below */
    double *v;                   /* fast mode's output gradients */
    double *again, *table;       /* a row of the second analytic run; the analytic table */
};

/* Opens the check's scope and makes room for as many. name, run, fn, user are set before. Whatever comes of it,
 * pleat_jacobian_end follows. */
pleat_status pleat_jacobian_begin(pleat_jacobian *j, int inputs, int variables, int outputs,
                                  const pleat_gradcheck_opts *opts);
pleat_jacobian_variable *pleat_jacobian_add(pleat_jacobian *j, pleat_tensor *t);
/* Fills input with copies; those of inputs that require a gradient do so too, and are variables. */
pleat_status pleat_jacobian_clone_inputs(pleat_jacobian *j, pleat_tensor *const *inputs, int count);
/* The check itself. */
pleat_status pleat_jacobian_check(pleat_jacobian *j);
/* Closes what was opened, hands the report over, tells the status and returns it. */
pleat_status pleat_jacobian_end(pleat_jacobian *j, pleat_status status);

/* A run of fn: one result. */
pleat_status pleat_jacobian_run_function(pleat_jacobian *j, pleat_tensor **results);
/* Copies, off the tape. */
pleat_tensor *pleat_jacobian_copy(const pleat_tensor *t);

#endif
