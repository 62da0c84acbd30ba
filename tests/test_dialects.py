"""Every dialect against what its tool printed: tests/golden/dialects/*.json (`make peers-golden`)."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import re
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segbench.dialects import DIALECTS, Observer, Ruler, converse, keys_of, rounded, say
from segbench.masks.prepared import open_prepared
from segbench.masks.submission import open_submission
from segbench.scoring.tally import Policy
from segbench.scoring.target import prepared_target

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden" / "dialects"
MASKS = ROOT / "benchmark" / "tools" / "peers_golden" / "masks.py"
PH2 = "PH2 test, otsu"

TOLERANCE = {
    "float64": {"rel": 1e-12, "abs": 1e-12},  # sums in another order
    "float32": {"rel": 2e-6, "abs": 1e-6},  # the tool's own rounding
    "2 decimals of a per cent": {"rel": 0, "abs": 1e-9},
}


def _load_masks():
    spec = importlib.util.spec_from_file_location("peers_golden_masks", MASKS)
    module = importlib.util.module_from_spec(spec)
    sys.modules["peers_golden_masks"] = module
    spec.loader.exec_module(module)
    return module


MODULE = _load_masks()
SETS = MODULE.sets()


@cache
def golden(tool):
    return json.loads((GOLDEN / f"{tool}.json").read_text())


@cache
def observed(name):
    what = SETS[name]
    observer = Observer(tuple(range(what.n_classes)), 0, keys_of(DIALECTS.values()), Ruler())
    samples = [observer.sample(r, p) for r, p in what.pairs]
    return observer.observed(samples, [f"class {c}" for c in range(what.n_classes)])


def assert_says(dialect, seen, printed, where):
    said = {s.number.name: s for s in say(dialect, seen)}
    assert set(said) == set(printed), where
    for name, value in printed.items():
        ours = said[name]
        if isinstance(value, dict):  # the tool raised an error
            assert ours.error, (where, name, value)
            assert not ours.values
            continue
        assert not ours.error, (where, name, ours.error)
        expected = [float(v) for v in (value if isinstance(value, list) else [value])]
        found = list(ours.values.values())
        assert found == pytest.approx(
            expected, nan_ok=True, **TOLERANCE[dialect.precision]
        ), (where, name)  # fmt: skip


def test_every_dialect_has_its_file_and_every_file_its_dialect():
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(DIALECTS)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("tool", DIALECTS)
def test_random_and_tiny_masks(tool, name):
    found = golden(tool)["sets"][name]
    assert found["digest"] == SETS[name].digest, "these are not the masks that the tool was given"
    seen = observed(name)
    assert_says(DIALECTS[tool], seen, found["whole"], "whole")
    for i, printed in found["images"].items():
        assert_says(DIALECTS[tool], seen.take(int(i)), printed, f"image {i}")


@pytest.mark.xdist_group("real")
@pytest.mark.parametrize("tool", DIALECTS)
def test_ph2_predictions(tool, ph2_observed):
    ids, seen = ph2_observed
    found = golden(tool)["sets"][PH2]
    assert len(ids) == 100
    assert_says(DIALECTS[tool], seen, found["whole"], "whole")
    for i, identifier in enumerate(ids):
        if found["images"]:
            printed = found["images"][identifier]
            assert_says(DIALECTS[tool], seen.take(i), printed, identifier)


@pytest.fixture(scope="session")
def ph2_observed(request):
    there = Path(os.environ.get("SEGBENCH_DATA", "nowhere"))
    ph2 = there if (there / "ph2").exists() else request.getfixturevalue("ph2")
    submission = open_submission(ROOT / "results" / "ph2" / "otsu" / "predictions.json")
    target = prepared_target(open_prepared("ph2", data=ph2), split="test", fold=None)
    conversation = converse(
        target, submission, list(DIALECTS.values()), policy=Policy(), ruler=Ruler(), jobs=2
    )
    pairs = [(item.read(), item.id) for item in target.items]
    assert golden("medpy")["sets"][PH2]["images"].keys() == {i for _, i in pairs}
    return [item.id for item in target.items], conversation.observed


def test_medpy_loses_its_rules_for_empty_masks_under_newer_numpy():
    """The same tool, two answers: where ours follows medpy's source, NumPy 2.3 and later give NaN."""
    newer = json.loads((ROOT / "tests" / "golden" / "medpy_numpy_2.4.json").read_text())
    changed = 0
    for name, found in newer["sets"].items():
        old = golden("medpy")["sets"][name]["whole"]
        for number, values in found["whole"].items():
            for before, now in zip(old[number], values, strict=True):
                changed += now == "nan" and before != "nan"
                assert now in ("nan", before)
    assert changed == 17


