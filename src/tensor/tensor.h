/* The tensor from the inside. */
#ifndef PLEAT_TENSOR_TENSOR_H
#define PLEAT_TENSOR_TENSOR_H

#include <pleat/op.h>
#include <pleat/tensor.h>

#include <stdatomic.h>
#include <string.h>

/* Memory that views share. The elements follow in the same block. */
typedef struct {
    atomic_int refs;
    atomic_uint_fast64_t version; /* changes so far: what was kept for a gradient is checked against it */
    int64_t bytes;
    void *data;
} pleat_storage;

struct pleat_tensor {
    atomic_int refs;
    pleat_dtype dtype;
    bool requires_grad;
    bool contiguous;
    atomic_flag grad_lock;
    pleat_storage *storage;
    pleat_storage *home; /* in whose block it lives; NULL: in one of its own */
    int64_t numel, offset;
    pleat_shape shape;
    int64_t stride[PLEAT_MAX_DIMS];
    uint64_t serial; /* of the recorded call's output that it is; 0: a leaf */
    int64_t call;    /* where that call stands on its thread's tape */
    pleat_tensor *grad;
};

/* New, owned by the caller, elements undefined. */
pleat_tensor *pleat_tensor_make(const pleat_shape *shape, pleat_dtype dtype);
static inline pleat_tensor *pleat_tensor_new(pleat_shape shape, pleat_dtype dtype)
{
    return pleat_tensor_make(&shape, dtype);
}
/* A view of base's storage, owned by the caller, without a history. Refused where it would leave the storage. */
pleat_tensor *pleat_tensor_view(const pleat_tensor *base, const pleat_spec *spec);
static inline void pleat_tensor_describe(const pleat_tensor *t, pleat_spec *s)
{
    s->dtype = t->dtype;
    s->view = false;
    s->offset = t->offset;
    s->shape.ndim = t->shape.ndim;
    for (int d = 0; d < t->shape.ndim;
         d++) { /* not as a block: it may have been written this very moment, one by one */
        s->shape.dim[d] = t->shape.dim[d];
        s->stride[d] = t->stride[d];
    }
}
static inline pleat_spec pleat_tensor_spec(const pleat_tensor *t)
{
    pleat_spec s;
    pleat_tensor_describe(t, &s);
    return s;
}

/* A contiguous copy, owned by the caller, off the tape. */
pleat_tensor *pleat_tensor_copy(const pleat_tensor *t);
/* to's elements = from's, broadcast and converted; cannot fail, so the shapes must be known to fit. */
void pleat_tensor_assign(pleat_tensor *to, const pleat_tensor *from);
/* to += scale * from, broadcast, dtypes equal; cannot fail either. */
void pleat_tensor_add(pleat_tensor *to, const pleat_tensor *from, double scale);

/* Whether two places of the view are one element, so that a change would depend on the order of the loop. Says so of
 * some exotic views that do not overlap. */
bool pleat_tensor_overlaps(const pleat_tensor *t);

/* Bytes of an element of t. */
static inline int64_t pleat_tensor_width(const pleat_tensor *t)
{
    return t->dtype == PLEAT_F32 ? 4 : t->dtype == PLEAT_U8 ? 1 : 8;
}

static inline char *pleat_tensor_address(const pleat_tensor *t)
{
    return (char *)t->storage->data + t->offset * pleat_tensor_width(t);
}

static inline uint64_t pleat_tensor_version(const pleat_tensor *t)
{
    return atomic_load_explicit(&t->storage->version, memory_order_relaxed);
}

static inline void pleat_tensor_changed(pleat_tensor *t)
{
    atomic_fetch_add_explicit(&t->storage->version, 1, memory_order_relaxed);
}

static inline bool pleat_dtype_is_float(pleat_dtype dtype)
{
    return dtype == PLEAT_F32 || dtype == PLEAT_F64;
}

/* Whether nobody else holds t or its storage: then its elements can be overwritten. */
static inline bool pleat_tensor_exclusive(const pleat_tensor *t)
{
    return atomic_load(&t->refs) == 1 && atomic_load(&t->storage->refs) == 1;
}

/* Each takes the other's elements, storage, dtype and offset; shapes and strides are equal. The objects stay where they
 * are. Counts as a change of a, so what was kept of it for a gradient notices. */
void pleat_tensor_exchange(pleat_tensor *a, pleat_tensor *b);

void pleat_tensor_lock_grad(pleat_tensor *leaf);
void pleat_tensor_unlock_grad(pleat_tensor *leaf);

#endif
