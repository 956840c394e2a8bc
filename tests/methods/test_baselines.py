"""What simple classifiers see: whole frames, whole videos, and no learned feature."""

from dataclasses import replace

import numpy as np
import pytest

from vidssl.core import VideoRecord
from vidssl.data import write_video
from vidssl.data.frame_store import FrameStore
from vidssl.evaluation import classification_report
from vidssl.inference import report
from vidssl.methods.baselines import KINDS, yardstick

HEIGHT, WIDTH, LENGTH = 48, 64, 24


def ground(seed):
    """A still background (H, W, 3) of coarse noise."""
    coarse = np.random.default_rng(seed).integers(60, 196, (6, 8, 3))
    return np.kron(coarse, np.ones((8, 8, 1), int))


def moved(label, seed):
    """A square somewhere that trembles in the quarter of the video which is the class."""
    frames, rng = np.stack([ground(seed)] * LENGTH), np.random.default_rng(seed)
    top, left = rng.integers(8, (HEIGHT - 24, WIDTH - 24))
    for t in range(LENGTH):
        trembles = t * 4 // LENGTH == label
        down, right = rng.integers(-8, 9, 2) if trembles else (0, 0)
        frames[t, top + down :][:16, left + right : left + right + 16] = 255
    return frames.astype(np.uint8)


def looks(label, seed):
    """Trembles in any quarter, before a ground that is brighter by the class."""
    frames = moved(seed // 4 % 4, seed).astype(int)
    return (frames // 2 + 30 * label).astype(np.uint8)


def split(folder, draw, per_class=12):
    """(train, test) records of videos that ``draw(label, seed)`` makes, a group for two videos."""
    sides = []
    for side, first in (("train", 0), ("test", 1000)):
        records = []
        for number in range(4 * per_class):
            label, name = number % 4, f"{side}{number}"
            path = write_video(folder / f"{name}.mp4", draw(label, first + number), crf=8)
            records.append(VideoRecord(str(path), label, name, group=f"{side}{number // 8}"))
        sides.append(records)
    return sides


@pytest.fixture(scope="module")
def motions(tmp_path_factory):
    return split(tmp_path_factory.mktemp("motions"), moved)


def accuracy(kind, sides, **options):
    found = yardstick(kind, *sides, 4, progress=False, **options)
    return report(found, list("abcd")).top1_accuracy


def test_differences_tell_motions_and_one_frame_does_not(motions):
    assert accuracy("frame_difference", motions) > 0.9
    assert accuracy("static_frame", motions) < 0.5


def test_one_frame_tells_looks_and_differences_do_not(tmp_path):
    sides = split(tmp_path, looks)
    assert accuracy("static_frame", sides) > 0.9
    assert accuracy("frame_difference", sides) < 0.6


def test_labels_of_other_videos_teach_nothing(motions):
    train, test = motions
    labels = np.random.default_rng(0).permutation([record.label for record in train])
    wrong = [replace(record, label=int(label)) for record, label in zip(train, labels)]
    assert accuracy("frame_difference", (wrong, test)) < 0.6


def at_the_sides(label, seed):
    """Something flickers at the left (0) or right (1) edge of a wide frame."""
    frames = np.stack([ground(seed)] * LENGTH)
    frames[::2, :, slice(0, 6) if label % 2 == 0 else slice(WIDTH - 6, WIDTH)] = 255
    return frames.astype(np.uint8)


def test_the_sides_of_a_wide_frame_are_seen(tmp_path):
    train, test = (
        [replace(record, label=record.label % 2) for record in side]
        for side in split(tmp_path, at_the_sides, per_class=5)
    )
    found = yardstick("frame_difference", train, test, 2, progress=False)
    assert (found.values.argmax(1) == found.labels).all()


def test_a_store_gives_what_decoding_gives(motions, tmp_path):
    train, test = motions
    store = FrameStore(tmp_path, tmp_path, 48)
    store.add([record.path for record in [*train, *test]], gigabytes=1, progress=False)
    for kind in KINDS:
        decoded, stored = (
            yardstick(kind, train, test, 4, store=kept, progress=False) for kept in (None, store)
        )
        np.testing.assert_array_equal(decoded.values, stored.values)


def test_the_penalty_is_chosen_on_groups_or_said_to_be_fixed(motions):
    train, test = motions
    chosen = yardstick("frame_difference", train, test, 4, progress=False).penalty
    assert chosen.endswith("% right on held-out training groups")
    few = yardstick("frame_difference", train[:20], test, 4, progress=False).penalty
    assert few == "C = 0.1, fixed: 20 labelled videos of 4 classes"
    one = [replace(record, group="g") for record in train]
    assert yardstick("frame_difference", one, test, 4, progress=False).penalty.endswith("one group")


def test_unreadable_videos_are_wrong_and_unlabelled_ones_left_out(motions, tmp_path):
    train, test = motions
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    bad = VideoRecord(str(broken), 1, "broken")
    more = [*train, bad, replace(train[0], label=-1, video_id="unlabelled")]
    found = yardstick("static_frame", more, [test[0], bad, test[1]], 4, progress=False)
    assert found.video_ids == [test[0].video_id, test[1].video_id]
    assert "broken.mp4" in found.failed[0]
    told = classification_report(
        found.values, found.labels, list("abcd"), found.failed, found.failed_labels
    )
    assert told.num_videos == 3
    with pytest.raises(RuntimeError, match=r"none of 1 videos could be read; first: .*broken"):
        yardstick("static_frame", train, [bad], 4, progress=False)


def test_unknown_kinds_and_single_classes_are_refused(motions):
    train, test = motions
    with pytest.raises(ValueError, match="did you mean 'static_frame'"):
        yardstick("static_frames", train, test, 4)
    alone = [record for record in train if record.label == 2]
    with pytest.raises(ValueError, match="class 2 alone"):
        yardstick("static_frame", alone, test, 4, progress=False)
