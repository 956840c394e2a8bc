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


@pytest.fixture(scope="module")
def pretended_gpu(tmp_path_factory):
    """Kernels in which a GPU is pretended: what stays on the wrong device raises there."""
    from pretended_accelerator import profile

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(profile(tmp_path_factory.mktemp("ipython") / "home")))
        yield
