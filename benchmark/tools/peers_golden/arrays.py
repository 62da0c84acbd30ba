"""Ask the tools that work on NumPy arrays or files; see `run.py`."""

from __future__ import annotations

import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import evaluate
import numpy as np
import surface_distance
from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as cityscapes  # noqa: N813
from common import Ask, Found, arguments, attempt, averaged, command, run
from isic_challenge_scoring.segmentation import SegmentationScore
from masks import IGNORE, Mask, Set
from medpy.metric import binary
from MetricsReloaded.metrics.pairwise_measures import BinaryPairwiseMeasures
from PIL import Image
from sklearn import metrics

TOLERANCE = 2
CITYSCAPES = (7, 8, 11, 12)  # road, sidewalk, building, wall: the first labels that are evaluated
SOURCES = Path(surface_distance.__file__).parents[2]

MEDPY = {
    name: getattr(binary, name)
    for name in ("dc", "jc", "precision", "recall", "specificity", "hd", "hd95", "assd", "asd")
}


def surfaces(prediction: Mask, reference: Mask) -> dict:
    """The distances that every number of surface-distance is made of."""
    return surface_distance.compute_surface_distances(reference, prediction, (1, 1))


SURFACE_DISTANCE = {
    "compute_robust_hausdorff(100)": lambda p, r: surface_distance.compute_robust_hausdorff(
        surfaces(p, r), 100
    ),
    "compute_robust_hausdorff(95)": lambda p, r: surface_distance.compute_robust_hausdorff(
        surfaces(p, r), 95
    ),
    "compute_average_surface_distance()[0]": lambda p, r: (
        surface_distance.compute_average_surface_distance(surfaces(p, r))[0]
    ),
    "compute_average_surface_distance()[1]": lambda p, r: (
        surface_distance.compute_average_surface_distance(surfaces(p, r))[1]
    ),
    "compute_surface_dice_at_tolerance(2)": lambda p, r: (
        surface_distance.compute_surface_dice_at_tolerance(surfaces(p, r), TOLERANCE)
    ),
    "compute_dice_coefficient": lambda p, r: surface_distance.compute_dice_coefficient(r, p),
}


def reloaded(prediction: Mask, reference: Mask) -> BinaryPairwiseMeasures:
    """MetricsReloaded of one pair."""
    return BinaryPairwiseMeasures(
        prediction.astype(np.uint8),
        reference.astype(np.uint8),
        measures=[],
        dict_args={"nsd": TOLERANCE, "hd_perc": 95},
        pixdim=[1, 1],
    )


RELOADED = {
    "dsc": lambda p, r: reloaded(p, r).dsc(),
    "iou": lambda p, r: reloaded(p, r).intersection_over_union(),
    "sensitivity": lambda p, r: reloaded(p, r).sensitivity(),
    "specificity": lambda p, r: reloaded(p, r).specificity(),
    "hd": lambda p, r: reloaded(p, r).measured_hausdorff_distance(),
    "hd_perc(95)": lambda p, r: reloaded(p, r).measured_hausdorff_distance_perc(),
    "assd": lambda p, r: reloaded(p, r).measured_average_distance(),
    "masd": lambda p, r: reloaded(p, r).measured_masd(),
    "nsd(2)": lambda p, r: reloaded(p, r).normalised_surface_distance(),
}


def sklearn(what: Set) -> Found:
    """All valid pixels of a set as one long list of labels, as scikit-learn takes them."""
    truth = np.concatenate([r[r != IGNORE] for r, _ in what.pairs])
    guess = np.concatenate([p[r != IGNORE] for r, p in what.pairs])
    labels = list(range(what.n_classes))
    found = {
        "accuracy_score": attempt(lambda: metrics.accuracy_score(truth, guess)),
        "balanced_accuracy_score": attempt(lambda: metrics.balanced_accuracy_score(truth, guess)),
    }
    if what.n_classes == 2:  # noqa: PLR2004
        found |= {
            "jaccard_score": attempt(lambda: metrics.jaccard_score(truth, guess)),
            "f1_score": attempt(lambda: metrics.f1_score(truth, guess)),
        }
    for short in ("jaccard", "f1"):
        score = getattr(metrics, f"{short}_score")
        found[f"{short}_score(average='macro')"] = attempt(
            lambda score=score: score(truth, guess, average="macro")
        )
        found[f"{short}_score(average='macro', labels=all)"] = attempt(
            lambda score=score: score(truth, guess, average="macro", labels=labels)
        )
    return found


