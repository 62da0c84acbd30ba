"""The measures: one literal table. A new measure is a row here and its definition.

Families, and what each does where a class is absent from one or both masks of an image:

`object`: where the class is in neither reference nor prediction the value is undefined
    (`empty:nan`: left out and counted), or 1 or 0 on request; where it is in only one of them, the
    worst value.
`agreement`: the pixels outside the class count too, so an absent class is an agreement like any
    other; only a true 0/0 (both maps constant and equal, or no valid pixel) is undefined and
    follows the same option. Where just one of the two maps is constant, mcc and kappa are 0: no
    better than chance.
`boundary`: as `object`, of the two boundaries.
`distance`: in neither: undefined. In only one: the image's diagonal (`empty:diagonal`; no
    distance in the image is longer), so that a missed object is never dropped; or `empty:inf`, or,
    only where it is asked for, `empty:nan`.
`skeleton`: as `object`, of the two centrelines.
`number`: what is counted in each mask; an absent class has none, so that in neither is an agreement
    (`empty:0`), and in only one of them all of the other's are wrong. A missing prediction is as
    wrong as an image of that size allows.
`soft`: of probabilities, of one class against the rest; only 0/0 is undefined (`ap` without a pixel
    of the class, `auroc` without a pixel of the class or without one outside it).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segbench import soft, surface
from segbench.confusion import Counts
from segbench.errors import SegbenchError
from segbench.measures import overlap

Floats = NDArray[np.float64]
Family = Literal["object", "agreement", "boundary", "distance", "skeleton", "number", "soft"]
Option = Literal[
    "threshold",
    "boundary",
    "rule",
    "spacing_mm",
    "tolerance",
    "dilation_ratio",
    "skeleton",
    "connectivity",
    "bins",
    "binning",
    "clip",
]

EMPTY_CHOICES: dict[Family, tuple[str, ...]] = {
    "object": ("nan", "1", "0"),
    "agreement": ("nan", "1", "0"),
    "boundary": ("nan", "1", "0"),
    "distance": ("diagonal", "nan", "inf"),
    "skeleton": ("nan", "1", "0"),
    "number": ("0",),
    "soft": ("nan",),
}
"""What `empty:` may say of each family; the first is the default."""

EMPTY_RULES: dict[Family, str] = {
    "object": "in neither map: undefined, left out and counted (empty:nan; or 1, or 0); in only "
    "one of them: the worst value",
    "agreement": "pixels outside the class count too, so an absent class is an agreement; only "
    "0/0 is undefined and follows empty:nan, 1 or 0",
    "boundary": "in neither map: undefined, left out and counted (empty:nan; or 1, or 0); in only "
    "one of them: the worst value, 0",
    "distance": "in neither map: undefined, left out and counted; in only one of them: the "
    "image's diagonal (empty:diagonal; or inf, or nan)",
    "skeleton": "in neither map: undefined, left out and counted (empty:nan; or 1, or 0); in only "
    "one of them: the worst value, 0",
    "number": "an absent class has none: in neither map they agree, 0; in only one of them: all "
    "that it has are wrong",
    "soft": "only 0/0 is undefined, left out and counted: ap in an image without the class, auroc "
    "in an image without the class or without anything else",
}


AGAINST_REST = "class against the rest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A row of the table of measures.

    Attributes:
        key: Its name in signatures.
        title: In words, another name in brackets.
        formula: In words and symbols.
        family: Which empty rule it follows.
        reference: Where it comes from.
        best: The value of a perfect prediction.
        worst: What a missing prediction scores; infinite: the most that the image allows (its
            diagonal, or as many single pixels as can lie apart).
        unit: "" for fractions, "distance" for pixels or millimetres, "number" for how many.
        per_class: From counts (..., K) to values (..., K).
        whole_map: From counts (..., K) to values (...).
        at_threshold: Turns an image's values into others, given the option `threshold`.
        of_surface: From the distances between two boundaries to a value; made by the options.
        pooled: Whether it has a value over the pooled dataset.
        tail: Whether the mean of the worst tenth and the median of the images are given too.
        options: Which options its value depends on, in the order of a signature.
    """

    key: str
    title: str
    formula: str
    family: Family
    reference: str
    best: float = 1.0
    worst: float = 0.0
    unit: Literal["", "distance", "number"] = ""
    per_class: Callable[[Counts], Floats] | None = None
    whole_map: Callable[[Counts], Floats] | None = None
    at_threshold: Callable[[Floats, float], Floats] | None = None
    pooled: bool = True
    tail: bool = False
    options: tuple[Option, ...] = ()

    @property
    def higher_is_better(self) -> bool:
        """Which way is better."""
        return self.best > self.worst

    @property
    def is_share(self) -> bool:
        """Whether it is 1 of some images and 0 of the others, so that its mean is their share."""
        return self.at_threshold in {_is_below, _is_zero}

    @property
    def direction(self) -> str:
        """Which way is better, in words."""
        return "higher is better" if self.higher_is_better else "lower is better"

    @property
    def of_boundaries(self) -> bool:
        """Whether its values come from boundaries rather than from counts."""
        return self.family in {"boundary", "distance"}

    @property
    def of_topology(self) -> bool:
        """Whether its values come from components, holes or centrelines."""
        return self.family in {"skeleton", "number"}

    @property
    def of_shape(self) -> bool:
        """Whether its values come from the masks' shapes, of one image at a time, not counts."""
        return self.of_boundaries or self.of_topology

    @property
    def of_probabilities(self) -> bool:
        """Whether its values come from probabilities rather than from masks."""
        return self.family == "soft"

    @property
    def has_classes(self) -> bool:
        """Whether it has a value for a single class."""
        return self.per_class is not None or self.of_shape or self.of_probabilities

    @property
    def against_rest(self) -> str:
        """What marks its value of a class, "" where the whole map has no other of the same name."""
        return AGAINST_REST if self.per_class is not None and self.whole_map is not None else ""

    @property
    def short_title(self) -> str:
        """Its title without the other name in brackets."""
        return self.title.partition(" (")[0]


