"""The reliability diagram: how often pixels of a probability are of the class, bin by bin.

From the pixels of all images pooled, as the pooled `ece`; the intervals of the bins and of the
error are of the same bootstrap over groups as all others. Written as a picture, and the data of it
as JSON and CSV beside it (DeGroot & Fienberg 1983, doi 10.2307/2987588).
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segbench import soft
from segbench.errors import SegbenchError
from segbench.measures import Measure
from segbench.report import charts
from segbench.scoring.evaluate import Evaluation
from segbench.scoring.files import interval_json, json_number
from segbench.scoring.scores import Score, Table
from segbench.soft import Histogram
from segbench.statistics.bootstrap import interval, replicate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

ENDINGS = (".svg", ".png")
MAX_PANELS = 9
"""Classes that are drawn, the first ones; the data hold all."""


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin; NaN where it holds no pixel.

    Attributes:
        low: Its lower end, not part of it (but 0); NaN for bins of equal mass.
        high: Its upper end.
        pixels: How many there are.
        probability: The mean of their probabilities.
        share: The share of them that is of the class.
        share_low: Lower end of the 95 % interval of the share.
        share_high: Its upper end.
        gap: Share less probability: below 0 where the prediction is too sure of the class.
    """

    low: float
    high: float
    pixels: int
    probability: float
    share: float
    share_low: float
    share_high: float
    gap: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """The diagram of one class.

    Attributes:
        label: The class.
        error: The pooled expected calibration error.
        bins: In ascending order.
    """

    label: str
    error: Score
    bins: tuple[Bin, ...]


def reliability(evaluation: Evaluation) -> tuple[Reliability, ...]:
    """The diagram of every class of an evaluation that measured probabilities (`Options.soft`)."""
    found: list[Reliability] = []
    for error in evaluation.scores:
        if error.measure.key != "ece" or error.measure.over != "dataset":
            continue
        binned = _Binned.of(evaluation.table, error.measure)
        low = high = np.full(error.measure.bins or soft.BINS, np.nan)
        n = evaluation.table.n_groups
        if n > 1:
            drawn = replicate(binned.shares, n)
            low, high = interval(drawn, binned.shares, n, method=evaluation.interval)
        bins = _bins(binned.sums(np.ones((1, n))), low, high, error.measure)
        found.append(Reliability(error.measure.label, error, bins))
    return tuple(found)


@dataclass(frozen=True)
class _Binned:
    """The bins (groups, M) of the groups; those of equal mass are so for all images together."""

    counts: Histogram

    @classmethod
    def of(cls, table: Table, measure: Measure) -> _Binned:
        _, unit = np.unique(table.groups, return_inverse=True)
        column, n = table.class_names.index(measure.label), table.n_groups
        if measure.binning == "width":
            return cls(table.of_soft.binned(column, unit, n))
        levels = table.of_soft.levels(column, unit, n)
        which = soft.mass_bin_of(levels.pixels.sum(axis=0), measure.bins or soft.BINS)
        members = np.eye(measure.bins or soft.BINS)[which]  # (levels, M): 1 where it is of the bin
        parts = (levels.negatives, levels.positives, levels.mass)
        return cls(Histogram(*(part @ members for part in parts)))

    def sums(self, weight: Floats) -> Histogram:
        """Bins (b, M) of weights (b, groups)."""
        parts = (self.counts.negatives, self.counts.positives, self.counts.mass)
        return Histogram(*(weight @ part for part in parts))

    def shares(self, weight: Floats) -> Floats:
        """The share of the class in each bin (b, M)."""
        found = self.sums(weight)
        return _divided(found.positives, found.pixels)


def _divided(numerator: Floats, denominator: Floats) -> Floats:
    out = np.full(numerator.shape, np.nan)
    return np.divide(numerator, denominator, out=out, where=denominator > 0)


def _bins(counts: Histogram, low: Floats, high: Floats, measure: Measure) -> tuple[Bin, ...]:
    n = len(low)
    edges = np.arange(n + 1) / n if measure.binning == "width" else np.full(n + 1, np.nan)
    probability, share = (
        _divided(part[0], counts.pixels[0]) for part in (counts.mass, counts.positives)
    )
    return tuple(
        Bin(
            float(edges[i]),
            float(edges[i + 1]),
            int(counts.pixels[0, i]),
            float(probability[i]),
            float(share[i]),
            float(low[i]),
            float(high[i]),
            float(share[i] - probability[i]),
        )
        for i in range(n)
    )


def check_picture(path: Path) -> None:
    """Refuse a picture that is not .svg or .png, before the work.

    Raises:
        SegbenchError: It is not.
    """
    if path.suffix.lower() not in ENDINGS:
        raise SegbenchError(f"--reliability {path}: expected a name that ends in .svg or .png")


