"""`segbench new-dataset DIR`: look at a folder of images and masks, and write a card to fill in.

Everything found here is written into the card with a comment, for a person to read and change;
what could be read in two ways is refused with the choices. Nothing is guessed when the dataset is
prepared.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from segbench.catalog.card import Layout
from segbench.catalog.cards import SPLIT_COLUMNS, read_dataset
from segbench.catalog.splitting import folds, split_by_shares
from segbench.errors import SegbenchError
from segbench.masks.decode import IMAGE_ENDINGS, LOSSY_ENDINGS
from segbench.masks.labels import id_problems
from segbench.masks.prepared import read_rgb
from segbench.prepare.layout import Pair, find_pairs
from segbench.prepare.new_coding import Coding, Hold, find_coding, looks_like_a_mask

PICTURES = IMAGE_ENDINGS | LOSSY_ENDINGS
SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}
SEED = 0

_MASK_WORD = (
    r"masks?|labels?(?:tr|ts)?|gts?|ground[ _-]?truths?|seg(?:mentations?|mented)?|annotations?|"
    r"annots?|targets?|matte"
)
_IMAGE_WORD = r"images?(?:tr|ts)?|imgs?|photos?|pictures?|rgb|originals?|inputs?|jpegimages"
_MASK = re.compile(rf"(?:^|[ _.-])(?:{_MASK_WORD})(?=$|[ _.-])", re.IGNORECASE)
_AFFIX = re.compile(
    rf"^(?:{_MASK_WORD}|{_IMAGE_WORD})[ _.-]+|[ _.-]+(?:{_MASK_WORD}|{_IMAGE_WORD})$", re.IGNORECASE
)


@dataclass(frozen=True)
class Guess:
    """What a folder seems to hold."""

    layout: Layout
    pairs: Mapping[str, Pair]
    coding: Coding
    unpaired: tuple[str, ...]


def look(folder: Path, *, masks: str = "", hold: Hold | None = None) -> Guess:
    """Find the images, their masks, and how the masks code classes.

    Args:
        folder: Where they are.
        masks: The name of the folder that holds the masks, where several could.
        hold: What the numbers in the masks are, where they could be several things.

    Raises:
        SegbenchError: No pairs are found, their names follow no one pattern, or what was found can
            be read in several ways.
    """
    if not folder.is_dir():
        raise SegbenchError(f"{folder}: no such folder; expected one with images and masks")
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in PICTURES and path.is_file() and not path.name.startswith(".")
    )
    if masks and not any(masks in PurePosixPath(name).parts[:-1] for name in names):
        raise SegbenchError(f"{folder}: --masks {masks}: no folder of that name holds pictures")
    named = _pair(folder, names, masks)
    used = {name for pair in named.values() for name in pair}
    unpaired = tuple(name for name in names if name not in used)
    if not masks:
        _refuse_two_sets_of_masks(folder, [mask for _, mask in named.values()], unpaired)
    layout = _layout(folder, named)
    found = find_pairs(folder, layout, tuple(named))
    if found.missing:
        raise SegbenchError(
            f"{folder}: {layout.image} and {layout.mask} find only {len(found.pairs)} of "
            f"{len(named)} pairs; write the card by hand (CONTRIBUTING.md shows one)"
        )
    return Guess(
        layout=layout,
        pairs=found.pairs,
        coding=find_coding(folder, [mask for _, mask in named.values()], hold),
        unpaired=unpaired,
    )


def _refuse_two_sets_of_masks(folder: Path, masks: Sequence[str], unpaired: Sequence[str]) -> None:
    """Refuse to choose where pictures that were left over look like masks too."""
    others: dict[str, list[str]] = {}
    for name in unpaired:
        others.setdefault(PurePosixPath(name).parent.name, []).append(name)
    own = sorted({PurePosixPath(name).parent.name for name in masks})
    for other, names in others.items():
        if other in own or 2 * len(names) < len(masks):
            continue
        if looks_like_a_mask(folder / names[0]):
            choices = [*own, other]
            raise SegbenchError(
                f"{folder}: several folders could hold the masks: {', '.join(choices)} (as "
                f"{masks[0]} and {names[0]}); say which with --masks "
                f"{' or --masks '.join(choices)}"
            )


def _pair(folder: Path, names: Sequence[str], of_masks: str) -> dict[str, tuple[str, str]]:
    """Image and mask of each id: names that are the same once words like `_mask` are taken off."""
    images: dict[tuple[str, ...], str] = {}
    masks: dict[tuple[str, ...], str] = {}
    for name in names:
        path = PurePosixPath(name)
        parts = (*path.parts[:-1], path.stem)
        if of_masks:
            is_mask = of_masks in path.parts[:-1]
            parts = tuple(part for part in parts if part != of_masks)
        else:
            is_mask = any(_MASK.search(part) for part in parts)
        side = masks if is_mask else images
        stripped = tuple(_AFFIX.sub("", part) for part in parts)
        words = re.compile(rf"^(?:{_MASK_WORD}|{_IMAGE_WORD})$", re.IGNORECASE)
        key = tuple(part for part in stripped if part and not words.match(part))
        if is_mask and key in masks:
            raise SegbenchError(
                f"{folder}: {masks[key]} and {name} could both be the mask of one image; say which "
                f"folder holds the masks with --masks {PurePosixPath(masks[key]).parent.name} or "
                f"--masks {path.parent.name}"
            )
        side[key] = name
    keys = sorted(images.keys() & masks.keys())
    if not keys:
        shown = ", ".join(names[:4]) or "nothing"
        raise SegbenchError(
            f"{folder}: no image found with its mask; found {shown}; expected names such as "
            f"images/a1.jpg with masks/a1.png, or a1.jpg with a1_mask.png"
        )
    identifiers = [key[-1] for key in keys]
    if problems := id_problems(identifiers):
        kind, where = problems[0]
        raise SegbenchError(
            f"{folder}: {kind}: {where}; rename the files, or write the card by hand"
        )
    return {key[-1]: (images[key], masks[key]) for key in keys}


def _layout(folder: Path, named: Mapping[str, tuple[str, str]]) -> Layout:
    patterns: list[str] = []
    for side in (0, 1):
        paths = {identifier: pair[side] for identifier, pair in named.items()}
        patterns.append(_pattern(folder, paths))
    return Layout(id=_id_pattern(named), image=patterns[0], mask=patterns[1])


def _pattern(folder: Path, paths: Mapping[str, str]) -> str:
    """The trailing parts that all paths share once the id is written {id}."""
    written: list[list[str]] = []
    for identifier, path in paths.items():
        *parents, name = path.replace(identifier, "{id}").split("/")
        stem, _, ending = name.rpartition(".")
        written.append([*parents, stem, ending])
    endings = {parts.pop() for parts in written}
    depth = 0
    while all(len(p) > depth for p in written) and len({p[-1 - depth] for p in written}) == 1:
        depth += 1
    if depth == 0 or not any("{id}" in part for part in written[0][-depth:]):
        shown = ", ".join(list(paths.values())[:3])
        raise SegbenchError(f"{folder}: no one pattern in {shown}; write the card by hand")
    ending = endings.pop() if len(endings) == 1 else "*"
    return "/".join(written[0][-depth:]) + f".{ending}"


def _id_pattern(identifiers: Iterable[str]) -> str:
    """A regular expression of the ids: runs of digits and letters, the same parts literal."""
    runs = [re.findall(r"\d+|[A-Za-z]+|[^A-Za-z\d]+", identifier) for identifier in identifiers]
    if len({len(run) for run in runs}) != 1:
        return r"[A-Za-z0-9][A-Za-z0-9._-]*?"
    expression = ""
    for column in zip(*runs, strict=True):
        if all(part.isdigit() for part in column):
            expression += r"\d+"
        elif len(set(column)) == 1:
            expression += re.escape(column[0])
        elif all(part.isalpha() for part in column):
            expression += "[A-Za-z]+"
        else:
            return r"[A-Za-z0-9][A-Za-z0-9._-]*?"
    return expression


def write(folder: Path, guess: Guess, into: Path, *, name: str = "") -> Path:
    """Write `card.toml` and `splits.csv` into a new folder `into/<name>`.

    Raises:
        SegbenchError: The folder exists, or cannot be written.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", (name or folder.resolve().name).lower()).strip("-") or "own"
    target = into / slug
    if target.exists():
        raise SegbenchError(f"{target}: exists; give another --name or --out")
    try:
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{slug}-", dir=into) as scratch:
            made = Path(scratch) / slug
            made.mkdir()
            (made / "card.toml").write_text(_card(folder, guess, slug), encoding="utf-8")
            _write_splits(guess, made / "splits.csv")
            read_dataset(made)  # what is written must be readable
            made.rename(target)
    except OSError as error:
        raise SegbenchError(f"{target}: cannot be written ({error.strerror})") from error
    return target


