"""README.md of a results folder: the whole board as tables, whole from the entries."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from importlib import resources
from string import Template

from segbench.board.across import Across
from segbench.board.columns import (
    COSTS,
    measures_shown,
    score_of,
    subgroup_scores,
    subgroup_sizes,
    subgroups_shown,
)
from segbench.board.contents import Board, Section
from segbench.board.entry import Entry
from segbench.board.plots import Plot
from segbench.board.records import MADE_BY
from segbench.board.repeats import mean_of_folds, seeds
from segbench.board.standings import Standing
from segbench.board.wording import (
    copied_scores,
    disagreements,
    heading,
    markdown_text,
    origin,
    rank,
    share,
    span,
    with_interval,
)
from segbench.masks.prepared import N_FOLDS
from segbench.statistics.bootstrap import FEWEST_UNITS, N_RESAMPLES, few_units
from segbench.statistics.ranking import ALPHA

_HEAD = "readme_head.md"  # beside this file: the words above the tables

Rows = Sequence[Sequence[str]]


def board_markdown(board: Board, plots: Sequence[Plot], *, entries: str) -> str:
    """The page.

    Args:
        board: What to show.
        plots: The files that were drawn.
        entries: The way from the page's folder to the results folder, "." where it lies in it.
    """
    parts = [_head(), *(_across(across) for across in board.across)]
    for section in board.sections:
        parts.append(f"## {section.name}")
        if section.notes:
            parts.append(section.notes)
        for standing in section.standings:
            drawn = [plot for plot in plots if plot.standing is standing]
            parts += _standing(standing, drawn, entries=entries)
        parts += _folds(section)
        if section.published:
            parts += _published(section.published, entries=entries)
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def _head() -> str:
    text = (resources.files("segbench.board") / _HEAD).read_text(encoding="utf-8")
    return Template(text).substitute(
        made_by=MADE_BY,
        resamples=f"{N_RESAMPLES:,}",
        alpha=f"{ALPHA:.0%}",
        fewest=f"{FEWEST_UNITS}",
    )


def _standing(standing: Standing, plots: Sequence[Plot], *, entries: str) -> list[str]:
    ranking = standing.ranking
    few = few_units(ranking.n_groups)
    few = f" **{few[0].upper()}{few[1:]}.**" if few else ""
    title = heading(ranking.measure, _main(standing))
    parts = [
        f"### {markdown_text(standing.dataset)}, {standing.selection}, {standing.status}",
        f"{ranking.n_samples} images in {ranking.n_groups} groups, ranked by {title}.{few}",
        *(f"Note: {markdown_text(n)}." for n in ranking.notes if not n.startswith("only ")),
        _ranks(standing, entries=entries),
        "Other measures:",
        _measures(standing),
        f"Cost ({origin(standing.status)}):",
        _costs(standing),
    ]
    if subgroups_shown(standing):
        parts += ["Subgroups, by the same measure:", _subgroups(standing)]
    if len(ranking.places) > 1:
        parts += ["Three ways to rank:", _orders(standing)]
    if found := seeds(standing):
        rows = [
            [f"`{s.recipe}`", f"{len(s.values)}", *(f"{v:.3f}" for v in s.values[:1]),
             f"{s.mean:.3f}", f"{s.values[-1]:.3f}"]
            for s in found
        ]  # fmt: skip
        parts += [
            "What the seed alone does:",
            _table(["recipe", "seeds", "least", "mean", "most"], rows, left=1),
        ]
    parts += [f"![{plot.title}](plots/{plot.name})" for plot in plots]
    return parts


def _main(standing: Standing) -> str:
    return next(iter(standing.scores.values())).main_label


def _link(standing_entry: Entry, entries: str) -> str:
    e = standing_entry
    start = "" if entries == "." else f"{entries}/"
    return f"[{e.name}]({start}{e.dataset}/{e.name}): {markdown_text(e.method.title)}"


def _ranks(standing: Standing, *, entries: str) -> str:
    rows: list[list[str]] = []
    last = None
    for place in standing.ranking.places:
        tier = f"{place.tier or '-'}" if place.tier != last else ""
        last = place.tier
        rows.append(
            [
                tier,
                _link(standing.entries[place.name], entries),
                with_interval(place.score),
                share(place.probabilities[0]),
                span(*place.rank_ci95),
                f"{place.wins}",
            ]
        )
    title = heading(standing.ranking.measure, _main(standing))
    return _table(["tier", "entry", title, "P(first)", "ranks", "better than"], rows, left=2)


def _measures(standing: Standing) -> str:
    main = _main(standing)
    shown = [m for m in measures_shown(standing) if m != standing.ranking.measure]
    rows = [
        [p.name, *(with_interval(score_of(standing.scores[p.name], m)) for m in shown)]
        for p in standing.ranking.places
    ]
    return _table(["entry", *(heading(m, main) for m in shown)], rows, left=1)


def _costs(standing: Standing) -> str:
    rows: list[list[str]] = []
    for place in standing.ranking.places:
        entry = standing.entries[place.name]
        found = [(column, column.of(entry.cost)) for column in COSTS]
        cells = ["" if value is None else column.shown(value) for column, value in found]
        device = entry.cost.latencies[0].device if entry.cost.latencies else ""
        machine = entry.cost.training_machine or ""
        rows.append([place.name, *cells, markdown_text(device), markdown_text(machine),
                     standing.status])  # fmt: skip
    titles = [column.title for column in COSTS]
    head = ["entry", *titles, "timed on", "trained on", "verified or not"]
    return _table(head, rows, left=1, left_at_end=3)


def _subgroups(standing: Standing) -> str:
    shown = subgroups_shown(standing)
    rows: list[list[str]] = []
    for place in standing.ranking.places:
        of_entry = subgroup_scores(standing, place.name)
        cells = [with_interval(of_entry[key]) if key in of_entry else "" for key in shown]
        rows.append([place.name, *cells])
    n = subgroup_sizes(standing)
    titles = [f"{markdown_text(f'{column}: {value}')} ({n[column, value]} images)"
              for column, value in shown]  # fmt: skip
    return _table(["entry", *titles], rows, left=1)


def _orders(standing: Standing) -> str:
    orders = standing.ranking.orders
    rows = [
        [place.name, *(rank(order[i]) for order in orders.values())]
        for i, place in enumerate(standing.ranking.places)
    ]
    found = disagreements(standing)
    said = "\n".join(f"- {markdown_text(line)}" for line in found) or "All three agree."
    return _table(["entry", *orders], rows, left=1) + "\n\n" + said


def _folds(section: Section) -> list[str]:
    if not section.folds:
        return []
    rows = [
        [
            f"`{recipe}`",
            *(f"{folds[str(k)].dice:.3f}" if str(k) in folds else "" for k in range(N_FOLDS)),
            f"{mean_of_folds(folds):.3f}" if len(folds) == N_FOLDS else "",
        ]
        for recipe, folds in sorted(section.folds.items())
    ]
    head = ["recipe", *(f"fold {k}" for k in range(N_FOLDS)), "all images"]
    return [
        f"### {section.name}, cross-validation",
        "Mean Dice over the images of each fold, tested by the model that never saw it:",
        _table(head, rows, left=1),
    ]


_PUBLISHED = """\
Copied from the sources named, never ranked with ours: images, splits, resizing and averaging
differ."""


def _published(published: Sequence[Entry], *, entries: str) -> list[str]:
    rows = [
        [
            _link(entry, entries),
            *copied_scores(entry),
            markdown_text(entry.published.protocol),
            markdown_text(entry.published.source),
        ]
        for entry in published
        if entry.published is not None
    ]
    head = ["method", "Dice", "IoU", "accuracy", "protocol", "source"]
    return [
        f"### {published[0].dataset}, published numbers",
        _PUBLISHED,
        _table(head, rows, left=1, left_at_end=2),
    ]


_ACROSS = f"""\
Entries of the same name on two or more datasets, ranked among themselves on each. Win rate: the
share of the others that an entry is better than, equal ones by half, averaged over the datasets
that it is on (HELM's mean win rate, arXiv 2211.09110). Mean rank: over the datasets, among the
entries that are on all of them (Demšar 2006, JMLR 7). Intervals: {N_RESAMPLES:,} resamples of the
groups within each dataset; the datasets themselves are given, so they say nothing of another
dataset."""


def _across(across: Across) -> str:
    rows = [
        [
            e.name,
            _rate(e.win_rate, e.win_rate_ci95, share),
            _rate(e.mean_rank, e.mean_rank_ci95, lambda x: f"{x:.2f}"),
            *("" if math.isnan(value) else f"{value:.3f}" for value in e.values),
        ]
        for e in across.entries
    ]
    head = ["entry", "win rate", "mean rank", *map(markdown_text, across.measures)]
    title = f"## Across datasets: {across.selection}, {across.status}"
    return "\n\n".join((title, _ACROSS, _table(head, rows, left=1)))


def _rate(value: float, ends: tuple[float, float], form: Callable[[float], str]) -> str:
    if math.isnan(value):
        return ""
    low, high = ends
    return f"{form(value)} [{low:.2f}, {high:.2f}]"


def _table(head: Sequence[str], rows: Rows, *, left: int, left_at_end: int = 0) -> str:
    """A Markdown table; the first and last few columns are text, the others numbers."""
    last = len(head) - left_at_end
    rule = ["---" if i < left or i >= last else "---:" for i in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))
