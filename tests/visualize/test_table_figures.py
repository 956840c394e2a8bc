import numpy as np
import pandas
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex

from vidssl.visualize import (
    COLORS,
    accuracy_by_setting,
    confusion_matrix,
    learning_curves,
    paper_style,
    per_class_accuracy,
)
from vidssl.visualize.style import description
from vidssl.visualize.tables import _spread

TABLE = [
    {"row": "MoSI", "column": "20", "mean": "0.5", "ci95": "0.02"},
    {"row": "MoSI", "column": "5", "mean": "0.3", "ci95": "0.04"},
    {"row": "scratch", "column": "5", "mean": "0.2", "ci95": ""},
    {"row": "the paper", "column": "5", "mean": "", "ci95": ""},
    {"row": "chance", "column": "5", "mean": "0.0625", "ci95": ""},
]
ORIGIN = {"scale": "mini", "dataset": "embedded"}


def texts(axis):
    return [text.get_text() for text in axis.texts]


def test_accuracy_is_in_per_cent_at_sorted_settings_with_intervals():
    figure = accuracy_by_setting([row | ORIGIN for row in TABLE])
    axis = figure.axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["5", "20"]
    mosi, scratch = axis.containers
    assert mosi.lines[0].get_ydata().tolist() == [30.0, 50.0]
    low, high = (cap.get_ydata() for cap in mosi.lines[1])
    np.testing.assert_allclose(np.stack([low, high]).astype(float), [[26, 48], [34, 52]])
    assert scratch.lines[0].get_ydata()[0] == 20.0
    assert np.isnan(scratch.lines[0].get_ydata()[1])
    assert texts(axis) == ["MoSI", "scratch", "chance"]  # the paper has no number of ours
    assert axis.lines[-1].get_ydata().tolist() == [6.25] * 3  # chance, from edge to edge
    assert figure._supxlabel.get_text() == "embedded · mini"


def test_accuracy_takes_a_data_frame_as_read_from_csv():
    frame = pandas.DataFrame(TABLE).replace("", np.nan).astype({"mean": float, "ci95": float})
    assert texts(accuracy_by_setting(frame).axes[0]) == ["MoSI", "scratch", "chance"]


def test_scales_and_data_sets_do_not_share_a_plot():
    mixed = [TABLE[0] | ORIGIN, TABLE[1] | ORIGIN | {"scale": "gpu"}]
    with pytest.raises(ValueError, match="rows mix scale mini and gpu"):
        accuracy_by_setting(mixed)
    with pytest.raises(ValueError, match="nothing to plot"):
        accuracy_by_setting(TABLE[3:4])


def test_labels_at_line_ends_do_not_touch():
    rng = np.random.default_rng(0)
    for _ in range(50):
        values = rng.uniform(0, 100, 8)
        places = _spread(values, 6.0, 0.0, 100.0)
        assert np.diff(np.sort(places)).min() >= 6 - 1e-6
        assert np.array_equal(np.argsort(places), np.argsort(values))
        assert places.min() >= -1e-6
        assert places.max() <= 100 + 1e-6
    assert _spread([10.0, 50.0], 6.0, 0.0, 100.0).tolist() == [10.0, 50.0]
    assert _spread([1.0, 1.0, 5.0], 2.0, 0.0, 10.0).tolist() == [0.0, 2.0, 5.0]


HISTORY = [
    {"step": 0, "train_loss": 2.0, "learning_rate": 0.1},
    {"step": 10, "train_loss": float("nan"), "test_accuracy": 0.25},
    {"step": 20, "train_loss": 1.0, "test_accuracy": 0.5},
]


def test_curves_have_a_panel_a_kind_and_gaps_where_numbers_miss():
    loss, accuracy = learning_curves(HISTORY).axes
    assert (loss.get_ylabel(), accuracy.get_ylabel()) == ("train loss", "test accuracy (%)")
    np.testing.assert_array_equal(loss.lines[0].get_ydata(), [2.0, np.nan, 1.0])
    assert accuracy.lines[0].get_xdata().tolist() == [10, 20]
    assert accuracy.lines[0].get_ydata().tolist() == [25, 50]


