/* Matrix products on raw pointers, in parallel: what matmul, linear and the convolutions call. */
#ifndef PLEAT_OPS_GEMM_H
#define PLEAT_OPS_GEMM_H

#include "kernels/gemm.h" /* pleat_gemm_work */

/* Runs in parallel; the same bits for any number of threads. Fails only with PLEAT_ENOMEM (scratch memory). */
pleat_status pleat_gemm(const pleat_gemm_work *work);

/* A grid of products of one shape, whose operands may be packed by functions of their own. The place of a product in
 * the grid moves its operands, its target and its row bias by these strides, in elements. */
typedef struct {
    int dims; /* 0 means one product */
    int64_t size[PLEAT_MAX_DIMS];
    int64_t a[PLEAT_MAX_DIMS], b[PLEAT_MAX_DIMS], c[PLEAT_MAX_DIMS], row_bias[PLEAT_MAX_DIMS];
} pleat_product_grid;

pleat_status pleat_products(const pleat_product *product, const pleat_product_grid *grid);

#endif
