/* Winograd convolutions in float32 against the direct ones in float64: random shapes, forward and both gradients; the
 * rounding errors that docs/numerics.md states; exact mode; the same bits for any number of threads. */
#include "conv_oracle.h"

#include "support/run.h"
#include "support/threads.h"

#include <pleat/pleat.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    int64_t n, c, o, groups;
    pleat_hw image, padding, dilation;
} shape;

enum { RESULTS = 4 };

/* y, and the gradients of sum(y g) by x, by w and by a bias of zeros. */
static void convolve(const shape *s, pleat_tensor *const in[3], pleat_tensor *out[RESULTS])
{
    pleat_tensor *x = pleat_set_requires_grad(pleat_detach(in[0]), true);
    pleat_tensor *w = pleat_set_requires_grad(pleat_detach(in[1]), true);
    pleat_tensor *b = pleat_set_requires_grad(pleat_zeros(PLEAT_SHAPE(s->o), pleat_dtype_of(w)), true);
    out[0] = pleat_conv2d(x, w, b,
                          &(pleat_conv2d_opts){ .padding = s->padding, .dilation = s->dilation, .groups = s->groups });
    ck_assert_msg(out[0] != NULL, "%s", pleat_error());
    ck_assert_ok(pleat_gradients(&out[0], 1, (pleat_tensor *[]){ x, w, b }, 3,
                                 &(pleat_gradients_opts){ .grad_outputs = (pleat_tensor *[]){ in[2] } }, out + 1));
}

static void inputs(const shape *s, pleat_tensor *in[3])
{
    const pleat_hw out = { s->image.h + 2 * (s->padding.h - s->dilation.h),
                           s->image.w + 2 * (s->padding.w - s->dilation.w) };
    const pleat_shape shapes[] = { PLEAT_SHAPE(s->n, s->c, s->image.h, s->image.w),
                                   PLEAT_SHAPE(s->o, s->c / s->groups, 3, 3), PLEAT_SHAPE(s->n, s->o, out.h, out.w) };
    for (int i = 0; i < 3; i++)
        in[i] = pleat_affine(pleat_rand(shapes[i], PLEAT_F32), 2, -1);
}

static void cast(pleat_tensor *const in[3], bool absolute, pleat_tensor *out[3])
{
    for (int i = 0; i < 3; i++) {
        out[i] = pleat_cast(in[i], PLEAT_F64);
        if (absolute)
            out[i] = pleat_abs(out[i]);
    }
}

static double largest(pleat_tensor *t)
{
    return pleat_item(pleat_amax(pleat_abs(t), (pleat_dims){ 0 }, false));
}

static double rms(pleat_tensor *t)
{
    return sqrt(pleat_item(pleat_mean(pleat_square(t))));
}

static pleat_tensor *difference(pleat_tensor *single, pleat_tensor *want)
{
    return pleat_sub(pleat_cast(single, PLEAT_F64), want);
}

/* Of the largest sum of the terms' absolute values: what float32 may lose, with tiles of 4 and of 2 pixels a side. */
static const double bound4 = 3e-6, bound2 = 6e-7;

static void check(const shape *s)
{
    const pleat_scope scope = pleat_scope_begin();
    pleat_tensor *in[3], *wide[3], *magnitude[3], *want[RESULTS], *most[RESULTS], *got[RESULTS];
    inputs(s, in);
    cast(in, false, wide);
    cast(in, true, magnitude);
    convolve(s, wide, want);
    convolve(s, magnitude, most);
    for (int exact = 0; exact < 2; exact++) {
        pleat_conv_set_exact(exact);
        convolve(s, in, got);
        for (int i = 0; i < RESULTS; i++) {
            const double off = largest(difference(got[i], want[i])),
                         limit = largest(most[i]) * (exact ? bound2 : bound4);
            ck_assert_msg(off <= limit,
                          "%s, n %d c %d o %d groups %d image %dx%d padding %dx%d dilation %dx%d, exact %d: "
                          "off by %g, allowed %g",
                          (const char *[]){ "forward", "by data", "by weight", "by bias" }[i], (int)s->n, (int)s->c,
                          (int)s->o, (int)s->groups, (int)s->image.h, (int)s->image.w, (int)s->padding.h,
                          (int)s->padding.w, (int)s->dilation.h, (int)s->dilation.w, exact, off, limit);
        }
    }
    pleat_conv_set_exact(false);
    pleat_scope_end(scope);
}

