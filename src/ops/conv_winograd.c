/* Winograd convolutions: cuts the lines of tiles of all images into blocks, and runs the blocks in parallel.
 *
 * Forward and by data a block goes all the way, from the image's lines to the result's, step by step: few rows stay in
 * the cache, and pixels that two steps share are read once. By weight the products sum over tiles, and slices of the
 * lines have sums of their own, which are added up at last.
 * Where the kernels are large, many lines make a stage instead: its blocks are turned in parallel, then its rows
 * multiplied in parallel, over all tiles of the stage in order, and its blocks turned back. Forward and by data such
 * kernels stay packed, and each row turns what it multiplies: turned as a whole, they would be four times as large and
 * leave the caches. No bits depend on the number of threads.
 *
 * Of a dilated kernel each phase of rows is an image here (kernels/winograd.h). All have as many lines as the first,
 * the tallest: some are empty. */
#include "ops/conv_winograd.h"

#include "kernels/winograd.h"
#include "ops/integers.h"
#include "tensor/memory.h"

#include <pleat/parallel.h>

#include <string.h>

enum {
    BLOCK_BYTES = 48 << 10, /* of a block's matrices, of a row, */
    STEP_BYTES = 24 << 10,  /* and of a step's: within an L1 cache of 32 KiB */
    STAGE_BYTES = 4 << 20,  /* of kernels that need stages, */
    PART_BYTES = 900 << 10, /* of the matrices that are then multiplied at once: within an L2 cache of 1 MiB, */
    PART_TILES = 96,        /* or larger, of so many tiles: the packed kernels are turned for each part, */
    STAGE_PARTS = 4,        /* which make a stage */
    ROWS_BYTES = 2 << 20,   /* of a stage by weight, */
    SUMS_BYTES = 300 << 10, /* the matrices of which that are multiplied at once */
    SUMS_CHANNELS = 128,    /* have so many channels of the result at most */
    AHEAD_BYTES =
        256 << 10,       /* of kernels at most where pixels are sent for: beside larger ones they would be in the way */
    FAR_BYTES = 1 << 20, /* of kernels that do not stay in an L2 cache */
    SLICE_BYTES = 320 << 10,   /* of a slice's sums, at most */
    SLICES_BYTES = 1200 << 10, /* of all slices' */
    CHUNKS = 16,               /* as many blocks at least are wanted, */
    LEAST_TILES = 14,          /* but none of fewer tiles */
    LONGEST_LINE = 1 << 20,    /* elements that a line of windows may read */
};

/* ---- Whether, and what it takes ---- */

/* The first row or column that window 0 reads: its first tap's, or its last one's where the taps run backwards. */
static int64_t lowest(int64_t origin, int64_t tap_step)
{
    return tap_step < 0 ? origin + 2 * tap_step : origin;
}

static int64_t dilation(int64_t tap_step)
{
    return tap_step < 0 ? -tap_step : tap_step;
}

/* Tiles along one dimension, of a phase. */
static int64_t tiles_of(int64_t windows, int64_t phases, int64_t tile)
{
    return ceil_div(ceil_div(windows, phases), tile);
}

bool pleat_winograd_fits(const pleat_product *product, pleat_hw phases, bool by_weight)
{
    const pleat_patches *p = product->b.source;
    if (product->dtype != PLEAT_F32 || phases.h != 1 || phases.w != 1 || p->taps.h != 3 || p->taps.w != 3 ||
        p->step.h != 1 || p->step.w != 1 || product->accumulate || product->col_bias)
        return false;
    const int64_t down = dilation(p->tap_step.h), across = dilation(p->tap_step.w);
    if (down > p->windows.h || across > p->windows.w) /* one window each */
        return false;
    const double channels = (double)(by_weight ? product->n : product->k) / 9;
    if (3 * (double)(p->windows.w + 2 * across) * channels >= LONGEST_LINE)
        return false;
    if (lowest(p->origin.h, p->tap_step.h) > 0 || lowest(p->origin.w, p->tap_step.w) > 0 || p->windows.h < 1 ||
        p->windows.w < 1 || p->size.h < 1 || p->size.w < 1 ||
        lowest(p->origin.w, p->tap_step.w) + p->windows.w + 2 * across < 0) /* far padding */
        return false;
    const pleat_target *c = &product->c;
    return by_weight ? p->tap_step.h > 0 && p->tap_step.w > 0 && c->column == 1 && product->a.step[2] == 1
                     : c->column == 1 && c->width == p->windows.w && c->line == c->width && c->height == p->windows.h;
}

