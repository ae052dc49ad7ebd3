/* Winograd's products, and a row of tiles from the image's side to the result's: between the transforms of
 * winograd_turn_body.h. */
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

/* Whether an element of tile i that is multiplied twice is read twice. AVX-512 multiplies by an element in memory,
 * which saves the instruction that fills a register with it; but no more than two elements or vectors a cycle are read.
 */
#if defined PLEAT_ISA_avx512
#define TWICE(i) ((i) % 2 > 0)
#else
#define TWICE(i) false
#endif

/* Channels of the image by two vectors whose sums stay in registers: they divide a vector. Tiles that are added up
 * before their sum joins the others': rounding grows with the length of a sum. And the elements of a cache line. */
enum { CHANNELS = VL == 16 ? 8 : 4, SUM = 64, LINE = 16 };

#include "kernels/winograd_strip_body.h"
#include "kernels/winograd_turn_body.h"

/* ---- Of one of the matrices, v[c / VL][tile][VL] and m[o / VL][tile][VL], with a panel of u ---- */

/* A row's matrices. */
typedef struct {
    int64_t channels;
    int64_t v, u, m; /* from a matrix to the next, in elements, */
    int64_t plane;   /* and from a vector of channels to the next */
    int pairs;
} matrices;

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
 * vector wide. It may send for as many cache lines as there are channels. */
PLEAT_INLINE void product_of(int n, bool pair, bool send, const matrices *w, const float *v, const float *u,
                             const float *ahead, float *m)
{
    const int64_t plane = w->plane;
    const float *other = v + (pair ? w->v : 0);
    PLEAT_FORGET(other);
    V sum[MOST][2];
    PLEAT_UNROLL(14)
    for (int i = 0; i < n; i++)
        sum[i][0] = sum[i][1] = (V){ 0 };
    for (int64_t c = 0; c < w->channels; c += VL, v += plane, other += plane) {
        const int64_t channels = least(VL, w->channels - c);
        PLEAT_UNROLL(2)
        for (int64_t k = 0; k < channels; k++, u += pair ? VL : 2 * VL) {
            if (send)
                __builtin_prefetch(ahead + (c + k) * LINE, 0, 2);
            const V a = FN(load)(u), b = FN(load)(u + (pair ? w->u : VL));
            PLEAT_UNROLL(14)
            for (int i = 0; i < n; i++) {
                sum[i][0] += v[i * VL + k] * a;
                sum[i][1] += (pair || TWICE(i) ? other : v)[i * VL + k] * b;
            }
        }
    }
    PLEAT_UNROLL(14)
    for (int i = 0; i < n; i++) {
        FN(store)(m + i * VL, sum[i][0]);
        FN(store)(m + (pair ? w->m : plane) + i * VL, sum[i][1]);
    }
}

/* Of one matrix, or of all pairs. */
PLEAT_INLINE void products_of(int n, bool pair, const matrices *w, const float *v, const float *u,
                              pleat_winograd_ahead *ahead, float *m)
{
    for (int i = 0; i < (pair ? w->pairs : 1); i++, v += 2 * w->v, u += 2 * w->u, m += 2 * w->m) {
        const float *sent = next_of(ahead, w->channels);
        if (sent)
            product_of(n, pair, true, w, v, u, sent, m);
        else
            product_of(n, pair, false, w, v, u, NULL, m);
    }
}

typedef void (*product_fn)(const matrices *w, const float *v, const float *u, pleat_winograd_ahead *ahead, float *m);

#define PRODUCT(n, pair)                                                                                               \
    static void product_##n##_##pair(const matrices *w, const float *v, const float *u, pleat_winograd_ahead *ahead,   \
                                     float *m)                                                                         \
    {                                                                                                                  \
        products_of(n, pair, w, v, u, ahead, m);                                                                       \
    }
#define PRODUCTS(n) PRODUCT(n, 0) PRODUCT(n, 1)
EACH(PRODUCTS)

#define PRODUCT_ROW(n) { product_##n##_0, product_##n##_1 },
static const product_fn product[][2] = { EACH(PRODUCT_ROW) };

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

/* So many vectors of channels: = or += the sums of m over its tiles. */
static void add_tiles(const float *m, int64_t plane, int64_t vectors, bool add, float *sums)
{
    for (int64_t k = 0; k < vectors; k++, sums += VL) {
        V sum = { 0 };
        for (int64_t t = 0; t < plane; t += VL, m += VL)
            sum += FN(load)(m);
        FN(store)(sums, add ? FN(load)(sums) + sum : sum);
    }
}

