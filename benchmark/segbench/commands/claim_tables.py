"""Tables of claims for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from segbench.claims import Finding, Rule
from segbench.commands.tables import new_table


def findings_table(findings: Sequence[Finding]) -> Table:
    """What cannot be, a line each."""
    table = new_table(caption="`segbench lint-claims` without a file prints the rules with proofs")
    for name in ("line", "data", "method", "columns", "cannot be", "rule"):
        table.add_column(name, overflow="fold")
    for f in findings:
        cells = (f"{f.line}", f.data, f.method, ", ".join(f.columns), f.reason, f.rule)
        table.add_row(*map(Text, cells))
    return table


def rules_table(rules: Sequence[Rule]) -> Table:
    """The rules with their proofs."""
    table = new_table(
        caption="J: IoU, D: Dice, P: precision, R: recall; t found, p predicted, r reference "
        "pixels of N; means of a row run over the same images"
    )
    for name in ("rule", "holds for", "says", "proof"):
        table.add_column(name, overflow="fold")
    for rule in rules:
        averages = ", ".join(a or "not said" for a in rule.averagings)
        table.add_row(*map(Text, (rule.key, averages, rule.says, rule.proof)))
    return table
