/* Winograd's transforms and the products between them. */
#include "kernels/winograd.h"

#include <string.h>

#define PLEAT_FLOAT 32
#include "kernels/simd.h"

/* Tiles by two vectors whose sums stay in registers. */
#if defined PLEAT_ISA_avx512 || defined __aarch64__
#define MOST 14
#define EACH(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#elif defined PLEAT_ISA_avx2
#define MOST 6
#define EACH(X) X(1) X(2) X(3) X(4) X(5) X(6)
#else
#define MOST 4
#define EACH(X) X(1) X(2) X(3) X(4)
#endif

/* Channels of the image by two vectors whose sums stay in registers: they divide a vector. Tiles that are added up
 * before their sum joins the others': rounding grows with the length of a sum. And the elements of a cache line. */
enum { CHANNELS = VL == 16 ? 8 : 4, SUM = 64, LINE = 16 };

/* Calls are rare, and the code is large. */
#define PLEAT_APART static __attribute__((noinline))

static int64_t greater(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* ---- One dimension, of vectors. n is the tile's side; n + 2 numbers belong to it ---- */

/* B^T */
PLEAT_INLINE void turn_image(int n, const V *d, V *r)
{
    if (n == 4) {
        const V a = d[4] - 4 * d[2], b = d[3] - 4 * d[1], e = d[4] - d[2], f = 2 * (d[3] - d[1]);
        r[0] = 4 * d[0] - 5 * d[2] + d[4];
        r[1] = a + b;
        r[2] = a - b;
        r[3] = e + f;
        r[4] = e - f;
        r[5] = 4 * d[1] - 5 * d[3] + d[5];
    } else {
        r[0] = d[0] - d[2];
        r[1] = d[1] + d[2];
        r[2] = d[2] - d[1];
        r[3] = d[1] - d[3];
    }
}

/* A^T */
PLEAT_INLINE void turn_back(int n, const V *m, V *y)
{
    if (n == 4) {
        const V a = m[1] + m[2], b = m[1] - m[2], e = m[3] + m[4], f = m[3] - m[4];
        y[0] = m[0] + a + e;
        y[1] = b + 2 * f;
        y[2] = a + 4 * e;
        y[3] = b + 8 * f + m[5];
    } else {
        y[0] = m[0] + m[1] + m[2];
        y[1] = m[1] - m[2] - m[3];
    }
}

/* A */
PLEAT_INLINE void turn_gradient(int n, const V *y, V *m)
{
    if (n == 4) {
        const V a = y[0] + y[2], b = y[1] + y[3], e = y[0] + 4 * y[2], f = 2 * y[1] + 8 * y[3];
        m[0] = y[0];
        m[1] = a + b;
        m[2] = a - b;
        m[3] = e + f;
        m[4] = e - f;
        m[5] = y[3];
    } else {
        m[0] = y[0];
        m[1] = y[0] + y[1];
        m[2] = y[0] - y[1];
        m[3] = -y[1];
    }
}

/* G */
PLEAT_INLINE void turn_kernel(int n, const V *g, V *u)
{
    if (n == 4) {
        const V a = (g[0] + g[2]) * (-1.0F / 6), b = g[1] * (1.0F / 6);
        const V e = g[0] * (1.0F / 24) + g[2] * (1.0F / 6), f = g[1] * (1.0F / 12);
        u[0] = g[0] * 0.25F;
        u[1] = a - b;
        u[2] = a + b;
        u[3] = e + f;
        u[4] = e - f;
        u[5] = g[2];
    } else {
        const V a = (g[0] + g[2]) * 0.5F, b = g[1] * 0.5F;
        u[0] = g[0];
        u[1] = a + b;
        u[2] = a - b;
        u[3] = g[2];
    }
}

/* G^T */
PLEAT_INLINE void turn_kernel_back(int n, const V *u, V *g)
{
    if (n == 4) {
        const V a = u[1] + u[2], e = u[3] + u[4];
        g[0] = u[0] * 0.25F - a * (1.0F / 6) + e * (1.0F / 24);
        g[1] = (u[2] - u[1]) * (1.0F / 6) + (u[3] - u[4]) * (1.0F / 12);
        g[2] = (e - a) * (1.0F / 6) + u[5];
    } else {
        const V a = (u[1] + u[2]) * 0.5F;
        g[0] = u[0] + a;
        g[1] = (u[1] - u[2]) * 0.5F;
        g[2] = u[3] + a;
    }
}

/* ---- Both dimensions: from `from` numbers a side, column by column and then row by row, to `to` ---- */

typedef void (*turn)(int n, const V *in, V *out);

/* Element (i, j) is at in + i row + j column, and goes to out + i out_row + j out_column. */
PLEAT_INLINE void turn_both(turn fn, int n, int from, int to, const float *in, int64_t row, int64_t column, float *out,
                            int64_t out_row, int64_t out_column)
{
    V t[6][6];
    PLEAT_UNROLL(6)
    for (int j = 0; j < from; j++) {
        V a[6], b[6];
        PLEAT_UNROLL(6)
        for (int i = 0; i < from; i++)
            a[i] = FN(load)(in + i * row + j * column);
        fn(n, a, b);
        PLEAT_UNROLL(6)
        for (int i = 0; i < to; i++)
            t[i][j] = b[i];
    }
    PLEAT_UNROLL(6)
    for (int i = 0; i < to; i++) {
        V b[6];
        fn(n, t[i], b);
        PLEAT_UNROLL(6)
        for (int j = 0; j < to; j++)
            FN(store)(out + i * out_row + j * out_column, b[j]);
    }
}

/* ---- Strips: the rows of pixels of one line of tiles, of one vector of channels, as pixel[row][column][VL] ---- */

/* A walk along the pixels of a strip, VL at a time, as they follow one another in the planes: they may begin in one row
 * and end in another. The last of them overlap those before. */
typedef struct {
    int64_t run, width, pitch; /* pixels; of a row, in the planes and in the strip */
    int64_t p, n;              /* the first of these pixels, and how many */
    int64_t at, offset;        /* its column, and where it is in the strip */
} walk;

PLEAT_INLINE bool more(walk *s)
{
    if (s->p >= s->run)
        return false;
    if (s->p + s->n > s->run) {
        s->p = s->run - s->n;
        s->at = s->p % s->width;
        s->offset = (s->p / s->width * s->pitch + s->at) * VL;
    }
    return true;
}

/* The first n elements, and zeros. */
PLEAT_APART V some(const float *from, int64_t n)
{
    V v = { 0 };
    memcpy(&v, from, (size_t)n * sizeof(float));
    return v;
}

/* On by so many pixels of a row. */
PLEAT_INLINE void step(walk *s, int64_t pixels)
{
    s->offset += pixels * VL;
    s->at += pixels;
    if (s->at == s->width) {
        s->at = 0;
        s->offset += (s->pitch - s->width) * VL;
    }
}

/* Whole rows of planes, into a strip; whole: there are vectors' worth of planes and of pixels. What will be read next
 * lies `next` elements on, and may be sent for: the rows of so many planes are too short for the processor to see what
 * follows. */
PLEAT_INLINE void gather_of(bool whole, bool send, const float *from, int64_t plane, int64_t planes, int64_t rows,
                            int64_t width, int64_t next, int64_t pitch, float *strip)
{
    const int64_t run = rows * width;
    for (walk s = { run, width, pitch, .n = least(run, VL) }; more(&s); s.p += VL) {
        V r[VL];
        PLEAT_UNROLL(16)
        for (int k = 0; k < VL; k++)
            if (whole) {
                r[k] = FN(load)(from + k * plane + s.p);
                if (send)
                    __builtin_prefetch(from + k * plane + s.p + next, 0, 2);
            } else
                r[k] = k < planes ? some(from + k * plane + s.p, s.n) : (V){ 0 };
        FN(transpose)(r);
        if (whole && s.at + VL <= width) {
            PLEAT_UNROLL(16)
            for (int k = 0; k < VL; k++)
                FN(store)(strip + s.offset + k * VL, r[k]);
            step(&s, VL);
        } else {
            PLEAT_UNROLL(16)
            for (int k = 0; k < VL; k++)
                if (whole || k < s.n) {
                    FN(store)(strip + s.offset, r[k]);
                    step(&s, 1);
                }
        }
    }
}

PLEAT_APART void gather_edge(const float *from, int64_t plane, int64_t planes, int64_t rows, int64_t width,
                             int64_t pitch, float *strip)
{
    gather_of(false, false, from, plane, planes, rows, width, 0, pitch, strip);
}

/* The other way: pixels that follow one another in the strip as in the planes. */
PLEAT_INLINE void scatter_of(bool whole, bool send, const float *strip, int64_t pixels, int64_t planes, int64_t plane,
                             int64_t next, float *to)
{
    const int64_t n = least(pixels, VL);
    for (int64_t p = 0; p < pixels; p += n) {
        p = least(p, pixels - n);
        V r[VL];
        PLEAT_UNROLL(16)
        for (int k = 0; k < VL; k++)
            r[k] = whole || k < n ? FN(load)(strip + (p + k) * VL) : (V){ 0 };
        FN(transpose)(r);
        PLEAT_UNROLL(16)
        for (int k = 0; k < VL; k++)
            if (whole) {
                FN(store)(to + k * plane + p, r[k]);
                if (send)
                    __builtin_prefetch(to + k * plane + p + next, 1, 2);
            } else if (k < planes)
                memcpy(to + k * plane + p, &r[k], (size_t)n * sizeof(float));
    }
}

PLEAT_APART void scatter_edge(const float *strip, int64_t pixels, int64_t planes, int64_t plane, float *to)
{
    scatter_of(false, false, strip, pixels, planes, plane, 0, to);
}

PLEAT_INLINE void gather(bool send, const float *from, int64_t plane, int64_t planes, int64_t rows, int64_t width,
                         int64_t next, int64_t pitch, float *strip)
{
    if (planes >= VL && rows * width >= VL)
        gather_of(true, send, from, plane, planes, rows, width, next, pitch, strip);
    else
        gather_edge(from, plane, planes, rows, width, pitch, strip);
}

PLEAT_INLINE void scatter(bool send, const float *strip, int64_t pixels, int64_t planes, int64_t plane, int64_t next,
                          float *to)
{
    if (planes >= VL && pixels >= VL)
        scatter_of(true, send, strip, pixels, planes, plane, next, to);
    else
        scatter_edge(strip, pixels, planes, plane, to);
}

/* ---- Between images and matrices ---- */

/* How many elements behind some rows the next lie: the next line's, the next channels' or the next image's. `back` rows
 * have been passed since the first line's. */
PLEAT_INLINE int64_t following(bool line, int64_t rows, int64_t back, int64_t width, int64_t c, int64_t channels,
                               int64_t plane)
{
    return line ? rows * width : least(channels - c, VL) * plane - back * width;
}

typedef struct {
    const float *x;
    int64_t plane, channels, pad;
    pleat_hw size, low; /* of the planes; what the first tile reads first, 0 or less */
    int64_t strip;      /* from one strip to the next, or 0 */
} image_side;

/* One dimension: `count` columns of `from` vectors to as many of `to`; add is added, and relu taken, if last. */
PLEAT_INLINE void turn_columns(turn fn, int n, int from, int to, const float *in, int64_t in_row, float *out,
                               int64_t out_row, int64_t count, const V *add, bool relu)
{
    for (int64_t k = 0; k < count; k++, in += VL, out += VL) {
        V a[6], b[6];
        PLEAT_UNROLL(6)
        for (int i = 0; i < from; i++) {
            a[i] = FN(load)(in + i * in_row);
            PLEAT_HOLD(a[i]);
        }
        fn(n, a, b);
        PLEAT_UNROLL(6)
        for (int i = 0; i < to; i++) {
            if (add)
                b[i] += *add;
            FN(store)(out + i * out_row, relu ? FN(relu)(b[i]) : b[i]);
        }
    }
}

/* Down the columns: tiles that read `rows` rows of an image each, n rows apart. follows: the strips hold what the line
 * before read. */
PLEAT_INLINE void spread(const pleat_winograd_work *w, turn fn, int n, int rows, const image_side *x, int64_t line,
                         int64_t lines, bool follows, float *strip, float *to)
{
    const int64_t pitch = pleat_winograd_pitch(w), row = pitch * VL, left = -x->low.w, right = left + x->size.w;
    const int64_t columns = w->tiles_w * n + 2;
    const int64_t begin = greater(0, line * n + x->low.h);
    for (int64_t c = 0; c < x->pad; c += VL, strip += x->strip) {
        for (int64_t i = 0; i < rows && !follows; i++) {
            memset(strip + i * row, 0, (size_t)(left * VL) * sizeof *strip);
            memset(strip + i * row + right * VL, 0, (size_t)(row - right * VL) * sizeof *strip);
        }
        for (int64_t i = 0; i < lines; i++) {
            const int64_t top = (line + i) * n + x->low.h, old = i || follows ? rows - n : 0;
            memcpy(strip, strip + n * row, (size_t)(old * row) * sizeof *strip);
            const int64_t first = greater(0, least(top + old, x->size.h)), last = least(top + rows, x->size.h);
            for (int64_t k = old; k < rows; k++)
                if (top + k < first || top + k >= last)
                    memset(strip + k * row + left * VL, 0, (size_t)(x->size.w * VL) * sizeof *strip);
            const float *from = x->x + c * x->plane + first * x->size.w;
            const int64_t next =
                following(i + 1 < lines, last - first, first - begin, x->size.w, c, x->channels, x->plane);
            if (w->ahead)
                gather(false, from, x->plane, x->channels - c, last - first, x->size.w, next, pitch,
                       strip + (first - top) * row + left * VL);
            else
                gather(true, from, x->plane, x->channels - c, last - first, x->size.w, next, pitch,
                       strip + (first - top) * row + left * VL);
            turn_columns(fn, n, rows, n + 2, strip, row, to + (c * w->lines + i * VL) * columns, w->stride, columns,
                         NULL, false);
        }
    }
}

static void image(const pleat_winograd_work *w, const float *x, int64_t line, int64_t lines, bool follows, float *strip,
                  float *to)
{
    const image_side side = { x, w->x_plane, w->c, w->c_pad, w->size, w->low, w->strip };
    if (w->tile == 4)
        spread(w, turn_image, 4, 6, &side, line, lines, follows, strip, to);
    else
        spread(w, turn_image, 2, 4, &side, line, lines, follows, strip, to);
}

static void gradient(const pleat_winograd_work *w, const float *dy, int64_t line, int64_t lines, float *strip,
                     float *to)
{
    const image_side side = { dy, w->y_plane, w->o, w->o_pad, w->windows, { 0, 0 }, 0 };
    if (w->tile == 4)
        spread(w, turn_gradient, 4, 4, &side, line, lines, false, strip, to);
    else
        spread(w, turn_gradient, 2, 2, &side, line, lines, false, strip, to);
}

PLEAT_INLINE void result_of(const pleat_winograd_work *w, int n, const float *from, int64_t line, int64_t lines,
                            float *strip, const float *bias, float *y)
{
    const int64_t columns = w->tiles_w * n + 2, width = w->windows.w;
    for (int64_t o = 0; o < w->o; o += VL) {
        V add = { 0 };
        if (bias)
            memcpy(&add, bias + o, (size_t)least(w->o - o, VL) * sizeof *bias);
        for (int64_t i = 0; i < lines; i++) {
            turn_columns(turn_back, n, n + 2, n, from + (o * w->lines + i * VL) * columns, w->stride, strip, width * VL,
                         width, &add, w->relu);
            const int64_t top = (line + i) * n;
            const int64_t rows = least(n, w->windows.h - top);
            const int64_t next = following(i + 1 < lines, rows, i * n, width, o, w->o, w->y_plane);
            if (w->ahead)
                scatter(false, strip, rows * width, w->o - o, w->y_plane, next, y + o * w->y_plane + top * width);
            else
                scatter(true, strip, rows * width, w->o - o, w->y_plane, next, y + o * w->y_plane + top * width);
        }
    }
}

static void result(const pleat_winograd_work *w, const float *from, int64_t line, int64_t lines, float *strip,
                   const float *bias, float *y)
{
    if (w->tile == 4)
        result_of(w, 4, from, line, lines, strip, bias, y);
    else
        result_of(w, 2, from, line, lines, strip, bias, y);
}

/* Along the rows: the squares of `from` numbers, n apart, become the matrices v[k][channel / VL][tile][VL]. */
PLEAT_INLINE void turn_rows(const pleat_winograd_work *w, turn fn, int n, int from, const float *rows, int64_t channels,
                            int64_t lines, float *v, int64_t matrix)
{
    const int64_t tiles = w->tiles_w, columns = tiles * n + 2;
    for (int64_t c = 0; c < channels; c += VL)
        for (int64_t i = 0; i < lines; i++) {
            const float *in = rows + (c * w->lines + i * VL) * columns;
            for (int64_t j = 0; j < tiles; j++, in += n * VL, v += VL)
                turn_columns(fn, n, from, n + 2, in, VL, v, matrix, 1, NULL, false);
        }
}

static void image_matrices(const pleat_winograd_work *w, const float *rows, int64_t lines, float *v, int64_t matrix)
{
    if (w->tile == 4)
        turn_rows(w, turn_image, 4, 6, rows, w->c_pad, lines, v, matrix);
    else
        turn_rows(w, turn_image, 2, 4, rows, w->c_pad, lines, v, matrix);
}

/* And back. */
PLEAT_INLINE void turn_rows_back(const pleat_winograd_work *w, int n, const float *m, int64_t matrix, int64_t lines,
                                 float *rows)
{
    const int64_t tiles = w->tiles_w, columns = tiles * n + 2;
    for (int64_t o = 0; o < w->o; o += VL)
        for (int64_t i = 0; i < lines; i++) {
            float *out = rows + (o * w->lines + i * VL) * columns;
            for (int64_t j = 0; j < tiles; j++, out += n * VL, m += VL)
                turn_columns(turn_back, n, n + 2, n, m, matrix, out, VL, 1, NULL, false);
        }
}

/* ---- Between kernels and matrices ---- */

static void kernels(const pleat_winograd_work *w, const float *packed, int64_t panel, float *u)
{
    const int64_t width = w->width, row = (w->flip_h ? -3 : 3) * width, column = (w->flip_w ? -1 : 1) * width;
    const int64_t start = (w->flip_h ? 6 : 0) * width + (w->flip_w ? 2 : 0) * width;
    const int64_t matrix = w->o_pad * w->c;
    for (int64_t c = 0; c < w->c; c++)
        for (int64_t half = 0; half < width; half += VL) {
            const float *g = packed + c * 9 * width + start + half;
            float *to = u + (panel * w->c + c) * width + half;
            if (w->tile == 4)
                turn_both(turn_kernel, 4, 3, 6, g, row, column, to, 6 * matrix, matrix);
            else
                turn_both(turn_kernel, 2, 3, 4, g, row, column, to, 4 * matrix, matrix);
        }
}

static void kernels_gradient(const pleat_winograd_work *w, const float *u, int64_t panel, int64_t row, float *dw)
{
    const int64_t width = w->width, matrix = w->o_pad * w->c_pad;
    for (int64_t c = 0; c < w->c_pad; c += VL)
        for (int64_t o = panel * width; o < least(w->o, (panel + 1) * width); o += VL) {
            float g[9 * VL * VL];
            for (int64_t k = 0; k < VL; k++) {
                const float *from = u + (panel * w->c_pad + c + k) * width + (o - panel * width);
                if (w->tile == 4)
                    turn_both(turn_kernel_back, 4, 6, 3, from, 6 * matrix, matrix, g + 9 * k * VL, 3 * VL, VL);
                else
                    turn_both(turn_kernel_back, 2, 4, 3, from, 4 * matrix, matrix, g + 9 * k * VL, 3 * VL, VL);
            }
            scatter(false, g, 9 * least(VL, w->c - c), w->o - o, row, 0, dw + o * row + 9 * c);
        }
}

/* ---- Products: of one of the matrices, v[c / VL][tile][VL] and m[o / VL][tile][VL], with a panel of u ---- */

/* From a matrix to the next, in elements. */
typedef struct {
    int64_t v, u, m;
} distance;

/* The first of so many cache lines that a product is to send for, or NULL. */
static const float *next_of(pleat_winograd_ahead *a, int64_t lines)
{
    if (a->images <= 0)
        return NULL;
    const float *at = a->at + a->c * a->plane + a->done;
    a->done += lines * LINE;
    if (a->done >= a->run) {
        a->done = 0;
        if (++a->c == a->planes) {
            a->c = 0;
            a->at += a->image;
            a->images--;
        }
    }
    return at;
}

/* m of n tiles, of two vectors of channels: of the same matrix, or (pair) of one and of the next, where a panel is one
 * vector wide. They lie so far apart in u and in m, and pairs in v as well. It may send for as many cache lines as
 * there are channels. */
PLEAT_INLINE void product_of(int n, bool pair, bool send, const pleat_winograd_work *w, distance apart, const float *v,
                             int64_t plane, const float *u, const float *ahead, float *m)
{
    const float *other = v + (pair ? apart.v : 0);
    V sum[MOST][2];
    PLEAT_UNROLL(14)
    for (int i = 0; i < n; i++)
        sum[i][0] = sum[i][1] = (V){ 0 };
    for (int64_t c = 0; c < w->c; c += VL, v += plane, other += plane) {
        const int64_t channels = least(VL, w->c - c);
        PLEAT_UNROLL(1)
        for (int64_t k = 0; k < channels; k++, u += pair ? VL : 2 * VL) {
            if (send)
                __builtin_prefetch(ahead + (c + k) * LINE, 0, 2);
            const V a = FN(load)(u), b = FN(load)(u + (pair ? apart.u : VL));
            PLEAT_UNROLL(14)
            for (int i = 0; i < n; i++) {
                sum[i][0] += v[i * VL + k] * a;
                sum[i][1] += (pair ? other : v)[i * VL + k] * b;
            }
        }
    }
    PLEAT_UNROLL(14)
    for (int i = 0; i < n; i++) {
        FN(store)(m + i * VL, sum[i][0]);
        FN(store)(m + (pair ? apart.m : plane) + i * VL, sum[i][1]);
    }
}

typedef void (*product_fn)(const pleat_winograd_work *w, distance apart, const float *v, int64_t plane, const float *u,
                           const float *ahead, float *m);

#define PRODUCT(n, pair, send)                                                                                         \
    static void product_##n##_##pair##_##send(const pleat_winograd_work *w, distance apart, const float *v,            \
                                              int64_t plane, const float *u, const float *ahead, float *m)             \
    {                                                                                                                  \
        product_of(n, pair, send, w, apart, v, plane, u, ahead, m);                                                    \
    }
