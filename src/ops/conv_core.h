/* The convolution engine on raw pointers: the bilinear triad that conv2d, conv_transpose2d and conv2d_weight call.
 *
 *   y[n, o, p, q]  = sum over c, i, j of w[o, c, i, j] x[n, c, p SH + i DH - PH, q SW + j DW - PW]      forward
 *   dx[n, c, r, s] = the same terms' sum over o, p, q, i, j of w dy where they read x[n, c, r, s]        by data
 *   dw[o, c, i, j] = the same terms' sum over n, p, q of x dy                                            by weight
 *
 * Outside of the image x is zero. Images x (N, C, H, W), outputs y (N, O, OH, OW) and weights (O, C/groups, KH, KW) are
 * contiguous. conv_transpose2d is by_data: its input is dy, its (C, O/groups, KH, KW) weight is w as it stands (its C
 * is our O), its output is dx, and an output_padding is part of the H and W that are given here. */
#ifndef PLEAT_OPS_CONV_CORE_H
#define PLEAT_OPS_CONV_CORE_H

#include <pleat/base.h>

/* The engine trusts these: no dimension is negative; kernel, stride, dilation and groups are from 1 up; groups divides
 * both c and o; sizes of arrays and (OH-1) SH + (KH-1) DH + PH (likewise in w) fit int64_t. It does not ask that out is
 * what conv2d's formula gives: windows that lie off the image read zeros, and pixels that no window reads get a zero
 * gradient. */
typedef struct {
    pleat_dtype dtype; /* PLEAT_F32 or PLEAT_F64, of all arrays */
    int64_t n, c, o, groups;
    pleat_hw image; /* H, W: of x */
    pleat_hw out;   /* OH, OW: of y */
    pleat_hw kernel, stride, padding, dilation;
    bool relu; /* of the result: forward's and by_data's */
} pleat_conv_shape;

/* All three overwrite their result, run in parallel, give the same bits for any number of threads, and fail only with
 * PLEAT_ENOMEM (scratch memory). */

/* bias (O) or NULL. */
pleat_status pleat_conv_forward(const pleat_conv_shape *shape, const void *x, const void *weight, const void *bias,
                                void *y);
/* bias (C), added to every pixel of dx, or NULL: conv_transpose2d's. */
pleat_status pleat_conv_by_data(const pleat_conv_shape *shape, const void *dy, const void *weight, const void *bias,
                                void *dx);
/* *totals, unless NULL: where those of dy's channels (O) are wanted, the gradient by the bias. It is set to NULL where
 * they were added up on the way. */
pleat_status pleat_conv_by_weight(const pleat_conv_shape *shape, const void *x, const void *dy, void *dw,
                                  void **totals);

#endif
