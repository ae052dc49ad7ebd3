/* Direct convolutions, and their gradients by the weight, of one chunk: a band of windows of one image, from a padded
 * copy of the rows that it reads.
 *
 * The copy holds, for each channel, the band's rows from the first tap's to the last tap's, zeros where they leave the
 * image. With a step of windows above 1 a row's columns are sorted by their remainder, so that a tap's pixels for
 * neighbouring windows are always neighbours; of columns and rows that no tap reads there is no copy (`every`):
 *
 *      row, step 1:  0 1 2 3 4 5 6 ...        step 2:  0 2 4 6 ... 1 3 5 7 ...
 *
 * Over channels there is none where no window leaves the image at its sides, as pixels are broadcast, from wherever
 * they are: rows of taps that lie above or below it add nothing, and lines of windows go without them.
 *
 * A tap is then no more than an offset into the copy: any kernel, dilation and direction is one table of offsets, and
 * the sums run over it in order. By data with a stride (conv_core.c) there are several tables, one for each phase: the
 * phases take turns at the copy, and their results are woven into whole lines. Three ways of laying the results out in
 * vectors:
 *
 *   channels  a vector holds output channels of one pixel. Packed weights are the vectors, pixels are broadcast: for a
 *             strip of up to 14 pixels by two vectors all sums stay in registers. Where lines are short strips go on
 *             in the next. Turned into planes at the end.
 *   pixels    a vector holds pixels of one output channel; weights are broadcast. For few output channels. Ends of two
 *             lines share a vector where they are half of one at most. With only one channel, a column of taps at a
 *             time goes down up to 16 lines, or 8 of two vectors, so that a pixel once read serves all of its taps.
 *   groups    a vector holds one pixel of as many groups, each of one channel in and one out, and so do the weights and
 *             the copy, which images are turned into. Columns stay where they are: every step reads whole vectors.
 *
 * By weight there are the same three. Channels: the output gradient is turned, so that a vector holds channels of one
 * pixel, and each tap's pixel is broadcast; up to ten taps by two vectors stay in registers while the band is walked.
 * Pixels: vectors of pixels of a few taps times vectors of pixels of a few channels, their elements added up last. From
 * one channel of the image, squares of 3 or 5 taps a side, or as many columns of theirs as there are registers for,
 * stay there while a plane of the gradient is walked. Groups: as channels, with a pixel for each lane. */
#ifndef PLEAT_KERNELS_DIRECT_H
#define PLEAT_KERNELS_DIRECT_H

#include "kernels/conv.h"
#include "kernels/span.h"

#include <string.h>

#define PLEAT_DIRECT_PHASES 16 /* at most */

/* What neighbouring elements of a vector are. */
typedef enum { PLEAT_OVER_CHANNELS, PLEAT_OVER_PIXELS, PLEAT_OVER_GROUPS } pleat_direct_over;

/* Windows (y, x) of phase (h, w) make pixel (y phases.h + h, x phases.w + w) of the result. */
typedef struct {
    const pleat_patches *patches;
    int64_t k;               /* taps (c, i, j), or, by rows, (i, c, j) */
    int64_t row;             /* of them that are a row of the kernel in all channels; by rows they are neighbours */
    const int64_t *offset;   /* of each into the copy */
    const pleat_span *terms; /* of each line of the first phase's windows: over channels, and by rows */
    int64_t weights;         /* where its own begin among the packed ones, in elements */
} pleat_direct_phase;

typedef struct {
    pleat_dtype dtype;
    pleat_direct_over over;
    const pleat_patches *patches; /* of the first phase: the image, and the step of all */
    int64_t channels;             /* of the image */
    int64_t m;                    /* output channels */
    bool depthwise;               /* each is made from a channel of its own: pixels (width 1) and groups */
    pleat_hw phases;              /* numbers of, and they themselves, row by row; by weight there is one */
    const pleat_direct_phase *phase;
    pleat_target c;   /* of whole images: only base, the strides row and image, and width count */
    const void *bias; /* m elements, or NULL */
    bool relu;        /* of the result */
    int64_t lines;    /* of windows, of a band at most */
    pleat_hw low;     /* the row and column of the smallest that the taps of windows (0, 0) read */
    pleat_hw every;   /* rows and columns that are copied */
    pleat_hw step;    /* of windows in the copy */
    bool by_rows;     /* windows leave the image above or below: rows of taps that do are left out (not over groups) */
    bool in_place;    /* nothing that is read leaves the image, which then serves as the copy, unsorted (channels) */
    int64_t rows, pitch, parts, part,
        plane;           /* of the copy: rows of a band, a row's elements, its remainders, those of one; a channel's */
    int64_t shift;       /* where it begins, so that the image's rows begin where cache lines do */
    const void *weights; /* packed by the operand of the weights, in panels of `width` output channels */
    int64_t width;
    int64_t lanes;  /* by weight: the parts that each sum is kept in until the end. A vector's, for one channel and */
                    /* squares of taps (pixels, width 1), or 1 */
    int64_t totals; /* by weight: where those of the output gradient lie, behind the sums: as many as for one tap */
} pleat_direct_work;

