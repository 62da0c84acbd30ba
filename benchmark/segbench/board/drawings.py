"""The drawings of a standing; each is written to a file, the same bytes each time.

Of many entries the first `N_DRAWN` are drawn, and the drawing says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segbench.board.columns import CostColumn
from segbench.board.rank import Place
from segbench.board.standings import Standing
from segbench.board.wording import heading, share
from segbench.report.charts import (
    ACCENT,
    INK,
    MUTED,
    RULE,
    SOFT,
    axes_at,
    canvas,
    file_style,
    shortened,
)
from segbench.scoring.compare import image_values
from segbench.statistics.ranking import ALPHA, pareto_front

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

N_DRAWN = 30
"""Of more entries than this the first are drawn."""
N_LABELLED = 12
"""Entries of a Pareto plot that have their names beside them: the front first, of many alone."""

_WIDTH, _LINE, _TOP, _AXIS = 720, 24, 58, 48  # px
_NAME = 30  # characters
_BAND = "#f2f5f8"  # behind every second tier
_BETTER, _WORSE = ACCENT, "#d55e00"  # blue and vermilion: told apart by the colour-blind
_MOST_MARKS = 400
_CLEAR = 12  # px between the lines of names


def intervals(standing: Standing, path: Path) -> None:
    """A forest plot: each entry's score with its interval, tiers as bands."""
    places = _drawn(standing)
    height = _LINE * len(places)
    with file_style():
        figure = _figure(standing, height, "Scores and tiers")
        axes = axes_at(figure, left=_left(places), right=196, bottom=_AXIS, height=height)
        _bands(axes, places)
        distance = bool(standing.ranking.measure.unit)
        form = ".2f" if distance else ".3f"
        for y, place in enumerate(places):
            low, high = place.score.ci95
            if not math.isnan(low):
                axes.plot([low, high], [y, y], color=ACCENT, linewidth=2.2, solid_capstyle="butt")
            axes.plot([place.score.value], [y], "o", color=ACCENT, markersize=7, markeredgewidth=0)
            ends = "" if math.isnan(low) else f"[{low:{form}}, {high:{form}}]"
            value = place.score.value
            text = "\N{EN DASH}" if math.isnan(value) else f"{value:{form}}"
            _beside(axes, y, 8, text, weight="bold")
            _beside(axes, y, 56, ends, colour=MUTED)
            _beside(axes, y, 152, f"tier {place.tier or '-'}", colour=INK)
        axes.set(xlim=_window(places), ylim=(len(places) - 0.5, -0.5))
        axes.set_xlabel(f"{_measure(standing)}, 95 % interval")
        _finish(axes, places)
        _save(figure, path)


def rank_probabilities(standing: Standing, path: Path) -> None:
    """A heatmap: how often each entry has each rank in the bootstrap."""
    places = _drawn(standing)
    n = len(places)
    shares = np.array([place.probabilities[:n] for place in places])
    with file_style():
        figure, axes = _matrix(standing, places, "Ranks in the bootstrap", n)
        _cells(axes, np.nan_to_num(shares), _blue)
        if n <= N_LABELLED:
            for y, x in np.argwhere(shares > 0):
                colour = "white" if shares[y, x] > 0.5 else INK  # noqa: PLR2004  dark below it
                text = share(float(shares[y, x]))
                axes.text(x, y, text, ha="center", va="center_baseline", fontsize=9, color=colour)
        axes.set_xticks(range(n), [str(i + 1) for i in range(n)], fontsize=10 if n <= 20 else 7)  # noqa: PLR2004
        axes.set_xlabel("rank")
        _save(figure, path)


