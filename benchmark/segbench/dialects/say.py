"""The numbers of a dialect, and our own beside them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from segbench.dialects.observe import Key, Observer, Ruler, Sample
from segbench.dialects.rules import Observed, Overlap, Surface, ToolRaisesError
from segbench.dialects.table import Dialect, Number
from segbench.errors import SegbenchError
from segbench.masks.decoded import MaskFileError
from segbench.masks.labels import is_background
from segbench.masks.submission import Submission
from segbench.measures import ALL, FOREGROUND, Measure, Options, grid
from segbench.scoring.evaluate import signature_tail
from segbench.scoring.scores import Table, point_values
from segbench.scoring.shapes import ShapeMeasures
from segbench.scoring.tally import Policy, Progress, label_maps, tally
from segbench.scoring.target import Item, Target
from segbench.scoring.threads import in_order

REFUSED = "the reference ignores pixels, and the tool refuses them"


@dataclass(frozen=True, slots=True)
class Said:
    """One number as a tool prints it.

    Attributes:
        number: Which.
        values: By class, or under `all` or `foreground`; NaN is undefined.
        error: What the tool raises in place of values, "" if nothing.
    """

    number: Number
    values: Mapping[str, float]
    error: str = ""


@dataclass(frozen=True)
class Conversation:
    """A submission as dialects and our own measures see it.

    Attributes:
        target: What it was scored against.
        observed: What dialects are computed from.
        ours: Our measures' values.
        signatures: By measure, with data and version.
        ruler: Of distances.
    """

    target: Target
    observed: Observed
    ours: Mapping[Measure, float]
    signatures: Mapping[Measure, str]
    ruler: Ruler

    def our_measure(self, number: Number, label: str) -> Measure | None:
        """Our nearest measure to one value of a number; None where there is none of that class."""
        key, over = number.ours
        wanted = {label}
        names = self.observed.class_names
        if label not in names and over != "classes":
            foreground = [names[i] for i in self.observed.columns("foreground")]
            wanted = {ALL, *(foreground if len(foreground) == 1 else [])}
        found = [m for m in self.ours if m.key == key and m.over == over and m.label in wanted]
        return min(found, key=lambda m: m.label == ALL, default=None)


def say(dialect: Dialect, observed: Observed) -> tuple[Said, ...]:
    """What a tool prints."""
    return tuple(
        _said(dialect, number, observed)
        for number in dialect.numbers
        if observed.binary or not number.binary
    )


def _said(dialect: Dialect, number: Number, observed: Observed) -> Said:
    if number.refuses_ignored and observed.ignores:
        return Said(number, {}, REFUSED)
    try:
        found = number.rule.values(observed, "every" if dialect.every_pixel else "valid")
    except ToolRaisesError as error:
        return Said(number, {}, str(error))
    values = [_printed(number, float(value)) for value in found.ravel()]
    return Said(number, dict(zip(_labels(number, observed, len(values)), values, strict=True)))


def rounded(dialect: Dialect, observed: Observed) -> str:
    """What sums of pixels in float32 change in what a tool prints; "" if nothing."""
    pixels = observed.areas["every" if dialect.every_pixel else "valid"].total[:, :1]
    if pixels.sum() <= 2**24:  # every sum is a whole number that float32 holds
        return ""
    names: list[str] = []
    for number in dialect.numbers:
        if number.percent and isinstance(number.rule, Overlap) and number.rule.single_precision:
            exact = replace(number, rule=replace(number.rule, single_precision=False))
            here, there = (_said(dialect, n, observed).values for n in (number, exact))
            if not np.array_equal(list(here.values()), list(there.values()), equal_nan=True):
                names.append(number.name)
    sums = "running sums of pixels are float32 and rounded over 16.8 million pixels; it changes"
    return f"{sums} {', '.join(names)} here" if names else ""


def _printed(number: Number, value: float) -> float:
    if not number.percent:
        return value
    return float(np.round(np.float32(value) * np.float32(100), 2))


def _labels(number: Number, observed: Observed, n: int) -> list[str]:
    rule = number.rule
    classes = rule.classes if isinstance(rule, Overlap) else "foreground"
    names = [observed.class_names[i] for i in observed.columns(classes)]
    return names if len(names) == n else [ALL if classes == "all" else FOREGROUND]


def name_of(number: Number, ruler: Ruler) -> str:
    """A number's name with the tolerance that it was made with."""
    rule, within = number.rule, f"{ruler.tolerance:g}"
    if isinstance(rule, Surface) and rule.reduction.startswith("nsd"):
        return number.name.replace("(2)", f"({within})").replace("[2]", f"[{within}]")
    return number.name


