/* direct.c's functions for one float type. */

#define NR (2 * VL)

/* ---- The padded copy ---- */

static void FN(copy_band)(const pleat_direct_work *w, const T *image, int64_t y, int64_t y_end, T *to)
{
    const pleat_patches *p = w->patches;
    const int64_t step = p->step.w, rows = (y_end - y - 1) * p->step.h + w->rows - (w->lines - 1) * p->step.h;
    for (int64_t part = 0; part < step; part++) {
        const int64_t column = w->low.w + part;
        const pleat_span in = pleat_inside(w->part, step, column, p->size.w);
        for (int64_t c = 0; c < w->channels; c++)
            for (int64_t r = 0; r < rows; r++) {
                T *row = to + c * w->plane + r * w->pitch + part * w->part;
                const int64_t source = y * p->step.h + w->low.h + r;
                if (source < 0 || source >= p->size.h || in.begin == in.end) {
                    for (int64_t i = 0; i < w->part; i++)
                        row[i] = 0;
                    continue;
                }
                for (int64_t i = 0; i < in.begin; i++)
                    row[i] = 0;
                FN(copy_row)
                (row + in.begin, image + c * p->channel + source * p->size.w + column + in.begin * step, step,
                 in.end - in.begin);
                for (int64_t i = in.end; i < w->part; i++)
                    row[i] = 0;
            }
    }
}

/* ---- Over output channels ---- */

/* The sums of `count` neighbouring pixels by `vectors` vectors of output channels, over some taps: as gemm's tile, but
 * each tap's pixels are read from the copy where they lie. The count and the vectors are constants at every call. */
PLEAT_INLINE void FN(strip)(int count, int vectors, int64_t depth, const int64_t *offset, const T *x, const T *weights,
                            int64_t width, T *out, bool add)
{
    V sum[16][2];
    PLEAT_UNROLL(16)
    for (int i = 0; i < count; i++) {
        PLEAT_UNROLL(2)
        for (int v = 0; v < vectors; v++)
            sum[i][v] = (V){ 0 };
    }
    PLEAT_UNROLL(1)
    for (int64_t k = 0; k < depth; k++, weights += width) {
        const T *at = x + offset[k];
        const V w0 = FN(load)(weights), w1 = vectors > 1 ? FN(load)(weights + VL) : w0;
        PLEAT_UNROLL(16)
        for (int i = 0; i < count; i++) {
            sum[i][0] += at[i] * w0;
            if (vectors > 1)
                sum[i][1] += at[i] * w1;
        }
    }
    if (add) {
        PLEAT_UNROLL(16)
        for (int i = 0; i < count; i++) {
            PLEAT_UNROLL(2)
            for (int v = 0; v < vectors; v++)
                sum[i][v] += FN(load)(out + (i * vectors + v) * VL);
        }
    }
    PLEAT_UNROLL(16)
    for (int i = 0; i < count; i++) {
        PLEAT_UNROLL(2)
        for (int v = 0; v < vectors; v++)
            FN(store)(out + (i * vectors + v) * VL, sum[i][v]);
    }
}

#define STRIP(count, vectors)                                                                                          \
    static void FN(strip_##count##_##vectors)(int64_t depth, const int64_t *offset, const T *x, const T *weights,      \
                                              int64_t width, T *out, bool add)                                         \
    {                                                                                                                  \
        FN(strip)(count, vectors, depth, offset, x, weights, width, out, add);                                         \
    }
#define ONE(count) STRIP(count, 1)
#define BOTH(count) STRIP(count, 1) STRIP(count, 2)
/* clang-format off */
BOTH(1) BOTH(2) BOTH(3) BOTH(4) ONE(5) ONE(6) ONE(7) ONE(8)
#if STRIP_2 > 4
STRIP(5, 2) STRIP(6, 2) ONE(9) ONE(10) ONE(11) ONE(12)
#endif
#if STRIP_2 > 6
STRIP(7, 2) STRIP(8, 2) STRIP(9, 2) STRIP(10, 2) STRIP(11, 2) STRIP(12, 2) STRIP(13, 2) STRIP(14, 2)
ONE(13) ONE(14) ONE(15) ONE(16)
#endif
/* clang-format on */
#undef ONE
#undef BOTH
#undef STRIP

                typedef void (*FN(strip_fn))(int64_t depth, const int64_t *offset, const T *x, const T *weights,
                                             int64_t width, T *out, bool add);

