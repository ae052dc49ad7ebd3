/* fft.c's functions for one float type, in simd.h's names. */

/* A line: complex numbers, one in each lane. */
typedef struct {
    V *re, *im;
} FN(line);

/* Transforms n numbers of `line`, whose place is lost; returns where the result is: there, or in `other`. */
static FN(line) FN(fft)(int64_t n, const T *twiddle, FN(line) line, FN(line) other)
{
    const int64_t whole = n;
    for (int64_t s = 1; n > 1;) {
        if (n == 2) {
            for (int64_t q = 0; q < s; q++) {
                other.re[q] = line.re[q] + line.re[q + s];
                other.im[q] = line.im[q] + line.im[q + s];
                other.re[q + s] = line.re[q] - line.re[q + s];
                other.im[q + s] = line.im[q] - line.im[q + s];
            }
            return other;
        }
        const int64_t n1 = n / 4, turn = 2 * (whole / n);
        for (int64_t p = 0; p < n1; p++) {
            const T *t1 = twiddle + p * turn, *t2 = twiddle + 2 * p * turn, *t3 = twiddle + 3 * p * turn;
            const T c1 = t1[0], s1 = t1[1], c2 = t2[0], s2 = t2[1], c3 = t3[0], s3 = t3[1];
            const V *re = line.re + s * p, *im = line.im + s * p;
            V *to_re = other.re + 4 * s * p, *to_im = other.im + 4 * s * p;
            for (int64_t q = 0; q < s; q++) {
                const V ar = re[q], ai = im[q], br = re[q + s * n1], bi = im[q + s * n1];
                const V cr = re[q + 2 * s * n1], ci = im[q + 2 * s * n1], dr = re[q + 3 * s * n1],
                        di = im[q + 3 * s * n1];
                const V pr = ar + cr, pi = ai + ci, mr = ar - cr, mi = ai - ci;
                const V qr = br + dr, qi = bi + di, kr = br - dr, ki = bi - di;
                to_re[q] = pr + qr;
                to_im[q] = pi + qi;
                const V xr = mr + ki, xi = mi - kr, yr = pr - qr, yi = pi - qi, zr = mr - ki, zi = mi + kr;
                to_re[q + s] = xr * c1 + xi * s1; /* times cos - i sin */
                to_im[q + s] = xi * c1 - xr * s1;
                to_re[q + 2 * s] = yr * c2 + yi * s2;
                to_im[q + 2 * s] = yi * c2 - yr * s2;
                to_re[q + 3 * s] = zr * c3 + zi * s3;
                to_im[q + 3 * s] = zi * c3 - zr * s3;
            }
        }
        const FN(line) swap = line;
        line = other;
        other = swap;
        n /= 4;
        s *= 4;
    }
    return line;
}

/* The inverse, but for the scale: with the real and the imaginary parts exchanged. */
static FN(line) FN(fft_back)(int64_t n, const T *twiddle, FN(line) line, FN(line) other)
{
    const FN(line) r = FN(fft)(n, twiddle, (FN(line)){ line.im, line.re }, (FN(line)){ other.im, other.re });
    return (FN(line)){ r.im, r.re };
}

/* Scratch memory: two lines; spectra; then the pixels of a line, lane by lane. */
typedef struct {
    FN(line) a, b;
    V *spectrum;
    T *pixels;
} FN(room);

static FN(room) FN(room_of)(const pleat_fft_work *w, void *scratch_memory)
{
    V *v = scratch_memory;
    const int64_t n = w->side;
    V *spectrum = v + 4 * n;
    return (FN(room)){ { v, v + n },
                       { v + 2 * n, v + 3 * n },
                       spectrum,
                       (T *)(spectrum + 2 * PLEAT_FFT_OUTPUTS * pleat_fft_frequencies(n)) };
}

/* Row r of the lanes' tiles. */
static void FN(read_row)(const pleat_fft_work *w, const T *base, const pleat_fft_places *at, int64_t r, T *pixels,
                         V *to)
{
    const int64_t n = w->side;
    for (int64_t l = 0; l < VL; l++) {
        T *line = pixels + l * n;
        const bool any = l < at->lanes && r >= at->first[l].h && r < at->last[l].h;
        const int64_t first = any ? at->first[l].w : 0, last = any ? at->last[l].w : 0;
        const T *from = any ? base + at->offset[l] + r * at->row : base;
        for (int64_t j = 0; j < first; j++)
            line[j] = 0;
        if (at->column == 1)
            for (int64_t j = first; j < last; j++)
                line[j] = from[j] * (T)at->scale;
        else
            for (int64_t j = first; j < last; j++)
                line[j] = from[j * at->column] * (T)at->scale;
        for (int64_t j = last; j < n; j++)
            line[j] = 0;
    }
    for (int64_t j = 0; j < n; j += VL) {
        V block[VL];
        PLEAT_UNROLL(16)
        for (int l = 0; l < VL; l++)
            block[l] = FN(load)(pixels + l * n + j);
        FN(transpose)(block);
        PLEAT_UNROLL(16)
        for (int i = 0; i < VL; i++)
            to[j + i] = block[i];
    }
}

