/* Which algorithm computes a convolution: a pure function of its sizes. */
#ifndef PLEAT_OPS_CONV_ALGO_H
#define PLEAT_OPS_CONV_ALGO_H

#include "kernels/conv.h"
#include "ops/gemm.h"

typedef enum {
    PLEAT_CONV_GENERAL,   /* a product whose patches are packed from the image: any shape */
    PLEAT_CONV_CHANNELS,  /* direct, vectors of output channels */
    PLEAT_CONV_PIXELS,    /* direct, vectors of pixels */
    PLEAT_CONV_GROUPS,    /* direct, vectors of groups, each of one channel in and one out */
    PLEAT_CONV_WINOGRAD4, /* by tiles of 4 x 4 pixels; fewer products, and six to eight times the rounding error */
    PLEAT_CONV_WINOGRAD2, /* by tiles of 2 x 2 pixels */
    PLEAT_CONV_FFT,       /* by spectra of tiles: large kernels */
} pleat_conv_algo;

/* For products whose b are patches: one, or all phases of a convolution by data, phases.w times phases.h (conv_core.c).
 * Their windows are their columns, or their taps are (by weight). PLEAT_CONV_ALGO=general, channels, pixels, groups,
 * winograd4, winograd2 or fft in the environment (read once) decides it for all shapes that it can do. */
pleat_conv_algo pleat_conv_choose(const pleat_product *product, pleat_hw phases, int64_t groups, bool by_weight);

/* Whether the environment decides it. */
bool pleat_conv_is_forced(void);

/* The products by the algorithm of choice, for every group of the grid. */
pleat_status pleat_conv_run(const pleat_product *product, pleat_hw phases, const pleat_product_grid *groups);

/* Likewise by weight. *totals, unless NULL, is where those of the output gradient's channels are wanted, and is set to
 * NULL where they were added up on the way. */
pleat_status pleat_conv_run_weight(const pleat_product *product, const pleat_product_grid *groups, void **totals);

#endif
