/* The thread's random sequence, and the tensors that are made from it. Each call takes one draw: a stream of its own,
 * so that its elements can be computed in any order and in parallel. */
#include <pleat/autograd.h>
#include <pleat/random.h>
#include <pleat/scope.h>

#include "kernels/kernels.h"
#include "kernels/random.h"
#include "tensor/error.h"
#include "tensor/thread.h"

#include <math.h>

static _Thread_local pleat_rng_state state;

void pleat_seed(uint64_t seed)
{
    state = (pleat_rng_state){ .seed = seed };
}

pleat_rng_state pleat_rng_get(void)
{
    return state;
}

void pleat_rng_set(pleat_rng_state to)
{
    state = to;
}

void pleat_philox(uint64_t seed, uint64_t draw, uint64_t counter, uint32_t out[4])
{
    pleat_philox_block(seed, draw, counter, out);
}

enum { GRAIN = 16384 };

static void uniform_range(int64_t begin, int64_t end, void *ctx)
{
    pleat_kernels_get()->random->uniform(ctx, begin, end);
}

static void normal_range(int64_t begin, int64_t end, void *ctx)
{
    pleat_kernels_get()->random->normal(ctx, begin, end);
}

static void randint_range(int64_t begin, int64_t end, void *ctx)
{
    pleat_kernels_get()->random->randint(ctx, begin, end);
}

/* An empty tensor for the function `name`, which its errors then begin with. */
static pleat_tensor *empty(const char *name, pleat_shape shape, pleat_dtype dtype)
{
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    const char *before = pleat_context(name);
    pleat_tensor *t = pleat_borrow(pleat_tensor_new(shape, dtype));
    pleat_context(before);
    return t;
}

/* Fills t, which is contiguous and floating, from one draw. */
static pleat_tensor *fill(pleat_tensor *t, pleat_range_fn range, double a, double b)
{
    void *out = pleat_data_mut(t);
    if (!out)
        return NULL;
    pleat_random_work work = { out, pleat_dtype_of(t), state.seed, state.draws++, a, b };
    pleat_parallel_for(pleat_numel(t), GRAIN, range, &work);
    return t;
}

static bool is_float(const char *name, pleat_dtype dtype)
{
    if (dtype == PLEAT_F32 || dtype == PLEAT_F64)
        return true;
    pleat_fail(PLEAT_EDTYPE, "%s: dtype must be float32 or float64, not %s", name, pleat_dtype_name(dtype));
    return false;
}

pleat_tensor *pleat_rand(pleat_shape shape, pleat_dtype dtype)
{
    if (!is_float("rand", dtype))
        return NULL;
    pleat_tensor *t = empty("rand", shape, dtype);
    return t ? fill(t, uniform_range, 0, 1) : NULL;
}

pleat_tensor *pleat_randn(pleat_shape shape, pleat_dtype dtype)
{
    if (!is_float("randn", dtype))
        return NULL;
    pleat_tensor *t = empty("randn", shape, dtype);
    return t ? fill(t, normal_range, 0, 1) : NULL;
}

pleat_tensor *pleat_randint(int64_t low, int64_t high, pleat_shape shape)
{
    if (low >= high) {
        pleat_fail(PLEAT_EINVAL, "randint: low must be below high, not %lld and %lld", (long long)low, (long long)high);
        return NULL;
    }
    pleat_tensor *t = empty("randint", shape, PLEAT_I64);
    if (!t)
        return NULL;
    pleat_randint_work work = { pleat_data_mut(t), state.seed, state.draws++, low, (uint64_t)high - (uint64_t)low };
    pleat_parallel_for(pleat_numel(t), GRAIN, randint_range, &work);
    return t;
}

/* Fisher and Yates's shuffle: element i changes places with one of 0 .. i, which half a block picks. */
pleat_tensor *pleat_randperm(int64_t n)
{
    if (n < 0) {
        pleat_fail(PLEAT_EINVAL, "randperm: n must not be negative, not %lld", (long long)n);
        return NULL;
    }
    pleat_tensor *t = empty("randperm", PLEAT_SHAPE(n), PLEAT_I64);
    if (!t)
        return NULL;
    int64_t *p = pleat_data_mut(t);
    const uint64_t draw = state.draws++;
    uint32_t word[4];
    for (int64_t i = 0; i < n; i++) {
        if (i % 2 == 0)
            pleat_philox_block(state.seed, draw, (uint64_t)i / 2, word);
        const uint32_t *half = word + i % 2 * 2;
        const uint64_t j = pleat_high_product((uint64_t)half[0] << 32 | half[1], (uint64_t)i + 1);
        p[i] = p[j];
        p[j] = i;
    }
    return t;
}

/* A view that is not contiguous gets a copy of contiguous numbers: element i is the same whatever the strides. */
static pleat_tensor *in_place(const char *name, pleat_tensor *t, pleat_range_fn range, double a, double b)
{
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    if (!t) {
        pleat_fail(PLEAT_EINVAL, "%s: the tensor is NULL", name);
        return NULL;
    }
    if (!is_float(name, pleat_dtype_of(t)))
        return NULL;
    if (pleat_requires_grad(t) && pleat_grad_enabled()) {
        pleat_fail(PLEAT_EGRAD,
                   "%s: a tensor that requires a gradient can be changed only while the gradient mode is off", name);
        return NULL;
    }
    if (pleat_is_contiguous(t))
        return fill(t, range, a, b);
    pleat_scope scope = pleat_scope_begin();
    pleat_tensor *numbers = empty(name, pleat_shape_of(t), pleat_dtype_of(t));
    pleat_tensor *done = numbers && fill(numbers, range, a, b) ? pleat_copy_(t, numbers) : NULL;
    pleat_scope_end(scope);
    return done;
}

pleat_tensor *pleat_uniform_(pleat_tensor *t, double low, double high)
{
    if (!(low <= high) || !isfinite(high - low)) {
        pleat_fail(PLEAT_EINVAL, "uniform_: low must be at most high, both finite, not %g and %g", low, high);
        return NULL;
    }
    return in_place("uniform_", t, uniform_range, low, high);
}

pleat_tensor *pleat_normal_(pleat_tensor *t, double mean, double std)
{
    if (!(std >= 0) || !isfinite(std) || !isfinite(mean)) {
        pleat_fail(PLEAT_EINVAL, "normal_: mean must be finite and std 0 or more, not %g and %g", mean, std);
        return NULL;
    }
    return in_place("normal_", t, normal_range, mean, std);
}
