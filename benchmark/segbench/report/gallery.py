"""Which samples the report shows, and what it says of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segbench.masks.labels import LabelClass
from segbench.report.charts import shortened
from segbench.report.pictures import Picture, picture
from segbench.scoring.target import Item

Floats = NDArray[np.float64]
Predictions = Callable[[str], NDArray[np.uint8] | None]
"""A sample's predicted class ids, HxW uint8 in the reference's size; None where it is missing."""

N_WORST, N_MEDIAN, N_BEST, N_UNDEFINED = 4, 2, 2, 2

_NOT_SHOWN = frozenset({"split", "fold", "group", "width", "height"})
_MAX_FIELDS, _MAX_TEXT = 6, 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One sample: its drawing, its values, the dataset's columns."""

    id: str
    picture: Picture
    values: tuple[tuple[str, str], ...]
    fields: tuple[tuple[str, str], ...]

    @property
    def description(self) -> str:
        """What a person who does not see the picture is told."""
        if self.picture.maps:
            drawn = ["label map of the reference", "label map of the prediction"]
            drawn = drawn[: len(self.picture.maps)]
        else:
            names = ("reference", "prediction")
            drawn = [f"outline of the {n}" for n in names if self.picture.outlines.get(n)]
        values = ", ".join(f"{name} {value}" for name, value in self.values)
        parts = [f"Sample {self.id}", " and ".join(drawn), values, *self.picture.notes]
        return ". ".join(part for part in parts if part) + "."


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Samples shown under one heading."""

    title: str
    samples: tuple[Shown, ...]


def gallery(
    items: Sequence[Item],
    classes: Sequence[LabelClass],
    values: Mapping[str, Floats],
    predictions: Predictions | None,
    *,
    missing: NDArray[np.bool_],
) -> tuple[Group, ...]:
    """The worst, middle and best samples, and some whose value is undefined.

    Args:
        items: All samples, n of them.
        classes: Of the dataset.
        values: By title the (n,) values shown; the first orders the samples.
        predictions: Where predictions are read from; None: only references are drawn.
        missing: (n,) bool, samples without a prediction; they are not shown.
    """
    first, *_ = values.values()
    groups: list[Group] = []
    for title, chosen in choose(np.where(missing, np.nan, first)):
        samples = tuple(_shown(items[i], i, classes, values, predictions) for i in chosen)
        groups.append(Group(title=title, samples=samples))
    undefined = np.flatnonzero(np.isnan(first) & ~missing)[:N_UNDEFINED]
    if len(undefined):
        samples = tuple(_shown(items[i], i, classes, values, predictions) for i in undefined)
        groups.append(Group(title="Undefined", samples=samples))
    return tuple(groups)


def choose(values: Floats) -> list[tuple[str, list[int]]]:
    """Indices of the worst, middle and best values; of few values all. NaN is passed over."""
    order = [int(i) for i in np.argsort(values, kind="stable") if not np.isnan(values[i])]
    if not order:
        return []
    if len(order) <= N_WORST + N_MEDIAN + N_BEST:
        return [("All, worst first", order)]
    worst, rest, best = order[:N_WORST], order[N_WORST:-N_BEST], order[-N_BEST:]
    middle = (len(order) - N_MEDIAN) // 2 - N_WORST
    start = min(max(middle, 0), len(rest) - N_MEDIAN)
    median = rest[start : start + N_MEDIAN]
    return [("Worst", worst), ("Median", median), ("Best", best[::-1])]


def _shown(
    item: Item,
    index: int,
    classes: Sequence[LabelClass],
    values: Mapping[str, Floats],
    predictions: Predictions | None,
) -> Shown:
    prediction = None if predictions is None else predictions(item.id)
    fields = [
        (shortened(key, _MAX_TEXT), shortened(str(value), _MAX_TEXT))
        for key, value in item.columns.items()
        if key not in _NOT_SHOWN and str(value)
    ]
    numbers = {name: column[index] for name, column in values.items()}
    return Shown(
        id=item.id,
        picture=picture(item, prediction, classes),
        values=tuple(
            (name, "undefined" if np.isnan(v) else f"{v:.3f}") for name, v in numbers.items()
        ),
        fields=tuple(fields[:_MAX_FIELDS]),
    )
