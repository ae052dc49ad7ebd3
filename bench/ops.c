/* Cases of single ops: forward alone, without recording, and forward with the gradients of all float inputs. Names are
 * those of peer_torch.py, by which compare.py joins the two. */
#include "bench.h"

#include <stdio.h>

enum { MOST = 3 };

static pleat_tensor *input[MOST], *seed; /* seed: the output's gradient */
static int inputs;

static pleat_tensor *centred(pleat_shape shape)
{
    return pleat_add_scalar(pleat_rand(shape, PLEAT_F32), -0.5);
}

static bool op_make(const bench_case *c)
{
    inputs = c->inputs;
    for (int i = 0; i < inputs; i++)
        input[i] = pleat_set_requires_grad(centred(c->shape[i]), true);
    if (c->arg[7]) /* so many classes: the targets of a loss */
        input[inputs] = pleat_randint(0, c->arg[7], PLEAT_SHAPE(pleat_size(input[0], 0)));
    pleat_scope scope = pleat_scope_begin();
    pleat_grad_mode(false);
    seed = pleat_ones(pleat_shape_of(c->fn(c, input)), PLEAT_F32);
    return pleat_scope_return(scope, seed) != NULL;
}

static void forward(const bench_case *c)
{
    pleat_scope scope = pleat_scope_begin();
    pleat_grad_mode(false);
    c->fn(c, input);
    pleat_scope_end(scope);
}

static void forward_backward(const bench_case *c)
{
    pleat_scope scope = pleat_scope_begin();
    pleat_tensor *y = c->fn(c, input), *grad[MOST];
    pleat_gradients(&y, 1, input, inputs, &(pleat_gradients_opts){ .grad_outputs = &seed }, grad);
    pleat_scope_end(scope);
}

/* Both ways to run `c`, whose op is a name without ".fwd". */
static void both(bench_case c)
{
    for (int backward = 0; backward < 2; backward++) {
        bench_case *place = bench_add("", "%s", c.text);
        *place = c;
        snprintf(place->op, sizeof place->op, "%.20s.%s", c.op, backward ? "fwdbwd" : "fwd");
        place->flops = backward ? 3 * c.flops : c.flops;
        place->bytes = backward ? 3 * c.bytes : c.bytes;
        place->make = c.make ? c.make : op_make;
        place->run = backward ? forward_backward : forward;
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
        bench_case *c = bench_add("gemm.fwd", "%s %dx%dx%d", product[i].form, m, n, k);
        c->arg[0] = product[i].form[0] == 'T';
        c->arg[1] = product[i].form[1] == 'T';
        c->shape[0] = c->arg[0] ? PLEAT_SHAPE(k, m) : PLEAT_SHAPE(m, k);
        c->shape[1] = c->arg[1] ? PLEAT_SHAPE(n, k) : PLEAT_SHAPE(k, n);
        c->inputs = 2;
        c->flops = 2.0 * m * n * k;
        c->fn = gemm;
        c->make = op_make;
        c->run = forward;
    }
    static const int batched[][4] = { { 64, 128, 64, 256 }, { 16, 64, 27, 1024 } };
    for (int i = 0; i < 2; i++) {
        const int b = batched[i][0], m = batched[i][1], k = batched[i][2], n = batched[i][3];
        bench_case c = { .op = "bmm", .fn = matmul, .inputs = 2, .flops = 2.0 * b * m * k * n };
        TEXT(c, "%dx%dx%d @ %dx%dx%d", b, m, k, b, k, n);
        c.shape[0] = PLEAT_SHAPE(b, m, k);
        c.shape[1] = PLEAT_SHAPE(b, k, n);
        both(c);
    }
    static const int layer[][3] = { { 64, 784, 128 }, { 64, 128, 10 }, { 64, 12544, 128 }, { 1024, 1024, 1024 } };
    for (int i = 0; i < 4; i++) {
        const int m = layer[i][0], k = layer[i][1], n = layer[i][2];
        bench_case c = { .op = "linear", .fn = linear, .inputs = 3, .flops = 2.0 * m * k * n };
        TEXT(c, "%dx%d -> %d", m, k, n);
        c.shape[0] = PLEAT_SHAPE(m, k);
        c.shape[1] = PLEAT_SHAPE(n, k);
        c.shape[2] = PLEAT_SHAPE(n);
        both(c);
    }
}

/* ---- Convolutions, unfold and fold ---- */

