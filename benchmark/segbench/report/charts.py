"""The charts: distributions over images, intervals of subgroups, a leaderboard.

Charts for the page come back as SVG to put into HTML: no fixed size, text as text, and the colours
of `THEME` as CSS variables, so that one drawing is right on a light and on a dark page. Figures for
papers and READMEs are written to a file in the same style.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

Entry = tuple[str, float, float, float]
"""A name, its value, and the lower and upper end of its interval (NaN: there is none)."""

INK, MUTED, RULE, ACCENT, SOFT = "#1b1f24", "#5f6b76", "#d3dae1", "#0072b2", "#a9cfe6"
THEME = {INK: "ink", MUTED: "muted", RULE: "rule", ACCENT: "accent", SOFT: "soft"}
"""Each colour with the CSS variable that the page gives it."""

FONT = "DejaVu Sans"  # ships with matplotlib: the same layout on every machine
BIN_WIDTH = 0.05
N_BINS = 20  # of distances
MAX_TICKS = 500
"""With more images than this the marks of single images run together and are left out."""

_LINE = 20  # px, height of a line of a chart

_STYLE: dict[Any, Any] = {
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.dpi": 72,  # a unit of the SVG is a CSS pixel
    "font.family": FONT,
    "font.size": 11,
    "svg.fonttype": "none",
    "svg.hashsalt": "segbench",
    "text.color": INK,
    "text.parse_math": False,  # a $ in somebody's column is a $
    "xtick.color": MUTED,
    "xtick.labelcolor": MUTED,
    "xtick.labelsize": 10,
    "ytick.color": MUTED,
    "ytick.labelcolor": MUTED,
    "ytick.labelsize": 10,
}


@contextmanager
def style() -> Generator[None]:
    """Draw in the report's style, whatever the user's matplotlib settings are."""
    import matplotlib as mpl  # noqa: PLC0415

    with mpl.rc_context(), warnings.catch_warnings():
        # Text in scripts that the layout font lacks is drawn by the browser's own font.
        warnings.filterwarnings("ignore", message="Glyph .* missing", category=UserWarning)
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


@contextmanager
def file_style() -> Generator[None]:
    """As `style`, for a file of its own: text as outlines, as no font need be installed."""
    import matplotlib as mpl  # noqa: PLC0415

    with style():
        mpl.rcParams["svg.fonttype"] = "path"
        yield


def canvas(width: float, height: float) -> Figure:
    """An empty transparent figure of a size in pixels."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    return Figure(figsize=(width / 72, height / 72), facecolor="none")


def axes_at(figure: Figure, *, left: float, right: float, bottom: float, height: float) -> Axes:
    """Axes with margins, bottom and height in pixels; transparent."""
    width, whole = (float(side) * 72 for side in figure.get_size_inches())
    box = (left / width, bottom / whole, (width - left - right) / width, height / whole)
    axes = figure.add_axes(box)
    axes.patch.set_visible(False)
    return axes


