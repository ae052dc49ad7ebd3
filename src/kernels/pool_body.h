/* Pooling for one floating type: included by pool.c, which defines PLEAT_FLOAT. */
#include "kernels/math_body.h"

#define NOTHING (-BIT(__builtin_inff, __builtin_inf)())

/* Image rows go through a buffer, so that what lies beside them can be read like them. */
enum { FN(BUFFER) = 2048, FN(MARGIN) = 4 * VL, FN(STRIP) = 2 * FN(BUFFER), FN(AHEAD) = 4096 };

/* The first n elements of v; what lies behind them is written to where the array, up to `end`, has it. */
PLEAT_INLINE void FN(store_first)(T *y, V v, int64_t n, const T *end)
{
    if (n >= VL || end - y >= VL)
        FN(store)(y, v);
    else
        FN(store_few)(y, v, n);
}

PLEAT_INLINE V FN(every_second)(const T *x)
{
    return PLEAT_EVEN(FN(load)(x), FN(load)(x + VL));
}

/* VL elements of the buffer, `stride` apart. */
PLEAT_INLINE V FN(strided)(const T *x, int64_t stride)
{
    if (stride == 1)
        return FN(load)(x);
    if (stride == 2)
        return FN(every_second)(x);
    if (stride == 4)
        return PLEAT_EVEN(FN(every_second)(x), FN(every_second)(x + 2 * VL));
    T lane[VL];
    for (int64_t l = 0; l < VL; l++)
        lane[l] = x[l * stride];
    return FN(load)(lane);
}

/* b where it is larger than a, or NaN. */
PLEAT_INLINE V FN(larger)(V a, V b)
{
    return PICK((b > a) | (b != b), b, a);
}

/* v where it is larger than best, or NaN, and then its place. */
PLEAT_INLINE void FN(take)(V *best, IVEC *from, V v, IVEC place)
{
    const IVEC wins = (v > *best) | (v != v);
    *best = PICK(wins, v, *best);
    *from = (wins & place) | (~wins & *from);
}

PLEAT_INLINE IVEC FN(load_places)(const INT *from)
{
    IVEC v;
    memcpy(&v, from, sizeof v);
    return v;
}

PLEAT_INLINE void FN(store_places)(int64_t *index, IVEC from, int64_t n)
{
    typedef int64_t wide __attribute__((vector_size(VL * sizeof(int64_t))));
    const wide at = __builtin_convertvector(from, wide);
    if (n >= VL)
        memcpy(index, &at, sizeof at);
    else
        memcpy(index, &at, (size_t)n * sizeof *index);
}

/* A batch of rows of windows, by way of rows with minus infinity beside them. Where places are asked for these are rows
 * of the image: first along each of them, then down, in which order the first of equals comes first. Where not, they
 * are the largest down the columns already, and then along. Several rows at once, so that what is stored is not read at
 * once. Each of the steps is a function of its own for the sake of its registers. */
typedef struct {
    int64_t column, n,
        whole;         /* where the first window of a row begins, how many there are, and rounded up to vectors */
    int64_t pitch, in; /* of a row of the image, with what lies beside it and without */
    int64_t advance;   /* rows of the image from the first of one row of windows to the next one's: they overlap */
    const T *next;     /* the image behind the batch */
    T image[FN(STRIP)], largest[FN(STRIP)];
    INT where[FN(STRIP)]; /* the columns of the largest */
} FN(strip);

/* How many windows of a row go through at once. 0: not even a vector of them fits, or some have nothing under them. */
static int64_t FN(piece)(const pleat_max_pool_work *w)
{
    if (w->dilation.w > least(w->image.w, FN(BUFFER) / w->kernel.w) || w->dilation.h > w->image.h ||
        w->stride.w > FN(BUFFER) || w->kernel.h > FN(BUFFER))
        return 0;
    const int64_t windows = (FN(BUFFER) / w->kernel.h - w->dilation.w * (w->kernel.w - 1)) / w->stride.w;
    return windows / VL * VL;
}

/* Returns how many rows of the image there are, those counted that it does not have. */
static __attribute__((noinline)) int64_t FN(max_copy)(const pleat_max_pool_work *w, FN(strip) * strip, const T *plane,
                                                      int64_t row, int64_t rows)
{
    const int64_t before = strip->column < 0 ? -strip->column : 0;
    const T *from = plane + strip->column + before;
    T *to = strip->image + before;
    int64_t i = 0;
    strip->in = least(strip->pitch, w->image.w - strip->column) - before;
    for (int64_t t = 0; t < rows; t++) {
        i = (row + t) * w->stride.h - w->padding.h;
        for (int64_t r = t < rows - 1 ? strip->advance : w->kernel.h; r > 0;
             r--, i += w->dilation.h, to += strip->pitch)
            if (i >= 0 && i < w->image.h)
                FN(copy_row)(to, from + i * w->image.w, 1, strip->in);
    }
    strip->next = from + i * w->image.w;
    return (rows - 1) * strip->advance + w->kernel.h;
}

