/* The ops that move elements against PyTorch's numbers: golden/move.txt, which says how it is laid out in the script
 * that made it. Each case runs in float64 and float32, and on inputs with strides. */
#include "support/run.h"

#include <pleat/pleat.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_INPUTS = 8, MOST_NUMBERS = 32 };

typedef struct {
    char op[32], text[64];
    int ints, reals, inputs, outputs;
    int64_t integer[MOST_NUMBERS];
    double real[MOST_NUMBERS];
    pleat_tensor *in[MOST_INPUTS], *out[2], *grad[MOST_INPUTS];
} golden_case;

static pleat_tensor *hashed(uint32_t seed, pleat_shape shape)
{
    pleat_tensor *t = pleat_empty(shape, PLEAT_F64);
    double *to = pleat_data_mut(t);
    for (int64_t i = 0; i < pleat_numel(t); i++) {
        uint32_t h = (uint32_t)(i + 1) * 2654435761u + (seed + 1) * 2246822519u;
        h ^= h >> 15;
        h *= 0x2c1b3c6du;
        h ^= h >> 12;
        to[i] = (double)(h % 9) - 4;
    }
    return t;
}

static int64_t read_int(FILE *file)
{
    long long v;
    ck_assert_int_eq(fscanf(file, "%lld", &v), 1);
    return v;
}

static double read_real(FILE *file)
{
    double v;
    ck_assert_int_eq(fscanf(file, "%lf", &v), 1);
    return v;
}

static pleat_shape read_shape(FILE *file)
{
    pleat_shape shape = { .ndim = (int)read_int(file) };
    for (int d = 0; d < shape.ndim; d++)
        shape.dim[d] = read_int(file);
    return shape;
}

static pleat_tensor *read_values(FILE *file, pleat_shape shape)
{
    pleat_tensor *t = pleat_empty(shape, PLEAT_F64);
    double *to = pleat_data_mut(t);
    for (int64_t i = 0; i < pleat_numel(t); i++)
        to[i] = read_real(file);
    return t;
}

static pleat_tensor *as(pleat_tensor *t, pleat_dtype dtype)
{
    return pleat_copy_(pleat_empty(pleat_shape_of(t), dtype), t);
}

static bool read_case(FILE *file, golden_case *c)
{
    char word[32], line[64];
    *c = (golden_case){ .ints = 0 };
    if (fscanf(file, "%31s", word) != 1)
        return false;
    ck_assert_str_eq(word, "case");
    ck_assert_int_eq(fscanf(file, "%31s%63[^\n]", c->op, line) >= 1, true);
    sscanf(line, "%63s", c->text);
    while (fscanf(file, "%31s", word) == 1 && strcmp(word, "end") != 0) {
        if (strcmp(word, "ints") == 0) {
            c->ints = (int)read_int(file);
            for (int i = 0; i < c->ints; i++)
                c->integer[i] = read_int(file);
        } else if (strcmp(word, "reals") == 0) {
            c->reals = (int)read_int(file);
            for (int i = 0; i < c->reals; i++)
                c->real[i] = read_real(file);
        } else if (strcmp(word, "in") == 0) {
            ck_assert_int_eq(fscanf(file, "%1s", word), 1);
            const pleat_shape shape = read_shape(file);
            c->in[c->inputs] =
                word[0] == 'f' ? hashed((uint32_t)c->inputs + 1, shape) : as(read_values(file, shape), PLEAT_I64);
            c->inputs++;
        } else if (strcmp(word, "out") == 0) {
            const pleat_shape shape = read_shape(file);
            c->out[c->outputs++] = read_values(file, shape);
        } else {
            ck_assert_str_eq(word, "grad");
            const int k = (int)read_int(file);
            c->grad[k] = read_values(file, pleat_shape_of(c->in[k]));
        }
    }
    return true;
}

/* Numbers of the case, from the i-th on. */
static pleat_dims dims_from(const golden_case *c, int i)
{
    pleat_dims dims = { .count = c->ints - i };
    for (int k = 0; k < dims.count; k++)
        dims.dim[k] = (int)c->integer[i + k];
    return dims;
}

static void call(const golden_case *c, pleat_tensor **in, pleat_tensor **out)
{
    const int64_t *n = c->integer;
    const char *op = c->op;
    const int dim = (int)n[0];
    if (strcmp(op, "cat") == 0)
        out[0] = pleat_cat(in, c->inputs, dim);
    else if (strcmp(op, "stack") == 0)
        out[0] = pleat_stack(in, c->inputs, dim);
    else if (strcmp(op, "pad") == 0)
        out[0] = pleat_pad(in[0], n + 1, c->ints - 1,
                           &(pleat_pad_opts){ .mode = (pleat_pad_mode)n[0], .value = c->real[0] });
    else if (strcmp(op, "flip") == 0)
        out[0] = pleat_flip(in[0], dims_from(c, 0));
    else if (strcmp(op, "roll") == 0)
        out[0] = pleat_roll(in[0], pleat_shape_make(dim, n + 1), dims_from(c, 1 + dim));
    else if (strcmp(op, "repeat") == 0)
        out[0] = pleat_repeat(in[0], pleat_shape_make(c->ints, n));
    else if (strcmp(op, "cumsum") == 0)
        out[0] = pleat_cumsum(in[0], dim);
    else if (strcmp(op, "gather") == 0)
        out[0] = pleat_gather(in[0], dim, in[1]);
    else if (strcmp(op, "scatter") == 0)
        out[0] = pleat_scatter(in[0], dim, in[1], in[2]);
    else if (strcmp(op, "scatter_add") == 0)
        out[0] = pleat_scatter_add(in[0], dim, in[1], in[2]);
    else if (strcmp(op, "index_select") == 0)
        out[0] = pleat_index_select(in[0], dim, in[1]);
    else if (strcmp(op, "index_add") == 0)
        out[0] = pleat_index_add(in[0], dim, in[1], in[2]);
    else if (strcmp(op, "one_hot") == 0)
        out[0] = pleat_one_hot(in[0], n[0], PLEAT_F64);
    else if (strcmp(op, "topk") == 0)
        ck_assert_ok(pleat_topk(in[0], n[0], (int)n[1], n[2] != 0, &out[0], &out[1]));
    else if (strcmp(op, "interpolate") == 0)
        out[0] = pleat_interpolate(in[0], &(pleat_interpolate_opts){ .mode = (pleat_interpolation)n[0],
                                                                     .align_corners = n[1] != 0,
                                                                     .size = { n[2], n[3] },
                                                                     .scale = { c->real[0], c->real[1] } });
    else if (strcmp(op, "pixel_shuffle") == 0)
        out[0] = pleat_pixel_shuffle(in[0], n[0]);
    else if (strcmp(op, "pixel_unshuffle") == 0)
        out[0] = pleat_pixel_unshuffle(in[0], n[0]);
    else
        ck_abort_msg("%s is not known", op);
}

