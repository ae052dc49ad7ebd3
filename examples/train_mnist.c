/* Train a convolutional network on MNIST, the 70,000 handwritten digits, from IDX files.
 *
 *   ./train_mnist --data DIR [--epochs N] [--batch-size N] [--lr X] [--seed N] [--threads N] [--save FILE]
 *
 * The same seed gives the same weights, to the last bit, on any number of threads. */
#include <errno.h>
#include <math.h>
#include <pleat/pleat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *data, *save;
    double epochs, batch_size, lr, seed, threads;
} settings;

static const char usage[] =
    "usage: train_mnist --data DIR [options]\n"
    "\n"
    "Trains a small convolutional network on MNIST and says how much of the test set it reads right.\n"
    "\n"
    "  --data DIR       where the four files of MNIST are, as they come (.gz) or unpacked:\n"
    "                     train-images-idx3-ubyte  train-labels-idx1-ubyte\n"
    "                     t10k-images-idx3-ubyte   t10k-labels-idx1-ubyte\n"
    "  --epochs N       times through the 60,000 training images (5)\n"
    "  --batch-size N   images a step (64)\n"
    "  --lr X           Adam's learning rate, which falls evenly to 0 over the whole training (0.002)\n"
    "  --seed N         of the weights and of the order of the images (1)\n"
    "  --threads N      at most so many; the result is the same for any number (all processors)\n"
    "  --save FILE      write the weights to FILE as safetensors, with the names that PyTorch gives them\n"
    "  --help           this text\n";

static const char where[] =
    "train_mnist: --data DIR is missing: the folder with MNIST's files.\n"
    "If you have none yet, any mirror has the same four, about 11 MB together. For example:\n"
    "\n"
    "  mkdir -p mnist && cd mnist\n"
    "  for f in train-images-idx3 train-labels-idx1 t10k-images-idx3 t10k-labels-idx1; do\n"
    "    curl -LO https://storage.googleapis.com/cvdf-datasets/mnist/$f-ubyte.gz\n"
    "  done\n"
    "\n"
    "and then --data mnist. 04_train_digits trains on digits that the library draws itself and needs no files.\n";

/* The value of an option that is a number; exits where it is none, or not within low and high. */
static double number(const char *option, const char *text, double low, double high, bool whole)
{
    char *end = NULL;
    errno = 0;
    const double value = text ? strtod(text, &end) : 0;
    if (!text || end == text || *end || errno || !(value >= low && value <= high) || (whole && value != floor(value))) {
        fprintf(stderr, "train_mnist: %s takes a %snumber from %g to %g, not '%s'\n", option, whole ? "whole " : "",
                low, high, text ? text : "");
        exit(2);
    }
    return value;
}

static settings read_arguments(int count, char **argument)
{
    settings s = { .epochs = 5, .batch_size = 64, .lr = 2e-3, .seed = 1 };
    for (int i = 1; i < count; i += 2) {
        const char *option = argument[i], *value = i + 1 < count ? argument[i + 1] : NULL;
        if (strcmp(option, "--help") == 0) {
            fputs(usage, stdout);
            exit(0);
        } else if (strcmp(option, "--data") == 0) {
            s.data = value;
        } else if (strcmp(option, "--save") == 0) {
            s.save = value;
        } else if (strcmp(option, "--epochs") == 0) {
            s.epochs = number(option, value, 1, 1000, true);
        } else if (strcmp(option, "--batch-size") == 0) {
            s.batch_size = number(option, value, 1, 10000, true);
        } else if (strcmp(option, "--lr") == 0) {
            s.lr = number(option, value, 0, 10, false);
        } else if (strcmp(option, "--seed") == 0) {
            s.seed = number(option, value, 1, 0x1p53, true);
        } else if (strcmp(option, "--threads") == 0) {
            s.threads = number(option, value, 1, 1024, true);
        } else {
            fprintf(stderr, "train_mnist: there is no option %s\n\n%s", option, usage);
            exit(2);
        }
    }
    if (!s.data) {
        fputs(where, stderr);
        exit(2);
    }
    return s;
}

/* Two convolutions with batch normalisation and relu, each followed by pooling that halves the image; a linear layer
 * that reads the digit from what is left. */
static pleat_module *make_network(void)
{
    const pleat_hw kernel = { 5, 5 };
    const pleat_conv2d_opts same_size = { .padding = { 2, 2 } };
    const pleat_window halve = { .kernel = { 2, 2 } };
    return pleat_sequential(pleat_nn_conv2d(1, 16, kernel, &same_size), /* (N, 16, 28, 28) */
                            pleat_nn_batch_norm2d(16), pleat_nn_relu(),
                            pleat_nn_max_pool2d(&halve),                 /* (N, 16, 14, 14) */
                            pleat_nn_conv2d(16, 32, kernel, &same_size), /* (N, 32, 14, 14) */
                            pleat_nn_batch_norm2d(32), pleat_nn_relu(), pleat_nn_max_pool2d(&halve), /* (N, 32, 7, 7) */
                            pleat_nn_flatten(), pleat_nn_linear(32 * 7 * 7, 10));
}

