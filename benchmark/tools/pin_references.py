"""Print `digests.toml` of a prepared dataset, for the folder of its card.

    python benchmark/tools/pin_references.py ph2 > datasets/ph2/digests.toml

A split or fold of which samples are missing is left out, and said.
"""

from __future__ import annotations

import sys

from segbench.catalog.cards import find_dataset
from segbench.catalog.pins import masks_digest
from segbench.masks.prepared import open_prepared

HEAD = """\
# The pinned references: for each split and fold the sha256 over the sorted lines
# `id width height sha256(class-id bytes)` of its prepared masks, made by
# benchmark/tools/pin_references.py. `segbench prepare` and `verify` hold prepared folders to it.
"""


def main(name: str) -> None:
    """Print the pins of one dataset."""
    dataset, made = find_dataset(name), open_prepared(name)
    rows = {row.id: row for row in made.rows}
    assigned = dataset.assignments.values()
    of_kind = {
        "splits": {s: [a.id for a in assigned if a.split == s] for s in ("train", "val", "test")},
        "folds": {str(f): [a.id for a in assigned if a.fold == f] for f in range(5)},
    }
    print(HEAD, end="")
    for kind, found in of_kind.items():
        print(f"\n[{kind}]")
        for key, ids in found.items():
            missing = [i for i in ids if i not in rows]
            if missing:
                print(f"# {key}: not pinned, {len(missing)} samples could not be had")
            elif ids:
                masks = ((i, made.read_mask(rows[i])) for i in ids)
                print(f'{key} = "{masks_digest(masks)}"')


if __name__ == "__main__":
    main(*sys.argv[1:])
