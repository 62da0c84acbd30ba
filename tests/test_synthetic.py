"""The drawn data set: the same bytes everywhere, exact masks, and the promised variety."""

from __future__ import annotations

import ast
import csv
import inspect
from collections import Counter
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from segbench.errors import SegbenchError
from segbench.prepare import synthetic, synthetic_noise, synthetic_overlay
from segbench.prepare.synthetic import IDS, KINDS, SIZES, draw
from segbench.prepare.synthetic_noise import (
    Dice,
    cells,
    grain,
    ramp,
    scatter,
    smooth_noise,
    transmittance,
    units,
)

SEED = 1
SPLITS = Path(__file__).parents[1] / "datasets" / "synthetic-lesions" / "splits.csv"

# sha256 of the RGB bytes and of the mask bytes. A change here is a new version of the data set.
GOLDEN = {
    "SYN001": (
        "7fc5216cde91b09725a1c3d64e391640ba99c5631a00ecb055ba64463bfc8ae8",
        "5e8490967258e6445df232e65b41fd5eb5a9270491bf2219b3ba6d6ccc718ded",
    ),
    "SYN015": (
        "076b824ff4d0e61e41570a0576aa5ea0228df88c9a0191bc905c37fb960d8dea",
        "e2cc2a1fa6131cf4d86faa3baf78851f35a36853e2467c257b3df9d89e85cce5",
    ),
    "SYN041": (
        "6a85fdafd5d056b17997eaad18684ef0e465bc518d1f028d471f3ef01b6325e9",
        "2ed8761cc8c802e62a81a31dc1c16c093ba1f329f4cdad0ab320822904124bbc",
    ),
    "SYN052": (
        "b83f44f7378ccab1d7b932c1b2a4e513d04dfd0d9350c1af0f5bd30272ccf8da",
        "7f451c74c60c05e506b032ee6449cddd85f13e1af202bb8f0afac2fff4ecdfe9",
    ),
}
# sha256 of the sorted lines `id width height sha256(RGB) sha256(mask)` of all sixty.
GOLDEN_ALL = "2ecc3938764de7aa1447723c174c3e766aa34cdffbc589c712f819c48b788c32"


@pytest.fixture(scope="module")
def drawings():
    return {identifier: draw(identifier, seed=SEED) for identifier in IDS}


def digests(drawing):
    return sha256(drawing.image.tobytes()).hexdigest(), sha256(drawing.mask.tobytes()).hexdigest()


def of_kind(drawings, kind):
    return [drawing for drawing in drawings.values() if drawing.fields["kind"] == kind]


def touches_border(mask):
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


# --- the same everywhere --------------------------------------------------------------------------


def test_pixels_are_the_pinned_ones(drawings):
    assert {identifier: digests(drawings[identifier]) for identifier in GOLDEN} == GOLDEN


def test_all_pixels_are_the_pinned_ones(drawings):
    lines = [
        " ".join((i, str(d.mask.shape[1]), str(d.mask.shape[0]), *digests(d))) + "\n"
        for i, d in sorted(drawings.items())
    ]
    assert sha256("".join(lines).encode()).hexdigest() == GOLDEN_ALL


def test_a_picture_does_not_depend_on_what_was_drawn_before(drawings):
    for identifier in ("SYN060", "SYN002", "SYN033"):
        assert digests(draw(identifier, seed=SEED)) == digests(drawings[identifier])


def test_another_seed_gives_other_pictures_of_the_same_kinds(drawings):
    for identifier in IDS[:3]:
        other = draw(identifier, seed=SEED + 1)
        assert digests(other)[0] != digests(drawings[identifier])[0]
        assert other.fields["kind"] == drawings[identifier].fields["kind"]


# Elementwise functions that IEEE 754 rounds exactly, or that round nothing.
EXACT = {
    "abs", "arange", "array", "ascontiguousarray", "bool_", "clip", "copyto", "divide", "empty",
    "float64", "floor", "full", "int64", "maximum", "minimum", "multiply", "ones", "partition",
    "rint", "sqrt", "uint64", "uint8", "where", "zeros",
}  # fmt: skip


@pytest.mark.parametrize("module", [synthetic, synthetic_noise, synthetic_overlay])
def test_only_exactly_rounded_operations_are_used(module):
    tree = ast.parse(inspect.getsource(module))
    called = {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "np"
    }
    assert called
    assert called <= EXACT
    inexact = (ast.Pow, ast.MatMult)
    assert not [n for n in ast.walk(tree) if isinstance(n, ast.BinOp) and isinstance(n.op, inexact)]
    summing = {"sum", "mean", "std", "var", "dot", "cumsum", "prod"}
    assert not [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n.attr in summing]
    imported = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)} | {
        alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names
    }
    assert not {"math", "random", "scipy", "numpy.random"} & imported


# --- exact masks ----------------------------------------------------------------------------------


