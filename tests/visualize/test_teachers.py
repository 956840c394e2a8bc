import numpy as np
import pytest
from matplotlib.text import Text

from vidssl.visualize import teachers
from vidssl.visualize.framework import timebalance_framework
from vidssl.visualize.style import COLORS, paper_style

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


def premise(groups=("all", "ordered", "repetitive", "appearance", "both")):
    """A table's rows of three candidates; in the first group the teachers are all but equal."""
    candidates = ("as it is", "no places", "weak augmentation")
    accuracy = {
        (f"{teacher}, frozen, {group}", candidate): 0.5 + 0.005 * k + (0.1 * j - 0.01 * i) * k
        for i, candidate in enumerate(candidates)
        for j, group in enumerate(groups)
        for k, teacher in zip((-1, 1), teachers.SIDES)
    }
    cells = [{"row": row, "column": at, "mean": mean} for (row, at), mean in accuracy.items()]
    ours = {"scale": "mini", "dataset": "embedded", "ci95": None, "metric": "accuracy"}
    difference = {"row": "f_D - f_I, frozen, all", "column": "as it is", "mean": -0.2}
    blend = {"row": "average, ordered", "column": "as it is", "mean": 0.9}
    return [{**ours, **cell} for cell in (*cells, difference, blend)]


def beyond(axis):
    """Numbers that an axis would bear beyond its ends; they are not drawn."""
    low, high = axis.get_xlim()
    ticks = zip(axis.get_xticks(), axis.get_xticklabels())
    return [label for tick, label in ticks if not low <= tick <= high]


def dots(axis):
    return {line.get_label().split()[0]: line for line in axis.lines if line.get_marker() != "None"}


def test_both_teachers_stand_at_the_numbers_of_the_table():
    rows = premise()
    figure = teachers.teachers_by_group(rows, chance=1 / 16)
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["all classes", "ordered", "repetitive", "appearance", "both"]
    assert labels(figure.axes[0]) == ["as it is", "no places", "weak augmentation"]
    assert legend(figure) == ["invariant teacher", "distinctive teacher", "chance"]
    for axis, group in zip(figure.axes, ("all", "ordered", "repetitive", "appearance", "both")):
        drawn = dots(axis)
        for teacher, line in drawn.items():
            told = [row["mean"] for row in rows if row["row"] == f"{teacher}, frozen, {group}"]
            assert line.get_xdata() == pytest.approx(100 * np.array(told))
            assert np.round(line.get_ydata()).tolist() == [0, 1, 2]
        ends = np.sort([line.get_xdata() for line in drawn.values()], axis=0)
        joined = np.array(axis.collections[0].get_segments())
        np.testing.assert_allclose(joined[:, :, 0].T, ends)
        assert axis.lines[-1].get_xdata() == [6.25, 6.25]
    looks = {teacher: line.get_color() for teacher, line in drawn.items()}
    assert looks == {"invariant": COLORS[2], "distinctive": COLORS[1]}


def test_of_several_seeds_the_teachers_have_intervals():
    rows = [{**row, "ci95": 0.04} for row in premise(["all"])]
    [axis] = teachers.teachers_by_group(rows).axes
    for line, bars in zip(dots(axis).values(), axis.collections[1:]):
        middle = np.array(bars.get_segments())
        assert middle.mean(1) == pytest.approx(line.get_xydata())
        assert np.diff(middle[:, :, 0]) == pytest.approx(8)


def test_of_teachers_and_candidates_what_is_there_is_drawn():
    rows = [row for row in premise() if "invariant" not in row["row"]]
    figure = teachers.teachers_by_group(rows)
    assert legend(figure) == ["distinctive teacher"]
    gone = ("no places", "invariant")
    some = [row for row in premise() if (row["column"], row["row"].split(",")[0]) != gone]
    some = [row for row in some if row["column"] != "as it is"]
    figure = teachers.teachers_by_group(some)
    assert labels(figure.axes[0]) == ["no places", "weak augmentation"]
    assert np.isnan(dots(figure.axes[0])["invariant"].get_xdata()).tolist() == [True, False]
    with pytest.raises(ValueError, match="no mean of a teacher's frozen features"):
        teachers.teachers_by_group(rows[-2:])


@pytest.mark.parametrize("groups", [["all"], ["all", "single"], ["all", "ordered", "appearance"]])
@pytest.mark.parametrize("interval", [None, 0.3])
def test_a_premise_s_words_are_inside_and_do_not_touch(groups, interval):
    rows = [{**row, "ci95": interval} for row in premise(groups)]
    look = {"setting": "what pretraining changes", "note": "embedded, data seed 0 · mini · 1 seed"}
    metric = "linear classifiers on frozen features (%)"
    figure = teachers.teachers_by_group(rows, chance=1 / 16, metric=metric, **look)
    with paper_style():
        figure.draw_without_rendering()
        unseen = {label for axis in figure.axes for label in beyond(axis)}
        words = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
        words = [text for text in words if text not in unseen]
        boxes = [text.get_window_extent() for text in words]
        panels = [axis.get_window_extent() for axis in figure.axes]
    low, high = np.array([figure.bbox.min, figure.bbox.max])
    for word, box in zip(words, boxes):
        told = word.get_text()
        assert (box.min >= low - 1).all(), told
        assert (box.max <= high + 1).all(), told
        touched = [other.get_text() for other, at in zip(words, boxes) if at.overlaps(box)]
        assert touched == [told]
        assert not any(panel.overlaps(box) for panel in panels), told
    limits = {(axis.get_xlim(), axis.get_ylim()) for axis in figure.axes}
    assert len(limits) == 1, "panels share their axes"


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
