/* Single elements of floating data, for what goes over few of them. */
#ifndef PLEAT_OPS_REALS_H
#define PLEAT_OPS_REALS_H

#include <pleat/base.h>

static inline double real_at(const void *data, pleat_dtype dtype, int64_t i)
{
    return dtype == PLEAT_F32 ? (double)((const float *)data)[i] : ((const double *)data)[i];
}

static inline void set_real(void *data, pleat_dtype dtype, int64_t i, double value)
{
    if (dtype == PLEAT_F32)
        ((float *)data)[i] = (float)value;
    else
        ((double *)data)[i] = value;
}

#endif
