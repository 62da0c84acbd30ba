"""Write the pinned splits of ph2 and mads: run once, by hand, on the real sources.

    make_splits.py ph2 SOURCE_FOLDER datasets/ph2/splits.csv
    make_splits.py mads SOURCE_FOLDER datasets/mads/splits.csv

The same source and seed write the same bytes. What is pinned is the file, not this script: a
published split never changes under the same version of its card.
"""

from __future__ import annotations

import csv
import hashlib
import sys
from pathlib import Path

from segbench.catalog.card import Card
from segbench.catalog.cards import SPLIT_COLUMNS
from segbench.catalog.splitting import folds, split_by_shares
from segbench.catalog.strict import read_toml
from segbench.prepare.layout import find_pairs
from segbench.prepare.metadata import read_fields

SEED = 1

# Images of one lesion in PH2: found with local features and a geometric check over all pairs, then
# looked at. The first seven are clear, the others probable: the last four were found by `segbench
# audit ph2 --ungrouped`, and three of those carry two diagnoses. Where in doubt they stay together.
PH2_LESIONS = (
    ("IMD199", "IMD200"),
    ("IMD408", "IMD409"),
    ("IMD425", "IMD426"),
    ("IMD064", "IMD348"),
    ("IMD043", "IMD256"),
    ("IMD041", "IMD042"),
    ("IMD278", "IMD279", "IMD280"),
    ("IMD002", "IMD004"),
    ("IMD139", "IMD140"),
    ("IMD020", "IMD021"),
    ("IMD039", "IMD040"),
    ("IMD019", "IMD038"),
    ("IMD207", "IMD208"),
)
PH2_SHARES = {"train": 80, "val": 20, "test": 100}

MADS_TEST = (
    "HipHop_HipHop3", "HipHop_HipHop6", "Jazz_Jazz1", "Jazz_Jazz5", "Kata_F2", "Kata_N2",
    "Sports_Badminton", "Taichi_S1", "Taichi_S6",
)  # fmt: skip
MADS_VAL = ("HipHop_HipHop2", "Jazz_Jazz6", "Kata_F4", "Sports_Tennis", "Taichi_S3")


def ph2(ids: list[str], fields: dict[str, dict[str, str]]) -> dict[str, tuple[str, int, str]]:
    """Split, fold and group: stratified by diagnosis, the images of one lesion together."""
    group_of = {member: lesion[0] for lesion in PH2_LESIONS for member in lesion}
    groups = {i: group_of.get(i, i) for i in ids}
    strata = {i: fields[i]["diagnosis"] for i in ids}
    split = split_by_shares(ids, groups=groups, strata=strata, shares=PH2_SHARES, seed=SEED)
    fold = folds(ids, groups=groups, strata=strata, seed=SEED)
    return {i: (split[i], fold[i], groups[i]) for i in ids}


def mads(ids: list[str], fields: dict[str, dict[str, str]]) -> dict[str, tuple[str, int, str]]:
    """Split by named takes, folds by take."""
    groups = {i: f"{fields[i]['activity']}_{fields[i]['take']}" for i in ids}
    unknown = {*MADS_TEST, *MADS_VAL} - set(groups.values())
    if unknown:
        raise SystemExit(f"no take {', '.join(sorted(unknown))}")
    strata = {i: fields[i]["activity"] for i in ids}
    fold = folds(ids, groups=groups, strata=strata, seed=SEED)

    def split(take: str) -> str:
        return "test" if take in MADS_TEST else "val" if take in MADS_VAL else "train"

    return {i: (split(groups[i]), fold[i], groups[i]) for i in ids}


def listed_ids(name: str, source: Path) -> list[str]:
    """All ids of a dataset: of MADS those of df.csv, also where the image is not at hand."""
    if name == "ph2":
        return sorted(p.name for p in next(source.rglob("IMD003")).parent.iterdir() if p.is_dir())
    with next(source.rglob("df.csv")).open(encoding="utf-8", newline="") as stream:
        return sorted(Path(row["images"]).stem for row in csv.DictReader(stream))


def main(name: str, source: Path, out: Path) -> None:
    """Write one splits.csv and print how many samples went where."""
    card = read_toml(Path(__file__).parents[2] / "datasets" / name / "card.toml", Card)
    ids = listed_ids(name, source)
    if card.layout is None:
        raise SystemExit(f"{name} has no layout")
    found = find_pairs(source, card.layout, ids)
    fields, _ = read_fields(source, card.metadata, ids)
    placed = {"ph2": ph2, "mads": mads}[name](ids, fields)
    masks = {path.stem: path for path in source.rglob("masks/*.png")}
    with out.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(SPLIT_COLUMNS)
        for i in ids:
            pair = found.pairs.get(i)
            files = (pair.image, pair.mask) if pair else (None, masks.get(i))
            pins = [hashlib.sha256(f.read_bytes()).hexdigest() if f else "" for f in files]
            split, fold, group = placed[i]
            writer.writerow([i, split, fold, group, *pins])
    for part in ("train", "val", "test", *range(5)):
        members = [i for i in ids if part in placed[i][:2]]
        print(f"{part}: {len(members)}")


if __name__ == "__main__":
    try:
        _, dataset, folder, target = sys.argv
    except ValueError:
        raise SystemExit(__doc__) from None
    main(dataset, Path(folder), Path(target))
