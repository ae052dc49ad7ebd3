"""A small network's state as PyTorch's users save it, written to net.safetensors, and what the network makes of an input
in eval and in training mode, in float64, written to net.h.

Run with PyTorch 2.15 and safetensors 0.8. The values are eighths, so that the test can state them.
"""
import torch
from safetensors.torch import save_file

net = torch.nn.Sequential(
    torch.nn.Conv2d(2, 3, (3, 2)),
    torch.nn.BatchNorm2d(3),
    torch.nn.ReLU(),
    torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1, bias=False), torch.nn.ConvTranspose2d(3, 2, 2)),
    torch.nn.Flatten(),
    torch.nn.Linear(24, 4),
)
state = net.state_dict()
for number, name in enumerate(state):
    t = state[name]
    value = (7 * torch.arange(t.numel()) + 13 * number) % 17
    if t.is_floating_point():
        value = (value + 1 if name.endswith("running_var") else value - 8) / 8
    state[name] = value.to(t.dtype).reshape(t.shape)
save_file(state, __file__.replace("make_safetensors.py", "net.safetensors"))


def array(name, t):
    return "static const double %s[] = { %s };\n" % (name, ", ".join("%.17g" % v for v in t.flatten().tolist()))


net.load_state_dict(state)
net.double()
x = torch.cos(torch.arange(3 * 2 * 4 * 4, dtype=torch.float64)).reshape(3, 2, 4, 4)
with torch.no_grad(), open(__file__.replace("make_safetensors.py", "net.h"), "w") as out:
    out.write("/* Made by make_safetensors.py with PyTorch %s. */\n" % torch.__version__.split("+")[0])
    out.write(array("net_input", x))
    out.write(array("net_eval", net.eval()(x)))
    out.write(array("net_training", net.train()(x)))
    out.write(array("net_running_mean", net[1].running_mean))
    out.write(array("net_running_var", net[1].running_var))
