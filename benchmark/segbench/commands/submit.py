"""`segbench submit`: from a folder of masks to an entry of the leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segbench.commands.input_options import (
    Ending,
    Extra,
    ExtraFlag,
    Form,
    Ids,
    Map,
    MinScore,
    Order,
    Resize,
    ResizeFlag,
    RleOrderFlag,
    Suffix,
)
from segbench.commands.options import Data, Fold, Jobs, Json, n_jobs


def _print_template(*, asked: bool) -> None:
    if asked:
        from segbench.board.method import method_toml  # noqa: PLC0415
        from segbench.commands.console import say  # noqa: PLC0415

        say(method_toml().rstrip())
        raise typer.Exit


def submit(
    *,
    predictions: Annotated[
        Path,
        typer.Option(
            "--predictions", help="A folder, .zip or .tar of masks, or an RLE .json or .csv."
        ),
    ],
    dataset: Annotated[str, typer.Option("--dataset", help="A prepared dataset.")],
    name: Annotated[
        str, typer.Option("--name", help="Of the entry: lower case, digits, `-` and `.`.")
    ] = "",
    method: Annotated[
        Path | None,
        typer.Option("--method", help="What was done: see --template. Asked for on a terminal."),
    ] = None,
    split: Annotated[str, typer.Option("--split", help="test.")] = "test",
    fold: Fold = None,
    results: Annotated[
        Path, typer.Option("--results", help="The folder of entries: <dataset>/<entry>/.")
    ] = Path("results"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show everything, write nothing.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of the entry of this name.")
    ] = False,
    by: Annotated[
        list[str] | None,
        typer.Option("--by", help="Subgroups by a column (default: those of 2 to 12 values)."),
    ] = None,
    suffix: Suffix = "",
    ending: Ending = "",
    ids: Ids = "",
    form: Form = None,
    values: Map = "",
    min_score: MinScore = None,
    rle_order: Order = RleOrderFlag.COLUMNS,
    extra: Extra = ExtraFlag.ERROR,
    resize: Resize = ResizeFlag.ERROR,
    threshold: Annotated[
        float, typer.Option("--threshold", help="Of foreground probabilities.", min=0, max=1)
    ] = 0.5,
    template: Annotated[
        bool,
        typer.Option(
            "--template",
            help="Print a method.toml to fill in.",
            callback=_print_template,
            is_eager=True,
        ),
    ] = False,
    data: Data = None,
    jobs: Jobs = None,
    json: Json = False,
) -> None:
    """Score predictions and write them as an entry of the leaderboard."""
    from segbench.board.method import read_method  # noqa: PLC0415
    from segbench.board.submit import draft_entry, write_draft  # noqa: PLC0415
    from segbench.commands.ask import ask_method, ask_name, can_ask, refuse_to_ask  # noqa: PLC0415
    from segbench.commands.console import note, progress_bar, say, say_json  # noqa: PLC0415
    from segbench.commands.submit_text import draft_json, show_draft, show_next  # noqa: PLC0415
    from segbench.masks.forms import FORM_FLAGS  # noqa: PLC0415
    from segbench.masks.value_map import parse_map  # noqa: PLC0415
    from segbench.scoring.tally import Policy  # noqa: PLC0415

    del template
    if split != "test":
        raise typer.BadParameter("an entry is scored on the test split, or on a --fold")
    missing = [flag for flag, given in (("--name", name), ("--method", method)) if not given]
    if missing and not can_ask():
        raise refuse_to_ask(missing)
    name = name or ask_name()
    described = ask_method(name) if method is None else read_method(method)
    with progress_bar() as update:
        draft = draft_entry(
            predictions,
            described,
            name=name,
            dataset=dataset,
            results=results,
            replace=replace,
            fold=fold,
            data=data,
            by=by,
            policy=Policy(
                form=FORM_FLAGS[form] if form else None,
                map=parse_map(values),
                extra=extra.value,
                resize=resize.value,
                threshold=threshold,
                min_score=min_score,
                rle_order=rle_order.value,
            ),
            suffix=suffix,
            ending=ending,
            ids=ids,
            jobs=n_jobs(jobs),
            progress=lambda done, of: update("scoring", done, of),
        )
    for line in draft.notes:
        note(f"note: {line}")
    if not json:
        show_draft(draft, whole=dry_run)
    if not dry_run:
        write_draft(draft, replace=replace)
    if json:
        say_json(draft_json(draft, written=not dry_run))
    elif dry_run:
        say(f"nothing was written (--dry-run); without it: {draft.folder}")
    else:
        show_next(draft, data)
