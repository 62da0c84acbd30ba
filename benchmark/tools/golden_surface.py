"""Surface measures of MetricsReloaded on PH2, for tests/golden/ph2_otsu_surface.json.

    segbench predict otsu --dataset ph2 --split test --out OTSU
    git clone https://github.com/Project-MONAI/MetricsReloaded
    PYTHONPATH=MetricsReloaded python benchmark/tools/golden_surface.py OTSU COMMIT OUT.json

Nothing in the file comes from segbench but the masks: their decoded pixels are named by digest.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from pathlib import Path

import numpy as np
from MetricsReloaded.metrics.pairwise_measures import BinaryPairwiseMeasures
from PIL import Image

import segbench as sb

TOLERANCE = 2


def main(folder: Path, commit: str, out: Path) -> None:
    """Measure every test image of PH2 and write the file."""
    values: dict[str, dict[str, object]] = {}
    for sample in sb.load("ph2", "test"):
        guess = (np.asarray(Image.open(folder / f"{sample.id}.png")) == 1).astype(np.uint8)
        truth = (sample.mask == 1).astype(np.uint8)
        diagonal = math.hypot(*truth.shape)
        found = BinaryPairwiseMeasures(
            guess,
            truth,
            measures=[],
            dict_args={
                "nsd": TOLERANCE,
                "hd_perc": 95,
                "boundary_dist": max(1, round(0.02 * diagonal)),
            },
            pixdim=[1, 1],
        )
        values[sample.id] = {
            "prediction": hashlib.sha256(guess.tobytes()).hexdigest()[:16],
            "hd": float(found.measured_hausdorff_distance()),
            "hd95": float(found.measured_hausdorff_distance_perc()),
            "assd": float(found.measured_average_distance()),
            "masd": float(found.measured_masd()),
            "nsd": float(found.normalised_surface_distance()),
            "dice": float(found.dsc()),
        }
    about = {
        "tool": f"MetricsReloaded, git {commit}",
        "command": "PYTHONPATH=MetricsReloaded python benchmark/tools/golden_surface.py OTSU "
        "COMMIT tests/golden/ph2_otsu_surface.json",
        "data": "PH2 test split, predictions of `segbench predict otsu`; pixels, nsd within 2 px",
        "numpy": np.__version__,
    }
    lines = [f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in values.items()]
    text = f'{{\n "about": {json.dumps(about)},\n "values": {{\n' + ",\n".join(lines) + "\n }\n}\n"
    out.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
