import numpy as np
import pytest

from vidssl.visualize import teachers
from vidssl.visualize.framework import timebalance_framework

NAMES = ["Shuttle", "Spin", "RightThenDown", "Striped"]
GROUPS = ["repetitive", "repetitive", "ordered", "appearance"]


def labels(axis):
    return [label.get_text() for label in axis.get_yticklabels()]


def legend(figure):
    return [text.get_text() for each in figure.legends for text in each.get_texts()]


def video(frames=12):
    return np.random.default_rng(0).integers(0, 256, (frames, 6, 8, 3), dtype=np.uint8)


def test_class_differences_are_sorted_and_in_points():
    figure = teachers.class_differences([0.1, -0.2, 0.3, 0.0], NAMES, groups=GROUPS, note="mini")
    [axis] = figure.axes
    assert labels(axis) == ["RightThenDown", "Shuttle", "Striped", "Spin"]
    assert [round(bar.get_width(), 6) for bar in axis.patches] == [30, 10, 0, -20]
    assert legend(figure) == ["appearance", "ordered", "repetitive"]
    assert axis.get_xlabel() == "distinctive minus invariant (points)"


def test_of_many_classes_the_extremes_are_shown():
    difference = np.linspace(-0.5, 0.5, 101)
    figure = teachers.class_differences(difference, [f"c{k}" for k in range(101)])
    assert labels(figure.axes[0]) == [f"c{k}" for k in [*range(100, 75, -1), *range(24, -1, -1)]]


def test_contrasts_frame_the_positives():
    """Two marked cells on the diagonal have eight edges; a marked block of four has eight, too."""
    similarity = np.eye(2)
    losses = {"local-local": (similarity, np.eye(2)), "instance": (similarity, np.ones((2, 2)))}
    figure = teachers.contrasts({"before": losses, "after": losses})
    upper, lower = figure.axes[:2], figure.axes[2:4]
    assert [axis.get_title("left") for axis in upper] == ["local-local", "instance"]
    assert [axis.get_title("left") for axis in lower] == ["", ""]
    assert [axes[0].get_ylabel() for axes in (upper, lower)] == ["before", "after"]
    assert [len(axis.collections[1].get_segments()) for axis in upper] == [8, 8]
    assert sorted(map(tuple, upper[0].collections[1].get_segments()[0])) == [(0, 0), (1, 0)]


def test_matrices_stand_beside_their_video():
    matrix = np.array([[1.0, 0.2], [0.2, 1.0]])
    figure = teachers.temporal_similarity(
        [[video(), video()]], matrix[None], 0 * matrix[None], [0.1], titles=["Shuttle"]
    )
    strip, invariant, _, averaged = figure.axes[:4]
    assert strip.get_title("left") == "Shuttle"
    assert [text.get_text() for text in invariant.texts] == ["1.0", "0.2", "0.2", "1.0"]
    assert [text.get_text() for text in averaged.texts] == ["0.5", "0.1", "0.1", "0.5"]
    assert "s = 0.10" in averaged.get_title("left")


def test_weights_by_class_are_sorted_by_their_means():
    classes = ["Spin", "Spin", "Striped", "Striped"]
    figure = teachers.weights_by_class([0.2, 0.4, 0.8, 1.0], classes, dict(zip(NAMES, GROUPS)))
    [axis] = figure.axes
    assert labels(axis) == ["Striped", "Spin"]
    assert [line.get_xdata()[0] for line in axis.lines] == pytest.approx([0.9, 0.3])
    assert legend(figure) == ["appearance", "repetitive"]


def test_weights_along_a_video():
    figure = teachers.weights_along_video(
        [2, 6], {"both": [0.2, 0.4], "invariant": [0.5, 0.5]}, video(), boundaries=[5]
    )
    strip, axis = figure.axes
    assert [label.get_text() for label in strip.get_xticklabels()] == [str(k) for k in range(1, 11)]
    assert axis.lines[0].get_ydata().tolist() == [0.2, 0.4]
    assert axis.lines[2].get_xdata() == [5, 5]
    assert axis.get_xlim() == (0, 11)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: teachers.class_differences([0.1], NAMES), r"difference must have shape \(K=4\)"),
        (lambda: teachers.temporal_similarity([[video()]], np.ones((1, 2, 2)), np.ones((1, 1, 1)),
                                              [1.0]), r"invariant must have shape \(V=1, N=1"),
        (lambda: teachers.temporal_similarity([], [], [], []), "invariant must have shape"),
        (lambda: teachers.weights_by_class([0.1], NAMES), r"scores must have shape \(V=4\)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(call, told):
    with pytest.raises(ValueError, match=told):
        call()


def test_the_framework_is_drawn_with_a_video_s_own_numbers():
    """The blend's bars are s p_I + (1 - s) p_D of its likeliest classes; s stands in letters."""
    p_invariant, p_distinctive = np.array([0.7, 0.1, 0.2]), np.array([0.1, 0.9, 0.0])
    figure = timebalance_framework(
        [video()] * 2, [np.eye(2)] * 2, 0.25, [p_invariant, p_distinctive, np.ones(3) / 3]
    )
    [axis] = figure.axes
    assert "s = 0.25" in [text.get_text() for text in axis.texts]
    heights = [bar.get_height() / 0.32 for bar in axis.patches if hasattr(bar, "get_height")]
    blend = np.sort(0.25 * p_invariant + 0.75 * p_distinctive)[::-1]
    assert heights[-3:] == pytest.approx(blend)
    assert tuple(figure.get_size_inches()) == (6.9, 2.75)
    with pytest.raises(ValueError, match=r"matrices must have shape \(teachers=2, N=3, N=3\)"):
        timebalance_framework([video()] * 3, [np.eye(2)] * 2, 0.25, [p_invariant] * 3)
