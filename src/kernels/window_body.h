/* window.c's functions for one float type. */

static void FN(unfold)(const pleat_window_work *w, const T *image, T *columns, int64_t begin, int64_t end)
{
    const int64_t lines = w->windows.h, width = w->windows.w, step = w->stride.w;
    T *to = columns + begin * width;
    while (begin < end) {
        /* one tap of one plane at a time */
        const int64_t first = begin % lines, last = lines - first < end - begin ? lines : first + end - begin;
        const int64_t tap = begin / lines, plane = tap / w->kernel.w / w->kernel.h;
        const int64_t row = tap / w->kernel.w % w->kernel.h * w->dilation.h - w->padding.h;
        const int64_t column = tap % w->kernel.w * w->dilation.w - w->padding.w;
        const pleat_span x = pleat_inside(width, step, column, w->image.w);
        const pleat_span y = pleat_inside(lines, w->stride.h, row, w->image.h);
        begin += last - first;
        for (int64_t line = first; line < last; line++, to += width) {
            if (line < y.begin || line >= y.end || x.begin == x.end) {
                memset(to, 0, (size_t)width * sizeof(T));
                continue;
            }
            const T *from =
                image + (plane * w->image.h + line * w->stride.h + row) * w->image.w + column + x.begin * step;
            for (int64_t i = 0; i < x.begin; i++)
                to[i] = 0;
            FN(copy_row)(to + x.begin, from, step, x.end - x.begin);
            for (int64_t i = x.end; i < width; i++)
                to[i] = 0;
        }
    }
}

/* Apart from each other, which spares the loop a look at where they lie. */
PLEAT_INLINE void FN(add_row)(T *restrict to, const T *restrict from, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        to[i] += from[i];
}

/* The pixels of a row that meet all of a row of taps, where windows lie one apart. */
static pleat_span FN(inner)(const pleat_window_work *w)
{
    const int64_t begin = (w->kernel.w - 1) * w->dilation.w - w->padding.w, end = w->windows.w - w->padding.w;
    return (pleat_span){ begin > 0 ? begin : 0, end < w->image.w ? end : w->image.w };
}

/* A row of an image whose windows lie one apart. Pixel s meets tap (i, j) at columns[at + i down + j along + s]. The
 * inner pixels, a vector or more, add theirs up in registers, while the next plane's columns are fetched. */
static void FN(fold_row)(const pleat_window_work *w, pleat_span inner, const T *columns, T *to, int64_t plane,
                         int64_t row)
{
    const int64_t width = w->windows.w, area = w->windows.h * width, taps = w->kernel.h * w->kernel.w;
    const int64_t top = row + w->padding.h, at = plane * taps * area + top * width + w->padding.w;
    const int64_t down = w->kernel.w * area - w->dilation.h * width, along = area - w->dilation.w;
    const int64_t ahead = plane + 1 < w->planes ? taps * area : 0;
    int64_t first = 0, last = w->kernel.h;
    while (first < last && top - first * w->dilation.h >= w->windows.h)
        first++;
    while (first < last && top - (last - 1) * w->dilation.h < 0)
        last--;
    for (int64_t s = inner.begin > 0 ? 0 : inner.end; s < w->image.w; s = s + 1 == inner.begin ? inner.end : s + 1) {
        T sum = 0;
        for (int64_t i = first; i < last; i++)
            for (int64_t j = 0; j < w->kernel.w; j++) {
                const int64_t x = s + w->padding.w - j * w->dilation.w;
                if (x >= 0 && x < width)
                    sum += columns[at + i * down + j * along + s];
            }
        to[s] = sum;
    }
    for (int64_t s = inner.begin; s < inner.end; s += 2 * VL) { /* what a pair lacks at the end is done again */
        const int64_t back = inner.end - VL, a = s < back ? s : back, b = s + VL < back ? s + VL : back;
        V sum_a = { 0 }, sum_b = { 0 };
        for (int64_t i = first; i < last; i++) {
            const T *from = columns + at + i * down;
            for (int64_t j = 0; j < w->kernel.w; j++, from += along) {
                __builtin_prefetch(from + ahead + a);
                __builtin_prefetch(from + ahead + b);
                sum_a += FN(load)(from + a);
                sum_b += FN(load)(from + b);
            }
        }
        FN(store)(to + a, sum_a);
        FN(store)(to + b, sum_b);
    }
}

/* The same of any windows: window by window, to where its taps meet the row. */
static void FN(fold_taps)(const pleat_window_work *w, const T *columns, T *to, int64_t plane, int64_t row)
{
    const int64_t step = w->stride.w, taps = w->kernel.h * w->kernel.w;
    memset(to, 0, (size_t)w->image.w * sizeof(T));
    for (int64_t i = 0; i < w->kernel.h; i++) {
        const int64_t down = row + w->padding.h - i * w->dilation.h;
        const int64_t line = w->stride.h > 1 ? down / w->stride.h : down;
        if (down < 0 || line * w->stride.h != down || line >= w->windows.h)
            continue;
        for (int64_t j = 0; j < w->kernel.w; j++) {
            const int64_t column = j * w->dilation.w - w->padding.w;
            const T *from = columns + ((plane * taps + i * w->kernel.w + j) * w->windows.h + line) * w->windows.w;
            const pleat_span x = pleat_inside(w->windows.w, step, column, w->image.w);
            if (step == 1)
                FN(add_row)(to + x.begin + column, from + x.begin, x.end - x.begin);
            else
                for (int64_t k = x.begin; k < x.end; k++)
                    to[k * step + column] += from[k];
        }
    }
}

static void FN(fold)(const pleat_window_work *w, const T *columns, T *image, int64_t begin, int64_t end)
{
    const pleat_span inner = FN(inner)(w);
    const bool vectors = w->stride.h == 1 && w->stride.w == 1 && inner.end - inner.begin >= VL;
    int64_t plane = begin / w->image.h, row = begin % w->image.h;
    for (; begin < end; begin++) {
        T *to = image + begin * w->image.w;
        if (vectors)
            FN(fold_row)(w, inner, columns, to, plane, row);
        else
            FN(fold_taps)(w, columns, to, plane, row);
        if (++row == w->image.h) {
            row = 0;
            plane++;
        }
    }
}
