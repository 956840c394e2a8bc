"""The record of a run: what a notebook was asked, what came out, what it was made of."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidssl.core import PlainError, counted
from vidssl.files import names_full, plain_name, read_json
from vidssl.progress import in_notebook, quiet_interrupts, warnings_as_lines
from vidssl.runs import provenance
from vidssl.runs.earlier import (
    Need,
    explained,
    explore_folder,
    find_inputs,
    locate_all,
    note_exploration,
    start_needs,
)
from vidssl.runs.expectations import Expectation, expectations_table
from vidssl.runs.figures import figure_files, save_figure
from vidssl.runs.fitting import fit_to_data
from vidssl.runs.inputs import (
    PATHS,
    absent_in_words,
    check_inputs,
    make_videos,
    open_flow,
    open_frames,
    open_inputs,
    recording_caveats,
    share_caveats,
)
from vidssl.runs.notebooks import notebook_code, notebook_path
from vidssl.runs.parameters import (
    declared_parameters,
    given_names,
    parameters_in,
    texts_in,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

    from vidssl.core import VideoRecord
    from vidssl.data import Splits
    from vidssl.data.frame_store import FrameStore
    from vidssl.data.scenes import Scene

RECORD_BYTES = 4096
NAMED_FAILURES = 3
MADE_HERE = "embedded"  # the data set that the project makes; of others no video is named in git
NAMELESS = ("class_names", "state")  # texts among metrics that name no video
OF_ONE_VIDEO = ("video", "image")  # parameters
SHARED = {  # kinds of caveats -> what is said of the test videos that they count
    "shared_groups": "share a source with training videos",
    "shared_recordings": "are, by their names, of recordings trained on",
}
OWN_RECORD = "record.json"  # in a run's folder, where that is in no folder of all runs
CHECKPOINTS = "checkpoints"  # folder inside a run's, dropped when a run starts anew


@dataclass
class Run:
    """One execution of a notebook. Made by `start`; ``finish`` is its last word.

    ``folder`` is where everything of the run goes, ``params`` holds every declared parameter's
    value, ``given`` the names that the user set, ``namespace`` the notebook's variables.
    ``keeps_record`` is False while exploring by hand: then nothing outlives the folder.
    """

    notebook: str
    folder: Path
    params: dict[str, Any]
    project: Path
    keeps_record: bool
    commit: str = ""
    dirty: bool = True
    code: dict[str, str] = field(default_factory=dict)
    given: frozenset[str] = frozenset()
    namespace: MutableMapping[str, Any] = field(default_factory=dict, repr=False)
    figures: dict[str, str] = field(default_factory=dict)
    caveats: dict[str, Any] = field(default_factory=dict)
    began: float = field(default_factory=time.time)

    @property
    def scale(self) -> str:
        return self.params["scale"]

    @property
    def run_id(self) -> str:
        """``<scale>-<name>``, as records and figures cite it."""
        return f"{self.scale}-{self.folder.name}" if self.keeps_record else "exploration"

    @property
    def runs_root(self) -> Path | None:
        """The folder of all runs, where ``folder`` is ``<runs_root>/<scale>/<name>``."""
        return self.folder.parents[1] if self.folder.parent.name == self.scale else None

    @property
    def checkpoint_folder(self) -> Path | None:
        """Where training leaves checkpoints to go on from; None for an exploration."""
        return self.folder / CHECKPOINTS if self.keeps_record else None

    def open_dataset(self, labelled: bool = False, whole: bool = True) -> Splits:
        """The data set that this run's parameters name, see `inputs.open_inputs`.

        What `Splits.caveats`, `share_caveats` and `recording_caveats` say is printed and goes into
        the record. On videos of one's own the sizes that nobody gave are fitted to them, in
        ``params`` and in the notebook's variables: see `vidssl.runs.fitting`.
        """
        from vidssl.data import require_files

        splits = open_inputs(self.params, labelled, whole)
        if whole and not made_here(self.params):  # now, not after hours, when they are tested
            require_files([*splits.train, *splits.test])
            self._begin_anew_on_another_set(splits.fingerprint)
        self.caveats = splits.caveats | share_caveats(self.params, splits)
        self.caveats |= recording_caveats(splits)
        for line in [*_data_in_words(self.caveats), *_named_of_data(self.caveats)]:
            print(f"{splits.name}: {line}")
        fitted = fit_to_data(self.params, splits, self.given)
        self.params.update(fitted)
        self.namespace.update(fitted)
        return splits

    def _begin_anew_on_another_set(self, fingerprint: str) -> None:
        """A run that was stopped goes on from its checkpoint only on the set as it was."""
        if not self.checkpoint_folder:
            return
        note = self.checkpoint_folder / "data_hash"
        if note.exists() and note.read_text(encoding="utf-8") != fingerprint:
            shutil.rmtree(self.checkpoint_folder)
            (self.folder / "metrics.jsonl").unlink(missing_ok=True)
            print("the set has changed since this run was stopped: it begins anew")
        provenance.write_atomic(note, fingerprint)

    def open_frames(self, records: Sequence[VideoRecord], short_side: int) -> FrameStore | None:
        """Decoded frames of ``records`` that all runs share, see `inputs.open_frames`."""
        return open_frames(self.params, records, short_side)

    def make_videos(self, records: Iterable[VideoRecord]) -> None:
        """Make these of the embedded videos, where the data set was not opened whole."""
        make_videos(self.params, records)

    def open_flow(self) -> dict[str, str]:
        """Where the flow of this run's videos lies, see `inputs.open_flow`."""
        return open_flow(self.params)

    def scene_of(self, record: VideoRecord) -> Scene:
        """The scene behind a video of the embedded data, from which its truth follows."""
        from vidssl.data.synthetic import load_scene

        return load_scene(Path(record.path).parents[2], record.video_id)

    def inputs(self, *needs: Need) -> list[str]:
        """The paths of what this page needs of earlier runs, see `earlier`; ask for all at once, in
        the page's first cell: MissingInput says what to run first."""
        return find_inputs(needs, self)

    def outputs(self, part: str = "") -> dict[str, Any]:
        """Where a training's checkpoints, rows and live curves go: the last arguments of
        `vidssl.protocol.train`. ``part`` names one of several trainings of this run."""
        from vidssl.visualize.widgets import progress_report

        folder, part = self.checkpoint_folder, part and plain_name(part, "part")
        named = {"part": part} if part else {}
        return {
            "folder": folder / part if folder and part else folder,
            "log": partial(self.log, **named),
            "report": progress_report(),
        }

    def starts(self) -> dict[str, str]:
        """Name -> path of the weights that the parameter ``starts`` asks for; "" for "scratch".

        Ask in the page's first cell, as `inputs`; an empty path is the newest ``backbone.pt`` of
        the page of that name, see `earlier.start_needs`.
        """
        needs = start_needs(self.params, self.project)
        found = self.inputs(*needs.values())
        paths = dict(zip(needs, found))
        return {name: paths.get(name, "") for name in self.params["starts"]}

    def log(self, *, step: int, **metrics: Any) -> None:
        """Append one line of numbers to ``metrics.jsonl``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "metrics.jsonl"
        with names_full(path), open(path, "a", encoding="utf-8") as lines:
            lines.write(json.dumps(plain({"step": step, **metrics})) + "\n")

    def save_figure(
        self,
        figure: Figure | None,
        name: str,
        *,
        data: Any = None,
        alt: str,
        dataset: str,
        from_runs: Sequence[str] = (),
        publish: bool = False,
        animation: np.ndarray | None = None,
    ) -> list[Path]:
        """Write a figure of this run with its origin, see `figures.save_figure`.

        It goes into the run's folder; ``publish=True`` puts it among the project's ``figures/``
        (a scale other than mini is put before its name there; an exploration never publishes).
        What `Splits.caveats` and `share_caveats` say of the run's videos is added to the note of
        the figure and to the name of its data set, which says itself what is missing.
        """
        if told := " · ".join(self._told_of_data()):
            dataset = f"{dataset} · {told}"
            _note(figure, told)
        stem = self.folder / plain_name(name, "figure")
        if publish and self.keeps_record and self.runs_root:
            stem = figure_files(name, self.scale, self.runs_root, self.project)
        written = save_figure(
            figure,
            stem.name,
            data=data,
            animation=animation,
            alt=alt,
            scale=self.scale,
            dataset=dataset,
            from_runs=from_runs,
            folder=stem.parent,
            origin={"made_by": self.run_id, **self._made_of()},
            records=self.runs_root / "records" if self.runs_root else None,
        )
        self.figures[stem.name] = provenance.file_hash(written[-1])[:12]
        print(f"figure: {provenance.short(written[0], self.project)}")
        return written

    def _told_of_data(self) -> Iterator[str]:
        return _data_in_words({k: said for k, said in self.caveats.items() if k != "missing"})

    def finish(
        self,
        metrics: Mapping[str, Any],
        *,
        seeds: Sequence[int] = (),
        failed: Sequence[str] = (),
        data_hash: str = "",
        expectations: Sequence[Expectation] = (),
    ) -> pd.DataFrame | None:
        """Write ``run.json``, then the record; returns what is held, open or against of the
        ``expectations``. The last line of every notebook.

        ``failed`` are videos that could not be read ("path: reason"), each of which counts once;
        the first few are printed, and in a record with the count.
        """
        failed = each_once(failed)
        print(*unreadable_in_words(failed), sep="\n", end="\n" * bool(failed))
        full = self._summary(metrics, seeds, failed, data_hash)
        if expectations:
            full["expectations"] = {each.claim: each.answer for each in expectations}
        if self.keeps_record:
            self._write(full)
        else:
            print(explained(self))
        return expectations_table(expectations) if expectations else None

    def _write(self, full: Mapping[str, Any]) -> None:
        provenance.write_atomic(self.folder / "run.json", json.dumps(full, indent=1) + "\n")
        record = small_record(full, self.project)
        path = self.folder / OWN_RECORD
        if self.runs_root:
            path = self.runs_root / "records" / f"{self.run_id}.json"
        provenance.write_atomic(path, _record_text(record))
        print(f"finished: {provenance.short(self.folder, self.project)} in {full['seconds']:.0f} s")

    def _made_of(self) -> dict[str, Any]:
        return {"commit": self.commit, "dirty": self.dirty, "code": self.code}

    def _summary(self, metrics, seeds, failed, data_hash) -> dict[str, Any]:
        return plain(
            {
                "run": self.run_id,
                "status": "finished",
                "notebook": self.notebook,
                "scale": self.scale,
                "parameters": self.params,
                "metrics": dict(metrics),
                "seeds": list(seeds),
                "failed_count": len(failed),
                "failed": list(failed),
                "data_hash": data_hash,
                **({"data_caveats": self.caveats} if self.caveats else {}),
                **self._made_of(),
                "figures": self.figures,
                "versions": provenance.versions(),
                "device": provenance.device_name(),
                "seconds": round(time.time() - self.began, 1),
                "peak_memory_mb": provenance.peak_memory_mb(),
                "finished": time.strftime("%Y-%m-%d", time.gmtime()),
            }
        )


def _note(figure: Figure | None, told: str) -> None:
    """Add what is ``told`` where a figure says of which data it is."""
    from vidssl.visualize.style import add_note

    if figure is not None and figure.get_supxlabel():
        add_note(figure, told)


def each_once(failed: Sequence[str]) -> list[str]:
    """The first line "path: reason" of each path: training and test may name a video both.

    >>> each_once(["a.mp4: is empty", "b.mp4: is empty", "a.mp4: has no frame"])
    ['a.mp4: is empty', 'b.mp4: is empty']
    """
    by_path: dict[str, str] = {}
    for line in failed:
        by_path.setdefault(line.split(": ")[0], line)
    return list(by_path.values())


def unreadable_in_words(failed: Sequence[str]) -> list[str]:
    """How many videos could not be read, and the first few with their reasons.

    >>> unreadable_in_words(["a.mp4: is empty"])
    ['1 video could not be read; those tested count as wrong:', '  a.mp4: is empty']
    """
    if not failed:
        return []
    more = len(failed) - NAMED_FAILURES
    return [
        f"{counted(len(failed), 'video')} could not be read; those tested count as wrong:",
        *(f"  {line}" for line in failed[:NAMED_FAILURES]),
        *([f"  and {more} more, in run.json"] if more > 0 else []),
    ]


def let_threads_sleep() -> None:
    """In this process and those that it starts, where nobody said otherwise: threads that spin
    slow a training tenfold where cores are shared. It is read when torch is first imported, which a
    notebook does after `start`."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def start(notebook: str, namespace: MutableMapping[str, Any]) -> Run:
    """Begin a run; call it with ``globals()`` in the first cell after the parameters.

    Refuses variables that the notebook does not declare as parameters, so that a mistyped one
    stops a plain papermill run too, and a data set that is not there. Paths that are found from
    the project's folder alone are made whole, in ``namespace``, too. ``run_folder=""`` explores:
    the folder is then that of `explore_folder`, and no record is kept.
    """
    if in_notebook():
        warnings_as_lines()
        quiet_interrupts()
    let_threads_sleep()
    project = provenance.find_project()
    path = notebook_path(notebook, project)
    params = parameters_in(namespace, path)
    namespace["_vidssl_started"] = True
    moved = locate_all(params, PATHS, project)
    params.update(moved)
    namespace.update(moved)
    check_inputs(params, project)
    keeps_record = bool(params.get("run_folder"))
    folder = Path(params["run_folder"]).resolve()
    if not keeps_record:
        folder = explore_folder(project, path.stem, params)
    folder.mkdir(parents=True, exist_ok=True)
    if not keeps_record:
        (folder / "metrics.jsonl").unlink(missing_ok=True)
        note_exploration(folder, path.stem, params)
    commit, dirty = provenance.git_state(project)
    run = Run(path.stem, folder, params, project, keeps_record, commit, dirty)
    run.code = notebook_code(path)
    run.given, run.namespace = given_names(namespace, declared_parameters(path)), namespace
    print(f"{path.stem}: scale {run.scale}, folder {provenance.short(folder, project)}")
    return run


