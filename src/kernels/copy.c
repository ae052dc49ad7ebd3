/* Strided copies and sums, by blocks: lines of the last dimension, as many as the one before it has, one function per
 * dtype or pair of dtypes. */
#include "kernels/copy.h"

#include <string.h>

#define BLOCK_BYTES (2 << 10)

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
#define BLOCK(name, TO, FROM, CONVERT)                                                                                 \
    static void name(void *to, int64_t tl, int64_t ts, const void *from, int64_t fl, int64_t fs, int64_t lines,        \
                     int64_t n)                                                                                        \
    {                                                                                                                  \
        TO *t = to;                                                                                                    \
        const FROM *f = from;                                                                                          \
        for (int64_t l = 0; l < lines; l++, t += tl, f += fl)                                                          \
            if (ts == 1 && fs == 1)                                                                                    \
                for (int64_t i = 0; i < n; i++)                                                                        \
                    t[i] = CONVERT(TO, f[i]);                                                                          \
            else if (ts == 1 && fs == 0)                                                                               \
                for (int64_t i = 0; i < n; i++)                                                                        \
                    t[i] = CONVERT(TO, *f);                                                                            \
            else                                                                                                       \
                for (int64_t i = 0; i < n; i++)                                                                        \
                    t[i * ts] = CONVERT(TO, f[i * fs]);                                                                \
    }

BLOCK(f32_from_f32, float, float, AS_IS)
BLOCK(f32_from_f64, float, double, AS_IS)
BLOCK(f32_from_i64, float, int64_t, AS_IS)
BLOCK(f32_from_u8, float, uint8_t, AS_IS)
BLOCK(f64_from_f32, double, float, AS_IS)
BLOCK(f64_from_f64, double, double, AS_IS)
BLOCK(f64_from_i64, double, int64_t, AS_IS)
BLOCK(f64_from_u8, double, uint8_t, AS_IS)
BLOCK(i64_from_f32, int64_t, float, TO_I64)
BLOCK(i64_from_f64, int64_t, double, TO_I64)
BLOCK(i64_from_i64, int64_t, int64_t, AS_IS)
BLOCK(i64_from_u8, int64_t, uint8_t, AS_IS)
BLOCK(u8_from_f32, uint8_t, float, TO_U8)
BLOCK(u8_from_f64, uint8_t, double, TO_U8)
BLOCK(u8_from_i64, uint8_t, int64_t, AS_IS)
BLOCK(u8_from_u8, uint8_t, uint8_t, AS_IS)

/* `lines` lines of n elements; from one line to the next tl and fl elements, within a line ts and fs. */
typedef void (*block_fn)(void *to, int64_t tl, int64_t ts, const void *from, int64_t fl, int64_t fs, int64_t lines,
                         int64_t n);

