"""Surface measures: other tools' values, and the definitions written out with SciPy."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from segbench import kernels, surface
from segbench.errors import SegbenchError

GOLDEN = json.loads((Path(__file__).parent / "golden" / "surface.json").read_text())
# How each tool defines a boundary, and the value that it prints where one mask is empty.
TOOLS = {
    "SciPy": ("inner", "diagonal"),
    "MONAI": ("inner", "inf"),
    "medpy": ("inner", "diagonal"),
    "MetricsReloaded": ("inner", "nan"),
    "PyMIC": ("inner", "diagonal"),
    "surface-distance": ("length", "inf"),
}
examples = settings(max_examples=60, deadline=None)


def measured(reference, prediction, spacing, boundary, empty):
    """All that the golden file names."""
    d = surface.surface_distances(reference, prediction, spacing_mm=spacing, boundary=boundary)
    by_length = surface.surface_distances(
        reference, prediction, spacing_mm=spacing, boundary="length"
    )
    return {
        "hd": surface.hausdorff(d, empty=empty),
        "hd95": surface.hausdorff_percentile(d, 95, empty=empty),
        "hd95_pooled": surface.hausdorff_percentile(d, 95, rule="pooled", empty=empty),
        "assd": surface.assd(d, empty=empty),
        "masd": surface.masd(d, empty=empty),
        "nsd_1": surface.nsd(d, tolerance_mm=1),
        "nsd_1_length": surface.nsd(by_length, tolerance_mm=1),
        "mean_to_reference": surface.average(d.to_reference, d.prediction_weights),
        "mean_to_prediction": surface.average(d.to_prediction, d.reference_weights),
    }


@pytest.mark.parametrize(
    ("case", "tool"),
    [
        pytest.param(case, tool, id=f"{case['case']} {tool}")
        for case in GOLDEN["cases"]
        for tool in case["values"]
    ],
)
def test_what_other_tools_print(case, tool):
    reference, prediction = (
        np.array([[int(pixel) for pixel in row] for row in case[name]], dtype=bool)
        for name in ("reference", "prediction")
    )
    found = measured(reference, prediction, tuple(case["spacing_row_column"]), *TOOLS[tool])
    printed = case["values"][tool]
    assert {name: f"{found[name]:.6g}" for name in printed} == printed


def test_every_tool_and_measure_occurs_in_the_golden_values():
    values = [
        (tool, name) for c in GOLDEN["cases"] for tool, v in c["values"].items() for name in v
    ]
    assert {tool for tool, _ in values} == set(TOOLS) == set(GOLDEN["tools"])
    some = np.ones((2, 2), dtype=bool)
    assert {name for _, name in values} == set(measured(some, some, (1, 1), "inner", "nan"))


def test_the_page_says_of_an_empty_mask_what_the_tools_printed():
    page = (Path(__file__).parents[1] / "docs" / "surface.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    said = {row[0].split(" (")[0]: row[2] for row in rows if "`boundary:" in row[1]}
    assert said.pop("SciPy") == "as you write it"
    cases = json.loads((Path(__file__).parent / "golden" / "surface_tools.json").read_text())
    lone = [c for c in cases["cases"] if np.any(c["prediction"]) != np.any(c["reference"])]
    assert len(lone) == 1
    for tool, text in said.items():
        printed = lone[0]["values"][tool]
        if "hd95" not in printed:  # it gave no value
            expected = "raises an error"
        else:
            expected = f"`empty:{printed['hd95']}`"
            if printed["hd"] != printed["hd95"]:
                expected += f" (without a percentile: `empty:{printed['hd']}`)"
        assert text == expected, tool


# ---------------------------------------------------------------- the definitions, with SciPy


@st.composite
def masks(draw, min_side=1, max_side=40):
    """Two masks of one shape that are not empty."""
    shape = draw(st.integers(min_side, max_side)), draw(st.integers(min_side, max_side))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    smooth = ndimage.gaussian_filter(rng.normal(size=(2, *shape)), (0, 2, 2))
    pair = smooth > draw(st.sampled_from([-0.1, 0.0, 0.15]))
    assume(pair.any(axis=(1, 2)).all())
    return list(pair)


SPACINGS = st.sampled_from([(1.0, 1.0), (0.5, 0.5), (2.0, 0.75)])


def inner_boundary(mask):
    return mask & ~ndimage.binary_erosion(mask)


def distances(queries, sites, spacing):
    return ndimage.distance_transform_edt(~sites, sampling=spacing)[queries]


@examples
@given(pair=masks(), spacing=SPACINGS, tolerance=st.sampled_from([0.0, 1.0, 2.5]))
def test_inner_boundary_measures_by_definition(pair, spacing, tolerance):
    d = surface.surface_distances(*pair, spacing_mm=spacing)
    reference, prediction = map(inner_boundary, pair)
    p = distances(prediction, reference, spacing)
    r = distances(reference, prediction, spacing)
    together = np.concatenate((p, r))
    close = {"rel": 1e-12, "abs": 1e-12}
    assert surface.hausdorff(d) == pytest.approx(max(p.max(), r.max()), **close)
    assert surface.assd(d) == pytest.approx(together.mean(), **close)
    assert surface.masd(d) == pytest.approx((p.mean() + r.mean()) / 2, **close)
    near_p, near_r = (p <= tolerance).mean(), (r <= tolerance).mean()
    assert surface.nsd(d, tolerance_mm=tolerance) == (together <= tolerance).mean()
    f1 = 2 * near_p * near_r / (near_p + near_r) if near_p and near_r else 0
    assert surface.boundary_f1(d, tolerance_mm=tolerance) == pytest.approx(f1, **close)


@examples
@given(pair=masks(), q=st.one_of(st.sampled_from([0, 50, 95, 100]), st.floats(0, 100)))
def test_percentiles_are_numpys_to_the_last_bit(pair, q):
    d = surface.surface_distances(*pair)
    p, r = (np.percentile(one_way, q) for one_way in (d.to_reference, d.to_prediction))
    pooled = np.percentile(np.concatenate((d.to_reference, d.to_prediction)), q)
    assert surface.hausdorff_percentile(d, q) == max(p, r)
    assert surface.hausdorff_percentile(d, q, rule="pooled") == pooled


def literal_length_elements(mask, spacing):
    """surface-distance's table, entry by entry, and its correlation: (codes, lengths)."""
    kernel = np.array([[8, 4], [2, 1]])
    codes = ndimage.correlate(np.pad(mask, (0, 1)).astype(int), kernel, mode="constant", cval=0)
    first, second = spacing
    diagonal = 0.5 * math.sqrt(first**2 + second**2)
    table = np.zeros(16)
    for code, length in (
        *((0b0001, diagonal), (0b0010, diagonal), (0b0011, second), (0b0100, diagonal)),
        *((0b0101, first), (0b0110, 2 * diagonal), (0b0111, diagonal), (0b1000, diagonal)),
        *((0b1001, 2 * diagonal), (0b1010, first), (0b1011, diagonal), (0b1100, second)),
        *((0b1101, diagonal), (0b1110, diagonal)),
    ):
        table[code] = length
    return codes, table[codes]


