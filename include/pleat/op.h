/* The extension API: a differentiable op of your own, in one file, on the same path as the library's.
 *
 * An op is a `static const pleat_op`; its address is its identity. pleat_apply checks the inputs' number and dtypes,
 * makes contiguous what the op wants so, asks `infer` for the outputs, allocates them, runs `forward` and, where a
 * gradient is wanted, records the call. */
#ifndef PLEAT_OP_H
#define PLEAT_OP_H

#include <pleat/error.h>
#include <pleat/parallel.h>
#include <pleat/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PLEAT_MAX_INPUTS 8 /* of an op that is not variadic */
#define PLEAT_MAX_OUTPUTS 4
#define PLEAT_VARIADIC (-1) /* .inputs of an op that takes any number from 1 up; .dtypes[0], .keeps[0] serve all */

/* Sets of dtypes, for .dtypes: PLEAT_DTYPES(PLEAT_F32, PLEAT_I64). */
#define PLEAT_DTYPES(...) PLEAT_DTYPES_(__VA_ARGS__, 0, 0, 0, 0)
#define PLEAT_DTYPES_(a, b, c, d, ...) ((1u << (a)) | (1u << (b)) | (1u << (c)) | (1u << (d)))
#define PLEAT_FLOATS PLEAT_DTYPES(PLEAT_F32, PLEAT_F64)
#define PLEAT_ANY_DTYPE PLEAT_DTYPES(PLEAT_F32, PLEAT_F64, PLEAT_I64, PLEAT_U8)

/* Sets of inputs and outputs, for .optional, .strided, .constant and .keeps. */
#define PLEAT_IN(i) (1u << (i))
#define PLEAT_OUT(i) (1u << (16 + (i)))
#define PLEAT_ALL_IN (1u << 31) /* every input */
#define PLEAT_KEEP_IN(i) PLEAT_IN(i)
#define PLEAT_KEEP_OUT(i) PLEAT_OUT(i)

typedef struct pleat_op pleat_op;
typedef struct pleat_call pleat_call;

/* What a tensor is, without its elements. */
typedef struct {
    pleat_dtype dtype;
    bool view; /* as an output: a view of input 0's storage with these strides and offset; then there is no forward */
    pleat_shape shape;
    int64_t stride[PLEAT_MAX_DIMS]; /* of inputs; of outputs only where view is set. In elements */
    int64_t offset;                 /* likewise; from the storage's start, in elements */
} pleat_spec;

/* One application of an op. What is there depends on the stage; every array has one place per input or output. */
struct pleat_call {
    const pleat_op *op;
    const void *params; /* a copy of what pleat_apply was given, params_size bytes */
    int inputs, outputs;
    const pleat_spec *in_spec;     /* always; an optional input that is missing has dtype 0 */
    const pleat_spec *out_spec;    /* forward, backward */
    pleat_tensor *const *in;       /* forward: all (NULL: missing). backward: what .keeps names for a wanted gradient */
    pleat_tensor *const *out;      /* forward: to be filled. backward: what .keeps names */
    pleat_tensor *const *grad_out; /* backward: NULL means zero; never all NULL */
    pleat_tensor **grad_in;        /* backward: to be set, borrowed tensors; left NULL means zero */
    const void *internal;          /* the library's */
};

struct pleat_op {
    const char *name;  /* every message begins with it */
    int inputs;        /* how many, or PLEAT_VARIADIC */
    int outputs;       /* 1 to PLEAT_MAX_OUTPUTS */
    unsigned optional; /* PLEAT_IN(i): may be NULL */
    unsigned strided;  /* PLEAT_IN(i), PLEAT_ALL_IN: any strides are welcome; the others arrive contiguous */
    unsigned constant; /* PLEAT_OUT(i): carries no gradient (indices, saved statistics). Integer outputs never do */
    bool broadcasts;   /* gradients come in the output's shape; the tape sums them to the inputs' */
    unsigned dtypes[PLEAT_MAX_INPUTS]; /* allowed; 0: PLEAT_FLOATS. Inputs with equal sets must have equal dtypes */
    size_t params_size;                /* of the plain data that are the op's parameters */
    /* What the gradient of input i reads: PLEAT_KEEP_IN(k) | PLEAT_KEEP_OUT(k). Nothing else is held for it. */
    unsigned keeps[PLEAT_MAX_INPUTS];

