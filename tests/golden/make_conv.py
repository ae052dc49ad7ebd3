"""Writes conv2d.txt and conv_transpose2d.txt: random configurations with PyTorch's results, gradients and the gradients
of a gradient penalty. Run it here with PyTorch installed; test_conv.c reads what it wrote.

Inputs are small integers from a hash that the test computes too, so that only results are stored. All results are
integers well within float64 and float32: every order of summation gives the same.

A configuration is a line of numbers (NAMES below), then a line for each of
    y            the result
    gx gw gb     gradients of sum(y * r), r being one more hashed tensor
    px pw pr     gradients of sum(gx * gx) + sum(gw * gw) by x, weight and r
"""

import random

import torch
import torch.nn.functional as F

COUNT = 240
NAMES = "n c h w o kh kw sh sw ph pw dh dw eh ew groups bias unbatched".split()


def hashed(seed, *shape):
    size = 1
    for s in shape:
        size *= s
    values = []
    for i in range(size):
        h = ((i + 1) * 2654435761 + (seed + 1) * 2246822519) & 0xFFFFFFFF
        h ^= h >> 15
        h = (h * 0x2C1B3C6D) & 0xFFFFFFFF
        h ^= h >> 12
        values.append(h % 9 - 4)
    return torch.tensor(values, dtype=torch.float64).reshape(shape)


def draw(rng, transposed):
    while True:
        c = {"n": rng.randint(1, 3), "groups": rng.choice([1, 1, 1, 2, 2, 3, 4])}
        c["c"] = c["groups"] * rng.randint(1, 3)
        c["o"] = c["groups"] * rng.randint(1, 3)
        for d in "hw":
            c["k" + d] = rng.randint(1, 4)
            c["s" + d] = rng.randint(1, 3)
            c["p" + d] = rng.randint(0, 3)
            c["d" + d] = rng.choice([1, 1, 1, 2, 3])
            c["e" + d] = rng.randrange(max(c["s" + d], c["d" + d])) if transposed else 0
            c[d] = rng.randint(1, 4) if transposed else rng.randint(1, 9)
            span = c["d" + d] * (c["k" + d] - 1) + 1
            if transposed:
                c["out" + d] = (c[d] - 1) * c["s" + d] - 2 * c["p" + d] + span + c["e" + d]
            else:
                c["out" + d] = (c[d] + 2 * c["p" + d] - span) // c["s" + d] + 1
                if span > c[d] + 2 * c["p" + d]:
                    c["out" + d] = 0
        c["bias"] = int(rng.random() < 0.7)
        c["unbatched"] = int(rng.random() < 0.15)
        if c["unbatched"]:
            c["n"] = 1
        image, result = c["n"] * c["c"] * c["h"] * c["w"], c["n"] * c["o"] * c["outh"] * c["outw"]
        if c["outh"] > 0 and c["outw"] > 0 and image <= 300 and result <= 300:
            return c


def results(c, transposed):
    batch = () if c["unbatched"] else (c["n"],)
    x = hashed(1, *batch, c["c"], c["h"], c["w"]).requires_grad_()
    first, second = (c["c"], c["o"]) if transposed else (c["o"], c["c"])
    weight = hashed(2, first, second // c["groups"], c["kh"], c["kw"]).requires_grad_()
    bias = hashed(3, c["o"]).requires_grad_()
    options = {"stride": (c["sh"], c["sw"]), "padding": (c["ph"], c["pw"]), "dilation": (c["dh"], c["dw"]),
               "groups": c["groups"], "bias": bias if c["bias"] else None}
    if transposed:
        y = F.conv_transpose2d(x, weight, output_padding=(c["eh"], c["ew"]), **options)
    else:
        y = F.conv2d(x, weight, **options)
    r = hashed(4, *y.shape).requires_grad_()
    loss = (y * r).sum()
    gx, gw = torch.autograd.grad(loss, [x, weight], create_graph=True)
    gb = torch.autograd.grad(loss, bias, retain_graph=True)[0] if c["bias"] else torch.zeros(0)
    penalty = (gx * gx).sum() + (gw * gw).sum()
    px, pw, pr = torch.autograd.grad(penalty, [x, weight, r])
    return [("y", y), ("gx", gx), ("gw", gw), ("gb", gb), ("px", px), ("pw", pw), ("pr", pr)]


def main():
    torch.set_num_threads(1)
    for name, transposed in (("conv2d", False), ("conv_transpose2d", True)):
        rng = random.Random(name)
        with open(name + ".txt", "w", encoding="ascii") as out:
            out.write(f"# {name}: {COUNT} configurations by make_conv.py, PyTorch {torch.__version__}\n")
            for _ in range(COUNT):
                c = draw(rng, transposed)
                out.write(" ".join(str(c[k]) for k in NAMES) + "\n")
                for label, t in results(c, transposed):
                    values = t.detach().flatten().tolist()
                    assert all(v == int(v) and abs(v) < 2**53 for v in values)
                    out.write(" ".join([label, str(len(values))] + [str(int(v)) for v in values]) + "\n")


if __name__ == "__main__":
    main()
