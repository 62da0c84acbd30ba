"""The columns of a board beside the score that ranks: other measures, subgroups, cost, origin."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from segbench.board.entry import Cost
from segbench.board.standings import Standing
from segbench.errors import SegbenchError
from segbench.measures import Measure
from segbench.scoring.comparable import find_score
from segbench.scoring.evaluate import SIZE, sizes
from segbench.scoring.scores import Score
from segbench.scoring.stored import Stored

_SHOWN = (
    "dice",
    "iou",
    "accuracy",
    "dice|over:dataset",
    "iou|over:dataset",
    "accuracy|over:dataset",
    "dice|over:worst10",
    "hd95",
    "assd",
    "nsd",
    "boundary_iou",
)
"""The measures that a board shows, where the entries have them."""

_PERCENTILE = re.compile(r"^hd[1-9][0-9.]*$")


def measures_shown(standing: Standing) -> tuple[Measure, ...]:
    """The measures of a standing's columns: the one that ranks, then the main ones, once each."""
    found = [standing.ranking.measure]
    every = list(standing.scores.values())
    for text in _SHOWN:
        key = _percentile(every[0]) if text == "hd95" else text
        score = None if key is None else _score(every[0], key)
        if score is not None and all(_has(one, score.measure) for one in every):
            found.append(score.measure)
    return tuple(dict.fromkeys(found))


def _percentile(stored: Stored) -> str | None:
    """The key of the percentile of the Hausdorff distance that was measured."""
    keys = (score.measure.key for score in stored.scores)
    return next((key for key in keys if _PERCENTILE.match(key)), None)


def _score(stored: Stored, text: str) -> Score | None:
    try:
        return find_score(stored, text, "")
    except SegbenchError:
        return None


def _has(stored: Stored, measure: Measure) -> bool:
    return any(score.measure == measure for score in stored.scores)


def score_of(stored: Stored, measure: Measure) -> Score:
    """An entry's score by a measure of `measures_shown`."""
    return next(score for score in stored.scores if score.measure == measure)


def subgroup_scores(standing: Standing, name: str) -> dict[tuple[str, str], Score]:
    """An entry's scores by (column, value) of its subgroups, by the measure that ranks."""
    return {
        (column, value): score
        for column, groups in standing.scores[name].subgroups.items()
        for value, scores in groups.items()
        for score in scores
        if score.measure == standing.ranking.measure
    }


def subgroups_shown(standing: Standing) -> tuple[tuple[str, str], ...]:
    """The subgroups (column, value) in which any entry has a value, in the order of the entries."""
    found = (subgroup_scores(standing, name) for name in standing.scores)
    every = (key for scores in found for key, s in scores.items() if not math.isnan(s.value))
    return tuple(dict.fromkeys(every))


def subgroup_sizes(standing: Standing) -> dict[tuple[str, str], int]:
    """How many images each subgroup (column, value) has."""
    first = next(iter(standing.scores.values()))
    labels = {**first.columns, SIZE: sizes(first.table)[0]}
    columns = dict.fromkeys(column for column, _ in subgroups_shown(standing))
    return {(c, value): n for c in columns for value, n in Counter(labels[c]).items()}


@dataclass(frozen=True)
class CostColumn:
    """One kind of cost.

    Attributes:
        key: In files.
        title: With its unit, for people.
        axis: Of a plot, with its unit.
        unit: Of the axis, in that of `of`.
        of: The cost as a number; None where it is not known.
        shown: The number for people.
        on: The machine on which it was measured; "" where it does not depend on one.
    """

    key: str
    title: str
    axis: str
    unit: float
    of: Callable[[Cost], float | None]
    shown: Callable[[float], str]
    on: Callable[[Cost], str] = lambda _: ""


def _milliseconds(cost: Cost) -> float | None:
    return cost.latencies[0].milliseconds if cost.latencies else None


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"  # noqa: PLR2004


COSTS = (
    CostColumn(
        "parameters", "parameters", "million parameters", 1e6,
        lambda cost: cost.parameters, lambda n: f"{n / 1e6:.2f} M",
    ),
    CostColumn(
        "flops", "GFLOPs", "GFLOPs for one image", 1e9,
        lambda cost: cost.flops, lambda n: f"{n / 1e9:.1f}",
    ),
    CostColumn(
        "latency_ms", "ms/image", "milliseconds for one image", 1,
        _milliseconds, lambda n: f"{n:.3g}" if n < 100 else f"{n:.0f}",  # noqa: PLR2004
        lambda cost: cost.latencies[0].device,
    ),
    CostColumn(
        "training_seconds", "training", "minutes of training", 60,
        lambda cost: cost.training_seconds, _duration, lambda cost: cost.training_machine or "",
    ),
)  # fmt: skip