def data_hash(splits: Splits, labelled: Sequence[VideoRecord], label_list: str = "") -> str:
    """What a record says of the videos: the data set's fingerprint, or with a list of labelled
    videos that of these and the test videos."""
    return replace(splits, train=labelled).fingerprint if label_list else splits.fingerprint


def labels_said(params: Mapping[str, Any]) -> str:
    """The labelled videos that a page's parameters ask for, in words for a figure's note.

    >>> labels_said({"videos_per_class": 5, "label_list": ""})
    '5 videos a class'
    >>> labels_said({"label_fraction": 0.05})
    '5% of the labels'
    """
    if params.get("label_list"):
        return f"labels: {Path(params['label_list']).name}"
    if params.get("label_fraction"):
        return f"{100 * params['label_fraction']:g}% of the labels"
    few = params.get("videos_per_class")
    return f"{few} videos a class" if few else "all labels"


def plain(value: Any) -> Any:
    """``value`` as JSON can hold it: arrays and tensors as lists, numbers that are not finite
    as None, floats at 6 significant digits."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return str(value) if isinstance(value, os.PathLike) else value


def small_record(full: Mapping[str, Any], project: Path) -> dict[str, Any]:
    """A run's summary in at most `RECORD_BYTES`: paths made portable, and the longest metrics
    left to ``run.json`` (named in "only_in_run_json") where they do not fit. Tables are made of
    single numbers, which stay, if need be beyond the limit. Of videos that the project did not
    make itself it names none, see `without_names`."""
    parameters = {k: provenance.portable(v, project) for k, v in full["parameters"].items()}
    record = {**full, "parameters": parameters, "failed": full["failed"][:NAMED_FAILURES]}
    record["metrics"] = dict(full["metrics"])
    if not made_here(full["parameters"]):
        record = without_names(record)
    lengths = {
        name: len(json.dumps(value))
        for name, value in record["metrics"].items()
        if isinstance(value, (str, list, dict))
    }
    left_out: list[str] = []
    for longest in sorted(lengths, key=lengths.get, reverse=True):
        if len(_record_text(record)) <= RECORD_BYTES:
            break
        del record["metrics"][longest]
        left_out.append(longest)
        record["only_in_run_json"] = left_out
    return record


def made_here(params: Mapping[str, Any]) -> bool:
    """Whether a page's videos are the embedded ones, or it reads none: nobody else's."""
    return params.get("dataset", MADE_HERE) == MADE_HERE


def without_names(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record that goes into git without the name of any video: numbers, counts, and the words
    of `NAMELESS`. Names stay in the run's folder, which does not."""
    metrics = {
        name: value
        for name, value in record["metrics"].items()
        if name in NAMELESS or not any(True for _ in texts_in(value))
    }
    parameters = {k: "" if k in OF_ONE_VIDEO else v for k, v in record["parameters"].items()}
    told = {**record, "metrics": metrics, "parameters": parameters, "failed": []}
    if "data_caveats" in record:
        told["data_caveats"] = _without_texts(record["data_caveats"])
    return told


