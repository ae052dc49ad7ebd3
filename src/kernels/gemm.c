/* The micro-kernel's tile is MR rows by two vectors, as large as the registers allow: its sums, one row of B and a
 * broadcast element of A. GCC keeps the sums in registers where every loop over the tile is unrolled by pragma. */
#include "kernels/gemm.h"

#include <string.h>

#define ROWS_4(DO) DO(1) DO(2) DO(3) DO(4)
#define ROWS_6(DO) ROWS_4(DO) DO(5) DO(6)
#if defined PLEAT_ISA_avx512 || defined __aarch64__
#define MR 14
#define DOTS_4 4
#define ROWS(DO) ROWS_6(DO) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14)
#elif defined PLEAT_ISA_avx2
#define MR 6
#define DOTS_4 3
#define ROWS ROWS_6
#else
#define MR 4
#define DOTS_4 3
#define ROWS ROWS_4
#endif
/* Columns of dot products at once, of one row and of up to four. */
#define DOTS_1 8
/* Whether a multiply-add reads an element of memory for all its lanes. */
#ifdef PLEAT_ISA_avx512
#define MEMORY_OPERANDS 1
#else
#define MEMORY_OPERANDS 0
#endif
/* Where sums leave few registers, GCC moves them about and to memory, unless what was multiplied outlives the products:
 * then a sum has its register. And where a tile has few rows, what is not a multiply-add counts: more steps share it,
 * and panels of B, which lie one after the other, are left to the processor to ask for. */
#ifdef PLEAT_ISA_avx2
#define STAY(sum, e, b) __asm__("" : "+x"(sum) : "x"(e), "x"(b))
#define STEPS 4
#define PANELS_COME 1
#else
#define STAY(sum, e, b) ((void)0)
#define STEPS 2
#define PANELS_COME 0
#endif
/* Rows of B are asked for so many steps before they are needed. */
#define AHEAD 8
/* A's panel has a multiple of so many steps and one more: packing runs over, and B's panels stay aligned. */
#define SLACK 16

enum {
    A_STAYS = 160 << 10, /* bytes at most of A that stay in the L2 cache beside a panel of B and the next one */
    B_STAYS = 512 << 10, /* and of B alone */
    FEW_STEPS = 128,     /* that are packed at once */
    LONG_TILE = 32       /* steps: time for lines of C to come */
};

/* A column of C: which of its line, its image's line, and image. */
typedef struct {
    int64_t x, y, image;
} spot;

static spot spot_of(const pleat_target *c, int64_t column)
{
    return (spot){ column % c->width, column / c->width % c->height, column / c->width / c->height };
}

static int64_t offset_of(const pleat_target *c, const spot *at)
{
    return at->image * c->image + at->y * c->line + at->x * c->column;
}

static void move_on(const pleat_target *c, spot *at, int64_t columns)
{
    for (at->x += columns; at->x >= c->width; at->x -= c->width)
        if (++at->y == c->height) {
            at->y = 0;
            at->image++;
        }
}

#define PLEAT_FLOAT 32
#include "kernels/simd.h"

/* Panels of lanes first .. end - 1. Where lanes are adjacent, some steps of all panels at a time: what is read then
 * lies in long rows. */
static void pack(const pleat_operand *o, int64_t first, int64_t end, int64_t k, int64_t depth, int64_t width, void *to,
                 int64_t panel, int64_t size)
{
    const int64_t run = o->lane == 1 && depth > FEW_STEPS ? FEW_STEPS / 8 : depth;
    for (int64_t s = 0; s < depth; s += run)
        for (int64_t i = first; i < end; i += width)
            o->pack(o, i, least(width, end - i), k + s, least(run, depth - s), width,
                    (char *)to + (i - first) / width * panel + s * width * size);
}

#include "kernels/gemm_body.h"
#undef PLEAT_FLOAT
#define PLEAT_FLOAT 64
#include "kernels/simd.h"
/* simd.h's names first */
#include "kernels/gemm_body.h"

static int64_t scratch(pleat_dtype dtype, int64_t n, int64_t k)
{
    const int64_t size = dtype == PLEAT_F64 ? 8 : 4, nr = 2 * PLEAT_VECTOR_BYTES / size;
    const int64_t depth = k < PLEAT_GEMM_DEPTH / size ? k : PLEAT_GEMM_DEPTH / size;
    return size * ((depth + SLACK) / SLACK * SLACK * MR + (n + nr - 1) / nr * nr * depth) + 64;
}

static void block(const pleat_product *p, int64_t i, int64_t i_end, int64_t j, int64_t j_end, int64_t k, int64_t k_end,
                  void *scratch_memory)
{
    (p->dtype == PLEAT_F64 ? block_f64 : block_f32)(p, i, i_end, j, j_end, k, k_end, scratch_memory);
}

static void add_slices(const pleat_product *p, const void *partial, int64_t slices, int64_t i, int64_t i_end)
{
    (p->dtype == PLEAT_F64 ? add_slices_f64 : add_slices_f32)(p, partial, slices, i, i_end);
}

static void direct(const pleat_gemm_work *w)
{
    (w->dtype == PLEAT_F64 ? direct_f64 : direct_f32)(w);
}

const struct pleat_gemm_kernels PLEAT_K(gemm_kernels) = {
    .tile_m = { [PLEAT_F32] = MR, [PLEAT_F64] = MR },
    .tile_n = { [PLEAT_F32] = 2 * PLEAT_VECTOR_BYTES / 4, [PLEAT_F64] = 2 * PLEAT_VECTOR_BYTES / 8 },
    .pack_matrix = { [PLEAT_F32] = pack_matrix_f32, [PLEAT_F64] = pack_matrix_f64 },
    .pack = pack,
    .scratch = scratch,
    .block = block,
    .add_slices = add_slices,
    .direct = direct,
};
