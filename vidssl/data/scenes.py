"""The embedded scenes: how a sprite moves in each class, its pixels, and the exact truth about it.

A `Scene` is a handful of integers and a class name; everything else is drawn again from seeds when
it is asked for: `trajectory`, `render`, `truth`. Lengths are in short sides of the frame, so the
same scene at another size shows the same motion.

A single frame says nothing about a motion class: looks are drawn without regard to the class, and
`_settle` gives the place and size of the sprite the same mean and variance over time in every
class, whatever the path. Only the motion tells classes apart. Of the appearance classes any frame
says which one it is, by the structure of the scene (bars, diamonds, dots, rings) and the shape of
the sprite, whose path is drawn from those of all motion classes. The classes of "both" are two
scenes times two orders: the scene leaves two of them open, the motion two others, as a teacher of
each kind would (and one order in a plain scene is another class again).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b

import numpy as np

from vidssl.core import derive_seed, did_you_mean
from vidssl.data import textures

TEST_GROUPS = 7  # groups 1-7 are test videos, the others training videos
LAST_GROUP = 25

# The sprite's centre (x, y) and log-diameter: mean and standard deviation over all frames.
PLACE_SPREAD = (0.21, 0.17)
SIZE_MEAN, SIZE_SPREAD = float(np.log(0.36)), 0.22


@dataclass(frozen=True)
class Path:
    """Displacement of a sprite over T frames, before it is given a place: arrays (T,).

    ``x`` (right), ``y`` (down) in short sides, ``angle`` clockwise in radians.
    ``boundaries``: frames at which another sub-action begins.
    """

    x: np.ndarray
    y: np.ndarray
    angle: np.ndarray
    boundaries: tuple[int, ...] = ()


@dataclass(frozen=True)
class SceneClass:
    """One of the 16 classes; ``group`` is one of `CLASS_GROUPS`.

    ``path`` is how its sprite moves (None: as in any of the motion classes), ``structure`` what its
    scenes look like and ``shape`` its sprites ("": drawn without regard to the class).
    """

    name: str
    group: str
    path: Callable[[int, np.random.Generator], Path] | None = None
    structure: str = ""
    shape: str = ""


@dataclass(frozen=True)
class Scene:
    """One video of the embedded data. Its group decides its subset, and so its textures."""

    class_name: str
    group: int
    clip: int
    data_seed: int = 0
    frames: int = 64
    height: int = 96
    width: int = 128

    @property
    def video_id(self) -> str:
        """``v_<ClassName>_gXX_cYY``, as UCF101 names its files."""
        return f"v_{self.class_name}_g{self.group:02d}_c{self.clip:02d}"

    @property
    def subset(self) -> str:
        """Either "train" or "test"."""
        return "test" if self.group <= TEST_GROUPS else "train"

    def rng(self, purpose: str, *, whole_group: bool = False) -> np.random.Generator:
        """Random numbers for one purpose, of this video or shared by its whole group."""
        clip = "all" if whole_group else self.clip
        parts = ("scene", self.data_seed, self.class_name, self.subset, self.group, clip, purpose)
        return np.random.Generator(np.random.PCG64(derive_seed(*parts)))


@dataclass(frozen=True)
class Trajectory:
    """Where the main sprite is on the screen: arrays (T,); x, y and size (diameter) in pixels."""

    x: np.ndarray
    y: np.ndarray
    angle: np.ndarray
    size: np.ndarray
    boundaries: tuple[int, ...] = ()


@dataclass(frozen=True)
class Truth:
    """What is known exactly about a scene.

    ``flow`` (T-1, H, W, 2) float32: where the surface seen at a pixel of frame t is at t + 1, in
    pixels, u right and v down. ``mask`` (T, H, W) bool: the visible part of the main sprite.
    ``boundaries``: frames at which the second sub-action begins (empty where there is none).
    """

    flow: np.ndarray
    mask: np.ndarray
    boundaries: list[int]
    class_group: str


# --- paths -------------------------------------------------------------------------------------


def _still(frames: int) -> Path:
    zero = np.zeros(frames)
    return Path(zero, zero, zero)


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    return low + (high - low) * rng.random()


def _turns(frames: int, rng: np.random.Generator) -> np.ndarray:
    """Phase (T,) in periods of 20 to 32 frames, from a random start."""
    return np.arange(frames) / _between(rng, 20, 32) + rng.random()


def _either_way(rng: np.random.Generator) -> int:
    return 1 if rng.random() < 0.5 else -1


def _shuttle(frames: int, rng: np.random.Generator) -> Path:
    x = _between(rng, 0.2, 0.24) * np.cos(2 * np.pi * _turns(frames, rng))
    return replace(_still(frames), x=x, y=_between(rng, -0.15, 0.15) * x)


def _bounce(frames: int, rng: np.random.Generator) -> Path:
    arc = _turns(frames, rng) % 1 * 2 - 1
    return replace(_still(frames), y=_between(rng, 0.32, 0.40) * (arc**2 - 1))


def _spin(frames: int, rng: np.random.Generator) -> Path:
    return replace(_still(frames), angle=_either_way(rng) * 2 * np.pi * _turns(frames, rng))


def _orbit(frames: int, rng: np.random.Generator) -> Path:
    turn = _either_way(rng) * 2 * np.pi * _turns(frames, rng)
    radius = _between(rng, 0.15, 0.18)
    return replace(_still(frames), x=radius * np.cos(turn), y=radius * np.sin(turn))


def _phases(frames: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int]:
    """Progress (T,) from 0 to 1 of a first and a second phase, and the frame between them.

    That frame lies in the middle half of the video.
    """
    boundary = int(rng.integers(-(-frames // 4), 3 * frames // 4 + 1))
    t = np.arange(frames)
    first = np.clip(t / boundary, 0, 1)
    second = np.clip((t - boundary) / (frames - 1 - boundary), 0, 1)
    return first, second, boundary


def _right_down(frames: int, rng: np.random.Generator, *, right_first: bool) -> Path:
    first, second, boundary = _phases(frames, rng)
    right, down = (first, second) if right_first else (second, first)
    x, y = _between(rng, 0.38, 0.44) * right, _between(rng, 0.32, 0.36) * down
    return replace(_still(frames), x=x, y=y, boundaries=(boundary,))


def _rise_then_spin(frames: int, rng: np.random.Generator) -> Path:
    rising, spinning, boundary = _phases(frames, rng)
    y = -_between(rng, 0.28, 0.32) * rising
    angle = _either_way(rng) * 2 * np.pi * _between(rng, 1.0, 1.5) * spinning
    return replace(_still(frames), y=y, angle=angle, boundaries=(boundary,))


def _spin_then_fall(frames: int, rng: np.random.Generator) -> Path:
    spinning, falling, boundary = _phases(frames, rng)
    y = _between(rng, 0.28, 0.32) * falling
    angle = _either_way(rng) * 2 * np.pi * _between(rng, 1.0, 1.5) * spinning
    return replace(_still(frames), y=y, angle=angle, boundaries=(boundary,))


def _right_then_down(frames: int, rng: np.random.Generator) -> Path:
    return _right_down(frames, rng, right_first=True)


def _down_then_right(frames: int, rng: np.random.Generator) -> Path:
    return _right_down(frames, rng, right_first=False)


CLASSES: tuple[SceneClass, ...] = (
    SceneClass("Shuttle", "repetitive", _shuttle),
    SceneClass("Bounce", "repetitive", _bounce),
    SceneClass("Spin", "repetitive", _spin),
    SceneClass("Orbit", "repetitive", _orbit),
    SceneClass("RightThenDown", "ordered", _right_then_down),
    SceneClass("DownThenRight", "ordered", _down_then_right),
    SceneClass("RiseThenSpin", "ordered", _rise_then_spin),
    SceneClass("SpinThenFall", "ordered", _spin_then_fall),
    SceneClass("Striped", "appearance", structure="striped", shape="bar"),
    SceneClass("Checkered", "appearance", structure="checkered", shape="square"),
    SceneClass("Spotted", "appearance", structure="spotted", shape="disc"),
    SceneClass("Ringed", "appearance", structure="ringed", shape="ring"),
    SceneClass("FieldRightThenDown", "both", _right_then_down, "field"),
    SceneClass("FieldDownThenRight", "both", _down_then_right, "field"),
    SceneClass("WallRightThenDown", "both", _right_then_down, "wall"),
    SceneClass("WallDownThenRight", "both", _down_then_right, "wall"),
)
CLASS_GROUPS = ("repetitive", "ordered", "appearance", "both")
_BY_NAME = {each.name: each for each in CLASSES}
_PATHS = tuple(each.path for each in CLASSES if each.group in ("repetitive", "ordered"))


def scene_class(name: str) -> SceneClass:
    """The class of that name; ValueError with the nearest known name otherwise."""
    if name not in _BY_NAME:
        raise ValueError(f"class {name!r} is unknown{did_you_mean(name, list(_BY_NAME))}")
    return _BY_NAME[name]


def scene_of(video_id: str, **numbers: int) -> Scene:
    """The scene of a video id or path such as ``Spin/v_Spin_g08_c02.mp4``.

    ``numbers`` are the other fields of `Scene` (data_seed, frames, height, width).
    """
    match = re.search(r"v_([A-Za-z]+)_g(\d+)_c(\d+)(\.\w+)?$", str(video_id))
    if not match:
        raise ValueError(f"video_id {str(video_id)!r} is not of the form v_<Class>_gXX_cYY")
    return Scene(scene_class(match[1]).name, int(match[2]), int(match[3]), **numbers)


# --- where things are ----------------------------------------------------------------------------


def _drift(scene: Scene) -> np.ndarray:
    """Offset (T, 2) of the whole picture in pixels (x, y): a slow camera, in 1/16 pixel."""
    rng = scene.rng("camera")
    t = np.arange(scene.frames)[:, None]
    velocity = (rng.random(2) * 2 - 1) * 0.0006
    sway = (rng.random(2) * 2 - 1) * 0.012
    wave = np.sin(2 * np.pi * (t / (70 + 50 * rng.random(2)) + rng.random(2)))
    offset = velocity * (t - scene.frames / 2) + sway * wave
    return np.round(offset * scene.height * 16) / 16


def _settle(path: np.ndarray, mean: float, spread: float, rng: np.random.Generator) -> np.ndarray:
    """Move a path (T,) to a random place such that all classes share one mean and variance.

    The path is centred on its own mean over time; the place is uniform, with the variance the path
    itself lacks. (The least spread keeps some freedom for paths that use all of it.)
    """
    missing = max(spread**2 - path.var(), (0.25 * spread) ** 2)
    place = mean + (rng.random() * 2 - 1) * np.sqrt(3 * missing)
    return path - path.mean() + place


@lru_cache(maxsize=8)
def trajectory(scene: Scene) -> Trajectory:
    """The main sprite's way over the screen, camera drift included."""
    rng = scene.rng("motion")
    make_path = scene_class(scene.class_name).path or _PATHS[rng.integers(len(_PATHS))]
    path = make_path(scene.frames, rng)
    aspect = scene.width / scene.height
    x = _settle(path.x, aspect / 2, PLACE_SPREAD[0], rng) * scene.height
    y = _settle(path.y, 0.5, PLACE_SPREAD[1], rng) * scene.height
    size = np.exp(_settle(np.zeros(scene.frames), SIZE_MEAN, SIZE_SPREAD, rng)) * scene.height
    angle = path.angle + 2 * np.pi * rng.random()
    drift = _drift(scene)
    # Rounding hides the last bits, in which sine and exponential differ between machines.
    x, y, size = (np.round(v * 1024) / 1024 for v in (x + drift[:, 0], y + drift[:, 1], size))
    return Trajectory(x, y, np.round(angle, 6), size, path.boundaries)


