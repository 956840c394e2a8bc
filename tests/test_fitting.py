"""Sizes fitted to videos of one's own, by the rules of `vidssl.runs.fitting`."""

import numpy as np
import pytest
from tiny_project import REPOSITORY

from vidssl import runs
from vidssl.core import VideoRecord
from vidssl.data import Splits, write_video
from vidssl.runs.fitting import fit_to_data
from vidssl.runs.inputs import open_inputs
from vidssl.runs.parameters import given_names

OWN = {"dataset": "folder"}
CLIPS = {"frames": 8, "frame_stride": 7}


def records(folder, per_class, length=0, part="train"):
    """``per_class`` videos of each class of {name: count}; written where a length is given."""
    found = []
    for label, (name, count) in enumerate(per_class.items()):
        for number in range(count):
            path = folder / name / f"{part}{number}.mp4"
            if length:
                write_video(path, np.zeros((length, 32, 32, 3), np.uint8))
            video_id = f"{name}/{part}{number}"
            found.append(VideoRecord(str(path), label, video_id, video_id, name))
    return found


def splits(folder, per_class, length=0):
    names = list(per_class)
    test = records(folder, dict.fromkeys(names, 1), length, "test")
    return Splits(records(folder, per_class, length), test, names, "folder")


def test_labels_are_no_more_than_the_smallest_class_has(tmp_path, capsys):
    own = splits(tmp_path, {"a": 3, "b": 9})
    assert fit_to_data({**OWN, "videos_per_class": 5}, own, ()) == {"videos_per_class": 3}
    told = capsys.readouterr().out
    assert "fitted to 12 training videos or images of 2 classes: videos_per_class 5 -> 3" in told
    assert "-p NAME VALUE" in told
    assert len(told.splitlines()) == 1
    for kept in (0, 2, 3):
        assert fit_to_data({**OWN, "videos_per_class": kept}, own, ()) == {}
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("dataset", ["folder", "embedded", "ucf101"])
def test_labels_that_a_class_does_not_have_are_refused_by_name(tmp_path, dataset):
    own = splits(tmp_path, {"a": 3, "b": 9})
    params = {"dataset": dataset, "videos_per_class": 5}
    with pytest.raises(
        runs.ParameterError, match=r"videos_per_class=5: class 'a' has 3 .* 3 or less, 0 for all"
    ):
        fit_to_data(params, own, ("videos_per_class",))
    assert fit_to_data({**params, "label_list": "a.txt"}, own, ("videos_per_class",)) == {}


@pytest.mark.parametrize(("videos", "epochs"), [(9, 356), (100, 32), (1600, 2), (9000, 2)])
def test_as_many_images_pass_as_of_the_embedded_data(tmp_path, videos, epochs):
    own = splits(tmp_path, {"a": videos})
    params = {**OWN, "epochs": 2, "batch_images": 8}
    fitted = params | fit_to_data(params, own, ())
    assert fitted["epochs"] == epochs
    assert fit_to_data(params, own, ("epochs",)) == {}
    assert fit_to_data({**params, "epochs": 0}, own, ()) == {}, "steps say how long"
    only = fit_to_data({**params, "max_images": 4}, own, ())
    assert only == {"epochs": 800}


def test_a_schedule_of_steps_stays_one(tmp_path):
    """Pages that train in steps have epochs = 0."""
    assert fit_to_data({**OWN, "epochs": 0}, splits(tmp_path, {"a": 9}), ()) == {}


@pytest.mark.parametrize(
    ("labels", "steps"), [(1, 1000), (8, 1000), (12, 1500), (20, 2000), (0, 2000)]
)
def test_few_labelled_videos_are_passed_a_thousand_times_at_most(tmp_path, labels, steps):
    own = splits(tmp_path, {"a": 20, "b": 20})
    params = {**OWN, "videos_per_class": labels, "steps": 2000, "batch_size": 16}
    assert (params | fit_to_data(params, own, ()))["steps"] == steps


@pytest.mark.parametrize(("length", "stride"), [(1, 1), (8, 1), (15, 2), (20, 2), (49, 6), (64, 7)])
def test_a_clip_fits_into_the_videos(tmp_path, length, stride):
    own = splits(tmp_path, {"a": 2, "b": 2}, length)
    params = {**OWN, **CLIPS}
    assert (params | fit_to_data(params, own, ()))["frame_stride"] == stride
    teachers = {"frames": 8, "global_stride": 8, "locals_count": 4, "tuning_frames": 8}
    fitted = {**OWN, **teachers} | fit_to_data({**OWN, **teachers}, own, ())
    assert fitted["global_stride"] == (8 if length >= 64 else 4)


