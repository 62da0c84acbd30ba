"""Tables for the terminal; every function returns or prints, none computes a score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from segbench.catalog.card import DrawnSource, KaggleSource, ManualSource, UrlSource
from segbench.commands.console import console
from segbench.masks.labels import is_background
from segbench.measures import DEFINITIONS, Definition
from segbench.scoring.evaluate import SIZE, Evaluation
from segbench.scoring.scores import Score
from segbench.statistics.bootstrap import FEW_UNITS

if TYPE_CHECKING:
    from segbench.catalog.cards import Dataset

N_WORST = 5


def new_table(title: str = "", *, caption: str = "") -> Table:
    """An empty table in the style of all tables."""
    return Table(
        title=title or None,
        caption=caption or None,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        caption_style="dim",
        pad_edge=False,
    )


def number(value: float) -> str:
    """A fraction as it is shown: three decimals, a dash where undefined."""
    return "-" if math.isnan(value) else f"{value:.3f}"


def interval(score: Score) -> str:
    """The 95 % interval of a score."""
    low, high = score.ci95
    return "" if math.isnan(low) else f"[{low:.3f}, {high:.3f}]"


def show_evaluation(result: Evaluation) -> None:
    """Print an evaluation at a glance: headline, scores, worst cases, subgroups."""
    out = console()
    target = result.target
    out.print(
        f"[bold]{target.name}@{target.version}[/] {target.selection} - {len(result.table)} images "
        f"in {result.table.n_groups} groups, predictions read as {result.form}"
    )
    for warning in warnings(result):
        out.print(f"[yellow]{warning}[/]")
    labels = [c.name for c in target.classes if not is_background(c)]
    out.print(_one_class(result, labels[0]) if len(labels) == 1 else _many_classes(result))
    out.print(_worst_line(result, labels))
    for column, groups in result.subgroups.items():
        if len(groups) > 1:
            out.print(_subgroups(result, column, groups))


def warnings(result: Evaluation) -> list[str]:
    """What must be said beside the numbers."""
    found: list[str] = []
    if result.n_missing:
        found.append(f"{result.n_missing} predictions are missing and score the worst value")
    if result.n_resized:
        found.append(f"{result.n_resized} predictions were resized (nearest neighbour)")
    if result.table.n_groups < FEW_UNITS:
        found.append(
            f"only {result.table.n_groups} groups: with fewer than {FEW_UNITS} the intervals are "
            f"too narrow"
        )
    return found


def _one_class(result: Evaluation, label: str) -> Table:
    table = new_table(f"class {label}")
    table.add_column("measure")
    for name in ("mean over images", "95 % interval", "pooled", "95 % interval", "images"):
        table.add_column(name, justify="right")
    by_key = {(s.measure.key, s.measure.label, s.measure.over): s for s in result.scores}
    for key, definition in DEFINITIONS.items():
        of = label if definition.per_class is not None else "all"
        images, pooled = by_key[key, of, "images"], by_key.get((key, of, "dataset"))
        table.add_row(
            short_title(definition),
            number(images.value),
            interval(images),
            number(pooled.value) if pooled else "",
            interval(pooled) if pooled else "",
            f"{images.n}" if images.n == len(result.table) else f"{images.n} defined",
        )
    return table


def _many_classes(result: Evaluation) -> Group:
    table = new_table("by class")
    table.add_column("class")
    for name in ("IoU over images", "IoU pooled", "95 % interval", "Dice over images", "images"):
        table.add_column(name, justify="right")
    for label in result.table.class_names:
        image_iou, pooled = result.score("iou", label), result.score("iou", label, "dataset")
        dice = result.score("dice", label)
        table.add_row(
            label,
            number(image_iou.value),
            number(pooled.value),
            interval(pooled),
            number(dice.value),
            f"{image_iou.n}",
        )
    whole = new_table("whole map")
    for name in ("measure", "value", "95 % interval"):
        whole.add_column(name)
    for score in result.scores:
        measure = score.measure
        mean_iou = measure.over == "classes" and measure.key == "iou"
        if mean_iou or (measure.of_map() and measure.over == "dataset"):
            of = f"mean over {measure.label} classes" if mean_iou else "pooled"
            title = f"{short_title(DEFINITIONS[measure.key])}, {of}"
            whole.add_row(title, number(score.value), interval(score))
    return Group(table, whole)


def short_title(definition: Definition) -> str:
    """A measure's title without what stands in brackets."""
    return definition.title.partition(" (")[0]


def worst_images(result: Evaluation, label: str, n: int = N_WORST) -> list[tuple[str, float]]:
    """The ids with the lowest Dice of a class, and their Dice."""
    values = result.table.per_image(result.score("dice", label).measure)
    ranked = sorted(
        (float(v), item.id)
        for v, item in zip(values, result.target.items, strict=True)
        if v == v  # noqa: PLR0124  NaN
    )
    return [(identifier, value) for value, identifier in ranked[:n]]


def _worst_line(result: Evaluation, labels: Sequence[str]) -> str:
    if len(labels) != 1:
        return ""
    worst = ", ".join(f"{name} {value:.3f}" for name, value in worst_images(result, labels[0]))
    return f"worst by Dice: {worst}"


