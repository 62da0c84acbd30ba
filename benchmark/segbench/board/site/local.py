"""The page for this machine alone: every board whose data is prepared here has its viewer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from segbench.board.entry import find_entries
from segbench.board.site.boards import boards
from segbench.board.site.serve import Served
from segbench.board.site.viewer import viewers, with_predictions
from segbench.board.site.write import site_files
from segbench.board.standings import standings
from segbench.masks.prepared import data_folder


@dataclass(frozen=True)
class LocalPage:
    """What is served, and what a person should know of it."""

    served: Served
    notes: tuple[str, ...]


def local_page(
    results: Path, *, data: Path | None = None, predictions: Mapping[str, Path] | None = None
) -> LocalPage:
    """Make the page of a results folder, to be served from memory.

    Args:
        results: Holds the entries.
        data: Where prepared datasets live, if not the default place.
        predictions: Masks that are no entry, by name.

    Raises:
        SegbenchError: An entry is damaged, or predictions fit no board.
    """
    found = boards(
        standings(results), [e for _, e in find_entries(results) if e.status == "published"]
    )
    where = data_folder(data)
    looked_at = viewers(found, data=where, redistributable_only=False)
    looked_at = with_predictions(looked_at, predictions or {})
    notes = [
        f"{board.title}: no images, because {where} holds no {board.dataset} of the same content; "
        f"`segbench prepare {board.dataset}` makes it"
        for board in found
        if board.standings and board.key not in looked_at
    ]
    return LocalPage(Served(dict(site_files(found, looked_at)), looked_at), tuple(notes))
