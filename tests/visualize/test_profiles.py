"""Costs of a training step in bars."""

from vidssl.visualize.profiles import costs


def test_lengths_of_bars_have_one_decimal():
    """None is told in powers of ten, neither the fast on a GPU nor the small of the head."""
    figure = costs({"conv": 0.37}, {"1x3x3": 12345.6}, 27.0, {"stem": 7.86, "head": 0.0136})
    told = [[text.get_text() for text in axis.texts] for axis in figure.axes]
    assert told == [["37.0"], ["12,346"], ["7.9", "< 0.1"]]