    /* Checks shapes and parameters and describes the outputs. Reads params and in_spec only. */
    pleat_status (*infer)(const pleat_call *call, pleat_spec *out);
    /* Fills the outputs. NULL for an op whose outputs are views. */
    pleat_status (*forward)(pleat_call *call);
    /* The gradient stated in differentiable ops: from grad_out (and in, out as kept) to grad_in. May be NULL. */
    pleat_status (*backward)(pleat_call *call);
    /* The gradient as a fused computation, used where the derivative is not itself recorded. May be NULL. grad_out, in
     * and out arrive contiguous, unless strided says otherwise of the inputs. Nothing it does is recorded. */
    pleat_status (*backward_kernel)(pleat_call *call);
    /* Fills output 0 once more, to the same bits, from what .remakes names: for outputs that are as cheap as one pass
     * over that. A later call whose gradient reads output 0 then does not hold it, as long as this call's own gradients
     * hold what .remakes names and not output 0 itself: it is made again when that gradient is asked for. in and out as
     * in backward_kernel, and out[0] to be filled. Not for a variadic op, or one of views. May be NULL. */
    pleat_status (*remake)(pleat_call *call);
    unsigned remakes; /* PLEAT_KEEP_IN(k) | PLEAT_KEEP_OUT(k), k > 0 of outputs */
    /* Floating-point operations of one forward call, for the profile: reads params and the specs. May be NULL. */
    double (*flops)(const pleat_call *call);
};

/* Applies op to inputs (a count of them) and params (NULL where params_size is 0). Returns output 0, borrowed. */
PLEAT_API pleat_tensor *pleat_apply(const pleat_op *op, pleat_tensor *const *inputs, int count, const void *params);
/* The same with every output; on failure all NULL. */
PLEAT_API pleat_status pleat_apply_all(const pleat_op *op, pleat_tensor *const *inputs, int count, const void *params,
                                       pleat_tensor **outputs);

/* In backward: whether the gradient of input i is wanted. Ask before working. */
PLEAT_API bool pleat_wants(const pleat_call *call, int i);

/* Leaves an error pending and returns status. Inside an op's functions the text is prefixed with the op's name. Not for
 * use inside a parallel range. */
PLEAT_API pleat_status pleat_fail(pleat_status status, const char *format, ...) PLEAT_PRINTF(2, 3);

/* ---- For infer ---- */

/* NumPy's broadcast of two shapes; an error that names both where they do not fit. */
PLEAT_API pleat_status pleat_broadcast(pleat_shape a, pleat_shape b, pleat_shape *out);
/* Turns dimension dim of ndim, negative from the end, into 0 .. ndim-1; an error where there is none such. A tensor of
 * no dimension is taken for one of one dimension, as in PyTorch. */
PLEAT_API pleat_status pleat_resolve_dim(int dim, int ndim, int *out);

/* ---- The suite, for your op and for the library's ---- */

/* One way to call an op: its inputs and its parameters. The inputs are read, copied and left as they are. The gradients
 * by those that require one are checked; where none does, by every floating one. */
typedef struct {
    const char *name;        /* for messages; may be NULL */
    pleat_tensor *const *in; /* float inputs in float64; NULL for a missing one */
    int count;
    const void *params;
    bool no_second; /* the op has no second derivative (a user's op with backward_kernel alone) */
    bool zero;      /* gradients are zero here (allow_zero of the checks) */
} pleat_op_sample;

typedef struct {
    int64_t samples, checks; /* run */
} pleat_op_check_count;

/* Runs every check on every sample: gradcheck and gradgradcheck, backward against backward_kernel, each input alone
 * wanted, non-contiguous inputs and output gradients, one against several threads with the grain cut to 1 (same bits),
 * float32 against float64; what is made again against the result. PLEAT_OK, or the first failure with op, sample and
 * check in its message. */
PLEAT_API pleat_status pleat_op_check(const pleat_op *op, const pleat_op_sample *samples, int count,
                                      pleat_op_check_count *counted);

/* The library's own ops, to walk. NULL past the end. */
PLEAT_API const pleat_op *pleat_builtin_op(int i);

#ifdef __cplusplus
}
#endif
#endif
