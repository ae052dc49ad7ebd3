/* Matrix products of one chunk: packed panels, cache blocking, one micro-kernel.
 *
 * An operand is not an array but something that can be packed: a panel holds `width` lanes (rows of A, columns of B) of
 * `depth` steps of K, as panel[step][lane]. What lies behind is the operand's own business: strided matrices here,
 * patches of images in conv.h, so that a convolution is this product and never builds its patch matrix.
 *
 *           K                 n                        a chunk: for each block of K
 *      .---------.       .---------.                     for each panel of A:
 *    m |  A      |   K   |  B      |                       pack it (it stays in L1)
 *      |=panel===|       |  | p |  |                       for each panel of B:
 *      '---------'       |  | a |  |                         pack it, the first time (they stay in L2)
 *                        |  | n |  |                         multiply, one tile of C in registers
 *
 * An operand whose rows are adjacent and spread over the cache is not packed: rows may be any distance apart. Of a
 * B whose rows only are adjacent the first tiles store what they load, which is its panels. What several chunks would
 * pack may be packed before. The panels' missing lanes at the edges are zeros. Each element of C
 * is the sum over blocks of PLEAT_GEMM_DEPTH bytes of K (evened out), each summed front to back: an order that K alone
 * fixes.
 */
#ifndef PLEAT_KERNELS_GEMM_H
#define PLEAT_KERNELS_GEMM_H

#include "kernels/kernels.h"

#define PLEAT_GEMM_DEPTH 2304 /* bytes of K that are packed at once, at most: a panel of A stays within an L1 cache */

/* The steps of a block of K, whose elements are of that size; the last may have fewer. */
static inline int64_t pleat_gemm_depth(int64_t k, int64_t size)
{
    const int64_t limit = PLEAT_GEMM_DEPTH / size, blocks = (k + limit - 1) / limit;
    return blocks ? (k + blocks - 1) / blocks : 0;
}

typedef struct pleat_operand pleat_operand;

/* Fills panel[step * width + lane] with lanes first .. first + lanes - 1 (lanes <= width, the rest zeros) and steps
 * k .. k + depth - 1. May write up to 64 bytes behind the panel. */
typedef void (*pleat_pack_fn)(const pleat_operand *operand, int64_t first, int64_t lanes, int64_t k, int64_t depth,
                              int64_t width, void *panel);

/* Matrices: the element of lane l and step k is at base + l lane + (k's three digits) . step, where the digits are k /
 * (size[0] size[1]), k / size[1] % size[0], k % size[1]: steps along up to three dimensions of an array. */
struct pleat_operand {
    pleat_pack_fn pack;
    const void *base;
    int64_t lane, step[3], size[2]; /* of matrices */
    const void *source;             /* of other operands */
    enum {
        PLEAT_UNPACKED, /* panels are packed when they are needed */
        PLEAT_IN_PLACE, /* a matrix (one digit) that is multiplied where it lies; of A step[2] is 1, of B lane */
        PLEAT_COPIED,   /* such a B that a chunk's first tiles read where it lies and pack for the others */
        PLEAT_PACKED    /* base holds the panels, of all steps; lane elements on lies the next */
    } state;
};

/* Where columns of C lie: column j is at (j / (height width)) image + (j / width % height) line + (j % width) column.
 */
typedef struct {
    void *base;
    int64_t row, column, line, image; /* strides, in elements */
    int64_t width, height;
    bool far; /* larger than a cache: lines are asked for before they are written */
} pleat_target;

typedef struct {
    pleat_dtype dtype;
    int64_t m, n, k;
    pleat_operand a, b;
    pleat_target c;
    bool accumulate;                 /* C += instead of C = */
    const void *row_bias, *col_bias; /* m and n elements, or NULL */
    bool relu;                       /* of what is then C */
} pleat_product;

/* What pleat_gemm (ops/gemm.h) takes: C[b] = A[b] B[b], or C[b] += A[b] B[b], for every b of a grid of matrices, where
 * A is m x k, B is k x n, C is m x n.
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
    bool relu;            /* of what is then C */
    int batch_dims;       /* the grid of matrices: 0 means one */
    int64_t batch[PLEAT_MAX_DIMS];
    int64_t a_batch[PLEAT_MAX_DIMS], b_batch[PLEAT_MAX_DIMS],
        c_batch[PLEAT_MAX_DIMS]; /* strides; 0 broadcasts A or B */
} pleat_gemm_work;

struct pleat_gemm_kernels {
    /* The micro-kernel's tile, indexed by dtype: chunks are best multiples of it. */
    int64_t tile_m[PLEAT_F64 + 1], tile_n[PLEAT_F64 + 1];
    pleat_pack_fn pack_matrix[PLEAT_F64 + 1];
    /* Packs lanes first .. end - 1, in panels of that width, panel bytes apart, of elements of that size. */
    void (*pack)(const pleat_operand *operand, int64_t first, int64_t end, int64_t k, int64_t depth, int64_t width,
                 void *panels, int64_t panel, int64_t size);
    /* Bytes of 64-byte aligned scratch memory that a chunk of n columns and k steps needs. */
    int64_t (*scratch)(pleat_dtype dtype, int64_t n, int64_t k);
    /* The tile of rows i to i_end - 1, columns j to j_end - 1, summed over k to k_end - 1. */
    void (*block)(const pleat_product *product, int64_t i, int64_t i_end, int64_t j, int64_t j_end, int64_t k,
                  int64_t k_end, void *scratch);
    /* C's rows i to i_end - 1, from partial sums: `slices` matrices of m x n, one after another, added up in order. */
    void (*add_slices)(const pleat_product *product, const void *partial, int64_t slices, int64_t i, int64_t i_end);
    /* The first matrix of work, straight from where its operands lie: for what is not worth packing, few rows above
     * all. Swift where B's columns or (A's and B's steps of K) are adjacent. */
    void (*direct)(const pleat_gemm_work *work);
};

#ifdef PLEAT_ISA
extern const struct pleat_gemm_kernels PLEAT_K(gemm_kernels);
#endif

#endif
