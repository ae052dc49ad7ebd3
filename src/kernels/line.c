/* Lines: topk for every dtype (line_topk_body.h), and cumulative sums (line_cumsum_body.h: of floats, side by side). */
#include "kernels/line.h"

#include "kernels/vector.h"

#include <string.h>

enum {
    /* Keys that are sorted by comparing each with each, which takes less than by digits. */
    SORTED_FEW = 6 * PLEAT_VECTOR_BYTES,
    SOME = PLEAT_TOPK_SPARE / 2 /* elements that are looked at at once */
};

#define KEY int32_t
#define MOST INT32_MAX
#define T uint8_t
#define FN(name) name##_u8
#include "kernels/line_topk_body.h"
#undef T
#undef FN
#define REAL float
#define T float
#define FN(name) name##_f32
#include "kernels/line_topk_body.h"
#undef T
#undef FN
#undef REAL
#undef KEY
#undef MOST
#define KEY int64_t
#define MOST INT64_MAX
#define T int64_t
#define FN(name) name##_i64
#include "kernels/line_topk_body.h"
#undef T
#undef FN
#define T uint8_t
#define FN(name) name##_long_u8
#include "kernels/line_topk_body.h"
#undef T
#undef FN
#define REAL double
#define T double
#define FN(name) name##_f64
#include "kernels/line_topk_body.h"
#undef T
#undef FN
#define T float
#define FN(name) name##_long_f32
#include "kernels/line_topk_body.h"
#undef T
#undef FN
#undef REAL
#undef KEY
#undef MOST

static void topk(const pleat_topk_work *w, void *scratch, int64_t begin, int64_t end)
{
    const bool narrow = pleat_topk_key(w->dtype, w->length) == sizeof(int32_t);
    switch (w->dtype) {
    case PLEAT_F32:
        (narrow ? topk_f32 : topk_long_f32)(w, scratch, begin, end);
        break;
    case PLEAT_F64:
        topk_f64(w, scratch, begin, end);
        break;
    case PLEAT_I64:
        topk_i64(w, scratch, begin, end);
        break;
    case PLEAT_U8:
        (narrow ? topk_u8 : topk_long_u8)(w, scratch, begin, end);
        break;
    }
}

/* Lines that lie side by side are summed side by side. */
#define CUMSUM(name, T, SUM)                                                                                           \
    static void name(const pleat_cumsum_work *w, int64_t begin, int64_t end)                                           \
    {                                                                                                                  \
        enum { SIDE = 16 };                                                                                            \
        while (begin < end) {                                                                                          \
            const int64_t left = w->inner - begin % w->inner, most = end - begin < SIDE ? end - begin : SIDE;          \
            const int64_t n = left < most ? left : most;                                                               \
            const int64_t first = begin / w->inner * w->length * w->inner + begin % w->inner;                          \
            const T *x = (const T *)w->x + first;                                                                      \
            T *y = (T *)w->y + first;                                                                                  \
            SUM sum[SIDE] = { 0 };                                                                                     \
            for (int64_t i = 0; n == 1 && i < w->length; i++) {                                                        \
                const int64_t at = (w->reverse ? w->length - 1 - i : i) * w->inner;                                    \
                y[at] = (T)(*sum += x[at]);                                                                            \
            }                                                                                                          \
            for (int64_t i = 0; n > 1 && i < w->length; i++) {                                                         \
                const int64_t at = (w->reverse ? w->length - 1 - i : i) * w->inner;                                    \
                for (int64_t k = 0; k < n; k++)                                                                        \
                    y[at + k] = (T)(sum[k] += x[at + k]);                                                              \
            }                                                                                                          \
            begin += n;                                                                                                \
        }                                                                                                              \
    }
CUMSUM(cumsum_any_f32, float, double)
CUMSUM(cumsum_any_f64, double, double)
CUMSUM(cumsum_i64, int64_t, int64_t)

#define PLEAT_FLOAT 32
#include "kernels/simd.h"
/* simd.h's names first */
#include "kernels/line_cumsum_body.h"
#undef PLEAT_FLOAT
#define PLEAT_FLOAT 64
#include "kernels/simd.h"
/* simd.h's names first */
#include "kernels/line_cumsum_body.h"

static void cumsum(const pleat_cumsum_work *w, int64_t begin, int64_t end)
{
    (w->dtype == PLEAT_F32 ? cumsum_f32 : w->dtype == PLEAT_F64 ? cumsum_f64 : cumsum_i64)(w, begin, end);
}

const struct pleat_line_kernels PLEAT_K(line_kernels) = { .topk = topk, .cumsum = cumsum };
