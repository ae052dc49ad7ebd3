/* 3 x 3 windows of one channel, a step apart, for one float type: what most convolutions of each channel by itself are.
 * Of neighbouring lines two thirds of the pixels are the same, so blocks of lines share what they read: it is reading
 * vectors from anywhere, across the borders of cache lines, that takes the time. A result of the image's size is made
 * from the image where it is: zeros are shifted in at the edges, and rows shorter than a vector masked. */

enum { FN(THREE_LINES) = 4 };
typedef __typeof__((V){ 0 } > (V){ 0 }) FN(bits);

/* Zero where the mask is zero, even if there is NaN. */
PLEAT_INLINE V FN(load_masked)(const T *x, FN(bits) mask)
{
    return (V)((FN(bits))FN(load)(x) & mask);
}

/* Is this such a convolution, to one channel of the result, from one or from several? */
static bool FN(is_three)(const pleat_direct_work *w)
{
    const pleat_patches *p = w->patches;
    return w->width == 1 && w->phases.h * w->phases.w == 1 && p->step.h == 1 && p->step.w == 1 && p->taps.h == 3 &&
           p->taps.w == 3 && p->tap_step.h * p->tap_step.h == 1 && p->tap_step.w * p->tap_step.w == 1;
}

/* The k-th tap, counted as they lie in the copy, among the taps as they are counted. */
static int FN(three_tap)(const pleat_patches *p, int k)
{
    const int i = k / 3, j = k % 3;
    return (p->tap_step.h > 0 ? i : 2 - i) * 3 + (p->tap_step.w > 0 ? j : 2 - j);
}

/* Where lines of windows read: x is what the middle column's tap of the first row meets in the first window. Edges: a
 * zero lies in front of each row's first pixel and behind its last; the row above line `above` is zero and that below
 * the line in front of `below`, or these are -1. */
typedef struct {
    const T *x;
    int64_t pitch, above, below;
    bool edges;
} FN(three_rows);

/* Pixels, or their neighbours, for column j of taps: at the edges of a row only what is inside is read. */
PLEAT_INLINE V FN(three_pixel)(const T *x, int j, bool first, bool final)
{
    if (j == 0)
        return first ? PLEAT_SHIFT_IN((V){ 0 }, FN(load)(x)) : FN(load)(x - 1);
    if (j == 2)
        return final ? PLEAT_SHIFT_OUT(FN(load)(x), (V){ 0 }) : FN(load)(x + 1);
    return FN(load)(x);
}

/* Row r of those that the block of `lines` lines from line v on reads, from x on for the first: zeros where it is
 * outside, for two vectors. */
PLEAT_INLINE const T *FN(three_row)(const FN(three_rows) * rows, const T *x, int64_t v, int lines, int r)
{
    static const T nothing[2 * VL + 2];
    const bool outside = (r == 0 && v == rows->above) || (r == lines + 1 && v + lines == rows->below);
    return outside ? nothing + 1 : x + r * rows->pitch;
}

PLEAT_INLINE void FN(three_pixels)(const T *x, bool first, bool final, V at[3])
{
    PLEAT_UNROLL(3)
    for (int j = 0; j < 3; j++)
        at[j] = FN(three_pixel)(x, j, first, final);
}

/* One vector in each of `lines` lines from line v on. first, final: is it at the edge? */
PLEAT_INLINE void FN(three_block)(bool first, bool final, int lines, const FN(three_rows) * rows, int64_t v,
                                  int64_t from, const V *tap, V start, bool relu, T *to, int64_t line)
{
    const T *x = rows->x + v * rows->pitch + from;
    V sum[FN(THREE_LINES)];
    PLEAT_UNROLL(4)
    for (int i = 0; i < lines; i++)
        sum[i] = start;
    PLEAT_UNROLL(6)
    for (int r = 0; r < lines + 2; r++) {
        V at[3];
        FN(three_pixels)(FN(three_row)(rows, x, v, lines, r), first, final, at);
        PLEAT_UNROLL(3)
        for (int j = 0; j < 3; j++) {
            PLEAT_UNROLL(4)
            for (int i = 0; i < lines; i++)
                if (r - i >= 0 && r - i < 3)
                    sum[i] += tap[(r - i) * 3 + j] * at[j];
        }
    }
    PLEAT_UNROLL(4)
    for (int i = 0; i < lines; i++)
        FN(store)(to + (v + i) * line + from, relu ? FN(relu)(sum[i]) : sum[i]);
}

