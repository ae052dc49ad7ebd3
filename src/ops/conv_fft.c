/* FFT convolutions: cuts the images into tiles, as many to a vector as it has lanes, and the vectors into stages whose
 * spectra have room. In a stage all channels of all its vectors are transformed in parallel; then, forward and by data,
 * the result's channels of all its vectors are made in parallel, and by weight the frequencies' sums. All cuts follow
 * from the sizes. */
#include "ops/conv_fft.h"

#include "kernels/fft.h"
#include "ops/integers.h"
#include "tensor/memory.h"

#include <pleat/parallel.h>

#include <math.h>
#include <string.h>

enum {
    STAGE_BYTES = 32 << 20, /* of a stage's spectra */
    LANES = 64,             /* at least a vector's */
    LEAST = 16,             /* a tile's side */
};

/* What a transform takes, in products of vectors, for each element of the tile and doubling of its side: measured. */
static const double TURNING = 3.5;

static int64_t lowest(int64_t origin, int64_t tap_step, int64_t taps)
{
    return tap_step < 0 ? origin - (taps - 1) : origin;
}

bool pleat_fft_fits(const pleat_product *product, pleat_hw phases, bool by_weight)
{
    const pleat_patches *p = product->b.source;
    const int64_t taps = max(p->taps.h, p->taps.w);
    if (phases.h != 1 || phases.w != 1 || p->step.h != 1 || p->step.w != 1 || taps < 2 || taps > PLEAT_FFT_MOST / 2 ||
        (p->taps.h > 1 && p->tap_step.h * p->tap_step.h != 1) ||
        (p->taps.w > 1 && p->tap_step.w * p->tap_step.w != 1) || product->accumulate || product->col_bias ||
        product->c.column != 1)
        return false;
    const pleat_target *c = &product->c;
    return by_weight ? p->tap_step.h == 1 && p->tap_step.w == 1 && product->a.step[2] == 1
                     : c->width == p->windows.w && c->line == c->width && c->height == p->windows.h;
}

/* ---- The plan ---- */

typedef struct {
    const pleat_product *product;
    const pleat_product_grid *groups;
    pleat_fft_work work;
    int64_t size, lanes, frequencies;
    int64_t c, o, count; /* channels of a group, of the image and of the result; groups */
    pleat_hw taps, low, tiles;
    int64_t step_h, step_w;               /* pixels of the result in a tile */
    int64_t images, vectors, first, last; /* vectors of tiles; those of the stage */
    int64_t pairs;                        /* kernels, rounded up to whole vectors */
    int64_t x_image, x_plane;
    char *twiddle, *w, *x, *dy, *scratch;
    int64_t scratch_size;
} plan;

/* Of a group, in products of vectors. */
static double work_of(const pleat_product *product, bool by_weight, int64_t lanes, int64_t side)
{
    const pleat_patches *p = product->b.source;
    const int64_t taps = p->taps.h * p->taps.w;
    const double c = (double)((by_weight ? product->n : product->k) / taps), o = (double)product->m;
    const int64_t images = (by_weight ? product->k : product->n) / (p->windows.h * p->windows.w);
    const int64_t tiles =
        images * ceil_div(p->windows.h, side - p->taps.h + 1) * ceil_div(p->windows.w, side - p->taps.w + 1);
    const double frequencies = (double)pleat_fft_frequencies(side);
    const double turn = TURNING * (double)(side * side) * log2((double)side);
    return (double)ceil_div(tiles, lanes) * ((c + o) * turn + 4 * frequencies * c * o) + c * o / (double)lanes * turn;
}

/* The side that takes least; 0 where none holds the kernel. */
static int64_t best_side(const pleat_product *product, bool by_weight, int64_t lanes, double *least)
{
    const pleat_patches *p = product->b.source;
    int64_t best = 0;
    for (int64_t side = LEAST; side <= PLEAT_FFT_MOST; side *= 2) {
        if (side < 2 * max(p->taps.h, p->taps.w) - 1 && side < PLEAT_FFT_MOST)
            continue;
        const double work = work_of(product, by_weight, lanes, side);
        if (!best || work < *least) {
            *least = work;
            best = side;
        }
    }
    return best;
}

double pleat_fft_cost(const pleat_product *product, bool by_weight)
{
    const int64_t lanes = pleat_kernels_get()->fft->vector[product->dtype];
    const pleat_patches *patches = product->b.source;
    const bool depthwise =
        product->m == 1 && (by_weight ? product->n : product->k) == patches->taps.h * patches->taps.w;
    const double slower = depthwise ? 1.8 : by_weight ? 5 : 3.7; /* than a direct convolution, a product: measured */
    double least = 0;
    best_side(product, by_weight, lanes, &least);
    return slower * least * (double)lanes / ((double)product->m * (double)product->n * (double)product->k);
}

