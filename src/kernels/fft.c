/* Tiles to spectra, products of spectra, and back. */
#include "kernels/fft.h"

#include <string.h>

/* Outputs whose sums by two channels the registers hold. */
#if defined PLEAT_ISA_avx512 || defined __aarch64__
#define PAIR_OUTPUTS 4
#else
#define PAIR_OUTPUTS 2
#endif
#define PAIR_SUMS (4 * PAIR_OUTPUTS)

#define PLEAT_FLOAT 32
#include "kernels/simd.h"
/* simd.h's names first */
#include "kernels/fft_body.h"
#undef PLEAT_FLOAT
#define PLEAT_FLOAT 64
#include "kernels/simd.h"
/* simd.h's names first */
#include "kernels/fft_body.h"

static int64_t scratch(const pleat_fft_work *w)
{
    /* a line of the tile in four arrays, and the half-turned spectra of as many channels as are multiplied at a time */
    return PLEAT_VECTOR_BYTES * (4 * w->side + 2 * PLEAT_FFT_OUTPUTS * pleat_fft_frequencies(w->side) + 2 * w->side);
}

#define CALL(name, ...)                                                                                                \
    do {                                                                                                               \
        if (w->dtype == PLEAT_F64)                                                                                     \
            name##_f64(__VA_ARGS__);                                                                                   \
        else                                                                                                           \
            name##_f32(__VA_ARGS__);                                                                                   \
    } while (0)

static void transform(const pleat_fft_work *w, const void *base, const pleat_fft_places *places, void *scratch_memory,
                      void *spectrum, int64_t step, int64_t imaginary)
{
    CALL(transform, w, base, places, scratch_memory, spectrum, step, imaginary);
}

static void multiply(const pleat_fft_work *w, const void *x, int64_t x_step, const void *kernels_of, int64_t count,
                     int64_t channels, int64_t outputs, const void *bias, bool relu, const pleat_fft_places *places,
                     int64_t plane, void *scratch_memory, void *base)
{
    CALL(multiply, w, x, x_step, kernels_of, count, channels, outputs, bias, relu, places, plane, scratch_memory, base);
}

static void accumulate(const pleat_fft_work *w, const void *x, int64_t channels, const void *dy, int64_t outputs,
                       int64_t groups, int64_t count, int64_t f, int64_t f_end, void *sums, int64_t pairs)
{
    CALL(accumulate, w, x, channels, dy, outputs, groups, count, f, f_end, sums, pairs);
}

static void kernels(const pleat_fft_work *w, const void *sums, int64_t pairs, const pleat_fft_places *places,
                    void *scratch_memory, void *base)
{
    CALL(kernels, w, sums, pairs, places, scratch_memory, base);
}

const struct pleat_fft_kernels PLEAT_K(fft_kernels) = {
    .vector = { [PLEAT_F32] = PLEAT_VECTOR_BYTES / 4, [PLEAT_F64] = PLEAT_VECTOR_BYTES / 8 },
    .scratch = scratch,
    .transform = transform,
    .multiply = multiply,
    .accumulate = accumulate,
    .kernels = kernels,
};
