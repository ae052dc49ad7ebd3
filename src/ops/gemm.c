/* Cuts products into chunks and runs them in parallel.
 *
 * The chunks are tiles of C, times the grid of products, and slices of K where these are too few to share out and
 * cutting C would cost more: each slice's product goes into a place of its own, and they are added up in order. All
 * cuts follow from the sizes. An operand that lies well is read where it lies; one that several chunks meet is packed
 * once, ahead of them all, if it has to be rearranged. */
#include "ops/gemm.h"

#include "kernels/kernels.h"
#include "ops/integers.h"
#include "tensor/memory.h"

#include <pleat/parallel.h>

#include <math.h>

enum {
    CHUNKS = 16,               /* as many at least are wanted, or half as many */
    LARGE_WORK = 1 << 24,      /* of no more multiplications than these, */
    CHUNK_WORK = 1 << 19,      /* but none of less than so many multiplications */
    CHUNK_B_BYTES = 512 << 10, /* of B at a time: they stay in the L2 cache */
    FAR_B_BYTES = 3 << 20,     /* of B, if more, are not in the cache when the next chunk meets them, */
    FAR_C_BYTES = 2 << 20,     /* and of C when they are written */
    SLICE = 512,               /* bytes of K at least, where it is cut */
    FEW_ROWS = 6,              /* of a tile: what a step of it does beside multiplying shows */
    FORESEEN = 512,            /* bytes from one vector to the next at most, for a processor to foresee many */
    THIN = 4,                  /* rows or columns at most that are multiplied without packing, */
    THIN_DOTS = 8,             /* where both operands' terms are adjacent */
    DIRECT_WORK = 20 << 10,    /* so few multiplications in a whole product are done without packing */
    SHORT = 16,                /* but not sums of fewer terms, which would lie across vectors, if there are */
    SEVERAL = 512,             /* more than so many */
    PACK_AHEAD = 16 << 20,     /* bytes at most of an operand that is packed before all else */
    /* what an element costs, in multiplications: to be packed, to be met again by another chunk, as a partial sum */
    PACKING = 32,
    MEETING = 4,
    PARTIAL = 40
};

/* The size of a part of n, of whole tiles. */
static int64_t part(int64_t n, int64_t parts, int64_t tile)
{
    return ceil_div(ceil_div(n, parts), tile) * tile;
}

typedef struct {
    const pleat_product *product; /* with slices: of the partial sums */
    const pleat_product_grid *grid;
    const pleat_product *whole;   /* with slices: the product itself */
    int64_t rows, columns, slice; /* of a chunk */
    int64_t row_chunks, column_chunks, slices;
    double work; /* multiplications of a chunk */
    char *scratch;
    size_t scratch_size; /* of one worker */
} plan;

typedef struct {
    const pleat_operand *from;
    int64_t lanes, width, steps, panel, size;
    char *to;
} packing;

static const void *moved(const void *base, int64_t elements, int64_t size)
{
    return base ? (const char *)base + elements * size : NULL;
}

/* Product number index of the grid. */
static pleat_product place(const pleat_product *product, const pleat_product_grid *grid, int64_t index)
{
    const int64_t size = size_of(product->dtype);
    pleat_product p = *product;
    for (int d = grid->dims - 1; d >= 0; d--) {
        const int64_t at = index % grid->size[d];
        index /= grid->size[d];
        p.a.base = moved(p.a.base, at * grid->a[d], size);
        p.b.base = moved(p.b.base, at * grid->b[d], size);
        p.c.base = (char *)p.c.base + at * grid->c[d] * size;
        p.row_bias = moved(p.row_bias, at * grid->row_bias[d], size);
    }
    return p;
}

