/* conv2d and conv_transpose2d against PyTorch: results, gradients, and the gradients of a gradient penalty, over the
 * configurations that make_conv.py drew. Everything is made of small integers and exact in float64; the tolerance is
 * for algorithms that transform their inputs (Winograd). */
#include "support/run.h"

#include <pleat/pleat.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define COUNT 240

typedef struct {
    int64_t n, c, h, w, o, kh, kw, sh, sw, ph, pw, dh, dw, eh, ew, groups, bias, unbatched;
} config;

/* The script's hash. */
static pleat_tensor *hashed(uint32_t seed, pleat_shape shape, pleat_dtype dtype)
{
    pleat_tensor *t = pleat_empty(shape, PLEAT_F64);
    double *to = pleat_data_mut(t);
    for (int64_t i = 0; i < pleat_numel(t); i++) {
        uint32_t h = (uint32_t)(i + 1) * 2654435761u + (seed + 1) * 2246822519u;
        h ^= h >> 15;
        h *= 0x2C1B3C6Du;
        h ^= h >> 12;
        to[i] = (double)(h % 9) - 4;
    }
    return pleat_set_requires_grad(pleat_detach(pleat_cast(t, dtype)), true);
}

static bool read_config(FILE *file, config *c)
{
    int64_t *const field[] = { &c->n,  &c->c,  &c->h,  &c->w,  &c->o,  &c->kh, &c->kw,     &c->sh,   &c->sw,
                               &c->ph, &c->pw, &c->dh, &c->dw, &c->eh, &c->ew, &c->groups, &c->bias, &c->unbatched };
    for (size_t i = 0; i < sizeof field / sizeof *field; i++)
        if (fscanf(file, "%" SCNd64, field[i]) != 1)
            return false;
    return true;
}

/* The file's next line: a label, a count, the numbers. */
static void compare(FILE *file, const char *label, pleat_tensor *got, double tolerance, int number)
{
    char name[8];
    int64_t count;
    ck_assert_int_eq(fscanf(file, "%7s%" SCNd64, name, &count), 2);
    ck_assert_str_eq(name, label);
    got = got ? pleat_contiguous(got) : NULL;
    ck_assert_msg(pleat_error_code() == PLEAT_OK, "configuration %d: %s", number, pleat_error());
    ck_assert_msg(pleat_numel(got) == count, "configuration %d: %s has %lld elements, not %lld", number, label,
                  (long long)pleat_numel(got), (long long)count);
    for (int64_t i = 0; i < count; i++) {
        double want;
        ck_assert_int_eq(fscanf(file, "%lf", &want), 1);
        const double value = pleat_dtype_of(got) == PLEAT_F64 ? pleat_data_f64(got)[i] : (double)pleat_data_f32(got)[i];
        ck_assert_msg(fabs(value - want) <= tolerance * fmax(1, fabs(want)),
                      "configuration %d: %s[%d] is %.17g, not %g", number, label, (int)i, value, want);
    }
}

static void run(const char *path, bool transposed, pleat_dtype dtype, double tolerance)
{
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s is not there", path);
    ck_assert_ok(pleat_set_threads(1)); /* thousands of small calls: other tests see to the threads */
    char comment[128];
    ck_assert_ptr_nonnull(fgets(comment, sizeof comment, file));
    config c;
    int number = 0;
    for (; read_config(file, &c); number++) {
        const pleat_scope scope = pleat_scope_begin();
        const int64_t first = transposed ? c.c : c.o, second = (transposed ? c.o : c.c) / c.groups;
        pleat_tensor *x = hashed(1, c.unbatched ? PLEAT_SHAPE(c.c, c.h, c.w) : PLEAT_SHAPE(c.n, c.c, c.h, c.w), dtype);
        pleat_tensor *weight = hashed(2, PLEAT_SHAPE(first, second, c.kh, c.kw), dtype);
        pleat_tensor *bias = c.bias ? hashed(3, PLEAT_SHAPE(c.o), dtype) : NULL;
        const pleat_hw stride = { c.sh, c.sw }, padding = { c.ph, c.pw }, dilation = { c.dh, c.dw };
        pleat_tensor *y =
            transposed
                ? pleat_conv_transpose2d(x, weight, bias,
                                         &(pleat_conv_transpose2d_opts){ .stride = stride,
                                                                         .padding = padding,
                                                                         .output_padding = { c.eh, c.ew },
                                                                         .dilation = dilation,
                                                                         .groups = c.groups })
                : pleat_conv2d(x, weight, bias,
                               &(pleat_conv2d_opts){
                                   .stride = stride, .padding = padding, .dilation = dilation, .groups = c.groups });
        ck_assert_msg(y != NULL, "configuration %d: %s", number, pleat_error());
        compare(file, "y", y, tolerance, number);

        pleat_tensor *r = hashed(4, pleat_shape_of(y), dtype), *loss = pleat_sum(pleat_mul(y, r));
        pleat_tensor *by[] = { x, weight, bias }, *grad[3] = { 0 };
        const pleat_gradients_opts record = { .record = true };
        ck_assert_ok(pleat_gradients(&loss, 1, by, c.bias ? 3 : 2, &record, grad));
        compare(file, "gx", grad[0], tolerance, number);
        compare(file, "gw", grad[1], tolerance, number);
        compare(file, "gb", grad[2], tolerance, number);

        pleat_tensor *penalty =
            pleat_add(pleat_sum(pleat_mul(grad[0], grad[0])), pleat_sum(pleat_mul(grad[1], grad[1])));
        pleat_tensor *again[] = { x, weight, r };
        ck_assert_ok(pleat_gradients(&penalty, 1, again, 3, NULL, grad));
        compare(file, "px", grad[0], tolerance, number);
        compare(file, "pw", grad[1], tolerance, number);
        compare(file, "pr", grad[2], tolerance, number);
        pleat_scope_end(scope);
    }
    fclose(file);
    ck_assert_int_eq(number, COUNT);
}

START_TEST(conv2d)
{
    run(PLEAT_TEST_DIR "/golden/conv2d.txt", false, PLEAT_F64, 1e-10);
    run(PLEAT_TEST_DIR "/golden/conv2d.txt", false, PLEAT_F32, 2e-5);
}
END_TEST

START_TEST(conv_transpose2d)
{
    run(PLEAT_TEST_DIR "/golden/conv_transpose2d.txt", true, PLEAT_F64, 1e-10);
    run(PLEAT_TEST_DIR "/golden/conv_transpose2d.txt", true, PLEAT_F32, 2e-5);
}
END_TEST

RUN_TESTS("convolutions against PyTorch", conv2d, conv_transpose2d)
