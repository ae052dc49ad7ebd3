/* Elements that move: by maps of places, one per dimension (padding, tiling), and by indices (gather, scatter).
 *
 *   map       to[i, j, ...]        = from[map0[i], map1[j], ...], or value where a map says -1
 *   map_sum   from[p, q, ...]      = the sum of to[i, j, ...] over the places with map0[i] = p, map1[j] = q, ...
 *   gather    here[line, k]        = there[line, index[line, k]]
 *   scatter   there[line, index[line, k]] = here[line, k], the last k wins
 *   scatter_add  the same with +=, k going up
 *   add_rows  to[o, p, :]          = x[o, p, :] + the sum of from[o, k, :] over the k with index[k] = p, going up
 *
 * map_sum is map's adjoint and scatter_add is gather's. An element that sums are written to is one worker's, and its
 * sums run in a fixed order: no atomics, the same bits for any number of threads. Every dtype; strides in elements. */
#ifndef PLEAT_KERNELS_MOVE_H
#define PLEAT_KERNELS_MOVE_H

#include "kernels/kernels.h"

/* A run of the last dimension's map: to + k reads from + k step, for k below n; from is -1 where nothing is read. */
typedef struct {
    int64_t to, from, step, n; /* step -1, 0 or 1 */
} pleat_run;

/* `from` has the dimensions of the unpadded array, `to` those of the padded one. The one that is written is contiguous,
 * the other strided. */
typedef struct {
    pleat_dtype dtype;
    int ndim; /* at least 2 */
    int64_t to_dim[PLEAT_MAX_DIMS], from_dim[PLEAT_MAX_DIMS];
    int64_t stride[PLEAT_MAX_DIMS]; /* of what is read */
    /* for map, of all dimensions but the last: for each place of `to`, the one of `from`, or -1 */
    const int64_t *map[PLEAT_MAX_DIMS];
    /* for map_sum, of all but the last: place p of `from` is read by list[first[p]] to list[first[p + 1] - 1] */
    const int64_t *first[PLEAT_MAX_DIMS], *list[PLEAT_MAX_DIMS];
    const pleat_run *run; /* the last dimension's map */
    int64_t runs;
    double value; /* for map */
    const void *read;
    void *write;
} pleat_map_places;

/* `lines` are the places of index without the indexed dimension, row-major over dim. */
typedef struct {
    pleat_dtype dtype;
    int ndim; /* at least 1 */
    int64_t dim[PLEAT_MAX_DIMS];
    int64_t index_stride[PLEAT_MAX_DIMS], here_stride[PLEAT_MAX_DIMS], there_stride[PLEAT_MAX_DIMS];
    int64_t length;                            /* of the indexed dimension, in index and here */
    int64_t index_step, here_step, there_step; /* its strides */
    const int64_t *index;                      /* all within there's size: see outside */
    void *here, *there;                        /* the one that is read is not written */
} pleat_index_work;

/* scatter_add with one index for whole rows, told by where they go: each row of the result is written once. The result
 * is contiguous, x and from have strides for o, for p or k, and within a row. */
typedef struct {
    pleat_dtype dtype;
    int64_t places, columns;
    int64_t x_stride[3], from_stride[3];
    const int64_t *first, *list; /* place p takes list[first[p]] to list[first[p + 1] - 1] */
    const void *x, *from;
    void *to;
} pleat_row_work;

struct pleat_move_kernels {
    void (*map)(const pleat_map_places *work, int64_t begin, int64_t end);     /* rows of `to` */
    void (*map_sum)(const pleat_map_places *work, int64_t begin, int64_t end); /* rows of `from` */
    void (*gather)(const pleat_index_work *work, int64_t begin, int64_t end);  /* lines */
    void (*scatter)(const pleat_index_work *work, int64_t begin, int64_t end);
    void (*scatter_add)(const pleat_index_work *work, int64_t begin, int64_t end);
    void (*add_rows)(const pleat_row_work *work, int64_t begin, int64_t end); /* elements of `to` */
    /* The first of n indices that is not in [0, size); n where all are. */
    int64_t (*outside)(const int64_t *index, int64_t n, int64_t size);
};

#ifdef PLEAT_ISA
extern const struct pleat_move_kernels PLEAT_K(move_kernels);
#endif

#endif
