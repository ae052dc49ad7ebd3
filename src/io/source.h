/* A file to read from front to back, plain or gzip'd, told by its first bytes. */
#ifndef PLEAT_IO_SOURCE_H
#define PLEAT_IO_SOURCE_H

#include <pleat/base.h>

typedef struct pleat_source_file pleat_source_file;

/* NULL leaves an error that names the path. */
pleat_source_file *pleat_source_open(const char *path);

/* The next n bytes. An error where there are fewer, where the file cannot be read, or is damaged. */
pleat_status pleat_source_read(pleat_source_file *s, void *to, size_t n);

/* Whether nothing is left; an error where there is. A gzip'd file's checksum is looked at on the way. */
pleat_status pleat_source_end(pleat_source_file *s);

/* No file of this size holds more bytes than this: what a header promises can be refused before room is made for it. */
uint64_t pleat_source_most(const pleat_source_file *s);

void pleat_source_close(pleat_source_file *s); /* NULL is allowed */

#endif
