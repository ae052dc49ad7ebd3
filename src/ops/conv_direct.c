/* Direct convolutions: packs the weights once, cuts the images into bands of lines, and runs the bands in parallel. */
#include "ops/conv_direct.h"

#include "kernels/direct.h"
#include "ops/integers.h"
#include "tensor/memory.h"

#include <pleat/parallel.h>

#include <string.h>

enum {
    COPY_BYTES = 384 << 10,  /* of a band's copy at most, */
    SUMS_BYTES = 160 << 10,  /* and of its sums: with a panel of weights they fit the L2 cache */
    SLICES_BYTES = 16 << 20, /* of all slices of a gradient by the weight */
    CHUNKS = 16,             /* as many at least are wanted, */
    LONG_ROW = 32,           /* terms of a row of taps, of which walks by weight fill their registers */
};
static const double CHUNK_WORK = 1 << 20; /* but none of less than so many multiplications */

typedef struct {
    const pleat_product *product; /* of each phase */
    const pleat_product_grid *groups;
    pleat_direct_work work;
    pleat_direct_phase phase[PLEAT_DIRECT_PHASES];
    bool by_weight;
    pleat_hw reach; /* from the lowest tap of windows (0, 0) to the highest */
    int64_t count;  /* of the groups that are walked: one, if depthwise */
    int64_t images, bands;
    int64_t panels, split; /* of weights; how many a chunk takes */
    int64_t splits;
    int64_t slices;                     /* by weight */
    char *weights, *scratch;            /* weights: or their gradient's slices */
    char *totals;                       /* by weight: of the output gradient; or NULL */
    int64_t group_bytes, scratch_bytes; /* of a group's packed weights, of a worker's scratch memory */
    double image_work, band_work;       /* multiplications */
} plan;

static int64_t lowest(int64_t origin, int64_t taps, int64_t step)
{
    return origin + min(0, (taps - 1) * step);
}

/* What of the image the taps of all phases read for windows (0, 0), and how far apart. */
static void reach_out(plan *p)
{
    pleat_direct_work *w = &p->work;
    const pleat_patches *first = w->patches;
    pleat_hw high = { INT64_MIN, INT64_MIN };
    w->low = (pleat_hw){ INT64_MAX, INT64_MAX };
    for (int64_t i = 0; i < w->phases.h * w->phases.w; i++) {
        const pleat_patches *f = p->product[i].b.source;
        if (f->taps.h * f->taps.w == 0)
            continue;
        const pleat_hw low = { lowest(f->origin.h, f->taps.h, f->tap_step.h),
                               lowest(f->origin.w, f->taps.w, f->tap_step.w) };
        w->low = (pleat_hw){ min(w->low.h, low.h), min(w->low.w, low.w) };
        high.h = max(high.h, low.h + (f->taps.h - 1) * max(f->tap_step.h, -f->tap_step.h));
        high.w = max(high.w, low.w + (f->taps.w - 1) * max(f->tap_step.w, -f->tap_step.w));
    }
    p->reach = (pleat_hw){ high.h - w->low.h, high.w - w->low.w };
    /* rows between those that the windows meet are read by some taps, or by none */
    const bool all_h = p->reach.h > 0 && first->tap_step.h % first->step.h != 0;
    const bool all_w = p->reach.w > 0 && first->tap_step.w % first->step.w != 0;
    w->every = (pleat_hw){ all_h ? 1 : first->step.h, all_w ? 1 : first->step.w };
    w->step = (pleat_hw){ first->step.h / w->every.h, first->step.w / w->every.w };
}

/* Over groups the copy has every pixel of a row, and all of them lie where they are. */
static void take_whole_rows(plan *p)
{
    pleat_direct_work *w = &p->work;
    const int64_t in_front = max(0, w->low.w);
    w->low.w -= in_front;
    p->reach.w += in_front;
    w->every = (pleat_hw){ 1, 1 };
    w->step = w->patches->step;
}

/* Whether lines of windows go without the rows of taps that lie above or below the image, for which terms have another
 * order: where they are many, or keep the image from serving as its copy. To one channel, or from one, there is more to
 * share among rows, and by weight over pixels they are summed up together. */
