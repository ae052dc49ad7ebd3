/* Cases of whole training steps (forward, loss, backward, SGD with momentum), of networks in use, and of optimizer
 * steps alone. */
#include "bench.h"

/* ---- ResNet-20: He et al., CVPR 2016, with 1x1 convolutions where the shape changes ---- */

static pleat_module *conv(int64_t in, int64_t out, int64_t kernel, int64_t stride)
{
    const int64_t padding = kernel / 2;
    return pleat_nn_conv2d(
        in, out, (pleat_hw){ kernel, kernel },
        &(pleat_conv2d_opts){ .stride = { stride, stride }, .padding = { padding, padding }, .no_bias = true });
}

static pleat_module *block(int64_t in, int64_t out, int64_t stride)
{
    return pleat_nn_residual(pleat_sequential(conv(in, out, 3, stride), pleat_nn_batch_norm2d(out), pleat_nn_relu(),
                                              conv(out, out, 3, 1), pleat_nn_batch_norm2d(out)),
                             in == out ? NULL : pleat_sequential(conv(in, out, 1, stride), pleat_nn_batch_norm2d(out)));
}

static pleat_tensor *mean_forward(pleat_module *self, pleat_tensor *x)
{
    (void)self;
    return pleat_mean_dims(x, PLEAT_DIMS(2, 3), false);
}

static const pleat_module_class mean_class = { .name = "mean", .forward = mean_forward };

static pleat_module *resnet20(void)
{
    return pleat_sequential(conv(3, 16, 3, 1), pleat_nn_batch_norm2d(16), pleat_nn_relu(), block(16, 16, 1),
                            block(16, 16, 1), block(16, 16, 1), block(16, 32, 2), block(32, 32, 1), block(32, 32, 1),
                            block(32, 64, 2), block(64, 64, 1), block(64, 64, 1), pleat_module_new(&mean_class),
                            pleat_nn_linear(64, 10));
}

/* The same, its blocks run again for the gradient. */
static pleat_module *resnet20_recomputed(void)
{
    pleat_module *m = resnet20();
    for (char name[] = "3"; name[0] <= '9'; name[0]++)
        pleat_module_recompute(pleat_module_child(m, name), true);
    pleat_module_recompute(pleat_module_child(m, "10"), true);
    pleat_module_recompute(pleat_module_child(m, "11"), true);
    return m;
}

/* ---- The smaller ones ---- */

static const pleat_window two = { .kernel = { 2, 2 } };

static pleat_module *mlp(void)
{
    return pleat_sequential(pleat_nn_flatten(), pleat_nn_linear(784, 128), pleat_nn_relu(), pleat_nn_linear(128, 10));
}

static pleat_module *lenet5(void)
{
    const pleat_conv2d_opts padded = { .padding = { 2, 2 } };
    return pleat_sequential(pleat_nn_conv2d(1, 6, (pleat_hw){ 5, 5 }, &padded), pleat_nn_relu(),
                            pleat_nn_max_pool2d(&two), pleat_nn_conv2d(6, 16, (pleat_hw){ 5, 5 }, NULL),
                            pleat_nn_relu(), pleat_nn_max_pool2d(&two), pleat_nn_flatten(), pleat_nn_linear(400, 120),
                            pleat_nn_relu(), pleat_nn_linear(120, 84), pleat_nn_relu(), pleat_nn_linear(84, 10));
}

static pleat_module *mnist_cnn(void)
{
    const pleat_conv2d_opts padded = { .padding = { 1, 1 } };
    return pleat_sequential(pleat_nn_conv2d(1, 32, (pleat_hw){ 3, 3 }, &padded), pleat_nn_relu(),
                            pleat_nn_conv2d(32, 64, (pleat_hw){ 3, 3 }, &padded), pleat_nn_relu(),
                            pleat_nn_max_pool2d(&two), pleat_nn_flatten(), pleat_nn_linear(12544, 128), pleat_nn_relu(),
                            pleat_nn_linear(128, 10));
}

static const struct {
    const char *name;
    pleat_module *(*make)(void);
    int64_t channels, size;
    double flops, first; /* floating-point operations of the convolutions and linear layers, and of the first of them */
} nets[] = { { "mlp784-128-10", mlp, 1, 28, 203264, 200704 },
             { "lenet5", lenet5, 1, 28, 833040, 235200 },
             { "mnist-cnn", mnist_cnn, 1, 28, 32566784, 451584 },
             { "resnet20", resnet20, 3, 32, 81626368, 884736 },
             { "resnet20-recomputed", resnet20_recomputed, 3, 32, 81626368, 884736 } };

