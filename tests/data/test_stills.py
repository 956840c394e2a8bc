import json

import numpy as np
import pytest

from vidssl.data import ImageDataset, open_dataset, read_image
from vidssl.data import stills as module
from vidssl.data.stills import SOURCES, make_stills, still
from vidssl.data.textures import PHOTOGRAPHS, photo_files


@pytest.mark.parametrize("source", SOURCES)
def test_a_folder_of_stills_is_a_data_set_of_images(tmp_path, source):
    folder = make_stills(tmp_path / "made", source=source, count=5, seed=3, side=48)
    splits = open_dataset("folder", folder)
    assert [len(splits.train), len(splits.test)] == [5, 0]
    assert ImageDataset(splits.train, side=40)[0]["image"].shape == (3, 40, 40)
    for number, record in enumerate(splits.train):
        expected = still(source, number, seed=3, side=48)
        assert expected.shape == (48, 64, 3)
        np.testing.assert_array_equal(read_image(record.path), expected)


@pytest.mark.parametrize("source", SOURCES)
def test_images_differ_by_number_and_seed_and_are_not_flat(source):
    pictures = [still(source, number, seed=seed) for number, seed in [(0, 0), (9, 0), (0, 1)]]
    for i, picture in enumerate(pictures):
        assert picture.std() > 8
        assert np.abs(picture - pictures[i - 1].astype(int)).mean() > 5


def test_a_smaller_count_is_the_start_of_a_larger_one(tmp_path):
    small, large = (
        make_stills(tmp_path / str(count), source="dead_leaves", count=count, side=16)
        for count in (3, 6)
    )
    for path in small.glob("*.png"):
        assert path.read_bytes() == (large / path.name).read_bytes()
    assert len(list(large.glob("*.png"))) == 6


def test_photographs_come_in_turn_and_none_of_the_test_scenes(tmp_path):
    folder = make_stills(tmp_path / "made", source="photographs", count=1, side=16)
    used = json.loads((folder / "stills.json").read_text())["photographs"]
    assert used == list(photo_files("train"))
    assert not set(used) & set(PHOTOGRAPHS["test"])


def test_a_stopped_call_goes_on_and_a_finished_folder_is_left_alone(tmp_path, monkeypatch):
    wanted = {"source": "dead_leaves", "count": 4, "side": 16}
    whole = make_stills(tmp_path / "whole", **wanted)
    drawn = []

    def stop_at_two(source, number, **options):
        if number == 2 and not drawn.count(2):
            drawn.append(2)
            raise KeyboardInterrupt
        drawn.append(number)
        return still(source, number, **options)

    monkeypatch.setattr(module, "still", stop_at_two)
    with pytest.raises(KeyboardInterrupt):
        make_stills(tmp_path / "made", **wanted)
    (tmp_path / "made" / ".00002.png.17.part").write_bytes(b"half")
    made = make_stills(tmp_path / "made", **wanted)
    assert drawn == [0, 1, 2, 2, 3], "what was there is not drawn again"
    make_stills(made, **wanted)
    assert len(drawn) == 5
    assert not list(made.glob(".*.part"))
    for path in whole.glob("*.png"):
        assert path.read_bytes() == (made / path.name).read_bytes()


def test_wrong_requests_are_named(tmp_path):
    with pytest.raises(ValueError, match="did you mean 'photographs'"):
        make_stills(tmp_path / "x", source="photograph", count=1)
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        make_stills(tmp_path / "x", source="dead_leaves", count=0)
    with pytest.raises(ValueError, match="side must be at least 8, got 4"):
        make_stills(tmp_path / "x", source="dead_leaves", count=1, side=4)
    assert not (tmp_path / "x").exists()


def test_other_files_are_never_mixed_with_stills(tmp_path):
    folder = make_stills(tmp_path / "made", source="dead_leaves", count=1, side=16)
    with pytest.raises(FileExistsError, match=r"holds other files \(count\)"):
        make_stills(folder, source="dead_leaves", count=2, side=16)
    own = tmp_path / "own"
    own.mkdir()
    (own / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="holds other files"):
        make_stills(own, source="dead_leaves", count=1)
    assert [p.name for p in own.iterdir() if not p.name.startswith(".")] == ["holiday.jpg"]
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="is a file, not a folder"):
        make_stills(tmp_path / "file", source="dead_leaves", count=1)
