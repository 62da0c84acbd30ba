"""Measure segbench and its peers on the same files and write the table (run by `make peers`).

python measure.py WORK REPORT [PH2 ARCHIVE]      needs an environment with all of them
"""

from __future__ import annotations

import datetime as dt
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from clock import command_seconds, peak_bytes, seconds
from contenders import count_arrays, from_files, pipeline, surfaces
from data import Pairs, binary_pairs, repeated, street_pairs
from machine import machine
from scipy import ndimage

from segbench import surface
from segbench.confusion import Counts
from segbench.measures import parse
from segbench.scoring.scores import Table, score_table

PACKAGES = (
    *("segbench", "numpy", "deflate", "hotcoco", "vernier", "medpy", "torch", "torchmetrics"),
    *("monai", "scikit-learn", "surface-distance-based-measures", "kornia-rs"),
)
MEMORY = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from contenders import scored
scored(Path(sys.argv[1]), "predictions-8", int(sys.argv[2]), [])
status = Path("/proc/self/status").read_text().split()
print(status[status.index("VmHWM:") + 1])  # getrusage would give the parent's, kept over exec
"""

TEXT = """# How fast segbench is

Written by `make peers` on {date}; not edited. {met} of {n} targets are met.

Masks: {masks}. Predictions are the references, shifted by some pixels (binary ones also dilated),
in grey PNGs that Pillow wrote. All tools read the same files, in one process, in turn; medians of
processor time, one thread, files in the system's cache. (Two threads: time on the wall.)

Machine: {machine}.

| work | target | measured | met |
| --- | --- | --- | --- |
{rows}

Other machines give other milliseconds; only the ratios travel. How time and memory grow to a
million pairs stands in [scale.md](scale.md).

## What was measured

{tables}

`segbench` from files is what `segbench.evaluate` does for the overlap measures, without the surface
measures and without resampling: dataset, submission, reference masks (from the cache beside the
dataset, which its first use makes), decoding, counts, checks, scores. `inflate only` reads and
inflates the predictions and does nothing else: what no PNG reader with libdeflate can beat. The
peers decode the references too; kornia-rs here does not. vernier and kornia-rs refuse files of 1
bit. surface-distance measures another boundary (elements between pixels). MetricsReloaded is not on
PyPI and is not here; surface-distance 0.1 from PyPI fails on empty masks with NumPy 2, and there
are none.
"""


@dataclass(frozen=True)
class Row:
    """A target, what was measured, and whether it was met."""

    work: str
    target: str
    measured: str
    met: bool


def main(work: Path, report: Path, archive: Path | None) -> None:
    """Measure everything, print as it goes, write the report."""
    import torch  # noqa: PLC0415

    torch.set_num_threads(1)
    binary, street = binary_pairs(work, archive), street_pairs(work)
    rows: list[Row] = []
    tables: list[str] = []
    for step in (counts, files, distances, threads, memory, bootstrap, start):
        new_rows, new_tables = step(binary, street, work)
        for row in new_rows:
            print(f"{'met   ' if row.met else 'MISSED'} {row.work}: {row.measured} ({row.target})")
        rows += new_rows
        tables += new_tables
        print(*new_tables, sep="\n\n", flush=True)
    report.parent.mkdir(exist_ok=True)
    report.write_text(page(rows, tables, binary, street))


Measured = tuple[list[Row], list[str]]


def table(title: str, taken: dict[str, float], n: int, ours: str = "segbench") -> str:
    """A Markdown table of milliseconds a pair, fastest first."""
    lines = [f"### {title}", "", "| tool | ms a pair | times ours |", "| --- | ---: | ---: |"]
    for name, s in sorted(taken.items(), key=lambda item: item[1]):
        lines.append(f"| {name} | {s / n * 1e3:.3g} | {s / taken[ours]:.3g} |")
    return "\n".join(lines)


def counts(binary: Pairs, street: Pairs, _work: Path) -> Measured:
    """Confusion counts of arrays."""
    rows, tables = [], []
    for pairs, some, wanted, rounds in ((binary, slice(12), 5, 7), (street, slice(1), 4, 3)):
        taken = seconds(count_arrays(pairs, some), rounds=rounds)
        n = len(pairs.references[some])
        best = min((s, name) for name, s in taken.items() if name != "segbench")
        ratio = best[0] / taken["segbench"]
        what = "binary" if pairs is binary else "19 classes, 2048x1024"
        measured = f"{ratio:.1f}x {best[1]}, the fastest of them"
        rows.append(
            Row(f"counts on arrays, {what}", f"at least {wanted}x", measured, ratio >= wanted)
        )
        tables.append(table(f"Counts on arrays in memory, {what}", taken, n))
    return rows, tables


def files(binary: Pairs, street: Pairs, _work: Path) -> Measured:
    """From PNG files to IoU, Dice and accuracy."""
    rows, tables = [], []
    cases = (
        (binary, 8, "binary, 8 bits", {"vernier": 1.5, "hotcoco": 1.5}),
        (binary, 1, "binary, 1 bit", {"hotcoco": 5}),
        (street, 8, "19 classes, 2048x1024, 8 bits", {"vernier": 1.5, "hotcoco": 1.5}),
    )
    for pairs, bits, what, wanted in cases:
        taken = seconds(from_files(pairs, bits), rounds=5)
        for peer, factor in wanted.items():
            ratio = taken[peer] / taken["segbench"]
            work = f"PNG predictions to IoU, Dice, accuracy, {what}"
            rows.append(Row(work, f"at least {factor}x {peer}", f"{ratio:.2f}x", ratio >= factor))
        tables.append(table(f"From PNG files, one thread, {what}", taken, len(pairs.references)))
    return rows, tables


def distances(binary: Pairs, _street: Pairs, _work: Path) -> Measured:
    """Surface distances, and whether they are scipy's."""
    some = slice(0, 8)
    taken = seconds(surfaces(binary, some), rounds=3)
    rows = []
    for peer, wanted in (("surface-distance", 30), ("MONAI", 50)):
        ratio = taken[peer] / taken["segbench"]
        work = "HD, HD95, ASSD and NSD"
        rows.append(Row(work, f"at least {wanted}x {peer}", f"{ratio:.0f}x", ratio >= wanted))
    n = len(binary.references)
    same = sum(map(equals_scipy, binary.references, binary.predictions))
    rows.append(
        Row("distances equal to scipy's", "all, exactly", f"{same} of {n} pairs", same == n)
    )
    return rows, [table("HD, HD95, ASSD and NSD at 2 px", taken, len(binary.references[some]))]


