"""What other tools print on the same masks: tests/golden/dialects/*.json (`make peers-golden`).

    python benchmark/tools/peers_golden/run.py [TOOL ...]     without names: all

Makes two environments in build/dialects (one for the tools that need torch), takes the sources of
three tools that are not on PyPI as they should be, and asks every tool for its numbers on PH2's
test images (predictions of results/ph2/otsu), on random masks and on tiny ones. Then it writes the
tables of docs/dialects.md. Run it in segbench's own environment.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import agreement
import numpy as np
from rich.console import Console

from segbench.commands.dialect_tables import dialect_table, headline
from segbench.dialects import DIALECTS, Ruler, converse
from segbench.masks.prepared import data_folder, open_prepared
from segbench.masks.submission import open_submission
from segbench.scoring.evaluate import evaluate
from segbench.scoring.tally import Policy, label_maps
from segbench.scoring.target import prepared_target

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
WORK = ROOT / "build" / "dialects"
OUT = ROOT / "tests" / "golden" / "dialects"
PREDICTIONS = ROOT / "results" / "ph2" / "otsu" / "predictions.json"
ARCHIVE = ROOT.parent / "shared" / "data" / "PH2Dataset.tar.xz"

SHOWN = ("medpy", "surface-distance", "metrics-reloaded")

SOURCES = {
    "surface-distance": ("https://github.com/google-deepmind/surface-distance", "1f805ce"),
    "MetricsReloaded": ("https://github.com/Project-MONAI/MetricsReloaded", "cb38dfc"),
    "evaluate": ("https://github.com/huggingface/evaluate", "a7dd338"),
}
ARRAYS = (
    "numpy==2.2.6",  # under 2.3 and later medpy loses its rules for empty masks
    *("medpy==0.5.2", "scikit-learn==1.9.1", "cityscapesscripts==2.3.0", "evaluate==0.4.6"),
    *("isic-challenge-scoring==5.6.0", "scikit-image", "nibabel", "pillow"),
)
# Their metrics need little of what the packages ask for; the models do (timm, torchvision, mmcv's
# operators). mmcv-lite has only a source distribution, which needs an old setuptools.
TENSORS: tuple[tuple[str, ...], ...] = (
    ("torch==2.13.0", "torchmetrics==1.9.0", "monai==1.6.1", "scipy", "scikit-image"),
    ("mmengine-lite==0.10.7", "prettytable", "SimpleITK", "batchgenerators==0.25.5", "pandas"),
    ("nibabel", "blosc2", "setuptools==75.8.0", "wheel"),
    ("--no-deps", "segmentation-models-pytorch==0.6.0", "mmsegmentation==1.2.2"),
    ("--no-deps", "nnunetv2==2.8.1", "acvl-utils==0.2.6", "dynamic-network-architectures==0.4.4"),
    ("--no-build-isolation", "mmcv-lite==2.1.0"),
)
TOOLS = {
    "arrays": (
        *("medpy", "surface-distance", "metrics-reloaded", "sklearn", "hf", "isic2018"),
        "cityscapes",
    ),
    "tensors": ("torchmetrics", "monai", "mmseg", "smp", "nnunet"),
}


def main(wanted: list[str]) -> None:
    """Install, ask, write."""
    environments()
    pairs = WORK / "ph2.npz"
    write_pairs(pairs)
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    paths = os.pathsep.join(str(WORK / name) for name in ("surface-distance", "MetricsReloaded"))
    environment = {
        **os.environ,
        **one,
        "PYTHONPATH": paths,
        "HF_HOME": str(WORK / "huggingface"),
        "HF_HUB_OFFLINE": "1",
        **dict.fromkeys(("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"), str(WORK)),
    }
    for kind, tools in TOOLS.items():
        chosen = [tool for tool in tools if tool in wanted or not wanted]
        if chosen:
            command = [_python(kind), HERE / f"{kind}.py", pairs, OUT, *chosen]
            subprocess.run([str(part) for part in command], check=True, env=environment)
    agreement.write(OUT, ROOT / "docs" / "dialects.md")
    draw(ROOT / "docs" / "pictures" / "dialects.svg")


def environments() -> None:
    """Two environments and three source folders, where they are not there yet."""
    for name, (url, commit) in SOURCES.items():
        if not (WORK / name).exists():
            run("git", "clone", "--quiet", url, str(WORK / name))
            run("git", "-C", str(WORK / name), "checkout", "--quiet", commit)
    for kind, installs in (("arrays", (ARRAYS,)), ("tensors", TENSORS)):
        if not _python(kind).exists():
            run(sys.executable, "-m", "venv", str(WORK / kind))
            for packages in installs:
                run(str(_python(kind)), "-m", "pip", "install", "--quiet", *packages)


def _python(kind: str) -> Path:
    return WORK / kind / "bin" / "python"


def run(*command: str) -> None:
    """Run a command that must succeed."""
    subprocess.run(command, check=True)


def write_pairs(path: Path) -> None:
    """PH2's test masks and the predictions of the entry otsu, as arrays of 0 and 1."""
    if path.exists():
        return
    data = prepared()
    submission = open_submission(PREDICTIONS)
    result = evaluate(submission, dataset="ph2", data=data)
    predicted = label_maps(result.target, submission, result.reading, policy=Policy())
    ids = [item.id for item in result.target.items]
    arrays = {f"r_{item.id}": item.read() for item in result.target.items}
    arrays |= {f"p_{identifier}": predicted(identifier) for identifier in ids}
    np.savez_compressed(path, ids=np.array(ids), **arrays)


def prepared() -> Path:
    """Where PH2 is prepared; it is, if it was not."""
    data = data_folder(None)
    if not (data / "ph2").exists():
        data = WORK / "data"
        if not (data / "ph2").exists():
            source = ("--source", str(ARCHIVE)) if ARCHIVE.exists() else ()
            run(sys.executable, "-m", "segbench", "prepare", "ph2", "--data", str(data), *source)
    return data


def draw(path: Path) -> None:
    """What the tools for boundaries say of the entry otsu, as `segbench dialects` prints it."""
    chosen = [DIALECTS[name] for name in SHOWN]
    target = prepared_target(open_prepared("ph2", data=prepared()), split="test", fold=None)
    submission = open_submission(PREDICTIONS)
    said = converse(target, submission, chosen, policy=Policy(), ruler=Ruler(), jobs=2)
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=150, highlight=False, file=nowhere)
        console.print(headline(said))
        for dialect in chosen:
            console.print(dialect_table(said, dialect))
    path.write_text(console.export_svg(title="segbench dialects --predictions otsu"))


if __name__ == "__main__":
    main(sys.argv[1:])
