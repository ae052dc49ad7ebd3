/* The benchmark: times cases one by one, thread counts interleaved, beside the machine's peak measured in the same
 * breath. What it times is whole: every call makes and drops all that a user's would. `pleat_bench --help` tells the
 * options, docs/performance.md the findings. */
#include "bench.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <regex.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

enum { MOST_THREADS = 8 };

int bench_most_threads;

static struct {
    double min_time;
    int rounds, thread[MOST_THREADS], threads;
    FILE *csv, *table; /* table: NULL, none */
} opt = { .min_time = 0.3, .rounds = 3 };

/* ---- The cases ---- */

static bench_case *cases;
static int count, capacity;

bench_case *bench_add(const char *op, const char *text, ...)
{
    if (count == capacity) {
        capacity = capacity ? 2 * capacity : 128;
        cases = realloc(cases, (size_t)capacity * sizeof *cases);
        if (!cases)
            exit(1);
    }
    bench_case *c = &cases[count++];
    *c = (bench_case){ 0 };
    snprintf(c->op, sizeof c->op, "%s", op);
    va_list args;
    va_start(args, text);
    vsnprintf(c->text, sizeof c->text, text, args);
    va_end(args);
    return c;
}

static void name_of(const bench_case *c, char name[128])
{
    snprintf(name, 128, "%s,%s", c->op, c->text);
}

/* ---- Clock and memory ---- */

double bench_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A field of /proc/self/status in MiB, of Linux; -1 where there is none. */
static double resident(const char *field)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    double mib = -1;
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, field, strlen(field)) == 0)
            mib = strtod(line + strlen(field), NULL) / 1024;
    if (f)
        fclose(f);
    return mib;
}

/* Gives back what is cached, starts the peak anew and returns what is resident now; -1 where it cannot be told. */
static double resident_reset(void)
{
    pleat_memory_trim();
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
    FILE *f = fopen("/proc/self/clear_refs", "w");
    if (!f)
        return -1;
    const bool done = fputs("5\n", f) >= 0;
    return fclose(f) == 0 && done ? resident("VmRSS:") : -1;
}

/* ---- One case ---- */

typedef struct {
    double *item;
    int count, capacity;
} list;

static void push(list *l, double x)
{
    if (l->count == l->capacity) {
        l->capacity = l->capacity ? 2 * l->capacity : 64;
        l->item = realloc(l->item, (size_t)l->capacity * sizeof *l->item);
        if (!l->item)
            exit(1);
    }
    l->item[l->count++] = x;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(list *l)
{
    qsort(l->item, (size_t)l->count, sizeof *l->item, ascending);
    const int n = l->count;
    return n == 0 ? 0 : (l->item[(n - 1) / 2] + l->item[n / 2]) / 2;
}

/* Times of one call each, over about so many seconds; short calls are timed in groups of a millisecond. */
static void sample(const bench_case *c, double seconds, int at_least, list *times)
{
    double start = bench_seconds();
    c->run(c);
    const double one = bench_seconds() - start;
    const int group = one < 1e-3 ? (int)(1e-3 / (one > 1e-8 ? one : 1e-8)) : 1;
    const double end = bench_seconds() + seconds;
    for (int n = 0; n < at_least || bench_seconds() < end; n++) {
        start = bench_seconds();
        for (int i = 0; i < group; i++)
            c->run(c);
        push(times, (bench_seconds() - start) / group);
    }
}

static bool failed(const bench_case *c)
{
    if (pleat_check() == PLEAT_OK)
        return false;
    fprintf(stderr, "pleat_bench: %s %s: %s\n", c->op, c->text, pleat_error());
    return true;
}

static const bench_case *made; /* the case that is ready to run */
static pleat_scope made_scope;
static double made_peak; /* MiB that it grew by, -1: not known */

static void unmake(void)
{
    if (!made)
        return;
    if (made->drop)
        made->drop(made);
    pleat_scope_end(made_scope);
    made = NULL;
}

/* What a process of its own grows by, from before the case is made until it was run once: segments that other cases
 * left resident would hide it. */
static double peak_alone(const bench_case *c)
{
    char self[512], command[1024], line[64] = "";
    const ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length < 0)
        return -1;
    self[length] = '\0';
    snprintf(command, sizeof command, "'%s' --threads %d --peak '%s,%s'", self, bench_most_threads, c->op, c->text);
    FILE *alone = popen(command, "r");
    if (!alone)
        return -1;
    const bool told = fgets(line, sizeof line, alone) != NULL;
    return pclose(alone) == 0 && told ? strtod(line, NULL) : -1;
}

