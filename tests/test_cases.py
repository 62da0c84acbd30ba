"""Small inputs that broke once, each with its right answer: ../shared/cases/README.md.

Those of tables and of hostile files are in test_tables.py.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segbench as sb
from segbench.catalog.cards import read_dataset
from segbench.errors import SegbenchError
from segbench.masks.forms import Form
from segbench.prepare.run import Request, prepare

CARD = """
schema_version = 1
name = "small"
version = "1"
title = "Small"
task = "semantic"
description = "Drawn for a test."
citation = "None."
[[classes]]
id = 0
name = "background"
color = [0, 0, 0]
[[classes]]
id = 1
name = "object"
color = [0, 200, 0]
[[sources]]
kind = "manual"
instructions = "Ask the test."
[layout]
id = 'im\\d'
image = "images/{id}.*"
mask = "masks/{id}.*"
[mask]
kind = "threshold"
above = 0
[splits]
method = "by hand"
group = "each image"
[licence]
name = "mine"
terms = "none"
"""


def prepared(folder: Path, image: Path, mask: Path) -> Path:
    """One sample, prepared from an image and a mask."""
    source, card = folder / "raw", folder / "cards" / "small"
    for name, path in (("images", image), ("masks", mask)):
        (source / name).mkdir(parents=True)
        shutil.copy(path, source / name)
    card.mkdir(parents=True)
    (card / "card.toml").write_text(CARD)
    (card / "splits.csv").write_text(
        "id,split,fold,group,image_sha256,mask_sha256\nim0,test,0,g,,\n"
    )
    request = Request(
        dataset=read_dataset(card),
        data=folder / "data",
        source=str(source),
        jobs=1,
        unpinned=True,
    )
    return prepare(request, progress=lambda *_: None)[0].root


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("images-16bit-tif", "I;16"),
        ("images-16bit-png", "I;16"),
        ("images-float-tif", "F"),
    ],
)
def test_images_that_would_lose_values_are_refused(cases, tmp_path, case, words):
    image = next((cases / case).iterdir())
    with pytest.raises(SegbenchError) as caught:
        prepared(tmp_path, image, cases / "ref-binary" / "im0.png")
    assert image.name in str(caught.value)
    assert words in str(caught.value)


def test_instances_in_a_palette_are_all_kept_or_refused(cases, tmp_path):
    photo = tmp_path / "im0.png"
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(photo)
    try:
        data = prepared(tmp_path, photo, cases / "mask-palette-instances" / "im0.png")
    except SegbenchError as error:
        assert "palette" in str(error)  # noqa: PT017  either is right
        return
    (mask,) = data.rglob("masks/im0.png")
    with Image.open(mask) as stored:
        assert (np.asarray(stored) > 0).sum() == 244


def test_arrays(cases):
    references = str(cases / "ref-binary")
    with pytest.raises(SegbenchError, match="--form probabilities"):
        sb.evaluate(cases / "npy-uint8-probabilities", references=references)
    for result in (
        sb.evaluate(
            cases / "npy-uint8-probabilities",
            references=references,
            policy=sb.Policy(form=Form.PROBABILITIES),
        ),
        sb.evaluate(cases / "npy-hxwx1", references=references),
    ):
        dice = [s.value for s in result.scores if s.measure.key == "dice"]
        assert dice
        assert set(dice) == {1}


def test_an_entry_with_a_key_twice_is_refused_within_the_limits(cases, tmp_path):
    from segbench.board.entry import find_entries  # noqa: PLC0415

    entry = tmp_path / "small" / "e"
    entry.mkdir(parents=True)
    shutil.copy(cases / "hostile" / "duplicate-key-last.json", entry / "entry.json")
    assert json.loads((entry / "entry.json").read_text())["k59999"] == 2
    with pytest.raises(SegbenchError, match="is there twice"):
        list(find_entries(tmp_path))
