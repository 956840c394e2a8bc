"""Where a network looks: heat over frames, beside the speed of what moves there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from vidssl.visualize.clips import Clip, as_clips, as_frames, draw_strip, evenly, join_frames
from vidssl.visualize.style import PAGE_WIDTH, method_name, new_figure, paper_style

HEAT = colormaps["inferno"]  # grows evenly in lightness: read the same in print and in grey
STRONGEST = 0.75  # opacity of the hottest place: the frame stays visible under it
OUTLINE = "#56B4E9"  # of the true object: no tone of the heat


def heat_over_frames(clip: Clip, attention: np.ndarray) -> np.ndarray:
    """Frames in grey under a map's heat, uint8 (T, H, W, 3): the hotter, the more opaque.

    Args:
        clip: uint8 (T, H, W, 3), or a float tensor (3, T, H, W) in [0, 1].
        attention: (T, h, w) at least 0, divided by its largest value here; brought to the
            frames' size bilinearly.
    """
    frames, given = as_frames(clip), np.asarray(attention, dtype=np.float32)
    if given.ndim != 3 or not np.isfinite(given).all() or given.min() < 0:
        raise ValueError(f"a map must be (T, h, w), finite and at least 0, got shape {given.shape}")
    if len(given) != len(frames):
        raise ValueError(f"clip and map must have as many frames, got {len(frames)}, {len(given)}")
    scaled = given / (given.max() or 1.0)  # one without mass stays 0
    heat = np.stack([_resized(one, frames.shape[1:3]) for one in scaled])
    grey = frames.mean(axis=3, keepdims=True)
    opacity = STRONGEST * heat[..., None]
    painted = (1 - opacity) * grey + opacity * 255 * HEAT(heat)[..., :3]
    return painted.round().astype(np.uint8)


def heat_pictures(values: np.ndarray, largest: float) -> np.ndarray:
    """Values (T, h, w) as colours, uint8 (T, h, w, 3): 0 is black, ``largest`` and above yellow."""
    return (HEAT(np.clip(values / (largest or 1.0), 0, 1))[..., :3] * 255).round().astype(np.uint8)


def attention_figure(
    clips: Sequence[Clip],
    maps: Mapping[str, Sequence[np.ndarray]],
    *,
    speeds: Sequence[np.ndarray] = (),
    masks: Sequence[np.ndarray | None] = (),
    titles: Sequence[str] = (),
    shown: int = 4,
    note: str = "",
) -> Figure:
    """Videos side by side; below their frames the speed of what moves, then a row for each network.

    Args:
        clips: V videos, each uint8 (T, H, W, 3) or a float tensor (3, T, H, W) in [0, 1].
        maps: for each network its V maps (T, h, w), drawn by `heat_over_frames`.
        speeds: V fields (T, h, w), px a frame; black is 0, yellow the video's largest.
        masks: V masks (T, H, W) of the true object, outlined in blue; None where unknown.
        titles: one a video.
        shown: frames drawn of each video, evenly spread.
    """
    videos = as_clips(clips)
    for name, maps_of in maps.items():
        if len(maps_of) != len(videos):
            raise ValueError(f"maps: {len(maps_of)} of {name!r} for {len(videos)} clips")
    rows = {"video": videos}
    if len(speeds):
        rows["speed"] = [heat_pictures(speed, float(np.max(speed))) for speed in speeds]
    for name, maps_of in maps.items():
        rows[name] = [heat_over_frames(video, one) for video, one in zip(videos, maps_of)]
    frames = [evenly(len(v), shown) for v in videos]
    cell = (PAGE_WIDTH - 0.6) / (shown * len(videos)) * videos[0].shape[1] / videos[0].shape[2]
    with paper_style():
        figure = new_figure(PAGE_WIDTH, len(rows) * (cell + 0.02) + 0.35, note)
        figure.get_layout_engine().set(w_pad=0.02, h_pad=0.01, wspace=0, hspace=0)
        axes = figure.subplots(len(rows), len(videos), squeeze=False)
        for line, (name, pictures) in zip(axes, rows.items()):
            line[0].set_ylabel(method_name(name).replace(" ", "\n"))
            for number, (axis, places) in enumerate(zip(line, frames)):
                strip = join_frames(pictures[number][places], shown)
                draw_strip(axis, strip, places if name == [*rows][-1] else ())
                mask = masks[number] if len(masks) and name != "speed" else None
                if mask is not None and mask[places].any():
                    joined = join_frames(mask[places], shown, between=0)
                    axis.contour(joined, levels=[0.5], colors=[OUTLINE], linewidths=0.9)
        for number, title in enumerate(titles):
            axes[0, number].set_title(title, loc="center", pad=3)
    return figure


def _resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w) float in [0, 1] -> ``size``, bilinear."""
    from PIL import Image

    return np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.BILINEAR))
