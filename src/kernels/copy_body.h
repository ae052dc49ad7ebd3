/* copy.c's transposition and reversal for one width of elements. */

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

/* The same for any r < n, c < columns: by squares, of which the last overlaps the one before. Where rows or columns are
 * fewer than a vector's elements, what is loaded or stored too much lies inside the arrays, and is passed over or
 * overwritten by the next row. */
static void FN(squares)(T *to, int64_t ts, const T *from, int64_t fs, int64_t n, int64_t columns)
{
    int64_t row = 0, column = 0; /* what is left to be done one by one */
    if (n >= VL && columns >= VL) {
        for (int64_t c = 0; c < columns; c += VL) {
            c = c < columns - VL ? c : columns - VL;
            for (int64_t r = 0; r < n; r += VL) {
                r = r < n - VL ? r : n - VL;
                FN(square)(to + r * ts + c, ts, from + r + c * fs, fs, VL, VL);
            }
        }
        return;
    }
    if (columns < VL && ts == columns)
        for (; (n - row - VL) * ts >= VL; row += VL)
            FN(square)(to + row * ts, ts, from + row, fs, VL, columns);
    else if (columns >= VL)
        for (; (columns - column - VL) * fs >= VL; column += VL)
            FN(square)(to + column, ts, from + column * fs, fs, n, VL);
    for (int64_t r = row; r < n; r++)
        for (int64_t c = column; c < columns; c++)
            to[r * ts + c] = from[r + c * fs];
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

/* A row whose steps are 1 and -1. Rows of images are short: the last vector overlaps the one before. */
static void FN(reverse)(void *to, int64_t ts, const void *from, int64_t fs, int64_t n)
{
    T *t = to;
    const T *f = from;
    for (int64_t i = 0; i < n && n >= VL; i += VL) {
        i = least(i, n - VL);
        const V v = FN(load)(f - i - VL + 1);
        FN(store)(t + i, __builtin_shufflevector(v, v, REVERSED));
    }
    for (int64_t i = 0; i < n && n < VL; i++)
        t[i * ts] = f[i * fs];
}
#undef REVERSED