static void choose_rows(plan *p)
{
    pleat_direct_work *w = &p->work;
    const pleat_patches *first = w->patches;
    const bool few = w->over == PLEAT_OVER_PIXELS;
    if (few && (p->by_weight || w->width == 1 || w->channels == 1))
        return;
    int64_t all = 0, outside = 0;
    for (int64_t f = 0; f < w->phases.h * w->phases.w; f++) {
        const pleat_patches *patches = w->phase[f].patches;
        for (int64_t i = 0; i < patches->taps.h && patches->taps.w > 0; i++) {
            const pleat_span inside = pleat_inside(patches->windows.h, patches->step.h,
                                                   patches->origin.h + i * patches->tap_step.h, patches->size.h);
            all += patches->windows.h;
            outside += patches->windows.h - (inside.end - inside.begin);
        }
    }
    const bool fits =
        !few && w->low.w >= 0 && w->low.w + (first->windows.w - 1) * first->step.w + p->reach.w < first->size.w;
    w->by_rows = outside > 0 && (fits || 16 * outside >= all) && (!p->by_weight || w->phase->row >= LONG_ROW);
    w->in_place = fits && (outside == 0 || w->by_rows);
}

/* Lines are up to `lines`: fills in what the copy of such a band looks like. */
static void lay_out(plan *p, int64_t lines)
{
    pleat_direct_work *w = &p->work;
    w->lines = lines;
    w->rows = (lines - 1) * w->step.h + p->reach.h / w->every.h + 1;
    if (w->in_place) {
        w->parts = 1;
        w->pitch = w->patches->size.w;
        w->plane = w->patches->channel;
    } else if (w->over == PLEAT_OVER_GROUPS) {
        w->part = max((w->patches->windows.w - 1) * w->step.w + p->reach.w + 1, w->patches->size.w - w->low.w);
        w->pitch = w->part * w->width;
        w->plane = w->rows * w->pitch;
    } else {
        w->part = ceil_div((w->patches->windows.w - 1) * w->step.w + p->reach.w / w->every.w + 1, w->step.w);
        const int64_t vector = pleat_kernels_get()->direct->vector[w->dtype], width = w->patches->windows.w;
        if (w->over == PLEAT_OVER_PIXELS && w->step.w == 1 && width >= vector &&
            8 * ceil_div(width, vector) * vector <= 9 * width) {
            w->part = ceil_div(w->part, vector) * vector; /* lines of whole vectors: these then lie well */
            w->shift = w->low.w < 0 ? (vector + w->low.w % vector) % vector : 0;
        }
        /* taps may meet the first columns of a step alone; of wider steps whole blocks are turned */
        w->parts = w->step.w > 3 ? w->step.w : min(w->step.w, p->reach.w / w->every.w + 1);
        w->pitch = w->part * w->parts;
        w->plane = w->rows * w->pitch;
    }
}

/* Fills in the tables of offsets, of all phases one after another. Small images feel every division: there are some for
 * the first row, and one for each of the others. */
static void fill_offsets(plan *p, int64_t *offset)
{
    const pleat_direct_work *w = &p->work;
    for (int64_t f = 0; f < w->phases.h * w->phases.w; f++) {
        const pleat_patches *patches = w->phase[f].patches;
        const int64_t rows = patches->taps.h, columns = patches->taps.w, all = w->phase[f].k;
        const int64_t each = w->by_rows ? w->phase[f].row : columns;
        p->phase[f].offset = offset;
        for (int64_t j = 0; j < columns && all > 0; j++) {
            const int64_t column = (patches->origin.w + j * patches->tap_step.w - w->low.w) / w->every.w;
            offset[j] =
                w->over == PLEAT_OVER_GROUPS ? column * w->width : column % w->parts * w->part + column / w->parts;
        }
        for (int64_t k = columns; k < each; k++)
            offset[k] = offset[k - columns] + w->plane;
        for (int64_t i = rows - 1; i >= 0 && all > 0; i--) { /* the first row last, which the others begin with */
            const int64_t row = (patches->origin.h + i * patches->tap_step.h - w->low.h) / w->every.h;
            for (int64_t k = 0; k < each; k++)
                offset[i * each + k] = offset[k] + row * w->pitch;
        }
        for (int64_t k = rows * each; k < all; k++)
            offset[k] = offset[k - rows * columns] + w->plane;
        offset += all;
    }
}

