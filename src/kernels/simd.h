/* Vectors of one float type. Included once per type, with PLEAT_FLOAT set to 32 or 64, in front of a body header that
 * is written in these names:
 *
 *   T, V, VL    the element, a vector of the instruction set's width, the number of its elements
 *   FN(name)    name_f32 or name_f64
 *   FN(load), FN(store), FN(load_halves), FN(store_halves), FN(splat), FN(relu), FN(copy_row), FN(load_few),
 *               FN(store_few), FN(total), FN(transpose), FN(load_turned), FN(add_up), FN(totals)
 *
 * Plain GCC vector extensions, which Clang shares. */
#ifndef PLEAT_KERNELS_SIMD_H
#define PLEAT_KERNELS_SIMD_H

#include "kernels/vector.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Only a typedef's aligned() lowers the alignment: in a cast GCC drops it, and the load traps. */
typedef float pleat_v32 __attribute__((vector_size(PLEAT_VECTOR_BYTES)));
typedef float pleat_v32_anywhere __attribute__((vector_size(PLEAT_VECTOR_BYTES), aligned(4), may_alias));
typedef double pleat_v64 __attribute__((vector_size(PLEAT_VECTOR_BYTES)));
typedef double pleat_v64_anywhere __attribute__((vector_size(PLEAT_VECTOR_BYTES), aligned(8), may_alias));

PLEAT_INLINE int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The elements of a and b in turn, from the front (LOW) or the back half (HIGH). */
#define PLEAT_LOW_2(a, b) __builtin_shufflevector(a, b, 0, 2)
#define PLEAT_HIGH_2(a, b) __builtin_shufflevector(a, b, 1, 3)
#define PLEAT_LOW_4(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define PLEAT_HIGH_4(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define PLEAT_LOW_8(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define PLEAT_HIGH_8(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#define PLEAT_LOW_16(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define PLEAT_HIGH_16(a, b) __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)

/* The same within each lane of 128 bits, of floats (32) and of doubles (64). And every other lane of a, and of b behind
 * it. */
#if PLEAT_VECTOR_BYTES == 64
#define PLEAT_LANES_LOW_32(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define PLEAT_LANES_HIGH_32(a, b)                                                                                      \
    __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define PLEAT_LANES_LOW_64(a, b) __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14)
#define PLEAT_LANES_HIGH_64(a, b) __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15)
#define PLEAT_LANES_EVEN(a, b) __builtin_shufflevector(a, b, 0, 1, 4, 5, 8, 9, 12, 13)
#define PLEAT_LANES_ODD(a, b) __builtin_shufflevector(a, b, 2, 3, 6, 7, 10, 11, 14, 15)
#elif PLEAT_VECTOR_BYTES == 32
#define PLEAT_LANES_LOW_32(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define PLEAT_LANES_HIGH_32(a, b) __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define PLEAT_LANES_LOW_64(a, b) __builtin_shufflevector(a, b, 0, 4, 2, 6)
#define PLEAT_LANES_HIGH_64(a, b) __builtin_shufflevector(a, b, 1, 5, 3, 7)
#define PLEAT_LANES_EVEN(a, b) __builtin_shufflevector(a, b, 0, 1, 4, 5)
#define PLEAT_LANES_ODD(a, b) __builtin_shufflevector(a, b, 2, 3, 6, 7)
#else /* one lane */
#define PLEAT_LANES_LOW_32 PLEAT_LOW_4
#define PLEAT_LANES_HIGH_32 PLEAT_HIGH_4
#define PLEAT_LANES_LOW_64 PLEAT_LOW_2
#define PLEAT_LANES_HIGH_64 PLEAT_HIGH_2
#define PLEAT_LANES_EVEN(a, b) a
#define PLEAT_LANES_ODD(a, b) b
#endif

/* The halves of a vector of twice the width in doubles, and one made of two. */
#if PLEAT_VECTOR_BYTES == 64
#define PLEAT_FRONT(wide) __builtin_shufflevector(wide, wide, 0, 1, 2, 3, 4, 5, 6, 7)
#define PLEAT_BACK(wide) __builtin_shufflevector(wide, wide, 8, 9, 10, 11, 12, 13, 14, 15)
#define PLEAT_JOIN(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#elif PLEAT_VECTOR_BYTES == 32
#define PLEAT_FRONT(wide) __builtin_shufflevector(wide, wide, 0, 1, 2, 3)
#define PLEAT_BACK(wide) __builtin_shufflevector(wide, wide, 4, 5, 6, 7)
#define PLEAT_JOIN(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7)
#else
#define PLEAT_FRONT(wide) __builtin_shufflevector(wide, wide, 0, 1)
#define PLEAT_BACK(wide) __builtin_shufflevector(wide, wide, 2, 3)
#define PLEAT_JOIN(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3)
#endif

