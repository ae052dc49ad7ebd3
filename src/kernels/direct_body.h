/* direct.c's functions for one float type. */

#define NR (2 * VL)

/* ---- The padded copy ---- */

/* n elements that are `step` apart. Rows are short: what is not whole vectors is read, up to `end`, and written
 * nonetheless. */
PLEAT_INLINE void FN(copy_over)(T *to, const T *from, int64_t step, int64_t n, const T *end)
{
    int64_t i = 0;
    if (step == 1)
        for (; i < n && end - from >= i + VL; i += VL)
            FN(store)(to + i, FN(load)(from + i));
    else if (step == 2)
        for (; i < n && end - from >= 2 * (i + VL); i += VL)
            FN(store)(to + i, PLEAT_EVEN(FN(load)(from + 2 * i), FN(load)(from + 2 * i + VL)));
    PLEAT_UNROLL(1)
    for (; i < n; i++)
        to[i] = from[i * step];
}

/* Zeros, likewise. */
PLEAT_INLINE void FN(clear_over)(T *to, int64_t n)
{
    for (; n > 0; n -= VL, to += VL) {
        FN(store)(to, (V){ 0 });
        __asm__("" ::: "memory"); /* one or two vectors, which are no work for a call of memset */
    }
}

/* VL elements that are `step` apart. */
PLEAT_INLINE V FN(pick)(int step, const T *from)
{
    const V a = FN(load)(from);
    if (step == 1)
        return a;
    const V b = FN(load)(from + VL);
    if (step == 2)
        return PLEAT_EVEN(a, b);
    const V c = FN(load)(from + 2 * VL);
    return step == 3 ? PLEAT_THIRD(a, b, c) : PLEAT_EVEN(PLEAT_EVEN(a, b), PLEAT_EVEN(c, FN(load)(from + 3 * VL)));
}

/* Rows of some parts, that begin at `first` in the image and are as many vectors each, or less; at most a vector of
 * zeros in front and behind. */
PLEAT_INLINE void FN(copy_rows)(int64_t vectors, int step, int parts, int64_t rows, const T *image,
                                const int64_t *first, int64_t apart, T *to, int64_t part, const pleat_span *in)
{
    bool reaches = true; /* are the zeros behind each part those in front of the next, too? */
    const T *from[4];
    int64_t begin[4], end[4]; /* or they were read again after every store */
    PLEAT_UNROLL(4)
    for (int i = 0; i < parts; i++) {
        reaches &= in[(i + parts - 1) % parts].end + VL >= part + in[i].begin;
        from[i] = image + first[i];
        begin[i] = in[i].begin;
        end[i] = in[i].end;
    }
    FN(store)(to, (V){ 0 });
    for (int64_t r = 0; r < rows; r++) {
        PLEAT_UNROLL(4)
        for (int i = 0; i < parts; i++, to += part) {
            if (!reaches)
                FN(store)(to, (V){ 0 });
            PLEAT_UNROLL(2)
            for (int64_t v = 0; v < vectors; v++)
                FN(store)(to + begin[i] + v * VL, FN(pick)(step, from[i] + v * step * VL));
            FN(store)(to + end[i], (V){ 0 });
            from[i] += apart;
        }
    }
}

/* The loops of few vectors without loops. */
static void FN(copy_rows_by)(int64_t vectors, int64_t step, int parts, int64_t rows, const T *image,
                             const int64_t *first, int64_t apart, T *to, int64_t part, const pleat_span *in)
{
    if (step == 1 && vectors == 1)
        FN(copy_rows)(1, 1, 1, rows, image, first, apart, to, part, in);
    else if (step == 1 && vectors == 2)
        FN(copy_rows)(2, 1, 1, rows, image, first, apart, to, part, in);
    else if (step == 1)
        FN(copy_rows)(vectors, 1, 1, rows, image, first, apart, to, part, in);
    else if (step == 2 && vectors == 1)
        FN(copy_rows)(1, 2, 2, rows, image, first, apart, to, part, in);
    else if (step == 2)
        FN(copy_rows)(vectors, 2, 2, rows, image, first, apart, to, part, in);
    else if (step == 3 && parts == 2)
        FN(copy_rows)(vectors, 3, 2, rows, image, first, apart, to, part, in);
    else if (step == 3)
        FN(copy_rows)(vectors, 3, 3, rows, image, first, apart, to, part, in);
    else
        FN(copy_rows)(vectors, 4, 4, rows, image, first, apart, to, part, in);
}

