/* The general entry of the convolution engine, which takes any shape: matrix products whose patches are packed straight
 * from the image, a group each.
 *
 *   forward     y (O x N OH OW)       = w (O x C KH KW)        patches of x (C KH KW x N OH OW)
 *   by weight   dw (O x C KH KW)      = dy (O x N OH OW)       patches of x, turned
 *   by data     dx (C x N H' W')      = w (C x O KH' KW')      patches of dy, for each phase
 *
 * By data with a stride: a pixel in row r is read by tap i of window p where r = p SH + i DH - PH. So all pixels with
 * one remainder of r / SH meet the same taps, every SH/gcd(SH, DH)-th, and walking such pixels in steps of SH moves p
 * in steps of one. A pair of remainders is a phase: a convolution of dy of stride 1 with its own taps, turned round,
 * whose results lie a stride apart in dx. The phases share out the multiplications; no zero is multiplied and nothing
 * is scattered. Up to 16 phases are handed over together, so that an algorithm may share what they read and write whole
 * lines; of more each is on its own.
 *
 * Kernels of one pixel, windows that are the whole image, and many phases of windows side by side need no patches: they
 * are products of matrices as they lie. Of pixels that kernels of one pixel take with a stride a copy is made first. */
#include "ops/conv_core.h"

#include "kernels/conv.h"
#include "kernels/copy.h"
#include "ops/conv_algo.h"
#include "ops/integers.h"
#include "tensor/memory.h"

#include <pleat/parallel.h>

#include <string.h>

enum { FEW_PIXELS = 64 };

static const pleat_hw one = { 1, 1 };

/* Kernels of one element that take every pixel. */
static bool takes_each(const pleat_conv_shape *s)
{
    return s->kernel.h == 1 && s->kernel.w == 1 && s->stride.h == 1 && s->stride.w == 1 && s->padding.h == 0 &&
           s->padding.w == 0 && s->out.h == s->image.h && s->out.w == s->image.w;
}

static bool has_channels(const pleat_conv_shape *s)
{
    return s->c / s->groups >= 16 && s->o / s->groups >= 16 && !pleat_conv_is_forced();
}

/* They are products of matrices as they lie: by weight all images are one. Not for few channels, whose tiles would be
 * mostly empty. */
static bool is_pointwise(const pleat_conv_shape *s)
{
    return takes_each(s) && has_channels(s);
}

/* Forward and by data an image of a group each, of no few pixels. */
static bool is_imagewise(const pleat_conv_shape *s)
{
    return is_pointwise(s) && s->image.h * s->image.w >= FEW_PIXELS;
}

/* Of few pixels they make one line, which is cut less often. */
static pleat_conv_shape in_one_line(const pleat_conv_shape *s)
{
    pleat_conv_shape t = *s;
    if (takes_each(s) && s->image.h * s->image.w < FEW_PIXELS)
        t.image = t.out = (pleat_hw){ 1, s->image.h * s->image.w };
    return t;
}

/* Such kernels that take every few pixels: of pixels that were taken out they take each. */
static bool takes_some(const pleat_conv_shape *s)
{
    return s->kernel.h == 1 && s->kernel.w == 1 && (s->stride.h > 1 || s->stride.w > 1) && s->padding.h == 0 &&
           s->padding.w == 0 && (s->out.h - 1) * s->stride.h < s->image.h &&
           (s->out.w - 1) * s->stride.w < s->image.w && s->n * s->out.h * s->out.w > 0 && has_channels(s);
}

static pleat_conv_shape of_some(const pleat_conv_shape *s)
{
    pleat_conv_shape t = *s;
    t.image = s->out;
    t.stride = one;
    return t;
}

typedef struct {
    pleat_copy_work copy;
    int64_t bytes; /* of a plane that is cleared first, or 0 */
} some_pixels;

static void copy_some(int64_t begin, int64_t end, void *ctx)
{
    const some_pixels *w = ctx;
    const int64_t each = w->copy.dim[1] * w->copy.dim[2];
    if (w->bytes)
        memset((char *)w->copy.to + begin * w->bytes, 0, (size_t)((end - begin) * w->bytes));
    pleat_kernels_get()->copy->copy(&w->copy, begin * each, end * each);
}

/* The pixels that are taken: out of x, or into x, whose others are zeros then. */
static void move_some(const pleat_conv_shape *s, const void *from, void *to, bool into)
{
    const int64_t plane = s->image.h * s->image.w, x[3] = { plane, s->stride.h * s->image.w, s->stride.w },
                  some[3] = { s->out.h * s->out.w, s->out.w, 1 };
    some_pixels w = { .copy = { .ndim = 3,
                                .dim = { s->n * s->c, s->out.h, s->out.w },
                                .to = to,
                                .from = from,
                                .to_dtype = s->dtype,
                                .from_dtype = s->dtype },
                      .bytes = into ? plane * size_of(s->dtype) : 0 };
    memcpy(w.copy.to_stride, into ? x : some, sizeof x);
    memcpy(w.copy.from_stride, into ? some : x, sizeof x);
    pleat_parallel_for(s->n * s->c, 1 + 16384 / plane, copy_some, &w);
}

