"""Measures of probabilities: outside values, literal definitions, and real files through the CLI."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import segbench as sb
from segbench.measures import DEFINITIONS, Measure, Options, grid, parse
from segbench.scoring.files import write_evaluation
from segbench.scoring.scores import score_table, weighted_values
from segbench.scoring.soft_files import PROBABILITIES
from segbench.scoring.stored import read_scores
from segbench.soft import (
    BINS,
    auroc,
    average_precision,
    bin_of,
    brier,
    calibration_error,
    cells,
    distinct,
    equal_mass,
    equal_width,
    negative_log_likelihood,
)

GOLDEN = json.loads((Path(__file__).parent / "golden" / "soft.json").read_text())["cases"]
KEYS = ("ap", "auroc", "brier", "nll", "ece")
SOFT = Options(soft=True, surface=False)


def values_of(p, y, *, bins=BINS, clip=1e-7) -> dict[str, float]:
    values, counts = distinct(np.asarray(p, float), np.asarray(y, bool))
    return {
        "ap": average_precision(counts),
        "auroc": auroc(counts),
        "brier": brier(values, counts),
        "nll": negative_log_likelihood(values, counts, clip=clip),
        "width": calibration_error(equal_width(bin_of(values, bins), counts, bins=bins)),
        "mass": calibration_error(equal_mass(counts, bins=bins)),
    }


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """In this process; the real number is only slow here."""
    monkeypatch.setitem(score_table.__kwdefaults__, "n_resamples", 200)


def evaluated(p, y, **options) -> sb.Evaluation:
    """One image (or several, by id) through the whole evaluation."""
    if not isinstance(p, dict):
        p, y = {"a": p}, {"a": y}
    names = ["background", "object"]
    return sb.evaluate(
        p,
        references=y,
        reference_policy=sb.ReferencePolicy(means_255="ignore"),
        class_names=names,
        options=Options(soft=True, surface=False, **options),
        jobs=1,
    )


# ------------------------------------------------------------------ outside values


@pytest.mark.parametrize("name", GOLDEN)
def test_scikit_learn_and_torchmetrics_give_the_same(name):
    case = GOLDEN[name]
    truth = np.array(case["truth"]).reshape(12, 20)
    p = np.array(case["probabilities"]).reshape(12, 20)
    result = evaluated(p, truth)
    for key in ("ap", "auroc", "brier", "nll"):
        assert result.score(key).value == pytest.approx(case[key], abs=1e-12), key
    for bins, expected in case["ece_width"].items():
        if (np.abs(p * int(bins) - (p * int(bins)).round()) < 1e-6).any():
            continue  # an edge belongs to the lower bin here, to the upper in torchmetrics
        found = evaluated(p, truth, bins=int(bins))
        assert found.score("ece").value == pytest.approx(
            expected, abs=2e-7
        )  # its floats are 32 bits
        assert found.score("ece", over="dataset").value == pytest.approx(expected, abs=2e-7)
    for bins, expected in case["ece_mass"].items():
        found = evaluated(p, truth, bins=int(bins), binning="mass")
        assert found.score("ece").value == pytest.approx(expected, abs=1e-12)


def test_the_golden_file_has_cases_of_both_bins():
    assert sum(bool(case["ece_mass"]) for case in GOLDEN.values()) >= 2


# ------------------------------------------------------------------ literal definitions


def literal_ap(p, y) -> float:
    total, recall, area = sum(y), 0.0, 0.0
    for t in sorted(set(p), reverse=True):
        chosen = [truth for value, truth in zip(p, y, strict=True) if value >= t]
        area += (sum(chosen) / total - recall) * sum(chosen) / len(chosen)
        recall = sum(chosen) / total
    return area


def literal_auroc(p, y) -> float:
    inside = [v for v, truth in zip(p, y, strict=True) if truth]
    outside = [v for v, truth in zip(p, y, strict=True) if not truth]
    wins = sum((a > b) + (a == b) / 2 for a in inside for b in outside)
    return wins / (len(inside) * len(outside))


def literal_ece(p, y, which, bins) -> float:
    error = 0.0
    for k in range(bins):
        members = [i for i, b in enumerate(which) if b == k]
        if members:
            share = sum(y[i] for i in members) / len(members)
            mean = sum(p[i] for i in members) / len(members)
            error += len(members) / len(p) * abs(share - mean)
    return error


def width_bins(p, bins) -> list[int]:
    return [next(k for k in range(bins) if v <= (k + 1) / bins) for v in p]


def mass_bins(p, bins) -> list[int]:
    return [bins * sum(other < v for other in p) // len(p) for v in p]


edge = st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.3, 0.5, 0.6, 0.7, 0.9, 1.0])
pixel = st.tuples(edge | st.floats(0, 1) | st.floats(0, 1, width=16), st.booleans())


@given(st.lists(pixel, min_size=1, max_size=40), st.integers(1, 12))
@settings(max_examples=300, deadline=None)
def test_the_fast_path_is_the_literal_definition(pixels, bins):
    p, y = ([*side] for side in zip(*pixels, strict=True))
    found = values_of(p, y, bins=bins)
    assert found["width"] == pytest.approx(literal_ece(p, y, width_bins(p, bins), bins), abs=1e-12)
    assert found["mass"] == pytest.approx(literal_ece(p, y, mass_bins(p, bins), bins), abs=1e-12)
    assert found["brier"] == pytest.approx(np.mean([(v - t) ** 2 for v, t in pixels]), abs=1e-12)
    kept = [min(max(v, 1e-7), 1 - 1e-7) for v in p]
    logs = [-np.log(v) if t else -np.log1p(-v) for v, t in zip(kept, y, strict=True)]
    assert found["nll"] == pytest.approx(np.mean(logs), rel=1e-9)
    if any(y):
        assert found["ap"] == pytest.approx(literal_ap(p, y), abs=1e-12)
    else:
        assert np.isnan(found["ap"])
    if any(y) and not all(y):
        assert found["auroc"] == pytest.approx(literal_auroc(p, y), abs=1e-12)
    else:
        assert np.isnan(found["auroc"])


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=20),
    st.integers(1, 30),
)
@settings(max_examples=200, deadline=None)
def test_cells_keep_the_order_the_pixels_and_the_bins(pairs, bins):
    p = np.array([v for pair in pairs for v in pair])
    y = np.arange(len(p)) % 3 == 0
    values, counts = distinct(p, y)
    kept = cells(values, counts, bins=bins)
    assert kept.counts.positives.sum() == y.sum()
    assert kept.counts.pixels.sum() == len(p)
    assert kept.counts.mass.sum() == pytest.approx(p.sum())
    assert (np.diff(kept.level) >= 0).all()
    assert (np.diff(kept.bin) >= 0).all()
    expected = np.bincount(width_bins(p.tolist(), bins), minlength=bins)
    found = np.bincount(kept.bin, kept.counts.pixels, bins)
    assert (found == expected).all()


def test_minus_zero_is_zero():
    values, counts = distinct(np.array([-0.0, 0.0, 0.5]), np.array([True, False, True]))
    assert values.tolist() == [0.0, 0.5]
    assert counts.pixels.tolist() == [2, 1]


# ------------------------------------------------------------------ pooled over images


def images(seed: int, n: int, *, grey: bool) -> tuple[dict, dict]:
    """Probabilities and references (with ignored pixels) of images of different sizes."""
    rng = np.random.default_rng(seed)
    p, y = {}, {}
    for i in range(n):
        shape = (int(rng.integers(8, 30)), int(rng.integers(8, 30)))
        truth = np.kron(rng.random((8, 8)) < 0.4, np.ones((4, 4)))[: shape[0], : shape[1]].astype(
            np.uint8
        )
        score = np.clip(rng.normal(0.3 + 0.35 * truth, 0.25), 0, 1)
        truth[rng.random(shape) < 0.1] = 255
        p[f"i{i:02d}"] = (score * 255).round() / 255 if grey else score
        y[f"i{i:02d}"] = truth
    return p, y


def together(p, y, ids=None) -> tuple[np.ndarray, np.ndarray]:
    ids = list(p) if ids is None else ids
    both = [(p[i][y[i] != 255], y[i][y[i] != 255] == 1) for i in ids]
    return tuple(np.concatenate(side) for side in zip(*both, strict=True))


@pytest.mark.parametrize("binning", ["width", "mass"])
def test_pooled_values_are_those_of_all_pixels_together(binning):
    p, y = images(3, 9, grey=True)
    result = evaluated(p, y, binning=binning, bins=10)
    expected = values_of(*together(p, y), bins=10)
    for key in KEYS:
        found = result.score(key, over="dataset").value
        assert found == pytest.approx(expected[binning if key == "ece" else key], abs=1e-12), key


def test_pooled_ranks_of_floats_are_as_fine_as_the_levels():
    p, y = images(4, 9, grey=False)
    result = evaluated(p, y)
    expected = values_of(*together(p, y))
    for key in ("brier", "nll"):
        assert result.score(key, over="dataset").value == pytest.approx(expected[key], abs=1e-12)
    assert result.score("ece", over="dataset").value == pytest.approx(expected["width"], abs=1e-12)
    for key in ("ap", "auroc"):
        assert result.score(key, over="dataset").value == pytest.approx(expected[key], abs=5e-4)


@pytest.mark.parametrize("binning", ["width", "mass"])
def test_a_resample_is_the_score_of_the_images_drawn(binning):
    p, y = images(5, 5, grey=True)
    result = evaluated(p, y, binning=binning)
    measures = [s.measure for s in result.scores if s.measure.definition.of_probabilities]
    weight = np.array([[2.0, 0, 1, 0, 2], [1, 1, 1, 1, 1]])
    found = weighted_values(result.table, measures)(weight)
    drawn = ["i00", "i00", "i02", "i04", "i04"]
    pooled = values_of(*together(p, y, drawn))
    single = [values_of(*together(p, y, [i])) for i in drawn]
    for measure, value in zip(measures, found[0], strict=True):
        name = binning if measure.key == "ece" else measure.key
        expected = pooled[name] if measure.over == "dataset" else np.mean([v[name] for v in single])
        assert value == pytest.approx(expected, abs=1e-12), measure
    points = [result.score(m.key, over=m.over).value for m in measures]
    assert found[1] == pytest.approx(points, abs=1e-12)


def test_the_area_is_the_same_from_pairs_of_groups_and_from_levels(monkeypatch):
    p, y = images(12, 7, grey=False)
    result = evaluated(p, y)
    measures = [result.score("auroc", over="dataset").measure]
    weight = np.random.default_rng(0).multinomial(7, [1 / 7] * 7, size=50).astype(float)
    pairs = weighted_values(result.table, measures)(weight)
    monkeypatch.setattr("segbench.soft.LEVELS", 6)
    levels = weighted_values(result.table, measures)(weight)
    np.testing.assert_allclose(pairs, levels, rtol=1e-12)


def test_intervals_hold_the_value_and_subgroups_are_scored():
    p, y = images(6, 30, grey=False)
    result = evaluated(p, y)
    for score in result.scores:
        if score.measure.definition.of_probabilities and score.measure.key != "ece":
            assert score.ci95[0] < score.value < score.ci95[1]
    large = {
        s.measure.key: s for s in result.subgroups["size"]["large"] if s.measure.over == "dataset"
    }
    chosen = [i for i, label in zip(sorted(p), sizes_of(result), strict=True) if label == "large"]
    assert 0 < len(chosen) < 30
    assert large["brier"].value == pytest.approx(values_of(*together(p, y, chosen))["brier"])


def sizes_of(result) -> list[str]:
    from segbench.scoring.evaluate import sizes  # noqa: PLC0415

    return sizes(result.table)[0]


# ------------------------------------------------------------------ rules


def test_ignored_pixels_count_nowhere():
    p, y = images(8, 6, grey=False)
    rng = np.random.default_rng(0)
    other = {i: np.where(y[i] == 255, rng.random(y[i].shape), p[i]) for i in p}
    a, b = evaluated(p, y), evaluated(other, y)
    assert any((other[i] != p[i]).any() for i in p)
    for key in KEYS:
        for over in ("images", "dataset"):
            assert a.score(key, over=over).value == b.score(key, over=over).value


def test_images_without_or_with_nothing_but_the_object_are_left_out_where_undefined_and_counted():
    rng = np.random.default_rng(1)
    shape = (10, 10)
    y = {
        "empty": np.zeros(shape, int),
        "full": np.ones(shape, int),
        "ignored": np.full(shape, 255),
        "mixed": rng.integers(0, 2, shape),
    }
    p = {name: rng.random(shape) for name in y}
    result = evaluated(p, y)
    defined = {key: result.score(key).n for key in KEYS}
    assert defined == {"ap": 2, "auroc": 1, "brier": 3, "nll": 3, "ece": 3}
    assert result.score("ap").value == pytest.approx(
        (1 + values_of(p["mixed"].ravel(), y["mixed"].ravel())["ap"]) / 2
    )
    assert result.score("auroc", over="dataset").n == 3  # images that have pixels
    assert result.score("auroc", over="dataset").value == pytest.approx(
        values_of(*together(p, y))["auroc"], abs=5e-4
    )


def test_a_missing_prediction_scores_the_worst_value():
    p, y = images(9, 4, grey=False)
    policy = sb.Policy(missing="worst")
    some = {i: p[i] for i in list(p)[1:]}
    names = ["background", "object"]
    result = sb.evaluate(
        some,
        references=y,
        reference_policy=sb.ReferencePolicy(means_255="ignore"),
        class_names=names,
        options=Options(soft=True, surface=False, clip=1e-5),
        policy=policy,
    )
    worst = {"ap": 0.0, "auroc": 0.0, "brier": 1.0, "nll": -np.log(1e-5), "ece": 1.0}
    for key, value in worst.items():
        of_image = result.table.per_image(result.score(key).measure)
        assert of_image[0] == pytest.approx(value, abs=1e-12), key
        assert DEFINITIONS[key].worst == pytest.approx(value) or key == "nll"
    assert result.score("brier").signature.endswith(f"|missing:worst|v:{sb.__version__}")
    wrong = {**p, "i00": (y["i00"] != 1).astype(float)}  # pooled: the worst map there could be
    expected = values_of(*together(wrong, y), clip=1e-5)
    for key in ("brier", "nll", "auroc"):
        assert result.score(key, over="dataset").value == pytest.approx(expected[key], abs=5e-4)


def test_two_channels_are_the_probabilities_of_two_classes_and_three_are_one_against_the_rest():
    p, y = images(10, 3, grey=False)
    stacked = {i: np.stack((1 - p[i], p[i])) for i in p}
    a, b = evaluated(p, y), evaluated(stacked, y)
    assert [s.value for s in a.scores] == [s.value for s in b.scores]
    rng = np.random.default_rng(2)
    logits = {i: rng.normal(size=(3, *y[i].shape)) for i in y}
    soft = {i: np.exp(v) / np.exp(v).sum(axis=0) for i, v in logits.items()}
    truth = {i: np.where(y[i] == 255, 255, rng.integers(0, 3, y[i].shape)) for i in y}
    result = sb.evaluate(
        soft, references=truth, class_names=["background", "hair", "lesion"], options=SOFT
    )
    found = result.table.per_image(result.score("ap", "lesion").measure)
    for value, i in zip(found, sorted(y), strict=True):
        valid = truth[i] != 255
        expected = values_of(soft[i][2][valid], truth[i][valid] == 2)["ap"]
        assert value == pytest.approx(expected, abs=1e-12)
    assert not [
        s for s in result.scores if s.measure.key == "ap" and s.measure.label == "background"
    ]


def test_soft_measures_are_off_by_default_and_say_their_options():
    names = ["background", "lesion"]
    assert not [m for m in grid(names, background=0) if m.definition.of_probabilities]
    found = [
        str(m)
        for m in grid(
            names, background=0, options=Options(soft=True, bins=10, binning="mass", clip=1e-6)
        )
        if m.definition.of_probabilities
    ]
    assert found == [
        "ap|class:lesion|over:images|empty:nan",
        "ap|class:lesion|over:dataset|levels:4096|empty:nan",
        "auroc|class:lesion|over:images|empty:nan",
        "auroc|class:lesion|over:dataset|levels:4096|empty:nan",
        "brier|class:lesion|over:images|empty:nan",
        "brier|class:lesion|over:dataset|empty:nan",
        "nll|class:lesion|over:images|clip:1e-06|empty:nan",
        "nll|class:lesion|over:dataset|clip:1e-06|empty:nan",
        "ece|class:lesion|over:images|bins:10|binning:mass|empty:nan",
        "ece|class:lesion|over:dataset|bins:10|binning:mass|levels:4096|empty:nan",
    ]
    assert [str(parse(text)) for text in found] == found


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": "ece", "bins": 0}, "bins:0"),
        ({"key": "ece", "bins": 1001}, "1000 or less"),
        ({"key": "ece", "binning": "depth"}, "expected width or mass"),
        ({"key": "nll", "clip": 0}, "more than 0"),
        ({"key": "ap", "bins": 10}, "ap takes no bins"),
        ({"key": "auroc", "over": "classes", "label": "all"}, "has no value"),
        ({"key": "brier", "empty": "1"}, "expected nan"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(sb.SegbenchError, match=message):
        Measure(**{"label": "lesion", "over": "images", **options})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ap|class:a|over:images|levels:4096", "none"),
        ("ap|class:a|over:dataset|levels:256", "4096"),
    ],
)
def test_levels_are_where_they_have_an_effect(text, expected):
    with pytest.raises(sb.SegbenchError, match=f"expected {expected}"):
        parse(text)


# ------------------------------------------------------------------ files


@pytest.fixture(scope="module")
def once(tmp_path_factory) -> tuple[Path, dict, dict]:
    """A folder with scores of probabilities, and what they were made of."""
    p, y = images(11, 12, grey=False)
    folder = tmp_path_factory.mktemp("soft") / "scores"
    write_evaluation(evaluated(p, y), folder)
    return folder, p, y


@pytest.fixture
def saved(once, tmp_path) -> tuple[Path, dict, dict]:
    """The same, to damage."""
    folder, p, y = once
    shutil.copytree(folder, tmp_path / "scores")
    return tmp_path / "scores", p, y


def test_scores_read_back_and_come_out_of_the_files_again(saved):
    folder, p, y = saved
    stored = read_scores(folder)
    result = evaluated(p, y)
    assert {s.signature: s.value for s in stored.scores if s.value == s.value} == {
        s.signature: s.value for s in result.scores if s.value == s.value
    }
    assert stored.table.soft is not None


def cell_column(folder: Path, name: str, change) -> None:
    path = folder / PROBABILITIES
    rows = pq.read_table(path)
    values = rows[name].to_numpy().copy()
    change(values)
    index = rows.column_names.index(name)
    import pyarrow as pa  # noqa: PLC0415

    pq.write_table(rows.set_column(index, name, pa.array(values)), path)


def first_is(value):
    def change(values):
        values[0] = value

    return change


def move_a_pixel(values) -> None:
    """From one cell of the first image to another: the sums of the image stay."""
    full = np.flatnonzero(values[:40] > 0)
    values[full[0]] -= 1
    values[full[-1]] += 1


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / PROBABILITIES).unlink(), "probabilities.parquet"),
        (lambda f: (f / PROBABILITIES).write_bytes(b"PAR1"), "not readable as Parquet"),
        (lambda f: cell_column(f, "level", first_is(4096)), "expected 0 to 4095"),
        (lambda f: cell_column(f, "image", first_is(-1)), "image from -1"),
        (lambda f: cell_column(f, "probability_sum", first_is(1e9)), "beyond their pixels"),
        (lambda f: cell_column(f, "probability_sum", first_is(np.nan)), "beyond their pixels"),
        (lambda f: cell_column(f, "positives", first_is(10**6)), "differ from the counts"),
        (lambda f: cell_column(f, "negatives", move_a_pixel), "does not follow from the rows"),
    ],
)
def test_files_that_do_not_agree_are_refused(saved, damage, message):
    folder, *_ = saved
    damage(folder)
    with pytest.raises(sb.SegbenchError, match=message):
        read_scores(folder)


def test_entries_are_compared_by_probabilities(saved, segbench, tmp_path):
    folder, p, y = saved
    sharper = {i: np.clip(1.6 * (v - 0.5) + 0.5, 0, 1) for i, v in p.items()}
    write_evaluation(evaluated(sharper, y), tmp_path / "sharper")
    for measure in ("brier", "auroc|over:dataset"):
        ran = segbench("compare", folder, tmp_path / "sharper", "--measure", measure, "--json")
        assert ran.code == 0, ran.err
        assert measure.partition("|")[0] in ran.out


# ------------------------------------------------------------------ the command line


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> tuple[list[object], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """References as the command line takes them, soft maps as float32, and the references."""
    p, y = images(21, 8, grey=False)
    folder = save(tmp_path_factory.mktemp("truth"), y, ".png")
    command = [
        "--references",
        folder,
        "--references-255",
        "ignore",
        "--classes",
        "background,lesion",
        "--no-surface",
        "--soft",
    ]
    return command, {i: v.astype(np.float32) for i, v in p.items()}, y


def save(folder: Path, maps: dict[str, np.ndarray], ending: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, array in maps.items():
        if ending == ".npy":
            np.save(folder / f"{name}.npy", array)
        elif ending == ".npz":
            np.savez_compressed(folder / f"{name}.npz", probabilities=array)
        else:
            Image.fromarray(array).save(folder / f"{name}{ending}")
    return folder


def test_every_file_of_probabilities_scores_the_same_to_the_bit(tmp_path, drawn, segbench):
    command, maps, truth = drawn
    places = [save(tmp_path / ending[1:], maps, ending) for ending in (".npz", ".tif")]
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(save(tmp_path / "npy", maps, ".npy").iterdir()):
            archive.write(path, f"probs/{path.name}")
    found = []
    for place in (*places, packed):
        ran = segbench(
            "evaluate",
            "--predictions",
            place,
            *command,
            "--json",
        )
        assert ran.code == 0, ran.err
        found.append(json.loads(ran.out)["scores"])
    assert found[0] == found[1] == found[2]
    by_name = {(s["measure"], s["over"]): s for s in found[0] if s["class"] == "lesion"}
    assert {key for key, _ in by_name} >= {*KEYS}
    expected = values_of(*together(maps, truth))
    assert by_name["brier", "dataset"]["value"] == pytest.approx(expected["brier"], abs=1e-9)
    assert by_name["ece", "dataset"]["value"] == pytest.approx(expected["width"], abs=1e-9)
    assert by_name["auroc", "dataset"]["value"] == pytest.approx(expected["auroc"], abs=1e-4)


def test_the_folder_and_the_tables_have_them(tmp_path, drawn, segbench):
    command, maps, truth = drawn
    place = save(tmp_path / "probs", maps, ".npz")
    out = tmp_path / "scores"
    ran = segbench(
        "evaluate",
        "--predictions",
        place,
        *command,
        "--bins",
        "10",
        "--binning",
        "mass",
        "--clip",
        "1e-6",
        "--out",
        out,
    )
    assert ran.code == 0, ran.err
    assert "Expected calibration error (10 bins of equal mass)" in ran.out
    assert sorted(path.name for path in out.iterdir()) == [
        PROBABILITIES,
        "report.html",
        "rows.parquet",
        "scores.json",
    ]
    rows = pq.read_table(out / "rows.parquet").to_pandas()
    lesions = rows[rows["class"] == "lesion"].set_index("id")
    (name, p), *_ = maps.items()
    valid = truth[name] != 255
    expected = values_of(p[valid], truth[name][valid] == 1)
    assert lesions.loc[name, "auroc"] == pytest.approx(expected["auroc"])
    assert rows[rows["class"] == "background"]["auroc"].isna().all()
    report = (out / "report.html").read_text()
    assert "Expected calibration error" in report
    assert "--soft" in report
    read_scores(out)
    shown = segbench("measures", "nll")
    assert "[clip, 1 - clip]" in shown.out
    assert "nll|class:lesion|over:images|clip:1e-07|empty:nan|..." in shown.out


@pytest.mark.parametrize(("ending", "top"), [(".png", 255), (".png", 65535), (".tif", 65535)])
def test_grey_pictures_are_probabilities_where_that_is_said(tmp_path, drawn, segbench, ending, top):
    command, maps, truth = drawn
    kind = np.uint8 if top == 255 else np.uint16
    levels = {name: (p * top).round().astype(kind) for name, p in maps.items()}
    place = save(tmp_path / "grey", levels, ending)
    ran = segbench("evaluate", "--predictions", place, *command)
    assert ran.code == 1
    assert "--form probabilities" in ran.err
    ran = segbench(
        "evaluate",
        "--predictions",
        place,
        *command,
        "--form",
        "probabilities",
        "--json",
        "--out",
        tmp_path / "out",
    )
    assert ran.code == 0, ran.err
    by_name = {
        (s["measure"], s["class"], s["over"]): s["value"] for s in json.loads(ran.out)["scores"]
    }
    expected = values_of(*together({i: v / top for i, v in levels.items()}, truth))
    assert by_name["brier", "lesion", "dataset"] == pytest.approx(expected["brier"], abs=1e-12)
    cut = evaluated({i: v / top for i, v in levels.items()}, truth).score("dice").value
    assert by_name["dice", "lesion", "images"] == cut


def test_class_ids_are_not_taken_for_faint_probabilities(tmp_path, drawn, segbench):
    command, maps, _ = drawn
    place = save(
        tmp_path / "ids", {name: (p > 0.5).astype(np.uint8) for name, p in maps.items()}, ".png"
    )
    ran = segbench("evaluate", "--predictions", place, *command, "--form", "probabilities")
    assert ran.code == 1
    assert "grey levels 0 and 1 of 255" in ran.err
    palette = Image.new("P", (3, 3))
    folder = tmp_path / "palette"
    folder.mkdir()
    palette.save(folder / "i00.png")
    ran = segbench(
        "evaluate",
        "--predictions",
        folder,
        *command,
        "--form",
        "probabilities",
        "--missing",
        "worst",
        "--resize",
        "nearest",
    )
    assert ran.code == 1
    assert "pixel format P" in ran.err


def test_hard_masks_are_refused_with_what_to_do(tmp_path, drawn, segbench):
    command, maps, _truth = drawn
    masks = {name: ((p > 0.5) * 255).astype(np.uint8) for name, p in maps.items()}
    place = save(tmp_path / "masks", masks, ".png")
    ran = segbench(
        "evaluate",
        "--predictions",
        place,
        *command,
    )
    assert ran.code == 1
    assert "hard masks (read as binary)" in ran.err
    assert "segbench predict --probabilities" in ran.err
    assert "leave out --soft" in ran.err


def test_masks_saved_as_floats_are_refused_too(tmp_path, drawn, segbench):
    command, maps, _truth = drawn
    place = save(
        tmp_path / "cut", {name: (p > 0.5).astype(np.float32) for name, p in maps.items()}, ".npy"
    )
    ran = segbench(
        "evaluate",
        "--predictions",
        place,
        *command,
    )
    assert ran.code == 1
    assert "hold only 0 and 1 in all 8 files" in ran.err


def test_logits_are_refused_with_what_to_do(tmp_path, drawn, segbench):
    command, maps, _truth = drawn
    place = save(tmp_path / "logits", {name: (p - 0.5) * 8 for name, p in maps.items()}, ".tif")
    ran = segbench(
        "evaluate",
        "--predictions",
        place,
        *command,
    )
    assert ran.code == 1
    assert "apply the sigmoid or softmax" in ran.err


def test_a_mixture_of_masks_and_probabilities_is_refused(tmp_path, drawn, segbench):
    command, maps, _truth = drawn
    place = save(tmp_path / "mixed", maps, ".npy")
    first = next(iter(maps))
    np.save(place / f"{first}.npy", (maps[first] > 0.5).astype(np.uint8))
    ran = segbench(
        "evaluate",
        "--predictions",
        place,
        *command,
    )
    assert ran.code == 1
    assert "mixed forms" in ran.err
    shutil.rmtree(place)
