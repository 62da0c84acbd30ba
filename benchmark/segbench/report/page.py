"""report.html: one evaluation as one self-contained page, without scripts or outside requests."""

from __future__ import annotations

import math
from importlib import resources
from pathlib import Path

from segbench._version import __version__
from segbench.report.content import describe
from segbench.report.gallery import Predictions
from segbench.report.pictures import CASING, PREDICTION, REFERENCE
from segbench.scoring.evaluate import Evaluation
from segbench.scoring.scores import Score
from segbench.statistics.bootstrap import FEW_UNITS, FEWEST_UNITS, SEED, n_resamples_of

TEMPLATE, STYLESHEET = "report.html.j2", "report.css"


def write_report(evaluation: Evaluation, predictions: Predictions | None, path: Path) -> None:
    """Write the report of an evaluation.

    The same evaluation gives the same bytes. Only the samples that are shown are read.

    Args:
        evaluation: What to report.
        predictions: Gives a sample's predicted class ids by its id, HxW uint8 in the reference's
            size, or None where it is missing. Without it only references are drawn.
        path: The file to write.
    """
    # Names of files that are no Unicode reach us as surrogates, which UTF-8 does not have.
    path.write_bytes(render(evaluation, predictions).encode("utf-8", "replace"))


def render(evaluation: Evaluation, predictions: Predictions | None) -> str:
    """The report as HTML; see `write_report`."""
    import jinja2  # noqa: PLC0415
    from markupsafe import Markup  # noqa: PLC0415

    files = resources.files("segbench.report")
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    template = environment.from_string((files / TEMPLATE).read_text(encoding="utf-8"))
    return template.render(
        page=describe(evaluation, predictions),
        css=Markup((files / STYLESHEET).read_text(encoding="utf-8")),  # noqa: S704  our own file
        svg=Markup,  # of our own charts, whose text matplotlib has escaped
        numbers=_numbers,
        colours={"reference": REFERENCE, "prediction": PREDICTION, "casing": CASING},
        few=FEW_UNITS,
        fewest=FEWEST_UNITS,
        interval_method={"percentile": "percentile", "bca": "BCa"}[evaluation.interval],
        n_resamples=n_resamples_of(evaluation.table.n_groups),
        seed=SEED,
        version=__version__,
    )


def _numbers(score: Score) -> tuple[str, str]:
    """A score and its interval as the page shows them: fractions to 3 digits, distances to 2."""
    value, low, high = score.value, *score.ci95
    digits = 2 if score.measure.unit else 3
    text = "undefined" if math.isnan(value) else f"{value:.{digits}f}"
    star = "*" if score.exact else ""
    return text, "" if math.isnan(low) else f"[{low:.{digits}f}, {high:.{digits}f}]{star}"
