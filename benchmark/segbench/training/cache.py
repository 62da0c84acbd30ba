"""Decoded, scaled and padded samples of a dataset, once, in memory-mapped files.

A cache is named by the dataset's content digest and the canvas, so it is never stale; deleting it
costs only the time to make it again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segbench.errors import SegbenchError
from segbench.folders import building, put
from segbench.masks.places import expanded
from segbench.masks.prepared import PreparedDataset, Row
from segbench.training.canvas import Size, put_image, put_mask

VERSION = 1
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Cache:
    """Samples on one canvas: images (n, H, W, 3) uint8, masks (n, H, W) uint8 class ids."""

    folder: Path
    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    index: dict[str, int]

    def positions(self, rows: tuple[Row, ...]) -> NDArray[np.int64]:
        """Where some rows of samples.csv lie.

        Raises:
            SegbenchError: One of them is not there.
        """
        try:
            return np.array([self.index[row.id] for row in rows], np.int64)
        except KeyError as error:
            raise SegbenchError(
                f"{self.folder}: damaged cache (it lacks {error}); delete the folder and run again"
            ) from error


def cache_folder() -> Path:
    """Where caches live: SEGBENCH_CACHE, else the user's cache folder."""
    if environment := os.environ.get("SEGBENCH_CACHE"):
        return expanded(Path(environment))
    import platformdirs  # noqa: PLC0415

    return Path(platformdirs.user_cache_dir("segbench", appauthor=False))


def open_cache(
    dataset: PreparedDataset,
    canvas: Size,
    *,
    jobs: int = os.cpu_count() or 1,
    progress: Progress = lambda _done, _of: None,
) -> Cache:
    """The cache of a dataset on a canvas; made where there is none yet.

    Raises:
        SegbenchError: A sample cannot be read, or the cache cannot be written.
    """
    digest = str(dataset.info["content_digest"])[:16]
    name = f"{dataset.name}-{digest}-{canvas[1]}x{canvas[0]}-v{VERSION}"
    folder = cache_folder() / name
    if not folder.exists():
        _make(dataset, canvas, folder, jobs=jobs, progress=progress)
    try:
        ids: list[str] = json.loads((folder / "ids.json").read_text(encoding="utf-8"))
        return Cache(
            folder,
            np.load(folder / "images.npy", mmap_mode="r"),
            np.load(folder / "masks.npy", mmap_mode="r"),
            {identifier: i for i, identifier in enumerate(ids)},
        )
    except (OSError, ValueError) as error:
        raise SegbenchError(
            f"{folder}: damaged cache ({error}); delete the folder and run again"
        ) from error


def _reserve(path: Path) -> None:
    """Take the room of a mapped file now: a full disk would end the process at a later write.

    Raises:
        OSError: There is not so much room.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    with path.open("r+b") as stream:
        os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)


def _make(
    dataset: PreparedDataset, canvas: Size, folder: Path, *, jobs: int, progress: Progress
) -> None:
    rows = dataset.rows
    try:
        with building(folder) as made:
            images = np.lib.format.open_memmap(
                made / "images.npy", mode="w+", dtype=np.uint8, shape=(len(rows), *canvas, 3)
            )
            masks = np.lib.format.open_memmap(
                made / "masks.npy", mode="w+", dtype=np.uint8, shape=(len(rows), *canvas)
            )
            for name in ("images.npy", "masks.npy"):
                _reserve(made / name)

            def convert(i: int) -> None:
                images[i] = put_image(dataset.read_image(rows[i]), canvas)
                masks[i] = put_mask(dataset.read_mask(rows[i]), canvas)

            with ThreadPoolExecutor(jobs) as pool:
                for done, _ in enumerate(pool.map(convert, range(len(rows))), 1):
                    progress(done, len(rows))
            images.flush()
            masks.flush()
            (made / "ids.json").write_text(json.dumps([row.id for row in rows]), encoding="utf-8")
            put(made, folder, replace=True)  # another process may just have made the same
    except OSError as error:
        raise SegbenchError(
            f"{folder}: no cache can be written ({error.strerror}); name a folder with room by "
            f"SEGBENCH_CACHE"
        ) from error
