"""Writes move.txt: the ops that move elements, with PyTorch's results and gradients. Run it here with PyTorch installed;
tests/ops/test_golden_move.c reads what it wrote.

A case is these lines:
    case OP [TEXT]              TEXT: einsum's equation, without blanks
    ints N ...                  the op's numbers, in the order of the C call
    reals N ...
    in f NDIM SIZES             a float input: small integers from a hash that the test computes too
    in i NDIM SIZES VALUES      an index
    out NDIM SIZES VALUES       one for each output
    grad K VALUES               of input K: of sum(out 0 * r), r being hashed too
    end
The shapes are those of PyTorch's own sample inputs (OpInfo) and some more.
"""

import itertools
import random

import torch
import torch.nn.functional as F

RNG = random.Random(1)
MODES = ["constant", "reflect", "replicate", "circular"]
LINES = []


def hashed(seed, shape):
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


def number(v):
    return str(int(v)) if v == int(v) else repr(v)


def block(t):
    return " ".join(str(s) for s in (t.dim(), *t.shape)) + "".join(" " + number(v) for v in t.flatten().tolist())


def case(op, inputs, fn, ints=(), reals=(), text=""):
    """inputs: shapes of float inputs, or int64 tensors."""
    LINES.append(f"case {op} {text}".rstrip())
    LINES.append(" ".join(["ints", str(len(ints))] + [str(int(i)) for i in ints]))
    LINES.append(" ".join(["reals", str(len(reals))] + [repr(float(r)) for r in reals]))
    tensors = []
    for k, x in enumerate(inputs):
        if isinstance(x, torch.Tensor):
            LINES.append("in i " + block(x))
            tensors.append(x)
        else:
            LINES.append(" ".join(["in f", str(len(x))] + [str(s) for s in x]))
            tensors.append(hashed(k + 1, x).requires_grad_())
    outputs = fn(*tensors)
    outputs = outputs if isinstance(outputs, (tuple, list)) else [outputs]
    for y in outputs:
        LINES.append("out " + block(y.detach()))
    if outputs[0].requires_grad:
        leaves = [t for t in tensors if t.requires_grad]
        loss = (outputs[0] * hashed(9, outputs[0].shape)).sum()
        grads = torch.autograd.grad(loss, leaves, allow_unused=True)
        for k, t in enumerate(tensors):
            if t.requires_grad:
                g = grads[[n for n, leaf in enumerate(leaves) if leaf is t][0]]
                g = torch.zeros_like(t) if g is None else g
                LINES.append(f"grad {k}" + "".join(" " + number(v) for v in g.flatten().tolist()))
    LINES.append("end")


def index(shape, size, unique_dim=None):
    if unique_dim is None or not shape:
        return torch.tensor([RNG.randrange(size) for _ in range(torch.Size(shape).numel())], dtype=torch.int64).reshape(shape)
    lines = shape[:unique_dim] + shape[unique_dim + 1:]
    rows = [RNG.sample(range(size), shape[unique_dim]) for _ in range(torch.Size(lines).numel())]
    return torch.tensor(rows, dtype=torch.int64).reshape(*lines, shape[unique_dim]).movedim(-1, unique_dim).contiguous()


def joining():
    for dim, *shapes in [(-1, (5, 5), (5, 5)), (1, (5, 5), (5, 5)), (0, (10, 5), (5, 5)), (-2, (1, 2, 3), (1, 2, 3)),
                         (0, (0,), (0,)), (0, (0, 5), (5, 5)), (0, (1,), (1,)), (1, (2, 3), (2, 0), (2, 4), (0,)),
                         (1, (0,), (2, 3, 2), (2, 1, 2)), (-3, (2, 3, 2), (1, 3, 2))]:
        case("cat", shapes, lambda *x, d=dim: torch.cat(x, d), [dim])
    for dims, *shapes in [((-1, 0), (3, 4)), ((-1, 0, 1, 2), (1, 2, 1, 4), (1, 2, 1, 4), (1, 2, 1, 4)),
                          ((-1, 0, 1), (0, 1, 0), (0, 1, 0)), ((0, -1), (), (), ())]:
        for dim in dims:
            case("stack", shapes, lambda *x, d=dim: torch.stack(x, d), [dim])