double pleat_winograd_cost(const pleat_product *product, bool by_weight, int tile)
{
    const pleat_patches *p = product->b.source;
    const double c = (double)(by_weight ? product->n : product->k) / 9, o = (double)product->m;
    const int64_t dh = dilation(p->tap_step.h), dw = dilation(p->tap_step.w);
    const double tiles = (double)(dh * tiles_of(p->windows.h, dh, tile) * dw * tiles_of(p->windows.w, dw, tile));
    const double turning = tile == 4 ? 20 : 10; /* of a tile, in products with one channel; measured */
    const double products = tiles * (tile + 2) * (tile + 2) * (1 + turning / c + turning / o);
    return products / (9 * (double)(p->windows.h * p->windows.w));
}

/* ---- What forward, by data and by weight share ---- */

typedef struct {
    const pleat_product *product;
    const pleat_product_grid *groups;
    pleat_winograd_work work;
    int64_t images, tiles_h; /* phases of rows; lines of each */
    int64_t lines, blocks;   /* of tiles, of a block or slice; blocks */
    int64_t step;            /* lines of a block that are turned and multiplied at once */
    int64_t panels, matrices;
    int64_t part_lines, part; /* lines, and panels, that are multiplied at once */
    const float *x, *dy;
    float *y;
    int64_t x_image, y_image; /* strides of images */
    int64_t u_group;          /* elements of a group's kernels */
    float *u, *rows, *gradient_rows, *scratch;
    int64_t strip, matrices_size, scratch_size; /* elements, of a worker's */
    int64_t first, last;                        /* lines of the stage */
    int64_t slices;
} plan;

static plan plan_of(const pleat_product *product, const pleat_product_grid *groups, int tile, int64_t channels)
{
    const pleat_patches *patches = product->b.source;
    const struct pleat_winograd_kernels *kernels = pleat_kernels_get()->winograd;
    plan p = { .product = product, .groups = groups, .x_image = patches->image };
    pleat_winograd_work *w = &p.work;
    w->tile = tile;
    w->c = channels;
    w->o = product->m;
    w->c_pad = ceil_div(w->c, kernels->vector) * kernels->vector;
    w->width = w->o > kernels->vector ? 2 * kernels->vector : kernels->vector;
    p.panels = ceil_div(w->o, w->width);
    w->o_pad = p.panels * w->width;
    w->size = patches->size;
    w->windows = patches->windows;
    w->relu = product->relu;
    w->flip_h = patches->tap_step.h < 0;
    w->flip_w = patches->tap_step.w < 0;
    w->low =
        (pleat_hw){ lowest(patches->origin.h, patches->tap_step.h), lowest(patches->origin.w, patches->tap_step.w) };
    w->dilation = (pleat_hw){ dilation(patches->tap_step.h), dilation(patches->tap_step.w) };
    w->x_plane = patches->channel;
    w->tiles_w = w->dilation.w * tiles_of(w->windows.w, w->dilation.w, tile);
    p.tiles_h = tiles_of(w->windows.h, w->dilation.h, tile);
    p.matrices = (tile + 2) * (tile + 2);
    p.u_group = p.matrices * w->c * w->o_pad;
    return p;
}

/* Elements of a row of a line of tiles. */
static int64_t line_row(const plan *p)
{
    return pleat_winograd_columns(&p->work) * max(p->work.c_pad, p->work.o_pad);
}

/* Lines whose matrices, of a row and with so many outputs, take so many bytes. */
static int64_t lines_within(const plan *p, int64_t outputs, int64_t bytes)
{
    const int64_t line = p->work.tiles_w * (p->work.tile + 2) * (p->work.c_pad + outputs);
    return max(1, bytes / (line * (int64_t)sizeof(float)));
}

/* Lines of a piece, where `lines` lines are cut evenly into pieces of at most `most`, and into at least so many: an
 * image at most or whole images, which need no lines turned twice. */
