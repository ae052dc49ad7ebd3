/* gemm.c's functions for one float type, in simd.h's names. */

#define NR (2 * VL)
#define LINE (64 / (int64_t)sizeof(T))

/* One tile: C = A B, plus what is asked for of C itself and the biases. Row i of A is at a + i a_lane with its steps
 * adjacent; or A is a panel, with its rows adjacent and its steps MR apart. Rows of B are vectors, b_step apart. */
typedef struct {
    int64_t depth;
    const T *a, *b;
    T *c;
    int64_t a_lane, b_step, c_row;
    bool panel;
    bool add;
    const T *row_bias, *col_bias;
    bool relu;      /* of what is then C */
    const T *ahead; /* where the first line lies that is asked for meanwhile, one every two steps, or NULL */
    int64_t ahead_step;
    T *copy; /* where the rows of B are copied to meanwhile, one after the other, or NULL */
} FN(tile);

/* One step of K. Rows of A that lie anywhere are five to a pointer: x86 adds one, two or four times a register to it,
 * and three times is a register of its own. Where a multiply-add takes an element of memory, a row that both of its
 * read for themselves saves an instruction; no more than a third of the rows do, as there are two reads in a cycle. */
PLEAT_INLINE void FN(step)(V sum[MR][2], const char *a[3], int64_t lane, int64_t lane3, int64_t at, const char *b,
                           int rows, int vectors, bool panel, T *copy)
{
    const V b0 = FN(load)((const T *)b), b1 = vectors > 1 ? FN(load)((const T *)b + VL) : b0;
    if (copy) {
        FN(store)(copy, b0);
        FN(store)(copy + VL, b1);
    }
    PLEAT_UNROLL(16)
    for (int i = 0; i < rows; i++) {
        const int64_t row = panel ? i * (int64_t)sizeof(T) : i % 5 == 3 ? lane3 : i % 5 * lane;
        const int from = panel ? 0 : i / 5;
        const T *element = (const T *)(a[from] + row + at);
        if (MEMORY_OPERANDS) {
            sum[i][0] += *element * b0;
            if (panel ? i % 3 == 0 : i % 5 == 0)
                PLEAT_FORGET(a[from]);
            if (vectors > 1)
                sum[i][1] += *(const T *)(a[from] + row + at) * b1;
        } else {
            const V e = FN(splat)(*element);
            sum[i][0] += e * b0;
            STAY(sum[i][0], e, b0);
            if (vectors > 1) {
                sum[i][1] += e * b1;
                STAY(sum[i][1], e, b1);
            }
        }
    }
}

/* Asks for vectors ahead of time, each line of cache once. */
PLEAT_INLINE void FN(ask)(const char *b, int vectors)
{
    __builtin_prefetch(b);
    if (vectors > 1 && sizeof(V) == 64)
        __builtin_prefetch(b + sizeof(V));
}

