"""Entries of the leaderboard: written, scored again from their own files, and refused when changed."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest

import segbench
from segbench.board.entry import Cost, Digests, Entry, Method, Training, read_entry
from segbench.board.verify import verify_entry
from segbench.board.write import (
    coco_json,
    masks_of,
    predictions_digest,
    write_entry,
)
from segbench.errors import SegbenchError
from segbench.masks.encode import encode_mask
from segbench.masks.labels import LabelClass
from segbench.masks.tables import read_table

ROOT = Path(__file__).parents[1]
REAL = sorted((ROOT / "results").glob("*/*/entry.json"))


@pytest.fixture(scope="module")
def written(tmp_path_factory, synthetic):
    """Predictions that are the references moved by two pixels, one of them empty, as an entry."""
    folder = tmp_path_factory.mktemp("board")
    dataset = segbench.PreparedDataset.open(synthetic / "synthetic-lesions")
    masks = folder / "masks"
    masks.mkdir()
    for i, row in enumerate(dataset.select("test")):
        moved = np.roll(dataset.read_mask(row), 2, axis=1) * np.uint8(i > 0)
        (masks / f"{row.id}.png").write_bytes(encode_mask(moved, dataset.classes))
    result = segbench.evaluate(masks, dataset=dataset.name, data=synthetic)
    read = masks_of(result, masks)
    entry = Entry(
        name="moved",
        status="verified",
        authors=("us",),
        date=dt.date(2026, 11, 23),
        dataset=dataset.name,
        dataset_version=dataset.version,
        split="test",
        method=Method(title="Moved", description="References moved by two pixels."),
        training=Training(data="none"),
        cost=Cost(parameters=1_500_000, flops=2_000_000_000),
        digests=Digests(
            data=result.digest,
            predictions=predictions_digest((i.id, read(i.id)) for i in result.target.items),
        ),
        segbench_version=segbench.__version__,
    )
    target = folder / "results" / dataset.name / "moved"
    write_entry(entry, result, read, target)
    return target, synthetic, entry, result


def test_an_entry_holds_what_it_claims(written):
    folder, data, entry, result = written
    assert sorted(p.name for p in folder.iterdir()) == [
        "entry.json", "predictions.json", "rows.parquet", "scores.json",
    ]  # fmt: skip
    assert read_entry(folder) == entry
    assert verify_entry(folder, data=data).ok
    again = segbench.evaluate(folder / "predictions.json", dataset=entry.dataset, data=data)
    assert [s.value for s in again.scores] == pytest.approx(
        [s.value for s in result.scores], nan_ok=True
    )


@pytest.mark.parametrize("what", ["a mask", "a score", "a digest"])
def test_what_was_changed_is_found(written, tmp_path, what):
    source, data, entry, _ = written
    folder = tmp_path / entry.dataset / entry.name
    folder.mkdir(parents=True)
    for path in source.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    if what == "a mask":
        lines = json.loads((folder / "predictions.json").read_text())
        lines[1]["segmentation"] = {
            "size": lines[1]["segmentation"]["size"],
            "counts": [int(np.prod(lines[1]["segmentation"]["size"]))],
        }
        (folder / "predictions.json").write_text(json.dumps(lines))
    elif what == "a score":
        scores = json.loads((folder / "scores.json").read_text())
        scores["scores"][0]["value"] += 1e-9
        (folder / "scores.json").write_text(json.dumps(scores))
    else:
        about = json.loads((folder / "entry.json").read_text())
        about["digests"]["data"] = "0" * 64
        (folder / "entry.json").write_text(json.dumps(about))
    assert not verify_entry(folder, data=data).ok


def test_the_schema_is_strict(written, tmp_path):
    source, _, entry, _ = written
    about = json.loads((source / "entry.json").read_text())
    folder = tmp_path / entry.name
    folder.mkdir()
    for change, message in (
        ({"autors": ["x"]}, "unknown key"),
        ({"status": "sota"}, "status"),
        ({"authors": []}, "authors"),
        ({"schema_version": 2}, "schema_version"),
        ({"name": "another"}, "in a folder called"),
    ):
        (folder / "entry.json").write_text(json.dumps({**about, **change}))
        with pytest.raises(SegbenchError, match=message):
            read_entry(folder)


def test_masks_as_coco_come_back_with_empty_ones():
    rng = np.random.default_rng(0)
    masks = {"a": rng.integers(0, 3, (7, 5), np.uint8), "b": np.zeros((4, 6), np.uint8)}
    classes = [
        LabelClass(id=i, name=n, color=(0, 0, 0)) for i, n in enumerate(("background", "x", "y"))
    ]
    submission = read_table(coco_json(masks.items(), classes).encode(), "p.json", origin="p")
    assert submission.ids == {"a", "b"}
    for name, mask in masks.items():
        decoded = submission.decode(name, mask.shape, any_size=False, threshold=0.5)
        np.testing.assert_array_equal(np.array(decoded.values)[decoded.codes], mask)


def test_a_folder_of_something_else_is_not_replaced(written, tmp_path):
    _, data, entry, result = written
    folder = tmp_path / entry.name
    folder.mkdir()
    (folder / "thesis.tex").write_text("mine")
    with pytest.raises(SegbenchError, match=r"thesis\.tex"):
        write_entry(entry, result, lambda _: np.zeros((1, 1), np.uint8), folder)
    assert (folder / "thesis.tex").exists()
    assert data.exists()


@pytest.mark.parametrize("path", REAL, ids=lambda p: f"{p.parts[-3]}/{p.parts[-2]}")
def test_published_entries_follow_the_schema(path):
    entry = read_entry(path.parent)
    assert entry.dataset == path.parts[-3]
    files = ["entry.json", "predictions.json", "rows.parquet", "scores.json"]
    if entry.status == "published":
        files = files[:1]
    assert sorted(p.name for p in path.parent.iterdir()) == files


@pytest.mark.xdist_group("real")
@pytest.mark.parametrize(
    "path",
    [p for p in REAL if p.parts[-3] == "ph2" and (p.parent / "scores.json").exists()],
    ids=lambda p: p.parts[-2],
)
def test_published_ph2_entries_score_what_they_claim(ph2, path):
    found = verify_entry(path.parent, data=ph2)
    assert found.ok, found.problems.text()
