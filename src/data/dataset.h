/* Data sets from the inside. */
#ifndef PLEAT_DATA_DATASET_H
#define PLEAT_DATA_DATASET_H

#include <pleat/data.h>

struct pleat_dataset {
    pleat_tensor *inputs, *targets; /* contiguous, retained */
    int64_t size;
};

#endif