static void run_chunks(int64_t begin, int64_t end, void *ctx)
{
    const plan *w = ctx;
    const pleat_kernels *kernels = pleat_kernels_get();
    for (int64_t i = begin; i < end; i++) {
        int64_t rest = i;
        const int64_t row = rest % w->row_chunks * w->rows;
        rest /= w->row_chunks;
        const int64_t column = rest % w->column_chunks * w->columns;
        rest /= w->column_chunks;
        const int64_t slice = rest % w->slices;
        pleat_product p = place(w->product, w->grid, rest / w->slices);
        if (w->slices > 1) {
            p.c.base = (char *)w->product->c.base + rest * p.m * p.n * size_of(p.dtype);
            p.c.row = p.n;
        }
        kernels->gemm->block(&p, row, min(row + w->rows, p.m), column, min(column + w->columns, p.n), slice * w->slice,
                             min((slice + 1) * w->slice, p.k), w->scratch + (size_t)pleat_worker() * w->scratch_size);
    }
}

static void add_slices(int64_t begin, int64_t end, void *ctx)
{
    const plan *w = ctx;
    const int64_t m = w->whole->m, size = w->slices * m * w->whole->n * size_of(w->whole->dtype);
    while (begin < end) {
        const int64_t index = begin / m, row = begin % m, row_end = min(m, row + end - begin);
        const pleat_product p = place(w->whole, w->grid, index);
        pleat_kernels_get()->gemm->add_slices(&p, (char *)w->product->c.base + index * size, w->slices, row, row_end);
        begin += row_end - row;
    }
}

/* Whether a processor's cache, whose sets repeat every so many bytes, takes up lines that are this far apart. */
static bool spreads(int64_t stride, int64_t size)
{
    enum { PERIOD = 2048, LINE = 64, FAR = 1 << 20 };
    if (stride <= -FAR || stride >= FAR)
        return false;
    const int64_t bytes = (stride < 0 ? -stride : stride) * size, rest = bytes % PERIOD;
    return bytes > 0 && rest <= PERIOD - LINE && (rest >= LINE || bytes < PERIOD);
}

/* Whether steps are one stride apart. */
static bool is_matrix(const pleat_operand *o, int64_t k, pleat_dtype dtype)
{
    return o->pack == pleat_kernels_get()->gemm->pack_matrix[dtype] && o->size[1] >= k;
}

static bool lies_well(const pleat_operand *o, int64_t k, int64_t adjacent, int64_t stride, pleat_dtype dtype)
{
    return is_matrix(o, k, dtype) && adjacent == 1 && spreads(stride, size_of(dtype));
}

static bool is_shared(const pleat_product_grid *grid, const int64_t *stride)
{
    for (int d = 0; d < grid->dims; d++)
        if (stride[d] && grid->size[d] > 1)
            return false;
    return true;
}

/* Cuts rows, columns or K into more parts as long as chunks are too few and large, whichever costs least. */
static void cut(plan *w, int64_t count, int64_t tile_m, int64_t tile_n, bool a_is_packed, bool b_is_packed)
{
    const pleat_product *p = w->product;
    const int64_t size = size_of(p->dtype), a_tile = p->a.state == PLEAT_IN_PLACE ? 1 : tile_m;
    const double m = (double)p->m, n = (double)p->n, k = (double)p->k;
    int64_t r = 1, s = 1, c = max(1, ceil_div(p->n * pleat_gemm_depth(p->k, size) * size, CHUNK_B_BYTES));
    for (;;) {
        w->rows = part(p->m, r, a_tile);
        w->columns = part(p->n, c, tile_n);
        w->slice = ceil_div(p->k, s);
        w->row_chunks = ceil_div(p->m, w->rows);
        w->column_chunks = ceil_div(p->n, w->columns);
        w->slices = p->k ? ceil_div(p->k, w->slice) : 1;
        w->work = (double)min(w->rows, p->m) * (double)min(w->columns, p->n) * (double)w->slice;
        const double rows = (double)w->row_chunks, columns = (double)w->column_chunks;
        const int64_t chunks = count * w->row_chunks * w->column_chunks * w->slices;
        if (chunks >= CHUNKS || w->work < 2 * CHUNK_WORK || (chunks >= CHUNKS / 2 && w->work < LARGE_WORK))
            return;
        /* one part more, for each chunk that it makes */
        const double by_rows = w->rows < 2 * tile_m ? HUGE_VAL : n * k * (b_is_packed ? PACKING : MEETING) / columns,
                     by_columns = w->columns < 2 * tile_n ? HUGE_VAL : m * k * (a_is_packed ? PACKING : MEETING) / rows,
                     by_k = w->slice * size < 2 * SLICE ? HUGE_VAL : m * n * PARTIAL / (rows * columns);
        if (by_rows < HUGE_VAL && by_rows <= by_columns && by_rows <= by_k)
            r++;
        else if (by_columns < HUGE_VAL && by_columns <= by_k)
            c++;
        else if (by_k < HUGE_VAL)
            s++;
        else
            return;
    }
}

