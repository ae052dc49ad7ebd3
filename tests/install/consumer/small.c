/* The least a user does: a tensor, an op, a gradient. */
#include <pleat/pleat.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
    char compiled[32];
    snprintf(compiled, sizeof compiled, "%d.%d.%d", PLEAT_VERSION_MAJOR, PLEAT_VERSION_MINOR, PLEAT_VERSION_PATCH);
    if (strcmp(compiled, pleat_version()) != 0) {
        fprintf(stderr, "headers of %s, library of %s\n", compiled, pleat_version());
        return 1;
    }

    pleat_scope scope = pleat_scope_begin();
    pleat_tensor *x = pleat_set_requires_grad(pleat_arange(1, 5, 1, PLEAT_F32), true);
    pleat_tensor *loss = pleat_sum(pleat_mul(x, x));
    int ok = pleat_backward(loss) == PLEAT_OK && pleat_item(loss) == 30.0;
    ok = ok && pleat_data_f32(pleat_grad(x))[3] == 8.0F;
    if (!ok)
        fprintf(stderr, "%s\n", pleat_error());
    pleat_scope_end(scope);
    return ok && pleat_live_tensors() == 0 ? 0 : 1;
}
