#!/usr/bin/env python3
"""Makes errors.txt: inputs that PyTorch refuses, for Pleat to refuse as well.

    make_errors.py SAMPLES.json > errors.txt

They are the error inputs of PyTorch's OpInfo database (SAMPLES.json, as for make_opinfo.py, whose lines these are), and
those below, taken from its other tests, its documentation and its sources. Each is first given to PyTorch, which must
refuse it; what it says stands above the sample in a comment. Of those that cannot be said in Pleat at all the reason is
printed, and how many there are (LEFT_OUT).

    e NAME|VALUE|VALUE    ends a sample: the message begins with NAME and holds at least one of the offending values
"""
import json
import re
import sys

import torch
import torch.nn.functional as F

from make_opinfo import FN, NAMES, spec, values

LEFT_OUT = [
    ("an out= argument", lambda op, s: "out" in s["kwargs"]),
    ("a dtype that is not here", lambda op, s: re.search("complex128|int32", json.dumps(s))),
    ("a dtype= argument", lambda op, s: "dtype" in s["kwargs"]),
    ("0 stands for the default here", lambda op, s: s["kwargs"].get("groups") == 0 or s["kwargs"].get("divisor_override") == 0),
    ("a function of its own, not a name, chooses here", lambda op, s: "approximate" in s["kwargs"]),
]


def unsized(module, x, w, b, output_size, stride, **k):
    m = module(w.shape[0], w.shape[1], w.shape[2:], stride=stride, bias=b is not None, dtype=x.dtype, **k)
    return m(x, output_size=output_size)


TORCH = {
    "nn.functional.conv_transpose2d.sized": lambda *t, **k: unsized(torch.nn.ConvTranspose2d, *t, **k),
    "nn.functional.conv_transpose1d.sized": lambda *t, **k: unsized(torch.nn.ConvTranspose1d, *t, **k),
    "nn.functional.max_unpool2d": lambda x, i, output_size: F.max_unpool2d(x, i, 2, output_size=output_size),
    "nn.functional.lp_pool2d": lambda x, kernel, **k: F.lp_pool2d(x, 2.0, kernel, **k),
    "nn.functional.batch_norm": lambda x, *t, training=0, **k: F.batch_norm(x, *t, training=bool(training), **k),
    "nn.functional.instance_norm": lambda x, **k: F.instance_norm(x, **k),
    "nn.functional.layer_norm": lambda x, *t, shape: F.layer_norm(x, shape, *t),
    "nn.functional.embedding": lambda w, i, **k: F.embedding(i, w, **k),
    "nn.functional.interpolate": F.interpolate,
    "nn.functional.pad": lambda x, pad, mode, **k: F.pad(x, pad, mode, **k),
    "nn.functional.avg_pool2d": lambda x, **k: F.avg_pool2d(x, **k),
    "cat": lambda *t, dim=0: torch.cat(t, dim), "stack": lambda *t, dim=0: torch.stack(t, dim),
    "einsum": lambda *t, equation: torch.einsum(equation, *t),
    "gather": lambda x, i, dim: torch.gather(x, dim, i),
    "scatter": lambda x, i, s, dim: torch.scatter(x, dim, i, s),
    "scatter_add": lambda x, i, s, dim: torch.scatter_add(x, dim, i, s),
    "scatter_multiply": lambda x, i, s, dim: torch.scatter_reduce(x, dim, i, s, "prod"),
    "index_select": lambda x, i, dim: torch.index_select(x, dim, i),
    "index_add": lambda x, i, s, dim: torch.index_add(x, dim, i, s),
    "one_hot": lambda i, classes: F.one_hot(i, classes),
    "where": lambda c, a, b: torch.where(c, a, b),
    "split": lambda x, size, dim=0: torch.split(x, size, dim),
    "split.list_args": lambda x, sizes, dim=0: torch.split(x, sizes, dim),
    "repeat": lambda x, times: x.repeat(times), "expand": lambda x, size: x.expand(size),
    "slice": lambda x, step: x[::step], "squeeze": torch.squeeze,
}
# How C calls an argument, where F.name calls it otherwise.
RENAME = {
    "unfold": {"kernel": "kernel_size"}, "fold": {"kernel": "kernel_size", "size": "output_size"},
    "adaptive_avg_pool2d": {"size": "output_size"}, "adaptive_max_pool2d": {"size": "output_size"},
    "group_norm": {"groups": "num_groups"}, "layer_norm": {"shape": "normalized_shape"},
    "interpolate": {"scale": "scale_factor"}, "avg_pool2d": {"kernel": "kernel_size"},
}


