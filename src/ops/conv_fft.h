/* Convolutions with large kernels, stride 1 and no dilation by the fast Fourier transform (kernels/fft.h). */
#ifndef PLEAT_OPS_CONV_FFT_H
#define PLEAT_OPS_CONV_FFT_H

#include "kernels/conv.h"
#include "ops/gemm.h"

/* Whether it can be used on a product as pleat_conv_run (conv_algo.h) takes it. */
bool pleat_fft_fits(const pleat_product *product, pleat_hw phases, bool by_weight);

/* What it takes over what a direct convolution takes: below 1 where it saves work. */
double pleat_fft_cost(const pleat_product *product, bool by_weight);

/* For every group. */
pleat_status pleat_conv_fft(const pleat_product *product, const pleat_product_grid *groups);
pleat_status pleat_conv_fft_weight(const pleat_product *product, const pleat_product_grid *groups);

#endif