def _zero_below(values: Floats, threshold: float) -> Floats:
    return np.where(values < threshold, 0.0, values)  # NaN stays NaN


def _is_below(values: Floats, threshold: float) -> Floats:
    return np.where(np.isnan(values), np.nan, values < threshold)


def _is_zero(values: Floats, _threshold: float) -> Floats:
    return np.where(np.isnan(values), np.nan, values == 0)


_F1 = "Taha & Hanbury 2015, doi 10.1186/s12880-015-0068-x"
_COHEN = "Cohen 1960, doi 10.1177/001316446002000104"
_GORODKIN = "Gorodkin 2004, doi 10.1016/j.compbiolchem.2004.09.006"
_LONG = "Long et al. 2015, doi 10.1109/CVPR.2015.7298965"
_ISIC = "Codella et al. 2019 (ISIC 2018), arXiv 1902.03368"
_MAIER_HEIN = "Maier-Hein et al. 2024 (Metrics reloaded), doi 10.1038/s41592-023-02151-z"
_NIKOLOV = "Nikolov et al. 2018, arXiv 1809.04430"
_DISTANCE: tuple[Option, ...] = ("boundary", "spacing_mm")

TABLE: tuple[Definition, ...] = (
    Definition(
        key="iou",
        title="Intersection over union (Jaccard index)",
        formula="tp / (tp + fp + fn)",
        family="object",
        reference="Jaccard 1912, doi 10.1111/j.1469-8137.1912.tb05611.x",
        per_class=overlap.iou,
        tail=True,
    ),
    Definition(
        key="dice",
        title="Dice coefficient (F1 of pixels)",
        formula="2 tp / (2 tp + fp + fn)",
        family="object",
        reference="Dice 1945, doi 10.2307/1932409",
        per_class=overlap.dice,
        tail=True,
    ),
    Definition(
        key="accuracy",
        title="Pixel accuracy",
        formula="(tp + tn) / pixels; of the whole map: right pixels / pixels",
        family="agreement",
        reference=_LONG,
        per_class=overlap.accuracy,
        whole_map=overlap.map_accuracy,
    ),
    Definition(
        key="precision",
        title="Precision (positive predictive value)",
        formula="tp / (tp + fp)",
        family="object",
        reference=_F1,
        per_class=overlap.precision,
    ),
    Definition(
        key="recall",
        title="Recall (sensitivity)",
        formula="tp / (tp + fn)",
        family="object",
        reference=_F1,
        per_class=overlap.recall,
    ),
    Definition(
        key="specificity",
        title="Specificity",
        formula="tn / (tn + fp)",
        family="agreement",
        reference=_F1,
        per_class=overlap.specificity,
    ),
    Definition(
        key="balanced_accuracy",
        title="Balanced accuracy",
        formula="(recall + specificity) / 2",
        family="agreement",
        reference="Brodersen et al. 2010, doi 10.1109/ICPR.2010.764",
        per_class=overlap.balanced_accuracy,
    ),
    Definition(
        key="mcc",
        title="Matthews correlation coefficient",
        formula="(c s - sum p t) / sqrt((s^2 - sum p^2)(s^2 - sum t^2)); c right pixels, s pixels, "
        "p predicted and t reference pixels of each class",
        worst=-1.0,
        family="agreement",
        reference=_GORODKIN,
        per_class=overlap.mcc,
        whole_map=overlap.map_mcc,
    ),
    Definition(
        key="kappa",
        title="Cohen's kappa",
        formula="(accuracy - chance) / (1 - chance); chance = sum p t / s^2",
        worst=-1.0,
        family="agreement",
        reference=_COHEN,
        per_class=overlap.kappa,
        whole_map=overlap.map_kappa,
    ),
    Definition(
        key="volume_similarity",
        title="Volume similarity (of areas)",
        formula="1 - |fn - fp| / (2 tp + fp + fn)",
        family="object",
        reference=_F1,
        per_class=overlap.volume_similarity,
    ),
    Definition(
        key="fwiou",
        title="Frequency-weighted IoU",
        formula="sum over classes of iou x share of the class in the reference",
        family="agreement",
        reference=_LONG,
        whole_map=overlap.map_fwiou,
    ),
    Definition(
        key="thresholded_iou",
        title="Thresholded Jaccard index",
        formula="iou where iou >= threshold, else 0; of single images only",
        family="object",
        reference=_ISIC,
        per_class=overlap.iou,
        at_threshold=_zero_below,
        pooled=False,
        options=("threshold",),
    ),
    Definition(
        key="failure_rate",
        title="Failures (images with IoU under the threshold)",
        formula="1 where iou < threshold, else 0; of single images only",
        best=0.0,
        worst=1.0,
        family="object",
        reference=_ISIC,
        per_class=overlap.iou,
        at_threshold=_is_below,
        pooled=False,
        options=("threshold",),
    ),
    Definition(
        key="miss_rate",
        title="Complete misses (images with IoU 0)",
        formula="1 where iou = 0 (object missed, or predicted where there is none), else 0; of "
        "single images only",
        best=0.0,
        worst=1.0,
        family="object",
        reference=_MAIER_HEIN,
        per_class=overlap.iou,
        at_threshold=_is_zero,
        pooled=False,
    ),
    Definition(
        key="hd",
        title="Hausdorff distance",
        formula="max of the distances of either boundary to the other",
        best=0.0,
        worst=math.inf,
        unit="distance",
        family="distance",
        reference="Huttenlocher et al. 1993, doi 10.1109/34.232073",
        pooled=False,
        options=_DISTANCE,
    ),
    Definition(
        key="hd95",
        title="95 % Hausdorff distance (any percentile: hd90, hd99, ...)",
        formula="95 % quantile of the distances of a boundary to the other: the larger of the "
        "two directions (rule:max), or of both together (rule:pooled)",
        best=0.0,
        worst=math.inf,
        unit="distance",
        family="distance",
        reference=_MAIER_HEIN,
        pooled=False,
        tail=True,
        options=(*_DISTANCE, "rule"),
    ),
    Definition(
        key="assd",
        title="Average symmetric surface distance",
        formula="mean of the distances of both boundaries together",
        best=0.0,
        worst=math.inf,
        unit="distance",
        family="distance",
        reference="Heimann et al. 2009, doi 10.1109/TMI.2009.2013851",
        pooled=False,
        options=_DISTANCE,
    ),
    Definition(
        key="masd",
        title="Mean average surface distance",
        formula="mean of the two directions' mean distances",
        best=0.0,
        worst=math.inf,
        unit="distance",
        family="distance",
        reference=_MAIER_HEIN,
        pooled=False,
        options=_DISTANCE,
    ),
    Definition(
        key="nsd",
        title="Normalised surface Dice",
        formula="share of both boundaries that lies within the tolerance of the other",
        family="boundary",
        reference=_NIKOLOV,
        pooled=False,
        tail=True,
        options=(*_DISTANCE, "tolerance"),
    ),
    Definition(
        key="boundary_f1",
        title="Boundary F1",
        formula="harmonic mean of the shares of the predicted and of the reference boundary that "
        "lie within the tolerance of the other",
        family="boundary",
        reference="Csurka et al. 2013, doi 10.5244/C.27.32",
        pooled=False,
        options=(*_DISTANCE, "tolerance"),
    ),
    Definition(
        key="boundary_iou",
        title="Boundary IoU",
        formula="iou of the two masks' inner bands, dilation_ratio x the image's diagonal wide",
        family="boundary",
        reference="Cheng et al. 2021, arXiv 2103.16562",
        pooled=False,
        options=("dilation_ratio",),
    ),
    Definition(
        key="cldice",
        title="Centreline Dice (clDice)",
        formula="harmonic mean of the shares of the predicted centreline in the reference and of "
        "the reference's centreline in the prediction",
        family="skeleton",
        reference="Shit et al. 2021, doi 10.1109/CVPR46437.2021.01629",
        pooled=False,
        tail=True,
        options=("skeleton",),
    ),
    Definition(
        key="components_error",
        title="Difference in connected components (Betti number 0)",
        formula="|components of the prediction - components of the reference|",
        best=0.0,
        worst=math.inf,
        unit="number",
        family="number",
        reference="Hu et al. 2019, arXiv 1906.05404",
        pooled=False,
        options=("connectivity",),
    ),
    Definition(
        key="holes_error",
        title="Difference in holes (Betti number 1)",
        formula="|holes of the prediction - holes of the reference|",
        best=0.0,
        worst=math.inf,
        unit="number",
        family="number",
        reference="Hu et al. 2019, arXiv 1906.05404",
        pooled=False,
        options=("connectivity",),
    ),
    Definition(
        key="ap",
        title="Average precision (area under the precision-recall curve)",
        formula="sum over thresholds n of (R_n - R_(n-1)) P_n; recall R, precision P; no "
        "interpolation, tied pixels are one threshold",
        family="soft",
        reference="Manning et al. 2008, Introduction to Information Retrieval, 8.4",
    ),
    Definition(
        key="auroc",
        title="AUROC (area under the ROC curve)",
        formula="share of pairs (pixel of the class, pixel outside it) where the first has the "
        "higher probability; ties count half",
        family="soft",
        reference="Hanley & McNeil 1982, doi 10.1148/radiology.143.1.7063747",
    ),
    Definition(
        key="brier",
        title="Brier score",
        formula="mean of (p - y)^2; y is 1 for pixels of the class, else 0",
        best=0.0,
        worst=1.0,
        family="soft",
        reference="Brier 1950, doi 10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2",
    ),
    Definition(
        key="nll",
        title="Negative log-likelihood (log loss, binary cross-entropy)",
        formula="mean of -(y log p + (1 - y) log(1 - p)) in nats, p kept within [clip, 1 - clip]; "
        "at worst -log(clip)",
        best=0.0,
        worst=-math.log(soft.CLIP),
        family="soft",
        reference="Good 1952, doi 10.1111/j.2517-6161.1952.tb00104.x",
        options=("clip",),
    ),
    Definition(
        key="ece",
        title="Expected calibration error",
        formula="sum over bins of n_m / n |mean y - mean p|; bins of equal width (k/M, (k+1)/M] or "
        "of equal mass",
        best=0.0,
        worst=1.0,
        family="soft",
        reference="Naeini et al. 2015, doi 10.1609/aaai.v29i1.9602",
        options=("bins", "binning"),
    ),
)