PLEAT_INLINE void FN(max_along)(const pleat_max_pool_work *w, FN(strip) * strip, int64_t slots, int64_t stride)
{
    const int64_t taps = w->kernel.w, dilation = w->dilation.w, n = strip->n;
    const T *image = strip->image;
    T *largest = strip->largest;
    INT *where = strip->where;
    INT step[VL];
    for (int64_t l = 0; l < VL; l++)
        step[l] = (INT)(l * stride);
    for (int64_t s = 0; s < slots; s++, image += strip->pitch) {
        const T *x = image;
        int64_t column = strip->column;
        for (int64_t j = 0; j < strip->in; j += 64 / (int64_t)sizeof(T))
            __builtin_prefetch(strip->next + s * w->image.w + j); /* memory has nothing else to do meanwhile */
        for (int64_t q = 0; q < n; q += VL, x += VL * stride, column += VL * stride) {
            V best = FN(strided)(x, stride);
            IVEC at = FN(load_places)(step) + (INT)column, from = at;
            for (int64_t k = 1; k < taps; k++) {
                at += (INT)dilation;
                FN(take)(&best, &from, FN(strided)(x + k * dilation, stride), at);
            }
            /* padding is first only where all is minus infinity: the first pixel it is then */
            for (int64_t left = column; left < 0; left += dilation)
                from += (from < 0) & (INT)dilation;
            FN(store)(largest, best);
            largest += VL;
            memcpy(where, &from, sizeof from);
            where += VL;
        }
    }
}

static __attribute__((noinline)) void FN(max_along_rows)(const pleat_max_pool_work *w, FN(strip) * strip, int64_t slots)
{
    if (w->stride.w == 1)
        FN(max_along)(w, strip, slots, 1);
    else if (w->stride.w == 2)
        FN(max_along)(w, strip, slots, 2);
    else
        FN(max_along)(w, strip, slots, w->stride.w);
}

/* The rows of the image that are under row of windows `row`: how many, and which is the first. */
PLEAT_INLINE int64_t FN(rows_under)(const pleat_max_pool_work *w, int64_t row, int64_t *top)
{
    const int64_t down = w->dilation.h;
    int64_t count = w->kernel.h, first = row * w->stride.h - w->padding.h;
    for (int64_t last = first + (count - 1) * down; last >= w->image.h; last -= down)
        count--;
    for (; first < 0; first += down)
        count--;
    *top = first;
    return count;
}

static __attribute__((noinline)) void FN(max_down)(const pleat_max_pool_work *w, const FN(strip) * strip, int64_t row,
                                                   int64_t rows, T *y, int64_t *index, const T *end)
{
    const int64_t whole = strip->whole, n = strip->n;
    const INT below = (INT)(w->dilation.h * w->image.w);
    for (int64_t t = 0; t < rows; t++, y += w->windows.w, index += w->windows.w) {
        int64_t top;
        const int64_t count = FN(rows_under)(w, row + t, &top);
        const int64_t above = (top - (row + t) * w->stride.h + w->padding.h) / w->dilation.h;
        for (int64_t q = 0; q < n; q += VL) {
            const T *largest = strip->largest + (t * strip->advance + above) * whole + q;
            const INT *where = strip->where + (t * strip->advance + above) * whole + q;
            INT place = (INT)(top * w->image.w);
            V best = FN(load)(largest);
            IVEC from = FN(load_places)(where) + place;
            for (int64_t r = 1; r < count; r++) {
                place += below;
                FN(take)(&best, &from, FN(load)(largest + r * whole), FN(load_places)(where + r * whole) + place);
            }
            FN(store_first)(y + q, best, n - q, end);
            FN(store_places)(index + q, from, end - (y + q) < VL ? n - q : VL);
        }
    }
}

