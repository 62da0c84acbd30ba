"""The tables of results/README.md, from the entries' own files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segbench.board.entry import Entry, find_entries
from segbench.errors import SegbenchError
from segbench.scoring.files import SCORES

COLUMNS = (
    "entry",
    "Dice, mean over images",
    "IoU, mean over images",
    "Dice, pooled",
    "parameters",
    "GFLOPs",
    "ms/image",
    "trained",
)


@dataclass(frozen=True)
class Scored:
    """An entry and its scores.json."""

    entry: Entry
    scores: dict[str, Any]

    def score(self, measure: str, over: str) -> dict[str, Any]:
        """The score of the first foreground class (the only one, where there is one).

        Raises:
            SegbenchError: There is none.
        """
        for score in self.scores["scores"]:
            named = score["class"] not in {"all", "foreground", "background"}
            if score["measure"] == measure and score["over"] == over and named:
                return score
        raise SegbenchError(f"{self.entry.name}: no score {measure} over {over}")


def read_entries(results: Path) -> dict[str, list[Scored]]:
    """All entries below a results folder by dataset, best mean Dice first."""
    found: dict[str, list[Scored]] = {}
    for folder, entry in find_entries(results):
        scores = json.loads((folder / SCORES).read_text(encoding="utf-8"))
        found.setdefault(entry.dataset, []).append(Scored(entry, scores))
    for entries in found.values():
        entries.sort(key=lambda s: -s.score("dice", "images")["value"])
    return found


def markdown(entries: Sequence[Scored]) -> str:
    """One dataset's entries as a Markdown table."""
    lines = [f"| {' | '.join(COLUMNS)} |", "| --- | --- | --- | --- | ---: | ---: | ---: | ---: |"]
    for scored in entries:
        entry, cost = scored.entry, scored.entry.cost
        cells = [
            f"[{entry.name}]({entry.dataset}/{entry.name}): {entry.method.title}",
            _interval(scored.score("dice", "images")),
            _interval(scored.score("iou", "images")),
            _interval(scored.score("dice", "dataset")),
            "" if cost.parameters is None else f"{cost.parameters / 1e6:.2f} M",
            "" if cost.flops is None else f"{cost.flops / 1e9:.1f}",
            "" if not cost.latencies else f"{cost.latencies[0].milliseconds:.0f}",
            "" if cost.training_seconds is None else f"{cost.training_seconds / 60:.0f} min",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _interval(score: dict[str, Any]) -> str:
    low, high = score["ci95"]
    return f"{score['value']:.3f} [{low:.3f}, {high:.3f}]"