def write_reliability(evaluation: Evaluation, path: Path) -> None:
    """Write the picture, and FILE.json and FILE.csv beside it.

    Raises:
        SegbenchError: It cannot be written, or its ending is another.
    """
    check_picture(path)
    diagrams = reliability(evaluation)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".json").write_text(_json(evaluation, diagrams), encoding="utf-8")
        path.with_suffix(".csv").write_text(_csv(diagrams), encoding="utf-8")
        draw_reliability(diagrams[:MAX_PANELS], path)
    except OSError as error:
        raise SegbenchError(f"{path}: could not be written ({error})") from error


def _json(evaluation: Evaluation, diagrams: Sequence[Reliability]) -> str:
    classes = [
        {
            "class": diagram.label,
            "ece": json_number(diagram.error.value),
            "ci95": [json_number(end) for end in diagram.error.ci95],
            "signature": diagram.error.signature,
            "bins": [
                {name: json_number(value) for name, value in asdict(one).items()}
                for one in diagram.bins
            ],
        }
        for diagram in diagrams
    ]
    how = interval_json(evaluation.table, evaluation.interval)
    value = {"schema_version": 1, "interval": how, "classes": classes}
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _csv(diagrams: Sequence[Reliability]) -> str:
    text = io.StringIO()
    names = [field.name for field in fields(Bin)]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["class", *names])
    for diagram in diagrams:
        for one in diagram.bins:
            values = ["" if math.isnan(v) else v for v in asdict(one).values()]
            writer.writerow([diagram.label, *values])
    return text.getvalue()


def draw_reliability(diagrams: Sequence[Reliability], path: Path) -> None:
    """Draw the diagrams side by side; the ending of the path says SVG or PNG."""
    with charts.style():
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
        from matplotlib.figure import Figure  # noqa: PLC0415

        columns = min(3, len(diagrams))
        rows = 2 * math.ceil(len(diagrams) / columns)
        figure = Figure(figsize=(5.4 * columns, 3.2 * rows), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(
            rows, columns, squeeze=False, sharex=True, height_ratios=[3, 1] * (rows // 2)
        )
        for ax in axes.flat:
            ax.set_visible(False)
        for i, diagram in enumerate(diagrams):
            row, column = divmod(i, columns)
            _draw_gaps(axes[2 * row, column], diagram)
            _draw_pixels(axes[2 * row + 1, column], diagram)
        figure.savefig(path, dpi=144, metadata=_no_date(path))


def _no_date(path: Path) -> dict[str, None] | None:
    return {"Date": None} if path.suffix.lower() == ".svg" else None


def _draw_gaps(ax: Axes, diagram: Reliability) -> None:
    ax.set_visible(True)
    there = [one for one in diagram.bins if one.pixels]
    x, y = ([getattr(one, name) for one in there] for name in ("probability", "share"))
    ax.plot([0, 1], [0, 1], color=charts.MUTED, linewidth=0.8, linestyle="--", zorder=1)
    ax.vlines(x, x, y, color=charts.SOFT, linewidth=6, zorder=2)
    ends = [(one.share_low, one.share_high) for one in there]
    if not any(math.isnan(low) for low, _ in ends):
        ax.vlines(x, *zip(*ends, strict=True), color=charts.ACCENT, linewidth=1.2, zorder=3)
    ax.plot(x, y, "o-", color=charts.ACCENT, markersize=4, linewidth=1, zorder=4)
    low, high = diagram.error.ci95
    spread = "" if math.isnan(low) else f" [{low:.4f}, {high:.4f}]"
    measure = diagram.error.measure
    ax.set_title(
        f"{diagram.label}: calibration error {diagram.error.value:.4f}{spread}\n"
        f"{measure.bins} bins of equal {measure.binning}, pixels of all images",
        loc="left",
        fontsize=10.5,
    )
    ax.set_ylabel("share of pixels of the class")
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.grid(color=charts.RULE, linewidth=0.6)
    ax.set_axisbelow(True)


def _draw_pixels(ax: Axes, diagram: Reliability) -> None:
    ax.set_visible(True)
    there = [one for one in diagram.bins if one.pixels]
    total = sum(one.pixels for one in there)
    x = [one.probability for one in there]
    least = min((one.pixels / total for one in there), default=0.1) / 3
    ax.vlines(x, least, [one.pixels / total for one in there], color=charts.ACCENT, linewidth=4)
    ax.set_yscale("log")
    ax.set_ylim(least, 1.5)
    ax.yaxis.set_major_formatter(lambda share, _: f"{share:.3%}".rstrip("0%").rstrip(".") + " %")
    ax.tick_params(axis="y", which="minor", length=0)
    ax.set_ylabel("pixels")
    ax.tick_params(axis="x", labelbottom=True)
    ax.set_xlabel("mean probability of the pixels of a bin")
    ax.grid(axis="y", color=charts.RULE, linewidth=0.6)
    ax.set_axisbelow(True)
