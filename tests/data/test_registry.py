"""Readers, splits, labelled subsets: small made lists always, official ones where present."""

import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from list_files import KINETICS, touch, ucf_lists, write

from vidssl.core import VideoRecord
from vidssl.data import (
    Splits,
    known_videos,
    label_fraction,
    labelled_subset,
    labelled_videos,
    missing_files,
    open_dataset,
    read_folder,
    read_hmdb51,
    read_images,
    read_kinetics,
    read_label_list,
    read_ucf101,
    read_video_list,
    require_files,
    validation_split,
)
from vidssl.data.stills import images_per_class

# --- videos of which something is known ---------------------------------------------------------


def test_videos_that_a_table_does_not_know_are_left_out_and_named():
    records = [VideoRecord(f"{name}.mp4", 0, name) for name in "abc"]
    assert known_videos(records, ["c", "z", "a"], "has no label") == (
        [records[0], records[2]],
        ["b.mp4: has no label"],
    )
    assert known_videos(records, "abc", "") == (records, [])
    assert known_videos([], "abc", "") == ([], [])
    with pytest.raises(ValueError, match=r"none of 3 videos is known, e\.g\. .a. has no label"):
        known_videos(records, {"z"}, "has no label")


# --- folders ------------------------------------------------------------------------------------


def test_class_folders(tmp_path):
    names = ("wave/b.mp4", "wave/a.avi", "clap/x.MP4", "wave/readme.txt", ".cache/z.mp4")
    records = read_folder(touch(tmp_path, *names))
    expected = [("clap/x", 0, "clap"), ("wave/a", 1, "wave"), ("wave/b", 1, "wave")]
    assert [(r.video_id, r.label, r.class_name) for r in records] == expected
    assert all(r.group == r.video_id for r in records)
    assert records[0].path == str(tmp_path / "clap/x.MP4")


def test_without_labels_any_layout_goes(tmp_path):
    records = read_folder(touch(tmp_path, "a.mp4", "deep/er/b.mp4"), labelled=False)
    assert [(r.video_id, r.label) for r in records] == [("a", -1), ("deep/er/b", -1)]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "holds no video file"),
        (["wave/a.txt", "b.jpg"], "holds no video file"),
        (["a.mp4", "b.mp4", "wave/c.mp4"], r"a\.mp4 and 1 more lie outside class folders"),
        (["train/wave/a.mp4"], r"lies 2 folders deep.*such as .*train"),
        (["wave/a.mp4", "wave/a.avi"], "video 'wave/a' is there twice"),
    ],
)
def test_wrong_layouts(tmp_path, names, message):
    with pytest.raises(ValueError, match=message):
        read_folder(touch(tmp_path, *names))


@pytest.mark.parametrize("reader", [read_folder, read_images])
def test_missing_root(tmp_path, reader):
    with pytest.raises(FileNotFoundError, match=r"root='.*nowhere' is not a folder"):
        reader(tmp_path / "nowhere")


def test_images_flat_and_in_classes(tmp_path):
    flat = read_images(touch(tmp_path / "flat", "b.png", "a.JPG", "c.mp4"))
    assert [(r.video_id, r.label) for r in flat] == [("a", -1), ("b", -1)]
    classes = read_images(touch(tmp_path / "classes", "x/1.png", "y/1.png"))
    assert [(r.video_id, r.label) for r in classes] == [("x/1", 0), ("y/1", 1)]


# --- lists --------------------------------------------------------------------------------------


UCF_TRAIN = "Bowling/v_Bowling_g08_c01.avi 1\r\nYoYo/v_YoYo_g09_c02.avi 2\r\n"
UCF_TEST = "Bowling/v_Bowling_g01_c01.avi\r\nYoYo/v_YoYo_g01_c01.avi\r\n"


def test_ucf101_list_does_not_touch_the_videos(tmp_path):
    lists = ucf_lists(tmp_path, UCF_TRAIN, UCF_TEST)
    record = read_ucf101("/no/where", lists, 1, "train")[1]
    assert record == VideoRecord(
        "/no/where/YoYo/v_YoYo_g09_c02.avi", 1, "YoYo/v_YoYo_g09_c02", "YoYo_g09", "YoYo"
    )
    assert [r.label for r in read_ucf101("/no/where", lists, 1, "test")] == [0, 1]


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("", "trainlist01.txt: lists no video"),
        ("YoYo/v_YoYo_1.avi 2", r"line 1: .* is not <class>/v_<class>_gXX_cYY\.avi"),
        ("\nBowlin/v_Bowlin_g01_c01.avi 1", "line 2: class 'Bowlin' .* did you mean 'Bowling'"),
        (UCF_TRAIN + UCF_TRAIN, "is there twice"),
    ],
)
def test_ucf101_bad_lists(tmp_path, train, message):
    lists = ucf_lists(tmp_path, train, UCF_TEST)
    with pytest.raises(ValueError, match=message):
        read_ucf101("/no/where", lists, 1, "train")


