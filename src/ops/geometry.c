/* The sizes of windows. All arithmetic that a caller's numbers can make overflow is checked here, so that kernels and
 * engines need not. */
#include "ops/geometry.h"

#include "tensor/error.h"

#include <pleat/op.h>

pleat_text pleat_hw_text(pleat_hw pair)
{
    return pleat_shape_text(PLEAT_SHAPE(pair.h, pair.w));
}

/* {0, 0} is {1, 1}. Half a pair is an error, not a guess. */
static pleat_status or_one(const char *what, pleat_hw pair, pleat_hw *out)
{
    *out = pair.h == 0 && pair.w == 0 ? (pleat_hw){ 1, 1 } : pair;
    if (out->h < 1 || out->w < 1)
        return pleat_fail(PLEAT_EINVAL, "%s %s: both must be at least 1, or both 0 for the default", what,
                          pleat_hw_text(pair).text);
    return PLEAT_OK;
}

pleat_status pleat_window_resolve(const pleat_window *window, pleat_window *resolved)
{
    *resolved = *window;
    if (window->kernel.h < 1 || window->kernel.w < 1)
        return pleat_fail(PLEAT_EINVAL, "kernel %s: both must be at least 1", pleat_hw_text(window->kernel).text);
    if (window->padding.h < 0 || window->padding.w < 0)
        return pleat_fail(PLEAT_EINVAL, "padding %s must not be negative", pleat_hw_text(window->padding).text);
    const pleat_status status = or_one("stride", window->stride, &resolved->stride);
    return status == PLEAT_OK ? or_one("dilation", window->dilation, &resolved->dilation) : status;
}

/* dilation (kernel - 1) + 1: what a kernel spans. */
static bool span(int64_t kernel, int64_t dilation, int64_t *out)
{
    return !__builtin_mul_overflow(kernel - 1, dilation, out) && !__builtin_add_overflow(*out, 1, out);
}

/* The engines reach up to size + 3 padding, which has to be a number. */
static bool padded(int64_t size, int64_t padding, int64_t *out)
{
    int64_t most;
    if (__builtin_mul_overflow(padding, 3, &most) || __builtin_add_overflow(most, size, &most))
        return false;
    *out = size + 2 * padding;
    return true;
}

pleat_status pleat_window_places(pleat_hw image, const pleat_window *w, pleat_hw *places)
{
    pleat_hw covers, room;
    if (!span(w->kernel.h, w->dilation.h, &covers.h) || !span(w->kernel.w, w->dilation.w, &covers.w))
        return pleat_fail(PLEAT_ESHAPE, "kernel %s with dilation %s is too large", pleat_hw_text(w->kernel).text,
                          pleat_hw_text(w->dilation).text);
    if (!padded(image.h, w->padding.h, &room.h) || !padded(image.w, w->padding.w, &room.w))
        return pleat_fail(PLEAT_ESHAPE, "padding %s is too large", pleat_hw_text(w->padding).text);
    if (image.h < 0 || image.w < 0 || covers.h > room.h || covers.w > room.w)
        return pleat_fail(PLEAT_ESHAPE, "kernel %s with dilation %s covers %s, the image %s with padding %s has %s",
                          pleat_hw_text(w->kernel).text, pleat_hw_text(w->dilation).text, pleat_hw_text(covers).text,
                          pleat_hw_text(image).text, pleat_hw_text(w->padding).text, pleat_hw_text(room).text);
    *places = (pleat_hw){ (room.h - covers.h) / w->stride.h + 1, (room.w - covers.w) / w->stride.w + 1 };
    return PLEAT_OK;
}

/* (places - 1) stride - 2 padding + span + output_padding; false where a part of it is no number. */
static bool image_size(int64_t places, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation, int64_t extra,
                       int64_t *out)
{
    int64_t covers, steps, twice, sum;
    return span(kernel, dilation, &covers) && !__builtin_mul_overflow(places - 1, stride, &steps) &&
           padded(0, padding, &twice) && !__builtin_add_overflow(steps, covers, &sum) &&
           !__builtin_add_overflow(sum, extra, &sum) && !__builtin_add_overflow(sum, padding, &(int64_t){ 0 }) &&
           !__builtin_sub_overflow(sum, twice, out);
}

/* Whether a size is least, or less than a stride more. */
static bool within(int64_t asked, int64_t least, int64_t stride)
{
    int64_t more;
    return !__builtin_sub_overflow(asked, least, &more) && more >= 0 && more < stride;
}

