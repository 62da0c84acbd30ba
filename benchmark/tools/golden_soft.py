"""Measures of probabilities by scikit-learn and torchmetrics, for tests/golden/soft.json.

    pip install scikit-learn torchmetrics
    python benchmark/tools/golden_soft.py tests/golden/soft.json

Nothing in the file comes from segbench. Bins of equal mass: the bins of scikit-learn's
`calibration_curve(strategy="quantile")`, in cases where all of them hold as many pixels.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import sklearn
import torch
import torchmetrics
from numpy.typing import NDArray
from sklearn import metrics
from sklearn.calibration import calibration_curve
from torchmetrics.functional.classification import binary_calibration_error

N, CLIP = 240, 1e-7
BINS = (5, 10, 15)


def cases() -> dict[str, tuple[NDArray[np.bool_], NDArray[np.float64]]]:
    """Name -> (truth, probabilities) of 240 pixels each."""
    rng = np.random.default_rng(20261123)
    truth = rng.random(N) < 0.3  # noqa: PLR2004
    graded = np.clip(rng.normal(0.35 + 0.3 * truth, 0.2), 0.001, 0.998).round(6)
    sure = 1 / (1 + np.exp(-rng.normal(np.where(truth, 4, -6), 5)))
    return {
        "distinct values": (truth, graded),
        "tied values": (truth, (graded * 8).round() / 8 * 0.999 + 0.0005),
        "8 bits": (truth, ((graded * 253).round() + 1) / 255),
        "overconfident": (truth, np.clip(sure, 1e-9, 1 - 1e-9)),
        "no better than chance": (rng.random(N) < 0.5, rng.random(N).round(6)),  # noqa: PLR2004
        "one value": (truth, np.full(N, 0.4321)),
        "one pixel of the class": (np.arange(N) == 17, graded),  # noqa: PLR2004
        "exact 0 and 1": (truth, np.where(rng.random(N) < 0.2, truth, graded).astype(float)),  # noqa: PLR2004
    }


def main(out: Path) -> None:
    """Measure every case and write the file."""
    found: dict[str, object] = {}
    for name, (truth, values) in cases().items():
        kept = np.clip(values, CLIP, 1 - CLIP)
        width = {
            str(bins): float(
                binary_calibration_error(
                    torch.from_numpy(values), torch.from_numpy(truth.astype(int)), n_bins=bins
                )
            )
            for bins in BINS
        }
        mass = {}
        if len(np.unique(values)) == N:
            for bins in BINS:
                share, mean = calibration_curve(truth, values, n_bins=bins, strategy="quantile")
                mass[str(bins)] = float(np.abs(share - mean).mean())
        found[name] = {
            "truth": truth.astype(int).tolist(),
            "probabilities": values.tolist(),
            "ap": float(metrics.average_precision_score(truth, values)),
            "auroc": float(metrics.roc_auc_score(truth, values)),
            "brier": float(metrics.brier_score_loss(truth, values)),
            "nll": float(metrics.log_loss(truth, kept)),
            "ece_width": width,
            "ece_mass": mass,
        }
    about = {
        "tools": f"scikit-learn {sklearn.__version__}, torchmetrics {torchmetrics.__version__}",
        "command": "python benchmark/tools/golden_soft.py tests/golden/soft.json",
        "note": "nll: log_loss of probabilities clipped to [1e-7, 1 - 1e-7]",
    }
    out.write_text(json.dumps({"about": about, "cases": found}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
