"""A measure as a value with all that its number depends on; `str` and `parse` are inverse."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from segbench.confusion import Counts
from segbench.errors import SegbenchError
from segbench.masks.labels import CLASS_NAME_PATTERN
from segbench.measures.table import EMPTY_CHOICES, TABLE, Definition, definition_of, percentile_of
from segbench.soft import BINS, CLIP, LEVELS, Binning
from segbench.surface import DILATION_RATIO, SPACINGS_MM, Boundary, Rule
from segbench.topology import Connectivity, Skeleton

Floats = NDArray[np.float64]
Over = Literal["images", "worst10", "median", "dataset", "classes"]
Empty = Literal["nan", "1", "0"]
EmptyDistance = Literal["diagonal", "nan", "inf"]
Spacing = tuple[float, float]

ALL, FOREGROUND = "all", "foreground"
OVER_IMAGES: tuple[Over, ...] = ("images", "worst10", "median")
"""Averages of the images' own values: their mean, the mean of the worst tenth, their median."""

THRESHOLD = 0.65
TOLERANCE = 2.0
MAX_BINS, MAX_CLIP = 1000, 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of all measures of an evaluation.

    Attributes:
        empty: Value of overlaps where a class is in neither map: undefined, 1 or 0.
        empty_distance: Value of distances where a class is in just one of the maps.
        threshold: Of thresholded_iou and failure_rate.
        surface: Whether boundaries are measured at all.
        percentile: Of the Hausdorff distance that is given beside the greatest; 1 to under 100.
        rule: Percentile of the two directions apart (`max` of both) or `pooled`.
        boundary: `inner` (4-neighbour inner boundary) or `length` (length-weighted elements).
        spacing_mm: Distance of neighbouring rows and columns; without it, distances are in pixels.
        tolerance: Of nsd and boundary_f1, in the unit of the distances.
        dilation_ratio: Width of boundary_iou's bands, as a share of the image's diagonal.
        topology: Whether components, holes and centrelines are measured.
        skeleton: How centrelines are found.
        connectivity: Neighbours of a foreground pixel, for components and holes.
        soft: Whether probabilities are measured too; predictions must then be probabilities.
        bins: How many bins ece has, 1 to 1000.
        binning: Bins of equal `width`, or of equal `mass` (as many pixels in each).
        clip: Least probability, and least distance from 1, that nll takes; over 0, at most 0.1.
    """

    empty: Empty = "nan"
    empty_distance: EmptyDistance = "diagonal"
    threshold: float = THRESHOLD
    surface: bool = True
    percentile: float = 95
    rule: Rule = "max"
    boundary: Boundary = "inner"
    spacing_mm: Spacing | None = None
    tolerance: float = TOLERANCE
    dilation_ratio: float = DILATION_RATIO
    topology: bool = False
    skeleton: Skeleton = "zhang"
    connectivity: Connectivity = 8
    soft: bool = False
    bins: int = BINS
    binning: Binning = "width"
    clip: float = CLIP


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A measure with everything that its value depends on but the data.

    Options that the measure takes and that are not given get their default; ones that it does not
    take must not be given.

    Attributes:
        key: Its row in the table, or `hd90` and the like.
        label: A class name; `all` or `foreground` over classes; `all` for the whole map.
        over: What the average runs over: `images` (their mean), their worst tenth `worst10`, their
            `median`; the pooled `dataset`; or `classes`.
        empty: The value where the class is in neither map; for distances, in just one of them.
        threshold: For thresholded_iou and failure_rate, the IoU below which an image failed.
        boundary: For measures of boundaries, what a boundary is.
        rule: For percentiles of distances, how the two directions make one value.
        spacing_mm: For measures of boundaries: None for pixels.
        tolerance_px: For nsd and boundary_f1 in pixels.
        tolerance_mm: For nsd and boundary_f1 in millimetres.
        dilation_ratio: For boundary_iou.
        skeleton: For cldice, how a centreline is found.
        connectivity: For components_error and holes_error, of the foreground.
        bins: For ece.
        binning: For ece.
        clip: For nll.

    Raises:
        SegbenchError: There is no such measure, average or option.
    """

    key: str
    label: str
    over: Over
    empty: Empty | EmptyDistance | None = None
    threshold: float | None = None
    boundary: Boundary | None = None
    rule: Rule | None = None
    spacing_mm: Spacing | None = None
    tolerance_px: float | None = None
    tolerance_mm: float | None = None
    dilation_ratio: float | None = None
    skeleton: Skeleton | None = None
    connectivity: Connectivity | None = None
    bins: int | None = None
    binning: Binning | None = None
    clip: float | None = None

    def __post_init__(self) -> None:
        definition = definition_of(self.key)
        choices = EMPTY_CHOICES[definition.family]
        self._default("empty", choices[0])
        if self.empty not in choices:
            raise SegbenchError(f"{self.key}: empty:{self.empty}; expected {', '.join(choices)}")
        if not CLASS_NAME_PATTERN.fullmatch(self.label):
            raise SegbenchError(f"class:{self.label!r} is no class name")
        if (self.over, self.label) not in legal_pairs(definition, (self.label,)):
            raise SegbenchError(f"{self.key} has no value over {self.over} for class {self.label}")
        self._check_options(definition)

    def _default(self, name: str, value: object) -> None:
        if getattr(self, name) is None:
            object.__setattr__(self, name, value)

    def _check_options(self, definition: Definition) -> None:
        takes = definition.options
        given = ["tolerance_px", "tolerance_mm"] if "tolerance" not in takes else []
        given += [name for name in (*_DEFAULTS, "spacing_mm") if name not in takes]
        for name in given:
            if getattr(self, name) is not None:
                raise SegbenchError(f"{self.key} takes no {name}")
        for name, value in _DEFAULTS.items():
            if name in takes:
                self._default(name, value)
        if "tolerance" in takes:
            unit, other = ("px", "mm") if self.spacing_mm is None else ("mm", "px")
            if getattr(self, f"tolerance_{other}") is not None:
                raise SegbenchError(f"{self.key} in {unit} takes no tolerance_{other}")
            self._default(f"tolerance_{unit}", TOLERANCE)
        _check_number("bins", self.bins, low=1, high=MAX_BINS)
        _check_number("clip", self.clip, low=0, high=MAX_CLIP, open_low=True)
        _check_number("threshold", self.threshold, low=0, high=1)
        _check_number("tolerance_px", self.tolerance_px, low=0)
        _check_number("tolerance_mm", self.tolerance_mm, low=0)
        _check_number("dilation_ratio", self.dilation_ratio, low=0, high=1, open_low=True)
        for side in self.spacing_mm or ():
            _check_number("spacing_mm", side, low=SPACINGS_MM[0], high=SPACINGS_MM[1])
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in choices:
                expected = " or ".join(map(str, choices))
                raise SegbenchError(f"{name}:{value}; expected {expected}")

    @property
    def definition(self) -> Definition:
        """Its row in the table."""
        return definition_of(self.key)

    @property
    def levels(self) -> int | None:
        """How many levels of the logit are told apart where pixels of all images are ranked."""
        ranks = self.key in {"ap", "auroc"} or self.binning == "mass"
        return LEVELS if ranks and self.over == "dataset" else None

    @property
    def unit(self) -> str:
        """Of its values: "px", "mm", "number", or "" for a fraction."""
        if self.definition.unit != "distance":
            return self.definition.unit
        return "px" if self.spacing_mm is None else "mm"

    @property
    def title(self) -> str:
        """Its title for tables, with its unit, threshold or tolerance in brackets."""
        limits = ((self.threshold, "at IoU {:g}"), (self.tolerance_px, "within {:g} px"))
        limits += ((self.tolerance_mm, "within {:g} mm"),)
        notes = [text.format(value) for value, text in limits if value is not None]
        notes += [self.unit] if self.definition.unit == "distance" else []
        notes += [f"{self.bins} bins of equal {self.binning}"] if self.bins is not None else []
        against_rest = self.definition.against_rest if self.over == "classes" else ""
        notes += [against_rest] if against_rest else []
        return self.definition.short_title + (f" ({', '.join(notes)})" if notes else "")

    @property
    def average(self) -> str:
        """What `over` means, in words."""
        return _AVERAGES[self.over]

    def __str__(self) -> str:
        parts = [self.key, f"class:{self.label}", f"over:{self.over}"]
        for name, option in _OPTIONS.items():
            value = getattr(self, name)
            if value is not None:
                parts.append(f"{name}:{option.write(value)}")
        if "spacing_mm" in self.definition.options and self.spacing_mm is None:
            parts.append("unit:px")
        return "|".join((*parts, f"empty:{self.empty}"))

    def of_map(self) -> bool:
        """Whether this is a value of the whole label map rather than of one class."""
        return self.label == ALL and self.over != "classes"