/* The largest of each of n columns, at least VL, so many vectors of them at once; the last ones overlap. */
PLEAT_INLINE void FN(max_abreast)(const T *x, int64_t pitch, int64_t count, int64_t n, int64_t begin, int vectors, T *y)
{
    V best[4];
    int64_t at[4];
    PLEAT_UNROLL(4)
    for (int v = 0; v < vectors; v++) {
        at[v] = least(begin + v * VL, n - VL);
        best[v] = FN(load)(x + at[v]);
    }
    for (int64_t r = 1; r < count; r++) {
        x += pitch;
        PLEAT_UNROLL(4)
        for (int v = 0; v < vectors; v++)
            best[v] = FN(larger)(best[v], FN(load)(x + at[v]));
    }
    PLEAT_UNROLL(4)
    for (int v = 0; v < vectors; v++)
        FN(store)(y + at[v], best[v]);
}

/* For each row of windows the largest down the columns. */
static __attribute__((noinline)) void FN(max_of_columns)(const pleat_max_pool_work *w, FN(strip) * strip,
                                                         const T *plane, int64_t row, int64_t rows)
{
    const int64_t before = strip->column < 0 ? -strip->column : 0, pitch = w->dilation.h * w->image.w;
    const int64_t n = least(strip->pitch, w->image.w - strip->column) - before;
    T *to = strip->image + before;
    for (int64_t t = 0; t < rows; t++, to += strip->pitch) {
        int64_t top, c = 0;
        const int64_t count = FN(rows_under)(w, row + t, &top);
        const T *x = plane + top * w->image.w + strip->column + before;
        for (; c < n && n - c > 2 * VL; c += 4 * VL)
            FN(max_abreast)(x, pitch, count, n, c, 4, to);
        for (; c < n && n >= VL; c += 2 * VL)
            FN(max_abreast)(x, pitch, count, n, c, 2, to);
        for (; c < n; c++) {
            to[c] = x[c];
            for (int64_t r = 1; r < count; r++) {
                const T v = x[r * pitch + c];
                to[c] = v > to[c] || v != v ? v : to[c];
            }
        }
        for (int64_t j = 0; j < strip->advance * n; j += 64 / (int64_t)sizeof(T))
            __builtin_prefetch((const void *)((uintptr_t)(x + j) + FN(AHEAD)));
    }
}

PLEAT_INLINE void FN(max_of_rows)(const pleat_max_pool_work *w, const FN(strip) * strip, int64_t rows, int64_t stride,
                                  T *y, const T *end)
{
    const int64_t taps = w->kernel.w, dilation = w->dilation.w, n = strip->n;
    const T *image = strip->image;
    for (int64_t t = 0; t < rows; t++, image += strip->pitch, y += w->windows.w)
        for (int64_t q = 0; q < n; q += VL) {
            V best = FN(strided)(image + q * stride, stride);
            for (int64_t k = 1; k < taps; k++)
                best = FN(larger)(best, FN(strided)(image + q * stride + k * dilation, stride));
            FN(store_first)(y + q, best, n - q, end);
        }
}

static __attribute__((noinline)) void FN(max_of_windows)(const pleat_max_pool_work *w, const FN(strip) * strip,
                                                         int64_t rows, T *y, const T *end)
{
    if (w->stride.w == 1)
        FN(max_of_rows)(w, strip, rows, 1, y, end);
    else if (w->stride.w == 2)
        FN(max_of_rows)(w, strip, rows, 2, y, end);
    else
        FN(max_of_rows)(w, strip, rows, w->stride.w, y, end);
}

static void FN(max_rows)(const pleat_max_pool_work *w, int64_t piece, int64_t begin, int64_t end)
{
    FN(strip) strip;
    const T *y_end = (T *)w->y + end * w->windows.w;
    strip.advance = w->dilation.h == 1 ? least(w->kernel.h, w->stride.h) : w->kernel.h;
    /* from behind: a row's last vector may reach into the next row, which is computed later */
    for (int64_t q = (w->windows.w - 1) / piece * piece; q >= 0; q -= piece) {
        strip.n = least(w->windows.w - q, piece);
        strip.whole = (strip.n + VL - 1) / VL * VL;
        strip.column = q * w->stride.w - w->padding.w;
        strip.pitch = strip.whole * w->stride.w + w->dilation.w * (w->kernel.w - 1);
        const int64_t batch = (FN(STRIP) / strip.pitch - w->kernel.h) / strip.advance + 1;
        for (int64_t i = 0; i < FN(STRIP); i++)
            strip.image[i] = NOTHING;
        for (int64_t k = begin, rows; k < end; k += rows) {
            const int64_t row = k % w->windows.h, to = k * w->windows.w + q;
            const T *plane = (const T *)w->x + k / w->windows.h * w->image.h * w->image.w;
            rows = least(batch, least(w->windows.h - row, end - k));
            if (w->index) {
                const int64_t slots = FN(max_copy)(w, &strip, plane, row, rows);
                FN(max_along_rows)(w, &strip, slots);
                FN(max_down)(w, &strip, row, rows, (T *)w->y + to, w->index + to, y_end);
            } else {
                FN(max_of_columns)(w, &strip, plane, row, rows);
                FN(max_of_windows)(w, &strip, rows, (T *)w->y + to, y_end);
            }
        }
    }
}

