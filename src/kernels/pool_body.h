/* Pooling for one floating type: included by pool.c, which defines PLEAT_FLOAT. */
#include "kernels/math_body.h"

#define NOTHING (-BIT(__builtin_inff, __builtin_inf)())

/* Image rows go through a buffer, so that what lies beside them can be read like them. */
enum { FN(BUFFER) = 2048, FN(MARGIN) = 4 * VL };

/* The first n elements of v; what lies behind them is written to where the array, up to `end`, has it. */
PLEAT_INLINE void FN(store_first)(T *y, V v, int64_t n, const T *end)
{
    if (n >= VL || end - y >= VL) {
        FN(store)(y, v);
        return;
    }
    T few[VL];
    FN(store)(few, v);
    for (int64_t l = 0; l < n; l++)
        y[l] = few[l];
}

/* Columns first .. first + n - 1 of a row of the image, minus infinity where it has none, and some of that behind. */
PLEAT_INLINE void FN(fetch)(T *buffer, const T *row, int64_t width, int64_t first, int64_t n)
{
    int64_t i = 0;
    for (; i < n && first + i < 0; i++)
        buffer[i] = NOTHING;
    const int64_t in = least(width - first, n);
    for (int64_t j = i; j < in && in - i < VL; j++)
        buffer[j] = row[first + j];
    for (int64_t j = i; j < in && in - i >= VL; j += VL) { /* the last vector overlaps the one before */
        j = least(j, in - VL);
        FN(store)(buffer + j, FN(load)(row + first + j));
    }
    i = i < in ? in : i;
    for (; i < n; i += VL)
        FN(store)(buffer + i, FN(splat)(NOTHING));
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

/* How many windows of a row go through at once, their pixels side by side in the buffer, a row of it for each of the
 * kernel's. 0: not even a vector of them fits. */
static int64_t FN(piece)(const pleat_max_pool_work *w)
{
    if (w->dilation.w > FN(BUFFER) / w->kernel.w || w->stride.w > FN(BUFFER))
        return 0;
    const int64_t windows = (FN(BUFFER) / w->kernel.h - w->dilation.w * (w->kernel.w - 1) - VL) / w->stride.w;
    return windows < VL ? 0 : windows / VL * VL;
}

/* The first place in the image of a window whose first column is this; -1 where there is none. */
PLEAT_INLINE INT FN(first_place)(const pleat_max_pool_work *w, int64_t first_row, int64_t column)
{
    if (column < 0)
        column += (-column + w->dilation.w - 1) / w->dilation.w * w->dilation.w;
    return first_row < w->image.h && column < w->image.w ? (INT)(first_row * w->image.w + column) : -1;
}

/* n windows of a row, the first of which begins at `column`, the others `stride` behind each other. The buffer has
 * `rows` of the image's rows, which lie `below` places apart there and `pitch` here. What y and index have behind the n
 * is written to up to `end`. */
PLEAT_INLINE void FN(max_piece)(const pleat_max_pool_work *w, const T *buffer, int64_t pitch, int64_t rows,
                                int64_t first_row, int64_t column, int64_t n, int64_t stride, T *y, int64_t *index,
                                const T *end)
{
    typedef int64_t wide __attribute__((vector_size(VL * sizeof(int64_t))));
    const int64_t dilation = w->dilation.w, below = w->dilation.h * w->image.w;
    INT step[VL];
    for (int64_t l = 0; l < VL; l++)
        step[l] = (INT)(l * stride);
    for (int64_t i = 0; i < n; i += VL, column += VL * stride) {
        V best = FN(splat)(NOTHING);
        IVEC here, from;
        memcpy(&here, step, sizeof here);
        here += (INT)(first_row * w->image.w + column);
        from = here;
        if (index && (column < 0 || rows == 0)) {
            INT first[VL];
            for (int64_t l = 0; l < VL; l++)
                first[l] = FN(first_place)(w, first_row, column + l * stride);
            memcpy(&from, first, sizeof from);
        }
        for (int64_t r = 0; r < rows; r++)
            for (int64_t k = 0; k < w->kernel.w; k++) {
                const V v = FN(strided)(buffer + r * pitch + i * stride + k * dilation, stride);
                const IVEC wins = (v > best) | (v != v);
                best = PICK(wins, v, best);
                if (index)
                    from = (wins & (here + (INT)(r * below + k * dilation))) | (~wins & from);
            }
        FN(store_first)(y + i, best, n - i, end);
        if (index) {
            const wide at = __builtin_convertvector(from, wide);
            if (n - i >= VL || end - (y + i) >= VL)
                memcpy(index + i, &at, sizeof at);
            else
                memcpy(index + i, &at, (size_t)(n - i) * sizeof *index);
        }
    }
}

/* A window, tap by tap. */
static void FN(max_window)(const pleat_max_pool_work *w, const T *plane, int64_t rows, int64_t first_row,
                           int64_t column, T *y, int64_t *index)
{
    INT from = FN(first_place)(w, first_row, column);
    T best = NOTHING;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < w->kernel.w; k++) {
            const int64_t at = column + k * w->dilation.w;
            if (at < 0 || at >= w->image.w)
                continue;
            const int64_t place = (first_row + r * w->dilation.h) * w->image.w + at;
            if (plane[place] > best || plane[place] != plane[place]) {
                best = plane[place];
                from = (INT)place;
            }
        }
    *y = best;
    if (index)
        *index = from;
}

