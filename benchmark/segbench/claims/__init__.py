"""Published numbers that cannot be: claims as rounded intervals, and rules with proofs."""

from segbench.claims.claim import Claim, Claims, Interval, read_claims, share_of
from segbench.claims.rules import RULES, Finding, Rule, lint

__all__ = [
    "RULES",
    "Claim",
    "Claims",
    "Finding",
    "Interval",
    "Rule",
    "lint",
    "read_claims",
    "share_of",
]
