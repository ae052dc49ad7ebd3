/* Comparisons and choices: plain loops, which the compiler vectorises where the strides are 1. */
#include "kernels/compare.h"

#define LOOP(out, value)                                                                                               \
    for (int64_t i = 0; i < n; i++)                                                                                    \
    out = (value)

#define COMPARE(name, T, operator)                                                                                     \
    static void name(void *const *array, const int64_t *stride, int64_t n, const double *param)                        \
    {                                                                                                                  \
        uint8_t *y = array[0];                                                                                         \
        const T *a = array[1], *b = array[2];                                                                          \
        const int64_t sy = stride[0], sa = stride[1], sb = stride[2];                                                  \
        const T first_a = *a, first_b = *b;                                                                            \
        (void)param;                                                                                                   \
        if (sy == 1 && sa == 1 && sb == 1)                                                                             \
            LOOP(y[i], a[i] operator b[i]);                                                                            \
        else if (sy == 1 && sa == 1 && sb == 0)                                                                        \
            LOOP(y[i], a[i] operator first_b);                                                                         \
        else if (sy == 1 && sa == 0 && sb == 1)                                                                        \
            LOOP(y[i], first_a operator b[i]);                                                                         \
        else                                                                                                           \
            LOOP(y[i * sy], a[i * sa] operator b[i * sb]);                                                             \
    }

#define WHERE(name, T)                                                                                                 \
    static void name(void *const *array, const int64_t *stride, int64_t n, const double *param)                        \
    {                                                                                                                  \
        T *y = array[0];                                                                                               \
        const uint8_t *c = array[1];                                                                                   \
        const T *a = array[2], *b = array[3];                                                                          \
        const int64_t sy = stride[0], sc = stride[1], sa = stride[2], sb = stride[3];                                  \
        const T first_a = *a, first_b = *b;                                                                            \
        (void)param;                                                                                                   \
        if (sy == 1 && sc == 1 && sa == 1 && sb == 1)                                                                  \
            LOOP(y[i], c[i] ? a[i] : b[i]);                                                                            \
        else if (sy == 1 && sc == 1 && sa == 1 && sb == 0)                                                             \
            LOOP(y[i], c[i] ? a[i] : first_b);                                                                         \
        else if (sy == 1 && sc == 1 && sa == 0 && sb == 1)                                                             \
            LOOP(y[i], c[i] ? first_a : b[i]);                                                                         \
        else                                                                                                           \
            LOOP(y[i * sy], c[i * sc] ? a[i * sa] : b[i * sb]);                                                        \
    }

#define COMPARES(name, operator)                                                                                       \
    COMPARE(name##_f32, float, operator)                                                                               \
    COMPARE(name##_f64, double, operator)                                                                              \
    COMPARE(name##_i64, int64_t, operator)                                                                             \
    COMPARE(name##_u8, uint8_t, operator)

COMPARES(eq, ==)
COMPARES(ne, !=)
COMPARES(lt, <)
COMPARES(le, <=)
WHERE(where_f32, float)
WHERE(where_f64, double)
WHERE(where_i64, int64_t)
WHERE(where_u8, uint8_t)

#define TABLE(name)                                                                                                    \
    .name = { [PLEAT_F32] = name##_f32, [PLEAT_F64] = name##_f64, [PLEAT_I64] = name##_i64, [PLEAT_U8] = name##_u8 }

const struct pleat_compare_kernels PLEAT_K(compare_kernels) = { TABLE(eq), TABLE(ne), TABLE(lt), TABLE(le),
                                                                TABLE(where) };