/* Half a vector, wherever it lies; the halves of one of doubles, and one made of two. */
typedef double pleat_half __attribute__((vector_size(PLEAT_VECTOR_BYTES / 2)));
typedef double pleat_half_anywhere __attribute__((vector_size(PLEAT_VECTOR_BYTES / 2), aligned(4), may_alias));
#if PLEAT_VECTOR_BYTES == 64
#define PLEAT_FRONT_HALF(v) __builtin_shufflevector(v, v, 0, 1, 2, 3)
#define PLEAT_BACK_HALF(v) __builtin_shufflevector(v, v, 4, 5, 6, 7)
#define PLEAT_HALVES(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7)
#elif PLEAT_VECTOR_BYTES == 32
#define PLEAT_FRONT_HALF(v) __builtin_shufflevector(v, v, 0, 1)
#define PLEAT_BACK_HALF(v) __builtin_shufflevector(v, v, 2, 3)
#define PLEAT_HALVES(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3)
#else
#define PLEAT_FRONT_HALF(v) __builtin_shufflevector(v, v, 0)
#define PLEAT_BACK_HALF(v) __builtin_shufflevector(v, v, 1)
#define PLEAT_HALVES(a, b) __builtin_shufflevector(a, b, 0, 1)
#endif

/* Every other element of a, and of b behind it. */
#define PLEAT_EVEN_2(a, b) __builtin_shufflevector(a, b, 0, 2)
#define PLEAT_EVEN_4(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6)
#define PLEAT_EVEN_16(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
/* And the others. */
#define PLEAT_ODD_2(a, b) __builtin_shufflevector(a, b, 1, 3)
#define PLEAT_ODD_4(a, b) __builtin_shufflevector(a, b, 1, 3, 5, 7)
#define PLEAT_ODD_16(a, b) __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)

#if PLEAT_VECTOR_BYTES == 32
/* By whole lanes and then within them: other shuffles across lanes take longer, and a register that says how. */
#define PLEAT_EVEN_8(a, b)                                                                                             \
    __builtin_shufflevector(pleat_front_lanes(a, b), pleat_back_lanes(a, b), 0, 2, 8, 10, 4, 6, 12, 14)
#define PLEAT_ODD_8(a, b)                                                                                              \
    __builtin_shufflevector(pleat_front_lanes(a, b), pleat_back_lanes(a, b), 1, 3, 9, 11, 5, 7, 13, 15)

PLEAT_INLINE pleat_v32 pleat_front_lanes(pleat_v32 a, pleat_v32 b)
{
    return (pleat_v32)PLEAT_LANES_EVEN((pleat_v64)a, (pleat_v64)b);
}

PLEAT_INLINE pleat_v32 pleat_back_lanes(pleat_v32 a, pleat_v32 b)
{
    return (pleat_v32)PLEAT_LANES_ODD((pleat_v64)a, (pleat_v64)b);
}
#else
#define PLEAT_EVEN_8(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14)
#define PLEAT_ODD_8(a, b) __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15)
#endif

/* Every third element of a, b and c, one behind the other. */
#define PLEAT_THIRD_2(a, b, c) ((void)(c), __builtin_shufflevector(a, b, 0, 3))
#define PLEAT_THIRD_4(a, b, c) __builtin_shufflevector(__builtin_shufflevector(a, b, 0, 3, 6, 0), c, 0, 1, 2, 5)
#define PLEAT_THIRD_8(a, b, c)                                                                                         \
    __builtin_shufflevector(__builtin_shufflevector(a, b, 0, 3, 6, 9, 12, 15, 0, 0), c, 0, 1, 2, 3, 4, 5, 10, 13)
#define PLEAT_THIRD_16(a, b, c)                                                                                        \
    __builtin_shufflevector(__builtin_shufflevector(a, b, 0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 0, 0, 0, 0, 0), c,   \
                            0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 17, 20, 23, 26, 29)

/* Shifted by one element, and one of the other vector. */
#define PLEAT_SHIFT_IN_2(other, a) __builtin_shufflevector(other, a, 1, 2)
#define PLEAT_SHIFT_OUT_2(a, other) __builtin_shufflevector(a, other, 1, 2)
#define PLEAT_SHIFT_IN_4(other, a) __builtin_shufflevector(other, a, 3, 4, 5, 6)
#define PLEAT_SHIFT_OUT_4(a, other) __builtin_shufflevector(a, other, 1, 2, 3, 4)
#define PLEAT_SHIFT_IN_8(other, a) __builtin_shufflevector(other, a, 7, 8, 9, 10, 11, 12, 13, 14)
#define PLEAT_SHIFT_OUT_8(a, other) __builtin_shufflevector(a, other, 1, 2, 3, 4, 5, 6, 7, 8)
#define PLEAT_SHIFT_IN_16(other, a)                                                                                    \
    __builtin_shufflevector(other, a, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30)
