"""The leak audit: planted leaks are found, different things are not, and PH2's known pairs are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import segbench as sb
from segbench.errors import SegbenchError
from segbench.prepare.audit import MIN_INLIERS, MIN_SIGNIFICANCE, Picture, audit

KNOWN = [("IMD199", "IMD200"), ("IMD408", "IMD409"), ("IMD425", "IMD426"), ("IMD064", "IMD348"),
         ("IMD043", "IMD256"), ("IMD041", "IMD042"), ("IMD278", "IMD279"), ("IMD279", "IMD280")]  # fmt: skip


def scene(seed: int) -> np.ndarray:
    """A textured picture: smoothed noise of two scales."""
    rng = np.random.default_rng(seed)
    noise = sum(ndimage.gaussian_filter(rng.normal(size=(260, 320)), s) * s for s in (4, 9))
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


again = {
    "quarter turn": lambda image: np.rot90(image).copy(),
    "most of a turn": lambda image: ndimage.rotate(image, 250, reshape=False)[50:210, 80:240],
    "smaller": lambda image: ndimage.zoom(image, (0.7, 0.7, 1), order=1),
    "larger": lambda image: ndimage.zoom(image[40:220, 60:260], (1.6, 1.6, 1), order=1),
    "shifted by half": lambda image: image[:, 130:],
    "darker and noisy": lambda image: (
        image * 0.6 + np.random.default_rng(0).integers(0, 9, image.shape)
    ).astype(np.uint8),
}


@pytest.mark.parametrize("change", again.values(), ids=again)
def test_a_textured_thing_is_found_however_it_was_photographed(change):
    one = scene(0)
    report = audit([picture("a", one, split="test"), picture("b", change(one), split="train")])
    (pair,) = report.same_thing
    assert pair.inliers > 2 * MIN_INLIERS


def test_mirrored_copies_are_not_seen_as_the_docstring_says():
    one = scene(0)
    copy = one[:, ::-1].copy()
    assert audit([picture("a", one, split="test"), picture("b", copy, split="train")]).ok


def smooth_thing(seed: int, *, turn: float = 0.0) -> Picture:
    """A disc with a few broad spots: too few features, but an outline and a pattern."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[-1:1:160j, -1:1:160j]
    inside = np.hypot(rows, columns) < 0.8
    spots = sum(
        np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 0.015)
        for y, x in rng.uniform(-0.55, 0.55, size=(9, 2))
    )
    grey = np.where(inside, 120 - 50 * spots / np.max(spots), 190)
    grey = ndimage.rotate(grey, turn, reshape=False, mode="nearest")
    image = np.repeat(grey[:, :, np.newaxis], 3, axis=2).astype(np.uint8)
    name = f"{seed}-{turn:.0f}"
    split = "test" if turn else "train"
    return Picture(name, split, 0, name, lambda: image, lambda: inside.astype(np.uint8))


def test_smooth_things_are_found_by_laying_one_over_the_other_and_different_ones_are_not():
    things = [smooth_thing(seed) for seed in range(6)]
    report = audit([*things, smooth_thing(2, turn=130)], jobs=1)
    (pair,) = report.same_thing
    assert pair.ids == ("2-0", "2-130")
    assert pair.inliers < MIN_INLIERS
    assert pair.significance >= MIN_SIGNIFICANCE
    assert pair.correlation > 0.5


def test_order_and_number_of_processes_change_nothing():
    small = [scene(seed)[:90, :90] for seed in range(17)]
    pictures = [picture(f"p{k:02}", image, split="train") for k, image in enumerate(small)]
    pictures.append(picture("again", np.rot90(small[3]).copy(), split="test"))
    report = audit(pictures, jobs=1)
    assert [pair.ids for pair in report.same_thing] == [("again", "p03")]
    told = []
    parallel = audit(pictures[::-1], jobs=2, progress=lambda *news: told.append(news))
    assert parallel == report
    assert ("looking for features", 18, 18) in told
    assert all(done <= of for _, done, of in told)


def test_what_has_nothing_to_be_recognised_by_is_named():
    flat = np.full((120, 120, 3), 90, np.uint8)
    flatter = np.full((120, 120, 3), 91, np.uint8)
    report = audit([picture("a", flat, split="test"), picture("b", flatter, split="train")])
    assert report.featureless == ("a", "b")
    assert report.ok


def test_a_sample_without_split_or_fold_is_nowhere():
    one = scene(0)
    pictures = [
        Picture("a", "", None, "a", lambda: one, lambda: np.zeros(one.shape[:2], np.uint8)),
        picture("b", turned(one), split="test"),
    ]
    report = audit(pictures, jobs=1)
    assert [pair.ids for pair in report.same_thing] == [("a", "b")]
    assert report.ok


def test_a_mask_of_another_size_and_an_id_twice_are_refused():
    image = scene(0)
    wrong = Picture("a", "test", 0, "a", lambda: image, lambda: np.zeros((3, 4), np.uint8))
    with pytest.raises(SegbenchError, match=r"a: the image is \(260, 320\) and its mask \(3, 4\)"):
        audit([wrong], jobs=1)
    with pytest.raises(SegbenchError, match="more than once"):
        audit([wrong, wrong], jobs=1)


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
    group = {row.id: row.group for row in rows}
    assert not {pair for pair in found if group[pair[0]] != group[pair[1]]}