/* Memory for them, and they themselves. The caller's to free; NULL is no memory. */
static void *some_of(const pleat_conv_shape *s, const void *x)
{
    void *some = pleat_alloc((size_t)(s->n * s->c * s->out.h * s->out.w * size_of(s->dtype)));
    if (some && x)
        move_some(s, x, some, false);
    return some;
}

/* y (M of a group, pixels) = weight (M, K) x (K of a group, pixels) + bias, where the weight has these strides. */
static pleat_status pointwise(const pleat_conv_shape *s, int64_t m, int64_t k, const void *x, const void *weight,
                              int64_t row, int64_t column, const void *bias, void *y)
{
    const pleat_pack_fn pack = pleat_kernels_get()->gemm->pack_matrix[s->dtype];
    const int64_t pixels = s->image.h * s->image.w;
    const pleat_product product = {
        .dtype = s->dtype,
        .m = m,
        .n = pixels,
        .k = k,
        .a = { pack, weight, .lane = row, .step = { 0, 0, column }, .size = { 1, k } },
        .b = { pack, x, .lane = 1, .step = { 0, 0, pixels }, .size = { 1, k } },
        .c = { y, .row = pixels, .column = 1, .width = pixels, .height = 1 },
        .row_bias = bias,
        .relu = s->relu,
    };
    const pleat_product_grid images = { .dims = 2,
                                        .size = { s->groups, s->n },
                                        .a = { m * k },
                                        .b = { k * pixels, s->groups * k * pixels },
                                        .c = { m * pixels, s->groups * m * pixels },
                                        .row_bias = { m } };
    return pleat_products(&product, &images);
}

/* Windows that lie side by side, with no pixel between them, in two of them or in none: patches are then the image,
 * rearranged. One group. */
static bool is_tiled(const pleat_conv_shape *s)
{
    return s->groups == 1 && s->padding.h == 0 && s->padding.w == 0 && (s->dilation.h == 1 || s->kernel.h == 1) &&
           (s->dilation.w == 1 || s->kernel.w == 1) && (s->stride.h == s->kernel.h || s->out.h == 1) &&
           (s->stride.w == s->kernel.w || s->out.w == 1) && s->image.h == s->out.h * s->kernel.h &&
           s->image.w == s->out.w * s->kernel.w && !pleat_conv_is_forced();
}

/* One such window an image: a linear layer's products. */
static bool is_linear(const pleat_conv_shape *s)
{
    return is_tiled(s) && s->out.h == 1 && s->out.w == 1;
}

/* Of x: what forward multiplies the weight by, and by weight the output gradient. */
static pleat_patches patches_of(const pleat_conv_shape *s)
{
    const int64_t plane = s->image.h * s->image.w;
    return (pleat_patches){ .size = s->image,
                            .windows = s->out,
                            .step = s->stride,
                            .origin = { -s->padding.h, -s->padding.w },
                            .taps = s->kernel,
                            .tap_step = s->dilation,
                            .channel = plane,
                            .image = s->c * plane };
}

pleat_status pleat_conv_forward(const pleat_conv_shape *shape, const void *x, const void *weight, const void *bias,
                                void *y)
{
    if (takes_some(shape)) {
        const pleat_conv_shape each = of_some(shape);
        void *some = some_of(shape, x);
        const pleat_status status = some ? pleat_conv_forward(&each, some, weight, bias, y) : PLEAT_ENOMEM;
        pleat_free(some);
        return status;
    }
    const pleat_conv_shape lines = in_one_line(shape), *s = &lines;
    const pleat_kernels *kernels = pleat_kernels_get();
    const int64_t c = s->c / s->groups, o = s->o / s->groups, taps = c * s->kernel.h * s->kernel.w;
    if (is_imagewise(s))
        return pointwise(s, o, c, x, weight, c, 1, bias, y);
    if (is_linear(s))
        return pleat_gemm(&(pleat_gemm_work){ .dtype = s->dtype,
                                              .m = s->n,
                                              .n = o,
                                              .k = taps,
                                              .a = x,
                                              .a_row = taps,
                                              .a_col = 1,
                                              .b = weight,
                                              .b_row = 1,
                                              .b_col = taps,
                                              .c = y,
                                              .c_row = o,
                                              .c_col = 1,
                                              .col_bias = bias,
                                              .relu = s->relu });
    const int64_t plane = s->image.h * s->image.w, pixels = s->out.h * s->out.w;
    const pleat_patches patches = patches_of(s);
    const pleat_product product = {
        .dtype = s->dtype,
        .m = o,
        .n = s->n * pixels,
        .k = taps,
        .a = { kernels->gemm->pack_matrix[s->dtype], weight, .lane = taps, .step = { 0, 0, 1 }, .size = { 1, taps } },
        .b = { kernels->conv->pack_windows[s->dtype], x, .source = &patches },
        .c = { .base = y,
               .row = pixels,
               .column = 1,
               .line = s->out.w,
               .image = s->o * pixels,
               .width = s->out.w,
               .height = s->out.h },
        .row_bias = bias,
        .relu = s->relu,
    };
    const pleat_product_grid groups = {
        .dims = 1, .size = { s->groups }, .a = { o * taps }, .b = { c * plane }, .c = { o * pixels }, .row_bias = { o }
    };
    return pleat_conv_run(&product, one, &groups);
}

