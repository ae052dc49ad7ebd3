/* Reductions of one element type: a template. Before including define FROM (the element), INTO (what it is folded in),
 * INDEX (an integer of INTO's size), F(name), TURNED, which transposes a block of vectors of INTO, SUM where there are
 * sums and products, LEAST and MOST of the type where there are extremes. A reduction is the fold of a result and an
 * element, the join of two results, mostly the same, and the value that both leave alone; the functions that take them
 * are inlined into each. */

typedef INTO F(into) __attribute__((vector_size(PLEAT_VECTOR_BYTES)));
typedef INDEX F(mask) __attribute__((vector_size(PLEAT_VECTOR_BYTES)));
typedef F(into) (*F(fold_fn))(F(into) a, F(into) b);

PLEAT_INLINE F(into) F(fill)(INTO v)
{
    return v - (F(into)){ 0 };
}

/* A loop that compilers make one instruction of, where GCC would convert a vector by halves. */
PLEAT_INLINE F(into) F(widen)(const FROM *x)
{
    F(into) v = { 0 };
    for (int64_t l = 0; l < LANES; l++)
        v[l] = (INTO)x[l];
    return v;
}

/* Where a comparison holds its lanes are all ones; a != a holds for NaN alone. */
PLEAT_INLINE F(into) F(choose)(F(mask) choice, F(into) a, F(into) b)
{
    return (F(into))(((F(mask))a & choice) | ((F(mask))b & ~choice));
}

PLEAT_INLINE F(mask) F(count_from)(int64_t first)
{
    F(mask) v = { 0 };
    for (int l = 0; l < LANES; l++)
        v[l] = (INDEX)(first + l);
    return v;
}

/* Short rows are taken LANES at a time, a vector of results each, which are turned at the end and folded side by side.
 * Where there are fewer the first stands in for the rest. Of rows shorter than a vector the block is copied first:
 * loads of whole vectors would end behind it. */
PLEAT_INLINE const FROM *F(block)(const FROM *x, int64_t rows, int64_t *stride, int64_t n, FROM copy[LANES * LANES])
{
    if (n >= LANES)
        return x;
    memset(copy, 0, LANES * LANES * sizeof *copy);
    if (*stride == n)
        memcpy(copy, x, (size_t)(rows * n) * sizeof *copy);
    else
        for (int64_t i = 0; i < rows; i++)
            for (int64_t c = 0; c < n; c++)
                copy[i * n + c] = x[i * *stride + c];
    *stride = n;
    return copy;
}

/* At most LANES rows of n elements. */
PLEAT_INLINE void F(rows)(const FROM *x, int64_t stride, int64_t rows, int64_t n, INTO nothing, F(fold_fn) fold,
                          F(fold_fn) join, INTO *y)
{
    FROM copy[LANES * LANES];
    F(into) r[LANES];
    x = F(block)(x, rows, &stride, n, copy);
    PLEAT_UNROLL(16)
    for (int64_t i = 0; i < LANES; i++)
        r[i] = F(fill)(nothing);
    int64_t c = 0;
    for (; c + LANES <= n; c += LANES) {
        PLEAT_UNROLL(16)
        for (int64_t i = 0; i < LANES; i++)
            r[i] = fold(r[i], F(widen)(x + (i < rows ? i : 0) * stride + c));
    }
    if (c < n) { /* the last vector begins where it ends with the row; lanes that have been count no more */
        const int64_t last = n < LANES ? 0 : n - LANES;
        const F(mask) at = F(count_from)(last);
        const F(mask) counts = (at >= (INDEX)c) & (at < (INDEX)n);
        PLEAT_UNROLL(16)
        for (int64_t i = 0; i < LANES; i++) {
            const F(into) v = F(widen)(x + (i < rows ? i : 0) * stride + last);
            r[i] = fold(r[i], F(choose)(counts, v, F(fill)(nothing)));
        }
    }
    TURNED(r);
    PLEAT_UNROLL(4)
    for (int64_t half = LANES / 2; half > 0; half /= 2) {
        PLEAT_UNROLL(8)
        for (int64_t i = 0; i < half; i++)
            r[i] = join(r[i], r[i + half]);
    }
    memcpy(y, r, (size_t)rows * sizeof *y);
}

