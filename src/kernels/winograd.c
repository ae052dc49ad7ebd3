/* Winograd's transforms and the products between them. */
#include "kernels/winograd.h"

#include <string.h>

#define PLEAT_FLOAT 32
#include "kernels/simd.h"

/* Tiles (or channels) by two vectors whose sums stay in registers. */
#if defined PLEAT_ISA_avx512 || defined __aarch64__
#define MOST 14
#define NARROW 28
#define EACH(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#elif defined PLEAT_ISA_avx2
#define MOST 6
#define NARROW 12
#define EACH(X) X(1) X(2) X(3) X(4) X(5) X(6)
#else
#define MOST 4
#define NARROW 12
#define EACH(X) X(1) X(2) X(3) X(4)
#endif

/* Tiles that are added up before their sum joins the others': rounding grows with the length of a sum. And how far
 * ahead those that come are sent for. */
enum { SUM = 64, AHEAD = 6 };

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

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

/* Whole rows of planes, into a strip. What will be read next lies `next` elements on, and is sent for: the rows of so
 * many planes are too short for the processor to see what follows. */
static void gather(const float *from, int64_t plane, int64_t planes, int64_t rows, int64_t width, int64_t next,
                   int64_t pitch, float *strip)
{
    const int64_t run = rows * width;
    for (walk s = { run, width, pitch, .n = least(run, VL) }; more(&s); s.p += VL) {
        V r[VL];
        if (planes >= VL && s.n == VL) {
            PLEAT_UNROLL(16)
            for (int k = 0; k < VL; k++) {
                r[k] = FN(load)(from + k * plane + s.p);
                __builtin_prefetch(from + k * plane + s.p + next, 0, 2);
            }
        } else
            for (int64_t k = 0; k < VL; k++) {
                r[k] = (V){ 0 };
                if (k < planes)
                    memcpy(&r[k], from + k * plane + s.p, (size_t)s.n * sizeof(float));
            }
        FN(transpose)(r);
        if (s.at + VL <= width) {
            PLEAT_UNROLL(16)
            for (int k = 0; k < VL; k++)
                FN(store)(strip + s.offset + k * VL, r[k]);
            step(&s, VL);
        } else if (s.n == VL) {
            PLEAT_UNROLL(16)
            for (int k = 0; k < VL; k++, step(&s, 1))
                FN(store)(strip + s.offset, r[k]);
        } else
            for (int64_t k = 0; k < s.n; k++, step(&s, 1))
                FN(store)(strip + s.offset, r[k]);
    }
}

/* The other way. */
static void scatter(const float *strip, int64_t pitch, int64_t rows, int64_t width, int64_t planes, int64_t plane,
                    int64_t next, float *to)
{
    const int64_t run = rows * width;
    for (walk s = { run, width, pitch, .n = least(run, VL) }; more(&s); s.p += VL) {
        V r[VL];
        if (s.at + VL <= width) {
            PLEAT_UNROLL(16)
            for (int k = 0; k < VL; k++)
                r[k] = FN(load)(strip + s.offset + k * VL);
            step(&s, VL);
        } else if (s.n == VL) {
            PLEAT_UNROLL(16)
            for (int k = 0; k < VL; k++, step(&s, 1))
                r[k] = FN(load)(strip + s.offset);
        } else
            for (int64_t k = 0; k < VL; k++) {
                r[k] = (V){ 0 };
                if (k < s.n) {
                    r[k] = FN(load)(strip + s.offset);
                    step(&s, 1);
                }
            }
        FN(transpose)(r);
        if (planes >= VL && s.n == VL) {
            PLEAT_UNROLL(16)
            for (int k = 0; k < VL; k++) {
                FN(store)(to + k * plane + s.p, r[k]);
                __builtin_prefetch(to + k * plane + s.p + next, 1, 2);
            }
        } else
            for (int64_t k = 0; k < least(planes, VL); k++)
                memcpy(to + k * plane + s.p, &r[k], (size_t)s.n * sizeof(float));
    }
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
} image_side;

