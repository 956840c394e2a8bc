import csv
import os
import time
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch

matplotlib.use("Agg")
torch.set_num_threads(1)  # several test processes share the cores


def pytest_collection_modifyitems(items):
    """Pages first: each module of them is few tests that take long, and two workers that begin with
    them end together."""
    items.sort(key=lambda item: "notebooks" not in item.path.parts[-2:])


RATIOS = pytest.StashKey[list[dict]]()


def pytest_addoption(parser):
    parser.addoption("--ratios", help="CSV file that the benchmarks' lines go into")


@pytest.fixture(scope="session")
def ratio(pytestconfig):
    """Report what a benchmark found, for the table of `make bench` and its CSV file.

    ``ratio("the store", 5.0, "times as fast as", "decoding")`` reads as a sentence.
    """
    rows = pytestconfig.stash.setdefault(RATIOS, [])

    def report(what, value, relation, against):
        told = (what, f"{value:.3g}", relation, against)
        rows.append(dict(zip(("what", "ratio", "relation", "against"), told)))

    return report


def pytest_terminal_summary(terminalreporter, config):
    _tell_ratios(terminalreporter, config)
    _tell_faults(terminalreporter)


def _tell_ratios(terminalreporter, config):
    rows = config.stash.get(RATIOS, [])
    if not rows:
        return
    terminalreporter.section("ratios, each of one run")
    machine = machine_of_benchmarks()
    terminalreporter.line(", ".join(f"{name} {value}" for name, value in machine.items()))
    width = max(len(row["what"]) for row in rows)
    for row in rows:
        terminalreporter.line(
            f"{row['what']:{width}}  {row['ratio']:>7} {row['relation']} {row['against']}"
        )
    if path := config.getoption("--ratios"):
        _write_ratios(Path(path), [{**row, **machine} for row in rows])


def _write_ratios(path, rows):
    """Lines of what was not measured now stay, with their machine and date."""
    lines = {(row["what"], row["against"]): row for row in _earlier_ratios(path) + rows}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines.values())


def _earlier_ratios(path):
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _tell_faults(terminalreporter):
    """The table of faults: how each ended in each pipeline."""
    reports = [r for key in ("passed", "failed") for r in terminalreporter.getreports(key)]
    told = [value for r in reports for name, value in r.user_properties if name == "fault"]
    if told:
        terminalreporter.section("faults")
        for fault, pipeline, how in sorted(map(tuple, told)):
            terminalreporter.write_line(f"{fault:36} {pipeline:12} {how}")


def machine_of_benchmarks():
    """What the ratios were measured on."""
    from vidssl.runs.provenance import cpu_name, device_name

    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "gpu": device_name() if torch.cuda.is_available() else "none",
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def pytest_configure(config):
    """Few examples of a property where slow tests are left out, many where they are not; and no GPU
    but for benchmarks: numbers that tests know are those of CPUs, on every machine."""
    from hypothesis import HealthCheck, Phase, settings

    if config.option.markexpr != "bench":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    few = "not slow" in config.option.markexpr
    settings.register_profile(
        "vidssl",
        max_examples=15 if few else 500,
        derandomize=True,  # the same examples each time: a test that fails, fails again
        database=None,
        phases=[Phase.explicit, Phase.generate],  # looking for a shorter one takes minutes
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    settings.load_profile("vidssl")


@pytest.fixture(scope="session")
def shared_data():
    """Folder of real videos for development; tests that need it are skipped without it."""
    folder = os.environ.get("VIDSSL_SHARED_DATA", "")
    if not os.path.isdir(folder):
        pytest.skip("set VIDSSL_SHARED_DATA to a folder of real videos to run this test")
    return folder


@pytest.fixture(scope="session")
def moving_videos(tmp_path_factory):
    """<class>/<file> videos in which a noise texture runs "left" or "right": 8 of each."""
    from vidssl.data import write_video

    root = tmp_path_factory.mktemp("moving")
    for direction, sign in (("left", -1), ("right", 1)):
        for number in range(8):
            rng = np.random.default_rng(number + 100 * (sign > 0))
            coarse = rng.integers(0, 256, (6, 30, 3), dtype=np.uint8)
            texture = np.kron(coarse, np.ones((8, 8, 1), np.uint8))
            frames = [texture[:, 80 + sign * 2 * t : 80 + sign * 2 * t + 64] for t in range(20)]
            write_video(root / direction / f"{number}.mp4", np.stack(frames))
    return root
