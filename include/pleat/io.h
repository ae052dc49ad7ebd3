/* Weights on disk: safetensors, with PyTorch's names. */
#ifndef PLEAT_IO_H
#define PLEAT_IO_H

#include <pleat/nn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The module's parameters and buffers to a safetensors file: written beside it and renamed, so the file is whole or as
 * it was. */
PLEAT_API pleat_status pleat_save(pleat_module *m, const char *path);

/* And back: names, shapes and dtypes must be the module's, none missing and none over; all or nothing. */
PLEAT_API pleat_status pleat_load(pleat_module *m, const char *path);

#ifdef __cplusplus
}
#endif
#endif