static int64_t below(int64_t n)
{
    return (int64_t)pleat_item(pleat_randint(0, n, PLEAT_SHAPE()));
}

START_TEST(any_shape)
{
    pleat_seed(1);
    for (int turn = 0; turn < 60; turn++) {
        const int64_t groups = turn % 4 ? 1 : 2;
        check(&(shape){ 1 + below(3),
                        groups * (16 + below(30)),
                        groups * (16 + below(40)),
                        groups,
                        { 5 + below(18), 5 + below(22) },
                        { below(4), below(4) },
                        { 1, 1 } });
    }
    check(&(shape){ 1, 180, 170, 1, { 9, 30 }, { 1, 1 }, { 1, 1 } });  /* kernels larger than a stage */
    check(&(shape){ 6, 180, 170, 1, { 14, 14 }, { 1, 1 }, { 1, 1 } }); /* of which several parts are multiplied */
    check(&(shape){ 40, 32, 32, 1, { 8, 8 }, { 1, 1 }, { 1, 1 } });    /* several images to a block */
    check(&(shape){ 1, 16, 16, 1, { 70, 130 }, { 1, 1 }, { 1, 1 } });
}
END_TEST

/* Phases of different sizes, which are cut off, have fewer tiles than others or none, or read nothing but padding. */
START_TEST(dilated)
{
    pleat_seed(6);
    for (int turn = 0; turn < 40; turn++) {
        const int64_t groups = turn % 4 ? 1 : 2;
        const pleat_hw d = { 1 + below(5), 1 + below(5) };
        check(&(shape){ 1 + below(3),
                        groups * (16 + below(20)),
                        groups * (16 + below(24)),
                        groups,
                        { 3 * d.h + below(20), 3 * d.w + below(24) },
                        { below(2 * d.h + 2), below(2 * d.w + 2) },
                        d });
    }
    check(&(shape){ 1, 180, 170, 1, { 21, 30 }, { 2, 4 }, { 2, 4 } }); /* kernels larger than a stage */
    check(&(shape){ 6, 180, 170, 1, { 14, 14 }, { 2, 2 }, { 2, 2 } });
    check(&(shape){ 40, 32, 32, 1, { 9, 8 }, { 2, 2 }, { 2, 2 } }); /* several images to a block */
    check(&(shape){ 1, 16, 16, 1, { 70, 130 }, { 9, 7 }, { 9, 7 } });
    check(&(shape){ 2, 24, 40, 1, { 20, 33 }, { 0, 3 }, { 1, 3 } });
    check(&(shape){ 2, 24, 40, 1, { 33, 20 }, { 3, 0 }, { 3, 1 } });
    check(&(shape){ 1, 1100, 32, 1, { 33, 33 }, { 12, 12 }, { 12, 12 } }); /* windows that span much */
    check(&(shape){ 1, 32, 32, 1, { 3, 3 }, { 6, 6 }, { 6, 6 } });         /* most phases lie off the image */
}
END_TEST

