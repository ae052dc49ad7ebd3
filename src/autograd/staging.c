#include "autograd/staging.h"

#include "tensor/error.h"
#include "tensor/memory.h"

static int64_t find(const pleat_staged *place, int64_t places, const pleat_tensor *leaf)
{
    int64_t i = (int64_t)(((uintptr_t)leaf >> 6) * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (places - 1);
    while (place[i].leaf && place[i].leaf != leaf)
        i = (i + 1) & (places - 1);
    return i;
}

static pleat_status widen(pleat_staging *s)
{
    const int64_t places = s->places ? 2 * s->places : 32;
    pleat_staged *place = pleat_alloc_zeroed((size_t)places * sizeof *place);
    if (!place)
        return PLEAT_ENOMEM;
    for (int64_t k = 0; k < s->count; k++) {
        const pleat_staged moved = s->place[s->order[k]];
        s->order[k] = find(place, places, moved.leaf);
        place[s->order[k]] = moved;
    }
    pleat_free(s->place);
    s->place = place;
    s->places = places;
    return PLEAT_OK;
}

pleat_tensor **pleat_staging_at(pleat_staging *s, pleat_tensor *leaf)
{
    if (2 * (s->count + 1) > s->places && widen(s) != PLEAT_OK)
        return NULL;
    const int64_t i = find(s->place, s->places, leaf);
    if (!s->place[i].leaf) {
        if (pleat_grow(&s->order, &s->order_capacity, s->count + 1, sizeof *s->order) != PLEAT_OK)
            return NULL;
        s->place[i].leaf = pleat_retain(leaf);
        s->order[s->count++] = i;
    }
    return &s->place[i].grad;
}

pleat_status pleat_staging_commit(pleat_staging *s)
{
    for (int64_t k = 0; k < s->count; k++) {
        pleat_staged *p = &s->place[s->order[k]];
        if (p->grad->contiguous && pleat_tensor_exclusive(p->grad) && !p->grad->requires_grad)
            continue;
        pleat_tensor *own = pleat_tensor_copy(p->grad);
        if (!own)
            return PLEAT_ENOMEM;
        pleat_release(p->grad);
        p->grad = own;
    }
    for (int64_t k = 0; k < s->count; k++) {
        pleat_staged *p = &s->place[s->order[k]];
        pleat_tensor_lock_grad(p->leaf);
        if (p->leaf->grad) {
            pleat_tensor_add(p->leaf->grad, p->grad, 1);
            pleat_tensor_changed(p->leaf->grad);
        } else {
            p->leaf->grad = p->grad;
            p->grad = NULL;
        }
        pleat_tensor_unlock_grad(p->leaf);
    }
    return PLEAT_OK;
}

void pleat_staging_free(pleat_staging *s)
{
    for (int64_t k = 0; k < s->count; k++) {
        pleat_release(s->place[s->order[k]].leaf);
        pleat_release(s->place[s->order[k]].grad);
    }
    pleat_free(s->place);
    pleat_free(s->order);
}