def tensors(text):
    """"1,3,4 2:int64=c5 -": tensors of these shapes, dtypes and fillings, - being a missing one and () one of none."""
    out = []
    for word in text.split():
        if word == "-":
            out.append(None)
            continue
        shape, _, kind = word.partition("=")
        shape, _, dtype = shape.partition(":")
        dims = [int(v) for v in shape.split(",")] if shape != "()" else []
        out.append((dims, dtype or "float64", kind))
    return out


# op, tensors, arguments, offending values
CASES = []


def case(op, text, values_, **args):
    CASES.append((op, tensors(text), args, values_.split("|")))


def nn(op, *rest, **args):
    case("nn.functional." + op, *rest, **args)


# Convolutions: test/nn/test_convolution.py, aten/src/ATen/native/Convolution.cpp
for d, x, w in (("2d", "1,4,8,8", "4,4,3,3"), ("1d", "1,4,8", "4,4,3")):
    c, t = "conv" + d, "conv_transpose" + d
    last = 3 if d == "2d" else 2
    pair = lambda v: f"({v}, {v})" if d == "2d" else f"(1, {v})" if v > 0 else f"(0, {v})|(1, {v})"
    for o in (c, t):
        nn(o, f"{x} {w}:float32", "float32|float64")
        nn(o, f"{x} {w}", pair(-1), stride=-1)
        nn(o, f"{x} {w}", pair(-2), padding=-2)
        nn(o, f"{x} {w}", pair(-1), dilation=-1)
        nn(o, f"{x} {w}", "-2", groups=-2)
        nn(o, f"{x} {w}", "3", groups=3)
        nn(o, f"{x} {w} 3", "(3,)")
        nn(o, f"{x} {w} 4,1", "(4, 1)")
        nn(o, "4 " + w, "(4,)")
        nn(o, "2,1,4,8,8 " + w, "(2, 1, 4, 8, 8)")
        nn(o, x + " 4,4", "(4, 4)")
        nn(o, x + " 4", "(4,)")
    nn(c, "1,3" + x[3:] + " 4,2" + w[3:], "3|2")
    nn(t, "1,3" + x[3:] + " 4,2" + w[3:], "3|4")
    nn(c, x + " 4,4" + ",10" * (last - 1), pair(10))
    nn(c, x + " " + w, pair(5), dilation=5)
    nn(c, f"{x} {w} 4:float32", "float32")
    nn(c, x + " " + w, "2", stride=2, padding="same")
    nn(c, x + " 5,2" + w[3:], "5|2", groups=2)
    nn(t, x + " " + w, "2", stride=2, output_padding=2)
    nn(t, x + " " + w, "1", output_padding=1)
    nn(t, x + " " + w, "-1", stride=2, output_padding=-1)
    nn(t, "1,4" + ",1" * (last - 1) + " " + w, "-3|-1", padding=3)
