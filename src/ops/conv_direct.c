/* Direct convolutions: packs the weights once, cuts the images into bands of lines, and runs the bands in parallel. */
#include "ops/conv_direct.h"

#include "kernels/direct.h"
#include "tensor/memory.h"

#include <pleat/parallel.h>

#include <string.h>

enum {
    COPY_BYTES = 384 << 10,  /* of a band's copy at most, */
    SUMS_BYTES = 160 << 10,  /* and of its sums: with a panel of weights they fit the L2 cache */
    SLICES_BYTES = 16 << 20, /* of all slices of a gradient by the weight */
    CHUNKS = 16,             /* as many at least are wanted, */
};
static const double CHUNK_WORK = 1 << 20; /* but none of less than so many multiplications */

static int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t ceil_div(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

typedef struct {
    const pleat_product *product;
    const pleat_product_grid *groups;
    pleat_direct_work work;
    bool over_channels;
    int64_t images, bands;
    int64_t panels, split; /* of weights; how many a chunk takes */
    int64_t splits;
    int64_t slices;                     /* by weight */
    char *weights, *scratch;            /* weights: or their gradient's slices */
    int64_t group_bytes, scratch_bytes; /* of a group's packed weights, of a worker's scratch memory */
    double band_work;
} plan;

static int64_t size_of(pleat_dtype dtype)
{
    return dtype == PLEAT_F64 ? 8 : 4;
}

/* Lines are up to `lines`: fills in what the copy of such a band looks like. */
static void lay_out(pleat_direct_work *w, int64_t lines)
{
    const pleat_patches *p = w->patches;
    const int64_t tall = (p->taps.h - 1) * p->tap_step.h, wide = (p->taps.w - 1) * p->tap_step.w;
    w->lines = lines;
    w->low = (pleat_hw){ p->origin.h + min(0, tall), p->origin.w + min(0, wide) };
    w->rows = (lines - 1) * p->step.h + max(tall, -tall) + 1;
    if (w->in_place) {
        w->pitch = p->size.w;
        w->plane = p->channel;
    } else {
        w->part = ceil_div((p->windows.w - 1) * p->step.w + max(wide, -wide) + 1, p->step.w);
        w->pitch = w->part * p->step.w;
        w->plane = w->rows * w->pitch;
    }
}

static void fill_offsets(const pleat_direct_work *w, int64_t *offset)
{
    const pleat_patches *p = w->patches;
    for (int64_t c = 0; c < w->channels; c++)
        for (int64_t i = 0; i < p->taps.h; i++)
            for (int64_t j = 0; j < p->taps.w; j++) {
                const int64_t row = p->origin.h + i * p->tap_step.h - w->low.h;
                const int64_t column = p->origin.w + j * p->tap_step.w - w->low.w;
                *offset++ = c * w->plane + row * w->pitch + column % p->step.w * w->part + column / p->step.w;
            }
}

/* Chunks that are taken at a time, where a band or slice with all its panels is so much work. */
static int64_t grain(const plan *p, double work)
{
    return 1 + (int64_t)(CHUNK_WORK / 4 / (work * (double)p->split / (double)p->panels + 1));
}

static void pack_weights(int64_t begin, int64_t end, void *ctx)
{
    const plan *p = ctx;
    const int64_t width = p->work.width, size = size_of(p->product->dtype);
    for (int64_t i = begin; i < end; i++) {
        const int64_t group = i / p->panels, o = i % p->panels * width;
        pleat_operand weights = p->product->a;
        weights.base = (const char *)weights.base + group * p->groups->a[0] * size;
        weights.pack(&weights, o, min(width, p->work.m - o), 0, p->work.k, width,
                     p->weights + group * p->group_bytes + o * p->work.k * size);
    }
}

static void run_bands(int64_t begin, int64_t end, void *ctx)
{
    const plan *p = ctx;
    const pleat_product *product = p->product;
    const struct pleat_direct_kernels *kernels = pleat_kernels_get()->direct;
    const int64_t size = size_of(product->dtype);
    for (int64_t i = begin; i < end; i++) {
        const int64_t split = i % p->splits, band = i / p->splits % p->bands,
                      image = i / p->splits / p->bands % p->images;
        const int64_t group = i / p->splits / p->bands / p->images, y = band * p->work.lines;
        pleat_direct_work w = p->work;
        w.weights = p->weights + group * p->group_bytes;
        w.c.base = (char *)w.c.base + group * p->groups->c[0] * size;
        w.bias = w.bias ? (const char *)w.bias + group * p->groups->row_bias[0] * size : NULL;
        const char *from = (const char *)product->b.base + (group * p->groups->b[0] + image * w.patches->image) * size;
        const int64_t o = split * p->split * w.width;
        (p->over_channels ? kernels->channels : kernels->pixels)(
            &w, from, image, y, min(y + w.lines, w.patches->windows.h), o, min(o + p->split * w.width, w.m),
            p->scratch + pleat_worker() * p->scratch_bytes);
    }
}

/* Cuts the images into bands, of as many lines as the cache holds, and of fewer where chunks are wanting; and the
 * output channels into splits where they still are. */
static void cut(plan *p)
{
    pleat_direct_work *w = &p->work;
    const pleat_patches *patches = w->patches;
    const int64_t size = size_of(w->dtype), vector = pleat_kernels_get()->direct->vector[w->dtype];
    const int64_t lines = patches->windows.h, taps = patches->taps.h * patches->taps.w;
    w->channels = taps ? w->k / taps : 0;
    w->width = p->over_channels ? (w->m > vector ? 2 * vector : vector) : w->m > 4 ? 6 : w->m > 2 ? 4 : w->m;
    p->panels = ceil_div(w->m, w->width);
    lay_out(w, lines);
    w->in_place = p->over_channels && patches->step.w == 1 && w->low.h >= 0 && w->low.w >= 0 &&
                  w->low.h + w->rows <= patches->size.h && w->low.w + w->pitch <= patches->size.w;

    lay_out(w, 1);
    int64_t most = min(lines, SUMS_BYTES / (max(w->pitch, patches->windows.w) * w->width * size));
    if (!w->in_place) {
        const int64_t first = w->plane * w->channels * size, each = patches->step.h * w->pitch * w->channels * size;
        most = min(most, 1 + (COPY_BYTES - first) / each);
    }
    p->bands = ceil_div(lines, max(most, 1));
    const int64_t count = p->groups->size[0] * p->images;
    const double work = (double)patches->windows.w * (double)w->m * (double)w->k * (double)lines; /* an image's */
    if (count * p->bands < CHUNKS)
        p->bands = max(p->bands, min(min(lines, ceil_div(CHUNKS, count)), (int64_t)(work / CHUNK_WORK)));
    const int64_t band = ceil_div(lines, p->bands);
    p->bands = ceil_div(lines, band);
    lay_out(w, band);
    p->group_bytes = p->panels * w->width * w->k * size;
    p->scratch_bytes = pleat_kernels_get()->direct->scratch(w);
    p->band_work = work / (double)p->bands;
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

pleat_status pleat_conv_direct(const pleat_product *product, const pleat_product_grid *groups, bool over_channels)
{
    const pleat_patches *patches = product->b.source;
    if (!product->m || !product->n || !groups->size[0])
        return PLEAT_OK;
    plan p = { .product = product,
               .groups = groups,
               .over_channels = over_channels,
               .images = product->n / (patches->windows.h * patches->windows.w) };
    pleat_direct_work *w = &p.work;
    *w = (pleat_direct_work){ .dtype = product->dtype,
                              .patches = patches,
                              .m = product->m,
                              .k = product->k,
                              .c = product->c,
                              .bias = product->row_bias };
    cut(&p);
    const int64_t bands = groups->size[0] * p.images * p.bands;
    split_panels(&p, bands, p.band_work);

    const int64_t weights_bytes = (groups->size[0] * p.group_bytes + 127) / 64 * 64; /* packing runs over the end */
    p.weights =
        pleat_alloc((size_t)(weights_bytes + pleat_threads() * p.scratch_bytes + w->k * (int64_t)sizeof(int64_t)));
    if (!p.weights)
        return PLEAT_ENOMEM;
    p.scratch = p.weights + weights_bytes;
    int64_t *offset = (int64_t *)(void *)(p.scratch + pleat_threads() * p.scratch_bytes);
    fill_offsets(w, offset);
    w->offset = offset;
    /* a panel that is no whole vectors runs over into the next: these are packed in turn */
    const int64_t panels = groups->size[0] * p.panels;
    if (over_channels)
        pleat_parallel_for(panels, 1 + 16384 / (w->width * w->k + 1), pack_weights, &p);
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
        const int64_t panels = min(p->split, p->panels - split * p->split);
        char *sums = p->weights + (slice * p->groups->size[0] + group) * p->group_bytes;
        memset(sums + o * whole->k * size, 0, (size_t)(panels * whole->width * whole->k * size));
        pleat_direct_work w = *whole;
        w.c.base = (char *)w.c.base + group * p->groups->a[0] * size;
        for (int64_t b = bands * slice / p->slices; b < bands * (slice + 1) / p->slices; b++) {
            const int64_t image = b / p->bands, y = b % p->bands * w.lines;
            const char *from =
                (const char *)p->product->b.base + (group * p->groups->b[0] + image * w.patches->image) * size;
            (p->over_channels ? kernels->weight_channels
                              : kernels->weight_pixels)(&w, from, image, y, min(y + w.lines, w.patches->windows.h), o,
                                                        o_end, sums, p->scratch + pleat_worker() * p->scratch_bytes);
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
                                                p->groups->size[0] * p->group_bytes / size, o, min(o + w->width, w->m),
                                                (char *)p->product->c.base + group * p->groups->c[0] * size);
    }
}

pleat_status pleat_conv_direct_weight(const pleat_product *product, const pleat_product_grid *groups,
                                      bool over_channels)
{
    const pleat_patches *patches = product->b.source;
    if (!product->m || !product->n || !groups->size[0])
        return PLEAT_OK;
    const int64_t pixels = patches->windows.h * patches->windows.w;
    plan p = { .product = product, .groups = groups, .over_channels = over_channels, .images = product->k / pixels };
    pleat_direct_work *w = &p.work;
    const pleat_operand *gradient = &product->a;
    *w = (pleat_direct_work){ .dtype = product->dtype, .patches = patches, .m = product->m, .k = product->n };
    w->c = (pleat_target){ .base = (void *)(uintptr_t)gradient->base,
                           .row = gradient->lane,
                           .column = 1,
                           .line = patches->windows.w,
                           .image = gradient->step[1] };
    cut(&p);
    const int64_t count = groups->size[0], bands = p.images * p.bands;
    p.slices = min(bands, ceil_div(CHUNKS, count));
    p.slices = max(1, min(p.slices, SLICES_BYTES / (count * p.group_bytes)));
    p.slices = max(1, min(p.slices, (int64_t)(p.band_work * (double)bands / CHUNK_WORK)));
    const double slice_work = p.band_work * (double)bands / (double)p.slices;
    split_panels(&p, count * p.slices, slice_work);

    const int64_t sums_bytes = (count * p.slices * p.group_bytes + 63) / 64 * 64;
    p.weights = pleat_alloc((size_t)(sums_bytes + pleat_threads() * p.scratch_bytes + w->k * (int64_t)sizeof(int64_t)));
    if (!p.weights)
        return PLEAT_ENOMEM;
    p.scratch = p.weights + sums_bytes;
    int64_t *offset = (int64_t *)(void *)(p.scratch + pleat_threads() * p.scratch_bytes);
    fill_offsets(w, offset);
    w->offset = offset;
    pleat_parallel_for(count * p.slices * p.splits, grain(&p, slice_work), run_slices, &p);
    pleat_parallel_for(count * p.panels, 1 + 16384 / (p.slices * w->width * w->k), add_slices, &p);
    pleat_free(p.weights);
    return PLEAT_OK;
}