def equals_scipy(reference: np.ndarray, prediction: np.ndarray) -> bool:
    """Whether every distance is the one of scipy's distance map, to the last bit."""
    d = surface.surface_distances(reference, prediction)
    masks = [mask.astype(bool) for mask in (reference, prediction)]
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in masks]
    maps = [ndimage.distance_transform_edt(~edge) for edge in edges]
    return np.array_equal(d.to_prediction, maps[1][edges[0]]) and np.array_equal(
        d.to_reference, maps[0][edges[1]]
    )


def threads(binary: Pairs, street: Pairs, work: Path) -> Measured:
    """Two threads against one, by the clock on the wall."""
    rows = []
    for pairs, what, n in ((binary, "binary", 1000), (street, "19 classes, 2048x1024", 64)):
        root = work / "threads"
        repeated(pairs, n, root)
        many = Pairs("", [], [], root, pairs.n_classes)
        time.sleep(3)  # masks that are younger are not cached
        works = {str(jobs): pipeline(many, "predictions-8", jobs) for jobs in (1, 2)}
        taken = seconds(works, rounds=5, clock=time.perf_counter)
        ratio = taken["1"] / taken["2"]
        name = f"two threads against one, {what}"
        rows.append(Row(name, "at least 1.7x", f"{ratio:.2f}x", ratio >= 1.7))  # noqa: PLR2004
    return rows, []


def memory(binary: Pairs, _street: Pairs, work: Path) -> Measured:
    """Peak memory of 1,000 and of 20,000 pairs."""
    small, large = 1000, 20_000
    peak = {}
    for n in (small, large):
        root = work / "memory"
        repeated(binary, n, root)
        time.sleep(3)
        run = (root, 1, Path(__file__).parent)
        peak_bytes(MEMORY, *run)  # makes the cache
        peak[n] = peak_bytes(MEMORY, *run)
    grown = (peak[large] - peak[small]) / (large - small)
    measured = f"{grown:.0f} bytes a pair ({peak[small] >> 20} to {peak[large] >> 20} MiB)"
    work_ = "memory from 1,000 to 20,000 pairs"
    return [Row(work_, "under 2 kB a pair", measured, grown < 2000)], []  # noqa: PLR2004


def bootstrap(_binary: Pairs, _street: Pairs, _work: Path) -> Measured:
    """10,000 resamples of 1,000 images, Dice over images and over the dataset."""
    rng = np.random.default_rng(0)
    matrices = rng.integers(0, 100_000, (1000, 2, 2))
    table_ = Table(
        ("background", "lesion"),
        0,
        Counts.of(matrices),
        Counts.of(matrices),
        np.zeros(1000, dtype=bool),
        np.array([f"{i:04d}" for i in range(1000)]),
    )
    measures = [parse(f"dice|class:lesion|over:{o}|empty:nan") for o in ("images", "dataset")]
    names = {m: str(m) for m in measures}
    taken = seconds({"ours": lambda: score_table(table_, measures, names)}, rounds=5)["ours"]
    row = Row(
        "10,000 bootstrap resamples of 1,000 images",
        "about a second",
        f"{taken:.2f} s",
        taken < 1.3,  # noqa: PLR2004
    )
    return [row], []


def start(_binary: Pairs, _street: Pairs, _work: Path) -> Measured:
    """How long the command takes to begin."""
    folder = Path(sys.executable).parent
    commands = {
        "segbench --version": [str(folder / "segbench"), "--version"],
        "import numpy": [sys.executable, "-c", "import numpy"],
    }
    ours, theirs = command_seconds(commands, rounds=15).values()
    measured = f"{ours / theirs:.2f}x ({ours * 1e3:.0f} ms)"
    target = "under 1.5x `python -c 'import numpy'`"
    return [Row("`segbench --version`", target, measured, ours < 1.5 * theirs)], []


def page(rows: list[Row], tables: list[str], binary: Pairs, street: Pairs) -> str:
    """The report."""
    lines = [
        f"| {r.work} | {r.target} | {r.measured} | {'yes' if r.met else '**no**'} |" for r in rows
    ]
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    missed = sum(not r.met for r in rows)
    return TEXT.format(
        date=dt.date.today(),  # noqa: DTZ011
        met=len(rows) - missed,
        n=len(rows),
        masks=f"{binary.words}; {street.words}",
        machine=f"{machine()}. Python {sys.version.split()[0]}; {versions}",
        rows="\n".join(lines),
        tables="\n\n".join(tables),
    )


if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:]]
    main(given[0], given[1], given[2] if len(given) > 2 else None)  # noqa: PLR2004