/* Of one image's step: nobody wants the gradient by the image. */
static double step_flops(int which)
{
    return 3 * nets[which].flops - nets[which].first;
}

/* ---- Steps ---- */

static pleat_module *net;
static pleat_optimizer *optimizer;
static pleat_tensor *images, *labels;

static pleat_tensor *loss_now(void)
{
    return pleat_cross_entropy(pleat_forward(net, images), labels);
}

static bool prepare(const bench_case *c)
{
    const int64_t n = c->arg[1], size = nets[c->arg[0]].size;
    net = nets[c->arg[0]].make();
    images = pleat_empty(PLEAT_SHAPE(n, nets[c->arg[0]].channels, size, size), PLEAT_F32);
    images = pleat_uniform_(images, -0.5, 0.5);
    labels = pleat_randint(0, 10, PLEAT_SHAPE(n));
    return net && images && labels;
}

static bool train_make(const bench_case *c)
{
    return prepare(c) && (optimizer = pleat_sgd(net, 0.01, &(pleat_sgd_opts){ .momentum = 0.9 }));
}

static void train_run(const bench_case *c)
{
    (void)c;
    pleat_scope scope = pleat_scope_begin();
    pleat_tensor *loss = loss_now();
    pleat_optimizer_zero_grad(optimizer);
    if (pleat_backward(loss) == PLEAT_OK)
        pleat_optimizer_step(optimizer);
    pleat_scope_end(scope);
}

static bool infer_make(const bench_case *c)
{
    if (!prepare(c))
        return false;
    pleat_module_train(net, false);
    return true;
}

static void infer_run(const bench_case *c)
{
    (void)c;
    pleat_scope scope = pleat_scope_begin();
    pleat_grad_mode(false);
    pleat_forward(net, images);
    pleat_scope_end(scope);
}

static bool optimizer_make(const bench_case *c)
{
    if (!prepare(c) || pleat_backward(loss_now()) != PLEAT_OK)
        return false;
    switch (c->arg[2]) {
    case 0:
        optimizer = pleat_sgd(net, 1e-6, &(pleat_sgd_opts){ .momentum = 0.9 });
        break;
    case 1:
        optimizer = pleat_adam(net, 1e-6, NULL);
        break;
    default:
        optimizer = pleat_adamw(net, 1e-6, NULL);
    }
    return optimizer != NULL;
}

static void optimizer_run(const bench_case *c)
{
    (void)c;
    pleat_optimizer_step(optimizer);
}

static void drop(const bench_case *c)
{
    (void)c;
    pleat_optimizer_free(optimizer);
    pleat_module_free(net);
    optimizer = NULL;
    net = NULL;
}

void bench_add_nets(void)
{
    static const struct {
        int net, batch;
    } steps[] = { { 0, 64 }, { 0, 1 }, { 1, 64 }, { 1, 1 }, { 2, 64 }, { 3, 128 }, { 4, 128 } };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        bench_case *c = bench_add("train", "%s bs%d", nets[steps[i].net].name, steps[i].batch);
        c->flops = steps[i].batch * step_flops(steps[i].net);
        c->memory = true;
        c->arg[0] = steps[i].net;
        c->arg[1] = steps[i].batch;
        c->make = train_make;
        c->run = train_run;
        c->drop = drop;
    }
    for (int i = 0; i < 8; i++) {
        const int which = i / 2, batch = i % 2 ? 1 : 64;
        bench_case *c = bench_add("infer", "%s bs%d", nets[which].name, batch);
        c->flops = batch * nets[which].flops;
        c->arg[0] = which;
        c->arg[1] = batch;
        c->make = infer_make;
        c->run = infer_run;
        c->drop = drop;
    }
    static const struct {
        const char *op;
        double arrays; /* read and written, each of the parameters' size */
    } optimizers[] = { { "sgd", 5 }, { "adam", 7 }, { "adamw", 7 } };
    static const double parameters[] = { 0, 0, 1625866, 272474 }; /* of mnist-cnn and of resnet20 */
    for (int i = 0; i < 6; i++) {
        const int which = 2 + i % 2;
        bench_case *c = bench_add("optimizer", "%s of %s's parameters", optimizers[i / 2].op, nets[which].name);
        c->bytes = 4 * optimizers[i / 2].arrays * parameters[which];
        c->arg[0] = which;
        c->arg[1] = 2;
        c->arg[2] = i / 2;
        c->make = optimizer_make;
        c->run = optimizer_run;
        c->drop = drop;
    }
}
