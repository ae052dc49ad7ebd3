/* Matrix products on raw pointers, in parallel: what matmul, linear and the convolutions call. */
#ifndef PLEAT_OPS_GEMM_H
#define PLEAT_OPS_GEMM_H

#include <pleat/base.h>

/* C[b] = A[b] B[b], or C[b] += A[b] B[b]: A is m x k, B is k x n, C is m x n, for every b of a grid of matrices.
 *
 * All strides are in elements and may be anything (negative, or 0 in A and B): a transposed or broadcast operand needs
 * no copy. The elements of C must be distinct, and C must not overlap A or B. A field that is not set is 0: no batch,
 * no bias, no accumulation. */
typedef struct {
    pleat_dtype dtype; /* PLEAT_F32 or PLEAT_F64, of all operands */
    int64_t m, n, k;   /* any may be 0; with k 0 the product is zero and the bias is all there is */
    const void *a, *b;
    void *c;
    int64_t a_row, a_col; /* A[i, p] is at a + i a_row + p a_col */
    int64_t b_row, b_col; /* B[p, j] is at b + p b_row + j b_col */
    int64_t c_row, c_col; /* C[i, j] is at c + i c_row + j c_col; fastest with c_col 1 */
    bool accumulate;      /* C += instead of C = */
    const void *row_bias; /* m elements, contiguous: element i is added to row i. Or NULL */
    const void *col_bias; /* n elements, contiguous: element j is added to column j (a linear layer's bias). Or NULL */
    int batch_dims;       /* the grid of matrices: 0 means one */
    int64_t batch[PLEAT_MAX_DIMS];
    int64_t a_batch[PLEAT_MAX_DIMS], b_batch[PLEAT_MAX_DIMS],
        c_batch[PLEAT_MAX_DIMS]; /* strides; 0 broadcasts A or B */
} pleat_gemm_work;

/* Runs in parallel; the same bits for any number of threads. Fails only with PLEAT_ENOMEM (scratch memory). */
pleat_status pleat_gemm(const pleat_gemm_work *work);

#endif
