/* Winograd's transforms and the products between them. */
#include "kernels/winograd.h"

#include <string.h>

#define PLEAT_FLOAT 32
#include "kernels/simd.h"

/* Tiles (or channels) by two vectors whose sums stay in registers. */
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

/* Tiles that are added up before their sum joins the others': rounding grows with the length of a sum. */
enum { SUM = 64 };

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
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
                            int64_t out_row, int64_t out_column, V add, bool relu)
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
            FN(store)(out + i * out_row + j * out_column, relu ? FN(relu)(b[j] + add) : b[j] + add);
    }
}

/* ---- Strips ---- */

/* Rows row to row + rows - 1 and columns column to column + columns - 1 of planes of that size, zero outside of them,
 * as pixel[row][column][pad]. Where the planes' rows are taken they are one run of pixels. */
static void load_strip(const float *x, int64_t plane, int64_t channels, int64_t pad, pleat_hw size, int64_t row,
                       int64_t rows, int64_t column, int64_t columns, float *strip)
{
    const int64_t first = row > 0 ? row : 0, last = row + rows < size.h ? row + rows : size.h;
    const int64_t left = -column, right = size.w - column < columns ? size.w - column : columns;
    for (int64_t i = 0; i < rows; i++) {
        float *to = strip + i * columns * pad;
        if (row + i < first || row + i >= last)
            memset(to, 0, (size_t)(columns * pad) * sizeof *to);
        else {
            memset(to, 0, (size_t)(left * pad) * sizeof *to);
            memset(to + right * pad, 0, (size_t)((columns - right) * pad) * sizeof *to);
        }
    }
    const int64_t run = (last - first) * size.w;
    for (int64_t c = 0; c < pad && run > 0; c += VL) {
        const int64_t planes = channels - c < VL ? channels - c : VL;
        const float *from = x + c * plane + first * size.w;
        for (int64_t p = 0; p < run; p += VL) {
            const int64_t begin = p + VL <= run || run < VL ? p : run - VL, n = run < VL ? run : VL;
            V r[VL];
            if (planes == VL && n == VL) {
                PLEAT_UNROLL(16)
                for (int k = 0; k < VL; k++)
                    r[k] = FN(load)(from + k * plane + begin);
            } else
                for (int64_t k = 0; k < VL; k++) {
                    r[k] = (V){ 0 };
                    if (k < planes)
                        memcpy(&r[k], from + k * plane + begin, (size_t)n * sizeof(float));
                }
            FN(transpose)(r);
            int64_t y = begin / size.w, at = begin % size.w;
            float *to = strip + (first - row + y) * columns * pad + c;
            if (n == VL && at + VL <= size.w && at - column + VL <= columns) {
                PLEAT_UNROLL(16)
                for (int k = 0; k < VL; k++)
                    FN(store)(to + (at - column + k) * pad, r[k]);
                continue;
            }
            for (int64_t k = 0; k < n; k++) {
                if (at - column < columns)
                    FN(store)(to + (at - column) * pad, r[k]);
                if (++at == size.w) {
                    at = 0;
                    to += columns * pad;
                }
            }
        }
    }
}

/* The other way: rows of the planes from a strip whose first row and column they begin with. */
static void store_strip(const float *strip, int64_t pad, int64_t columns, pleat_hw size, int64_t row, int64_t rows,
                        int64_t channels, int64_t plane, float *y)
{
    const int64_t run = (size.h - row < rows ? size.h - row : rows) * size.w;
    for (int64_t c = 0; c < channels; c += VL) {
        const int64_t planes = channels - c < VL ? channels - c : VL;
        float *to = y + c * plane + row * size.w;
        for (int64_t p = 0; p < run; p += VL) {
            const int64_t begin = p + VL <= run || run < VL ? p : run - VL, n = run < VL ? run : VL;
            int64_t at = begin % size.w;
            const float *from = strip + begin / size.w * columns * pad + c;
            V r[VL];
            if (n == VL && at + VL <= size.w) {
                PLEAT_UNROLL(16)
                for (int k = 0; k < VL; k++)
                    r[k] = FN(load)(from + (at + k) * pad);
            } else
                for (int64_t k = 0; k < VL; k++) {
                    r[k] = k < n ? FN(load)(from + at * pad) : (V){ 0 };
                    if (++at == size.w) {
                        at = 0;
                        from += columns * pad;
                    }
                }
            FN(transpose)(r);
            if (planes == VL && n == VL) {
                PLEAT_UNROLL(16)
                for (int k = 0; k < VL; k++)
                    FN(store)(to + k * plane + begin, r[k]);
            } else
                for (int64_t k = 0; k < planes; k++)
                    memcpy(to + k * plane + begin, &r[k], (size_t)n * sizeof(float));
        }
    }
}

