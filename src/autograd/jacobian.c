/* Gradients against central differences.
 *
 * The function under check has variables (the inputs that require a gradient) and outputs. Both ways give one table, a
 * row per output element and a column per variable element, the Jacobian:
 *
 *   analytic   row by row: backward of the output gradient that is 1 at the row's element and 0 elsewhere
 *   numeric    column by column: (f(x + eps e) - f(x - eps e)) / 2 eps, e being 1 at the column's element
 *
 * Fast mode is the same with one row per output and one column per variable: the directions v and u are random instead
 * of one-hot, and the table's entry is v . J u. It sees that something is wrong but not where, so a failure there is
 * looked at again element by element, and that verdict counts. */
#include "autograd/jacobian.h"

#include "tensor/error.h"
#include "tensor/memory.h"
#include "tensor/tensor.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define FALLBACK_ENTRIES ((int64_t)1 << 24) /* the largest table that fast mode falls back to: 128 MiB */
#define ZERO (-1)                           /* in place of a row: the output gradient zero */

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static double sum_of(const double *a, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += a[i];
    return sum;
}

/* Where there was no memory to begin the scope there is nothing to end, and that error is the one to keep. */
static void end(pleat_scope scope)
{
    if (scope.depth >= 0)
        pleat_scope_end(scope);
}

pleat_tensor *pleat_jacobian_copy(const pleat_tensor *t)
{
    return pleat_copy_(pleat_empty(pleat_shape_of(t), pleat_dtype_of(t)), t);
}

/* ---- The function ---- */

pleat_status pleat_jacobian_run_function(pleat_jacobian *j, pleat_tensor **results)
{
    results[0] = j->fn(j->input, j->user);
    const pleat_status status = pleat_check();
    if (status != PLEAT_OK || results[0])
        return status;
    return pleat_fail(PLEAT_EINVAL, "%s: the function returned NULL without an error", j->name);
}

/* Runs the function at the variables' present values, in the caller's scope; the outputs' elements go to y, unless it
 * is NULL. */
static pleat_status evaluate(pleat_jacobian *j, double *y)
{
    for (int k = 0; k < j->outputs; k++)
        j->result[k] = NULL;
    pleat_rng_set(j->rng);
    pleat_status status = j->before ? j->before(j) : PLEAT_OK;
    if (status == PLEAT_OK)
        status = j->run(j, j->result);
    for (int k = 0; k < j->outputs && status == PLEAT_OK; k++) {
        pleat_tensor *t = j->result[k];
        pleat_jacobian_output *out = &j->output[k];
        if (t && pleat_dtype_of(t) != PLEAT_F64)
            return pleat_fail(PLEAT_EDTYPE, "%s: the result is %s; gradients are checked in float64", j->name,
                              pleat_dtype_name(pleat_dtype_of(t)));
        if (out->numel < 0)
            out->numel = t ? pleat_numel(t) : j->variable[k].numel;
        if (t && pleat_numel(t) != out->numel)
            return pleat_fail(PLEAT_ESHAPE, "%s: the result had %lld elements, and now has %lld", j->name,
                              (long long)out->numel, (long long)pleat_numel(t));
        if (!y)
            continue;
        memset(y + out->first, 0, (size_t)out->numel * sizeof *y);
        if (t) {
            const double *data = pleat_data_f64(pleat_is_contiguous(t) ? t : pleat_jacobian_copy(t));
            status = pleat_check();
            if (status == PLEAT_OK)
                memcpy(y + out->first, data, (size_t)out->numel * sizeof *y);
        }
    }
    return status;
}

/* Moves a variable by step times a column's direction; with step 0 it is exactly as it was. */
static pleat_status move(pleat_jacobian *j, const pleat_jacobian_variable *v, int64_t element, double step)
{
    double *to = pleat_data_mut(v->tensor);
    if (!to)
        return pleat_check();
    const double *x = j->x + v->first;
    if (j->fast)
        for (int64_t i = 0; i < v->numel; i++)
            to[i] = x[i] + step * j->u[v->first + i];
    else
        to[element] = x[element] + step;
    return PLEAT_OK;
}

