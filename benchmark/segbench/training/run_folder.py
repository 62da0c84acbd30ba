"""What a training run leaves behind, and how it is found again; nothing here needs torch.

recipe.toml          the recipe as it was given
run.json             the recipe as followed, the data and its digests, the environment, the result
log.csv              one line an epoch
weights.safetensors  the weights of the epoch with the best Dice on the validation split
model.onnx           the same network with normalisation and sigmoid or softmax inside
curves.png           loss and validation Dice over the epochs
scores/              the validation split by segbench's own evaluator
checkpoint.ckpt      everything that resuming needs; deleted by nobody, read by `train` only
tensorboard/         for `tensorboard --logdir`
"""

from __future__ import annotations

import csv
import json
import os
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from segbench._version import __version__
from segbench.catalog.recipes import PredictTable, TrainedRecipe
from segbench.catalog.strict import Strict, validate
from segbench.errors import SegbenchError
from segbench.masks.labels import LabelClass, is_background
from segbench.masks.prepared import PreparedDataset
from segbench.training.canvas import Size

RECIPE, RUN, LOG, WEIGHTS, ONNX = (
    "recipe.toml",
    "run.json",
    "log.csv",
    "weights.safetensors",
    "model.onnx",
)
CURVES, SCORES, CHECKPOINT, TENSORBOARD = "curves.png", "scores", "checkpoint.ckpt", "tensorboard"

PACKAGES = (
    "torch",
    "lightning",
    "segmentation-models-pytorch",
    "timm",
    "safetensors",
    "onnx",
    "numpy",
    "pillow",
)

METADATA = "segbench"
"""The key in an ONNX file's metadata of what `Exported` says."""

TRAINING_TABLES = {"model", "input", "augment", "loss", "optimiser", "train"}
"""What of a recipe a training depends on; titles and prediction may change afterwards."""


class ClassInfo(Strict):
    """A class as the network knows it."""

    id: int
    name: str
    color: tuple[int, int, int]
    background: bool = False


class DataInfo(Strict):
    """On what a network was trained; `fold` is the fold that was kept for testing."""

    dataset: str
    version: str
    fold: int | None
    content_digest: str
    n_train: int
    n_val: int
    classes: tuple[ClassInfo, ...]

    @property
    def labels(self) -> tuple[LabelClass, ...]:
        """The classes as the mask format knows them."""
        return tuple(
            LabelClass(id=c.id, name=c.name, color=c.color, background=c.background)
            for c in self.classes
        )


class Exported(Strict):
    """What an ONNX file says of itself, as JSON under the key `METADATA` of its metadata."""

    recipe: str
    predict: PredictTable
    trained_on: DataInfo


class Environment(Strict):
    """Where it was trained: results repeat on one processor type, thread count and torch."""

    segbench: str
    python: str
    system: str
    processor: str
    threads: int
    device: str
    precision: str
    packages: dict[str, str]


class Result(Strict):
    """What came out: the epoch (from 0) whose weights were kept, and what it cost."""

    best_epoch: int
    best_val_dice: float
    epochs: int
    seconds: float
    parameters: int
    flops: int
    weights_sha256: str


class Run(Strict):
    """run.json, schema version 1. `result` is there once the run is finished."""

    schema_version: Literal[1] = 1
    recipe: TrainedRecipe
    canvas: Size
    channels: int
    data: DataInfo
    environment: Environment
    command: str
    result: Result | None = None


def n_channels(recipe: TrainedRecipe, classes: Sequence[LabelClass]) -> int:
    """Output channels: one for background and one object, except where the loss needs a softmax."""
    binary = len(classes) == 2 and is_background(classes[0])  # noqa: PLR2004
    return 1 if binary and recipe.loss.name != "cross-entropy" else len(classes)


def data_info(dataset: PreparedDataset, *, fold: int | None) -> DataInfo:
    """What run.json says of the data.

    Raises:
        SegbenchError: There is no such fold, or no samples to train on or to choose by.
    """
    return DataInfo(
        dataset=dataset.name,
        version=dataset.version,
        fold=fold,
        content_digest=str(dataset.info["content_digest"]),
        n_train=len(dataset.select("train", fold=fold)),
        n_val=len(dataset.select("val", fold=fold)),
        classes=tuple(
            ClassInfo(id=c.id, name=c.name, color=c.color, background=c.background)
            for c in dataset.classes
        ),
    )


def environment(*, device: str, precision: str, threads: int) -> Environment:
    """What run.json says of the machine and the software."""
    return Environment(
        segbench=__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        processor=processor_name(),
        threads=threads,
        device=device,
        precision=precision,
        packages={name: _version(name) for name in PACKAGES},
    )


def processor_name() -> str:
    """The processor's name as the system tells it, with its number of cores."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        pass
    return f"{name}, {os.cpu_count()} cores"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def read_run(folder: Path) -> Run:
    """The run.json of a run's folder.

    Raises:
        SegbenchError: The folder is no run, or of another version.
    """
    path = folder / RUN
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SegbenchError(
            f"{folder}: not a run (no {RUN}); expected a folder that `segbench train` wrote, or an "
            f".onnx file"
        ) from None
    except (OSError, ValueError) as error:
        raise SegbenchError(f"{path}: unreadable ({error})") from error
    return validate(content, Run, where=path)


def write_run(folder: Path, run: Run) -> None:
    """Write run.json, whole or not at all."""
    write_atomically(folder / RUN, (run.model_dump_json(indent=1) + "\n").encode())


def write_log(folder: Path, history: Sequence[dict[str, Any]]) -> None:
    """Write log.csv anew: a resumed run's log has every epoch once."""
    import io  # noqa: PLC0415

    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_atomically(folder / LOG, stream.getvalue().encode())


def part_of(name: str) -> str:
    """What a file is called while it is written; a kill may leave it, the next run ends it."""
    return f".{name}.part"


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a kill at any moment leaves the old one or the new one."""
    temporary = path.with_name(part_of(path.name))
    with temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def differences(before: Run, now: Run) -> list[str]:
    """In what a run that is to be resumed differs from the one that was begun."""
    old, new = (
        {
            **_flat(run.recipe.model_dump(mode="json", include=TRAINING_TABLES), "recipe"),
            **_flat(run.data.model_dump(mode="json"), "data"),
            "canvas": run.canvas,
        }
        for run in (before, now)
    )
    return [
        f"{key}: begun with {old.get(key)!r}, now {new.get(key)!r}"
        for key in {**old, **new}
        if old.get(key) != new.get(key)
    ]


def _flat(content: dict[str, Any], prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in content.items():
        name = f"{prefix}.{key}"
        found.update(_flat(value, name) if isinstance(value, dict) else {name: value})
    return found
