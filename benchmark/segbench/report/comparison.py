"""The picture of a comparison: a forest plot of differences; of two entries also their images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from segbench.report.charts import (
    ACCENT,
    INK,
    MUTED,
    RULE,
    SOFT,
    axes_at,
    canvas,
    save,
    shortened,
    style,
)
from segbench.scoring.compare import Comparison, Difference, Pair
from segbench.scoring.evaluate import SIZE
from segbench.statistics.bootstrap import FEW_UNITS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

N_NAMED = 3
"""Images named in the scatter plot: those that differ most."""

_WIDTH, _LINE, _TOP, _AXIS = 720, 24, 62, 66  # px
_BELOW, _PANEL, _SPREAD = 60, 200, 150
_RIGHT = 244  # px right of the forest, for numbers and p
_MOST_BINS = 40
_FEW_DOTS = 300


@dataclass(frozen=True)
class _Row:
    """A line of the forest: a difference, or the heading of those below it."""

    name: str
    difference: Difference | None = None
    p: str = ""
    indented: bool = False


def comparison_figure(comparison: Comparison, path: Path) -> None:
    """Draw a comparison to a file; the ending says what (.png, .svg, .pdf).

    Differences with their 95 % intervals stand one below the other: of every pair, or, of two
    entries alone, of all images and of the subgroups. Two entries are also shown image by image.

    Args:
        comparison: What to draw.
        path: Where to.
    """
    import matplotlib as mpl  # noqa: PLC0415

    with style():
        mpl.rcParams["svg.fonttype"] = "path"  # a file alone must not depend on installed fonts
        rows = _rows(comparison)
        pair = next(iter(comparison.pairs))
        images = len(comparison.pairs) == 1 and len(_finite(pair)) > 1
        below = _PANEL + _BELOW if images else 0
        height = _TOP + _LINE * len(rows) + _AXIS + below
        figure = canvas(_WIDTH, height)
        _title(figure, comparison, height)
        _forest(figure, comparison, rows, bottom=_AXIS + below)
        if images:
            _images(figure, pair)
        save(figure, path)


def _rows(comparison: Comparison) -> list[_Row]:
    pair, *others = comparison.pairs
    if others:
        return [
            _Row(f"{shortened(d.a, 18)} \N{MINUS SIGN} {shortened(d.b, 18)}", d, _p(d.p_holm))
            for d in comparison.pairs
        ]
    rows = [_Row("all images", pair, _p(pair.p))]
    for column, groups in comparison.subgroups.items():
        if len(groups) > 1:
            rows.append(_Row("size of the object" if column == SIZE else column))
            rows += [_Row(value, d, indented=True) for value, (d, *_) in groups.items()]
    return rows


def _p(p: float) -> str:
    if math.isnan(p):
        return ""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"  # noqa: PLR2004


def _title(figure: Figure, comparison: Comparison, height: float) -> None:
    measure = comparison.measure
    what = f"{measure.title}, {measure.average}"
    (name, version), (part, selected) = comparison.dataset, comparison.selection
    chosen = f"fold {selected}" if part == "fold" else selected
    n, groups = len(comparison.table), comparison.table.n_groups
    head = "Differences between entries"
    if len(comparison.entries) == 2:  # noqa: PLR2004  one pair
        form = ".2f" if measure.unit else ".3f"
        a, b = (
            f"{shortened(e.name, 24)} {_plain(e.score.value, form)}" for e in comparison.entries
        )
        head = f"{a}  vs  {b}"
    figure.text(14 / _WIDTH, 1 - 12 / height, head, va="top", fontsize=13, weight="bold")
    of = f"class {measure.label}" if measure.over != "classes" else f"{measure.label} classes"
    about = f"{what}, {of}; {name}@{version} {chosen}, {n} images in {groups} groups"
    figure.text(14 / _WIDTH, 1 - 33 / height, about, va="top", fontsize=10, color=MUTED)


def _forest(figure: Figure, comparison: Comparison, rows: list[_Row], *, bottom: float) -> None:
    left = 34 + 6.6 * max(len(shortened(row.name, 40)) for row in rows)
    axes = axes_at(figure, left=left, right=_RIGHT, bottom=bottom, height=_LINE * len(rows))
    axes.axvline(0, color=MUTED, linewidth=1)
    beside = axes.get_yaxis_transform()
    form = "+.2f" if comparison.measure.unit else "+.4f"
    for y, row in enumerate(rows):
        _row_name(axes, row, y)
        if row.difference is None:
            continue
        d, main = row.difference, not row.indented
        colour = MUTED if _few(d) else ACCENT
        low, high = d.ci95
        if math.isfinite(low) and math.isfinite(high):
            axes.plot([low, high], [y, y], color=colour, linewidth=2.4 if main else 1.8)
        if math.isfinite(d.value):
            mark, size = ("o", 7.5) if main else ("s", 5)
            axes.plot([d.value], [y], mark, color=colour, ms=size, mew=0)
        for x, text, weight, colour_ in (
            (8, _plain(d.value, form), "bold" if main else "normal", INK),
            (66, "" if math.isnan(low) else f"[{low:{form}}, {high:{form}}]", "normal", MUTED),
            (178, row.p or _few(d), "normal", INK if row.p else MUTED),
        ):
            axes.annotate(
                _minus(text),
                (1, y),
                xycoords=beside,
                xytext=(x, 0),
                textcoords="offset points",
                va="center_baseline",
                fontsize=10,
                fontweight=weight,
                color=colour_,
            )
    axes.set(xlim=_window(rows), ylim=(len(rows) - 0.5, -0.5), yticks=[])
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(_signed)
    axes.grid(axis="x", color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    about = "p adjusted (Holm)" if len(comparison.pairs) > 1 else "p by permutation"
    few = any(row.difference is not None and _few(row.difference) for row in rows)
    grey = f"; grey: fewer than {FEW_UNITS} groups" if few and len(rows) > 1 else ""
    axes.set_xlabel(f"difference with 95 % interval, {about}{grey}", labelpad=22)
    _directions(axes, comparison)


def _row_name(axes: Axes, row: _Row, y: int) -> None:
    axes.annotate(
        shortened(row.name, 40),
        (0, y),
        xycoords=axes.get_yaxis_transform(),
        xytext=(-12, 0),
        textcoords="offset points",
        ha="right",
        va="center_baseline",
        color=MUTED if row.difference is None else INK,
        style="italic" if row.difference is None else "normal",
    )


def _few(difference: Difference) -> str:
    return f"{difference.n_groups} groups" if difference.n_groups < FEW_UNITS else ""


def _directions(axes: Axes, comparison: Comparison) -> None:
    """Under the axis, which side is better for whom."""
    a, b = "first", "second"
    if len(comparison.pairs) == 1:
        a, b = (shortened(entry.name, 18) for entry in comparison.entries)
    right, left = (a, b) if comparison.higher_is_better else (b, a)
    low, high = axes.get_xlim()
    zero = (0 - low) / (high - low)
    for x, text, side in (
        (-8, f"\N{LEFTWARDS ARROW} {left} better", "right"),
        (8, f"{right} better \N{RIGHTWARDS ARROW}", "left"),
    ):
        axes.annotate(
            text,
            (zero, 0),
            xycoords="axes fraction",
            xytext=(x, -28),
            textcoords="offset points",
            ha=side,
            fontsize=10,
            color=INK,
        )


def _window(rows: list[_Row]) -> tuple[float, float]:
    """Zero and all ends with some air, at least a third of the range on either side of zero."""
    found = [row.difference for row in rows if row.difference is not None]
    ends = [x for d in found for x in (d.value, *d.ci95) if math.isfinite(x)]
    low, high = min([*ends, 0.0]), max([*ends, 0.0])
    least = max(high - low, 1e-6) / 2
    low, high = min(low, -least), max(high, least)
    air = 0.06 * (high - low)
    return low - air, high + air


def _finite(pair: Pair) -> tuple[tuple[str, float, float], ...]:
    """The images that have a place in a plot."""
    return tuple(image for image in pair.images if math.isfinite(image[1] - image[2]))


def _images(figure: Figure, pair: Pair) -> None:
    """Every image's difference by its mean value (Bland & Altman), and how the differences spread.

    The images that differ most have their names.
    """
    images = _finite(pair)
    of_a, of_b = (np.array([image[i] for image in images]) for i in (1, 2))
    apart, mean = of_a - of_b, (of_a + of_b) / 2
    most = 1.08 * max(float(np.abs(apart).max()), 1e-6)
    right = 22 + _SPREAD + 30
    axes = axes_at(figure, left=74, right=right, bottom=46, height=_PANEL)
    few = len(apart) <= _FEW_DOTS
    axes.scatter(mean, apart, s=18 if few else 8, color=ACCENT, alpha=0.55 if few else 0.3, lw=0)
    middle = (float(mean.min()) + float(mean.max())) / 2
    for identifier, a, b in pair.most_different(N_NAMED):
        if not math.isfinite(a - b):
            continue
        at_right = (a + b) / 2 > middle
        axes.annotate(
            shortened(identifier, 20),
            ((a + b) / 2, a - b),
            xytext=(-6 if at_right else 6, 0),
            textcoords="offset points",
            ha="right" if at_right else "left",
            va="center_baseline",
            fontsize=9,
        )
    left_out = len(pair.images) - len(images)
    without = f" (infinite ones left out: {left_out})" if left_out else ""
    axes.set_xlabel(f"mean of both entries, each image{without}")
    a, b = shortened(pair.a, 14), shortened(pair.b, 14)
    axes.set_ylabel(f"{a} \N{MINUS SIGN} {b}, each image")
    axes.locator_params(nbins=5)
    axes.yaxis.set_major_formatter(_signed)
    spread = axes_at(figure, left=_WIDTH - 22 - _SPREAD, right=22, bottom=46, height=_PANEL)
    n_bins = int(np.clip(2 * round(math.sqrt(len(apart))), 11, _MOST_BINS)) | 1  # odd: 0 inside one
    counts, edges = np.histogram(apart, bins=np.linspace(-most, most, n_bins + 1))
    spread.barh(edges[:-1], counts, np.diff(edges) * 0.92, align="edge", color=SOFT)
    spread.set(yticks=[], xlabel="images", xlim=(0, 1.05 * counts.max()))
    spread.locator_params(axis="x", nbins=4, integer=True)
    for panel in (axes, spread):
        panel.axhline(0, color=MUTED, linewidth=1)
        panel.set_ylim(-most, most)
        panel.grid(color=RULE, linewidth=0.8)
        panel.set_axisbelow(True)


def _signed(value: float, _position: float) -> str:
    """A tick of a difference."""
    return _minus(f"{value:+g}") if value else "0"


def _plain(value: float, form: str) -> str:
    return "\N{EN DASH}" if math.isnan(value) else format(value, form)


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")
