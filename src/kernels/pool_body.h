/* Pooling for one floating type: included by pool.c, which defines PLEAT_FLOAT. */
#include "kernels/math_body.h"

#define NOTHING (-BIT(__builtin_inff, __builtin_inf)())

/* Image rows go through a buffer, so that what lies beside them can be read like them. */
enum { FN(BUFFER) = 2048, FN(MARGIN) = 2 * VL };

/* Columns first .. first + n - 1 of a row of the image, `outside` where it has none. */
PLEAT_INLINE void FN(fetch)(T *buffer, const T *row, int64_t width, int64_t first, int64_t n, T outside)
{
    int64_t i = 0;
    for (; i < n && first + i < 0; i++)
        buffer[i] = outside;
    const int64_t in = width - first < n ? width - first : n;
    if (i < in)
        memcpy(buffer + i, row + first + i, (size_t)(in - i) * sizeof(T));
    for (i = i > in ? i : in; i < n; i++)
        buffer[i] = outside;
}

/* VL elements of the buffer, `stride` apart. */
PLEAT_INLINE V FN(strided)(const T *x, int64_t stride)
{
    if (stride == 1)
        return FN(load)(x);
    if (stride == 2)
        return PLEAT_EVEN(FN(load)(x), FN(load)(x + VL));
    T lane[VL];
    for (int64_t l = 0; l < VL; l++)
        lane[l] = x[l * stride];
    return FN(load)(lane);
}

/* One tap of the kernel meets n windows of a row, n counted up to whole vectors: window i has its element at
 * x[i * stride], place + i * stride in the plane. */
PLEAT_INLINE void FN(meet)(T *best, INT *from, const T *x, INT place, int64_t n, int64_t stride)
{
    INT step[VL];
    for (int64_t l = 0; l < VL; l++)
        step[l] = (INT)(l * stride);
    IVEC here, at;
    memcpy(&here, step, sizeof here);
    here += place;
    for (int64_t i = 0; i < n; i += VL) {
        const V v = FN(strided)(x + i * stride, stride), b = FN(load)(best + i);
        const IVEC wins = (v > b) | (v != v);
        memcpy(&at, from + i, sizeof at);
        FN(store)(best + i, PICK(wins, v, b));
        at = (wins & (here + (INT)(i * stride))) | (~wins & at);
        memcpy(from + i, &at, sizeof at);
    }
}

/* How many windows of a row go through at once: all taps meet a piece before the next one. 0: not even a vector of them
 * fits the buffer. */
static int64_t FN(piece)(int64_t kernel, int64_t stride, int64_t dilation)
{
    const int64_t room = FN(BUFFER) - FN(MARGIN) * stride;
    if (dilation > room / kernel || stride > FN(BUFFER) / FN(MARGIN))
        return 0;
    const int64_t windows = (room - dilation * (kernel - 1)) / stride;
    return windows < VL ? 0 : windows < 256 ? windows - windows % VL : 256;
}

/* The first place of each of n windows in the image, from which it starts with minus infinity; -1 where it has none. */
PLEAT_INLINE void FN(start)(const pleat_max_pool_work *w, int64_t first_row, int64_t column, int64_t n, T *best,
                            INT *from)
{
    const int64_t width = w->image.w, stride = w->stride.w;
    for (int64_t i = 0; i < n; i++) {
        best[i] = NOTHING;
        from[i] = first_row < w->image.h ? (INT)(first_row * width + column + i * stride) : -1;
    }
    for (int64_t i = 0; column < 0 && i < n; i++, column += stride) {
        const int64_t in = column + (-column + w->dilation.w - 1) / w->dilation.w * w->dilation.w;
        from[i] = first_row < w->image.h && in < width ? (INT)(first_row * width + in) : -1;
    }
}

