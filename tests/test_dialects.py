"""Every dialect against what its tool printed: tests/golden/dialects/*.json (`make peers-golden`)."""

from __future__ import annotations

import importlib.util
import json
import sys
from functools import cache
from pathlib import Path

import pytest

from segbench.dialects import DIALECTS, Observer, Ruler, keys_of, say

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden" / "dialects"
MASKS = ROOT / "benchmark" / "tools" / "peers_golden" / "masks.py"
PH2 = "PH2 test, otsu"

TOLERANCE = {
    "float64": {"rel": 1e-12, "abs": 1e-12},  # sums in another order
    "float32": {"rel": 2e-6, "abs": 1e-6},  # the tool's own rounding
    "2 decimals of a per cent": {"rel": 0, "abs": 1e-9},
}


def _load_masks():
    spec = importlib.util.spec_from_file_location("peers_golden_masks", MASKS)
    module = importlib.util.module_from_spec(spec)
    sys.modules["peers_golden_masks"] = module
    spec.loader.exec_module(module)
    return module


MODULE = _load_masks()
SETS = MODULE.sets()


@cache
def golden(tool):
    return json.loads((GOLDEN / f"{tool}.json").read_text())


@cache
def observed(name):
    what = SETS[name]
    observer = Observer(tuple(range(what.n_classes)), 0, keys_of(DIALECTS.values()), Ruler())
    samples = [observer.sample(r, p) for r, p in what.pairs]
    return observer.observed(samples, [f"class {c}" for c in range(what.n_classes)])


def assert_says(dialect, seen, printed, where):
    said = {s.number.name: s for s in say(dialect, seen)}
    assert set(said) == set(printed), where
    for name, value in printed.items():
        ours = said[name]
        if isinstance(value, dict):  # the tool raised an error
            assert ours.error, (where, name, value)
            assert not ours.values
            continue
        assert not ours.error, (where, name, ours.error)
        expected = [float(v) for v in (value if isinstance(value, list) else [value])]
        found = list(ours.values.values())
        assert found == pytest.approx(
            expected, nan_ok=True, **TOLERANCE[dialect.precision]
        ), (where, name)  # fmt: skip


def test_every_dialect_has_its_file_and_every_file_its_dialect():
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(DIALECTS)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("tool", DIALECTS)
def test_random_and_tiny_masks(tool, name):
    found = golden(tool)["sets"][name]
    assert found["digest"] == SETS[name].digest, "these are not the masks that the tool was given"
    seen = observed(name)
    assert_says(DIALECTS[tool], seen, found["whole"], "whole")
    for i, printed in found["images"].items():
        assert_says(DIALECTS[tool], seen.take(int(i)), printed, f"image {i}")