def _without_texts(value: Any) -> Any:
    """The counts of what a data set lacks, without the first few names."""
    if not isinstance(value, Mapping):
        return value
    kept = {k: _without_texts(v) for k, v in value.items()}
    return {k: v for k, v in kept.items() if not any(True for _ in texts_in(v))}


def _record_text(record: Mapping[str, Any]) -> str:
    """A line a field, and without spaces where that is too long."""
    text = json.dumps(record, indent=1) + "\n"
    if len(text) > RECORD_BYTES:
        text = json.dumps(record, separators=(",", ":")) + "\n"
    return text


def records_folder(project: Path | None = None) -> Path:
    """Where the project keeps the records of its finished runs."""
    return (project or provenance.find_project()) / "papermill_runs" / "records"


def variants(root: Path) -> list[Path]:
    """The folders of all runs that hold those with changed parameters (-p), below ``root``'s."""
    return sorted(path for path in root.glob("variants/[!.]*") if path.is_dir())


def load_records(root: str | Path) -> list[dict[str, Any]]:
    """All records of ``<root>/*.json`` (root = ``papermill_runs/records``), by run id.

    FileNotFoundError for a missing folder, ValueError naming a file that is no record.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder of records; run something first")
    return [read_record(path) for path in record_files(root)]


def record_files(root: Path) -> list[Path]:
    """The files of a folder of records, by run id; hidden ones, such as macOS adds, are none."""
    return sorted(
        (path for path in root.glob("*.json") if not path.name.startswith(".")),
        key=lambda path: path.stem,
    )


NEEDED = {"run": str, "metrics": dict, "parameters": dict}
BLANK = {  # what older versions, or other programs, may have left out
    "notebook": "",
    "scale": "",
    "seeds": [],
    "commit": "",
    "dirty": True,
    "code": {},
    "figures": {},
    "seconds": 0.0,
    "finished": "",
    "only_in_run_json": [],
}


class UnreadableRecord(PlainError, ValueError):
    """A file among the records that is cut off, something else, or an older version's."""


