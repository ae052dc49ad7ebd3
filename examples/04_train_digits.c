/* Train a small convolutional network on digits that the library draws itself, and see how well it reads digits that it
 * has never seen.
 *
 *   ./04_train_digits [--epochs N] [--images N] [--seed N]
 *
 * Three sets: the network learns from `train`; after each epoch `validation` says how far it is; `test` is looked at
 * once, at the end. */
#include <errno.h>
#include <pleat/pleat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    int64_t epochs, images, seed;
} settings;

static const char usage[] = "usage: 04_train_digits [--epochs N] [--images N] [--seed N]\n"
                            "  --epochs N   times through the training images (3)\n"
                            "  --images N   training images to draw (10000)\n"
                            "  --seed N     of the images, the weights and the order (1)\n";

/* "--name value" pairs; exits where there is something else. */
static settings read_arguments(int count, char **argument)
{
    settings s = { .epochs = 3, .images = 10000, .seed = 1 };
    for (int i = 1; i < count; i += 2) {
        if (strcmp(argument[i], "--help") == 0) {
            fputs(usage, stdout);
            exit(0);
        }
        int64_t *value = strcmp(argument[i], "--epochs") == 0   ? &s.epochs
                         : strcmp(argument[i], "--images") == 0 ? &s.images
                         : strcmp(argument[i], "--seed") == 0   ? &s.seed
                                                                : NULL;
        char *end = NULL;
        errno = 0;
        const long long number = value && i + 1 < count ? strtoll(argument[i + 1], &end, 10) : 0;
        if (!end || end == argument[i + 1] || *end || errno || number < 1) {
            fprintf(stderr, "%s: not an option with a number above 0\n%s", argument[i], usage);
            exit(2);
        }
        *value = number;
    }
    return s;
}

/* Two convolutions that look for strokes and what they form, and a linear layer that reads the digit from it. Each
 * pooling halves the image: 28, 14, 7. */
static pleat_module *make_network(void)
{
    const pleat_conv2d_opts same_size = { .padding = { 1, 1 } };
    const pleat_window halve = { .kernel = { 2, 2 } };
    return pleat_sequential(pleat_nn_conv2d(1, 16, (pleat_hw){ 3, 3 }, &same_size), /* (N, 16, 28, 28) */
                            pleat_nn_batch_norm2d(16), pleat_nn_relu(),
                            pleat_nn_max_pool2d(&halve),                             /* (N, 16, 14, 14) */
                            pleat_nn_conv2d(16, 32, (pleat_hw){ 3, 3 }, &same_size), /* (N, 32, 14, 14) */
                            pleat_nn_batch_norm2d(32), pleat_nn_relu(), pleat_nn_max_pool2d(&halve), /* (N, 32, 7, 7) */
                            pleat_nn_flatten(), pleat_nn_linear(32 * 7 * 7, 10));
}

/* Once through the training images. False where something failed; pleat_error() says what. */
static bool train_epoch(pleat_module *net, pleat_optimizer *optimizer, pleat_loader *loader, const char *label)
{
    pleat_progress *progress = pleat_progress_begin(stdout, label, pleat_loader_batches(loader));
    double loss_sum = 0;
    int64_t seen = 0, correct = 0;
    bool ok = true;
    pleat_module_train(net, true);
    for (pleat_batch batch; ok && pleat_loader_next(loader, &batch);) {
        pleat_scope scope = pleat_scope_begin();
        pleat_tensor *scores = pleat_forward(net, batch.input);         /* (N, 10): how much like each digit */
        pleat_tensor *loss = pleat_cross_entropy(scores, batch.target); /* how far from what they should be */
        pleat_optimizer_zero_grad(optimizer);
        ok = pleat_backward(loss) == PLEAT_OK &&          /* how the loss changes with each weight */
             pleat_optimizer_step(optimizer) == PLEAT_OK; /* a step downhill */
        if (ok) {
            const int64_t images = pleat_size(batch.target, 0);
            seen += images;
            correct += pleat_count_correct(scores, batch.target);
            loss_sum += pleat_item(loss) * (double)images;
            const pleat_progress_step step = { loss_sum / (double)seen, (double)correct / (double)seen, images };
            pleat_progress_update(progress, &step);
        }
        pleat_scope_end(scope); /* all that this step made is freed here */
    }
    pleat_progress_end(progress);
    return ok && pleat_check() == PLEAT_OK;
}

int main(int argc, char **argv)
{
    const settings s = read_arguments(argc, argv);
    pleat_seed((uint64_t)s.seed);

    printf("Drawing %lld digits to learn from, and 2000 + 2000 to validate and to test with.\n", (long long)s.images);
    pleat_dataset *train = pleat_digits(s.images, (uint64_t)s.seed);
    pleat_dataset *validation = pleat_digits(2000, (uint64_t)s.seed + 1);
    pleat_dataset *test = pleat_digits(2000, (uint64_t)s.seed + 2);
    pleat_loader *loader = pleat_loader_new(train, &(pleat_loader_opts){ .batch_size = 64, .shuffle = true });

    pleat_module *net = make_network();
    pleat_optimizer *optimizer = pleat_adam(net, 2e-3, NULL);
    printf("A network of %lld weights, on %d threads.\n\n", (long long)pleat_module_parameter_count(net),
           pleat_threads());

    bool ok = pleat_check() == PLEAT_OK; /* one check for all of the above: what failed left NULL and its error */
    for (int64_t epoch = 1; ok && epoch <= s.epochs; epoch++) {
        char label[64];
        snprintf(label, sizeof label, "epoch %lld/%lld", (long long)epoch, (long long)s.epochs);
        ok = train_epoch(net, optimizer, loader, label);
        if (ok)
            printf("           validation accuracy %.4f\n", pleat_accuracy(net, validation));
        /* Smaller steps towards the end settle what larger ones leave restless. */
        pleat_optimizer_set_lr(optimizer, 2e-3 * (double)(s.epochs - epoch) / (double)s.epochs);
    }
    if (ok)
        printf("\ntest accuracy %.4f\n", pleat_accuracy(net, test));
    else
        fprintf(stderr, "%s\n", pleat_error());

    pleat_optimizer_free(optimizer);
    pleat_module_free(net);
    pleat_loader_free(loader);
    pleat_dataset_free(train);
    pleat_dataset_free(validation);
    pleat_dataset_free(test);
    return ok ? 0 : 1;
}