/* A row of `step` parts of n, without zeros: blocks of VL windows by VL of their pixels are read as they lie, and
 * turned. Each part spoils what follows it, so the last windows come first. */
static void FN(turn_row)(T *to, const T *from, int64_t step, int64_t n)
{
    for (int64_t i = 0; i < step; i += VL)
        for (int64_t x = (n - 1) / VL * VL; x >= 0; x -= VL) {
            V block[VL];
            FN(load_turned)(block, from + x * step + i, step, n - x);
            PLEAT_UNROLL(16)
            for (int64_t t = 0; t < VL; t++)
                if (i + t < step)
                    FN(store)(to + (i + t) * n + x, block[t]);
        }
}

/* Rows of the copy that some lines of windows read. */
static int64_t FN(rows_of)(const pleat_direct_work *w, int64_t lines)
{
    return (lines - 1) * w->step.h + w->rows - (w->lines - 1) * w->step.h;
}

/* Where the image serves as the copy: its rows are read in order once, as the machine then fetches what follows from
 * memory. Strips take few pixels from each of many places, and would wait for them. */
static const T *FN(read_band)(const pleat_direct_work *w, const T *image, int64_t y, int64_t y_end)
{
    const pleat_patches *p = w->patches;
    const int64_t low = y * p->step.h + w->low.h;
    const pleat_span inside = pleat_inside(FN(rows_of)(w, y_end - y), 1, low, p->size.h);
    if (inside.begin == inside.end)
        return image; /* no line of windows reads it, however far away */
    const T *rows = image + (low + inside.begin) * p->size.w;
    const int64_t bytes = (inside.end - inside.begin) * p->size.w * (int64_t)sizeof(T);
    for (int64_t c = 0; c < w->channels; c++)
        for (int64_t i = 0; i < bytes; i += 64)
            (void)*((const volatile char *)(rows + c * p->channel) + i);
    return image + (low * p->size.w + w->low.w);
}

/* From front to back: each row may spoil what follows it, and that is written next. */
static void FN(copy_band)(const pleat_direct_work *w, const T *image, int64_t y, int64_t y_end, T *to)
{
    const pleat_patches *p = w->patches;
    const int64_t size = p->size.w, part = w->part, pitch = w->pitch, parts = w->parts, step = p->step.w;
    const int64_t all = (w->channels - 1) * p->channel + p->size.h * size, low = y * p->step.h + w->low.h;
    const int64_t rows = FN(rows_of)(w, y_end - y);
    const int64_t apart = w->every.h * size;
    const pleat_span inside = pleat_inside(rows, w->every.h, low, p->size.h);
    pleat_span in[PLEAT_DIRECT_PHASES];
    int64_t vectors = 0;
    bool plain = step == w->step.w && step <= 4, turned = step == w->step.w && step > 4;
    for (int64_t i = 0; i < parts; i++) {
        in[i] = pleat_inside(part, step, w->low.w + i * w->every.w, size);
        const int64_t needs = (in[i].end - in[i].begin + VL - 1) / VL;
        turned &= in[i].end - in[i].begin == part;
        plain &= needs >= 1 && in[i].begin <= VL && part - in[i].end <= VL;
        vectors = needs > vectors ? needs : vectors;
    }
    for (int64_t c = 0; c < w->channels; c++) {
        T *row = to + c * w->plane;
        FN(clear_over)(row, inside.begin * pitch);
        row += inside.begin * pitch;
        int64_t r = inside.begin, first[PLEAT_DIRECT_PHASES], many = plain ? inside.end - r : 0;
        for (int64_t i = 0; i < parts; i++) {
            first[i] = c * p->channel + (low + r * w->every.h) * size + w->low.w + i * w->every.w + in[i].begin * step;
            while (many > 0 && first[i] + (many - 1) * apart + vectors * VL * step > all)
                many--; /* whole vectors would be read behind the image */
        }
        if (many > 0)
            FN(copy_rows_by)(vectors, step, (int)parts, many, image, first, apart, row, part, in);
        row += many * pitch;
        for (r += many; r < inside.end; r++) {
            const int64_t from = first[0] + (r - inside.begin) * apart;
            if (turned && from + (part - 1) * step + (step + VL - 1) / VL * VL <= all) {
                FN(turn_row)(row, image + from, step, part);
                row += pitch;
                continue;
            }
            for (int64_t i = 0; i < parts; i++, row += part) {
                FN(clear_over)(row, in[i].begin);
                if (in[i].begin < in[i].end)
                    FN(copy_over)
                (row + in[i].begin, image + first[i] + (r - inside.begin) * apart, step, in[i].end - in[i].begin,
                 image + all);
                FN(clear_over)(row + in[i].end, part - in[i].end);
            }
        }
        FN(clear_over)(row, (rows - inside.end) * pitch);
    }
}

