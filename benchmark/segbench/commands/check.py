"""`segbench check DIR`: everything wrong with a prepared dataset or with predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segbench.commands.input_options import Ending, Form, Ids, Map, Suffix
from segbench.commands.options import Data, Fold, Jobs, Split, n_jobs


def check(
    folder: Annotated[Path, typer.Argument(help="A prepared dataset, or predictions.")],
    *,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="For predictions: what they are of.")
    ] = None,
    split: Split = "test",
    fold: Fold = None,
    data: Data = None,
    suffix: Suffix = "",
    ending: Ending = "",
    ids: Ids = "",
    form: Form = None,
    values: Map = "",
    jobs: Jobs = None,
) -> None:
    """Validate a prepared dataset or a predictions folder and print everything wrong."""
    from segbench.commands.console import progress_bar, say  # noqa: PLC0415
    from segbench.errors import SegbenchError  # noqa: PLC0415

    with progress_bar() as update:
        if (folder / "dataset.json").exists():
            from segbench.prepare.check import check_prepared  # noqa: PLC0415

            checked = check_prepared(
                folder, jobs=n_jobs(jobs), progress=lambda done, of: update("checking", done, of)
            )
            if checked.problems:
                found = checked.problems.text(shown=len(checked.problems))
                raise SegbenchError(f"{folder}: {len(checked.problems)} problems\n{found}")
            say(f"{folder}: {checked.n_samples} samples, nothing wrong")
            return
        from segbench.masks.forms import FORM_FLAGS  # noqa: PLC0415
        from segbench.masks.prepared import data_folder, open_prepared  # noqa: PLC0415
        from segbench.masks.submission import open_submission  # noqa: PLC0415
        from segbench.masks.value_map import parse_map  # noqa: PLC0415
        from segbench.scoring.tally import Policy, tally  # noqa: PLC0415
        from segbench.scoring.target import find_prepared, prepared_target  # noqa: PLC0415

        submission = open_submission(folder, suffix=suffix, ending=ending, ids=ids)
        prepared = (
            open_prepared(dataset, data=data)
            if dataset
            else find_prepared(submission, data_folder(data))
        )
        target = prepared_target(prepared, split=split, fold=fold)
        try:
            counted = tally(
                target,
                submission,
                policy=Policy(form=FORM_FLAGS[form] if form else None, map=parse_map(values)),
                jobs=n_jobs(jobs),
                progress=lambda done, of: update("checking", done, of),
            )
        except SegbenchError as error:
            raise SegbenchError(error.whole_text()) from error
    for line in submission.notes:
        say(f"note: {line}")
    say(
        f"{folder}: {len(target.items)} predictions of {target.name} {target.selection}, read as "
        f"{counted.reading.form}, nothing wrong"
    )