static void FN(max_row)(const pleat_max_pool_work *w, int64_t piece, const T *plane, int64_t row, T *y, int64_t *index,
                        const T *end)
{
    const int64_t width = w->image.w, stride = w->stride.w, top = row * w->stride.h - w->padding.h;
    const int64_t skip = top < 0 ? (-top + w->dilation.h - 1) / w->dilation.h : 0,
                  first_row = top + skip * w->dilation.h;
    const int64_t there = first_row < w->image.h ? (w->image.h - 1 - first_row) / w->dilation.h + 1 : 0;
    const int64_t rows = skip < w->kernel.h ? least(w->kernel.h - skip, there) : 0;
    for (int64_t begin = 0; begin < w->windows.w && piece == 0; begin++)
        FN(max_window)
    (w, plane, rows, first_row, begin * stride - w->padding.w, y + begin, index ? index + begin : NULL);
    for (int64_t begin = 0; begin < w->windows.w && piece > 0; begin += piece) {
        T buffer[FN(BUFFER) + VL];
        const int64_t n = least(w->windows.w - begin, piece), column = begin * stride - w->padding.w;
        const int64_t length = (n + VL - 1) / VL * VL * stride + w->dilation.w * (w->kernel.w - 1), pitch = length + VL;
        for (int64_t r = 0; r < rows; r++)
            FN(fetch)(buffer + r * pitch, plane + (first_row + r * w->dilation.h) * width, width, column, length);
        int64_t *at = index ? index + begin : NULL;
        if (stride == 1)
            FN(max_piece)(w, buffer, pitch, rows, first_row, column, n, 1, y + begin, at, end);
        else if (stride == 2 && !index)
            FN(max_piece)(w, buffer, pitch, rows, first_row, column, n, 2, y + begin, NULL, end);
        else if (stride == 2)
            FN(max_piece)(w, buffer, pitch, rows, first_row, column, n, 2, y + begin, at, end);
        else
            FN(max_piece)(w, buffer, pitch, rows, first_row, column, n, stride, y + begin, at, end);
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
    const int64_t piece = FN(piece)(w);
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
            FN(max_row)(w, piece, plane, row, y, index, (T *)w->y + end * w->windows.w);
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

/* down[j] = the weighted sum of the box's rows in column first + j, for j below n, and zeros up to a whole vector. What
 * lies behind the columns is read as well, where the array reaches so far. */
PLEAT_INLINE void FN(sum_rows)(const pleat_box_work *w, const T *plane, const int64_t *rows, int64_t first, int64_t n,
                               T *down)
{
    const T *from_row = w->from_row, *from_column = (const T *)w->from_column + first;
    const T *end = (const T *)w->x + w->elements;
    INT lane[VL];
    for (int64_t l = 0; l < VL; l++)
        lane[l] = (INT)l;
    IVEC lanes;
    memcpy(&lanes, lane, sizeof lanes);
    for (int64_t j = 0; j < n; j += VL) {
        V sum = { 0 };
        for (int64_t i = rows[0]; i < rows[1]; i++) {
            const T *x = plane + i * w->from.w + first + j;
            T few[VL] = { 0 };
            const bool there = end - x >= VL;
            for (int64_t l = 0; l < n - j && !there; l++)
                few[l] = x[l];
            sum += FN(load)(there ? x : few) * from_row[i];
        }
        FN(store)(down + j, ZERO_WHERE(lanes >= (INT)least(n - j, VL), sum * FN(load)(from_column + j)));
    }
}

/* Rows of the result whose boxes are evenly spaced along them: column q period + r is the sum of the columns
 * q step + first[r] to q step + last[r] - 1, of which those that the image does not have are zeros. Several rows at
 * once first down the columns, then along the rows, so that what is stored is not read at once. Period and step are
 * constants where this is inlined. */
PLEAT_INLINE void FN(even_rows)(const pleat_box_work *w, int64_t begin, int64_t end, int period, int step)
{
    enum { ROWS = 16, SIZE = FN(BUFFER) + FN(MARGIN) + 2 * VL };
    const int64_t first[2] = { w->first[0], w->first[1] }, last[2] = { w->last[0], w->last[1] };
    const int64_t lowest = first[0], width = last[period - 1] - lowest, all = (w->to.w + period - 1) / period;
    const int64_t piece = (FN(BUFFER) - width) / step / VL * VL;
    for (int64_t q0 = 0; q0 < all; q0 += piece) {
        const int64_t n = least(all - q0, piece), base = q0 * step + lowest, reach = (n - 1) * step + width;
        const int64_t before = base < 0 ? -base : 0, pitch = (reach + FN(MARGIN) + 2 * VL - 1) / VL * VL;
        const int64_t batch = least(ROWS, SIZE / pitch);
        int64_t row = begin % w->to.h;
        const T *plane = (const T *)w->x + begin / w->to.h * w->from.h * w->from.w;
        T buffer[SIZE] = { 0 }, factor[ROWS];
        for (int64_t k = begin; k < end; k += batch) {
            const int64_t rows = least(batch, end - k);
            for (int64_t i = 0; i < rows; i++) {
                FN(sum_rows)
                (w, plane, w->rows + 2 * row, base + before, least(reach, w->from.w - base) - before,
                 buffer + i * pitch + before);
                factor[i] = ((const T *)w->to_row)[row];
                if (++row == w->to.h) {
                    row = 0;
                    plane += w->from.h * w->from.w;
                }
            }
            for (int64_t i = 0; i < rows; i++)
                for (int64_t q = 0; q < n; q += VL) {
                    V sum[2] = { { 0 }, { 0 } };
                    for (int r = 0; r < period; r++)
                        for (int64_t c = first[r] - lowest; c < last[r] - lowest; c++)
                            sum[r] += FN(strided)(buffer + i * pitch + q * step + c, step);
                    const int64_t c = (q0 + q) * period;
                    const T *to_column = (const T *)w->to_column + c;
                    T *y = (T *)w->y + (k + i) * w->to.w + c;
                    /* of several pieces the first ones of the rows that follow are there already */
                    const T *y_end = (const T *)w->y + (n == all ? end : k + i + 1) * w->to.w;
                    if (period == 1) {
                        FN(store_first)(y, sum[0] * (FN(load)(to_column) * factor[i]), w->to.w - c, y_end);
                        continue;
                    }
                    const V low = PLEAT_LOW(sum[0], sum[1]), high = PLEAT_HIGH(sum[0], sum[1]);
                    FN(store_first)(y, low * (FN(load)(to_column) * factor[i]), w->to.w - c, y_end);
                    if (w->to.w - c > VL)
                        FN(store_first)(y + VL, high * (FN(load)(to_column + VL) * factor[i]), w->to.w - c - VL, y_end);
                }
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
        if (w->period == 2)
            FN(even_rows)(w, begin, end, 2, 1);
        else if (w->step == 2)
            FN(even_rows)(w, begin, end, 1, 2);
        else if (w->step == 4)
            FN(even_rows)(w, begin, end, 1, 4);
        else
            FN(even_rows)(w, begin, end, 1, 1);
        return;
    }
    const T *to_row = w->to_row;
    int64_t row = begin % w->to.h;
    const T *plane = (const T *)w->x + begin / w->to.h * w->from.h * w->from.w;
    T *y = (T *)w->y + begin * w->to.w;
    for (int64_t k = begin; k < end; k++, y += w->to.w) {
        const int64_t *rows = w->rows + 2 * row;
        if (k > begin && row > 0 && rows[0] == rows[-2] && rows[1] == rows[-1] && to_row[row] == to_row[row - 1])
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
