"""`segbench leaderboard build`: the whole board from real entries, by the real command."""

from __future__ import annotations

import csv
import datetime as dt
import json
import re
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import segbench as sb
from segbench.board import build as board
from segbench.board.entry import Cost, Digests, Entry, Latency, Method, Published, Training
from segbench.board.write import masks_of, predictions_digest, write_entry
from segbench.errors import SegbenchError
from segbench.masks.encode import encode_mask
from segbench.scoring.stored import read_scores

ROOT = Path(__file__).parents[1]
SHIFTS = {"exact": 0, "near": 3, "near-again": -3, "far": 25}
HOSTILE = "=1+1 <script>alert(1)</script> | `x` [a](http://b) \\input{x} $y$ 50% _z_ & ~^# # head"
FILES = ["README.md", "leaderboard.csv", "leaderboard.json", "leaderboard.tex"]


def make_entry(folder, data, name, shift, *, status="verified", title="", seed=None):
    """References moved sideways, as an entry."""
    dataset = sb.PreparedDataset.open(data / "synthetic-lesions")
    masks = folder / f"masks-{name}"
    masks.mkdir()
    for row in dataset.select("test"):
        moved = np.roll(dataset.read_mask(row), shift, axis=1)
        (masks / f"{row.id}.png").write_bytes(encode_mask(moved, dataset.classes))
    result = sb.evaluate(masks, dataset=dataset.name, data=data)
    read = masks_of(result, masks)
    millions = 2 + abs(shift)
    entry = Entry(
        name=name,
        status=status,
        authors=("us",),
        date=dt.date(2026, 11, 23),
        dataset=dataset.name,
        dataset_version=dataset.version,
        split="test",
        method=Method(title=title or name, description="Moved.", recipe="baselines/shift.toml"),
        training=Training(data="none", seeds=() if seed is None else (seed,)),
        cost=Cost(
            parameters=millions * 1_000_000,
            latencies=(Latency(milliseconds=10.0 * millions, device=f"device {shift}"),),
        ),
        digests=Digests(
            data=result.digest,
            predictions=predictions_digest((i.id, read(i.id)) for i in result.target.items),
        ),
        segbench_version=sb.__version__,
    )
    write_entry(entry, result, read, folder / "results" / dataset.name / name)


def copy_of_a_paper(name="paper", **scores):
    return Entry(
        name=name,
        status="published",
        authors=("A. N. Other",),
        date=dt.date(2026, 11, 23),
        dataset="synthetic-lesions",
        dataset_version="1",
        method=Method(title="A | method", description="Of a paper."),
        training=Training(data="not known"),
        cost=Cost(),
        published=Published(source="a paper, Table 1", protocol="another split", scores=scores),
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory, synthetic):
    folder = tmp_path_factory.mktemp("build")
    for name, shift in SHIFTS.items():
        seed = shift + 3 if name.startswith("near") else None
        make_entry(
            folder, synthetic, name, shift, title=HOSTILE if name == "far" else "", seed=seed
        )
    make_entry(folder, synthetic, "theirs", 1, status="reported")
    of_dataset = folder / "results" / "synthetic-lesions"
    (of_dataset / "paper").mkdir()
    text = copy_of_a_paper(dice=0.957, iou=0.923).model_dump_json()
    (of_dataset / "paper" / "entry.json").write_text(text)
    (of_dataset / "notes.md").write_text("Words of our *own*.\n")
    fold = {"dice": 0.9, "ci95": [0.8, 1.0], "n": 40, "signature": "s", "weights_sha256": "0" * 64}
    folds = {"shift": {str(k): {**fold, "dice": 0.8 + k / 50} for k in range(5)}}
    (of_dataset / "folds.json").write_text(json.dumps(folds))
    return folder / "results"


