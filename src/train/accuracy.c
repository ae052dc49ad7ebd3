/* How often a module is right. */
#include "nn/module.h"
#include "tensor/error.h"
#include "tensor/memory.h"
#include "tensor/tensor.h"

#include <pleat/autograd.h>
#include <pleat/scope.h>
#include <pleat/train.h>

#include <math.h>

#define BATCH 256

/* 1 where score[target] is the first largest of the row; a row with a NaN in it is wrong. */
#define ROW(name, T)                                                                                                   \
    static int name(const T *score, int64_t classes, int64_t target)                                                   \
    {                                                                                                                  \
        bool right = true;                                                                                             \
        for (int64_t c = 0; c < classes; c++)                                                                          \
            right &= c == target  ? score[c] == score[c]                                                               \
                     : c < target ? score[c] < score[target]                                                           \
                                  : score[c] <= score[target];                                                         \
        return right;                                                                                                  \
    }
ROW(right_f32, float)
ROW(right_f64, double)

static int64_t count_correct(pleat_tensor *scores, pleat_tensor *target)
{
    if (!scores || !target) {
        pleat_fail(PLEAT_EINVAL, "the %s NULL", scores ? "target is" : "scores are");
        return -1;
    }
    const int64_t rows = pleat_size(scores, 0), classes = pleat_size(scores, 1);
    if (pleat_ndim(scores) != 2 || pleat_ndim(target) != 1 || pleat_size(target, 0) != rows || classes < 1) {
        pleat_fail(PLEAT_ESHAPE, "scores (N, C) and a target (N), not %s and %s", pleat_shape_text(scores->shape).text,
                   pleat_shape_text(target->shape).text);
        return -1;
    }
    if (!pleat_dtype_is_float(scores->dtype) || target->dtype != PLEAT_I64) {
        pleat_fail(PLEAT_EDTYPE, "floating scores and an int64 target, not %s and %s", pleat_dtype_name(scores->dtype),
                   pleat_dtype_name(target->dtype));
        return -1;
    }
    const void *score = pleat_data(pleat_contiguous(pleat_detach(scores)));
    const int64_t *label = pleat_data_i64(pleat_contiguous(target));
    if (!score || !label)
        return -1;
    int64_t correct = 0;
    for (int64_t r = 0; r < rows; r++) {
        if (label[r] < 0 || label[r] >= classes) {
            pleat_fail(PLEAT_EINVAL, "target[%lld] is %lld, and there are %lld classes", (long long)r,
                       (long long)label[r], (long long)classes);
            return -1;
        }
        correct += scores->dtype == PLEAT_F32 ? right_f32((const float *)score + r * classes, classes, label[r])
                                              : right_f64((const double *)score + r * classes, classes, label[r]);
    }
    return correct;
}

int64_t pleat_count_correct(pleat_tensor *scores, pleat_tensor *target)
{
    if (pleat_pending() != PLEAT_OK)
        return -1;
    const pleat_scope scope = pleat_scope_begin();
    const char *before = pleat_context("count_correct");
    const int64_t correct = count_correct(scores, target);
    pleat_context(before);
    pleat_scope_end(scope);
    return correct;
}

double pleat_accuracy(pleat_module *m, pleat_dataset *d)
{
    if (pleat_pending() != PLEAT_OK)
        return NAN;
    if (!m || !d || pleat_dataset_size(d) == 0) {
        pleat_fail(PLEAT_EINVAL, "accuracy: the %s",
                   !m   ? "module is NULL"
                   : !d ? "data set is NULL"
                        : "data set is empty");
        return NAN;
    }
    pleat_loader *loader = pleat_loader_new(d, &(pleat_loader_opts){ .batch_size = BATCH });
    bool *modes = loader ? pleat_module_modes(m) : NULL;
    int64_t correct = 0;
    if (modes) {
        const bool recording = pleat_grad_mode(false);
        pleat_module_train(m, false);
        pleat_batch batch;
        while (pleat_loader_next(loader, &batch)) {
            const pleat_scope scope = pleat_scope_begin();
            correct += pleat_count_correct(pleat_forward(m, batch.input), batch.target);
            pleat_scope_end(scope);
        }
        pleat_module_set_modes(m, modes);
        pleat_grad_mode(recording);
    }
    pleat_free(modes);
    pleat_loader_free(loader);
    return pleat_pending() == PLEAT_OK ? (double)correct / (double)pleat_dataset_size(d) : NAN;
}
