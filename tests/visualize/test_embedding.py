import numpy as np
import pytest

from vidssl.visualize import COLUMN_WIDTH, PAGE_WIDTH
from vidssl.visualize.embedding import cluster_figure, embedding_figure

POINTS = np.arange(12.0).reshape(6, 2)
CLUSTERS = np.array([0, 1, 2, 2, 1, 0])


def clip(grey, frames=4):
    return np.full((frames, 6, 10, 3), grey, np.uint8)


def test_each_point_is_drawn_with_its_cluster():
    figure = embedding_figure(POINTS, CLUSTERS, note="t-SNE")
    drawn = figure.axes[0].collections
    assert len(drawn) == 3
    assert drawn[1].get_offsets().tolist() == POINTS[[1, 4]].tolist()
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["1", "2", "3"]
    assert figure.get_figwidth() == COLUMN_WIDTH


def test_each_cluster_has_its_strip():
    members = [[clip(10), clip(20)], [clip(30), clip(40)], [clip(50), clip(60)]]
    figure = cluster_figure(POINTS, CLUSTERS, members, captions=["a", "b", "c"])
    points, *strips = figure.axes
    assert len(points.collections) == 3
    assert [axis.get_title("left") for axis in strips] == ["a", "b", "c"]
    for axis, clips in zip(strips, members):
        strip = axis.images[0].get_array()
        inks = [int(column[0, 0]) for column in strip.swapaxes(0, 1) if column[0, 0] < 255]
        assert inks == [int(c[0, 0, 0, 0]) for c in clips for _ in range(4 * 10)]
    assert figure.get_figwidth() == PAGE_WIDTH


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"points must have shape \(V=6, xy=2\)"):
        embedding_figure(POINTS[:, :1], CLUSTERS)
    with pytest.raises(ValueError, match="from 0 to 6"):
        embedding_figure(POINTS, CLUSTERS + 5)
    with pytest.raises(ValueError, match="those of 3 clusters: 1"):
        cluster_figure(POINTS, CLUSTERS, [[clip(0)]])