def test_curves_tell_runs_apart_by_colour():
    rows = [row | {"start": name} for name in ("scratch", "MoSI") for row in HISTORY]
    loss, accuracy = learning_curves(rows, by="start").axes
    assert [line.get_color() for line in loss.lines] == [COLORS[6], COLORS[0]]
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["scratch", "MoSI"]
    assert accuracy.get_legend() is None  # the same as above


def test_settings_in_panels_share_colours_and_names():
    rows = [
        {"row": name, "column": k, "mean": 0.1 * k, "ci95": 0.01, "kind": kind}
        for kind, names in {"clip": ("a", "b_c"), "video": ("b_c",)}.items()
        for name in names
        for k in (1, 5)
    ]
    left, right = accuracy_by_setting(rows, panel="kind").axes
    assert [left.get_title(loc="left"), right.get_title(loc="left")] == ["clip", "video"]
    assert [text.get_text() for text in left.texts] == ["a", "b c"]
    assert [text.get_text() for text in right.texts] == ["b c"]
    assert left.texts[1].get_color() == right.texts[0].get_color()


def test_many_panels_stand_in_two_lines():
    rows = [{**TABLE[k], **ORIGIN, "kind": f"panel {n}"} for n in range(5) for k in (0, 1)]
    axes = accuracy_by_setting(rows, panel="kind").axes
    assert [axis.get_title(loc="left") or axis.get_title() for axis in axes][-1] == "panel 4"
    tops = [axis.get_subplotspec().rowspan.start for axis in axes]
    assert tops == [0, 0, 0, 1, 1]
    assert [bool(axis.get_ylabel()) for axis in axes] == [True, False, False, True, False]


@pytest.mark.parametrize(
    ("means", "limits"),
    [([0.998, 1.0], (79, 101)), ([0.49, 0.51], (39, 61)), ([0.0, 0.002], (-1, 21))],
)
def test_a_tenth_of_a_point_does_not_fill_a_panel(means, limits):
    rows = [{"row": f"r{i}", "column": "all", "mean": mean} for i, mean in enumerate(means)]
    low, high = accuracy_by_setting(rows).axes[0].get_ylim()
    assert (low, high) == pytest.approx(limits)


def test_no_two_of_twenty_rows_look_alike_and_each_name_bears_its_marker():
    rows = [
        {"row": f"r{i}", "column": k, "mean": 0.3 + 0.02 * i + 0.01 * k}
        for i in range(20)
        for k in (1, 5)
    ]
    figure = accuracy_by_setting(rows)
    axis = figure.axes[0]
    lines = [container.lines[0] for container in axis.containers]
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == 20
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 20
    beside = [c for c in axis.collections if isinstance(c, PathCollection)]
    colors = [to_hex(marker.get_facecolor()[0]) for marker in beside[:20]]
    assert colors == [to_hex(line.get_color()) for line in lines]
    heights = np.sort([text.get_window_extent().y0 for text in axis.texts])
    assert np.diff(heights).min() > 7.5 / 72 * figure.dpi, "names that touch cannot be read"


def test_a_loss_of_one_term_is_one_line():
    rows = [{"step": k, "loss": 1.0 / k, "contrast_loss": 1.0 / k} for k in (1, 2, 3)]
    axis = learning_curves(rows).axes[0]
    assert len(axis.lines) == 1
    assert axis.get_ylabel() == "loss"


def test_curves_name_what_can_be_plotted():
    with pytest.raises(ValueError, match="ending in loss, error, accuracy, score"):
        learning_curves([{"step": 1, "learning_rate": 0.1}])