static void pack_ahead(int64_t begin, int64_t end, void *ctx)
{
    const packing *w = ctx;
    pleat_kernels_get()->gemm->pack(w->from, begin * w->width, min(end * w->width, w->lanes), 0, w->steps, w->width,
                                    w->to + begin * w->panel, w->panel, w->size);
}

/* Packs all of an operand that several chunks meet. What it returns is the caller's to free; NULL is no memory. */
static char *packed_ahead(pleat_operand *o, int64_t lanes, int64_t width, int64_t steps, int64_t size)
{
    const int64_t panels = ceil_div(lanes, width), panel = width * steps * size + 64; /* packing may run over */
    char *to = pleat_alloc((size_t)(panels * panel));
    if (!to)
        return NULL;
    /* some at once, as what is read then lies in longer rows */
    const int64_t some = min(8, ceil_div(panels, 2)), enough = 1 + 32768 / (width * steps);
    pleat_parallel_for(panels, max(some, enough), pack_ahead, &(packing){ o, lanes, width, steps, panel, size, to });
    o->base = to;
    o->lane = panel / size;
    o->state = PLEAT_PACKED;
    return to;
}

pleat_status pleat_products(const pleat_product *product, const pleat_product_grid *grid)
{
    const struct pleat_gemm_kernels *kernels = pleat_kernels_get()->gemm;
    const int64_t m = product->m, n = product->n, k = product->k, size = size_of(product->dtype);
    int64_t count = 1;
    for (int d = 0; d < grid->dims; d++)
        count *= grid->size[d];
    if (!m || !n || !count)
        return PLEAT_OK;

    /* lines that follow one another make one line, and images too */
    pleat_product p = *product;
    if (p.c.height == 1 || p.c.line == p.c.width * p.c.column) {
        p.c.width *= p.c.height;
        p.c.height = 1;
        p.c.line = p.c.image;
        if (p.c.image == p.c.width * p.c.column)
            p.c.width = max(p.c.width, n);
    }

    p.c.far = count * m * n * size > FAR_C_BYTES;
    const int64_t tile_m = kernels->tile_m[p.dtype], tile_n = kernels->tile_n[p.dtype];
    if (lies_well(&p.a, k, p.a.step[2], p.a.lane, p.dtype))
        p.a.state = PLEAT_IN_PLACE;
    /* many rows meet B's vectors: they had better not lie across the borders of cache lines, nor far apart, and where
     * tiles have few rows be panels, unless these would leave the cache */
    const int64_t step = p.b.step[2] * size;
    const bool far = n * k * size > FAR_B_BYTES && m >= 24 * tile_m;
    const bool panels = tile_m <= FEW_ROWS && m >= 16 * tile_m && step > FORESEEN && n * k * size <= CHUNK_B_BYTES;
    if (!far && ((step % 64 == 0 && !panels) || m < 8 * tile_m) && lies_well(&p.b, k, p.b.lane, p.b.step[2], p.dtype))
        p.b.state = PLEAT_IN_PLACE;
    else if (is_matrix(&p.b, k, p.dtype) && p.b.lane == 1)
        p.b.state = PLEAT_COPIED;
    bool a_ahead = p.a.state == PLEAT_UNPACKED && is_shared(grid, grid->a) && m * k * size <= PACK_AHEAD;
    bool b_ahead = p.b.state == PLEAT_UNPACKED && is_shared(grid, grid->b) && n * k * size <= PACK_AHEAD;
    plan w = { .product = &p, .grid = grid, .whole = product };
    /* what is packed ahead, but is no longer in the cache when the next rows meet it, costs as much once more */
    const bool b_near = p.b.state == PLEAT_IN_PLACE || (b_ahead && n * k * size <= CHUNK_B_BYTES);
    cut(&w, count, tile_m, tile_n, p.a.state == PLEAT_UNPACKED && !a_ahead, !b_near);
    a_ahead = a_ahead && k && count * w.column_chunks > 1;
    b_ahead = b_ahead && k && count * w.row_chunks > 1;
    const int64_t chunks = count * w.row_chunks * w.column_chunks * w.slices;

    pleat_status status = PLEAT_ENOMEM;
    char *a_packed = NULL, *b_packed = NULL, *partial = NULL;
    w.scratch_size = (size_t)((kernels->scratch(p.dtype, w.columns, w.slice) + 63) / 64 * 64);
    w.scratch = pleat_alloc(w.scratch_size * (size_t)pleat_threads());
    if (!w.scratch || (a_ahead && !(a_packed = packed_ahead(&p.a, m, tile_m, k, size))) ||
        (b_ahead && !(b_packed = packed_ahead(&p.b, n, tile_n, k, size))))
        goto done;
    if (w.slices > 1) {
        partial = pleat_alloc((size_t)(count * w.slices * m * n * size));
        if (!partial)
            goto done;
        p.c = (pleat_target){ .base = partial, .width = n, .height = 1, .column = 1 };
        p.accumulate = false;
        p.row_bias = p.col_bias = NULL;
        p.relu = false;
    }
    const int64_t grain = w.work > 0 ? (int64_t)(CHUNK_WORK / w.work) : 1;
    pleat_parallel_for(chunks, w.slices > 1 || grain < 1 ? 1 : grain, run_chunks, &w);
    if (w.slices > 1)
        pleat_parallel_for(count * m, 1 + 16384 / n, add_slices, &w);
    status = PLEAT_OK;
done:
    pleat_free(partial);
    pleat_free(b_packed);
    pleat_free(a_packed);
    pleat_free(w.scratch);
    return status;
}

