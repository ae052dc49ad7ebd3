/* Convolutions with 3 x 3 kernels, of any dilation, and stride 1 by Winograd's minimal filtering (kernels/winograd.h),
 * in float32. */
#ifndef PLEAT_OPS_CONV_WINOGRAD_H
#define PLEAT_OPS_CONV_WINOGRAD_H

#include "kernels/conv.h"
#include "ops/gemm.h"

/* Whether it can be used on a product as pleat_conv_run (conv_algo.h) takes it. */
bool pleat_winograd_fits(const pleat_product *product, pleat_hw phases, bool by_weight);

/* What the products take with tiles of that side, over what they take directly: below 1 where tiles save work. */
double pleat_winograd_cost(const pleat_product *product, bool by_weight, int tile);

/* For every group. Tiles are 4 or 2 a side. totals, unless NULL: of the output gradient's channels. */
pleat_status pleat_conv_winograd(const pleat_product *product, const pleat_product_grid *groups, int tile);
pleat_status pleat_conv_winograd_weight(const pleat_product *product, const pleat_product_grid *groups, int tile,
                                        float *totals);

#endif
