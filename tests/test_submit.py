"""`segbench submit`: an entry from masks, what is refused, and several at the same moment."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segbench as sb
from segbench.board.entry import read_entry
from segbench.board.method import MethodFile, method_toml, read_method
from segbench.board.submit import draft_entry, write_draft
from segbench.board.verify import verify_entry
from segbench.errors import SegbenchError
from segbench.masks.encode import encode_mask
from segbench.scoring.tally import Policy

D = "synthetic-lesions"


def write_masks(folder: Path, data: Path, shift: int, *, scale: int = 1) -> Path:
    """The references moved sideways by some pixels (and made smaller)."""
    dataset = sb.PreparedDataset.open(data / D)
    folder.mkdir()
    for row in dataset.select("test"):
        moved = np.roll(dataset.read_mask(row), shift, axis=1)[::scale, ::scale]
        (folder / f"{row.id}.png").write_bytes(encode_mask(moved, dataset.classes))
    return folder


@pytest.fixture(scope="module")
def method(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("method") / "method.toml"
    path.write_text(
        method_toml(
            title="Moved",
            description='References "moved"\nby a few pixels.',
            authors=("A. Person", "B. Persón"),
            training_data="none",
            licence="CC-BY-4.0",
            code="https://example.org/code",
        )
    )
    return path


@pytest.fixture(scope="module")
def masks(tmp_path_factory, synthetic) -> Path:
    return write_masks(tmp_path_factory.mktemp("masks") / "near", synthetic, 2)


def draft(predictions, method, data, results, name="moved", **options):
    return draft_entry(
        predictions,
        read_method(method),
        name=name,
        dataset=D,
        data=data,
        results=results,
        by=options.pop("by", ()),
        **options,
    )


def test_from_masks_to_a_verified_entry_by_the_real_commands(
    segbench, masks, method, synthetic, tmp_path
):
    given_ = (
        "--predictions",
        masks,
        "--dataset",
        D,
        "--data",
        synthetic,
        "--name",
        "moved",
        "--by",
        "kind",
    )
    results = tmp_path / "results"
    shown = segbench("submit", *given_, "--method", method, "--results", results, "--dry-run")
    assert shown.code == 0, shown.err
    assert '"status": "reported"' in shown.out
    assert "nothing was written" in shown.out
    assert not results.exists()

    made = segbench("submit", *given_, "--method", method, "--results", results)
    assert made.code == 0, made.err
    folder = results / D / "moved"
    assert os.listdir(results / D) == ["moved"]
    assert sorted(os.listdir(folder)) == [
        "entry.json", "predictions.json", "rows.parquet", "scores.json",
    ]  # fmt: skip
    assert f"git add {folder}" in made.out
    assert "pull request" in made.out
    entry = read_entry(folder)
    assert entry.status == "reported"
    assert entry.authors == ("A. Person", "B. Persón")
    assert str(entry.links.code) == "https://example.org/code"

    verified = segbench("verify", folder, "--data", synthetic, "--predictions", masks)
    assert verified.code == 0, verified.out
    assert "as it claims" in verified.out
    assert "are the entry's" in verified.out

    again = segbench("submit", *given_, "--method", method, "--results", results)
    assert again.code == 1
    assert "exists" in again.err
    scores = sb.evaluate(masks, dataset=D, data=synthetic)
    stored = json.loads((folder / "scores.json").read_text())["scores"]
    assert {s["signature"]: s["value"] for s in stored} == {
        s.signature: s.value for s in scores.scores
    }


def test_a_pipe_and_ci_are_never_asked(segbench, masks, synthetic):
    ran = segbench("submit", "--predictions", masks, "--dataset", D, "--data", synthetic)
    assert ran.code == 1
    assert "missing: --name, --method" in ran.err
    assert tomllib.loads(ran.err[ran.err.index("authors") : ran.err.index("\nexpected --name")])


def test_the_template_is_printed_and_refused_unfilled(segbench, tmp_path):
    ran = segbench("submit", "--template")
    assert ran.code == 0
    path = tmp_path / "method.toml"
    path.write_text(ran.out)
    with pytest.raises(SegbenchError, match=r"authors.*\n?.*") as refused:
        read_method(path)
    for key in ("authors", "method.title", "method.description", "training.data"):
        assert key in str(refused.value)


@pytest.mark.parametrize("ci", ["", "true"])
def test_a_person_on_a_terminal_is_asked(masks, synthetic, tmp_path, ci):
    here, there = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "segbench", "submit", "--predictions", masks, "--dataset", D,
         "--data", synthetic, "--by", "kind"],
        stdin=there, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=tmp_path, env={**os.environ, "CI": ci},
    )  # fmt: skip
    os.close(there)
    answers = ("by-hand", "A. Person, B. Person", "Drawn", "By hand.", "none", "", "", "", "")
    os.write(here, "".join(f"{answer}\n" for answer in answers).encode())
    out, err = process.communicate(timeout=120)
    os.close(here)
    if ci:
        assert process.returncode == 1
        assert "missing: --name, --method" in err
        assert not os.listdir(tmp_path)
        return
    assert process.returncode == 0, out + err
    entry = read_entry(tmp_path / "results" / D / "by-hand")
    assert entry.authors == ("A. Person", "B. Person")
    assert entry.method.title == "Drawn"
    assert read_method(tmp_path / "by-hand.method.toml").training.data == "none"


def test_the_entry_is_its_own_masks_whatever_form_they_came_in(masks, method, synthetic, tmp_path):
    """0/255 in a zip gives the same entry as class ids in a folder."""
    dataset = sb.PreparedDataset.open(synthetic / D)
    packed = tmp_path / "masks.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for row in dataset.select("test"):
            moved = np.roll(dataset.read_mask(row), 2, axis=1)
            archive.writestr(
                f"masks/{row.id}_pred.png", encode_mask(moved * np.uint8(255), dataset.classes)
            )
    one = draft(masks, method, synthetic, tmp_path)
    two = draft(packed, method, synthetic, tmp_path, suffix="_pred")
    assert one.predictions == two.predictions
    assert one.entry == two.entry
    assert one.evaluation.form == two.evaluation.form == "class ids"


def test_incomplete_and_wrongly_sized_masks_are_refused(masks, method, synthetic, tmp_path):
    partial = tmp_path / "partial"
    partial.mkdir()
    first, *rest = sorted(masks.iterdir())
    for path in rest:
        (partial / path.name).write_bytes(path.read_bytes())
    with pytest.raises(SegbenchError, match=rf"missing predictions.*\(1\): {first.stem}"):
        draft(partial, method, synthetic, tmp_path)
    with pytest.raises(SegbenchError, match="every sample"):
        draft(partial, method, synthetic, tmp_path, policy=Policy(missing="worst"))
    small = write_masks(tmp_path / "small", synthetic, 0, scale=2)
    with pytest.raises(SegbenchError, match="wrong size"):
        draft(small, method, synthetic, tmp_path)
    made = draft(small, method, synthetic, tmp_path, policy=Policy(resize="nearest"))
    assert made.entry.method.commands == ("segbench submit --resize nearest",)
    write_draft(made)
    found = verify_entry(made.folder, data=synthetic)
    assert found.ok, found.problems.text()


def test_the_same_masks_are_one_entry(masks, method, synthetic, tmp_path):
    results = tmp_path / "results"
    write_draft(draft(masks, method, synthetic, results))
    copied = tmp_path / "copied"
    copied.mkdir()
    for path in masks.iterdir():  # other bytes, the same pixels
        (copied / path.name).write_bytes(path.read_bytes())
    with pytest.raises(SegbenchError, match=r"same masks are the entry .*moved.*A\. Person"):
        draft(copied, method, synthetic, results, name="mine")
    about = results / D / "moved" / "entry.json"
    content = json.loads(about.read_text())
    about.write_text(json.dumps({**content, "dataset_version": "0", "segbench_version": "0.0.1"}))
    with pytest.raises(SegbenchError, match="same masks"):  # an entry of older versions too
        draft(copied, method, synthetic, results, name="mine")
    about.write_text("{}")  # a faulty entry keeps nobody out
    draft(copied, method, synthetic, results, name="mine")


def test_only_the_entry_of_the_same_name_is_replaced(masks, method, synthetic, tmp_path):
    results = tmp_path / "results"
    first = draft(masks, method, synthetic, results)
    write_draft(first)
    with pytest.raises(SegbenchError, match="exists"):
        draft(masks, method, synthetic, results)
    with pytest.raises(SegbenchError, match="exists"):
        write_draft(first)
    other = write_masks(tmp_path / "other", synthetic, 5)
    second = draft(other, method, synthetic, results, replace=True)
    write_draft(second, replace=True)
    assert read_entry(first.folder) == second.entry
    assert os.listdir(results / D) == ["moved"]
    (results / D / "thesis").mkdir()
    (results / D / "thesis" / "thesis.tex").write_text("mine")
    with pytest.raises(SegbenchError):
        draft(masks, method, synthetic, results, name="thesis", replace=True)
    (first.folder / "notes.txt").write_text("mine")
    with pytest.raises(SegbenchError, match=r"notes\.txt"):
        write_draft(second, replace=True)
    assert (first.folder / "notes.txt").exists()


@pytest.mark.parametrize("name", ["../out", "a/b", "", ".hidden", "Upper", "con", "x" * 65, "-x\n"])
def test_names_that_are_no_folder_of_their_own_are_refused(
    masks, method, synthetic, tmp_path, name
):
    with pytest.raises(SegbenchError):
        draft(masks, method, synthetic, tmp_path / "results", name=name)
    assert not os.listdir(tmp_path)


RACER = """
import json, shutil, sys, time
from pathlib import Path
from segbench.board import submit
from segbench.board.entry import Entry
from segbench.errors import SegbenchError

