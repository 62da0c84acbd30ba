"""The masks that are measured: PH2's where its archive is beside the checkout, drawn ones else."""

from __future__ import annotations

import csv
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from segbench.masks.digests import content_line, digest
from segbench.masks.encode import encode_mask
from segbench.masks.labels import LabelClass
from segbench.masks.prepared import FIXED_COLUMNS, PreparedDataset, load, prepared_datasets

Mask = NDArray[np.uint8]
BINARY_SIZE, STREET_SIZE, N_STREET_CLASSES = (560, 768), (1024, 2048), 19


@dataclass(frozen=True)
class Pairs:
    """Pairs of masks in memory and on disk.

    Attributes:
        words: What they are.
        references: HxW uint8.
        predictions: The same shapes.
        root: `data/pairs` is a prepared dataset of the references (split test); `predictions-8` and
            `predictions-1` hold the predictions as grey PNGs of 8 bits and 1 bit, `references-8`
            and `references-1` the references in the same way, for tools that need them so.
    """

    words: str
    references: list[Mask]
    predictions: list[Mask]
    root: Path
    n_classes: int

    def paths(self, folder: str) -> list[Path]:
        """The files of one of the folders, in the order of the masks."""
        return [self.root / folder / f"{i:06d}.png" for i in range(len(self.references))]


def binary_pairs(work: Path, archive: Path | None) -> Pairs:
    """Lesions: all masks of PH2, or of the drawn dataset at 768x560."""
    name = "ph2" if archive else "synthetic-lesions"
    if not any(d.name == name for d in prepared_datasets(work / "prepared")):
        source = f"--source {archive}" if archive else ""
        if os.system(f"segbench prepare {name} {source} --data {work / 'prepared'} >&2"):  # noqa: S605
            raise SystemExit("the dataset could not be prepared")
    splits = ("train", "val", "test")
    datasets = [load(name, split, data=work / "prepared") for split in splits]
    masks = [d.dataset.read_mask(row) for d in datasets for row in d.rows]
    words = f"the {len(masks)} masks of PH2 (about 768x575)"
    if not archive:
        masks = [np.asarray(Image.fromarray(m).resize(BINARY_SIZE[::-1], 0)) for m in masks]
        words = f"{len(masks)} masks of synthetic-lesions, resized to 768x560"
    predictions = [np.uint8(ndimage.binary_dilation(np.roll(m, 5, 0), iterations=4)) for m in masks]
    return written(work / "binary", words, masks, [p.astype(np.uint8) for p in predictions], 2)


def street_pairs(work: Path) -> Pairs:
    """Label maps with as many classes and pixels as a street scene: maxima of smooth noise."""
    rng = np.random.default_rng(0)
    masks: list[Mask] = []
    for _ in range(8):
        small = rng.normal(size=(N_STREET_CLASSES, 128, 256))
        smooth = ndimage.gaussian_filter(small, (0, 6, 6))
        large = ndimage.zoom(smooth, (1, 8, 8), order=1)
        masks.append(large.argmax(axis=0).astype(np.uint8))
    words = f"{len(masks)} drawn maps of {N_STREET_CLASSES} classes, 2048x1024"
    shifted = [np.roll(mask, (7, 4), (0, 1)) for mask in masks]
    return written(work / "street", words, masks, shifted, N_STREET_CLASSES)


def written(
    root: Path, words: str, references: list[Mask], predictions: list[Mask], n_classes: int
) -> Pairs:
    """Pairs of masks, written as all tools read them."""
    shutil.rmtree(root, ignore_errors=True)
    classes = [LabelClass(id=i, name=f"class{i}", color=(i, i, i)) for i in range(n_classes)]
    write_prepared(root / "data" / "pairs", references, classes)
    for name, masks in (("references", references), ("predictions", predictions)):
        for bits in (8, 1) if n_classes == 2 else (8,):  # noqa: PLR2004
            folder = root / f"{name}-{bits}"
            folder.mkdir(parents=True)
            for i, mask in enumerate(masks):
                stored = Image.fromarray(mask > 0) if bits == 1 else Image.fromarray(mask)
                stored.save(folder / f"{i:06d}.png")
    return Pairs(words, references, predictions, root, n_classes)


def write_prepared(root: Path, masks: list[Mask], classes: list[LabelClass]) -> None:
    """A prepared dataset without images, all in the split test."""
    (root / "masks").mkdir(parents=True)
    lines = [content_line(f"{i:06d}", None, mask) for i, mask in enumerate(masks)]
    info = {
        "schema_version": 1,
        "name": "pairs",
        "version": "1",
        "fold_digests": {},
        "classes": [{"id": c.id, "name": c.name, "color": c.color} for c in classes],
        "split_digests": {"test": digest(lines)},
    }
    (root / "dataset.json").write_text(json.dumps(info))
    with (root / "samples.csv").open("w", newline="") as stream:
        out = csv.writer(stream)
        out.writerow(FIXED_COLUMNS)
        for i, mask in enumerate(masks):
            path = root / "masks" / f"{i:06d}.png"
            path.write_bytes(encode_mask(mask, classes))
            out.writerow([path.stem, "test", "", "", *mask.shape[::-1], "", f"masks/{path.name}"])


def repeated(pairs: Pairs, n: int, root: Path) -> None:
    """The same pairs as n samples (hard links), in `root/data/pairs` and `root/predictions-8`."""
    shutil.rmtree(root, ignore_errors=True)
    source = PreparedDataset.open(pairs.root / "data" / "pairs")
    for folder in ("data/pairs/masks", "predictions-8"):
        (root / folder).mkdir(parents=True)
    shutil.copy(source.root / "dataset.json", root / "data" / "pairs")
    with (root / "data" / "pairs" / "samples.csv").open("w", newline="") as stream:
        out = csv.writer(stream)
        out.writerow(FIXED_COLUMNS)
        for i in range(n):
            row, name = source.rows[i % len(source.rows)], f"{i:06d}.png"
            (root / "data/pairs/masks" / name).hardlink_to(source.root / row.mask)
            original = pairs.root / "predictions-8" / f"{row.id}.png"
            (root / "predictions-8" / name).hardlink_to(original)
            out.writerow([name[:-4], "test", "", "", row.width, row.height, "", f"masks/{name}"])
