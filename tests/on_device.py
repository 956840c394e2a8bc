"""Tensors that play those of a GPU, where looking at a number means to wait for it.

`OnDevice` tensors mark all that is computed from them. Taking a number from one, a shape that
depends on its values, or sending it away raises `Waits`; so does sending a tensor of the CPU to
where they are while the CPU stands still (without ``non_blocking``).
"""

import torch
from torch import Tensor

LOOKS = {
    Tensor.item, Tensor.tolist, Tensor.cpu, Tensor.numpy, Tensor.nonzero, Tensor.new_tensor,
    Tensor.__bool__, Tensor.__float__, Tensor.__int__, Tensor.masked_select, Tensor.unique,
    torch.nonzero, torch.masked_select, torch.unique,
}  # fmt: skip


class Waits(AssertionError):
    """The CPU would stand still until the GPU has come so far."""


class OnDevice(Tensor):
    """A tensor, and what comes of it."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        masks = args[1] if func is Tensor.__getitem__ else ()
        for mask in masks if isinstance(masks, tuple) else (masks,):
            if isinstance(mask, Tensor) and mask.dtype == torch.bool:
                raise Waits("a boolean mask as an index: how many are True?")
        if func in LOOKS:
            raise Waits(f"{func.__name__} of a tensor on the device")
        return super().__torch_function__(func, types, args, kwargs or {})


def sent(batch, stays=("times",)):
    """The batch with its tensors on the device."""
    return {
        name: value.as_subclass(OnDevice)
        if isinstance(value, Tensor) and name not in stays
        else value
        for name, value in batch.items()
    }


def watch_sending(monkeypatch):
    """Refuse to send a tensor of the CPU anywhere while the CPU waits."""
    real = Tensor.to

    def to(self, *where, non_blocking=False, **named):
        moves = any(isinstance(w, (torch.device, Tensor, str)) for w in (*where, *named.values()))
        if moves and not non_blocking and not isinstance(self, OnDevice):
            raise Waits("sent without non_blocking")
        return real(self, *where, non_blocking=non_blocking, **named)

    monkeypatch.setattr(Tensor, "to", to)
