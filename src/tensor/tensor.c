/* Storages, tensors, and asking them. */
#include "tensor/tensor.h"

#include "kernels/copy.h"
#include "tensor/error.h"
#include "tensor/memory.h"
#include "tensor/shape.h"
#include "tensor/thread.h"

#include <inttypes.h>
#include <math.h>
#include <sched.h>
#include <string.h>

static atomic_llong live;

int64_t pleat_live_tensors(void)
{
    return atomic_load(&live);
}

/* ---- Life ---- */

/* A storage's block: its head, room for the tensor that it is made with, the elements. Most storages have one tensor,
 * so most tensors cost one allocation; views get blocks of their own. */
typedef struct {
    pleat_storage storage;
    pleat_tensor first;
} storage_head;
enum { STORAGE_HEAD = (sizeof(storage_head) + 63) / 64 * 64 }; /* keeps the elements 64-byte aligned */

/* Takes away one reference, and tells whether it was the last. Who holds the only one races with nobody. */
static bool last_reference(atomic_int *refs)
{
    return atomic_load_explicit(refs, memory_order_acquire) == 1 ||
           atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
}

static void storage_release(pleat_storage *s)
{
    if (last_reference(&s->refs))
        pleat_free(s);
}

/* Takes over a reference to the storage. */
static void tensor_init(pleat_tensor *t, pleat_storage *storage, const pleat_shape *shape, int64_t numel,
                        pleat_dtype dtype)
{
    atomic_init(&t->refs, 1);
    t->dtype = dtype;
    t->requires_grad = false;
    t->contiguous = true;
    atomic_flag_clear_explicit(&t->grad_lock, memory_order_relaxed);
    t->storage = storage;
    t->home = NULL;
    t->numel = numel;
    t->offset = 0;
    t->shape.ndim = shape->ndim;
    for (int d = 0; d < shape->ndim; d++) /* not as a block: see pleat_tensor_describe */
        t->shape.dim[d] = shape->dim[d];
    t->serial = 0;
    t->call = -1;
    t->grad = NULL;
    atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
}

pleat_tensor *pleat_tensor_make(const pleat_shape *shape, pleat_dtype dtype)
{
    const int64_t size = (int64_t)pleat_dtype_size(dtype);
    if (size == 0) {
        pleat_fail(PLEAT_EDTYPE, "%d is no dtype", (int)dtype);
        return NULL;
    }
    const int64_t n = pleat_shape_count(shape);
    if (n < 0) {
        pleat_shape_check(*shape);
        return NULL;
    }
    int64_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes) || bytes > INT64_MAX - STORAGE_HEAD) {
        pleat_fail(PLEAT_ENOMEM, "shape %s of %s has more bytes than can be counted", pleat_shape_text(*shape).text,
                   pleat_dtype_name(dtype));
        return NULL;
    }
    storage_head *head = pleat_alloc(STORAGE_HEAD + (size_t)bytes);
    if (!head)
        return NULL;
    pleat_storage *s = &head->storage;
    atomic_init(&s->refs, 1);
    atomic_init(&s->version, 0);
    s->bytes = bytes;
    s->data = (char *)head + STORAGE_HEAD;
    tensor_init(&head->first, s, shape, n, dtype);
    head->first.home = s;
    pleat_shape_strides(shape, head->first.stride);
    return &head->first;
}

/* Whether every element the strides reach lies in a storage of n elements. Sums are looked at before they overflow. */
static bool inside(const pleat_spec *spec, int64_t n)
{
    int64_t low = spec->offset, high = spec->offset;
    if (pleat_shape_numel(spec->shape) == 0)
        return true; /* it has no element, wherever it may begin */
    for (int d = 0; d < spec->shape.ndim; d++) {
        int64_t reach;
        if (__builtin_mul_overflow(spec->shape.dim[d] - 1, spec->stride[d], &reach) ||
            __builtin_add_overflow(reach < 0 ? low : high, reach, reach < 0 ? &low : &high))
            return false;
    }
    return low >= 0 && high < n;
}

pleat_tensor *pleat_tensor_view(const pleat_tensor *base, const pleat_spec *spec)
{
    if (pleat_shape_check(spec->shape) != PLEAT_OK)
        return NULL;
    if (spec->dtype != base->dtype || !inside(spec, base->storage->bytes / (int64_t)pleat_dtype_size(base->dtype))) {
        pleat_fail(PLEAT_EINVAL, "the view %s leaves its storage", pleat_shape_text(spec->shape).text);
        return NULL;
    }
    pleat_tensor *t = pleat_alloc(sizeof *t);
    if (!t)
        return NULL;
    atomic_fetch_add_explicit(&base->storage->refs, 1, memory_order_relaxed);
    tensor_init(t, base->storage, &spec->shape, pleat_shape_numel(spec->shape), base->dtype);
    t->offset = t->numel > 0 ? spec->offset : 0;
    memcpy(t->stride, spec->stride, sizeof t->stride);
    t->contiguous = pleat_strides_contiguous(t->shape, t->stride);
    return t;
}

