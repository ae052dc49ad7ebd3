#!/usr/bin/env python3
"""What PyTorch (2.15.0) makes of elementwise functions: values, gradients and second derivatives, in float64.

Writes activations.h beside itself. The inputs are the pieces' borders, both zeros, and numbers on both sides.
"""
import pathlib

import torch
import torch.nn.functional as F

XS = [-40.0, -8.5, -6.0, -3.0, -2.5, -1.5, -1.0, -0.6, -0.5, -0.1, -1e-5, -0.0, 0.0, 1e-5, 0.1, 0.5, 0.7, 1.0, 1.5, 2.0,
      2.5, 3.0, 4.75, 6.0, 9.25, 21.0, 40.0]

FUNCTIONS = {
    "relu": F.relu,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.125),
    "elu": lambda x: F.elu(x, 0.75),
    "selu": F.selu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "mish": F.mish,
    "softplus": F.softplus,
    "softplus_sharp": lambda x: F.softplus(x, beta=2.0, threshold=4.5),
    "logsigmoid": F.logsigmoid,
    "softsign": F.softsign,
    "hardtanh": lambda x: F.hardtanh(x, -1.5, 2.0),
    "hardsigmoid": lambda x: F.hardtanh(x + 3, 0.0, 6.0) / 6,  # its own gradient is 1/6 in float32
    "hardswish": F.hardswish,
    "erf": torch.erf,
    "sin": torch.sin,
    "cos": torch.cos,
    "abs": torch.abs,
    "sign": torch.sign,
    "floor": torch.floor,
    "round": torch.round,
    "square": torch.square,
    "exp": torch.exp,
    "pow_2_5": lambda x: torch.pow(x, 2.5),
    "pow_3": lambda x: torch.pow(x, 3),
    "log": torch.log,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "reciprocal": torch.reciprocal,
}


def numbers(t):
    def one(v):
        return "NAN" if v != v else ("-INFINITY" if v < 0 else "INFINITY") if abs(v) == float("inf") else repr(v)

    return "{ " + ", ".join(one(v) for v in t.tolist()) + " }"


def main():
    out = ["/* Written by activations.py with PyTorch %s. */" % torch.__version__.split("+")[0], "/* clang-format off */"]
    out += ["enum { GOLDEN_SIZE = %d };" % len(XS)]
    out += ["static const double golden_x[] = %s;" % numbers(torch.tensor(XS, dtype=torch.float64))]
    out += ["static const struct {", "    const char *name;", "    double value[GOLDEN_SIZE], first[GOLDEN_SIZE], second[GOLDEN_SIZE];",
            "} golden[] = {"]
    for name, f in FUNCTIONS.items():
        x = torch.tensor(XS, dtype=torch.float64, requires_grad=True)
        y = f(x)
        first, = torch.autograd.grad(y.sum(), x, create_graph=True)
        second = torch.zeros_like(x)
        if first.requires_grad:
            g, = torch.autograd.grad(first.sum(), x, allow_unused=True)
            second = second if g is None else torch.zeros_like(x.detach()) + g  # g may be a zero without storage
        out += ['    { "%s",' % name, "      %s," % numbers(y.detach()), "      %s," % numbers(first.detach()),
                "      %s }," % numbers(second)]
    out += ["};", ""]
    pathlib.Path(__file__).with_suffix(".h").write_text("\n".join(out))


main()
