/* The convolution engine against naive loops, and its three functions against each other:
 * <conv(x, w), y> = <x, by data(y, w)> = <w, by weight(x, y)>. */
#include "naive.h"

#include "ops/conv_core.h"

#include <pleat/error.h>
#include <pleat/memory.h>
#include <pleat/parallel.h>

/* The sums, and what they are made of. */
typedef struct {
    const pleat_conv_shape *s;
    const void *x, *w, *dy;
    double *y, *dx, *dw, *totals; /* of dy's channels */
} sums;

static void naive(sums *t)
{
    const pleat_conv_shape *s = t->s;
    const int64_t c_each = s->c / s->groups, o_each = s->o / s->groups;
    for (int64_t n = 0; n < s->n; n++)
        for (int64_t o = 0; o < s->o; o++)
            for (int64_t p = 0; p < s->out.h; p++)
                for (int64_t q = 0; q < s->out.w; q++) {
                    t->totals[o] += get(s->dtype, t->dy, ((n * s->o + o) * s->out.h + p) * s->out.w + q);
                    for (int64_t c = 0; c < c_each; c++)
                        for (int64_t i = 0; i < s->kernel.h; i++)
                            for (int64_t j = 0; j < s->kernel.w; j++) {
                                const int64_t row = p * s->stride.h + i * s->dilation.h - s->padding.h;
                                const int64_t column = q * s->stride.w + j * s->dilation.w - s->padding.w;
                                if (row < 0 || row >= s->image.h || column < 0 || column >= s->image.w)
                                    continue;
                                const int64_t y = ((n * s->o + o) * s->out.h + p) * s->out.w + q;
                                const int64_t x =
                                    ((n * s->c + o / o_each * c_each + c) * s->image.h + row) * s->image.w + column;
                                const int64_t w = ((o * c_each + c) * s->kernel.h + i) * s->kernel.w + j;
                                t->y[y] += get(s->dtype, t->x, x) * get(s->dtype, t->w, w);
                                t->dx[x] += get(s->dtype, t->dy, y) * get(s->dtype, t->w, w);
                                t->dw[w] += get(s->dtype, t->dy, y) * get(s->dtype, t->x, x);
                            }
                }
}

static void equal(const pleat_conv_shape *s, const char *what, const void *a, const double *b, int64_t n,
                  const void *bias, int64_t channels)
{
    for (int64_t i = 0; i < n; i++) {
        const double want = b[i] + (bias ? get(s->dtype, bias, i / (n / s->n / channels) % channels) : 0);
        if (get(s->dtype, a, i) != want)
            ck_abort_msg("%s: %s n %d c %d o %d groups %d image %dx%d out %dx%d kernel %dx%d stride %dx%d padding "
                         "%dx%d dilation %dx%d: "
                         "element %d is %g, not %g",
                         what, pleat_dtype_name(s->dtype), (int)s->n, (int)s->c, (int)s->o, (int)s->groups,
                         (int)s->image.h, (int)s->image.w, (int)s->out.h, (int)s->out.w, (int)s->kernel.h,
                         (int)s->kernel.w, (int)s->stride.h, (int)s->stride.w, (int)s->padding.h, (int)s->padding.w,
                         (int)s->dilation.h, (int)s->dilation.w, (int)i, get(s->dtype, a, i), want);
    }
}

