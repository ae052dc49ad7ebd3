/* direct.c's kernels over pixels, for one float type; after depthwise_body.h. */

/* Of slot s, at a tap's offset. */
PLEAT_INLINE V FN(pixels_at)(bool halves, const T *const *x, int s, int slots, int64_t offset)
{
    return halves ? FN(load_halves)(x[s] + offset, x[slots + s] + offset) : FN(load)(x[s] + offset);
}

/* The sums of `rows` output channels in `slots` vectors of pixels, whose places in the copy are given, from `start` on;
 * of the first `lanes` they go to the places in `to`, channels `apart`. Of halves the back ones have places of their
 * own, `slots` farther on in x and to. */
PLEAT_INLINE void FN(slots)(int rows, int slots, bool halves, int64_t depth, const int64_t *offset, const T *const *x,
                            const T *weights, const T *start, bool relu, int64_t lanes, T *const *to, int64_t apart)
{
    V sum[6][8];
    PLEAT_UNROLL(6)
    for (int i = 0; i < rows; i++) {
        PLEAT_UNROLL(8)
        for (int s = 0; s < slots; s++)
            sum[i][s] = FN(splat)(start[i]);
    }
    PLEAT_UNROLL(1)
    for (int64_t k = 0; k < depth; k++, weights += rows) {
        V at[8];
        if (rows == 3) { /* fewer registers for weights than for pixels */
            const V w0 = FN(splat)(weights[0]), w1 = FN(splat)(weights[1]), w2 = FN(splat)(weights[2]);
            PLEAT_UNROLL(8)
            for (int s = 0; s < slots; s++) {
                V one = FN(pixels_at)(halves, x, s, slots, offset[k]);
                PLEAT_HOLD(one);
                sum[0][s] += w0 * one;
                sum[1][s] += w1 * one;
                sum[2][s] += w2 * one;
            }
            continue;
        }
        PLEAT_UNROLL(8)
        for (int s = 0; s < slots; s++)
            at[s] = FN(pixels_at)(halves, x, s, slots, offset[k]);
        PLEAT_UNROLL(6)
        for (int i = 0; i < rows; i++) {
            PLEAT_UNROLL(8)
            for (int s = 0; s < slots; s++)
                sum[i][s] += weights[i] * at[s];
        }
    }
    PLEAT_UNROLL(6)
    for (int i = 0; i < rows; i++) {
        if (i == lanes)
            return;
        PLEAT_UNROLL(8)
        for (int s = 0; s < slots; s++) {
            const V v = relu ? FN(relu)(sum[i][s]) : sum[i][s];
            if (halves)
                FN(store_halves)(to[s] + i * apart, to[slots + s] + i * apart, v);
            else
                FN(store)(to[s] + i * apart, v);
        }
    }
}

/* Where vectors of pixels lie, and their results. What is left of lines after whole vectors shares one with the next
 * line's where it is half of one at most. */
typedef struct {
    int64_t vectors, lines; /* of a line, of which the last begins at `last`; and how many lines */
    int64_t last;
    int64_t line, out_line; /* from a line to the next, in the copy (0: there is one) and in the result */
    int64_t rest;           /* where the last half of a line begins, or 0 */
} FN(places);

/* A panel of output channels in a phase. */
typedef struct {
    const pleat_direct_phase *phase;
    const pleat_span *terms; /* of each line, or NULL: all */
    FN(places) at;
    const T *copy, *weights, *start;
    bool relu;
    int64_t lanes;
    T *out;
    int64_t apart; /* channels of the result */
} FN(panel);

PLEAT_INLINE void FN(slots_of)(int rows, int slots, bool halves, const FN(panel) * p, pleat_span in, const T *const *x,
                               T *const *to)
{
    FN(slots)
    (rows, slots, halves, in.end - in.begin, p->phase->offset + in.begin, x, p->weights + in.begin * rows, p->start,
     p->relu, p->lanes, to, p->apart);
}

/* The terms of some lines. */
PLEAT_INLINE pleat_span FN(terms_of)(const FN(panel) * p, int64_t begin, int64_t end)
{
    if (!p->terms)
        return (pleat_span){ 0, p->phase->k };
    pleat_span in = p->terms[begin];
    for (int64_t v = begin + 1; v < end; v++) {
        in.begin = least(in.begin, p->terms[v].begin);
        in.end = in.end > p->terms[v].end ? in.end : p->terms[v].end;
    }
    return in;
}

