"""How another tool makes a number: of counts or of boundaries, averaged in its order.

Everything is computed from our own counts and distances. A rule says what is divided, over what it
is summed first, what 0/0 is, over which axes the values are averaged and in which order, and what
becomes of undefined values on the way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segbench.confusion import Counts
from segbench.measures.overlap import divide
from segbench.surface import Boundary

Floats = NDArray[np.float64]
Numbers = NDArray[np.number]
Ratio = Literal["iou", "dice", "accuracy", "precision", "recall", "specificity", "fscore"]
Reduction = Literal[
    "hd",
    "hd95 max",
    "hd95 pooled",
    "assd",
    "masd",
    "asd of prediction",
    "asd of reference",
    "nsd",
    "nsd from the corner",
]
Classes = Literal["all", "foreground"]
Step = Literal["images", "classes", "pairs"]
Pixels = Literal["valid", "every"]

NAN = math.nan


class ToolRaisesError(Exception):
    """The tool gives no number on these masks: it raises this error."""


@dataclass(frozen=True, slots=True)
class Areas:
    """Numbers of pixels (n images, K classes), each of which adds over images and over classes.

    Attributes:
        both: Of the class in reference and prediction.
        predicted: In the prediction.
        reference: In the reference.
        union: In either.
        total: All that are looked at, the same for every class.
    """

    both: Numbers
    predicted: Numbers
    reference: Numbers
    union: Numbers
    total: Numbers

    @classmethod
    def of(cls, counts: Counts) -> Areas:
        """From counts, class against rest."""
        union = counts.tp + counts.fp + counts.fn
        return cls(counts.tp, counts.predicted, counts.reference, union, counts.total)

    def map(self, function: Callable[[Numbers], Numbers]) -> Areas:
        """The same function of each."""
        return Areas(*(function(getattr(self, field.name)) for field in fields(self)))

    def ratio(self, which: Ratio) -> Floats:
        """The values of a measure, NaN for 0/0."""
        if which == "fscore":
            precision, recall = self.ratio("precision"), self.ratio("recall")
            return divide(2 * precision * recall, precision + recall)
        numerator, denominator = {
            "iou": (self.both, self.union),
            "dice": (2 * self.both, self.predicted + self.reference),
            "accuracy": (self.both + self.total - self.union, self.total),
            "precision": (self.both, self.predicted),
            "recall": (self.both, self.reference),
            "specificity": (self.total - self.union, self.total - self.reference),
        }[which]
        return divide(numerator, denominator)


@dataclass(frozen=True, slots=True)
class Observed:
    """What dialects are computed from: some images' counts and reduced distances.

    Attributes:
        class_names: The K classes.
        background: The column of the background; None: there is none.
        areas: By pixels: those that the reference does not ignore (`valid`), or `every` pixel, as
            tools see them that know nothing of ignored ones: there, what is predicted at an ignored
            pixel is a false alarm.
        ignores: Whether the reference ignores any pixel.
        surfaces: By reduction and boundary the values (n, K): infinite where one mask is empty, NaN
            where both are, and of the background.
    """

    class_names: tuple[str, ...]
    background: int | None
    areas: Mapping[Pixels, Areas]
    ignores: bool
    surfaces: Mapping[tuple[Reduction, Boundary], Floats]

    @property
    def n_images(self) -> int:
        """How many images there are."""
        return len(self.areas["valid"].both)

    @property
    def binary(self) -> bool:
        """Whether there is a background and one object."""
        return len(self.class_names) == 2 and self.background is not None  # noqa: PLR2004

    def columns(self, classes: Classes) -> list[int]:
        """The columns of all classes, or of all but the background."""
        every = range(len(self.class_names))
        return [i for i in every if classes == "all" or i != self.background]

    def take(self, image: int) -> Observed:
        """One image alone."""
        one = slice(image, image + 1)
        return replace(
            self,
            areas={key: areas.map(lambda a: a[one]) for key, areas in self.areas.items()},
            surfaces={key: values[one] for key, values in self.surfaces.items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Average:
    """In which order values (n, K) are averaged.

    Attributes:
        steps: `images`, `classes`, or `pairs` (all images' classes at once); what is not averaged
            over the classes is given for each class.
        strict: Steps in which an undefined value makes the average undefined; in others it is left
            out.
        nothing: The value in the end where every value was left out.
    """

    steps: tuple[Step, ...]
    strict: tuple[Step, ...] = ()
    nothing: float = NAN

    def of(self, values: Floats) -> Floats:
        """From (n, K) to (1, K) or (1, 1)."""
        for step in self.steps:
            axis = {"images": 0, "classes": 1, "pairs": None}[step]
            if step in self.strict:
                values = values.mean(axis=axis, keepdims=True)
            else:
                values = _mean_of_defined(values, axis)
        return np.where(np.isnan(values), self.nothing, values)


def _mean_of_defined(values: Floats, axis: int | None) -> Floats:
    defined = ~np.isnan(values)
    sums = np.where(defined, values, 0).sum(axis=axis, keepdims=True)
    return divide(sums, defined.sum(axis=axis, keepdims=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """A ratio of pixels.

    Attributes:
        ratio: Of which areas.
        average: Of the ratios.
        classes: Which of them.
        pooled: Areas are summed over the images before the ratio.
        micro: Areas are summed over the classes before the ratio.
        zero: The value of 0/0.
        referenced: Undefined where the reference has no pixel of the class, whatever is predicted.
        threshold: Values under it are 0.
        single_precision: Areas are summed, and ratios formed, in float32.
    """

    ratio: Ratio
    average: Average
    classes: Classes = "all"
    pooled: bool = False
    micro: bool = False
    zero: float = NAN
    referenced: bool = False
    threshold: float = 0.0
    single_precision: bool = False

    def values(self, observed: Observed, pixels: Pixels) -> Floats:
        """(1, K) or (1, 1)."""
        columns = observed.columns(self.classes)
        areas = observed.areas[pixels].map(lambda a: a[:, columns])
        if self.single_precision:
            areas = areas.map(lambda a: a.astype(np.float32))
        if self.pooled:
            areas = areas.map(_summed)
        if self.micro:
            areas = areas.map(lambda a: a.sum(axis=1, keepdims=True))
        values = areas.ratio(self.ratio)
        values = np.where(np.isnan(values), self.zero, values)
        if self.referenced:
            values = np.where(areas.reference > 0, values, NAN)
        return self.average.of(np.where(values < self.threshold, 0.0, values))


def _summed(areas: Numbers) -> Numbers:
    """Over the images one after the other, so that float32 rounds as it does for a running sum."""
    if areas.dtype == np.float32:
        return areas.cumsum(axis=0, dtype=np.float32)[-1:]
    return areas.sum(axis=0, keepdims=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """A measure of boundaries of each foreground class, in pixels or millimetres.

    Attributes:
        reduction: What is made of the distances.
        average: Of the images' values.
        boundary: Which boundary.
        both_empty: The value where neither mask has the class; a text: the error that is raised.
        no_prediction: Where only the reference has it; None: what the reduction gives.
        no_reference: Where only the prediction has it.
    """

    reduction: Reduction
    average: Average
    boundary: Boundary = "inner"
    both_empty: float | str = NAN
    no_prediction: float | str | None = None
    no_reference: float | str | None = None

    def values(self, observed: Observed, pixels: Pixels) -> Floats:
        """(1, K) or (1, 1).

        Raises:
            ToolRaisesError: A mask is empty, and the tool raises an error then.
        """
        columns = observed.columns("foreground")
        areas = observed.areas[pixels]
        absent = [side[:, columns] == 0 for side in (areas.predicted, areas.reference)]
        values = observed.surfaces[self.reduction, self.boundary][:, columns].copy()
        for where, value in (
            (absent[0] & absent[1], self.both_empty),
            (absent[0] & ~absent[1], self.no_prediction),
            (~absent[0] & absent[1], self.no_reference),
        ):
            if isinstance(value, str) and where.any():
                raise ToolRaisesError(value)
            if value is not None and not isinstance(value, str):
                values[where] = value
        return self.average.of(values)


Rule = Overlap | Surface
