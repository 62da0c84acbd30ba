"""A comparison in the terminal."""

from __future__ import annotations

import math

from rich.table import Table
from rich.text import Text

from segbench.commands.console import console
from segbench.commands.tables import FEW_WORDS, interval, new_table, number, shown
from segbench.scoring.compare import Comparison, Difference, Pair
from segbench.scoring.evaluate import SIZE
from segbench.statistics.bootstrap import FEWEST_UNITS, N_RESAMPLES, few_units

N_IMAGES = 5
_NAMES = {"percentile": "percentile", "bca": "BCa"}


def show_comparison(result: Comparison) -> None:
    """Print a comparison: entries, pairs, subgroups, the images that differ most, what it means."""
    out = console()
    (name, version), (_, selected) = result.dataset, result.selection
    chosen = f"fold {selected}" if isinstance(selected, int) else selected
    n, groups = len(result.table), result.table.n_groups
    out.print(
        Text.assemble((f"{name}@{version}", "bold"), f" {chosen} - {n} images in {groups} groups")
    )
    out.print(f"{title(result)}: {result.measure}")
    for note in result.notes:
        out.print(note, style="yellow")
    out.print(_entries(result))
    out.print(_pairs(result))
    for line in _undefined(result):
        out.print(line)
    for column, groups_of in result.subgroups.items():
        if len(groups_of) > 1:
            out.print(_subgroups(result, column))
    for pair in result.pairs:
        out.print(_most_different(pair, result.measure.unit), soft_wrap=True)
    out.print(_explanation(result), style="dim")


def title(result: Comparison) -> str:
    """The measure in words."""
    measure = result.measure
    of = "whole map" if measure.of_map() else f"class {measure.label}"
    if measure.over == "classes":
        of = f"{measure.label} classes"
    return f"{measure.title}, {of}, {measure.average}"


def p_value(value: float, smallest: float = 0.0) -> str:
    """A p-value as it is shown: three digits, never 0; marked where it could not be smaller."""
    if math.isnan(value):
        return "-"
    mark = " (smallest)" if value <= smallest else ""
    return (f"{value:.4f}" if value >= 0.001 else f"{value:.1g}") + mark  # noqa: PLR2004


def signed(value: float, unit: str) -> str:
    """A difference with its sign: of fractions with four decimals, of distances with two."""
    return "-" if math.isnan(value) else f"{value:+.{2 if unit else 4}f}"


def signed_interval(difference: Difference, unit: str) -> str:
    """The interval of a difference."""
    low, high = (signed(end, unit) for end in difference.ci95)
    return "" if math.isnan(difference.ci95[0]) else f"[{low}, {high}]"


def _entries(result: Comparison) -> Table:
    table = new_table()
    table.add_column("entry")
    for name in ("score", "95 % interval", "images"):
        table.add_column(name, justify="right")
    for entry in result.entries:
        score = entry.score
        table.add_row(entry.name, shown(score), interval(score), f"{score.n}")
    return table


def _pairs(result: Comparison) -> Table:
    table = new_table("differences")
    table.add_column("pair")
    several = len(result.pairs) > 1
    names = ["difference", "95 % interval", "p permutation"]
    names += ["p Holm"] * several
    for name in (*names, "p Wilcoxon", "P(first better)"):
        table.add_column(name, justify="right")
    for pair in result.pairs:
        adjusted = [p_value(pair.p_holm)] if several else []
        table.add_row(
            f"{pair.a} - {pair.b}",
            signed(pair.value, result.measure.unit),
            signed_interval(pair, result.measure.unit),
            p_value(pair.p, pair.p_smallest),
            *adjusted,
            p_value(pair.p_wilcoxon),
            number(pair.a_better),
        )
    return table


def _undefined(result: Comparison) -> list[str]:
    lines: list[str] = []
    for pair in result.pairs:
        both, only_a, only_b, neither = pair.n_defined
        if only_a or only_b or (neither and both):
            lines.append(
                f"{pair.a} - {pair.b}: defined in both for {both} images, only in {pair.a} for "
                f"{only_a}, only in {pair.b} for {only_b}, in neither for {neither}; an entry's "
                f"mean is over the images where it is defined, Wilcoxon's test over those of both"
            )
    return lines


def _subgroups(result: Comparison, column: str) -> Table:
    by_size = "differences by size of the object in the reference"
    table = new_table(by_size if column == SIZE else f"differences by {column}")
    table.add_column(column)
    for name in ("images", "groups"):
        table.add_column(name, justify="right")
    several = len(result.pairs) > 1
    if several:
        table.add_column("pair")
    for name in ("difference", "95 % interval"):
        table.add_column(name, justify="right")
    for value, differences in result.subgroups[column].items():
        for i, d in enumerate(differences):
            few = "!" if few_units(d.n_groups) else ""
            table.add_row(
                *((value, f"{d.n_samples}", f"{few}{d.n_groups}") if not i else ("", "", "")),
                *([f"{d.a} - {d.b}"] if several else []),
                signed(d.value, result.measure.unit),
                signed_interval(d, result.measure.unit),
            )
    few = any(few_units(d.n_groups) for ds in result.subgroups[column].values() for d in ds)
    table.caption = FEW_WORDS if few else None
    return table


def _most_different(pair: Pair, unit: str) -> str:
    images = ", ".join(
        f"{identifier} {number(a, unit)} / {number(b, unit)}"
        for identifier, a, b in pair.most_different(N_IMAGES)
    )
    return f"{pair.a} / {pair.b} differ most: {images or 'on no single image'}"


def _explanation(result: Comparison) -> str:
    unit, pair, method = result.table.unit, result.pairs[0], _NAMES[result.method]
    how = f"all {pair.n_swaps * 2:,}" if pair.exact else f"{pair.n_swaps - 1:,} random"
    parts = [
        f"intervals: {method} bootstrap of paired {unit}s, {N_RESAMPLES:,} resamples",
        f"p permutation: two-sided, {how} swaps of whole {unit}s",
        f"p Wilcoxon: signed ranks of the {unit}s' mean differences",
    ]
    if any(pair.p <= pair.p_smallest for pair in result.pairs):
        parts.append(
            f"(smallest): the smallest p that swaps of these {unit}s can give; where it is 1 the "
            "test cannot tell anything"
        )
    if any(math.isnan(pair.p_wilcoxon) for pair in result.pairs):
        parts.append(f"p Wilcoxon -: {_no_wilcoxon(result)}")
    if len(result.pairs) > 1:
        parts.append(f"p Holm: p permutation adjusted for {len(result.pairs)} pairs")
    parts.append(
        "P(first better): share of the resamples, ties by half; subgroups are not adjusted"
    )
    return "\n".join(parts)


def _no_wilcoxon(result: Comparison) -> str:
    """Why there is no signed-rank test."""
    if result.measure.over != "images":
        return f"the measure is no mean over images, so {result.table.unit}s have no differences"
    if result.table.n_groups < FEWEST_UNITS:
        return f"{result.table.n_groups} {result.table.unit}s; {FEWEST_UNITS} are the fewest"
    return f"no {result.table.unit} has a finite difference"
