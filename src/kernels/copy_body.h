/* copy.c's transposition for one width of elements. */

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
