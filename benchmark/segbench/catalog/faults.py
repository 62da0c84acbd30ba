"""What is wrong with a value of a file, in words: what was found, what to write, an example."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

MAX_SHOWN = 200

_PATTERNS = {
    r"^[0-9a-f]{64}$": "64 digits of 0-9a-f, as `sha256sum` prints them",
    r"^https?://[^\s\"'<>\\]+$": 'an address, such as "https://example.org/paper"',
    r"^https?://\S+$": 'an address, such as "https://example.org/data.zip"',
    r"^[a-z0-9][a-z0-9-]*$": 'small letters, digits and hyphens, such as "my-data"',
    r"^[a-z0-9][a-z0-9.-]*$": 'small letters, digits, hyphens and dots, such as "unet-2.1"',
    r"^[\w.-]+/[\w.-]+(/versions/\d+)?$": '"OWNER/NAME", as in the address on Kaggle',
    r"^[^\n\t]*$": "a text of one line",
}
"""What the patterns of our schemas mean."""

_EXAMPLES: Mapping[str, str] = {
    "authors": '["Ada Lovelace"]',
    "title": '"U-Net, three seeds"',
    "date": '"2026-11-23"',
    "latencies": '[{ milliseconds = 31.0, device = "1 x NVIDIA T4" }]',
    "seeds": "[0, 1]",
    "commands": '["segbench predict otsu --dataset ph2 --out masks"]',
    "color": "[255, 0, 0]",
}
"""What a person may write, by the last key of its place; else by the kind of value."""

_KINDS: Mapping[str, tuple[str, str]] = {
    "string": ("a text in quotation marks", '"..."'),
    "int": ("a whole number", "8"),
    "float": ("a number", "0.5"),
    "bool": ("true or false", "true"),
    "tuple": ("a list in brackets", "[...]"),
    "list": ("a list in brackets", "[...]"),
    "dict": ("a table of keys and values", ""),
    "model": ("a table of keys and values", ""),
    "date": ("a day as year-month-day", '"2026-11-23"'),
}

_WORDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda _: "is missing",
    "too_short": lambda c: f"holds {c['actual_length']}, expected {c['min_length']} or more",
    "too_long": lambda c: f"holds too many, expected {c['max_length']} or fewer",
    "string_too_short": lambda _: "is empty, expected a text",
    "string_too_long": lambda c: f"is too long, expected {c['max_length']} letters or fewer",
    "string_pattern_mismatch": lambda c: f"expected {_pattern(c['pattern'])}",
    "literal_error": lambda c: f"expected {c['expected'].replace(chr(39), chr(34))}",
    "enum": lambda c: f"expected {c['expected'].replace(chr(39), chr(34))}",
    "greater_than": lambda c: f"expected more than {c['gt']:g}",
    "greater_than_equal": lambda c: f"expected {c['ge']:g} or more",
    "less_than": lambda c: f"expected less than {c['lt']:g}",
    "less_than_equal": lambda c: f"expected {c['le']:g} or less",
    "multiple_of": lambda c: f"expected a multiple of {c['multiple_of']:g}",
    "finite_number": lambda _: "expected a finite number",
    "value_error": lambda c: str(c["error"]),
    "extra_forbidden": lambda _: "is no key of it",
    "union_tag_not_found": lambda c: f"needs the key {c['discriminator']}",
    "union_tag_invalid": lambda c: (
        f"{c['discriminator'].strip(chr(39))} is {c['tag']!r}, expected one of "
        f"{c['expected_tags'].replace(chr(39), chr(34))}"
    ),
    "json_invalid": lambda _: "is not JSON",
}


def place_of_fault(fault: ErrorDetails) -> str:
    """The key at which a fault lies, as `cost.latencies.0`."""
    return ".".join(str(part) for part in fault["loc"]) or "(the file)"


def fault_words(fault: ErrorDetails, *, toml: bool = False) -> str:
    """One fault of pydantic's: its place, what is wrong there, what was found and an example.

    Args:
        fault: One of `ValidationError.errors()`.
        toml: The example is a line of TOML; else of JSON.
    """
    kind, found, place = fault["type"], fault["input"], place_of_fault(fault)
    expected, sample = _KINDS.get(kind.partition("_")[0], ("another value", ""))
    words = _WORDS.get(kind)
    if words is None and kind.startswith("int_from_float"):
        expected, sample = _KINDS["int"]
    said = words(fault.get("ctx", {})) if words else f"expected {expected}"
    untold = isinstance(found, dict | list | tuple) or kind in {"missing", "value_error"}
    was = "" if untold else f", found {cut(_literal(found))}"
    return f"{place}: {said}{was}{_example(fault, sample, toml=toml)}"


def all_words(error: ValidationError) -> str:
    """Every fault of a file that no person writes, in one line."""
    return "; ".join(fault_words(fault) for fault in error.errors())


def cut(text: str) -> str:
    """A text, or its beginning."""
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def example_of(location: tuple[int | str, ...], sample: str = "", *, toml: bool) -> str:
    """`; write authors = ["Ada Lovelace"]`, where an example is known."""
    names = [part for part in location if isinstance(part, str)]
    name = names[-1] if names else ""
    sample = _EXAMPLES.get(name, sample)
    if not name or not sample or (names and location[-1] != name):
        return ""
    return f"; write {name} = {sample}" if toml else f"; write {json.dumps(name)}: {sample}"


def _example(fault: ErrorDetails, sample: str, *, toml: bool) -> str:
    if fault["type"] in {"value_error", "extra_forbidden", "literal_error"}:
        return ""
    return example_of(tuple(fault["loc"]), sample, toml=toml)


def _pattern(pattern: str) -> str:
    return _PATTERNS.get(pattern, f"a text of the form {pattern}")


def _literal(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else repr(value)
