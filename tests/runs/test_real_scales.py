"""The scales of small real sets: what they open, and that they name nobody's folders."""

import pytest
from tiny_project import REPOSITORY

from vidssl import runs
from vidssl.runs.inputs import open_inputs
from vidssl.runs.parameters import overlaid, scale_file

OPENED = {  # folder, what the user gives beside it, training and test videos, classes
    "real-utd": ("utd_mhad_depth", {}, 431, 430, 27),
    "real-ucf6": ("ucf101_six/videos", {"annotations": "ucf101_six/lists"}, 529, 202, 6),
    "real-ut": ("ut_interaction_set1", {"test_groups": ["3"]}, 54, 6, 6),
}
REAL = list(OPENED)  # a user's own real-NAME.yaml is nobody's fault


def texts(value):
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value] if isinstance(value, str) else [text for part in parts for text in texts(part)]


def test_each_set_is_a_scale():
    assert OPENED.keys() <= set(runs.scale_names(REPOSITORY))


@pytest.mark.parametrize("scale", REAL)
def test_folders_and_lists_are_the_users_to_give(scale):
    assert not [text for text in texts(scale_file(scale, REPOSITORY)) if "/" in text]
    with pytest.raises(runs.ParameterError, match="needs root, the folder of its videos"):
        open_inputs(runs.parameters_for("03_transfer", scale, {}, REPOSITORY))


@pytest.mark.parametrize("scale", REAL)
def test_real_sets_open_as_their_protocol_says(shared_data, scale):
    folder, options, train, test, classes = OPENED[scale]
    told = {"root": f"{shared_data}/{folder}", "validation": 0.0}
    for name, value in options.items():
        value = f"{shared_data}/{value}" if name == "annotations" else value
        told[f"dataset_options.{name}"] = value
    page = runs.declared_parameters(REPOSITORY / "notebooks" / "03_transfer.py")
    params = overlaid(page, runs.parameters_for("03_transfer", scale, told, REPOSITORY))
    splits = open_inputs(params, labelled=True)
    assert (len(splits.train), len(splits.test), splits.num_classes) == (train, test, classes)
    assert not {r.group for r in splits.train} & {r.group for r in splits.test}
    assert splits.caveats == {}