/* Fills in which terms each line of windows has, of all phases one after another, as many of each: those that have a
 * line less are walked beyond their end. */
static void fill_terms(plan *p, pleat_span *terms)
{
    const pleat_direct_work *w = &p->work;
    for (int64_t f = 0; f < w->phases.h * w->phases.w; f++) {
        const pleat_patches *patches = w->phase[f].patches;
        const int64_t step = patches->tap_step.h, size = patches->size.h;
        p->phase[f].terms = terms;
        for (int64_t y = 0; y < w->patches->windows.h; y++, terms++) {
            *terms = (pleat_span){ 0, w->phase[f].k };
            if (!w->by_rows)
                continue;
            const int64_t first = y * patches->step.h + patches->origin.h;
            const pleat_span rows =
                pleat_inside(patches->taps.h, step < 0 ? -step : step, step < 0 ? size - 1 - first : first, size);
            if (rows.begin < rows.end)
                *terms = (pleat_span){ rows.begin * w->phase[f].row, rows.end * w->phase[f].row };
            else
                *terms = (pleat_span){ 0, 0 };
        }
    }
}

/* Chunks that are taken at a time, where a band or slice with all its panels is so much work. */
static int64_t grain(const plan *p, double work)
{
    return 1 + (int64_t)(CHUNK_WORK / 4 / (work * (double)p->split / (double)p->panels + 1));
}

/* A panel of weights, rows of taps outermost: these are short, so it is packed as it lies, and moved. */
static void pack_by_rows(const pleat_operand *weights, const pleat_direct_phase *f, int64_t o, int64_t lanes,
                         int64_t width, int64_t size, char *panel)
{
    enum { BLOCK = 64, WIDEST = 128 };
    char block[BLOCK * WIDEST + 64]; /* packing runs over the end */
    for (int64_t k = 0; k < f->k; k += BLOCK) {
        const int64_t count = min(BLOCK, f->k - k);
        weights->pack(weights, o, lanes, k, count, width, block);
        pleat_move_terms(f, k, count, width * size, block, panel, false);
    }
}

static void pack_weights(int64_t begin, int64_t end, void *ctx)
{
    const plan *p = ctx;
    const int64_t width = p->work.width, size = size_of(p->work.dtype), phases = p->work.phases.h * p->work.phases.w;
    for (int64_t i = begin; i < end; i++) {
        const int64_t group = i / p->panels / phases, f = i / p->panels % phases, o = i % p->panels * width;
        pleat_operand weights = p->product[f].a;
        weights.base = (const char *)weights.base + group * p->groups->a[0] * size;
        const int64_t lanes = min(width, p->work.m - o);
        char *panel = p->weights + group * p->group_bytes + (p->phase[f].weights + o * p->phase[f].k) * size;
        if (p->work.by_rows)
            pack_by_rows(&weights, p->phase + f, o, lanes, width, size, panel);
        else
            weights.pack(&weights, o, lanes, 0, p->phase[f].k, width, panel);
    }
}

static void run_bands(int64_t begin, int64_t end, void *ctx)
{
    const plan *p = ctx;
    const pleat_product *product = p->product;
    const struct pleat_direct_kernels *kernels = pleat_kernels_get()->direct;
    const int64_t size = size_of(product->dtype);
    pleat_direct_work w = p->work;
    const int64_t groups = p->count;
    int64_t split = begin % p->splits, band = begin / p->splits % p->bands,
            group = begin / p->splits / p->bands % groups, image = begin / p->splits / p->bands / groups;
    for (int64_t i = begin; i < end; i++) {
        const int64_t y = band * w.lines, o = split * p->split * w.width;
        w.weights = p->weights + group * p->group_bytes;
        w.c.base = (char *)product->c.base + group * p->groups->c[0] * size;
        if (product->row_bias)
            w.bias = (const char *)product->row_bias + group * p->groups->row_bias[0] * size;
        const char *from = (const char *)product->b.base + (group * p->groups->b[0] + image * w.patches->image) * size;
        kernels->run[w.over](&w, from, image, y, min(y + w.lines, w.patches->windows.h), o,
                             min(o + p->split * w.width, w.m), p->scratch + pleat_worker() * p->scratch_bytes);
        if (++split == p->splits) { /* the next, without four divisions */
            split = 0;
            if (++band == p->bands) {
                band = 0;
                if (++group == groups) {
                    group = 0;
                    image++;
                }
            }
        }
    }
}

