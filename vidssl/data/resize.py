"""One way to another size, for frames and flow alike: antialiased bilinear, in torch."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import interpolate


def resize(pictures: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pictures (T, H, W, C), uint8 or float32, at another size; those that fit are returned as
    they are."""
    if pictures.shape[1:3] == (height, width):
        return pictures
    if not len(pictures):
        return np.empty((0, height, width, pictures.shape[-1]), pictures.dtype)
    planes = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2)
    resized = interpolate(planes, size=(height, width), mode="bilinear", antialias=True)
    return resized.permute(0, 2, 3, 1).numpy()


def short_side_size(height: int, width: int, side: int) -> tuple[int, int]:
    """(height, width) whose shorter one is ``side``, the other rounded to the nearest pixel.

    >>> short_side_size(240, 320, 112)
    (112, 149)
    """
    short = min(height, width)
    size = [side if length == short else round(length * side / short) for length in (height, width)]
    return size[0], size[1]
