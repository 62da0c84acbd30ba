"""The pinned references of a dataset: `digests.toml` beside its card.

For each split and fold the sha256 over the sorted lines `id width height sha256(class-id bytes)`.
The file is trusted content, as the card is: a prepared folder that comes from elsewhere is held to
it, so that nobody can bring references of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from segbench.catalog.strict import Strict, read_toml
from segbench.errors import SegbenchError
from segbench.masks.digests import digest, mask_line

PINS = "digests.toml"


class Pins(Strict):
    """What `digests.toml` holds; a split or fold that is not there is not pinned.

    Attributes:
        splits: By name of a split.
        folds: By number of a fold.
    """

    splits: dict[str, str] = Field(default_factory=dict)
    folds: dict[str, str] = Field(default_factory=dict)

    def of(self, split: str | None, fold: int | None) -> str | None:
        """The pin of a split, or of the samples of a fold; None where there is none."""
        return self.splits.get(split or "") if fold is None else self.folds.get(str(fold))


def read_pins(folder: Path) -> Pins:
    """The pins beside a card; none where the file is not there.

    Raises:
        SegbenchError: The file is faulty.
    """
    path = folder / PINS
    return read_toml(path, Pins) if path.exists() else Pins()


def masks_digest(masks: Iterable[tuple[str, NDArray[np.uint8]]]) -> str:
    """The digest of some references: pairs (id, HxW uint8 class ids)."""
    return digest(mask_line(identifier, mask) for identifier, mask in masks)


def check_pins(
    pins: Pins,
    ids: Mapping[str, Mapping[str, Iterable[str]]],
    read: Callable[[str], NDArray[np.uint8]],
    *,
    where: str,
) -> None:
    """Refuse references that are not the pinned ones.

    Args:
        pins: The card's.
        ids: For `splits` and `folds` the samples of each that are all there.
        read: Gives a sample's mask by its id.
        where: The folder, for messages.

    Raises:
        SegbenchError: A split or fold has another digest; the message names it.
    """
    lines: dict[str, str] = {}
    for kind, pinned in (("splits", pins.splits), ("folds", pins.folds)):
        for name, of_kind in ids.get(kind, {}).items():
            if name not in pinned:
                continue
            for identifier in of_kind:
                if identifier not in lines:
                    lines[identifier] = mask_line(identifier, read(identifier))
            found = digest(lines[identifier] for identifier in of_kind)
            if found != pinned[name]:
                raise SegbenchError(
                    f"{where}: the reference masks of {kind[:-1]} {name} have the digest "
                    f"{found[:12]}..., pinned is {pinned[name][:12]}...; they are not those of the "
                    f"dataset: prepare it again from its source with --force"
                )