@examples
@given(pair=masks(), spacing=SPACINGS, tolerance=st.sampled_from([0.0, 1.0, 2.5]))
def test_length_weighted_measures_by_definition(pair, spacing, tolerance):
    d = surface.surface_distances(*pair, spacing_mm=spacing, boundary="length")
    (r_codes, r_lengths), (p_codes, p_lengths) = (
        literal_length_elements(mask, spacing) for mask in pair
    )
    at_r, at_p = (((codes != 0) & (codes != 15)) for codes in (r_codes, p_codes))
    one_way = {
        "p": sorted(zip(distances(at_p, at_r, spacing), p_lengths[at_p], strict=True)),
        "r": sorted(zip(distances(at_r, at_p, spacing), r_lengths[at_r], strict=True)),
    }
    p, p_weights = np.array(one_way["p"]).T
    r, r_weights = np.array(one_way["r"]).T
    close = {"rel": 1e-12, "abs": 1e-12}
    assert surface.hausdorff(d) == pytest.approx(max(p.max(), r.max()), **close)
    means = np.average(p, weights=p_weights), np.average(r, weights=r_weights)
    assert surface.masd(d) == pytest.approx(np.mean(means), **close)
    everything = np.concatenate((p, r)), np.concatenate((p_weights, r_weights))
    assert surface.assd(d) == pytest.approx(
        np.average(everything[0], weights=everything[1]), **close
    )
    near = p_weights[p <= tolerance].sum() + r_weights[r <= tolerance].sum()
    nsd = near / everything[1].sum()
    assert surface.nsd(d, tolerance_mm=tolerance) == pytest.approx(nsd, **close)
    # 61.8 %: no sum of lengths is near it by construction, so that rounding cannot decide
    percentiles = []
    for found, weights in ((p, p_weights), (r, r_weights)):
        share = weights.cumsum() / weights.sum()
        assume(abs(share - 0.618).min() > 1e-9)
        percentiles.append(found[np.searchsorted(share, 0.618)])
    assert surface.hausdorff_percentile(d, 61.8) == pytest.approx(max(percentiles), **close)