def padding():
    shapes = [(1, 3), (0, 3, 3), (1, 3, 3), (0, 3, 3, 3), (3, 3, 5, 5), (1, 3, 3, 3, 3)]
    cases = []
    for shape, value in itertools.product(shapes, (1.0, 2.0)):
        for pads in [(1, 2), (0, 1), (0, 2, 0, 1), (1, 1, 1, 1, 1, 1)]:
            if len(pads) <= 2 * len(shape) and not (shape == (0, 3, 3) and len(pads) == 6 and value == 2.0):
                cases.append((0, shape, pads, value))
    cases += [(0, (1, 3, 3), (2, 2), 0.0)] + [(0, (1, 3, 4, 4), (-1, 1, -2, 1), v) for v in (1.0, 2.0)]
    some = [((1, 3), (1, 2)), ((1, 3), (0, 1)), ((0, 3, 3), (1, 2)), ((0, 3, 3), (0, 1)), ((1, 3, 3), (1, 2)),
            ((1, 3, 3), (0, 1)), ((1, 3, 3), (0, 2, 0, 1)), ((0, 3, 3, 3), (0, 2, 0, 1)), ((3, 3, 5, 5), (0, 2, 0, 1)),
            ((3, 3, 5, 5), (1, 1, 1, 1, 1, 1)), ((1, 3, 3, 3, 3), (1, 1, 1, 1, 1, 1)), ((1, 3, 4, 4), (-1, 1, -2, 1))]
    for mode in (1, 2, 3):
        cases += [(mode, s, p, 0.0) for s, p in some if mode < 3 or not (s == (1, 3) or (s, p) in (
            ((1, 3, 3), (0, 2, 0, 1)), ((3, 3, 5, 5), (1, 1, 1, 1, 1, 1))))]
    more = [((2, 3, 6, 7), (2, -3, -1, 4)), ((2, 6, 7), (-2, 3)), ((2, 6, 7), (5, -4)), ((1, 2, 4, 5), (3, 4, 2, 3)),
            ((1, 2, 4, 5), (-1, -2, -2, -1)), ((1, 2, 5, 4), (2, 2, 0, 0)), ((1, 2, 5, 4), (0, 0, 2, 2))]
    cases += [(m, s, p, 0.5 if m == 0 else 0.0) for (s, p), m in itertools.product(more, range(4))
              if m < 3 or (s, p) != ((2, 6, 7), (5, -4))]
    for mode, shape, pads, value in cases:
        case("pad", [shape], lambda x, m=mode, p=pads, v=value: F.pad(x, p, MODES[m], *([v] if m == 0 else [])),
             [mode, *pads], [value])


def order():
    for shape in ((5, 10, 5), (5, 0, 10)):
        for dims in ((0, 1, 2), (0,), (0, 2), (-1,)):
            case("flip", [shape], lambda x, d=dims: torch.flip(x, d), dims)
    for shape in ((0, 0, 0), (5, 5, 5)):
        for shifts, dims in [((0,), (0,)), ((1,), (2,)), ((0,), (2,)), ((2,), (0,)), ((-1,), (0,)), ((10000,), (1,)),
                             ((2,), ()), ((1, 2, -1), (0, 1, 2)), ((3, -1), (1, 1))]:
            case("roll", [shape], lambda x, s=shifts, d=dims: torch.roll(x, s, d) if d else torch.roll(x, s[0]),
                 [len(shifts), *shifts, *dims])
    for shape, times in [((3,), (4, 2)), ((2, 3), (1, 1)), ((2, 3), (2, 3)), ((2, 3), (0, 2)), ((), (3, 2)), ((2, 0), (2, 2)),
                         ((2, 1, 3), (2, 1, 3, 2)), ((1, 4), (5, 1))]:
        case("repeat", [shape], lambda x, t=times: x.repeat(t), times)
    for shape, dim in [((5, 5, 5), 0), ((5, 5, 5), 1), ((), 0), ((2, 0, 3), -1), ((3, 40), 1), ((40, 3), 0)]:
        case("cumsum", [shape], lambda x, d=dim: torch.cumsum(x, d), [dim])