/* A window, tap by tap. */
static void FN(max_window)(const pleat_max_pool_work *w, const T *plane, int64_t top, int64_t left, T *y,
                           int64_t *index)
{
    T best = NOTHING;
    int64_t from = -1;
    for (int64_t r = 0; r < w->kernel.h; r++)
        for (int64_t k = 0; k < w->kernel.w; k++) {
            const int64_t i = top + r * w->dilation.h, j = left + k * w->dilation.w, place = i * w->image.w + j;
            if (i < 0 || i >= w->image.h || j < 0 || j >= w->image.w)
                continue;
            if (from < 0 || plane[place] > best || plane[place] != plane[place]) {
                best = plane[place];
                from = place;
            }
        }
    *y = best;
    if (index)
        *index = from;
}

/* The commonest case is squares of 2 x 2 pixels side by side without padding: a vector of windows at once. A row's last
 * vector may reach into the next row, whose own windows are computed afterwards; only where nothing follows that
 * belongs to the same chunk does it go through a buffer. A factor other than 0: averages, with the factor, instead of
 * maxima. index may be NULL. */
PLEAT_INLINE void FN(squares)(const T *top, const T *bottom, INT place, INT below, T factor, T *y, int64_t *index)
{
    const V t[2] = { FN(load)(top), FN(load)(top + VL) }, b[2] = { FN(load)(bottom), FN(load)(bottom + VL) };
    const V v[4] = { PLEAT_EVEN(t[0], t[1]), PLEAT_ODD(t[0], t[1]), PLEAT_EVEN(b[0], b[1]), PLEAT_ODD(b[0], b[1]) };
    if (factor != 0) {
        FN(store)(y, ((v[0] + v[1]) + (v[2] + v[3])) * factor);
        return;
    }
    if (!index) {
        FN(store)(y, FN(larger)(FN(larger)(v[0], v[1]), FN(larger)(v[2], v[3])));
        return;
    }
    V best = v[0];
    IVEC from = { 0 };
#pragma GCC unroll 3
    for (INT k = 1; k < 4; k++)
        FN(take)(&best, &from, v[k], (IVEC){ 0 } + (k / 2 * below + k % 2));
    INT step[VL];
    for (int64_t l = 0; l < VL; l++)
        step[l] = (INT)(2 * l);
    FN(store)(y, best);
    FN(store_places)(index, from + (FN(load_places)(step) + place), VL);
}

PLEAT_INLINE void FN(row_of_squares)(const T *top, int64_t width, int64_t windows, INT place, T factor, bool room, T *y,
                                     int64_t *index)
{
    const T *bottom = top + width;
    const INT below = (INT)width;
    for (int64_t i = 0; i < windows; i += VL, place += 2 * (INT)VL) {
        const int64_t left = windows - i;
        int64_t *at = index ? index + i : NULL;
        if (left >= VL || room) {
            FN(squares)(top + 2 * i, bottom + 2 * i, place, below, factor, y + i, at);
            continue;
        }
        T x[4 * VL] = { 0 }, best[VL];
        int64_t from[VL];
        memcpy(x, top + 2 * i, (size_t)(2 * left) * sizeof(T));
        memcpy(x + 2 * VL, bottom + 2 * i, (size_t)(2 * left) * sizeof(T));
        FN(squares)(x, x + 2 * VL, place, below, factor, best, index ? from : NULL);
        memcpy(y + i, best, (size_t)left * sizeof(T));
        if (index)
            memcpy(at, from, (size_t)left * sizeof *from);
    }
}

/* The adjoint of the averages: a row of pixels, each with its window's element times the factor. */
PLEAT_INLINE void FN(spread_squares)(const T *g, int64_t windows, T factor, bool room, T *y)
{
    for (int64_t i = 0; i < windows; i += VL) {
        const int64_t left = windows - i;
        T buffer[2 * VL] = { 0 };
        const bool whole = left >= VL || room;
        if (!whole)
            memcpy(buffer, g + i, (size_t)left * sizeof(T));
        const V v = FN(load)(whole ? g + i : buffer) * factor;
        T *to = whole ? y + 2 * i : buffer;
        FN(store)(to, PLEAT_LOW(v, v));
        FN(store)(to + VL, PLEAT_HIGH(v, v));
        if (!whole)
            memcpy(y + 2 * i, buffer, (size_t)(2 * left) * sizeof(T));
    }
}

