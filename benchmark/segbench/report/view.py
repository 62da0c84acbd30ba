"""An evaluation as the report looks at it: which score is the main one, and where each is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segbench.masks.labels import LabelClass, foreground
from segbench.measures import ALL, FOREGROUND, Definition, Measure, definition_of
from segbench.scoring.evaluate import Evaluation
from segbench.scoring.scores import Score

Floats = NDArray[np.float64]

MAIN = "dice"
"""The measure by which samples are chosen and subgroups are compared."""


@dataclass(frozen=True, slots=True)
class View:
    """An evaluation with its foreground classes and its scores by (measure, class, over)."""

    evaluation: Evaluation
    objects: tuple[LabelClass, ...]
    scores: Mapping[tuple[str, str, str], Score]

    @classmethod
    def of(cls, evaluation: Evaluation) -> View:
        """Look at an evaluation."""
        return cls(evaluation, foreground(evaluation.target.classes), by_name(evaluation.scores))

    @property
    def binary(self) -> bool:
        """Whether there is one foreground class."""
        return len(self.objects) == 1

    @property
    def label(self) -> str:
        """The one foreground class, or the mean over classes that there is."""
        if self.binary:
            return self.objects[0].name
        return ALL if self.evaluation.table.background is None else FOREGROUND

    @property
    def definitions(self) -> tuple[Definition, ...]:
        """The rows of the table of measures that were computed."""
        keys = dict.fromkeys(key for key, _, _ in self.scores)
        return tuple(definition_of(key) for key in keys)

    @property
    def main(self) -> Measure:
        """Dice: the mean over images of the one class, or the mean over classes."""
        return self.scores[MAIN, self.label, "images" if self.binary else "classes"].measure

    def of_class(self, key: str, label: str) -> Floats:
        """A measure of each image (n,) for one class, or for the whole map (`all`)."""
        return self.evaluation.table.per_image(self.scores[key, label, "images"].measure)

    def per_image(self, key: str) -> Floats:
        """A measure of each image (n,): the mean over the foreground classes that it has."""
        values = np.stack([self.of_class(key, label.name) for label in self.objects])
        defined = ~np.isnan(values)
        total, count = np.nan_to_num(values).sum(axis=0), defined.sum(axis=0)
        return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)


def by_name(scores: tuple[Score, ...]) -> dict[tuple[str, str, str], Score]:
    """Scores by (measure, class, over)."""
    return {(s.measure.key, s.measure.label, s.measure.over): s for s in scores}