static void check(const pleat_conv_shape *s)
{
    const int64_t xs = s->n * s->c * s->image.h * s->image.w, ys = s->n * s->o * s->out.h * s->out.w;
    const int64_t ws = s->o * (s->c / s->groups) * s->kernel.h * s->kernel.w;
    void *x = fresh(s->dtype, xs), *y = fresh(s->dtype, ys), *w = fresh(s->dtype, ws);
    void *rx = fresh(s->dtype, xs), *ry = fresh(s->dtype, ys), *rw = fresh(s->dtype, ws);
    void *x_bias = fresh(s->dtype, s->c), *y_bias = fresh(s->dtype, s->o), *sum = fresh(s->dtype, s->o);
    sums t = { s,
               x,
               w,
               y,
               calloc((size_t)ys + 1, sizeof(double)),
               calloc((size_t)xs + 1, sizeof(double)),
               calloc((size_t)ws + 1, sizeof(double)),
               calloc((size_t)s->o + 1, sizeof(double)) };
    naive(&t);

    ck_assert_int_eq(pleat_conv_forward(s, x, w, y_bias, ry), PLEAT_OK);
    equal(s, "forward", ry, t.y, ys, y_bias, s->o);
    ck_assert_int_eq(pleat_conv_by_data(s, y, w, x_bias, rx), PLEAT_OK);
    equal(s, "by data", rx, t.dx, xs, x_bias, s->c);
    void *totals = sum;
    ck_assert_int_eq(pleat_conv_by_weight(s, x, y, rw, &totals), PLEAT_OK);
    equal(s, "by weight", rw, t.dw, ws, NULL, 1);
    if (!totals)
        equal(s, "totals", sum, t.totals, s->o, NULL, 1);

    ck_assert_int_eq(pleat_conv_forward(s, x, w, NULL, ry), PLEAT_OK);
    ck_assert_int_eq(pleat_conv_by_data(s, y, w, NULL, rx), PLEAT_OK);
    const double product = dot(s->dtype, ry, y, ys);
    ck_assert(dot(s->dtype, rx, x, xs) == product);
    ck_assert(dot(s->dtype, rw, w, ws) == product);
    free(x), free(y), free(w), free(rx), free(ry), free(rw), free(x_bias), free(y_bias), free(sum), free(t.y),
        free(t.dx), free(t.dw), free(t.totals);
}

/* out is conv2d's; extra rows and columns of the image that no window reaches come by themselves where stride > 1. */
static pleat_conv_shape shape_of(int64_t n, int64_t c, int64_t o, int64_t groups, pleat_hw image, pleat_hw kernel,
                                 pleat_hw stride, pleat_hw padding, pleat_hw dilation)
{
    pleat_conv_shape s = { .dtype = PLEAT_F32,
                           .n = n,
                           .c = c,
                           .o = o,
                           .groups = groups,
                           .image = image,
                           .kernel = kernel,
                           .stride = stride,
                           .padding = padding,
                           .dilation = dilation };
    const int64_t h = image.h + 2 * padding.h - dilation.h * (kernel.h - 1) - 1,
                  w = image.w + 2 * padding.w - dilation.w * (kernel.w - 1) - 1;
    s.out = (pleat_hw){ h < 0 ? 0 : h / stride.h + 1, w < 0 ? 0 : w / stride.w + 1 };
    return s;
}

static void check_both(pleat_conv_shape s)
{
    s.dtype = PLEAT_F32;
    check(&s);
    s.dtype = PLEAT_F64;
    check(&s);
}

static pleat_hw pair(int64_t from, int64_t n)
{
    const int64_t h = from + random_below(n);
    return (pleat_hw){ h, from + random_below(n) };
}

START_TEST(any_shape)
{
    for (int turn = 0; turn < 400; turn++) {
        const int64_t groups = turn % 3 ? 1 : 1 + random_below(3);
        check_both(shape_of(1 + random_below(3), groups * (1 + random_below(5)),
                            groups * (1 + random_below(turn % 5 ? 6 : 40)), groups, pair(1, turn % 4 ? 9 : 20),
                            pair(1, 4), pair(1, 4), pair(0, 4), pair(1, 3)));
    }
}
END_TEST

