/* Resampling for both floating types: resample_body.h. */
#include "kernels/resample.h"

#define PLEAT_FLOAT 32
#include "kernels/simd.h"
/* simd.h's names first */
#include "kernels/resample_body.h"
#undef PLEAT_FLOAT
#define PLEAT_FLOAT 64
#include "kernels/simd.h"
/* simd.h's names first */
#include "kernels/resample_body.h"

static void resample(const pleat_resample_work *work, void *scratch, int64_t begin, int64_t end)
{
    if (work->dtype == PLEAT_F64)
        resample_f64(work, scratch, begin, end);
    else
        resample_f32(work, scratch, begin, end);
}

const struct pleat_resample_kernels PLEAT_K(resample_kernels) = { .resample = resample };
