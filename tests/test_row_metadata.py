"""Rows say with which options they were measured; a number is never relabelled."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import segbench as sb
from segbench.board.rescore import apply_rescored, rescore_entry
from segbench.board.verify import verify_entry
from segbench.errors import SegbenchError
from segbench.measures import parse
from segbench.scoring.files import MEASURE, ROWS, SCORES, write_evaluation
from segbench.scoring.rescore import evaluate_rows

D = "synthetic-lesions"


@pytest.fixture
def entry(tmp_path, board_results) -> Path:
    folder = tmp_path / "results" / D / "far"
    shutil.copytree(board_results / D / "far", folder)
    return folder


@pytest.fixture(scope="module")
def wide(synthetic, board_results, tmp_path_factory) -> Path:
    """The same masks, measured with a tolerance of 10 pixels."""
    folder = tmp_path_factory.mktemp("wide") / "scores"
    masks = board_results.parent / "masks-far"
    options = sb.Options(tolerance=10)
    write_evaluation(
        sb.evaluate(masks, dataset=D, data=synthetic, options=options, by=["skin"]), folder
    )
    return folder


def without_metadata(path: Path) -> None:
    rows = pq.read_table(path)
    fields = [field.remove_metadata() for field in rows.schema]
    pq.write_table(rows.cast(pa.schema(fields)), path)


def test_each_column_of_values_says_what_it_is(wide):
    schema = pq.read_schema(wide / ROWS)
    said = {field.name: parse((field.metadata or {})[MEASURE.encode()].decode()) for field in schema
            if MEASURE.encode() in (field.metadata or {})}  # fmt: skip
    assert said["nsd"].tolerance_px == 10
    assert {"dice", "iou", "hd95", "nsd", "boundary_iou"} <= said.keys()
    head = json.loads((wide / SCORES).read_text())
    measured = {
        s["measure"] for s in head["scores"] if s["over"] == "images" and s["class"] != "all"
    }
    assert said.keys() == measured


def test_scored_from_rows_it_is_left_out_not_relabelled(wide):
    again = evaluate_rows(wide)
    keys = {score.measure.key for score in again.scores}
    assert not {"nsd", "boundary_f1"} & keys
    assert "hd95" in keys  # no tolerance in it
    assert any(
        line == "measured with other options, left out: boundary_f1, nsd" for line in again.notes
    )


@pytest.mark.parametrize("metadata", ["kept", "removed", "of tolerance 2"])
def test_the_forged_entry_of_tolerance_10(entry, wide, synthetic, metadata):
    """Its surface Dice is higher than the masks earn; the digests of the masks are right."""
    true = json.loads((entry / SCORES).read_text())
    shutil.copy(wide / ROWS, entry / ROWS)
    forged = (wide / SCORES).read_text().replace("tolerance_px:10", "tolerance_px:2")
    (entry / SCORES).write_text(forged)
    if metadata == "removed":
        without_metadata(entry / ROWS)
    if metadata == "of tolerance 2":
        relabel(entry / ROWS)
    alone = verify_entry(entry, with_data=False)
    scored = verify_entry(entry, data=synthetic)
    assert not scored.ok
    if metadata == "kept":
        assert "column measured with other options" in alone.problems.text()
        return
    assert alone.ok  # its files agree with each other, and yet
    assert "score" in scored.problems.text()
    assert not (metadata == "removed" and alone.proven)
    found = json.loads((entry / SCORES).read_text())
    assert score_of(found, "nsd") > score_of(true, "nsd")


def score_of(head: dict, key: str) -> float:
    return next(s["value"] for s in head["scores"] if s["measure"] == key and s["over"] == "images")


def relabel(path: Path) -> None:
    rows = pq.read_table(path)
    fields = [
        field.with_metadata({k: v.replace(b"tolerance_px:10", b"tolerance_px:2") for k, v in (field.metadata or {}).items()})
        for field in rows.schema
    ]  # fmt: skip
    pq.write_table(rows.cast(pa.schema(fields)), path)


def test_rows_of_an_earlier_version_are_proven_by_the_masks_alone(entry, synthetic, segbench):
    without_metadata(entry / ROWS)
    alone = segbench("verify", entry, "--without-data")
    assert alone.code == 0, alone.out
    assert f"{entry}: NOT PROVEN" in alone.out
    assert "do not say with which options they were measured" in alone.out
    assert verify_entry(entry, data=synthetic).proven
    with pytest.raises(SegbenchError, match="not proven"):
        rescore_entry(entry, source="rows")
    found = rescore_entry(entry, data=synthetic)
    assert (found.changes, found.is_current) == ((), False)  # only the rows are written anew
    apply_rescored(found)
    assert verify_entry(entry, with_data=False).proven
    assert rescore_entry(entry, data=synthetic).is_current
