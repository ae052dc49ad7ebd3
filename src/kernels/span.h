/* Which places of a window's tap lie inside the image. */
#ifndef PLEAT_KERNELS_SPAN_H
#define PLEAT_KERNELS_SPAN_H

#include <stdint.h>

typedef struct {
    int64_t begin, end;
} pleat_span;

/* The x in [0, count) with 0 <= x step + origin < size; step from 1 up. Empty: begin == end. */
static inline pleat_span pleat_inside(int64_t count, int64_t step, int64_t origin, int64_t size)
{
    int64_t begin = origin < 0 ? -origin : 0, end = size > origin ? size - origin : 0;
    if (step > 1) { /* the commonest step does without divisions, which take longer than a row may */
        begin = begin > 0 ? (begin - 1) / step + 1 : 0;
        end = end > 0 ? (end - 1) / step + 1 : 0;
    }
    begin = begin < count ? begin : count;
    end = end < count ? end : count;
    return (pleat_span){ begin, end > begin ? end : begin };
}

#endif