@pytest.fixture
def results(made, tmp_path):
    """The entries, to build among."""
    shutil.copytree(made, tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture(scope="module")
def built(made, tmp_path_factory):
    """The entries with their board, to read."""
    folder = tmp_path_factory.mktemp("built") / "results"
    shutil.copytree(made, folder)
    board.build(folder)
    return folder


def contents(folder) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_built_twice_the_bytes_are_the_same_wherever_it_runs(results, built, segbench):
    entries = contents(results)
    env = {"TZ": "Asia/Tokyo", "LC_ALL": "C", "COLUMNS": "40", "PYTHONHASHSEED": "7"}
    ran = segbench("leaderboard", "build", "--results", results, env=env)
    assert ran.code == 0, ran.err
    assert contents(results) == contents(built)
    assert {name: contents(results)[name] for name in entries} == entries  # none was touched
    ran = segbench("leaderboard", "build", "--check", cwd=results.parent)
    assert (ran.code, ran.out) == (0, "results: as built\n")


def test_check_names_what_differs_and_changes_nothing(results, segbench):
    board.build(results)
    readme = results / "README.md"
    readme.write_text(readme.read_text().replace("exact", "exactly"))
    (results / "leaderboard.csv").unlink()
    stale = next((results / "plots").iterdir())
    stale.rename(stale.with_name("old@1-test-verified-forest.svg"))
    before = contents(results)
    ran = segbench("leaderboard", "build", "--results", results, "--check")
    assert ran.code == 1
    differing = [
        "README.md",
        "leaderboard.csv",
        f"plots/{stale.name}",
        "plots/old@1-test-verified-forest.svg",
    ]
    for name in differing:
        assert f"{results / name}: differs" in ran.out
    assert len(ran.out.splitlines()) == len(differing)
    assert contents(results) == before
    board.build(results)
    assert board.differences(results) == ((), ())
    assert not (results / "plots" / "old@1-test-verified-forest.svg").exists()


def test_a_plot_of_another_matplotlib_is_not_compared(results):
    board.build(results)
    plot = min((results / "plots").iterdir())
    text = re.sub(r"Matplotlib v[0-9.]+", "Matplotlib v0.1", plot.read_text())
    plot.write_text(text + "<!-- other outlines -->")
    assert board.differences(results) == ((), (f"plots/{plot.name}",))
    plot.write_text("<svg/>")
    assert board.differences(results) == ((f"plots/{plot.name}",), ())


def test_a_changed_entry_shows(results):
    board.build(results)
    shutil.rmtree(results / "synthetic-lesions" / "theirs")
    differing, _ = board.differences(results)
    assert set(FILES) - {"leaderboard.tex"} <= set(differing)
    assert "plots/synthetic-lesions@1-test-reported-forest.svg" in differing
    board.build(results)
    assert not [p.name for p in (results / "plots").iterdir() if "reported" in p.name]


@pytest.mark.parametrize("name", [*FILES, "plots/mine.txt", "plots/mine.svg", "plots"])
def test_nothing_that_no_build_made_is_replaced(results, name, segbench):
    path = results / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine\n")
    ran = segbench("leaderboard", "build", "--results", results)
    assert ran.code == 1
    assert f"not made by a build (1): {path}" in ran.err
    assert path.read_text() == "mine\n"
    assert not (results / ("README.md" if name != "README.md" else "leaderboard.csv")).exists()
    assert not [p for p in results.iterdir() if p.name.startswith(".")]


def test_a_part_is_built_elsewhere(made, tmp_path, segbench):
    ran = segbench("leaderboard", "build", "--results", made, "--dataset", "synthetic-lesions")
    assert ran.code == 1
    assert "--out" in ran.err
    out = tmp_path / "board"
    arguments = [
        "--results",
        made,
        "--dataset",
        "synthetic-lesions",
        "--sort",
        "hd95",
        "--out",
        out,
    ]
    assert segbench("leaderboard", "build", *arguments).code == 0
    text = (out / "README.md").read_text()
    assert "ranked by HD95 (px), mean over images" in text
    link = re.search(r"\[exact\]\(([^)]+)\)", text)
    assert (out / link[1] / "entry.json").exists()
    assert segbench("leaderboard", "build", *arguments, "--check").code == 0
    assert segbench("leaderboard", "build", *arguments[:-4], "--out", out, "--check").code == 1


def test_options_stand_behind_the_command(made, segbench):
    ran = segbench("leaderboard", "--results", made, "build")
    assert ran.code == 2
    assert "--results stands before `build`" in ran.err


def tables(text) -> list[tuple[str, list[list[str]]]]:
    """The tables of a Markdown page, each with the paragraph before it."""
    blocks = text.split("\n\n")
    return [
        (
            before,
            [
                [c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]]
                for line in block.splitlines()
            ],
        )
        for before, block in pairwise(blocks)
        if block.startswith("| ")
    ]


def table(text, begins) -> list[list[str]]:
    """The first table after a paragraph that begins so."""
    return next(rows for before, rows in tables(text) if begins in before)


def stored_dice(scores):
    return next(s for s in scores if str(s.measure).startswith("dice|class:lesion|over:images"))


def test_the_page_shows_tiers_and_the_stored_numbers(built):
    text = (built / "README.md").read_text()
    verified = next(rows for before, rows in tables(text) if "ranked by" in before)
    reported = table(text, "one entry alone")
    assert [row[0] for row in verified[2:]] == ["1", "2", "", "3"]
    names = [row[1].partition("]")[0].removeprefix("[") for row in verified[2:]]
    assert (names[0], {*names[1:3]}, names[3]) == ("exact", {"near", "near-again"}, "far")
    assert [row[1] for row in reported[2:]] == ["[theirs](synthetic-lesions/theirs): theirs"]
    stored = read_scores(built / "synthetic-lesions" / "far")
    score = stored_dice(stored.scores)
    assert verified[-1][2] == f"{score.value:.3f} [{score.ci95[0]:.3f}, {score.ci95[1]:.3f}]"
    others = next(rows for b, rows in tables(text) if b == "Other measures:" and len(rows) == 6)
    assert others[0][1:4] == ["IoU, mean over images", "accuracy, mean over images", "Dice, pooled"]
    assert len(others[0]) == 11
    assert others[-1][0] == "far"
    hd95 = next(
        s for s in stored.scores if str(s.measure).startswith("hd95|class:lesion|over:images")
    )
    assert others[-1][others[0].index("HD95 (px), mean over images")].startswith(
        f"{hd95.value:.2f} ["
    )


