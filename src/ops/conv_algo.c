/* The table of algorithms for convolutions. */
#include "ops/conv_algo.h"

#include "kernels/direct.h"
#include "ops/conv_direct.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static int forced = -1;

static void read_environment(void)
{
    static const char *const names[] = { "general", "channels", "pixels" };
    const char *name = getenv("PLEAT_CONV_ALGO");
    for (int i = 0; name && i < (int)(sizeof names / sizeof *names); i++)
        if (strcmp(name, names[i]) == 0)
            forced = i;
}

/* A direct convolution copies what the windows of a line span, between its taps as well: far padding or wide steps make
 * that much, or more than a number of bytes can tell. */
static bool direct_fits(const pleat_product *product, int64_t k)
{
    const pleat_patches *p = product->b.source;
    const double rows = (double)(p->taps.h - 1) * fabs((double)p->tap_step.h) + 1;
    const double columns =
        (double)(p->taps.w - 1) * fabs((double)p->tap_step.w) + (double)p->windows.w * (double)p->step.w;
    const double channels = (double)k / (double)(p->taps.h * p->taps.w);
    return rows * columns * channels < 1 << 20;
}

pleat_conv_algo pleat_conv_choose(const pleat_product *product, bool by_weight)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, read_environment);
    const pleat_patches *p = product->b.source;
    const int64_t k = by_weight ? product->n : product->k; /* taps */
    if (product->k == 0 || k == 0 || !direct_fits(product, k))
        return PLEAT_CONV_GENERAL;
    if (forced >= 0)
        return (pleat_conv_algo)forced;

    const int64_t vector = pleat_kernels_get()->direct->vector[product->dtype], m = product->m;
    const int64_t width = p->windows.w, taps = p->taps.h * p->taps.w, step = p->step.h * p->step.w;
    if (taps < step || width < 4) /* most of a copy would not be read, or most of a strip would be missing */
        return PLEAT_CONV_GENERAL;
    if (by_weight) {
        if (product->k < 256) /* few pixels: the sums come and go more than they grow */
            return PLEAT_CONV_GENERAL;
        return m < vector / 4 ? PLEAT_CONV_PIXELS : PLEAT_CONV_CHANNELS;
    }
    if (m < vector || (m == vector && width >= 2 * vector)) /* vectors of channels would not be filled */
        return PLEAT_CONV_PIXELS;
    return k < 48 || taps == 1 ? PLEAT_CONV_PIXELS : PLEAT_CONV_CHANNELS; /* short sums: turning them would show */
}

pleat_status pleat_conv_run(const pleat_product *product, const pleat_product_grid *groups, bool by_weight)
{
    const pleat_conv_algo algo = pleat_conv_choose(product, by_weight);
    if (algo == PLEAT_CONV_GENERAL)
        return pleat_products(product, groups);
    return (by_weight ? pleat_conv_direct_weight : pleat_conv_direct)(product, groups, algo == PLEAT_CONV_CHANNELS);
}
