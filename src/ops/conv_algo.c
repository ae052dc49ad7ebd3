/* The table of algorithms for convolutions. */
#include "ops/conv_algo.h"

#include "kernels/direct.h"
#include "ops/conv_direct.h"
#include "ops/conv_fft.h"
#include "ops/conv_winograd.h"

#include <pleat/ops.h>

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    LARGE_KERNEL = 49, /* taps */
    LONG_ROW = 2048,   /* pixels: of a vector's groups some of them would not stay in the cache */
    MANY_ROWS = 128,   /* of a product pay for packing windows of one pixel */
};

static int forced = -1;
static atomic_bool exact;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void read_environment(void)
{
    static const char *const names[] = { "general", "channels", "pixels", "groups", "winograd4", "winograd2", "fft" };
    const char *wanted = getenv("PLEAT_CONV_EXACT");
    atomic_store(&exact, wanted && strcmp(wanted, "1") == 0);
    const char *name = getenv("PLEAT_CONV_ALGO");
    for (int i = 0; name && i < (int)(sizeof names / sizeof *names); i++)
        if (strcmp(name, names[i]) == 0)
            forced = i;
}

bool pleat_conv_is_forced(void)
{
    pthread_once(&once, read_environment);
    return forced >= 0;
}

void pleat_conv_set_exact(bool on)
{
    pthread_once(&once, read_environment);
    atomic_store(&exact, on);
}

bool pleat_conv_exact(void)
{
    pthread_once(&once, read_environment);
    return atomic_load(&exact);
}

/* A direct convolution writes whole images, and copies what the windows of a line span, between its taps as well: far
 * padding or wide steps make that much, or more than a number of bytes can tell. */
static bool direct_fits(const pleat_product *product, pleat_hw phases, bool by_weight)
{
    const pleat_patches *first = product->b.source;
    if (phases.h * phases.w > PLEAT_DIRECT_PHASES || first->step.w > PLEAT_DIRECT_PHASES ||
        (!by_weight && product->c.column != phases.w))
        return false;
    for (int64_t i = 0; i < phases.h * phases.w; i++) {
        const pleat_patches *p = product[i].b.source;
        const double rows = (double)(p->taps.h - 1) * fabs((double)p->tap_step.h) + 1;
        const double columns =
            (double)(p->taps.w - 1) * fabs((double)p->tap_step.w) + (double)p->windows.w * (double)p->step.w;
        const double taps = (double)(p->taps.h * p->taps.w);
        if (taps > 0 && rows * columns * (double)(by_weight ? product->n : product[i].k) / taps >= 1 << 20)
            return false;
    }
    return true;
}

/* 3 x 3 adjacent pixels, and windows that fill vectors or most of one: of one channel, lines share what they read. */
static bool are_neighbours(const pleat_patches *p, pleat_hw phases, int64_t vector)
{
    return phases.h * phases.w == 1 && p->taps.h == 3 && p->taps.w == 3 && p->step.h == 1 && p->step.w == 1 &&
           llabs(p->tap_step.h) == 1 && llabs(p->tap_step.w) == 1 &&
           (p->windows.w >= vector || pleat_is_narrow(p, vector));
}