static int64_t piece(const plan *p, int64_t lines, int64_t most, int64_t pieces)
{
    if (most > p->tiles_h)
        most -= most % p->tiles_h;
    const int64_t size = ceil_div(lines, max(ceil_div(lines, most), pieces));
    return size > p->tiles_h ? ceil_div(size, p->tiles_h) * p->tiles_h : size;
}

/* Cuts `lines` lines into blocks of at most `most`, and into enough of them. */
static void cut(plan *p, int64_t lines, int64_t most, int64_t times)
{
    p->lines = piece(p, lines, most, min(ceil_div(CHUNKS, times), lines * p->work.tiles_w / LEAST_TILES));
    p->blocks = ceil_div(lines, p->lines);
}

/* The rows lie together of so many lines, and that many are multiplied at once, with so many outputs. One vector more
 * lies between two rows, so that they do not share cache sets. */
static void lay_out(plan *p, int64_t lines, int64_t part, int64_t outputs)
{
    const int64_t vector = pleat_kernels_get()->winograd->vector;
    p->work.lines = lines;
    p->work.stride = lines * line_row(p) + vector;
    p->strip = ceil_div(pleat_winograd_strip(&p->work, vector), 16) * 16;
    p->matrices_size = (p->work.tile + 2) * (pleat_winograd_matrix(&p->work, p->work.c_pad, part, vector) +
                                             pleat_winograd_matrix(&p->work, outputs, part, vector));
    p->matrices_size = max(p->matrices_size, p->strip);
    if (lines < p->lines && lines % p->tiles_h) { /* a step leaves its strips to the next */
        p->work.strip = p->strip;
        p->strip *= p->work.c_pad / vector;
    }
}

static int64_t rows_size(const plan *p)
{
    return (p->work.tile + 2) * p->work.stride;
}

/* The pixels of so many lines, or of those of one image: a block has a part of an image, or has whole ones. */
static pleat_winograd_ahead ahead_of(const plan *p, const float *x, int64_t image, int64_t plane, int64_t planes,
                                     pleat_hw size, int64_t line, int64_t lines)
{
    const int64_t begin = line % p->tiles_h * p->work.tile * size.w, whole = size.h * size.w;
    pleat_winograd_ahead a = { .at = x + line / p->tiles_h * image + begin,
                               .run = min(whole - begin, lines * p->work.tile * size.w),
                               .plane = plane,
                               .planes = planes,
                               .image = image,
                               .images =
                                   p->work.ahead ? min(max(1, lines / p->tiles_h), p->images - line / p->tiles_h) : 0 };
    if (a.run == plane) {
        a.run *= planes;
        a.planes = 1;
    }
    return a;
}

/* A run of lines of a phase of an image. */
typedef struct {
    int64_t group, line, lines;
    bool follows;             /* the lines that were turned last */
    int64_t at;               /* in the rows */
    pleat_winograd_work work; /* the phase as an image of its own, */
    int64_t x, y;             /* whose first rows are there in the image and in the result */
} segment;

typedef void (*segment_fn)(const plan *p, const segment *s, float *strip);

/* Where a line's numbers begin in a row. */
static int64_t place(const plan *p, int64_t line)
{
    return line * pleat_winograd_columns(&p->work) * pleat_kernels_get()->winograd->vector;
}

/* Of the phase that line is in. */
static segment segment_of(const plan *p, int64_t group, int64_t line, int64_t lines, bool follows, int64_t at)
{
    segment s = { .group = group, .line = line % p->tiles_h, .lines = lines, .at = at, .work = p->work };
    s.follows = follows && s.line > 0;
    pleat_winograd_work *w = &s.work;
    const int64_t d = w->dilation.h, image = line / p->tiles_h / d, phase = line / p->tiles_h % d;
    const int64_t low = w->low.h + phase, above = low < 0 ? ceil_div(-low, d) : 0, first = low + above * d;
    w->low.h = -above;
    w->size.h = ceil_div(max(0, w->size.h - first), d);
    w->windows.h = ceil_div(w->windows.h - phase, d);
    s.x = image * p->x_image + first * w->size.w;
    s.y = image * p->y_image + phase * w->windows.w;
    return s;
}

