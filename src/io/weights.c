/* A module's parameters and buffers to a file and back. */
#include "io/safetensors.h"

#include "tensor/error.h"
#include "tensor/memory.h"
#include "tensor/tensor.h"

#include <pleat/io.h>

#include <string.h>

/* ---- What the module has ---- */

typedef struct {
    pleat_safetensor *item; /* names are copies, data the tensors' own */
    pleat_tensor **tensor;
    int64_t count, capacity, tensor_capacity;
} state;

static pleat_status collect_one(const pleat_named_tensor *named, void *user)
{
    state *s = user;
    pleat_tensor *t = named->tensor;
    char *name = pleat_string_copy(named->name);
    if (!name)
        return pleat_pending();
    if (pleat_grow(&s->item, &s->capacity, s->count + 1, sizeof *s->item) != PLEAT_OK ||
        pleat_grow(&s->tensor, &s->tensor_capacity, s->count + 1, sizeof(pleat_tensor *)) != PLEAT_OK) {
        pleat_free(name);
        return pleat_pending();
    }
    s->item[s->count] = (pleat_safetensor){ name, t->dtype, t->shape, pleat_tensor_address(t),
                                            (size_t)t->numel * pleat_dtype_size(t->dtype) };
    s->tensor[s->count++] = t;
    return PLEAT_OK;
}

static void free_state(state *s)
{
    for (int64_t i = 0; i < s->count; i++)
        pleat_free((void *)(uintptr_t)s->item[i].name);
    pleat_free(s->item);
    pleat_free(s->tensor);
}

/* ---- Save ---- */

/* Wide elements first: then each tensor is aligned in the file. */
static pleat_status write_state(const state *s, const char *path)
{
    pleat_safetensor *sorted = pleat_alloc((size_t)s->count * sizeof *sorted);
    if (!sorted)
        return pleat_pending();
    int64_t n = 0;
    for (size_t width = 8; width > 0; width /= 2)
        for (int64_t i = 0; i < s->count; i++)
            if (pleat_dtype_size(s->item[i].dtype) == width)
                sorted[n++] = s->item[i];
    const pleat_status status = pleat_safetensors_write(sorted, n, path);
    pleat_free(sorted);
    return status;
}

/* ---- Load ---- */

static pleat_status compare(const state *s, const pleat_safetensors *file, const char *path)
{
    for (int64_t i = 0; i < s->count; i++) {
        const pleat_safetensor *want = &s->item[i], *have = pleat_safetensors_find(file, want->name);
        if (!have)
            return pleat_fail(PLEAT_EIO, "%s: it lacks '%s', which the module has", path, want->name);
        if (have->dtype != want->dtype || !pleat_shape_equal(have->shape, want->shape))
            return pleat_fail(PLEAT_EIO, "%s: '%s' is %s of %s, in the module %s of %s", path, want->name,
                              pleat_shape_text(have->shape).text, pleat_dtype_name(have->dtype),
                              pleat_shape_text(want->shape).text, pleat_dtype_name(want->dtype));
    }
    if (file->count == s->count) /* names are unique on both sides */
        return PLEAT_OK;
    for (int64_t i = 0; i < file->count; i++) {
        int64_t k = 0;
        while (k < s->count && strcmp(s->item[k].name, file->tensor[i].name) != 0)
            k++;
        if (k == s->count)
            return pleat_fail(PLEAT_EIO, "%s: it has '%s', which the module lacks", path, file->tensor[i].name);
    }
    return PLEAT_OK;
}

static pleat_status load_state(const state *s, const char *path)
{
    pleat_safetensors file;
    pleat_status status = pleat_safetensors_read(&file, path);
    if (status != PLEAT_OK)
        return status;
    status = compare(s, &file, path);
    for (int64_t i = 0; i < s->count && status == PLEAT_OK; i++) { /* from here on nothing can fail */
        const pleat_safetensor *from = pleat_safetensors_find(&file, s->item[i].name);
        pleat_tensor_changed(s->tensor[i]);
        memcpy(pleat_tensor_address(s->tensor[i]), from->data, from->size);
    }
    pleat_safetensors_free(&file);
    return status;
}

static pleat_status with_state(const char *what, pleat_module *m, const char *path,
                               pleat_status (*work)(const state *s, const char *path))
{
    if (pleat_pending() != PLEAT_OK)
        return pleat_check();
    const char *before = pleat_context(what);
    state s = { 0 };
    pleat_status status;
    if (!m || !path)
        status = pleat_fail(PLEAT_EINVAL, "the %s is NULL", m ? "path" : "module");
    else
        status = pleat_module_visit(m, collect_one, &s);
    if (status == PLEAT_OK)
        status = work(&s, path);
    free_state(&s);
    pleat_context(before);
    return pleat_tell(status);
}

pleat_status pleat_save(pleat_module *m, const char *path)
{
    return with_state("save", m, path, write_state);
}

pleat_status pleat_load(pleat_module *m, const char *path)
{
    return with_state("load", m, path, load_state);
}
