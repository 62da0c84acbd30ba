"""A user's own folder: the layout is found, the card is readable, and the data prepares with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segbench as sb
from segbench.catalog.cards import read_dataset
from segbench.errors import SegbenchError
from segbench.prepare.new_coding import Hold
from segbench.prepare.new_dataset import look, write
from segbench.prepare.run import Request, prepare

N = 12


def picture(path: Path, array: np.ndarray, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


def fill(root: Path, image: str, mask: str, values: list[int], name: str = "case{i:02}") -> None:
    rng = np.random.default_rng(0)
    for i in range(N):
        identifier = name.format(i=i)
        rgb = rng.integers(0, 255, (8 + i, 9, 3), np.uint8)
        labels = np.resize(np.array(values, np.uint8), (8 + i, 9))
        picture(root / image.format(id=identifier), rgb)
        picture(root / mask.format(id=identifier), labels)


LAYOUTS = {
    "two folders": ("images/{id}.jpg", "masks/{id}.png", "images/{id}.jpg", "masks/{id}.png"),
    "suffix": ("{id}.png", "{id}_mask.png", "{id}.png", "{id}_mask.png"),
    "nnU-Net": ("imagesTr/{id}.png", "labelsTr/{id}.png", "imagesTr/{id}.png", "labelsTr/{id}.png"),
    "a folder each": (
        "{id}/{id}_image/{id}.bmp", "{id}/{id}_seg/{id}_seg.png",
        "{id}/{id}_image/{id}.bmp", "{id}/{id}_seg/{id}_seg.png",
    ),
    "prefix": ("img_{id}.png", "gt_{id}.png", "img_{id}.png", "gt_{id}.png"),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["case{i:02}", "{i}", "a{i}b-x"])
def test_layouts_are_found_and_prepare(tmp_path, layout, name):
    image, mask, *expected = LAYOUTS[layout]
    fill(tmp_path / "mine", image, mask, [0, 255, 255], name)
    guess = look(tmp_path / "mine")
    assert [guess.layout.image, guess.layout.mask] == expected
    assert len(guess.pairs) == N
    assert guess.unpaired == ()
    card = write(tmp_path / "mine", guess, tmp_path / "cards")
    dataset = read_dataset(card)
    request = Request(dataset=dataset, data=tmp_path / "data", source=str(tmp_path / "mine"))
    made, _ = prepare(request, progress=lambda *_: None)
    assert made.info["counts"]["samples"] == N
    assert set(made.info["split_digests"]) == {"train", "val", "test"}
    np.testing.assert_array_equal(np.unique(made.read_mask(made.rows[0])), [0, 1])


def test_codings_are_told_apart(tmp_path):
    def rule(name: str, values: list[int]) -> tuple[str, list[int]]:
        fill(tmp_path / name, "images/{id}.png", "masks/{id}.png", values)
        coding = look(tmp_path / name).coding
        return coding.rule.partition("\n")[0], [number for number, *_ in coding.classes]

    assert rule("binary", [0, 255]) == ('kind = "threshold"', [0, 1])
    assert rule("ids", [0, 1, 4, 255]) == ('kind = "ids"', [0, 1, 4])
    ends = [0] * 900 + [255] * 900
    assert rule("soft", [*ends, *range(0, 256, 3)]) == ('kind = "threshold"', [0, 1])


DOUBTS = {
    "many values": [[*range(0, 240, 3)]] * 4,
    "instance numbers": [[0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 2]],
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_numbers_that_may_be_no_classes_are_asked_about(tmp_path, doubt):
    for i, values in enumerate(DOUBTS[doubt]):
        for kind in ("images", "masks"):
            (tmp_path / kind).mkdir(exist_ok=True)
            picture(tmp_path / kind / f"m{i}.png", np.resize(values, (20, 30)).astype(np.uint8))
    with pytest.raises(SegbenchError, match=r"--values classes .* --values instances"):
        look(tmp_path)
    union = look(tmp_path, hold=Hold.INSTANCES).coding
    assert union.rule == 'kind = "threshold"\nabove = 0'
    assert len(look(tmp_path, hold=Hold.CLASSES).coding.classes) == len({*np.concatenate(DOUBTS[doubt])} | {0})  # fmt: skip


def test_two_folders_that_could_be_the_masks_are_asked_about(tmp_path):
    for i in range(4):
        for kind, name in (
            ("images", f"{i}.png"),
            ("mask", f"{i}_mask.png"),
            ("manual", f"{i}.png"),
        ):
            (tmp_path / kind).mkdir(exist_ok=True)
            noise = np.random.default_rng(i).integers(0, 256, (20, 30, 3), dtype=np.uint8)
            picture(
                tmp_path / kind / name, noise if kind == "images" else noise[..., 0] // 128 * 255
            )
    with pytest.raises(SegbenchError, match="--masks mask or --masks manual"):
        look(tmp_path)
    assert look(tmp_path, masks="manual").layout.mask == "manual/{id}.png"


def test_colour_masks_get_a_class_a_colour(tmp_path):
    fill(tmp_path / "mine", "images/{id}.png", "masks/{id}.png", [0])
    for path in (tmp_path / "mine" / "masks").iterdir():
        with Image.open(path) as image:
            size = image.size[::-1]
        colours = np.array([[0, 0, 0], [200, 10, 30], [10, 200, 30]], np.uint8)
        picture(path, colours[np.resize(np.arange(3), size)])
    guess = look(tmp_path / "mine")
    assert guess.coding.rule == 'kind = "palette"'
    assert [c for *_, c in guess.coding.classes] == [(0, 0, 0), (10, 200, 30), (200, 10, 30)]
    card = write(tmp_path / "mine", guess, tmp_path / "cards")
    request = Request(
        dataset=read_dataset(card), data=tmp_path / "data", source=str(tmp_path / "mine")
    )
    made, _ = prepare(request, progress=lambda *_: None)
    np.testing.assert_array_equal(np.unique(made.read_mask(made.rows[0])), [0, 1, 2])


def test_what_is_left_out_is_said(tmp_path, segbench):
    fill(tmp_path / "mine", "images/{id}.png", "masks/{id}.png", [0, 255])
    picture(tmp_path / "mine" / "images" / "lonely.png", np.zeros((3, 3, 3), np.uint8))
    ran = segbench(
        "new-dataset", tmp_path / "mine", "--out", tmp_path / "cards", "--name", "My Own"
    )
    assert ran.code == 0, ran.err
    assert "left out: 1 (images/lonely.png" in ran.out
    assert (tmp_path / "cards" / "my-own" / "card.toml").exists()
    again = segbench(
        "new-dataset", tmp_path / "mine", "--out", tmp_path / "cards", "--name", "My Own"
    )
    assert again.code == 1
    assert "exists" in again.err


def test_folders_that_hold_no_dataset(tmp_path):
    with pytest.raises(SegbenchError, match="no such folder"):
        look(tmp_path / "nowhere")
    with pytest.raises(SegbenchError, match="found nothing; expected names such as"):
        look(tmp_path)
    picture(tmp_path / "a.png", np.zeros((3, 3, 3), np.uint8))
    with pytest.raises(SegbenchError, match=r"found a.png"):
        look(tmp_path)
    assert sb.SegbenchError is SegbenchError
