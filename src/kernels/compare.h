/* Comparisons and choices, as rows for elementwise.h's map. NaN compares as in C. */
#ifndef PLEAT_KERNELS_COMPARE_H
#define PLEAT_KERNELS_COMPARE_H

#include "kernels/elementwise.h"

struct pleat_compare_kernels {
    /* Array 0, uint8: 1 where array 1 = (not =, <, <=) array 2, else 0. By dtype. */
    pleat_row_fn eq[5], ne[5], lt[5], le[5];
    /* Array 0 is array 2 where array 1, uint8, is not 0, else array 3. By the dtype of 0, 2 and 3. */
    pleat_row_fn where[5];
};

#ifdef PLEAT_ISA
extern const struct pleat_compare_kernels PLEAT_K(compare_kernels);
#endif

#endif
