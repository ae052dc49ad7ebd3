/* Leaf gradients on their way: gathered while a backward runs, committed when nothing can fail any more. */
#ifndef PLEAT_AUTOGRAD_STAGING_H
#define PLEAT_AUTOGRAD_STAGING_H

#include "tensor/tensor.h"

typedef struct {
    pleat_tensor *leaf; /* retained; NULL: a free place */
    pleat_tensor *grad; /* retained */
} pleat_staged;

/* Open addressing by the leaf's address, at most half full; order keeps the sequence of arrival. */
typedef struct {
    pleat_staged *place;
    int64_t places; /* a power of two, or 0 */
    int64_t *order;
    int64_t count, order_capacity;
} pleat_staging;

/* Where the leaf's gradient is to be put; NULL with PLEAT_ENOMEM pending. Good until the next call. */
pleat_tensor **pleat_staging_at(pleat_staging *s, pleat_tensor *leaf);

/* Makes each gradient one that a leaf can own (contiguous, shared with nobody), then gives them to the leaves: what can
 * fail comes first, so either every leaf has its gradient or none. */
pleat_status pleat_staging_commit(pleat_staging *s);
void pleat_staging_free(pleat_staging *s);

#endif