/* Against loops, with a bias. */
START_TEST(dilated_by_loops)
{
    pleat_seed(7);
    for (int turn = 0; turn < 16; turn++) {
        const pleat_scope scope = pleat_scope_begin();
        const pleat_hw d = { 1 + below(4), 1 + below(4) }, image = { 2 * d.h + 3 + below(14), 2 * d.w + 3 + below(14) };
        const shape s = { 1, 20, 24, 1, image, { below(2 * d.h + 1), below(2 * d.w + 1) }, d };
        const oracle_opts f = { { 1, 1 }, s.padding, d, 1 };
        const pleat_conv2d_opts opts = { .padding = s.padding, .dilation = d };
        pleat_tensor *in[3];
        inputs(&s, in);
        const oracle_sizes z = { 1, s.c, image.h, image.w, s.o, 3, 3, pleat_size(in[2], 2), pleat_size(in[2], 3) };
        pleat_tensor *bias = pleat_rand(PLEAT_SHAPE(s.o), PLEAT_F32), *grad[2];
        pleat_set_requires_grad(in[0], true);
        pleat_set_requires_grad(in[1], true);
        pleat_conv_set_exact(turn % 2);
        pleat_tensor *y = pleat_conv2d(in[0], in[1], bias, &opts);
        ck_assert_ok(pleat_gradients(&y, 1, in, 2,
                                     &(pleat_gradients_opts){ .grad_outputs = (pleat_tensor *[]){ in[2] } }, grad));
        pleat_conv_set_exact(false);
        oracle_compare("conv2d", y, &z, &f, in[0], in[1], NULL, bias);
        oracle_compare("gradient by x", grad[0], &z, &f, NULL, in[1], in[2], NULL);
        oracle_compare("gradient by weight", grad[1], &z, &f, in[0], NULL, in[2], NULL);
        pleat_scope_end(scope);
    }
}
END_TEST

/* The errors that are stated, relative to the largest and the root mean square of the results, and that exact mode
 * takes another way. */
START_TEST(errors)
{
    pleat_seed(2);
    for (int64_t c = 16; c <= 256; c *= 2) {
        const pleat_scope scope = pleat_scope_begin();
        const shape s = { 1, c, c, 1, { 16, 16 }, { 1, 1 }, { 1, 1 } };
        pleat_tensor *in[3], *wide[3], *want[RESULTS], *got[2][RESULTS];
        inputs(&s, in);
        cast(in, false, wide);
        convolve(&s, wide, want);
        for (int exact = 0; exact < 2; exact++) {
            pleat_conv_set_exact(exact);
            convolve(&s, in, got[exact]);
        }
        pleat_conv_set_exact(false);
        for (int i = 0; i < 3; i++) {
            static const char *const names[] = { "forward", "by data", "by weight" };
            double relative[2][2];
            for (int exact = 0; exact < 2; exact++) {
                pleat_tensor *off = difference(got[exact][i], want[i]);
                relative[exact][0] = rms(off) / rms(want[i]);
                relative[exact][1] = largest(off) / largest(want[i]);
            }
            printf("%3d channels, %-9s rms %.1e max %.1e; exact: rms %.1e max %.1e\n", (int)c, names[i], relative[0][0],
                   relative[0][1], relative[1][0], relative[1][1]);
            ck_assert(relative[0][0] < 6e-6 && relative[0][1] < 2e-5);
            ck_assert(relative[1][0] < 1.5e-6 && relative[1][1] < 4e-6);
        }
        if (c > 16 && !getenv("PLEAT_CONV_ALGO"))
            ck_assert(!pleat_equal(got[0][0], got[1][0]));
        pleat_scope_end(scope);
    }
}
END_TEST

/* The gradient by the weight is a sum over all tiles of all images: its error must not grow with them as a plain chain
 * of additions' would. */
START_TEST(many_images)
{
    pleat_seed(4);
    const shape s = { 48, 16, 32, 1, { 20, 20 }, { 1, 1 }, { 1, 1 } };
    pleat_tensor *in[3], *wide[3], *want[RESULTS], *got[RESULTS];
    inputs(&s, in);
    cast(in, false, wide);
    convolve(&s, wide, want);
    for (int exact = 0; exact < 2; exact++) {
        pleat_conv_set_exact(exact);
        convolve(&s, in, got);
        const double off = rms(difference(got[2], want[2])) / rms(want[2]);
        ck_assert_msg(off < (exact ? 8e-7 : 3e-6), "exact %d: %g", exact, off);
    }
    pleat_conv_set_exact(false);
}
END_TEST

