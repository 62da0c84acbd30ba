"""Measure how an evaluation grows to a million pairs, and write the page (run by `make million`).

python million.py WORK REPORT [N ...]        by default 10000 100000 1000000
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from data import Pairs, repeated, written
from machine import machine
from PIL import Image
from scipy import ndimage

from segbench._version import __version__
from segbench.masks.prepared import PreparedDataset, load, prepared_datasets
from segbench.masks.submission import open_submission
from segbench.measures import Options, grid
from segbench.scoring.evaluate import reduce_counts
from segbench.scoring.files import write_evaluation
from segbench.scoring.shapes import ShapeMeasures
from segbench.scoring.tally import Policy, tally
from segbench.scoring.target import prepared_target

SIZES = (10_000, 100_000, 1_000_000)
SIZE = (192, 256)
WITH_BOUNDARIES = 10_000
"""Up to so many pairs boundaries are measured as well, in a run of its own."""

PHASES = {
    "open": "list the predictions, read samples.csv",
    "cache": "references into the cache (the first evaluation only)",
    "count": "read, decode and count",
    "scores": "scores and intervals, of all and by size of object",
    "write": "scores.json and rows.parquet",
}

TEXT = """# A million pairs

Written by `make million` on {date}; not edited.

{n_masks} masks of synthetic-lesions at {width}x{height}, and predictions that are the masks shifted
and dilated, each under many ids (hard links: as many names as samples, few files; all is read from
the system's cache). Every file is listed, opened, decoded, counted and scored by itself. Each run
is a process of its own with {jobs} threads; every image is a group of its own, the most work for
the intervals.

Machine: {machine}. Python {python}, segbench {version}, NumPy {numpy}. Times are by the clock on
the wall: other work on the machine is in them.

## Overlap measures

{overlap}

## With boundaries

{boundaries}

## How it grows

{growth}

No step is quadratic; between the sizes a pair's share differs by what else the machine did, and for
the scores by the resamples. An interval is made of 10,000 resamples up to 20,000 images,
and of fewer beyond, down to 1000 from 200,000 images on: of a million images 10,000 resamples would
draw ten billion, ten times the work that is shown. As it is, scores and intervals are {share:.0%}
of the time of {last:,} pairs. On a cluster (`--dask`) the counting is shared; opening, scores and
writing stay on one machine. Memory is that of samples.csv, of the names of the predictions, and of
the counts of each sample.
"""


def main(work: Path, report: Path, sizes: list[int]) -> None:
    """Measure every size in a process of its own, write the page."""
    shutil.rmtree(work, ignore_errors=True)
    pairs = small_pairs(work)
    found: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    for n in sizes:
        root = work / "many"
        print(f"{n:,} pairs: making the files", flush=True)
        repeated(pairs, n, root)
        time.sleep(3)  # masks that are younger are not cached
        for surface in (False, True) if n <= WITH_BOUNDARIES else (False,):
            found[surface].append(measured(root, n, surface=surface))
            print(found[surface][-1], flush=True)
        shutil.rmtree(root)
        report.write_text(page(pairs, found))


def small_pairs(work: Path) -> Pairs:
    """The drawn masks, small."""
    name = "synthetic-lesions"
    if not prepared_datasets(work / "prepared"):
        make = f"{sys.executable} -m segbench prepare {name} --data {work / 'prepared'} >&2"
        if os.system(make):  # noqa: S605
            raise SystemExit("the dataset could not be prepared")
    datasets = [load(name, split, data=work / "prepared") for split in ("train", "val", "test")]
    masks = [d.dataset.read_mask(row) for d in datasets for row in d.rows]
    masks = [np.asarray(Image.fromarray(m).resize(SIZE[::-1], 0)) for m in masks]
    moved = [
        ndimage.binary_dilation(np.roll(m, 3, 0), iterations=2).astype(np.uint8) for m in masks
    ]
    return written(work / "small", name, masks, moved, 2)


def measured(root: Path, n: int, *, surface: bool) -> dict[str, Any]:
    """Seconds of each phase and bytes, of a run in a process of its own."""
    command = [sys.executable, __file__, "--one", str(root), "surface" if surface else "overlap"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {"n": n, **json.loads(done.stdout.splitlines()[-1])}


def one(root: Path, *, surface: bool) -> dict[str, Any]:
    """One evaluation, from the folders to the files."""
    seconds: dict[str, float] = {}
    jobs, options, start = os.cpu_count() or 1, Options(surface=surface), time.perf_counter()

    def phase(name: str) -> None:
        nonlocal start
        seconds[name] = time.perf_counter() - start
        start = time.perf_counter()

    before = peak()
    submission = open_submission(root / "predictions-8")
    dataset = PreparedDataset.open(root / "data" / "pairs")
    phase("open")
    target = prepared_target(dataset, split="test", fold=None)
    phase("cache")
    names = [label.name for label in target.classes]
    measures = grid(names, background=None, options=options)
    boundaries = ShapeMeasures.of(measures, range(len(names)), background=None)
    policy = Policy()
    counted = tally(
        target,
        submission,
        policy=policy,
        jobs=jobs,
        progress=lambda _done, _of: None,
        shapes=boundaries if surface else None,
    )
    phase("count")
    counted_bytes = peak()
    result = reduce_counts(
        target,
        counted,
        measures,
        origin=submission.origin,
        notes=(),
        policy=policy,
        options=options,
        by=(),
        interval="percentile",
    )
    phase("scores")
    out = root / "out"
    write_evaluation(result, out)
    phase("write")
    return {
        "seconds": seconds,
        "before": before,
        "counted": counted_bytes,
        "peak": peak(),
        "rows": (out / "rows.parquet").stat().st_size,
        "dice": next(s.value for s in result.scores if s.measure.key == "dice"),
    }


def peak() -> int:
    """Peak resident memory so far, in bytes (getrusage would give the parent's, kept over exec)."""
    status = Path("/proc/self/status").read_text().split()
    return int(status[status.index("VmHWM:") + 1]) * 1024


def page(pairs: Pairs, found: dict[bool, list[dict[str, Any]]]) -> str:
    """The report."""
    last = found[False][-1]
    return TEXT.format(
        date=dt.date.today(),  # noqa: DTZ011
        n_masks=len(pairs.references),
        width=SIZE[1],
        height=SIZE[0],
        jobs=os.cpu_count(),
        machine=machine(),
        python=sys.version.split()[0],
        version=__version__,
        numpy=np.__version__,
        overlap=table(found[False]),
        boundaries=table(found[True]),
        growth=growth(found[False]),
        share=last["seconds"]["scores"] / total(last),
        last=last["n"],
    )


def total(run: dict[str, Any]) -> float:
    """Seconds of a whole run."""
    return sum(run["seconds"].values())


def table(runs: list[dict[str, Any]]) -> str:
    """A row for each phase, a column for each number of pairs."""
    rows = [["", *(f"{run['n']:,} pairs" for run in runs)], ["---", *("---:" for _ in runs)]]
    for key, words in PHASES.items():
        rows.append([words, *(f"{run['seconds'][key]:.1f} s" for run in runs)])
    rows.append(["**all of it**", *(f"**{total(run):.1f} s**" for run in runs)])
    rows.append(["the same for a pair", *(f"{1e3 * total(run) / run['n']:.3f} ms" for run in runs)])
    rows.append(["peak memory after counting", *(f"{run['counted'] >> 20:,} MiB" for run in runs)])
    rows.append(["peak memory", *(f"{run['peak'] >> 20:,} MiB" for run in runs)])
    rows.append(["rows.parquet", *(f"{run['rows'] / 2**20:.1f} MiB" for run in runs)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def growth(runs: list[dict[str, Any]]) -> str:
    """What each next pair costs, between one size and the next."""
    rows = [["from", "to", *PHASES, "memory to count", "memory in all", "rows.parquet"]]
    rows.append(["---:"] * len(rows[0]))
    for small, large in pairwise(runs):
        more = large["n"] - small["n"]
        spent = [large["seconds"][key] - small["seconds"][key] for key in PHASES]
        sizes = [(large[key] - small[key]) / more for key in ("counted", "peak", "rows")]
        rows.append(
            [
                *(f"{run['n']:,}" for run in (small, large)),
                *(f"{1e6 * seconds / more:.0f} µs" for seconds in spent),
                *(f"{size:.0f} B" for size in sizes),
            ]
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        print(json.dumps(one(Path(sys.argv[2]), surface=sys.argv[3] == "surface")))
    else:
        main(Path(sys.argv[1]), Path(sys.argv[2]), [int(n) for n in sys.argv[3:]] or list(SIZES))