/* Groups or, if depthwise, panels, which share nothing that bands would have to read again. */
static int64_t parts(const plan *p)
{
    return p->work.depthwise ? p->panels : p->count;
}

/* Cuts the images into bands, of as many lines as the cache holds, and of fewer where chunks are wanting; and the
 * output channels into splits where they still are. */
static void cut(plan *p)
{
    pleat_direct_work *w = &p->work;
    const pleat_patches *patches = w->patches;
    const int64_t size = size_of(w->dtype), vector = pleat_kernels_get()->direct->vector[w->dtype];
    const int64_t lines = patches->windows.h, phases = w->phases.h * w->phases.w;
    const int64_t sixes = ceil_div(w->m, 6) * 6, fours = ceil_div(w->m, 4) * 4;
    if (w->over == PLEAT_OVER_GROUPS)
        w->width = vector;
    else if (w->over == PLEAT_OVER_CHANNELS)
        w->width = w->m > vector ? 2 * vector : vector;
    else
        w->width = w->depthwise || w->lanes > 1 ? 1 : w->m <= 3 ? w->m : sixes <= fours ? 6 : 4;
    p->panels = ceil_div(w->m, w->width);
    int64_t terms = 0;
    for (int64_t i = 0; i < phases; i++) {
        const pleat_patches *f = p->product[i].b.source;
        const int64_t taps = f->taps.h * f->taps.w;
        p->phase[i] = (pleat_direct_phase){ .patches = f,
                                            .k = w->channels * taps,
                                            .row = taps ? w->channels * f->taps.w : 0,
                                            .weights = p->panels * w->width * terms };
        terms += w->channels * taps;
        p->image_work += (double)(f->windows.h * f->windows.w) * (double)(w->m * w->channels * taps);
    }
    w->phase = p->phase;
    p->group_bytes = p->panels * w->width * terms * w->lanes * size;
    reach_out(p);
    if (w->over == PLEAT_OVER_GROUPS)
        take_whole_rows(p);
    else
        choose_rows(p);
    if (w->in_place) {
        w->every = (pleat_hw){ 1, 1 };
        w->step = patches->step;
    }

    lay_out(p, 1);
    const int64_t line = w->over == PLEAT_OVER_GROUPS ? w->part : max(w->pitch, patches->windows.w);
    int64_t most = min(lines, SUMS_BYTES / (line * phases * w->width * size));
    if (!w->in_place) {
        const int64_t first = w->plane * w->channels * size, each = w->step.h * w->pitch * w->channels * size;
        most = min(most, 1 + (COPY_BYTES - first) / each);
    }
    p->bands = ceil_div(lines, max(most, 1));
    const int64_t count = p->images * parts(p);
    if (count * p->bands < CHUNKS)
        p->bands = max(p->bands, min(min(lines, ceil_div(CHUNKS, count)), (int64_t)(p->image_work / CHUNK_WORK)));
    const int64_t band = ceil_div(lines, p->bands);
    p->bands = ceil_div(lines, band);
    lay_out(p, band);
    p->scratch_bytes = pleat_kernels_get()->direct->scratch(w);
    p->band_work = p->image_work / (double)p->bands;
}

/* The chunks of `count` bands or slices share out the panels where there are too few of them. */
static void split_panels(plan *p, int64_t count, double work)
{
    p->splits = 1;
    if (count < CHUNKS)
        p->splits = max(1, min(min(p->panels, ceil_div(CHUNKS, count)), (int64_t)(work / CHUNK_WORK)));
    p->split = ceil_div(p->panels, p->splits);
    p->splits = ceil_div(p->panels, p->split);
}

/* Groups of one channel in and one out lie as the output channels of one do. */
static void take_together(plan *p)
{
    pleat_direct_work *w = &p->work;
    w->depthwise = w->over != PLEAT_OVER_CHANNELS && w->m == 1 && w->channels == 1;
    if (w->depthwise) {
        w->m = p->count;
        p->count = 1;
    }
}