def _subgroups(result: Evaluation, column: str, groups: Mapping[str, tuple[Score, ...]]) -> Table:
    label = result.main_label
    over = "images" if label != "foreground" else "classes"
    title = "by size of the object in the reference" if column == SIZE else f"by {column}"
    table = new_table(title)
    table.add_column(column)
    for name in ("images", "Dice", "95 % interval", "IoU", "95 % interval"):
        table.add_column(name, justify="right")
    for value, scores in groups.items():
        found = {
            s.measure.key: s for s in scores if s.measure.label == label and s.measure.over == over
        }
        dice, iou = found["dice"], found["iou"]
        table.add_row(
            value, f"{dice.n}", number(dice.value), interval(dice), number(iou.value), interval(iou)
        )
    return table


def catalogue_table(datasets: Sequence[Dataset], data: Path) -> Table:
    """The datasets, what they hold, and whether they are prepared."""
    table = new_table(
        caption="`segbench datasets show NAME` prints terms, citation and how to get it"
    )
    for name in ("name", "samples", "classes", "licence", "prepared", "title"):
        table.add_column(name, overflow="fold")
    for dataset in datasets:
        card = dataset.card
        prepared = (data / card.name / "dataset.json").exists()
        table.add_row(
            f"{card.name}@{card.version}",
            f"{len(dataset.assignments)}",
            ", ".join(c.name for c in card.classes),
            card.licence.name,
            "yes" if prepared else "no",
            Text(card.title),
        )
    return table


def card_page(dataset: Dataset, data: Path) -> Group:
    """One card whole."""
    card = dataset.card
    counts: dict[str, int] = {}
    for item in dataset.assignments.values():
        counts[item.split] = counts.get(item.split, 0) + 1
    groups = len({item.group for item in dataset.assignments.values()})
    prepared = data / card.name
    facts = [
        ("name", f"{card.name}@{card.version}"),
        ("task", card.task),
        ("classes", ", ".join(f"{c.id}={c.name}" for c in card.classes) + ", 255=ignore"),
        ("samples", ", ".join(f"{split} {n}" for split, n in counts.items())),
        ("groups", f"{groups} ({card.splits.group})"),
        ("splits", card.splits.method.strip()),
        ("licence", card.licence.name),
        ("terms", card.licence.terms.strip()),
        ("home page", card.homepage or "-"),
        ("citation", card.citation.strip()),
        *(("source", _source(source)) for source in card.sources),
        ("prepared", str(prepared) if (prepared / "dataset.json").exists() else "no"),
        ("get it", f"segbench prepare {card.name}"),
    ]
    table = Table.grid(padding=(0, 2))
    for key, value in facts:
        table.add_row(Text(key, style="dim"), Text(value))
    return Group(Text(card.title, style="bold"), Text(card.description.strip()), Text(), table)


def _source(source: UrlSource | KaggleSource | ManualSource | DrawnSource) -> str:
    match source:
        case UrlSource():
            return f"{source.url} ({source.archive})"
        case KaggleSource():
            return f"Kaggle {source.reference}"
        case ManualSource():
            return source.instructions.strip()
        case DrawnSource():
            return f"drawn by segbench, seed {source.seed}"


def measures_table(rows: Sequence[Definition]) -> Table:
    """All measures, a line each."""
    table = new_table(caption="`segbench measures KEY` shows one whole")
    for name in ("key", "measure", "formula", "range", "direction", "empty rule"):
        table.add_column(name, overflow="fold")
    for row in rows:
        low = f"{row.worst:g}"
        table.add_row(
            row.key, row.title, Text(row.formula), f"{low} to 1", row.direction, row.family
        )
    return table


EMPTY_RULES = {
    "object": "in neither map: undefined, left out and counted (empty:nan; or 1, or 0); in only "
    "one of them: the worst value, 0",
    "agreement": "pixels outside the class count too, so an absent class is an agreement; only "
    "0/0 is undefined and follows empty:nan, 1 or 0",
}


def measure_page(row: Definition) -> Table:
    """One measure whole."""
    overs = []
    if row.per_class is not None:
        overs.append("a class: over:images" + (", over:dataset, over:classes" * row.pooled))
    if row.whole_map is not None:
        overs.append("class:all (the whole map): over:images, over:dataset")
    table = Table.grid(padding=(0, 2))
    for key, value in (
        ("key", row.key),
        ("measure", row.title),
        ("formula", row.formula),
        (
            "range",
            f"{row.worst:g} (worst; a missing prediction with --missing worst) to {row.best:g}",
        ),
        ("direction", row.direction),
        ("defined for", "; ".join(overs)),
        ("empty rule", EMPTY_RULES[row.family]),
        ("reference", row.reference),
        ("in a signature", f"{row.key}|class:lesion|over:images|empty:nan|..."),
    ):
        table.add_row(Text(key, style="dim"), Text(value))
    return table


def leaderboard_table(results: Mapping[str, Evaluation]) -> Table:
    """A few submissions side by side, best mean Dice first."""
    first = next(iter(results.values()))
    target = first.target
    table = new_table(
        f"{target.name}@{target.version} {target.selection}, class {first.main_label}",
        caption="intervals: 95 %, percentile bootstrap over groups; where they overlap, the order "
        "may be chance",
    )
    table.add_column("method")
    for name in ("Dice", "95 % interval", "IoU", "95 % interval", "Dice pooled", "worst image"):
        table.add_column(name, justify="right")
    ranked = sorted(results.items(), key=lambda item: -item[1].score("dice").value)
    for name, result in ranked:
        dice, iou, pooled = (
            result.score("dice"),
            result.score("iou"),
            result.score("dice", over="dataset"),
        )
        ((worst, value),) = worst_images(result, result.main_label, 1)
        table.add_row(
            name,
            number(dice.value),
            interval(dice),
            number(iou.value),
            interval(iou),
            number(pooled.value),
            f"{worst} {number(value)}",
        )
    return table
