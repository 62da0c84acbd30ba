"""Compare segbench's speed with its peers' (`make peers`): makes their environment, measures.

The environment is build/peers/env; the masks are in build/peers; the result is
results/performance.md. What is not on PyPI is left out, and said.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
WORK = ROOT / "build" / "peers"
PH2 = ROOT.parent / "shared" / "data" / "PH2Dataset.tar.xz"
PEERS = (
    *("hotcoco>=1.3", "vernier>=0.5", "medpy", "torch", "torchmetrics", "monai", "scikit-learn"),
    *("surface-distance-based-measures", "kornia-rs"),
)


def main() -> None:
    """Install, measure, write."""
    python = WORK / "env" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(WORK / "env")], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, *PEERS, "--editable", str(ROOT)], check=True)
    print("left out: MetricsReloaded (not on PyPI), torchvision (no peer here needs it)")
    report = ROOT / "results" / "performance.md"
    command = [str(python), str(Path(__file__).with_name("measure.py")), str(WORK), str(report)]
    path = f"{python.parent}:{os.environ['PATH']}"
    arguments = [str(PH2)] if PH2.exists() else []
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
    environment = {**os.environ, **one, "PATH": path}
    subprocess.run([*command, *arguments], check=True, env=environment)
    print(f"written: {report}")


if __name__ == "__main__":
    main()