def keys_of(dialects: Collection[Dialect]) -> tuple[Key, ...]:
    """The reduced distances that dialects need, once each."""
    rules = [number.rule for dialect in dialects for number in dialect.numbers]
    return tuple(dict.fromkeys((r.reduction, r.boundary) for r in rules if isinstance(r, Surface)))


def converse(
    target: Target,
    submission: Submission,
    dialects: Sequence[Dialect],
    *,
    policy: Policy,
    ruler: Ruler,
    jobs: int,
    progress: Progress = lambda _done, _of: None,
) -> Conversation:
    """Look at a submission as the dialects need it, after checking it as `evaluate` does.

    Raises:
        SegbenchError: The submission is refused, or a prediction is missing: no tool scores what is
            not there.
    """
    if policy.missing != "error":
        raise SegbenchError("a dialect has no value for a missing prediction; leave --missing out")
    background = next((i for i, c in enumerate(target.classes) if is_background(c)), None)
    names = tuple(label.name for label in target.classes)
    ids = tuple(label.id for label in target.classes)
    options = Options(spacing_mm=ruler.spacing_mm, tolerance=ruler.tolerance)
    measures = grid(names, background=background, options=options)
    counted = tally(
        target,
        submission,
        policy=policy,
        jobs=jobs,
        progress=progress,
        shapes=ShapeMeasures.of(measures, ids, background=background),
    )
    table = Table(
        names,
        background,
        counted.counts,
        counted.map_counts,
        counted.missing,
        np.array([item.group for item in target.items]),
        counted.shapes,
    )
    points = point_values(table, measures).tolist()
    tail = signature_tail(target, counted, policy, table)
    observer = Observer(ids, background, keys_of(dialects), ruler)
    predicted = label_maps(target, submission, counted.reading, policy=policy)

    def look(item: Item) -> Sample:
        prediction = predicted(item.id)
        if prediction is None:
            raise AssertionError(item.id)  # the tally refuses missing predictions
        return observer.sample(item.read(), prediction)

    samples: list[Sample] = []
    for _, sample in in_order(look, target.items, jobs=jobs, expected=MaskFileError):
        if isinstance(sample, Exception):
            raise sample
        samples.append(sample)
    return Conversation(
        target=target,
        observed=observer.observed(samples, names),
        ours=dict(zip(measures, points, strict=True)),
        signatures={measure: f"{measure}{tail}" for measure in measures},
        ruler=ruler,
    )


def said_json(conversation: Conversation, dialect: Dialect) -> dict[str, Any]:
    """A dialect's numbers as JSON: NaN and infinity are null and "inf"."""
    numbers: list[dict[str, Any]] = []
    for said in say(dialect, conversation.observed):
        measures = {label: conversation.our_measure(said.number, label) for label in said.values}
        numbers.append(
            {
                "number": name_of(said.number, conversation.ruler),
                "values": {label: _json(value) for label, value in said.values.items()},
                "error": said.error or None,
                "ours": {
                    label: {
                        "value": _json(conversation.ours[measure]),
                        "signature": conversation.signatures[measure],
                    }
                    for label, measure in measures.items()
                    if measure is not None
                },
                "why": said.number.why or None,
                "wrong": said.number.wrong or None,
            }
        )
    return {
        "dialect": dialect.name,
        "tool": dialect.title,
        "version": dialect.version,
        "url": dialect.url,
        "rounded": rounded(dialect, conversation.observed) or None,
        "mean_over_images": dialect.mean or "the tool's own",
        "numbers": numbers,
    }


def _json(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else "inf"
