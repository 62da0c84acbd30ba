"""How the images' values spread, measure by measure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segbench.measures import ALL, Definition
from segbench.report import charts
from segbench.report.view import MAIN, View

Floats = NDArray[np.float64]

MAX_CLASSES = 30
"""Of more classes than this the lowest are drawn; the tables hold all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """An SVG with its caption."""

    title: str
    summary: str
    svg: str


def of_whole_map(view: View) -> tuple[Chart, ...]:
    """A histogram per measure of the whole label map."""
    return tuple(_histogram(view, d, ALL) for d in view.definitions if d.whole_map is not None)


def of_one_class(view: View) -> tuple[Chart, ...]:
    """A histogram per measure; what is cut at a threshold would only repeat the IoU."""
    drawn = [d for d in view.definitions if d.at_threshold is None]
    labels = [view.label if d.has_classes else ALL for d in drawn]
    return tuple(_histogram(view, d, label) for d, label in zip(drawn, labels, strict=True))


def of_classes(view: View) -> tuple[Chart, ...]:
    """For each measure of objects a line per class."""
    names = _classes_to_draw(view)
    drawn = [d for d in view.definitions if d.family == "object" and d.at_threshold is None]
    return tuple(_boxes(view, definition, names) for definition in drawn)


def _classes_to_draw(view: View) -> list[str]:
    names = [label.name for label in view.objects]
    if len(names) <= MAX_CLASSES:
        return names
    pooled = {name: view.scores[MAIN, name, "dataset"].value for name in names}
    defined = [name for name in names if not math.isnan(pooled[name])]
    lowest = set(sorted(defined, key=pooled.__getitem__)[:MAX_CLASSES])
    return [name for name in names if name in lowest]


def _histogram(view: View, definition: Definition, label: str) -> Chart:
    values = view.of_class(definition.key, label)
    unit = view.scores[definition.key, label, "images"].measure.unit
    title = definition.short_title + (", whole map" if label == ALL else "")
    summary = _summary(values, unit)
    key = "h-" + definition.key.replace(".", "-")
    svg = charts.histogram(
        values, key=key, label=f"{title} of the images: {summary}", unit_range=not unit
    )
    return Chart(title=title, summary=summary, svg=svg)


def _boxes(view: View, definition: Definition, names: list[str]) -> Chart:
    rows = [(name, view.of_class(definition.key, name)) for name in names]
    title = definition.short_title
    summary = ""
    if len(names) < len(view.objects):
        summary = f"the {len(names)} of {len(view.objects)} classes with the lowest pooled Dice"
    spoken = "; ".join(f"{name}: {_summary(values)}" for name, values in rows)
    svg = charts.boxes(rows, key=f"b-{definition.key}", label=f"{title} by class. {spoken}")
    return Chart(title=title, summary=summary, svg=svg)


def _summary(values: Floats, unit: str = "") -> str:
    finite = values[np.isfinite(values)]
    infinite = int(np.isinf(values).sum())
    more = f", {infinite} infinite" if infinite else ""
    if not len(finite):
        return f"undefined for all images{more}"
    digits = 2 if unit else 3
    first, median, third = (f"{q:.{digits}f}" for q in np.quantile(finite, (0.25, 0.5, 0.75)))
    return f"median {median}{f' {unit}' if unit else ''} ({first} to {third}){more}"