#define AT(count, vectors) FN(strip_##count##_##vectors)
static const FN(strip_fn) FN(strips)[2][17] = {
    {
        NULL,
        AT(1, 1),
        AT(2, 1),
        AT(3, 1),
        AT(4, 1),
        AT(5, 1),
        AT(6, 1),
        AT(7, 1),
        AT(8, 1),
#if STRIP_2 > 4
        AT(9, 1),
        AT(10, 1),
        AT(11, 1),
        AT(12, 1),
#endif
#if STRIP_2 > 6
        AT(13, 1),
        AT(14, 1),
        AT(15, 1),
        AT(16, 1),
#endif
    },
    {
        NULL,
        AT(1, 2),
        AT(2, 2),
        AT(3, 2),
        AT(4, 2),
#if STRIP_2 > 4
        AT(5, 2),
        AT(6, 2),
#endif
#if STRIP_2 > 6
        AT(7, 2),
        AT(8, 2),
        AT(9, 2),
        AT(10, 2),
        AT(11, 2),
        AT(12, 2),
        AT(13, 2),
        AT(14, 2),
#endif
    },
};
#undef AT

/* Turns `count` pixels of `lanes` channels, each pixel's channels `width` adjacent elements, into rows of planes. */
static void FN(put_pixels)(const pleat_direct_work *w, const T *from, int64_t width, int64_t lanes, const T *bias,
                           T *to, int64_t count)
{
    const int64_t row = w->c.row, column = w->c.column;
    if (column != 1 || count < VL) {
        for (int64_t l = 0; l < lanes; l++)
            for (int64_t i = 0; i < count; i++)
                to[l * row + i * column] = from[i * width + l] + (bias ? bias[l] : 0);
        return;
    }
    for (int64_t i = 0; i < count; i += VL) {
        i = i + VL <= count ? i : count - VL; /* the last block overlaps the one before */
        for (int64_t l = 0; l < lanes; l += VL) {
            V block[VL];
            PLEAT_UNROLL(16)
            for (int64_t n = 0; n < VL; n++)
                block[n] = FN(load)(from + (i + n) * width + l);
            FN(transpose)(block);
            PLEAT_UNROLL(16)
            for (int64_t n = 0; n < VL; n++)
                if (l + n < lanes)
                    FN(store)(to + (l + n) * row + i, bias ? block[n] + bias[l + n] : block[n]);
        }
    }
}

