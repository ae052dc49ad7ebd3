/* Pooling for one floating type: included by pool.c, which defines REAL_BITS. */
#include "kernels/math_body.h"

#define NOTHING (-BIT(__builtin_inff, __builtin_inf)())

#if PLEAT_VECTOR_BYTES * 8 / REAL_BITS == 16
#define EVEN 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#elif PLEAT_VECTOR_BYTES * 8 / REAL_BITS == 8
#define EVEN 0, 2, 4, 6, 8, 10, 12, 14
#elif PLEAT_VECTOR_BYTES * 8 / REAL_BITS == 4
#define EVEN 0, 2, 4, 6
#else
#define EVEN 0, 2
#endif

/* One tap of the kernel meets n windows of a row, n counted up to whole vectors: window i has its element at
 * x[i * stride], place + i * stride in the plane, for i from low to high - 1; the others lie in the padding. */
INLINE void F(meet)(REAL *best, INT *from, const REAL *x, INT place, int64_t low, int64_t high, int64_t n,
                    int64_t stride)
{
    INT step[LANES];
    for (int64_t l = 0; l < LANES; l++)
        step[l] = (INT)(l * stride);
    IVEC here;
    memcpy(&here, step, sizeof here);
    here += place;
    for (int64_t i = low - low % LANES; i < n && i < high; i += LANES) {
        REAL lane[LANES];
        IVEC at;
        VEC v;
        memcpy(&at, from + i, sizeof at);
        if (stride == 1 && i >= low && i + LANES <= high)
            v = F(load)(x + i);
        else if (stride == 2 && i >= low && i + LANES < high) /* not up to high: it loads one element beyond the last */
            v = __builtin_shufflevector(F(load)(x + 2 * i), F(load)(x + 2 * i + LANES), EVEN);
        else {
            const int64_t until = high - i < LANES ? high - i : LANES;
            for (int64_t l = 0; l < LANES; l++)
                lane[l] = NOTHING;
            for (int64_t l = low > i ? low - i : 0; l < until; l++)
                lane[l] = x[(i + l) * stride];
            v = F(load)(lane);
        }
        const VEC b = F(load)(best + i);
        const IVEC wins = (v > b) | (v != v);
        F(store)(best + i, PICK(wins, v, b));
        at = (wins & (here + (INT)(i * stride))) | (~wins & at);
        memcpy(from + i, &at, sizeof at);
    }
}

/* Windows of one row go through in pieces that stay in cache: all taps meet a piece before the next one. Each window
 * starts with minus infinity at the first place that it has in the image, -1 where it has none. */
static void F(max_row)(const pleat_max_pool_work *w, const REAL *plane, int64_t row, REAL *y, int64_t *index)
{
    enum { PIECE = 256 };
    const int64_t width = w->image.w, stride = w->stride.w, top = row * w->stride.h - w->padding.h;
    const int64_t skip = top < 0 ? (-top + w->dilation.h - 1) / w->dilation.h : 0,
                  first_row = top + skip * w->dilation.h;
    for (int64_t begin = 0; begin < w->windows.w; begin += PIECE) {
        REAL best[PIECE];
        INT from[PIECE];
        const int64_t n = w->windows.w - begin < PIECE ? w->windows.w - begin : PIECE;
        for (int64_t i = 0; i < PIECE; i++)
            best[i] = NOTHING;
        const int64_t start = begin * stride - w->padding.w;
        for (int64_t i = 0; i < n; i++)
            from[i] = first_row < w->image.h ? (INT)(first_row * width + start + i * stride) : -1;
        for (int64_t i = 0, column = start; column < 0 && i < n; i++, column += stride) {
            const int64_t in = column + (-column + w->dilation.w - 1) / w->dilation.w * w->dilation.w;
            from[i] = first_row < w->image.h && in < width ? (INT)(first_row * width + in) : -1;
        }
        for (int64_t ky = skip; ky < w->kernel.h; ky++) {
            const int64_t iy = top + ky * w->dilation.h;
            if (iy >= w->image.h)
                break;
            for (int64_t kx = 0; kx < w->kernel.w; kx++) {
                /* window i of the piece reads column first + i * stride: those that are in the image */
                const int64_t first = begin * stride - w->padding.w + kx * w->dilation.w;
                const int64_t low = first < 0 ? (-first + stride - 1) / stride : 0;
                int64_t high = first < width ? (width - 1 - first) / stride + 1 : 0;
                high = high < n ? high : n;
                const int64_t place = iy * width + first;
                const REAL *x = plane + place;
                if (stride == 1)
                    F(meet)(best, from, x, (INT)place, low, high, n, 1);
                else if (stride == 2)
                    F(meet)(best, from, x, (INT)place, low, high, n, 2);
                else
                    F(meet)(best, from, x, (INT)place, low, high, n, stride);
            }
        }
        for (int64_t i = 0; i < n; i++) {
            y[begin + i] = best[i];
            index[begin + i] = from[i];
        }
    }
}