REFERENCE = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]], np.uint8)
PREDICTION = np.array([[0, 0, 1, 1], [0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 2]], np.uint8)


def pair_observed(pairs, k, ruler=None):
    observer = Observer(tuple(range(k)), 0, keys_of(DIALECTS.values()), ruler or Ruler())
    samples = [observer.sample(r, p) for r, p in pairs]
    return observer.observed(samples, [f"class {c}" for c in range(k)])


def value_of(tool, number, seen):
    (said,) = (s for s in say(DIALECTS[tool], seen) if s.number.name == number)
    values = list(said.values.values())
    return values if len(values) > 1 else values[0]


# Rows of docs/overlap.md whose tool is a dialect, by the tool's words there.
SAME_NUMBER = {
    "torchmetrics MulticlassJaccardIndex macro": (
        "torchmetrics",
        "MulticlassJaccardIndex(average='macro')",
    ),
    "torchmetrics MulticlassJaccardIndex micro": (
        "torchmetrics",
        "MulticlassJaccardIndex(average='micro')",
    ),
    "torchmetrics segmentation.MeanIoU (index)": ("torchmetrics", "segmentation.MeanIoU()"),
    "torchmetrics DiceScore macro (index)": ("torchmetrics", "segmentation.DiceScore()"),
    "sklearn jaccard macro labels=range(K), zero_division=0": (
        "sklearn",
        "jaccard_score(average='macro', labels=all)",
    ),
    "sklearn jaccard macro labels=None": ("sklearn", "jaccard_score(average='macro')"),
    "mmseg IoUMetric nanmean": ("mmseg", "mIoU"),
    "mmseg IoUMetric aAcc": ("mmseg", "aAcc"),
    "HF mean_iou": ("hf", "mean_iou"),
    "smp iou macro (zero_division=1.0 default)": (
        "smp",
        "iou_score(multiclass, reduction='macro')",
    ),
    "smp iou micro": ("smp", "iou_score(multiclass, reduction='micro')"),
    "smp iou macro-imagewise": ("smp", "iou_score(multiclass, reduction='macro-imagewise')"),
    "MONAI MeanIoU aggregate": ("monai", "MeanIoU()"),
    "medpy dc": ("medpy", "dc"),
    "medpy jc": ("medpy", "jc"),
    "MetricsReloaded dsc": ("metrics-reloaded", "dsc"),
    "MetricsReloaded iou": ("metrics-reloaded", "iou"),
    # one image: compute_dice gives NaN, of which the metric's aggregate makes 0
    "MONAI compute_dice ignore_empty=False": (
        "monai",
        "DiceMetric(include_background=False, ignore_empty=False)",
    ),
    "torchmetrics BinaryF1": ("torchmetrics", "BinaryF1Score()"),
    "torchmetrics BinaryJaccard": ("torchmetrics", "BinaryJaccardIndex()"),
    "torchmetrics DiceScore(2, no bg)": (
        "torchmetrics",
        "segmentation.DiceScore(include_background=False)",
    ),
    "sklearn jaccard_score binary": ("sklearn", "jaccard_score"),
    "torchmetrics BinaryJaccardIndex": ("torchmetrics", "BinaryJaccardIndex()"),
    "torchmetrics segmentation.MeanIoU (no bg)": (
        "torchmetrics",
        "segmentation.MeanIoU(include_background=False)",
    ),
    "torchmetrics DiceScore samplewise": (
        "torchmetrics",
        "segmentation.DiceScore(include_background=False)",
    ),
    "torchmetrics DiceScore global": (
        "torchmetrics",
        "segmentation.DiceScore(aggregation_level='global', include_background=False)",
    ),
    "MONAI MeanIoU": ("monai", "MeanIoU(include_background=False)"),
    "smp iou micro-imagewise": ("smp", "iou_score(binary, reduction='micro-imagewise')"),
}
NOT_DIALECTS = (
    "hotcoco",
    "detectron2",
    "seg-metrics",
    "MONAI compute_dice",
    "HF / mmseg (class 1)",
)


