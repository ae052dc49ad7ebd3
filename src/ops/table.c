/* The table of the built-in ops: what the tests, the profiler and the graph dump walk. An op that is missing here fails
 * a test. */
#include "ops/ops.h"

static const pleat_op *const table[] = {
    &pleat_op_permute,
    &pleat_op_reshape,
    &pleat_op_slice,
    &pleat_op_slice_adjoint,
    &pleat_op_expand,
    NULL, /* the end */
};

const pleat_op *pleat_builtin_op(int i)
{
    return i >= 0 && i < (int)(sizeof table / sizeof *table) ? table[i] : NULL;
}
