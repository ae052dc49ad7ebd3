/* unfold and fold: against their formulas, each as the other's adjoint and not as its inverse; sizes; refusals. */
#include "support/run.h"
#include "support/views.h"

#include <math.h>
#include <string.h>

#define WINDOW(...) (&(pleat_window){ __VA_ARGS__ })

/* PyTorch's grid of kernels, dilations, paddings and strides. */
enum { GRID = 4 * 3 * 3 * 3 };
static pleat_window grid(int i)
{
    static const pleat_hw kernels[] = { { 2, 2 }, { 2, 3 }, { 3, 3 }, { 1, 4 } },
                          dilations[] = { { 1, 1 }, { 2, 2 }, { 1, 2 } }, paddings[] = { { 0, 0 }, { 1, 1 }, { 1, 2 } },
                          strides[] = { { 1, 1 }, { 2, 2 }, { 1, 3 } };
    return (pleat_window){ .kernel = kernels[i % 4],
                           .dilation = dilations[i / 4 % 3],
                           .padding = paddings[i / 12 % 3],
                           .stride = strides[i / 36 % 3] };
}

/* out[n, (c KH + i) KW + j, l] = x[n, c, y SH + i DH - PH, x SW + j DW - PW] */
START_TEST(unfold_is_the_formula)
{
    for (int g = 0; g < GRID; g++)
        for (int kind = 0; kind < VIEW_KINDS; kind++) {
            const pleat_scope scope = pleat_scope_begin();
            const pleat_window w = grid(g);
            const int64_t n = kind % 3, c = 1 + kind % 2, h = 6, v = 7;
            const pleat_dtype dtype = g % 2 ? PLEAT_F32 : PLEAT_F64;
            pleat_tensor *x = random_view(PLEAT_SHAPE(n, c, h, v), dtype, kind), *y = pleat_unfold(x, &w);
            const pleat_hw places = pleat_window_output_size((pleat_hw){ h, v }, &w);
            const int64_t taps = w.kernel.h * w.kernel.w, l = places.h * places.w;
            ck_assert(pleat_shape_equal(pleat_shape_of(y), PLEAT_SHAPE(n, c * taps, l)));
            for (int64_t e = 0; e < pleat_numel(y); e++) {
                const int64_t place = e % l, tap = e / l % taps, plane = e / l / taps;
                const int64_t r = place / places.w * w.stride.h + tap / w.kernel.w * w.dilation.h - w.padding.h;
                const int64_t s = place % places.w * w.stride.w + tap % w.kernel.w * w.dilation.w - w.padding.w;
                const double want =
                    r < 0 || r >= h || s < 0 || s >= v ? 0 : element(x, pleat_shape_of(x), (plane * h + r) * v + s);
                ck_assert(element(y, pleat_shape_of(y), e) == want);
            }
            if (n > 0) {
                pleat_tensor *one = pleat_unfold(pleat_select(x, 0, 0), &w);
                ck_assert(pleat_equal(one, pleat_clone(pleat_select(y, 0, 0))));
            }
            pleat_scope_end(scope);
        }
}
END_TEST

/* <unfold(x), y> = <x, fold(y)>; and both are each other's gradient. */
START_TEST(adjoints)
{
    for (int g = 0; g < GRID; g++) {
        const pleat_scope scope = pleat_scope_begin();
        const pleat_window w = grid(g);
        pleat_tensor *x = pleat_set_requires_grad(pleat_randn(PLEAT_SHAPE(2, 3, 6, 7), PLEAT_F64), true), *grad;
        pleat_tensor *u = pleat_unfold(x, &w), *y = pleat_randn(pleat_shape_of(u), PLEAT_F64);
        pleat_set_requires_grad(y, true);
        pleat_tensor *f = pleat_fold(y, (pleat_hw){ 6, 7 }, &w);
        ck_assert_double_eq_tol(pleat_item(pleat_sum(pleat_mul(u, y))), pleat_item(pleat_sum(pleat_mul(x, f))), 1e-10);
        ck_assert_ok(pleat_gradients(&u, 1, &x, 1, &(pleat_gradients_opts){ .grad_outputs = &y }, &grad));
        ck_assert(pleat_equal(grad, pleat_detach(f)));
        ck_assert_ok(pleat_gradients(&f, 1, &y, 1, &(pleat_gradients_opts){ .grad_outputs = &x }, &grad));
        ck_assert(pleat_equal(grad, pleat_detach(u)));
        pleat_scope_end(scope);
    }
}
END_TEST