def overlap_cases():
    none, some = np.zeros((8, 8), np.uint8), np.pad(np.ones((3, 3), np.uint8), (2, 3))
    ignoring, other = REFERENCE.copy(), PREDICTION.copy()
    ignoring[3], other[0, 0] = 255, 3
    two = SETS["large found, small missed in part"]
    return {
        "O1": pair_observed([(REFERENCE, PREDICTION)], 4),
        "O2": pair_observed([(ignoring, other)], 4),
        "O4 both": pair_observed([(none, none)], 2),
        "O4 prediction empty": pair_observed([(some, none)], 2),
        "O4 reference empty": pair_observed([(none, some)], 2),
        "O5": pair_observed(two.pairs, 2),
    }


def test_the_page_of_overlaps_through_dialects():
    page = (ROOT / "docs" / "overlap.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (O\d[^|]*) \| ([^|]+) \| ([^|]+) \| `", page, re.MULTILINE)
    seen, held = overlap_cases(), 0
    for case, tool, printed in rows:
        if tool in NOT_DIALECTS or tool.startswith(NOT_DIALECTS[:3]):
            continue
        name, number = SAME_NUMBER[tool]
        if case == "O5" and tool == "smp iou micro":
            number = "iou_score(binary, reduction='micro')"
        found = value_of(name, number, seen[case])
        scale, tolerance = (100, 0.005) if name == "mmseg" else (1, 1e-6)
        assert found / scale == pytest.approx(float(printed), abs=tolerance, nan_ok=True), (
            case,
            tool,
        )
        held += 1
    assert (len(rows), held) == (51, 39)


def test_what_the_page_of_overlaps_leaves_out():
    """Values of the record from which the page was made: per class, and 255 at a valid pixel."""
    seen = overlap_cases()
    none = "MulticlassJaccardIndex(average='none')"
    assert value_of("torchmetrics", none, seen["O1"]) == pytest.approx(
        [0.8461538553237915, 0.75, 0.0, 0.0], abs=1e-6
    )
    per_class = "segmentation.MeanIoU(per_class=True)"
    assert value_of("torchmetrics", per_class, seen["O1"]) == pytest.approx(
        [0.8461538553237915, 0.75, 0.0, -1.0], abs=1e-6
    )
    assert value_of("hf", "per_category_iou", seen["O1"]) == pytest.approx(
        [11 / 13, 0.75, 0.0, math.nan], abs=1e-6, nan_ok=True
    )
    wrong = PREDICTION.copy()
    wrong[2, 0] = 255
    third = pair_observed([(REFERENCE, wrong)], 4)
    assert value_of("hf", "mean_iou", third) == pytest.approx(0.5064102564102564)
    assert value_of("hf", "overall_accuracy", third) == 0.8125
    assert value_of("mmseg", "mIoU", third) == pytest.approx(50.64, abs=1e-5)
    assert value_of("mmseg", "aAcc", third) == 81.25