pleat_tensor *pleat_retain(pleat_tensor *t)
{
    if (t)
        atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void pleat_release(pleat_tensor *t)
{
    if (!t || !last_reference(&t->refs))
        return;
    pleat_release(t->grad); /* a gradient has none of its own, so this goes one deep */
    pleat_storage *s = t->storage, *home = t->home;
    if (!home)
        pleat_free(t);
    storage_release(s);
    if (home && home != s)
        storage_release(home);
    atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
}

/* What holds a block counts once: a tensor that looks at the storage it lives in, or each of the two. */
static void move_to(pleat_tensor *t, pleat_storage *storage)
{
    if (t->home && t->home == t->storage && storage != t->home)
        atomic_fetch_add_explicit(&t->home->refs, 1, memory_order_relaxed);
    else if (t->home && t->home == storage && t->storage != storage)
        atomic_fetch_sub_explicit(&t->home->refs, 1, memory_order_relaxed);
    t->storage = storage;
}

void pleat_tensor_exchange(pleat_tensor *a, pleat_tensor *b)
{
    pleat_storage *const a_storage = a->storage, *const b_storage = b->storage;
    const pleat_dtype dtype = a->dtype;
    const int64_t offset = a->offset;
    const uint_fast64_t version = pleat_tensor_version(a) + 1;
    move_to(a, b_storage);
    move_to(b, a_storage);
    a->dtype = b->dtype;
    a->offset = b->offset;
    b->dtype = dtype;
    b->offset = offset;
    atomic_store(&a->storage->version, version);
}

void pleat_tensor_lock_grad(pleat_tensor *leaf)
{
    while (atomic_flag_test_and_set_explicit(&leaf->grad_lock, memory_order_acquire))
        sched_yield();
}

void pleat_tensor_unlock_grad(pleat_tensor *leaf)
{
    atomic_flag_clear_explicit(&leaf->grad_lock, memory_order_release);
}

/* ---- Copy and add in place ---- */

typedef struct {
    pleat_copy_work copy; /* dtypes equal where a sum is wanted */
    double scale;
} sum_work;

static void copy_chunk(int64_t begin, int64_t end, void *ctx)
{
    pleat_kernels_get()->copy->copy(ctx, begin, end);
}

static void add_chunk(int64_t begin, int64_t end, void *ctx)
{
    const sum_work *w = ctx;
    pleat_kernels_get()->copy->add_scaled(&w->copy, w->scale, begin, end);
}

static pleat_copy_work work_of(pleat_tensor *to, const pleat_tensor *from)
{
    pleat_copy_work w = { .ndim = to->shape.ndim, .to_dtype = to->dtype, .from_dtype = from->dtype };
    int64_t stride[2][PLEAT_MAX_DIMS];
    for (int d = 0; d < w.ndim; d++) {
        const int f = d - (w.ndim - from->shape.ndim);
        w.dim[d] = to->shape.dim[d];
        stride[0][d] = to->stride[d];
        stride[1][d] = f < 0 || from->shape.dim[f] == 1 ? 0 : from->stride[f];
    }
    pleat_merge_dims(&w.ndim, w.dim, stride, 2);
    memcpy(w.to_stride, stride[0], sizeof w.to_stride);
    memcpy(w.from_stride, stride[1], sizeof w.from_stride);
    w.to = pleat_tensor_address(to);
    w.from = pleat_tensor_address(from);
    return w;
}

enum { GRAIN = 1 << 15 };

void pleat_tensor_assign(pleat_tensor *to, const pleat_tensor *from)
{
    pleat_copy_work w = work_of(to, from);
    pleat_parallel_for(to->numel, GRAIN, copy_chunk, &w);
}

void pleat_tensor_add(pleat_tensor *to, const pleat_tensor *from, double scale)
{
    sum_work w = { work_of(to, from), scale };
    pleat_parallel_for(to->numel, GRAIN, add_chunk, &w);
}

pleat_tensor *pleat_tensor_copy(const pleat_tensor *t)
{
    pleat_tensor *c = pleat_tensor_new(t->shape, t->dtype);
    if (c)
        pleat_tensor_assign(c, t);
    return c;
}

/* ---- Ask ---- */

pleat_shape pleat_shape_of(const pleat_tensor *t)
{
    return t ? t->shape : (pleat_shape){ .ndim = -1 };
}

int pleat_ndim(const pleat_tensor *t)
{
    return t ? t->shape.ndim : -1;
}

/* The place of dim, negative from the end; -1 where there is none. */
static int place(const pleat_tensor *t, int dim)
{
    if (!t || dim < -t->shape.ndim || dim >= t->shape.ndim)
        return -1;
    return dim < 0 ? dim + t->shape.ndim : dim;
}

int64_t pleat_size(const pleat_tensor *t, int dim)
{
    const int d = place(t, dim);
    return d < 0 ? -1 : t->shape.dim[d];
}

int64_t pleat_stride(const pleat_tensor *t, int dim)
{
    const int d = place(t, dim);
    return d < 0 ? -1 : t->stride[d];
}

int64_t pleat_numel(const pleat_tensor *t)
{
    return t ? t->numel : 0;
}

pleat_dtype pleat_dtype_of(const pleat_tensor *t)
{
    return t ? t->dtype : (pleat_dtype)0;
}

bool pleat_is_contiguous(const pleat_tensor *t)
{
    return t && t->contiguous;
}

bool pleat_shares_storage(const pleat_tensor *a, const pleat_tensor *b)
{
    return a && b && a->storage == b->storage;
}

/* NULL is no tensor: an error, unless the one that made it NULL is still pending. */
static bool there(const char *name, const pleat_tensor *t)
{
    if (t)
        return true;
    pleat_fail(PLEAT_EINVAL, "%s: the tensor is NULL", name);
    return false;
}

static bool readable(const char *name, const pleat_tensor *t)
{
    if (!there(name, t))
        return false;
    if (t->contiguous)
        return true;
    pleat_fail(PLEAT_EINVAL, "%s: the view %s is not contiguous: take pleat_contiguous of it first", name,
               pleat_shape_text(t->shape).text);
    return false;
}

const void *pleat_data(const pleat_tensor *t)
{
    return readable("data", t) ? pleat_tensor_address(t) : NULL;
}

const void *pleat_data_strided(const pleat_tensor *t)
{
    return there("data_strided", t) ? pleat_tensor_address(t) : NULL;
}

void *pleat_data_mut(pleat_tensor *t)
{
    if (!readable("data_mut", t))
        return NULL;
    pleat_tensor_changed(t);
    return pleat_tensor_address(t);
}

static const void *typed(const char *name, const pleat_tensor *t, pleat_dtype dtype)
{
    if (!readable(name, t))
        return NULL;
    if (t->dtype == dtype)
        return pleat_tensor_address(t);
    pleat_fail(PLEAT_EDTYPE, "%s: the tensor is %s, not %s", name, pleat_dtype_name(t->dtype), pleat_dtype_name(dtype));
    return NULL;
}

const float *pleat_data_f32(const pleat_tensor *t)
{
    return typed("data_f32", t, PLEAT_F32);
}

const double *pleat_data_f64(const pleat_tensor *t)
{
    return typed("data_f64", t, PLEAT_F64);
}

const int64_t *pleat_data_i64(const pleat_tensor *t)
{
    return typed("data_i64", t, PLEAT_I64);
}

const uint8_t *pleat_data_u8(const pleat_tensor *t)
{
    return typed("data_u8", t, PLEAT_U8);
}

static double element(const pleat_tensor *t, int64_t offset)
{
    const void *data = t->storage->data;
    switch (t->dtype) {
    case PLEAT_F32:
        return (double)((const float *)data)[offset];
    case PLEAT_F64:
        return ((const double *)data)[offset];
    case PLEAT_I64:
        return (double)((const int64_t *)data)[offset];
    case PLEAT_U8:
        return (double)((const uint8_t *)data)[offset];
    }
    return (double)NAN;
}

double pleat_item(const pleat_tensor *t)
{
    if (!there("item", t))
        return (double)NAN;
    if (t->numel == 1)
        return element(t, t->offset);
    pleat_fail(PLEAT_ESHAPE, "item: a tensor of one element is wanted, not %s", pleat_shape_text(t->shape).text);
    return (double)NAN;
}

double pleat_at(const pleat_tensor *t, const int64_t *index)
{
    if (!there("at", t))
        return (double)NAN;
    int64_t offset = t->offset;
    for (int d = 0; d < t->shape.ndim; d++) {
        if (index[d] < 0 || index[d] >= t->shape.dim[d]) {
            pleat_fail(PLEAT_EINVAL, "at: index %" PRId64 " of dimension %d is not in shape %s", index[d], d,
                       pleat_shape_text(t->shape).text);
            return (double)NAN;
        }
        offset += index[d] * t->stride[d];
    }
    return element(t, offset);
}
