"""The classical baselines: on drawn discs, odd pictures, and real PH2 training images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segbench as sb
from segbench.catalog.recipes import classical_recipes, find_recipe
from segbench.errors import SegbenchError
from segbench.methods.classical import METHODS, segment
from segbench.methods.graphcut import _cut, _edges

RECIPES = list(classical_recipes().values())
by_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.name)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def disc(
    height: int = 180, width: int = 240, *, corners: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """A dark disc on skin with noise; with corners, also the black corners of a dermoscope."""
    y, x = np.mgrid[:height, :width]
    mask = (y - height * 0.45) ** 2 + (x - width * 0.55) ** 2 < (height * 0.22) ** 2
    image = np.where(mask[..., np.newaxis], (110, 70, 50), (215, 170, 150)).astype(float)
    image += np.random.default_rng(0).normal(0, 8, image.shape)
    if corners:
        far = ((y - height / 2) / height) ** 2 + ((x - width / 2) / width) ** 2 > 0.36
        image[far] = 20
    return image.clip(0, 255).astype(np.uint8), mask


@by_recipe
@pytest.mark.parametrize("corners", [False, True], ids=["plain", "dark corners"])
def test_a_disc_is_found(recipe, corners):
    image, mask = disc(corners=corners)
    found = segment(image, recipe.method, recipe.options)
    assert found.dtype == bool
    assert dice(found, mask) > 0.95


def test_without_the_central_rule_dark_corners_win():
    """What the option is for: the test above would fail without it on larger corners."""
    image, _ = disc()
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    image[:, :70] = 20
    kept = {central: segment(image, "otsu", {"central": central}) for central in (False, True)}
    assert kept[False][:, :60].mean() > 0.9
    assert kept[True][:, :60].mean() < 0.1
    assert y.shape == x.shape


@by_recipe
@pytest.mark.parametrize(
    "shape", [(1, 1, 3), (1, 50, 3), (2, 2, 3), (3, 3, 3), (3, 400, 3), (700, 5, 3), (900, 1200, 3)]
)
@pytest.mark.parametrize("level", [0, 128, 255])
def test_constant_pictures_hold_no_object(recipe, shape, level):
    found = segment(np.full(shape, level, np.uint8), recipe.method, recipe.options)
    assert found.shape == shape[:2]
    assert not found.any()


@by_recipe
@settings(max_examples=15, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**31))
def test_any_picture_gives_one_mask_of_its_size_every_time(recipe, height, width, seed):
    image = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    found = segment(image, recipe.method, recipe.options)
    assert found.shape == (height, width)
    np.testing.assert_array_equal(found, segment(image, recipe.method, recipe.options))


def test_the_cut_is_the_cheapest_of_all_labellings():
    """Against every labelling of a 3x3 picture, by the costs that the cut works with."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        lab = rng.normal(0, 10, (3, 3, 3))
        gain = rng.normal(0, 5, 9)
        edges = _edges(lab, 4.0)
        unary, pairwise = np.rint(gain * 20), np.rint(edges[2] * 20)

        def cost(labels: np.ndarray, edges=edges, unary=unary, pairwise=pairwise) -> float:
            parted = labels[edges[0]] != labels[edges[1]]
            return -unary[labels].sum() + pairwise[parted].sum()

        best = min(cost(np.array([n >> i & 1 for i in range(9)], bool)) for n in range(512))
        assert cost(_cut(gain, edges, (3, 3)).ravel()) == best


def test_unknown_methods_and_options_are_refused():
    image, _ = disc()
    with pytest.raises(SegbenchError, match="no method 'magic'; there are otsu, grabcut"):
        segment(image, "magic", {})
    with pytest.raises(SegbenchError, match=r"chanel.*there are channel, object"):
        segment(image, "otsu", {"chanel": "blue"})
    with pytest.raises(SegbenchError, match="sigma"):
        segment(image, "grabcut", {"sigma": -1})
    with pytest.raises(
        SegbenchError,
        match="no recipe called 'unet3'; there are deeplabv3plus-lite0, grabcut, otsu",
    ):
        find_recipe("unet3")
    assert {recipe.method for recipe in RECIPES} == set(METHODS)


@pytest.mark.xdist_group("real")
@by_recipe
def test_real_training_images(ph2, recipe):
    samples = sb.load("ph2", "train", data=ph2)[:8]
    found = [dice(segment(s.image, recipe.method, recipe.options), s.mask == 1) for s in samples]
    assert np.mean(found) > 0.85


def test_predict_writes_masks_and_refuses_a_folder_of_something_else(tmp_path, synthetic, segbench):
    out = tmp_path / "otsu"
    command = ["predict", "otsu", "--dataset", "synthetic-lesions", "--data", synthetic]
    assert segbench(*command, "--out", out).code == 0
    assert len(list(out.glob("*.png"))) == 24
    assert segbench("check", out, "--data", synthetic).code == 0
    assert segbench(*command, "--out", out).code == 0  # ours: replaced
    (out / "thesis.tex").write_text("mine")
    ran = segbench(*command, "--out", out)
    assert ran.code == 1
    assert "thesis.tex" in ran.err
    assert (out / "thesis.tex").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["otsu"]
