"""Does a map of attention lie where the object is? Measured against a known mask, clip by clip.

The chance level of either measure is its value for a flat map, ``np.ones_like(maps)``.
"""

from __future__ import annotations

import numpy as np


def energy_inside_score(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Share of each map's mass that lies inside its mask, (N,) in [0, 1].

    The energy-based pointing game (Wang et al., "Score-CAM", CVPR workshops 2020), over a whole
    clip: mass in frames that do not show the object lies outside. A map without any mass says
    nothing and counts as a flat one, so its score is the share of the clip that the mask covers.

    Args:
        maps: (N, T, H, W), finite and at least 0, in any unit.
        masks: (N, T, H, W) bool, True on the object.

    Returns:
        One number a clip; NaN for a clip whose mask is empty.

    Raises:
        ValueError: for other shapes, kinds or values.

    A map on the object, a flat one, and one beside the object that covers half of the clip:

    >>> masks = np.array([[[[True, False]]]])
    >>> for row in ([3, 0], [2, 2], [0, 1]):
    ...     print(energy_inside_score(np.array([[[row]]]), masks))
    [1.]
    [0.5]
    [0.]
    """
    maps, masks = _check(maps, masks)
    mass = maps.sum(axis=(1, 2, 3))
    inside = np.where(mass > 0, (maps * masks).sum(axis=(1, 2, 3)), masks.mean(axis=(1, 2, 3)))
    score = inside / np.where(mass > 0, mass, 1)
    return np.where(masks.any(axis=(1, 2, 3)), score, np.nan)


def pointing_game_accuracy(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """In how many of a clip's frames the map's maximum lies inside the mask, (N,) in [0, 1].

    The pointing game (Zhang et al., "Top-down Neural Attention by Excitation Backprop", ECCV 2016)
    frame by frame; frames that do not show the object are left out. Where several pixels share the
    maximum, the share of them inside counts: what pointing at one of them by lot would give. So a
    frame without any mass scores the share of it that the mask covers.

    Arguments and errors as in `energy_inside_score`.

    Returns:
        One number a clip; NaN for a clip whose mask is empty.

    A maximum on the object, a flat map, and a maximum beside the object:

    >>> masks = np.array([[[[True, False, False, False]]]])
    >>> for row in ([3, 1, 2, 0], [1, 1, 1, 1], [0, 1, 0, 0]):
    ...     print(pointing_game_accuracy(np.array([[[row]]]), masks))
    [1.]
    [0.25]
    [0.]
    """
    maps, masks = _check(maps, masks)
    highest = maps == maps.max(axis=(2, 3), keepdims=True)
    hits = (highest & masks).sum(axis=(2, 3)) / highest.sum(axis=(2, 3))  # (N, T)
    shown = masks.any(axis=(2, 3))
    count = shown.sum(axis=1)
    return np.where(count > 0, (hits * shown).sum(axis=1) / np.maximum(count, 1), np.nan)


def _check(maps: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    maps, masks = np.asarray(maps, dtype=np.float64), np.asarray(masks)
    if maps.ndim != 4 or maps.shape != masks.shape or 0 in maps.shape:
        raise ValueError(
            f"maps and masks must share one shape (N, T, H, W), got {maps.shape} and {masks.shape}"
        )
    if masks.dtype != bool:
        raise ValueError(f"masks must be bool, True on the object, got {masks.dtype}")
    if not np.isfinite(maps).all() or maps.min() < 0:
        raise ValueError("maps must be finite and at least 0: cut them off at 0 first")
    return maps, masks
