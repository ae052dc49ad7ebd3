/* The benchmark's parts: cases (ops.c, nets.c, limits.c) and what runs them (pleat_bench.c). One case is alive at a
 * time, so each file keeps what its case works on in a variable of its own. */
#ifndef PLEAT_BENCH_H
#define PLEAT_BENCH_H

#include <pleat/pleat.h>

typedef struct bench_case bench_case;
struct bench_case {
    char op[32], text[64];
    double flops, bytes;               /* of one call: what it must at least compute and move; 0: not counted */
    bool per_thread;                   /* every thread does that much */
    bool memory;                       /* the peak of resident memory is of interest */
    bool (*make)(const bench_case *c); /* in a scope that ends after drop; false: the library's error says why */
    void (*run)(const bench_case *c);  /* one call */
    void (*drop)(const bench_case *c); /* may be NULL */
    /* What the files put in for themselves. */
    pleat_tensor *(*fn)(const bench_case *c, pleat_tensor *const *in);
    pleat_shape shape[3];
    const char *kinds; /* of ops: of their inputs, a letter each */
    int64_t arg[4];
};

/* Appends a case; the caller fills in the rest. Exits where there is no memory. */
bench_case *bench_add(const char *op, const char *text, ...) PLEAT_PRINTF(2, 3);

void bench_add_limits(void);
void bench_add_ops(void);
void bench_add_nets(void);

/* Fused multiply-adds in registers on so many threads for about half a millisecond: GFLOP/s. */
double bench_peak(int threads);

double bench_seconds(void);

extern int bench_most_threads; /* of the run */

#endif