/* fold(unfold(x)) counts each pixel as often as windows read it: an inverse only where they neither overlap nor leave
 * any out. */
START_TEST(not_inverses)
{
    pleat_tensor *x = pleat_randn(PLEAT_SHAPE(1, 2, 6, 7), PLEAT_F64),
                 *ones = pleat_ones(PLEAT_SHAPE(1, 2, 6, 7), PLEAT_F64);
    const pleat_hw size = { 6, 7 };
    for (int g = 0; g < GRID; g++) {
        const pleat_window w = grid(g);
        pleat_tensor *times = pleat_fold(pleat_unfold(ones, &w), size, &w);
        pleat_tensor *back = pleat_fold(pleat_unfold(x, &w), size, &w);
        ck_assert(pleat_allclose(back, pleat_mul(x, times), 1e-12, 1e-12));
    }
    const pleat_window overlapping = { .kernel = { 2, 2 } }, tiles = { .kernel = { 2, 7 }, .stride = { 2, 7 } };
    ck_assert(!pleat_allclose(pleat_fold(pleat_unfold(x, &overlapping), size, &overlapping), x, 1e-3, 1e-3));
    ck_assert(pleat_equal(pleat_fold(pleat_unfold(x, &tiles), size, &tiles), x));
    pleat_tensor *columns = pleat_randn(PLEAT_SHAPE(1, 4, 30), PLEAT_F64);
    ck_assert(
        !pleat_allclose(pleat_unfold(pleat_fold(columns, size, &overlapping), &overlapping), columns, 1e-3, 1e-3));
}
END_TEST

/* PyTorch's module test of Fold: output (3, 3), kernel (2, 2). */
START_TEST(fold_sums_what_meets)
{
    for (int batched = 0; batched < 2; batched++) {
        pleat_tensor *columns = pleat_ones(batched ? PLEAT_SHAPE(2, 16, 4) : PLEAT_SHAPE(16, 4), PLEAT_F32);
        pleat_tensor *image = pleat_fold(columns, (pleat_hw){ 3, 3 }, WINDOW(.kernel = { 2, 2 }));
        ck_assert(pleat_shape_equal(pleat_shape_of(image), batched ? PLEAT_SHAPE(2, 4, 3, 3) : PLEAT_SHAPE(4, 3, 3)));
        const float want[] = { 1, 2, 1, 2, 4, 2, 1, 2, 1 };
        for (int64_t i = 0; i < pleat_numel(image); i++)
            ck_assert(pleat_data_f32(image)[i] == want[i % 9]);
    }
}
END_TEST

START_TEST(sizes)
{
    const pleat_hw a =
        pleat_window_output_size((pleat_hw){ 768, 1024 }, WINDOW(.kernel = { 2, 2 }, .padding = { 2, 2 }));
    ck_assert(a.h == 771 && a.w == 1027);
    const pleat_hw b = pleat_window_output_size((pleat_hw){ 6, 6 }, WINDOW(.kernel = { 3, 3 }));
    ck_assert(b.h == 4 && b.w == 4);
    const pleat_hw c = pleat_window_output_size((pleat_hw){ 2, 2 }, WINDOW(.kernel = { 3, 3 }));
    ck_assert(c.h == -1 && c.w == -1 && pleat_check() == PLEAT_ESHAPE);
    ck_assert_failed(PLEAT_ESHAPE, "window_output_size: kernel (3, 3)");
    ck_assert_int_eq(pleat_window_output_size((pleat_hw){ 2, 2 }, NULL).h, -1);
    ck_assert(pleat_check() == PLEAT_EINVAL);
}
END_TEST

