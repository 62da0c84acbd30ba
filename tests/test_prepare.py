"""Conversion into the mask format: exact, atomic, repeatable; bad sources are refused whole."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segbench
from segbench.catalog.cards import read_dataset
from segbench.errors import SegbenchError
from segbench.prepare.run import Request, prepare

CARD = """
schema_version = 1
name = "cells"
version = "1"
title = "Cells"
task = "semantic"
description = "Drawn for a test."
citation = "None."
[[classes]]
id = 0
name = "background"
color = [0, 0, 0]
[[classes]]
id = 1
name = "cell"
color = [0, 200, 0]
[[sources]]
kind = "manual"
instructions = "Ask the test."
[layout]
id = 'C\\d'
image = "{id}/{id}_img/{id}.*"
mask = "{id}/{id}_mask/{id}_mask.bmp"
[mask]
kind = "one-bit"
[splits]
method = "by hand"
group = "each image"
[licence]
name = "mine"
terms = "none"
"""
N = 6
SIZES = [(20 + i, 30 - i) for i in range(N)]


def quiet(*_: object) -> None:
    pass


def mask_of(i: int) -> np.ndarray:
    height, width = SIZES[i]
    return np.add.outer(np.arange(height), np.arange(width)) % (i + 2) == 0


def make_source(folder: Path) -> Path:
    """Six samples: BMP, PNG and JPEG images, one with spaces in a folder above."""
    root = folder / "Cell images v1"
    rng = np.random.default_rng(0)
    for i, (height, width) in enumerate(SIZES):
        image = Image.fromarray(rng.integers(0, 255, (height, width, 3), np.uint8))
        ending = [".bmp", ".png", ".jpg"][i % 3]
        where = root / f"C{i}" / f"C{i}_img"
        where.mkdir(parents=True)
        image.save(where / f"C{i}{ending}")
        (root / f"C{i}" / f"C{i}_mask").mkdir()
        Image.fromarray(mask_of(i)).save(root / f"C{i}" / f"C{i}_mask" / f"C{i}_mask.bmp")
    (root / "Readme.txt").write_text("hello")
    return folder


def make_card(folder: Path, source: Path | None = None, card: str = CARD) -> Path:
    """A card folder; with a source, the splits pin its files."""
    own = folder / "cells"
    own.mkdir(parents=True)
    (own / "card.toml").write_text(card)
    lines = ["id,split,fold,group,image_sha256,mask_sha256"]
    for i in range(N):
        pins = ["", ""]
        if source is not None:
            files = sorted(source.rglob(f"C{i}.*")) + sorted(source.rglob(f"C{i}_mask.bmp"))
            pins = [hashlib.sha256(f.read_bytes()).hexdigest() for f in files]
        lines.append(f"C{i},{['train', 'val', 'test'][i // 2]},{i % 5},g{i},{pins[0]},{pins[1]}")
    (own / "splits.csv").write_text("\n".join(lines) + "\n")
    return own


@pytest.fixture
def source(tmp_path):
    return make_source(tmp_path / "source")


@pytest.fixture
def cells(tmp_path, source):
    return read_dataset(make_card(tmp_path / "cards", source))


def run(dataset, data: Path, source: Path, **options) -> segbench.PreparedDataset:
    request = Request(dataset=dataset, data=data, source=str(source), jobs=2, **options)
    return prepare(request, progress=quiet)[0]


def contract_digest(root: Path, rows: list[dict[str, str]]) -> str:
    """The digest as the contract words it, with nothing of ours."""
    lines = []
    for row in rows:
        rgb = np.asarray(Image.open(root / row["image"]).convert("RGB"))
        ids = np.asarray(Image.open(root / row["mask"]))
        digests = [hashlib.sha256(array.tobytes()).hexdigest() for array in (rgb, ids)]
        lines.append(" ".join([row["id"], row["width"], row["height"], *digests]))
    return hashlib.sha256("".join(f"{line}\n" for line in sorted(lines)).encode()).hexdigest()


def test_the_prepared_folder_is_the_contracts(tmp_path, cells, source):
    made = run(cells, tmp_path / "data", source)
    root = tmp_path / "data" / "cells"
    assert made.root == root
    assert sorted(p.name for p in root.iterdir()) == [
        "dataset.json",
        "images",
        "masks",
        "samples.csv",
    ]
    info = json.loads((root / "dataset.json").read_text())
    assert info["schema_version"] == 1
    assert info["classes"][1] == {"id": 1, "name": "cell", "color": [0, 200, 0]}
    assert info["ignore_id"] == 255
    assert info["counts"]["samples"] == N
    for key in ("name", "version", "title", "task", "licence", "citation", "source"):
        assert key in info
    rows = list(csv.DictReader((root / "samples.csv").read_text().splitlines()))
    assert list(rows[0]) == ["id", "split", "fold", "group", "width", "height", "image", "mask"]
    for i, row in enumerate(rows):
        mask = Image.open(root / row["mask"])
        assert mask.mode == "P"
        assert (root / row["mask"]).read_bytes()[24] == 8  # bit depth
        assert mask.getpalette()[:6] == [0, 0, 0, 0, 200, 0]
        np.testing.assert_array_equal(np.asarray(mask), mask_of(i))
        assert (int(row["height"]), int(row["width"])) == SIZES[i] == np.asarray(mask).shape
        original = next(source.rglob(f"C{i}.*"))
        kept = root / row["image"]
        if original.suffix == ".bmp":
            assert kept.suffix == ".png"
            pair = (np.asarray(Image.open(p)) for p in (kept, original))
            np.testing.assert_array_equal(*pair)
        else:
            assert kept.read_bytes() == original.read_bytes()
    assert info["content_digest"] == contract_digest(root, rows)
    for split, digest in info["split_digests"].items():
        assert digest == contract_digest(root, [r for r in rows if r["split"] == split])


def test_load_is_lazy_and_gives_what_the_masks_are(tmp_path, cells, source):
    run(cells, tmp_path / "data", source)
    samples = segbench.load("cells", "val", data=tmp_path / "data")
    assert len(samples) == 2
    sample = samples[1]
    assert sample.id == "C3"
    assert sample.image.shape == (*SIZES[3], 3)
    assert sample.image.dtype == sample.mask.dtype == np.uint8
    np.testing.assert_array_equal(sample.mask, mask_of(3))
    assert [s.id for s in samples[:1]] == ["C2"]
    roles = {r: [s.id for s in segbench.load("cells", r, fold=4, data=tmp_path / "data")]
             for r in ("train", "val", "test")}  # fmt: skip
    assert roles == {"test": ["C4"], "val": ["C0", "C5"], "train": ["C1", "C2", "C3"]}


@pytest.mark.parametrize("form", ["zip", "tar", "deeper", "inner"])
def test_every_way_to_give_the_source_makes_the_same_dataset(tmp_path, cells, source, form):
    given = source
    if form in {"zip", "tar"}:
        kind = {"zip": "zip", "tar": "xztar"}[form]
        given = Path(shutil.make_archive(str(tmp_path / "packed"), kind, source))
    elif form == "deeper":
        given = tmp_path / "a" / "b"
        shutil.copytree(source, given / "c")
    elif form == "inner":
        given = source / "Cell images v1"
    digest = run(cells, tmp_path / "plain", source).info["content_digest"]
    assert run(cells, tmp_path / "data", given).info["content_digest"] == digest


def test_preparing_again_does_nothing_and_force_does_it_again(tmp_path, cells, source):
    data = tmp_path / "data"
    first = run(cells, data, source)
    stamp = (first.root / "dataset.json").stat().st_mtime_ns
    request = Request(dataset=cells, data=data, source=str(source))
    assert prepare(request, progress=quiet)[1] is False
    assert (first.root / "dataset.json").stat().st_mtime_ns == stamp
    (first.root / "masks" / "C1.png").unlink()
    again = run(cells, data, source, force=True)
    assert again.info == first.info
    assert sorted(p.name for p in data.iterdir()) == ["cells"]


def refused(dataset, data: Path, source: Path, **options) -> str:
    with pytest.raises(SegbenchError) as caught:
        run(dataset, data, source, **options)
    left = [p for p in data.iterdir() if p.name != ".downloads"] if data.exists() else []
    assert left == [], "nothing half-made is left"
    return str(caught.value)


def test_a_partial_source_needs_the_flag(tmp_path, cells, source):
    shutil.rmtree(source / "Cell images v1" / "C4")
    message = refused(cells, tmp_path / "data", source)
    assert "5 of 6" in message
    assert "C4" in message
    assert "--partial" in message
    made = run(cells, tmp_path / "data", source, partial=True)
    assert made.info["counts"] == {
        "samples": 5, "expected": 6, "train": 2, "val": 2, "test": 1,
    }  # fmt: skip
    with pytest.raises(SegbenchError, match="holds 5 of 6 samples"):
        run(cells, tmp_path / "data", source)


def test_a_whole_split_of_a_partial_copy_has_the_whole_copys_digest(tmp_path, cells, source):
    whole = run(cells, tmp_path / "whole", source)
    shutil.rmtree(source / "Cell images v1" / "C0")
    part = run(cells, tmp_path / "part", source, partial=True)
    assert part.digest("test") == whole.digest("test")
    assert part.digest("train") != whole.digest("train")
    assert part.info["content_digest"] != whole.info["content_digest"]


def test_a_changed_file_is_not_the_pinned_one(tmp_path, cells, source):
    path = next(source.rglob("C2.jpg"))
    Image.fromarray(np.zeros((*SIZES[2], 3), np.uint8)).save(path)
    message = refused(cells, tmp_path / "data", source)
    assert "not the pinned file (1)" in message
    assert "C2.jpg" in message
    assert "--unpinned" in message
    assert len(run(cells, tmp_path / "data", source, unpinned=True).rows) == N


def test_all_faulty_samples_are_listed(tmp_path, source):
    unpinned = read_dataset(make_card(tmp_path / "cards"))
    Image.fromarray(np.zeros((9, 9), bool)).save(next(source.rglob("C1_mask.bmp")))
    Image.fromarray(np.full(SIZES[3], 90, np.uint8)).save(next(source.rglob("C3_mask.bmp")))
    next(source.rglob("C4.png")).write_bytes(b"not a picture")
    message = refused(unpinned, tmp_path / "data", source)
    assert "faulty sample (3)" in message
    for words in ("mask is 9x9, its image 29x21", "grey levels 90", "no picture that is read"):
        assert words in message


def test_two_copies_in_one_source_are_refused(tmp_path, cells, source):
    shutil.copytree(source / "Cell images v1", source / "copy")
    assert "two files for" in refused(cells, tmp_path / "data", source)


def test_sources_that_are_none(tmp_path, cells, source):
    assert "no such file" in refused(cells, tmp_path / "data", tmp_path / "nothing.rar")
    (tmp_path / "empty").mkdir()
    message = refused(cells, tmp_path / "data", tmp_path / "empty")
    assert "none of the 6 samples" in message
    (source / "Cell images v1" / "C0").rename(source / "Cell images v1" / "x")
    for path in sorted((source / "Cell images v1" / "x").rglob("C0*"), reverse=True):
        path.rename(path.with_name(path.name.replace("C0", "C9")))
    (source / "Cell images v1" / "x").rename(source / "Cell images v1" / "C9")
    assert "splits.csv does not know (1): c9" in refused(cells, tmp_path / "data", source)


def test_without_a_source_the_instructions_are_printed(tmp_path, cells):
    with pytest.raises(SegbenchError, match="Ask the test"):
        prepare(Request(dataset=cells, data=tmp_path / "data"), progress=quiet)


def test_a_folder_of_something_else_is_left_alone(tmp_path, cells, source):
    (tmp_path / "data" / "cells").mkdir(parents=True)
    (tmp_path / "data" / "cells" / "thesis.docx").write_text("mine")
    with pytest.raises(SegbenchError, match="no prepared dataset"):
        run(cells, tmp_path / "data", source, force=True)
    assert (tmp_path / "data" / "cells" / "thesis.docx").read_text() == "mine"


def test_killed_at_any_moment_it_leaves_no_dataset_and_runs_again(tmp_path, source):
    """A real process is killed while it converts; then the same command succeeds."""
    cards = make_card(tmp_path / "cards", source)
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", source)
    data = tmp_path / "data"
    command = [sys.executable, "-m", "segbench", "prepare", "cells", "--source", packed]
    command += ["--data", str(data), "--card", str(cards), "--jobs", "1"]
    for delay in (0.0, 0.02):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 30
        while not list(data.glob(".cells.*segbench-new-*")) and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if (data / "cells").exists():  # it was quicker: then it must be whole
            assert len(segbench.PreparedDataset.open(data / "cells").rows) == N
            shutil.rmtree(data / "cells")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(data)) == ["cells"]


def test_two_at_once_both_end_well(tmp_path, source):
    cards = make_card(tmp_path / "cards", source)
    data = tmp_path / "data"
    command = [sys.executable, "-m", "segbench", "prepare", "cells", "--source", str(source)]
    command += ["--data", str(data), "--card", str(cards)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], errors
    assert sorted(os.listdir(data)) == ["cells"]
    assert len(segbench.PreparedDataset.open(data / "cells").rows) == N


def test_a_hostile_zip_leaves_nothing(tmp_path, cells):
    packed = tmp_path / "evil.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../escaped.txt", "out")
    refused(cells, tmp_path / "data", packed)
    assert not list(tmp_path.rglob("escaped.txt"))


MASK_RULES = {
    "threshold": ('kind = "threshold"\nabove = 127', [[0, 127, 128, 255]], [[0, 0, 1, 1]]),
    "ids": ('kind = "ids"', [[0, 1, 255, 1]], [[0, 1, 255, 1]]),
    "ids mapped": ('kind = "ids"\nmap = { 7 = 0, 9 = 1 }', [[7, 9, 9, 7]], [[0, 1, 1, 0]]),
    "palette": (
        'kind = "palette"\nignore = [9, 9, 9]',
        [[[0, 0, 0], [0, 200, 0], [9, 9, 9], [0, 0, 0]]],
        [[0, 1, 255, 0]],
    ),
}


@pytest.mark.parametrize("rule", MASK_RULES)
def test_mask_rules(tmp_path, rule):
    toml, stored, expected = MASK_RULES[rule]
    card = CARD.replace('kind = "one-bit"', toml).replace("_mask.bmp", "_mask.png")
    own = make_card(tmp_path / "cards", card=card)
    for i in range(N):
        for name, array in (("img", np.zeros((1, 4, 3))), ("mask", np.array(stored))):
            where = tmp_path / "source" / f"C{i}" / f"C{i}_{name}"
            where.mkdir(parents=True)
            file = f"C{i}.png" if name == "img" else f"C{i}_mask.png"
            Image.fromarray(array.astype(np.uint8)).save(where / file)
    made = run(read_dataset(own), tmp_path / "data", tmp_path / "source")
    np.testing.assert_array_equal(made.read_mask(made.rows[0]), expected)


def test_a_card_says_which_class_is_the_background(tmp_path):
    card = CARD.replace('name = "background"', 'name = "glass"\nbackground = true')
    source = make_source(tmp_path / "source")
    made = run(read_dataset(make_card(tmp_path / "cards", card=card)), tmp_path / "data", source)
    assert [label.background for label in made.classes] == [True, False]
    wrong = card.replace("color = [0, 200, 0]", "color = [0, 200, 0]\nbackground = true")
    with pytest.raises(SegbenchError, match="only class 0"):
        read_dataset(make_card(tmp_path / "wrong", card=wrong))


def test_check_finds_everything_that_was_broken(tmp_path, cells, source, segbench):
    root = run(cells, tmp_path / "data", source).root
    assert segbench("check", root).code == 0
    Image.fromarray(np.zeros(SIZES[0], np.uint8)).save(root / "masks" / "C0.png")
    (root / "images" / "C1.png").unlink()
    (root / "masks" / "C2.png").write_bytes(b"damaged")
    (root / "masks" / "notes.txt").write_text("hm")
    ran = segbench("check", root)
    assert ran.code == 1
    for words in ("C0.png", "missing file (1): images/C1.png", "C2.png", "notes.txt"):
        assert words in ran.err, ran.err


def test_check_finds_a_changed_pixel(tmp_path, cells, source, segbench):
    root = run(cells, tmp_path / "data", source).root
    mask = Image.open(root / "masks" / "C5.png")
    mask.putpixel((0, 0), 1 - mask.getpixel((0, 0)))
    mask.save(root / "masks" / "C5.png", bits=8)
    ran = segbench("check", root)
    assert ran.code == 1
    assert "content_digest" in ran.err
    assert "split_digests.test" in ran.err
    assert "split_digests.train" not in ran.err


TABLE = """
[metadata]
[[metadata.tables]]
kind = "csv"
file = "patients.csv"
key = "file"
columns.eye = { source = "eye" }
"""


def with_patients(tmp_path, source, names, eye="left"):
    (source / "patients.csv").write_text("file,eye\n" + "".join(f"{n},{eye}\n" for n in names))
    return read_dataset(make_card(tmp_path / "cards", source, CARD + TABLE))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([f"C{i}.jpg" for i in range(N)], "write them without it"),
        (["p1", "p2"], "is it the right column?"),
    ],
)
def test_a_table_that_has_none_of_the_samples_is_refused(tmp_path, source, names, words):
    dataset = with_patients(tmp_path, source, names)
    with pytest.raises(SegbenchError) as caught:
        prepare(
            Request(dataset=dataset, data=tmp_path / "data", source=str(source)), progress=quiet
        )
    assert "has none of the 6 samples" in str(caught.value)
    assert words in str(caught.value)


def test_samples_that_a_table_does_not_have_are_counted(tmp_path, source):
    dataset = with_patients(tmp_path, source, ["C0", "C1", "C4"])
    request = Request(dataset=dataset, data=tmp_path / "data", source=str(source))
    made, _ = prepare(request, progress=quiet)
    (note,) = made.info["notes"]
    assert (
        note == "patients.csv has no row for 3 of 6 samples (C2, C3, C5): their columns are empty"
    )
    masks = {row.id: made.read_mask(row) for row in made.select("test")}
    result = segbench.evaluate(masks, dataset="cells", data=tmp_path / "data", by=["eye"])
    assert set(result.subgroups["eye"]) == {"left", "(none)"}


def test_a_column_that_is_empty_makes_no_subgroups_in_silence(tmp_path, source):
    dataset = with_patients(tmp_path, source, ["C0"])
    request = Request(dataset=dataset, data=tmp_path / "data", source=str(source))
    made, _ = prepare(request, progress=quiet)
    masks = {row.id: made.read_mask(row) for row in made.select("test")}
    with pytest.raises(SegbenchError, match="the column is empty for all 2 samples"):
        segbench.evaluate(masks, dataset="cells", data=tmp_path / "data", by=["eye"])
