"""Optical flow as 8-bit files, and what data sets do with it: decode, resize, flip.

Flow of a video of T frames is (T-1, H, W, 2) float32: channel 0 = u (right positive), 1 = v (down
positive), in pixels a frame at this H, W; entry t leads from frame t to frame t + 1. A stored
value q is round(127 f / 20) + 128, so flow is clipped to +-20 px, a step is 0.16 px and zero is
exact.

A file is a compressed NumPy archive (.npz) of short blocks: a clip reads only the blocks it
touches. Measured on embedded and real video (short side 96 and 128), deflate leaves 9 % and 7 % of
the bytes and takes 0.05 to 0.1 ms a field to read; PNG leaves as much and takes three times as
long; JPEG at quality 95 halves the size again, but errs by up to 0.9 px and loses exact zeros.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vidssl.core import UnreadableVideo
from vidssl.data.resize import resize, short_side_size
from vidssl.files import told, write_arrays

LARGEST = 20.0  # px a frame; faster motion is clipped
ZERO, STEPS = 128, 127  # the code of no motion, and how far from it the fastest lies
BLOCK = 16  # fields that are compressed together
ABOUT = "about"


def encode_flow(flow: np.ndarray) -> np.ndarray:
    """Flow in px, any shape, as uint8 codes: round(127 f / 20) + 128, clipped to +-20 px.

    ValueError if a value is not finite.
    """
    if not np.isfinite(flow).all():
        raise ValueError("flow holds values that are not finite; it cannot be stored")
    steps = np.rint(np.clip(flow, -LARGEST, LARGEST) * (STEPS / LARGEST))
    return (steps + ZERO).astype(np.uint8)


def decode_flow(codes: np.ndarray) -> np.ndarray:
    """uint8 codes, any shape, as flow in px, float32: 20 (q - 128) / 127."""
    if codes.dtype != np.uint8:
        raise ValueError(f"codes must be uint8, got {codes.dtype}")
    return (codes.astype(np.float32) - ZERO) * np.float32(LARGEST / STEPS)


def resize_flow(flow: np.ndarray, height: int, width: int) -> np.ndarray:
    """Flow (T, H, W, 2) in px at another size: antialiased bilinear, values scaled along.

    u is multiplied by ``width`` / W and v by ``height`` / H, so that the unit stays the pixel.
    """
    _expect_flow(flow)
    if flow.shape[1:3] == (height, width):
        return flow
    scale = np.float32([width / flow.shape[2], height / flow.shape[1]])
    return resize(flow, height, width) * scale


def resize_flow_short_side(flow: np.ndarray, side: int) -> np.ndarray:
    """`resize_flow` so that the shorter of H and W is ``side``; sizes as `resize_short_side`."""
    _expect_flow(flow)
    return resize_flow(flow, *short_side_size(*flow.shape[1:3], side))


def flip_flow(flow: np.ndarray) -> np.ndarray:
    """Mirror flow (T, H, W, 2) in px left and right: its pixels move, and u changes its sign."""
    _expect_flow(flow)
    return flow[:, :, ::-1] * np.float32([-1, 1])


def _expect_flow(flow: np.ndarray) -> None:
    if flow.ndim != 4 or flow.shape[-1] != 2 or flow.dtype != np.float32:
        raise ValueError(
            f"flow must be (T, H, W, 2) in px, float32, got {flow.dtype} {flow.shape}; "
            "decode_flow turns codes into px"
        )


# --- files ---------------------------------------------------------------------------------------


def flow_path(folder: str | os.PathLike, root: str | os.PathLike, video: str | os.PathLike) -> Path:
    """Where the flow of a ``video`` below ``root`` lies below ``folder``: its name and .npz.

    ValueError if the video does not lie below ``root``.
    """
    try:
        file = Path(video).relative_to(root)
    except ValueError:
        raise ValueError(
            f"{video} does not lie below root={str(root)!r}, so the place of its flow is unknown"
        ) from None
    return Path(folder, file.parent, f"{file.name}.npz")


def write_flow(path: str | os.PathLike, codes: np.ndarray, **about: Any) -> Path:
    """Write codes uint8 (T-1, H, W, 2) with facts ``about`` them; the file appears whole or not."""
    if codes.ndim != 4 or codes.shape[-1] != 2 or codes.dtype != np.uint8:
        raise ValueError(f"codes must be uint8 (T-1, H, W, 2), got {codes.dtype} {codes.shape}")
    blocks = {str(start): codes[start : start + BLOCK] for start in range(0, len(codes), BLOCK)}
    facts = {"shape": list(codes.shape), **about}
    return write_arrays(path, **{ABOUT: np.array(json.dumps(facts))}, **blocks)


def flow_about(path: str | os.PathLike) -> dict[str, Any]:
    """What `write_flow` was told about the file, and ``shape``: [T-1, H, W, 2]."""
    return _read(path, lambda about, blocks: about)


def read_flow(path: str | os.PathLike, indices: Sequence[int] | None = None) -> np.ndarray:
    """Codes uint8 (T-1, H, W, 2) of a flow file, or those at ``indices`` (any order, repeats).

    Raises `UnreadableVideo` for a file that is missing or damaged, IndexError for fields that it
    does not have.
    """

    def pick(about: dict[str, Any], blocks: np.lib.npyio.NpzFile) -> np.ndarray:
        wanted = _within(path, about["shape"][0], indices)
        codes = np.empty((len(wanted), *about["shape"][1:]), np.uint8)
        for start in np.unique(wanted // BLOCK) * BLOCK:
            inside = wanted // BLOCK * BLOCK == start
            codes[inside] = _block(blocks, start, about["shape"])[wanted[inside] - start]
        return codes

    return _read(path, pick)


def _block(blocks: np.lib.npyio.NpzFile, start: int, shape: Sequence[int]) -> np.ndarray:
    block, wanted = blocks[str(start)], (min(BLOCK, shape[0] - start), *shape[1:])
    if (block.shape, block.dtype) != (wanted, np.uint8):
        raise ValueError(f"fields of {block.dtype} {block.shape} for uint8 {wanted}")
    return block


def _within(path: str | os.PathLike, length: int, indices: Sequence[int] | None) -> np.ndarray:
    wanted = np.arange(length) if indices is None else np.asarray(indices, np.int64)
    if wanted.size and not 0 <= wanted.min() <= wanted.max() < length:
        raise IndexError(
            f"{path}: has {length} flow fields, asked for {wanted.min()}..{wanted.max()}; "
            "choose within (T frames have T - 1 fields)"
        )
    return wanted


def _read(path: str | os.PathLike, use) -> Any:
    """``use(about, archive)`` with every way a file can be bad turned into `UnreadableVideo`."""
    if not Path(path).is_file():
        raise UnreadableVideo(path, "no such flow file; extract the flow of this video first")
    try:
        with np.load(path, allow_pickle=False) as archive:
            about = json.loads(str(archive[ABOUT]))
            if [type(size) for size in about["shape"]] != [int] * 4:
                raise ValueError(f"shape {about['shape']}")
            return use(about, archive)
    except IndexError:
        raise  # of who asked for a field that is not there
    except Exception as error:  # a damaged archive fails in many ways
        words = f"damaged, or not a flow file ({told(error)}); delete it and extract it again"
        raise UnreadableVideo(path, words) from error
