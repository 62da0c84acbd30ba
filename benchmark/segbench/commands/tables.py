"""Tables for the terminal; every function returns or prints, none computes a score."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from segbench.catalog.card import DrawnSource, KaggleSource, ManualSource, UrlSource
from segbench.commands.console import console
from segbench.masks.labels import is_background
from segbench.measures import ALL, EMPTY_RULES, FOREGROUND, Definition, Measure
from segbench.scoring.evaluate import SIZE, Evaluation
from segbench.scoring.scores import Score
from segbench.statistics.bootstrap import FEW_UNITS, FEWEST_UNITS, few_units

if TYPE_CHECKING:
    from segbench.catalog.cards import Dataset

N_WORST = 5
FEW_WORDS = (
    f"! fewer than {FEW_UNITS} groups: the interval is too narrow (under {FEWEST_UNITS}: none)"
)


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


def number(value: float, unit: str = "") -> str:
    """A fraction with three decimals, a distance with two, a dash where undefined."""
    return "-" if math.isnan(value) else f"{value:.{2 if unit else 3}f}"


def shown(score: Score) -> str:
    """The value of a score."""
    return number(score.value, score.measure.unit)


def interval(score: Score) -> str:
    """The 95 % interval of a score; a star marks an exact one."""
    low, high = (number(end, score.measure.unit) for end in score.ci95)
    star = "*" if score.exact else ""
    return "" if math.isnan(score.ci95[0]) else f"[{low}, {high}]{star}"


def exact_words(scores: Iterable[Score]) -> str:
    """What a star beside intervals means; empty where none has one."""
    kinds = sorted({score.exact for score in scores if score.exact})
    return f"* exact, of the share {' or '.join(kinds)}" if kinds else ""


def show_evaluation(result: Evaluation) -> None:
    """Print an evaluation at a glance: headline, scores, worst cases, subgroups."""
    out = console()
    target = result.target
    out.print(
        Text.assemble(
            (f"{target.name}@{target.version}", "bold"),
            f" {target.selection} - {len(result.table)} images in {result.table.n_groups} groups, "
            f"predictions read as {result.form}",
        )
    )
    for warning in warnings(result):
        out.print(warning, style="yellow")
    labels = [c.name for c in target.classes if not is_background(c)]
    if len(labels) == 1:
        out.print(_one_class(result, labels[0]))
        out.print(_tails(result, labels[0]))
    else:
        out.print(_many_classes(result))
    out.print(_worst_line(result, labels))
    for column, groups in result.subgroups.items():
        if len(groups) > 1 or column != SIZE:  # what was asked for is shown, be it of one value
            out.print(_subgroups(result, column, groups))


def warnings(result: Evaluation) -> list[str]:
    """What must be said beside the numbers."""
    found: list[str] = []
    if result.n_missing:
        found.append(f"{result.n_missing} predictions are missing and score the worst value")
    if result.n_resized:
        found.append(f"{result.n_resized} predictions were resized (nearest neighbour)")
    if few := few_units(result.table.n_groups, result.table.unit):
        found.append(few)
    return found


def _one_class(result: Evaluation, label: str) -> Table:
    table = new_table(f"class {label}")
    table.add_column("measure")
    for name in ("mean over images", "95 % interval", "pooled", "95 % interval", "images"):
        table.add_column(name, justify="right")
    by_key = {(s.measure.key, s.measure.label, s.measure.over): s for s in result.scores}
    kind = "counts"
    for (key, of, over), images in by_key.items():
        wanted = label if (key, label, "images") in by_key else ALL
        if over != "images" or of != wanted:
            continue
        definition = images.measure.definition
        if kind != (kind := _kind(definition)):
            table.add_section()
        pooled = by_key.get((key, of, "dataset"))
        table.add_row(
            images.measure.title,
            shown(images),
            interval(images),
            shown(pooled) if pooled else "",
            interval(pooled) if pooled else "",
            f"{images.n}" if images.n == len(result.table) else f"{images.n} defined",
        )
    table.caption = exact_words(by_key.values()) or None
    return table


def _kind(definition: Definition) -> str:
    """Where a line is drawn between measures."""
    if definition.of_probabilities:
        return "probabilities"
    if definition.of_shape:
        return "boundaries" if definition.of_boundaries else "topology"
    return "counts" if definition.higher_is_better else "failures"


def _tails(result: Evaluation, label: str) -> Table:
    table = new_table("worst cases")
    table.add_column("measure")
    for name in ("median image", "mean of the worst 10 %", "95 % interval"):
        table.add_column(name, justify="right")
    of_class = [score for score in result.scores if score.measure.label == label]
    by_over = {(score.measure.key, score.measure.over): score for score in of_class}
    for (key, over), worst in by_over.items():
        if over == "worst10":
            median = by_over[key, "median"]
            table.add_row(worst.measure.title, shown(median), shown(worst), interval(worst))
    return table


def _many_classes(result: Evaluation) -> Group:
    table = new_table("by class")
    table.add_column("class")
    for name in ("IoU over images", "IoU pooled", "95 % interval", "Dice over images"):
        table.add_column(name, justify="right")
    hausdorff = {s.measure.label: s for s in result.scores if _is_percentile(s.measure)}
    if hausdorff:
        table.add_column(next(iter(hausdorff.values())).measure.title, justify="right")
    table.add_column("images", justify="right")
    for label in result.table.class_names:
        image_iou, pooled = result.score("iou", label), result.score("iou", label, "dataset")
        distance = [shown(hausdorff[label]) if label in hausdorff else ""] if hausdorff else []
        table.add_row(
            label,
            shown(image_iou),
            shown(pooled),
            interval(pooled),
            shown(result.score("dice", label)),
            *distance,
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
            whole.add_row(f"{measure.title}, {of}", shown(score), interval(score))
    return Group(table, whole, *_soft(result))


def _soft(result: Evaluation) -> list[Table]:
    """The measures of probabilities by class, where there are any."""
    found: dict[str, list[Score]] = {}
    for score in result.scores:
        if score.measure.definition.of_probabilities:
            found.setdefault(score.measure.label, []).append(score)
    if not found:
        return []
    table = new_table("probabilities, each class against the rest")
    for name in ("class", "measure", "mean over images", "95 % interval", "pooled"):
        table.add_column(name)
    table.add_column("images", justify="right")
    for label, scores in found.items():
        for images, pooled in zip(scores[::2], scores[1::2], strict=True):
            title = images.measure.title
            table.add_row(
                label, title, shown(images), interval(images), shown(pooled), f"{images.n}"
            )
    return [table]


def _is_percentile(measure: Measure) -> bool:
    return measure.rule is not None and measure.over == "images"


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
    over = "classes" if label in {ALL, FOREGROUND} else "images"
    title = "by size of the object in the reference" if column == SIZE else f"by {column}"
    table = new_table(title)
    table.add_column(column)
    for name in ("images", "groups", "Dice", "95 % interval", "IoU", "95 % interval"):
        table.add_column(name, justify="right")
    shown_scores: list[Score] = []
    for value, scores in groups.items():
        found = {
            s.measure.key: s for s in scores if s.measure.label == label and s.measure.over == over
        }
        dice, iou = found["dice"], found["iou"]
        shown_scores.append(dice)
        table.add_row(
            value,
            f"{dice.n}",
            f"{'!' if few_units(dice.n_groups) else ''}{dice.n_groups}",
            number(dice.value),
            interval(dice),
            number(iou.value),
            interval(iou),
        )
    if any(few_units(score.n_groups) for score in shown_scores):
        table.caption = FEW_WORDS
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
    table = new_table(caption="`segbench measures KEY` shows one whole, with its empty rule")
    for name in ("key", "measure", "formula", "worst to best", "better", "empty rule", "reference"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(
            row.key,
            row.title,
            Text(row.formula),
            f"{_worst(row)} to {row.best:g}",
            "higher" if row.higher_is_better else "lower",
            row.family,
            row.reference,
        )
    return table


def _worst(row: Definition) -> str:
    return "image diagonal" if math.isinf(row.worst) else f"{row.worst:g}"


def measure_page(row: Definition) -> Table:
    """One measure whole."""
    overs: list[str] = []
    if row.has_classes:
        tail = ", worst10 (mean of the worst tenth), median" * row.tail
        pooled = ", dataset, classes" * row.pooled
        overs.append(f"a class: over images{tail}{pooled}")
    if row.whole_map is not None:
        overs.append("the whole map (class:all): over images, dataset")
    example = Measure(key=row.key, label="lesion" if row.has_classes else ALL, over="images")
    table = Table.grid(padding=(0, 2))
    for key, value in (
        ("key", row.key),
        ("measure", row.title),
        ("formula", row.formula),
        ("unit", "px, or mm with --spacing-mm" if row.unit else "fraction"),
        (
            "range",
            f"{_worst(row)} (worst; a missing prediction with --missing worst) to {row.best:g}",
        ),
        ("direction", row.direction),
        ("defined for", "; ".join(overs)),
        ("options", ", ".join(row.options) or "none but the empty rule"),
        ("empty rule", EMPTY_RULES[row.family]),
        ("reference", row.reference),
        ("in a signature", f"{example}|..."),
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
