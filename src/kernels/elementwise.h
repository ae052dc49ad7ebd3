/* Elementwise functions of strided arrays of one shape (broadcasting is a stride of 0).
 *
 * A row kernel computes one run of elements, each operand with one stride; `map` walks the outer dimensions and calls
 * it. Every element goes through the same vector code, the last ones of a run in a padded vector, so that its bits do
 * not depend on where a chunk begins or on the strides. */
#ifndef PLEAT_KERNELS_ELEMENTWISE_H
#define PLEAT_KERNELS_ELEMENTWISE_H

#include "kernels/kernels.h"

#define PLEAT_MAP_ARRAYS 4

/* n elements of array 0, the output, from those of arrays 1, 2, ...; stride[i] in elements. The output may be one of
 * the inputs, with the same strides. */
typedef void (*pleat_row_fn)(void *const *array, const int64_t *stride, int64_t n, const double *param);

typedef struct {
    pleat_row_fn row;
    int arrays;
    int ndim; /* at least 1 */
    int64_t dim[PLEAT_MAX_DIMS];
    int64_t stride[PLEAT_MAP_ARRAYS][PLEAT_MAX_DIMS]; /* in elements */
    void *data[PLEAT_MAP_ARRAYS];
    int64_t width[PLEAT_MAP_ARRAYS]; /* bytes of an element */
    bool columns; /* of the last two dimensions all inputs have the first side by side, or repeat one element */
    double param[2];
} pleat_map_work;

/* y is array 0; a, b, c are arrays 1, 2, 3; p, q the parameters, rounded to the arrays' type. */
#define PLEAT_ROWS(X)                                                                                                  \
    X(add)        /* a + b */                                                                                          \
    X(sub)        /* a - b */                                                                                          \
    X(mul)        /* a b */                                                                                            \
    X(div)        /* a / b */                                                                                          \
    X(add_scaled) /* a + p b */                                                                                        \
    X(scale)      /* p a */                                                                                            \
    X(affine)     /* p a + q */                                                                                        \
    X(neg)        /* -a */                                                                                             \
    X(exp)                                                                                                             \
    X(log)                                                                                                             \
    X(sqrt)                                                                                                            \
    X(one)             /* 1, also for NaN: a to the power 0 */                                                         \
    X(identity)        /* a */                                                                                         \
    X(square)          /* a a */                                                                                       \
    X(cube)            /* a a a */                                                                                     \
    X(reciprocal)      /* 1 / a */                                                                                     \
    X(power_half)      /* C's pow(a, 0.5): unlike sqrt, 0 for -0 and infinity for -infinity */                         \
    X(power_mhalf)     /* C's pow(a, -0.5) */                                                                          \
    X(power_m2)        /* 1 / (a a) */                                                                                 \
    X(power_m3)        /* 1 / (a a a) */                                                                               \
    X(power)           /* C's pow(a, p) */                                                                             \
    X(clamp)           /* min(max(a, p), q), NaN for NaN */                                                            \
    X(clamp_grad)      /* a where p <= b <= q, else 0 */                                                               \
    X(hardtanh_grad)   /* 0 where b <= p or q <= b, else a */                                                          \
    X(relu)            /* max(a, 0), NaN for NaN */                                                                    \
    X(relu_grad)       /* 0 where b <= 0, else a */                                                                    \
    X(leaky_relu)      /* a where a > 0, else p a */                                                                   \
    X(leaky_relu_grad) /* a where b > 0, else p a */                                                                   \
    X(prelu)           /* a where a > 0, else b a */                                                                   \
    X(add_relu)        /* max(a + b, 0), NaN for NaN */                                                                \
    X(huber)           /* q c (d - c / 2), d = a - b, c = min(max(d, -p), p) */                                        \
    X(huber_grad)      /* q a min(max(b - c, -p), p) */                                                                \
    X(bce)             /* (b - 1) max(log(1 - a), -100) - b max(log(a), -100), for 0 <= a <= 1 */                      \
    X(maximum)         /* NaN where one is */                                                                          \
    X(minimum)         /* NaN where one is */                                                                          \
    X(larger_grad)     /* 0 where b < c, a / 2 where b = c, else a */                                                  \
    X(abs)                                                                                                             \
    X(sign) /* 0 for NaN */                                                                                            \
    X(floor)                                                                                                           \
    X(round)      /* half to even */                                                                                   \
    X(rsqrt)      /* 1 / sqrt(a) */                                                                                    \
    X(sqrt_grad)  /* a / (2 b) */                                                                                      \
    X(rsqrt_grad) /* -a b b b / 2 */                                                                                   \
    X(sin)                                                                                                             \
    X(cos)                                                                                                             \
    X(tanh)                                                                                                            \
    X(tanh_grad) /* a (1 - b b) */                                                                                     \
    X(sigmoid)                                                                                                         \
    X(sigmoid_grad) /* a b (1 - b) */                                                                                  \
    X(erf)                                                                                                             \
    X(erf_grad) /* a erf'(b), and so on */                                                                             \
    X(sin_grad)                                                                                                        \
    X(cos_grad)                                                                                                        \
    X(expm1)                                                                                                           \
    X(log1p)     /* for a > -1 */                                                                                      \
    X(elu)       /* q a where a > 0, else q p (exp(a) - 1) */                                                          \
    X(elu_grad)  /* q a where b > 0, else q p a exp(b) */                                                              \
    X(silu)      /* a sigmoid(a) */                                                                                    \
    X(silu_grad) /* a silu'(b), and so on */                                                                           \
    X(gelu)                                                                                                            \
    X(gelu_grad)                                                                                                       \
    X(gelu_tanh) /* with the approximation by tanh */                                                                  \
    X(gelu_tanh_grad)                                                                                                  \
    X(mish) /* a tanh(softplus(a)) */                                                                                  \
    X(mish_grad)                                                                                                       \
    X(softplus) /* log(1 + exp(p a)) / p, a itself where p a > q */                                                    \
    X(softplus_grad)                                                                                                   \
    X(logsigmoid) /* log(sigmoid(a)) */                                                                                \
    X(logsigmoid_grad)                                                                                                 \
    X(softsign) /* a / (1 + |a|) */                                                                                    \
    X(softsign_grad)                                                                                                   \
    X(hardsigmoid) /* clamp(a + 3, 0, 6) / 6 */                                                                        \
    X(hardswish)   /* a hardsigmoid(a) */                                                                              \
    X(hardswish_grad)

struct pleat_elementwise_kernels {
    /* Elements begin to end - 1, counted row-major over the shape. */
    void (*map)(const pleat_map_work *work, int64_t begin, int64_t end);
    /* The rows: [0] float32, [1] float64. */
#define PLEAT_ROW_FIELD(name) pleat_row_fn name[2];
    PLEAT_ROWS(PLEAT_ROW_FIELD)
#undef PLEAT_ROW_FIELD
};

#ifdef PLEAT_ISA
extern const struct pleat_elementwise_kernels PLEAT_K(elementwise_kernels);
#endif

#endif
