/* Unfold and fold: sliding windows of images as columns of a matrix, and the adjoint that sums them back.
 *
 *   unfold   columns[plane, i, j, y, x] = image[plane, y SH + i DH - PH, x SW + j DW - PW], zero outside the image
 *   fold     image[plane, r, s]         = the sum of the columns' elements that unfold would read from there
 *
 * plane counts images times channels, (i, j) the taps of the kernel, (y, x) the windows. Both arrays are contiguous, so
 * that columns is torch.nn.Unfold's (N, C KH KW, OH OW). Fold gathers: an image row is one thread's, no atomics, and
 * its sums run over (i, j) in a fixed order. */
#ifndef PLEAT_KERNELS_WINDOW_H
#define PLEAT_KERNELS_WINDOW_H

#include "kernels/kernels.h"

/* All products and sums of these sizes must fit int64_t: pleat_window_output_size's checks see to that. */
typedef struct {
    pleat_dtype dtype; /* PLEAT_F32 or PLEAT_F64 */
    int64_t planes;
    pleat_hw image, kernel, stride, padding, dilation; /* strides and dilations from 1 up */
    pleat_hw windows;                                  /* OH, OW */
} pleat_window_work;

struct pleat_window_kernels {
    /* Rows begin to end - 1 of planes KH KW OH rows of OW elements each. */
    void (*unfold)(const pleat_window_work *work, const void *image, void *columns, int64_t begin, int64_t end);
    /* Rows begin to end - 1 of planes H rows of W elements each; overwrites them. */
    void (*fold)(const pleat_window_work *work, const void *columns, void *image, int64_t begin, int64_t end);
};

#ifdef PLEAT_ISA
extern const struct pleat_window_kernels PLEAT_K(window_kernels);
#endif

#endif
