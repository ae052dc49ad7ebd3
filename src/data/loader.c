/* Loaders: a data set in batches, in its own order or in a new random one each epoch.
 *
 * The order of an epoch follows from the loader's seed and the epoch's number alone. The two tensors of a batch are
 * made once and filled anew each time; a last, smaller batch is a view of their beginning. */
#include "data/dataset.h"

#include "tensor/error.h"
#include "tensor/memory.h"
#include "tensor/tensor.h"

#include <pleat/parallel.h>
#include <pleat/random.h>

#include <string.h>

#define STREAM UINT64_C(0x6c6f61646572) /* keeps the orders apart from other uses of the same seed */

struct pleat_loader {
    const pleat_dataset *dataset;
    int64_t batch_size, batches;
    bool shuffle;
    uint64_t seed, epoch;
    int64_t next;                           /* batch of the epoch */
    int64_t *order;                         /* NULL where not shuffled */
    pleat_tensor *input, *target;           /* of a whole batch */
    pleat_tensor *last_input, *last_target; /* their beginnings, for a smaller last one; NULL where there is none */
};

static pleat_dtype given_dtype(const pleat_tensor *t)
{
    return t->dtype == PLEAT_U8 ? PLEAT_F32 : t->dtype;
}

/* A tensor for n elements of a data set's; a view of whole where that is given. */
static pleat_tensor *batch_of(const pleat_tensor *from, pleat_dtype dtype, int64_t n, const pleat_tensor *whole)
{
    pleat_shape shape = from->shape;
    shape.dim[0] = n;
    if (!whole)
        return pleat_tensor_new(shape, dtype);
    pleat_spec spec = pleat_tensor_spec(whole);
    spec.shape = shape;
    return pleat_tensor_view(whole, &spec);
}

pleat_loader *pleat_loader_new(pleat_dataset *d, const pleat_loader_opts *opts)
{
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    const pleat_loader_opts o = opts ? *opts : (pleat_loader_opts){ 0 };
    if (!d || o.batch_size < 0) {
        pleat_fail(PLEAT_EINVAL,
                   d ? "loader_new: the batch size must not be negative, as %lld is"
                     : "loader_new: the data set is NULL",
                   (long long)o.batch_size);
        return NULL;
    }
    pleat_loader *l = pleat_alloc_zeroed(sizeof *l);
    if (!l)
        return NULL;
    l->dataset = d;
    l->batch_size = o.batch_size ? o.batch_size : 1;
    if (l->batch_size > d->size && !o.drop_last)
        l->batch_size = d->size ? d->size : 1;
    l->batches = d->size / l->batch_size;
    l->shuffle = o.shuffle;
    l->seed = o.seed;
    if (o.shuffle && o.seed == 0) {
        uint32_t word[4];
        pleat_rng_state now = pleat_rng_get();
        pleat_philox(now.seed, now.draws++, 0, word);
        pleat_rng_set(now);
        l->seed = (uint64_t)word[0] << 32 | word[1];
    }

    const int64_t rest = d->size % l->batch_size;
    const pleat_dtype input = given_dtype(d->inputs), target = d->targets->dtype;
    bool ok = true;
    if (l->batches > 0) {
        l->input = batch_of(d->inputs, input, l->batch_size, NULL);
        l->target = batch_of(d->targets, target, l->batch_size, NULL);
        ok = l->input && l->target;
    }
    if (ok && rest && !o.drop_last) { /* there is a whole one then: a batch is at most the data set */
        l->batches++;
        l->last_input = batch_of(d->inputs, input, rest, l->input);
        l->last_target = batch_of(d->targets, target, rest, l->target);
        ok = l->last_input && l->last_target;
    }
    if (ok && o.shuffle) {
        l->order = pleat_alloc((size_t)d->size * sizeof *l->order);
        ok = l->order != NULL;
    }
    if (!ok) {
        pleat_loader_free(l);
        return NULL;
    }
    return l;
}

/* Fisher and Yates; the rest of a 64-bit word is as good as uniform for any n that fits into memory. */
static void shuffle(int64_t *order, int64_t n, uint64_t seed, uint64_t epoch)
{
    for (int64_t i = 0; i < n; i++)
        order[i] = i;
    uint32_t word[4] = { 0 };
    for (int64_t i = n - 1; i > 0; i--) {
        const uint64_t half = (uint64_t)i & 1; /* a block of four words serves two swaps */
        if (half || i == n - 1)
            pleat_philox(seed ^ STREAM, epoch, (uint64_t)i >> 1, word);
        const uint64_t r = (uint64_t)word[2 * half] << 32 | word[2 * half + 1];
        const int64_t j = (int64_t)(r % ((uint64_t)i + 1)), swapped = order[i];
        order[i] = order[j];
        order[j] = swapped;
    }
}

typedef struct {
    const char *from;
    char *to;
    const int64_t *order; /* of the batch's elements; NULL: as they stand */
    int64_t numel;        /* of an element */
    size_t bytes;         /* of an element in from */
    bool images;          /* from bytes to float */
} gather_work;

static void gather(int64_t begin, int64_t end, void *ctx)
{
    const gather_work *w = ctx;
    for (int64_t i = begin; i < end; i++) {
        const char *from = w->from + (size_t)(w->order ? w->order[i] : i) * w->bytes;
        if (!w->images) {
            memcpy(w->to + (size_t)i * w->bytes, from, w->bytes);
            continue;
        }
        float *to = (float *)(void *)w->to + i * w->numel;
        for (int64_t k = 0; k < w->numel; k++)
            to[k] = (float)((const unsigned char *)from)[k] / 255.0f;
    }
}

static void fill(pleat_tensor *to, const pleat_tensor *from, int64_t first, const int64_t *order)
{
    const int64_t n = to->shape.dim[0], numel = to->numel / n;
    const size_t bytes = (size_t)numel * pleat_dtype_size(from->dtype);
    gather_work w = {
        .from = pleat_tensor_address(from) + (order ? 0 : (size_t)first * bytes),
        .to = pleat_tensor_address(to),
        .order = order ? order + first : NULL,
        .numel = numel,
        .bytes = bytes,
        .images = from->dtype != to->dtype,
    };
    pleat_tensor_changed(to);
    pleat_parallel_for(n, 1 + 32768 / (numel + 1), gather, &w);
}

bool pleat_loader_next(pleat_loader *l, pleat_batch *batch)
{
    if (batch)
        *batch = (pleat_batch){ 0 };
    if (pleat_pending() != PLEAT_OK)
        return false;
    if (!l || !batch) {
        pleat_fail(PLEAT_EINVAL, "loader_next: the %s is NULL", l ? "batch" : "loader");
        return false;
    }
    if (l->next == l->batches) {
        l->next = 0;
        l->epoch++;
        return false;
    }
    if (l->next == 0 && l->order)
        shuffle(l->order, l->dataset->size, l->seed, l->epoch);
    const bool last = l->last_input && l->next == l->batches - 1;
    batch->input = last ? l->last_input : l->input;
    batch->target = last ? l->last_target : l->target;
    batch->index = l->next;
    const int64_t first = l->next++ * l->batch_size;
    fill(batch->input, l->dataset->inputs, first, l->order);
    fill(batch->target, l->dataset->targets, first, l->order);
    return true;
}

int64_t pleat_loader_batches(const pleat_loader *l)
{
    return l ? l->batches : 0;
}

void pleat_loader_free(pleat_loader *l)
{
    if (!l)
        return;
    pleat_release(l->last_input);
    pleat_release(l->last_target);
    pleat_release(l->input);
    pleat_release(l->target);
    pleat_free(l->order);
    pleat_free(l);
}
