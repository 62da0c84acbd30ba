"""`segbench verify` and `rescore`: what was changed is found, and what changes is shown."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import segbench as sb
from segbench.board import rescore as rescoring
from segbench.board import verify as verifying
from segbench.board.changes import changed_entries
from segbench.board.differences import compare_scores
from segbench.board.entry import read_entry
from segbench.board.method import method_toml, read_method
from segbench.board.rescore import apply_rescored, rescore_entry
from segbench.board.submit import draft_entry, write_draft
from segbench.board.verify import mark_verified, verify_entry
from segbench.errors import Problems, SegbenchError
from segbench.masks.encode import encode_mask
from segbench.scoring import rescore as scoring_rescore

D = "synthetic-lesions"
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def made(tmp_path_factory, synthetic) -> Path:
    """An entry: the references moved by two pixels, the first of them empty."""
    folder = tmp_path_factory.mktemp("verify")
    dataset = sb.PreparedDataset.open(synthetic / D)
    masks = folder / "masks"
    masks.mkdir()
    for i, row in enumerate(dataset.select("test")):
        moved = np.roll(dataset.read_mask(row), 2, axis=1) * np.uint8(i > 0)
        (masks / f"{row.id}.png").write_bytes(encode_mask(moved, dataset.classes))
    method = folder / "method.toml"
    method.write_text(
        method_toml(title="Moved", description="Moved.", authors=("us",), training_data="none")
    )
    draft = draft_entry(
        masks,
        read_method(method),
        name="moved",
        dataset=D,
        data=synthetic,
        results=folder / "results",
        by=("skin",),
    )
    write_draft(draft)
    return draft.folder


@pytest.fixture
def entry(made, tmp_path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(made, tmp_path / "results" / D / "moved"))


def edit(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def edit_rows(folder: Path, change) -> None:
    rows = pd.read_parquet(folder / "rows.parquet")
    changed = change(rows)
    (rows if changed is None else changed).to_parquet(folder / "rows.parquet", index=False)


def problems_of(folder: Path, data: Path | None) -> dict[str, tuple[str, ...]]:
    found = verify_entry(folder, data=data, with_data=data is not None)
    return {kind: tuple(where) for kind, where in found.problems.kinds.items()}


def test_an_entry_is_what_it_claims_with_and_without_data(made, synthetic):
    alone = verify_entry(made, with_data=False)
    assert alone.ok, alone.problems.text()
    (only,) = alone.done
    assert "24 masks are those of the digest and fit the rows" in only
    whole = verify_entry(made, data=synthetic, predictions=made.parents[2] / "masks")
    assert whole.ok, whole.problems.text()
    assert "of 48 rows" in whole.done[1]
    assert not whole.notes


def set_to(*keys, value):
    def change(content):
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value(content[keys[-1]]) if callable(value) else value

    return change


SCORE_EDITS = {
    "score": set_to("scores", 3, "value", value=lambda x: x + 1e-9),
    "interval": set_to("scores", 3, "ci95", 0, value=lambda x: x - 1e-9),
    "interval gone": set_to("scores", 3, "ci95", value=[]),
    "images": set_to("scores", 3, "n", value=lambda n: n - 1),
    "signature": set_to("scores", 3, "signature", value=lambda s: s.replace("|ignore:255", "|ignore:254")),
    "score left out": lambda c: c["scores"].pop(3),
    "score twice": lambda c: c["scores"].append(c["scores"][3]),
    "subgroup": set_to("subgroups", "skin", value=lambda g: dict(list(g.items())[1:])),
    "subgroup's score": lambda c: next(iter(c["subgroups"]["skin"].values()))[0].update(value=0.5),
    "groups": set_to("n_groups", value=23),
    "method of intervals": set_to("interval", "resamples", value=10),
    "data": set_to("split_digest", value="0" * 64),
    "version": set_to("dataset_version", value="2"),
    "fold": lambda c: (c.pop("split"), c.update(fold=0)),
}  # fmt: skip


@pytest.mark.parametrize("what", SCORE_EDITS)
def test_every_value_of_the_scores_is_compared(made, what):
    true = json.loads((made / "scores.json").read_text())
    claimed = json.loads((made / "scores.json").read_text())
    problems = Problems()
    n = compare_scores(claimed, true, problems).n
    assert not problems
    assert n > 3000
    SCORE_EDITS[what](claimed)
    compare_scores(claimed, true, problems)
    assert problems


@pytest.mark.parametrize("what", ["score", "subgroup's score", "data", "fold"])
def test_a_changed_score_is_found_without_data(entry, what):
    edit(entry / "scores.json", SCORE_EDITS[what])
    assert problems_of(entry, None)


@pytest.mark.parametrize("what", ["status", "digest", "data", "fold", "dataset", "date"])
def test_a_changed_entry_is_found_without_data(entry, what):
    changes = {
        "status": {"status": "published"},
        "digest": {"digests": {"data": read_entry(entry).digests.data, "predictions": "0" * 64}},
        "data": {"digests": {"data": "0" * 64, "predictions": read_entry(entry).digests.predictions}},
        "fold": {"split": None, "fold": 1},
        "dataset": {"dataset": "ph2"},
        "date": {"date": "2999-01-01"},
    }  # fmt: skip
    edit(entry / "entry.json", lambda content: content.update(changes[what]))
    assert problems_of(entry, None)


def swap_counts(rows):
    """A better row with the same predicted pixels: wrong ones are called right."""
    i = next(i for i in rows.index[rows["class"] == "lesion"] if min(rows.fp[i], rows.fn[i]) > 9)
    for row, gain in ((i, ("tp", "tn")), (i - 1, ("tn", "tp"))):
        rows.loc[row, list(gain)] += 9
        rows.loc[row, ["fp", "fn"]] -= 9


def drop_sample(rows):
    return rows[2:]


def made_to_follow(folder: Path, change) -> None:
    """What a cheat does: change the rows, and compute every score from them again."""
    edit_rows(folder, change)
    rows = pd.read_parquet(folder / "rows.parquet")
    edit(
        folder / "scores.json",
        lambda c: c.update(n_samples=rows.id.nunique(), n_groups=rows.group.nunique()),
    )
    result = scoring_rescore.evaluate_rows(folder, by=("skin",))
    result.rows().to_parquet(folder / "rows.parquet", index=False)
    (folder / "scores.json").write_text(json.dumps(verifying.scores_json(result), allow_nan=False))


def test_rows_that_all_scores_follow_from_are_compared_one_by_one(entry, synthetic):
    true = pd.read_parquet(entry / "rows.parquet")
    made_to_follow(entry, swap_counts)
    rows = pd.read_parquet(entry / "rows.parquet")
    sample = rows.id[(rows.tp != true.tp).idxmax()]
    assert verifying.read_scores(entry)  # scores and rows agree with each other
    alone = problems_of(entry, None)
    assert not alone  # the mask has as many pixels as the rows say: only the reference tells
    found = problems_of(entry, synthetic)
    assert "row that differs" in found
    assert any(where.startswith(f"{sample} lesion: tp") for where in found["row that differs"])
    assert "score" in found


def test_a_sample_left_out_of_everything_is_found_without_data(entry):
    made_to_follow(entry, drop_sample)
    runs = json.loads((entry / "predictions.json").read_text())
    (entry / "predictions.json").write_text(json.dumps(runs[1:]))
    found = problems_of(entry, None)
    assert found["sample of the split that has no rows"] == (runs[0]["image_id"],)


def test_what_is_said_of_rows_tells_nothing_of_the_references(entry, synthetic):
    """The message names samples and columns; no count of a reference stands in it."""
    true = pd.read_parquet(entry / "rows.parquet")
    edit_rows(entry, lambda rows: rows.__setitem__("iou", rows["iou"] * 0.999))
    text = verify_entry(entry, data=synthetic).problems.text(shown=10**6)
    assert "lesion" in text
    counts = {str(n) for n in true[["tp", "fp", "fn", "tn"]].to_numpy().ravel() if n > 999}
    assert not [n for n in counts if n in text]


@pytest.mark.parametrize("what", ["moved", "left out", "twice", "another size", "foreign"])
def test_a_changed_mask_is_found_without_data(entry, what):
    path = entry / "predictions.json"
    runs = json.loads(path.read_text())
    if what == "moved":
        runs[3], runs[4] = (
            {**runs[3], "segmentation": runs[4]["segmentation"]},
            {**runs[4], "segmentation": runs[3]["segmentation"]},
        )
    elif what == "left out":
        del runs[3]
    elif what == "twice":
        runs.append(runs[3])
    elif what == "another size":
        height, width = runs[0]["segmentation"]["size"]
        runs[0]["segmentation"] = {"size": [height, width + 1], "counts": [height * (width + 1)]}
    else:
        runs.append({**runs[3], "image_id": "SYN999"})
    path.write_text(json.dumps(runs))
    assert problems_of(entry, None)


def test_last_digits_of_another_processor_are_noted(entry, synthetic):
    def nudge(content):
        for score in content["scores"]:
            if score["ci95"][0] is not None:
                score["ci95"][0] *= 1 + 1e-15

    edit(entry / "scores.json", nudge)
    found = verify_entry(entry, data=synthetic)
    assert found.ok, found.problems.text()
    assert any("last digits" in note for note in found.notes)


def test_strange_files_and_links_are_found(entry, tmp_path):
    (entry / "model.pkl").write_bytes(b"\x80\x04.")
    assert problems_of(entry, None)["file that is no part of an entry"] == ("'model.pkl'",)
    (entry / "model.pkl").unlink()
    (tmp_path / "scores.json").write_bytes((entry / "scores.json").read_bytes())
    (entry / "scores.json").unlink()
    (entry / "scores.json").symlink_to(tmp_path / "scores.json")
    assert "link or folder in place of a file" in problems_of(entry, None)
    (entry / "scores.json").unlink()
    assert problems_of(entry, None)["file that is missing"] == ("scores.json",)


def test_other_predictions_are_not_the_entrys(entry, synthetic, tmp_path):
    dataset = sb.PreparedDataset.open(synthetic / D)
    for i, row in enumerate(dataset.select("test")):
        moved = np.roll(dataset.read_mask(row), 2 + (i == 5), axis=1) * np.uint8(i > 0)
        (tmp_path / f"{row.id}.png").write_bytes(encode_mask(moved, dataset.classes))
    shutil.rmtree(tmp_path / "results" / D / "x", ignore_errors=True)
    other = tmp_path / "other"
    other.mkdir()
    for path in tmp_path.glob("*.png"):
        path.rename(other / path.name)
    found = verify_entry(entry, data=synthetic, predictions=other)
    ((kind, where),) = found.problems.kinds.items()
    assert "not the entry's" in kind
    assert list(where) == [dataset.select("test")[5].id]


def test_a_papers_number_needs_its_schema_alone(tmp_path):
    folder = tmp_path / "results" / "ph2" / "paper"
    folder.mkdir(parents=True)
    content = {
        "name": "paper", "status": "published", "authors": ["A"], "date": "2026-11-23",
        "dataset": "ph2", "dataset_version": "1", "method": {"title": "t", "description": "d"},
        "training": {"data": "x"}, "cost": {},
        "published": {"source": "s", "protocol": "p", "scores": {"dice": 0.9}},
    }  # fmt: skip
    (folder / "entry.json").write_text(json.dumps(content))
    assert verify_entry(folder).ok
    with pytest.raises(SegbenchError, match="paper"):
        mark_verified(folder)
    with pytest.raises(SegbenchError, match="paper"):
        rescore_entry(folder)
    content["published"]["scores"]["dice"] = 90
    (folder / "entry.json").write_text(json.dumps(content))
    assert not verify_entry(folder).ok


def test_the_command_lists_marks_and_exits(segbench, entry, synthetic):
    other = Path(shutil.copytree(entry, entry.parent / "other"))
    edit(other / "entry.json", lambda c: c.update(name="other"))
    edit(other / "scores.json", SCORE_EDITS["score"])
    ran = segbench("verify", entry, other, "--without-data", "--json")
    assert ran.code == 1
    found = json.loads(ran.out)["entries"]
    assert [e["ok"] for e in found] == [False, False]  # each has the other's masks
    assert found[0]["problems"] == {"the masks of another entry": ["other"]}
    shutil.rmtree(other)
    ran = segbench("verify", entry, "--data", synthetic, "--mark")
    assert ran.code == 0, ran.out
    assert read_entry(entry).status == "verified"
    assert segbench("verify").code == 2
    assert segbench("verify", entry, "--mark", "--without-data").code == 2


# --- rescore


def test_rescore_of_an_unchanged_entry_changes_nothing(entry, synthetic):
    for source in ("rows", "predictions"):
        found = rescore_entry(entry, data=synthetic, source=source)
        assert found.changes == ()
        assert found.is_current
    assert rescore_entry(entry, data=entry).source == "rows"  # nothing is prepared there


@pytest.mark.parametrize("source", ["rows", "predictions"])
def test_a_changed_measure_is_shown_and_applied(entry, synthetic, source, monkeypatch):
    """As if Dice had been another number in version 0.0.9."""

    def older(content):
        content["segbench_version"] = "0.0.9"
        for score in content["scores"]:
            score["signature"] = score["signature"].replace("v:0.1.0", "v:0.0.9")
            if score["measure"] == "dice" and score["class"] == "lesion":
                score["value"] = score["value"] / 2

    edit(entry / "scores.json", older)
    edit(entry / "entry.json", lambda content: content.update(segbench_version="0.0.9"))
    before = {p.name: p.read_bytes() for p in entry.iterdir()}
    found = rescore_entry(entry, data=synthetic, source=source)
    assert {(c.measure, c.label) for c in found.changes} == {("dice", "lesion")}
    assert all(c.new == pytest.approx(2 * c.old) for c in found.changes)
    assert {p.name: p.read_bytes() for p in entry.iterdir()} == before
    apply_rescored(found)
    now = read_entry(entry)
    (past,) = now.history
    assert past.segbench_version == "0.0.9"
    assert past.scores == {c.old_signature: c.old for c in found.changes}
    assert all(signature.endswith("|v:0.0.9") for signature in past.scores)
    assert now.segbench_version == sb.__version__
    assert (entry / "predictions.json").read_bytes() == before["predictions.json"]
    assert verify_entry(entry, data=synthetic).ok
    monkeypatch.setattr(rescoring, "read_entry", lambda _: found.before)
    apply_rescored(found)  # what it was made from is there
    monkeypatch.undo()
    with pytest.raises(SegbenchError, match="changed meanwhile"):
        apply_rescored(found)


@pytest.mark.parametrize("source", ["rows", "predictions"])
def test_masks_or_rows_put_in_later_are_not_rescored(entry, synthetic, source):
    """A rescored entry keeps its status: it must hold what was submitted."""
    masks = json.loads((entry / "predictions.json").read_text())
    for mask in masks:  # nothing found anywhere
        mask["segmentation"]["counts"] = [int(np.prod(mask["segmentation"]["size"]))]
    (entry / "predictions.json").write_text(json.dumps(masks))
    before = {p.name: p.read_bytes() for p in entry.iterdir()}
    with pytest.raises(SegbenchError, match="its masks are not those that were scored"):
        rescore_entry(entry, data=synthetic, source=source)
    assert {p.name: p.read_bytes() for p in entry.iterdir()} == before


def test_a_new_version_of_the_dataset(segbench, entry, synthetic, tmp_path):
    """Its masks are scored again against the new references; old numbers stay with their version."""
    data = tmp_path / "data"
    shutil.copytree(synthetic / D, data / D, ignore=shutil.ignore_patterns(".cache"))
    info = json.loads((data / D / "dataset.json").read_text())
    info["version"], info["split_digests"]["test"] = "2", "e" * 64
    (data / D / "dataset.json").write_text(json.dumps(info))
    refused = verify_entry(entry, data=data)
    assert "segbench rescore" in refused.problems.text()
    ran = segbench("rescore", entry, "--data", data, "--apply", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["applied"]
    now = read_entry(entry)
    assert (now.dataset_version, now.digests.data) == ("2", "e" * 64)
    (past,) = now.history
    assert past.dataset_version == "1"
    assert any(f"data:{D}@1/test" in signature for signature in past.scores)
    found = verify_entry(entry, data=data)
    assert found.ok, found.problems.text()
    assert any("the card is of 1" in note for note in found.notes)


# --- what a branch changes


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path, made) -> Path:
    """A repository with one entry on main, and a branch."""
    root = tmp_path / "checkout"
    shutil.copytree(made, root / "results" / D / "moved")
    (root / "results" / "README.md").write_text("the board\n")
    git(tmp_path, "init", "-q", "-b", "main", str(root))
    git(root, "add", "-A")
    git(root, "commit", "-qm", "main")
    git(root, "switch", "-qc", "branch")
    return root


def test_a_branch_that_adds_an_entry(checkout, made):
    results = checkout / "results"
    assert changed_entries(results, "main").folders == ()
    new = results / D / "mine"
    shutil.copytree(made, new)
    edit(new / "entry.json", lambda c: c.update(name="mine"))
    for _ in ("before the commit", "after it"):
        found = changed_entries(results, "main")
        assert found.folders == (new,)
        assert not found.problems
        git(checkout, "add", "-A")
        git(checkout, "commit", "-qm", "mine", "--allow-empty")
    (results / "README.md").write_text("the board, anew\n")
    (checkout / "setup.py").write_text("print('mine')\n")
    git(checkout, "add", "-A")
    git(checkout, "commit", "-qm", "more")
    kind = "change outside results/<dataset>/<entry>/"
    assert changed_entries(results, "main").problems.kinds[kind] == [
        "results/README.md",
        "setup.py",
    ]
    edit(new / "entry.json", lambda c: c.update(status="verified"))
    assert "status that maintainers give" in changed_entries(results, "main").problems.kinds


@pytest.mark.parametrize("what", ["change", "remove", "add", "link"])
def test_a_branch_cannot_change_anothers_entry(segbench, checkout, what):
    results = checkout / "results"
    other = results / D / "moved"
    if what == "change":
        edit(other / "entry.json", lambda c: c.update(authors=["me"]))
    elif what == "remove":
        shutil.rmtree(other)
    elif what == "add":
        (other / "notes.html").write_text("<script>")
    else:
        shutil.rmtree(other)
        other.symlink_to(checkout)
    git(checkout, "add", "-A")
    git(checkout, "commit", "-qm", "change")
    found = changed_entries(results, "main")
    assert found.problems
    ran = segbench("verify", "--changed-since", "main", "--without-data", cwd=checkout)
    assert ran.code == 1
    assert "moved" in ran.err


def test_no_git_and_no_such_revision(tmp_path, checkout):
    with pytest.raises(SegbenchError, match="git rev-parse failed"):
        changed_entries(tmp_path, "main")
    for revision in ("nowhere", "--output=x"):
        with pytest.raises(SegbenchError):
            changed_entries(checkout / "results", revision)
    assert not list(tmp_path.rglob("x"))
