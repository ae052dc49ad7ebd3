/* The safetensors format, its header by cJSON. What is read is checked whole before anybody sees it: the header's
 * length and form, names, dtypes, shapes, and that the offsets cover the data once, without gaps or overlaps. */
#include "io/safetensors.h"

#include "tensor/error.h"

#if !defined PLEAT_WITH_CJSON || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__

static pleat_status refuse(const char *path)
{
    return pleat_fail(PLEAT_EIO, "%s: safetensors files need a library built with cJSON, on a little-endian machine",
                      path);
}

pleat_status pleat_safetensors_read(pleat_safetensors *file, const char *path)
{
    *file = (pleat_safetensors){ 0 };
    return refuse(path);
}

void pleat_safetensors_free(pleat_safetensors *file)
{
    (void)file;
}

const pleat_safetensor *pleat_safetensors_find(const pleat_safetensors *file, const char *name)
{
    (void)file, (void)name;
    return NULL;
}

pleat_status pleat_safetensors_write(const pleat_safetensor *tensor, int64_t count, const char *path)
{
    (void)tensor, (void)count;
    return refuse(path);
}

#else

#include "io/files.h"
#include "tensor/memory.h"

#include <cjson/cJSON.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HEADER 100000000 /* the reference implementation's limit */
#define METADATA "__metadata__"

static const struct {
    const char *name;
    pleat_dtype dtype;
} dtypes[] = { { "F32", PLEAT_F32 }, { "F64", PLEAT_F64 }, { "I64", PLEAT_I64 }, { "U8", PLEAT_U8 } };
#define DTYPES (sizeof dtypes / sizeof *dtypes)

/* ---- Reading ---- */

/* A whole number that a double holds exactly. */
static bool whole(const cJSON *item, int64_t *value)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= 0x1p53))
        return false;
    *value = (int64_t)item->valuedouble;
    return (double)*value == item->valuedouble;
}

static pleat_status parse_tensor(pleat_safetensor *t, const cJSON *item, const char *path, size_t data_size,
                                 const unsigned char *data)
{
    const char *name = item->string;
    const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(item, "dtype");
    const cJSON *shape = cJSON_GetObjectItemCaseSensitive(item, "shape");
    const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(item, "data_offsets");
    if (!cJSON_IsObject(item) || !cJSON_IsString(dtype) || !cJSON_IsArray(shape) || !cJSON_IsArray(offsets) ||
        cJSON_GetArraySize(item) != 3)
        return pleat_fail(PLEAT_EIO, "%s: '%s' must have a dtype, a shape and data_offsets, and no more", path, name);

    *t = (pleat_safetensor){ .name = name };
    for (size_t i = 0; i < DTYPES; i++)
        if (strcmp(dtype->valuestring, dtypes[i].name) == 0)
            t->dtype = dtypes[i].dtype;
    if (!t->dtype)
        return pleat_fail(PLEAT_EIO, "%s: '%s' is of dtype %.16s; F32, F64, I64 and U8 are read", path, name,
                          dtype->valuestring);

    const cJSON *size;
    cJSON_ArrayForEach(size, shape)
    {
        if (t->shape.ndim == PLEAT_MAX_DIMS)
            return pleat_fail(PLEAT_EIO, "%s: '%s' has more than %d dimensions", path, name, PLEAT_MAX_DIMS);
        if (!whole(size, &t->shape.dim[t->shape.ndim++]))
            return pleat_fail(PLEAT_EIO, "%s: '%s' has a size that is not a whole number", path, name);
    }
    int64_t begin, end;
    if (cJSON_GetArraySize(offsets) != 2 || !whole(cJSON_GetArrayItem(offsets, 0), &begin) ||
        !whole(cJSON_GetArrayItem(offsets, 1), &end) || begin > end || (uint64_t)end > data_size)
        return pleat_fail(PLEAT_EIO, "%s: '%s' has data_offsets that do not lie in the file's %zu bytes of data", path,
                          name, data_size);
    const int64_t numel = pleat_shape_numel(t->shape);
    t->size = (size_t)(end - begin);
    if (numel < 0 || t->size % pleat_dtype_size(t->dtype) || (size_t)numel != t->size / pleat_dtype_size(t->dtype))
        return pleat_fail(PLEAT_EIO, "%s: '%s' is %s of %s and has %zu bytes", path, name,
                          pleat_shape_text(t->shape).text, pleat_dtype_name(t->dtype), t->size);
    t->data = data + begin;
    return PLEAT_OK;
}