def test_the_page_shows_costs_subgroups_seeds_folds_and_papers(built):
    text = (built / "README.md").read_text()
    costs = table(text, "Cost (verified: scored by the maintainers):")
    assert costs[2] == ["exact", "2.00 M", "", "20", "", "device 0", "", "verified"]
    groups = next(rows for b, rows in tables(text) if b.startswith("Subgroups") and len(rows) == 6)
    assert groups[0][1:] == [
        f"size: {size} ({n} images)" for size, n in (("small", 8), ("medium", 7), ("large", 8))
    ]  # of 24 one shows no lesion
    small = read_scores(built / "synthetic-lesions" / "far").subgroups["size"]["small"]
    assert groups[-1][1].startswith(f"{stored_dice(small).value:.3f} [")
    seeds = table(text, "What the seed alone does:")
    assert seeds[2][:2] == ["`baselines/shift.toml`", "2"]
    folds = table(text, "Mean Dice over")
    assert folds[2] == ["`shift`", "0.800", "0.820", "0.840", "0.860", "0.880", "0.840"]
    papers = table(text, "Copied from")
    assert papers[2][1:] == ["0.957", "0.923", "", "another split", "a paper, Table 1"]
    assert papers[2][0].endswith(r"A \| method")
    assert "Words of our *own*." in text


def test_text_of_strangers_stays_text(built):
    text = (built / "README.md").read_text()
    assert "<script" not in text
    assert "\n# head" not in text
    assert r"\[a\]" in text
    for _, rows in tables(text):
        assert len({len(row) for row in rows}) == 1
    tex = (built / "leaderboard.tex").read_text()
    assert "script" not in tex  # titles are not in it
    with (built / "leaderboard.csv").open(encoding="utf-8", newline="") as stream:
        titles = {row["entry"]: row["title"] for row in csv.DictReader(stream)}
    assert titles["far"].startswith("'=1+1 <script>")


def test_the_tables_for_machines(built):
    with (built / "leaderboard.csv").open(encoding="utf-8", newline="") as stream:
        rows = {row["entry"]: row for row in csv.DictReader(stream)}
    assert set(rows) == {*SHIFTS, "theirs", "paper"}
    signature = next(
        name for name in rows["far"] if name.startswith("dice|class:lesion|over:images")
    )
    assert float(rows["exact"][signature]) == 1
    assert rows["far"]["tier"] == "3"
    assert rows["paper"]["published"] == "dice 0.957; iou 0.923"
    content = json.loads((built / "leaderboard.json").read_text())
    section = content["datasets"]["synthetic-lesions"]
    assert {s["status"] for s in section["standings"]} == {"verified", "reported"}
    verified = next(s for s in section["standings"] if s["status"] == "verified")
    first = verified["entries"][0]
    assert (first["name"], first["tier"], first["rank_probabilities"]) == ("exact", 1, [1, 0, 0, 0])
    assert first["scores"][signature]["score"] == 1
    assert first["entry"]["cost"]["parameters"] == 2_000_000
    assert {group["value"] for group in first["subgroups"]} == {"empty", "small", "medium", "large"}
    assert section["published"][0]["published"]["source"] == "a paper, Table 1"
    tex = (built / "leaderboard.tex").read_text()
    assert tex.count(r"\toprule") == tex.count(r"\bottomrule") == 3  # verified, reported, published
    assert r"\% intervals" in tex
    body = tex.replace(r"\{", "").replace(r"\}", "")
    assert body.count("{") == body.count("}")
    for line in tex.splitlines():
        if line.endswith(r"\\"):
            assert line.count(" & ") in {4, 5, 6}


def test_plots(built):
    names = {path.name for path in (built / "plots").iterdir()}
    kinds = {
        "forest",
        "ranks",
        "significance",
        "distributions",
        "pareto-parameters",
        "pareto-latency_ms",
    }
    start = "synthetic-lesions@1-test"
    wanted = {f"{start}-verified-{kind}.svg" for kind in kinds}
    assert names == wanted | {f"{start}-reported-{k}.svg" for k in ("forest", "distributions")}
    for name in names:
        text = (built / "plots" / name).read_text()
        assert "<dc:date>" not in text
        assert "<text" not in text  # outlines need no font
    latency = (built / "plots" / f"{start}-verified-pareto-latency_ms.svg").read_text()
    assert "on different machines" in latency
    text = (built / "README.md").read_text()
    assert all(f"](plots/{name})" in text for name in names)


def test_results_are_as_built(segbench):
    """What is committed equals what the command builds."""
    ran = segbench("leaderboard", "build", "--results", ROOT / "results", "--check")
    assert ran.code == 0, ran.out + ran.err


def test_a_damaged_subgroup_is_refused(results):
    path = results / "synthetic-lesions" / "far" / "scores.json"
    content = json.loads(path.read_text())
    content["subgroups"]["size"]["small"][1]["value"] -= 0.01
    path.write_text(json.dumps(content))
    with pytest.raises(SegbenchError, match="size small, iou"):
        board.build(results)
