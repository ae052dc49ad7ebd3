/* Helpers of a training loop. */
#ifndef PLEAT_TRAIN_H
#define PLEAT_TRAIN_H

#include <pleat/data.h>
#include <pleat/nn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The share of the data set that the module classifies right (argmax over its outputs), in eval mode and without
 * recording; the module's mode is put back. NaN with an error pending where it fails. */
PLEAT_API double pleat_accuracy(pleat_module *m, pleat_dataset *d);

/* How many rows of scores (N, C) have their largest element at target (N); -1 with an error pending. */
PLEAT_API int64_t pleat_count_correct(pleat_tensor *scores, pleat_tensor *target);

/* A progress display on a stream of your choice (a FILE *, as void * to keep stdio out of here; NULL is none). On a
 * terminal one line is redrawn, at most ten times a second; elsewhere only pleat_progress_end prints, one line. */
typedef struct pleat_progress pleat_progress;
typedef struct {
    double loss, accuracy; /* so far; a negative one is not shown */
    int64_t items;         /* done in this step: images */
} pleat_progress_step;

PLEAT_API pleat_progress *pleat_progress_begin(void *stream, const char *label, int64_t steps);
PLEAT_API void pleat_progress_update(pleat_progress *p, const pleat_progress_step *step); /* NULL p is allowed */
PLEAT_API void pleat_progress_end(pleat_progress *p); /* prints the last line and frees */

#ifdef __cplusplus
}
#endif
#endif
