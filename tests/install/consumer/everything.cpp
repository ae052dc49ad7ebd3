// A user's program in C++17: every header, and the macros that differ between the languages.
#include <pleat/op.h>
#include <pleat/pleat.h>

#include <cstdio>

static pleat_status twice_infer(const pleat_call *call, pleat_spec *out)
{
    out[0] = call->in_spec[0];
    return PLEAT_OK;
}

static pleat_status twice_forward(pleat_call *call)
{
    const float *x = pleat_data_f32(call->in[0]);
    float *y = static_cast<float *>(pleat_data_mut(call->out[0]));
    for (int64_t i = 0; i < pleat_numel(call->in[0]); i++)
        y[i] = 2 * x[i];
    return PLEAT_OK;
}

static pleat_op twice()
{
    pleat_op op = {};
    op.name = "twice";
    op.inputs = op.outputs = 1;
    op.dtypes[0] = PLEAT_DTYPES(PLEAT_F32);
    op.infer = twice_infer;
    op.forward = twice_forward;
    return op;
}

static const pleat_op twice_op = twice();

int main()
{
    const pleat_scope scope = pleat_scope_begin();
    pleat_seed(7);
    pleat_module *net = pleat_sequential(pleat_nn_flatten(), pleat_nn_linear(12, 3), pleat_nn_relu());
    pleat_tensor *x = pleat_ones(PLEAT_SHAPE(2, 3, 4), PLEAT_F32);
    pleat_tensor *y = pleat_forward(net, pleat_apply(&twice_op, &x, 1, nullptr));
    pleat_tensor *sums = pleat_sum_dims(y, PLEAT_DIMS(0, -1), false);
    const bool ok = y && pleat_size(y, 1) == 3 && pleat_ndim(sums) == 0 && pleat_item(pleat_scalar(2, PLEAT_F64)) == 2;
    if (!ok)
        std::fprintf(stderr, "%s\n", pleat_error());
    pleat_module_free(net);
    pleat_scope_end(scope);
    return ok && pleat_live_tensors() == 0 ? 0 : 1;
}
