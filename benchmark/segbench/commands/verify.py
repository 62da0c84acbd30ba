"""`segbench verify FOLDER ...`: is an entry what it claims to be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segbench.commands.options import Data, Jobs, Json, n_jobs

if TYPE_CHECKING:
    from segbench.board.verify import Verified
    from segbench.errors import Problems


BESIDE_ENTRIES = frozenset({"notes.md", "folds.json"})
"""What a dataset's folder of entries holds beside them."""


def verify(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Entries: results/<dataset>/<entry> ...")
    ] = None,
    *,
    changed_since: Annotated[
        str,
        typer.Option(
            "--changed-since",
            metavar="REVISION",
            help="The entries that a branch adds or changes since it left origin/main, say; what "
            "only a maintainer may change is refused.",
        ),
    ] = "",
    maintainer: Annotated[
        bool, typer.Option("--maintainer", help="With --changed-since: any change may be made.")
    ] = False,
    results: Annotated[
        Path, typer.Option("--results", help="With --changed-since: the folder of entries.")
    ] = Path("results"),
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Only entries of this dataset.")
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option("--predictions", help="Masks that must be the (one) entry's.")
    ] = None,
    without_data: Annotated[
        bool,
        typer.Option(
            "--without-data", help="Check what needs no reference mask; score nothing again."
        ),
    ] = False,
    mark: Annotated[
        bool,
        typer.Option("--mark", help="Maintainers: set the status `verified` where all is right."),
    ] = False,
    data: Data = None,
    jobs: Jobs = None,
    json: Json = False,
) -> None:
    """Score entries' own masks again and compare every row and score with what they claim."""
    from segbench.board.verify import (  # noqa: PLC0415
        mark_verified,
        verification_json,
        verify_entry,
    )
    from segbench.commands.console import progress_bar, say, say_json  # noqa: PLC0415

    if bool(folders) == bool(changed_since):
        raise typer.BadParameter("name entries' folders, or give --changed-since REVISION")
    if mark and without_data:
        raise typer.BadParameter("--mark needs the data: leave --without-data out")
    chosen, forbidden = _choose(
        folders, results=results, since=changed_since, maintainer=maintainer, dataset=dataset
    )
    if folders and not chosen and dataset:
        raise typer.BadParameter(f"--dataset {dataset}: none of the entries named is of it")
    if predictions is not None and len(chosen) != 1:
        raise typer.BadParameter("--predictions goes with one entry")
    with progress_bar() as update:
        found = [
            verify_entry(
                folder,
                data=data,
                predictions=predictions,
                with_data=not without_data,
                jobs=n_jobs(jobs),
                progress=lambda done, of, name=folder.name: update(name, done, of),
            )
            for folder in chosen
        ]
    marked = [one.folder for one in found if one.ok] if mark else []
    for folder in marked:
        mark_verified(folder)
    if json:
        say_json(
            {
                "refused": {kind: list(where) for kind, where in forbidden.kinds.items()},
                "entries": [verification_json(one) for one in found],
            }
        )
    else:
        _show(found, forbidden, marked)
        if not found:
            say("no entries" + (f" changed since {changed_since}" if changed_since else ""))
    if forbidden or not all(one.ok for one in found):
        raise typer.Exit(1)


def _choose(
    folders: list[Path] | None, *, results: Path, since: str, maintainer: bool, dataset: str | None
) -> tuple[list[Path], Problems]:
    """The entries to check, and what the branch may not do."""
    from segbench.errors import Problems  # noqa: PLC0415

    forbidden = Problems()
    if since:
        from segbench.board.changes import changed_entries  # noqa: PLC0415

        changes = changed_entries(results, since)
        folders = list(changes.folders)
        forbidden = forbidden if maintainer else changes.problems
    chosen = [f.resolve() if f.name in {"", ".", ".."} else f for f in folders or ()]
    chosen = [f for f in chosen if not _is_no_entry(f)]
    return [f for f in chosen if dataset in {None, f.absolute().parent.name}], forbidden


def _is_no_entry(path: Path) -> bool:
    """What lies among the entries and is none, as `results/*/*` names it; it is said.

    Only what no board would take for an entry: files, and what a board's build made.
    """
    from segbench.board.entry import ENTRY  # noqa: PLC0415
    from segbench.catalog.card import RESERVED_NAMES  # noqa: PLC0415
    from segbench.commands.console import note  # noqa: PLC0415

    made = path.absolute().parent.name in RESERVED_NAMES and not (path / ENTRY).exists()
    if not made and not (path.is_file() and path.name in BESIDE_ENTRIES):
        return False
    note(f"{path}: no entry, skipped")
    return True


def _show(found: list[Verified], forbidden: Problems, marked: list[Path]) -> None:
    from segbench.commands.console import harmless, note, say  # noqa: PLC0415

    for one in found:
        right = "as it claims" if one.proven else "NOT PROVEN"
        say(f"{one.folder}: {right if one.ok else 'DOES NOT HOLD WHAT IT CLAIMS'}")
        lines = [*one.done, *(f"note: {text}" for text in one.notes)]
        lines += one.problems.text().splitlines()
        lines += ["marked: verified"] if one.folder in marked else []
        for line in lines:
            say(f"    {harmless(line)}")
    if forbidden:
        note(f"refused:\n{forbidden.text()}")