PLEAT_INLINE void FN(tile_of)(const FN(tile) * t, int rows, int vectors, bool panel, bool send, bool copies,
                              bool b_panel)
{
    V sum[MR][2];
    PLEAT_UNROLL(16)
    for (int i = 0; i < rows; i++)
        sum[i][0] = sum[i][1] = (V){ 0 };
    const int64_t size = (int64_t)sizeof(T), a_step = panel ? MR * size : size,
                  b_step = b_panel ? NR * size : t->b_step * size, depth = t->depth;
    int64_t lane = t->a_lane * size, lane3 = 3 * lane;
    const char *ahead = (const char *)t->ahead;
    const int64_t ahead_step = t->ahead_step * size;
    T *copy = copies ? t->copy : NULL;
    const char *a[3] = { (const char *)t->a }, *b = (const char *)t->b;
    a[1] = rows > 5 && !panel ? a[0] + 5 * lane : a[0];
    a[2] = rows > 10 && !panel ? a[1] + 5 * lane : a[0];
    /* some at a time: fewer moves of pointers */
    int64_t k = 0, soon = AHEAD * b_step;
    PLEAT_UNROLL(1)
    for (; k + STEPS <= depth; k += STEPS) {
        if (!panel)
            __asm__("" : "+r"(a[0]), "+r"(a[1]), "+r"(a[2]), "+r"(lane), "+r"(lane3));
        PLEAT_UNROLL(4)
        for (int s = 0; s < STEPS; s++) {
            if (STEPS > 2) /* one pointer, not one for each step */
                __asm__("" : "+r"(b), "+r"(soon));
            if (!b_panel)
                FN(ask)(b + soon, vectors);
            FN(step)(sum, a, lane, lane3, s * a_step, b, rows, vectors, panel, copies ? copy + s * NR : NULL);
            b += b_step;
            if (send && s % 2 == 0) {
                __builtin_prefetch(ahead, 0, 2);
                ahead += ahead_step;
            }
        }
        copy = copies ? copy + STEPS * NR : NULL;
        a[0] += STEPS * a_step, a[1] += STEPS * a_step, a[2] += STEPS * a_step;
    }
    for (; k < depth; k++) {
        FN(step)(sum, a, lane, lane3, 0, b, rows, vectors, panel, copy);
        if (STEPS == 2) /* there is no more than one */
            break;
        b += b_step;
        copy = copies ? copy + NR : NULL;
        a[0] += a_step, a[1] += a_step, a[2] += a_step;
    }
    if (t->row_bias) {
        PLEAT_UNROLL(16)
        for (int i = 0; i < rows; i++) {
            sum[i][0] += t->row_bias[i];
            sum[i][1] += t->row_bias[i];
        }
    }
    if (t->col_bias) {
        PLEAT_UNROLL(16)
        for (int i = 0; i < rows; i++) {
            sum[i][0] += FN(load)(t->col_bias);
            if (vectors > 1)
                sum[i][1] += FN(load)(t->col_bias + VL);
        }
    }
    if (t->add) {
        const T *c = t->c;
        PLEAT_UNROLL(16)
        for (int i = 0; i < rows; i++, c += t->c_row) {
            sum[i][0] += FN(load)(c);
            if (vectors > 1)
                sum[i][1] += FN(load)(c + VL);
        }
    }
    if (t->relu) {
        PLEAT_UNROLL(16)
        for (int i = 0; i < rows; i++) {
            sum[i][0] = FN(relu)(sum[i][0]);
            sum[i][1] = FN(relu)(sum[i][1]);
        }
    }
    T *c = t->c;
    const int64_t c_row = t->c_row; /* not read again after each store, which might change it */
    PLEAT_UNROLL(16)
    for (int i = 0; i < rows; i++, c += c_row) {
        PLEAT_FORGET(c);
        FN(store)(c, sum[i][0]);
        if (vectors > 1)
            FN(store)(c + VL, sum[i][1]);
    }
}

#define TILE_OF(rows, vectors, ...)                                                                                    \
    (t->panel ? FN(tile_of)(t, rows, vectors, true, __VA_ARGS__) : FN(tile_of)(t, rows, vectors, false, __VA_ARGS__))
