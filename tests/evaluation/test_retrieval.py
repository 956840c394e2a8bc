import numpy as np
import pytest

from vidssl.evaluation import feature_rows, nearest, retrieval, retrieval_recall, retrieval_rows


def angles(*degrees):
    radians = np.deg2rad(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


def test_by_hand():
    """Query at 0 degrees finds 10 (class 1), 20 (class 0); query at 90 finds 80 (1), 70 (1)."""
    gallery, labels = angles(20, 80, 10, 70), [0, 1, 1, 1]
    assert nearest(angles(0, 90), gallery, 2).tolist() == [[2, 0], [1, 3]]
    found = retrieval_recall(angles(0, 90), [0, 0], gallery, labels, ks=(1, 2, 4))
    assert found == {1: 0.0, 2: 0.5, 4: 1.0}


def test_perfect_and_hopeless():
    features = np.eye(30)
    classes = np.arange(30) % 3
    assert retrieval_recall(features, classes, features, classes) == {1: 1.0, 5: 1.0, 20: 1.0}
    assert retrieval_recall(features, classes, features, classes + 3) == {1: 0.0, 5: 0.0, 20: 0.0}


def test_queries_that_could_not_be_read_count_and_find_nothing():
    features = np.eye(3)
    assert retrieval_recall(features, [0, 1, 2], features, [0, 1, 2], (1, 2), unread=1) == {
        1: 0.75,
        2: 0.75,
    }


def test_chance():
    rng = np.random.default_rng(0)
    query, gallery = rng.standard_normal((4000, 16)), rng.standard_normal((500, 16))
    labels = np.arange(500) % 10
    found = retrieval_recall(query, rng.integers(0, 10, 4000), gallery, labels, ks=(1, 5))
    assert found[1] == pytest.approx(0.1, abs=0.02)
    assert found[5] == pytest.approx(1 - 0.9**5, abs=0.03)


def test_length_does_not_count_and_zeros_are_alike_to_nothing():
    gallery = np.array([[0.0, 0.0], [0.1, 0.0], [50.0, 50.0], [-1.0, 0.0]])
    assert nearest(np.array([[7.0, 0.0]]), gallery, 4).tolist() == [[1, 2, 0, 3]]


@pytest.mark.parametrize("piece", [2**16, 7, 4])
def test_against_a_slow_loop(piece, monkeypatch):
    """Also where the gallery is read in pieces, one smaller than what is asked for."""
    monkeypatch.setattr(retrieval, "CHUNK", 3)
    monkeypatch.setattr(feature_rows.pieces, "__defaults__", (piece,))
    rng = np.random.default_rng(0)
    query, gallery = rng.standard_normal((8, 5)), rng.standard_normal((20, 5))
    for row, found in zip(query, nearest(query, gallery, 6)):
        cosine = [row @ g / np.linalg.norm(row) / np.linalg.norm(g) for g in gallery]
        assert found.tolist() == sorted(range(20), key=lambda i: -cosine[i])[:6]


def test_the_two_protocols_differ_as_their_names_say():
    clips = np.stack([angles(0, 20), angles(80, 40)])  # two videos of two clips
    rows, labels = retrieval_rows(clips, [3, 5], "clip-to-clip")
    np.testing.assert_allclose(rows, angles(0, 20, 80, 40))
    assert labels.tolist() == [3, 3, 5, 5]
    rows, labels = retrieval_rows(clips, [3, 5], "video-to-video")
    np.testing.assert_allclose(rows, (clips[:, 0] + clips[:, 1]) / 2)
    assert labels.tolist() == [3, 5]


FEATURES, LABELS = np.ones((4, 3)), np.zeros(4, int)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((FEATURES, LABELS, np.ones((4, 2)), LABELS), r"same D, got \(4, 3\) and \(4, 2\)"),
        ((FEATURES[0], LABELS, FEATURES, LABELS), "query_labels must be one label for each of 3"),
        ((FEATURES, LABELS[:2], FEATURES, LABELS), "query_labels must be one label for each of 4"),
        ((FEATURES, LABELS, FEATURES, LABELS - 1), "gallery_labels must be integers from 0"),
        ((FEATURES, LABELS * 0.5, FEATURES, LABELS), "query_labels must be integers"),
        ((FEATURES * np.nan, LABELS, FEATURES, LABELS), "query: holds nan or inf"),
        ((FEATURES[:0], LABELS[:0], FEATURES, LABELS), r"query must be \(rows, D\)"),
        ((FEATURES, LABELS, FEATURES, LABELS, (1, 9)), "4 rows, 9 neighbours were asked for"),
        ((FEATURES, LABELS, FEATURES, LABELS, (0, 1)), "ks must be one or more numbers from 1"),
        ((FEATURES, LABELS, FEATURES, LABELS, ()), "ks must be one or more"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    ks = arguments[4] if len(arguments) == 5 else (1, 2)
    with pytest.raises(ValueError, match=message):
        retrieval_recall(*arguments[:4], ks=ks)


def test_wrong_rows_are_named():
    with pytest.raises(ValueError, match="did you mean 'clip-to-clip'"):
        retrieval_rows(np.ones((2, 3, 4)), [0, 1], "clip_to_clip")
    with pytest.raises(ValueError, match=r"clips must be \(videos, clips, D\)"):
        retrieval_rows(np.ones((2, 3)), [0, 1], "clip-to-clip")
