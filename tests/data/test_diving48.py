"""Diving48 on small lists in the form of its second version."""

import json

import pytest
from list_files import write

from vidssl.data import open_dataset
from vidssl.data.readers.diving48 import read_diving48

VOCABULARY = [
    ["Back", "15som", "05Twis", "FREE"],
    ["Back", "15som", "15Twis", "FREE"],
    ["Forward", "Dive", "NoTwis", "PIKE"],
]


def dive(name, label):
    return {"vid_name": name, "label": label, "start_frame": 0, "end_frame": 112}


TRAIN = [dive("-a_b_00001", 2), dive("-a_b_00002", 0), dive("c_00001", 1)]
TEST = [dive("-a_b_00003", 1), dive("d_00001", 2), dive("d_00002", 0)]


def lists(folder, vocabulary=VOCABULARY, train=TRAIN, test=TEST):
    named = {"vocab": vocabulary, "V2_train": train, "V2_test": test}
    for name, content in named.items():
        write(folder / f"Diving48_{name}.json", json.dumps(content).replace("}, ", "},\n"))
    return folder


def test_labels_names_and_broadcasts(tmp_path):
    splits = open_dataset("diving48", tmp_path, annotations=lists(tmp_path))
    assert splits.class_names[0] == "Back 15som 05Twis FREE"
    assert splits.num_classes == 3
    assert [(r.label, r.group) for r in splits.train] == [(2, "-a_b"), (0, "-a_b"), (1, "c")]
    assert splits.train[0].path == str(tmp_path / "-a_b_00001.mp4")
    assert read_diving48(tmp_path, tmp_path, "test") == splits.test
    shared = {"test_videos": 3, "shared": 1, "first": ["-a_b_00003"]}
    assert splits.caveats == {"shared_groups": shared}


def test_lists_cut_to_some_classes_count_those(tmp_path):
    cut = {"train": TRAIN[::2], "test": TEST[:2]}
    with pytest.warns(UserWarning, match="has 3 classes, the lists of the split name 2 of them"):
        splits = open_dataset("diving48", tmp_path, annotations=lists(tmp_path, **cut))
    assert [r.label for r in splits.train] == [1, 0]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"train": [*TRAIN, dive("e_00001", 3)]},
            r"V2_train\.json, line 4: label 3 is no number in",
        ),
        (
            {"train": [*TRAIN, dive("e_00001", "1")]},
            r"V2_train\.json, line 4: label '1' is no numb",
        ),
        ({"test": [*TEST, TRAIN[1]]}, r"V2_test\.json, line 4: video_id '-a_b_00002' and 0 more"),
        ({"test": TEST[:2]}, "class 'Back 15som 05Twis FREE' has no test video"),
        ({"vocabulary": [*VOCABULARY, VOCABULARY[0]]}, r"vocab\.json, line 1: .* is there twice"),
        ({"vocabulary": [*VOCABULARY, 4]}, r"vocab\.json, line 1: 4 is no list of words"),
    ],
)
def test_faults_are_told_by_file_and_line(tmp_path, changed, message):
    with pytest.raises(ValueError, match=message):
        open_dataset("diving48", tmp_path, annotations=lists(tmp_path, **changed))
