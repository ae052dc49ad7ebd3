/* line.c's sums of lines that lie one behind the other, for one floating type: simd.h's names. */

/* VL lines at once, in blocks of VL columns: turned, a column is a vector of the lines' elements. The first block sums
 * no more columns than leave whole blocks; the rest of what it writes the next one writes again. */
static void FN(cumsum_block)(const T *x, T *y, int64_t length, bool reverse)
{
    enum { LANES = PLEAT_VECTOR_BYTES / 8, PARTS = VL / LANES };
    typedef T lanes __attribute__((vector_size(LANES * sizeof(T)), may_alias));
    pleat_v64 sum[PARTS] = { { 0 } };
    for (int64_t done = 0, n = length % VL ? length % VL : VL; done < length; done += n, n = VL) {
        const int64_t at = reverse ? length - VL - done : done;
        V tile[VL], turned[VL];
        PLEAT_UNROLL(16)
        for (int i = 0; i < VL; i++)
            turned[i] = FN(load)(x + i * length + at);
        FN(transpose)(turned);
        PLEAT_UNROLL(16)
        for (int i = 0; i < VL; i++)
            tile[i] = turned[i];
        for (int64_t j = 0; j < n; j++) {
            lanes *column = (lanes *)&tile[reverse ? VL - 1 - j : j];
            for (int p = 0; p < PARTS; p++) {
                sum[p] += __builtin_convertvector(column[p], pleat_v64);
                column[p] = __builtin_convertvector(sum[p], lanes);
            }
        }
        PLEAT_UNROLL(16)
        for (int i = 0; i < VL; i++)
            turned[i] = tile[i];
        FN(transpose)(turned);
        PLEAT_UNROLL(16)
        for (int i = 0; i < VL; i++)
            FN(store)(y + i * length + at, turned[i]);
    }
}

static void FN(cumsum)(const pleat_cumsum_work *w, int64_t begin, int64_t end)
{
    for (; w->inner == 1 && w->length >= VL && end - begin >= VL; begin += VL) {
        const int64_t first = begin * w->length;
        FN(cumsum_block)((const T *)w->x + first, (T *)w->y + first, w->length, w->reverse);
    }
    FN(cumsum_any)(w, begin, end);
}
