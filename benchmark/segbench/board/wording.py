"""How a board says things to people: numbers, escapes, where ways to rank disagree."""

from __future__ import annotations

import math
import re

import numpy as np

from segbench.board.entry import Entry
from segbench.board.standings import Standing
from segbench.measures import Measure
from segbench.scoring.scores import Score

DASH = "\N{EN DASH}"
_ORIGIN = {
    "verified": "verified: scored by the maintainers",
    "reported": "reported: scored by those who submitted",
    "published": "published: copied from a source",
}


_SHORT = {
    "dice": "Dice",
    "iou": "IoU",
    "accuracy": "accuracy",
    "hd95": "HD95",
    "assd": "ASSD",
    "masd": "MASD",
    "nsd": "NSD",
}
_MOVES = 10
"""Entries that are named where two ways to rank disagree: those that move most."""


def number(score: Score) -> str:
    """A score: fractions to 3 digits, distances to 2."""
    if math.isnan(score.value):
        return DASH
    return f"{score.value:.{2 if score.measure.unit else 3}f}"


def with_interval(score: Score, *, star: str = r"\*") -> str:
    """A score and its 95 % interval; a star (escaped for Markdown) marks an exact one."""
    low, high = score.ci95
    digits = 2 if score.measure.unit else 3
    mark = star if score.exact else ""
    ends = "" if math.isnan(low) else f" [{low:.{digits}f}, {high:.{digits}f}]{mark}"
    return number(score) + ends


def share(value: float) -> str:
    """A probability or rate; 0.00 and 1.00 stand for nothing else."""
    if math.isnan(value):
        return DASH
    if 0 < value < 0.005:  # noqa: PLR2004  would be rounded to 0
        return "< 0.01"
    return "> 0.99" if 0.995 <= value < 1 else f"{value:.2f}"  # noqa: PLR2004


def span(low: float, high: float, form: str = "g") -> str:
    """From one end to the other, or the one value that both are."""
    if math.isnan(low):
        return DASH
    return f"{low:{form}}" if low == high else f"{low:{form}} to {high:{form}}"


def rank(value: float) -> str:
    """A rank, in steps of a half."""
    return DASH if math.isnan(value) else f"{value:g}"


def heading(measure: Measure, main: str) -> str:
    """A measure as the head of a column; the class only where it is not the main one."""
    whole = "whole map" if measure.of_map() else f"class {measure.label}"
    several = f"{measure.label} classes" if measure.over == "classes" else whole
    of = "" if measure.label == main and measure.over != "classes" else f", {several}"
    average = "" if measure.over == "classes" else f", {measure.average}"
    full = measure.definition.short_title
    return measure.title.replace(full, _SHORT.get(measure.key, full)) + of + average


def origin(status: str) -> str:
    """What a status means."""
    return _ORIGIN[status]


def disagreements(standing: Standing) -> list[str]:
    """Which entries have another rank under another way to rank."""
    orders = standing.ranking.orders
    (first, ranks), *others = orders.items()
    lines: list[str] = []
    for name, other in others:
        moved = np.flatnonzero((ranks != other) & ~np.isnan(other))
        most = sorted(moved[np.argsort(-np.abs(other - ranks)[moved], kind="stable")][:_MOVES])
        said = [f"{standing.ranking.places[i].name} {ranks[i]:g} -> {other[i]:g}" for i in most]
        if said:
            more = f" and {len(moved) - len(most)} that move less" * (len(moved) > len(most))
            lines.append(f'ranks by "{name}" in place of "{first}": {", ".join(said)}{more}')
    return lines


def copied_scores(entry: Entry) -> list[str]:
    """The published Dice, IoU and accuracy of an entry, "" where the source has none."""
    scores = entry.published.scores if entry.published else {}
    found = (scores.get(key) for key in ("dice", "iou", "accuracy"))
    return ["" if value is None else f"{value:.3f}" for value in found]


def markdown_text(text: str) -> str:
    """Anyone's text as one line of plain Markdown: no markup, no HTML, no table cell of its own."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]|~#!$])", r"\\\1", line).replace("://", ":&#47;&#47;")


_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "-": r"{-}",
    DASH: "--",
    **{c: f"\\{c}" for c in "&%$#_"},
}


def latex_text(text: str) -> str:
    """Anyone's text as one line of plain LaTeX."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return "".join(_LATEX.get(c, c) for c in line)
