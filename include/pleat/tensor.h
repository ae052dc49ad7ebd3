/* Tensors: reference-counted views (shape, strides, offset) of reference-counted storages. Row-major; images NCHW.
 * Where nothing else is said a returned tensor is borrowed from the innermost scope (scope.h), and NULL means an error
 * (error.h). */
#ifndef PLEAT_TENSOR_H
#define PLEAT_TENSOR_H

#include <pleat/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pleat_tensor pleat_tensor;

/* ---- Create ---- */

PLEAT_API pleat_tensor *pleat_empty(pleat_shape shape, pleat_dtype dtype); /* elements undefined */
PLEAT_API pleat_tensor *pleat_zeros(pleat_shape shape, pleat_dtype dtype);
PLEAT_API pleat_tensor *pleat_ones(pleat_shape shape, pleat_dtype dtype);
PLEAT_API pleat_tensor *pleat_full(pleat_shape shape, double value, pleat_dtype dtype);
PLEAT_API pleat_tensor *pleat_scalar(double value, pleat_dtype dtype); /* no dimension */
/* start, start + step, ... below end (above, where step < 0): ceil((end - start) / step) elements. */
PLEAT_API pleat_tensor *pleat_arange(double start, double end, double step, pleat_dtype dtype);
/* Both ends included. */
PLEAT_API pleat_tensor *pleat_linspace(double start, double end, int64_t steps, pleat_dtype dtype);
PLEAT_API pleat_tensor *pleat_eye(int64_t rows, int64_t columns, pleat_dtype dtype);
/* A copy of numel elements, row-major. */
PLEAT_API pleat_tensor *pleat_from_data(const void *data, pleat_shape shape, pleat_dtype dtype);

/* ---- Own ---- */

PLEAT_API pleat_tensor *pleat_retain(pleat_tensor *t); /* returns t; NULL passes through */
PLEAT_API void pleat_release(pleat_tensor *t);         /* NULL is allowed */

/* ---- Ask (these work while an error is pending) ---- */

PLEAT_API pleat_shape pleat_shape_of(const pleat_tensor *t); /* of NULL: an invalid shape, ndim -1 */
PLEAT_API int pleat_ndim(const pleat_tensor *t);
PLEAT_API int64_t pleat_size(const pleat_tensor *t, int dim);   /* negative dim from the end; -1 where there is none */
PLEAT_API int64_t pleat_stride(const pleat_tensor *t, int dim); /* in elements */
PLEAT_API int64_t pleat_numel(const pleat_tensor *t);           /* of NULL: 0 */
PLEAT_API pleat_dtype pleat_dtype_of(const pleat_tensor *t);
PLEAT_API bool pleat_is_contiguous(const pleat_tensor *t);
PLEAT_API bool pleat_shares_storage(const pleat_tensor *a, const pleat_tensor *b);

/* The elements, to read: row-major, numel of them. An error where the view is not contiguous, or (the typed ones) of
 * another dtype. Valid as long as the tensor. An empty tensor has a valid pointer too. */
PLEAT_API const void *pleat_data(const pleat_tensor *t);
PLEAT_API const float *pleat_data_f32(const pleat_tensor *t);
PLEAT_API const double *pleat_data_f64(const pleat_tensor *t);
PLEAT_API const int64_t *pleat_data_i64(const pleat_tensor *t);
PLEAT_API const uint8_t *pleat_data_u8(const pleat_tensor *t);

/* The elements, to write. Counts a change of the storage, so that a gradient that needs what was there says so. */
PLEAT_API void *pleat_data_mut(pleat_tensor *t);

/* For ops that take strided inputs: the first element's address, whatever the strides; pleat_data without its rule. */
PLEAT_API const void *pleat_data_strided(const pleat_tensor *t);

/* The value of a tensor with one element, as double; NaN with an error pending where it has not one element. */
PLEAT_API double pleat_item(const pleat_tensor *t);
/* The element at the index (ndim of them), as double. */
PLEAT_API double pleat_at(const pleat_tensor *t, const int64_t *index);

/* ---- Compare and print ---- */

/* |a - b| <= atol + rtol * |b| everywhere, NaN nowhere; false where shapes or dtypes differ. An error only for NULL. */
PLEAT_API bool pleat_allclose(const pleat_tensor *a, const pleat_tensor *b, double rtol, double atol);
PLEAT_API bool pleat_equal(const pleat_tensor *a, const pleat_tensor *b); /* same shape, dtype and elements */

/* As NumPy prints: nested brackets, 8 significant digits at most, long ones summarised beyond 1000 elements. Writes at
 * most size bytes, '\0' included, and returns the length of the whole text (without '\0'), as snprintf does. */
PLEAT_API int64_t pleat_to_string(const pleat_tensor *t, char *buffer, size_t size);

/* ---- Change in place, outside the tape: return t. An error on a tensor that requires a gradient while the gradient
 * mode is on, and on a view whose elements overlap (expand). ---- */

PLEAT_API pleat_tensor *pleat_fill_(pleat_tensor *t, double value);
PLEAT_API pleat_tensor *pleat_zero_(pleat_tensor *t);
PLEAT_API pleat_tensor *pleat_copy_(pleat_tensor *t, const pleat_tensor *from); /* broadcast to t; any dtype */
PLEAT_API pleat_tensor *pleat_add_(pleat_tensor *t, const pleat_tensor *other, double scale); /* t += scale * other */
PLEAT_API pleat_tensor *pleat_scale_(pleat_tensor *t, double factor);                         /* t *= factor */

#ifdef __cplusplus
}
#endif
#endif
