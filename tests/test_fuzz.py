"""Whatever stands in a file that is read: it is taken, or refused in words that name the file.

Each file begins as a good one. Then bytes are flipped, cut off, repeated or put between, or values
in it are replaced by others. A bare IndexError, KeyError, UnicodeDecodeError or RecursionError
would tell nobody which file is at fault. `make test` tries few of these, `make test-full` many.
"""

import json
import shutil
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tiny_project import leave_record, make_project

from vidssl import models, runs
from vidssl.core import UnreadableVideo
from vidssl.data import open_dataset, read_folder, read_label_list, read_video_list, synthetic
from vidssl.data.clip_table import ClipTable, load_clip_table
from vidssl.data.flow_files import flow_about, read_flow, write_flow
from vidssl.data.frame_store import FrameStore
from vidssl.data.per_video import Manifest
from vidssl.data.stills import make_stills
from vidssl.data.subsets import without_classes
from vidssl.inference import Outputs, load_predictions, save_predictions
from vidssl.methods.timebalance import Similarities, load_similarities
from vidssl.models.pretrained import load_pretrained, load_with_head, save_pretrained
from vidssl.runs import graph, launch, listing, parameters, records, tracing
from vidssl.runs.cells import Cell, Claim, Question, read_question
from vidssl.runs.execute import _make_room
from vidssl.training import Checkpoints, TrainConfig, TrainResult

REFUSALS = (ValueError, OSError, UnreadableVideo)
RAW = (UnicodeDecodeError, json.JSONDecodeError)  # ValueErrors that name no file


