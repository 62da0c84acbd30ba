"""The measures: one literal table; `str(measure)` and `parse` are inverse.

Conventions. Counts are int64 with the class on the last axis (see `segbench.confusion`); a measure
maps them to float64, per class (..., K) or for the whole label map (...). Undefined is NaN.

Empty rule, family "object" (iou, dice, precision, recall, volume_similarity, thresholded_iou):
where a class is in neither reference nor prediction its value is undefined (`empty:nan`: left out
and counted), or 1 or 0 on request; where it is in only one of them, the value is the worst, 0.
Family "agreement" (accuracy, specificity, balanced_accuracy, mcc, kappa, fwiou) counts the pixels
outside the class too, so an absent class is an agreement like any other; only a true 0/0 (both maps
constant and equal, or no valid pixel) is undefined and follows the same option. Where just one of
the two maps is constant, mcc and kappa are 0: no better than chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segbench.confusion import Counts
from segbench.errors import SegbenchError
from segbench.masks.labels import CLASS_NAME_PATTERN

Floats = NDArray[np.float64]
Over = Literal["images", "dataset", "classes"]
Empty = Literal["nan", "1", "0"]

ALL, FOREGROUND = "all", "foreground"
DEFAULT_THRESHOLD = 0.65


def divide(numerator: NDArray[np.number], denominator: NDArray[np.number]) -> Floats:
    """Elementwise float64 ratio; 0/0 is NaN, never 0 or 1 by accident."""
    out = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    return np.divide(numerator, denominator, out=out, where=denominator != 0)


def iou(c: Counts) -> Floats:
    """Jaccard index."""
    return divide(c.tp, c.tp + c.fp + c.fn)


def dice(c: Counts) -> Floats:
    """Dice coefficient, the F1 score of pixels."""
    return divide(2 * c.tp, 2 * c.tp + c.fp + c.fn)


def precision(c: Counts) -> Floats:
    """Positive predictive value; 0 where nothing was predicted but something was there."""
    return _zero_if_missed(divide(c.tp, c.predicted), c.reference)


def recall(c: Counts) -> Floats:
    """Sensitivity; 0 where something was predicted but nothing was there."""
    return _zero_if_missed(divide(c.tp, c.reference), c.predicted)


def specificity(c: Counts) -> Floats:
    """Recall of everything that is not the class."""
    return recall(Counts(c.tn, c.fn, c.fp, c.tp))


def balanced_accuracy(c: Counts) -> Floats:
    """Mean of recall and specificity, each with its own empty rule."""
    return (recall(c) + specificity(c)) / 2


def volume_similarity(c: Counts) -> Floats:
    """1 - |difference of the two areas| / their sum."""
    return 1 - divide(np.abs(c.fn - c.fp), 2 * c.tp + c.fp + c.fn)


def accuracy(c: Counts) -> Floats:
    """Share of valid pixels on which reference and prediction agree about the class."""
    return divide(c.tp + c.tn, c.total)


def mcc(c: Counts) -> Floats:
    """Matthews correlation coefficient of the class against the rest."""
    return map_mcc(_two_classes(c))


def kappa(c: Counts) -> Floats:
    """Cohen's kappa of the class against the rest."""
    return map_kappa(_two_classes(c))


def map_accuracy(c: Counts) -> Floats:
    """Share of valid pixels with the right class."""
    return divide(c.tp.sum(axis=-1), c.total[..., 0])


def map_fwiou(c: Counts) -> Floats:
    """IoU of each class weighted by its share of the reference."""
    weighted = np.nan_to_num(iou(c)) * c.reference
    return divide(weighted.sum(axis=-1), c.total[..., 0])


def map_kappa(c: Counts) -> Floats:
    """Cohen's kappa: agreement beyond what the marginals give by chance."""
    observed = map_accuracy(c)
    total = c.total[..., 0].astype(np.float64)
    chance = divide(_inner(c.reference, c.predicted), total * total)
    return divide(observed - chance, 1 - chance)


def map_mcc(c: Counts) -> Floats:
    """Gorodkin's R_K, the multi-class Matthews correlation; 0 where one map is constant."""
    total = c.total[..., 0].astype(np.float64)
    covariance = c.tp.sum(axis=-1) * total - _inner(c.reference, c.predicted)
    # s^2 - sum t^2 as sum t (s - t): the same, without cancellation
    spread_reference = _inner(c.reference, c.total - c.reference)
    spread_predicted = _inner(c.predicted, c.total - c.predicted)
    value = divide(covariance, np.sqrt(spread_reference * spread_predicted))
    one_constant = (spread_reference == 0) != (spread_predicted == 0)
    # Both constant but to different classes: every pixel is wrong, no better than chance.
    both_wrong = (spread_reference == 0) & (spread_predicted == 0) & (covariance < 0)
    return np.where(one_constant | both_wrong, 0.0, value)


def _inner(a: NDArray[np.int64], b: NDArray[np.int64]) -> Floats:
    return (a.astype(np.float64) * b.astype(np.float64)).sum(axis=-1)