_DEFAULTS: dict[str, object] = {
    "threshold": THRESHOLD,
    "boundary": "inner",
    "rule": "max",
    "dilation_ratio": DILATION_RATIO,
    "skeleton": "zhang",
    "connectivity": 8,
    "bins": BINS,
    "binning": "width",
    "clip": CLIP,
}
_CHOICES: dict[str, tuple[object, ...]] = {
    "boundary": get_args(Boundary),
    "rule": get_args(Rule),
    "binning": get_args(Binning),
    "skeleton": get_args(Skeleton),
    "connectivity": get_args(Connectivity),
}

_AVERAGES: dict[Over, str] = {
    "images": "mean over images",
    "worst10": "mean of the worst 10 % of images",
    "median": "median over images",
    "dataset": "pooled",
    "classes": "mean over classes",
}


def _check_number(
    name: str, value: float | None, *, low: float, high: float = math.inf, open_low: bool = False
) -> None:
    if value is None:
        return
    if not (low < value if open_low else low <= value) or not (value <= high and value < math.inf):
        at_least = f"more than {low}" if open_low else f"{low} or more"
        raise SegbenchError(
            f"{name}:{value}; expected a number, {at_least}"
            + f", {high} or less" * (high < math.inf)
        )


def _number(value: float) -> str:
    return repr(float(value)).removesuffix(".0")


