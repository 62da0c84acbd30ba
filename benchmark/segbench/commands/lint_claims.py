"""`segbench lint-claims FILE.csv`: published numbers that cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segbench.commands.options import Data, Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segbench.claims import Claim, Interval


def lint_claims(
    file: Annotated[
        Path | None, typer.Argument(help="A CSV of published numbers; without it: the rules.")
    ] = None,
    *,
    share: Annotated[
        list[str] | None,
        typer.Option("--share", help="Foreground's share of a dataset's pixels, as ph2=0.32."),
    ] = None,
    shares_from: Annotated[
        str,
        typer.Option(
            "--shares-from", help="Measure shares on this split of the datasets prepared here."
        ),
    ] = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """Find published numbers that cannot be, and say why; exit code 1 if there are any."""
    from segbench.claims import RULES, lint, read_claims  # noqa: PLC0415
    from segbench.commands.claim_tables import findings_table  # noqa: PLC0415
    from segbench.commands.console import note, say, say_json, show  # noqa: PLC0415

    if file is None:
        _show_rules(json=json)
        return
    claims = read_claims(file)
    shares = _measured(claims.rows, shares_from, data) if shares_from else {}
    shares |= _given(share or ())
    rows = [_with_share(claim, shares) for claim in claims.rows]
    findings = lint(rows)
    if claims.unread:
        note(f"note: columns that no rule reads: {', '.join(claims.unread)}")
    if json:
        names = ("line", "data", "method", "columns", "rule", "reason")
        proofs = {rule.key: rule.proof for rule in RULES}
        say_json(
            {
                "n_rows": len(rows),
                "percent_lines": [claim.line for claim in rows if claim.percent],
                "findings": [
                    {name: getattr(f, name) for name in names} | {"proof": proofs[f.rule]}
                    for f in findings
                ],
            }
        )
    else:
        if findings:
            show(findings_table(findings))
        wrong = len({finding.line for finding in findings})
        cannot = f"{wrong} of {len(rows)} rows cannot be" if wrong else "nothing that cannot be"
        say(f"{file}: {cannot} ({len(rows)} rows, {len(RULES)} rules)")
    if findings:
        raise typer.Exit(1)


def _show_rules(*, json: bool) -> None:
    from segbench.claims import RULES  # noqa: PLC0415
    from segbench.commands.claim_tables import rules_table  # noqa: PLC0415
    from segbench.commands.console import say_json, show  # noqa: PLC0415

    if json:
        say_json([{"rule": r.key, "says": r.says, "proof": r.proof} for r in RULES])
    else:
        show(rules_table(RULES))


def _given(texts: Sequence[str]) -> dict[str, Interval]:
    """The shares of the command line, by dataset."""
    from segbench.claims import share_of  # noqa: PLC0415

    shares: dict[str, Interval] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"--share {text}: expected a dataset's name, as ph2=0.32")
        shares[name.strip().lower()] = share_of(value)
    return shares


def _with_share(claim: Claim, shares: dict[str, Interval]) -> Claim:
    import dataclasses  # noqa: PLC0415

    found = shares.get(claim.data.lower())
    return claim if claim.share is not None else dataclasses.replace(claim, share=found)


def _measured(claims: Sequence[Claim], split: str, data: Path | None) -> dict[str, Interval]:
    """The foreground's share of all valid pixels, of the named datasets that are prepared."""
    import numpy as np  # noqa: PLC0415

    from segbench.claims import Interval  # noqa: PLC0415
    from segbench.masks.labels import IGNORE_ID, is_background  # noqa: PLC0415
    from segbench.masks.prepared import data_folder, prepared_datasets  # noqa: PLC0415
    from segbench.scoring.target import prepared_target  # noqa: PLC0415

    wanted = {claim.data.lower() for claim in claims}
    found: dict[str, Interval] = {}
    for dataset in prepared_datasets(data_folder(data)):
        if dataset.name not in wanted:
            continue
        target = prepared_target(dataset, split=split, fold=None)
        pixels = np.zeros(IGNORE_ID + 1, dtype=np.int64)
        for item in target.items:
            pixels += np.bincount(item.read().ravel(), minlength=len(pixels))
        background = sum(int(pixels[c.id]) for c in target.classes if is_background(c))
        valid = int(pixels[:IGNORE_ID].sum())
        value = (valid - background) / valid
        found[dataset.name] = Interval(value, value, f"{value:.4f}")
    return found
