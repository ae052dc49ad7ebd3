/* Ops that move elements, and einsum. PyTorch's own samples are in golden/opinfo.txt; here is what they leave out. */
#ifndef PLEAT_TEST_SAMPLES_MOVE_H
#define PLEAT_TEST_SAMPLES_MOVE_H

#include "collect.h"

#define LIST(...) ((pleat_tensor *[]){ __VA_ARGS__ })
#define PADS(...) ((int64_t[]){ __VA_ARGS__ }), (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t))
#define PAD(pad_mode) (&((pleat_pad_opts){ .mode = pad_mode }))

/* Indices below `below`, some of them twice where there are more than that. */
static pleat_tensor *indices(pleat_shape shape, int64_t below)
{
    pleat_tensor *t = pleat_empty(shape, PLEAT_I64);
    int64_t *to = pleat_data_mut(t);
    for (int64_t i = 0; i < pleat_numel(t); i++)
        to[i] = (i * 7 + i / 3) % below;
    return t;
}

static pleat_tensor *top(pleat_tensor *x, int64_t k, int dim, bool largest)
{
    pleat_tensor *values;
    ck_assert_int_eq(pleat_topk(x, k, dim, largest, &values, NULL), PLEAT_OK);
    return values;
}

static void samples_joining(void)
{
    SAMPLE(pleat_cat(LIST(values(2, 3), values(2, 1), values(2, 4)), 3, 1));
    SAMPLE(pleat_cat(LIST(values(3), values(0), values(2)), 3, -1));
    SAMPLE(pleat_cat(LIST(values(0), values(2, 2)), 2, 0)); /* (0,) fits anywhere */
    SAMPLE(pleat_cat(LIST(values(2, 0, 2), values(2, 3, 2)), 2, 1));
    SAMPLE(pleat_stack(LIST(values(), values(), values()), 3, 0));
    SAMPLE(pleat_stack(LIST(values(2, 3), values(2, 3)), 2, -1));
}

static void samples_padding(void)
{
    SAMPLE(pleat_pad(values(2, 3), PADS(1, 2), NULL));
    SAMPLE(pleat_pad(values(2, 3, 4), PADS(1, 0, -1, 2, 3, -1), NULL));
    SAMPLE_ZERO(pleat_pad(values(2, 3), PADS(2, -4), NULL)); /* only a part of the padding is left */
    SAMPLE(pleat_pad(values(0, 3), PADS(1, 1, 1, 1), NULL));
    SAMPLE(pleat_pad(values(), NULL, 0, NULL));
    SAMPLE(pleat_pad(values(), NULL, 0, PAD(PLEAT_PAD_REFLECT)));
    SAMPLE(pleat_pad(values(2, 5, 4), PADS(3, 2, 0, 4), PAD(PLEAT_PAD_REFLECT)));
    SAMPLE(pleat_pad(values(3, 4), PADS(-1, 2, 2, -1), PAD(PLEAT_PAD_REFLECT)));
    SAMPLE(pleat_pad(values(2, 3, 2), PADS(3, 5, 4, 0), PAD(PLEAT_PAD_REPLICATE)));
    SAMPLE(pleat_pad(values(3, 4), PADS(-1, 2, 2, -1), PAD(PLEAT_PAD_REPLICATE)));
    SAMPLE(pleat_pad(values(2, 3, 4), PADS(4, 2, 0, 3, 1, 0), PAD(PLEAT_PAD_CIRCULAR)));
    SAMPLE(pleat_pad(values(3, 4), PADS(-1, 2, 2, -1), PAD(PLEAT_PAD_CIRCULAR)));
    SAMPLE(pleat_repeat(values(2, 3), PLEAT_SHAPE(3, 1, 2)));
    SAMPLE(pleat_repeat(values(), PLEAT_SHAPE(2, 2)));
    SAMPLE(pleat_repeat(values(2, 3), PLEAT_SHAPE(0, 2)));
    SAMPLE(pleat_roll(values(3, 4), PLEAT_SHAPE(1, -6), PLEAT_DIMS(0, 1)));
    SAMPLE(pleat_roll(values(3, 4), PLEAT_SHAPE(5), PLEAT_DIMS()));
    SAMPLE(pleat_roll(values(), PLEAT_SHAPE(2), PLEAT_DIMS(0)));
    SAMPLE(pleat_flip(values(2, 3, 4), PLEAT_DIMS(0, -1)));
    SAMPLE(pleat_flip(values(2, 3), PLEAT_DIMS()));
    SAMPLE(pleat_flip(values(), PLEAT_DIMS(0)));
    SAMPLE(pleat_flip(values(0, 3), PLEAT_DIMS(1)));
}