/* n elements, a stride apart, into four vectors of results. Many that lie side by side are read from both halves at
 * once, as memory gives more to two streams, unless they share a page; what is fetched ahead goes on `next` elements
 * from here. */
PLEAT_INLINE void F(down)(const FROM *x, int64_t next, int64_t stride, int64_t n, INTO nothing, F(fold_fn) fold,
                          F(into) a[4])
{
    int64_t i = 0;
    if (stride == 1) {
        const int64_t whole = n / (8 * LANES) * 8 * LANES;
        const bool two = whole * (int64_t)sizeof(FROM) >= 4 * AHEAD;
        const int64_t apart = two ? whole / 2 : 4 * LANES, end = two ? apart : whole;
        const int64_t ahead = least(end, AHEAD / (int64_t)sizeof(FROM));
        for (; i < end; i += two ? 4 * LANES : 8 * LANES) {
            const int64_t soon = i + ahead < end ? i + ahead : next + i + ahead - end;
            PLEAT_UNROLL(8)
            for (int64_t e = 0; e < 4 * LANES; e += 64 / (int64_t)sizeof(FROM)) {
                __builtin_prefetch((const void *)((uintptr_t)x + (uintptr_t)(soon + e) * sizeof *x));
                __builtin_prefetch((const void *)((uintptr_t)x + (uintptr_t)(soon + e + apart) * sizeof *x));
            }
            PLEAT_UNROLL(8)
            for (int k = 0; k < 8; k++)
                a[k % 4] = fold(a[k % 4], F(widen)(x + i + k / 2 * LANES + k % 2 * apart));
        }
        i = whole;
        if (i + 4 * LANES <= n) {
            for (int k = 0; k < 4; k++, i += LANES)
                a[k] = fold(a[k], F(widen)(x + i));
        }
        PLEAT_UNROLL(3)
        for (int k = 0; k < 3; k++)
            if (i + LANES <= n) {
                a[k] = fold(a[k], F(widen)(x + i));
                i += LANES;
            }
    }
    for (int k = 3; i < n; k = (k + 1) % 4) {
        INTO lane[LANES];
        for (int64_t l = 0; l < LANES; l++, i++)
            lane[l] = i < n ? (INTO)x[i * stride] : nothing;
        F(into) v;
        memcpy(&v, lane, sizeof v);
        a[k] = fold(a[k], v);
    }
}

/* Rows of n outputs, folded into y. */
PLEAT_INLINE void F(across)(const FROM *x, int64_t stride, int64_t n, int64_t row_stride, int64_t rows, INTO nothing,
                            F(fold_fn) fold, F(fold_fn) join, INTO *y)
{
    int64_t c = 0;
    if (stride == 1) {
        for (; c + 4 * LANES <= n; c += 4 * LANES) {
            F(into) a[4] = { F(fill)(nothing), F(fill)(nothing), F(fill)(nothing), F(fill)(nothing) };
            for (int64_t r = 0; r < rows; r++)
                for (int k = 0; k < 4; k++)
                    a[k] = fold(a[k], F(widen)(x + r * row_stride + c + k * LANES));
            for (int k = 0; k < 4; k++) {
                F(into) v;
                memcpy(&v, y + c + k * LANES, sizeof v);
                v = join(v, a[k]);
                memcpy(y + c + k * LANES, &v, sizeof v);
            }
        }
        for (; c + LANES <= n; c += LANES) {
            F(into) v, a = F(fill)(nothing);
            for (int64_t r = 0; r < rows; r++)
                a = fold(a, F(widen)(x + r * row_stride + c));
            memcpy(&v, y + c, sizeof v);
            v = join(v, a);
            memcpy(y + c, &v, sizeof v);
        }
    }
    for (; c < n; c++) {
        F(into) a = F(fill)(nothing);
        for (int64_t r = 0; r < rows; r++)
            a = fold(a, F(fill)((INTO)x[r * row_stride + c * stride]));
        y[c] = join(F(fill)(y[c]), a)[0];
    }
}