static void FN(channels)(const pleat_direct_work *w, const T *image, int64_t n, int64_t y, int64_t y_end, int64_t o,
                         int64_t o_end, T *copy, T *sums)
{
    const pleat_patches *p = w->patches;
    const int64_t line = p->windows.w;
    const T *x = copy;
    if (w->in_place)
        x = image + (y * p->step.h + w->low.h) * p->size.w + w->low.w;
    else
        FN(copy_band)(w, image, y, y_end, copy);
    for (; o < o_end; o += w->width) {
        const int64_t lanes = o_end - o < w->width ? o_end - o : w->width, vectors = lanes > VL ? 2 : 1;
        const int64_t most = vectors > 1 ? STRIP_2 : STRIP_1, strips = (line + most - 1) / most;
        const int64_t count = (line + strips - 1) / strips;
        const int64_t blocks = (w->k + DEPTH - 1) / DEPTH, depth = blocks ? (w->k + blocks - 1) / blocks : 0;
        int64_t k = 0;
        do {
            const int64_t steps = w->k - k < depth ? w->k - k : depth;
            for (int64_t v = y; v < y_end; v++)
                for (int64_t u = 0; u < line; u += count) {
                    const int64_t pixels = line - u < count ? line - u : count;
                    FN(strips)
                    [vectors - 1][pixels](steps, w->offset + k, x + (v - y) * p->step.h * w->pitch + u,
                                          (const T *)w->weights + o * w->k + k * w->width, w->width,
                                          sums + ((v - y) * line + u) * vectors * VL, k > 0);
                }
            k += steps;
        } while (k < w->k);
        const T *bias = w->bias ? (const T *)w->bias + o : NULL;
        T *to = (T *)w->c.base + o * w->c.row + n * w->c.image + y * w->c.line;
        if (w->c.column == 1 && w->c.line == line)
            FN(put_pixels)(w, sums, vectors * VL, lanes, bias, to, (y_end - y) * line);
        else
            for (int64_t v = 0; v < y_end - y; v++)
                FN(put_pixels)(w, sums + v * line * vectors * VL, vectors * VL, lanes, bias, to + v * w->c.line, line);
    }
}

/* ---- Over pixels ---- */

/* The sums of `rows` output channels in `slots` vectors of pixels, whose places in the copy are given. */
PLEAT_INLINE void FN(slots)(int rows, int slots, int64_t depth, const int64_t *offset, const T *const *x,
                            const T *weights, T *out, int64_t out_row)
{
    V sum[6][8];
    PLEAT_UNROLL(6)
    for (int i = 0; i < rows; i++) {
        PLEAT_UNROLL(8)
        for (int s = 0; s < slots; s++)
            sum[i][s] = (V){ 0 };
    }
    PLEAT_UNROLL(1)
    for (int64_t k = 0; k < depth; k++, weights += rows) {
        V at[8];
        PLEAT_UNROLL(8)
        for (int s = 0; s < slots; s++)
            at[s] = FN(load)(x[s] + offset[k]);
        PLEAT_UNROLL(6)
        for (int i = 0; i < rows; i++) {
            PLEAT_UNROLL(8)
            for (int s = 0; s < slots; s++)
                sum[i][s] += weights[i] * at[s];
        }
    }
    PLEAT_UNROLL(6)
    for (int i = 0; i < rows; i++) {
        PLEAT_UNROLL(8)
        for (int s = 0; s < slots; s++)
            FN(store)(out + i * out_row + s * VL, sum[i][s]);
    }
}

static void FN(pixels)(const pleat_direct_work *w, const T *image, int64_t n, int64_t y, int64_t y_end, int64_t o,
                       int64_t o_end, T *copy, T *sums)
{
    const pleat_patches *p = w->patches;
    const int64_t line = p->windows.w, pitch = p->step.h * w->pitch;
    /* with a step of 1 the lines are one run of pixels, what lies between them included; or else they are apart */
    const bool flat = p->step.h == 1;
    const int64_t vectors = ((flat ? (y_end - y - 1) * pitch + line : line) + VL - 1) / VL;
    const int64_t all = flat ? vectors : vectors * (y_end - y), out_line = flat ? pitch : vectors * VL;
    const int64_t out_row = (all + 8) * VL;
    FN(copy_band)(w, image, y, y_end, copy);
    for (; o < o_end; o += w->width) {
        const T *weights = (const T *)w->weights + o * w->k;
        const int64_t at_once = w->width > 4 ? SLOTS_6 : w->width > 2 ? SLOTS_4 : SLOTS_1;
        for (int64_t i = 0; i < all; i += at_once) {
            const T *x[8];
            for (int64_t s = 0; s < at_once; s++) {
                const int64_t slot = i + s < all ? i + s : all - 1; /* what is left over repeats the last */
                x[s] = copy + (flat ? slot * VL : slot / vectors * pitch + slot % vectors * VL);
            }
            if (w->width == 6)
                FN(slots)(6, SLOTS_6, w->k, w->offset, x, weights, sums + i * VL, out_row);
            else if (w->width == 4)
                FN(slots)(4, SLOTS_4, w->k, w->offset, x, weights, sums + i * VL, out_row);
            else if (w->width == 2)
                FN(slots)(2, SLOTS_1, w->k, w->offset, x, weights, sums + i * VL, out_row);
            else
                FN(slots)(1, SLOTS_1, w->k, w->offset, x, weights, sums + i * VL, out_row);
        }
        for (int64_t l = o; l < o + w->width && l < o_end; l++)
            for (int64_t v = y; v < y_end; v++) {
                const T *from = sums + (l - o) * out_row + (v - y) * out_line,
                        bias = w->bias ? ((const T *)w->bias)[l] : 0;
                T *to = (T *)w->c.base + l * w->c.row + n * w->c.image + v * w->c.line;
                if (w->c.column == 1)
                    for (int64_t u = 0; u < line; u++)
                        to[u] = from[u] + bias;
                else
                    for (int64_t u = 0; u < line; u++)
                        to[u * w->c.column] = from[u] + bias;
            }
    }
}

