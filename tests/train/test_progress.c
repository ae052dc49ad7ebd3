/* The progress line: on a terminal redrawn, elsewhere one plain line. */
#undef _POSIX_C_SOURCE
#define _XOPEN_SOURCE 700 /* for pseudo-terminals */
#include "support/run.h"

#include <pleat/pleat.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void run(FILE *f, int steps, long pause_ns)
{
    pleat_progress *p = pleat_progress_begin(f, "epoch 1/2", steps);
    ck_assert_ptr_nonnull(p);
    for (int i = 0; i < steps; i++) {
        pleat_progress_update(p, &(pleat_progress_step){ .loss = 0.5, .accuracy = 0.25, .items = 10 });
        nanosleep(&(struct timespec){ 0, pause_ns }, NULL);
    }
    pleat_progress_end(p);
}

static int count(const char *text, const char *word)
{
    int n = 0;
    for (; (text = strstr(text, word)) != NULL; text++)
        n++;
    return n;
}

START_TEST(a_plain_line_elsewhere)
{
    char text[1024] = "";
    FILE *f = tmpfile();
    run(f, 5, 1000000);
    rewind(f);
    ck_assert_uint_gt(fread(text, 1, sizeof text - 1, f), 0);
    fclose(f);
    ck_assert_msg(strncmp(text, "epoch 1/2  loss 0.5000  accuracy 0.2500  ", 41) == 0, "%s", text);
    ck_assert_ptr_nonnull(strstr(text, "images/s\n"));
    ck_assert_int_eq(count(text, "\n"), 1);
    ck_assert_int_eq(count(text, "\r") + count(text, "\033"), 0);
}
END_TEST

START_TEST(a_line_redrawn_on_a_terminal)
{
    const int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
        return; /* there are none here */
    FILE *f = fopen(ptsname(master), "w");
    ck_assert_ptr_nonnull(f);
    const double begun = seconds();
    run(f, 30, 10000000); /* 0.3 s, longer on a busy machine */
    const double taken = seconds() - begun;
    char text[8192] = "";
    for (size_t n = 0; !strchr(text, '\n');) {
        const ssize_t got = read(master, text + n, sizeof text - 1 - n);
        ck_assert_int_gt(got, 0);
        n += (size_t)got;
    }
    /* one redraw at the first step, later ones at least 0.1 s apart, the last line and its "\r\n" */
    const int returns = count(text, "\r");
    ck_assert_msg(returns >= 4 && returns <= (int)(10 * taken) + 3, "%d in %g s: %s", returns, taken, text);
    ck_assert_ptr_nonnull(strstr(text, "epoch 1/2 ["));
    ck_assert_ptr_nonnull(strstr(text, " left"));
    ck_assert_int_eq(count(text, "\n"), 1);
    fclose(f);
    close(master);
}
END_TEST

START_TEST(odd_uses)
{
    ck_assert_ptr_null(pleat_progress_begin(NULL, "x", 3)); /* none is wanted: no error */
    ck_assert_int_eq(pleat_check(), PLEAT_OK);
    pleat_progress_update(NULL, &(pleat_progress_step){ .items = 1 });
    pleat_progress_end(NULL);
    FILE *f = tmpfile();
    pleat_progress *p = pleat_progress_begin(f, NULL, 0);
    pleat_progress_update(p, NULL);
    pleat_progress_update(p, &(pleat_progress_step){ -1, -1, 0 });
    pleat_progress_end(p);
    char text[256] = "";
    rewind(f);
    ck_assert_uint_gt(fread(text, 1, sizeof text - 1, f), 0);
    ck_assert_ptr_null(strstr(text, "loss"));
    for (int64_t n = 1; n <= 2; n++) {
        pleat_memory_fail_after(n);
        ck_assert_ptr_null(pleat_progress_begin(f, "x", 3));
        ck_assert_int_eq(pleat_check(), PLEAT_ENOMEM);
    }
    fclose(f);
}
END_TEST

RUN_TESTS("progress", a_plain_line_elsewhere, a_line_redrawn_on_a_terminal, odd_uses)