# --- layers ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layer:
    """A cut-out (h, w, 4) and its pose in each frame; ``scale`` in pixels a texel."""

    cut_out: np.ndarray
    x: np.ndarray
    y: np.ndarray
    angle: np.ndarray
    scale: np.ndarray

    def at(self, times: np.ndarray) -> _Layer:
        poses = (pose[times] for pose in (self.x, self.y, self.angle, self.scale))
        return _Layer(self.cut_out, *poses)


def _native_size(scene: Scene) -> int:
    return 2 * round(0.16 * scene.height)


def _main_layer(scene: Scene, background_level: int) -> _Layer:
    rng, kind = scene.rng("sprite"), scene_class(scene.class_name)
    size = _native_size(scene)
    shape = textures.SHAPES[rng.integers(len(textures.SHAPES))]
    alpha = textures.silhouette(kind.shape or shape, size, rng)
    pixels = textures.texture(scene.subset, size, size, rng)
    pixels = _stand_out(pixels, background_level, rng, 80 if kind.structure else 75)
    way = trajectory(scene)
    return _Layer(textures.cut_out(pixels, alpha), way.x, way.y, way.angle, way.size / size)


def _stand_out(
    pixels: np.ndarray, background_level: int, rng: np.random.Generator, clear: int = 55
) -> np.ndarray:
    """A sprite's texture, darker or lighter than the background by ``clear`` levels or more."""
    darker, lighter = (35, background_level - clear), (background_level + clear, 220)
    room = [max(high - low, 0) for low, high in (darker, lighter)]
    pick = int(rng.integers(sum(room)))
    level = darker[0] + pick if pick < room[0] else lighter[0] + pick - room[0]
    return textures.relight(pixels, level, (16, 36))


