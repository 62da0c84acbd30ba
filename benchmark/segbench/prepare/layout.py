"""Find each sample's image and mask in an unpacked source, at whatever depth the pictures start."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from segbench.catalog.card import Layout
from segbench.errors import Problems


@dataclass(frozen=True, slots=True)
class Pair:
    """A sample's image and mask file in the source."""

    image: Path
    mask: Path


@dataclass(frozen=True)
class Found:
    """What a source holds of a dataset's samples: whole pairs, and ids without one."""

    pairs: Mapping[str, Pair]
    missing: tuple[str, ...]


def find_pairs(source: Path, layout: Layout, wanted: Collection[str]) -> Found:
    """Match the layout's patterns against every file below `source`.

    Args:
        source: The unpacked source, or any folder above or below its root.
        layout: The card's patterns.
        wanted: The ids of splits.csv; `missing` keeps their order.

    Raises:
        SegbenchError: One sample has two images or two masks, or a sample is not in splits.csv.
    """
    names = sorted(_files(source))
    problems = Problems()
    images = _match(names, layout.image, layout.id, problems)
    masks = _match(names, layout.mask, layout.id, problems)
    canonical = {identifier.casefold(): identifier for identifier in wanted}
    for identifier in sorted(images.keys() | masks.keys()):
        if identifier not in canonical:
            problems.add(
                "sample that splits.csv does not know",
                identifier,
                hint="is this the right archive, in the version of the card?",
            )
    problems.raise_if_any(f"{source}: the files do not fit the card's layout")
    pairs = {
        canonical[identifier]: Pair(source / images[identifier], source / masks[identifier])
        for identifier in images.keys() & masks.keys()
    }
    return Found(pairs, tuple(identifier for identifier in wanted if identifier not in pairs))


def _files(source: Path) -> list[str]:
    found: list[str] = []
    for folder, _, names in os.walk(source):
        relative = Path(folder).relative_to(source)
        found.extend((relative / name).as_posix() for name in names if not name.startswith("._"))
    return found


def _match(
    names: Collection[str], pattern: str, identifier: str, problems: Problems
) -> dict[str, str]:
    """The file of each id (in lower case) that a pattern finds."""
    compiled = compile_pattern(pattern, identifier)
    found: dict[str, str] = {}
    for name in names:
        match = compiled.fullmatch(name)
        if match is None:
            continue
        key = match["id"].casefold()
        if key in found:
            problems.add(
                f"two files for {pattern}",
                f"{found[key]} and {name}",
                hint="give the folder of one copy with --source",
            )
        found[key] = name
    return found


def compile_pattern(pattern: str, identifier: str) -> re.Pattern[str]:
    """A layout pattern as a regular expression on a path below the source, at any depth."""
    literal = re.escape(pattern).replace(r"\{id\}", "{id}").replace(r"\*", "[^/]*")
    first, *others = literal.split("{id}")
    expression = f"{first}(?P<id>{identifier}){'(?P=id)'.join(others)}"
    return re.compile(f"(?:.*/)?{expression}", re.IGNORECASE)
