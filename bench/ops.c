/* Cases of single ops: forward alone, without recording; forward with the gradients of all float inputs; and where
 * little is read and written, with the gradients of those gradients. Names are those of peer_torch.py, by which
 * compare.py joins the two. */
#include "bench.h"

#include <stdio.h>
#include <string.h>

enum { MOST = 3 };

static pleat_tensor *input[MOST], *seed; /* seed: the output's gradient */

static pleat_tensor *centred(pleat_shape shape)
{
    return pleat_add_scalar(pleat_rand(shape, PLEAT_F32), -0.5);
}

static bool has_gradient(char kind)
{
    return !strchr("ycit", kind);
}

/* c->kinds has a letter for each input. y: a constant; p: from 0.5 to 1.5; c: a condition; i: indices of the first
 * input's rows; t: of its columns, classes of a loss; all others are centred about 0 and have a gradient, as p has. */
static pleat_tensor *input_of(const bench_case *c, int i)
{
    const pleat_shape shape = c->shape[i];
    switch (c->kinds[i]) {
    case 'y':
        return centred(shape);
    case 'p':
        return pleat_set_requires_grad(pleat_add_scalar(pleat_rand(shape, PLEAT_F32), 0.5), true);
    case 'c':
        return pleat_cast(pleat_randint(0, 2, shape), PLEAT_U8);
    case 'i':
    case 't':
        return pleat_randint(0, c->shape[0].dim[c->kinds[i] == 't'], shape);
    default:
        return pleat_set_requires_grad(centred(shape), true);
    }
}

static bool op_make(const bench_case *c)
{
    for (int i = 0; c->kinds[i]; i++)
        input[i] = input_of(c, i);
    pleat_scope scope = pleat_scope_begin();
    pleat_grad_mode(false);
    pleat_tensor *y = c->fn(c, input);
    seed = pleat_ones(pleat_shape_of(y), pleat_dtype_of(y));
    return pleat_scope_return(scope, seed) != NULL;
}

static void forward(const bench_case *c)
{
    pleat_scope scope = pleat_scope_begin();
    pleat_grad_mode(false);
    c->fn(c, input);
    pleat_scope_end(scope);
}

/* The inputs that have a gradient. */
static int wanted_of(const bench_case *c, pleat_tensor **wanted)
{
    int count = 0;
    for (int i = 0; c->kinds[i]; i++)
        if (has_gradient(c->kinds[i]))
            wanted[count++] = input[i];
    return count;
}

static void forward_backward(const bench_case *c)
{
    pleat_scope scope = pleat_scope_begin();
    pleat_tensor *y = c->fn(c, input), *wanted[MOST], *grad[MOST];
    const int count = wanted_of(c, wanted);
    pleat_gradients(&y, 1, wanted, count, &(pleat_gradients_opts){ .grad_outputs = &seed }, grad);
    pleat_scope_end(scope);
}

/* The gradients of <gradients, inputs>, by the inputs and by the output's gradient. */
static void twice(const bench_case *c)
{
    pleat_scope scope = pleat_scope_begin();
    pleat_tensor *y = c->fn(c, input), *wanted[MOST + 1], *grad[MOST], *again[MOST + 1];
    const int count = wanted_of(c, wanted);
    pleat_gradients(&y, 1, wanted, count, &(pleat_gradients_opts){ .grad_outputs = &seed, .record = true }, grad);
    wanted[count] = seed;
    pleat_gradients(grad, count, wanted, count + 1,
                    &(pleat_gradients_opts){ .grad_outputs = wanted, .allow_unused = true }, again);
    pleat_scope_end(scope);
}

static bool twice_make(const bench_case *c)
{
    return op_make(c) && pleat_set_requires_grad(seed, true);
}

