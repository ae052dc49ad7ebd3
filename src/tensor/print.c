/* Tensors as text, the way NumPy prints them. */
#include "tensor/error.h"
#include "tensor/tensor.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SUMMARY_ABOVE = 1000, EDGE = 3, DIGITS = 8, LINE = 75 };

/* Text that may not fit: what does is written, all of it is counted. */
typedef struct {
    char *buffer;
    size_t size;
    int64_t length, column;
} text;

static void put(text *t, const char *s)
{
    for (; *s; s++) {
        if ((size_t)t->length + 1 < t->size)
            t->buffer[t->length] = *s;
        t->length++;
        t->column = *s == '\n' ? 0 : t->column + 1;
    }
}

static void put_spaces(text *t, int64_t n)
{
    while (n-- > 0)
        put(t, " ");
}

/* How the numbers are set: fixed with so many places before and after the point, or scientific; found by looking at all
 * that will be shown, as NumPy does. */
typedef struct {
    const pleat_tensor *t;
    bool summary, integer, scientific;
    int before, after;        /* before counts a minus sign */
    int exponent, special;    /* widths of the longest exponent, and of the longest of nan, inf and -inf */
    double largest, smallest; /* absolute, of the finite ones that are not 0 */
} format;

static double value_at(const pleat_tensor *t, int64_t offset)
{
    return pleat_at(&(pleat_tensor){ .dtype = t->dtype, .storage = t->storage, .offset = offset, .numel = 1 }, NULL);
}

/* The shortest digits that name a float32 or float64 among its kind, at most DIGITS after the point. */
static void fixed(const format *f, double v, char *out, size_t size)
{
    for (int p = 0; p <= DIGITS; p++) {
        snprintf(out, size, "%.*f", p, v);
        double back = 0;
        sscanf(out, "%lf", &back);
        if (p == DIGITS || (f->t->dtype == PLEAT_F32 ? (float)back == (float)v : back == v))
            break;
    }
}

static void scientific(const format *f, double v, char *out, size_t size)
{
    for (int p = 0; p <= DIGITS; p++) {
        snprintf(out, size, "%#.*e", p, v);
        double back = 0;
        sscanf(out, "%lf", &back);
        if (p == DIGITS || (f->t->dtype == PLEAT_F32 ? (float)back == (float)v : back == v))
            break;
    }
}

static void widen(int *most, int n)
{
    if (n > *most)
        *most = n;
}

/* Calls look on every element that is shown. */
static void each_shown(format *f, int d, int64_t offset, void (*look)(format *, double))
{
    const pleat_tensor *t = f->t;
    if (d == t->shape.ndim) {
        look(f, value_at(t, offset));
        return;
    }
    const int64_t n = t->shape.dim[d];
    for (int64_t i = 0; i < n; i++) {
        if (f->summary && n > 2 * EDGE && i == EDGE)
            i = n - EDGE;
        each_shown(f, d + 1, offset + i * t->stride[d], look);
    }
}

static void look_range(format *f, double v)
{
    const double a = fabs(v);
    if (isfinite(v) && a > 0) {
        f->largest = a > f->largest ? a : f->largest;
        f->smallest = f->smallest == 0 || a < f->smallest ? a : f->smallest;
    }
}

static void look_width(format *f, double v)
{
    char s[400];
    if (f->integer) {
        snprintf(s, sizeof s, "%.0f", v);
        widen(&f->before, (int)strlen(s));
    } else if (!isfinite(v)) {
        widen(&f->special, v < 0 ? 4 : 3);
    } else if (f->scientific) {
        scientific(f, v, s, sizeof s);
        const char *e = strchr(s, 'e'), *point = strchr(s, '.');
        widen(&f->before, (int)(point - s));
        widen(&f->after, (int)(e - point) - 1);
        widen(&f->exponent, (int)strlen(e));
    } else {
        fixed(f, v, s, sizeof s);
        const char *point = strchr(s, '.');
        widen(&f->before, point ? (int)(point - s) : (int)strlen(s));
        widen(&f->after, point ? (int)strlen(point) - 1 : 0);
    }
}

static int width(const format *f)
{
    return f->integer ? f->before : f->before + 1 + f->after + f->exponent;
}

/* One number, set to the common width. int64 is read as such: double would lose its low digits. */
static void number(const format *f, int64_t offset, char *out, size_t size)
{
    char s[400];
    if (f->t->dtype == PLEAT_I64)
        snprintf(s, sizeof s, "%" PRId64, ((const int64_t *)f->t->storage->data)[offset]);
    else {
        const double v = value_at(f->t, offset);
        if (f->integer)
            snprintf(s, sizeof s, "%.0f", v);
        else if (isnan(v))
            snprintf(s, sizeof s, "nan");
        else if (isinf(v))
            snprintf(s, sizeof s, v < 0 ? "-inf" : "inf");
        else if (f->scientific)
            snprintf(s, sizeof s, "%#.*e", f->after, v);
        else {
            fixed(f, v, s, sizeof s);
            if (!strchr(s, '.'))
                strcat(s, ".");
            const int places = (int)strlen(strchr(s, '.')) - 1;
            int n = (int)strlen(s);
            for (int i = places; i < f->after; i++) /* NumPy pads with spaces behind, not with zeros */
                s[n++] = ' ';
            s[n] = '\0';
        }
    }
    snprintf(out, size, "%*s", width(f), s);
}

static void brackets(const format *f, text *out, int d, int64_t offset)
{
    const pleat_tensor *t = f->t;
    if (d == t->shape.ndim) {
        char s[420];
        number(f, offset, s, sizeof s);
        put(out, s);
        return;
    }
    const int64_t n = t->shape.dim[d];
    const bool last = d == t->shape.ndim - 1;
    put(out, "[");
    for (int64_t i = 0; i < n; i++) {
        if (i > 0 && last) {
            if (out->column + 1 + width(f) > LINE - 1 - d) { /* room for the brackets that close */
                put(out, "\n");
                put_spaces(out, d + 1);
            } else
                put(out, " ");
        } else if (i > 0) {
            for (int k = 0; k < t->shape.ndim - 1 - d; k++)
                put(out, "\n");
            put_spaces(out, d + 1);
        }
        if (f->summary && n > 2 * EDGE && i == EDGE) {
            put(out, "...");
            i = n - EDGE - 1;
        } else
            brackets(f, out, d + 1, offset + i * t->stride[d]);
    }
    put(out, "]");
}

int64_t pleat_to_string(const pleat_tensor *t, char *buffer, size_t size)
{
    text out = { buffer, size, 0, 0 };
    if (t && t->numel == 0)
        put(&out, "[]");
    else if (t) {
        format f = { .t = t, .summary = t->numel > SUMMARY_ABOVE, .integer = !pleat_dtype_is_float(t->dtype) };
        each_shown(&f, 0, t->offset, look_range);
        f.scientific = !f.integer && (f.largest >= 1e8 || (f.smallest > 0 && f.smallest < 1e-4) ||
                                      (f.smallest > 0 && f.largest / f.smallest > 1000));
        each_shown(&f, 0, t->offset, look_width);
        if (!f.integer)
            widen(&f.before, f.special - f.exponent - f.after - 1);
        brackets(&f, &out, 0, t->offset);
    } else
        put(&out, "NULL");
    if (size > 0)
        buffer[(size_t)out.length < size ? (size_t)out.length : size - 1] = '\0';
    return out.length;
}
