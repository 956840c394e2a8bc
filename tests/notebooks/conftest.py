import pytest

from vidssl import runs
from vidssl.data import synthetic


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of runs of its own, with the smoke data."""
    root = tmp_path_factory.mktemp("runs")
    numbers = runs.scale_file("smoke").get("data", {})
    synthetic.make_dataset(
        root / "data", **{"scale": "smoke", **numbers}, workers=1, progress=False
    )
    return root
