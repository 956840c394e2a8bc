"""What the README says is found in what the repository holds."""

import csv
import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
INTERVAL = re.compile(r"(-?\d+(?:\.\d+)?) ± (\d+(?:\.\d+)?)")


def measured():
    """(mean, half-width) of every interval that figures' data and runs' records hold."""
    for file in (ROOT / "figures").glob("*.csv"):
        for row in csv.DictReader(file.open(encoding="utf-8")):
            if row.get("mean") and row.get("ci95"):
                yield float(row["mean"]), float(row["ci95"])
    for file in (ROOT / "papermill_runs" / "records").glob("*.json"):
        metrics = json.loads(file.read_text(encoding="utf-8"))["metrics"]
        for name, value in metrics.items():
            if isinstance(value, list) and len(value) == 3:  # mean, half-width, seeds
                yield value[0], value[1]
            elif f"{name}_ci95" in metrics:
                yield value, metrics[f"{name}_ci95"]


def untraced(text):
    """Intervals in ``text`` that no measurement rounds to, in either direction of a difference."""
    known = [(abs(mean), half) for mean, half in measured() if mean is not None and half]

    def is_known(mean, half):
        digits = len(half.partition(".")[2])
        slack = 0.5 * 10**-digits + 1e-6
        return any(
            abs(unit * m - abs(float(mean))) < slack and abs(unit * h - float(half)) < slack
            for m, h in known
            for unit in (1, 100)
        )

    found = INTERVAL.findall(re.sub(r"\s+", " ", text))
    return [f"{mean} ± {half}" for mean, half in found if not is_known(mean, half)]


def test_every_interval_is_a_measured_one():
    assert len(INTERVAL.findall(README)) > 100
    assert not untraced(README)
    assert untraced("ahead by 12.3 ± 99.9 points") == ["12.3 ± 99.9"]


def test_what_is_linked_exists():
    links = re.findall(r"\]\(([^)#\s]+)\)", README)
    assert links
    assert not [
        link for link in links if not re.match(r"\w+:", link) and not (ROOT / link).exists()
    ]
