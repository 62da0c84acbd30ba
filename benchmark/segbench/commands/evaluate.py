"""`segbench evaluate --predictions DIR`: scores of masks made by anything."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segbench.commands.options import (
    DataOrUrl,
    Fold,
    Interval,
    IntervalFlag,
    Jobs,
    Json,
    Split,
    n_jobs,
)

if TYPE_CHECKING:
    from segbench.masks.submission import Submission
    from segbench.measures import Options
    from segbench.scoring.evaluate import Evaluation
    from segbench.scoring.tally import Policy


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


class EmptyDistanceFlag(StrEnum):
    """What `--empty-distance` may say."""

    DIAGONAL = "diagonal"
    NAN = "nan"
    INF = "inf"


class SkeletonFlag(StrEnum):
    """What `--skeleton` may say."""

    ZHANG = "zhang"
    LEE = "lee"


class ConnectivityFlag(StrEnum):
    """What `--connectivity` may say."""

    FOUR = "4"
    EIGHT = "8"


class BoundaryFlag(StrEnum):
    """What `--boundary` may say."""

    INNER = "inner"
    LENGTH = "length"


class RuleFlag(StrEnum):
    """What `--percentile-rule` may say."""

    MAX = "max"
    POOLED = "pooled"


class BinningFlag(StrEnum):
    """What `--binning` may say."""

    WIDTH = "width"
    MASS = "mass"


MEASURES = "Options of the measures (they stand in each signature)"


def spacing_of(text: str) -> tuple[float, float] | None:
    """`0.5,0.25` (row, column) or one number for both."""
    if not text:
        return None
    try:
        row, *rest = (float(side) for side in text.split(","))
    except ValueError:
        rest, row = [0.0, 0.0], 0.0
    if len(rest) > 1:
        raise typer.BadParameter(
            f"--spacing-mm {text}: expected a number, or two as 0.5,0.25 (rows, columns)"
        )
    return row, rest[0] if rest else row


def _refuse_beside_dialect(options: Options, *, ours: bool, interval: IntervalFlag) -> None:
    """A tool has its own rules: an option that it does not take is never dropped in silence."""
    from segbench.measures import Options  # noqa: PLC0415

    taken = Options(spacing_mm=options.spacing_mm, tolerance=options.tolerance)
    if ours or options != taken or interval is not IntervalFlag.PERCENTILE:
        raise typer.BadParameter(
            "--dialect prints another tool's numbers by its own rules; leave out --out, --by, "
            "--dask, --interval, --reliability, a file for --threshold, and all options of the "
            "measures but --spacing-mm and --tolerance"
        )


def _check_places(out: Path | None, reliability: Path | None) -> None:
    """Refuse places that cannot be written to: before the work, not after it."""
    from segbench.report.reliability import check_picture  # noqa: PLC0415
    from segbench.scoring.files import refuse_foreign  # noqa: PLC0415

    if out is not None:
        refuse_foreign(out)
    if reliability is not None:
        check_picture(reliability)


def _write(
    result: Evaluation,
    submission: Submission,
    policy: Policy,
    *,
    out: Path | None,
    reliability: Path | None,
) -> None:
    """Write the folder and the reliability diagram that were asked for."""
    from segbench.report.page import write_report  # noqa: PLC0415
    from segbench.report.reliability import write_reliability  # noqa: PLC0415
    from segbench.scoring.files import REPORT, write_evaluation  # noqa: PLC0415
    from segbench.scoring.tally import label_maps  # noqa: PLC0415

    if reliability is not None:
        write_reliability(result, reliability)
    if out is not None:
        maps = label_maps(result.target, submission, result.reading, policy=policy)
        write_evaluation(
            result, out, extra=lambda folder: write_report(result, maps, folder / REPORT)
        )


def evaluate(
    predictions: Annotated[
        str,
        typer.Option(
            "--predictions",
            help="A folder, .zip or .tar of masks, or an RLE .json or .csv; its path or URL.",
        ),
    ],
    *,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Found by the ids where it is not given.")
    ] = None,
    split: Split = "test",
    fold: Fold = None,
    data: DataOrUrl = None,
    references: Annotated[
        str | None, typer.Option("--references", help="Reference masks, where there is no card.")
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
        str,
        typer.Option(
            "--threshold",
            help="Cut of foreground probabilities: a number, or a file of `segbench threshold`.",
        ),
    ] = "0.5",
    surface: Annotated[
        bool,
        typer.Option(
            "--surface/--no-surface",
            help="Measure boundaries too (Hausdorff, surface Dice, ...).",
            rich_help_panel=MEASURES,
        ),
    ] = True,
    spacing_mm: Annotated[
        str,
        typer.Option(
            "--spacing-mm",
            help="Distance of rows and of columns, as 0.5,0.25; else distances are in pixels.",
            rich_help_panel=MEASURES,
        ),
    ] = "",
    tolerance: Annotated[
        float,
        typer.Option(
            "--tolerance",
            help="Of nsd and boundary_f1, in pixels, or mm with --spacing-mm.",
            min=0,
            rich_help_panel=MEASURES,
        ),
    ] = 2.0,
    boundary: Annotated[
        BoundaryFlag,
        typer.Option(
            "--boundary",
            help="inner: 4-neighbour inner boundary pixels; length: elements weighted by length.",
            rich_help_panel=MEASURES,
        ),
    ] = BoundaryFlag.INNER,
    percentile: Annotated[
        float,
        typer.Option(
            "--percentile",
            help="Of the Hausdorff distance given beside the greatest (hd95).",
            rich_help_panel=MEASURES,
        ),
    ] = 95,
    percentile_rule: Annotated[
        RuleFlag,
        typer.Option(
            "--percentile-rule",
            help="The larger of both directions' percentiles, or that of both pooled.",
            rich_help_panel=MEASURES,
        ),
    ] = RuleFlag.MAX,
    dilation_ratio: Annotated[
        float,
        typer.Option(
            "--dilation-ratio",
            help="Width of boundary_iou's bands, as a share of the image's diagonal.",
            rich_help_panel=MEASURES,
        ),
    ] = 0.02,
    topology: Annotated[
        bool,
        typer.Option(
            "--topology/--no-topology",
            help="Measure topology too: centreline Dice, components, holes.",
            rich_help_panel=MEASURES,
        ),
    ] = False,
    skeleton: Annotated[
        SkeletonFlag,
        typer.Option("--skeleton", help="How cldice finds a centreline.", rich_help_panel=MEASURES),
    ] = SkeletonFlag.ZHANG,
    connectivity: Annotated[
        ConnectivityFlag,
        typer.Option(
            "--connectivity",
            help="Neighbours of a foreground pixel, for components and holes.",
            rich_help_panel=MEASURES,
        ),
    ] = ConnectivityFlag.EIGHT,
    iou_threshold: Annotated[
        float,
        typer.Option(
            "--iou-threshold",
            help="Below it an image counts as a failure (thresholded_iou, failure_rate).",
            min=0,
            max=1,
            rich_help_panel=MEASURES,
        ),
    ] = 0.65,
    empty: Annotated[
        EmptyFlag,
        typer.Option(
            "--empty",
            help="Value of overlaps where reference and prediction are empty.",
            rich_help_panel=MEASURES,
        ),
    ] = EmptyFlag.NAN,
    empty_distance: Annotated[
        EmptyDistanceFlag,
        typer.Option(
            "--empty-distance",
            help="Value of distances where just one of them is empty.",
            rich_help_panel=MEASURES,
        ),
    ] = EmptyDistanceFlag.DIAGONAL,
    soft: Annotated[
        bool,
        typer.Option(
            "--soft",
            help="Measure probabilities too: AP, AUROC, Brier, log-likelihood, ECE.",
            rich_help_panel=MEASURES,
        ),
    ] = False,
    bins: Annotated[
        int,
        typer.Option(
            "--bins", help="Of the calibration error.", min=1, max=1000, rich_help_panel=MEASURES
        ),
    ] = 15,
    binning: Annotated[
        BinningFlag,
        typer.Option(
            "--binning",
            help="Bins of equal width, or of equal mass (as many pixels in each).",
            rich_help_panel=MEASURES,
        ),
    ] = BinningFlag.WIDTH,
    clip: Annotated[
        float,
        typer.Option(
            "--clip",
            help="Least probability, and least distance from 1, in the log-likelihood.",
            rich_help_panel=MEASURES,
        ),
    ] = 1e-7,
    reliability: Annotated[
        Path | None,
        typer.Option(
            "--reliability",
            help="Draw the reliability diagram there (.svg or .png; beside it .json and .csv).",
        ),
    ] = None,
    interval: Interval = IntervalFlag.PERCENTILE,
    dialect: Annotated[
        str | None,
        typer.Option("--dialect", help="Print another tool's numbers (`segbench dialects`)."),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option("--dask", help="Count on a Dask cluster: its scheduler's address, or local."),
    ] = None,
    jobs: Jobs = None,
    json: Json = False,
) -> None:
    """Score predictions against a prepared dataset or a folder of references."""
    from segbench.commands.console import note, progress_bar, say, say_json  # noqa: PLC0415
    from segbench.commands.counting import counting  # noqa: PLC0415
    from segbench.commands.dialects import speak  # noqa: PLC0415
    from segbench.commands.tables import show_evaluation  # noqa: PLC0415
    from segbench.commands.threshold import check_applied, cut_of  # noqa: PLC0415
    from segbench.dialects import Ruler, dialect_of  # noqa: PLC0415
    from segbench.masks.forms import FORM_FLAGS  # noqa: PLC0415
    from segbench.masks.places import is_url, place_of  # noqa: PLC0415
    from segbench.masks.prepared import data_place  # noqa: PLC0415
    from segbench.masks.submission import open_submission  # noqa: PLC0415
    from segbench.measures import Options  # noqa: PLC0415
    from segbench.scoring.evaluate import evaluate  # noqa: PLC0415
    from segbench.scoring.files import REPORT, scores_json  # noqa: PLC0415
    from segbench.scoring.tally import Policy  # noqa: PLC0415

    if references is not None and (dataset or fold is not None):
        raise typer.BadParameter("give --dataset (with --split or --fold) or --references")
    if classes and references is None:
        raise typer.BadParameter("--classes needs --references")
    _check_places(out, reliability)
    cut, chosen = cut_of(threshold)
    policy = Policy(
        form=FORM_FLAGS[form] if form else None,
        missing=missing.value,
        extra=extra.value,
        resize=resize.value,
        threshold=cut,
        chosen=chosen.where if chosen else "",
    )
    options = Options(
        empty=empty.value,
        empty_distance=empty_distance.value,
        threshold=iou_threshold,
        surface=surface,
        percentile=percentile,
        rule=percentile_rule.value,
        boundary=boundary.value,
        spacing_mm=spacing_of(spacing_mm),
        tolerance=tolerance,
        dilation_ratio=dilation_ratio,
        topology=topology,
        skeleton=skeleton.value,
        connectivity=8 if connectivity is ConnectivityFlag.EIGHT else 4,
        soft=soft or reliability is not None,
        bins=bins,
        binning=binning.value,
        clip=clip,
    )
    where, bare = data_place(data), None if references is None else place_of(references)
    submission = open_submission(place_of(predictions), suffix=suffix, ending=ending)
    if dialect is not None:
        ours = out is not None or bool(by or dask) or chosen is not None
        _refuse_beside_dialect(options, ours=ours, interval=interval)
        speak(
            [dialect_of(dialect)],
            submission,
            dataset=dataset,
            split=split,
            fold=fold,
            data=where,
            references=bare,
            classes=classes,
            policy=policy,
            ruler=Ruler(options.spacing_mm, tolerance),
            jobs=n_jobs(jobs),
            json=json,
        )
        return
    remote = any(map(is_url, (predictions, bare if references else where)))
    with counting(jobs, dask=dask, remote=remote, out=out) as engine, progress_bar() as update:
        result = evaluate(
            submission,
            dataset=dataset,
            split=split,
            fold=fold,
            data=where,
            references=bare,
            class_names=[name.strip() for name in classes.split(",") if name.strip()],
            by=by or (),
            policy=policy,
            options=options,
            interval=interval.value,
            jobs=jobs,
            engine=engine,
            progress=lambda done, of: update("scoring", done, of),
        )
    if chosen is not None:
        check_applied(chosen, result)
    _write(result, submission, policy, out=out, reliability=reliability)
    for line in result.notes:
        note(f"note: {line}")
    if json:
        say_json(scores_json(result))
        return
    show_evaluation(result)
    if reliability is not None:
        say(f"reliability diagram: {reliability}")
    if out is not None:
        say(f"report: {out / REPORT}")
    else:
        say("for the report, rows and scores.json: --out DIR")
