/* The parameters of the op group_norm, which layer, group and instance norm are. */
#ifndef PLEAT_OPS_GROUP_NORM_H
#define PLEAT_OPS_GROUP_NORM_H

#include <stdint.h>

typedef struct {
    double eps;
    int64_t groups; /* divide the channels of x */
} pleat_group_norm_params;

#endif