static void compare(const golden_case *c, const char *what, int k, pleat_tensor *got, pleat_tensor *want,
                    pleat_dtype dtype)
{
    if (!got) /* no gradient is a gradient of zeros */
        got = pleat_zeros(pleat_shape_of(want), dtype);
    char inputs[512] = "";
    for (int i = 0; i < c->inputs; i++)
        strcat(inputs, pleat_shape_text(pleat_shape_of(c->in[i])).text);
    ck_assert_msg(pleat_shape_equal(pleat_shape_of(got), pleat_shape_of(want)), "%s %s of %s: %s %d is %s, not %s",
                  c->op, c->text, inputs, what, k, pleat_shape_text(pleat_shape_of(got)).text,
                  pleat_shape_text(pleat_shape_of(want)).text);
    const double *a = pleat_data(as(got, PLEAT_F64)), *b = pleat_data(want);
    for (int64_t i = 0; i < pleat_numel(want); i++)
        ck_assert_msg(fabs(a[i] - b[i]) <= (dtype == PLEAT_F32 ? 2e-5 : 1e-10) * (1 + fabs(b[i])),
                      "%s %s of %s, %lld %lld %lld, %s: %s %d, element %lld is %.15g, not %.15g", c->op, c->text,
                      inputs, (long long)c->integer[0], (long long)c->integer[1], (long long)c->integer[2],
                      pleat_dtype_name(dtype), what, k, (long long)i, a[i], b[i]);
}

/* The same elements in a view whose dimensions are in reverse order in memory, with gaps. */
static pleat_tensor *strided(pleat_tensor *t)
{
    const pleat_shape shape = pleat_shape_of(t);
    pleat_shape room = { .ndim = shape.ndim + 1 };
    pleat_dims reversed = { .count = shape.ndim };
    for (int d = 0; d < shape.ndim; d++) {
        room.dim[d] = shape.dim[shape.ndim - 1 - d];
        reversed.dim[d] = shape.ndim - 1 - d;
    }
    room.dim[shape.ndim] = 2;
    pleat_tensor *view = pleat_select(pleat_full(room, 77, pleat_dtype_of(t)), -1, 1);
    return pleat_copy_(shape.ndim > 0 ? pleat_permute(view, reversed) : view, t);
}

static void run(const golden_case *c, pleat_dtype dtype, bool with_strides)
{
    pleat_tensor *in[MOST_INPUTS], *out[2] = { NULL }, *leaf[MOST_INPUTS], *grad[MOST_INPUTS];
    int which[MOST_INPUTS], leaves = 0;
    for (int k = 0; k < c->inputs; k++) {
        in[k] = pleat_dtype_of(c->in[k]) == PLEAT_F64 ? as(c->in[k], dtype) : c->in[k];
        in[k] = with_strides ? strided(in[k]) : in[k];
        if (c->grad[k]) {
            pleat_set_requires_grad(in[k], true);
            which[leaves] = k;
            leaf[leaves++] = in[k];
        }
    }
    call(c, in, out);
    ck_assert_msg(out[0] != NULL, "%s: %s", c->op, pleat_error());
    for (int k = 0; k < c->outputs; k++)
        compare(c, "output", k, out[k], c->out[k], dtype);
    if (leaves == 0)
        return;
    pleat_tensor *r = as(hashed(9, pleat_shape_of(out[0])), dtype);
    r = with_strides ? strided(r) : r;
    ck_assert_ok(pleat_gradients(out, 1, leaf, leaves, &(pleat_gradients_opts){ .grad_outputs = &r }, grad));
    for (int k = 0; k < leaves; k++)
        compare(c, "gradient", which[k], grad[k], c->grad[which[k]], dtype);
}

START_TEST(agrees_with_pytorch)
{
    FILE *file = fopen(PLEAT_TEST_DIR "/golden/move.txt", "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fscanf(file, "#%*[^\n]"), 0);
    golden_case c;
    int cases = 0;
    for (;; cases++) {
        const pleat_scope scope = pleat_scope_begin();
        if (!read_case(file, &c))
            break;
        for (int way = 0; way < 4; way++)
            run(&c, way < 2 ? PLEAT_F64 : PLEAT_F32, way % 2);
        pleat_scope_end(scope);
    }
    fclose(file);
    ck_assert_int_gt(cases, 300);
}
END_TEST

RUN_TESTS("golden_move", agrees_with_pytorch)
