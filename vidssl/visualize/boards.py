"""What two teachers say of one video, drawn in pixels: fast enough to follow a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vidssl.visualize.clips import Clip
from vidssl.visualize.style import places_of, series_style
from vidssl.visualize.teachers import MATRICES, first_middle_last

DENSITY = 2  # pixels of the board a CSS pixel
WIDTH = 860  # CSS pixels
LETTERS = 22  # of a class name
ROW = 44  # CSS pixels a class of the bars
TOP = 5  # classes shown, by the highest probability that anyone gives them
INK, PALE = "#212121", "#d0d0d0"


def teacher_board(
    clips: Sequence[Clip],
    matrices: Sequence[np.ndarray],
    score: float,
    probabilities: Mapping[str, np.ndarray],
    class_names: Sequence[str],
    *,
    true_class: str = "",
) -> np.ndarray:
    """Film strip and matrices of one video above the bars of its likeliest classes.

    Args:
        clips: N clips, each uint8 (T, H, W, 3) or float (3, T, H, W); of each its first, middle
            and last frame are shown, one below the other.
        matrices: C_I and C_D, (N, N) each; their average is drawn beside them.
        score: s of the video.
        probabilities: name -> (K,), e.g. invariant, distinctive, blend.
        class_names: K names.
        true_class: is marked with an asterisk and always shown.

    Returns:
        (H, W, 3) uint8 with `DENSITY` pixels a CSS pixel.

    Raises:
        ValueError: matrices of another shape than (N, N), or another number of probabilities.
    """
    count = len(clips)
    if {np.shape(matrix) for matrix in matrices} != {(count, count)}:
        raise ValueError(f"matrices must be ({count}, {count}), one row a clip")
    table = np.array([np.asarray(p, dtype=float) for p in probabilities.values()])
    if table.ndim != 2 or table.shape[1] != len(class_names):
        raise ValueError(f"probabilities must have {len(class_names)} classes, got {table.shape}")
    above = _times(first_middle_last(clips), matrices, score)
    below = _bars(table, list(probabilities), class_names, true_class)
    return np.concatenate([above, below])


def likeliest(
    table: np.ndarray, class_names: Sequence[str], true_class: str, top: int
) -> list[int]:
    """Classes with the highest entry of ``table`` (M, K), the true one among them.

    >>> likeliest(np.array([[0.5, 0.3, 0.2, 0.0]]), list("abcd"), "d", 3)
    [0, 1, 3]
    """
    shown = [int(k) for k in np.argsort(-table.max(0), kind="stable")[:top]]
    if true_class in class_names and list(class_names).index(true_class) not in shown:
        shown[-1] = list(class_names).index(true_class)
    return shown


class _Sheet:
    """A white sheet that takes CSS pixels."""

    def __init__(self, height: float):
        size = (WIDTH * DENSITY, round(height * DENSITY))
        self.image = Image.new("RGB", size, "white")
        self.pen = ImageDraw.Draw(self.image)

    def text(self, x: float, y: float, text: str, anchor="la", size=13, ink=INK) -> None:
        place = (x * DENSITY, y * DENSITY)
        self.pen.text(place, text, ink, _font(size * DENSITY), anchor)

    def box(self, left: float, top: float, right: float, bottom: float, ink) -> None:
        corners = [DENSITY * number for number in (left, top, right, bottom)]
        self.pen.rectangle([round(number) for number in corners], fill=ink)

    def picture(self, picture: np.ndarray, left: float, top: float, width: float, height: float):
        size = round(width * DENSITY), round(height * DENSITY)
        large = Image.fromarray(picture).resize(size, Image.Resampling.NEAREST)
        self.image.paste(large, (round(left * DENSITY), round(top * DENSITY)))


@lru_cache
def _font(size: float) -> ImageFont.FreeTypeFont:
    """The letters of every figure, from matplotlib's own files."""
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), size)


def _times(strip: np.ndarray, matrices: Sequence[np.ndarray], score: float) -> np.ndarray:
    invariant, distinctive = map(np.asarray, matrices)
    named = {
        "C invariant": invariant,
        "C distinctive": distinctive,
        f"average, s = {score:.2f}": (invariant + distinctive) / 2,
    }
    side = 150
    scale = min((WIDTH - 3 * (side + 22) - 8) / strip.shape[1], side / strip.shape[0])
    sheet = _Sheet(side + 48)
    wide, high = strip.shape[1] * scale, strip.shape[0] * scale
    sheet.text(0, 4, "clips: first, middle, last frame")
    sheet.picture(strip, 0, 24, wide, high)
    for number in range(len(invariant)):
        middle = wide * (number + 0.5) / len(invariant)
        sheet.text(middle, 26 + high, str(number + 1), "ma", 11)
    for place, (title, matrix) in enumerate(named.items()):
        left = WIDTH - (3 - place) * (side + 22) + 18
        sheet.text(left, 4, title)
        _matrix(sheet, matrix, left, 24, side)
    return np.asarray(sheet.image)


def _matrix(sheet: _Sheet, matrix: np.ndarray, left: float, top: float, side: float) -> None:
    shades = matplotlib.colormaps[MATRICES]((np.asarray(matrix) + 1) / 2, bytes=True)[..., :3]
    sheet.picture(np.ascontiguousarray(shades), left, top, side, side)
    cell = side / len(matrix)
    for number in range(len(matrix)):
        middle = (number + 0.5) * cell
        sheet.text(left + middle, top + side + 2, str(number + 1), "ma", 11)
        sheet.text(left - 4, top + middle, str(number + 1), "rm", 11)
    if len(matrix) > 6:
        return
    for (row, column), value in np.ndenumerate(matrix):
        place = left + (column + 0.5) * cell, top + (row + 0.5) * cell
        ink = "black" if value > 0.45 else "white"
        sheet.text(*place, f"{value:.1f}", "mm", min(11, 0.4 * cell), ink)


def _bars(table, names, class_names, true_class: str) -> np.ndarray:
    shown = likeliest(table, class_names, true_class, TOP)
    sheet = _Sheet(ROW * len(shown) + 56)
    left, right = 190, WIDTH - 60
    place = left
    colors = [series_style(each)["color"] for each in places_of(names)]
    for name, color in zip(names, colors):
        sheet.box(place, 8, place + 14, 18, color)
        sheet.text(place + 20, 5, name)
        place += 44 + 8 * len(name)
    thick = (ROW - 10) / len(table)
    for number, k in enumerate(shown):
        above = 28 + ROW * number
        star = " *" if class_names[k] == true_class else ""
        sheet.text(left - 8, above + ROW / 2 - 4, _short(class_names[k]) + star, "rm")
        for part, (row, color) in enumerate(zip(table, colors)):
            y = above + part * thick
            sheet.box(left, y, left + (right - left) * row[k], y + thick - 2, color)
            end = left + (right - left) * row[k] + 6
            sheet.text(end, y + thick / 2 - 1, f"{row[k]:.2f}", "lm", 10)
    foot = 28 + ROW * len(shown)
    sheet.box(left, 26, left + 0.5, foot - 4, PALE)
    words = "probability   (* true class)" if true_class else "probability"
    sheet.text(left, foot, words)
    return np.asarray(sheet.image)


def _short(name: str) -> str:
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"