typedef struct {
    pleat_module *net;
    pleat_optimizer *optimizer;
    pleat_loader *loader;
    double lr;
    int64_t step, steps; /* taken, and of the whole training */
} training;

/* One step on a batch. Adds to the sum of the losses and the number of right answers. */
static pleat_status train_step(training *t, const pleat_batch *batch, double *loss_sum, int64_t *correct)
{
    const double rate = t->lr * (double)(t->steps - t->step) / (double)t->steps;
    t->step++;
    pleat_tensor *scores = pleat_forward(t->net, batch->input);
    pleat_tensor *loss = pleat_cross_entropy(scores, batch->target);
    pleat_optimizer_zero_grad(t->optimizer);
    pleat_status status = pleat_optimizer_set_lr(t->optimizer, rate);
    if (status == PLEAT_OK)
        status = pleat_backward(loss);
    if (status == PLEAT_OK)
        status = pleat_optimizer_step(t->optimizer);
    if (status == PLEAT_OK) {
        *loss_sum += pleat_item(loss) * (double)pleat_size(batch->target, 0);
        *correct += pleat_count_correct(scores, batch->target);
    }
    return status;
}

static pleat_status train_epoch(training *t, const char *label)
{
    pleat_progress *progress = pleat_progress_begin(stdout, label, pleat_loader_batches(t->loader));
    pleat_status status = PLEAT_OK;
    double loss_sum = 0;
    int64_t seen = 0, correct = 0;
    pleat_module_train(t->net, true);
    for (pleat_batch batch; status == PLEAT_OK && pleat_loader_next(t->loader, &batch);) {
        const int64_t images = pleat_size(batch.target, 0);
        pleat_scope scope = pleat_scope_begin();
        status = train_step(t, &batch, &loss_sum, &correct);
        pleat_scope_end(scope); /* everything this step made is freed here */
        seen += images;
        const pleat_progress_step done = { loss_sum / (double)seen, (double)correct / (double)seen, images };
        pleat_progress_update(progress, &done);
    }
    pleat_progress_end(progress);
    return status != PLEAT_OK ? status : pleat_check();
}

static pleat_status train(const settings *s, pleat_module *net, pleat_dataset *images, pleat_dataset *test)
{
    training t = { .net = net, .lr = s->lr };
    t.optimizer = pleat_adam(net, s->lr, NULL);
    t.loader = pleat_loader_new(
        images,
        &(pleat_loader_opts){ .batch_size = (int64_t)s->batch_size, .shuffle = true, .seed = (uint64_t)s->seed });
    t.steps = (int64_t)s->epochs * pleat_loader_batches(t.loader);
    pleat_status status = pleat_check();
    for (int epoch = 1; status == PLEAT_OK && epoch <= (int)s->epochs; epoch++) {
        char label[64];
        snprintf(label, sizeof label, "epoch %d/%d", epoch, (int)s->epochs);
        status = train_epoch(&t, label);
        if (status == PLEAT_OK && epoch < (int)s->epochs)
            printf("           on the test set: %.4f\n", pleat_accuracy(net, test));
    }
    pleat_loader_free(t.loader);
    pleat_optimizer_free(t.optimizer);
    return status;
}

int main(int argc, char **argv)
{
    const settings s = read_arguments(argc, argv);
    pleat_set_threads((int)s.threads); /* 0: as many as there are processors */
    pleat_seed((uint64_t)s.seed);

    pleat_dataset *images = pleat_mnist(s.data, true), *test = pleat_mnist(s.data, false);
    pleat_module *net = make_network();
    pleat_status status = pleat_check(); /* of all of the above: what failed left its error pending */
    if (status == PLEAT_OK) {
        printf("%lld images to learn from, %lld to test with; %lld weights; %d threads\n",
               (long long)pleat_dataset_size(images), (long long)pleat_dataset_size(test),
               (long long)pleat_module_parameter_count(net), pleat_threads());
        status = train(&s, net, images, test);
    }
    if (status == PLEAT_OK && s.save) {
        status = pleat_save(net, s.save);
        if (status == PLEAT_OK)
            printf("weights saved to %s\n", s.save);
    }
    if (status == PLEAT_OK) {
        const double accuracy = pleat_accuracy(net, test);
        status = pleat_check();
        if (status == PLEAT_OK)
            printf("test accuracy %.4f\n", accuracy);
    }
    if (status != PLEAT_OK)
        fprintf(stderr, "train_mnist: %s\n", pleat_error());

    pleat_module_free(net);
    pleat_dataset_free(test);
    pleat_dataset_free(images);
    return status == PLEAT_OK ? 0 : 1;
}