struct pleat_direct_kernels {
    int64_t vector[PLEAT_F64 + 1]; /* elements of a vector, by dtype. work->width is one or two for channels, */
                                   /* 1 to 4 or 6 for pixels */
    /* Bytes of 64-byte aligned scratch memory for a chunk. */
    int64_t (*scratch)(const pleat_direct_work *work);
    /* By `over`: output channels o to o_end - 1 (o a multiple of width) of the phases' lines y to y_end - 1 of image n,
     * which is at image. */
    void (*run[PLEAT_OVER_GROUPS + 1])(const pleat_direct_work *work, const void *image, int64_t n, int64_t y,
                                       int64_t y_end, int64_t o, int64_t o_end, void *scratch);
    /* By weight, on the same chunk: sums[panel][k][width], or [panel][k][lanes], and the channels' totals of the output
     * gradient, or adds to them. The gradient's lines must follow one another. */
    void (*weight[PLEAT_OVER_GROUPS + 1])(const pleat_direct_work *work, const void *image, int64_t n, int64_t y,
                                          int64_t y_end, int64_t o, int64_t o_end, bool add, void *sums, void *scratch);
    /* Output channels o to o_end - 1 of the m x k gradient and, unless that is NULL, of the totals: the slices' sums,
     * `slice` elements apart, added up in order where the first are. */
    void (*add_slices)(const pleat_direct_work *work, void *sums, int64_t slices, int64_t slice, int64_t o,
                       int64_t o_end, void *gradient, void *totals);
};

/* 3 x 3 neighbours, windows a pixel apart that are as many as the image has pixels, and rows that fill most of a vector
 * but not a whole one: over pixels, where depthwise, such planes are read where they are. */
static inline bool pleat_is_narrow(const pleat_patches *p, int64_t vector)
{
    return p->taps.h == 3 && p->taps.w == 3 && p->step.h == 1 && p->step.w == 1 && p->tap_step.h * p->tap_step.h == 1 &&
           p->tap_step.w * p->tap_step.w == 1 && p->origin.h == -p->tap_step.h && p->origin.w == -p->tap_step.w &&
           p->windows.h == p->size.h && p->windows.w == p->size.w && p->size.w < vector && 2 * p->size.w > vector;
}

/* From a tap's pixel to that of the next window, over channels. */
static inline int64_t pleat_direct_apart(const pleat_direct_work *w)
{
    return w->in_place ? w->patches->step.w : 1;
}

/* Terms k to k + count - 1, `bytes` each, from `terms`, where they lie in the order (c, i, j), to their places in the
 * panel, in the order (i, c, j); or back. */
static inline void pleat_move_terms(const pleat_direct_phase *f, int64_t k, int64_t count, int64_t bytes, char *terms,
                                    char *panel, bool back)
{
    const int64_t rows = f->patches->taps.h, columns = f->patches->taps.w;
    int64_t j = k % columns, i = k / columns % rows, c = k / columns / rows;
    for (int64_t run; count > 0; count -= run, terms += run * bytes) {
        run = columns - j < count ? columns - j : count;
        char *place = panel + (i * f->row + c * columns + j) * bytes;
        memcpy(back ? terms : place, back ? place : terms, (size_t)(run * bytes));
        j = 0;
        if (++i == rows) {
            i = 0;
            c++;
        }
    }
}

#ifdef PLEAT_ISA
extern const struct pleat_direct_kernels PLEAT_K(direct_kernels);
#endif

#endif
