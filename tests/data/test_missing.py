"""Listed videos whose files are not there: refused, or skipped and counted."""

import unicodedata

import pytest
from list_files import KINETICS, touch, ucf_lists, write

from vidssl.core import VideoRecord
from vidssl.data import missing_files, open_dataset, read_label_list, require_files


def kinetics(root, train=10, test=10, absent_train=1, absent_test=2):
    """Lists of two classes; the first so many videos of "yoga" are absent on each side."""
    for side, count, absent in (("train", train, absent_train), ("val", test, absent_test)):
        names = [(c, f"{side}{c}{i}") for c in ("yoga", "zumba") for i in range(count // 2)]
        rows = "".join(f"{c},{name},1,11,{side}\n" for c, name in names)
        write(root / f"{side}.csv", KINETICS + rows)
        files = (f"{side}/{c}/{name}_000001_000011.mp4" for c, name in names[absent:])
        touch(root, *files)
    return root


def opened(root, **options):
    return open_dataset("kinetics", root, annotations=root, **options)


def test_skipped_videos_are_counted_and_named_on_both_sides(tmp_path):
    splits = opened(kinetics(tmp_path), missing="skip")
    assert (len(splits.train), len(splits.test)) == (9, 8)
    first = [f"valyoga{i}_000001_000011" for i in range(2)]
    assert splits.caveats["missing"] == {
        "train": {"listed": 10, "absent": 1, "first": ["trainyoga0_000001_000011"]},
        "test": {"listed": 10, "absent": 2, "first": first},
    }
    assert [r.video_id for r in splits.absent["test"]] == first
    assert missing_files([*splits.train, *splits.test]) == []


def test_refusing_looks_for_no_file_until_videos_are_read(tmp_path):
    splits = opened(kinetics(tmp_path))
    assert (len(splits.train), splits.absent, splits.caveats) == (10, {}, {})
    with pytest.raises(FileNotFoundError, match=r"1 of 10 files are missing.*missing='skip'"):
        require_files(splits.train)


def test_too_many_are_refused_all_the_same(tmp_path):
    kinetics(tmp_path, absent_train=2, absent_test=3)
    told = r"test videos: 3 of 10 files are missing: .*valyoga0.*; missing_at_most=0\.2 allows 2"
    with pytest.raises(FileNotFoundError, match=told):
        opened(tmp_path, missing="skip")
    assert len(opened(tmp_path, missing="skip", missing_at_most=0.3).test) == 7
    with pytest.raises(FileNotFoundError, match=r"training videos: 2 of 10 .* allows 0 to be"):
        opened(tmp_path, missing="skip", missing_at_most=0.0)


def test_a_class_that_loses_all_its_videos_is_refused(tmp_path):
    kinetics(tmp_path, absent_test=5)
    told = r"'yoga' has no test video: the files of all 5 are missing, .*; .* or correct the lists"
    with pytest.raises(ValueError, match=told):
        opened(tmp_path, missing="skip", missing_at_most=0.5)


def test_how_many_classes_lost_all_their_videos_is_told(tmp_path):
    for file in kinetics(tmp_path).glob("val/*/*"):
        file.unlink()
    told = r"class 'yoga' has no test video, nor have 1 more of 2: the files of all 5"
    with pytest.raises(ValueError, match=told):
        opened(tmp_path, missing="skip", missing_at_most=1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"missing": "skipp"}, "missing='skipp' is unknown; did you mean 'skip'"),
        ({"missing": "skip", "missing_at_most": 20}, r"must be a share in \[0, 1\], got 20"),
    ],
)
def test_wrong_options(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        opened(kinetics(tmp_path), **options)


def test_nothing_missing_is_no_caveat(tmp_path):
    root = kinetics(tmp_path, absent_train=0, absent_test=0)
    assert opened(root, missing="skip") == opened(root)
    assert opened(root, missing="skip").fingerprint == opened(root).fingerprint


def test_a_label_list_goes_on_without_skipped_videos(tmp_path):
    splits = opened(kinetics(tmp_path), missing="skip")
    lines = [f"yoga/trainyoga{i}_000001_000011 250 0\n" for i in range(2)]
    lines += ["zumba/trainzumba0_000001_000011 250 1\n"]
    list_file = write(tmp_path / "labels.txt", "".join(lines))
    with pytest.warns(UserWarning, match=r"labels\.txt: 1 of 3 videos are left out, their files"):
        records = read_label_list(list_file, splits)
    assert [r.video_id for r in records] == [line.split()[0].split("/")[1] for line in lines[1:]]
    write(list_file, "yoga/valyoga0_000001_000011 250 0\n")
    with pytest.raises(ValueError, match="entries in the test set: 1"):
        read_label_list(list_file, splits)


# --- what is there instead ----------------------------------------------------------------------


def records_in(folder, *names):
    return [VideoRecord(f"{folder}/{name}", 0, name) for name in names]


@pytest.mark.parametrize("count", [1, 30])
def test_a_file_under_another_name_is_pointed_at(tmp_path, count):
    """Few are looked at one by one, many by listing their folder: both find the same."""
    touch(tmp_path, *(f"YoYo/v_{i}.mp4" for i in range(count)), "Sit_Up/a.avi", "YoYo/dir.avi/x")
    wanted = records_in(tmp_path, *(f"YoYo/v_{i}.avi" for i in range(count)))
    told = rf"{count} of {count} files .*v_0\.mp4 is there: the list calls it v_0\.avi, give it"
    with pytest.raises(FileNotFoundError, match=told):
        require_files(wanted)
    there = records_in(tmp_path, *(f"YoYo/v_{i}.mp4" for i in range(count)))
    assert missing_files([*there, *wanted]) == wanted
    assert missing_files(records_in(tmp_path, "YoYo/dir.avi"))
    with pytest.raises(FileNotFoundError, match=r"folder .*Sit Up is not there, but .*Sit_Up is"):
        require_files(records_in(tmp_path, "Sit Up/a.avi"))
    with pytest.raises(FileNotFoundError, match=r"folder .*Nowhere is not there; check the root"):
        require_files(records_in(tmp_path, "Nowhere/a.avi"))


def test_an_accent_written_the_other_way(tmp_path):
    """As in archives packed on macOS: the same letters, other bytes."""
    touch(tmp_path, unicodedata.normalize("NFD", "café/é.avi"))
    record = records_in(tmp_path, unicodedata.normalize("NFC", "café/é.avi"))
    if missing_files(record):  # some file systems do not tell them apart
        with pytest.raises(FileNotFoundError, match=r"folder .* is not there, but .* is"):
            require_files(record)


def test_links_count_as_what_they_point_at(tmp_path):
    touch(tmp_path, "real/a.mp4")
    (tmp_path / "links").mkdir()
    for i in range(12):
        (tmp_path / f"links/{i}.mp4").symlink_to(tmp_path / ("real/a.mp4" if i else "nowhere"))
    wanted = records_in(tmp_path, *(f"links/{i}.mp4" for i in range(12)))
    assert missing_files(wanted) == wanted[:1]


def test_hmdb51_skips_unused_videos_too(tmp_path):
    for name in ("clap", "wave"):
        text = "".join(f"{i}_{name}_0.avi {i % 3}\n" for i in range(30))
        write(tmp_path / f"{name}_test_split1.txt", text)
        touch(tmp_path, *(f"{name}/{i}_{name}_0.avi" for i in range(1, 30)))
    splits = open_dataset("hmdb51", tmp_path, annotations=tmp_path, missing="skip")
    assert {side: len(gone) for side, gone in splits.absent.items()} == {
        "train": 0,
        "test": 0,
        "unused": 2,
    }
    assert splits.caveats["missing"].keys() == {"unused"}


def test_the_embedded_layout_takes_the_option(tmp_path):
    train = "".join(f"Bowling/v_Bowling_g{i:02d}_c01.mp4 1\n" for i in range(8, 20))
    lists = ucf_lists(
        tmp_path / "ucfTrainTestlist", train, "Bowling/v_Bowling_g01_c01.mp4\n", "1 Bowling"
    )
    videos = [f"UCF-101/Bowling/v_Bowling_g{i:02d}_c01.mp4" for i in (1, *range(9, 20))]
    splits = open_dataset("embedded", touch(tmp_path, *videos), missing="skip")
    assert (len(splits.train), len(splits.test), splits.name) == (11, 1, "embedded")
    assert lists.is_dir()
