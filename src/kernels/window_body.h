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

static void FN(fold)(const pleat_window_work *w, const T *columns, T *image, int64_t begin, int64_t end)
{
    const int64_t step = w->stride.w, taps = w->kernel.h * w->kernel.w;
    int64_t plane = begin / w->image.h, row = begin % w->image.h;
    for (; begin < end; begin++) {
        T *to = image + begin * w->image.w;
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
        if (++row == w->image.h) {
            row = 0;
            plane++;
        }
    }
}
