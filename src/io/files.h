/* Whole files: read to their end, or written beside their place and then renamed. */
#ifndef PLEAT_IO_FILES_H
#define PLEAT_IO_FILES_H

#include <pleat/base.h>

#include <stdio.h>

/* PLEAT_EIO with the path and what errno says. */
pleat_status pleat_fail_errno(const char *path, int code);

/* Opens a regular file to read; NULL leaves an error. */
FILE *pleat_open_read(const char *path, uint64_t *size);

typedef struct {
    FILE *file;
    const char *path;
    char *temporary; /* the name it has until it is whole */
} pleat_new_file;

pleat_status pleat_new_file_open(pleat_new_file *f, const char *path);
/* Ends it: with commit it takes its place, on the disk; otherwise, or where that fails, it is gone. */
pleat_status pleat_new_file_close(pleat_new_file *f, bool commit);

#endif
