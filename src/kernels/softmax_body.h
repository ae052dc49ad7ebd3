/* Softmax for one floating type: included by softmax.c, which defines PLEAT_FLOAT. */
#include "kernels/math_body.h"

#define NOTHING (-BIT(__builtin_inff, __builtin_inf)())

typedef struct {
    int64_t first, lines;             /* the walk's lines */
    int64_t offset;                   /* of the first one's first element */
    int64_t steps, step, count, last; /* step: how far apart; lanes that count: of each step, and of the last */
    int64_t lane;                     /* how far apart lanes are */
    int64_t fours;                    /* steps that are run by four */
    bool along;
} FN(walk);

/* The walk that begins at a line and takes at most to the line before end. */
PLEAT_INLINE FN(walk) FN(walk_from)(const pleat_softmax_work *w, int64_t line, int64_t end)
{
    const int64_t outer = line / w->inner, column = line % w->inner, steps = (w->size + VL - 1) / VL;
    if (w->inner == 1 && w->size >= 2 * VL)
        return (FN(walk)){ .first = line,
                           .lines = 1,
                           .offset = line * w->size,
                           .steps = steps,
                           .step = VL,
                           .count = VL,
                           .last = w->size - (steps - 1) * VL,
                           .lane = 1,
                           .fours = w->size / VL / 4 * 4,
                           .along = true };
    int64_t n = end - line < VL ? end - line : VL;
    if (w->inner > 1 && n > w->inner - column)
        n = w->inner - column;
    return (FN(walk)){ .first = line,
                       .lines = n,
                       .offset = outer * w->size * w->inner + column,
                       .steps = w->size,
                       .step = w->inner,
                       .count = n,
                       .last = n,
                       .lane = w->inner > 1 ? 1 : w->size,
                       .fours = w->size / 4 * 4 };
}

/* Runs a statement for each step k, with c from 0 to 3: four chains of sums run side by side, which hides their latency
 * and keeps the rounding of long lines down. whole, a constant, tells that all lanes count. Statements load first and
 * compute then: between branches the compiler would fuse multiplications and additions in one copy and not in the
 * other. */
#define EACH_STEP(walk, ...)                                                                                           \
    do {                                                                                                               \
        int64_t k = 0;                                                                                                 \
        while (k < (walk)->fours && (walk)->count == VL && (walk)->lane == 1)                                          \
            _Pragma("GCC unroll 4") for (int c = 0; c < 4; c++, k++)                                                   \
            {                                                                                                          \
                const bool whole = true;                                                                               \
                __VA_ARGS__;                                                                                           \
            }                                                                                                          \
        while (k < (walk)->steps)                                                                                      \
            _Pragma("GCC unroll 4") for (int c = 0; c < 4 && k < (walk)->steps; c++, k++)                              \
            {                                                                                                          \
                const bool whole = false;                                                                              \
                __VA_ARGS__;                                                                                           \
            }                                                                                                          \
    } while (0)

/* Steps of which not all lanes count, or lie apart. Functions of their own: between branches the compiler would fuse
 * multiplications and additions here and not there, and a line's bits would depend on the lines beside it. */
static __attribute__((noinline)) V FN(gather_lanes)(const FN(walk) * walk, const T *from, int64_t k, T otherwise)
{
    const int64_t n = k == walk->steps - 1 ? walk->last : walk->count;
    if (n == VL && walk->lane == 1)
        return FN(load)(from);
    T lane[VL];
    for (int64_t i = 0; i < VL; i++)
        lane[i] = i < n ? from[i * walk->lane] : otherwise;
    return FN(load)(lane);
}

static __attribute__((noinline)) void FN(scatter_lanes)(const FN(walk) * walk, T *to, int64_t k, V v)
{
    const int64_t n = k == walk->steps - 1 ? walk->last : walk->count;
    if (n == VL && walk->lane == 1) {
        FN(store)(to, v);
        return;
    }
    T lane[VL];
    FN(store)(lane, v);
    for (int64_t i = 0; i < n; i++)
        to[i * walk->lane] = lane[i];
}

