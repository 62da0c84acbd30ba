"""Data as classic scripts: a page opened from the disk may load these, but may not fetch JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

from segbench.measures import Measure

_ESCAPED = {c: f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}

FRACTION_DIGITS, DISTANCE_DIGITS = 5, 2


def script(key: str, value: object) -> str:
    """A script that hands a value to the page under a key.

    Text of strangers stays text wherever the file is put: what could end a script element or a
    line of JavaScript is escaped. Their words are never keys of an object, only values.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    name = json.dumps(key, ensure_ascii=False)
    for character, escaped in _ESCAPED.items():
        text, name = text.replace(character, escaped), name.replace(character, escaped)
    return f"segbench.put({name},{text});\n"


def digits_of(measure: Measure) -> int:
    """Decimals that are kept of a measure's values of single images."""
    return DISTANCE_DIGITS if measure.definition.unit else FRACTION_DIGITS


def packed(values: Iterable[float], digits: int) -> list[int | str | None]:
    """Values as whole numbers of the last decimal: half the characters of fractions."""
    scale = 10**digits
    return [None if math.isnan(x) else "inf" if math.isinf(x) else round(x * scale) for x in values]


def number(value: float, digits: int = 6) -> float | str | None:
    """A number for JSON: rounded, NaN as null, infinity as text."""
    if math.isnan(value):
        return None
    return "inf" if math.isinf(value) else round(value, digits)
