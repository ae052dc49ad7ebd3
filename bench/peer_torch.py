#!/usr/bin/env python3
"""PyTorch's times of the cases of pleat_bench, for compare.py. Nothing else in Pleat needs PyTorch.

Prints CSV: op,case,threads,median_ms,gflops,min_ms,gbps,peak_percent,peak_mib, as pleat_bench does. Where PyTorch is
faster in the memory format channels_last the case is there twice, as op and as op_cl; compare.py takes the better one.

    peer_torch.py [--threads 1,2] [--filter REGEX] [--min-time 0.3] [--rounds 3] [--list] [--stdin]
"""
import argparse
import ctypes
import functools
import math
import os
import re
import statistics
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

CASES = {}  # 'op,case': (flops, bytes, make); make() returns what one call is


def add(op, case, flops, nbytes, make):
    CASES[op + ',' + case] = (flops, nbytes, make)


def rand(*shape, grad=True, cl=False):
    t = torch.rand(*shape) - 0.5
    if cl:
        t = t.contiguous(memory_format=torch.channels_last)
    return t.requires_grad_(grad)


def forward_of(f, xs):
    def go():
        with torch.no_grad():
            f(*xs)
    return go


def step_of(f, xs):
    wanted = [x for x in xs if x.requires_grad]
    seed = torch.ones_like(f(*xs))

    def go():
        torch.autograd.grad(f(*xs), wanted, seed)
    return go


def twice_of(f, xs):
    wanted = [x for x in xs if x.requires_grad]
    seed = torch.ones_like(f(*xs)).requires_grad_()

    def go():
        grads = torch.autograd.grad(f(*xs), wanted, seed, create_graph=True)
        torch.autograd.grad(grads, wanted + [seed], wanted, allow_unused=True)
    return go


def ways(op, case, flops, nbytes, f, make, gradients=True):
    """Forward without recording, forward with the gradients of the inputs, of f on make()'s inputs, and where little is
    read and written the gradients of those gradients."""
    add(op + '.fwd', case, flops, nbytes, lambda: forward_of(f, make()))
    if gradients:
        add(op + '.fwdbwd', case, 3 * flops, 3 * nbytes, lambda: step_of(f, make()))
        if 0 < nbytes <= 4e6:
            add(op + '.twice', case, 0, 0, lambda: twice_of(f, make()))


def shape_text(shape):
    return 'x'.join(map(str, shape))


# ---- Products ----

for form, m, n, k in [
        ('NN', 8, 8, 8), ('NN', 16, 16, 16), ('NN', 32, 32, 32), ('NN', 64, 64, 64), ('NN', 128, 128, 128),
        ('NN', 256, 256, 256), ('NN', 512, 512, 512), ('NN', 1024, 1024, 1024), ('TN', 1024, 1024, 1024),
        ('NT', 1024, 1024, 1024), ('TT', 1024, 1024, 1024), ('NN', 64, 1024, 27), ('NN', 64, 3136, 576),
        ('NN', 128, 784, 1152), ('NN', 1024, 196, 256), ('NT', 64, 128, 784), ('TN', 128, 784, 64),
        ('NT', 64, 10, 128), ('NT', 64, 128, 12544)]:
    def gemm(a, b, form=form):
        return (a.t() if form[0] == 'T' else a) @ (b.t() if form[1] == 'T' else b)

    def operands(form=form, m=m, n=n, k=k):
        return (rand(*((k, m) if form[0] == 'T' else (m, k))), rand(*((n, k) if form[1] == 'T' else (k, n))))
    add('gemm.fwd', '%s %dx%dx%d' % (form, m, n, k), 2.0 * m * n * k, 0,
        lambda gemm=gemm, operands=operands: forward_of(gemm, operands()))
for b, m, k, n in [(64, 128, 64, 256), (16, 64, 27, 1024)]:
    ways('bmm', '%dx%dx%d @ %dx%dx%d' % (b, m, k, b, k, n), 2.0 * b * m * k * n, 0, torch.matmul,
         lambda b=b, m=m, k=k, n=n: (rand(b, m, k), rand(b, k, n)))
for m, k, n in [(64, 784, 128), (64, 128, 10), (64, 12544, 128), (1024, 1024, 1024), (10000, 64, 10)]:
    ways('linear', '%dx%d -> %d' % (m, k, n), 2.0 * m * k * n, 0, F.linear,
         lambda m=m, k=k, n=n: (rand(m, k), rand(n, k), rand(n)))

