"""docs/overlap.md: what other tools print on tiny masks, and which of our measures agrees."""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import segbench
from segbench.scoring.scores import score_table

PAGE = Path(__file__).parents[1] / "docs" / "overlap.md"

REFERENCE = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]], np.uint8)
PREDICTION = np.array([[0, 0, 1, 1], [0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 2]], np.uint8)
IGNORING, OTHER = REFERENCE.copy(), PREDICTION.copy()
IGNORING[3] = 255
OTHER[0, 0] = 3
NONE, SOME = np.zeros((8, 8), np.uint8), np.pad(np.ones((3, 3), np.uint8), (2, 3))
FOUR = ["background", "one", "two", "three"]


def _o5() -> tuple[list[np.ndarray], list[np.ndarray]]:
    big, small = np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8)
    big[:6, :6], small[:2, :2] = 1, 1
    one = np.zeros((8, 8), np.uint8)
    one[0, 0] = 1
    return [big, small], [big, one]


CASES = {
    "O1": ([REFERENCE], [PREDICTION], FOUR),
    "O2": ([IGNORING], [OTHER], FOUR),
    "O4 both": ([NONE], [NONE], []),
    "O4 prediction empty": ([SOME], [NONE], []),
    "O4 reference empty": ([NONE], [SOME], []),
    "O5": (*_o5(), []),
}
ROW = re.compile(r"^\| (O\d[^|]*) \| ([^|]+) \| ([^|]+) \| `([^`]+)` \|$", re.MULTILINE)
ROWS = [
    (case.strip(), tool.strip(), float(value), ours.replace("\\|", "|"))
    for case, tool, value, ours in ROW.findall(PAGE.read_text(encoding="utf-8"))
]


@cache
def result(case: str, empty: str) -> segbench.Evaluation:
    references, predictions, names = CASES[case]
    options = segbench.Options(empty=empty)
    return segbench.evaluate(predictions, references=references, class_names=names, options=options)


def ours(case: str, expression: str) -> float:
    if expression == "micro":
        accuracy = result(case, "nan").score("accuracy", "all", "dataset").value
        return accuracy / (2 - accuracy)
    if expression.startswith("present:"):
        evaluation = result(case, "nan")
        key = expression.removeprefix("present:")
        present = evaluation.table.counts.sum().reference > 0
        names = np.array(evaluation.table.class_names)[present]
        return float(np.mean([evaluation.score(key, name, "dataset").value for name in names]))
    measure = segbench.parse(expression.rpartition(": ")[2])
    (score,) = score_table(result(case, "nan").table, [measure], {measure: ""}, n_resamples=1)
    # empty:1 and empty:0 as the whole evaluation applies them must say the same
    whole = result(case, measure.empty).score(measure.key, measure.label, measure.over)
    assert score.value == whole.value or (math.isnan(score.value) and math.isnan(whole.value))
    return score.value


def test_the_page_has_its_rows():
    assert len(ROWS) == 51
    assert {case for case, *_ in ROWS} == set(CASES)


@pytest.mark.parametrize(("case", "tool", "printed", "expression"), ROWS, ids=lambda x: str(x)[:40])
def test_our_measure_gives_the_tools_number(case, tool, printed, expression):
    # the tools compute in float32 or float64
    assert ours(case, expression) == pytest.approx(printed, abs=1e-6, nan_ok=True), tool


def test_255_at_a_valid_pixel_is_refused_and_named():
    wrong = PREDICTION.copy()
    wrong[2, 0] = 255
    with pytest.raises(segbench.SegbenchError, match="value 255 in 000000"):
        segbench.evaluate([wrong], references=[REFERENCE], class_names=FOUR)


def test_our_own_values_of_the_first_case():
    evaluation = result("O1", "nan")
    found = [evaluation.score("iou", name, "dataset").value for name in FOUR]
    assert found[:3] == [11 / 13, 3 / 4, 0.0]
    assert math.isnan(found[3])