/* All ways to run `c`, whose op is a name without ".fwd"; forward alone where no input has a gradient. */
static void add_ways(bench_case c)
{
    enum { LITTLE = 4000000 }; /* bytes */
    static const struct {
        const char *name;
        bool (*make)(const bench_case *c);
        void (*run)(const bench_case *c);
        int times; /* as much work as forward; 0: uncounted */
    } ways[] = { { "fwd", op_make, forward, 1 },
                 { "fwdbwd", op_make, forward_backward, 3 },
                 { "twice", twice_make, twice, 0 } };
    bool gradients = false;
    for (int i = 0; c.kinds[i]; i++)
        gradients |= has_gradient(c.kinds[i]);
    const int count = !gradients ? 1 : c.bytes > 0 && c.bytes <= LITTLE ? 3 : 2;
    for (int i = 0; i < count; i++) {
        bench_case *place = bench_add("", "%s", c.text);
        *place = c;
        snprintf(place->op, sizeof place->op, "%.20s.%s", c.op, ways[i].name);
        place->flops = ways[i].times * c.flops;
        place->bytes = ways[i].times * c.bytes;
        place->make = ways[i].make;
        place->run = ways[i].run;
    }
}

#define TEXT(c, ...) snprintf((c).text, sizeof(c).text, __VA_ARGS__)

/* ---- Products ---- */

static pleat_tensor *gemm(const bench_case *c, pleat_tensor *const *in)
{
    pleat_tensor *a = c->arg[0] ? pleat_transpose(in[0], 0, 1) : in[0];
    return pleat_matmul(a, c->arg[1] ? pleat_transpose(in[1], 0, 1) : in[1]);
}

static pleat_tensor *matmul(const bench_case *c, pleat_tensor *const *in)
{
    (void)c;
    return pleat_matmul(in[0], in[1]);
}

static pleat_tensor *linear(const bench_case *c, pleat_tensor *const *in)
{
    (void)c;
    return pleat_linear(in[0], in[1], in[2]);
}

static void add_products(void)
{
    static const struct {
        const char *form; /* N: as it is, T: transposed */
        int m, n, k;
    } product[] = { { "NN", 8, 8, 8 },          { "NN", 16, 16, 16 },       { "NN", 32, 32, 32 },
                    { "NN", 64, 64, 64 },       { "NN", 128, 128, 128 },    { "NN", 256, 256, 256 },
                    { "NN", 512, 512, 512 },    { "NN", 1024, 1024, 1024 }, { "TN", 1024, 1024, 1024 },
                    { "NT", 1024, 1024, 1024 }, { "TT", 1024, 1024, 1024 }, { "NN", 64, 1024, 27 },
                    { "NN", 64, 3136, 576 },    { "NN", 128, 784, 1152 },   { "NN", 1024, 196, 256 },
                    { "NT", 64, 128, 784 },     { "TN", 128, 784, 64 },     { "NT", 64, 10, 128 },
                    { "NT", 64, 128, 12544 } };
    for (size_t i = 0; i < sizeof product / sizeof *product; i++) {
        const int m = product[i].m, n = product[i].n, k = product[i].k;
        bench_case c = { .op = "gemm", .fn = gemm, .kinds = "yy", .flops = 2.0 * m * n * k };
        TEXT(c, "%s %dx%dx%d", product[i].form, m, n, k);
        c.arg[0] = product[i].form[0] == 'T';
        c.arg[1] = product[i].form[1] == 'T';
        c.shape[0] = c.arg[0] ? PLEAT_SHAPE(k, m) : PLEAT_SHAPE(m, k);
        c.shape[1] = c.arg[1] ? PLEAT_SHAPE(n, k) : PLEAT_SHAPE(k, n);
        add_ways(c);
    }
    static const int batched[][4] = { { 64, 128, 64, 256 }, { 16, 64, 27, 1024 } };
    for (int i = 0; i < 2; i++) {
        const int b = batched[i][0], m = batched[i][1], k = batched[i][2], n = batched[i][3];
        bench_case c = { .op = "bmm", .fn = matmul, .kinds = "xx", .flops = 2.0 * b * m * k * n };
        TEXT(c, "%dx%dx%d @ %dx%dx%d", b, m, k, b, k, n);
        c.shape[0] = PLEAT_SHAPE(b, m, k);
        c.shape[1] = PLEAT_SHAPE(b, k, n);
        add_ways(c);
    }
    static const int layer[][3] = {
        { 64, 784, 128 }, { 64, 128, 10 }, { 64, 12544, 128 }, { 1024, 1024, 1024 }, { 10000, 64, 10 }
    };
    for (size_t i = 0; i < sizeof layer / sizeof *layer; i++) {
        const int m = layer[i][0], k = layer[i][1], n = layer[i][2];
        bench_case c = { .op = "linear", .fn = linear, .kinds = "xxx", .flops = 2.0 * m * k * n };
        TEXT(c, "%dx%d -> %d", m, k, n);
        c.shape[0] = PLEAT_SHAPE(m, k);
        c.shape[1] = PLEAT_SHAPE(n, k);
        c.shape[2] = PLEAT_SHAPE(n);
        add_ways(c);
    }
}