def _distractor(scene: Scene, background_level: int) -> _Layer | None:
    """Sometimes a second, ordinary sprite that rests or creeps."""
    rng = scene.rng("distractor")
    if rng.random() > 0.12:
        return None
    size = _native_size(scene)
    shape = textures.SHAPES[rng.integers(len(textures.SHAPES))]
    alpha = textures.silhouette(shape, size, rng)
    pixels = _stand_out(textures.texture(scene.subset, size, size, rng), background_level, rng)
    velocity = (rng.random(2) * 2 - 1) * (0.0012 if rng.random() < 0.5 else 0) * scene.height
    start = rng.random(2) * (scene.width, scene.height)
    place = np.round((start + velocity * np.arange(scene.frames)[:, None]) * 16) / 16
    place = place + _drift(scene)
    angle = np.full(scene.frames, round(2 * np.pi * rng.random(), 6))
    scale = np.full(scene.frames, round(_between(rng, 0.65, 0.95), 3))
    return _Layer(textures.cut_out(pixels, alpha), place[:, 0], place[:, 1], angle, scale)


def _occluder(scene: Scene) -> _Layer | None:
    """Sometimes a post or a small dark thing in front, fixed to the background."""
    rng = scene.rng("occluder")
    if rng.random() > 0.2:
        return None
    if rng.random() < 0.5:
        height, width = scene.height + 32, round(_between(rng, 0.06, 0.09) * scene.height) + 2
        alpha = np.zeros((height, width), np.uint8)
        alpha[:, 1:-1] = 255
        place = np.array([rng.random() * scene.width, scene.height / 2])
    else:
        height = width = round(_between(rng, 0.14, 0.2) * scene.height)
        alpha = textures.silhouette("ellipse", height, rng)
        place = rng.random(2) * (scene.width, scene.height)
    pixels = textures.dead_leaves(height, width, rng)
    pixels = textures.relight(pixels, int(rng.integers(45, 90)), (8, 20))
    place = np.round(place * 16) / 16 + _drift(scene)
    zero, one = np.zeros(scene.frames), np.ones(scene.frames)
    return _Layer(textures.cut_out(pixels, alpha), place[:, 0], place[:, 1], zero, one)


