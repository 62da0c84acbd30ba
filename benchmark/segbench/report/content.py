"""What the report says of an evaluation: plain values for the template, worked out in one place."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from segbench._version import __version__
from segbench.masks.labels import Rgb
from segbench.measures import ALL, Definition, Measure, Options
from segbench.report import charts
from segbench.report.distributions import Chart, of_classes, of_one_class, of_whole_map
from segbench.report.gallery import Group, Predictions, gallery
from segbench.report.pictures import class_colours
from segbench.report.view import MAIN, View, by_name
from segbench.scoring.evaluate import SIZE, Evaluation
from segbench.scoring.scores import Score
from segbench.statistics.bootstrap import few_units

MAX_LINES = 30
"""More subgroups than this and there is no chart of them; the table holds all."""

_MAX_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a table: what it is about, and the scores in its columns (None: not defined)."""

    name: str
    detail: str = ""
    scores: tuple[Score | None, ...]

    @property
    def n(self) -> int:
        """Images with a defined value."""
        return min((score.n for score in self.scores if score is not None), default=0)

    @property
    def n_groups(self) -> int:
        """The groups that these images form."""
        return min((score.n_groups for score in self.scores if score is not None), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Scores by line and column; `drawn` says how many columns are drawn beside the numbers."""

    caption: str
    subject: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    drawn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Subgroup:
    """A column of the dataset, with the main scores of each of its values."""

    column: str
    title: str
    lines: tuple[Line, ...]
    chart: str  # "" where there are too many values


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Everything on the page."""

    heading: str
    selection: str
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    main: Measure
    headlines: tuple[tuple[str, Score], ...]
    tables: tuple[Table, ...]
    charts: tuple[Chart, ...]
    class_charts: tuple[Chart, ...]
    gallery: tuple[Group, ...]
    legend: tuple[tuple[str, Rgb], ...]  # empty where outlines are drawn
    subgroups: tuple[Subgroup, ...]
    details: tuple[tuple[Definition, tuple[Score, ...]], ...]
    n_missing: int
    has_few: bool
    exact: str
    command: str
    empty_rule: str


_EMPTY_RULES = {
    "nan": "is undefined: it is left out of the mean and not counted among the images",
    "1": "has the value 1",
    "0": "has the value 0",
}
_EMPTY_DISTANCES = {
    "diagonal": "is the diagonal of the image",
    "inf": "is infinite",
    "nan": "is undefined",
}


def _empty_rule(options: Options) -> str:
    overlaps = (
        f"Where a class is in neither reference nor prediction of an image, an overlap measure "
        f"{_EMPTY_RULES[options.empty]}; where it is in only one of them, the value is the worst."
    )
    if not options.surface:
        return overlaps
    return (
        f"{overlaps} A distance is undefined where the class is in neither of them; where it is in "
        f"only one, it {_EMPTY_DISTANCES[options.empty_distance]}."
    )


def describe(evaluation: Evaluation, predictions: Predictions | None) -> Content:
    """All that the page says; reads only the samples that are shown."""
    view = View.of(evaluation)
    target, table = evaluation.target, evaluation.table
    if view.binary:
        tables = (_one_class(view), _worst_cases(view))
    else:
        tables = (_all_classes(view), _each_class(view))
    return Content(
        heading=_heading(evaluation),
        selection=_selection(evaluation),
        facts=_facts(view),
        warnings=_warnings(evaluation),
        notes=evaluation.notes,
        main=view.main,
        headlines=_headlines(view),
        tables=tables,
        charts=of_one_class(view) if view.binary else of_whole_map(view),
        class_charts=() if view.binary else of_classes(view),
        gallery=gallery(
            target.items,
            target.classes,
            {"Dice": view.per_image("dice"), "IoU": view.per_image("iou")},
            predictions,
            missing=table.missing,
        ),
        legend=() if view.binary else _legend(view),
        subgroups=tuple(_subgroup(view, column) for column in evaluation.subgroups),
        details=tuple(
            (definition, tuple(s for s in evaluation.scores if s.measure.key == definition.key))
            for definition in view.definitions
        ),
        n_missing=evaluation.n_missing,
        has_few=any(few_units(line.n_groups) for shown in tables for line in shown.lines),
        exact=_exact(evaluation.scores),
        command=_command(evaluation),
        empty_rule=_empty_rule(evaluation.options),
    )


def _exact(scores: Sequence[Score]) -> str:
    """What a star beside an interval means; empty where none has one."""
    kinds = sorted({score.exact for score in scores if score.exact})
    return f"* marks a share {' or '.join(kinds)} that is 0 or 1" if kinds else ""


def _heading(evaluation: Evaluation) -> str:
    target, name = evaluation.target, _folder_name(evaluation.origin)
    if _is_bare(evaluation):
        return f"{name} against {target.name}"
    return f"{name} on {target.name}@{target.version}"


def _selection(evaluation: Evaluation) -> str:
    target = evaluation.target
    if target.fold is None:
        return "all samples" if _is_bare(evaluation) else f"{target.split} split"
    return f"fold {target.fold}" + ("" if target.split == "test" else f" ({target.split})")


def _is_bare(evaluation: Evaluation) -> bool:
    """Whether the references came without a dataset."""
    return not evaluation.target.digest


def _folder_name(origin: str) -> str:
    """The last part of a path; where it lies on somebody's disk is left out."""
    name = re.split(r"[\\/]", origin.rstrip("\\/"))[-1]
    return Path(origin).resolve().name if name in {"", ".", ".."} else name


def _facts(view: View) -> tuple[tuple[str, str], ...]:
    evaluation = view.evaluation
    table = evaluation.table
    chosen = [table.class_names.index(label.name) for label in view.objects]
    present = (table.counts.tp + table.counts.fp + table.counts.fn)[:, chosen].any(axis=1)
    facts: dict[str, object] = {
        "Images": len(table),
        "Groups of images": table.n_groups,
        "Empty in both masks": int((~present).sum()),
        "Missing predictions": evaluation.n_missing,
        "Resized predictions": evaluation.n_resized,
        "Predictions read as": evaluation.form,
        "Content digest": evaluation.digest[:12],
        "segbench": __version__,
        "Classes": ", ".join(label.name for label in evaluation.target.classes),
    }
    return tuple((name, str(value)) for name, value in facts.items())


def _warnings(evaluation: Evaluation) -> tuple[str, ...]:
    target, table = evaluation.target, evaluation.table
    found: list[str] = []
    origins = {str(item.columns.get("origin", "")) for item in target.items}
    if "synthetic" in " ".join([target.name, *origins]).casefold():
        found.append("SYNTHETIC data, drawn by a program: it says nothing about real images.")
    if few := few_units(table.n_groups, table.unit):
        found.append(f"{few[0].upper()}{few[1:]}.")
    if evaluation.n_missing:
        ids = [i.id for i, gone in zip(target.items, table.missing, strict=True) if gone]
        more = f" and {len(ids) - _MAX_NAMED} more" if len(ids) > _MAX_NAMED else ""
        found.append(
            f"{len(ids)} of {len(table)} predictions are missing and score the worst value: "
            f"{', '.join(ids[:_MAX_NAMED])}{more}."
        )
    if evaluation.n_resized:
        found.append(
            f"{evaluation.n_resized} of {len(table)} predictions had another size than their image "
            f"and were resized (nearest neighbour)."
        )
    return tuple(found)


def _headlines(view: View) -> tuple[tuple[str, Score], ...]:
    where = view.label, view.main.over
    names = {"dice": "Dice", "iou": "IoU", "precision": "Precision", "recall": "Recall"}
    return tuple((name, view.scores[key, *where]) for key, name in names.items())


def _one_class(view: View) -> Table:
    lines: list[Line] = []
    for definition in view.definitions:
        if definition.of_shape or _is_failure(definition):
            continue
        label = view.label if definition.has_classes else ALL
        pair = tuple(view.scores.get((definition.key, label, o)) for o in ("images", "dataset"))
        detail = "" if label == view.label else "of the whole map"
        detail = detail if definition.higher_is_better else "lower is better"
        name = view.scores[definition.key, label, "images"].measure.title
        lines.append(Line(name=name, detail=detail, scores=pair))
    return Table(
        caption=f"Class {view.label}: the mean of the images' values, and one value from the "
        f"pixels of all images pooled.",
        subject="Measure",
        columns=("Mean over images", "Pooled"),
        lines=tuple(lines),
        drawn=2,
    )


def _is_failure(definition: Definition) -> bool:
    return not definition.higher_is_better and not definition.of_probabilities


def _worst_cases(view: View) -> Table:
    lines: list[Line] = []
    for definition in view.definitions:
        if not (definition.tail or definition.of_shape or _is_failure(definition)):
            continue
        overs = ("images", "worst10", "median")
        scores = tuple(view.scores.get((definition.key, view.label, over)) for over in overs)
        name = view.scores[definition.key, view.label, "images"].measure.title
        detail = "" if definition.higher_is_better else "lower is better"
        lines.append(Line(name=name, detail=detail, scores=scores))
    return Table(
        caption="Shapes and worst cases: the mean over images, the mean of the worst 10 % of "
        "them, and the median image (which has no interval).",
        subject="Measure",
        columns=("Mean over images", "Worst 10 %", "Median"),
        lines=tuple(lines),
        drawn=1,
    )


def _all_classes(view: View) -> Table:
    columns = ((view.label, "classes"), (ALL, "images"), (ALL, "dataset"))
    lines: list[Line] = []
    for d in view.definitions:
        of_classes, *of_map = (view.scores.get((d.key, *c)) for c in columns)
        if d.against_rest and of_classes and any(of_map):  # two numbers of one name: two lines
            lines.append(Line(name=d.short_title, scores=(None, *of_map)))
            lines.append(Line(name=of_classes.measure.title, scores=(of_classes, None, None)))
        elif of_classes or any(of_map):
            lines.append(Line(name=d.short_title, scores=(of_classes, *of_map)))
    which = "all" if view.label == ALL else "the foreground"
    return Table(
        caption=f"The mean over {which} classes of each class's pooled value, and measures of the "
        f"whole label map.",
        subject="Measure",
        columns=(f"Mean over {which} classes", "Whole map, mean over images", "Whole map, pooled"),
        lines=tuple(lines),
        drawn=1,
    )


def _each_class(view: View) -> Table:
    columns = [("dice", "images"), ("dice", "dataset"), ("iou", "images"), ("iou", "dataset")]
    titles = ["Dice, mean over images", "Dice, pooled", "IoU, mean over images", "IoU, pooled"]
    for definition in view.definitions:
        if definition.of_shape and definition.tail:
            columns.append((definition.key, "images"))
            titles.append(f"{definition.short_title}, mean over images")
    table = view.evaluation.table
    share = table.counts.reference.sum(axis=0) / max(1, int(table.counts.total[:, 0].sum()))
    return Table(
        caption="Each class. Images in which a class is in neither mask are left out of its mean.",
        subject="Class",
        columns=tuple(titles),
        lines=tuple(
            Line(
                name=name,
                detail=f"{share[i]:.1%} of pixels",
                scores=tuple(view.scores.get((key, name, over)) for key, over in columns),
            )
            for i, name in enumerate(table.class_names)
        ),
        drawn=2,
    )


def _legend(view: View) -> tuple[tuple[str, Rgb], ...]:
    colours = class_colours(view.evaluation.target.classes)
    return tuple((label.name, colours[label.id]) for label in view.objects)


def _subgroup(view: View, column: str) -> Subgroup:
    groups = view.evaluation.subgroups[column]
    lines: list[Line] = []
    for value, scores in groups.items():
        named = by_name(scores)
        pair = tuple(named[key, view.label, view.main.over] for key in (MAIN, "iou"))
        detail = _range_of_sizes(pair[0]) if column == SIZE else ""
        lines.append(Line(name=value, detail=detail, scores=pair))
    chart = ""
    if len(lines) <= MAX_LINES:
        whole = view.scores[MAIN, view.label, view.main.over].value
        entries = [(ln.name, s.value, *s.ci95) for ln in lines if (s := ln.scores[0]) is not None]
        chart = charts.forest(
            entries,
            key=f"g{list(view.evaluation.subgroups).index(column)}",
            label=f"Dice by {column}: " + "; ".join(_spoken(*entry) for entry in entries),
            x_label="Dice with 95 % interval; dashed: all images",
            line=whole,
        )
    title = "size of the object, as share of the image" if column == SIZE else column
    return Subgroup(column=column, title=title, lines=tuple(lines), chart=chart)


def _spoken(name: str, value: float, low: float, high: float) -> str:
    return " ".join((name, *charts.numbers(value, low, high)))


def _range_of_sizes(score: Score) -> str:
    """The share of the image that a size stands for, from where the signature says it."""
    match = re.search(r"\|where:size=[a-z]+\(([\d.]+),([\d.]+)\]", score.signature)
    if match is None:
        return ""
    low, high = float(match[1]), float(match[2])
    if low == 0:
        return f"up to {high:.1%}"
    return f"over {low:.1%}" if high == 1 else f"{low:.1%} to {high:.1%}"


def _option_words(evaluation: Evaluation) -> list[str]:
    """The options of the measures that are not the default, as the command line says them."""
    chosen, default = asdict(evaluation.options), asdict(Options())
    words: list[str] = []
    for name, value in chosen.items():
        if value == default[name]:
            continue
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
            continue
        flag = {"rule": "percentile-rule", "threshold": "iou-threshold"}.get(name, name)
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        words += [f"--{flag.replace('_', '-')}", text]
    return words


def _command(evaluation: Evaluation) -> str:
    """The command line that computes the same; folders and files are the reader's own."""
    target = evaluation.target
    words = ["segbench", "evaluate", "--predictions", "PREDICTIONS"]
    if _is_bare(evaluation):
        words += ["--references", "REFERENCES"]
    else:
        words += ["--dataset", target.name, "--split", target.split]
        words += [] if target.fold is None else ["--fold", str(target.fold)]
    words += evaluation.words
    for column in evaluation.subgroups:
        words += [] if column == SIZE else ["--by", column]
    words += ["--missing", "worst"] if evaluation.n_missing else []
    words += ["--resize", "nearest"] if evaluation.n_resized else []
    words += _option_words(evaluation)
    words += [] if evaluation.interval == "percentile" else ["--interval", evaluation.interval]
    if cut := re.search(r"\|cut:([\d.e-]+)(\|chosen:)?", evaluation.scores[0].signature):
        words += ["--threshold", "THRESHOLD" if cut[2] else cut[1]]
    return shlex.join(words)
