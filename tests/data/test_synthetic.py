import json
import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vidssl.data.decode import read_frames
from vidssl.data.folder_jobs import alone
from vidssl.data.registry import open_dataset
from vidssl.data.synthetic import (
    CLASS_GROUPS,
    CLASSES,
    SCALES,
    Scene,
    generator_hash,
    load_scene,
    make_dataset,
    render,
    render_split,
    scene_of,
    scene_set,
    trajectory,
    truth,
)
from vidssl.data.textures import PHOTOGRAPHS, photo_files

MOTION = [each.name for each in CLASSES if each.group in ("repetitive", "ordered")]
APPEARANCE = [each.name for each in CLASSES if each.group == "appearance"]
BOTH = [each.name for each in CLASSES if each.group == "both"]


# --- the generator is fixed ----------------------------------------------------------------------


def test_generator_is_the_settled_one():
    # Results are compared on these pixels: a new hash is a new data set, and all is run again.
    assert generator_hash() == "27ec9c4730977654"


def test_a_scene_is_drawn_from_its_seeds_alone():
    scene = Scene("Orbit", group=9, clip=2)
    again = render(scene)
    render(Scene("Bounce", group=3, clip=1))
    np.testing.assert_array_equal(render(scene), again)
    np.testing.assert_array_equal(render(scene, at=[63, 5]), again[[63, 5]])
    for other in (
        Scene("Orbit", 9, 3),
        Scene("Orbit", 10, 2),
        Scene("Orbit", 9, 2, data_seed=1),
        Scene("Bounce", 9, 2),
    ):
        assert np.abs(render(other, at=[0]).astype(int) - again[:1]).mean() > 5


def test_the_same_scene_at_another_size_moves_alike():
    small, large = (
        trajectory(Scene("Orbit", 8, 1, height=h, width=w)) for h, w in ((96, 128), (192, 256))
    )
    np.testing.assert_allclose(2 * small.x, large.x, atol=0.2)  # the camera is rounded to 1/16 px
    np.testing.assert_allclose(2 * small.size, large.size, atol=0.2)


def test_sixteen_classes_in_four_groups():
    groups = [each.group for each in CLASSES]
    assert [groups.count(g) for g in CLASS_GROUPS] == [4, 4, 4, 4]
    smoke = [each.group for each in CLASSES if each.name in SCALES["smoke"].classes]
    assert smoke == list(CLASS_GROUPS)


def test_two_scenes_times_two_orders_make_the_classes_told_by_both():
    told = {(each.structure, each.path) for each in CLASSES if each.group == "both"}
    scenes, paths = ({pair[k] for pair in told} for k in (0, 1))
    assert len(told) == len(BOTH) == 4
    assert len(scenes) == len(paths) == 2
    others = [each for each in CLASSES if each.group != "both"]
    assert not scenes & {each.structure for each in others}, "scenes of their own"
    assert paths <= {each.path for each in others}, "but known orders"


def test_numbers_of_the_scales():
    for scale, train, test in (("smoke", 4, 2), ("mini", 100, 40), ("gpu", 300, 120)):
        chosen = SCALES[scale]
        for subset, count in (("train", train), ("test", test)):
            scenes = chosen.scenes(subset)
            assert len(scenes) == count * len(chosen.classes)
            assert len({s.video_id for s in scenes}) == len(scenes)
    groups = {subset: {s.group for s in SCALES["mini"].scenes(subset)} for subset in PHOTOGRAPHS}
    assert groups == {"test": set(range(1, 8)), "train": set(range(8, 26))}


def test_shares_scale_the_class_groups():
    chosen = scene_set("mini", shares={"appearance": 0, "both": 0, "ordered": 0.5})
    assert chosen.classes == tuple(MOTION)
    assert chosen.count("Bounce", "train") == 100
    assert chosen.count("RiseThenSpin", "train") == 50
    assert chosen.count("RiseThenSpin", "test") == 20


# --- the truth -----------------------------------------------------------------------------------


def _sample(frame, y, x):
    """Bilinear values of frame (H, W, C) at places inside it."""
    row, column = y.astype(int), x.astype(int)
    fy, fx = (y - row)[:, None], (x - column)[:, None]
    top = frame[row, column] * (1 - fx) + frame[row, column + 1] * fx
    bottom = frame[row + 1, column] * (1 - fx) + frame[row + 1, column + 1] * fx
    return top * (1 - fy) + bottom * fy


