/* Direct convolutions over groups, for one float type: each vector holds one pixel of VL images, whose only channel
 * meets a kernel of its own. Pixels and weights are read where they lie, with any step and any taps. After
 * direct_body.h. */

/* Pixels to vectors, VL planes at a time, of which `lanes` are there: `count` adjacent ones of each plane, as pixels of
 * rows of `size`, which lie `pitch` elements apart from `to` on. */
static void FN(turn_rows)(const T *from, int64_t plane, int64_t lanes, int64_t count, int64_t size, int64_t pitch,
                          T *to)
{
    if (count < VL) {
        for (int64_t i = 0; i < count; i++)
            for (int64_t n = 0; n < VL; n++)
                to[i / size * pitch + i % size * VL + n] = n < lanes ? from[n * plane + i] : 0;
        return;
    }
    int64_t column = 0;
    T *at = to;
    for (int64_t i = 0; i < count; i += VL) {
        if (i + VL > count) { /* the last block overlaps the one before */
            i = count - VL;
            column = i % size;
            at = to + i / size * pitch + column * VL;
        }
        V block[VL];
        const T *pixels = from + i;
        PLEAT_UNROLL(16)
        for (int64_t n = 0; n < VL; n++) {
            block[n] = FN(load)(pixels);
            __builtin_prefetch(pixels + 4 * VL);         /* so many planes the machine does not foresee */
            pixels += plane & -(int64_t)(n + 1 < lanes); /* what is missing counts nowhere */
            PLEAT_FORGET(pixels);
        }
        FN(transpose)(block);
        PLEAT_UNROLL(16)
        for (int64_t n = 0; n < VL; n++) {
            FN(store)(at, block[n]);
            at += VL;
            if (++column == size) {
                column = 0;
                at += pitch - size * VL;
            }
        }
    }
}

static void FN(clear_pixels)(T *to, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        FN(store)(to + i * VL, (V){ 0 });
}

/* The rows that lines y to y_end - 1 read of `lanes` planes, with zeros where they leave the image. */
static void FN(turn_band)(const pleat_direct_work *w, const T *planes, int64_t lanes, int64_t y, int64_t y_end, T *to)
{
    const pleat_patches *p = w->patches;
    const int64_t size = p->size.w, low = y * p->step.h + w->low.h;
    const int64_t rows = (y_end - y - 1) * w->step.h + w->rows - (w->lines - 1) * w->step.h;
    const pleat_span inside = pleat_inside(rows, 1, low, p->size.h);
    FN(clear_pixels)(to, inside.begin * w->part);
    FN(clear_pixels)(to + inside.end * w->pitch, (rows - inside.end) * w->part);
    for (int64_t r = inside.begin; r < inside.end; r++) {
        FN(clear_pixels)(to + r * w->pitch, -w->low.w);
        FN(clear_pixels)(to + r * w->pitch + (size - w->low.w) * VL, w->part - size + w->low.w);
    }
    FN(turn_rows)
    (planes + (low + inside.begin) * size, p->channel, lanes, (inside.end - inside.begin) * size, size, w->pitch,
     to + inside.begin * w->pitch - w->low.w * VL);
}

/* The sums of `count` pixels, whose windows are `step` apart: as direct_body.h's strip, with a weight for each lane. */
PLEAT_INLINE void FN(group_strip)(int count, int64_t step, int64_t depth, const int64_t *offset, const T *x,
                                  const T *weights, T *out, int64_t apart)
{
    V sum[8];
    PLEAT_UNROLL(8)
    for (int i = 0; i < count; i++)
        sum[i] = (V){ 0 };
    PLEAT_UNROLL(1)
    for (int64_t k = 0; k < depth; k++) {
        const T *at = x + offset[k];
        const V weight = FN(load)(weights + k * VL);
        PLEAT_UNROLL(8)
        for (int i = 0; i < count; i++)
            sum[i] += FN(load)(at + i * step * VL) * weight;
    }
    PLEAT_UNROLL(8)
    for (int i = 0; i < count; i++)
        FN(store)(out + i * apart, sum[i]);
}

/* A phase's sums, to every phases.w-th pixel of every phases.h-th line, in strips of one length but for the last. */
PLEAT_INLINE void FN(group_lines)(int64_t step, const pleat_direct_work *w, const pleat_direct_phase *f, const T *x,
                                  int64_t lines, const T *weights, T *sums)
{
    const int64_t line = f->patches->windows.w, strips = (line + 7) / 8, count = (line + strips - 1) / strips;
    const int64_t apart = w->phases.w * VL;
    for (int64_t v = 0; v < lines; v++, x += w->step.h * w->pitch, sums += w->phases.h * w->c.width * VL)
        for (int64_t u = 0; u < line; u += count) {
            const T *from = x + u * step * VL;
            T *to = sums + u * apart;
            switch (line - u < count ? line - u : count) {
#define STRIP(n)                                                                                                       \
    case n:                                                                                                            \
        FN(group_strip)(n, step, f->k, f->offset, from, weights, to, apart);                                           \
        break
                STRIP(1);
                STRIP(2);
                STRIP(3);
                STRIP(4);
                STRIP(5);
                STRIP(6);
                STRIP(7);
                STRIP(8);
#undef STRIP
            }
        }
}