static void FN(max)(const pleat_max_pool_work *w, int64_t begin, int64_t end)
{
    const bool simple = w->kernel.h == 2 && w->kernel.w == 2 && w->stride.h == 2 && w->stride.w == 2 &&
                        w->padding.h == 0 && w->padding.w == 0 && w->dilation.h == 1 && w->dilation.w == 1 &&
                        2 * w->windows.h <= w->image.h && 2 * w->windows.w <= w->image.w; /* not so in ceil_mode */
    const int64_t piece = FN(piece)(w);
    if (!simple && piece > 0) {
        FN(max_rows)(w, piece, begin, end);
        return;
    }
    int64_t row = begin % w->windows.h;
    const T *plane = (const T *)w->x + begin / w->windows.h * w->image.h * w->image.w;
    for (int64_t i = begin; i < end; i++) {
        T *y = (T *)w->y + i * w->windows.w;
        int64_t *index = w->index ? w->index + i * w->windows.w : NULL;
        if (simple) {
            const int64_t first = 2 * row * w->image.w;
            const bool room = (end - 1 - i) * w->windows.w >= VL;
            if (index)
                FN(row_of_squares)(plane + first, w->image.w, w->windows.w, (INT)first, 0, room, y, index);
            else
                FN(row_of_squares)(plane + first, w->image.w, w->windows.w, (INT)first, 0, room, y, NULL);
        } else
            for (int64_t c = 0; c < w->windows.w; c++)
                FN(max_window)
        (w, plane, row * w->stride.h - w->padding.h, c * w->stride.w - w->padding.w, y + c, index ? index + c : NULL);
        if (++row == w->windows.h) {
            row = 0;
            plane += w->image.h * w->image.w;
        }
    }
}

static int64_t FN(gather)(const pleat_pool_index_work *w, int64_t begin, int64_t end)
{
    int64_t bad = -1;
    for (int64_t plane = begin; plane < end; plane++) {
        const T *x = (const T *)w->x + plane * w->pixels;
        const int64_t *index = w->index + plane * w->windows;
        T *y = (T *)w->y + plane * w->windows;
        for (int64_t p = 0; p < w->windows; p++) {
            const bool fits = (uint64_t)index[p] < (uint64_t)w->pixels;
            y[p] = fits ? x[index[p]] : 0;
            if (!fits && index[p] != -1 && bad < 0)
                bad = plane * w->windows + p;
        }
    }
    return bad;
}

static int64_t FN(scatter)(const pleat_pool_index_work *w, int64_t begin, int64_t end)
{
    int64_t bad = -1;
    for (int64_t plane = begin; plane < end; plane++) {
        const T *g = (const T *)w->x + plane * w->windows;
        const int64_t *index = w->index + plane * w->windows;
        T *y = (T *)w->y + plane * w->pixels;
        memset(y, 0, (size_t)w->pixels * sizeof(T));
        for (int64_t q = 0; q < w->pixels; q += 64 / (int64_t)sizeof(T))
            __builtin_prefetch(y + w->pixels + q, 1); /* the next plane comes while this one waits for its sums */
        for (int64_t p = 0; p < w->windows; p++)
            if ((uint64_t)index[p] < (uint64_t)w->pixels)
                y[index[p]] += g[p];
            else if (index[p] != -1 && bad < 0)
                bad = plane * w->windows + p;
    }
    return bad;
}

PLEAT_INLINE T FN(sum)(const T *x, int64_t n)
{
    T sum = 0;
    int64_t i = 0;
    if (n >= 4 * VL) {
        V s[2] = { 0 };
        for (; i + 2 * VL <= n; i += 2 * VL) {
            s[0] += FN(load)(x + i);
            s[1] += FN(load)(x + i + VL);
        }
        sum = FN(total)(s[0] + s[1]);
    }
    for (; i < n; i++)
        sum += x[i];
    return sum;
}

