"""Draw the README's pictures from the drawn dataset: `readme_pictures.py docs/pictures`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image

import segbench
from segbench.catalog.cards import find_dataset
from segbench.catalog.recipes import classical_recipes
from segbench.methods.classical import segment
from segbench.prepare.run import Request, prepare
from segbench.report.charts import leaderboard_figure
from segbench.report.pictures import Overlay, overlay_figure

DATASET = "synthetic-lesions"
SHOWN = ("SYN002", "SYN007", "SYN029", "SYN053")


def main(out: Path) -> None:
    """Write leaderboard.png and overlays.png."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch)
        prepare(Request(dataset=find_dataset(DATASET), data=data), progress=lambda *_: None)
        samples = segbench.load(DATASET, "test", data=data)
        entries: list[tuple[str, float, float, float]] = []
        for recipe in classical_recipes().values():
            masks = {s.id: segment(s.image, recipe.method, recipe.options) for s in samples}
            dice = segbench.evaluate(masks, dataset=DATASET, data=data).score("dice")
            entries.append((recipe.title, dice.value, *dice.ci95))
        entries.sort(key=lambda entry: -entry[1])
        title = "synthetic-lesions, test: 24 drawn images"
        leaderboard_figure(
            entries, out / "leaderboard.png", title=title, x_label="mean Dice, 95 % interval"
        )
        recipe = classical_recipes()["grabcut"]
        everything = [s for split in ("train", "val", "test")
                      for s in segbench.load(DATASET, split, data=data)]  # fmt: skip
        overlays = [
            Overlay(
                image=s.image,
                reference=s.mask == 1,
                prediction=segment(s.image, recipe.method, recipe.options),
                caption=f"{s.id}, {s.fields['kind']}",
            )
            for s in everything
            if s.id in SHOWN
        ]
        picture = out / "overlays.png"
        overlay_figure(overlays, picture, title="Synthetic images: GrabCut from Otsu")
        with Image.open(picture) as drawn:  # as wide as a README shows it, and light to load
            small = drawn.convert("RGB").resize((drawn.width // 2, drawn.height // 2))
        small.quantize(256).save(picture, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
