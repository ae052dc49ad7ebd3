/* Pooling, for both floating types. The loops are in pool_body.h. */
#include "kernels/pool.h"

#include <string.h>

#define PLEAT_FLOAT 32
#include "kernels/pool_body.h"
#undef PLEAT_FLOAT
#define PLEAT_FLOAT 64
#include "kernels/pool_body.h"

static void max(const pleat_max_pool_work *work, int64_t begin, int64_t end)
{
    (work->dtype == PLEAT_F32 ? max_f32 : max_f64)(work, begin, end);
}

static int64_t gather(const pleat_pool_index_work *work, int64_t begin, int64_t end)
{
    return (work->dtype == PLEAT_F32 ? gather_f32 : gather_f64)(work, begin, end);
}

static int64_t scatter(const pleat_pool_index_work *work, int64_t begin, int64_t end)
{
    return (work->dtype == PLEAT_F32 ? scatter_f32 : scatter_f64)(work, begin, end);
}

static void boxes(const pleat_box_work *work, int64_t begin, int64_t end)
{
    (work->dtype == PLEAT_F32 ? boxes_f32 : boxes_f64)(work, begin, end);
}

static void largest(const pleat_box_work *work, int64_t begin, int64_t end)
{
    (work->dtype == PLEAT_F32 ? largest_f32 : largest_f64)(work, begin, end);
}

const struct pleat_pool_kernels PLEAT_K(pool_kernels) = {
    .max = max,
    .gather = gather,
    .scatter = scatter,
    .boxes = boxes,
    .largest = largest,
};
