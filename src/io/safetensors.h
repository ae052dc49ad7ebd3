/* Safetensors files:
 *
 *   8 bytes   the header's length, little-endian
 *   header    JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ...}, maybe with
 *             "__metadata__", strings by name; spaces at its end
 *   data      the elements, row-major, little-endian; offsets count from its start, without gaps or overlaps */
#ifndef PLEAT_IO_SAFETENSORS_H
#define PLEAT_IO_SAFETENSORS_H

#include <pleat/base.h>

typedef struct {
    const char *name;
    pleat_dtype dtype;
    pleat_shape shape;
    const void *data; /* may be unaligned in a file that was read */
    size_t size;      /* bytes */
} pleat_safetensor;

typedef struct {
    pleat_safetensor *tensor; /* sorted by name */
    int64_t count;
    unsigned char *data;
    void *json; /* holds the names */
} pleat_safetensors;

/* Reads a whole file and checks everything in it. On failure there is nothing to free. */
pleat_status pleat_safetensors_read(pleat_safetensors *file, const char *path);
void pleat_safetensors_free(pleat_safetensors *file);
/* NULL, without an error, where it is not there. */
const pleat_safetensor *pleat_safetensors_find(const pleat_safetensors *file, const char *name);

/* Writes the tensors, in the order given, to a file beside the path and renames it. */
pleat_status pleat_safetensors_write(const pleat_safetensor *tensor, int64_t count, const char *path);

#endif
