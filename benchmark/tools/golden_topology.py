"""Betti numbers of GUDHI and clDice of panoptica, for tests/golden/topology.json.

    pip install gudhi==3.13.0 panoptica==2.1.7
    python benchmark/tools/golden_topology.py tests/golden/topology.json

Nothing in the file comes from segbench. Foreground pixels are the closed squares of a cubical
complex for connectivity 8 (they touch at corners), and its vertices for connectivity 4.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

import gudhi
import numpy as np
from panoptica.metrics.cldice import _compute_centerline_dice_coefficient
from scipy import ndimage

CORNERS = 8
HEIGHT, WIDTH = 24, 32
N_RANDOM, N_TUBES = 30, 30


def betti(mask: np.ndarray, connectivity: int) -> tuple[int, int]:
    """The numbers of components and of holes."""
    values = (~mask).astype(float)
    given = {"top_dimensional_cells" if connectivity == CORNERS else "vertices": values}
    complex_ = gudhi.CubicalComplex(**given)
    complex_.compute_persistence()
    components, holes, *_ = (*complex_.persistent_betti_numbers(0, 0), 0)
    return components, holes


def masks() -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs of masks: noise of all densities, and curves, thick ones and shifted."""
    rng = np.random.default_rng(0)
    pairs = []
    for i in range(N_RANDOM):
        density = 0.05 + 0.9 * i / N_RANDOM
        pairs.append(tuple(rng.random((2, HEIGHT, WIDTH)) < density))
    for _ in range(N_TUBES):
        field = ndimage.gaussian_filter(rng.standard_normal((HEIGHT, WIDTH)), 3)
        near = np.abs(field) < np.quantile(np.abs(field), 0.3)
        moved = np.abs(np.roll(field, rng.integers(-2, 3), axis=1)) < np.quantile(
            np.abs(field), rng.uniform(0.15, 0.4)
        )
        pairs.append((near, moved))
    return pairs


def main(out: Path) -> None:
    """Measure every pair and write the file."""
    cases = []
    for reference, prediction in masks():
        case = {
            "reference": np.packbits(reference).tobytes().hex(),
            "prediction": np.packbits(prediction).tobytes().hex(),
            "cldice": float(_compute_centerline_dice_coefficient(reference, prediction)),
        }
        for connectivity in (CORNERS, 4):
            case[f"reference_betti_{connectivity}"] = betti(reference, connectivity)
            case[f"prediction_betti_{connectivity}"] = betti(prediction, connectivity)
        cases.append(case)
    tools = {name: version(name) for name in ("gudhi", "panoptica", "scikit-image", "numpy")}
    found = {
        "tools": tools,
        "command": "python benchmark/tools/golden_topology.py tests/golden/topology.json",
        "size": [HEIGHT, WIDTH],
        "cases": cases,
    }
    out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
