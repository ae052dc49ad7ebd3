/* FFT convolutions: cuts the images into tiles, as many to a vector as it has lanes, and the vectors into stages whose
 * spectra have room. In a stage all channels of all its vectors are transformed in parallel; then, forward and by data,
 * the result's channels of all its vectors are made in parallel, and by weight the frequencies' sums. All cuts follow
 * from the sizes. */
#include "ops/conv_fft.h"

#include "kernels/fft.h"
#include "ops/integers.h"
#include "ops/reals.h"
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

/* The images, or the results, which by weight are gradients. */
typedef struct {
    const void *base;
    int64_t channels;            /* of a group */
    int64_t group, plane, image; /* steps */
    pleat_hw size;               /* of a plane */
    pleat_hw low, extent;        /* where the first tile begins; a tile's pixels */
    char *spectra;               /* of the stage; results that are made have none */
} planes;

typedef struct {
    const pleat_product *product;
    const pleat_product_grid *groups;
    pleat_fft_work work;
    int64_t size, lanes, frequencies;
    planes x, y;
    int64_t count; /* groups */
    pleat_hw taps, tiles;
    int64_t images, vectors, first, last; /* vectors of tiles; those of the stage */
    int64_t pairs;                        /* kernels, rounded up to whole vectors */
    char *twiddle, *w, *scratch;
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
    const pleat_operand *a = &product->a;
    const pleat_target *c = &product->c;
    const struct pleat_fft_kernels *kernels = pleat_kernels_get()->fft;
    plan l = { .product = product,
               .groups = groups,
               .size = size_of(product->dtype),
               .lanes = kernels->vector[product->dtype],
               .count = groups->size[0],
               .taps = p->taps };
    double least;
    const int64_t side = best_side(product, by_weight, l.lanes, &least);
    l.x = (planes){ .base = product->b.base,
                    .channels = (by_weight ? product->n : product->k) / (p->taps.h * p->taps.w),
                    .group = groups->b[0],
                    .plane = p->channel,
                    .image = p->image,
                    .size = p->size,
                    .low = { lowest(p->origin.h, p->tap_step.h, p->taps.h),
                             lowest(p->origin.w, p->tap_step.w, p->taps.w) },
                    .extent = { side, side } };
    l.y = (planes){ .base = by_weight ? a->base : c->base,
                    .channels = product->m,
                    .group = by_weight ? groups->a[0] : groups->c[0],
                    .plane = by_weight ? a->lane : c->row,
                    .image = by_weight ? a->step[1] : c->image,
                    .size = p->windows,
                    .extent = { side - p->taps.h + 1, side - p->taps.w + 1 } };
    l.images = (by_weight ? product->k : product->n) / (p->windows.h * p->windows.w);
    l.work = (pleat_fft_work){ .dtype = product->dtype, .side = side };
    l.frequencies = pleat_fft_frequencies(side);
    l.tiles = (pleat_hw){ ceil_div(p->windows.h, l.y.extent.h), ceil_div(p->windows.w, l.y.extent.w) };
    l.vectors = ceil_div(l.images * l.tiles.h * l.tiles.w, l.lanes);
    l.pairs = ceil_div(l.count * l.x.channels * l.y.channels, l.lanes) * l.lanes;
    l.scratch_size = (kernels->scratch(&l.work) + 63) / 64 * 64;
    return l;
}

/* Bytes of the spectra of so many vectors. */
static int64_t spectra(const plan *l, const planes *of, int64_t vectors)
{
    return vectors * l->count * of->channels * l->frequencies * 2 * l->lanes * l->size;
}

/* Where a channel's begins among those of the stage, which lie vector by vector and group by group: the channels of a
 * group share its frequencies. */
static char *spectrum_of(const plan *l, const planes *of, int64_t vector, int64_t channel)
{
    return of->spectra + spectra(l, of, vector) +
           (channel / of->channels * of->channels * l->frequencies + channel % of->channels) * 2 * l->lanes * l->size;
}

/* Gets memory for the twiddles, the kernels (of `pairs`), the spectra of so many vectors, of images and, by weight, of
 * gradients, and the scratch; and fills in the twiddles. */
