/* What unfold and fold share: their parameters, and the kernel's description of a call. */
#ifndef PLEAT_OPS_WINDOW_OP_H
#define PLEAT_OPS_WINDOW_OP_H

#include "kernels/window.h"
#include "ops/geometry.h"

typedef struct {
    pleat_window window; /* as given */
    pleat_hw size;       /* fold's */
} pleat_window_params;

typedef struct {
    pleat_window_work work;
    const void *from;
    void *to;
} pleat_window_job;

/* images is (N, C, H, W) or (C, H, W); infer has seen to it that the window fits. */
static inline pleat_window_job pleat_window_job_of(const pleat_window_params *params, const pleat_tensor *images,
                                                   pleat_hw size)
{
    pleat_window w = { 0 };
    pleat_hw places = { 0, 0 };
    pleat_window_resolve(&params->window, &w);
    pleat_window_places(size, &w, &places);
    const int64_t planes =
        pleat_ndim(images) == 4 ? pleat_size(images, 0) * pleat_size(images, 1) : pleat_size(images, 0);
    return (pleat_window_job){ .work = { .dtype = pleat_dtype_of(images),
                                         .planes = planes,
                                         .image = size,
                                         .kernel = w.kernel,
                                         .stride = w.stride,
                                         .padding = w.padding,
                                         .dilation = w.dilation,
                                         .windows = places } };
}

/* Rows a chunk: some 16,384 elements, whatever the number of threads. */
static inline int64_t pleat_window_grain(int64_t work)
{
    return work < 16384 ? 16384 / work : 1;
}

#endif