def _layers(scene: Scene, background_level: int) -> tuple[_Layer | None, _Layer, _Layer | None]:
    """From back to front: distractor, main sprite, occluder."""
    return (
        _distractor(scene, background_level),
        _main_layer(scene, background_level),
        _occluder(scene),
    )


def _patches(layer: _Layer) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The layer drawn in each frame: RGBA (T, h, w, 4), and the rows and columns of the corners.

    The cut-out is sampled bilinearly at the inverse similarity of each pixel.
    """
    height, width = layer.cut_out.shape[:2]
    reach_y, reach_x = (int(side / 2 * layer.scale.max()) + 2 for side in (height, width))
    column, row = np.floor(layer.x).astype(int), np.floor(layer.y).astype(int)
    dx = np.arange(-reach_x, reach_x + 1) - (layer.x - column)[:, None]
    dy = np.arange(-reach_y, reach_y + 1) - (layer.y - row)[:, None]
    cos = np.round(np.cos(layer.angle) / layer.scale, 6)[:, None]
    sin = np.round(np.sin(layer.angle) / layer.scale, 6)[:, None]
    u = (dx * cos + (width - 1) / 2)[:, None, :] + (dy * sin)[:, :, None]
    v = (dx * -sin + (height - 1) / 2)[:, None, :] + (dy * cos)[:, :, None]
    return _bilinear(layer.cut_out, v, u), row - reach_y, column - reach_x


def _bilinear(image: np.ndarray, v: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Values of ``image`` (h, w, C) float32 at rows ``v`` and columns ``u``; edges extend."""
    height, width = image.shape[:2]
    v, u = np.clip(v, 0, height - 1.001), np.clip(u, 0, width - 1.001)
    row, column = v.astype(np.int32), u.astype(np.int32)
    fy, fx = ((p - q).astype(np.float32)[..., None] for p, q in ((v, row), (u, column)))
    flat, at = image.reshape(-1, image.shape[2]), row * width + column
    top = flat[at]
    top += (flat[at + 1] - top) * fx
    bottom = flat[at + width]
    bottom += (flat[at + width + 1] - bottom) * fx
    top += (bottom - top) * fy
    return top