pleat_status pleat_conv_direct(const pleat_product *product, pleat_hw phases, const pleat_product_grid *groups,
                               pleat_direct_over over)
{
    const pleat_patches *patches = product->b.source;
    if (!product->m || !product->n || !groups->size[0])
        return PLEAT_OK;
    plan p = { .product = product,
               .groups = groups,
               .count = groups->size[0],
               .images = product->n / (patches->windows.h * patches->windows.w),
               .work = { .dtype = product->dtype,
                         .over = over,
                         .patches = patches,
                         .m = product->m,
                         .phases = phases,
                         .c = product->c,
                         .relu = product->relu,
                         .lanes = 1 } };
    pleat_direct_work *w = &p.work;
    w->c.width = 0;
    int64_t terms = 0;
    for (int64_t i = 0; i < phases.h * phases.w; i++) {
        const pleat_patches *f = product[i].b.source;
        if (f->taps.h && f->taps.w)
            w->channels = product[i].k / (f->taps.h * f->taps.w);
        w->c.width += i < phases.w ? f->windows.w : 0;
        terms += product[i].k;
    }
    take_together(&p);
    cut(&p);
    const int64_t bands = p.count * p.images * p.bands;
    split_panels(&p, bands, p.band_work);

    /* over groups, and over pixels where none is left out, every line has all terms */
    const bool listed = over == PLEAT_OVER_CHANNELS || w->by_rows;
    const int64_t lines = listed ? phases.h * phases.w * patches->windows.h : 0;
    const int64_t weights_bytes = (p.count * p.group_bytes + 127) / 64 * 64; /* packing runs over the end */
    p.weights = pleat_alloc((size_t)(weights_bytes + pleat_threads() * p.scratch_bytes +
                                     lines * (int64_t)sizeof(pleat_span) + terms * (int64_t)sizeof(int64_t)));
    if (!p.weights)
        return PLEAT_ENOMEM;
    p.scratch = p.weights + weights_bytes;
    char *tables = p.scratch + pleat_threads() * p.scratch_bytes;
    if (listed)
        fill_terms(&p, (pleat_span *)(void *)tables);
    fill_offsets(&p, (int64_t *)(void *)(tables + lines * (int64_t)sizeof(pleat_span)));
    /* a panel that is no whole vectors runs over into the next: these are packed in turn */
    const int64_t panels = p.count * phases.h * phases.w * p.panels;
    if (over != PLEAT_OVER_PIXELS)
        pleat_parallel_for(panels, 1 + 16384 / (w->width * product->k + 1), pack_weights, &p);
    else
        pack_weights(0, panels, &p);
    pleat_parallel_for(bands * p.splits, grain(&p, p.band_work), run_bands, &p);
    pleat_free(p.weights);
    return PLEAT_OK;
}

/* ---- By weight ---- */

/* Sums over some bands of all images go into a slice of their own, and the slices are added up in order. */
static void run_slices(int64_t begin, int64_t end, void *ctx)
{
    const plan *p = ctx;
    const struct pleat_direct_kernels *kernels = pleat_kernels_get()->direct;
    const pleat_direct_work *whole = &p->work;
    const int64_t size = size_of(whole->dtype), bands = p->images * p->bands;
    for (int64_t i = begin; i < end; i++) {
        const int64_t split = i % p->splits, slice = i / p->splits % p->slices, group = i / p->splits / p->slices;
        const int64_t o = split * p->split * whole->width, o_end = min(o + p->split * whole->width, whole->m);
        char *sums = p->weights + (slice * p->count + group) * p->group_bytes;
        pleat_direct_work w = *whole;
        w.c.base = (char *)w.c.base + group * p->groups->a[0] * size;
        const int64_t first = bands * slice / p->slices;
        for (int64_t b = first; b < bands * (slice + 1) / p->slices; b++) {
            const int64_t image = b / p->bands, y = b % p->bands * w.lines;
            const char *from =
                (const char *)p->product->b.base + (group * p->groups->b[0] + image * w.patches->image) * size;
            kernels->weight[w.over](&w, from, image, y, min(y + w.lines, w.patches->windows.h), o, o_end, b > first,
                                    sums, p->scratch + pleat_worker() * p->scratch_bytes);
        }
    }
}

