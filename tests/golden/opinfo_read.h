/* Reads samples: the lines of opinfo.txt and errors.txt that say what a call's arguments are, and the formula by which
 * its tensors are filled (make_opinfo.py states it). */
#ifndef PLEAT_TEST_OPINFO_READ_H
#define PLEAT_TEST_OPINFO_READ_H

#include "golden/opinfo.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The formula ---- */

static double hashed(uint64_t seed, uint64_t i)
{
    uint64_t z = ((seed << 32) + i) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

/* Element i's rank among the `below` hashed numbers along dimension d, as a stable argsort read at each place. */
static void fill_ranks(pleat_tensor *t, uint64_t seed, int d, int64_t below)
{
    const pleat_shape s = pleat_shape_of(t);
    int64_t *x = pleat_data_mut(t), inner = 1, outer = 1;
    for (int k = 0; k < s.ndim; k++)
        *(k < d ? &outer : k > d ? &inner : &(int64_t){ 0 }) *= s.dim[k];
    const int64_t n = s.ndim ? s.dim[d] : 1;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++)
            for (int64_t a = 0; a < below; a++) {
                const double v = hashed(seed, (uint64_t)((o * below + a) * inner + i));
                int64_t rank = 0;
                for (int64_t b = 0; b < below; b++) {
                    const double w = hashed(seed, (uint64_t)((o * below + b) * inner + i));
                    rank += w < v || (w == v && b < a);
                }
                if (rank < n)
                    x[(o * n + rank) * inner + i] = a;
            }
}

static pleat_tensor *filled(const char *kind, pleat_dtype dtype, uint64_t seed, pleat_shape shape)
{
    pleat_tensor *t = pleat_empty(shape, dtype);
    if (kind[0] == 'r') {
        int d = 0;
        long long below = 0;
        ck_assert_int_eq(sscanf(kind, "r%d/%lld", &d, &below), 2);
        if (shape.ndim)
            fill_ranks(t, seed, d, below);
        else
            pleat_fill_(t, 0);
        return t;
    }
    void *data = pleat_data_mut(t);
    for (int64_t i = 0; i < pleat_numel(t); i++) {
        const double u = hashed(seed, (uint64_t)i);
        if (kind[0] == 'b')
            ((uint8_t *)data)[i] = u < 0.5;
        else if (kind[0] == 'i')
            ((int64_t *)data)[i] = (int64_t)(u * atof(kind + 1));
        else if (kind[0] == 'c' && dtype == PLEAT_I64)
            ((int64_t *)data)[i] = atoll(kind + 1);
        else {
            const double v = kind[0] == 'u'   ? 2 * u - 1
                             : kind[0] == 'p' ? 0.1 + 1.8 * u
                             : kind[0] == 'c' ? atof(kind + 1)
                                              : 0.1 + 0.8 * u;
            if (dtype == PLEAT_F64)
                ((double *)data)[i] = v;
            else if (dtype == PLEAT_F32)
                ((float *)data)[i] = (float)v;
            else if (dtype == PLEAT_I64)
                ((int64_t *)data)[i] = (int64_t)v;
            else
                ((uint8_t *)data)[i] = v > 0;
        }
    }
    return t;
}

/* ---- Arguments ---- */

const opinfo_arg *opinfo_find(const opinfo_sample *s, const char *name)
{
    for (int i = 0; i < s->args; i++)
        if (strcmp(s->arg[i].name, name) == 0)
            return &s->arg[i];
    return NULL;
}

double opinfo_number(const opinfo_sample *s, const char *name, int i, double otherwise)
{
    const opinfo_arg *a = opinfo_find(s, name);
    return !a || a->numbers == 0 ? otherwise : a->number[i < a->numbers ? i : a->numbers - 1];
}

bool opinfo_is(const opinfo_sample *s, const char *name, const char *text)
{
    const opinfo_arg *a = opinfo_find(s, name);
    return a && strcmp(a->text, text) == 0;
}