@dataclass(frozen=True, slots=True)
class _Option:
    """How an option is written in a measure's name, and read back."""

    write: Callable[[Any], str]
    read: Callable[[str], Any]


def _pair(text: str) -> tuple[float, ...]:
    row, column = text.split("x")
    return float(row), float(column)


_OPTIONS: dict[str, _Option] = {
    "threshold": _Option(_number, float),
    "boundary": _Option(str, str),
    "rule": _Option(str, str),
    "spacing_mm": _Option(lambda pair: "x".join(map(_number, pair)), _pair),
    "tolerance_px": _Option(_number, float),
    "tolerance_mm": _Option(_number, float),
    "dilation_ratio": _Option(_number, float),
    "skeleton": _Option(str, str),
    "connectivity": _Option(str, int),
    "bins": _Option(str, int),
    "binning": _Option(str, str),
    "clip": _Option(_number, float),
    "levels": _Option(str, int),
}


def legal_pairs(definition: Definition, class_names: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs (over, class) for which a measure is defined, given the classes' names."""
    names = [name for name in class_names if name not in {ALL, FOREGROUND}]
    pairs: list[tuple[str, str]] = []
    if definition.has_classes:
        overs = ("images", *(("worst10", "median") * definition.tail))
        overs += ("dataset",) * definition.pooled
        pairs += [(over, name) for over in overs for name in names]
        if definition.pooled and not definition.of_probabilities:
            pairs += [("classes", ALL), ("classes", FOREGROUND)]
    if definition.whole_map is not None:
        pairs += [("images", ALL), ("dataset", ALL)]
    return pairs


def parse(text: str) -> Measure:
    """The measure that `str` wrote.

    Raises:
        SegbenchError: The text is not a measure's name.
    """
    key, *parts = text.split("|")
    found: dict[str, Any] = {}
    for part in parts:
        name, colon, value = part.partition(":")
        if not colon or name in found or name not in {"class", "over", "empty", "unit", *_OPTIONS}:
            raise SegbenchError(
                f"{text!r}: {part!r} is not part of a measure's name; expected key|class:NAME|"
                f"over:images and options such as empty:nan ({', '.join(_OPTIONS)})"
            )
        try:
            found[name] = _OPTIONS[name].read(value) if name in _OPTIONS else value
        except ValueError:
            raise SegbenchError(f"{text!r}: {name} is {value!r}; expected a number") from None
    if found.pop("unit", "px") != "px":
        raise SegbenchError(f"{text!r}: expected unit:px, or spacing_mm:ROWxCOLUMN")
    if "class" not in found or found.get("over") not in get_args(Over):
        raise SegbenchError(f"{text!r}: expected class:NAME and over: {', '.join(get_args(Over))}")
    levels = found.pop("levels", None)
    measure = Measure(key=key, label=found.pop("class"), **found)
    if levels not in {None, measure.levels}:
        raise SegbenchError(f"{text!r}: levels:{levels}; expected {measure.levels or 'none'}")
    return measure


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
        raise SegbenchError(f"{measure.key} has no value for class {measure.label} from counts")
    value = function(counts)
    if measure.empty != "nan":
        if definition.family == "agreement":
            absent = np.isnan(value) & _has_pixels(counts, value.shape)
        value = np.where(np.isnan(value) & absent, float(measure.empty or "nan"), value)
    if definition.at_threshold is not None:
        value = definition.at_threshold(value, measure.threshold or 0.0)
    return value


def _has_pixels(counts: Counts, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    total = counts.total
    return total > 0 if total.shape == shape else total[..., 0] > 0


def grid(
    class_names: Sequence[str], *, background: int | None = None, options: Options | None = None
) -> list[Measure]:
    """Every legal measure of a dataset, once each, in the order of the table.

    Args:
        class_names: The classes.
        background: Index of the background, which has no shape of its own; None: there is none.
        options: Of the measures.

    Raises:
        SegbenchError: An option is not what it may be.
    """
    options = options or Options()
    measures: list[Measure] = []
    for row in TABLE:
        if (row.of_boundaries and not options.surface) or (
            row.of_topology and not options.topology
        ):
            continue
        if row.of_probabilities and not options.soft:
            continue
        of_objects = row.of_shape or row.of_probabilities
        key = _percentile_key(options.percentile) if row.key == "hd95" else row.key
        settings = _settings(row, options)
        for over, label in legal_pairs(row, class_names):
            if label == FOREGROUND and background is None:
                continue
            if of_objects and background is not None and label == class_names[background]:
                continue
            measures.append(Measure(key=key, label=label, over=over, **settings))  # type: ignore[arg-type]  legal by construction
    return measures


def _percentile_key(percentile: float) -> str:
    key = f"hd{_number(percentile)}"
    if percentile_of(key) is None:
        raise SegbenchError(f"percentile {percentile}; expected 1 to under 100 (100 is hd itself)")
    return key


def _settings(row: Definition, options: Options) -> dict[str, Any]:
    """The options that a row takes, as arguments of a measure."""
    names = [name for name in row.options if name != "tolerance"]
    settings = {name: getattr(options, name) for name in names}
    if "tolerance" in row.options:
        unit = "px" if options.spacing_mm is None else "mm"
        settings[f"tolerance_{unit}"] = options.tolerance
    if row.family not in {"number", "soft"}:
        settings["empty"] = options.empty_distance if row.family == "distance" else options.empty
    return settings