static pleat_status evaluate_at(pleat_jacobian *j, const pleat_jacobian_variable *v, int64_t element, double step,
                                double *y)
{
    const pleat_scope scope = pleat_scope_begin();
    pleat_status status = move(j, v, element, step);
    if (status == PLEAT_OK)
        status = evaluate(j, y);
    end(scope);
    return status;
}

/* ---- The analytic table ---- */

static int64_t rows_of(const pleat_jacobian *j, const pleat_jacobian_output *out)
{
    return j->fast && out->numel > 0 ? 1 : out->numel;
}

/* One row: what backward makes of output k's gradient that is 1 at the element (fast mode: v; or zero). */
static pleat_status pull(pleat_jacobian *j, int k, int64_t element, double *row)
{
    memset(row, 0, (size_t)j->columns * sizeof *row);
    pleat_tensor *y = j->result[k];
    if (!y || !pleat_requires_grad(y))
        return PLEAT_OK; /* it depends on no variable, which the differences must confirm */
    const pleat_scope scope = pleat_scope_begin();
    pleat_tensor *g = pleat_zeros(pleat_shape_of(y), PLEAT_F64);
    double *values = pleat_data_mut(g);
    if (values && element != ZERO) {
        if (j->fast)
            memcpy(values, j->v + j->output[k].first, (size_t)j->output[k].numel * sizeof *values);
        else
            values[element] = 1;
    }
    const pleat_gradients_opts opts = { .grad_outputs = &g, .keep = true, .allow_unused = true };
    pleat_status status = pleat_check();
    if (status == PLEAT_OK)
        status = pleat_gradients(&y, 1, j->wanted, j->variables, &opts, j->grad);
    for (int i = 0; i < j->variables && status == PLEAT_OK; i++) {
        const pleat_jacobian_variable *v = &j->variable[i];
        pleat_tensor *grad = j->grad[i];
        if (!grad)
            continue;
        const double *data = pleat_data_f64(pleat_is_contiguous(grad) ? grad : pleat_jacobian_copy(grad));
        status = pleat_check();
        if (status == PLEAT_OK && pleat_numel(grad) != v->numel)
            status = pleat_fail(PLEAT_EGRAD, "%s: %s has %lld elements, its gradient %lld", j->name, v->label,
                                (long long)v->numel, (long long)pleat_numel(grad));
        if (status == PLEAT_OK && j->fast)
            row[i] = dot(data, j->u + v->first, v->numel);
        else if (status == PLEAT_OK)
            memcpy(row + v->first, data, (size_t)v->numel * sizeof *row);
    }
    end(scope);
    return status;
}

/* Fills the table or, the second time, compares another run with it. */
static pleat_status analytic(pleat_jacobian *j, bool second)
{
    const pleat_scope scope = pleat_scope_begin();
    pleat_status status = evaluate(j, j->center);
    double *row = j->table;
    for (int k = 0; k < j->outputs && status == PLEAT_OK; k++) {
        const int64_t rows = rows_of(j, &j->output[k]);
        for (int64_t e = 0; e < rows && status == PLEAT_OK; e++, row += j->columns) {
            status = pull(j, k, e, second ? j->again : row);
            for (int64_t i = 0; second && i < j->columns && status == PLEAT_OK; i++)
                if (fabs(j->again[i] - row[i]) > j->opts.nondet_tol)
                    status = pleat_fail(PLEAT_EGRAD, "%s: two runs of backward differ, %.10g and %.10g (nondet_tol %g)",
                                        j->name, row[i], j->again[i], j->opts.nondet_tol);
        }
        if (second || status != PLEAT_OK)
            continue;
        status = pull(j, k, ZERO, j->again);
        for (int64_t i = 0; i < j->columns && status == PLEAT_OK; i++)
            if (j->again[i] != 0)
                status = pleat_fail(PLEAT_EGRAD, "%s: the output gradient zero gives a gradient of %.10g, not 0",
                                    j->name, j->again[i]);
    }
    end(scope);
    return status;
}