def taken_or_refused(read, *names):
    """``read()`` gives something, or an error of the house's kinds that names one of the files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return read()
        except REFUSALS as refused:
            error = refused
    assert type(error) not in RAW, repr(error)
    assert any(name in str(error) for name in names), f"names no file: {error!r}"


# --- damages --------------------------------------------------------------------------------------

SPICE = (b"\0", b"\xff\xfe", b"\xe9", b'"', b",,", b"\n\n", b"../", b"-1 ", b"[" * 3000, b"{}")


@st.composite
def damages(draw):
    """A function of bytes: good ones in, damaged ones out."""
    kind = draw(st.sampled_from(("flip", "cut", "repeat", "insert", "swap", "other")))
    where, share = draw(st.floats(0, 1)), draw(st.floats(0, 0.2))
    bits, junk = draw(st.integers(1, 255)), draw(st.sampled_from(SPICE) | st.binary(max_size=40))

    def damaged(good: bytes) -> bytes:
        at, length = int(where * len(good)), max(1, int(share * len(good)))
        piece, rest = good[at : at + length], good[at + length :]
        return {
            "flip": good[:at] + bytes(byte ^ bits for byte in good[at : at + 1]) + good[at + 1 :],
            "cut": good[:at],
            "repeat": good[:at] + piece + piece + rest,
            "insert": good[:at] + junk + good[at:],
            "swap": rest + good[: at + length],
            "other": junk,
        }[kind]

    return damaged


LEAVES = st.none() | st.booleans() | st.integers(-3, 10**20) | st.floats() | st.text(max_size=8)
LEAVES |= st.sampled_from(("../x", "/etc/passwd", "a\0b", "\ud800", "x" * 300, "C:\\x", ""))
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@st.composite
def replacements(draw):
    """A function of JSON values: somewhere inside, a value is replaced, doubled or left out."""
    turns, value = draw(st.lists(st.integers(0, 50), max_size=4)), draw(ANYTHING)
    leave_out = draw(st.booleans())

    def replaced(good, turns=tuple(turns)):
        if not turns or not isinstance(good, (dict, list)) or not good:
            return value
        keys = list(good) if isinstance(good, dict) else list(range(len(good)))
        chosen = keys[turns[0] % len(keys)]
        copy = dict(good) if isinstance(good, dict) else list(good)
        if len(turns) == 1 and leave_out:
            del copy[chosen]
        else:
            copy[chosen] = replaced(good[chosen], turns[1:])
        return copy

    return replaced


def as_json(value) -> bytes:
    return json.dumps(value).encode()


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


class Subject:
    """A good file and how it is read: ``read(path)``."""

    def __init__(self, path: Path, read, *more: str):
        self.path, self.read, self.names = path, read, (path.name, *more)
        self.good = path.read_bytes()

    def try_bytes(self, content: bytes):
        self.path.write_bytes(content)
        try:
            taken_or_refused(lambda: self.read(self.path), *self.names)
        finally:
            self.path.write_bytes(self.good)

    def try_damage(self, damage):
        self.try_bytes(damage(self.good))

    def try_replacement(self, replace):
        self.try_bytes(as_json(replace(json.loads(self.good))))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


# --- lists of videos ------------------------------------------------------------------------------


def ucf101(folder):
    classes = {"Bowling": 1, "YoYo": 2}
    lines = {"classInd.txt": [f"{number} {name}" for name, number in classes.items()]}
    lines["trainlist01.txt"] = [f"{c}/v_{c}_g08_c0{i}.avi {classes[c]}" for c in classes
                                for i in (1, 2)]  # fmt: skip
    lines["testlist01.txt"] = [f"{c}/v_{c}_g01_c01.avi" for c in classes]
    for name, listed in lines.items():
        write(folder / name, "\n".join(listed) + "\n")
    return folder, tuple(lines)


def hmdb51(folder):
    for name in ("kick", "wave"):
        lines = "".join(f"film{tag}_{name}_u_{tag}.avi {tag} \n" for tag in (0, 1, 2))
        write(folder / f"{name}_test_split1.txt", lines)
    return folder, ("kick_test_split1.txt", "wave_test_split1.txt")


def kinetics(folder):
    for side, ids in (("train", "ab"), ("val", "cd")):
        rows = "".join(f'"{name}",{i},3,13,{side}\n' for name, i in zip(("hum, loud", "wave"), ids))
        write(folder / f"{side}.csv", f"label,youtube_id,time_start,time_end,split\n{rows}")
    return folder, ("train.csv", "val.csv")


def something(folder):
    for name, first in (("train", 1), ("validation", 7)):
        items = [{"id": str(first + n), "template": t} for n, t in enumerate(("A [x]", "B [y]"))]
        write(folder / f"{name}.json", as_json(items))
    write(folder / "labels.json", as_json({"A x": "0", "B y": "1"}))
    return folder, ("train.json", "validation.json", "labels.json")


def diving48(folder):
    write(folder / "Diving48_vocab.json", as_json([["Back", "15som"], ["Inward", "25som"]]))
    for side, first in (("train", 1), ("test", 2)):
        items = [{"vid_name": f"b{first}_{n}", "label": n, "end_frame": 9} for n in (0, 1)]
        write(folder / f"Diving48_V2_{side}.json", as_json(items))
    return folder, ("Diving48_vocab.json", "Diving48_V2_train.json", "Diving48_V2_test.json")


OFFICIAL = {f.__name__: f for f in (ucf101, hmdb51, kinetics, something, diving48)}


@pytest.fixture(scope="module")
def lists(home):
    """Data set -> a `Subject` for each of its lists."""
    found = {}
    for name, make in OFFICIAL.items():
        folder, files = make(home / name)

        def read(path, name=name, folder=folder):
            splits = open_dataset(name, home, annotations=folder)
            assert all(inside(record.path, home) for record in [*splits.train, *splits.test])

        # what is wrong may lie in how two of the files fit together
        found[name] = [Subject(folder / file, read, *files, "class '") for file in files]
        read(folder)
    return found


def inside(path, folder):
    return ".." not in Path(path).parts and Path(path).is_relative_to(folder)


@pytest.mark.parametrize("name", OFFICIAL)
@given(damage=damages())
def test_lists_of_public_data_sets(lists, name, damage):
    for subject in lists[name]:
        subject.try_damage(damage)


@pytest.mark.parametrize("name", ["something", "diving48"])
@given(replace=replacements())
def test_lists_in_json(lists, name, replace):
    for subject in lists[name]:
        subject.try_replacement(replace)


@given(damage=damages())
def test_lists_of_labels_and_of_classes(home, lists, damage):
    splits = open_dataset("ucf101", home, annotations=home / "ucf101")
    train = (home / "ucf101" / "trainlist01.txt").read_text()
    labels = write(home / "labels.txt", train.replace(" 1", " 9 0").replace(" 2", " 9 1"))
    for read in (read_label_list, lambda file, _: read_video_list(file, home)):
        read(labels, splits)
        Subject(labels, lambda path, read=read: read(path, splits)).try_damage(damage)
    classes = write(home / "classes.txt", "Bowling\nYoYo\n")
    Subject(classes, lambda path: without_classes(splits, path)).try_damage(damage)


@given(names=st.lists(st.binary(min_size=1, max_size=12), min_size=1, max_size=4))
def test_folders_of_any_names(home, names):
    root = home / "any"
    for number, name in enumerate(names):
        with suppress(OSError, ValueError):  # no such name on this system
            name = name.replace(b"/", b"_").decode(errors="surrogateescape")
            write(root / name / f"{number}.mp4", "x")
            write(root / f"b{number}" / f"{name}.mp4", "x")
    write(root / "wave" / "a.mp4", "x")
    try:
        taken_or_refused(lambda: read_folder(root), "any")
        taken_or_refused(lambda: open_dataset("folder", root), "any")
    finally:
        shutil.rmtree(root)


# --- manifests and what they tell of --------------------------------------------------------------


@pytest.fixture(scope="module")
def scenes(home):
    video = "v_Shuttle_g08_c01"
    numbers = {"scale": "smoke", "train": 1, "test": 1, "height": 48, "width": 48, "frames": 9}
    folder = home / "scenes"
    numbers |= {"classes": ("Shuttle", "Spin"), "progress": False}
    synthetic.make_dataset(folder, **numbers, videos=[f"Shuttle/{video}"])
    (folder / synthetic.PLAN).rename(folder / synthetic.MARKER)

    def read(_):
        synthetic.load_scene(folder, video)
        synthetic.make_dataset(folder, **numbers)

    return Subject(folder / synthetic.MARKER, read, str(folder))


@pytest.fixture(scope="module")
def stills(home):
    folder = make_stills(home / "stills", source="dead_leaves", count=1, side=8)
    [plan] = folder.glob("*.json")
    return Subject(plan, lambda _: make_stills(folder, source="dead_leaves", count=1, side=8),
                   str(folder))  # fmt: skip


@pytest.fixture(scope="module")
def manifest(home):
    folder = home / "made"
    folder.mkdir()

    def opened():
        made = Manifest(folder, "flow", {"method": "fast"}, what="flow")
        made.open()
        return made

    first = opened()
    for name in ("clap/a.mp4", "wave/b.mp4"):
        first.add({"file": name, "source_bytes": 3, "bytes": 4, "frames": 5})

    def read(_):
        for entry in opened().entries.values():
            assert type(entry["file"]) is str
            assert entry.keys() >= {"source_bytes", "bytes"} or "failed" in entry

    return Subject(folder / "flow.jsonl", read, str(folder))


@given(damage=damages(), replace=replacements())
def test_manifests_of_made_data(scenes, stills, manifest, damage, replace):
    for subject in (scenes, stills, manifest):
        subject.try_damage(damage)
    for subject in (scenes, stills):
        subject.try_replacement(replace)
    first, *lines = manifest.good.decode().splitlines()
    changed = [json.dumps(replace(json.loads(line))) for line in lines]
    manifest.try_bytes("\n".join([first, *changed, ""]).encode())


@pytest.fixture(scope="module")
def flow(home):
    path = write_flow(home / "a.npz", np.full((20, 6, 8, 2), 7, np.uint8), fps=25)

    def read(path):
        shape = flow_about(path)["shape"]
        codes = read_flow(path)
        assert codes.shape == tuple(shape)
        assert codes.dtype == np.uint8

    return Subject(path, read)


@pytest.fixture(scope="module")
def stored(home):
    """Frames in a store, and whether a newcomer reads them as they were or not at all."""
    from PIL import Image

    (home / "pictures").mkdir()
    Image.new("RGB", (20, 16), (9, 8, 7)).save(home / "pictures" / "a.png")

    def opened():
        return FrameStore(home / "store", home / "pictures", 8)

    video = str(home / "pictures" / "a.png")
    assert opened().add([video], 1, progress=False).held == 1
    [file] = (home / "store").rglob("*.npy")
    good = np.load(file)

    def read(_):
        frames = opened().frames(video, 8)
        assert frames is None or (frames.shape, frames.dtype) == (good.shape, good.dtype)

    def read_note(_):
        opened().add([video], 1, progress=False)

    note = file.with_suffix(".json")
    write(note, as_json({"failed": "because"}))
    return Subject(file, read), Subject(note, read_note)


@given(damage=damages(), replace=replacements())
def test_shards_of_flow_and_frames(flow, stored, damage, replace):
    frames, note = stored
    for subject in (flow, frames):
        subject.try_damage(damage)
    note.path.write_bytes(note.good)
    frames.path.unlink(missing_ok=True)  # its note counts then
    note.try_damage(damage)
    note.try_replacement(replace)
    frames.path.write_bytes(frames.good)


@pytest.fixture(scope="module")
def tables(home):
    """Every other .npz file: clips, similarities, predictions."""
    ids = np.array(["a", "a", "b"])
    columns = (np.array([0, 4, 0]), np.array([4, 8, 4]), np.array([1, 2, 3]))
    ClipTable(ids, *columns).save(home / "t.npz", "label", seed=3)
    matrices = np.ones((2, 4, 4), np.float32)
    Similarities(["a", "b"], matrices, matrices).save(home / "s.npz")
    labels, none = np.array([0, 1]), np.zeros(0, np.int64)
    outputs = Outputs(np.ones((2, 3), np.float32), labels, ["a", "b"], [], none)
    save_predictions(home / "p.npz", {"mosi": outputs})
    return (
        Subject(home / "t.npz", lambda path: load_clip_table(path, "label")[0].rows_of),
        Subject(home / "s.npz", lambda path: load_similarities(path).scores()),
        Subject(home / "p.npz", load_predictions),
    )


ARRAYS = st.sampled_from(
    (np.zeros(0), np.zeros((3, 2), np.uint8), np.array("x"), np.array([None, {}]), np.float64(3))
)


@given(damage=damages(), array=ARRAYS, member=st.integers(0, 9))
def test_tables_of_arrays(tables, flow, damage, array, member):
    for subject in (*tables, flow):
        subject.try_damage(damage)
        with np.load(subject.path) as archive:
            arrays = dict(archive)
        name = sorted(arrays)[member % len(arrays)]
        np.savez(subject.path, **{**arrays, name: array})
        subject.try_bytes(subject.path.read_bytes())


# --- parameters -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project(home):
    return make_project(home / "project")


@pytest.fixture(scope="module")
def scale(project):
    path = project / "papermill_runs" / "fuzzed.yaml"
    path.write_text("common: {lr: 1e-3}\n90_tiny: {sizes: [9]}\ntargets: {pair: {seeds: [1]}}\n")

    def read(path):
        parameters._read_scale_file.cache_clear()
        runs.parameters_for("90_tiny", "fuzzed", {}, project)
        runs.load_graph("fuzzed", project=project).behind("pair")

    return Subject(path, read, "90_tiny", "fuzzed")


@given(damage=damages(), replace=replacements())
def test_parameter_files(scale, damage, replace):
    scale.try_damage(damage)
    changed = replace(yaml.safe_load(scale.good))
    scale.try_bytes(yaml.safe_dump(changed, allow_unicode=True).encode(errors="replace"))


@given(text=st.text(max_size=30) | st.sampled_from(("[" * 3000, "&a [*a]", "!!python/name:os.x")))
@pytest.mark.parametrize("default", [3, 0.5, True, [1], {"a": 1}, None, "text"])
def test_parameters_of_a_command(text, default):
    taken_or_refused(lambda: parameters.read_value("lr", text, default, "90_tiny"), "lr")


# --- weights --------------------------------------------------------------------------------------


class Payload:
    """Pickled, a call of whatever is given."""

    def __init__(self, called, *arguments):
        self.called, self.arguments = called, arguments

    def __reduce__(self):
        return self.called, self.arguments


@pytest.fixture(scope="module")
def weights(home):
    about = {"backbone": "r3d_10_dilated", "width": 0.0625}
    network = models.build("r3d_10_dilated", num_classes=3, width=0.0625)

    def read(path):
        load_pretrained(network, path)
        load_with_head(path)

    return Subject(save_pretrained(network, home / "w.pt", **about), read)


@pytest.fixture(scope="module")
def checkpoint(home):
    model, config = torch.nn.Linear(3, 2), TrainConfig(epochs=1, batch_size=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    kept = Checkpoints(home / "checkpoints", config)
    with kept:
        kept.save(model, optimizer, TrainResult(steps=3))

    def read(_):
        found = kept.restore(torch.nn.Linear(3, 2), optimizer)
        assert found is None or type(found.steps) is int

    return Subject(kept.newest, read)


@given(damage=damages())
def test_weights_and_checkpoints_of_damaged_bytes(weights, checkpoint, damage):
    weights.try_damage(damage)
    checkpoint.try_damage(damage)


STATES = st.sampled_from((None, 3, [], "x", {}, {"a": 1}, {1: 2}, torch.ones(1), np.ones(1)))


@given(state=STATES, about=STATES, key=st.sampled_from(("weights", "a", 3)), at=st.integers(0, 4))
def test_weights_of_any_content(weights, state, about, key, at):
    good = torch.load(weights.path, weights_only=True)
    contents = (
        state,
        {"weights": state, "about": about},
        {**good, key: state},
        {**good, "weights": {**good["weights"], key: state}},
        {**good, "about": {**good["about"], "backbone": state, "width": about}},
    )
    torch.save(contents[at], weights.path)
    weights.try_bytes(weights.path.read_bytes())


@given(key=st.sampled_from(("model", "optimizer", "result", "settings", "a", None)), state=STATES)
def test_checkpoints_of_any_content(checkpoint, key, state):
    good = torch.load(checkpoint.path, weights_only=True)
    content = state if key is None else {**good, key: state}
    torch.save(content, checkpoint.path)
    checkpoint.try_bytes(checkpoint.path.read_bytes())
    if key in good and isinstance(good[key], dict):
        for inner in good[key]:
            torch.save({**good, key: {**good[key], inner: state}}, checkpoint.path)
            checkpoint.try_bytes(checkpoint.path.read_bytes())


# --- records --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def record(project):
    root = project / "papermill_runs"
    path = leave_record(root, "mini-first", only_in_run_json=["curve"])
    full = {**json.loads(path.read_bytes()), "metrics": {"loss": 0.25, "curve": [1, 2]}}
    full |= {"seconds": 61.2, "figures": {}}
    told = write(root / "mini" / "first" / "run.json", as_json(full))

    def read(_):
        try:
            records.read_record(path)
            records.read_whole(path)
        finally:
            listed = listing.list_runs(root, project)
            "\n".join(listing.as_lines(listing.with_states(listed.runs, project)))
            listing.as_json(listed.runs)
        runs.pool_folds([root])

    read(path)
    return Subject(path, read, "records"), Subject(told, read)


@given(damage=damages(), replace=replacements())
def test_records(record, damage, replace):
    for subject in record:
        subject.try_damage(damage)
        subject.try_replacement(replace)


@pytest.fixture(scope="module")
def origin(project):
    """The origin of a figure, beside its run's record."""
    root = project / "papermill_runs"
    leave_record(root, "mini-table")
    about = {"figure": "tiny", "alt": "a line", "scale": "mini", "dataset": "embedded"}
    about |= {"files": {"tiny.csv": "0" * 64}, "from_runs": {"mini-table": "0" * 12}}
    about |= {"made_by": "mini-table", "commit": "0123", "dirty": True, "code": {"notebook": "0"}}
    path = write(project / "figures" / "tiny.json", as_json(about))

    def read(path):
        tracing.trace(path, root / "records")
        listing.list_runs(root, project, target="tiny")

    return Subject(path, read, "mini-table", "target")