/* The matrices of tiles that read `rows` rows of an image each, n rows apart. */
PLEAT_INLINE void spread(const pleat_winograd_work *w, turn fn, int n, int rows, const image_side *x, int64_t line,
                         int64_t lines, float *strip, float *to, int64_t stride)
{
    const int64_t pitch = pleat_winograd_pitch(w), row = pitch * VL, left = -x->low.w, right = left + x->size.w;
    for (int64_t i = 0; i < rows; i++) {
        memset(strip + i * row, 0, (size_t)(left * VL) * sizeof *strip);
        memset(strip + i * row + right * VL, 0, (size_t)(row - right * VL) * sizeof *strip);
    }
    const int64_t begin = greater(0, line * n + x->low.h);
    for (int64_t c = 0; c < x->pad; c += VL)
        for (int64_t i = 0; i < lines; i++) {
            const int64_t top = (line + i) * n + x->low.h, old = i ? rows - n : 0;
            memcpy(strip, strip + n * row, (size_t)(old * row) * sizeof *strip);
            const int64_t first = greater(0, least(top + old, x->size.h)), last = least(top + rows, x->size.h);
            for (int64_t k = old; k < rows; k++)
                if (top + k < first || top + k >= last)
                    memset(strip + k * row + left * VL, 0, (size_t)(x->size.w * VL) * sizeof *strip);
            const float *from = x->x + c * x->plane + first * x->size.w;
            const int64_t next =
                following(i + 1 < lines, last - first, first - begin, x->size.w, c, x->channels, x->plane);
            gather(from, x->plane, x->channels - c, last - first, x->size.w, next, pitch,
                   strip + (first - top) * row + left * VL);
            float *v = to + i * w->tiles_w * x->pad + c;
            for (int64_t j = 0; j < w->tiles_w; j++, v += x->pad)
                turn_both(fn, n, rows, n + 2, strip + j * n * VL, row, VL, v, (n + 2) * stride, stride, (V){ 0 },
                          false);
        }
}

static void image(const pleat_winograd_work *w, const float *x, int64_t line, int64_t lines, float *strip, float *v)
{
    const image_side side = { x, w->x_plane, w->c, w->c_pad, w->size, w->low };
    if (w->tile == 4)
        spread(w, turn_image, 4, 6, &side, line, lines, strip, v, w->v_stride);
    else
        spread(w, turn_image, 2, 4, &side, line, lines, strip, v, w->v_stride);
}

static void gradient(const pleat_winograd_work *w, const float *dy, int64_t line, int64_t lines, float *strip, float *m)
{
    const image_side side = { dy, w->y_plane, w->o, w->o_pad, w->windows, { 0, 0 } };
    if (w->tile == 4)
        spread(w, turn_gradient, 4, 4, &side, line, lines, strip, m, w->m_stride);
    else
        spread(w, turn_gradient, 2, 2, &side, line, lines, strip, m, w->m_stride);
}

PLEAT_INLINE void result_of(const pleat_winograd_work *w, int n, const float *m, int64_t line, int64_t lines,
                            float *strip, const float *bias, float *y)
{
    const int64_t pitch = pleat_winograd_pitch(w);
    for (int64_t o = 0; o < w->o; o += VL) {
        V add = { 0 };
        if (bias)
            memcpy(&add, bias + o, (size_t)least(w->o - o, VL) * sizeof *bias);
        for (int64_t i = 0; i < lines; i++) {
            const float *from = m + i * w->tiles_w * w->o_pad + o;
            for (int64_t j = 0; j < w->tiles_w; j++, from += w->o_pad)
                turn_both(turn_back, n, n + 2, n, from, (n + 2) * w->m_stride, w->m_stride, strip + j * n * VL,
                          pitch * VL, VL, add, w->relu);
            const int64_t top = (line + i) * n;
            const int64_t rows = least(n, w->windows.h - top);
            const int64_t next = following(i + 1 < lines, rows, i * n, w->windows.w, o, w->o, w->y_plane);
            scatter(strip, pitch, rows, w->windows.w, w->o - o, w->y_plane, next,
                    y + o * w->y_plane + top * w->windows.w);
        }
    }
}