/* ---- The numeric table, compared a column at a time ---- */

/* Whether the slopes to the right and to the left disagree, and the analytic value is between them. A smooth function's
 * slopes are so close together that nothing wrong fits between. */
static bool on_kink(double right, double left, double analytic, double tolerance)
{
    return fabs(right - left) > 10 * tolerance && analytic >= fmin(left, right) - tolerance &&
           analytic <= fmax(left, right) + tolerance;
}

static void compare_column(pleat_jacobian *j, const pleat_jacobian_variable *v, int64_t element, int64_t column)
{
    pleat_gradcheck_report *r = &j->report;
    const double x = j->fast ? 0 : j->x[v->first + element], eps = j->opts.eps;
    const double up = (x + eps) - x, down = x - (x - eps); /* the steps as rounded */
    bool kink = false;
    int64_t row = 0;
    for (int k = 0; k < j->outputs; k++) {
        const pleat_jacobian_output *out = &j->output[k];
        const int64_t rows = rows_of(j, out);
        for (int64_t e = 0; e < rows; e++, row++) {
            const double *high = j->high + out->first + e, *low = j->low + out->first + e;
            const double given = j->table[row * j->columns + column];
            double numeric, atol = j->opts.atol;
            if (j->fast) {
                const double *direction = j->v + out->first;
                numeric = (dot(direction, high, out->numel) - dot(direction, low, out->numel)) / (up + down);
                atol *= sum_of(direction, out->numel) * sum_of(j->u + v->first, v->numel);
            } else {
                numeric = (*high - *low) / (up + down);
            }
            const double tolerance = atol + j->opts.rtol * fabs(numeric), error = fabs(given - numeric);
            r->compared++;
            r->max_gradient = fmax(r->max_gradient, fabs(given));
            if (!j->fast && error > tolerance) {
                const double center = j->center[out->first + e];
                if (on_kink((*high - center) / up, (center - *low) / down, given, tolerance)) {
                    kink = true;
                    continue;
                }
            }
            const double ratio = isnan(error) ? INFINITY : error / tolerance;
            if (ratio <= r->worst_error)
                continue;
            r->worst_error = ratio;
            r->worst_input = v->index;
            r->worst_input_index = j->fast ? -1 : element;
            r->worst_output_index = j->fast ? -1 : e;
            r->analytic = given;
            r->numeric = numeric;
            j->worst_variable = v;
            j->worst_output = k;
        }
    }
    r->kinks += kink;
}

static pleat_status numeric(pleat_jacobian *j)
{
    for (int i = 0; i < j->variables; i++) {
        const pleat_jacobian_variable *v = &j->variable[i];
        const int64_t columns = j->fast && v->numel > 0 ? 1 : v->numel;
        for (int64_t e = 0; e < columns; e++) {
            pleat_status status = evaluate_at(j, v, e, j->opts.eps, j->high);
            if (status == PLEAT_OK)
                status = evaluate_at(j, v, e, -j->opts.eps, j->low);
            const pleat_status back = move(j, v, e, 0); /* also after a failure: a module's parameters are the user's */
            if (status != PLEAT_OK || back != PLEAT_OK)
                return status != PLEAT_OK ? status : back;
            compare_column(j, v, e, j->fast ? i : v->first + e);
        }
    }
    return PLEAT_OK;
}

/* ---- One pass, and the verdict ---- */

/* Numbers in (0, 1], divided by their length. The draw is one that no tensor of the thread's sequence comes from. */
static void draw_direction(double *to, int64_t n, uint64_t seed, uint64_t draw)
{
    double squares = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t word[4];
        pleat_philox(seed, UINT64_MAX - draw, (uint64_t)i, word);
        to[i] = (word[0] + 1.0) / 4294967296.0;
        squares += to[i] * to[i];
    }
    for (int64_t i = 0; i < n; i++)
        to[i] /= sqrt(squares);
}

