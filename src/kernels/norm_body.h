/* Normalisation for one floating type: included by norm.c, which defines PLEAT_FLOAT. */
#include "kernels/math_body.h"

static inline double FN(lanes)(V v)
{
    T lane[VL];
    double sum = 0;
    FN(store)(lane, v);
    for (int64_t l = 0; l < VL; l++)
        sum += (double)lane[l];
    return sum;
}

enum { FN(TOGETHER) = 4 * VL }; /* four chains of additions hide their latency */

static double FN(sum)(const T *x, int64_t n)
{
    V s[4] = { 0 };
    int64_t i = 0;
    for (; i + FN(TOGETHER) <= n; i += FN(TOGETHER))
        for (int k = 0; k < 4; k++)
            s[k] += FN(load)(x + i + k * VL);
    for (; i + VL <= n; i += VL)
        s[0] += FN(load)(x + i);
    double sum = FN(lanes)((s[0] + s[1]) + (s[2] + s[3]));
    for (; i < n; i++)
        sum += (double)x[i];
    return sum;
}

/* g where the relu that followed let it through; x, less the center, tells. */
PLEAT_INLINE V FN(gated)(V g, V d, bool relu, T scale, T gate)
{
    return relu ? PICK(d * scale + gate <= 0, FN(splat)(0), g) : g;
}

static inline T FN(gated_one)(T g, T d, bool relu, T scale, T gate)
{
    return relu && d * scale + gate <= 0 ? 0 : g;
}

/* The sum of g (x - center) and of g; with g = x - center itself where g is NULL. */
PLEAT_INLINE void FN(dot)(const T *x, const T *g, T center, bool relu, T scale, T gate, int64_t n, double *sum,
                          double *product)
{
    V s[4] = { 0 }, p[4] = { 0 };
    int64_t i = 0;
    for (; i + FN(TOGETHER) <= n; i += FN(TOGETHER))
        for (int k = 0; k < 4; k++) {
            const V d = FN(load)(x + i + k * VL) - center;
            const V f = g ? FN(gated)(FN(load)(g + i + k * VL), d, relu, scale, gate) : d;
            s[k] += f;
            p[k] += f * d;
        }
    for (; i + VL <= n; i += VL) {
        const V d = FN(load)(x + i) - center, f = g ? FN(gated)(FN(load)(g + i), d, relu, scale, gate) : d;
        s[0] += f;
        p[0] += f * d;
    }
    *sum = FN(lanes)((s[0] + s[1]) + (s[2] + s[3]));
    *product = FN(lanes)((p[0] + p[1]) + (p[2] + p[3]));
    for (; i < n; i++) {
        const T d = x[i] - center, f = g ? FN(gated_one)(g[i], d, relu, scale, gate) : d;
        *sum += (double)f;
        *product += (double)f * (double)d;
    }
}

/* Block b of channel c: where its elements lie, brought together in buffer where they are of more than one plane. */
static inline const T *FN(block)(const pleat_norm_work *w, const void *data, int64_t c, int64_t b, T *buffer,
                                 int64_t *n)
{
    const int64_t s = w->s, together = pleat_norm_together(s);
    if (together <= 1) {
        const int64_t pieces = (s + PLEAT_NORM_BLOCK - 1) / PLEAT_NORM_BLOCK, at = b % pieces * PLEAT_NORM_BLOCK;
        *n = s - at < PLEAT_NORM_BLOCK ? s - at : PLEAT_NORM_BLOCK;
        return (const T *)data + (b / pieces * w->c + c) * s + at;
    }
    const int64_t first = b * together, planes = w->n - first < together ? w->n - first : together;
    const T *from = (const T *)data + (first * w->c + c) * s;
    *n = planes * s;
    if (s == 1)
        for (int64_t p = 0; p < planes; p++)
            buffer[p] = from[p * w->c];
    else
        for (int64_t p = 0; p < planes; p++, from += w->c * s)
            memcpy(buffer + p * s, from, (size_t)s * sizeof(T));
    return buffer;
}

