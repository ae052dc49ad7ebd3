/* Errors. The library never prints, exits, aborts or asserts on input.
 *
 * What fails returns NULL or a status and leaves an error pending in its thread. While one is pending, whatever would
 * compute returns NULL or that status at once, so that one check at the end of an expression is enough; getters,
 * release, free, scope and error functions work on. The first error is the one kept. A returned status tells it (it is
 * pending no longer), and so do pleat_check and pleat_error_clear. The text stays readable until the next failure. */
#ifndef PLEAT_ERROR_H
#define PLEAT_ERROR_H

#include <pleat/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The pending error's code, which is thereby told; PLEAT_OK where none is pending. */
PLEAT_API pleat_status pleat_check(void);

/* The text of this thread's last failure: the op, the values and the rule. "" where there was none. Never NULL. */
PLEAT_API const char *pleat_error(void);

/* The code of this thread's last failure; PLEAT_OK where there was none, or since pleat_error_clear. */
PLEAT_API pleat_status pleat_error_code(void);

/* Drops the pending error, if any. */
PLEAT_API void pleat_error_clear(void);

#ifdef __cplusplus
}
#endif
#endif