/* Calls fn for what the lines hold of each phase. The rows begin with those of line `first`. */
static void segments(const plan *p, int64_t group, int64_t begin, int64_t end, int64_t first, bool follows,
                     float *strip, segment_fn fn)
{
    while (begin < end) {
        const int64_t lines = min(p->tiles_h - begin % p->tiles_h, end - begin);
        const segment s = segment_of(p, group, begin, lines, follows, place(p, begin - first));
        fn(p, &s, strip);
        begin += lines;
    }
}

/* ---- Forward and by data ---- */

/* Elements of a row of u, of a panel. */
static int64_t panel_row(const plan *p)
{
    return (p->work.tile + 2) * p->work.c * p->work.width;
}

static void turn_kernels(int64_t begin, int64_t end, void *ctx)
{
    const plan *p = ctx;
    const struct pleat_winograd_kernels *kernels = pleat_kernels_get()->winograd;
    for (int64_t i = begin; i < end; i++) {
        const int64_t group = i / p->panels, panel = i % p->panels, o = panel * p->work.width;
        float *u = p->u + group * p->u_group;
        float *packed = p->work.packed ? u + 9 * o * p->work.c : p->scratch + pleat_worker() * p->scratch_size;
        pleat_operand weights = p->product->a;
        weights.base = (const float *)weights.base + group * p->groups->a[0];
        weights.pack(&weights, o, min(p->work.width, p->work.o - o), 0, p->product->k, p->work.width, packed);
        for (int64_t row = 0; row < p->work.tile + 2 && !p->work.packed; row++)
            kernels->kernels(&p->work, packed, row, u + (row * p->panels + panel) * panel_row(p));
    }
}

static void turn_image(const plan *p, const segment *s, float *strip)
{
    const float *x = p->x + s->group * p->groups->b[0] + s->x;
    pleat_kernels_get()->winograd->image(&s->work, x, s->line, s->lines, s->follows, strip, p->rows + s->at);
}

static void turn_result(const plan *p, const segment *s, float *strip)
{
    const float *bias = p->product->row_bias;
    float *y = p->y + s->group * p->groups->c[0] + s->y;
    pleat_kernels_get()->winograd->result(&s->work, p->rows + s->at, s->line, s->lines, strip,
                                          bias ? bias + s->group * p->groups->row_bias[0] : NULL, y);
}

/* A stage: many blocks, whose rows lie together. */
typedef struct {
    plan *plan;
    int64_t group;
} stage;

/* Block i of the stage: its lines, image by image. */
static void turn_block(const stage *s, int64_t i, segment_fn fn)
{
    const plan *p = s->plan;
    const int64_t line = p->first + i * p->lines;
    segments(p, s->group, line, min(line + p->lines, p->last), p->first, false,
             p->scratch + pleat_worker() * p->scratch_size, fn);
}

static void turn_images(int64_t begin, int64_t end, void *ctx)
{
    for (int64_t i = begin; i < end; i++)
        turn_block(ctx, i, turn_image);
}

static void turn_results(int64_t begin, int64_t end, void *ctx)
{
    for (int64_t i = begin; i < end; i++)
        turn_block(ctx, i, turn_result);
}

/* Part i: a row of some lines. */
static void multiply_parts(int64_t begin, int64_t end, void *ctx)
{
    const stage *s = ctx;
    const plan *p = s->plan;
    const int64_t lines = p->last - p->first, parts = ceil_div(lines, p->part_lines);
    pleat_winograd_ahead none = { 0 };
    for (int64_t i = begin; i < end; i++) {
        const int64_t row = i / parts, line = i % parts * p->part_lines;
        pleat_kernels_get()->winograd->multiply(
            &p->work, row, p->u + s->group * p->u_group, min(p->part_lines, lines - line),
            p->scratch + pleat_worker() * p->scratch_size, &none, p->rows + row * p->work.stride + place(p, line));
    }
}