static void result(const pleat_winograd_work *w, const float *m, int64_t line, int64_t lines, float *strip,
                   const float *bias, float *y)
{
    if (w->tile == 4)
        result_of(w, 4, m, line, lines, strip, bias, y);
    else
        result_of(w, 2, m, line, lines, strip, bias, y);
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
        if (add) { /* each step in a row of a matrix: too far apart for the processor to see what follows */
            PLEAT_UNROLL(2)
            for (int j = 0; j < vectors; j++)
                __builtin_prefetch(b + AHEAD * b_step + j * VL);
            __builtin_prefetch(a + AHEAD * a_step);
        }
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

/* NARROW tiles whose channels are one vector, of the image as of the result. With the strides known an element is
 * multiplied straight from memory: more of an instruction would be too much for one product. */
static void narrow(const float *v, const float *u, int64_t depth, float *m)
{
    V sum[NARROW];
    PLEAT_UNROLL(28)
    for (int i = 0; i < NARROW; i++)
        sum[i] = (V){ 0 };
    PLEAT_UNROLL(2)
    for (int64_t c = 0; c < depth; c++, v++, u += VL) {
        const V lanes = FN(load)(u);
        PLEAT_UNROLL(28)
        for (int i = 0; i < NARROW; i++)
            sum[i] += v[i * VL] * lanes;
    }
    PLEAT_UNROLL(28)
    for (int i = 0; i < NARROW; i++)
        FN(store)(m + i * VL, sum[i]);
}

/* Likewise the adjoint: all channels of the image at once. */
static void narrow_adjoint(const float *v, const float *m, int64_t depth, int64_t channels, float *u)
{
    V sum[VL];
    PLEAT_UNROLL(16)
    for (int i = 0; i < VL; i++)
        sum[i] = (V){ 0 };
    PLEAT_UNROLL(1)
    for (int64_t t = 0; t < depth; t++, v += VL, m += VL) {
        const V lanes = FN(load)(m);
        PLEAT_UNROLL(16)
        for (int i = 0; i < VL; i++)
            sum[i] += v[i] * lanes;
    }
    PLEAT_UNROLL(16)
    for (int i = 0; i < VL; i++)
        if (i < channels)
            FN(store)(u + i * VL, FN(load)(u + i * VL) + sum[i]);
}

/* n in as few strips as registers allow, evened out: the size of the first. */
static int64_t even(int64_t n)
{
    const int64_t strips = (n + MOST - 1) / MOST;
    return (n + strips - 1) / strips;
}

static void multiply(const pleat_winograd_work *w, int64_t i, int64_t panel, const float *u, const float *v,
                     int64_t tiles, float *m)
{
    const int64_t width = w->width;
    u += (i * w->o_pad + panel * width) * w->c;
    v += i * w->v_stride;
    m += i * w->m_stride + panel * width;
    for (; w->c_pad == VL && w->o_pad == VL && tiles >= NARROW; tiles -= NARROW, v += NARROW * VL, m += NARROW * VL)
        narrow(v, u, w->c, m);
    if (tiles == 0)
        return;
    const int64_t most = even(tiles);
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
    const bool is_narrow = w->c_pad == VL && w->o_pad == VL;
    for (int64_t t = 0; t < tiles && is_narrow; t += SUM)
        narrow_adjoint(v + t * VL, m + t * VL, least(SUM, tiles - t), w->c, u);
    for (int64_t t = 0; t < tiles && !is_narrow; t += SUM)
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
