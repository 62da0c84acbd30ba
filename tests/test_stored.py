"""Scores folders read back: as they were, or refused for what is wrong with them."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import segbench
from segbench.errors import SegbenchError
from segbench.scoring.files import write_evaluation
from segbench.scoring.stored import read_scores
from segbench.scoring.tally import Policy

N = 24


def masks(seed: int, *, wrong: float, classes: int = 2, n: int = N) -> tuple[dict, dict]:
    """References and predictions that are wrong in a share of the pixels, which varies."""
    rng = np.random.default_rng(7)
    truth = {f"i{k:02d}": np.kron(rng.integers(0, classes, (4, 4)), np.ones((4, 4), int))
             for k in range(n)}  # fmt: skip
    rng = np.random.default_rng(seed)
    guess = {
        name: np.where(rng.random(mask.shape) < wrong * rng.random(), (mask + 1) % classes, mask)
        for name, mask in truth.items()
    }
    return truth, guess


NAMES = ["background", "lesion", "hair"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scores") / "a"
    truth, guess = masks(1, wrong=0.2)
    write_evaluation(segbench.evaluate(guess, references=truth, class_names=NAMES[:2]), folder)
    return folder


@pytest.fixture
def folder(written, tmp_path):
    """The same folder, to damage."""
    shutil.copytree(written, tmp_path / "a")
    return tmp_path / "a"


def edit(folder, **changes):
    path = folder / "scores.json"
    content = json.loads(path.read_text())
    content.update(changes)
    path.write_text(json.dumps({k: v for k, v in content.items() if v != "(drop)"}))


def edit_scores(folder, change):
    content = json.loads((folder / "scores.json").read_text())
    edit(folder, scores=[change(score) for score in content["scores"]])


def edit_rows(folder, change):
    path = folder / "rows.parquet"
    pq.write_table(change(pq.read_table(path)), path)


def with_column(rows, name, change):
    values = change(rows[name].to_pylist())
    index = rows.column_names.index(name)
    return rows.set_column(index, name, pa.array(values, rows.schema.field(name).type))


@pytest.mark.parametrize("classes", [2, 3])
def test_scores_read_back_as_they_were(tmp_path, classes):
    """Two samples are missing, so that their counts belong to no single label map."""
    truth, guess = masks(1, wrong=0.3, classes=classes)
    del guess["i03"], guess["i04"]
    names = NAMES[:classes]
    result = segbench.evaluate(
        guess, references=truth, class_names=names, policy=Policy(missing="worst"), interval="bca"
    )
    write_evaluation(result, tmp_path / "scores")
    stored = read_scores(tmp_path / "scores")
    assert stored.table.class_names == result.table.class_names
    assert stored.table.background == 0
    assert stored.ids == tuple(item.id for item in result.target.items)
    assert np.array_equal(stored.table.missing, result.table.missing)
    for mine, theirs in ((stored.table.counts, result.table.counts),
                         (stored.table.map_counts, result.table.map_counts)):  # fmt: skip
        assert all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))
    by_signature = {score.signature: score for score in result.scores}
    for score in stored.scores:
        assert score.measure == by_signature[score.signature].measure
        assert score.value == pytest.approx(by_signature[score.signature].value, nan_ok=True)
    assert stored.columns["width"] == ("16",) * N
    assert stored.main_label == result.main_label
    assert json.loads((tmp_path / "scores/scores.json").read_text())["interval"] == {
        "method": "bca", "unit": "image", "resamples": 10_000, "seed": 0, "level": 0.95,
    }  # fmt: skip


READING = [
    (shutil.rmtree, r"a: there is no such folder; expected a folder that"),
    (lambda f: (f / "rows.parquet").unlink(), r"holds no rows\.parquet; `segbench evaluate --out"),
    (lambda f: (f / "scores.json").unlink(), r"holds no scores\.json; `segbench evaluate --out"),
    (lambda f: (f / "rows.parquet").write_bytes(b"PAR1 or not"), "not readable as Parquet"),
    (lambda f: (f / "rows.parquet").write_bytes((f / "rows.parquet").read_bytes()[:-40]),
     "not readable as Parquet"),
    (lambda f: (f / "scores.json").write_text('{"a": '), "not readable as JSON"),
    (lambda f: edit(f, schema_version=2), r"schema_version: expected 1, found 2"),
    (lambda f: edit(f, split_digest="(drop)"), r"split_digest: is missing"),
    (lambda f: edit(f, fold=1), "expected either split or fold"),
    (lambda f: edit(f, n_samples=23), r"samples: 23 in scores\.json, 24 in rows\.parquet"),
    (lambda f: edit(f, n_groups=9), r"groups: 9 in scores\.json, 24 in rows\.parquet"),
    (lambda f: edit(f, n_missing=1), r"missing predictions: 1 in scores\.json, 0 in rows"),
    (lambda f: edit_scores(f, lambda s: s | {"value": 0.99}),
     r"score that does not follow from the rows \(\d+\): iou\|class:background\|over:images"),
    (lambda f: edit_scores(f, lambda s: s | {"over": "images"}), "has the signature"),
    (lambda f: edit_rows(f, lambda t: t.drop_columns(["tp"])), "has no column tp"),
    (lambda f: edit_rows(f, lambda t: with_column(t, "tp", lambda v: [v[0] + 1, *v[1:]])),
     "do not sum to the image"),
    (lambda f: edit_rows(f, lambda t: with_column(t, "tp", lambda v: [-1, *v[1:]])), "negative"),
    (lambda f: edit_rows(f, lambda t: with_column(t, "tp", lambda v: [None, *v[1:]])), "has gaps"),
    (lambda f: edit_rows(f, lambda t: with_column(t, "missing", lambda v: [True, *v[1:]])),
     "missing for some classes only"),
    (lambda f: edit_rows(f, lambda t: with_column(t, "dice", lambda v: [0.5, *v[1:]])),
     r"column that does not follow from the counts \(1\): dice\|class:background"),
    (lambda f: edit_rows(f, lambda t: t.slice(1)), "47 rows are not every one of 24 samples"),
    (lambda f: edit_rows(f, lambda t: pa.concat_tables([t, t.slice(0, 2)])), "50 rows are not"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "message"), READING, ids=[m[:40] for _, m in READING])
def test_a_damaged_folder_is_refused(folder, damage, message):
    read_scores(folder)
    damage(folder)
    with pytest.raises(SegbenchError, match=message):
        read_scores(folder)


def test_counts_moved_between_images_are_seen(folder):
    """Every image still adds up, but the scores do not follow any more."""

    def move(rows):
        rows = with_column(rows, "tp", lambda v: [v[0] - 3, v[1], *v[2:]])
        return with_column(rows, "fn", lambda v: [v[0] + 3, v[1], *v[2:]])

    edit_rows(folder, move)
    with pytest.raises(SegbenchError, match="does not follow from the rows"):
        read_scores(folder)


@pytest.fixture
def odd(synthetic, tmp_path) -> tuple[str, ...]:
    """Predictions of a dataset whose columns are called as ours are, say long things, or nothing."""
    shutil.copytree(synthetic / "synthetic-lesions", tmp_path / "data" / "synthetic-lesions")
    path = tmp_path / "data" / "synthetic-lesions" / "samples.csv"
    samples = pd.read_csv(path, dtype=str, keep_default_na=False)
    samples["dice"] = samples["dataset_dice"] = ["high", "low"] * (len(samples) // 2)
    samples["note"] = "x" * 300
    samples["fold"] = ""
    samples.to_csv(path, index=False)
    dataset = segbench.PreparedDataset.open(path.parent)
    for row in dataset.select("test"):
        guess = np.roll(dataset.read_mask(row), 3, axis=1)
        (tmp_path / "p").mkdir(exist_ok=True)
        np.save(tmp_path / "p" / f"{row.id}.npy", guess)
    return ("--predictions", str(tmp_path / "p"), "--data", str(tmp_path / "data"))


def test_what_evaluate_writes_is_read_whatever_the_columns_are(segbench, odd, tmp_path):
    by = [part for column in ("dice", "dataset_dice", "note", "fold") for part in ("--by", column)]
    out = tmp_path / "out"
    ran = segbench("evaluate", *odd, *by, "--out", out)
    assert ran.code == 0, ran.err
    found = read_scores(out)
    assert set(found.subgroups) == {"dice", "dataset_dice", "note", "fold", "size"}
    assert set(found.columns["dice"]) == set(found.columns["dataset_dice"]) == {"high", "low"}
    assert set(found.columns["fold"]) == {"(none)"}


def test_a_link_stays_a_link_and_the_folder_one_is_in_is_refused(segbench, odd, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    assert segbench("evaluate", *odd, "--out", tmp_path / "link").code == 0
    assert (tmp_path / "link").is_symlink()
    assert read_scores(tmp_path / "there").dataset == "synthetic-lesions"
    (tmp_path / "empty").mkdir()
    ran = segbench("evaluate", *odd, "--out", ".", cwd=tmp_path / "empty")
    assert ran.code == 1
    assert "the folder that you are in" in ran.err