/* Along one dimension, the pixels with one remainder: how many, and the taps that meet them. */
typedef struct {
    int64_t pixels;
    int64_t first, step, taps; /* taps first, first + step, ... */
    int64_t origin,
        tap_step; /* the window in which the first tap meets the first pixel, and how the next taps' go on */
} phase;

static phase phase_of(int64_t remainder, int64_t size, int64_t stride, int64_t kernel, int64_t dilation,
                      int64_t padding)
{
    int64_t a = stride, b = dilation % stride;
    while (b) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    phase f = { .pixels = (size - remainder - 1) / stride + 1, .step = stride / a, .tap_step = -(dilation / a) };
    while (f.first < min(f.step, kernel) && (remainder + padding - f.first * dilation) % stride)
        f.first++;
    if (f.first < min(f.step, kernel)) {
        f.taps = (kernel - f.first - 1) / f.step + 1;
        f.origin = (remainder + padding - f.first * dilation) / stride;
    }
    return f;
}

/* By data where windows are tiles: a row of windows at a time, or all images' only ones, by all taps at once. */
static pleat_status tiles(const pleat_conv_shape *s, const void *dy, const void *weight, const void *bias, void *dx)
{
    const pleat_pack_fn pack = pleat_kernels_get()->gemm->pack_matrix[s->dtype];
    const int64_t plane = s->image.h * s->image.w, pixels = s->out.h * s->out.w, size = size_of(s->dtype),
                  each = s->kernel.h * s->kernel.w, taps = s->c * each;
    const bool only = pixels == 1;
    char *biases = bias ? pleat_alloc((size_t)(taps * size)) : NULL;
    if (bias && !biases)
        return PLEAT_ENOMEM;
    for (int64_t t = 0; bias && t < taps; t++)
        memcpy(biases + t * size, (const char *)bias + t / each * size, (size_t)size);
    const pleat_product product = {
        .dtype = s->dtype,
        .m = only ? s->n : s->out.w,
        .n = taps,
        .k = s->o,
        .a = { pack, dy, .lane = only ? s->o : 1, .step = { 0, 0, pixels }, .size = { 1, s->o } },
        .b = { pack, weight, .lane = 1, .step = { 0, 0, taps }, .size = { 1, s->o } },
        .c = { .base = dx,
               .row = only ? taps : s->kernel.w,
               .column = 1,
               .line = s->image.w,
               .image = plane,
               .width = s->kernel.w,
               .height = s->kernel.h },
        .col_bias = biases,
        .relu = s->relu,
    };
    const pleat_product_grid rows = { .dims = 2,
                                      .size = { only ? 1 : s->n, s->out.h },
                                      .a = { s->o * pixels, s->out.w },
                                      .c = { s->c * plane, s->kernel.h * s->image.w } };
    const pleat_status status = pleat_products(&product, &rows);
    pleat_free(biases);
    return status;
}