/* ---- Over output channels ---- */

/* Where the taps of a band's first window begin. */
static const T *FN(band)(const pleat_direct_work *w, const T *image, int64_t y, int64_t y_end, T *copy)
{
    if (w->in_place)
        return FN(read_band)(w, image, y, y_end);
    FN(copy_band)(w, image, y, y_end, copy);
    return copy;
}

/* What the strips of a line of windows have in common: their terms, and how pixels lie. */
typedef struct {
    int64_t depth;
    const int64_t *offset;
    const T *weights;
    int64_t width;
    int64_t x_apart, apart; /* from a pixel to the next, in the copy and in the sums */
    bool add;
} FN(strip_terms);

/* The sums of `count` neighbouring pixels by `vectors` vectors of output channels, over some taps: as gemm's tile, but
 * each tap's pixels are read where they lie. From pixel `left` on they are the next line's, so much farther on in the
 * copy and in the sums. The count and the vectors are constants at every call, and where they lie side by side,
 * `beside`, all of their places. With AVX-512, whose products take pixels from memory, a third of them both of their
 * products read for themselves, which saves an instruction each. */
PLEAT_INLINE void FN(strip)(int count, int vectors, bool beside, int64_t left, const FN(strip_terms) * terms,
                            const T *x, int64_t x_farther, T *out, int64_t out_farther)
{
    const int64_t depth = terms->depth, *offset = terms->offset;
    const int64_t width = vectors > 1 ? NR : terms->width; /* a constant saves an instruction */
    const int64_t x_apart = beside ? 1 : terms->x_apart, apart = terms->apart;
    const T *weights = terms->weights;
    V sum[16][2];
    int64_t from[16], to[16];
    PLEAT_UNROLL(16)
    for (int i = 0; i < count; i++) {
        from[i] = i * x_apart + (i < left ? 0 : x_farther);
        to[i] = i * apart + (i < left ? 0 : out_farther);
        PLEAT_UNROLL(2)
        for (int v = 0; v < vectors; v++)
            sum[i][v] = (V){ 0 };
    }
    PLEAT_UNROLL(2)
    for (int64_t k = 0; k < depth; k++, weights += width) {
        const T *at = x + offset[k];
        if (!beside || PLEAT_VECTOR_BYTES == 64)
            PLEAT_FORGET(at); /* one register: an address that is a sum splits every product in two operations */
        const V w0 = FN(load)(weights), w1 = vectors > 1 ? FN(load)(weights + VL) : w0;
        PLEAT_UNROLL(16)
        for (int i = 0; i < count; i++) {
            sum[i][0] += at[from[i]] * w0;
            if (vectors > 1 && i % 3 == 0 && PLEAT_VECTOR_BYTES == 64)
                PLEAT_FORGET(at);
            if (vectors > 1)
                sum[i][1] += at[from[i]] * w1;
        }
    }
    if (terms->add) {
        PLEAT_UNROLL(16)
        for (int i = 0; i < count; i++) {
            PLEAT_UNROLL(2)
            for (int v = 0; v < vectors; v++)
                sum[i][v] += FN(load)(out + to[i] + v * VL);
        }
    }
    PLEAT_UNROLL(16)
    for (int i = 0; i < count; i++) {
        PLEAT_UNROLL(2)
        for (int v = 0; v < vectors; v++)
            FN(store)(out + to[i] + v * VL, sum[i][v]);
    }
}