def test_ucf101_bad_arguments(tmp_path):
    lists = ucf_lists(tmp_path, UCF_TRAIN, UCF_TEST, classes="Bowling\n")
    with pytest.raises(ValueError, match=r"classInd\.txt, line 1: 'Bowling' is not '<number>"):
        read_ucf101("/no/where", lists, 1, "train")
    with pytest.raises(ValueError, match="split=4 must be 1, 2 or 3"):
        read_ucf101("/no/where", ucf_lists(tmp_path, UCF_TRAIN, UCF_TEST), 4, "train")
    with pytest.raises(ValueError, match="subset='tset' is unknown; did you mean 'test'"):
        read_ucf101("/no/where", lists, 1, "tset")
    with pytest.raises(FileNotFoundError, match=r"trainlist02\.txt: no such file"):
        read_ucf101("/no/where", lists, 2, "train")


def hmdb_lists(folder: Path) -> Path:
    write(
        folder / "shake_hands_test_split1.txt",
        "#20_Film_shake_hands_u_nm_np1_fr_goo_5.avi 1 \nOther_shake_hands_f_cm_np1_0.avi 2 \n",
    )
    write(
        folder / "wave_test_split1.txt",
        "50_DATES_wave_f_cm_np1_fr_med_0.avi 1 \nX_wave_a_0.avi 0 \nY_wave_a_0.avi 2 \n",
    )
    return folder


def test_hmdb51_counts_classes_by_name_not_by_file_name(tmp_path):
    for name in ("kick_ball", "kick"):
        write(tmp_path / f"{name}_test_split1.txt", f"a_{name}_b.avi 1\n")
    records = read_hmdb51("/no/where", tmp_path, 1, "train")
    assert [(r.label, r.class_name) for r in records] == [(0, "kick"), (1, "kick_ball")]


def test_a_class_of_hmdb51_with_a_list_of_another_split_alone_is_told(tmp_path):
    hmdb_lists(tmp_path)
    write(tmp_path / "jump_test_split2.txt", "a_jump_b.avi 1\n")
    with pytest.raises(FileNotFoundError, match="class 'jump' has a list of another split and no"):
        read_hmdb51("/no/where", tmp_path, 1, "train")


def test_hmdb51(tmp_path):
    train = read_hmdb51("/no/where", hmdb_lists(tmp_path), 1, "train")
    assert [(r.label, r.class_name, r.group) for r in train] == [
        (0, "shake_hands", "#20_Film"),
        (1, "wave", "50_DATES"),
    ]
    assert train[1].path == "/no/where/wave/50_DATES_wave_f_cm_np1_fr_med_0.avi"
    test = read_hmdb51("/no/where", tmp_path, 1, "test")
    assert [r.group for r in test] == ["Other", "Y"]
    assert [r.group for r in read_hmdb51("/no/where", tmp_path, 1, "unused")] == ["X"]
    with pytest.raises(FileNotFoundError, match=r"holds no \*_test_split2\.txt"):
        read_hmdb51("/no/where", tmp_path, 2, "test")
    write(tmp_path / "wave_test_split1.txt", "Y_wave_a_0.avi 3\n")
    with pytest.raises(ValueError, match=r"line 1: .* is not '<file> <0, 1, 2>'"):
        read_hmdb51("/no/where", tmp_path, 1, "test")


