"""Write a comparison: comparison.json, and the picture that the caller draws."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from segbench._version import __version__
from segbench.errors import SegbenchError
from segbench.folders import place_folder, refuse_current
from segbench.scoring.compare import Comparison, Difference
from segbench.scoring.files import interval_json, json_number
from segbench.statistics.bootstrap import SEED

COMPARISON = "comparison.json"
_ALL = (COMPARISON, "comparison.svg", "comparison.png")
ENDINGS = (".json", ".svg", ".png", ".pdf")
"""With one of these endings `--out` is one file; otherwise it is a folder for all."""


def comparison_json(comparison: Comparison) -> dict[str, object]:
    """What comparison.json holds (schema_version 1): fractions, NaN as null."""
    name, version = comparison.dataset
    part, value = comparison.selection
    return {
        "schema_version": 1,
        "measure": str(comparison.measure),
        "dataset": name,
        "dataset_version": version,
        "split_digest": comparison.digest,
        part: value,
        "n_samples": len(comparison.table),
        "n_groups": comparison.table.n_groups,
        "segbench_version": __version__,
        "interval": interval_json(comparison.table, comparison.method),
        "permutation": {
            "statistic": "difference of the scores, groups swapped, two-sided",
            "swaps": comparison.pairs[0].n_swaps,
            "exact": comparison.pairs[0].exact,
            "seed": None if comparison.pairs[0].exact else SEED,
        },
        "entries": [
            {
                "name": entry.name,
                "value": json_number(entry.score.value),
                "ci95": [json_number(end) for end in entry.score.ci95],
                "n": entry.score.n,
                "signature": entry.score.signature,
            }
            for entry in comparison.entries
        ],
        "pairs": [
            {
                **_difference(pair),
                "p_permutation": json_number(pair.p),
                "p_permutation_holm": json_number(pair.p_holm),
                "p_permutation_smallest": json_number(pair.p_smallest),
                "p_wilcoxon": json_number(pair.p_wilcoxon),
                "probability_a_better": json_number(pair.a_better),
                "n_defined": dict(
                    zip(("both", "only_a", "only_b", "neither"), pair.n_defined, strict=True)
                ),
                "most_different": [
                    {"id": identifier, "a": json_number(a), "b": json_number(b)}
                    for identifier, a, b in pair.most_different()
                ],
            }
            for pair in comparison.pairs
        ],
        "subgroups": {
            column: {value: [_difference(d) for d in found] for value, found in groups.items()}
            for column, groups in comparison.subgroups.items()
        },
        "notes": list(comparison.notes),
    }


def _difference(difference: Difference) -> dict[str, object]:
    return {
        "a": difference.a,
        "b": difference.b,
        "difference": json_number(difference.value),
        "ci95": [json_number(end) for end in difference.ci95],
        "n_samples": difference.n_samples,
        "n_groups": difference.n_groups,
    }


def write_comparison(
    comparison: Comparison, out: Path, *, draw: Callable[[Path], None]
) -> tuple[Path, ...]:
    """Write comparison.json and pictures into a folder, or one file; whole or not at all.

    Args:
        comparison: What to write.
        out: A folder, or a file ending in .json, .svg, .png or .pdf.
        draw: Draws the comparison to a path; the ending says how.

    Returns:
        What was written.

    Raises:
        SegbenchError: The folder holds anything else, or cannot be written.
    """

    def write(path: Path) -> None:
        if path.suffix.lower() == ".json":
            found = comparison_json(comparison)
            text = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False)
            path.write_text(text + "\n", encoding="utf-8")
        else:
            draw(path)

    def fill(folder: Path) -> None:
        for name in _ALL:
            write(folder / name)

    if out.suffix.lower() not in ENDINGS or out.is_dir():
        refuse_foreign_comparison(out)
        place_folder(out, fill, replace=True)
        return tuple(out / name for name in _ALL)
    part = out.with_name(f".{out.stem}.part{out.suffix}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write(part)
        part.replace(out)
    except OSError as error:
        raise SegbenchError(f"{out}: could not be written ({error})") from error
    finally:
        part.unlink(missing_ok=True)
    return (out,)


def refuse_foreign_comparison(out: Path) -> None:
    """Refuse a folder that holds anything but an earlier comparison.

    Raises:
        SegbenchError: It does, or it is a file.
    """
    refuse_current(out)
    if not out.exists() or (out.suffix.lower() in ENDINGS and not out.is_dir()):
        return
    if not out.is_dir():
        raise SegbenchError(
            f"{out}: is a file; expected a folder, or a file ending in {', '.join(ENDINGS)}"
        )
    foreign = sorted({path.name for path in out.iterdir()} - {*_ALL})
    if foreign:
        raise SegbenchError(
            f"{out}: holds {', '.join(foreign[:3])}, which a comparison did not write; choose a "
            f"new folder with --out"
        )
