/* Softmax for one floating type: included by softmax.c, which defines PLEAT_FLOAT. */
#include "kernels/math_body.h"

#define NOTHING (-BIT(__builtin_inff, __builtin_inf)())

typedef struct {
    int64_t first, lines;             /* the walk's lines */
    int64_t offset, line;             /* of the first one's first element; how far apart lines are */
    int64_t steps, step, count, last; /* step: how far apart; lanes that count: of each step, and of the last */
    int64_t fours;                    /* steps that are run by four */
    bool along, turned;
} FN(walk);

/* The walk that begins at a line and takes at most to the line before end. */
PLEAT_INLINE FN(walk) FN(walk_from)(const pleat_softmax_work *w, int64_t line, int64_t end)
{
    const int64_t outer = line / w->inner, column = line % w->inner, steps = (w->size + VL - 1) / VL;
    if (w->inner == 1 && (w->size > TURNED || w->lines <= FEW))
        return (FN(walk)){ .first = line,
                           .lines = 1,
                           .offset = line * w->size,
                           .steps = steps,
                           .step = VL,
                           .count = VL,
                           .last = w->size - (steps - 1) * VL,
                           .fours = w->size / VL / 4 * 4,
                           .along = true };
    const int64_t n = least(end - line, VL);
    if (w->inner == 1)
        return (FN(walk)){ .first = line,
                           .lines = n,
                           .offset = line * w->size,
                           .line = w->size,
                           .steps = (w->size + 3) / 4 * 4,
                           .step = VL,
                           .count = VL,
                           .last = VL,
                           .fours = (w->size + 3) / 4 * 4,
                           .turned = true };
    const int64_t columns = least(n, w->inner - column);
    return (FN(walk)){ .first = line,
                       .lines = columns,
                       .offset = outer * w->size * w->inner + column,
                       .line = 1,
                       .steps = w->size,
                       .step = w->inner,
                       .count = columns,
                       .last = columns,
                       .fours = w->size / 4 * 4 };
}

/* Room for VL turned lines, the steps filled up to a multiple of four. */
typedef struct {
    T at[(TURNED + 4) * VL];
} FN(block);

/* The first element of the walk's first step: of data, or of the block, where lines are turned. */
static __attribute__((noinline)) const T *FN(turn_in)(const FN(walk) * walk, const T *from, FN(block) * block,
                                                      T otherwise)
{
    const int64_t size = walk->line;
    T all[VL * VL] = { 0 };
    if (size < VL) { /* vectors that begin in the last lines end behind them */
        memcpy(all, from, (size_t)(walk->lines * size) * sizeof *all);
        from = all;
    }
    for (int64_t begin = 0; begin < size; begin += VL) {
        const int64_t c = size < VL ? 0 : least(begin, size - VL);
        V r[VL];
        PLEAT_UNROLL(16)
        for (int64_t i = 0; i < VL; i++)
            r[i] = FN(load)(from + (size < VL || i < walk->lines ? i : 0) * size + c);
        FN(transpose)(r);
        PLEAT_UNROLL(16)
        for (int64_t i = 0; i < VL; i++)
            FN(store)(block->at + (c + i) * VL, r[i]);
    }
    for (int64_t k = size; k < walk->steps; k++)
        FN(store)(block->at + k * VL, FN(splat)(otherwise));
    return block->at;
}

static __attribute__((noinline)) void FN(turn_out)(const FN(walk) * walk, const FN(block) * block, T *to)
{
    const int64_t size = walk->line, lines = size < VL ? VL : walk->lines;
    T all[VL * VL], *const out = size < VL ? all : to;
    for (int64_t begin = 0; begin < size; begin += VL) {
        const int64_t c = size < VL ? 0 : least(begin, size - VL);
        V r[VL];
        PLEAT_UNROLL(16)
        for (int64_t i = 0; i < VL; i++)
            r[i] = FN(load)(block->at + (c + i) * VL);
        FN(transpose)(r);
        PLEAT_UNROLL(16)
        for (int64_t i = 0; i < VL; i++)
            if (i < lines)
                FN(store)(out + i * size + c, r[i]);
    }
    if (size < VL)
        memcpy(to, all, (size_t)(walk->lines * size) * sizeof *all);
}

PLEAT_INLINE const T *FN(in)(const FN(walk) * walk, const void *data, FN(block) * block, T otherwise)
{
    const T *from = (const T *)data + walk->offset;
    return walk->turned ? FN(turn_in)(walk, from, block, otherwise) : from;
}

/* Where results go, and how they get to y from there. */
PLEAT_INLINE T *FN(out)(const FN(walk) * walk, void *y, FN(block) * block)
{
    return walk->turned ? block->at : (T *)y + walk->offset;
}

PLEAT_INLINE void FN(done)(const FN(walk) * walk, void *y, const FN(block) * block)
{
    if (walk->turned)
        FN(turn_out)(walk, block, (T *)y + walk->offset);
}

/* Runs a statement for each step k, with c from 0 to 3: four chains of sums run side by side, which hides their latency
 * and keeps the rounding of long lines down. whole, a constant, tells that all lanes count. Statements load first and
 * compute then: between branches the compiler would fuse multiplications and additions in one copy and not in the
 * other. */