static void FN(group_phase)(const pleat_direct_work *w, const pleat_direct_phase *f, const T *x, int64_t lines,
                            const T *weights, T *sums)
{
    if (w->step.w == 1)
        FN(group_lines)(1, w, f, x, lines, weights, sums);
    else if (w->step.w == 2)
        FN(group_lines)(2, w, f, x, lines, weights, sums);
    else
        FN(group_lines)(w->step.w, w, f, x, lines, weights, sums);
}

static void FN(groups)(const pleat_direct_work *w, const T *image, int64_t n, int64_t y, int64_t y_end, int64_t o,
                       int64_t o_end, T *copy, T *sums)
{
    const int64_t line = w->c.width;
    for (; o < o_end; o += VL) {
        const int64_t lanes = least(o_end - o, VL);
        int64_t rows = 0;
        FN(turn_band)(w, image + o * w->patches->channel, lanes, y, y_end, copy);
        for (int64_t h = 0; h < w->phases.h; h++)
            for (int64_t i = 0; i < w->phases.w; i++) {
                const pleat_direct_phase *f = w->phase + h * w->phases.w + i;
                const int64_t lines = FN(lines_of)(f, y, y_end);
                FN(group_phase)
                (w, f, copy, lines, (const T *)w->weights + f->weights + o * f->k, sums + (h * line + i) * VL);
                rows += i ? 0 : lines;
            }
        FN(put_pixels)
        (sums, VL, lanes, w->bias ? (const T *)w->bias + o : NULL, w->relu,
         (T *)w->c.base + o * w->c.row + n * w->c.image + y * w->phases.h * line, w->c.row, rows * line);
    }
}

/* By weight, as direct_body.h's walk: `taps` taps over lines of pixels, those of `turned` being one after another. */
PLEAT_INLINE void FN(group_walk)(int taps, int64_t step, const T *const *places, int64_t lines, int64_t line,
                                 int64_t down, const T *turned, bool add, T *out)
{
    const T *x[9];
    V sum[9];
    PLEAT_UNROLL(9)
    for (int t = 0; t < taps; t++) {
        x[t] = places[t];
        sum[t] = add ? FN(load)(out + t * VL) : (V){ 0 };
    }
    for (int64_t v = 0; v < lines; v++) {
        PLEAT_UNROLL(1)
        for (int64_t u = 0; u < line; u++, turned += VL) {
            const V y = FN(load)(turned);
            PLEAT_UNROLL(9)
            for (int t = 0; t < taps; t++)
                sum[t] += FN(load)(x[t] + u * step * VL) * y;
        }
        PLEAT_UNROLL(9)
        for (int t = 0; t < taps; t++)
            x[t] += down;
    }
    PLEAT_UNROLL(9)
    for (int t = 0; t < taps; t++)
        FN(store)(out + t * VL, sum[t]);
}

/* All taps over lines of pixels, or adds them to the sums. */
static void FN(group_weight)(const pleat_direct_work *w, const T *x, int64_t lines, const T *turned, bool add, T *sums)
{
    const int64_t down = w->step.h * w->pitch, line = w->c.width;
    const pleat_direct_phase *f = w->phase;
    for (int64_t k = 0, taps; k < f->k; k += taps) {
        const T *places[9];
        taps = f->k - k >= 9 ? 9 : f->k - k >= 3 ? 3 : 1;
        for (int64_t t = 0; t < taps; t++)
            places[t] = x + f->offset[k + t];
        T *out = sums + k * VL;
        if (taps == 9 && w->step.w == 1)
            FN(group_walk)(9, 1, places, lines, line, down, turned, add, out);
        else if (taps == 9)
            FN(group_walk)(9, w->step.w, places, lines, line, down, turned, add, out);
        else if (taps == 3)
            FN(group_walk)(3, w->step.w, places, lines, line, down, turned, add, out);
        else
            FN(group_walk)(1, w->step.w, places, lines, line, down, turned, add, out);
    }
}

static void FN(weight_groups)(const pleat_direct_work *w, const T *image, int64_t n, int64_t y, int64_t y_end,
                              int64_t o, int64_t o_end, bool add, T *sums, T *copy, T *turned)
{
    const int64_t line = w->c.width, near = WALK_BYTES / (line * VL * (int64_t)sizeof(T)) + 1;
    for (; o < o_end; o += VL) {
        const int64_t lanes = least(o_end - o, VL);
        FN(turn_band)(w, image + o * w->patches->channel, lanes, y, y_end, copy);
        FN(get_pixels)
        ((const T *)w->c.base + o * w->c.row + n * w->c.image + y * line, w->c.row, lanes, VL, turned,
         (y_end - y) * line, add, sums + w->totals + o);
        for (int64_t v = 0; v < y_end - y; v += near)
            FN(group_weight)
        (w, copy + v * w->step.h * w->pitch, least(y_end - y - v, near), turned + v * line * VL, add || v > 0,
         sums + o * w->phase->k);
    }
}
