/* Softmax for one floating type: included by softmax.c, which defines REAL_BITS. */
#include "kernels/math_body.h"

#define NOTHING (-BIT(__builtin_inff, __builtin_inf)())

typedef struct {
    int64_t first, lines;               /* the walk's lines */
    int64_t offset;                     /* of the first one's first element */
    int64_t steps, stride, count, last; /* lanes that count: of each step, and of the last */
    bool along;
} F(walk);

/* The walk that begins at a line and takes at most to the line before end. */
INLINE F(walk) F(walk_from)(const pleat_softmax_work *w, int64_t line, int64_t end)
{
    if (w->inner == 1) {
        const int64_t steps = (w->size + LANES - 1) / LANES;
        return (F(walk)){ line, 1, line * w->size, steps, LANES, LANES, w->size - (steps - 1) * LANES, true };
    }
    const int64_t outer = line / w->inner, column = line % w->inner;
    int64_t n = w->inner - column < end - line ? w->inner - column : end - line;
    n = n < LANES ? n : LANES;
    return (F(walk)){ line, n, outer * w->size * w->inner + column, w->size, w->inner, n, n, false };
}

INLINE VEC F(get)(const F(walk) * walk, const void *data, int64_t k, REAL otherwise)
{
    const REAL *from = (const REAL *)data + walk->offset + k * walk->stride;
    const int64_t n = k == walk->steps - 1 ? walk->last : walk->count;
    if (n == LANES)
        return F(load)(from);
    REAL lane[LANES];
    for (int64_t i = 0; i < LANES; i++)
        lane[i] = otherwise;
    for (int64_t i = 0; i < n; i++)
        lane[i] = from[i];
    return F(load)(lane);
}

INLINE void F(put)(const F(walk) * walk, void *data, int64_t k, VEC v)
{
    REAL *to = (REAL *)data + walk->offset + k * walk->stride;
    const int64_t n = k == walk->steps - 1 ? walk->last : walk->count;
    if (n == LANES) {
        F(store)(to, v);
        return;
    }
    REAL lane[LANES];
    F(store)(lane, v);
    for (int64_t i = 0; i < n; i++)
        to[i] = lane[i];
}

/* One number a line, in the lanes that are the line's: all of them, or one each. */
INLINE VEC F(total)(const F(walk) * walk, VEC v)
{
    if (!walk->along)
        return v;
    REAL lane[LANES], sum = 0;
    F(store)(lane, v);
    for (int64_t i = 0; i < LANES; i++)
        sum += lane[i];
    return F(splat)(sum);
}

INLINE VEC F(largest)(const F(walk) * walk, const void *x)
{
    VEC m = F(splat)(NOTHING);
    for (int64_t k = 0; k < walk->steps; k++) {
        const VEC v = F(get)(walk, x, k, NOTHING);
        m = PICK(v > m, v, m); /* NaN is passed over here and turns up in the sum */
    }
    if (!walk->along)
        return m;
    REAL lane[LANES];
    F(store)(lane, m);
    for (int64_t i = 1; i < LANES; i++)
        lane[0] = lane[i] > lane[0] ? lane[i] : lane[0];
    return F(splat)(lane[0]);
}

/* The sum of exp(x - m); four partial sums keep the rounding of long lines down. */
INLINE VEC F(sum_exp)(const F(walk) * walk, const void *x, VEC m)
{
    VEC s[4] = { 0 };
    for (int64_t k = 0; k < walk->steps; k++)
        s[k % 4] += F(exp)(F(get)(walk, x, k, NOTHING) - m);
    return F(total)(walk, (s[0] + s[1]) + (s[2] + s[3]));
}

static void F(log_softmax)(const pleat_softmax_work *w, int64_t begin, int64_t end)
{
    while (begin < end) {
        const F(walk) walk = F(walk_from)(w, begin, end);
        const VEC m = F(largest)(&walk, w->x), log_sum = F(log)(F(sum_exp)(&walk, w->x, m));
        for (int64_t k = 0; k < walk.steps; k++)
            F(put)(&walk, w->y, k, (F(get)(&walk, w->x, k, 0) - m) - log_sum);
        begin += walk.lines;
    }
}

static void F(softmax)(const pleat_softmax_work *w, int64_t begin, int64_t end)
{
    while (begin < end) {
        const F(walk) walk = F(walk_from)(w, begin, end);
        const VEC m = F(largest)(&walk, w->x), sum = F(sum_exp)(&walk, w->x, m);
        for (int64_t k = 0; k < walk.steps; k++)
            F(put)(&walk, w->y, k, F(exp)(F(get)(&walk, w->x, k, 0) - m) / sum);
        begin += walk.lines;
    }
}

