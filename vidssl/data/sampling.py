"""Which frames: integers in, integer arrays out. No pixels, no files.

Short videos, stated once: a video shorter than what is asked for is extended by mirroring at its
ends, 0 1 2 3 -> 0 1 2 3 2 1 0 1 2 ... (`mirror_index`), and read from its first frame. In that
timeline, gaps between a clip's frames are exactly the stride, always.

Where a function says so, stride 0 spreads a clip over the whole video, be it long or short: see
`spread_clips`.

``num_frames`` is a video's length, ``frames`` a clip's, ``stride`` the gap in frames, ``rng`` a
NumPy generator. All functions raise ValueError for other numbers below 1.
"""

from __future__ import annotations

import numpy as np


def clip_span(frames: int, stride: int) -> int:
    """Frames from a clip's first to its last one, both counted.

    >>> clip_span(8, 4)
    29
    """
    return (frames - 1) * stride + 1


def mirror_index(index: int | np.ndarray, num_frames: int) -> np.ndarray:
    """Fold indices >= 0 of the mirrored timeline into 0..num_frames-1.

    >>> mirror_index(np.arange(9), 4).tolist()
    [0, 1, 2, 3, 2, 1, 0, 1, 2]
    """
    _check(num_frames=num_frames)
    period = max(1, 2 * (num_frames - 1))
    phase = np.asarray(index, dtype=np.int64) % period
    return np.minimum(phase, period - phase) if num_frames > 1 else np.zeros_like(phase)


def spread_clips(num_frames: int, frames: int, phases: np.ndarray) -> np.ndarray:
    """A clip over the whole video for each of ``phases`` in [0, 1): (N, frames) int64.

    The video is cut into ``frames`` equal parts, and of each the frame at the phase is taken. Of a
    video with fewer frames some stand twice.

    >>> spread_clips(10, 4, np.array([0.0, 0.5])).tolist()
    [[0, 2, 5, 7], [1, 3, 6, 8]]
    """
    _check(num_frames=num_frames, frames=frames)
    parts = (np.arange(frames) + np.asarray(phases)[:, None]) * (num_frames / frames)
    return np.minimum(parts.astype(np.int64), num_frames - 1)


def random_clip(num_frames: int, frames: int, stride: int, rng: np.random.Generator) -> np.ndarray:
    """A clip that starts anywhere it fits (stride 0: at a random phase): (frames,) int64."""
    if stride == 0:
        return spread_clips(num_frames, frames, rng.random(1))[0]
    _check(num_frames=num_frames, frames=frames, stride=stride)
    start = rng.integers(_last_start(num_frames, frames, stride) + 1)
    return _clips_at(start, num_frames, frames, stride)


def uniform_clips(num_frames: int, frames: int, stride: int, count: int) -> np.ndarray:
    """``count`` clips spread evenly from the first to the last possible start: (count, frames).

    One clip is the centre one. The clips overlap where the video is too short for all of them.
    Stride 0: at as many evenly spread phases.

    >>> uniform_clips(10, 4, 2, 2).tolist()
    [[0, 2, 4, 6], [3, 5, 7, 9]]
    """
    _check(count=count)
    if stride == 0:
        return spread_clips(num_frames, frames, (np.arange(count) + 0.5) / count)
    _check(num_frames=num_frames, frames=frames, stride=stride)
    last = _last_start(num_frames, frames, stride)
    spread = np.linspace(0, last, count) if count > 1 else np.array([last / 2])
    return _clips_at(np.floor(spread + 0.5).astype(np.int64), num_frames, frames, stride)