/* Whole blocks, step by step, with rows of their own. */
static void run_blocks(int64_t begin, int64_t end, void *ctx)
{
    plan p = *(const plan *)ctx;
    float *strip = p.scratch + pleat_worker() * p.scratch_size, *matrices = strip + p.strip;
    p.rows = matrices + p.matrices_size;
    for (int64_t i = begin; i < end; i++) {
        const int64_t group = i / p.blocks, start = i % p.blocks * p.lines;
        const int64_t stop = min(start + p.lines, p.images * p.tiles_h);
        for (int64_t line = start; line < stop; line += p.step) {
            const int64_t last = min(line + p.step, stop);
            segments(&p, group, line, last, line, line > start, strip, turn_image);
            /* Where these lines go, and then what the next ones read. */
            pleat_winograd_ahead y = ahead_of(&p, p.y + group * p.groups->c[0], p.y_image, p.work.y_plane, p.work.o,
                                              p.work.windows, line, p.step);
            pleat_winograd_ahead x = ahead_of(&p, p.x + group * p.groups->b[0], p.x_image, p.work.x_plane, p.work.c,
                                              p.work.size, last, p.step);
            for (int64_t k = 0; k < p.work.tile + 2; k++)
                pleat_kernels_get()->winograd->multiply(&p.work, k, p.u + group * p.u_group, last - line, matrices,
                                                        y.images ? &y : &x, p.rows + k * p.work.stride);
            segments(&p, group, line, last, line, false, matrices, turn_result);
        }
    }
}

pleat_status pleat_conv_winograd(const pleat_product *product, const pleat_product_grid *groups, int tile)
{
    plan p = plan_of(product, groups, tile, product->k / 9);
    const int64_t count = groups->size[0];
    p.x = product->b.base;
    p.y = product->c.base;
    p.work.y_plane = product->c.row;
    p.y_image = product->c.image;
    p.images = product->n / (p.work.windows.h * p.work.windows.w) * p.work.dilation.h;

    const int64_t lines = p.images * p.tiles_h, u_bytes = p.u_group * (int64_t)sizeof(float);
    const bool staged = u_bytes > STAGE_BYTES;
    p.work.ahead = u_bytes <= AHEAD_BYTES && p.work.dilation.h == 1;
    p.work.far = u_bytes > FAR_BYTES;
    int64_t stage_lines = lines;
    if (staged) {
        p.work.packed = true;
        p.u_group = 9 * p.work.c * p.work.o_pad;
        p.part_lines = max(lines_within(&p, p.work.width, PART_BYTES), ceil_div(PART_TILES, p.work.tiles_w));
        stage_lines = min(lines, STAGE_PARTS * p.part_lines);
        cut(&p, stage_lines, ceil_div(stage_lines, CHUNKS), 1);
    } else { /* larger where the kernels are: they come from further away, once for every block */
        cut(&p, lines, lines_within(&p, p.work.o_pad, max(BLOCK_BYTES, u_bytes / 8)), count);
        p.step = piece(&p, p.lines, lines_within(&p, p.work.o_pad, max(STEP_BYTES, u_bytes / 8)), 1);
        p.part_lines = p.step;
    }
    lay_out(&p, staged ? stage_lines : p.step, p.part_lines, p.work.far ? p.work.width : p.work.o_pad);
    const int64_t rows = ceil_div(rows_size(&p), 16) * 16, packed = 9 * p.work.c * p.work.width;
    p.scratch_size = staged ? max(p.strip, p.matrices_size + panel_row(&p)) : p.strip + p.matrices_size + rows;
    p.scratch_size = ceil_div(max(p.scratch_size, packed), 16) * 16;
    p.u = pleat_alloc((size_t)(count * p.u_group + (staged ? rows : 0) + pleat_threads() * p.scratch_size) *
                      sizeof(float));
    if (!p.u)
        return PLEAT_ENOMEM;
    p.rows = p.u + count * p.u_group;
    p.scratch = p.rows + (staged ? rows : 0);
    pleat_parallel_for(count * p.panels, 1, turn_kernels, &p);
    if (!staged)
        pleat_parallel_for(count * p.blocks, 1, run_blocks, &p);
    for (int64_t group = 0; staged && group < count; group++) {
        stage s = { &p, group };
        for (p.first = 0; p.first < lines; p.first = p.last) {
            p.last = min(p.first + stage_lines, lines);
            const int64_t blocks = ceil_div(p.last - p.first, p.lines);
            pleat_parallel_for(blocks, 1, turn_images, &s);
            pleat_parallel_for((tile + 2) * ceil_div(p.last - p.first, p.part_lines), 1, multiply_parts, &s);
            pleat_parallel_for(blocks, 1, turn_results, &s);
        }
    }
    pleat_free(p.u);
    return PLEAT_OK;
}