PLEAT_INLINE V FN(get)(const FN(walk) * walk, const void *data, int64_t k, bool whole, T otherwise)
{
    const T *from = (const T *)data + walk->offset + k * walk->step;
    return whole ? FN(load)(from) : FN(gather_lanes)(walk, from, k, otherwise);
}

PLEAT_INLINE void FN(put)(const FN(walk) * walk, void *data, int64_t k, bool whole, V v)
{
    T *to = (T *)data + walk->offset + k * walk->step;
    if (whole)
        FN(store)(to, v);
    else
        FN(scatter_lanes)(walk, to, k, v);
}

/* One number a line, in the lanes that are the line's: all of them, or one each. */
PLEAT_INLINE V FN(sums)(const FN(walk) * walk, const V s[4])
{
    const V v = (s[0] + s[1]) + (s[2] + s[3]);
    return walk->along ? FN(splat)(FN(total)(v)) : v;
}

PLEAT_INLINE V FN(larger)(V a, V b)
{
    return PICK(a > b, a, b); /* a NaN as a is passed over, and turns up in the sum */
}

PLEAT_INLINE V FN(largest)(const FN(walk) * walk, const void *x)
{
    V m[4] = { FN(splat)(NOTHING), FN(splat)(NOTHING), FN(splat)(NOTHING), FN(splat)(NOTHING) };
    EACH_STEP(walk, m[c] = FN(larger)(FN(get)(walk, x, k, whole, NOTHING), m[c]));
    m[0] = FN(larger)(FN(larger)(m[0], m[1]), FN(larger)(m[2], m[3]));
    if (!walk->along)
        return m[0];
    T lane[VL];
    FN(store)(lane, m[0]);
    for (int64_t i = 1; i < VL; i++)
        lane[0] = lane[i] > lane[0] ? lane[i] : lane[0];
    return FN(splat)(lane[0]);
}

/* The sum of exp(x - m); y, where it is asked for, takes its terms. While it computes, the next line is fetched. */
PLEAT_INLINE V FN(sum_exp)(const FN(walk) * walk, const void *x, V m, void *y)
{
    V s[4] = { 0 };
    EACH_STEP(walk, {
        const V e = FN(exp_falling)(FN(get)(walk, x, k, whole, NOTHING) - m);
        if (whole)
            __builtin_prefetch((const T *)x + walk->offset + (k + walk->steps) * walk->step);
        s[c] += e;
        if (y)
            FN(put)(walk, y, k, whole, e);
    });
    return FN(sums)(walk, s);
}

static void FN(log_softmax)(const pleat_softmax_work *w, int64_t begin, int64_t end)
{
    while (begin < end) {
        const FN(walk) walk = FN(walk_from)(w, begin, end);
        const V m = FN(largest)(&walk, w->x), log_sum = FN(log)(FN(sum_exp)(&walk, w->x, m, NULL));
        EACH_STEP(&walk, FN(put)(&walk, w->y, k, whole, (FN(get)(&walk, w->x, k, whole, 0) - m) - log_sum));
        begin += walk.lines;
    }
}

static void FN(softmax)(const pleat_softmax_work *w, int64_t begin, int64_t end)
{
    while (begin < end) {
        const FN(walk) walk = FN(walk_from)(w, begin, end);
        const V scale = 1 / FN(sum_exp)(&walk, w->x, FN(largest)(&walk, w->x), w->y);
        EACH_STEP(&walk, FN(put)(&walk, w->y, k, whole, FN(get)(&walk, w->y, k, whole, 0) * scale));
        begin += walk.lines;
    }
}