START_TEST(refusals)
{
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(1, 2, 5, 5), PLEAT_F32);
    const int64_t huge = INT64_C(1) << 62, large = INT64_C(1) << 32;
    const struct {
        pleat_window window;
        pleat_status code;
        const char *words;
    } windows[] = {
        { { .kernel = { 0, 3 } }, PLEAT_EINVAL, "kernel (0, 3)" },
        { { .kernel = { 3, -1 } }, PLEAT_EINVAL, "kernel (3, -1)" },
        { { .kernel = { 2, 2 }, .stride = { 2, 0 } }, PLEAT_EINVAL, "stride (2, 0)" },
        { { .kernel = { 2, 2 }, .stride = { -1, -1 } }, PLEAT_EINVAL, "stride (-1, -1)" },
        { { .kernel = { 2, 2 }, .dilation = { 0, 1 } }, PLEAT_EINVAL, "dilation (0, 1)" },
        { { .kernel = { 2, 2 }, .padding = { -1, 0 } }, PLEAT_EINVAL, "padding (-1, 0)" },
        { { .kernel = { 6, 2 } }, PLEAT_ESHAPE, "covers (6, 2), the image (5, 5)" },
        { { .kernel = { 2, 3 }, .dilation = { 1, 3 } }, PLEAT_ESHAPE, "covers (2, 7)" },
        { { .kernel = { large, large } }, PLEAT_ESHAPE, "unfold: kernel" },
        { { .kernel = { large, large }, .padding = { large, large } }, PLEAT_ESHAPE, "too many elements" },
        { { .kernel = { 2, 2 }, .padding = { huge, huge } }, PLEAT_ESHAPE, "too large" },
        { { .kernel = { 3, 3 }, .dilation = { huge, huge } }, PLEAT_ESHAPE, "too large" },
    };
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        ck_assert_ptr_null(pleat_unfold(x, &windows[i].window));
        ck_assert(strncmp(pleat_error(), "unfold: ", 8) == 0);
        ck_assert_failed(windows[i].code, windows[i].words);
        ck_assert_ptr_null(
            pleat_fold(pleat_ones(PLEAT_SHAPE(8, 16), PLEAT_F32), (pleat_hw){ 5, 5 }, &windows[i].window));
        ck_assert(strncmp(pleat_error(), "fold: ", 6) == 0);
        ck_assert(pleat_check() != PLEAT_OK);
    }
    ck_assert_ptr_null(pleat_unfold(x, NULL));
    ck_assert_failed(PLEAT_EINVAL, "kernel (0, 0)");
    ck_assert_ptr_null(pleat_unfold(pleat_ones(PLEAT_SHAPE(5, 5), PLEAT_F32), WINDOW(.kernel = { 2, 2 })));
    ck_assert_failed(PLEAT_ESHAPE, "input (5, 5) must be (N, C, H, W) or (C, H, W)");
    ck_assert_ptr_null(pleat_unfold(pleat_ones(PLEAT_SHAPE(1, 2, 5, 5), PLEAT_I64), WINDOW(.kernel = { 2, 2 })));
    ck_assert_failed(PLEAT_EDTYPE, "int64");

    const pleat_window w = { .kernel = { 2, 2 } };
    const pleat_hw size = { 4, 4 };
    ck_assert_ptr_null(pleat_fold(pleat_ones(PLEAT_SHAPE(1, 5, 9), PLEAT_F32), size, &w));
    ck_assert_failed(PLEAT_ESHAPE, "fold: columns (1, 5, 9) have 5 rows, which kernel (2, 2) does not divide");
    ck_assert_ptr_null(pleat_fold(pleat_ones(PLEAT_SHAPE(1, 4, 8), PLEAT_F32), size, &w));
    ck_assert_failed(PLEAT_ESHAPE, "are 8, where kernel (2, 2) fits on size (4, 4) at (3, 3) places");
    ck_assert_ptr_null(pleat_fold(pleat_ones(PLEAT_SHAPE(1, 1, 4, 9), PLEAT_F32), size, &w));
    ck_assert_failed(PLEAT_ESHAPE, "must be (N, C KH KW, L)");
    ck_assert_ptr_null(pleat_fold(pleat_ones(PLEAT_SHAPE(4, 9), PLEAT_F32), (pleat_hw){ 0, 4 }, &w));
    ck_assert_failed(PLEAT_EINVAL, "size (0, 4)");
}
END_TEST

RUN_TESTS("unfold and fold", unfold_is_the_formula, adjoints, not_inverses, fold_sums_what_meets, sizes, refusals)
