/* resample.c's functions for one float type: T, with its name in FN(name). */

/* row = the weighted sum of the plane's rows; or, without a copy, the one row that counts once. */
static const T *FN(sum_rows)(const pleat_taps *t, int64_t i, const T *plane, int64_t n, T *row)
{
    const T *weight = t->weight;
    const int64_t first = t->first[i], stop = t->first[i + 1];
    if (stop == first + 1 && weight[first] == 1)
        return plane + t->place[first] * n;
    if (stop == first)
        for (int64_t c = 0; c < n; c++)
            row[c] = 0;
    for (int64_t k = first; k < stop; k++) {
        const T w = weight[k], *x = plane + t->place[k] * n;
        if (k == first)
            for (int64_t c = 0; c < n; c++)
                row[c] = w * x[c];
        else
            for (int64_t c = 0; c < n; c++)
                row[c] += w * x[c];
    }
    return row;
}

static void FN(resample)(const pleat_resample_work *w, T *scratch, int64_t begin, int64_t end)
{
    const pleat_taps *t = &w->columns;
    const T *weight = t->weight;
    for (int64_t line = begin; line < end; line++) {
        const T *plane = (const T *)w->x + line / w->to.h * w->from.h * w->from.w;
        const T *row = FN(sum_rows)(&w->rows, line % w->to.h, plane, w->from.w, scratch);
        T *y = (T *)w->y + line * w->to.w;
        for (int64_t j = 0, k = 0; j < w->to.w; j++) {
            T sum = 0;
            for (; k < t->first[j + 1]; k++)
                sum += weight[k] * row[t->place[k]];
            y[j] = sum;
        }
    }
}