def literal_boundary_iou(reference, prediction, ratio):
    """As in the authors' code: erosions by a 3x3 square, one after the other."""

    def band(mask):
        times = max(1, round(ratio * math.hypot(*mask.shape)))
        return mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=times)

    a, b = band(reference), band(prediction)
    return (a & b).sum() / (a | b).sum()


@examples
@given(pair=masks(max_side=90), ratio=st.sampled_from([0.001, 0.02, 0.1, 0.7]))
def test_boundary_iou_by_definition(pair, ratio):
    expected = literal_boundary_iou(*pair, ratio)
    assert surface.boundary_iou(*pair, dilation_ratio=ratio) == expected
    as_bytes = [mask.astype(np.uint8) * 255 for mask in pair]
    assert surface.boundary_iou(*as_bytes, dilation_ratio=ratio) == expected


def test_boundary_iou_of_thick_masks_is_that_of_their_bands():
    whole = np.ones((100, 100), dtype=bool)  # the diagonal is 141: a band of 3 pixels
    without_middle = whole.copy()
    without_middle[40:60, 40:60] = False
    ring = 26**2 - 20**2
    expected = (100**2 - 94**2) / (100**2 - 94**2 + ring)
    assert surface.boundary_iou(whole, without_middle) == pytest.approx(expected)


# ---------------------------------------------------------------- empty masks, units, symmetry

SMALL = np.zeros((3, 4), dtype=bool)
SMALL[1, 1:3] = True
EMPTY = np.zeros((3, 4), dtype=bool)
DISTANCES = {
    "hausdorff": surface.hausdorff,
    "hd95": lambda d, **options: surface.hausdorff_percentile(d, 95, **options),
    "pooled": lambda d, **options: surface.hausdorff_percentile(d, 95, rule="pooled", **options),
    "assd": surface.assd,
    "masd": surface.masd,
}


@pytest.mark.parametrize("boundary", ["inner", "length"])
@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("pair", [(SMALL, EMPTY), (EMPTY, SMALL)], ids=["missed", "invented"])
def test_an_object_without_a_counterpart_is_as_bad_as_asked(name, pair, boundary):
    d = surface.surface_distances(*pair, boundary=boundary)
    assert DISTANCES[name](d) == 5  # of a 3x4 image
    assert DISTANCES[name](d, empty="inf") == math.inf
    assert math.isnan(DISTANCES[name](d, empty="nan"))
    in_mm = surface.surface_distances(*pair, boundary=boundary, spacing_mm=(4, 4))
    assert DISTANCES[name](in_mm) == 20
    for overlap in (surface.nsd, surface.boundary_f1):
        assert overlap(d, tolerance_px=1e9) == 0
    assert surface.boundary_iou(*pair) == 0


@pytest.mark.parametrize("boundary", ["inner", "length"])
def test_nothing_against_nothing_is_undefined(boundary):
    d = surface.surface_distances(EMPTY, EMPTY, boundary=boundary)
    for measure in DISTANCES.values():
        for empty in ("diagonal", "nan", "inf"):
            assert math.isnan(measure(d, empty=empty))
    assert math.isnan(surface.nsd(d, tolerance_px=1))
    assert math.isnan(surface.boundary_f1(d, tolerance_px=1))
    assert math.isnan(surface.boundary_iou(EMPTY, EMPTY))


