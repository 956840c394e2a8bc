"""Something-Something V2 on small lists in its form."""

import json

import pytest
from list_files import touch, write

from vidssl.data import open_dataset
from vidssl.data.readers.something import read_something

LABELS = {"Closing something": "10", "Approaching something with your camera": "0"}


def item(number, template):
    filled = template.replace("[something]", "a cup")
    return {"id": str(number), "label": filled, "template": template, "placeholders": ["a cup"]}


TRAIN = [
    item(7, "Closing [something]"),
    item(8, "Approaching [something] with your camera"),
    item(9, "Closing [something]"),
]
VALIDATION = [item(1, "Approaching [something] with your camera"), item(2, "Closing [something]")]


def lists(folder, prefix="", labels=LABELS, train=TRAIN, validation=VALIDATION):
    for name, content in (("labels", labels), ("train", train), ("validation", validation)):
        write(folder / f"{prefix}{name}.json", json.dumps(content, indent=0))
    return folder


@pytest.mark.parametrize("prefix", ["", "something-something-v2-"])
def test_templates_are_classes_in_the_order_of_their_numbers(tmp_path, prefix):
    splits = open_dataset("something", tmp_path, annotations=lists(tmp_path, prefix))
    assert splits.class_names == ["Approaching something with your camera", "Closing something"]
    assert [(r.video_id, r.label) for r in splits.train] == [("7", 1), ("8", 0), ("9", 1)]
    assert [(r.video_id, r.label) for r in splits.test] == [("1", 0), ("2", 1)]
    assert splits.train[0].path == str(tmp_path / "7.webm")
    assert read_something(tmp_path, tmp_path, "test") == splits.test
    assert splits.caveats == {}


def test_absent_videos_can_be_skipped(tmp_path):
    touch(lists(tmp_path), "7.webm", "8.webm", "1.webm", "2.webm")
    splits = open_dataset(
        "something", tmp_path, annotations=tmp_path, missing="skip", missing_at_most=0.5
    )
    assert splits.caveats["missing"]["train"] == {"listed": 3, "absent": 1, "first": ["9"]}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"train": [*TRAIN, item(7, "Closing [something]")]},
            r"video '7' is there twice, first in",
        ),
        (
            {"validation": [*VALIDATION, TRAIN[0]]},
            r"validation\.json, line .*'7' and 0 more are in",
        ),
        ({"train": [item(7, "Closin [something]")]}, r"train\.json, line 2: no label for 'Closin"),
        ({"train": [{"id": "7"}]}, r"train\.json, line 2: 'template' is missing"),
        (
            {"labels": {"Closing something": "x"}},
            r"labels\.json: 'Closing something' has no number",
        ),
        ({"labels": dict.fromkeys(LABELS, "1")}, r"labels\.json: a number is there twice"),
    ],
)
def test_faults_are_told_by_file_and_line(tmp_path, changed, message):
    with pytest.raises(ValueError, match=message):
        open_dataset("something", tmp_path, annotations=lists(tmp_path, **changed))