/* ---- Convolutions, unfold and fold ---- */

static pleat_tensor *conv2d(const bench_case *c, pleat_tensor *const *in)
{
    const int64_t s = c->arg[0], p = c->arg[1], g = c->arg[2], d = c->arg[3];
    return pleat_conv2d(
        in[0], in[1], in[2],
        &(pleat_conv2d_opts){ .stride = { s, s }, .padding = { p, p }, .dilation = { d, d }, .groups = g });
}

static const pleat_conv_transpose2d_opts transposed[] = {
    { .stride = { 2, 2 }, .padding = { 1, 1 } },
    { .stride = { 2, 2 }, .padding = { 1, 1 } },
    { .stride = { 2, 3 }, .padding = { 1, 0 }, .dilation = { 3, 1 }, .output_padding = { 1, 2 } },
    { .stride = { 1, 1 } },
    { .stride = { 2, 2 } },
    { .stride = { 2, 2 }, .padding = { 1, 1 }, .output_padding = { 1, 1 } },
};

static pleat_tensor *conv_transpose2d(const bench_case *c, pleat_tensor *const *in)
{
    return pleat_conv_transpose2d(in[0], in[1], in[2], &transposed[c->arg[0]]);
}

static const pleat_window three = { .kernel = { 3, 3 }, .padding = { 1, 1 } };

static pleat_tensor *unfold(const bench_case *c, pleat_tensor *const *in)
{
    (void)c;
    return pleat_unfold(in[0], &three);
}

static pleat_tensor *fold(const bench_case *c, pleat_tensor *const *in)
{
    return pleat_fold(in[0], (pleat_hw){ c->arg[0], c->arg[0] }, &three);
}