nn("conv2d", "1,4,8,8 4,4,3,3", "(0, 2)", stride=[0, 2])
nn("conv2d", "1,4,8,8 4,4,3,3", "(1, 0)", dilation=[1, 0])
nn("conv2d", "1,4,8,8 4,4,3,3", "(0, -1)", padding=[0, -1])
nn("conv2d", "1,4,8,8 4,4,3,9", "(3, 9)|(8, 8)")
nn("conv2d", "1,4,8,8 4,4,3,3", str(2**62), padding=2**62)
nn("conv2d", "1,4,8,0 4,4,3,3", "(8, 0)")
nn("conv2d", "1,4,0,8 4,4,3,3", "(0, 8)")
nn("conv_transpose2d", "1,4,8,8 4,4,3,3", "(1, 0)", output_padding=[1, 0], stride=[1, 2])
nn("conv_transpose2d", "1,4,8,8 3,4,3,3", "4|3", groups=2)
for h, w in ((15, 18), (18, 21), (21, 21), (17, 20), (0, 19), (18, -18)):
    nn("conv_transpose2d.sized", "2,3,6,6 3,4,3,3 -", f"({h}, {w})", output_size=[h, w], stride=3)
for n in (17, 21):
    nn("conv_transpose1d.sized", "2,3,6 3,4,3 -", str(n), output_size=[n], stride=3)

# unfold, fold: aten/src/ATen/native/im2col_shape_check.h
for o, x, more in (("unfold", "1,2,5,5", {}), ("fold", "1,8,9", {"size": [4, 4]})):
    nn(o, x, "(0, 2)", kernel=[0, 2], **more)
    nn(o, x, "(-1, 2)", kernel=[-1, 2], **more)
    nn(o, x, "(2, 0)", kernel=2, stride=[2, 0], **more)
    nn(o, x, "(2, -1)", kernel=2, dilation=[2, -1], **more)
    nn(o, x, "(-1, 0)", kernel=2, padding=[-1, 0], **more)
nn("unfold", "2,2", "(2, 2)", kernel=2)
nn("unfold", "1,1,2,5,5", "(1, 1, 2, 5, 5)", kernel=2)
nn("unfold", "1,1,2,2", "(3, 3)|(2, 2)", kernel=3)
nn("unfold", "1,1,5,5", "(3, 3)", kernel=3, dilation=3)
nn("unfold", "1,1,0,5", "(0, 5)", kernel=2)
nn("fold", "1,5,9", "5|(2, 2)", kernel=2, size=[4, 4])
nn("fold", "1,8,8", "8|(1, 8, 8)", kernel=2, size=[4, 4])
nn("fold", "8", "(8,)", kernel=2, size=[4, 4])
nn("fold", "1,1,8,9", "(1, 1, 8, 9)", kernel=2, size=[4, 4])
nn("fold", "1,8,9", "(0, 4)", kernel=2, size=[0, 4])
nn("fold", "1,8,9", "(-4, 4)", kernel=2, size=[-4, 4])
nn("fold", "1,18,9", "(3, 3)|(2, 2)", kernel=3, size=[2, 2])

# Products
case("matmul", "2,3 2,3", "(2, 3)|3|2")
case("matmul", "2 3", "(2,)|(3,)")
case("matmul", "() 3", "()|(3,)")
case("matmul", "3 ()", "()|(3,)")
case("matmul", "2,3,4 3,4,5", "2|3")
case("matmul", "5,3,4 4,4,5", "5|4")
case("matmul", "2,3 3:float32", "float32|float64")
case("matmul", "4 4,3,2", "(4,)|(4, 3, 2)")
case("bmm", "2,3,4 3,4,5", "2|3")
case("bmm", "2,3,4 2,3,5", "4|3")
case("addmm", "2,3 2,2 3,3", "(2, 2)|(3, 3)")
case("addmm", "4,3 2,2 2,3", "(4, 3)|(2, 3)")
nn("linear", "5,3 4,2", "3|2")
nn("linear", "5,3 4,3 5", "(5,)")
nn("linear", "5,3 4,3 4:float32", "float32")
nn("linear", "() 4,3", "()")
nn("linear", "5,3 2,4,3", "(2, 4, 3)")
for equation, text, bad in (
        ("ij,jk->ik", "2,3", "ij,jk->ik|2|1"), ("ij->ij", "2,3 2,3", "2|1|ij->ij"), ("ijk->ik", "2,3", "ijk|(2, 3)|i|3"),
        ("ij,jk->ik", "2,3 4,5", "j|3|4"), ("ij->iz", "2,3", "z"), ("ij->ii", "2,3", "i"), ("i1->i", "2,3", "1"),
        ("ij->i->j", "2,3", "ij->i->j"), ("ii->i", "2,3", "i|2|3"), ("...i..->i", "2,3", "...i..->i|."),
        ("i,i->", "2 3", "i|2|3"), ("...->...i", "2", "i")):
    case("einsum", text, bad, equation=equation)

