/* Patches of images, packed for products. */
#include "kernels/conv.h"

#include "kernels/span.h"

#include <string.h>

#define PLEAT_FLOAT 32
#include "kernels/simd.h"
/* simd.h's names first */
#include "kernels/conv_body.h"
#undef PLEAT_FLOAT
#define PLEAT_FLOAT 64
#include "kernels/simd.h"
/* simd.h's names first */
#include "kernels/conv_body.h"

const struct pleat_conv_kernels PLEAT_K(conv_kernels) = {
    .pack_windows = { [PLEAT_F32] = pack_windows_f32, [PLEAT_F64] = pack_windows_f64 },
    .pack_taps = { [PLEAT_F32] = pack_taps_f32, [PLEAT_F64] = pack_taps_f64 },
};
