/* Direct convolutions: packs the weights once, cuts the images into bands of lines, and runs the bands in parallel. */
#include "ops/conv_direct.h"

#include "kernels/direct.h"
#include "tensor/memory.h"

#include <pleat/parallel.h>

enum {
    COPY_BYTES = 384 << 10, /* of a band's copy at most, */
    SUMS_BYTES = 160 << 10, /* and of its sums: with a panel of weights they fit the L2 cache */
    CHUNKS = 16,            /* as many at least are wanted, */
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
    char *weights, *scratch;
    int64_t group_bytes, scratch_bytes; /* of a group's packed weights, of a worker's scratch memory */
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

pleat_status pleat_conv_direct(const pleat_product *product, const pleat_product_grid *groups, bool over_channels)
{
    const struct pleat_direct_kernels *kernels = pleat_kernels_get()->direct;
    const pleat_patches *patches = product->b.source;
    const int64_t size = size_of(product->dtype), vector = kernels->vector[product->dtype], m = product->m,
                  k = product->k;
    const int64_t lines = patches->windows.h, pixels = lines * patches->windows.w;
    if (!m || !product->n || !groups->size[0])
        return PLEAT_OK;

    plan p = { .product = product, .groups = groups, .over_channels = over_channels, .images = product->n / pixels };
    const int64_t taps = patches->taps.h * patches->taps.w;
    p.work = (pleat_direct_work){ .dtype = product->dtype,
                                  .patches = patches,
                                  .channels = taps ? k / taps : 0,
                                  .m = m,
                                  .k = k,
                                  .c = product->c,
                                  .bias = product->row_bias };
    pleat_direct_work *w = &p.work;
    w->width = over_channels ? (m > vector ? 2 * vector : vector) : m > 4 ? 6 : m > 2 ? 4 : m;
    p.panels = ceil_div(m, w->width);
    lay_out(w, lines);
    w->in_place = over_channels && patches->step.w == 1 && w->low.h >= 0 && w->low.w >= 0 &&
                  w->low.h + w->rows <= patches->size.h && w->low.w + w->pitch <= patches->size.w;

    /* as many lines as the cache holds, and fewer if chunks are wanting */
    lay_out(w, 1);
    const int64_t first = w->in_place ? 0 : w->plane * w->channels * size;
    const int64_t each = w->in_place ? 0 : patches->step.h * w->pitch * w->channels * size;
    int64_t most = min(lines, SUMS_BYTES / (max(w->pitch, patches->windows.w) * w->width * size));
    if (each)
        most = min(most, 1 + (COPY_BYTES - first) / each);
    p.bands = ceil_div(lines, max(most, 1));
    const int64_t count = groups->size[0] * p.images;
    const double line_work = (double)patches->windows.w * (double)m * (double)k;
    if (count * p.bands < CHUNKS)
        p.bands =
            max(p.bands, min(min(lines, ceil_div(CHUNKS, count)), (int64_t)(line_work * (double)lines / CHUNK_WORK)));
    const int64_t band = ceil_div(lines, p.bands);
    p.bands = ceil_div(lines, band);
    lay_out(w, band);
    p.splits = 1;
    if (count * p.bands < CHUNKS)
        p.splits = max(
            1, min(min(p.panels, ceil_div(CHUNKS, count * p.bands)), (int64_t)(line_work * (double)band / CHUNK_WORK)));
    p.split = ceil_div(p.panels, p.splits);
    p.splits = ceil_div(p.panels, p.split);

    p.group_bytes = p.panels * w->width * k * size;
    p.scratch_bytes = kernels->scratch(w);
    const int64_t weights_bytes = (groups->size[0] * p.group_bytes + 127) / 64 * 64; /* packing runs over the end */
    p.weights = pleat_alloc((size_t)(weights_bytes + pleat_threads() * p.scratch_bytes + k * (int64_t)sizeof(int64_t)));
    if (!p.weights)
        return PLEAT_ENOMEM;
    p.scratch = p.weights + weights_bytes;
    int64_t *offset = (int64_t *)(void *)(p.scratch + pleat_threads() * p.scratch_bytes);
    fill_offsets(w, offset);
    w->offset = offset;
    /* a panel that is no whole vectors runs over into the next: these are packed in turn */
    const int64_t panels = groups->size[0] * p.panels;
    if (over_channels)
        pleat_parallel_for(panels, 1 + 16384 / (w->width * k + 1), pack_weights, &p);
    else
        pack_weights(0, panels, &p);
    const double chunk_work = line_work * (double)w->lines * (double)p.split / (double)p.panels;
    pleat_parallel_for(count * p.bands * p.splits, 1 + (int64_t)(CHUNK_WORK / 4 / (chunk_work + 1)), run_bands, &p);
    pleat_free(p.weights);
    return PLEAT_OK;
}