/* ---- Between images and matrices ---- */

PLEAT_INLINE void image_of(const pleat_winograd_work *w, int n, int64_t lines, const float *strip, float *v)
{
    const int64_t columns = w->tiles_w * n + 2, row = columns * w->c_pad;
    for (int64_t i = 0; i < lines; i++)
        for (int64_t j = 0; j < w->tiles_w; j++, v += w->c_pad)
            for (int64_t c = 0; c < w->c_pad; c += VL)
                turn_both(turn_image, n, n + 2, n + 2, strip + (i * columns + j) * n * w->c_pad + c, row, w->c_pad,
                          v + c, (n + 2) * w->v_stride, w->v_stride, (V){ 0 }, false);
}

static void image(const pleat_winograd_work *w, const float *x, int64_t line, int64_t lines, float *strip, float *v)
{
    load_strip(x, w->x_plane, w->c, w->c_pad, w->size, line * w->tile + w->low.h, lines * w->tile + 2, w->low.w,
               w->tiles_w * w->tile + 2, strip);
    if (w->tile == 4)
        image_of(w, 4, lines, strip, v);
    else
        image_of(w, 2, lines, strip, v);
}

PLEAT_INLINE void result_of(const pleat_winograd_work *w, int n, const float *m, int64_t lines, const float *bias,
                            float *strip)
{
    const int64_t row = w->tiles_w * n * w->o_pad;
    for (int64_t i = 0; i < lines; i++)
        for (int64_t j = 0; j < w->tiles_w; j++, m += w->o_pad)
            for (int64_t o = 0; o < w->o; o += VL) {
                V add = { 0 };
                if (bias)
                    memcpy(&add, bias + o, (size_t)(w->o - o < VL ? w->o - o : VL) * sizeof *bias);
                turn_both(turn_back, n, n + 2, n, m + o, (n + 2) * w->m_stride, w->m_stride,
                          strip + i * n * row + j * n * w->o_pad + o, row, w->o_pad, add, w->relu);
            }
}

static void result(const pleat_winograd_work *w, const float *m, int64_t line, int64_t lines, float *strip,
                   const float *bias, float *y)
{
    if (w->tile == 4)
        result_of(w, 4, m, lines, bias, strip);
    else
        result_of(w, 2, m, lines, bias, strip);
    store_strip(strip, w->o_pad, w->tiles_w * w->tile, w->windows, line * w->tile, lines * w->tile, w->o, w->y_plane,
                y);
}

PLEAT_INLINE void gradient_of(const pleat_winograd_work *w, int n, int64_t lines, const float *strip, float *m)
{
    const int64_t row = w->tiles_w * n * w->o_pad;
    for (int64_t i = 0; i < lines; i++)
        for (int64_t j = 0; j < w->tiles_w; j++, m += w->o_pad)
            for (int64_t o = 0; o < w->o_pad; o += VL)
                turn_both(turn_gradient, n, n, n + 2, strip + i * n * row + j * n * w->o_pad + o, row, w->o_pad, m + o,
                          (n + 2) * w->m_stride, w->m_stride, (V){ 0 }, false);
}

static void gradient(const pleat_winograd_work *w, const float *dy, int64_t line, int64_t lines, float *strip, float *m)
{
    load_strip(dy, w->y_plane, w->o, w->o_pad, w->windows, line * w->tile, lines * w->tile, 0, w->tiles_w * w->tile,
               strip);
    if (w->tile == 4)
        gradient_of(w, 4, lines, strip, m);
    else
        gradient_of(w, 2, lines, strip, m);
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
                turn_both(turn_kernel, 4, 3, 6, g, row, column, to, 6 * matrix, matrix, (V){ 0 }, false);
            else
                turn_both(turn_kernel, 2, 3, 4, g, row, column, to, 4 * matrix, matrix, (V){ 0 }, false);
        }
}

static void kernels_gradient(const pleat_winograd_work *w, const float *u, int64_t panel, int64_t row, float *dw)
{
    const int64_t width = w->width, matrix = w->o_pad * w->c, channels = least(w->o - panel * width, width);
    for (int64_t c = 0; c < w->c; c++) {
        float g[9 * 2 * VL];
        for (int64_t half = 0; half < width; half += VL) {
            const float *from = u + (panel * w->c + c) * width + half;
            if (w->tile == 4)
                turn_both(turn_kernel_back, 4, 6, 3, from, 6 * matrix, matrix, g + half, 3 * width, width, (V){ 0 },
                          false);
            else
                turn_both(turn_kernel_back, 2, 4, 3, from, 4 * matrix, matrix, g + half, 3 * width, width, (V){ 0 },
                          false);
        }
        for (int64_t o = 0; o < channels; o++)
            for (int64_t k = 0; k < 9; k++)
                dw[(panel * width + o) * row + c * 9 + k] = g[k * width + o];
    }
}

