"""`segbench demo`: the whole chain on the drawn dataset, in under a minute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segbench.commands.options import Jobs, Json, n_jobs

DATASET = "synthetic-lesions"


def demo(
    *,
    out: Annotated[Path, typer.Option("--out", help="Where everything is written.")] = Path("demo"),
    jobs: Jobs = None,
    json: Json = False,
) -> None:
    """Prepare the synthetic dataset, run the classical baselines, score them and rank them."""
    from segbench.catalog.cards import find_dataset  # noqa: PLC0415
    from segbench.catalog.recipes import classical_recipes  # noqa: PLC0415
    from segbench.commands.console import note, progress_bar, say, say_json, show  # noqa: PLC0415
    from segbench.commands.tables import leaderboard_table  # noqa: PLC0415
    from segbench.masks.submission import open_submission  # noqa: PLC0415
    from segbench.methods.predict import predict  # noqa: PLC0415
    from segbench.prepare.run import Request, prepare  # noqa: PLC0415
    from segbench.report.page import write_report  # noqa: PLC0415
    from segbench.scoring.evaluate import Evaluation, evaluate  # noqa: PLC0415
    from segbench.scoring.files import REPORT, scores_json, write_evaluation  # noqa: PLC0415
    from segbench.scoring.tally import Policy, label_maps  # noqa: PLC0415

    tell = note if json else say
    data, workers = out / "data", n_jobs(jobs)
    tell(f"1. prepare {DATASET} (drawn, synthetic)")
    request = Request(dataset=find_dataset(DATASET), data=data, jobs=workers)
    results: dict[str, Evaluation] = {}
    with progress_bar() as update:
        prepared, _ = prepare(request, progress=update)
        for name, recipe in classical_recipes().items():
            tell(f"2. predict and evaluate: {recipe.title}")
            masks = out / "predictions" / name
            predict(
                recipe,
                prepared,
                masks,
                jobs=workers,
                progress=lambda done, of, name=name: update(name, done, of),
            )
            submission = open_submission(masks)
            result = evaluate(submission, dataset=DATASET, data=data, by=["kind"], jobs=workers)
            maps = label_maps(result.target, submission, result.reading, policy=Policy())
            write_evaluation(
                result,
                out / "scores" / name,
                extra=lambda folder, r=result, m=maps: write_report(r, m, folder / REPORT),
            )
            results[recipe.title] = result
    if json:
        say_json({title: scores_json(result) for title, result in results.items()})
        return
    show(leaderboard_table(results))
    say(f"reports: {out / 'scores'}/*/{REPORT}")
    say("try next, on real data:")
    say("  segbench prepare ph2 --source PH2Dataset.rar")
    say("  segbench predict otsu --dataset ph2 --out predictions/ph2-otsu")
    say("  segbench evaluate --predictions predictions/ph2-otsu --out scores/ph2-otsu")
    say("or your own masks:  segbench evaluate --predictions DIR --references DIR")