look = submit.refuse_twin
# a long moment between the look at the others and the rename: without the lock all would pass
submit.refuse_twin = lambda *given: (look(*given), time.sleep(0.3))

source, results, name, digest, start = sys.argv[1:]
about = json.loads((Path(source) / "entry.json").read_text())
about["name"] = name
about["digests"]["predictions"] = digest * 64
about["authors"] = [digest]

def fill(made):
    for path in Path(source).iterdir():
        shutil.copy(path, made)
    (made / "entry.json").write_text(json.dumps(about))

print("ready", flush=True)
while not Path(start).exists():
    time.sleep(0.001)
try:
    submit.place_entry(Path(results) / about["dataset"] / name, Entry.model_validate(about), fill)
    print("made", digest)
except SegbenchError as error:
    print("refused", error)
"""


@pytest.mark.parametrize("what", ["one name", "one digest", "different"])
def test_submissions_at_the_same_moment_lose_none(masks, method, synthetic, tmp_path, what):
    """Five processes at once: of one name, and of the same masks, exactly one is made, whole."""
    first = draft(masks, method, synthetic, tmp_path / "first")
    write_draft(first)
    results, start = tmp_path / "results", tmp_path / "start"
    processes = []
    for i in range(5):
        name = "same" if what == "one name" else f"name-{i}"
        digest = "a" if what == "one digest" else "abcde"[i]
        command = (sys.executable, "-c", RACER, first.folder, results, name, digest, start)
        processes.append(subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True))
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    start.touch()
    said = [process.communicate(timeout=60)[0].split() for process in processes]
    made = [words[1] for words in said if words[0] == "made"]
    assert len(made) == (5 if what == "different" else 1)
    assert sum(words[0] == "refused" for words in said) == 5 - len(made)
    folders = sorted(p.name for p in (results / D).iterdir())
    assert len(folders) == len(made)
    assert {read_entry(results / D / name).authors[0] for name in folders} == set(made)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('authers = ["x"]\n{}', "authers (do you mean authors?"),
        ("{}[method2]\n", "method2 (do you mean method?"),
        ("{}\n[links2]\npaper = 1\n", "links2"),
        ("{}".replace("{}", "{}") + "\n[cost.latency]\n", "cost"),
        ('weights_sha256 = "abc"\n{}', "weights_sha256"),
        ("{}\n[[", "not readable as TOML"),
        ("x = " + "[" * 5000 + "\n{}", "not readable as TOML"),
    ],
)
def test_method_files_are_strict(method, tmp_path, change, message):
    path = tmp_path / "method.toml"
    path.write_text(change.format(method.read_text()))
    with pytest.raises(SegbenchError) as refused:
        read_method(path)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "cost",
    [
        {"parameters": -1},
        {"parameters": 10**30},
        {"training_seconds": 10.0},
        {"training_seconds": 1.0, "training_kwh": 100.0, "training_machine": "x"},
        {"training_seconds": float("inf"), "training_machine": "x"},
        {"latencies": [{"milliseconds": 0, "device": "x"}]},
        {"latencies": [{"milliseconds": float("nan"), "device": "x"}]},
    ],
)
def test_impossible_costs_are_refused(method, cost):
    content = tomllib.loads(method.read_text())
    MethodFile.model_validate(content)
    with pytest.raises(ValueError, match="cost"):
        MethodFile.model_validate({**content, "cost": cost})


@given(st.text(min_size=1, max_size=30, alphabet=st.characters(exclude_categories=("Cs",))))
@settings(max_examples=200, deadline=None)
def test_a_template_holds_any_text(text):
    made = tomllib.loads(method_toml(title=text, authors=(text,), code=text))
    assert made["method"]["title"] == text
    assert made["authors"] == [text]
    assert made["links"]["code"] == text
