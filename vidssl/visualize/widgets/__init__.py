"""Widgets for notebooks. Each loads its library on first use: batch machines may lack it."""

from typing import TYPE_CHECKING

from vidssl.lazy import lazily

if TYPE_CHECKING:
    from vidssl.visualize.widgets.live import LiveCurves, in_live_notebook, progress_report
    from vidssl.visualize.widgets.panel import Playground, controls
    from vidssl.visualize.widgets.picture import Picture
    from vidssl.visualize.widgets.player import FramePlayer

__getattr__, __dir__ = lazily(__name__)

__all__ = [
    "FramePlayer",
    "LiveCurves",
    "Picture",
    "Playground",
    "controls",
    "in_live_notebook",
    "progress_report",
]