def inline_svg(figure: Figure, key: str, label: str) -> str:
    """A figure as an `<svg>` element for HTML.

    Args:
        figure: What to draw.
        key: Unique on the page; the drawing's own ids start with it.
        label: What a person who does not see the chart is told.
    """
    from markupsafe import escape  # noqa: PLC0415

    stream = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(stream, format="svg", metadata=nothing)
    text = stream.getvalue()
    width, height = (72 * side for side in figure.get_size_inches())
    head = f'<svg class="chart" role="img" aria-label="{escape(label)}"'
    head += f' viewBox="0 0 {width:g} {height:g}">'
    body = text[text.index(">", text.index("<svg")) + 1 :]
    body = re.sub(r"<!--.*?-->|<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r"<[^>]+>", lambda tag: _adapted(tag[0], key), body)
    return head + re.sub(r"\s*\n\s*", "\n", body).strip()


def _adapted(tag: str, key: str) -> str:
    """A tag of a chart with ids that are unique on the page, its colours and its font."""
    tag = tag.replace(' id="', f' id="{key}-').replace('xlink:href="#', f'href="#{key}-')
    tag = tag.replace("url(#", f"url(#{key}-").replace(f"'{FONT}'", "var(--sans)")
    for colour, name in THEME.items():
        tag = tag.replace(colour, f"var(--{name})")
    return tag


def histogram(values: Floats, *, key: str, label: str, unit_range: bool = True) -> str:
    """How the images' values (NaN: undefined) spread: counts, below them images and quartiles.

    Args:
        values: (n,) values; infinite ones cannot be drawn.
        key: Unique on the page.
        label: What a person who does not see the chart is told.
        unit_range: Whether values are fractions, with the same range in all charts.
    """
    with style():
        figure = canvas(250, 128)
        axes = axes_at(figure, left=30, right=12, bottom=24, height=_LINE * 4.9)
        defined = values[np.isfinite(values)]
        low, high = _range(values) if unit_range else (0.0, _rounded_up(defined))
        axes.set(xlim=(low, high), ylim=(0.5, -4.4))  # in lines, downwards: bars above line 0
        _box(axes, defined, 0.0)
        n_bins = round((high - low) / BIN_WIDTH) if unit_range else N_BINS
        edges = np.linspace(low, high, n_bins + 1)
        counts, _ = np.histogram(defined, bins=edges)
        most = max(1, int(counts.max()))
        _bars(axes, edges, foot=-0.6, tops=-0.6 - 3.7 * counts / most)
        axes.axhline(-0.6, color=RULE, linewidth=0.8)
        axes.set_yticks([-4.3], [str(most)])
        axes.tick_params(axis="y", length=0)
        if unit_range:
            _unit_ticks(axes, low, high)
        else:
            axes.set_xticks(np.linspace(low, high, 5))
            axes.tick_params(axis="x", length=3)
        return inline_svg(figure, key, label)


def boxes(rows: Sequence[tuple[str, Floats]], *, key: str, label: str) -> str:
    """One line per class: quartiles, median and every image's value (NaN: undefined)."""
    with style():
        names = [shortened(name, 22) for name, _ in rows]
        height = _LINE * len(rows)
        figure = canvas(360, height + 30)
        axes = axes_at(figure, left=_margin(names), right=12, bottom=24, height=height)
        low, high = _range(np.concatenate([values for _, values in rows]))
        axes.set(xlim=(low, high), ylim=(len(rows) - 0.5, -0.5))
        for y, (_, values) in enumerate(rows):
            _box(axes, values[~np.isnan(values)], float(y))
        _names(axes, names)
        _unit_ticks(axes, low, high)
        axes.grid(axis="x", color=RULE, linewidth=0.8)
        axes.set_axisbelow(True)
        return inline_svg(figure, key, label)


def forest(
    entries: Sequence[Entry], *, key: str, label: str, x_label: str, line: float = math.nan
) -> str:
    """Values with their intervals, one line each; `line` marks the value of all together."""
    with style():
        figure = _forest(entries, width=460, x_label=x_label, line=line)
        return inline_svg(figure, key, label)


def leaderboard_figure(
    entries: Sequence[Entry], path: Path, *, title: str = "", x_label: str = ""
) -> None:
    """Write a small leaderboard: a dot with its interval per entry, in the order given.

    Args:
        entries: Name, value, and lower and upper end of the interval.
        path: Where to; the ending says what (.png, .svg, .pdf).
        title: Above it.
        x_label: What the values are, with unit or range.
    """
    import matplotlib as mpl  # noqa: PLC0415

    with style():
        mpl.rcParams["svg.fonttype"] = "path"  # a file alone must not depend on installed fonts
        figure = _forest(entries, width=640, x_label=x_label, title=title)
        save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a figure on white; the same bytes each time."""
    ending = path.suffix.lower()
    dated = {".svg": "Date", ".pdf": "CreationDate"}
    metadata = {dated[ending]: None} if ending in dated else {}
    figure.savefig(path, dpi=200, facecolor="white", metadata=metadata)


def shortened(text: str, length: int) -> str:
    """One printable line of at most so many characters."""
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text if len(text) <= length else text[: length - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _forest(
    entries: Sequence[Entry],
    *,
    width: float,
    x_label: str,
    title: str = "",
    line: float = math.nan,
) -> Figure:
    names = [shortened(name, 36) for name, *_ in entries]
    height = 26 * len(entries)
    top = 34 if title else 6
    figure = canvas(width, height + 46 + top)
    axes = axes_at(figure, left=_margin(names), right=142, bottom=44, height=height)
    if not math.isnan(line):
        axes.axvline(line, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    for y, (_, value, low, high) in enumerate(entries):
        if not math.isnan(low):
            axes.plot([low, high], [y, y], color=ACCENT, linewidth=2.2, solid_capstyle="butt")
        axes.plot([value], [y], "o", color=ACCENT, markersize=7.5, markeredgewidth=0)
        text, interval = numbers(value, low, high)
        beside = axes.get_yaxis_transform()
        axes.text(1.04, y, text, transform=beside, va="center_baseline", fontweight="bold")
        axes.annotate(
            interval,
            (1.04, y),
            xycoords=beside,
            xytext=(42, 0),
            textcoords="offset points",
            va="center_baseline",
            color=MUTED,
            fontsize=10,
        )
    axes.set(xlim=_window(entries), ylim=(len(entries) - 0.5, -0.5))
    axes.locator_params(axis="x", nbins=5)
    axes.grid(axis="x", color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(x_label)
    _names(axes, names)
    if title:
        figure.text(
            12 / width, 1 - 12 / (height + 46 + top), title, va="top", fontsize=13, weight="bold"
        )
    return figure


def numbers(value: float, low: float, high: float) -> tuple[str, str]:
    """A value and its interval as text, three decimals; a dash and nothing where undefined."""
    text = "\N{EN DASH}" if math.isnan(value) else f"{value:.3f}"
    return text, "" if math.isnan(low) else f"[{low:.3f}, {high:.3f}]"


def _window(entries: Sequence[Entry]) -> tuple[float, float]:
    """The range of a dot chart: what there is with some air, never beyond 1."""
    ends = [x for _, *values in entries for x in values if not math.isnan(x)] or [0.0, 1.0]
    low, high = min(ends), max(ends)
    air = max(0.02, 0.08 * (high - low))
    return low - air, min(high + air, max(1.005, high))


def _range(values: Floats) -> tuple[float, float]:
    """From 0, or the quarter below the lowest value, to 1."""
    lowest = float(np.nanmin(values, initial=0.0))
    return math.floor(lowest * 4) / 4, 1.0


def _rounded_up(values: Floats) -> float:
    """The end of an axis from 0 that holds the values: 1, 2, 4 or 8 times a power of ten."""
    highest = float(values.max(initial=0.0)) or 1.0
    power = 10.0 ** math.floor(math.log10(highest))
    return next(f * power for f in (1, 2, 4, 8, 10) if f * power >= highest)


def _bars(axes: Axes, edges: Floats, *, foot: float, tops: Floats) -> None:
    """Bars as one path: much faster to draw than one rectangle each."""
    from matplotlib.patches import PathPatch  # noqa: PLC0415
    from matplotlib.path import Path as Outline  # noqa: PLC0415

    corners = np.empty((len(tops), 5, 2))
    corners[:, :, 0] = edges[:-1, np.newaxis] + (edges[1] - edges[0]) * np.array(
        [0.05, 0.05, 0.95, 0.95, 0.05]
    )
    corners[:, :, 1] = foot
    corners[:, 1:3, 1] = tops[:, np.newaxis]
    codes = [Outline.MOVETO, Outline.LINETO, Outline.LINETO, Outline.LINETO, Outline.CLOSEPOLY]
    full = tops != foot
    outline = Outline(corners[full].reshape(-1, 2), codes * int(full.sum()))
    axes.add_patch(PathPatch(outline, facecolor=ACCENT, linewidth=0))


def _box(axes: Axes, values: Floats, y: float) -> None:
    """Each image as a mark; below, the quartiles as a bar and the median as a line."""
    if not len(values):
        return
    first, median, third = np.quantile(values, (0.25, 0.5, 0.75))
    axes.barh(y + 0.18, third - first, left=first, height=0.28, color=SOFT)
    axes.plot([median] * 2, [y + 0.04, y + 0.32], color=ACCENT, linewidth=2.6)
    if len(values) <= MAX_TICKS:
        # One path for all marks keeps the drawing small.
        x = np.repeat(np.sort(values), 3)
        dy = np.tile([-0.36, -0.02, np.nan], len(values))
        axes.plot(x, y + dy, color=MUTED, linewidth=0.9, solid_capstyle="butt")


def _unit_ticks(axes: Axes, low: float, high: float) -> None:
    ticks = np.arange(low, high + 0.01, 0.25 if high - low <= 1.25 else 0.5)  # noqa: PLR2004
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.tick_params(axis="x", length=3)


def _names(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0, labelsize=11, labelcolor=INK)


def _margin(names: Sequence[str]) -> float:
    """Room for names left of the axes."""
    return 18 + 6.6 * max(map(len, names), default=0)
