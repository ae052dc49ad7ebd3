#!/usr/bin/env python3
"""Makes opinfo.txt: what PyTorch answers to the sample inputs of its own test suite, with first and second gradients.

    make_opinfo.py SAMPLES.json > opinfo.txt

SAMPLES.json lists, by the names of PyTorch's OpInfo database, calls as {"input", "args", "kwargs"}, in which "T[2, 3]"
or "T[2]:int64" stands for a tensor. Tensors are filled by the formula that values() states and test_opinfo.c repeats,
so the file holds no inputs; of each result it holds the shape and a few weighted sums (digest()).

    op NAME                   a call begins
    t KIND DTYPE SEED DIMS    a tensor argument, in order ("n": a missing one)
    k NAME NUMBERS / s NAME TEXT   another argument
    o DIMS : SUMS             an output; "g I" the first gradient by tensor I, "h I" the second, "hg" by the output gradient
The second gradients are those of sum_i <g_i, v_i> with v_i from the formula too.
"""
import json
import re
import sys

import numpy as np
import torch
import torch.nn.functional as F

MASK = (1 << 64) - 1


def hashed(seed, n):
    """n numbers in [0, 1): splitmix64 of seed * 2^32 + i, its upper 53 bits."""
    z = (np.arange(n, dtype=np.uint64) + np.uint64((seed << 32) & MASK)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) / (1 << 53)


def values(kind, seed, shape):
    """u: uniform in [-1, 1); p: in [0.1, 1.9); q: a probability, in [0.1, 0.9); iN: an integer below N; b: 0 or 1;
    rD/N: along dimension D, distinct integers below N: ranks of hashed numbers."""
    n = int(np.prod(shape, dtype=np.int64))
    u = hashed(seed, n)
    if kind == "u":
        x = 2 * u - 1
    elif kind == "p":
        x = 0.1 + 1.8 * u
    elif kind == "q":
        x = 0.1 + 0.8 * u
    elif kind == "b":
        return torch.from_numpy((u < 0.5).reshape(shape))
    elif kind[0] == "i":
        return torch.from_numpy((u * int(kind[1:])).astype(np.int64).reshape(shape))
    else:
        d, below = map(int, kind[1:].split("/"))
        if not shape:
            return torch.tensor(0)
        wide = list(shape)
        wide[d] = below
        w = hashed(seed, int(np.prod(wide, dtype=np.int64))).reshape(wide)
        r = np.argsort(w, axis=d, kind="stable")
        return torch.from_numpy(np.ascontiguousarray(np.take(r, np.arange(shape[d]), axis=d)))
    return torch.from_numpy(x.reshape(shape))


SUMS = 3


def digest(t):
    """SUMS sums of the elements, each weighted by hashed numbers of its own in [-1, 1); and of the absolute terms."""
    x = t.detach().to(torch.float64).contiguous().reshape(-1).numpy(force=True)
    out = []
    for k in range(SUMS):
        w = 2 * hashed(900000 + k, x.size) - 1
        out.append(float(np.sum(w * x)) if x.size else 0.0)
    return out


def show(t):
    return " ".join(map(str, t.shape)) + " : " + " ".join("%.17g" % v for v in digest(t))


TENSOR = re.compile(r"T\[([\d, ]*)\](?::(\w+))?$")


def spec(s):
    m = TENSOR.match(s) if isinstance(s, str) else None
    if not m:
        return None
    return [int(v) for v in m.group(1).split(",")] if m.group(1).strip() else [], m.group(2) or "float64"


def unpool_grad(x, index, **kw):
    return F.max_unpool2d(x, index, **kw)


def scatter(x, dim, index, src, reduce=None):
    """With a tensor to reduce with by its names that PyTorch has a gradient of."""
    if reduce and isinstance(src, torch.Tensor):
        return torch.scatter_reduce(x, dim, index, src, {"add": "sum", "multiply": "prod"}[reduce])
    return torch.scatter(x, dim, index, src, **({"reduce": reduce} if reduce else {}))