/* ---- A row of tiles ---- */

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
    const int64_t width = w->width, plane = lines * w->tiles_w * VL, matrix = w->c * width;
    const int64_t v_size = pleat_winograd_matrix(w, w->c_pad, lines, VL);
    /* What one panel reads it may replace. */
    const bool in_place = w->o_pad == width && w->o_pad <= w->c_pad;
    /* Panels that come from afar are multiplied one by one, and what follows them is sent for, not pixels; others share
     * a matrix of the image while it is near. */
    const int64_t span = w->far ? width : w->o_pad;
    float *m = in_place ? v : v + (n + 2) * v_size;
    const int64_t m_size = in_place ? v_size : pleat_winograd_matrix(w, span, lines, VL);
    float *turned = m + (n + 2) * m_size;
    image_matrices(w, rows, lines, v, v_size);
    const bool pair = width == VL;
    const matrices all = { w->c, v_size, matrix, m_size, plane, (n + 2) / 2 };
    const int64_t tiles = plane / VL, most = even(tiles);
    for (int64_t first = 0; first < w->o_pad; first += span) {
        const float *from = u + (i * w->o_pad + first) * (n + 2) * w->c, *packed = u + first * 9 * w->c;
        pleat_winograd_ahead next = { .at = packed + 9 * matrix, .run = 9 * matrix, .planes = 1, .images = 1 };
        if (w->packed) {
            kernels(w, packed, i, turned);
            from = turned;
        }
        for (int64_t k = 0; k < n + 2; k += pair ? n + 2 : 1) {
            if (!w->packed)
                next = (pleat_winograd_ahead){ .at = from + (k + 1) * matrix, .run = matrix, .planes = 1, .images = 1 };
            for (int64_t o = 0; o < span; o += width)
                for (int64_t t = 0; t < tiles; t += most)
                    product[least(most, tiles - t) - 1][pair](
                        &all, v + k * v_size + t * VL, from + (o * (n + 2) + k * width) * w->c, w->far ? &next : ahead,
                        m + k * m_size + o / VL * plane + t * VL);
        }
        if (n == 4)
            turn_rows_back(w, 4, m, m_size, first, first + span, lines, rows);
        else
            turn_rows_back(w, 2, m, m_size, first, first + span, lines, rows);
    }
}

static void accumulate(const pleat_winograd_work *w, int64_t i, int64_t panel, int64_t panels, const float *rows,
                       const float *gradient_rows, int64_t lines, float *v, bool add, pleat_winograd_ahead *ahead,
                       float *u)
{
    const int n = w->tile;
    const int64_t width = w->width, plane = lines * w->tiles_w * VL, tiles = plane / VL;
    const int64_t v_size = pleat_winograd_matrix(w, w->c_pad, lines, VL);
    const int64_t m_size = pleat_winograd_matrix(w, panels * width, lines, VL);
    float *m = v + (n + 2) * v_size;
    gradient_rows += panel * width * w->lines * pleat_winograd_columns(w);
    image_matrices(w, rows, lines, v, v_size);
    if (n == 4)
        turn_rows(w, turn_gradient, 4, 4, gradient_rows, panels * width, lines, m, m_size);
    else
        turn_rows(w, turn_gradient, 2, 2, gradient_rows, panels * width, lines, m, m_size);
    if (i == 1) /* at (1, 1) is the sum of a tile's pixels */
        add_tiles(m + m_size, plane, panels * width / VL, add,
                  u + (n + 2) * (n + 2) * w->o_pad * w->c_pad + panel * width);
    const bool is_wide = width > VL;
    const int64_t strip = is_wide ? CHANNELS : VL;
    for (int64_t k = 0; k < n + 2; k++)
        for (int64_t o = 0; o < panels * width; o += width)
            for (int64_t t = 0; t < tiles; t += SUM)
                for (int64_t c = 0; c < w->c_pad; c += strip) {
                    const int64_t depth = least(SUM, tiles - t);
                    float *to = u + ((i * (n + 2) + k) * w->o_pad + panel * width + o) * w->c_pad + c * width;
                    const float *next = w->far ? to + strip * width : next_of(ahead, depth);
                    adjoint[is_wide][next != NULL](v + k * v_size + c / VL * plane + t * VL + c % VL,
                                                   m + k * m_size + o / VL * plane + t * VL, plane, depth, add || t > 0,
                                                   next, to);
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