static pleat_status set_up(plan *l, int64_t vectors, bool by_weight)
{
    const int64_t side = l->work.side, twiddles = (2 * side * l->size + 63) / 64 * 64;
    const int64_t w = l->frequencies * 2 * l->pairs * l->size;
    const int64_t x = spectra(l, &l->x, vectors), y = by_weight ? spectra(l, &l->y, vectors) : 0;
    l->twiddle = pleat_alloc((size_t)(twiddles + w + x + y + pleat_threads() * l->scratch_size));
    if (!l->twiddle)
        return PLEAT_ENOMEM;
    l->w = l->twiddle + twiddles;
    l->x.spectra = l->w + w;
    l->y.spectra = l->x.spectra + x;
    l->scratch = l->y.spectra + y;
    l->work.twiddle = l->twiddle;
    for (int64_t p = 0; p < side; p++) {
        const double angle = 2 * acos(-1) * (double)p / (double)side, values[] = { cos(angle), sin(angle) };
        for (int i = 0; i < 2; i++)
            set_real(l->twiddle, l->work.dtype, 2 * p + i, values[i]);
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

/* The tiles of a vector: the results lie where their images do, but for `low`. */
static void tiles_of(const plan *l, const planes *of, int64_t vector, tiles *t)
{
    const int64_t each = l->tiles.h * l->tiles.w;
    const pleat_hw size = of->size, extent = of->extent, step = l->y.extent;
    t->places = (pleat_fft_places){ .offset = t->offset,
                                    .first = t->first,
                                    .last = t->last,
                                    .lanes = min(l->lanes, l->images * each - vector * l->lanes),
                                    .row = size.w,
                                    .column = 1,
                                    .scale = 1 };
    for (int64_t i = 0; i < t->places.lanes; i++) {
        const int64_t tile = vector * l->lanes + i;
        const int64_t y = tile % each / l->tiles.w * step.h + of->low.h, x = tile % l->tiles.w * step.w + of->low.w;
        t->offset[i] = tile / each * of->image + y * size.w + x;
        t->first[i] = (pleat_hw){ min(max(-y, 0), extent.h), min(max(-x, 0), extent.w) };
        t->last[i] =
            (pleat_hw){ max(min(size.h - y, extent.h), t->first[i].h), max(min(size.w - x, extent.w), t->first[i].w) };
    }
}

/* Channel by channel of the stage's vectors. */
static void turn(const plan *l, const planes *of, int64_t begin, int64_t end)
{
    const int64_t channels = l->count * of->channels;
    for (int64_t i = begin; i < end; i++) {
        const int64_t vector = i / channels, channel = i % channels;
        const int64_t plane = channel / of->channels * of->group + channel % of->channels * of->plane;
        tiles t;
        tiles_of(l, of, l->first + vector, &t);
        pleat_kernels_get()->fft->transform(&l->work, (const char *)of->base + plane * l->size, &t.places,
                                            scratch_of(l), spectrum_of(l, of, vector, channel),
                                            of->channels * 2 * l->lanes, l->lanes);
    }
}

static void turn_images(int64_t begin, int64_t end, void *ctx)
{
    const plan *l = ctx;
    turn(l, &l->x, begin, end);
}

static void turn_gradients(int64_t begin, int64_t end, void *ctx)
{
    const plan *l = ctx;
    turn(l, &l->y, begin, end);
}

/* ---- Kernels ---- */

/* What the lanes' kernels are, from pair number `pair` on, whose strides from an output channel, an image's channel and
 * a tap to the next these are; turned round where the taps run backwards. */
static void kernels_of(const plan *l, int64_t pair, int64_t group, int64_t out, int64_t in, int64_t row, int64_t column,
                       tiles *t)
{
    const pleat_patches *p = l->product->b.source;
    const bool back_h = p->tap_step.h < 0, back_w = p->tap_step.w < 0;
    const int64_t outputs = l->y.channels, inputs = l->x.channels;
    t->places = (pleat_fft_places){ .offset = t->offset,
                                    .first = t->first,
                                    .last = t->last,
                                    .lanes = min(l->lanes, l->count * outputs * inputs - pair),
                                    .row = back_h ? -row : row,
                                    .column = back_w ? -column : column };
    const double n = (double)l->work.side;
    t->places.scale = 1 / (n * n);
    for (int64_t i = 0; i < t->places.lanes; i++) {
        const int64_t o = (pair + i) / inputs, c = (pair + i) % inputs;
        t->offset[i] = o / outputs * group + o % outputs * out + c * in + (back_h ? (l->taps.h - 1) * row : 0) +
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
    const planes *x = &l->x, *y = &l->y;
    const char *bias = l->product->row_bias;
    const int64_t blocks = ceil_div(y->channels, PLEAT_FFT_OUTPUTS);
    for (int64_t i = begin; i < end; i++) {
        const int64_t vector = i / blocks / l->count, group = i / blocks % l->count, o = i % blocks * PLEAT_FFT_OUTPUTS;
        const int64_t pair = (group * y->channels + o) * x->channels;
        tiles t;
        tiles_of(l, y, l->first + vector, &t);
        pleat_kernels_get()->fft->multiply(
            &l->work, spectrum_of(l, x, vector, group * x->channels), x->channels * 2 * l->lanes, l->w + pair * l->size,
            l->pairs, x->channels, min(y->channels - o, PLEAT_FFT_OUTPUTS),
            bias ? bias + (group * l->groups->row_bias[0] + o) * l->size : NULL, l->product->relu, &t.places, y->plane,
            scratch_of(l), (char *)l->product->c.base + (group * y->group + o * y->plane) * l->size);
    }
}

pleat_status pleat_conv_fft(const pleat_product *product, const pleat_product_grid *groups)
{
    plan l = plan_of(product, groups, false);
    const int64_t vectors = min(l.vectors, max(1, STAGE_BYTES / spectra(&l, &l.x, 1)));
    if (set_up(&l, vectors, false) != PLEAT_OK)
        return PLEAT_ENOMEM;
    pleat_parallel_for(l.pairs / l.lanes, 1, turn_kernels, &l);
    for (l.first = 0; l.first < l.vectors; l.first = l.last) {
        l.last = min(l.first + vectors, l.vectors);
        const int64_t all = (l.last - l.first) * l.count;
        pleat_parallel_for(all * l.x.channels, 1, turn_images, &l);
        pleat_parallel_for(all * ceil_div(l.y.channels, PLEAT_FFT_OUTPUTS), 1, make_results, &l);
    }
    pleat_free(l.twiddle);
    return PLEAT_OK;
}

/* ---- By weight ---- */

static void add_up(int64_t begin, int64_t end, void *ctx)
{
    const plan *l = ctx;
    const int64_t x = l->x.channels, y = l->y.channels;
    for (int64_t group = 0; group < l->count; group++)
        pleat_kernels_get()->fft->accumulate(&l->work, spectrum_of(l, &l->x, 0, group * x), x,
                                             spectrum_of(l, &l->y, 0, group * y), y, l->count, l->last - l->first,
                                             begin, end, l->w + group * y * x * l->size, l->pairs);
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
    const int64_t vectors = min(l.vectors, max(1, STAGE_BYTES / (spectra(&l, &l.x, 1) + spectra(&l, &l.y, 1))));
    if (set_up(&l, vectors, true) != PLEAT_OK)
        return PLEAT_ENOMEM;
    pleat_parallel_for(l.frequencies, 1 + (1 << 16) / l.pairs, clear, &l);
    for (l.first = 0; l.first < l.vectors; l.first = l.last) {
        l.last = min(l.first + vectors, l.vectors);
        const int64_t all = (l.last - l.first) * l.count;
        pleat_parallel_for(all * l.x.channels, 1, turn_images, &l);
        pleat_parallel_for(all * l.y.channels, 1, turn_gradients, &l);
        pleat_parallel_for(l.frequencies, 16, add_up, &l);
    }
    pleat_parallel_for(l.pairs / l.lanes, 1, turn_kernels_back, &l);
    pleat_free(l.twiddle);
    return PLEAT_OK;
}