PLEAT_INLINE void F(partial)(const pleat_reduce_work *w, int64_t begin, int64_t end, int64_t first, int64_t last,
                             INTO *result, INTO nothing, F(fold_fn) fold, F(fold_fn) join)
{
    const int64_t stride = w->reduced_stride[w->reduced - 1];
    const walk reduced = walk_at(w->reduced, w->reduced_dim, w->reduced_stride, first);
    walk kept = walk_at(w->kept, w->kept_dim, w->kept_stride, begin);
    const bool across = pleat_reduce_across(w), few = last - first <= FEW;
    if (w->reduced == 1 && stride == 1 && !across && last - first <= SHORT) {
        for (int64_t n; begin < end; begin += n, result += n, walk_step(&kept, n)) {
            n = walk_run(&kept, end - begin < LANES ? end - begin : LANES);
            const FROM *x = (const FROM *)w->x + kept.offset + first;
            F(rows)(x, w->kept_stride[w->kept - 1], n, last - first, nothing, fold, join, result);
        }
        return;
    }
    for (int64_t n; begin < end; begin += n, result += n) {
        const FROM *x = (const FROM *)w->x + kept.offset;
        F(into) a[4] = { F(fill)(nothing), F(fill)(nothing), F(fill)(nothing), F(fill)(nothing) };
        n = across ? walk_run(&kept, end - begin) : 1;
        walk_step(&kept, n);
        if (across)
            for (int64_t c = 0; c < n; c++)
                result[c] = nothing;
        walk in = reduced;
        for (int64_t left = last - first, run; left > 0; left -= run) {
            const int64_t at = in.offset;
            const FROM *from = x + at;
            run = walk_run(&in, across && left > ROWS ? ROWS : left);
            walk_step(&in, run);
            if (across)
                F(across)(from, w->kept_stride[w->kept - 1], n, stride, run, nothing, fold, join, result);
            else if (few)
                for (int64_t i = 0; i < run; i++)
                    a[0] = fold(a[0], F(fill)((INTO)from[i * stride]));
            else {
                const bool on = left > run || begin + n == end; /* or else to the next output */
                const int64_t next = on ? in.offset - at : kept.offset + reduced.offset - (from - (const FROM *)w->x);
                F(down)(from, next, stride, run, nothing, fold, a);
            }
        }
        if (across)
            continue;
        if (!few) {
            const F(into) all = join(join(a[0], a[1]), join(a[2], a[3]));
            a[0] = F(fill)(all[0]);
            for (int64_t k = 1; k < LANES; k++)
                a[0] = join(a[0], F(fill)(all[k]));
        }
        *result = a[0][0];
    }
}

PLEAT_INLINE void F(finish)(const INTO *result, int64_t blocks, int64_t pitch, int64_t n, INTO divisor, FROM *y,
                            INTO nothing, F(fold_fn) join)
{
    if (blocks == 1 && divisor == 1) {
        for (int64_t o = 0; o < n; o++)
            y[o] = (FROM)result[o];
        return;
    }
    if (blocks == 1) {
        for (int64_t o = 0; o < n; o++)
            y[o] = (FROM)(result[o] / divisor);
        return;
    }
    for (int64_t o = 0; o < n; o++) {
        F(into) all = F(fill)(nothing);
        for (int64_t b = 0; b < blocks;) {
            const int64_t until = b + 64 < blocks ? b + 64 : blocks;
            F(into) some = F(fill)(nothing);
            for (; b < until; b++)
                some = join(some, F(fill)(result[b * pitch + o]));
            all = join(all, some);
        }
        y[o] = (FROM)(all[0] / divisor);
    }
}