static void FN(boxes_of_squares)(const pleat_box_work *w, int64_t begin, int64_t end)
{
    const bool adjoint = w->to.h > w->from.h;
    const T factor =
        *(const T *)(adjoint ? w->from_row : w->to_row) * *(const T *)(adjoint ? w->from_column : w->to_column);
    int64_t row = begin % w->to.h;
    const T *plane = (const T *)w->x + begin / w->to.h * w->from.h * w->from.w;
    T *y = (T *)w->y + begin * w->to.w;
    for (int64_t left = end - 1 - begin; left >= 0; left--, y += w->to.w) {
        if (!adjoint) {
            FN(row_of_squares)
            (plane + 2 * row * w->from.w, w->from.w, w->to.w, 0, factor, left * w->to.w >= VL, y, NULL);
        } else {
            /* a row of windows makes two rows, or three where the image ends with a row that no window has */
            const int64_t windows = row < 2 * w->from.h ? w->from.w : 0;
            FN(spread_squares)(plane + row / 2 * w->from.w, windows, factor, (left - 1) / 3 * w->from.w >= VL, y);
            for (int64_t c = 2 * windows; c < w->to.w; c++)
                y[c] = 0;
        }
        if (++row == w->to.h) {
            row = 0;
            plane += w->from.h * w->from.w;
        }
    }
}

/* down[j] = the weighted sum of the box's rows in column first + j, for so many vectors of j at once. */
PLEAT_INLINE void FN(sum_abreast)(const T *x, int64_t width, int64_t count, const T *from_row, const T *from_column,
                                  int vectors, T *down)
{
    V sum[4] = { { 0 }, { 0 }, { 0 }, { 0 } };
    for (int64_t i = 0; i < count; i++, x += width) {
        PLEAT_UNROLL(4)
        for (int v = 0; v < vectors; v++)
            sum[v] += FN(load)(x + v * VL) * from_row[i];
    }
    PLEAT_UNROLL(4)
    for (int v = 0; v < vectors; v++)
        FN(store)(down + v * VL, sum[v] * FN(load)(from_column + v * VL));
}

/* The same for all j below n, and a vector of zeros behind. What lies behind the columns is read as well, where the
 * array reaches so far. */
PLEAT_INLINE void FN(sum_rows)(const pleat_box_work *w, const T *plane, const int64_t *rows, int64_t first, int64_t n,
                               T *down)
{
    const int64_t count = rows[1] - rows[0], width = w->from.w;
    const T *from_column = (const T *)w->from_column + first, *from_row = (const T *)w->from_row + rows[0];
    const T *x = plane + rows[0] * width + first;
    const bool room = (const T *)w->x + w->elements - x >= count * width + VL;
    int64_t j = 0;
    for (; room && j + 3 * VL < n; j += 4 * VL)
        FN(sum_abreast)(x + j, width, count, from_row, from_column + j, 4, down + j);
    for (; room && j < n; j += VL)
        FN(sum_abreast)(x + j, width, count, from_row, from_column + j, 1, down + j);
    for (; j < n; j += VL) {
        V sum = { 0 };
        for (int64_t i = 0; i < count; i++)
            sum += FN(load_few)(x + i * width + j, least(n - j, VL)) * from_row[i];
        FN(store)(down + j, sum * FN(load)(from_column + j));
    }
    FN(store)(down + n, (V){ 0 });
}

/* Whether a row of the result is as the one before. */
PLEAT_INLINE bool FN(alike)(const pleat_box_work *w, int64_t row)
{
    const int64_t *rows = w->rows + 2 * row;
    const T *to_row = (const T *)w->to_row + row;
    return rows[0] == rows[-2] && rows[1] == rows[-1] && to_row[0] == to_row[-1];
}

enum { FN(BAND_ROWS) = 16, FN(BAND) = FN(BUFFER) + FN(MARGIN) + 2 * VL };

/* Rows of the result whose boxes are evenly spaced along them: column q period + r is the sum of the columns
 * q step + first[r] to q step + last[r] - 1, of which those that the image does not have are zeros. Several rows at
 * once first down the columns, then along the rows, so that what is stored is not read at once. A row's last vector may
 * reach into the next row; all goes from behind, so that what is there is computed later. */
typedef struct {
    int64_t q, n;                       /* the first period of a row, and how many */
    int64_t base, width, pitch;         /* their first column, how many of them there are, and with zeros behind */
    int64_t rows, times[FN(BAND_ROWS)]; /* that are sums, and how often each is in the result */
    const T *next;                      /* the image behind the batch */
    T sums[FN(BAND)], factor[FN(BAND_ROWS)];
} FN(band);