static void add_convolutions(void)
{
    static const struct {
        const char *name;
        int n, c, h, w, o, k, s, p, g, d;
    } conv[] = {
        { "lenet1", 64, 1, 28, 28, 6, 5, 1, 2, 1, 1 },       { "lenet2", 64, 6, 14, 14, 16, 5, 1, 0, 1, 1 },
        { "mnist1", 64, 1, 28, 28, 32, 3, 1, 1, 1, 1 },      { "mnist2", 64, 32, 28, 28, 64, 3, 1, 1, 1, 1 },
        { "rn20-s1", 128, 16, 32, 32, 16, 3, 1, 1, 1, 1 },   { "rn20-s2", 128, 32, 16, 16, 32, 3, 1, 1, 1, 1 },
        { "rn20-s3", 128, 64, 8, 8, 64, 3, 1, 1, 1, 1 },     { "rn20-down", 128, 16, 32, 32, 32, 3, 2, 1, 1, 1 },
        { "seed", 16, 3, 32, 32, 64, 3, 1, 1, 1, 1 },        { "in-56", 1, 64, 56, 56, 64, 3, 1, 1, 1, 1 },
        { "in-28", 8, 128, 28, 28, 128, 3, 1, 1, 1, 1 },     { "in-14", 8, 256, 14, 14, 256, 3, 1, 1, 1, 1 },
        { "in-stem", 1, 3, 224, 224, 64, 7, 2, 3, 1, 1 },    { "1x1", 8, 256, 14, 14, 1024, 1, 1, 0, 1, 1 },
        { "depthwise", 32, 64, 28, 28, 64, 3, 1, 1, 64, 1 }, { "k11", 8, 16, 64, 64, 16, 11, 1, 5, 1, 1 },
        { "k21", 2, 8, 112, 112, 8, 21, 1, 10, 1, 1 },       { "k31-dw", 4, 16, 56, 56, 16, 31, 1, 15, 16, 1 },
        { "dw-down", 16, 64, 56, 56, 64, 3, 2, 1, 64, 1 },   { "dw-7", 32, 512, 7, 7, 512, 3, 1, 1, 512, 1 },
        { "vit", 16, 3, 224, 224, 192, 16, 16, 0, 1, 1 },    { "down1x1", 8, 256, 28, 28, 512, 1, 2, 0, 1, 1 },
        { "1x1-7", 16, 512, 7, 7, 512, 1, 1, 0, 1, 1 },      { "disc-out", 64, 256, 4, 4, 100, 4, 1, 0, 1, 1 },
        { "d2", 8, 64, 28, 28, 64, 3, 1, 2, 1, 2 },          { "d4", 8, 64, 28, 28, 64, 3, 1, 4, 1, 4 },
        { "d2-14", 8, 256, 14, 14, 256, 3, 1, 2, 1, 2 },     { "rn18-s2", 8, 64, 56, 56, 128, 3, 2, 1, 1, 1 },
        { "rn18-s4", 8, 256, 14, 14, 512, 3, 2, 1, 1, 1 },
    };
    for (size_t i = 0; i < sizeof conv / sizeof *conv; i++) {
        const int n = conv[i].n, in = conv[i].c, h = conv[i].h, w = conv[i].w, o = conv[i].o, k = conv[i].k;
        const int s = conv[i].s, p = conv[i].p, g = conv[i].g, d = conv[i].d;
        const int span = (k - 1) * d + 1;
        const double pixels = (double)n * ((h + 2 * p - span) / s + 1) * ((w + 2 * p - span) / s + 1);
        bench_case c = { .op = "conv2d", .fn = conv2d, .kinds = "xxx", .arg = { s, p, g, d } };
        TEXT(c, "%s %dx%dx%dx%d O%d k%d s%d p%d g%d", conv[i].name, n, in, h, w, o, k, s, p, g);
        c.flops = 2 * pixels * o * (in / g) * k * k;
        c.bytes = 4 * ((double)n * in * h * w + pixels * o + (double)o * (in / g) * k * k);
        c.shape[0] = PLEAT_SHAPE(n, in, h, w);
        c.shape[1] = PLEAT_SHAPE(o, in / g, k, k);
        c.shape[2] = PLEAT_SHAPE(o);
        add_ways(c);
    }
    static const struct {
        const char *name;
        int n, c, h, w, o, kh, kw;
    } back[] = { { "dcgan", 16, 64, 8, 8, 32, 4, 4 },  { "dcgan2", 16, 32, 16, 16, 16, 4, 4 },
                 { "odd", 8, 32, 16, 16, 64, 3, 2 },   { "dcgan-in", 64, 100, 1, 1, 256, 4, 4 },
                 { "unet2", 8, 64, 28, 28, 32, 2, 2 }, { "unet3", 8, 64, 28, 28, 32, 3, 3 } };
    for (int i = 0; i < 6; i++) {
        const int n = back[i].n, in = back[i].c, h = back[i].h, w = back[i].w, o = back[i].o;
        const int kh = back[i].kh, kw = back[i].kw;
        const pleat_hw out =
            pleat_conv_transpose2d_output_size((pleat_hw){ h, w }, (pleat_hw){ kh, kw }, &transposed[i]);
        bench_case c = { .op = "conv_transpose2d", .fn = conv_transpose2d, .kinds = "xxx", .arg = { i } };
        TEXT(c, "%s %dx%dx%dx%d O%d k%dx%d s%dx%d", back[i].name, n, in, h, w, o, kh, kw, (int)transposed[i].stride.h,
             (int)transposed[i].stride.w);
        c.flops = 2.0 * n * in * h * w * o * kh * kw;
        c.bytes = 4 * ((double)n * in * h * w + (double)n * o * (double)(out.h * out.w));
        c.shape[0] = PLEAT_SHAPE(n, in, h, w);
        c.shape[1] = PLEAT_SHAPE(in, o, kh, kw);
        c.shape[2] = PLEAT_SHAPE(o);
        add_ways(c);
    }
    static const int image[][3] = { { 16, 3, 32 }, { 64, 32, 28 }, { 8, 64, 56 } };
    for (int i = 0; i < 6; i++) {
        const int n = image[i / 2][0], in = image[i / 2][1], h = image[i / 2][2];
        bench_case c = { .op = "unfold", .fn = unfold, .kinds = "x", .bytes = 4.0 * n * in * h * h * (1 + 9) };
        TEXT(c, "%dx%dx%dx%d k3 p1", n, in, h, h);
        c.shape[0] = PLEAT_SHAPE(n, in, h, h);
        if (i % 2) {
            snprintf(c.op, sizeof c.op, "fold");
            c.fn = fold;
            c.arg[0] = h;
            c.shape[0] = PLEAT_SHAPE(n, in * 9, h * h);
        }
        add_ways(c);
    }
}

