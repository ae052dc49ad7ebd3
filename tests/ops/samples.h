/* All samples of all families. */
#ifndef PLEAT_TEST_SAMPLES_H
#define PLEAT_TEST_SAMPLES_H

#include "samples_activation.h"
#include "samples_basic.h"
#include "samples_conv.h"
#include "samples_move.h"
#include "samples_norm.h"
#include "samples_shapes.h"

static void samples_all(void)
{
    samples_elementwise();
    samples_activations();
    samples_views();
    samples_reductions();
    samples_without_gradient();
    samples_products();
    samples_windows();
    samples_conv2d();
    samples_conv_transpose2d();
    samples_conv2d_weight();
    samples_pooling();
    samples_other_pooling();
    samples_norm();
    samples_softmax();
    samples_losses();
    samples_dropout();
    samples_joining();
    samples_padding();
    samples_indexing();
    samples_lines();
    samples_interpolation();
    samples_einsum();
    samples_few();
    samples_conv_options();
}

#endif