#define PLEAT_SHIFT_OUT_16(a, other)                                                                                   \
    __builtin_shufflevector(a, other, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)

#endif

#undef T
#undef V
#undef VL
#undef FN
#undef PLEAT_ANYWHERE
#undef PLEAT_LOW
#undef PLEAT_HIGH
#undef PLEAT_LANE
#undef PLEAT_LANES_LOW
#undef PLEAT_LANES_HIGH
#undef PLEAT_EVEN
#undef PLEAT_ODD
#undef PLEAT_THIRD
#undef PLEAT_SHIFT_IN
#undef PLEAT_SHIFT_OUT
#if PLEAT_FLOAT == 32
#define T float
#define V pleat_v32
#define VL (PLEAT_VECTOR_BYTES / 4)
#define FN(name) name##_f32
#define PLEAT_ANYWHERE pleat_v32_anywhere
#define PLEAT_LANE 4
#define PLEAT_LANES_LOW PLEAT_LANES_LOW_32
#define PLEAT_LANES_HIGH PLEAT_LANES_HIGH_32
#else
#define T double
#define V pleat_v64
#define VL (PLEAT_VECTOR_BYTES / 8)
#define FN(name) name##_f64
#define PLEAT_ANYWHERE pleat_v64_anywhere
#define PLEAT_LANE 2
#define PLEAT_LANES_LOW PLEAT_LANES_LOW_64
#define PLEAT_LANES_HIGH PLEAT_LANES_HIGH_64
#endif
#if PLEAT_VECTOR_BYTES * 8 / PLEAT_FLOAT == 16
#define PLEAT_LOW PLEAT_LOW_16
#define PLEAT_HIGH PLEAT_HIGH_16
#define PLEAT_EVEN PLEAT_EVEN_16
#define PLEAT_ODD PLEAT_ODD_16
#define PLEAT_THIRD PLEAT_THIRD_16
#define PLEAT_SHIFT_IN PLEAT_SHIFT_IN_16
#define PLEAT_SHIFT_OUT PLEAT_SHIFT_OUT_16
#elif PLEAT_VECTOR_BYTES * 8 / PLEAT_FLOAT == 8
#define PLEAT_LOW PLEAT_LOW_8
#define PLEAT_HIGH PLEAT_HIGH_8
#define PLEAT_EVEN PLEAT_EVEN_8
#define PLEAT_ODD PLEAT_ODD_8
#define PLEAT_THIRD PLEAT_THIRD_8
#define PLEAT_SHIFT_IN PLEAT_SHIFT_IN_8
#define PLEAT_SHIFT_OUT PLEAT_SHIFT_OUT_8
#elif PLEAT_VECTOR_BYTES * 8 / PLEAT_FLOAT == 4
#define PLEAT_LOW PLEAT_LOW_4
#define PLEAT_HIGH PLEAT_HIGH_4
#define PLEAT_EVEN PLEAT_EVEN_4
#define PLEAT_ODD PLEAT_ODD_4
#define PLEAT_THIRD PLEAT_THIRD_4
#define PLEAT_SHIFT_IN PLEAT_SHIFT_IN_4
#define PLEAT_SHIFT_OUT PLEAT_SHIFT_OUT_4
#else
#define PLEAT_LOW PLEAT_LOW_2
#define PLEAT_HIGH PLEAT_HIGH_2
#define PLEAT_EVEN PLEAT_EVEN_2
#define PLEAT_ODD PLEAT_ODD_2
#define PLEAT_THIRD PLEAT_THIRD_2
#define PLEAT_SHIFT_IN PLEAT_SHIFT_IN_2
#define PLEAT_SHIFT_OUT PLEAT_SHIFT_OUT_2
#endif

PLEAT_INLINE V FN(load)(const T *from)
{
    return *(const PLEAT_ANYWHERE *)from;
}

PLEAT_INLINE void FN(store)(T *to, V v)
{
    *(PLEAT_ANYWHERE *)to = v;
}

/* A vector whose halves lie apart. */
PLEAT_INLINE V FN(load_halves)(const T *front, const T *back)
{
    const pleat_half a = *(const pleat_half_anywhere *)front, b = *(const pleat_half_anywhere *)back;
    return (V)PLEAT_HALVES(a, b);
}

PLEAT_INLINE void FN(store_halves)(T *front, T *back, V v)
{
    *(pleat_half_anywhere *)front = PLEAT_FRONT_HALF((pleat_v64)v);
    *(pleat_half_anywhere *)back = PLEAT_BACK_HALF((pleat_v64)v);
}

