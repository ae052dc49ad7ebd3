/* Resampling for both floating types: resample_body.h. */
#include "kernels/resample.h"

#define T float
#define FN(name) name##_f32
#include "kernels/resample_body.h"
#undef T
#undef FN
#define T double
#define FN(name) name##_f64
#include "kernels/resample_body.h"

static void resample(const pleat_resample_work *work, void *scratch, int64_t begin, int64_t end)
{
    if (work->dtype == PLEAT_F64)
        resample_f64(work, scratch, begin, end);
    else
        resample_f32(work, scratch, begin, end);
}

const struct pleat_resample_kernels PLEAT_K(resample_kernels) = { .resample = resample };
