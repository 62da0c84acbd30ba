"""segbench: datasets, baselines, exact scores and an honest leaderboard for image segmentation.

    import segbench
    for sample in segbench.load("ph2", "train"): ...       # lazily: id, image, mask, fields
    result = segbench.evaluate("predictions/", dataset="ph2")
    print(result.score("dice").value, result.score("dice").ci95)

Everything is imported when it is first used: `import segbench` itself costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segbench._version import __version__
    from segbench.errors import SegbenchError
    from segbench.masks.prepared import PreparedDataset, Sample, load
    from segbench.measures import Measure, Options, parse
    from segbench.scoring.compare import Comparison, compare
    from segbench.scoring.evaluate import Evaluation, evaluate
    from segbench.scoring.references import ReferencePolicy
    from segbench.scoring.tally import Policy

__all__ = [
    "Comparison",
    "Evaluation",
    "Measure",
    "Options",
    "Policy",
    "PreparedDataset",
    "ReferencePolicy",
    "Sample",
    "SegbenchError",
    "__version__",
    "compare",
    "evaluate",
    "load",
    "parse",
]

_HOME = {
    "Comparison": "scoring.compare",
    "Evaluation": "scoring.evaluate",
    "Measure": "measures",
    "Options": "measures",
    "Policy": "scoring.tally",
    "PreparedDataset": "masks.prepared",
    "ReferencePolicy": "scoring.references",
    "Sample": "masks.prepared",
    "SegbenchError": "errors",
    "__version__": "_version",
    "compare": "scoring.compare",
    "evaluate": "scoring.evaluate",
    "load": "masks.prepared",
    "parse": "measures",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  a module's attribute can be anything
    if name not in _HOME:
        raise AttributeError(f"module 'segbench' has no attribute {name!r}")
    return getattr(importlib.import_module(f"segbench.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
