"""Bare references: what their values stand for, over all files at once; and nothing in silence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segbench as sb
from segbench import ReferencePolicy
from segbench.scoring.references import reference_target
from segbench.scoring.stored import read_scores
from segbench.scoring.target import Target

SIDE = 20


def mask(*squares: int) -> np.ndarray:
    """Zeros with a square of each value, side by side."""
    array = np.zeros((SIDE, SIDE), dtype=np.int64)
    for i, value in enumerate(squares):
        array[5:10, i * 4 : i * 4 + 4] = value
    return array


def save(folder: Path, **masks: np.ndarray) -> Path:
    folder.mkdir()
    for name, array in masks.items():
        if array.min() < 0 or array.max() > 255:
            np.save(folder / f"{name}.npy", array)
        else:
            Image.fromarray(array.astype(np.uint8)).save(folder / f"{name}.png")
    return folder


def full(value: int) -> np.ndarray:
    return np.full((SIDE, SIDE), value)


# what the references hold, what is said of 255, the classes' names -> the classes of each file
READ = {
    "0 and 255": ([mask(255), mask()], None, (), [{0, 1}, {0}], "255 is the object"),
    "255 alone": ([full(255)], None, (), [{1}], "255 is the object"),
    "0 and 1": ([mask(1), mask()], None, (), [{0, 1}, {0}], ""),
    "1 alone": ([full(1)], None, (), [{1}], ""),
    "0, 1, 255 as object": ([mask(1), mask(255)], "object", (), [{0, 1}, {0, 1}], "255"),
    "0, 1, 255 in one file": ([mask(1, 255)], "object", (), [{0, 1}], "255"),
    "0, 1, 255 as ignore": (
        [mask(1), mask(1, 255)], "ignore", (), [{0, 1}, {0, 1, 255}], "20 pixels are not",
    ),
    "ids of 2 and more": ([mask(2), mask(1, 255)], None, (), [{0, 2}, {0, 1, 255}], "20 pixels"),
    "3 and 255 alone": ([mask(3, 255)], None, (), [{0, 3, 255}], "255 is ignored: 20 pixels"),
    "three classes named": (
        [mask(1, 255)], None, ("background", "a", "b"), [{0, 1, 255}], "255 is ignored",
    ),
    "two classes named": ([mask(255)], None, ("background", "a"), [{0, 1}], "255"),
}  # fmt: skip

REFUSED = {
    "one of 0/1 and one of 0/255": (
        [mask(1), mask(255)], None, (), "value 1 in r0 and value 255 in r1",
    ),
    "0, 1, 255 in one file": ([mask(1, 255)], None, (), "--references-255 object or"),
    "1 and 255 without 0": ([full(1), full(255)], None, (), "--references-255"),
    "0, 1, 255 with two names": ([mask(1, 255)], None, ("background", "a"), "--references-255"),
    "0 and 255, ignored": ([mask(255)], "ignore", (), "no object would be left"),
    "0 and 255 of three classes": (
        [mask(255)], None, ("background", "a", "b"), "no object would be left",
    ),
    "255 an object among several": ([mask(2, 255)], "object", (), "cannot stand for the one object"),
    "negative": ([mask(1, -1), mask(2)], None, (), "value -1 in r0"),
    "negative alone": ([full(-7)], None, (), "value -7 in r0"),
    "over 255": ([mask(1000), mask(1)], None, (), "value 1000 in r0"),
    "more than are named": ([mask(1, 2)], None, ("background", "a"), "class ids 2; --classes"),
}  # fmt: skip


def target_of(folder: Path, arrays, stated, names) -> Target:
    masks = {f"r{i}": array for i, array in enumerate(arrays)}
    policy = ReferencePolicy(means_255=stated)
    return reference_target(save(folder, **masks), class_names=names, policy=policy)


@pytest.mark.parametrize("row", READ.values(), ids=READ)
def test_what_references_are_read_as(tmp_path, row):
    *given, ids, note = row
    target = target_of(tmp_path / "r", *given)
    assert [set(np.unique(item.read()).tolist()) for item in target.items] == ids
    said = [line for line in target.notes if "background" not in line]
    assert len(said) == bool(note)
    assert note in "".join(said)


@pytest.mark.parametrize("row", REFUSED.values(), ids=REFUSED)
def test_what_references_are_refused(tmp_path, row):
    *given, words = row
    with pytest.raises(sb.SegbenchError) as caught:
        target_of(tmp_path / "r", *given)
    assert words in str(caught.value)


def test_a_complete_miss_is_no_perfect_score(tmp_path, segbench):
    references = save(tmp_path / "r", a=mask(1), b=mask(0, 255))
    predictions = save(tmp_path / "p", a=mask(1), b=mask())
    words = ("evaluate", "--predictions", predictions, "--references", references)
    refused = segbench(*words)
    assert refused.code == 1
    assert "--references-255 object" in refused.err
    ran = segbench(*words, "--references-255", "object", "--json")
    found = json.loads(ran.out)
    dice = {(s["class"], s["over"]): s["value"] for s in found["scores"] if s["measure"] == "dice"}
    assert dice["object", "images"] == 0.5
    assert any("255 is the object" in note for note in found["notes"])


def test_without_a_card_there_are_no_colours(tmp_path):
    references = save(tmp_path / "r", a=mask(1, 2))
    with pytest.raises(sb.SegbenchError, match="value 255 in a"):
        sb.evaluate(save(tmp_path / "white", a=mask(255)), references=references)
    coloured = tmp_path / "coloured"
    coloured.mkdir()
    rgb = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
    rgb[:5] = (230, 159, 0)
    Image.fromarray(rgb).save(coloured / "a.png")
    for policy in (sb.Policy(), sb.Policy(form=sb.masks.forms.Form.COLOURS)):
        with pytest.raises(sb.SegbenchError, match="colour"):
            sb.evaluate(coloured, references=references, policy=policy)


def test_class_0_is_the_background_and_that_is_said(tmp_path, segbench):
    masks = save(tmp_path / "m", a=mask(1, 2), b=mask(2, 1))
    words = ("evaluate", "--predictions", masks, "--references", masks, "--json")
    first = json.loads(segbench(*words).out)
    assert "--no-background" in " ".join(first["notes"])
    classes = {s["class"] for s in first["scores"] if s["measure"] == "hd"}
    assert "background" not in classes
    stated = json.loads(segbench(*words, "--no-background").out)
    assert stated["notes"] == []
    assert {s["class"] for s in stated["scores"] if s["measure"] == "hd"} >= {"class 0", "class 1"}
    assert not [s for s in stated["scores"] if s["class"] == "foreground"]


def test_a_background_by_another_name_keeps_its_table(tmp_path, segbench):
    masks = save(tmp_path / "m", a=mask(1), b=mask(0, 1))
    words = ("evaluate", "--predictions", masks, "--references", masks, "--classes", "bg,obj")
    ran = segbench(*words, "--out", tmp_path / "out")
    assert "class obj" in ran.out
    assert "class 0 (bg) is taken for the background" in ran.err
    stored = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert stored["background"] == "bg"
    assert read_scores(tmp_path / "out").main_label == "obj"
    two = segbench(*words, "--no-background")
    assert "bg" in two.out
    assert "taken for" not in two.err
    contradicted = segbench(
        "evaluate", "--predictions", masks, "--references", masks,
        "--classes", "background,obj", "--no-background",
    )  # fmt: skip
    assert contradicted.code == 1
    assert "give it another name" in contradicted.err


def test_an_inverted_mask_is_asked_about():
    truth = np.zeros((20, 20), int)
    truth[:10, :] = 1
    guess = np.ones((20, 20), int) - truth
    guess[:3, :] = 1  # inverted: Dice 2 x 140 / (140 + 200)
    result = sb.evaluate([guess], references=[truth])
    (asked,) = [note for note in result.notes if "inverted" in note]
    assert "Dice is 0.261; inverted it would be 0.824: are object and background swapped?" in asked
    for fine in (truth, np.roll(truth, 3, axis=0), np.zeros_like(truth)):
        again = sb.evaluate([fine], references=[truth])
        assert not [note for note in again.notes if "inverted" in note]
    several = sb.evaluate([guess], references=[truth], class_names=["background", "a", "b"])
    assert not [note for note in several.notes if "inverted" in note]