def huggingface() -> Ask:
    """`evaluate`'s mean_iou."""
    metric = evaluate.load(str(SOURCES / "evaluate" / "metrics" / "mean_iou"))

    def ask(what: Set) -> Found:
        def compute() -> dict:
            return metric.compute(
                predictions=[p for _, p in what.pairs],
                references=[r for r, _ in what.pairs],
                num_labels=what.n_classes,
                ignore_index=IGNORE,
            )

        found = attempt(compute)
        names = ("mean_iou", "mean_accuracy", "overall_accuracy", "per_category_iou")
        return {name: found.get(name, found) for name in names}

    return ask


def isic(what: Set) -> Found:
    """The official scoring of ISIC's task 1, for a single object."""
    if what.n_classes != 2:  # noqa: PLR2004
        return {}
    images = [
        SimpleNamespace(
            image_id=str(i), truth_image=255 * (r == 1), prediction_image=255 * (p == 1)
        )
        for i, (r, p) in enumerate(what.pairs)
    ]
    return attempt(SegmentationScore(images).macro_average.to_dict)


def city(what: Set) -> Found:
    """The official pixel-level evaluation, on files, with classes 0.. as labels of Cityscapes."""
    args = cityscapes.args
    args.evalInstLevelScore = args.JSONOutput = False
    args.quiet = True
    to_label = np.zeros(256, np.uint8)  # 0 is "unlabeled", which is ignored
    to_label[: len(CITYSCAPES)] = CITYSCAPES
    with tempfile.TemporaryDirectory() as folder:
        files: dict[str, list[str]] = {"pred": [], "gt": []}
        for i, (reference, prediction) in enumerate(what.pairs):
            for kind, mask in (("pred", prediction), ("gt", reference)):
                files[kind].append(f"{folder}/{kind}{i}.png")
                Image.fromarray(to_label[mask]).save(files[kind][-1], compress_level=1)
        result = cityscapes.evaluateImgLists(files["pred"], files["gt"], args)
    used = [cityscapes.id2label[i].name for i in CITYSCAPES[: what.n_classes]]
    scores = result["classScores"]
    return attempt(
        lambda: {
            "averageScoreClasses": result["averageScoreClasses"],
            "classScores": [scores[name] for name in used],
        }
    )


def commit(name: str) -> str:
    """The commit of a source folder."""
    done = subprocess.run(
        ["git", "-C", SOURCES / name, "log", "-1", "--format=%h, %cs"],  # noqa: S607
        check=True,
        capture_output=True,
        text=True,
    )
    return f"git {done.stdout.strip()}"


def about(how: str, package: str = "", source: str = "", **more: str) -> dict[str, str]:
    """What a golden file says of its tool."""
    return {
        "version": version(package) if package else commit(source),
        "command": command(__file__),
        "how": how,
        "numpy": np.__version__,
        **more,
    }


if __name__ == "__main__":
    run(
        {
            "medpy": (
                about("functions of each pair alone; mean over images: numpy.mean", "medpy"),
                averaged(MEDPY, np.mean),
            ),
            "surface-distance": (
                about(
                    "functions of each pair alone; mean over images: numpy.mean",
                    source="surface-distance",
                ),
                averaged(SURFACE_DISTANCE, np.mean),
            ),
            "metrics-reloaded": (
                about(
                    "methods of each pair alone; mean over images: numpy.nanmean",
                    source="MetricsReloaded",
                ),
                averaged(RELOADED, np.nanmean),
            ),
            "sklearn": (about("the tool's functions, all valid pixels", "scikit-learn"), sklearn),
            "hf": (
                about(
                    "evaluate.load of metrics/mean_iou of the repository, which the hub serves",
                    "evaluate",
                    metric=commit("evaluate"),
                ),
                huggingface(),
            ),
            "isic2018": (
                about("SegmentationScore of isic-challenge-scoring", "isic-challenge-scoring"),
                isic,
            ),
            "cityscapes": (
                about(
                    "evaluateImgLists without the C addon, which the package lacks; classes 0, 1, "
                    "2, 3 as road, sidewalk, building, wall",
                    "cityscapesscripts",
                ),
                city,
            ),
        },
        *arguments(),
    )
