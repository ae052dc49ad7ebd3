/* Data sets and loaders. A data set is a function from an index to an input and a target. */
#ifndef PLEAT_DATA_H
#define PLEAT_DATA_H

#include <pleat/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pleat_dataset pleat_dataset;
typedef struct pleat_loader pleat_loader;

/* From tensors: inputs (N, ...) and targets (N, ...); both retained. uint8 inputs are given out as float32 / 255. */
PLEAT_API pleat_dataset *pleat_dataset_of(pleat_tensor *inputs, pleat_tensor *targets);

/* n digits of 28x28 that the library draws itself from the seed: strokes with random slant, scale, shift, thickness and
 * noise. Inputs (n, 1, 28, 28) float32 in [0, 1], targets (n) int64 in 0 .. 9. */
PLEAT_API pleat_dataset *pleat_digits(int64_t n, uint64_t seed);

/* MNIST and its like: IDX files of images and labels (uint8), plain or gzip'd. Inputs (n, 1, H, W). */
PLEAT_API pleat_dataset *pleat_mnist(const char *directory, bool train);
PLEAT_API pleat_dataset *pleat_idx_dataset(const char *images_path, const char *labels_path);

/* One IDX file as a tensor, borrowed: uint8, or float32 and float64 for its types 0x0D and 0x0E. gzip'd or plain, told
 * by the content. Nothing but a whole file passes. */
PLEAT_API pleat_tensor *pleat_read_idx(const char *path);

PLEAT_API int64_t pleat_dataset_size(const pleat_dataset *d);
PLEAT_API pleat_tensor *pleat_dataset_inputs(const pleat_dataset *d);  /* borrowed from the data set, as stored */
PLEAT_API pleat_tensor *pleat_dataset_targets(const pleat_dataset *d); /* likewise */
PLEAT_API void pleat_dataset_free(pleat_dataset *d);                   /* after its loaders */

typedef struct {
    int64_t batch_size; /* 0: 1 */
    bool shuffle;       /* a new order each epoch, from the seed */
    uint64_t seed;      /* 0: drawn from the thread's sequence when the loader is made */
    bool drop_last;     /* leave out a last batch that is smaller */
} pleat_loader_opts;

typedef struct {
    pleat_tensor *input, *target; /* borrowed from the loader until the next call */
    int64_t index;                /* of the batch in its epoch */
} pleat_batch;

/* The data set must outlive it. */
PLEAT_API pleat_loader *pleat_loader_new(pleat_dataset *d, const pleat_loader_opts *opts);
/* The next batch; false at the end of an epoch (the next call begins another) and on an error, then pending. */
PLEAT_API bool pleat_loader_next(pleat_loader *l, pleat_batch *batch);
PLEAT_API int64_t pleat_loader_batches(const pleat_loader *l); /* in an epoch */
PLEAT_API void pleat_loader_free(pleat_loader *l);

#ifdef __cplusplus
}
#endif
#endif