# Pooling: aten/src/ATen/native/Pool.h
for o, k in (("max_pool2d", "kernel_size"), ("avg_pool2d", "kernel"), ("lp_pool2d", "kernel")):
    nn(o, "1,2,5,5", "(0, 2)|(0, 0)|0", **{k: [0, 2]})
    nn(o, "1,2,5,5", "(-2, -2)", **{k: -2})
    nn(o, "1,2,5,5", "(-1, -1)", **{k: 2}, stride=-1)
    nn(o, "1,2,5,5", "(2, 0)", **{k: 2}, stride=[2, 0])
    nn(o, "1,2,5,5", "(6, 6)|(5, 5)", **{k: 6})
    nn(o, "5", "(5,)", **{k: 2})
    nn(o, "1,1,2,5,5", "(1, 1, 2, 5, 5)", **{k: 2})
    nn(o, "1,2,0,5", "(1, 2, 0, 5)|(0, 5)", **{k: 2})
for o, k in (("max_pool2d", "kernel_size"), ("avg_pool2d", "kernel")):
    nn(o, "1,2,5,5", "(2, 2)", **{k: 2}, padding=2)
    nn(o, "1,2,5,5", "(0, -1)", **{k: 2}, padding=[0, -1])
nn("max_pool2d", "1,2,5,5", "(-1, -1)", kernel_size=2, dilation=-1)
nn("max_pool2d", "1,2,5,5", "(3, 3)", kernel_size=3, dilation=3)
for o in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
    nn(o, "1,2,5,5", "(-2, 3)", size=[-2, 3])
    nn(o, "5", "(5,)", size=[3, 3])
    nn(o, "1,2,0,5", "(1, 2, 0, 5)", size=[3, 3])
nn("max_unpool2d", "1,1,2,2 1,1,2,2:int64=c16", "16", output_size=[4, 4])
nn("max_unpool2d", "1,1,2,2 1,1,2,2:int64=c-2", "-2", output_size=[4, 4])
nn("max_unpool2d", "1,1,2,2 1,1,2,3:int64=c0", "(1, 1, 2, 2)|(1, 1, 2, 3)", output_size=[4, 4])
nn("max_unpool2d", "1,1,2,2 1,1,2,2", "float64", output_size=[4, 4])
nn("max_unpool2d", "2,2 2,2:int64=c0", "(2, 2)", output_size=[4, 4])

# Normalisation
nn("batch_norm", "1,3 3 3", "(1, 3)", training=1)
nn("batch_norm", "2,3,4 2 3", "(2,)")
nn("batch_norm", "2,3,4 3 4", "(4,)")
nn("batch_norm", "2,3,4 3 3 2", "(2,)")
nn("batch_norm", "2,3,4 3 3 3 5", "(5,)")
nn("batch_norm", "2,3,4 - -", "running|training", training=0)
nn("batch_norm", "3 3 3", "(3,)", training=1)
nn("layer_norm", "2,3,4", "(3, 4)|(3,)|(2, 3, 4)", shape=[3])
nn("layer_norm", "2,3,4 3", "(3,)|(4,)", shape=[4])
nn("layer_norm", "2,3,4 4 3", "(3,)|(4,)", shape=[4])
nn("layer_norm", "4", "(2, 4)|(4,)", shape=[2, 4])
nn("group_norm", "2,6,4", "6|4", groups=4)
nn("group_norm", "2,6,4", "-2", groups=-2)
nn("instance_norm", "2,6,1", "(2, 6, 1)")
nn("local_response_norm", "2,3,4", "0", size=0)
nn("local_response_norm", "2,3", "(2, 3)", size=2)
for o in ("softmax", "log_softmax", "cumsum", "logsumexp"):
    case(o, "2,3", "2", dim=2)
    case(o, "2,3", "-3", dim=-3)
    case(o, "()", "1", dim=1)
