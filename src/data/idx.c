/* IDX files, MNIST's format:
 *
 *   0 0 type ndim    size 0 ... size ndim-1    elements
 *   4 bytes          4 bytes each, big-endian  row-major, big-endian */
#include "data/dataset.h"

#include "io/source.h"
#include "tensor/error.h"
#include "tensor/tensor.h"

#include <pleat/ops.h>
#include <pleat/scope.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The dtype for an IDX type; 0 where there is none for it. */
static pleat_dtype dtype_of(unsigned char type)
{
    return type == 0x08 ? PLEAT_U8 : type == 0x0D ? PLEAT_F32 : type == 0x0E ? PLEAT_F64 : (pleat_dtype)0;
}

static pleat_status read_header(pleat_source_file *s, const char *path, pleat_shape *shape, pleat_dtype *dtype)
{
    unsigned char head[4], size[4];
    pleat_status status = pleat_source_read(s, head, 4);
    if (status != PLEAT_OK)
        return status;
    *dtype = dtype_of(head[2]);
    if (head[0] != 0 || head[1] != 0 || head[2] < 0x08 || head[2] > 0x0E || head[2] == 0x0A)
        return pleat_fail(PLEAT_EIO, "%s: not an IDX file: it begins with %02x %02x %02x %02x", path, head[0], head[1],
                          head[2], head[3]);
    if (!*dtype)
        return pleat_fail(PLEAT_EIO, "%s: IDX type 0x%02X is not read; uint8 (0x08), float (0x0D), double (0x0E) are",
                          path, head[2]);
    if (head[3] < 1 || head[3] > PLEAT_MAX_DIMS)
        return pleat_fail(PLEAT_EIO, "%s: %d dimensions; 1 to %d are read", path, head[3], PLEAT_MAX_DIMS);
    *shape = (pleat_shape){ .ndim = head[3] };
    for (int d = 0; d < head[3]; d++) {
        if ((status = pleat_source_read(s, size, 4)) != PLEAT_OK)
            return status;
        shape->dim[d] = (int64_t)size[0] << 24 | (int64_t)size[1] << 16 | (int64_t)size[2] << 8 | size[3];
    }
    const int64_t numel = pleat_shape_numel(*shape);
    if (numel < 0 || (uint64_t)numel > pleat_source_most(s) / pleat_dtype_size(*dtype))
        return pleat_fail(PLEAT_EIO, "%s: the file is too short for its header's %s elements of %s", path,
                          pleat_shape_text(*shape).text, pleat_dtype_name(*dtype));
    return PLEAT_OK;
}

/* Big-endian elements to the machine's own. */
static void from_big_endian(unsigned char *bytes, int64_t n, size_t size)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    for (unsigned char *b = bytes; size > 1 && b < bytes + (size_t)n * size; b += size)
        for (size_t i = 0; i < size / 2; i++) {
            const unsigned char swapped = b[i];
            b[i] = b[size - 1 - i];
            b[size - 1 - i] = swapped;
        }
#else
    (void)bytes, (void)n, (void)size;
#endif
}

static pleat_tensor *read_idx(const char *path)
{
    pleat_source_file *s = pleat_source_open(path);
    if (!s)
        return NULL;
    pleat_shape shape;
    pleat_dtype dtype;
    pleat_tensor *t = NULL;
    if (read_header(s, path, &shape, &dtype) == PLEAT_OK && (t = pleat_empty(shape, dtype)) != NULL) {
        unsigned char *bytes = pleat_data_mut(t);
        if (pleat_source_read(s, bytes, (size_t)pleat_numel(t) * pleat_dtype_size(dtype)) != PLEAT_OK ||
            pleat_source_end(s) != PLEAT_OK)
            t = NULL;
        else
            from_big_endian(bytes, pleat_numel(t), pleat_dtype_size(dtype));
    }
    pleat_source_close(s);
    return t;
}

pleat_tensor *pleat_read_idx(const char *path)
{
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    const pleat_scope scope = pleat_scope_begin(); /* where it fails, what was read so far goes at once */
    const char *before = pleat_context("read_idx");
    pleat_tensor *t = read_idx(path);
    pleat_context(before);
    return pleat_scope_return(scope, t);
}

pleat_dataset *pleat_idx_dataset(const char *images_path, const char *labels_path)
{
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    const pleat_scope scope = pleat_scope_begin();
    const char *before = pleat_context("idx_dataset");
    pleat_dataset *d = NULL;
    pleat_tensor *images = read_idx(images_path), *labels = images ? read_idx(labels_path) : NULL;
    if (labels) {
        const pleat_shape i = pleat_shape_of(images), l = pleat_shape_of(labels);
        if (i.ndim != 3 || images->dtype != PLEAT_U8)
            pleat_fail(PLEAT_EIO, "%s: images are uint8 (N, H, W), not %s %s", images_path,
                       pleat_dtype_name(images->dtype), pleat_shape_text(i).text);
        else if (l.ndim != 1 || labels->dtype != PLEAT_U8)
            pleat_fail(PLEAT_EIO, "%s: labels are uint8 (N), not %s %s", labels_path, pleat_dtype_name(labels->dtype),
                       pleat_shape_text(l).text);
        else if (i.dim[0] != l.dim[0])
            pleat_fail(PLEAT_EIO, "%s holds %lld images and %s %lld labels", images_path, (long long)i.dim[0],
                       labels_path, (long long)l.dim[0]);
        else
            d = pleat_dataset_of(pleat_reshape(images, PLEAT_SHAPE(i.dim[0], 1, i.dim[1], i.dim[2])),
                                 pleat_cast(labels, PLEAT_I64));
    }
    pleat_context(before);
    pleat_scope_end(scope);
    return d;
}

/* directory/name, plain or with .gz; false with an error where neither is there. */
static bool locate(char *path, size_t size, const char *directory, const char *name)
{
    for (int gz = 0; gz < 2; gz++) {
        const int n = snprintf(path, size, "%s/%s%s", directory, name, gz ? ".gz" : "");
        if (n < 0 || (size_t)n >= size) {
            pleat_fail(PLEAT_EINVAL, "mnist: the directory's name is too long");
            return false;
        }
        if (access(path, F_OK) == 0)
            return true;
    }
    pleat_fail(PLEAT_EIO, "mnist: %s has neither %s nor %s.gz", directory, name, name);
    return false;
}

pleat_dataset *pleat_mnist(const char *directory, bool train)
{
    if (pleat_pending() != PLEAT_OK)
        return NULL;
    if (!directory) {
        pleat_fail(PLEAT_EINVAL, "mnist: the directory is NULL");
        return NULL;
    }
    char images[1024], labels[1024];
    if (!locate(images, sizeof images, directory, train ? "train-images-idx3-ubyte" : "t10k-images-idx3-ubyte") ||
        !locate(labels, sizeof labels, directory, train ? "train-labels-idx1-ubyte" : "t10k-labels-idx1-ubyte"))
        return NULL;
    return pleat_idx_dataset(images, labels);
}