def test_classes_are_drawn_by_group_and_missing_ones_left_out():
    accuracy = {"scratch": [0.1, np.nan, 0.3], "MoSI": [0.5, np.nan, 0.2]}
    figure = per_class_accuracy(accuracy, ["a", "b", "c"], groups=["x", "y", "x"], chance=0.25)
    axis = figure.axes[0]
    names = {label.get_text(): label.get_position()[1] for label in axis.get_yticklabels()}
    assert sorted(names, key=names.get) == ["x", "a", "c", "y", "b"]
    assert texts(axis) == ["chance"]
    assert description(figure) == "Accuracy of scratch, MoSI in each of 3 classes"
    scratch = axis.collections[1].get_offsets()
    np.testing.assert_allclose(scratch.filled(np.nan)[:, 0], [10, np.nan, 30])
    apart = scratch[:, 1] - axis.collections[2].get_offsets()[:, 1]
    assert (abs(apart) > 0.2).all(), "equal values are both seen"
    with pytest.raises(ValueError, match=r"accuracy must have shape \(methods, K=3\)"):
        per_class_accuracy([0.1, 0.2], ["a", "b", "c"])
    with pytest.raises(ValueError, match=r"groups must have shape \(K=2\)"):
        per_class_accuracy([0.1, 0.2], ["a", "b"], groups=["x"])


def test_confusion_shades_are_shares_of_the_true_class():
    axis = confusion_matrix(np.array([[3, 1], [0, 0]]), ["a", "b"]).axes[0]
    shades = axis.collections[0].get_array()
    np.testing.assert_array_equal(shades.filled(-1), [[75, 25], [-1, -1]], "untested is no zero")
    assert axis.get_ylabel() == "true (grey: no video)"
    assert confusion_matrix(np.eye(2), ["a", "b"]).axes[0].get_ylabel() == "true"
    assert [[label.get_text() for label in (*axis.get_xticklabels(), *axis.get_yticklabels())]] == [
        ["a", "b", "a", "b"]
    ]
    assert texts(axis) == ["3", "1"]
    with pytest.raises(ValueError, match=r"confusion must have shape \(K=2, K=2\)"):
        confusion_matrix(np.zeros((3, 2)), ["a", "b"])


@pytest.mark.parametrize(
    "figure",
    [
        accuracy_by_setting(TABLE),
        learning_curves(HISTORY, note="embedded · mini"),
        per_class_accuracy([0.1, 0.2], ["a", "b"], note="embedded · mini"),
        confusion_matrix(np.eye(2, dtype=int), ["a long name", "b"], note="embedded · mini"),
    ],
)
def test_letters_are_legible_and_inside_a_column(figure):
    from matplotlib.text import Text

    with paper_style():
        figure.draw_without_rendering()
        drawn = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text()]
        assert figure.get_figwidth() == 3.35
        assert min(text.get_fontsize() for text in drawn) >= 7
        box = figure.get_tightbbox()
    assert box.x0 >= -0.01
    assert box.y0 >= -0.01
    assert box.x1 <= figure.get_figwidth() + 0.01
    assert box.y1 <= figure.get_figheight() + 0.01


@pytest.mark.parametrize("classes", [1, 2, 3])
@pytest.mark.parametrize("methods", [1, 2])
@pytest.mark.filterwarnings("error")
def test_few_classes_with_long_names_leave_room_for_the_axis(classes, methods):
    names = ["marcher à pied, longtemps", "b", "c"][:classes]
    accuracy = {f"method {m}": np.full(classes, 0.5) for m in range(methods)}
    figure = per_class_accuracy(accuracy, names, chance=0.5, note="own videos")
    with paper_style():
        figure.draw_without_rendering()
    axis = figure.axes[0]
    boxes = [axis.get_tightbbox().extents, figure.bbox.extents]
    assert (np.subtract(*boxes)[:2] >= -1).all(), "nothing is cut at the left and below"
    assert axis.get_window_extent().height > 40
