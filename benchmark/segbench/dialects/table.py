"""The dialects: one literal table. What a tool prints is a set of rules of our own.

Versions are those whose values the tests hold these rules to (`tests/golden/dialects`, written by
`make peers-golden`); `docs/dialects.md` says how far they agree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from segbench.dialects.rules import Average, Overlap, Rule, Surface
from segbench.errors import SegbenchError
from segbench.measures import Over

Ignored = Literal["left out", "unknown", "refused"]
Precision = Literal["float64", "float32", "2 decimals of a per cent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """One number that a tool prints.

    Attributes:
        name: The call that gives it, in the tool's words.
        rule: How it comes about.
        ours: Key and average of our nearest measure.
        why: Why it differs from that; "" where it does not.
        wrong: What is plainly wrong with it, where something is.
        binary: Only for a background and one object.
        refuses_ignored: It raises an error where the reference ignores pixels.
        percent: Per cent, rounded to two decimals.
    """

    name: str
    rule: Rule
    ours: tuple[str, Over]
    why: str = ""
    wrong: str = ""
    binary: bool = False
    refuses_ignored: bool = False
    percent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """A tool and the numbers that it prints.

    Attributes:
        name: In commands.
        title: In words.
        version: To which the rules are held.
        url: Where the tool is.
        about: What marks it, in a line.
        numbers: What it prints.
        every_pixel: It knows nothing of ignored pixels: what is predicted there is a false alarm.
        precision: In which it computes or prints.
        mean: The mean over images, where the tool has none of its own.
    """

    name: str
    title: str
    version: str
    url: str
    about: str
    numbers: tuple[Number, ...]
    every_pixel: bool = False
    precision: Precision = "float64"
    mean: str = ""


EACH = Average(steps=())
IMAGES = Average(steps=("images",))
EVERY_IMAGE = Average(steps=("images",), strict=("images",))
CLASSES = Average(steps=("classes",))
EVERY_CLASS = Average(steps=("classes",), strict=("classes",))
CLASSES_THEN_IMAGES = Average(steps=("classes", "images"))
MONAI = Average(steps=("classes", "images"), nothing=0.0)

ZERO = "a class in neither map scores 0; ours is undefined and left out"
ONE = "a class in neither map scores 1; ours is undefined and left out"
NO_POOLED = "mean over images of the mean over the image's classes; ours is of one class"
PAIRS = "mean over all pairs of image and class that occur; ours is pooled over the images first"
BACKGROUND = "the background is a class like any other; ours is of the object"
ABSENT_IS_0 = "right about an absent class, and scored 0"

TORCHMETRICS = Dialect(
    name="torchmetrics",
    title="TorchMetrics",
    version="1.9.0",
    url="https://lightning.ai/docs/torchmetrics",
    about="pools all pixels in `classification`, averages images in `segmentation`",
    precision="float32",
    numbers=(
        Number(
            name="BinaryJaccardIndex()",
            rule=Overlap(ratio="iou", classes="foreground", pooled=True, zero=0, average=EACH),
            ours=("iou", "dataset"),
            why="two empty masks score 0; ours is undefined",
            wrong="right about an empty mask, and scored 0",
            binary=True,
        ),
        Number(
            name="BinaryF1Score()",
            rule=Overlap(ratio="dice", classes="foreground", pooled=True, zero=0, average=EACH),
            ours=("dice", "dataset"),
            why="two empty masks score 0; ours is undefined",
            wrong="right about an empty mask, and scored 0",
            binary=True,
        ),
        Number(
            name="BinaryAccuracy()",
            rule=Overlap(ratio="accuracy", classes="foreground", pooled=True, average=EACH),
            ours=("accuracy", "dataset"),
            binary=True,
        ),
        Number(
            name="MulticlassJaccardIndex(average='macro')",
            rule=Overlap(ratio="iou", pooled=True, average=CLASSES),
            ours=("iou", "classes"),
        ),
        Number(
            name="MulticlassJaccardIndex(average='micro')",
            rule=Overlap(ratio="iou", pooled=True, micro=True, average=EACH),
            ours=("accuracy", "dataset"),
            why="the classes' pixels are pooled: a / (2 - a) of the accuracy a, no mean of classes",
        ),
        Number(
            name="MulticlassJaccardIndex(average='none')",
            rule=Overlap(ratio="iou", pooled=True, zero=0, average=EACH),
            ours=("iou", "dataset"),
            why=ZERO,
            wrong=ABSENT_IS_0,
        ),
        Number(
            name="MulticlassF1Score(average='macro')",
            rule=Overlap(ratio="dice", pooled=True, average=CLASSES),
            ours=("dice", "classes"),
        ),
        Number(
            name="segmentation.MeanIoU()",
            rule=Overlap(ratio="iou", average=Average(steps=("pairs",))),
            ours=("iou", "classes"),
            why=PAIRS,
            refuses_ignored=True,
        ),
        Number(
            name="segmentation.MeanIoU(include_background=False)",
            rule=Overlap(ratio="iou", classes="foreground", average=Average(steps=("pairs",))),
            ours=("iou", "images"),
            why="mean over all pairs of image and class that occur: with one class, our mean",
            refuses_ignored=True,
        ),
        Number(
            name="segmentation.MeanIoU(per_class=True)",
            rule=Overlap(ratio="iou", average=Average(steps=("images",), nothing=-1.0)),
            ours=("iou", "images"),
            why="a class that never occurs scores -1; ours is undefined",
            wrong="an IoU is never -1",
            refuses_ignored=True,
        ),
        Number(
            name="segmentation.DiceScore()",
            rule=Overlap(ratio="dice", average=CLASSES_THEN_IMAGES),
            ours=("dice", "images"),
            why=f"{BACKGROUND}; {NO_POOLED}",
            refuses_ignored=True,
        ),
        Number(
            name="segmentation.DiceScore(include_background=False)",
            rule=Overlap(ratio="dice", classes="foreground", average=CLASSES_THEN_IMAGES),
            ours=("dice", "images"),
            why="with one class, our mean; with several, of each image's mean over its classes",
            refuses_ignored=True,
        ),
        Number(
            name="segmentation.DiceScore(average='micro', include_background=False)",
            rule=Overlap(ratio="dice", classes="foreground", micro=True, average=IMAGES),
            ours=("dice", "images"),
            why="with one class, our mean; with several, the classes' pixels are pooled",
            refuses_ignored=True,
        ),
        Number(
            name="segmentation.DiceScore(aggregation_level='global', include_background=False)",
            rule=Overlap(ratio="dice", classes="foreground", pooled=True, average=CLASSES),
            ours=("dice", "dataset"),
            why="with one class, our pooled value; with several, its mean over the classes",
            refuses_ignored=True,
        ),
    ),
)

_EMPTY_REFERENCE = (
    "left out where the reference is empty, even if something is predicted there; ours is 0 then"
)
_FREE = "a false alarm where the reference is empty costs nothing"
_MISSED = "an object that is missed whole is left out, so that it costs nothing"

MONAI_DIALECT = Dialect(
    name="monai",
    title="MONAI",
    version="1.6.1",
    url="https://docs.monai.io/en/stable/metrics.html",
    about="averages the classes of an image, then the images; leaves out empty references",
    precision="float32",
    every_pixel=True,
    numbers=(
        Number(
            name="DiceMetric()",
            rule=Overlap(ratio="dice", referenced=True, average=MONAI),
            ours=("dice", "images"),
            why=f"{BACKGROUND} (so by default)",
            wrong=_FREE,
        ),
        Number(
            name="DiceMetric(include_background=False)",
            rule=Overlap(ratio="dice", classes="foreground", referenced=True, average=MONAI),
            ours=("dice", "images"),
            why=_EMPTY_REFERENCE,
            wrong=f"{_FREE}; where nothing could be scored it prints 0",
        ),
        Number(
            name="DiceMetric(include_background=False, ignore_empty=False)",
            rule=Overlap(ratio="dice", classes="foreground", zero=1, average=MONAI),
            ours=("dice", "images"),
            why="two empty masks score 1; ours is undefined and left out",
        ),
        Number(
            name="MeanIoU()",
            rule=Overlap(ratio="iou", referenced=True, average=MONAI),
            ours=("iou", "images"),
            why=f"{BACKGROUND} (so by default)",
            wrong=_FREE,
        ),
        Number(
            name="MeanIoU(include_background=False)",
            rule=Overlap(ratio="iou", classes="foreground", referenced=True, average=MONAI),
            ours=("iou", "images"),
            why=_EMPTY_REFERENCE,
            wrong=f"{_FREE}; where nothing could be scored it prints 0",
        ),
        Number(
            name="MeanIoU(include_background=False, ignore_empty=False)",
            rule=Overlap(ratio="iou", classes="foreground", zero=1, average=MONAI),
            ours=("iou", "images"),
            why="two empty masks score 1; ours is undefined and left out",
        ),
        Number(
            name="HausdorffDistanceMetric()",
            rule=Surface(reduction="hd", average=MONAI),
            ours=("hd", "images"),
            why="infinite where one mask is empty; ours is the image's diagonal",
        ),
        Number(
            name="HausdorffDistanceMetric(percentile=95)",
            rule=Surface(
                reduction="hd95 max",
                average=MONAI,
                no_prediction=math.nan,
                no_reference=math.nan,
            ),
            ours=("hd95", "images"),
            why="undefined and left out where one mask is empty; ours is the image's diagonal",
            wrong=_MISSED,
        ),
        Number(
            name="SurfaceDistanceMetric()",
            rule=Surface(
                reduction="asd of prediction",
                average=MONAI,
                no_prediction=math.inf,
                no_reference=math.inf,
            ),
            ours=("assd", "images"),
            why="one direction only, from the prediction, so that what is missed costs nothing",
        ),
        Number(
            name="SurfaceDistanceMetric(symmetric=True)",
            rule=Surface(reduction="assd", average=MONAI),
            ours=("assd", "images"),
            why="infinite where one mask is empty; ours is the image's diagonal",
        ),
        Number(
            name="SurfaceDiceMetric(class_thresholds=[2])",
            rule=Surface(reduction="nsd", average=MONAI),
            ours=("nsd", "images"),
        ),
        Number(
            name="SurfaceDiceMetric(class_thresholds=[2], use_subvoxels=True)",
            rule=Surface(reduction="nsd", boundary="length", average=MONAI),
            ours=("nsd", "images"),
            why="elements between the pixels, weighted by length (our --boundary length)",
        ),
    ),
)

_NO_RESULT = "RuntimeError: The first supplied array does not contain any binary object."
_NO_REFERENCE = "RuntimeError: The second supplied array does not contain any binary object."
_RAISES = "an empty mask is an error; ours is the image's diagonal"


def _medpy_surface(name: str, reduction: str, key: str, why: str) -> Number:
    return Number(
        name=name,
        rule=Surface(
            reduction=reduction,  # type: ignore[arg-type]  literals below
            average=EVERY_IMAGE,
            both_empty=_NO_RESULT,
            no_prediction=_NO_RESULT,
            no_reference=_NO_REFERENCE,
        ),
        ours=(key, "images"),
        why=why,
    )


MEDPY = Dialect(
    name="medpy",
    title="MedPy",
    version="0.5.2",
    url="https://loli.github.io/medpy/metric.html",
    about="one pair of masks at a time; the percentile is of both directions' distances together",
    every_pixel=True,
    mean="numpy.mean",
    numbers=(
        Number(
            name="dc",
            rule=Overlap(ratio="dice", classes="foreground", zero=1, average=EVERY_IMAGE),
            ours=("dice", "images"),
            why="two empty masks score 1; ours is undefined and left out",
        ),
        Number(
            name="jc",
            rule=Overlap(ratio="iou", classes="foreground", zero=1, average=EVERY_IMAGE),
            ours=("iou", "images"),
            why="two empty masks score 1; ours is undefined and left out",
        ),
        Number(
            name="precision",
            rule=Overlap(ratio="precision", classes="foreground", zero=0, average=EVERY_IMAGE),
            ours=("precision", "images"),
            why="two empty masks score 0, where dc and jc score 1; ours is undefined",
        ),
        Number(
            name="recall",
            rule=Overlap(ratio="recall", classes="foreground", zero=0, average=EVERY_IMAGE),
            ours=("recall", "images"),
            why="two empty masks score 0, where dc and jc score 1; ours is undefined",
        ),
        Number(
            name="specificity",
            rule=Overlap(ratio="specificity", classes="foreground", zero=0, average=EVERY_IMAGE),
            ours=("specificity", "images"),
            why="0 where the object fills both masks; ours is undefined",
        ),
        _medpy_surface("hd", "hd", "hd", _RAISES),
        _medpy_surface(
            "hd95",
            "hd95 pooled",
            "hd95",
            "percentile of both directions together (our --percentile-rule pooled); " + _RAISES,
        ),
        _medpy_surface("assd", "assd", "assd", _RAISES),
        _medpy_surface(
            "asd", "asd of prediction", "assd", "one direction only, from the prediction"
        ),
    ),
)

_ELEMENTS = "elements between the pixels, weighted by length (our --boundary length)"


def _length(name: str, reduction: str, key: str, why: str, **more: object) -> Number:
    wrong = str(more.pop("wrong", ""))
    return Number(
        name=name,
        rule=Surface(reduction=reduction, boundary="length", average=EVERY_IMAGE, **more),  # type: ignore[arg-type]
        ours=(key, "images"),
        why=why,
        wrong=wrong,
    )


SURFACE_DISTANCE = Dialect(
    name="surface-distance",
    title="DeepMind's surface-distance",
    version="git 1f805ce (2025-02-19)",
    url="https://github.com/google-deepmind/surface-distance",
    about="boundaries are elements between the pixels, weighted by length (arXiv 1809.04430)",
    every_pixel=True,
    mean="numpy.mean",
    numbers=(
        _length(
            "compute_robust_hausdorff(100)",
            "hd",
            "hd",
            _ELEMENTS,
            both_empty=math.inf,
            wrong="infinite for two empty masks, which agree",
        ),
        _length(
            "compute_robust_hausdorff(95)",
            "hd95 max",
            "hd95",
            f"{_ELEMENTS}; no interpolation",
            both_empty=math.inf,
            wrong="infinite for two empty masks, which agree",
        ),
        _length(
            "compute_average_surface_distance()[0]",
            "asd of reference",
            "assd",
            "one direction only, from the reference",
        ),
        _length(
            "compute_average_surface_distance()[1]",
            "asd of prediction",
            "assd",
            "one direction only, from the prediction",
        ),
        _length("compute_surface_dice_at_tolerance(2)", "nsd", "nsd", _ELEMENTS),
        Number(
            name="compute_dice_coefficient",
            rule=Overlap(ratio="dice", classes="foreground", average=EVERY_IMAGE),
            ours=("dice", "images"),
            why="numpy.mean over images is undefined if one is; ours leaves it out",
        ),
    ),
)


def _reloaded(name: str, reduction: str, key: str) -> Number:
    return Number(
        name=name,
        rule=Surface(
            reduction=reduction,  # type: ignore[arg-type]  literals below
            average=IMAGES,
            both_empty=0.0,
            no_prediction=math.nan,
            no_reference=math.nan,
        ),
        ours=(key, "images"),
        why="0 for two empty masks, undefined for one; ours are undefined and the diagonal",
        wrong=_MISSED,
    )


METRICS_RELOADED = Dialect(
    name="metrics-reloaded",
    title="MetricsReloaded",
    version="git cb38dfc (2025-06-02)",
    url="https://github.com/Project-MONAI/MetricsReloaded",
    about="the package of Maier-Hein et al. 2024 (doi 10.1038/s41592-023-02151-z)",
    every_pixel=True,
    mean="numpy.nanmean",
    numbers=(
        Number(
            name="dsc",
            rule=Overlap(ratio="dice", classes="foreground", zero=1, average=IMAGES),
            ours=("dice", "images"),
            why="two empty masks score 1, where iou is undefined; ours is undefined",
        ),
        Number(
            name="iou",
            rule=Overlap(ratio="iou", classes="foreground", average=IMAGES),
            ours=("iou", "images"),
        ),
        Number(
            name="sensitivity",
            rule=Overlap(ratio="recall", classes="foreground", average=IMAGES),
            ours=("recall", "images"),
            why="undefined where the reference is empty; ours is 0 if something is predicted",
        ),
        Number(
            name="specificity",
            rule=Overlap(ratio="specificity", classes="foreground", average=IMAGES),
            ours=("specificity", "images"),
            why="undefined where the reference is full; ours is 0 if background is predicted",
        ),
        _reloaded("hd", "hd", "hd"),
        _reloaded("hd_perc(95)", "hd95 max", "hd95"),
        _reloaded("assd", "assd", "assd"),
        _reloaded("masd", "masd", "masd"),
        Number(
            name="nsd(2)",
            rule=Surface(reduction="nsd from the corner", average=IMAGES, both_empty=1.0),
            ours=("nsd", "images"),
            why="two empty masks score 1; ours is undefined",
            wrong="one mask empty: a boundary near the image's first pixel counts as found",
        ),
    ),
)


def _mmseg(name: str, ratio: str, key: str, why: str = "", *, micro: bool = False) -> Number:
    return Number(
        name=name,
        rule=Overlap(
            ratio=ratio,  # type: ignore[arg-type]  literals below
            pooled=True,
            micro=micro,
            single_precision=True,
            average=EACH if micro else CLASSES,
        ),
        ours=(key, "dataset" if micro else "classes"),
        why=why or "in per cent, two decimals",
        percent=True,
    )


_UNPREDICTED = "a class that is never predicted is left out; ours is 0 then"
MMSEG = Dialect(
    name="mmseg",
    title="MMSegmentation, IoUMetric",
    version="1.2.2",
    url="https://github.com/open-mmlab/mmsegmentation",
    about="pools all pixels; leaves out a class that is in neither map",
    precision="2 decimals of a per cent",
    numbers=(
        _mmseg("aAcc", "recall", "accuracy", micro=True),
        _mmseg("mIoU", "iou", "iou"),
        _mmseg("mAcc", "recall", "recall", "a class that the reference lacks is left out"),
        _mmseg("mDice", "dice", "dice"),
        _mmseg("mFscore", "fscore", "dice", f"{_UNPREDICTED}, or has no true positive"),
        _mmseg("mPrecision", "precision", "precision", _UNPREDICTED),
        _mmseg("mRecall", "recall", "recall", "a class that the reference lacks is left out"),
    ),
)

HF = Dialect(
    name="hf",
    title="Hugging Face evaluate, mean_iou",
    version="0.4.6",
    url="https://huggingface.co/spaces/evaluate-metric/mean_iou",
    about="MMSegmentation's rules in float64; ignore_index=0 would leave false alarms out",
    numbers=(
        Number(
            name="mean_iou",
            rule=Overlap(ratio="iou", pooled=True, average=CLASSES),
            ours=("iou", "classes"),
        ),
        Number(
            name="mean_accuracy",
            rule=Overlap(ratio="recall", pooled=True, average=CLASSES),
            ours=("recall", "classes"),
            why="it is the mean recall; a class that the reference lacks is left out, ours is 0",
        ),
        Number(
            name="overall_accuracy",
            rule=Overlap(ratio="recall", pooled=True, micro=True, average=EACH),
            ours=("accuracy", "dataset"),
        ),
        Number(
            name="per_category_iou",
            rule=Overlap(ratio="iou", pooled=True, average=EACH),
            ours=("iou", "dataset"),
        ),
    ),
)

SMP = Dialect(
    name="smp",
    title="segmentation-models-pytorch, metrics",
    version="0.6.0",
    url="https://smp.readthedocs.io/en/latest/metrics.html",
    about="the reduction decides what is pooled; a class in neither map scores 1 (zero_division)",
    precision="float32",
    numbers=(
        Number(
            name="iou_score(binary, reduction='micro')",
            rule=Overlap(ratio="iou", classes="foreground", pooled=True, average=EACH),
            ours=("iou", "dataset"),
            binary=True,
        ),
        Number(
            name="iou_score(binary, reduction='micro-imagewise')",
            rule=Overlap(ratio="iou", classes="foreground", zero=1, average=EVERY_IMAGE),
            ours=("iou", "images"),
            why=ONE,
            binary=True,
        ),
        Number(
            name="f1_score(binary, reduction='micro')",
            rule=Overlap(ratio="dice", classes="foreground", pooled=True, average=EACH),
            ours=("dice", "dataset"),
            binary=True,
        ),
        Number(
            name="f1_score(binary, reduction='micro-imagewise')",
            rule=Overlap(ratio="dice", classes="foreground", zero=1, average=EVERY_IMAGE),
            ours=("dice", "images"),
            why=ONE,
            binary=True,
        ),
        Number(
            name="accuracy(binary, reduction='micro')",
            rule=Overlap(ratio="accuracy", classes="foreground", pooled=True, average=EACH),
            ours=("accuracy", "dataset"),
            binary=True,
        ),
        Number(
            name="iou_score(multiclass, reduction='micro')",
            rule=Overlap(ratio="iou", pooled=True, micro=True, average=EACH),
            ours=("accuracy", "dataset"),
            why="the classes' pixels are pooled: a / (2 - a) of the accuracy a, no mean of classes",
        ),
        Number(
            name="iou_score(multiclass, reduction='macro')",
            rule=Overlap(ratio="iou", pooled=True, zero=1, average=EVERY_CLASS),
            ours=("iou", "classes"),
            why=ONE,
            wrong="classes that do not occur raise the mean",
        ),
        Number(
            name="iou_score(multiclass, reduction='macro-imagewise')",
            rule=Overlap(
                ratio="iou",
                zero=1,
                average=Average(steps=("images", "classes"), strict=("images", "classes")),
            ),
            ours=("iou", "classes"),
            why=f"mean over images, then over classes; {ONE}",
            wrong="classes that do not occur in an image raise the mean",
        ),
        Number(
            name="f1_score(multiclass, reduction='macro')",
            rule=Overlap(ratio="dice", pooled=True, zero=1, average=EVERY_CLASS),
            ours=("dice", "classes"),
            why=ONE,
            wrong="classes that do not occur raise the mean",
        ),
    ),
)

SKLEARN = Dialect(
    name="sklearn",
    title="scikit-learn",
    version="1.9.1",
    url="https://scikit-learn.org/stable/modules/model_evaluation.html",
    about="one long list of pixels: pooled",
    numbers=(
        Number(
            name="accuracy_score",
            rule=Overlap(ratio="recall", pooled=True, micro=True, average=EACH),
            ours=("accuracy", "dataset"),
        ),
        Number(
            name="balanced_accuracy_score",
            rule=Overlap(ratio="recall", pooled=True, average=CLASSES),
            ours=("recall", "classes"),
            why="a class that the reference lacks is left out; ours is 0 if it is predicted",
        ),
        Number(
            name="jaccard_score",
            rule=Overlap(ratio="iou", classes="foreground", pooled=True, zero=0, average=EACH),
            ours=("iou", "dataset"),
            why="two empty masks score 0; ours is undefined",
            wrong="right about an empty mask, and scored 0",
            binary=True,
        ),
        Number(
            name="f1_score",
            rule=Overlap(ratio="dice", classes="foreground", pooled=True, zero=0, average=EACH),
            ours=("dice", "dataset"),
            why="two empty masks score 0; ours is undefined",
            wrong="right about an empty mask, and scored 0",
            binary=True,
        ),
        Number(
            name="jaccard_score(average='macro')",
            rule=Overlap(ratio="iou", pooled=True, average=CLASSES),
            ours=("iou", "classes"),
        ),
        Number(
            name="jaccard_score(average='macro', labels=all)",
            rule=Overlap(ratio="iou", pooled=True, zero=0, average=CLASSES),
            ours=("iou", "classes"),
            why=ZERO,
            wrong=ABSENT_IS_0,
        ),
        Number(
            name="f1_score(average='macro')",
            rule=Overlap(ratio="dice", pooled=True, average=CLASSES),
            ours=("dice", "classes"),
        ),
        Number(
            name="f1_score(average='macro', labels=all)",
            rule=Overlap(ratio="dice", pooled=True, zero=0, average=CLASSES),
            ours=("dice", "classes"),
            why=ZERO,
            wrong=ABSENT_IS_0,
        ),
    ),
)


def _nnunet(name: str, ratio: str, key: str, *, mean: bool) -> Number:
    steps = Average(steps=("images", "classes"), strict=("classes",)) if mean else IMAGES
    return Number(
        name=name,
        rule=Overlap(ratio=ratio, classes="foreground", average=steps),  # type: ignore[arg-type]
        ours=(key, "images"),
        why="mean over classes of the means over images" if mean else "",
        wrong="undefined as soon as one class is in no image" if mean else "",
    )


NNUNET = Dialect(
    name="nnunet",
    title="nnU-Net, evaluate_predictions",
    version="2.8.1",
    url="https://github.com/MIC-DKFZ/nnUNet",
    about="mean over images of each class, undefined values left out; no boundaries",
    numbers=(
        _nnunet("mean Dice", "dice", "dice", mean=False),
        _nnunet("mean IoU", "iou", "iou", mean=False),
        _nnunet("foreground_mean Dice", "dice", "dice", mean=True),
        _nnunet("foreground_mean IoU", "iou", "iou", mean=True),
    ),
)


def _isic(name: str, ratio: str, key: str, why: str, threshold: float = 0.0) -> Number:
    return Number(
        name=name,
        rule=Overlap(
            ratio=ratio,  # type: ignore[arg-type]  literals below
            classes="foreground",
            zero=1,
            threshold=threshold,
            average=EVERY_IMAGE,
        ),
        ours=(key, "images"),
        why=why,
        binary=True,
    )


_ISIC_ONE = "0/0 scores 1; ours is undefined and left out"
ISIC2018 = Dialect(
    name="isic2018",
    title="ISIC challenge scoring, lesion segmentation",
    version="5.6.0",
    url="https://github.com/ImageMarkup/isic-challenge-scoring",
    about="mean over images; ranked by the Jaccard index that is 0 under .65 (arXiv 1902.03368)",
    every_pixel=True,
    numbers=(
        _isic("accuracy", "accuracy", "accuracy", ""),
        _isic("sensitivity", "recall", "recall", "1 where the reference is empty"),
        _isic("specificity", "specificity", "specificity", "1 where the reference is full"),
        _isic("jaccard", "iou", "iou", _ISIC_ONE),
        _isic("threshold_jaccard", "iou", "thresholded_iou", _ISIC_ONE, threshold=0.65),
        _isic("dice", "dice", "dice", _ISIC_ONE),
    ),
)

CITYSCAPES = Dialect(
    name="cityscapes",
    title="cityscapesScripts, pixel-level evaluation",
    version="2.3.0",
    url="https://github.com/mcordts/cityscapesScripts",
    about="pools all pixels; leaves out a class that is in neither map (arXiv 1604.01685)",
    numbers=(
        Number(
            name="averageScoreClasses",
            rule=Overlap(ratio="iou", pooled=True, average=CLASSES),
            ours=("iou", "classes"),
        ),
        Number(
            name="classScores",
            rule=Overlap(ratio="iou", pooled=True, average=EACH),
            ours=("iou", "dataset"),
        ),
    ),
)

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        TORCHMETRICS,
        MONAI_DIALECT,
        MEDPY,
        MMSEG,
        HF,
        SMP,
        SKLEARN,
        SURFACE_DISTANCE,
        METRICS_RELOADED,
        NNUNET,
        ISIC2018,
        CITYSCAPES,
    )
}


def dialect_of(name: str) -> Dialect:
    """The dialect of a name.

    Raises:
        SegbenchError: There is none.
    """
    if name not in DIALECTS:
        raise SegbenchError(f"no dialect {name!r}; there are {', '.join(DIALECTS)}")
    return DIALECTS[name]