case("softmax", "2,3:int64", "int64", dim=0)
case("log_softmax", "2,3:int64", "int64", dim=0)

# Losses
for o in ("cross_entropy", "nll_loss"):
    nn(o, "2,3 2:int64=c3", "3")
    nn(o, "2,3 2:int64=c-2", "-2")
    nn(o, "2,3 3:int64=c0", "(3,)|(2,)")
    nn(o, "2,3 2,3:int64=c0", "(2, 3)|(2,)")
    nn(o, "2,3,4 2,5:int64=c0", "(2, 5)|(2, 4)")
    nn(o, "2,3 2:int64=c0 2", "(2,)|(3,)", weight="tensor2")
    nn(o, "2,3 2:int64=c0 3:float32", "float32", weight="tensor2")
nn("nll_loss", "2,3 2", "float64")
nn("cross_entropy", "2,3 2,4", "(2, 4)|(2, 3)")
nn("cross_entropy", "2,3 2:int64=c0", "1.5", label_smoothing=1.5)
for o in ("mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss", "kl_div", "poisson_nll_loss", "binary_cross_entropy",
          "binary_cross_entropy_with_logits"):
    nn(o, "5,4=q 3,4=q", "(3, 4)|(5, 4)")
nn("smooth_l1_loss", "5,4 5,4", "-1", beta=-1)
nn("binary_cross_entropy", "5,4=c1.5 5,4=q", "1.5")
nn("binary_cross_entropy", "5,4=c-0.5 5,4=q", "-0.5")
nn("dropout", "3", "1.5", p=1.5)
nn("dropout", "3", "-0.1", p=-0.1)
nn("prelu", "2,3 2", "(2,)")
nn("embedding", "4,3 2:int64=c4", "4")
nn("embedding", "4,3 2:int64=c-1", "-1")
nn("embedding", "4,3 2:int64=c0", "4", padding_idx=4)
nn("embedding", "4,3 2", "float64")

# Elementwise: shapes that do not broadcast
for o in ("add", "sub", "mul", "div", "maximum", "minimum", "eq", "ne", "lt", "le", "gt", "ge"):
    case(o, "2,3 2,4", "(2, 3)|(2, 4)|3|4")
    case(o, "2,3 3,3", "(2, 3)|(3, 3)|2|3")
case("where", "2,3:uint8=b 2,3 2,4", "(2, 3)|(2, 4)|3|4")
case("where", "2,4:uint8=b 2,3 2,3", "(2, 3)|(2, 4)|3|4")
case("where", "2,3 2,3 2,3", "float64")

# Reductions
for o in ("sum", "mean", "amax", "amin", "var", "std", "prod", "norm"):
    case(o, "2,3", "2", dim=2)
    case(o, "2,3", "-3", dim=-3)
for o in ("sum", "mean", "amax", "amin", "var", "std", "norm"):
    case(o, "2,3,4", "0|-3", dim=[0, -3])
for o in ("argmax", "argmin", "max", "min"):
    case(o, "2,3", "2", dim=2)
    case(o, "2,0", "(2, 0)|1", dim=1)
case("amax", "2,0", "(2, 0)", dim=1)
case("amin", "0,2", "(0, 2)", dim=0)
case("mean", "2,3:int64", "int64", dim=0)
case("var", "2,3:int64", "int64", dim=0)
case("std", "2,3:int64", "int64", dim=0)

# Views
for shape, bad in (([4], "(4,)|(2, 3)"), ([-1, -1], "-1"), ([-1, 4], "4|(2, 3)"), ([-2, 3], "-2"), ([0], "0|(2, 3)")):
    case("reshape", "2,3", bad, shape=shape)
