import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, top_k_accuracy_score

from vidssl.evaluation import classification_report

NAMES = ["a", "b", "c", "d", "e", "f"]


def test_perfect():
    report = classification_report(np.eye(6), range(6), NAMES)
    assert (report.top1_accuracy, report.top5_accuracy, report.num_videos) == (1.0, 1.0, 6)
    assert (report.per_class_accuracy == 1).all()
    assert (report.confusion == np.eye(6)).all()
    assert report.summary() == "top-1 100.0 %, top-5 100.0 % of 6 videos"


def test_partly_right_by_hand():
    scores = [[0.6, 0.4, 0.0], [0.3, 0.7, 0.0], [0.2, 0.1, 0.7], [0.1, 0.6, 0.3]]
    report = classification_report(np.array(scores), [0, 0, 2, 2], NAMES[:3])
    assert report.top1_accuracy == 0.5
    assert report.confusion.tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 1]]
    np.testing.assert_equal(report.per_class_accuracy, [0.5, np.nan, 0.5])


def test_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    scores, labels = rng.random((200, 6)), rng.integers(0, 6, 200)
    report = classification_report(scores, labels, NAMES)
    assert report.top1_accuracy == pytest.approx(top_k_accuracy_score(labels, scores, k=1))
    assert report.top5_accuracy == pytest.approx(top_k_accuracy_score(labels, scores, k=5))
    assert (report.confusion == confusion_matrix(labels, scores.argmax(1))).all()


def test_a_constant_network_earns_nothing():
    report = classification_report(np.full((6, 6), 1 / 6), range(6), NAMES)
    assert report.top1_accuracy == report.top5_accuracy == 0.0
    assert np.trace(report.confusion) == 0
    assert report.confusion.sum() == 6


def test_failed_videos_stay_in_the_denominator_and_are_named():
    report = classification_report(np.eye(6)[:3], [0, 1, 2], NAMES, failed=["v_b_g01"])
    assert report.top1_accuracy == report.top5_accuracy == 0.75
    assert report.num_videos == 4
    assert report.confusion.sum() == 3
    expected = "top-1 75.0 %, top-5 75.0 % of 4 videos; 1 unreadable, counted as wrong: v_b_g01"
    assert report.summary() == expected


def test_a_summary_says_what_means_something():
    few = classification_report(np.eye(2)[:1], [0], ["a", "b"])
    assert few.summary() == "top-1 100.0 % of 1 video"
    many = classification_report(np.eye(6)[:1], [0], NAMES, failed=["v", "w", "x", "y"])
    assert many.summary().endswith("4 unreadable, counted as wrong: v, w, x, ...")
    three = classification_report(np.eye(6)[:1], [0], NAMES, failed=["v", "w", "x"])
    assert three.summary().endswith("wrong: v, w, x")


def test_failed_videos_count_in_their_class():
    report = classification_report(np.eye(2), [0, 1], ["a", "b"], failed=["x"], failed_labels=[1])
    assert report.per_class_accuracy.tolist() == [1.0, 0.5]


def test_all_videos_failed():
    report = classification_report(np.zeros((0, 2)), [], ["a", "b"], failed=["x", "y"])
    assert (report.top1_accuracy, report.num_videos) == (0.0, 2)


@pytest.mark.parametrize(
    ("scores", "labels", "extra", "message"),
    [
        (np.eye(3), [0, 1, 2], {}, r"probabilities must be"),
        (np.eye(2), [0], {}, r"probabilities must be"),
        (np.eye(2), [0, 2], {}, r"labels must be in \[0, 2\)"),
        (np.eye(2), [0, -1], {}, r"labels must be in \[0, 2\)"),
        (np.eye(2) * np.nan, [0, 1], {}, "nan"),
        (np.zeros((0, 2)), [], {}, "no video"),
        (np.eye(2), [0, 1], {"failed": ["x"], "failed_labels": [0, 1]}, "one label for each"),
    ],
)
def test_impossible_input_is_refused(scores, labels, extra, message):
    with pytest.raises(ValueError, match=message):
        classification_report(scores, labels, ["a", "b"], **extra)
