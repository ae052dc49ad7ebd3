/* Pooling for one floating type: included by pool.c, which defines REAL_BITS. */
#include "kernels/math_body.h"

#define NOTHING (-BIT(__builtin_inff, __builtin_inf)())

#if PLEAT_VECTOR_BYTES * 8 / REAL_BITS == 16
#define EVEN 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODD 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define TWICE 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7
#define TWICE_HIGH 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15
#elif PLEAT_VECTOR_BYTES * 8 / REAL_BITS == 8
#define EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define ODD 1, 3, 5, 7, 9, 11, 13, 15
#define TWICE 0, 0, 1, 1, 2, 2, 3, 3
#define TWICE_HIGH 4, 4, 5, 5, 6, 6, 7, 7
#elif PLEAT_VECTOR_BYTES * 8 / REAL_BITS == 4
#define EVEN 0, 2, 4, 6
#define ODD 1, 3, 5, 7
#define TWICE 0, 0, 1, 1
#define TWICE_HIGH 2, 2, 3, 3
#else
#define EVEN 0, 2
#define ODD 1, 3
#define TWICE 0, 0
#define TWICE_HIGH 1, 1
#endif

/* Image rows go through a buffer, so that what lies beside them can be read like them. */
enum { F(BUFFER) = 2048, F(MARGIN) = 2 * LANES };

/* Columns first .. first + n - 1 of a row of the image, `outside` where it has none. */
INLINE void F(fetch)(REAL *buffer, const REAL *row, int64_t width, int64_t first, int64_t n, REAL outside)
{
    int64_t i = 0;
    for (; i < n && first + i < 0; i++)
        buffer[i] = outside;
    const int64_t in = width - first < n ? width - first : n;
    if (i < in)
        memcpy(buffer + i, row + first + i, (size_t)(in - i) * sizeof(REAL));
    for (i = i > in ? i : in; i < n; i++)
        buffer[i] = outside;
}

/* LANES elements of the buffer, `stride` apart. */
INLINE VEC F(strided)(const REAL *x, int64_t stride)
{
    if (stride == 1)
        return F(load)(x);
    if (stride == 2)
        return __builtin_shufflevector(F(load)(x), F(load)(x + LANES), EVEN);
    REAL lane[LANES];
    for (int64_t l = 0; l < LANES; l++)
        lane[l] = x[l * stride];
    return F(load)(lane);
}

/* One tap of the kernel meets n windows of a row, n counted up to whole vectors: window i has its element at
 * x[i * stride], place + i * stride in the plane. */
INLINE void F(meet)(REAL *best, INT *from, const REAL *x, INT place, int64_t n, int64_t stride)
{
    INT step[LANES];
    for (int64_t l = 0; l < LANES; l++)
        step[l] = (INT)(l * stride);
    IVEC here, at;
    memcpy(&here, step, sizeof here);
    here += place;
    for (int64_t i = 0; i < n; i += LANES) {
        const VEC v = F(strided)(x + i * stride, stride), b = F(load)(best + i);
        const IVEC wins = (v > b) | (v != v);
        memcpy(&at, from + i, sizeof at);
        F(store)(best + i, PICK(wins, v, b));
        at = (wins & (here + (INT)(i * stride))) | (~wins & at);
        memcpy(from + i, &at, sizeof at);
    }
}

/* How many windows of a row go through at once: all taps meet a piece before the next one. 0: not even a vector of them
 * fits the buffer. */
static int64_t F(piece)(int64_t kernel, int64_t stride, int64_t dilation)
{
    const int64_t room = F(BUFFER) - F(MARGIN) * stride;
    if (dilation > room / kernel || stride > F(BUFFER) / F(MARGIN))
        return 0;
    const int64_t windows = (room - dilation * (kernel - 1)) / stride;
    return windows < LANES ? 0 : windows < 256 ? windows - windows % LANES : 256;
}

/* The first place of each of n windows in the image, from which it starts with minus infinity; -1 where it has none. */
INLINE void F(start)(const pleat_max_pool_work *w, int64_t first_row, int64_t column, int64_t n, REAL *best, INT *from)
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