DEFINITIONS: dict[str, Definition] = {definition.key: definition for definition in TABLE}

_PERCENTILE = re.compile(r"hd([1-9]\d?(?:\.\d*[1-9])?)")


def percentile_of(key: str) -> float | None:
    """The percentile that a key such as `hd95` or `hd99.5` names; None for any other key."""
    match = _PERCENTILE.fullmatch(key)
    return float(match[1]) if match else None


_ALSO_CALLED = {
    "miou": "iou",
    "meaniou": "iou",
    "jaccard": "iou",
    "f1": "dice",
    "f1score": "dice",
    "dsc": "dice",
    "dicescore": "dice",
    "acc": "accuracy",
    "pixelaccuracy": "accuracy",
    "oa": "accuracy",
    "sensitivity": "recall",
    "tpr": "recall",
    "ppv": "precision",
    "tnr": "specificity",
    "surfacedice": "nsd",
    "hausdorff": "hd",
    "assd95": "hd95",
    "auc": "auroc",
    "averageprecision": "ap",
}
"""What others call a measure, without spaces and marks, and its key."""


def meant(key: str, known: Iterable[str]) -> str:
    """`; do you mean dice?` where a key is another name of a known one, or close to one."""
    keys = list(known)
    plain = re.sub(r"[^a-z0-9]", "", key.lower())
    other = _ALSO_CALLED.get(plain, "")
    near = [k for k in keys if k.replace("_", "") == plain] or [k for k in keys if k == other]
    near = near or get_close_matches(key.lower(), keys, n=1)
    return f"; do you mean {near[0]}?" if near else ""


