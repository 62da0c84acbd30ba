"""Ask the tools that need torch; see `run.py`."""

from __future__ import annotations

import functools
import importlib.util
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import monai.metrics as monai
import numpy as np
import torch
from common import Ask, Found, arguments, attempt, command, run
from masks import IGNORE, Set
from mmseg.evaluation.metrics.iou_metric import IoUMetric
from nnunetv2.evaluation.evaluate_predictions import compute_metrics_on_folder
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from PIL import Image
from torchmetrics import classification, segmentation

TOLERANCE = 2.0


def tensors(what: Set) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Pairs (prediction, reference) of int64 with a batch axis."""
    return [
        tuple(torch.from_numpy(m.astype(np.int64))[None] for m in (p, r))  # type: ignore[misc]
        for r, p in what.pairs
    ]


def updated(what: Set, metric: Callable) -> object:
    """A metric of torchmetrics that has seen every pair."""
    for prediction, reference in tensors(what):
        metric.update(prediction, reference)
    return metric.compute()


def torchmetrics(what: Set) -> Found:
    """Classification metrics on all pixels, segmentation metrics on images."""
    k = what.n_classes
    every = {"num_classes": k, "ignore_index": IGNORE}
    index = {"num_classes": k, "input_format": "index"}
    made: dict[str, Callable] = {
        "MulticlassJaccardIndex(average='macro')": lambda: classification.MulticlassJaccardIndex(
            **every
        ),
        "MulticlassJaccardIndex(average='micro')": lambda: classification.MulticlassJaccardIndex(
            **every, average="micro"
        ),
        "MulticlassJaccardIndex(average='none')": lambda: classification.MulticlassJaccardIndex(
            **every, average="none"
        ),
        "MulticlassF1Score(average='macro')": lambda: classification.MulticlassF1Score(**every),
        "segmentation.MeanIoU()": lambda: segmentation.MeanIoU(**index),
        "segmentation.MeanIoU(include_background=False)": lambda: segmentation.MeanIoU(
            **index, include_background=False
        ),
        "segmentation.MeanIoU(per_class=True)": lambda: segmentation.MeanIoU(
            **index, per_class=True
        ),
        "segmentation.DiceScore()": lambda: segmentation.DiceScore(**index),
        "segmentation.DiceScore(include_background=False)": lambda: segmentation.DiceScore(
            **index, include_background=False
        ),
        "segmentation.DiceScore(average='micro', include_background=False)": (
            lambda: segmentation.DiceScore(**index, include_background=False, average="micro")
        ),
        "segmentation.DiceScore(aggregation_level='global', include_background=False)": (
            lambda: segmentation.DiceScore(
                **index, include_background=False, aggregation_level="global"
            )
        ),
    }
    if k == 2:  # noqa: PLR2004
        made |= {
            "BinaryJaccardIndex()": classification.BinaryJaccardIndex,
            "BinaryF1Score()": classification.BinaryF1Score,
            "BinaryAccuracy()": classification.BinaryAccuracy,
        }
    return {name: attempt(lambda make=make: updated(what, make())) for name, make in made.items()}


def monai_(what: Set) -> Found:
    """Metrics fed one image at a time, as one-hot maps; pixels of 255 are of no class."""
    k = what.n_classes

    def one_hot(labels: torch.Tensor) -> torch.Tensor:
        return torch.stack([labels == c for c in range(k)], dim=1).float()

    def seen(metric: Callable) -> object:
        for prediction, reference in tensors(what):
            metric(one_hot(prediction), one_hot(reference))
        return metric.aggregate()

    no = {"include_background": False}
    made = {
        "DiceMetric()": monai.DiceMetric,
        "DiceMetric(include_background=False)": lambda: monai.DiceMetric(**no),
        "DiceMetric(include_background=False, ignore_empty=False)": lambda: monai.DiceMetric(
            **no, ignore_empty=False
        ),
        "MeanIoU()": monai.MeanIoU,
        "MeanIoU(include_background=False)": lambda: monai.MeanIoU(**no),
        "MeanIoU(include_background=False, ignore_empty=False)": lambda: monai.MeanIoU(
            **no, ignore_empty=False
        ),
        "HausdorffDistanceMetric()": monai.HausdorffDistanceMetric,
        "HausdorffDistanceMetric(percentile=95)": lambda: monai.HausdorffDistanceMetric(
            percentile=95
        ),
        "SurfaceDistanceMetric()": monai.SurfaceDistanceMetric,
        "SurfaceDistanceMetric(symmetric=True)": lambda: monai.SurfaceDistanceMetric(
            symmetric=True
        ),
        "SurfaceDiceMetric(class_thresholds=[2])": lambda: monai.SurfaceDiceMetric(
            [TOLERANCE] * (k - 1)
        ),
        "SurfaceDiceMetric(class_thresholds=[2], use_subvoxels=True)": (
            lambda: monai.SurfaceDiceMetric([TOLERANCE] * (k - 1), use_subvoxels=True)
        ),
    }
    return {name: attempt(lambda make=make: _scalar(seen(make()))) for name, make in made.items()}


def _scalar(found: torch.Tensor) -> torch.Tensor:
    return found.reshape(()) if found.numel() == 1 else found


def mmseg(what: Set) -> Found:
    """IoUMetric, in per cent with two decimals as it prints them."""
    metric = IoUMetric(iou_metrics=["mIoU", "mDice", "mFscore"])
    metric.dataset_meta = {"classes": [str(c) for c in range(what.n_classes)]}
    for prediction, reference in tensors(what):
        sample = {"pred_sem_seg": {"data": prediction}, "gt_sem_seg": {"data": reference}}
        metric.process({}, [sample])
    return attempt(lambda: metric.compute_metrics(metric.results))


def smp() -> Ask:
    """segmentation_models_pytorch.metrics, loaded without the package (its models need timm)."""
    root = importlib.util.find_spec("segmentation_models_pytorch")
    path = Path(root.origin).parent / "metrics" / "functional.py"  # type: ignore[union-attr,arg-type]
    spec = importlib.util.spec_from_file_location("smp_metrics", path)
    metrics = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    sys.modules["smp_metrics"] = metrics
    spec.loader.exec_module(metrics)  # type: ignore[union-attr]

    def ask(what: Set) -> Found:
        found: Found = {}

        def stats(mode: str, **options: object) -> tuple[torch.Tensor, ...]:
            """Of each image alone, because their sizes differ; (images, classes)."""
            channel = (slice(None), None) if mode == "binary" else (slice(None),)
            each = [
                metrics.get_stats(p[channel], r[channel], mode=mode, **options)
                for p, r in tensors(what)
            ]
            return tuple(torch.cat(part) for part in zip(*each, strict=True))

        def fill(of: tuple, mode: str, wanted: dict[str, tuple[str, ...]]) -> None:
            for key, reductions in wanted.items():
                for reduction in reductions:
                    score = functools.partial(getattr(metrics, key), *of, reduction=reduction)
                    found[f"{key}({mode}, reduction='{reduction}')"] = attempt(score)

        if what.n_classes == 2:  # noqa: PLR2004
            both = ("micro", "micro-imagewise")
            fill(
                stats("binary"),
                "binary",
                {"iou_score": both, "f1_score": both, "accuracy": ("micro",)},
            )
        many = stats("multiclass", num_classes=what.n_classes, ignore_index=IGNORE)
        over = ("micro", "macro", "macro-imagewise")
        fill(many, "multiclass", {"iou_score": over, "f1_score": ("macro",)})
        return found

    return ask


def nnunet(what: Set) -> Found:
    """compute_metrics_on_folder on PNG files."""
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("references", "predictions"):
            (Path(folder) / kind).mkdir()
        for i, (reference, prediction) in enumerate(what.pairs):
            for kind, mask in (("references", reference), ("predictions", prediction)):
                path = Path(folder) / kind / f"{i:04d}.png"
                Image.fromarray(mask).save(path, compress_level=1)
        labels = list(range(1, what.n_classes))
        found = compute_metrics_on_folder(
            f"{folder}/references",
            f"{folder}/predictions",
            None,
            NaturalImage2DIO(),
            ".png",
            labels,
            ignore_label=IGNORE if what.ignores else None,
            num_processes=1,
        )
    keys = ("Dice", "IoU")
    means = {f"mean {key}": [found["mean"][c][key] for c in labels] for key in keys}
    return attempt(
        lambda: means | {f"foreground_mean {key}": found["foreground_mean"][key] for key in keys}
    )


def about(how: str, *packages: str, **more: str) -> dict[str, str]:
    """What a golden file says of its tool."""
    found = ", ".join(f"{p} {version(p)}" if i else version(p) for i, p in enumerate(packages))
    torch_ = {"torch": torch.__version__, "numpy": np.__version__}
    return {"version": found, "command": command(__file__), "how": how, **torch_, **more}


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(
        {
            "torchmetrics": (about("metrics updated image by image", "torchmetrics"), torchmetrics),
            "monai": (about("metrics called image by image, on one-hot maps", "monai"), monai_),
            "mmseg": (
                about(
                    "IoUMetric.process image by image, then compute_metrics",
                    "mmsegmentation",
                    "mmcv-lite",
                    "mmengine-lite",
                ),
                mmseg,
            ),
            "smp": (
                about("metrics/functional.py of the package", "segmentation-models-pytorch"),
                smp(),
            ),
            "nnunet": (
                about(
                    "compute_metrics_on_folder",
                    "nnunetv2",
                    **{"one by one": "no: each call starts a pool of processes"},
                ),
                nnunet,
            ),
        },
        *arguments(),
    )
