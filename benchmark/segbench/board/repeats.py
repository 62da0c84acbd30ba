"""The same recipe several times: other seeds, and the folds of cross-validation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import fsum, isnan
from pathlib import Path

from segbench.board.standings import Standing
from segbench.catalog.strict import Strict, validate
from segbench.errors import SegbenchError

FOLDS = "folds.json"


class FoldScore(Strict):
    """A fold's mean Dice, as `folds.json` keeps it."""

    dice: float
    ci95: tuple[float | None, float | None]
    n: int
    signature: str
    weights_sha256: str


class _Folds(Strict):
    recipes: dict[str, dict[str, FoldScore]]


@dataclass(frozen=True)
class Seeds:
    """A recipe trained with several seeds.

    Attributes:
        recipe: Its file.
        values: Of the standing's measure, one an entry, least first.
    """

    recipe: str
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Of the values."""
        return fsum(self.values) / len(self.values)


def seeds(standing: Standing) -> tuple[Seeds, ...]:
    """The recipes of which a standing has several entries: how far the seed moves the score.

    Entries count as one recipe where they have it, the size of the network and the training data in
    common; entries without a seed are left out.
    """
    found: dict[tuple[object, ...], list[float]] = {}
    for place in standing.ranking.places:
        entry = standing.entries[place.name]
        if entry.training.seeds and entry.method.recipe and not isnan(place.score.value):
            training = entry.training
            same = (entry.method.recipe, entry.cost.parameters, training.data, training.pretraining)
            found.setdefault(same, []).append(place.score.value)
    several = ((str(key[0]), values) for key, values in found.items() if len(values) > 1)
    return tuple(Seeds(recipe, tuple(sorted(values))) for recipe, values in sorted(several))


def read_folds(path: Path) -> Mapping[str, Mapping[str, FoldScore]]:
    """By recipe and fold, the scores of cross-validation; empty where there is no file.

    Raises:
        SegbenchError: The file is damaged.
    """
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SegbenchError(f"{path}: unreadable ({error})") from error
    return validate({"recipes": content}, _Folds, where=path).recipes


def mean_of_folds(folds: Mapping[str, FoldScore]) -> float:
    """The mean over all images of all folds."""
    scores = folds.values()
    return fsum(score.dice * score.n for score in scores) / sum(score.n for score in scores)