static void FN(moments)(const pleat_norm_work *w, int64_t begin, int64_t end)
{
    const int64_t blocks = pleat_norm_blocks(w->n, w->s);
    for (int64_t i = begin; i < end; i++) {
        T buffer[PLEAT_NORM_BLOCK];
        int64_t n;
        const T *x = FN(block)(w, w->x, i / blocks, i % blocks, buffer, &n);
        const T center = (T)(FN(sum)(x, n) / (double)n);
        double rest, squares;
        FN(dot)(x, NULL, center, false, 0, 0, n, &rest, &squares);
        w->partial[2 * i] = (double)center + rest / (double)n; /* what rounding the center left is put right */
        squares -= rest * rest / (double)n;
        w->partial[2 * i + 1] = squares < 0 ? 0 : squares; /* by rounding; NaN stays */
    }
}

static void FN(products)(const pleat_norm_work *w, int64_t begin, int64_t end)
{
    const int64_t blocks = pleat_norm_blocks(w->n, w->s);
    for (int64_t i = begin; i < end; i++) {
        T x_buffer[PLEAT_NORM_BLOCK], g_buffer[PLEAT_NORM_BLOCK];
        const int64_t c = i / blocks;
        int64_t n;
        const T *x = FN(block)(w, w->x, c, i % blocks, x_buffer, &n),
                *g = FN(block)(w, w->g, c, i % blocks, g_buffer, &n);
        const T center = (T)w->mean[c];
        double product;
        if (w->relu)
            FN(dot)
        (x, g, center, true, ((const T *)w->scale)[c], ((const T *)w->gate)[c], n, &w->partial[2 * i], &product);
        else FN(dot)(x, g, center, false, 0, 0, n, &w->partial[2 * i], &product);
        w->partial[2 * i + 1] = product - (w->mean[c] - (double)center) * w->partial[2 * i];
    }
}

PLEAT_INLINE void FN(apply_all)(const pleat_norm_work *w, bool relu, int64_t begin, int64_t end)
{
    const T *center = w->center, *scale = w->scale, *shift = w->shift;
    const T *x = (const T *)w->x + begin * w->s;
    T *y = (T *)w->y + begin * w->s;
    if (w->s == 1)
        for (int64_t i = begin; i < end;) { /* planes are elements: along the channels */
            const int64_t c = i % w->c, run = w->c - c < end - i ? w->c - c : end - i;
            for (int64_t k = 0; k < run; k++) {
                const T v = (x[k] - center[c + k]) * scale[c + k] + shift[c + k];
                y[k] = relu && v < 0 ? 0 : v;
            }
            i += run;
            x += run;
            y += run;
        }
    else
        for (int64_t i = begin; i < end; i++, x += w->s, y += w->s) {
            const int64_t c = i % w->c;
            const T m = center[c], a = scale[c], b = shift[c];
            for (int64_t k = 0; k < w->s; k++) {
                const T v = (x[k] - m) * a + b;
                y[k] = relu && v < 0 ? 0 : v;
            }
        }
}

static void FN(apply)(const pleat_norm_work *w, int64_t begin, int64_t end)
{
    if (w->relu)
        FN(apply_all)(w, true, begin, end);
    else
        FN(apply_all)(w, false, begin, end);
}

PLEAT_INLINE void FN(gradient_all)(const pleat_norm_work *w, bool relu, int64_t begin, int64_t end)
{
    const T *center = w->center, *scale = w->scale, *slope = w->slope, *shift = w->shift;
    const T *gate = relu ? w->gate : w->shift;
    const T *x = (const T *)w->x + begin * w->s, *g = (const T *)w->g + begin * w->s;
    T *y = (T *)w->y + begin * w->s;
    if (w->s == 1)
        for (int64_t i = begin; i < end;) {
            const int64_t c = i % w->c, run = w->c - c < end - i ? w->c - c : end - i;
            for (int64_t k = 0; k < run; k++) {
                const T d = x[k] - center[c + k], f = FN(gated_one)(g[k], d, relu, scale[c + k], gate[c + k]);
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
            const T m = center[c], a = scale[c], h = gate[c], s = slope[c], b = shift[c];
            for (int64_t k = 0; k < w->s; k++) {
                const T d = x[k] - m;
                y[k] = FN(gated_one)(g[k], d, relu, a, h) * a + (d * s + b);
            }
        }
}

static void FN(gradient)(const pleat_norm_work *w, int64_t begin, int64_t end)
{
    if (w->relu)
        FN(gradient_all)(w, true, begin, end);
    else
        FN(gradient_all)(w, false, begin, end);
}
