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

/* From sums of x - center and of its square. What rounding the center left is put right. */
static inline void FN(set_moments)(double *partial, T center, double rest, double squares, int64_t n)
{
    const double off = rest / (double)n;
    partial[0] = (double)center + off;
    squares -= rest * off;
    partial[1] = squares < 0 ? 0 : squares; /* by rounding; NaN stays */
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

/* The sum of g (x - center) and of g, g times weight unless that is NULL; with g = x - center where g is NULL. */
PLEAT_INLINE void FN(dot)(const T *x, const T *g, const T *weight, T center, bool relu, T scale, T gate, int64_t n,
                          double *sum, double *product)
{
    V s[4] = { 0 }, p[4] = { 0 };
    int64_t i = 0;
    for (; i + FN(TOGETHER) <= n; i += FN(TOGETHER))
        for (int k = 0; k < 4; k++) {
            const V d = FN(load)(x + i + k * VL) - center;
            V f = g ? FN(gated)(FN(load)(g + i + k * VL), d, relu, scale, gate) : d;
            if (weight)
                f *= FN(load)(weight + i + k * VL);
            s[k] += f;
            p[k] += f * d;
        }
    for (; i + VL <= n; i += VL) {
        const V d = FN(load)(x + i) - center;
        V f = g ? FN(gated)(FN(load)(g + i), d, relu, scale, gate) : d;
        if (weight)
            f *= FN(load)(weight + i);
        s[0] += f;
        p[0] += f * d;
    }
    *sum = FN(lanes)((s[0] + s[1]) + (s[2] + s[3]));
    *product = FN(lanes)((p[0] + p[1]) + (p[2] + p[3]));
    for (; i < n; i++) {
        const T d = x[i] - center, f = g ? FN(gated_one)(g[i], d, relu, scale, gate) * (weight ? weight[i] : 1) : d;
        *sum += (double)f;
        *product += (double)f * (double)d;
    }
}

/* Short rows are summed up several abreast: two vectors for each, whose totals are taken all at once. Where rows are
 * longer than 32 vectors, more chains of additions round less. */
enum { FN(ABREAST) = VL / 2 };

static inline bool FN(short_rows)(const pleat_norm_work *w)
{
    return w->n == 1 && w->s >= VL && w->s <= 32 * VL && !w->relu && (!w->weight || w->groups == 1);
}

/* total[i] = the sum of f, and total[ABREAST + i] that of f (x - center), over row i of n elements, where f is g, times
 * weight unless that is NULL; or x - center where g is NULL. Where there are fewer rows the first stands in for the
 * rest. */
PLEAT_INLINE void FN(dot_rows)(const T *x, const T *g, const T *weight, const T *center, int64_t rows, int64_t n,
                               T total[VL])
{
    V r[VL] = { 0 };
    IVEC lane;
    for (int l = 0; l < VL; l++)
        lane[l] = l;
    for (int64_t k = 0; k < n; k += VL) {
        const int64_t at = least(k, n - VL); /* the last vector ends with the row; lanes that have been count no more */
        const IVEC counted = lane < (INT)(k - at);
        PLEAT_UNROLL(8)
        for (int64_t i = 0; i < FN(ABREAST); i++) {
            const int64_t from = (i < rows ? i : 0) * n + at;
            const V d = FN(load)(x + from) - center[i];
            V f = g ? FN(load)(g + from) : d;
            if (weight)
                f *= FN(load)(weight + at);
            f = ZERO_WHERE(counted, f);
            r[i] += f;
            r[FN(ABREAST) + i] += f * d;
        }
    }
    FN(store)(total, FN(totals)(r));
}

static void FN(moments_of_rows)(const pleat_norm_work *w, int64_t begin, int64_t end)
{
    const int64_t n = w->s;
    for (int64_t i = begin; i < end; i += FN(ABREAST)) {
        const int64_t rows = least(end - i, FN(ABREAST));
        const T *x = (const T *)w->x + i * n;
        T center[FN(ABREAST)] = { 0 }, total[VL];
        for (int64_t k = 0; k < rows; k++) /* a first guess, about which no sum is large against the deviation */
            center[k] = x[k * n];
        FN(dot_rows)(x, NULL, NULL, center, rows, n, total);
        for (int64_t k = 0; k < rows; k++)
            center[k] += total[k] / (T)n;
        FN(dot_rows)(x, NULL, NULL, center, rows, n, total);
        for (int64_t k = 0; k < rows; k++)
            FN(set_moments)(w->partial + 2 * (i + k), center[k], (double)total[k], (double)total[FN(ABREAST) + k], n);
    }
}

static void FN(products_of_rows)(const pleat_norm_work *w, const T *weight, int64_t begin, int64_t end)
{
    const int64_t n = w->s;
    for (int64_t i = begin; i < end; i += FN(ABREAST)) {
        const int64_t rows = least(end - i, FN(ABREAST));
        T center[FN(ABREAST)] = { 0 }, total[VL];
        for (int64_t k = 0; k < rows; k++)
            center[k] = (T)w->mean[i + k];
        FN(dot_rows)((const T *)w->x + i * n, (const T *)w->g + i * n, weight, center, rows, n, total);
        for (int64_t k = 0; k < rows; k++) {
            double *partial = w->partial + 2 * (i + k);
            partial[0] = (double)total[k];
            partial[1] = (double)total[FN(ABREAST) + k] - (w->mean[i + k] - (double)center[k]) * partial[0];
        }
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
    if (planes == 1)
        return from;
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
    if (FN(short_rows)(w)) {
        FN(moments_of_rows)(w, begin, end);
        return;
    }
    for (int64_t i = begin; i < end; i++) {
        T buffer[PLEAT_NORM_BLOCK];
        int64_t n;
        const T *x = FN(block)(w, w->x, i / blocks, i % blocks, buffer, &n);
        const T center = (T)(FN(sum)(x, n) / (double)n);
        double rest, squares;
        FN(dot)(x, NULL, NULL, center, false, 0, 0, n, &rest, &squares);
        FN(set_moments)(w->partial + 2 * i, center, rest, squares, n);
    }
}

static void FN(products)(const pleat_norm_work *w, int64_t begin, int64_t end)
{
    const int64_t blocks = pleat_norm_blocks(w->n, w->s);
    if (FN(short_rows)(w)) {
        if (w->weight)
            FN(products_of_rows)(w, w->weight, begin, end);
        else
            FN(products_of_rows)(w, NULL, begin, end);
        return;
    }
    for (int64_t i = begin; i < end; i++) {
        T x_buffer[PLEAT_NORM_BLOCK], g_buffer[PLEAT_NORM_BLOCK];
        const int64_t c = i / blocks;
        int64_t n;
        const T *x = FN(block)(w, w->x, c, i % blocks, x_buffer, &n),
                *g = FN(block)(w, w->g, c, i % blocks, g_buffer, &n);
        const T center = (T)w->mean[c];
        double product;
        double *const sum = &w->partial[2 * i];
        if (w->relu) {
            FN(dot)(x, g, NULL, center, true, ((const T *)w->scale)[c], ((const T *)w->gate)[c], n, sum, &product);
        } else if (w->weight) {
            const T *weight = (const T *)w->weight + c % w->groups * w->s + i % blocks * PLEAT_NORM_BLOCK;
            FN(dot)(x, g, weight, center, false, 0, 0, n, sum, &product);
        } else {
            FN(dot)(x, g, NULL, center, false, 0, 0, n, sum, &product);
        }
        w->partial[2 * i + 1] = product - (w->mean[c] - (double)center) * *sum;
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
        for (int64_t i = begin, c = begin % w->c; i < end; i++, x += w->s, y += w->s, c = c + 1 < w->c ? c + 1 : 0) {
            const T m = center[c], a = scale[c], b = shift[c];
            for (int64_t k = 0; k < w->s; k++) {
                const T v = (x[k] - m) * a + b;
                y[k] = relu && v < 0 ? 0 : v;
            }
        }
}

/* The next rows are fetched from memory while those that are in cache are worked on: so many elements ahead. */
static inline int64_t FN(ahead)(const pleat_norm_work *w)
{
    return w->s > PLEAT_NORM_BLOCK ? w->s : PLEAT_NORM_BLOCK;
}

PLEAT_INLINE void FN(fetch)(const T *x, int64_t ahead)
{
    __builtin_prefetch((const void *)((uintptr_t)x + (uintptr_t)ahead * sizeof *x));
}

/* Planes are rows, that have a weight and a bias for each column. */
static void FN(apply_columns)(const pleat_norm_work *w, int64_t begin, int64_t end)
{
    const T *center = w->center, *scale = w->scale, *shift = w->shift;
    const int64_t ahead = FN(ahead)(w);
    for (int64_t i = begin; i < end; i++) {
        const T *x = (const T *)w->x + i * w->s, m = center[i], a = scale[i], b = shift[i];
        const T *weight = (const T *)w->weight + i % w->groups * w->s;
        const T *bias = (const T *)w->bias + i % w->groups * w->s;
        T *y = (T *)w->y + i * w->s;
        int64_t k = w->from;
        for (; k + VL <= w->to; k += VL) {
            FN(fetch)(x + k, ahead);
            FN(store)(y + k, ((FN(load)(x + k) - m) * a + b) * FN(load)(weight + k) + FN(load)(bias + k));
        }
        for (; k < w->to; k++)
            y[k] = ((x[k] - m) * a + b) * weight[k] + bias[k];
    }
}

static void FN(apply)(const pleat_norm_work *w, int64_t begin, int64_t end)
{
    if (w->weight)
        FN(apply_columns)(w, begin, end);
    else if (w->relu)
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
        for (int64_t i = begin, c = begin % w->c; i < end;
             i++, x += w->s, g += w->s, y += w->s, c = c + 1 < w->c ? c + 1 : 0) {
            const T m = center[c], a = scale[c], h = gate[c], s = slope[c], b = shift[c];
            for (int64_t k = 0; k < w->s; k++) {
                const T d = x[k] - m;
                y[k] = FN(gated_one)(g[k], d, relu, a, h) * a + (d * s + b);
            }
        }
}

PLEAT_INLINE void FN(gradient_columns)(const pleat_norm_work *w, bool sums, int64_t begin, int64_t end)
{
    const T *center = w->center, *scale = w->scale, *slope = w->slope, *shift = w->shift, *rest = w->gate;
    const int64_t ahead = FN(ahead)(w);
    for (int64_t i = begin; i < end; i++) {
        const int64_t at = i % w->groups * w->s;
        const T *x = (const T *)w->x + i * w->s, *g = (const T *)w->g + i * w->s, *weight = (const T *)w->weight + at;
        const T m = center[i], a = scale[i], s = slope[i], b = shift[i], c = rest[i];
        T *y = (T *)w->y + i * w->s, *dweight = sums ? (T *)w->dweight + at : y, *dbias = sums ? (T *)w->dbias + at : y;
        int64_t k = w->from;
        for (; k + VL <= w->to; k += VL) {
            FN(fetch)(x + k, ahead);
            FN(fetch)(g + k, ahead);
            const V d = FN(load)(x + k) - m, f = FN(load)(g + k);
            FN(store)(y + k, f * FN(load)(weight + k) * a + (d * s + b));
            if (sums) {
                FN(store)(dweight + k, FN(load)(dweight + k) + f * (d * a + c));
                FN(store)(dbias + k, FN(load)(dbias + k) + f);
            }
        }
        for (; k < w->to; k++) {
            const T d = x[k] - m, f = g[k];
            y[k] = f * weight[k] * a + (d * s + b);
            if (sums) {
                dweight[k] += f * (d * a + c);
                dbias[k] += f;
            }
        }
    }
}

static void FN(gradient)(const pleat_norm_work *w, int64_t begin, int64_t end)
{
    if (w->weight && w->dweight)
        FN(gradient_columns)(w, true, begin, end);
    else if (w->weight)
        FN(gradient_columns)(w, false, begin, end);
    else if (w->relu)
        FN(gradient_all)(w, true, begin, end);
    else
        FN(gradient_all)(w, false, begin, end);
}
