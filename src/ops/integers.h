/* Small sums about sizes, for what cuts work into chunks. */
#ifndef PLEAT_OPS_INTEGERS_H
#define PLEAT_OPS_INTEGERS_H

#include <pleat/base.h>

static inline int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline int64_t ceil_div(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

/* Bytes of an element of a floating dtype. */
static inline int64_t size_of(pleat_dtype dtype)
{
    return dtype == PLEAT_F64 ? 8 : 4;
}

#endif
