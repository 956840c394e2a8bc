"""Of what drawings of methods are made: pictures, networks, arrows and words, placed in inches."""

from __future__ import annotations

import numpy as np
from matplotlib.patches import FancyArrowPatch, Rectangle

from vidssl.visualize.style import FAINT, PAGE_WIDTH, new_figure

STAGES = 5  # of a network: stem and conv2 to conv5

Place = tuple[float, float]  # x, y in inches from the lower left corner


class Sketch:
    """An empty drawing as wide as a page; begin it inside `paper_style`.

    Attributes:
        figure: holds the drawing.
        axis: its coordinates are inches.
    """

    def __init__(self, height: float):
        self.figure = new_figure(PAGE_WIDTH, height)
        self.figure.get_layout_engine().set(w_pad=0, h_pad=0)
        self.axis = self.figure.subplots()
        self.axis.set(xlim=(0, PAGE_WIDTH), ylim=(0, height))
        self.axis.set_axis_off()

    def title(self, x: float, top: float, title: str, below: str) -> None:
        """Bold letters, and what else is to be said of a part in grey below them."""
        self.axis.text(x, top, title, va="top", weight="bold")
        self.axis.text(x, top - 0.17, below, va="top", fontsize=7, color=FAINT)

    def words(self, x: float, y: float, text: str) -> None:
        self.axis.text(x, y, text, va="center", fontsize=7)

    def picture(self, picture: np.ndarray, x: float, y: float, side: float, **look) -> None:
        """The square middle of a picture, or a matrix, with its lower left corner at (x, y)."""
        edge = min(picture.shape[:2])
        top, left = ((length - edge) // 2 for length in picture.shape[:2])
        middle = picture[top : top + edge, left : left + edge]
        look |= {"aspect": "auto", "zorder": 2 + x}  # those further right cover the others
        self.axis.imshow(middle, extent=(x, x + side, y, y + side), **look)
        self.box(x, y, side, side, fill=False, ec="0.4", lw=0.6, zorder=2 + x)

    def box(self, x: float, y: float, width: float, height: float, **look) -> None:
        """A rectangle with its lower left corner at (x, y)."""
        self.axis.add_patch(Rectangle((x, y), width, height, **look))

    def network(
        self, x: float, y: float, width: float, height: float, color: str, *, frozen: int = 0
    ) -> None:
        """Stages as bars that get lower, around height ``y``; the first ``frozen`` are grey."""
        for stage in range(STAGES):
            high = height * (1 - 0.14 * stage)
            step, fill = width / STAGES, "0.8" if stage < frozen else color
            self.box(x + stage * step, y - high / 2, 0.8 * step, high, fc=fill, ec="none")

    def arrow(self, start: Place, end: Place, width: float = 0.8, bend: float = 0.0) -> None:
        look = {"arrowstyle": "-|>", "mutation_scale": 6, "lw": width, "color": "0.25"}
        curve = f"arc3,rad={bend}"
        self.axis.add_patch(FancyArrowPatch(start, end, connectionstyle=curve, **look))