def test_shapes_and_values(drawings):
    for drawing in drawings.values():
        assert drawing.image.dtype == drawing.mask.dtype == np.uint8
        assert drawing.image.shape == (*drawing.mask.shape, 3)
        assert drawing.mask.shape in SIZES
        assert drawing.image.flags.c_contiguous
        values = {0} if drawing.fields["kind"] == "empty" else {0, 1}
        assert set(np.unique(drawing.mask).tolist()) == values


def test_exactly_two_masks_are_empty(drawings):
    empty = [identifier for identifier, drawing in drawings.items() if not drawing.mask.any()]
    assert empty == ["SYN015", "SYN030"]


@pytest.mark.parametrize("identifier", ["SYN003", "SYN004", "SYN007", "SYN009", "SYN014", "SYN034"])
def test_the_mask_is_exactly_where_the_pigment_is(drawings, monkeypatch, identifier):
    with_pigment = drawings[identifier]
    monkeypatch.setattr(synthetic, "_MELANIN", (0.0, 0.0, 0.0))
    changed = (draw(identifier, seed=SEED).image != with_pigment.image).any(axis=2)
    assert not changed[with_pigment.mask == 0].any()
    # Rounding to 8 bits hides the pigment in a few pixels under hair, glints and in dark corners.
    assert changed[with_pigment.mask == 1].mean() > 0.97


def test_lesions_are_darker_than_the_skin_beside_them(drawings):
    for identifier, drawing in drawings.items():
        if drawing.fields["kind"] == "empty":
            continue
        lesion = drawing.mask == 1
        beside = ndimage.binary_dilation(lesion, iterations=8) & ~lesion
        blue = drawing.image[..., 2].astype(float)
        assert blue[beside].mean() - blue[lesion].mean() > 8.0, identifier


def test_lesions_are_one_piece_without_holes(drawings):
    for identifier, drawing in drawings.items():
        if drawing.fields["kind"] != "empty":
            assert ndimage.label(drawing.mask)[1] == 1, identifier
            filled = ndimage.binary_fill_holes(drawing.mask)
            assert (filled == drawing.mask).all(), identifier


# --- variety --------------------------------------------------------------------------------------


def test_there_are_sixty_in_every_size_and_of_every_kind(drawings):
    assert list(IDS) == [f"SYN{number:03}" for number in range(1, 61)]
    assert {drawing.mask.shape for drawing in drawings.values()} == set(SIZES)
    assert Counter(drawing.fields["kind"] for drawing in drawings.values()) == {
        name: len(kind.numbers) for name, kind in KINDS.items()
    }
    assert {tuple(drawing.fields) for drawing in drawings.values()} == {
        ("kind", "pattern", "skin", "origin")
    }
    assert {drawing.fields["origin"] for drawing in drawings.values()} == {"synthetic"}


def test_small_ones_are_small_and_large_ones_large(drawings):
    assert all(0.005 < drawing.mask.mean() < 0.03 for drawing in of_kind(drawings, "small"))
    assert all(drawing.mask.mean() > 0.6 for drawing in of_kind(drawings, "large"))


def test_border_lesions_touch_the_border_and_typical_ones_do_not(drawings):
    assert all(touches_border(drawing.mask) for drawing in of_kind(drawings, "border"))
    assert not any(touches_border(drawing.mask) for drawing in of_kind(drawings, "typical"))


def test_an_unknown_identifier_is_refused():
    with pytest.raises(SegbenchError, match="'SYN061': expected SYN001 to SYN060"):
        draw("SYN061", seed=SEED)


# --- the split ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def split_rows():
    with SPLITS.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_the_split_has_every_sample_once(split_rows):
    assert list(split_rows[0]) == ["id", "split", "fold", "group", "image_sha256", "mask_sha256"]
    assert [row["id"] for row in split_rows] == list(IDS)
    assert all(row["group"] == row["id"] for row in split_rows)
    assert Counter(row["split"] for row in split_rows) == {"train": 28, "val": 8, "test": 24}
    assert Counter(row["fold"] for row in split_rows) == dict.fromkeys("01234", 12)


def test_the_split_is_balanced_over_kinds(split_rows):
    split_of = {row["id"]: row["split"] for row in split_rows}
    fold_of = {row["id"]: row["fold"] for row in split_rows}
    for name, kind in KINDS.items():
        members = [f"SYN{number:03}" for number in kind.numbers]
        assert {"train", "test"} <= {split_of[i] for i in members}, name
        folds = Counter(fold_of[i] for i in members)
        assert max(folds.values()) - min(folds[fold] for fold in "01234") <= 1, name


def test_the_split_is_the_dealing_that_the_card_describes(split_rows):
    turns = "train test train test train test val train test train test train test val train"
    dealt = [
        identifier
        for _, name in sorted((len(kind.numbers), name) for name, kind in KINDS.items())
        for identifier in sorted(
            (f"SYN{number:03}" for number in KINDS[name].numbers),
            key=lambda i: sha256(f"synthetic-lesions/{i}".encode()).hexdigest(),
        )
    ]
    expected = {i: (turns.split()[p % 15], str(p % 5)) for p, i in enumerate(dealt)}
    assert {row["id"]: (row["split"], row["fold"]) for row in split_rows} == expected


