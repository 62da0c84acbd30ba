"""What is measured: one literal table, measures as values, and their formulas."""

from segbench.measures.measure import (
    ALL,
    FOREGROUND,
    OVER_IMAGES,
    Empty,
    EmptyDistance,
    Measure,
    Options,
    Over,
    grid,
    legal_pairs,
    parse,
    values,
)
from segbench.measures.table import (
    DEFINITIONS,
    EMPTY_RULES,
    TABLE,
    Definition,
    Family,
    definition_of,
    meant,
)

__all__ = [
    "ALL",
    "DEFINITIONS",
    "EMPTY_RULES",
    "FOREGROUND",
    "OVER_IMAGES",
    "TABLE",
    "Definition",
    "Empty",
    "EmptyDistance",
    "Family",
    "Measure",
    "Options",
    "Over",
    "definition_of",
    "grid",
    "legal_pairs",
    "meant",
    "parse",
    "values",
]
