"""Measures of probabilities: of one image, and pooled over images from the cells of each.

Memory: an image is sorted alone and forgotten; what is kept of it are its values and, for the
pooled measures, the cells that hold any pixel (`segbench.soft`): at most 4096 levels and as many
more cells as there are bins, 56 bytes each. Pooling takes 64 to 96 KiB a group of images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segbench import soft
from segbench.errors import SegbenchError
from segbench.masks.decode import check_two_channels
from segbench.masks.labels import IGNORE_ID
from segbench.measures import Measure
from segbench.soft import Cells, Histogram
from segbench.statistics.bootstrap import Statistic

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_BLOCK = 2**18
"""Numbers that are formed at once of the replicates of a pooled score."""

HOW = (
    "save the probabilities before any threshold, as floats in [0, 1] (.npy, .npz or .tif; "
    "`segbench predict --probabilities` writes them) or as grey pictures with --form "
    "probabilities, or leave out --soft"
)


@dataclass(frozen=True, slots=True)
class SoftImage:
    """What is kept of one image's probabilities.

    Attributes:
        values: (M, K) of each measure and class; NaN where undefined.
        cells: By class; None for the classes that are not measured.
        graded: Whether any probability lies between 0 and 1.
    """

    values: Floats
    cells: tuple[Cells | None, ...]
    graded: bool

    def record(self) -> tuple[Any, ...]:
        """All of it as tuples of arrays and plain values."""
        return astuple(self)

    @classmethod
    def recall(cls, record: tuple[Any, ...]) -> SoftImage:
        """What was recorded."""
        values, cells, graded = record
        kept = [cell and Cells(cell[0], cell[1], Histogram(*cell[2])) for cell in cells]
        return cls(values, tuple(kept), graded)


@dataclass(frozen=True)
class SoftTable:
    """The measures of probabilities of n images and K classes, and the cells of the images.

    Attributes:
        values: By key its values (n, K), missing predictions the worst.
        bins: Of equal width, in which the cells lie.
        image: (C,) the image of each cell; cells of an image and class stand together, ascending.
        column: (C,) its class.
        level: (C,) its level of the logit.
        bin: (C,) its bin.
        counts: (C,) its pixels and the sum of their probabilities.
    """

    values: Mapping[str, Floats]
    bins: int
    image: Integers
    column: Integers
    level: Integers
    bin: Integers
    counts: Histogram

    def take(self, chosen: NDArray[np.bool_]) -> SoftTable:
        """The table of some images."""
        return self._keep(
            {key: values[chosen] for key, values in self.values.items()},
            chosen[self.image],
            np.cumsum(chosen) - 1,
        )

    def _keep(
        self, values: Mapping[str, Floats], kept: NDArray[np.bool_], number: NDArray[np.integer]
    ) -> SoftTable:
        counts = (self.counts.negatives, self.counts.positives, self.counts.mass)
        return SoftTable(
            values,
            self.bins,
            number[self.image[kept]].astype(np.int64),
            self.column[kept],
            self.level[kept],
            self.bin[kept],
            Histogram(*(part[kept] for part in counts)),
        )

    def and_then(self, other: SoftTable) -> SoftTable:
        """This table's images and then the other's."""
        n = len(next(iter(self.values.values())))
        shared = self.values.keys() & other.values.keys()

        def both(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
            return np.concatenate((a, b))

        mine, its = self.counts, other.counts
        return SoftTable(
            {
                key: both(self.values[key], other.values[key])
                for key in self.values
                if key in shared
            },
            self.bins,
            both(self.image, other.image + n),
            both(self.column, other.column),
            both(self.level, other.level),
            both(self.bin, other.bin),
            Histogram(
                both(mine.negatives, its.negatives),
                both(mine.positives, its.positives),
                both(mine.mass, its.mass),
            ),
        )

    def binned(self, column: int, unit: NDArray[np.integer], n_units: int) -> Histogram:
        """Bins of equal width (n_units, M) of a class, summed over the images of each unit."""
        return self._summed(column, unit, n_units, self.bin, self.bins)

    def levels(self, column: int, unit: NDArray[np.integer], n_units: int) -> Histogram:
        """The levels that occur (n_units, L) of a class, summed over the images of each unit."""
        mine = self.column == column
        found, place = np.unique(self.level[mine], return_inverse=True)
        places = np.zeros(len(self.level), dtype=np.int64)
        places[mine] = place
        return self._summed(column, unit, n_units, places, len(found))

    def _summed(
        self,
        column: int,
        unit: NDArray[np.integer],
        n_units: int,
        place: Integers,
        n_places: int,
    ) -> Histogram:
        mine = self.column == column
        at = unit[self.image[mine]] * n_places + place[mine]
        parts = (self.counts.negatives, self.counts.positives, self.counts.mass)
        return Histogram(
            *(
                np.bincount(at, part[mine], n_units * n_places).reshape(n_units, n_places)
                for part in parts
            )
        )

    def pooled(
        self, measure: Measure, column: int, unit: NDArray[np.integer], n_units: int
    ) -> Statistic:
        """A pooled measure: values (b, 1) of weights (b, n_units)."""
        if measure.key in {
            "brier",
            "nll",
        }:  # means over pixels: of images, weighted by their pixels
            mine = self.column == column
            pixels = np.bincount(self.image[mine], self.counts.pixels[mine], len(unit))
            sums = np.where(pixels > 0, self.values[measure.key][:, column] * pixels, 0.0)
            per_unit = np.stack(
                (np.bincount(unit, sums, n_units), np.bincount(unit, pixels, n_units))
            )
            return lambda weight: _mean(weight @ per_unit.T)
        if measure.binning == "width":
            counts = self.binned(column, unit, n_units)
        else:
            counts = self.levels(column, unit, n_units)
        if measure.key == "auroc" and n_units <= soft.LEVELS:
            right, all_pairs = soft.auroc_pairs(counts)
            return lambda weight: _mean(
                np.stack(
                    [((weight @ pairs) * weight).sum(axis=1) for pairs in (right, all_pairs)], 1
                )
            )
        return _InBlocks(measure, counts)


def _mean(sums: Floats) -> Floats:
    out = np.full((len(sums), 1), np.nan)
    return np.divide(sums[:, :1], sums[:, 1:], out=out, where=sums[:, 1:] > 0)


@dataclass(frozen=True)
class _InBlocks:
    """A measure of weighted sums of units' histograms (units, L), a few replicates at a time."""

    measure: Measure
    counts: Histogram

    def __call__(self, weight: Floats) -> Floats:
        step = max(1, _BLOCK // max(1, self.counts.mass.shape[1]))
        parts = [self._of(weight[i : i + step]) for i in range(0, len(weight), step)]
        return np.concatenate(parts)[:, np.newaxis]

    def _of(self, weight: Floats) -> Floats:
        counts = self.counts
        negatives, positives = weight @ counts.negatives, weight @ counts.positives
        if self.measure.key == "ap":
            return soft.average_precision(Histogram(negatives, positives, negatives))
        if self.measure.key == "auroc":  # of many groups: their pairs would take more memory
            return soft.auroc(Histogram(negatives, positives, negatives))
        summed = Histogram(negatives, positives, weight @ counts.mass)
        if self.measure.binning == "mass":
            summed = soft.equal_mass(summed, bins=self.measure.bins or soft.BINS)
        return soft.calibration_error(summed)


@dataclass(frozen=True)
class SoftMeasures:
    """The measures of probabilities of an evaluation, one of each key.

    Attributes:
        measures: M measures over images; their class does not matter here.
        class_ids: Of the K columns.
        skipped: Columns that are not measured (the background).
        bins: Of equal width, for the cells.
    """

    measures: tuple[Measure, ...]
    class_ids: tuple[int, ...]
    skipped: frozenset[int]
    bins: int

    @classmethod
    def of(
        cls, measures: Sequence[Measure], class_ids: Sequence[int], *, background: int | None
    ) -> SoftMeasures | None:
        """Those among the measures of a grid; None where there are none."""
        by_key = {
            m.key: m for m in measures if m.definition.of_probabilities and m.over == "images"
        }
        if not by_key:
            return None
        skipped = frozenset(() if background is None else (background,))
        bins = by_key["ece"].bins if "ece" in by_key else None
        return cls(tuple(by_key.values()), tuple(class_ids), skipped, bins or soft.BINS)

    def of_image(
        self, reference: NDArray[np.uint8], probabilities: NDArray[np.floating] | None
    ) -> SoftImage | None:
        """Measure one image.

        Args:
            reference: HxW uint8 class ids, 255 = ignore.
            probabilities: HxW of the second of two classes, or KxHxW in the order of the classes.

        Returns:
            None where there are no probabilities, or not of as many classes.

        Raises:
            MaskFileError: There are two channels that do not sum to 1.
        """
        n_classes = len(self.class_ids)
        if probabilities is None:
            return None
        single = probabilities.ndim == 2  # noqa: PLR2004
        if n_classes != (2 if single else len(probabilities)):
            return None
        if not single and n_classes == 2:  # noqa: PLR2004
            check_two_channels(probabilities)
        valid = reference != IGNORE_ID
        truth = reference[valid]
        values = np.full((len(self.measures), n_classes), np.nan)
        cells: list[Cells | None] = [None] * n_classes
        graded = False
        for column, class_id in enumerate(self.class_ids):
            if column in self.skipped:
                continue
            if single:
                own = probabilities[valid] if column == 1 else 1 - probabilities[valid]
            else:
                own = probabilities[column][valid]
            distinct, counts = soft.distinct(own, truth == class_id)
            graded |= bool(((distinct > 0) & (distinct < 1)).any())
            cells[column] = own_cells = soft.cells(distinct, counts, bins=self.bins)
            values[:, column] = [self._value(m, distinct, counts, own_cells) for m in self.measures]
        return SoftImage(values, tuple(cells), graded)

    def _value(self, measure: Measure, values: Floats, counts: Histogram, cells: Cells) -> float:
        match measure.key:
            case "ap":
                found = soft.average_precision(counts)
            case "auroc":
                found = soft.auroc(counts)
            case "brier":
                found = soft.brier(values, counts)
            case "nll":
                clip = measure.clip or soft.CLIP
                found = soft.negative_log_likelihood(values, counts, clip=clip)
            case _:
                if measure.binning == "mass":
                    bins = soft.equal_mass(counts, bins=self.bins)
                else:  # bins are unions of cells, of which there are few
                    bins = soft.equal_width(cells.bin, cells.counts, bins=self.bins)
                found = soft.calibration_error(bins)
        return float(found)

    def table(
        self,
        images: Sequence[SoftImage | None],
        *,
        reference: Integers,
        origin: str,
        form: str,
    ) -> SoftTable:
        """The table of all images.

        Args:
            images: n; None for missing predictions.
            reference: (n, K) pixels of each class in the reference.
            origin: Where the predictions came from, for messages.
            form: How they are read.

        Raises:
            SegbenchError: The predictions are masks, or probabilities that were cut already.
        """
        there = [image for image in images if image is not None]
        keys = ", ".join(measure.key for measure in self.measures)
        if not there:
            raise SegbenchError(
                f"{origin}: the predictions are hard masks (read as {form}); {keys} are measured "
                f"of probabilities: {HOW}"
            )
        if not any(image.graded for image in there):
            raise SegbenchError(
                f"{origin}: the predictions are floats, but hold only 0 and 1 in all {len(there)} "
                f"files: masks that were cut already; {keys} are measured of probabilities: {HOW}"
            )
        parts: list[tuple[int, int, Cells]] = []
        values = np.full((len(self.measures), *reference.shape), np.nan)
        for i, image in enumerate(images):
            total = int(reference[i].sum())
            for column in range(reference.shape[1]):
                if column in self.skipped or not total:
                    continue
                if image is None:
                    inside = int(reference[i, column])
                    parts.append((i, column, self._missing(inside, total - inside)))
                    values[:, i, column] = [worst(measure) for measure in self.measures]
                elif (cells := image.cells[column]) is not None:
                    parts.append((i, column, cells))
                    values[:, i, column] = image.values[:, column]
        return _table(
            {m.key: v for m, v in zip(self.measures, values, strict=True)}, self.bins, parts
        )

    def _missing(self, inside: int, outside: int) -> Cells:
        """The cells of the worst map there could be: 0 in the class, 1 outside it."""
        values = np.array([0.0, 1.0])
        pixels = np.array([inside, 0]), np.array([0, outside])
        kept = np.array([inside, outside]) > 0
        positives, negatives = (part[kept] for part in pixels)
        counts = Histogram(negatives, positives, values[kept] * (negatives + positives))
        return soft.cells(values[kept], counts, bins=self.bins)


def worst(measure: Measure) -> float:
    """What a missing prediction scores; of nll that depends on where it is clipped."""
    return measure.definition.worst if measure.clip is None else float(-np.log(measure.clip))


def _table(
    values: Mapping[str, Floats], bins: int, parts: Sequence[tuple[int, int, Cells]]
) -> SoftTable:
    sizes = [len(cells.level) for _, _, cells in parts]

    def joined(arrays: Sequence[NDArray[Any]], kind: type) -> NDArray[Any]:
        return np.concatenate([*arrays, np.zeros(0)]).astype(kind)

    return SoftTable(
        values,
        bins,
        np.repeat(np.array([i for i, _, _ in parts], dtype=np.int64), sizes),
        np.repeat(np.array([column for _, column, _ in parts], dtype=np.int64), sizes),
        joined([cells.level for _, _, cells in parts], np.int64),
        joined([cells.bin for _, _, cells in parts], np.int64),
        Histogram(
            joined([cells.counts.negatives for _, _, cells in parts], np.int64),
            joined([cells.counts.positives for _, _, cells in parts], np.int64),
            joined([cells.counts.mass for _, _, cells in parts], np.float64),
        ),
    )
