"""Looks of the embedded scenes: photographs of dependencies, dead leaves, structures, shapes.

Everything is drawn from the generator that is passed in, with integer or plain IEEE arithmetic, so
equal seeds give equal pixels on every machine. Training and test scenes use disjoint photographs.
"""

from __future__ import annotations

import colorsys
import warnings
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from vidssl.core import one_of

# Photographs inside the wheels of scikit-learn, scikit-image and matplotlib.
PHOTOGRAPHS = {
    "train": (
        "sklearn/datasets/images/china.jpg",
        "skimage/data/astronaut.png",
        "skimage/data/brick.png",
        "skimage/data/camera.png",
        "skimage/data/chelsea.png",
        "skimage/data/coffee.png",
        "skimage/data/grass.png",
        "skimage/data/hubble_deep_field.jpg",
        "skimage/data/ihc.png",
    ),
    "test": (
        "sklearn/datasets/images/flower.jpg",
        "matplotlib/mpl-data/sample_data/grace_hopper.jpg",
        "skimage/data/coins.png",
        "skimage/data/gravel.png",
        "skimage/data/motorcycle_left.png",
        "skimage/data/rocket.jpg",
    ),
}
STRUCTURES = ("striped", "checkered", "spotted", "ringed", "field", "wall")
DEPTH = 38  # grey levels of a structure, above and below the mean
SHAPES = ("rectangle", "ellipse", "polygon")  # of any sprite
OWN_SHAPES = ("bar", "square", "disc", "ring")  # of the appearance classes' sprites
PHOTO_SHARE = 0.6  # of textures; the rest are dead leaves


@lru_cache(maxsize=2)
def photo_files(subset: str) -> tuple[str, ...]:
    """Names of the installed photographs of a subset ("train" or "test"), as package/path.

    A machine without scikit-image has fewer of them: a warning says so, because scenes drawn there
    look different (motion, truth and labels stay the same).
    """
    names = PHOTOGRAPHS[one_of("subset", subset, tuple(PHOTOGRAPHS))]
    found = tuple(name for name in names if (_locate(name) or Path()).is_file())
    if len(found) < len(names):
        warnings.warn(
            f"{len(names) - len(found)} of {len(names)} photographs for {subset} scenes are not "
            "installed, so the scenes look different (pip install scikit-learn scikit-image "
            "matplotlib)",
            stacklevel=2,
        )
    return found


def _locate(name: str) -> Path | None:
    package, _, inside = name.partition("/")
    spec = find_spec(package)  # finds the wheel's folder without importing it
    return Path(spec.submodule_search_locations[0], inside) if spec else None


