/* resample.c's functions for one float type: included with simd.h's names. */

PLEAT_INLINE V FN(load_part)(const T *x, int64_t n)
{
    return n < VL ? FN(load_few)(x, n) : FN(load)(x);
}

PLEAT_INLINE void FN(store_part)(T *y, V v, int64_t n)
{
    if (n < VL)
        FN(store_few)(y, v, n);
    else
        FN(store)(y, v);
}

/* Up to VL lines of the result from `line` on: their sums of rows, turned, so that place c of all of them is the vector
 * turned + c VL. Where lines are fewer the first stands in for the rest. */
static void FN(sum_rows)(const pleat_resample_work *w, int64_t line, int64_t lines, T *turned)
{
    const pleat_taps *t = &w->rows;
    const T *weight = t->weight, *plane[VL];
    const int64_t n = w->from.w, part = least(n, VL);
    int64_t row[VL];
    for (int64_t i = 0; i < VL; i++) {
        const int64_t at = line + (i < lines ? i : 0);
        plane[i] = (const T *)w->x + at / w->to.h * w->from.h * n;
        row[i] = at % w->to.h;
    }
    for (int64_t next = 0; next < n; next += VL) {
        const int64_t c = least(next, n - part); /* the last vectors end with the rows */
        V r[VL];
        PLEAT_UNROLL(16)
        for (int i = 0; i < VL; i++) {
            r[i] = (V){ 0 };
            for (int64_t k = t->first[row[i]]; k < t->first[row[i] + 1]; k++)
                r[i] += weight[k] * FN(load_part)(plane[i] + t->place[k] * n + c, part);
        }
        FN(transpose)(r);
        PLEAT_UNROLL(16)
        for (int i = 0; i < VL; i++)
            if (i < part)
                FN(store)(turned + (c + i) * VL, r[i]);
    }
}

/* VL lines at once, a vector for each place of them, as the taps of neighbours lie anywhere. */
static void FN(resample)(const pleat_resample_work *w, T *turned, int64_t begin, int64_t end)
{
    const pleat_taps *t = &w->columns;
    const T *weight = t->weight;
    const int64_t n = w->to.w, part = least(n, VL);
    for (int64_t line = begin; line < end; line += VL) {
        const int64_t lines = least(VL, end - line);
        FN(sum_rows)(w, line, lines, turned);
        for (int64_t next = 0; next < n; next += VL) {
            const int64_t j = least(next, n - part);
            V r[VL];
            PLEAT_UNROLL(16)
            for (int i = 0; i < VL; i++) {
                r[i] = (V){ 0 };
                for (int64_t k = i < part ? t->first[j + i] : 0; i < part && k < t->first[j + i + 1]; k++)
                    r[i] += weight[k] * FN(load)(turned + t->place[k] * VL);
            }
            FN(transpose)(r);
            PLEAT_UNROLL(16)
            for (int i = 0; i < VL; i++)
                if (i < lines)
                    FN(store_part)((T *)w->y + (line + i) * n + j, r[i], part);
        }
    }
}
