/* Unfold and fold against naive loops, and against each other: <unfold(x), y> = <x, fold(y)>. */
#include "naive.h"

#include "kernels/window.h"

static pleat_window_work work_of(pleat_dtype dtype, int64_t planes, pleat_hw image, pleat_hw kernel, pleat_hw stride,
                                 pleat_hw padding, pleat_hw dilation)
{
    return (pleat_window_work){
        .dtype = dtype,
        .planes = planes,
        .image = image,
        .kernel = kernel,
        .stride = stride,
        .padding = padding,
        .dilation = dilation,
        .windows = { (image.h + 2 * padding.h - dilation.h * (kernel.h - 1) - 1) / stride.h + 1,
                     (image.w + 2 * padding.w - dilation.w * (kernel.w - 1) - 1) / stride.w + 1 },
    };
}

/* The image's element that an element of the columns reads; -1 for the padding. */
static int64_t source(const pleat_window_work *w, int64_t column)
{
    const int64_t x = column % w->windows.w, y = column / w->windows.w % w->windows.h;
    const int64_t tap = column / w->windows.w / w->windows.h, j = tap % w->kernel.w,
                  i = tap / w->kernel.w % w->kernel.h;
    const int64_t plane = tap / w->kernel.w / w->kernel.h;
    const int64_t row = y * w->stride.h + i * w->dilation.h - w->padding.h,
                  col = x * w->stride.w + j * w->dilation.w - w->padding.w;
    if (row < 0 || row >= w->image.h || col < 0 || col >= w->image.w)
        return -1;
    return (plane * w->image.h + row) * w->image.w + col;
}

static void check(const pleat_window_work *w)
{
    const pleat_dtype dtype = w->dtype;
    const int64_t pixels = w->planes * w->image.h * w->image.w,
                  rows = w->planes * w->kernel.h * w->kernel.w * w->windows.h;
    const int64_t columns = rows * w->windows.w;
    void *image = fresh(dtype, pixels), *y = fresh(dtype, columns), *unfolded = fresh(dtype, columns),
         *folded = fresh(dtype, pixels);
    double *sums = calloc((size_t)pixels + 1, sizeof(double));

    /* in pieces that end anywhere */
    for (int64_t begin = 0, end; begin < rows; begin = end) {
        end = begin + 1 + random_below(11);
        end = end < rows ? end : rows;
        pleat_kernels_get()->window->unfold(w, image, unfolded, begin, end);
    }
    for (int64_t begin = 0, end; begin < w->planes * w->image.h; begin = end) {
        end = begin + 1 + random_below(5);
        end = end < w->planes * w->image.h ? end : w->planes * w->image.h;
        pleat_kernels_get()->window->fold(w, y, folded, begin, end);
    }
    for (int64_t i = 0; i < columns; i++) {
        const int64_t from = source(w, i);
        if (get(dtype, unfolded, i) != (from < 0 ? 0 : get(dtype, image, from)))
            ck_abort_msg("unfold: element %d", (int)i);
        if (from >= 0)
            sums[from] += get(dtype, y, i);
    }
    for (int64_t i = 0; i < pixels; i++)
        if (get(dtype, folded, i) != sums[i])
            ck_abort_msg("fold: element %d is %g, not %g", (int)i, get(dtype, folded, i), sums[i]);
    ck_assert(dot(dtype, unfolded, y, columns) == dot(dtype, image, folded, pixels));
    free(image), free(y), free(unfolded), free(folded), free(sums);
}

static pleat_hw pair(int64_t from, int64_t n)
{
    const int64_t h = from + random_below(n);
    return (pleat_hw){ h, from + random_below(n) };
}

START_TEST(any_window)
{
    for (int turn = 0, checked = 0; checked < 600; turn++) {
        const pleat_window_work w =
            work_of(turn % 2 ? PLEAT_F32 : PLEAT_F64, 1 + random_below(4), pair(1, turn % 3 ? 10 : 40), pair(1, 5),
                    pair(1, 4), pair(0, 4), pair(1, 3));
        if (w.image.h + 2 * w.padding.h <= w.dilation.h * (w.kernel.h - 1) ||
            w.image.w + 2 * w.padding.w <= w.dilation.w * (w.kernel.w - 1))
            continue;
        check(&w);
        checked++;
    }
}
END_TEST

START_TEST(wide_rows_and_far_padding)
{
    const pleat_window_work wide = work_of(PLEAT_F32, 2, (pleat_hw){ 5, 131 }, (pleat_hw){ 3, 3 }, (pleat_hw){ 1, 1 },
                                           (pleat_hw){ 1, 1 }, (pleat_hw){ 1, 1 });
    check(&wide);
    const pleat_window_work far = work_of(PLEAT_F64, 2, (pleat_hw){ 3, 4 }, (pleat_hw){ 2, 2 }, (pleat_hw){ 1, 2 },
                                          (pleat_hw){ 9, 12 }, (pleat_hw){ 7, 5 });
    check(&far);
    /* nearly as far as int64 reaches: two windows, both off the image */
    const int64_t most = (int64_t)1 << 60;
    pleat_window_work farther = work_of(PLEAT_F32, 1, (pleat_hw){ 2, 2 }, (pleat_hw){ 1, 1 }, (pleat_hw){ 1, most },
                                        (pleat_hw){ 0, most }, (pleat_hw){ 1, 1 });
    farther.windows.w = 2;
    check(&farther);
}
END_TEST

START_TEST(empty)
{
    const pleat_window_work w = work_of(PLEAT_F32, 0, (pleat_hw){ 3, 3 }, (pleat_hw){ 2, 2 }, (pleat_hw){ 1, 1 },
                                        (pleat_hw){ 0, 0 }, (pleat_hw){ 1, 1 });
    check(&w);
}
END_TEST

RUN_TESTS("window", any_window, wide_rows_and_far_padding, empty)
