"""Opening a data set of Kinetics' size against the least that could be done: read and list.

The plain way reads both CSV files and lists every folder, and makes no record of anything. What
`open_dataset` takes beside it is printed by `make bench`; that a few are opened right is tested in
`tests/data`. Files are really there, empty, but for a tenth.
"""

import csv
import os
import time

import pytest

from vidssl.data import open_dataset

CLASSES = 400
EACH = {"train": 600, "val": 50}  # videos of a class


@pytest.fixture
def kinetics(tmp_path):
    """240,000 training and 20,000 test videos in the official layout, every tenth absent."""
    for side, count in EACH.items():
        with open(tmp_path / f"{side}.csv", "w") as lists:
            lists.write("label,youtube_id,time_start,time_end,split\n")
            for k in range(CLASSES):
                folder = tmp_path / side / f"class number {k:03d}"
                folder.mkdir(parents=True)
                for i in range(count):
                    name, start = f"{side[0]}{k:03d}_{i:05d}x", i % 300
                    lists.write(f"{folder.name},{name},{start},{start + 10},{side}\n")
                    if i % 10 != 3:
                        (folder / f"{name}_{start:06d}_{start + 10:06d}.mp4").touch()
    return tmp_path


def plain(root):
    """Number of rows and of files."""
    rows = files = 0
    for side in EACH:
        with open(root / f"{side}.csv", newline="") as lists:
            rows += len(list(csv.DictReader(lists)))
        for folder in os.scandir(root / side):
            files += sum(entry.is_file() for entry in os.scandir(folder))
    return rows, files


def seconds(work, *arguments, **options):
    """Processor seconds, so that a busy machine does not count, and the result."""
    began = time.process_time()
    result = work(*arguments, **options)
    return time.process_time() - began, result


@pytest.mark.bench
def test_a_list_of_kinetics_size_with_files_checked(kinetics, ratio):
    least, (rows, files) = seconds(plain, kinetics)
    options = {"annotations": kinetics, "missing": "skip"}
    ours, splits = seconds(open_dataset, "kinetics", kinetics, **options)
    assert len(splits.train) + len(splits.test) == files == 0.9 * rows
    print(f"\n{rows} rows, {files} files: {ours:.2f} s, {ours / least:.1f} times a plain reading")
    ratio(f"opening {rows} listed videos", ours / least, "times as long as", "a plain reading")
    assert ours < 5 * least