static void FN(write_row)(const pleat_fft_work *w, const V *from, const pleat_fft_places *at, int64_t r, T bias,
                          bool relu, T *pixels, T *base)
{
    const int64_t n = w->side;
    for (int64_t j = 0; j < n; j += VL) {
        V block[VL];
        PLEAT_UNROLL(16)
        for (int i = 0; i < VL; i++) {
            const V value = from[j + i] * (T)at->scale + bias;
            block[i] = relu ? FN(relu)(value) : value;
        }
        FN(transpose)(block);
        PLEAT_UNROLL(16)
        for (int l = 0; l < VL; l++)
            FN(store)(pixels + l * n + j, block[l]);
    }
    for (int64_t l = 0; l < at->lanes; l++) {
        if (r < at->first[l].h || r >= at->last[l].h)
            continue;
        T *to = base + at->offset[l] + r * at->row;
        for (int64_t j = at->first[l].w; j < at->last[l].w; j++)
            to[j * at->column] = pixels[l * n + j];
    }
}

/* The rows that some lane has pixels in: from 0 to one less. */
static int64_t FN(rows_of)(const pleat_fft_places *at)
{
    int64_t rows = 0;
    for (int64_t l = 0; l < at->lanes; l++)
        rows = at->last[l].h > rows ? at->last[l].h : rows;
    return rows;
}

static void FN(transform)(const pleat_fft_work *w, const T *base, const pleat_fft_places *at, void *scratch_memory,
                          T *spectrum, int64_t step, int64_t imaginary)
{
    const FN(room) room = FN(room_of)(w, scratch_memory);
    const int64_t n = w->side, columns = n / 2 + 1, rows = FN(rows_of)(at);
    V *re = room.spectrum, *im = re + columns * n;
    const V half = (V){ 0 } + (T)0.5;
    for (int64_t r = 0; r < n; r += 2) {
        if (r >= rows) {
            for (int64_t k = 0; k < columns; k++)
                re[k * n + r] = re[k * n + r + 1] = im[k * n + r] = im[k * n + r + 1] = (V){ 0 };
            continue;
        }
        FN(read_row)(w, base, at, r, room.pixels, room.a.re);
        FN(read_row)(w, base, at, r + 1, room.pixels, room.a.im);
        const FN(line) z = FN(fft)(n, w->twiddle, room.a, room.b);
        for (int64_t k = 0; k < columns; k++) {
            const int64_t m = (n - k) & (n - 1);
            re[k * n + r] = half * (z.re[k] + z.re[m]);
            im[k * n + r] = half * (z.im[k] - z.im[m]);
            re[k * n + r + 1] = half * (z.im[k] + z.im[m]);
            im[k * n + r + 1] = half * (z.re[m] - z.re[k]);
        }
    }
    for (int64_t k = 0; k < columns; k++) {
        const FN(line) z = FN(fft)(n, w->twiddle, (FN(line)){ re + k * n, im + k * n }, room.a);
        for (int64_t r = 0; r < n; r++) {
            FN(store)(spectrum + (k * n + r) * step, z.re[r]);
            FN(store)(spectrum + (k * n + r) * step + imaginary, z.im[r]);
        }
    }
}

/* From columns whose rows are pixels already, re[column][row], to the pixels. */
static void FN(rows_back)(const pleat_fft_work *w, const FN(room) * room, const V *re, const V *im,
                          const pleat_fft_places *at, T bias, bool relu, T *base)
{
    const int64_t n = w->side, rows = FN(rows_of)(at);
    for (int64_t r = 0; r < rows; r += 2) {
        for (int64_t k = 0; k <= n / 2; k++) {
            const int64_t m = (n - k) & (n - 1);
            const V ar = re[k * n + r], ai = im[k * n + r], br = re[k * n + r + 1], bi = im[k * n + r + 1];
            room->a.re[m] = ar + bi;
            room->a.im[m] = br - ai;
            room->a.re[k] = ar - bi;
            room->a.im[k] = ai + br;
        }
        const FN(line) z = FN(fft_back)(n, w->twiddle, room->a, room->b);
        FN(write_row)(w, z.re, at, r, bias, relu, room->pixels, base);
        FN(write_row)(w, z.im, at, r + 1, bias, relu, room->pixels, base);
    }
}

