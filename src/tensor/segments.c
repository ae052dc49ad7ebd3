#include "tensor/segments.h"

/* Bin b holds the free blocks of (8 + b % 8) << (b / 8 - 3) bytes and more, up to the next bin's. */
enum { BINS = 64 * 8, LEAST = 64 << 10 }; /* no less is left over from a block */

static pleat_block *bin[BINS];

_Static_assert(sizeof(pleat_block) <= PLEAT_BLOCK_HEAD, "the head is smaller than what it holds");

static int bin_of(size_t size)
{
    const int octave = 63 - __builtin_clzll(size);
    return octave * 8 + (int)(size >> (octave - 3) & 7);
}

static pleat_block *above(pleat_block *b)
{
    return b->last ? NULL : (pleat_block *)(void *)((char *)b + b->size);
}

static void put(pleat_block *b)
{
    pleat_block **list = &bin[bin_of(b->size)];
    b->free = true;
    b->previous = NULL;
    b->next = *list;
    if (*list)
        (*list)->previous = b;
    *list = b;
}

static void pull(pleat_block *b)
{
    if (b->previous)
        b->previous->next = b->next;
    else
        bin[bin_of(b->size)] = b->next;
    if (b->next)
        b->next->previous = b->previous;
    b->free = false;
}

/* Makes one of two neighbours. */
static pleat_block *join(pleat_block *low, const pleat_block *high)
{
    low->size += high->size;
    low->last = high->last;
    pleat_block *next = above(low);
    if (next)
        next->below = low;
    return low;
}

/* Of the first bin the smallest that will do; in those above any will. */
static pleat_block *find(size_t size)
{
    int i = bin_of(size);
    pleat_block *found = NULL;
    for (pleat_block *b = bin[i]; b; b = b->next)
        if (b->size >= size && (!found || b->size < found->size))
            found = b;
    while (!found && ++i < BINS)
        found = bin[i];
    return found;
}

pleat_block *pleat_segments_take(size_t size)
{
    pleat_block *b = find(size);
    if (!b)
        return NULL;
    pull(b);
    if (b->size - size < LEAST)
        return b;
    pleat_block *rest = (pleat_block *)(void *)((char *)b + size), *next = above(b);
    *rest = (pleat_block){ .below = b, .size = b->size - size, .class = -1, .last = b->last };
    b->size = size;
    b->last = false;
    if (next)
        next->below = rest;
    put(rest);
    return b;
}

void pleat_segments_add(void *memory, size_t size)
{
    pleat_block *b = memory;
    *b = (pleat_block){ .size = size, .class = -1, .last = true };
    put(b);
}

pleat_block *pleat_segments_give(pleat_block *b)
{
    pleat_block *next = above(b), *below = b->below;
    if (next && next->free) {
        pull(next);
        join(b, next);
    }
    if (below && below->free) {
        pull(below);
        b = join(below, b);
    }
    put(b);
    return b;
}

void pleat_segments_drop(pleat_block *b)
{
    pull(b);
}

pleat_block *pleat_segments_drop_all(void)
{
    pleat_block *all = NULL;
    for (int i = 0; i < BINS; i++)
        for (pleat_block *b = bin[i], *next; b; b = next) {
            next = b->next;
            if (!pleat_segment_is_whole(b))
                continue;
            pull(b);
            b->next = all;
            all = b;
        }
    return all;
}