/* What is no number stays within the tiles that read it. */
START_TEST(not_finite)
{
    const float bad[] = { NAN, INFINITY, -INFINITY };
    for (int k = 0; k < 3; k++) {
        pleat_seed(5);
        pleat_tensor *x = pleat_rand(PLEAT_SHAPE(1, 32, 12, 12), PLEAT_F32);
        pleat_tensor *w = pleat_rand(PLEAT_SHAPE(32, 32, 3, 3), PLEAT_F32);
        ((float *)pleat_data_mut(x))[7 * 144 + 5 * 12 + 6] = bad[k];
        pleat_tensor *y = pleat_conv2d(x, w, NULL, &(pleat_conv2d_opts){ .padding = { 1, 1 } });
        for (int64_t i = 0; i < 32 * 144; i++) {
            const int64_t row = i / 12 % 12, column = i % 12;
            const float v = pleat_data_f32(y)[i];
            if (row >= 4 && row <= 6 && column >= 5 && column <= 7)
                ck_assert(!isfinite(v));
            else if (row < 4 || row > 7 || column < 4 || column > 7)
                ck_assert(isfinite(v));
        }
    }
}
END_TEST

static pleat_tensor *all(void *user)
{
    const shape *s = user;
    pleat_tensor *in[3], *out[RESULTS];
    pleat_seed(3);
    inputs(s, in);
    convolve(s, in, out);
    for (int i = 0; i < RESULTS; i++)
        out[i] = pleat_flatten(out[i], 0, -1);
    return pleat_cat(out, RESULTS, 0);
}

START_TEST(any_threads)
{
    shape shapes[] = { { 3, 32, 40, 1, { 28, 28 }, { 1, 1 }, { 1, 1 } },
                       { 2, 180, 170, 1, { 13, 13 }, { 1, 1 }, { 1, 1 } },
                       { 9, 64, 64, 2, { 8, 8 }, { 0, 2 }, { 1, 1 } },
                       { 3, 32, 40, 1, { 29, 30 }, { 2, 4 }, { 2, 4 } } };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        same_for_any_threads(all, &shapes[i]);
}
END_TEST

START_TEST(exact_mode)
{
    ck_assert(!pleat_conv_exact());
    pleat_conv_set_exact(true);
    ck_assert(pleat_conv_exact());
    pleat_conv_set_exact(false);
    ck_assert(!pleat_conv_exact());
}
END_TEST

/* Products of small integers add up without rounding, but where spectra were multiplied. */
START_TEST(exact_mode_leaves_the_fft_out)
{
    const pleat_scope scope = pleat_scope_begin();
    const pleat_conv2d_opts opts = { .padding = { 5, 5 } };
    pleat_tensor *x = pleat_cast(pleat_randint(-9, 9, PLEAT_SHAPE(4, 16, 40, 40)), PLEAT_F32);
    pleat_tensor *w = pleat_cast(pleat_randint(-9, 9, PLEAT_SHAPE(16, 16, 11, 11)), PLEAT_F32);
    pleat_tensor *fast = pleat_conv2d(x, w, NULL, &opts);
    pleat_conv_set_exact(true);
    pleat_tensor *exact = pleat_conv2d(x, w, NULL, &opts);
    pleat_conv_set_exact(false);
    ck_assert(pleat_equal(exact, pleat_round(exact)));
    ck_assert(!pleat_equal(fast, pleat_round(fast)));
    ck_assert(pleat_equal(exact, pleat_round(fast)));
    pleat_scope_end(scope);
}
END_TEST

RUN_TESTS("winograd", any_shape, dilated, dilated_by_loops, errors, many_images, not_finite, any_threads, exact_mode,
          exact_mode_leaves_the_fft_out)
