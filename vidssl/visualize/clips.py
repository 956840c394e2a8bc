"""Pictures of clips: film strips, one row a clip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from vidssl.core import clip_to_frames
from vidssl.visualize.style import PAGE_WIDTH, bare, describe, new_figure, paper_style

Clip = np.ndarray | Tensor  # (T, H, W, 3) uint8 frames, or a (3, T, H, W) tensor in [0, 1]


def as_frames(clip: Clip) -> np.ndarray:
    """One clip, decoded or on its way into a network, as frames (T, H, W, 3) uint8.

    Args:
        clip: uint8 (T, H, W, 3), or a float tensor (3, T, H, W) in [0, 1].

    Raises:
        ValueError: for anything else.
    """
    if isinstance(clip, Tensor) and clip.is_floating_point() and clip.ndim == 4:
        clip = clip_to_frames(clip.detach())
    frames = np.asarray(clip)
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or 0 in frames.shape:
        raise ValueError(
            "a clip must be frames (T, H, W, 3) uint8 or a float tensor (3, T, H, W) in [0, 1], "
            f"got {frames.dtype} {frames.shape}"
        )
    return frames


def as_clips(clips: Clip | Sequence[Clip]) -> list[np.ndarray]:
    """One clip, a batch of clips or a list of clips -> list of frames (T, H, W, 3) uint8."""
    single = hasattr(clips, "ndim") and clips.ndim == 4
    listed = [as_frames(clip) for clip in ([clips] if single else clips)]
    if not listed:
        raise ValueError("clips is empty: give at least one clip")
    return listed


def evenly(length: int, count: int) -> np.ndarray:
    """``count`` places from the first to the last of ``length``, as evenly spread as they go."""
    return np.linspace(0, length - 1, count).round().astype(int)


def film_strip(
    clips: Clip | Sequence[Clip],
    *,
    titles: Sequence[str] = (),
    every: int = 1,
    note: str = "",
) -> Figure:
    """Clips as rows of frames, time from left to right.

    Args:
        clips: one clip or several; each uint8 (T, H, W, 3) or a float tensor (3, T, H, W).
            They may differ in length and size.
        titles: one line above each row.
        every: show frames 0, ``every``, 2 ``every``, ...
        note: a grey line at the bottom right, e.g. the data set.
    """
    if every < 1:
        raise ValueError(f"every must be 1 or more, got {every}")
    rows = [frames[::every] for frames in as_clips(clips)]
    if isinstance(titles, str) or (titles and len(titles) != len(rows)):
        raise ValueError(f"titles must be a list of {len(rows)} texts, one a row, got {titles!r}")
    columns = max(map(len, rows))
    strips = [join_frames(frames, columns) for frames in rows]
    heights = [PAGE_WIDTH * strip.shape[0] / strip.shape[1] for strip in strips]
    extra = 0.17 * bool(titles) * len(rows) + 0.21
    with paper_style():
        figure = new_figure(PAGE_WIDTH, sum(heights) + extra, note)
        figure.get_layout_engine().set(w_pad=0.01, h_pad=0.015, wspace=0, hspace=0)
        axes = figure.subplots(len(rows), squeeze=False, height_ratios=heights).ravel()
        for axis, strip, title in zip(axes, strips, titles or [""] * len(rows)):
            draw_strip(axis, strip, np.arange(columns) * every if axis is axes[-1] else ())
            axis.set_title(title, pad=2)
    words = f": {'; '.join(titles)}" * bool(titles)
    describe(figure, f"film strips, {len(rows)} in all{words}")
    return figure


def draw_strip(axis: Axes, strip: np.ndarray, labels: Sequence = ()) -> None:
    """A strip (H, W, 3) of equally wide frames; below each its label."""
    axis.imshow(strip, interpolation="nearest")
    bare(axis)
    axis.set_xticks((np.arange(len(labels)) + 0.5) * strip.shape[1] / len(labels), labels)
    axis.tick_params(length=0, pad=2)


def join_frames(frames: np.ndarray, columns: int, between: int = 255) -> np.ndarray:
    """(T, H, W, ...) -> (H, columns * (W + gap), ...): frames from left to right, white between."""
    length, height, width, *channels = frames.shape
    gap = max(1, round(0.03 * width))
    strip = np.full((columns, height, width + gap, *channels), between, frames.dtype)
    strip[:length, :, gap // 2 : gap // 2 + width] = frames
    return strip.swapaxes(0, 1).reshape(height, -1, *channels)
