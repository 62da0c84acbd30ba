"""How every tool is asked, over a set and over each of its images alone, and what is kept."""

from __future__ import annotations

import json
import math
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from masks import Mask, Set, sets

Pair = tuple[Mask, Mask]
Found = dict[str, Any]
"""Of each number its value, a list by class, or {"error": what was raised}."""
Ask = Callable[[Set], Found]


def attempt(work: Callable[[], object]) -> Any:  # noqa: ANN401  whatever JSON holds
    """What the tool gives, as JSON; or the error it raised."""
    try:
        return plain(work())
    except Exception as error:  # noqa: BLE001  whatever the tool raises is its answer
        first = str(error).strip().split("\n")[0]
        return {"error": f"{type(error).__name__}: {first}"[:120]}


def plain(value: Any) -> Any:  # noqa: ANN401
    """Numbers of any library as Python's; NaN and infinity as JSON strings."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    number = float(value)
    return number if math.isfinite(number) else repr(number)


def by_class(one: Set, function: Callable[[Mask, Mask], float]) -> list[float]:
    """A binary tool's value for each foreground class against the rest, of a set of one pair."""
    ((reference, prediction),) = one.pairs
    return [function(prediction == c, reference == c) for c in range(1, one.n_classes)]


def averaged(
    functions: Mapping[str, Callable[[Mask, Mask], float]],
    mean: Callable[[np.ndarray], float],
) -> Callable[[Set], Found]:
    """A tool without an average of its own: of several images `mean` is taken of its values."""

    def ask(what: Set) -> Found:
        single = [Set(what.n_classes, (pair,)) for pair in what.pairs]
        found = {}
        for name, function in functions.items():

            def work(function: Callable[[Mask, Mask], float] = function) -> object:
                values = np.array([by_class(one, function) for one in single], dtype=np.float64)
                return np.array([mean(column) for column in values.T])

            found[name] = attempt(work)
        return found

    return ask


def run(
    tools: Mapping[str, tuple[dict[str, str], Ask]], wanted: Iterable[str], ph2: Path, out: Path
) -> None:
    """Ask each tool for all sets and write its file."""
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    drawn = sets()
    with np.load(ph2) as arrays:
        names = arrays["ids"].tolist()
        pairs = tuple((arrays[f"r_{name}"], arrays[f"p_{name}"]) for name in names)
    drawn["PH2 test, otsu"] = Set(2, pairs)
    for tool in wanted or tools:
        about, ask = tools[tool]
        found: dict[str, Any] = {}
        for name, what in drawn.items():
            ids = names if len(what.pairs) == len(names) else list(map(str, range(len(what.pairs))))
            single = [Set(what.n_classes, (pair,)) for pair in what.pairs]
            one_by_one = "one by one" not in about
            found[name] = {
                "digest": what.digest,
                "whole": ask(what),
                "images": {
                    i: ask(one) for i, one in zip(ids, single, strict=True)
                } if len(single) > 1 and one_by_one else {},
            }  # fmt: skip
            print(tool, name, flush=True)
        write(out / f"{tool}.json", {"tool": tool, **about, "sets": found})


def write(path: Path, document: Mapping[str, Any]) -> None:
    """A line for each image, so that a difference can be read."""
    head = {k: v for k, v in document.items() if k != "sets"}
    lines = [json.dumps(head, indent=1)[:-2] + ',\n "sets": {']
    for i, (name, found) in enumerate(document["sets"].items()):
        images = [f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in found["images"].items()]
        lines.append(
            f"  {json.dumps(name)}: {{\n"
            f'   "digest": {json.dumps(found["digest"])},\n'
            f'   "whole": {json.dumps(found["whole"])},\n'
            f'   "images": {{' + ("\n" + ",\n".join(images) + "\n   " if images else "") + "}\n  }"
            + ("," if i + 1 < len(document["sets"]) else "")
        )  # fmt: skip
    lines.append(" }\n}\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines))
    json.loads(path.read_text())


def command(file: str) -> str:
    """The command that a golden file names."""
    return f"make peers-golden (benchmark/tools/peers_golden/{Path(file).name})"


def arguments() -> tuple[list[str], Path, Path]:
    """Tools wanted (none: all), the file of PH2's pairs, the folder to write into."""
    ph2, out, *wanted = sys.argv[1:]
    return wanted, Path(ph2), Path(out)