def _paste(frame: np.ndarray, patch: np.ndarray, row: int, column: int) -> None:
    """Blend a premultiplied patch (h, w, C + 1), alpha last, over ``frame`` (H, W, C), in place."""
    height, width = frame.shape[:2]
    top, left = max(-row, 0), max(-column, 0)
    seen = patch[top : max(height - row, 0), left : max(width - column, 0)]
    if not seen.size:
        return
    window = frame[row + top :, column + left :][: seen.shape[0], : seen.shape[1]]
    window *= 1 - seen[..., -1:]
    window += seen[..., :-1]


# --- pixels --------------------------------------------------------------------------------------


def _margin(scene: Scene) -> int:
    return round(0.06 * scene.height) + 2


@lru_cache(maxsize=4)
def _group_background(first: Scene) -> np.ndarray:
    """Background of a whole group, larger than a frame, uint8."""
    rng = first.rng("background", whole_group=True)
    room = 2 * _margin(first) + first.height // 6
    pixels = textures.texture(first.subset, first.height + room, first.width + room, rng)
    if scene_class(first.class_name).structure:
        return textures.relight(pixels, int(rng.integers(118, 139)), (8, 16))
    return textures.relight(pixels, int(rng.integers(85, 171)), (8, 18))


def _background(scene: Scene) -> np.ndarray:
    """This video's part of the group's background: the frame and a margin for the drift."""
    whole = _group_background(replace(scene, clip=0))
    rng, margin = scene.rng("background"), _margin(scene)
    top = rng.integers(whole.shape[0] - scene.height - 2 * margin + 1)
    left = rng.integers(whole.shape[1] - scene.width - 2 * margin + 1)
    plane = whole[top : top + scene.height + 2 * margin, left : left + scene.width + 2 * margin]
    kind = scene_class(scene.class_name).structure
    return textures.structured(plane, kind, scene.height, rng) if kind else plane


def _shifted(plane: np.ndarray, scene: Scene, offset: np.ndarray) -> np.ndarray:
    """The frame's window of ``plane`` (uint16), moved by ``offset`` (x, y) in 1/16 pixel."""
    start = np.round((_margin(scene) - offset) * 16).astype(int)
    (left, fx), (top, fy) = divmod(int(start[0]), 16), divmod(int(start[1]), 16)
    window = plane[top : top + scene.height + 1, left : left + scene.width + 1]
    window = window[:-1] * np.uint16(16 - fy) + window[1:] * np.uint16(fy)
    window = window[:, :-1] * np.uint16(16 - fx) + window[:, 1:] * np.uint16(fx)
    return window.astype(np.float32) * np.float32(1 / 256)