def indexing():
    for shape, dim, idx in [((10, 5), 0, (5, 5)), ((10, 5), 1, (10, 2)), ((), 0, (1,)), ((5,), 0, (0,)), ((), 0, ()),
                            ((3, 4, 5), 1, (2, 6, 3)), ((3, 4, 5), -3, (7, 4, 1)), ((4,), 0, (9,))]:
        size = shape[dim] if shape else 1
        case("gather", [shape, index(idx, size)], lambda x, i, d=dim: torch.gather(x, d, i), [dim])
    for shape, dim, idx in [((10, 5), 0, (5, 5)), ((10, 5), 1, (10, 2)), ((10, 5), -1, (10, 2)), ((), 0, ()),
                            ((4, 6, 5), 1, (3, 4, 5)), ((5,), 0, (0,))]:
        unique = index(idx, shape[dim] if shape else 1, dim % max(len(idx), 1))
        case("scatter", [shape, unique, idx], lambda x, i, s, d=dim: torch.scatter(x, d, i, s), [dim])
        twice = index(idx, shape[dim] if shape else 1)
        case("scatter_add", [shape, twice, idx], lambda x, i, s, d=dim: torch.scatter_add(x, d, i, s), [dim])
    for shape, dim, count in [((), 0, 1), ((1,), 0, 1), ((5, 5), 1, 5), ((3, 4, 5), 0, 7), ((3, 4, 5), -1, 2), ((3, 4), 1, 0)]:
        i = index((count,), shape[dim] if shape else 1)
        case("index_select", [shape, i], lambda x, i, d=dim: torch.index_select(x, d, i), [dim])
        src = list(shape)
        if shape:
            src[dim] = count
        case("index_add", [shape, i, tuple(src)], lambda x, i, s, d=dim: torch.index_add(x, d, i, s), [dim])
    case("one_hot", [index((2, 3), 5)], lambda i: F.one_hot(i, 5).double(), [5])
    for shape, k, dim, largest in [((5, 7), 3, 1, 1), ((5, 7), 3, 1, 0), ((6, 4, 3), 6, 0, 1), ((6, 4, 3), 2, -2, 0),
                                   ((), 1, 0, 1), ((4, 0), 0, 1, 1), ((3, 5), 0, 1, 1), ((100,), 17, 0, 1)]:
        # as all distinct as 9 values allow: ties are in order here, so PyTorch sorts stably
        def topk(x, k=k, dim=dim, largest=largest):
            v, i = torch.sort(x, dim=dim, descending=bool(largest), stable=True)
            return (v.narrow(dim, 0, k), i.narrow(dim, 0, k)) if x.dim() else (v, i)
        case("topk", [shape], topk, [k, dim, largest])


def images():
    names = [["nearest", "bilinear", "bicubic"], ["nearest", "linear", ""]]
    for mode, align, flat in itertools.product(range(3), (0, 1), (0, 1)):
        if (mode == 0 and align) or (mode == 2 and flat):
            continue
        shape = (2, 3, 4) if flat else (2, 3, 4, 4)
        asked = [((3, 3), None), ((5, 5), None), (None, (1.7, 1.7)), (None, (0.6, 0.6)), ((8, 8), None), ((1, 1), None),
                 ((4, 4), None), (None, (2.5, 1.25))]
        shapes = [(shape, a) for a in asked] + [((0, 2, 3), ((2, 2), None)) if flat else ((0, 2, 3, 3), ((2, 2), None))]
        if not flat:
            shapes += [((1, 2, 5, 3), ((2, 7), None)), ((1, 1, 1, 6), ((3, 4), None)), ((1, 2, 3, 5), (None, (3.1, 0.41)))]
        for s, (size, scale) in shapes:
            size, scale = [v[1:] if flat and v else v for v in (size, scale)]
            kind = names[flat][mode]
            options = {"align_corners": bool(align)} if mode else {}
            ints = ([0] if flat else []) + list(size or ((0,) if flat else (0, 0)))
            reals = ([0.0] if flat else []) + list(scale or ((0.0,) if flat else (0.0, 0.0)))
            case("interpolate", [s],
                 lambda x, size=size, scale=scale, kind=kind, options=options:
                 F.interpolate(x, size=size, scale_factor=scale, mode=kind, **options), [mode, align, *ints], reals)
    for shape, r in [((1, 9, 2, 2), 1), ((1, 9, 2, 2), 3), ((1, 0, 1, 1), 1), ((1, 1, 0, 1), 1), ((1, 1, 1, 0), 1),
                     ((8, 2, 3), 2), ((2, 2, 8, 3, 2), 2)]:
        case("pixel_shuffle", [shape], lambda x, r=r: F.pixel_shuffle(x, r), [r])
    for shape, r in [((1, 1, 6, 6), 1), ((1, 1, 6, 6), 3), ((1, 0, 1, 1), 1), ((1, 1, 0, 1), 1), ((1, 1, 1, 0), 1),
                     ((2, 6, 4), 2), ((2, 2, 2, 6, 4), 2)]:
        case("pixel_unshuffle", [shape], lambda x, r=r: F.pixel_unshuffle(x, r), [r])


def main():
    torch.set_num_threads(1)
    for part in (joining, padding, order, indexing, images):
        part()
    with open("move.txt", "w", encoding="ascii") as out:
        out.write(f"# by make_move.py, PyTorch {torch.__version__}\n" + "\n".join(LINES) + "\n")


if __name__ == "__main__":
    main()