static pleat_status pass(pleat_jacobian *j, bool fast)
{
    j->fast = fast;
    const int64_t rows = fast ? j->outputs : j->y_size;
    j->columns = fast ? j->variables : j->x_size;
    const int64_t fixed = 2 * j->x_size + 4 * j->y_size + j->columns;
    int64_t total;
    if (__builtin_mul_overflow(rows, j->columns, &total) || total > INT64_MAX / 16 - fixed)
        return pleat_fail(PLEAT_ENOMEM, "%s: a Jacobian of %lld by %lld is too large", j->name, (long long)rows,
                          (long long)j->columns);
    double *block = pleat_alloc((size_t)(total + fixed) * sizeof *block);
    if (!block)
        return pleat_check();
    j->x = block;
    j->u = j->x + j->x_size;
    j->center = j->u + j->x_size;
    j->high = j->center + j->y_size;
    j->low = j->high + j->y_size;
    j->v = j->low + j->y_size;
    j->again = j->v + j->y_size;
    j->table = j->again + j->columns;
    for (int i = 0; i < j->variables; i++) {
        const pleat_jacobian_variable *v = &j->variable[i];
        memcpy(j->x + v->first, pleat_data_f64(v->tensor), (size_t)v->numel * sizeof(double));
        if (fast)
            draw_direction(j->u + v->first, v->numel, j->opts.seed, (uint64_t)i);
    }
    for (int k = 0; fast && k < j->outputs; k++)
        draw_direction(j->v + j->output[k].first, j->output[k].numel, j->opts.seed, (uint64_t)(j->variables + k));
    pleat_status status = analytic(j, false);
    if (status == PLEAT_OK)
        status = analytic(j, true);
    if (status == PLEAT_OK)
        status = numeric(j);
    pleat_free(block);
    return status;
}

static const pleat_gradcheck_report no_report = { .worst_input = -1,
                                                  .worst_input_index = -1,
                                                  .worst_output_index = -1 };

static pleat_status verdict(pleat_jacobian *j)
{
    pleat_gradcheck_report *r = &j->report;
    if (r->worst_error > 1) {
        char where[224];
        if (j->fast)
            snprintf(where, sizeof where, "%s along a random direction", j->worst_variable->label);
        else if (j->outputs == 1)
            snprintf(where, sizeof where, "%s, element %lld, output element %lld", j->worst_variable->label,
                     (long long)r->worst_input_index, (long long)r->worst_output_index);
        else
            snprintf(where, sizeof where, "%s, element %lld, gradient by %s, element %lld", j->worst_variable->label,
                     (long long)r->worst_input_index, j->variable[j->worst_output].label,
                     (long long)r->worst_output_index);
        return pleat_fail(PLEAT_EGRAD,
                          "%s: %s: backward gives %.10g, the central difference is %.10g (atol %g, rtol %g)", j->name,
                          where, r->analytic, r->numeric, j->opts.atol, j->opts.rtol);
    }
    if (r->kinks > j->x_size / 10)
        return pleat_fail(PLEAT_EGRAD, "%s: %lld of %lld input elements lie on kinks, where a tenth may", j->name,
                          (long long)r->kinks, (long long)j->x_size);
    if (r->compared > 0 && r->max_gradient == 0 && !j->opts.allow_zero)
        return pleat_fail(PLEAT_EGRAD, "%s: every gradient is zero, which checks nothing (allow_zero permits it)",
                          j->name);
    r->passed = true;
    return PLEAT_OK;
}

/* Learns the outputs' sizes from a first run, then checks. */
pleat_status pleat_jacobian_check(pleat_jacobian *j)
{
    for (int i = 0; i < j->variables; i++) {
        j->variable[i].first = j->x_size;
        j->x_size += j->variable[i].numel;
    }
    const pleat_scope scope = pleat_scope_begin();
    pleat_status status = evaluate(j, NULL);
    end(scope);
    if (status != PLEAT_OK)
        return status;
    for (int k = 0; k < j->outputs; k++) {
        j->output[k].first = j->y_size;
        j->y_size += j->output[k].numel;
    }
    status = pass(j, j->opts.fast);
    int64_t entries;
    if (status == PLEAT_OK && j->fast && j->report.worst_error > 1 &&
        !__builtin_mul_overflow(j->x_size, j->y_size, &entries) && entries <= FALLBACK_ENTRIES) {
        j->report = no_report;
        status = pass(j, false);
    }
    return status == PLEAT_OK ? verdict(j) : status;
}