static const block_fn blocks[5][5] = {
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

typedef void (*add_fn)(void *to, int64_t tl, int64_t ts, const void *from, int64_t fl, int64_t fs, int64_t lines,
                       int64_t n, double scale);

#define ADD(name, T, S, CONVERT)                                                                                       \
    static void name(void *to, int64_t tl, int64_t ts, const void *from, int64_t fl, int64_t fs, int64_t lines,        \
                     int64_t n, double scale)                                                                          \
    {                                                                                                                  \
        T *t = to;                                                                                                     \
        const T *f = from;                                                                                             \
        const S s = (S)scale;                                                                                          \
        for (int64_t l = 0; l < lines; l++, t += tl, f += fl)                                                          \
            if (ts == 1 && fs == 1)                                                                                    \
                for (int64_t i = 0; i < n; i++)                                                                        \
                    t[i] = CONVERT(T, (S)t[i] + s * (S)f[i]);                                                          \
            else                                                                                                       \
                for (int64_t i = 0; i < n; i++)                                                                        \
                    t[i * ts] = CONVERT(T, (S)t[i * ts] + s * (S)f[i * fs]);                                           \
    }

ADD(add_f32, float, float, AS_IS)
ADD(add_f64, double, double, AS_IS)
ADD(add_i64, int64_t, double, TO_I64)
ADD(add_u8, uint8_t, double, TO_U8)

static const add_fn adds[5] = {
    [PLEAT_F32] = add_f32, [PLEAT_F64] = add_f64, [PLEAT_I64] = add_i64, [PLEAT_U8] = add_u8
};

/* Calls copy_block, or add_block, on the blocks of whole lines and the pieces of lines that [begin, end) has. */
static inline void walk(const pleat_copy_work *w, int64_t begin, int64_t end, double scale, block_fn copy_block,
                        add_fn add_block)
{
    const int64_t tw = width[w->to_dtype], fw = width[w->from_dtype];
    const int last = w->ndim - 1;
    const int64_t columns = w->dim[last], ts = w->to_stride[last], fs = w->from_stride[last];
    const int64_t tl = last > 0 ? w->to_stride[last - 1] : 0, fl = last > 0 ? w->from_stride[last - 1] : 0;

    /* the index of begin, and where its line lies in both arrays */
    int64_t index[PLEAT_MAX_DIMS] = { 0 }, t = 0, f = 0, rest = begin / columns, column = begin % columns;
    for (int d = last - 1; d >= 0; d--) {
        index[d] = rest % w->dim[d];
        rest /= w->dim[d];
        t += index[d] * w->to_stride[d];
        f += index[d] * w->from_stride[d];
    }
    while (begin < end) {
        int64_t lines = last > 0 ? w->dim[last - 1] - index[last - 1] : 1, n = columns;
        if (column > 0 || end - begin < columns) {
            lines = 1;
            n = least(columns - column, end - begin);
        } else if (lines * columns > end - begin)
            lines = (end - begin) / columns;
        char *to = (char *)w->to + (t + column * ts) * tw;
        const char *from = (const char *)w->from + (f + column * fs) * fw;
        if (copy_block)
            copy_block(to, tl, ts, from, fl, fs, lines, n);
        else
            add_block(to, tl, ts, from, fl, fs, lines, n, scale);
        begin += lines * n;
        column = 0;
        for (int d = last - 1; d >= 0; d--, lines = 1) {
            t += lines * w->to_stride[d];
            f += lines * w->from_stride[d];
            index[d] += lines;
            if (index[d] < w->dim[d])
                break;
            t -= index[d] * w->to_stride[d];
            f -= index[d] * w->from_stride[d];
            index[d] = 0;
        }
    }
}

static void copy(const pleat_copy_work *w, int64_t begin, int64_t end)
{
    block_fn block = blocks[w->to_dtype][w->from_dtype];
    const int last = w->ndim - 1;
    if (w->to_dtype == w->from_dtype && w->to_dtype != PLEAT_U8 && w->to_stride[last] == 1) {
        const bool narrow = width[w->to_dtype] == 4; /* int64 goes as float64: its bits are only moved */
        if (w->from_stride[last] == 1)
            block = narrow ? plain_f32 : plain_f64;
        else if (w->from_stride[last] == -1)
            block = narrow ? reverse_f32 : reverse_f64;
        else if (w->from_stride[last] == 0)
            block = narrow ? repeat_f32 : repeat_f64;
        else if (last > 0 && w->from_stride[last - 1] == 1)
            block = narrow ? squares_f32 : squares_f64;
    }
    walk(w, begin, end, 0, block, NULL);
}

static void add_scaled(const pleat_copy_work *w, double scale, int64_t begin, int64_t end)
{
    walk(w, begin, end, scale, NULL, adds[w->to_dtype]);
}

static void join(const pleat_join_work *w, int64_t begin, int64_t end)
{
    (width[w->dtype] == 4 ? join_f32 : join_f64)(w, begin, end);
}

static void fill(void *to, pleat_dtype dtype, double value, int64_t n)
{
    blocks[dtype][PLEAT_F64](to, 0, 1, &value, 0, 0, 1, n);
}

const struct pleat_copy_kernels
    PLEAT_K(copy_kernels) = { .copy = copy, .add_scaled = add_scaled, .join = join, .fill = fill };
