"""Components, holes and centrelines: outside tools, slow definitions, and through `evaluate`."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from skimage.morphology import skeletonize

import segbench as sb
from segbench import topology
from segbench.errors import SegbenchError
from segbench.measures import parse
from segbench.scoring.stored import read_scores

GOLDEN = Path(__file__).parent / "golden" / "topology.json"
NAMES = ["background", "a"]
MASKS = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9))
RING = np.array([[1, 1, 1, 1], [1, 0, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0]], dtype=np.uint8)


def golden() -> list[dict]:
    found = json.loads(GOLDEN.read_text(encoding="utf-8"))
    height, width = found["size"]

    def mask(text: str) -> np.ndarray:
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(text), dtype=np.uint8))
        return bits[: height * width].reshape(height, width).astype(bool)

    return [
        {**case, "reference": mask(case["reference"]), "prediction": mask(case["prediction"])}
        for case in found["cases"]
    ]


@pytest.mark.parametrize("connectivity", [4, 8])
def test_components_and_holes_are_the_betti_numbers_of_gudhi(connectivity):
    for case in golden():
        for which in ("reference", "prediction"):
            mask = case[which]
            assert [
                topology.components(mask, connectivity=connectivity),
                topology.holes(mask, connectivity=connectivity),
            ] == case[f"{which}_betti_{connectivity}"]


def test_centreline_dice_is_that_of_panoptica():
    for case in golden():
        found = topology.cl_dice(case["reference"], case["prediction"])
        assert found == pytest.approx(case["cldice"], abs=1e-12)


def flooded(mask: np.ndarray, *, corners: bool) -> list[set[tuple[int, int]]]:
    """Connected components, pixel by pixel."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    found = []
    while left:
        todo, here = [left.pop()], set()
        while todo:
            y, x = todo.pop()
            here.add((y, x))
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    near = (y + dy, x + dx)
                    if near in left and (corners or dy == 0 or dx == 0):
                        left.remove(near)
                        todo.append(near)
        found.append(here)
    return found


@given(MASKS, st.sampled_from([4, 8]))
def test_components_and_holes_follow_from_flooding(mask, connectivity):
    corners = connectivity == 8
    assert topology.components(mask, connectivity=connectivity) == len(
        flooded(mask, corners=corners)
    )
    height, width = mask.shape
    enclosed = [
        part
        for part in flooded(~mask, corners=not corners)
        if all(0 < y < height - 1 and 0 < x < width - 1 for y, x in part)
    ]
    assert topology.holes(mask, connectivity=connectivity) == len(enclosed)
    assert len(enclosed) <= topology.most_holes(mask.shape, connectivity=connectivity)
    n = topology.components(mask, connectivity=connectivity)
    assert n <= topology.most_components(mask.shape, connectivity=connectivity)


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (5, 5), (6, 7)])
def test_the_most_that_an_image_can_hold_is_reached(size):
    rows, columns = np.indices(size)
    apart = (rows % 2 == 0) & (columns % 2 == 0)
    chequered = (rows + columns) % 2 == 0
    assert topology.components(apart) == topology.most_components(size)
    assert topology.components(chequered, connectivity=4) == topology.most_components(
        size, connectivity=4
    )
    inside = np.zeros(size, dtype=bool)
    inside[1:-1, 1:-1] = chequered[1:-1, 1:-1]
    assert topology.holes(~inside) == topology.most_holes(size)
    odd = np.zeros(size, dtype=bool)
    odd[1:-1:2, 1:-1:2] = True
    assert topology.holes(~odd, connectivity=4) == topology.most_holes(size, connectivity=4)


@given(MASKS, st.sampled_from(["zhang", "lee"]))
def test_a_skeleton_is_that_of_the_whole_image_and_never_empty(mask, method):
    found = topology.skeleton(mask, method=method)
    np.testing.assert_array_equal(found, skeletonize(mask, method=method) != 0)
    assert found.any() == mask.any()
    assert not (found & ~mask).any()


@given(MASKS)
def test_centreline_dice_of_a_mask_with_itself(mask):
    found = topology.cl_dice(mask, mask)
    assert found == 1 if mask.any() else math.isnan(found)
    if mask.any():
        assert topology.cl_dice(mask, np.zeros_like(mask)) == 0
        assert topology.cl_dice(np.zeros_like(mask), mask) == 0