static plan plan_of(const pleat_product *product, const pleat_product_grid *groups, bool by_weight)
{
    const pleat_patches *p = product->b.source;
    const struct pleat_fft_kernels *kernels = pleat_kernels_get()->fft;
    plan l = { .product = product,
               .groups = groups,
               .size = size_of(product->dtype),
               .lanes = kernels->vector[product->dtype],
               .o = product->m,
               .count = groups->size[0],
               .taps = p->taps,
               .low = { lowest(p->origin.h, p->tap_step.h, p->taps.h), lowest(p->origin.w, p->tap_step.w, p->taps.w) },
               .x_plane = p->channel,
               .x_image = p->image };
    double least;
    l.c = (by_weight ? product->n : product->k) / (p->taps.h * p->taps.w);
    l.images = (by_weight ? product->k : product->n) / (p->windows.h * p->windows.w);
    l.work = (pleat_fft_work){ .dtype = product->dtype, .side = best_side(product, by_weight, l.lanes, &least) };
    l.frequencies = pleat_fft_frequencies(l.work.side);
    l.step_h = l.work.side - p->taps.h + 1;
    l.step_w = l.work.side - p->taps.w + 1;
    l.tiles = (pleat_hw){ ceil_div(p->windows.h, l.step_h), ceil_div(p->windows.w, l.step_w) };
    l.vectors = ceil_div(l.images * l.tiles.h * l.tiles.w, l.lanes);
    l.pairs = ceil_div(l.count * l.o * l.c, l.lanes) * l.lanes;
    l.scratch_size = (kernels->scratch(&l.work) + 63) / 64 * 64;
    return l;
}

/* Bytes of a vector's spectra, of so many channels. */
static int64_t spectra(const plan *l, int64_t channels)
{
    return l->frequencies * channels * 2 * l->lanes * l->size;
}

/* Where a channel's begins among those of vectors, which lie group by group: a group of `channels` shares its
 * frequencies. */
static int64_t spectrum_of(const plan *l, int64_t vector, int64_t channel, int64_t channels)
{
    return spectra(l, (vector * l->count + channel / channels) * channels) +
           channel % channels * 2 * l->lanes * l->size;
}

/* Gets memory for the twiddles, the kernels (of `pairs`), `vectors` vectors' spectra of x's and dy's channels, and the
 * scratch; and fills in the twiddles. */
static pleat_status set_up(plan *l, int64_t vectors, int64_t x_channels, int64_t dy_channels)
{
    const int64_t side = l->work.side, twiddles = (2 * side * l->size + 63) / 64 * 64;
    const int64_t w = l->frequencies * 2 * l->pairs * l->size;
    const int64_t x = vectors * spectra(l, x_channels), dy = vectors * spectra(l, dy_channels);
    l->twiddle = pleat_alloc((size_t)(twiddles + w + x + dy + pleat_threads() * l->scratch_size));
    if (!l->twiddle)
        return PLEAT_ENOMEM;
    l->w = l->twiddle + twiddles;
    l->x = l->w + w;
    l->dy = l->x + x;
    l->scratch = l->dy + dy;
    l->work.twiddle = l->twiddle;
    for (int64_t p = 0; p < side; p++) {
        const double angle = 2 * acos(-1) * (double)p / (double)side, values[] = { cos(angle), sin(angle) };
        for (int i = 0; i < 2; i++)
            if (l->work.dtype == PLEAT_F64)
                ((double *)(void *)l->twiddle)[2 * p + i] = values[i];
            else
                ((float *)(void *)l->twiddle)[2 * p + i] = (float)values[i];
    }
    return PLEAT_OK;
}

static void *scratch_of(const plan *l)
{
    return l->scratch + pleat_worker() * l->scratch_size;
}

/* ---- Tiles ---- */

typedef struct {
    pleat_fft_places places;
    int64_t offset[LANES];
    pleat_hw first[LANES], last[LANES];
} tiles;

/* The tiles of a vector, of planes of that size, at `low` from where their results begin and of so many pixels. */
static void tiles_of(const plan *l, int64_t vector, pleat_hw size, pleat_hw low, pleat_hw extent, int64_t image,
                     tiles *t)
{
    const int64_t each = l->tiles.h * l->tiles.w;
    t->places = (pleat_fft_places){ .offset = t->offset,
                                    .first = t->first,
                                    .last = t->last,
                                    .lanes = min(l->lanes, l->images * each - vector * l->lanes),
                                    .row = size.w,
                                    .column = 1,
                                    .scale = 1 };
    for (int64_t i = 0; i < t->places.lanes; i++) {
        const int64_t tile = vector * l->lanes + i;
        const int64_t y = tile % each / l->tiles.w * l->step_h + low.h, x = tile % l->tiles.w * l->step_w + low.w;
        t->offset[i] = tile / each * image + y * size.w + x;
        t->first[i] = (pleat_hw){ min(max(-y, 0), extent.h), min(max(-x, 0), extent.w) };
        t->last[i] =
            (pleat_hw){ max(min(size.h - y, extent.h), t->first[i].h), max(min(size.w - x, extent.w), t->first[i].w) };
    }
}