def _warp_errors(scene, inside):
    """Mean grey-level error of following the flow, and of staying put, over ``inside`` pixels."""
    frames, known = render(scene).astype(float), truth(scene)
    followed, stayed = [], []
    for t in range(0, scene.frames - 1, 3):
        y, x = np.nonzero(inside(known.mask[t]))
        u, v = known.flow[t][y, x].T
        kept = (x + u > 0) & (x + u < scene.width - 2) & (y + v > 0) & (y + v < scene.height - 2)
        y, x, u, v = y[kept], x[kept], u[kept], v[kept]
        here = frames[t, y, x]
        followed.append(np.abs(_sample(frames[t + 1], y + v, x + u) - here))
        stayed.append(np.abs(frames[t + 1, y, x] - here))
    return np.concatenate(followed).mean(), np.concatenate(stayed).mean()


@pytest.mark.parametrize(
    "name", ["Shuttle", "Spin", "RiseThenSpin", "Ringed", "FieldRightThenDown"]
)
def test_flow_leads_to_the_same_surface_in_the_next_frame(name):
    errors = [_warp_errors(Scene(name, group, 1), lambda mask: mask) for group in range(9, 15)]
    followed, stayed = np.mean(errors, axis=0)
    assert followed < 8
    assert followed < 0.7 * stayed


def test_flow_of_the_background_is_the_camera():
    errors = [_warp_errors(Scene("Orbit", g, 1), np.logical_not) for g in (2, 9)]
    assert np.mean(errors, axis=0)[0] < 4  # noise and flicker alone come to about 2


def test_flow_follows_the_trajectory():
    scene = Scene("Shuttle", 9, 2)
    way, known = trajectory(scene), truth(scene)
    inside = np.where(known.mask[:-1], known.flow[..., 0], np.nan)
    np.testing.assert_allclose(np.nanmean(inside, axis=(1, 2)), np.diff(way.x), atol=1e-4)


def test_mask_is_where_the_picture_changes():
    ratios = []
    for group in range(8, 14):
        scene = Scene("RightThenDown", group, 1)
        frames, mask = render(scene).astype(float), truth(scene).mask
        change = np.abs(frames[-1] - frames[0]).mean(-1)  # the sprite has left its first place
        left = mask[0] & ~mask[-1]
        ratios.append(change[left].mean() / change[~mask[0] & ~mask[-1]].mean())
    assert min(ratios) > 2
    assert np.mean(ratios) > 4


def test_boundaries_part_the_sub_actions():
    for group in range(1, 12):
        scene = Scene("RightThenDown", group, 1)
        (boundary,) = truth(scene).boundaries
        assert 16 <= boundary <= 48
        way = trajectory(scene)
        first, second = slice(0, boundary + 1), slice(boundary, None)
        assert np.ptp(way.x[first]) > 4 * np.ptp(way.y[first])
        assert np.ptp(way.y[second]) > 4 * np.ptp(way.x[second])
    assert truth(Scene("Orbit", 1, 1)).boundaries == []
    assert truth(Scene("Orbit", 1, 1)).class_group == "repetitive"


def test_mirrored_pairs_differ_in_order_only():
    def moved(name):
        way = trajectory(Scene(name, 9, 1))
        half = len(way.x) // 4
        return [np.ptp(part) for part in (way.x[:half], way.x[-half:], way.y[:half], way.y[-half:])]

    x_early, x_late, y_early, y_late = moved("RightThenDown")
    assert x_early > x_late
    assert y_late > y_early
    x_early, x_late, y_early, y_late = moved("DownThenRight")
    assert x_late > x_early
    assert y_early > y_late


def test_training_and_test_scenes_share_no_photograph():
    train, test = (set(photo_files(subset)) for subset in ("train", "test"))
    assert len(train) == 9
    assert len(test) == 6
    assert not train & test
    assert {s.subset for s in SCALES["mini"].scenes("test")} == {"test"}


# --- what tells the classes ----------------------------------------------------------------------


def _some_frames(classes, train, test):
    """Three random frames a video: frames (N, H, W, 3) and labels (N,), by subset."""
    chosen = scene_set("mini", classes=classes, train=train, test=test)
    found = {}
    for subset in ("train", "test"):
        scenes = chosen.scenes(subset)
        picks = (s.rng("test frames").choice(s.frames, 3, replace=False) for s in scenes)
        frames = np.concatenate([render(s, at=p) for s, p in zip(scenes, picks)])
        labels = np.repeat([classes.index(s.class_name) for s in scenes], 3)
        found[subset] = frames, labels
    return found