/* least is the size with no output_padding. */
static pleat_status ask_for(pleat_hw asked, pleat_hw least, pleat_hw places, const pleat_window *w)
{
    const pleat_hw most = { least.h + w->stride.h - 1, least.w + w->stride.w - 1 };
    if (within(asked.h, least.h, w->stride.h) && within(asked.w, least.w, w->stride.w))
        return PLEAT_OK;
    return pleat_fail(PLEAT_EINVAL,
                      "output_size %s must be from %s to %s: input %s, kernel %s, stride %s, padding %s, dilation %s",
                      pleat_hw_text(asked).text, pleat_hw_text(least).text, pleat_hw_text(most).text,
                      pleat_hw_text(places).text, pleat_hw_text(w->kernel).text, pleat_hw_text(w->stride).text,
                      pleat_hw_text(w->padding).text, pleat_hw_text(w->dilation).text);
}

pleat_status pleat_window_image(pleat_hw places, const pleat_window *w, pleat_hw extra, pleat_hw asked, pleat_hw *image)
{
    const bool ask = asked.h != 0 || asked.w != 0;
    if (ask && (extra.h != 0 || extra.w != 0))
        return pleat_fail(PLEAT_EINVAL, "output_size %s and output_padding %s: only one of them",
                          pleat_hw_text(asked).text, pleat_hw_text(extra).text);
    if (extra.h < 0 || extra.w < 0 || (extra.h >= w->stride.h && extra.h >= w->dilation.h) ||
        (extra.w >= w->stride.w && extra.w >= w->dilation.w))
        return pleat_fail(PLEAT_EINVAL, "output_padding %s must not be negative, and be below stride %s or dilation %s",
                          pleat_hw_text(extra).text, pleat_hw_text(w->stride).text, pleat_hw_text(w->dilation).text);
    if (!image_size(places.h, w->kernel.h, w->stride.h, w->padding.h, w->dilation.h, extra.h, &image->h) ||
        !image_size(places.w, w->kernel.w, w->stride.w, w->padding.w, w->dilation.w, extra.w, &image->w) ||
        (ask && (__builtin_add_overflow(image->h, w->stride.h, &(int64_t){ 0 }) ||
                 __builtin_add_overflow(image->w, w->stride.w, &(int64_t){ 0 }))))
        return pleat_fail(PLEAT_ESHAPE,
                          "the size of the result overflows: input %s, kernel %s, stride %s, padding %s, dilation %s",
                          pleat_hw_text(places).text, pleat_hw_text(w->kernel).text, pleat_hw_text(w->stride).text,
                          pleat_hw_text(w->padding).text, pleat_hw_text(w->dilation).text);
    if (ask && ask_for(asked, *image, places, w) != PLEAT_OK)
        return PLEAT_EINVAL;
    if (ask)
        *image = asked;
    if (places.h < 1 || places.w < 1 || image->h < 1 || image->w < 1)
        return pleat_fail(PLEAT_ESHAPE, "input %s with kernel %s, stride %s, padding %s, dilation %s gives size %s",
                          pleat_hw_text(places).text, pleat_hw_text(w->kernel).text, pleat_hw_text(w->stride).text,
                          pleat_hw_text(w->padding).text, pleat_hw_text(w->dilation).text, pleat_hw_text(*image).text);
    return PLEAT_OK;
}

pleat_hw pleat_window_rest(pleat_hw image, const pleat_window *w, pleat_hw places)
{
    return (pleat_hw){
        image.h + 2 * w->padding.h - w->dilation.h * (w->kernel.h - 1) - 1 - (places.h - 1) * w->stride.h,
        image.w + 2 * w->padding.w - w->dilation.w * (w->kernel.w - 1) - 1 - (places.w - 1) * w->stride.w,
    };
}

pleat_hw pleat_window_output_size(pleat_hw image, const pleat_window *window)
{
    pleat_hw places = { -1, -1 };
    pleat_window resolved;
    const char *before = pleat_context("window_output_size");
    if (!window)
        pleat_fail(PLEAT_EINVAL, "no window was given");
    else if (pleat_pending() == PLEAT_OK && pleat_window_resolve(window, &resolved) == PLEAT_OK)
        pleat_window_places(image, &resolved, &places);
    pleat_context(before);
    return places;
}