def significance(standing: Standing, path: Path) -> None:
    """A map of the tests of all pairs: is the row better than the column, or worse?"""
    places = _drawn(standing)
    n = len(places)
    ranking = standing.ranking
    p, apart = ranking.p_holm[:n, :n], ranking.differences[:n, :n]
    with np.errstate(invalid="ignore"):
        told = np.where(p < ALPHA, np.sign(apart), 0.0)
    with file_style():
        title = "Is the row better than the column?"
        figure, axes = _matrix(standing, places, title, n, foot=40 + 6.2 * _longest(places))
        _cells(axes, told, lambda v: {1: _BETTER, -1: _WORSE}.get(int(np.sign(v)), "#eef1f4"))
        for i in range(n):
            axes.text(i, i, "\N{MIDDLE DOT}", ha="center", va="center", color=MUTED)
        names = [_name(place) for place in places]
        axes.set_xticks(range(n), names, rotation=90, fontsize=10 if n <= 20 else 8)  # noqa: PLR2004
        for x, colour, text in (
            (0, _BETTER, "better"), (70, _WORSE, "worse"), (134, "#eef1f4", "not told apart"),
        ):  # fmt: skip
            _legend(figure, _left(places) + x, colour, text)
        _save(figure, path)


def distributions(standing: Standing, path: Path) -> None:
    """Of each entry the scores of single images: every image, quartiles and median."""
    places = _drawn(standing)
    line = 30
    height = line * len(places)
    measure = standing.ranking.measure
    with file_style():
        figure = _figure(standing, height, "Scores of single images")
        axes = axes_at(figure, left=_left(places), right=24, bottom=_AXIS, height=height)
        _bands(axes, places)
        for y, place in enumerate(places):
            values = image_values(standing.scores[place.name].table, measure)
            values = np.sort(values[np.isfinite(values)])
            if not len(values):
                continue
            first, median, third = np.quantile(values, (0.25, 0.5, 0.75))
            axes.barh(y + 0.2, third - first, left=first, height=0.26, color=SOFT)
            axes.plot([median] * 2, [y + 0.07, y + 0.33], color=ACCENT, linewidth=2.6)
            # Of many images evenly spaced quantiles, the extremes among them, keep the file small.
            if len(values) > _MOST_MARKS:
                values = np.quantile(values, np.linspace(0, 1, _MOST_MARKS), method="nearest")
            x, dy = np.repeat(values, 3), np.tile([-0.34, -0.02, np.nan], len(values))
            axes.plot(x, y + dy, color=MUTED, linewidth=0.7, solid_capstyle="butt")
        axes.set_ylim(len(places) - 0.5, -0.5)
        if not measure.unit:
            low, high = axes.get_xlim()
            axes.set_xlim(max(low, -1.02), min(high, 1.02))
        axes.set_xlabel(f"{measure.title} of each image; bar: quartiles, line: median")
        _finish(axes, places)
        _save(figure, path)


def has_images(standing: Standing) -> bool:
    """Whether the measure that ranks has values of single images."""
    first = next(iter(standing.scores.values()))
    return bool(np.isfinite(image_values(first.table, standing.ranking.measure)).any())


def priced(standing: Standing, column: CostColumn) -> list[tuple[Place, float]]:
    """The entries with a score whose cost is known, with the cost in the unit of the axis."""
    found: list[tuple[Place, float]] = []
    for place in standing.ranking.places:
        cost = column.of(standing.entries[place.name].cost)
        if cost is not None and not math.isnan(place.score.value):
            found.append((place, cost / column.unit))
    return found


