"""Dry runs: a few real clips under official names, from the lists to batches.

UCF101's and HMDB51's lists are the official ones where VIDSSL_SHARED_DATA holds them; otherwise
lists of a few of the same lines stand in. Copies by `prepare` are read by the same lists.
"""

import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from vidssl.core import unpack
from vidssl.data import (
    collate,
    missing_files,
    open_dataset,
    read_video_list,
    write_video,
)
from vidssl.data.prepare import prepare
from vidssl.protocol import Clips

pytest.importorskip("av")

UCF101 = {
    "classInd.txt": ["1 ApplyEyeMakeup", "2 ApplyLipstick", "3 Archery"],
    "trainlist01.txt": [
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1",
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c02.avi 1",
        "ApplyLipstick/v_ApplyLipstick_g08_c01.avi 2",
        "Archery/v_Archery_g08_c01.avi 3",
    ],
    "testlist01.txt": [
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi",
        "ApplyLipstick/v_ApplyLipstick_g01_c01.avi",
        "Archery/v_Archery_g01_c01.avi",
    ],
}
HMDB51 = {
    "shake_hands_test_split1.txt": [
        "21_shake_hands_u_nm_np1_fr_goo_5.avi 1 ",
        "American_History_X_shake_hands_u_nm_np2_le_goo_23.avi 2 ",
        "#20_Rhythm_shake_hands_u_cm_np1_fr_goo_0.avi 0 ",
    ],
    "wave_test_split1.txt": [
        "20060723sjfjffbartsinger_wave_f_cm_np1_ba_med_0.avi 2 ",
        "21_wave_u_nm_np1_fr_goo_5.avi 1 ",
        "50_FIRST_DATES_wave_u_cm_np1_fr_goo_30.avi 1 ",
    ],
}
KINETICS_TRAIN = """\
label,youtube_id,time_start,time_end,split
abseiling,0wR5jVB-WPk,417,427,train
arm wrestling,-3B32lodo2M,59,69,train
"air drumming, loud",-0VLoQAH_9w,3,13,train
"""
KINETICS_VAL = """\
label,youtube_id,time_start,time_end,split
arm wrestling,3caPS4FHFF8,36,46,val
abseiling,3yaoNwz99xM,62,72,val
"air drumming, loud",-1nqvQgsw1M,1204,1214,val
"""


def lists_of(dataset, small, folder):
    """Folder of the official lists, or of ``small`` ones written to ``folder``."""
    official = Path(os.environ.get("VIDSSL_SHARED_DATA", "/nowhere"), "official_splits", dataset)
    if official.is_dir():
        return official
    folder.mkdir()
    for name, lines in small.items():
        (folder / name).write_text("".join(f"{line}\r\n" for line in lines))
    return folder


def film(path, label):
    """A real video in which a class shows: grey of 20 (label + 1), getting brighter."""
    frames = np.empty((12, 48, 64, 3), np.uint8)
    frames[:] = (20 * (label % 10 + 1) + np.arange(12))[:, None, None, None]
    write_video(path, frames)


def first_of_classes(records, count=3):
    """The first video of each of the first ``count`` classes."""
    first = {record.label: record for record in reversed(records)}
    return [first[label] for label in sorted(first)[:count]]


def multi_clip(records):
    return Clips(frames=4, stride=2, size=32, short_side=32).even(records, 2)


def check_a_few(splits, count=3):
    """Films under the names of a few records of each side can be read as a batch."""
    for side in (splits.train, splits.test):
        few = first_of_classes(side, count)
        for record in few:
            film(Path(record.path), record.label)
        check_batch(few)


def check_batch(few):
    batch = unpack(next(iter(DataLoader(multi_clip(few), batch_size=len(few), collate_fn=collate))))
    assert batch["clips"].shape == (len(few), 2, 3, 4, 32, 32)
    assert batch["failed"] == []
    assert batch["video_id"] == [record.video_id for record in few]
    shown = (batch["clips"][:, 0, :, 0].mean((1, 2, 3)) * 255 / 20).round().long() - 1
    assert torch.equal(shown, batch["label"] % 10), "each label stands by its own video"


def check_refusal(records, few):
    """All but ``few`` are missing: the count and the first of them are named."""
    absent = missing_files(records)
    assert len(absent) == len(records) - few
    told = rf"{len(absent)} of {len(records)} files are missing: {re.escape(absent[0].path)}"
    with pytest.raises(FileNotFoundError, match=told):
        multi_clip(records)


def check_copies(dataset, root, copies, lists, count=3):
    """Copies stand where their originals did, for the same lists."""
    done = prepare(root, copies, short_side=32, workers=1, progress=False)
    assert (done.made, done.failed) == (2 * count, {})
    splits = open_dataset(dataset, copies, annotations=lists)
    for side in (splits.train, splits.test):
        check_batch(first_of_classes(side, count))
    return splits


def test_ucf101(tmp_path):
    root = tmp_path / "UCF-101"
    root.mkdir()
    lists = lists_of("ucf101", UCF101, tmp_path / "ucfTrainTestlist")
    splits = open_dataset("ucf101", root, annotations=lists)
    check_a_few(splits)
    check_refusal(splits.train, 3)
    assert (root / "Archery/v_Archery_g01_c01.avi").is_file()
    copies = check_copies("ucf101", root, tmp_path / "copies", lists)
    assert [r.video_id for r in copies.train] == [r.video_id for r in splits.train]
    assert copies.class_names == splits.class_names


def test_hmdb51(tmp_path):
    root = tmp_path / "hmdb51"
    root.mkdir()
    lists = lists_of("hmdb51", HMDB51, tmp_path / "splits")
    splits = open_dataset("hmdb51", root, annotations=lists)
    check_a_few(splits, count=2)
    check_refusal(splits.train, 2)
    check_copies("hmdb51", root, tmp_path / "copies", lists, count=2)


def test_kinetics(tmp_path):
    root = tmp_path / "kinetics400"
    for name in ("train", "val"):
        (root / name).mkdir(parents=True)
    (root / "train.csv").write_text(KINETICS_TRAIN)
    (root / "validate.csv").write_text(KINETICS_VAL)
    splits = open_dataset("kinetics", root, annotations=root)
    assert splits.class_names == ["abseiling", "air drumming, loud", "arm wrestling"]
    check_refusal(splits.train, 0)
    check_a_few(splits)
    assert (root / "val/air drumming, loud/-1nqvQgsw1M_001204_001214.mp4").is_file()
    check_copies("kinetics", root, tmp_path / "copies", tmp_path / "copies")


def test_kinetics_as_a_video_list(tmp_path):
    lines = ["abseiling/0wR5jVB-WPk_000417_000427 300 0", "zumba/-abc_000001_000011 250 399"]
    (tmp_path / "val.txt").write_text("\n".join(lines))
    records = read_video_list(tmp_path / "val.txt", tmp_path)
    check_refusal(records, 0)
    for record in records:
        film(Path(record.path), record.label)
    check_batch(records)
