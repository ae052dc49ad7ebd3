/* Strided copies and sums: the last dimension is the inner loop, one typed loop per dtype or pair of dtypes. */
#include "kernels/copy.h"

#include <string.h>

#define PLEAT_FLOAT 32
#include "kernels/simd.h"
/* simd.h's names first */
#include "kernels/copy_body.h"
#undef PLEAT_FLOAT
#define PLEAT_FLOAT 64
#include "kernels/simd.h"
/* simd.h's names first */
#include "kernels/copy_body.h"

/* Out of an integer's range there is no C conversion, so the bounds are looked at first; they are exact in double. */
static inline int64_t to_i64(double v)
{
    return v != v ? 0 : v >= 9223372036854775808.0 ? INT64_MAX : v <= -9223372036854775808.0 ? INT64_MIN : (int64_t)v;
}

static inline uint8_t to_u8(double v)
{
    return (uint8_t)(v != v || v <= 0 ? 0 : v >= 255 ? 255 : (int)v);
}

#define AS_IS(T, v) ((T)(v))
#define TO_I64(T, v) to_i64((double)(v))
#define TO_U8(T, v) to_u8((double)(v))
/* Between integers C's own conversions serve; int64 to uint8 wraps, as in NumPy. */
#define ROW(name, TO, FROM, CONVERT)                                                                                   \
    static void name(void *to, int64_t ts, const void *from, int64_t fs, int64_t n)                                    \
    {                                                                                                                  \
        TO *t = to;                                                                                                    \
        const FROM *f = from;                                                                                          \
        if (ts == 1 && fs == 1)                                                                                        \
            for (int64_t i = 0; i < n; i++)                                                                            \
                t[i] = CONVERT(TO, f[i]);                                                                              \
        else if (ts == 1 && fs == 0)                                                                                   \
            for (int64_t i = 0; i < n; i++)                                                                            \
                t[i] = CONVERT(TO, *f);                                                                                \
        else                                                                                                           \
            for (int64_t i = 0; i < n; i++)                                                                            \
                t[i * ts] = CONVERT(TO, f[i * fs]);                                                                    \
    }

ROW(f32_from_f32, float, float, AS_IS)
ROW(f32_from_f64, float, double, AS_IS)
ROW(f32_from_i64, float, int64_t, AS_IS)
ROW(f32_from_u8, float, uint8_t, AS_IS)
ROW(f64_from_f32, double, float, AS_IS)
ROW(f64_from_f64, double, double, AS_IS)
ROW(f64_from_i64, double, int64_t, AS_IS)
ROW(f64_from_u8, double, uint8_t, AS_IS)
ROW(i64_from_f32, int64_t, float, TO_I64)
ROW(i64_from_f64, int64_t, double, TO_I64)
ROW(i64_from_i64, int64_t, int64_t, AS_IS)
ROW(i64_from_u8, int64_t, uint8_t, AS_IS)
ROW(u8_from_f32, uint8_t, float, TO_U8)
ROW(u8_from_f64, uint8_t, double, TO_U8)
ROW(u8_from_i64, uint8_t, int64_t, AS_IS)
ROW(u8_from_u8, uint8_t, uint8_t, AS_IS)

typedef void (*row_fn)(void *to, int64_t ts, const void *from, int64_t fs, int64_t n);

static const row_fn rows[5][5] = {
    [PLEAT_F32] = { [PLEAT_F32] = f32_from_f32,
                    [PLEAT_F64] = f32_from_f64,
                    [PLEAT_I64] = f32_from_i64,
                    [PLEAT_U8] = f32_from_u8 },
    [PLEAT_F64] = { [PLEAT_F32] = f64_from_f32,
                    [PLEAT_F64] = f64_from_f64,
                    [PLEAT_I64] = f64_from_i64,
                    [PLEAT_U8] = f64_from_u8 },
    [PLEAT_I64] = { [PLEAT_F32] = i64_from_f32,
                    [PLEAT_F64] = i64_from_f64,
                    [PLEAT_I64] = i64_from_i64,
                    [PLEAT_U8] = i64_from_u8 },
    [PLEAT_U8] = { [PLEAT_F32] = u8_from_f32,
                   [PLEAT_F64] = u8_from_f64,
                   [PLEAT_I64] = u8_from_i64,
                   [PLEAT_U8] = u8_from_u8 },
};
static const int64_t width[5] = { [PLEAT_F32] = 4, [PLEAT_F64] = 8, [PLEAT_I64] = 8, [PLEAT_U8] = 1 };

typedef void (*add_fn)(void *to, int64_t ts, const void *from, int64_t fs, int64_t n, double scale);