#define PRODUCTS(n) PRODUCT(n, 0, 0) PRODUCT(n, 0, 1) PRODUCT(n, 1, 0) PRODUCT(n, 1, 1)
EACH(PRODUCTS)

#define PRODUCT_ROW(n) { { product_##n##_0_0, product_##n##_0_1 }, { product_##n##_1_0, product_##n##_1_1 } },
static const product_fn product[][2][2] = { EACH(PRODUCT_ROW) };

/* u of n channels, one or two vectors: = or += v^T m. */
PLEAT_INLINE void adjoint_of(int n, int vectors, bool send, const float *v, const float *m, int64_t plane,
                             int64_t depth, bool add, const float *ahead, float *u)
{
    V sum[VL][2];
    PLEAT_UNROLL(16)
    for (int i = 0; i < n; i++) {
        PLEAT_UNROLL(2)
        for (int j = 0; j < vectors; j++)
            sum[i][j] = (V){ 0 };
    }
    PLEAT_UNROLL(1)
    for (int64_t t = 0; t < depth; t++, v += VL, m += VL) {
        V lanes[2];
        if (send)
            __builtin_prefetch(ahead + t * LINE, 0, 2);
        PLEAT_UNROLL(2)
        for (int j = 0; j < vectors; j++)
            lanes[j] = FN(load)(m + j * plane);
        PLEAT_UNROLL(16)
        for (int i = 0; i < n; i++) {
            PLEAT_UNROLL(2)
            for (int j = 0; j < vectors; j++)
                sum[i][j] += v[i] * lanes[j];
        }
    }
    PLEAT_UNROLL(16)
    for (int i = 0; i < n; i++) {
        PLEAT_UNROLL(2)
        for (int j = 0; j < vectors; j++, u += VL)
            FN(store)(u, add ? FN(load)(u) + sum[i][j] : sum[i][j]);
    }
}

