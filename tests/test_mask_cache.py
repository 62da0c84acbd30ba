"""The cache of reference masks: right, or not used."""

from __future__ import annotations

import os
import shutil
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

import segbench as package
from segbench import kernels
from segbench.kernels import native, standins
from segbench.masks import cache
from segbench.masks.cache import mask_reader
from segbench.masks.prepared import PreparedDataset
from segbench.masks.runs import runs_of

needs_compiled = pytest.mark.skipif(not kernels.available(), reason="no compiled kernels")
needs_pread = pytest.mark.skipif(not hasattr(os, "pread"), reason="the system has no pread")
both = pytest.mark.parametrize(
    "implementation", [pytest.param(native, marks=needs_compiled), standins], ids=["C", "NumPy"]
)


@both
@given(mask=hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 40)), elements=st.integers(0, 2)))  # fmt: skip
def test_runs_come_back_as_the_mask(implementation, mask):
    runs = runs_of(mask)
    assert (np.diff(runs.ends.astype(int)) > 0).all()
    found = implementation.fill_runs(runs.values, runs.ends, mask.size)
    np.testing.assert_array_equal(found, mask.ravel())
    np.testing.assert_array_equal(runs.mask(), mask)


@both
@pytest.mark.parametrize(
    "ends", [[2, 2, 6], [3, 2, 6], [0, 2, 6], [2, 4, 5], [2, 4, 7], [2, 4, 2**32 - 1]]
)
def test_ends_that_do_not_rise_to_the_size_are_refused(implementation, ends):
    with pytest.raises(ValueError, match="rise"):
        implementation.fill_runs(np.zeros(3, np.uint8), np.array(ends, np.uint32), 6)
    with pytest.raises(ValueError, match="rise"):
        implementation.joint_pairs_of_runs(
            np.zeros(3, np.uint8), np.array(ends, np.uint32), np.zeros(6, np.uint8)
        )


def test_runs_of_other_types_are_refused():
    with pytest.raises(ValueError, match="int64"):
        kernels.fill_runs(np.zeros(1, np.uint8), np.array([6]), size=6)
    with pytest.raises(ValueError, match="2 ends"):
        kernels.fill_runs(np.zeros(1, np.uint8), np.array([3, 6], np.uint32), size=6)


@pytest.fixture
def dataset(tmp_path, synthetic, monkeypatch) -> PreparedDataset:
    """A copy whose masks may be cached at once."""
    monkeypatch.setattr(cache, "SETTLED_NS", 0)
    shutil.copytree(synthetic / "synthetic-lesions", tmp_path / "data" / "synthetic-lesions")
    shutil.rmtree(tmp_path / "data" / "synthetic-lesions" / ".cache", ignore_errors=True)
    return PreparedDataset.open(tmp_path / "data" / "synthetic-lesions")


def reader(dataset):
    return mask_reader(dataset, dataset.select("test"), dataset.digest("test"))


def files(dataset):
    return sorted((dataset.root / ".cache").glob("*"))


def assert_right(dataset, read):
    for i, row in enumerate(dataset.select("test")):
        with Image.open(dataset.root / row.mask) as image:
            np.testing.assert_array_equal(read(i), np.asarray(image))


@pytest.fixture
def decoded(monkeypatch):
    """The ids of the masks whose PNGs were read."""
    ids: list[str] = []
    original = PreparedDataset.read_mask
    monkeypatch.setattr(
        PreparedDataset, "read_mask", lambda self, row: ids.append(row.id) or original(self, row)
    )
    return ids


@needs_pread
def test_masks_are_decoded_once(dataset, decoded):
    rows = dataset.select("test")
    assert_right(dataset, reader(dataset))
    assert sorted(decoded) == sorted(row.id for row in rows)
    assert_right(dataset, reader(dataset))
    assert len(decoded) == len(rows)
    assert len(files(dataset)) == 1


@needs_pread
@pytest.mark.parametrize("keep_times", [False, True], ids=["edited", "edited, old time restored"])
def test_an_edited_mask_is_noticed(dataset, keep_times):
    assert_right(dataset, reader(dataset))
    path = dataset.root / dataset.select("test")[3].mask
    before = path.stat()
    with Image.open(path) as image:
        flipped = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        flipped.save(path, optimize=True)
    path.write_bytes(path.read_bytes().ljust(before.st_size, b"\0")[: max(before.st_size, path.stat().st_size)])  # fmt: skip
    if keep_times:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert_right(dataset, reader(dataset))


@needs_pread
@pytest.mark.parametrize("where", [0, 0.5, 0.99, -1])
def test_a_damaged_cache_is_made_again(dataset, decoded, where):
    reader(dataset)
    (file,) = files(dataset)
    good = file.read_bytes()
    data = bytearray(good)
    data[int(where * len(data)) if where >= 0 else -1] ^= 1
    file.write_bytes(bytes(data))
    decoded.clear()
    assert_right(dataset, reader(dataset))
    assert decoded
    assert file.read_bytes() == good


@needs_pread
@pytest.mark.parametrize("size", [0, 1, 40, 5000])
def test_a_cache_cut_short_is_made_again(dataset, size):
    reader(dataset)
    (file,) = files(dataset)
    good = file.read_bytes()
    file.write_bytes(good[:size])
    assert_right(dataset, reader(dataset))
    assert file.read_bytes() == good


@needs_pread
def test_another_order_or_selection_has_another_cache(dataset):
    assert_right(dataset, reader(dataset))
    rows = dataset.select("test")[::-1]
    read = mask_reader(dataset, rows, dataset.digest("test"))
    np.testing.assert_array_equal(read(0), dataset.read_mask(rows[0]))
    assert len(files(dataset)) == 2


def test_masks_that_just_changed_are_not_cached(dataset, monkeypatch):
    monkeypatch.setattr(cache, "SETTLED_NS", 3600 * 10**9)
    (dataset.root / dataset.select("test")[0].mask).touch()
    assert_right(dataset, reader(dataset))
    assert not (dataset.root / ".cache").exists()


def test_a_folder_that_cannot_be_written_is_read_all_the_same(dataset):
    (dataset.root / ".cache").write_text("a file where the folder would be")
    assert_right(dataset, reader(dataset))


def test_a_failed_write_leaves_nothing(dataset, monkeypatch):
    def full(*_arguments):
        raise OSError("No space left on device")

    monkeypatch.setattr(cache, "_write_to", full)
    assert_right(dataset, reader(dataset))
    assert files(dataset) == []


def test_a_damaged_mask_is_an_error_when_it_is_read(dataset):
    row = dataset.select("test")[2]
    (dataset.root / row.mask).write_bytes(b"no png")
    read = reader(dataset)
    np.testing.assert_array_equal(read(0), dataset.read_mask(dataset.select("test")[0]))
    with pytest.raises(package.SegbenchError, match="unreadable"):
        read(2)


def test_scores_are_the_same_and_check_accepts_the_cache(dataset, segbench, tmp_path):
    predictions = tmp_path / "predictions"
    predictions.mkdir()
    for row in dataset.select("test"):
        Image.fromarray(np.roll(dataset.read_mask(row), 3, axis=1)).save(
            predictions / f"{row.id}.png"
        )
    time.sleep(0.01)
    first, second = (
        package.evaluate(predictions, dataset="synthetic-lesions", data=dataset.root.parent)
        for _ in range(2)
    )
    assert [s.value for s in first.scores] == pytest.approx([s.value for s in second.scores], nan_ok=True)  # fmt: skip
    assert (dataset.root / ".cache").is_dir() == hasattr(os, "pread")
    ran = segbench("check", dataset.root)
    assert ran.code == 0, ran.err