/* ---- By weight ---- */

/* `taps` taps by `vectors` vectors of channels, over lines of pixels: x holds the taps' places for the first pixel. */
PLEAT_INLINE void FN(walk)(int taps, int vectors, const T *const *places, int64_t lines, int64_t line, int64_t step,
                           const T *turned, int64_t width, T *out)
{
    const T *x[10];
    V sum[10][2];
    PLEAT_UNROLL(10)
    for (int t = 0; t < taps; t++) {
        x[t] = places[t];
        sum[t][0] = sum[t][1] = (V){ 0 };
    }
    for (int64_t v = 0; v < lines; v++) {
        PLEAT_UNROLL(1)
        for (int64_t u = 0; u < line; u++, turned += width) {
            const V y0 = FN(load)(turned), y1 = vectors > 1 ? FN(load)(turned + VL) : y0;
            PLEAT_UNROLL(10)
            for (int t = 0; t < taps; t++) {
                sum[t][0] += x[t][u] * y0;
                if (vectors > 1)
                    sum[t][1] += x[t][u] * y1;
            }
        }
        PLEAT_UNROLL(10)
        for (int t = 0; t < taps; t++)
            x[t] += step;
    }
    PLEAT_UNROLL(10)
    for (int t = 0; t < taps; t++) {
        PLEAT_UNROLL(2)
        for (int i = 0; i < vectors; i++)
            FN(store)(out + t * width + i * VL, FN(load)(out + t * width + i * VL) + sum[t][i]);
    }
}

#define WALK(taps, vectors)                                                                                            \
    static void FN(walk_##taps##_##vectors)(const T *const *x, int64_t lines, int64_t line, int64_t step,              \
                                            const T *turned, int64_t width, T *out)                                    \
    {                                                                                                                  \
        FN(walk)(taps, vectors, x, lines, line, step, turned, width, out);                                             \
    }
#define WALKS(taps) WALK(taps, 1) WALK(taps, 2)
/* clang-format off */
WALKS(1) WALKS(2) WALKS(3) WALKS(4)
#if WALK_TAPS > 4
WALKS(5)
#endif
#if WALK_TAPS > 5
WALKS(6) WALKS(7) WALKS(8) WALKS(9) WALKS(10)
#endif
/* clang-format on */
#undef WALK
#undef WALKS

            typedef void (*FN(walk_fn))(const T *const *x, int64_t lines, int64_t line, int64_t step, const T *turned,
                                        int64_t width, T *out);