def test_kinetics(tmp_path):
    text = KINETICS + "yoga,-abc,7,17,train\narm wrestling,xyz,120,130,train\n"
    records = read_kinetics(write(tmp_path / "train.csv", text), "/no/where")
    assert [(r.label, r.class_name) for r in records] == [(1, "yoga"), (0, "arm wrestling")]
    assert records[1].path == "/no/where/arm wrestling/xyz_000120_000130.mp4"
    assert records[0].group == "-abc"
    assert records[0].video_id == "-abc_000007_000017"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,youtube_id,time_start,time_end\n", "column 'label' is missing"),
        (KINETICS, "lists no video"),
        (KINETICS + "yoga,abc,start,17,train\n", "line 2: times must be seconds"),
        (KINETICS + "yoag,abc,1,17,train\n", "line 2: label 'yoag'; did you mean 'yoga'"),
    ],
)
def test_kinetics_bad_files(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_kinetics(write(tmp_path / "train.csv", text), "/no/where", ["yoga"])


def test_video_list(tmp_path):
    text = "abseiling/0w_000417 300 0\nmy class/b c.avi 12 3\nplain.mkv 2\n"
    records = read_video_list(write(tmp_path / "list.txt", text), "/r")
    assert [(r.path, r.label, r.class_name) for r in records] == [
        ("/r/abseiling/0w_000417.mp4", 0, "abseiling"),
        ("/r/my class/b c.avi", 3, "my class"),
        ("/r/plain.mkv", 2, ""),
    ]
    with pytest.raises(ValueError, match=r"list\.txt, line 2: .* is not '<path> <frames> <label>'"):
        read_video_list(write(tmp_path / "list.txt", "a 1 1\nb x\n"), "/r")
    (tmp_path / "list.txt").write_bytes(b"\x00\x9f\xff\xfe")
    with pytest.raises(ValueError, match="is not a text file"):
        read_video_list(tmp_path / "list.txt", "/r")


def test_missing_files_are_counted_and_named(tmp_path):
    touch(tmp_path, "a/0.mp4")
    records = [VideoRecord(str(tmp_path / f"a/{i}.mp4"), 0, f"a/{i}") for i in range(6)]
    assert missing_files(records) == records[1:]
    require_files(records[:1])
    with pytest.raises(FileNotFoundError, match=r"5 of 6 files are missing: .*1\.mp4, .*, \.\.\."):
        require_files(records)


# --- splits -------------------------------------------------------------------------------------


def class_folders(root: Path, videos: int = 8) -> Path:
    names = [f"{c}/s_{i % 4}_{i}.mp4" for c in ("clap", "wave") for i in range(videos)]
    return touch(root, *names)


def test_folder_split_is_stratified_seeded_and_complete(tmp_path):
    splits = open_dataset("folder", class_folders(tmp_path))
    assert splits.class_names == ["clap", "wave"]
    assert splits.num_classes == 2
    assert Counter(r.class_name for r in splits.test) == {"clap": 2, "wave": 2}
    assert Counter(r.class_name for r in splits.train) == {"clap": 6, "wave": 6}
    assert open_dataset("folder", tmp_path).test == splits.test
    others = [open_dataset("folder", tmp_path, data_seed=seed).test for seed in range(1, 6)]
    assert any(other != splits.test for other in others)


def test_folder_split_by_groups(tmp_path):
    pattern = r"s_(\d)_"
    splits = open_dataset(
        "folder", class_folders(tmp_path), group_pattern=pattern, test_groups=["1", "3"]
    )
    assert {r.group for r in splits.test} == {"1", "3"}
    assert {r.group for r in splits.train} == {"0", "2"}
    drawn = open_dataset("folder", tmp_path, group_pattern=pattern)
    assert len({r.group for r in drawn.test}) == 1
    assert not {r.group for r in drawn.test} & {r.group for r in drawn.train}


@pytest.mark.parametrize("seed", range(8))
def test_every_class_keeps_a_group_to_train_on_however_groups_share_classes(tmp_path, seed):
    """Each class is seen by two people, each person in two classes."""
    names = [f"{c}/p{p % 4}_{c}.mp4" for k, c in enumerate("abcd") for p in (k, k + 1)]
    splits = open_dataset(
        "folder", touch(tmp_path, *names), group_pattern=r"(p\d)_", data_seed=seed
    )
    for side in (splits.train, splits.test):
        assert {record.class_name for record in side} == set("abcd")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"group_pattern": "("}, "is no regular expression"),
        ({"group_pattern": "s_"}, "needs a bracket"),
        ({"group_pattern": r"z(\d)"}, r"s_0_0\.mp4: group_pattern=.* does not match"),
        (
            {"group_pattern": r"s_0_(4)?"},
            r"s_0_0\.mp4: group_pattern=.* finds no group",
        ),
        (
            {"group_pattern": r"s_(\d_\d)", "test_groups": [0]},
            "'0' is no group, and a number: put names in quotes",
        ),
        ({"test_groups": ["clap/s_0_00"]}, "is no group; did you mean 'clap/s_0_0'"),
        (
            {"group_pattern": r"s_(\d)", "test_groups": ["0", "1", "2", "3"]},
            "class 'clap' has no training video",
        ),
        ({"group_pattern": r"(s)_"}, r"class 'clap' has only one video or group \(s\)"),
    ],
)
def test_folder_split_refuses(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        open_dataset("folder", class_folders(tmp_path), **arguments)


def test_a_fold_may_lack_a_class_and_says_so(tmp_path):
    splits = open_dataset("folder", class_folders(tmp_path), test_groups=["clap/s_0_0"])
    assert splits.class_names == ["clap", "wave"]
    assert {record.class_name for record in splits.test} == {"clap"}
    assert splits.caveats == {"untested_classes": ["wave"]}
    skipping = {"test_groups": ["clap/s_0_0"], "missing": "skip", "missing_at_most": 0.5}
    (tmp_path / "wave" / "s_0_0.mp4").unlink()
    assert open_dataset("folder", tmp_path, **skipping).caveats == splits.caveats
    assert open_dataset("folder", tmp_path).caveats == {}


def test_class_with_one_video(tmp_path):
    touch(tmp_path, "clap/a.mp4", "clap/b.mp4", "wave/a.mp4")
    assert len(read_folder(tmp_path)) == 3
    with pytest.raises(ValueError, match=r"class 'wave' has only one video .*add videos of it"):
        open_dataset("folder", tmp_path)


def test_unlabelled_folders_are_all_for_training(tmp_path):
    flat = open_dataset("folder", touch(tmp_path / "flat", "a.mp4", "b.mp4"))
    stills = open_dataset("folder", touch(tmp_path / "stills", "x/a.jpg", "y/b.jpg"))
    for splits in (flat, stills):
        assert [r.label for r in splits.train] == [-1, -1]
        assert splits == Splits(splits.train, [], [], "folder")


def test_open_ucf101_layouts(tmp_path):
    ucf_lists(tmp_path / "ucfTrainTestlist", UCF_TRAIN, UCF_TEST)
    (tmp_path / "UCF-101").mkdir()
    embedded = open_dataset("embedded", tmp_path)
    official = open_dataset(
        "ucf101", tmp_path / "UCF-101", annotations=tmp_path / "ucfTrainTestlist"
    )
    assert (embedded.train, embedded.test) == (official.train, official.test)
    assert official.class_names == ["Bowling", "YoYo"]
    assert (embedded.name, official.name) == ("embedded", "ucf101")


def test_open_ucf101_with_a_shared_group(tmp_path):
    test = UCF_TEST + "YoYo/v_YoYo_g09_c05.avi\n"
    lists = ucf_lists(tmp_path, UCF_TRAIN, test)
    with pytest.raises(
        ValueError,
        match=r"line 3: group 'YoYo_g09' and 0 more are in training and test \(1 of 3 .*, line 2\)",
    ):
        open_dataset("ucf101", tmp_path, annotations=lists)


def test_open_kinetics(tmp_path):
    train = "yoga,a,1,11,train\nzumba,b,1,11,train\n"
    write(tmp_path / "train.csv", KINETICS + train)
    write(tmp_path / "validate.csv", KINETICS + "zumba,c,1,11,val\nyoga,d,1,11,val\n")
    (tmp_path / "val").mkdir()
    splits = open_dataset("kinetics", tmp_path, annotations=tmp_path)
    assert [r.label for r in splits.test] == [1, 0]
    assert splits.test[0].path == str(tmp_path / "val/zumba/c_000001_000011.mp4")
    assert splits.train[0].path == str(tmp_path / "yoga/a_000001_000011.mp4")


def test_open_dataset_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="dataset='ucf-101' is unknown; did you mean 'ucf101'"):
        open_dataset("ucf-101", tmp_path)
    with pytest.raises(FileNotFoundError, match="root='' is not a folder"):
        open_dataset("folder")
    with pytest.raises(FileNotFoundError, match="annotations='' is not a folder"):
        open_dataset("hmdb51", tmp_path)
    with pytest.raises(
        ValueError, match="'ucf101' does not know the option 'test_groups': it belongs to folder"
    ):
        open_dataset("ucf101", tmp_path, test_groups=["g01"])


