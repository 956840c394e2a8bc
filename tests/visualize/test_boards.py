import numpy as np
import pytest

from vidssl.visualize.boards import DENSITY, ROW, WIDTH, likeliest, teacher_board

NAMES = ["shuttle", "spin", "orbit", "striped"]


def clip(grey):
    return np.full((4, 6, 8, 3), grey, np.uint8)


def board(said, count=2, names=NAMES):
    matrices = [np.eye(count), np.ones((count, count))]
    return teacher_board([clip(50)] * count, matrices, 0.5, said, names)


def blue_width(picture):
    """Of the widest bar of the first colour, in CSS pixels."""
    blue = (picture == (0x00, 0x72, 0xB2)).all(-1)[400:]
    return blue.sum(1).max() / DENSITY


def test_a_bar_is_as_long_as_its_probability():
    long = board({"blend": np.array([0.8, 0.2, 0.0, 0.0])})
    short = board({"blend": np.array([0.4, 0.2, 0.2, 0.2])})
    assert blue_width(long) == pytest.approx(2 * blue_width(short), abs=2)


def test_a_board_is_as_wide_as_it_says_and_a_row_higher_for_each_class():
    said = {"a": np.ones(4) / 4}
    two, four = board({"a": np.ones(2) / 2}, names=NAMES[:2]), board(said)
    assert two.shape[1] == DENSITY * WIDTH
    assert four.shape[0] - two.shape[0] == 2 * DENSITY * ROW
    assert board(said, count=8).dtype == np.uint8


def test_the_true_class_is_always_shown():
    table = np.array([[0.5, 0.4, 0.1, 0.0], [0.5, 0.3, 0.2, 0.0]])
    assert likeliest(table, NAMES, "striped", 3) == [0, 1, 3]
    assert likeliest(table, NAMES, "", 2) == [0, 1]


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"matrices must be \(1, 1\)"):
        teacher_board([clip(0)], [np.eye(2)] * 2, 0.5, {"a": np.ones(4)}, NAMES)
    with pytest.raises(ValueError, match="4 classes"):
        board({"a": np.ones(3)})