/* Sums over the channels of one frequency, of up to four outputs. */
PLEAT_INLINE void FN(sums_of)(int outputs, const T *x, const T *w, int64_t kernels, int64_t channels, V re[4], V im[4])
{
    PLEAT_UNROLL(4)
    for (int o = 0; o < outputs; o++)
        re[o] = im[o] = (V){ 0 };
    for (int64_t c = 0; c < channels; c++, x += 2 * VL, w++) {
        const V xr = FN(load)(x), xi = FN(load)(x + VL);
        PLEAT_UNROLL(4)
        for (int o = 0; o < outputs; o++) {
            const T wr = w[o * channels], wi = w[o * channels + kernels];
            re[o] += xr * wr;
            im[o] += xi * wr;
            re[o] += xi * wi;
            im[o] -= xr * wi;
        }
    }
}

static void FN(multiply)(const pleat_fft_work *work, const T *x, int64_t x_step, const T *w, int64_t kernels,
                         int64_t channels, int64_t outputs, const T *bias, bool relu, const pleat_fft_places *at,
                         int64_t plane, void *scratch_memory, T *base)
{
    const FN(room) room = FN(room_of)(work, scratch_memory);
    const int64_t n = work->side, columns = n / 2 + 1, all = columns * n;
    for (int64_t k = 0; k < columns; k++) {
        for (int64_t r = 0; r < n; r++) {
            const int64_t f = k * n + r;
            V re[4], im[4];
            if (outputs == 4)
                FN(sums_of)(4, x + f * x_step, w + f * 2 * kernels, kernels, channels, re, im);
            else
                for (int64_t o = 0; o < outputs; o++)
                    FN(sums_of)
            (1, x + f * x_step, w + f * 2 * kernels + o * channels, kernels, channels, re + o, im + o);
            for (int64_t o = 0; o < outputs; o++) {
                room.spectrum[2 * o * all + f] = re[o];
                room.spectrum[(2 * o + 1) * all + f] = im[o];
            }
        }
        for (int64_t o = 0; o < outputs; o++) {
            V *re = room.spectrum + 2 * o * all + k * n, *im = re + all;
            const FN(line) z = FN(fft_back)(n, work->twiddle, (FN(line)){ re, im }, room.a);
            if (z.re != re) {
                memcpy(re, z.re, (size_t)n * sizeof(V));
                memcpy(im, z.im, (size_t)n * sizeof(V));
            }
        }
    }
    for (int64_t o = 0; o < outputs; o++)
        FN(rows_back)
    (work, &room, room.spectrum + 2 * o * all, room.spectrum + (2 * o + 1) * all, at, bias ? bias[o] : 0, relu,
     base + o * plane);
}

/* sum, real and imaginary, += x times y's conjugate. */
PLEAT_INLINE void FN(add_conjugate)(V sum[2], V xr, V xi, V yr, V yi)
{
    sum[0] += xr * yr;
    sum[1] += xi * yr;
    sum[0] += xi * yi;
    sum[1] -= xr * yi;
}

PLEAT_INLINE void FN(totals_of)(V sum[PAIR_SUMS], T totals[PAIR_SUMS])
{
    PLEAT_UNROLL(8)
    for (int i = 0; i < PAIR_SUMS; i += VL)
        FN(store)(totals + i, FN(totals)(sum + i));
}

/* One frequency's pairs of some outputs and up to two channels, in all vectors of tiles, `x_next` and `dy_next` apart.
 */
PLEAT_INLINE void FN(pairs_of)(int outputs, int channels, const T *x, int64_t x_next, const T *dy, int64_t dy_next,
                               int64_t count, T *re, T *im, int64_t row)
{
    V sum[PAIR_SUMS];
    PLEAT_UNROLL(16)
    for (int i = 0; i < PAIR_SUMS; i++)
        sum[i] = (V){ 0 };
    PLEAT_UNROLL(1)
    for (int64_t g = 0; g < count; g++, x += x_next, dy += dy_next) {
        PLEAT_UNROLL(2)
        for (int c = 0; c < channels; c++) {
            const V xr = FN(load)(x + 2 * c * VL), xi = FN(load)(x + (2 * c + 1) * VL);
            PLEAT_UNROLL(4)
            for (int o = 0; o < outputs; o++) {
                const V yr = FN(load)(dy + 2 * o * VL), yi = FN(load)(dy + (2 * o + 1) * VL);
                FN(add_conjugate)(sum + 4 * o + 2 * c, xr, xi, yr, yi);
            }
        }
    }
    T totals[PAIR_SUMS];
    FN(totals_of)(sum, totals);
    for (int o = 0; o < outputs; o++)
        for (int c = 0; c < channels; c++) {
            re[o * row + c] += totals[4 * o + 2 * c];
            im[o * row + c] += totals[4 * o + 2 * c + 1];
        }
}