static int by_place(const void *a, const void *b)
{
    const pleat_safetensor *s = a, *t = b;
    if (s->data != t->data)
        return (uintptr_t)s->data < (uintptr_t)t->data ? -1 : 1;
    return s->size == t->size ? 0 : s->size < t->size ? -1 : 1; /* an empty one before what stands at its place */
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const pleat_safetensor *)a)->name, ((const pleat_safetensor *)b)->name);
}

static pleat_status parse_header(pleat_safetensors *file, const char *path, size_t data_size)
{
    const int count = cJSON_GetArraySize(file->json);
    file->tensor = pleat_alloc((size_t)count * sizeof *file->tensor);
    if (!file->tensor)
        return pleat_pending();
    bool metadata = false;
    const cJSON *item;
    cJSON_ArrayForEach(item, (const cJSON *)file->json)
    {
        if (strcmp(item->string, METADATA) == 0) {
            if (metadata || !cJSON_IsObject(item))
                return pleat_fail(PLEAT_EIO, "%s: %s must be one object", path, METADATA);
            metadata = true;
            continue;
        }
        const pleat_status status = parse_tensor(&file->tensor[file->count], item, path, data_size, file->data);
        if (status != PLEAT_OK)
            return status;
        file->count++;
    }

    pleat_safetensor *t = file->tensor;
    qsort(t, (size_t)file->count, sizeof *t, by_place);
    const unsigned char *end = file->data;
    for (int64_t i = 0; i < file->count; i++) {
        if (t[i].data != end)
            return pleat_fail(PLEAT_EIO, "%s: '%s' %s", path, t[i].name,
                              (uintptr_t)t[i].data < (uintptr_t)end ? "overlaps another tensor's data"
                                                                    : "leaves a gap before its data");
        end += t[i].size;
    }
    if (end != file->data + data_size)
        return pleat_fail(PLEAT_EIO, "%s: %zu bytes of data belong to no tensor", path,
                          (size_t)(file->data + data_size - end));
    qsort(t, (size_t)file->count, sizeof *t, by_name);
    for (int64_t i = 1; i < file->count; i++)
        if (by_name(&t[i - 1], &t[i]) == 0)
            return pleat_fail(PLEAT_EIO, "%s: '%s' is there twice", path, t[i].name);
    return PLEAT_OK;
}

/* JSON, an object, and behind it nothing but spaces. A name with a '\0' in it would pass for a shorter one. */
static pleat_status parse_json(pleat_safetensors *file, const char *header, size_t length, const char *path)
{
    const char *end = header;
    if (*header == '{' && !memchr(header, '\0', length) && !strstr(header, "\\u0000"))
        file->json = cJSON_ParseWithLengthOpts(header, length, &end, 0);
    if (file->json)
        end += strspn(end, " ");
    if (!cJSON_IsObject(file->json) || end != header + length)
        return pleat_fail(PLEAT_EIO, "%s: the header is not the JSON it should be, at byte %zu", path,
                          (size_t)(end - header));
    return PLEAT_OK;
}

static pleat_status read_open(pleat_safetensors *file, FILE *f, uint64_t size, const char *path)
{
    unsigned char bytes[8];
    if (size < 8 || fread(bytes, 1, 8, f) != 8)
        return pleat_fail(PLEAT_EIO, "%s: %llu bytes are too short for a safetensors file", path,
                          (unsigned long long)size);
    uint64_t length = 0;
    for (int i = 0; i < 8; i++)
        length |= (uint64_t)bytes[i] << (8 * i);
    if (length > MAX_HEADER || length > size - 8 || length < 2)
        return pleat_fail(PLEAT_EIO, "%s: a header of %llu bytes; the file has %llu, and %d are the limit", path,
                          (unsigned long long)length, (unsigned long long)size, MAX_HEADER);
    const size_t data_size = (size_t)(size - 8 - length);
    char *header = pleat_alloc((size_t)length + 1);
    file->data = header ? pleat_alloc(data_size) : NULL;
    pleat_status status = pleat_pending();
    if (status == PLEAT_OK &&
        (fread(header, 1, (size_t)length, f) != length || fread(file->data, 1, data_size, f) != data_size))
        status = ferror(f) ? pleat_fail_errno(path, errno)
                           : pleat_fail(PLEAT_EIO, "%s: it was cut while it was being read", path);
    if (status == PLEAT_OK) {
        header[length] = '\0';
        status = parse_json(file, header, (size_t)length, path);
    }
    pleat_free(header);
    return status == PLEAT_OK ? parse_header(file, path, data_size) : status;
}

