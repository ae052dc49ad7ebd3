/* 3 x 3 windows of one channel, a step apart, for one float type: what most convolutions of each channel by itself are.
 * Of neighbouring lines two thirds of the pixels are the same, so blocks of lines share what they read: it is reading
 * vectors from anywhere, across the borders of cache lines, that takes the time. After direct_body.h. */

enum { FN(THREE_LINES) = 4 };
typedef __typeof__((V){ 0 } > (V){ 0 }) FN(bits);

/* Is this such a convolution? */
static bool FN(is_three)(const pleat_direct_work *w)
{
    const pleat_patches *p = w->patches;
    return w->channels == 1 && w->width == 1 && w->phases.h * w->phases.w == 1 && p->step.h == 1 && p->step.w == 1 &&
           p->taps.h == 3 && p->taps.w == 3 && p->tap_step.h * p->tap_step.h == 1 && p->tap_step.w * p->tap_step.w == 1;
}

/* The k-th tap, counted as they lie in the copy, among the taps as they are counted. */
static int FN(three_tap)(const pleat_patches *p, int k)
{
    const int i = k / 3, j = k % 3;
    return (p->tap_step.h > 0 ? i : 2 - i) * 3 + (p->tap_step.w > 0 ? j : 2 - j);
}

/* One vector in each of `lines` lines. */
PLEAT_INLINE void FN(three_block)(int lines, const T *x, int64_t pitch, const V *tap, V start, bool relu, T *to,
                                  int64_t line)
{
    V sum[FN(THREE_LINES)];
    PLEAT_UNROLL(4)
    for (int v = 0; v < lines; v++)
        sum[v] = start;
    PLEAT_UNROLL(6)
    for (int r = 0; r < lines + 2; r++, x += pitch) {
        PLEAT_UNROLL(3)
        for (int j = 0; j < 3; j++) {
            const V at = FN(load)(x + j);
            PLEAT_UNROLL(4)
            for (int v = 0; v < lines; v++)
                if (r - v >= 0 && r - v < 3)
                    sum[v] += tap[(r - v) * 3 + j] * at;
        }
    }
    PLEAT_UNROLL(4)
    for (int v = 0; v < lines; v++)
        FN(store)(to + v * line, relu ? FN(relu)(sum[v]) : sum[v]);
}

/* Lines of a band, from the copy; a line's last vector begins at `last`. */
static void FN(three)(const pleat_patches *p, const T *weights, T bias, bool relu, const T *copy, int64_t pitch,
                      int64_t lines, int64_t vectors, int64_t last, T *to, int64_t line)
{
    V tap[9];
    PLEAT_UNROLL(9)
    for (int k = 0; k < 9; k++)
        tap[k] = (V){ 0 } + weights[FN(three_tap)(p, k)];
    int64_t v = 0;
    for (; v + FN(THREE_LINES) <= lines; v += FN(THREE_LINES))
        for (int64_t u = 0; u < vectors; u++) {
            const int64_t from = u + 1 < vectors ? u * VL : last;
            FN(three_block)
            (FN(THREE_LINES), copy + v * pitch + from, pitch, tap, (V){ 0 } + bias, relu, to + v * line + from, line);
        }
    for (; v < lines; v++)
        for (int64_t u = 0; u < vectors; u++) {
            const int64_t from = u + 1 < vectors ? u * VL : last;
            FN(three_block)(1, copy + v * pitch + from, pitch, tap, (V){ 0 } + bias, relu, to + v * line + from, line);
        }
}

/* Adds the totals of `count` vectors to as many sums: VL of them at a time are turned, and added up side by side. */
static void FN(add_totals)(const T *vectors, int64_t count, T *sums)
{
    for (int64_t i = 0; i < count; i += VL) {
        V block[VL];
        T totals[VL];
        PLEAT_UNROLL(16)
        for (int n = 0; n < VL; n++)
            block[n] = FN(load)(vectors + (i + n) * VL);
        FN(store)(totals, FN(totals)(block));
        for (int64_t n = 0; n < VL && i + n < count; n++)
            sums[i + n] += totals[n];
    }
}

/* By weight: adds to nine sums. The gradient's lines are read where they are. */
static void FN(three_weight)(const pleat_patches *p, const T *gradient, int64_t line, int64_t lines, const T *copy,
                             int64_t pitch, T *sums)
{
    const int64_t vectors = (line + VL - 1) / VL, last = line > VL ? line - VL : 0;
    V sum[9];
    T out[(9 + VL) * VL], totals[9] = { 0 };
    PLEAT_UNROLL(9)
    for (int k = 0; k < 9; k++)
        sum[k] = (V){ 0 };
    for (int64_t u = 0; u < vectors; u++) {
        const int64_t from = u + 1 < vectors ? u * VL : last;
        V keep; /* ones where the vector's pixels are the line's, and none that came before */
        for (int64_t e = 0; e < VL; e++)
            keep[e] = from + e >= u * VL && from + e < line;
        const FN(bits) mask = keep > 0;
        V g1 = { 0 }, g2 = { 0 };
        const T *x = copy + from, *g = gradient + from;
        for (int64_t r = 0; r < lines + 2; r++, x += pitch) {
            V g0 = { 0 };
            if (r < lines) {
                g0 = (V)((FN(bits))FN(load)(g) & mask);
                g += line;
            }
            PLEAT_UNROLL(3)
            for (int j = 0; j < 3; j++) {
                const V at = FN(load)(x + j);
                sum[j] += g0 * at;
                sum[3 + j] += g1 * at;
                sum[6 + j] += g2 * at;
            }
            g2 = g1;
            g1 = g0;
        }
    }
    PLEAT_UNROLL(9)
    for (int k = 0; k < 9; k++)
        FN(store)(out + k * VL, sum[k]);
    FN(add_totals)(out, 9, totals);
    for (int k = 0; k < 9; k++)
        sums[FN(three_tap)(p, k)] += totals[k];
}
