/* Convolutions as the formulas of pleat/ops.h say, in loops, in double: the oracle. Tensors are read element by
 * element, so any view will do. */
#ifndef PLEAT_TEST_CONV_ORACLE_H
#define PLEAT_TEST_CONV_ORACLE_H

#include "support/views.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    pleat_hw stride, padding, dilation;
    int64_t groups;
} oracle_opts;

typedef struct {
    int64_t n, c, h, w, o, kh, kw, oh, ow;
} oracle_sizes;

/* The terms x[n, c, r, s] w[o, c', i, j] of y[n, o, p, q], one by one: fn is called with the flat indices of each. */
static void oracle_terms(const oracle_sizes *z, const oracle_opts *f,
                         void (*fn)(void *to, int64_t x, int64_t w, int64_t y), void *to)
{
    const int64_t cg = z->c / f->groups, og = z->o / f->groups;
    for (int64_t n = 0; n < z->n; n++)
        for (int64_t o = 0; o < z->o; o++)
            for (int64_t p = 0; p < z->oh; p++)
                for (int64_t q = 0; q < z->ow; q++)
                    for (int64_t c = 0; c < cg; c++)
                        for (int64_t i = 0; i < z->kh; i++)
                            for (int64_t j = 0; j < z->kw; j++) {
                                const int64_t r = p * f->stride.h + i * f->dilation.h - f->padding.h;
                                const int64_t s = q * f->stride.w + j * f->dilation.w - f->padding.w;
                                if (r >= 0 && r < z->h && s >= 0 && s < z->w)
                                    fn(to, ((n * z->c + o / og * cg + c) * z->h + r) * z->w + s,
                                       ((o * cg + c) * z->kh + i) * z->kw + j,
                                       ((n * z->o + o) * z->oh + p) * z->ow + q);
                            }
}

/* All three of the triad: y += x w, x += y w, w += x y. */
typedef struct {
    double *x, *w, *y;
    int result; /* 'x', 'w' or 'y' */
} oracle_arrays;

static void oracle_add(void *to, int64_t x, int64_t w, int64_t y)
{
    const oracle_arrays *a = to;
    if (a->result == 'y')
        a->y[y] += a->x[x] * a->w[w];
    else if (a->result == 'x')
        a->x[x] += a->y[y] * a->w[w];
    else
        a->w[w] += a->x[x] * a->y[y];
}

/* A tensor's elements in double, in a new block; zeros for NULL. */
static double *oracle_read(const pleat_tensor *t, int64_t n)
{
    double *to = calloc((size_t)n + 1, sizeof *to);
    for (int64_t i = 0; t && i < n; i++)
        to[i] = element(t, pleat_shape_of(t), i);
    return to;
}

/* Holds `got` against the oracle; x, w, y are the operands, the one that is the result NULL. bias may be NULL, and is
 * added to what has `channels` (of `plane` elements each). */
static void oracle_compare(const char *what, const pleat_tensor *got, const oracle_sizes *z, const oracle_opts *f,
                           const pleat_tensor *x, const pleat_tensor *w, const pleat_tensor *y,
                           const pleat_tensor *bias)
{
    ck_assert_msg(got != NULL, "%s: %s", what, pleat_error());
    const int64_t nx = z->n * z->c * z->h * z->w, nw = z->o * (z->c / f->groups) * z->kh * z->kw,
                  ny = z->n * z->o * z->oh * z->ow;
    oracle_arrays a = { oracle_read(x, nx), oracle_read(w, nw), oracle_read(y, ny), !x ? 'x' : !w ? 'w' : 'y' };
    double *const want = a.result == 'x' ? a.x : a.result == 'w' ? a.w : a.y;
    const int64_t count = a.result == 'x' ? nx : a.result == 'w' ? nw : ny;
    oracle_terms(z, f, oracle_add, &a);
    const int64_t channels = a.result == 'x' ? z->c : z->o, plane = a.result == 'x' ? z->h * z->w : z->oh * z->ow;
    for (int64_t i = 0; bias && i < count; i++)
        want[i] += element(bias, pleat_shape_of(bias), i / plane % channels);
    ck_assert_msg(pleat_numel(got) == count, "%s: %lld elements, not %lld", what, (long long)pleat_numel(got),
                  (long long)count);
    double largest = 1;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(want[i]));
    const double tolerance = (pleat_dtype_of(got) == PLEAT_F32 ? 2e-5 : 1e-12) * largest;
    for (int64_t i = 0; i < count; i++) {
        const double value = element(got, pleat_shape_of(got), i);
        ck_assert_msg(fabs(value - want[i]) <= tolerance, "%s: element %lld is %.17g, not %.17g", what, (long long)i,
                      value, want[i]);
    }
    free(a.x);
    free(a.w);
    free(a.y);
}

/* Small numbers for configurations; the same each run. */
static inline int64_t oracle_draw(uint64_t *state, int64_t low, int64_t high)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return low + (int64_t)(*state >> 33) % (high - low + 1);
}

#endif
