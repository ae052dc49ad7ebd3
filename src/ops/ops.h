/* The built-in ops, one line an op, in the order of table.c. Users reach them through pleat/ops.h. */
#ifndef PLEAT_OPS_OPS_H
#define PLEAT_OPS_OPS_H

#include <pleat/op.h>

#endif
