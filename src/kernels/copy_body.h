/* copy.c's blocks without a change of dtype, for one width of elements: plain, transposed, reversed. */

/* Lines whose steps are 1. */
static void FN(plain)(void *to, int64_t tl, int64_t ts, const void *from, int64_t fl, int64_t fs, int64_t lines,
                      int64_t n)
{
    (void)ts;
    T *t = to;
    const T *f = from;
    for (int64_t l = 0; l < lines; l++, t += tl, f += fl)
        FN(copy_row)(t, f, fs, n);
}

/* Lines of one element each, repeated. */
static void FN(repeat)(void *to, int64_t tl, int64_t ts, const void *from, int64_t fl, int64_t fs, int64_t lines,
                       int64_t n)
{
    (void)ts, (void)fs;
    T *t = to;
    const T *f = from;
    for (int64_t l = 0; l < lines; l++, t += tl, f += fl) {
        const V v = FN(splat)(*f);
        if (n >= VL) {
            for (int64_t i = 0; i < n - VL; i += VL)
                FN(store)(t + i, v);
            FN(store)(t + n - VL, v);
        } else
            for (int64_t i = 0; i < n; i++)
                t[i] = *f;
    }
}

/* Elements from `begin` on of two arrays, or of four, in turn, by whole vectors; where they end. */
static int64_t FN(interleave)(const void *const *from, int count, int64_t begin, int64_t end, T *to)
{
    const T *x[4] = { 0 };
    int64_t i = begin;
    for (int j = 0; j < count; j++)
        x[j] = from[j];
    for (; count == 2 && i + VL <= end; i += VL) {
        const V a = FN(load)(x[0] + i), b = FN(load)(x[1] + i);
        FN(store)(to + 2 * i, PLEAT_LOW(a, b));
        FN(store)(to + 2 * i + VL, PLEAT_HIGH(a, b));
    }
    for (; count == 4 && i + VL <= end; i += VL) {
        const V a = FN(load)(x[0] + i), b = FN(load)(x[1] + i), c = FN(load)(x[2] + i), d = FN(load)(x[3] + i);
        const V even[2] = { PLEAT_LOW(a, c), PLEAT_HIGH(a, c) }, odd[2] = { PLEAT_LOW(b, d), PLEAT_HIGH(b, d) };
        PLEAT_UNROLL(2)
        for (int h = 0; h < 2; h++) {
            FN(store)(to + 4 * i + 2 * h * VL, PLEAT_LOW(even[h], odd[h]));
            FN(store)(to + 4 * i + 2 * h * VL + VL, PLEAT_HIGH(even[h], odd[h]));
        }
    }
    return i;
}

/* to[r ts + c] = from[r + c fs] for r < rows, c < columns, both up to VL. Loads and stores whole vectors. */
PLEAT_INLINE void FN(square)(T *to, int64_t ts, const T *from, int64_t fs, int64_t rows, int64_t columns)
{
    V square[VL];
    PLEAT_UNROLL(16)
    for (int i = 0; i < VL; i++)
        square[i] = i < columns ? FN(load)(from + i * fs) : (V){ 0 };
    FN(transpose)(square);
    PLEAT_UNROLL(16)
    for (int i = 0; i < VL; i++)
        if (i < rows)
            FN(store)(to + i * ts, square[i]);
}

/* Lines that lie transposed in `from`, where fl is 1: by squares, of which the last overlaps the one before. Where
 * lines or columns are fewer than a vector's elements, what is loaded or stored too much lies inside the arrays, and is
 * passed over or overwritten by the next line. */
static void FN(squares)(void *to, int64_t tl, int64_t ts, const void *from, int64_t fl, int64_t fs, int64_t lines,
                        int64_t n)
{
    T *t = to;
    const T *f = from;
    int64_t line = 0, column = 0; /* what is left to be done one by one */
    if (lines >= VL && n >= VL) {
        for (int64_t c = 0; c < n; c += VL) {
            c = least(c, n - VL);
            for (int64_t l = 0; l < lines; l += VL) {
                l = least(l, lines - VL);
                FN(square)(t + l * tl + c, tl, f + l + c * fs, fs, VL, VL);
            }
        }
        return;
    }
    if (n == 2 && tl == 2)
        line = FN(interleave)((const void *[]){ f, f + fs }, 2, 0, lines, t);
    else if (n < VL && tl == n)
        for (; (lines - line - VL) * tl >= VL; line += VL)
            FN(square)(t + line * tl, tl, f + line, fs, VL, n);
    else if (n >= VL)
        for (; (n - column - VL) * fs >= VL; column += VL)
            FN(square)(t + column, tl, f + column * fs, fs, lines, VL);
    for (int64_t l = line; l < lines; l++)
        for (int64_t c = column; c < n; c++)
            t[l * tl + c * ts] = f[l * fl + c * fs];
}

#if PLEAT_VECTOR_BYTES * 8 / PLEAT_FLOAT == 16
#define REVERSED 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0
#elif PLEAT_VECTOR_BYTES * 8 / PLEAT_FLOAT == 8
#define REVERSED 7, 6, 5, 4, 3, 2, 1, 0
#elif PLEAT_VECTOR_BYTES * 8 / PLEAT_FLOAT == 4
#define REVERSED 3, 2, 1, 0
#else
#define REVERSED 1, 0
#endif

/* Lines whose steps are 1 and -1. Rows of images are short: the last vector overlaps the one before. */
static void FN(reverse)(void *to, int64_t tl, int64_t ts, const void *from, int64_t fl, int64_t fs, int64_t lines,
                        int64_t n)
{
    T *t = to;
    const T *f = from;
    for (int64_t l = 0; l < lines; l++, t += tl, f += fl) {
        for (int64_t i = 0; i < n && n >= VL; i += VL) {
            i = least(i, n - VL);
            const V v = FN(load)(f - i - VL + 1);
            FN(store)(t + i, __builtin_shufflevector(v, v, REVERSED));
        }
        for (int64_t i = 0; i < n && n < VL; i++)
            t[i * ts] = f[i * fs];
    }
}
#undef REVERSED

/* Part by part, in blocks of rows that stay in the cache. */
static void FN(join)(const pleat_join_work *w, int64_t begin, int64_t end)
{
    const int64_t row = w->row, block = BLOCK_BYTES / (row * (int64_t)sizeof(T)) + 1;
    if (row == w->parts && (row == 2 || row == 4))
        begin = FN(interleave)(w->from, w->parts, begin, end, w->to);
    for (int64_t r = begin; r < end; r += block) {
        const int64_t lines = least(block, end - r);
        T *to = (T *)w->to + r * row;
        for (int j = 0; j < w->parts; to += w->n[j++]) {
            const int64_t n = w->n[j];
            const T *from = (const T *)w->from[j] + r * n;
            if (n > 1)
                FN(plain)(to, row, 1, from, n, 1, lines, n);
            else
                for (int64_t l = 0; l < lines; l++)
                    to[l * row] = from[l];
        }
    }
}