# --- random numbers and textures, against literal definitions -------------------------------------


def splitmix64(key, counter):
    mask = (1 << 64) - 1
    z = (key + counter * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def test_scatter_gives_the_published_splitmix64_sequence():
    # https://rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64, seed 1234567
    assert scatter(1234567, np.arange(1, 6)).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


keys = st.integers(0, 2**64 - 1)


@given(key=keys, counters=st.lists(st.integers(0, 2**62), min_size=1, max_size=9))
def test_scatter_is_splitmix64(key, counters):
    expected = [splitmix64(key, counter) for counter in counters]
    assert scatter(key, np.array(counters)).tolist() == expected


def literal_noise(key, shape, cell, x, y):
    """The definition, point by point: nine lattice values, weighted by two B-splines."""

    def weights(t):
        return (1 - t) ** 2 / 2, 0.5 + t * (1 - t), t**2 / 2

    stride = int((shape[1] - 1) / cell) + 3
    column, row = int(x / cell), int(y / cell)
    total = 0.0
    for j, wy in enumerate(weights(y / cell - row)):
        for i, wx in enumerate(weights(x / cell - column)):
            bits = splitmix64(key, (row + j) * stride + column + i)
            total += wy * wx * (4 * ((bits >> 11) / 2**53) - 2)
    return total


@settings(max_examples=30, deadline=None)
@given(key=keys, height=st.integers(1, 12), width=st.integers(1, 12), cell=st.floats(1.0, 9.0))
def test_smooth_noise_is_its_definition(key, height, width, cell):
    noise = smooth_noise(key, (height, width), cell)
    expected = [
        [literal_noise(key, (height, width), cell, x, y) for x in range(width)]
        for y in range(height)
    ]
    np.testing.assert_allclose(noise, expected, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(key=keys, points=st.lists(st.tuples(st.floats(-4, 4), st.floats(-4, 4)), min_size=1))
def test_cells_finds_the_two_nearest_points(key, points):
    x, y = np.array(points).T
    found = cells(key, x, y)
    left, top = int(np.floor(x).min()) - 1, int(np.floor(y).min()) - 1
    across = int(np.floor(x).max()) - left + 2
    for n, (px, py) in enumerate(points):
        here = []
        for row in range(int(np.floor(py)) - 1, int(np.floor(py)) + 2):
            for column in range(int(np.floor(px)) - 1, int(np.floor(px)) + 2):
                counter = (row - top) * across + column - left
                bits = splitmix64(key, counter)
                at_x = column + 0.15 + 0.7 * (bits >> 11) / 2**53
                at_y = row + 0.15 + 0.7 * (splitmix64(key ^ 1, counter) >> 11) / 2**53
                here.append((((at_x - px) ** 2 + (at_y - py) ** 2) ** 0.5, bits))
        here.sort()
        assert found.nearest[n] == pytest.approx(here[0][0], abs=1e-12)
        assert found.second[n] == pytest.approx(here[1][0], abs=1e-12)
        assert int(found.bits[n]) == here[0][1]


def test_grain_is_white_and_bell_shaped():
    noise = grain(7, (300, 400))
    assert abs(noise.mean()) < 0.01
    assert noise.std() == pytest.approx(1.0, abs=0.01)
    assert abs((noise[:, 1:] * noise[:, :-1]).mean()) < 0.01
    assert (np.abs(noise) < 1).mean() == pytest.approx(0.67, abs=0.02)


def test_units_reach_from_0_up_to_but_not_including_1():
    assert units(np.array([0, 2**64 - 1], np.uint64)).tolist() == [0.0, 1.0 - 2.0**-53]


def test_dice_are_named_seeded_and_in_range():
    dice = Dice(SEED, "SYN001")
    assert dice.unit("a") == Dice(SEED, "SYN001").unit("a")
    assert len({dice.unit("a"), dice.unit("b"), Dice(2, "SYN001").unit("a")}) == 3
    assert {dice.count(str(n), 3, 5) for n in range(60)} == {3, 4, 5}
    assert {dice.pick(str(n), ("x", "y")) for n in range(60)} == {"x", "y"}
    assert all(2.0 <= dice.between(str(n), 2.0, 3.0) < 3.0 for n in range(60))
    directions = [dice.direction(str(n)) for n in range(60)]
    assert all(x * x + y * y == pytest.approx(1.0) for x, y in directions)
    assert {(x > 0, y > 0) for x, y in directions} == {
        (True, True), (True, False), (False, True), (False, False),
    }  # fmt: skip


def test_ramps_rise_fall_and_stay_between_0_and_1():
    values = np.array([-1.0, 0.0, 0.5, 1.0, 2.0])
    assert ramp(0.0, 1.0, values).tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert ramp(1.0, 0.0, values).tolist() == [1.0, 1.0, 0.5, 0.0, 0.0]


def test_transmittance_is_nearly_the_exponential_law():
    density = np.linspace(0.0, 1.5, 50)
    np.testing.assert_allclose(transmittance(density), np.exp(-density), rtol=0.15)
    assert transmittance(np.zeros(1)).tolist() == [1.0]