/* ---- By weight ---- */

static void turn_gradient(const plan *p, const segment *s, float *strip)
{
    const float *dy = p->dy + s->group * p->groups->a[0] + s->y;
    pleat_kernels_get()->winograd->gradient(&s->work, dy, s->line, s->lines, strip, p->gradient_rows + s->at);
}

static void turn_both(int64_t begin, int64_t end, void *ctx)
{
    for (int64_t i = begin; i < end; i++) {
        turn_block(ctx, i, turn_image);
        turn_block(ctx, i, turn_gradient);
    }
}

/* Part i: a row of some panels. */
static void accumulate_parts(int64_t begin, int64_t end, void *ctx)
{
    const stage *s = ctx;
    const plan *p = s->plan;
    const int64_t parts = ceil_div(p->panels, p->part);
    pleat_winograd_ahead none = { 0 };
    for (int64_t i = begin; i < end; i++) {
        const int64_t row = i / parts, panel = i % parts * p->part, lines = p->last - p->first;
        for (int64_t line = 0; line < lines; line += p->part_lines) {
            const int64_t at = row * p->work.stride + place(p, line);
            pleat_kernels_get()->winograd->accumulate(
                &p->work, row, panel, min(p->part, p->panels - panel), p->rows + at, p->gradient_rows + at,
                min(p->part_lines, lines - line), p->scratch + pleat_worker() * p->scratch_size, p->first + line > 0,
                &none, p->u);
        }
    }
}

static void turn_kernels_back(int64_t begin, int64_t end, void *ctx)
{
    const stage *s = ctx;
    const plan *p = s->plan;
    for (int64_t i = begin; i < end; i++)
        pleat_kernels_get()->winograd->kernels_gradient(&p->work, p->u, i, p->product->c.row,
                                                        p->y + s->group * p->groups->c[0]);
}

/* They are behind the matrices. */
static void copy_totals(const stage *s, float *totals)
{
    const plan *p = s->plan;
    if (totals)
        memcpy(totals + s->group * p->work.o, p->u + p->u_group - p->work.o_pad, (size_t)p->work.o * sizeof *totals);
}

static void run_slices(int64_t begin, int64_t end, void *ctx)
{
    const stage *s = ctx;
    plan p = *s->plan;
    float *strip = p.scratch + pleat_worker() * p.scratch_size, *matrices = strip + p.strip;
    p.rows = matrices + p.matrices_size;
    p.gradient_rows = p.rows + rows_size(&p);
    for (int64_t i = begin; i < end; i++) {
        float *u = p.u + i * p.u_group;
        const int64_t start = i * p.lines, stop = min(start + p.lines, p.images * p.tiles_h);
        for (int64_t line = start; line < stop; line += p.step) {
            const int64_t last = min(line + p.step, stop);
            segments(&p, s->group, line, last, line, line > start, strip, turn_image);
            segments(&p, s->group, line, last, line, false, matrices, turn_gradient);
            /* What the next lines read. */
            pleat_winograd_ahead x = ahead_of(&p, p.x + s->group * p.groups->b[0], p.x_image, p.work.x_plane, p.work.c,
                                              p.work.size, last, p.step);
            pleat_winograd_ahead dy = ahead_of(&p, p.dy + s->group * p.groups->a[0], p.y_image, p.work.y_plane,
                                               p.work.o, p.work.windows, last, p.step);
            for (int64_t k = 0; k < p.work.tile + 2; k++)
                pleat_kernels_get()->winograd->accumulate(&p.work, k, 0, p.panels, p.rows + k * p.work.stride,
                                                          p.gradient_rows + k * p.work.stride, last - line, matrices,
                                                          line > start, x.images > 0 ? &x : &dy, u);
        }
    }
}

/* Matrix by matrix, and the sums behind the last. */
static void add_slices(int64_t begin, int64_t end, void *ctx)
{
    const plan *p = ((const stage *)ctx)->plan;
    const int64_t matrix = p->work.c_pad * p->work.o_pad;
    for (int64_t i = 1; i < p->slices; i++)
        for (int64_t k = begin * matrix; k < min(end * matrix, p->u_group); k++)
            p->u[k] += p->u[i * p->u_group + k];
}

