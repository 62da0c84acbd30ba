"""How long `segbench leaderboard build` takes with many entries.

    python benchmark/tools/board_speed.py [--entries 200] [--images 1000] [--results DIR]

Entries are drawn at random: a test split of 512x512 images, two classes, every measure that
`segbench evaluate` writes, subgroups by size, a group for every image; scores.json and rows.parquet
come from the program's own writer. DIR keeps them for the next call. Prints seconds and peak memory
of the build, which runs as a process of its own.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import segbench
from segbench.board.entry import ENTRY, Cost, Digests, Entry, Latency, Method, Training
from segbench.confusion import Counts
from segbench.measures import grid
from segbench.scoring.evaluate import SIZE, Evaluation, sizes
from segbench.scoring.files import write_evaluation
from segbench.scoring.scores import Score, Table, score_table

NAME, PIXELS = "random", 512 * 512


def main() -> None:
    """Make the entries that are not there, then build."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--entries", type=int, default=200)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--results", type=Path, help="where entries are kept")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        results = arguments.results or Path(scratch)
        make(results, arguments.entries, arguments.images)
        command = [sys.executable, "-m", "segbench", "leaderboard", "build", "--results", results]
        began = time.perf_counter()
        subprocess.run([*command, "--out", Path(scratch) / "board"], check=True)
        seconds = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"{arguments.entries} entries of {arguments.images} images: {seconds:.1f} s, {peak:.0f} MiB"
    )


def make(results: Path, n_entries: int, n_images: int) -> None:
    """Write entries of one dataset whose images have the same references."""
    rng = np.random.default_rng(0)
    reference = rng.integers(PIXELS // 50, PIXELS // 2, n_images)
    difficulty = rng.beta(2, 12, n_images)
    one = segbench.evaluate(
        [np.eye(4, dtype=np.uint8)] * n_images,
        references=[np.eye(4, dtype=np.uint8)] * n_images,
        class_names=["background", "lesion"],
    )
    target = replace(one.target, name=NAME, version="1", split="test")
    for i in range(n_entries):
        folder = results / NAME / f"entry-{i:03d}"
        drawn = np.random.default_rng(i + 1)
        skill = 1.2 * i / n_entries + 0.4
        table = _table(one.table, drawn, reference, np.clip(skill * difficulty, 0, 0.95))
        if not (folder / ENTRY).exists():
            _write(folder, replace(one, target=target), table, drawn)


def _table(
    like: Table,
    drawn: np.random.Generator,
    reference: NDArray[np.int64],
    wrong: NDArray[np.float64],
) -> Table:
    """Counts of predictions that miss and add a share of the object, and made-up distances."""
    miss = np.minimum(drawn.binomial(reference, wrong), reference)
    extra = np.minimum(drawn.binomial(reference, wrong), PIXELS - reference)
    tp, fn, fp = reference - miss, miss, extra
    tn = PIXELS - tp - fn - fp
    both = [np.stack(pair, axis=1) for pair in ((tn, tp), (fn, fp), (fp, fn), (tp, tn))]
    counts = Counts(*both)
    surface = {}
    for key, values in like.shapes.items():
        share = np.clip(wrong * drawn.uniform(0.5, 1.5, len(wrong)), 0, 1)
        is_distance = not np.nanmax(values, initial=0) > 0
        of_object = 200 * share if is_distance else 1 - share
        surface[key] = np.stack((np.full(len(share), np.nan), of_object), axis=1)
    return replace(like, counts=counts, map_counts=counts, shapes=surface)


def _write(folder: Path, like: Evaluation, table: Table, drawn: np.random.Generator) -> None:
    measures = grid(table.class_names, background=table.background, options=like.options)

    def scored(part: Table, where: str) -> tuple[Score, ...]:
        tail = f"|ignore:255|data:{NAME}@1/test#000000{where}|v:{segbench.__version__}"
        names = {m: f"{m}{tail}" for m in measures}
        return score_table(part, measures, names, n_resamples=100)

    labels, described = sizes(table)
    subgroups = {
        value: scored(table.take(np.array(labels) == value), f"|where:size={described[value]}")
        for value in ("small", "medium", "large")
    }
    made = replace(
        like, table=table, digest="0" * 64, scores=scored(table, ""), subgroups={SIZE: subgroups}
    )
    write_evaluation(made, folder)
    entry = Entry(
        name=folder.name,
        status="verified",
        authors=("nobody",),
        date=dt.date(2026, 11, 23),
        dataset=NAME,
        dataset_version="1",
        split="test",
        method=Method(title=f"Random numbers {folder.name}", description="Drawn, not predicted."),
        training=Training(data="none"),
        cost=Cost(
            parameters=int(10 ** drawn.uniform(5, 8)),
            flops=int(10 ** drawn.uniform(8, 11)),
            latencies=(Latency(milliseconds=float(10 ** drawn.uniform(0, 3)), device="none"),),
            training_seconds=float(10 ** drawn.uniform(2, 5)),
        ),
        digests=Digests(
            data="0" * 64, predictions=hashlib.sha256(folder.name.encode()).hexdigest()
        ),
        segbench_version=segbench.__version__,
    )
    (folder / ENTRY).write_text(entry.model_dump_json(indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
