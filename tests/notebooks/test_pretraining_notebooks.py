"""Every pretraining page beside MoSI's, one's own too: at smoke scale it ends with weights."""

import pytest
from smoke import execute

from vidssl import protocol, runs

PAGES = [name for name in runs.notebook_names() if name.endswith("_pretrain")]


@pytest.mark.parametrize("page", [name for name in PAGES if name != "11_mosi_pretrain"])
def test_its_weights_are_a_start(place, page):
    done = execute(page, place, page)
    assert done["status"] == "finished"
    weights = place / "smoke" / page / "backbone.pt"
    built = {name: done["parameters"][name] for name in ("backbone", "width")}
    _, about = protocol.start_network(weights, **built, num_classes=3, seed=0)
    assert about["method"] == page.split("_")[1]
