"""The kernels: C, the NumPy stand-in and a literal definition give the same."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from segbench import kernels
from segbench.kernels import native, standins
from segbench.masks.runs import runs_of

needs_compiled = pytest.mark.skipif(
    not kernels.available(), reason="segbench was installed without compiled kernels"
)
COMPILED = pytest.param(native, marks=needs_compiled, id="compiled")
both = pytest.mark.parametrize("implementation", [COMPILED, pytest.param(standins, id="standin")])
examples = settings(max_examples=60, deadline=None)

SIDES = st.one_of(st.integers(0, 9), st.sampled_from([31, 63, 64, 65, 66, 127, 130]))
SEEDS = st.integers(0, 2**32 - 1)
SHARES = st.sampled_from([0.0, 0.002, 0.03, 0.5, 0.97, 1.0])


@st.composite
def masks(draw):
    """Two masks of one shape: specks, noise, holes, blobs, all and nothing; any foreground value."""
    shape = draw(SIDES), draw(SIDES)
    rng = np.random.default_rng(draw(SEEDS))
    return [
        ((blob(rng, shape) if draw(st.booleans()) else rng.random(shape)) < draw(SHARES))
        * np.uint8(draw(st.sampled_from([1, 2, 128, 255])))
        for _ in range(2)
    ]


def blob(rng, shape):
    """Uniform over [0, 1] in smooth patches."""
    field = ndimage.gaussian_filter(rng.normal(size=shape), 4)
    return field.ravel().argsort().argsort().reshape(shape) / max(1, field.size)


@st.composite
def label_maps(draw):
    """Two label maps of one shape, in runs of any length."""
    shape = draw(SIDES), draw(SIDES)
    rng = np.random.default_rng(draw(SEEDS))
    values = rng.integers(0, 256, draw(st.sampled_from([1, 2, 3, 19, 256])), dtype=np.uint8)
    size = shape[0] * shape[1]

    def runs(mean):
        lengths = rng.geometric(1 / mean, size)
        return np.repeat(rng.choice(values, size), lengths)[:size].reshape(shape)

    return [runs(draw(st.sampled_from([1, 3, 40, 500]))) for _ in range(2)]


# ---------------------------------------------------------------- joint histogram


@both
@examples
@given(maps=label_maps())
def test_pairs_are_counted_literally(implementation, maps):
    literal = Counter(zip(*(m.ravel().tolist() for m in maps), strict=True))
    pairs, pixels = implementation.joint_pairs(*maps)
    assert pairs.tolist() == sorted(r << 8 | p for r, p in literal)
    assert {(k >> 8, k & 255): n for k, n in zip(pairs.tolist(), pixels.tolist(), strict=True)} == (
        literal
    )
    assert pairs.dtype == pixels.dtype == np.int64


@both
@examples
@given(maps=label_maps())
def test_runs_are_counted_as_their_map(implementation, maps):
    reference, prediction = maps
    runs = runs_of(reference) if reference.size else None
    if runs is not None:
        found = implementation.joint_pairs_of_runs(runs.values, runs.ends, prediction)
        np.testing.assert_array_equal(found, standins.joint_pairs(reference, prediction))


@examples
@given(maps=label_maps())
def test_the_table_holds_the_pairs(maps):
    table = kernels.joint_histogram(*maps)
    assert table.shape == (256, 256)
    assert table.dtype == np.int64
    expected = np.zeros((256, 256), dtype=np.int64)
    np.add.at(expected, tuple(maps), 1)
    np.testing.assert_array_equal(table, expected)


def test_every_pair_can_occur_and_nothing_stays_behind():
    reference, prediction = np.divmod(np.arange(1 << 16), 256)
    for repeat in (1, 2):
        maps = [np.repeat(m.astype(np.uint8), repeat) for m in (reference, prediction)]
        assert (kernels.joint_histogram(*maps) == repeat).all()


def test_label_maps_need_not_be_contiguous():
    rng = np.random.default_rng(0)
    reference, prediction = rng.integers(0, 3, (2, 90, 70), dtype=np.uint8)
    views = reference[::2, ::-1], prediction[20:65].T[::-1].T
    expected = kernels.joint_histogram(*(view.copy() for view in views))
    np.testing.assert_array_equal(kernels.joint_histogram(*views), expected)


def test_label_maps_of_other_shapes_and_types_are_refused():
    square = np.zeros((2, 2), np.uint8)
    with pytest.raises(ValueError, match="shapes"):
        kernels.joint_pairs(square, np.zeros((4, 1), np.uint8))
    with pytest.raises(ValueError, match="uint8"):
        kernels.joint_pairs(square, square.astype(np.int64))


# ---------------------------------------------------------------- distances


def inner_boundary(mask):
    return (mask != 0) & ~ndimage.binary_erosion(mask != 0)  # outside of the image is background


def literal_distances(a, b, spacing):
    """SciPy's exact distance transform of one point set, read at the points of the other."""

    def one_way(queries, sites):
        if not sites.any():
            return np.full(np.count_nonzero(queries), np.inf)
        return ndimage.distance_transform_edt(~sites, sampling=spacing)[queries]

    return one_way(a, b), one_way(b, a)