static const pleat_patches *patches_of(const plan *l)
{
    return l->product->b.source;
}

/* Channel by channel of the stage's vectors. */
static void turn_images(int64_t begin, int64_t end, void *ctx)
{
    const plan *l = ctx;
    const int64_t channels = l->count * l->c, side = l->work.side;
    for (int64_t i = begin; i < end; i++) {
        const int64_t vector = i / channels, channel = i % channels;
        tiles t;
        tiles_of(l, l->first + vector, patches_of(l)->size, l->low, (pleat_hw){ side, side }, l->x_image, &t);
        const char *base = (const char *)l->product->b.base +
                           (channel / l->c * l->groups->b[0] + channel % l->c * l->x_plane) * l->size;
        pleat_kernels_get()->fft->transform(&l->work, base, &t.places, scratch_of(l),
                                            l->x + spectrum_of(l, vector, channel, l->c), l->c * 2 * l->lanes,
                                            l->lanes);
    }
}

/* ---- Kernels ---- */

/* What the lanes' kernels are, from pair number `pair` on, whose strides from an output channel, an image's channel and
 * a tap to the next these are; turned round where the taps run backwards. */
static void kernels_of(const plan *l, int64_t pair, int64_t group, int64_t out, int64_t in, int64_t row, int64_t column,
                       tiles *t)
{
    const bool back_h = patches_of(l)->tap_step.h < 0, back_w = patches_of(l)->tap_step.w < 0;
    t->places = (pleat_fft_places){ .offset = t->offset,
                                    .first = t->first,
                                    .last = t->last,
                                    .lanes = min(l->lanes, l->count * l->o * l->c - pair),
                                    .row = back_h ? -row : row,
                                    .column = back_w ? -column : column };
    const double n = (double)l->work.side;
    t->places.scale = 1 / (n * n);
    for (int64_t i = 0; i < t->places.lanes; i++) {
        const int64_t o = (pair + i) / l->c, c = (pair + i) % l->c;
        t->offset[i] = o / l->o * group + o % l->o * out + c * in + (back_h ? (l->taps.h - 1) * row : 0) +
                       (back_w ? (l->taps.w - 1) * column : 0);
        t->first[i] = (pleat_hw){ 0, 0 };
        t->last[i] = l->taps;
    }
}

static void turn_kernels(int64_t begin, int64_t end, void *ctx)
{
    const plan *l = ctx;
    const pleat_operand *a = &l->product->a;
    const bool linear = a->size[1] >= l->product->k; /* taps one after the other, of all channels */
    const int64_t row = linear ? l->taps.w * a->step[2] : a->step[1];
    const int64_t in = linear ? l->taps.h * row : a->step[0];
    for (int64_t i = begin; i < end; i++) {
        tiles t;
        kernels_of(l, i * l->lanes, l->groups->a[0], a->lane, in, row, a->step[2], &t);
        pleat_kernels_get()->fft->transform(&l->work, a->base, &t.places, scratch_of(l), l->w + i * l->lanes * l->size,
                                            2 * l->pairs, l->pairs);
    }
}

/* ---- Forward and by data ---- */

static void make_results(int64_t begin, int64_t end, void *ctx)
{
    const plan *l = ctx;
    const pleat_product *p = l->product;
    const int64_t blocks = ceil_div(l->o, PLEAT_FFT_OUTPUTS);
    for (int64_t i = begin; i < end; i++) {
        const int64_t vector = i / blocks / l->count, group = i / blocks % l->count, o = i % blocks * PLEAT_FFT_OUTPUTS;
        const int64_t pair = (group * l->o + o) * l->c;
        tiles t;
        tiles_of(l, l->first + vector, patches_of(l)->windows, (pleat_hw){ 0, 0 }, (pleat_hw){ l->step_h, l->step_w },
                 p->c.image, &t);
        const char *bias = p->row_bias;
        pleat_kernels_get()->fft->multiply(
            &l->work, l->x + spectrum_of(l, vector, group * l->c, l->c), l->c * 2 * l->lanes, l->w + pair * l->size,
            l->pairs, l->c, min(l->o - o, PLEAT_FFT_OUTPUTS),
            bias ? bias + (group * l->groups->row_bias[0] + o) * l->size : NULL, p->relu, &t.places, p->c.row,
            scratch_of(l), (char *)p->c.base + (group * l->groups->c[0] + o * p->c.row) * l->size);
    }
}

