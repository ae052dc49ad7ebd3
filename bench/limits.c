/* What the machine can do at most: float32 multiply-adds per second, and bytes copied per second. */
#include "bench.h"

#include <pleat/op.h>

#include <stdlib.h>
#include <string.h>

/* ---- Multiply-adds: twelve independent accumulators hide the latency; the loop touches no memory ---- */

enum { ACCUMULATORS = 12, ITERATIONS = 200000 };
typedef void (*fma_fn)(float *out);

/* x and y are read from memory that the compiler cannot know, so the loop cannot be computed beforehand. */
static volatile float factor = 0.999f, addend = 0.001f;

#define FMA_LOOP(name, bytes, attribute)                                                                               \
    typedef float name##_vector __attribute__((vector_size(bytes)));                                                   \
    attribute static void name(float *out)                                                                             \
    {                                                                                                                  \
        const name##_vector x = (name##_vector){ 0 } + factor, y = (name##_vector){ 0 } + addend;                      \
        name##_vector a = y, b = a + y, c = b + y, d = c + y, e = d + y, f = e + y;                                    \
        name##_vector g = f + y, h = g + y, i = h + y, j = i + y, k = j + y, l = k + y;                                \
        for (int n = 0; n < ITERATIONS; n++) {                                                                         \
            a = a * x + y, b = b * x + y, c = c * x + y, d = d * x + y, e = e * x + y, f = f * x + y;                  \
            g = g * x + y, h = h * x + y, i = i * x + y, j = j * x + y, k = k * x + y, l = l * x + y;                  \
        }                                                                                                              \
        a += b + c + d + e + f + g + h + i + j + k + l;                                                                \
        *out = a[0];                                                                                                   \
    }
#if defined(__x86_64__)
FMA_LOOP(fma_avx512, 64, __attribute__((target("avx512f"))))
FMA_LOOP(fma_avx2, 32, __attribute__((target("avx2,fma"))))
#endif
FMA_LOOP(fma_generic, 16, )

typedef struct {
    const char *isa;
    int lanes;
    fma_fn fn;
} fma_loop;

static bool runs(const char *isa)
{
#if defined(__x86_64__)
    if (strcmp(isa, "avx512") == 0)
        return __builtin_cpu_supports("avx512f");
    if (strcmp(isa, "avx2") == 0)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return strcmp(isa, "generic") == 0;
}

static const fma_loop loops[] = {
#if defined(__x86_64__)
    { "avx512", 16, fma_avx512 },
    { "avx2", 8, fma_avx2 },
#endif
    { "generic", 4, fma_generic },
};
enum { LOOPS = sizeof loops / sizeof *loops };

/* The instruction set that the library has chosen (PLEAT_ISA may have told it to). */
static const fma_loop *chosen(void)
{
    const char *wanted = getenv("PLEAT_ISA");
    for (int i = 0; i < LOOPS; i++)
        if (runs(loops[i].isa) && (!wanted || !*wanted || strcmp(wanted, loops[i].isa) == 0))
            return &loops[i];
    return &loops[LOOPS - 1];
}

static double flops_of(const fma_loop *loop)
{
    return 2.0 * ITERATIONS * ACCUMULATORS * loop->lanes;
}

static void fma_range(int64_t begin, int64_t end, void *ctx)
{
    const fma_loop *loop = ctx;
    volatile float out;
    for (int64_t i = begin; i < end; i++) {
        float sum;
        loop->fn(&sum);
        out = sum;
    }
    (void)out;
}

static void fma_on(const fma_loop *loop, int threads)
{
    fma_loop mine = *loop;
    pleat_parallel_for(threads, 1, fma_range, &mine);
}

double bench_peak(int threads)
{
    double best = 0;
    for (int i = 0; i < 3; i++) {
        const double start = bench_seconds();
        fma_on(chosen(), threads);
        const double rate = flops_of(chosen()) * threads / (bench_seconds() - start) * 1e-9;
        best = rate > best ? rate : best;
    }
    return best;
}

static bool no_make(const bench_case *c)
{
    (void)c;
    return true;
}

static void fma_run(const bench_case *c)
{
    fma_on(&loops[c->arg[0]], pleat_threads());
}

/* ---- Copies: each thread its own block, or its share of one ---- */

enum { PIECE = 1 << 16 }; /* small enough for memcpy not to go around the caches */

static char *from, *to;

typedef struct {
    int64_t size, times; /* of a thread's block */
} copies;

static void copy_range(int64_t begin, int64_t end, void *ctx)
{
    const copies *w = ctx;
    for (int64_t i = begin; i < end; i++)
        for (int64_t n = 0; n < w->times; n++)
            for (int64_t at = 0; at < w->size; at += PIECE)
                memcpy(to + i * w->size + at, from + i * w->size + at, PIECE);
}

static bool copy_make(const bench_case *c)
{
    const size_t size = (size_t)c->arg[0] * (c->per_thread ? (size_t)bench_most_threads : 1);
    from = malloc(size);
    to = malloc(size);
    if (!from || !to)
        return pleat_fail(PLEAT_ENOMEM, "no memory for %zu bytes", 2 * size), false;
    memset(from, 1, size);
    memset(to, 1, size);
    return true;
}

static void copy_run(const bench_case *c)
{
    const int threads = pleat_threads();
    copies w = { c->per_thread ? c->arg[0] : c->arg[0] / threads / PIECE * PIECE, c->arg[1] };
    pleat_parallel_for(threads, 1, copy_range, &w);
}

static void copy_drop(const bench_case *c)
{
    (void)c;
    free(from);
    free(to);
    from = to = NULL;
}

void bench_add_limits(void)
{
    for (int i = 0; i < LOOPS; i++) {
        if (!runs(loops[i].isa))
            continue;
        bench_case *c = bench_add("limit.fma", "float32 %s", loops[i].isa);
        c->flops = flops_of(&loops[i]);
        c->per_thread = true;
        c->arg[0] = i;
        c->make = no_make;
        c->run = fma_run;
    }
    static const struct {
        const char *name;
        int64_t size, times;
        bool per_thread;
    } copy[] = { { "DRAM 2x128 MiB", 128 << 20, 1, false }, { "L2 2x256 KiB a thread", 256 << 10, 64, true } };
    for (int i = 0; i < 2; i++) {
        bench_case *c = bench_add("limit.copy", "%s", copy[i].name);
        c->bytes = 2.0 * (double)copy[i].size * (double)copy[i].times;
        c->per_thread = copy[i].per_thread;
        c->arg[0] = copy[i].size;
        c->arg[1] = copy[i].times;
        c->make = copy_make;
        c->run = copy_run;
        c->drop = copy_drop;
    }
}
