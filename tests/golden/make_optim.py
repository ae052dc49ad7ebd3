"""Steps of PyTorch's optimizers, written to optim.h.

Run with PyTorch 2.15. Seven parameters, six steps with given gradients, the rate halved before the fifth, in float64.
"""
import torch

STEPS, SIZE = 6, 7
torch.manual_seed(1)
start = torch.randn(SIZE, dtype=torch.float64)
grads = torch.randn(STEPS, SIZE, dtype=torch.float64)

# name, torch's class, the fields of our case, torch's arguments
CASES = [
    ("sgd", "SGD", "SGD, 0.1", dict(lr=0.1)),
    ("sgd, decay", "SGD", "SGD, 0.1, .sgd = { .weight_decay = 0.03 }", dict(lr=0.1, weight_decay=0.03)),
    ("sgd, momentum", "SGD", "SGD, 0.1, .sgd = { .momentum = 0.9 }", dict(lr=0.1, momentum=0.9)),
    ("sgd, dampening", "SGD", "SGD, 0.1, .sgd = { .momentum = 0.8, .dampening = 0.25, .weight_decay = 0.01 }",
     dict(lr=0.1, momentum=0.8, dampening=0.25, weight_decay=0.01)),
    ("sgd, Nesterov", "SGD", "SGD, 0.1, .sgd = { .momentum = 0.9, .weight_decay = 0.02, .nesterov = true }",
     dict(lr=0.1, momentum=0.9, weight_decay=0.02, nesterov=True)),
    ("adam", "Adam", "ADAM, 0.01", dict(lr=0.01)),
    ("adam, decay", "Adam", "ADAM, 0.02, .adam = { .betas = { 0.8, 0.95 }, .eps = 1e-3, .weight_decay = 0.05 }",
     dict(lr=0.02, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.05)),
    ("adam, no beta1", "Adam", "ADAM, 0.02, .adam = { .betas = { 0, 0.9 } }", dict(lr=0.02, betas=(0.0, 0.9))),
    ("adamw", "AdamW", "ADAMW, 0.01", dict(lr=0.01)),
    ("adamw, decay", "AdamW", "ADAMW, 0.01, .adam = { .weight_decay = 0.2 }", dict(lr=0.01, weight_decay=0.2)),
    ("adamw, no decay", "AdamW", "ADAMW, 0.01, .adam = { .no_decay = true }", dict(lr=0.01, weight_decay=0)),
]


def numbers(t):
    return "{ " + ", ".join("%.17g" % v for v in t.tolist()) + " }"


with open(__file__.replace("make_optim.py", "optim.h"), "w") as out:
    out.write("/* Made by make_optim.py with PyTorch %s. */\n" % torch.__version__.split("+")[0])
    out.write("#define STEPS %d\n#define SIZE %d\n" % (STEPS, SIZE))
    out.write("static const double start[SIZE] = %s;\n" % numbers(start))
    out.write("static const double grads[STEPS][SIZE] = {\n    %s\n};\n" % ",\n    ".join(numbers(g) for g in grads))
    out.write("static const golden_case cases[] = {\n")
    for name, kind, fields, arguments in CASES:
        p = start.clone().requires_grad_(True)
        optimizer = getattr(torch.optim, kind)([p], **arguments)
        rows = []
        for step in range(STEPS):
            if step == 4:
                optimizer.param_groups[0]["lr"] /= 2
            p.grad = grads[step].clone()
            optimizer.step()
            rows.append(numbers(p.detach()))
        out.write("    { \"%s\", %s, .after = {\n        %s } },\n" % (name, fields, ",\n        ".join(rows)))
    out.write("};\n")