def random_clips(
    num_frames: int, frames: int, stride: int, count: int, rng: np.random.Generator
) -> np.ndarray:
    """``count`` random clips in order of time, without overlap where the video is long enough.

    Every placement without overlap is equally likely. In a shorter video the possible starts are
    cut in ``count`` equal parts and one is drawn from each. Stride 0: at ``count`` random phases.
    Returns (count, frames) int64.
    """
    _check(count=count)
    if stride == 0:
        return spread_clips(num_frames, frames, np.sort(rng.random(count)))
    _check(num_frames=num_frames, frames=frames, stride=stride)
    if count == 1:
        return random_clip(num_frames, frames, stride, rng)[None]
    span = clip_span(frames, stride)
    spare = num_frames - count * span
    if spare >= 0:
        ranks = np.sort(rng.choice(spare + count, count, replace=False)) - np.arange(count)
        starts = ranks + span * np.arange(count)
    else:
        starts = (_last_start(num_frames, frames, stride) + 1) * (
            (np.arange(count) + rng.random(count)) / count
        )
    return _clips_at(starts.astype(np.int64), num_frames, frames, stride)


def dense_clips(num_frames: int, frames: int, stride: int, step: int) -> np.ndarray:
    """Every clip that fits, a new one each ``step`` frames: (N, frames), N >= 1.

    Stride 0: every phase that is ``step`` frames farther.
    """
    _check(num_frames=num_frames, frames=frames, step=step)
    if stride == 0:
        part = num_frames / frames
        return spread_clips(num_frames, frames, np.arange(0, max(part, 1), step) / max(part, 1))
    _check(stride=stride)
    starts = np.arange(0, _last_start(num_frames, frames, stride) + 1, step)
    return _clips_at(starts, num_frames, frames, stride)


def global_local_clips(
    num_frames: int, frames: int, global_stride: int, locals_count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One sparse clip and the dense ones that tile the same stretch of time.

    The global clip (frames,) has stride ``global_stride``; local clip j of (locals_count, frames)
    has stride global_stride / locals_count and starts where local clip j - 1 ends. Both cover
    frames * global_stride frames from one random start. Source: TCLR, as TimeBalance uses it.
    """
    _check(num_frames=num_frames, frames=frames, global_stride=global_stride)
    _check(locals_count=locals_count)
    if global_stride % locals_count:
        raise ValueError(
            f"global_stride={global_stride} must be a multiple of locals_count={locals_count}: "
            "the local clips tile the global clip's stretch"
        )
    local_stride = global_stride // locals_count
    start = rng.integers(max(0, num_frames - frames * global_stride) + 1)
    local_starts = start + np.arange(locals_count) * frames * local_stride
    return (
        _clips_at(start, num_frames, frames, global_stride),
        _clips_at(local_starts, num_frames, frames, local_stride),
    )


def two_scale_views(
    num_frames: int, frames: int, global_stride: int, locals_count: int, rng: np.random.Generator
) -> np.ndarray:
    """The clips of `global_local_clips` twice, for two augmentations: (2 (1 + locals_count),
    frames), the global clip first, then the local ones in order of time."""
    sparse, dense = global_local_clips(num_frames, frames, global_stride, locals_count, rng)
    return np.tile(np.concatenate([sparse[None], dense]), (2, 1))


def consecutive_clips(
    num_frames: int, frames: int, stride: int, count: int, start: int | None = None
) -> np.ndarray:
    """``count`` clips that follow each other without a gap: (count, frames) int64.

    They begin at frame ``start``, by default so that they stand in the middle of the video.

    >>> consecutive_clips(10, 3, 1, 2).tolist()
    [[2, 3, 4], [5, 6, 7]]
    """
    if start is None:
        start = max(0, num_frames - clip_span(count * frames, stride)) // 2
    if min(frames, stride, count) < 1 or start < 0:
        raise ValueError(
            f"frames, stride and count must be 1 or more and start 0 or more, got {frames}, "
            f"{stride}, {count} and {start}"
        )
    timeline = start + stride * np.arange(count * frames)
    return mirror_index(timeline, num_frames).reshape(count, frames)


def _last_start(num_frames: int, frames: int, stride: int) -> int:
    return max(0, num_frames - clip_span(frames, stride))


def _clips_at(starts: int | np.ndarray, num_frames: int, frames: int, stride: int) -> np.ndarray:
    timeline = np.asarray(starts, dtype=np.int64)[..., None] + stride * np.arange(frames)
    return mirror_index(timeline, num_frames)


def _check(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")