# --- labelled subsets ---------------------------------------------------------------------------


def grouped_records(groups: int = 5, each: int = 4) -> list[VideoRecord]:
    return [
        VideoRecord(f"{c}{g}{i}", label, f"{c}/{g}_{i}", f"{c}_{g}", c)
        for label, c in enumerate(("clap", "wave"))
        for g in range(groups)
        for i in range(each)
    ]


def test_subsets_are_stratified_seeded_and_nested():
    records = grouped_records()
    five, ten = (labelled_subset(records, count, seed=3) for count in (5, 10))
    assert Counter(r.label for r in five) == {0: 5, 1: 5}
    assert {r.video_id for r in five} < {r.video_id for r in ten}
    assert labelled_subset(records[::-1], 5, seed=3) == five
    assert labelled_subset(records, 5, seed=4) != five


def test_subsets_spread_over_groups():
    for seed in range(5):
        five = labelled_subset(grouped_records(), 5, seed)
        assert len({r.group for r in five}) == 10
        seven = Counter(r.group for r in labelled_subset(grouped_records(), 7, seed))
        assert max(seven.values()) == 2


def test_fractions():
    records = grouped_records()
    quarter = label_fraction(records, 0.25, seed=3)
    assert Counter(r.label for r in quarter) == {0: 5, 1: 5}
    assert quarter == labelled_subset(records, 5, seed=3)
    with pytest.warns(UserWarning, match=r"less than one video in 2 of 2 classes: each gets one"):
        assert len(label_fraction(records, 0.001, seed=3)) == 2
    with pytest.warns(UserWarning, match=r"less than one video in 2 of 2 classes"):
        assert len(label_fraction(records, 0.04, seed=3)) == 2, "0.8 of a video"
    assert len(label_fraction(records, 1.0, seed=3)) == len(records)


