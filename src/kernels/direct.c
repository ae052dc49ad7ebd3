/* Direct convolutions, over output channels and over pixels. */
#include "kernels/direct.h"

#include "kernels/span.h"

#include <string.h>

/* Sums that the registers hold: pixels of a strip with one and with two vectors; vectors of pixels with up to two,
 * three, four and six output channels; by weight, taps with two vectors of channels, and with one, two, three, four and
 * six channels; columns of 5 taps. */
#if defined PLEAT_ISA_avx512 || defined __aarch64__
#define STRIP_1 16
#define STRIP_2 14
#define SLOTS_1 8
#define SLOTS_3 8
#define SLOTS_4 6
#define SLOTS_6 4
#define COLUMN 16
#define WALK_TAPS 10
#define DOTS_1 9
#define DOTS_2 9
#define DOTS_3 6
#define DOTS_4 5
#define DOTS_6 4
#define SQUARE_5 5
#elif defined PLEAT_ISA_avx2
#define STRIP_1 12
#define STRIP_2 6
#define SLOTS_1 4
#define SLOTS_3 4
#define SLOTS_4 3
#define SLOTS_6 2
#define COLUMN 8
#define WALK_TAPS 5
#define DOTS_1 8
#define DOTS_2 4
#define DOTS_3 3
#define DOTS_4 2
#define DOTS_6 1
#define SQUARE_5 2
#else
#define STRIP_1 8
#define STRIP_2 4
#define SLOTS_1 4
#define SLOTS_3 3
#define SLOTS_4 2
#define SLOTS_6 1
#define COLUMN 8
#define WALK_TAPS 4
#define DOTS_1 8
#define DOTS_2 4
#define DOTS_3 3
#define DOTS_4 2
#define DOTS_6 1
#define SQUARE_5 2
#endif
#define IN_FLIGHT 8 /* multiply-adds under way at once: two a cycle, of four cycles each */
#define WALK_BYTES (16 << 10)
#define TURN_BYTES (8 << 10)
#define PANEL_BYTES (256 * PLEAT_VECTOR_BYTES) /* of weights at a time, about: they stay in L1 with their pixels */

/* Calls fn with constants for whether a vector is the first and the final one of a row: each case has its code. */
#define AT_EDGES(fn, first, final, ...)                                                                                \
    do {                                                                                                               \
        const bool is_final = (final);                                                                                 \
        if (first)                                                                                                     \
            is_final ? fn(true, true, __VA_ARGS__) : fn(true, false, __VA_ARGS__);                                     \
        else                                                                                                           \
            is_final ? fn(false, true, __VA_ARGS__) : fn(false, false, __VA_ARGS__);                                   \
    } while (0)

#define PLEAT_FLOAT 32
#include "kernels/simd.h"
/* simd.h's names first */
#include "kernels/depthwise_body.h"
#include "kernels/direct_body.h"
#include "kernels/groups_body.h"
#include "kernels/pixels_body.h"
#undef PLEAT_FLOAT
#define PLEAT_FLOAT 64
#include "kernels/simd.h"
/* simd.h's names first */
#include "kernels/depthwise_body.h"
#include "kernels/direct_body.h"
#include "kernels/groups_body.h"
#include "kernels/pixels_body.h"

static int64_t align(int64_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* The copy: the vectors of the pixel kernel run over its end. */
static int64_t copy_bytes(const pleat_direct_work *w)
{
    const int64_t size = w->dtype == PLEAT_F64 ? 8 : 4;
    return w->in_place ? 0 : align((w->channels * w->plane + w->shift) * size + 2 * PLEAT_VECTOR_BYTES);
}

static int64_t scratch(const pleat_direct_work *w)
{
    const int64_t size = w->dtype == PLEAT_F64 ? 8 : 4, line = w->patches->windows.w;
    const int64_t pitch = w->over == PLEAT_OVER_GROUPS ? w->part : w->pitch;
    const int64_t pixels = w->lines * ((line > pitch ? line : pitch) + PLEAT_VECTOR_BYTES / size);
    return copy_bytes(w) + align(w->phases.h * w->phases.w * w->width * (pixels * size + 2 * PLEAT_VECTOR_BYTES)) +
           2 * PLEAT_VECTOR_BYTES;
}

/* A chunk by the kernel of the float type: what it copies and what it sums up or turns have their parts of the scratch
 * memory. */
#define RUN(over)                                                                                                      \
    static void over(const pleat_direct_work *w, const void *image, int64_t n, int64_t y, int64_t y_end, int64_t o,    \
                     int64_t o_end, void *scratch_memory)                                                              \
    {                                                                                                                  \
        void *copy = (char *)scratch_memory + w->shift * (w->dtype == PLEAT_F64 ? 8 : 4);                              \
        void *sums = (char *)scratch_memory + copy_bytes(w);                                                           \
        if (w->dtype == PLEAT_F64)                                                                                     \
            over##_f64(w, image, n, y, y_end, o, o_end, copy, sums);                                                   \
        else                                                                                                           \
            over##_f32(w, image, n, y, y_end, o, o_end, copy, sums);                                                   \
    }
RUN(channels)
RUN(pixels)
RUN(groups)
#undef RUN

#define WEIGHT(over)                                                                                                   \
    static void weight_##over(const pleat_direct_work *w, const void *image, int64_t n, int64_t y, int64_t y_end,      \
                              int64_t o, int64_t o_end, bool add, void *sums, void *scratch_memory)                    \
    {                                                                                                                  \
        void *copy = (char *)scratch_memory + w->shift * (w->dtype == PLEAT_F64 ? 8 : 4);                              \
        void *gradient = (char *)scratch_memory + copy_bytes(w);                                                       \
        if (w->dtype == PLEAT_F64)                                                                                     \
            weight_##over##_f64(w, image, n, y, y_end, o, o_end, add, sums, copy, gradient);                           \
        else                                                                                                           \
            weight_##over##_f32(w, image, n, y, y_end, o, o_end, add, sums, copy, gradient);                           \
    }
WEIGHT(channels)
WEIGHT(pixels)
WEIGHT(groups)
#undef WEIGHT

static void add_slices(const pleat_direct_work *w, void *sums, int64_t slices, int64_t slice, int64_t o, int64_t o_end,
                       void *gradient, void *totals)
{
    if (w->dtype == PLEAT_F64)
        add_slices_f64(w, sums, slices, slice, o, o_end, gradient, totals);
    else
        add_slices_f32(w, sums, slices, slice, o, o_end, gradient, totals);
}

const struct pleat_direct_kernels PLEAT_K(direct_kernels) = {
    .vector = { [PLEAT_F32] = PLEAT_VECTOR_BYTES / 4, [PLEAT_F64] = PLEAT_VECTOR_BYTES / 8 },
    .scratch = scratch,
    .run = { channels, pixels, groups },
    .weight = { weight_channels, weight_pixels, weight_groups },
    .add_slices = add_slices,
};