FN = {
    "addmm": torch.addmm, "bmm": torch.bmm, "cumsum": torch.cumsum, "expand": torch.Tensor.expand, "flip": torch.flip,
    "matmul": torch.matmul, "softmax": torch.softmax, "log_softmax": torch.log_softmax, "permute": torch.permute,
    "roll": torch.roll, "split": torch.split, "split.list_args": torch.split, "gather": torch.gather,
    "index_select": torch.index_select, "scatter": scatter, "logsumexp": torch.logsumexp, "mean": torch.mean,
    "std": torch.std, "var": torch.var, "sum": torch.sum,
    "where": lambda x, c, y: torch.where(c, x, y),
    "stack": lambda ts, *a, **k: torch.stack(ts, *a, **k), "cat": lambda ts, *a, **k: torch.cat(ts, *a, **k),
    "einsum": lambda ts, e: torch.einsum(e, *ts),
    "nn.functional.max_unpool2d.grad": unpool_grad,
    "nn.functional.embedding": lambda w, i, **k: F.embedding(i, w, **k),
    "nn.functional.conv_transpose1d": F.conv_transpose1d, "nn.functional.conv_transpose2d": F.conv_transpose2d,
}
# Names of positional arguments, behind the input, for those that are not tensors.
NAMES = {
    "cumsum": ["dim"], "expand": ["size"], "softmax": ["dim"], "log_softmax": ["dim"], "permute": ["dims"],
    "roll": ["shifts", "dims"], "split": ["size", "dim"], "split.list_args": ["sizes", "dim"], "gather": ["dim", None],
    "index_select": ["dim", None], "scatter": ["dim", None, "value"], "stack": ["dim"], "einsum": ["equation"],
    "logsumexp": ["dim", "keepdim"], "std": ["unbiased"], "var": ["unbiased"],
    "nn.functional.adaptive_avg_pool2d": ["size"], "nn.functional.adaptive_max_pool2d": ["size", "indices"],
    "nn.functional.group_norm": ["groups"], "nn.functional.layer_norm": ["shape", None, None],
    "nn.functional.local_response_norm": ["size"], "nn.functional.pad.constant": ["pad", "mode", "value"],
    "nn.functional.pad.reflect": ["pad", "mode"], "nn.functional.pad.replicate": ["pad", "mode"],
    "nn.functional.pad.circular": ["pad", "mode"],
    "nn.functional.unfold": ["kernel", "dilation", "padding", "stride"],
    "nn.functional.avg_pool2d": ["kernel", "stride", "padding", "ceil_mode", "count_include_pad", "divisor"],
}
for mode in ["nearest", "linear", "bilinear", "bicubic", "area"]:
    NAMES["nn.functional.interpolate." + mode] = ["size", "scale", "mode", "align_corners"]
# Losses whose weights carry no gradient in PyTorch.
NO_WEIGHT_GRADIENT = ["cross_entropy", "nll_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits"]
# Of these no golden numbers are made, and why.
LEFT_OUT = {
    "three spatial dimensions": ["nn.functional.conv_transpose3d", "nn.functional.interpolate.trilinear"],
    "a dtype argument; float64 in and out is the plain case": ["softmax.with_dtype", "log_softmax.dtype"],
    "the same samples as its sibling": ["addmm.decomposed", "nn.functional.batch_norm.without_cudnn"],
    "random": ["nn.functional.dropout"],
    "not among this library's ops": ["as_strided", "nn.functional.grid_sample"],
}
# Made last, so that the seeds of what was there before stay as they are.
LATE = ["nn.functional.embedding", "nn.functional.interpolate.area"]


def left_out(op, sample):
    """Why a sample of an op is left out, or None."""
    if "interpolate" in op and spec(sample["input"])[0][4:]:
        return "three spatial dimensions"
    if "embedding" in op and set(sample["kwargs"]) - {"padding_idx"}:
        return "options that this library has not: " + ", ".join(sample["kwargs"])
    return None


def kind_of(op, place, shape, dtype, sample, first):
    """How the place-th tensor (0: the input) of a sample is to be filled."""
    kw = sample["kwargs"]
    if dtype == "bool":
        return "b"
    if dtype == "int64":
        if op in ("gather", "scatter"):
            dim = sample["args"][0]
            size = first[dim] if first else 1
            return f"r{dim % max(len(first), 1)}/{max(size, 1)}" if op == "scatter" and "reduce" not in kw else f"i{max(size, 1)}"
        if "embedding" in op:
            return f"i{first[0]}"
        if op == "index_select":
            return f"i{first[sample['args'][0]] if first else 1}"
        if "unpool" in op:
            return "unpool"
        return f"i{first[1] if len(first) > 1 else first[0]}"
    short = op.split(".")[-1]
    if short == "binary_cross_entropy":
        return "q"
    if short == "binary_cross_entropy_with_logits":
        return "u" if place == 0 else "q"
    if short == "kl_div" and place == 1:
        return "u" if kw.get("log_target") else "p"
    if short == "poisson_nll_loss":
        return "p"
    if place == "weight" and short in ("cross_entropy", "nll_loss"):
        return "p"
    if short == "cross_entropy" and place == 1:
        return "q"
    if place == "running_var" or (short == "batch_norm" and place == 2):
        return "p"
    return "u"


def unpool_indices(seed, shape, sample):
    """Distinct places in each plane of the output."""
    out = sample["kwargs"].get("output_size")
    if out is None:
        k, s, p = (sample["kwargs"].get(n) for n in ("kernel_size", "stride", "padding"))
        pair = lambda v: [v, v] if isinstance(v, int) else v
        k, p = pair(k), pair(p or 0)
        s = pair(s) if s else k
        out = [(shape[-2 + d] - 1) * s[d] - 2 * p[d] + k[d] for d in range(2)]
    return out[-2] * out[-1]