def read_record(path: Path) -> dict[str, Any]:
    """The record in a file, with a blank for each field of `BLANK` that it lacks.

    UnreadableRecord, naming the file, where it is cut off, is something else, or is another run's.
    """
    try:
        found = json.loads(path.read_bytes())
        _check_record(found, path.stem if path.name != OWN_RECORD else "")
    except (OSError, ValueError, RecursionError) as error:
        message = f"{path}: not a record of a run ({error}); delete it"
        raise UnreadableRecord(message) from None
    return {**BLANK, **found}


def read_whole(path: Path) -> dict[str, Any]:
    """`read_record` with the metrics that it had no room for, where `full_record` has them."""
    record = read_record(path)
    left_out = record["only_in_run_json"]
    metrics = full_record(path, record).get("metrics") if left_out else {}
    long = {k: metrics[k] for k in left_out if k in metrics} if metrics else {}
    return {**record, "metrics": {**record["metrics"], **long}} if long else record


def full_record(path: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """The ``run.json`` of the record in the file ``path``; {} where the run's folder does not stand
    beside the folder of records (nor the record in it), or holds another run."""
    name = record["run"].removeprefix(f"{record['scale']}-")
    told = path.parents[1] / record["scale"] / name / "run.json"
    if path.name == OWN_RECORD:
        told = path.with_name("run.json")
    if {"..", "/"} & {*told.parts[-4:-1]} or not told.exists():
        return {}
    full = read_json(told)
    same = all(full.get(key) == record[key] for key in ("run", "seconds", "commit"))
    return full if same else {}


def _check_record(found: Any, name: str) -> None:
    if not isinstance(found, dict):
        raise ValueError(f"it holds a {type(found).__name__}, no fields")
    for field_name, kind in NEEDED.items():
        if not isinstance(found.get(field_name), kind):
            raise ValueError(f"no {field_name}")
    for field_name, blank in BLANK.items():
        kind = (int, float) if isinstance(blank, float) else type(blank)
        if not isinstance(found.get(field_name, blank), kind):
            raise ValueError(f"{field_name}={found[field_name]!r}")
    if not all(isinstance(name, str) for name in found.get("only_in_run_json", [])):
        raise ValueError(f"only_in_run_json={found['only_in_run_json']!r}")
    if name and found["run"] != name:
        raise ValueError(f"it is that of {found['run']!r}")


def caveats_of(record: Mapping[str, Any]) -> Iterator[str]:
    """What a run's record says of its videos, in words."""
    told = record["parameters"]
    if (split := told.get("dataset_options", {}).get("split", 1)) != 1:
        yield f"official split {split}"
    if "test_videos" in record["metrics"] and told.get("validation"):
        yield f"tested on {100 * told['validation']:g} % of the training groups, held out to choose"
    yield from _data_in_words(record.get("data_caveats", {}))
    if record.get("failed_count"):
        yield f"{counted(record['failed_count'], 'video')} unreadable; those tested count as wrong"


def _data_in_words(about: Mapping[str, Any]) -> Iterator[str]:
    """What `Splits.caveats` and `share_caveats` say."""
    if absent := absent_in_words(about).strip():
        yield absent
    for kind, how in SHARED.items():
        if kind in about:
            of = f"{about[kind]['shared']} of {about[kind]['test_videos']} test videos"
            yield f"{of} {how}"
    if "untested_classes" in about:
        yield f"{counted(len(about['untested_classes']), 'class')} untested"
    below = about.get("shares_below_one_video", {})
    for share in (share for share in below if share != "of"):
        where = f"{below[share]} of {below['of']} classes"
        yield f"{100 * float(share):g} % is less than a video in {where}: they got one"


def _named_of_data(about: Mapping[str, Any]) -> Iterator[str]:
    """What is for the eyes of who runs it alone, and what to do: names stay out of figures."""
    if names := about.get("untested_classes"):
        yield f"untested: {', '.join(names)}"
    sides = {f"not there ({side})": counts for side, counts in about.get("missing", {}).items()}
    for told, counts in {**sides, "shared": about.get("shared_groups", {})}.items():
        if first := counts.get("first"):
            more = counts.get("absent", counts.get("shared", 0)) > len(first)
            yield f"{told}: {', '.join(first)}{', ...' * more}"
    if "shared_recordings" in about:
        yield (
            "clips that differ in _c01 alone are of one recording: dataset_options.group_pattern "
            r"'_(g\d+)_' keeps them on one side"
        )