/* The shapes of small networks, whose channels and rows fill whole tiles and leave odd ones. */
START_TEST(usual_shapes)
{
    static const int64_t widths[] = { 5, 7, 8, 14, 16, 28, 32, 33, 197 };
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        const pleat_hw image = { 6, widths[i] };
        check_both(shape_of(2, 3, 34, 1, image, (pleat_hw){ 3, 3 }, (pleat_hw){ 1, 1 }, (pleat_hw){ 1, 1 },
                            (pleat_hw){ 1, 1 }));
        check_both(shape_of(2, 17, 16, 1, image, (pleat_hw){ 3, 3 }, (pleat_hw){ 2, 2 }, (pleat_hw){ 1, 1 },
                            (pleat_hw){ 1, 1 }));
        check_both(shape_of(1, 18, 64, 2, image, (pleat_hw){ 1, 1 }, (pleat_hw){ 1, 1 }, (pleat_hw){ 0, 0 },
                            (pleat_hw){ 1, 1 }));
        check_both(shape_of(1, 6, 16, 1, image, (pleat_hw){ 5, 5 }, (pleat_hw){ 1, 1 }, (pleat_hw){ 2, 2 },
                            (pleat_hw){ 1, 1 }));
        check_both(shape_of(2, 8, 8, 8, image, (pleat_hw){ 3, 3 }, (pleat_hw){ 1, 1 }, (pleat_hw){ 1, 1 },
                            (pleat_hw){ 1, 1 }));
        check_both(shape_of(2, 8, 16, 8, image, (pleat_hw){ 3, 3 }, (pleat_hw){ 2, 1 }, (pleat_hw){ 2, 1 },
                            (pleat_hw){ 2, 1 }));
    }
}
END_TEST

/* Every channel by itself, one filter or several each: 3 x 3 with a stride of 1 half of the time. */
START_TEST(depthwise)
{
    const pleat_hw one = { 1, 1 }, three = { 3, 3 };
    for (int turn = 0; turn < 200; turn++) {
        const bool usual = turn % 2;
        const int64_t c = 1 + random_below(5), times = turn % 3 ? 1 : 1 + random_below(3);
        const pleat_hw image = { 1 + random_below(12), 1 + random_below(turn % 5 ? 40 : 70) };
        check_both(shape_of(1 + random_below(3), c, c * times, c, image, usual ? three : pair(1, 6),
                            usual ? one : pair(1, 3), pair(0, 4), turn % 4 < 3 ? one : pair(1, 3)));
    }
}
END_TEST

/* So many of them that they fill vectors, and leave some over; a large one, in bands. */
START_TEST(many_groups)
{
    for (int turn = 0; turn < 200; turn++) {
        const int64_t c = 4 + random_below(36);
        check_both(shape_of(1 + random_below(3), c, c, c, pair(1, turn % 4 ? 9 : 24), pair(1, turn % 3 ? 4 : 7),
                            pair(1, turn % 2 ? 2 : 4), pair(0, 4), turn % 4 ? (pleat_hw){ 1, 1 } : pair(1, 3)));
    }
    check_both(shape_of(1, 17, 17, 17, (pleat_hw){ 71, 93 }, (pleat_hw){ 5, 3 }, (pleat_hw){ 2, 2 }, (pleat_hw){ 2, 1 },
                        (pleat_hw){ 1, 1 }));
}
END_TEST

/* 3 x 3 windows of a channel, or to one, that keep the size and read the image where it is: every width, every
 * remainder of lines, one above and below or both missing; and a large one, in bands. */
START_TEST(results_of_the_same_size)
{
    const pleat_hw one = { 1, 1 }, three = { 3, 3 };
    for (int64_t width = 1; width < 52; width++) {
        check_both(shape_of(2, 3, 3, 3, (pleat_hw){ 1 + width % 11, width }, three, one, one, one));
        check_both(shape_of(2, 3, 1, 1, (pleat_hw){ 7 + width % 13, width }, three, one, one, one));
        check_both(shape_of(1, 1, 5, 1, (pleat_hw){ 15 + width % 19, width }, three, one, one, one));
    }
    for (int64_t width = 3; width < 16; width += 4) /* a vector of an instruction set has 4, 8 or 16 */
        check_both(shape_of(1, 3, 3, 3, (pleat_hw){ 9500, width }, three, one, one, one));
    check_both(shape_of(1, 1, 1, 1, (pleat_hw){ 601, 403 }, three, one, one, one));
    check_both(shape_of(1, 4, 1, 1, (pleat_hw){ 301, 203 }, three, one, one, one));
}
END_TEST

