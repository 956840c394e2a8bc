import numpy as np
import pytest

from vidssl.visualize.clusters import cluster_sizes, embedding_panels
from vidssl.visualize.methods import (
    accuracy_beside_printed,
    accuracy_by_cost,
    accuracy_by_method,
    methods_in_panels,
)


def points(count=30):
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, 2)), np.arange(count) % 3


def test_panels_and_their_legend():
    figure = embedding_panels({"by cluster": points(), "by class": points()}, ["a", "b", "c"])
    assert [axis.get_title() for axis in figure.axes] == ["", ""]
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["by cluster", "by class"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "c"]
    first = figure.axes[0].collections[0]
    assert len(first.get_offsets()) == 30
    assert len(np.unique(first.get_facecolors(), axis=0)) == 3
    figure.canvas.draw()


def test_points_and_labels_must_fit():
    with pytest.raises(ValueError, match=r"points must have shape \(V=3, xy=2\)"):
        embedding_panels({"wrong": (points()[0], np.arange(3))})
    with pytest.raises(ValueError, match="panels is empty"):
        embedding_panels({})


def test_clusters_are_drawn_from_the_largest_to_the_smallest():
    figure = cluster_sizes(np.array([2, 9, 5]), np.array([1, 9, 2]))
    bars = [patch.get_height() for patch in figure.axes[0].patches]
    assert bars == [9, 5, 2, 9, 2, 1]
    with pytest.raises(ValueError, match=r"sizes must have shape \(K=2\)"):
        cluster_sizes(np.zeros(3), np.zeros(2))


def row(name, mean, ci95=None):
    about = {"column": "top-1", "scale": "mini", "dataset": "embedded"}
    return {"row": name, "mean": mean, "ci95": ci95, **about}


def test_costs_are_named_beside_their_dots():
    axis = accuracy_by_cost({"a": 0.5, "b_c": 0.6}, {"a": 0.01, "b_c": 1.0}).axes[0]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["b c", "a"]
    assert axis.get_xscale() == "log"
    nine = {name: 0.1 * place for place, name in enumerate("abcdefghi")}
    looks = [
        (line.get_color(), line.get_marker())
        for line in accuracy_by_cost(nine, dict.fromkeys(nine, 0.1)).axes[0].lines
    ]
    assert len(set(looks)) == 9
    with pytest.raises(ValueError, match="must name the same methods"):
        accuracy_by_cost({"a": 0.5}, {"b": 1.0})


def test_long_names_do_not_push_the_label_of_costs_out_of_the_picture():
    long = {"MotionFit with flow, tuned whole": 0.9, "scratch": 0.8}
    figure = accuracy_by_cost(long, {"MotionFit with flow, tuned whole": 0.7, "scratch": 0.04})
    figure.draw_without_rendering()
    assert figure.axes[0].xaxis.label.get_window_extent().x0 >= 0


def test_methods_stand_by_their_accuracy():
    table = [row("b", 0.5, 0.1), row("chance", 0.1), row("a", 0.2), row("quoted", None)]
    axis = accuracy_by_method(table).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["b", "a"], "from the top"
    assert axis.yaxis_inverted()
    assert [text.get_text() for text in axis.texts] == ["chance"]
    with pytest.raises(ValueError, match="one row with a mean for each method"):
        accuracy_by_method([row("a", 0.1), row("a", 0.2)])
    with pytest.raises(ValueError, match="one row with a mean"):
        accuracy_by_method([])


def test_printed_rows_have_panels_of_their_own():
    quoted = {"row": "theirs", "mean": None, "paper": 0.8, "scale": "paper"}
    table = [row("ours", 0.5, 0.1), row("chance", 0.1)]
    table += [{**quoted, "dataset": name} for name in ("ucf101", "hmdb51")]
    figure = accuracy_beside_printed(table)
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles == ["ours: embedded, mini scale", "as printed: ucf101", "as printed: hmdb51"]
    named = [[label.get_text() for label in axis.get_yticklabels()] for axis in figure.axes]
    assert named == [["ours"], ["theirs"], ["theirs"]]
    with pytest.raises(ValueError, match="2 own and 0 quoted rows"):
        accuracy_beside_printed(table[:2])


def test_methods_stand_in_families_with_a_panel_a_metric_and_one_of_cost():
    """Rows of no family are yardsticks; a method without a number has no line."""
    rows = [row(name, 0.1 * place, 0.02) | {"metric": "top1_accuracy"}
            for place, name in enumerate(["a", "b", "chance", "frame difference"], 1)]  # fmt: skip
    rows.append(rows[0] | {"metric": "ordered_accuracy"})
    families = {"labels": ["a"], "pretext": ["b", "not run"], "none": ["nothing"]}
    panels = {"top1_accuracy": "all (%)", "ordered_accuracy": "ordered (%)"}
    figure = methods_in_panels(
        rows, panels, families, cost={"a": 0.5, "b": 2.0}, cost_title="hours"
    )
    whole, ordered, cost = figure.axes
    names = [label.get_text() for label in whole.get_yticklabels()]
    assert names == ["labels", "pretext", "a", "b"]
    assert list(whole.get_yticks()) == [0, 2.4, 1, 3.4]
    upright = [line.get_xdata()[0] for line in whole.lines if len(set(line.get_xdata())) == 1]
    assert {30.0, 40.0} <= {round(float(x), 6) for x in upright}, "chance and the yardstick"
    assert (cost.get_xscale(), cost.get_xlabel()) == ("log", "hours")
    assert ordered.get_xlabel() == "ordered (%)"
    with pytest.raises(ValueError, match="no mean of any method"):
        methods_in_panels(rows, panels, {"pretext": ["c"]})