/* Vectors side by side in each of some lines, as many as fill slots. */
PLEAT_INLINE void FN(beside)(int rows, int slots, const FN(panel) * p, int64_t begin, int64_t end)
{
    const int64_t line = p->at.line, out_line = p->at.out_line;
    const T *copy = p->copy + begin * line;
    T *out = p->out + begin * out_line;
    for (int64_t u = 0; u + slots <= p->at.vectors; u += slots) {
        const int64_t last = u + slots < p->at.vectors ? (slots - 1) * VL : p->at.last - u * VL;
        const T *from = copy + u * VL;
        T *result = out + u * VL;
        for (int64_t v = begin; v < end; v++, from += line, result += out_line) {
            const T *x[8];
            T *to[8];
            PLEAT_UNROLL(8)
            for (int s = 0; s < slots; s++) {
                x[s] = from + (s + 1 < slots ? s * VL : last);
                to[s] = result + (s + 1 < slots ? s * VL : last);
            }
            FN(slots_of)(rows, slots, false, p, FN(terms_of)(p, v, v + 1), x, to);
        }
    }
}

/* Those that are left over, of as many lines as fill slots. */
PLEAT_INLINE void FN(below)(int rows, int slots, const FN(panel) * p, int64_t begin, int64_t end)
{
    const int64_t first = p->at.vectors / slots * slots;
    int64_t vector = first, line = begin;
    while (line < end) {
        const int64_t top = line;
        int64_t v = top;
        const T *x[8];
        T *to[8];
        for (int s = 0; s < slots; s++) {
            v = least(line, end - 1); /* what is left over at the end repeats the last line */
            const int64_t from = vector + 1 < p->at.vectors ? vector * VL : p->at.last;
            x[s] = p->copy + v * p->at.line + from;
            to[s] = p->out + v * p->at.out_line + from;
            if (++vector == p->at.vectors) {
                vector = first;
                line++;
            }
        }
        FN(slots_of)(rows, slots, false, p, FN(terms_of)(p, top, v + 1), x, to);
    }
}

/* The ends of lines, two in a vector. */
PLEAT_INLINE void FN(ends)(int rows, int slots, const FN(panel) * p, int64_t begin, int64_t end)
{
    for (; begin < end; begin += 2 * slots) {
        const T *x[16];
        T *to[16];
        for (int s = 0; s < slots; s++)
            for (int back = 0; back < 2; back++) {
                const int64_t v = least(begin + 2 * s + back, end - 1);
                x[back * slots + s] = p->copy + v * p->at.line + p->at.rest;
                to[back * slots + s] = p->out + v * p->at.out_line + p->at.rest;
            }
        FN(slots_of)(rows, slots, true, p, FN(terms_of)(p, begin, least(begin + 2 * slots, end)), x, to);
    }
}

/* Functions of their own, in which all sums stay in registers. Lines are finished while they are in the cache: so many
 * of them that what is left over fills slots. */
