"""The embedded data set: seeded scenes as H.264 files in UCF101's layout, or straight as arrays.

`make_dataset` writes ``UCF-101/<Class>/v_<Class>_gXX_cYY.mp4``, ``ucfTrainTestlist/`` and, last of
all, ``scenes.json``. `render_split` gives the same scenes as uint8 frames where nothing can decode.
`truth` and `scene_of` (see `vidssl.data.scenes`) say exactly what moves in any of the videos.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vidssl.core import VideoRecord, in_turns, one_of
from vidssl.data import textures
from vidssl.data.decode import write_video
from vidssl.data.folder_jobs import alone, remove_leftovers, results_of, writing
from vidssl.data.scenes import (
    CLASS_GROUPS,
    CLASSES,
    LAST_GROUP,
    TEST_GROUPS,
    Scene,
    SceneClass,
    Trajectory,
    Truth,
    generator_hash,
    render,
    scene_class,
    scene_of,
    trajectory,
    truth,
)
from vidssl.files import read_json, write_atomic
from vidssl.progress import reporting

__all__ = [
    "CLASSES",
    "CLASS_GROUPS",
    "SCALES",
    "Scene",
    "SceneClass",
    "SceneSet",
    "Trajectory",
    "Truth",
    "generator_hash",
    "load_scene",
    "make_dataset",
    "render",
    "render_split",
    "scene_class",
    "scene_of",
    "scene_set",
    "trajectory",
    "truth",
]

VIDEOS, LISTS, MARKER = "UCF-101", "ucfTrainTestlist", "scenes.json"
LIST_FILES = ("classInd.txt", "trainlist01.txt", "testlist01.txt")
PLAN = "scenes.partial.json"  # what an unfinished folder is going to hold
WORTH_A_WORKER = 40  # videos; starting a worker takes as long as these


@dataclass(frozen=True)
class SceneSet:
    """What a data set holds: ``train`` and ``test`` videos for each of ``classes``.

    ``shares`` multiplies these counts for the classes of a group (0 leaves the group out). Test
    videos belong to groups 1-7, training videos to groups 8-25. Frame sides are even (H.264).
    """

    classes: tuple[str, ...]
    train: int = 100
    test: int = 40
    frames: int = 64
    height: int = 96
    width: int = 128
    fps: int = 25
    shares: tuple[tuple[str, float], ...] = ()

    def count(self, class_name: str, subset: str) -> int:
        """Number of videos of a class in "train" or "test"."""
        share = dict(self.shares).get(scene_class(class_name).group, 1.0)
        return max(round(share * getattr(self, subset)), 1)

    def scenes(self, subset: str, data_seed: int = 0) -> list[Scene]:
        """All scenes of a subset, class by class and group by group."""
        first, last = (1, TEST_GROUPS) if subset == "test" else (TEST_GROUPS + 1, LAST_GROUP)
        groups, size = last - first + 1, (self.frames, self.height, self.width)
        found = [
            Scene(name, first + i % groups, 1 + i // groups, data_seed, *size)
            for name in self.classes
            for i in range(self.count(name, subset))
        ]
        return sorted(found, key=lambda s: (self.classes.index(s.class_name), s.group, s.clip))


_ALL = tuple(each.name for each in CLASSES)
SCALES: dict[str, SceneSet] = {
    "smoke": SceneSet(
        ("Shuttle", "RightThenDown", "FieldDownThenRight", "Striped"), 4, 2, frames=32
    ),
    "mini": SceneSet(_ALL),
    "gpu": SceneSet(_ALL, train=300, test=120, height=128, width=172),
}


def scene_set(
    scale: str = "mini",
    *,
    classes: Sequence[str] | None = None,
    shares: Mapping[str, float] | None = None,
    **numbers: int,
) -> SceneSet:
    """The set of a scale ("smoke", "mini", "gpu"), changed where asked.

    ``classes`` selects classes by name, ``shares`` maps a class group to a factor on its number of
    videos, ``numbers`` overrides train, test, frames, height, width or fps. ValueError for unknown
    names and impossible numbers.
    """
    chosen = SCALES[one_of("scale", scale, tuple(SCALES))]
    for name, value in numbers.items():
        one_of("parameter", name, ("train", "test", "frames", "height", "width", "fps"))
        _check_number(name, value)
    factors = {one_of("class group", group, CLASS_GROUPS): v for group, v in (shares or {}).items()}
    if any(v < 0 for v in factors.values()):
        raise ValueError(f"shares must not be negative, got {factors}")
    names = tuple(scene_class(name).name for name in classes or chosen.classes)
    names = tuple(n for n in names if factors.get(scene_class(n).group, 1) > 0)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"classes must be distinct and at least one, got {list(names)}")
    return replace(chosen, classes=names, shares=tuple(sorted(factors.items())), **numbers)


def _check_number(name: str, value: int) -> None:
    least = {"frames": 9, "height": 48, "width": 48}.get(name, 1)
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    if name in ("height", "width") and value % 2:
        raise ValueError(
            f"{name} must be even (H.264), got {value}; use {value - 1} or {value + 1}"
        )


# --- files ---------------------------------------------------------------------------------------


def make_dataset(
    folder: str | os.PathLike,
    *,
    scale: str = "mini",
    data_seed: int = 0,
    classes: Sequence[str] | None = None,
    shares: Mapping[str, float] | None = None,
    videos: Iterable[str] | None = None,
    workers: int = 2,
    progress: bool = True,
    **numbers: int,
) -> Path:
    """Write the embedded data below ``folder`` and return it; other arguments as in `scene_set`.

    With ``videos``, ids such as "Spin/v_Spin_g08_c01", only these are made now, beside the lists
    of all: enough to look at a few. The folder stays unfinished; a later call without them makes
    the rest, and the whole is the same to the byte. ValueError for an id that the data have not.

    The same ``data_seed`` gives the same videos whatever the number of ``workers``. Files appear
    whole or not at all: a run that was stopped goes on where it was, a finished folder is left
    alone, and a second run waits for the first. FileExistsError where the folder holds another
    data set, OSError where it cannot be written.
    """
    wanted = scene_set(scale, classes=classes, shares=shares, **numbers)
    folder, plan = Path(folder), _plan(wanted, data_seed)
    scenes = [s for subset in ("train", "test") for s in wanted.scenes(subset, data_seed)]
    # who waits to look at a few is served soon
    scenes = in_turns(scenes, key=lambda scene: scene.class_name)
    with writing(folder, "the embedded data"):
        folder.mkdir(parents=True, exist_ok=True)
        if videos is None:
            with alone(folder):
                if not _is_complete(folder, plan):
                    _begin(folder, plan, wanted, data_seed)
                    _write_videos(folder, scenes, wanted.fps, workers, progress)
                    write_atomic(folder / MARKER, json.dumps(plan, indent=1))
                    (folder / PLAN).unlink()
            return folder
        chosen = _chosen(scenes, videos)
        with alone(folder, unless=lambda: _has(folder, plan, chosen)) as is_mine:
            if is_mine and not _is_complete(folder, plan):
                _begin(folder, plan, wanted, data_seed)
                _write_videos(folder, chosen, wanted.fps, workers, progress)
    return folder


def _chosen(scenes: Sequence[Scene], videos: Iterable[str]) -> list[Scene]:
    known = {f"{scene.class_name}/{scene.video_id}": scene for scene in scenes}
    return [known[one_of("videos", video, tuple(known))] for video in dict.fromkeys(videos)]


def _has(folder: Path, plan: dict, chosen: Sequence[Scene]) -> bool:
    """Whether the lists and the chosen videos are there already, finished or not."""
    _is_complete(folder, plan)  # refuses other data
    begun = (folder / MARKER).exists() or (folder / PLAN).exists()
    files = [folder / LISTS / name for name in LIST_FILES]
    files += [_video_path(folder, scene) for scene in chosen]
    return begun and all(file.exists() for file in files)


def _begin(folder: Path, plan: dict, wanted: SceneSet, data_seed: int) -> None:
    """What the folder is going to hold, and the lists of it, which ask for no video."""
    write_atomic(folder / PLAN, json.dumps(plan, indent=1))
    _write_lists(folder, wanted, data_seed)


def _plan(wanted: SceneSet, data_seed: int) -> dict:
    """Everything that decides the pixels, as it stands in scenes.json."""
    return {
        **json.loads(json.dumps(asdict(wanted))),  # tuples as JSON gives them back
        "data_seed": data_seed,
        "class_groups": {name: scene_class(name).group for name in wanted.classes},
        "photographs": {subset: list(textures.photo_files(subset)) for subset in ("train", "test")},
        "generator_hash": generator_hash(),
    }


def _is_complete(folder: Path, plan: dict) -> bool:
    """Whether ``folder`` holds this data set already; FileExistsError if it holds another."""
    for name in (MARKER, PLAN):
        if (folder / name).exists():
            found = read_json(folder / name)
            different = [key for key in plan if found.get(key) != plan[key]]
            if different:
                raise FileExistsError(
                    f"{folder} holds other embedded data ({', '.join(different)} differ)"
                    f"{_of_another_version(found, plan)}; choose another folder or delete it"
                )
            return name == MARKER
    return False


def _of_another_version(found: dict, plan: dict) -> str:
    """What to know of data that other code has made, or nothing."""
    if found.get("generator_hash") == plan["generator_hash"]:
        return ""
    return (
        ", made by another version of the generator, whose results are not to be mixed with new "
        "ones (once deleted, the data are made anew where they are asked for)"
    )


def _video_path(folder: Path, scene: Scene) -> Path:
    return folder / VIDEOS / scene.class_name / f"{scene.video_id}.mp4"


def _write_videos(folder: Path, scenes: list[Scene], fps: int, workers: int, progress: bool):
    remove_leftovers(folder)
    missing = [scene for scene in scenes if not _video_path(folder, scene).exists()]
    work = partial(_write_one, folder=folder, fps=fps)
    for _ in _made(work, missing, workers, progress, "embedded data"):
        pass


def _write_one(scene: Scene, folder: Path, fps: int) -> Path:
    return write_video(_video_path(folder, scene), render(scene), fps=fps)


def _made(
    work: Callable[[Scene], Any], scenes: list[Scene], workers: int, progress: bool, title: str
) -> Iterator[tuple[Scene, Any]]:
    """(scene, ``work(scene)``) as they are finished, by workers where they are worth it."""
    useful = max(len(scenes) // WORTH_A_WORKER, 1)
    with reporting(len(scenes), title, shown=progress) as lines:
        for scene, result in results_of(work, scenes, min(workers, useful)):
            if result is None:
                raise RuntimeError(f"{scene.video_id}: its process is killed (memory?)")
            yield scene, result
            lines.update()


def _write_lists(folder: Path, wanted: SceneSet, data_seed: int) -> None:
    """classInd.txt, trainlist01.txt and testlist01.txt, as UCF101 has them."""
    (folder / LISTS).mkdir(exist_ok=True)
    number = {name: i for i, name in enumerate(wanted.classes, start=1)}
    lines = {"classInd.txt": [f"{i} {name}" for name, i in number.items()]}
    files = {
        subset: [(f"{s.class_name}/{s.video_id}.mp4", s) for s in wanted.scenes(subset, data_seed)]
        for subset in ("train", "test")
    }
    lines["trainlist01.txt"] = [f"{file} {number[s.class_name]}" for file, s in files["train"]]
    lines["testlist01.txt"] = [file for file, _ in files["test"]]
    for name, content in lines.items():
        write_atomic(folder / LISTS / name, "\n".join(content) + "\n")


def load_scene(folder: str | os.PathLike, video_id: str) -> Scene:
    """The scene behind a video of a folder that `make_dataset` wrote, or is writing."""
    marks = [path for name in (MARKER, PLAN) if (path := Path(folder) / name).is_file()]
    if not marks:
        raise FileNotFoundError(f"{folder} has no {MARKER}: not a finished folder of embedded data")
    marker = marks[0]
    found, keys = read_json(marker), ("data_seed", "frames", "height", "width")
    numbers = {key: found.get(key) for key in keys}
    if {type(number) for number in numbers.values()} != {int}:
        raise ValueError(f"{marker} does not say what {', '.join(keys)} are: make the data anew")
    return scene_of(video_id, **numbers)


# --- arrays --------------------------------------------------------------------------------------


def render_split(
    scale: str = "mini",
    subset: str = "train",
    *,
    data_seed: int = 0,
    classes: Sequence[str] | None = None,
    shares: Mapping[str, float] | None = None,
    workers: int = 2,
    progress: bool = True,
    **numbers: int,
) -> tuple[np.ndarray, list[VideoRecord]]:
    """A subset ("train" or "test") without any file: frames uint8 (V, T, H, W, 3) and V records.

    The scenes are those of `make_dataset`, before the encoder. Memory: the mini training set takes
    3.8 GB, that of the gpu scale 20 GB.
    """
    one_of("subset", subset, ("train", "test"))
    wanted = scene_set(scale, classes=classes, shares=shares, **numbers)
    scenes = wanted.scenes(subset, data_seed)
    frames = np.empty((len(scenes), wanted.frames, wanted.height, wanted.width, 3), np.uint8)
    place = {scene: number for number, scene in enumerate(scenes)}
    for scene, video in _made(render, scenes, workers, progress, f"rendering {subset}"):
        frames[place[scene]] = video
    return frames, [_record(scene, wanted.classes) for scene in scenes]


def _record(scene: Scene, classes: tuple[str, ...]) -> VideoRecord:
    return VideoRecord(
        path=f"{scene.class_name}/{scene.video_id}.mp4",
        label=classes.index(scene.class_name),
        video_id=f"{scene.class_name}/{scene.video_id}",
        group=f"{scene.class_name}_g{scene.group:02d}",
        class_name=scene.class_name,
    )
