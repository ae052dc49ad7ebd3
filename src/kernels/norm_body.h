/* Normalisation for one floating type: included by norm.c, which defines REAL_BITS. */
#include "kernels/math_body.h"

static inline double F(lanes)(VEC v)
{
    REAL lane[LANES];
    double sum = 0;
    F(store)(lane, v);
    for (int64_t l = 0; l < LANES; l++)
        sum += (double)lane[l];
    return sum;
}

enum { F(TOGETHER) = 4 * LANES }; /* four chains of additions hide their latency */

static double F(sum)(const REAL *x, int64_t n)
{
    VEC s[4] = { 0 };
    int64_t i = 0;
    for (; i + F(TOGETHER) <= n; i += F(TOGETHER))
        for (int k = 0; k < 4; k++)
            s[k] += F(load)(x + i + k * LANES);
    for (; i + LANES <= n; i += LANES)
        s[0] += F(load)(x + i);
    double sum = F(lanes)((s[0] + s[1]) + (s[2] + s[3]));
    for (; i < n; i++)
        sum += (double)x[i];
    return sum;
}

/* g where the relu that followed let it through; x, less the center, tells. */
INLINE VEC F(gated)(VEC g, VEC d, bool relu, REAL scale, REAL gate)
{
    return relu ? PICK(d * scale + gate <= 0, F(splat)(0), g) : g;
}

static inline REAL F(gated_one)(REAL g, REAL d, bool relu, REAL scale, REAL gate)
{
    return relu && d * scale + gate <= 0 ? 0 : g;
}

/* The sum of g (x - center) and of g; with g = x - center itself where g is NULL. */
INLINE void F(dot)(const REAL *x, const REAL *g, REAL center, bool relu, REAL scale, REAL gate, int64_t n, double *sum,
                   double *product)
{
    VEC s[4] = { 0 }, p[4] = { 0 };
    int64_t i = 0;
    for (; i + F(TOGETHER) <= n; i += F(TOGETHER))
        for (int k = 0; k < 4; k++) {
            const VEC d = F(load)(x + i + k * LANES) - center;
            const VEC f = g ? F(gated)(F(load)(g + i + k * LANES), d, relu, scale, gate) : d;
            s[k] += f;
            p[k] += f * d;
        }
    for (; i + LANES <= n; i += LANES) {
        const VEC d = F(load)(x + i) - center, f = g ? F(gated)(F(load)(g + i), d, relu, scale, gate) : d;
        s[0] += f;
        p[0] += f * d;
    }
    *sum = F(lanes)((s[0] + s[1]) + (s[2] + s[3]));
    *product = F(lanes)((p[0] + p[1]) + (p[2] + p[3]));
    for (; i < n; i++) {
        const REAL d = x[i] - center, f = g ? F(gated_one)(g[i], d, relu, scale, gate) : d;
        *sum += (double)f;
        *product += (double)f * (double)d;
    }
}

/* Block b of channel c: where its elements lie, brought together in buffer where they are of more than one plane. */
static inline const REAL *F(block)(const pleat_norm_work *w, const void *data, int64_t c, int64_t b, REAL *buffer,
                                   int64_t *n)
{
    const int64_t s = w->s, together = pleat_norm_together(s);
    if (together <= 1) {
        const int64_t pieces = (s + PLEAT_NORM_BLOCK - 1) / PLEAT_NORM_BLOCK, at = b % pieces * PLEAT_NORM_BLOCK;
        *n = s - at < PLEAT_NORM_BLOCK ? s - at : PLEAT_NORM_BLOCK;
        return (const REAL *)data + (b / pieces * w->c + c) * s + at;
    }
    const int64_t first = b * together, planes = w->n - first < together ? w->n - first : together;
    const REAL *from = (const REAL *)data + (first * w->c + c) * s;
    *n = planes * s;
    if (s == 1)
        for (int64_t p = 0; p < planes; p++)
            buffer[p] = from[p * w->c];
    else
        for (int64_t p = 0; p < planes; p++, from += w->c * s)
            memcpy(buffer + p * s, from, (size_t)s * sizeof(REAL));
    return buffer;
}

