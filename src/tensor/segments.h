/* Large blocks, cut from segments of memory.
 *
 *   segment   [ block | block | block ]          block   [ head, 64 bytes | what the caller gets ... ]
 *
 * A block knows where its neighbours begin. A request takes the smallest free block that holds it, as good as that, and
 * leaves the rest; a block that is freed joins the free ones around it. So the memory of a step's many small things is
 * that of the next one's few large ones, and a loop that repeats itself finds each time what it found the first time.
 * Nothing here locks or asks for memory: memory.c does. */
#ifndef PLEAT_TENSOR_SEGMENTS_H
#define PLEAT_TENSOR_SEGMENTS_H

#include <stdbool.h>
#include <stddef.h>

enum { PLEAT_BLOCK_HEAD = 64 };

/* The head of any block. Small ones are alone, and lie in lists of their class. */
typedef struct pleat_block pleat_block;
struct pleat_block {
    pleat_block *next, *previous; /* in the list that it is in */
    pleat_block *below;           /* the neighbour in front; NULL for a segment's first */
    size_t size;                  /* bytes, with the head */
    int class;                    /* of a small one; -1 */
    bool last;                    /* of its segment */
    bool free;
};

/* A block of `size` bytes, or a few more; NULL where no free one is as large. */
pleat_block *pleat_segments_take(size_t size);
/* One more segment, as a free block. */
void pleat_segments_add(void *memory, size_t size);
/* Takes a block back. What it became part of is returned. */
pleat_block *pleat_segments_give(pleat_block *block);

/* A segment that is one free block. */
static inline bool pleat_segment_is_whole(const pleat_block *block)
{
    return !block->below && block->last;
}

/* Lets go of such a segment, and of all of them: a list, by next. They are the caller's. */
void pleat_segments_drop(pleat_block *block);
pleat_block *pleat_segments_drop_all(void);

#endif