/* ---- Products ---- */

/* c[i c_row] = the sum over k < depth of a[i a_lane + k a_step] b[k b_step], i < n, where b is one or two vectors;
 * added to what is there if `add`. */
PLEAT_INLINE void strip_of(int n, int vectors, const float *a, int64_t a_lane, int64_t a_step, const float *b,
                           int64_t b_step, int64_t depth, float *c, int64_t c_row, bool add)
{
    V sum[MOST][2];
    PLEAT_UNROLL(16)
    for (int i = 0; i < n; i++) {
        PLEAT_UNROLL(2)
        for (int j = 0; j < vectors; j++)
            sum[i][j] = (V){ 0 };
    }
    PLEAT_UNROLL(1)
    for (int64_t k = 0; k < depth; k++, a += a_step, b += b_step) {
        V lanes[2];
        PLEAT_UNROLL(2)
        for (int j = 0; j < vectors; j++)
            lanes[j] = FN(load)(b + j * VL);
        PLEAT_UNROLL(16)
        for (int i = 0; i < n; i++) {
            PLEAT_UNROLL(2)
            for (int j = 0; j < vectors; j++)
                sum[i][j] += a[i * a_lane] * lanes[j];
        }
    }
    PLEAT_UNROLL(16)
    for (int i = 0; i < n; i++) {
        PLEAT_UNROLL(2)
        for (int j = 0; j < vectors; j++)
            FN(store)(c + i * c_row + j * VL, add ? FN(load)(c + i * c_row + j * VL) + sum[i][j] : sum[i][j]);
    }
}

typedef void (*product_fn)(const float *a, int64_t a_lane, const float *b, int64_t depth, float *c, int64_t c_row);
typedef void (*adjoint_fn)(const float *a, int64_t a_step, const float *b, int64_t b_step, int64_t depth, float *c);

#define STRIP(n, vectors)                                                                                              \
    static void product_##n##_##vectors(const float *a, int64_t a_lane, const float *b, int64_t depth, float *c,       \
                                        int64_t c_row)                                                                 \
    {                                                                                                                  \
        strip_of(n, vectors, a, a_lane, 1, b, vectors *VL, depth, c, c_row, false);                                    \
    }                                                                                                                  \
    static void adjoint_##n##_##vectors(const float *a, int64_t a_step, const float *b, int64_t b_step, int64_t depth, \
                                        float *c)                                                                      \
    {                                                                                                                  \
        strip_of(n, vectors, a, 1, a_step, b, b_step, depth, c, vectors *VL, true);                                    \
    }
#define STRIPS(n) STRIP(n, 1) STRIP(n, 2)
EACH(STRIPS)

#define PRODUCTS(n) { product_##n##_1, product_##n##_2 },
static const product_fn product[][2] = { EACH(PRODUCTS) };
#define ADJOINTS(n) { adjoint_##n##_1, adjoint_##n##_2 },
static const adjoint_fn adjoint[][2] = { EACH(ADJOINTS) };

/* n in as few strips as registers allow, evened out: the size of the first. */
static int64_t even(int64_t n)
{
    const int64_t strips = (n + MOST - 1) / MOST;
    return (n + strips - 1) / strips;
}

static void multiply(const pleat_winograd_work *w, int64_t i, int64_t panel, const float *u, const float *v,
                     int64_t tiles, float *m)
{
    const int64_t most = even(tiles), width = w->width;
    u += (i * w->o_pad + panel * width) * w->c;
    v += i * w->v_stride;
    m += i * w->m_stride + panel * width;
    for (int64_t t = 0; t < tiles; t += most)
        product[least(most, tiles - t) - 1][width > VL](v + t * w->c_pad, w->c_pad, u, w->c, m + t * w->o_pad,
                                                        w->o_pad);
}

static void accumulate(const pleat_winograd_work *w, int64_t i, int64_t panel, const float *v, const float *m,
                       int64_t tiles, float *u)
{
    const int64_t most = even(w->c), width = w->width;
    u += (i * w->o_pad + panel * width) * w->c;
    v += i * w->v_stride;
    m += i * w->m_stride + panel * width;
    for (int64_t t = 0; t < tiles; t += SUM)
        for (int64_t c = 0; c < w->c; c += most)
            adjoint[least(most, w->c - c) - 1][width > VL](v + t * w->c_pad + c, w->c_pad, m + t * w->o_pad, w->o_pad,
                                                           least(SUM, tiles - t), u + c * width);
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