PLEAT_INLINE void FN(three_lines)(int lines, const FN(three_rows) * rows, int64_t v, int64_t vectors, int64_t last,
                                  const V *tap, V start, bool relu, T *to, int64_t line)
{
    for (int64_t u = 0; u < vectors; u++) {
        const int64_t from = u + 1 < vectors ? u * VL : last;
        AT_EDGES(FN(three_block), rows->edges && u == 0, rows->edges && u + 1 == vectors, lines, rows, v, from, tap,
                 start, relu, to, line);
    }
}

/* Does the result have the image's size? Then there is no copy. */
static bool FN(is_same)(const pleat_direct_work *w)
{
    const pleat_hw size = w->patches->size, windows = w->patches->windows;
    return FN(is_three)(w) && w->low.h == -1 && w->low.w == -1 && windows.h == size.h && windows.w == size.w &&
           size.w >= VL;
}

/* The rows for lines y to y_end - 1 of such an image. */
static FN(three_rows) FN(same_rows)(const pleat_direct_work *w, const T *image, int64_t y, int64_t y_end)
{
    const pleat_hw size = w->patches->size;
    return (FN(three_rows)){ image + (y - 1) * size.w, size.w, y > 0 ? -1 : 0, y_end < size.h ? -1 : y_end - y, true };
}

/* Lines of a band; a line's last vector begins at `last`. */
static void FN(three)(const pleat_patches *p, const T *weights, T bias, bool relu, const FN(three_rows) * rows,
                      int64_t lines, int64_t vectors, int64_t last, T *to, int64_t line)
{
    V tap[9];
    PLEAT_UNROLL(9)
    for (int k = 0; k < 9; k++)
        tap[k] = FN(splat)(weights[FN(three_tap)(p, k)]);
    int64_t v = 0;
    for (; v + FN(THREE_LINES) <= lines; v += FN(THREE_LINES))
        FN(three_lines)(FN(THREE_LINES), rows, v, vectors, last, tap, FN(splat)(bias), relu, to, line);
    for (; v < lines; v++)
        FN(three_lines)(1, rows, v, vectors, last, tap, FN(splat)(bias), relu, to, line);
}

/* ---- Rows shorter than a vector, each read as one: what lies beyond them is masked out, or stays in lanes that nobody
 * reads, and what is written beyond them is where the next row comes ---- */

/* What a row's pixels have to the left of them, they themselves, and what is to the right. */
static void FN(narrow_masks)(int64_t line, FN(bits) mask[3])
{
    for (int j = 0; j < 3; j++) {
        V inside;
        for (int64_t e = 0; e < VL; e++)
            inside[e] = e < line && e + j - 1 >= 0 && e + j - 1 < line;
        mask[j] = inside > 0;
    }
}

PLEAT_INLINE void FN(narrow_pixels)(const T *x, const FN(bits) mask[3], V at[3])
{
    PLEAT_UNROLL(3)
    for (int j = 0; j < 3; j++)
        at[j] = FN(load_masked)(x + j - 1, mask[j]);
}

/* A sum and what a row's taps add to it. */
PLEAT_INLINE V FN(three_taps)(V sum, const V tap[3], const V at[3])
{
    return sum + tap[0] * at[0] + tap[1] * at[1] + tap[2] * at[2];
}