def main():
    with open(sys.argv[1]) as f:
        database = json.load(f)
    skip = {name for names in LEFT_OUT.values() for name in names}
    print("# made by make_opinfo.py with PyTorch", torch.__version__)
    for reason, names in LEFT_OUT.items():
        for name in names:
            print(f"# without {name}: {reason}")
    seed = 0
    for op, entry in sorted(database.items(), key=lambda item: item[0] in LATE):
        if op in skip:
            continue
        short = op.split(".")[2] if op.startswith("nn.functional.") else op
        fn = FN.get(op) or getattr(F, short)
        for sample in entry["samples"]:
            lines, tensors = [f"op {op}"], []
            first = None

            def tensor(s, place):
                nonlocal seed, first
                shape, dtype = spec(s)
                seed += 1
                kind = kind_of(op, place, shape, dtype, sample, first)
                if first is None:
                    first = shape
                if kind == "unpool":
                    lead, tail = shape[:-2], shape[-2] * shape[-1]
                    below = unpool_indices(seed, shape, sample)
                    kind = f"r{len(lead)}/{below}"
                    value = values(kind, seed, lead + [tail]).reshape(shape)
                    lines.append(f"t {kind} int64 {seed} " + " ".join(map(str, lead + [tail])) + " as " + " ".join(map(str, shape)))
                else:
                    value = values(kind, seed, shape)
                    lines.append(f"t {kind} {'uint8' if dtype == 'bool' else dtype} {seed} " + " ".join(map(str, shape)))
                if value.dtype == torch.float64 and not (place in ("weight", "pos_weight") and short in NO_WEIGHT_GRADIENT):
                    value.requires_grad_(True)
                tensors.append(value)
                return value

            def other(name, v):
                if v is None:
                    return
                if isinstance(v, str):
                    lines.append(f"s {name} {v}")
                else:
                    v = v if isinstance(v, list) else [v]
                    lines.append(f"k {name} " + " ".join("nan" if x is None else "%.17g" % x for x in v))

            names = NAMES.get(op, [])
            x = sample["input"]
            x = [tensor(s, i) for i, s in enumerate(x)] if isinstance(x, list) else tensor(x, 0)
            args = []
            for i, a in enumerate(sample["args"]):
                if spec(a):
                    args.append(tensor(a, i + 1))
                else:
                    if a is None and not (i < len(names) and names[i]):
                        lines.append("n")
                        tensors.append(None)
                    elif i < len(names) and names[i]:
                        other(names[i], a)
                    args.append(a)
            kwargs = {}
            for name, v in sample["kwargs"].items():
                if name == "dtype":
                    continue  # float64, as the input
                if spec(v):
                    lines.append(f"s {name} tensor{len(tensors)}")
                    kwargs[name] = tensor(v, name)
                else:
                    other(name, v)
                    kwargs[name] = v
            # running statistics are inputs without a gradient, and are moved
            fixed = []
            if short in ("batch_norm", "instance_norm"):
                for i, a in enumerate(args[:2] if short == "batch_norm" else []):
                    if a is not None:
                        args[i] = a.detach().clone()
                        fixed.append(a)
                for n in ("running_mean", "running_var"):
                    if isinstance(kwargs.get(n), torch.Tensor):
                        fixed.append(kwargs[n])
                        kwargs[n] = kwargs[n].detach().clone()
            if left_out(op, sample):
                print(f"# {op}: {left_out(op, sample)}: {' | '.join(lines[1:])}")
                continue
            try:
                out = fn(x, *args, **kwargs)
            except Exception as e:  # what this PyTorch refuses is no sample of its
                print(f"# {op}: {str(e).splitlines()[0][:100]}: {' | '.join(lines[1:])}")
                continue
            outs = list(out) if isinstance(out, (tuple, list)) else [out]
            floats = [o for o in outs if o.dtype == torch.float64]
            lines += ["o " + show(o) for o in outs]
            wanted = [(i, t) for i, t in enumerate(tensors) if t is not None and t.requires_grad and not any(t is f for f in fixed)]
            gout = [torch.from_numpy(2 * hashed(800000 + k, o.numel()) - 1).reshape(o.shape).requires_grad_(True) for k, o in enumerate(floats)]
            try:
                grads = torch.autograd.grad(floats, [t for _, t in wanted], gout, create_graph=True, allow_unused=True)
            except RuntimeError as e:  # PyTorch has the op, but not its gradient
                lines.insert(1, f"# no gradient: {str(e).splitlines()[0][:80]}")
                grads = [None] * len(wanted)
            total = None
            for (i, t), g in zip(wanted, grads):
                if g is None:
                    continue
                lines.append(f"g {i} " + show(g))
                v = torch.from_numpy(2 * hashed(700000 + i, g.numel()) - 1).reshape(g.shape)
                total = (g * v).sum() + (0 if total is None else total)
            if total is not None and total.requires_grad and entry["gradgrad"]:
                both = [t for _, t in wanted] + gout
                second = torch.autograd.grad(total, both, allow_unused=True)
                for (i, t), h in zip(wanted, second):
                    if h is not None:
                        lines.append(f"h {i} " + show(h))
                for k, h in enumerate(second[len(wanted):]):
                    if h is not None and not torch.isfinite(h).all() and not any(g.any() for g in grads if g is not None):
                        lines.append("# PyTorch says " + show(h) + ", of a gradient that is 0 whatever the output's is")
                        h = torch.zeros_like(h)
                    if h is not None:
                        lines.append(f"hg {k} " + show(h))
            print("\n".join(lines))


if __name__ == "__main__":
    main()
