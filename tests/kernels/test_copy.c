/* Strided copies against index arithmetic: matrices that lie transposed, which go by squares, of small sizes around
 * those of the squares, and lines that are reversed or take every other element, cut anywhere, in arrays that end where
 * they must. */
#include "kernels/copy.h"
#include "support/run.h"

#include <pleat/base.h>

#include <stdlib.h>
#include <string.h>

enum { BATCH = 2 };

/* to (2, n, columns) from an array with these steps, in chunks of `chunk`. */
static void check(pleat_dtype dtype, int64_t n, int64_t columns, const int64_t step[3], int64_t chunk)
{
    const size_t width = pleat_dtype_size(dtype);
    const int64_t count = BATCH * n * columns, last = step[2] > 0 ? (columns - 1) * step[2] : 0,
                  first = step[2] < 0 ? (1 - columns) * step[2] : 0;
    const int64_t size = first + (BATCH - 1) * step[0] + (n - 1) * step[1] + last + 1;
    char *from = malloc((size_t)size * width), *to = malloc((size_t)count * width);
    ck_assert(from && to);
    for (int64_t i = 0; i < size * (int64_t)width; i++)
        from[i] = (char)(i * 37 + i / 256);
    const pleat_copy_work work = { .ndim = 3,
                                   .dim = { BATCH, n, columns },
                                   .to_stride = { n * columns, columns, 1 },
                                   .from_stride = { step[0], step[1], step[2] },
                                   .to = to,
                                   .from = from + (size_t)first * width,
                                   .to_dtype = dtype,
                                   .from_dtype = dtype };
    for (int64_t i = 0; i < count; i += chunk)
        pleat_kernels_get()->copy->copy(&work, i, i + chunk < count ? i + chunk : count);
    for (int64_t i = 0; i < count; i++) {
        const int64_t c = i % columns, r = i / columns % n, b = i / columns / n;
        const int64_t at = first + b * step[0] + r * step[1] + c * step[2];
        ck_assert_msg(memcmp(to + (size_t)i * width, from + (size_t)at * width, width) == 0,
                      "element %d of 2 x %d x %d, steps %d, %d", (int)i, (int)n, (int)columns, (int)step[1],
                      (int)step[2]);
    }
    free(from);
    free(to);
}

static const pleat_dtype dtypes[] = { PLEAT_F32, PLEAT_I64, PLEAT_F64, PLEAT_U8 };
static const int64_t sizes[] = { 1, 2, 3, 4, 5, 7, 8, 9, 11, 15, 16, 17, 23, 31, 32, 33, 39 };
enum { SIZES = sizeof sizes / sizeof *sizes };

START_TEST(transposed)
{
    for (int i = 0; i < SIZES * SIZES; i++)
        for (int d = 0; d < 4; d++) {
            const int64_t n = sizes[i / SIZES], columns = sizes[i % SIZES];
            const int64_t gap = n + n % 3;
            check(dtypes[d], n, columns, (int64_t[]){ columns * n, 1, n }, 2 * n * columns);
            check(dtypes[d], n, columns, (int64_t[]){ columns * gap, 1, gap }, 7 * columns + 5);
        }
}
END_TEST

START_TEST(stepped)
{
    for (int i = 0; i < SIZES; i++)
        for (int d = 0; d < 4; d++)
            for (int64_t step = -1; step <= 3; step++) {
                const int64_t columns = sizes[i], n = 5, line = (columns - 1) * (step < 0 ? 1 : step) + 1;
                check(dtypes[d], n, columns, (int64_t[]){ line * n, line, step }, 2 * n * columns);
                check(dtypes[d], n, columns, (int64_t[]){ (line + 2) * n + 3, line + 2, step }, columns + 3);
            }
}
END_TEST

RUN_TESTS("copy", transposed, stepped)