static void F(max_row)(const pleat_max_pool_work *w, int64_t fits, const REAL *plane, int64_t row, REAL *y,
                       int64_t *index)
{
    const int64_t width = w->image.w, stride = w->stride.w, dilation = w->dilation.w;
    const int64_t top = row * w->stride.h - w->padding.h;
    const int64_t skip = top < 0 ? (-top + w->dilation.h - 1) / w->dilation.h : 0,
                  first_row = top + skip * w->dilation.h;
    const int64_t piece = fits ? fits : 1;
    for (int64_t begin = 0; begin < w->windows.w; begin += piece) {
        REAL best[256], buffer[F(BUFFER)];
        INT from[256];
        const int64_t n = w->windows.w - begin < piece ? w->windows.w - begin : piece;
        const int64_t whole = fits ? (n + LANES - 1) / LANES * LANES : 1, column = begin * stride - w->padding.w;
        F(start)(w, first_row, column, whole, best, from);
        for (int64_t ky = skip; ky < w->kernel.h && top + ky * w->dilation.h < w->image.h; ky++) {
            const int64_t first = (top + ky * w->dilation.h) * width;
            if (fits)
                F(fetch)
            (buffer, plane + first, width, column, (whole + LANES) * stride + dilation * (w->kernel.w - 1), NOTHING);
            for (int64_t kx = 0; kx < w->kernel.w; kx++) {
                const int64_t at = column + kx * dilation;
                const REAL *x = buffer + kx * dilation;
                if (fits && stride == 1)
                    F(meet)(best, from, x, (INT)(first + at), n, 1);
                else if (fits && stride == 2)
                    F(meet)(best, from, x, (INT)(first + at), n, 2);
                else if (fits)
                    F(meet)(best, from, x, (INT)(first + at), n, stride);
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
INLINE void F(squares)(const REAL *top, const REAL *bottom, INT place, INT below, REAL factor, REAL *y, int64_t *index)
{
    const VEC t[2] = { F(load)(top), F(load)(top + LANES) }, b[2] = { F(load)(bottom), F(load)(bottom + LANES) };
    const VEC v[4] = { __builtin_shufflevector(t[0], t[1], EVEN), __builtin_shufflevector(t[0], t[1], ODD),
                       __builtin_shufflevector(b[0], b[1], EVEN), __builtin_shufflevector(b[0], b[1], ODD) };
    if (factor != 0) {
        F(store)(y, ((v[0] + v[1]) + (v[2] + v[3])) * factor);
        return;
    }
    typedef int64_t indices __attribute__((vector_size(LANES * sizeof(int64_t))));
    VEC best = v[0];
    IVEC from = { 0 };
#pragma GCC unroll 3
    for (INT k = 1; k < 4; k++) {
        const IVEC wins = (v[k] > best) | (v[k] != v[k]);
        best = PICK(wins, v[k], best);
        from = (wins & (k / 2 * below + k % 2)) | (~wins & from);
    }
    INT step[LANES];
    for (int64_t l = 0; l < LANES; l++)
        step[l] = (INT)(2 * l);
    IVEC steps;
    memcpy(&steps, step, sizeof steps);
    F(store)(y, best);
    if (!index)
        return;
    const indices at = __builtin_convertvector(from + (steps + place), indices);
    memcpy(index, &at, sizeof at);
}

INLINE void F(row_of_squares)(const REAL *top, int64_t width, int64_t windows, INT place, REAL factor, bool room,
                              REAL *y, int64_t *index)
{
    const REAL *bottom = top + width;
    const INT below = (INT)width;
    for (int64_t i = 0; i < windows; i += LANES, place += 2 * (INT)LANES) {
        const int64_t left = windows - i;
        int64_t *at = index ? index + i : NULL;
        if (left >= LANES || room) {
            F(squares)(top + 2 * i, bottom + 2 * i, place, below, factor, y + i, at);
            continue;
        }
        REAL x[4 * LANES] = { 0 }, best[LANES];
        int64_t from[LANES];
        memcpy(x, top + 2 * i, (size_t)(2 * left) * sizeof(REAL));
        memcpy(x + 2 * LANES, bottom + 2 * i, (size_t)(2 * left) * sizeof(REAL));
        F(squares)(x, x + 2 * LANES, place, below, factor, best, index ? from : NULL);
        memcpy(y + i, best, (size_t)left * sizeof(REAL));
        if (index)
            memcpy(at, from, (size_t)left * sizeof *from);
    }
}

/* The adjoint of the averages: a row of pixels, each with its window's element times the factor. */
INLINE void F(spread_squares)(const REAL *g, int64_t windows, REAL factor, bool room, REAL *y)
{
    for (int64_t i = 0; i < windows; i += LANES) {
        const int64_t left = windows - i;
        REAL buffer[2 * LANES] = { 0 };
        const bool whole = left >= LANES || room;
        if (!whole)
            memcpy(buffer, g + i, (size_t)left * sizeof(REAL));
        const VEC v = F(load)(whole ? g + i : buffer) * factor;
        REAL *to = whole ? y + 2 * i : buffer;
        F(store)(to, __builtin_shufflevector(v, v, TWICE));
        F(store)(to + LANES, __builtin_shufflevector(v, v, TWICE_HIGH));
        if (!whole)
            memcpy(y + 2 * i, buffer, (size_t)(2 * left) * sizeof(REAL));
    }
}

static void F(max)(const pleat_max_pool_work *w, int64_t begin, int64_t end)
{
    const bool simple = w->kernel.h == 2 && w->kernel.w == 2 && w->stride.h == 2 && w->stride.w == 2 &&
                        w->padding.h == 0 && w->padding.w == 0 && w->dilation.h == 1 && w->dilation.w == 1 &&
                        2 * w->windows.h <= w->image.h && 2 * w->windows.w <= w->image.w; /* not so in ceil_mode */
    const int64_t fits = F(piece)(w->kernel.w, w->stride.w, w->dilation.w);
    int64_t row = begin % w->windows.h;
    const REAL *plane = (const REAL *)w->x + begin / w->windows.h * w->image.h * w->image.w;
    for (int64_t i = begin; i < end; i++) {
        REAL *y = (REAL *)w->y + i * w->windows.w;
        int64_t *index = w->index ? w->index + i * w->windows.w : NULL;
        if (simple) {
            const int64_t first = 2 * row * w->image.w;
            const bool room = (end - 1 - i) * w->windows.w >= LANES;
            if (index)
                F(row_of_squares)(plane + first, w->image.w, w->windows.w, (INT)first, 0, room, y, index);
            else
                F(row_of_squares)(plane + first, w->image.w, w->windows.w, (INT)first, 0, room, y, NULL);
        } else {
            F(max_row)(w, fits, plane, row, y, index);
        }
        if (++row == w->windows.h) {
            row = 0;
            plane += w->image.h * w->image.w;
        }
    }
}

static int64_t F(gather)(const pleat_pool_index_work *w, int64_t begin, int64_t end)
{
    int64_t bad = -1;
    for (int64_t plane = begin; plane < end; plane++) {
        const REAL *x = (const REAL *)w->x + plane * w->pixels;
        const int64_t *index = w->index + plane * w->windows;
        REAL *y = (REAL *)w->y + plane * w->windows;
        for (int64_t p = 0; p < w->windows; p++) {
            const bool fits = (uint64_t)index[p] < (uint64_t)w->pixels;
            y[p] = fits ? x[index[p]] : 0;
            if (!fits && index[p] != -1 && bad < 0)
                bad = plane * w->windows + p;
        }
    }
    return bad;
}

static int64_t F(scatter)(const pleat_pool_index_work *w, int64_t begin, int64_t end)
{
    int64_t bad = -1;
    for (int64_t plane = begin; plane < end; plane++) {
        const REAL *g = (const REAL *)w->x + plane * w->windows;
        const int64_t *index = w->index + plane * w->windows;
        REAL *y = (REAL *)w->y + plane * w->pixels;
        memset(y, 0, (size_t)w->pixels * sizeof(REAL));
        for (int64_t p = 0; p < w->windows; p++)
            if ((uint64_t)index[p] < (uint64_t)w->pixels)
                y[index[p]] += g[p];
            else if (index[p] != -1 && bad < 0)
                bad = plane * w->windows + p;
    }
    return bad;
}

INLINE REAL F(add_up)(const REAL *x, int64_t n)
{
    REAL lane[LANES], sum = 0;
    int64_t i = 0;
    if (n >= 4 * LANES) {
        VEC s[2] = { 0 };
        for (; i + 2 * LANES <= n; i += 2 * LANES) {
            s[0] += F(load)(x + i);
            s[1] += F(load)(x + i + LANES);
        }
        F(store)(lane, s[0] + s[1]);
        for (int64_t l = 0; l < LANES; l++)
            sum += lane[l];
    }
    for (; i < n; i++)
        sum += x[i];
    return sum;
}

/* Sums of the ranges of columns c to end - 1; down[0] is column `first`. */
static void F(ranges)(const pleat_box_work *w, const REAL *down, int64_t first, int64_t c, int64_t end, REAL *y)
{
    while (c < end) {
        const int64_t *columns = w->columns + 2 * c, length = columns[1] - columns[0];
        const int64_t alike = w->alike[c] < end - c ? w->alike[c] : end - c,
                      stride = alike > 1 ? columns[2] - columns[0] : 0;
        const REAL *x = down + columns[0] - first;
        for (int64_t i = 0; alike > 1 && i < alike; i += LANES) {
            VEC sum = { 0 };
            for (int64_t k = 0; k < length; k++)
                sum += stride == 1 ? F(load)(x + i + k) : F(strided)(x + 2 * i + k, 2);
            const int64_t count = alike - i < LANES ? alike - i : LANES;
            memcpy(y + c + i, &sum, (size_t)count * sizeof(REAL));
        }
        if (alike == 1)
            y[c] = F(add_up)(x, length);
        c += alike;
    }
}

static void F(boxes_of_squares)(const pleat_box_work *w, int64_t begin, int64_t end)
{
    const bool adjoint = w->to.h > w->from.h;
    const REAL factor =
        *(const REAL *)(adjoint ? w->from_row : w->to_row) * *(const REAL *)(adjoint ? w->from_column : w->to_column);
    int64_t row = begin % w->to.h;
    const REAL *plane = (const REAL *)w->x + begin / w->to.h * w->from.h * w->from.w;
    REAL *y = (REAL *)w->y + begin * w->to.w;
    for (int64_t left = end - 1 - begin; left >= 0; left--, y += w->to.w) {
        if (!adjoint) {
            F(row_of_squares)
            (plane + 2 * row * w->from.w, w->from.w, w->to.w, 0, factor, left * w->to.w >= LANES, y, NULL);
        } else {
            /* a row of windows makes two rows, or three where the image ends with a row that no window has */
            const int64_t windows = row < 2 * w->from.h ? w->from.w : 0;
            F(spread_squares)(plane + row / 2 * w->from.w, windows, factor, (left - 1) / 3 * w->from.w >= LANES, y);
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
static void F(boxes)(const pleat_box_work *w, int64_t begin, int64_t end)
{
    if (w->squares) {
        F(boxes_of_squares)(w, begin, end);
        return;
    }
    const REAL *from_row = w->from_row, *from_column = w->from_column, *to_row = w->to_row, *to_column = w->to_column;
    for (int64_t k = begin; k < end; k++) {
        const int64_t row = k % w->to.h;
        const REAL *plane = (const REAL *)w->x + k / w->to.h * w->from.h * w->from.w;
        REAL *y = (REAL *)w->y + k * w->to.w;
        for (int64_t c = 0, next; c < w->to.w; c = next) {
            REAL down[F(BUFFER) + F(MARGIN)], sum = 0;
            int64_t last;
            const int64_t first = w->columns[2 * c];
            next = w->columns[2 * w->to.w - 1] - first <= F(BUFFER) ? w->to.w : c + 1;
            while (next < w->to.w && w->columns[2 * next + 1] - first <= F(BUFFER))
                next++;
            last = w->columns[2 * next - 1];
            for (int64_t part = first; part < last || part == first; part += F(BUFFER)) {
                const int64_t n = last - part < F(BUFFER) ? last - part : F(BUFFER);
                for (int64_t j = 0; j < n + F(MARGIN); j++)
                    down[j] = 0;
                for (int64_t i = w->rows[2 * row]; i < w->rows[2 * row + 1]; i++) {
                    const REAL *x = plane + i * w->from.w + part, f = from_row[i];
                    for (int64_t j = 0; j < n; j++)
                        down[j] += f * x[j];
                }
                for (int64_t j = 0; j < n; j++)
                    down[j] *= from_column[part + j];
                if (next > c + 1)
                    F(ranges)(w, down, first, c, next, y);
                else
                    y[c] = sum += F(add_up)(down, n);
            }
            for (int64_t j = c; j < next; j++)
                y[j] *= to_row[row] * to_column[j];
        }
    }
}

static void F(largest)(const pleat_box_work *w, int64_t begin, int64_t end)
{
    for (int64_t k = begin; k < end; k++) {
        const int64_t *rows = w->rows + k % w->to.h * 2;
        const REAL *plane = (const REAL *)w->x + k / w->to.h * w->from.h * w->from.w;
        for (int64_t c = 0; c < w->to.w; c++) {
            const int64_t *columns = w->columns + 2 * c;
            int64_t from = rows[0] * w->from.w + columns[0];
            REAL best = plane[from];
            for (int64_t i = rows[0]; i < rows[1]; i++)
                for (int64_t j = columns[0]; j < columns[1]; j++) {
                    const REAL v = plane[i * w->from.w + j];
                    const bool wins = (v > best) | (v != v);
                    best = wins ? v : best;
                    from = wins ? i * w->from.w + j : from;
                }
            ((REAL *)w->y)[k * w->to.w + c] = best;
            w->index[k * w->to.w + c] = from;
        }
    }
}

#undef NOTHING
#undef EVEN
#undef ODD
#undef TWICE
#undef TWICE_HIGH
