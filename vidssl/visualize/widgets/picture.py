"""One picture in a notebook that controls redraw, with words for those who do not see it."""

from __future__ import annotations

from pathlib import Path

import anywidget
import numpy as np
import traitlets
from matplotlib.figure import Figure

from vidssl.visualize.style import figure_png, picture_html
from vidssl.visualize.widgets.fallback import WithStill, png_of


class Picture(WithStill, anywidget.AnyWidget):
    """An image, redrawn by ``show``; never wider than its place, never stretched."""

    _esm = Path(__file__).with_name("picture.js")
    _css = ".vidssl-picture { display: block; max-width: 100%; height: auto; }"

    png = traitlets.Bytes().tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    width = traitlets.Int(0, help="CSS pixels; 0: as many as the image has").tag(sync=True)

    def show(self, picture: Figure | np.ndarray, alt: str, *, density: float = 1.0) -> None:
        """Show a figure, or frames (H, W, 3) uint8 drawn with ``density`` pixels a CSS pixel."""
        if not alt.strip():
            raise ValueError("alt must say in words what the picture shows")
        if isinstance(picture, Figure):
            png, width = figure_png(picture, dpi=110), 0
        else:
            png, width = png_of(picture), round(picture.shape[1] / density)
        with self.hold_sync():
            self.png, self.alt, self.width = png, alt, width

    def still(self) -> str:
        """The image as it is now."""
        return picture_html(self.png, self.alt) if self.png else ""

    def __repr__(self) -> str:
        return f"Picture({self.alt})"