SURFACE = {
    "MONAI": {
        "hd": ("monai", "HausdorffDistanceMetric()"),
        "hd95": ("monai", "HausdorffDistanceMetric(percentile=95)"),
        "assd": ("monai", "SurfaceDistanceMetric(symmetric=True)"),
        "asd_oneway": ("monai", "SurfaceDistanceMetric()"),
        "nsd1": ("monai", "SurfaceDiceMetric(class_thresholds=[2])"),
        "nsd1_subvox": ("monai", "SurfaceDiceMetric(class_thresholds=[2], use_subvoxels=True)"),
    },
    "medpy": {name: ("medpy", name) for name in ("hd", "hd95", "assd", "asd")},
    "surface-distance": {
        "hd": ("surface-distance", "compute_robust_hausdorff(100)"),
        "hd95": ("surface-distance", "compute_robust_hausdorff(95)"),
        "asd_gt2p": ("surface-distance", "compute_average_surface_distance()[0]"),
        "asd_p2gt": ("surface-distance", "compute_average_surface_distance()[1]"),
        "nsd1": ("surface-distance", "compute_surface_dice_at_tolerance(2)"),
    },
    "MetricsReloaded": {
        "hd": ("metrics-reloaded", "hd"),
        "hd95": ("metrics-reloaded", "hd_perc(95)"),
        "assd": ("metrics-reloaded", "assd"),
        "masd": ("metrics-reloaded", "masd"),
        "nsd1": ("metrics-reloaded", "nsd(2)"),
    },
}


def test_the_record_of_surfaces_through_dialects():
    """What each tool printed: six digits, tolerance 1, with and without spacing."""
    held = 0
    for case in json.loads((ROOT / "tests" / "golden" / "surface_tools.json").read_text())["cases"]:
        row, column = case["spacing_row_col"]
        pair = (np.array(case[side], np.uint8) for side in ("reference", "prediction"))
        seen = pair_observed([tuple(pair)], 2, Ruler((row, column), 1.0))
        for tool, numbers in SURFACE.items():
            printed = case["values"][tool]
            for key, (name, number) in numbers.items():
                (said,) = (s for s in say(DIALECTS[name], seen) if s.number.name == number)
                held += 1
                if "ERR" in printed:
                    assert said.error == printed["ERR"], (case["case"], tool, key)
                    continue
                (found,) = said.values.values()
                if (tool, key, case["case"]) == ("MONAI", "hd95", "S7"):
                    found = math.nan  # one image: NaN, of which the metric's aggregate makes 0
                assert found == pytest.approx(float(printed[key]), rel=1e-5, nan_ok=True), (
                    case["case"], tool, key,
                )  # fmt: skip
    assert held == 120


