/* All of Pleat but the extension API (pleat/op.h). */
#ifndef PLEAT_PLEAT_H
#define PLEAT_PLEAT_H

#include <pleat/autograd.h>
#include <pleat/base.h>
#include <pleat/data.h>
#include <pleat/debug.h>
#include <pleat/error.h>
#include <pleat/gradcheck.h>
#include <pleat/io.h>
#include <pleat/memory.h>
#include <pleat/nn.h>
#include <pleat/ops.h>
#include <pleat/optim.h>
#include <pleat/parallel.h>
#include <pleat/random.h>
#include <pleat/scope.h>
#include <pleat/tensor.h>
#include <pleat/train.h>

#endif