def assert_equal(found, expected, *, exactly):
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == np.float64
        if exactly:
            np.testing.assert_array_equal(one, other)
        else:
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=0)


SPACINGS = st.sampled_from([(1.0, 1.0), (2.0, 1.0), (0.3, 0.7), (0.125, 8.0), (1e-3, 3e3)])


@both
@examples
@given(pair=masks(), spacing=SPACINGS)
def test_boundary_distances_are_those_of_scipy(implementation, pair, spacing):
    found = implementation.distances(*pair, spacing, boundary_only=True)
    expected = literal_distances(*map(inner_boundary, pair), spacing)
    assert_equal(found, expected, exactly=spacing == (1.0, 1.0))


@both
@examples
@given(pair=masks(), spacing=SPACINGS)
def test_point_distances_are_those_of_scipy(implementation, pair, spacing):
    found = implementation.distances(*pair, spacing, boundary_only=False)
    expected = literal_distances(*(mask != 0 for mask in pair), spacing)
    assert_equal(found, expected, exactly=spacing == (1.0, 1.0))


@both
@examples
@given(seed=SEEDS, height=st.integers(1, 8), width=st.integers(1, 8))
def test_boundary_distances_by_the_definition(implementation, seed, height, width):
    rng = np.random.default_rng(seed)
    pair = rng.integers(0, 2, (2, height, width), dtype=np.uint8)

    def boundary(mask):
        def at(y, x):
            return 0 <= y < height and 0 <= x < width and mask[y, x]

        return [
            (y, x)
            for y in range(height)
            for x in range(width)
            if at(y, x) and not (at(y - 1, x) and at(y + 1, x) and at(y, x - 1) and at(y, x + 1))
        ]

    a, b = map(boundary, pair)
    expected = [
        [min(((y - v) ** 2 + (x - u) ** 2 for v, u in q), default=np.inf) for y, x in p]
        for p, q in ((a, b), (b, a))
    ]
    found = implementation.distances(*pair, (1.0, 1.0), boundary_only=True)
    assert_equal(found, map(np.sqrt, expected), exactly=True)


