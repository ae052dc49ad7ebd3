/* The rows of elementwise.h for one floating type: a template, see math_body.h. A row is an expression in vectors
 * x[0], x[1], ... (the inputs) and p[0], p[1] (the parameters); `run` does the loading and storing. */
#include "kernels/math_body.h"

typedef VEC (*F(lanes_fn))(const VEC *x, const VEC *p);

#define BLOCK 256

/* What is not dense, and what is left of a run: gathered into dense blocks, padded to whole vectors with zeros. */
__attribute__((noinline)) static void F(strided)(void *const *array, const int64_t *stride, int64_t n,
                                                 const double *param, int inputs, pleat_row_fn row)
{
    static const int64_t dense[PLEAT_MAP_ARRAYS] = { 1, 1, 1, 1 };
    _Alignas(PLEAT_VECTOR_BYTES) REAL block[PLEAT_MAP_ARRAYS][BLOCK];
    void *const at[PLEAT_MAP_ARRAYS] = { block[0], block[1], block[2], block[3] };
    for (int64_t i = 0; i < n; i += BLOCK) {
        const int64_t m = n - i < BLOCK ? n - i : BLOCK, padded = (m + LANES - 1) / LANES * LANES;
        for (int k = 1; k <= inputs; k++) {
            const REAL *x = (const REAL *)array[k] + i * stride[k];
            for (int64_t j = 0; j < m; j++)
                block[k][j] = x[j * stride[k]];
            for (int64_t j = m; j < padded; j++)
                block[k][j] = 0;
        }
        row(at, dense, padded, param);
        REAL *y = (REAL *)array[0] + i * stride[0];
        for (int64_t j = 0; j < m; j++)
            y[j * stride[0]] = block[0][j];
    }
}

/* Whole vectors of dense arrays; repeated, a bit an input and a constant, tells which are one element instead. Returns
 * how many elements it did. */
INLINE int64_t F(dense)(void *const *array, int64_t n, const VEC *p, int inputs, unsigned repeated, F(lanes_fn) f)
{
    VEC x[PLEAT_MAP_ARRAYS - 1];
    for (int k = 0; k < inputs; k++)
        if (repeated >> k & 1)
            x[k] = F(splat)(*(const REAL *)array[k + 1]);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (int k = 0; k < inputs; k++)
            if (!(repeated >> k & 1))
                x[k] = F(load)((const REAL *)array[k + 1] + i);
        F(store)((REAL *)array[0] + i, f(x, p));
    }
    return i;
}

INLINE void F(run)(void *const *array, const int64_t *stride, int64_t n, const double *param, int inputs, F(lanes_fn) f,
                   pleat_row_fn self)
{
    const VEC p[2] = { F(splat)((REAL)param[0]), F(splat)((REAL)param[1]) };
    bool all = stride[0] == 1;
    for (int k = 1; k <= inputs; k++)
        all &= stride[k] == 1;
    int64_t done = 0;
    if (all)
        done = F(dense)(array, n, p, inputs, 0, f);
    else if (inputs == 2 && stride[0] == 1 && stride[1] == 1 && stride[2] == 0)
        done = F(dense)(array, n, p, inputs, 2, f);
    else if (inputs == 2 && stride[0] == 1 && stride[1] == 0 && stride[2] == 1)
        done = F(dense)(array, n, p, inputs, 1, f);
    if (done == n)
        return;
    void *left[PLEAT_MAP_ARRAYS];
    for (int k = 0; k <= inputs; k++)
        left[k] = (REAL *)array[k] + done * stride[k];
    F(strided)(left, stride, n - done, param, inputs, self);
}

#define ROW(name, inputs, expression)                                                                                  \
    INLINE VEC F(name##_lanes)(const VEC *x, const VEC *p)                                                             \
    {                                                                                                                  \
        (void)x;                                                                                                       \
        (void)p;                                                                                                       \
        return expression;                                                                                             \
    }                                                                                                                  \
    static void F(name##_row)(void *const *array, const int64_t *stride, int64_t n, const double *param)               \
    {                                                                                                                  \
        F(run)(array, stride, n, param, inputs, F(name##_lanes), F(name##_row));                                       \
    }

#define ZERO F(splat)(0)

INLINE VEC F(power)(VEC x, VEC exponent)
{
    REAL base[LANES], e[LANES];
    F(store)(base, x);
    F(store)(e, exponent);
    for (int64_t i = 0; i < LANES; i++)
        base[i] = BIT(powf, pow)(base[i], e[i]);
    return F(load)(base);
}

INLINE VEC F(power_half)(VEC x)
{
    const VEC infinity = F(splat)(BIT(__builtin_inff, __builtin_inf)());
    return PICK(x == -infinity, infinity, F(sqrt)(x + 0)); /* -0 + 0 is 0 */
}

ROW(add, 2, x[0] + x[1])
ROW(sub, 2, x[0] - x[1])
ROW(mul, 2, x[0] * x[1])
ROW(div, 2, x[0] / x[1])
ROW(add_scaled, 2, x[0] + p[0] * x[1])
ROW(scale, 1, p[0] * x[0])
ROW(affine, 1, p[0] * x[0] + p[1])
ROW(neg, 1, -x[0])
ROW(exp, 1, F(exp)(x[0]))
ROW(log, 1, F(log)(x[0]))
ROW(sqrt, 1, F(sqrt)(x[0]))
ROW(one, 1, F(splat)(1))
ROW(identity, 1, x[0])
ROW(square, 1, x[0] * x[0])
ROW(cube, 1, x[0] * x[0] * x[0])
ROW(reciprocal, 1, 1 / x[0])
ROW(power_half, 1, F(power_half)(x[0]))
ROW(power_mhalf, 1, 1 / F(power_half)(x[0]))
ROW(power, 1, F(power)(x[0], p[0]))
ROW(clamp, 1, PICK(x[0] < p[0], p[0], PICK(x[0] > p[1], p[1], x[0])))
ROW(clamp_grad, 2, PICK((x[1] >= p[0]) & (x[1] <= p[1]), x[0], ZERO))
ROW(relu, 1, PICK(x[0] < 0, ZERO, x[0]))
ROW(relu_grad, 2, PICK(x[1] <= 0, ZERO, x[0]))
ROW(tanh, 1, F(tanh)(x[0]))
ROW(sigmoid, 1, F(sigmoid)(x[0]))
ROW(erf, 1, F(erf)(x[0]))
ROW(expm1, 1, F(expm1)(x[0]))
ROW(log1p, 1, F(log1p)(x[0]))

#undef ROW
#undef ZERO