static void samples_indexing(void)
{
    SAMPLE(pleat_gather(values(4, 5), 0, indices(PLEAT_SHAPE(6, 3), 4)));
    SAMPLE(pleat_gather(values(2, 3, 4), -1, indices(PLEAT_SHAPE(2, 2, 9), 4)));
    SAMPLE(pleat_gather(values(2, 3), 1, indices(PLEAT_SHAPE(2, 0), 3)));
    SAMPLE(pleat_gather(values(), 0, indices(PLEAT_SHAPE(3), 1)));
    SAMPLE(pleat_scatter(values(4, 5), 0, indices(PLEAT_SHAPE(2, 3), 4), values(3, 4)));
    SAMPLE(pleat_scatter(values(2, 3, 4), 2, indices(PLEAT_SHAPE(2, 2, 9), 4), values(2, 3, 9)));
    SAMPLE(pleat_scatter(values(3), 0, indices(PLEAT_SHAPE(1), 3), values(2)));
    SAMPLE(pleat_scatter(values(2, 3), 1, indices(PLEAT_SHAPE(2, 0), 3), values(2, 0)));
    SAMPLE_ZERO(pleat_scatter(values(), 0, indices(PLEAT_SHAPE(), 1), values())); /* zero: all of x is replaced */
    SAMPLE(pleat_scatter_add(values(4, 5), 0, indices(PLEAT_SHAPE(6, 3), 4), values(7, 4)));
    SAMPLE(pleat_scatter_add(values(2, 3, 4), 1, indices(PLEAT_SHAPE(2, 5, 4), 3), values(2, 5, 4)));
    SAMPLE(pleat_scatter_add(values(), 0, indices(PLEAT_SHAPE(3), 1), values(3)));
    SAMPLE(pleat_scatter_multiply(values(4, 5), 0, indices(PLEAT_SHAPE(6, 3), 4), values(7, 4)));
    SAMPLE(pleat_embedding(indices(PLEAT_SHAPE(2, 3), 4), values(4, 5), NULL));
    SAMPLE(pleat_index_select(values(4, 5), 0, indices(PLEAT_SHAPE(7), 4)));
    SAMPLE(pleat_index_select(values(2, 3, 4), 2, indices(PLEAT_SHAPE(3), 4)));
    SAMPLE(pleat_index_select(values(2, 3), -2, indices(PLEAT_SHAPE(), 2)));
    SAMPLE(pleat_index_select(values(2, 3), 0, indices(PLEAT_SHAPE(0), 2)));
    SAMPLE(pleat_index_select(values(), 0, indices(PLEAT_SHAPE(1), 1)));
    SAMPLE(pleat_index_add(values(4, 5), 0, indices(PLEAT_SHAPE(7), 4), values(7, 5)));
    SAMPLE(pleat_index_add(values(2, 3, 4), 1, indices(PLEAT_SHAPE(2), 3), values(2, 2, 4)));
    SAMPLE(pleat_index_add(values(), 0, indices(PLEAT_SHAPE(1), 1), values()));
}

static void samples_lines(void)
{
    SAMPLE(top(values(4, 9), 3, 1, true));
    SAMPLE(top(values(5, 2, 3), 4, 0, false));
    SAMPLE(top(values(2, 3), 0, 1, true));
    SAMPLE(top(values(), 1, 0, true));
    SAMPLE(pleat_cumsum(values(3, 5), 0));
    SAMPLE(pleat_cumsum(values(3, 5), -1));
    SAMPLE(pleat_cumsum(values(2, 3, 20), 1));
    SAMPLE(pleat_cumsum(values(2, 0), 1));
    SAMPLE(pleat_cumsum(values(), 0));
}

static void samples_interpolation(void)
{
    for (int mode = PLEAT_NEAREST; mode <= PLEAT_BICUBIC; mode++)
        for (int align = 0; align <= (mode != PLEAT_NEAREST); align++) {
            pleat_interpolate_opts o = { .mode = (pleat_interpolation)mode, .align_corners = align };
            const pleat_interpolate_opts up = { o.mode, { 5, 7 }, { 0, 0 }, align },
                                         down = { o.mode, { 1, 2 }, { 0, 0 }, align },
                                         scaled = { o.mode, { 0, 0 }, { 0.6, 2.3 }, align },
                                         line = { o.mode, { 0, 5 }, { 0, 0 }, align };
            SAMPLE(pleat_interpolate(values(2, 2, 3, 4), &up));
            SAMPLE(pleat_interpolate(values(1, 2, 4, 5), &down));
            SAMPLE(pleat_interpolate(values(1, 2, 4, 3), &scaled));
            SAMPLE(pleat_interpolate(values(0, 2, 4, 3), &up));
            if (mode != PLEAT_BICUBIC)
                SAMPLE(pleat_interpolate(values(2, 2, 3), &line));
        }
    SAMPLE(pleat_interpolate(values(2, 2, 5), &((pleat_interpolate_opts){ .mode = PLEAT_AREA, .size = { 0, 3 } })));
    SAMPLE(pleat_pixel_shuffle(values(2, 8, 2, 3), 2));
    SAMPLE(pleat_pixel_unshuffle(values(2, 2, 4, 6), 2));
}

static void samples_einsum(void)
{
    SAMPLE(pleat_einsum("bip,oi->bop", LIST(values(2, 3, 4), values(5, 3)), 2));
    SAMPLE(pleat_einsum("bip,io->bop", LIST(values(2, 3, 4), values(3, 5)), 2));
    SAMPLE(pleat_einsum("iij,jk,k", LIST(values(2, 2, 3), values(3, 4), values(4)), 3));
    SAMPLE(pleat_einsum("...a,b...->ba", LIST(values(2, 3), values(4, 2)), 2));
}

#undef LIST
#undef PADS
#undef PAD

#endif