/* By blocks, so many sums are few. */
static pleat_status weight_by_slices(plan *p, int64_t groups, float *totals)
{
    const int64_t lines = p->images * p->tiles_h, size = p->u_group * (int64_t)sizeof(float);
    p->lines = piece(p, lines, lines, max(4, min(CHUNKS, SLICES_BYTES / size)));
    p->slices = ceil_div(lines, p->lines);
    p->work.ahead = size <= AHEAD_BYTES && p->work.dilation.h == 1;
    p->step = piece(p, p->lines, lines_within(p, p->work.o_pad, max(STEP_BYTES, size / 2)), 1);
    lay_out(p, p->step, p->step, p->work.o_pad);
    p->scratch_size = ceil_div(p->strip + p->matrices_size + 2 * rows_size(p), 16) * 16;
    p->u = pleat_alloc((size_t)(p->slices * p->u_group + pleat_threads() * p->scratch_size) * sizeof(float));
    if (!p->u)
        return PLEAT_ENOMEM;
    p->scratch = p->u + p->slices * p->u_group;
    for (int64_t group = 0; group < groups; group++) {
        stage s = { p, group };
        pleat_parallel_for(p->slices, 1, run_slices, &s);
        pleat_parallel_for(p->matrices + 1, 1, add_slices, &s);
        pleat_parallel_for(p->panels, 1, turn_kernels_back, &s);
        copy_totals(&s, totals);
    }
    pleat_free(p->u);
    return PLEAT_OK;
}

pleat_status pleat_conv_winograd_weight(const pleat_product *product, const pleat_product_grid *groups, int tile,
                                        float *totals)
{
    plan p = plan_of(product, groups, tile, product->n / 9);
    p.u_group = (p.matrices * p.work.c_pad + 1) * p.work.o_pad;
    p.x = product->b.base;
    p.dy = product->a.base;
    p.y = product->c.base;
    p.work.y_plane = product->a.lane;
    p.y_image = product->a.step[1];
    p.images = product->k / (p.work.windows.h * p.work.windows.w) * p.work.dilation.h;

    if (p.u_group * (int64_t)sizeof(float) <= SLICE_BYTES)
        return weight_by_slices(&p, groups->size[0], totals);
    p.work.far = p.u_group * (int64_t)sizeof(float) > FAR_BYTES;
    /* Larger where the sums are: they come and go with every stage. */
    const int64_t lines = p.images * p.tiles_h, bytes = lines * 2 * (tile + 2) * line_row(&p) * (int64_t)sizeof(float);
    const int64_t stages = ceil_div(bytes, max(ROWS_BYTES, p.u_group * (int64_t)sizeof(float)));
    const int64_t stage_lines = ceil_div(lines, stages);
    p.part = min(p.panels, max(1, SUMS_CHANNELS / p.work.width));
    p.part_lines = min(stage_lines, lines_within(&p, p.part * p.work.width, SUMS_BYTES));
    cut(&p, stage_lines, ceil_div(stage_lines, CHUNKS), 1);
    lay_out(&p, stage_lines, p.part_lines, p.part * p.work.width);
    p.scratch_size = ceil_div(max(p.strip, p.matrices_size), 16) * 16;
    const int64_t rows = ceil_div(rows_size(&p), 16) * 16;
    p.u = pleat_alloc((size_t)(p.u_group + 2 * rows + pleat_threads() * p.scratch_size) * sizeof(float));
    if (!p.u)
        return PLEAT_ENOMEM;
    p.rows = p.u + p.u_group;
    p.gradient_rows = p.rows + rows;
    p.scratch = p.gradient_rows + rows;
    for (int64_t group = 0; group < groups->size[0]; group++) {
        stage s = { &p, group };
        for (p.first = 0; p.first < lines; p.first = p.last) {
            p.last = min(p.first + stage_lines, lines);
            pleat_parallel_for(ceil_div(p.last - p.first, p.lines), 1, turn_both, &s);
            pleat_parallel_for((tile + 2) * ceil_div(p.panels, p.part), 1, accumulate_parts, &s);
        }
        pleat_parallel_for(p.panels, 1, turn_kernels_back, &s);
        copy_totals(&s, totals);
    }
    pleat_free(p.u);
    return PLEAT_OK;
}
