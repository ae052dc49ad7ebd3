/* Tensors: make them, look at them, view them, compute with them; and who frees what.
 *
 *   ./01_tensor */
#include <pleat/pleat.h>
#include <stdio.h>

static void show(const char *what, pleat_tensor *t)
{
    char text[512];
    pleat_to_string(t, text, sizeof text);
    printf("%s =\n%s\n\n", what, text);
}

int main(void)
{
    /* What a function returns belongs to the innermost open scope, so expressions nest without clean-up. */
    pleat_scope scope = pleat_scope_begin();

    /* Six numbers in two rows of three. reshape is a view: the same memory, looked at differently. */
    pleat_tensor *a = pleat_reshape(pleat_arange(0, 6, 1, PLEAT_F32), PLEAT_SHAPE(2, 3));
    show("a", a);
    show("a transposed", pleat_transpose(a, 0, 1));
    show("a's last column", pleat_select(a, 1, -1));
    show("every other column", pleat_slice(a, 1, 0, 3, 2));

    /* A change through one view is seen through all of them. */
    pleat_fill_(pleat_select(a, 0, 1), 10);
    show("a, its second row filled", a);

    /* Broadcasting, as in NumPy: a row of three meets each row of a, a column of two each column. */
    const float row[] = { 1, 2, 3 }, column[] = { 100, 200 };
    pleat_tensor *r = pleat_from_data(row, PLEAT_SHAPE(3), PLEAT_F32);
    pleat_tensor *c = pleat_from_data(column, PLEAT_SHAPE(2, 1), PLEAT_F32);
    show("a + row + column", pleat_add(pleat_add(a, r), c));
    show("a times its transpose", pleat_matmul(a, pleat_transpose(a, 0, 1)));
    printf("the mean of a is %g\n\n", pleat_item(pleat_mean(a)));

    /* An idea that the library is named after: a convolution is unfold, one matrix product, and a reshape. */
    pleat_tensor *image = pleat_reshape(pleat_arange(1, 17, 1, PLEAT_F32), PLEAT_SHAPE(1, 1, 4, 4));
    pleat_tensor *kernel = pleat_reshape(pleat_arange(1, 5, 1, PLEAT_F32), PLEAT_SHAPE(1, 1, 2, 2));
    pleat_tensor *patches = pleat_unfold(image, &(pleat_window){ .kernel = { 2, 2 } }); /* a column for each place */
    pleat_tensor *product = pleat_matmul(pleat_reshape(kernel, PLEAT_SHAPE(1, 4)), patches);
    show("the patches of a 4 x 4 image under a 2 x 2 kernel", patches);
    show("their product with the kernel", pleat_reshape(product, PLEAT_SHAPE(3, 3)));
    const bool same =
        pleat_equal(pleat_reshape(product, PLEAT_SHAPE(1, 1, 3, 3)), pleat_conv2d(image, kernel, NULL, NULL));
    printf("conv2d gives %s\n\n", same ? "the same" : "something else");

    /* What is to outlive its scope is retained, and released when it is no longer needed. */
    pleat_tensor *kept = pleat_retain(pleat_sum(a));
    pleat_scope_end(scope);
    printf("after the scope: the sum was %g, and %d tensor is left\n\n", pleat_item(kept), (int)pleat_live_tensors());
    pleat_release(kept);

    /* Errors. NULL runs through an expression, so one check at its end is enough; nothing is printed or aborted. */
    scope = pleat_scope_begin();
    pleat_tensor *wrong =
        pleat_relu(pleat_add(pleat_ones(PLEAT_SHAPE(2, 3), PLEAT_F32), pleat_ones(PLEAT_SHAPE(4), PLEAT_F32)));
    const bool refused = !wrong && pleat_check() == PLEAT_ESHAPE;
    printf("adding (2, 3) and (4,): %s\n", pleat_error());
    pleat_scope_end(scope);

    return same && refused && pleat_live_tensors() == 0 ? 0 : 1;
}
