"""leaderboard.tex: one booktabs table a standing, to put into a paper with `\\input`."""

from __future__ import annotations

from segbench.board.columns import COSTS
from segbench.board.contents import Board
from segbench.board.records import MADE_BY
from segbench.board.standings import Standing
from segbench.board.wording import heading, latex_text, number, share, span
from segbench.scoring.scores import Score

_HEAD = f"""\
% made by `{MADE_BY}`; needs \\usepackage{{booktabs}} and \\usepackage{{textcomp}}
"""


def board_latex(board: Board) -> str:
    """The tables of all datasets, and of the numbers copied from papers."""
    tables = [_standing(standing) for standing in board.standings]
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
    lines = [
        "\\begin{table}",
        "  \\centering",
        f"  \\caption{{{_caption(standing)}}}",
        f"  \\begin{{tabular}}{{rlrrr{'r' * len(costs)}}}",
        "    \\toprule",
        _row([latex_text(cell) for cell in (*head, *(column.title for column in costs))]),
    ]
    last = None
    for place in ranking.places:
        if place.tier != last:
            lines.append("    \\midrule")
        entry = standing.entries[place.name]
        cells = [
            f"{place.tier or '-'}" if place.tier != last else "",
            place.name,
            _score(place.score),
            share(place.probabilities[0]),
            span(*place.rank_ci95),
            *("" if (x := c.of(entry.cost)) is None else c.shown(x) for c in costs),
        ]
        lines.append(_row([latex_text(cell) for cell in cells]))
        last = place.tier
    return "\n".join([*lines, "    \\bottomrule", "  \\end{tabular}", "\\end{table}", ""])


def _caption(standing: Standing) -> str:
    ranking = standing.ranking
    few = "".join(f" {note}." for note in ranking.notes)
    text = (
        f"{standing.dataset}, {standing.selection}, {standing.status}: {ranking.n_samples} images in "
        f"{ranking.n_groups} groups.{few} Brackets: 95 % intervals (bootstrap over groups). Entries of a "
        f"tier are not told from its best (paired permutation test, Holm)."
    )
    return latex_text(text)


def _score(score: Score) -> str:
    low, high = score.ci95
    digits = 2 if score.measure.unit else 3
    ends = "" if low != low else f" [{low:.{digits}f}, {high:.{digits}f}]"  # noqa: PLR0124  NaN
    return number(score) + ends


def _row(cells: list[str]) -> str:
    return f"    {' & '.join(cells)} \\\\"
