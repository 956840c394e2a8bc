"""A GPU that is not there: float64 plays the device "cuda", float32 the CPU.

Moving a module or a tensor to "cuda" turns its floats to float64, moving it back to float32. A
network or an input that was left behind meets the other type in its first product and raises, as
it would raise on a real GPU. Sums of both sides pass. Convolutions of clips are computed in
float32, four times as fast.

`pretend()` patches torch in this process; written into an IPython profile's startup folder, it is
in force in every kernel.
"""

import functools
from pathlib import Path

import torch

FACTORIES = [
    "arange",
    "empty",
    "eye",
    "full",
    "linspace",
    "ones",
    "rand",
    "randn",
    "randperm",
    "tensor",
    "zeros",
]
TYPES = {"cuda": (torch.float32, torch.float64), "cpu": (torch.float64, torch.float32)}


def pretend():
    import torch._dynamo  # looks at torch's functions once, as they are

    torch.cuda.is_available = lambda: True
    torch.cuda.device_count = lambda: 1
    torch.cuda.current_device = lambda: 0
    torch.cuda.set_device = torch.cuda.synchronize = torch.cuda.empty_cache = lambda *_: None
    torch.cuda.get_device_name = lambda *_: "pretended GPU"
    torch.cuda.manual_seed_all = lambda seed: None
    torch.optim.Optimizer._accelerator_graph_capture_health_check = lambda self: None
    torch.Tensor.pin_memory = lambda self, *_: self
    torch.Tensor.to = _to(torch.Tensor.to, _crossed)
    torch.Tensor.cpu = lambda self, **_: self.to("cpu")
    torch.Tensor.cuda = lambda self, *_, **__: self.to("cuda")
    torch.nn.Module.to = _to(torch.nn.Module.to, _all_crossed)
    torch.nn.Module.cpu = lambda self: self.to("cpu")
    torch.nn.Module.cuda = lambda self, *_: self.to("cuda")
    torch.nn.functional.conv3d = _quick(torch.nn.functional.conv3d)
    for name in FACTORIES:
        setattr(torch, name, _factory(getattr(torch, name)))


def _side(*words, device=None, **_):
    """Which way the arguments of a `to` go: "cuda", "cpu", or None.

    ``to(other.device)`` goes nowhere: all tensors really are on the CPU.
    """
    for word in (device, *words):
        if isinstance(word, str) or word == torch.device("cuda"):
            return torch.device(word).type
    return None


def _quick(real):
    """A convolution whose operands must both be on one side, as they must be for the real one."""

    @functools.wraps(real)
    def convolution(x, weight, bias=None, *words, **named):
        operands = [x, weight] if bias is None else [x, weight, bias]
        if any(operand.dtype != torch.float64 for operand in operands):
            return real(x, weight, bias, *words, **named)
        x, weight, *bias = (operand.float() for operand in operands)
        return real(x, weight, *(bias or [None]), *words, **named).double()

    return convolution


def _without_devices(words, named):
    kept = [w for w in words if not isinstance(w, (torch.device, str))]
    return kept, {name: value for name, value in named.items() if name != "device"}


def _crossed(tensor, side):
    old, new = TYPES[side]
    return tensor.type(new) if tensor.dtype == old else tensor


def _all_crossed(module, side):
    return module._apply(lambda tensor: _crossed(tensor, side))


def _to(real, crossed):
    @functools.wraps(real)
    def to(self, *words, **named):
        side = _side(*words, **named)
        words, named = _without_devices(words, named)
        moved = real(self, *words, **named) if words or named.keys() - {"non_blocking"} else self
        return crossed(moved, side) if side else moved

    return to


def _factory(real):
    @functools.wraps(real)
    def make(*words, device=None, **named):
        made = real(*words, **named)
        side = _side(device=device)
        return _crossed(made, side) if side else made

    return make


def profile(folder):
    """An IPython folder (for IPYTHONDIR) whose kernels begin with `pretend`."""
    startup = folder / "profile_default" / "startup"
    startup.mkdir(parents=True)
    here = str(Path(__file__).parent)
    lines = f"__import__('sys').path.append({here!r})\n__import__({__name__!r}).pretend()\n"
    (startup / "00-pretended.py").write_text(lines, encoding="utf-8")
    return folder