/* Frequencies of one pair: as many sums. */
PLEAT_INLINE void FN(pair_of)(const T *x, int64_t x_next, const T *dy, int64_t dy_next, int64_t count, T *re,
                              int64_t pairs)
{
    V sum[PAIR_SUMS];
    PLEAT_UNROLL(16)
    for (int i = 0; i < PAIR_SUMS; i++)
        sum[i] = (V){ 0 };
    PLEAT_UNROLL(1)
    for (int64_t g = 0; g < count; g++, x += x_next, dy += dy_next) {
        PLEAT_UNROLL(8)
        for (int i = 0; i < PAIR_SUMS; i += 2) {
            const V xr = FN(load)(x + i * VL), xi = FN(load)(x + (i + 1) * VL);
            const V yr = FN(load)(dy + i * VL), yi = FN(load)(dy + (i + 1) * VL);
            FN(add_conjugate)(sum + i, xr, xi, yr, yi);
        }
    }
    T totals[PAIR_SUMS];
    FN(totals_of)(sum, totals);
    for (int i = 0; i < PAIR_SUMS; i++)
        re[i * pairs] += totals[i];
}

static void FN(accumulate)(const pleat_fft_work *work, const T *x, int64_t channels, const T *dy, int64_t outputs,
                           int64_t groups, int64_t count, int64_t f, int64_t f_end, T *sums, int64_t pairs)
{
    const int64_t all = groups * pleat_fft_frequencies(work->side), many = 2 * PAIR_OUTPUTS;
    const int64_t x_next = all * channels * 2 * VL, dy_next = all * outputs * 2 * VL;
    if (channels == 1 && outputs == 1)
        for (; f + many <= f_end; f += many)
            FN(pair_of)(x + f * 2 * VL, x_next, dy + f * 2 * VL, dy_next, count, sums + f * 2 * pairs, pairs);
    for (; f < f_end; f++)
        for (int64_t o = 0, o_next; o < outputs; o = o_next) {
            o_next = o + (outputs - o >= PAIR_OUTPUTS ? PAIR_OUTPUTS : 1);
            for (int64_t c = 0; c < channels; c += 2) {
                const T *xs = x + (f * channels + c) * 2 * VL, *ys = dy + (f * outputs + o) * 2 * VL;
                T *re = sums + f * 2 * pairs + o * channels + c, *im = re + pairs;
                const bool one = c + 1 == channels;
                if (o_next == o + 1)
                    one ? FN(pairs_of)(1, 1, xs, x_next, ys, dy_next, count, re, im, channels)
                        : FN(pairs_of)(1, 2, xs, x_next, ys, dy_next, count, re, im, channels);
                else
                    one ? FN(pairs_of)(PAIR_OUTPUTS, 1, xs, x_next, ys, dy_next, count, re, im, channels)
                        : FN(pairs_of)(PAIR_OUTPUTS, 2, xs, x_next, ys, dy_next, count, re, im, channels);
            }
        }
}

static void FN(kernels)(const pleat_fft_work *work, const T *sums, int64_t pairs, const pleat_fft_places *at,
                        void *scratch_memory, T *base)
{
    const FN(room) room = FN(room_of)(work, scratch_memory);
    const int64_t n = work->side, columns = n / 2 + 1;
    V *re = room.spectrum, *im = re + columns * n;
    for (int64_t k = 0; k < columns; k++) {
        for (int64_t r = 0; r < n; r++) {
            room.a.re[r] = FN(load)(sums + (k * n + r) * 2 * pairs);
            room.a.im[r] = FN(load)(sums + (k * n + r) * 2 * pairs + pairs);
        }
        const FN(line) z = FN(fft_back)(n, work->twiddle, room.a, room.b);
        memcpy(re + k * n, z.re, (size_t)n * sizeof(V));
        memcpy(im + k * n, z.im, (size_t)n * sizeof(V));
    }
    FN(rows_back)(work, &room, re, im, at, 0, false, base);
}
