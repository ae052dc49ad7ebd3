/* Unfold and fold, row by row. */
#include "kernels/window.h"

#include "kernels/span.h"

#include <stdbool.h>
#include <string.h>

#define PLEAT_FLOAT 32
#include "kernels/simd.h"
/* simd.h's names first */
#include "kernels/window_body.h"
#undef PLEAT_FLOAT
#define PLEAT_FLOAT 64
#include "kernels/simd.h"
/* simd.h's names first */
#include "kernels/window_body.h"

static void unfold(const pleat_window_work *w, const void *image, void *columns, int64_t begin, int64_t end)
{
    if (w->dtype == PLEAT_F64)
        unfold_f64(w, image, columns, begin, end);
    else
        unfold_f32(w, image, columns, begin, end);
}

static void fold(const pleat_window_work *w, const void *columns, void *image, int64_t begin, int64_t end)
{
    if (w->dtype == PLEAT_F64)
        fold_f64(w, columns, image, begin, end);
    else
        fold_f32(w, columns, image, begin, end);
}

const struct pleat_window_kernels PLEAT_K(window_kernels) = { .unfold = unfold, .fold = fold };