#define BOTH(taps)                                                                                                     \
    {                                                                                                                  \
        FN(walk_##taps##_1), FN(walk_##taps##_2)                                                                       \
    }
static const FN(walk_fn) FN(walks)[WALK_TAPS + 1][2] = {
    { NULL, NULL }, BOTH(1), BOTH(2), BOTH(3), BOTH(4),
#if WALK_TAPS > 4
    BOTH(5),
#endif
#if WALK_TAPS > 5
    BOTH(6),        BOTH(7), BOTH(8), BOTH(9), BOTH(10),
#endif
};
#undef BOTH

/* Rows of planes to pixels of `width` adjacent channels: the reverse of put_pixels. */
static void FN(get_pixels)(const T *from, int64_t row, int64_t lanes, int64_t width, T *to, int64_t count)
{
    int64_t i = 0;
    for (; i + VL <= count; i += VL)
        for (int64_t l = 0; l < width; l += VL) {
            V block[VL];
            PLEAT_UNROLL(16)
            for (int64_t n = 0; n < VL; n++)
                block[n] = l + n < lanes ? FN(load)(from + (l + n) * row + i) : (V){ 0 };
            FN(transpose)(block);
            PLEAT_UNROLL(16)
            for (int64_t n = 0; n < VL; n++)
                FN(store)(to + (i + n) * width + l, block[n]);
        }
    for (; i < count; i++)
        for (int64_t l = 0; l < width; l++)
            to[i * width + l] = l < lanes ? from[l * row + i] : 0;
}

static void FN(weight_channels)(const pleat_direct_work *w, const T *image, int64_t n, int64_t y, int64_t y_end,
                                int64_t o, int64_t o_end, T *sums, T *copy, T *turned)
{
    const pleat_patches *p = w->patches;
    const int64_t line = p->windows.w, step = p->step.h * w->pitch, width = w->width;
    const int64_t walks = (w->k + WALK_TAPS - 1) / WALK_TAPS, count = (w->k + walks - 1) / walks;
    /* so many lines of turned gradient stay in the L1 cache for all taps */
    const int64_t near = WALK_BYTES / (line * width * (int64_t)sizeof(T)) + 1;
    const T *x = copy;
    if (w->in_place)
        x = image + (y * p->step.h + w->low.h) * p->size.w + w->low.w;
    else
        FN(copy_band)(w, image, y, y_end, copy);
    for (; o < o_end; o += width) {
        const int64_t lanes = o_end - o < width ? o_end - o : width, vectors = lanes > VL ? 2 : 1;
        FN(get_pixels)
        ((const T *)w->c.base + o * w->c.row + n * w->c.image + y * w->c.line, w->c.row, lanes, width, turned,
         (y_end - y) * line);
        for (int64_t v = 0; v < y_end - y; v += near) {
            const int64_t lines = y_end - y - v < near ? y_end - y - v : near;
            for (int64_t k = 0; k < w->k; k += count) {
                const int64_t taps = w->k - k < count ? w->k - k : count;
                const T *places[WALK_TAPS];
                for (int64_t t = 0; t < taps; t++)
                    places[t] = x + w->offset[k + t] + v * step;
                FN(walks)
                [taps][vectors - 1](places, lines, line, step, turned + v * line * width, width,
                                    sums + (o * w->k + k * width));
            }
        }
    }
}

/* `rows` channels by `taps` taps over lines of pixels. A line's last vector begins at `last` and overlaps the one
 * before: the gradient is zero where it does. */
PLEAT_INLINE void FN(dots)(int rows, int taps, const T *const *places, int64_t lines, int64_t vectors, int64_t last,
                           int64_t step, const T *gradient, int64_t gradient_row, T *out)
{
    const T *x[8];
    V sum[6][8];
    PLEAT_UNROLL(8)
    for (int t = 0; t < taps; t++)
        x[t] = places[t];
    PLEAT_UNROLL(6)
    for (int i = 0; i < rows; i++) {
        PLEAT_UNROLL(8)
        for (int t = 0; t < taps; t++)
            sum[i][t] = (V){ 0 };
    }
    for (int64_t v = 0; v < lines; v++) {
        PLEAT_UNROLL(1)
        for (int64_t u = 0; u < vectors; u++, gradient += VL) {
            const int64_t from = u + 1 < vectors ? u * VL : last;
            V at[8];
            PLEAT_UNROLL(8)
            for (int t = 0; t < taps; t++)
                at[t] = FN(load)(x[t] + from);
            PLEAT_UNROLL(6)
            for (int i = 0; i < rows; i++) {
                const V g = FN(load)(gradient + i * gradient_row);
                PLEAT_UNROLL(8)
                for (int t = 0; t < taps; t++)
                    sum[i][t] += at[t] * g;
            }
        }
        PLEAT_UNROLL(8)
        for (int t = 0; t < taps; t++)
            x[t] += step;
    }
    for (int t = 0; t < taps; t++)
        for (int i = 0; i < rows; i++)
            out[t * rows + i] += FN(total)(sum[i][t]);
}

static void FN(weight_pixels)(const pleat_direct_work *w, const T *image, int64_t n, int64_t y, int64_t y_end,
                              int64_t o, int64_t o_end, T *sums, T *copy, T *gradient)
{
    const pleat_patches *p = w->patches;
    const int64_t line = p->windows.w, step = p->step.h * w->pitch, vectors = (line + VL - 1) / VL, width = w->width;
    const int64_t lines = y_end - y, row = lines * vectors * VL, last = line > VL ? line - VL : 0;
    FN(copy_band)(w, image, y, y_end, copy);
    if (line < VL) /* then vectors run over the last row, and zero times anything must be zero */
        memset(copy + w->channels * w->plane, 0, VL * sizeof(T));
    for (; o < o_end; o += width) {
        for (int64_t l = 0; l < width; l++)
            for (int64_t v = 0; v < lines; v++) {
                T *to = gradient + l * row + v * vectors * VL;
                const T *from = (const T *)w->c.base + (o + l) * w->c.row + n * w->c.image + (y + v) * w->c.line;
                if (o + l >= o_end) {
                    memset(to, 0, (size_t)(vectors * VL) * sizeof(T));
                    continue;
                }
                const int64_t before = (vectors - 1) * VL;
                for (int64_t u = 0; u < before; u++)
                    to[u] = from[u];
                for (int64_t e = 0; e < VL; e++)
                    to[before + e] = last + e >= before && last + e < line ? from[last + e] : 0;
            }
        const int64_t count = width > 4 ? DOTS_6 : width > 2 ? DOTS_4 : DOTS_1;
        for (int64_t k = 0; k < w->k; k += count) {
            const int64_t taps = w->k - k < count ? w->k - k : count;
            const T *places[8];
            T out[8 * 6] = { 0 };
            for (int64_t t = 0; t < count; t++)
                places[t] = copy + w->offset[k + (t < taps ? t : 0)]; /* what is left over repeats the first */
            if (width == 6)
                FN(dots)(6, DOTS_6, places, lines, vectors, last, step, gradient, row, out);
            else if (width == 4)
                FN(dots)(4, DOTS_4, places, lines, vectors, last, step, gradient, row, out);
            else if (width == 2)
                FN(dots)(2, DOTS_1, places, lines, vectors, last, step, gradient, row, out);
            else
                FN(dots)(1, DOTS_1, places, lines, vectors, last, step, gradient, row, out);
            for (int64_t i = 0; i < taps * width; i++)
                sums[o * w->k + k * width + i] += out[i];
        }
    }
}

static void FN(add_slices)(const pleat_direct_work *w, const T *sums, int64_t slices, int64_t slice, int64_t o,
                           int64_t o_end, T *gradient)
{
    for (; o < o_end; o += w->width) {
        const int64_t lanes = o_end - o < w->width ? o_end - o : w->width;
        for (int64_t k = 0; k < w->k; k++)
            for (int64_t l = 0; l < lanes; l++) {
                const T *from = sums + o * w->k + k * w->width + l;
                T sum = *from;
                for (int64_t s = 1; s < slices; s++)
                    sum += from[s * slice];
                gradient[(o + l) * w->k + k] = sum;
            }
    }
}

#undef NR
