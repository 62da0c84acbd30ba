"""Masks from a trained network: a run's folder, or any ONNX file. Never from a pickle.

Reading, scaling, mirroring and resizing back are done here with NumPy and Pillow, the same for
every kind of network; an ONNX file needs onnxruntime only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from segbench.catalog.recipes import PredictTable
from segbench.errors import SegbenchError
from segbench.masks.encode import encode_mask
from segbench.masks.labels import LabelClass, foreground
from segbench.masks.predictions import predictions_folder
from segbench.masks.prepared import PreparedDataset, Row, selection_name
from segbench.training.canvas import Size, put_image, take_back
from segbench.training.run_folder import DataInfo

Floats = NDArray[np.float32]
Progress = Callable[[int, int], None]

CUT = 0.5
BATCH = 8
SHOWN = 3
MIRRORS = ((), (3,), (2,), (2, 3))
"""The axes of (n, C, H, W) that are reversed: as it is, left-right, upside down, both."""


class Network(Protocol):
    """A trained network, whatever runs it."""

    @property
    def about(self) -> Mapping[str, Any]:
        """What the marker file says of it."""
        ...

    @property
    def trained_on(self) -> DataInfo | None:
        """Dataset, version and fold that it was trained for; None where nobody knows."""
        ...

    @property
    def predict(self) -> PredictTable:
        """How its recipe makes masks."""
        ...

    def canvas(self, sizes: Iterable[Size]) -> Size:
        """The grid on which it sees images of some sizes."""
        ...

    def check(self, classes: Sequence[LabelClass]) -> None:
        """Raise a SegbenchError where it cannot predict these classes."""
        ...

    def __call__(self, images: Floats) -> Floats:
        """Probabilities (n, C, h, w) of RGB in [0, 1] (n, 3, H, W)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Options:
    """How masks are made; what is None is done as the recipe says."""

    tta: bool | None = None
    largest_component: bool | None = None
    probabilities: bool = False


def predict_network(
    network: Network,
    dataset: PreparedDataset,
    out: Path,
    *,
    split: str = "test",
    fold: int | None = None,
    options: Options = Options(),
    progress: Progress = lambda _done, _of: None,
) -> int:
    """Write `<id>.png` (class ids), or with probabilities `<id>.npz`, for every sample of a split.

    Args:
        network: What predicts.
        dataset: The prepared dataset.
        out: The folder to make; one of ours is replaced.
        split: The split to predict.
        fold: The fold to predict instead.
        options: Mirror images, probabilities.
        progress: Told of each sample done, and of how many.

    Returns:
        How many samples were predicted.

    Raises:
        SegbenchError: The network's classes are not the dataset's, it has seen samples that test or
            validate, `out` holds something else, or an image cannot be read.
    """
    rows = dataset.select(split, fold=fold)
    refuse_seen(network, dataset, split=split, fold=fold)
    network.check(dataset.classes)
    canvas = network.canvas(row.size for row in rows)
    asked = {"tta": options.tta, "largest_component": options.largest_component}
    how = network.predict.model_copy(update={k: v for k, v in asked.items() if v is not None})
    if how.largest_component and len(foreground(dataset.classes)) == len(dataset.classes):
        raise SegbenchError(
            f"{dataset.name} has no background that the smaller regions could become; predict with "
            f"--no-largest-component"
        )
    about = {**network.about, **how.model_dump()}
    done = 0
    with predictions_folder(out, dataset, split=split, fold=fold, about=about) as made:
        for chunk in _chunks(rows):
            found = apply(
                network, np.stack([_read(dataset, r, canvas) for r in chunk]), tta=how.tta
            )
            for row, channels in zip(chunk, found, strict=True):
                own = take_back(channels, row.size, canvas)
                if options.probabilities:
                    values = own[0] if len(own) == 1 else own
                    np.savez_compressed(made / f"{row.id}.npz", probabilities=values.clip(0, 1))
                else:
                    ids = class_ids(own, dataset.classes)
                    if how.largest_component:
                        ids = largest_components(ids, dataset.classes)
                    (made / f"{row.id}.png").write_bytes(encode_mask(ids, dataset.classes))
                done += 1
                progress(done, len(rows))
    return done


