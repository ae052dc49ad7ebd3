/* A line that tells how far a loop is. It goes where the caller says, and nowhere else does the library print. */
#include "tensor/error.h"
#include "tensor/memory.h"

#include <pleat/train.h>

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define BAR 20

struct pleat_progress {
    FILE *stream;
    char *label;
    int64_t steps, done, items;
    pleat_progress_step last;
    double begun, drawn; /* seconds */
    bool terminal;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

pleat_progress *pleat_progress_begin(void *stream, const char *label, int64_t steps)
{
    if (!stream || pleat_pending() != PLEAT_OK)
        return NULL;
    pleat_progress *p = pleat_alloc_zeroed(sizeof *p);
    char *copy = p ? pleat_string_copy(label ? label : "") : NULL;
    if (!copy) {
        pleat_free(p);
        return NULL;
    }
    p->stream = stream;
    p->label = copy;
    p->steps = steps;
    p->last = (pleat_progress_step){ -1, -1, 0 };
    p->begun = now();
    p->terminal = isatty(fileno(p->stream));
    return p;
}

/* "1:02:03", "2:03" */
static void print_time(FILE *f, double seconds)
{
    const long s = seconds < 360000 ? (long)(seconds + 0.5) : 360000;
    if (s >= 3600)
        fprintf(f, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        fprintf(f, "%ld:%02ld", s / 60, s % 60);
}

static void print_values(const pleat_progress *p)
{
    if (p->last.loss >= 0)
        fprintf(p->stream, "  loss %.4f", p->last.loss);
    if (p->last.accuracy >= 0)
        fprintf(p->stream, "  accuracy %.4f", p->last.accuracy);
}

static void redraw(pleat_progress *p, double time)
{
    const double seconds = time - p->begun;
    fprintf(p->stream, "\r%s", p->label);
    if (p->steps > 0) {
        const int64_t filled = p->done >= p->steps ? BAR : BAR * p->done / p->steps;
        fprintf(p->stream, " [%.*s%*s]", (int)filled, "====================", (int)(BAR - filled), "");
    }
    print_values(p);
    if (seconds > 0 && p->items > 0)
        fprintf(p->stream, "  %.0f/s", (double)p->items / seconds);
    if (p->done > 0 && p->steps > p->done) {
        fputs("  ", p->stream);
        print_time(p->stream, seconds * (double)(p->steps - p->done) / (double)p->done);
        fputs(" left", p->stream);
    }
    fputs("\033[K", p->stream); /* wipes what a longer line before has left */
    fflush(p->stream);
    p->drawn = time;
}

void pleat_progress_update(pleat_progress *p, const pleat_progress_step *step)
{
    if (!p || !step)
        return;
    p->done++;
    p->items += step->items;
    p->last = *step;
    if (!p->terminal)
        return;
    const double time = now();
    if (time - p->drawn >= 0.1)
        redraw(p, time);
}

void pleat_progress_end(pleat_progress *p)
{
    if (!p)
        return;
    const double seconds = now() - p->begun;
    fprintf(p->stream, "%s%s", p->terminal ? "\r" : "", p->label);
    print_values(p);
    fprintf(p->stream, "  %.1f s", seconds);
    if (p->items > 0 && seconds > 0)
        fprintf(p->stream, "  %.0f images/s", (double)p->items / seconds);
    fputs(p->terminal ? "\033[K\n" : "\n", p->stream);
    fflush(p->stream);
    pleat_free(p->label);
    pleat_free(p);
}
