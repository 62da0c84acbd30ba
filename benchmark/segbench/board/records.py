"""The board for machines: leaderboard.json and leaderboard.csv.

Numbers are rounded where they are computed here, so that another processor's last bits do not show;
scores are as scores.json holds them.
"""

from __future__ import annotations

import csv
import io
import json

import numpy as np

from segbench.board.across import Across
from segbench.board.columns import (
    COSTS,
    measures_shown,
    score_of,
    subgroup_scores,
)
from segbench.board.contents import Board, Section
from segbench.board.entry import Entry
from segbench.board.rank import Place, Ranking
from segbench.board.standings import Standing
from segbench.scoring.files import json_number
from segbench.scoring.scores import Score

MADE_BY = "segbench leaderboard build"
_DIGITS = 9


def board_json(board: Board) -> str:
    """leaderboard.json: everything that the board shows (schema_version 1)."""
    content = {
        "schema_version": 1,
        "made_by": MADE_BY,
        "measure": board.measure,
        "datasets": {section.name: _section(section) for section in board.sections},
        "across": [across_json(across) for across in board.across],
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _section(section: Section) -> dict[str, object]:
    return {
        "standings": [_detailed(standing) for standing in section.standings],
        "published": [entry.model_dump(mode="json") for entry in section.published],
        "folds": {
            recipe: {fold: score.model_dump(mode="json") for fold, score in sorted(folds.items())}
            for recipe, folds in sorted(section.folds.items())
        },
    }


def _detailed(standing: Standing) -> dict[str, object]:
    """A standing with the columns beside its ranks."""
    shown = measures_shown(standing)
    made = standing_json(standing)
    entries = [_ranked(standing.ranking, i) for i in range(len(standing.ranking.places))]
    for listed in entries:
        name = str(listed["name"])
        stored, entry = standing.scores[name], standing.entries[name]
        listed["scores"] = {str(m): _score(score_of(stored, m)) for m in shown}
        listed["subgroups"] = [
            {"column": column, "value": value, **_score(score)}
            for (column, value), score in subgroup_scores(standing, name).items()
        ]
        listed["entry"] = entry.model_dump(mode="json")
    return {**made, "entries": entries}


def _score(score: Score) -> dict[str, object]:
    return {
        "score": json_number(score.value),
        "ci95": [json_number(end) for end in score.ci95],
        "n": score.n,
        "signature": score.signature,
    }


def standing_json(standing: Standing) -> dict[str, object]:
    """A standing for machines: ranks and how sure they are."""
    ranking = standing.ranking
    return {
        "dataset": standing.dataset,
        "selection": standing.selection,
        "status": standing.status,
        "measure": str(ranking.measure),
        "n_samples": ranking.n_samples,
        "n_groups": ranking.n_groups,
        "notes": list(ranking.notes),
        "entries": [_ranked(ranking, i) for i in range(len(ranking.places))],
    }


def _ranked(ranking: Ranking, i: int) -> dict[str, object]:
    place = ranking.places[i]
    return {
        "name": place.name,
        "tier": place.tier or None,
        "value": json_number(place.score.value),
        "ci95": [json_number(end) for end in place.score.ci95],
        "signature": place.score.signature,
        "rank": {name: _number(order[i]) for name, order in ranking.orders.items()},
        "rank_ci95": [_number(end) for end in place.rank_ci95],
        "rank_probabilities": [_number(p) for p in place.probabilities],
        "wins": place.wins,
        "p_holm": {
            other.name: _number(ranking.p_holm[i, j])
            for j, other in enumerate(ranking.places)
            if i != j
        },
    }


def across_json(across: Across) -> dict[str, object]:
    """What is said over datasets."""
    names = list(across.measures)
    return {
        "selection": across.selection,
        "status": across.status,
        "measures": {name: str(measure) for name, measure in across.measures.items()},
        "entries": [
            {
                "name": e.name,
                "values": {
                    name: json_number(value) for name, value in zip(names, e.values, strict=True)
                },
                "win_rate": _number(e.win_rate),
                "win_rate_ci95": [_number(end) for end in e.win_rate_ci95],
                "mean_rank": _number(e.mean_rank),
                "mean_rank_ci95": [_number(end) for end in e.mean_rank_ci95],
            }
            for e in across.entries
        ],
    }


def _number(value: float) -> float | str | None:
    return json_number(round(float(value), _DIGITS))


CSV_HEAD = (
    "dataset", "selection", "status", "tier", "entry", "title", "rank", "rank_low", "rank_high",
    "p_first", "rank_then_mean", "significant_wins",
)  # fmt: skip


def board_csv(board: Board) -> str:
    """leaderboard.csv: a row for each entry and standing; published numbers come last."""
    measures = list(dict.fromkeys(m for s in board.standings for m in measures_shown(s)))
    columns = [f"{m}{end}" for m in measures for end in ("", " low", " high")]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*CSV_HEAD, *columns, *(cost.key for cost in COSTS), "published"])
    for standing in board.standings:
        shown = set(measures_shown(standing))
        orders = standing.ranking.orders
        for i, place in enumerate(standing.ranking.places):
            ranks = [orders["rank, then mean"][i], place.wins]
            stored = standing.scores[place.name]
            scores = [score_of(stored, m) if m in shown else None for m in measures]
            entry = standing.entries[place.name]
            head = _csv_head(standing, place, entry)
            costs = [cost.of(entry.cost) for cost in COSTS]
            numbers = [_cell(x) for x in (*ranks, *_with_ends(scores), *costs)]
            writer.writerow([*head, *numbers, ""])
    for section in board.sections:
        for entry in section.published:
            head = [f"{entry.dataset}@{entry.dataset_version}", "", "published", "", entry.name]
            nothing = [""] * (len(CSV_HEAD) - 6 + len(columns))
            costs = [_cell(cost.of(entry.cost)) for cost in COSTS]
            writer.writerow([*head, _text(entry.method.title), *nothing, *costs, _copied(entry)])
    return stream.getvalue()


def _csv_head(standing: Standing, place: Place, entry: Entry) -> list[str]:
    tier = f"{place.tier or ''}"
    head = [standing.dataset, standing.selection, standing.status, tier, place.name]
    ranks = (place.rank, *place.rank_ci95, place.probabilities[0])
    return [*head, _text(entry.method.title), *map(_cell, ranks)]


def _with_ends(scores: list[Score | None]) -> list[float]:
    nothing = (np.nan,) * 3
    return [x for s in scores for x in (nothing if s is None else (s.value, *s.ci95))]


def _copied(entry: Entry) -> str:
    scores = entry.published.scores if entry.published else {}
    return "; ".join(f"{key} {value:g}" for key, value in scores.items())


def _cell(value: float | None) -> str:
    return "" if value is None or np.isnan(value) else f"{value:.9g}"


def _text(text: str) -> str:
    """Text that a spreadsheet does not take for a formula."""
    line = " ".join(text.split())
    return f"'{line}" if line[:1] in {"=", "+", "-", "@"} else line