/* An element in every lane. Minus: x + 0 is an addition to the compiler, for -0 + 0 is 0. */
PLEAT_INLINE V FN(splat)(T x)
{
    return x - (V){ 0 };
}

/* 0 for what is below it, and what was there else, NaN too. */
PLEAT_INLINE V FN(relu)(V v)
{
    const __typeof__(v < v) below = v < 0;
    return (V)(~below & (__typeof__(below))v);
}

/* The first and the last `part` of n elements, which may overlap; not if there are fewer, or none in a part. */
PLEAT_INLINE bool FN(copy_ends)(T *to, const T *from, size_t n, size_t part)
{
    if (!part || n < part)
        return false;
    memcpy(to, from, part * sizeof(T));
    memcpy(to + n - part, from + n - part, part * sizeof(T));
    return true;
}

/* n elements that are step apart, one after another. Rows of images are short: whole vectors, or parts of one, the last
 * of which may overlap the one before, beat a call of memcpy. */
PLEAT_INLINE void FN(copy_row)(T *to, const T *from, int64_t step, int64_t n)
{
    if (step != 1) {
        for (int64_t i = 0; i < n; i++)
            to[i] = from[i * step];
        return;
    }
    if (n >= VL) {
        for (int64_t i = 0; i < n - VL; i += VL)
            FN(store)(to + i, FN(load)(from + i));
        FN(store)(to + n - VL, FN(load)(from + n - VL));
        return;
    }
    const size_t few = (size_t)n;
    (void)(FN(copy_ends)(to, from, few, VL / 2) || FN(copy_ends)(to, from, few, VL / 4) ||
           FN(copy_ends)(to, from, few, VL / 8) || FN(copy_ends)(to, from, few, 1));
}

/* A vector of n elements, at most VL, where a whole one would lie beyond an array; zeros behind them. */
static __attribute__((noinline, unused)) V FN(load_few)(const T *x, int64_t n)
{
    T few[VL] = { 0 };
    FN(copy_row)(few, x, 1, n);
    return FN(load)(few);
}

static __attribute__((noinline, unused)) void FN(store_few)(T *y, V v, int64_t n)
{
    T few[VL];
    FN(store)(few, v);
    FN(copy_row)(y, few, 1, n);
}

/* The sum of the elements, in an order that is fixed: halves are added until one is left. */
PLEAT_INLINE T FN(total)(V v)
{
    T e[VL];
    FN(store)(e, v);
    for (int half = VL / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            e[i] += e[i + half];
    return e[0];
}

/* Turns the VL x VL block of rows r. Each pass takes pairs of rows apart and swaps one bit of the rows' numbers with
 * one of the columns': of the lanes first, then within them. A shuffle that crosses lanes otherwise would take a
 * register that says how. */
PLEAT_INLINE void FN(transpose)(V r[VL])
{
    PLEAT_UNROLL(4)
    for (int apart = PLEAT_LANE; apart < VL; apart *= 2) {
        PLEAT_UNROLL(16)
        for (int k = 0; k < VL / 2; k++) {
            const int i = k + k / apart * apart, j = i + apart;
            const pleat_v64 a = (pleat_v64)r[i], b = (pleat_v64)r[j];
            r[i] = (V)PLEAT_LANES_EVEN(a, b);
            r[j] = (V)PLEAT_LANES_ODD(a, b);
        }
    }
    PLEAT_UNROLL(4)
    for (int apart = PLEAT_LANE / 2; apart > 0; apart /= 2) {
        PLEAT_UNROLL(16)
        for (int k = 0; k < VL / 2; k++) {
            const int i = k + k / apart * apart, j = i + apart;
            const V a = r[i], b = r[j];
            r[i] = PLEAT_LANES_LOW(a, b);
            r[j] = PLEAT_LANES_HIGH(a, b);
        }
    }
}

/* The same of `count` rows in memory, `apart` elements from one to the next; those that are missing are zeros. */
PLEAT_INLINE void FN(load_turned)(V r[VL], const T *from, int64_t apart, int64_t count)
{
    PLEAT_UNROLL(16)
    for (int64_t n = 0; n < VL; n++)
        r[n] = n < count ? FN(load)(from + n * apart) : (V){ 0 };
    FN(transpose)(r);
}

/* r[0] + r[1] + ..., by halves; the block is used up. */
PLEAT_INLINE V FN(add_up)(V r[VL])
{
    PLEAT_UNROLL(4)
    for (int half = VL / 2; half > 0; half /= 2) {
        PLEAT_UNROLL(8)
        for (int n = 0; n < half; n++)
            r[n] += r[n + half];
    }
    return r[0];
}

/* The totals of r[0], r[1], ... in turn; the block is used up. Turned, it is added up side by side. */
PLEAT_INLINE V FN(totals)(V r[VL])
{
    FN(transpose)(r);
    return FN(add_up)(r);
}