def refuse_seen(
    network: Network, dataset: PreparedDataset, *, split: str, fold: int | None
) -> None:
    """Refuse to predict samples for a score on which the network was trained or chosen.

    The training samples themselves may be looked at with `split="train"`.

    Raises:
        SegbenchError: There are some.
    """
    data = network.trained_on
    if data is None or (data.dataset, data.version) != (dataset.name, dataset.version):
        return
    if split == "train":
        return
    roles = ("train",) if split == "val" else ("train", "val")
    seen = {row.id for role in roles for row in dataset.select(role, fold=data.fold)}
    asked = [row.id for row in dataset.select(split, fold=fold)]
    both = [identifier for identifier in asked if identifier in seen]
    if not both:
        return
    own = "the test split" if data.fold is None else f"fold {data.fold}"
    flag = "--split test" if data.fold is None else f"--fold {data.fold}"
    other = "without --fold" if fold is None else f"with --fold {fold}"
    raise SegbenchError(
        f"the network was trained to be tested on {own} of {dataset.name}: {len(both)} of the "
        f"{len(asked)} samples of {selection_name(split, fold)} ({', '.join(both[:SHOWN])}"
        f"{', ...' * (len(both) > SHOWN)}) were trained on or chose its weights, so a score there "
        f"would be flattered; predict {flag}, or train another {other}; to look at what it was "
        f"trained on: --split train"
    )


def apply(network: Network, images: Floats, *, tta: bool) -> Floats:
    """Probabilities of a batch; with `tta`, the mean over the four mirror images."""
    mirrors = MIRRORS if tta else MIRRORS[:1]
    found = [
        np.flip(network(np.ascontiguousarray(np.flip(images, axes))), axes) for axes in mirrors
    ]
    return np.asarray(np.mean(found, axis=0, dtype=np.float32))


def class_ids(channels: Floats, classes: Sequence[LabelClass]) -> NDArray[np.uint8]:
    """Class ids (H, W) of probabilities (C, H, W): one channel is cut at 0.5, several compared."""
    if len(channels) == 1:
        return np.where(channels[0] > CUT, foreground(classes)[0].id, 0).astype(np.uint8)
    ids = np.array([label.id for label in classes], np.uint8)
    return ids[channels.argmax(axis=0)]


def largest_components(ids: NDArray[np.uint8], classes: Sequence[LabelClass]) -> NDArray[np.uint8]:
    """Of every object class only the largest region (4-neighbours); the rest is background.

    Args:
        ids: HxW class ids.
        classes: Of the dataset, with a background; of equal regions the first is kept.
    """
    from scipy import ndimage  # noqa: PLC0415

    kept = np.zeros_like(ids)  # class 0 is the background
    for label in foreground(classes):
        regions: NDArray[np.int32] = np.zeros(ids.shape, np.int32)
        ndimage.label(ids == label.id, output=regions)
        sizes = np.bincount(regions.ravel())[1:]
        if len(sizes):
            kept[regions == 1 + sizes.argmax()] = label.id
    return kept


def check_channels(channels: int, classes: Sequence[LabelClass], *, origin: str) -> None:
    """Refuse a network that has not one channel a class, or one for the only object.

    Raises:
        SegbenchError: The numbers differ.
    """
    one_object = len(classes) == 2 and len(foreground(classes)) == 1  # noqa: PLR2004
    if channels != len(classes) and not (channels == 1 and one_object):
        names = ", ".join(label.name for label in classes)
        raise SegbenchError(
            f"{origin}: gives {channels} channels; the dataset has {len(classes)} classes "
            f"({names}){': expected 1 or 2' if one_object else ''}"
        )


def _read(dataset: PreparedDataset, row: Row, canvas: Size) -> Floats:
    image = put_image(dataset.read_image(row), canvas)
    return np.ascontiguousarray(image.transpose(2, 0, 1)).astype(np.float32) / np.float32(255)


def _chunks(rows: Sequence[Row]) -> Iterable[Sequence[Row]]:
    return (rows[i : i + BATCH] for i in range(0, len(rows), BATCH))