case("reshape", "0", "0", shape=[-1, 0])
case("permute", "2,3", "1|(2, 3)", dims=[0])
case("permute", "2,3", "0|1", dims=[0, 0])
case("permute", "2,3", "2", dims=[0, 2])
case("transpose", "2,3", "2", dim0=0, dim1=2)
case("transpose", "2,3", "-3", dim0=-3, dim1=0)
case("narrow", "2,3", "3|2", dim=1, start=2, length=2)
case("narrow", "2,3", "-1", dim=1, start=0, length=-1)
case("narrow", "2,3", "4", dim=1, start=4, length=0)
case("narrow", "2,3", "2", dim=2, start=0, length=1)
case("narrow", "()", "0", dim=0, start=0, length=1)
case("select", "2,3", "3", dim=1, index=3)
case("select", "2,3", "-4", dim=1, index=-4)
case("select", "2,3", "2", dim=2, index=0)
case("select", "()", "0", dim=0, index=0)
case("slice", "4", "0", step=0)
case("slice", "4", "-1", step=-1)
case("squeeze", "2,1", "2", dim=2)
case("unsqueeze", "2,3", "3", dim=3)
case("unsqueeze", "2,3", "-4", dim=-4)
case("flatten", "2,3,4", "2|1", start_dim=2, end_dim=1)
case("flatten", "2,3,4", "3", start_dim=0, end_dim=3)
case("expand", "2,3", "(4, 3)|(2, 3)", size=[4, 3])
case("expand", "2,3", "1|(2, 3)", size=[3])
case("expand", "2,3", "-1", size=[-1, 2, 3])
case("expand", "1,3", "-2", size=[-2, 3])

# Moves
case("cat", "2,3 2,4", "(2, 3)|(2, 4)", dim=0)
case("cat", "2,3 2,3", "2", dim=2)
case("cat", "2,3 2,3", "-3", dim=-3)
case("stack", "2,3 2,4", "(2, 3)|(2, 4)", dim=0)
case("stack", "2,3 2,3", "3", dim=3)
case("split.list_args", "6", "5|6", sizes=[2, 3])
case("split.list_args", "6", "-1", sizes=[7, -1])
case("split.list_args", "6", "1", sizes=[6], dim=1)
case("chunk", "6", "0", chunks=0)
case("chunk", "6", "1", chunks=2, dim=1)
nn("pad", "2,3", "3|1", pad=[1], mode="constant")
nn("pad", "2,3", "6", pad=[1] * 6, mode="constant")
nn("pad", "2,3", "-2", pad=[-2, -2], mode="constant")
nn("pad", "1,2,3", "3", pad=[3, 0], mode="reflect")
nn("pad", "1,2,3", "4", pad=[0, 4], mode="reflect")
nn("pad", "1,2,3", "4", pad=[4, 0], mode="circular")
nn("pad", "1,2,3", "-4", pad=[-4, 0], mode="replicate")
nn("pad", "1,2,0", "(1, 2, 0)", pad=[1, 1], mode="replicate")
case("repeat", "2,3", "(2, 3)", times=[2])
case("repeat", "2,3", "-1", times=[2, -1])
case("roll", "2,3", "2", shifts=[1], dims=[2])
case("roll", "2,3", "2|1", shifts=[1], dims=[0, 1])
case("flip", "2,3", "2", dims=[2])
case("flip", "2,3", "0|-2", dims=[0, -2])
case("gather", "2,3 2,2:int64=c3", "3", dim=1)
case("gather", "2,3 2,2:int64=c-1", "-1", dim=1)
case("gather", "2,3 2,2:int64=c0", "2", dim=2)
case("gather", "2,3 2,2", "float64", dim=1)
for o in ("scatter", "scatter_add", "scatter_multiply"):
    case(o, "2,3 2,2:int64=c3 2,2", "3", dim=1)
    case(o, "2,3 2,2:int64=c-1 2,2", "-1", dim=1)
    case(o, "2,3 2,2:int64=c0 2,2", "2", dim=2)
    case(o, "2,3 2,2:int64=c0 2,1", "(2, 1)|(2, 2)", dim=1)
    case(o, "2,3 3,2:int64=c0 3,2", "(3, 2)|(2, 3)", dim=1)
    case(o, "2,3 2,2:int64=c0 2,2:float32", "float32", dim=1)
    case(o, "2,3 2,2 2,2", "float64", dim=1)