def _write_splits(guess: Guess, path: Path) -> None:
    ids = sorted(guess.pairs)
    alone = {identifier: identifier for identifier in ids}
    same = dict.fromkeys(ids, "")
    split_of = split_by_shares(ids, groups=alone, strata=same, shares=SHARES, seed=SEED)
    fold_of = folds(ids, groups=alone, strata=same, seed=SEED)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(SPLIT_COLUMNS)
        for identifier in ids:
            pair = guess.pairs[identifier]
            pins = [
                hashlib.sha256(file.read_bytes()).hexdigest() for file in (pair.image, pair.mask)
            ]
            fold = fold_of[identifier]
            writer.writerow([identifier, split_of[identifier], fold, identifier, *pins])


def _card(folder: Path, guess: Guess, slug: str) -> str:
    def quoted(text: str) -> str:
        return json.dumps(text, ensure_ascii=False)

    classes = "\n\n".join(
        f"[[classes]]\nid = {number}\nname = {quoted(label)}\ncolor = {list(color)}"
        for number, label, color in guess.coding.classes
    )
    first = guess.pairs[min(guess.pairs)]
    height, width = read_rgb(first.image).shape[:2]
    return f"""\
# Written by `segbench new-dataset` from {len(guess.pairs)} images with masks. Read it, fill it in,
# then: segbench prepare {slug} --card CARD_FOLDER --source FOLDER
schema_version = 1
name = "{slug}"
version = "1"
title = {quoted(folder.resolve().name)}
task = "semantic"
# What the pictures show, how many, how they were annotated.
description = "{len(guess.pairs)} images with masks (the first is {width}x{height})."
# How to cite it.
citation = "unpublished"
# Reference pixels of this value are not scored.
ignore_id = 255

# Found in the masks: {guess.coding.comment}. Give the classes their names.
{classes}

# Where the source comes from: kind = "url" (url, archive), "kaggle" (reference) or "manual".
[[sources]]
kind = "manual"
instructions = "Give the folder with --source."

# id is a regular expression; {{id}} stands for it; patterns match at any depth; * is anything
# within one name.
[layout]
id = '{guess.layout.id}'
image = {quoted(guess.layout.image)}
mask = {quoted(guess.layout.mask)}

# kind = "threshold" (above: grey level), "one-bit", "ids" or "palette" (colours of the classes).
[mask]
{guess.coding.rule}

# Columns of your own for `evaluate --by`: from a table beside the pictures ...
# [[metadata.tables]]
# kind = "csv"
# file = "table.csv"
# key = "id"
# columns.diagnosis = {{ source = "diagnosis" }}
# ... or from the id:
# [metadata]
# from_id = '(?P<site>[a-z]+)_\\d+'

[splits]
method = "random, {", ".join(f"{name} {share:.0%}" for name, share in SHARES.items())}; five folds"
seed = {SEED}
# IMPORTANT: images of one patient, person, place or video belong together. Give them one group in
# splits.csv (and one split, one fold), or the test set leaks.
group = "each image is its own group"

[licence]
name = "unknown"
terms = "Who may use it, and for what."
"""
