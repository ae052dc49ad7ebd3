/* The words that every other header uses: status codes, dtypes, shapes, pairs, lists of dimensions. */
#ifndef PLEAT_BASE_H
#define PLEAT_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
#include <initializer_list>
#endif

#if defined(__GNUC__) || defined(__clang__)
#define PLEAT_API __attribute__((visibility("default")))
#define PLEAT_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define PLEAT_API
#define PLEAT_PRINTF(text, first)
#endif

#define PLEAT_VERSION_MAJOR 0
#define PLEAT_VERSION_MINOR 1
#define PLEAT_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

/* What a function that returns no object returns. */
typedef enum {
    PLEAT_OK = 0,
    PLEAT_EINVAL, /* an argument out of its range, a NULL where none is allowed */
    PLEAT_ESHAPE, /* shapes that do not fit */
    PLEAT_EDTYPE, /* a dtype the function does not take, or dtypes mixed */
    PLEAT_ENOMEM, /* no memory, or more asked for than the cap allows */
    PLEAT_EGRAD,  /* no history, ended or spent history, a kept tensor changed in place, a gradient check that failed */
    PLEAT_ESCOPE, /* a scope that has ended, or is another thread's */
    PLEAT_EIO,    /* a file that cannot be read or written, or does not hold what it should */
    PLEAT_ELOOKUP, /* a name that is not there */
    PLEAT_ENUMERIC /* a NaN or an infinity, where anomaly mode looks for them */
} pleat_status;

/* "PLEAT_ESHAPE" and so on; never NULL. */
PLEAT_API const char *pleat_status_name(pleat_status status);

/* "0.1.0": of the library that runs, where the macros are of the header that was compiled. */
PLEAT_API const char *pleat_version(void);

/* float32 to train, float64 to check gradients, int64 for labels and indices, uint8 for images and masks. */
typedef enum { PLEAT_F32 = 1, PLEAT_F64, PLEAT_I64, PLEAT_U8 } pleat_dtype;

PLEAT_API const char *pleat_dtype_name(pleat_dtype dtype); /* "float32"; "invalid" where it is none */
PLEAT_API size_t pleat_dtype_size(pleat_dtype dtype);      /* bytes of an element; 0 where it is none */

#define PLEAT_MAX_DIMS 8

/* Sizes, outermost first. A shape by value: PLEAT_SHAPE(8, 3, 32, 32); PLEAT_SHAPE() has no dimension and one element.
 * With more than PLEAT_MAX_DIMS sizes ndim says so, and whatever takes a shape refuses it. */
typedef struct {
    int ndim;
    int64_t dim[PLEAT_MAX_DIMS];
} pleat_shape;

PLEAT_API pleat_shape pleat_shape_make(int ndim, const int64_t *dim);

/* The number of elements: 1 for no dimension; -1 where the shape is invalid or the product overflows. */
PLEAT_API int64_t pleat_shape_numel(pleat_shape shape);
PLEAT_API bool pleat_shape_equal(pleat_shape a, pleat_shape b);

/* "(8, 3, 32, 32)", for messages; valid until the end of the full expression that calls it. */
typedef struct {
    char text[176];
} pleat_text;
PLEAT_API pleat_text pleat_shape_text(pleat_shape shape);

/* A pair of height and width. */
typedef struct {
    int64_t h, w;
} pleat_hw;

/* A list of dimensions: PLEAT_DIMS(0, 2, 3); -1 is the last. PLEAT_DIMS() means all of them. */
typedef struct {
    int count;
    int dim[PLEAT_MAX_DIMS];
} pleat_dims;

PLEAT_API pleat_dims pleat_dims_make(int count, const int *dim);

#ifdef __cplusplus
}
inline pleat_shape pleat_shape_list(std::initializer_list<int64_t> d)
{
    return pleat_shape_make(static_cast<int>(d.size()), d.begin());
}
inline pleat_dims pleat_dims_list(std::initializer_list<int> d)
{
    return pleat_dims_make(static_cast<int>(d.size()), d.begin());
}
#define PLEAT_SHAPE(...) pleat_shape_list({ __VA_ARGS__ })
#define PLEAT_DIMS(...) pleat_dims_list({ __VA_ARGS__ })
#else
/* The leading 0 makes an empty list legal; it is not counted. */
#define PLEAT_SHAPE(...)                                                                                               \
    pleat_shape_make((int)(sizeof((int64_t[]){ 0, __VA_ARGS__ }) / sizeof(int64_t)) - 1,                               \
                     (int64_t[]){ 0, __VA_ARGS__ } + 1)
#define PLEAT_DIMS(...)                                                                                                \
    pleat_dims_make((int)(sizeof((int[]){ 0, __VA_ARGS__ }) / sizeof(int)) - 1, (int[]){ 0, __VA_ARGS__ } + 1)
#endif

#endif