static void add_slices(int64_t begin, int64_t end, void *ctx)
{
    const plan *p = ctx;
    const pleat_direct_work *w = &p->work;
    const int64_t size = size_of(w->dtype);
    for (int64_t i = begin; i < end; i++) {
        const int64_t group = i / p->panels, o = i % p->panels * w->width;
        pleat_kernels_get()->direct->add_slices(w, p->weights + group * p->group_bytes, p->slices,
                                                p->count * p->group_bytes / size, o, min(o + w->width, w->m),
                                                (char *)p->product->c.base + group * p->groups->c[0] * size,
                                                p->totals ? p->totals + group * w->m * size : NULL);
    }
}

bool pleat_conv_is_square(const pleat_product *product)
{
    const pleat_patches *p = product->b.source;
    const int64_t side = p->taps.h, vector = pleat_kernels_get()->direct->vector[product->dtype];
    return (side == 3 || side == 5) && p->taps.w == side && product->n == side * side && p->step.h == 1 &&
           p->step.w == 1 && p->tap_step.h == 1 && p->tap_step.w == 1 &&
           (p->windows.w >= vector || (product->m == 1 && pleat_is_narrow(p, vector)));
}

pleat_status pleat_conv_direct_weight(const pleat_product *product, const pleat_product_grid *groups,
                                      pleat_direct_over over, void *totals)
{
    const pleat_patches *patches = product->b.source;
    if (!product->m || !product->n || !groups->size[0])
        return PLEAT_OK;
    const int64_t pixels = patches->windows.h * patches->windows.w;
    const pleat_operand *gradient = &product->a;
    plan p = { .product = product,
               .groups = groups,
               .count = groups->size[0],
               .totals = totals,
               .by_weight = true,
               .images = product->k / pixels,
               .work = { .dtype = product->dtype,
                         .over = over,
                         .patches = patches,
                         .channels = product->n / (patches->taps.h * patches->taps.w),
                         .m = product->m,
                         .lanes = over == PLEAT_OVER_PIXELS && pleat_conv_is_square(product)
                                      ? pleat_kernels_get()->direct->vector[product->dtype]
                                      : 1,
                         .phases = { 1, 1 },
                         .c = { .base = (void *)(uintptr_t)gradient->base,
                                .row = gradient->lane,
                                .image = gradient->step[1],
                                .width = patches->windows.w } } };
    pleat_direct_work *w = &p.work;
    take_together(&p);
    cut(&p);
    w->totals = p.group_bytes / size_of(w->dtype);
    p.group_bytes += p.panels * w->width * w->lanes * size_of(w->dtype);
    const int64_t count = p.count, bands = p.images * p.bands;
    p.slices = min(bands, ceil_div(CHUNKS, parts(&p)));
    p.slices = max(1, min(p.slices, SLICES_BYTES / (count * p.group_bytes)));
    p.slices = max(1, min(p.slices, (int64_t)(p.band_work * (double)bands / CHUNK_WORK)));
    const double slice_work = p.band_work * (double)bands / (double)p.slices;
    split_panels(&p, count * p.slices, slice_work);

    const int64_t past = 1024; /* whole blocks of 16 vectors of sums are turned */
    const int64_t sums_bytes = (count * p.slices * p.group_bytes + past + 63) / 64 * 64;
    p.weights =
        pleat_alloc((size_t)(sums_bytes + pleat_threads() * p.scratch_bytes + p.phase->k * (int64_t)sizeof(int64_t)));
    if (!p.weights)
        return PLEAT_ENOMEM;
    p.scratch = p.weights + sums_bytes;
    fill_offsets(&p, (int64_t *)(void *)(p.scratch + pleat_threads() * p.scratch_bytes));
    pleat_parallel_for(count * p.slices * p.splits, grain(&p, slice_work), run_slices, &p);
    pleat_parallel_for(count * p.panels, 1 + 16384 / (p.slices * w->width * p.phase->k), add_slices, &p);
    pleat_free(p.weights);
    return PLEAT_OK;
}
