/* Strided copies against index arithmetic: matrices that lie transposed, which go by squares, of small sizes around
 * those of the squares, cut anywhere, in arrays that end where they must. */
#include "kernels/copy.h"
#include "support/run.h"

#include <pleat/base.h>

#include <stdlib.h>
#include <string.h>

enum { BATCH = 2 };

/* to (2, n, columns) from (2, columns, n), in chunks of `chunk`; between rows of `from` lie `gap` other elements. */
static void check(pleat_dtype dtype, int64_t n, int64_t columns, int64_t gap, int64_t chunk)
{
    const size_t width = pleat_dtype_size(dtype);
    const int64_t count = BATCH * n * columns, pitch = n + gap, size = (BATCH * columns - 1) * pitch + n;
    char *from = malloc((size_t)size * width), *to = malloc((size_t)count * width);
    ck_assert(from && to);
    for (int64_t i = 0; i < size * (int64_t)width; i++)
        from[i] = (char)(i * 37 + i / 256);
    const pleat_copy_work work = { .ndim = 3,
                                   .dim = { BATCH, n, columns },
                                   .to_stride = { n * columns, columns, 1 },
                                   .from_stride = { columns * pitch, 1, pitch },
                                   .to = to,
                                   .from = from,
                                   .to_dtype = dtype,
                                   .from_dtype = dtype };
    for (int64_t i = 0; i < count; i += chunk)
        pleat_kernels_get()->copy->copy(&work, i, i + chunk < count ? i + chunk : count);
    for (int64_t i = 0; i < count; i++) {
        const int64_t c = i % columns, r = i / columns % n, b = i / columns / n;
        ck_assert_msg(memcmp(to + (size_t)i * width, from + (size_t)((b * columns + c) * pitch + r) * width, width) ==
                          0,
                      "element %d of 2 x %d x %d", (int)i, (int)n, (int)columns);
    }
    free(from);
    free(to);
}

START_TEST(transposed)
{
    static const pleat_dtype dtypes[] = { PLEAT_F32, PLEAT_I64, PLEAT_F64, PLEAT_U8 };
    static const int64_t sizes[] = { 1, 2, 3, 4, 5, 7, 8, 9, 11, 15, 16, 17, 23, 31, 32, 33, 39 };
    enum { SIZES = sizeof sizes / sizeof *sizes };
    for (int i = 0; i < SIZES * SIZES; i++)
        for (int d = 0; d < 4; d++) {
            const int64_t n = sizes[i / SIZES], columns = sizes[i % SIZES];
            check(dtypes[d], n, columns, 0, 2 * n * columns);
            check(dtypes[d], n, columns, n % 3, 7 * columns + 5);
        }
}
END_TEST

RUN_TESTS("copy", transposed)
