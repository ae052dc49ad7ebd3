/* Gradients against finite differences, with a verdict. */
#ifndef PLEAT_GRADCHECK_H
#define PLEAT_GRADCHECK_H

#include <pleat/nn.h>
#include <pleat/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A function to check: its result (any shape, float64) from its inputs. Called many times; must be deterministic. */
typedef pleat_tensor *(*pleat_check_fn)(pleat_tensor *const *inputs, void *user);

/* What a check found. Elements are named by input, flat index in it, and flat index in the output. */
typedef struct {
    bool passed;
    int64_t compared;          /* elements of the Jacobians, or projections, compared */
    int64_t kinks;             /* input elements left out, their one-sided slopes disagreeing */
    double max_gradient;       /* largest |analytic| seen: 0 means that the check was vacuous */
    double worst_error;        /* largest |analytic - numeric| / (atol + rtol |numeric|); above 1 fails */
    int worst_input;           /* the worst element's input (-1: none) */
    int64_t worst_input_index; /* -1 in fast mode */
    int64_t worst_output_index;
    double analytic, numeric; /* its two values */
} pleat_gradcheck_report;

typedef struct {
    double eps;                     /* step of the central difference; 0: 1e-6 */
    double atol, rtol;              /* |analytic - numeric| <= atol + rtol |numeric|; 0: 1e-5 and 1e-3 */
    double nondet_tol;              /* by how much two runs of the backward may differ; 0 means not at all */
    bool fast;                      /* one random projection per input and output instead of the full Jacobian */
    bool allow_zero;                /* all gradients zero is no failure */
    uint64_t seed;                  /* of the projections, and of gradgradcheck's output gradients */
    pleat_gradcheck_report *report; /* filled where not NULL, also on failure */
} pleat_gradcheck_opts;

/* Checks the gradients of every input that requires one, on detached clones of the inputs, which must be float64:
 * central differences against backward; backward twice, compared; output gradient zero gives zero. PLEAT_OK, or
 * PLEAT_EGRAD with a message that names the worst element and its two values; a failure of fn itself is passed on.
 * Kinks (relu at 0, max at a tie) are found by their one-sided slopes and counted; more than a tenth of the elements is
 * a failure, as is an all-zero gradient unless allowed. */
PLEAT_API pleat_status pleat_gradcheck(pleat_check_fn fn, void *user, pleat_tensor *const *inputs, int count,
                                       const pleat_gradcheck_opts *opts);

/* The same for the gradients as functions: of the inputs and of random output gradients. */
PLEAT_API pleat_status pleat_gradgradcheck(pleat_check_fn fn, void *user, pleat_tensor *const *inputs, int count,
                                           const pleat_gradcheck_opts *opts);

/* A module by its input and its parameters, all float64 (pleat_module_to). Its buffers are put back after each call. */
PLEAT_API pleat_status pleat_gradcheck_module(pleat_module *module, pleat_tensor *input,
                                              const pleat_gradcheck_opts *opts);

#ifdef __cplusplus
}
#endif
#endif