static bool make(const bench_case *c)
{
    if (made == c)
        return true;
    unmake();
    made_scope = pleat_scope_begin();
    made = c;
    pleat_seed(0);
    pleat_set_threads(bench_most_threads);
    if (c->make(c))
        c->run(c);
    if (!failed(c))
        return true;
    unmake();
    return false;
}

static void print_header(void)
{
    fputs("op,case,threads,median_ms,gflops,min_ms,gbps,peak_percent,peak_mib\n", opt.csv);
    fflush(opt.csv);
    if (opt.table)
        fprintf(opt.table, "%-24s %-44s %1s %12s %12s %9s %5s %8s %8s\n", "op", "case", "T", "median ms", "min ms",
                "GFLOP/s", "%", "GB/s", "MiB");
}

/* A number, or nothing. */
static const char *number(char text[32], const char *format, double x, bool there)
{
    snprintf(text, 32, format, x);
    return there ? text : "";
}

static void print_row(const bench_case *c, int threads, list *times, double peak)
{
    const double mid = median(times), low = times->item[0], much = c->per_thread ? threads : 1;
    const double gflops = c->flops * much / mid * 1e-9;
    char a[32], b[32], d[32], e[32];
    const char *rate = number(a, "%.1f", gflops, c->flops > 0);
    const char *bandwidth = number(b, "%.1f", c->bytes * much / mid * 1e-9, c->bytes > 0 && !(c->flops > 0));
    const char *share = number(d, "%.1f", 100 * gflops / peak, c->flops > 0);
    const char *memory = number(e, "%.0f", made_peak, made_peak >= 0);
    fprintf(opt.csv, "%s,%s,%d,%.6f,%s,%.6f,%s,%s,%s\n", c->op, c->text, threads, mid * 1e3, rate, low * 1e3, bandwidth,
            share, memory);
    fflush(opt.csv);
    if (opt.table)
        fprintf(opt.table, "%-24s %-44s %d %12.5f %12.5f %9s %5s %8s %8s\n", c->op, c->text, threads, mid * 1e3,
                low * 1e3, rate, share, bandwidth, memory);
}

/* Runs so many of opt.rounds rounds. */
static bool run(const bench_case *c, int rounds)
{
    if (made != c)
        made_peak = c->memory ? peak_alone(c) : -1;
    if (!make(c))
        return false;
    list times[MOST_THREADS] = { 0 }, peaks[MOST_THREADS] = { 0 };
    for (int r = 0; r < rounds; r++)
        for (int i = 0; i < opt.threads; i++) {
            pleat_set_threads(opt.thread[i]);
            push(&peaks[i], bench_peak(opt.thread[i]));
            sample(c, opt.min_time / opt.rounds, (2 + opt.rounds) / opt.rounds, &times[i]);
        }
    const bool fine = !failed(c);
    for (int i = 0; i < opt.threads; i++) {
        if (fine)
            print_row(c, opt.thread[i], &times[i], median(&peaks[i]));
        free(times[i].item);
        free(peaks[i].item);
    }
    return fine;
}

static const bench_case *find(const char *wanted)
{
    char name[128];
    for (int i = 0; i < count; i++) {
        name_of(&cases[i], name);
        if (strcmp(name, wanted) == 0)
            return &cases[i];
    }
    return NULL;
}

/* For compare.py: a case a line, "op,case"; one round of it, its rows, an empty line. */
static bool serve(void)
{
    char line[256];
    bool fine = true;
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        const bench_case *c = find(line);
        if (c)
            fine &= run(c, 1);
        fputc('\n', opt.csv);
        fflush(opt.csv);
    }
    return fine;
}

/* ---- The command ---- */

