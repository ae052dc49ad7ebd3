/* Convolution's own operands of a product (gemm.h): patches that are packed straight from the image. */
#ifndef PLEAT_KERNELS_CONV_H
#define PLEAT_KERNELS_CONV_H

#include "kernels/gemm.h"

/* Windows of images, and the taps inside each: tap (c, i, j) of window (n, y, x) reads plane c of image n in row
 * y step.h + i tap_step.h + origin.h and column x step.w + j tap_step.w + origin.w, which is zero outside of the image.
 * Steps of taps may be negative, as for a kernel that is turned round. */
typedef struct {
    pleat_hw size, windows, step, origin;
    pleat_hw taps, tap_step;
    int64_t channel, image; /* strides of planes and images, in elements */
} pleat_patches;

struct pleat_conv_kernels {
    /* An operand's source is a pleat_patches, its base the first image. Lanes are windows, counted (n, y, x), and K's
     * steps are taps, counted (c, i, j); or the other way round. Indexed by dtype. */
    pleat_pack_fn pack_windows[PLEAT_F64 + 1], pack_taps[PLEAT_F64 + 1];
};

#ifdef PLEAT_ISA
extern const struct pleat_conv_kernels PLEAT_K(conv_kernels);
#endif

#endif
