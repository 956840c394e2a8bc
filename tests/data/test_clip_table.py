from functools import partial

import numpy as np
import pytest

from vidssl import files
from vidssl.data import clip_table
from vidssl.data.clip_table import ClipTable, RowFile, load_clip_table


def table(order=slice(None)):
    """Clips of 10 frames, one each 5 frames: three of video a, two of video b."""
    columns = (np.array(["a", "a", "a", "b", "b"]), np.array([0, 5, 10, 0, 5]))
    names, start = (column[order] for column in columns)
    return ClipTable(names, start, start + 10, np.arange(5)[order])


def test_rows_are_found_by_video_and_time_whatever_their_order():
    for order in (slice(None), [4, 2, 0, 3, 1]):
        found = table(order)
        rows = found.rows_at(["b", "a"], np.array([[9.0, 6.0], [14.0, 8.0]]))
        assert found.values[rows].tolist() == [[4, 3], [2, 1]]


def test_of_two_equally_near_rows_the_earlier_is_taken():
    assert table().rows_at(["a"], np.array([[7.5, 12.5]])).tolist() == [[0, 1]]


def test_unknown_videos_and_times_have_no_row():
    found = table().rows_at(["a", "c"], np.array([[-1.0, 20.0, 20.1], [5.0, 5.0, 5.0]]))
    assert found.tolist() == [[-1, 2, -1], [-1, -1, -1]]


def test_files_come_back_and_bad_ones_are_named(tmp_path):
    path = table().save(tmp_path / "sub" / "labels.npz", "label", clusters=5)
    found, about = load_clip_table(path, "label")
    assert about == {"clusters": 5}
    assert found.video_id.tolist() == table().video_id.tolist()
    assert found.values.tolist() == [0, 1, 2, 3, 4]
    assert [file.name for file in path.parent.iterdir()] == ["labels.npz"]
    with pytest.raises(FileNotFoundError, match=r"no table of clips at .*absent\.npz"):
        load_clip_table(tmp_path / "absent.npz", "label")
    with pytest.raises(ValueError, match=r"labels\.npz is not a table of clips with 'feature'"):
        load_clip_table(path, "feature")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="is not a table of clips"):
        load_clip_table(path, "label")


def test_columns_of_several_lengths():
    with pytest.raises(ValueError, match="columns must have one entry a clip"):
        ClipTable(np.array(["a"]), np.zeros(2), np.ones(2), np.zeros(2))


def many(count=7):
    rng = np.random.default_rng(0)
    names = np.array([f"video {i}" for i in range(count)])
    start = np.arange(count)
    return ClipTable(names, start, start + 4, rng.random((count, 3), dtype=np.float32))


def lies_on_disk(array):
    while array is not None and not isinstance(array, np.memmap):
        array = array.base
    return array is not None


@pytest.mark.parametrize("about", [{}, {"note": "é" * 100}])
def test_large_values_stay_on_disk(about, tmp_path, monkeypatch):
    path = many().save(tmp_path / "features.npz", "feature", **about)
    read, _ = load_clip_table(path, "feature")
    monkeypatch.setattr(files, "MAPPED", 10)
    mapped, told = load_clip_table(path, "feature")
    assert (lies_on_disk(read.values), lies_on_disk(mapped.values)) == (False, True)
    np.testing.assert_array_equal(mapped.values, many().values)
    assert told == about
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="is not a table of clips"):
        load_clip_table(path, "feature")


def test_tables_of_earlier_versions_are_read(tmp_path, monkeypatch):
    """Those were compressed, so they cannot be mapped."""
    monkeypatch.setattr(files, "MAPPED", 10)
    columns = {name: getattr(many(), name) for name in ("video_id", "start", "stop")}
    np.savez_compressed(tmp_path / "old.npz", feature=many().values, about="{}", **columns)
    found, _ = load_clip_table(tmp_path / "old.npz", "feature")
    np.testing.assert_array_equal(found.values, many().values)


def test_rows_are_gathered_on_disk():
    gathered = RowFile()
    assert len(gathered) == 0
    parts = [np.full((n, 2, 3), n, dtype=np.float64) for n in (1, 3, 2)]
    for part in parts:
        gathered.add(part)
    assert len(gathered) == 6
    assert lies_on_disk(gathered.rows())
    assert gathered.rows().dtype == np.float32
    np.testing.assert_array_equal(gathered.rows(), np.concatenate(parts))


def test_a_full_disk_is_said_where_rows_are_gathered(monkeypatch):
    monkeypatch.setattr(clip_table, "TemporaryFile", partial(open, "/dev/full", "wb"))
    with pytest.raises(OSError, match=r"rows of features cannot be kept below .*TMPDIR"):
        RowFile().add(np.ones((2, 3)))
    assert RowFile().rows().shape == (0,)