@given(damage=damages(), replace=replacements())
def test_origins_of_figures(origin, damage, replace, project):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        origin.try_damage(damage)
        origin.try_replacement(replace)


@pytest.fixture(scope="module")
def notes(project):
    """What commands leave for the next one: a table's question, the engine's settings, what a run
    left, how far it got."""
    root = project / "notes"
    cell = Cell("scratch", "5", ["mini-first"], "top1_", {"accuracy": "accuracy"})
    claim = Claim("first - second", [("scratch", "5")], [("scratch", "5")])
    asked = Question([cell], [claim], "labels", name="pair", about="Which?").text()
    tiny = graph.Graph({"runs_root": str(root)}, project)
    job = tiny.run("90_tiny", "x", publish=True)
    key = {"key": "0" * 64, "status": "running"}
    values = {"cells.json": json.loads(asked), ".config.json": {"settings": {"mini": {"lr": [1]}}},
              job.marker: {"figures": {"tiny": "0" * 12}}, ".attempt.json": key}  # fmt: skip
    read = {
        "cells.json": read_question,
        ".config.json": lambda path: launch._settings_of_runs(root, "mini", {}),
        job.marker: lambda path: tiny.results([job]),
        ".attempt.json": lambda path: _make_room(root, root / "a.ipynb", "1"),
    }
    return [Subject(write(root / name, as_json(values[name])), read[name], str(root))
            for name in values]  # fmt: skip


@given(damage=damages(), replace=replacements())
def test_notes_of_commands(notes, damage, replace):
    for subject in notes:
        subject.try_damage(damage)
        subject.try_replacement(replace)
