/* Text into a caller's buffer, by snprintf's rule: what fits is written and ends in '\0', all of it is counted. */
#ifndef PLEAT_TENSOR_TEXT_H
#define PLEAT_TENSOR_TEXT_H

#include <pleat/base.h>

typedef struct {
    char *buffer;
    size_t size;
    int64_t length;
} pleat_writer;

void pleat_write(pleat_writer *out, const char *format, ...) PLEAT_PRINTF(2, 3);

#endif
