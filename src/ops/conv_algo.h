/* Which algorithm computes a convolution: a pure function of its sizes. */
#ifndef PLEAT_OPS_CONV_ALGO_H
#define PLEAT_OPS_CONV_ALGO_H

#include "kernels/conv.h"
#include "ops/gemm.h"

typedef enum {
    PLEAT_CONV_GENERAL,  /* a product whose patches are packed from the image: any shape */
    PLEAT_CONV_CHANNELS, /* direct, vectors of output channels */
    PLEAT_CONV_PIXELS    /* direct, vectors of pixels */
} pleat_conv_algo;

/* For the product whose b are patches: forward, or a phase of by data. PLEAT_CONV_ALGO=general, channels or pixels in
 * the environment (read once) decides it for all shapes. */
pleat_conv_algo pleat_conv_choose(const pleat_product *product);

/* The product by the algorithm of choice, for every group of the grid. */
pleat_status pleat_conv_run(const pleat_product *product, const pleat_product_grid *groups);

#endif