case("index_select", "2,3 2:int64=c3", "3", dim=1)
case("index_select", "2,3 2,2:int64=c0", "(2, 2)", dim=1)
case("index_select", "2,3 2:int64=c0", "2", dim=2)
case("index_select", "2,3 2", "float64", dim=1)
case("index_add", "2,3 2:int64=c3 2,2", "3", dim=1)
case("index_add", "2,3 2:int64=c0 2,3", "(2, 3)|(2, 2)", dim=1)
case("index_add", "2,3 2,2:int64=c0 2,2", "(2, 2)", dim=1)
case("one_hot", "2:int64=c3", "3", classes=3)
case("one_hot", "2:int64=c-1", "-1", classes=3)
case("one_hot", "2", "float64", classes=3)
case("topk", "2,3", "4", k=4, dim=1)
case("topk", "2,3", "-1", k=-1, dim=1)
case("topk", "2,3", "2", k=1, dim=2)
case("sort", "2,3", "2", dim=2)
nn("interpolate", "1,2,3,3", "2", size=[2, 2], scale=[2.0, 2.0], mode="nearest")
nn("interpolate", "1,2,3,3", "0", mode="nearest")
nn("interpolate", "2,3", "(2, 3)", size=[2, 2], mode="nearest")
nn("interpolate", "1,2,0,3", "(1, 2, 0, 3)|0", size=[2, 2], mode="nearest")
nn("interpolate", "1,2,3,3", "-1", size=[-1, 2], mode="nearest")
nn("interpolate", "1,2,3,3", "0", size=[0, 2], mode="bilinear")
nn("interpolate", "1,2,3,3", "0.1", scale=[0.1, 2.0], mode="nearest")
nn("interpolate", "1,2,3,3", "0", size=[2, 2], mode="nearest", align_corners=1)
nn("interpolate", "1,2,3,3", "3", size=[2, 2], mode="area", align_corners=1)
nn("interpolate", "1,2,3", "(1, 2, 3)", size=[2], mode="bicubic")
nn("pixel_shuffle", "1,8,3,3", "8|3", upscale_factor=3)
nn("pixel_shuffle", "1,8,3,3", "0", upscale_factor=0)
nn("pixel_shuffle", "3,3", "(3, 3)", upscale_factor=1)
nn("pixel_unshuffle", "1,8,3,4", "2|(1, 8, 3, 4)", downscale_factor=2)
nn("pixel_unshuffle", "1,8,3,4", "-1", downscale_factor=-1)

def called(op):
    """The op whose name a message begins with."""
    parts = op.split(".")
    last = parts[-1]
    if last == "sized":
        return parts[-2]
    return {"bmm": "matmul", "list_args": "split", "gt": "lt", "ge": "le", "addmm": ""}.get(last, last)


def fill(dims, dtype, kind, seed):
    kind = kind or "u"
    t = torch.full(dims, float(kind[1:]), dtype=torch.float64) if kind[0] == "c" else values(kind, seed, dims)
    return kind, t.to(torch.bool if dtype == "uint8" else getattr(torch, dtype))


def refused(fn, lines, tokens, name):
    """The sample, if PyTorch refuses it."""
    try:
        fn()
    except Exception as e:
        return [f"# {str(e).strip().splitlines()[0][:160]}"] + lines + ["e " + "|".join([name] + tokens)]
    print(f"PyTorch takes {lines}", file=sys.stderr)
    return []


