"""How far our dialects agree with the tools, written into docs/dialects.md."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import masks
import numpy as np

from segbench.dialects import DIALECTS, Dialect, Observed, Observer, Ruler, keys_of, say

PH2 = "PH2 test, otsu"
START, END = "<!-- {}: written by make peers-golden -->", "<!-- end of {} -->"


RELATIVE = {"float64": 1e-12, "float32": 2e-6, "2 decimals of a per cent": 1e-9}
"""What rounding in a tool's precision can make of a value."""


def write(golden: Path, page: Path) -> None:
    """Fill in the page's tables: agreement on PH2, and on the random and tiny masks."""
    path = page.parents[1] / "build" / "dialects" / "ph2.npz"
    seen = {name: observed(what) for name, what in masks.sets().items()}
    with np.load(path) as arrays:
        pairs = tuple((arrays[f"r_{i}"], arrays[f"p_{i}"]) for i in arrays["ids"].tolist())
        ids = arrays["ids"].tolist()
    seen[PH2] = observed(masks.Set(2, pairs))
    files = {name: json.loads((golden / f"{name}.json").read_text()) for name in DIALECTS}
    text = page.read_text()
    text = _between(text, "agreement", "\n".join(_agreement(files, seen[PH2], ids)))
    text = _between(text, "others", "\n".join(_others(files, seen)))
    text = _between(text, "dialects", "\n".join(_list(files)))
    page.write_text(text)


def observed(what: masks.Set) -> Observed:
    """What our dialects are computed from."""
    observer = Observer(tuple(range(what.n_classes)), 0, keys_of(DIALECTS.values()), Ruler())
    samples = [observer.sample(reference, prediction) for reference, prediction in what.pairs]
    return observer.observed(samples, [f"class {c}" for c in range(what.n_classes)])


def _between(text: str, name: str, new: str) -> str:
    start, end = re.escape(START.format(name)), re.escape(END.format(name))
    found = re.compile(f"({start}\n).*?({end})", re.DOTALL)
    return found.sub(lambda m: f"{m[1]}{new}\n{m[2]}", text)


def _list(files: dict[str, Any]) -> Iterator[str]:
    yield "| dialect | tool | version | how its values were found | what marks it |"
    yield "| --- | --- | --- | --- | --- |"
    for dialect in DIALECTS.values():
        about = files[dialect.name]
        libraries = ", ".join(f"{k} {about[k]}" for k in ("torch", "numpy") if k in about)
        metric = f"; metric of {about['metric']}" if "metric" in about else ""
        yield (
            f"| `{dialect.name}` | [{dialect.title}]({dialect.url}) | {about['version']}{metric} "
            f"({libraries}) | {about['how']} | {dialect.about} |"
        )


def _agreement(files: dict[str, Any], seen: Observed, ids: list[str]) -> Iterator[str]:
    yield (
        "| dialect | number | tool | ours | largest difference | images: in any bit | "
        "images: beyond its precision |"
    )
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: |"
    images = [seen.take(i) for i in range(seen.n_images)]
    for dialect in DIALECTS.values():
        found = files[dialect.name]["sets"][PH2]
        whole = _said(dialect, seen)
        singles = [_said(dialect, image) for image in images] if found["images"] else []
        for name, printed in found["whole"].items():
            tool, ours = _floats(printed), whole[name]
            alone = [
                (_floats(found["images"][i][name]), one[name])
                for i, one in zip(ids, singles, strict=bool(singles))
            ]
            largest = max(_difference(a, b) for a, b in [(tool, ours), *alone])
            bits = sum(_difference(a, b) > 0 for a, b in alone)
            beyond = sum(_beyond(a, b, dialect) for a, b in alone)
            digits = 2 if dialect.precision.startswith("2") else 6
            counts = f"{bits} of {len(alone)} | {beyond}" if alone else "not asked | not asked"
            yield (
                f"| {dialect.name} | `{name}` | {_shown(tool, digits)} | {_shown(ours, digits)} | "
                f"{_small(largest)} | {counts} |"
            )


def _others(files: dict[str, Any], seen: dict[str, Observed]) -> Iterator[str]:
    yield "| dialect | values compared | equal to the bit | largest difference | errors raised |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for dialect in DIALECTS.values():
        n = equal = errors = 0
        largest = 0.0
        for name, found in files[dialect.name]["sets"].items():
            if name == PH2:
                continue
            parts = [(found["whole"], seen[name])]
            parts += [(one, seen[name].take(int(i))) for i, one in found["images"].items()]
            for printed, what in parts:
                ours = _said(dialect, what)
                for number, value in printed.items():
                    if "error" in (value if isinstance(value, dict) else {}):
                        errors += 1
                        continue
                    for a, b in zip(_floats(value), ours[number], strict=True):
                        difference = _difference([a], [b])
                        n, equal = n + 1, equal + (difference == 0)
                        largest = max(largest, difference)
        yield f"| {dialect.name} | {n} | {equal} | {_small(largest)} | {errors} |"


def _said(dialect: Dialect, seen: Observed) -> dict[str, list[float]]:
    return {said.number.name: list(said.values.values()) for said in say(dialect, seen)}


def _floats(value: Any) -> list[float]:  # noqa: ANN401  of JSON
    if isinstance(value, dict):
        return []
    return [float(v) for v in (value if isinstance(value, list) else [value])]


def _difference(a: list[float], b: list[float]) -> float:
    """The largest; two undefined or two equal infinite values do not differ."""
    found = [0.0 if x == y or (math.isnan(x) and math.isnan(y)) else abs(x - y)
             for x, y in zip(a, b, strict=True)]  # fmt: skip
    return max(found, default=0.0)


def _beyond(a: list[float], b: list[float], dialect: Dialect) -> bool:
    """Whether values differ by more than rounding in the tool's precision makes."""
    relative = RELATIVE[dialect.precision]
    return any(
        _difference([x], [y]) > relative * max(1.0, abs(x)) for x, y in zip(a, b, strict=True)
    )


def _shown(values: list[float], digits: int) -> str:
    return ", ".join(f"{v:.{digits}f}" for v in values) or "error"


def _small(value: float) -> str:
    return "0" if value == 0 else f"{value:.1e}"
