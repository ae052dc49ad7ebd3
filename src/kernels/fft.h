/* Convolution by the fast Fourier transform, of tiles.
 *
 * A tile is `side` x `side` pixels of an image; circular correlation with a kernel of k x k gives side - k + 1 pixels a
 * side of the result that are free of what wraps around (overlap and save). Vectors hold VL tiles of one channel, or VL
 * kernels, side by side: no butterfly needs a shuffle. Two real rows are transformed as one complex; columns 0 to
 * side/2 of a real tile's spectrum say all:
 *
 *   spectrum[(column side + row)] of frequencies, F = (side/2 + 1) side of them, each a vector of real and one of
 *   imaginary parts
 *
 *   forward     y  = F^-1 [ sum over c of F x conj(F w) ]
 *   by weight   dw = F^-1 [ sum over tiles of F x conj(F dy) ]
 *
 * Stockham's autosort transform in radix 4: Van Loan: Computational frameworks for the fast Fourier transform, 1992. */
#ifndef PLEAT_KERNELS_FFT_H
#define PLEAT_KERNELS_FFT_H

#include "kernels/kernels.h"

#define PLEAT_FFT_MOST 128  /* side */
#define PLEAT_FFT_OUTPUTS 4 /* channels of the result at a time */

typedef struct {
    pleat_dtype dtype;
    int64_t side;
    const void *twiddle; /* cos and sin of 2 pi p / side, p < side, in turn */
} pleat_fft_work;

/* Planes of which a vector's lanes take tiles: the element at row r, column j of lane l is at base + offset[l] +
 * r row + j column. Rows outside of first[l].h .. last[l].h - 1, counted in the tile, and columns likewise, are zero,
 * or not written. */
typedef struct {
    const int64_t *offset;
    const pleat_hw *first, *last;
    int64_t lanes; /* that there are: the others are zero */
    int64_t row, column;
    double scale; /* of what is read */
} pleat_fft_places;

struct pleat_fft_kernels {
    int64_t vector[PLEAT_F64 + 1]; /* elements, by dtype */
    /* Bytes of 64-byte aligned scratch memory for a call. */
    int64_t (*scratch)(const pleat_fft_work *work);
    /* The spectrum of VL tiles: frequency f goes to spectrum + f step and, the imaginary part, `imaginary` further. */
    void (*transform)(const pleat_fft_work *work, const void *base, const pleat_fft_places *places, void *scratch,
                      void *spectrum, int64_t step, int64_t imaginary);
    /* Tiles of PLEAT_FFT_OUTPUTS channels at most, `plane` elements apart: of spectra x[f][c][2][VL] and of kernels
     * w[f][2][kernels], those of channel o from o `channels` on. bias: an element each, or NULL. */
    void (*multiply)(const pleat_fft_work *work, const void *x, int64_t x_step, const void *w, int64_t kernels,
                     int64_t channels, int64_t outputs, const void *bias, bool relu, const pleat_fft_places *places,
                     int64_t plane, void *scratch, void *base);
    /* Adds to sums[f][2][pairs] of the frequencies from f to f_end - 1, pair o channels + c, what conj(dy) x is in all
     * lanes and `count` vectors of tiles: of every groups-th x[][f][channels][2][VL] and dy[][f][outputs][2][VL]. */
    void (*accumulate)(const pleat_fft_work *work, const void *x, int64_t channels, const void *dy, int64_t outputs,
                       int64_t groups, int64_t count, int64_t f, int64_t f_end, void *sums, int64_t pairs);
    /* VL kernels from frequencies sums[f][2][pairs]. */
    void (*kernels)(const pleat_fft_work *work, const void *sums, int64_t pairs, const pleat_fft_places *places,
                    void *scratch, void *base);
};

static inline int64_t pleat_fft_frequencies(int64_t side)
{
    return (side / 2 + 1) * side;
}

#ifdef PLEAT_ISA
extern const struct pleat_fft_kernels PLEAT_K(fft_kernels);
#endif

#endif