#define OF(name, rows, count)                                                                                          \
    static __attribute__((noinline)) void FN(name##_##rows)(const FN(panel) * p, int64_t begin, int64_t end)           \
    {                                                                                                                  \
        FN(name)(rows, count, p, begin, end);                                                                          \
    }
#define PANEL(rows, count)                                                                                             \
    OF(beside, rows, count)                                                                                            \
    OF(below, rows, count)                                                                                             \
    OF(ends, rows, count)                                                                                              \
    static void FN(panel_##rows)(const FN(panel) * p)                                                                  \
    {                                                                                                                  \
        const int64_t batch = p->at.rest || p->at.vectors % count ? 4 * count : p->at.lines;                           \
        for (int64_t v = 0; v < p->at.lines; v += batch) {                                                             \
            const int64_t end = least(v + batch, p->at.lines);                                                         \
            FN(beside_##rows)(p, v, end);                                                                              \
            if (p->at.vectors % count)                                                                                 \
                FN(below_##rows)(p, v, end);                                                                           \
            if (p->at.rest)                                                                                            \
                FN(ends_##rows)(p, v, end);                                                                            \
        }                                                                                                              \
    }
PANEL(1, SLOTS_1)
PANEL(2, SLOTS_1)
PANEL(3, SLOTS_3)
PANEL(4, SLOTS_4)
PANEL(6, SLOTS_6)
#undef PANEL
#undef OF

static void FN(pixels_phase)(int64_t width, const FN(panel) * p)
{
    if (width == 6)
        FN(panel_6)(p);
    else if (width == 4)
        FN(panel_4)(p);
    else if (width == 3)
        FN(panel_3)(p);
    else if (width == 2)
        FN(panel_2)(p);
    else
        FN(panel_1)(p);
}

/* ---- One output channel: lines that lie one below another share the pixels that they read ---- */

/* The taps of a column of a kernel that this is for, or 0. */
static int64_t FN(column_taps)(const pleat_direct_work *w)
{
    const pleat_patches *p = w->patches;
    const bool dense = w->phases.h * w->phases.w == 1 && w->step.h == 1 && w->step.w == 1 && w->every.h == 1 &&
                       (p->tap_step.h == 1 || p->tap_step.h == -1);
    return dense && w->width == 1 && 2 * p->windows.w > VL && (p->taps.h == 3 || p->taps.h == 5 || p->taps.h == 7)
               ? p->taps.h
               : 0;
}

PLEAT_INLINE void FN(begin_column)(int lines, int abreast, T start, V sum[2][COLUMN])
{
    PLEAT_UNROLL(2)
    for (int s = 0; s < abreast; s++) {
        PLEAT_UNROLL(16)
        for (int v = 0; v < lines; v++)
            sum[s][v] = FN(splat)(start);
    }
}

/* Row r of pixels, which a column of taps meets in as many lines. */
PLEAT_INLINE void FN(add_row)(int lines, int taps, int r, const V *tap, V at, V sum[COLUMN])
{
    PLEAT_HOLD(at);
    PLEAT_UNROLL(7)
    for (int i = 0; i < taps; i++)
        if (r - i >= 0 && r - i < lines)
            sum[r - i] += tap[i] * at;
}

PLEAT_INLINE void FN(put_column)(int lines, int abreast, V sum[2][COLUMN], bool relu, T *to, int64_t apart,
                                 int64_t line)
{
    PLEAT_UNROLL(16)
    for (int v = 0; v < lines; v++) {
        PLEAT_UNROLL(2)
        for (int s = 0; s < abreast; s++)
            FN(store)(to + v * line + s * apart, relu ? FN(relu)(sum[s][v]) : sum[s][v]);
    }
}

/* One vector in each of some lines, or two abreast. `first` is the place of the tap of channel 0, column 0 and the
 * lowest row among the taps; those of the rows above it follow in steps of `next`. */
PLEAT_INLINE void FN(column_of)(int lines, int abreast, int taps, int64_t channels, int64_t wide, int64_t first,
                                int64_t next, const int64_t *offset, const T *copy, int64_t apart, int64_t pitch,
                                const T *weights, T start, bool relu, T *to, int64_t line)
{
    V sum[2][COLUMN];
    FN(begin_column)(lines, abreast, start, sum);
    for (int64_t c = 0; c < channels; c++, first += taps * wide) {
        PLEAT_UNROLL(1)
        for (int64_t j = first; j < first + wide; j++) {
            const T *x = copy + offset[j];
            V tap[7];
            PLEAT_UNROLL(7)
            for (int i = 0; i < taps; i++)
                tap[i] = FN(splat)(weights[j + i * next]);
            const T *row[8][2]; /* every third: the others' places are sums that loading works out */
            PLEAT_UNROLL(8)
            for (int r = 0; r < lines + taps - 1; r += 3, x += 3 * pitch) {
                PLEAT_UNROLL(2)
                for (int s = 0; s < abreast; s++) {
                    row[r / 3][s] = x + s * apart;
                    PLEAT_FORGET(row[r / 3][s]);
                }
            }
            PLEAT_UNROLL(22)
            for (int r = 0; r < lines + taps - 1; r++) {
                PLEAT_UNROLL(2)
                for (int s = 0; s < abreast; s++)
                    FN(add_row)(lines, taps, r, tap, FN(load)(row[r / 3][s] + r % 3 * pitch), sum[s]);
            }
        }
    }
    FN(put_column)(lines, abreast, sum, relu, to, apart, line);
}

/* The same of 3 x 3 taps that keep the image's size, which is read where it is (depthwise_body.h). x is where the
 * middle column of taps reads channel 0 for the line above the first. */
PLEAT_INLINE void FN(same_column)(bool first, bool final, int lines, int abreast, const pleat_direct_work *w,
                                  const FN(three_rows) * rows, int64_t v, int64_t from, int64_t apart, const T *weights,
                                  T start, T *to)
{
    const int64_t pitch = rows->pitch, plane = w->patches->channel;
    const T *x = rows->x + v * pitch + from;
    V sum[2][COLUMN];
    FN(begin_column)(lines, abreast, start, sum);
    for (int64_t c = 0; c < w->channels; c++, x += plane, weights += 9) {
        PLEAT_UNROLL(3)
        for (int j = 0; j < 3; j++) {
            V tap[3];
            PLEAT_FORGET(x); /* or the columns would share more vectors than there are registers */
            PLEAT_UNROLL(3)
            for (int i = 0; i < 3; i++)
                tap[i] = FN(splat)(weights[FN(three_tap)(w->patches, i * 3 + j)]);
            PLEAT_UNROLL(18)
            for (int r = 0; r < lines + 2; r++) {
                if (first && j < 2) /* the next channel's, for all blocks of these lines: no machine foresees them */
                    __builtin_prefetch(x + r * pitch + plane + j * VL);
                PLEAT_UNROLL(2)
                for (int s = 0; s < abreast; s++) {
                    const T *row = FN(three_row)(rows, x, v, lines, r);
                    const V at = FN(three_pixel)(row + s * apart, j, first && s == 0, final && s + 1 == abreast);
                    FN(add_row)(lines, 3, r, tap, at, sum[s]);
                }
            }
        }
    }
    FN(put_column)(lines, abreast, sum, w->relu, to + v * pitch + from, apart, pitch);
}

static void FN(same_columns)(const pleat_direct_work *w, const FN(three_rows) * rows, int64_t lines, int64_t vectors,
                             int64_t last, const T *weights, T start, T *to)
{
    for (int64_t v = 0; v < lines && vectors > 1; v += COLUMN / 2) {
        v = v + COLUMN / 2 <= lines ? v : lines - COLUMN / 2;
        for (int64_t u = 0; u + 1 < vectors; u += 2) {
            const int64_t from = u * VL, apart = (u + 2 < vectors ? from + VL : last) - from;
            AT_EDGES(FN(same_column), u == 0, u + 2 == vectors, COLUMN / 2, 2, w, rows, v, from, apart, weights, start,
                     to);
        }
    }
    for (int64_t v = 0; v < lines && vectors % 2; v += COLUMN) {
        v = v + COLUMN <= lines ? v : lines - COLUMN;
        AT_EDGES(FN(same_column), vectors == 1, true, COLUMN, 1, w, rows, v, last, 0, weights, start, to);
    }
}

/* Lines of a band, at least COLUMN: the last ones overlap those before, as vectors in a line do. */
static void FN(columns)(const pleat_direct_work *w, int64_t taps, const T *weights, T start, const T *copy,
                        int64_t lines, const FN(places) * at, T *to)
{
    const int64_t channels = w->channels, wide = w->patches->taps.w, pitch = w->pitch, line = at->out_line;
    const bool down = w->patches->tap_step.h > 0;
    const int64_t first = down ? 0 : (taps - 1) * wide, next = down ? wide : -wide, *offset = w->phase->offset;
    for (int64_t u = 0; u < at->vectors; u += 2) {
        const bool both = u + 1 < at->vectors;
        const int64_t size = both ? COLUMN / 2 : COLUMN, from = both ? u * VL : at->last;
        const int64_t apart = (u + 2 < at->vectors ? from + VL : at->last) - from;
        for (int64_t v = 0; v < lines; v += size) {
            v = v + size <= lines ? v : lines - size;
            const T *x = copy + v * pitch + from;
            T *out = to + v * line + from;
#define COLUMN_OF(taps)                                                                                                \
    both ? FN(column_of)(COLUMN / 2, 2, taps, channels, wide, first, next, offset, x, apart, pitch, weights, start,    \
                         w->relu, out, line)                                                                           \
         : FN(column_of)(COLUMN, 1, taps, channels, wide, first, next, offset, x, 0, pitch, weights, start, w->relu,   \
                         out, line)
            if (taps == 3)
                COLUMN_OF(3);
            else if (taps == 5)
                COLUMN_OF(5);
            else
                COLUMN_OF(7);
#undef COLUMN_OF
        }
    }
}

/* n elements, the first from every one of `count` lines in turn, then the second, ...: whole vectors are read, and
 * written as far as there is room. */
PLEAT_INLINE void FN(weave)(const T *const *from, int64_t count, T *to, int64_t n, int64_t room)
{
    T end[2 * VL];
    int64_t i = 0;
    if (count == 1) {
        for (; i < n && i + VL <= room; i += VL)
            FN(store)(to + i, FN(load)(from[0] + i));
        if (i < n)
            FN(store)(end, FN(load)(from[0] + i));
    } else if (count == 2) {
        T *out = to;
        for (; i < n && out != end; i += 2 * VL) {
            const V a = FN(load)(from[0] + i / 2), b = FN(load)(from[1] + i / 2);
            out = i + 2 * VL <= room ? to + i : end;
            FN(store)(out, PLEAT_LOW(a, b));
            FN(store)(out + VL, PLEAT_HIGH(a, b));
        }
        i -= out == end ? 2 * VL : 0;
    } else
        for (int64_t f = 0; f < count; f++) {
            const T *next = from[f];
            for (i = f; i < n; i += count)
                to[i] = *next++;
        }
    if (i < n)
        memcpy(to + i, end, (size_t)(n - i) * sizeof(T));
}

/* Sums go straight to where they belong if lines are at least a vector and whole; or else to scratch memory first, as
 * one run of all that lies in the copy between the first and the last pixel where the step is 1. */
static void FN(pixels)(const pleat_direct_work *w, const T *image, int64_t n, int64_t y, int64_t y_end, int64_t o,
                       int64_t o_end, T *copy, T *sums)
{
    if (w->depthwise && pleat_is_narrow(w->patches, VL)) {
        FN(narrow)(w, image, n, y, y_end, o, o_end, copy);
        return;
    }
    const int64_t phases = w->phases.h * w->phases.w, line = w->c.width, pitch = w->step.h * w->pitch;
    const int64_t widest = w->patches->windows.w, most = y_end - y, vectors = (widest + VL - 1) / VL;
    FN(places) at = { vectors, most, (vectors - 1) * VL, pitch, vectors * VL, 0 };
    const int64_t flat = ((most - 1) * pitch + widest + VL - 1) / VL;
    const bool three = w->channels == 1 && FN(is_three)(w);
    const int64_t column = most >= COLUMN && !three ? FN(column_taps)(w) : 0;
    const bool straight =
        phases == 1 && widest >= VL && (three || column || w->step.h > 1 || 8 * vectors * most <= 9 * flat);
    if (straight) {
        at.last = widest - VL;
        at.out_line = line;
        if (!three && !column && widest % VL > 0 && widest % VL <= VL / 2) {
            at.vectors = widest / VL;
            at.last = (at.vectors - 1) * VL;
            at.rest = widest - VL / 2;
        }
    } else if (w->step.h == 1 && !three && !column)
        at = (FN(places)){ flat, 1, (flat - 1) * VL, 0, pitch, 0 };
    const int64_t area = at.vectors * at.lines * VL;
    int64_t whole = 0; /* lines of the result */
    for (int64_t h = 0; h < w->phases.h; h++)
        whole += FN(lines_of)(w->phase + h * w->phases.w, y, y_end);
    FN(three_rows) rows = { copy + 1, pitch, -1, -1, false };
    const bool same = (three || column) && FN(is_same)(w);
    for (int64_t begin = o; o < o_end; o += w->width) {
        const T *x = image + (w->depthwise ? o * w->patches->channel : 0);
        if (same)
            rows = FN(same_rows)(w, x, y, y_end);
        else if (w->depthwise || o == begin)
            FN(copy_band)(w, x, y, y_end, copy);
        const int64_t lanes = o_end - o < w->width ? o_end - o : w->width;
        T start[6] = { 0 };
        for (int64_t l = 0; w->bias && l < lanes; l++)
            start[l] = ((const T *)w->bias)[o + l];
        T *to = (T *)w->c.base + o * w->c.row + n * w->c.image + y * w->phases.h * line;
        for (int64_t i = 0; i < phases; i++) {
            const pleat_direct_phase *f = w->phase + i;
            const T *weights = (const T *)w->weights + f->weights + o * f->k;
            T *out = straight ? to : sums + i * w->width * area;
            if (three)
                FN(three)
            (w->patches, weights, start[0], w->relu, &rows, most, vectors, at.last, out, at.out_line);
            else if (column && same) FN(same_columns)(w, &rows, most, vectors, at.last, weights, start[0], out);
            else if (column) FN(columns)(w, column, weights, start[0], copy, most, &at, out);
            else
            {
                const FN(panel) panel = { f,       w->by_rows && at.line ? f->terms + y : NULL,
                                          at,      copy,
                                          weights, start,
                                          w->relu, lanes,
                                          out,     straight ? w->c.row : area };
                FN(pixels_phase)(w->width, &panel);
            }
        }
        for (int64_t l = 0; l < lanes && !straight; l++) {
            T *row = to + l * w->c.row;
            const T *end = row + whole * line;
            for (int64_t v = 0; v < most; v++)
                for (int64_t h = 0; h < w->phases.h && y + v < w->phase[h * w->phases.w].patches->windows.h; h++) {
                    const T *from[PLEAT_DIRECT_PHASES];
                    for (int64_t i = 0; i < w->phases.w; i++)
                        from[i] = sums + ((h * w->phases.w + i) * w->width + l) * area + v * at.out_line;
                    FN(weave)(from, w->phases.w, row, line, end - row);
                    row += line;
                }
        }
    }
}

/* ---- By weight ---- */

/* `rows` channels by `taps` taps over lines of pixels. A line's last vector begins at `last` and overlaps the one
 * before: the gradient is zero where it does. Of a line that is shorter than a vector the mask keeps the next one's
 * pixels out: zero times NaN would count. */
PLEAT_INLINE void FN(dots)(int rows, int taps, const T *const *places, int64_t lines, int64_t vectors, int64_t last,
                           FN(bits) mask, int64_t step, const T *gradient, int64_t gradient_row, T *out)
{
    const T *x[9];
    V sum[6][9];
    PLEAT_UNROLL(9)
    for (int t = 0; t < taps; t++)
        x[t] = places[t];
    PLEAT_UNROLL(6)
    for (int i = 0; i < rows; i++) {
        PLEAT_UNROLL(9)
        for (int t = 0; t < taps; t++)
            sum[i][t] = (V){ 0 };
    }
    for (int64_t v = 0; v < lines; v++) {
        PLEAT_UNROLL(1)
        for (int64_t u = 0; u < vectors; u++, gradient += VL) {
            const int64_t from = u + 1 < vectors ? u * VL : last;
            V at[9];
            PLEAT_UNROLL(9)
            for (int t = 0; t < taps; t++)
                at[t] = FN(load_masked)(x[t] + from, mask);
            PLEAT_UNROLL(6)
            for (int i = 0; i < rows; i++) {
                const V g = FN(load)(gradient + i * gradient_row);
                PLEAT_UNROLL(9)
                for (int t = 0; t < taps; t++)
                    sum[i][t] += at[t] * g;
            }
        }
        PLEAT_UNROLL(9)
        for (int t = 0; t < taps; t++)
            x[t] += step;
    }
    PLEAT_UNROLL(9)
    for (int t = 0; t < taps; t++) {
        PLEAT_UNROLL(6)
        for (int i = 0; i < rows; i++)
            FN(store)(out + (t * rows + i) * VL, sum[i][t]);
    }
}

/* The total of n elements, of whole vectors. */
static T FN(total_of)(const T *from, int64_t n)
{
    V sum[4] = { { 0 } };
    int64_t i = 0;
    for (; i + 4 * VL <= n; i += 4 * VL) {
        PLEAT_UNROLL(4)
        for (int s = 0; s < 4; s++)
            sum[s] += FN(load)(from + i + s * VL);
    }
    for (; i < n; i += VL)
        sum[0] += FN(load)(from + i);
    return FN(total)((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

/* A line of the gradient, in whole vectors for dots. */
static void FN(put_line)(const T *from, int64_t line, T *to)
{
    const int64_t vectors = (line + VL - 1) / VL, missing = vectors * VL - line;
    T *const end = to + (vectors - 1) * VL;
    if (line < VL) {
        FN(store)(to, (V){ 0 });
        for (int64_t i = 0; i < line; i++)
            to[i] = from[i];
        return;
    }
    for (int64_t i = 0; i < vectors - 1; i++)
        FN(store)(to + i * VL, FN(load)(from + i * VL));
    FN(store)(end, FN(load)(from + line - VL));
    for (int64_t i = 0; i < missing; i++)
        end[i] = 0;
}

/* One channel in and one out, some columns of a square's taps at once: what a line's pixels add to a vector for each
 * tap. They meet the next line of the gradient and those before, g, the lowest first. */
PLEAT_INLINE void FN(square_line)(int taps, int columns, V next, V g[5], const T *x, V sum[5][5])
{
    PLEAT_UNROLL(4)
    for (int i = taps - 1; i > 0; i--)
        g[i] = g[i - 1];
    g[0] = next;
    PLEAT_UNROLL(5)
    for (int j = 0; j < columns; j++) {
        V pixels = FN(load)(x + j);
        PLEAT_HOLD(pixels);
        PLEAT_UNROLL(5)
        for (int i = 0; i < taps; i++)
            sum[i][j] += g[i] * pixels;
    }
}

/* One vector of every line, and the gradient's own total if that is wanted; masked: of the gradient's only a part
 * counts. */
PLEAT_INLINE void FN(square_column)(int taps, int columns, bool own, bool masked, FN(bits) mask, const T *gradient,
                                    int64_t ahead, int64_t line, int64_t lines, const T *x, int64_t pitch, V sum[5][5],
                                    V *totals)
{
    V g[5] = { { 0 } }, total = *totals;
    PLEAT_UNROLL(1)
    for (int64_t r = 0; r < lines; r++, x += pitch, gradient += line) {
        const V next = FN(gradient_of)(masked, mask, gradient);
        if (own) {
            total += next;
            __builtin_prefetch(gradient + ahead);
        }
        FN(square_line)(taps, columns, next, g, x, sum);
    }
    PLEAT_UNROLL(1)
    for (int r = 1; r < taps; r++, x += pitch)
        FN(square_line)(taps, columns, (V){ 0 }, g, x, sum);
    *totals = total;
}

/* All vectors of the lines, or adds to the sums. The gradient's lines are read where they are; of the last vector,
 * which overlaps the one before, only what is new counts. */
PLEAT_INLINE void FN(square_of)(int taps, int columns, bool own, const T *gradient, int64_t ahead, int64_t line,
                                int64_t lines, const T *copy, int64_t pitch, bool add, T *sums, T *totals)
{
    const int64_t vectors = (line + VL - 1) / VL, last = line - VL;
    V sum[5][5], total = own && add ? FN(load)(totals) : (V){ 0 }, fresh;
    PLEAT_UNROLL(5)
    for (int i = 0; i < taps; i++) {
        PLEAT_UNROLL(5)
        for (int j = 0; j < columns; j++)
            sum[i][j] = add ? FN(load)(sums + (i * taps + j) * VL) : (V){ 0 };
    }
    for (int64_t e = 0; e < VL; e++)
        fresh[e] = last + e >= (vectors - 1) * VL;
    const FN(bits) mask = fresh > 0;
    for (int64_t u = 0; u < vectors - 1; u++)
        FN(square_column)
    (taps, columns, own, false, mask, gradient + u * VL, ahead, line, lines, copy + u * VL, pitch, sum, &total);
    FN(square_column)
    (taps, columns, own, true, mask, gradient + last, ahead, line, lines, copy + last, pitch, sum, &total);
    PLEAT_UNROLL(5)
    for (int i = 0; i < taps; i++) {
        PLEAT_UNROLL(5)
        for (int j = 0; j < columns; j++)
            FN(store)(sums + (i * taps + j) * VL, sum[i][j]);
    }
    if (own)
        FN(store)(totals, total);
}

static void FN(square)(int64_t taps, const T *gradient, int64_t ahead, int64_t line, int64_t lines, const T *copy,
                       int64_t pitch, bool add, T *sums, T *totals)
{
    if (taps == 3) {
        FN(square_of)(3, 3, true, gradient, ahead, line, lines, copy, pitch, add, sums, totals);
        return;
    }
    int j = 0;
    for (; j + SQUARE_5 < 5; j += SQUARE_5)
        FN(square_of)(5, SQUARE_5, false, gradient, 0, line, lines, copy + j, pitch, add, sums + j * VL, NULL);
    FN(square_of) /* the gradient's own with the fewest columns, which leave registers */
    (5, 5 % SQUARE_5 ? 5 % SQUARE_5 : SQUARE_5, true, gradient, ahead, line, lines, copy + j, pitch, add, sums + j * VL,
     totals);
}

static void FN(weight_pixels)(const pleat_direct_work *w, const T *image, int64_t n, int64_t y, int64_t y_end,
                              int64_t o, int64_t o_end, bool add, T *sums, T *copy, T *gradient)
{
    if (w->depthwise && pleat_is_narrow(w->patches, VL)) {
        FN(weight_narrow)(w, image, n, y, y_end, o, o_end, add, sums, copy, gradient);
        return;
    }
    const int64_t *offset = w->phase->offset, all = w->phase->k;
    const int64_t line = w->c.width, step = w->step.h * w->pitch, vectors = (line + VL - 1) / VL, width = w->width;
    const int64_t lines = y_end - y, row = lines * vectors * VL, last = line > VL ? line - VL : 0;
    FN(bits) mask;
    for (int64_t e = 0; e < VL; e++)
        mask[e] = e < line ? -1 : 0;
    /* the image as it is, unless a copy pays for more channels; what comes next is fetched */
    const bool same = w->lanes > 1 && (w->depthwise || w->m == 1) && FN(is_same)(w);
    const int64_t ahead = w->depthwise ? w->c.row : w->c.image;
    const int64_t x_ahead = w->depthwise ? w->patches->channel : w->patches->image;
    for (int64_t begin = o; o < o_end; o += width) {
        const int64_t lanes = o_end - o < width ? o_end - o : width;
        const T *x = image + (w->depthwise ? o * w->patches->channel : 0);
        if (same) {
            const FN(three_rows) rows = FN(same_rows)(w, x, y, y_end);
            FN(three_weight)
            ((const T *)w->c.base + o * w->c.row + n * w->c.image + y * line, ahead, line, lines, &rows, x_ahead, add,
             sums + o * all * VL, sums + w->totals + o * VL);
            continue;
        }
        if (w->depthwise || o == begin)
            FN(copy_band)(w, x, y, y_end, copy);
        if (w->lanes > 1) {
            FN(square)
            (w->patches->taps.h, (const T *)w->c.base + o * w->c.row + n * w->c.image + y * line,
             o + 1 < o_end ? w->c.row : 0, line, lines, copy, step, add, sums + o * all * VL,
             sums + w->totals + o * VL);
            continue;
        }
        for (int64_t l = 0; l < lanes; l++)
            for (int64_t v = 0; v < lines; v++)
                FN(put_line)
        ((const T *)w->c.base + (o + l) * w->c.row + n * w->c.image + (y + v) * line, line,
         gradient + l * row + v * vectors * VL);
        for (int64_t l = 0; l < lanes; l++) {
            T *total = sums + w->totals + o + l;
            *total = FN(total_of)(gradient + l * row, row) + (add ? *total : 0);
        }
        if (lanes < width)
            memset(gradient + lanes * row, 0, (size_t)((width - lanes) * row) * sizeof(T));
        const int64_t few = width > 2 ? DOTS_3 : width > 1 ? DOTS_2 : DOTS_1;
        const int64_t count = width > 4 ? DOTS_6 : width > 3 ? DOTS_4 : few;
        for (int64_t k = 0; k < all; k += count) {
            const int64_t taps = all - k < count ? all - k : count;
            const T *places[9];
            T out[(24 + 16) * VL]; /* whole blocks are turned */
            for (int64_t t = 0; t < count; t++)
                places[t] = copy + offset[k + (t < taps ? t : 0)]; /* what is left over repeats the first */
            if (width == 6)
                FN(dots)(6, DOTS_6, places, lines, vectors, last, mask, step, gradient, row, out);
            else if (width == 4)
                FN(dots)(4, DOTS_4, places, lines, vectors, last, mask, step, gradient, row, out);
            else if (width == 3)
                FN(dots)(3, DOTS_3, places, lines, vectors, last, mask, step, gradient, row, out);
            else if (width == 2)
                FN(dots)(2, DOTS_2, places, lines, vectors, last, mask, step, gradient, row, out);
            else
                FN(dots)(1, DOTS_1, places, lines, vectors, last, mask, step, gradient, row, out);
            FN(put_totals)(out, taps * width, add, sums + o * all + k * width);
        }
    }
}