typedef void (*adjoint_fn)(const float *v, const float *m, int64_t plane, int64_t depth, bool add, const float *ahead,
                           float *u);

#define ADJOINT(n, vectors, send)                                                                                      \
    static void adjoint_##vectors##_##send(const float *v, const float *m, int64_t plane, int64_t depth, bool add,     \
                                           const float *ahead, float *u)                                               \
    {                                                                                                                  \
        adjoint_of(n, vectors, send, v, m, plane, depth, add, ahead, u);                                               \
    }
ADJOINT(VL, 1, 0)
ADJOINT(VL, 1, 1)
ADJOINT(CHANNELS, 2, 0)
ADJOINT(CHANNELS, 2, 1)
static const adjoint_fn adjoint[2][2] = { { adjoint_1_0, adjoint_1_1 }, { adjoint_2_0, adjoint_2_1 } };

/* n in as few strips as registers allow, evened out: the size of the first. */
static int64_t even(int64_t n)
{
    const int64_t strips = (n + MOST - 1) / MOST;
    return (n + strips - 1) / strips;
}

static void multiply(const pleat_winograd_work *w, int64_t i, const float *u, int64_t lines, float *v,
                     pleat_winograd_ahead *ahead, float *rows)
{
    const int n = w->tile;
    const int64_t width = w->width, plane = lines * w->tiles_w * VL;
    const int64_t v_size = pleat_winograd_matrix(w, w->c_pad, lines, VL);
    /* What one panel reads it may replace. */
    const bool in_place = w->o_pad == width && w->o_pad <= w->c_pad;
    float *m = in_place ? v : v + (n + 2) * v_size;
    const int64_t m_size = in_place ? v_size : pleat_winograd_matrix(w, w->o_pad, lines, VL);
    image_matrices(w, rows, lines, v, v_size);
    const bool pair = width == VL;
    const distance apart = { v_size, w->o_pad * w->c, m_size };
    const int64_t tiles = plane / VL, most = even(tiles);
    for (int64_t k = 0; k < n + 2; k += pair ? 2 : 1)
        for (int64_t o = 0; o < w->o_pad; o += width) {
            const float *panel = u + ((i * (n + 2) + k) * w->o_pad + o) * w->c, *from = v + k * v_size;
            float *to = m + k * m_size + o / VL * plane;
            for (int64_t t = 0; t < tiles; t += most) {
                const float *next = next_of(ahead, w->c);
                product[least(most, tiles - t) - 1][pair][next != NULL](w, apart, from + t * VL, plane, panel, next,
                                                                        to + t * VL);
            }
        }
    if (n == 4)
        turn_rows_back(w, 4, m, m_size, lines, rows);
    else
        turn_rows_back(w, 2, m, m_size, lines, rows);
}