#define ADD(name, T, S, CONVERT)                                                                                       \
    static void name(void *to, int64_t ts, const void *from, int64_t fs, int64_t n, double scale)                      \
    {                                                                                                                  \
        T *t = to;                                                                                                     \
        const T *f = from;                                                                                             \
        const S s = (S)scale;                                                                                          \
        if (ts == 1 && fs == 1)                                                                                        \
            for (int64_t i = 0; i < n; i++)                                                                            \
                t[i] = CONVERT(T, (S)t[i] + s * (S)f[i]);                                                              \
        else                                                                                                           \
            for (int64_t i = 0; i < n; i++)                                                                            \
                t[i * ts] = CONVERT(T, (S)t[i * ts] + s * (S)f[i * fs]);                                               \
    }

ADD(add_f32, float, float, AS_IS)
ADD(add_f64, double, double, AS_IS)
ADD(add_i64, int64_t, double, TO_I64)
ADD(add_u8, uint8_t, double, TO_U8)

static const add_fn adds[5] = {
    [PLEAT_F32] = add_f32, [PLEAT_F64] = add_f64, [PLEAT_I64] = add_i64, [PLEAT_U8] = add_u8
};

/* Calls row on each piece of a row that [begin, end) has: how a strided range is walked. */
static inline void walk(const pleat_copy_work *w, int64_t begin, int64_t end, double scale, row_fn copy_row,
                        add_fn add_row)
{
    const int64_t tw = width[w->to_dtype], fw = width[w->from_dtype];
    const int last = w->ndim - 1;

    /* the index of begin, and where it lies in both arrays */
    int64_t index[PLEAT_MAX_DIMS], t = 0, f = 0, rest = begin;
    for (int d = last; d >= 0; d--) {
        index[d] = rest % w->dim[d];
        rest /= w->dim[d];
        t += index[d] * w->to_stride[d];
        f += index[d] * w->from_stride[d];
    }
    while (begin < end) {
        const int64_t left = w->dim[last] - index[last], n = left < end - begin ? left : end - begin;
        char *to = (char *)w->to + t * tw;
        const char *from = (const char *)w->from + f * fw;
        if (copy_row)
            copy_row(to, w->to_stride[last], from, w->from_stride[last], n);
        else
            add_row(to, w->to_stride[last], from, w->from_stride[last], n, scale);
        begin += n;
        t -= index[last] * w->to_stride[last];
        f -= index[last] * w->from_stride[last];
        index[last] = 0;
        for (int d = last - 1; d >= 0; d--) {
            t += w->to_stride[d];
            f += w->from_stride[d];
            if (++index[d] < w->dim[d])
                break;
            t -= index[d] * w->to_stride[d];
            f -= index[d] * w->from_stride[d];
            index[d] = 0;
        }
    }
}

static void copy(const pleat_copy_work *w, int64_t begin, int64_t end)
{
    row_fn row = rows[w->to_dtype][w->from_dtype];
    const int last = w->ndim - 1;
    if (w->to_dtype == w->from_dtype && w->to_dtype != PLEAT_U8 && w->to_stride[last] == 1 &&
        w->from_stride[last] == -1)
        row = width[w->to_dtype] == 4 ? reverse_f32 : reverse_f64; /* int64 as well: its bits are only moved */
    if (w->to_dtype != w->from_dtype || w->to_dtype == PLEAT_U8 || last == 0 || w->to_stride[last] != 1 ||
        w->from_stride[last] == 1 || w->from_stride[last - 1] != 1) {
        walk(w, begin, end, 0, row, NULL);
        return;
    }
    /* the last two dimensions are a matrix that lies transposed in `from`: whole rows go by squares */
    const int64_t columns = w->dim[last], lines = w->dim[last - 1];
    while (begin < end) {
        const int64_t column = begin % columns, line = begin / columns % lines;
        const int64_t whole = column ? 0 : (end - begin) / columns, n = whole < lines - line ? whole : lines - line;
        if (n == 0) { /* a piece of a row */
            const int64_t stop = end - begin < columns - column ? end : begin + columns - column;
            walk(w, begin, stop, 0, row, NULL);
            begin = stop;
            continue;
        }
        int64_t t = line * w->to_stride[last - 1], f = line, rest = begin / columns / lines;
        for (int d = last - 2; d >= 0; d--) {
            t += rest % w->dim[d] * w->to_stride[d];
            f += rest % w->dim[d] * w->from_stride[d];
            rest /= w->dim[d];
        }
        if (width[w->to_dtype] == 4)
            squares_f32((float *)w->to + t, w->to_stride[last - 1], (const float *)w->from + f, w->from_stride[last], n,
                        columns);
        else
            squares_f64((double *)w->to + t, w->to_stride[last - 1], (const double *)w->from + f, w->from_stride[last],
                        n, columns);
        begin += n * columns;
    }
}

static void add_scaled(const pleat_copy_work *w, double scale, int64_t begin, int64_t end)
{
    walk(w, begin, end, scale, NULL, adds[w->to_dtype]);
}

static void fill(void *to, pleat_dtype dtype, double value, int64_t n)
{
    rows[dtype][PLEAT_F64](to, 1, &value, 0, n);
}

const struct pleat_copy_kernels PLEAT_K(copy_kernels) = { .copy = copy, .add_scaled = add_scaled, .fill = fill };
