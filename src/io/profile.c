/* The profile as people look at it: a table, and a trace on a time line. */
#include "io/files.h"
#include "tensor/error.h"
#include "tensor/memory.h"
#include "tensor/text.h"
#include "tensor/thread.h"

#include <pleat/debug.h>

#include <inttypes.h>
#include <string.h>

/* One line of the table. */
typedef struct {
    const pleat_op *op;
    bool backward;
    int64_t calls;
    double seconds, flops, bytes;
} line;

/* Adds the events up by op; returns the number of lines, the costliest first. `lines` has room for one an event. */
static int64_t summarise(const pleat_watch *w, line *lines, double *total)
{
    int64_t n = 0;
    *total = 0;
    for (int64_t i = 0; i < w->events; i++) {
        const pleat_event *e = &w->event[i];
        int64_t k = 0;
        while (k < n && (lines[k].op != e->op || lines[k].backward != e->backward))
            k++;
        if (k == n)
            lines[n++] = (line){ .op = e->op, .backward = e->backward };
        lines[k].calls++;
        lines[k].seconds += e->seconds - e->inside;
        lines[k].flops += e->flops;
        lines[k].bytes += e->bytes;
        *total += e->seconds - e->inside;
    }
    for (int64_t i = 1; i < n; i++) { /* few ops: insertion does */
        const line moved = lines[i];
        int64_t k = i;
        for (; k > 0 && lines[k - 1].seconds < moved.seconds; k--)
            lines[k] = lines[k - 1];
        lines[k] = moved;
    }
    return n;
}

int64_t pleat_profile_table(char *buffer, size_t size)
{
    pleat_writer out = { buffer, size, 0 };
    const pleat_watch *w = pleat_watch_get(pleat_thread_get());
    line *lines = w ? pleat_alloc((size_t)(w->events + 1) * sizeof *lines) : NULL;
    if (!lines)
        return 0;
    double total;
    const int64_t n = summarise(w, lines, &total);
    pleat_write(&out, "%-28s %8s %11s %7s %9s %8s\n", "op", "calls", "ms", "%", "GFLOP/s", "GB/s");
    for (int64_t k = 0; k < n; k++) {
        const line *l = &lines[k];
        const double seconds = l->seconds > 0 ? l->seconds : 1e-9;
        char name[64];
        snprintf(name, sizeof name, "%s%s", l->op->name, l->backward ? " gradient" : "");
        pleat_write(&out, "%-28s %8" PRId64 " %11.3f %6.1f%% ", name, l->calls, 1e3 * l->seconds,
                    total > 0 ? 100 * l->seconds / total : 0);
        if (l->flops > 0)
            pleat_write(&out, "%9.2f ", 1e-9 * l->flops / seconds);
        else
            pleat_write(&out, "%9s ", "");
        pleat_write(&out, "%8.2f\n", 1e-9 * l->bytes / seconds);
    }
    pleat_write(&out, "%-28s %8" PRId64 " %11.3f%s\n", "all", w->events, 1e3 * total,
                w->lost ? "  (calls are missing: no memory was left to note them)" : "");
    pleat_free(lines);
    return out.length;
}

static bool write_trace(FILE *f, const pleat_watch *w)
{
    fputs("{\"displayTimeUnit\": \"ns\", \"traceEvents\": [", f);
    for (int64_t i = 0; i < w->events; i++) {
        const pleat_event *e = &w->event[i];
        fprintf(f, "%s\n{\"name\": \"%s%s\", \"ph\": \"X\", \"pid\": 1, \"tid\": 1, \"ts\": %.3f, \"dur\": %.3f, ",
                i ? "," : "", e->op->name, e->backward ? " gradient" : "", 1e6 * e->start, 1e6 * e->seconds);
        fprintf(f, "\"args\": {\"bytes\": %.0f, \"flops\": %.0f}}", e->bytes, e->flops);
    }
    fputs("\n]}\n", f);
    return !ferror(f);
}

pleat_status pleat_profile_save_trace(const char *path)
{
    if (pleat_pending() != PLEAT_OK)
        return pleat_check();
    const pleat_watch *w = pleat_watch_get(pleat_thread_get());
    pleat_new_file file;
    if (!w || pleat_new_file_open(&file, path) != PLEAT_OK)
        return pleat_check();
    pleat_new_file_close(&file, write_trace(file.file, w));
    return pleat_check();
}
