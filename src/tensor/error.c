/* The thread's error: one text, one code, and whether it is still to be told. */
#include "tensor/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

_Thread_local pleat_status pleat_pending_status;

static _Thread_local struct {
    pleat_status code;
    uint64_t failures;
    const char *context;
    bool held; /* by pleat_begin_context */
    char text[1024];
} error;

pleat_status pleat_tell(pleat_status status)
{
    if (status != PLEAT_OK)
        pleat_pending_status = PLEAT_OK;
    return status;
}

uint64_t pleat_failures(void)
{
    return error.failures;
}

pleat_status pleat_take(pleat_status status, uint64_t failures)
{
    if (pleat_pending_status == PLEAT_OK && status != PLEAT_OK) {
        if (error.failures == failures)
            return pleat_fail(status, "failed with %s and without a message", pleat_status_name(status));
        pleat_pending_status = error.code = status;
    }
    return pleat_pending_status;
}

pleat_status pleat_fail(pleat_status status, const char *format, ...)
{
    if (pleat_pending_status != PLEAT_OK || status == PLEAT_OK)
        return pleat_pending_status; /* the first error is the one kept */
    pleat_pending_status = error.code = status;
    error.failures++;
    int n = 0;
    if (error.context)
        n = snprintf(error.text, sizeof error.text, "%s: ", error.context);
    va_list args;
    va_start(args, format);
    vsnprintf(error.text + n, sizeof error.text - (size_t)n, format, args);
    va_end(args);
    return status;
}

void pleat_error_append(const char *format, ...)
{
    const size_t n = strlen(error.text);
    va_list args;
    va_start(args, format);
    vsnprintf(error.text + n, sizeof error.text - n, format, args);
    va_end(args);
}

const char *pleat_context(const char *name)
{
    const char *before = error.context;
    if (!error.held)
        error.context = name;
    return before;
}

static const char within[] = "";

const char *pleat_begin_context(const char *name)
{
    if (error.held)
        return within;
    const char *before = pleat_context(name);
    error.held = true;
    return before;
}

void pleat_end_context(const char *before)
{
    if (before == within)
        return;
    error.held = false;
    error.context = before;
}

pleat_status pleat_check(void)
{
    return pleat_tell(pleat_pending_status);
}

const char *pleat_error(void)
{
    return error.text;
}

pleat_status pleat_error_code(void)
{
    return error.code;
}

void pleat_error_clear(void)
{
    pleat_pending_status = error.code = PLEAT_OK;
}

const char *pleat_status_name(pleat_status status)
{
    static const char *const names[] = {
        [PLEAT_OK] = "PLEAT_OK",           [PLEAT_EINVAL] = "PLEAT_EINVAL",
        [PLEAT_ESHAPE] = "PLEAT_ESHAPE",   [PLEAT_EDTYPE] = "PLEAT_EDTYPE",
        [PLEAT_ENOMEM] = "PLEAT_ENOMEM",   [PLEAT_EGRAD] = "PLEAT_EGRAD",
        [PLEAT_ESCOPE] = "PLEAT_ESCOPE",   [PLEAT_EIO] = "PLEAT_EIO",
        [PLEAT_ELOOKUP] = "PLEAT_ELOOKUP", [PLEAT_ENUMERIC] = "PLEAT_ENUMERIC",
    };
    return (unsigned)status < sizeof names / sizeof *names ? names[status] : "unknown status";
}