static void F(moments)(const pleat_norm_work *w, int64_t begin, int64_t end)
{
    const int64_t blocks = pleat_norm_blocks(w->n, w->s);
    for (int64_t i = begin; i < end; i++) {
        REAL buffer[PLEAT_NORM_BLOCK];
        int64_t n;
        const REAL *x = F(block)(w, w->x, i / blocks, i % blocks, buffer, &n);
        const REAL center = (REAL)(F(sum)(x, n) / (double)n);
        double rest, squares;
        F(dot)(x, NULL, center, false, 0, 0, n, &rest, &squares);
        w->partial[2 * i] = (double)center + rest / (double)n; /* what rounding the center left is put right */
        squares -= rest * rest / (double)n;
        w->partial[2 * i + 1] = squares < 0 ? 0 : squares; /* by rounding; NaN stays */
    }
}

static void F(products)(const pleat_norm_work *w, int64_t begin, int64_t end)
{
    const int64_t blocks = pleat_norm_blocks(w->n, w->s);
    for (int64_t i = begin; i < end; i++) {
        REAL x_buffer[PLEAT_NORM_BLOCK], g_buffer[PLEAT_NORM_BLOCK];
        const int64_t c = i / blocks;
        int64_t n;
        const REAL *x = F(block)(w, w->x, c, i % blocks, x_buffer, &n),
                   *g = F(block)(w, w->g, c, i % blocks, g_buffer, &n);
        const REAL center = (REAL)w->mean[c];
        double product;
        if (w->relu)
            F(dot)
        (x, g, center, true, ((const REAL *)w->scale)[c], ((const REAL *)w->gate)[c], n, &w->partial[2 * i], &product);
        else F(dot)(x, g, center, false, 0, 0, n, &w->partial[2 * i], &product);
        w->partial[2 * i + 1] = product - (w->mean[c] - (double)center) * w->partial[2 * i];
    }
}

INLINE void F(apply_all)(const pleat_norm_work *w, bool relu, int64_t begin, int64_t end)
{
    const REAL *center = w->center, *scale = w->scale, *shift = w->shift;
    const REAL *x = (const REAL *)w->x + begin * w->s;
    REAL *y = (REAL *)w->y + begin * w->s;
    if (w->s == 1)
        for (int64_t i = begin; i < end;) { /* planes are elements: along the channels */
            const int64_t c = i % w->c, run = w->c - c < end - i ? w->c - c : end - i;
            for (int64_t k = 0; k < run; k++) {
                const REAL v = (x[k] - center[c + k]) * scale[c + k] + shift[c + k];
                y[k] = relu && v < 0 ? 0 : v;
            }
            i += run;
            x += run;
            y += run;
        }
    else
        for (int64_t i = begin; i < end; i++, x += w->s, y += w->s) {
            const int64_t c = i % w->c;
            const REAL m = center[c], a = scale[c], b = shift[c];
            for (int64_t k = 0; k < w->s; k++) {
                const REAL v = (x[k] - m) * a + b;
                y[k] = relu && v < 0 ? 0 : v;
            }
        }
}

static void F(apply)(const pleat_norm_work *w, int64_t begin, int64_t end)
{
    if (w->relu)
        F(apply_all)(w, true, begin, end);
    else
        F(apply_all)(w, false, begin, end);
}

INLINE void F(gradient_all)(const pleat_norm_work *w, bool relu, int64_t begin, int64_t end)
{
    const REAL *center = w->center, *scale = w->scale, *slope = w->slope, *shift = w->shift;
    const REAL *gate = relu ? w->gate : w->shift;
    const REAL *x = (const REAL *)w->x + begin * w->s, *g = (const REAL *)w->g + begin * w->s;
    REAL *y = (REAL *)w->y + begin * w->s;
    if (w->s == 1)
        for (int64_t i = begin; i < end;) {
            const int64_t c = i % w->c, run = w->c - c < end - i ? w->c - c : end - i;
            for (int64_t k = 0; k < run; k++) {
                const REAL d = x[k] - center[c + k], f = F(gated_one)(g[k], d, relu, scale[c + k], gate[c + k]);
                y[k] = f * scale[c + k] + (d * slope[c + k] + shift[c + k]);
            }
            i += run;
            x += run;
            g += run;
            y += run;
        }
    else
        for (int64_t i = begin; i < end; i++, x += w->s, g += w->s, y += w->s) {
            const int64_t c = i % w->c;
            const REAL m = center[c], a = scale[c], h = gate[c], s = slope[c], b = shift[c];
            for (int64_t k = 0; k < w->s; k++) {
                const REAL d = x[k] - m;
                y[k] = F(gated_one)(g[k], d, relu, a, h) * a + (d * s + b);
            }
        }
}

static void F(gradient)(const pleat_norm_work *w, int64_t begin, int64_t end)
{
    if (w->relu)
        F(gradient_all)(w, true, begin, end);
    else
        F(gradient_all)(w, false, begin, end);
}
