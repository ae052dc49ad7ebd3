/* Tensors with random strides, and elements read one at a time: what naive oracles are made of. */
#ifndef PLEAT_TEST_VIEWS_H
#define PLEAT_TEST_VIEWS_H

#include <pleat/op.h>
#include <pleat/pleat.h>

/* Normal numbers (or of an integer type, few different ones) in a view of the given shape: contiguous, transposed, cut
 * out of something larger, every other element, or (where dimensions are 1 or the view is not to be written) repeated.
 * kind counts them from 0. */
enum { VIEW_KINDS = 5 };
pleat_tensor *random_view(pleat_shape shape, pleat_dtype dtype, int kind);

/* Element i, counted row-major over shape, of t broadcast to it. */
double element(const pleat_tensor *t, pleat_shape shape, int64_t i);

/* A reduction over the dimensions that the mask has: as its argument, and the shapes of the result without and with
 * them. */
typedef struct {
    pleat_dims dims;
    pleat_shape dropped, kept;
} reduction;
reduction reduction_of(pleat_shape shape, unsigned mask);

/* The result that element i, counted row-major over shape, goes into. */
int64_t result_of(pleat_shape shape, unsigned mask, int64_t i);

/* The same bits, wherever they lie. */
bool same_bits(const pleat_tensor *a, const pleat_tensor *b);

#endif
