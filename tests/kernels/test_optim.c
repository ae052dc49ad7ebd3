/* What the optimizers' kernels make of moments too small to count; their steps are held against PyTorch's in
 * nn/test_optim.c. */
#include "kernels/optim.h"

#include "support/run.h"

#include <float.h>
#include <math.h>

enum { N = 37 };

START_TEST(faded_moments_become_zero)
{
    float p[N], m[N], v[N], g[N] = { 0 };
    for (int i = 0; i < N; i++) {
        p[i] = 1;
        m[i] = i % 2 ? -FLT_MIN : FLT_MIN;
        v[i] = i % 3 ? FLT_MIN : 1;
    }
    const pleat_adam_work adam = {
        .p = p, .m = m, .v = v, .g = g, .shrink = 1, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .step = 1e-3, .root = 1
    };
    pleat_kernels_get()->optim->adam_f32(&adam, 0, N);
    for (int i = 0; i < N; i++) {
        ck_assert(p[i] == 1);
        ck_assert(m[i] == 0);
        ck_assert(v[i] == (i % 3 ? 0 : 0.99F));
    }

    double q[N], w[N], h[N] = { 0 };
    for (int i = 0; i < N; i++) {
        q[i] = 1;
        w[i] = i % 2 ? -DBL_MIN : i % 3 ? DBL_MIN : 1;
    }
    const pleat_sgd_work sgd = { .p = q, .v = w, .g = h, .lr = 1, .momentum = 0.5 };
    pleat_kernels_get()->optim->sgd_f64(&sgd, 0, N);
    for (int i = 0; i < N; i++)
        ck_assert(w[i] == (i % 2 || i % 3 ? 0 : 0.5) && q[i] == 1 - w[i]);
}
END_TEST

START_TEST(a_moment_that_is_no_number_stays)
{
    float p[N], v[N], g[N] = { 0 };
    for (int i = 0; i < N; i++) {
        p[i] = 1;
        v[i] = i == 20 ? (float)NAN : 1;
    }
    const pleat_sgd_work sgd = { .p = p, .v = v, .g = g, .lr = 1, .momentum = 0.5 };
    pleat_kernels_get()->optim->sgd_f32(&sgd, 0, N);
    for (int i = 0; i < N; i++)
        ck_assert(i == 20 ? isnan(v[i]) && isnan(p[i]) : v[i] == 0.5F && p[i] == 0.5F);
}
END_TEST

RUN_TESTS("optimizers' kernels", faded_moments_become_zero, a_moment_that_is_no_number_stays)
