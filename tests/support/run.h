/* main of a test program: the listed tests in one case, each in a process of its own. */
#ifndef PLEAT_TEST_RUN_H
#define PLEAT_TEST_RUN_H

#include <check.h>
#include <stdlib.h>

/* Check's own sends a message to the parent for each assertion that holds, in case the next thing is a crash: minutes
 * for those that look at every element. A failure carries its place itself, and the sanitizers tell that of a crash. */
#define _mark_point(file, line) ((void)0)

#define RUN_TESTS(name, ...)                                                                                           \
    int main(void)                                                                                                     \
    {                                                                                                                  \
        const TTest *const tests[] = { __VA_ARGS__ };                                                                  \
        Suite *suite = suite_create(name);                                                                             \
        TCase *all = tcase_create(name);                                                                               \
        tcase_set_timeout(all, 120);                                                                                   \
        for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)                                                      \
            tcase_add_test(all, tests[i]);                                                                             \
        suite_add_tcase(suite, all);                                                                                   \
        SRunner *runner = srunner_create(suite);                                                                       \
        srunner_run_all(runner, CK_NORMAL);                                                                            \
        const int failed = srunner_ntests_failed(runner);                                                              \
        srunner_free(runner);                                                                                          \
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;                                                                   \
    }

/* The last failure is told, has this code, and its text mentions the words. */
#define ck_assert_failed(code, words)                                                                                  \
    do {                                                                                                               \
        ck_assert_msg(pleat_error_code() == (code), "code %s, not %s: %s", pleat_status_name(pleat_error_code()),      \
                      #code, pleat_error());                                                                           \
        ck_assert_msg(strstr(pleat_error(), (words)) != NULL, "'%s' does not mention '%s'", pleat_error(), (words));   \
        pleat_error_clear();                                                                                           \
    } while (0)

/* The result of a call that must succeed. */
#define ck_assert_ok(call) ck_assert_msg((call) == PLEAT_OK, "%s: %s", #call, pleat_error())

#endif
