/* Direct convolutions in parallel (kernels/direct.h). */
#ifndef PLEAT_OPS_CONV_DIRECT_H
#define PLEAT_OPS_CONV_DIRECT_H

#include "kernels/conv.h"
#include "kernels/direct.h"
#include "ops/gemm.h"

/* Products whose b are patches (their windows are C's columns, none added to what is there already), for every group
 * of the grid, over output channels, pixels or, where each has one channel in and one out, groups. All phases of a
 * convolution (conv_core.c) at once, up to PLEAT_DIRECT_PHASES, phases.w times phases.h: products that differ in
 * patches, taps and weights, and whose results make whole images, the first pixel being the first of the first phase's.
 */
pleat_status pleat_conv_direct(const pleat_product *product, pleat_hw phases, const pleat_product_grid *groups,
                               pleat_direct_over over);

/* The same of one product of an output gradient and patches whose taps are C's columns. totals, unless NULL: of the
 * gradient, a row each. */
pleat_status pleat_conv_direct_weight(const pleat_product *product, const pleat_product_grid *groups,
                                      pleat_direct_over over, void *totals);

/* Whether the latter, over pixels, walks down the lines of one channel with all taps of a square at once. */
bool pleat_conv_is_square(const pleat_product *product);

#endif