/* ---- Beginning and end ---- */

pleat_status pleat_jacobian_begin(pleat_jacobian *j, int inputs, int variables, int outputs,
                                  const pleat_gradcheck_opts *opts)
{
    if (opts)
        j->opts = *opts;
    j->opts.eps = j->opts.eps == 0 ? 1e-6 : j->opts.eps;
    j->opts.atol = j->opts.atol == 0 ? 1e-5 : j->opts.atol;
    j->opts.rtol = j->opts.rtol == 0 ? 1e-3 : j->opts.rtol;
    j->report = no_report;
    j->rng = pleat_rng_get();
    j->inputs = inputs;
    j->outputs = outputs;
    j->scope = pleat_scope_begin();
    pleat_grad_mode(true);
    if (!(j->opts.eps > 0 && j->opts.atol > 0 && j->opts.rtol > 0 && j->opts.nondet_tol >= 0))
        pleat_fail(PLEAT_EINVAL, "%s: eps %g, atol %g, rtol %g and nondet_tol %g must not be negative", j->name,
                   j->opts.eps, j->opts.atol, j->opts.rtol, j->opts.nondet_tol);
    const size_t pointers = (size_t)inputs + 2 * (size_t)variables + (size_t)outputs;
    j->variable = pleat_alloc_zeroed((size_t)variables * sizeof *j->variable + (size_t)outputs * sizeof *j->output +
                                     pointers * sizeof *j->input);
    if (pleat_pending() != PLEAT_OK)
        return pleat_check();
    j->output = (pleat_jacobian_output *)(j->variable + variables);
    for (int k = 0; k < outputs; k++)
        j->output[k].numel = -1;
    j->input = (pleat_tensor **)(j->output + outputs);
    j->wanted = j->input + inputs;
    j->grad = j->wanted + variables;
    j->result = j->grad + variables;
    return PLEAT_OK;
}

pleat_jacobian_variable *pleat_jacobian_add(pleat_jacobian *j, pleat_tensor *t)
{
    pleat_jacobian_variable *v = &j->variable[j->variables];
    *v = (pleat_jacobian_variable){ .tensor = t, .index = j->variables, .numel = pleat_numel(t) };
    j->wanted[j->variables++] = t;
    return v;
}

pleat_status pleat_jacobian_clone_inputs(pleat_jacobian *j, pleat_tensor *const *inputs, int count)
{
    for (int i = 0; i < count; i++) {
        const pleat_tensor *t = inputs[i];
        if (!t)
            continue;
        const bool wanted = pleat_requires_grad(t);
        if (wanted && pleat_dtype_of(t) != PLEAT_F64)
            return pleat_fail(PLEAT_EDTYPE, "%s: input %d is %s; gradients are checked in float64", j->name, i,
                              pleat_dtype_name(pleat_dtype_of(t)));
        if (wanted && pleat_numel(t) > 0 && pleat_tensor_overlaps(t))
            return pleat_fail(PLEAT_EINVAL,
                              "%s: elements of input %d, %s, share memory: a difference would move several", j->name, i,
                              pleat_shape_text(pleat_shape_of(t)).text);
        j->input[i] = pleat_jacobian_copy(t);
        if (!j->input[i])
            return pleat_check();
        if (wanted) {
            pleat_jacobian_variable *v = pleat_jacobian_add(j, pleat_set_requires_grad(j->input[i], true));
            v->index = i;
            snprintf(v->label, sizeof v->label, "input %d", i);
        }
    }
    return PLEAT_OK;
}

pleat_status pleat_jacobian_end(pleat_jacobian *j, pleat_status status)
{
    pleat_check();
    pleat_rng_set(j->rng);
    if (j->before)
        j->before(j);
    end(j->scope);
    pleat_free(j->variable);
    if (j->opts.report)
        *j->opts.report = j->report;
    return status;
}