static void FN(max_row)(const pleat_max_pool_work *w, int64_t fits, const T *plane, int64_t row, T *y, int64_t *index)
{
    const int64_t width = w->image.w, stride = w->stride.w, dilation = w->dilation.w;
    const int64_t top = row * w->stride.h - w->padding.h;
    const int64_t skip = top < 0 ? (-top + w->dilation.h - 1) / w->dilation.h : 0,
                  first_row = top + skip * w->dilation.h;
    const int64_t piece = fits ? fits : 1;
    for (int64_t begin = 0; begin < w->windows.w; begin += piece) {
        T best[256], buffer[FN(BUFFER)];
        INT from[256];
        const int64_t n = w->windows.w - begin < piece ? w->windows.w - begin : piece;
        const int64_t whole = fits ? (n + VL - 1) / VL * VL : 1, column = begin * stride - w->padding.w;
        FN(start)(w, first_row, column, whole, best, from);
        for (int64_t ky = skip; ky < w->kernel.h && top + ky * w->dilation.h < w->image.h; ky++) {
            const int64_t first = (top + ky * w->dilation.h) * width;
            if (fits)
                FN(fetch)
            (buffer, plane + first, width, column, (whole + VL) * stride + dilation * (w->kernel.w - 1), NOTHING);
            for (int64_t kx = 0; kx < w->kernel.w; kx++) {
                const int64_t at = column + kx * dilation;
                const T *x = buffer + kx * dilation;
                if (fits && stride == 1)
                    FN(meet)(best, from, x, (INT)(first + at), n, 1);
                else if (fits && stride == 2)
                    FN(meet)(best, from, x, (INT)(first + at), n, 2);
                else if (fits)
                    FN(meet)(best, from, x, (INT)(first + at), n, stride);
                else if (at >= 0 && at < width &&
                         (plane[first + at] > *best || plane[first + at] != plane[first + at])) {
                    *best = plane[first + at];
                    *from = (INT)(first + at);
                }
            }
        }
        for (int64_t i = 0; i < n; i++) {
            y[begin + i] = best[i];
            if (index)
                index[begin + i] = from[i];
        }
    }
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
    typedef int64_t indices __attribute__((vector_size(VL * sizeof(int64_t))));
    V best = v[0];
    IVEC from = { 0 };
#pragma GCC unroll 3
    for (INT k = 1; k < 4; k++) {
        const IVEC wins = (v[k] > best) | (v[k] != v[k]);
        best = PICK(wins, v[k], best);
        from = (wins & (k / 2 * below + k % 2)) | (~wins & from);
    }
    INT step[VL];
    for (int64_t l = 0; l < VL; l++)
        step[l] = (INT)(2 * l);
    IVEC steps;
    memcpy(&steps, step, sizeof steps);
    FN(store)(y, best);
    if (!index)
        return;
    const indices at = __builtin_convertvector(from + (steps + place), indices);
    memcpy(index, &at, sizeof at);
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
    const int64_t fits = FN(piece)(w->kernel.w, w->stride.w, w->dilation.w);
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
        } else {
            FN(max_row)(w, fits, plane, row, y, index);
        }
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

/* Sums of the ranges of columns c to end - 1; down[0] is column `first`. */
static void FN(ranges)(const pleat_box_work *w, const T *down, int64_t first, int64_t c, int64_t end, T *y)
{
    while (c < end) {
        const int64_t *columns = w->columns + 2 * c, length = columns[1] - columns[0];
        const int64_t alike = w->alike[c] < end - c ? w->alike[c] : end - c,
                      stride = alike > 1 ? columns[2] - columns[0] : 0;
        const T *x = down + columns[0] - first;
        for (int64_t i = 0; stride > 0 && i < alike; i += VL) {
            V sum = { 0 };
            for (int64_t k = 0; k < length; k++)
                sum += stride == 1 ? FN(load)(x + i + k) : FN(strided)(x + 2 * i + k, 2);
            const int64_t count = alike - i < VL ? alike - i : VL;
            memcpy(y + c + i, &sum, (size_t)count * sizeof(T));
        }
        if (stride == 0) {
            y[c] = FN(sum)(x, length);
            for (int64_t i = 1; i < alike; i++)
                y[c + i] = y[c];
        }
        c += alike;
    }
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

/* First down the columns, a whole row at once, then along the row. Pieces of the result take as many of its columns as
 * read no more of a row than the buffer holds; a range longer than that comes in several parts. */
static void FN(boxes)(const pleat_box_work *w, int64_t begin, int64_t end)
{
    if (w->squares) {
        FN(boxes_of_squares)(w, begin, end);
        return;
    }
    const T *from_row = w->from_row, *from_column = w->from_column, *to_row = w->to_row, *to_column = w->to_column;
    for (int64_t k = begin; k < end; k++) {
        const int64_t row = k % w->to.h;
        const T *plane = (const T *)w->x + k / w->to.h * w->from.h * w->from.w;
        T *y = (T *)w->y + k * w->to.w;
        const int64_t *rows = w->rows + 2 * row;
        if (k > begin && row > 0 && rows[0] == rows[-2] && rows[1] == rows[-1] && to_row[row] == to_row[row - 1]) {
            FN(copy_row)(y, y - w->to.w, 1, w->to.w);
            continue;
        }
        for (int64_t c = 0, next; c < w->to.w; c = next) {
            T down[FN(BUFFER) + FN(MARGIN)], sum = 0;
            int64_t last;
            const int64_t first = w->columns[2 * c];
            next = w->columns[2 * w->to.w - 1] - first <= FN(BUFFER) ? w->to.w : c + 1;
            while (next < w->to.w && w->columns[2 * next + 1] - first <= FN(BUFFER))
                next++;
            last = w->columns[2 * next - 1];
            for (int64_t part = first; part < last || part == first; part += FN(BUFFER)) {
                const int64_t n = last - part < FN(BUFFER) ? last - part : FN(BUFFER);
                for (int64_t j = 0; j < n + FN(MARGIN); j++)
                    down[j] = 0;
                for (int64_t i = rows[0]; i < rows[1]; i++) {
                    const T *x = plane + i * w->from.w + part, f = from_row[i];
                    for (int64_t j = 0; j < n; j++)
                        down[j] += f * x[j];
                }
                for (int64_t j = 0; j < n; j++)
                    down[j] *= from_column[part + j];
                if (next > c + 1)
                    FN(ranges)(w, down, first, c, next, y);
                else
                    y[c] = sum += FN(sum)(down, n);
            }
            for (int64_t j = c; j < next; j++)
                y[j] *= to_row[row] * to_column[j];
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