/* Returns the first row behind the batch. */
static __attribute__((noinline)) int64_t FN(sum_down)(const pleat_box_work *w, FN(band) * band, int64_t k, int64_t end)
{
    const int64_t before = band->base < 0 ? -band->base : 0, first = band->base + before, height = w->to.h;
    const int64_t n = least(band->width, w->from.w - band->base) - before;
    const int64_t begin = k % height, last = least(height, begin + end - k), pitch = band->pitch;
    const T *plane = (const T *)w->x + k / height * w->from.h * w->from.w;
    const int64_t most = least(FN(BAND_ROWS), FN(BAND) / pitch);
    int64_t row = begin;
    band->rows = 0;
    for (T *down = band->sums + before; row < last && band->rows < most; down += pitch) {
        const int64_t top = row;
        FN(sum_rows)(w, plane, w->rows + 2 * row, first, n, down);
        do
            row++;
        while (row < last && FN(alike)(w, row));
        band->factor[band->rows] = ((const T *)w->to_row)[top];
        band->times[band->rows++] = row - top;
    }
    band->next = plane + w->rows[2 * row - 1] * w->from.w;
    return k + row - begin;
}

PLEAT_INLINE V FN(pairs)(V a, V b)
{
    return PLEAT_EVEN(a, b) + PLEAT_ODD(a, b);
}

/* VL sums, `step` apart, of `count` elements each: pairs of neighbours come from the same shuffles. */
PLEAT_INLINE V FN(sums)(const T *x, int64_t count, int step)
{
    V sum = { 0 };
    if (step == 4)
        for (; count >= 4; count -= 4, x += 4)
            sum += FN(pairs)(FN(pairs)(FN(load)(x), FN(load)(x + VL)),
                             FN(pairs)(FN(load)(x + 2 * VL), FN(load)(x + 3 * VL)));
    if (step == 2)
        for (; count >= 2; count -= 2, x += 2)
            sum += FN(pairs)(FN(load)(x), FN(load)(x + VL));
    for (; count > 0; count--, x++)
        sum += FN(strided)(x, step);
    return sum;
}

/* Period and step are constants where this is inlined. */
PLEAT_INLINE void FN(sum_along)(const pleat_box_work *w, const FN(band) * band, int64_t k, int64_t end, int period,
                                int step)
{
    const int64_t width = w->to.w, c0 = band->q * period, part = least(band->n * period, width - c0);
    const T *y_end = (const T *)w->y + end * width, *next = band->next;
    const int64_t ahead = period == 1 && part == width ? w->from.h * w->from.w / w->to.h : 0;
    int64_t first[4], count[4];
    for (int r = 0; r < period; r++) {
        first[r] = w->first[r] - w->first[0];
        count[r] = w->last[r] - w->first[r];
    }
    for (int64_t q = (band->n - 1) / VL * VL; q >= 0; q -= VL) {
        const T *sums = band->sums + q * step, *to_column = (const T *)w->to_column + c0 + q * period;
        const int64_t left = part - q * period;
        T *y = (T *)w->y + k * width + c0 + q * period;
        for (int64_t i = 0; i < band->rows; i++, sums += band->pitch) {
            for (int64_t j = 0; j < ahead && q == 0; j += 64 / (int64_t)sizeof(T))
                __builtin_prefetch(next + i * ahead + j); /* memory has nothing else to do meanwhile */
            V sum[4] = { { 0 }, { 0 }, { 0 }, { 0 } };
            PLEAT_UNROLL(4)
            for (int r = 0; r < period; r++)
                sum[r] = FN(sums)(sums + first[r], count[r], step);
            if (period > 1) {
                const V even[2] = { PLEAT_LOW(sum[0], sum[period / 2]), PLEAT_HIGH(sum[0], sum[period / 2]) };
                const V odd[2] = { PLEAT_LOW(sum[1], sum[3]), PLEAT_HIGH(sum[1], sum[3]) };
                sum[0] = period == 2 ? even[0] : PLEAT_LOW(even[0], odd[0]);
                sum[1] = period == 2 ? even[1] : PLEAT_HIGH(even[0], odd[0]);
                sum[2] = PLEAT_LOW(even[1], odd[1]);
                sum[3] = PLEAT_HIGH(even[1], odd[1]);
            }
            PLEAT_UNROLL(4)
            for (int r = 0; r < period; r++)
                if (r * VL < left)
                    FN(store_first)
            (y + r * VL, sum[r] * (FN(load)(to_column + r * VL) * band->factor[i]), left - r * VL, y_end);
            y += width * band->times[i];
        }
    }
    T *y = (T *)w->y + k * width + c0;
    for (int64_t i = 0; i < band->rows; i++, y += width)
        for (int64_t again = band->times[i]; again > 1; again--, y += width)
            FN(copy_row)(y + width, y, 1, part);
}

