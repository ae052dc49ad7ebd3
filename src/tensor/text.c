#include "tensor/text.h"

#include <stdarg.h>
#include <stdio.h>

void pleat_write(pleat_writer *out, const char *format, ...)
{
    const size_t used = (size_t)out->length < out->size ? (size_t)out->length : out->size;
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(used < out->size ? out->buffer + used : NULL, out->size - used, format, args);
    va_end(args);
    out->length += n > 0 ? n : 0;
}