pleat_hw opinfo_pair(const opinfo_sample *s, const char *name, int64_t otherwise)
{
    return (pleat_hw){ (int64_t)opinfo_number(s, name, 0, (double)otherwise),
                       (int64_t)opinfo_number(s, name, 1, (double)otherwise) };
}

pleat_shape opinfo_shape(const opinfo_sample *s, const char *name)
{
    pleat_shape shape = { 0 };
    const opinfo_arg *a = opinfo_find(s, name);
    for (int i = 0; a && i < a->numbers; i++)
        shape.dim[shape.ndim++] = (int64_t)a->number[i];
    return shape;
}

pleat_dims opinfo_dims(const opinfo_sample *s, const char *name)
{
    pleat_dims dims = { 0 };
    const opinfo_arg *a = opinfo_find(s, name);
    for (int i = 0; a && i < a->numbers; i++)
        dims.dim[dims.count++] = (int)a->number[i];
    return dims;
}

pleat_tensor *opinfo_tensor(const opinfo_sample *s, const char *name)
{
    const opinfo_arg *a = opinfo_find(s, name);
    int i;
    return a && sscanf(a->text, "tensor%d", &i) == 1 ? s->in[i] : NULL;
}

/* ---- Lines ---- */

static int read_numbers(const char *text, double *number, int most)
{
    int n = 0, used;
    while (n < most && sscanf(text, "%lf%n", &number[n], &used) == 1) {
        text += used;
        n++;
    }
    return n;
}

static pleat_shape read_shape(const char *text)
{
    double size[PLEAT_MAX_DIMS];
    pleat_shape shape = { .ndim = read_numbers(text, size, PLEAT_MAX_DIMS) };
    for (int d = 0; d < shape.ndim; d++)
        shape.dim[d] = (int64_t)size[d];
    return shape;
}

static void read_tensor(opinfo_sample *s, const char *line)
{
    char kind[32], dtype[16];
    unsigned long long seed;
    int used;
    ck_assert_int_eq(sscanf(line, "t %31s %15s %llu%n", kind, dtype, &seed, &used), 3);
    const pleat_dtype type = strcmp(dtype, "int64") == 0     ? PLEAT_I64
                             : strcmp(dtype, "uint8") == 0   ? PLEAT_U8
                             : strcmp(dtype, "float32") == 0 ? PLEAT_F32
                                                             : PLEAT_F64;
    pleat_tensor *t = filled(kind, type, seed, read_shape(line + used));
    const char *as = strstr(line, " as ");
    if (as)
        t = pleat_reshape(t, read_shape(as + 4));
    if (type == PLEAT_F64)
        pleat_set_requires_grad(t, true);
    ck_assert_int_lt(s->tensors, OPINFO_TENSORS);
    s->in[s->tensors++] = t;
}

static void read_arg(opinfo_sample *s, const char *line)
{
    ck_assert_int_lt(s->args, OPINFO_ARGS);
    opinfo_arg *a = &s->arg[s->args++];
    int used;
    memset(a, 0, sizeof *a);
    ck_assert_int_eq(sscanf(line + 1, " %31s%n", a->name, &used), 1);
    if (line[0] == 's')
        sscanf(line + 1 + used, " %63[^\n]", a->text);
    else
        a->numbers = read_numbers(line + 1 + used, a->number, OPINFO_NUMBERS);
}

/* A line of a sample that comes before its results; false for any other. */
static bool read_line(opinfo_sample *s, const char *line)
{
    if (strncmp(line, "op ", 3) == 0) {
        memset(s, 0, sizeof *s);
        sscanf(line, "op %63s", s->op);
    } else if (line[0] == 't')
        read_tensor(s, line);
    else if (line[0] == 'n')
        s->tensors++;
    else if (line[0] == 'k' || line[0] == 's')
        read_arg(s, line);
    else
        return false;
    return true;
}

#endif