static const char help[] =
    "Times Pleat's ops and training steps. Prints CSV:\n"
    "op,case,threads,median_ms,gflops,min_ms,gbps,peak_percent,peak_mib\n"
    "\n"
    "  --filter REGEX    only cases whose \"op,case\" it is found in (extended, as grep -E)\n"
    "  --threads 1,2     thread counts, interleaved (default: 1 and the most)\n"
    "  --min-time 0.3    seconds per case and thread count\n"
    "  --rounds 3        that the time is split over\n"
    "  --csv FILE        the CSV goes there, and a table to the standard output\n"
    "  --list            only name the cases\n"
    "  --stdin           run the cases that are named on the standard input, one round of each\n"
    "  --peak CASE       only print the case's peak_mib\n"
    "\n"
    "A call of .fwd is recorded nowhere; one of .fwdbwd computes the gradients of all inputs, too, and counts as "
    "three;\none of .twice differentiates those again, by the inputs and by the output's gradient.\n"
    "gbps counts each input and output once. peak_percent: of the multiply-adds that the cores were seen to do in\n"
    "registers between the samples. peak_mib: what the resident memory of a process of its own grows by, from before "
    "the\ncase is made until it was run once.\n";

static int usage(const char *what, const char *value)
{
    fprintf(stderr, "pleat_bench: %s %s (--help)\n", what, value);
    return 2;
}

/* What peak_alone asks for. */
static int print_peak(const char *name)
{
    const bench_case *c = find(name);
    if (!c)
        return usage("no case:", name);
    const double before = resident_reset();
    if (before < 0 || !make(c))
        return 1;
    printf("%.0f\n", resident("VmHWM:") - before);
    unmake();
    return 0;
}

static bool read_threads(const char *text)
{
    opt.threads = 0;
    for (char *end; *text; text = *end == ',' ? end + 1 : end) {
        const long n = strtol(text, &end, 10);
        if (end == text || (*end && *end != ',') || n < 1 || n > INT_MAX || opt.threads == MOST_THREADS)
            return false;
        opt.thread[opt.threads++] = (int)n;
    }
    return opt.threads > 0;
}

static bool read_number(const char *text, double low, double high, double *x)
{
    char *end;
    *x = strtod(text, &end);
    return end != text && !*end && *x >= low && *x <= high;
}

int main(int argc, char **argv)
{
    const char *filter = "", *file = NULL, *peak = NULL;
    bool listing = false, serving = false;
    const int most = pleat_threads();
    opt.thread[opt.threads++] = 1;
    if (most > 1)
        opt.thread[opt.threads++] = most;
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(name, "--help") == 0)
            return fputs(help, stdout) < 0;
        if (strcmp(name, "--list") == 0) {
            listing = true;
            continue;
        }
        if (strcmp(name, "--stdin") == 0) {
            serving = true;
            continue;
        }
        if (!value)
            return usage("unknown, or without its value:", name);
        i++;
        double x;
        if (strcmp(name, "--filter") == 0)
            filter = value;
        else if (strcmp(name, "--csv") == 0)
            file = value;
        else if (strcmp(name, "--peak") == 0)
            peak = value;
        else if (strcmp(name, "--threads") == 0) {
            if (!read_threads(value))
                return usage("--threads takes numbers from 1 up, with commas, not", value);
        } else if (strcmp(name, "--min-time") == 0) {
            if (!read_number(value, 0, 3600, &opt.min_time))
                return usage("--min-time takes seconds, not", value);
        } else if (strcmp(name, "--rounds") == 0) {
            if (!read_number(value, 1, 1000, &x))
                return usage("--rounds takes a number from 1 to 1000, not", value);
            opt.rounds = (int)x;
        } else
            return usage("unknown option", name);
    }
    for (int i = 0; i < opt.threads; i++)
        bench_most_threads = opt.thread[i] > bench_most_threads ? opt.thread[i] : bench_most_threads;
    regex_t wanted;
    if (regcomp(&wanted, filter, REG_EXTENDED | REG_NOSUB) != 0)
        return usage("no regular expression:", filter);
    opt.csv = stdout;
    if (file) {
        opt.table = stdout;
        opt.csv = fopen(file, "w");
        if (!opt.csv)
            return usage(strerror(errno), file);
    }

    bench_add_limits();
    bench_add_ops();
    bench_add_nets();
    if (peak)
        return print_peak(peak);
    bool fine = true;
    if (!listing)
        print_header();
    if (serving && !listing)
        fine = serve();
    for (int i = 0; i < count && !serving; i++) {
        char name[128];
        name_of(&cases[i], name);
        if (regexec(&wanted, name, 0, NULL, 0) != 0)
            continue;
        if (listing)
            puts(name);
        else
            fine &= run(&cases[i], opt.rounds);
    }
    unmake();
    regfree(&wanted);
    free(cases);
    if (file && fclose(opt.csv) != 0)
        return usage(strerror(errno), file);
    return fine ? 0 : 1;
}