/* The commonest case, 2 x 2 with stride 2 and no padding, at once: a window's four elements in registers. */
static void F(max_row_2x2)(const REAL *top, int64_t width, int64_t windows, INT place, REAL *y, int64_t *index)
{
    enum { PIECE = 128 };
    const REAL *bottom = top + width;
    const INT below = (INT)width;
    for (int64_t begin = 0; begin < windows; begin += PIECE) {
        INT from[PIECE];
        const int64_t n = windows - begin < PIECE ? windows - begin : PIECE;
        const REAL *t = top + 2 * begin, *b = bottom + 2 * begin;
        for (int64_t i = 0; i < n; i++) {
            REAL best = t[2 * i];
            INT at = 0;
            const REAL second = t[2 * i + 1], third = b[2 * i], fourth = b[2 * i + 1];
            bool wins = (second > best) | (second != second);
            best = wins ? second : best;
            at = wins ? 1 : at;
            wins = (third > best) | (third != third);
            best = wins ? third : best;
            at = wins ? below : at;
            wins = (fourth > best) | (fourth != fourth);
            best = wins ? fourth : best;
            at = wins ? below + 1 : at;
            y[begin + i] = best;
            from[i] = place + at + (INT)(2 * i);
        }
        for (int64_t i = 0; i < n; i++)
            index[begin + i] = from[i];
        place += 2 * PIECE;
    }
}

static void F(max)(const pleat_max_pool_work *w, int64_t begin, int64_t end)
{
    const bool simple = w->kernel.h == 2 && w->kernel.w == 2 && w->stride.h == 2 && w->stride.w == 2 &&
                        w->padding.h == 0 && w->padding.w == 0 && w->dilation.h == 1 && w->dilation.w == 1 &&
                        2 * w->windows.h <= w->image.h && 2 * w->windows.w <= w->image.w; /* not so in ceil_mode */
    for (int64_t i = begin; i < end; i++) {
        const int64_t row = i % w->windows.h;
        const REAL *plane = (const REAL *)w->x + i / w->windows.h * w->image.h * w->image.w;
        REAL *y = (REAL *)w->y + i * w->windows.w;
        int64_t *index = w->index + i * w->windows.w;
        if (simple)
            F(max_row_2x2)
        (plane + 2 * row * w->image.w, w->image.w, w->windows.w, (INT)(2 * row * w->image.w), y, index);
        else F(max_row)(w, plane, row, y, index);
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

/* The sum of a[i] b[i]; long ones by vectors. */
static inline REAL F(dot)(const REAL *a, const REAL *b, int64_t n)
{
    REAL sum = 0;
    int64_t i = 0;
    if (n >= 2 * LANES) {
        VEC s[2] = { 0 };
        for (; i + 2 * LANES <= n; i += 2 * LANES) {
            s[0] += F(load)(a + i) * F(load)(b + i);
            s[1] += F(load)(a + i + LANES) * F(load)(b + i + LANES);
        }
        REAL lane[LANES];
        F(store)(lane, s[0] + s[1]);
        for (int64_t l = 0; l < LANES; l++)
            sum += lane[l];
    }
    for (; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void F(boxes)(const pleat_box_work *w, int64_t begin, int64_t end)
{
    const REAL *from_row = w->from_row, *from_column = w->from_column, *to_row = w->to_row, *to_column = w->to_column;
    for (int64_t k = begin; k < end; k++) {
        const int64_t row = k % w->to.h;
        const REAL *plane = (const REAL *)w->x + k / w->to.h * w->from.h * w->from.w;
        REAL *y = (REAL *)w->y + k * w->to.w;
        for (int64_t c = 0; c < w->to.w; c++)
            y[c] = 0;
        for (int64_t i = w->rows[2 * row]; i < w->rows[2 * row + 1]; i++)
            for (int64_t c = 0; c < w->to.w; c++) {
                const int64_t first = w->columns[2 * c], n = w->columns[2 * c + 1] - first;
                y[c] += from_row[i] * F(dot)(plane + i * w->from.w + first, from_column + first, n);
            }
        for (int64_t c = 0; c < w->to.w; c++)
            y[c] *= to_row[row] * to_column[c];
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