#define EACH_STEP(walk, ...)                                                                                           \
    do {                                                                                                               \
        int64_t k = 0;                                                                                                 \
        while (k < (walk)->fours && (walk)->count == VL)                                                               \
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

/* Steps of which not all lanes count. Functions of their own: between branches the compiler would fuse
 * multiplications and additions here and not there, and a line's bits would depend on the lines beside it. */
static __attribute__((noinline)) V FN(get_lanes)(const FN(walk) * walk, const T *from, int64_t k, T otherwise)
{
    const int64_t n = k == walk->steps - 1 ? walk->last : walk->count;
    if (n == VL)
        return FN(load)(from);
    T lane[VL];
    for (int64_t i = 0; i < VL; i++)
        lane[i] = i < n ? from[i] : otherwise;
    return FN(load)(lane);
}

static __attribute__((noinline)) void FN(put_lanes)(const FN(walk) * walk, T *to, int64_t k, V v)
{
    const int64_t n = k == walk->steps - 1 ? walk->last : walk->count;
    if (n == VL) {
        FN(store)(to, v);
        return;
    }
    T lane[VL];
    FN(store)(lane, v);
    for (int64_t i = 0; i < n; i++)
        to[i] = lane[i];
}

PLEAT_INLINE V FN(get)(const FN(walk) * walk, const T *data, int64_t k, bool whole, T otherwise)
{
    const T *from = data + k * walk->step;
    return whole ? FN(load)(from) : FN(get_lanes)(walk, from, k, otherwise);
}

PLEAT_INLINE void FN(put)(const FN(walk) * walk, T *data, int64_t k, bool whole, V v)
{
    T *to = data + k * walk->step;
    if (whole)
        FN(store)(to, v);
    else
        FN(put_lanes)(walk, to, k, v);
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

PLEAT_INLINE V FN(largest)(const FN(walk) * walk, const T *x)
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
PLEAT_INLINE V FN(sum_exp)(const FN(walk) * walk, const T *x, V m, T *y)
{
    V s[4] = { 0 };
    EACH_STEP(walk, {
        const V e = FN(exp_falling)(FN(get)(walk, x, k, whole, NOTHING) - m);
        if (whole)
            __builtin_prefetch(x + (k + walk->steps) * walk->step);
        s[c] += e;
        if (y)
            FN(put)(walk, y, k, whole, e);
    });
    return FN(sums)(walk, s);
}

static void FN(log_softmax)(const pleat_softmax_work *w, int64_t begin, int64_t end)
{
    FN(block) block;
    while (begin < end) {
        const FN(walk) walk = FN(walk_from)(w, begin, end);
        const T *x = FN(in)(&walk, w->x, &block, NOTHING);
        T *y = FN(out)(&walk, w->y, &block);
        const V m = FN(largest)(&walk, x), log_sum = FN(log)(FN(sum_exp)(&walk, x, m, NULL));
        EACH_STEP(&walk, FN(put)(&walk, y, k, whole, (FN(get)(&walk, x, k, whole, 0) - m) - log_sum));
        FN(done)(&walk, w->y, &block);
        begin += walk.lines;
    }
}

static void FN(softmax)(const pleat_softmax_work *w, int64_t begin, int64_t end)
{
    FN(block) block;
    while (begin < end) {
        const FN(walk) walk = FN(walk_from)(w, begin, end);
        const T *x = FN(in)(&walk, w->x, &block, NOTHING);
        T *y = FN(out)(&walk, w->y, &block);
        const V scale = 1 / FN(sum_exp)(&walk, x, FN(largest)(&walk, x), y);
        EACH_STEP(&walk, FN(put)(&walk, y, k, whole, FN(get)(&walk, y, k, whole, 0) * scale));
        FN(done)(&walk, w->y, &block);
        begin += walk.lines;
    }
}

static void FN(log_softmax_gradient)(const pleat_softmax_work *w, int64_t begin, int64_t end)
{
    FN(block) block, block_g;
    while (begin < end) {
        const FN(walk) walk = FN(walk_from)(w, begin, end);
        const T *x = FN(in)(&walk, w->x, &block, 0), *dy = FN(in)(&walk, w->g, &block_g, 0);
        T *to = FN(out)(&walk, w->y, &block);
        V s[4] = { 0 };
        EACH_STEP(&walk, s[c] += FN(get)(&walk, dy, k, whole, 0));
        const V sum = FN(sums)(&walk, s);
        EACH_STEP(&walk, {
            const V y = FN(get)(&walk, x, k, whole, 0), g = FN(get)(&walk, dy, k, whole, 0);
            FN(put)(&walk, to, k, whole, g - FN(exp_falling)(y) * sum);
        });
        FN(done)(&walk, w->y, &block);
        begin += walk.lines;
    }
}

static void FN(softmax_gradient)(const pleat_softmax_work *w, int64_t begin, int64_t end)
{
    FN(block) block, block_g;
    while (begin < end) {
        const FN(walk) walk = FN(walk_from)(w, begin, end);
        const T *x = FN(in)(&walk, w->x, &block, 0), *dy = FN(in)(&walk, w->g, &block_g, 0);
        T *to = FN(out)(&walk, w->y, &block);
        V s[4] = { 0 };
        EACH_STEP(&walk, {
            const V y = FN(get)(&walk, x, k, whole, 0), g = FN(get)(&walk, dy, k, whole, 0);
            s[c] += g * y;
        });
        const V sum = FN(sums)(&walk, s);
        EACH_STEP(&walk, {
            const V y = FN(get)(&walk, x, k, whole, 0), g = FN(get)(&walk, dy, k, whole, 0);
            FN(put)(&walk, to, k, whole, y * (g - sum));
        });
        FN(done)(&walk, w->y, &block);
        begin += walk.lines;
    }
}

static void FN(lse)(const pleat_softmax_work *w, int64_t begin, int64_t end)
{
    const T *weight = w->weight;
    FN(block) block;
    while (begin < end) {
        const FN(walk) walk = FN(walk_from)(w, begin, end);
        const T *lines = FN(in)(&walk, w->x, &block, NOTHING);
        const V m = FN(largest)(&walk, lines), sum = FN(sum_exp)(&walk, lines, m, NULL);
        double log_sum[VL];
        for (int64_t i = 0; i < VL; i++)
            log_sum[i] = (double)sum[i];
        for (int64_t i = 0; i < VL; i += PLEAT_VECTOR_BYTES / 8)
            store_f64(log_sum + i, log_f64(load_f64(log_sum + i)));
        for (int64_t i = 0; i < walk.lines; i++) {
            const double lse = (double)m[i] + log_sum[i];
            w->lse_out[begin + i] = lse;
            if (!w->distance)
                continue;
            const T *x = (const T *)w->x + walk.offset + i * walk.line;
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
        low[i] = v == (double)high[i] ? 0 : (T)(v - (double)high[i]); /* of infinity too */
    }
    if (rest)
        *rest = FN(load)(low);
    return FN(load)(high);
}

static void FN(cross_entropy_gradient)(const pleat_softmax_work *w, int64_t begin, int64_t end)
{
    const T *weight = w->weight;
    FN(block) block;
    while (begin < end) {
        const FN(walk) walk = FN(walk_from)(w, begin, end);
        const T *x = FN(in)(&walk, w->x, &block, 0);
        T *y = FN(out)(&walk, w->y, &block);
        V rest;
        const V lse = FN(of_lines)(&walk, w->lse, &rest), soft = FN(of_lines)(&walk, w->soft, NULL);
        EACH_STEP(&walk, {
            const V p = soft * FN(exp_falling)((FN(get)(&walk, x, k, whole, 0) - lse) - rest);
            FN(put)(&walk, y, k, whole, PICK(soft == 0, FN(splat)(0), p));
        });
        FN(done)(&walk, w->y, &block);
        for (int64_t i = 0; w->target && i < walk.lines; i++) {
            T *line = (T *)w->y + walk.offset + i * walk.line;
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

/* A kernel of y = f(x, g) over columns. Where their steps fall on the same few sets of the first cache, lines of it are
 * lost before the next columns need them: then TILE columns at a time are copied to where they lie close together, and
 * y back, while what the next ones need is fetched. */
static void FN(by_tiles)(const pleat_softmax_work *w, int64_t begin, int64_t end,
                         void (*kernel)(const pleat_softmax_work *, int64_t, int64_t))
{
    enum { LINE = 64 / sizeof(T), TILE = 2 * LINE };
    const int64_t step = w->inner * (int64_t)sizeof(T), even = step & -step; /* the power of two that divides it */
    const int64_t sets = even < WAY ? WAY / even : 1;
    if (w->size > TURNED || 2 * w->size <= WAYS * sets) {
        kernel(w, begin, end);
        return;
    }
    T x[TURNED * TILE], g[TURNED * TILE];
    pleat_softmax_work tile = *w;
    tile.lines = tile.inner = TILE;
    tile.x = tile.y = x;
    tile.g = g;
    for (int64_t n; begin < end; begin += n) {
        const int64_t column = begin % w->inner, first = begin / w->inner * w->size * w->inner + column;
        n = least(least(end - begin, w->inner - column), TILE);
        for (int64_t k = 0; k < w->size; k++) {
            const int64_t at = first + k * w->inner;
            const T *from[] = { (const T *)w->x + at, w->g ? (const T *)w->g + at : NULL };
            T *const to[] = { x + k * TILE, g + k * TILE };
            for (int i = 0; i < 2 && from[i]; i++) {
                FN(copy_row)(to[i], from[i], 1, n);
                __builtin_prefetch(from[i] + TILE);
                __builtin_prefetch(from[i] + TILE + LINE);
            }
            __builtin_prefetch((T *)w->y + at, 1);
            __builtin_prefetch((T *)w->y + at + LINE, 1);
        }
        kernel(&tile, 0, n);
        for (int64_t k = 0; k < w->size; k++)
            FN(copy_row)((T *)w->y + first + k * w->inner, x + k * TILE, 1, n);
    }
}

#undef NOTHING
#undef EACH_STEP