static void FN(log_softmax_gradient)(const pleat_softmax_work *w, int64_t begin, int64_t end)
{
    while (begin < end) {
        const FN(walk) walk = FN(walk_from)(w, begin, end);
        V s[4] = { 0 };
        EACH_STEP(&walk, s[c] += FN(get)(&walk, w->g, k, whole, 0));
        const V sum = FN(sums)(&walk, s);
        EACH_STEP(&walk, {
            const V y = FN(get)(&walk, w->x, k, whole, 0), g = FN(get)(&walk, w->g, k, whole, 0);
            FN(put)(&walk, w->y, k, whole, g - FN(exp_falling)(y) * sum);
        });
        begin += walk.lines;
    }
}

static void FN(softmax_gradient)(const pleat_softmax_work *w, int64_t begin, int64_t end)
{
    while (begin < end) {
        const FN(walk) walk = FN(walk_from)(w, begin, end);
        V s[4] = { 0 };
        EACH_STEP(&walk, {
            const V y = FN(get)(&walk, w->x, k, whole, 0), g = FN(get)(&walk, w->g, k, whole, 0);
            s[c] += g * y;
        });
        const V sum = FN(sums)(&walk, s);
        EACH_STEP(&walk, {
            const V y = FN(get)(&walk, w->x, k, whole, 0), g = FN(get)(&walk, w->g, k, whole, 0);
            FN(put)(&walk, w->y, k, whole, y * (g - sum));
        });
        begin += walk.lines;
    }
}

static void FN(lse)(const pleat_softmax_work *w, int64_t begin, int64_t end)
{
    const T *weight = w->weight;
    while (begin < end) {
        const FN(walk) walk = FN(walk_from)(w, begin, end);
        const V m = FN(largest)(&walk, w->x), sum = FN(sum_exp)(&walk, w->x, m, NULL);
        for (int64_t i = 0; i < walk.lines; i++) {
            const double largest = (double)m[i], lse = largest + log((double)sum[i]);
            w->lse_out[begin + i] = lse;
            if (!w->distance)
                continue;
            const T *x = (const T *)w->x + walk.offset + i * walk.lane;
            double distance = 0;
            for (int64_t c = 0; c < w->size; c++)
                distance += (weight ? (double)weight[c] : 1) * (lse - (double)x[c * w->inner]);
            w->distance[begin + i] = distance;
        }
        begin += walk.lines;
    }
}

/* A vector of the lines' numbers, split in what T holds and the rest. */
PLEAT_INLINE V FN(of_lines)(const FN(walk) * walk, const double *number, V *rest)
{
    T high[VL] = { 0 }, low[VL] = { 0 };
    for (int64_t i = 0; i < (walk->along ? VL : walk->lines); i++) {
        const double v = number[walk->first + (walk->along ? 0 : i)];
        high[i] = (T)v;
        low[i] = (T)(v - (double)high[i]);
    }
    if (rest)
        *rest = FN(load)(low);
    return FN(load)(high);
}

static void FN(cross_entropy_gradient)(const pleat_softmax_work *w, int64_t begin, int64_t end)
{
    const T *weight = w->weight;
    T *y = w->y;
    while (begin < end) {
        const FN(walk) walk = FN(walk_from)(w, begin, end);
        V rest;
        const V lse = FN(of_lines)(&walk, w->lse, &rest), soft = FN(of_lines)(&walk, w->soft, NULL);
        EACH_STEP(&walk, {
            const V p = soft * FN(exp_falling)((FN(get)(&walk, w->x, k, whole, 0) - lse) - rest);
            FN(put)(&walk, y, k, whole, PICK(soft == 0, FN(splat)(0), p));
        });
        for (int64_t i = 0; i < walk.lines; i++) {
            T *line = y + walk.offset + i * walk.lane;
            const int64_t target = w->target[begin + i];
            const T even = (T)w->even[begin + i];
            for (int64_t c = 0; even != 0 && c < w->size; c++)
                line[c * w->inner] -= even * (weight ? weight[c] : 1);
            if (target >= 0 && target < w->size)
                line[target * w->inner] -= (T)w->hit[begin + i];
        }
        begin += walk.lines;
    }
}

#undef NOTHING
#undef EACH_STEP