pleat_status pleat_conv_fft(const pleat_product *product, const pleat_product_grid *groups)
{
    plan l = plan_of(product, groups, false);
    const int64_t channels = l.count * l.c, most = max(1, STAGE_BYTES / spectra(&l, channels));
    const int64_t vectors = min(l.vectors, most);
    if (set_up(&l, vectors, channels, 0) != PLEAT_OK)
        return PLEAT_ENOMEM;
    pleat_parallel_for(l.pairs / l.lanes, 1, turn_kernels, &l);
    for (l.first = 0; l.first < l.vectors; l.first = l.last) {
        l.last = min(l.first + vectors, l.vectors);
        pleat_parallel_for((l.last - l.first) * channels, 1, turn_images, &l);
        pleat_parallel_for((l.last - l.first) * l.count * ceil_div(l.o, PLEAT_FFT_OUTPUTS), 1, make_results, &l);
    }
    pleat_free(l.twiddle);
    return PLEAT_OK;
}

/* ---- By weight ---- */

static void turn_gradients(int64_t begin, int64_t end, void *ctx)
{
    const plan *l = ctx;
    const pleat_operand *a = &l->product->a;
    const int64_t channels = l->count * l->o;
    for (int64_t i = begin; i < end; i++) {
        const int64_t vector = i / channels, channel = i % channels;
        tiles t;
        tiles_of(l, l->first + vector, patches_of(l)->windows, (pleat_hw){ 0, 0 }, (pleat_hw){ l->step_h, l->step_w },
                 a->step[1], &t);
        const char *base =
            (const char *)a->base + (channel / l->o * l->groups->a[0] + channel % l->o * a->lane) * l->size;
        pleat_kernels_get()->fft->transform(&l->work, base, &t.places, scratch_of(l),
                                            l->dy + spectrum_of(l, vector, channel, l->o), l->o * 2 * l->lanes,
                                            l->lanes);
    }
}

static void add_up(int64_t begin, int64_t end, void *ctx)
{
    const plan *l = ctx;
    for (int64_t group = 0; group < l->count; group++)
        pleat_kernels_get()->fft->accumulate(
            &l->work, l->x + spectrum_of(l, 0, group * l->c, l->c), l->c, l->dy + spectrum_of(l, 0, group * l->o, l->o),
            l->o, l->count, l->last - l->first, begin, end, l->w + group * l->o * l->c * l->size, l->pairs);
}

static void turn_kernels_back(int64_t begin, int64_t end, void *ctx)
{
    const plan *l = ctx;
    const pleat_target *to = &l->product->c;
    for (int64_t i = begin; i < end; i++) {
        tiles t;
        kernels_of(l, i * l->lanes, l->groups->c[0], to->row, l->taps.h * l->taps.w, l->taps.w, 1, &t);
        pleat_kernels_get()->fft->kernels(&l->work, l->w + i * l->lanes * l->size, l->pairs, &t.places, scratch_of(l),
                                          to->base);
    }
}

static void clear(int64_t begin, int64_t end, void *ctx)
{
    const plan *l = ctx;
    memset(l->w + begin * 2 * l->pairs * l->size, 0, (size_t)((end - begin) * 2 * l->pairs * l->size));
}

pleat_status pleat_conv_fft_weight(const pleat_product *product, const pleat_product_grid *groups)
{
    plan l = plan_of(product, groups, true);
    const int64_t channels = l.count * l.c, outputs = l.count * l.o;
    const int64_t vectors = min(l.vectors, max(1, STAGE_BYTES / (spectra(&l, channels) + spectra(&l, outputs))));
    if (set_up(&l, vectors, channels, outputs) != PLEAT_OK)
        return PLEAT_ENOMEM;
    pleat_parallel_for(l.frequencies, 1 + (1 << 16) / l.pairs, clear, &l);
    for (l.first = 0; l.first < l.vectors; l.first = l.last) {
        l.last = min(l.first + vectors, l.vectors);
        pleat_parallel_for((l.last - l.first) * channels, 1, turn_images, &l);
        pleat_parallel_for((l.last - l.first) * outputs, 1, turn_gradients, &l);
        pleat_parallel_for(l.frequencies, 16, add_up, &l);
    }
    pleat_parallel_for(l.pairs / l.lanes, 1, turn_kernels_back, &l);
    pleat_free(l.twiddle);
    return PLEAT_OK;
}
