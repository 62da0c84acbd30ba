"""The same work by segbench and by its peers: one function a tool, called with a list of pairs.

Each returns what it found of the last pair or of all pairs, so that the tools can be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import deflate
import hotcoco.semantic
import numpy as np
from data import Mask, Pairs

from segbench import surface
from segbench.kernels import joint_pairs
from segbench.masks.png import CHANNELS, open_png
from segbench.masks.prepared import open_prepared
from segbench.masks.submission import open_submission
from segbench.measures import parse, values
from segbench.scoring.tally import Policy, tally
from segbench.scoring.target import prepared_target

Work = Callable[[], object]
TOLERANCE_PX = 2.0


def count_arrays(pairs: Pairs, some: slice) -> dict[str, Work]:
    """Confusion counts of arrays in memory, in the dtype that each tool takes without a copy."""
    import torch  # noqa: PLC0415
    import torchmetrics  # noqa: PLC0415
    import vernier.semantic  # noqa: PLC0415
    from medpy.metric import binary  # noqa: PLC0415
    from monai.metrics import get_confusion_matrix  # noqa: PLC0415
    from sklearn.metrics import confusion_matrix  # noqa: PLC0415

    both = list(zip(pairs.references[some], pairs.predictions[some], strict=True))
    k = pairs.n_classes
    wide = [tuple({0: m.astype(np.uint32)} for m in pair) for pair in both]
    tensors = [tuple(torch.from_numpy(m.astype(np.int64)) for m in pair) for pair in both]
    matrix = torchmetrics.classification.MulticlassConfusionMatrix(k)

    def hotcoco_() -> object:
        evaluator = hotcoco.semantic.SemanticEval(k)
        for reference, prediction in both:
            evaluator.update(reference, prediction)
        return evaluator.confusion()

    def one_hot(labels: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(labels, k).permute(2, 0, 1)[None]

    run: dict[str, Work] = {
        "segbench": lambda: [joint_pairs(r, p) for r, p in both],
        "hotcoco": hotcoco_,
        "vernier": lambda: [
            vernier.semantic.evaluate_semantic_from_arrays(r, p, k, "corrected", num_threads=1)
            for r, p in wide
        ],
        "torchmetrics": lambda: [matrix(p, r) for r, p in tensors],
        "MONAI": lambda: [get_confusion_matrix(one_hot(p), one_hot(r)) for r, p in tensors],
        "scikit-learn": lambda: [
            confusion_matrix(r.ravel(), p.ravel(), labels=range(k)) for r, p in both
        ],
    }
    if k == 2:  # noqa: PLR2004
        run["medpy"] = lambda: [(binary.dc(p, r), binary.jc(p, r)) for r, p in both]
    return run


def pipeline(pairs: Pairs, folder: str, jobs: int = 1) -> Work:
    """Ours, from an opened folder to IoU, Dice and accuracy: dataset, cache, files, counts."""
    measures = [parse(f"{key}|class:class1|over:dataset|empty:nan") for key in ("iou", "dice")]

    def run() -> object:
        return scored(pairs.root, folder, jobs, measures)

    return run


def scored(root: Path, folder: str, jobs: int, measures: list[object]) -> object:
    """What `segbench.evaluate` does before it resamples."""
    dataset = open_prepared("pairs", data=root / "data")
    target = prepared_target(dataset, split="test", fold=None)
    counted = tally(
        target,
        open_submission(root / folder),
        policy=Policy(),
        jobs=jobs,
        progress=lambda _done, _of: None,
    )
    pooled = counted.counts.sum()
    return [values(m, pooled) for m in measures], int(pooled.tp.sum()) / int(pooled.total[0])


def from_files(pairs: Pairs, bits: int) -> dict[str, Work]:
    """From PNG files to pooled IoU, Dice and accuracy."""
    import kornia_rs  # noqa: PLC0415
    import vernier.semantic  # noqa: PLC0415

    references, predictions = pairs.paths(f"references-{bits}"), pairs.paths(f"predictions-{bits}")

    def hotcoco_() -> object:
        evaluator = hotcoco.semantic.SemanticEval(pairs.n_classes)
        for reference, prediction in zip(references, predictions, strict=True):
            evaluator.update_png(str(reference), str(prediction))
        return evaluator.report()["metrics"]["mIoU"]

    def inflate_only() -> object:
        for path in predictions:
            png = open_png(path.read_bytes())
            assert png is not None  # noqa: S101
            row_bytes = (png.size[1] * png.depth * CHANNELS[png.colour_type] + 7) // 8
            deflate.zlib_decompress(png.stream, png.size[0] * (row_bytes + 1))
        return None

    def kornia() -> object:
        for path, reference in zip(predictions, pairs.references, strict=True):
            decoded: Mask = np.asarray(kornia_rs.read_image_png_u8(str(path), "mono"))
            joint_pairs(reference, decoded[:, :, 0])
        return None

    run: dict[str, Work] = {
        "segbench": pipeline(pairs, f"predictions-{bits}"),
        "hotcoco": hotcoco_,
        "inflate only": inflate_only,
    }
    if bits == 8:  # noqa: PLR2004  the others refuse 1-bit files
        evaluator = vernier.semantic.Evaluator()
        of = [dict(enumerate(map(str, paths))) for paths in (references, predictions)]
        run["vernier"] = lambda: evaluator.evaluate_from_pngs(
            *of, n_classes=pairs.n_classes, num_threads=1
        )
        run["kornia-rs (predictions only) + our counts"] = kornia
    return run


def surfaces(pairs: Pairs, some: slice) -> dict[str, Work]:
    """HD, HD95, ASSD and NSD at 2 pixels."""
    import monai.metrics as m  # noqa: PLC0415
    import surface_distance as sd  # noqa: PLC0415
    import torch  # noqa: PLC0415

    both = list(zip(pairs.references[some], pairs.predictions[some], strict=True))

    def segbench() -> object:
        out = []
        for reference, prediction in both:
            d = surface.surface_distances(reference, prediction)
            near = surface.nsd(d, tolerance_px=TOLERANCE_PX)
            far = surface.hausdorff(d), surface.hausdorff_percentile(d, 95)
            out.append((*far, surface.assd(d), near))
        return out

    masks = [tuple(mask.astype(bool) for mask in pair) for pair in both]

    def surface_distance() -> object:
        out = []
        for reference, prediction in masks:
            d = sd.compute_surface_distances(reference, prediction, (1.0, 1.0))
            far = sd.compute_robust_hausdorff(d, 100), sd.compute_robust_hausdorff(d, 95)
            near = sd.compute_surface_dice_at_tolerance(d, TOLERANCE_PX)
            out.append((*far, sd.compute_average_surface_distance(d), near))
        return out

    tensors = [tuple(torch.from_numpy(mask)[None, None] for mask in pair) for pair in masks]

    def monai() -> object:
        out = []
        for r, p in tensors:
            far = m.compute_hausdorff_distance(p, r, include_background=True)
            far95 = m.compute_hausdorff_distance(p, r, include_background=True, percentile=95)
            mean = m.compute_average_surface_distance(p, r, include_background=True, symmetric=True)
            near = m.compute_surface_dice(p, r, [TOLERANCE_PX], include_background=True)
            out.append(tuple(float(x) for x in (far, far95, mean, near)))
        return out

    return {"segbench": segbench, "surface-distance": surface_distance, "MONAI": monai}