def definition_of(key: str) -> Definition:
    """The row of a key; `hd90` and its like are made from the row of `hd95`.

    Raises:
        SegbenchError: There is no such measure.
    """
    if key in DEFINITIONS:
        return DEFINITIONS[key]
    percentile = percentile_of(key)
    if percentile is None:
        raise SegbenchError(
            f"no measure {key!r}{meant(key, DEFINITIONS)}; there are {', '.join(DEFINITIONS)} "
            f"(and hd90, hd99, ...: any "
            f"percentile over 0 and under 100)"
        )
    row = DEFINITIONS["hd95"]
    return replace(
        row,
        key=key,
        title=f"{percentile:g} % Hausdorff distance",
        formula=row.formula.replace("95", f"{percentile:g}"),
    )


def surface_function(key: str) -> Callable[..., float]:
    """The function of a key that reduces distances between two boundaries to a value.

    It takes SurfaceDistances, and as keywords rule, tolerance_px and tolerance_mm (those that its
    measure does not take are None). Where one of the masks is empty, distances are infinite.
    """
    percentile = percentile_of(key)

    def reduce(
        d: surface.SurfaceDistances,
        *,
        rule: surface.Rule | None,
        tolerance_px: float | None,
        tolerance_mm: float | None,
    ) -> float:
        if percentile is not None:
            return surface.hausdorff_percentile(d, percentile, rule=rule or "max", empty="inf")
        if key in _DISTANCES:
            return _DISTANCES[key](d, empty="inf")
        return _WITHIN[key](d, tolerance_px=tolerance_px, tolerance_mm=tolerance_mm)

    return reduce


_DISTANCES: dict[str, Callable[..., float]] = {
    "hd": surface.hausdorff,
    "assd": surface.assd,
    "masd": surface.masd,
}
_WITHIN: dict[str, Callable[..., float]] = {"nsd": surface.nsd, "boundary_f1": surface.boundary_f1}