def test_subsets_refuse():
    records = grouped_records()
    with pytest.raises(ValueError, match="class 'clap' has 20 videos, per_class=21"):
        labelled_subset(records, 21, 0)
    with pytest.raises(ValueError, match="per_class must be at least 1, got 0"):
        labelled_subset(records, 0, 0)
    for fraction in (0, 1.5):
        with pytest.raises(ValueError, match=r"fraction must be in \(0, 1\]"):
            label_fraction(records, fraction, 0)
    with pytest.raises(ValueError, match="no record has a label"):
        labelled_subset([VideoRecord("a", -1, "a")], 1, 0)


# --- lists of labelled videos -------------------------------------------------------------------


def hmdb_splits(folder: Path) -> Splits:
    return open_dataset("hmdb51", folder, annotations=hmdb_lists(folder / "lists"))


def test_images_are_drawn_from_each_folder_and_stay_unlabelled(tmp_path):
    names = [f"n{k:02}/n{k:02}_{i}.JPEG" for k in range(3) for i in range(6)]
    stills = open_dataset("folder", touch(tmp_path / "train", *names)).train
    drawn = images_per_class(stills, 4, seed=0)
    assert {record.label for record in drawn} == {-1}
    folders = Counter(record.video_id.partition("/")[0] for record in drawn)
    assert folders == {"n00": 4, "n01": 4, "n02": 4}
    assert set(images_per_class(stills, 2, seed=0)) < set(drawn), "sets of one seed are nested"
    with pytest.raises(ValueError, match="'n00' holds 6 images, images_per_class=7 asks for more"):
        images_per_class(stills, 7, seed=0)
    above = open_dataset("folder", tmp_path).train
    assert [r.path for r in images_per_class(above, 4, seed=0)] == [r.path for r in drawn]
    loose = open_dataset("folder", touch(tmp_path / "train", "loose.JPEG")).train
    with pytest.raises(ValueError, match=r"loose\.JPEG: lies in no class folder"):
        images_per_class(loose, 1, seed=0)
    assert images_per_class(grouped_records(), 5, 0) == labelled_subset(grouped_records(), 5, 0)


def test_label_list_keeps_its_order_and_may_draw_on_unused_videos(tmp_path):
    splits = hmdb_splits(tmp_path)
    text = "wave/X_wave_a_0 40 1\nshake_hands/#20_Film_shake_hands_u_nm_np1_fr_goo_5 9 0\n"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        records = read_label_list(write(tmp_path / "list.txt", text), splits)
    assert records == [splits.unused[0], splits.train[0]]
    assert records[0].path == str(tmp_path / "wave/X_wave_a_0.avi")