static void FN(narrow_plane)(const pleat_patches *p, const T *weights, T bias, bool relu, const FN(bits) mask[3],
                             const FN(three_rows) * rows, int64_t lines, T *to)
{
    const int64_t line = rows->pitch;
    const T *x = rows->x;
    V tap[9], at[3], sum = FN(splat)(bias), next = sum; /* of a line, and of that below it */
    PLEAT_UNROLL(9)
    for (int k = 0; k < 9; k++)
        tap[k] = FN(splat)(weights[FN(three_tap)(p, k)]);
    if (rows->above != 0) {
        FN(narrow_pixels)(x, mask, at);
        sum = FN(three_taps)(sum, tap, at);
    }
    FN(narrow_pixels)(x += line, mask, at);
    sum = FN(three_taps)(sum, tap + 3, at);
    next = FN(three_taps)(next, tap, at);
    for (int64_t v = 1; v < lines; v++, to += line) {
        FN(narrow_pixels)(x += line, mask, at);
        sum = FN(three_taps)(sum, tap + 6, at);
        FN(store)(to, relu ? FN(relu)(sum) : sum);
        sum = FN(three_taps)(next, tap + 3, at);
        next = FN(three_taps)(FN(splat)(bias), tap, at);
    }
    if (rows->below != lines) {
        FN(narrow_pixels)(x + line, mask, at);
        sum = FN(three_taps)(sum, tap + 6, at);
    }
    FN(store_few)(to, relu ? FN(relu)(sum) : sum, line);
}

/* Rows of a plane for such reading. Those of the first and the last plane are copied: in front of them or behind them
 * there may be nothing. */
static FN(three_rows)
    FN(narrow_rows)(const pleat_direct_work *w, const T *image, int64_t y, int64_t y_end, int64_t o, T *copy)
{
    const pleat_hw size = w->patches->size;
    const T *plane = image + o * w->patches->channel;
    if (o == 0 || o + 1 == w->m) {
        const int64_t first = y > 0 ? y - 1 : 0;
        memcpy(copy + VL, plane + first * size.w, (size_t)((least(y_end + 1, size.h) - first) * size.w) * sizeof(T));
        plane = copy + VL - first * size.w;
    }
    return FN(same_rows)(w, plane, y, y_end);
}

static void FN(narrow)(const pleat_direct_work *w, const T *image, int64_t n, int64_t y, int64_t y_end, int64_t o,
                       int64_t o_end, T *copy)
{
    const int64_t line = w->patches->size.w;
    FN(bits) mask[3];
    FN(narrow_masks)(line, mask);
    for (; o < o_end; o++) {
        const FN(three_rows) rows = FN(narrow_rows)(w, image, y, y_end, o, copy);
        FN(narrow_plane)
        (w->patches, (const T *)w->weights + o * 9, w->bias ? ((const T *)w->bias)[o] : 0, w->relu, mask, &rows,
         y_end - y, (T *)w->c.base + o * w->c.row + n * w->c.image + y * line);
    }
}

/* ---- By weight ---- */

/* A vector of the gradient: of the last one of a line only what the mask has, as it overlaps the one before. */
PLEAT_INLINE V FN(gradient_of)(bool masked, FN(bits) mask, const T *from)
{
    return masked ? FN(load_masked)(from, mask) : FN(load)(from);
}

/* What a row of pixels, and their neighbours, add where its taps meet the next line of the gradient and the two before,
 * g. narrow: the masks of a short row, or NULL. */
PLEAT_INLINE void FN(three_products)(bool first, bool final, const FN(bits) * narrow, const T *x, V next, V g[3],
                                     V *sum)
{
    g[2] = g[1];
    g[1] = g[0];
    g[0] = next;
    PLEAT_UNROLL(3)
    for (int j = 0; j < 3; j++) {
        V at = narrow ? FN(load_masked)(x + j - 1, narrow[j]) : FN(three_pixel)(x, j, first, final);
        PLEAT_HOLD(at); /* one at a time: there are registers for no more */
        sum[j] += g[0] * at;
        sum[3 + j] += g[1] * at;
        sum[6 + j] += g[2] * at;
    }
}

