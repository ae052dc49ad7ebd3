/* One instruction set's table: every family's kernels, gathered. */
#include "kernels/compare.h"
#include "kernels/conv.h"
#include "kernels/copy.h"
#include "kernels/direct.h"
#include "kernels/elementwise.h"
#include "kernels/fft.h"
#include "kernels/gemm.h"
#include "kernels/kernels.h"
#include "kernels/line.h"
#include "kernels/move.h"
#include "kernels/norm.h"
#include "kernels/optim.h"
#include "kernels/pool.h"
#include "kernels/random.h"
#include "kernels/reduce.h"
#include "kernels/resample.h"
#include "kernels/softmax.h"
#include "kernels/window.h"
#include "kernels/winograd.h"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

extern const pleat_kernels PLEAT_K(kernels);
const pleat_kernels PLEAT_K(kernels) = {
    .isa = TEXT(PLEAT_ISA),
    .copy = &PLEAT_K(copy_kernels),
    .optim = &PLEAT_K(optim_kernels),
    .move = &PLEAT_K(move_kernels),
    .line = &PLEAT_K(line_kernels),
    .resample = &PLEAT_K(resample_kernels),
    .random = &PLEAT_K(random_kernels),
    .elementwise = &PLEAT_K(elementwise_kernels),
    .gemm = &PLEAT_K(gemm_kernels),
    .pool = &PLEAT_K(pool_kernels),
    .norm = &PLEAT_K(norm_kernels),
    .compare = &PLEAT_K(compare_kernels),
    .reduce = &PLEAT_K(reduce_kernels),
    .window = &PLEAT_K(window_kernels),
    .conv = &PLEAT_K(conv_kernels),
    .direct = &PLEAT_K(direct_kernels),
    .winograd = &PLEAT_K(winograd_kernels),
    .fft = &PLEAT_K(fft_kernels),
    .softmax = &PLEAT_K(softmax_kernels),
};
