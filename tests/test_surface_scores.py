"""Measures of boundaries through `evaluate`: values, empty rules, options, forms, missing files."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import segbench as sb
from segbench import surface
from segbench.masks.labels import LabelClass
from segbench.masks.submission import Arrays
from segbench.scoring.evaluate import score_target
from segbench.scoring.target import BareItem, Target

GOLDEN = Path(__file__).parent / "golden" / "ph2_otsu_surface.json"
SIZE = (40, 60)
DIAGONAL = math.hypot(*SIZE)
NAMES = ["background", "a", "b"]


def blocks(seed: int) -> np.ndarray:
    """A label map of a few rectangles."""
    rng = np.random.default_rng(seed)
    out = np.zeros(SIZE, np.uint8)
    for label in (1, 2, 1):
        y, x = rng.integers(0, 25), rng.integers(0, 40)
        out[y : y + rng.integers(4, 15), x : x + rng.integers(4, 20)] = label
    return out


def disc(x: int, radius: int = 9) -> np.ndarray:
    rows, columns = np.ogrid[: SIZE[0], : SIZE[1]]
    return ((rows - 20) ** 2 + (columns - x) ** 2 < radius**2).astype(np.uint8)


def images(result: sb.Evaluation, key: str, label: str) -> np.ndarray:
    return result.table.per_image(result.score(key, label).measure)


def by_hand(reference, prediction, label: int, **spacing) -> dict[str, float]:
    """The measures of one class, straight from `surface`; ignored pixels are in neither mask."""
    valid = reference != 255
    a, b = (reference == label) & valid, (prediction == label) & valid
    d = surface.surface_distances(a, b, **spacing)
    tolerance = {"tolerance_mm": 2.0} if spacing else {"tolerance_px": 2.0}
    return {
        "hd": surface.hausdorff(d),
        "hd95": surface.hausdorff_percentile(d, 95),
        "assd": surface.assd(d),
        "masd": surface.masd(d),
        "nsd": surface.nsd(d, **tolerance),
        "boundary_f1": surface.boundary_f1(d, **tolerance),
        "boundary_iou": surface.boundary_iou(a, b),
    }


@pytest.mark.parametrize("spacing", [{}, {"spacing_mm": (0.5, 0.25)}], ids=["px", "mm"])
def test_values_of_images_are_those_of_their_masks(spacing):
    references, predictions = [blocks(i) for i in range(6)], [blocks(i + 50) for i in range(6)]
    for reference in references:
        reference[:7, :9] = 255
    options = sb.Options(**spacing)
    result = sb.evaluate(predictions, references=references, class_names=NAMES, options=options)
    for label in (1, 2):
        expected = [
            by_hand(*pair, label, **spacing) for pair in zip(references, predictions, strict=True)
        ]
        for key in expected[0]:
            each = [value[key] for value in expected]
            np.testing.assert_array_equal(images(result, key, NAMES[label]), each, err_msg=key)
            mean = result.score(key, NAMES[label])
            assert mean.value == pytest.approx(np.nanmean(each))
            assert ("unit:px" in mean.signature) == (not spacing and key != "boundary_iou")
    with pytest.raises(sb.SegbenchError, match="no score hd"):
        result.score("hd", "background")
    rows = result.rows().set_index(["id", "class"])
    assert rows.loc[("000002", "a"), "hd95"] == images(result, "hd95", "a")[2]
    assert rows.xs("background", level="class")["hd95"].isna().all()


EMPTY, FULL = np.zeros(SIZE, np.uint8), disc(30)


@pytest.mark.parametrize(
    ("rule", "missed"), [("diagonal", DIAGONAL), ("inf", math.inf), ("nan", math.nan)]
)
def test_empty_rule_of_distances(rule, missed):
    truth, guess = [FULL, FULL, EMPTY, EMPTY], [FULL, EMPTY, FULL, EMPTY]
    result = sb.evaluate(guess, references=truth, options=sb.Options(empty_distance=rule))
    for key in ("hd", "hd95", "assd", "masd"):
        expected = [0, missed, missed, math.nan]
        np.testing.assert_array_equal(images(result, key, "object"), expected, err_msg=key)
        score = result.score(key)
        assert score.n == (1 if rule == "nan" else 3)
        assert f"|empty:{rule}|" in score.signature
        np.testing.assert_array_equal(score.value, {"nan": 0.0}.get(rule, 2 * missed / 3))
        assert not math.isinf(score.ci95[0])
    for key in ("nsd", "boundary_f1", "boundary_iou"):
        np.testing.assert_array_equal(images(result, key, "object"), [1, 0, 0, math.nan])
    if rule == "inf":
        assert result.score("hd95", over="worst10").value == math.inf


@pytest.mark.parametrize("empty", ["1", "0"])
def test_empty_rule_of_boundary_overlaps(empty):
    result = sb.evaluate([EMPTY, FULL], references=[EMPTY, EMPTY], options=sb.Options(empty=empty))
    for key in ("nsd", "boundary_f1", "boundary_iou"):
        np.testing.assert_array_equal(images(result, key, "object"), [float(empty), 0])
    np.testing.assert_array_equal(images(result, "hd", "object"), [math.nan, DIAGONAL])


@pytest.mark.parametrize("rule", ["diagonal", "nan", "inf"])
def test_a_missing_prediction_has_the_worst_distance_under_every_rule(rule):
    truth = {"a": FULL, "b": FULL, "c": EMPTY}
    result = sb.evaluate(
        {"a": FULL},
        references=truth,
        policy=sb.Policy(missing="worst"),
        options=sb.Options(empty_distance=rule),
    )
    worst = math.inf if rule == "inf" else DIAGONAL
    np.testing.assert_array_equal(images(result, "hd95", "object"), [0, worst, worst])
    np.testing.assert_array_equal(images(result, "nsd", "object"), [1, 0, 0])
    np.testing.assert_array_equal(images(result, "miss_rate", "object"), [0, 1, 1])


def target_of(masks: dict[str, np.ndarray], classes) -> Target:
    items = tuple(
        BareItem(id=name, group=name, columns={}, size=mask.shape, read=lambda mask=mask: mask)
        for name, mask in masks.items()
    )
    return Target("t", "1", "test", None, "0123456789abcdef", classes, items)


def test_a_file_whose_values_fit_two_forms_is_measured_in_the_form_of_all():
    """{0, 2} alone could be ids or grey colours; the other file settles that they are ids."""
    classes = (
        LabelClass(id=0, name="background", color=(0, 0, 0)),
        LabelClass(id=1, name="a", color=(2, 2, 2)),
        LabelClass(id=2, name="b", color=(1, 1, 1)),
        LabelClass(id=3, name="c", color=(9, 9, 9)),
    )
    truth = {"x": 2 * disc(30), "y": 3 * disc(30)}
    guess = {"x": 2 * disc(33), "y": 3 * disc(20)}
    result = score_target(
        target_of(truth, classes), Arrays(guess), policy=sb.Policy(), options=sb.Options()
    )
    for label, name, other in ((2, "b", "y"), (3, "c", "x")):
        mine = next(k for k in truth if k != other)
        expected = by_hand(truth[mine], guess[mine], label)["hd"]
        values = dict(zip(truth, images(result, "hd", name), strict=True))
        assert values[mine] == expected > 0
        assert math.isnan(values[other])


def test_probabilities_binary_and_resized_masks_have_the_same_boundaries(tmp_path):
    truth, guess = {"x": disc(30), "y": disc(20)}, {"x": disc(33), "y": disc(25)}
    expected = images(sb.evaluate(guess, references=truth), "hd95", "object")
    soft = {k: 0.2 + 0.5 * v.astype(np.float32) for k, v in guess.items()}
    binary = {k: 255 * v for k, v in guess.items()}
    for form in (soft, binary):
        np.testing.assert_array_equal(
            images(sb.evaluate(form, references=truth), "hd95", "object"), expected
        )
    doubled = {k: v.repeat(2, axis=0).repeat(2, axis=1) for k, v in guess.items()}
    for name, mask in doubled.items():
        Image.fromarray(mask).save(tmp_path / f"{name}.png")
    result = sb.evaluate(tmp_path, references=truth, policy=sb.Policy(resize="nearest"))
    np.testing.assert_array_equal(images(result, "hd95", "object"), expected)


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path):
    for name, shift in (("truth", 0), ("guess", 4)):
        (tmp_path / name).mkdir()
        for i in range(3):
            mask = disc(20 + 5 * i + shift) if (name, i) != ("guess", 2) else EMPTY
            Image.fromarray(255 * mask).save(tmp_path / name / f"s{i}.png")
    return ["--predictions", tmp_path / "guess", "--references", tmp_path / "truth"]


def scores_of(text: str) -> dict[tuple[str, str], dict]:
    listed = json.loads(text)["scores"]
    return {(s["measure"], s["over"]): s for s in listed if s["class"] == "object"}


def test_options_of_the_command(folders, tmp_path, segbench):
    plain = scores_of(segbench("evaluate", *folders, "--json").out)
    ran = segbench(
        "evaluate", *folders, "--json", "--out", tmp_path / "out", "--spacing-mm", "0.5,0.25",
        "--tolerance", "1.5", "--boundary", "length", "--percentile", "90",
        "--percentile-rule", "pooled", "--empty-distance", "inf", "--iou-threshold", "0.5",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    found = scores_of(ran.out)
    assert "hd95" not in {key for key, _ in found}
    assert found["hd90", "images"]["signature"].startswith(
        "hd90|class:object|over:images|boundary:length|rule:pooled|spacing_mm:0.5x0.25|empty:inf|"
    )
    assert found["hd90", "images"]["value"] == "inf"
    assert found["hd90", "median"]["value"] == pytest.approx(1, abs=0.2)  # 4 px of 0.25 mm
    assert plain["hd95", "median"]["value"] == 4
    assert "tolerance_mm:1.5" in found["nsd", "images"]["signature"]
    assert found["nsd", "images"]["value"] == pytest.approx(2 / 3)
    assert "threshold:0.5" in found["failure_rate", "images"]["signature"]
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "--spacing-mm 0.5,0.25" in report
    assert "--percentile-rule pooled" in report
    assert "90 % Hausdorff distance" in report
    rows = pd.read_parquet(tmp_path / "out" / "rows.parquet")
    assert set(rows.loc[rows["class"] == "object", "hd90"] == math.inf) == {True, False}


def test_no_surface_leaves_boundaries_out(folders, tmp_path, segbench):
    ran = segbench("evaluate", *folders, "--no-surface", "--json", "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert not {key for key, _ in scores_of(ran.out)} & {"hd", "hd95", "nsd", "boundary_iou"}
    assert "--no-surface" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--spacing-mm", "wide"], "expected a number, or two"),
        (["--spacing-mm", "1,2,3"], "expected a number, or two"),
        (["--spacing-mm", "0"], "spacing_mm:0.0; expected a number, 1e-09 or more"),
        (["--spacing-mm", "1e-320,1"], "spacing_mm:1e-320; expected a number, 1e-09 or more"),
        (["--spacing-mm", "1e308,1e308"], "spacing_mm:1e+308; expected a number, 1e-09 or more"),
        (["--dilation-ratio", "1e300"], "dilation_ratio:1e+300; expected a number, more than 0, 1"),
        (["--percentile", "100"], "percentile 100.0; expected 1 to under 100"),
        (["--percentile", "0.5"], "percentile 0.5; expected 1 to under 100"),
        (["--dilation-ratio", "0"], "dilation_ratio:0.0; expected a number, more than 0"),
        (["--tolerance", "-1"], "greater than or equal to 0"),
    ],
)
def test_options_that_are_refused(folders, segbench, arguments, said):
    ran = segbench("evaluate", *folders, *arguments)
    assert ran.code in {1, 2}
    assert said in " ".join(ran.err.split())
    assert "Traceback" not in ran.err


def test_every_measure_has_a_page(segbench):
    for key in ("hd95", "hd90", "nsd", "failure_rate"):
        ran = segbench("measures", key)
        assert ran.code == 0
        for word in ("formula", "range", "direction", "empty rule", "reference", "in a signature"):
            assert word in ran.out
    ran = segbench("measures", "hd101")
    assert ran.code == 1
    assert "hd95" in ran.err


# --- another tool, on real masks ------------------------------------------------------------------


@pytest.mark.xdist_group("real")
def test_ph2_otsu_equals_metrics_reloaded(ph2, tmp_path, segbench):
    golden = json.loads(GOLDEN.read_text())["values"]
    ran = segbench("predict", "otsu", "--dataset", "ph2", "--data", ph2, "--out", tmp_path / "otsu")
    assert ran.code == 0, ran.err
    result = sb.evaluate(tmp_path / "otsu", dataset="ph2", data=ph2)
    ids = [item.id for item in result.target.items]
    assert ids == list(golden)
    same = [
        name
        for name in ids
        if digest_of(tmp_path / "otsu" / f"{name}.png") == golden[name]["prediction"]
    ]
    if len(same) < len(ids):
        pytest.skip(f"otsu's masks differ from the recorded ones in {len(ids) - len(same)} images")
    for key in ("hd", "hd95", "assd", "masd", "nsd", "dice"):
        expected = [golden[name][key] for name in ids]
        np.testing.assert_allclose(images(result, key, "lesion"), expected, rtol=1e-12, err_msg=key)


def digest_of(path: Path) -> str:
    mask = (np.asarray(Image.open(path)) == 1).astype(np.uint8)
    return hashlib.sha256(mask.tobytes()).hexdigest()[:16]
