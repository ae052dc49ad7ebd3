/* Direct convolutions in parallel (kernels/direct.h). */
#ifndef PLEAT_OPS_CONV_DIRECT_H
#define PLEAT_OPS_CONV_DIRECT_H

#include "kernels/conv.h"
#include "ops/gemm.h"

/* The product whose b are patches (their windows are C's columns, none added to what is there already), for every group
 * of the grid, over output channels or over pixels. */
pleat_status pleat_conv_direct(const pleat_product *product, const pleat_product_grid *groups, bool over_channels);

/* The same of the product of an output gradient and patches whose taps are C's columns. */
pleat_status pleat_conv_direct_weight(const pleat_product *product, const pleat_product_grid *groups,
                                      bool over_channels);

#endif