pleat_status pleat_conv_by_data(const pleat_conv_shape *shape, const void *dy, const void *weight, const void *bias,
                                void *dx)
{
    if (takes_some(shape) && !bias) { /* the pixels that are not taken are zeros */
        const pleat_conv_shape each = of_some(shape);
        void *some = some_of(shape, NULL);
        const pleat_status status = some ? pleat_conv_by_data(&each, dy, weight, NULL, some) : PLEAT_ENOMEM;
        if (status == PLEAT_OK)
            move_some(shape, some, dx, true);
        pleat_free(some);
        return status;
    }
    const pleat_conv_shape lines = in_one_line(shape), *s = &lines;
    const pleat_kernels *kernels = pleat_kernels_get();
    const int64_t c = s->c / s->groups, o = s->o / s->groups, taps = s->kernel.h * s->kernel.w;
    const int64_t plane = s->image.h * s->image.w, pixels = s->out.h * s->out.w, size = size_of(s->dtype);
    if (is_imagewise(s))
        return pointwise(s, c, o, dy, weight, 1, c, bias, dx);
    enum { TOGETHER = 16 };
    const pleat_hw phases = { min(s->stride.h, s->image.h), min(s->stride.w, s->image.w) };
    const bool together = phases.h <= TOGETHER && phases.w <= TOGETHER && phases.h * phases.w <= TOGETHER;
    if (is_tiled(s) && (!together || pixels == 1))
        return tiles(s, dy, weight, bias, dx);
    const pleat_product_grid groups = { .dims = 1,
                                        .size = { s->groups },
                                        .a = { o * c * taps },
                                        .b = { o * pixels },
                                        .c = { c * plane },
                                        .row_bias = { c } };
    pleat_patches patches[TOGETHER];
    pleat_product product[TOGETHER];
    int64_t count = 0;
    for (int64_t i = 0; i < phases.h; i++)
        for (int64_t j = 0; j < phases.w; j++) {
            const phase h = phase_of(i, s->image.h, s->stride.h, s->kernel.h, s->dilation.h, s->padding.h);
            const phase w = phase_of(j, s->image.w, s->stride.w, s->kernel.w, s->dilation.w, s->padding.w);
            patches[count] = (pleat_patches){
                .size = s->out,
                .windows = { h.pixels, w.pixels },
                .step = { 1, 1 },
                .origin = { h.origin, w.origin },
                .taps = { h.taps, w.taps },
                .tap_step = { h.tap_step, w.tap_step },
                .channel = pixels,
                .image = s->o * pixels,
            };
            product[count] = (pleat_product){
                .dtype = s->dtype,
                .m = c,
                .n = s->n * h.pixels * w.pixels,
                .k = o * h.taps * w.taps,
                .a = { kernels->gemm->pack_matrix[s->dtype],
                       (const char *)weight + (h.first * s->kernel.w + w.first) * size, .lane = taps,
                       .step = { c * taps, h.step * s->kernel.w, w.step }, .size = { h.taps, w.taps } },
                .b = { kernels->conv->pack_windows[s->dtype], dy, .source = &patches[count] },
                .c = { .base = (char *)dx + (i * s->image.w + j) * size,
                       .row = plane,
                       .column = s->stride.w,
                       .line = s->stride.h * s->image.w,
                       .image = s->c * plane,
                       .width = w.pixels,
                       .height = h.pixels },
                .row_bias = bias,
                .relu = s->relu,
            };
            if (together && ++count < phases.h * phases.w)
                continue;
            const pleat_status status = pleat_conv_run(product, together ? phases : one, &groups);
            if (status)
                return status;
        }
    return PLEAT_OK;
}

pleat_status pleat_conv_by_weight(const pleat_conv_shape *shape, const void *x, const void *dy, void *dw, void **totals)
{
    if (takes_some(shape)) {
        const pleat_conv_shape each = of_some(shape);
        void *some = some_of(shape, x);
        const pleat_status status = some ? pleat_conv_by_weight(&each, some, dy, dw, totals) : PLEAT_ENOMEM;
        pleat_free(some);
        return status;
    }
    const pleat_conv_shape lines = in_one_line(shape), *s = &lines;
    const pleat_kernels *kernels = pleat_kernels_get();
    const int64_t c = s->c / s->groups, o = s->o / s->groups, taps = c * s->kernel.h * s->kernel.w;
    const int64_t plane = s->image.h * s->image.w, pixels = s->out.h * s->out.w;
    if (is_linear(s))
        return pleat_gemm(&(pleat_gemm_work){ .dtype = s->dtype,
                                              .m = o,
                                              .n = taps,
                                              .k = s->n,
                                              .a = dy,
                                              .a_row = 1,
                                              .a_col = o,
                                              .b = x,
                                              .b_row = taps,
                                              .b_col = 1,
                                              .c = dw,
                                              .c_row = taps,
                                              .c_col = 1 });
    const pleat_patches patches = patches_of(s);
    pleat_product product = {
        .dtype = s->dtype,
        .m = o,
        .n = taps,
        .k = s->n * pixels,
        .a = { kernels->gemm->pack_matrix[s->dtype], dy, .lane = pixels, .step = { 0, s->o * pixels, 1 },
               .size = { s->n, pixels } },
        .b = { kernels->conv->pack_taps[s->dtype], x, .source = &patches },
        .c = { dw, taps, 1, .width = taps, .height = 1 },
    };
    const pleat_product_grid groups = {
        .dims = 1, .size = { s->groups }, .a = { o * pixels }, .b = { c * plane }, .c = { o * taps }
    };
    if (!is_pointwise(s))
        return pleat_conv_run_weight(&product, &groups, totals);
    product.b = product.a;
    product.b.base = x;
    product.b.step[1] = s->c * plane;
    return pleat_products(&product, &groups);
}
