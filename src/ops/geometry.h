/* What sliding windows have in common: defaults, checks, sizes. The functions fail with an error, prefixed with the
 * name of the op that runs. */
#ifndef PLEAT_OPS_GEOMETRY_H
#define PLEAT_OPS_GEOMETRY_H

#include <pleat/ops.h>

/* A window with its defaults filled in (stride and dilation 1) and its numbers checked. */
pleat_status pleat_window_resolve(const pleat_window *window, pleat_window *resolved);

/* At how many places a resolved window fits on an image: at least one by one. */
pleat_status pleat_window_places(pleat_hw image, const pleat_window *resolved, pleat_hw *places);

/* The other way round, conv_transpose2d's formula: the image that a window covers at so many places, and
 * output_padding more; or the one asked for, where that is not {0, 0}: with less than a stride more. */
pleat_status pleat_window_image(pleat_hw places, const pleat_window *resolved, pleat_hw output_padding, pleat_hw asked,
                                pleat_hw *image);

/* The output_padding that makes the formula above give this image; negative where none does. */
pleat_hw pleat_window_rest(pleat_hw image, const pleat_window *resolved, pleat_hw places);

/* "(3, 5)", for messages. */
pleat_text pleat_hw_text(pleat_hw pair);

#endif