/* ---- Matrices ---- */

/* C^T = B^T A^T. */
static pleat_gemm_work turned(const pleat_gemm_work *work)
{
    pleat_gemm_work t = *work;
    t.m = work->n, t.n = work->m;
    t.a = work->b, t.a_row = work->b_col, t.a_col = work->b_row;
    t.b = work->a, t.b_row = work->a_col, t.b_col = work->a_row;
    t.c_row = work->c_col, t.c_col = work->c_row;
    t.row_bias = work->col_bias, t.col_bias = work->row_bias;
    for (int d = 0; d < work->batch_dims; d++) {
        t.a_batch[d] = work->b_batch[d];
        t.b_batch[d] = work->a_batch[d];
    }
    return t;
}

/* Batches that follow one another in A and C and share B are more rows. */
static void merge_batch(pleat_gemm_work *w)
{
    while (w->batch_dims) {
        const int d = w->batch_dims - 1;
        if (w->batch[d] != 1 &&
            (w->b_batch[d] || w->row_bias || w->a_batch[d] != w->m * w->a_row || w->c_batch[d] != w->m * w->c_row))
            return;
        w->m *= w->batch[d];
        w->batch_dims--;
    }
}

typedef struct {
    const pleat_gemm_work *work;
    int64_t columns, column_chunks;
} direct_plan;

