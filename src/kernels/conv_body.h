/* conv.c's functions for one float type. */

/* A tap in consecutive windows, from (n, y, x) on: base is the tap's plane in image 0, (row, column) what it reads for
 * window (0, 0). */
static void FN(patch_run)(const pleat_patches *p, const T *base, int64_t row, int64_t column, int64_t n, int64_t y,
                          int64_t x, int64_t count, T *to)
{
    const int64_t step = p->step.w;
    while (count > 0) {
        const int64_t left = p->windows.w - x, run = left < count ? left : count;
        const int64_t r = y * p->step.h + row, s = x * step + column;
        pleat_span in = { 0, run };
        if (r < 0 || r >= p->size.h)
            in.end = 0;
        else if (s < 0 || s + (run - 1) * step >= p->size.w)
            in = pleat_inside(run, step, s, p->size.w);
        for (int64_t i = 0; i < in.begin; i++)
            to[i] = 0;
        if (in.begin < in.end)
            FN(copy_row)
        (to + in.begin, base + n * p->image + r * p->size.w + s + in.begin * step, step, in.end - in.begin);
        for (int64_t i = in.end; i < run; i++)
            to[i] = 0;
        to += run;
        count -= run;
        x = 0;
        if (++y == p->windows.h) {
            y = 0;
            n++;
        }
    }
}

/* Windows of one tap: runs of pixels that lie together, each in all its channels. */
static void FN(pack_pixels)(const pleat_patches *p, const T *base, int64_t first, int64_t lanes, int64_t k,
                            int64_t depth, int64_t width, T *panel)
{
    int64_t x = first % p->windows.w, y = first / p->windows.w % p->windows.h, n = first / p->windows.w / p->windows.h;
    for (int64_t l = 0, run; l < lanes; l += run, x = 0) {
        run = least(p->windows.w - x, lanes - l);
        const int64_t row = y * p->step.h + p->origin.h, column = x * p->step.w + p->origin.w;
        pleat_span in = { 0, 0 };
        if (row >= 0 && row < p->size.h)
            in = pleat_inside(run, p->step.w, column, p->size.w);
        const T *from = base + n * p->image + row * p->size.w + column + in.begin * p->step.w;
        T *to = panel + l;
        for (int64_t c = k; c < k + depth; c++, to += width) {
            for (int64_t i = 0; i < in.begin; i++)
                to[i] = 0;
            if (in.begin < in.end)
                FN(copy_row)(to + in.begin, from + c * p->channel, p->step.w, in.end - in.begin);
            for (int64_t i = in.end; i < run; i++)
                to[i] = 0;
        }
        if (++y == p->windows.h) {
            y = 0;
            n++;
        }
    }
    for (int64_t c = 0; lanes < width && c < depth; c++)
        for (int64_t l = lanes; l < width; l++)
            panel[c * width + l] = 0;
}

static void FN(pack_windows)(const pleat_operand *o, int64_t first, int64_t lanes, int64_t k, int64_t depth,
                             int64_t width, void *panel)
{
    if (!depth)
        return;
    const pleat_patches *p = o->source;
    if (p->taps.h * p->taps.w == 1) {
        FN(pack_pixels)(p, o->base, first, lanes, k, depth, width, panel);
        return;
    }
    const int64_t x = first % p->windows.w, y = first / p->windows.w % p->windows.h,
                  n = first / p->windows.w / p->windows.h;
    int64_t j = k % p->taps.w, i = k / p->taps.w % p->taps.h, c = k / p->taps.w / p->taps.h;
    T *to = panel;
    for (int64_t step = 0; step < depth; step++, to += width) {
        FN(patch_run)
        (p, (const T *)o->base + c * p->channel, i * p->tap_step.h + p->origin.h, j * p->tap_step.w + p->origin.w, n, y,
         x, lanes, to);
        for (int64_t l = lanes; l < width; l++)
            to[l] = 0;
        if (++j == p->taps.w) {
            j = 0;
            if (++i == p->taps.h) {
                i = 0;
                c++;
            }
        }
    }
}

/* VL taps by RUN windows are read at once, and turned in blocks of VL x VL. */
static void FN(pack_taps)(const pleat_operand *o, int64_t first, int64_t lanes, int64_t k, int64_t depth, int64_t width,
                          void *panel)
{
    enum { RUN = 64 };
    const pleat_patches *p = o->source;
    T rows[VL * RUN] = { 0 };
    int64_t j = first % p->taps.w, i = first / p->taps.w % p->taps.h, c = first / p->taps.w / p->taps.h;
    for (int64_t l = 0; l < width; l += VL) {
        const T *base[VL];
        int64_t row[VL], column[VL], used = 0;
        for (; used < VL && l + used < lanes; used++) {
            base[used] = (const T *)o->base + c * p->channel;
            row[used] = i * p->tap_step.h + p->origin.h;
            column[used] = j * p->tap_step.w + p->origin.w;
            if (++j == p->taps.w) {
                j = 0;
                if (++i == p->taps.h) {
                    i = 0;
                    c++;
                }
            }
        }
        for (int64_t t = used; t < VL; t++)
            memset(rows + t * RUN, 0, RUN * sizeof(T));
        for (int64_t done = 0; done < depth; done += RUN) {
            const int64_t window = k + done, run = depth - done < RUN ? depth - done : RUN;
            const int64_t line = window / p->windows.w, x = window % p->windows.w;
            const int64_t n = line / p->windows.h, y = line % p->windows.h;
            for (int64_t t = 0; t < used; t++)
                FN(patch_run)(p, base[t], row[t], column[t], n, y, x, run, rows + t * RUN);
            for (int64_t step = 0; step < run; step += VL) {
                V block[VL];
                PLEAT_UNROLL(16)
                for (int t = 0; t < VL; t++)
                    block[t] = FN(load)(rows + t * RUN + step);
                FN(transpose)(block);
                T *to = (T *)panel + (done + step) * width + l;
                PLEAT_UNROLL(16)
                for (int s = 0; s < VL; s++)
                    if (step + s < run)
                        FN(store)(to + s * width, block[s]);
            }
        }
    }
}
