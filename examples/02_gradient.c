/* Gradients: what the tape records, what backward gives, a function minimised, a second derivative.
 *
 *   ./02_gradient */
#include <math.h>
#include <pleat/pleat.h>
#include <stdio.h>

/* y = sum(x^3), whose gradient is 3 x^2. */
static pleat_tensor *cubes(pleat_tensor *const *in, void *user)
{
    (void)user;
    return pleat_sum(pleat_pow(in[0], 3));
}

int main(void)
{
    bool ok = true;
    pleat_scope scope = pleat_scope_begin();

    /* A tensor that requires a gradient: the ops that use it are recorded from here on. */
    const double start[] = { 1, 2, -3 };
    pleat_tensor *x = pleat_set_requires_grad(pleat_from_data(start, PLEAT_SHAPE(3), PLEAT_F64), true);
    pleat_tensor *y = cubes(&x, NULL);
    printf("y = sum(x^3) at (1, 2, -3) is %g; the tape holds %d calls\n", pleat_item(y), (int)pleat_tape_length());

    /* Backward walks the tape from y to its leaves and adds to their gradients. The record is spent then. */
    ok &= pleat_backward(y) == PLEAT_OK;
    const double *g = pleat_data_f64(pleat_grad(x));
    if (!g) {
        fprintf(stderr, "%s\n", pleat_error());
        return 1;
    }
    printf("dy/dx is (%g, %g, %g): 3 x^2\n\n", g[0], g[1], g[2]);
    ok &= g[0] == 3 && g[1] == 12 && g[2] == 27;

    /* Is a gradient right? Ask finite differences. This is the first thing to do with an op or a module of your own. */
    const bool right = pleat_gradcheck(cubes, NULL, &x, 1, NULL) == PLEAT_OK;
    printf("finite differences %s\n\n", right ? "agree" : pleat_error());

    /* Derivatives can be differentiated: record the gradient, then take it from there. */
    pleat_tensor *slope = NULL, *curvature = NULL;
    y = cubes(&x, NULL);
    ok &= pleat_gradients(&y, 1, &x, 1, &(pleat_gradients_opts){ .record = true }, &slope) == PLEAT_OK;
    pleat_tensor *total = pleat_sum(slope);
    ok &= pleat_gradients(&total, 1, &x, 1, NULL, &curvature) == PLEAT_OK;
    for (int64_t i = 0; i < 3; i++)
        ok &= pleat_at(curvature, &i) == 6 * start[i];
    printf("the second derivative at 2 is %g: 6 x\n\n", pleat_at(curvature, (int64_t[]){ 1 }));
    pleat_scope_end(scope);

    /* Gradient descent on a line through noisy points, y = 3 x - 1. Each step has a scope of its own, which frees all
     * that the step made; the two parameters are retained, as they live on. */
    scope = pleat_scope_begin();
    pleat_seed(1);
    pleat_tensor *px = pleat_rand(PLEAT_SHAPE(100), PLEAT_F32);
    pleat_tensor *noise = pleat_randn(PLEAT_SHAPE(100), PLEAT_F32);
    pleat_tensor *py = pleat_add(pleat_affine(px, 3, -1), pleat_mul_scalar(noise, 0.05));
    pleat_tensor *w = pleat_set_requires_grad(pleat_scalar(0, PLEAT_F32), true);
    pleat_tensor *b = pleat_set_requires_grad(pleat_scalar(0, PLEAT_F32), true);
    for (int step = 0; step <= 300; step++) {
        pleat_scope inner = pleat_scope_begin();
        pleat_tensor *error = pleat_sub(pleat_add(pleat_mul(px, w), b), py);
        pleat_tensor *loss = pleat_mean(pleat_mul(error, error));
        if (pleat_backward(loss) != PLEAT_OK) {
            fprintf(stderr, "%s\n", pleat_error());
            return 1;
        }
        if (step % 100 == 0)
            printf("step %3d: loss %.5f, y = %.3f x %+.3f\n", step, pleat_item(loss), pleat_item(w), pleat_item(b));
        pleat_grad_mode(false); /* a change in place is not to be recorded; the scope's end puts the mode back */
        pleat_add_(w, pleat_grad(w), -0.5);
        pleat_add_(b, pleat_grad(b), -0.5);
        pleat_set_grad(w, NULL); /* gradients add up until they are dropped */
        pleat_set_grad(b, NULL);
        pleat_scope_end(inner);
    }
    ok &= fabs(pleat_item(w) - 3) < 0.1 && fabs(pleat_item(b) + 1) < 0.1;
    pleat_scope_end(scope);

    if (pleat_check() != PLEAT_OK)
        fprintf(stderr, "%s\n", pleat_error());
    return ok && right ? 0 : 1;
}
