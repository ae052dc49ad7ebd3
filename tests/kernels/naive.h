/* For the tests of kernels: arrays of small integers, so that every sum is exact in either dtype and results must be
 * equal to a naive loop's, whatever the order. */
#ifndef TESTS_KERNELS_NAIVE_H
#define TESTS_KERNELS_NAIVE_H

#include <pleat/base.h>

#include "support/run.h"

#include <stdlib.h>
#include <string.h>

static uint64_t random_state = 1;

static inline int64_t random_below(int64_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)(random_state >> 33) % n;
}

static inline double get(pleat_dtype dtype, const void *array, int64_t i)
{
    return dtype == PLEAT_F32 ? (double)((const float *)array)[i] : ((const double *)array)[i];
}

static inline void set(pleat_dtype dtype, void *array, int64_t i, double value)
{
    if (dtype == PLEAT_F32)
        ((float *)array)[i] = (float)value;
    else
        ((double *)array)[i] = value;
}

/* n integers from -4 to 4. */
static inline void *fresh(pleat_dtype dtype, int64_t n)
{
    void *array = malloc((size_t)n * pleat_dtype_size(dtype) + 1);
    for (int64_t i = 0; i < n; i++)
        set(dtype, array, i, (double)(random_below(9) - 4));
    return array;
}

static inline double dot(pleat_dtype dtype, const void *a, const void *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += get(dtype, a, i) * get(dtype, b, i);
    return sum;
}

#endif