def _thumbnails(frames):
    count, height, width, _ = frames.shape
    blocks = frames.reshape(count, height // 8, 8, width // 8, 8, 3)
    return blocks.astype(np.float32).mean((2, 4)).reshape(count, -1) / 255


def _color_histograms(frames):
    codes = (frames // 64).astype(int) @ [16, 4, 1]
    return np.stack([np.bincount(c.ravel(), minlength=64) / c.size for c in codes])


def _grey_spectra(frames):
    """What structure a frame has at 4 px a cell, wherever it is: its centre, without colour."""
    count, height, width, _ = frames.shape
    grey = frames.reshape(count, height // 4, 4, width // 4, 4, 3).mean((2, 4, 5))
    grey = (grey - grey.mean((1, 2), keepdims=True))[:, :, 4:28]
    seen = np.abs(np.fft.fft2(grey * np.outer(np.hanning(24), np.hanning(24))))
    return np.log1p(seen[:, :, :12]).reshape(count, -1)


def _single_frame_accuracy(found, features):
    (train, labels), (test, wanted) = found["train"], found["test"]
    models = (
        make_pipeline(StandardScaler(), LogisticRegression(C=1e-2, max_iter=100)),
        ExtraTreesClassifier(150, min_samples_leaf=2, random_state=0),
        KNeighborsClassifier(15),
    )
    train, test = features(train), features(test)
    return [model.fit(train, labels).score(test, wanted) for model in models]


def test_a_single_frame_does_not_tell_motion_classes():
    found = _some_frames(MOTION, train=20, test=16)
    for features in (_thumbnails, _color_histograms):
        for accuracy in _single_frame_accuracy(found, features):
            assert accuracy < 1 / len(MOTION) + 0.05


def test_a_single_frame_tells_appearance_classes():
    found = _some_frames(APPEARANCE, train=24, test=20)
    assert max(_single_frame_accuracy(found, _grey_spectra)) > 0.6


def test_a_single_frame_tells_the_scene_but_not_the_order():
    found = _some_frames(BOTH, train=24, test=20)
    by_class = max(_single_frame_accuracy(found, _grey_spectra))
    assert by_class < 0.5 + 0.1
    scenes = {s: (frames, labels // 2) for s, (frames, labels) in found.items()}
    assert max(_single_frame_accuracy(scenes, _grey_spectra)) > 0.5 + 0.2


@pytest.mark.slow
def test_not_even_the_sprite_s_exact_pose_in_one_frame_tells_motion_classes():
    def poses(groups):
        rows, labels = [], []
        for label, name in enumerate(MOTION):
            for scene in (Scene(name, g, c) for g in groups for c in range(1, 41)):
                way, at = trajectory(scene), scene.rng("test frames").choice(64, 8, replace=False)
                pose = (way.x, way.y, np.log(way.size), np.cos(way.angle), np.sin(way.angle))
                rows.append(np.stack(pose, axis=1)[at])
                labels += [label] * 8
        return np.concatenate(rows), np.array(labels)

    model = RandomForestClassifier(300, min_samples_leaf=20, n_jobs=2, random_state=0)
    model.fit(*poses(range(8, 26)))
    assert model.score(*poses(range(1, 8))) < 1 / len(MOTION) + 0.05


@pytest.mark.slow
def test_a_single_frame_does_not_tell_motion_classes_of_the_whole_mini_set():
    found = _some_frames(MOTION, train=100, test=40)
    for features in (_thumbnails, _color_histograms):
        for accuracy in _single_frame_accuracy(found, features):
            assert accuracy < 1 / len(MOTION) + 0.05


def _motion_of(scene):
    """What 8 frames at stride 8 show of the sprite, from the truth: (8, 7) numbers."""
    known, rows = truth(scene), []
    for t in range(0, 57, 8):
        y, x = np.nonzero(known.mask[t])
        if len(x) < 20:  # behind the post
            rows.append(rows[-1] if rows else np.zeros(7))
            continue
        u, v = known.flow[t][y, x].T
        dx, dy = x - x.mean(), y - y.mean()
        area = (dx**2 + dy**2).mean()
        curl, growth = (dx * v - dy * u).mean() / area, (dx * u + dy * v).mean() / area
        rows.append([x.mean(), y.mean(), np.sqrt(len(x)), u.mean(), v.mean(), curl, growth])
    rows = np.array(rows) * (1, 1, 1, 1, 1, 20, 20)
    rows[:, :3] -= rows[:, :3].mean(axis=0)  # where it was and how large is no motion
    return rows


def test_motion_tells_the_classes_and_a_flip_does_not_change_them():
    chosen, flip = scene_set("mini", classes=MOTION, train=12, test=6), (-1, 1, 1, -1, 1, -1, 1)
    plain, flipped, labels = {}, {}, {}
    for subset in ("train", "test"):
        seen = np.stack([_motion_of(scene) for scene in chosen.scenes(subset)])
        plain[subset], flipped[subset] = (m.reshape(len(m), -1) for m in (seen, seen * flip))
        labels[subset] = np.array([MOTION.index(s.class_name) for s in chosen.scenes(subset)])
    model = ExtraTreesClassifier(300, random_state=0)
    model.fit(np.concatenate([plain["train"], flipped["train"]]), np.tile(labels["train"], 2))
    assert model.score(plain["test"], labels["test"]) > 0.7  # chance is 0.125
    assert model.score(flipped["test"], labels["test"]) > 0.7
    # Who never saw a flip still names a flipped video, but for those that go right.
    model.fit(plain["train"], labels["train"])
    others = labels["test"] < MOTION.index("RightThenDown")
    others |= labels["test"] > MOTION.index("DownThenRight")
    assert model.score(flipped["test"][others], labels["test"][others]) > 0.7


# --- files ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("embedded"), scale="smoke", progress=False)


def test_layout_is_ucf101s(smoke):
    splits = open_dataset("embedded", smoke)
    assert (len(splits.train), len(splits.test)) == (16, 8)
    assert tuple(splits.class_names) == SCALES["smoke"].classes
    lists = smoke / "ucfTrainTestlist"
    assert (lists / "classInd.txt").read_text().splitlines()[1] == "2 RightThenDown"
    first = (lists / "trainlist01.txt").read_text().splitlines()[0]
    assert first == "Shuttle/v_Shuttle_g08_c01.mp4 1"
    first = (lists / "testlist01.txt").read_text().splitlines()[0]
    assert first == "Shuttle/v_Shuttle_g01_c01.mp4"
    facts = json.loads((smoke / "scenes.json").read_text())
    assert facts["class_groups"]["Striped"] == "appearance"
    assert facts["generator_hash"] == generator_hash()


def test_videos_hold_the_scenes(smoke):
    record = open_dataset("embedded", smoke).test[0]
    scene = load_scene(smoke, record.video_id)
    decoded = read_frames(record.path, list(range(32)))
    assert np.abs(decoded.astype(float) - render(scene)).mean() < 4
    assert scene == scene_of(record.path, frames=32)


def test_arrays_are_the_scenes_and_records_of_the_files(smoke):
    frames, records = render_split("smoke", "test", progress=False)
    on_disk = open_dataset("embedded", smoke).test
    same = [(r.video_id, r.label, r.group, r.class_name) for r in records]
    assert same == [(r.video_id, r.label, r.group, r.class_name) for r in on_disk]
    assert frames.shape == (8, 32, 96, 128, 3)
    np.testing.assert_array_equal(frames[3], render(load_scene(smoke, records[3].video_id)))


def test_workers_do_not_change_the_files(tmp_path):
    numbers = {"scale": "smoke", "train": 20, "test": 2, "frames": 9, "progress": False}
    one = make_dataset(tmp_path / "one", workers=1, **numbers)
    two = make_dataset(tmp_path / "two", workers=2, **numbers)
    names = sorted(p.relative_to(one) for p in one.rglob("*.*") if p.is_file())
    assert len(names) == 4 * 22 + 4 + 1  # videos, lists and scenes.json, lock
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in names)


def test_a_finished_folder_is_left_alone_and_another_refused(smoke):
    video = smoke / "UCF-101/Shuttle/v_Shuttle_g01_c01.mp4"
    before = video.stat().st_mtime_ns
    assert make_dataset(smoke, scale="smoke", progress=False) == smoke
    assert video.stat().st_mtime_ns == before
    with pytest.raises(FileExistsError, match=r"holds other embedded data \(data_seed differ\);"):
        make_dataset(smoke, scale="smoke", data_seed=1, progress=False)


def test_data_of_another_version_of_the_generator_are_refused_as_such(tmp_path):
    (tmp_path / "scenes.json").write_text('{"generator_hash": "95bd856e494fd7d9"}')
    with pytest.raises(FileExistsError, match=r"another version of the generator.*or delete it"):
        make_dataset(tmp_path, scale="smoke", progress=False)


def test_a_killed_run_is_completed_by_the_next(tmp_path):
    folder = tmp_path / "embedded"
    numbers = {"scale": "smoke", "train": 30, "frames": 16, "workers": 1, "progress": False}
    call = f"make_dataset({str(folder)!r}, **{numbers})"
    script = f"from vidssl.data.synthetic import make_dataset; {call}"
    process = subprocess.Popen([sys.executable, "-c", script], cwd=os.getcwd())
    while process.poll() is None and len(list(folder.rglob("*.mp4"))) < 3:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "scenes.json").exists()
    assert 3 <= len(list(folder.rglob("*.mp4"))) < 4 * 32
    first = min(folder.rglob("*.mp4"), key=lambda p: p.stat().st_mtime_ns)
    before = first.stat().st_mtime_ns
    make_dataset(folder, **numbers)
    assert first.stat().st_mtime_ns == before
    assert len(list(folder.rglob("*.mp4"))) == 4 * 32
    assert not list(folder.rglob("*.part"))
    assert len(open_dataset("embedded", folder).train) == 4 * 30


# --- errors --------------------------------------------------------------------------------------


def test_a_full_disk_is_named(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))  # a file larger than this cannot be
    try:
        with pytest.raises(OSError, match=r"cannot write the embedded data below .*embedded: "):
            make_dataset(tmp_path / "embedded", scale="smoke", progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(OSError, match="taken is a file, not a folder"):
        make_dataset(tmp_path / "taken", scale="smoke", progress=False)
    with pytest.raises(OSError, match=r"cannot write .* Not a directory"):
        make_dataset(tmp_path / "taken" / "below", scale="smoke", progress=False)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"scale": "minni"}, "scale='minni' is unknown; did you mean 'mini'"),
        ({"classes": ["Shutle"]}, "class 'Shutle' is unknown; did you mean 'Shuttle'"),
        ({"classes": ["Spin", "Spin"]}, "classes must be distinct"),
        ({"shares": {"orderd": 1}}, "did you mean 'ordered'"),
        ({"shares": {"ordered": -1}}, "must not be negative"),
        ({"width": 171}, "width must be even"),
        ({"frames": 1}, "frames must be at least 9"),
        ({"trains": 4}, "parameter='trains' is unknown; did you mean 'train'"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, wrong, message):
    with pytest.raises(ValueError, match=message):
        make_dataset(tmp_path, **{"scale": "smoke", "progress": False, **wrong})


def test_scene_of_reads_ids_and_paths():
    wanted = Scene("SpinThenFall", 8, 12, data_seed=3)
    assert scene_of("SpinThenFall/v_SpinThenFall_g08_c12", data_seed=3) == wanted
    assert scene_of("/data/UCF-101/v_SpinThenFall_g08_c12.mp4", data_seed=3) == wanted
    with pytest.raises(ValueError, match="not of the form"):
        scene_of("holiday.mp4")
    with pytest.raises(FileNotFoundError, match="not a finished folder"):
        load_scene("nowhere", "v_Spin_g08_c01")


# --- made in parts -------------------------------------------------------------------------------


def files_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def test_a_few_videos_first_then_the_rest_are_the_same_bytes(tmp_path):
    few = {"scale": "smoke", "train": 2, "test": 1, "frames": 9, "workers": 1, "progress": False}
    at_once = make_dataset(tmp_path / "at_once", **few)
    wanted = "Shuttle/v_Shuttle_g09_c01"
    parts = make_dataset(tmp_path / "parts", **few, videos=[wanted])
    splits = open_dataset("embedded", parts)
    assert len(splits.train) == 8
    assert [path.stem for path in parts.rglob("*.mp4")] == [wanted.split("/")[1]]
    assert load_scene(parts, wanted) == load_scene(at_once, wanted)
    assert splits.fingerprint != open_dataset("embedded", at_once).fingerprint
    with pytest.raises(ValueError, match="videos='Shuttle/v_Shuttle_g25_c01' is unknown"):
        make_dataset(parts, **few, videos=["Shuttle/v_Shuttle_g25_c01"])
    with pytest.raises(FileExistsError, match="holds other embedded data"):
        make_dataset(parts, **{**few, "frames": 10}, videos=[wanted])
    make_dataset(parts, **few)
    assert files_of(parts) == files_of(at_once)
    assert open_dataset("embedded", parts).fingerprint == (
        open_dataset("embedded", at_once).fingerprint
    )
    assert make_dataset(parts, **few, videos=[wanted]) == parts, "a finished folder is left alone"


def test_who_looks_at_a_few_does_not_wait_for_a_run_that_makes_all(tmp_path):
    few = {"scale": "smoke", "train": 1, "test": 1, "frames": 9, "workers": 1, "progress": False}
    wanted = ["Shuttle/v_Shuttle_g08_c01"]
    folder = make_dataset(tmp_path / "data", **few, videos=wanted)
    with alone(folder):  # another run is making all of it
        assert make_dataset(folder, **few, videos=wanted) == folder
