"""What `segbench submit` says of an entry."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from segbench.board.entry import ENTRY
from segbench.board.standings import stand, standings
from segbench.board.submit import Draft
from segbench.board.write import entry_json
from segbench.catalog.cards import card_folders
from segbench.commands.console import say
from segbench.errors import SegbenchError
from segbench.scoring.files import json_number

SHOWN = (("dice", "images"), ("iou", "images"), ("dice", "dataset"), ("hd95", "images"))


def show_draft(draft: Draft, *, whole: bool) -> None:
    """The main scores; `whole` shows entry.json before them."""
    result = draft.evaluation
    target = result.target
    if whole:
        say(f"{draft.folder / ENTRY}:")
        say(entry_json(draft.entry))
    say(
        f"{target.name}@{target.version} {target.selection} - {len(result.table)} images in "
        f"{result.table.n_groups} groups, class {result.main_label}"
    )
    for score in _scores(draft):
        low, high = score["ci95"]
        ends = "" if math.isnan(low) else f"  [{low:.4f}, {high:.4f}]"
        say(f"  {score['title']:<60} {score['value']:.4f}{ends}")
    if where := _would_stand(draft):
        say(f"  by Dice it {where}")


def _would_stand(draft: Draft) -> str:
    """Where the entry would stand among the verified ones; empty where there are none."""
    results, entry = draft.folder.parents[1], draft.entry
    try:
        there = standings(results, dataset=entry.dataset)
        mine = (f"{entry.dataset}@{entry.dataset_version}", entry.selection, "verified")
        found = next((s for s in there if (s.dataset, s.selection, s.status) == mine), None)
        return "" if found is None else stand(found, entry, draft.evaluation.scores).words
    except SegbenchError:  # no entries yet, or one that `verify` would refuse
        return ""


def show_next(draft: Draft, data: Path | None) -> None:
    """What was made, and how it comes to the leaderboard."""
    folder = draft.folder
    where = f" --data {data}" if data else ""
    n = len(draft.evaluation.table)
    say(f"made: {folder}: entry.json, predictions.json ({n} masks), rows.parquet, scores.json")
    if draft.entry.dataset not in card_folders():
        say(
            f"next: segbench leaderboard build --dataset {draft.entry.dataset} (`verify` and the "
            f"common leaderboard need the dataset's card: CONTRIBUTING.md)"
        )
        return
    say("next, in the checkout of segbench:")
    say(f"  segbench verify {folder}{where}")
    say(f"  git switch -c {draft.entry.dataset}-{draft.entry.name}")
    say(f"  git add {folder}")
    say(f'  git commit -m "Entry {draft.entry.dataset}/{draft.entry.name}"')
    say("  git push, and open a pull request: docs/submitting.md says what happens then")


def draft_json(draft: Draft, *, written: bool) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "folder": str(draft.folder),
        "written": written,
        "entry": draft.entry.model_dump(mode="json"),
        "scores": [
            {
                **score,
                "value": json_number(score["value"]),
                "ci95": [json_number(end) for end in score["ci95"]],
            }
            for score in _scores(draft)
        ],
        "notes": list(draft.notes),
    }


def _scores(draft: Draft) -> list[dict[str, Any]]:
    """The main scores of the main class."""
    result = draft.evaluation
    found = {
        (s.measure.key, s.measure.over): s
        for s in result.scores
        if s.measure.label == result.main_label
    }
    return [
        {
            "title": f"{found[key].measure.title}, {found[key].measure.average}",
            "value": found[key].value,
            "ci95": found[key].ci95,
            "signature": found[key].signature,
        }
        for key in SHOWN
        if key in found
    ]
