/* Winograd's minimal filtering for 3 x 3 kernels and stride 1, in float32: Lavin, Gray: Fast algorithms for
 * convolutional neural networks, CVPR 2016.
 *
 * The result is cut into tiles of 4 x 4 (or 2 x 2) pixels, each of which reads a square of 6 x 6 (4 x 4). Square and
 * kernel g are turned into 36 (16) numbers each, whose products, summed over the channels, turn into the tile:
 *
 *   forward     y  = A^T [ sum over c of (G g G^T) (B^T x B) ] A        36 products for 16 pixels, not 144
 *   by weight   dg = G^T [ sum over tiles of (B^T x B) (A dy A^T) ] G   the adjoint
 *
 * Vectors hold channels: what a line of tiles reads is copied as pixel[row][column][channel] first (a strip), zeros
 * around it, one vector of channels at a time, and what comes out is turned back. The columns of a block of lines are
 * turned at once, which columns that two tiles share need only once:
 *
 *   rows[i][channel / VL][line][column][VL]      i < 6 (4)
 *
 * Row i after row i is then turned, multiplied and turned back, so that no more than its 6 (4) matrices need be in the
 * cache, and the result takes its place:
 *
 *   v[channel / VL][tile][VL]     of the image          m likewise, of the result (or of its gradient)
 *   u[i][panel][j][c][width]      of the kernels, in panels of `width` output channels, for row i and column j
 *
 * A kernel whose taps are d pixels apart (a dilation) meets every d-th pixel only: d x d phases of image and result,
 * each a convolution of its own. A phase of rows is an image here, whose rows lie d apart; the phases of the columns
 * share its lines, one's tiles behind the other's, and strips keep the columns as they lie in the image. */
#ifndef PLEAT_KERNELS_WINOGRAD_H
#define PLEAT_KERNELS_WINOGRAD_H

#include "kernels/kernels.h"

typedef struct {
    int tile;                 /* 4 or 2: the pixels of a tile's side */
    int64_t c, o;             /* channels of the image and of the result */
    int64_t width;            /* of a panel: one vector or two */
    int64_t c_pad, o_pad;     /* rounded up to whole vectors; to whole panels */
    pleat_hw size;            /* of the image, */
    pleat_hw windows;         /* and of the result */
    pleat_hw low;             /* the row and column of the image that the first tap of window (0, 0) reads; 0 or less */
    pleat_hw dilation;        /* rows of memory from a row to the next; phases of columns */
    int64_t x_plane, y_plane; /* strides of channels, of the image and of the result, in elements */
    int64_t tiles_w;          /* in a line of tiles, of all its phases */
    int64_t lines;            /* whose rows lie together, and */
    int64_t stride;           /* from one of its rows to the next */
    int64_t strip;            /* from the strip of a vector of channels to the next; or 0, and they take turns */
    bool ahead;               /* pixels are sent for while products are computed, */
    bool far;                 /* or, where u does not fit into an L2 cache, what follows of u */
    bool packed;         /* u holds the packed kernels, turned row by row and panel by panel where they are needed */
    bool flip_h, flip_w; /* the kernels are turned round */
    bool relu;           /* of the result */
} pleat_winograd_work;

/* Pixels that will be read or written soon, and that products send for as they go: of so many images, `run` elements of
 * so many planes. */
typedef struct {
    const float *at;
    int64_t run, plane, planes, image, images;
    int64_t done, c; /* elements of a run, planes of an image */
} pleat_winograd_ahead;

struct pleat_winograd_kernels {
    int64_t vector; /* elements */
    /* Row i of a panel's u, from its kernels packed as [c][9][width]. */
    void (*kernels)(const pleat_winograd_work *work, const float *packed, int64_t i, float *u);
    /* The rows of `lines` lines of tiles from `line` on, of one image, and those of the result's gradient. follows: the
     * strips hold what the line before read, as this function left it. */
    void (*image)(const pleat_winograd_work *work, const float *x, int64_t line, int64_t lines, bool follows,
                  float *strips, float *rows);
    void (*gradient)(const pleat_winograd_work *work, const float *dy, int64_t line, int64_t lines, float *strip,
                     float *rows);
    /* Row i of so many lines, from the image's to the result's; v has room for its matrices, of one panel only
     * where u is far, and for a panel's row of u where u is packed. */
    void (*multiply)(const pleat_winograd_work *work, int64_t i, const float *u, int64_t lines, float *v,
                     pleat_winograd_ahead *ahead, float *row);
    /* The lines' pixels; bias (o elements) or NULL. */
    void (*result)(const pleat_winograd_work *work, const float *rows, int64_t line, int64_t lines, float *strip,
                   const float *bias, float *y);
    /* u of row i, of so many panels: = or, to add, += v^T m, of so many lines. There u[i][j][panel][c_pad][width], and
     * behind the matrices are the sums of the result's gradient, of each of the o_pad channels. */
    void (*accumulate)(const pleat_winograd_work *work, int64_t i, int64_t panel, int64_t panels, const float *row,
                       const float *gradient_row, int64_t lines, float *v, bool add, pleat_winograd_ahead *ahead,
                       float *u);
    /* The panel's kernels (o, c, 3, 3), o's `row` elements apart, from u. */
    void (*kernels_gradient)(const pleat_winograd_work *work, const float *u, int64_t panel, int64_t row, float *dw);
};

/* Columns of a line of tiles: two tiles of a phase share two. */
static inline int64_t pleat_winograd_columns(const pleat_winograd_work *w)
{
    return w->tiles_w * w->tile + 2 * w->dilation.w;
}

/* Pixels in a row of a strip: what a line of tiles reads, or where a row of the image ends if that is further. */
static inline int64_t pleat_winograd_pitch(const pleat_winograd_work *w)
{
    const int64_t columns = pleat_winograd_columns(w), row = w->size.w - w->low.w;
    return columns > row ? columns : row;
}

/* Elements of a strip, for vectors of so many. */
static inline int64_t pleat_winograd_strip(const pleat_winograd_work *w, int64_t vector)
{
    return (w->tile + 2) * pleat_winograd_pitch(w) * vector;
}

/* Elements of a matrix of so many channels. One vector more, so that two of them do not share cache sets. */
static inline int64_t pleat_winograd_matrix(const pleat_winograd_work *w, int64_t channels, int64_t lines,
                                            int64_t vector)
{
    return lines * w->tiles_w * channels + vector;
}

#ifdef PLEAT_ISA
extern const struct pleat_winograd_kernels PLEAT_K(winograd_kernels);
#endif

#endif