def pareto(standing: Standing, column: CostColumn, path: Path) -> None:
    """Scores against a cost; a line through the entries that no other dominates."""
    from matplotlib.ticker import LogLocator, NullLocator  # noqa: PLC0415

    found = priced(standing, column)
    better = standing.ranking.measure.definition.higher_is_better
    cost = np.array([price for _, price in found])
    score = np.array([place.score.value for place, _ in found])
    front = pareto_front(score, cost, higher_is_better=better)
    height = 300
    with file_style():
        figure = _figure(standing, height, f"Score against {column.axis}", draws_all=True)
        axes = axes_at(figure, left=74, right=30, bottom=_AXIS, height=height)
        if cost.min() > 0 and cost.max() > 5 * cost.min():
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(_plain)
        if len(found) <= N_DRAWN:
            low, high = np.array([place.score.ci95 for place, _ in found]).T
            axes.vlines(cost, low, high, color=SOFT, linewidth=1.6, zorder=1)
        for chosen, fill in ((~front, "white"), (front, ACCENT)):
            axes.plot(cost[chosen], score[chosen], "o", markersize=7.5, markerfacecolor=fill,
                      markeredgecolor=ACCENT, markeredgewidth=1.4, zorder=3)  # fmt: skip
        order = np.flatnonzero(front)
        order = order[np.argsort(cost[order], kind="stable")]
        axes.plot(
            cost[order], score[order], color=ACCENT, linewidth=1, drawstyle="steps-post", zorder=2
        )
        axes.margins(x=0.12, y=0.1)
        axes.autoscale_view()
        machines = {column.on(standing.entries[place.name].cost) for place, _ in found}
        where = "; on different machines" if len(machines) > 1 else ""
        axes.set_xlabel(f"{column.axis}{where}; filled: no other entry dominates it")
        axes.set_ylabel(_measure(standing))
        axes.locator_params(axis="y", nbins=6)
        axes.grid(color=RULE, linewidth=0.8)
        axes.set_axisbelow(True)
        _names_of_points(axes, found, front)
        _save(figure, path)


def _names_of_points(
    axes: Axes, found: list[tuple[Place, float]], front: NDArray[np.bool_]
) -> None:
    """Names beside the points, the front first, where no other name is in the way."""
    taken: list[tuple[float, float, float]] = []  # left, right, y in pixels
    low, high = axes.get_window_extent().x0, axes.get_window_extent().x1
    candidates = sorted(range(len(found)), key=lambda i: not front[i])
    if len(found) > N_DRAWN:
        candidates = candidates[: int(front.sum())]
    for i in candidates[:N_LABELLED]:
        place, price = found[i]
        name, at = _name(place), (price, place.score.value)
        x, y = axes.transData.transform(at)
        width = 6.4 * len(name) + 10
        for side, left in ((1, x + 8), (-1, x - 8 - width)):
            clear = all(
                left > end or left + width < start or abs(y - other) > _CLEAR
                for start, end, other in taken
            )
            if clear and low <= left and left + width <= high:
                axes.annotate(
                    name,
                    at,
                    xytext=(8 * side, 7),
                    textcoords="offset points",
                    ha="left" if side == 1 else "right",
                    va="center_baseline",
                    fontsize=10,
                )
                taken.append((left, left + width, y))
                break


def _name(place: Place) -> str:
    """The name of an entry, its middle left out where it is long: names often differ at the end."""
    name = place.name
    half = _NAME // 2
    return (
        name if len(name) <= _NAME else f"{name[:half]}\N{HORIZONTAL ELLIPSIS}{name[-half + 1 :]}"
    )


def _plain(value: float, _position: float) -> str:
    return f"{value:g}"


def _drawn(standing: Standing) -> tuple[Place, ...]:
    return standing.ranking.places[:N_DRAWN]


def _measure(standing: Standing) -> str:
    main = next(iter(standing.scores.values())).main_label
    return heading(standing.ranking.measure, main)


def _longest(places: tuple[Place, ...]) -> int:
    return max(len(_name(place)) for place in places)


def _left(places: tuple[Place, ...]) -> float:
    """Room for names left of the axes."""
    return 24 + 6.8 * _longest(places)


def _figure(
    standing: Standing, height: float, title: str, *, foot: float = _AXIS, draws_all: bool = False
) -> Figure:
    """A canvas for axes of a height, with title and what is shown above them."""
    whole = _TOP + height + foot
    figure = canvas(_WIDTH, whole)
    ranking = standing.ranking
    about = f"{standing.dataset} {standing.selection}, {standing.status}, "
    about += f"{ranking.n_samples} images in {ranking.n_groups} groups"
    n = len(ranking.places)
    if n > N_DRAWN and not draws_all:
        about += f"; the first {N_DRAWN} of {n} entries"
    left = 14 / _WIDTH
    figure.text(left, 1 - 12 / whole, title, va="top", fontsize=13, weight="bold")
    figure.text(left, 1 - 32 / whole, shortened(about, 110), va="top", fontsize=10, color=MUTED)
    return figure