/* For one vector of each line. */
PLEAT_INLINE void FN(three_column)(bool first, bool final, const FN(bits) * narrow, const T *gradient, int64_t ahead,
                                   FN(bits) mask, int64_t line, int64_t lines, const FN(three_rows) * rows, const T *x,
                                   int64_t x_ahead, V *sum)
{
    const int64_t pitch = rows->pitch, end = lines + 2 - (rows->below == lines); /* rows of zeros add nothing */
    V g[3] = { { 0 } }, total = sum[9];
    int64_t r = 0;
    if (rows->above == 0) {
        total += g[0] = FN(gradient_of)(final, mask, gradient);
        r = 1;
    }
    x += r * pitch;
    gradient += r * line;
    PLEAT_UNROLL(1)
    for (; r < lines; r++, x += pitch, gradient += line) {
        const V next = FN(gradient_of)(final, mask, gradient);
        total += next;
        if (!narrow) {
            __builtin_prefetch(gradient + ahead);
            __builtin_prefetch(x + x_ahead);
        }
        FN(three_products)(first, final, narrow, x, next, g, sum);
    }
    PLEAT_UNROLL(1)
    for (; r < end; r++, x += pitch)
        FN(three_products)(first, final, narrow, x, (V){ 0 }, g, sum);
    sum[9] = total;
}

/* By weight: nine vectors and the gradient's own, or adds to them. What is `ahead` is fetched for the next call. */
static void FN(three_weight)(const T *gradient, int64_t ahead, int64_t line, int64_t lines, const FN(three_rows) * rows,
                             int64_t x_ahead, bool add, T *sums, T *totals)
{
    const int64_t vectors = (line + VL - 1) / VL, last = line - VL;
    V sum[10]; /* the last is the gradient's */
    sum[9] = add ? FN(load)(totals) : (V){ 0 };
    PLEAT_UNROLL(9)
    for (int k = 0; k < 9; k++)
        sum[k] = add ? FN(load)(sums + k * VL) : (V){ 0 };
    if (line < VL) {
        FN(bits) narrow[3];
        FN(narrow_masks)(line, narrow);
        FN(three_column)(false, true, narrow, gradient, 0, narrow[1], line, lines, rows, rows->x, 0, sum);
    }
    for (int64_t u = 0; u < vectors && line >= VL; u++) {
        const int64_t from = u + 1 < vectors ? u * VL : last;
        V fresh; /* the last vector overlaps the one before */
        for (int64_t e = 0; e < VL; e++)
            fresh[e] = from + e >= u * VL;
        const FN(bits) mask = fresh > 0;
        const T *g = gradient + from, *x = rows->x + from;
        AT_EDGES(FN(three_column), u == 0, u + 1 == vectors, NULL, g, ahead, mask, line, lines, rows, x, x_ahead, sum);
    }
    PLEAT_UNROLL(9)
    for (int k = 0; k < 9; k++)
        FN(store)(sums + k * VL, sum[k]);
    FN(store)(totals, sum[9]);
}

static void FN(weight_narrow)(const pleat_direct_work *w, const T *image, int64_t n, int64_t y, int64_t y_end,
                              int64_t o, int64_t o_end, bool add, T *sums, T *copy, T *gradient)
{
    const int64_t line = w->patches->size.w, lines = y_end - y;
    for (; o < o_end; o++) {
        const FN(three_rows) rows = FN(narrow_rows)(w, image, y, y_end, o, copy);
        const T *from = (const T *)w->c.base + o * w->c.row + n * w->c.image + y * line;
        if (o + 1 == w->m)
            from = memcpy(gradient, from, (size_t)(lines * line) * sizeof(T));
        FN(three_weight)(from, 0, line, lines, &rows, 0, add, sums + o * 9 * VL, sums + w->totals + o * VL);
    }
}