# ---- Convolutions, unfold and fold ----

for name, n, c, h, w, o, k, s, p, g, d in [
        ('lenet1', 64, 1, 28, 28, 6, 5, 1, 2, 1, 1), ('lenet2', 64, 6, 14, 14, 16, 5, 1, 0, 1, 1),
        ('mnist1', 64, 1, 28, 28, 32, 3, 1, 1, 1, 1), ('mnist2', 64, 32, 28, 28, 64, 3, 1, 1, 1, 1),
        ('rn20-s1', 128, 16, 32, 32, 16, 3, 1, 1, 1, 1), ('rn20-s2', 128, 32, 16, 16, 32, 3, 1, 1, 1, 1),
        ('rn20-s3', 128, 64, 8, 8, 64, 3, 1, 1, 1, 1), ('rn20-down', 128, 16, 32, 32, 32, 3, 2, 1, 1, 1),
        ('seed', 16, 3, 32, 32, 64, 3, 1, 1, 1, 1), ('in-56', 1, 64, 56, 56, 64, 3, 1, 1, 1, 1),
        ('in-28', 8, 128, 28, 28, 128, 3, 1, 1, 1, 1), ('in-14', 8, 256, 14, 14, 256, 3, 1, 1, 1, 1),
        ('in-stem', 1, 3, 224, 224, 64, 7, 2, 3, 1, 1), ('1x1', 8, 256, 14, 14, 1024, 1, 1, 0, 1, 1),
        ('depthwise', 32, 64, 28, 28, 64, 3, 1, 1, 64, 1), ('k11', 8, 16, 64, 64, 16, 11, 1, 5, 1, 1),
        ('k21', 2, 8, 112, 112, 8, 21, 1, 10, 1, 1), ('k31-dw', 4, 16, 56, 56, 16, 31, 1, 15, 16, 1),
        ('dw-down', 16, 64, 56, 56, 64, 3, 2, 1, 64, 1), ('dw-7', 32, 512, 7, 7, 512, 3, 1, 1, 512, 1),
        ('vit', 16, 3, 224, 224, 192, 16, 16, 0, 1, 1), ('down1x1', 8, 256, 28, 28, 512, 1, 2, 0, 1, 1),
        ('1x1-7', 16, 512, 7, 7, 512, 1, 1, 0, 1, 1), ('disc-out', 64, 256, 4, 4, 100, 4, 1, 0, 1, 1),
        ('d2', 8, 64, 28, 28, 64, 3, 1, 2, 1, 2), ('d4', 8, 64, 28, 28, 64, 3, 1, 4, 1, 4),
        ('d2-14', 8, 256, 14, 14, 256, 3, 1, 2, 1, 2), ('rn18-s2', 8, 64, 56, 56, 128, 3, 2, 1, 1, 1),
        ('rn18-s4', 8, 256, 14, 14, 512, 3, 2, 1, 1, 1)]:
    span = (k - 1) * d + 1
    pixels = n * ((h + 2 * p - span) // s + 1) * ((w + 2 * p - span) // s + 1)
    for cl in (False, True):
        ways('conv2d' + '_cl' * cl, '%s %dx%dx%dx%d O%d k%d s%d p%d g%d' % (name, n, c, h, w, o, k, s, p, g),
             2.0 * pixels * o * (c // g) * k * k, 4.0 * (n * c * h * w + pixels * o + o * (c // g) * k * k),
             lambda x, w, b, s=s, p=p, g=g, d=d: F.conv2d(x, w, b, s, p, d, g),
             lambda n=n, c=c, h=h, w=w, o=o, k=k, g=g, cl=cl:
                 (rand(n, c, h, w, cl=cl), rand(o, c // g, k, k, cl=cl), rand(o)))
for name, n, c, h, w, o, k, s, p, d, out in [
        ('dcgan', 16, 64, 8, 8, 32, (4, 4), (2, 2), (1, 1), (1, 1), (0, 0)),
        ('dcgan2', 16, 32, 16, 16, 16, (4, 4), (2, 2), (1, 1), (1, 1), (0, 0)),
        ('odd', 8, 32, 16, 16, 64, (3, 2), (2, 3), (1, 0), (3, 1), (1, 2)),
        ('dcgan-in', 64, 100, 1, 1, 256, (4, 4), (1, 1), (0, 0), (1, 1), (0, 0)),
        ('unet2', 8, 64, 28, 28, 32, (2, 2), (2, 2), (0, 0), (1, 1), (0, 0)),
        ('unet3', 8, 64, 28, 28, 32, (3, 3), (2, 2), (1, 1), (1, 1), (1, 1))]:
    ho = (h - 1) * s[0] - 2 * p[0] + d[0] * (k[0] - 1) + out[0] + 1
    wo = (w - 1) * s[1] - 2 * p[1] + d[1] * (k[1] - 1) + out[1] + 1
    for cl in (False, True):
        ways('conv_transpose2d' + '_cl' * cl, '%s %dx%dx%dx%d O%d k%dx%d s%dx%d' % ((name, n, c, h, w, o) + k + s),
             2.0 * n * c * h * w * o * k[0] * k[1], 4.0 * (n * c * h * w + n * o * ho * wo),
             lambda x, w, b, s=s, p=p, d=d, out=out: F.conv_transpose2d(x, w, b, s, p, out, 1, d),
             lambda n=n, c=c, h=h, w=w, o=o, k=k, cl=cl:
                 (rand(n, c, h, w, cl=cl), rand(c, o, *k, cl=cl), rand(o)))
for n, c, h in [(16, 3, 32), (64, 32, 28), (8, 64, 56)]:
    nbytes = 4.0 * n * c * h * h * (1 + 9)
    ways('unfold', '%dx%dx%dx%d k3 p1' % (n, c, h, h), 0, nbytes, lambda x: F.unfold(x, 3, padding=1),
         lambda n=n, c=c, h=h: (rand(n, c, h, h),))
    ways('fold', '%dx%dx%dx%d k3 p1' % (n, c, h, h), 0, nbytes, lambda x, h=h: F.fold(x, (h, h), 3, padding=1),
         lambda n=n, c=c, h=h: (rand(n, c * 9, h * h),))

# ---- The lines of cases.h: op, sizes, what is said behind the shape, kinds of inputs, arrays, what is computed ----

SIZES = [(128, 64, 32, 32), (64, 64, 28, 28), (64, 6, 28, 28), (64, 10), (128, 1000), (8192, 1000)]
LARGE, SMALL, IMAGES, LINES, ROWS = 2, 4, 7, 16, 56  # one bit a size
CHANNELS_LAST = ('max_pool2d', 'avg_pool2d', 'adaptive_avg_pool2d', 'nearest', 'bilinear', 'batch_norm')


def input_of(kind, shape, cl):
    channels = shape[1]
    if kind == 'p':
        return torch.rand(*shape).add_(0.5).requires_grad_()
    if kind == 'c':
        return torch.rand(*shape) < 0.5
    if kind in 'it':
        return torch.randint(shape[kind == 't'], shape[:1])
    own = {'w': (channels,), 'b': (1, channels, 1, 1), 'r': shape[-1:]}.get(kind, shape)
    return rand(*own, grad=kind != 'y', cl=cl and own == shape)


for op, sizes, what, kinds, arrays, f in [
        # Pointwise
        ('relu', IMAGES, '', 'x', 2, F.relu),
        ('sigmoid', IMAGES, '', 'x', 2, torch.sigmoid),
        ('tanh', IMAGES, '', 'x', 2, torch.tanh),
        ('exp', IMAGES, '', 'x', 2, torch.exp),
        ('add', IMAGES, '', 'xx', 3, torch.add),
        ('mul', IMAGES, '', 'xx', 3, torch.mul),
        ('add_bcast_c', IMAGES, '', 'xb', 2, torch.add),
        ('add_row', SMALL, '', 'xr', 2, torch.add),
        ('mul_nhwc', LARGE | SMALL, '', 'xx', 3, lambda x, y: x.permute(0, 2, 3, 1) * y.permute(0, 2, 3, 1)),
        ('log', SMALL, '', 'p', 2, torch.log),
        ('sqrt', SMALL, '', 'p', 2, torch.sqrt),
        ('rsqrt', SMALL, '', 'p', 2, torch.rsqrt),
        ('reciprocal', SMALL, '', 'p', 2, torch.reciprocal),
        ('pow', SMALL, ' to 1.5', 'p', 2, lambda x: x.pow(1.5)),
        ('abs', SMALL, '', 'x', 2, torch.abs),
        ('round', SMALL, '', 'y', 2, torch.round),
        ('clamp', SMALL, '', 'x', 2, lambda x: x.clamp(-0.25, 0.25)),
        ('sin', SMALL, '', 'x', 2, torch.sin),
        ('cos', SMALL, '', 'x', 2, torch.cos),
        ('erf', SMALL, '', 'x', 2, torch.erf),
        ('maximum', SMALL, '', 'xx', 3, torch.maximum),
        ('lt', SMALL, '', 'yy', 2.25, torch.lt),
        ('where', SMALL, '', 'xxc', 3.25, lambda x, y, c: torch.where(c, x, y)),
        ('where_zero', SMALL, '', 'xc', 2.25, lambda x, c: torch.where(c, x, 0)),
        ('leaky_relu', SMALL, '', 'x', 2, lambda x: F.leaky_relu(x, 0.1)),
        ('elu', SMALL, '', 'x', 2, F.elu),
        ('silu', SMALL, '', 'x', 2, F.silu),
        ('gelu', SMALL, '', 'x', 2, F.gelu),
        ('gelu_tanh', SMALL, '', 'x', 2, lambda x: F.gelu(x, approximate='tanh')),
        ('mish', SMALL, '', 'x', 2, F.mish),
        ('softplus', SMALL, '', 'x', 2, F.softplus),
        ('logsigmoid', SMALL, '', 'x', 2, F.logsigmoid),
        ('hardswish', SMALL, '', 'x', 2, F.hardswish),
        ('cast', SMALL, ' to float64', 'x', 3, lambda x: x.double()),
        ('dropout', SMALL, '', 'x', 2, lambda x: F.dropout(x, 0.5)),
        # Shapes and copies
        ('transpose_copy', IMAGES, ' NCHW->NHWC', 'x', 2, lambda x: x.permute(0, 2, 3, 1).contiguous()),
        ('transpose_hw', LARGE | SMALL, '', 'x', 2, lambda x: x.transpose(2, 3).contiguous()),
        ('cat', LARGE | SMALL, ' by C', 'xx', 4, lambda x, y: torch.cat([x, y], 1)),
        ('cat_w', LARGE | SMALL, ' by W', 'xx', 4, lambda x, y: torch.cat([x, y], 3)),
        ('stack', LARGE | SMALL, ' behind W', 'xx', 4, lambda x, y: torch.stack([x, y], 4)),
        ('repeat', LARGE | SMALL, ' C twice', 'x', 3, lambda x: x.repeat(1, 2, 1, 1)),
        ('pad', LARGE | SMALL, ' by 2', 'x', 2.3, lambda x: F.pad(x, (2, 2, 2, 2))),
        ('flip_w', LARGE | SMALL, '', 'x', 2, lambda x: x.flip(3)),
        ('flip_n', LARGE | SMALL, '', 'x', 2, lambda x: x.flip(0)),
        ('roll_h', LARGE | SMALL, ' by 3', 'x', 2, lambda x: x.roll(3, 2)),
        ('index_select', LARGE | SMALL, ' of N', 'xi', 2, lambda x, i: x.index_select(0, i)),
        ('embedding', ROWS, '', 'xi', 2, lambda x, i: F.embedding(i, x)),
        ('pixel_shuffle', LARGE, ' by 2', 'x', 2, lambda x: F.pixel_shuffle(x, 2)),
        ('pixel_unshuffle', SMALL, ' by 2', 'x', 2, lambda x: F.pixel_unshuffle(x, 2)),
        # Reductions
        ('sum', IMAGES, '', 'x', 1, torch.sum),
        ('mean_hw', IMAGES, ' over HW', 'x', 1, lambda x: x.mean((2, 3))),
        ('sum_nhw', IMAGES, ' over NHW', 'x', 1, lambda x: x.sum((0, 2, 3))),
        ('mean_w', LARGE, '', 'x', 1, lambda x: x.mean(3)),
        ('amax_c', LARGE, '', 'x', 1, lambda x: x.amax(1)),
        ('amax_w', LARGE, '', 'x', 1, lambda x: x.amax(3)),
        ('max_c', LARGE, ' with places', 'x', 1, lambda x: x.max(1).values),
        ('argmax_c', LARGE, '', 'y', 1, lambda x: x.argmax(1)),
        ('argmax_w', LARGE, '', 'y', 1, lambda x: x.argmax(3)),
        ('prod_w', LARGE, '', 'p', 1, lambda x: x.prod(3)),
        ('var_nhw', LARGE, '', 'x', 1, lambda x: x.var((0, 2, 3))),
        ('std_w', LARGE, '', 'x', 1, lambda x: x.std(3)),
        ('norm', LARGE, '', 'x', 1, torch.norm),
        ('logsumexp_c', LARGE, '', 'x', 1, lambda x: x.logsumexp(1)),
        ('logsumexp_w', LARGE, '', 'x', 1, lambda x: x.logsumexp(3)),
        ('sort', LINES, '', 'x', 2, lambda x: x.sort(1).values),
        ('topk', LINES, ' of 5', 'x', 1, lambda x: x.topk(5, 1).values),
        ('cumsum_c', LARGE, '', 'x', 2, lambda x: x.cumsum(1)),
        ('cumsum_w', LARGE, '', 'x', 2, lambda x: x.cumsum(3)),
        # Pooling, other sizes, normalisation
        ('max_pool2d', IMAGES, ' k2', 'x', 1.25, lambda x: F.max_pool2d(x, 2)),
        ('avg_pool2d', IMAGES, ' k2', 'x', 1.25, lambda x: F.avg_pool2d(x, 2)),
        ('max_pool2d', LARGE, ' k3 s2 p1', 'x', 1.25, lambda x: F.max_pool2d(x, 3, 2, 1)),
        ('avg_pool2d', LARGE, ' k3 s2 p1', 'x', 1.25, lambda x: F.avg_pool2d(x, 3, 2, 1)),
        ('adaptive_avg_pool2d', LARGE, ' to 7x7', 'x', 1.0625, lambda x: F.adaptive_avg_pool2d(x, 7)),
        ('nearest', SMALL, ' by 2', 'x', 5, lambda x: F.interpolate(x, scale_factor=2)),
        ('bilinear', SMALL, ' by 2', 'x', 5, lambda x: F.interpolate(x, scale_factor=2, mode='bilinear')),
        ('batch_norm', IMAGES, ' training', 'xww', 2, lambda x, g, b: F.batch_norm(x, None, None, g, b, True)),
        ('layer_norm', ROWS, '', 'xww', 2, lambda x, g, b: F.layer_norm(x, x.shape[1:], g, b)),
        ('layer_norm', LARGE, ' over W', 'xrr', 2, lambda x, g, b: F.layer_norm(x, x.shape[3:], g, b)),
        ('group_norm', LARGE | SMALL, ' of 2', 'xww', 2, lambda x, g, b: F.group_norm(x, 2, g, b)),
        # Softmax and losses
        ('softmax', ROWS, '', 'x', 2, lambda x: F.softmax(x, 1)),
        ('log_softmax', ROWS, '', 'x', 2, lambda x: F.log_softmax(x, 1)),
        ('cross_entropy', ROWS, '', 'xt', 1, F.cross_entropy),
        ('softmax_c', LARGE, '', 'x', 2, lambda x: F.softmax(x, 1)),
        ('softmax_w', LARGE, '', 'x', 2, lambda x: F.softmax(x, 3)),
        ('mse_loss', LARGE, '', 'xy', 2, F.mse_loss),
        ('l1_loss', LARGE, '', 'xy', 2, F.l1_loss),
        ('huber_loss', LARGE, '', 'xy', 2, lambda x, y: F.huber_loss(x, y, delta=0.5)),
        ('smooth_l1_loss', LARGE, '', 'xy', 2, lambda x, y: F.smooth_l1_loss(x, y, beta=0.5)),
        ('bce', LARGE, ' of sigmoid', 'xc', 2, lambda x, c: F.binary_cross_entropy(x.sigmoid(), c.float())),
        ('bce_with_logits', LARGE, '', 'xy', 2, F.binary_cross_entropy_with_logits)]:
    for shape in [s for i, s in enumerate(SIZES) if sizes & 1 << i]:
        for cl in (False, True)[:1 + (op in CHANNELS_LAST)]:
            ways(op + '_cl' * cl, shape_text(shape) + what, 0, 4.0 * arrays * math.prod(shape), f,
                 lambda kinds=kinds, shape=shape, cl=cl: [input_of(k, shape, cl) for k in kinds],
                 any(k not in 'ycit' for k in kinds))

# ---- What a call costs where there is next to nothing to compute ----


def chain(x, one):
    for _ in range(1000):
        x = x + one
    return x


ways('chain1000', '1000 adds of 1 element', 0, 0, chain, lambda: (rand(1), rand(1, grad=False)))
for case, f, shapes in [
        ('add of 1 element', torch.add, [(1,), (1,)]), ('relu of 1 element', F.relu, [(1,)]),
        ('reshape of 1 element', lambda x: x.reshape(1, 1), [(1,)]), ('sum of 1 element', torch.sum, [(1,)]),
        ('matmul 1x1', torch.matmul, [(1, 1), (1, 1)]), ('linear 1x1', F.linear, [(1, 1), (1, 1), (1,)]),
        ('conv2d 1x1x1x1 k1', F.conv2d, [(1, 1, 1, 1), (1, 1, 1, 1), (1,)]),
        ('batch_norm 2x1x1x1', lambda x, g, b: F.batch_norm(x, None, None, g, b, True), [(2, 1, 1, 1), (1,), (1,)])]:
    ways('call', case, 0, 0, f, lambda shapes=shapes: tuple(rand(*s) for s in shapes))

# ---- Training steps and optimizers ----


class Block(nn.Module):
    def __init__(self, i, o, s):
        super().__init__()
        self.c1, self.b1 = nn.Conv2d(i, o, 3, s, 1, bias=False), nn.BatchNorm2d(o)
        self.c2, self.b2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
        self.short = None if i == o else nn.Sequential(nn.Conv2d(i, o, 1, s, bias=False), nn.BatchNorm2d(o))

    def forward(self, x):
        y = self.b2(self.c2(F.relu(self.b1(self.c1(x)))))
        return F.relu(y + (x if self.short is None else self.short(x)))


def resnet20():
    layers, i = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for o, s in ((16, 1), (32, 2), (64, 2)):
        for j in range(3):
            layers.append(Block(i, o, s if j == 0 else 1))
            i = o
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def resnet20_recomputed():
    net = resnet20()
    for block in net[3:12]:
        block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)
    return net


def lenet5():
    return nn.Sequential(nn.Conv2d(1, 6, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(),
                         nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
                         nn.Linear(84, 10))


def mnist_cnn():
    return nn.Sequential(nn.Conv2d(1, 32, 3, 1, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Flatten(), nn.Linear(12544, 128), nn.ReLU(), nn.Linear(128, 10))


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


NETS = {  # floating-point operations of the convolutions and linear layers, and of the first of them
    'mlp784-128-10': (mlp, (1, 28, 28), 203264.0, 200704.0), 'lenet5': (lenet5, (1, 28, 28), 833040.0, 235200.0),
    'mnist-cnn': (mnist_cnn, (1, 28, 28), 32566784.0, 451584.0),
    'resnet20': (resnet20, (3, 32, 32), 81626368.0, 884736.0),
    'resnet20-recomputed': (resnet20_recomputed, (3, 32, 32), 81626368.0, 884736.0)}


def optimizer(name, parameters, lr):
    kind = {'sgd': torch.optim.SGD, 'adam': torch.optim.Adam, 'adamw': torch.optim.AdamW}[name]
    options = {'momentum': 0.9} if name == 'sgd' else {}
    try:
        return kind(list(parameters), lr=lr, fused=True, **options)
    except (TypeError, RuntimeError):  # older than fused optimizers on CPUs
        return kind(list(parameters), lr=lr, **options)


def net_and_images(name, batch, cl):
    make, image, _, _ = NETS[name]
    net, x = make(), rand(batch, *image, grad=False, cl=cl)
    return net.to(memory_format=torch.channels_last) if cl else net, x


def infer(name, batch, cl):
    net, x = net_and_images(name, batch, cl)
    net.eval()

    def go():
        with torch.inference_mode():
            net(x)
    return go


def train(name, batch, cl):
    net, x = net_and_images(name, batch, cl)
    t = torch.randint(10, (batch,))
    opt = optimizer('sgd', net.parameters(), 0.01)

    def go():
        opt.zero_grad(set_to_none=True)
        F.cross_entropy(net(x), t).backward()
        opt.step()
    return go


def optimizer_step(kind, name):
    net, x = net_and_images(name, 2, False)
    F.cross_entropy(net(x), torch.randint(10, (2,))).backward()
    return optimizer(kind, net.parameters(), 1e-6).step


for name, batch in (('mlp784-128-10', 64), ('mlp784-128-10', 1), ('lenet5', 64), ('lenet5', 1), ('mnist-cnn', 64),
                    ('resnet20', 128), ('resnet20-recomputed', 128)):
    for cl in (False, True):
        _, _, flops, first = NETS[name]
        add('train' + '_cl' * cl, '%s bs%d' % (name, batch), batch * (3 * flops - first), 0,
            lambda name=name, batch=batch, cl=cl: train(name, batch, cl))
for name in ('mlp784-128-10', 'lenet5', 'mnist-cnn', 'resnet20'):
    for batch in (64, 1):
        for cl in (False, True):
            add('infer' + '_cl' * cl, '%s bs%d' % (name, batch), batch * NETS[name][2], 0,
                lambda name=name, batch=batch, cl=cl: infer(name, batch, cl))
for kind, arrays in (('sgd', 5), ('adam', 7), ('adamw', 7)):
    for name in ('mnist-cnn', 'resnet20'):
        add('optimizer', "%s of %s's parameters" % (kind, name), 0,
            4.0 * arrays * {'mnist-cnn': 1625866, 'resnet20': 272474}[name],
            lambda kind=kind, name=name: optimizer_step(kind, name))

# ---- Running them ----


def sample(call, seconds, at_least):
    """Times of one call each, over about so many seconds; short calls are timed in groups of a millisecond."""
    start = time.perf_counter()
    call()
    group = max(1, int(1e-3 / max(time.perf_counter() - start, 1e-8)))
    times, end = [], time.perf_counter() + seconds
    while len(times) < at_least or time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(group):
            call()
        times.append((time.perf_counter() - start) / group)
    return times


def resident(field):
    """MiB, of Linux; None elsewhere."""
    try:
        with open('/proc/self/status') as f:
            return next(int(line.split()[1]) / 1024 for line in f if line.startswith(field))
    except (OSError, StopIteration):
        return None


def resident_reset():
    try:
        ctypes.CDLL(None).malloc_trim(0)
        with open('/proc/self/clear_refs', 'w') as f:
            f.write('5')
    except (OSError, AttributeError):
        return None
    return resident('VmRSS:')


class Runner:
    def __init__(self, options):
        self.options, self.made = options, {}  # name: (one call, MiB that it took)

    def make(self, name):
        if name in self.made:
            return self.made[name]
        while len(self.made) > 1:  # the two memory formats of a case stay side by side
            del self.made[next(iter(self.made))]
        before = resident_reset() if name.startswith('train') else None
        torch.manual_seed(0)
        torch.set_num_threads(max(self.options.threads))
        call = CASES[name][2]()
        call()
        self.made[name] = call, None if before is None else resident('VmHWM:') - before
        return self.made[name]

    def run(self, name, rounds):
        call, peak = self.make(name)
        o, flops, nbytes = self.options, *CASES[name][:2]
        times = {t: [] for t in o.threads}
        for _ in range(rounds):
            for t in o.threads:
                torch.set_num_threads(t)
                times[t] += sample(call, o.min_time / o.rounds, (2 + o.rounds) // o.rounds)
        for t in o.threads:
            mid = statistics.median(times[t])
            print('%s,%d,%.6f,%s,%.6f,%s,,%s' % (
                name, t, mid * 1e3, '%.1f' % (flops / mid * 1e-9) if flops else '', min(times[t]) * 1e3,
                '%.1f' % (nbytes / mid * 1e-9) if nbytes and not flops else '',
                '%.0f' % peak if peak is not None else ''), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--threads', default='1,%d' % (os.cpu_count() or 1))
    parser.add_argument('--filter', default='')
    parser.add_argument('--min-time', type=float, default=0.3, help='seconds per case and thread count')
    parser.add_argument('--rounds', type=int, default=3, help='that the time is split over')
    parser.add_argument('--list', action='store_true')
    parser.add_argument('--stdin', action='store_true', help='one round of each case named there')
    options = parser.parse_args()
    options.threads = sorted({int(t) for t in options.threads.split(',')})
    if options.list:
        print(*[name for name in CASES if re.search(options.filter, name)], sep='\n')
        return
    print('op,case,threads,median_ms,gflops,min_ms,gbps,peak_percent,peak_mib', flush=True)
    runner = Runner(options)
    if options.stdin:
        for line in sys.stdin:
            if line.rstrip('\n') in CASES:
                runner.run(line.rstrip('\n'), 1)
            print(flush=True)
    else:
        for name in CASES:
            if re.search(options.filter, name):
                runner.run(name, options.rounds)


if __name__ == '__main__':
    main()
