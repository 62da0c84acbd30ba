"""The leak audit: planted leaks are found, different things are not, and PH2's known pairs are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import segbench as sb
from segbench.prepare.audit import Picture, audit

KNOWN = [("IMD199", "IMD200"), ("IMD408", "IMD409"), ("IMD425", "IMD426"), ("IMD064", "IMD348"),
         ("IMD043", "IMD256"), ("IMD041", "IMD042"), ("IMD278", "IMD279"), ("IMD279", "IMD280")]  # fmt: skip


def scene(seed: int) -> np.ndarray:
    """A textured picture: smoothed noise of two scales."""
    rng = np.random.default_rng(seed)
    noise = sum(ndimage.gaussian_filter(rng.normal(size=(260, 320)), s) * s for s in (2, 5))
    grey = (noise - noise.min()) / np.ptp(noise) * 255
    return np.repeat(grey[:, :, np.newaxis], 3, axis=2).astype(np.uint8)


def turned(image: np.ndarray) -> np.ndarray:
    """The same scene again: turned by 20 degrees, a part of it, a little brighter."""
    rotated = ndimage.rotate(image, 20, reshape=False, mode="reflect")[40:220, 50:270]
    return np.clip(rotated * 1.1, 0, 255).astype(np.uint8)


def picture(name: str, image: np.ndarray, *, split: str, fold: int = 0, group: str = "") -> Picture:
    mask = np.ones(image.shape[:2], np.uint8)
    return Picture(name, split, fold, group or name, lambda: image, lambda: mask)


def test_planted_leaks_are_found_and_nothing_else():
    scenes = [scene(i) for i in range(5)]
    report = audit(
        [
            picture("a", scenes[0], split="train"),
            picture("a-again", turned(scenes[0]), split="test"),
            picture("b", scenes[1], split="train"),
            picture("b-copy", scenes[1].copy(), split="test", fold=1),
            picture("c", scenes[2], split="train", group="g"),
            picture("d", scenes[3], split="test", group="g"),
            picture("e", scenes[4], split="val"),
        ],
        jobs=1,
    )
    assert [pair.ids for pair in report.same_thing] == [("a", "a-again")]
    assert report.same_thing[0].across_splits
    assert [found.ids for found in report.identical] == [("b", "b-copy")]
    assert [(found.group, found.splits) for found in report.groups_across_splits] == [
        ("g", ("test", "train"))
    ]
    assert not report.ok


def test_a_grouped_pair_is_no_leak():
    one = scene(0)
    pictures = [
        picture("a", one, split="test", group="g"),
        picture("b", turned(one), split="test", group="g"),
        picture("c", scene(1), split="train"),
    ]
    report = audit(pictures, jobs=1)
    assert report.ok
    assert report.same_thing == ()


@pytest.mark.xdist_group("real")
def test_the_known_pairs_of_ph2_are_found_when_they_are_not_grouped(ph2):
    wanted = {name for pair in KNOWN for name in pair}
    everything = [
        s for split in ("train", "val", "test") for s in sb.load("ph2", split, data=ph2).rows
    ]
    dataset = sb.load("ph2", data=ph2).dataset
    others = [row for row in everything if row.id not in wanted][:16]
    rows = [row for row in everything if row.id in wanted] + others
    pictures = [
        Picture(
            r.id,
            r.split,
            r.fold,
            r.id,
            lambda r=r: dataset.read_image(r),
            lambda r=r: dataset.read_mask(r),
        )
        for r in rows
    ]
    found = {pair.ids for pair in audit(pictures, jobs=1).same_thing}
    assert set(KNOWN) <= found
    assert not {pair for pair in found if not set(pair) <= wanted}