#define TILE(rows)                                                                                                     \
    static void FN(tile_##rows)(const FN(tile) * t, int vectors)                                                       \
    {                                                                                                                  \
        const bool b_panel = PANELS_COME && t->b_step == NR;                                                           \
        if (vectors == 1)                                                                                              \
            TILE_OF(rows, 1, false, false, false);                                                                     \
        else if (t->copy)                                                                                              \
            TILE_OF(rows, 2, false, true, false);                                                                      \
        else if (t->ahead && b_panel)                                                                                  \
            TILE_OF(rows, 2, true, false, true);                                                                       \
        else if (t->ahead)                                                                                             \
            TILE_OF(rows, 2, true, false, false);                                                                      \
        else if (b_panel)                                                                                              \
            TILE_OF(rows, 2, false, false, true);                                                                      \
        else                                                                                                           \
            TILE_OF(rows, 2, false, false, false);                                                                     \
    }
ROWS(TILE)
#undef TILE
#undef TILE_OF
#define TILE(rows) FN(tile_##rows),
static void (*const FN(tiles)[])(const FN(tile) * t, int vectors) = { ROWS(TILE) };
#undef TILE

/* An element of C in row i and column j of the biases: its sum, with what is added to it, and relu. */
PLEAT_INLINE void FN(put)(T *c, T sum, const T *row_bias, int64_t i, const T *col_bias, int64_t j, bool add, bool relu)
{
    if (row_bias)
        sum += row_bias[i];
    if (col_bias)
        sum += col_bias[j];
    if (add)
        sum += *c;
    *c = relu && sum < 0 ? 0 : sum;
}

/* Rows of C's tile, whose columns are adjacent, into a whole tile or back. */
static void FN(copy_tile)(const pleat_target *c, spot at, T *there, int64_t rows, int64_t columns, T *whole, bool back)
{
    const int64_t start = offset_of(c, &at);
    for (int64_t j = 0, run; j < columns; j += run, move_on(c, &at, run)) {
        run = least(c->width - at.x, columns - j);
        for (int64_t i = 0; i < rows; i++) {
            T *to = there + (offset_of(c, &at) - start) + i * c->row, *from = whole + i * NR + j;
            FN(copy_row)(back ? to : from, back ? from : to, 1, run);
        }
    }
}

/* The same where C's tile is cut off, or its columns are not adjacent: by way of a whole tile. In the latter case the
 * biases and C's old elements are added on the way out, in the same order. */
static void FN(tile_edge)(const FN(tile) * t, const pleat_target *c, spot at, int64_t rows, int64_t columns)
{
    T whole[MR * NR], bias[NR] = { 0 };
    FN(tile) inner = *t;
    inner.c = whole, inner.c_row = NR;
    if (c->column == 1) {
        if (t->add)
            FN(copy_tile)(c, at, t->c, rows, columns, whole, false);
        if (t->col_bias)
            inner.col_bias = memcpy(bias, t->col_bias, (size_t)columns * sizeof(T));
        FN(tiles)[rows - 1](&inner, columns > VL ? 2 : 1);
        FN(copy_tile)(c, at, t->c, rows, columns, whole, true);
        return;
    }
    inner.add = false;
    inner.row_bias = inner.col_bias = NULL;
    inner.relu = false;
    FN(tiles)[rows - 1](&inner, columns > VL ? 2 : 1);
    const int64_t start = offset_of(c, &at);
    for (int64_t j = 0, run; j < columns; j += run, move_on(c, &at, run)) {
        run = least(c->width - at.x, columns - j);
        T *to = t->c + (offset_of(c, &at) - start);
        for (int64_t e = j; e < j + run; e++, to += c->column)
            for (int64_t i = 0; i < rows; i++)
                FN(put)(to + i * c->row, whole[i * NR + e], t->row_bias, i, t->col_bias, e, t->add, t->relu);
    }
}

/* Where a panel is that needs no packing: step k of the panel from lane `first` on. */
static const T *FN(panel)(const pleat_operand *o, int64_t width, int64_t first, int64_t k)
{
    return (const T *)o->base +
           (o->state == PLEAT_PACKED ? first / width * o->lane + k * width : first * o->lane + k * o->step[2]);
}

/* A block of C while K's steps from k on are summed. */
typedef struct {
    const pleat_product *p;
    int64_t i_begin, i_end, height, j_begin, j_end, k, depth;
    bool first, last; /* of the block's steps */
    bool c_comes;     /* C's lines are asked for while its tile is computed */
    T *a_panel, *b_panels;
} FN(run);

/* What the tiles of a row share. */
PLEAT_INLINE FN(tile) FN(tiles_from)(const FN(run) * r, int64_t i)
{
    const pleat_product *p = r->p;
    return (FN(tile)){ .depth = r->depth,
                       .a = p->a.state == PLEAT_UNPACKED ? r->a_panel : FN(panel)(&p->a, MR, i, r->k),
                       .a_lane = p->a.lane,
                       .panel = p->a.state != PLEAT_IN_PLACE,
                       .c_row = p->c.row,
                       .add = !r->first || p->accumulate,
                       .row_bias = r->first && p->row_bias ? (const T *)p->row_bias + i : NULL,
                       .relu = p->relu && r->last };
}

/* And what is left: the tile in row i at column j, which is at that place. */
PLEAT_INLINE void FN(tile_at)(const FN(run) * r, FN(tile) * t, int64_t i, int64_t j, const spot *at)
{
    const pleat_product *p = r->p;
    const pleat_target *c = &p->c;
    const int64_t rows = least(r->height, r->i_end - i), columns = least(NR, r->j_end - j);
    const bool first = i == r->i_begin, copied = p->b.state == PLEAT_COPIED && columns == NR && first,
               lies = copied || (p->b.state == PLEAT_IN_PLACE && columns == NR);
    T *packed = r->b_panels + (j - r->j_begin) * r->depth;
    t->b = lies || p->b.state == PLEAT_PACKED ? FN(panel)(&p->b, NR, j, r->k) : packed;
    t->b_step = lies ? p->b.step[2] : NR;
    t->copy = copied ? packed : NULL;
    if (first && t->b == packed)
        p->b.pack(&p->b, j, columns, r->k, r->depth, NR, packed);
    t->col_bias = r->first && p->col_bias ? (const T *)p->col_bias + j : NULL;
    t->c = (T *)c->base + i * c->row + offset_of(c, at);
    if (r->c_comes)
        for (int64_t row = 0; row < rows; row++)
            FN(ask)((const char *)(t->c + row * c->row), 2);
    if ((columns == NR || columns == VL) && c->column == 1 && at->x + columns <= c->width)
        FN(tiles)[rows - 1](t, (int)(columns / VL));
    else
        FN(tile_edge)(t, c, *at, rows, columns);
}

/* Rows of tiles one after the other, the first of which packs B, so that all of the chunk of B stays in the L2 cache,
 * and C is written in long lines. But where most of the traffic is B's, which comes from memory, and A stays in the
 * cache: panel by panel of B, and the next one is fetched while this one's tiles are computed. */
static void FN(block)(const pleat_product *p, int64_t i_begin, int64_t i_end, int64_t j_begin, int64_t j_end,
                      int64_t k_begin, int64_t k_end, void *scratch)
{
    const pleat_target *c = &p->c;
    const int64_t size = (int64_t)sizeof(T), most = pleat_gemm_depth(k_end - k_begin, size);
    /* rows that lie in memory are shared out evenly among tiles; a panel of A has MR of them */
    const int64_t m = i_end - i_begin, tiles = (m + MR - 1) / MR;
    T *a_panel = scratch, *b_panels = a_panel + (most + SLACK) / SLACK * SLACK * MR;
    const bool by_panels = p->a.state != PLEAT_UNPACKED && p->b.state == PLEAT_IN_PLACE && most >= 2 * m &&
                           m * most * size <= A_STAYS && p->n * most * size > B_STAYS;
    /* panels of A that are not in the cache are asked for while the ones before them are multiplied, the next chunk's
     * too */
    const bool a_comes = p->a.state == PLEAT_PACKED && p->m * most * size > A_STAYS;
    FN(run)
    r = { .p = p,
          .i_begin = i_begin,
          .i_end = i_end,
          .height = p->a.state == PLEAT_IN_PLACE ? (m + tiles - 1) / tiles : MR,
          .j_begin = j_begin,
          .j_end = j_end,
          .k = k_begin,
          .first = true,
          .c_comes = c->far && c->column == 1 && most >= LONG_TILE,
          .a_panel = a_panel,
          .b_panels = b_panels };
    /* once through even where K is empty: C is the bias then */
    do {
        r.depth = least(most, k_end - r.k);
        r.last = r.k + r.depth >= k_end;
        spot at = spot_of(c, j_begin);
        if (by_panels)
            for (int64_t j = j_begin; j < j_end; j += NR, move_on(c, &at, NR))
                for (int64_t i = i_begin; i < i_end; i += r.height) {
                    FN(tile) t = FN(tiles_from)(&r, i);
                    if (j_end - j >= 2 * NR && i - i_begin < 4 * r.height) {
                        /* the next panel's vectors: a tile has time for one of two in half of the steps */
                        const int64_t part = (i - i_begin) / r.height;
                        t.ahead_step = p->b.step[2];
                        t.ahead =
                            FN(panel)(&p->b, NR, j + NR, r.k) + part / 2 * VL + part % 2 * (r.depth / 2) * t.ahead_step;
                    }
                    FN(tile_at)(&r, &t, i, j, &at);
                }
        else
            for (int64_t i = i_begin; i < i_end; i += r.height) {
                if (p->a.state == PLEAT_UNPACKED)
                    p->a.pack(&p->a, i, least(r.height, i_end - i), r.k, r.depth, MR, a_panel);
                FN(tile) t = FN(tiles_from)(&r, i);
                at = spot_of(c, j_begin);
                const T *next = a_comes && p->m - i > MR ? FN(panel)(&p->a, MR, i + MR, r.k) : NULL;
                t.ahead_step = LINE;
                for (int64_t j = j_begin; j < j_end; j += NR, move_on(c, &at, NR)) {
                    const int64_t asked = (j - j_begin) / NR * (r.depth / 2 * LINE);
                    t.ahead = next && asked < MR * r.depth ? next + asked : NULL;
                    FN(tile_at)(&r, &t, i, j, &at);
                }
            }
        r.k += r.depth;
        r.first = false;
    } while (r.k < k_end);
}

static void FN(add_slices)(const pleat_product *p, const void *partial, int64_t slices, int64_t i_begin, int64_t i_end)
{
    enum { RUN = 256 };
    const pleat_target *c = &p->c;
    for (int64_t i = i_begin; i < i_end; i++) {
        spot at = { 0 };
        for (int64_t j = 0, run; j < p->n; j += run, move_on(c, &at, run)) {
            run = least(least(RUN, p->n - j), c->width - at.x);
            const T *from = (const T *)partial + i * p->n + j;
            T sum[RUN], *to = (T *)c->base + i * c->row + offset_of(c, &at);
            memcpy(sum, from, (size_t)run * sizeof(T));
            for (int64_t s = 1; s < slices; s++) {
                from += p->m * p->n;
                for (int64_t e = 0; e < run; e++)
                    sum[e] += from[e];
            }
            for (int64_t e = 0; e < run; e++)
                FN(put)(to + e * c->column, sum[e], p->row_bias, i, p->col_bias, j + e, p->accumulate, p->relu);
        }
    }
}

/* ---- Packing matrices ---- */

static void FN(pack_plain)(const T *from, int64_t lane, int64_t lanes, int64_t step, int64_t depth, int64_t width,
                           T *panel)
{
    for (int64_t k = 0; k < depth; k++, panel += width) {
        const T *row = from + k * step; /* not from += step: behind the last row that may be no address */
        for (int64_t l = 0; l < lanes; l++)
            panel[l] = row[l * lane];
        for (int64_t l = lanes; l < width; l++)
            panel[l] = 0;
    }
}

/* Steps adjacent in memory: blocks of VL x VL, transposed in registers, along VL lanes at a time, as processors foresee
 * only so many rows. A vector of the last lanes runs over into the next step's first lanes, so the last are first. */
static void FN(pack_turned)(const T *from, int64_t lane, int64_t lanes, int64_t depth, int64_t width, T *panel)
{
    const int64_t whole = depth / VL * VL;
    for (int64_t l = (width - 1) / VL * VL; l >= 0; l -= VL)
        for (int64_t k = 0; k < whole; k += VL) {
            V block[VL];
            FN(load_turned)(block, from + l * lane + k, lane, lanes - l);
            PLEAT_UNROLL(16)
            for (int i = 0; i < VL; i++)
                FN(store)(panel + (k + i) * width + l, block[i]);
        }
    FN(pack_plain)(from + whole, lane, lanes, 1, depth - whole, width, panel + whole * width);
}

/* Lanes adjacent in memory: a constant number of them is copied by vectors. */
static void FN(pack_straight)(const T *from, int64_t step, int64_t depth, int64_t width, T *panel)
{
    if (width == NR)
        for (int64_t k = 0; k < depth; k++)
            memcpy(panel + k * NR, from + k * step, NR * sizeof(T));
    else if (width == MR)
        for (int64_t k = 0; k < depth; k++)
            memcpy(panel + k * MR, from + k * step, MR * sizeof(T));
    else
        FN(pack_plain)(from, 1, width, step, depth, width, panel);
}

static void FN(pack_matrix)(const pleat_operand *o, int64_t first, int64_t lanes, int64_t k, int64_t depth,
                            int64_t width, void *panel)
{
    const T *base = (const T *)o->base + first * o->lane;
    T *to = panel;
    const int64_t k_end = k + depth;
    while (k < k_end) {
        /* mostly there is one digit: divisions take long */
        const int64_t digits = k < o->size[1] ? 0 : k / o->size[1], digit = k - digits * o->size[1],
                      run = least(o->size[1] - digit, k_end - k);
        const T *from = base + digit * o->step[2];
        if (digits)
            from += digits / o->size[0] * o->step[0] + digits % o->size[0] * o->step[1];
        if (o->lane == 1 && lanes == width)
            FN(pack_straight)(from, o->step[2], run, width, to);
        else if (o->step[2] == 1)
            FN(pack_turned)(from, o->lane, lanes, run, width, to);
        else
            FN(pack_plain)(from, o->lane, lanes, o->step[2], run, width, to);
        k += run;
        to += run * width;
    }
}

/* ---- Without packing ---- */

/* Up to four rows of C, B's columns adjacent: a tile as above, but B is read where it lies. */
PLEAT_INLINE void FN(direct_columns)(const pleat_gemm_work *w, const T *a, const T *b, int rows, int vectors,
                                     V out[4][4])
{
    V sum[4][4];
    PLEAT_UNROLL(4)
    for (int i = 0; i < rows; i++) {
        PLEAT_UNROLL(4)
        for (int v = 0; v < vectors; v++)
            sum[i][v] = (V){ 0 };
    }
    for (int64_t k = 0; k < w->k; k++, a += w->a_col, b += w->b_row) {
        V b_k[4];
        PLEAT_UNROLL(4)
        for (int v = 0; v < vectors; v++)
            b_k[v] = FN(load)(b + v * VL);
        PLEAT_UNROLL(4)
        for (int i = 0; i < rows; i++) {
            PLEAT_UNROLL(4)
            for (int v = 0; v < vectors; v++)
                sum[i][v] += a[i * w->a_row] * b_k[v];
        }
    }
    PLEAT_UNROLL(4)
    for (int i = 0; i < rows; i++) {
        PLEAT_UNROLL(4)
        for (int v = 0; v < vectors; v++)
            out[i][v] = sum[i][v];
    }
}

/* Up to four rows and some columns of C, A's and B's steps of K adjacent: dot products. */
PLEAT_INLINE void FN(direct_dots)(const pleat_gemm_work *w, const T *a, const T *b, int rows, int columns,
                                  T out[4][DOTS_1])
{
    V sum[4][DOTS_1];
    PLEAT_UNROLL(4)
    for (int i = 0; i < rows; i++) {
        PLEAT_UNROLL(8)
        for (int j = 0; j < columns; j++)
            sum[i][j] = (V){ 0 };
    }
    int64_t k = 0;
    for (; k + VL <= w->k; k += VL) {
        V b_k[DOTS_1];
        PLEAT_UNROLL(8)
        for (int j = 0; j < columns; j++)
            b_k[j] = FN(load)(b + j * w->b_col + k);
        PLEAT_UNROLL(4)
        for (int i = 0; i < rows; i++) {
            const V a_k = FN(load)(a + i * w->a_row + k);
            PLEAT_UNROLL(8)
            for (int j = 0; j < columns; j++)
                sum[i][j] += a_k * b_k[j];
        }
    }
    PLEAT_UNROLL(4)
    for (int i = 0; i < rows; i++) {
        PLEAT_UNROLL(8)
        for (int j = 0; j < columns; j++) {
            T rest = 0;
            for (int64_t r = k; r < w->k; r++)
                rest += a[i * w->a_row + r] * b[j * w->b_col + r];
            out[i][j] = FN(total)(sum[i][j]) + rest;
        }
    }
}

/* Calls fn with a constant for the rows: sums stay in registers. */
#define BY_ROWS(rows, fn, ...)                                                                                         \
    do {                                                                                                               \
        if ((rows) == 4)                                                                                               \
            fn(w, a, b, 4, __VA_ARGS__);                                                                               \
        else if ((rows) == 3)                                                                                          \
            fn(w, a, b, 3, __VA_ARGS__);                                                                               \
        else if ((rows) == 2)                                                                                          \
            fn(w, a, b, 2, __VA_ARGS__);                                                                               \
        else                                                                                                           \
            fn(w, a, b, 1, __VA_ARGS__);                                                                               \
    } while (0)

static void FN(dots)(const pleat_gemm_work *w, const T *a, const T *b, int rows, int columns, T out[4][DOTS_1])
{
    if (columns == DOTS_1)
        FN(direct_dots)(w, a, b, 1, DOTS_1, out);
    else if (columns == DOTS_4)
        BY_ROWS(rows, FN(direct_dots), DOTS_4, out);
    else if (columns == 3)
        BY_ROWS(rows, FN(direct_dots), 3, out);
    else if (columns == 2)
        BY_ROWS(rows, FN(direct_dots), 2, out);
    else
        BY_ROWS(rows, FN(direct_dots), 1, out);
}

PLEAT_INLINE void FN(put_direct)(const pleat_gemm_work *w, int64_t i, int64_t j, T sum)
{
    T *c = (T *)w->c + i * w->c_row + j * w->c_col;
    FN(put)(c, sum, w->row_bias, i, w->col_bias, j, w->accumulate, w->relu);
}

/* A vector of row i of C, of which the first `old` columns have been put already. */
static void FN(put_vector)(const pleat_gemm_work *w, int64_t i, int64_t j, V sum, int old)
{
    T e[VL];
    FN(store)(e, sum);
    for (int n = old; n < VL; n++)
        FN(put_direct)(w, i, j + n, e[n]);
}

PLEAT_INLINE void FN(put_vectors)(const pleat_gemm_work *w, int rows, int64_t i, int64_t j, int vectors, V sum[4][4],
                                  int old)
{
    const bool plain = w->c_col == 1 && !w->row_bias && !w->col_bias && !w->accumulate && !w->relu;
    T *c = (T *)w->c + i * w->c_row + j;
    for (int r = 0; r < rows; r++, c += w->c_row)
        for (int v = 0; v < vectors; v++)
            if (plain)
                FN(store)(c + v * VL, sum[r][v]);
            else
                FN(put_vector)(w, i + r, j + v * VL, sum[r][v], v ? 0 : old);
}

static void FN(direct_sums)(const pleat_gemm_work *w, int64_t i, int rows, int64_t j, int vectors, int old)
{
    const T *a = (const T *)w->a + i * w->a_row, *b = (const T *)w->b + j;
    V sum[4][4];
    if (vectors == 4) {
        FN(direct_columns)(w, a, b, 1, 4, sum);
        FN(put_vectors)(w, 1, i, j, 4, sum, old);
    } else if (vectors == 2) {
        BY_ROWS(rows, FN(direct_columns), 2, sum);
        FN(put_vectors)(w, rows, i, j, 2, sum, old);
    } else {
        BY_ROWS(rows, FN(direct_columns), 1, sum);
        FN(put_vectors)(w, rows, i, j, 1, sum, old);
    }
}

static void FN(direct)(const pleat_gemm_work *w)
{
    const T *a = w->a, *b = w->b;
    int64_t done = 0; /* columns */
    if (w->b_col == 1) {
        while (w->n >= VL && done < w->n) { /* the last vector overlaps the one before */
            const int64_t j = least(done, w->n - VL);
            const int vectors = w->m == 1 && w->n - j >= 4 * VL ? 4 : w->n - j >= 2 * VL ? 2 : 1;
            for (int64_t i = 0; i < w->m; i += 4)
                FN(direct_sums)(w, i, (int)least(w->m - i, 4), j, vectors, (int)(done - j));
            done = j + vectors * VL;
        }
    } else if (w->b_row == 1 && w->a_col == 1) {
        done = w->n;
        for (int64_t j = 0; j < w->n;) {
            const int64_t left = w->n - j;
            const int columns = w->m == 1 && left >= DOTS_1 ? DOTS_1 : (int)least(left, DOTS_4);
            for (int64_t i = 0; i < w->m; i += 4) {
                const int rows = (int)least(w->m - i, 4);
                T out[4][DOTS_1];
                FN(dots)(w, a + i * w->a_row, b + j * w->b_col, rows, columns, out);
                for (int r = 0; r < rows; r++)
                    for (int n = 0; n < columns; n++)
                        FN(put_direct)(w, i + r, j + n, out[r][n]);
            }
            j += columns;
        }
    }
    for (int64_t i = 0; i < w->m; i++)
        for (int64_t j = done; j < w->n; j++) {
            T sum = 0;
            for (int64_t k = 0; k < w->k; k++)
                sum += a[i * w->a_row + k * w->a_col] * b[k * w->b_row + j * w->b_col];
            FN(put_direct)(w, i, j, sum);
        }
}

#undef BY_ROWS
#undef LINE
#undef NR
