"""Say it as the others do: what other tools print on the same masks, from our own counts."""

from segbench.dialects.observe import Observer, Ruler
from segbench.dialects.rules import Observed, ToolRaisesError
from segbench.dialects.say import (
    Conversation,
    Said,
    converse,
    keys_of,
    name_of,
    rounded,
    said_json,
    say,
)
from segbench.dialects.table import DIALECTS, Dialect, Number, dialect_of

__all__ = [
    "DIALECTS",
    "Conversation",
    "Dialect",
    "Number",
    "Observed",
    "Observer",
    "Ruler",
    "Said",
    "ToolRaisesError",
    "converse",
    "dialect_of",
    "keys_of",
    "name_of",
    "rounded",
    "said_json",
    "say",
]