/* ---- The lines of cases.h ---- */

static const pleat_window halving = { .kernel = { 3, 3 }, .stride = { 2, 2 }, .padding = { 1, 1 } };

static pleat_tensor *last_channels(pleat_tensor *x)
{
    return pleat_permute(x, PLEAT_DIMS(0, 2, 3, 1));
}

static pleat_tensor *max_of(pleat_tensor *x, int dim)
{
    pleat_tensor *values, *places;
    return pleat_max(x, dim, false, &values, &places) == PLEAT_OK ? values : NULL;
}

/* The k largest of each row, or all of them from the smallest on. */
static pleat_tensor *sorted(pleat_tensor *x, int64_t k)
{
    pleat_tensor *values, *places;
    const pleat_status status =
        k ? pleat_topk(x, k, 1, true, &values, &places) : pleat_sort(x, 1, false, &values, &places);
    return status == PLEAT_OK ? values : NULL;
}

/* What line c->arg[0] computes. */
static pleat_tensor *line_of(const bench_case *c, pleat_tensor *const *in)
{
    switch (c->arg[0]) {
#define CASE(op, sizes, what, kinds, arrays, result)                                                                   \
    case __LINE__:                                                                                                     \
        return result;
#include "cases.h"
#undef CASE
    default:
        return NULL;
    }
}

