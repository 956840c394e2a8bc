import pytest

from vidssl.evaluation.tables import paper_row, table_row


def test_table_rows():
    about = {"table": "t", "column": 5, "scale": "mini", "dataset": "embedded"}
    row = table_row("mosi", "top1_accuracy", [0.5, 0.7], **about)
    assert ",".join(row) == "table,row,column,metric,mean,ci95,seeds,scale,dataset,paper"
    assert row["mean"] == pytest.approx(0.6)
    assert row["ci95"] == pytest.approx(12.706 * 0.1, rel=1e-4)  # t(.975, 1) s / sqrt(2)
    assert row["seeds"] == 2
    assert table_row("mosi", "loss", [0.5], **about)["ci95"] is None
    assert table_row("chance", "loss", [0.5], exact=True, **about)["seeds"] == 0
    quoted = paper_row("mosi", "top1_accuracy", 0.125, **about)
    assert (quoted["mean"], quoted["seeds"], quoted["paper"]) == (None, None, 0.125)
