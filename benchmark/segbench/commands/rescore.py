"""`segbench rescore FOLDER`: an entry under today's measures, old numbers beside new ones."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from segbench.commands.options import Data, Jobs, Json, n_jobs


class SourceFlag(StrEnum):
    """What `--from` may say."""

    PREDICTIONS = "predictions"
    ROWS = "rows"


def rescore(
    folder: Annotated[Path, typer.Argument(help="An entry: results/<dataset>/<entry>.")],
    *,
    apply: Annotated[
        bool,
        typer.Option("--apply", help="Write the new numbers; the old go to the entry's history."),
    ] = False,
    source: Annotated[
        SourceFlag | None,
        typer.Option(
            "--from", help="By default the masks, or the rows where the dataset is not prepared."
        ),
    ] = None,
    data: Data = None,
    jobs: Jobs = None,
    json: Json = False,
) -> None:
    """Score an entry anew after a measure or its dataset changed, and show what changes."""
    from dataclasses import asdict  # noqa: PLC0415

    from segbench.board.rescore import apply_rescored, rescore_entry  # noqa: PLC0415
    from segbench.commands.console import note, progress_bar, say, say_json, show  # noqa: PLC0415
    from segbench.commands.rescore_table import changes_table  # noqa: PLC0415

    with progress_bar() as update:
        found = rescore_entry(
            folder.resolve() if folder.name in {"", ".", ".."} else folder,
            data=data,
            source=None if source is None else source.value,
            jobs=n_jobs(jobs),
            progress=lambda done, of: update("scoring", done, of),
        )
    for line in found.notes:
        note(f"note: {line}")
    if apply and not found.is_current:
        apply_rescored(found)
    if json:
        say_json(
            {
                "folder": str(folder),
                "source": found.source,
                "n_scores": found.n_scores,
                "changes": [asdict(change) for change in found.changes],
                "applied": apply and not found.is_current,
            }
        )
        return
    was, now = found.before, found.entry
    say(
        f"{folder}: from its {found.source}, segbench {was.segbench_version} -> "
        f"{now.segbench_version}, {now.dataset} {was.dataset_version} -> {now.dataset_version}"
    )
    if found.changes:
        show(changes_table(found.changes))
    say(f"{len(found.changes)} of {found.n_scores} scores change")
    if found.is_current:
        say("nothing to apply")
    elif apply:
        say(f"written; the old numbers are in the history of {folder / 'entry.json'}")
    else:
        say(f"nothing was written; next: segbench rescore {folder} --apply")
