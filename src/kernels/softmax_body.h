/* Softmax for one floating type: included by softmax.c, which defines REAL_BITS. */
#include "kernels/math_body.h"

#define NOTHING (-BIT(__builtin_inff, __builtin_inf)())

typedef struct {
    int64_t first, lines;             /* the walk's lines */
    int64_t offset;                   /* of the first one's first element */
    int64_t steps, step, count, last; /* step: how far apart; lanes that count: of each step, and of the last */
    int64_t lane;                     /* how far apart lanes are */
    int64_t fours;                    /* steps that are run by four */
    bool along;
} F(walk);

/* The walk that begins at a line and takes at most to the line before end. */
INLINE F(walk) F(walk_from)(const pleat_softmax_work *w, int64_t line, int64_t end)
{
    const int64_t outer = line / w->inner, column = line % w->inner, steps = (w->size + LANES - 1) / LANES;
    if (w->inner == 1 && w->size >= 2 * LANES)
        return (F(walk)){ .first = line,
                          .lines = 1,
                          .offset = line * w->size,
                          .steps = steps,
                          .step = LANES,
                          .count = LANES,
                          .last = w->size - (steps - 1) * LANES,
                          .lane = 1,
                          .fours = w->size / LANES / 4 * 4,
                          .along = true };
    int64_t n = end - line < LANES ? end - line : LANES;
    if (w->inner > 1 && n > w->inner - column)
        n = w->inner - column;
    return (F(walk)){ .first = line,
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
        while (k < (walk)->fours && (walk)->count == LANES && (walk)->lane == 1)                                       \
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
static __attribute__((noinline)) VEC F(gather_lanes)(const F(walk) * walk, const REAL *from, int64_t k, REAL otherwise)
{
    const int64_t n = k == walk->steps - 1 ? walk->last : walk->count;
    if (n == LANES && walk->lane == 1)
        return F(load)(from);
    REAL lane[LANES];
    for (int64_t i = 0; i < LANES; i++)
        lane[i] = i < n ? from[i * walk->lane] : otherwise;
    return F(load)(lane);
}

static __attribute__((noinline)) void F(scatter_lanes)(const F(walk) * walk, REAL *to, int64_t k, VEC v)
{
    const int64_t n = k == walk->steps - 1 ? walk->last : walk->count;
    if (n == LANES && walk->lane == 1) {
        F(store)(to, v);
        return;
    }
    REAL lane[LANES];
    F(store)(lane, v);
    for (int64_t i = 0; i < n; i++)
        to[i * walk->lane] = lane[i];
}

INLINE VEC F(get)(const F(walk) * walk, const void *data, int64_t k, bool whole, REAL otherwise)
{
    const REAL *from = (const REAL *)data + walk->offset + k * walk->step;
    return whole ? F(load)(from) : F(gather_lanes)(walk, from, k, otherwise);
}

INLINE void F(put)(const F(walk) * walk, void *data, int64_t k, bool whole, VEC v)
{
    REAL *to = (REAL *)data + walk->offset + k * walk->step;
    if (whole)
        F(store)(to, v);
    else
        F(scatter_lanes)(walk, to, k, v);
}

/* One number a line, in the lanes that are the line's: all of them, or one each. */
INLINE VEC F(total)(const F(walk) * walk, const VEC s[4])
{
    const VEC v = (s[0] + s[1]) + (s[2] + s[3]);
    if (!walk->along)
        return v;
    REAL lane[LANES], sum = 0;
    F(store)(lane, v);
    for (int64_t i = 0; i < LANES; i++)
        sum += lane[i];
    return F(splat)(sum);
}

INLINE VEC F(larger)(VEC a, VEC b)
{
    return PICK(a > b, a, b); /* a NaN as a is passed over, and turns up in the sum */
}

INLINE VEC F(largest)(const F(walk) * walk, const void *x)
{
    VEC m[4] = { F(splat)(NOTHING), F(splat)(NOTHING), F(splat)(NOTHING), F(splat)(NOTHING) };
    EACH_STEP(walk, m[c] = F(larger)(F(get)(walk, x, k, whole, NOTHING), m[c]));
    m[0] = F(larger)(F(larger)(m[0], m[1]), F(larger)(m[2], m[3]));
    if (!walk->along)
        return m[0];
    REAL lane[LANES];
    F(store)(lane, m[0]);
    for (int64_t i = 1; i < LANES; i++)
        lane[0] = lane[i] > lane[0] ? lane[i] : lane[0];
    return F(splat)(lane[0]);
}

/* The sum of exp(x - m); y, where it is asked for, takes its terms. While it computes, the next line is fetched. */
INLINE VEC F(sum_exp)(const F(walk) * walk, const void *x, VEC m, void *y)
{
    VEC s[4] = { 0 };
    EACH_STEP(walk, {
        const VEC e = F(exp_falling)(F(get)(walk, x, k, whole, NOTHING) - m);
        if (whole)
            __builtin_prefetch((const REAL *)x + walk->offset + (k + walk->steps) * walk->step);
        s[c] += e;
        if (y)
            F(put)(walk, y, k, whole, e);
    });
    return F(total)(walk, s);
}

static void F(log_softmax)(const pleat_softmax_work *w, int64_t begin, int64_t end)
{
    while (begin < end) {
        const F(walk) walk = F(walk_from)(w, begin, end);
        const VEC m = F(largest)(&walk, w->x), log_sum = F(log)(F(sum_exp)(&walk, w->x, m, NULL));
        EACH_STEP(&walk, F(put)(&walk, w->y, k, whole, (F(get)(&walk, w->x, k, whole, 0) - m) - log_sum));
        begin += walk.lines;
    }
}

static void F(softmax)(const pleat_softmax_work *w, int64_t begin, int64_t end)
{
    while (begin < end) {
        const F(walk) walk = F(walk_from)(w, begin, end);
        const VEC scale = 1 / F(sum_exp)(&walk, w->x, F(largest)(&walk, w->x), w->y);
        EACH_STEP(&walk, F(put)(&walk, w->y, k, whole, F(get)(&walk, w->y, k, whole, 0) * scale));
        begin += walk.lines;
    }
}

static void F(log_softmax_gradient)(const pleat_softmax_work *w, int64_t begin, int64_t end)
{
    while (begin < end) {
        const F(walk) walk = F(walk_from)(w, begin, end);
        VEC s[4] = { 0 };
        EACH_STEP(&walk, s[c] += F(get)(&walk, w->g, k, whole, 0));
        const VEC sum = F(total)(&walk, s);
        EACH_STEP(&walk, {
            const VEC y = F(get)(&walk, w->x, k, whole, 0), g = F(get)(&walk, w->g, k, whole, 0);
            F(put)(&walk, w->y, k, whole, g - F(exp_falling)(y) * sum);
        });
        begin += walk.lines;
    }
}

static void F(softmax_gradient)(const pleat_softmax_work *w, int64_t begin, int64_t end)
{
    while (begin < end) {
        const F(walk) walk = F(walk_from)(w, begin, end);
        VEC s[4] = { 0 };
        EACH_STEP(&walk, {
            const VEC y = F(get)(&walk, w->x, k, whole, 0), g = F(get)(&walk, w->g, k, whole, 0);
            s[c] += g * y;
        });
        const VEC sum = F(total)(&walk, s);
        EACH_STEP(&walk, {
            const VEC y = F(get)(&walk, w->x, k, whole, 0), g = F(get)(&walk, w->g, k, whole, 0);
            F(put)(&walk, w->y, k, whole, y * (g - sum));
        });
        begin += walk.lines;
    }
}

static void F(lse)(const pleat_softmax_work *w, int64_t begin, int64_t end)
{
    const REAL *weight = w->weight;
    while (begin < end) {
        const F(walk) walk = F(walk_from)(w, begin, end);
        const VEC m = F(largest)(&walk, w->x), sum = F(sum_exp)(&walk, w->x, m, NULL);
        for (int64_t i = 0; i < walk.lines; i++) {
            const double largest = (double)m[i], lse = largest + log((double)sum[i]);
            w->lse_out[begin + i] = lse;
            if (!w->distance)
                continue;
            const REAL *x = (const REAL *)w->x + walk.offset + i * walk.lane;
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
        EACH_STEP(&walk, {
            const VEC p = soft * F(exp_falling)((F(get)(&walk, w->x, k, whole, 0) - lse) - rest);
            F(put)(&walk, y, k, whole, PICK(soft == 0, F(splat)(0), p));
        });
        for (int64_t i = 0; i < walk.lines; i++) {
            REAL *line = y + walk.offset + i * walk.lane;
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
#undef EACH_STEP