def _two_classes(c: Counts) -> Counts:
    """Class against rest as a map of two classes on a new last axis."""
    rest = (c.tn, c.fn, c.fp, c.tp)
    return Counts(*(np.stack((a, b), axis=-1) for a, b in zip(c, rest, strict=True)))


def _zero_if_missed(value: Floats, present_in_other: NDArray[np.int64]) -> Floats:
    return np.where(np.isnan(value) & (present_in_other > 0), 0.0, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A row of the table of measures."""

    key: str
    title: str
    formula: str
    worst: float
    family: Literal["object", "agreement"]
    reference: str
    per_class: Callable[[Counts], Floats] | None = None
    whole_map: Callable[[Counts], Floats] | None = None
    pooled: bool = True
    takes_threshold: bool = False

    best: float = 1.0

    @property
    def direction(self) -> str:
        """Which way is better; all measures of this table grow with quality."""
        return "higher is better"


_F1 = "Taha & Hanbury 2015, doi 10.1186/s12880-015-0068-x"
_COHEN = "Cohen 1960, doi 10.1177/001316446002000104"
_GORODKIN = "Gorodkin 2004, doi 10.1016/j.compbiolchem.2004.09.006"
_LONG = "Long et al. 2015, doi 10.1109/CVPR.2015.7298965"
_ISIC = "Codella et al. 2019 (ISIC 2018), arXiv 1902.03368"

TABLE: tuple[Definition, ...] = (
    Definition(
        key="iou",
        title="Intersection over union (Jaccard index)",
        formula="tp / (tp + fp + fn)",
        worst=0.0,
        family="object",
        reference="Jaccard 1912, doi 10.1111/j.1469-8137.1912.tb05611.x",
        per_class=iou,
    ),
    Definition(
        key="dice",
        title="Dice coefficient (F1 of pixels)",
        formula="2 tp / (2 tp + fp + fn)",
        worst=0.0,
        family="object",
        reference="Dice 1945, doi 10.2307/1932409",
        per_class=dice,
    ),
    Definition(
        key="accuracy",
        title="Pixel accuracy",
        formula="(tp + tn) / pixels; of the whole map: right pixels / pixels",
        worst=0.0,
        family="agreement",
        reference=_LONG,
        per_class=accuracy,
        whole_map=map_accuracy,
    ),
    Definition(
        key="precision",
        title="Precision (positive predictive value)",
        formula="tp / (tp + fp)",
        worst=0.0,
        family="object",
        reference=_F1,
        per_class=precision,
    ),
    Definition(
        key="recall",
        title="Recall (sensitivity)",
        formula="tp / (tp + fn)",
        worst=0.0,
        family="object",
        reference=_F1,
        per_class=recall,
    ),
    Definition(
        key="specificity",
        title="Specificity",
        formula="tn / (tn + fp)",
        worst=0.0,
        family="agreement",
        reference=_F1,
        per_class=specificity,
    ),
    Definition(
        key="balanced_accuracy",
        title="Balanced accuracy",
        formula="(recall + specificity) / 2",
        worst=0.0,
        family="agreement",
        reference="Brodersen et al. 2010, doi 10.1109/ICPR.2010.764",
        per_class=balanced_accuracy,
    ),
    Definition(
        key="mcc",
        title="Matthews correlation coefficient",
        formula="(c s - sum p t) / sqrt((s^2 - sum p^2)(s^2 - sum t^2)); c right pixels, s pixels, "
        "p predicted and t reference pixels of each class",
        worst=-1.0,
        family="agreement",
        reference=_GORODKIN,
        per_class=mcc,
        whole_map=map_mcc,
    ),
    Definition(
        key="kappa",
        title="Cohen's kappa",
        formula="(accuracy - chance) / (1 - chance); chance = sum p t / s^2",
        worst=-1.0,
        family="agreement",
        reference=_COHEN,
        per_class=kappa,
        whole_map=map_kappa,
    ),
    Definition(
        key="volume_similarity",
        title="Volume similarity (of areas)",
        formula="1 - |fn - fp| / (2 tp + fp + fn)",
        worst=0.0,
        family="object",
        reference=_F1,
        per_class=volume_similarity,
    ),
    Definition(
        key="fwiou",
        title="Frequency-weighted IoU",
        formula="sum over classes of iou x share of the class in the reference",
        worst=0.0,
        family="agreement",
        reference=_LONG,
        whole_map=map_fwiou,
    ),
    Definition(
        key="thresholded_iou",
        title="Thresholded Jaccard index",
        formula="iou where iou >= threshold, else 0; of single images only",
        worst=0.0,
        family="object",
        reference=_ISIC,
        per_class=iou,
        pooled=False,
        takes_threshold=True,
    ),
)

DEFINITIONS: dict[str, Definition] = {definition.key: definition for definition in TABLE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A measure with everything that its value depends on but the data.

    Attributes:
        key: Its row in the table.
        label: A class name; `all` or `foreground` over classes; `all` for the whole map.
        over: What the average runs over: `images`, the pooled `dataset`, or `classes`.
        empty: The value where the class is in neither map.
        threshold: For thresholded_iou, the IoU below which an image counts 0.
    """

    key: str
    label: str
    over: Over
    empty: Empty = "nan"
    threshold: float | None = None

    def __post_init__(self) -> None:
        definition = DEFINITIONS.get(self.key)
        if definition is None:
            raise SegbenchError(f"no measure {self.key!r}; there are {', '.join(DEFINITIONS)}")
        if self.empty not in {"nan", "1", "0"}:
            raise SegbenchError(f"empty:{self.empty}; expected nan, 1 or 0")
        if not CLASS_NAME_PATTERN.fullmatch(self.label):
            raise SegbenchError(f"class:{self.label!r} is no class name")
        if (self.over, self.label) not in legal_pairs(definition, (self.label,)):
            raise SegbenchError(f"{self.key} has no value over {self.over} for class {self.label}")
        if definition.takes_threshold and self.threshold is None:
            object.__setattr__(self, "threshold", DEFAULT_THRESHOLD)
        if (self.threshold is not None) != definition.takes_threshold:
            raise SegbenchError(f"{self.key} takes no threshold")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise SegbenchError(f"threshold:{self.threshold}; expected 0 to 1")

    @property
    def definition(self) -> Definition:
        """Its row in the table."""
        return DEFINITIONS[self.key]

    def __str__(self) -> str:
        threshold = "" if self.threshold is None else f"|threshold:{self.threshold!r}"
        return f"{self.key}|class:{self.label}|over:{self.over}{threshold}|empty:{self.empty}"

    def of_map(self) -> bool:
        """Whether this is a value of the whole label map rather than of one class."""
        return self.label == ALL and self.over != "classes"


def legal_pairs(definition: Definition, class_names: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs (over, class) for which a measure is defined, given the classes' names."""
    overs = ("images", "dataset") if definition.pooled else ("images",)
    pairs: list[tuple[str, str]] = []
    if definition.per_class is not None:
        names = [name for name in class_names if name not in {ALL, FOREGROUND}]
        pairs += [(over, name) for over in overs for name in names]
        if definition.pooled:
            pairs += [("classes", ALL), ("classes", FOREGROUND)]
    if definition.whole_map is not None:
        pairs += [(over, ALL) for over in overs]
    return pairs


def parse(text: str) -> Measure:
    """The measure that `str` wrote.

    Raises:
        SegbenchError: The text is not a measure's name.
    """
    key, *parts = text.split("|")
    options: dict[str, str] = {}
    for part in parts:
        name, colon, value = part.partition(":")
        if not colon or name not in {"class", "over", "empty", "threshold"} or name in options:
            raise SegbenchError(
                f"{text!r}: {part!r} is not part of a measure's name; expected "
                f"key|class:NAME|over:images, dataset or classes|empty:nan, 1 or 0"
            )
        options[name] = value
    if "class" not in options or options.get("over") not in {"images", "dataset", "classes"}:
        raise SegbenchError(f"{text!r}: expected class:NAME and over:images, dataset or classes")
    try:
        threshold = float(options["threshold"]) if "threshold" in options else None
    except ValueError:
        raise SegbenchError(f"{text!r}: threshold is not a number") from None
    return Measure(
        key=key,
        label=options["class"],
        over=options["over"],  # type: ignore[arg-type]  checked above
        empty=options.get("empty", "nan"),  # type: ignore[arg-type]  checked by Measure
        threshold=threshold,
    )


def values(measure: Measure, counts: Counts) -> Floats:
    """A measure's values from counts: (..., K) per class, or (...) for the whole map.

    For `over="classes"` these are the per-class values whose mean the score is.
    """
    definition = measure.definition
    if measure.of_map():
        function = definition.whole_map
        absent = np.zeros(counts.tp.shape[:-1], dtype=bool)
    else:
        function = definition.per_class
        absent = (counts.reference + counts.predicted == 0) & (counts.total > 0)
    if function is None:
        raise SegbenchError(f"{measure.key} has no value for class {measure.label}")
    value = function(counts)
    if measure.threshold is not None:
        value = np.where(value < measure.threshold, 0.0, value)  # NaN stays NaN
    if measure.empty == "nan":
        return value
    if definition.family == "agreement":
        absent = np.isnan(value) & _has_pixels(counts, value.shape)
    return np.where(np.isnan(value) & absent, float(measure.empty), value)


def _has_pixels(counts: Counts, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    total = counts.total
    return total > 0 if total.shape == shape else total[..., 0] > 0


def grid(
    class_names: Sequence[str],
    *,
    has_background: bool,
    empty: Empty = "nan",
    threshold: float = DEFAULT_THRESHOLD,
) -> list[Measure]:
    """Every legal measure of a dataset, once each, in the order of the table."""
    measures: list[Measure] = []
    for definition in TABLE:
        for over, label in legal_pairs(definition, class_names):
            if label == FOREGROUND and not has_background:
                continue
            measure = Measure(
                key=definition.key,
                label=label,
                over=over,  # type: ignore[arg-type]  legal by construction
                empty=empty,
            )
            if definition.takes_threshold:
                measure = replace(measure, threshold=threshold)
            measures.append(measure)
    return measures