#define STRIP(count, vectors)                                                                                          \
    static void FN(strip_##count##_##vectors)(const FN(strip_terms) * terms, const T *x, T *out)                       \
    {                                                                                                                  \
        FN(strip)(count, vectors, true, count, terms, x, 0, out, 0);                                                   \
    }                                                                                                                  \
    static void FN(apart_##count##_##vectors)(const FN(strip_terms) * terms, const T *x, T *out)                       \
    {                                                                                                                  \
        FN(strip)(count, vectors, false, count, terms, x, 0, out, 0);                                                  \
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

                typedef void (*FN(strip_fn))(const FN(strip_terms) * terms, const T *x, T *out);

/* For pixels that lie side by side, and for others. */
#define AT(count, vectors)                                                                                             \
    {                                                                                                                  \
        FN(strip_##count##_##vectors), FN(apart_##count##_##vectors)                                                   \
    }
static const FN(strip_fn) FN(strips)[2][17][2] = {
    {
        { NULL, NULL },
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
        { NULL, NULL },
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

/* A vector of channels, or as many as `lanes`, of pixels that are at least a vector, turned into rows of planes. */
PLEAT_INLINE void FN(put_planes)(bool relu, int64_t lanes, const T *from, int64_t width, const T *bias, T *to,
                                 int64_t row, int64_t count)
{
    for (int64_t i = 0; i < count; i += VL) {
        i = i + VL <= count ? i : count - VL; /* the last block overlaps the one before */
        V block[VL];
        PLEAT_UNROLL(16)
        for (int64_t n = 0; n < VL; n++)
            block[n] = FN(load)(from + (i + n) * width);
        FN(transpose)(block);
        T *at = to + i;
        PLEAT_UNROLL(16)
        for (int64_t n = 0; n < VL; n++, at += row)
            if (n < lanes) {
                const V value = bias ? block[n] + bias[n] : block[n];
                __builtin_prefetch(at + NR, 1); /* so many rows the machine does not foresee */
                FN(store)(at, relu ? FN(relu)(value) : value);
            }
    }
}

/* Likewise, without tests in the loop. */
PLEAT_INLINE void FN(put_vector)(bool relu, int64_t lanes, const T *from, int64_t width, const T *bias, T *to,
                                 int64_t row, int64_t count)
{
    if (lanes < VL)
        FN(put_planes)(relu, lanes, from, width, bias, to, row, count);
    else if (!bias)
        FN(put_planes)(relu, VL, from, width, NULL, to, row, count);
    else if (relu)
        FN(put_planes)(true, VL, from, width, bias, to, row, count);
    else
        FN(put_planes)(false, VL, from, width, bias, to, row, count);
}

/* Turns `count` pixels of `lanes` channels, each pixel's channels `width` adjacent elements, into rows of planes. */
static void FN(put_pixels)(const T *from, int64_t width, int64_t lanes, const T *bias, bool relu, T *to, int64_t row,
                           int64_t count)
{
    if (count < VL) {
        for (int64_t l = 0; l < lanes; l++)
            for (int64_t i = 0; i < count; i++) {
                const T value = from[i * width + l] + (bias ? bias[l] : 0);
                to[l * row + i] = relu && value < 0 ? 0 : value;
            }
        return;
    }
    /* no more planes at a time, as the machine follows so many, of no more pixels than stay in the L1 cache for all */
    const int64_t most = TURN_BYTES / (width * (int64_t)sizeof(T));
    for (int64_t n; count > 0; count -= n, from += n * width, to += n) {
        n = least(count, most); /* of less than a vector, the last pixels before are turned again */
        for (int64_t l = 0; l < lanes; l += VL) {
            const T *b = bias ? bias + l : NULL;
            if (width == NR)
                FN(put_vector)(relu, lanes - l, from + l, NR, b, to + l * row, row, n);
            else
                FN(put_vector)(relu, lanes - l, from + l, width, b, to + l * row, row, n);
        }
    }
}

/* As many pixels as the registers hold, of two lines. */
static void FN(strip_across)(int64_t vectors, int64_t left, const FN(strip_terms) * terms, const T *x,
                             int64_t x_farther, T *out, int64_t out_farther)
{
    if (vectors > 1)
        FN(strip)(STRIP_2, 2, false, left, terms, x, x_farther, out, out_farther);
    else
        FN(strip)(STRIP_1, 1, false, left, terms, x, x_farther, out, out_farther);
}

/* A phase's sums, in a panel of output channels, to every phases.w-th pixel of every phases.h-th line. */
static void FN(channels_phase)(const pleat_direct_work *w, const pleat_direct_phase *f, const T *x,
                               const pleat_span *spans, int64_t lines, const T *weights, int64_t vectors, T *sums)
{
    const int64_t line = f->patches->windows.w, most = vectors > 1 ? STRIP_2 : STRIP_1,
                  strips = (line + most - 1) / most;
    const int64_t apart = w->phases.w * vectors * VL, down = w->phases.h * w->c.width * vectors * VL;
    const int64_t next = w->step.h * w->pitch, x_apart = pleat_direct_apart(w); /* from line to line, pixel to pixel */
    const int64_t longest = PANEL_BYTES / (w->width * (int64_t)sizeof(T));
    const int64_t blocks = f->k > longest ? (f->k + longest / 2) / longest : 1, depth = (f->k + blocks - 1) / blocks;
    /* parts of lines that would leave a quarter of the registers empty go on in the next line */
    const bool across = strips > 1 && 4 * line < 3 * strips * most;
    const int64_t count = across ? most : (line + strips - 1) / strips, last = line - (strips - 1) * count;
    /* a last strip of too few sums to keep the machine busy takes a pixel each from some of those before it */
    const bool few = !across && last * vectors < IN_FLIGHT;
    const int64_t longer = few ? line - (count - last) * (count - 1) : line;
    const FN(strip_fn) whole = FN(strips)[vectors - 1][count][x_apart > 1];
    int64_t k = 0;
    do {
        for (int64_t v = 0, u = 0; v < lines; v++, u -= line) {
            const pleat_span in = spans[v];
            const int64_t begin = in.begin > k ? in.begin : k, end = in.end < k + depth ? in.end : k + depth;
            if (begin >= end && (k > 0 || in.end > 0)) { /* but sums of no terms at all are zeros */
                u = line;
                continue;
            }
            const FN(strip_terms) terms = { .depth = begin < end ? end - begin : 0,
                                            .offset = f->offset + begin,
                                            .weights = weights + begin * w->width,
                                            .width = w->width,
                                            .x_apart = x_apart,
                                            .apart = apart,
                                            .add = begin > in.begin };
            const T *from = x + v * next + u * x_apart;
            T *to = sums + v * down + u * apart;
            for (; u + count <= longer; u += count, from += count * x_apart, to += count * apart)
                whole(&terms, from, to);
            if (across && u < line && v + 1 < lines && spans[v + 1].begin == in.begin && spans[v + 1].end == in.end) {
                FN(strip_across)
                (vectors, line - u, &terms, from, next - line * x_apart, to, down - line * apart);
                u += count;
                continue;
            }
            for (int64_t n; u < line; u += n, from += n * x_apart, to += n * apart) {
                n = least(line - u, count - 1);
                FN(strips)[vectors - 1][n][x_apart > 1](&terms, from, to);
            }
        }
        k += depth;
    } while (k < f->k);
}

/* A phase's lines in a band, of which the last phases may have fewer. */
static int64_t FN(lines_of)(const pleat_direct_phase *f, int64_t y, int64_t y_end)
{
    const int64_t all = f->patches->windows.h;
    return (y_end < all ? y_end : all) - y;
}

static void FN(channels)(const pleat_direct_work *w, const T *image, int64_t n, int64_t y, int64_t y_end, int64_t o,
                         int64_t o_end, T *copy, T *sums)
{
    const int64_t line = w->c.width;
    const T *x = FN(band)(w, image, y, y_end, copy);
    for (int64_t before = 0; o < o_end; o += w->width) {
        const int64_t lanes = o_end - o < w->width ? o_end - o : w->width, vectors = lanes > VL ? 2 : 1;
        int64_t rows = 0;
        for (int64_t h = 0; h < w->phases.h; h++)
            for (int64_t i = 0; i < w->phases.w; i++) {
                const pleat_direct_phase *f = w->phase + h * w->phases.w + i;
                const int64_t lines = FN(lines_of)(f, y, y_end);
                if (f->k > 0 || vectors != before) /* without taps they are the zeros of the panel before */
                    FN(channels_phase)
                (w, f, x, f->terms + y, lines, (const T *)w->weights + f->weights + o * f->k, vectors,
                 sums + (h * line + i) * vectors * VL);
                rows += i ? 0 : lines;
            }
        FN(put_pixels)
        (sums, vectors * VL, lanes, w->bias ? (const T *)w->bias + o : NULL, w->relu,
         (T *)w->c.base + o * w->c.row + n * w->c.image + y * w->phases.h * line, w->c.row, rows * line);
        before = vectors;
    }
}

/* ---- By weight ---- */

/* `taps` taps by `vectors` vectors of channels, over lines of pixels: x holds the taps' places for the first pixel. */
PLEAT_INLINE void FN(walk)(int taps, int vectors, const T *const *places, int64_t lines, int64_t line, int64_t x_apart,
                           int64_t step, const T *turned, int64_t width, bool add, T *out)
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
        for (int64_t u = 0; u < line * x_apart; u += x_apart, turned += width) {
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
            FN(store)(out + t * width + i * VL, add ? FN(load)(out + t * width + i * VL) + sum[t][i] : sum[t][i]);
    }
}

#define WALK(taps, vectors)                                                                                            \
    static void FN(walk_##taps##_##vectors)(const T *const *x, int64_t lines, int64_t line, int64_t x_apart,           \
                                            int64_t step, const T *turned, int64_t width, bool add, T *out)            \
    {                                                                                                                  \
        FN(walk)(taps, vectors, x, lines, line, x_apart, step, turned, width, add, out);                               \
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

            typedef void (*FN(walk_fn))(const T *const *x, int64_t lines, int64_t line, int64_t x_apart, int64_t step,
                                        const T *turned, int64_t width, bool add, T *out);

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

/* Rows of planes to pixels of `width` adjacent channels: the reverse of put_pixels. Also each channel's total, or adds
 * it to what is there. */
static void FN(get_pixels)(const T *from, int64_t row, int64_t lanes, int64_t width, T *to, int64_t count, bool add,
                           T *totals)
{
    for (int64_t l = 0; l < width; l += VL) {
        V sum = add ? FN(load)(totals + l) : (V){ 0 };
        int64_t i = 0;
        for (; i + VL <= count; i += VL) {
            V block[VL];
            FN(load_turned)(block, from + l * row + i, row, lanes - l);
            PLEAT_UNROLL(16)
            for (int64_t n = 0; n < VL; n++)
                FN(store)(to + (i + n) * width + l, block[n]);
            sum += FN(add_up)(block);
        }
        for (; i < count; i++) {
            T pixel[VL];
            for (int64_t n = 0; n < VL; n++)
                pixel[n] = l + n < lanes ? from[(l + n) * row + i] : 0;
            FN(store)(to + i * width + l, FN(load)(pixel));
            sum += FN(load)(pixel);
        }
        FN(store)(totals + l, sum);
    }
}

static void FN(weight_channels)(const pleat_direct_work *w, const T *image, int64_t n, int64_t y, int64_t y_end,
                                int64_t o, int64_t o_end, bool add, T *sums, T *copy, T *turned)
{
    const pleat_patches *p = w->patches;
    const int64_t line = p->windows.w, step = w->step.h * w->pitch, width = w->width, all = w->phase->k;
    const int64_t row = w->by_rows ? w->phase->row : all; /* terms that leave the image together */
    const int64_t walks = (row + WALK_TAPS - 1) / WALK_TAPS, count = (row + walks - 1) / walks;
    /* so many lines of turned gradient stay in the L1 cache for all taps */
    const int64_t near = WALK_BYTES / (line * width * (int64_t)sizeof(T)) + 1;
    const T *x = FN(band)(w, image, y, y_end, copy);
    for (; o < o_end; o += width) {
        const int64_t lanes = o_end - o < width ? o_end - o : width, vectors = lanes > VL ? 2 : 1;
        FN(get_pixels)
        ((const T *)w->c.base + o * w->c.row + n * w->c.image + y * line, w->c.row, lanes, width, turned,
         (y_end - y) * line, add, sums + w->totals + o);
        for (int64_t v = 0; v < y_end - y; v += near) {
            const int64_t most = y_end - y - v < near ? y_end - y - v : near;
            for (int64_t first = 0; first < all; first += row) {
                const int64_t end = first + row, i = first / row;
                const int64_t from = (y + v) * p->step.h + p->origin.h + i * p->tap_step.h;
                const pleat_span in =
                    w->by_rows ? pleat_inside(most, p->step.h, from, p->size.h) : (pleat_span){ 0, most };
                const bool adds = add || v > 0;
                for (int64_t k = first; k < end && (in.begin < in.end || !adds); k += count) {
                    const int64_t taps = end - k < count ? end - k : count;
                    const T *places[WALK_TAPS];
                    for (int64_t t = 0; t < taps; t++)
                        places[t] = x + w->phase->offset[k + t] + (v + in.begin) * step;
                    FN(walks)
                    [taps][vectors - 1](places, in.end - in.begin, line, pleat_direct_apart(w), step,
                                        turned + (v + in.begin) * line * width, width, adds,
                                        sums + (o * all + k * width));
                }
            }
        }
    }
}

/* The totals of `count` vectors, or adds them to as many sums: VL of them at a time are turned, and added up side by
 * side. */
static void FN(put_totals)(const T *vectors, int64_t count, bool add, T *sums)
{
    for (int64_t i = 0; i < count; i += VL) {
        V block[VL];
        T totals[VL];
        PLEAT_UNROLL(16)
        for (int n = 0; n < VL; n++)
            block[n] = FN(load)(vectors + (i + n) * VL);
        FN(store)(totals, FN(totals)(block));
        for (int64_t n = 0; n < VL && i + n < count; n++)
            sums[i + n] = add ? sums[i + n] + totals[n] : totals[n];
    }
}

/* Sums of `count` elements, `slice` apart, added up in order where the first are. */
static void FN(fold_slices)(T *sums, int64_t count, int64_t slices, int64_t slice)
{
    int64_t i = 0;
    for (; i + VL <= count && slices > 1; i += VL) {
        V sum = FN(load)(sums + i);
        for (int64_t s = 1; s < slices; s++)
            sum += FN(load)(sums + i + s * slice);
        FN(store)(sums + i, sum);
    }
    for (; i < count; i++)
        for (int64_t s = 1; s < slices; s++)
            sums[i] += sums[i + s * slice];
}

/* Sums in the order (i, c, j), `width` channels each, to rows of planes in the order (c, i, j). */
static void FN(put_by_rows)(const pleat_direct_phase *f, T *sums, int64_t width, int64_t lanes, T *to)
{
    enum { BLOCK = 64 };
    T block[BLOCK * NR];
    for (int64_t k = 0; k < f->k; k += BLOCK) {
        const int64_t count = f->k - k < BLOCK ? f->k - k : BLOCK;
        pleat_move_terms(f, k, count, width * (int64_t)sizeof(T), (char *)block, (char *)sums, true);
        FN(put_pixels)(block, width, lanes, NULL, false, to + k, f->k, count);
    }
}

static void FN(add_slices)(const pleat_direct_work *w, T *sums, int64_t slices, int64_t slice, int64_t o, int64_t o_end,
                           T *gradient, T *totals)
{
    const int64_t all = w->phase->k, count = w->width * all * w->lanes;
    for (; o < o_end; o += w->width) {
        const int64_t lanes = o_end - o < w->width ? o_end - o : w->width;
        T *panel = sums + o * all * w->lanes, *to = gradient + o * all, *total = sums + w->totals + o * w->lanes;
        FN(fold_slices)(panel, count, slices, slice);
        FN(fold_slices)(total, totals ? w->width * w->lanes : 0, slices, slice);
        for (int64_t l = 0; totals && l < lanes; l++)
            totals[o + l] = w->lanes > 1 ? FN(total)(FN(load)(total)) : total[l];
        if (w->lanes > 1) {
            FN(put_totals)(panel, all, false, to);
            continue;
        }
        if (w->by_rows) {
            FN(put_by_rows)(w->phase, panel, w->width, lanes, to);
            continue;
        }
        if (w->width % VL == 0) {
            FN(put_pixels)(panel, w->width, lanes, NULL, false, to, all, all);
            continue;
        }
        for (int64_t l = 0; l < lanes; l++)
            for (int64_t k = 0; k < all; k++)
                to[l * all + k] = panel[k * w->width + l];
    }
}

#undef NR