@examples
@given(pair=masks(), boundary=st.sampled_from(["inner", "length"]))
def test_no_distance_exceeds_the_worst_value(pair, boundary):
    d = surface.surface_distances(*pair, spacing_mm=(0.5, 2.0), boundary=boundary)
    assert surface.hausdorff(d) <= d.diagonal


@examples
@given(pair=masks(), boundary=st.sampled_from(["inner", "length"]))
def test_equal_masks_are_perfect_and_the_order_does_not_matter(pair, boundary):
    d = surface.surface_distances(*pair, boundary=boundary)
    swapped = surface.surface_distances(*pair[::-1], boundary=boundary)
    for measure in DISTANCES.values():
        assert measure(d) == pytest.approx(measure(swapped), rel=1e-12)
    assert surface.nsd(d, tolerance_px=1) == pytest.approx(surface.nsd(swapped, tolerance_px=1))
    same = surface.surface_distances(pair[0], pair[0], boundary=boundary)
    assert {measure(same) for measure in DISTANCES.values()} == {0}
    assert surface.nsd(same, tolerance_px=0) == 1
    assert surface.boundary_f1(same, tolerance_px=0) == 1
    assert surface.boundary_iou(pair[0], pair[0]) == 1


def test_units_are_not_mixed():
    in_px = surface.surface_distances(SMALL, SMALL)
    in_mm = surface.surface_distances(SMALL, SMALL, spacing_mm=(1, 1))
    assert (in_px.unit, in_mm.unit) == ("px", "mm")
    for overlap in (surface.nsd, surface.boundary_f1):
        for d, options in (
            (in_px, {"tolerance_mm": 1}),
            (in_mm, {"tolerance_px": 1}),
            (in_px, {}),
            (in_px, {"tolerance_px": 1, "tolerance_mm": 1}),
        ):
            with pytest.raises(SegbenchError, match=f"take a tolerance_{d.unit}"):
                overlap(d, **options)


@pytest.mark.parametrize("spacing", [(0, 1), (1, -1), (1, math.nan), (math.inf, 1), (1, 1, 1)])
def test_spacings_that_make_no_sense_are_refused(spacing):
    with pytest.raises(SegbenchError, match="spacing_mm"):
        surface.surface_distances(SMALL, SMALL, spacing_mm=spacing)


def test_other_options_that_make_no_sense_are_refused():
    d = surface.surface_distances(SMALL, SMALL)
    for q in (-1, 100.5, math.nan):
        with pytest.raises(SegbenchError, match="percentile"):
            surface.hausdorff_percentile(d, q)
    for tolerance in (-1, math.inf, math.nan):
        with pytest.raises(SegbenchError, match="tolerance_px"):
            surface.nsd(d, tolerance_px=tolerance)
    for ratio in (0, -1, math.nan, math.inf):
        with pytest.raises(SegbenchError, match="dilation ratio"):
            surface.boundary_iou(SMALL, SMALL, dilation_ratio=ratio)
    with pytest.raises(SegbenchError, match="boundary:outer; expected inner or length"):
        surface.surface_distances(SMALL, SMALL, boundary="outer")
    with pytest.raises(SegbenchError, match="rule:mean; expected max or pooled"):
        surface.hausdorff_percentile(d, 95, rule="mean")
    with pytest.raises(SegbenchError, match="empty:0; expected diagonal or nan or inf"):
        surface.hausdorff(d, empty="0")
    with pytest.raises(ValueError, match="shapes"):
        surface.boundary_iou(SMALL, SMALL.T)
    with pytest.raises(ValueError, match="shapes"):
        surface.surface_distances(SMALL, SMALL.T, boundary="length")


def test_both_kinds_of_boundary_are_measured_by_the_kernels(monkeypatch):
    called = []
    for name in ("boundary_distances", "point_distances"):
        real = getattr(kernels, name)

        def spy(*arguments, name=name, real=real, **options):
            called.append(name)
            return real(*arguments, **options)

        monkeypatch.setattr(kernels, name, spy)
    surface.surface_distances(SMALL, SMALL)
    surface.surface_distances(SMALL, SMALL, boundary="length")
    assert called == ["boundary_distances", "point_distances"]