static pleat_tensor *conv2d(const bench_case *c, pleat_tensor *const *in)
{
    const int64_t s = c->arg[0], p = c->arg[1], g = c->arg[2];
    return pleat_conv2d(in[0], in[1], in[2],
                        &(pleat_conv2d_opts){ .stride = { s, s }, .padding = { p, p }, .groups = g });
}

static const pleat_conv_transpose2d_opts transposed[] = {
    { .stride = { 2, 2 }, .padding = { 1, 1 } },
    { .stride = { 2, 2 }, .padding = { 1, 1 } },
    { .stride = { 2, 3 }, .padding = { 1, 0 }, .dilation = { 3, 1 }, .output_padding = { 1, 2 } },
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
        int n, c, h, w, o, k, s, p, g;
    } conv[] = {
        { "lenet1", 64, 1, 28, 28, 6, 5, 1, 2, 1 },       { "lenet2", 64, 6, 14, 14, 16, 5, 1, 0, 1 },
        { "mnist1", 64, 1, 28, 28, 32, 3, 1, 1, 1 },      { "mnist2", 64, 32, 28, 28, 64, 3, 1, 1, 1 },
        { "rn20-s1", 128, 16, 32, 32, 16, 3, 1, 1, 1 },   { "rn20-s2", 128, 32, 16, 16, 32, 3, 1, 1, 1 },
        { "rn20-s3", 128, 64, 8, 8, 64, 3, 1, 1, 1 },     { "rn20-down", 128, 16, 32, 32, 32, 3, 2, 1, 1 },
        { "seed", 16, 3, 32, 32, 64, 3, 1, 1, 1 },        { "in-56", 1, 64, 56, 56, 64, 3, 1, 1, 1 },
        { "in-28", 8, 128, 28, 28, 128, 3, 1, 1, 1 },     { "in-14", 8, 256, 14, 14, 256, 3, 1, 1, 1 },
        { "in-stem", 1, 3, 224, 224, 64, 7, 2, 3, 1 },    { "1x1", 8, 256, 14, 14, 1024, 1, 1, 0, 1 },
        { "depthwise", 32, 64, 28, 28, 64, 3, 1, 1, 64 }, { "k11", 8, 16, 64, 64, 16, 11, 1, 5, 1 },
        { "k21", 2, 8, 112, 112, 8, 21, 1, 10, 1 },       { "k31-dw", 4, 16, 56, 56, 16, 31, 1, 15, 16 },
    };
    for (size_t i = 0; i < sizeof conv / sizeof *conv; i++) {
        const int n = conv[i].n, in = conv[i].c, h = conv[i].h, w = conv[i].w, o = conv[i].o, k = conv[i].k;
        const int s = conv[i].s, p = conv[i].p, g = conv[i].g;
        const double pixels = (double)n * ((h + 2 * p - k) / s + 1) * ((w + 2 * p - k) / s + 1);
        bench_case c = { .op = "conv2d", .fn = conv2d, .inputs = 3, .arg = { s, p, g } };
        TEXT(c, "%s %dx%dx%dx%d O%d k%d s%d p%d g%d", conv[i].name, n, in, h, w, o, k, s, p, g);
        c.flops = 2 * pixels * o * (in / g) * k * k;
        c.bytes = 4 * ((double)n * in * h * w + pixels * o + (double)o * (in / g) * k * k);
        c.shape[0] = PLEAT_SHAPE(n, in, h, w);
        c.shape[1] = PLEAT_SHAPE(o, in / g, k, k);
        c.shape[2] = PLEAT_SHAPE(o);
        both(c);
    }
    static const struct {
        const char *name;
        int n, c, h, w, o, kh, kw;
    } back[] = { { "dcgan", 16, 64, 8, 8, 32, 4, 4 },
                 { "dcgan2", 16, 32, 16, 16, 16, 4, 4 },
                 { "odd", 8, 32, 16, 16, 64, 3, 2 } };
    for (int i = 0; i < 3; i++) {
        const int n = back[i].n, in = back[i].c, h = back[i].h, w = back[i].w, o = back[i].o;
        const int kh = back[i].kh, kw = back[i].kw;
        const pleat_hw out =
            pleat_conv_transpose2d_output_size((pleat_hw){ h, w }, (pleat_hw){ kh, kw }, &transposed[i]);
        bench_case c = { .op = "conv_transpose2d", .fn = conv_transpose2d, .inputs = 3, .arg = { i } };
        TEXT(c, "%s %dx%dx%dx%d O%d k%dx%d s%dx%d", back[i].name, n, in, h, w, o, kh, kw, (int)transposed[i].stride.h,
             (int)transposed[i].stride.w);
        c.flops = 2.0 * n * in * h * w * o * kh * kw;
        c.bytes = 4 * ((double)n * in * h * w + (double)n * o * (double)(out.h * out.w));
        c.shape[0] = PLEAT_SHAPE(n, in, h, w);
        c.shape[1] = PLEAT_SHAPE(in, o, kh, kw);
        c.shape[2] = PLEAT_SHAPE(o);
        both(c);
    }
    static const int image[][3] = { { 16, 3, 32 }, { 64, 32, 28 }, { 8, 64, 56 } };
    for (int i = 0; i < 6; i++) {
        const int n = image[i / 2][0], in = image[i / 2][1], h = image[i / 2][2];
        bench_case c = { .op = "unfold", .fn = unfold, .inputs = 1, .bytes = 4.0 * n * in * h * h * (1 + 9) };
        TEXT(c, "%dx%dx%dx%d k3 p1", n, in, h, h);
        c.shape[0] = PLEAT_SHAPE(n, in, h, h);
        if (i % 2) {
            snprintf(c.op, sizeof c.op, "fold");
            c.fn = fold;
            c.arg[0] = h;
            c.shape[0] = PLEAT_SHAPE(n, in * 9, h * h);
        }
        both(c);
    }
}

