/* Every op of the table, walked: an op without samples fails by name, and so does one that is declared but not in the
 * table. The samples (samples_*.h) go through pleat_op_check. */
#include "samples.h"

#include "support/run.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>

static int table_size(void)
{
    int n = 0;
    while (pleat_builtin_op(n))
        n++;
    return n;
}

/* Its results are indices or truth values. */
static bool without_gradient(const pleat_op *op)
{
    return op->outputs == 1 && op->constant & PLEAT_OUT(0);
}

START_TEST(every_op_passes)
{
    samples_all();
    pleat_op_check_count all = { 0 };
    int failures = 0, alone = 0;
    pleat_parallel_workers_seen();
    for (int i = 0; i < table_size(); i++) {
        const collected *c = collected_of(pleat_builtin_op(i));
        pleat_op_check_count counted = { 0 };
        if (c->count == 0) {
            fprintf(stderr, "%s has no samples\n", c->op->name);
            failures++;
        } else if (pleat_op_check(c->op, c->sample, c->count, &counted) != PLEAT_OK) {
            fprintf(stderr, "%s\n", pleat_error());
            failures++;
        }
        alone += c->op->forward && pleat_parallel_workers_seen() < 2;
        all.samples += counted.samples;
        all.checks += counted.checks;
    }
    fprintf(stderr, "%d ops, %lld samples, %lld checks\n", table_size(), (long long)all.samples, (long long)all.checks);
    ck_assert_int_eq(failures, 0);
#ifdef _OPENMP
    ck_assert_int_lt(alone, table_size() / 2); /* the rest was divided among several workers */
#endif
    for (int i = 0; i < COLLECT_OPS && collection[i].op; i++) {
        bool in_table = false;
        for (int k = 0; k < table_size(); k++)
            in_table |= pleat_builtin_op(k) == collection[i].op;
        ck_assert_msg(in_table, "%s is not in the table", collection[i].op->name);
    }
}
END_TEST

/* These need a dimension: there is no sample without one. */
static const char *const with_dimensions =
    " slice slice_adjoint matmul linear linear_relu unfold fold conv2d conv2d_relu conv_transpose2d "
    "conv_transpose2d_relu "
    "conv2d_weight max_pool2d max_pool2d_gather "
    "max_pool2d_scatter adaptive_max_pool2d avg_pool2d avg_pool2d_adjoint batch_norm batch_norm_relu batch_norm_eval "
    "batch_norm_eval_relu group_norm logsumexp cross_entropy nll_loss cat interpolate interpolate_adjoint ";

/* What kinds of input an op's samples have. Strided ones are made of each sample by pleat_op_check. */
typedef struct {
    bool empty, scalar, broadcast, missing;
} kinds;

static kinds kinds_of(const collected *c)
{
    kinds k = { 0 };
    for (int i = 0; i < c->count; i++)
        for (int n = 0; n < c->sample[i].count; n++) {
            const pleat_tensor *t = c->sample[i].in[n], *last = c->sample[i].in[c->sample[i].count - 1];
            k.missing |= !t;
            k.empty |= t && pleat_numel(t) == 0;
            k.scalar |= t && pleat_ndim(t) == 0;
            k.broadcast |= t && last && !pleat_shape_equal(pleat_shape_of(t), pleat_shape_of(last));
        }
    return k;
}

START_TEST(samples_are_of_every_kind)
{
    samples_all();
    int lacking = 0;
    for (int i = 0; i < table_size(); i++) {
        const pleat_op *op = pleat_builtin_op(i);
        const kinds k = kinds_of(collected_of(op));
        char name[80];
        snprintf(name, sizeof name, " %s ", op->name);
        const bool scalar = k.scalar || strstr(with_dimensions, name), broadcast = k.broadcast || !op->broadcasts,
                   missing = k.missing || !op->optional;
        if (k.empty && scalar && broadcast && missing)
            continue;
        fprintf(stderr, "%s has no sample that is%s%s%s%s\n", op->name, k.empty ? "" : " empty",
                scalar ? "" : " without a dimension", broadcast ? "" : " broadcast",
                missing ? "" : " without an optional input");
        lacking++;
    }
    ck_assert_int_eq(lacking, 0);
}
END_TEST

/* A name is an op's in ops.h, in the table, and in its messages. */
START_TEST(declared_ops_are_in_the_table)
{
    FILE *file = fopen(PLEAT_TEST_DIR "/../src/ops/ops.h", "r");
    ck_assert_ptr_nonnull(file);
    char line[256];
    int declared = 0;
    while (fgets(line, sizeof line, file)) {
        char name[128];
        if (sscanf(line, "extern const pleat_op pleat_op_%127[a-z0-9_];", name) != 1)
            continue;
        declared++;
        int found = 0;
        for (int i = 0; pleat_builtin_op(i); i++)
            found += strcmp(pleat_builtin_op(i)->name, name) == 0;
        ck_assert_msg(found == 1, "pleat_op_%s is in the table %d times under its name", name, found);
    }
    fclose(file);
    ck_assert_int_eq(declared, table_size());
    ck_assert_ptr_null(pleat_builtin_op(-1));
    ck_assert_ptr_null(pleat_builtin_op(INT_MIN));
    ck_assert_ptr_null(pleat_builtin_op(INT_MAX));
    ck_assert_ptr_null(pleat_builtin_op(declared));
    ck_assert_ptr_null(pleat_builtin_op(declared + 1));
}
END_TEST

START_TEST(ops_are_complete)
{
    for (int i = 0; pleat_builtin_op(i); i++) {
        const pleat_op *op = pleat_builtin_op(i);
        ck_assert_msg(op->infer != NULL, "%s", op->name);
        ck_assert_msg(op->backward != NULL || without_gradient(op), "%s does not state its gradient in ops", op->name);
        ck_assert_int_ge(op->outputs, 1);
        for (const char *p = op->name; *p; p++)
            ck_assert_msg(islower((unsigned char)*p) || isdigit((unsigned char)*p) || *p == '_', "%s", op->name);
    }
}
END_TEST

RUN_TESTS("table", every_op_passes, samples_are_of_every_kind, declared_ops_are_in_the_table, ops_are_complete)
