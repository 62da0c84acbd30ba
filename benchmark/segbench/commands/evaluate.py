"""`segbench evaluate --predictions DIR`: scores of masks made by anything."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from segbench.commands.options import (
    Data,
    Fold,
    Interval,
    IntervalFlag,
    Jobs,
    Json,
    Split,
    n_jobs,
)


class FormFlag(StrEnum):
    """What `--form` may say."""

    IDS = "ids"
    BINARY = "binary"
    COLOURS = "colours"
    PROBABILITIES = "probabilities"


class MissingFlag(StrEnum):
    """What `--missing` may say."""

    ERROR = "error"
    WORST = "worst"


class ExtraFlag(StrEnum):
    """What `--extra` may say."""

    ERROR = "error"
    IGNORE = "ignore"


class ResizeFlag(StrEnum):
    """What `--resize` may say."""

    ERROR = "error"
    NEAREST = "nearest"


class EmptyFlag(StrEnum):
    """What `--empty` may say."""

    NAN = "nan"
    ONE = "1"
    ZERO = "0"


def evaluate(
    predictions: Annotated[
        Path,
        typer.Option(
            "--predictions", help="A folder, .zip or .tar of masks, or an RLE .json or .csv."
        ),
    ],
    *,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Found by the ids where it is not given.")
    ] = None,
    split: Split = "test",
    fold: Fold = None,
    data: Data = None,
    references: Annotated[
        Path | None, typer.Option("--references", help="Reference masks, where there is no card.")
    ] = None,
    classes: Annotated[
        str, typer.Option("--classes", help="With --references: names of classes 0,1,2,...")
    ] = "",
    by: Annotated[
        list[str] | None, typer.Option("--by", help="Scores by a column of samples.csv (repeat).")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write scores.json, rows.parquet and report.html there."),
    ] = None,
    suffix: Annotated[
        str, typer.Option("--suffix", help="What file names carry behind the id, as _pred.")
    ] = "",
    ending: Annotated[
        str, typer.Option("--ending", help="Read only files with this ending, as .png.")
    ] = "",
    form: Annotated[
        FormFlag | None, typer.Option("--form", help="How values are read, where that is in doubt.")
    ] = None,
    missing: Annotated[
        MissingFlag, typer.Option("--missing", help="worst: score missing masks as the worst.")
    ] = MissingFlag.ERROR,
    extra: Annotated[
        ExtraFlag, typer.Option("--extra", help="ignore: leave out ids that the split lacks.")
    ] = ExtraFlag.ERROR,
    resize: Annotated[
        ResizeFlag, typer.Option("--resize", help="nearest: accept masks of another size.")
    ] = ResizeFlag.ERROR,
    threshold: Annotated[
        float, typer.Option("--threshold", help="Cut of foreground probabilities.", min=0, max=1)
    ] = 0.5,
    empty: Annotated[
        EmptyFlag, typer.Option("--empty", help="Value where reference and prediction are empty.")
    ] = EmptyFlag.NAN,
    interval: Interval = IntervalFlag.PERCENTILE,
    jobs: Jobs = None,
    json: Json = False,
) -> None:
    """Score predictions against a prepared dataset or a folder of references."""
    from segbench.commands.console import note, progress_bar, say, say_json  # noqa: PLC0415
    from segbench.commands.tables import show_evaluation  # noqa: PLC0415
    from segbench.masks.forms import FORM_FLAGS  # noqa: PLC0415
    from segbench.masks.submission import open_submission  # noqa: PLC0415
    from segbench.report.page import write_report  # noqa: PLC0415
    from segbench.scoring.evaluate import evaluate  # noqa: PLC0415
    from segbench.scoring.files import REPORT, refuse_foreign, scores_json  # noqa: PLC0415
    from segbench.scoring.files import write_evaluation as write  # noqa: PLC0415
    from segbench.scoring.tally import Policy, label_maps  # noqa: PLC0415

    if references is not None and (dataset or fold is not None):
        raise typer.BadParameter("give --dataset (with --split or --fold) or --references")
    if classes and references is None:
        raise typer.BadParameter("--classes needs --references")
    if out is not None:
        refuse_foreign(out)  # before the work, not after it
    policy = Policy(
        form=FORM_FLAGS[form] if form else None,
        missing=missing.value,
        extra=extra.value,
        resize=resize.value,
        threshold=threshold,
    )
    submission = open_submission(predictions, suffix=suffix, ending=ending)
    with progress_bar() as update:
        result = evaluate(
            submission,
            dataset=dataset,
            split=split,
            fold=fold,
            data=data,
            references=references,
            class_names=[name.strip() for name in classes.split(",") if name.strip()],
            by=by or (),
            policy=policy,
            empty=empty.value,
            interval=interval.value,
            jobs=n_jobs(jobs),
            progress=lambda done, of: update("scoring", done, of),
        )
    if out is not None:
        maps = label_maps(result.target, submission, result.reading, policy=policy)
        write(result, out, extra=lambda folder: write_report(result, maps, folder / REPORT))
    for line in result.notes:
        note(f"note: {line}")
    if json:
        say_json(scores_json(result))
        return
    show_evaluation(result)
    if out is not None:
        say(f"report: {out / REPORT}")
    else:
        say("for the report, rows and scores.json: --out DIR")