def test_label_list_names_the_classes_it_lacks(tmp_path):
    list_file = write(tmp_path / "list.txt", "wave/50_DATES_wave_f_cm_np1_fr_med_0 40 1\n")
    with pytest.warns(UserWarning, match=r"list\.txt: names no video of 1 of 2 classes: shake_h"):
        assert len(read_label_list(list_file, hmdb_splits(tmp_path))) == 1


def test_label_list_of_ids_without_folder(tmp_path):
    train = [VideoRecord("p", 0, "abc_000001_000011", "abc", "yoga")]
    list_file = write(tmp_path / "list.txt", "yoga/abc_000001_000011 300 0\n")
    assert read_label_list(list_file, Splits(train, [], ["yoga"], "kinetics")) == train


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wave/Y_wave_a_0 9 1\n", r"in the test set: 1 \(line 1: wave/Y_wave_a_0\); take the list"),
        (
            "wave/X_wave_a_0 9 0\n",
            r"of another label: 1 \(line 1: wave/X_wave_a_0 \(0, here 1\)\); take",
        ),
        ("wave/X_wave_a_0 9 -1\n", r"of another label: 1 \(line 1: wave/X_wave_a_0 \(-1, here 1\)"),
        (
            "".join(f"wave/z{i} 9 1\n" for i in range(4)),
            r"entries not in the data set: 4 \(line 1: wave/z0, line 2: .*z1, .*, \.\.\.\); ",
        ),
        ("wave/X_wave_a_0 9 1\n" * 2, "'wave/X_wave_a_0' is there twice"),
        ("wave/X_wave_a_0.avi,1\n", "line 1: ',' separates the parts of 'wave"),
        ("wave/X_wave_a_0 a\n", "line 1: .* is not '<path> <frames> <label>'"),
        ("", "lists no video"),
    ],
)
def test_label_list_refuses(tmp_path, text, message):
    list_file = write(tmp_path / "list.txt", text)
    with pytest.raises(ValueError, match=message):
        read_label_list(list_file, hmdb_splits(tmp_path))


def test_label_of_a_class_whose_name_begins_alike_is_put_right(tmp_path):
    """As in the published HMDB51 lists, where up to a third of `kick` is labelled `kick_ball`."""
    train = [VideoRecord("", i, f"{c}/a", "", c) for i, c in enumerate(("kick", "kick_ball"))]
    splits = Splits(train, [], ["kick", "kick_ball"], "hmdb51")
    list_file = write(tmp_path / "list.txt", "kick/a 9 1\nkick_ball/a 9 1\n")
    with pytest.warns(
        UserWarning, match=r"1 \(line 1: kick/a \(1, here 0\)\) of 2 entries have the label"
    ):
        assert read_label_list(list_file, splits) == train


def test_label_list_needs_classes(tmp_path):
    list_file = write(tmp_path / "list.txt", "a 9 0\n")
    flat = Splits([VideoRecord("a.mp4", -1, "a")], [], [], "folder")
    with pytest.raises(ValueError, match="the 'folder' data has no classes"):
        read_label_list(list_file, flat)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.txt: no such file"):
        read_label_list(tmp_path / "nowhere.txt", replace(flat, class_names=["x"]))


# --- validation ---------------------------------------------------------------------------------


def test_validation_split_is_stratified_seeded_and_by_group():
    records = grouped_records(groups=10, each=3)
    train, validation = validation_split(records, 0.2, seed=0)
    assert Counter(r.label for r in validation) == {0: 6, 1: 6}
    assert not {r.group for r in train} & {r.group for r in validation}
    assert sorted(train + validation, key=records.index) == records
    again = validation_split(records[::-1], 0.2, seed=0)
    assert again == (train[::-1], validation[::-1])
    assert validation_split(records, 0.2, seed=1)[1] != validation


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5, 0.99])
def test_validation_split_leaves_every_class_on_both_sides(fraction):
    """Groups that several classes share, as sources of HMDB51 do, and of unequal sizes."""
    records = [
        VideoRecord("", label, f"{label}/{g}_{i}", f"g{(g * (label + 1)) % 7}", "abc"[label])
        for label in range(3)
        for g in range(7)
        for i in range(1 + g)
    ]
    for side in validation_split(records, fraction, seed=0):
        assert {r.label for r in side} == {0, 1, 2}