pleat_status pleat_safetensors_read(pleat_safetensors *file, const char *path)
{
    *file = (pleat_safetensors){ 0 };
    uint64_t size;
    FILE *f = pleat_open_read(path, &size);
    if (!f)
        return pleat_pending();
    const pleat_status status = read_open(file, f, size, path);
    fclose(f);
    if (status != PLEAT_OK)
        pleat_safetensors_free(file);
    return status;
}

void pleat_safetensors_free(pleat_safetensors *file)
{
    cJSON_Delete(file->json);
    pleat_free(file->tensor);
    pleat_free(file->data);
    *file = (pleat_safetensors){ 0 };
}

const pleat_safetensor *pleat_safetensors_find(const pleat_safetensors *file, const char *name)
{
    const pleat_safetensor key = { .name = name };
    return file->count ? bsearch(&key, file->tensor, (size_t)file->count, sizeof key, by_name) : NULL;
}

/* ---- Writing ---- */

static bool add_tensor(cJSON *header, const pleat_safetensor *t, size_t begin)
{
    cJSON *item = cJSON_AddObjectToObject(header, t->name), *shape, *offsets;
    const char *dtype = NULL;
    for (size_t i = 0; i < DTYPES; i++)
        if (dtypes[i].dtype == t->dtype)
            dtype = dtypes[i].name;
    if (!item || !cJSON_AddStringToObject(item, "dtype", dtype) || !(shape = cJSON_AddArrayToObject(item, "shape")))
        return false;
    for (int d = 0; d < t->shape.ndim; d++)
        if (!cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)t->shape.dim[d])))
            return false;
    return (offsets = cJSON_AddArrayToObject(item, "data_offsets")) &&
           cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)begin)) &&
           cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)(begin + t->size)));
}

/* The header's text, to be given to cJSON_free; NULL where there is no memory. */
static char *print_header(const pleat_safetensor *tensor, int64_t count)
{
    cJSON *header = cJSON_CreateObject();
    cJSON *metadata = cJSON_AddObjectToObject(header, METADATA);
    bool ok = metadata && cJSON_AddStringToObject(metadata, "format", "pt"); /* what PyTorch's users look for */
    size_t begin = 0;
    for (int64_t i = 0; ok && i < count; begin += tensor[i++].size)
        ok = add_tensor(header, &tensor[i], begin);
    char *text = ok ? cJSON_PrintUnformatted(header) : NULL;
    cJSON_Delete(header);
    return text;
}

pleat_status pleat_safetensors_write(const pleat_safetensor *tensor, int64_t count, const char *path)
{
    char *header = print_header(tensor, count);
    if (!header)
        return pleat_fail(PLEAT_ENOMEM, "%s: no memory for the header", path);
    const size_t length = strlen(header), padded = (length + 7) / 8 * 8;
    pleat_new_file file;
    pleat_status status = padded > MAX_HEADER
                              ? pleat_fail(PLEAT_EIO, "%s: a header of %zu bytes is too long", path, padded)
                              : pleat_new_file_open(&file, path);
    if (status == PLEAT_OK) {
        unsigned char bytes[8];
        for (int i = 0; i < 8; i++)
            bytes[i] = (unsigned char)((uint64_t)padded >> (8 * i));
        bool ok = fwrite(bytes, 1, 8, file.file) == 8 && fwrite(header, 1, length, file.file) == length &&
                  fwrite("       ", 1, padded - length, file.file) == padded - length;
        for (int64_t i = 0; ok && i < count; i++)
            ok = fwrite(tensor[i].data, 1, tensor[i].size, file.file) == tensor[i].size;
        if (!ok)
            status = pleat_fail_errno(path, errno);
        const pleat_status closed = pleat_new_file_close(&file, ok);
        if (ok)
            status = closed;
    }
    cJSON_free(header);
    return status;
}

#endif