@lru_cache(maxsize=2)
def _noise_tile(height: int, width: int) -> np.ndarray:
    """Camera noise of about 1.5 grey levels, a little larger than a frame."""
    rng = np.random.Generator(np.random.PCG64(derive_seed("noise", height, width)))
    tosses = rng.integers(0, 2, size=(9, height + 64, width + 64, 3), dtype=np.int8)
    return tosses.sum(axis=0).astype(np.float32) - np.float32(4.5)


def render(scene: Scene, at: Sequence[int] | None = None) -> np.ndarray:
    """The scene's frames, uint8 RGB (T, H, W, 3); the same on every machine.

    ``at`` picks frames by index, so that a few of them cost little.
    """
    times = np.arange(scene.frames) if at is None else np.asarray(at, int)
    plane = _background(scene)
    layers = _layers(scene, textures.mean_level(plane))
    patches = [_patches(layer.at(times)) for layer in layers if layer]
    plane, drift, rng = plane.astype(np.uint16), _drift(scene), scene.rng("noise")
    noise = _noise_tile(scene.height, scene.width)
    gains = (np.float32(256) + rng.integers(-4, 5, size=scene.frames)) / np.float32(256)
    shifts = rng.integers(0, 64, size=(scene.frames, 2))
    video = np.empty((len(times), scene.height, scene.width, 3), np.uint8)
    for i, t in enumerate(times):
        frame = _shifted(plane, scene, drift[t])
        for pixels, rows, columns in patches:
            _paste(frame, pixels[i], rows[i], columns[i])
        frame *= np.float32(gains[t])
        top, left = shifts[t]
        frame += noise[top : top + scene.height, left : left + scene.width]
        video[i] = np.clip(np.rint(frame, out=frame), 0, 255, out=frame)
    return video


# --- truth ---------------------------------------------------------------------------------------


def truth(scene: Scene) -> Truth:
    """Flow, mask, boundaries and class group of a scene, computed from its seeds."""
    distractor, main, occluder = _layers(scene, textures.mean_level(_background(scene)))
    shape = (scene.frames, scene.height, scene.width)
    hidden = _coverage(occluder, shape) >= 0.5
    mask = (_coverage(main, shape) >= 0.5) & ~hidden
    flow = np.empty((scene.frames - 1, *shape[1:], 2), np.float32)
    flow[:] = np.diff(_drift(scene), axis=0)[:, None, None]
    if distractor:
        seen = (_coverage(distractor, shape) >= 0.5) & ~mask & ~hidden
        _write_flow(flow, distractor, seen)
    _write_flow(flow, main, mask)
    return Truth(
        flow,
        mask,
        list(trajectory(scene).boundaries),
        scene_class(scene.class_name).group,
    )


def _coverage(layer: _Layer | None, shape: tuple[int, int, int]) -> np.ndarray:
    """Alpha of a layer on the screen, (T, H, W) float32."""
    alpha = np.zeros((*shape, 1), np.float32)
    if layer is None:
        return alpha[..., 0]
    for frame, patch, row, column in zip(alpha, *_patches(layer)):
        _paste(frame, patch[..., [3, 3]], row, column)
    return alpha[..., 0]


def _write_flow(flow: np.ndarray, layer: _Layer, seen: np.ndarray) -> None:
    """Set ``flow`` to the layer's similarity motion wherever it is ``seen`` (T, H, W)."""
    t, y, x = np.nonzero(seen[:-1])
    grow = layer.scale[t + 1] / layer.scale[t]
    turn = layer.angle[t + 1] - layer.angle[t]
    cos, sin = grow * np.cos(turn), grow * np.sin(turn)
    dx, dy = x - layer.x[t], y - layer.y[t]
    flow[t, y, x, 0] = cos * dx - sin * dy + layer.x[t + 1] - x
    flow[t, y, x, 1] = sin * dx + cos * dy + layer.y[t + 1] - y


def generator_hash() -> str:
    """Digest of a few rendered scenes: equal hashes mean equal data. Pinned by a test."""
    digest = blake2b(digest_size=8)
    for name, group in (("Orbit", 1), ("RiseThenSpin", 9), ("Ringed", 17)):
        digest.update(render(Scene(name, group, clip=1, frames=16)).tobytes())
    return digest.hexdigest()
