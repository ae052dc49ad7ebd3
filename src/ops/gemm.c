/* Cuts products into chunks and runs them in parallel.
 *
 * The chunks are tiles of C, times the grid of products. Where these are too few to share out and K is long, K is cut
 * into slices too: each slice's product goes into a place of its own, and they are added up in order. All cuts follow
 * from the sizes. What is too small or too thin to be worth packing is multiplied from where it lies. */
#include "ops/gemm.h"

#include "kernels/kernels.h"
#include "tensor/memory.h"

#include <pleat/parallel.h>

enum {
    CHUNK_ROWS = 280,          /* of a chunk at most: B's panels are packed anew for every so many rows, */
    CHUNK_COLUMN_BYTES = 2048, /* and stay within the L2 cache with so many bytes of columns */
    CHUNKS = 16,               /* as many at least are wanted, */
    SLICES = 16,               /* by cutting K if need be, */
    THIN = 4,                  /* rows or columns at most that are multiplied without packing */
};
static const double CHUNK_WORK = 1 << 20;   /* but none of less than so many multiplications */
static const double DIRECT_WORK = 20 << 10; /* so few in a whole product are done without packing */

static int64_t size_of(pleat_dtype dtype)
{
    return dtype == PLEAT_F64 ? 8 : 4;
}

static int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t ceil_div(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

/* n cut into parts of at most `most`, evened out and rounded up to whole tiles: the size of a part. */
static int64_t even(int64_t n, int64_t most, int64_t tile)
{
    return ceil_div(ceil_div(n, ceil_div(n, most)), tile) * tile;
}

typedef struct {
    const pleat_product *product; /* with slices: of the partial sums */
    const pleat_product_grid *grid;
    const pleat_product *whole;   /* with slices: the product itself */
    int64_t rows, columns, slice; /* of a chunk */
    int64_t row_chunks, column_chunks, slices;
    char *scratch;
    size_t scratch_size; /* of one worker */
} plan;

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

pleat_status pleat_products(const pleat_product *product, const pleat_product_grid *grid)
{
    const struct pleat_gemm_kernels *kernels = pleat_kernels_get()->gemm;
    const int64_t m = product->m, n = product->n, k = product->k, size = size_of(product->dtype);
    int64_t count = 1;
    for (int d = 0; d < grid->dims; d++)
        count *= grid->size[d];
    if (!m || !n || !count)
        return PLEAT_OK;

    /* lines that follow one another make one line */
    pleat_product p = *product;
    if (p.c.height == 1 || p.c.line == p.c.width * p.c.column) {
        p.c.width *= p.c.height;
        p.c.height = 1;
        p.c.line = p.c.image;
    }

    const int64_t tile_m = kernels->tile_m[p.dtype], tile_n = kernels->tile_n[p.dtype];
    plan w = { .product = &p, .grid = grid, .whole = product, .slices = 1, .slice = k };
    w.rows = even(m, CHUNK_ROWS, tile_m);
    w.columns = even(n, CHUNK_COLUMN_BYTES / size, tile_n);
    for (;;) {
        w.row_chunks = ceil_div(m, w.rows);
        w.column_chunks = ceil_div(n, w.columns);
        if (count * w.row_chunks * w.column_chunks >= CHUNKS ||
            (double)min(w.rows, m) * (double)min(w.columns, n) * (double)k < 2 * CHUNK_WORK)
            break;
        if (w.columns > w.rows && w.columns > 4 * tile_n)
            w.columns = even(w.columns, ceil_div(w.columns, 2), tile_n);
        else if (w.rows > 4 * tile_m)
            w.rows = even(w.rows, ceil_div(w.rows, 2), tile_m);
        else
            break;
    }
    const int64_t tiles = count * w.row_chunks * w.column_chunks;
    if (tiles < CHUNKS) {
        const double work = (double)m * (double)n * (double)k * (double)count;
        int64_t slices = min(ceil_div(SLICES, tiles), k * size / PLEAT_GEMM_DEPTH);
        if ((double)slices * CHUNK_WORK > work)
            slices = (int64_t)(work / CHUNK_WORK);
        if (slices > 1) {
            w.slice = ceil_div(k, slices);
            w.slices = ceil_div(k, w.slice);
        }
    }

    w.scratch_size = (size_t)((kernels->scratch(p.dtype, w.columns, k) + 63) / 64 * 64);
    w.scratch = pleat_alloc(w.scratch_size * (size_t)pleat_threads());
    if (!w.scratch)
        return PLEAT_ENOMEM;
    if (w.slices > 1) {
        p.c = (pleat_target){
            .base = pleat_alloc((size_t)(count * w.slices * m * n * size)), .width = n, .height = 1, .column = 1
        };
        if (!p.c.base) {
            pleat_free(w.scratch);
            return PLEAT_ENOMEM;
        }
        p.accumulate = false;
        p.row_bias = p.col_bias = NULL;
    }
    pleat_parallel_for(tiles * w.slices, 1, run_chunks, &w);
    if (w.slices > 1) {
        pleat_parallel_for(count * m, 1 + 16384 / n, add_slices, &w);
        pleat_free(p.c.base);
    }
    pleat_free(w.scratch);
    return PLEAT_OK;
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
    const bool thin = w.m <= THIN && w.m <= w.n, thin_turned = w.n <= THIN && w.n < w.m;
    if (thin_turned || (!thin && w.c_col != 1 && w.c_row == 1))
        w = t;

    int64_t count = 1;
    for (int d = 0; d < w.batch_dims; d++)
        count *= w.batch[d];
    if (!w.m || !w.n || !count)
        return PLEAT_OK;
    const double each = (double)w.m * (double)w.n * (double)w.k;
    const bool adjacent = w.b_col == 1 || (w.b_row == 1 && w.a_col == 1);
    if (each <= DIRECT_WORK || (adjacent && w.m <= THIN)) {
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