static void add_lines(void)
{
    static const pleat_shape shape[] = { { 4, { 128, 64, 32, 32 } }, { 4, { 64, 64, 28, 28 } },
                                         { 4, { 64, 6, 28, 28 } },   { 2, { 64, 10 } },
                                         { 2, { 128, 1000 } },       { 2, { 8192, 1000 } } };
    enum { LARGE = 2, SMALL = 4, IMAGES = 7, LINES = 16, ROWS = 56 }; /* one bit a shape */
    static const struct {
        const char *op, *what, *kinds;
        int sizes, number;
        double arrays;
    } line[] = {
#define CASE(op, sizes, what, kinds, arrays, result) { #op, what, kinds, sizes, __LINE__, arrays },
#include "cases.h"
#undef CASE
    };
    for (int i = 0; i < 6; i++)
        for (size_t k = 0; k < sizeof line / sizeof *line; k++) {
            if (!(line[k].sizes & 1 << i))
                continue;
            const int64_t *d = shape[i].dim;
            bench_case c = { .fn = line_of, .kinds = line[k].kinds, .arg = { line[k].number } };
            snprintf(c.op, sizeof c.op, "%s", line[k].op);
            int length = 0;
            for (int n = 0; n < shape[i].ndim; n++)
                length += snprintf(c.text + length, sizeof c.text - (size_t)length, n ? "x%d" : "%d", (int)d[n]);
            snprintf(c.text + length, sizeof c.text - (size_t)length, "%s", line[k].what);
            c.bytes = 4 * (double)pleat_shape_numel(shape[i]) * line[k].arrays;
            for (int n = 0; c.kinds[n]; n++)
                c.shape[n] = c.kinds[n] == 'w'          ? PLEAT_SHAPE(d[1])
                             : c.kinds[n] == 'b'        ? PLEAT_SHAPE(1, d[1], 1, 1)
                             : c.kinds[n] == 'r'        ? PLEAT_SHAPE(d[shape[i].ndim - 1])
                             : strchr("it", c.kinds[n]) ? PLEAT_SHAPE(d[0])
                                                        : shape[i];
            add_ways(c);
        }
}

/* ---- What a call costs where there is next to nothing to compute ---- */

#define CALL(name, result)                                                                                             \
    static pleat_tensor *name(const bench_case *c, pleat_tensor *const *in)                                            \
    {                                                                                                                  \
        (void)c;                                                                                                       \
        return result;                                                                                                 \
    }
CALL(relu, pleat_relu(in[0]))
CALL(add, pleat_add(in[0], in[1]))
CALL(batch_norm, pleat_batch_norm(in[0], in[1], in[2], NULL, NULL, true, NULL))
CALL(sum, pleat_sum(in[0]))
CALL(reshape, pleat_reshape(in[0], PLEAT_SHAPE(1, 1)))

static pleat_tensor *chain(const bench_case *c, pleat_tensor *const *in)
{
    pleat_tensor *y = in[0];
    for (int64_t i = 0; i < c->arg[0]; i++)
        y = pleat_add(y, in[1]);
    return y;
}

static void add_calls(void)
{
    bench_case c = { .op = "chain1000", .text = "1000 adds of 1 element", .fn = chain, .kinds = "xy", .arg = { 1000 } };
    c.shape[0] = c.shape[1] = PLEAT_SHAPE(1);
    add_ways(c);
    static const struct {
        const char *what;
        pleat_tensor *(*fn)(const bench_case *, pleat_tensor *const *);
        const char *kinds;
        int ndim[3];
    } call[] = { { "add of 1 element", add, "xx", { 1, 1 } },
                 { "relu of 1 element", relu, "x", { 1 } },
                 { "reshape of 1 element", reshape, "x", { 1 } },
                 { "sum of 1 element", sum, "x", { 1 } },
                 { "matmul 1x1", matmul, "xx", { 2, 2 } },
                 { "linear 1x1", linear, "xxx", { 2, 2, 1 } },
                 { "conv2d 1x1x1x1 k1", conv2d, "xxx", { 4, 4, 1 } },
                 { "batch_norm 2x1x1x1", batch_norm, "xxx", { 4, 1, 1 } } };
    for (size_t i = 0; i < sizeof call / sizeof *call; i++) {
        bench_case one = { .op = "call", .fn = call[i].fn, .kinds = call[i].kinds, .arg = { 1, 0, 1 } };
        TEXT(one, "%s", call[i].what);
        for (int k = 0; one.kinds[k]; k++) {
            const int64_t ones[4] = { 1, 1, 1, 1 };
            one.shape[k] = pleat_shape_make(call[i].ndim[k], ones);
        }
        if (call[i].fn == batch_norm)
            one.shape[0].dim[0] = 2;
        add_ways(one);
    }
}

void bench_add_ops(void)
{
    add_products();
    add_convolutions();
    add_lines();
    add_calls();
}