/* What a channel's pixels lie next to in memory does not count, nor does a row's last one for the taps on the left. */
START_TEST(channels_are_apart)
{
    for (int64_t width = 1; width < 36; width++) {
        const pleat_hw one = { 1, 1 };
        const int64_t c = 5, plane = 4 * width;
        pleat_conv_shape s = shape_of(1, c, c, c, (pleat_hw){ 4, width }, (pleat_hw){ 3, 3 }, one, one, one);
        float *x = fresh(s.dtype, c * plane), *y = fresh(s.dtype, c * plane), *w = fresh(s.dtype, c * 9);
        float sum[5], more[3 * 5 * 9];
        void *totals = sum;
        for (int64_t i = 0; i < c * plane; i++)
            x[i] = i / plane % 2 ? NAN : (float)(i % 5);
        ck_assert_int_eq(pleat_conv_forward(&s, x, w, NULL, y), PLEAT_OK);
        for (int64_t i = 0; i < c * plane; i++)
            ck_assert(!isnan(y[i]) == (i / plane % 2 == 0));
        ck_assert_int_eq(pleat_conv_by_weight(&s, x, x, w, &totals), PLEAT_OK);
        for (int64_t i = 0; i < c * 9; i++)
            ck_assert(!isnan(w[i]) || i / 9 % 2);
        for (int64_t i = 0; i < c * plane; i++) {
            y[i] = (float)(i % 7);
            x[i] = i % width == width - 1 ? NAN : (float)(i % 5);
        }
        totals = sum;
        ck_assert_int_eq(pleat_conv_by_weight(&s, x, y, w, &totals), PLEAT_OK);
        for (int64_t i = 0; i < c * 9; i += 3)
            ck_assert(!isnan(w[i]));
        for (int64_t few = 1; few < 4; few++) { /* which go over pixels */
            s = shape_of(1, c, few, 1, (pleat_hw){ 4, width }, (pleat_hw){ 3, 3 }, one, one, one);
            totals = sum;
            ck_assert_int_eq(pleat_conv_by_weight(&s, x, y, more, &totals), PLEAT_OK);
            for (int64_t i = 0; i < few * c * 9; i += 3)
                ck_assert(!isnan(more[i]));
        }
        free(x), free(y), free(w);
    }
}
END_TEST

/* Kernels of one element, as products of matrices. */
START_TEST(pointwise)
{
    const pleat_hw one = { 1, 1 }, none = { 0, 0 };
    for (int turn = 0; turn < 30; turn++) {
        const int64_t groups = turn % 3 ? 1 : 2;
        check_both(shape_of(1 + random_below(3), groups * (16 + random_below(30)), groups * (16 + random_below(60)),
                            groups, (pleat_hw){ 8, 8 + random_below(20) }, one, one, none, one));
    }
}
END_TEST

/* By data with a stride, whose phases' results are woven together; as many channels as fill vectors. */
START_TEST(strides)
{
    for (int turn = 0; turn < 60; turn++) {
        const pleat_hw image = { 1 + random_below(9), 1 + random_below(40) };
        check_both(shape_of(1 + random_below(2), 1 + random_below(40), 1 + random_below(8), 1, image, pair(1, 5),
                            pair(1, 5), pair(0, 4), pair(1, 3)));
    }
}
END_TEST

/* A few channels in or out, whose lines are long and as many as share what they read. */
START_TEST(few_channels)
{
    const pleat_hw one = { 1, 1 };
    for (int turn = 0; turn < 120; turn++) {
        const int64_t side = 1 + random_below(7);
        const pleat_hw kernel = turn % 4 ? (pleat_hw){ side, side } : pair(1, 7);
        const int64_t few = 1 + random_below(3), more = 1 + random_below(9);
        check_both(shape_of(1 + random_below(2), turn % 2 ? few : more, turn % 2 ? more : few, 1, pair(7, 34), kernel,
                            one, pair(0, 4), turn % 5 ? one : pair(1, 2)));
    }
}
END_TEST

/* More than one block of K, and sums over images in slices. */
START_TEST(long_sums)
{
    check_both(shape_of(2, 70, 20, 1, (pleat_hw){ 6, 6 }, (pleat_hw){ 3, 3 }, (pleat_hw){ 1, 1 }, (pleat_hw){ 1, 1 },
                        (pleat_hw){ 1, 1 }));
    check_both(shape_of(2, 70, 36, 1, (pleat_hw){ 9, 13 }, (pleat_hw){ 3, 3 }, (pleat_hw){ 2, 2 }, (pleat_hw){ 1, 1 },
                        (pleat_hw){ 1, 1 }));
    check_both(shape_of(20, 20, 20, 1, (pleat_hw){ 14, 14 }, (pleat_hw){ 3, 3 }, (pleat_hw){ 1, 1 }, (pleat_hw){ 1, 1 },
                        (pleat_hw){ 1, 1 }));
}
END_TEST

