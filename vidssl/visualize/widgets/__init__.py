"""Widgets for notebooks. Each loads its library on first use: batch machines may lack it."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vidssl.visualize.widgets.live import LiveCurves, in_live_notebook, progress_report
    from vidssl.visualize.widgets.panel import Controls, Playground, controls
    from vidssl.visualize.widgets.picture import Picture
    from vidssl.visualize.widgets.player import FramePlayer

_HOMES = {
    "Controls": "panel",
    "FramePlayer": "player",
    "LiveCurves": "live",
    "Picture": "picture",
    "Playground": "panel",
    "controls": "panel",
    "in_live_notebook": "live",
    "progress_report": "live",
}
__all__ = [
    "Controls",
    "FramePlayer",
    "LiveCurves",
    "Picture",
    "Playground",
    "controls",
    "in_live_notebook",
    "progress_report",
]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
