/* The kernel table: serial loops over raw pointers, compiled once per instruction set, chosen once at run time.
 *
 * A kernel works on one chunk: it opens no parallel region, allocates nothing and cannot fail. Each family has a header
 * of its own with a struct of function pointers; its .c file is compiled per instruction set with PLEAT_ISA set to
 * generic, avx2 or avx512 (NEON is aarch64's generic), and exports one const struct, named PLEAT_K(family). table.c
 * gathers them, dispatch.c chooses. */
#ifndef PLEAT_KERNELS_H
#define PLEAT_KERNELS_H

#include <pleat/base.h>

#define PLEAT_K_PASTE(name, isa) pleat_##name##_##isa
#define PLEAT_K_EXPAND(name, isa) PLEAT_K_PASTE(name, isa)
#define PLEAT_K(name) PLEAT_K_EXPAND(name, PLEAT_ISA) /* PLEAT_K(gemm_kernels) is pleat_gemm_kernels_avx2 and so on */

typedef struct {
    const char *isa; /* "generic", "avx2", "avx512" */
    const struct pleat_copy_kernels *copy;
    const struct pleat_optim_kernels *optim;
    const struct pleat_move_kernels *move;
    const struct pleat_line_kernels *line;
    const struct pleat_resample_kernels *resample;
    const struct pleat_random_kernels *random;
    const struct pleat_elementwise_kernels *elementwise;
    const struct pleat_gemm_kernels *gemm;
    const struct pleat_pool_kernels *pool;
    const struct pleat_norm_kernels *norm;
    const struct pleat_compare_kernels *compare;
    const struct pleat_reduce_kernels *reduce;
    const struct pleat_window_kernels *window;
    const struct pleat_conv_kernels *conv;
    const struct pleat_direct_kernels *direct;
    const struct pleat_winograd_kernels *winograd;
    const struct pleat_fft_kernels *fft;
    const struct pleat_softmax_kernels *softmax;
} pleat_kernels;

/* The table for this machine, or the one that PLEAT_ISA names, where the machine can run it. */
const pleat_kernels *pleat_kernels_get(void);

#endif
