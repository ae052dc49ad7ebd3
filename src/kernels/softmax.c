/* Softmax, for both floating types. The loops are in softmax_body.h. */
#include "kernels/softmax.h"

enum {
    TURNED = 120, /* elements of the longest lines that are turned: of longer ones the ragged ends matter less */
    FEW = 2,      /* lines that are not worth turning: it takes as long as for a vector of them */
    WAY = 4096,   /* bytes of one way of the first cache, and how many there are */
    WAYS = 8
};

/* float64's log serves both */
#define PLEAT_FLOAT 64
#include "kernels/softmax_body.h"
#undef PLEAT_FLOAT
#define PLEAT_FLOAT 32
#include "kernels/softmax_body.h"

#define EITHER(name)                                                                                                   \
    static void name(const pleat_softmax_work *work, int64_t begin, int64_t end)                                       \
    {                                                                                                                  \
        (work->dtype == PLEAT_F32 ? name##_f32 : name##_f64)(work, begin, end);                                        \
    }
#define TILED(name)                                                                                                    \
    static void name(const pleat_softmax_work *work, int64_t begin, int64_t end)                                       \
    {                                                                                                                  \
        if (work->dtype == PLEAT_F32)                                                                                  \
            by_tiles_f32(work, begin, end, name##_f32);                                                                \
        else                                                                                                           \
            by_tiles_f64(work, begin, end, name##_f64);                                                                \
    }
TILED(log_softmax)
TILED(softmax)
TILED(log_softmax_gradient)
TILED(softmax_gradient)
EITHER(lse)
EITHER(cross_entropy_gradient)

const struct pleat_softmax_kernels PLEAT_K(softmax_kernels) = {
    .log_softmax = log_softmax,
    .softmax = softmax,
    .log_softmax_gradient = log_softmax_gradient,
    .softmax_gradient = softmax_gradient,
    .lse = lse,
    .cross_entropy_gradient = cross_entropy_gradient,
};