/* ---- Pointwise, pooling, normalisation, reductions ---- */

#define UNARY(name, expression)                                                                                        \
    static pleat_tensor *name(const bench_case *c, pleat_tensor *const *in)                                            \
    {                                                                                                                  \
        (void)c;                                                                                                       \
        return expression;                                                                                             \
    }
UNARY(max_pool2d, pleat_max_pool2d(in[0], &(pleat_window){ .kernel = { 2, 2 } }))
UNARY(avg_pool2d, pleat_avg_pool2d(in[0], &(pleat_window){ .kernel = { 2, 2 } }, NULL))
UNARY(relu, pleat_relu(in[0]))
UNARY(sigmoid, pleat_sigmoid(in[0]))
UNARY(hyperbolic, pleat_tanh(in[0]))
UNARY(exponential, pleat_exp(in[0]))
UNARY(add, pleat_add(in[0], in[1]))
UNARY(mul, pleat_mul(in[0], in[1]))
UNARY(batch_norm, pleat_batch_norm(in[0], in[1], in[2], NULL, NULL, true, NULL))
UNARY(sum, pleat_sum(in[0]))
UNARY(mean_hw, pleat_mean_dims(in[0], PLEAT_DIMS(2, 3), false))
UNARY(sum_nhw, pleat_sum_dims(in[0], PLEAT_DIMS(0, 2, 3), false))
UNARY(transpose_copy, pleat_contiguous(pleat_permute(in[0], PLEAT_DIMS(0, 2, 3, 1))))
UNARY(softmax, pleat_softmax(in[0], 1))
UNARY(log_softmax, pleat_log_softmax(in[0], 1))
UNARY(cross_entropy, pleat_cross_entropy(in[0], in[1]))
UNARY(reshape, pleat_reshape(in[0], PLEAT_SHAPE(1, 1)))