def test_one_short_and_one_broken_video_do_not_shorten_the_others(tmp_path):
    own = splits(tmp_path, {"a": 6}, 60)
    write_video(tmp_path / "a" / "train0.mp4", np.zeros((3, 32, 32, 3), np.uint8))
    (tmp_path / "a" / "train1.mp4").write_bytes(b"no video")
    assert fit_to_data({**OWN, **CLIPS}, own, ()) == {}


def test_every_fold_of_a_set_gets_one_stride(tmp_path):
    long = records(tmp_path, {"a": 6}, 60)
    short = records(tmp_path, {"b": 6}, 20)
    strides = {
        fit_to_data({**OWN, **CLIPS}, Splits(train, test, ["a", "b"], "folder"), ())["frame_stride"]
        for train, test in ((long, short), (short, long))
    }
    assert strides == {2}


def test_clusters_are_a_tenth_of_what_is_put_together(tmp_path):
    own = splits(tmp_path, {"a": 10}, 20)
    params = {**OWN, "frames": 8, "frame_stride": 2, "dense_step": 1, "num_clusters": 64}
    assert fit_to_data({**params, "level": "clip"}, own, ())["num_clusters"] == 6
    assert fit_to_data({**params, "level": "video"}, own, ())["num_clusters"] == 2


@pytest.mark.parametrize(("classes", "clusters"), [("abc", 2), ("abcdefgh", 4), ("a" * 20, 5)])
def test_clusters_of_videos_are_at_most_half_of_them(tmp_path, classes, clusters):
    names = [f"{name}{place}" for place, name in enumerate(classes)]
    own = splits(tmp_path, dict.fromkeys(names, 2))
    params = {**OWN, "clusters": 5}
    assert (params | fit_to_data(params, own, ()))["clusters"] == clusters


def test_no_more_neighbours_are_looked_at_than_there_are(tmp_path):
    own = splits(tmp_path, {"a": 4, "b": 5})
    params = {**OWN, "recall_at": [1, 5, 20]}
    assert fit_to_data(params, own, ()) == {"recall_at": [1, 5]}
    assert fit_to_data(params, own, ("recall_at",)) == {}


def test_the_embedded_data_and_still_images_keep_the_defaults(tmp_path):
    own = splits(tmp_path, {"a": 3})
    page = runs.declared_parameters(REPOSITORY / "notebooks" / "21_motionfit_motion_model.py")
    assert fit_to_data({**page, "videos_per_class": 0}, own, ()) == {}
    images = [VideoRecord(str(tmp_path / "a.png"), -1, "a", "a")]
    assert fit_to_data({**OWN, **CLIPS}, Splits(images, [], [], "folder"), ()) == {}


def test_every_parameter_that_is_fitted_is_one_of_the_pages():
    declared = {}
    for name in runs.notebook_names(REPOSITORY):
        declared |= runs.declared_parameters(REPOSITORY / "notebooks" / f"{name}.py")
    assert {
        *("videos_per_class", "label_list", "epochs", "max_images", "steps"),
        *("batch_size", "frames", "tuning_frames", "frame_stride", "global_stride", "clips"),
        *("locals_count", "local_stride", "num_clusters", "level", "dense_step"),
        *("clusters", "recall_at"),
    } <= declared.keys()


def test_what_papermill_injects_counts_as_given_even_if_it_is_the_default():
    declared = {"epochs": 2, "size": 32, "lr": 0.1}
    live = {**declared, "size": 16, "In": ["", "epochs = 2\nsize = 32", "# Parameters\nlr = 0.1\n"]}
    assert given_names(live, declared) == {"size", "lr"}
    assert given_names(declared, declared) == frozenset()


def test_one_class_is_enough_for_images_and_too_few_to_tell_apart(tmp_path):
    records(tmp_path, {"only": 4}, 4)
    params = {**OWN, "root": str(tmp_path), "data_seed": 0, "scale": "mini"}
    assert open_inputs(params).num_classes == 1
    with pytest.raises(
        runs.ParameterError, match=r"holds one class folder, 'only': .* two or more"
    ):
        open_inputs(params, labelled=True)


@pytest.mark.parametrize("folder", ["ut_interaction_set1", "utd_mhad_depth", "ucf101_six/videos"])
def test_real_sets_keep_what_fits_them(shared_data, folder):
    """Each class has five training videos, and clips of 50 frames fit into nearly all."""
    page = runs.declared_parameters(REPOSITORY / "notebooks" / "03_transfer.py")
    params = {**page, **OWN, "root": f"{shared_data}/{folder}"}
    changed = fit_to_data(params, open_inputs(params, labelled=True), ()).keys()
    assert changed <= {"steps"}