/* conv_transpose2d's output_padding: the image has more rows than conv2d's formula leads back to. Also windows that lie
 * off the image altogether, and kernels larger than it. */
START_TEST(images_of_any_size)
{
    for (int turn = 0; turn < 150; turn++) {
        pleat_conv_shape s = shape_of(2, 2, 3, 1, pair(1, 8), pair(1, 4), pair(1, 4), pair(0, 3), pair(1, 3));
        s.out = pair(1, 6);
        check_both(s);
    }
}
END_TEST

/* Windows that leave the image above and below, some of them altogether; half of the images no window leaves at the
 * sides. Channels fill vectors, or are few. */
START_TEST(rows_outside)
{
    const pleat_hw one = { 1, 1 };
    for (int turn = 0; turn < 80; turn++) {
        const pleat_hw kernel = { 1 + random_below(5), 1 + turn % 2 + turn / 2 % 2 * 3 }; /* none by Winograd */
        const pleat_hw padding = { random_below(8), turn % 4 < 2 ? 0 : random_below(4) };
        const int64_t c = (turn % 4 ? 8 : 2) + random_below(turn % 4 ? 40 : 5);
        pleat_conv_shape s = shape_of(1 + random_below(2), c, 16 + random_below(30), 1, pair(5, 12), kernel,
                                      turn % 3 ? one : pair(1, 3), padding, turn % 5 ? one : pair(1, 2));
        s.image.h += random_below(3); /* or fewer leave it below */
        check_both(s);
    }
    check_both(shape_of(1, 20, 17, 1, (pleat_hw){ 5, 70 }, (pleat_hw){ 3, 65 }, one, (pleat_hw){ 2, 0 }, one));
    check_both(shape_of(1, 4, 17, 1, (pleat_hw){ 5, 70 }, (pleat_hw){ 3, 65 }, one, (pleat_hw){ 2, 0 }, one));
    check_both(shape_of(1, 150, 20, 1, (pleat_hw){ 3, 9 }, (pleat_hw){ 3, 1 }, one, (pleat_hw){ 2, 0 }, one));
    pleat_conv_shape far = shape_of(1, 20, 20, 1, (pleat_hw){ 5, 16 }, (pleat_hw){ 3, 4 }, one, one, one);
    far.padding.h = (int64_t)1 << 60;
    check_both(far);
    far.padding.w = 0;
    far.out.w -= 2;
    check_both(far);
}
END_TEST

START_TEST(nothing_to_sum)
{
    const pleat_hw one = { 1, 1 }, none = { 0, 0 }, three = { 3, 3 }, image = { 5, 5 };
    check_both(shape_of(0, 2, 3, 1, image, three, one, one, one));
    check_both(shape_of(2, 0, 3, 1, image, three, one, one, one));
    check_both(shape_of(2, 3, 0, 1, image, three, one, one, one));
    check_both(shape_of(2, 3, 4, 1, (pleat_hw){ 0, 0 }, three, one, (pleat_hw){ 2, 2 }, one));
    check_both(shape_of(2, 3, 4, 1, (pleat_hw){ 2, 2 }, three, one, none, one));
}
END_TEST

START_TEST(far_padding)
{
    const int64_t far = (int64_t)1 << 60;
    pleat_conv_shape s = shape_of(1, 2, 3, 1, (pleat_hw){ 4, 4 }, (pleat_hw){ 2, 2 }, (pleat_hw){ 1, 1 },
                                  (pleat_hw){ 0, 0 }, (pleat_hw){ 1, 1 });
    s.padding.w = far;
    check_both(s);
    s.stride.w = far;
    check_both(s);
    s.dilation.w = far;
    check_both(s);
}
END_TEST

