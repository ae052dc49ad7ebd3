/* The library's memory: every block it holds comes from here. */
#ifndef PLEAT_TENSOR_MEMORY_H
#define PLEAT_TENSOR_MEMORY_H

#include <pleat/memory.h>

/* A block of at least size bytes, 64-byte aligned, its bytes undefined; size 0 is fine. NULL leaves PLEAT_ENOMEM
 * pending. Goes back with pleat_free, from any thread. */
void *pleat_alloc(size_t size);
void *pleat_alloc_zeroed(size_t size);
void pleat_free(void *block); /* NULL is allowed */

/* A copy of a string. */
char *pleat_string_copy(const char *text);

/* Makes room for `count` items of `size` bytes in a growing array of *capacity items: at least doubles. On failure the
 * array is as it was. */
pleat_status pleat_grow(void *array_pointer, int64_t *capacity, int64_t count, size_t size);

#endif
