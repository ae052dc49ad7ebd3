/* Whole files, with POSIX calls: a name of its own beside the target, fsync, rename. */
#include "io/files.h"

#include "tensor/error.h"
#include "tensor/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

pleat_status pleat_fail_errno(const char *path, int code)
{
    char text[128];
    if (strerror_r(code, text, sizeof text) != 0)
        snprintf(text, sizeof text, "error %d", code);
    return pleat_fail(PLEAT_EIO, "%s: %s", path, text);
}

FILE *pleat_open_read(const char *path, uint64_t *size)
{
    struct stat about;
    if (stat(path, &about) != 0) {
        pleat_fail_errno(path, errno);
        return NULL;
    }
    if (!S_ISREG(about.st_mode)) { /* a pipe would block */
        pleat_fail(PLEAT_EIO, "%s: not a regular file", path);
        return NULL;
    }
    FILE *file = fopen(path, "rb");
    if (!file)
        pleat_fail_errno(path, errno);
    *size = (uint64_t)about.st_size;
    return file;
}

pleat_status pleat_new_file_open(pleat_new_file *f, const char *path)
{
    const size_t size = strlen(path) + 48;
    *f = (pleat_new_file){ .path = path, .temporary = pleat_alloc(size) };
    if (!f->temporary)
        return pleat_pending();
    int descriptor = -1;
    for (int attempt = 0; descriptor < 0 && attempt < 100; attempt++) {
        snprintf(f->temporary, size, "%s.%ld-%d.tmp", path, (long)getpid(), attempt);
        descriptor = open(f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (descriptor < 0 && errno != EEXIST)
            break;
    }
    if (descriptor < 0) {
        pleat_fail_errno(f->temporary, errno);
    } else if (!(f->file = fdopen(descriptor, "wb"))) {
        pleat_fail_errno(path, errno);
        close(descriptor);
        unlink(f->temporary);
    }
    if (f->file)
        return PLEAT_OK;
    pleat_free(f->temporary);
    return pleat_pending();
}

/* The rename itself is on the disk once the directory is. Where a directory cannot be opened or synced, that is so. */
static void sync_directory(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash)
        slash[slash == path] = '\0';
    const int directory = open(slash ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory >= 0) {
        fsync(directory);
        close(directory);
    }
}

pleat_status pleat_new_file_close(pleat_new_file *f, bool commit)
{
    pleat_status status = PLEAT_OK;
    if (commit && (ferror(f->file) || fflush(f->file) != 0 || fsync(fileno(f->file)) != 0))
        status = pleat_fail_errno(f->path, errno);
    if (fclose(f->file) != 0 && commit && status == PLEAT_OK)
        status = pleat_fail_errno(f->path, errno);
    commit = commit && status == PLEAT_OK;
    if (commit && rename(f->temporary, f->path) != 0) {
        status = pleat_fail_errno(f->path, errno);
        commit = false;
    }
    if (commit)
        sync_directory(f->temporary);
    else
        unlink(f->temporary);
    pleat_free(f->temporary);
    return status;
}