def show_arg(name, v):
    if isinstance(v, str):
        return f"s {name} {v}"
    return f"k {name} " + " ".join("%.17g" % x for x in (v if isinstance(v, list) else [v]))


def shape_text(dims):
    return "(" + ", ".join(map(str, dims)) + ("," if len(dims) == 1 else "") + ")"


def of_database(database):
    """The error inputs of the database; and how many were left out for each reason."""
    left = {reason: 0 for reason, _ in LEFT_OUT}
    out, seed = [], 0
    for op, entry in database.items():
        short = op.split(".")[2] if op.startswith("nn.functional.") else op
        for s in entry["errors"]:
            reasons = [reason for reason, applies in LEFT_OUT if applies(op, s)]
            if reasons:
                left[reasons[0]] += 1
                continue
            lines, tokens, count = [f"op {op}"], [], 0
            constant = re.search(r"index (\d+) is out", s["regex"])

            def tensor(text):
                nonlocal seed, count
                dims, dtype = spec(text)
                seed, count = seed + 1, count + 1
                kind = "" if dtype != "int64" else f"c{constant.group(1)}" if constant else "c0"
                kind, t = fill(dims, dtype, kind, seed)
                lines.append(f"t {kind} {dtype} {seed} " + " ".join(map(str, dims)))
                tokens.append(shape_text(dims))
                tokens.extend([dtype] if dtype != "float32" else [])
                if constant and kind[0] == "c":
                    tokens.append(kind[1:])
                return t

            def any_(name, v):
                nonlocal count
                if spec(v):
                    return tensor(v)
                if v is None:
                    lines.append("n")
                    count += 1
                    tokens.append(str(count - 1))
                elif name:
                    lines.append(show_arg(name, v))
                    tokens.extend(str(x) for x in (v or [0] if isinstance(v, list) else [v]))
                    tokens.append(shape_text(v) if isinstance(v, list) else shape_text([v, v]))
                return v

            names = NAMES.get(op, [])
            x = s["input"]
            many = isinstance(x, list)
            x = [any_(None, v) for v in x] if many else tensor(x)
            args = [any_(names[i] if i < len(names) else None, v) for i, v in enumerate(s["args"])]
            kwargs = {}
            for name, v in s["kwargs"].items():
                if spec(v):
                    lines.append(f"s {name} tensor{count}")
                kwargs[name] = any_(name, v)
            if "abc" in tokens:
                tokens[:] = ["3"]
            if op == "cat" and (not x or x[0] is not None and x[0].dim() == 0):
                tokens[:] = ["one", "0"]
            fn = FN.get(op) or getattr(F, short)
            out.append(refused(lambda: fn(x, *args, **kwargs), lines, tokens, called(op)))
    return out, left


def of_cases():
    out, seed = [], 5000
    for op, specs, args, tokens in CASES:
        lines, given = [f"op {op}"], []
        for s in specs:
            seed += 1
            if s is None:
                lines.append("n")
                given.append(None)
                continue
            kind, t = fill(*s, seed)
            lines.append(f"t {kind} {s[1]} {seed} " + " ".join(map(str, s[0])))
            given.append(t)
        lines += [show_arg(name, v) for name, v in args.items()]
        short = op.split(".")[2] if op.startswith("nn.functional.") else op
        fn = TORCH.get(op) or (getattr(F, short) if op.startswith("nn.") else getattr(torch, op))
        args = {k: v for k, v in args.items() if not str(v).startswith("tensor")}  # given by their places already
        kwargs = {RENAME.get(short, {}).get(k, k): bool(v) if k == "align_corners" else v for k, v in args.items()}
        out.append(refused(lambda: fn(*given, **kwargs), lines, tokens, called(op)))
    return out


def main():
    with open(sys.argv[1]) as f:
        ours, left = of_database(json.load(f))
    print("# made by make_errors.py with PyTorch", torch.__version__)
    for reason, n in left.items():
        print(f"# {n} of OpInfo's cannot be said: {reason}")
    for lines in ours + of_cases():
        print("\n".join(lines))


main()