static void FN(even_rows)(const pleat_box_work *w, int64_t begin, int64_t end)
{
    const int period = w->period, step = w->step;
    const int64_t width = w->last[period - 1] - w->first[0], all = (w->to.w + period - 1) / period;
    const int64_t piece = (FN(BUFFER) - width) / step / VL * VL;
    FN(band) band;
    for (band.q = (all - 1) / piece * piece; band.q >= 0; band.q -= piece) {
        band.n = least(all - band.q, piece);
        band.base = band.q * step + w->first[0];
        band.width = (band.n - 1) * step + width;
        band.pitch = (band.width + FN(MARGIN) + 2 * VL - 1) / VL * VL;
        memset(band.sums, 0, sizeof band.sums);
        for (int64_t k = begin, next; k < end; k = next) {
            next = FN(sum_down)(w, &band, k, end);
            if (period == 2)
                FN(sum_along)(w, &band, k, end, 2, 1);
            else if (period == 4)
                FN(sum_along)(w, &band, k, end, 4, 1);
            else if (step == 2)
                FN(sum_along)(w, &band, k, end, 1, 2);
            else if (step == 4)
                FN(sum_along)(w, &band, k, end, 1, 4);
            else
                FN(sum_along)(w, &band, k, end, 1, 1);
        }
    }
}

/* A sum of columns begin to end - 1, more than the buffer has. */
static T FN(wide_box)(const pleat_box_work *w, const T *plane, const int64_t *rows, int64_t begin, int64_t end)
{
    T down[FN(BUFFER) + VL], sum = 0;
    for (int64_t part = begin; part < end; part += FN(BUFFER)) {
        const int64_t n = least(end - part, FN(BUFFER));
        FN(sum_rows)(w, plane, rows, part, n, down);
        sum += FN(sum)(down, n);
    }
    return sum;
}

/* Any row, its boxes one by one. */
static void FN(uneven_row)(const pleat_box_work *w, const T *plane, int64_t row, T *y)
{
    const T factor = ((const T *)w->to_row)[row], *to_column = w->to_column;
    const int64_t *columns = w->columns, *rows = w->rows + 2 * row;
    const int64_t first = *columns, width = columns[2 * w->to.w - 1] - first;
    T down[FN(BUFFER) + VL], sum = 0;
    if (width <= FN(BUFFER))
        FN(sum_rows)(w, plane, rows, first, width, down);
    for (int64_t c = 0; c < w->to.w; c++) {
        const int64_t *at = columns + 2 * c;
        if (c == 0 || at[0] != at[-2] || at[1] != at[-1])
            sum = width <= FN(BUFFER) ? FN(sum)(down + at[0] - first, at[1] - at[0])
                                      : FN(wide_box)(w, plane, rows, at[0], at[1]);
        y[c] = sum * (factor * to_column[c]);
    }
}

/* First down the columns, a whole row at once, then along the row. */
static void FN(boxes)(const pleat_box_work *w, int64_t begin, int64_t end)
{
    if (w->squares) {
        FN(boxes_of_squares)(w, begin, end);
        return;
    }
    if (w->step > 0 && w->last[w->period - 1] - w->first[0] <= FN(BUFFER) / 2) {
        FN(even_rows)(w, begin, end);
        return;
    }
    int64_t row = begin % w->to.h;
    const T *plane = (const T *)w->x + begin / w->to.h * w->from.h * w->from.w;
    T *y = (T *)w->y + begin * w->to.w;
    for (int64_t k = begin; k < end; k++, y += w->to.w) {
        if (k > begin && row > 0 && FN(alike)(w, row))
            FN(copy_row)(y, y - w->to.w, 1, w->to.w);
        else
            FN(uneven_row)(w, plane, row, y);
        if (++row == w->to.h) {
            row = 0;
            plane += w->from.h * w->from.w;
        }
    }
}

static void FN(largest)(const pleat_box_work *w, int64_t begin, int64_t end)
{
    for (int64_t k = begin; k < end; k++) {
        const int64_t *rows = w->rows + k % w->to.h * 2;
        const T *plane = (const T *)w->x + k / w->to.h * w->from.h * w->from.w;
        for (int64_t c = 0; c < w->to.w; c++) {
            const int64_t *columns = w->columns + 2 * c;
            int64_t from = rows[0] * w->from.w + columns[0];
            T best = plane[from];
            for (int64_t i = rows[0]; i < rows[1]; i++)
                for (int64_t j = columns[0]; j < columns[1]; j++) {
                    const T v = plane[i * w->from.w + j];
                    const bool wins = (v > best) | (v != v);
                    best = wins ? v : best;
                    from = wins ? i * w->from.w + j : from;
                }
            ((T *)w->y)[k * w->to.w + c] = best;
            w->index[k * w->to.w + c] = from;
        }
    }
}

#undef NOTHING