def scores(references, predictions, **options) -> dict[str, np.ndarray]:
    result = sb.evaluate(
        predictions,
        references=references,
        class_names=NAMES,
        reference_policy=sb.ReferencePolicy(means_255="ignore"),
        options=sb.Options(topology=True, surface=False, **options),
    )
    keys = ("cldice", "components_error", "holes_error")
    return {key: result.table.per_image(result.score(key, "a").measure) for key in keys}


def test_values_of_images_their_rules_and_ignored_pixels():
    empty, full = np.zeros_like(RING), np.ones_like(RING)
    bridge = RING.copy()
    bridge[0, 1] = 255  # the ring is open at a pixel that does not count
    closed = np.minimum(bridge, 1)
    found = scores([RING, empty, RING, empty, bridge], [RING, empty, empty, full, closed])
    np.testing.assert_array_equal(found["cldice"], [1, np.nan, 0, 0, 1])
    np.testing.assert_array_equal(found["components_error"], [0, 0, 1, 1, 0])
    np.testing.assert_array_equal(found["holes_error"], [0, 0, 1, 0, 0])


def test_options_change_values_and_stand_in_the_signature():
    diagonal = np.eye(5, dtype=np.uint8)
    line = np.zeros_like(diagonal)
    line[2] = 1
    assert scores([line], [diagonal])["components_error"] == [0]
    assert scores([line], [diagonal], connectivity=4)["components_error"] == [4]
    assert scores([line], [diagonal], empty="1")["cldice"] == pytest.approx(1 / 5)
    result = sb.evaluate(
        [diagonal],
        references=[line],
        class_names=NAMES,
        reference_policy=sb.ReferencePolicy(means_255="ignore"),
        options=sb.Options(topology=True, skeleton="lee", connectivity=4),
    )
    signature = result.score("cldice", "a").signature
    assert signature.startswith("cldice|class:a|over:images|skeleton:lee|empty:nan|")
    signature = result.score("holes_error", "a").signature
    assert signature.startswith("holes_error|class:a|over:images|connectivity:4|empty:0|")


@pytest.mark.parametrize(
    "text",
    [
        "cldice|class:a|over:images|skeleton:thin|empty:nan",
        "cldice|class:a|over:dataset",
        "components_error|class:a|over:images|connectivity:6",
        "components_error|class:a|over:images|connectivity:four",
        "components_error|class:a|over:images|empty:nan",
        "iou|class:a|over:images|skeleton:lee",
    ],
)
def test_names_that_are_no_measure(text):
    with pytest.raises(SegbenchError):
        parse(text)


@pytest.fixture
def folders(tmp_path):
    """Three references of a ring, two predictions; the third is missing."""
    rng = np.random.default_rng(0)
    for name in ("references", "predictions"):
        (tmp_path / name).mkdir()
    for i in range(3):
        mask = np.kron(RING, np.ones((4, 5), np.uint8))
        Image.fromarray(mask).save(tmp_path / "references" / f"{i}.png")
        if i < 2:
            noisy = mask ^ (rng.random(mask.shape) < 0.05)
            Image.fromarray(noisy.astype(np.uint8)).save(tmp_path / "predictions" / f"{i}.png")
    return tmp_path


def test_a_missing_prediction_is_as_wrong_as_an_image_allows(folders, segbench):
    out = folders / "out"
    ran = segbench(
        "evaluate",
        *("--predictions", folders / "predictions", "--references", folders / "references"),
        *("--classes", "background,a", "--topology", "--missing", "worst", "--out", out),
    )
    assert ran.code == 0, ran.err
    assert "Difference in holes" in ran.out
    rows = read_scores(out).table
    measure = parse("components_error|class:a|over:images|connectivity:8|empty:0")
    assert rows.per_image(measure)[2] == topology.most_components((16, 20)) == 80
    measure = parse("holes_error|class:a|over:images|connectivity:8|empty:0")
    assert rows.per_image(measure)[2] == topology.most_holes((16, 20)) == 126
    measure = parse("cldice|class:a|over:images|skeleton:zhang|empty:nan")
    assert rows.per_image(measure)[2] == 0
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "--topology" in page
    assert "Centreline Dice" in page


def test_topology_is_not_measured_unless_it_is_asked_for(folders, segbench):
    ran = segbench(
        "evaluate",
        *("--predictions", folders / "predictions", "--references", folders / "references"),
        *("--classes", "background,a", "--extra", "ignore", "--missing", "worst", "--json"),
    )
    assert ran.code == 0, ran.err
    assert "cldice" not in ran.out