static void add_others(void)
{
    static const struct {
        const char *op, *what;
        pleat_tensor *(*fn)(const bench_case *, pleat_tensor *const *);
        double arrays; /* read and written, of the input's size */
        int others;    /* inputs beside the first: -1 one of its shape, -2 one of (1, C, 1, 1), n: n of (C) */
    } kind[] = {
        { "max_pool2d", " k2", max_pool2d, 1.25, 0 },
        { "avg_pool2d", " k2", avg_pool2d, 1.25, 0 },
        { "relu", "", relu, 2, 0 },
        { "sigmoid", "", sigmoid, 2, 0 },
        { "tanh", "", hyperbolic, 2, 0 },
        { "exp", "", exponential, 2, 0 },
        { "add", "", add, 3, -1 },
        { "mul", "", mul, 3, -1 },
        { "add_bcast_c", "", add, 2, -2 },
        { "batch_norm", " training", batch_norm, 2, 2 },
        { "sum", "", sum, 1, 0 },
        { "mean_hw", " over HW", mean_hw, 1, 0 },
        { "sum_nhw", " over NHW", sum_nhw, 1, 0 },
        { "transpose_copy", " NCHW->NHWC", transpose_copy, 2, 0 },
    };
    static const int image[][4] = { { 128, 64, 32, 32 }, { 64, 64, 28, 28 }, { 64, 6, 28, 28 } };
    for (int i = 0; i < 3; i++)
        for (size_t k = 0; k < sizeof kind / sizeof *kind; k++) {
            const int *d = image[i];
            bench_case c = { .fn = kind[k].fn, .inputs = 1 };
            snprintf(c.op, sizeof c.op, "%s", kind[k].op);
            TEXT(c, "%dx%dx%dx%d%s", d[0], d[1], d[2], d[3], kind[k].what);
            c.bytes = 4.0 * d[0] * d[1] * d[2] * d[3] * kind[k].arrays;
            c.shape[0] = PLEAT_SHAPE(d[0], d[1], d[2], d[3]);
            if (kind[k].others < 0)
                c.shape[c.inputs++] = kind[k].others == -1 ? c.shape[0] : PLEAT_SHAPE(1, d[1], 1, 1);
            for (int n = 0; n < kind[k].others; n++)
                c.shape[c.inputs++] = PLEAT_SHAPE(d[1]);
            both(c);
        }
    static const int rows[][2] = { { 64, 10 }, { 128, 1000 }, { 8192, 1000 } };
    for (int i = 0; i < 9; i++) {
        const int n = rows[i / 3][0], classes = rows[i / 3][1];
        bench_case c = { .op = "softmax", .fn = softmax, .inputs = 1, .bytes = 8.0 * n * classes };
        TEXT(c, "%dx%d", n, classes);
        c.shape[0] = PLEAT_SHAPE(n, classes);
        if (i % 3 == 1) {
            snprintf(c.op, sizeof c.op, "log_softmax");
            c.fn = log_softmax;
        } else if (i % 3 == 2) {
            snprintf(c.op, sizeof c.op, "cross_entropy");
            c.fn = cross_entropy;
            c.bytes /= 2;
            c.arg[7] = classes;
        }
        both(c);
    }
}

/* ---- What a call costs where there is next to nothing to compute ---- */

static pleat_tensor *chain(const bench_case *c, pleat_tensor *const *in)
{
    pleat_tensor *y = in[0];
    for (int64_t i = 0; i < c->arg[0]; i++)
        y = pleat_add(y, in[1]);
    return y;
}

/* The chain's second operand is a constant. */
static bool chain_make(const bench_case *c)
{
    if (!op_make(c))
        return false;
    pleat_set_requires_grad(input[1], false);
    inputs = 1;
    return true;
}

static void add_calls(void)
{
    bench_case c = { .op = "chain1000", .text = "1000 adds of 1 element", .fn = chain, .inputs = 2, .arg = { 1000 } };
    c.shape[0] = c.shape[1] = PLEAT_SHAPE(1);
    c.make = chain_make;
    both(c);
    static const struct {
        const char *what;
        pleat_tensor *(*fn)(const bench_case *, pleat_tensor *const *);
        int inputs, ndim[3];
    } call[] = {
        { "add of 1 element", add, 2, { 1, 1 } },        { "relu of 1 element", relu, 1, { 1 } },
        { "reshape of 1 element", reshape, 1, { 1 } },   { "sum of 1 element", sum, 1, { 1 } },
        { "matmul 1x1", matmul, 2, { 2, 2 } },           { "linear 1x1", linear, 3, { 2, 2, 1 } },
        { "conv2d 1x1x1x1 k1", conv2d, 3, { 4, 4, 1 } }, { "batch_norm 2x1x1x1", batch_norm, 3, { 4, 1, 1 } }
    };
    for (size_t i = 0; i < sizeof call / sizeof *call; i++) {
        bench_case one = { .op = "call", .fn = call[i].fn, .inputs = call[i].inputs, .arg = { 1, 0, 1 } };
        TEXT(one, "%s", call[i].what);
        for (int k = 0; k < one.inputs; k++) {
            const int64_t ones[4] = { 1, 1, 1, 1 };
            one.shape[k] = pleat_shape_make(call[i].ndim[k], ones);
        }
        if (call[i].fn == batch_norm)
            one.shape[0].dim[0] = 2;
        both(one);
    }
}

void bench_add_ops(void)
{
    add_products();
    add_convolutions();
    add_others();
    add_calls();
}