def test_validation_split_with_a_class_of_one_group():
    records = [*grouped_records(groups=4), VideoRecord("", 2, "solo/0", "solo", "solo")]
    with pytest.warns(UserWarning, match="too few groups .* in 1 of 3 classes: solo"):
        train, _ = validation_split(records, 0.25, seed=0)
    assert records[-1] in train


def test_validation_split_refuses():
    with pytest.raises(ValueError, match="no group of 8 videos in 2 groups can be held out"):
        validation_split(grouped_records(groups=1), 0.2, seed=0)
    for fraction in (0, 1):
        with pytest.raises(ValueError, match=r"fraction must be in \(0, 1\)"):
            validation_split(grouped_records(), fraction, seed=0)


def test_validation_split_without_groups_is_by_video():
    records = [VideoRecord(f"{i}", 0, f"{i}") for i in range(10)]
    assert len(validation_split(records, 0.3, seed=0)[1]) == 3


# --- official lists -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dataset", "split", "train", "test", "classes"),
    [
        ("ucf101", 1, 9537, 3783, 101),
        ("ucf101", 2, 9586, 3734, 101),
        ("ucf101", 3, 9624, 3696, 101),
        ("hmdb51", 1, 3570, 1530, 51),
        ("hmdb51", 2, 3570, 1530, 51),
        ("hmdb51", 3, 3570, 1530, 51),
    ],
)
def test_official_counts(shared_data, tmp_path, dataset, split, train, test, classes):
    lists = Path(shared_data, "official_splits", dataset)
    splits = open_dataset(dataset, tmp_path, annotations=lists, split=split)
    assert (len(splits.train), len(splits.test), splits.num_classes) == (train, test, classes)
    assert len(missing_files(splits.train[:10])) == 10


def test_official_video_lists(shared_data):
    lists = Path(shared_data, "official_splits")
    kinetics = read_video_list(lists / "kinetics400/val_videofolder.txt", "/r")
    assert kinetics[0].path == "/r/abseiling/0wR5jVB-WPk_000417_000427.mp4"
    assert len({r.label for r in kinetics}) == 400


def test_official_label_fractions(shared_data):
    root = Path(shared_data, "official_splits")

    def labelled(dataset: str, percent: int) -> tuple[list[VideoRecord], Splits]:
        splits = open_dataset(dataset, shared_data, annotations=root / dataset)
        name = f"{dataset}_train_{percent}_percent_labeled_split_1_rawframes.txt"
        return read_label_list(root / "label_fractions" / dataset / name, splits), splits

    with pytest.warns(UserWarning, match="no video of 1 of 101 classes: CliffDiving"):
        records, splits = labelled("ucf101", 5)
    assert (len(records), set(records) <= set(splits.train)) == (476, True)
    assert len(labelled("ucf101", 50)[0]) == 4768
    with pytest.warns(UserWarning, match="54 .* of 2094 entries have the label of a class whose"):
        records, splits = labelled("hmdb51", 40)
    assert (len(records), len(splits.unused)) == (2094, 1666)
    assert len(set(records) & set(splits.unused)) == 664
    other = open_dataset("hmdb51", shared_data, annotations=root / "hmdb51", split=2)
    name = "hmdb51_train_40_percent_labeled_split_1_rawframes.txt"
    with pytest.raises(ValueError, match="entries in the test set"):
        read_label_list(root / "label_fractions/hmdb51" / name, other)


@pytest.mark.parametrize(("dataset", "classes"), [("ucf101", 101), ("hmdb51", 51)])
def test_official_validation_by_groups(shared_data, dataset, classes):
    lists = Path(shared_data, "official_splits", dataset)
    records = open_dataset(dataset, shared_data, annotations=lists).train
    train, validation = validation_split(records, 0.1, seed=0)
    assert not {r.group for r in train} & {r.group for r in validation}
    assert len({r.label for r in train}) == len({r.label for r in validation}) == classes
    assert 0.09 < len(validation) / len(records) < 0.13


def test_labelled_videos_by_number_by_share_or_all():
    train = [VideoRecord("", i % 2, f"v{i}", f"g{i}") for i in range(20)]
    splits = Splits(train, [], ["a", "b"], "some")
    assert len(labelled_videos(splits, per_class=3)) == 6
    assert len(labelled_videos(splits, fraction=0.2)) == 4
    assert labelled_videos(splits) == train
    with pytest.raises(ValueError, match="give one of them"):
        labelled_videos(splits, per_class=3, fraction=0.2)