def test_float32_is_said_only_where_it_changes_what_is_printed():
    """An image of 2^24 pixels, and then 200,000 of few: a running sum in float32 loses each."""
    few = observed("random, 2 classes")
    assert not any(rounded(dialect, few) for dialect in DIALECTS.values())

    def grown(areas):
        first = areas[:1] * (2**24 // areas[:1].max())
        return np.concatenate([first, np.minimum(np.repeat(areas[1:], 50_000, axis=0), 1)])

    many = replace(few, areas={k: a.map(grown) for k, a in few.areas.items()})
    assert "float32" in rounded(DIALECTS["mmseg"], many)
    assert not rounded(DIALECTS["hf"], many)  # the same rules in float64


# ------------------------------------------------------------------------------ the commands


def test_a_folder_in_one_dialect_and_in_all(segbench, tmp_path):
    what = SETS["found, missed, invented, nothing"]
    for i, pair in enumerate(what.pairs):
        for folder, mask in zip(("truth", "guess"), pair, strict=True):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(mask * 255).save(tmp_path / folder / f"{i}.png")
    given = ("--predictions", tmp_path / "guess", "--references", tmp_path / "truth")
    ran = segbench("evaluate", *given, "--dialect", "nnunet", "--json")
    assert ran.code == 0, ran.err
    (dialect,) = json.loads(ran.out)["dialects"]
    values = {n["number"]: list(n["values"].values()) for n in dialect["numbers"]}
    assert values == golden("nnunet")["sets"]["found, missed, invented, nothing"]["whole"] | {
        k: [golden("nnunet")["sets"]["found, missed, invented, nothing"]["whole"][k]]
        for k in ("foreground_mean Dice", "foreground_mean IoU")
    }
    assert dialect["numbers"][0]["ours"]["object"]["signature"].startswith(
        "dice|class:object|over:images|empty:nan|ignore:255|data:truth@0/all#"
    )
    ran = segbench("dialects", *given)
    assert ran.code == 0, ran.err
    for name in DIALECTS:
        assert f"{name}: " in ran.out
    assert "RuntimeError: The first supplied array does not contain any binary object" in " ".join(
        ran.out.split()
    )


def test_how_predictions_were_read_stands_in_our_signatures(segbench, tmp_path):
    for folder, mask in (("truth", [[0, 1]]), ("guess", [[0.1, 0.4]])):
        (tmp_path / folder).mkdir()
        dtype = np.uint8 if folder == "truth" else np.float32
        np.save(tmp_path / folder / "a.npy", np.array(mask, dtype))
    given = ("--predictions", tmp_path / "guess", "--references", tmp_path / "truth")
    for options, part in (((), "#"), (("--threshold", "0.3"), "|cut:0.3|")):
        ran = segbench("evaluate", *given, "--dialect", "sklearn", "--json", *options)
        assert ran.code == 0, ran.err
        (dialect,) = json.loads(ran.out)["dialects"]
        (ours, *_) = dialect["numbers"][0]["ours"].values()
        signature = ours["signature"]
        assert part in signature
        assert ("cut:" in signature) == bool(options)


def test_the_list_of_dialects_names_every_number(segbench):
    ran = segbench("dialects", "--json")
    assert [d["name"] for d in json.loads(ran.out)] == list(DIALECTS)
    assert sum(len(d["numbers"]) for d in json.loads(ran.out)) == sum(
        len(d.numbers) for d in DIALECTS.values()
    )
    ran = segbench("dialects")
    assert ran.code == 0
    assert "MetricsReloaded" in ran.out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ("--dialect", "torchmetric"),
            1,
            "no dialect 'torchmetric'; there are torchmetrics, monai",
        ),
        (("--dialect", "hf", "--out", "there"), 2, "leave out --out, --by, --dask, --interval"),
        (("--dialect", "hf", "--percentile", "90"), 2, "by its own rules"),
        (("--dialect", "hf", "--missing", "worst"), 1, "no value for a missing prediction"),
        (("--dialect", "isic2018"), 1, "isic2018 scores one object against a background"),
    ],
)
def test_what_a_dialect_refuses(segbench, tmp_path, arguments, code, message):
    for folder, mask in (("truth", REFERENCE + 1), ("guess", PREDICTION + 1)):
        (tmp_path / folder).mkdir()
        Image.fromarray(mask).save(tmp_path / folder / "a.png")
    given = ("--predictions", tmp_path / "guess", "--references", tmp_path / "truth")
    ran = segbench("evaluate", *given, "--classes", "background,a,b,c", *arguments)
    assert ran.code == code, ran.err
    assert message in re.sub(r"[\s│]+", " ", ran.err)


def test_missing_and_extra_predictions_are_refused_in_any_dialect(segbench, tmp_path):
    for folder, names in (("truth", "ab"), ("guess", "ac")):
        (tmp_path / folder).mkdir()
        for name in names:
            Image.fromarray(REFERENCE).save(tmp_path / folder / f"{name}.png")
    ran = segbench(
        "dialects", "--predictions", tmp_path / "guess", "--references", tmp_path / "truth"
    )
    assert ran.code == 1
    assert "missing predictions, of 2 samples (1): b" in ran.err


def test_ignored_pixels_are_said_where_a_tool_does_not_know_them(segbench, tmp_path):
    what = SETS["absent classes, ignored row"]
    for folder, mask in zip(("truth", "guess"), what.pairs[0], strict=True):
        (tmp_path / folder).mkdir()
        Image.fromarray(mask).save(tmp_path / folder / "a.png")
    given = ("--predictions", tmp_path / "guess", "--references", tmp_path / "truth")
    ran = segbench("dialects", *given, "--classes", "background,a,b,c")
    assert ran.code == 0, ran.err
    assert "know nothing of that" in ran.err
    assert "refuses them" in " ".join(ran.out.split())
    assert "isic2018: " not in ran.out
