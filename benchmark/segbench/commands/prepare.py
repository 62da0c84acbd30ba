"""`segbench prepare NAME`: from the archive to a prepared dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segbench.commands.options import CardPath, Data, Jobs, Json, n_jobs


def prepare(
    name: Annotated[str, typer.Argument(help="A dataset; `segbench datasets` lists them.")],
    *,
    source: Annotated[
        str,
        typer.Option("--source", help="A local .rar, .zip, .tar.*, an unpacked folder, or a URL."),
    ] = "",
    data: Data = None,
    card: CardPath = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Accept a source that lacks samples.")
    ] = False,
    unpinned: Annotated[
        bool, typer.Option("--unpinned", help="Accept files that differ from the pinned digests.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Prepare again.")] = False,
    jobs: Jobs = None,
    json: Json = False,
) -> None:
    """Download or unpack a dataset and convert it into the mask format."""
    from segbench.catalog.cards import find_dataset  # noqa: PLC0415
    from segbench.commands.console import progress_bar, say, say_json  # noqa: PLC0415
    from segbench.masks.prepared import data_folder  # noqa: PLC0415
    from segbench.prepare.run import Request, prepare  # noqa: PLC0415

    request = Request(
        dataset=find_dataset(name, card=card),
        data=data_folder(data),
        source=source,
        partial=partial,
        unpinned=unpinned,
        force=force,
        jobs=n_jobs(jobs),
    )
    with progress_bar() as update:
        made, now = prepare(request, progress=update)
    if json:
        say_json({"path": str(made.root), "made": now, **made.info})
        return
    counts = made.info["counts"]
    splits = ", ".join(f"{split} {counts[split]}" for split in made.info["split_digests"])
    done = "prepared" if now else "already prepared (--force does it again)"
    missing = counts["expected"] - counts["samples"]
    partly = f" of {counts['expected']}" if missing else ""
    say(f"{made.name}@{made.version} {done}: {counts['samples']}{partly} samples ({splits})")
    say(f"  in      {made.root}")
    say(f"  digest  {made.info['content_digest'][:12]}")
    for line in made.info.get("notes", ()):
        say(f"  note    {line}")
    say(f"  licence {made.info['licence']}; terms: segbench datasets show {made.name}")
    where = f" --data {data}" if data else ""
    out = Path("predictions") / f"{made.name}-otsu"
    say(f"next: segbench predict otsu --dataset {made.name}{where} --out {out}")
