#include "tensor/watch.h"

#include "tensor/error.h"
#include "tensor/memory.h"
#include "tensor/thread.h"

#include <pleat/debug.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- Where: the modules that are running ---- */

size_t pleat_frame_path(const pleat_frame *f, char *path, size_t size)
{
    size_t n = f && f->outer ? pleat_frame_path(f->outer, path, size) : 0;
    if (size > 0 && n == 0)
        path[0] = '\0';
    if (f && f->name && n < size)
        n += (size_t)snprintf(path + n, size - n, "%s%s", n ? "." : "", f->name);
    return n < size ? n : size - 1;
}

const pleat_frame *pleat_frame_enter(const pleat_frame *frame)
{
    pleat_thread *t = pleat_thread_get();
    if (!t)
        return NULL;
    const pleat_frame *before = t->frame;
    t->frame = frame;
    return before;
}

/* ---- Anomaly mode ---- */

/* What a message says of a tensor's elements. */
typedef struct {
    double low, high; /* of the finite ones; low > high where there are none */
    int64_t nans, infinities;
    int64_t first[PLEAT_MAX_DIMS]; /* the first that is not finite */
    double first_value;
} extent;

static extent look(const pleat_tensor *t)
{
    extent e = { .low = (double)INFINITY, .high = -(double)INFINITY };
    int64_t index[PLEAT_MAX_DIMS] = { 0 };
    for (int64_t i = 0; i < t->numel; i++) {
        const double v = pleat_at(t, index);
        if (isfinite(v)) {
            e.low = v < e.low ? v : e.low;
            e.high = v > e.high ? v : e.high;
        } else {
            if (e.nans + e.infinities == 0) {
                memcpy(e.first, index, sizeof index);
                e.first_value = v;
            }
            *(isnan(v) ? &e.nans : &e.infinities) += 1;
        }
        for (int d = t->shape.ndim - 1; d >= 0 && ++index[d] == t->shape.dim[d]; d--)
            index[d] = 0;
    }
    return e;
}

/* The usual case, a contiguous result without a NaN, in one quick pass. x - x is 0 for what is finite alone. */
static bool all_finite(const pleat_tensor *t)
{
    if (!t->contiguous)
        return false;
    double off = 0;
    if (t->dtype == PLEAT_F32) {
        const float *x = (const float *)(const void *)pleat_tensor_address(t);
        for (int64_t i = 0; i < t->numel; i++)
            off += (double)(x[i] - x[i]);
    } else {
        const double *x = (const double *)(const void *)pleat_tensor_address(t);
        for (int64_t i = 0; i < t->numel; i++)
            off += x[i] - x[i];
    }
    return off == 0;
}

static void describe(const char *what, int i, const pleat_tensor *t)
{
    if (!t || !pleat_dtype_is_float(t->dtype))
        return;
    const extent e = look(t);
    pleat_error_append("; %s %d %s", what, i, pleat_shape_text(t->shape).text);
    if (e.low <= e.high)
        pleat_error_append(" in [%g, %g]", e.low, e.high);
    if (e.nans + e.infinities > 0)
        pleat_error_append(", %" PRId64 " NaN, %" PRId64 " infinite", e.nans, e.infinities);
}

/* Fails with the first element of t that is not finite. */
static void check_finite(const pleat_call *call, const char *what, int i, const pleat_tensor *t, bool backward,
                         const char *path)
{
    if (!t || !pleat_dtype_is_float(t->dtype) || all_finite(t))
        return;
    const extent e = look(t);
    if (e.nans + e.infinities == 0)
        return;
    pleat_shape at = t->shape;
    memcpy(at.dim, e.first, sizeof at.dim);
    pleat_fail(PLEAT_ENUMERIC, "%s %d %s is %s at %s%s%s", what, i, pleat_shape_text(t->shape).text,
               isnan(e.first_value) ? "nan"
               : e.first_value < 0  ? "-inf"
                                    : "inf",
               pleat_shape_text(at).text, path && *path ? ", in module " : "", path ? path : "");
    for (int k = 0; k < call->inputs; k++)
        describe("input", k, call->in[k]);
    for (int k = 0; backward && k < call->outputs; k++)
        describe("output gradient", k, call->grad_out[k]);
}

/* ---- Profile ---- */

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double bytes_of(pleat_tensor *const *t, int count)
{
    double bytes = 0;
    for (int i = 0; i < count; i++)
        if (t[i])
            bytes += (double)t[i]->numel * (double)pleat_dtype_size(t[i]->dtype);
    return bytes;
}

int64_t pleat_watch_begin(pleat_watch *w, const pleat_call *call, bool backward)
{
    if (!w->profile)
        return -1;
    if (pleat_grow(&w->event, &w->capacity, w->events + 1, sizeof *w->event) != PLEAT_OK) {
        w->lost = true;
        return -1;
    }
    const int64_t outer = w->open;
    w->event[w->open = w->events++] =
        (pleat_event){ .op = call->op, .backward = backward, .start = seconds() - w->zero };
    return outer;
}

void pleat_watch_end(pleat_watch *w, const pleat_call *call, bool backward, int64_t begun, const char *path)
{
    if (w->profile && w->open >= 0) {
        pleat_event *e = &w->event[w->open];
        e->seconds = seconds() - w->zero - e->start;
        e->bytes = bytes_of(call->in, call->inputs) + bytes_of(call->out, call->outputs);
        if (backward)
            e->bytes += bytes_of(call->grad_in, call->inputs) + bytes_of(call->grad_out, call->outputs);
        else if (call->op->flops)
            e->flops = call->op->flops(call);
        if (begun >= 0)
            w->event[begun].inside += e->seconds;
        w->open = begun;
    }
    if (!w->anomaly)
        return;
    if (backward) {
        for (int i = 0; i < call->inputs && pleat_pending() == PLEAT_OK; i++)
            if (pleat_wants(call, i))
                check_finite(call, "the gradient of input", i, call->grad_in[i], true, path);
    } else
        for (int k = 0; k < call->outputs && pleat_pending() == PLEAT_OK; k++)
            check_finite(call, "output", k, call->out[k], false, path);
}

/* ---- On and off ---- */

pleat_watch *pleat_watch_get(pleat_thread *t)
{
    if (t && !t->watch && (t->watch = pleat_alloc_zeroed(sizeof *t->watch)))
        t->watch->open = -1;
    return t ? t->watch : NULL;
}

bool pleat_anomaly_mode(bool on)
{
    pleat_watch *w = pleat_watch_get(pleat_thread_get());
    const bool before = w && w->anomaly;
    if (w)
        w->anomaly = on;
    return before;
}

pleat_status pleat_profile_begin(void)
{
    if (pleat_pending() != PLEAT_OK)
        return pleat_check();
    pleat_watch *w = pleat_watch_get(pleat_thread_get());
    if (!w || pleat_grow(&w->event, &w->capacity, 1024, sizeof *w->event) != PLEAT_OK)
        return pleat_check();
    w->profile = true;
    w->lost = false;
    w->events = 0;
    w->open = -1;
    w->zero = seconds();
    return PLEAT_OK;
}

void pleat_profile_end(void)
{
    pleat_watch *w = pleat_watch_get(pleat_thread_get());
    if (w)
        w->profile = false;
}
