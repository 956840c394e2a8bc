"""Optical flow of videos by five named methods; its units, storage and mirror images.

Flow leads from a frame to the next: u right, v down, in pixels a frame. How it is stored, resized
and flipped is said in `vidssl.data.flow_files`.

``reference`` and ``fast`` are OpenCV's TV-L1 (contrib module, CPU), the first with its own
defaults, the usual choice in two-stream work. ``fast`` spends less on each level: on embedded
scenes at 96 x 128 px it takes 0.3 times as long and errs by 0.01 px more (``make bench`` prints
both). ``torch`` is our own `vidssl.motion.tv_l1`, for GPUs, and without OpenCV. ``dis`` and
``farneback`` are OpenCV's quick methods, for comparison.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from vidssl.core import compute_device, one_of
from vidssl.motion.tv_l1 import tv_l1

# OpenCV's names; its inner iterations are really spelled with three n.
REFERENCE = {
    "tau": 0.25,
    "lambda_": 0.15,
    "theta": 0.3,
    "nscales": 5,
    "warps": 5,
    "epsilon": 0.01,
    "innnerIterations": 30,
    "outerIterations": 10,
    "scaleStep": 0.8,
    "gamma": 0.0,
    "medianFiltering": 5,
    "useInitialFlow": False,
}
FAST = REFERENCE | {"lambda_": 0.13, "warps": 3, "epsilon": 0.0165, "scaleStep": 0.65}
TORCH = {"attachment": 0.12, "scales": 5, "scale_step": 0.8, "warps": 5, "iterations": 40}
FARNEBACK = {
    "pyr_scale": 0.5,
    "levels": 4,
    "winsize": 13,
    "iterations": 5,
    "poly_n": 5,
    "poly_sigma": 1.1,
    "flags": 0,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "reference": REFERENCE,
    "fast": FAST,
    "torch": TORCH,
    "dis": {"preset": 2},  # medium
    "farneback": FARNEBACK,
}
METHODS = tuple(SETTINGS)
SMALLEST = 16  # px: with a shorter side, OpenCV's DIS ends the whole process
PAIRS = {"cpu": 16, "cuda": 256}  # of frames at once: what the caches, or a GPU, are best at


def method_settings(method: str, changed: dict[str, Any] | None = None) -> dict[str, Any]:
    """All numbers of a method, with those in ``changed``; ValueError for unknown names."""
    known = SETTINGS[one_of("method", method, METHODS)]
    for name in changed or {}:
        one_of(f"setting of {method}", name, tuple(known))
    return known | (changed or {})


def grey(frames: np.ndarray) -> np.ndarray:
    """RGB (T, H, W, 3) uint8 -> luma (T, H, W) uint8, 0.299 R + 0.587 G + 0.114 B, rounded."""
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise ValueError(f"frames must be uint8 (T, H, W, 3), got {frames.dtype} {frames.shape}")
    weights = np.array([9798, 19235, 3735], np.int32)  # in 1/32768, as OpenCV's
    return ((frames @ weights + 16384) >> 15).astype(np.uint8)


def optical_flow(frames: np.ndarray, method: str = "reference", **changed: Any) -> np.ndarray:
    """Flow between the frames of a video.

    Args:
        frames: RGB (T, H, W, 3) or grey (T, H, W), uint8, sides of 16 px or more.
        method: one of `METHODS`.
        **changed: settings of the method other than its own, named as in `SETTINGS`.

    Returns:
        (T-1, H, W, 2) float32 px, u right and v down.

    Raises:
        ValueError: wrong frames, method or settings. ModuleNotFoundError: OpenCV's contrib module
        is not installed.
    """
    settings = method_settings(method, changed)
    pictures = grey(frames) if frames.ndim == 4 else frames
    if pictures.ndim != 3 or pictures.dtype != np.uint8 or not len(pictures):
        raise ValueError(
            f"frames must be uint8 (T, H, W, 3) or (T, H, W), got {frames.dtype} {frames.shape}"
        )
    if min(pictures.shape[1:]) < SMALLEST:
        raise ValueError(
            f"frames of {pictures.shape[1]} x {pictures.shape[2]} px are too small for flow; "
            f"sides must be at least {SMALLEST} px"
        )
    if len(pictures) == 1:
        return np.empty((0, *pictures.shape[1:], 2), np.float32)
    if method == "torch":
        return _with_torch(pictures, settings)
    between = _opencv(method, settings)
    return np.stack([between(first, second, None) for first, second in pairwise(pictures)])


def _with_torch(pictures: np.ndarray, settings: dict[str, Any]) -> np.ndarray:
    device = compute_device()
    luma = torch.from_numpy(pictures).to(device).float() / 255
    pairs = zip(luma[:-1].split(PAIRS[device.type]), luma[1:].split(PAIRS[device.type]))
    flow = torch.cat([tv_l1(first, second, **settings).cpu() for first, second in pairs])
    return flow.permute(0, 2, 3, 1).contiguous().numpy()


def _opencv(method: str, settings: dict[str, Any]) -> Callable:
    """A function (first, second, None) -> (H, W, 2) of grey images, on one thread."""
    cv2 = _cv2()
    cv2.setNumThreads(1)  # processes share the cores
    if method == "farneback":
        return lambda first, second, _: cv2.calcOpticalFlowFarneback(
            first, second, None, *settings.values()
        )
    if method == "dis":
        return cv2.DISOpticalFlow_create(settings["preset"]).calc
    if not hasattr(getattr(cv2, "optflow", None), "DualTVL1OpticalFlow_create"):
        raise ModuleNotFoundError(
            f"method={method!r} needs OpenCV's contrib module, which the installed OpenCV lacks: "
            "pip uninstall opencv-python opencv-python-headless, then "
            "pip install --force-reinstall opencv-contrib-python-headless"
        )
    return cv2.optflow.DualTVL1OpticalFlow_create(**settings).calc


def _cv2():
    try:
        import cv2
    except ImportError as error:
        raise ModuleNotFoundError(
            "OpenCV is not installed: pip install opencv-contrib-python-headless, "
            "or use method='torch'"
        ) from error
    return cv2