static void run_direct(int64_t begin, int64_t end, void *ctx)
{
    const direct_plan *p = ctx;
    const int64_t size = size_of(p->work->dtype);
    for (int64_t i = begin; i < end; i++) {
        pleat_gemm_work w = *p->work;
        const int64_t column = i % p->column_chunks * p->columns;
        int64_t rest = i / p->column_chunks, a = 0, b = column * w.b_col, c = column * w.c_col;
        for (int d = w.batch_dims - 1; d >= 0; d--) {
            const int64_t at = rest % w.batch[d];
            rest /= w.batch[d];
            a += at * w.a_batch[d];
            b += at * w.b_batch[d];
            c += at * w.c_batch[d];
        }
        w.n = min(p->columns, w.n - column);
        w.a = moved(w.a, a, size);
        w.b = moved(w.b, b, size);
        w.c = (char *)w.c + c * size;
        w.col_bias = moved(w.col_bias, column, size);
        pleat_kernels_get()->gemm->direct(&w);
    }
}

pleat_status pleat_gemm(const pleat_gemm_work *work)
{
    pleat_gemm_work w = *work;
    merge_batch(&w);
    const pleat_gemm_work t = turned(&w);
    const bool dots = w.a_col == 1 && w.b_row == 1; /* also of what is turned */
    const int64_t few = dots ? THIN_DOTS : THIN;
    const bool thin = w.m <= few && w.m <= w.n, thin_turned = w.n <= few && w.n < w.m;
    if (thin_turned || (!thin && w.c_col != 1 && w.c_row == 1))
        w = t;

    int64_t count = 1;
    for (int d = 0; d < w.batch_dims; d++)
        count *= w.batch[d];
    if (!w.m || !w.n || !count)
        return PLEAT_OK;
    const double each = (double)w.m * (double)w.n * (double)w.k;
    const bool adjacent = w.b_col == 1 || dots;
    const bool few_terms = w.b_col != 1 && w.k < SHORT && (double)w.m * (double)w.n > SEVERAL;
    if (!few_terms && (each <= DIRECT_WORK || (adjacent && w.m <= few))) {
        /* chunks of whole cache lines of C */
        direct_plan p = { .work = &w, .columns = w.n };
        if (each > 4 * DIRECT_WORK) {
            const double columns = 4 * DIRECT_WORK / ((double)w.m * (double)w.k);
            p.columns = min(w.n, columns < 64 ? 64 : (int64_t)columns / 64 * 64);
        }
        p.column_chunks = ceil_div(w.n, p.columns);
        const double chunk = (double)w.m * (double)p.columns * (double)w.k + 100;
        pleat_parallel_for(count * p.column_chunks, 1 + (int64_t)(4 * DIRECT_WORK / chunk), run_direct, &p);
        return PLEAT_OK;
    }

    const pleat_pack_fn pack = pleat_kernels_get()->gemm->pack_matrix[w.dtype];
    const pleat_product product = {
        .dtype = w.dtype,
        .m = w.m,
        .n = w.n,
        .k = w.k,
        .a = { .pack = pack, .base = w.a, .lane = w.a_row, .step = { 0, 0, w.a_col }, .size = { 1, w.k } },
        .b = { .pack = pack, .base = w.b, .lane = w.b_col, .step = { 0, 0, w.b_row }, .size = { 1, w.k } },
        .c = { .base = w.c, .row = w.c_row, .column = w.c_col, .width = w.n, .height = 1 },
        .accumulate = w.accumulate,
        .row_bias = w.row_bias,
        .col_bias = w.col_bias,
        .relu = w.relu,
    };
    pleat_product_grid grid = { .dims = w.batch_dims };
    for (int d = 0; d < w.batch_dims; d++) {
        grid.size[d] = w.batch[d];
        grid.a[d] = w.a_batch[d];
        grid.b[d] = w.b_batch[d];
        grid.c[d] = w.c_batch[d];
    }
    return pleat_products(&product, &grid);
}