#define FOLD(name, expression)                                                                                         \
    PLEAT_INLINE F(into) F(name##_fold)(F(into) a, F(into) b)                                                          \
    {                                                                                                                  \
        return expression;                                                                                             \
    }
#define PARTIAL(name, nothing, fold, join)                                                                             \
    static void F(name##_partial)(const pleat_reduce_work *w, int64_t begin, int64_t end, int64_t first, int64_t last, \
                                  void *result)                                                                        \
    {                                                                                                                  \
        F(partial)(w, begin, end, first, last, result, nothing, F(fold##_fold), F(join##_fold));                       \
    }
#define FINISH(name, nothing)                                                                                          \
    static void F(name##_finish)(const void *result, int64_t blocks, int64_t pitch, int64_t n, double divisor,         \
                                 void *y)                                                                              \
    {                                                                                                                  \
        F(finish)(result, blocks, pitch, n, (INTO)divisor, y, nothing, F(name##_fold));                                \
    }
#define REDUCTION(name, nothing, expression)                                                                           \
    FOLD(name, expression)                                                                                             \
    PARTIAL(name, nothing, name, name)                                                                                 \
    FINISH(name, nothing)

#ifdef SUM
REDUCTION(sum, 0, a + b)
REDUCTION(prod, 1, (a * b))
FOLD(abs, a + F(choose)(b < 0, -b, b))
PARTIAL(sum_abs, 0, abs, sum)
FOLD(square, a + b * b)
PARTIAL(sum_squares, 0, square, sum)
#endif
#ifdef LEAST
REDUCTION(max, LEAST, F(choose)((a > b) | (a != a), a, b))
REDUCTION(min, MOST, F(choose)((a < b) | (a != a), a, b))
#endif

#undef FOLD
#undef PARTIAL
#undef FINISH
#undef REDUCTION

#ifdef LEAST

/* Through a second name: compilers warn of an integer that is compared with itself. */
PLEAT_INLINE bool F(is_nan)(FROM v)
{
    const FROM same = v;
    return !(v == same);
}

PLEAT_INLINE bool F(better)(FROM v, FROM best, bool largest)
{
    return !F(is_nan)(best) && (F(is_nan)(v) || (largest ? v > best : v < best));
}

/* Lanes where a NaN, or else the larger (smaller) number, is in v and not yet in best. */
PLEAT_INLINE F(mask) F(beats)(F(into) v, F(into) best, bool largest)
{
    const F(into) same = best;
    return ~(largest ? v <= best : v >= best) & (best == same);
}

/* Takes over what beats the best, and where that is. */
PLEAT_INLINE void F(take)(F(into) v, F(mask) here, F(into) * best, F(mask) * at, bool largest)
{
    const F(mask) better = F(beats)(v, *best, largest);
    *best = F(choose)(better, v, *best);
    *at = (here & better) | (*at & ~better);
}

/* At most LANES rows of n elements: each lane keeps its best and where that was, the earlier one of equals. */
PLEAT_INLINE void F(arg_rows)(const FROM *x, int64_t stride, int64_t rows, int64_t n, bool largest, int64_t *y)
{
    FROM copy[LANES * LANES];
    F(into) r[LANES];
    F(mask) at[LANES];
    x = F(block)(x, rows, &stride, n, copy);
    const F(mask) first = F(count_from)(0), counts = first < (INDEX)n;
    PLEAT_UNROLL(16)
    for (int64_t i = 0; i < LANES; i++) { /* where there is nothing the first element is found again */
        const FROM *row = x + (i < rows ? i : 0) * stride;
        r[i] = F(choose)(counts, F(widen)(row), F(fill)(row[0]));
        at[i] = first & counts;
    }
    for (int64_t c = LANES; c < n; c += LANES) {
        const int64_t begin = c < n - LANES ? c : n - LANES; /* the last vector ends with the row */
        const F(mask) here = F(count_from)(begin);
        PLEAT_UNROLL(16)
        for (int64_t i = 0; i < LANES; i++) {
            const F(into) v = F(widen)(x + (i < rows ? i : 0) * stride + begin);
            F(take)(v, here, &r[i], &at[i], largest);
        }
    }
    TURNED(r);
    TURNED(at);
    PLEAT_UNROLL(16)
    for (int64_t i = 1; i < LANES; i++) {
        const F(mask) better = F(beats)(r[i], r[0], largest) | (~F(beats)(r[0], r[i], largest) & (at[i] < at[0]));
        r[0] = F(choose)(better, r[i], r[0]);
        at[0] = (at[i] & better) | (at[0] & ~better);
    }
    for (int64_t i = 0; i < rows; i++)
        y[i] = at[0][i];
}

/* Columns of n elements, `vectors` of them: the best of each, and its row. */
PLEAT_INLINE void F(arg_abreast)(const FROM *x, int64_t stride, int64_t n, int vectors, bool largest, int64_t *y)
{
    F(into) best[4];
    F(mask) at[4] = { 0 };
    PLEAT_UNROLL(4)
    for (int k = 0; k < vectors; k++)
        best[k] = F(widen)(x + k * LANES);
    for (int64_t i = 1; i < n; i++) {
        const F(mask) here = (INDEX)i - (F(mask)){ 0 };
        PLEAT_UNROLL(4)
        for (int k = 0; k < vectors; k++)
            F(take)(F(widen)(x + i * stride + k * LANES), here, &best[k], &at[k], largest);
    }
    PLEAT_UNROLL(4)
    for (int k = 0; k < vectors; k++)
        for (int64_t l = 0; l < LANES; l++)
            y[k * LANES + l] = at[k][l];
}

/* A long row, as columns. */
PLEAT_INLINE int64_t F(arg_row)(const FROM *x, int64_t n, bool largest)
{
    enum { COLUMNS = 4 * LANES };
    int64_t row[COLUMNS], best = 0;
    F(arg_abreast)(x, COLUMNS, n / COLUMNS, 4, largest, row);
    for (int64_t c = 0; c < COLUMNS; c++) {
        const int64_t at = row[c] * COLUMNS + c;
        if (F(better)(x[at], x[best], largest) || (at < best && !F(better)(x[best], x[at], largest)))
            best = at;
    }
    for (int64_t i = n / COLUMNS * COLUMNS; i < n; i++)
        if (F(better)(x[i], x[best], largest))
            best = i;
    return best;
}

/* At least LANES columns of n elements. */
PLEAT_INLINE void F(arg_columns)(const FROM *x, int64_t stride, int64_t columns, int64_t n, bool largest, int64_t *y)
{
    int64_t c = 0;
    for (; c + 4 * LANES <= columns; c += 4 * LANES)
        F(arg_abreast)(x + c, stride, n, 4, largest, y + c);
    for (; c < columns; c += LANES) {
        c = least(c, columns - LANES);
        F(arg_abreast)(x + c, stride, n, 1, largest, y + c);
    }
}

PLEAT_INLINE void F(arg_towards)(const pleat_reduce_work *w, bool largest, int64_t begin, int64_t end, int64_t first,
                                 int64_t last, int64_t *y)
{
    walk kept = walk_at(w->kept, w->kept_dim, w->kept_stride, begin);
    const walk reduced = walk_at(w->reduced, w->reduced_dim, w->reduced_stride, first);
    const int64_t stride = w->reduced_stride[w->reduced - 1], apart = w->kept_stride[w->kept - 1],
                  elements = last - first;
    const bool plain = w->reduced == 1 && elements <= INT32_MAX;
    for (int64_t n; begin < end; begin += n, y += n, walk_step(&kept, n)) {
        const FROM *all = (const FROM *)w->x + kept.offset, *x = all + reduced.offset;
        n = walk_run(&kept, end - begin);
        if (plain && apart == 1 && n >= LANES)
            F(arg_columns)(x, stride, n, elements, largest, y);
        else if (plain && stride == 1 && (n > 1 || elements < 4 * LANES))
            F(arg_rows)(x, apart, n = least(n, LANES), elements, largest, y);
        else if (plain && stride == 1)
            *y = F(arg_row)(x, elements, largest);
        else {
            walk in = reduced;
            int64_t at = in.offset;
            n = 1;
            *y = 0;
            for (int64_t i = 0; i < elements; i++, walk_step(&in, 1))
                if (F(better)(all[in.offset], all[at], largest)) {
                    at = in.offset;
                    *y = i;
                }
        }
        for (int64_t o = 0; first > 0 && o < n; o++)
            y[o] += first;
    }
}

static void F(arg)(const pleat_reduce_work *w, bool largest, int64_t begin, int64_t end, int64_t first, int64_t last,
                   int64_t *y)
{
    if (largest)
        F(arg_towards)(w, true, begin, end, first, last, y);
    else
        F(arg_towards)(w, false, begin, end, first, last, y);
}

static void F(arg_finish)(const pleat_reduce_work *w, bool largest, int64_t begin, int64_t end, int64_t blocks,
                          int64_t pitch, const int64_t *at, int64_t *y)
{
    walk kept = walk_at(w->kept, w->kept_dim, w->kept_stride, begin);
    for (; begin < end; begin++, at++, walk_step(&kept, 1)) {
        FROM best = 0;
        for (int64_t b = 0; b < blocks; b++) {
            const walk in = walk_at(w->reduced, w->reduced_dim, w->reduced_stride, at[b * pitch]);
            const FROM v = ((const FROM *)w->x)[kept.offset + in.offset];
            if (b == 0 || F(better)(v, best, largest)) {
                best = v;
                *y = at[b * pitch];
            }
        }
        y++;
    }
}

#endif