def _matrix(
    standing: Standing, places: tuple[Place, ...], title: str, n: int, *, foot: float = _AXIS
) -> tuple[Figure, Axes]:
    """Axes for a square of entries, names at the left."""
    left = _left(places)
    cell = min(48.0, (_WIDTH - left - 20) / n)
    line = min(_LINE, max(cell, 16))
    height = line * n
    figure = _figure(standing, height, title, foot=foot)
    axes = axes_at(figure, left=left, right=_WIDTH - left - cell * n, bottom=foot, height=height)
    axes.set(xlim=(-0.5, n - 0.5), ylim=(n - 0.5, -0.5))
    _names(axes, places)
    axes.tick_params(axis="x", length=0)
    axes.spines["bottom"].set_visible(False)
    return figure, axes


def _cells(axes: Axes, values: Floats, colour: Callable[[float], str]) -> None:
    """Coloured cells with thin gaps; one path a colour keeps the file small."""
    from matplotlib.collections import PolyCollection  # noqa: PLC0415

    corners = np.array([[-0.48, -0.46], [0.48, -0.46], [0.48, 0.46], [-0.48, 0.46]])
    ys, xs = np.indices(values.shape)
    squares = np.stack((xs, ys), axis=-1).reshape(-1, 1, 2) + corners
    axes.add_collection(
        PolyCollection(list(squares), facecolors=[colour(v) for v in values.ravel()], linewidths=0)
    )


def _blue(value: float) -> str:
    """From nearly white to the accent, evenly."""
    low, high = (0xEE, 0xF1, 0xF4), (0x00, 0x72, 0xB2)
    mixed = (round(a + (b - a) * value) for a, b in zip(low, high, strict=True))
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def _legend(figure: Figure, x: float, colour: str, text: str) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415

    _, height = (float(side) * 72 for side in figure.get_size_inches())
    box = Rectangle((x / _WIDTH, 10 / height), 11 / _WIDTH, 11 / height, facecolor=colour,
                    transform=figure.transFigure, linewidth=0)  # fmt: skip
    figure.add_artist(box)
    figure.text((x + 16) / _WIDTH, 11 / height, text, fontsize=10, color=MUTED)


def _bands(axes: Axes, places: tuple[Place, ...]) -> None:
    """A soft band behind every second tier."""
    for y, place in enumerate(places):
        if place.tier % 2:
            axes.axhspan(y - 0.5, y + 0.5, color=_BAND, linewidth=0, zorder=0)


def _names(axes: Axes, places: tuple[Place, ...]) -> None:
    names = [_name(place) for place in places]
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0, labelsize=11, labelcolor=INK)


def _finish(axes: Axes, places: tuple[Place, ...]) -> None:
    _names(axes, places)
    axes.locator_params(axis="x", nbins=6)
    axes.grid(axis="x", color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)


def _beside(
    axes: Axes, y: int, right: float, text: str, *, weight: str = "normal", colour: str = INK
) -> None:
    """Text right of the axes."""
    axes.annotate(text, (1, y), xycoords=axes.get_yaxis_transform(), xytext=(right, 0),
                  textcoords="offset points", va="center_baseline", fontsize=10,
                  fontweight=weight, color=colour)  # fmt: skip


def _window(places: tuple[Place, ...]) -> tuple[float, float]:
    ends = [x for p in places for x in (p.score.value, *p.score.ci95) if math.isfinite(x)]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    air = max(0.06 * (high - low), 1e-3 * max(abs(high), 1e-6), 1e-6)
    return low - air, high + air


def _save(figure: Figure, path: Path) -> None:
    """Write an SVG on white that names matplotlib's version and no date."""
    figure.savefig(path, format="svg", facecolor="white", metadata={"Date": None})