static void accumulate(const pleat_winograd_work *w, int64_t i, int64_t panel, int64_t panels, const float *rows,
                       const float *gradient_rows, int64_t lines, float *v, bool add, pleat_winograd_ahead *ahead,
                       float *u)
{
    const int n = w->tile;
    const int64_t width = w->width, plane = lines * w->tiles_w * VL, tiles = plane / VL;
    const int64_t v_size = pleat_winograd_matrix(w, w->c_pad, lines, VL);
    const int64_t m_size = pleat_winograd_matrix(w, panels * width, lines, VL);
    const int64_t columns = w->tiles_w * n + 2;
    float *m = v + (n + 2) * v_size;
    gradient_rows += panel * width * w->lines * columns;
    image_matrices(w, rows, lines, v, v_size);
    if (n == 4)
        turn_rows(w, turn_gradient, 4, 4, gradient_rows, panels * width, lines, m, m_size);
    else
        turn_rows(w, turn_gradient, 2, 2, gradient_rows, panels * width, lines, m, m_size);
    const bool is_wide = width > VL;
    const int64_t strip = is_wide ? CHANNELS : VL;
    for (int64_t k = 0; k < n + 2; k++)
        for (int64_t o = 0; o < panels * width; o += width)
            for (int64_t t = 0; t < tiles; t += SUM)
                for (int64_t c = 0; c < w->c_pad; c += strip) {
                    const int64_t depth = least(SUM, tiles - t);
                    const float *next = next_of(ahead, depth);
                    adjoint[is_wide][next != NULL](
                        v + k * v_size + c / VL * plane + t * VL + c % VL, m + k * m_size + o / VL * plane + t * VL,
                        plane, depth, add || t > 0, next,
                        u + ((i * (n + 2) + k) * w->o_pad + panel * width + o) * w->c_pad + c * width);
                }
}

const struct pleat_winograd_kernels PLEAT_K(winograd_kernels) = {
    .vector = VL,
    .kernels = kernels,
    .image = image,
    .multiply = multiply,
    .result = result,
    .gradient = gradient,
    .accumulate = accumulate,
    .kernels_gradient = kernels_gradient,
};