def far_apart():
    """Where a search from each point would have to go far: by name, two masks of 150x200."""
    y, x = np.mgrid[:150, :200]
    checkers, column, row = (x + y) % 2 == 0, x == 0, y == 0
    return {
        "checkers and a corner": (checkers, (x == 199) & (y == 149)),
        "checkers and their inverse": (checkers, ~checkers),
        "checkers and both sides": (checkers, (x == 0) | (x == 199)),
        "checkers and a diagonal": (checkers, x * 150 // 200 == y),
        "opposite columns": (column, column[:, ::-1]),
        "opposite rows": (row, row[::-1]),
        "opposite corners": (column & row, (column & row)[::-1, ::-1]),
        "full image and a pixel": (x >= 0, (x == 100) & (y == 3)),
        "comb and a row": ((x % 2 == 0) & (y > 75), row),
    }


@both
@pytest.mark.parametrize("name", far_apart())
def test_masks_far_apart(implementation, name):
    pair = far_apart()[name]
    for spacing in ((1.0, 1.0), (0.7, 1.3)):
        found = implementation.distances(
            *(mask.astype(np.uint8) for mask in pair), spacing, boundary_only=True
        )
        expected = literal_distances(*map(inner_boundary, pair), spacing)
        assert_equal(found, expected, exactly=spacing == (1.0, 1.0))


@both
def test_no_side_is_too_long(implementation):
    """Squares beyond 32 bits, sides beyond 16 bits."""
    for shape in ((2, 100_000), (100_000, 2)):
        a, b = np.zeros((2, *shape), dtype=np.uint8)
        a[0, 0] = b[-1, -1] = 1
        found = implementation.distances(a, b, (1.0, 1.0), boundary_only=True)
        assert_equal(found, [np.sqrt([99_999**2 + 1])] * 2, exactly=True)


@needs_compiled
def test_more_pixels_than_32_bits_count():
    """Beyond 2^31 of them; zeros that nobody wrote take no memory."""
    a, b = np.zeros((2, 2**15 + 1, 2**16), dtype=np.uint8)
    a[-1, -5:] = b[-1, -3:] = b[0, 0] = 1
    assert a.size > 2**31
    pairs = [[0, 1, 256, 257], [a.size - 6, 1, 2, 3]]
    assert kernels.joint_pairs(a, b).tolist() == pairs
    runs = np.array([0, 1], np.uint8), np.array([a.size - 5, a.size], np.uint32)
    assert kernels.joint_pairs_of_runs(*runs, b).tolist() == pairs
    from_a, from_b = kernels.boundary_distances(a, b)
    assert from_a.tolist() == [2, 1, 0, 0, 0]
    assert from_b.tolist() == [np.sqrt(float(2**30 + (2**16 - 5) ** 2)), 0, 0, 0]


def test_equal_spacing_scales_what_is_exact_in_pixels():
    rng = np.random.default_rng(3)
    pair = rng.random((2, 40, 50)) < 0.05
    in_pixels = kernels.boundary_distances(*pair)
    in_mm = kernels.boundary_distances(*pair, spacing=(0.3, 0.3))
    assert_equal(in_mm, [0.3 * distances for distances in in_pixels], exactly=True)
    literal = literal_distances(*map(inner_boundary, pair), (0.3, 0.3))
    assert_equal(in_mm, literal, exactly=False)


def test_empty_masks_leave_nothing_or_infinity():
    empty, one = np.zeros((2, 3, 4), dtype=bool)
    one[1, 2] = True
    assert [d.tolist() for d in kernels.boundary_distances(empty, empty)] == [[], []]
    assert [d.tolist() for d in kernels.boundary_distances(one, empty)] == [[np.inf], []]
    assert [d.tolist() for d in kernels.boundary_distances(empty, one)] == [[], [np.inf]]


def test_masks_need_not_be_contiguous_nor_bool():
    rng = np.random.default_rng(1)
    big = rng.random((2, 80, 90)) < 0.3
    views = [mask[::-2, ::3].T for mask in big]
    expected = kernels.boundary_distances(*(view.copy() for view in views))
    assert_equal(kernels.boundary_distances(*views), expected, exactly=True)
    as_bytes = [view.astype(np.uint8) * 7 for view in views]
    assert_equal(kernels.boundary_distances(*as_bytes), expected, exactly=True)


def test_masks_and_spacings_that_make_no_sense_are_refused():
    square = np.ones((2, 2), dtype=bool)
    with pytest.raises(ValueError, match="shapes"):
        kernels.boundary_distances(square, np.ones((2, 3), dtype=bool))
    with pytest.raises(ValueError, match="shapes"):
        kernels.boundary_distances(np.ones(4, dtype=bool), np.ones(4, dtype=bool))
    with pytest.raises(ValueError, match="bool or uint8"):
        kernels.boundary_distances(square, square.astype(np.float32))
    for spacing in ((0.0, 1.0), (1.0, -1.0), (np.nan, 1.0), (1.0, np.inf)):
        with pytest.raises(ValueError, match="spacing"):
            kernels.boundary_distances(square, square, spacing=spacing)


# ---------------------------------------------------------------- which one is used


def calls():
    """One call of each kernel: name -> (function of segbench.kernels, arguments, options)."""
    maps = np.random.default_rng(2).integers(0, 3, (2, 50, 60), dtype=np.uint8)
    one = runs_of(maps[0])
    filtered = bytes([1, 5, 6, 2, 7, 8])
    return {
        "joint_pairs": (kernels.joint_pairs, tuple(maps), {}),
        "joint_pairs_of_runs": (kernels.joint_pairs_of_runs, (one.values, one.ends, maps[1]), {}),
        "joint_histogram": (kernels.joint_histogram, tuple(maps), {}),
        "boundary_distances": (kernels.boundary_distances, tuple(maps), {}),
        "point_distances": (kernels.point_distances, tuple(maps), {}),
        "unfilter": (kernels.unfilter, (filtered,), {"rows": 2, "row_bytes": 2, "pixel_bytes": 1}),
        "unpack_bits": (kernels.unpack_bits, (maps[0],), {"columns": 480, "depth": 1}),
    }


@needs_compiled
@pytest.mark.parametrize("name", calls())
def test_the_compiled_one_is_used_where_there_is_one(name, monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("the stand-in was called")

    for function in ("joint_pairs", "joint_pairs_of_runs", "distances", "unfilter", "unpack_bits"):
        monkeypatch.setattr(standins, function, refuse)
    function, arguments, options = calls()[name]
    function(*arguments, **options)


@needs_compiled
def test_threads_run_them_without_the_interpreter_lock():
    assert isinstance(native.library(), ctypes.CDLL)
    assert not isinstance(native.library(), ctypes.PyDLL)  # the kind that keeps the lock


def test_threads_do_not_disturb_each_other():
    rng = np.random.default_rng(4)
    inputs = [rng.integers(0, 4, (2, 120, 130), dtype=np.uint8) for _ in range(30)]

    def work(pair):
        return kernels.joint_histogram(*pair), *kernels.boundary_distances(*pair)

    with ThreadPoolExecutor(4) as pool:
        for found, pair in zip(pool.map(work, inputs * 3), inputs * 3, strict=True):
            for one, other in zip(found, work(pair), strict=True):
                np.testing.assert_array_equal(one, other)


def test_the_standins_can_be_asked_for():
    program = "from segbench import kernels; print(kernels.available())"
    environment = os.environ | {native.VARIABLE: "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


@pytest.fixture
def unloaded():
    native.library.cache_clear()
    yield
    native.library.cache_clear()


@pytest.mark.usefixtures("unloaded")
def test_without_a_library_the_standins_take_over(monkeypatch, tmp_path):
    expected = {name: f(*arguments, **options) for name, (f, arguments, options) in calls().items()}
    native.library.cache_clear()
    monkeypatch.setattr(native, "LIBRARY", tmp_path / "library.so")
    assert not kernels.available()
    for name, (function, arguments, options) in calls().items():
        for one, other in zip(function(*arguments, **options), expected[name], strict=True):
            np.testing.assert_array_equal(one, other)
    with pytest.raises(RuntimeError, match="without compiled kernels"):
        native.joint_pairs(*calls()["joint_pairs"][1])


@pytest.mark.usefixtures("unloaded")
def test_a_library_that_cannot_be_loaded_is_said(monkeypatch, tmp_path):
    (tmp_path / "library.so").write_bytes(b"not a library")
    monkeypatch.delenv(native.VARIABLE, raising=False)
    monkeypatch.setattr(native, "LIBRARY", tmp_path / "library.so")
    with pytest.warns(RuntimeWarning, match="NumPy stands in"):
        assert not kernels.available()


@needs_compiled
@pytest.mark.usefixtures("unloaded")
def test_a_library_of_another_version_is_not_called(monkeypatch):
    monkeypatch.setattr(native, "INTERFACE", -1)
    with pytest.warns(RuntimeWarning, match="interface"):
        assert not kernels.available()


# ---------------------------------------------------------------- tails


@st.composite
def resampled(draw):
    """Weights of units in resamples, a list of images of these units, and a share for each row."""
    rng = np.random.default_rng(draw(SEEDS))
    n_units, n = draw(st.integers(1, 40)), draw(st.integers(0, 300))
    weights = rng.multinomial(n_units, np.full(n_units, 1 / n_units), draw(st.integers(0, 5)))
    units = rng.integers(0, n_units, n)
    share = rng.random(len(weights)) * draw(st.sampled_from([0.0, 0.5, n / 10, n, 2.0 * n]))
    return weights.astype(float), units, np.sort(rng.normal(size=n)), share


@both
@examples
@given(case=resampled())
def test_tails_are_summed_literally(implementation, case):
    weights, units, values, share = case
    found = implementation.tail_sums(*case)
    for weight, part, total in zip(weights, share, found, strict=True):
        left, literal = part, 0.0
        for unit, value in zip(units, values, strict=True):
            taken = min(left, weight[unit])
            literal += taken * value
            left -= taken
        assert total == pytest.approx(literal, abs=1e-9)


@needs_compiled
@examples
@given(case=resampled())
def test_tails_are_the_same_to_the_bit(case):
    assert native.tail_sums(*case).tobytes() == standins.tail_sums(*case).tobytes()


@pytest.mark.parametrize("units", [[0, 3], [-1, 0], [0]])
def test_tails_of_units_that_are_not_there_are_refused(units):
    with pytest.raises(ValueError, match="units"):
        kernels.tail_sums(np.ones((2, 3)), np.array(units), np.zeros(2), share=np.ones(2))
