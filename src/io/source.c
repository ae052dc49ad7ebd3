/* Plain and gzip'd files, by one way of reading. zlib's own gzFile takes what follows the compressed stream for nothing
 * and does not tell a file that was cut; here inflate is called directly, and nothing but a whole file passes. */
#include "io/source.h"

#include "io/files.h"
#include "tensor/error.h"
#include "tensor/memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#ifdef PLEAT_WITH_ZLIB
#include <zlib.h>
#endif

#define CHUNK 65536

struct pleat_source_file {
    const char *path;
    FILE *file;
    uint64_t size; /* of the file */
    bool packed;
#ifdef PLEAT_WITH_ZLIB
    z_stream stream;
    bool begun, ended; /* inflateInit2 has been called; the compressed stream is over */
    unsigned char chunk[CHUNK];
#endif
};

pleat_source_file *pleat_source_open(const char *path)
{
    if (!path) {
        pleat_fail(PLEAT_EINVAL, "the path is NULL");
        return NULL;
    }
    pleat_source_file *s = pleat_alloc_zeroed(sizeof *s);
    if (!s)
        return NULL;
    s->path = path;
    s->file = pleat_open_read(path, &s->size);
    if (!s->file)
        goto failed;
    unsigned char magic[2];
    s->packed = fread(magic, 1, 2, s->file) == 2 && magic[0] == 0x1f && magic[1] == 0x8b;
    rewind(s->file);
    if (!s->packed)
        return s;
#ifdef PLEAT_WITH_ZLIB
    const int status = inflateInit2(&s->stream, 16 + MAX_WBITS);
    if (status == Z_OK) {
        s->begun = true;
        return s;
    }
    pleat_fail(status == Z_MEM_ERROR ? PLEAT_ENOMEM : PLEAT_EIO, "%s: zlib: %s", path, zError(status));
#else
    pleat_fail(PLEAT_EIO, "%s: it is gzip'd, and this library was built without zlib; unpack it first (gunzip)", path);
#endif
failed:
    pleat_source_close(s);
    return NULL;
}

#ifdef PLEAT_WITH_ZLIB
/* As many of the next n bytes as there are; *got says how many. */
static pleat_status read_packed(pleat_source_file *s, unsigned char *to, size_t n, size_t *got)
{
    *got = 0;
    while (*got < n && !s->ended) {
        if (s->stream.avail_in == 0) {
            s->stream.next_in = s->chunk;
            s->stream.avail_in = (uInt)fread(s->chunk, 1, CHUNK, s->file);
            if (ferror(s->file))
                return pleat_fail_errno(s->path, errno);
            if (s->stream.avail_in == 0)
                return pleat_fail(PLEAT_EIO, "%s: the compressed data ends too early", s->path);
        }
        const size_t room = n - *got < CHUNK ? n - *got : CHUNK;
        s->stream.next_out = to + *got;
        s->stream.avail_out = (uInt)room;
        const int status = inflate(&s->stream, Z_NO_FLUSH);
        *got += room - s->stream.avail_out;
        s->ended = status == Z_STREAM_END;
        if (status == Z_MEM_ERROR)
            return pleat_fail(PLEAT_ENOMEM, "%s: zlib has no memory", s->path);
        if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
            return pleat_fail(PLEAT_EIO, "%s: the compressed data is damaged (%s)", s->path,
                              s->stream.msg ? s->stream.msg : zError(status));
    }
    return PLEAT_OK;
}
#endif

static pleat_status read_some(pleat_source_file *s, void *to, size_t n, size_t *got)
{
#ifdef PLEAT_WITH_ZLIB
    if (s->packed)
        return read_packed(s, to, n, got);
#endif
    *got = fread(to, 1, n, s->file);
    return ferror(s->file) ? pleat_fail_errno(s->path, errno) : PLEAT_OK;
}

pleat_status pleat_source_read(pleat_source_file *s, void *to, size_t n)
{
    size_t got;
    const pleat_status status = read_some(s, to, n, &got);
    if (status != PLEAT_OK || got == n)
        return status;
    return pleat_fail(PLEAT_EIO, "%s: it ends %llu bytes too early", s->path, (unsigned long long)(n - got));
}

pleat_status pleat_source_end(pleat_source_file *s)
{
    char byte;
    size_t got;
    const pleat_status status = read_some(s, &byte, 1, &got);
    if (status != PLEAT_OK)
        return status;
    bool more = got != 0;
#ifdef PLEAT_WITH_ZLIB
    more |= s->packed && (s->stream.avail_in > 0 || fgetc(s->file) != EOF);
#endif
    return more ? pleat_fail(PLEAT_EIO, "%s: it goes on behind its end", s->path) : PLEAT_OK;
}

uint64_t pleat_source_most(const pleat_source_file *s)
{
    return s->packed ? s->size * 1032 : s->size; /* deflate's best: 258 bytes from 2 bits */
}

void pleat_source_close(pleat_source_file *s)
{
    if (!s)
        return;
#ifdef PLEAT_WITH_ZLIB
    if (s->begun)
        inflateEnd(&s->stream);
#endif
    if (s->file)
        fclose(s->file);
    pleat_free(s);
}