pleat_conv_algo pleat_conv_choose(const pleat_product *product, pleat_hw phases, int64_t groups, bool by_weight)
{
    const bool is_forced = pleat_conv_is_forced();
    const pleat_patches *p = product->b.source;
    const int64_t taps = p->taps.h * p->taps.w;
    int64_t k = 0, all = 0; /* taps of all phases, of all channels and of one */
    for (int64_t i = 0; i < phases.h * phases.w; i++) {
        const pleat_patches *f = product[i].b.source;
        k += by_weight ? product->n : product[i].k;
        all += f->taps.h * f->taps.w;
    }
    if (product->n == 0 || k == 0 || product->m == 0 || (by_weight && product->k == 0))
        return PLEAT_CONV_GENERAL;
    const bool fft = pleat_fft_fits(product, phases, by_weight);
    if (fft && (is_forced ? forced == PLEAT_CONV_FFT
                          : !atomic_load(&exact) && taps >= LARGE_KERNEL && pleat_fft_cost(product, by_weight) < 1))
        return PLEAT_CONV_FFT;
    const bool direct = direct_fits(product, phases, by_weight);
    const bool winograd = pleat_winograd_fits(product, phases, by_weight);
    const bool depthwise = product->m == 1 && k == all;
    const bool can =
        forced == PLEAT_CONV_GROUPS ? depthwise : forced < PLEAT_CONV_GROUPS || (forced != PLEAT_CONV_FFT && winograd);
    if (is_forced && can)
        return forced <= PLEAT_CONV_GROUPS && !direct ? PLEAT_CONV_GENERAL : (pleat_conv_algo)forced;
    const double cost4 = winograd && !atomic_load(&exact) ? pleat_winograd_cost(product, by_weight, 4) : 1;
    const double cost2 = winograd ? pleat_winograd_cost(product, by_weight, 2) : 1;
    if (cost4 < 1 || cost2 < 1)
        return cost4 <= cost2 ? PLEAT_CONV_WINOGRAD4 : PLEAT_CONV_WINOGRAD2;
    if (!direct)
        return PLEAT_CONV_GENERAL;

    const int64_t vector = pleat_kernels_get()->direct->vector[product->dtype], m = product->m;
    const int64_t width = p->windows.w, step = p->step.h * p->step.w;
    if (depthwise && groups >= vector / 2 && p->size.w <= LONG_ROW && !are_neighbours(p, phases, vector))
        return PLEAT_CONV_GROUPS;
    /* most of a copy would not be read, or most of a strip would be missing */
    if ((taps > 1 && taps < step) || width < 4)
        return PLEAT_CONV_GENERAL;
    if (by_weight) {
        const bool fills = 4 * width >= 3 * ((width + vector - 1) / vector * vector);
        if (m < vector / 4 || (m < 4 && fills) || pleat_conv_is_square(product))
            return PLEAT_CONV_PIXELS;
        return product->k < 256 && m * product->n > 1 << 17
                   ? PLEAT_CONV_GENERAL /* few pixels, many weights: the sums come and go more than they grow */
                   : PLEAT_CONV_CHANNELS;
    }
    if (all == 1 && m >= MANY_ROWS)
        return PLEAT_CONV_GENERAL;
    if (m < vector || (m == vector && width >= 2 * vector)) /* vectors of channels would not be filled */
        return PLEAT_CONV_PIXELS;
    return k < 48 ? PLEAT_CONV_PIXELS : PLEAT_CONV_CHANNELS; /* short sums: turning them would show */
}

/* Patches are read in runs: of a tap in consecutive windows, or of a window's consecutive taps where these lie together
 * and the windows do not. Seen so, windows and taps change places. */
static pleat_status general(const pleat_product *product, const pleat_product_grid *groups, bool by_weight)
{
    const struct pleat_conv_kernels *kernels = pleat_kernels_get()->conv;
    const pleat_patches *p = product->b.source;
    const pleat_patches turned = { .size = p->size,
                                   .windows = p->taps,
                                   .step = p->tap_step,
                                   .origin = p->origin,
                                   .taps = p->windows,
                                   .tap_step = p->step,
                                   .channel = p->image,
                                   .image = p->channel };
    pleat_product t = *product;
    if (p->tap_step.w == 1 && p->step.w > 1 && p->taps.w >= 8) {
        t.b.pack = (by_weight ? kernels->pack_windows : kernels->pack_taps)[t.dtype];
        t.b.source = &turned;
    }
    return pleat_products(&t, groups);
}

static pleat_direct_over over(pleat_conv_algo algo)
{
    return algo == PLEAT_CONV_GROUPS     ? PLEAT_OVER_GROUPS
           : algo == PLEAT_CONV_CHANNELS ? PLEAT_OVER_CHANNELS
                                         : PLEAT_OVER_PIXELS;
}

pleat_status pleat_conv_run_weight(const pleat_product *product, const pleat_product_grid *groups, void **totals)
{
    const pleat_conv_algo algo = pleat_conv_choose(product, (pleat_hw){ 1, 1 }, groups->size[0], true);
    if (algo == PLEAT_CONV_FFT)
        return pleat_conv_fft_weight(product, groups);
    if (algo == PLEAT_CONV_GENERAL)
        return general(product, groups, true);
    void *to = *totals;
    *totals = NULL;
    if (algo == PLEAT_CONV_WINOGRAD4 || algo == PLEAT_CONV_WINOGRAD2)
        return pleat_conv_winograd_weight(product, groups, algo == PLEAT_CONV_WINOGRAD4 ? 4 : 2, to);
    return pleat_conv_direct_weight(product, groups, over(algo), to);
}

pleat_status pleat_conv_run(const pleat_product *product, pleat_hw phases, const pleat_product_grid *groups)
{
    const pleat_conv_algo algo = pleat_conv_choose(product, phases, groups->size[0], false);
    if (algo == PLEAT_CONV_WINOGRAD4 || algo == PLEAT_CONV_WINOGRAD2)
        return pleat_conv_winograd(product, groups, algo == PLEAT_CONV_WINOGRAD4 ? 4 : 2);
    if (algo == PLEAT_CONV_FFT)
        return pleat_conv_fft(product, groups);
    if (algo != PLEAT_CONV_GENERAL)
        return pleat_conv_direct(product, phases, groups, over(algo));
    pleat_status status = PLEAT_OK;
    for (int64_t i = 0; i < phases.h * phases.w && status == PLEAT_OK; i++)
        status = general(product + i, groups, false);
    return status;
}
