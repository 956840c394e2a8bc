"""Predictions that one page leaves and another judges together."""

import numpy as np
import pytest

from vidssl import protocol
from vidssl.core import VideoRecord
from vidssl.data import Splits
from vidssl.inference import Outputs, load_predictions, save_predictions

NONE = np.array([], dtype=np.int64)


def outputs(values, names):
    return Outputs(np.array(values), np.zeros(len(names), dtype=np.int64), list(names), [], NONE)


@pytest.fixture
def splits():
    test = [VideoRecord(f"{name}.mp4", label, name) for name, label in zip("abc", (0, 1, 1))]
    return Splits(train=[], test=test, class_names=["walk", "run"])


def test_predictions_come_back_by_network_and_video(tmp_path):
    both = {
        "scratch": outputs([[0.9, 0.1], [0.2, 0.8]], "ab"),
        "mosi": outputs([[0.6, 0.4], [0.3, 0.7]], "ab"),
    }
    save_predictions(tmp_path / "predictions.npz", both)
    found = load_predictions(tmp_path / "predictions.npz")
    assert list(found) == ["scratch", "mosi"]
    assert found["mosi"]["b"].tolist() == [0.3, 0.7]


def test_another_file_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", values=np.ones(2))
    with pytest.raises(ValueError, match=r"other\.npz holds no predictions of networks"):
        load_predictions(tmp_path / "other.npz")


def test_two_streams_are_their_mean(splits):
    rgb = dict(zip("abc", np.array([[0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])))
    flow = dict(zip("abc", np.array([[0.4, 0.6], [0.1, 0.9], [0.55, 0.45]])))
    assert protocol.judge_together([rgb, flow], splits).top1_accuracy == pytest.approx(2 / 3)


def test_a_video_that_one_stream_lacks_is_wrong_and_named(splits):
    rgb = dict(zip("abc", np.array([[0.9, 0.1], [0.1, 0.9], [0.1, 0.9]])))
    flow = {name: rgb[name] for name in "ab"}
    assert protocol.judge_together([rgb], splits).top1_accuracy == 1
    judged = protocol.judge_together([rgb, flow], splits)
    assert judged.top1_accuracy == pytest.approx(2 / 3)
    assert judged.num_videos == 3
    assert judged.failed == ("c.mp4: one of the networks could not read it",)
    assert judged.per_class_accuracy.tolist() == [1, 0.5]
    with pytest.raises(RuntimeError, match="no test video"):
        protocol.judge_together([rgb, {}], splits)
