/* A sample of opinfo.txt: one call of PyTorch's, its arguments by name. */
#ifndef PLEAT_TEST_OPINFO_H
#define PLEAT_TEST_OPINFO_H

#include <pleat/pleat.h>

enum { OPINFO_TENSORS = 8, OPINFO_ARGS = 12, OPINFO_NUMBERS = 16, OPINFO_OUTPUTS = 8 };

typedef struct {
    char name[32];
    char text[64]; /* of a string; "" for numbers */
    double number[OPINFO_NUMBERS];
    int numbers;
} opinfo_arg;

typedef struct {
    char op[64];
    pleat_tensor *in[OPINFO_TENSORS]; /* NULL: a missing one */
    int tensors;
    opinfo_arg arg[OPINFO_ARGS];
    int args;
} opinfo_sample;

const opinfo_arg *opinfo_find(const opinfo_sample *s, const char *name);
/* Number i of an argument, or its only one; the default where the argument is not there. */
double opinfo_number(const opinfo_sample *s, const char *name, int i, double otherwise);
bool opinfo_is(const opinfo_sample *s, const char *name, const char *text);
pleat_hw opinfo_pair(const opinfo_sample *s, const char *name, int64_t otherwise);
pleat_shape opinfo_shape(const opinfo_sample *s, const char *name);
pleat_dims opinfo_dims(const opinfo_sample *s, const char *name);
/* The tensor that the argument names, or NULL. */
pleat_tensor *opinfo_tensor(const opinfo_sample *s, const char *name);

/* Calls this library's counterpart; returns the number of outputs, 0 with an error pending where it refused, -1 where
 * it has none. */
int opinfo_call(const opinfo_sample *s, pleat_tensor *out[OPINFO_OUTPUTS]);

#endif
