"""`segbench evaluate --predictions DIR`: scores of masks made by anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segbench.commands.input_options import (
    Background,
    Classes,
    Ending,
    Extra,
    ExtraFlag,
    Form,
    FoundDataset,
    Ids,
    Map,
    MinScore,
    Missing,
    MissingFlag,
    Order,
    References,
    References255,
    ReferencesEnding,
    ReferencesForm,
    ReferencesIds,
    ReferencesMap,
    ReferencesSuffix,
    Resize,
    ResizeFlag,
    RleOrderFlag,
    Suffix,
    class_names,
    reference_policy,
)
from segbench.commands.measure_options import (
    Binning,
    BinningFlag,
    Bins,
    Boundary,
    BoundaryFlag,
    Clip,
    Connectivity,
    ConnectivityFlag,
    DilationRatio,
    Empty,
    EmptyDistance,
    EmptyDistanceFlag,
    EmptyFlag,
    IouThreshold,
    Percentile,
    PercentileRule,
    RuleFlag,
    Skeleton,
    SkeletonFlag,
    Soft,
    SpacingMm,
    Surface,
    Tolerance,
    Topology,
    spacing_of,
)
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
    dataset: FoundDataset = None,
    split: Split = "test",
    fold: Fold = None,
    data: DataOrUrl = None,
    references: References = None,
    classes: Classes = "",
    references_suffix: ReferencesSuffix = "",
    references_ending: ReferencesEnding = "",
    references_ids: ReferencesIds = "",
    references_form: ReferencesForm = None,
    references_map: ReferencesMap = "",
    references_255: References255 = None,
    background: Background = None,
    by: Annotated[
        list[str] | None, typer.Option("--by", help="Scores by a column of samples.csv (repeat).")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write scores.json, rows.parquet and report.html there."),
    ] = None,
    suffix: Suffix = "",
    ending: Ending = "",
    ids: Ids = "",
    form: Form = None,
    values: Map = "",
    min_score: MinScore = None,
    rle_order: Order = RleOrderFlag.COLUMNS,
    missing: Missing = MissingFlag.ERROR,
    extra: Extra = ExtraFlag.ERROR,
    resize: Resize = ResizeFlag.ERROR,
    threshold: Annotated[
        str,
        typer.Option(
            "--threshold",
            help="Cut of foreground probabilities: a number, or a file of `segbench threshold`.",
        ),
    ] = "0.5",
    surface: Surface = True,
    spacing_mm: SpacingMm = "",
    tolerance: Tolerance = 2.0,
    boundary: Boundary = BoundaryFlag.INNER,
    percentile: Percentile = 95,
    percentile_rule: PercentileRule = RuleFlag.MAX,
    dilation_ratio: DilationRatio = 0.02,
    topology: Topology = False,
    skeleton: Skeleton = SkeletonFlag.ZHANG,
    connectivity: Connectivity = ConnectivityFlag.EIGHT,
    iou_threshold: IouThreshold = 0.65,
    empty: Empty = EmptyFlag.NAN,
    empty_distance: EmptyDistance = EmptyDistanceFlag.DIAGONAL,
    soft: Soft = False,
    bins: Bins = 15,
    binning: Binning = BinningFlag.WIDTH,
    clip: Clip = 1e-7,
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
    of_references = reference_policy(
        references,
        suffix=references_suffix,
        ending=references_ending,
        ids=references_ids,
        form=references_form,
        values=references_map,
        means_255=references_255,
        background=background,
    )
    _check_places(out, reliability)
    cut, chosen = cut_of(threshold)
    policy = Policy(
        form=FORM_FLAGS[form] if form else None,
        map=values,
        missing=missing.value,
        extra=extra.value,
        resize=resize.value,
        threshold=cut,
        min_score=min_score,
        rle_order=rle_order.value,
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
    submission = open_submission(
        place_of(predictions), suffix=suffix, ending=ending, ids=ids, table=policy.table
    )
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
            of_references=of_references,
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
            class_names=class_names(classes),
            reference_policy=of_references,
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
