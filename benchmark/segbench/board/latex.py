r"""leaderboard.tex: one booktabs table a standing, to put into a paper with `\input`."""

from __future__ import annotations

from collections.abc import Sequence

from segbench.board.columns import COSTS
from segbench.board.contents import Board
from segbench.board.entry import Entry
from segbench.board.records import MADE_BY
from segbench.board.standings import Standing
from segbench.board.wording import copied_scores, heading, latex_text, share, span, with_interval

_HEAD = f"""\
% made by `{MADE_BY}`; needs \\usepackage{{booktabs}} and \\usepackage{{textcomp}}
"""


def board_latex(board: Board) -> str:
    """The tables of all datasets, and of the numbers copied from papers."""
    tables = [_standing(standing) for standing in board.standings]
    tables += [_published(section.published) for section in board.sections if section.published]
    return "\n".join([_HEAD, *tables])


def _standing(standing: Standing) -> str:
    ranking = standing.ranking
    main = next(iter(standing.scores.values())).main_label
    costs = [
        column
        for column in COSTS
        if any(column.of(entry.cost) is not None for entry in standing.entries.values())
    ]
    head = ["tier", "entry", heading(ranking.measure, main), "P(first)", "ranks"]
    rows: list[list[str] | None] = []
    last: int | None = None
    for place in ranking.places:
        if last not in {None, place.tier}:
            rows.append(None)
        entry = standing.entries[place.name]
        rows.append(
            [
                f"{place.tier or '-'}" if place.tier != last else "",
                place.name,
                with_interval(place.score, star="*"),
                share(place.probabilities[0]),
                span(*place.rank_ci95),
                *("" if (x := c.of(entry.cost)) is None else c.shown(x) for c in costs),
            ]
        )
        last = place.tier
    head += [column.title for column in costs]
    return _table(_caption(standing), f"rlrrr{'r' * len(costs)}", head, rows)


def _published(entries: Sequence[Entry]) -> str:
    rows = [
        [
            entry.method.title,
            *copied_scores(entry)[:2],
            entry.published.protocol,
            entry.published.source,
        ]
        for entry in entries
        if entry.published is not None
    ]
    about = f"{entries[0].dataset}: numbers copied from the sources named, under other protocols."
    head = ["method", "Dice", "IoU", "protocol", "source"]
    return _table(about, r"lrrp{0.25\linewidth}p{0.3\linewidth}", head, list(rows))


def _table(caption: str, columns: str, head: list[str], rows: Sequence[list[str] | None]) -> str:
    """A table; None stands for a rule."""
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            f"  \\caption{{{latex_text(caption)}}}",
            f"  \\begin{{tabular}}{{{columns}}}",
            r"    \toprule",
            _row(head),
            r"    \midrule",
            *(r"    \midrule" if row is None else _row(row) for row in rows),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _caption(standing: Standing) -> str:
    ranking = standing.ranking
    few = "".join(f" {note}." for note in ranking.notes)
    return (
        f"{standing.dataset}, {standing.selection}, {standing.status}: {ranking.n_samples} images "
        f"in {ranking.n_groups} groups.{few} Brackets: 95 % intervals (bootstrap over groups). "
        f"Entries of a tier are not told from its best (paired permutation test, Holm)."
    )


def _row(cells: list[str]) -> str:
    return f"    {' & '.join(map(latex_text, cells))} \\\\"