static void F(log_softmax_gradient)(const pleat_softmax_work *w, int64_t begin, int64_t end)
{
    while (begin < end) {
        const F(walk) walk = F(walk_from)(w, begin, end);
        VEC s[4] = { 0 };
        for (int64_t k = 0; k < walk.steps; k++)
            s[k % 4] += F(get)(&walk, w->g, k, 0);
        const VEC sum = F(total)(&walk, (s[0] + s[1]) + (s[2] + s[3]));
        for (int64_t k = 0; k < walk.steps; k++)
            F(put)(&walk, w->y, k, F(get)(&walk, w->g, k, 0) - F(exp)(F(get)(&walk, w->x, k, 0)) * sum);
        begin += walk.lines;
    }
}

static void F(softmax_gradient)(const pleat_softmax_work *w, int64_t begin, int64_t end)
{
    while (begin < end) {
        const F(walk) walk = F(walk_from)(w, begin, end);
        VEC s[4] = { 0 };
        for (int64_t k = 0; k < walk.steps; k++)
            s[k % 4] += F(get)(&walk, w->g, k, 0) * F(get)(&walk, w->x, k, 0);
        const VEC sum = F(total)(&walk, (s[0] + s[1]) + (s[2] + s[3]));
        for (int64_t k = 0; k < walk.steps; k++)
            F(put)(&walk, w->y, k, F(get)(&walk, w->x, k, 0) * (F(get)(&walk, w->g, k, 0) - sum));
        begin += walk.lines;
    }
}

static void F(lse)(const pleat_softmax_work *w, int64_t begin, int64_t end)
{
    const REAL *weight = w->weight;
    while (begin < end) {
        const F(walk) walk = F(walk_from)(w, begin, end);
        const VEC m = F(largest)(&walk, w->x), sum = F(sum_exp)(&walk, w->x, m);
        for (int64_t i = 0; i < walk.lines; i++) {
            const double largest = (double)m[i], lse = largest + log((double)sum[i]);
            w->lse_out[begin + i] = lse;
            if (!w->distance)
                continue;
            const REAL *x = (const REAL *)w->x + walk.offset + i;
            double distance = 0;
            for (int64_t c = 0; c < w->size; c++)
                distance += (weight ? (double)weight[c] : 1) * (lse - (double)x[c * w->inner]);
            w->distance[begin + i] = distance;
        }
        begin += walk.lines;
    }
}

/* A vector of the lines' numbers, split in what REAL holds and the rest. */
INLINE VEC F(of_lines)(const F(walk) * walk, const double *number, VEC *rest)
{
    REAL high[LANES] = { 0 }, low[LANES] = { 0 };
    for (int64_t i = 0; i < (walk->along ? LANES : walk->lines); i++) {
        const double v = number[walk->first + (walk->along ? 0 : i)];
        high[i] = (REAL)v;
        low[i] = (REAL)(v - (double)high[i]);
    }
    if (rest)
        *rest = F(load)(low);
    return F(load)(high);
}

static void F(cross_entropy_gradient)(const pleat_softmax_work *w, int64_t begin, int64_t end)
{
    const REAL *weight = w->weight;
    REAL *y = w->y;
    while (begin < end) {
        const F(walk) walk = F(walk_from)(w, begin, end);
        VEC rest;
        const VEC lse = F(of_lines)(&walk, w->lse, &rest), soft = F(of_lines)(&walk, w->soft, NULL);
        for (int64_t k = 0; k < walk.steps; k++) {
            const VEC p = soft * F(exp)((F(get)(&walk, w->x, k, 0) - lse) - rest);
            F(put)(&walk, y, k, PICK(soft == 0, F(splat)(0), p));
        }
        for (int64_t i = 0; i < walk.lines; i++) {
            REAL *line = y + walk.offset + i;
            const int64_t target = w->target[begin + i];
            const REAL even = (REAL)w->even[begin + i];
            for (int64_t c = 0; even != 0 && c < w->size; c++)
                line[c * w->inner] -= even * (weight ? weight[c] : 1);
            if (target >= 0 && target < w->size)
                line[target * w->inner] -= (REAL)w->hit[begin + i];
        }
        begin += walk.lines;
    }
}

#undef NOTHING