@lru_cache(maxsize=64)
def _photograph(name: str, reduction: int) -> np.ndarray:
    """uint8 (H, W, 3), both sides divided by ``reduction`` (box average)."""
    from PIL import Image

    with Image.open(_locate(name)) as image:
        pixels = np.asarray(image.convert("RGB"))
    height, width = (side // reduction * reduction for side in pixels.shape[:2])
    return box_average(pixels[:height, :width], reduction)


def box_average(pixels: np.ndarray, reduction: int) -> np.ndarray:
    """uint8 (H, W, C) -> uint8 (H / reduction, W / reduction, C), rounded to nearest."""
    height, width, channels = pixels.shape
    blocks = pixels.reshape(height // reduction, reduction, width // reduction, reduction, channels)
    area = reduction**2
    return ((blocks.astype(np.int64).sum(axis=(1, 3)) + area // 2) // area).astype(np.uint8)


def texture(subset: str, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A photograph's crop or a dead-leaves image, uint8 (height, width, 3)."""
    files = photo_files(subset)
    pick, which = rng.random(), rng.random()
    if files and pick < PHOTO_SHARE:
        return photo_crop(files[int(which * len(files))], height, width, rng)
    return dead_leaves(height, width, rng)


def photo_crop(name: str, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """The liveliest of three random crops, turned, mirrored and tinted at random."""
    levels = [_photograph(name, reduction) for reduction in (1, 2, 3)]
    fitting = [p for p in levels if p.shape[0] >= height and p.shape[1] >= width] or [
        np.pad(levels[0], ((0, height), (0, width), (0, 0)), mode="symmetric")
    ]
    pixels = fitting[rng.integers(len(fitting))]
    crops = [_random_crop(pixels, height, width, rng) for _ in range(3)]
    crop = max(crops, key=lambda c: _mean_and_spread(c)[1])
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    if rng.random() < 0.25:
        crop = crop[::-1]
    return tint(crop, rng)


def _random_crop(pixels: np.ndarray, height: int, width: int, rng: np.random.Generator):
    top = rng.integers(pixels.shape[0] - height + 1)
    left = rng.integers(pixels.shape[1] - width + 1)
    return pixels[top : top + height, left : left + width]


def tint(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Scale the three channels by random gains in [0.7, 1.3]."""
    gains = rng.integers(179, 334, size=3)
    return np.minimum(pixels.astype(np.int64) * gains // 256, 255).astype(np.uint8)


def dead_leaves(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Overlapping discs and boxes of power-law radii in one random palette (Lee et al., 2001).

    uint8 (height, width, 3), drawn at twice the size and averaged for smooth edges.
    """
    rows, columns = 2 * height, 2 * width
    palette = _palette(rng)
    largest = min(rows, columns) / 3
    smallest = max(2.0, largest / 12)
    count = int(3 * rows * columns / (largest * smallest))
    image = np.empty((rows, columns, 3), np.uint8)
    image[:] = palette[0]
    u = rng.random(count)  # inverse transform of the density 1 / r^3 between the two radii
    radii = 1 / np.sqrt(u / smallest**2 + (1 - u) / largest**2)
    centres = rng.random((count, 2)) * (rows, columns)
    colors = palette[rng.integers(len(palette), size=count)].astype(np.int64)
    colors = np.clip(colors + rng.integers(-24, 25, size=(count, 3)), 0, 255)
    for radius, (y, x), color, kind in zip(radii, centres, colors, rng.random(count)):
        _paint_leaf(image, radius, y, x, color, is_box=kind < 0.3)
    return box_average(image, 2)


def _palette(rng: np.random.Generator) -> np.ndarray:
    """Five colours around two hues, uint8 (5, 3)."""
    hues = rng.random(2)
    picks = [
        (hues[i % 2] + 0.08 * (rng.random() - 0.5), 0.1 + 0.65 * rng.random(), 0.25 + 0.75 * v)
        for i, v in enumerate(rng.permutation(5) / 4)
    ]
    return np.array([rgb(*pick) for pick in picks], np.uint8)


def rgb(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    """HSV in [0, 1] (hue wraps round) -> 8-bit RGB."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def _paint_leaf(image, radius, y, x, color, *, is_box: bool) -> None:
    top, left = max(int(y - radius), 0), max(int(x - radius), 0)
    window = image[top : int(y + radius) + 1, left : int(x + radius) + 1]
    if is_box:
        window[:] = color
        return
    rows = np.arange(top, top + window.shape[0])[:, None] - y
    columns = np.arange(left, left + window.shape[1])[None] - x
    window[rows**2 + columns**2 <= radius**2] = color


def structured(plane: np.ndarray, kind: str, side: float, rng: np.random.Generator) -> np.ndarray:
    """``plane`` uint8 (H, W, 3), lighter and darker in the parts of a scene's structure.

    What is light lies 2 x `DEPTH` grey levels above what is dark, in all channels alike, and parts
    are a seventh of ``side`` (px, the frame's short one) wide or more: both are there in grey,
    after colour jitter, and in crops of 32 px.
    """
    light = structure(kind, *plane.shape[:2], side, rng)
    shift = np.rint(DEPTH * (2 * light - 1)).astype(np.int64)
    return np.clip(plane + shift[..., None], 0, 255).astype(np.uint8)


def structure(
    kind: str, height: int, width: int, side: float, rng: np.random.Generator
) -> np.ndarray:
    """Which parts of a scene are light: (height, width) in [0, 1], with soft edges.

    Sizes, angles and places are drawn, so that no spot of a picture tells the kind, and a mirrored
    picture is of the same one.
    """
    kind = one_of("kind", kind, STRUCTURES)
    y = (np.arange(height)[:, None] + 0.5 - height / 2) / side
    x = (np.arange(width)[None] + 0.5 - width / 2) / side
    if kind in ("field", "wall"):
        across = y if kind == "field" else x
        lean = 0.16 * (rng.random() - 0.5) * (x if kind == "field" else y)
        edge = (across + lean + 0.2 * (rng.random() - 0.5)) / 0.1
        light = np.clip(edge + 0.5, 0, 1)
        return 1 - light if rng.random() < 0.5 else light
    u, v = _turned(x, y, 0.25 if kind == "checkered" else 0, rng)
    cell, phase = 0.13 + 0.05 * rng.random(), rng.random(2)
    if kind == "striped":
        return _bands(u / cell + phase[0])
    if kind == "checkered":
        a, b = _bands(u / cell + phase[0]), _bands(v / cell + phase[1])
        return a * (1 - b) + b * (1 - a)
    if kind == "ringed":
        centre = 0.3 * (rng.random(2) - 0.5)
        return _bands(np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / cell + phase[0])
    u, v = (np.abs((at / (2 * cell) + move) % 1 - 0.5) for at, move in zip((u, v), phase))
    light = np.clip((0.3 - np.sqrt(u**2 + v**2)) / 0.12 + 0.5, 0, 1)
    return 1 - light if rng.random() < 0.5 else light


def _turned(x: np.ndarray, y: np.ndarray, about: float, rng: np.random.Generator):
    """Coordinates along two axes at right angles, turned ``about`` so much of half a circle."""
    angle = np.pi * (about + 0.16 * (rng.random() - 0.5))
    cos, sin = round(float(np.cos(angle)), 6), round(float(np.sin(angle)), 6)
    return x * cos + y * sin, y * cos - x * sin


def _bands(position: np.ndarray) -> np.ndarray:
    """Bands of width 1, light and dark by turns, in [0, 1] with soft edges."""
    triangle = np.abs(position % 2 - 1)
    return np.clip((triangle - 0.5) / 0.3 + 0.5, 0, 1)


def relight(pixels: np.ndarray, mean: int, spread: tuple[int, int]) -> np.ndarray:
    """Shift the mean grey level to ``mean`` and bring the spread (std) into a range."""
    old_mean, old_spread = _mean_and_spread(pixels)
    wanted = min(max(old_spread, spread[0]), spread[1])
    gain = min(int(64 * wanted / max(old_spread, 1.0)), 256)  # at most x 4: no amplified noise
    moved = (pixels.astype(np.int64) - int(old_mean)) * gain // 64 + mean
    return np.clip(moved, 0, 255).astype(np.uint8)


def _mean_and_spread(pixels: np.ndarray) -> tuple[float, float]:
    values = pixels.astype(np.int64)  # integer sums: the same on every machine
    mean = values.sum() / values.size
    return mean, float(np.sqrt(max((values**2).sum() / values.size - mean**2, 0.0)))


def mean_level(pixels: np.ndarray) -> int:
    """Mean grey level of a uint8 image."""
    return int(_mean_and_spread(pixels)[0])


def silhouette(shape: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """Antialiased alpha of a random ``shape`` inside the unit circle, uint8 (size, size)."""
    one_of("shape", shape, SHAPES + OWN_SHAPES)
    fine = 4
    y, x = (np.mgrid[0 : size * fine, 0 : size * fine] + 0.5) / (size * fine) * 2 - 1
    if shape == "rectangle":
        high = 0.42 + 0.16 * rng.random()
        inside = (np.abs(x) < 0.85) & (np.abs(y) < high)
    elif shape == "bar":
        inside = (np.abs(x) < 0.95) & (np.abs(y) < 0.28)
    elif shape == "square":
        inside = np.maximum(np.abs(x), np.abs(y)) < 0.7
    elif shape in ("disc", "ring"):
        radius = x**2 + y**2
        inside = (radius < 0.92**2) & (radius > (0.5**2 if shape == "ring" else -1))
    elif shape == "ellipse":
        inside = (x / 0.92) ** 2 + (y / (0.5 + 0.16 * rng.random())) ** 2 < 1
    else:
        inside = _in_polygon(x, y, rng)
    return box_average((255 * inside[..., None]).astype(np.uint8), fine)[..., 0]


def _in_polygon(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Even-odd rule for a star-shaped polygon of 3 to 6 corners, stretched along x."""
    corners = int(rng.integers(3, 7))
    angles = 2 * np.pi * (np.arange(corners) + 0.5 * (rng.random(corners) - 0.5)) / corners
    radii = 0.92 - 0.25 * rng.random(corners)
    px = np.round(radii * np.cos(angles), 4)
    py = np.round(radii * np.sin(angles) * 0.75, 4)
    inside = np.zeros(x.shape, bool)
    for i in range(corners):
        x0, y0, x1, y1 = px[i - 1], py[i - 1], px[i], py[i]
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return inside


def cut_out(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Premultiplied RGBA (size, size, 4) float32: RGB in [0, 255], alpha in [0, 1]."""
    alpha = alpha[..., None].astype(np.float32) / np.float32(255)
    return np.concatenate([pixels.astype(np.float32) * alpha, alpha], axis=-1)
