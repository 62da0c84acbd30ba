"""Whether entries may be compared: the same samples, classes and options, or what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from segbench.errors import Problems, SegbenchError
from segbench.measures import Measure, meant
from segbench.scoring.scores import Score
from segbench.scoring.stored import Stored

HANDLING: Mapping[str, str] = {
    "missing": "missing predictions score the worst value",
    "resize": "predictions were resized",
    "min_score": "detections under a score were left out",
    "cut": "probabilities were cut at a threshold of their own",
    "chosen": "the threshold was chosen by a measure on other samples",
}
"""Parts of a signature that say how one submission was read, not how masks are measured, with what
they mean; they stand in it only where they had an effect, and may differ between entries."""


def find_score(stored: Stored, text: str, name: str) -> Score:
    """The stored score that a measure's name asks for, whole or with only its key.

    What is not said is the main class, over images (over classes where there are several).

    Raises:
        SegbenchError: There is no such score.
    """
    key, *parts = text.split("|")
    wanted = _options(parts)
    of_key = [score for score in stored.scores if score.measure.key == key]
    if not of_key:
        known = dict.fromkeys(score.measure.key for score in stored.scores)
        raise SegbenchError(
            f"{name} has no score {key!r}{meant(key, known)}; there are {', '.join(known)}"
        )
    label = wanted.setdefault("class", _default_label(stored, of_key))
    several = label in {"all", "foreground"} and (label, "images") not in _pairs(of_key)
    wanted.setdefault("over", "classes" if several else "images")
    for score in of_key:
        parts_of = _parts(str(score.measure))
        if all(parts_of.get(option) == value for option, value in wanted.items()):
            return score
    known = "\n    ".join(str(score.measure) for score in of_key)
    asked = "|".join([key, *(f"{option}:{value}" for option, value in wanted.items())])
    raise SegbenchError(f"{name} has no score {asked}; there are\n    {known}")


def _pairs(scores: Sequence[Score]) -> set[tuple[str, str]]:
    return {(score.measure.label, score.measure.over) for score in scores}


def _default_label(stored: Stored, scores: Sequence[Score]) -> str:
    """The main class; `all` for a measure of the whole map only."""
    labels = {label for label, _ in _pairs(scores)}
    return stored.main_label if stored.main_label in labels else "all"


def _parts(signature: str) -> dict[str, str]:
    """The parts `name:value` behind a signature's key."""
    return _options(signature.split("|")[1:])


def _options(parts: Sequence[str]) -> dict[str, str]:
    split = (part.partition(":") for part in parts)
    return {name: value for name, _, value in split}


def check_comparable(entries: Mapping[str, Stored], measure: Measure) -> None:
    """Refuse entries of different samples, classes or options.

    Args:
        entries: By name.
        measure: The first entry's measure by which they shall be compared.

    Raises:
        SegbenchError: Says every part that differs, with both values.
    """
    (first_name, first), *others = entries.items()
    problems = Problems(shown=10)
    for name, other in others:
        before = len(problems)
        for part, of_first, of_other in (
            ("dataset", first.dataset, other.dataset),
            ("dataset version", first.dataset_version, other.dataset_version),
            ("split", _words(first.selection), _words(other.selection)),
            ("split digest", first.digest, other.digest),
            ("classes", _listed(first.table.class_names), _listed(other.table.class_names)),
        ):
            if of_first != of_other:
                problems.add(
                    f"different {part}", f"{of_first} in {first_name}, {of_other} in {name}"
                )
        if len(problems) == before:  # else the samples differ anyhow
            _check_samples(problems, (first_name, first), (name, other))
            _check_options(problems, (first_name, first), (name, other), measure)
    problems.raise_if_any("these entries cannot be compared")


def _check_samples(problems: Problems, a: tuple[str, Stored], b: tuple[str, Stored]) -> None:
    (name_a, one), (name_b, other) = a, b
    if one.ids != other.ids:
        only_a, only_b = set(one.ids) - set(other.ids), set(other.ids) - set(one.ids)
        where = [
            f"{_listed(sorted(ids))} only in {name}"
            for ids, name in ((only_a, name_a), (only_b, name_b))
            if ids
        ]
        order = f"the same in another order in {name_a} and {name_b}"
        problems.add("different samples", "; ".join(where) or order)
        return
    for part, of_a, of_b in (
        ("groups", one.table.groups, other.table.groups),
        ("reference pixels", one.table.counts.reference, other.table.counts.reference),
    ):
        differ = of_a != of_b
        if differ.any():
            i = int(differ.reshape(len(differ), -1).any(axis=1).argmax())
            values = f"{of_a[i]} in {name_a}, {of_b[i]} in {name_b}"
            problems.add(f"different {part}", f"{one.ids[i]}: {values}")


def _check_options(
    problems: Problems, a: tuple[str, Stored], b: tuple[str, Stored], measure: Measure
) -> None:
    (name_a, one), (name_b, other) = a, b
    signatures: list[str] = []
    for stored in (one, other):
        found = [
            score.signature
            for score in stored.scores
            if (score.measure.key, score.measure.label, score.measure.over)
            == (measure.key, measure.label, measure.over)
        ]
        signatures += found[:1]
    if len(signatures) == 1:
        problems.add("missing score", f"{measure} in {name_b}")
        return
    parts_a, parts_b = map(_parts, signatures)
    for part in dict.fromkeys((*parts_a, *parts_b)):
        value_a, value_b = parts_a.get(part, "(none)"), parts_b.get(part, "(none)")
        if value_a != value_b and part not in HANDLING:
            problems.add(
                f"different {'segbench version' if part == 'v' else part} in the signature",
                f"{value_a} in {name_a}, {value_b} in {name_b}",
                hint="score both with the same segbench and options",
            )


def differing_handling(names: Sequence[str], scores: Sequence[Score]) -> list[str]:
    """What must be said where entries were read in different ways."""
    notes: list[str] = []
    for part, meaning in HANDLING.items():
        values = [_parts(score.signature).get(part, "") for score in scores]
        if len(set(values)) > 1:
            having = [
                f"{name} ({value})" for name, value in zip(names, values, strict=True) if value
            ]
            others = "" if all(values) else "; not the others"
            notes.append(f"{meaning}: {', '.join(having)}{others}")
    return notes


def _words(selection: tuple[str, str | int]) -> str:
    return " ".join(map(str, selection))


def _listed(names: Sequence[str], shown: int = 5) -> str:
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")