START_TEST(same_bits_on_any_number_of_threads)
{
    const pleat_hw one = { 1, 1 }, two = { 2, 2 }, three = { 3, 3 }, image = { 13, 14 };
    const pleat_conv_shape shapes[] = {
        shape_of(3, 5, 33, 1, image, three, one, one, one),
        shape_of(3, 33, 16, 1, image, three, two, one, one),
        shape_of(3, 8, 8, 8, image, three, one, one, one),
        shape_of(3, 40, 40, 40, image, three, two, one, one),
        shape_of(9, 33, 40, 1, image, one, one, (pleat_hw){ 0, 0 }, one),
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const pleat_conv_shape *s = &shapes[i];
        const int64_t sizes[] = { s->n * s->o * s->out.h * s->out.w, s->n * s->c * s->image.h * s->image.w,
                                  s->o * s->c / s->groups * s->kernel.h * s->kernel.w, s->o };
        float *y = fresh(PLEAT_F32, sizes[0]), *x = fresh(PLEAT_F32, sizes[1]), *w = fresh(PLEAT_F32, sizes[2]);
        for (int64_t k = 0; k < sizes[2]; k++)
            w[k] = (float)random_below(1000) / 997;
        for (int64_t k = 0; k < sizes[1]; k++)
            x[k] = (float)random_below(1000) / 991;
        void *results[5][4];
        for (int t = 0; t < 5; t++) {
            static const int threads[] = { 1, 2, 3, 5, 16 };
            for (int r = 0; r < 4; r++)
                results[t][r] = calloc((size_t)sizes[r], sizeof(float));
            void *totals = results[t][3];
            ck_assert_int_eq(pleat_set_threads(threads[t]), PLEAT_OK);
            pleat_parallel_limit_grain(1);
            ck_assert_int_eq(pleat_conv_forward(s, x, w, NULL, results[t][0]), PLEAT_OK);
            ck_assert_int_eq(pleat_conv_by_data(s, y, w, NULL, results[t][1]), PLEAT_OK);
            ck_assert_int_eq(pleat_conv_by_weight(s, x, y, results[t][2], &totals), PLEAT_OK);
            pleat_parallel_limit_grain(0);
            for (int r = 0; r < 4; r++)
                ck_assert(!memcmp(results[0][r], results[t][r], (size_t)sizes[r] * sizeof(float)));
        }
        for (int t = 0; t < 5; t++)
            for (int r = 0; r < 4; r++)
                free(results[t][r]);
        free(x), free(y), free(w);
    }
    pleat_set_threads(0);
}
END_TEST

START_TEST(no_memory)
{
    const pleat_hw one = { 1, 1 }, two = { 2, 2 }, three = { 3, 3 }, image = { 14, 14 };
    const pleat_conv_shape shapes[] = {
        shape_of(20, 20, 32, 1, image, three, one, one, one),
        shape_of(2, 20, 32, 1, image, three, two, one, one),
        shape_of(2, 8, 8, 8, image, three, one, one, one),
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const pleat_conv_shape *s = &shapes[i];
        float *y = fresh(PLEAT_F32, s->n * s->o * s->out.h * s->out.w),
              *x = fresh(PLEAT_F32, s->n * s->c * s->image.h * s->image.w), *w = fresh(PLEAT_F32, s->o * s->c * 9);
        for (int which = 0; which < 3; which++) {
            pleat_status status = PLEAT_ENOMEM;
            void *none = NULL;
            for (int n = 1; status; n++) {
                pleat_memory_fail_after(n);
                status = which == 0   ? pleat_conv_forward(s, x, w, NULL, y)
                         : which == 1 ? pleat_conv_by_data(s, y, w, NULL, x)
                                      : pleat_conv_by_weight(s, x, y, w, &none);
                ck_assert(status == PLEAT_OK || status == PLEAT_ENOMEM);
                ck_assert_int_eq(pleat_memory_stats().live_bytes, 0);
                pleat_error_clear();
            }
        }
        pleat_memory_fail_after(0);
        free(x), free(y), free(w);
    }
}
END_TEST

RUN_TESTS("conv", any_shape, usual_shapes, long_sums, images_of_any_size, rows_outside, nothing_to_sum, far_padding,
          depthwise, many_groups, results_of_the_same_size, channels_are_apart, pointwise, strides, few_channels,
          same_bits_on_any_number_of_threads, no_memory)
